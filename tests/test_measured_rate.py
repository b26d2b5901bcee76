"""Claimed is measured: what the algebra says of a row, the real stepper does."""

from typing import Any

import numpy as np
import pytest

from ravine.algebra import limit_lr, poles, rate, step_matrix
from ravine.rules import RULES, Row
from ravine.stepper import step

RUNS, STEPS, BETWEEN = 200, 3000, 50


def random_settings(name: str, rng: np.random.Generator) -> tuple[dict[str, Any], Any]:
    """Draw stable settings and curvatures, the larger first, for each run: settings (runs,), curvatures (2, runs)."""
    h = np.stack([np.ones(RUNS), 10.0 ** rng.uniform(-2, 0, RUNS)])
    if name == "triple":
        return {"L": h[0] * 10.0 ** rng.uniform(0, 0.3, RUNS), "m": h[1]}, h
    drawn = {"mu": rng.uniform(0.01, 0.99, RUNS), "nu": rng.uniform(0, 1, RUNS), "tau": rng.uniform(0, 0.9, RUNS)}
    settings = {k: drawn[k] for k in RULES[name].parameters if k != "lr"}
    limits = [limit_lr(name, 1.0, **{k: float(v[i]) for k, v in settings.items()}) for i in range(RUNS)]
    return {"lr": rng.uniform(0.05, 0.97, RUNS) * np.array(limits, float), **settings}, h


def growth(row: Row, h: Any) -> Any:
    """Return log ‖Mᵀ‖ / T, (2, runs), from the walks of the real stepper from (1, 0) and (0, 1)."""
    shape = h.shape
    wide = Row(*(np.tile(c, 2) if getattr(c, "shape", ()) else c for c in row))  # both starts side by side
    hs = np.concatenate([h, h], axis=1)
    x, v = np.ones(hs.shape), np.ones(hs.shape)
    x[:, RUNS:], v[:, :RUNS] = 0, 0
    x_next, v_next, g, total = x.copy(), v.copy(), x.copy(), np.zeros(shape)
    for t in range(1, STEPS + 1):
        step(wide, x, v, lambda at, out: np.multiply(hs, at, out=out), x_next, v_next, g)
        x, x_next, v, v_next = x_next, x, v_next, v
        if t % BETWEEN == 0:  # M is linear, so the length may be taken out and kept as its logarithm
            parts = np.stack([x[:, :RUNS], x[:, RUNS:], v[:, :RUNS], v[:, RUNS:]], axis=-1)
            length = np.linalg.norm(parts.reshape(*shape, 2, 2), ord=2, axis=(-2, -1))
            total += np.log(length)
            x /= np.tile(length, 2)
            v /= np.tile(length, 2)
    return total / STEPS


def allowance(row: Row, h: Any) -> Any:
    """Return by how much log ‖Mᵀ‖ / T may exceed log rate, (2, runs).

    It is never less than log rate. From M = V Λ V⁻¹ it exceeds it by at most log cond(V) / T. Where the poles (almost)
    meet, cond(V) grows beyond all bounds; then Schur's form, with the poles on the diagonal and s beside them, where
    s² = ‖M‖² - |z₁|² - |z₂|², gives ‖Mᵀ‖ <= rateᵀ (1 + s·T/rate): at most log(1 + s·T/rate) / T. The less counts.
    """
    cells = np.stack([np.broadcast_to(cell, h.shape) for line in step_matrix(row, h) for cell in line], axis=-1)
    matrices = cells.reshape(*h.shape, 2, 2)
    first, second = poles(row, h)
    beside = np.sqrt(np.maximum((cells**2).sum(-1) - abs(first) ** 2 - abs(second) ** 2, 0))
    by_schur = np.log1p(beside * STEPS / rate(row, h))
    with np.errstate(all="ignore"):  # a condition number may be infinite
        by_vectors = np.log(np.linalg.cond(np.linalg.eig(matrices)[1]))
    return np.fmin(by_schur, by_vectors) / STEPS


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("rounding", [1e-6])  # √eps where poles meet, and as much again
def test_claimed_is_measured(name: str, rounding: float) -> None:
    """For 200 random stable settings the length of (x, v) shrinks per step by the rate, on 2-D quadratics."""
    settings, h = random_settings(name, np.random.default_rng(list(RULES).index(name)))
    row = RULES[name].row(**settings)
    claimed, allowed, measured = np.log(rate(row, h)), allowance(row, h), growth(row, h)
    assert (claimed < 0).all()
    assert (measured >= claimed - rounding).all()
    assert (measured <= claimed + allowed + rounding).all()
    # Over the quadratic as a whole, the slower of the two directions is what is seen.
    assert (abs(measured.max(axis=0) - claimed.max(axis=0)) <= allowed.max(axis=0) + rounding).all()
    assert np.median(allowed) < 2e-3
