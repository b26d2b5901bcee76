"""What can be probed, and how each kind of it becomes a machine: text, a factory, a transformation, a function of yours."""

import copy
import inspect
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ravine import guests
from ravine.errors import ProbeError, RavineError, nearest, reason, require, shown
from ravine.importing import found, imported
from ravine.probing import by_optax, by_steps, by_torch
from ravine.probing.machines import SIZE, Machine

KNOWN = (
    "a factory from parameters to a torch optimizer, an Optax transformation, "
    "start(x0) -> step(g) -> x, or an object with apply(gradients, variables)"
)


def machine_of(what: Any, asked: Mapping[str, Any]) -> Machine:
    """Return the machine of anything that can be probed; raises `ProbeError` where it is nothing of the kind."""
    if isinstance(what, str):
        return _of_text(what, asked)
    name = getattr(what, "__qualname__", type(what).__name__).replace("<locals>.", "")
    if by_torch.is_optimizer(what):
        raise ProbeError(f"{name} is an optimizer already; give a function that makes one, such as torch.optim.SGD")
    if by_optax.is_transformation(what):
        return by_optax.machine(what, name)
    if not callable(what):
        if callable(getattr(what, "apply", None)):
            return by_steps.of_object(lambda: copy.deepcopy(what), name, asked)
        raise ProbeError(f"cannot probe {shown(what)}; give {KNOWN}")
    return _of_callable(what, name, asked)


def _of_callable(what: Any, name: str, asked: Mapping[str, Any]) -> Machine:
    """Find out what a function makes by calling it."""
    if not _takes_something(what):
        made = _called(what, name)
        if by_optax.is_transformation(made):
            return by_optax.machine(made, name)
        if callable(getattr(made, "apply", None)):
            return by_steps.of_object(what, name, asked)
        raise ProbeError(f"{name}() returned {type(made).__name__}; give {KNOWN}")
    said: RavineError | None = None
    if "torch" in sys.modules or "param" in next(iter(inspect.signature(what).parameters)):
        try:
            return by_torch.machine(what, name)
        except RavineError as error:
            said = error
    try:
        if callable(what(np.zeros(SIZE))):
            return by_steps.of_function(what, name, asked)
    except Exception as error:
        said = said or ProbeError(f"{name} raised {reason(error)}; give {KNOWN}")
    raise said or ProbeError(f"{name}(x0) returned no function; give {KNOWN}")


def _takes_something(what: Any) -> bool:
    try:
        parameters = inspect.signature(what).parameters.values()
    except (TypeError, ValueError):
        return True
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(p.default is p.empty and p.kind in kinds for p in parameters)


def _called(what: Any, name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return what()
    except RavineError:
        raise
    except Exception as error:
        raise ProbeError(f"{name}() raised {reason(error)}; give {KNOWN}") from error


# Text ------------------------------------------------------------------------------------------------------------


def _of_text(text: str, asked: Mapping[str, Any]) -> Machine:
    if not guests.is_guest(text):
        return _of_file(text, asked)
    guest = guests.parse(text)
    return _of_torch(guest) if guest.library == "torch" else _of_optax(guest)


def _of_torch(guest: guests.Guest) -> Machine:
    torch = require("torch", extra="torch", why="probe torch's optimizers")
    kinds = guests.torch_kinds(torch)
    if guest.rule not in kinds:
        raise ProbeError(f"torch.optim has no optimizer {shown(guest.rule)}; {nearest(guest.rule, kinds)}")
    return by_torch.machine(lambda params: kinds[guest.rule](params, **guest.settings), str(guest))


def _of_optax(guest: guests.Guest) -> Machine:
    optax = require("optax", extra="optax", why="probe Optax transformations")
    make, hint = guests.optax_maker(optax, guest.rule)
    if make is None:
        raise ProbeError(f"optax has no transformation {shown(guest.rule)}; {hint}")
    try:
        made = by_optax.injected(make, guest.settings)
    except RavineError:
        raise
    except Exception as error:
        raise ProbeError(f"{guest}: {reason(error)}; mend its settings") from error
    if not by_optax.is_transformation(made):
        raise ProbeError(f"optax.{guest.rule} makes no transformation; name one such as optax:sgd(learning_rate=0.1)")
    return by_optax.machine(made, str(guest))


def _of_file(text: str, asked: Mapping[str, Any]) -> Machine:
    path, _, wanted = text.rpartition(":")
    file = found(path)
    if file is None and (path.endswith(".py") or "/" in path):
        raise ProbeError(f"there is no file {shown(path)}; write path/to/file.py:function")
    if file is None:
        raise ProbeError(
            f"cannot probe {shown(text)}; write torch:SGD(lr=0.1,momentum=0.9), optax:sgd(learning_rate=0.1) or "
            "path/to/file.py:function"
        )
    module = imported(file, ProbeError)
    known = [k for k, v in vars(module).items() if not k.startswith("_") and (callable(v) or hasattr(v, "update"))]
    if wanted not in known:
        raise ProbeError(f"{path} has no function {shown(wanted)}; {nearest(wanted, known)}")
    made = machine_of(getattr(module, wanted), asked)
    return Machine(f"{file.name}:{wanted}", made.play, made.asked, made.keys, made.skips, made.scales)
