"""The prediction at one point of a surface: its Hessian's directions, and what holds for all of them together."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ravine import algebra
from ravine.errors import AlgebraError, SurfaceError
from ravine.hollows import flat, kinks, level, written
from ravine.prediction import SAME, Best, Direction, Limit, Place
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
    jumps = kinks(surface, point, vectors)
    kind = _kind(h) if level(surface, point) else "slope"
    kind = "kink" if kind != "slope" and jumps.any() else kind
    step = algebra.last_moving(method, steps)
    row, last = method.row(step), {k: value_at(v, step) for k, v in method.settings.items()}
    rates = None if method.steady else algebra.growth(method, h, steps)
    floors = method.steady and kind not in ("slope", "kink") and noise > 0
    directions = tuple(
        _direction(row, float(h[i]), vectors[:, i], None if rates is None else float(rates[i])) for i in range(len(h))
    )
    if floors:
        directions = tuple(replace(d, noise_floor=_floor(surface, row, d, noise)) for d in directions)
    directions = tuple(replace(d, regime="kink") if jump else d for d, jump in zip(directions, jumps, strict=True))
    rate = max(d.rate for d in directions)
    found = Place(
        point=tuple(map(float, point + 0.0)), value=float(surface.value(point)) + 0.0, kind=kind,
        directions=directions, rate=rate, stable=kind != "kink" and _stable(method, row, directions),
        limit=_limit(method, last, row, h), effective_lr=float(algebra.effective_lr(row)),
        acceleration=float(algebra.effective_lr(row)) / last["lr"] if last.get("lr") else None,
        speedup=_speedup(method, h, rate, steps), optimum=_best(method, last, h, rate), verdict="",
        noise_floor=sum(d.noise_floor or 0.0 for d in directions) if floors else None,
        expected=None if kind == "slope" else algebra.expected(method, h, vectors.T @ (begin - point), steps, noise),
        start=tuple(map(float, begin)), notes=_warnings(surface, point, kind, h, jumps, noise),
    )  # fmt: skip
    return replace(found, verdict=verdict(found, method, noise))


def regime(row: Row, h: float) -> str:
    """Name the regime of a row, which stands still where nothing moves x; a stable row never diverges by rounding.

    >>> regime(RULES["sgd"].row(lr=0.0), 2.0), regime(RULES["sgd"].row(lr=1e-20), 2.0)
    ('stands still', 'monotone')
    """
    _, b, c = algebra.response(row)
    if b == c == 0:
        return "stands still"
    word = algebra.regime(row, h)
    if word != "diverging" or not _holds(row, h):
        return word
    return "ripples" if algebra.discriminant(row, h) < 0 else "monotone"


def _holds(row: Row, h: float) -> bool:
    """Say whether a row is stable, where what rounding makes of the limit is not."""
    damped, above, below = algebra.bounds(row, h)
    _, b, c = algebra.response(row)
    rounding = 8 * np.finfo(float).eps * (1 + abs(h * b) + abs(h * c))
    return bool(damped > 0 and above > rounding and below > 0 and (c == 0 or damped > rounding))


def _stable(method: Method, row: Row, directions: tuple[Direction, ...]) -> bool:
    """Say whether all errors shrink: by the row where it stays, in the mean over the steps under a schedule."""
    return all(_holds(row, d.h) if method.steady else d.rate < 1 - SAME for d in directions)


def _direction(row: Row, h: float, vector: Array, mean: float | None) -> Direction:
    """Predict along one direction, without noise; `mean` is the growth per step under a schedule."""
    axis = tuple(map(float, vector))
    if h == 0.0:
        keep = complex(float(algebra.response(row).a))
        return Direction(h, axis, "flat", (1 + 0j, keep), 1.0, None, None, None)
    first, second = sorted(map(complex, algebra.poles(row, h)), key=abs, reverse=True)
    rate = float(algebra.rate(row, h)) if mean is None else mean
    if not math.isfinite(abs(first)) or math.isnan(rate):  # an lr beyond what floats can square
        rate = math.inf if mean is None or math.isnan(mean) else mean
        return Direction(h, axis, "diverging", (first, second), rate, None, _steps_per_ten(rate), None)
    word = regime(row, h)
    rate = 1.0 if word == "stands still" and mean is None else rate
    return Direction(h, axis, word, (first, second), rate, _period(first), _steps_per_ten(rate), None)


def _floor(surface: Surface, row: Row, direction: Direction, noise: float) -> float | None:
    """Return the loss that noise leaves along a direction; None along a flat one that is not flat for ever."""
    if direction.h == 0:
        return 0.0 if surface.quadratic else None
    if direction.regime == "stands still":
        return 0.0
    return algebra.noise_floor(row, direction.h, noise) if _holds(row, direction.h) else math.inf


def _period(pole: complex) -> float | None:
    """Return after how many steps a swing repeats: 2π over the angle of the leading pole, 2 for a negative one."""
    angle = abs(math.atan2(pole.imag, pole.real))
    return 2 * math.pi / angle if angle > 0 and pole != 0 else None


def _steps_per_ten(rate: float) -> float | None:
    """Return in how many steps an error falls or grows tenfold; None where it stays, 0 where it is gone at once."""
    if abs(rate - 1) <= SAME or not math.isfinite(rate):
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


def _speedup(method: Method, h: Array, rate: float, steps: int) -> tuple[float | None, float | None]:
    """Return the ratio of the log rate to that of gradient descent, with the same lr or its schedule, and at its best."""
    if not (h > 0).all() or not 0 < rate < 1 - SAME:
        return None, None
    lr, same = method.settings.get("lr"), 1.0
    if lr is not None:
        descent = RULES["sgd"](lr=lr)
        each = algebra.rate(descent.row(0), h) if descent.steady else algebra.growth(descent, h, steps)
        same = float(np.max(each))
    best = float(algebra.optimum("sgd", float(h.min()), float(h.max())).rate)
    return (
        math.log(rate) / math.log(same) if 0 < same < 1 - SAME else None,
        math.log(rate) / math.log(best) if 0 < best < 1 - SAME else None,
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
    gain = now / then if method.steady and rate < 1 and now is not None and then else None
    return Best({k: float(v) for k, v in found.settings.items()}, float(found.rate), then, gain)


def _warnings(surface: Surface, point: Array, kind: str, h: Array, jumps: Array, noise: float) -> tuple[str, ...]:
    """Say so where a point is not stationary or a kink, and where the quadratic is not the function."""
    here = written(point)
    if kind == "slope":
        norm = float(np.linalg.norm(surface.gradient(point)))
        return (f"({here}) is no stationary point: the gradient there has the norm {norm:.6g}, "
                "so descent leaves, and what is said holds for the curvatures alone",)  # fmt: skip
    if surface.quadratic:
        return ()
    said = []
    if kind == "kink":
        said.append(f"({here}) is a kink: the gradient jumps there along {int(jumps.sum())} of {len(h)} directions, "
                    "so that no quadratic describes it")  # fmt: skip
    else:
        said.append(f"the expected loss is that of the quadratic at ({here}), not of {surface.name} itself")
        if noise and (h == 0).any():
            said.append(f"flat directions, {int((h == 0).sum())} of {len(h)}, are not counted in what noise leaves")
    return tuple(said)
