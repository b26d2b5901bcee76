"""Rules and buffers between conventions: the same run in another library's settings.

    the same gradients  ⇔  the same response (a, b, c)        v_target = s·v_source    x_target = x_source + shift·v_source

Nothing here knows a pair of rules. The target's row is solved for the source's response, and what comes out is held
against it; under schedules step by step. What has no equal is refused with the reason, and where only a schedule has
none, its steps are converted one by one and the conversion says how far apart the runs can get.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from ravine.charts import EVERY
from ravine.conversion.equal import Link, as_float, equal_settings, exactly, link, row_at
from ravine.conversion.inverse import Settings
from ravine.conversion.remarks import remarks
from ravine.errors import ConvertError, shown
from ravine.rules import Method, Row, Rule, find, parse, read
from ravine.schedules import Number, Steps, Value, at, text_of

STEPS = 100  # of a schedule that are converted unless told
MOST_STEPS = 100_000  # a second for some thousands
UNSIZED = "for no curvature every step of both is stable, so that no bound is stated"


@dataclass(frozen=True)
class Listed:
    """Hold a setting's value at every step; after the last it keeps it.

    >>> Listed((0.9, 0.45))(1), str(Listed((0.9, 0.45, 0.3, 0.1)))
    (0.45, 'listed(0.9,0.45,…,0.1)')
    """

    values: tuple[Number, ...]

    def __call__(self, t: Steps) -> Number:
        """Return the value at step `t`, or an array shaped like `t`."""
        if not getattr(t, "shape", ()):
            return self.values[min(int(t), len(self.values) - 1)]
        import numpy as np

        return np.array(self.values)[np.minimum(t, len(self.values) - 1)]

    def __str__(self) -> str:
        words = [text_of(float(value)) for value in self.values]
        return f"listed({','.join(words if len(words) < 4 else [*words[:2], '…', words[-1]])})"


@dataclass(frozen=True)
class Conversion:
    """Hold a method in another rule's settings, and what becomes of the state.

    `exact` says that both ask for the same gradients at every step, but for rounding. Where they do not, `error` bounds
    how far apart the points at which they ask get within `steps` steps, as a part of the start's distance from the
    minimum, on every quadratic with curvatures up to `h_max`.
    """

    source: Method
    target: Method
    exact: bool
    links: tuple[Link, ...]  # one for all steps, or one a step
    steps: int | None = None  # that were converted; None for any number
    error: float | None = None
    h_max: float | None = None
    reason: str = ""  # why it is only approximate

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """Say what a user should be told beside the numbers, a sentence each; measured when first asked for."""
        said = remarks(self.source, self.target, self.links, self.steps or STEPS)
        return (self.reason, *said) if self.reason else tuple(said)

    @property
    def scale(self) -> Number | tuple[Number, ...]:
        """Return s of v_target = s·v_source: a number, or one a step where it changes."""
        return _one_or_all([joined.scale for joined in self.links])

    @property
    def shift(self) -> Number | tuple[Number, ...]:
        """Return the shift of x_target = x_source + shift·v_source: a number, or one a step where it changes."""
        return _one_or_all([joined.shift for joined in self.links])

    def state(self, x: Any, v: Any, t: int = 0) -> tuple[Any, Any]:
        """Return the target's position and buffer, with which it goes on from step t as the source would.

        Args:
            x, v: the source's, numbers or arrays, before step t.
            t: how many steps have been made.

        Example:
            >>> convert("classical:lr=0.5,mu=0.9", "heavyball").state(1.0, -0.25)
            (1.0, 0.5)
        """
        scale, shift = self._link(t)
        return (x + shift * v if shift else x), scale * v

    def back(self, x: Any, v: Any, t: int = 0) -> tuple[Any, Any]:
        """Return the source's position and buffer from the target's: the inverse of `state`.

        Raises `ConvertError` where the target's buffer holds nothing of the source's.
        """
        scale, shift = self._link(t)
        if scale == 0:
            raise ConvertError(
                f"the buffer of {self.source.name} cannot be had back from {self.target.name}, which keeps nothing of it; "
                f"begin with an empty one"
            )
        return (x - shift / scale * v if shift else x), v / scale

    def _link(self, t: int) -> Link:
        if isinstance(t, bool) or not isinstance(t, int) or not 0 <= t < (self.steps or t + 1):
            raise ConvertError(f"a state is converted before a step from 0 to {(self.steps or 0) - 1}, got {shown(t)}")
        return self.links[t if len(self.links) > 1 else 0]

    @cached_property
    def inverse(self) -> Link:
        """Return scale and shift of the way back at the first step: v_source = v/s, x_source = x - shift/s·v."""
        scale, shift = self.links[0]
        return Link(1 / scale, -shift / scale) if scale else Link(0, -shift)

    def summary(self) -> dict[str, Any]:
        """Return what `ravine convert --json` prints."""
        return {
            "from": _told(self.source, self.steps),
            "to": _told(self.target, self.steps),
            "exact": self.exact,
            "buffer": {"scale": _plain(self.scale)},
            "shift": _plain(self.shift),
            **({"steps": self.steps} if self.steps else {}),
            "error": self.error,
            **({"h_max": self.h_max} if self.error is not None else {}),
            "notes": list(self.notes),
        }


def convert(method: str | Method, to: str | Rule, *, steps: int = STEPS) -> Conversion:
    """Write a method in another rule's settings, so that the same gradients are asked for.

        (a, b, c) of the target = (a, b, c) of the source        v_target = s·v_source    x_target = x_source + shift·v_source

    Args:
        method: such as `classical:lr=0.1,mu=0.9`; any rule of the table or chart, its settings numbers or schedules.
        to: a rule's name, also with settings that are to have a value, such as `heavyball:tau=0.5`; or a rule.
        steps: how many steps of a schedule are converted; settings that do not change hold for any number.

    Returns:
        A `Conversion`: the target, whether it is exact, the buffer's scale, the shift, and notes.

    Raises:
        ConvertError: there is no equal method, with the reason and the nearest.
        RuleError: the source cannot be read.

    Example:
        >>> print(convert("nag:lr=0.1,mu=0.9", "qhm").target)
        qhm:lr=1,mu=0.9,nu=0.9
        >>> found = convert("classical:lr=step(0.1,0.5,2),mu=0.4", "heavyball", steps=6)
        >>> found.target.settings["mu"].values
        (0.4, 0.4, 0.8, 0.4, 0.8, 0.4)

    Source: the response is that of `ravine.algebra`; the factor lr_before/lr of the second example is the momentum
    correction of Goyal et al. 2017, section 3, read backwards.
    """
    if not isinstance(method, Method | str):
        raise ConvertError(f"what is converted is a method such as classical:lr=0.1,mu=0.9, got {shown(method)}")
    source = method if isinstance(method, Method) else parse(method, EVERY)
    rule, fixed, own = _target(to)
    _check_steps(steps)
    if rule == source.rule and not own:
        return Conversion(source, source, True, (Link(1, 0),))
    return _at_once(source, rule, fixed) if source.steady else _by_steps(source, rule, fixed, steps)


def _at_once(source: Method, rule: Rule, fixed: Mapping[str, Fraction]) -> Conversion:
    row = row_at(source, 0)
    settings, made = equal_settings(rule, fixed, row, str(source))
    number = _numbers(source)
    links = (_link_of(link(row, made), number),)
    target = rule(**{key: number(value) for key, value in settings.items()})
    return Conversion(source, target, True, links)


def _by_steps(source: Method, rule: Rule, fixed: Mapping[str, Fraction], steps: int) -> Conversion:
    from ravine.conversion.difference import ask_alike, sized
    from ravine.conversion.stepwise import carry, each_alone

    rows = [row_at(source, t) for t in range(steps + 1)]
    number = _numbers(source)
    carried, exact = carry(rule, fixed, rows, str(source)), True
    target = carried and _method(source, rule, carried.settings, number)
    theirs = [_floats(row) for row in rows[:-1]]
    if carried is None or target is None or not ask_alike(theirs, _rows(target, steps)):
        carried = each_alone(rule, fixed, rows[:-1], str(source))
        target = _method(source, rule, carried.settings, number)
        exact = ask_alike(theirs, _rows(target, steps))
    links = tuple(_link_of(joined, number) for joined in carried.links)
    if exact:
        return Conversion(source, target, True, links, steps)
    error, h_max, sentence = sized(theirs, _rows(target, steps)) or (None, None, UNSIZED)
    reason = f"approximate: {_why(source, rule)}; each step is converted as if its settings stayed, and {sentence}"
    return Conversion(source, target, False, links, steps, error, h_max, reason)


# What came in ----------------------------------------------------------------------------------------------------


def _target(to: str | Rule) -> tuple[Rule, dict[str, Fraction], bool]:
    """Return the rule, those of its settings that have a value, and whether any of them was given."""
    given: Mapping[str, Value] = {}
    if isinstance(to, Rule):
        rule = to
    elif not isinstance(to, str):
        raise ConvertError(f"the target is the name of a rule, got {shown(to)}; write one like heavyball")
    elif ":" in to:
        rule, given = read(to, EVERY)
    else:
        rule = find(to, EVERY)
    for key, value in given.items():
        if key not in rule.parameters:
            raise ConvertError(
                f"{rule.name} has no setting {shown(key)}; its settings are {', '.join(rule.parameters)}"
            )
        if callable(value):
            raise ConvertError(f"{rule.name}: {key} can be chosen as a number only, got {value}; leave it out")
    defaults = {k: d for k, d in rule.parameters.items() if isinstance(d, int | float)}
    return rule, {key: exactly(value) for key, value in {**defaults, **given}.items()}, bool(given)


def _check_steps(steps: int) -> None:
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= MOST_STEPS:
        raise ConvertError(f"steps must be a whole number from 1 to {MOST_STEPS}, got {shown(steps)}")


# What comes out --------------------------------------------------------------------------------------------------


def _numbers(source: Method) -> Any:
    """Return what turns fractions into the kind of number that the source has: fractions if it has any, else floats."""
    kinds = {type(at(value, 0)) for value in source.settings.values()}
    return Fraction if Fraction in kinds else _float


def _float(x: Fraction) -> float:
    number = as_float(x)
    if abs(number) == math.inf:
        raise ConvertError("a scale or a setting would be too large for a float; use settings of an ordinary size")
    return number


def _link_of(joined: Link, number: Any) -> Link:
    return Link(number(joined.scale), number(joined.shift))


def _method(source: Method, rule: Rule, settings: Sequence[Settings], number: Any) -> Method:
    """Return a method whose settings are numbers where they stay, the source's own schedule where it is the same."""
    made: dict[str, Value] = {}
    for key in rule.parameters:
        values = tuple(number(each[key]) for each in settings)
        made[key] = _same_schedule(source.settings.get(key), values) or (
            values[0] if len(set(values)) == 1 else Listed(values)
        )
    return rule(**made)


def _same_schedule(value: Value | None, values: Sequence[Number]) -> Value | None:
    if not callable(value) or len(set(values)) == 1:
        return None
    alike = all(abs(at(value, t) - x) <= 1e-14 * abs(x) for t, x in enumerate(values))
    return value if alike else None


def _rows(method: Method, steps: int) -> list[Row]:
    return [_floats(method.row(t)) for t in range(steps)]


def _floats(row: Row) -> Row:
    return Row(*map(float, row))


def _one_or_all(values: Sequence[Number]) -> Number | tuple[Number, ...]:
    return values[0] if len(set(values)) == 1 else tuple(values)


def _plain(value: Any) -> Any:
    return [float(x) for x in value] if isinstance(value, tuple) else float(value)


def _told(method: Method, steps: int | None) -> dict[str, Any]:
    settings = {
        key: [float(at(value, t)) for t in range(steps or 1)] if callable(value) and steps else float(at(value, 0))
        for key, value in method.settings.items()
    }
    return {"rule": method.name, "settings": settings, "text": str(method)}


def _why(source: Method, rule: Rule) -> str:
    changing = [key for key, value in source.settings.items() if callable(value)]
    return (
        f"{rule.name} has no settings for which a changing {' and '.join(changing)} of {source.name} asks for the same"
    )
