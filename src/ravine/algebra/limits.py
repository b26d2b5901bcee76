"""Where a rule stops being stable, and where its poles meet."""

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise

import numpy as np

from ravine.algebra.direction import bounds, discriminant, response
from ravine.algebra.kinds import positive, vanishes
from ravine.errors import AlgebraError
from ravine.rules import Row, Rule, find, sqrt
from ravine.schedules import Number


def limit_h(row: Row) -> Number:
    """Return the curvature below which a row is stable (0 where no curvature is, infinity where all are).

    Stable means |a + hc| < 1 and |1 + a + hb| < 1 + a + hc; each bound is linear in h, so the limit is the least of
    three quotients. Exact on fractions; on symbols where signs can be decided. Arrays give an array.
    """
    if any(getattr(cell, "shape", ()) for cell in row):
        rows = np.broadcast_arrays(*row)
        each = [limit_h(Row(*map(float, cells))) for cells in zip(*(r.ravel() for r in rows), strict=True)]
        return np.array(each, float).reshape(rows[0].shape)
    a, b, c = response(row)
    if not positive(c - b):
        return 0
    bounds = []
    if positive(c):
        bounds.append((1 - a) / c)
    if positive(-c):
        bounds.append((1 + a) / -c)
    if positive(-(b + c)):
        bounds.append(2 * (1 + a) / -(b + c))
    least = bounds[0] if bounds else math.inf
    for bound in bounds[1:]:
        least = bound if positive(least - bound) else least
    return least


def limit_lr(rule: Rule | str, h: Number, **settings: Number) -> Number:
    """Return the learning rate below which a rule is stable for the curvature h.

    >>> limit_lr("heavyball", 100, mu=Fraction(9, 10)), limit_lr("nag", 100, mu=Fraction(9, 10))
    (Fraction(19, 500), Fraction(19, 1400))

    Source: sgd 2/h, heavyball 2(1+mu)/h (Goh 2017), nag and nesterov 2(1+mu)/((1+2mu)h), ema 2(1+mu)/((1-mu)h).
    """
    rule = find(rule) if isinstance(rule, str) else rule
    if "lr" not in rule.parameters:
        raise AlgebraError(f"{rule.name} has no lr; its settings are {', '.join(rule.parameters)}")
    unit = 1.0 if any(getattr(x, "shape", ()) for x in settings.values()) else Fraction(1)  # 1 / 1 would be a float
    found = lr_below(lambda lr: rule.row(lr=lr, **settings), h, unit)
    if found is None:
        raise AlgebraError(f"{rule.name} does not step in proportion to lr, so its limit in lr has no closed form")
    return found


def lr_below(row_of: Callable[[Number], Row], h: Number, unit: Number) -> Number | None:
    """Return the learning rate below which the rows of a rule are stable, None where they are not in proportion to it."""
    _, b, c = response(row_of(unit))
    _, twice_b, twice_c = response(row_of(2 * unit))
    if not (vanishes(twice_b - 2 * b) and vanishes(twice_c - 2 * c)):
        return None
    return limit_h(row_of(unit)) / h


def limit_mu(rule: Rule | str, h: float, **settings: float) -> tuple[float, float] | None:
    """Return between which momenta a rule is stable for the curvature h, within [0, 1]; None where for none.

    Trace and determinant are at most quadratic in mu for every rule of the table, so three values of each of the three
    stability bounds give its roots.

    Args:
        rule: a rule with a mu, or its name.
        h: curvature, gradient per length.
        settings: all others, such as lr=0.03.

    Returns:
        The ends of the interval; (0, 1) where mu may be anything.

    Example:
        >>> limit_mu("heavyball", 100.0, lr=0.03)  # above lr·h/2 - 1
        (0.5, 1.0)
        >>> limit_mu("nag", 100.0, lr=0.015)[1]  # below (2 - lr·h)/(2·lr·h - 2)
        0.5
    """
    rule = find(rule) if isinstance(rule, str) else rule
    if "mu" not in rule.parameters:
        raise AlgebraError(f"{rule.name} has no mu; its settings are {', '.join(rule.parameters)}")
    return mu_between(lambda mu: rule.row(mu=mu, **settings), h)


def mu_between(row_of: Callable[[float], Row], h: float) -> tuple[float, float] | None:
    """Return between which momenta the rows of a rule are stable, None where for none."""
    cuts = [0.0, 1.0]
    for zero, half, one in zip(*(bounds(row_of(mu), h) for mu in (0.0, 0.5, 1.0)), strict=True):
        square, slope, last = _quadratic(zero, half, one)
        cuts += [mu for mu in _roots(float(square), float(slope), float(last)) if 0 < mu < 1]
    ends = sorted(set(cuts))
    pieces = [(low, high) for low, high in pairwise(ends) if min(bounds(row_of((low + high) / 2), h)) > 0]
    return (pieces[0][0], pieces[-1][1]) if pieces else None


def critical_mu(rule: Rule | str, lr: Number, h: Number, **settings: Number) -> Number:
    """Return the momentum at which the poles along a direction of curvature h meet; NaN where they never do.

    The discriminant is a quadratic in mu for every rule of the table, so three values of it give the root:
    (1 - √(lr·h))² for heavyball and classical, (1 - √(lr·h))/(1 + √(lr·h)) for nag and nesterov.

    >>> critical_mu("heavyball", Fraction(1, 100), 25)
    Fraction(1, 4)
    """
    rule = find(rule) if isinstance(rule, str) else rule
    if "mu" not in rule.parameters:
        raise AlgebraError(f"{rule.name} has no mu; its settings are {', '.join(rule.parameters)}")

    middle = Fraction(1, 2) if isinstance(lr * h, Fraction | int) else 0.5
    three = _quadratic(*(discriminant(rule.row(lr=lr, mu=mu, **settings), h) for mu in (0, middle, 1)))
    each = np.broadcast_arrays(*three) if any(getattr(number, "shape", ()) for number in three) else ()
    if not each:
        return _least_root(*three)
    roots = [_least_root(*map(float, cells)) for cells in zip(*(c.ravel() for c in each), strict=True)]
    return np.array(roots).reshape(each[0].shape)


def critical(row_of: Callable[[float], Row], h: float) -> float:
    """Return the momentum from 0 to below 1 at which the poles of a rule's rows of floats meet, or NaN."""
    return float(_least_root(*_quadratic(*(discriminant(row_of(mu), h) for mu in (0.0, 0.5, 1.0)))))


def _quadratic(zero: Number, half: Number, one: Number) -> tuple[Number, Number, Number]:
    """Return the coefficients of a quadratic in mu, the highest first, by its values at 0, 1/2 and 1."""
    square = 2 * (zero - 2 * half + one)
    return square, one - zero - square, zero


def _least_root(square: Number, slope: Number, last: Number) -> Number:
    """Return the least root from 0 to below 1 of square·mu² + slope·mu + last, or NaN."""
    if last == 0:
        return last  # the poles meet at mu = 0, as with lr·h = 1
    return min((mu for mu in _roots(square, slope, last) if 0 <= mu < 1), default=math.nan)


def _roots(square: Number, slope: Number, last: Number) -> list[Number]:
    """Return the real roots of square·z² + slope·z + last, up to two."""
    inside = slope * slope - 4 * square * last  # a float's power would raise where its product is infinite
    if inside < 0:
        return []
    # The form that subtracts nothing nearly equal: one root by the sum, the other by the product of both.
    large = -(slope + sqrt(inside)) / 2 if slope >= 0 else -(slope - sqrt(inside)) / 2
    return [*([large / square] if square != 0 else []), *([last / large] if large != 0 else [])]
