"""What noise on the gradient leaves: g = h·y + ξ with Var ξ = σ² at every step.

    (x, v)' = M (x, v) + n ξ    n = (kick + move·take, take)    Σ' = M Σ Mᵀ + σ² n nᵀ

At constant settings Σ has a fixed point, and ½·h·Σ_xx is the noise floor: the loss that stays. Its closed form takes
any number type.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ravine.algebra.direction import bounds, margin, response, step_matrix
from ravine.algebra.products import doubled, matrices, rows_at, states
from ravine.rules import Method, Row
from ravine.schedules import Number

Array = NDArray[Any]


class Covariance(NamedTuple):
    """Hold Σ, the covariance of position and velocity along one direction."""

    xx: Number  # length²
    xv: Number  # length times buffer
    vv: Number  # buffer²


def covariance(row: Row, h: Number, sigma: Number = 1) -> Covariance:
    """Return the Σ that noise leaves along a direction: the solution of Σ = M Σ Mᵀ + σ² n nᵀ.

    With T, D the trace and determinant of M, noise reaches x as (p·z + q)/(z² - T·z + D), v likewise, so that

        Σ_12 = σ² ((p₁p₂ + q₁q₂)(1 + D) + (p₁q₂ + q₁p₂) T) / ((1 - D)(1 + D - T)(1 + D + T))
        x: p = kick + move·take, q = -keep·kick        v: p = take, q = -take

    Args:
        row: numbers of any kind; floats may be arrays.
        h: curvature, gradient per length.
        sigma: standard deviation of the noise on the gradient.

    Returns:
        Its three entries. They mean something only where `margin(row, h)` is positive.

    Example:
        >>> from fractions import Fraction
        >>> covariance(Row(0, 1, Fraction(-1, 10), 0, 0), 2).xx
        Fraction(1, 36)

    Source: the variance of an ARMA(2, 1) process, Box & Jenkins 1970, chapter 3.
    """
    keep, take, move, kick, _ = row
    a, b, c = response(row)
    T, D = 1 + a + h * b, a + h * c
    x, v = (kick + move * take, -keep * kick), (take, -take)
    damped, above, below = bounds(row, h)
    each = (
        (one[0] * two[0] + one[1] * two[1], one[0] * two[1] + one[1] * two[0]) for one, two in ((x, x), (x, v), (v, v))
    )
    rest = damped * above * below
    return Covariance(*(sigma * sigma * (direct * (1 + D) + crossed * T) / rest for direct, crossed in each))


def noise_floor(row: Row, h: float, sigma: float = 1.0) -> float:
    """Return the expected loss above the minimum that noise leaves along a direction, ½·h·Σ_xx.

    Infinite where the row is not stable; 0 along a flat direction, where moving costs nothing.

    >>> from ravine.rules import RULES
    >>> round(noise_floor(RULES["sgd"].row(lr=0.1), 2.0), 10)  # σ²·lr/(2·(2 - lr·h))
    0.0277777778
    """
    if h == 0:
        return 0.0
    if not margin(row, h) > 0:
        return float("inf")
    xx, _, _ = covariance(row, h, sigma)
    return float(h * xx / 2)


class Expected(NamedTuple):
    """Hold an expected loss curve: what the start leaves and what noise adds, along each direction."""

    mean: Array  # (steps + 1, n), ½·h·(expected x)²
    spread: Array  # (steps + 1, n), ½·h·Σ_xx

    @property
    def loss(self) -> Array:
        """Return the expected loss above the minimum at every step, (steps + 1,)."""
        total: Array = (self.mean + self.spread).sum(axis=1)
        return total


def expected(method: Method, h: ArrayLike, start: ArrayLike, steps: int, sigma: float = 0.0) -> Expected:
    """Return the expected loss above the minimum of a noisy quadratic at every step, settings constant or scheduled.

    Args:
        method: a rule with its settings.
        h: curvatures, (n,), gradient per length.
        start: x along each eigen-direction, (n,), with v = 0.
        steps: how many.
        sigma: standard deviation of the noise on each coordinate of each gradient.

    Returns:
        Both parts for every step and direction; their sum over directions is the curve.

    Example:
        >>> from ravine.rules import parse
        >>> expected(parse("sgd:lr=0.1"), [2.0], [1.0], 3, sigma=1.0).loss.round(6).tolist()
        [1.0, 0.65, 0.426, 0.28264]

    Source: mean and covariance of a linear recurrence; the noisy quadratic model of Zhang et al. 2019, section 3.
    """
    h, x = np.asarray(h, float), np.asarray(start, float)
    with np.errstate(all="ignore"):
        if method.steady:
            spread = doubled(_carrier(method.row(0), h, sigma), np.broadcast_to((0.0, 0, 0, 1), (*h.shape, 4)), steps)
        else:
            carried = [np.broadcast_to((0.0, 0, 0, 1), (*h.shape, 4))[..., None]]
            for step in _carrier(rows_at(method, 0, steps), h, sigma):
                carried.append(step @ carried[-1])
            spread = np.stack(carried)[..., 0]
        mean = states(method, h, x, steps)[..., 0]
        return Expected(h * mean**2 / 2, h * spread[..., 0] / 2)


def _carrier(row: Row, h: Array, sigma: float) -> Array:
    """Return the 4x4 matrix that carries (Σ_xx, Σ_xv, Σ_vv, 1) through one step, (…, 4, 4): M Σ Mᵀ + σ² n nᵀ spelled out."""
    M = matrices(row, h)
    p, q, r, s = (M[..., i, j] for i in (0, 1) for j in (0, 1))
    n_x, n_v = (
        np.broadcast_to(np.asarray(cell, float), p.shape) for cell in (row.kick + row.move * row.take, row.take)
    )
    zero = np.zeros(p.shape)
    cells = [
        (p * p, 2 * p * q, q * q, sigma * sigma * n_x * n_x),
        (p * r, p * s + q * r, q * s, sigma * sigma * n_x * n_v),
        (r * r, 2 * r * s, s * s, sigma * sigma * n_v * n_v),
        (zero, zero, zero, zero + 1),
    ]
    return np.stack([np.stack(line, axis=-1) for line in cells], axis=-2)


def ending(
    method: Method,
    h: Sequence[float],
    vectors: Sequence[Sequence[float]],
    error: Sequence[float],
    steps: int,
    sigma: float,
) -> float:
    """Return the last loss of `expected` without arrays; `error` is where it starts, `vectors` are the directions of h."""
    rows, total = [method.row(t) for t in range(steps)], 0.0
    for each, vector in zip(h, vectors, strict=True):
        x, v, xx, xv, vv = sum(p * q for p, q in zip(vector, error, strict=True)), 0.0, 0.0, 0.0, 0.0
        for row in rows:
            (p, q), (r, s) = step_matrix(row, each)
            _, take, move, kick, _ = row
            n = kick + move * take
            x, v = p * x + q * v, r * x + s * v
            xx, xv, vv = (
                p * p * xx + 2 * p * q * xv + q * q * vv + sigma * sigma * n * n,
                p * r * xx + (p * s + q * r) * xv + q * s * vv + sigma * sigma * n * take,
                r * r * xx + 2 * r * s * xv + s * s * vv + sigma * sigma * take * take,
            )
        total += each * x * x / 2 + each * xx / 2
    return total


def samples(steps: int, most: int = 12) -> Sequence[int]:
    """Choose steps at which to tell a curve: 0, 1, 2, 5, 10, 20, 50, … and the last.

    >>> samples(100)
    [0, 1, 2, 5, 10, 20, 50, 100]
    """
    told = [part * 10**power for power in range(9) for part in (1, 2, 5)]
    return sorted({0, steps, *(t for t in told if t <= steps)})[-most:]
