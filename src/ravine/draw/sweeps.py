"""A sweep as a figure: the map of its losses, a few learning curves, and the valley of equal effective learning rate."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from ravine.draw.mapdata import even_numbers, round_numbers
from ravine.draw.maps import meaning
from ravine.draw.style import FONT, INK, LINES, figure, halo, plain
from ravine.draw.sweepdata import OTHERS, WORDS, SweepPicture, picture
from ravine.schedules import text_of
from ravine.sweep.grid import Axis
from ravine.sweep.table import Sweep
from ravine.sweep.trials import DIVERGED, DONE, DROPPED, FAILED

BRIGHT = colormaps["viridis_r"]  # low losses are bright, as on the maps of surfaces
KINDS = {DIVERGED: "#fbe3d3", FAILED: "#CC79A7", DROPPED: "#c9ced6", "missing": "#ffffff"}
STROKES = {"best": ("#0072B2", "-"), "usual": ("#E69F00", "--"), "diverged": ("#D55E00", ":")}
WRITTEN = 130  # tiles, up to which each carries its loss
SIGNS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")


def draw(made: Sweep) -> Figure:
    """Draw a sweep: its map, learning curves and valley.

    Args:
        made: what is drawn.

    Returns:
        A Matplotlib `Figure` with three panels; `ravine.draw.save` writes it.
    """
    shown = picture(made)
    whole = figure(15.0, 5.2)
    panels = whole.subplots(1, 3, width_ratios=(1.35, 1, 1))
    map_axes(whole, panels[0], shown)
    curve_axes(panels[1], shown)
    valley_axes(panels[2], shown)
    whole.suptitle(shown.title, fontsize=FONT + 2, color=INK)
    return whole


def norm(shown: SweepPicture) -> Normalize:
    """Return what makes a number from 0 to 1 of a loss."""
    high = shown.high if shown.high > shown.low else shown.low + max(abs(shown.low), 1e-12) * 0.1
    return LogNorm(shown.low, high) if shown.low > 0 else Normalize(shown.low, high)


# The map ---------------------------------------------------------------------------------------------------------


def map_axes(whole: Figure, ax: Axes, shown: SweepPicture) -> Axes:
    """Draw the map into axes and return them."""
    rows, columns = len(shown.tiles), len(shown.tiles[0])
    scale = norm(shown)
    colours = np.array([[BRIGHT(scale(t.loss)) if t.kind == DONE else to_rgba(KINDS[t.kind]) for t in row]
                        for row in shown.tiles])  # fmt: skip
    ax.imshow(colours, origin="lower", aspect="auto", interpolation="nearest", zorder=0)
    ax.set_xticks(np.arange(-0.5, columns), minor=True)
    ax.set_yticks(np.arange(-0.5, rows), minor=True)
    ax.grid(which="minor", color="white", linewidth=0.8)
    ax.tick_params(which="minor", length=0)
    _labels(ax.xaxis, shown.x, 13)
    if shown.y:
        _labels(ax.yaxis, shown.y, 25)
    else:
        ax.set_yticks([])
    if rows * columns <= WRITTEN:
        _numbers(ax, shown, scale)
    _signs(ax, shown)
    plain(ax, meaning(shown.x.name), meaning(shown.y.name) if shown.y else "", "loss over all of the data at the end")
    if any(t.kind == DONE for row in shown.tiles for t in row):
        _bar(whole, ax, scale, shown)
    _legend(ax, shown)
    return ax


def _labels(axis: Any, values: Axis, most: int) -> None:
    """Write the settings at their cells, every second or third where there are many."""
    every = -(-len(values.values) // most)
    places = range(0, len(values.values), every)
    words = [text_of(v)[:16] if callable(v) else f"{v:.4g}" for v in values.values]
    # A label such as 0.000432877 is as wide as two cells.
    tilt = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if max(map(len, words)) > 4 and most < 20 else {}
    axis.set_ticks(list(places), labels=[words[i] for i in places], **tilt)


def _numbers(ax: Axes, shown: SweepPicture, scale: Normalize) -> None:
    for j, row in enumerate(shown.tiles):
        for i, tile in enumerate(row):
            if tile.kind == DONE:
                dark = float(scale(tile.loss)) > 0.45
                ax.text(i, j, _brief(tile.loss), ha="center", va="center", fontsize=FONT - 2.5, zorder=3,
                        color="white" if dark else INK)  # fmt: skip


def _brief(loss: float) -> str:
    return f"{loss:.2g}" if 1e-3 <= abs(loss) < 100 else f"{loss:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _signs(ax: Axes, shown: SweepPicture) -> None:
    """Draw the best cell, those of which some seeds diverged, and the theory's limit."""
    limits = ax.get_xlim(), ax.get_ylim()
    partly = np.array([(i, j) for j, row in enumerate(shown.tiles) for i, t in enumerate(row) if t.partly])
    if len(partly):
        ax.plot(partly[:, 0] + 0.38, partly[:, 1] + 0.38, "x", color="#D55E00", markersize=4, zorder=4)
    if shown.limit:
        line = shown.limit[0]
        line = line if len(line) > 1 else np.array([(line[0, 0], -0.5), (line[0, 0], 0.5)])
        ax.plot(line[:, 0], line[:, 1], color=INK, linewidth=1.8, path_effects=halo(3.5), zorder=5)
    if shown.best:
        row, column = shown.best
        ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="white", linewidth=5, zorder=6))
        ax.add_patch(
            Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=2.4, zorder=6)
        )
    ax.set(xlim=limits[0], ylim=limits[1])


def _bar(whole: Figure, ax: Axes, scale: Normalize, shown: SweepPicture) -> None:
    assert scale.vmin is not None
    assert scale.vmax is not None
    low, high = float(scale.vmin), float(scale.vmax)
    ticks = round_numbers(low, high) if shown.low > 0 else even_numbers(low, high)
    beyond = any(t.loss > high for row in shown.tiles for t in row)
    bar = whole.colorbar(ScalarMappable(scale, BRIGHT), ax=ax, pad=0.02, aspect=28, ticks=list(ticks),
                         extend="max" if beyond else "neither")  # fmt: skip
    bar.ax.set_yticks(list(ticks), labels=[f"{t:.4g}" for t in ticks])
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=FONT - 1, colors=INK, length=3)
    bar.outline.set_visible(False)


def _legend(ax: Axes, shown: SweepPicture) -> None:
    """Name what has no number, and the signs, below."""
    kinds = [t.kind for row in shown.tiles for t in row]
    handles: list[Any] = [
        Patch(facecolor=KINDS[kind], edgecolor=LINES, linewidth=0.6, label=f"{WORDS[kind]}: {kinds.count(kind)} cells")
        for kind in OTHERS if kind in kinds
    ]  # fmt: skip
    if any(t.partly for row in shown.tiles for t in row):
        handles.append(
            Line2D([], [], marker="x", linestyle="", color="#D55E00", markersize=4, label="some seeds diverged")
        )
    if shown.limit:
        handles.append(Line2D([], [], color=INK, linewidth=1.8, label=shown.limit[1]))
    if shown.best:
        best = shown.tiles[shown.best[0]][shown.best[1]]
        handles.append(Line2D([], [], marker="s", linestyle="", markerfacecolor="none", markeredgecolor="#D55E00",
                              markeredgewidth=1.6, markersize=8, label=f"best: {best.label}: {best.loss:.4g}"))  # fmt: skip
    if handles:
        ax.figure.legend(handles=handles, loc="outside lower left", ncols=min(4, len(handles)), fontsize=FONT - 0.5,
                         frameon=False, labelcolor=INK)  # fmt: skip


# Curves and valley -----------------------------------------------------------------------------------------------


def curve_axes(ax: Axes, shown: SweepPicture) -> Axes:
    """Draw learning curves into axes and return them."""
    for curve in shown.curves:
        colour, dashes = STROKES[curve.kind]
        for i, (at, loss) in enumerate(curve.parts):
            ax.plot(at, loss, dashes, color=colour, linewidth=1.2, alpha=0.85, label="" if i else curve.label)
    values = [loss for curve in shown.curves for _, loss in curve.parts]
    tame = [loss for curve in shown.curves if curve.kind != "diverged" for _, loss in curve.parts] or values
    if values and min(float(loss.min()) for loss in values) > 0:
        ax.set_yscale("log")
        low, high = (float(f(np.concatenate(tame))) for f in (np.min, np.max))
        ax.set_ylim(low / 1.3, high * 4)  # what flees is cut off
    ax.tick_params(which="minor", labelsize=FONT - 2, colors=INK)
    plain(ax, "update", "mean loss of the batches around it", "learning curves, one line a seed")
    if shown.curves:
        ax.legend(fontsize=FONT - 1.5, frameon=False, labelcolor=INK, loc="upper right")
    return ax


def valley_axes(ax: Axes, shown: SweepPicture) -> Axes:
    """Draw the losses against the effective learning rate into axes and return them."""
    finite = [v.loss[np.isfinite(v.loss)] for v in shown.valley]
    tame = np.concatenate(finite) if finite else np.zeros(0)
    cut = shown.high * 1.5 if shown.high > 0 else shown.high
    for i, series in enumerate(shown.valley):
        colour = colormaps["plasma"](0.88 * i / max(len(shown.valley) - 1, 1))
        fine = np.isfinite(series.loss) & (series.lr > 0)
        ax.plot(series.lr[fine], series.loss[fine], "-", marker=SIGNS[i % len(SIGNS)], color=colour, linewidth=1.0,
                markersize=4, label=series.label)  # fmt: skip
        wild = ~fine & (series.lr > 0)
        ax.plot(series.lr[wild], np.full(wild.sum(), 0.97), SIGNS[i % len(SIGNS)], color=colour, markersize=4,
                markerfacecolor="none", transform=ax.get_xaxis_transform())  # fmt: skip
    if any((series.lr > 0).any() for series in shown.valley):
        ax.set_xscale("log")
    if len(tame) and tame.min() > 0:
        ax.set_yscale("log")
        ax.set_ylim(float(tame.min()) / 1.15, max(cut, float(tame.min()) * 2))
    ax.tick_params(which="minor", labelsize=FONT - 2, colors=INK)
    plain(ax, shown.across, "loss", "the valley of equal effective learning rate\n(open signs above: diverged)")
    if any(series.label for series in shown.valley):
        ax.legend(fontsize=FONT - 1.5, frameon=False, labelcolor=INK, ncols=1 + len(shown.valley) // 8)
    return ax
