"""Layout: other names and other axes for the arrays of a run, its buffers with its parameters."""

from collections.abc import Callable, Mapping
from typing import Any

from ravine.conversion.snapshot import Snapshot, checked
from ravine.errors import ConvertError, nearest, shown

Turn = Callable[[Any], Any]


def rename(run: Snapshot, names: Mapping[str, str | tuple[str, Turn]]) -> Snapshot:
    """Give parameters other names, and where frameworks order axes differently, turn them with their buffers.

    Args:
        run: in the middle of a training.
        names: old name -> new name, or (new name, function of the array); a name left out stays.

    Raises:
        ConvertError: a name is unknown, or two become one.

    Example:
        >>> import numpy as np
        >>> from ravine.conversion.snapshot import snapshot
        >>> run = snapshot("keras:lr=0.1,mu=0.9", {"dense/kernel": np.ones((4, 2))}, {})
        >>> rename(run, {"dense/kernel": ("fc.weight", np.transpose)}).parameters["fc.weight"].shape
        (2, 4)
    """
    known = {**run.parameters, **run.others, **dict.fromkeys(name for group in run.groups for name in group.names)}
    for name in names:
        if name not in known:
            raise ConvertError(f"the run has no parameter {shown(name)}; {nearest(name, known)}")
    turns = {old: (new, None) if isinstance(new, str) else new for old, new in names.items()}
    groups = tuple(
        group._replace(names=tuple(turns[name][0] if name in turns else name for name in group.names))
        for group in run.groups
    )
    parts = [_turned(part, turns) for part in (run.parameters, run.buffers, run.others)]
    return checked(run._replace(groups=groups, parameters=parts[0], buffers=parts[1], others=parts[2]))


def _turned(part: Mapping[str, Any], turns: Mapping[str, tuple[str, Turn | None]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for old, value in part.items():
        new, turn = turns.get(old, (old, None))
        if new in made:
            raise ConvertError(f"two arrays would be called {shown(new)}; give each its own name")
        made[new] = turn(value) if turn else value
    return made
