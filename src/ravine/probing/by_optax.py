"""An Optax transformation as a black box, compiled once, in double precision."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ravine.errors import ProbeError, reason, require
from ravine.probing.machines import NOTHING, Event, Machine, joined, split
from ravine.surfaces.interface import Array


def machine(transformation: Any, name: str) -> Machine:
    """Return the machine of a GradientTransformation; hyperparameters that were injected can be changed."""
    optax = require("optax", extra="optax", why="probe Optax transformations")
    jax = require("jax", extra="optax", why="probe Optax transformations")
    from ravine.surfaces.by_jax import double

    whole = optax.with_extra_args_support(transformation)

    def one(gradients: Any, state: Any, params: Any) -> tuple[Any, Any]:
        changes, state = whole.update(gradients, state, params, value=1.0)
        return optax.apply_updates(params, changes), state

    step = jax.jit(one)

    def play(x0: Array, events: Sequence[Event], scaled: bool) -> Array:
        with double(jax), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                params = [jax.numpy.asarray(part) for part in split(x0)]
                state, positions = whole.init(params), [x0]
                for event in events:
                    if isinstance(event, Mapping):
                        state = _changed(jax, state, event)
                        continue
                    assert event is not NOTHING
                    params, state = step([jax.numpy.asarray(part) for part in split(np.asarray(event))], state, params)
                    positions.append(joined(*params))
                return np.array(positions)
            except Exception as error:
                raise ProbeError(f"{name} raised {reason(error)}; it cannot be probed so") from error

    with double(jax):
        try:
            injected = getattr(whole.init([jax.numpy.ones(2)]), "hyperparams", {})
        except Exception as error:
            raise ProbeError(f"{name} raised {reason(error)} in init; mend its settings") from error
        asked = {k: float(v) for k, v in injected.items() if getattr(v, "ndim", 0) == 0}
    return Machine(name, play, asked, frozenset(asked))


def is_transformation(made: Any) -> bool:
    """Say whether this is a pair of init and update."""
    return callable(getattr(made, "init", None)) and callable(getattr(made, "update", None))


def injected(make: Any, settings: Mapping[str, Any]) -> Any:
    """Return the transformation with its numbers as hyperparameters that can be changed, or as it is."""
    optax = require("optax", extra="optax", why="probe Optax transformations")
    jax = require("jax", extra="optax", why="probe Optax transformations")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = make(**settings)
        if not is_transformation(plain):
            return plain
        try:
            made = optax.inject_hyperparams(make)(**settings)
            params = [jax.numpy.ones(2)]
            made.update(params, made.init(params), params)
        except Exception:  # one that looks at its numbers cannot be changed
            return plain
        return made


def _changed(jax: Any, state: Any, settings: Mapping[str, float]) -> Any:
    new = {k: jax.numpy.asarray(v, state.hyperparams[k].dtype) for k, v in settings.items()}
    return state._replace(hyperparams={**state.hyperparams, **new})
