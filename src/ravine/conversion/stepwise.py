"""Under a schedule: the target's settings step by step, so that the same gradients are asked for.

Two rules whose rows change with the step ask for the same gradients if their buffers differ by a scale s_t alone, once
both are written without looking ahead (`plain`). With c = take·look + keep·kick that is, for every step t,

    keep' / take' = keep_t / (take_t·s_t)        c' / take' = c_t / (take_t·s_t)        s_(t+1) = take' / take_t
    take'·(move' + look'_(t+1)) + kick' = take_t·(move_t + look_(t+1)) + kick_t

for the target's row (with dashes). The last line knows the next look, which for a target without kick is
c_(t+1) / (take_(t+1)·s_(t+1)), so that it can be solved for the settings of step t alone.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from ravine.algebra import response
from ravine.conversion.equal import Link, close, equal_settings, exact_row, joined, link, out_of_range
from ravine.conversion.inverse import DIGITS, Settings, settings_with
from ravine.errors import ConvertError
from ravine.rules import Row, Rule


class Carried(NamedTuple):
    """Hold a converted schedule: the target's settings and the link at every step."""

    settings: list[Settings]
    links: list[Link]


class _NoSettings(Exception):
    """Nothing at this step continues the run exactly."""


def carry(rule: Rule, fixed: Mapping[str, Fraction], rows: Sequence[Row], whose: str) -> Carried | None:
    """Return the target's settings at each step so that the run is exactly the source's, or None if there are none.

    Args:
        rule: the target.
        fixed: those of its settings that are chosen already, at every step.
        rows: the source's, as fractions, one more than steps are converted.
        whose: the source's name, for an error.

    Raises:
        ConvertError: the settings exist and are not allowed, naming the step.
    """
    found: list[Settings] = []
    links: list[Link] = []
    s: Fraction | None = _first_scale(rule, fixed, rows[0], whose)
    empty = True  # whether the source's buffer still is
    for t, (row, after) in enumerate(pairwise(rows)):
        if s == 0 and not empty and row.keep != 0 and _goes_on(row):
            return None  # the target has forgotten what the source still knows, and needs here
        try:
            settings, made = _settings(rule, fixed, row, after, s, empty, whose, t)
        except _NoSettings:
            return None
        found.append(settings)
        links.append(joined(row, made, s or Fraction(0)))
        s, empty = _next_scale(row, made, s, empty)
    return Carried(found, links)


def each_alone(rule: Rule, fixed: Mapping[str, Fraction], rows: Sequence[Row], whose: str) -> Carried:
    """Return the target's settings at each step as if that step's row were there for good.

    Raises `ConvertError` where a step's row has no equal, naming the step.
    """
    known: dict[Row, tuple[Settings, Row]] = {}
    links: list[Link] = []
    for t, (row, before) in enumerate(zip(rows, [rows[0], *rows], strict=False)):
        if row not in known:
            known[row] = equal_settings(rule, fixed, row, f"step {t} of {whose}")
        scale = link(before, known[before][1]).scale  # of what the buffer took in at the step before
        links.append(joined(row, known[row][1], scale))
    return Carried([known[row][0] for row in rows], links)


def _first_scale(rule: Rule, fixed: Mapping[str, Fraction], row: Row, whose: str) -> Fraction:
    """Return the scale at the first step: free, because the buffer is empty, and so that of constant settings."""
    _, made = equal_settings(rule, fixed, row, f"step 0 of {whose}")
    scale = link(row, made).scale
    return Fraction(scale) if scale else Fraction(1)


def _settings(
    rule: Rule, fixed: Mapping[str, Fraction], row: Row, after: Row, s: Fraction | None, empty: bool, whose: str, t: int
) -> tuple[Settings, Row]:
    """Return the target's settings and row at one step; s is None where only the target's buffer holds anything."""
    if row.take == 0:
        alone, made = equal_settings(rule, fixed, row, f"step {t} of {whose}")
        if (made.take != 0 and not empty) or (s is None and made.keep != 0):
            raise _NoSettings
        return alone, made
    given = _given(rule, row, after, s)
    outside = ""
    for found in settings_with(rule, fixed, "linked", given):
        row_there = exact_row(rule, found)
        if row_there is None or not _linked(row_there, given):
            continue
        why = out_of_range(rule, found)
        if not why:
            return found, row_there
        outside = outside or why
    if outside:
        raise ConvertError(
            f"{whose} has no equal in {rule.name}: at step {t} {outside}; "
            f"let lr and mu change more slowly, or convert fewer steps"
        )
    raise _NoSettings


def _given(rule: Rule, row: Row, after: Row, s: Fraction | None) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Return what the target's keep, take, c and kick must be like at this step."""
    looks = _looks(rule)
    kick = row.take * row.move + row.kick
    if looks and after.kick != 0:
        if after.take == 0:
            raise _NoSettings
        kick -= row.take * after.keep * after.kick / after.take
    elif not looks:
        kick += row.take * after.look
    if s is None:
        return Fraction(0), Fraction(1), Fraction(0), kick
    return row.keep, row.take * s, response(row).c, kick


def _goes_on(row: Row) -> bool:
    """Say whether a row moves its point or looks ahead: where lr is 0 it does neither, whatever its buffer holds."""
    return any((row.move, row.kick, row.look))


@lru_cache(maxsize=256)
def _looks(rule: Rule) -> bool:
    """Say whether a rule looks ahead; those of ours that do have no kick."""
    import sympy

    row = rule.row(**{key: sympy.Symbol(key) for key in rule.parameters})
    return bool(row.look != 0)


def _linked(made: Row, given: tuple[Fraction, Fraction, Fraction, Fraction]) -> bool:
    keep, take, c, kick = given
    return (
        close(made.keep * take, made.take * keep)
        and close(response(made).c * take, made.take * c)
        and close(made.take * made.move + made.kick, kick)
    )


def _next_scale(row: Row, made: Row, s: Fraction | None, empty: bool) -> tuple[Fraction | None, bool]:
    """Return the scale after a step, and whether the source's buffer is still empty."""
    if row.take != 0:
        return _rounded(made.take / row.take), False
    if empty or row.keep == 0:
        return (Fraction(1) if made.take == 0 else None), True
    assert s is not None
    return _rounded(made.keep * s / row.keep), False


def _rounded(s: Fraction) -> Fraction:
    """Return a scale with at most forty digits, because each step would add sixteen."""
    if s == 0 or len(str(s.denominator)) <= DIGITS:
        return s
    digits = DIGITS + max(0, len(str(s.denominator)) - len(str(abs(s.numerator))))
    return Fraction(round(s * 10**digits), 10**digits)
