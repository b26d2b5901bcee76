"""Whether a task can be trained at all: its model, loss, gradient and metrics once, on one batch."""

import math
import warnings
from dataclasses import replace
from typing import Any

from ravine.errors import TaskError, reason
from ravine.tasks.batches import batches, moved, pieces, seeds, tensors
from ravine.tasks.once import loss_of, metric_of, new_model, value_of
from ravine.tasks.task import Task, torch


def check(task: Task) -> Task:
    """Run model, loss, gradient and metrics once on a batch of at most 16 samples, and return the task.

    Raises:
        TaskError: something is missing, raises, or is not finite before the first update; the sentence says what to do.

    Example:
        >>> import torch
        >>> x = torch.ones(8, 1)
        >>> wrong = Task(lambda: torch.nn.Linear(1, 1), lambda model, batch: model(batch[0]), (x,), batch=4)
        >>> check(wrong)
        Traceback (most recent call last):
        ravine.errors.TaskError: task: its loss must be a tensor of one number, got a tensor of shape (4, 1); return the mean
    """
    first_loss(task)
    return task


def first_loss(task: Task) -> float:
    """Return the loss of the untrained model on a batch of at most 16 samples, checked as `check` says."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, batch = first(task)
        loss = _first_loss(task, model, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TaskError(
                f"{task.name}: the loss of the untrained model is {value}: {_blame(model, batch)}; "
                "mend it before settings are searched"
            )
        _differentiated(task, model, loss)
        value_of(task, model.eval(), batch)
        _whole(task, model)
        for key in task.metrics:
            metric_of(task, key, model, batch)
    return value


def _first_loss(task: Task, model: Any, batch: Any) -> Any:
    """Return the loss on a small batch; a loss that takes no other size than the task's is told apart."""
    try:
        return loss_of(task, model, batch)
    except TaskError:
        if task.samples is None or task.batch <= SOME:
            raise
        loss_of(task, model, moved(next(batches(task, 0)), "cpu", torch.float32))  # raises what is wrong otherwise
        raise TaskError(
            f"{task.name}: its loss takes batches of {task.batch} samples and not of {SOME}; "
            "write it for any number, as all of the data is measured in pieces"
        ) from None


def first(task: Task) -> tuple[Any, Any]:
    """Return a new model and a small batch, as a training with seed 0 would begin with them."""
    torch.manual_seed(seeds(0).init)
    model = new_model(task).to("cpu", torch.float32).train()
    few = task if task.samples is None else replace(task, batch=min(task.batch, SOME))
    batch = moved(next(batches(few, 0)), "cpu", torch.float32)
    _holds_tensors(task, batch)
    torch.manual_seed(seeds(0).noise)
    return model, batch


SOME = 16


def _holds_tensors(task: Task, batch: Any) -> None:
    """Refuse a batch in which no tensor is found."""
    if not tensors(batch):
        raise TaskError(f"{task.name}: its data yields {type(batch).__name__}; yield a tensor or a tuple of tensors")


def _whole(task: Task, model: Any) -> None:
    """Refuse data with numbers that are not finite, where the loss minds them: a training meets them sooner or later."""
    if task.samples is None or all(bool(part.isfinite().all()) for part in task.data):
        return
    for piece, _ in pieces(task):
        value = value_of(task, model, moved(piece, "cpu", torch.float32))
        if not math.isfinite(value):
            raise TaskError(
                f"{task.name}: the data holds numbers that are not finite, and with them the loss is {value}; "
                "leave these samples out, or have the loss pass over them"
            )


def _blame(model: Any, batch: Any) -> str:
    """Say which numbers are not finite already."""
    bad = [name for name, p in model.named_parameters() if not p.isfinite().all()]
    if bad:
        return f"the parameter {bad[0]} is not finite"
    if not all(part.isfinite().all() for part in tensors(batch)):
        return "the data holds numbers that are not finite"
    return "model and data are finite, so the loss function makes it"


def _differentiated(task: Task, model: Any, loss: Any) -> None:
    """Refuse a loss without a gradient, or with one that reaches no parameter."""
    trained = [p for p in model.parameters() if p.requires_grad]
    try:
        slopes = torch.autograd.grad(loss, trained, allow_unused=True)
    except Exception as error:
        raise TaskError(f"{task.name}: its loss has no gradient: {reason(error)}; mend the function loss") from error
    if all(slope is None for slope in slopes):
        raise TaskError(f"{task.name}: its loss does not depend on the model's parameters; compute it from the model")
    for (name, _), slope in zip([(n, p) for n, p in model.named_parameters() if p.requires_grad], slopes, strict=True):
        if slope is not None and not slope.isfinite().all():
            raise TaskError(
                f"{task.name}: the gradient of the untrained model is not finite at {name}; mend the loss or the model"
            )
