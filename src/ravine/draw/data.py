"""Pictures as data: what a figure shows, before anything is drawn. Every shape is stated; a drawing only reads these."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ravine.errors import DrawError, nearest
from ravine.result import Race, Run
from ravine.surfaces.interface import Array, Surface

Box = tuple[tuple[float, float], ...]  # per coordinate, low and high

BANDS = 14  # between contour lines
GRID = 241  # points along an axis: an odd number has one in the middle


class Terrain(NamedTuple):
    """Hold heights over a rectangle."""

    x: Array  # (columns,)
    y: Array  # (rows,)
    height: Array  # (rows, columns)
    levels: Array  # (BANDS + 1,), rising


class Trail(NamedTuple):
    """Hold one path on a terrain or a curve."""

    label: str
    hue: int  # which colour of the palette
    points: Array  # (steps + 1, n)
    values: Array  # (steps + 1,)
    outcome: str  # in words


class Panel(NamedTuple):
    """Hold the trails that are drawn into one picture."""

    title: str
    trails: tuple[Trail, ...]


class Scene(NamedTuple):
    """Hold a row of pictures over the same box and heights."""

    title: str
    axes: tuple[str, ...]  # the names of the coordinates
    box: Box
    panels: tuple[Panel, ...]
    minima: Array  # (k, n), those inside the box


class Curve(NamedTuple):
    """Hold values against steps, with the slope that was predicted."""

    label: str
    hue: int
    heights: Array  # (steps + 1,), above `Curves.floor`
    predicted: Array  # (steps + 1,), NaN where nothing is predicted


class Curves(NamedTuple):
    """Hold the loss curves of a race."""

    title: str
    floor: float  # what was subtracted from the values
    meaning: str  # of the vertical axis
    curves: tuple[Curve, ...]


def scene(race: Race, panels: str = "", box: Box | None = None) -> Scene:
    """Return the picture of a race on a surface of one or two coordinates.

    Args:
        race: whose trajectories.
        panels: which setting tells the panels apart (`lr`, `mu`, `rule`, `start`, …); empty for one panel.
        box: what is shown; without it, what holds the trajectories.
    """
    box = box or fitting_box(race.surface, race.runs)
    hues = _hues(race.runs, panels)
    groups: dict[str, list[Trail]] = {}
    for run, hue in zip(race.runs, hues, strict=True):
        title = _group(run, panels)
        label = _without(run.method.label, panels)
        if panels != "start":
            label += race.where(run)
        groups.setdefault(title, []).append(Trail(label, hue, run.positions, run.values, outcome(run)))
    lowest = [m.point for m in race.surface.minima] or _hollows(race.runs)
    inside = [p for p in lowest if all(low <= c <= high for c, (low, high) in zip(p, box, strict=True))]
    minima = np.array(inside, float).reshape(-1, race.surface.dim)
    drawn = tuple(Panel(title, tuple(trails)) for title, trails in groups.items())
    return Scene(title_of(race.surface), race.surface.variables, box, drawn, minima)


def terrain(surface: Surface, box: Box, size: int = GRID) -> Terrain:
    """Return the heights of a surface of two coordinates over a box."""
    x, y = (np.linspace(low, high, size) for low, high in box)
    height = surface.value(np.stack(np.meshgrid(x, y), axis=-1))
    height = np.where(np.isfinite(height), np.clip(height, -1e200, 1e200), np.nan)  # a renderer counts no farther
    return Terrain(x, y, height, levels(height))


def levels(height: Array) -> Array:
    """Choose heights for contour lines so that both the valley and the far slopes read.

    Half of the way between equal areas (quantiles, which read everywhere) and equal steps of the square root (which
    draw a quadratic as evenly spaced ellipses); both crowd where the ground is flat.
    """
    finite = height[np.isfinite(height)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    least = 1e-9 * max(abs(low), abs(high))  # closer together two heights look the same
    share = np.linspace(0, 1, BANDS + 1)
    if high - low <= BANDS * least:
        return low + max(1.0, BANDS * BANDS * least) * share
    far = float(np.quantile(finite, 0.995))
    found = np.unique((np.quantile(finite, share) + low + (far - low) * share**2) / 2)
    return found if len(found) > 2 and np.diff(found).min() > least else low + (high - low) * share


def curves(race: Race) -> Curves:
    """Return the loss curves of a race, each with the slope that its predicted rate gives it, through its last third.

    What shrinks, by the square of the rate, is the height above the minimum that a run leads to; the curves show the
    height above the lowest minimum of all, so a run that stays in a higher hollow levels off, as predicted.
    """
    limits = [_limit(run) for run in race.runs]
    known = [m.value for m in race.surface.minima] + [x for x in limits if x is not None]
    lowest = min(float(np.min(run.values)) for run in race.runs)
    floor = min(lowest, *known) if known else (0.0 if lowest > 0 else lowest)
    floor = 0.0 if abs(floor) <= 1e-12 * max(float(np.max(abs(run.values))) for run in race.runs) else floor
    drawn = []
    for run, limit, hue in zip(race.runs, limits, _hues(race.runs, ""), strict=True):
        above = run.values - floor
        predicted = np.full(len(above), np.nan)
        third = len(above) * 2 // 3
        rest = limit - floor if limit is not None else 0.0
        peak = third + int(np.argmax(above[third:]))
        if run.predicted_rate and limit is not None and len(above) > 6 and above[peak] > rest:
            steps = np.arange(len(above))
            with np.errstate(under="ignore", over="ignore"):
                predicted = rest + (above[peak] - rest) * run.predicted_rate ** (2.0 * (steps - peak))
            predicted[: len(above) // 4] = np.nan
        drawn.append(Curve(run.method.label, hue, above, predicted))
    meaning = "value" if floor == 0 else f"value above {floor:.6g}"
    return Curves(title_of(race.surface), floor, meaning, tuple(drawn))


def _limit(run: Run) -> float | None:
    """Return the value of the minimum to which a run leads; a quadratic that flees is so high that 0 will do."""
    if run.hollow is None:
        return 0.0 if run.surface.quadratic and run.stopped == "diverged" else None
    return float(run.surface.value(run.hollow))


def fitting_box(surface: Surface, runs: Sequence[Run]) -> Box:
    """Return what a picture should show: the trajectories and the minimum, without following one that flees."""
    starts = np.array([run.start for run in runs])
    lowest = [m.point for m in surface.minima if m.everywhere] or _hollows(runs)
    anchors = np.array([*starts, *lowest])
    if not lowest:
        anchors = np.concatenate(
            [anchors, *(run.positions[-1:] for run in runs if run.stopped in ("steps", "gradient"))]
        )
    low, high = anchors.min(axis=0), anchors.max(axis=0)
    reach = np.maximum(high - low, 0.25 * abs(anchors).max(axis=0))
    reach = np.where(reach > 0, reach, 0.25 * max(float(abs(anchors).max()), 1.0))
    fences = low - 1.2 * reach, high + 1.2 * reach
    points = np.clip(np.concatenate([anchors, *(run.positions for run in runs)]), *fences)
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 0.2 * reach)
    middle = (low + high) / 2
    low, high = middle - 0.58 * span, middle + 0.58 * span
    if surface.domain:
        domain = np.array(surface.domain)
        wide = domain[:, 1] - domain[:, 0]
        inside = (starts >= domain[:, 0]).all() and (starts <= domain[:, 1]).all()
        if inside and (surface.dim == 1 or not lowest or (high - low > 0.3 * wide).any()):
            low, high = domain[:, 0], domain[:, 1]
    # A box a hundred times as long as wide shows a line: widen the narrow side to a tenth.
    span = high - low
    narrow = np.maximum(span, span.max() / 10 if len(span) > 1 else 0)
    low, high = low - (narrow - span) / 2, high + (narrow - span) / 2
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))


def between(points: Array, most: int = 4000) -> Array:
    """Return a path with points between its steps, so that a line through them follows the ground; (k, n) as before."""
    parts = max(1, min(12, most // max(len(points), 1)))
    at = np.arange((len(points) - 1) * parts + 1) / parts
    before = np.minimum(at.astype(int), max(len(points) - 2, 0))
    after = np.minimum(before + 1, len(points) - 1)
    share = (at - before)[:, None]
    path: Array = points[before] * (1 - share) + points[after] * share
    return path


def drawable(points: Array) -> Array:
    """Return a path whose far part is pulled in: a renderer cannot draw a line to 1e12."""
    return np.clip(points, -1e7, 1e7)


def _hollows(runs: Sequence[Run]) -> list[tuple[float, ...]]:
    """Return the minima to which the first runs lead, each once."""
    found = [run.hollow for run in runs[:8] if run.surface.dim <= 2]
    return list(dict.fromkeys(tuple(map(float, point.round(9))) for point in found if point is not None))


def outcome(run: Run) -> str:
    """Say in a few words how a run ended."""
    if run.stopped in ("diverged", "undefined"):
        return f"{run.stopped} at step {run.steps}"
    return f"{number(run.value)} after {run.steps} steps"


def number(value: float) -> str:
    """Write a number in three digits, the way a legend wants it.

    >>> number(21709.67), number(6.9476478), number(1.2e-9)
    ('21710', '6.95', '1.2e-09')
    """
    if value and math.isfinite(value) and 1e-2 <= abs(value) < 1e6:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return f"{value:.3g}"


def title_of(surface: Surface) -> str:
    """Return a surface's formula for a title, or its name where the formula is long."""
    return f"${surface.latex}$" if surface.latex and len(surface.latex) <= 72 else surface.name


def check_panels(panels: str, race: Race) -> None:
    """Refuse panels that no run of a race could be sorted into; raises `DrawError`."""
    known = list(dict.fromkeys(["rule", "start", *(key for run in race.runs for key in run.method.settings)]))
    if panels and panels not in known:
        raise DrawError(f"no panels by '{panels}'; {nearest(panels, known)}")


def _group(run: Run, panels: str) -> str:
    if not panels:
        return ""
    if panels == "rule":
        return run.method.name
    if panels == "start":
        return f"start ({', '.join(f'{c:g}' for c in run.start)})"
    value = run.method.settings.get(panels)
    return (
        f"{panels} = {value:g}"
        if isinstance(value, float | int)
        else (str(value) if value is not None else f"no {panels}")
    )


def _without(label: str, panels: str) -> str:
    """Leave out of a label what the panel's title says already."""
    return " ".join(word for word in label.split(" ") if not panels or not word.startswith(f"{panels}="))


def _hues(runs: Sequence[Run], panels: str) -> list[int]:
    """Give each label its colour, the same in every panel."""
    seen: dict[str, int] = {}
    return [seen.setdefault(_without(run.method.label, panels), len(seen)) for run in runs]
