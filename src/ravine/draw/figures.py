"""Races as figures: contours, curves, loss against step, and terrain with the paths lying on it."""

import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ravine.draw import data
from ravine.draw.directions import directions
from ravine.draw.style import FAINT, FONT, GROUND, INK, LINES, figure, halo, hue, marker, plain
from ravine.errors import DrawError, RavineError, nearest, reason
from ravine.files import aside, writable
from ravine.result import Race
from ravine.surfaces.interface import Array, Surface

SUFFIXES = ("png", "svg", "pdf")


def draw(race: Race, view: str = "", panels: str = "", box: data.Box | None = None) -> Figure:
    """Draw a race.

    Args:
        race: what is drawn.
        view: `contours` (two coordinates), `curve` (one), `terrain` (two, in space), `loss` or `directions` (any: the
            error along each eigen-direction beside its closed form); without it the one that fits the surface.
        panels: which setting tells the panels apart: `lr`, `mu`, `rule`, `start` or another; empty for one panel.
        box: what is shown, low and high for each coordinate.

    Returns:
        A Matplotlib `Figure`; `save` writes it.

    Raises:
        DrawError: an unknown view, or one that does not fit the surface.

    Example:
        >>> from ravine import race
        >>> len(draw(race("x^2 + 50y^2", ["sgd:lr=0.01"]), view="loss").axes)
        1
    """
    view = check_view(view, race.surface.dim)
    data.check_panels(panels, race)
    if panels and view in ("loss", "terrain", "directions"):
        raise DrawError(f"the view '{view}' has one panel; leave the panels out, or use the view 'contours'")
    try:
        return VIEWS[view][1](race, panels, box)
    except (ValueError, OverflowError) as error:
        if isinstance(error, RavineError):
            raise
        raise DrawError(f"these numbers are too large or too close together to draw: {reason(error)}") from error


def check_view(view: str, dim: int) -> str:
    """Return a view that fits a surface of so many coordinates, the fitting one for an empty name, or say which do."""
    fitting = {1: "curve", 2: "contours"}.get(dim, "loss")
    view = view or fitting
    if view not in VIEWS:
        raise DrawError(f"no view is called '{view}'; {nearest(view, VIEWS)}")
    needs = VIEWS[view][0]
    if needs and dim != needs:
        many = "s" * (needs > 1)
        raise DrawError(f"the view '{view}' needs {needs} coordinate{many}, this surface has {dim}; use '{fitting}'")
    return view


FORMATS = ("png", "svg", "pdf")


def save(made: Figure, out: str | os.PathLike[str]) -> None:
    """Write a figure as PNG, SVG or PDF, by the suffix; raises `DrawError` where that cannot be done."""
    path = writable(out, FORMATS)
    stable = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    with aside(path) as file:
        made.savefig(file, format=path.suffix.lower()[1:], metadata=stable[path.suffix.lower()])


# Two coordinates -------------------------------------------------------------------------------------------------


def contours(race: Race, panels: str = "", box: data.Box | None = None) -> Figure:
    """Draw contour lines with the trajectories, in panels that share scale and heights."""
    shown = data.scene(race, panels, box)
    if len(shown.panels) > 12:
        raise DrawError(f"{len(shown.panels)} panels do not fit into a row; 12 are allowed, so choose other panels")
    ground = data.terrain(race.surface, shown.box)
    (x0, x1), (y0, y1) = shown.box
    shape = (y1 - y0) / (x1 - x0)
    equal = 0.4 <= shape <= 2.5
    width = {1: 5.6, 2: 4.4}.get(len(shown.panels), 3.6)
    entries = len(_legend_entries(shown)) if len(shown.panels) == 1 else len(_hues_shown(shown))
    height = width * (shape if equal else 0.8) + 0.75 + 0.19 * entries
    made = figure(width * len(shown.panels) + 0.3, min(max(height, 2.6), 8))
    axes = np.atleast_1d(made.subplots(1, len(shown.panels), sharex=True, sharey=True, squeeze=False)[0])
    for i, (ax, panel) in enumerate(zip(axes, shown.panels, strict=True)):
        paint_ground(ax, ground)
        for trail in panel.trails:
            paint_path(ax, trail)
        ax.plot(*shown.minima.T, "+", color=INK, markersize=9, markeredgewidth=1.4, zorder=6)
        ax.set(xlim=shown.box[0], ylim=shown.box[1])
        if equal:
            ax.set_aspect("equal")
        plain(ax, shown.axes[0], shown.axes[1] if i == 0 else "", panel.title)
        ax.locator_params(nbins=6 if len(shown.panels) < 3 else 5)
        if len(shown.panels) > 1:
            _outcomes(ax, panel)
    made.suptitle(shown.title, fontsize=FONT + 2, color=INK)
    _legend(made, shown)
    return made


def paint_ground(ax: Axes, ground: data.Terrain) -> None:
    """Paint the bands between contour lines, and the lines."""
    norm = BoundaryNorm(ground.levels, GROUND.N)
    ax.contourf(ground.x, ground.y, ground.height, ground.levels, cmap=GROUND, norm=norm, extend="both", zorder=0)
    ax.contour(ground.x, ground.y, ground.height, ground.levels, colors=LINES, linewidths=0.5, alpha=0.7, zorder=1)


def paint_path(ax: Axes, trail: data.Trail) -> None:
    colour, points = hue(trail.hue), data.drawable(trail.points)
    dots = len(points) <= 250
    ax.plot(*points.T, "-", color=colour, linewidth=1.3, path_effects=halo(), zorder=3)
    if dots:
        ax.plot(*points.T, ".", color=colour, markersize=3, zorder=3)
    ax.plot(*points[0], "o", color="white", markeredgecolor=INK, markersize=6, zorder=5)
    ax.plot(*points[-1], marker(trail.hue), color=colour, markeredgecolor="white", markersize=7, zorder=5)


def _hues_shown(shown: data.Scene) -> dict[str, int]:
    return {trail.label: trail.hue for panel in shown.panels for trail in panel.trails}


def _legend_entries(shown: data.Scene) -> list[tuple[str, int]]:
    if len(shown.panels) > 1:
        return list(_hues_shown(shown).items())
    return [(f"{trail.label}:  {trail.outcome}", trail.hue) for trail in shown.panels[0].trails]


def _legend(made: Figure, shown: data.Scene) -> None:
    entries = _legend_entries(shown)
    handles = [
        Line2D([], [], color=hue(h), marker=marker(h), markeredgecolor="white", markersize=7, label=label)
        for label, h in entries[:12]
    ]
    if len(entries) > 12:
        handles.append(Line2D([], [], color="none", label=f"… and {len(entries) - 12} more"))
    columns = 1 if len(shown.panels) == 1 else min(len(handles), 2 if len(shown.panels) == 2 else 3)
    made.legend(
        handles=handles, loc="outside lower center", ncols=columns, fontsize=FONT - 0.5, frameon=False, labelcolor=INK
    )


def _outcomes(ax: Axes, panel: data.Panel) -> None:
    """Write under a panel's trails how each ended, in its colour."""
    for i, trail in enumerate(panel.trails[:4]):
        ax.text(0.02, 0.02 + 0.075 * (min(len(panel.trails), 4) - 1 - i), trail.outcome, transform=ax.transAxes,
                fontsize=FONT - 1.5, color=hue(trail.hue), path_effects=halo(3), zorder=7)  # fmt: skip


# One coordinate --------------------------------------------------------------------------------------------------


def curve(race: Race, panels: str = "", box: data.Box | None = None) -> Figure:
    """Draw a function of one coordinate with each path on it, a panel a run, and position against step below."""
    shown = data.scene(race, "", box)
    trails = [trail for panel in shown.panels for trail in panel.trails]
    if len(trails) > 12:
        raise DrawError(f"{len(trails)} runs do not fit into a row of curves; 12 are allowed, or use the view 'loss'")
    made = figure(min(3.3 * len(trails) + 0.5, 13) if len(trails) > 1 else 5, 4.6)
    grid = made.subplots(2, len(trails), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 2))
    x = np.linspace(*shown.box[0], 801)
    heights = race.surface.value(x[:, None])
    low, high = np.nanmin(heights), np.nanmax(heights)
    for i, trail in enumerate(trails):
        top, bottom, colour = grid[0, i], grid[1, i], hue(trail.hue)
        top.plot(x, heights, color=LINES, linewidth=1.2, zorder=1)
        inside = np.clip(trail.points[:, 0], *shown.box[0])
        rolled = np.clip(data.between(trail.points), *shown.box[0])
        top.plot(rolled[:, 0], race.surface.value(rolled), "-", color=colour, linewidth=2.2, alpha=0.45, zorder=2)
        top.plot(inside, trail.values, ".", color=colour, markersize=4, zorder=3)
        top.plot(inside[0], trail.values[0], "o", color="white", markeredgecolor=INK, markersize=7, zorder=5)
        top.plot(
            inside[-1],
            trail.values[-1],
            marker(trail.hue),
            color=colour,
            markeredgecolor="white",
            markersize=9,
            zorder=5,
        )
        room = 0.08 * (high - low) or 1.0
        top.set(xlim=shown.box[0], ylim=(low - room, max(high, trail.values[0]) + room))
        plain(top, "", "value" if i == 0 else "", f"{trail.label}\n{trail.outcome}")
        top.tick_params(labelbottom=False)
        bottom.plot(trail.points[:, 0], np.arange(len(trail.points)), "-", color=colour, linewidth=1.1)
        plain(bottom, shown.axes[0], "step" if i == 0 else "")
        if i == 0:
            bottom.invert_yaxis()
    made.suptitle(shown.title, fontsize=FONT + 2, color=INK)
    return made


# Any number ------------------------------------------------------------------------------------------------------


def loss(race: Race, panels: str = "", box: data.Box | None = None) -> Figure:
    """Draw value against step on a logarithmic axis, the predicted slope dashed beside it."""
    made = figure(6.4, 4.2 + 0.12 * min(max(0, len(race.runs) - 4), 8))
    loss_axes(made.subplots(), race)
    made.suptitle(data.title_of(race.surface), fontsize=FONT + 2, color=INK)
    return made


def loss_axes(ax: Axes, race: Race) -> Axes:
    """Draw the loss curves of a race into axes and return them."""
    shown = data.curves(race)
    floor = max((c.heights[c.heights > 0].min() for c in shown.curves if (c.heights > 0).any()), default=1e-16)
    lowest = min((c.heights[c.heights > 0].min() for c in shown.curves if (c.heights > 0).any()), default=floor)
    for i, c in enumerate(shown.curves):
        positive = np.where(c.heights > 0, c.heights, np.nan)
        ax.semilogy(positive, color=hue(c.hue), linewidth=1.5, label=c.label if i < 12 else None, zorder=3)
        ax.semilogy(
            np.where(c.predicted > lowest / 10, c.predicted, np.nan), "--", color=hue(c.hue), linewidth=1, zorder=2
        )
    if any(np.isfinite(c.predicted).any() for c in shown.curves):
        ax.plot([], [], "--", color=FAINT, linewidth=1, label="predicted slope")
    highest = max(float(np.nanmax(c.heights[:1])) for c in shown.curves)
    top = min(max(float(np.nanmax(c.heights)) for c in shown.curves), 1e4 * max(highest, 1e-300))
    if math.isfinite(top) and top > lowest:
        ax.set_ylim(max(lowest, top * 1e-32) / 3, top * 3)
    ax.grid(alpha=0.25, linewidth=0.5)
    plain(ax, "step", shown.meaning)
    ax.legend(fontsize=FONT - 1, frameon=False, labelcolor=INK)
    return ax


# In space --------------------------------------------------------------------------------------------------------


def terrain(race: Race, panels: str = "", box: data.Box | None = None) -> Figure:
    """Draw the surface in space with the paths lying on it."""
    shown = data.scene(race, "", box)
    made = figure(6.4, 5.4 + 0.15 * min(len(race.runs), 12))
    ax = space(made, race.surface, shown.box)
    for trail in shown.panels[0].trails:
        points = on_ground(ax, race.surface, data.between(trail.points), shown.box)
        ax.plot(*points.T, "-", color=hue(trail.hue), linewidth=1.6, path_effects=halo(), zorder=8)
        ax.plot(*points[:1].T, "o", color="white", markeredgecolor=INK, markersize=6, zorder=9)
        ax.plot(
            *points[-1:].T, marker(trail.hue), color=hue(trail.hue), markeredgecolor="white", markersize=8, zorder=9
        )
    made.suptitle(shown.title, fontsize=FONT + 2, color=INK)
    _legend(made, shown)
    return made


def space(made: Figure, surface: Surface, box: data.Box) -> Any:
    """Add axes in space with the surface in them; its heights are squashed to square roots where a few slopes dwarf all."""
    ground = data.terrain(surface, box, 81)
    ax: Any = made.add_subplot(projection="3d", computed_zorder=False)
    finite = ground.height[np.isfinite(ground.height)]
    low, high = float(finite.min()), float(finite.max())
    ax.squash = (low, high - low > 20 * (float(np.median(finite)) - low) or (high - low) > 1e3)
    heights = squashed(ax, np.nan_to_num(ground.height, nan=high, posinf=high))
    x, y = np.meshgrid(ground.x, ground.y)
    ax.plot_surface(
        x, y, heights, cmap=GROUND, rcount=81, ccount=81, linewidth=0.15, edgecolor=LINES, alpha=0.92, zorder=1
    )
    ax.set(xlim=box[0], ylim=box[1])
    # Look along the valley, so that neither wall hides the other.
    along_x = np.ptp(heights, axis=1).mean() < np.ptp(heights, axis=0).mean()
    ax.view_init(elev=44, azim=-22 if along_x else -64)
    plain(ax, *surface.variables)
    ax.set_zlabel("√(value − lowest)" if ax.squash[1] else "value", fontsize=FONT, color=INK)
    ax.set_box_aspect((1.25, 1.25, 0.75), zoom=0.92)
    return ax


def squashed(ax: Any, heights: Array) -> Array:
    """Return heights as the axes in space show them."""
    low, rooted = ax.squash
    return np.sqrt(np.maximum(heights - low, 0)) if rooted else heights


def on_ground(ax: Any, surface: Surface, points: Array, box: data.Box) -> Array:
    """Return points (k, 2) as (k, 3), lying on the ground; those outside the box become NaN."""
    inside = np.all([(points[:, i] >= low) & (points[:, i] <= high) for i, (low, high) in enumerate(box)], axis=0)
    flat = np.where(inside[:, None], points, np.nan)
    return np.column_stack([flat, squashed(ax, np.asarray(surface.value(flat)))])


VIEWS: Mapping[str, tuple[int, Callable[[Race, str, data.Box | None], Figure]]] = {
    "contours": (2, contours),
    "curve": (1, curve),
    "terrain": (2, terrain),
    "loss": (0, loss),
    "directions": (0, directions),
}
