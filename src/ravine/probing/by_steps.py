"""A function of yours, or an object that applies gradients as Keras optimizers do, as a black box.

start(x0) -> step        step(g) -> x        x0, g and x are arrays (n,)
optimizer.apply([g], [x])                    changes x in place, or returns the new ones
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ravine.errors import ProbeError, RavineError, reason
from ravine.probing.machines import SIZE, Event, Machine
from ravine.surfaces.interface import Array

NAMES = ("lr", "learning_rate", "momentum")  # attributes that can be changed, where an object has them


def of_function(start: Callable[[Array], Callable[[Array], Any]], name: str, asked: Mapping[str, Any]) -> Machine:
    """Return the machine of a function from a start to a function from a gradient to the next point."""

    def play(x0: Array, events: Sequence[Event], scaled: bool) -> Array:
        step = _called(name, "start(x0)", start, x0.copy())
        positions = [x0]
        for event in events:
            if not isinstance(event, Mapping):  # it has no settings that can be changed
                positions.append(_point(name, _called(name, "step(g)", step, np.array(event, float))))
        return np.array(positions)

    return Machine(name, play, dict(asked))


def of_object(make: Callable[[], Any], name: str, asked: Mapping[str, Any]) -> Machine:
    """Return the machine of a function that makes an object with `apply(gradients, variables)`."""
    first = _called(name, "making it", make)
    values = {k: getattr(first, k) for k in NAMES if isinstance(getattr(first, k, None), int | float)}

    def play(x0: Array, events: Sequence[Event], scaled: bool) -> Array:
        optimizer, x, positions = make(), x0.copy(), [x0]
        for event in events:
            if isinstance(event, Mapping):
                for key, value in event.items():
                    setattr(optimizer, key, value)
                continue
            told = _called(name, "apply([g], [x])", optimizer.apply, [np.array(event, float)], [x])
            x = x if told is None else _point(name, told[0])
            positions.append(x.copy())
        return np.array(positions)

    return Machine(name, play, {**values, **asked}, frozenset(values))


def _called(name: str, what: str, function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except RavineError:
        raise
    except Exception as error:
        raise ProbeError(f"{name} raised {reason(error)} in {what}; {__doc__.splitlines()[2].strip()}") from error


def _point(name: str, told: Any) -> Array:
    try:
        point = np.array(told, float)
    except (TypeError, ValueError):
        point = np.zeros(0)
    if point.shape != (SIZE,):
        raise ProbeError(f"{name}: step(g) returned shape {point.shape}; return the next point, shape ({SIZE},)")
    return point
