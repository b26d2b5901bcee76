"""What a race has to show: trajectories, and what is read off them."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ravine.algebra import rate
from ravine.cells import measured_rates
from ravine.display import finite, plain
from ravine.guests import Guest
from ravine.hollows import hollow
from ravine.rules import Method
from ravine.surfaces.interface import Array, Surface

TARGETS = (1.0, 1e-3, 1e-6)  # values whose first step is reported unless others are asked for


@dataclass(eq=False)
class Run:
    """Hold one trajectory; index 0 of every array is the start."""

    surface: Surface
    method: Method | Guest
    positions: Array  # (steps + 1, n)
    stopped: str  # steps, gradient, target, diverged, undefined or interrupted
    replay: Callable[[int], Array] | None = None  # takes so many steps again and returns the velocities

    @property
    def start(self) -> Array:
        """Return where it began, (n,)."""
        first: Array = self.positions[0]
        return first

    @cached_property
    def values(self) -> Array:
        """Return the value at every step, (steps + 1,)."""
        return np.atleast_1d(self.surface.value(self.positions))

    @cached_property
    def gradient_norms(self) -> Array:
        """Return the norm of the gradient at every step, (steps + 1,), without noise."""
        with np.errstate(over="ignore"):
            norms: Array = np.linalg.norm(self.surface.gradient(self.positions), axis=1)
        return norms

    @cached_property
    def velocities(self) -> Array:
        """Return the buffer at every step, (steps + 1, n); for a guest, who hides its own, the last displacement."""
        if self.replay is None:
            return np.diff(self.positions, axis=0, prepend=self.positions[:1])
        return self.replay(self.steps)

    @property
    def steps(self) -> int:
        """Return how many steps were made."""
        return len(self.positions) - 1

    @property
    def final(self) -> Array:
        """Return the last position, (n,)."""
        last: Array = self.positions[-1]
        return last

    @property
    def value(self) -> float:
        """Return the last value."""
        return float(self.values[-1])

    @property
    def gradient_norm(self) -> float:
        """Return the last gradient's norm."""
        return float(self.gradient_norms[-1])

    @property
    def turns(self) -> tuple[int, ...]:
        """Count for each axis how often the movement turned back; moves lost in rounding do not count."""
        moves = np.diff(self.positions, axis=0)
        floor = 1e-12 * abs(self.positions).max(axis=0)
        counts = []
        for move, least in zip(moves.T, floor, strict=True):
            signs = np.sign(move[abs(move) > least])
            counts.append(int((signs[1:] != signs[:-1]).sum()))
        return tuple(counts)

    @property
    def path_length(self) -> float:
        """Return the length of the path."""
        with np.errstate(over="ignore"):
            return float(np.linalg.norm(np.diff(self.positions, axis=0), axis=1).sum())

    @property
    def measured_rate(self) -> float | None:
        """Return the factor per step by which the gradient's norm shrank, late in the run; None if it was too short."""
        return measured_rate(self.gradient_norms)

    @cached_property
    def hollow(self) -> Array | None:
        """Return the minimum to which the run leads, (n,), or None if it leads nowhere known."""
        return hollow(self.surface, self.final, self.stopped)

    @cached_property
    def curvatures(self) -> Array | None:
        """Return the Hessian's eigenvalues where the run leads, (n,), or None if it leads nowhere known.

        That is anywhere on a quadratic, else the minimum nearest to the end, known or found from it by Newton's method.
        """
        point = self.start if self.surface.quadratic else self.hollow
        found = None if point is None else self.surface.curvatures(point)
        return found if found is not None and np.isfinite(found).all() else None

    @cached_property
    def predicted_rate(self) -> float | None:
        """Return the largest rate over the curvatures; None for a schedule, a guest or a run that leads nowhere.

        It counts every pole of the row, also one that cancels in x (qhm with nu = 0 keeps a buffer nobody reads).
        """
        if isinstance(self.method, Guest) or not self.method.steady or self.curvatures is None:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return float(np.max(rate(self.method.row(0), self.curvatures)))

    def steps_to(self, target: float) -> int | None:
        """Return the first step whose value is at most `target`, or None."""
        below = self.values <= target
        return int(below.argmax()) if below.any() else None

    def summary(self, targets: Sequence[float] = TARGETS) -> dict[str, Any]:
        """Return what `ravine race --json` prints of a run."""
        return {
            "rule": self.method.name,
            "settings": {k: plain(v) for k, v in self.method.settings.items()},
            "label": self.method.label,
            "start": self.start.tolist(),
            "steps": self.steps,
            "stopped": self.stopped,
            "final": self.final.tolist(),
            "value": finite(self.value),
            "gradient_norm": finite(self.gradient_norm),
            "rate": {"predicted": finite(self.predicted_rate), "measured": finite(self.measured_rate)},
            "turns": list(self.turns),
            "path_length": finite(self.path_length),
            "steps_to": {f"{t:g}": self.steps_to(t) for t in targets},
        }


@dataclass(frozen=True)
class Race:
    """Hold the runs of a race, in the order of methods, starts and seeds."""

    surface: Surface
    runs: tuple[Run, ...]
    steps: int  # that were allowed
    targets: tuple[float, ...] = TARGETS
    noise: float = 0.0
    seeds: tuple[int, ...] = (0,)
    notes: tuple[str, ...] = ()  # what a user should be told

    @cached_property
    def starts(self) -> tuple[tuple[float, ...], ...]:
        """Return the starts of the runs, each once, in their order."""
        return tuple(dict.fromkeys(tuple(run.start.tolist()) for run in self.runs))

    def summary(self) -> dict[str, Any]:
        """Return what `ravine race --json` prints."""
        return {
            "surface": self.surface.text,
            "start": list(self.starts[0]) if len(self.starts) == 1 else [list(s) for s in self.starts],
            "steps": self.steps,
            **({"noise": self.noise, "seeds": list(self.seeds)} if self.noise else {}),
            "runs": [run.summary(self.targets) for run in self.runs],
            **({"notes": list(self.notes)} if self.notes else {}),
        }

    def where(self, run: Run) -> str:
        """Write where a run started, to follow its label; empty if all runs started there."""
        if len(self.starts) < 2:
            return ""
        return f" from ({', '.join(f'{c:g}' for c in run.start)})"

    def columns(self) -> Mapping[str, Array]:
        """Return all trajectories as one long table, a column a name: `pandas.DataFrame(race.columns())` takes it.

        Columns: run, rule, label, step, the coordinates, value, gradient_norm; one row a step of a run.
        """
        lengths = [run.steps + 1 for run in self.runs]
        joined = np.concatenate([run.positions for run in self.runs])
        return {
            "run": np.repeat(np.arange(len(self.runs)), lengths),
            "rule": np.repeat([run.method.name for run in self.runs], lengths),
            "label": np.repeat([run.method.label for run in self.runs], lengths),
            "step": np.concatenate([np.arange(n) for n in lengths]),
            **{name: joined[:, i] for i, name in enumerate(self.surface.variables)},
            "value": np.concatenate([run.values for run in self.runs]),
            "gradient_norm": np.concatenate([run.gradient_norms for run in self.runs]),
        }

    def _repr_html_(self) -> str:
        from ravine.display import html

        return html(self)


def measured_rate(norms: Array) -> float | None:
    """Return the factor per step by which one sequence changes, late in it; None for fewer than eight steps."""
    found = float(measured_rates(norms[:, None])[0])
    return found if math.isfinite(found) else None
