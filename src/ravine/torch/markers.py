"""Markers: what a param group and a parameter's state say of the method that they belong to."""

from collections.abc import Iterable, Mapping
from typing import Any

from ravine.charts import EVERY
from ravine.conversion.dialects import FRAMEWORKS, Dialect, dialect, of_rule
from ravine.errors import ConvertError, nearest, shown
from ravine.torch.numbers import LIKE_TORCH, buffer_name

BUFFERS = ("momentum_buffer", "velocity")
SIGNATURE = {"lr", "momentum", "dampening", "nesterov"}  # the keys of a param group of torch.optim.SGD
STRANGERS = {  # those that others keep as well come last
    "acc_delta": "Adadelta",
    "exp_inf": "Adamax",
    "prev": "Rprop",
    "ax": "ASGD",
    "sum": "Adagrad",
    "square_avg": "RMSprop",
    "exp_avg": "Adam",
    "betas": "Adam",
}


def dialect_of(group: Mapping[str, Any], source: str | None) -> Dialect:
    """Return what a param group's buffers mean: by its marker, by being torch's own, or as the caller says.

    Raises `ConvertError` where the marker says another, or there is none and the keys are not torch.optim.SGD's.
    """
    refuse_strangers(group, ())
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


def refuse_strangers(group: Mapping[str, Any], entries: Iterable[Mapping[str, Any]]) -> None:
    """Refuse what Adam and its like saved: a param group, and the entries of its parameters; raises `ConvertError`."""
    if "betas" in group:
        raise ConvertError("this is the state of Adam, whose buffers are no velocity; convert a momentum method's")
    for entry in entries:
        if found := next((key for key in STRANGERS if key in entry), None):
            raise ConvertError(f"this is the state of {STRANGERS[found]}, not a momentum buffer ({shown(found)})")


def doubt(group: Mapping[str, Any], found: Dialect) -> str | None:
    """Return the note on a state without a marker that looks like torch.optim.SGD's, and is said to mean another buffer."""
    if "rule" in group or found.rule.name in LIKE_TORCH or not group.keys() >= SIGNATURE:
        return None
    return (
        f"the state looks like that of torch.optim.SGD ({', '.join(sorted(SIGNATURE))}), and is read as that of "
        f"{found.name} because that was said: if torch.optim.SGD made its buffers, leave source= (--from) away"
    )


def buffer_of(entry: Mapping[str, Any], name: str, group: Mapping[str, Any], source: str | None) -> Any:
    """Return a parameter's buffer or None; raises `ConvertError` where the entry is another optimizer's."""
    refuse_strangers({}, (entry,))
    for key in entry:
        if key not in BUFFERS:
            raise ConvertError(f"the state of {shown(name)} holds {shown(key)}, which no momentum method keeps")
    marker = group.get("rule")
    wanted = buffer_name(group)
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
