"""A sweep that has been made: its rows, its cells, the best of them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ravine import display
from ravine.errors import SweepError, shown
from ravine.files import aside, writable
from ravine.rules import Method
from ravine.schedules import text_of
from ravine.surfaces.interface import Array
from ravine.sweep.grid import Grid
from ravine.sweep.trials import DIVERGED, DONE, DROPPED, FAILED, STATES, Trial

MISSING = "missing"
TABLES = ("csv", "parquet")


class Cell(NamedTuple):
    """Hold one cell of the grid: a method and what became of it with each seed."""

    method: Method
    trials: tuple[Trial | None, ...]  # one for each seed, None where it is not computed yet
    loss: float  # median over the seeds, infinity where most of them diverged; NaN where none has a loss

    @property
    def states(self) -> tuple[str, ...]:
        """Return what became of it with each seed."""
        return tuple(trial.state if trial else MISSING for trial in self.trials)

    @property
    def finished(self) -> bool:
        """Say whether every seed was trained to the end or diverged."""
        return all(state in (DONE, DIVERGED) for state in self.states)

    def summary(self) -> dict[str, Any]:
        """Return what `--json` prints of a cell."""
        settings = {k: text_of(v) if callable(v) else float(v) for k, v in self.method.settings.items()}
        losses = [display.finite(trial.loss) if trial else None for trial in self.trials]
        return {"method": str(self.method), "settings": settings, "loss": display.finite(self.loss), "losses": losses}


@dataclass(frozen=True)
class Sweep:
    """Hold a sweep: its grid, a row for each training, and the manifest."""

    path: Path
    grid: Grid
    trials: tuple[Trial | None, ...]  # in the order of the grid's runs, None where not computed yet
    manifest: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    computed: int = 0  # rows of this call; the others were there
    seconds: float = 0.0  # of this call

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Return the cells, the last axis turning fastest."""
        seeds = len(self.grid.seeds)
        return tuple(
            Cell(method, some, _median(some))
            for i, method in enumerate(self.grid.cells)
            for some in (self.trials[i * seeds : (i + 1) * seeds],)
        )

    @property
    def counts(self) -> dict[str, int]:
        """Count the rows of each state."""
        states = [trial.state if trial else MISSING for trial in self.trials]
        return {state: states.count(state) for state in (*STATES, MISSING)}

    @property
    def best(self) -> Cell | None:
        """Return the cell whose median loss is lowest; a cell that halving dropped is none. None where all diverged."""
        fine = [cell for cell in self.cells if np.isfinite(cell.loss) and DROPPED not in cell.states]
        return min(fine, key=lambda cell: cell.loss) if fine else None

    @property
    def border(self) -> tuple[str, ...]:
        """Return the axes at whose end the best cell lies, so that better ones may lie beyond."""
        best = self.best
        if best is None:
            return ()
        found = []
        for axis in self.grid.axes:
            values = [v for v in axis.values if not callable(v)]
            mine = best.method.settings[axis.name]
            natural = axis.name == "mu" and mine == 0  # nothing lies beyond
            if len(values) > 2 and not callable(mine) and mine in (min(values), max(values)) and not natural:
                found.append(axis.name)
        return tuple(found)

    def columns(self, curves: bool = False) -> dict[str, Array]:
        """Return the rows as columns.

        Args:
            curves: with the learning curves, lists of update numbers and of mean batch losses.

        Returns:
            By name an array with an entry for each row in the order of the grid: the settings, `seed`, `state` (done,
            diverged, dropped, failed), `loss`, a column for each metric, `stopped` (-1 where it ran to the end),
            `reason`, `spent` gradient evaluations, `engine`, `device` and `seconds`. Rows that are missing are left out.
        """
        rows = [t for t in self.trials if t]
        runs = [run for run, t in zip(self.grid.runs, self.trials, strict=True) if t]
        made: dict[str, Any] = {"rule": _texts([method.name for method, _ in runs])}
        for name in self.grid.rule.parameters:
            values = [method.settings[name] for method, _ in runs]
            numbers = not any(callable(v) for v in values)
            made[name] = np.array(values, float) if numbers else _texts([text_of(v) for v in values])
        made |= {"seed": np.array([t.seed for t in rows], np.int64)}
        made |= {"steps": np.full(len(rows), self.manifest["steps"], np.int64)}
        made |= {"state": _texts([t.state for t in rows]), "loss": np.array([t.loss for t in rows], float)}
        for key in dict.fromkeys(key for t in rows for key in t.metrics):
            made[key if key not in made else f"metric {key}"] = np.array([t.metrics.get(key, np.nan) for t in rows])
        made["stopped"] = np.array([-1 if t.stopped is None else t.stopped for t in rows], np.int64)
        made["reason"] = _texts([t.reason for t in rows])
        made["spent"] = np.array([t.spent for t in rows], np.int64)
        made |= {"engine": _texts([t.engine for t in rows]), "device": _texts([t.device for t in rows])}
        made["seconds"] = np.array([t.seconds for t in rows], float)
        if curves:
            made |= {"curve_at": _lists([t.at for t in rows]), "curve_loss": _lists([t.curve for t in rows])}
        return made

    def summary(self) -> dict[str, Any]:
        """Return what `ravine sweep --json` prints."""
        best = self.best
        return {
            **self.manifest,
            "folder": str(self.path),
            "rows": len(self.trials) - self.counts[MISSING],
            "counts": self.counts,
            "computed": self.computed,
            "spent": sum(trial.spent for trial in self.trials if trial),
            "seconds": self.seconds,
            "best": best.summary() if best else None,
            "border": list(self.border),
            "failures": list(dict.fromkeys(t.reason for t in self.trials if t and t.state == FAILED))[:10],
            "notes": list(self.notes),
        }

    def export(self, out: str | os.PathLike[str]) -> None:
        """Write the rows as CSV, or as Parquet with the learning curves; raises `DrawError` where that cannot be done."""
        path = writable(out, TABLES)
        with aside(path) as file:
            if path.suffix.lower() == ".parquet":
                import pyarrow as pa
                import pyarrow.parquet as pq

                arrays = {k: pa.array(v.tolist()) if v.dtype == object else pa.array(v)
                          for k, v in self.columns(curves=True).items()}  # fmt: skip
                pq.write_table(pa.table(arrays), file, compression="zstd")
                return
            import csv

            columns = self.columns()
            with file.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(columns)
                writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))

    def plot(self) -> Any:
        """Draw the map, the learning curves and the valley of equal effective lr as a Matplotlib figure."""
        return display.picture("sweeps", self)

    def page(self) -> str:
        """Return the same as an HTML document whose points tell their numbers under the pointer."""
        return str(display.picture("sweeppage", self))

    def cell(self, **settings: float) -> Cell:
        """Return the cell with these settings; raises `SweepError` where the grid has none or several."""
        found = [c for c in self.cells if all(c.method.settings.get(k) == v for k, v in settings.items())]
        if len(found) != 1:
            raise SweepError(f"the grid has {len(found)} cells with {shown(settings)}; give one value of each axis")
        return found[0]


def _median(trials: tuple[Trial | None, ...]) -> float:
    losses = [trial.loss for trial in trials if trial and not np.isnan(trial.loss)]
    return float(np.median(losses)) if losses else float("nan")


def _texts(values: list[str]) -> Array:
    found: Array = np.array(values, dtype=object)
    return found


def _lists(values: list[tuple[Any, ...]]) -> Array:
    made: Array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        made[i] = list(value)
    return made
