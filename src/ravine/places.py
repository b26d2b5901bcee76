"""The prediction at one point of a surface: its Hessian's directions, and what holds for all of them together."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ravine import algebra
from ravine.errors import AlgebraError, SurfaceError
from ravine.hollows import flat, level, written
from ravine.prediction import Best, Direction, Limit, Place
from ravine.rules import RULES, Method, Row
from ravine.schedules import at as value_at
from ravine.surfaces.interface import Array, Surface
from ravine.verdict import verdict


def place(surface: Surface, method: Method, point: Array, begin: Array, steps: int, noise: float) -> Place:
    """Predict at one point; the expected curve begins at `begin`, at rest."""
    hessian = surface.hessian(point)
    if not np.isfinite(hessian).all():
        raise SurfaceError(
            f"the Hessian of {surface.name} at ({written(point)}) is not finite: it is no smooth point; name another "
            "with --at"
        )
    h, vectors = np.linalg.eigh(hessian)
    h = np.where(flat(surface, point, h), 0.0, h)
    row, last = method.row(steps - 1), {k: value_at(v, steps - 1) for k, v in method.settings.items()}
    rates = None if method.steady else algebra.growth(method, h, steps)
    directions = tuple(
        _direction(row, float(h[i]), vectors[:, i], noise, None if rates is None else float(rates[i]))
        for i in range(len(h))
    )
    rate = max(d.rate for d in directions)
    optimum = _best(method, last, h, rate)
    found = Place(
        point=tuple(map(float, point + 0.0)), value=float(surface.value(point)), kind=_kind(h), directions=directions,
        rate=rate, stable=all(bool(algebra.margin(row, d.h) > 0) for d in directions),
        limit=_limit(method, last, row, h), effective_lr=float(algebra.effective_lr(row)),
        acceleration=float(algebra.effective_lr(row)) / last["lr"] if last.get("lr") else None,
        speedup=_speedup(last.get("lr"), h, rate), optimum=optimum, verdict="",
        noise_floor=sum(d.noise_floor or 0.0 for d in directions) if noise else None,
        expected=algebra.expected(method, h, vectors.T @ (begin - point), steps, noise),
        start=tuple(map(float, begin)), notes=_warnings(surface, point),
    )  # fmt: skip
    return replace(found, verdict=verdict(found, method, noise))


def _direction(row: Row, h: float, vector: Array, noise: float, mean: float | None) -> Direction:
    """Predict along one direction; `mean` is the growth per step under a schedule."""
    if h == 0.0:
        keep = complex(float(algebra.response(row).a))
        floor = 0.0 if noise else None
        return Direction(h, tuple(map(float, vector)), "flat", (1 + 0j, keep), 1.0, None, None, floor)
    first, second = sorted(map(complex, algebra.poles(row, h)), key=abs, reverse=True)
    rate = float(algebra.rate(row, h)) if mean is None else mean
    if not math.isfinite(abs(first)) or math.isnan(rate):  # an lr beyond what floats can square
        floor = math.inf if noise else None
        return Direction(h, tuple(map(float, vector)), "diverging", (first, second), math.inf, None, None, floor)
    return Direction(
        h=h, vector=tuple(map(float, vector)), regime=algebra.regime(row, h), poles=(first, second), rate=rate,
        period=_period(first), steps_per_ten=_steps_per_ten(rate),
        noise_floor=algebra.noise_floor(row, h, noise) if noise else None,
    )  # fmt: skip


def _period(pole: complex) -> float | None:
    """Return after how many steps a swing repeats: 2π over the angle of the leading pole, 2 for a negative one."""
    angle = abs(math.atan2(pole.imag, pole.real))
    return 2 * math.pi / angle if angle > 0 and pole != 0 else None


def _steps_per_ten(rate: float) -> float | None:
    """Return in how many steps an error falls or grows tenfold; None where it stays, 0 where it is gone at once."""
    if rate == 1 or not math.isfinite(rate):
        return None
    return math.log(10) / abs(math.log(rate)) if rate > 0 else 0.0


def _kind(h: Array) -> str:
    """Name a stationary point by the signs of its curvatures."""
    if (h < 0).any():
        return "maximum" if (h < 0).all() else "saddle"
    return "minimum" if (h > 0).all() else "flat"


def _limit(method: Method, settings: Mapping[str, Any], row: Row, h: Array) -> Limit:
    """Return where stability ends for the positive curvatures of a place."""
    upward = h[h > 0]
    others = {key: value for key, value in settings.items() if key != "lr"}
    lr, mu = None, None
    if len(upward):
        try:
            lr = float(algebra.limit_lr(method.rule, float(upward.max()), **others))
        except AlgebraError:  # a rule without an lr, or one that does not step in proportion to it
            lr = None
        if "mu" in settings:
            mu = _limit_mu(method, {k: v for k, v in settings.items() if k != "mu"}, upward)
    return Limit(lr, float(algebra.limit_h(row)), mu)


def _limit_mu(method: Method, others: Mapping[str, Any], upward: Array) -> tuple[float, float] | None:
    """Return between which mu all these curvatures are stable, where that is neither everywhere nor nowhere."""
    ends = [algebra.limit_mu(method.rule, float(h), **others) for h in (upward.min(), upward.max())]
    if ends[0] is None or ends[1] is None:
        return None
    low, high = max(ends[0][0], ends[1][0]), min(ends[0][1], ends[1][1])
    return (low, high) if low < high and (low, high) != (0.0, 1.0) else None


def _speedup(lr: float | None, h: Array, rate: float) -> tuple[float | None, float | None]:
    """Return the ratio of the log rate to that of gradient descent, at the same lr and at gradient descent's best."""
    if not (h > 0).all() or not 0 < rate < 1:
        return None, None
    same = float(np.max(algebra.rate(RULES["sgd"].row(lr=lr), h))) if lr else 1.0
    best = float(algebra.optimum("sgd", float(h.min()), float(h.max())).rate)
    return (
        math.log(rate) / math.log(same) if 0 < same < 1 else None,
        math.log(rate) / math.log(best) if best > 0 else None,
    )


def _best(method: Method, settings: Mapping[str, Any], h: Array, rate: float) -> Best | None:
    """Return the best settings for the positive curvatures of a place; nu and tau stay as they are."""
    upward = h[h > 0]
    if not len(upward) or (h < 0).any():
        return None
    fixed = {key: settings[key] for key in ("nu", "tau") if settings.get(key)}
    fixed |= {"nu": 0.0} if settings.get("nu") == 0 else {}
    try:
        found = algebra.optimum(method.rule, float(upward.min()), float(upward.max()), **fixed)
    except AlgebraError:  # a rule of one's own, whose settings nobody knows how to search
        return None
    now, then = _steps_per_ten(rate), _steps_per_ten(float(found.rate))
    gain = now / then if rate < 1 and now is not None and then else None
    return Best({k: float(v) for k, v in found.settings.items()}, float(found.rate), then, gain)


def _warnings(surface: Surface, point: Array) -> tuple[str, ...]:
    """Say so where a point is not stationary."""
    if level(surface, point):
        return ()
    norm = float(np.linalg.norm(surface.gradient(point)))
    return (f"({written(point)}) is no stationary point: the gradient there has the norm {norm:.6g}, "
            "so descent leaves, and what is said holds for the curvatures alone",)  # fmt: skip
