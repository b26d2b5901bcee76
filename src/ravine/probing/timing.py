"""Does it answer the same at every step: an answer that was asked for later, shifted back.

    the answer to d silent steps and then g, from step d on = the answer to g

At d = 0 alone it may differ, as with torch.optim.SGD, whose first gradient enters the buffer whole. Where it differs
from one later step to the next, its numbers change with the step.
"""

from typing import NamedTuple

import numpy as np

from ravine.probing.machines import SIZE, Machine
from ravine.probing.series import apart, drawn, events, extent, ratio, silence
from ravine.surfaces.interface import Array

DELAYS = (1, 2, 3, 5, 8, 13, 40)
LATE = 600  # steps after which a correction of the beginning is over, and not a whole number of any small period
HEARD = 8  # steps that an answer is listened to


class Timing(NamedTuple):
    """Hold when it answers otherwise."""

    first_differs: bool
    first_ratio: float  # the first gradient's later movement, as a multiple of that of any other; 1 if it is like them
    changes: bool
    settles: bool  # it changes, and answers the same after a long time
    how: str


def timing(machine: Machine, unit: float, tolerance: float) -> Timing:
    """Ask the same thing at many steps."""
    gradients = unit * drawn(HEARD, seed=1847)
    answers = {d: _answer(machine, gradients, d) for d in (0, *DELAYS)}
    size = max(extent(answers[d]) for d in (1, 2))
    later = [apart(answers[d], answers[1], size) for d in DELAYS[1:]]
    if max(later) > tolerance:
        d = DELAYS[1 + int(np.argmax(later))]
        far = ratio(answers[d], answers[1])
        how = f"a gradient at step {d} moved {far:.6g} times as far as the same at step 1"
        if abs(far - 1) < 1e-6:
            how = f"a gradient at step {d} moved {100 * max(later):.2g} % otherwise than the same at step 1"
        late = [_answer(machine, gradients, LATE + k) for k in (0, 1, 3)]
        settles = max(apart(late[k], late[0], size) for k in (1, 2)) <= tolerance
        return Timing(False, 1.0, True, settles, how)
    if apart(answers[0], answers[1], size) <= tolerance:
        return Timing(False, 1.0, False, True, "")
    return Timing(True, _first_weight(machine, unit), False, True, "")


def _answer(machine: Machine, gradients: Array, delay: int) -> Array:
    """Return the parameters while gradients come after so many silent steps; from 0, where no decay moves them before."""
    return machine.run(np.zeros(SIZE), [*silence(delay), *events(gradients)])[delay:]


def _first_weight(machine: Machine, unit: float) -> float:
    """Return how much more of the first gradient is remembered than of any other, from the moves after it."""
    gradient = unit * drawn(1)
    moves = []
    for delay in (0, 1):
        heard = machine.run(np.zeros(SIZE), [*silence(delay), *events(gradient), *silence(3)])
        moves.append(np.diff(heard, axis=0)[delay + 1 :])  # after the step of the gradient itself
    return ratio(moves[0], moves[1])
