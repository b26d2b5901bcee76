"""Prediction beside measurement: a run's error along every eigen-direction, and the closed form of it.

    measured   u_i(t) = e_i·(x_t - x*)          predicted   M(h_i)^t (u_i(0), 0), under schedules M_{t-1} ··· M_0

Nothing is fitted. On a quadratic both are the same up to rounding; elsewhere the closed form is started anew at the
first step from which it stays with the run to its end, if the error falls tenfold from there on: else the step would tell of
the run's length alone.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.algebra import matrices, poles, states
from ravine.algebra.products import rows_at
from ravine.display import finite
from ravine.hollows import flat, stationary, written
from ravine.result import Race, Run
from ravine.rules import Method
from ravine.surfaces.interface import Array

NEAR = 0.05  # of the measured envelope: the closed form counts as the run's as long as it stays so near
LEAST = 8  # steps that it must stay near
FALL = 10  # by which the envelope must fall meanwhile, or any straight piece would do
TRIED = 1000  # steps from which the closed form is started, at most
ROUNDING = 1e-10  # of the largest error: below, nothing is compared


@dataclass(frozen=True, eq=False)
class Components:
    """Hold a run's error along the eigen-directions of the Hessian where it leads, measured and predicted."""

    point: Array  # (n,), where the run leads
    h: Array  # (n,), curvatures, rising
    measured: Array  # (steps + 1, n), length
    predicted: Array  # (steps + 1, n), NaN where nothing is predicted
    quadratic_from: tuple[int | None, ...]  # the step from which the closed form holds, None if it never does
    difference: tuple[float | None, ...]  # largest |measured - predicted|, of the largest error so far
    note: str = ""

    def summary(self) -> list[dict[str, Any]]:
        """Return what `ravine race --predict --json` prints of a run's directions."""
        return [
            {"h": float(h), "difference": finite(difference), "quadratic_from": begin}
            for h, difference, begin in zip(self.h, self.difference, self.quadratic_from, strict=True)
        ]


def components(run: Run, noise: float = 0.0) -> Components | None:
    """Split a run's error into eigen-directions and predict each in closed form; None where it leads nowhere known.

    Args:
        run: of a race; a guest has no closed form, its prediction is NaN.
        noise: of the race: the closed form is then the mean, and the note says so.

    Returns:
        Errors of shape (steps + 1, n), and from which step on the closed form holds.

    Example:
        >>> from ravine import race
        >>> found = components(race("x^2 + 50y^2", "nag:lr=0.01,mu=0.9", (180, 90)).runs[0])
        >>> found.h.tolist(), max(found.difference) < 1e-12
        ([2.0, 100.0], True)
    """
    point = stationary(run.surface, run.start) if run.surface.quadratic else run.hollow
    hessian = None if point is None else run.surface.hessian(point)
    if point is None or hessian is None or not np.isfinite(hessian).all():
        return None
    h, vectors = np.linalg.eigh(hessian)
    measured = (run.positions - point) @ vectors
    if not isinstance(run.method, Method):
        nothing = (None,) * len(h)
        note = f"{run.method.label}: a guest has no closed form"
        return Components(point, h, measured, np.full(measured.shape, np.nan), nothing, nothing, note)
    moving = np.stack([measured, run.velocities @ vectors], axis=-1)
    begins: tuple[int | None, ...] = (0,) * len(h)
    if not run.surface.quadratic:
        level = flat(run.surface, point, h)
        near = _first_near(run.method, h, moving)
        begins = tuple(None if still else begin for begin, still in zip(near, level, strict=True))
    predicted = np.full(measured.shape, np.nan)
    for begin in {b for b in begins if b is not None}:
        these = np.array([b == begin for b in begins])
        tail = states(run.method, h[these], moving[begin, these], run.steps - begin, begin)
        predicted[begin:, these] = tail[..., 0]
    difference = tuple(
        None if begin is None else _difference(measured[begin:, i], predicted[begin:, i], measured[begin:])
        for i, begin in enumerate(begins)
    )
    note = f"{run.method.label}: the run is noisy, its closed form is the mean" if noise else ""
    return Components(point, h, measured, predicted, begins, difference, note)


def with_directions(race: Race) -> dict[str, Any]:
    """Return a race's summary with each run's directions, and what should be said of them."""
    told, notes = race.summary(), list(race.notes)
    for each, run in zip(told["runs"], race.runs, strict=True):
        found = components(run, race.noise)
        each["directions"] = None if found is None else found.summary()
        notes.append(_said(run, found))
    kept = [note for note in dict.fromkeys(notes) if note]
    return {**told, **({"notes": kept} if kept else {})}


def _said(run: Run, found: Components | None) -> str:
    """Say what a user should know of a run's directions."""
    if found is None:
        return f"{run.method.label} from ({written(run.start)}) leads to no known minimum, so it has no directions"
    return found.note


def _difference(measured: Array, predicted: Array, errors: Array) -> float:
    """Return the largest difference along a direction, of the largest error so far in any: rounding is of its size."""
    largest = np.maximum.accumulate(abs(errors).max(axis=1))
    gap = abs(measured - predicted)
    return float(np.max(np.divide(gap, largest, out=np.where(gap > 0, np.inf, 0.0), where=largest > 0)))


def _first_near(method: Method, h: Array, moving: Array) -> tuple[int | None, ...]:
    """Return for each direction the first step from which the closed form stays near the run to its end."""
    steps, n = len(moving) - 1, len(h)
    tried = np.unique(np.linspace(0, steps, min(TRIED, steps + 1)).astype(int))
    around = envelope(method, h, moving[:, :, 0])
    allowed, lowest = NEAR * around, ROUNDING * around.max(axis=0)
    states_now, near = np.zeros((len(tried), n, 2)), np.ones((len(tried), n), bool)
    with np.errstate(all="ignore"):
        each = matrices(rows_at(method, 0, steps), h) if steps else np.zeros((0, n, 2, 2))
        for t in range(steps + 1):
            states_now[tried == t] = moving[t]
            begun = int(np.searchsorted(tried, t, side="right"))
            near[:begun] &= abs(states_now[:begun, :, 0] - moving[t, :, 0]) <= allowed[t]
            if t < steps:
                states_now[:begun] = np.einsum("nij,knj->kni", each[t], states_now[:begun])
    first = [int(tried[near[:, i].argmax()]) if near[:, i].any() else steps for i in range(n)]
    return tuple(
        begin
        if begin <= steps - LEAST and around[begin, i] > lowest[i] and around[-1, i] <= around[begin, i] / FALL
        else None
        for i, begin in enumerate(first)
    )


def envelope(method: Method, h: Array, errors: Array) -> Array:
    """Return the largest |error| within a swing of each step, (steps + 1, n): what a difference is held against."""
    sizes, row = abs(errors), method.row(len(errors) - 1)
    widest = np.empty(sizes.shape)
    for i, curvature in enumerate(h):
        swing = max(
            (abs(math.atan2(complex(z).imag, complex(z).real)) for z in poles(row, float(curvature))), default=0
        )
        half = min(math.ceil(math.pi / swing), 500, len(sizes)) if swing > 0.01 else min(500, len(sizes))
        half = half if swing else 1
        padded = np.pad(sizes[:, i], half)
        widest[:, i] = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1).max(axis=1)
    largest = sizes.max(axis=0)
    bounded: Array = np.maximum(widest, ROUNDING * np.where(largest > 0, largest, 1.0))
    return bounded
