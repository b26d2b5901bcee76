"""A conversion as a figure: where both methods ask for gradients, and how far apart, step by step."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from ravine.conversion.difference import asked
from ravine.convert import Conversion
from ravine.draw import data
from ravine.draw.figures import paint_ground
from ravine.draw.style import FAINT, FONT, INK, figure, hue, plain
from ravine.errors import DrawError
from ravine.errors import shown as shown_text
from ravine.guests import Guest
from ravine.result import Run
from ravine.rules import Method
from ravine.schedules import text_of
from ravine.stepper import BALL
from ravine.surfaces import surface as make_surface
from ravine.surfaces.interface import Array, Surface

STEPS = 100


class Demo(NamedTuple):
    """Hold the points at which a method and its conversion ask for gradients on a surface."""

    conversion: Conversion
    surface: Surface
    source: Array  # (steps, 2)
    target: Array  # (steps, 2)
    apart: Array  # (steps,), distances
    diverged: tuple[int | None, int | None]  # the step at which source and target leave for good, None where they stay

    @property
    def verdict(self) -> str:
        """Return who diverges and when, in words; empty where both stay."""
        names = (self.conversion.source.name, self.conversion.target.name)
        if None not in self.diverged and len(set(self.diverged)) == 1:
            return f"both diverge, from step {self.diverged[0]} on"
        told = zip(names, self.diverged, strict=True)
        return " and ".join(f"{name} diverges, from step {t} on" for name, t in told if t is not None)

    @property
    def difference(self) -> float:
        """Return the largest distance as a part of the source's largest distance from its start (or of the start)."""
        size = max(float(abs(self.source - self.source[0]).max()), float(abs(self.source[0]).max()), 1e-300)
        return float(self.apart.max()) / size


def demo(
    conversion: Conversion, surface: str | Surface = "bowl", start: ArrayLike | None = None, steps: int = STEPS
) -> Demo:
    """Return what the figure of a conversion shows.

    Args:
        conversion: from `ravine.convert`.
        surface: of two coordinates; without one the blog post's x² + 50y².
        start: where both begin, (2,); without it the surface's own, or (1, 1).
        steps: how many gradients are asked for; fewer where a run flees.

    Raises:
        DrawError: the surface or the start has not two coordinates, or the surface is undefined at the start.

    Example:
        >>> from ravine import convert
        >>> demo(convert("nag:lr=0.005,mu=0.9", "nesterov")).difference < 1e-12
        True
    """
    made = make_surface(surface)
    if made.dim != 2:
        raise DrawError(f"a conversion is shown on a surface of 2 coordinates, {made.name} has {made.dim}; use bowl")
    begun = np.asarray(made.start or (1.0, 1.0) if start is None else start, float)
    if begun.shape != (2,) or not np.isfinite(begun).all():
        raise DrawError(
            f"a conversion is drawn from one start of 2 finite coordinates, got {shown_text(begun.tolist())}; "
            f"write one such as 1,1"
        )
    if not (np.isfinite(made.value(begun)) and np.isfinite(made.gradient(begun)).all()):
        raise DrawError(f"{made.name} is undefined at the start {tuple(begun.tolist())}; start elsewhere")
    steps = min(steps, conversion.steps or steps)
    source, target = (_asked(method, made, begun, steps) for method in (conversion.source, conversion.target))
    both = min(len(source), len(target))
    apart = np.linalg.norm(source[:both] - target[:both], axis=1)
    diverged = tuple(len(points) if len(points) < steps else None for points in (source, target))
    return Demo(conversion, made, source[:both], target[:both], apart, (diverged[0], diverged[1]))


def draw(shown: Demo) -> Figure:
    """Draw both paths on the surface, and their distance against the step; `figures.save` writes it."""
    made = figure(9.6, 4.5)
    left, right = made.subplots(1, 2, width_ratios=(1.15, 1))
    _paths(left, shown)
    _distances(right, shown)
    made.suptitle(data.title_of(shown.surface), fontsize=FONT + 2, color=INK)
    return made


def _asked(method: Method, surface: Surface, start: Array, steps: int) -> Array:
    """Return where a method asks for gradients, (steps, 2), up to where the run flees."""
    points, far = [], BALL * max(1.0, float(abs(start).max()))
    with np.errstate(all="ignore"):
        for y in asked(map(method.row, range(steps)), start, np.zeros(2), lambda t, y: surface.gradient(y)):
            if not (abs(y) <= far).all():
                break
            points.append(y)
    return np.array(points)


def _paths(ax: Axes, shown: Demo) -> None:
    runs = [
        Run(shown.surface, method, points, "steps")
        for method, points in (
            (shown.conversion.source, shown.source),
            (shown.conversion.target, shown.target),
        )
    ]
    box = data.fitting_box(shown.surface, runs)
    paint_ground(ax, data.terrain(shown.surface, box))
    styles: tuple[dict[str, Any], ...] = (
        {"linewidth": 3.2, "alpha": 0.6, "marker": "o", "markersize": 5.5, "linestyle": "-"},
        {"linewidth": 1.1, "marker": "x", "markersize": 4.5, "linestyle": "--"},
    )
    for i, (run, style) in enumerate(zip(runs, styles, strict=True)):
        ax.plot(*data.drawable(run.positions).T, color=hue(i), label=_label(run.method), zorder=3 + i, **style)
    ax.plot(*shown.source[0], "o", color="white", markeredgecolor=INK, markersize=6, zorder=6)
    ax.set(xlim=box[0], ylim=box[1])
    plain(ax, shown.surface.variables[0], shown.surface.variables[1], "where gradients are asked for")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=FONT - 1, frameon=False, labelcolor=INK)


def _distances(ax: Axes, shown: Demo) -> None:
    seen = np.where(shown.apart > 0, shown.apart, np.nan)
    ax.semilogy(seen, ".", color=hue(0), markersize=5, label="distance of the two", zorder=3)
    rounding = np.finfo(float).eps * np.linalg.norm(shown.source, axis=1).max()
    ax.axhline(rounding, color=FAINT, linewidth=1, linestyle=":", label="rounding: 2⁻⁵² of the largest distance")
    bound = _bound(shown)
    if bound is not None:
        ax.axhline(bound, color=hue(1), linewidth=1.2, linestyle="--", label="bound that the conversion states")
    finite = [*seen[np.isfinite(seen)], rounding, *([] if bound is None else [bound])]
    ax.set_ylim(max(min(finite) / 20, rounding * 1e-4), max(finite) * 20)
    ax.grid(alpha=0.25, linewidth=0.5)
    exact = "exact" if shown.conversion.exact else "approximate"
    zero = int((shown.apart == 0).sum())
    title = f"{exact}; no difference at {zero} of {len(shown.apart)} steps"
    plain(ax, "step", "distance", f"{title}\n{shown.verdict}" if shown.verdict else title)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=FONT - 1, frameon=False, labelcolor=INK)


def _bound(shown: Demo) -> float | None:
    """Return the bound on the distance here, or None where it does not speak of this surface."""
    found, h_max = shown.conversion.error, shown.conversion.h_max
    if found is None or h_max is None or not shown.surface.quadratic or not shown.surface.minima:
        return None
    curvatures, minimum = shown.surface.curvatures(shown.source[0]), shown.surface.minima[0].point
    if curvatures.min() < 0 or curvatures.max() > h_max:
        return None
    return found * float(np.linalg.norm(shown.source[0] - np.array(minimum)))


def _label(method: Method | Guest) -> str:
    """Write a method with six digits a number, as much of it as fits below the axes."""
    words = [f"{k}={v:.6g}" if isinstance(v, int | float) else f"{k}={text_of(v)}" for k, v in method.settings.items()]
    text = " ".join([method.name, *words])
    return text if len(text) <= 64 else text[:63] + "…"
