"""What a schedule of an optimizer's settings looks like, as data."""

from typing import NamedTuple

import numpy as np

from ravine import schedules
from ravine.surfaces.interface import Array
from ravine.torch.keys import Course


class Curve(NamedTuple):
    """Hold what a key is over the updates, for the param groups in which it is the same."""

    key: str
    groups: tuple[int, ...]
    text: str  # of the schedule
    values: Array  # (updates,)


def curves(course: Course, count: int, steps: int) -> list[Curve]:
    """Return the values of a key at the updates 0 … steps - 1, of so many groups those with one schedule together."""
    together: dict[int, list[int]] = {}
    for g in range(count):
        if course.of(g) is not None:
            together.setdefault(id(course.of(g)), []).append(g)
    return [_curve(course, tuple(groups), steps) for groups in together.values()]


def _curve(course: Course, groups: tuple[int, ...], steps: int) -> Curve:
    value = course.of(groups[0]) or 0.0
    text = course.texts()[groups[0] if course.each else 0] or ""
    with np.errstate(all="ignore"):
        path = np.asarray(schedules.at(value, np.arange(steps)), float) + np.zeros(steps)
    return Curve(str(course.key), groups, text, path)


def settled(course: Course) -> int:
    """Return after how many updates a schedule stays within a hundredth of its range, 1000 where it never does."""
    longest = 1
    for value in course.values:
        if isinstance(value, schedules.Schedule):
            steps = np.unique(np.geomspace(1, 1e6, 400).astype(int)) - 1
            with np.errstate(all="ignore"):
                path = np.asarray(value(steps), float)
            apart = np.flatnonzero(~(abs(path - path[-1]) <= 0.01 * np.ptp(path)))
            last = int(steps[apart[-1]]) if len(apart) else 0
            longest = max(longest, 1000 if last > 500_000 else last + last // 8 + 2)
        elif callable(value):
            longest = max(longest, 1000)
    return longest
