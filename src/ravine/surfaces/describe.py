"""What is known about one surface, as plain data."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ravine.errors import SurfaceError
from ravine.surfaces import surface as make
from ravine.surfaces.check import check_gradient


def described(text: str, point: Sequence[float] | None = None, check: bool = False) -> dict[str, Any]:
    """Return a surface's formula, minima and source, and at a point its value, gradient and curvatures.

    Raises `SurfaceError` where the surface is undefined at the point.

    >>> described("saddle", [1, 1])["curvatures"]
    [-2.0, 2.0]
    """
    found = make(text, dim=len(point) if point else None)
    told: dict[str, Any] = {
        "surface": found.text,
        "formula": str(found.expression or found.name),
        "coordinates": list(found.variables),
    }
    if found.domain:
        told["domain"] = [f"{low:g} to {high:g}" for low, high in found.domain]
    if found.minima:
        told["minima"] = [{"at": list(m.point), "value": m.value, "global": m.everywhere} for m in found.minima]
    told["source"] = found.source or "typed"
    if point is not None:
        value = found.value(point)
        if not math.isfinite(value):
            raise SurfaceError(f"{found.name} is undefined at {tuple(point)}; ask elsewhere")
        curvatures = found.hessian(point)
        told |= {"at": list(point), "value": value, "gradient": [_finite(g) for g in found.gradient(point).tolist()]}
        if np.isfinite(curvatures).all():
            told["curvatures"] = np.linalg.eigvalsh(curvatures).tolist()
    if check:
        outcome = check_gradient(found, [point] if point is not None else None)
        told["gradient check"] = {
            "verdict": outcome.verdict,
            "worst relative error": _finite(outcome.worst),
            "at": list(outcome.at),
        }
    if found.notes:
        told["notes"] = list(found.notes)
    return told


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
