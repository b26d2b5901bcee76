"""THE table: every momentum method is five numbers.

    y  = x + look·v            where the gradient is asked for
    g  = ∇f(y)
    v' = keep·v + take·g       the buffer keeps part of itself and takes in the gradient
    x' = x + move·v' + kick·g  the point moves with the buffer; the gradient kicks it

A row is (keep, take, move, kick, look). A rule is a function from its settings to a row. A method is a rule together
with its settings, each a number or a schedule. Nothing else in the project knows an update rule.
"""

import ast
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from ravine.errors import RuleError, ScheduleError, nearest, shown
from ravine.schedules import Number, Schedule, Steps, Value, at, from_tree, text_of, tree


class Row(NamedTuple):
    """Hold the five numbers of one step; floats, arrays, fractions and symbols all do."""

    keep: Number  # no unit; |keep| < 1, or the buffer never forgets
    take: Number  # buffer per gradient
    move: Number  # length per buffer
    kick: Number  # length per gradient
    look: Number  # length per buffer


class Setting(NamedTuple):
    """Say what a setting means and which values it may have."""

    meaning: str
    allowed: Callable[[Number], Number]
    sentence: str


SETTINGS: Mapping[str, Setting] = {
    "lr": Setting("learning rate, length per gradient", lambda lr: lr >= 0, "0 or more"),
    "mu": Setting(
        "momentum, the part of the velocity that is kept", lambda mu: (mu >= 0) & (mu < 1), "from 0 to below 1"
    ),
    "tau": Setting(
        "dampening, the part of the gradient that is held back", lambda tau: (tau >= 0) & (tau <= 1), "from 0 to 1"
    ),
    "nu": Setting(
        "the part of the step that the buffer makes, the gradient the rest", lambda nu: nu == nu, "a finite number"
    ),
    "L": Setting("largest curvature, gradient per length", lambda L: L > 0, "above 0"),
    "m": Setting("smallest curvature, gradient per length", lambda m: m > 0, "above 0"),
    # Of the charts, which keep the letters of their papers.
    "alpha": Setting("step size, length per gradient", lambda alpha: alpha >= 0, "0 or more"),
    "beta1": Setting("part of the last move that is kept", lambda beta: (beta >= 0) & (beta < 1), "from 0 to below 1"),
    "beta2": Setting("part of the last move that is looked along", lambda beta: beta == beta, "a finite number"),
    "kp": Setting("proportional gain, length per gradient", lambda kp: kp != 0, "a number other than 0"),
    "ki": Setting("integral gain, length per gradient", lambda ki: ki > 0, "above 0"),
    "kd": Setting("derivative gain, length per gradient", lambda kd: kd != 0, "a number other than 0"),
    "delta": Setting("short step, length per gradient", lambda delta: delta >= 0, "0 or more"),
    "kappa": Setting("condition number, or the ratio of the long step to the short one", lambda k: k > 0, "above 0"),
    "xi": Setting("statistical advantage, no unit", lambda xi: xi > 0, "above 0"),
    "eps": Setting("a constant of the method, no unit", lambda eps: (eps > 0) & (eps < 1), "between 0 and 1"),
    "rho": Setting("rate that is aimed at, no unit", lambda rho: (rho > 0) & (rho < 1), "between 0 and 1"),
}
ANY = Setting("a setting of your own rule", lambda value: value == value, "a finite number")


@dataclass(frozen=True)
class Rule:
    """Hold a rule: its name, the function from settings to a row, what it is called elsewhere, and its source.

    >>> RULES["classical"].row(lr=0.01, mu=0.9)
    Row(keep=0.9, take=-0.01, move=1, kick=0, look=0)
    """

    name: str
    row: Callable[..., Row]
    title: str
    source: str
    fits: Callable[..., Any] | None = None  # whether the settings fit each other
    misfit: str = ""  # the sentence for when they do not

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        """Map each setting's name to its default, `Parameter.empty` where it must be given."""
        return {p.name: p.default for p in inspect.signature(self.row).parameters.values()}

    @property
    def usage(self) -> str:
        """Write how it is typed, such as `classical:lr=…,mu=…`."""
        words = [f"{k}={'…' if d is inspect.Parameter.empty else text_of(d)}" for k, d in self.parameters.items()]
        return f"{self.name}:{','.join(words)}"

    def own(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of these settings that the rule has."""
        return {key: value for key, value in settings.items() if key in self.parameters}

    def __call__(self, **settings: Value) -> "Method":
        """Make the method with these settings; raises `RuleError` where one is missing, unknown or out of range."""
        for key in settings:
            if key not in self.parameters:
                raise RuleError(f"{self.name} has no setting {shown(key)}; {nearest(key, self.parameters)}")
        for key, default in self.parameters.items():
            if key not in settings and default is inspect.Parameter.empty:
                raise RuleError(f"{self.name} needs {key}, {SETTINGS.get(key, ANY).meaning}; write {self.usage}")
        method = Method(self, {k: settings.get(k, d) for k, d in self.parameters.items()})
        method.check({k: v for k, v in method.settings.items() if not callable(v)})
        return method


def table(*rules: Rule) -> Mapping[str, Rule]:
    """Make the table: rules by their names."""
    return {rule.name: rule for rule in rules}


def sqrt(x: Number) -> Number:
    """Return the square root of any kind of number, exactly where that is possible."""
    if isinstance(x, Fraction | int):
        roots = math.isqrt(x.numerator), math.isqrt(x.denominator)
        if (roots[0] ** 2, roots[1] ** 2) == (x.numerator, x.denominator):
            return Fraction(*roots)
        return math.sqrt(x)
    if isinstance(x, float):
        return math.sqrt(x)
    return x**0.5 if hasattr(x, "dtype") else x ** Fraction(1, 2)


def _triple(L: Number, m: Number) -> Row:
    s = sqrt(m / L)  # the paper's 1 - rho
    return Row((1 - s) ** 2 / (1 + s), -(2 - s) / L, 1, 0, (1 - s) ** 2 / ((2 - s) * (1 + s)))


RULES: Mapping[str, Rule] = table(
    #                                                           keep   take    move         kick  look
    Rule("sgd",            lambda lr:                       Row(   0,     1,    -lr,           0,    0),
         "gradient descent", "torch.optim.SGD; Robbins & Monro 1951"),
    Rule("classical",      lambda lr, mu:                   Row(  mu,   -lr,      1,           0,    0),
         "classical momentum: Keras, Caffe, MXNet", "Sutskever et al. 2013, eq. 1-2; CS231n"),
    Rule("heavyball",      lambda lr, mu, tau=0:            Row(  mu, 1-tau,    -lr,           0,    0),
         "heavy ball: torch, TF1, optax.trace", "Polyak 1964; torch.optim.SGD, tau is its dampening"),
    Rule("nag",            lambda lr, mu:                   Row(  mu,   -lr,      1,           0,   mu),
         "Nesterov's accelerated gradient, the paper's form", "Sutskever et al. 2013, eq. 3-4"),
    Rule("nesterov",       lambda lr, mu:                   Row(  mu,     1, -lr*mu,         -lr,    0),
         "Nesterov momentum of torch and optax", "torch.optim.SGD(nesterov=True)"),
    Rule("keras_nesterov", lambda lr, mu:                   Row(  mu,   -lr,     mu,         -lr,    0),
         "Nesterov momentum of Keras and CS231n", "Keras SGD(nesterov=True); CS231n"),
    Rule("ema",            lambda lr, mu:                   Row(  mu,  1-mu,    -lr,           0,    0),
         "averaged gradient", "optax.ema(debias=False)"),
    Rule("qhm",            lambda lr, mu, nu:               Row(  mu,  1-mu, -lr*nu,  -lr*(1-nu),    0),
         "quasi-hyperbolic momentum", "Ma & Yarats 2019, eq. 3-4"),
    Rule("triple",         _triple,
         "triple momentum", "Van Scoy, Freeman & Lynch 2017"),
)  # fmt: skip


@dataclass(frozen=True)
class Method:
    """Hold a rule with its settings: what takes part in a race.

    >>> method = parse("classical:lr=0.01,mu=ramp(0.5,0.99,0.01)")
    >>> method.row(10)
    Row(keep=0.6, take=-0.01, move=1, kick=0, look=0)
    >>> str(method)
    'classical:lr=0.01,mu=ramp(0.5,0.99,0.01)'
    """

    rule: Rule
    settings: Mapping[str, Value]

    @property
    def name(self) -> str:
        """Return the rule's name."""
        return self.rule.name

    @property
    def steady(self) -> bool:
        """Say whether every step has the same row."""
        return not any(callable(v) and getattr(v, "name", "") != "constant" for v in self.settings.values())

    @property
    def label(self) -> str:
        """Write it for a legend, without the settings that have their default."""
        return " ".join((self.name, *self._words()))

    def row(self, t: Steps = 0) -> Row:
        """Return the row of step `t`; for an array of steps each entry has its shape or is one number for all.

        Raises `RuleError` where a schedule leaves the allowed range, naming the step.
        """
        values = {key: at(value, t) for key, value in self.settings.items()}
        self.check(values, t)
        return self.rule.row(**values)

    def check(self, values: Mapping[str, Number], t: Steps = 0) -> None:
        """Refuse values that are not finite or out of range; `t` are the steps they belong to."""
        for key, value in values.items():
            if isinstance(value, bool) or not (hasattr(value, "__float__") or hasattr(value, "dtype")):
                raise RuleError(f"{self.name}: {key} must be a number or a schedule, got {shown(value)}")
            setting = SETTINGS.get(key, ANY)
            fine = (abs(value) < math.inf) & setting.allowed(value)
            if _all(fine):
                continue
            if getattr(fine, "shape", ()):
                first = int(fine.argmin())
                value, t = value[first], t[first]
            when = f" at step {int(t)}" if callable(self.settings[key]) else ""
            raise RuleError(f"{self.name}: {key} must be {setting.sentence}, got {text_of(float(value))}{when}")
        if {"L", "m"} <= values.keys() and not _all(values["m"] <= values["L"]):
            m, L = (
                text_of(value) if isinstance(value, int | float) else "a schedule"
                for value in (values["m"], values["L"])
            )
            raise RuleError(
                f"{self.name}: m, the smallest curvature, must not be above L, got m={m} and L={L}; exchange them"
            )
        if self.rule.fits and values.keys() == self.settings.keys() and not _all(self.rule.fits(**values)):
            raise RuleError(f"{self.name}: {self.rule.misfit}")

    def __str__(self) -> str:
        return f"{self.name}:{','.join(self._words())}"

    def _words(self) -> list[str]:
        defaults = self.rule.parameters
        return [f"{k}={text_of(v)}" for k, v in self.settings.items() if callable(v) or v != defaults[k]]


def _all(fine: Any) -> bool:
    return bool(fine.all() if hasattr(fine, "all") else fine)


def find(name: str, rules: Mapping[str, Rule] = RULES) -> Rule:
    """Return the rule of that name, or say which one was probably meant."""
    known = name.strip().lower().replace("-", "_")
    if known not in rules:
        raise RuleError(f"no rule is called {shown(name)}; {nearest(known, rules)}")
    return rules[known]


def parse(text: str, rules: Mapping[str, Rule] = RULES) -> Method:
    """Read `name:key=value,…`; a value is a number or a schedule.

    >>> parse("nag:lr=cosine(0.1,1000),mu=sutskever(0.99)").row(0).keep
    0.5
    """
    rule, settings = read(text, rules)
    return rule(**settings)


def read(text: str, rules: Mapping[str, Rule] = RULES) -> tuple[Rule, dict[str, float | Schedule]]:
    """Read `name:key=value,…` as a rule and the settings that were given, whether or not they are all it needs."""
    name, _, settings = text.partition(":")
    rule = find(name, rules)
    try:
        call = tree(f"settings({settings})", "the settings") if "#" not in settings else None  # it would hide the rest
    except ScheduleError:
        call = None
    plain = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args
    keys = [k.arg for k in call.keywords] if isinstance(call, ast.Call) and plain else [None]
    if None in keys or not isinstance(call, ast.Call):
        raise RuleError(f"cannot read the settings {shown(settings)} of {rule.name}; write {rule.usage}")
    if len(set(keys)) < len(keys):
        raise RuleError(f"{rule.name}: a setting is given twice in {shown(settings)}; give each once")
    try:
        return rule, {str(k.arg): from_tree(k.value) for k in call.keywords}
    except ScheduleError as error:
        raise RuleError(f"{rule.name}: {error}") from None
