"""The table and the schedules as JavaScript: each row and each formula traced with words in place of its settings."""

import inspect
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ravine.browser.printer import block, javascript
from ravine.rules import Rule
from ravine.schedules import Kind
from ravine.tracing import Pattern, Trace, Word, written


class Asked(Word):
    """Stand for a setting that may be a schedule: called with a step, it is asked for its value there."""

    def __call__(self, t: Any) -> Word:
        return self.trace.word(f"at({self.name}, {written(t)})")


class Once(Trace):
    """Write down each operation only the first time that it comes."""

    def __init__(self) -> None:
        super().__init__()
        self.known: dict[str, Word] = {}

    def word(self, code: str) -> Word:
        """Give a name to the value of some code, the same where it has one."""
        if code not in self.known:
            self.known[code] = super().word(code)
        return self.known[code]


class Namespace:
    """Stand for NumPy while a schedule is traced."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def __getattr__(self, name: str) -> Any:
        return partial(self.trace.called, name)

    def where(self, condition: Word, yes: Any, no: Any) -> Word:
        """Choose one of two values."""
        return self.trace.word(f"{condition.name} ? {written(yes)} : {written(no)}")


def rule_text(rule: Rule) -> tuple[Pattern, str]:
    """Write a rule as a property of an object; the first is which cells of its rows are always 0 or 1."""
    trace = Trace()
    names = [f"a{i}" for i in range(len(rule.parameters))]
    words = {key: Word(name, trace) for key, name in zip(rule.parameters, names, strict=True)}
    row = rule.row(**words)
    pattern = tuple(int(cell) if not isinstance(cell, Word) and cell in (0, 1) else None for cell in row)
    lines = [*block(trace.lines), *(f"out[{i}] = {written(cell)};" for i, cell in enumerate(row)), "return out;"]
    return pattern, _function(["out", *names], lines)


def schedule_text(kind: Kind) -> str:
    """Write a schedule's formula as a function of the step and its numbers."""
    trace = Once()
    names = [f"a{i}" for i in range(len(kind.parameters))]
    found = kind.formula(Namespace(trace), Word("t", trace), *(Asked(name, trace) for name in names))
    return _function(["t", *names], [*block(trace.lines), f"return {written(found)};"])


def check_text(allowed: Callable[..., Any], names: Sequence[str]) -> str:
    """Write what says whether numbers are allowed, or fit each other, as a function of these numbers."""
    trace = Trace()
    words = [f"a{i}" for i in range(len(names))]
    found = allowed(*(Word(word, trace) for word in words))
    said = found.name if isinstance(found, Word) else json.dumps(bool(found))
    return _function(words, [*block(trace.lines), f"return Boolean({said});"])


def named(parameters: dict[str, Any]) -> str:
    """Write the names of parameters and those defaults that there are."""
    given = {key: value for key, value in parameters.items() if value is not inspect.Parameter.empty}
    return f"parameters: {json.dumps(list(parameters))}, defaults: {json.dumps(given)}"


def _function(names: list[str], lines: list[str]) -> str:
    return javascript(f"({', '.join(names)}) => {{ {' '.join(lines)} }}")
