"""An optimizer as a black box: gradients go in, one a step, and only the parameters are read.

    play(x0, events) -> positions        an event is a gradient, a step without one, an overflow, or changed settings

Each library has its own way to be played; every experiment begins with a fresh optimizer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ravine.surfaces.interface import Array

# What is optimized, in one long row of coordinates: two matrices of one shape, which some optimizers mix up, and a vector.
MATRIX, VECTOR = (4, 3), (3,)
ENTRIES = MATRIX[0] * MATRIX[1]
SIZE = 2 * ENTRIES + VECTOR[0]


class Skip:
    """Stand for a step that must do nothing: without gradients, or one that a gradient scaler finds overflown."""


NOTHING, OVERFLOW = Skip(), Skip()
Event = Array | Skip | Mapping[str, float]  # a gradient (SIZE,), a step to be skipped, or settings from here on
Play = Callable[[Array, Sequence[Event], bool], Array]


@dataclass(frozen=True)
class Machine:
    """Hold a black box.

    `play(x0, events, scaled)` begins anew at x0 (SIZE,) and returns the parameters before the first step and after each,
    (steps + 1, SIZE); changed settings are no step. `scaled` hands the gradients over through a gradient scaler.
    """

    name: str
    play: Play
    asked: Mapping[str, Any] = field(default_factory=dict)  # the settings it was made with, by its library's names
    keys: frozenset[str] = frozenset()  # those that can be changed between steps
    skips: bool = False  # knows steps without gradients
    scales: bool = False  # can be stepped by a gradient scaler

    def run(self, x0: Array, events: Sequence[Event], scaled: bool = False) -> Array:
        """Play, with the arithmetic of an optimizer that diverges kept quiet."""
        with np.errstate(all="ignore"):
            return self.play(x0, events, scaled)


def split(coordinates: Array) -> tuple[Array, Array, Array]:
    """Return the two matrices and the vector of one long row of coordinates."""
    one, twin, vector = np.split(coordinates, [ENTRIES, 2 * ENTRIES])
    return one.reshape(MATRIX), twin.reshape(MATRIX), vector


def joined(*parts: Any) -> Array:
    """Return one long row of coordinates; without the vector, as if it had stayed at 0."""
    made = np.zeros(SIZE)
    flat = np.concatenate([np.asarray(part, float).ravel() for part in parts])
    made[: flat.size] = flat
    return made
