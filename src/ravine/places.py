"""The prediction at one point of a surface: its Hessian's directions, and what holds for all of them together."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ravine import algebra
from ravine.errors import AlgebraError, SurfaceError
from ravine.hollows import flat, kinks, level, written
from ravine.outlook import Found, outlook
from ravine.prediction import Place, Spot
from ravine.rules import Method, Rule
from ravine.surfaces.interface import Array, Surface
from ravine.verdict import verdict


def place(surface: Surface, method: Method, point: Array, begin: Array, steps: int, noise: float) -> Place:
    """Predict at one point; the expected curve begins at `begin`, at rest."""
    here = spot(surface, point)
    h, vectors = np.array(here.h), np.ascontiguousarray(np.transpose(here.vectors))  # in columns, as eigh has them
    found = outlook(method, here, steps, noise, lambda settings: best_of(method.rule, settings, h))
    expected = None
    if here.kind != "slope":
        expected = algebra.expected(method, h, vectors.T @ (begin - point), steps, noise)
    found = replace(
        found,
        expected=expected,
        left=None if expected is None else float(expected.loss[-1]),
        start=tuple(map(float, begin)),
        notes=_warnings(surface, point, here, noise),
    )
    return replace(found, verdict=verdict(found, method, noise))


def spot(surface: Surface, point: Array) -> Spot:
    """Return what a prediction has to know of a point; raises `SurfaceError` where the Hessian is not finite."""
    hessian = surface.hessian(point)
    if not np.isfinite(hessian).all():
        raise SurfaceError(
            f"the Hessian of {surface.name} at ({written(point)}) is not finite: it is no smooth point; name another "
            "with --at"
        )
    h, vectors = np.linalg.eigh(hessian)
    h = np.where(flat(surface, point, h), 0.0, h)
    jumps = kinks(surface, point, vectors)
    kind = _kind(h) if level(surface, point) else "slope"
    return Spot(
        point=tuple(map(float, point + 0.0)),
        value=float(surface.value(point)) + 0.0,
        kind="kink" if kind != "slope" and jumps.any() else kind,
        h=tuple(h.tolist()),
        vectors=tuple(map(tuple, vectors.T.tolist())),
        kinks=tuple(jumps.tolist()),
        quadratic=surface.quadratic,
    )


def _kind(h: Array) -> str:
    """Name a stationary point by the signs of its curvatures."""
    if (h < 0).any():
        return "maximum" if (h < 0).all() else "saddle"
    return "minimum" if (h > 0).all() else "flat"


def best_of(rule: Rule, settings: Mapping[str, Any], h: Array) -> Found | None:
    """Return the best settings for the positive curvatures among these; nu and tau stay as they are."""
    upward = h[h > 0]
    fixed = {key: settings[key] for key in ("nu", "tau") if settings.get(key)}
    fixed |= {"nu": 0.0} if settings.get("nu") == 0 else {}
    try:
        found = algebra.optimum(rule, float(upward.min()), float(upward.max()), **fixed)
    except AlgebraError:  # a rule of one's own, whose settings nobody knows how to search
        return None
    return {k: float(v) for k, v in found.settings.items()}, float(found.rate)


def _warnings(surface: Surface, point: Array, here: Spot, noise: float) -> tuple[str, ...]:
    """Say so where a point is not stationary or a kink, and where the quadratic is not the function."""
    where = written(point)
    if here.kind == "slope":
        norm = float(np.linalg.norm(surface.gradient(point)))
        return (f"({where}) is no stationary point: the gradient there has the norm {norm:.6g}, "
                "so descent leaves, and what is said holds for the curvatures alone",)  # fmt: skip
    if surface.quadratic:
        return ()
    said = []
    if here.kind == "kink":
        said.append(f"({where}) is a kink: the gradient jumps there along {sum(here.kinks)} of {len(here.h)} directions, "
                    "so that no quadratic describes it")  # fmt: skip
    else:
        said.append(f"the expected loss is that of the quadratic at ({where}), not of {surface.name} itself")
        if noise and 0 in here.h:
            said.append(f"flat directions, {here.h.count(0)} of {len(here.h)}, are not counted in what noise leaves")
    return tuple(said)
