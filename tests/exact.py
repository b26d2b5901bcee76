"""Walk the real stepper in exact fractions, for the tests: what it stored, and where it asked for the gradient."""

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ravine.rules import RULES, Row
from ravine.stepper import step

F = Fraction
Vector = Any  # an object array (2,) of fractions
Gradient = Callable[[Vector], Vector]


def vector(*numbers: Any) -> Vector:
    """Return an object array of fractions."""
    return np.array([F(n) for n in numbers], dtype=object)


def bowl(x: Vector) -> Vector:
    """Return the gradient of x² + xy + 25y², a tilted quadratic whose curvatures are about 1.98 and 50.02."""
    return np.array([2 * x[0] + x[1], x[0] + 50 * x[1]], dtype=object)


def quartic(x: Vector) -> Vector:
    """Return the gradient of x⁴/4 - xy + y², which is no quadratic and no convex function."""
    return np.array([x[0] ** 3 - x[1], 2 * x[1] - x[0]], dtype=object)


class Walk(NamedTuple):
    """Hold exact positions and velocities, (steps + 1) of each, and the points where gradients were asked for."""

    xs: list[list[Fraction]]
    vs: list[list[Fraction]]
    asked: list[list[Fraction]]


def walk(rows: Iterable[Row], gradient: Gradient, x: Vector, v: Vector | None = None) -> Walk:
    """Step the real stepper with one row a step, on object arrays."""
    x, v = x[:, None], (0 * x if v is None else v)[:, None]
    found = Walk([list(x[:, 0])], [list(v[:, 0])], [])

    def slopes(at: Any, out: Any) -> None:
        found.asked.append(list(at[:, 0]))
        out[:, 0] = gradient(at[:, 0])

    for row in rows:
        x_next, v_next, g = np.empty_like(x), np.empty_like(x), np.empty_like(x)
        step(row, x, v, slopes, x_next, v_next, g)
        x, v = x_next, v_next
        found.xs.append(list(x[:, 0]))
        found.vs.append(list(v[:, 0]))
    return found


def rows_of(rule: str, steps: int, **values: Any) -> list[Row]:
    """Return the rows of so many steps as a race gets them, from a method whose settings are numbers or functions."""
    method = RULES[rule](**values)
    return [method.row(t) for t in range(steps)]


def flat_walk(rows: Iterable[Row], curvatures: Sequence[float], x: Sequence[float], v: Any = None) -> Any:
    """Step the real stepper in floats on ½ Σ hᵢxᵢ²; returns positions (steps + 1, n) and velocities likewise."""
    h = np.array(curvatures, float)[:, None]
    x, v = np.array(x, float)[:, None], np.zeros((len(h), 1)) if v is None else np.array(v, float)[:, None]
    xs, vs = [x], [v]
    for row in rows:
        x_next, v_next, g = np.empty_like(x), np.empty_like(x), np.empty_like(x)
        step(row, x, v, lambda at, out: np.multiply(h, at, out=out), x_next, v_next, g)
        x, v = x_next, v_next
        xs.append(x)
        vs.append(v)
    return np.stack(xs)[:, :, 0], np.stack(vs)[:, :, 0]
