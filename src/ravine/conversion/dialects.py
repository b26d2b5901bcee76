"""Dialects: what each framework stores in the middle of a run, and what it calls the settings.

    stored buffer = sign·v of the rule        stored point = y, where the gradient is asked, or x, the iterate

A dialect names rows of the table and spells none: how one framework's buffer becomes another's follows from the rows
(`ravine.convert`). Any rule's name is a dialect too: that of `ravine.torch.Momentum`, whose buffer is the rule's own.
"""

import re
from collections.abc import Mapping
from inspect import Parameter
from typing import Any, NamedTuple

from ravine.charts import EVERY
from ravine.errors import ConvertError, RuleError, nearest, shown
from ravine.rules import Method, Rule, read

ASKED, ITERATE = "asked", "iterate"  # the stored point: where the gradient is asked, or x where that lies ahead of it
DECAYS = ("weight_decay", "wd")


class Dialect(NamedTuple):
    """Say what a framework stores: its rule, its buffer's sign, its point, and its names for the settings."""

    name: str
    rule: Rule  # what it runs
    ahead: Rule | None  # what it runs with its Nesterov switch on
    sign: int  # of the stored buffer against the rule's
    letters: Mapping[str, str]  # our letter -> its name
    update: str  # as the framework prints it
    source: str
    switch: str = ""  # the name of its Nesterov switch
    stores: str = ASKED
    decay: str = ""  # "coupled" or "decoupled": what its own weight_decay does, if it has one
    raw_start: bool = False  # whether its first update is not dampened
    maximizes: bool = False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Return the rules it can run."""
        return (self.rule, self.ahead) if self.ahead else (self.rule,)


def _framework(name: str, rule: str, ahead: str, letters: str, update: str, source: str, **more: Any) -> Dialect:
    """Make a dialect from words: `lr=learning_rate mu=momentum` says what our letters are called there."""
    pairs = dict(word.split("=") for word in letters.split())
    fields = {"sign": 1, **more}
    return Dialect(
        name, EVERY[rule], EVERY[ahead] if ahead else None, letters=pairs, update=update, source=source, **fields
    )


FRAMEWORKS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        _framework(
            "torch", "heavyball", "nesterov", "lr=lr mu=momentum tau=dampening", "b = mu·b + (1-tau)·g; x = x - lr·b",
            "torch.optim.SGD", switch="nesterov", decay="coupled", raw_start=True, maximizes=True,
        ),
        _framework(
            "qhoptim", "qhm", "", "lr=lr mu=momentum nu=nu", "m = mu·m + (1-mu)·g; x = x - lr·((1-nu)·g + nu·m)",
            "qhoptim.pyt.QHM", decay="coupled",
        ),
        _framework(
            "keras", "classical", "keras_nesterov", "lr=learning_rate mu=momentum", "v = mu·v - lr·g; x = x + v",
            "keras.optimizers.SGD, TF2", switch="nesterov", decay="decoupled",
        ),
        _framework(
            "tf1", "heavyball", "nesterov", "lr=learning_rate mu=momentum", "a = mu·a + g; x = x - lr·a",
            "tf.compat.v1.train.MomentumOptimizer", switch="use_nesterov",
        ),
        _framework(
            "optax", "heavyball", "nesterov", "lr=learning_rate mu=momentum", "t = mu·t + g; x = x - lr·t",
            "optax.sgd, optax.trace", switch="nesterov",
        ),
        _framework(
            "optax_ema", "ema", "", "lr=learning_rate mu=decay", "m = mu·m + (1-mu)·g; x = x - lr·m",
            "optax.chain(optax.ema(decay, debias=False), optax.scale(-learning_rate))",
        ),
        _framework(
            "mxnet", "classical", "keras_nesterov", "lr=learning_rate mu=momentum", "v = mu·v - lr·g; x = x + v",
            "MXNet 1.x sgd_mom_update and nag_mom_update", switch="nesterov", decay="coupled",
        ),
        _framework(
            "caffe", "classical", "keras_nesterov", "lr=base_lr mu=momentum", "V = mu·V + lr·g; x = x - V",
            "Caffe SGD and Nesterov solvers, Caffe2 MomentumSGD", sign=-1, switch="nesterov", decay="coupled",
        ),
        _framework(
            "sutskever", "classical", "nag", "lr=lr mu=mu", "v = mu·v - lr·g(x + mu·v); x = x + v",
            "Sutskever et al. 2013, eq. 1-4, with x stored", switch="nesterov", stores=ITERATE,
        ),
    )
}  # fmt: skip

ALIASES: Mapping[str, str] = {
    "pytorch": "torch",
    "tensorflow": "keras",
    "tf": "keras",
    "tf2": "keras",
    "trace": "optax",
    "optax_trace": "optax",
    "caffe2": "caffe",
    "nnabla": "caffe",
}
NAMES = (*FRAMEWORKS, *EVERY)


def of_rule(rule: Rule) -> Dialect:
    """Return the dialect of `ravine.torch.Momentum` with a rule: its own buffer, at the point where it asks."""
    letters = {key: {"mu": "momentum", "tau": "dampening"}.get(key, key) for key in rule.parameters}
    return Dialect(
        rule.name, rule, None, 1, letters, "", f"ravine.torch.Momentum(rule={rule.name!r})", decay="coupled",
        maximizes=True,
    )  # fmt: skip


def dialect(name: str) -> Dialect:
    """Return the dialect of that name, or say which one was probably meant.

    >>> dialect("caffe2").sign, dialect("nag").rule.name
    (-1, 'nag')
    """
    known = str(name).strip().lower().replace("-", "_")
    known = ALIASES.get(known, known)
    if known in FRAMEWORKS:
        return FRAMEWORKS[known]
    if known in EVERY:
        return of_rule(EVERY[known])
    raise ConvertError(f"no framework or rule is called {shown(name)}; {nearest(known, NAMES)}")


def read_dialect(text: str) -> tuple[Dialect, dict[str, Any]]:
    """Read `keras` or `keras:lr=0.01,mu=0.9,nesterov=1` as a dialect and the settings that were given.

    Raises:
        ConvertError: the name is unknown, or the settings cannot be read.

    Example:
        >>> found, given = read_dialect("keras:learning_rate=0.01,mu=0.9")
        >>> found.name, given
        ('keras', {'learning_rate': 0.01, 'mu': 0.9})
    """
    if not isinstance(text, str):
        raise ConvertError(f"a dialect is written like keras or classical:lr=0.01,mu=0.9, got {shown(text)}")
    found = dialect(text.partition(":")[0])
    words = re.sub(
        r"=\s*(true|false)\b", lambda m: f"={int(m[1].lower() == 'true')}", text.partition(":")[2], flags=re.I
    )
    try:
        _, given = read(f"{found.rule.name}:{words}", EVERY)
    except RuleError:
        usage = ",".join(f"{key}=…" for key in (*found.letters, *([found.switch] if found.switch else [])))
        raise ConvertError(
            f"cannot read the settings of {shown(text)}; write numbers, as in {found.name}:{usage}"
        ) from None
    for key, value in given.items():
        if callable(value):
            raise ConvertError(f"{found.name}: {key} is the number of the moment, got {value}; write its value there")
    return found, dict(given)


def sorted_out(found: Dialect, given: Mapping[str, Any]) -> tuple[dict[str, Any], bool | None, float | None]:
    """Return settings by our letters, the Nesterov switch and the weight decay, the last two None if not given."""
    ours = {theirs: letter for letter, theirs in found.letters.items()}
    settings: dict[str, Any] = {}
    switch = decay = None
    for key, value in given.items():
        if key in DECAYS:
            decay = float(value)
        elif key == found.switch:
            switch = bool(value)
        elif key in ours or key in found.letters:
            settings[ours.get(key, key)] = value
        else:
            known = [*found.letters.values(), *([found.switch] if found.switch else []), "weight_decay"]
            raise ConvertError(f"{found.name} has no setting {shown(key)}; {nearest(str(key), known)}")
    return settings, switch, decay


def method_of(found: Dialect, settings: Mapping[str, Any], ahead: bool = False) -> Method:
    """Make the method that a dialect runs with these settings, by our letters; refuses what is missing or out of range."""
    rule = found.ahead if ahead and found.ahead else found.rule
    if (
        found.raw_start and "lr" in settings and settings.get("mu") == 0
    ):  # torch then neither keeps a buffer nor dampens
        return EVERY["sgd"](lr=settings["lr"])
    missing = [key for key, default in rule.parameters.items() if key not in settings and default is Parameter.empty]
    if missing:
        words = ",".join(f"{key}=…" for key in rule.parameters)
        raise ConvertError(f"{found.name} needs {', '.join(missing)}, as of now; write {found.name}:{words}")
    return rule(**{key: value for key, value in settings.items() if key in rule.parameters})


def settings_of(found: Dialect, method: Method) -> dict[str, Any]:
    """Return a method's settings as the framework calls them.

    >>> settings_of(dialect("keras"), EVERY["keras_nesterov"](lr=0.01, mu=0.9))
    {'learning_rate': 0.01, 'momentum': 0.9, 'nesterov': True}
    """
    # What the method has no letter for is switched off: dampening of Nesterov's form, momentum of plain descent.
    told = {theirs: method.settings.get(letter, 0) for letter, theirs in found.letters.items()}
    if found.switch:
        told[found.switch] = found.ahead is not None and method.name == found.ahead.name
    return told
