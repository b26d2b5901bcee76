"""A sweep as data: its map, its learning curves, its valley, and the theory's limit on it."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ravine import algebra
from ravine.axes import SCALES
from ravine.errors import AlgebraError, RuleError
from ravine.rules import Method
from ravine.schedules import text_of
from ravine.surfaces.interface import Array
from ravine.sweep.grid import Axis
from ravine.sweep.table import Cell, Sweep
from ravine.sweep.trials import DIVERGED, DONE, DROPPED, FAILED

FINE = 200  # points of the limit line
WORST = 10.0  # times the loss at the start of a training: what is above is off the scale
OTHERS = (DIVERGED, FAILED, DROPPED, "missing")
WORDS = {DIVERGED: "diverged", FAILED: "failed", DROPPED: "dropped by halving", "missing": "not computed"}


class Tile(NamedTuple):
    """Hold one cell of the map: the best of the cells that share its settings along both axes."""

    cell: Cell
    kind: str  # "done" where it has a loss, else why it has none
    loss: float  # median over the seeds
    partly: bool  # whether some seeds diverged nevertheless
    label: str


class Curve(NamedTuple):
    """Hold the learning curves of a cell, one for each seed."""

    label: str
    kind: str  # best, usual or diverged
    parts: tuple[tuple[Array, Array], ...]  # updates and mean batch losses


class Valley(NamedTuple):
    """Hold the losses of the cells that have one value of the second axis, against the effective learning rate."""

    label: str
    lr: Array  # (k,)
    loss: Array  # (k,), infinity where it diverged
    names: tuple[str, ...]


class SweepPicture(NamedTuple):
    """Hold the picture of a sweep; places along axes count cells from 0."""

    title: str
    x: Axis
    y: Axis | None
    tiles: tuple[tuple[Tile, ...], ...]  # rows of the second axis, rising
    low: float  # of the colours
    high: float
    limit: tuple[Array, str] | None  # (k, 2) places along both axes, and what it is
    best: tuple[int, int] | None  # row and column
    curves: tuple[Curve, ...]
    valley: tuple[Valley, ...]
    across: str  # what the valley's axis is


def picture(made: Sweep) -> SweepPicture:
    """Return the picture of a sweep."""
    x, y = axes_of(made)
    groups: dict[Any, list[Cell]] = {}
    for cell in made.cells:
        groups.setdefault((cell.method.settings[x.name], cell.method.settings[y.name] if y else None), []).append(cell)
    tiles = tuple(tuple(_tile(made, groups[a, b]) for a in x.values) for b in (y.values if y else (None,)))
    finite = [t.loss for row in tiles for t in row if math.isfinite(t.loss)]
    low, high = (min(finite), max(finite)) if finite else (1.0, 1.0)
    high = min(high, max(_first(made) * WORST, low * 1.0001))
    best = made.best
    places = [(j, i) for j, row in enumerate(tiles) for i, t in enumerate(row) if best and t.cell.method is best.method]
    across, valley = _valley(made, y)
    return SweepPicture(_title(made), x, y, tiles, low, high, _limit(made, x, y), places[0] if places else None,
                        _curves(made), valley, across)  # fmt: skip


def axes_of(made: Sweep) -> tuple[Axis, Axis | None]:
    """Return which axis lies across and which up: lr and mu where they are axes, else the longest."""
    axes = {axis.name: axis for axis in made.grid.axes}
    if not axes:
        name = next(iter(made.grid.rule.parameters))
        return Axis(name, (made.grid.fixed[name],), "linear"), None
    x = axes.get("lr") or max(axes.values(), key=lambda axis: len(axis.values))
    others = [axis for axis in axes.values() if axis is not x]
    y = axes.get("mu") if axes.get("mu") in others else max(others, key=lambda a: len(a.values), default=None)
    return _rising(x), _rising(y) if y else None


def _rising(axis: Axis) -> Axis:
    return replace(axis, values=tuple(sorted(axis.values))) if axis.numbers else axis  # type: ignore[type-var]


def _tile(made: Sweep, some: Sequence[Cell]) -> Tile:
    """Return the best of the cells that have the same settings along both axes."""
    best = min(some, key=lambda cell: cell.loss if math.isfinite(cell.loss) else math.inf)
    kind = next((state for state in OTHERS if state in best.states), DONE)
    kind = DONE if math.isfinite(best.loss) and kind == DIVERGED else kind
    partly = kind == DONE and DIVERGED in best.states
    return Tile(best, kind, best.loss if kind == DONE else math.nan, partly, label_of(best.method, made))


def label_of(method: Method, made: Sweep) -> str:
    """Write the settings of a cell that are axes."""
    return ", ".join(f"{axis.name}={_short(method.settings[axis.name])}" for axis in made.grid.axes) or str(method)


def _short(value: object) -> str:
    return text_of(value) if callable(value) else f"{value:.5g}"


def _first(made: Sweep) -> float:
    """Return a usual batch loss before training."""
    first = [trial.curve[0] for trial in made.trials if trial and trial.curve]
    return float(np.median(first)) if first else math.inf


def _title(made: Sweep) -> str:
    fixed = (f"{key}={text_of(value)[:24]}" for key, value in made.grid.fixed.items()
             if callable(value) or value != made.grid.rule.parameters[key])  # fmt: skip
    seeds = len(made.grid.seeds)
    words = [made.manifest["task"]["name"], " ".join([made.grid.rule.name, *fixed])]
    return "     ".join([*words, f"{made.manifest['steps']} updates, {seeds} seed{'s' if seeds > 1 else ''}"])


# Theory ----------------------------------------------------------------------------------------------------------


def place(axis: Axis, value: Array) -> Array:
    """Return where settings lie along an axis whose cells are evenly spread, whatever their values.

    >>> place(Axis("mu", (0.0, 0.9, 0.99), "near1"), np.array([0.9, 0.99])).tolist()
    [1.0, 2.0]
    """
    there = SCALES[axis.scale].there
    known = there(np.array(axis.values, float))
    u = there(np.asarray(value, float))
    at = np.interp(u, known, np.arange(len(known)))
    if len(known) > 1:  # beyond the outermost cells' middles as between the two outermost
        at = np.where(u < known[0], (u - known[0]) / (known[1] - known[0]), at)
        at = np.where(u > known[-1], len(known) - 1 + (u - known[-1]) / (known[-1] - known[-2]), at)
    found: Array = at
    return found


def _limit(made: Sweep, x: Axis, y: Axis | None) -> tuple[Array, str] | None:
    """Return the learning rate above which theory says unstable at the measured curvature, along the second axis."""
    h = made.manifest.get("curvature")
    fixed = {k: v for k, v in made.grid.fixed.items() if k in made.grid.rule.parameters}
    moving = any(map(callable, fixed.values())) or len(made.grid.axes) > (2 if y else 1)
    if not h or x.name != "lr" or not x.numbers or len(x.values) < 2 or (y and not y.numbers) or moving:
        return None
    ups: Sequence[float] = [0.0]
    if y and len(y.values) > 1:
        scale = SCALES[y.scale]
        ups = scale.back(np.linspace(scale.there(y.values[0]), scale.there(y.values[-1]), FINE)).tolist()
    points = []
    for up in ups:
        settings = {**fixed, **({y.name: float(up)} if y else {})}
        try:
            lr = float(algebra.limit_lr(made.grid.rule, float(h), **settings))
        except (AlgebraError, RuleError, ZeroDivisionError):
            continue
        if 0 < lr < math.inf:
            points.append((float(place(x, np.array(lr))), float(place(y, np.array(up))) if y else 0.0))
    line = np.array(points)
    inside = len(points) and bool(((line[:, 0] > -0.5) & (line[:, 0] < len(x.values) - 0.5)).any())
    return (line, f"stability limit at curvature {h:.4g}") if inside else None


# Curves and valley -----------------------------------------------------------------------------------------------


def _curves(made: Sweep) -> tuple[Curve, ...]:
    """Choose the best cell, one of middling loss, and one that diverged, the least wild of them."""
    fine = sorted((c for c in made.cells if math.isfinite(c.loss) and c.finished), key=lambda c: c.loss)
    wild = [c for c in made.cells if c.states.count(DIVERGED) * 2 > len(c.states)]
    chosen = [(fine[0], "best")] if fine else []
    chosen += [(fine[len(fine) // 2], "usual")] if len(fine) > 2 else []
    chosen += [(max(wild, key=lambda c: sum(t.stopped or 0 for t in c.trials if t)), "diverged")] if wild else []
    words = {"best": "best", "usual": "middling", "diverged": "diverged"}
    return tuple(
        Curve(f"{words[kind]}: {label_of(cell.method, made)}", kind,
              tuple((np.array(t.at), np.array(t.curve)) for t in cell.trials if t and t.at))
        for cell, kind in chosen
    )  # fmt: skip


def _valley(made: Sweep, y: Axis | None) -> tuple[str, tuple[Valley, ...]]:
    """Return the losses against the effective learning rate, a series for each value of the second axis."""
    found = []
    for value in y.values if y else (None,):
        cells = [c for c in made.cells if c.method.steady and (y is None or c.method.settings[y.name] == value)]
        cells = [c for c in cells if c.finished]
        lr = np.array([abs(float(algebra.effective_lr(c.method.row(0)))) for c in cells])
        order = np.argsort(lr, kind="stable")
        loss = np.array([c.loss for c in cells])
        names = tuple(label_of(cells[k].method, made) for k in order)
        if len(cells):
            found.append(Valley(f"{y.name}={_short(value)}" if y else "", lr[order], loss[order], names))
    plain = made.grid.rule.name in LONG and not made.grid.fixed.get("tau") and "tau" not in axes_names(made)
    return "effective learning rate" + (", lr/(1-mu)" if plain else ", step per lasting gradient"), tuple(found)


def axes_names(made: Sweep) -> tuple[str, ...]:
    """Return the names of the axes."""
    return tuple(axis.name for axis in made.grid.axes)


LONG = ("heavyball", "classical", "nag", "nesterov", "keras_nesterov")
