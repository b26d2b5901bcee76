"""One row in another rule: the settings that make it the same, or the reason why there are none."""

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from ravine.algebra import response, same
from ravine.conversion.inverse import Settings, settings_with
from ravine.errors import ConvertError, RuleError, shown
from ravine.rules import ANY, SETTINGS, Method, Row, Rule
from ravine.schedules import Number, Steps, at, text_of

CLOSE = 1e-12  # of two numbers' size: their difference is rounding


class Link(NamedTuple):
    """Hold what becomes of a run's state: v_target = scale·v_source, x_target = x_source + shift·v_source."""

    scale: Number
    shift: Number


def exactly(value: Any) -> Fraction:
    """Return a number as a fraction; a float as the decimal number that it prints as, because that is what was meant.

    >>> exactly(0.1)
    Fraction(1, 10)
    """
    if isinstance(value, Fraction):
        return value
    try:
        return Fraction(int(value)) if float(value).is_integer() else Fraction(repr(float(value)))
    except (TypeError, ValueError, OverflowError):
        raise ConvertError(f"a setting to convert is a finite number or a schedule, got {shown(value)}") from None


def as_float(x: Fraction) -> float:
    """Return a fraction as a float, infinite where it is too large for one."""
    try:
        return float(x)
    except OverflowError:
        return math.inf if x > 0 else -math.inf


def exact_row(rule: Rule, settings: Mapping[str, Fraction]) -> Row | None:
    """Return the row as fractions, or None where its formulas divide by zero."""
    try:
        return Row(*(Fraction(cell) for cell in rule.row(**settings)))
    except (ZeroDivisionError, ValueError, TypeError, OverflowError):  # a root of less than nothing is complex
        return None


def row_at(method: Method, t: Steps) -> Row:
    """Return a method's row at a step as fractions; raises `RuleError` where a schedule leaves the allowed range."""
    method.row(t)
    row = exact_row(method.rule, {key: exactly(at(value, t)) for key, value in method.settings.items()})
    assert row is not None
    return row


def close(p: Number, q: Number) -> bool:
    """Say whether two numbers differ by rounding at most."""
    return bool(abs(p - q) <= CLOSE * max(abs(p), abs(q)))


def descends(row: Row) -> bool:
    """Say whether a pole cancels, c = a·b, so that the row is gradient descent in disguise."""
    a, b, c = response(row)
    return _near(c, a * b, max(abs(b), abs(c)))


def link(source: Row, target: Row) -> Link:
    """Return how the state of one row becomes that of another with the same response."""
    # Where a pole cancels nothing that is asked for depends on the buffer, and the two need not keep the same of it.
    alike = close(source.keep, target.keep) and source.take != 0
    scale = target.take / source.take if alike else Fraction(0)
    return joined(source, target, scale)


def joined(source: Row, target: Row, scale: Number) -> Link:
    """Return the link whose scale is known: both look ahead to the same point."""
    ahead = target.look * scale
    return Link(scale, Fraction(0) if close(source.look, ahead) else source.look - ahead)


def equal_settings(rule: Rule, fixed: Mapping[str, Fraction], row: Row, whose: str) -> tuple[Settings, Row]:
    """Return the settings for which a rule asks for the same gradients as a row, step for step, and its row there.

    Args:
        rule: the target.
        fixed: those of its settings that are chosen already.
        row: the source, as fractions.
        whose: the source's name, for an error.

    Raises:
        ConvertError: there are none, with the reason and the nearest.
    """
    a, b, c = response(row)
    systems: list[tuple[str, tuple[Fraction, ...]]] = [("response", (a, b, c))]
    if descends(row):
        systems += [("descent", (a, b)), ("any descent", (b,))]
    outside = ""
    for system, given in systems:
        for found in _distinct(settings_with(rule, fixed, system, given)):
            made = exact_row(rule, found)
            if made is not None and _agree(made, row):
                if why := out_of_range(rule, found):
                    outside = outside or why
                else:
                    return found, made
    name = rule.name
    if outside:
        raise ConvertError(f"{whose} has no equal in {name}: {outside}; choose other settings, or convert to qhm")
    raise ConvertError(f"{whose} has no equal in {name}: {_difference(rule, fixed, row)}")


def out_of_range(rule: Rule, settings: Settings) -> str:
    """Say which setting is not allowed, or return nothing."""
    numbers = {key: as_float(value) for key, value in settings.items()}
    for key, value in numbers.items():
        setting = SETTINGS.get(key, ANY)
        if not (math.isfinite(value) and setting.allowed(value)):
            return f"{key} would be {text_of(value)}, and it must be {setting.sentence}"
    try:
        rule(**numbers)
    except RuleError as error:
        return str(error).removeprefix(f"{rule.name}: ").replace("; ", ", so ")
    return ""


def _distinct(candidates: Iterator[Settings]) -> Iterator[Settings]:
    seen: list[Settings] = []
    for found in candidates:
        if found not in seen:
            seen.append(found)
            yield found


def _agree(one: Row, other: Row) -> bool:
    """Say whether two rows are the same but for rounding, which `same` takes by the response's size here."""
    if same(one, other):
        return True
    (a, b, c), (A, B, C) = response(one), response(other)
    size = max(abs(b), abs(c), abs(B), abs(C))
    return all(_near(p, q, size) for p, q in ((b, B), (c + b * A, C + B * a), (c * A, C * a)))


def _near(p: Number, q: Number, size: Number) -> bool:
    return bool(abs(p - q) <= CLOSE * size)


def _difference(rule: Rule, fixed: Mapping[str, Fraction], row: Row) -> str:
    """Say in which number of the response the nearest settings differ; nearest has the same a and effective lr."""
    a, b, c = response(row)
    tries: list[tuple[str, tuple[Fraction, ...]]] = (
        [("memory and pace", (a, c - b))] if len(rule.parameters) - len(fixed) < 3 else []
    )
    if tries and a != 1:
        tries.append(("pace", ((c - b) / (1 - a),)))
    for system, given in tries:
        for found in settings_with(rule, fixed, system, given):
            made = exact_row(rule, found)
            if made is None or out_of_range(rule, found) or not _keep_pace(made, row):
                continue
            for letter, p, q in zip("acb", (a, c, b), (response(made)[i] for i in (0, 2, 1)), strict=True):
                if not _near(p, q, max(1 if letter == "a" else abs(b), abs(p))):
                    return _told(rule, found, letter, p, q)
    numbers = f"a = {_short(a)}, b = {_short(b)}, c = {_short(c)}"
    return f"no settings of it give {numbers}, for some of them would be infinite or 0/0; convert to qhm instead"


def _keep_pace(one: Row, other: Row) -> bool:
    """Say whether two rows have the same effective lr, (c - b)/(1 - a), cross-multiplied."""
    (a, b, c), (A, B, C) = response(one), response(other)
    return close((c - b) * (1 - A), (C - B) * (1 - a))


def _told(rule: Rule, found: Settings, letter: str, p: Number, q: Number) -> str:
    shared = "effective lr" if letter == "a" else "a and effective lr"
    reason = f", because {rule.name} has no mu" if letter == "a" and q == 0 else ""
    near = ",".join(f"{key}={_short(value)}" for key, value in found.items() if value != rule.parameters[key])
    return (
        f"its {letter} is {_short(p)}, where {rule.name}:{near}, the nearest, with the same {shared}, has {_short(q)}{reason}; "
        f"use that as something near, or convert to qhm"
    )


def _short(x: Number) -> str:
    return f"{as_float(x):.6g}"
