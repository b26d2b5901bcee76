"""What a file says of its arrays: dialects, methods and names as JSON, the marker without which arrays mean nothing."""

import json
from collections.abc import Mapping
from typing import Any

from ravine.charts import EVERY
from ravine.conversion.dialects import dialect, read_dialect
from ravine.conversion.snapshot import Group, Snapshot, checked, held_against, snapshot
from ravine.errors import ConvertError, RavineError, shown
from ravine.schedules import at

KEY, VERSION = "ravine", 1
PARTS = ("parameters", "buffers", "others")
LAYOUT = "arrays are named parameters.NAME and buffers.NAME"


def written(run: Snapshot) -> str:
    """Write what a snapshot's arrays mean as JSON."""
    groups = [
        {
            "dialect": group.dialect.name,
            "rule": group.method.name,
            "settings": {key: float(at(value, 0)) for key, value in group.method.settings.items()},
            "names": list(group.names),
            "weight_decay": group.weight_decay,
            "decoupled": group.decoupled,
            "maximize": group.maximize,
            "corrected": group.corrected,
            "extra": {k: v for k, v in group.extra.items() if v is None or isinstance(v, bool | int | float | str)},
        }
        for group in run.groups
    ]
    return json.dumps({KEY: VERSION, "groups": groups, "updates": run.updates}, allow_nan=False)


def arrays_of(run: Snapshot) -> dict[str, Any]:
    """Return a snapshot's arrays under the names that they have in a file."""
    kinds = dict(zip(PARTS, (run.parameters, run.buffers, run.others), strict=True))
    return {f"{part}.{name}": value for part, values in kinds.items() for name, value in values.items()}


def from_file(arrays: Mapping[str, Any], text: str | None, source: str | None, file: str) -> Snapshot:
    """Make a snapshot of a file's arrays and its marker, or of what the caller says they are.

    Raises:
        ConvertError: names that are not ours, a marker that cannot be read or says another, or neither of both.
    """
    parts: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for name, value in arrays.items():
        part, dot, rest = name.partition(".")
        if part not in parts or not dot or not rest:
            raise ConvertError(f"{shown(file)} holds an array {shown(name)}, and {LAYOUT}; name it so")
        parts[part][rest] = value
    points, buffers, others = (parts[part] for part in PARTS)
    if text is None:
        if source is None:
            raise ConvertError(
                f"{shown(file)} has no marker that says what its buffers are; name it, such as keras:lr=0.01,mu=0.9"
            )
        return snapshot(source, points, buffers)._replace(others=others)
    groups, updates = _read(text, file)
    if source is not None:
        said, told = read_dialect(source)
        if {group.dialect.name for group in groups} != {said.name}:
            raise ConvertError(
                f"{shown(file)} is marked as of {groups[0].dialect.name}, not {said.name}; leave --from away"
            )
        for group in groups:
            held_against(group, told)
    named = {name for group in groups for name in group.names}
    if points and set(points) != named:
        odd = sorted(set(points) ^ named)[0]
        raise ConvertError(f"{shown(file)}: {shown(odd)} is in the marker or among the arrays alone; it is not whole")
    return checked(Snapshot(groups, points, buffers, updates, others))


def _read(text: str, file: str) -> tuple[tuple[Group, ...], int | None]:
    """Read the marker; raises `ConvertError` where anything in it is not what we write."""
    try:
        told = json.loads(text)
        if told[KEY] != VERSION:
            raise ConvertError(f"{shown(file)} was written by another version of ravine ({shown(told[KEY])}); use that")
        groups = tuple(_group(each) for each in told["groups"])
        updates = told["updates"]
        if not groups or not (updates is None or type(updates) is int):
            raise ValueError
    except RavineError as error:
        raise ConvertError(f"the marker of {shown(file)} does not hold: {error}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConvertError(f"the marker of {shown(file)} cannot be read; write the file again with ravine") from None
    return groups, updates


def _group(told: Any) -> Group:
    """Make a group of what the marker says of it; whatever does not fit raises."""
    numbers = {str(key): value for key, value in told["settings"].items()}
    flags = {key: told[key] for key in ("decoupled", "maximize", "corrected")}
    names, decay, extra = told["names"], told["weight_decay"], dict(told["extra"])
    fine = all(isinstance(value, int | float) for value in (*numbers.values(), decay))
    if (
        not fine
        or not all(isinstance(name, str) for name in names)
        or not all(isinstance(flag, bool) for flag in flags.values())
    ):
        raise ValueError
    if not 0 <= decay < float("inf"):
        raise ValueError
    method = EVERY[told["rule"]](**numbers)
    found = dialect(told["dialect"])
    if method.rule not in (*found.rules, EVERY["sgd"]):
        raise ConvertError(f"{found.name} does not run {method.name}")
    return Group(found, tuple(names), method, float(decay), **flags, extra=extra)
