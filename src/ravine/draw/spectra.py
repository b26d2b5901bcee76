"""Curvature of a real loss as figures: the spectrum with the limits of rules, noise along the top, the edge of stability."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ravine.draw.data import number
from ravine.draw.style import FAINT, FONT, INK, figure, halo, hue, plain
from ravine.surfaces.interface import Array

if TYPE_CHECKING:  # torch itself is not needed to draw
    from ravine.torch.spectral.measurement import Measured

LEAST = 0.1  # eigenvalues per width of a smoothed node: what is below is nothing


class Mark(NamedTuple):
    """Hold a curvature that is marked: where a method's own lr stops being stable."""

    label: str
    h: float


class Spectrum(NamedTuple):
    """Hold the picture of a spectrum."""

    h: Array  # (k,), curvatures of the smooth density; empty without one
    bins: Array  # (k,), eigenvalues in a bin as wide as the smoothing
    low: Array  # (k,), less a standard error
    high: Array  # (k,), and one more
    values: Array  # the extreme eigenvalues
    errors: Array
    marks: tuple[Mark, ...]


class Along(NamedTuple):
    """Hold the picture of the largest curvature along a training."""

    label: str
    steps: Array
    h: Array
    errors: Array
    limits: Array
    losses: Array  # of each update


class Directions(NamedTuple):
    """Hold the picture of noise along the top eigenvectors."""

    h: Array  # (k,)
    sigma2: Array  # (k,), variance
    errors: Array
    slope2: Array  # (k,), the square of the mean gradient
    batch: int


def spectrum(measured: "Measured") -> Spectrum:
    """Return the picture of a spectrum: the density if there is one, the eigenvalues, and limits not far off."""
    found = measured.curvature
    values, errors = (
        np.concatenate(pair) for pair in ((found.values, found.smallest), (found.errors, found.smallest_errors))
    )
    h, bins, error = np.zeros(0), np.zeros(0), np.zeros(0)
    if measured.density is not None:
        h, per_unit, spread = measured.density.curve()
        width = 8 * (h[-1] - h[0]) / len(h)
        bins, error = per_unit * width, np.nan_to_num(spread) * width
    reach = 6 * max(float(abs(values).max()), 1e-300)
    marks = tuple(Mark(each.method.label, each.h) for each in measured.allowed if 0 < each.h < reach)
    return Spectrum(h, bins, np.maximum(bins - error, LEAST / 10), bins + error, values, errors, marks)


def along(measured: "Measured") -> Along | None:
    """Return the picture of a training, None without one."""
    edge = measured.edge
    if edge is None:
        return None
    return Along(edge.method.label, edge.steps, edge.h_max, edge.errors, edge.limits, edge.losses)


def directions(measured: "Measured") -> Directions | None:
    """Return the picture of noise along eigenvectors, None without one."""
    noise, found = measured.noise, measured.curvature
    if noise is None or not len(noise.along):
        return None
    h = np.concatenate([found.values, found.smallest])
    return Directions(h, noise.along, noise.along_errors, noise.slope**2, noise.batch)


def draw(measured: "Measured") -> Figure:
    """Draw what was measured: a panel for the spectrum, for the noise and for the training."""
    noisy, path = directions(measured), along(measured)
    panels = [
        ("spectrum", spectrum(measured)),
        *([("noise", noisy)] if noisy else []),
        *([("along", path)] if path else []),
    ]
    lone = measured.density is None and len(panels) == 1
    made = figure(5.4 * len(panels), 2.6 if lone else 4.0)
    for ax, (what, shown) in zip(made.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        {"spectrum": spectrum_axes, "noise": noise_axes, "along": along_axes}[what](ax, shown)  # type: ignore[operator]
    name = measured.curvature.name
    made.suptitle(f"{name}, {measured.curvature.parameters:,} parameters", fontsize=FONT + 2, color=INK)
    return made


def spectrum_axes(ax: Axes, shown: Spectrum) -> Axes:
    """Draw a spectrum into axes: how many eigenvalues lie where, the extreme ones, and the limits."""
    dense = len(shown.h) > 0
    if dense:
        there = shown.bins > LEAST / 10
        ax.fill_between(shown.h, shown.low, shown.high, where=there, color=hue(0), alpha=0.25, linewidth=0)
        ax.plot(shown.h[there], shown.bins[there], color=hue(0), linewidth=1.4, label="density ± 1 standard error")
        ax.set_yscale("log")
        ax.set_ylim(LEAST, 3 * float(shown.high.max()))
    height = np.ones(len(shown.values)) if dense else np.arange(1.0, len(shown.values) + 1)
    ax.errorbar(shown.values, height, xerr=shown.errors, fmt="o", color=hue(1), markersize=5,
                capsize=3, linewidth=1, zorder=4, label="extreme eigenvalues ± error")  # fmt: skip
    for mark in shown.marks:
        ax.axvline(mark.h, color=INK, linestyle=(0, (4, 2)), linewidth=1)
        ax.annotate(f"{mark.label}: {number(mark.h)}", (mark.h, 0.98), xycoords=("data", "axes fraction"),
                    xytext=(-3, 0), textcoords="offset points", rotation=90, ha="right", va="top",
                    fontsize=FONT - 1.5, color=INK, path_effects=halo())  # fmt: skip
    if not dense:
        ax.set_ylim(len(height) + 0.5, 0.5)
        ax.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.margins(x=0.06)
    ax.legend(
        fontsize=FONT - 1.5,
        frameon=False,
        labelcolor=INK,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16 if dense else -0.3),
        ncols=2,
    )
    plain(ax, "curvature h (gradient per length)", "eigenvalues" if dense else "number",
          "spectrum" + (", dashed: stable to the left" if shown.marks else ""))  # fmt: skip
    return ax


def noise_axes(ax: Axes, shown: Directions) -> Axes:
    """Draw noise and gradient along the top eigenvectors into axes."""
    at = np.arange(1, len(shown.h) + 1)
    ax.errorbar(at, np.maximum(shown.sigma2, 1e-300), yerr=shown.errors, fmt="o", color=hue(0), capsize=3, markersize=5,
                linewidth=1, label=f"variance of a gradient of {shown.batch}")  # fmt: skip
    ax.plot(at, np.maximum(shown.slope2, 1e-300), "^", color=hue(1), markersize=5, label="square of the mean gradient")
    ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    ax.margins(x=0.1, y=0.15)
    ax.legend(
        fontsize=FONT - 1.5, frameon=False, labelcolor=INK, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2
    )
    plain(ax, "eigenvector, in the order of the values", "gradient²", "noise along the top")
    return ax


def along_axes(ax: Axes, shown: Along) -> Axes:
    """Draw the largest curvature against the limit into axes, the loss faint on an axis of its own."""
    loss = ax.twinx()
    loss.plot(np.arange(len(shown.losses)), shown.losses, color=FAINT, linewidth=0.8, alpha=0.8)
    loss.set_yscale("log")
    plain(loss, "", "loss of a batch (grey)")
    loss.spines["right"].set_visible(True)
    ax.set_zorder(loss.get_zorder() + 1)
    ax.patch.set_visible(False)
    ax.plot(shown.steps, shown.limits, color=INK, linestyle=(0, (4, 2)), linewidth=1.2, label="limit of the rule")
    ax.fill_between(shown.steps, shown.h - shown.errors, shown.h + shown.errors, color=hue(0), alpha=0.25, linewidth=0)
    ax.plot(shown.steps, shown.h, "o-", color=hue(0), linewidth=1.4, markersize=3, label="largest curvature ± error")
    finite = shown.limits[np.isfinite(shown.limits)]
    top = max(float(np.nanmax(shown.h)), float(finite.min()) if len(finite) else 0.0)
    ax.set_ylim(min(0.0, float(np.nanmin(shown.h)) * 1.1), 1.15 * top)
    ax.legend(
        fontsize=FONT - 1.5, frameon=False, labelcolor=INK, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2
    )
    plain(ax, "update", "curvature h (gradient per length)", f"along {shown.label}")
    return ax
