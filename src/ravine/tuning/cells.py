"""What is searched: cells, each a rule, a learning rate, a momentum and the form of the schedule.

    level = log(effective lr) + (1 - SLOPE)·log(1 - mu)        depth = -log(1 - mu)

Along a line of equal level cells of different momentum do about equally well: at equal effective lr gradients that
agree move all of them alike, and what is lost at the border of stability costs a little more where mu is large.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ravine import algebra
from ravine.charts import EVERY
from ravine.errors import AlgebraError, TuneError, shown
from ravine.rules import Method, Rule, read
from ravine.schedules import SCHEDULES, Value

SLOPE = 0.85
ANY = ("nesterov", "heavyball")  # what "any" compares; torch.optim.SGD has both


class Form(NamedTuple):
    """Hold how the learning rate moves over a training."""

    name: str
    about: str
    part: float  # of the training, at its end, over which lr goes to 0

    def last(self, steps: int) -> int:
        """Return the number of updates over which the learning rate goes to 0."""
        return min(steps, max(1, round(self.part * steps))) if self.part else 0

    def schedule(self, lr: float, steps: int) -> Value:
        """Return the learning rate of so many updates."""
        last = self.last(steps)
        if not last:
            return lr
        line = SCHEDULES["linear"](lr, 0, last)
        return line if last == steps else SCHEDULES["then"](lr, steps - last, line)


FORMS: Mapping[str, Form] = {
    form.name: form
    for form in (
        Form("constant", "lr stays as it is", 0.0),
        Form("tail", "lr stays, and goes to 0 over the last fifth", 0.2),
        Form("linear", "lr goes to 0 in a straight line", 1.0),
    )
}


@dataclass(frozen=True)
class Cell:
    """Hold one choice: where it lies in the plane, and the form of its schedule."""

    rule: Rule
    lr: float
    mu: float | None  # None where the rule has none, or it is given
    form: str
    fixed: tuple[tuple[str, Value], ...] = ()

    def method(self, steps: int, form: str = "") -> Method:
        """Return the method that trains so many updates in this form."""
        momentum = {} if self.mu is None else {"mu": self.mu}
        return self.rule(lr=FORMS[form or self.form].schedule(self.lr, steps), **momentum, **dict(self.fixed))


@dataclass(frozen=True)
class Plane:
    """Hold the (lr, mu) plane of one rule: what is searched, and what is given."""

    rule: Rule
    fixed: Mapping[str, Value]

    @property
    def moves_mu(self) -> bool:
        """Say whether the momentum is searched."""
        return "mu" in self.rule.parameters and "mu" not in self.fixed

    def unit(self, mu: float | None) -> float:
        """Return the effective learning rate of lr = 1."""
        momentum = {} if mu is None else {"mu": mu}
        settings = {key: value(0) if callable(value) else value for key, value in self.fixed.items()}
        return float(algebra.effective_lr(self.rule.row(lr=1.0, **momentum, **settings)))

    def cell(self, level: float, depth: float, form: str = "tail") -> Cell:
        """Return the cell at a level and a depth; the depth means nothing where mu is not searched."""
        mu = -math.expm1(-depth) if self.moves_mu else None
        lr = math.exp(level + (1 - SLOPE) * (depth if self.moves_mu else 0.0)) / self.unit(mu)
        return Cell(
            self.rule,
            _short(lr),
            None if mu is None else round(1 - _short(1 - mu), 12),
            form,
            tuple(self.fixed.items()),
        )

    def where(self, cell: Cell) -> tuple[float, float]:
        """Return the level and the depth of a cell."""
        depth = 0.0 if cell.mu is None else -math.log1p(-cell.mu)
        return math.log(cell.lr) + math.log(self.unit(cell.mu)) - (1 - SLOPE) * depth, depth

    def limit(self, h: float, mu: float | None) -> float | None:
        """Return the learning rate below which the rule is stable for the curvature h, None where no formula says."""
        settings = {key: value for key, value in self.fixed.items() if not callable(value)}
        settings |= {} if mu is None else {"mu": mu}
        if h <= 0 or len(settings) < len(self.fixed):
            return None
        try:
            return float(algebra.limit_lr(self.rule, h, **settings))
        except AlgebraError:
            return None


def _short(value: float) -> float:
    """Round to three digits, so that what is recommended is what was trained."""
    return float(f"{value:.3g}")


def planes(rule: str) -> list[Plane]:
    """Read what is to be searched: a rule, settings that are held, or "any".

    >>> [plane.rule.name for plane in planes("any")]
    ['nesterov', 'heavyball']
    >>> planes("heavyball:mu=0.9")[0].moves_mu
    False
    """
    if rule.strip().lower() == "any":
        return [Plane(EVERY[name], {}) for name in ANY]
    found, fixed = read(rule, EVERY)
    _refuse(found, fixed)
    return [Plane(found, fixed)]


def _refuse(rule: Rule, fixed: Mapping[str, Any]) -> None:
    """Refuse a rule that has no learning rate, or whose learning rate is given."""
    if "lr" not in rule.parameters:
        raise TuneError(
            f"{rule.name} has no lr to tune; its settings are {', '.join(rule.parameters)}; name a rule with an lr, "
            "such as nesterov"
        )
    if "lr" in fixed:
        raise TuneError(f"the rule is {shown(rule.name)} with lr={fixed['lr']}, but lr is what is tuned; leave it out")
    rule(lr=1.0, **{"mu": 0.5} if "mu" in rule.parameters and "mu" not in fixed else {}, **fixed)
