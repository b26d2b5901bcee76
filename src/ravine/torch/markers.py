"""Markers: what a param group and a parameter's state say of the method that they belong to."""

from collections.abc import Mapping
from typing import Any

from ravine.charts import EVERY
from ravine.conversion.dialects import FRAMEWORKS, Dialect, dialect, of_rule
from ravine.errors import ConvertError, nearest, shown
from ravine.torch.numbers import LIKE_TORCH

BUFFERS = ("momentum_buffer", "velocity")
SIGNATURE = {"lr", "momentum", "dampening", "nesterov"}  # the keys of a param group of torch.optim.SGD
STRANGERS = {
    "exp_avg": "Adam",
    "square_avg": "RMSprop",
    "sum": "Adagrad",
    "acc_delta": "Adadelta",
    "prev": "Rprop",
    "ax": "ASGD",
    "exp_inf": "Adamax",
    "betas": "Adam",
}


def dialect_of(group: Mapping[str, Any], source: str | None) -> Dialect:
    """Return what a param group's buffers mean: by its marker, by being torch's own, or as the caller says.

    Raises `ConvertError` where the marker says another, or there is none and the keys are not torch.optim.SGD's.
    """
    if "betas" in group:
        raise ConvertError("this is the state of Adam, whose buffers are no velocity; convert a momentum method's")
    said = None if source is None else dialect(source.partition(":")[0])
    if "rule" not in group:
        if said is None and not group.keys() >= SIGNATURE:
            raise ConvertError(
                f"nothing says which method this state is of (its settings are {', '.join(sorted(map(str, group)))}); "
                "name it, such as source='qhoptim'"
            )
        return said or FRAMEWORKS["torch"]
    marker = group["rule"]
    if marker is not None and not (isinstance(marker, str) and marker in EVERY):
        raise ConvertError(
            f"the state is marked as of rule {shown(marker)}, which is no rule here; {nearest(str(marker), EVERY)}"
        )
    found = FRAMEWORKS["torch"] if marker is None else of_rule(EVERY[marker])
    if said is not None and said.name != found.name:
        raise ConvertError(f"the state is marked as of {found.name}, not {said.name}; leave source= away")
    return found


def buffer_of(entry: Mapping[str, Any], name: str, group: Mapping[str, Any], source: str | None) -> Any:
    """Return a parameter's buffer or None; raises `ConvertError` where the entry is another optimizer's."""
    for key in entry:
        if key in STRANGERS:
            raise ConvertError(f"this is the state of {STRANGERS[key]}, not a momentum buffer ({shown(key)})")
        if key not in BUFFERS:
            raise ConvertError(f"the state of {shown(name)} holds {shown(key)}, which no momentum method keeps")
    marker = group.get("rule")
    wanted = "momentum_buffer" if marker in LIKE_TORCH else "velocity"
    for key, value in entry.items():
        if value is not None and key != wanted and not (source and "rule" not in group):
            raise ConvertError(
                f"the state of {shown(name)} holds a {key}, and {marker or 'torch.optim.SGD'} keeps a {wanted}; "
                "it was made by another rule than its marker says"
            )
        if value is not None and not (hasattr(value, "detach") and (value.is_floating_point() or value.is_complex())):
            raise ConvertError(
                f"the {key} of {shown(name)} is no tensor of real or complex numbers, got {shown(value)}; the state is not "
                "whole"
            )
    return next((value for value in entry.values() if value is not None), None)
