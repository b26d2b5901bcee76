"""Snapshots: a run in the middle, as its framework stores it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ravine.conversion import arrays
from ravine.conversion.dialects import Dialect, method_of, read_dialect, settings_of, sorted_out
from ravine.errors import ConvertError, shown
from ravine.rules import Method
from ravine.schedules import at

NEAR = 1e-6  # a setting that was kept in single precision is still the one that is said
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Group(NamedTuple):
    """Hold the parameters that one method moves, and what that method is called where they come from."""

    dialect: Dialect
    names: tuple[str, ...]
    method: Method
    weight_decay: float = 0.0
    decoupled: bool = False
    maximize: bool = False
    corrected: bool = False  # whether a buffer that holds lr is rescaled when lr changes
    extra: Mapping[str, Any] = NOTHING  # what else an optimizer keeps with its settings

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings as the framework calls them."""
        return settings_of(self.dialect, self.method)


class Change(NamedTuple):
    """Hold what a conversion did to a group: stored buffer times scale, stored point plus shift times the old buffer."""

    scale: float
    shift: float


class Snapshot(NamedTuple):
    """Hold a run in the middle: groups, and by name what their framework stores.

    A name without a buffer has an empty one: no update was made, or none is kept. What is read stands in the groups'
    order, and no order of a dict or a file means anything.
    """

    groups: tuple[Group, ...]
    parameters: Mapping[str, Any]  # may be none, where no point moves
    buffers: Mapping[str, Any]
    updates: int | None = None
    others: Mapping[str, Any] = NOTHING  # of the model, moved by no optimizer: running means
    changes: tuple[Change, ...] = ()  # of the conversion that it comes from
    notes: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """Return the first group's settings as its framework calls them."""
        return self.groups[0].settings


def snapshot(
    dialect: str,
    parameters: Mapping[str, Any],
    buffers: Mapping[str, Any] | Sequence[Any],
    *,
    updates: int | None = None,
    decoupled: bool | None = None,
    **settings: Any,
) -> Snapshot:
    """Read arrays that a framework stores in the middle of a run.

    Args:
        dialect: `keras`, `optax`, `mxnet`, …, or a rule's name; settings may be written behind it.
        parameters: arrays by name, of any library; they are copied, and the buffers too.
        buffers: the velocities, each shaped like its parameter: by name, or all in the parameters' order. None, or a
            name left out, is an empty one.
        updates: how many were made.
        decoupled: whether weight decay scales the parameters instead of joining the gradient; else as the framework.
        settings: by our letters or as the framework calls them; weight_decay too.

    Raises:
        ConvertError: a name, a shape or a number does not fit. RuleError: a setting is missing or out of range.

    Example:
        >>> import numpy as np
        >>> run = snapshot("keras", {"w": np.ones(2)}, {"w": np.array([-0.1, 0.2])}, learning_rate=0.1, momentum=0.9)
        >>> run.groups[0].method.row()
        Row(keep=0.9, take=-0.1, move=1, kick=0, look=0)

    Source: the framework's own update, named in `ravine.conversion.dialects.FRAMEWORKS`.
    """
    found, given = read_dialect(dialect)
    told, ahead, decay = sorted_out(found, {**given, **settings})
    method = method_of(found, told, bool(ahead))
    points = {name: arrays.copied(arrays.array(value, name)) for name, value in parameters.items()}
    group = Group(found, tuple(points), method, decay or 0.0)
    if decay:
        group = group._replace(decoupled=found.decay == "decoupled" if decoupled is None else decoupled)
    return checked(Snapshot((group,), points, _by_name(buffers, tuple(points)), updates))


def _by_name(buffers: Mapping[str, Any] | Sequence[Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the buffers that are not empty by name."""
    if not isinstance(buffers, Mapping):
        given = list(buffers)
        if len(given) == len(names) + 2 and not any(getattr(v, "shape", ()) for v in given[:2]):
            given = given[2:]  # Keras lists iteration and learning_rate before the velocities
        if len(given) not in (0, len(names)):
            raise ConvertError(f"{len(given)} buffers do not fit {len(names)} parameters; give one each, or by name")
        buffers = dict(zip(names, given, strict=False))
    held = {name: value for name, value in buffers.items() if value is not None}
    return {name: arrays.copied(arrays.array(value, f"buffer {name}")) for name, value in held.items()}


def checked(run: Snapshot) -> Snapshot:
    """Return a snapshot that fits together, in the groups' order; raises `ConvertError` where anything does not fit."""
    known = [name for group in run.groups for name in group.names]
    if len(set(known)) < len(known):
        raise ConvertError(f"{shown(_twice(known))} stands in two groups; name every parameter once")
    if both := sorted(run.others.keys() & {*known, *run.parameters}):
        raise ConvertError(f"{shown(both[0])} is a parameter and an array beside them; give each its own name")
    for group in run.groups:
        if not 0 <= group.weight_decay < float("inf"):
            raise ConvertError(f"weight decay must be 0 or more and finite, got {group.weight_decay}")
    for name, buffer in run.buffers.items():
        if name not in known:
            raise ConvertError(f"there is a buffer for {shown(name)}, which is no parameter; name it as its parameter")
        point = run.parameters.get(name)
        if point is not None and arrays.shape(point) != arrays.shape(buffer):
            raise ConvertError(
                f"the buffer of {shown(name)} has shape {arrays.shape(buffer)}, its parameter {arrays.shape(point)}; "
                "a velocity is shaped like its parameter"
            )
        if not arrays.finite(buffer):
            raise ConvertError(f"the buffer of {shown(name)} is not finite; convert from before the run diverged")
    places = {name: place for place, name in enumerate(known)}
    parts = [
        dict(sorted(part.items(), key=lambda item: places.get(item[0], len(known))))
        for part in (run.parameters, run.buffers)
    ]
    return run._replace(parameters=parts[0], buffers=parts[1])


def held_against(group: Group, told: Mapping[str, Any]) -> None:
    """Refuse settings that a caller says of a group and that are not its own; raises `ConvertError`."""
    settings, switch, decay = sorted_out(group.dialect, told)
    names, method = group.dialect.letters, group.method
    pairs = [(names.get(key, key), value, method.settings.get(key, 0)) for key, value in settings.items()]
    if switch is not None:
        pairs.append((group.dialect.switch, switch, group.settings[group.dialect.switch]))
    if decay is not None:
        pairs.append(("weight_decay", decay, group.weight_decay))
    for key, said, held in pairs:
        if not math.isclose(at(said, 0), at(held, 0), rel_tol=NEAR):
            raise ConvertError(
                f"{group.dialect.name} was said to have {key}={said}, and what was saved has {key}={held}; leave {key} "
                "away, or name the state that you mean"
            )


def _twice(names: Iterable[str]) -> str:
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
