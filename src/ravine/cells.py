"""Cells of a map in plain NumPy: for functions without an expression, for schedules, and to hold the compiled loop against.

A cell is one trajectory; columns are cells. The step is the one stepper's.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ravine.rules import Row
from ravine.stepper import norms, step
from ravine.surfaces.interface import Array, Surface

NOT_YET, REACHED, DIVERGED, UNDEFINED, NOT_WALKED = range(5)
OUTCOMES = ("not yet", "reached", "diverged", "undefined", "not walked")
BLOCK = 8  # steps whose least value stands for them where growth is looked for


class Walked(NamedTuple):
    """Hold how cells ended, each (cells,)."""

    stopped: Array  # int32, the step
    outcome: Array  # int8, an index into OUTCOMES
    height: Array  # the value there
    early: Array  # the largest of the least values of eight steps each, over the first three quarters of all steps
    late: Array  # and over the last quarter, -inf for a cell that was over before


def unwalked(cells: int) -> Walked:
    """Return cells that nobody walked yet, whose values are anything."""
    nothing = (np.empty(cells) for _ in range(3))  # pages that nobody writes cost nothing
    return Walked(np.zeros(cells, np.int32), np.full(cells, NOT_WALKED, np.int8), *nothing)


def walk(
    surface: Surface,
    row_at: Callable[[int], Row],
    cells: int,
    start: Array,
    steps: int,
    target: float,
    ball: float,
    record: Callable[[int, Array, Array], None] | None = None,
) -> Walked:
    """Walk cells from one start until they reach the target, leave the ball or have made all steps.

    Args:
        surface: what is descended.
        row_at: the row of a step, numbers or arrays (cells,).
        cells: how many.
        start: (n,).
        steps: at most so many.
        target: a value at most this ends a cell, as in a race.
        ball: a coordinate farther out than this ends a cell.
        record: called at every step with the step, which cells still walk, and their gradient norms.
    """
    x = np.repeat(start[:, None], cells, axis=1)
    v, g = np.zeros_like(x), np.empty_like(x)
    alive = np.arange(cells)
    found = unwalked(cells)
    low, high, late = np.full(cells, np.inf), np.full(cells, -np.inf), np.full(cells, -np.inf)
    blocks = steps // BLOCK + 1
    with np.errstate(all="ignore"):
        for t in range(steps + 1):
            f = surface.heights(x)
            if record is not None:
                record(t, alive, norms(surface, x))
            low = np.fmin(low, f)
            if t % BLOCK == BLOCK - 1:
                seen = high if t // BLOCK < blocks - blocks // 4 else late
                np.maximum(seen, low, out=seen)
                low = np.full(len(alive), np.inf)
            over = _over(x, f, target, ball)
            if over.any() or t == steps:
                ended = over > 0 if t < steps else np.ones(len(alive), bool)
                those = alive[ended]
                found.stopped[those], found.outcome[those], found.height[those] = t, over[ended], f[ended]
                found.early[those], found.late[those] = high[ended], late[ended]
                stay = ~ended
                alive, x, v, low, high, late = alive[stay], x[:, stay], v[:, stay], low[stay], high[stay], late[stay]
                g = np.empty_like(x)
                if not len(alive):
                    break
            x_next, v_next = np.empty_like(x), np.empty_like(x)
            step(_of(row_at(t), alive), x, v, surface.slopes, x_next, v_next, g)
            x, v = x_next, v_next
    return found


def _over(x: Array, f: Array, target: float, ball: float) -> Array:
    """Return for each cell why it is over here, 0 if it is not."""
    far = ~(abs(x) <= ball).all(axis=0)
    over = np.where(far, DIVERGED, NOT_YET)
    over = np.where(f <= target, REACHED, over)
    over = np.where(~np.isfinite(f), DIVERGED, over)
    return np.where(np.isnan(f) | np.isnan(x).any(axis=0), UNDEFINED, over)


def _of(row: Row, alive: Array) -> Row:
    """Return the row of the cells that still walk, with the integers 0 and 1 where all agree on them."""
    return Row(*(_thin(cell, alive) for cell in row))


def _thin(cell: Any, alive: Array) -> Any:
    if not getattr(cell, "shape", ()):
        return int(cell) if cell in (0, 1) else float(cell)
    return cell[alive]


FLOOR = 1e-12  # of the largest gradient norm: below, rounding is measured and not decay


def measured_rates(norms: Array) -> Array:
    """Return the factor per step by which swinging, shrinking (or growing) columns change, late in them.

    A line is fitted to the logarithm of the envelope (the largest still to come, or so far where it grows) of the later
    half, so that a swing's zero crossings do not count; what has sunk into rounding is left out.

    Args:
        norms: gradient norms, (steps + 1, cells); a column that ended earlier goes on with NaN.

    Returns:
        (cells,), NaN for fewer than eight steps.
    """
    count, cells = norms.shape
    t = np.arange(count)[:, None]
    filled = np.where(np.isfinite(norms), norms, -1.0)
    ended = np.isfinite(norms).sum(axis=0)
    peak = filled.argmax(axis=0)
    top = filled[peak, np.arange(cells)]
    sunk = (t >= peak) & (filled <= FLOOR * top)
    length = np.minimum(np.where(sunk.any(axis=0), sunk.argmax(axis=0), ended), ended)
    first = length // 2
    late = np.where((t >= first) & (t < length), filled, -1.0)
    width = length - first
    grows = late.argmax(axis=0) - first >= width / 2
    envelope = np.where(grows, np.maximum.accumulate(late, axis=0), np.maximum.accumulate(late[::-1], axis=0)[::-1])
    # Where the envelope has not met its next peak yet it shows the swing: leave out an eighth at that end.
    edge = width // 8
    use = (t >= first + np.where(grows, edge, 0)) & (t < length - np.where(grows, 0, edge))
    with np.errstate(all="ignore"):
        y = np.log(np.where(use, envelope, 1.0))
        n = use.sum(axis=0)
        middle = (t * use).sum(axis=0) / n
        off = np.where(use, t - middle, 0.0)
        slope = (off * y).sum(axis=0) / (off * off).sum(axis=0)
        fine = (length >= 8) & (np.where(use, envelope, 1.0) > 0).all(axis=0)
        return np.where(fine, np.exp(slope), np.nan)
