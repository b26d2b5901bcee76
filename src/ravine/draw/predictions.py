"""A prediction as a figure: rate against curvature with the regimes, and the expected loss."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ravine import algebra
from ravine.draw.data import number, title_of
from ravine.draw.style import FAINT, FONT, INK, figure, halo, hue, marker, plain
from ravine.outlook import regime
from ravine.prediction import Place, Prediction
from ravine.surfaces.interface import Array

POINTS = 801  # of a curve of rates
LEAVING = 4  # directions that leave a saddle and are drawn
# From light to dark grey-blue, the unstable part in warm: told apart by lightness alone, and each is labelled.
SHADES = {
    "monotone": "#eef3f8",
    "critical": "#eef3f8",
    "ripples": "#d3e2f0",
    "oscillating": "#e9e4f2",
    "diverging": "#fbe3d3",
    "stands still": "#ececec",
}


class Rates(NamedTuple):
    """Hold the rate of a method against curvature, and where a surface's curvatures stand on it."""

    label: str
    h: Array  # (k,), rising
    rate: Array  # (k,)
    regimes: tuple[tuple[str, float, float], ...]  # from which h to which
    marks: Array  # (n, 2), each curvature of the place but 0, and its rate
    linear: float  # the axis is logarithmic beyond ± this; 0 where no curvature is negative
    limit: float  # h, infinite where all are stable


class Loss(NamedTuple):
    """Hold an expected loss curve, or at a saddle the error along a direction that leaves."""

    label: str
    loss: Array  # (steps + 1,), above the minimum; |error| at a saddle
    floor: float  # that noise leaves; NaN without noise


class Forecast(NamedTuple):
    """Hold the picture of predictions on one place."""

    title: str
    rates: tuple[Rates, ...]
    losses: tuple[Loss, ...]
    noise: float
    start: tuple[float, ...]
    leaving: bool  # the curves on the right are errors that leave a saddle
    what: str  # the curves on the right show
    nothing: str  # why there is nothing on the right, '' where there is


def forecast(predictions: Sequence[Prediction], place: int = 0) -> Forecast:
    """Return the picture of several methods at one place of a surface."""
    first = predictions[0]
    here = first.places[place]
    leaving = any(d.h < 0 for d in here.directions)
    losses = [curve for each in predictions for curve in (_errors if leaving else _losses)(each, place)]
    at = ", ".join(f"{c:.4g}" for c in here.point[:4]) + (", …" if first.surface.dim > 4 else "")
    what = "expected loss above the minimum" if first.surface.quadratic else f"expected loss of the quadratic at ({at})"
    what = "|error| along what leaves (length)" if leaving else what
    rates = tuple(_rates(prediction, place) for prediction in predictions)
    title = f"{title_of(first.surface)}   at ({at})"
    nothing = "" if any((_finite(curve.loss) > 0).any() for curve in losses) else _why(here, leaving)
    return Forecast(title, rates, tuple(losses), first.noise, here.start, leaving, what, nothing)


def _losses(prediction: Prediction, place: int) -> list[Loss]:
    """Return the expected loss of a method; nothing where the point is no stationary one."""
    here = prediction.places[place]
    if here.expected is None:
        return []
    floor = here.noise_floor if here.noise_floor is not None and np.isfinite(here.noise_floor) else np.nan
    return [Loss(prediction.method.label, here.expected.loss, floor)]


def _errors(prediction: Prediction, place: int) -> list[Loss]:
    """Return the errors of a method along the directions that leave a saddle; nothing where it is no stationary point."""
    here = prediction.places[place]
    leaving = [d for d in here.directions if d.h < 0][:LEAVING]
    if here.expected is None:
        return []
    begin = [float(np.dot(d.vector, np.subtract(here.start, here.point))) for d in leaving]
    found = algebra.states(prediction.method, [d.h for d in leaving], begin, prediction.steps)[..., 0]
    return [Loss(f"{prediction.method.label}, h = {d.h:.4g}", abs(found[:, i]), np.nan) for i, d in enumerate(leaving)]


def _finite(curve: Array) -> Array:
    """Return a curve as a log axis takes it: NaN for 0 and for what no renderer reaches."""
    return np.where(np.isfinite(curve) & (curve > 0) & (curve < 1e200), curve, np.nan)


def _why(here: Place, leaving: bool) -> str:
    """Say why the panel on the right is empty."""
    if here.kind == "slope":
        return "the point is not stationary"
    if leaving:
        return "the start has no error\nalong a direction that leaves"
    if all(d.h == 0 for d in here.directions):
        return "every curvature here is 0,\nand with it the quadratic's loss"
    return "the loss is 0 at every step,\nor beyond what can be drawn"


def _rates(prediction: Prediction, place: int) -> Rates:
    """Return the rates of one method over the curvatures of a place and a little beyond, on both sides."""
    here, row = (
        prediction.places[place],
        prediction.method.row(algebra.last_moving(prediction.method, prediction.steps)),
    )
    upward = [d.h for d in here.directions if d.h > 0] or [1.0]
    limit = here.limit.h
    low = min(upward) / 20
    high = max(max(upward) * 2, min(limit * 1.6, max(upward) * 100) if np.isfinite(limit) else 0.0)
    h, linear = np.geomspace(low, high, POINTS), 0.0
    if downward := [-d.h for d in here.directions if d.h < 0]:
        linear = min(low, min(downward) / 20)
        below = -np.geomspace(2 * max(downward), linear, POINTS // 2)
        h = np.concatenate([below, [linear * 1e-9], np.geomspace(linear, high, POINTS - len(below) - 1)])
    words = [regime(row, float(x)) for x in h]
    cuts = [0, *(i for i, (one, other) in enumerate(pairwise(words), 1) if one != other), POINTS - 1]
    regimes = tuple((words[i], float(h[i]), float(h[j])) for i, j in pairwise(cuts))
    marks = np.array([(d.h, algebra.rate(row, d.h)) for d in here.directions if d.h != 0]).reshape(-1, 2)
    return Rates(prediction.method.label, h, algebra.rate(row, h), regimes, marks, linear, limit)


def draw(predictions: Prediction | Sequence[Prediction], place: int = 0) -> Figure:
    """Draw predictions: rate against curvature on the left, the expected loss on the right.

    Args:
        predictions: one, or several of the same surface.
        place: which of the places.

    Returns:
        A Matplotlib `Figure`; `ravine.draw.save` writes it.

    Example:
        >>> from ravine import predict
        >>> len(draw(predict("x^2 + 50y^2", "classical:lr=0.01,mu=0.9")).axes)
        2
    """
    several = [predictions] if isinstance(predictions, Prediction) else list(predictions)
    shown = forecast(several, place)
    made = figure(9.6, 4.2)
    left, right = made.subplots(1, 2)
    rate_axes(left, shown)
    loss_axes(right, shown)
    made.suptitle(shown.title, fontsize=FONT + 2, color=INK)
    return made


def rate_axes(ax: Axes, shown: Forecast) -> Axes:
    """Draw the rates into axes; a single method's regimes are shaded and named."""
    everything = np.concatenate([curve.rate for curve in shown.rates])
    marked = [float(rate) for curve in shown.rates for rate in curve.marks[:, 1] if np.isfinite(rate)]
    low = max(0.0, float(everything.min()) - 0.08)
    top = min(max(1.15, float(everything.max())), 1 + 0.45 * (1 - low))
    top = min(max([top, *(1.08 * rate for rate in marked)]), 4.0)
    linear = shown.rates[0].linear
    scale = {"linthresh": linear, "linscale": 1.0} if linear else {}
    ax.set_xscale("symlog" if linear else "log", **scale)
    ax.set(ylim=(low, top), xlim=shown.rates[0].h[[0, -1]])
    if len(shown.rates) == 1:
        _shade(ax, shown.rates[0])
    for i, curve in enumerate(shown.rates):
        ax.plot(curve.h, curve.rate, color=hue(i), linewidth=1.6, label=curve.label, zorder=3)
        # A rate far above stays at the upper edge.
        if len(curve.marks):
            ax.plot(curve.marks[:, 0], np.fmin(curve.marks[:, 1], top), marker(i), color=hue(i),
                    markeredgecolor="white", markersize=8, zorder=5, clip_on=False)  # fmt: skip
        if curve.h[0] < curve.limit < curve.h[-1]:
            ax.axvline(curve.limit, color=hue(i), linestyle=":", linewidth=1.2, zorder=2)
            if len(shown.rates) == 1:
                ax.annotate(f"limit {curve.limit:.4g}", (curve.limit, 0.03), xycoords=("data", "axes fraction"),
                            xytext=(3, 0), textcoords="offset points", rotation=90, ha="left", va="bottom",
                            fontsize=FONT - 1, color=INK, path_effects=halo())  # fmt: skip
    ax.axhline(1, color=FAINT, linewidth=1, zorder=1)
    marks = len(shown.rates[0].marks)
    ax.plot([], [], marker="o" if marks else "", color=FAINT, markersize=7, linestyle="",
            label="curvatures here" if marks else "every curvature here is 0")  # fmt: skip
    ax.legend(fontsize=FONT - 1, frameon=False, labelcolor=INK, loc="best")
    plain(ax, "curvature h (gradient per length)", "rate (error per step, in the long run)")
    return ax


def _shade(ax: Axes, curve: Rates) -> None:
    """Shade the regimes of a method and write their names at the top."""
    scaled = ax.xaxis.get_transform()
    first, last = scaled.transform(curve.h[[0, -1]])
    for name, low, high in curve.regimes:
        ax.axvspan(low, high, color=SHADES[name], linewidth=0, zorder=0)
        left, right = (scaled.transform(np.array([low, high])) - first) / (last - first)
        if right - left > 0.03:
            ax.text((left + right) / 2, 0.985, name, transform=ax.transAxes, ha="center", va="top", fontsize=FONT - 1,
                    color=INK, rotation=0 if right - left > 0.16 else 90)  # fmt: skip


def loss_axes(ax: Axes, shown: Forecast) -> Axes:
    """Draw the expected loss curves into axes, with the noise floor where there is noise."""
    drawn = [_finite(curve.loss) for curve in shown.losses]
    floors = [curve.floor for curve in shown.losses if curve.floor > 0]
    levels = [float(x) for loss in drawn for x in loss[np.isfinite(loss)]] + floors
    if levels:
        # What diverges leaves the picture, unless leaving is what it shows.
        top = max(levels) if shown.leaving else min(max(levels), 1e4 * max(levels[0], *floors, 1e-300))
        ax.set(yscale="log", ylim=(max(min(levels), 0.0 if shown.leaving else top * 1e-20) / 2, top * 2))
    for i, (curve, loss) in enumerate(zip(shown.losses, drawn, strict=True)):
        ax.plot(loss, color=hue(i), linewidth=1.6, label=curve.label, zorder=3)
        if curve.floor > 0:
            ax.axhline(curve.floor, color=hue(i), linestyle="--", linewidth=1,
                       label=f"noise floor {number(curve.floor)}", zorder=2)  # fmt: skip
    if shown.nothing:
        ax.set(xlim=(0, 1), ylim=(0, 1), yticks=[])
        ax.tick_params(bottom=False, labelbottom=False)
        ax.text(0.5, 0.5, f"nothing to show: {shown.nothing}", transform=ax.transAxes, ha="center", va="center",
                fontsize=FONT, color=INK, in_layout=False)  # fmt: skip
        plain(ax, "step", shown.what)
        return ax
    ax.grid(alpha=0.25, linewidth=0.5)
    start = ", ".join(f"{c:.4g}" for c in shown.start[:4]) + (", …" if len(shown.start) > 4 else "")
    noisy = f", noise {shown.noise:g}" if shown.noise else ""
    plain(ax, "step", shown.what, f"from ({start}){noisy}")
    ax.legend(fontsize=FONT - 1, frameon=False, labelcolor=INK)
    return ax
