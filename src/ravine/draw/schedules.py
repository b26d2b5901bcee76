"""Schedules of an optimizer's settings as a figure: one panel for each key, its values over the updates."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ravine.draw.style import FAINT, FONT, INK, figure, halo, hue, marker, plain
from ravine.errors import DrawError

if TYPE_CHECKING:  # torch itself is not needed to draw
    from ravine.torch.curves import Curve

PANELS = 12
STYLES = ("-", "--", "-.", ":")


def draw(curves: Sequence["Curve"], made: int = 0, ax: Any = None) -> Figure:
    """Draw schedules, one panel for each key.

    Args:
        curves: what `ravine.torch.Schedule.curves` returned.
        made: the number of updates made so far, marked where it is above 0.
        ax: axes to draw into, a list of them for several keys; without it a figure is made.

    Returns:
        The Matplotlib `Figure` that was made, or the one in which the axes are.

    Raises:
        DrawError: there are more keys than axes.
    """
    panels = [list(found) for _, found in groupby(curves, key=lambda curve: curve.key)]
    if not panels:
        raise DrawError("this Schedule sets no key, so there is nothing to draw; give it one")
    if ax is None and len(panels) > PANELS:
        raise DrawError(f"{len(panels)} keys do not fit into a figure; {PANELS} are allowed, so give axes of your own")
    height = 0.6 + sum(1.55 + 0.2 * len(panel) for panel in panels)
    axes = _made(len(panels), height) if ax is None else list(np.ravel(np.asarray(ax, object)))
    if len(axes) != len(panels) or not all(isinstance(each, Axes) for each in axes):
        raise DrawError(f"ax must be {len(panels)} Matplotlib axes, one for each key, got {len(axes)} of them")
    for each, panel in zip(axes, panels, strict=True):
        draw_key(each, panel, made)
    if ax is None:
        for above in axes[:-1]:
            above.set_xlabel("")
    found = axes[0].figure
    assert isinstance(found, Figure)
    return found


def draw_key(ax: Axes, curves: Sequence["Curve"], made: int = 0) -> Axes:
    """Draw the schedules of one key into axes, each labelled with its text and its param groups."""
    for i, curve in enumerate(curves):
        _line(ax, curve, i)
    steps = max(len(curve.values) for curve in curves)
    if 0 < made < steps:
        ax.axvline(made, color=FAINT, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
        ax.annotate(f"now: {made}", (made, 1), xycoords=("data", "axes fraction"), xytext=(3, -2),
                    textcoords="offset points", ha="left", va="top", fontsize=FONT - 1.5, color=INK,
                    path_effects=halo())  # fmt: skip
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.margins(x=0.02, y=0.12)
    alone = len(curves) == 1
    plain(ax, "update", curves[0].key, _cut(curves[0].text) if alone else "")
    if not alone:
        # Above the axes: schedules cross a panel from corner to corner, and their texts are long.
        ax.legend(fontsize=FONT - 1, frameon=False, labelcolor=INK, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _line(ax: Axes, curve: "Curve", index: int) -> None:
    """Draw one schedule; few updates get a sign each, since only at them there is a value."""
    steps = len(curve.values)
    sign = marker(index) if steps <= 40 else ""
    label = f"{_groups(curve.groups)}: {_cut(curve.text)}"
    ax.plot(np.arange(steps), curve.values, STYLES[index % len(STYLES)], color=hue(index), linewidth=1.6,
            marker=sign, markersize=4, label=label, zorder=3)  # fmt: skip


def _groups(groups: Sequence[int]) -> str:
    listed = ", ".join(map(str, groups[:6])) + (", …" if len(groups) > 6 else "")
    return f"group{'s' * (len(groups) > 1)} {listed}"


def _cut(text: str) -> str:
    """Leave of a long text what a figure has room for."""
    return text if len(text) <= 64 else f"{text[:63]}…"


def _made(panels: int, height: float) -> list[Axes]:
    return list(figure(5.6, height).subplots(panels, 1, sharex=True, squeeze=False)[:, 0])
