"""The axes of a map: a setting, from where to where, and how its values are spread."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ravine.errors import MapError, nearest, shown
from ravine.surfaces.interface import Array

MOST = 5000  # cells along an axis: their square is 25 million cells, 350 MB


class Scale(NamedTuple):
    """Hold how values are spread: evenly after `there`, which `back` undoes."""

    there: Callable[[Any], Any]
    back: Callable[[Any], Any]
    fits: Callable[[float, float], bool]
    sentence: str


SCALES: Mapping[str, Scale] = {
    "linear": Scale(lambda x: x, lambda u: u, lambda low, high: True, ""),
    "log": Scale(np.log, np.exp, lambda low, high: low > 0, "above 0"),
    "near1": Scale(lambda x: -np.log1p(-x), lambda u: -np.expm1(-u), lambda low, high: high < 1, "below 1"),
}


class Axis(NamedTuple):
    """Hold one axis of a map."""

    name: str  # of the setting
    low: float
    high: float
    size: int  # cells, one in the middle of which each end lies
    scale: str = "linear"  # linear, log, or near1: evenly in log(1 - value)

    @property
    def values(self) -> Array:
        """Return the setting's value in each cell, (size,), rising."""
        there, back, *_ = SCALES[self.scale]
        made: Array = back(np.linspace(there(self.low), there(self.high), self.size))
        made[0], made[-1] = self.low, self.high  # which rounding may have moved
        return made

    def place(self, value: float) -> float:
        """Return in which cell a value lies, as a number whose whole values are the cells' middles."""
        there = SCALES[self.scale].there
        with np.errstate(all="ignore"):
            share = (there(value) - there(self.low)) / (there(self.high) - there(self.low))
        return float(share * (self.size - 1))

    def summary(self) -> dict[str, Any]:
        """Return what `--json` prints of an axis."""
        return {"low": self.low, "high": self.high, "size": self.size, "scale": self.scale}


def axis(name: str, given: str | tuple[float, ...] | Axis, size: int) -> Axis:
    """Make an axis from `lo:hi`, `lo:hi:scale`, or numbers.

    Args:
        name: of the setting.
        given: `1e-4:0.05`, `1e-4:1:log`, `0:0.999:near1`, (low, high), or an `Axis`.
        size: how many cells, from 2 on.

    Raises:
        MapError: what is no range, an empty one, or one that its scale cannot show.

    Example:
        >>> axis("lr", "1e-3:0.1:log", 3).values.round(6).tolist()
        [0.001, 0.01, 0.1]
        >>> axis("mu", (0, 0.75), 2)
        Axis(name='mu', low=0.0, high=0.75, size=2, scale='linear')
    """
    check_size(size)
    if isinstance(given, Axis):
        return given
    low, high, scale = _read(name, given)
    if scale not in SCALES:
        raise MapError(f"no scale is called {shown(scale)}; {nearest(scale, SCALES)}")
    if not (math.isfinite(low) and math.isfinite(high)):
        raise MapError(f"the ends of {name} must be finite, got {shown(given)}")
    if not low < high:
        empty = "is empty" if low == high else "runs backwards"
        raise MapError(f"the range {low:g}:{high:g} of {name} {empty}; write --{name} lo:hi with lo below hi")
    if not SCALES[scale].fits(low, high):
        raise MapError(f"{name} on the scale {scale} must stay {SCALES[scale].sentence}, got {low:g}:{high:g}")
    return Axis(name, low, high, size, scale)


def check_size(size: int) -> None:
    """Refuse a size that is none, or too large for any memory, saying what it would take."""
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or size < 2:
        raise MapError(f"the size of a map is a whole number of cells a side from 2 to {MOST}, got {shown(size)}")
    if size > MOST:
        cells = int(size) ** 2
        raise MapError(
            f"a map of size {size} has {cells:.3g} cells and would take {_bytes(14 * cells)}; use --size {MOST} or less"
        )


def _bytes(count: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB", "PB"):
        if count < 1000 or unit == "PB":
            return f"{count:.0f} {unit}" if count < 1e6 else f"{count:.3g} {unit}"
        count //= 1000
    raise AssertionError


def _read(name: str, given: Any) -> tuple[float, float, str]:
    parts = given.split(":") if isinstance(given, str) else list(given) if isinstance(given, tuple | list) else []
    try:
        if len(parts) not in (2, 3):
            raise ValueError
        return float(parts[0]), float(parts[1]), str(parts[2]).strip().lower() if len(parts) == 3 else "linear"
    except (TypeError, ValueError):
        raise MapError(
            f"the range of {name} is lo:hi or lo:hi:scale, such as 1e-4:0.05 or 1e-4:1:log, got {shown(given)}"
        ) from None
