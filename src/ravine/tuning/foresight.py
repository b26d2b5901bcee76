"""Before the first training: what curvature and noise at the start say about where to look.

The noisy quadratic model: directions whose curvatures fall from the measured largest one by a factor of 4 each, the
loss of the start shared among them, noise in proportion to curvature. It knows where a rule becomes unstable and where
noise outweighs speed; where the optimum really lies a scan finds out.
"""

import math
from typing import NamedTuple

import numpy as np

from ravine import algebra
from ravine.errors import CurvatureError
from ravine.tasks.batches import batches
from ravine.tasks.task import Task
from ravine.torch.curvature import curvature
from ravine.torch.noise import noise
from ravine.torch.training import loss_of, trained_model
from ravine.tuning.cells import Plane
from ravine.tuning.ledger import Ledger

DIRECTIONS, FALL = 8, 4.0
SHARE = 0.03  # of the budget, that measuring may take
PRODUCTS = 8
DEPTH = -math.log(0.1)  # of mu = 0.9


class Measured(NamedTuple):
    """Hold what was measured at the start."""

    h_max: float | None  # gradient per length; None where the budget is too small to measure it, or it is not positive
    noise: float  # trace of the covariance of a mini-batch's gradient, gradient²
    loss: float  # of the first batch


def measure(task: Task, ledger: Ledger, seed: int) -> Measured:
    """Measure curvature and noise on a part of the data, for a small part of the budget.

    Raises:
        TaskError: the task cannot be trained.
    """
    import torch

    with trained_model(task, seed, "cpu", torch.float32) as (here, model):
        loss = float(loss_of(here, model, next(batches(here, seed))).detach())
    most = int(SHARE * ledger.total / (1.3 * PRODUCTS + 1))  # batches
    if most < 1 or not math.isfinite(loss):
        return Measured(None, 0.0, loss)
    samples = None if task.samples is None else min(task.samples, task.batch * min(most, 8))
    try:
        found = curvature(task, samples=samples, most=PRODUCTS, tol=0.1, seed=seed)
        told = noise(task, samples=samples, seed=seed)
    except CurvatureError:  # a loss without a second derivative; the scan finds its own way
        return Measured(None, 0.0, loss)
    ledger.spend("curvature and noise", found.gradients + told.gradients)
    h = found.h_max
    return Measured(h if math.isfinite(h) and h > 0 else None, max(0.0, float(told.trace)), loss)


def center(plane: Plane, measured: Measured, steps: int) -> float:
    """Return the level at which the noisy quadratic model ends lowest, 0 where nothing could be measured."""
    if measured.h_max is None:
        return math.log(0.1)
    reach = plane.where(plane.cell(0.0, DEPTH))[0]
    limit = plane.limit(measured.h_max, plane.cell(0.0, DEPTH).mu)
    top = math.log(2 / measured.h_max) if limit is None else _level_of(plane, limit)
    levels = [float(top + reach + shift) for shift in np.linspace(-6.0, 0.0, 25)]
    return min(levels, key=lambda level: predicted(plane, level, DEPTH, measured, steps))


def _level_of(plane: Plane, lr: float) -> float:
    """Return the level of a learning rate at the depth of the scan."""
    return math.log(lr) - math.log(plane.cell(0.0, DEPTH).lr)


def predicted(plane: Plane, level: float, depth: float, measured: Measured, steps: int) -> float:
    """Return the loss above its minimum that the noisy quadratic model expects at the end."""
    h = (measured.h_max or 1.0) / FALL ** np.arange(DIRECTIONS)
    start = np.sqrt(2 * max(measured.loss, 1e-12) / (DIRECTIONS * h))
    sigma = np.sqrt(measured.noise * h / h.sum())
    method = plane.cell(level, depth, "constant").method(steps)
    total = 0.0
    with np.errstate(all="ignore"):
        for one, x, s in zip(h, start, sigma, strict=True):
            total += float(algebra.expected(method, [one], [x], steps, float(s)).loss[-1])
    return total if math.isfinite(total) else math.inf
