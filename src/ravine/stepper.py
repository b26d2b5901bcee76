"""The one stepper, over all runs of a race at once.

Columns are runs. Positions lie in an array (steps + 1, n, runs), of which a run's trajectory is a view. Whether a run
is over is looked at block by block, so that a step costs a handful of array operations; values are computed again from
the positions when somebody asks for them, and velocities by taking the steps again, which is cheaper than keeping all.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ravine.rules import Method, Row
from ravine.surfaces.interface import Array, Surface

BALL = 1e8  # diverged: so many times farther out than the start (or 1)
BLOCK = 131_072  # numbers per block: one megabyte, so that a block stays in the cache

Slopes = Callable[[Array, Array], None]


def step(
    row: Row, x: Array, v: Array, slopes: Slopes, x_next: Array, v_next: Array, g: Array, noise: Any = None
) -> None:
    """Make one step of every run, in place: THE stepper, in the order in which rules.py writes it.

        y  = x + look·v        g  = ∇f(y) + noise
        v' = keep·v + take·g   x' = x + move·v' + kick·g

    Args:
        row: numbers, or arrays (runs,) or (n, runs); the integers 0 and 1 leave their operation out.
        x, v: positions and velocities, (n, runs); floats, or objects such as fractions.
        slopes: writes the gradient at its first argument into its second.
        x_next, v_next, g: where the results go, (n, runs); none may overlap x or v.
        noise: added to the gradient, broadcast to (n, runs).
    """
    keep, take, move, kick, look = row
    if _is(look, 0):
        slopes(x, g)
    else:
        np.multiply(look, v, out=x_next)
        np.add(x, x_next, out=x_next)
        slopes(x_next, g)
    if noise is not None:
        np.add(g, noise, out=g)
    if _is(keep, 0):
        np.multiply(take, g, out=v_next)
    else:
        np.multiply(keep, v, out=v_next)
        np.multiply(take, g, out=x_next)
        np.add(v_next, x_next, out=v_next)
    if _is(move, 1):
        np.add(x, v_next, out=x_next)
    else:
        np.multiply(move, v_next, out=x_next)
        np.add(x, x_next, out=x_next)
    if not _is(kick, 0):
        np.multiply(kick, g, out=g)
        np.add(x_next, g, out=x_next)


class Plan(NamedTuple):
    """Hold what all runs of a race have in common."""

    surface: Surface
    points: Array  # (k, n)
    steps: int
    tol: float  # stop at a gradient norm of at most this; 0 for not at all
    target: float | None  # stop at a value of at most this
    noise: float
    seeds: Sequence[int]


class Path(NamedTuple):
    """Hold one trajectory and why it ended."""

    positions: Array  # (steps + 1, n)
    stopped: str


@dataclass
class _Stretch:
    """Hold some steps of the runs that were alive at their beginning; index 0 is the step before them."""

    alive: Array  # (runs,), which runs
    x: Array  # (steps + 1, n, runs)
    v: Array  # (n, runs), the last velocity

    def tail(self, these: Array, steps: int) -> "_Stretch":
        """Return a stretch for some of these runs that begins where this one ends, with room for so many steps."""
        made = np.empty((steps + 1, self.x.shape[1], int(these.sum())))  # pages that nobody writes cost nothing
        made[0] = self.x[-1][:, these]
        return _Stretch(self.alive[these], made, self.v[:, these])

    def walk(self, k: int, rows: list[Row], shifts: Array | None, slopes: Slopes) -> None:
        """Make a block of steps from index k on."""
        v, v_next, g = self.v, np.empty(self.v.shape), np.empty(self.v.shape)
        for j, (row, x, x_next) in enumerate(zip(rows, self.x[k:], self.x[k + 1 :], strict=False)):
            step(row, x, v, slopes, x_next, v_next, g, None if shifts is None else shifts[j])
            v, v_next = v_next, v
        self.v = v


def run_all(plan: Plan, methods: list[Method], progress: Callable[[int, int], object] | None) -> Iterator[Path]:
    """Step all runs of our own methods; yields their paths in the order of methods, starts, seeds."""
    lanes = len(plan.points) * len(plan.seeds)
    owner = np.repeat(np.arange(len(methods)), lanes)
    seed_of = np.tile(np.arange(len(plan.seeds)), len(methods) * len(plan.points))
    x = np.ascontiguousarray(np.tile(np.repeat(plan.points, len(plan.seeds), axis=0), (len(methods), 1)).T)
    verdicts, rows, noises = _Verdicts(plan, x), _Rows(methods, len(x)), _Noises(plan)
    with np.errstate(all="ignore"):
        stretches, t = [_Stretch(np.arange(x.shape[1]), x[None], np.zeros_like(x))], 0
        gone = verdicts.judge(stretches[0], 0, slice(0, 1))
        try:
            while t < plan.steps and not gone.all():
                now = stretches[-1].tail(~gone, plan.steps - t)
                stretches.append(now)
                gone, k = np.zeros(len(now.alive), bool), 0
                # When half of the runs have stopped, the other half goes on in arrays of its own.
                while t < plan.steps and gone.sum() * 2 <= len(gone) and not gone.all():
                    size = min(plan.steps - t, max(8, min(1024, BLOCK // now.v.size)))
                    shifts = noises.block(size, seed_of[now.alive])
                    now.walk(k, rows.block(t, size, owner[now.alive]), shifts, plan.surface.slopes)
                    gone |= verdicts.judge(now, t - k, slice(k + 1, k + size + 1))
                    t, k = t + size, k + size
                    if progress:
                        progress(t, plan.steps)
                now.x = now.x[: k + 1]
        except KeyboardInterrupt:  # whole blocks stay, the rest is cut
            verdicts.interrupt(t)
    return _paths(stretches, verdicts)


def velocities(plan: Plan, method: Method, point: int, seed: int, steps: int) -> Array:
    """Take a run's steps once more and return its velocities, (steps + 1, n)."""
    x, v = plan.points[point][:, None], np.zeros((plan.surface.dim, 1))
    rows, noises = _Rows([method], len(x)), _Noises(plan._replace(seeds=[plan.seeds[seed]]))
    found, g, zero = [v], np.empty(v.shape), np.zeros(1, int)
    with np.errstate(all="ignore"):
        for t in range(0, steps, 256):
            size = min(256, steps - t)
            shifts = noises.block(size, zero)
            for j, row in enumerate(rows.block(t, size, zero)):
                x_next, v_next = np.empty(v.shape), np.empty(v.shape)
                step(row, x, v, plan.surface.slopes, x_next, v_next, g, None if shifts is None else shifts[j])
                x, v = x_next, v_next
                found.append(v)
    return np.stack(found)[:, :, 0]


class _Verdicts:
    """Watch all runs: at which step each stopped, and why."""

    def __init__(self, plan: Plan, x: Array) -> None:
        self.plan, self.ball = plan, BALL * np.maximum(1, abs(x).max(axis=0))
        self.ended = np.full(x.shape[1], plan.steps)
        self.why = np.array(["steps"] * x.shape[1], dtype=object)
        self.running = np.ones(x.shape[1], bool)

    def judge(self, now: _Stretch, before: int, done: slice) -> Array:
        """Look at new steps of a stretch, `before` steps after the start; returns which of its runs are over."""
        x = now.x[done]
        columns = np.ascontiguousarray(x.swapaxes(0, 1)).reshape(x.shape[1], -1)
        heights, slopes = heights_and_norms(self.plan, columns)
        values, norms = heights.reshape(len(x), -1), slopes.reshape(len(x), -1) if self.plan.tol > 0 else None
        first = first_stops(self.plan, x, values, norms, self.ball[now.alive])
        for i in np.flatnonzero((first >= 0) & self.running[now.alive]):
            at, run = first[i], now.alive[i]
            last, reason = reason_at(self.plan, x[at, :, i], values[at, i], None if norms is None else norms[at, i])
            self.ended[run], self.why[run], self.running[run] = before + done.start + at + last, reason, False
        return ~self.running[now.alive]

    def interrupt(self, t: int) -> None:
        """Say that all runs still running were interrupted after t steps."""
        self.ended[self.running], self.why[self.running] = t, "interrupted"


def _paths(stretches: list[_Stretch], verdicts: _Verdicts) -> Iterator[Path]:
    lengths, reasons = (verdicts.ended + 1).tolist(), verdicts.why.tolist()
    if len(stretches) == 2 and len(stretches[1].alive) == len(lengths):  # nearly always: every run is a view
        for x, length, reason in zip(stretches[1].x.transpose(2, 0, 1), lengths, reasons, strict=True):
            yield Path(x[:length], reason)
        return
    places = [{int(run): i for i, run in enumerate(s.alive)} for s in stretches]
    for run, (length, reason) in enumerate(zip(lengths, reasons, strict=True)):
        mine = [s.x[:, :, place[run]] for s, place in zip(stretches, places, strict=True) if run in place]
        # A later stretch begins with the step that ended the one before.
        yield Path(np.concatenate([x[min(j, 1) :] for j, x in enumerate(mine)])[:length], reason)


def heights_and_norms(plan: Plan, columns: Array) -> tuple[Array, Array]:
    """Return values and, if the plan stops on them, gradient norms, each (runs,), at columns (n, runs)."""
    heights = plan.surface.heights(columns)
    return heights, norms(plan.surface, columns) if plan.tol > 0 else heights


def norms(surface: Surface, columns: Array) -> Array:
    """Return gradient norms, (runs,), at columns (n, runs)."""
    slopes = np.empty(columns.shape)
    surface.slopes(columns, slopes)
    np.multiply(slopes, slopes, out=slopes)
    found: Array = np.sqrt(slopes.sum(axis=0))
    return found


def first_stops(plan: Plan, x: Array, values: Array, norms: Array | None, ball: Array) -> Array:
    """Return for each run the first of these steps at which it stops, or -1; x is (steps, n, runs)."""
    # A sum shows whether any of its terms is not finite; what it shows wrongly is sorted out below.
    out = ~(np.maximum(x.max(axis=(0, 1)), -x.min(axis=(0, 1))) <= ball) | ~np.isfinite(values.sum(axis=0))
    if norms is not None:
        out |= norms.min(axis=0) <= plan.tol
    if plan.target is not None:
        out |= values.min(axis=0) <= plan.target
    first = np.full(len(out), -1)
    if not out.any():
        return first
    some = np.flatnonzero(out)
    x, values = x[:, :, some], values[:, some]
    stop = ~(abs(x) <= ball[some]).all(axis=1) | ~np.isfinite(values)
    if norms is not None:
        stop |= norms[:, some] <= plan.tol
    if plan.target is not None:
        stop |= values <= plan.target
    first[some] = np.where(stop.any(axis=0), stop.argmax(axis=0), -1)
    return first


def reason_at(plan: Plan, x: Array, value: float, norm: float | None) -> tuple[int, str]:
    """Say why a run stopped here: the word, and -1 if its last usable step is the one before."""
    if np.isnan(x).any() or math.isnan(value):
        return -1, "undefined"
    if not np.isfinite(x).all() or not math.isfinite(value):
        return -1, "diverged"
    if plan.target is not None and value <= plan.target:
        return 0, "target"
    return 0, "gradient" if norm is not None and norm <= plan.tol else "diverged"


class _Rows:
    """Hand out the rows of a block of steps, with the integers 0 and 1 where all runs agree on them."""

    def __init__(self, methods: list[Method], n: int) -> None:
        self.methods, self.n = methods, n
        self.kept: tuple[bytes, Row] | None = None

    def block(self, t: int, size: int, owner: Array) -> list[Row]:
        if not all(m.steady for m in self.methods):
            return self._changing(t, size, owner)
        if self.kept is None or self.kept[0] != owner.tobytes():
            cells = np.array([m.row(0) for m in self.methods], float).T[:, owner]
            # Spread over the coordinates, because an operation on equal shapes takes half the time.
            row = Row(*(_thin(c) if (c == c[0]).all() else np.tile(c, (self.n, 1)) for c in cells))
            self.kept = owner.tobytes(), row
        return [self.kept[1]] * size

    def _changing(self, t: int, size: int, owner: Array) -> list[Row]:
        steps = np.arange(t, t + size)
        table = np.array([np.broadcast_arrays(*m.row(steps), steps)[:5] for m in self.methods], float)
        if (owner == owner[0]).all():
            return [Row(*(int(c) if c in (0.0, 1.0) else c for c in cells)) for cells in table[owner[0]].T.tolist()]
        cells = np.ascontiguousarray(table[owner].transpose(2, 1, 0))  # (size, 5, runs)
        same = [_thin(cells[:, i].ravel()) if (cells[:, i] == cells[0, i, 0]).all() else None for i in range(5)]
        return [
            Row(*(c if whole is None else whole for whole, c in zip(same, cells[j], strict=True))) for j in range(size)
        ]


def _thin(cells: Array) -> float:
    """Return the one number that all these are, an integer if it is 0 or 1."""
    return int(cells[0]) if cells[0] in (0, 1) else float(cells[0])


def _is(cell: Any, number: int) -> bool:
    return type(cell) is int and cell == number


class _Noises:
    """Hand out the noise of the next block of steps: one stream a seed, the same for every method and start."""

    def __init__(self, plan: Plan) -> None:
        self.sigma, self.n = plan.noise, plan.surface.dim
        self.streams = [np.random.default_rng(seed) for seed in plan.seeds]

    def block(self, size: int, seed_of: Array) -> Array | None:
        """Return (size, n, runs)."""
        if self.sigma == 0:
            return None
        drawn = np.stack([stream.standard_normal((size, self.n)) for stream in self.streams], axis=-1)
        scaled: Array = self.sigma * drawn[:, :, seed_of]
        return scaled
