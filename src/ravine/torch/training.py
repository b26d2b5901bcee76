"""One training of a task by a method: the plain loop that everything faster must equal."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ravine import rules, schedules
from ravine.charts import EVERY
from ravine.errors import TaskError, shown
from ravine.surfaces.interface import Array
from ravine.tasks.batches import batches, on, pieces, seeds
from ravine.tasks.once import loss_of as loss_of
from ravine.tasks.once import metric_of, value_of
from ravine.tasks.once import new_model as new_model
from ravine.tasks.task import Task
from ravine.torch.momentum import Momentum
from ravine.torch.schedule import Schedule

OURS: Mapping[str, str] = {"mu": "momentum", "tau": "dampening"}  # settings by their names in torch

Tick = Callable[[int, int], object]


@dataclass(frozen=True)
class Trained:
    """Hold one training: the loss of each batch, and of all the data at the end."""

    method: rules.Method
    seed: int
    losses: Array  # (steps,), of each batch before its update; NaN after the training stopped
    loss: float  # the mean over all of the data at the end; infinity where it diverged
    metrics: Mapping[str, float] = field(default_factory=dict)
    stopped: int | None = None  # the update at which the loss was not finite
    reason: str = ""

    @property
    def diverged(self) -> bool:
        """Say whether the loss left the finite numbers."""
        return self.stopped is not None


def train(
    task: Task,
    method: rules.Method | str,
    *,
    steps: int | None = None,
    seed: int = 0,
    device: Any = "cpu",
    dtype: torch.dtype = torch.float32,
    tick: Tick | None = None,
) -> Trained:
    """Train a task by a method of the table, and measure it at the end.

    Args:
        task: what is trained.
        method: such as "nag:lr=0.1,mu=0.9"; settings may be schedules.
        steps: how many updates; the task's own number if not given.
        seed: of the weights, the order of the samples and the noise.
        device: where.
        dtype: of the parameters and the data.
        tick: called with (updates made, updates in all).

    Returns:
        The losses. A loss that is not finite ends the training: its number of update and its reason are in the result.

    Raises:
        TaskError: the model has no parameters, or the loss is none.
        RuleError: the method cannot be read.
    """
    method = rules.parse(method, EVERY) if isinstance(method, str) else method
    steps = task.steps if steps is None else steps
    losses = np.full(steps, np.nan)
    with trained_model(task, seed, device, dtype) as (here, model):
        optimizer = optimizer_of(method, model.parameters())
        for step, batch in zip(range(steps), batches(here, seed), strict=False):
            optimizer.zero_grad()
            loss = loss_of(here, model, batch)
            losses[step] = loss.item()
            if not math.isfinite(losses[step]):
                return Trained(method, seed, losses, math.inf, {}, step, f"the loss is {losses[step]} at update {step}")
            loss.backward()
            optimizer.step()
            if tick:
                tick(step + 1, steps)
        with optimizer.at_iterate():
            value, metrics = measured(here, model)
    if not math.isfinite(value):
        return Trained(method, seed, losses, math.inf, metrics, steps, f"the loss is {value} after the last update")
    return Trained(method, seed, losses, value, metrics)


def usable(device: Any, here: bool = True) -> None:
    """Refuse a device that torch cannot use here, or of which it does not know the name; raises `TaskError`."""
    try:
        torch.zeros(1, device=device) if here else torch.device(device)
    except (RuntimeError, AssertionError) as error:
        said = str(error).split(".")[0].splitlines()[0][:100]
        raise TaskError(f"the device {shown(str(device))} cannot be used here: {said}; cpu always can") from None


@contextmanager
def trained_model(task: Task, seed: int, device: Any, dtype: torch.dtype) -> Iterator[tuple[Task, Any]]:
    """Hand out the task on its device and a new model in training mode, with torch's random numbers at its noise seed.

    The model is made in torch's default dtype on the CPU and moved then, so that every dtype and device begins with the
    same weights.
    """
    usable(device)
    with torch.random.fork_rng():
        torch.manual_seed(seeds(seed).init)
        model = new_model(task).to(device, dtype).train()
        torch.manual_seed(seeds(seed).noise)
        yield on(task, device, dtype), model


def optimizer_of(method: rules.Method, parameters: Any) -> Momentum:
    """Return the optimizer that runs a method, schedules attached."""
    settings = {OURS.get(key, key): value for key, value in method.settings.items()}
    first = {key: schedules.at(value, 0) for key, value in settings.items()}
    optimizer = Momentum(parameters, rule=method.rule, **first)
    moving = {key: value for key, value in settings.items() if callable(value)}
    if moving:
        Schedule(optimizer, moving)
    return optimizer


def measured(task: Task, model: Any) -> tuple[float, dict[str, float]]:
    """Return the mean loss over all of the data, and the metrics, with dropout off.

    Batch normalization goes on with the numbers of its piece, so that a training and many of them side by side, which
    keep no running mean, are measured alike.
    """
    was = {module: module.training for module in model.modules()}
    model.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train()
    total: dict[str, float] = {}
    count = 0
    try:
        for piece, number in pieces(task):
            told = {"": value_of(task, model, piece), **{k: metric_of(task, k, model, piece) for k in task.metrics}}
            for key, value in told.items():
                total[key] = total.get(key, 0.0) + value * number
            count += number
    finally:
        for module, mode in was.items():
            module.training = mode
    means = {key: value / count for key, value in total.items()}
    return means.pop(""), means
