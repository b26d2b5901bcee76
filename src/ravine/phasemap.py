"""What a map has to show: how every cell ended, the best one, and what theory says of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from ravine.axes import Axis
from ravine.boundary import Agreement, Theory, agreement, apart, margins, rates
from ravine.cells import DIVERGED, NOT_WALKED, NOT_YET, OUTCOMES, REACHED, UNDEFINED
from ravine.display import finite, plain
from ravine.rules import Method, Rule
from ravine.surfaces.interface import Array, Surface


class Cell(NamedTuple):
    """Hold one cell of a map."""

    row: int
    column: int
    settings: Mapping[str, float]
    shown: float  # steps, value or rate


@dataclass(frozen=True)
class PhaseMap:
    """Hold a map: arrays are (rows, columns), y goes down the rows and x along the columns, both rising."""

    surface: Surface
    rule: Rule
    x: Axis
    y: Axis
    fixed: Mapping[str, Any]  # the settings that are no axis, numbers or schedules
    starts: Array  # (k, n)
    steps: int
    target: float | None  # the value that counts as reached
    show: str  # steps, value, rate or predicted
    outcome: Array  # int8, indices into OUTCOMES; of several starts the worst
    stopped: Array  # int32, the step at which a cell was over; of several starts the last
    value: Array  # there; of several starts the highest
    measured: Array | None  # the measured rates, if they were asked for
    theory: Theory | None  # None where no minimum is known
    engine: str  # compiled, batched or closed form
    seconds: Mapping[str, float]  # compile, compute
    notes: tuple[str, ...] = ()
    settled: tuple[int, int] | None = None  # row and column of the cell whose value stays lowest in the end
    settled_steps: int = 0  # after so many steps

    @cached_property
    def shown(self) -> Array:
        """Return what the colours show, NaN where there is nothing to show."""
        if self.show == "predicted":
            found = self.predicted
            assert found is not None
            return np.where(found < 1, found, np.nan)
        if self.show == "steps":
            return np.where(self.outcome == REACHED, self.stopped, np.nan)
        fine = (self.outcome == NOT_YET) | (self.outcome == REACHED)
        return np.where(fine, self.value if self.measured is None else self.measured, np.nan)

    @cached_property
    def predicted(self) -> Array | None:
        """Return the rate of every cell in closed form, (rows, columns); None without a minimum or under schedules."""
        if self.theory is None or not self.steady:
            return None
        return rates(self.rule, self.x, self.y, self.fixed, self.theory.curvatures)

    @property
    def steady(self) -> bool:
        """Say whether every step of a cell has the same row."""
        return not any(callable(value) for value in self.fixed.values())

    @cached_property
    def fewest(self) -> Cell | None:
        """Return the cell with the fewest steps, the lowest value or the smallest rate; None if no cell has any.

        Among cells that are equal the one with the smallest predicted rate, where there is one.
        """
        if not np.isfinite(self.shown).any():
            return None
        rows, columns = np.nonzero(self.shown == np.nanmin(self.shown))
        pick = int(self.predicted[rows, columns].argmin()) if self.predicted is not None else 0
        return self.cell(int(rows[pick]), int(columns[pick]))

    @cached_property
    def best(self) -> Cell | None:
        """Return the best measured cell: of steps the one whose value stays lowest in the end, else `fewest`.

        The fewest steps alone would reward a trajectory that happens to pass the minimum while it still swings widely.
        """
        return self.fewest if self.settled is None else self.cell(*self.settled)

    def cell(self, row: int, column: int) -> Cell:
        """Return one cell."""
        settings = {self.y.name: float(self.y.values[row]), self.x.name: float(self.x.values[column])}
        return Cell(row, column, settings, float(self.shown[row, column]))

    def method(self, cell: Cell) -> Method:
        """Return the method of a cell, to be raced."""
        settings = {**self.fixed, **cell.settings}
        return self.rule(**self.rule.own(settings))

    @cached_property
    def agreement(self) -> Agreement | None:
        """Return how far the diverged region is the predicted one; None where nothing is predicted or measured."""
        if self.theory is None or not self.steady or self.show == "predicted":
            return None
        stable = margins(self.rule, self.x, self.y, self.fixed, self.theory.curvatures) > 0
        gone = (self.outcome == DIVERGED) | (self.outcome == UNDEFINED)
        return agreement(stable, gone, self.outcome != NOT_WALKED)

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Count the cells of each outcome."""
        return {name: int((self.outcome == i).sum()) for i, name in enumerate(OUTCOMES)}

    def summary(self) -> dict[str, Any]:
        """Return what `ravine map --json` prints."""
        best, theory, found = self.best, self.theory, self.agreement
        return {
            "surface": self.surface.text,
            "rule": self.rule.name,
            "settings": {key: plain(value) for key, value in self.fixed.items()},
            "axes": {axis.name: axis.summary() for axis in (self.x, self.y)},
            "start": self.starts[0].tolist() if len(self.starts) == 1 else self.starts.tolist(),
            "steps": self.steps,
            "target": self.target,
            "show": self.show,
            "cells": {name: count for name, count in self.counts.items() if count or name != "not walked"},
            "best": best and {**best.settings, _WORD[self.show]: _number(best.shown, self.show)},
            **(
                {"fewest": {**self.fewest.settings, "steps": int(self.fewest.shown)}}
                if self.fewest and self.show == "steps"
                else {}
            ),
            "optimum": theory
            and theory.optimum
            and {**theory.optimum, "rate": theory.rate, "cells_from_best": self.apart},
            "boundary": {
                "at": theory and list(theory.point),
                "curvatures": theory and theory.curvatures.tolist(),
                "exact": bool(theory and theory.exact),
                "agreement": found and found.share,
                "compared": found.compared if found else 0,
                "left_out": found.left_out if found else 0,
            },
            "engine": self.engine,
            "seconds": dict(self.seconds),
            **({"notes": list(self.notes)} if self.notes else {}),
        }

    @property
    def apart(self) -> float | None:
        """Return how many cells lie between the best measured cell and the predicted optimum; None if one is missing."""
        if self.theory is None or not self.theory.optimum or self.best is None:
            return None
        found = apart(self.theory.optimum, self.best.settings, (self.x, self.y))
        return None if found is None else round(found, 2)

    def columns(self) -> Mapping[str, Array]:
        """Return the map as one long table, a row a cell: `pandas.DataFrame(found.columns())` takes it.

        Columns: the two settings, outcome, steps (at which the cell was over), value, rate (if measured), predicted_rate.
        """
        y, x = np.meshgrid(self.y.values, self.x.values, indexing="ij")
        return {
            self.y.name: y.ravel(),
            self.x.name: x.ravel(),
            "outcome": np.array(OUTCOMES)[self.outcome.ravel()],
            "steps": self.stopped.ravel(),
            "value": self.value.ravel(),
            **({"rate": self.measured.ravel()} if self.measured is not None else {}),
            **({"predicted_rate": self.predicted.ravel()} if self.predicted is not None else {}),
        }

    def _repr_html_(self) -> str:
        from ravine.display import html

        return html(self)


_WORD = {"steps": "steps", "value": "value", "rate": "rate", "predicted": "rate"}


def _number(shown: float, show: str) -> float | int | None:
    return int(shown) if show == "steps" and math.isfinite(shown) else finite(shown)
