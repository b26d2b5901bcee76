"""A race seen along the eigen-directions: each run's error as measured, and its closed form over it."""

import math
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ravine.components import components
from ravine.draw.data import title_of
from ravine.draw.style import FONT, INK, figure, halo, hue, plain
from ravine.errors import DrawError
from ravine.result import Race, Run
from ravine.rules import Method
from ravine.surfaces.interface import Array

MOST = 6  # panels
RUNS = 8  # lines in each
LINE = 0.07  # of a panel's height, a line of text


class Error(NamedTuple):
    """Hold one run's error along one direction."""

    label: str
    hue: int
    measured: Array  # (steps + 1,), size of the error, NaN where it is 0
    predicted: Array  # (steps + 1,), NaN where nothing is predicted
    begin: int | None  # the step from which the closed form holds
    remark: str  # what is written about it, '' where the closed form holds from the start


class Panel(NamedTuple):
    """Hold the errors of all runs along the direction of the same rank."""

    title: str
    errors: tuple[Error, ...]


class Sheet(NamedTuple):
    """Hold a panel for each direction."""

    title: str
    panels: tuple[Panel, ...]


def sheet(race: Race) -> Sheet:
    """Return the picture of a race's errors along the eigen-directions, the lowest and highest if there are many.

    Raises `DrawError` where no run leads to a known minimum.
    """
    found = [(run, components(run, race.noise)) for run in race.runs[:RUNS]]
    known = [(run, parts) for run, parts in found if parts is not None]
    if not known:
        raise DrawError(
            "no run leads to a known minimum, so there are no directions; use the view 'loss', or more steps"
        )
    n = race.surface.dim
    ranks = list(range(n)) if n <= MOST else [*range(MOST // 2), *range(n - MOST // 2, n)]
    panels = []
    for rank in ranks:
        each = sorted({f"{parts.h[rank]:.4g}" for _, parts in known}, key=float)
        errors = tuple(
            Error(run.method.label + race.where(run), i, _size(parts.measured[:, rank]), _size(parts.predicted[:, rank]),
                  parts.quadratic_from[rank], _remark(run, parts.quadratic_from[rank]))
            for i, (run, parts) in enumerate(known)
        )  # fmt: skip
        panels.append(Panel("h = " + " and ".join(each[:3]) + (", …" if len(each) > 3 else ""), errors))
    return Sheet(title_of(race.surface), tuple(panels))


def _remark(run: Run, begin: int | None) -> str:
    """Say from which step the closed form holds, where that is not the first."""
    if not isinstance(run.method, Method):
        return "a guest: its closed form is not known"
    if begin is None:
        return "no closed form holds in this run"
    return f"quadratic from step {begin}" if begin else ""


def _size(errors: Array) -> Array:
    """Return the sizes of errors as a log axis takes them, NaN for 0 and for what no renderer reaches."""
    sizes = abs(errors)
    return np.where((sizes > 0) & (sizes < 1e200), sizes, np.nan)


def directions(race: Race, panels: str = "", box: object = None) -> Figure:
    """Draw a panel for each eigen-direction: the measured error, and the closed form dashed over it."""
    shown = sheet(race)
    columns = min(len(shown.panels), 3 if len(shown.panels) != 4 else 2)
    rows = math.ceil(len(shown.panels) / columns)
    entries = len(shown.panels[0].errors)
    made = figure(max(4.2 * columns, 6.0), 3.1 * rows + 0.9 + 0.2 * math.ceil((entries + 2) / 2))
    axes = made.subplots(rows, columns, sharex=True, squeeze=False).ravel()
    for i, (ax, panel) in enumerate(zip(axes, shown.panels, strict=False)):
        panel_axes(ax, panel, first=i % columns == 0, last=i + columns >= len(shown.panels))
    for ax in axes[len(shown.panels) :]:
        ax.set_visible(False)
    made.suptitle(shown.title, fontsize=FONT + 2, color=INK)
    _legend(made, shown)
    return made


def panel_axes(ax: Axes, panel: Panel, first: bool = True, last: bool = True) -> Axes:
    """Draw one direction into axes and return them."""
    lows, tops = [], []
    said = 0
    for error in panel.errors:
        colour = hue(error.hue)
        ax.semilogy(error.measured, color=colour, linewidth=2.6, alpha=0.4, zorder=2)
        ax.semilogy(error.predicted, "--", color=colour, linewidth=1.1, dashes=(4, 2.5), zorder=3)
        if error.remark:
            _mark(ax, error, colour, said)
            said += 1
        finite = error.measured[np.isfinite(error.measured)]
        if len(finite):
            lows.append(float(finite.min()))
            tops.append(float(finite.max()))
    if tops:
        low, top = max(min(lows), max(tops) * 1e-18) / 3, max(tops) * 3
        room = 1 - LINE * said - (0.03 if said else 0)  # the remarks stand above the lines
        ax.set_ylim(low, low * (top / low) ** (1 / max(room, 0.3)))
    else:
        ax.set(yscale="linear", yticks=[])
        ax.text(0.5, 0.5, "nothing to show:\nthe error is 0 at every step", transform=ax.transAxes, ha="center", va="center",
                fontsize=FONT, color=INK, in_layout=False)  # fmt: skip
    ax.grid(alpha=0.25, linewidth=0.5)
    plain(ax, "step" if last else "", "|error| along the direction (length)" if first else "", panel.title)
    return ax


def _mark(ax: Axes, error: Error, colour: str, rank: int) -> None:
    """Write the remark on a line, and mark the step from which its closed form holds."""
    if error.begin is None:
        ax.text(0.98, 0.97 - LINE * rank, error.remark, transform=ax.transAxes, ha="right", va="top",
                fontsize=FONT - 1.5, color=colour, path_effects=halo(3), zorder=6)  # fmt: skip
        return
    ax.axvline(error.begin, color=colour, linewidth=0.8, linestyle=":", zorder=1)
    late = error.begin > 0.5 * len(error.measured)
    ax.annotate(error.remark, (error.begin, 0.97 - LINE * rank),
                xycoords=("data", "axes fraction"), xytext=(-3 if late else 3, 0), textcoords="offset points",
                ha="right" if late else "left", va="top", fontsize=FONT - 1.5, color=colour, path_effects=halo(3),
                zorder=6)  # fmt: skip


def _legend(made: Figure, shown: Sheet) -> None:
    """Name the runs, and say which line is measured and which is predicted."""
    handles = [Line2D([], [], color=hue(e.hue), linewidth=2.2, label=e.label) for e in shown.panels[0].errors]
    handles.append(Line2D([], [], color=INK, linewidth=2.6, alpha=0.4, label="measured"))
    handles.append(Line2D([], [], color=INK, linewidth=1.1, linestyle="--", label="closed form, not fitted"))
    made.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), 3 if len(shown.panels) > 1 else 2),
        fontsize=FONT - 0.5, frameon=False, labelcolor=INK,
    )  # fmt: skip
