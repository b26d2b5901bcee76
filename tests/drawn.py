"""Settings, schedules and methods drawn at random by hypothesis, always the same ones."""

import inspect
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import assume, settings
from hypothesis import strategies as st

from ravine.errors import RavineError, ScheduleError
from ravine.rules import RULES, Method, Row
from ravine.schedules import SCHEDULES, Schedule

seeded = settings(derandomize=True, database=None, deadline=None, max_examples=100)

fractions = st.integers(-24, 24).map(lambda n: Fraction(n, 12))
nonzero = fractions.filter(bool)
rows = st.builds(Row, fractions, fractions, fractions, fractions, fractions)

# Drawn by the parameters of each kind of schedule and of each rule: a new one is tested by standing in its table.

NUMBERS: dict[str, st.SearchStrategy[float]] = {
    **dict.fromkeys(("steps", "every", "last", "total"), st.integers(1, 500).map(float)),
    "T": st.floats(0.1, 1e3),
    "k": st.floats(0, 5),
    "factor": st.floats(0.05, 1.5),
    "by": st.floats(-1, 1).filter(bool),
    "up": st.floats(0.01, 0.99),
}
ANYTHING = st.floats(-10, 10)


@st.composite
def schedules(draw: st.DrawFn, depth: int = 3) -> Schedule:
    """Draw a schedule of any kind, made of schedules down to a depth."""
    kind = SCHEDULES[draw(st.sampled_from(list(SCHEDULES)))]
    nests = {"first", "second", "after", "schedule"}
    parts = ANYTHING | schedules(depth - 1) if depth > 1 else ANYTHING
    args = [draw(parts if p.name in nests else NUMBERS.get(p.name, ANYTHING)) for p in kind.parameters]
    for p in reversed(kind.parameters):  # leave some defaults out
        if p.default is inspect.Parameter.empty or not draw(st.booleans()):
            break
        args.pop()
    try:
        return kind(*args)
    except ScheduleError:
        assume(False)
        raise


ALLOWED = {
    "lr": st.floats(0, 1e6),
    "mu": st.floats(0, 1, exclude_max=True),
    "tau": st.floats(0, 1),
    "nu": st.floats(-10, 10),
    "L": st.floats(10, 1e12),
    "m": st.floats(1e-12, 9),
}


@st.composite
def methods(draw: st.DrawFn) -> Method:
    """Draw a rule of the table with settings that are numbers or schedules."""
    rule = RULES[draw(st.sampled_from(list(RULES)))]
    return rule(**{key: draw(ALLOWED[key] | schedules(2)) for key in rule.parameters})


def answer(read: Callable[[str], Any], text: str) -> Any:
    """Return what was read, or the message with which it was refused; any other exception passes through."""
    try:
        return read(text)
    except RavineError as error:
        return str(error)
