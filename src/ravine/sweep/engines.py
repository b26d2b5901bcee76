"""Engines: who trains the chunks of a sweep.

    engine(jobs) -> (index of the chunk, its rows), as they are finished

An engine asks for the next job only when it has somebody to do it, so that the sweep can look until then whether another
sweep has done it. `lanes` works in this process, `processes` in some of their own, `ray` (cluster.py) on other machines.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ravine.errors import SweepError
from ravine.sweep.trials import Trial
from ravine.sweep.work import Job, Say, Shipped, Tick, failed, perform

ENGINES = ("auto", "lanes", "processes", "ray")
TRIES = 3  # of a chunk whose worker dies, before its trainings are tried one by one, and of each of these
Jobs = Iterator[tuple[int, Job]]
Finished = Iterator[tuple[int, list[Trial]]]
Part = Callable[[float, int], object]  # told which share is done of a chunk of so many trainings


def here(jobs: Jobs, part: Part | None = None, say: Say | None = None) -> Finished:
    """Train chunk after chunk in this process."""
    for index, job in jobs:
        yield index, perform(job, _share(part, len(job.runs)) if part else None, say)


def _share(part: Part, of: int) -> Tick:
    return lambda made, total: part(made / total, of)


def processes(jobs: Jobs, workers: int | None = None, say: Say | None = None) -> Finished:
    """Train chunks in processes of one torch thread each.

    Each worker is a pool of one, so that it is known whose death was whose. A chunk is given to a new worker up to
    TRIES times, then run by run; a run whose worker dies each time is a failed row.
    """
    slots: dict[Future[list[Trial]], tuple[ProcessPoolExecutor, int, Job, int]] = {}
    idle = [_worker() for _ in range(workers or cores())]
    again: list[tuple[int, Job, int]] = []
    try:
        _greet(idle)
        while True:
            while idle and (todo := again.pop(0) if again else _next(jobs)):
                pool = idle.pop()
                slots[pool.submit(perform, todo[1])] = (pool, *todo)
            if not slots:
                return
            for future in wait(slots, return_when=FIRST_COMPLETED).done:
                pool, index, job, tries = slots.pop(future)
                try:
                    rows = future.result()
                except BrokenProcessPool as error:
                    _end(pool)
                    pool = _worker()
                    if say:
                        say(f"a worker died with chunk {index}, try {tries} of {TRIES}")
                    again += (more := _next_tries(index, job, tries))
                    rows = [] if more else failed(job, f"its worker died {TRIES} times: {error}")
                idle.append(pool)
                if rows:
                    yield index, rows
    finally:
        for pool in [*idle, *(slot[0] for slot in slots.values())]:
            _end(pool)


def _next(jobs: Jobs) -> tuple[int, Job, int] | None:
    found = next(jobs, None)
    return None if found is None else (*found, 1)


def _next_tries(index: int, job: Job, tries: int) -> list[tuple[int, Job, int]]:
    """Return what is tried after a worker's death: the chunk again, then its runs one by one, at last nothing."""
    if tries < TRIES:
        return [(index, job, tries + 1)]
    if len(job.runs) == 1 or job.halving:
        return []
    return [(index, replace(job, runs=(run,)), 1) for run in job.runs]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# Workers ---------------------------------------------------------------------------------------------------------


def _worker() -> ProcessPoolExecutor:
    from multiprocessing import get_context

    # Spawned: a fork of a process that has run torch's threads may hang.
    return ProcessPoolExecutor(1, get_context("spawn"), _begin)


def _greet(pools: list[ProcessPoolExecutor]) -> None:
    """Start the workers; one that cannot even start would otherwise look like a training that kills its worker."""
    for future in [pool.submit(os.getpid) for pool in pools]:
        try:
            future.result()
        except BrokenProcessPool:
            raise SweepError(
                "the workers cannot be started; a script that sweeps calls it under if __name__ == '__main__':, "
                "or takes engine='lanes'"
            ) from None


def _begin() -> None:
    """Make a new process a worker: one thread, deaf to Ctrl-C, which its parent handles, and gone when its parent is.

    What a task prints goes to stderr: stdout is the parent's, which prints its result there.
    """
    import signal
    import sys
    from multiprocessing import parent_process
    from multiprocessing.connection import wait as until

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.stdout = sys.stderr
    parent = parent_process()

    def watch() -> None:
        until([parent.sentinel]) if parent else None
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    import torch

    torch.set_num_threads(1)


def _end(pool: ProcessPoolExecutor) -> None:
    """End a worker at once, whatever it is doing."""
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        with suppress(Exception):
            process.kill()
    pool.shutdown(wait=False, cancel_futures=True)


def carried(task: Any, afar: bool) -> Any:
    """Return what a job carries to another process, or to another machine, so that it has the task; "" if nothing can."""
    from ravine.tasks import again

    if text := again(task):
        path, _, wanted = text.rpartition(":") if not text.endswith(".py") else (text, "", "")
        if afar and path and Path(path).is_file():
            return Shipped(str(Path(path).resolve()), wanted, Path(path).read_bytes())
        return text
    with suppress(Exception):
        return import_module("cloudpickle").dumps(task)
    return ""
