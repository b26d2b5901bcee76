"""The best settings for a surface: no search, the algebra of its Hessian at a minimum says them."""

from typing import Any

from ravine import algebra
from ravine.errors import SurfaceError, TuneError
from ravine.hollows import minima
from ravine.predict import predict
from ravine.rules import Method
from ravine.surfaces.interface import Surface
from ravine.tuning.cells import Plane
from ravine.tuning.recommendation import Exact


def exact(surface: Surface, planes: list[Plane]) -> Exact:
    """Return the settings with the smallest rate at the lowest minimum of a surface.

    Raises:
        TuneError: the surface has no minimum with a curvature above 0.
    """
    import numpy as np

    with np.errstate(all="ignore"):
        try:
            found, note = minima(surface, None)
        except SurfaceError as error:
            raise TuneError(f"{surface.name} has no minimum, so no optimum; name a surface with one") from error
    points = [point for point in found if np.isfinite(surface.value(np.atleast_2d(point))).all()]
    if not points:
        raise TuneError(f"{surface.name} has no minimum that is known, so no optimum; name another surface")
    point = min(points, key=lambda each: float(surface.value(np.atleast_2d(each))[0]))
    place = predict(surface, "sgd:lr=0", at=point).places[0]
    h = sorted(d.h for d in place.directions)
    if h[0] < 0 or h[-1] <= 0:
        raise TuneError(
            f"{surface.name} has no optimum at ({', '.join(f'{c:.6g}' for c in point)}), a {place.kind}; name a surface "
            "with a minimum that curves upward"
        )
    positive = [each for each in h if each > 0]
    compared = [(plane, algebra.optimum(plane.rule, positive[0], positive[-1], **_numbers(plane))) for plane in planes]
    plane, best = min(compared, key=lambda each: float(each[1].rate))
    settings = {key: float(value) for key, value in best.settings.items() if key in plane.rule.parameters}
    notes = [*surface.notes, *([note] if note else [])]
    if len(positive) < len(h):
        notes.append("along a flat direction nothing moves, it is left out")
    return Exact(
        surface.name,
        Method(plane.rule, {**{k: v for k, v in plane.rule.parameters.items() if k not in settings}, **settings}),
        float(best.rate),
        tuple(float(c) for c in point),
        (positive[0], positive[-1]),
        tuple((p.rule.name, {k: float(v) for k, v in o.settings.items()}, float(o.rate)) for p, o in compared),
        tuple(notes),
    )


def _numbers(plane: Plane) -> dict[str, Any]:
    """Return the settings that are held, which for an optimum are numbers."""
    for key, value in plane.fixed.items():
        if callable(value):
            raise TuneError(f"{plane.rule.name} with {key}={value} has no one rate to minimise; give {key} a number")
    return dict(plane.fixed)
