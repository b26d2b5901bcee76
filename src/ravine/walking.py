"""Walking a map: compiled where the surface is an expression and rows stay the same, else in batches of NumPy."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np

from ravine.boundary import row_of
from ravine.cells import DIVERGED, NOT_WALKED, NOT_YET, Walked, measured_rates, unwalked, walk
from ravine.phasemap import PhaseMap
from ravine.rules import Row
from ravine.schedules import at as value_at
from ravine.stepper import BALL
from ravine.surfaces.interface import Array, Surface

CELLS = 32_768  # walked together: enough for a processor to be busy for some milliseconds
KEPT = 20_000_000  # gradient norms kept at once where rates are measured

Progress = Callable[[int, int], object]
Say = Callable[[str], object]


def walk_map(blank: PhaseMap, progress: Progress | None, say: Say | None) -> PhaseMap:
    """Walk all cells from all starts."""
    if blank.surface.expression is None and blank.surface.quadratic:
        from ravine._lanes import expressed

        blank = replace(blank, surface=expressed(blank.surface))
    compiled = blank.surface.expression is not None and blank.steady and blank.show != "rate"
    begun, compiling, notes = time.perf_counter(), 0.0, list(blank.notes)
    if not compiled:
        notes.append(_why_batched(blank))
    parts: list[tuple[Walked, Array | None]] = []
    interrupted = False
    for k, start in enumerate(blank.starts):
        tick = None if progress is None else partial(_tick, progress, k, len(blank.starts))
        if compiled:
            one, seconds = _compiled(blank, start, tick, say)
            compiling += seconds
            parts.append((one, None))
        else:
            parts.append(_batched(blank, start, tick))
        interrupted = bool((parts[-1][0].outcome == NOT_WALKED).any())
        if interrupted:
            break
    if interrupted:
        left = int((parts[-1][0].outcome == NOT_WALKED).sum())
        notes.append(f"interrupted: {left} of {blank.x.size * blank.y.size} cells were not walked")
    whole, rates = _worst([walked for walked, _ in parts]), [rate for _, rate in parts if rate is not None]
    shape = blank.y.size, blank.x.size
    if interrupted:
        whole.height[whole.outcome == NOT_WALKED] = np.nan
    return replace(
        blank,
        outcome=whole.outcome.reshape(shape),
        stopped=whole.stopped.reshape(shape),
        value=whole.height.reshape(shape),
        measured=np.max(rates, axis=0).reshape(shape) if rates else None,
        engine="compiled" if compiled else "batched",
        seconds={"compile": compiling, "compute": time.perf_counter() - begun - compiling},
        notes=tuple(notes),
    )


def _worst(parts: list[Walked]) -> Walked:
    """Return for each cell the worst that happened from any start, the last step and the highest value."""
    if len(parts) == 1:
        return parts[0]
    rank = np.max([_RANK[walked.outcome] for walked in parts], axis=0)
    columns = (np.max(column, axis=0) for column in list(zip(*parts, strict=True))[2:])
    return Walked(np.max([w.stopped for w in parts], axis=0), np.array(_ORDER, np.int8)[rank], *columns)


_ORDER = (1, 0, 3, 2, NOT_WALKED)  # of outcomes, from the best to the worst
_RANK = np.argsort(_ORDER)


def _tick(progress: Progress, k: int, starts: int, done: int, total: int) -> None:
    progress(k * total + done, starts * total)


def _why_batched(found: PhaseMap) -> str:
    if found.show == "rate":
        return "measured rates need every gradient norm: cells are walked in batches of NumPy, not compiled"
    if not found.steady:
        return "a schedule changes the row at every step: cells are walked in batches of NumPy, not compiled"
    return (
        f"{found.surface.name} has no expression to compile: cells are walked in batches of NumPy, some 40 times slower"
    )


def _compiled(blank: PhaseMap, start: Array, progress: Progress | None, say: Say | None) -> tuple[Walked, float]:
    """Walk all cells in a compiled loop; returns how they ended and the seconds it took to have the loop."""
    from ravine import _kernels
    from ravine._lanes import pattern_of

    begun, ball = time.perf_counter(), _ball(start)
    whole = row_of(blank.rule, blank.x, blank.y, blank.fixed)
    fill = _kernels.compiled(blank.surface, pattern_of(whole), ball, say)
    seconds = time.perf_counter() - begun
    across = blank.x.size
    down = max(1, CELLS // across)
    slices = [slice(a, min(a + down, blank.y.size)) for a in range(0, blank.y.size, down)]

    def rows(part: slice) -> tuple[slice, Row]:
        row = row_of(blank.rule, blank.x, blank.y, blank.fixed, part)
        size = part.stop - part.start, across
        flat = (np.broadcast_to(c, size).ravel() if getattr(c, "shape", ()) else c for c in row)
        return slice(part.start * across, part.stop * across), Row(*flat)

    target = -np.inf if blank.target is None or blank.show == "value" else blank.target
    found = _kernels.walk(fill, slices, rows, across * blank.y.size, start, blank.steps, target, ball, progress)
    return _grown(found, blank.surface), seconds


def _ball(start: Array) -> float:
    return BALL * max(1.0, float(abs(start).max()))


def walk_some(found: PhaseMap, chosen: Array, start: Array, steps: int) -> Walked:
    """Walk some cells, without a target."""
    down, across = np.divmod(chosen, found.x.size)
    settings = {**found.fixed, found.y.name: found.y.values[down], found.x.name: found.x.values[across]}
    row = found.rule.row(**found.rule.own(settings))
    if found.engine != "compiled":
        spread = Row(*(cell if np.ndim(cell) else float(cell) for cell in row))
        return walk(found.surface, lambda t: spread, len(chosen), start, steps, -np.inf, _ball(start))
    from ravine import _kernels
    from ravine._lanes import pattern_of

    # The pattern of the whole map, whose loop is there already.
    fill = _kernels.compiled(found.surface, pattern_of(row_of(found.rule, found.x, found.y, found.fixed)), _ball(start))
    cuts = [slice(a, min(a + CELLS // 8, len(chosen))) for a in range(0, len(chosen), CELLS // 8)]
    return _kernels.walk(
        fill, cuts, lambda part: (part, Row(*(c[part] if np.ndim(c) else c for c in row))), len(chosen), start, steps,
        -np.inf, _ball(start), None,
    )  # fmt: skip


def _batched(blank: PhaseMap, start: Array, progress: Progress | None) -> tuple[Walked, Array | None]:
    """Walk all cells in NumPy, some at a time; the second is their measured rates, if these are shown."""
    cells, ball = blank.x.size * blank.y.size, _ball(start)
    grid = np.meshgrid(blank.y.values, blank.x.values, indexing="ij")
    axes = {blank.y.name: grid[0].ravel(), blank.x.name: grid[1].ravel()}
    target = -np.inf if blank.target is None or blank.show != "steps" else blank.target
    parts, rates = [], []
    at_once = CELLS if blank.show != "rate" else max(1, min(CELLS, KEPT // (blank.steps + 1)))
    for a in range(0, cells, at_once):
        mine = {name: values[a : a + at_once] for name, values in axes.items()}
        count = len(mine[blank.x.name])
        norms = np.full((blank.steps + 1, count), np.nan) if blank.show == "rate" else None

        def record(t: int, alive: Array, found: Array, norms: Array | None = norms) -> None:
            if norms is not None:
                norms[t, alive] = found

        row_at = partial(_row_at, blank, mine)
        try:
            walked = walk(
                blank.surface, row_at, count, start, blank.steps, target, ball, None if norms is None else record
            )
            if progress:
                progress(a + count, cells)
        except KeyboardInterrupt:
            parts.append(unwalked(cells - a))
            rates.append(np.full(cells - a, np.nan))
            break
        parts.append(_grown(walked, blank.surface))
        if norms is not None:
            rates.append(measured_rates(norms))
    joined = Walked(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return joined, np.concatenate(rates) if blank.show == "rate" else None


def _row_at(blank: PhaseMap, axes: Mapping[str, Array], t: int) -> Row:
    settings = {**{key: value_at(value, t) for key, value in blank.fixed.items()}, **axes}
    row = blank.rule.row(**blank.rule.own(settings))
    return Row(*(float(cell) if np.ndim(cell) == 0 else cell for cell in row))


def _grown(walked: Walked, surface: Surface) -> Walked:
    """Count a cell as diverged that still grew at its last step: on a quadratic that goes on for ever."""
    if not surface.quadratic:
        return walked
    grown = (walked.outcome == NOT_YET) & (walked.late > walked.early)
    return walked._replace(outcome=np.where(grown, DIVERGED, walked.outcome).astype(np.int8))
