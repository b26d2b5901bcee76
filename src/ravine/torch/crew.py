"""The crew of a set of trainings: as lanes of one program where that can be done and pays, else one after another."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ravine import rules
from ravine.errors import TaskError
from ravine.tasks.task import Task
from ravine.torch.fitness import unfit
from ravine.torch.lanes import Lanes, Run
from ravine.torch.pace import one_thread
from ravine.torch.singles import Single, Singles
from ravine.torch.training import Tick, Trained

Say = Callable[[str], object]

PART = 0.5  # of the memory that is free now may be taken
TRIED = 3  # updates by which paces are compared
PAYS = 1.1  # lanes that take longer than so many times a plain update, per lane, are given up


def crew(
    task: Task,
    runs: Sequence[Run],
    *,
    steps: int,
    device: Any = "cpu",
    dtype: torch.dtype = torch.float32,
    say: Say | None = None,
) -> Lanes | Singles:
    """Return trainings as lanes of one program; as trainings in turn where they cannot be, or where that is faster.

    Args:
        task: what is trained.
        runs: a method and a seed for each training.
        steps: how many updates at most.
        device: where.
        dtype: of the parameters and the data.
        say: is told why they are trained in turn, or what is not as in a training alone.

    Returns:
        What is advanced by `advance(updates)`, and has `losses`, `alive`, `measure()`, `drop(lanes)`, `results()`.

    Raises:
        TaskError: the task cannot be trained.
        RuleError: a method cannot be read.

    Example:
        >>> from ravine.tasks import load
        >>> made = crew(load("diabetes-regression"), [("sgd:lr=0.01", 0), ("classical:lr=0.01,mu=0.9", 0)], steps=4)
        >>> made.advance(2)
        >>> made.losses.shape, made.alive, made.gradients
        ((2, 2), [0, 1], 4)
    """
    why = "" if len(runs) > 1 else "there is one"
    why = why or unfit(task, device=device, dtype=dtype)
    say = say or (lambda sentence: None)
    if not why:
        made = Lanes(task, runs, steps=steps, device=device, dtype=dtype)
        lane, alone = made.pace(TRIED), _pace(task, made.runs[0], device, dtype)
        if lane <= PAYS * alone:
            if made.stack.others:
                say(f"{task.name} draws random numbers other than dropout: lanes equal trainings alone in distribution")
            return made
        why = f"a lane takes {lane / alone:.1f} times as long as a training alone"
    if len(runs) > 1:
        say(f"{task.name} is trained one after another: {why}")
    return Singles(task, runs, steps=steps, device=device, dtype=dtype)


def _pace(task: Task, run: tuple[rules.Method, int], device: Any, dtype: torch.dtype) -> float:
    """Return the seconds of one update of a training alone, the fastest of some."""
    seconds = []
    with one_thread():
        one = Single(task, *run, TRIED, device, dtype)
        for _ in range(TRIED):
            begun = time.perf_counter()
            one.advance(1)
            seconds.append(time.perf_counter() - begun)
    return min(seconds)


def train_lanes(
    task: Task,
    runs: Sequence[Run],
    *,
    steps: int | None = None,
    device: Any = "cpu",
    dtype: torch.dtype = torch.float32,
    tick: Tick | None = None,
    say: Say | None = None,
) -> list[Trained]:
    """Train a task once for each method and seed, all at once where that can be done.

    Args:
        task: what is trained.
        runs: a method and a seed for each training.
        steps: how many updates; the task's own number if not given.
        device: where.
        dtype: of the parameters and the data.
        tick: called with (updates made, updates in all).
        say: is told what is out of the ordinary, as in `crew`.

    Returns:
        What `train` returns, for each.

    Raises:
        TaskError: the task cannot be trained.
        RuleError: a method cannot be read.

    Example:
        >>> from ravine.tasks import load
        >>> found = train_lanes(load("diabetes-regression"), [("sgd:lr=0.1", 0), ("sgd:lr=1e9", 0)], steps=20)
        >>> [one.diverged for one in found]
        [False, True]
    """
    made = crew(task, runs, steps=task.steps if steps is None else steps, device=device, dtype=dtype, say=say)
    made.advance(tick=tick)
    return made.results()


def most_lanes(task: Task, device: Any = "cpu", dtype: torch.dtype = torch.float32) -> int:
    """Return how many lanes of a task fit into half of the memory that is free now.

    What a lane takes is measured: the memory of the slots in which lanes train, and of what lanes keep between.

    Args:
        task: what would be trained.
        device: where.
        dtype: of the parameters and the data.

    Raises:
        TaskError: the task cannot be trained, or not even one lane fits.

    Example:
        >>> from ravine.tasks import load
        >>> most_lanes(load("diabetes-regression")) > 1000
        True
    """
    if unfit(task, device=device, dtype=dtype):
        return 1
    probe = Lanes(task, [("sgd:lr=0", 0)], steps=1, device=device, dtype=dtype)
    probe.pace(1)
    free = PART * _free(probe.stack.device) - probe.bytes(fixed=True)
    lanes = int(free / probe.bytes(fixed=False))
    if lanes < 1:
        raise TaskError(
            f"{task.name}: one lane takes {probe.bytes(fixed=False):,} bytes and {max(int(free), 0):,} may be taken; "
            "free some memory or take a smaller batch"
        )
    return lanes


def _free(device: torch.device) -> int:
    """Return how many bytes of memory are free."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as told:
            return next(int(line.split()[1]) * 1024 for line in told if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # not Linux: all that there is
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


__all__ = ["Lanes", "Singles", "crew", "most_lanes", "train_lanes", "unfit"]
