"""Points that came in, such as starts: read as rows, held against a surface, refused with the asker's own error."""

from typing import Any

import numpy as np

from ravine.errors import RavineError, SurfaceError, shown
from ravine.surfaces.interface import Array, Surface


def points_of(given: Any, error: type[RavineError], what: str = "a start") -> Array:
    """Read one point (n,) or several (k, n) as rows of finite numbers; raises `error`."""
    try:
        points = np.array(given, float)
    except (TypeError, ValueError):
        raise error(f"{what} is numbers, or several rows of as many, got {shown(given)}") from None
    points = points.reshape(1, -1) if points.ndim < 2 else points
    if points.ndim != 2 or points.size == 0 or not np.isfinite(points).all():
        raise error(f"{what} is finite numbers, or several rows of as many, got {shown(given)}")
    return points


def check_starts(surface: Surface, points: Array, error: type[RavineError]) -> None:
    """Refuse starts with too few or too many coordinates (`error`), or where the surface is undefined."""
    if points.shape[1] != surface.dim:
        raise error(
            f"{surface.name} has {surface.dim} coordinates ({', '.join(surface.variables)}), "
            f"got a start of {points.shape[1]}; write --start {','.join('1' * surface.dim)}"
        )
    fine = np.isfinite(surface.value(points)) & np.isfinite(surface.gradient(points)).all(axis=1)
    if not fine.all():
        bad = tuple(map(float, points[int(fine.argmin())]))
        raise SurfaceError(f"{surface.name} is undefined at the start {bad}; start elsewhere")


def check_steps(steps: Any, most: int, error: type[RavineError]) -> None:
    """Refuse what is no whole number of steps from 1 to `most`; raises `error`."""
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 1 <= steps <= most:
        raise error(f"steps must be a whole number from 1 to {most}, got {shown(steps)}")
