"""Which batch comes when: a seed decides the weights, the order of the samples and the noise of a training."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ravine.errors import RavineError, TaskError, reason, shown
from ravine.tasks.task import Batch as Batch
from ravine.tasks.task import Task, torch

PIECE = 512  # samples at once where all of the data is measured
TOLD = 16  # batches on which the loss of a stream is measured
HELD = 2**31 - 1  # the seed of these


class Seeds(NamedTuple):
    """Hold what one seed stands for."""

    init: int  # of torch's random numbers while the model is made
    order: int  # of the order of the samples
    noise: int  # of torch's random numbers while it is trained: dropout


def seeds(seed: int) -> Seeds:
    """Return the three seeds of a training: the first is the seed itself, the others independent of it.

    >>> seeds(0).init
    0
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**63:
        raise TaskError(f"a seed must be a whole number from 0 on, got {shown(seed)}")
    order, noise = np.random.SeedSequence(seed).generate_state(2)
    return Seeds(seed, int(order), int(noise))


def order(samples: int, batch: int, seed: int) -> Iterator[Any]:
    """Yield the indices of one batch after another, (batch,): every epoch a new order, its incomplete last batch left out.

    >>> [sorted(each.tolist()) for each, _ in zip(order(4, 4, 0), range(2))]
    [[0, 1, 2, 3], [0, 1, 2, 3]]
    """
    drawn = torch.Generator().manual_seed(seed)
    while True:
        shuffled = torch.randperm(samples, generator=drawn)
        for first in range(0, samples - batch + 1, batch):
            yield shuffled[first : first + batch]


def batches(task: Task, seed: int) -> Iterator[Batch]:
    """Yield the batches of a training with this seed, without end."""
    if task.samples is None:
        yield from stream(task, seeds(seed).order)
    for rows in order(task.samples or 0, task.batch, seeds(seed).order):
        yield tuple(part[rows.to(part.device)] for part in task.data)


def stream(task: Task, seed: int) -> Iterator[Batch]:
    """Yield the batches of a stream, which begins anew when it ends; its random numbers are its own."""
    state, epoch, running = None, 0, iter(())
    while True:
        outside = torch.get_rng_state()
        if state is None:
            torch.manual_seed(seed)
        else:
            torch.set_rng_state(state)
        try:
            found = next(running, _END)
            if found is _END:
                running = opened(task.data, seed + epoch)
                found = next(running, _END)
                epoch += 1
        except RavineError as error:
            raise TaskError(f"{task.name}: {error}") from error
        except (Exception, SystemExit) as error:
            raise TaskError(f"{task.name}: its data raised {reason(error)}; mend it") from error
        finally:
            state = torch.get_rng_state()
            torch.set_rng_state(outside)
        if found is _END:
            raise TaskError(f"{task.name}: its data yields no batch; give at least one")
        yield found


_END = object()


def opened(data: Any, seed: int) -> Iterator[Batch]:
    """Open a stream at its beginning; a DataLoader with a generator of its own begins with this seed too."""
    if isinstance(drawn := getattr(data, "generator", None), torch.Generator):
        drawn.manual_seed(seed)
    if not callable(data):
        return iter(data)
    made = data(seed)
    if isinstance(made, tuple) and made and all(map(torch.is_tensor, made)):
        raise TaskError("data returned a tuple of tensors where batches are read one by one; give data=(x, y) itself")
    return iter(made)


def pieces(task: Task) -> Iterator[tuple[Batch, int]]:
    """Yield all of the data in pieces, each with its number of samples; of a stream some batches, always the same."""
    if task.samples is None:
        for _, found in zip(range(TOLD), stream(task, HELD), strict=False):
            yield found, 1
        return
    number = -(-task.samples // max(task.batch, PIECE))
    ends = [k * task.samples // number for k in range(number + 1)]  # alike in size: a last one of 1 has no variance
    for first, last in itertools.pairwise(ends):
        yield tuple(part[first:last] for part in task.data), last - first


def moved(batch: Batch, device: Any, dtype: Any) -> Batch:
    """Return a batch on a device, its real numbers of a dtype: tensors, and lists, tuples and mappings of them."""
    return mapped(batch, lambda part: part.to(device, dtype if part.is_floating_point() else None))


def mapped(batch: Batch, change: Callable[[Any], Any]) -> Batch:
    """Return a batch with each of its tensors changed."""
    if torch.is_tensor(batch) or isinstance(batch, np.ndarray):
        return change(torch.as_tensor(batch))
    if isinstance(batch, dict):
        return {key: mapped(part, change) for key, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(mapped(part, change) for part in batch))
    return type(batch)(mapped(part, change) for part in batch) if isinstance(batch, list | tuple) else batch


def tensors(batch: Batch) -> list[Any]:
    """Return the tensors of a batch.

    >>> len(tensors({"x": (torch.ones(2), torch.ones(2)), "name": "a batch"}))
    2
    """
    told: list[Any] = []

    def keep(part: Any) -> Any:
        told.append(part)
        return part

    mapped(batch, keep)
    return told


def on(task: Task, device: Any, dtype: Any) -> Task:
    """Return a task whose tensors lie on a device, their real numbers of a dtype; a stream is moved batch by batch."""
    from dataclasses import replace

    if task.samples is not None:
        return replace(task, data=moved(task.data, device, dtype))

    def there(seed: int) -> Iterator[Batch]:
        for found in opened(task.data, seed):
            yield moved(found, device, dtype)

    return replace(task, data=there)
