"""What a prediction has to show: places, their directions, and how they are told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ravine.algebra.noise import Expected, samples
from ravine.display import finite, plain
from ravine.rules import Method
from ravine.surfaces.interface import Surface

SAME = 1e-12  # a rate this near to 1 is 1: the rest is rounding


def setting(key: str, value: float, digits: int = 4) -> str:
    """Write a setting, with enough digits of 1 - mu where mu is near 1.

    >>> setting("lr", 0.123456), setting("mu", 0.9), setting("mu", 0.99999911)
    ('lr=0.1235', 'mu=0.9', 'mu=0.99999911')
    """
    if key == "mu" and 0 < 1 - value < 1e-2:
        digits = max(digits, 2 + _zeros(1 - value))
    return f"{key}={value:.{digits}g}"


def _zeros(part: float) -> int:
    """Return how many zeros follow the point of a number between 0 and 1."""
    zeros = 0
    while part < 0.1:
        part, zeros = part * 10, zeros + 1
    return zeros


@dataclass(frozen=True)
class Spot:
    """Hold a point of a surface as a method meets it: nothing else of the surface enters a prediction."""

    point: tuple[float, ...]
    value: float
    kind: str  # minimum, saddle, maximum, flat, kink, or slope where the point is not stationary
    h: tuple[float, ...]  # curvatures, rising; 0 where a direction is flat
    vectors: tuple[tuple[float, ...], ...]  # the direction of each, of unit length
    kinks: tuple[bool, ...]  # along which the gradient jumps
    quadratic: bool  # the surface is one, so that what is flat here is flat for ever


@dataclass(frozen=True)
class Direction:
    """Hold what happens along one eigen-direction of the Hessian."""

    h: float  # curvature, gradient per length
    vector: tuple[float, ...]  # of unit length
    regime: str  # monotone, critical, ripples, oscillating, diverging, stands still, flat or kink
    poles: tuple[complex, complex]
    rate: float  # the factor by which the error changes per step in the long run
    period: float | None  # steps of a swing, None where nothing swings
    steps_per_ten: float | None  # steps in which the error falls (or grows) tenfold, None if it stays
    noise_floor: float | None  # expected loss that noise leaves, infinite where unstable, None where there is none

    def summary(self) -> dict[str, Any]:
        """Return what `--json` prints of a direction."""
        return {
            "h": self.h,
            "regime": self.regime,
            "rate": finite(self.rate),
            "period": finite(self.period),
            "poles": [[finite(z.real), finite(z.imag)] for z in self.poles],
            "steps_per_ten": finite(self.steps_per_ten),
            "vector": list(self.vector) if len(self.vector) <= 20 else None,
            **({"noise_floor": finite(self.noise_floor)} if self.noise_floor is not None else {}),
        }


@dataclass(frozen=True)
class Limit:
    """Hold where stability ends: at which lr (with this mu), which curvature, and between which mu (with this lr)."""

    lr: float | None  # None without an lr, infinite where any is stable
    h: float
    mu: tuple[float, float] | None  # None where every mu is stable or none is


@dataclass(frozen=True)
class Best:
    """Hold the rule's best settings for the curvatures of a place, and what they would gain."""

    settings: Mapping[str, float]
    rate: float
    steps_per_ten: float | None
    gain: float | None  # how many times fewer steps than now, None where now does not converge


@dataclass(frozen=True)
class Place:
    """Hold the prediction at one point of a surface."""

    point: tuple[float, ...]
    value: float
    kind: str  # minimum, saddle, maximum, flat, kink, or slope where the point is not stationary
    directions: tuple[Direction, ...]  # rising in h
    rate: float  # the largest of all directions
    stable: bool
    limit: Limit
    effective_lr: float
    acceleration: float | None  # effective lr per lr: 1/(1 - mu) for classical
    speedup: tuple[float | None, float | None]  # ratio of log rates to sgd at this lr, and to sgd at its best lr
    optimum: Best | None  # None without a positive curvature
    verdict: str
    noise_floor: float | None  # of all directions; None without noise, under schedules and on a slope
    expected: Expected | None = field(default=None, compare=False)  # None on a slope
    left: float | None = None  # the expected loss at the last step, None on a slope
    start: tuple[float, ...] = ()  # of the expected curve
    notes: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return what `--json` prints of a place."""
        noisy = self.noise_floor is not None
        optimum = self.optimum
        return {
            "at": list(self.point),
            "kind": self.kind,
            "value": finite(self.value),
            "stable": self.stable,
            "rate": finite(self.rate),
            "limit": {"lr": finite(self.limit.lr), "h": finite(self.limit.h), "mu": plain(self.limit.mu)},
            "effective_lr": finite(self.effective_lr),
            "acceleration": finite(self.acceleration),
            "speedup": {"same_lr": finite(self.speedup[0]), "best_sgd": finite(self.speedup[1])},
            "regimes": [direction.summary() for direction in self.directions],
            "optimum": optimum
            and {
                "lr": None,
                "mu": None,
                **optimum.settings,
                "rate": optimum.rate,
                "steps_per_ten": finite(optimum.steps_per_ten),
                "gain": finite(optimum.gain),
            },
            "verdict": self.verdict,
            **({"noise_floor": finite(self.noise_floor)} if noisy else {}),
            "expected": None if self.expected is None else _told(self.expected, self.start),
            **({"notes": list(self.notes)} if self.notes else {}),
        }


def _told(expected: Expected, start: tuple[float, ...]) -> dict[str, Any]:
    """Return some steps of an expected curve."""
    steps = samples(len(expected.mean) - 1)
    return {"start": list(start), "steps": list(steps), "loss": [finite(expected.loss[t]) for t in steps]}


@dataclass(frozen=True)
class Prediction:
    """Hold what is predicted of a method on a surface, a place for each of its minima or of the points asked for."""

    surface: Surface
    method: Method
    steps: int
    noise: float
    places: tuple[Place, ...]
    notes: tuple[str, ...] = ()  # what a user should be told

    @property
    def verdict(self) -> str:
        """Return the verdict on the first place, in one sentence."""
        return self.places[0].verdict

    def summary(self) -> dict[str, Any]:
        """Return what `ravine predict --json` prints: the first place, and all of them if there are several."""
        return {
            "surface": self.surface.text,
            "rule": self.method.name,
            "settings": {key: plain(value) for key, value in self.method.settings.items()},
            **self.places[0].summary(),
            "steps": self.steps,
            **({"noise": self.noise} if self.noise else {}),
            **({"places": [place.summary() for place in self.places]} if len(self.places) > 1 else {}),
            **({"notes": [*self.notes, *self.places[0].notes]} if self.notes or self.places[0].notes else {}),
        }
