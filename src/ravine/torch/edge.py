"""The edge of stability: the largest curvature along a training, beside the largest that the rule is stable for.

    limit(t) = the curvature below which row(t) is stable      sgd 2/lr, heavyball 2(1 + mu)/lr

Trained on all of the data, a network's largest curvature rises until it meets the limit and then stays about there.

Source: Cohen, Kaur, Li, Kolter & Talwalkar 2021.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ravine import rules
from ravine.algebra.limits import limit_h
from ravine.charts import EVERY
from ravine.display import finite
from ravine.errors import CurvatureError, shown
from ravine.rules import Method
from ravine.surfaces.interface import Array
from ravine.tasks.batches import batches
from ravine.tasks.task import Task
from ravine.torch.curvature import Curvature, curvature
from ravine.torch.spectral.lanczos import Tick
from ravine.torch.training import loss_of, optimizer_of, trained_model


@dataclass(frozen=True)
class Edge:
    """Hold the largest curvature along a training."""

    method: Method
    steps: Array  # (m,), updates made where it was measured
    h_max: Array  # (m,), gradient per length
    errors: Array  # (m,)
    limits: Array  # (m,), the curvature below which the row of the step is stable
    losses: Array  # of each batch before its update; NaN after the training stopped
    products: int
    gradients: float  # what was spent on the curvature, in gradients of a mini-batch
    seconds: float  # with the training
    reason: str = ""  # why it ended early
    name: str = ""
    interrupted: bool = False  # by Ctrl-C

    @property
    def crossed(self) -> int | None:
        """Return the first measured step at which the curvature is not below the limit, None where it always is."""
        over = np.flatnonzero(self.h_max >= self.limits)
        return int(self.steps[over[0]]) if len(over) else None

    def summary(self) -> dict[str, Any]:
        """Return what `ravine curvature --along --json` prints of it."""
        return {
            "rule": str(self.method),
            "steps": [int(step) for step in self.steps],
            "h_max": [finite(h) for h in self.h_max],
            "errors": [finite(e) for e in self.errors],
            "limits": [finite(limit) for limit in self.limits],
            "losses": [finite(self.losses[step]) if step < len(self.losses) else None for step in map(int, self.steps)],
            "crossed": self.crossed,
            "products": self.products,
            "gradients": self.gradients,
            "seconds": self.seconds,
            **({"reason": self.reason} if self.reason else {}),
        }


def edge(
    task: Task,
    method: Method | str,
    *,
    steps: int | None = None,
    every: int = 10,
    samples: int | None = None,
    tol: float = 0.01,
    seed: int = 0,
    device: Any = "cpu",
    dtype: torch.dtype = torch.float32,
    tick: Tick | None = None,
) -> Edge:
    """Train a task and measure its largest curvature on the way.

    Each measurement begins at the last one's eigenvector, with a random part so that one that overtakes it is found.

    Args:
        task: what is trained.
        method: such as "heavyball:lr=0.1,mu=0.9"; settings may be schedules.
        steps: how many updates; the task's own number if not given.
        every: measure after so many updates, and at the beginning and the end.
        samples: so many of the task's samples are measured, None for all.
        tol: to which part of it the curvature is measured.
        seed: of the training.
        device: where.
        dtype: of the parameters and the data.
        tick: called with (updates made, updates in all).

    Returns:
        The curve. A training that diverges or is interrupted ends it early, with the reason.

    Raises:
        CurvatureError, TaskError, RuleError: a number is out of range, or nothing can be trained.
    """
    method = rules.parse(method, EVERY) if isinstance(method, str) else method
    steps = task.steps if steps is None else steps
    for key, value in (("steps", steps), ("every", every)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CurvatureError(f"{key} must be a whole number from 1 on, got {shown(value)}")
    began, reason, interrupted = time.perf_counter(), "", False
    losses, found = np.full(steps, np.nan), dict[int, Curvature]()
    last: torch.Tensor | None = None
    with trained_model(task, seed, device, dtype) as (here, model):
        optimizer = optimizer_of(method, model.parameters())
        try:
            for step, batch in zip(range(steps + 1), batches(here, seed), strict=False):
                if step % every == 0 or step == steps:
                    with optimizer.at_iterate():
                        told = curvature(task, model, samples=samples, tol=tol, seed=seed, start=last, vectors=True)
                    found[step], last = told, None if told.vectors is None else told.vectors[0]
                if step == steps:
                    break
                optimizer.zero_grad()
                loss = loss_of(here, model, batch)
                losses[step] = loss.item()
                if not math.isfinite(losses[step]):
                    reason = f"the loss is {losses[step]} at update {step}"
                    break
                loss.backward()
                optimizer.step()
                if tick:
                    tick(step + 1, steps)
        except KeyboardInterrupt:
            interrupted, reason = True, f"interrupted after {len(losses[np.isfinite(losses)])} updates"
        except CurvatureError as error:
            reason = str(error)
    if not found and interrupted:
        raise KeyboardInterrupt
    if not found:
        raise CurvatureError(f"{task.name}: nothing was measured: {reason}")
    at = np.array(sorted(found))
    return Edge(
        method=method,
        steps=at,
        h_max=np.array([found[step].h_max for step in at]),
        errors=np.array([found[step].errors[0] for step in at]),
        limits=np.array([float(limit_h(method.row(int(step)))) for step in at]),
        losses=losses,
        products=sum(each.products for each in found.values()),
        gradients=sum(each.gradients for each in found.values()),
        seconds=time.perf_counter() - began,
        reason=reason,
        name=task.name,
        interrupted=interrupted,
    )
