"""The figures of docs/theory.md: limits, optima and what noise leaves, each drawn from the algebra."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from ravine import algebra
from ravine.draw.directions import directions
from ravine.draw.figures import save
from ravine.draw.predictions import draw
from ravine.draw.style import FAINT, FONT, INK, figure, hue, plain
from ravine.files import folder as check
from ravine.predict import predict
from ravine.race import race
from ravine.rules import parse
from ravine.surfaces.interface import Array

NOISY = ("sgd:lr=0.015", "classical:lr=0.005,mu=0.7")
SEEDS, STEPS, SIGMA = 2000, 120, 10.0


class Line(NamedTuple):
    """Hold one curve."""

    label: str
    x: Array  # (k,)
    y: Array  # (k,)


def limits() -> tuple[Line, ...]:
    """Return the largest stable lr·h of some rules against mu."""
    mu = np.linspace(0, 0.99, 199)
    named = {"sgd": "sgd", "heavyball": "heavyball, classical", "nag": "nag, nesterov", "ema": "ema"}
    return tuple(
        Line(
            label,
            mu,
            np.array([algebra.limit_lr(name, 1.0, **({} if name == "sgd" else {"mu": float(m)})) for m in mu]),
        )
        for name, label in named.items()
    )


def optima() -> tuple[Line, ...]:
    """Return the steps per tenfold at the optimum of some rules against the condition number."""
    k = np.geomspace(2, 1e6, 61)
    return tuple(
        Line(name, k, np.array([np.log(10) / -np.log(algebra.optimum(name, 1.0, float(each)).rate) for each in k]))
        for name in ("sgd", "nesterov", "heavyball")
    )


class Noisy(NamedTuple):
    """Hold the expected loss of a method, the mean loss of many noisy runs, and its standard error."""

    label: str
    expected: Array  # (steps + 1,)
    measured: Array  # (steps + 1,)
    error: Array  # (steps + 1,)
    floor: float


def noisy() -> tuple[Noisy, ...]:
    """Return expected and measured loss on the blog post's bowl under noise."""
    found = []
    for text in NOISY:
        place = predict("bowl", text, start=(1, 1), steps=STEPS, noise=SIGMA).places[0]
        runs = race("bowl", text, (1, 1), STEPS, tol=0, noise=SIGMA, seed=range(SEEDS)).runs
        losses = np.array([run.values for run in runs])
        error = losses.std(axis=0, ddof=1) / np.sqrt(SEEDS)
        expected = np.zeros(0) if place.expected is None else place.expected.loss
        found.append(Noisy(parse(text).label, expected, losses.mean(axis=0), error, place.noise_floor or 0.0))
    return tuple(found)


def limits_axes(ax: Axes, lines: tuple[Line, ...]) -> Axes:
    """Draw the limits into axes and return them."""
    for i, line in enumerate(lines):
        ax.plot(line.x, line.y, color=hue(i), linewidth=1.7, label=line.label)
    ax.set(ylim=(0, 6), xlim=(0, 1))
    ax.grid(alpha=0.25, linewidth=0.5)
    plain(ax, "momentum mu", "largest stable lr·h", "stable below each line")
    ax.legend(fontsize=FONT - 1, frameon=False, labelcolor=INK)
    return ax


def optima_axes(ax: Axes, lines: tuple[Line, ...]) -> Axes:
    """Draw the optima into axes and return them."""
    for i, line in enumerate(lines):
        ax.loglog(line.x, line.y, color=hue(i), linewidth=1.7, label=line.label)
    ax.grid(alpha=0.25, linewidth=0.5)
    plain(ax, "condition number h_max / h_min", "steps for one digit", "at each rule's optimum")
    ax.legend(fontsize=FONT - 1, frameon=False, labelcolor=INK)
    return ax


def noisy_axes(ax: Axes, shown: tuple[Noisy, ...]) -> Axes:
    """Draw expected and measured loss into axes and return them."""
    for i, line in enumerate(shown):
        steps = np.arange(len(line.measured))
        ax.fill_between(steps, line.measured - 2 * line.error, line.measured + 2 * line.error, color=hue(i), alpha=0.3,
                        linewidth=0, label=f"{line.label}: mean of {SEEDS} runs ± 2 standard errors")  # fmt: skip
        ax.semilogy(line.expected, color=hue(i), linewidth=1.1, label=f"{line.label}: expected")
        ax.axhline(line.floor, color=hue(i), linestyle="--", linewidth=1)
    ax.plot([], [], "--", color=FAINT, linewidth=1, label="noise floor")
    ax.grid(alpha=0.25, linewidth=0.5)
    plain(ax, "step", "loss above the minimum", f"x² + 50y² from (1, 1), noise {SIGMA:g} on each coordinate")
    ax.legend(fontsize=FONT - 1, frameon=False, labelcolor=INK)
    return ax


def theory(folder: str | os.PathLike[str]) -> list[Path]:
    """Draw all figures of the theory page into a folder, which is made if need be, and return their paths."""
    here = Path(folder)
    here.mkdir(exist_ok=True)
    check(here)
    bounds = figure(8.6, 3.6)
    left, right = bounds.subplots(1, 2)
    limits_axes(left, limits())
    optima_axes(right, optima())
    spread = figure(6.4, 4.2)
    noisy_axes(spread.subplots(), noisy())
    valley = race("rosenbrock", ["classical:lr=0.001,mu=0.9", "nag:lr=0.0005,mu=0.95"], steps=1500, tol=0)
    figures = {
        "bounds.png": bounds,
        "regimes.png": draw(predict("bowl", "classical:lr=0.01,mu=0.9", start=(180, 90))),
        "noise.png": spread,
        "directions.png": directions(valley),
    }
    for name, made in figures.items():
        save(made, here / name)
    return [here / name for name in figures]
