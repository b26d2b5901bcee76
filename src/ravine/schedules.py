"""Learning rate and momentum as functions of the step.

    value_t = schedule(t),   t = 0, 1, 2, …   (t = 0 is the first update)

A schedule is a name and its numbers: it holds no clock and no state, so asking twice gives the same answer, a run
resumes by asking for a later step, and `str` writes the very text that `parse` reads. Each formula takes the array
namespace first, so that NumPy runs it over a million steps at once and another library can trace it.
"""

import ast
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ravine.errors import RavineError, ScheduleError, nearest, shown

Number = Any  # a float, an array, a Fraction, a symbol: whatever has + - * /
Steps = Any  # a step or an array of steps, counted from 0

LONGEST = 500  # characters of a rule or schedule as text


@dataclass(frozen=True, slots=True)
class Schedule:
    """Hold a schedule: the name of its formula and the numbers (or schedules) it is called with.

    >>> ramp(0.5, 0.99, 0.01)(48)
    0.98
    """

    name: str
    args: tuple["Value", ...]

    def __call__(self, t: Steps, xp: Any = None) -> Number:
        """Return the value at step `t`, a number, or an array shaped like `t`."""
        if xp is None:
            import numpy as xp
        value = SCHEDULES[self.name].formula(xp, t, *self.args)
        return value if getattr(t, "shape", ()) or not hasattr(value, "item") else value.item()

    def __str__(self) -> str:
        args = list(self.args)
        defaults = SCHEDULES[self.name].defaults
        while args and len(args) > len(defaults) - sum(d is not inspect.Parameter.empty for d in defaults):
            if args[-1] != defaults[len(args) - 1]:
                break
            args.pop()
        return f"{self.name}({','.join(map(text_of, args))})"


Value = float | Schedule | Callable[[Steps], Number]  # what a setting may be: constant or changing with the step


@dataclass(frozen=True, slots=True)
class Kind:
    """Hold a kind of schedule: calling it with numbers makes a `Schedule`."""

    name: str
    formula: Callable[..., Number]
    source: str
    fits: Callable[..., Any] | None = None  # whether the numbers fit each other
    misfit: str = ""  # the sentence for when they do not

    @property
    def parameters(self) -> list[inspect.Parameter]:
        """List the formula's own parameters, without the namespace and the step."""
        return list(inspect.signature(self.formula).parameters.values())[2:]

    @property
    def defaults(self) -> list[Any]:
        """List the default of each parameter, `Parameter.empty` where there is none."""
        return [p.default for p in self.parameters]

    @property
    def usage(self) -> str:
        """Write how it is called, such as `cosine(start, steps, stop=0)`."""
        words = [p.name if p.default is p.empty else f"{p.name}={text_of(p.default)}" for p in self.parameters]
        return f"{self.name}({', '.join(words)})"

    def __call__(self, *args: Value, **keywords: Value) -> Schedule:
        """Make the schedule; raises `ScheduleError` where a number is missing, superfluous or not allowed."""
        try:
            bound = inspect.signature(self.formula).bind(None, None, *args, **keywords)
        except TypeError as error:
            raise ScheduleError(f"{self.name}: {error}; write {self.usage}") from None
        bound.apply_defaults()
        values = bound.args[2:]
        for parameter, value in zip(self.parameters, values, strict=True):
            _check(self, parameter.name, value)
        made = Schedule(self.name, tuple(values))
        if self.fits and not self.fits(*values):
            raise ScheduleError(f"{made}: {self.misfit}")
        return made


SCHEDULES: dict[str, Kind] = {}


def _schedule(
    source: str, fits: Callable[..., Any] | None = None, misfit: str = ""
) -> Callable[[Callable[..., Number]], Kind]:
    def enter(formula: Callable[..., Number]) -> Kind:
        kind = Kind(formula.__name__, formula, source, fits, misfit)
        SCHEDULES[kind.name] = kind
        return kind

    return enter


def at(value: Value, t: Steps, xp: Any = None) -> Number:
    """Return a setting's value at step `t`: a number is itself at every step."""
    if isinstance(value, Schedule):
        return value(t, xp)
    if not callable(value):
        return value
    return _each(value, t) if getattr(t, "shape", ()) else _asked(value, t)


def _each(function: Callable[[Steps], Number], steps: Steps) -> Number:
    """Ask a function of yours for many steps at once, or one by one where it takes only one."""
    import numpy as np

    try:
        answer = np.asarray(function(steps))
        if answer.shape == steps.shape:
            return answer
    except Exception:  # such as `if t < 10` on an array; what it raises for a single step is said below
        pass
    return np.array([_asked(function, step) for step in steps.tolist()])


def _asked(function: Callable[[Steps], Number], step: Steps) -> Number:
    """Ask a function of yours for one step; what it raises becomes a sentence."""
    try:
        return function(step)
    except RavineError:
        raise
    except Exception as error:
        name = getattr(function, "__name__", type(function).__name__)
        raise ScheduleError(
            f"the schedule {name} raised {type(error).__name__} at step {step}: {shown(str(error))}; a schedule of yours "
            "returns a number for every step from 0 on"
        ) from error


# Simple shapes ---------------------------------------------------------------------------------------------------


@_schedule("a fixed number")
def constant(xp: Any, t: Steps, value: Number) -> Number:
    return value + 0 * t


@_schedule(
    "the blog post: mu = min(0.5 + 0.01 t, 0.99)",
    fits=lambda start, stop, by: by * (stop - start) >= 0,
    misfit="by leads away from stop, turn its sign",
)
def ramp(xp: Any, t: Steps, start: Number, stop: Number, by: Number) -> Number:
    line = start + by * t
    return xp.where(by >= 0, xp.minimum(line, stop), xp.maximum(line, stop))


@_schedule("CS231n: start near 0.5 and anneal to 0.99")
def linear(xp: Any, t: Steps, start: Number, stop: Number, steps: Number) -> Number:
    return start + (stop - start) * (xp.minimum(t, steps) / steps)


@_schedule("CS231n, step decay")
def step(xp: Any, t: Steps, start: Number, factor: Number, every: Number) -> Number:
    return start * factor ** xp.floor(t / every)


@_schedule("CS231n, exponential decay a0 e^(-kt)")
def exponential(xp: Any, t: Steps, start: Number, k: Number) -> Number:
    return start * xp.exp(-k * t)


@_schedule("CS231n, 1/t decay a0 / (1 + kt)")
def inverse(xp: Any, t: Steps, start: Number, k: Number) -> Number:
    return start / (1 + k * t)


@_schedule("Darken & Moody 1991, search then converge: a0 / (1 + t/T)")
def search(xp: Any, t: Steps, start: Number, T: Number) -> Number:
    return start / (1 + t / T)


@_schedule("Loshchilov & Hutter 2017, eq. 5 without restarts")
def cosine(xp: Any, t: Steps, start: Number, steps: Number, stop: Number = 0) -> Number:
    return stop + (start - stop) * ((1 + xp.cos(math.pi * xp.minimum(t, steps) / steps)) / 2)


# Momentum, by the papers -----------------------------------------------------------------------------------------


@_schedule("Sutskever et al. 2013, eq. 5: min(1 - 1/(2k), mu_max), k = floor(t/250) + 1")
def sutskever(xp: Any, t: Steps, mu_max: Number, every: Number = 250) -> Number:
    return xp.minimum(1 - 1 / (2 * (xp.floor(t / every) + 1)), mu_max)


@_schedule("Nesterov 1983, as in Sutskever et al. 2013: 1 - 3/(t + 5)")
def nesterov83(xp: Any, t: Steps, mu_max: Number = 1) -> Number:
    return xp.minimum(1 - 3 / (t + 5), mu_max)


# Schedules made of schedules -------------------------------------------------------------------------------------


@_schedule("one after the other; the second starts its own clock")
def then(xp: Any, t: Steps, first: Value, steps: Number, second: Value) -> Number:
    return xp.where(t < steps, at(first, t, xp), at(second, xp.maximum(t - steps, 0), xp))


@_schedule("a straight line up to where the next one starts (Goyal et al. 2017, section 2.2; YOLO: 0.8 to 0.937)")
def warmup(xp: Any, t: Steps, start: Number, steps: Number, after: Value) -> Number:
    line = start + (at(after, 0, xp) - start) * (xp.minimum(t, steps) / steps)
    return xp.where(t < steps, line, at(after, xp.maximum(t - steps, 0), xp))


@_schedule("Sutskever et al. 2013, section 3: lower mu for the last 1000 updates of total")
def finaldrop(xp: Any, t: Steps, schedule: Value, total: Number, to: Number = 0.9, last: Number = 1000) -> Number:
    return xp.where(t < total - last, at(schedule, t, xp), xp.minimum(to, at(schedule, t, xp)))


@_schedule(
    "Smith 2018, with cosine flanks as torch's OneCycleLR; for mu let peak lie below start",
    fits=lambda start, peak, steps, stop, up: (up * steps > 1) & ((1 - up) * steps > 0),
    misfit="the rise needs more than one step, raise steps or up",
)
def onecycle(xp: Any, t: Steps, start: Number, peak: Number, steps: Number, stop: Number, up: Number = 0.3) -> Number:
    top, end = up * steps - 1, steps - 1
    rise = start + (peak - start) * ((1 - xp.cos(math.pi * t / top)) / 2)
    fall = stop + (peak - stop) * ((1 + xp.cos(math.pi * (xp.minimum(t, end) - top) / (end - top))) / 2)
    return xp.where(t <= top, rise, fall)


# What the numbers may be -----------------------------------------------------------------------------------------


WHOLE = (lambda n: (n >= 1) & (n % 1 <= 0), "a whole number of steps, 1 or more")
ALLOWED: Mapping[str, tuple[Callable[[Any], Any], str]] = {  # without and, so that it can be traced
    "steps": WHOLE,
    "every": WHOLE,
    "last": WHOLE,
    "total": WHOLE,
    "T": (lambda n: n > 0, "above 0"),
    "k": (lambda n: n >= 0, "0 or more"),
    "factor": (lambda n: n > 0, "above 0"),
    "by": (lambda n: n != 0, "other than 0"),
    "up": (lambda n: (n > 0) & (n < 1), "between 0 and 1"),
}
NESTED = ("first", "second", "after", "schedule")  # numbers that may be schedules themselves


def _check(kind: Kind, name: str, value: Value) -> None:
    if isinstance(value, Schedule) or callable(value):
        if name not in NESTED:
            raise ScheduleError(f"{kind.name}: {name} must be a number, not a schedule; write {kind.usage}")
        return
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ScheduleError(f"{kind.name}: {name} must be a number, got {shown(value)}; write {kind.usage}")
    if not math.isfinite(value):
        raise ScheduleError(f"{kind.name}: {name} must be finite, got {value}")
    allowed, sentence = ALLOWED.get(name, (lambda n: True, ""))
    if not allowed(value):
        raise ScheduleError(f"{kind.name}: {name} must be {sentence}, got {text_of(value)}")


# Text ------------------------------------------------------------------------------------------------------------


def text_of(value: Any) -> str:
    """Write a setting as text that reads back as itself.

    >>> text_of(100.0), text_of(1e-6), text_of(ramp(0.5, 0.99, 0.01))
    ('100', '1e-06', 'ramp(0.5,0.99,0.01)')
    """
    if isinstance(value, float):
        value = float(value)  # a NumPy float would write its own name
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return getattr(value, "__name__", None) or str(value)


def tree(text: str, what: str) -> ast.expr:
    """Read text as one Python expression without running it; raises `ScheduleError` where it is none."""
    if len(text) > LONGEST:
        raise ScheduleError(f"{what} of {len(text)} characters is too long; {LONGEST} are allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ScheduleError(
            f"cannot read {what} {shown(text)}; write a number or one like ramp(0.5,0.99,0.01)"
        ) from None


def from_tree(node: ast.expr) -> float | Schedule:
    """Make the number or schedule that a piece of text means; anything else is refused."""
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return _float(number)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as number)):
            return -_float(number) if isinstance(sign, ast.USub) else _float(number)
        case ast.Name(id=word) if word.lower() in ("nan", "inf", "infinity"):
            return float(word)  # read it, so that whoever checks ranges can say what is allowed instead
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id=word)) if word.lower() in ("inf", "infinity"):
            return -math.inf
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if all(k.arg for k in keywords):
            if name not in SCHEDULES:
                raise ScheduleError(f"no schedule is called {shown(name)}; {nearest(name, SCHEDULES)}")
            named = {str(k.arg): from_tree(k.value) for k in keywords}
            if len(named) < len(keywords):
                raise ScheduleError(f"{name}: a number is given twice; give each once, as in {SCHEDULES[name].usage}")
            return SCHEDULES[name](*map(from_tree, args), **named)
    raise ScheduleError(
        f"{_written(node)} is neither a number nor a schedule; write one like 0.9 or ramp(0.5,0.99,0.01)"
    )


def _written(node: ast.expr) -> str:
    try:
        return shown(ast.unparse(node))
    except RecursionError:  # five hundred minus signs are a tree five hundred deep
        return "that"


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def parse(text: str) -> float | Schedule:
    """Read a number or a schedule.

    >>> parse("then(ramp(0.5,0.99,0.01),900,0.9)")(899)
    0.99
    """
    return from_tree(tree(text, "the schedule"))
