"""How pictures look: colours that the colour-blind can tell apart, and nothing of Matplotlib's global state."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

# Okabe & Ito 2008, without the yellow that is lost on a light ground.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # a second sign, for print without colour
INK, FAINT = "#222222", "#8a8f98"
GROUND = LinearSegmentedColormap.from_list("ground", ["#a9c3d9", "#d5e0e6", "#efece1", "#faf6ea"])
LINES = "#7c8894"
FONT = 9.0


def figure(width: float, height: float) -> Figure:
    """Make a figure of so many inches, without pyplot and its list of open figures."""
    made = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(made)
    return made


def plain(ax: Axes, x: str, y: str, title: str = "") -> None:
    """Label axes and leave off what says nothing."""
    ax.set_xlabel(x, fontsize=FONT, color=INK)
    ax.set_ylabel(y, fontsize=FONT, color=INK)
    if title:
        ax.set_title(title, fontsize=FONT + 1, color=INK)
    ax.tick_params(labelsize=FONT - 1, colors=INK, length=3)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def halo(width: float = 2.5) -> list[Any]:
    """Return a white rim, so that a line reads on any ground."""
    return [withStroke(linewidth=width, foreground="white", alpha=0.85)]


def hue(index: int) -> str:
    """Return the colour of a label."""
    return PALETTE[index % len(PALETTE)]


def marker(index: int) -> str:
    """Return the sign of a label."""
    return MARKERS[index % len(MARKERS)]
