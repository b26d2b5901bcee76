"""Which cells of a map are worth running: a few that behave differently, and what became of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ravine.cells import DIVERGED, NOT_WALKED, REACHED, UNDEFINED
from ravine.draw.data import number
from ravine.errors import RavineError
from ravine.phasemap import Cell, PhaseMap
from ravine.race import race
from ravine.result import Race, Run
from ravine.surfaces.interface import Array

RACED, MOST = 150, 4  # steps and cells of the race beside the map
SEEN = 0.02  # of a path's size: a move that the eye follows
NEAR = 0.06  # of the map: trajectories of cells closer together look the same


class Pick(NamedTuple):
    """Hold a cell whose trajectory is shown."""

    word: str
    cell: Cell
    settings: str
    happened: str


def settings_of(found: PhaseMap, settings: Mapping[str, float]) -> str:
    """Write the settings of a cell, across first."""
    return ", ".join(f"{axis.name}={settings[axis.name]:.4g}" for axis in (found.x, found.y) if axis.name in settings)


def picks_of(found: PhaseMap) -> list[Pick]:
    """Choose cells that behave differently: the best, the optimum's, one beyond the edge, one above, one further in."""
    rows, columns = found.outcome.shape
    gone = (found.outcome == DIVERGED) | (found.outcome == UNDEFINED)
    first = found.best or _calmest(found, gone)
    if first is None:
        return []
    top = np.flatnonzero(~gone[: round(0.93 * (rows - 1)) + 1, first.column])
    low, left = round(0.2 * (rows - 1)), round(0.3 * first.column)
    wishes = [
        ("best" if found.best else "", (first.row, first.column)),
        ("optimum", _at_optimum(found)),
        ("", _beyond(gone, first)),
        ("", (int(top[-1]), first.column) if len(top) else None),
        ("", (low, left) if not gone[low, left] else None),
    ]
    picks: list[Pick] = []
    for word, at in wishes:
        if at is None or found.outcome[at] == NOT_WALKED:
            continue
        far = all(max(abs(at[0] - p.cell.row) / rows, abs(at[1] - p.cell.column) / columns) > NEAR for p in picks)
        cell = found.cell(*at)
        if far and str(found.method(cell)) not in {str(found.method(p.cell)) for p in picks}:
            picks.append(Pick(word, cell, settings_of(found, cell.settings), _happened(found, cell)))
    return picks[:MOST]


def _calmest(found: PhaseMap, gone: Array) -> Cell | None:
    """Return the cell with the lowest value of those that did not diverge, else the one in the middle."""
    value = np.where(gone | ~np.isfinite(found.value), np.inf, found.value)
    at = np.unravel_index(value.argmin(), value.shape) if np.isfinite(value).any() else np.array(value.shape) // 2
    return found.cell(int(at[0]), int(at[1])) if (found.outcome != NOT_WALKED).any() else None


def _at_optimum(found: PhaseMap) -> tuple[int, int] | None:
    known = found.theory.optimum if found.theory and found.steady else None
    if not known or found.y.name not in known or found.x.name not in known:
        return None
    row, column = found.y.place(known[found.y.name]), found.x.place(known[found.x.name])
    inside = 0 <= row <= found.y.size - 1 and 0 <= column <= found.x.size - 1
    return (round(row), round(column)) if inside else None


def _beyond(gone: Array, first: Cell) -> tuple[int, int] | None:
    """Return a cell that is lost, a little beyond the edge: to the right of the first cell, else left, above or below."""
    row, column = first.row, first.column
    rays = [
        [(row, c) for c in range(column + 1, gone.shape[1])], [(row, c) for c in range(column - 1, -1, -1)],
        [(r, column) for r in range(row + 1, gone.shape[0])], [(r, column) for r in range(row - 1, -1, -1)],
    ]  # fmt: skip
    far = [max(2, round(NEAR * side) + 1) for side in gone.shape]
    for ray, least in zip(rays, (far[1], far[1], far[0], far[0]), strict=True):
        lost = [i for i, at in enumerate(ray) if gone[at]]
        if lost:
            edge = lost[0] + max(1, least // 3)  # the very edge may be lost by chance
            return next((ray[i] for i in lost if i >= edge and i + 1 >= least), ray[lost[-1]])
    return None


def _happened(found: PhaseMap, cell: Cell) -> str:
    """Say what became of a cell."""
    outcome, steps = int(found.outcome[cell.row, cell.column]), int(found.stopped[cell.row, cell.column])
    if found.show == "predicted":
        return "diverges" if outcome == DIVERGED else f"rate {cell.shown:.4f}"
    if outcome == REACHED:
        return f"reached at step {steps}"
    if outcome == DIVERGED:
        return f"diverged at step {steps}" if steps < found.steps else f"still growing at step {steps}"
    if outcome == UNDEFINED:
        return f"undefined at step {steps}"
    if found.show == "rate" and np.isfinite(cell.shown):
        return f"rate {cell.shown:.4f}"
    return f"{number(float(found.value[cell.row, cell.column]))} after {steps} steps"


def raced(found: PhaseMap, picks: Sequence[Pick]) -> tuple[tuple[Pick, ...], Race | None]:
    """Run the chosen cells, and say of those that nobody named how they move."""
    if not picks:
        return (), None
    methods = [found.method(pick.cell) for pick in picks]
    target = found.target if found.show == "steps" else None
    try:
        ran = race(found.surface, methods, found.starts[0], min(found.steps, RACED), tol=0, target=target)
    except RavineError:  # too many coordinates to keep every step
        return (), None
    named = [p._replace(word=p.word or _word(found, p, run)) for p, run in zip(picks, ran.runs, strict=True)]
    return tuple(named), ran


def _word(found: PhaseMap, pick: Pick, run: Run) -> str:
    if found.outcome[pick.cell.row, pick.cell.column] in (DIVERGED, UNDEFINED):
        return "lost"
    moves = np.diff(run.positions, axis=0)
    wide = abs(moves) > SEEN * abs(run.positions).max()
    turns = [int((np.diff(np.sign(m[w])) != 0).sum()) for m, w in zip(moves.T, wide.T, strict=True)]
    return "swings" if max(turns) > 3 else "creeps"
