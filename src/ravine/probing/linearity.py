"""Is it linear: does it answer a sum with the sum of the answers, and twice the gradient with twice the movement?

    x(k·g) - x(0) = k·(x(g) - x(0))        x(g + h) - x(0) = (x(g) - x(0)) + (x(h) - x(0))        and the same in the start

What holds for a momentum method at any settings, and fails for Adam, sign methods, clipping and norms.
"""

from typing import NamedTuple

import numpy as np

from ravine.errors import ProbeError
from ravine.probing.machines import SIZE, Event, Machine
from ravine.probing.series import STEPS, apart, drawn, events, extent, power, ratio, start
from ravine.surfaces.interface import Array

LINEAR = 1e-4  # of the movement: an optimizer that computes in single precision stays far below
PLAIN = 0.01  # of the movement: a failure that is told as it stands, the plainest test first
FINEST = 1e-9  # what is asked of double precision, of the movement
ROUNDING = 1e-4  # of what the parameters do by themselves: a movement smaller than that is not known to many digits
LARGEST = 2.0**500  # of a movement whose square is still a number
FACTORS = {  # of the gradient: what to call it, and how far it is to move
    2.0: ("twice the gradient", "twice as far", "2"),
    -1.0: ("the opposite gradient", "as far the other way", "-1"),
    2.0**-10: ("a 1024th of the gradient", "a 1024th as far", "1/1024"),
    2.0**10: ("1024 times the gradient", "1024 times as far", "1024"),
}


class Linearity(NamedTuple):
    """Hold what was seen before anything else is asked."""

    linear: bool
    how: str  # the sentence: which test failed, by how much; empty where none did
    unit: float  # by which gradients are multiplied so that the parameters move by about one
    tolerance: float  # of the movement, by which two answers of this optimizer may differ
    misfit: float  # of the movement, the largest of all tests
    coupled: bool  # coordinates influence each other
    alike: Array  # (SIZE,) whether a coordinate moves as the first does
    moves: bool
    repeats: bool
    drift: float = 0.0  # it moves so far by itself, from 0 and without gradients


def linearity(machine: Machine) -> Linearity:
    """Test superposition, homogeneity and translation; raises `ProbeError` where the optimizer raises."""
    x0, zero = start(), events(np.zeros((STEPS, SIZE)))
    unit, repeats = _unit(machine, x0, zero)
    if unit is None:
        return Linearity(True, "", 1.0, FINEST, 0.0, False, np.ones(SIZE, bool), False, repeats)
    one, other = unit * drawn(), unit * drawn(seed=1983)
    free = machine.run(x0, zero)
    moved = machine.run(x0, events(one)) - free
    size, rounding = extent(moved), ROUNDING * extent(free)
    told: list[tuple[float, str]] = []
    for k in FACTORS:
        scaled = machine.run(x0, events(k * one)) - free
        off = apart(scaled, k * moved, max(abs(k) * size, rounding))
        told.append((off, _scaled(k, ratio(scaled, moved), off)))
    both, second = (machine.run(x0, events(g)) - free for g in (one + other, other))
    off = apart(both, moved + second, max(size, rounding))
    told.append((off, f"the sum of two gradients moved {_percent(off)} otherwise than the sum of their movements"))
    drift = machine.run(np.zeros(SIZE), zero)
    elsewhere = machine.run(np.zeros(SIZE), events(one)) - drift
    off = apart(elsewhere, moved, max(size, rounding))
    told.append((off, f"the same gradients from another start moved {_percent(off)} otherwise"))
    pulled = free - drift
    far = extent(pulled)
    off = apart(machine.run(2 * x0, zero) - drift, 2 * pulled, 2 * far) if far > 1e-12 else 0.0
    told.append((off if off > LINEAR else 0.0, f"without gradients, twice the start moved {_percent(off)} otherwise"))
    misfit = max(off for off, _ in told)
    linear = misfit < LINEAR
    how = "" if linear else next(words for off, words in told if off >= min(misfit, PLAIN))
    tolerance = max(FINEST, 20 * misfit) if linear else LINEAR
    coupled, alike = _coordinates(machine, unit, zero, max(tolerance, LINEAR if not linear else 0))
    return Linearity(linear, how, unit, tolerance, misfit, coupled, alike, True, repeats, extent(drift))


def _unit(machine: Machine, x0: Array, zero: list[Event]) -> tuple[float | None, bool]:
    """Return the gradients' size, None where nothing moves, and whether two equal runs are equal."""
    free = machine.run(x0, zero)
    seen, once_more = machine.run(x0, events(drawn())), machine.run(x0, events(drawn()))
    if not (np.isfinite(seen).all() and np.isfinite(free).all()):
        raise ProbeError(f"{machine.name} leaves the finite numbers within {STEPS} steps; probe it with a smaller lr")
    moved, again = seen - free, once_more - free
    far = extent(moved)
    if far > LARGEST:
        raise ProbeError(
            f"{machine.name} moves parameters by {far:.1g} within {STEPS} steps, and the squares of that overflow; "
            "probe it with a smaller lr or momentum"
        )
    if far == 0:
        return None, True
    return power(1 / far), apart(moved, again, far) < FINEST


def _coordinates(machine: Machine, unit: float, zero: list[Event], tolerance: float) -> tuple[bool, Array]:
    """Return whether coordinates influence each other, and which move as the first one does."""
    gradients, kept = unit * drawn(), np.zeros(SIZE)
    kept[[0, SIZE - 1]] = 1
    x0 = start()
    all_moved, few_moved = machine.run(x0, events(gradients)), machine.run(x0, events(gradients * kept))
    size = extent(all_moved)
    chosen = kept > 0
    coupled = apart(all_moved[:, chosen], few_moved[:, chosen], size) > max(tolerance, 1e-6)
    even = np.full(SIZE, x0[0])
    same = machine.run(even, events(np.repeat(gradients[:, :1], SIZE, axis=1))) - machine.run(even, zero)
    far = extent(same[:, :1])
    alike = [apart(same[:, i], same[:, 0], far) <= max(tolerance, 1e-6) for i in range(SIZE)]
    return coupled, np.array(alike)


def _scaled(k: float, measured: float, off: float) -> str:
    """Say how far k times the gradient moved, `measured` times as far as the gradient itself."""
    what, wanted, number = FACTORS[k]
    seen = f"{measured:.3g}"
    if seen == f"{k:.3g}":  # only a few coordinates differ, or all by little
        return f"{what} moved {_percent(off)} otherwise than {wanted}"
    if seen == "1":
        return f"{what} moved just as far, not {wanted}"
    return f"{what} moved {seen} times as far, not {number}"


def _percent(off: float) -> str:
    return f"{100 * off:.2g} %" if off < 10 else "far"
