"""Tuning: exact optima where there are any, a noisy quadratic whose optimum is known, budgets, borders and what is refused."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from ravine import algebra
from ravine.errors import RuleError, TuneError
from ravine.rules import parse
from ravine.tasks import Task
from ravine.tuning import Exact, Recommendation, tune
from ravine.tuning.cells import FORMS, planes
from ravine.tuning.recommendation import lines, sgd_lines

H = np.array([1.0, 4.0, 25.0])
STEPS = 60


class Bowl:
    """Train a quadratic of curvatures H from (1, 1, 1) by the rows of each method, as a crew does."""

    def __init__(self, task: Any, runs: Any, *, steps: int) -> None:
        self.runs, self.steps, self.made, self.off = runs, steps, 0, set[int]()
        self.curves = [0.5 * self._ends(method, steps) for method, _ in runs]

    @staticmethod
    def _ends(method: Any, steps: int) -> Any:
        with np.errstate(all="ignore"):
            x = algebra.states(method, H, np.ones(3), steps)[..., 0]
            loss = (H * x**2).sum(axis=1)
        bad = ~(loss < 1e12)
        if bad.any():
            loss[bad.argmax() :] = np.nan
        return loss

    @property
    def alive(self) -> list[int]:
        return [k for k, curve in enumerate(self.curves) if k not in self.off and np.isfinite(curve[self.made])]

    @property
    def losses(self) -> Any:
        return np.array([curve[: self.made] for curve in self.curves]).reshape(len(self.curves), self.made)

    @property
    def gradients(self) -> int:
        return self.spent if hasattr(self, "spent") else 0

    def advance(self, updates: int) -> None:
        self.spent = self.gradients + len(self.alive) * updates
        self.made += updates

    def drop(self, indices: Any) -> None:
        self.off |= set(indices)

    def measure(self) -> list[tuple[float, dict[str, float]]]:
        last = [float(curve[self.made]) for curve in self.curves]
        return [(value if math.isfinite(value) else math.inf, {}) for value in last]


def _data(scale: float = 1.0) -> Any:
    x = scale * torch.sqrt(torch.tensor(H, dtype=torch.float32) * 3).diag()  # half the mean square: curvatures H
    return (x, torch.zeros(3, 1))


def _task(loss: Any = None, **more: Any) -> Task:
    def squares(model: Any, batch: Any) -> Any:
        return (model(batch[0]) - batch[1]).square().mean() / 2

    def model() -> Any:
        made = torch.nn.Linear(3, 1, bias=False)
        torch.nn.init.ones_(made.weight)
        return made

    return Task(**{"model": model, "loss": loss or squares, "data": _data(), "batch": 3, "steps": STEPS, **more})


@pytest.fixture(scope="module")
def bowl() -> Recommendation:
    found = tune(_task(), 20, "heavyball", engine=Bowl)
    assert isinstance(found, Recommendation)
    return found


def test_the_stand_in_trains_as_torch_does() -> None:
    """The quadratic by rows ends where a training of the same task ends, to float32."""
    from ravine.torch.training import train

    method = parse("heavyball:lr=0.05,mu=0.5")
    assert train(_task(), method).loss == pytest.approx(float(0.5 * Bowl._ends(method, STEPS)[STEPS]), rel=1e-2)


# Surfaces --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "settings"),
    [
        ("sgd", {"lr": 2 / 102}),
        ("heavyball", {"lr": (2 / (10 + math.sqrt(2))) ** 2, "mu": ((10 - math.sqrt(2)) / (10 + math.sqrt(2))) ** 2}),
        ("nesterov", {"lr": 4 / 302, "mu": (math.sqrt(151) - 2) / (math.sqrt(151) + 2)}),
    ],
)
def test_a_surface_has_its_exact_optimum(rule: str, settings: dict[str, float]) -> None:
    """On x² + 50y² the settings are those of the theorems, to rounding."""
    found = tune("x^2 + 50y^2", rule=rule)
    assert isinstance(found, Exact)
    for key, value in settings.items():
        assert found.settings[key] == pytest.approx(value, rel=1e-12)
    assert found.rate == pytest.approx(
        max(algebra.rate(found.method.row(0), 2.0), algebra.rate(found.method.row(0), 100.0)), rel=1e-6
    )


def test_any_rule_on_a_surface_is_the_fastest() -> None:
    """Of nesterov and heavyball the heavy ball is faster on a quadratic, and both are told."""
    found = tune("x^2 + 50y^2")
    assert found.method.name == "heavyball"
    assert {name for name, _, _ in found.others} == {"nesterov", "heavyball"}
    assert found.rate == min(rate for _, _, rate in found.others)


def test_a_held_momentum_stays_on_a_surface() -> None:
    """With mu held, lr is 2(1 + mu)/(h_min + h_max)."""
    found = tune("x^2 + 50y^2", rule="heavyball:mu=0.5")
    assert (found.mu, found.lr) == (0.5, pytest.approx(float(Fraction(3, 102))))


def test_a_saddle_has_no_optimum() -> None:
    """A surface that falls without bound is refused in one sentence."""
    with pytest.raises(TuneError, match="no minimum, so no optimum"):
        tune("x^2 - y^2")


# A quadratic task ------------------------------------------------------------------------------------------------


def test_the_quadratic_is_tuned_to_its_best(bowl: Recommendation) -> None:
    """On a noiseless quadratic the recommendation takes off nine tenths of the digits that the best of 40 x 40 cells does."""
    best = min(
        float(np.nan_to_num(0.5 * Bowl._ends(parse(f"heavyball:lr={lr},mu={mu}"), STEPS)[STEPS], nan=np.inf))
        for lr in np.geomspace(1e-3, 0.2, 40)
        for mu in np.linspace(0, 0.98, 40)
    )
    at_start = 0.5 * H.sum()
    # Sixty steps take fourteen digits off; what is left of them is compared in digits.
    assert math.log(bowl.loss / at_start) < 0.8 * math.log(best / at_start)


def test_the_recommendation_beats_the_usual_settings(bowl: Recommendation) -> None:
    """Both usual settings end higher, and both are told."""
    assert len(bowl.usual) == 2
    assert all(trial.loss > bowl.loss for trial in bowl.usual)


def test_the_limit_line_is_the_rules(bowl: Recommendation) -> None:
    """The line holds 2(1 + mu)/h_max for the measured curvature, which is 25."""
    assert bowl.h_max == pytest.approx(25, rel=0.02)
    for mu, lr in bowl.limit:
        assert lr == pytest.approx(2 * (1 + mu) / bowl.h_max)


@pytest.mark.parametrize("budget", [3, 5, 8, 13, 20, 40])
@pytest.mark.parametrize("rule", ["any", "heavyball", "sgd", "nesterov:mu=0.9", "qhm:nu=0.7"])
def test_a_budget_is_never_exceeded(budget: float, rule: str) -> None:
    """Whatever the rule and the budget, what was spent is at most the budget, and the parts are the whole."""
    found = tune(_task(), budget, rule, engine=Bowl)
    assert 0 < sum(found.spent.values()) <= found.budget == budget * STEPS
    assert math.isfinite(found.loss)


def test_it_is_what_was_trained(bowl: Recommendation) -> None:
    """The recommended cell was trained to the end, with as many seeds as it says, and its mean loss is theirs."""
    own = [t for t in bowl.trials if t.cell == bowl.cell and t.whole]
    assert len({t.seed for t in own}) == bowl.seeds >= 1
    assert bowl.loss == pytest.approx(np.mean([t.loss for t in own]))
    assert str(bowl.cell.method(STEPS)) == str(bowl.method)


def test_the_interval_holds_the_recommendation(bowl: Recommendation) -> None:
    """lr and mu lie within their own intervals, and the cell among the equal ones."""
    assert bowl.lr_between[0] <= bowl.lr <= bowl.lr_between[1]
    assert bowl.mu_between is not None
    assert bowl.mu_between[0] <= bowl.mu <= bowl.mu_between[1]  # type: ignore[operator]
    assert bowl.cell in bowl.equal


def test_the_same_seed_finds_the_same(bowl: Recommendation) -> None:
    """Tuning twice recommends the same."""
    assert str(tune(_task(), 20, "heavyball", engine=Bowl).method) == str(bowl.method)


def test_a_border_is_told() -> None:
    """Where one training at one lr is all there is, both sides of it are unknown, and it is said."""
    from ravine.tuning.work import border

    plane = planes("heavyball")[0]
    found = tune(_task(), 20, "heavyball", engine=Bowl)
    largest = max((t for t in found.trials if t.purpose != "usual"), key=lambda t: plane.where(t.cell)[0])
    assert any("largest" in note for note in border(largest.cell, found.trials, plane))
    assert not any("lr" in note for note in found.notes)


def test_an_interruption_keeps_the_best_so_far() -> None:
    """Ctrl-C in the middle returns what was found until then, and says so."""

    def stop(spent: int, total: int) -> None:
        if spent > 0.75 * total:
            raise KeyboardInterrupt

    found = tune(_task(), 20, "heavyball", engine=Bowl, tick=stop)
    assert found.interrupted
    assert any("interrupted" in note for note in found.notes)
    assert sum(found.spent.values()) < found.budget


# A real training -------------------------------------------------------------------------------------------------


def test_a_real_training_is_tuned() -> None:
    """Through the lanes of torch the recommendation is what training it again gives."""
    from ravine.torch.training import train

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]]) + 0.1 * torch.randn(60, 1, generator=generator)
    task = _task(data=(x, y), batch=12, steps=24, model=lambda: torch.nn.Linear(4, 1))
    found = tune(task, 8, "nesterov")
    again = [train(task, found.method, seed=t.seed).loss for t in found.trials if t.cell == found.cell and t.whole]
    assert found.loss == pytest.approx(np.mean(again), rel=1e-3)
    assert found.loss < 0.1 * train(task, "sgd:lr=0").loss


# What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [0, 2.9, -1, math.nan, math.inf, True, "20"])
def test_a_budget_too_small_is_refused(budget: Any) -> None:
    """Less than three trainings, or no number, is one sentence that says what is enough."""
    with pytest.raises(TuneError, match="give at least 3"):
        tune(_task(), budget)


@pytest.mark.parametrize(
    ("rule", "message"),
    [("triple", "no lr to tune"), ("heavyball:lr=0.1", "leave it out"), ("pid", "no lr to tune")],
)
def test_a_rule_without_a_free_lr_is_refused(rule: str, message: str) -> None:
    """Only a rule whose lr is free can be tuned."""
    with pytest.raises(TuneError, match=message):
        tune(_task(), rule=rule)


def test_a_missing_setting_is_named() -> None:
    """qhm needs its nu."""
    with pytest.raises(RuleError, match="needs nu"):
        tune(_task(), rule="qhm")


def test_too_few_steps_are_refused() -> None:
    """A training of three updates cannot be cut short."""
    with pytest.raises(TuneError, match="at least 4 steps"):
        tune(_task(), steps=3)


def test_a_loss_that_is_no_number_is_refused() -> None:
    """NaN from the first step is one sentence, before anything is searched."""
    from ravine.errors import RavineError

    with pytest.raises(RavineError, match="nan"):
        tune(_task(loss=lambda model, batch: model(batch[0]).sum() * math.nan))


def test_divergence_everywhere_is_said() -> None:
    """Where every training diverges there is nothing to recommend, and the smallest lr tried is told."""

    class Lost(Bowl):
        @staticmethod
        def _ends(method: Any, steps: int) -> Any:
            return np.where(np.arange(steps + 1) < 1, 1.0, np.nan)

    with pytest.raises(TuneError, match=r"trainings diverged, down to lr ="):
        tune(_task(), 20, "heavyball", engine=Lost)


# Lines to paste --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["heavyball", "nesterov", "sgd", "classical", "heavyball:tau=0.5,mu=0.9"])
@pytest.mark.parametrize("form", list(FORMS))
def test_the_lines_make_the_optimizer_that_was_recommended(rule: str, form: str) -> None:
    """Pasted, ravine's lines and torch's own train to the same point as the method."""
    import ravine
    import ravine.torch
    from ravine.torch.training import optimizer_of

    cell = planes(rule)[0].cell(math.log(0.05), math.log(2), form)
    wanted, ours, theirs = (torch.nn.Linear(3, 1, bias=False) for _ in range(3))
    for model in (ours, theirs):
        model.load_state_dict(wanted.state_dict())
    names: dict[str, Any] = {"ravine": ravine, "torch": torch, "model": ours}
    exec("\n".join(lines(cell, cell.method(10), 10)), names)  # our own text
    trained = [(wanted, optimizer_of(cell.method(10), wanted.parameters()), None), (ours, names["optimizer"], None)]
    if pasted := sgd_lines(cell, 10):
        names = {"torch": torch, "model": theirs}
        exec("\n".join(pasted), names)
        trained.append((theirs, names["optimizer"], names.get("scheduler")))
    for model, optimizer, scheduler in trained:
        for _ in range(10):
            optimizer.zero_grad()
            (model(_data()[0]).square().mean() / 2).backward()
            optimizer.step()
            if scheduler:
                scheduler.step()
        if model is theirs and "tau" in rule:
            continue  # torch leaves dampening out of its first step
        torch.testing.assert_close(model.weight, wanted.weight, rtol=1e-5, atol=1e-7)


def test_the_leader_is_climbed_from_until_more_is_worse() -> None:
    """Where a larger learning rate is better than all that halving liked, it is tried, and so is one beyond the best."""
    from ravine.tuning import finals
    from ravine.tuning.cells import planes
    from ravine.tuning.lab import Lab, Trial
    from ravine.tuning.ledger import Ledger

    class Bowl(Lab):
        def whole(self, cells, purpose):  # type: ignore[no-untyped-def]
            for cell, seed in cells:
                self.ledger.spend(purpose, self.steps)
                loss = (1 + (np.log(cell.lr) - np.log(0.5)) ** 2) / 100
                self.trials.append(Trial(cell, seed, self.steps, loss, True, purpose, np.full(self.steps, loss)))
            return self.trials

    (plane,) = planes("nesterov")
    lab = Bowl(None, 10, Ledger(200), lambda *_: None)  # type: ignore[arg-type]
    first = plane.cell(np.log(0.1 / (1 - 0.9)), -np.log(0.1))
    lab.whole([(first, 0)], "halving")
    finals.climb(lab, [plane], 0)
    rates = sorted(t.cell.lr for t in lab.trials)
    best = min(lab.trials, key=lambda t: t.loss).cell.lr
    assert first.lr < best < rates[-1]
    assert 0.3 < best < 0.8
