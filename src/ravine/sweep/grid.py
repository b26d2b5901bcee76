"""The grid of a sweep: which values each setting takes, and the trainings that are made of them."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from ravine.axes import SCALES, axis
from ravine.charts import EVERY
from ravine.errors import MapError, RavineError, RuleError, ScheduleError, SweepError, shown
from ravine.rules import Method, Rule, read
from ravine.schedules import Schedule, Value, parse, text_of
from ravine.sweep.trials import Key

DEFAULTS = {"lr": "1e-4:1:12", "mu": "0,0.5,0.9,0.95,0.99"}  # of the settings that nobody fixed
POWERS = ("lr", "alpha", "delta", "L", "m", "kappa")  # spread evenly in their logarithm
MOMENTA = ("mu", "beta1", "rho")  # spread evenly in log(1 - value)
DIGITS = 6  # of the values of a range
MOST = 1_000_000  # trainings
LONGEST = 5000  # values of a range
Run = tuple[Method, int]  # a method and its seed


@dataclass(frozen=True)
class Axis:
    """Hold the values that a setting takes."""

    name: str
    values: tuple[Value, ...]  # in the order in which they were given
    scale: str  # how pictures spread them: log, linear or near1

    @property
    def numbers(self) -> bool:
        """Say whether every value is a number."""
        return not any(callable(value) for value in self.values)

    def summary(self) -> dict[str, Any]:
        """Return what the manifest and `--json` hold of an axis."""
        return {"values": [text_of(v) if callable(v) else v for v in self.values], "scale": self.scale}


@dataclass(frozen=True)
class Grid:
    """Hold a rule, the settings that are fixed, the axes, and the seeds of every cell."""

    rule: Rule
    fixed: Mapping[str, Value]
    axes: tuple[Axis, ...]
    seeds: tuple[int, ...]

    @cached_property
    def cells(self) -> tuple[Method, ...]:
        """Return the methods, the last axis turning fastest."""
        names = [each.name for each in self.axes]
        return tuple(
            self.rule(**self.fixed, **dict(zip(names, values, strict=True)))
            for values in product(*(each.values for each in self.axes))
        )

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Return the trainings: every cell with every seed, the seeds turning fastest."""
        return tuple((method, seed) for method in self.cells for seed in self.seeds)

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """Return the trainings as text and seed, in the same order."""
        return tuple((text, seed) for text in map(str, self.cells) for seed in self.seeds)

    def summary(self) -> dict[str, Any]:
        """Return what the manifest and `--json` hold of a grid."""
        return {
            "rule": self.rule.name,
            "fixed": {key: text_of(value) if callable(value) else value for key, value in self.fixed.items()},
            "axes": {each.name: each.summary() for each in self.axes},
            "seeds": list(self.seeds),
        }


def grid(rule: str | Rule | Method, axes: Mapping[str, Any] | None = None, seeds: int | Iterable[int] = 1) -> Grid:
    """Make the grid of a rule's settings.

    Args:
        rule: such as `heavyball` or `qhm:nu=0.7`; what its text gives stays fixed.
        axes: by setting its values: a range or a list as text, a number, or a sequence of numbers and schedules; lr and mu
            have a grid of their own where nobody gives them.
        seeds: how many, counted from 0, or which.

    Returns:
        A `Grid`, whose axes stand in the order of the rule's settings.

    Raises:
        SweepError: what is no range or list, is given twice or is missing, and a grid too large.
        RuleError: an unknown rule, or a value that it does not allow.

    Example:
        >>> made = grid("qhm:nu=0.7", {"lr": "0.01:1:3", "mu": "0,0.9"}, seeds=2)
        >>> [str(method) for method in made.cells[:2]], len(made.runs)
        (['qhm:lr=0.01,mu=0,nu=0.7', 'qhm:lr=0.01,mu=0.9,nu=0.7'], 12)
    """
    made, fixed = rule_of(rule)
    wanted = {name: given for name, given in (axes or {}).items() if given is not None}
    for name in (*wanted, *fixed):
        if name not in made.parameters:
            raise SweepError(f"{made.name} has no setting {shown(name)}; its settings are {', '.join(made.parameters)}")
    if double := [name for name in wanted if name in fixed]:
        raise SweepError(f"{double[0]} is both fixed and an axis; leave it out of the rule or of the axes")
    for name, default in made.parameters.items():
        if name in fixed or name in wanted:
            continue
        if name in DEFAULTS:
            wanted[name] = DEFAULTS[name]
        elif default is not inspect.Parameter.empty:
            fixed[name] = default
        else:
            raise SweepError(
                f"{made.name} needs {name}: fix it as in {made.name}:{name}=… or spread it with --axis {name}=lo:hi:n"
            )
    found = Grid(made, fixed, tuple(axis_of(n, wanted[n]) for n in made.parameters if n in wanted), seeds_of(seeds))
    _check(found)
    return found


def rule_of(rule: str | Rule | Method) -> tuple[Rule, dict[str, Value]]:
    """Read the rule; one that has no name in the table cannot be told to another process."""
    if isinstance(rule, str):
        found, fixed = read(rule, EVERY)
        return found, dict(fixed)
    made, settings = (rule.rule, dict(rule.settings)) if isinstance(rule, Method) else (rule, {})
    if not isinstance(made, Rule) or EVERY.get(made.name) is not made:
        raise SweepError(f"a sweep is of a rule of the table, such as heavyball or qhm:nu=0.7, got {shown(rule)}")
    return made, settings


def seeds_of(seeds: int | Iterable[int]) -> tuple[int, ...]:
    """Return the seeds: so many from 0, or those that are named.

    >>> seeds_of(3), seeds_of([5, 2])
    ((0, 1, 2), (5, 2))
    """
    if isinstance(seeds, int) and seeds > MOST:
        raise SweepError(f"{seeds:,} seeds are too many, at most {MOST:,} trainings are allowed; use fewer")
    try:
        found = tuple(range(seeds)) if isinstance(seeds, int) else tuple(dict.fromkeys(map(int, seeds)))
    except (TypeError, ValueError):
        found = ()
    if isinstance(seeds, bool) or not found or min(found) < 0 or max(found) >= 2**63:
        raise SweepError(f"seeds are how many, from 1 on, or a list of whole numbers from 0 on, got {shown(seeds)}")
    return found


def _check(found: Grid) -> None:
    """Refuse a grid that is too large or of which a value is not allowed."""
    total = len(found.seeds)
    for each in found.axes:
        total *= len(each.values)
    if total > MOST:
        raise SweepError(f"this grid has {total:,} trainings, at most {MOST:,} are allowed; use fewer values or seeds")
    try:
        found.cells  # noqa: B018  making the methods checks their settings
    except RuleError as error:
        raise SweepError(f"the grid has a cell that is not allowed: {error}") from None


# Values ----------------------------------------------------------------------------------------------------------


def axis_of(name: str, given: Any) -> Axis:
    """Read the values of a setting.

    Args:
        name: of the setting.
        given: `lo:hi:n`, `lo:hi:n:scale` with a scale of log, linear and near1, or a list with commas between, whose
            entries are numbers and schedules; or a number, a schedule, or a sequence of them.

    Returns:
        An `Axis`. Ranges of lr are spread evenly in their logarithm where they begin above 0, those of mu in log(1 - mu)
        where they end below 1; other settings evenly. Values within a range have six digits.

    Raises:
        SweepError: what is neither.

    Example:
        >>> axis_of("lr", "1e-3:0.1:3").values, axis_of("mu", "0:0.99:3").values
        ((0.001, 0.01, 0.1), (0.0, 0.9, 0.99))
        >>> [str(each) for each in axis_of("lr", "cosine(0.1,500), 0.2").values]
        ['cosine(0.1,500)', '0.2']
    """
    entries: Sequence[Any]
    if isinstance(given, str):
        entries = split(given)
        if len(entries) == 1 and ":" in entries[0]:
            return _range(name, entries[0])
    else:
        entries = [given] if callable(given) or isinstance(given, int | float) else _listed(name, given)
    values = tuple(dict.fromkeys(_value(name, entry) for entry in entries))
    return Axis(name, values, _scale(name, values))


def split(text: str) -> list[str]:
    """Split a list at the commas that stand outside of parentheses.

    >>> split("cosine(0.1,500), 0.2")
    ['cosine(0.1,500)', '0.2']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _listed(name: str, given: Any) -> list[Any]:
    try:
        found = list(given)
    except TypeError:
        found = []
    if not found:
        raise SweepError(f"the values of {name} are a range, a list or numbers, got {shown(given)}")
    return found


def _range(name: str, text: str) -> Axis:
    """Read `lo:hi:n` or `lo:hi:n:scale`."""
    parts = [part.strip() for part in text.split(":")]
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
        scale = parts[3].lower() if len(parts) == 4 else _scale(name, (low, high))
        if len(parts) > 4 or not 2 <= count <= LONGEST:
            raise ValueError
    except (ValueError, IndexError):
        raise SweepError(
            f"the values of {name} are lo:hi:n with n from 2 to {LONGEST}, such as 1e-4:1:12, or a list such as 0,0.5,0.9, "
            f"got {shown(text)}"
        ) from None
    try:
        exact = axis(name, (low, high, scale), count).values.tolist()  # type: ignore[arg-type]
    except MapError as error:
        raise SweepError(str(error).replace("lo:hi", "lo:hi:n")) from None
    # Rounded, so that a value can be typed again and the same row is found on another machine.
    middle = [1 - _rounded(1 - v) if scale == "near1" else _rounded(v) for v in exact[1:-1]]
    return Axis(name, tuple(dict.fromkeys([low, *(float(f"{v:.12g}") for v in middle), high])), scale)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _scale(name: str, values: Sequence[Value]) -> str:
    """Choose how the values of a setting are spread."""
    numbers = [float(v) for v in values if not callable(v)]
    for names, scale in ((POWERS, "log"), (MOMENTA, "near1")):
        if name in names and numbers and SCALES[scale].fits(min(numbers), max(numbers)):
            return scale
    return "linear"


def _value(name: str, entry: Any) -> Value:
    """Read one entry of a list: a number or a schedule of the table."""
    try:
        if isinstance(entry, bool) or entry == "":
            raise ScheduleError(f"{name} takes numbers and schedules with commas between, got {shown(entry)}")
        value = parse(entry) if isinstance(entry, str) else entry if callable(entry) else float(entry)
    except (RavineError, TypeError, ValueError) as error:
        if not isinstance(error, RavineError):
            error = ScheduleError(f"{name} takes numbers and schedules, got {shown(entry)}")
        raise SweepError(f"the list of {name}: {error}") from None
    if callable(value) and not isinstance(value, Schedule):
        raise SweepError(f"the list of {name}: a sweep takes schedules of the table, such as cosine(0.1,500)")
    return float(value) if isinstance(value, int) else value
