"""Which rules of the table it is: each is asked for its settings, and rehearsed by the one stepper.

A rule matches if its rows, run with the very gradients that the optimizer got, put the parameters where it put them,
also when a setting was changed in the middle.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ravine.algebra import Response, response
from ravine.charts import EVERY
from ravine.conversion.equal import exact_row, exactly, out_of_range
from ravine.conversion.inverse import settings_with
from ravine.probing.identify import Decay
from ravine.rules import Method, Row, Rule
from ravine.stepper import step
from ravine.surfaces.interface import Array

LETTERS = {"lr": "lr", "learning_rate": "lr", "momentum": "mu", "decay": "mu", "beta": "mu", "dampening": "tau"}
NEAR = 1e-7  # of a number of the response, by which a rule's may differ before it is rehearsed
DIGITS = range(1, 13)


class Answer(NamedTuple):
    """Hold gradients, one for each coordinate at each step, and the stored points of a rule or of an optimizer."""

    gradients: Array  # (steps, n)
    points: Array  # (steps + 1, n)


def candidates(wanted: Response, asked: Mapping[str, Any], tolerance: float) -> list[Method]:
    """Return every rule of the table and the charts that has this response but for rounding, with its settings.

    Args:
        wanted: a, b, c.
        asked: the settings of the optimizer, by their own names; those that fit are taken as they are.
        tolerance: of what was measured.
    """
    near = max(NEAR, 10 * tolerance)
    tries = (_with_asked(rule, wanted, asked, near) or _solved(rule, wanted, asked, near) for rule in EVERY.values())
    return [method for method in tries if method is not None]


def as_asked(method: Method, asked: Mapping[str, Any]) -> bool:
    """Say whether a method has the settings that were asked for, and some were."""
    known = own(method.rule, asked)
    return bool(known) and all(abs(float(method.settings[k]) - v) <= 1e-9 * abs(v) for k, v in known.items())  # type: ignore[arg-type]


def _with_asked(rule: Rule, wanted: Response, asked: Mapping[str, Any], near: float) -> Method | None:
    """Return the rule with the settings that were asked for, if that is what was seen."""
    given = own(rule, asked)
    needed = {k for k, d in rule.parameters.items() if not isinstance(d, int | float)}
    if not needed <= given.keys() or out_of_range(rule, {**_defaults(rule), **given}):
        return None
    method = rule(**{k: float(v) for k, v in given.items()})
    return method if _near(response(_floats(method.row())), wanted, near) else None


def _solved(rule: Rule, wanted: Response, asked: Mapping[str, Any], near: float) -> Method | None:
    known = own(rule, asked)
    fixed = {**_defaults(rule), **{k: v for k, v in known.items() if k in _defaults(rule)}}
    systems: list[tuple[str, tuple[float, ...]]] = [("response", tuple(wanted))]
    if wanted.a == 0 and wanted.c == 0:
        systems.append(("any descent", (wanted.b,)))
    for system, given in systems:
        numbers = [exactly(float(x)) for x in given]
        for settings in settings_with(rule, fixed, system, numbers):
            if method := _checked(rule, settings, wanted, near):
                return method
    return None


def _checked(rule: Rule, settings: Mapping[str, Fraction], wanted: Response, near: float) -> Method | None:
    """Return the method, with short numbers where they say the same, or None if it is not what was seen."""
    for words in (_tidy(settings, near / 100), _tidy(settings, 1e-13)):
        if exact_row(rule, words) is None or out_of_range(rule, words):
            continue
        method = rule(**{k: float(v) for k, v in words.items()})
        if _near(response(_floats(method.row())), wanted, near):
            return method
    return None


def _near(one: Response, other: Response, near: float) -> bool:
    size = max(abs(other.b), abs(other.c))
    sizes = (1.0, size, size)
    return all(abs(p - q) <= near * s for p, q, s in zip(one, other, sizes, strict=True))


def _tidy(settings: Mapping[str, Fraction], near: float) -> dict[str, Fraction]:
    """Return settings with as few digits as say the same but for rounding."""
    return {key: exactly(tidy(float(value), near)) for key, value in settings.items()}


def tidy(x: float, near: float = 1e-9) -> float:
    """Return the shortest decimal number within so small a part of x, and 0 for what is no more than rounding.

    >>> tidy(0.09999999999987)
    0.1
    """
    if abs(x) < 1e-12:
        return 0.0
    return next((short for d in DIGITS if abs((short := float(f"{x:.{d}g}")) - x) <= near * abs(x)), x)


def own(rule: Rule, asked: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return those settings of an optimizer that are settings of a rule, by the rule's letters."""
    named = {letter(key, rule, asked): value for key, value in asked.items()}
    numbers = {k: v for k, v in named.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {k: exactly(v) for k, v in numbers.items() if k in rule.parameters and abs(v) < float("inf")}


def letter(key: str, rule: Rule, keys: Mapping[str, Any] | frozenset[str]) -> str:
    """Return a rule's letter for a setting of an optimizer; a step size under another letter is its lr."""
    plain = LETTERS.get(key, key)
    if plain == "lr" and "lr" not in rule.parameters:
        return next((k for k in ("alpha", "delta") if k in rule.parameters and k not in keys), plain)
    return plain


def _defaults(rule: Rule) -> dict[str, Fraction]:
    return {k: exactly(d) for k, d in rule.parameters.items() if isinstance(d, int | float)}


def _floats(row: Row) -> Row:
    return Row(*map(float, row))


# Rehearsals ------------------------------------------------------------------------------------------------------


def rehearse(rows: Sequence[Row], gradients: Array, decay: Decay, shrinks: Sequence[float], x0: Array) -> Array:
    """Return the points that a rule stores, (steps + 1, n): y = x + look·v, with the look that was known by then.

    Args:
        rows: one a step.
        gradients: (steps, n), given and not asked for.
        decay: adds itself to the gradient, times the stored point.
        shrinks: by what x is multiplied, one a step.
        x0: the start, (n,).
    """
    x, v, stored = x0[:, None], np.zeros((len(x0), 1)), [x0]
    for row, g, shrink in zip(rows, gradients, shrinks, strict=True):
        given = (g + decay.coupled * stored[-1])[:, None]

        def slopes(at: Array, out: Array, given: Array = given) -> None:
            out[...] = given

        x_next, v_next, space = np.empty_like(x), np.empty_like(v), np.empty_like(v)
        step(row, x, v, slopes, x_next, v_next, space)
        x, v = x_next + (shrink - 1) * x, v_next
        stored.append((x + row.look * v)[:, 0])
    return np.array(stored)


def changed(method: Method, settings: Mapping[str, float]) -> Row | None:
    """Return the row after some settings were multiplied by factors, None where its formulas cannot take them."""
    values = {k: float(v) * settings.get(k, 1.0) for k, v in method.settings.items()}  # type: ignore[arg-type]
    try:
        return _floats(method.rule.row(**values))
    except (ZeroDivisionError, ValueError, TypeError, OverflowError):
        return None


def each(methods: Sequence[Method]) -> Iterator[tuple[Method, Row]]:
    """Yield methods with their rows as floats."""
    for method in methods:
        yield method, _floats(method.row())
