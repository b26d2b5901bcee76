"""How far apart two runs get, over every quadratic at once.

On a quadratic each eigen-direction is walked alone, and where a run asks after t steps is a polynomial in its curvature
h, of degree t at most. So is the difference of two runs. What it is at its largest between the curvatures 0 and h_max
follows from finitely many of them: between M Chebyshev nodes a polynomial of degree n < M exceeds what it has there by
1/cos(πn/2M) at most (Ehlich & Zeller 1964).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from ravine.algebra import limit_h
from ravine.rules import Row
from ravine.stepper import step
from ravine.surfaces.interface import Array

ALIKE = 1e-9  # of the largest coordinate: rounding, after many steps
TINY = 1e-300
FINE = 4  # nodes for each degree: the bound is at most 1.083 times what is found at the nodes


def largest_difference(
    one: Sequence[Row], other: Sequence[Row], h_max: float, start: float = 0.0, *, degree: int = 1
) -> float:
    """Bound the distance of the points at which two runs ask, as a part of the start's distance from the minimum.

    It holds at every step, on every quadratic with curvatures from 0 to h_max, from any start with an empty buffer.

    Args:
        one, other: a row a step, in floats.
        h_max: curvature, gradient per length, 0 or more.
        start: the buffer with which the other begins, as a part of its first gradient.
        degree: of the polynomial that the start brings; 1 for the gradient.

    Example:
        >>> from ravine.rules import RULES
        >>> rows = [RULES["classical"].row(lr=0.01, mu=0.9)] * 20, [RULES["heavyball"].row(lr=0.01, mu=0.9)] * 20
        >>> largest_difference(*rows, h_max=100.0) < 1e-12
        True
    """
    most = len(one) + degree
    nodes = FINE * (most + 1)
    h = h_max * (1 - np.cos(math.pi * (np.arange(nodes) + 0.5) / nodes)) / 2
    walks = zip(
        asked(one, np.ones(nodes), np.zeros(nodes), lambda t, y: h * y),
        asked(other, np.ones(nodes), start * h, lambda t, y: h * y),
        strict=True,
    )
    far = max(float(abs(p - q).max()) for p, q in walks)
    return far / math.cos(math.pi * most / (2 * nodes))


def asked(rows: Iterable[Row], x: Array, v: Array, gradient: Callable[[int, Array], Array]) -> Iterator[Array]:
    """Step the one stepper and yield where each step asks for its gradient, which may depend on the step."""
    for t, row in enumerate(rows):
        points: list[Array] = []

        def slopes(y: Array, out: Array, t: int = t, points: list[Array] = points) -> None:
            points.append(y.copy())
            out[...] = gradient(t, y)

        x_next, v_next, g = np.empty_like(x), np.empty_like(v), np.empty_like(x)
        step(row, x, v, slopes, x_next, v_next, g)
        yield points[0]
        x, v = x_next, v_next


def ask_alike(one: Sequence[Row], other: Sequence[Row]) -> bool:
    """Answer two runs with the same random gradients, and say whether they go on asking at the same points."""
    gradients = np.random.default_rng(0).standard_normal(len(one))
    nothing = np.zeros(1)
    first, second = (np.array(list(asked(rows, nothing, nothing, lambda t, y: gradients[t]))) for rows in (one, other))
    return bool(abs(first - second).max() <= ALIKE * max(float(abs(first).max()), TINY))


def sized(one: Sequence[Row], other: Sequence[Row], start: float = 0.0) -> tuple[float, float, str] | None:
    """Return the bound up to the limit of stability, that limit, and a sentence that has both and one for flat ground.

    Without a curvature for which both are stable there is nothing to bound, and it returns None.
    """
    h_max = common_limit([*one, *other])
    if h_max == 0:
        return None
    size, flat = (largest_difference(one, other, h, start) for h in (h_max, h_max / 10))
    return (
        size,
        h_max,
        (
            f"within {len(one)} steps the points where gradients are asked for differ by at most {size:.3g} of the start's "
            f"distance from the minimum, on every quadratic with curvatures up to {h_max:.6g}, the limit of stability "
            f"({flat:.3g} for those up to a tenth of it)"
        ),
    )


def common_limit(rows: Sequence[Row]) -> float:
    """Return the largest curvature for which each of these rows is stable; those that stand still do not count."""
    limits = {row: float(limit_h(row)) for row in set(rows) if row.take or row.kick}
    return min((limit for limit in limits.values() if 0 < limit < math.inf), default=0.0)
