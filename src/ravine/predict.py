"""Before a step is taken: will it converge, how fast, how does it move, and what would be best.

At a minimum the surface is its quadratic, ½·Σ h_i·u_i²: along each eigen-direction of the Hessian the algebra of a row
says everything. What is said of a place is exact for quadratics, and elsewhere holds near the place.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ravine.algebra import last_moving
from ravine.charts import EVERY
from ravine.errors import PredictError, SurfaceError, shown
from ravine.hollows import minima, written
from ravine.places import place
from ravine.prediction import Prediction
from ravine.rules import Method, parse
from ravine.schedules import at as value_at
from ravine.starts import check_steps, points_of
from ravine.surfaces import surface as make_surface
from ravine.surfaces.interface import Array, Surface

MOST_STEPS = 1_000_000
MOST_NUMBERS = 5_000_000  # of an expected curve, steps times directions


def predict(
    surface: str | Surface | Callable[..., Any],
    method: str | Method,
    *,
    at: ArrayLike | None = None,
    start: ArrayLike | None = None,
    steps: int = 100,
    noise: float = 0.0,
) -> Prediction:
    """Predict how a method moves near the minima of a surface, before a step is taken.

        along each eigen-direction of the Hessian: poles of M(h), rate = max |pole|, stable where the rate is below 1

    Args:
        surface: whatever `surface` reads: an expression, a name, a spectrum, a function.
        method: a text such as `classical:lr=0.01,mu=0.9`, or a method; its settings may be schedules.
        at: points to look at, (n,) or (k, n), minima or not.
        start: descend from here to find the minima, (n,) or (k, n); also where the expected curve starts.
        steps: how long the expected curve is; under a schedule the rate is the mean over so many.
        noise: standard deviation of the noise on each coordinate of the gradient.

    Returns:
        A `Prediction` with one `Place` for each point. Divergence is a result.

    Raises:
        PredictError, RuleError, SurfaceError: a guest, a surface without a minimum, a Hessian that is no number.

    Example:
        >>> found = predict("x^2 + 50y^2", "classical:lr=0.01,mu=0.9").places[0]
        >>> found.stable, round(found.rate, 6), round(found.limit.lr, 6), round(found.acceleration, 6)
        (True, 0.948683, 0.038, 10.0)

    Source: the poles of M(h), Goh 2017; for the optimum see `ravine.algebra.optimum`.
    """
    method = _method(method)
    _check_numbers(steps, noise)
    points = None if at is None else points_of(at, PredictError, "a point")
    starts = None if start is None else points_of(start, PredictError)
    known = points if points is not None else starts
    surface = make_surface(surface, dim=None if known is None else known.shape[1])
    for rows, option in ((points, "--at"), (starts, "--start")):
        if rows is not None:
            _check_shape(surface, rows, option)
    notes = [*surface.notes, *([] if method.steady else [_scheduled(method, steps)])]
    with np.errstate(all="ignore"):  # what overflows is said in words
        wanted, note = (list(points), "") if points is not None else minima(surface, starts)
    notes += [note] if note else []
    if steps * surface.dim > MOST_NUMBERS:
        raise PredictError(
            f"{steps} steps along {surface.dim} directions are too many; use at most {MOST_NUMBERS // surface.dim} steps"
        )
    begin = starts[0] if starts is not None else np.array(surface.start or (1.0,) * surface.dim)
    with np.errstate(all="ignore"):
        places = tuple(place(surface, method, point, begin, steps, float(noise)) for point in wanted)
    return Prediction(surface, method, steps, float(noise), places, tuple(notes))


def _scheduled(method: Method, steps: int) -> str:
    """Say what a prediction means where the settings change with the step."""
    step = last_moving(method, steps)
    last = ", ".join(f"{key} = {value_at(value, step):.6g}" for key, value in method.settings.items())
    return (
        f"settings change: the rate is the mean over {steps} steps, what noise leaves is the expected loss after them; "
        f"regimes, poles, limit and effective lr are those of step {step} ({last})"
        + ("" if step == steps - 1 else ", the last that moves")
    )


# What came in ----------------------------------------------------------------------------------------------------


def _method(method: str | Method) -> Method:
    """Read a method; guests are refused."""
    if isinstance(method, Method):
        return method
    if not isinstance(method, str):
        raise PredictError(
            f"a rule is a text such as classical:lr=0.01,mu=0.9 or a method, got {type(method).__name__}"
        )
    if method.split(":")[0].strip().lower() in ("torch", "optax"):
        raise PredictError(
            f"nothing can be predicted of the guest {shown(method)}, whose five numbers are unknown; name a rule "
            "(ravine rules), or watch it with ravine race"
        )
    return parse(method, EVERY)


def _check_shape(surface: Surface, points: Array, option: str) -> None:
    if points.shape[1] != surface.dim:
        raise PredictError(
            f"{surface.name} has {surface.dim} coordinates ({', '.join(surface.variables[:8])}), got "
            f"{points.shape[1]}; write {option} {','.join('1' * min(surface.dim, 8))}"
        )
    if not np.isfinite(surface.value(points)).all():
        raise SurfaceError(f"{surface.name} is undefined at ({written(points[0])}); name another point with {option}")


def _check_numbers(steps: int, noise: float) -> None:
    check_steps(steps, MOST_STEPS, PredictError)
    if isinstance(noise, bool) or not isinstance(noise, int | float | np.number) or not 0 <= noise < math.inf:
        raise PredictError(f"noise must be a finite standard deviation, 0 or more, got {shown(noise)}")
