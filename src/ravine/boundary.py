"""What theory says of a map: the rate in every cell, the stability boundary, the optimum, and where measurement agrees."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ravine import algebra
from ravine.axes import Axis
from ravine.errors import AlgebraError
from ravine.rules import Row, Rule
from ravine.surfaces.interface import Array


class Theory(NamedTuple):
    """Hold the quadratic that stands for a surface near a minimum."""

    point: tuple[float, ...]  # of the minimum
    curvatures: Array  # (n,), rising
    exact: bool  # whether the surface is that quadratic everywhere
    optimum: Mapping[str, float] | None  # the best settings of those on the axes, None where there are none
    rate: float | None  # there


class Agreement(NamedTuple):
    """Hold how far the measured divergence is the predicted one."""

    share: float | None  # of the compared cells
    compared: int
    left_out: int  # cells within one cell of the predicted boundary, or not decided


def theory(rule: Rule, x: Axis, y: Axis, fixed: Mapping[str, float], point: Array, h: Array, exact: bool) -> Theory:
    """Make the theory of a map from the Hessian's eigenvalues at a minimum."""
    best = None
    free = {axis.name for axis in (x, y)} & rule.parameters.keys()
    if (h > 0).all() and free:
        held = rule.own(fixed)
        try:
            best = algebra.optimum(rule, float(h.min()), float(h.max()), **held)
        except AlgebraError:  # a rule whose settings nobody knows how to search
            best = None
        if best is not None:  # a setting that the closed form leaves at its default
            spare = {key: value for key, value in rule.parameters.items() if isinstance(value, int | float)}
            best = best._replace(settings={**spare, **best.settings})
    return Theory(
        point=tuple(map(float, point + 0.0)),
        curvatures=h,
        exact=exact,
        optimum=None if best is None else {k: float(v) for k, v in best.settings.items() if k in free},
        rate=None if best is None else float(best.rate),
    )


def row_of(rule: Rule, x: Axis, y: Axis, fixed: Mapping[str, Any], rows: slice = slice(None)) -> Row:
    """Return the row of every cell, its numbers broadcasting to (rows, columns): y goes down, x across."""
    settings = {**fixed, y.name: y.values[rows, None], x.name: x.values[None, :]}
    return rule.row(**rule.own(settings))


def rates(rule: Rule, x: Axis, y: Axis, fixed: Mapping[str, float], h: Array) -> Array:
    """Return the rate of every cell over these curvatures in closed form, (rows, columns).

    Between the least and the largest curvature no other is worse, so two are enough.
    """
    row = row_of(rule, x, y, fixed)
    with np.errstate(all="ignore"):
        found = np.maximum(algebra.rate(row, float(h.min())), algebra.rate(row, float(h.max())))
    return np.array(np.broadcast_to(found, (y.size, x.size)))


def margins(rule: Rule, x: Axis, y: Axis, fixed: Mapping[str, float], h: Array) -> Array:
    """Return how far every cell is from instability, (rows, columns); its zero line is the stability boundary."""
    row = row_of(rule, x, y, fixed)
    with np.errstate(all="ignore"):
        found = np.minimum(algebra.margin(row, float(h.min())), algebra.margin(row, float(h.max())))
    return np.array(np.broadcast_to(found, (y.size, x.size)))


def discriminants(rule: Rule, x: Axis, y: Axis, fixed: Mapping[str, float], h: float) -> Array:
    """Return the discriminant of every cell for one curvature; its zero line is critical damping."""
    with np.errstate(all="ignore"):
        found = algebra.discriminant(row_of(rule, x, y, fixed), h)
    return np.array(np.broadcast_to(found, (y.size, x.size)))


def agreement(stable: Array, diverged: Array, decided: Array) -> Agreement:
    """Compare measured divergence with predicted stability, leaving out cells that touch the predicted boundary.

    Args:
        stable: predicted, (rows, columns).
        diverged: measured.
        decided: cells that were walked to an end.
    """
    touching = np.zeros_like(stable)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            moved = np.roll(np.pad(stable, 1, mode="edge"), (down, right), (0, 1))[1:-1, 1:-1]
            touching |= moved != stable
    use = ~touching & decided
    count = int(use.sum())
    share = float((diverged[use] != stable[use]).mean()) if count else None
    return Agreement(share, count, int(stable.size - count))


def apart(optimum: Mapping[str, float], cell: Mapping[str, float], axes: tuple[Axis, Axis]) -> float | None:
    """Return how many cells lie between two settings, along the axis where they are more; None outside the map."""
    steps = [abs(axis.place(optimum[axis.name]) - axis.place(cell[axis.name])) for axis in axes if axis.name in optimum]
    inside = all(axis.low <= optimum[axis.name] <= axis.high for axis in axes if axis.name in optimum)
    return max(steps) if steps and inside and all(map(math.isfinite, steps)) else None
