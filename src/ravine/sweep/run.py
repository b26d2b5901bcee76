"""A sweep from its beginning to its end: what is there is taken over, what is missing is trained chunk by chunk."""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ravine.errors import SweepError, shown
from ravine.rules import Method, Rule
from ravine.sweep import engines
from ravine.sweep.cluster import check_address, ray_tasks
from ravine.sweep.grid import Axis, Grid, axis_of, grid, rule_of
from ravine.sweep.manifest import alone, now, read_manifest, versions, write_manifest
from ravine.sweep.parts import Identity, Parts, kept, prepared
from ravine.sweep.plan import Missing, Plan
from ravine.sweep.table import Sweep


class Progress(NamedTuple):
    """Hold how far a sweep is."""

    done: float  # trainings, with the finished part of those in flight
    total: int
    diverged: int
    failed: int


def sweep(
    task: Any,
    rule: str | Rule | Method = "heavyball",
    axes: Mapping[str, Any] | None = None,
    *,
    steps: int | None = None,
    seeds: int | Iterable[int] = 1,
    out: str | os.PathLike[str],
    engine: str = "auto",
    cluster: str | None = None,
    workers: int | None = None,
    gpus: float | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    halving: float = 0.0,
    chunk: int | None = None,
    retry: bool = False,
    curvature: float | None = None,
    progress: Callable[[Progress], object] | None = None,
    say: Callable[[str], object] | None = None,
) -> Sweep:
    """Train a task with every cell of a grid of settings and every seed, and keep each training as a row.

    What is finished lies in the folder, chunk by chunk: the same call goes on where an earlier one was ended, and one with
    another grid computes only the rows that are missing.

    Args:
        task: a name (`ravine tasks`), `path/to/file.py:make_task`, or a `Task`.
        rule: such as `heavyball` or `qhm:nu=0.7`; settings given here stay fixed.
        axes: by setting a range `lo:hi:n`, a list, or numbers and schedules; lr and mu have a grid where nobody gives one.
        steps: updates of each training; the task's own number if not given.
        seeds: how many, from 0, or which.
        out: the folder; it is made.
        engine: `lanes` (many trainings as one program), `processes`, `ray`, or `auto`.
        cluster: of Ray: an address such as `host:6379` or `ray://host:10001`, `auto`, or `local`, which starts one here.
        workers: processes, or chunks at once on a cluster.
        gpus: of each chunk on a cluster; 1 where the device is a GPU.
        device: where each training runs.
        dtype: `float32` or `float64`.
        halving: divide the trainings by this at every rung (3 is usual), 0 to train all to the end.
        chunk: trainings to a part; chosen if not given.
        retry: train those again that failed before.
        curvature: the largest of the loss, for the theory's line in pictures.
        progress: called with a `Progress` while it runs.
        say: called with sentences worth telling.

    Returns:
        A `Sweep`.

    Raises:
        SweepError, RuleError, TaskError: with what is wrong and what to write.

    Example:
        >>> import tempfile, torch
        >>> from ravine.tasks import Task
        >>> x = torch.linspace(-1, 1, 64)[:, None]
        >>> line = Task(
        ...     model=lambda: torch.nn.Linear(1, 1),
        ...     loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        ...     data=(x, 3 * x),
        ...     batch=32,
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     made = sweep(line, "heavyball", {"lr": [0.03, 0.3, 30.0], "mu": 0.5}, steps=30, out=folder, engine="lanes")
        >>> str(made.best.method), made.counts["diverged"]
        ('heavyball:lr=0.3,mu=0.5', 1)
    """
    began = time.perf_counter()
    if cluster:
        check_address(cluster)  # before torch is loaded, which takes seconds
    from ravine.tasks import fingerprint, load

    made, task = grid(rule, axes, seeds), load(task)
    path = prepared(out)
    earlier, known = read_manifest(path) or {}, fingerprint(task)
    plan = Plan(task, made, task.steps if steps is None else steps, engine, cluster, workers, gpus, device, dtype, halving,
                chunk, known, earlier)  # fmt: skip
    identity = Identity(known, plan.steps, dtype)
    for note in plan.notes if say else ():
        say(note)  # type: ignore[misc]
    named = {"name": task.name, "text": task.text, "fingerprint": identity.task}
    told = {
        "task": named,
        **plan.told(),
        "curvature": _curvature(curvature, earlier, identity),
        "chunk": plan.size(),
    }
    told |= {"versions": versions(), "started": now(), "finished": None}
    missing = Missing(plan, Parts(path, identity, list(plan.notes)), retry)
    _run(missing, told, progress, say)
    rows = tuple(map(missing.row, made.keys))
    found = Sweep(path, made, rows, {**told, "finished": now()}, tuple(missing.parts.notes), len(missing.computed),
                  time.perf_counter() - began)  # fmt: skip
    write_manifest(path, found.manifest)
    with kept(path):
        found.export(path / "sweep.parquet")
    return found


def _run(missing: Missing, told: Mapping[str, Any], progress: Any, say: Any) -> None:
    """Make the rows that are missing."""
    plan, parts = missing.plan, missing.parts
    with alone(parts.path) as first:
        if first:
            parts.sweep_up()
        elif say:
            say(f"another sweep is at work in {parts.path}; its rows are taken over as they come")
        parts.refresh()
        write_manifest(parts.path, told)
        chunks = plan.chunks(told["chunk"])
        meter = _Meter(missing, progress)
        there = meter.tell()
        # Two sweeps begin at the two ends and meet in the middle.
        order = range(len(chunks)) if first else range(len(chunks))[::-1]
        if there < len(plan.grid.keys):
            with closing(_finished(plan, missing.jobs(chunks, order), meter, say)) as finished:
                for index, rows in finished:
                    missing.computed |= {row.key for row in rows}
                    parts.write(index, rows)
                    meter.tell()


def _finished(plan: Plan, jobs: Any, meter: "_Meter", say: Any) -> Any:
    """Start the engine."""
    if plan.engine == "processes":
        return engines.processes(jobs, plan.workers, say)
    if plan.engine == "ray":
        return ray_tasks(jobs, plan.cluster or "local", workers=plan.workers, gpus=plan.gpus, device=plan.device)
    return engines.here(jobs, meter.part, say)


@dataclass
class _Meter:
    """Tell how far a sweep is."""

    missing: Missing
    progress: Callable[[Progress], object] | None
    last: Progress = field(default_factory=lambda: Progress(0, 1, 0, 0))

    def tell(self) -> int:
        done, diverged, failed = self.missing.counted()
        self.last = Progress(done, len(self.missing.plan.grid.keys), diverged, failed)
        if self.progress:
            self.progress(self.last)
        return done

    def part(self, share: float, of: int) -> None:
        """Tell of a share of a chunk of so many trainings."""
        if self.progress:
            self.progress(self.last._replace(done=min(self.last.done + of * share, self.last.total)))


def _curvature(given: float | None, earlier: Mapping[str, Any], identity: Identity) -> float | None:
    """Return the curvature for the theory's line: what is given, or what was given for this task before."""
    if given is None:
        same = earlier.get("task", {}).get("fingerprint") == identity.task
        return earlier.get("curvature") if same else None
    if not (np.isfinite(given) and given > 0):
        raise SweepError(f"the curvature must be a number above 0, got {given}; ravine curvature measures it")
    return float(given)


def read(out: str | os.PathLike[str]) -> Sweep:
    """Read the sweep of a folder, finished or not.

    Raises:
        SweepError: there is none.

    Example:
        >>> read("no/such/folder")
        Traceback (most recent call last):
        ravine.errors.SweepError: 'no/such/folder' holds no sweep: it has no manifest.json; ravine sweep makes one
    """
    path = Path(out).expanduser()
    told = read_manifest(path)
    if told is None:
        raise SweepError(f"{shown(path)} holds no sweep: it has no manifest.json; ravine sweep makes one")
    try:
        rule, fixed = rule_of(told["rule"])
        fixed = {key: axis_of(key, value).values[0] for key, value in told["fixed"].items()}
        axes = tuple(
            Axis(name, axis_of(name, each["values"]).values, each["scale"]) for name, each in told["axes"].items()
        )
        made = Grid(rule, fixed, axes, tuple(told["seeds"]))
        parts = Parts(path, Identity(told["task"]["fingerprint"], told["steps"], told["dtype"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise SweepError(f"the manifest of {shown(path)} lacks {error}; give the sweep's command again") from None
    parts.refresh()
    trials = tuple(map(parts.get, made.keys))
    return Sweep(path, made, trials, told, tuple(parts.notes))
