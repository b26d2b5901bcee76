"""Random methods of every rule, and many of them stepped at once, for the tests of conversions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ravine.charts import EVERY
from ravine.rules import Method, Row
from ravine.stepper import step

NAMES = list(EVERY)
CURVATURES = np.array([0.4, 0.7, 1.0, 1.4, 2.0])[:, None]


def gradient(y: Any) -> Any:
    """Return the gradient of Σ h·log cosh x + 0.3·Σ cos(x_i - x_(i+1)), which is neither quadratic nor convex."""
    ahead = 0.3 * np.sin(y - np.roll(y, -1, axis=0))
    return CURVATURES * np.tanh(y) - ahead + np.roll(ahead, 1, axis=0)


def drawn(name: str, rng: np.random.Generator) -> Method:
    """Draw a method of a rule with ordinary settings, none of them special."""
    u = rng.uniform
    lr, mu = u(0.001, 0.2), u(0.1, 0.95)
    lasting = u(1.5, 200)  # kappa of robust momentum
    nu = u(-1.2, 0.97)
    settings: dict[str, float] = {
        "sgd": {"lr": lr},
        "heavyball": {"lr": lr, "mu": mu, "tau": rng.choice([0.0, u(0.1, 0.9)])},
        "qhm": {"lr": lr / (1 - nu * mu), "mu": mu, "nu": nu},
        "triple": {"L": u(5, 50), "m": u(0.1, 4)},
        "snv": {"alpha": lr, "beta1": mu, "beta2": u(-0.5, 2)},
        "robust": {"L": u(5, 50), "kappa": lasting, "rho": u(1 - 0.99 * lasting**-0.5, 1 - 1.01 / lasting)},
        "pid": {"kp": -u(0.01, 0.5), "ki": u(0.01, 0.3), "kd": u(0.1, 2)},
        "accsgd": {"delta": lr / 2, "kappa": u(30, 300), "xi": u(1, 10), "eps": 0.7},
    }.get(name, {"lr": lr / (1 - mu) if name == "ema" else lr, "mu": mu})
    return EVERY[name](**{key: float(f"{value:.6g}") for key, value in settings.items()})


def stacked(rows: Sequence[Row]) -> Row:
    """Return many rows as one row of arrays."""
    return Row(*(np.array(cells, float) for cells in zip(*rows, strict=True)))


def asked(rows: Callable[[int], Row], runs: int, steps: int = 50, state: Any = None) -> tuple[Any, Any]:
    """Step the real stepper, all runs at once; returns where gradients were asked for, (steps, 5, runs), and the states."""
    x = np.tile(np.random.default_rng(7).uniform(-2, 2, (5, 1)), (1, runs)) if state is None else state[0]
    v = np.zeros_like(x) if state is None else state[1]
    points, states = [], [(x, v)]

    def slopes(y: Any, out: Any) -> None:
        points.append(y.copy())
        out[:] = gradient(y)

    for t in range(steps):
        x_next, v_next, g = np.empty_like(x), np.empty_like(x), np.empty_like(x)
        step(rows(t), x, v, slopes, x_next, v_next, g)
        x, v = x_next, v_next
        states.append((x, v))
    return np.array(points), states


def apart(one: Any, other: Any) -> float:
    """Return the largest difference of two lists of points, as a part of the largest coordinate."""
    return float(abs(one - other).max() / abs(one).max())
