"""What a row implies on a quadratic, before a step is taken.

Along an eigen-direction with curvature h the pair (x, v) is multiplied, step after step, by one 2x2 matrix M(h) with

    a = keep    b = take·(move + look) + kick    c = take·look + keep·kick
    trace = 1 + a + h·b        determinant = a + h·c        (z - 1)(z - a) = h·(b·z - c) for its eigenvalues, the poles

Formulas without a limit or a comparison take any number type: floats, arrays, fractions and symbols.
"""

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ravine.errors import AlgebraError
from ravine.rules import Row, Rule, find, sqrt
from ravine.schedules import Number


class Response(NamedTuple):
    """Hold the three numbers that decide how a row answers a gradient."""

    a: Number  # no unit
    b: Number  # length per gradient
    c: Number  # length per gradient


class Optimum(NamedTuple):
    """Hold the settings with the smallest rate over a spectrum, and that rate."""

    settings: Mapping[str, Number]
    rate: Number


def response(row: Row) -> Response:
    """Return (a, b, c) of a row.

    >>> response(Row(keep=0.9, take=1, move=-0.1, kick=0, look=0))
    Response(a=0.9, b=-0.1, c=0.0)
    """
    keep, take, move, kick, look = row
    return Response(keep, take * (move + look) + kick, take * look + keep * kick)


def step_matrix(row: Row, h: Number) -> tuple[tuple[Number, Number], tuple[Number, Number]]:
    """Return M(h) with (x', v') = M(h)·(x, v), row by row; each entry is a number like those that came in."""
    keep, take, move, kick, look = row
    x_to_v, v_to_v = h * take, keep + h * take * look
    return (1 + move * x_to_v + h * kick, move * v_to_v + h * kick * look), (x_to_v, v_to_v)


def discriminant(row: Row, h: Number) -> Number:
    """Return trace² - 4·determinant of M(h): negative for complex poles, zero at critical damping."""
    a, b, c = response(row)
    # Multiplied out, because trace² and 4·determinant nearly cancel where mu is near 1 and h is small.
    return (1 - a) ** 2 + 2 * h * ((1 + a) * b - 2 * c) + (h * b) ** 2


def poles(row: Row, h: Number) -> tuple[Number, Number]:
    """Return both eigenvalues of M(h), complex where they must be; exact on fractions with rational roots."""
    a, b, _ = response(row)
    trace, square = 1 + a + h * b, discriminant(row, h)
    if isinstance(square, np.ndarray):
        root = np.sqrt(square.astype(complex))
    elif isinstance(square, float | int | Fraction) and square < 0:
        root = cmath.sqrt(square)
        trace = float(trace)
    else:
        root = sqrt(square)
    return (trace + root) / 2, (trace - root) / 2


def rate(row: Row, h: Number) -> Any:
    """Return the factor by which the error shrinks per step in the long run, the larger |pole|; below 1 it converges.

    Args:
        row: floats, or arrays that broadcast with `h`.
        h: curvature, gradient per length; a number or an array.

    Returns:
        A float, or an array of the broadcast shape. Over a spectrum the rate is the maximum of these.

    Example:
        >>> from ravine.rules import RULES
        >>> round(rate(RULES["heavyball"].row(lr=0.01, mu=0.9), 100.0), 6)
        0.948683

    Source: the spectral radius of M(h); Goh 2017 prints 2·√mu for complex poles, which is √mu.
    """
    cells = [np.asarray(cell, float) if getattr(cell, "shape", ()) else float(cell) for cell in row]
    floats = Row(*cells)
    a, b, c = response(floats)
    h = np.asarray(h, float) if getattr(h, "shape", ()) or isinstance(h, list | tuple) else float(h)
    square, trace, determinant = discriminant(floats, h), 1 + a + h * b, a + h * c
    if isinstance(square, float):  # the same two lines without arrays, because a search asks a million times
        return math.sqrt(max(determinant, 0.0)) if square < 0 else (abs(trace) + math.sqrt(square)) / 2
    real = (abs(trace) + np.sqrt(np.maximum(square, 0))) / 2
    return np.where(square < 0, np.sqrt(np.maximum(determinant, 0)), real)


CRITICAL = 1e-12  # a discriminant this small is rounding: its poles differ by less than 1e-6


def regime(row: Row, h: float) -> str:
    """Say how the error moves along a direction: monotone, critical, ripples, oscillating or diverging.

    Ripples are complex poles; oscillating means that a negative pole leads, so that the side changes at every step;
    critical is where two real poles meet and become complex. Diverging includes staying forever (a rate of 1).

    >>> from ravine.rules import RULES
    >>> regime(RULES["heavyball"].row(lr=0.01, mu=0.9), 100.0)
    'ripples'
    """
    if rate(row, h) >= 1:
        return "diverging"
    square = float(discriminant(row, h))
    if abs(square) <= CRITICAL:
        return "critical"
    if square < 0:
        return "ripples"
    a, b, _ = response(row)
    return "monotone" if 1 + a + h * b >= 0 else "oscillating"


def limit_h(row: Row) -> Number:
    """Return the curvature below which a row is stable (0 where no curvature is, infinity where all are).

    Stable means |a + hc| < 1 and |1 + a + hb| < 1 + a + hc; each bound is linear in h, so the limit is the least of
    three quotients. Exact on fractions; on symbols where signs can be decided. Arrays give an array.
    """
    if any(getattr(cell, "shape", ()) for cell in row):
        rows = np.broadcast_arrays(*row)
        each = [limit_h(Row(*map(float, cells))) for cells in zip(*(r.ravel() for r in rows), strict=True)]
        return np.array(each, float).reshape(rows[0].shape)
    a, b, c = response(row)
    if not _positive(c - b):
        return 0
    bounds = []
    if _positive(c):
        bounds.append((1 - a) / c)
    if _positive(-c):
        bounds.append((1 + a) / -c)
    if _positive(-(b + c)):
        bounds.append(2 * (1 + a) / -(b + c))
    least = bounds[0] if bounds else math.inf
    for bound in bounds[1:]:
        least = bound if _positive(least - bound) else least
    return least


def limit_lr(rule: Rule | str, h: Number, **settings: Number) -> Number:
    """Return the learning rate below which a rule is stable for the curvature h.

    >>> limit_lr("heavyball", 100, mu=Fraction(9, 10)), limit_lr("nag", 100, mu=Fraction(9, 10))
    (Fraction(19, 500), Fraction(19, 1400))

    Source: sgd 2/h, heavyball 2(1+mu)/h (Goh 2017), nag and nesterov 2(1+mu)/((1+2mu)h), ema 2(1+mu)/((1-mu)h).
    """
    rule = find(rule) if isinstance(rule, str) else rule
    if "lr" not in rule.parameters:
        raise AlgebraError(f"{rule.name} has no lr; its settings are {', '.join(rule.parameters)}")
    unit = 1.0 if any(getattr(x, "shape", ()) for x in settings.values()) else Fraction(1)  # 1 / 1 would be a float
    once, twice = (response(rule.row(lr=lr, **settings)) for lr in (unit, 2 * unit))
    if any(not _zero(second - 2 * first) for first, second in zip(once[1:], twice[1:], strict=True)):
        raise AlgebraError(f"{rule.name} does not step in proportion to lr, so its limit in lr has no closed form")
    return limit_h(rule.row(lr=unit, **settings)) / h


def effective_lr(row: Row) -> Number:
    """Return the step per gradient when the gradient stays the same: (c - b)/(1 - a), so lr/(1 - mu) for classical."""
    a, b, c = response(row)
    return (c - b) / (1 - a)


def critical_mu(rule: Rule | str, lr: Number, h: Number, **settings: Number) -> Number:
    """Return the momentum at which the poles along a direction of curvature h meet; NaN where they never do.

    The discriminant is a quadratic in mu for every rule of the table, so three values of it give the root:
    (1 - √(lr·h))² for heavyball and classical, (1 - √(lr·h))/(1 + √(lr·h)) for nag and nesterov.

    >>> critical_mu("heavyball", Fraction(1, 100), 25)
    Fraction(1, 4)
    """
    rule = find(rule) if isinstance(rule, str) else rule
    if "mu" not in rule.parameters:
        raise AlgebraError(f"{rule.name} has no mu; its settings are {', '.join(rule.parameters)}")

    def at(mu: Number) -> Number:
        return discriminant(rule.row(lr=lr, mu=mu, **settings), h)

    zero, half, one = at(0), at(Fraction(1, 2) if isinstance(lr * h, Fraction | int) else 0.5), at(1)
    square = 2 * (zero - 2 * half + one)
    slope = one - zero - square
    inside = slope**2 - 4 * square * zero
    if getattr(inside, "shape", ()):
        each = np.broadcast_arrays(np.asarray(square, float), slope, zero)
        roots = [_least_root(*map(float, cells)) for cells in zip(*(c.ravel() for c in each), strict=True)]
        return np.array(roots).reshape(inside.shape)
    return _least_root(square, slope, zero)


def _least_root(square: Number, slope: Number, zero: Number) -> Number:
    """Return the least root from 0 to below 1 of square·mu² + slope·mu + zero, or NaN."""
    if zero == 0:
        return zero  # the poles meet at mu = 0, as with lr·h = 1
    inside = slope**2 - 4 * square * zero
    if inside < 0:
        return math.nan
    # The form that subtracts nothing nearly equal: one root by the sum, the other by the product of both.
    large = -(slope + sqrt(inside)) / 2 if slope >= 0 else -(slope - sqrt(inside)) / 2
    roots = [large / square] if square != 0 else []
    roots += [zero / large] if large != 0 else []
    return min((mu for mu in roots if 0 <= mu < 1), default=math.nan)


def optimum(rule: Rule | str, h_min: Number, h_max: Number) -> Optimum:
    """Return the settings that minimise the rate over the curvatures from h_min to h_max.

    In closed form for sgd, heavyball, classical and ema (Polyak 1964) and for nesterov, keras_nesterov and nag
    (Lessard, Recht & Packard 2016, proposition 1); for other rules the rate is minimised numerically.

    >>> best = optimum("heavyball", 2.0, 100.0)
    >>> round(best.settings["lr"], 10), round(best.settings["mu"], 10), round(best.rate, 10)
    (0.0307020944, 0.5658068165, 0.7522013138)
    """
    rule = find(rule) if isinstance(rule, str) else rule
    if not _symbolic(h_min) and not _symbolic(h_max) and not 0 < h_min <= h_max < math.inf:
        raise AlgebraError(f"an optimum needs 0 < h_min <= h_max, got {h_min} and {h_max}; a saddle has none")
    k = h_max / h_min
    if rule.name == "sgd":
        return Optimum({"lr": 2 / (h_min + h_max)}, (k - 1) / (k + 1))
    if rule.name in ("heavyball", "classical", "ema"):
        root = sqrt(k)
        best = (root - 1) / (root + 1)
        lr, mu = (2 / (sqrt(h_max) + sqrt(h_min))) ** 2, best**2
        return Optimum({"lr": lr / (1 - mu) if rule.name == "ema" else lr, "mu": mu}, best)
    if rule.name in ("nesterov", "keras_nesterov", "nag"):
        root = sqrt(3 * k + 1)
        return Optimum({"lr": 4 / (3 * h_max + h_min), "mu": (root - 2) / (root + 2)}, 1 - 2 / root)
    return _search(rule, float(h_min), float(h_max))


def same(one: Row, other: Row) -> bool:
    """Say whether two rows ask for the same gradients, step for step, on every function, from v = 0.

    Cross-multiplied, so that qhm with nu = 0 equals sgd in spite of the pole that cancels. Exact on fractions and
    symbols; floats may differ by rounding (1e-12 of their size).

    >>> from ravine.rules import RULES
    >>> same(RULES["classical"].row(lr=0.1, mu=0.9), RULES["heavyball"].row(lr=0.1, mu=0.9))
    True
    """
    (a, b, c), (A, B, C) = response(one), response(other)
    return all(_equal(p, q) for p, q in ((b, B), (c + b * A, C + B * a), (c * A, C * a)))


def rescale(row: Row, s: Number, s_next: Number | None = None) -> Row:
    """Return the row whose buffer is s times this one's; no x changes. Under a schedule s belongs to v, s_next to v'.

    From classical to heavyball s = -1/lr, and with a changing lr the momentum becomes mu·lr_before/lr: the momentum
    correction of Goyal et al. 2017, section 3, read backwards.
    """
    s_next = s if s_next is None else s_next
    keep, take, move, kick, look = row
    return Row(keep * s_next / s, take * s_next, move / s_next, kick, look / s)


def plain(row: Row, look_next: Number | None = None) -> Row:
    """Return the row that stores y = x + look·v instead of x, and so asks for the gradient where it stands.

    It needs the look of the next step, equal to this one's unless a schedule changes it. From nag it makes
    keras_nesterov at constant mu, and says what to run instead under a schedule.

    Raises `AlgebraError` where the buffer keeps nothing but is looked along, because v cannot be had back from v'.
    """
    keep, take, move, kick, look = row
    look_next = look if look_next is None else look_next
    if getattr(look, "shape", ()):
        safe = np.where(look == 0, 1, keep)  # where there is nothing to look along, nothing is divided
        if np.any((safe == 0) & (look != 0)):
            raise AlgebraError("a row that looks ahead with keep = 0 has no plain form; use a mu above 0")
        return Row(keep, take, move + look_next - look / safe, kick + take * look / safe, 0)
    if _zero(look):
        return Row(keep, take, move + look_next, kick, 0)
    if _zero(keep):
        raise AlgebraError("a row that looks ahead with keep = 0 has no plain form; use a mu above 0")
    return Row(keep, take, move + look_next - look / keep, kick + take * look / keep, 0)


# Numbers of every kind -------------------------------------------------------------------------------------------


def _symbolic(x: Number) -> bool:
    return hasattr(x, "free_symbols")


def _positive(x: Number) -> bool:
    if not _symbolic(x):
        return bool(x > 0)
    # mu, nu and tau lie between 0 and 1, as their settings do: put p/(1 + p) for each, with p positive.
    for symbol in x.free_symbols:
        if symbol.name in ("mu", "nu", "tau"):
            p = type(symbol)(f"{symbol.name}_", positive=True)
            x = x.subs(symbol, p / (1 + p))
    simple = x.simplify().factor()
    if simple.is_positive is None and not simple.is_nonpositive:
        raise AlgebraError(f"cannot decide whether {x} is positive; give symbols with positive=True, or numbers")
    return bool(simple.is_positive)


def _zero(x: Number) -> bool:
    return bool(x.simplify() == 0) if _symbolic(x) else bool(np.all(x == 0))


def _equal(p: Number, q: Number) -> bool:
    if isinstance(p, float) or isinstance(q, float):
        return math.isclose(p, q, rel_tol=1e-12, abs_tol=1e-300)
    return _zero(p - q)


def _search(rule: Rule, h_min: float, h_max: float) -> Optimum:
    """Minimise the larger of the two end rates.

    Between the ends no curvature is worse: trace and determinant are linear in h, and the pairs whose rate is at most r
    form a triangle, |determinant| <= r² and |trace| <= r + determinant/r, which is convex.
    """
    from scipy.optimize import differential_evolution, minimize

    # In these units the box is small: lr and L as multiples of 1/h_max and h_max, mu as the number of steps it keeps.
    k = h_max / h_min
    read: dict[str, tuple[Callable[[float], float], tuple[float, float]]] = {
        "lr": (lambda u: math.exp(u) / h_max, (-3.0, math.log(10 * k))),
        "L": (lambda u: math.exp(u) * h_max, (-2.0, 2.0)),
        "m": (lambda u: math.exp(u) * h_min, (-4.0, 4.0)),
        "mu": (lambda u: -math.expm1(-u), (0.0, math.log(4 * k + 4))),
        "nu": (lambda u: u, (0.0, 1.0)),
        "tau": (lambda u: u, (0.0, 0.99)),
    }
    names = list(rule.parameters)
    if not set(names) <= read.keys():
        raise AlgebraError(
            f"the optimum of {rule.name} is not searched over {', '.join(sorted(set(names) - read.keys()))}"
        )

    def settings(point: Any) -> dict[str, float]:
        return {name: read[name][0](float(u)) for name, u in zip(names, point, strict=True)}

    def worst(point: Any) -> float:
        chosen = settings(point)
        if chosen.get("m", 0) > chosen.get("L", math.inf):
            return 2.0
        row = rule.row(**chosen)
        return float(max(rate(row, h_min), rate(row, h_max)))

    bounds = [read[name][1] for name in names]
    starts = [differential_evolution(worst, bounds, rng=0, tol=1e-12, maxiter=400, popsize=20, polish=False).x]
    # A rule that contains heavyball or ema is at least as good as their closed optimum.
    into: dict[str, Callable[[float], float]] = {
        "lr": lambda x: math.log(x * h_max),
        "mu": lambda x: -math.log1p(-x),
        "L": lambda x: math.log(x / h_max),
        "m": lambda x: math.log(x / h_min),
    }
    for known in ("heavyball", "ema"):
        given = {**optimum(known, h_min, h_max).settings, "nu": 1.0, "tau": 0.0, "L": h_max, "m": h_min}
        starts.append(np.array([into.get(name, float)(given[name]) for name in names]))
    best = min(starts, key=worst)
    for start in starts:
        for _ in range(3):  # the valley is a crease: each restart gives the simplex its width back
            options = {"xatol": 1e-13, "fatol": 1e-15, "maxiter": 4000}
            start = minimize(worst, start, method="Nelder-Mead", bounds=bounds, options=options).x
        best = min((best, start), key=worst)
    return Optimum(settings(best), worst(best))
