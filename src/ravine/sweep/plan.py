"""The plan of a sweep: by which engine, in which chunks, and what of them is missing."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ravine.errors import RuleError, SweepError, nearest, shown
from ravine.sweep import engines
from ravine.sweep.grid import Grid
from ravine.sweep.parts import Parts
from ravine.sweep.trials import DIVERGED, DROPPED, FAILED, Key, Trial
from ravine.sweep.work import LANES, PLAIN, Job

DTYPES = ("float32", "float64")
CHUNKS = 10  # to a sweep, about
PROBED = 16  # lanes by which it is measured whether lanes pay
LANES_OF, PLAIN_OF = (32, 64), (1, 16)  # trainings to a chunk, from and to; lanes have to be prepared once a chunk


@dataclass
class Plan:
    """Hold what a sweep does, checked."""

    task: Any
    grid: Grid
    steps: int
    engine: str = "auto"
    cluster: str | None = None
    workers: int | None = None
    gpus: float | None = None
    device: str = "cpu"
    dtype: str = "float32"
    halving: float = 0.0
    chunk: int | None = None
    fingerprint: str = ""
    earlier: Mapping[str, Any] = field(default_factory=dict)  # the manifest that was there
    asked: str = ""  # the engine
    how: str = PLAIN
    carried: Any = None  # the task as jobs carry it
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse what cannot be run, and choose the engine and how each chunk is trained."""
        self.steps, self.asked = whole("steps", self.steps), self.engine
        for name in ("chunk", "workers"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name))
        self._check()
        self._choose()
        self.carried = self.task
        if self.engine in ("processes", "ray"):
            self.carried = engines.carried(self.task, self.engine == "ray")
            if self.carried == "":
                self._stay()

    def _check(self) -> None:
        from ravine.torch.training import usable

        for key, known in (("engine", engines.ENGINES), ("dtype", DTYPES)):
            if getattr(self, key) not in known:
                raise SweepError(f"there is no {key} {shown(getattr(self, key))}; {nearest(getattr(self, key), known)}")
        if self.halving and not (math.isfinite(self.halving) and self.halving > 1):
            raise SweepError(f"halving divides the trainings by a number above 1, got {self.halving:g}; 3 is usual")
        if self.cluster and self.engine == "auto":
            self.engine = "ray"
        if self.cluster and self.engine != "ray":
            raise SweepError(f"a cluster is for the engine ray, got {self.engine}; leave --engine or --cluster out")
        if self.gpus is not None and (self.engine != "ray" or not 0 <= self.gpus < math.inf):
            raise SweepError(
                f"GPUs of a chunk are a number from 0 on and go with --cluster, got {self.gpus:g}; leave it out"
            )
        usable(self.device, here=self.engine != "ray")
        moving = [method for method in self.grid.cells if not method.steady]
        try:
            for method in moving:
                method.row(np.arange(self.steps))
        except RuleError as error:
            raise SweepError(f"the grid has a cell that is not allowed: {error}") from None

    def _choose(self) -> None:
        """Choose the engine: lanes where the model can be batched and that pays, else processes.

        A sweep that goes on keeps what was chosen, because what pays is measured, and two ways round differently.
        """
        if self._again():
            self.engine, self.how = self.earlier["engine"], self.earlier["how"]
            return
        why = self._against_lanes() if self.engine != "processes" or self.halving else "processes were asked for"
        self.how = PLAIN if why else LANES
        if why and self.engine != "processes":
            self.notes.append(f"{self.task.name} is not trained as lanes: {why}")
        if self.engine == "auto":
            self.engine = "processes" if why and self.device == "cpu" and engines.cores() > 1 else "lanes"

    def _against_lanes(self) -> str:
        """Say why the trainings are not lanes of one program, "" where they are."""
        import torch

        from ravine.torch.crew import Singles, crew, unfit

        dtype = getattr(torch, self.dtype)
        if self.engine == "ray":  # whose device is not here
            return unfit(self.task, dtype=dtype)
        if self.engine == "lanes":
            return unfit(self.task, device=self.device, dtype=dtype)
        said: list[str] = []
        probed = list(self.grid.runs[:PROBED])
        made = crew(self.task, probed, steps=self.steps, device=self.device, dtype=dtype, say=said.append)
        return (said or ["that does not pay"])[-1].split(": ", 1)[-1] if isinstance(made, Singles) else ""

    def _again(self) -> bool:
        """Say whether a sweep goes on that had the same task, engine, device and dtype."""
        same = {"asked": self.asked, "device": self.device, "dtype": self.dtype, "halving": self.halving}
        task = self.earlier.get("task", {}).get("fingerprint") == self.fingerprint
        return task and all(self.earlier.get(key) == value for key, value in same.items()) and "how" in self.earlier

    def _stay(self) -> None:
        """Train here what cannot be sent."""
        if self.engine == "ray":
            raise SweepError("this task has no file that a cluster could load; write it as path/to/file.py:make_task")
        self.notes.append("this task was made in Python and cannot be sent to processes without cloudpickle, "
                          "so its trainings are run one by one in this process")  # fmt: skip
        self.engine, self.carried = "lanes", self.task

    def told(self) -> dict[str, Any]:
        """Return what the manifest holds of the plan."""
        return {
            **self.grid.summary(), "steps": self.steps, "dtype": self.dtype, "device": self.device,
            "asked": self.asked, "engine": self.engine, "how": self.how, "cluster": self.cluster or "", "halving": self.halving,
        }  # fmt: skip

    def size(self) -> int:
        """Return how many trainings make a chunk: as before where the same sweep goes on, so that its numbers are the same.

        A training among lanes is rounded as its company is; the same chunks give the same numbers, bit for bit.
        """
        if self.chunk:
            return self.chunk
        if "chunk" in self.earlier and all(self.earlier.get(key) == value for key, value in self.told().items()):
            return int(self.earlier["chunk"])
        runs = len(self.grid.keys)
        if self.halving:
            return min(runs, self._room())
        if self.how == LANES:
            return min(max(LANES_OF[0], min(LANES_OF[1], math.ceil(runs / CHUNKS))), self._room())
        return max(PLAIN_OF[0], min(PLAIN_OF[1], runs // (8 * (self.workers or engines.cores()))))

    def _room(self) -> int:
        """Return how many lanes fit into memory."""
        import torch

        from ravine.torch.crew import most_lanes

        there = self.device if self.engine != "ray" else "cpu"
        return max(1, most_lanes(self.task, there, getattr(torch, self.dtype)))

    def chunks(self, size: int) -> list[list[Key]]:
        """Cut the trainings into chunks; those of one cell stay together where halving judges them together."""
        runs = list(self.grid.keys)
        seeds = len(self.grid.seeds)
        if self.halving and size < len(runs):
            # Every chunk is halved by itself, so each needs its share of good and bad cells.
            size = max(seeds, size // seeds * seeds)
            cells = np.random.default_rng(0).permutation(len(runs) // seeds)
            runs = [runs[cell * seeds + i] for cell in cells.tolist() for i in range(seeds)]
        return [runs[i : i + size] for i in range(0, len(runs), size)]

    def job(self, runs: Sequence[Key]) -> Job:
        """Return some runs as a job that any process can do."""
        return Job(self.carried, tuple(runs), self.steps, self.dtype, self.device,
                   self.how, PLAIN if self.engine == LANES and self.how == PLAIN else self.engine, self.halving)  # fmt: skip


@dataclass
class Missing:
    """Tell which trainings of a plan have no row yet."""

    plan: Plan
    parts: Parts
    retry: bool = False
    computed: set[Any] = field(default_factory=set)  # keys whose rows came in this call

    def row(self, run: Key) -> Trial | None:
        """Return the row of a training, None where it is still to be made."""
        found = self.parts.get(run)
        if found is None or (found.state == DROPPED and not self.plan.halving):
            return None
        if found.state == FAILED and self.retry and found.key not in self.computed:
            return None
        return found

    def among(self, runs: Sequence[Key]) -> list[Key]:
        """Return those of some trainings that are missing."""
        return [run for run in runs if self.row(run) is None]

    def jobs(self, chunks: Sequence[Sequence[Key]], order: Sequence[int]) -> Iterator[tuple[int, Job]]:
        """Yield what is to be done, each looked at when somebody is there to do it: another sweep may have done it."""
        for index in order:
            if self.among(chunks[index]):
                self.parts.refresh()
            if todo := self.among(chunks[index]):
                yield index, self.plan.job(todo)

    def counted(self) -> tuple[int, int, int]:
        """Count the trainings that have rows, and of these the diverged and the failed ones."""
        rows = [row for row in map(self.row, self.plan.grid.keys) if row]
        states = [row.state for row in rows]
        return len(rows), states.count(DIVERGED), states.count(FAILED)


def whole(name: str, value: Any) -> int:
    """Return a whole number from 1 on; raises `SweepError` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise SweepError(f"{name} must be a whole number from 1 on, got {shown(value)}")
    return int(value)
