"""Which settings of a rule a map spreads out, how far, and which stay fixed."""

import inspect
import math
from collections.abc import Mapping
from typing import Any

from ravine import algebra
from ravine.axes import Axis, axis
from ravine.charts import EVERY
from ravine.errors import AlgebraError, MapError, RuleError, shown
from ravine.rules import Rule, read
from ravine.surfaces.interface import Array

USUAL = {"nu": 0.7, "tau": 0.0}  # where a rule needs a setting that nobody gave: Ma & Yarats 2019 advise nu = 0.7
WIDER = 1.15  # than where stability ends
MOMENTA = (0.0, 0.99)


def rule_of(rule: str | Rule, wanted: Mapping[str, Any]) -> tuple[Rule, dict[str, Any], list[str]]:
    """Read a rule with the settings that stay fixed; returns it, them, and notes on those that were chosen here.

    >>> rule_of("qhm", {"lr": "0:1", "mu": None})[1:]
    ({'nu': 0.7}, ['qhm: nu was not given, it is 0.7'])
    """
    if not isinstance(rule, str | Rule):
        raise MapError(f"a map is of a rule such as classical or qhm:nu=0.7, got {type(rule).__name__}")
    made, fixed = read(rule, EVERY) if isinstance(rule, str) else (rule, {})
    asked = [name for name, given in wanted.items() if given is not None]
    if double := [name for name in asked if name in fixed]:
        raise MapError(f"{double[0]} is both fixed and an axis; leave it out of {shown(rule)} or of the axes")
    free = _free(made, asked, fixed)
    notes = []
    for name, default in made.parameters.items():
        if name in free or name in fixed:
            continue
        if default is inspect.Parameter.empty:
            if name not in USUAL:
                raise MapError(
                    f"{made.name} needs {name}: fix it as in {made.name}:{name}=…, or spread it with --axis {name}=lo:hi"
                )
            notes.append(f"{made.name}: {name} was not given, it is {USUAL[name]:g}")
            default = USUAL[name]
        fixed[name] = default
    return made, fixed, notes


def _free(rule: Rule, asked: list[str], fixed: Mapping[str, Any]) -> list[str]:
    """Return the two settings that a map spreads out."""
    foreign = [name for name in asked if name not in rule.parameters]
    # Gradient descent has no mu; its map is still wanted beside those of other rules.
    if unknown := [name for name in foreign if name not in ("lr", "mu") or "lr" not in rule.parameters]:
        raise MapError(
            f"{rule.name} has no {unknown[0]}; its settings are {', '.join(rule.parameters)}: spread two of them with "
            "--axis NAME=lo:hi"
        )
    if unknown := [name for name in fixed if name not in rule.parameters]:
        raise RuleError(
            f"{rule.name} has no setting {shown(unknown[0])}; its settings are {', '.join(rule.parameters)}"
        )
    others = [name for name in ("lr", "mu", *rule.parameters) if name in rule.parameters and name not in fixed]
    chosen = list(dict.fromkeys([*asked, *others]))[:2]
    chosen += ["mu"] if len(chosen) == 1 and "mu" not in rule.parameters else []
    if len(asked) > 2 or len(chosen) < 2:
        raise MapError(
            f"a map has two axes, got {', '.join(asked)}; fix the others as in {rule.name}:{asked[-1]}=…"
            if len(asked) > 2
            else f"a map has two axes, and {rule.name} has {len(chosen)} free here; leave {2 - len(chosen)} more of "
            f"{', '.join(fixed)} out of the rule"
        )
    return chosen


def axes_of(
    rule: Rule, fixed: Mapping[str, Any], wanted: Mapping[str, Any], h: Array | None, size: int
) -> tuple[Axis, Axis]:
    """Return the axes of a map, across and down; ranges that nobody gave are chosen around the stability boundary.

    Args:
        rule: whose settings.
        fixed: those that are no axis.
        wanted: ranges by name, None for those to choose.
        h: curvatures at the minimum, None if none is known.
        size: cells a side.
    """
    asked = [name for name, given in wanted.items() if given is not None]
    names = _free(rule, asked, fixed)
    given = {name: axis(name, wanted[name], size) for name in names if wanted.get(name) is not None}
    for name in sorted(set(names) - given.keys(), key=lambda name: name == "lr"):  # lr last: its range follows mu's
        given[name] = axis(name, _range(rule, name, fixed, given, h), size)
    first = "lr" if "lr" in names else next((n for n in names if n != "mu"), names[0])
    x, y = given[first], given[next(n for n in names if n != first)]
    _check_corners(rule, fixed, x, y)
    return x, y


def _range(rule: Rule, name: str, fixed: Mapping[str, Any], given: Mapping[str, Axis], h: Array | None) -> str:
    """Choose a range for a setting that nobody gave one."""
    if name == "mu":
        return f"{MOMENTA[0]}:{MOMENTA[1]}"
    if name in ("nu", "tau"):
        return "0:1" if name == "nu" else "0:0.9"
    if h is None or not (h > 0).any():
        raise MapError(
            f"no minimum is known, so no range of {name} can be chosen; write --axis {name}=lo:hi or --{name} lo:hi"
        )
    least, largest = float(h[h > 0].min()), float(h.max())
    if name in ("L", "m"):
        middle = largest if name == "L" else least
        low = max(middle / 4, least * 1.0001 if name == "L" else 0.0)
        return f"{low!r}:{middle * (4 if name == 'L' else 1)!r}:log"
    numbers = {key: value for key, value in fixed.items() if not callable(value)}
    limits = [_limit(rule, largest, {**numbers, **dict(zip(given, ends, strict=True))})
              for ends in zip(*((a.low, (a.low + a.high) / 2, a.high) for a in given.values()), strict=True)]  # fmt: skip
    limits = [limit for limit in limits if 0 < limit < math.inf] or [2 / largest]
    if max(limits) > 10 * min(limits):
        return f"{min(limits) / 50!r}:{max(limits) * WIDER!r}:log"
    return f"0:{max(limits) * WIDER!r}"


def _limit(rule: Rule, h: float, settings: Mapping[str, Any]) -> float:
    try:
        mine = {key: value for key, value in settings.items() if key in rule.parameters and key != "lr"}
        return float(algebra.limit_lr(rule, h, **mine))
    except (AlgebraError, TypeError):
        return math.nan


def _check_corners(rule: Rule, fixed: Mapping[str, Any], x: Axis, y: Axis) -> None:
    """Refuse ranges of which an end is not allowed; what is allowed is an interval, so the corners are enough."""
    for values in ((x.low, y.low), (x.high, y.low), (x.low, y.high), (x.high, y.high)):
        settings = {**fixed, **dict(zip((x.name, y.name), values, strict=True))}
        try:
            method = rule(**rule.own(settings))
            method.check({k: v for k, v in method.settings.items() if not callable(v)})
        except RuleError as error:
            ranges = f"{x.name} {x.low:g}:{x.high:g} and {y.name} {y.low:g}:{y.high:g}"
            raise MapError(f"{error}; the ranges are {ranges}") from None
