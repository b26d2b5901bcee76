"""What a search recommends, and how it is told."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ravine.display import finite, picture, plain
from ravine.rules import Method
from ravine.schedules import at, text_of
from ravine.tuning.cells import FORMS, Cell
from ravine.tuning.finals import Standing
from ravine.tuning.lab import Trial

Line = tuple[tuple[float, float], ...]  # (mu, lr)


@dataclass(frozen=True)
class Recommendation:
    """Hold the settings that a search recommends for a task, and the evidence."""

    name: str  # of the task
    method: Method
    cell: Cell
    steps: int
    loss: float  # of all the data at the end, the mean over the seeds
    seeds: int  # that it was trained with
    spread: float  # standard deviation of its log loss over seeds
    lr_between: tuple[float, float]  # equal within noise, at this momentum
    mu_between: tuple[float, float] | None  # equal within noise, each at its own lr
    equal: tuple[Cell, ...]  # the cells that are equal within noise
    table: tuple[Standing, ...]  # of all cells that were trained to the end, the best first
    trials: tuple[Trial, ...]
    usual: tuple[Trial, ...]  # lr = 0.1 and 0.01 with mu = 0.9; empty where the budget is small
    budget: int  # gradient evaluations
    spent: Mapping[str, int]
    h_max: float | None  # largest curvature at the start
    limit: Line  # of the rule, for this curvature; empty where unknown
    interrupted: bool = False
    notes: tuple[str, ...] = field(default=())

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of the rule, schedules among them."""
        return dict(self.method.settings)

    @property
    def lr(self) -> float:
        """Return the learning rate, the first one where it is scheduled."""
        return self.cell.lr

    @property
    def mu(self) -> float | None:
        """Return the momentum, None for a rule that has none."""
        value = self.method.settings.get("mu")
        return None if value is None or callable(value) else float(value)

    @property
    def torch_lines(self) -> list[str]:
        """Return the lines to paste."""
        return lines(self.cell, self.method, self.steps)

    def summary(self) -> dict[str, Any]:
        """Return what `ravine tune --json` prints."""
        return {
            "task": self.name,
            "rule": self.method.name,
            "method": str(self.method),
            "settings": {key: plain(value) for key, value in self.method.settings.items()},
            "lr": self.lr,
            "mu": self.mu,
            "schedule": {"form": self.cell.form, "about": FORMS[self.cell.form].about},
            "steps": self.steps,
            "loss": {"mean": finite(self.loss), "seeds": self.seeds, "log_spread": finite(self.spread)},
            "interval": {"lr": list(self.lr_between), "mu": None if self.mu_between is None else list(self.mu_between)},
            "equal": [_cell(cell) for cell in self.equal],
            "torch": self.torch_lines,
            "sgd": sgd_lines(self.cell, self.steps),
            "budget": {"gradients": self.budget, "trainings": self.budget / self.steps, "spent": dict(self.spent),
                       "total": sum(self.spent.values())},
            "curvature": {"h_max": finite(self.h_max), "limit": [list(point) for point in self.limit]},
            "usual": [{**_cell(t.cell), "loss": finite(t.loss)} for t in self.usual],
            "trials": [
                {**_cell(t.cell), "seed": t.seed, "updates": t.made, "whole": t.whole, "loss": finite(t.loss),
                 "diverged": t.loss == math.inf, "purpose": t.purpose}
                for t in self.trials
            ],
            "interrupted": self.interrupted,
            "notes": list(self.notes),
        }  # fmt: skip

    def plot(self) -> Any:
        """Return the evidence as a Matplotlib figure."""
        return picture("evidence", self)


@dataclass(frozen=True)
class Exact:
    """Hold the best settings of a rule for a surface, by the algebra of its Hessian at a minimum."""

    name: str  # of the surface
    method: Method
    rate: float  # factor of the error per step
    point: tuple[float, ...]
    curvatures: tuple[float, float]  # the least and the largest positive one
    others: tuple[tuple[str, Mapping[str, float], float], ...]  # rules that were compared: name, settings, rate
    notes: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of the rule."""
        return dict(self.method.settings)

    @property
    def lr(self) -> float:
        """Return the learning rate."""
        return float(at(self.method.settings["lr"], 0))

    @property
    def mu(self) -> float | None:
        """Return the momentum, None for a rule that has none."""
        return float(at(self.method.settings["mu"], 0)) if "mu" in self.method.settings else None

    def summary(self) -> dict[str, Any]:
        """Return what `ravine tune --json` prints."""
        return {
            "surface": self.name,
            "rule": self.method.name,
            "method": str(self.method),
            "settings": {key: plain(value) for key, value in self.method.settings.items()},
            "rate": self.rate,
            "at": list(self.point),
            "curvatures": list(self.curvatures),
            "rules": [{"rule": name, "settings": dict(settings), "rate": rate} for name, settings, rate in self.others],
            "notes": list(self.notes),
        }

    def plot(self) -> Any:
        """Return the prediction at these settings as a Matplotlib figure."""
        from ravine.predict import predict

        return picture("predictions", [predict(self.name, self.method)])


def _cell(cell: Cell) -> dict[str, Any]:
    return {"rule": cell.rule.name, "lr": cell.lr, "mu": cell.mu, "form": cell.form}


# To paste --------------------------------------------------------------------------------------------------------

OURS = {"mu": "momentum", "tau": "dampening"}
SGD = {"sgd": "", "heavyball": "", "nesterov": ", nesterov=True"}  # what torch.optim.SGD has too


def lines(cell: Cell, method: Method, steps: int) -> list[str]:
    """Return the lines that train with a method: the optimizer, and the schedule where there is one."""
    first = {**dict(cell.fixed), "lr": cell.lr, **({} if cell.mu is None else {"mu": cell.mu})}
    defaults = method.rule.parameters
    order = [key for key in defaults if first.get(key, defaults[key]) != defaults[key]]
    words = [f"{OURS.get(key, key)}={_text(first[key])}" for key in order]
    made = [f'optimizer = ravine.torch.Momentum(model.parameters(), {", ".join(words)}, rule="{method.name}")']
    moving = {key: value for key, value in method.settings.items() if callable(value)}
    if moving:
        said = ", ".join(f'{OURS.get(key, key)}="{text_of(value)}"' for key, value in moving.items())
        made.append(f"ravine.torch.Schedule(optimizer, {said})")
    return made


def sgd_lines(cell: Cell, steps: int) -> list[str]:
    """Return the same with torch.optim.SGD alone, nothing where it has no such rule or schedule."""
    if cell.rule.name not in SGD or any(callable(value) for _, value in cell.fixed):
        return []
    given = {"momentum": cell.mu, **{OURS.get(key, key): value for key, value in cell.fixed}}
    words = [f"lr={_text(cell.lr)}", *(f"{key}={_text(value)}" for key, value in given.items() if value)]
    made = [f"optimizer = torch.optim.SGD(model.parameters(), {', '.join(words)}{SGD[cell.rule.name]})"]
    last = FORMS[cell.form].last(steps)
    if last:
        share = f"({steps} - t) / {last}"
        made.append(f"scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1, max(0, {share})))")
    return made


def _text(value: Any) -> str:
    return f'"{text_of(value)}"' if callable(value) else text_of(value)
