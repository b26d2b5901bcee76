"""What a row does along one eigen-direction: its matrix, poles, rate and regime.

Along an eigen-direction with curvature h the pair (x, v) is multiplied, step after step, by one 2x2 matrix M(h) with

    a = keep    b = take·(move + look) + kick    c = take·look + keep·kick
    trace = 1 + a + h·b        determinant = a + h·c        (z - 1)(z - a) = h·(b·z - c) for its eigenvalues, the poles
"""

import cmath
import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ravine.rules import Row, sqrt
from ravine.schedules import Number


class Response(NamedTuple):
    """Hold the three numbers that decide how a row answers a gradient."""

    a: Number  # no unit
    b: Number  # length per gradient
    c: Number  # length per gradient


def response(row: Row) -> Response:
    """Return (a, b, c) of a row.

    >>> response(Row(keep=0.9, take=1, move=-0.1, kick=0, look=0))
    Response(a=0.9, b=-0.1, c=0.0)
    """
    keep, take, move, kick, look = row
    return Response(keep, take * (move + look) + kick, take * look + keep * kick)


def step_matrix(row: Row, h: Number) -> tuple[tuple[Number, Number], tuple[Number, Number]]:
    """Return M(h) with (x', v') = M(h)·(x, v), row by row; each entry is a number like those that came in."""
    keep, take, move, kick, look = row
    x_to_v, v_to_v = h * take, keep + h * take * look
    return (1 + move * x_to_v + h * kick, move * v_to_v + h * kick * look), (x_to_v, v_to_v)


def discriminant(row: Row, h: Number) -> Number:
    """Return trace² - 4·determinant of M(h): negative for complex poles, zero at critical damping."""
    a, b, c = response(row)
    # Multiplied out, because trace² and 4·determinant nearly cancel where mu is near 1 and h is small.
    forget, push = 1 - a, h * b  # squared as products: a float's power would raise where its product is infinite
    return forget * forget + 2 * h * ((1 + a) * b - 2 * c) + push * push


def poles(row: Row, h: Number) -> tuple[Number, Number]:
    """Return both eigenvalues of M(h), complex where they must be; exact on fractions with rational roots."""
    a, b, _ = response(row)
    trace, square = 1 + a + h * b, discriminant(row, h)
    if isinstance(square, np.ndarray):
        root = np.sqrt(square.astype(complex))
    elif isinstance(square, float | int | Fraction) and square < 0:
        root = cmath.sqrt(square)
        trace = float(trace)
    else:
        root = sqrt(square)
    return (trace + root) / 2, (trace - root) / 2


def leading(row: Row, h: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return both poles of a row of floats as real and imaginary parts, the larger one first.

    >>> leading(Row(keep=0.25, take=1.0, move=-0.01, kick=0.0, look=0.0), 100.0)
    ((0.125, 0.4841229182759271), (0.125, -0.4841229182759271))
    """
    a, b, _ = response(row)
    trace, square = 1 + a + h * b, discriminant(row, h)
    root = math.sqrt(abs(square))
    if square < 0:
        return (trace / 2, root / 2), (trace / 2, -root / 2)
    first, second = (trace + root) / 2, (trace - root) / 2
    if abs(first) < abs(second):
        return (second, 0.0), (first, 0.0)
    return (first, 0.0), (second, 0.0)


def radius(row: Row, h: float) -> float:
    """Return the rate of a row of floats; `rate` takes arrays and other numbers too."""
    a, b, c = response(row)
    return _larger(discriminant(row, h), 1 + a + h * b, a + h * c)


def _larger(square: float, trace: float, determinant: float) -> float:
    """Return the larger |pole|, by the discriminant, the trace and the determinant."""
    return math.sqrt(max(determinant, 0.0)) if square < 0 else (abs(trace) + math.sqrt(square)) / 2


def rate(row: Row, h: Number) -> Any:
    """Return the factor by which the error shrinks per step in the long run, the larger |pole|; below 1 it converges.

    Args:
        row: floats, or arrays that broadcast with `h`.
        h: curvature, gradient per length; a number or an array.

    Returns:
        A float, or an array of the broadcast shape. Over a spectrum the rate is the maximum of these.

    Example:
        >>> from ravine.rules import RULES
        >>> round(rate(RULES["heavyball"].row(lr=0.01, mu=0.9), 100.0), 6)
        0.948683

    Source: the spectral radius of M(h); Goh 2017 prints 2·√mu for complex poles, which is √mu.
    """
    cells = [np.asarray(cell, float) if getattr(cell, "shape", ()) else float(cell) for cell in row]
    floats = Row(*cells)
    a, b, c = response(floats)
    h = np.asarray(h, float) if getattr(h, "shape", ()) or isinstance(h, list | tuple) else float(h)
    square, trace, determinant = discriminant(floats, h), 1 + a + h * b, a + h * c
    if isinstance(square, float):  # without arrays, because a search asks a million times
        return _larger(square, trace, determinant)
    real = (abs(trace) + np.sqrt(np.maximum(square, 0))) / 2
    return np.where(square < 0, np.sqrt(np.maximum(determinant, 0)), real)


CRITICAL = 1e-12  # a discriminant this small is rounding: its poles differ by less than 1e-6


def regime(row: Row, h: float) -> str:
    """Say how the error moves along a direction: monotone, critical, ripples, oscillating or diverging.

    Ripples are complex poles; oscillating means that a negative pole leads, so that the side changes at every step;
    critical is where two real poles meet and become complex. Diverging includes staying forever (a rate of 1).

    >>> from ravine.rules import RULES
    >>> regime(RULES["heavyball"].row(lr=0.01, mu=0.9), 100.0)
    'ripples'
    """
    if rate(row, h) >= 1:
        return "diverging"
    square = float(discriminant(row, h))
    if abs(square) <= CRITICAL:
        return "critical"
    if square < 0:
        return "ripples"
    a, b, _ = response(row)
    return "monotone" if 1 + a + h * b >= 0 else "oscillating"


def bounds(row: Row, h: Number) -> tuple[Number, Number, Number]:
    """Return 1 - determinant, 1 + trace + determinant and 1 - trace + determinant of M(h): all positive if stable."""
    a, b, c = response(row)
    return 1 - a - h * c, 2 * (1 + a) + h * (b + c), h * (c - b)


def margin(row: Row, h: Number) -> Any:
    """Return how far M(h) is from instability: positive where it is stable, 0 on the boundary.

        min(1 - determinant, 1 + trace + determinant, 1 - trace + determinant), each linear in h and in b and c

    Args:
        row: numbers, or arrays that broadcast with `h`.
        h: curvature, gradient per length; a number or an array.

    Returns:
        A number like those that came in, or an array of the broadcast shape: its zeros are the stability boundary.

    Example:
        >>> from ravine.rules import RULES
        >>> margin(RULES["heavyball"].row(lr=Fraction(19, 500), mu=Fraction(9, 10)), 100)
        Fraction(0, 1)

    Source: Jury's conditions for a polynomial of degree two.
    """
    three = bounds(row, h)
    if any(getattr(bound, "shape", ()) for bound in three):
        return np.minimum(np.minimum(three[0], three[1]), three[2])
    return min(three)


def effective_lr(row: Row) -> Number:
    """Return the step per gradient when the gradient stays the same: (c - b)/(1 - a), so lr/(1 - mu) for classical."""
    a, b, c = response(row)
    forget = 1 - a
    if not getattr(forget, "shape", ()) and forget == 0:  # a buffer that forgets nothing
        return math.copysign(math.inf, c - b) if c != b else 0
    return (c - b) / forget
