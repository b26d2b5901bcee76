"""A map as data: its numbers and their scale, the theory's lines, and the marks."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from contourpy import contour_generator
from matplotlib.ticker import MaxNLocator

from ravine import algebra
from ravine.axes import SCALES, Axis
from ravine.cells import DIVERGED, NOT_WALKED, NOT_YET, REACHED, UNDEFINED
from ravine.draw import data
from ravine.draw.picks import Pick, picks_of, raced, settings_of
from ravine.phasemap import Cell, PhaseMap
from ravine.result import Race
from ravine.rules import Row
from ravine.schedules import text_of
from ravine.surfaces.interface import Array

FINE, HALVED = 400, 24  # points a side on which the theory's lines are looked for, and how often the rest is halved
COLOURED = -1  # a cell that has a number
HIGHER = 10.0  # times the start's height: what is above is off the scale


class Colours(NamedTuple):
    """Hold what the colours of a map mean."""

    meaning: str
    floor: float  # subtracted from the values
    low: float
    high: float
    scale: str  # log, linear or symlog
    knee: float  # a symlog scale is linear up to it
    ticks: tuple[float, ...]
    beyond: bool  # whether some cells lie above `high`


class Line(NamedTuple):
    """Hold one of the theory's lines."""

    kind: str  # boundary, slow (critical damping at the least curvature) or fast (at the largest)
    label: str
    parts: tuple[Array, ...]  # each (k, 2): the setting across and the one up


class Mark(NamedTuple):
    """Hold a place on the map; NaN in a setting that the rule does not have."""

    kind: str  # optimum, best or fewest
    label: str
    x: float
    y: float


class Region(NamedTuple):
    """Hold cells that have an outcome and no number."""

    outcome: int
    label: str
    share: float  # of all cells


class MapPicture(NamedTuple):
    """Hold the picture of a map."""

    title: str
    x: Axis
    y: Axis
    shown: Array  # (rows, columns), NaN where a cell has no number
    kinds: Array  # (rows, columns), COLOURED or an outcome
    colours: Colours | None  # None where no cell has a number
    regions: tuple[Region, ...]
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...]
    picks: tuple[Pick, ...]
    race: Race | None  # a run for each pick


def picture(found: PhaseMap, colours: Colours | None = None, picks: bool = True) -> MapPicture:
    """Return the picture of a map, in colours of its own unless some are given."""
    colours = colours or scale_of([found])
    shown = found.shown - (colours.floor if colours else 0.0)
    kinds = np.where(np.isfinite(shown), COLOURED, np.where(found.outcome == REACHED, NOT_YET, found.outcome))
    words = {NOT_YET: "not yet" if found.show == "steps" else "no number",
             DIVERGED: "diverges" if found.show == "predicted" else "diverged",
             UNDEFINED: "undefined", NOT_WALKED: "not walked"}  # fmt: skip
    shares = {outcome: float((kinds == outcome).mean()) for outcome in words}
    regions = tuple(Region(outcome, words[outcome], share) for outcome, share in shares.items() if share)
    chosen, ran = raced(found, picks_of(found)) if picks else ((), None)
    lines, marks = lines_of(found), _marks(found)
    return MapPicture(title_of(found), found.x, found.y, shown, kinds, colours, regions, lines, marks, chosen, ran)


def title_of(found: PhaseMap, rule: bool = True) -> str:
    """Write what a map is of: the surface, the rule, how many steps from where."""
    start = ", ".join(f"{c:.4g}" for c in found.starts[0][:4]) + (", …" if found.starts.shape[1] > 4 else "")
    start = f"({start})" if len(found.starts) == 1 else f"{len(found.starts)} starts, the slowest shown"
    walked = "closed form" if found.show == "predicted" else f"{found.steps} steps from {start}"
    return "     ".join([data.title_of(found.surface), *([rule_of(found)] if rule else []), walked])


def rule_of(found: PhaseMap) -> str:
    """Write a map's rule with what is fixed, without defaults."""
    fixed = (f" {key}={text_of(value)[:24]}" for key, value in found.fixed.items()
             if callable(value) or value != found.rule.parameters[key])  # fmt: skip
    return found.rule.name + "".join(fixed)


def number_of(found: PhaseMap, cell: Cell) -> str:
    """Write what a cell shows."""
    if found.show == "steps":
        return f"{cell.shown:.0f} steps"
    return f"{'value' if found.show == 'value' else 'rate'} {data.number(cell.shown)}"


# Colours ---------------------------------------------------------------------------------------------------------


def scale_of(maps: Sequence[PhaseMap]) -> Colours | None:
    """Return the colours that hold the numbers of one or several maps; None if there are none."""
    first = maps[0]
    values = np.concatenate([found.shown[np.isfinite(found.shown)] for found in maps])
    if not len(values):
        return None
    floor = _floor(maps, values) if first.show == "value" else 0.0
    after, target = f"after {first.steps} steps", data.number(first.target or 0)
    target = target if all(found.target == first.target for found in maps) else "its target"
    meaning = {
        "steps": f"steps until the value is {target} or less",
        "value": f"value {after}" + (f", above {data.number(floor)}" if floor else ""),
        "rate": f"measured rate, error per step, {after}",
        "predicted": "predicted rate, error per step, in the long run",
    }[first.show]
    if first.show in ("rate", "predicted"):
        low, high = _apart(float(values.min()), float(values.max()))
        return Colours(meaning, floor, low, high, "linear", 0.0, even_numbers(low, high), False)
    values = values - floor if first.show == "value" else np.maximum(values, 1.0)
    most = top = float(values.max())
    if first.show == "value":  # what climbs far above the start need not be told apart
        heights = [abs(float(np.max(found.surface.value(found.starts))) - floor) for found in maps]
        top = min(top, max(HIGHER * max(heights), float(values.min())))
    if values.min() >= 0 and top > 0:
        # What has sunk into the rounding of the floor is as low as can be.
        low, high = _apart(max(1e-16 * abs(floor), float(values[values > 0].min())), top)
        return Colours(meaning, floor, low, high, "log", 0.0, round_numbers(low, high), most > high)
    low, high = _apart(float(values.min()), top)
    knee = float(np.quantile(abs(values), 0.25)) or 1.0
    below = tuple(-x for x in round_numbers(knee, -low)[::-1]) if -low > knee else ()
    above = round_numbers(knee, high) if high > knee else ()
    return Colours(meaning, floor, low, high, "symlog", knee, (*below, 0.0, *above), most > high)


def _floor(maps: Sequence[PhaseMap], values: Array) -> float:
    """Return the lowest value that is known, or 0."""
    known = [float(found.surface.value(np.array(found.theory.point))) for found in maps if found.theory]
    floor = min([*known, float(values.min())]) if known else 0.0
    return 0.0 if abs(floor) <= 1e-12 * float(abs(values).max()) else floor


def _apart(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low * (1 + 1e-9) else (low, low + max(0.1 * abs(low), 1e-300))


def even_numbers(low: float, high: float) -> tuple[float, ...]:
    """Return round numbers between two, evenly spread."""
    margin = 1e-9 * (high - low)
    return tuple(
        float(x)
        for x in MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        if low - margin <= x <= high + margin
    )


def round_numbers(low: float, high: float) -> tuple[float, ...]:
    """Return round numbers for a logarithmic scale, few enough to be read.

    >>> round_numbers(40, 700), round_numbers(1e-9, 1)
    ((50.0, 100.0, 200.0, 500.0), (1e-08, 1e-06, 0.0001, 0.01, 1.0))
    """
    decades = math.log10(high / low)
    if decades < 0.7:
        return even_numbers(low, high)
    every = max(1, math.ceil(decades / 6))
    first = math.floor(math.log10(low)) // every * every
    made = (float(f"{digit}e{power}") for power in range(first, first + math.ceil(decades) + 2 * every, every)
            for digit in ((1, 2, 5) if decades < 2.5 else (1,)))  # fmt: skip
    return tuple(x for x in made if low * (1 - 1e-9) <= x <= high * (1 + 1e-9))


# Theory ----------------------------------------------------------------------------------------------------------


def lines_of(found: PhaseMap) -> tuple[Line, ...]:
    """Return the stability boundary, and critical damping at the least and the largest curvature."""
    if found.theory is None or not found.steady:
        return ()
    h = found.theory.curvatures
    h = h[h > 1e-12 * abs(h).max()]  # along a flat direction nothing moves, whatever the settings
    if not len(h):
        return ()
    where = "" if found.theory.exact else f" near ({', '.join(f'{c:.4g}' for c in found.theory.point[:4])})"
    least, largest = float(h.min()), float(h.max())
    heights: dict[str, tuple[str, Height]] = {
        "boundary": (
            f"stability boundary{where}",
            lambda row: np.minimum(algebra.margin(row, least), algebra.margin(row, largest)),
        ),
        "slow": (f"critical damping at h = {least:.4g}", lambda row: algebra.discriminant(row, least)),
    }
    if largest > least * (1 + 1e-9):
        heights["fast"] = f"critical damping at h = {largest:.4g}", lambda row: algebra.discriminant(row, largest)
    made = (Line(kind, label, _zeros(found, height)) for kind, (label, height) in heights.items())
    return tuple(line for line in made if line.parts)


Height = Callable[[Row], Array]


def _zeros(found: PhaseMap, height: Height) -> tuple[Array, ...]:
    """Return the lines on which a function of the row is 0: looked for on a grid, then halved into place.

    The margin has a kink at the boundary, so that a straight line between the grid's points would miss it.
    """
    there, back = ([getattr(SCALES[axis.scale], way) for axis in (found.x, found.y)] for way in ("there", "back"))

    def at(x: Array, y: Array) -> Array:
        settings = {**found.fixed, found.x.name: back[0](x), found.y.name: back[1](y)}
        with np.errstate(all="ignore"):
            z = height(found.rule.row(**{k: v for k, v in settings.items() if k in found.rule.parameters}))
        return np.broadcast_to(z, np.broadcast_shapes(x.shape, y.shape))

    x, y = (np.linspace(go(axis.low), go(axis.high), FINE) for go, axis in zip(there, (found.x, found.y), strict=True))
    z = at(x[None, :], y[:, None])
    edge = np.ones_like(z, bool)
    edge[1:-1, 1:-1] = False
    # Without a step (lr = 0) nothing shrinks: the zero along such an edge is no boundary between two regions.
    fine = np.where(edge & (z == 0) | ~np.isfinite(z), np.nan, z)
    made = []
    for part in contour_generator(x, y, fine).lines(0.0):
        # A point of a contour lies between two neighbours of the grid, in a row or in a column.
        share = [(np.asarray(part)[:, i] - g[0]) / (g[1] - g[0]) for i, g in enumerate((x, y))]
        a, b = ([g[np.clip(to(s + by), 0, FINE - 1).astype(int)] for g, s in zip((x, y), share, strict=True)]
                for to, by in ((np.floor, 1e-7), (np.ceil, -1e-7)))  # fmt: skip
        below = at(*a) <= 0
        for _ in range(HALVED):
            middle = [(one + other) / 2 for one, other in zip(a, b, strict=True)]
            same = (at(*middle) <= 0) == below
            a = [np.where(same, m, one) for m, one in zip(middle, a, strict=True)]
            b = [np.where(same, other, m) for m, other in zip(middle, b, strict=True)]
        made.append(np.stack([go(one) for go, one in zip(back, a, strict=True)], axis=1))
    return tuple(made)


def _marks(found: PhaseMap) -> tuple[Mark, ...]:
    """Return the optimum of theory and the best measured cells."""
    made = []
    best, fewest, known = found.best, found.fewest, found.theory.optimum if found.theory else None
    if known and found.steady:
        at = {**_defaults(found), **known}
        outside = any(not axis.low <= at.get(axis.name, axis.low) <= axis.high for axis in (found.x, found.y))
        label = f"optimum of theory: {settings_of(found, at)}{', outside the map' if outside else ''}"
        made.append(Mark("optimum", label, at.get(found.x.name, math.nan), at.get(found.y.name, math.nan)))
    if best is not None:
        word = "best cell" if found.show != "predicted" else "best cell of the closed form"
        made.append(_mark(found, "best", word, best))
    if fewest is not None and best is not None and (fewest.row, fewest.column) != (best.row, best.column):
        made.append(_mark(found, "fewest", "fewest steps", fewest))
    return tuple(made)


def _defaults(found: PhaseMap) -> dict[str, float]:
    """Return what settings are if nobody gives them; where theory's optimum is silent, it stands at these."""
    return {key: float(value) for key, value in found.rule.parameters.items() if isinstance(value, int | float)}


def _mark(found: PhaseMap, kind: str, word: str, cell: Cell) -> Mark:
    label = f"{word}: {settings_of(found, cell.settings)}: {number_of(found, cell)}"
    return Mark(kind, label, cell.settings[found.x.name], cell.settings[found.y.name])
