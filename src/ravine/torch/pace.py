"""How long a step of a training takes, measured on one thread."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ravine import rules
from ravine.tasks.batches import batches
from ravine.tasks.task import Task
from ravine.torch.training import loss_of, optimizer_of, trained_model

WARM = 2  # steps that are not counted: memory is allocated, kernels are chosen
MOST = 50


def pace(task: Task, *, seconds: float = 0.3) -> float:
    """Return the seconds that 100 steps of a plain training take here on one core, from the median of some steps.

    On one core, because small steps gain nothing from a second one, and where others work beside it lose a lot.

    Args:
        task: what is trained.
        seconds: to spend on it, about; at least one step is measured.

    Raises:
        TaskError: the task cannot be trained.

    Example:
        >>> x = torch.linspace(-1, 1, 100)[:, None]
        >>> made = Task(lambda: torch.nn.Linear(1, 1), lambda m, b: m(b[0]).square().mean(), (x,), batch=20)
        >>> 0 < pace(made, seconds=0.01) < 100
        True
    """
    took: list[float] = []
    with one_thread(), trained_model(task, 0, "cpu", torch.float32) as (here, model):
        optimizer = optimizer_of(rules.parse("heavyball:lr=1e-9,mu=0.9"), model.parameters())
        for batch, step in zip(batches(here, 0), range(WARM + MOST), strict=False):
            began = time.perf_counter()
            optimizer.zero_grad()
            loss_of(here, model, batch).backward()
            optimizer.step()
            if step >= WARM:
                took.append(time.perf_counter() - began)
            if took and sum(took) > seconds:
                break
    return 100 * float(np.median(took))


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch from spreading an operation over threads: small ones would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
