"""Designed gradients, and how far apart two answers to them are.

Gradients are drawn once from a fixed generator, so that every probe asks the same; powers of two scale them, so that
scaling rounds nothing.
"""

import numpy as np

from ravine.probing.machines import SIZE, Event
from ravine.surfaces.interface import Array

STEPS = 24


def drawn(steps: int = STEPS, seed: int = 2013) -> Array:
    """Return gradients (steps, SIZE) of size one: normal numbers, never small ones at the first step."""
    made: Array = np.random.default_rng(seed).standard_normal((steps, SIZE))
    made[0] += np.sign(made[0])
    return made


def start() -> Array:
    """Return a start (SIZE,) whose coordinates have both signs and sizes from 1/2 to 2."""
    rng = np.random.default_rng(1964)
    return np.asarray(rng.uniform(0.5, 2, SIZE) * rng.choice([-1.0, 1.0], SIZE))


def silence(steps: int) -> list[Event]:
    """Return so many gradients of zero, which are steps all the same."""
    return [np.zeros(SIZE)] * steps


def events(gradients: Array) -> list[Event]:
    """Return gradients (steps, SIZE) as events."""
    return list(gradients)


def apart(one: Array, other: Array, size: float) -> float:
    """Return the largest difference as a part of `size`; infinite where one of both is not finite, or lengths differ."""
    if one.shape != other.shape:
        return float("inf")
    with np.errstate(all="ignore"):
        largest = float(np.max(np.abs(one - other), initial=0.0))
    return largest / size if np.isfinite(largest) and size > 0 else (0.0 if largest == 0 else float("inf"))


def extent(path: Array) -> float:
    """Return how far the parameters got from where they began, in any coordinate."""
    with np.errstate(all="ignore"):
        return float(np.max(np.abs(path - path[0]), initial=0.0))


def ratio(path: Array, other: Array) -> float:
    """Return how many times as far the first of two movements goes, by least squares."""
    with np.errstate(all="ignore"):
        below = float((other * other).sum())
        return float((path * other).sum()) / below if below else float("inf")


def power(x: float) -> float:
    """Return the power of two nearest to x, within 2^±30."""
    return float(2.0 ** np.clip(np.round(np.log2(x)), -30, 30)) if 0 < x < float("inf") else 1.0
