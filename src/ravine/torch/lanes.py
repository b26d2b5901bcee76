"""Lanes: many trainings of one model, with their own rules, settings and seeds, as one program.

    v' = keep·v + take·g       with x, v, g of all lanes in tensors (lanes, P), and keep, take, move, kick, look
    x' = x + move·v' + kick·g  from the row of each lane at this update
    y' = x' + look·v'

The lanes are cut into chunks, small enough that what a chunk works on stays near the processor. A chunk trains for some
updates, then the next: on the CPU on as many threads as torch has, each with a slot of its own.
"""

import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from ravine import rules
from ravine.charts import EVERY
from ravine.surfaces.interface import Array
from ravine.tasks.batches import batches
from ravine.tasks.task import Task
from ravine.torch.lanewise.feed import Feed
from ravine.torch.lanewise.moves import rows
from ravine.torch.lanewise.slots import Fed, Slot
from ravine.torch.lanewise.stack import Stack, leaves
from ravine.torch.pace import one_thread
from ravine.torch.training import Tick, Trained, measured

SPAN = 16  # updates between two looks at the losses, at most
CHUNK = 64  # lanes in one slot, at most
NEAR = 8 * 2**20  # bytes that a slot works on: what stays near a processor, measured

Run = tuple[rules.Method | str, int]
Told = tuple[float, dict[str, float]]


class Lanes:
    """Train one model many times at once.

    Lane k becomes what `train(task, method_k, seed=seed_k)` becomes, to rounding. A lane whose loss is not finite stops
    there, as a training alone does, and the others go on.

    Args:
        task: what is trained.
        runs: a method and a seed for each lane; the rules may differ.
        steps: how many updates at most.
        device: where.
        dtype: of the parameters and the data.

    Raises:
        TaskError: the task cannot be trained.
        RuleError: a method cannot be read.

    Example:
        >>> from ravine.tasks import load
        >>> lanes = Lanes(load("diabetes-regression"), [("sgd:lr=0.01", 0), ("nag:lr=0.01,mu=0.9", 1)], steps=6)
        >>> lanes.advance(4)
        >>> lanes.losses.shape, lanes.gradients
        ((2, 4), 8)
        >>> lanes.drop([0])
        >>> lanes.advance()
        >>> lanes.alive, [one.reason for one in lanes.results()]
        ([1], ['dropped after 4 updates', ''])
    """

    def __init__(
        self,
        task: Task,
        runs: Sequence[Run],
        *,
        steps: int,
        device: Any = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.runs = [(rules.parse(m, EVERY) if isinstance(m, str) else m, seed) for m, seed in runs]
        self.steps, self.made = steps, 0
        self.stack = Stack(task, {seed for _, seed in self.runs}, device, dtype)
        self._feeds = {seed: Feed(self.stack, seed) for seed in self.stack.begin}
        self._rows = rows([method for method, _ in self.runs], steps)
        self._looks = bool(self._rows[:, 4].any())
        self._found = np.full((len(self.runs), steps), np.nan)
        self._stopped: dict[int, int] = {}  # by lane the update at which its loss was not finite
        self._ended: dict[int, int] = {}  # by lane the update before which it was dropped
        self._told: dict[int, tuple[int, Told]] = {}  # by lane the last measurement, and after how many updates
        self._order = sorted(range(len(self.runs)), key=lambda k: self.runs[k][1])  # lanes of one seed side by side
        self._x = torch.stack([self.stack.begin[self.runs[k][1]] for k in self._order])
        self._v = torch.zeros_like(self._x)
        self._workers = torch.get_num_threads() if self.stack.device.type == "cpu" else 1
        self._size = self._chunk()
        self._slots: list[dict[bool, Slot]] = [{} for _ in range(self._workers)]

    @property
    def alive(self) -> list[int]:
        """List the lanes that are still going."""
        return [k for k in range(len(self.runs)) if k not in self._stopped and k not in self._ended]

    @property
    def losses(self) -> Array:
        """Return the losses so far, (lanes, updates made); NaN after a lane stopped."""
        return self._found[:, : self.made]

    @property
    def gradients(self) -> int:
        """Return how many gradients of single lanes were computed for updates."""
        ends = {**self._stopped, **self._ended}
        return sum(min(ends.get(k, self.made), self.made) for k in range(len(self.runs)))

    def advance(self, updates: int | None = None, tick: Tick | None = None) -> None:
        """Make so many updates of every lane that is going, all that are left if no number is given."""
        end = self.steps if updates is None else min(self.made + updates, self.steps)
        with one_thread(), ThreadPoolExecutor(self._workers, "lanes", torch.set_num_threads, (1,)) as pool:
            while self.made < end and self._order:
                span = min(SPAN, end - self.made)
                self._span(span, pool)
                self.made += span
                self._look()
                if tick:
                    tick(self.made, self.steps)
        self.made = max(self.made, end)

    def drop(self, lanes: Iterable[int]) -> None:
        """End lanes on purpose; their results are what was measured last."""
        self._ended.update(dict.fromkeys(set(lanes) & set(self.alive), self.made))
        self._compact()

    def measure(self) -> list[Told]:
        """Return the mean loss over all of the data and the metrics of each lane now, infinity for one that diverged."""
        alive = set(self.alive)
        with one_thread():
            for k, x in zip(self._order, self._x, strict=True):
                if k in alive and self._told.get(k, (-1,))[0] != self.made:
                    self._told[k] = self.made, measured(self.stack.task, self.stack.filled(x, self._held(k)))
        unknown = -1, (math.nan, dict[str, float]())
        return [(math.inf, {}) if k in self._stopped else self._told.get(k, unknown)[1] for k in range(len(self.runs))]

    def results(self) -> list[Trained]:
        """Return each lane's training as it is now."""
        return [self._result(k, *told) for k, told in enumerate(self.measure())]

    def _result(self, k: int, value: float, metrics: dict[str, float]) -> Trained:
        losses = self._found[k].copy()
        own = *self.runs[k], losses
        if k in self._stopped:
            at = self._stopped[k]
            return Trained(*own, math.inf, {}, at, f"the loss is {losses[at]} at update {at}")
        if k in self._ended:
            return Trained(*own, value, metrics, None, f"dropped after {self._ended[k]} updates")
        if not math.isfinite(value):
            return Trained(*own, math.inf, metrics, self.made, f"the loss is {value} after the last update")
        return Trained(*own, value, metrics)

    def pace(self, updates: int) -> float:
        """Return the seconds of one update of one lane on one thread, the fastest of some, tried on a copy."""
        a, b = self._chunks()[0]
        fed = {seed: Feed(self.stack, seed)(1) for seed in {self._seed(k) for k in self._order[a:b]}}
        seconds = []
        with one_thread():
            for _ in range(updates + 1):  # the first has the program made
                begun = time.perf_counter()
                self._run(self._slots[0], a, b, 1, fed, tried=True)
                seconds.append((time.perf_counter() - begun) / (b - a))
        return min(seconds[1:])

    def bytes(self, fixed: bool) -> int:
        """Return the memory that one lane more takes, or what is taken however many there are; measured after a pace."""
        if fixed:
            return self._workers * sum(slot.bytes for slot in self._slots[0].values())
        kept = self._x.nbytes + self._v.nbytes
        return int(
            2 * kept // len(self._order) + self._rows[..., 0].nbytes + self._found[0].nbytes
        )  # 2: while ranks close

    # Inside ------------------------------------------------------------------------------------------------------

    def _chunk(self) -> int:
        """Return how many lanes train in one slot: as many as stay near the processor, and some for each worker."""
        most = CHUNK
        if self.stack.device.type == "cpu":
            seed = self.runs[self._order[0]][1]
            self.stack.draws(leaves(next(batches(self.stack.task, seed))), seed)
            lane = 4 * self._x[0].nbytes + 2 * self.stack.saved
            most = max(2, min(CHUNK, NEAR // lane))
        return min(most, -(-len(self.runs) // self._workers))

    def _seed(self, k: int) -> int:
        return self.runs[k][1]

    def _held(self, k: int) -> tuple[torch.Tensor, ...]:
        return self.stack.held[self._seed(k)]

    def _span(self, span: int, pool: ThreadPoolExecutor) -> None:
        """Make some updates of all chunks."""
        fed = {seed: self._feeds[seed](span) for seed in sorted({self._seed(k) for k in self._order})}
        left = deque(self._chunks())

        def work(slots: dict[bool, Slot]) -> None:
            while left:
                try:
                    a, b = left.popleft()
                except IndexError:  # another was faster
                    return
                self._run(slots, a, b, span, fed)

        for done in [pool.submit(work, slots) for slots in self._slots]:
            done.result()

    def _chunks(self) -> list[tuple[int, int]]:
        """Cut the lanes into chunks."""
        return [(a, min(a + self._size, len(self._order))) for a in range(0, len(self._order), self._size)]

    def _run(
        self, slots: dict[bool, Slot], a: int, b: int, span: int, fed: dict[int, list[Fed]], tried: bool = False
    ) -> None:
        """Make some updates of one chunk, or only try them."""
        lanes = self._order[a:b]
        shared = len({self._seed(k) for k in lanes}) == 1
        if shared not in slots:
            slots[shared] = Slot(self.stack, self._size, shared, self._looks)
        mine = lanes[:1] if shared else lanes
        given = [[fed[self._seed(k)][step] for k in mine] for step in range(span)]
        now = self._rows[self.made : self.made + span, :, lanes]
        held = [self._held(k) for k in mine]
        x, v = self._x[a:b], self._v[a:b]
        if tried:
            x, v = x.clone(), v.clone()
        found = slots[shared].run(x, v, now, held, given)
        if not tried:
            self._found[lanes, self.made : self.made + span] = found.T

    def _look(self) -> None:
        """Find the lanes whose loss was not finite, and the update at which that was."""
        alive = set(self.alive)
        for k in self._order:
            wrong = ~np.isfinite(self._found[k, : self.made])
            if k in alive and wrong.any():
                self._stopped[k] = int(wrong.argmax())
                self._found[k, self._stopped[k] + 1 :] = np.nan
            if k in self._ended:
                self._found[k, self._ended[k] :] = np.nan
        self._compact()

    def _compact(self) -> None:
        """Close ranks where a quarter of them has gone."""
        alive = set(self.alive)
        if len(alive) * 4 > len(self._order) * 3:
            return
        kept = torch.tensor([k in alive for k in self._order], dtype=torch.bool, device=self.stack.device)
        self._x, self._v = self._x[kept], self._v[kept]
        self._order = [k for k in self._order if k in alive]
