"""A plain loss function becomes a task."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ravine.errors import TaskError
from ravine.tasks.task import Loss, Metric, Task


def task(
    function: Any = None,
    *,
    model: Callable[[], Any] | None = None,
    data: Any = None,
    batch: int = 128,
    steps: int = 300,
    metrics: Mapping[str, Metric] | None = None,
    name: str = "",
    about: str = "",
) -> Callable[[Loss], Task]:
    """Make a task of the loss function of (model, batch) below this line.

    Args:
        function: nothing; the brackets after @task hold the rest.
        model: makes a new model.
        data: tensors, a Dataset, an iterable of batches or a function from a seed to one; see `Task`.
        batch: samples a batch, where the data are tensors.
        steps: how many updates a training usually has.
        metrics: further functions of (model, batch) by name.
        name: what to call it, the function's name if not given.
        about: what it is, the first line of the function's documentation if not given.

    Raises:
        TaskError: model or data is missing, or something is of the wrong kind.

    Example:
        >>> import torch
        >>> x = torch.linspace(-1, 1, 100)[:, None]
        >>> @task(model=lambda: torch.nn.Linear(1, 1), data=(x, 3 * x), batch=20)
        ... def line(model, batch):
        ...     return (model(batch[0]) - batch[1]).square().mean()
        >>> line.name, line.samples
        ('line', 100)
    """
    if function is not None or model is None or data is None:
        raise TaskError("@task needs a model and data: write @task(model=…, data=…) above a function of (model, batch)")
    made = model

    def decorate(loss: Loss) -> Task:
        if not callable(loss):
            raise TaskError("@task stands above a function of (model, batch) that returns the loss")
        said = (inspect.getdoc(loss) or "").partition("\n")[0]
        called = name or getattr(loss, "__name__", "task")
        return Task(made, loss, data, batch, steps, dict(metrics or {}), called, about or said)

    return decorate
