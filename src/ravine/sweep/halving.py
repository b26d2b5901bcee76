"""Successive halving: many trainings go on together, and at every rung only the best part of them goes further.

rung 1: N trainings    rung 2: keep·N    rung 3: keep²·N    …
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ravine.errors import SweepError, shown
from ravine.surfaces.interface import Array

SHARE, LEAST = 0.1, 5  # the batch loss is the mean over this share of the updates so far, and at least so many
FIRST = 10  # updates before the first rung, at least


class Crew(Protocol):
    """Say what halving asks of trainings that go on side by side (`ravine.torch.lanes`)."""

    @property
    def made(self) -> int:
        """Return how many updates were made."""

    @property
    def alive(self) -> Any:
        """Return the indices of those that go on."""

    @property
    def losses(self) -> Array:
        """Return the loss of every batch, (K, made), NaN after a training stopped."""

    @property
    def gradients(self) -> int:
        """Return the gradient evaluations spent."""

    def advance(self, updates: int) -> Any:
        """Make so many updates."""

    def drop(self, indices: Any) -> Any:
        """End some on purpose."""


Score = Callable[[Any], Any]  # of a crew, a number for each training, the lower the better; infinity where it diverged


@dataclass(frozen=True)
class Halved:
    """Hold how a halving ended."""

    survivors: tuple[int, ...]  # indices of the trainings that go on, the best first
    dropped: Mapping[int, tuple[int, float]]  # by index at which update each was dropped, and its loss there
    spent: int  # gradient evaluations


def batch_loss(crew: Crew) -> Array:
    """Return the mean of each training's last batch losses, infinity where one of them is not finite."""
    losses = np.asarray(crew.losses, float)
    window = losses[:, -max(LEAST, math.ceil(SHARE * losses.shape[1])) :]
    with np.errstate(over="ignore"):  # losses that are finite, with a sum that is not
        mean: Array = np.where(np.isfinite(window).all(axis=1), np.nan_to_num(window).mean(axis=1), np.inf)
    return mean


def halve(
    crew: Crew,
    rungs: Sequence[int],
    keep: float = 1 / 3,
    *,
    score: Score = batch_loss,
    groups: Sequence[Any] | None = None,
    tick: Callable[[int, int], object] | None = None,
) -> Halved:
    """Advance a crew from rung to rung and drop all but the best part of it at each.

    Args:
        crew: trainings side by side, such as `ravine.torch.crew(…)` makes; it is changed.
        rungs: numbers of updates, rising.
        keep: which part goes on, above 0 and below 1; at least one training always does.
        score: judges them: the mean of the last batch losses, or what you measure.
        groups: one label for each training; those of a label, such as the seeds of a cell, are judged by the mean of
            their scores and go on or end together.
        tick: called with (updates made, updates of the last rung).

    Returns:
        Who survived, who was dropped when, and what it cost. The crew stands at the last rung: advance it to the end.

    Raises:
        SweepError: rungs that do not rise, or a part that is none.

    Example:
        >>> class Two:
        ...     made, alive, gradients = 0, [0, 1], 0
        ...     def advance(self, updates): self.made += updates; self.gradients += updates * len(self.alive)
        ...     def drop(self, indices): self.alive = [i for i in self.alive if i not in indices]
        ...     losses = property(lambda self: np.array([[1.0], [2.0]]).repeat(self.made, 1))
        >>> halve(Two(), [10], 1 / 2)
        Halved(survivors=(0,), dropped={1: (10, 2.0)}, spent=20)

    Source: Jamieson & Talwalkar 2016, algorithm 1.
    """
    if not 0 < keep < 1:
        raise SweepError(f"the part that halving keeps lies between 0 and 1, got {keep:g}; 1/3 is usual")
    if list(rungs) != sorted(set(rungs)) or (rungs and rungs[0] < 1):
        raise SweepError(f"rungs are rising numbers of updates from 1 on, got {shown(list(rungs))}")
    before = crew.gradients
    dropped: dict[int, tuple[int, float]] = {}
    order: list[int] = [int(i) for i in crew.alive]
    for rung in rungs:
        crew.advance(rung - crew.made)
        if tick:
            tick(rung, rungs[-1])
        scores = np.asarray(score(crew), float)
        order, out = _cut(order, scores, keep, groups)
        dropped |= {i: (rung, float(scores[i])) for i in out}
        alive = {int(i) for i in crew.alive}
        crew.drop([i for i in out if i in alive])
    return Halved(tuple(order), dropped, crew.gradients - before)


def _cut(order: list[int], scores: Array, keep: float, groups: Sequence[Any] | None) -> tuple[list[int], list[int]]:
    """Return who goes on, the best first, and who does not; one that diverged never goes on beside one that did not."""
    label = {i: groups[i] if groups is not None else i for i in order}
    members: dict[Any, list[int]] = {}
    for i in order:
        members.setdefault(label[i], []).append(i)
    means = {name: float(np.mean([scores[i] for i in some])) for name, some in members.items()}
    ranked = sorted(members, key=lambda name: means[name])  # stable: of equals the earlier one
    ranked = [name for name in ranked if math.isfinite(means[name])] or ranked
    kept = ranked[: max(1, math.ceil(keep * len(members) - 1e-9))]
    going = [i for name in kept for i in members[name]]
    return going, [i for i in order if i not in set(going)]


def rungs_of(steps: int, count: int, factor: float = 3, first: int = FIRST) -> tuple[int, ...]:
    """Return the usual rungs: steps/factor, steps/factor², … down to `first`, no more than leave one training.

    >>> rungs_of(500, 60, 3)
    (18, 55, 166)
    """
    if not (math.isfinite(factor) and factor > 1):
        raise SweepError(f"halving divides the trainings by a number above 1, got {factor:g}; 3 is usual")
    found: list[int] = []
    while int(steps / factor ** (len(found) + 1)) >= first and factor ** (len(found) + 1) <= count:
        found.append(int(steps / factor ** (len(found) + 1)))
    return tuple(sorted(set(found)))
