"""Singles: trainings in turn behind the interface of `Lanes`, for what cannot be batched."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch

from ravine import rules
from ravine.charts import EVERY
from ravine.surfaces.interface import Array
from ravine.tasks.batches import batches
from ravine.tasks.task import Task
from ravine.torch.training import Tick, Trained, loss_of, measured, optimizer_of, trained_model

Run = tuple[rules.Method | str, int]
Told = tuple[float, dict[str, float]]


class Singles:
    """Train one model several times, one training after another, each as `train` would.

    Args:
        task: what is trained.
        runs: a method and a seed for each training.
        steps: how many updates at most.
        device: where.
        dtype: of the parameters and the data.

    Raises:
        TaskError: the task cannot be trained.
        RuleError: a method cannot be read.

    Example:
        >>> from ravine.tasks import load
        >>> made = Singles(load("diabetes-regression"), [("sgd:lr=0.01", 0)], steps=6)
        >>> made.advance(4)
        >>> made.losses.shape
        (1, 4)
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
        self._each = [Single(task, method, seed, steps, device, dtype) for method, seed in self.runs]

    @property
    def alive(self) -> list[int]:
        """List the trainings that are still going."""
        return [k for k, one in enumerate(self._each) if one.going]

    @property
    def losses(self) -> Array:
        """Return the losses so far, (trainings, updates made); NaN after a training stopped."""
        return np.array([one.losses[: self.made] for one in self._each]).reshape(len(self._each), self.made)

    @property
    def gradients(self) -> int:
        """Return how many gradients were computed for updates."""
        return sum(one.made for one in self._each)

    def advance(self, updates: int | None = None, tick: Tick | None = None) -> None:
        """Make so many updates of every training that is going, all that are left if no number is given."""
        end = self.steps if updates is None else min(self.made + updates, self.steps)
        begun, going = self.made, self.alive
        for count, k in enumerate(going, 1):
            self._each[k].advance(end - begun)
            if tick:
                tick(begun + (end - begun) * count // len(going), self.steps)
        self.made = end

    def drop(self, lanes: Iterable[int]) -> None:
        """End trainings on purpose; their results are what was measured last."""
        for k in lanes:
            self._each[k].drop()

    def measure(self) -> list[Told]:
        """Return the mean loss over all of the data and the metrics of each now, infinity for one that diverged."""
        return [one.measure() for one in self._each]

    def results(self) -> list[Trained]:
        """Return each training as it is now."""
        return [one.result() for one in self._each]


class Single:
    """Hold one training that can be stopped and gone on with: torch's random numbers are its own while it runs."""

    def __init__(
        self, task: Task, method: rules.Method, seed: int, steps: int, device: Any, dtype: torch.dtype
    ) -> None:
        self.method, self.seed = method, seed
        self.losses = np.full(steps, np.nan)
        self.made = 0
        self.stopped: int | None = None
        self.dropped = False
        with trained_model(task, seed, device, dtype) as (self.task, self.model):
            self._random = _random(device)
        self._device = device
        self._told: tuple[int, Told] = -1, (math.nan, {})
        self.optimizer = optimizer_of(method, self.model.parameters())
        self.batches = batches(self.task, seed)

    @property
    def going(self) -> bool:
        """Say whether it may go on."""
        return self.stopped is None and not self.dropped

    def advance(self, updates: int) -> None:
        """Make updates; a loss that is not finite ends them."""
        with torch.random.fork_rng():
            _random(self._device, self._random)
            for _ in range(updates):
                self.optimizer.zero_grad()
                loss = loss_of(self.task, self.model, next(self.batches))
                self.losses[self.made] = loss.item()
                if not math.isfinite(self.losses[self.made]):
                    self.stopped = self.made
                    break
                loss.backward()
                self.optimizer.step()
                self.made += 1
            self._random = _random(self._device)

    def drop(self) -> None:
        """End it on purpose."""
        self.dropped = self.dropped or self.going

    def measure(self) -> Told:
        """Return the loss over all of the data, and the metrics."""
        if self.stopped is not None:
            return math.inf, {}
        if self._told[0] != self.made and not self.dropped:
            with torch.random.fork_rng(), self.optimizer.at_iterate():
                self._told = self.made, measured(self.task, self.model)
        return self._told[1]

    def result(self) -> Trained:
        """Return the training as it is now."""
        value, metrics = self.measure()
        own = self.method, self.seed, self.losses.copy()
        if self.stopped is not None:
            at = self.stopped
            return Trained(*own, math.inf, {}, at, f"the loss is {self.losses[at]} at update {at}")
        if self.dropped:
            return Trained(*own, value, metrics, None, f"dropped after {self.made} updates")
        if not math.isfinite(value):
            return Trained(*own, math.inf, metrics, self.made, f"the loss is {value} after the last update")
        return Trained(*own, value, metrics)


def _random(device: Any, state: Any = None) -> Any:
    """Return the state of torch's random numbers, after setting it where one is given."""
    cuda = torch.device(device).type == "cuda"
    if state is not None:
        torch.set_rng_state(state[0])
        if cuda:
            torch.cuda.set_rng_state(state[1], device)
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if cuda else None
