"""What a task is, in numbers and words, and what is doubtful about it."""

import warnings
from collections.abc import Iterator
from typing import Any

from ravine.errors import RavineError
from ravine.tasks.batches import HELD, mapped, moved, seeds, stream, tensors
from ravine.tasks.catalogue import TASKS
from ravine.tasks.check import first, first_loss
from ravine.tasks.identity import fingerprint
from ravine.tasks.once import loss_of, new_model
from ravine.tasks.task import Task, torch

SAME = 1e-3  # relative: losses this near count as equal


def described(task: Task) -> dict[str, Any]:
    """Return what is known of a task before it is trained, as JSON has it; checks it.

    Raises:
        TaskError: it cannot be trained.

    Example:
        >>> x = torch.linspace(-1, 1, 100)[:, None]
        >>> told = described(Task(lambda: torch.nn.Linear(1, 1), lambda m, b: m(b[0]).square().sum(), (x,), batch=20))
        >>> told["parameters"], told["samples"], told["notes"][0].partition(";")[0]
        (2, 100, 'twice the batch has twice the loss')
    """
    loss = first_loss(task)
    return {
        **summary(task),
        "task": task.text or None,
        "metrics": list(task.metrics),
        "data": [f"{_shape(part)} {str(part.dtype).removeprefix('torch.')}" for part in _parts(task)],
        "untrained_loss": loss,
        "fingerprint": fingerprint(task),
        "notes": list(notes(task)),
    }


def summary(task: Task) -> dict[str, Any]:
    """Return name and sizes of a task."""
    with torch.random.fork_rng(devices=[]):
        model = new_model(task)
    return {
        "name": task.name,
        "about": task.about,
        "source": TASKS[task.text].source if task.text in TASKS else "",
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "samples": task.samples,
        "batch": task.batch if task.samples is not None else _batch(task),
        "steps": task.steps,
    }


def notes(task: Task) -> Iterator[str]:
    """Yield what is doubtful: a loss that is a sum, parameters without a gradient, data or weights that do not repeat."""
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        model, batch = first(task)
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        slopes = torch.autograd.grad(loss_of(task, model, batch), [p for _, p in named], allow_unused=True)
    yield from dict.fromkeys(f"it warns: {' '.join(str(each.message).split())}" for each in warned)
    if idle := [name for (name, _), slope in zip(named, slopes, strict=True) if slope is None]:
        yield f"the loss does not depend on {', '.join(idle[:3])}{' and others' if len(idle) > 3 else ''}"
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if _sums(task):
            yield (
                "twice the batch has twice the loss; it seems to be a sum over the samples, so the best lr depends on "
                "the batch: take the mean"
            )
        if not _alike(list(first(task)[0].parameters()), list(first(task)[0].parameters())):
            yield "the model begins with other weights each time it is made; draw them with torch, which is seeded"
        if task.samples is None and not _alike(*(tensors(_first(task)) for _ in "ab")):
            yield "the data differ from reading to reading with one seed; draw from torch or from the seed given"


def _sums(task: Task) -> bool:
    """Say whether the loss of every sample twice is twice the loss, and not the same."""
    if task.samples is None:
        return False
    model, batch = first(task)
    with torch.no_grad():
        try:
            once = float(loss_of(task, model.eval(), batch))
            twice = float(loss_of(task, model, mapped(batch, lambda part: torch.cat([part, part]))))
        except RavineError:  # a loss that takes batches of one size
            return False
    return abs(twice - 2 * once) <= SAME * abs(once) < abs(twice - once)


def _first(task: Task) -> Any:
    """Return the first batch of a stream."""
    return moved(next(stream(task, seeds(HELD).order)), "cpu", torch.float32)


def _batch(task: Task) -> int | None:
    """Return how many samples a batch of a stream has, going by its first tensor."""
    found = tensors(_first(task))
    return len(found[0]) if found and found[0].ndim else None


def _parts(task: Task) -> list[Any]:
    """Return the tensors of the data, of a stream those of one batch."""
    return tensors(task.data if task.samples is not None else next(stream(task, HELD)))


def _shape(part: Any) -> str:
    return " × ".join(map(str, part.shape)) or "1"


def _alike(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(one, other, strict=True)
    )
