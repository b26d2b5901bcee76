"""The keys of an optimizer's param groups: which there are, what they may be set to, and numbers written into them."""

import math
import re
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from ravine import schedules
from ravine.errors import ScheduleError, nearest, shown
from ravine.rules import ANY, SETTINGS, Setting
from ravine.schedules import Value, text_of

Group = dict[str, Any]
Number = float | int

_NOT_NEGATIVE = Setting("", lambda value: value >= 0, "0 or more")
_ALLOWED: Mapping[str, Setting] = {
    "lr": SETTINGS["lr"],
    "momentum": SETTINGS["mu"],
    "betas": SETTINGS["mu"],
    "weight_decay": _NOT_NEGATIVE,
    "eps": _NOT_NEGATIVE,
}
# What the formulas of `ravine.schedules` need of NumPy, for one step: it runs before every update.
_ONE = SimpleNamespace(
    minimum=lambda a, b: a if a <= b or a != a else b,  # NaN goes through, as in NumPy
    maximum=lambda a, b: a if a >= b or a != a else b,
    where=lambda condition, a, b: a if condition else b,
    floor=math.floor,
    exp=math.exp,
    cos=math.cos,
)
# Written by torch's schedulers and by ravine's optimizer for themselves; whoever else wrote them would mislead these.
_BOOKS = {"params", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "look", "last_lr"}


class Key(NamedTuple):
    """Hold where a number stands in a param group: a key, and for a tuple which of its elements."""

    name: str
    element: int | None

    def __str__(self) -> str:
        return self.name if self.element is None else f"{self.name}[{self.element}]"


class Mark(NamedTuple):
    """Hold what was written, so that a later look can tell whether somebody else wrote there."""

    held: Any  # the number or tensor that stands in the group
    version: int  # of a tensor; torch counts the writes into it
    value: Number


class Course(NamedTuple):
    """Hold what one key is to be: a value for some groups or all, or one for each group."""

    key: Key
    values: tuple[Value | None, ...]  # one, or one for each group; None leaves a group alone
    groups: tuple[int, ...] | None  # to which the one value applies; None: to all, later ones too
    each: bool

    def of(self, group: int) -> Value | None:
        """Return what the key of a group is to be, None where it is left alone."""
        if self.each:
            return self.values[group] if group < len(self.values) else None
        return self.values[0] if self.groups is None or group in self.groups else None

    def at(self, t: int, groups: int) -> list[Number | None]:
        """Return the value for each of so many groups at update `t`; raises `ScheduleError`."""
        known: dict[int, Number | None] = {id(None): None}
        for value in self.values:
            if value is not None and id(value) not in known:
                known[id(value)] = evaluated(value, self.key, t)
        return [known[id(self.of(group))] for group in range(groups)]

    def texts(self) -> list[str | None]:
        """Write the values as text, the way they are saved; a function of yours has none and is called so."""
        return [None if value is None else _text(value) for value in self.values]


def numbers(group: Group) -> dict[str, Key]:
    """List the numbers of a param group by the names under which they are set, elements of tuples one by one.

    >>> list(numbers({"params": [], "lr": 0.1, "betas": (0.9, 0.99), "foreach": None, "amsgrad": False}))
    ['lr', 'betas[0]', 'betas[1]']
    """
    found = []
    for name, value in group.items():
        if name in _BOOKS:
            continue
        if isinstance(value, tuple | list):
            found += [Key(name, i) for i, element in enumerate(value) if _is_number(element)]
        elif _is_number(value):
            found.append(Key(name, None))
    return {str(key): key for key in found}


def find(text: object, group: Group, index: int) -> Key:
    """Return the key that a text names; raises `ScheduleError` where the param group has no such number."""
    known = numbers(group)
    plain = re.sub(r"\s", "", text) if isinstance(text, str) else ""
    if plain not in known:
        raise ScheduleError(f"param group {index} has no number {shown(text)} to set; {nearest(plain, known)}")
    return known[plain]


def read_settings(
    given: Mapping[str, Any], param_groups: Sequence[Group], groups: tuple[int, ...] | None
) -> list[Course]:
    """Return the course of each key from what came in; raises `ScheduleError` where a key or value is not allowed."""
    courses: dict[Key, Course] = {}
    for text, raw in given.items():
        concerned: Sequence[int] = range(len(param_groups)) if groups is None else groups
        if isinstance(raw, list | tuple):
            _check_each(text, raw, len(param_groups), groups)
            concerned = [g for g, value in enumerate(raw) if value is not None]
        found = [find(text, param_groups[g], g) for g in concerned]
        if not found:
            raise ScheduleError(f"{text} leaves every param group alone; leave it out")
        if found[0] in courses:
            raise ScheduleError(f"{found[0]} is given twice; give it once")
        courses[found[0]] = _course(raw, found[0], groups)
    return list(courses.values())


def _check_each(text: object, raw: Sequence[Any], count: int, groups: tuple[int, ...] | None) -> None:
    """Refuse a list that is not one value for each param group."""
    if groups is not None:
        raise ScheduleError(f"{text} has a value for each group beside groups={list(groups)}; give one or the other")
    if len(raw) != count:
        raise ScheduleError(
            f"{text} has {len(raw)} values for {count} of the optimizer's param groups; give one value, or one for each"
        )


def _course(raw: Any, key: Key, groups: tuple[int, ...] | None) -> Course:
    if isinstance(raw, list | tuple):
        return Course(key, tuple(None if each is None else read(each, key) for each in raw), None, True)
    return Course(key, (read(raw, key),), groups, False)


def read(raw: Any, key: Key) -> Value:
    """Return the number, schedule or function that came in for a key; text is read, never run."""
    if isinstance(raw, str):
        raw = schedules.parse(raw)
    return raw if callable(raw) else number(raw, key)


def read_groups(groups: Any, count: int) -> tuple[int, ...] | None:
    """Return the indices of param groups that came in; raises `ScheduleError` where one does not exist."""
    if groups is None:
        return None
    given = [groups] if isinstance(groups, int) else list(groups) if isinstance(groups, Sequence) else []
    if not given or not all(type(g) is int and 0 <= g < count for g in given):
        raise ScheduleError(
            f"groups must be indices of the optimizer's {count} param groups, from 0 on, got {shown(groups)}"
        )
    return tuple(dict.fromkeys(given))


def number(raw: Any, key: Key, when: str = "") -> Number:
    """Return a value as the Python number that a param group holds; raises `ScheduleError` where it is not allowed."""
    value = raw if type(raw) is float else _scalar(raw, key, when)
    allowed = _ALLOWED.get(key.name, ANY)
    if not math.isfinite(value) or not allowed.allowed(value):
        sentence = allowed.sentence if math.isfinite(value) else "finite"
        raise ScheduleError(f"{key} must be {sentence}, got {value!r}{when}")
    return value


def _scalar(raw: Any, key: Key, when: str) -> Number:
    """Return any kind of number as Python's, whole ones as such, for settings that count."""
    scalar = raw.item() if hasattr(raw, "item") and not getattr(raw, "shape", None) else raw
    if isinstance(scalar, bool) or getattr(scalar, "shape", None) or not hasattr(scalar, "__float__"):
        raise ScheduleError(f"{key} must be a number, a schedule or a function of the step, got {shown(raw)}{when}")
    try:
        return scalar if isinstance(scalar, int) and math.isfinite(scalar) else float(scalar)
    except (OverflowError, ValueError, TypeError):
        return math.inf


def evaluated(value: Value, key: Key, t: int) -> Number:
    """Return the number that a value is at update `t`; raises `ScheduleError` with the step."""
    if not callable(value):
        return value
    try:
        found = schedules.at(value, t, _ONE)
    except ArithmeticError:
        found = math.inf
    except ScheduleError:
        raise
    except (TypeError, ValueError):
        raise ScheduleError(
            f"{key} cannot be worked out at step {t}; give {_text(value)} functions that return a number"
        ) from None
    return number(found, key, f" at step {t}")


def put(group: Group, key: Key, value: Number) -> Mark:
    """Write a number into a param group: into the tensor where one stands there, so that whoever shares it sees it."""
    held = _held(group, key)
    if isinstance(held, torch.Tensor):
        with torch.no_grad():
            held.fill_(value)
        return Mark(held, held._version, value)
    if key.element is None:
        group[key.name] = value
    else:
        elements = list(group[key.name])
        elements[key.element] = value
        group[key.name] = elements if isinstance(group[key.name], list) else tuple(elements)
    return Mark(value, 0, value)


def untouched(group: Group, key: Key, mark: Mark) -> bool:
    """Say whether a group still holds the value that was written; waits for no device unless somebody wrote there."""
    held = _held(group, key)
    if not isinstance(held, torch.Tensor):
        return bool(held is mark.held or held == mark.value)
    if held is mark.held and held._version == mark.version:
        return True
    return bool(held.item() == torch.tensor(mark.value, dtype=held.dtype).item())


def _held(group: Group, key: Key) -> Any:
    try:
        value = group[key.name]
        return value if key.element is None else value[key.element]
    except (KeyError, IndexError, TypeError):
        raise ScheduleError(f"a param group has no {key} any more; give it one, or leave that group out") from None


def _is_number(value: Any) -> bool:
    if isinstance(value, torch.Tensor):
        return value.numel() == 1 and not value.is_complex() and value.dtype is not torch.bool
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: Value) -> str:
    return "function" if callable(value) and not isinstance(value, schedules.Schedule) else text_of(value)


def difference(saved: Any, own: Mapping[str, Any]) -> str:
    """Say in which key a saved schedule differs from this one, '' where in none."""
    saved = saved if isinstance(saved, Mapping) else {}
    for key in {**own, **saved}:
        if saved.get(key) != own.get(key):
            return f"the saved schedule of {key} is {_said(saved.get(key))}, this one is {_said(own.get(key))}"
    return ""


def _said(texts: Any) -> str:
    if not isinstance(texts, list) or not texts:
        return "none"
    return shown(texts[0]) if len(texts) == 1 else shown(texts, 120)
