"""The settings with the smallest rate over a spectrum: theorems where there are any, else a search."""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ravine.algebra.direction import rate
from ravine.algebra.kinds import symbolic
from ravine.errors import AlgebraError, nearest, shown
from ravine.rules import ANY, SETTINGS, Rule, find, sqrt
from ravine.schedules import Number


class Optimum(NamedTuple):
    """Hold the settings with the smallest rate over a spectrum, and that rate."""

    settings: Mapping[str, Number]
    rate: Number


# By how much a unit of lr moves the point, for the rules that are heavyball but for this factor.
HEAVYBALL: Mapping[str, Callable[[Number, Number], Number]] = {
    "heavyball": lambda mu, tau: 1 - tau,
    "classical": lambda mu, tau: 1,
    "ema": lambda mu, tau: 1 - mu,
}
NESTEROV = ("nesterov", "keras_nesterov", "nag")


def optimum(rule: Rule | str, h_min: Number, h_max: Number, **fixed: Number) -> Optimum:
    """Return the settings that minimise the rate over the curvatures from h_min to h_max.

    In closed form for sgd, heavyball, classical and ema (Polyak 1964; with mu fixed, lr = 2(1 + mu)/(h_min + h_max))
    and for nesterov, keras_nesterov and nag (Lessard, Recht & Packard 2016, proposition 1); for other rules, and where
    something else is held fixed, the rate is minimised numerically.

    Args:
        rule: a rule or its name.
        h_min, h_max: the ends of the spectrum, gradient per length, 0 < h_min <= h_max.
        fixed: settings that stay as they are, such as mu=0.9 or nu=0.7; the others are chosen.

    Returns:
        All settings, the fixed ones too, and the rate.

    Raises:
        AlgebraError: an empty spectrum or one that reaches 0, or a fixed setting that the rule does not have.

    Example:
        >>> best = optimum("heavyball", 2.0, 100.0)
        >>> round(best.settings["lr"], 10), round(best.settings["mu"], 10), round(best.rate, 10)
        (0.0307020944, 0.5658068165, 0.7522013138)
        >>> round(optimum("heavyball", 2.0, 100.0, mu=0.9).settings["lr"], 10)
        0.037254902
    """
    rule = find(rule) if isinstance(rule, str) else rule
    if not symbolic(h_min) and not symbolic(h_max) and not 0 < h_min <= h_max < math.inf:
        raise AlgebraError(f"an optimum needs 0 < h_min <= h_max, got {h_min} and {h_max}; a saddle has none")
    _check(rule, fixed)
    found = _closed(rule, h_min, h_max, fixed)
    if found is None:
        found = _search(rule, float(h_min), float(h_max), tuple(sorted(fixed.items())))
    return found._replace(settings=dict(found.settings))  # the caller's own


def _check(rule: Rule, fixed: Mapping[str, Number]) -> None:
    """Refuse a fixed setting that the rule does not have or that may not have this value."""
    for key, value in fixed.items():
        if key not in rule.parameters:
            raise AlgebraError(
                f"{rule.name} has no setting {shown(key)} to hold fixed; {nearest(key, rule.parameters)}"
            )
        setting = SETTINGS.get(key, ANY)
        if not symbolic(value) and not (abs(value) < math.inf and setting.allowed(value)):
            raise AlgebraError(f"{rule.name}: {key} must be {setting.sentence}, got {value}")
    if fixed.get("tau") == 1:
        raise AlgebraError(f"{rule.name} with tau=1 takes in no gradient and has no optimum; use a tau below 1")


def _closed(rule: Rule, h_min: Number, h_max: Number, fixed: Mapping[str, Number]) -> Optimum | None:
    """Return the optimum that a theorem gives, or None where none does."""
    k = h_max / h_min
    if rule.name == "sgd" and not fixed:
        return Optimum({"lr": 2 / (h_min + h_max)}, descent_rate(k))
    if rule.name in HEAVYBALL and fixed.keys() <= {"tau", "mu"}:
        return _heavyball(rule, h_min, h_max, fixed)
    if rule.name in NESTEROV and not fixed:
        root = sqrt(3 * k + 1)
        return Optimum({"lr": 4 / (3 * h_max + h_min), "mu": (root - 2) / (root + 2)}, 1 - 2 / root)
    return None


def descent_rate(k: Number) -> Number:
    """Return the best rate of gradient descent at the condition number k."""
    return (k - 1) / (k + 1)


def _heavyball(rule: Rule, h_min: Number, h_max: Number, fixed: Mapping[str, Number]) -> Optimum:
    """Return Polyak's optimum; with mu fixed, the lr at which both ends of the spectrum are equally fast."""
    mu = fixed.get("mu")
    if mu is not None:
        lr, best = 2 * (1 + mu) / (h_min + h_max), None
    else:
        root = sqrt(h_max / h_min)
        best = (root - 1) / (root + 1)
        lr, mu = (2 / (sqrt(h_max) + sqrt(h_min))) ** 2, best**2
    settings = {"lr": lr / HEAVYBALL[rule.name](mu, fixed.get("tau", 0)), "mu": mu, **fixed}
    if best is None:
        row = rule.row(**settings)
        best = max(rate(row, h_min), rate(row, h_max))
    return Optimum(settings, best)


# The search ------------------------------------------------------------------------------------------------------


class _Axis(NamedTuple):
    """Hold how a setting is searched: from a coordinate, to a coordinate, and between which."""

    read: Callable[[Any], Any]
    write: Callable[[float], float]
    ends: tuple[float, float]


def _axes(h_min: float, h_max: float, fixed: Mapping[str, Number]) -> dict[str, _Axis]:
    """Return the box to search: lr and L as multiples of 1/h_max and h_max, mu as the number of steps it keeps."""
    k = h_max / h_min
    # A held mu near 1 wants a large lr of rules that average, a held lr that is small wants a mu nearer to 1.
    longer = -math.log1p(-float(fixed.get("mu", 0)))
    slower = max(0.0, -math.log(float(fixed.get("lr", 0)) * h_max)) if fixed.get("lr", 0) > 0 else 0.0
    return {
        "lr": _Axis(
            lambda u: np.exp(u) / h_max,
            lambda x: math.log(x * h_max),
            (-8.0 if fixed else -3.0, math.log(10 * k) + longer),
        ),
        "L": _Axis(lambda u: np.exp(u) * h_max, lambda x: math.log(x / h_max), (-2.0, 2.0)),
        "m": _Axis(lambda u: np.exp(u) * h_min, lambda x: math.log(x / h_min), (-4.0, 4.0)),
        "mu": _Axis(lambda u: -np.expm1(-u), lambda x: -math.log1p(-x), (0.0, math.log(4 * k + 4) + slower)),
        "nu": _Axis(lambda u: u, float, (0.0, 1.0)),
        "tau": _Axis(lambda u: u, float, (0.0, 0.99)),
    }


@functools.lru_cache(maxsize=256)  # a quarter of a second each, and a page asks for the same ones again
def _search(rule: Rule, h_min: float, h_max: float, held_fixed: tuple[tuple[str, Number], ...]) -> Optimum:
    """Minimise the larger of the two end rates.

    Between the ends no curvature is worse: trace and determinant are linear in h, and the pairs whose rate is at most r
    form a triangle, |determinant| <= r² and |trace| <= r + determinant/r, which is convex.
    """
    fixed = dict(held_fixed)
    axes = _axes(h_min, h_max, fixed)
    held = {"tau": 0, **fixed} if "tau" in rule.parameters else fixed  # dampening only rescales lr
    names = [name for name in rule.parameters if name not in held]
    if strange := sorted(set(names) - axes.keys()):
        raise AlgebraError(f"the optimum of {rule.name} is not searched over {', '.join(strange)}")

    def settings(point: Any) -> dict[str, Any]:
        return {name: axes[name].read(u) for name, u in zip(names, point, strict=True)} | held

    def worst(point: Any) -> Any:
        """Return the worse rate at a point (d,), or at many (d, points)."""
        chosen = settings(point)
        row = rule.row(**chosen)
        larger = np.maximum(rate(row, h_min), rate(row, h_max))
        return np.where(chosen.get("m", 0) > chosen.get("L", math.inf), 2.0, larger)

    best: Any = ()
    if names:
        # A rule that contains heavyball or ema is at least as good as their closed optimum.
        contained = [_heavyball(find(known), h_min, h_max, {}).settings for known in ("heavyball", "ema")]
        given = [{**chosen, "nu": 1.0, "tau": 0.0, "L": h_max, "m": h_min} for chosen in contained]
        known = [[axes[name].write(start[name]) for name in names] for start in given]
        best = _descend(worst, [axes[name].ends for name in names], known)
    found = {**fixed, **{name: float(axes[name].read(u)) for name, u in zip(names, best, strict=True)}}
    return Optimum({name: found[name] for name in rule.parameters if name in found}, float(worst(best)))


def _descend(worst: Callable[[Any], Any], bounds: list[tuple[float, float]], known: list[list[float]]) -> Any:
    """Return the lowest point of a box, from a seeded global search and from known points."""
    from scipy.optimize import differential_evolution, minimize

    wide = differential_evolution(
        worst, bounds, rng=0, tol=1e-12, maxiter=400, popsize=20, polish=False, vectorized=True, updating="deferred"
    )
    starts = [wide.x, *np.clip(known, *np.transpose(bounds))]
    best = min(starts, key=worst)
    for start in starts:
        for _ in range(3):  # the valley is a crease: each restart gives the simplex its width back
            options = {"xatol": 1e-13, "fatol": 1e-15, "maxiter": 4000}
            start = minimize(lambda u: float(worst(u)), start, method="Nelder-Mead", bounds=bounds, options=options).x
        best = min((best, start), key=worst)
    return best
