"""A task: a model, its loss and its data, everything a training needs but the optimizer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ravine.errors import TaskError, require, shown
from ravine.tasks.reading import Keyed, read

torch: Any = require("torch", extra="torch", why="train a task")

Batch = Any  # a tuple of tensors whose first dimension counts samples, or whatever the data of the task yields
Loss = Callable[[Any, Batch], Any]  # (model, batch) -> a tensor of one number, the mean over the batch
Metric = Callable[[Any, Batch], Any]  # (model, batch) -> a number, the mean over the batch


@dataclass(frozen=True)
class Task:
    """Hold a real training: what is trained, on what, and for how long.

    Args:
        model: makes a new model, with weights from torch's random numbers, which have been seeded.
        loss: of a model on a batch, a tensor of one number: the mean over the samples of the batch.
        data: one tensor, a tuple or a mapping of tensors whose first dimension counts samples, or a torch Dataset, from
            which batches of the same form are drawn without replacement, every epoch in a new order; or an iterable of
            batches that can be read again, such as a DataLoader; or a function from a seed to an iterable.
        batch: samples a batch, where the data are tensors.
        steps: how many updates a training usually has.
        metrics: by name further numbers, such as the accuracy, measured at the end.
        name: what to call it.
        about: what it is, in a few words.
        text: what `ravine.tasks.load` was given, by which another process can load it.

    Raises:
        TaskError: something is missing or of the wrong kind.

    Example:
        >>> import torch
        >>> x = torch.linspace(-1, 1, 100)[:, None]
        >>> made = Task(
        ...     model=lambda: torch.nn.Linear(1, 1),
        ...     loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        ...     data=(x, 3 * x),
        ...     batch=20,
        ... )
        >>> made.samples
        100
    """

    model: Callable[[], Any]
    loss: Loss
    data: Any
    batch: int = 128
    steps: int = 300
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    name: str = "task"
    about: str = ""
    text: str = ""

    def __post_init__(self) -> None:
        """Bring the data into one form, and refuse what cannot be trained."""
        for key in ("name", "about", "text"):
            if not isinstance(getattr(self, key), str):
                raise TaskError(f"{key} of a task must be a text, got {shown(getattr(self, key))}")
            object.__setattr__(self, key, getattr(self, key).replace("\n", " "))
        for key, what in (("model", "a function that makes the model"), ("loss", "a function of (model, batch)")):
            if not callable(getattr(self, key)):
                raise TaskError(f"{self.name}: {key} must be {what}, got {shown(getattr(self, key))}")
        if isinstance(self.model, torch.nn.Module):
            raise TaskError(
                f"{self.name}: model must be a function that makes a new model, got a model; write model=lambda: Net()"
            )
        for key in ("batch", "steps"):
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise TaskError(f"{self.name}: {key} must be a whole number from 1 on, got {shown(value)}")
        if not isinstance(self.metrics, Mapping):
            raise TaskError(
                f"{self.name}: metrics must be functions by name, such as {{'accuracy': accuracy}}, "
                f"got {shown(type(self.metrics).__name__)}"
            )
        for key, metric in self.metrics.items():
            if not isinstance(key, str) or not key:
                raise TaskError(f"{self.name}: the name of a metric must be a text, got {shown(key)}")
            if not callable(metric):
                raise TaskError(f"{self.name}: the metric {shown(key)} must be a function of (model, batch)")
        data, keys = read(self.data, self.name)
        object.__setattr__(self, "data", data)
        if keys:
            object.__setattr__(self, "loss", Keyed(self.loss, keys))
            object.__setattr__(self, "metrics", {k: Keyed(metric, keys) for k, metric in self.metrics.items()})
        if self.samples is not None and self.samples < self.batch:
            raise TaskError(
                f"{self.name}: the data has {self.samples} samples and a batch takes {self.batch}; "
                f"use batch={self.samples} or less"
            )

    @property
    def samples(self) -> int | None:
        """Return how many samples there are, None where the data is a stream of batches."""
        return len(self.data[0]) if isinstance(self.data, tuple) else None
