"""Whether the trainings of a task can be lanes of one program: tried on two lanes, and held against the plain gradient."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ravine.errors import RavineError, reason
from ravine.tasks.batches import batches
from ravine.tasks.task import Task
from ravine.torch.lanewise.chances import Chances
from ravine.torch.lanewise.gradients import batched
from ravine.torch.lanewise.stack import Leaves, Stack, Tensors, leaves
from ravine.torch.pace import one_thread

APART = 1.01  # what the weights of the second lane are multiplied with
EQUAL = {torch.float64: 1e-7, torch.float32: 2e-3}  # largest difference, in lengths of the gradient


def unfit(task: Task, *, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> str:
    """Say why the trainings of a task cannot be lanes of one program.

    Two lanes are tried on one batch, and their losses and gradients compared with the plain ones.

    Args:
        task: what would be trained.
        device: where.
        dtype: of the parameters and the data.

    Returns:
        One sentence, "" where they can be lanes.

    Raises:
        TaskError: the task cannot be trained at all.

    Example:
        >>> from ravine.tasks import Task
        >>> x = torch.linspace(-1, 1, 20)[:, None]
        >>> def loss(model, batch):
        ...     error = (model(batch[0]) - batch[1]).square().mean()
        ...     return error * 2 if error > 1 else error  # Python has to know the number
        >>> unfit(Task(model=lambda: torch.nn.Linear(1, 1), loss=loss, data=(x, x), batch=5)).split(":")[0]
        'torch.func cannot batch it'
    """
    with one_thread(), torch.random.fork_rng():
        stack = Stack(task, {0}, device, dtype)
        batch = leaves(next(batches(stack.task, 0)))
        before = _surroundings(stack)
        generator = torch.Generator(stack.device)
        drawn = tuple(draw(generator) for draw in stack.draws(batch, 0))
        changed = next(_changed(before, _surroundings(stack)), "")
        return changed or _compared(stack, batch, drawn)


def _surroundings(stack: Stack) -> dict[str, Any]:
    """Return what a loss might change besides its result, by the words for it."""
    found: dict[str, Any] = {
        "it draws from Python's random numbers": random.getstate(),
        "it draws from NumPy's random numbers": str(np.random.get_state()),  # noqa: NPY002
    }
    for name, part in stack.model.named_buffers():
        found[f"it writes into the buffer {name}"] = part._version
    for name, module in stack.model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, int | float | str) and key != "training":
                found[f"it changes {key} of {name or 'the model'}"] = value
    return found


def _changed(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for what, value in after.items():
        if what not in before or before[what] != value:
            yield f"{what} at every call, which lanes would share"


def _compared(stack: Stack, batch: Leaves, drawn: Tensors) -> str:
    """Compare two lanes with plain gradients."""
    points = torch.stack([stack.begin[0], stack.begin[0] * APART])
    try:
        losses, gradients = batched(stack, batch, True)(stack.views(points), stack.held[0], batch.tensors, drawn)
    except RavineError as error:
        return f"torch.func cannot batch it: {error}"
    except Exception as error:
        return f"torch.func cannot batch it: {reason(error)}"
    if stack.others:  # what is drawn differs from call to call
        return ""
    allowed = EQUAL.get(stack.dtype, 0.1)
    for lane, point in enumerate(points):
        parameters = tuple(p.detach().requires_grad_() for p in stack.views(point))
        with Chances(drawn=drawn), torch.enable_grad():
            loss = stack.loss(parameters, stack.held[0], batch.batch(batch.tensors))
            slopes = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        wanted = torch.cat([loss.detach().reshape(1), *(part.reshape(-1) for part in slopes)])
        found = torch.cat([losses[lane].reshape(1), *(part[lane].reshape(-1) for part in gradients)])
        if bool(wanted.isfinite().all()) and bool((found - wanted).norm() > allowed * wanted.norm()):
            return "its loss and gradient come out different when lanes are batched"
    return ""
