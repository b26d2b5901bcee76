"""Rows read backwards: which settings give a rule these numbers.

The formulas of a rule's row become polynomials in its settings, once per rule; their Gröbner basis is a staircase, one
setting a step, so that values are found one after the other: by division where the step is linear, else by the roots
of one polynomial. Numbers are fractions, so nothing is rounded but roots, and those only after forty digits.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

from ravine.algebra import response
from ravine.errors import ConvertError
from ravine.rules import Row, Rule
from ravine.schedules import Number

DIGITS = 40
FREE = (Fraction(0), Fraction(1), Fraction(2))  # what a setting may be that the numbers leave open, in this order

Settings = dict[str, Fraction]


class System(NamedTuple):
    """Hold what is asked of a row: the names of the given numbers, and terms that must be 0."""

    given: tuple[str, ...]
    terms: Callable[..., list[Number]]


def _response(row: Row, a: Number, b: Number, c: Number) -> list[Number]:
    A, B, C = response(row)
    return [A - a, B - b, C - c]


def _descent(row: Row, a: Number, b: Number) -> list[Number]:
    A, B, C = response(row)
    return [A - a, B - b, C - a * b]


def _any_descent(row: Row, b: Number) -> list[Number]:
    A, B, C = response(row)
    return [B - b, C - A * B]


def _memory_and_pace(row: Row, a: Number, pace: Number) -> list[Number]:
    A, B, C = response(row)
    return [A - a, C - B - pace]


def _pace(row: Row, pace: Number) -> list[Number]:
    A, B, C = response(row)
    return [C - B - pace * (1 - A)]


def _linked(row: Row, keep: Number, take: Number, c: Number, kick: Number) -> list[Number]:
    return [
        row.keep * take - row.take * keep,
        response(row).c * take - row.take * c,
        row.take * row.move + row.kick - kick,
    ]


SYSTEMS: Mapping[str, System] = {
    "response": System(("a", "b", "c"), _response),
    # Where c = a·b a pole cancels and the row is gradient descent in disguise: with its own a if that can be had, …
    "descent": System(("a", "b"), _descent),
    # … else with any.
    "any descent": System(("b",), _any_descent),
    # What comes near where nothing is equal: the same a and the same effective lr, or the latter alone.
    "memory and pace": System(("a", "pace"), _memory_and_pace),
    "pace": System(("pace",), _pace),
    # One step of a schedule; the buffer's scale has been multiplied into take.
    "linked": System(("keep", "take", "c", "kick"), _linked),
}


def settings_with(
    rule: Rule, fixed: Mapping[str, Fraction], system: str, given: Sequence[Fraction]
) -> Iterator[Settings]:
    """Yield settings of a rule, those in `fixed` as they are, whose row solves a system; each still has to be checked.

    Where there are more equations than settings each choice of equations is solved in turn, and whether the others
    hold too is for the caller to see.

    Args:
        rule: whose settings are wanted.
        fixed: settings that are chosen already.
        system: a name in `SYSTEMS`.
        given: its numbers.

    Example:
        >>> from ravine.rules import RULES
        >>> a, b, c = Fraction(9, 10), Fraction(-1, 10), Fraction(0)
        >>> next(settings_with(RULES["classical"], {}, "response", (a, b, c)))
        {'lr': Fraction(1, 10), 'mu': Fraction(9, 10)}
    """
    for staircase in staircases(rule, tuple(sorted(fixed.items())), system):
        for found in _climb(staircase, 0, {}, given):
            yield {k: fixed.get(k, found.get(k, FREE[0])) for k in rule.parameters}


class _Stair(NamedTuple):
    """Hold one step: the setting it finds, and the coefficients of its polynomial, highest power first."""

    unknown: str
    coefficients: Callable[..., list[Fraction]]  # of the given numbers and the settings found before


class _Staircase(NamedTuple):
    order: tuple[str, ...]  # in which settings are found
    stairs: tuple[_Stair, ...]


@lru_cache(maxsize=1024)
def staircases(rule: Rule, fixed: tuple[tuple[str, Fraction], ...], system: str) -> list[_Staircase]:
    """Build every staircase of a rule for a system, from each choice of as many equations as there are unknowns."""
    import sympy

    chosen = dict(fixed)
    symbols = {k: sympy.Symbol(k + "_") for k in rule.parameters if k not in chosen}
    given = [sympy.Symbol(name) for name in SYSTEMS[system].given]
    values = {**{k: sympy.Rational(v.numerator, v.denominator) for k, v in chosen.items()}, **symbols}
    try:
        terms, roots, bottoms = _polynomials(SYSTEMS[system].terms(rule.row(**values), *given))
    except (TypeError, ValueError, AttributeError) as error:  # a rule of yours that only floats can go through
        raise ConvertError(
            f"the row of {rule.name} cannot be read as formulas; write it with + - * / and ravine.rules.sqrt alone"
        ) from error
    unknowns, rest = [*symbols.values(), *roots], [sympy.numer(sympy.together(r**2 - x)) for r, x in roots.items()]
    useful = [term for term in terms if term.free_symbols & set(unknowns)]
    made = []
    for some in combinations(useful, min(len(symbols), len(useful))):
        for left_open in combinations(symbols.values(), len(symbols) - len(some)):
            for value in FREE if left_open else FREE[:1]:
                opened = [u - value.numerator for u in left_open]
                if stairs := _staircase([*some, *rest, *opened], bottoms, unknowns, given):
                    made.append(stairs)
    return made


def _polynomials(terms: Sequence[Any]) -> tuple[list[Any], dict[Any, Any], list[Any]]:
    """Return terms without fractions or roots: their numerators, a symbol for each root, and what divided them."""
    import sympy

    terms = [sympy.sympify(term) for term in terms]
    powers = sorted({p for t in terms for p in t.atoms(sympy.Pow) if not p.exp.is_integer}, key=str)
    named = {p: sympy.Symbol(f"root{i}_") for i, p in enumerate(powers)}
    quotients = [sympy.fraction(sympy.together(term.subs(named))) for term in terms]
    bottoms = sorted({f for _, below in quotients for f, _ in sympy.factor_list(below)[1]}, key=str)
    return [sympy.expand(above) for above, _ in quotients], {s: p.base for p, s in named.items()}, bottoms


def _staircase(terms: list[Any], bottoms: list[Any], unknowns: list[Any], given: list[Any]) -> _Staircase | None:
    """Return the Gröbner basis of the terms as stairs, or None where they contradict each other or leave too much open."""
    import sympy

    guard = sympy.Symbol("guard")  # guard·bottoms = 1, so that nothing is divided by 0
    field = sympy.QQ.frac_field(*given)
    basis = sympy.groebner([*terms, 1 - guard * sympy.prod(bottoms)], guard, *unknowns, domain=field, order="lex")
    stairs: dict[Any, _Stair] = {}
    for term in reversed(basis.exprs):
        first = next((u for u in (guard, *unknowns) if term.has(u)), None)
        if first is None:
            return None  # 1 = 0
        if first != guard and first not in stairs:
            after = unknowns[unknowns.index(first) + 1 :]
            powers = sympy.Poly(sympy.numer(sympy.together(term)), first).all_coeffs()
            made = sympy.lambdify([*given, *reversed(after)], powers, modules=[{}], cse=True)
            stairs[first] = _Stair(str(first).removesuffix("_"), made)
    if set(stairs) != set(unknowns):
        return None
    order = list(reversed(unknowns))
    return _Staircase(tuple(str(u).removesuffix("_") for u in order), tuple(stairs[u] for u in order))


def _climb(staircase: _Staircase, at: int, found: Settings, given: Sequence[Fraction]) -> Iterator[Settings]:
    """Yield what is found from this stair on, with each root in turn."""
    if at == len(staircase.stairs):
        yield found
        return
    stair = staircase.stairs[at]
    coefficients = [Fraction(c) for c in stair.coefficients(*given, *(found[name] for name in staircase.order[:at]))]
    for value in roots(coefficients):
        yield from _climb(staircase, at + 1, {**found, stair.unknown: value}, given)


def roots(coefficients: Sequence[Fraction]) -> Sequence[Fraction]:
    """Return the real roots of a polynomial, highest power first: exact if they are fractions, else to forty digits.

    Where every coefficient is 0 any number is a root, and those of `FREE` are returned.

    >>> roots([Fraction(2), Fraction(-3), Fraction(1)])
    [Fraction(1, 2), Fraction(1, 1)]
    """
    while coefficients and coefficients[0] == 0:
        coefficients = coefficients[1:]
    match list(coefficients):
        case []:
            return FREE
        case [_]:
            return []
        case [slope, rest]:
            return [-rest / slope]
        case [square, slope, rest]:
            inside = slope * slope - 4 * square * rest
            if inside < 0:
                return []
            root = square_root(inside)
            # The form that subtracts nothing nearly equal: one root by the sum, the other by the product of both.
            large = -(slope + root) / 2 if slope >= 0 else -(slope - root) / 2
            return sorted({large / square, rest / large}) if large else [Fraction(0)]
    return _higher(list(coefficients))


def square_root(x: Fraction) -> Fraction:
    """Return the root of a fraction, exact if it is one, else to forty digits."""
    exact = Fraction(math.isqrt(x.numerator), math.isqrt(x.denominator))
    if exact * exact == x:
        return exact
    shift = 10 ** (DIGITS + max(0, len(str(x.denominator)) - len(str(x.numerator))))
    return Fraction(math.isqrt(x.numerator * shift * shift // x.denominator), shift)


def _higher(coefficients: list[Fraction]) -> list[Fraction]:
    """Return the real roots of a polynomial of third or higher degree, by Newton's method from those in floats."""
    import numpy as np

    top = max(abs(c) for c in coefficients)
    begun = np.roots([float(c / top) for c in coefficients])
    found = {_polished(coefficients, Fraction(float(z.real))) for z in begun if abs(z.imag) <= 1e-6 * (1 + abs(z))}
    return sorted(root for root in found if root is not None)


def _polished(coefficients: list[Fraction], x: Fraction) -> Fraction | None:
    for _ in range(60):
        value, slope = Fraction(0), Fraction(0)
        for c in coefficients:
            value, slope = value * x + c, slope * x + value
        if value == 0 or slope == 0:
            break
        step = value / slope
        x = Fraction(round((x - step) * 10**DIGITS), 10**DIGITS)
        if abs(step) < Fraction(1, 10 ** (DIGITS - 5)):
            break
    else:
        return None  # two complex roots that lie near each other
    simple = x.limit_denominator(10**12)
    return simple if sum(c * simple**i for i, c in enumerate(reversed(coefficients))) == 0 else x
