"""Is a given gradient right? Centred differences and a relative error, as CS231n teaches it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ravine.surfaces.callables import centred
from ravine.surfaces.interface import Array, Surface


class GradientCheck(NamedTuple):
    """Hold the outcome of a gradient check."""

    points: Array  # (k, n)
    errors: Array  # (k, n), relative
    worst: float
    at: tuple[float, ...]  # the point of the worst error
    verdict: str


def check_gradient(surface: Surface, points: ArrayLike | None = None, count: int = 8, seed: int = 0) -> GradientCheck:
    """Compare a surface's gradient with centred differences of its values.

    |a - n| / (|a| + |n|): above 1e-2 it is wrong, above 1e-4 doubtful, above 1e-7 fine if the function has kinks, up to
    1e-7 right. Both zero counts as right.

    Args:
        surface: whose gradient is checked.
        points: where, shape (k, n); without them `count` random points of its domain or around its start.
        count: how many random points.
        seed: of the random points.

    Returns:
        A `GradientCheck`; its errors have the shape of the points.

    Example:
        >>> from ravine.surfaces import surface
        >>> check_gradient(surface("rosenbrock")).verdict
        'right'

    Source: CS231n, Neural Networks Part 3, gradient checks.
    """
    if points is None:
        box = np.array(surface.domain or [(s - 1, s + 1) for s in surface.start or (0.0,) * surface.dim])
        points = np.random.default_rng(seed).uniform(box[:, 0], box[:, 1], (count, surface.dim))
    rows = np.atleast_2d(np.asarray(points, float))
    analytic, numeric = surface.gradient(rows), np.empty(rows.T.shape)
    with np.errstate(all="ignore"):
        centred(surface.heights, np.ascontiguousarray(rows.T), numeric)
        difference = abs(analytic - numeric.T)
        # Differences cannot see less than the rounding of the values they subtract.
        noise = 8 * np.finfo(float).eps ** (2 / 3) * (1 + abs(surface.value(rows)))[:, None]
        size = abs(analytic) + abs(numeric.T)
        errors = np.where(
            difference <= noise, np.minimum(difference / np.where(size > 0, size, 1), 1e-8), difference / size
        )
    errors = np.where(np.isnan(errors), np.inf, errors)
    place = np.unravel_index(np.argmax(errors), errors.shape)
    worst = float(errors[place])
    verdict = next(word for bound, word in VERDICTS if worst <= bound)
    return GradientCheck(rows, errors, worst, tuple(map(float, rows[place[0]])), verdict)


VERDICTS = ((1e-7, "right"), (1e-4, "fine, if the function has kinks"), (1e-2, "doubtful"), (np.inf, "wrong"))
