"""Many steps at once: the powers of one step's matrix, or the product of the matrices of a schedule.

(x_t, v_t) = M_{t-1} ··· M_1 M_0 (x_0, v_0)        M_t = M_0 at constant settings, so that the product is M^t
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ravine.algebra.direction import response, step_matrix
from ravine.rules import Method, Row

Array = NDArray[Any]


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
    product, logs = np.broadcast_to(np.eye(2), (*h.shape, 2, 2)), np.zeros(h.shape)
    with np.errstate(all="ignore"):
        for M in matrices(rows_at(method, 0, steps), h):
            product = M @ product
            size = abs(product).max(axis=(-2, -1))
            size = np.where(size > 0, size, 1.0)
            product, logs = product / size[..., None, None], logs + np.log(size)
        radius = abs(np.linalg.eigvals(product)).max(axis=-1)
        mean: Array = np.exp((logs + np.log(radius)) / steps)
    return mean
