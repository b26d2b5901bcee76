"""What a worker does, wherever it is: it trains a chunk and returns its rows, those that failed with their reason."""

import hashlib
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from ravine.charts import EVERY
from ravine.errors import RavineError, reason
from ravine.files import aside
from ravine.rules import parse
from ravine.sweep.grid import Run
from ravine.sweep.trials import DIVERGED, DROPPED, FAILED, Key, Trial, trial_of

PLAIN, LANES = "one by one", "lanes"
Tick = Callable[[int, int], object]
Say = Callable[[str], object]


@dataclass(frozen=True)
class Job:
    """Hold a chunk, so that any process can train it."""

    task: Any  # its text, its file, pickled as bytes, or the task itself where it does not leave this process
    runs: tuple[Key, ...]
    steps: int
    dtype: str
    device: str
    how: str  # PLAIN or LANES
    engine: str  # what its rows say
    halving: float = 0.0  # 0 for none

    @property
    def methods(self) -> list[Run]:
        """Return the runs with their methods read."""
        return [(parse(text, EVERY), seed) for text, seed in self.runs]


@dataclass(frozen=True)
class Shipped:
    """Hold the file of a task, for a machine that may not have it."""

    path: str  # where it was
    wanted: str  # the name in it
    source: bytes

    def load(self) -> Any:
        """Return the task, from the file itself where it is the same here."""
        path = Path(self.path)
        if not path.is_file() or path.read_bytes() != self.source:
            folder = Path(tempfile.gettempdir()) / f"ravine-{hashlib.sha256(self.source).hexdigest()[:16]}"
            folder.mkdir(exist_ok=True)
            path = folder / path.name
            with aside(path) as file:
                file.write_bytes(self.source)
        return _loaded(f"{path}:{self.wanted}" if self.wanted else str(path))


@lru_cache(maxsize=4)
def _loaded(text: str) -> Any:
    from ravine.tasks import load

    return load(text)


def task_of(given: Any) -> Any:
    """Return the task of a job."""
    if isinstance(given, bytes):
        import pickle

        return pickle.loads(given)  # made by the sweep that started this worker
    if isinstance(given, Shipped):
        return given.load()
    return _loaded(given) if isinstance(given, str) else given


def perform(job: Job, tick: Tick | None = None, say: Say | None = None) -> list[Trial]:
    """Train a chunk.

    Args:
        job: what.
        tick: called with (updates made, updates in all): how far the chunk is.
        say: called with a sentence where the chunk is trained otherwise than was asked.

    Returns:
        A row for each run, in their order.
    """
    began = time.perf_counter()
    try:
        task = task_of(job.task)
        if job.how == LANES or job.halving:
            rows = _together(job, task, tick)
            each = (time.perf_counter() - began) / len(rows)
            return [replace(row, seconds=each) for row in rows]
    except Exception as error:
        if job.how != LANES:
            return failed(job, _why(error))
        if say:
            say(f"a chunk of lanes failed ({_why(error)}), so its trainings are run one by one")
    return _one_by_one(job, tick)


def failed(job: Job, why: str) -> list[Trial]:
    """Return a chunk's rows where all of them failed."""
    return [Trial(*key, FAILED, reason=why, engine=job.engine, device=job.device) for key in job.runs]


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, RavineError) else reason(error)


def _one_by_one(job: Job, tick: Tick | None) -> list[Trial]:
    """Train each run by itself; what one raises is its own row's reason."""
    import torch

    from ravine.torch.training import train

    rows, total = [], job.steps * len(job.runs)
    for i, key in enumerate(job.runs):
        began = time.perf_counter()
        where: dict[str, Any] = {"engine": job.engine, "device": job.device}
        step = (lambda made, _, i=i: tick(i * job.steps + made, total)) if tick else None
        try:
            trained = train(task_of(job.task), parse(key[0], EVERY), steps=job.steps, seed=key[1], device=job.device,
                            dtype=getattr(torch, job.dtype), tick=step)  # fmt: skip
            row = trial_of(trained, **where)
        except Exception as error:
            row = Trial(*key, FAILED, reason=_why(error), **where)
        rows.append(replace(row, seconds=time.perf_counter() - began))
    return rows


def _together(job: Job, task: Any, tick: Tick | None) -> list[Trial]:
    """Train all runs as lanes, with or without halving."""
    import torch

    from ravine.torch.crew import Lanes, Singles

    # Not `crew`, which measures what pays: every chunk of a sweep is trained in one way, or its numbers would depend on it.
    kind = Lanes if job.how == LANES else Singles
    made = kind(task, job.methods, steps=job.steps, device=job.device, dtype=getattr(torch, job.dtype))
    dropped: dict[int, tuple[int, float]] = {}
    if job.halving:
        from ravine.sweep.halving import halve, rungs_of

        cells = [text for text, _ in job.runs]
        rungs = rungs_of(job.steps, len(set(cells)), job.halving)
        dropped = dict(halve(made, rungs, 1 / job.halving, groups=cells, tick=tick).dropped)
    made.advance(tick=tick)
    rows = [trial_of(each, engine=job.engine, device=job.device) for each in made.results()]
    return [_dropped(row, *dropped[i]) if i in dropped else row for i, row in enumerate(rows)]


def _dropped(row: Trial, at: int, loss: float) -> Trial:
    """Return the row of a training that was dropped; one that had diverged before says that."""
    if (row.state == DIVERGED and row.stopped is not None and row.stopped < at) or not math.isfinite(loss):
        return row
    return replace(row, state=DROPPED, loss=loss, metrics={}, stopped=at,
                   reason=f"dropped after {at} updates: others were better")  # fmt: skip
