"""The (lr, mu) map as a figure: what became of every cell, the theory's lines over it, and a few of its trajectories.

A map is drawn evenly in `there` of its axes' scales, so that a cell is as wide as any other and an image will do, which
is quick at any size; ticks carry the settings.
"""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, SymLogNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ravine.axes import SCALES, Axis
from ravine.cells import DIVERGED, NOT_WALKED, NOT_YET, UNDEFINED
from ravine.draw import data
from ravine.draw.figures import loss_axes, paint_ground, paint_path
from ravine.draw.mapdata import Colours, MapPicture, even_numbers, picture, round_numbers
from ravine.draw.style import FONT, INK, LINES, figure, halo, hue, marker, plain
from ravine.phasemap import PhaseMap
from ravine.rules import ANY, SETTINGS
from ravine.surfaces.interface import Array

BRIGHT = colormaps["viridis_r"]  # few steps, low values and small rates are bright
# Told apart by lightness, and none of them in the colour map.
CLASSES = {NOT_YET: "#a9afba", DIVERGED: "#fbe3d3", UNDEFINED: "#CC79A7", NOT_WALKED: "#ffffff"}
PAPER = (360.0, 330.0)  # points, across and up
STROKES: dict[str, dict[str, Any]] = {
    "boundary": {"linewidth": 1.8},
    "slow": {"linewidth": 1.1, "dashes": (5, 2)},
    "fast": {"linewidth": 1.1, "dashes": (1.5, 1.5)},
}
SIGNS: dict[str, dict[str, Any]] = {
    "optimum": {"marker": "*", "markersize": 15, "color": "#D55E00"},
    "best": {"marker": "o", "markersize": 6, "color": "white"},
    "fewest": {"marker": "s", "markersize": 4.5, "color": "white"},
}


def draw(found: PhaseMap) -> Figure:
    """Draw a map, and beside it the trajectories of a few of its cells, whose numbers stand on the map.

    Args:
        found: what is drawn.

    Returns:
        A Matplotlib `Figure`; `ravine.draw.save` writes it.

    Example:
        >>> from ravine import phase_map
        >>> len(draw(phase_map("x^2 + 50y^2", "heavyball", size=20, show="predicted")).axes)
        6
    """
    shown = picture(found)
    made = figure(12.4 if shown.race else 7.0, 5.9)
    grid = made.add_gridspec(1, 2, width_ratios=(1.05, 1)) if shown.race else made.add_gridspec(1, 1)
    ax = map_axes(made.add_subplot(grid[0]), shown)
    if shown.colours:
        colour_bar(made, [ax], shown.colours)
    if shown.race:
        badges(ax, shown)
        _trajectories(made, grid[1], shown)
    made.suptitle(shown.title, fontsize=FONT + 2, color=INK)
    legend(made, shown, 3 if shown.race else 2)
    return made


# The map ---------------------------------------------------------------------------------------------------------


def map_axes(ax: Axes, shown: MapPicture, title: str = "") -> Axes:
    """Draw a map with the theory's lines and the marks into axes and return them."""
    paint_cells(ax, shown)
    paint_theory(ax, shown)
    plain(ax, meaning(shown.x.name), meaning(shown.y.name), title)
    return ax


def paint_cells(ax: Axes, shown: MapPicture) -> AxesImage:
    """Paint the cells and set the limits and the ticks."""
    (x0, x1), (y0, y1) = _ends(shown.x), _ends(shown.y)
    image = ax.imshow(painted(shown.shown, shown.kinds, shown.colours), origin="lower", extent=(x0, x1, y0, y1),
                      aspect="auto", interpolation="antialiased", zorder=0)  # fmt: skip
    for axis, made in ((shown.x, ax.xaxis), (shown.y, ax.yaxis)):
        ticks = ticks_of(axis)
        made.set_ticks([float(even(axis, t)) for t in ticks], labels=[f"{t:.12g}" for t in ticks])
    return image


def painted(shown: Array, kinds: Array, colours: Colours | None) -> Array:
    """Return the colour of every cell, (rows, columns, 4)."""
    made = np.zeros((*shown.shape, 4))
    if colours:
        inside = np.clip(np.nan_to_num(shown, nan=colours.high), colours.low, colours.high)
        made[:] = BRIGHT(norm(colours)(inside))
    for outcome, colour in CLASSES.items():
        made[kinds == outcome] = to_rgba(colour)
    return made


def norm(colours: Colours) -> Normalize:
    """Return what makes a number from 0 to 1 of a cell's."""
    if colours.scale == "symlog":
        return SymLogNorm(colours.knee, vmin=colours.low, vmax=colours.high)
    return {"log": LogNorm, "linear": Normalize}[colours.scale](colours.low, colours.high)


def colour_bar(made: Figure, axes: list[Axes], colours: Colours) -> None:
    """Say beside axes what the colours mean."""
    bar = made.colorbar(ScalarMappable(norm(colours), BRIGHT), ax=axes, pad=0.02, aspect=28, ticks=list(colours.ticks),
                        extend="max" if colours.beyond else "neither")  # fmt: skip
    bar.ax.set_yticks(list(colours.ticks), labels=[f"{t:.6g}" for t in colours.ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=FONT - 1, colors=INK, length=3)
    bar.set_label(colours.meaning, fontsize=FONT, color=INK)
    bar.outline.set_visible(False)


def even(axis: Axis, value: Any) -> Any:
    """Return where a setting lies on the paper."""
    return SCALES[axis.scale].there(value)


def _ends(axis: Axis) -> tuple[float, float]:
    """Return where the outermost cells end on the paper: the axis's own ends lie in their middles."""
    low, high = float(even(axis, axis.low)), float(even(axis, axis.high))
    half = (high - low) / (axis.size - 1) / 2
    return low - half, high + half


def ticks_of(axis: Axis) -> tuple[float, ...]:
    """Return the settings at which an axis is labelled."""
    if axis.scale == "linear":
        return even_numbers(axis.low, axis.high)
    if axis.scale == "log":
        return round_numbers(axis.low, axis.high)
    return tuple(float(f"{1 - gap:.12g}") for gap in round_numbers(1 - axis.high, 1 - axis.low)[::-1])


def meaning(name: str) -> str:
    """Write what a setting means, in as few words as fit beside an axis."""
    words = SETTINGS.get(name, ANY).meaning
    return f"{name}: {words if len(words) < 50 else words.split(',')[0]}"


# Lines and marks -------------------------------------------------------------------------------------------------


def paint_theory(ax: Axes, shown: MapPicture) -> list[Line2D]:
    """Draw the theory's lines and the marks over the cells; returns them, bottom first."""
    limits = ax.get_xlim(), ax.get_ylim()
    made: list[Line2D] = []
    for line in shown.lines[::-1]:
        for part in line.parts:
            made += ax.plot(even(shown.x, part[:, 0]), even(shown.y, part[:, 1]), color=INK, path_effects=halo(),
                            zorder=3, **STROKES[line.kind])  # fmt: skip
    for mark in shown.marks:  # the optimum's star is the largest and lies below
        x, y = float(even(shown.x, mark.x)), float(even(shown.y, mark.y))
        stroke: dict[str, Any] = {"color": SIGNS[mark.kind]["color"], "linewidth": 1.6, "path_effects": halo()}
        if np.isnan(y):  # the rule has only one of the two settings: any value of the other is as good
            made.append(ax.axvline(x, zorder=4, **stroke))
        elif np.isnan(x):
            made.append(ax.axhline(y, zorder=4, **stroke))
        else:
            made += ax.plot(x, y, linestyle="", markeredgecolor=INK, markeredgewidth=0.9, zorder=5, **SIGNS[mark.kind])
    ax.set(xlim=limits[0], ylim=limits[1])
    return made


def badges(ax: Axes, shown: MapPicture) -> None:
    """Number the chosen cells, each beside its place where it covers nothing else."""
    picked = [(p.cell.settings[shown.x.name], p.cell.settings[shown.y.name]) for p in shown.picks]
    taken = [_in_points(shown, x, y) for x, y in [*picked, *((m.x, m.y) for m in shown.marks)]]
    for i, (x, y) in enumerate(picked):
        here, away = _in_points(shown, x, y), np.array([(a, b) for a in (16, -16) for b in (16, -16)])
        free = [_room(here + a, [t for j, t in enumerate(taken) if j != i]) for a in away]
        best = int(np.argmax(free))
        taken.append(here + away[best])
        at = float(even(shown.x, x)), float(even(shown.y, y))
        ax.plot(*at, ".", color=hue(i), markersize=4, zorder=6)
        ax.annotate(str(i + 1), at, tuple(away[best]), textcoords="offset points", ha="center", va="center",
                    color="white", fontsize=FONT - 1, fontweight="bold", zorder=7,
                    arrowprops={"arrowstyle": "-", "color": hue(i)},
                    bbox={"boxstyle": "circle,pad=0.25", "color": hue(i)})  # fmt: skip


def _in_points(shown: MapPicture, x: float, y: float) -> Array:
    """Return where settings lie on the paper, roughly: a map of `draw` is about PAPER points large."""
    ends = np.array([_ends(shown.x), _ends(shown.y)])
    at = np.array([even(shown.x, x), even(shown.y, y)], float)
    place: Array = (at - ends[:, 0]) / (ends[:, 1] - ends[:, 0]) * PAPER
    return place


def _room(at: Array, taken: list[Array]) -> float:
    """Return how far a badge would be from all that is there, and from the frame; beyond the frame it is negative."""
    frame = float(min(at.min(), (np.array(PAPER) - at).min())) - 4
    others = [float(np.hypot(*(at - other))) for other in taken if np.isfinite(other).all()]
    return min(frame if frame < 8 else np.inf, 24.0, *others)  # farther away is no better


def legend(made: Figure, shown: MapPicture, columns: int) -> None:
    """Name the colours of what has no number, the lines and the marks, below."""
    handles: list[Any] = [
        Patch(facecolor=CLASSES[r.outcome], edgecolor=LINES, linewidth=0.6, label=r.label + _percent(r.share))
        for r in shown.regions
    ]
    handles += [Line2D([], [], color=INK, label=line.label, **STROKES[line.kind]) for line in shown.lines]
    for mark in shown.marks:
        whole = np.isfinite([mark.x, mark.y]).all()
        style = SIGNS[mark.kind] if whole else {"color": SIGNS[mark.kind]["color"]}
        handles.append(Line2D([], [], linestyle="" if whole else "-", markeredgecolor=INK, label=mark.label, **style))
    if handles:
        made.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=FONT - 0.5, frameon=False,
                    labelcolor=INK)  # fmt: skip


def _percent(share: float) -> str:
    if np.isnan(share):
        return ""
    return f": {share:.0%}" if 0.01 <= share <= 0.99 or share == 1 else f": {share:.2%}"


# Trajectories ----------------------------------------------------------------------------------------------------


def _trajectories(made: Figure, place: Any, shown: MapPicture) -> None:
    """Draw the chosen cells' trajectories beside the map: a panel each on the surface, or all as loss curves."""
    race = shown.race
    assert race is not None
    captions = [f"{i + 1}  {p.settings}\n{p.word}: {p.happened}" for i, p in enumerate(shown.picks)]
    if race.surface.dim > 2:
        ax = loss_axes(made.add_subplot(place), race)
        handles = [Line2D([], [], color=hue(i), linewidth=1.5, label=word) for i, word in enumerate(captions)]
        ax.legend(handles=handles, fontsize=FONT - 1.5, frameon=False, labelcolor=INK, loc="upper right")
        return
    scene = data.scene(race)
    trails = [trail for panel in scene.panels for trail in panel.trails]
    ground = data.terrain(race.surface, scene.box) if race.surface.dim == 2 else None
    across = 1 if len(trails) < 4 else 2
    down = -(-len(trails) // across)
    axes = place.subgridspec(down, across).subplots(sharex=True, sharey=True, squeeze=False)
    for i, ax in enumerate(axes.ravel()):
        if ground is not None:
            paint_ground(ax, ground)
            paint_path(ax, trails[i]._replace(hue=i))
            ax.set(xlim=scene.box[0], ylim=scene.box[1])
        else:
            _curve(ax, race.surface.value, trails[i]._replace(hue=i), scene.box[0])
        names = (*scene.axes, "value")
        plain(ax, names[0] if i >= len(trails) - across else "", names[1] if i % across == 0 else "")
        ax.set_title(captions[i], fontsize=FONT - 1.5, color=hue(i), loc="left")
        ax.locator_params(nbins=5)


def _curve(ax: Axes, value: Any, trail: data.Trail, span: tuple[float, float]) -> None:
    """Draw a path on a function of one coordinate."""
    x = np.linspace(*span, 401)
    ax.plot(x, value(x[:, None]), color=LINES, linewidth=1.2, zorder=1)
    rolled = np.clip(data.between(trail.points), *span)
    inside = np.clip(trail.points, *span)
    ax.plot(rolled[:, 0], value(rolled), "-", color=hue(trail.hue), linewidth=2, alpha=0.4, zorder=2)
    ax.plot(inside[:, 0], value(inside), ".", color=hue(trail.hue), markersize=4, zorder=3)
    ax.plot(inside[0], value(inside[:1]), "o", color="white", markeredgecolor=INK, markersize=6, zorder=5)
    ax.plot(inside[-1], value(inside[-1:]), marker(trail.hue), color=hue(trail.hue), markeredgecolor="white",
            markersize=7, zorder=5)  # fmt: skip
    ax.set_xlim(*span)
