"""One row in several forms: whether two rows are the same, a rescaled buffer, and a row without look-ahead."""

import numpy as np

from ravine.algebra.direction import response
from ravine.algebra.kinds import equal, vanishes
from ravine.errors import AlgebraError
from ravine.rules import Row
from ravine.schedules import Number


def same(one: Row, other: Row) -> bool:
    """Say whether two rows ask for the same gradients, step for step, on every function, from v = 0.

    Cross-multiplied, so that qhm with nu = 0 equals sgd in spite of the pole that cancels. Exact on fractions and
    symbols; floats may differ by rounding (1e-12 of their size).

    >>> from ravine.rules import RULES
    >>> same(RULES["classical"].row(lr=0.1, mu=0.9), RULES["heavyball"].row(lr=0.1, mu=0.9))
    True
    """
    (a, b, c), (A, B, C) = response(one), response(other)
    return all(equal(p, q) for p, q in ((b, B), (c + b * A, C + B * a), (c * A, C * a)))


def rescale(row: Row, s: Number, s_next: Number | None = None) -> Row:
    """Return the row whose buffer is s times this one's; no x changes. Under a schedule s belongs to v, s_next to v'.

    From classical to heavyball s = -1/lr, and with a changing lr the momentum becomes mu·lr_before/lr: the momentum
    correction of Goyal et al. 2017, section 3, read backwards.
    """
    s_next = s if s_next is None else s_next
    keep, take, move, kick, look = row
    return Row(keep * s_next / s, take * s_next, move / s_next, kick, look / s)


def plain(row: Row, look_next: Number | None = None) -> Row:
    """Return the row that stores y = x + look·v instead of x, and so asks for the gradient where it stands.

    It needs the look of the next step, equal to this one's unless a schedule changes it. From nag it makes
    keras_nesterov at constant mu, and says what to run instead under a schedule.

    Raises `AlgebraError` where the buffer keeps nothing but is looked along, because v cannot be had back from v'.
    """
    keep, take, move, kick, look = row
    look_next = look if look_next is None else look_next
    if getattr(look, "shape", ()):
        safe = np.where(look == 0, 1, keep)  # where there is nothing to look along, nothing is divided
        if np.any((safe == 0) & (look != 0)):
            raise AlgebraError("a row that looks ahead with keep = 0 has no plain form; use a mu above 0")
        return Row(keep, take, move + look_next - look / safe, kick + take * look / safe, 0)
    if vanishes(look):
        return Row(keep, take, move + look_next, kick, 0)
    if vanishes(keep):
        raise AlgebraError("a row that looks ahead with keep = 0 has no plain form; use a mu above 0")
    return Row(keep, take, move + look_next - look / keep, kick + take * look / keep, 0)
