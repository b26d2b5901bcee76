"""What a method does where the curvatures are known, in plain numbers: along each direction and all together.

These functions take floats alone and are translated into JavaScript for the page (`browser/forecast.py`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from ravine import algebra
from ravine.algebra.direction import leading
from ravine.algebra.limits import lr_below, mu_between
from ravine.algebra.optima import descent_rate
from ravine.prediction import SAME, Best, Direction, Limit, Place, Spot
from ravine.rules import RULES, Method, Row, Rule
from ravine.schedules import at as value_at

ROUNDING = 8 * float(np.finfo(float).eps)

Found = tuple[Mapping[str, float], float]  # the best settings for a spectrum, and their rate


def outlook(
    method: Method, spot: Spot, steps: int, noise: float, best_of: Callable[[Mapping[str, Any]], Found | None]
) -> Place:
    """Predict at one point, all but the expected curve and the verdict; `best_of` knows the best settings beside others."""
    step = algebra.last_moving(method, steps)
    row, last = method.row(step), {key: value_at(value, step) for key, value in method.settings.items()}
    means = [None for _ in spot.h] if method.steady else [float(each) for each in algebra.growth(method, spot.h, steps)]
    directions = [_direction(row, *each) for each in zip(spot.h, spot.vectors, means, strict=True)]
    floors = method.steady and spot.kind not in ("slope", "kink") and noise > 0
    if floors:
        directions = [replace(d, noise_floor=_floor(spot, row, d, noise)) for d in directions]
    directions = [replace(d, regime="kink") if kink else d for d, kink in zip(directions, spot.kinks, strict=True)]
    rate, effective = max(d.rate for d in directions), float(algebra.effective_lr(row))
    found = best_of(last) if max(spot.h) > 0 and min(spot.h) >= 0 else None
    return Place(
        point=spot.point,
        value=spot.value,
        kind=spot.kind,
        directions=tuple(directions),
        rate=rate,
        stable=spot.kind != "kink" and _stable(method, row, directions),
        limit=_limit(method.rule, last, row, [h for h in spot.h if h > 0]),
        effective_lr=effective,
        acceleration=effective / last["lr"] if last.get("lr") else None,
        speedup=_speedup(method, spot.h, rate, steps),
        optimum=None if found is None else _best(method, *found, rate),
        verdict="",
        noise_floor=sum(d.noise_floor or 0.0 for d in directions) if floors else None,
    )


def regime(row: Row, h: float) -> str:
    """Name the regime of a row, which stands still where nothing moves x; a stable row never diverges by rounding.

    >>> regime(RULES["sgd"].row(lr=0.0), 2.0), regime(RULES["sgd"].row(lr=1e-20), 2.0)
    ('stands still', 'monotone')
    """
    _, b, c = algebra.response(row)
    if b == 0 and c == 0:
        return "stands still"
    word = algebra.regime(row, h)
    if word != "diverging" or not _holds(row, h):
        return word
    return "ripples" if algebra.discriminant(row, h) < 0 else "monotone"


def _holds(row: Row, h: float) -> bool:
    """Say whether a row is stable, where what rounding makes of the limit is not."""
    damped, above, below = algebra.bounds(row, h)
    _, b, c = algebra.response(row)
    rounding = ROUNDING * (1 + abs(h * b) + abs(h * c))
    return bool(damped > 0 and above > rounding and below > 0 and (c == 0 or damped > rounding))


def _stable(method: Method, row: Row, directions: Sequence[Direction]) -> bool:
    """Say whether all errors shrink: by the row where it stays, in the mean over the steps under a schedule."""
    return all(_holds(row, d.h) if method.steady else d.rate < 1 - SAME for d in directions)


def _direction(row: Row, h: float, vector: tuple[float, ...], mean: float | None) -> Direction:
    """Predict along one direction, without noise; `mean` is the growth per step under a schedule."""
    if h == 0:
        keep, _, _ = algebra.response(row)
        return Direction(h, vector, "flat", (complex(1.0, 0.0), complex(float(keep), 0.0)), 1.0, None, None, None)
    first, second = leading(row, h)
    poles = complex(*first), complex(*second)
    rate = float(algebra.rate(row, h)) if mean is None else mean
    if not (math.isfinite(first[0]) and math.isfinite(first[1])) or math.isnan(rate):  # beyond what floats can square
        rate = math.inf if mean is None or math.isnan(mean) else mean
        return Direction(h, vector, "diverging", poles, rate, None, _steps_per_ten(rate), None)
    word = regime(row, h)
    rate = 1.0 if word == "stands still" and mean is None else rate
    return Direction(h, vector, word, poles, rate, _period(*first), _steps_per_ten(rate), None)


def _floor(spot: Spot, row: Row, direction: Direction, noise: float) -> float | None:
    """Return the loss that noise leaves along a direction; None along a flat one that is not flat for ever."""
    if direction.h == 0:
        return 0.0 if spot.quadratic else None
    if direction.regime == "stands still":
        return 0.0
    return algebra.noise_floor(row, direction.h, noise) if _holds(row, direction.h) else math.inf


def _period(real: float, imaginary: float) -> float | None:
    """Return after how many steps a swing repeats: 2π over the angle of the leading pole, 2 for a negative one."""
    angle = abs(math.atan2(imaginary, real))
    return 2 * math.pi / angle if angle > 0 and (real != 0 or imaginary != 0) else None


def _steps_per_ten(rate: float) -> float | None:
    """Return in how many steps an error falls or grows tenfold; None where it stays, 0 where it is gone at once."""
    if abs(rate - 1) <= SAME or not math.isfinite(rate):
        return None
    return math.log(10) / abs(math.log(rate)) if rate > 0 else 0.0


def _limit(rule: Rule, settings: Mapping[str, Any], row: Row, upward: Sequence[float]) -> Limit:
    """Return where stability ends for these positive curvatures."""
    lr, mu = None, None
    if upward and "lr" in settings:
        lr = lr_below(lambda lr: rule.row(**{**settings, "lr": lr}), max(upward), Fraction(1))
    if upward and "mu" in settings:
        mu = _limit_mu(lambda mu: rule.row(**{**settings, "mu": mu}), upward)
    return Limit(None if lr is None else float(lr), float(algebra.limit_h(row)), mu)


def _limit_mu(row_of: Callable[[float], Row], upward: Sequence[float]) -> tuple[float, float] | None:
    """Return between which mu all these curvatures are stable, where that is neither everywhere nor nowhere."""
    flattest, steepest = mu_between(row_of, min(upward)), mu_between(row_of, max(upward))
    if flattest is None or steepest is None:
        return None
    low, high = max(flattest[0], steepest[0]), min(flattest[1], steepest[1])
    return (low, high) if low < high and not (low == 0 and high == 1) else None


def _speedup(method: Method, h: Sequence[float], rate: float, steps: int) -> tuple[float | None, float | None]:
    """Return the ratio of the log rate to that of gradient descent, with the same lr or its schedule, and at its best."""
    if not all(each > 0 for each in h) or not 0 < rate < 1 - SAME:
        return None, None
    lr, same = method.settings.get("lr"), 1.0
    if lr is not None:
        same = max(_descent_rates(descent(lr), h, steps))
    best = descent_rate(max(h) / min(h))
    return (
        math.log(rate) / math.log(same) if 0 < same < 1 - SAME else None,
        math.log(rate) / math.log(best) if 0 < best < 1 - SAME else None,
    )


def descent(lr: Any) -> Method:
    """Return gradient descent with this learning rate, constant or scheduled."""
    return RULES["sgd"](lr=lr)


def _descent_rates(descent: Method, h: Sequence[float], steps: int) -> list[float]:
    """Return the rate of gradient descent along each direction."""
    if not descent.steady:
        return [float(each) for each in algebra.growth(descent, h, steps)]
    row = descent.row(0)
    return [float(algebra.rate(row, each)) for each in h]


def _best(method: Method, settings: Mapping[str, float], best: float, rate: float) -> Best:
    """Say what the best settings, whose rate is `best`, would gain."""
    now, then = _steps_per_ten(rate), _steps_per_ten(best)
    gain = now / then if method.steady and rate < 1 and now is not None and then else None
    return Best(settings, best, then, gain)
