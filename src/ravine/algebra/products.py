"""Many steps at once: the powers of one step's matrix, or the product of the matrices of a schedule.

(x_t, v_t) = M_{t-1} ··· M_1 M_0 (x_0, v_0)        M_t = M_0 at constant settings, so that the product is M^t
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ravine.algebra.direction import response, step_matrix
from ravine.rules import Method, Row
from ravine.schedules import Number

Array = NDArray[Any]

# Sizes at which a product is scaled, and by what.
LARGE, SMALL, SHRINK, GROW = 2.0**500, 2.0**-500, 2.0**-600, 2.0**600


class Part(NamedTuple):
    """Hold a product of some steps, 2^twos times a 2x2 matrix."""

    xx: Number
    xv: Number
    vx: Number
    vv: Number
    twos: Number


def matrices(row: Row, h: ArrayLike) -> Array:
    """Return M(h) as an array of shape (…, 2, 2), where (…) is the shape to which the row and `h` broadcast."""
    (xx, xv), (vx, vv) = step_matrix(row, np.asarray(h, float))
    cells = np.broadcast_arrays(xx, xv, vx, vv)
    return np.stack(cells, axis=-1).astype(float).reshape(*cells[0].shape, 2, 2)


def rows_at(method: Method, first: int, steps: int) -> Row:
    """Return the rows of so many steps as one row of arrays, each (steps, 1), to broadcast with curvatures (n,)."""
    t = np.arange(first, first + steps)
    return Row(*(np.broadcast_to(np.asarray(cell, float), t.shape)[:, None] for cell in method.row(t)))


def last_moving(method: Method, steps: int) -> int:
    """Return the last of so many steps whose row moves at all (b or c is not 0); the last one where none does.

    >>> from ravine.rules import parse
    >>> last_moving(parse("sgd:lr=cosine(0.01,50)"), 100)
    49
    """
    if method.steady:
        return steps - 1
    _, b, c = response(rows_at(method, 0, steps))
    moving = np.flatnonzero((np.broadcast_to(b, (steps, 1)) != 0) | (np.broadcast_to(c, (steps, 1)) != 0))
    return int(moving[-1]) if len(moving) else steps - 1


def last_stirring(method: Method, steps: int) -> int:
    """Return `last_moving` by asking one step after the other, from the last one on."""
    for t in range(0 if method.steady else steps):
        _, b, c = response(method.row(steps - 1 - t))
        if b != 0 or c != 0:
            return steps - 1 - t
    return steps - 1


def states(method: Method, h: ArrayLike, start: ArrayLike, steps: int, first: int = 0) -> Array:
    """Return (x, v) along eigen-directions after each of so many steps, in closed form.

        (x_t, v_t) = M^t (x_0, v_0), under schedules M_{t-1} ··· M_0 (x_0, v_0)

    Args:
        method: a rule with its settings.
        h: curvatures, (n,), gradient per length.
        start: x along each direction, (n,), with v = 0; or x and v, (n, 2).
        steps: how many.
        first: the step that a schedule begins with.

    Returns:
        Shape (steps + 1, n, 2); the start comes first. What grows beyond floats is infinite or NaN.

    Example:
        >>> from ravine.rules import parse
        >>> states(parse("classical:lr=0.01,mu=0.9"), [100.0], [1.0], 2)[:, 0].tolist()
        [[1.0, 0.0], [0.0, -1.0], [-0.9, -0.9]]
    """
    h = np.asarray(h, float)
    begin = np.asarray(start, float)
    begin = np.stack([begin, np.zeros_like(begin)], axis=-1) if begin.ndim == 1 else begin
    with np.errstate(all="ignore"):
        if method.steady:
            return doubled(matrices(method.row(0), h), begin, steps)
        found = [begin[..., None]]
        for M in matrices(rows_at(method, first, steps), h):
            found.append(M @ found[-1])
    return np.stack(found)[..., 0]


def doubled(M: Array, start: Array, steps: int) -> Array:
    """Return M^t·start for t = 0 … steps, (steps + 1, …): from the first 2^k states M^(2^k) makes the next as many."""
    found = start[None, ..., None]
    while len(found) <= steps:
        found = np.concatenate([found, M @ found])
        M = M @ M
    return np.ascontiguousarray(found[: steps + 1, ..., 0])


def growth(method: Method, h: ArrayLike, steps: int) -> Array:
    """Return the factor per step by which an error changes in the mean over so many steps.

        ρ(M_{T-1} ··· M_0)^(1/T), the spectral radius of the product; at constant settings that is the rate

    Args:
        method: a rule with its settings.
        h: curvatures, (n,).
        steps: T.

    Returns:
        Shape (n,).

    Example:
        >>> from ravine.rules import parse
        >>> growth(parse("sgd:lr=step(0.5,0.5,1)"), [1.0], 2).round(6).tolist()  # √(0.5·0.75)
        [0.612372]
    """
    h = np.asarray(h, float)
    with np.errstate(all="ignore"):
        (xx, xv), (vx, vv) = step_matrix(rows_at(method, 0, steps), h)
        cells = np.broadcast_arrays(xx, xv, vx, vv, np.zeros((steps, *h.shape)))
        parts = _scaled(*cells)
        while (many := len(parts.xx)) > 1:
            joined = _joined(Part(*(cell[1::2] for cell in parts)), Part(*(cell[: many - 1 : 2] for cell in parts)))
            last = [cell[many - many % 2 :] for cell in parts]  # where their number is odd, the one that is left over
            parts = Part(*(np.concatenate(both) for both in zip(joined, last, strict=True)))
        mean: Array = _mean(Part(*(cell[0] for cell in parts)), steps)
    return mean


def growth_by_steps(method: Method, h: Sequence[float], steps: int) -> list[float]:
    """Return `growth` without arrays, to the same bits."""
    rows = [method.row(t) for t in range(steps)]
    return [_mean(_product([step_matrix(row, each) for row in rows]), steps) for each in h]


def _product(matrices: Sequence[tuple[tuple[Number, Number], tuple[Number, Number]]]) -> Part:
    """Return the product of many matrices, neighbours first, then pairs, then pairs of pairs."""
    parts = [_scaled(xx, xv, vx, vv, 0.0) for (xx, xv), (vx, vv) in matrices]
    while len(parts) > 1:
        joined: list[Part] = []
        earlier = None
        for part in parts:
            if earlier is None:
                earlier = part
            else:
                joined.append(_joined(part, earlier))
                earlier = None
        if earlier is not None:
            joined.append(earlier)
        parts = joined
    return parts[0]


def _joined(later: Part, earlier: Part) -> Part:
    """Return later·earlier."""
    p, q, r, s, twos = later
    xx, xv, vx, vv, others = earlier
    return _scaled(p * xx + q * vx, p * xv + q * vv, r * xx + s * vx, r * xv + s * vv, twos + others)


def _scaled(xx: Number, xv: Number, vx: Number, vv: Number, twos: Number) -> Part:
    """Return a matrix times a power of 2, which rounds nothing, before anything in it is too large or too small."""
    size = abs(xx) + abs(xv) + abs(vx) + abs(vv)
    by = np.where(size > LARGE, SHRINK, np.where(size < SMALL, GROW, 1.0))
    twos = twos + np.where(size > LARGE, 600.0, np.where(size < SMALL, -600.0, 0.0))
    return Part(xx * by, xv * by, vx * by, vv * by, twos)


def _mean(product: Part, steps: int) -> Number:
    """Return the spectral radius of a product of so many matrices, to the power 1/steps."""
    xx, xv, vx, vv, twos = product
    radius = _longer((xx + vv) / 2, (xx - vv) / 2, np.sqrt(abs(xv)) * np.sqrt(abs(vx)), np.sign(xv) * np.sign(vx))
    return np.exp((twos * math.log(2) + np.log(radius)) / steps)


def _longer(middle: Number, half: Number, turn: Number, sign: Number) -> Number:
    """Return the larger |middle ± √(half² + sign·turn²)|, whatever the sizes are."""
    size = np.maximum(abs(half), turn)
    size = np.where(size > 0, size, 1.0)
    half, turn = half / size, turn / size
    square = half * half + sign * turn * turn
    root = size * np.sqrt(abs(square))
    return np.where(square < 0, np.hypot(middle, root), abs(middle) + root)
