"""Settings changed in the middle: what tells rules apart that are the same as long as nothing changes.

A doubled lr leaves a buffer that holds lr as it is, and doubles what comes of one that does not. A changed mu is used at
once by torch's nesterov, and by nag for the point that it stores.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ravine.errors import ProbeError
from ravine.probing.identify import Decay
from ravine.probing.machines import SIZE, Event, Machine
from ravine.probing.match import LETTERS, changed, each, letter, rehearse
from ravine.probing.series import apart, drawn, events, extent, ratio, silence
from ravine.rules import SETTINGS, Method
from ravine.surfaces.interface import Array

BEFORE, AFTER = 7, 7
LR, OTHERS = 2.0, 0.95  # what settings are multiplied by


class Changes(NamedTuple):
    """Hold what changed settings did; None where nothing could be changed or nothing was seen."""

    methods: tuple[Method, ...]  # that did the same as the optimizer
    varied: tuple[str, ...]  # keys
    lr_power: float | None  # twice the lr from the beginning moves 2^power times as far
    lr_inside: bool | None  # a doubled lr leaves the velocity's own movement as it was
    lr_coasts: float | None  # by what a doubled lr multiplies that movement


def changes(machine: Machine, methods: Sequence[Method], unit: float, decay: Decay, tolerance: float) -> Changes:
    """Change one setting after another in the middle of a run, and keep the methods that do the same."""
    quiet = without_decay(machine)
    left = decay._replace(coupled=0.0, shrink=1.0) if quiet else decay
    kept, varied = list(methods), []
    for key, factor in _keys(machine):
        new = {key: float(machine.asked[key]) * factor}
        try:
            seen = _run(machine, unit, quiet, new)
        except ProbeError:
            continue  # a setting that cannot have that value
        varied.append(key)
        kept = [m for m in kept if _does_the_same(m, key, factor, seen, machine, unit, left, tolerance)]
    lr = _lr_key(machine)
    power, inside, coasts = (None, None, None) if lr is None else _lr(machine, lr, unit, quiet, tolerance)
    return Changes(tuple(kept), tuple(varied), power, inside, coasts)


def _keys(machine: Machine) -> list[tuple[str, float]]:
    """Return the settings that mean something to a rule, and their factors; a 0 stays one."""
    known = [k for k in sorted(machine.keys) if (k in LETTERS or k in SETTINGS) and machine.asked[k] != 0]
    return [(k, LR if LETTERS.get(k) == "lr" else OTHERS) for k in known]


def _lr_key(machine: Machine) -> str | None:
    return next((k for k in ("lr", "learning_rate") if k in machine.keys and machine.asked[k] != 0), None)


def without_decay(machine: Machine) -> Mapping[str, float]:
    """Return the change that switches weight decay off, empty where there is none to switch."""
    return {k: 0.0 for k in ("weight_decay",) if k in machine.keys and machine.asked[k] != 0}


def _run(machine: Machine, unit: float, quiet: Mapping[str, float], change: Mapping[str, float]) -> Array:
    """Return the parameters over a silent step, some gradients, a change, and some more."""
    g = unit * drawn(BEFORE + AFTER)
    said: list[Event] = [quiet, *silence(1), *events(g[:BEFORE]), change, *events(g[BEFORE:])]
    return machine.run(np.zeros(SIZE), said)


def _does_the_same(
    method: Method, key: str, factor: float, seen: Array, machine: Machine, unit: float, decay: Decay, tolerance: float
) -> bool:
    """Say whether a method whose setting is multiplied by the same factor stores the same points."""
    after = changed(method, {letter(key, method.rule, machine.keys): factor})
    if after is None:
        return False
    _, row = next(each([method]))
    gradients = np.concatenate([np.zeros((1, SIZE)), unit * drawn(BEFORE + AFTER)])
    rows = [row] * (BEFORE + 1) + [after] * AFTER
    # Whether decoupled decay is multiplied by lr is not known yet, so both are tried.
    lr_factor = factor if LETTERS.get(key) == "lr" else 1.0
    for late in {decay.shrink, 1 + lr_factor * (decay.shrink - 1)}:
        shrinks = [decay.shrink] * (BEFORE + 1) + [late] * AFTER
        points = rehearse(rows, gradients, decay, shrinks, np.zeros(SIZE))
        if apart(points, seen, extent(seen)) <= max(tolerance, 1e-7):
            return True
    return False


def _lr(
    machine: Machine, key: str, unit: float, quiet: Mapping[str, float], tolerance: float
) -> tuple[float | None, bool | None, float | None]:
    """Return the power of lr in a movement, whether a velocity holds lr, and what a change of lr multiplies it by."""
    asked = float(machine.asked[key])
    g = unit * drawn(1)
    try:
        once, twice = (machine.run(np.zeros(SIZE), [quiet, {key: k * asked}, *events(g)])[1] for k in (1, LR))
        rest: list[Event] = [quiet, *silence(1), *events(g), *silence(1)]
        coasting, faster = (
            np.diff(machine.run(np.zeros(SIZE), [*rest, {key: k * asked}, *silence(1)]), axis=0)[-1] for k in (1, LR)
        )
    except ProbeError:
        return None, None, None
    size = extent(np.stack([np.zeros(SIZE), once]))
    far = ratio(twice, once)
    power = float(np.log2(far)) if 0 < far < float("inf") else None
    if float(np.max(np.abs(coasting))) <= max(tolerance, 1e-9) * size:
        return power, None, None  # nothing coasts
    coasts = ratio(faster, coasting)
    return power, abs(coasts - 1) < 1e-4, coasts
