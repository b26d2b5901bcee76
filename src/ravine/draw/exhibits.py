"""The figures of the gallery that a race alone does not draw: what is shown as data, and its drawing."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from ravine.draw import data
from ravine.draw.figures import paint_ground
from ravine.draw.style import FAINT, FONT, INK, figure, halo, hue, plain
from ravine.race import race
from ravine.result import Race
from ravine.surfaces.interface import Array


class Gains(NamedTuple):
    """Hold, for each mu, how many times gradient descent's step is made at each step under a constant gradient."""

    mus: tuple[float, ...]
    steps: Array  # (k,), counted from 1
    ratios: Array  # (mus, k)
    sums: Array  # (mus, k), the partial sums 1 + mu + mu² + …


class Swings(NamedTuple):
    """Hold how often runs turn across the ravine, with and without noise, and where the noise leaves them."""

    mus: Array  # (k,)
    quiet: Array  # (k,), turns without noise
    noisy: Array  # (k,), mean turns with noise
    spread: Array  # (k,), root mean square of the coordinate across, in the last half


def gains(mus: Sequence[float] = (0.5, 0.9, 0.99), steps: int = 700) -> Gains:
    """Measure the acceleration on the slope -x, whose gradient is -1 everywhere."""
    runs = race("-x", [f"classical:lr=1,mu={mu}" for mu in mus], (0,), steps, tol=0).runs
    t = np.arange(1, steps + 1)
    sums = np.array([np.cumsum(mu ** (t - 1.0)) for mu in mus])
    return Gains(tuple(mus), t, np.array([np.diff(run.positions[:, 0]) for run in runs]), sums)


def draw_gains(shown: Gains) -> Figure:
    """Draw measured step lengths over the partial sums of the geometric series."""
    made = figure(6.4, 4)
    ax = made.subplots()
    for i, mu in enumerate(shown.mus):
        ax.loglog(shown.steps, shown.sums[i], color=hue(i), linewidth=4, alpha=0.3)
        ax.loglog(shown.steps, shown.ratios[i], color=hue(i), linewidth=1.4, label=f"mu = {mu:g}")
        ax.axhline(1 / (1 - mu), color=FAINT, linewidth=0.8, linestyle="--")
        end = float(shown.steps[-1])
        place: dict[str, Any] = {"fontsize": FONT - 1, "color": INK, "ha": "right", "va": "bottom"}
        ax.text(end, 1 / (1 - mu) * 1.04, f"1/(1 − mu) = {1 / (1 - mu):.3g}", **place)
    ax.set_ylim(0.9, 600)
    ax.grid(alpha=0.25, linewidth=0.5)
    plain(ax, "step", "step length / lr·gradient", "Acceleration under a constant gradient")
    ax.plot([], [], color=FAINT, linewidth=4, alpha=0.5, label="partial sums 1 + mu + mu² + …")
    ax.legend(fontsize=FONT - 1, frameon=False, loc="upper left", bbox_to_anchor=(0, 0.98))
    return made


def swings(sigma: float = 300.0, lr: float = 0.001, steps: int = 200, seeds: int = 64) -> Swings:
    """Measure turns across the bowl's ravine against mu, with gradient noise and without."""
    mus = np.array([0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99])
    methods = [f"classical:lr={lr},mu={mu}" for mu in mus]
    quiet = race("bowl", methods, None, steps, tol=0).runs
    noisy = race("bowl", methods, None, steps, tol=0, noise=sigma, seed=range(seeds)).runs
    groups = [noisy[i * seeds : (i + 1) * seeds] for i in range(len(mus))]
    late = [np.sqrt(np.mean([np.mean(run.positions[steps // 2 :, 1] ** 2) for run in group])) for group in groups]
    turns = [np.mean([run.turns[1] for run in group]) for group in groups]
    return Swings(mus, np.array([run.turns[1] for run in quiet]), np.array(turns), np.array(late))


def draw_swings(shown: Swings, noisy: Race) -> Figure:
    """Draw noisy trajectories beside the counts of turns and the spread that noise leaves."""
    made = figure(11.5, 3.6)
    left, middle, right = made.subplots(1, 3, width_ratios=(1.5, 1, 1))
    scene = data.scene(noisy, box=((-60, 200), (-100, 100)))
    paint_ground(left, data.terrain(noisy.surface, scene.box))
    for trail in scene.panels[0].trails:
        left.plot(*trail.points.T, color=hue(trail.hue), linewidth=1.1, path_effects=halo(), label=trail.label)
    left.set(xlim=scene.box[0], ylim=scene.box[1])
    plain(left, scene.axes[0], scene.axes[1], "one noisy run each")
    left.legend(fontsize=FONT - 1.5, loc="lower left", framealpha=0.85)
    across = np.arange(len(shown.mus))
    for counts, label, i in ((shown.quiet, "exact gradients", 0), (shown.noisy, "noisy gradients", 1)):
        middle.plot(across, counts, "o-", color=hue(i), label=label, markersize=4)
    plain(middle, "mu", "turns across the ravine", "swings")
    middle.legend(fontsize=FONT - 1.5, frameon=False)
    right.semilogy(across, shown.spread, "s-", color=hue(2), markersize=4)
    plain(right, "mu", "root mean square of y, late", "what the noise leaves")
    for ax in (middle, right):
        ax.set_xticks(across, [f"{mu:g}" for mu in shown.mus], rotation=60)
        ax.grid(alpha=0.25, linewidth=0.5)
    return made
