"""What a row implies on a quadratic, before a step is taken.

Along an eigen-direction with curvature h the pair (x, v) is multiplied, step after step, by one 2x2 matrix M(h) with

    a = keep    b = take·(move + look) + kick    c = take·look + keep·kick
    trace = 1 + a + h·b        determinant = a + h·c        (z - 1)(z - a) = h·(b·z - c) for its eigenvalues, the poles

Formulas without a limit or a comparison take any number type: floats, arrays, fractions and symbols.
"""

from ravine.algebra.direction import (
    CRITICAL,
    Response,
    bounds,
    discriminant,
    effective_lr,
    margin,
    poles,
    rate,
    regime,
    response,
    step_matrix,
)
from ravine.algebra.forms import plain, rescale, same
from ravine.algebra.limits import critical_mu, limit_h, limit_lr, limit_mu
from ravine.algebra.noise import Covariance, Expected, covariance, expected, noise_floor
from ravine.algebra.optima import Optimum, optimum
from ravine.algebra.products import growth, last_moving, matrices, states

__all__ = [
    "CRITICAL",
    "Covariance",
    "Expected",
    "Optimum",
    "Response",
    "bounds",
    "covariance",
    "critical_mu",
    "discriminant",
    "effective_lr",
    "expected",
    "growth",
    "last_moving",
    "limit_h",
    "limit_lr",
    "limit_mu",
    "margin",
    "matrices",
    "noise_floor",
    "optimum",
    "plain",
    "poles",
    "rate",
    "regime",
    "rescale",
    "response",
    "same",
    "states",
    "step_matrix",
]
