"""One training of a sweep as a row: what it was, what became of it, and its learning curve."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ravine.surfaces.interface import Array

DONE, DIVERGED, DROPPED, FAILED = "done", "diverged", "dropped", "failed"
STATES = (DONE, DIVERGED, DROPPED, FAILED)  # of two rows of one training the earlier word is kept
POINTS = 200  # of a learning curve, at most
Key = tuple[str, int]  # a method as text, and a seed


@dataclass(frozen=True)
class Trial:
    """Hold one row of a sweep."""

    method: str  # such as heavyball:lr=0.1,mu=0.9
    seed: int
    state: str  # done, diverged, dropped (by halving) or failed (it raised)
    loss: float = (
        math.nan
    )  # of all the data at the end; infinity where it diverged, of its batches where it was dropped
    metrics: Mapping[str, float] = field(default_factory=dict)
    stopped: int | None = None  # the update at which it ended early
    reason: str = ""  # why it did
    at: tuple[int, ...] = ()  # updates of the learning curve
    curve: tuple[float, ...] = ()  # mean loss of the batches around each
    spent: int = 0  # gradient evaluations
    engine: str = ""
    device: str = ""
    seconds: float = math.nan  # of computing; a chunk of lanes shares its time out evenly

    @property
    def key(self) -> Key:
        """Return what no two rows of a table share."""
        return self.method, self.seed


def binned(losses: Array, points: int = POINTS) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return a learning curve of at most so many points: update numbers, and the mean batch loss around each.

    Args:
        losses: (steps,), NaN after the training stopped.
        points: how many, at most.

    Example:
        >>> import numpy as np
        >>> binned(np.array([4.0, 2.0, 1.0, 1.0]), 2)
        ((0, 2), (3.0, 1.0))
    """
    steps = len(losses)
    edges = np.unique(np.linspace(0, steps, min(steps, points) + 1).astype(int))
    at, curve = [], []
    for first, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        piece = losses[first:end]
        if (fine := piece[np.isfinite(piece)]).size:
            at.append((first + end - 1) // 2)
            curve.append(float(fine.mean()))
    return tuple(at), tuple(curve)


def trial_of(trained: Any, **run: Any) -> Trial:
    """Return the row of a training that ran to its end or diverged; `run` is where and how long."""
    at, curve = binned(np.asarray(trained.losses, float))
    spent = int(np.isfinite(trained.losses).sum())
    state = DIVERGED if trained.diverged else DONE
    metrics = {key: float(value) for key, value in trained.metrics.items()}
    return Trial(str(trained.method), trained.seed, state, float(trained.loss), metrics, trained.stopped,
                 trained.reason, at, curve, spent, **run)  # fmt: skip
