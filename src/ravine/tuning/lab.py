"""The laboratory: trains cells side by side, keeps what came out and enters what it cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ravine.surfaces.interface import Array
from ravine.tuning.cells import Cell
from ravine.tuning.ledger import Ledger

if TYPE_CHECKING:  # a surface is tuned without torch
    from ravine.tasks.task import Task

Engine = Callable[..., Any]  # (task, runs, steps=…) -> a crew
Tick = Callable[[int, int], object]


@dataclass(frozen=True)
class Trial:
    """Hold one training of a cell, whole or cut short."""

    cell: Cell
    seed: int
    made: int  # updates
    loss: float  # of all the data after a whole training, else the mean of its last batches; infinity: diverged
    whole: bool
    purpose: str
    losses: Array = field(repr=False)  # (made,), of each batch


@dataclass
class Lab:
    """Hold a task, an engine that trains it, the account and all trials so far."""

    task: "Task"
    steps: int
    ledger: Ledger
    engine: Engine
    tick: Tick | None = None
    trials: list[Trial] = field(default_factory=list)

    def afford(self, trainings: float) -> int:
        """Return how many trainings of such a length, in parts of a whole one, the rest of the budget pays for."""
        return max(0, int(self.ledger.left // max(1, round(trainings * self.steps))))

    def start(self, cells: Sequence[tuple[Cell, int]], purpose: str) -> "Bench":
        """Put cells with their seeds on a bench, nothing trained yet."""
        runs = [(cell.method(self.steps), seed) for cell, seed in cells]
        return Bench(self, list(cells), self.engine(self.task, runs, steps=self.steps), purpose)

    def whole(self, cells: Sequence[tuple[Cell, int]], purpose: str) -> list[Trial]:
        """Train cells to the end."""
        if not cells:
            return []
        bench = self.start(cells, purpose)
        bench.to(self.steps)
        return bench.close()

    def told(self) -> None:
        """Tell whoever watches how much is spent."""
        if self.tick:
            self.tick(self.ledger.total - self.ledger.left, self.ledger.total)


@dataclass
class Bench:
    """Hold cells that are trained side by side; some may be taken off on the way."""

    lab: Lab
    cells: list[tuple[Cell, int]]
    crew: Any
    purpose: str
    entered: int = 0  # gradient evaluations that are in the account
    aim: int = 0  # the update that was asked for last
    off: dict[int, float] = field(default_factory=dict)

    def to(self, updates: int) -> Array:
        """Go on to this update; returns the loss of each cell there, infinity where it diverged or was taken off."""
        self.aim = updates
        try:
            self._go(updates)
        except KeyboardInterrupt:
            self.aim = self.crew.made
            self.close()  # what was trained so far is kept
            raise
        return self.losses()

    def _go(self, updates: int) -> None:
        """Go on in parts, so that whoever watches is told."""
        while self.crew.made < updates and len(self.crew.alive):
            self.crew.advance(min(updates - self.crew.made, max(1, self.lab.steps // 10)))
            self._enter()

    def losses(self) -> Array:
        """Return the mean of each cell's last batches now."""
        now = self._now()
        now[[k for k in range(len(self.cells)) if k in self.off]] = math.inf
        return now

    def take_off(self, wanted: Sequence[int]) -> None:
        """End some of them."""
        now, alive = self._now(), set(self.crew.alive)
        self.off.update({k: float(now[k]) for k in wanted if k in alive})
        self.crew.drop([k for k in wanted if k in alive])

    def close(self) -> list[Trial]:
        """End all of them and write down what came out."""
        self._enter()
        now, whole = self._now(), self.aim >= self.lab.steps
        final = [value for value, _ in self.crew.measure()] if whole else []
        found = []
        for k, (cell, seed) in enumerate(self.cells):
            losses = np.asarray(self.crew.losses[k], float)
            made = int(np.isfinite(losses).sum()) if not np.isfinite(losses).all() else len(losses)
            complete = whole and k not in self.off
            loss = final[k] if complete else self.off.get(k, float(now[k]))
            loss = float(loss) if math.isfinite(loss) else math.inf
            found.append(Trial(cell, seed, made, loss, complete, self.purpose, losses[:made]))
        self.lab.trials += found
        return found

    def _now(self) -> Array:
        """Return the mean of each training's last batches, infinity where it diverged."""
        from ravine.sweep.halving import batch_loss

        return batch_loss(self.crew)

    def _enter(self) -> None:
        self.lab.ledger.spend(self.purpose, self.crew.gradients - self.entered)
        self.entered = self.crew.gradients
        self.lab.told()
