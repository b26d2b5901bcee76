"""The probe against optimizers whose numbers are known, and whose mistakes were planted."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ravine.algebra import plain, response, same
from ravine.charts import EVERY
from ravine.cli.app import run
from ravine.conversion.equal import exact_row, exactly
from ravine.errors import ProbeError
from ravine.probe import Probed, probe
from ravine.probing.match import tidy
from ravine.rules import Method, Row
from ravine.torch.momentum import Momentum


class Rows(torch.optim.Optimizer):
    """Run a rule in plain form, as the table writes it, with at most one mistake or quirk."""

    def __init__(self, params: Any, rule: str, quirk: str = "", weight_decay: float = 0.0, **own: float) -> None:
        self.rule, self.quirk, self.stale = EVERY[rule], quirk, {}  # type: ignore[var-annotated]
        super().__init__(params, {**own, "weight_decay": weight_decay})

    def row(self, group: Any) -> Row:
        values = {k: group[k] for k in self.rule.parameters if k in group}
        if self.quirk == "momentum without effect":
            values["mu"] = 0.0
        if self.quirk == "lr twice":
            values["lr"] = values["lr"] ** 2
        return plain(Row(*map(float, self.rule.row(**values))))

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            keep, take, move, kick, _ = self.row(group)
            for p in group["params"]:
                if p.grad is None and self.quirk == "skip folded in":
                    p.grad = torch.zeros_like(p)
                if p.grad is None and self.quirk == "stale gradient":
                    p.grad = self.stale.get(p)
                if p.grad is None:
                    continue
                self.stale[p] = p.grad.clone()
                twice = 2 if self.quirk == "weight decay doubled" else 1
                g = p.grad + twice * group["weight_decay"] * p
                state = self.state[p]
                if "v" not in state:
                    state["v"] = torch.zeros_like(p)
                    if self.quirk == "seeded":
                        state["v"] = p.clone()
                    if self.quirk == "undampened":
                        state["v"] = (1 - take) * g / keep  # so that the first v is the gradient itself
                if self.quirk == "decoupled":
                    g = p.grad
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                if self.quirk == "decoupled, lr left out":
                    g = p.grad
                    p.mul_(1 - group["weight_decay"])
                if self.quirk == "decay both ways":
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                v = state["v"].mul_(keep).add_(take * g)
                p.add_(move * v + kick * g)


PLAIN: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "phases": (Phase.explicit, Phase.generate),  # a failing example is plain enough, and shrinking takes minutes
}


def codes(found: Probed) -> set[str]:
    """Return the codes of the findings."""
    return {f.code for f in found.findings}


# Settings of every rule, in its allowed range ---------------------------------------------------------------------

LR, MU = st.floats(1e-5, 10.0), st.floats(0.05, 0.99)
SOME: dict[str, Any] = {
    "sgd": st.fixed_dictionaries({"lr": LR}),
    "heavyball": st.fixed_dictionaries({"lr": LR, "mu": MU, "tau": st.floats(0, 0.95)}),
    "qhm": st.fixed_dictionaries({"lr": LR, "mu": MU, "nu": st.floats(0.05, 1)}),
    "triple": st.tuples(LR, st.floats(1.5, 1000)).map(lambda t: {"L": 1 / t[0], "m": 1 / t[0] / t[1]}),
    "snv": st.fixed_dictionaries(
        {"alpha": LR, "beta1": MU, "beta2": st.floats(-0.5, 1.5).filter(lambda b: abs(b) > 0.01)}
    ).filter(lambda s: abs(s["beta2"] * (1 - s["beta1"]) - s["beta1"]) > 0.01),  # else a pole cancels: it is descent
    "robust": st.tuples(LR, st.floats(2, 1000), st.floats(0.05, 0.95)).map(
        lambda t: {"L": 1 / t[0], "kappa": t[1], "rho": (1 - t[1] ** -0.5) + t[2] * (t[1] ** -0.5 - 1 / t[1])}
    ),
    "pid": st.fixed_dictionaries({"kp": LR.map(lambda x: -x), "ki": LR, "kd": LR}).filter(
        lambda s: 0.05 < s["kd"] / (s["kd"] - s["kp"]) < 0.99
    ),
    "accsgd": st.fixed_dictionaries({"delta": LR, "kappa": st.floats(20, 1000), "xi": st.floats(2, 20)}),
}
for name in EVERY:
    SOME.setdefault(name, st.fixed_dictionaries({"lr": LR, "mu": MU}))


def method_of(rule: str, own: dict[str, float]) -> Method:
    """Return the method."""
    return EVERY[rule](**own)


def exact(method: Method) -> Row:
    """Return a method's row in fractions."""
    row = exact_row(method.rule, {k: exactly(float(v)) for k, v in method.settings.items()})  # type: ignore[arg-type]
    assert row is not None
    return row


def agrees(found: Probed, rule: str, own: dict[str, float], tolerance: float = 1e-7) -> None:
    """Assert that a rule is among those found, with the settings it was run with."""
    assert found.kind in ("momentum", "descent")
    (mine,) = [m for m in (*found.rules, *found.alike) if m.name == rule]
    assert found.response is not None
    for seen, true in zip(found.response, response(method_of(rule, own).row()), strict=True):
        assert seen == pytest.approx(true, rel=tolerance, abs=tolerance * abs(found.response.b))
    if rule == "heavyball" and not found.asked:  # lr and tau are one number then
        assert mine.settings["lr"] == pytest.approx(own["lr"] * (1 - own["tau"]), rel=1e-5)
    elif rule != "accsgd":  # whose settings are not unique: a quadratic equation has two roots
        assert {k: float(v) for k, v in mine.settings.items()} == pytest.approx(own, rel=1e-5, abs=1e-7)  # type: ignore[arg-type]
    assert not found.faults


def black_box(rule: str, own: dict[str, float]) -> Callable[[Any], Any]:
    """Return `start(x0) -> step(g) -> x` of a rule in plain form."""
    keep, take, move, kick, _ = plain(Row(*map(float, method_of(rule, own).row())))

    def start(x0: Any) -> Any:
        state = {"x": x0, "v": np.zeros_like(x0)}

        def step(g: Any) -> Any:
            state["v"] = keep * state["v"] + take * g
            state["x"] = state["x"] + move * state["v"] + kick * g
            return state["x"]

        return step

    return start


@pytest.mark.parametrize("rule", EVERY)
@pytest.mark.parametrize("many", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_every_rule_is_recognised(rule: str, many: int) -> None:
    """Over 100 random settings of each rule and chart, its response and its settings come back from the parameters alone."""

    @settings(max_examples=many, **PLAIN)
    @given(SOME[rule])
    def check(own: dict[str, float]) -> None:
        agrees(probe(black_box(rule, own)), rule, own)

    check()


@pytest.mark.parametrize("rule", EVERY)
def test_every_rule_of_the_torch_optimizer(rule: str) -> None:
    """ravine.torch.Momentum is recognised as the rule it runs, alone, because settings are changed in the middle."""

    @settings(max_examples=4, **PLAIN)
    @given(SOME[rule], st.sampled_from([{}, {"weight_decay": 0.01}]))
    def check(own: dict[str, float], decay: dict[str, float]) -> None:
        alone(rule, own, decay)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("rule", EVERY)
def test_every_rule_of_the_torch_optimizer_often(rule: str) -> None:
    """The same over 100 random settings of each rule, with every kind of weight decay."""
    free = {"weight_decay": 0.01, "decoupled_weight_decay": True}

    @settings(max_examples=100, **PLAIN)
    @given(SOME[rule], st.sampled_from([{}, {"weight_decay": 0.01}, {"weight_decay": 0.5}, free]))
    def check(own: dict[str, float], decay: dict[str, Any]) -> None:
        if "lr" in own or len(decay) < 2:
            alone(rule, own, decay)

    check()


def alone(rule: str, own: dict[str, float], decay: dict[str, Any]) -> None:
    """Assert that the torch optimizer of a rule is recognised, and what else it could be is the same rule."""
    found = probe(lambda params: Momentum(params, rule=method_of(rule, own), **decay))
    agrees(found, rule, own, 1e-6)
    assert rule in [m.name for m in found.rules]
    assert found.weight_decay is not None
    if len(own) > 1:
        # What remains beside it is the same under every change: ema is qhm with nu = 1.
        assert {m.name for m in found.rules} <= {rule, "qhm", "ema"}
        wanted = "none" if not decay else "decoupled" if "decoupled_weight_decay" in decay else "coupled"
        assert found.weight_decay.where == wanted
    if decay and found.weight_decay.where == "coupled":
        assert found.weight_decay.coupled == pytest.approx(decay["weight_decay"], rel=1e-4)
    assert found.skip_harmless
    assert found.first_step == "like all others"


def test_what_is_the_same_is_named() -> None:
    """Without settings to change, every rule with an equal response is named, and each is the same row by `same`."""
    found = probe(black_box("nag", {"lr": 0.1, "mu": 0.9}))
    assert {m.name for m in found.rules} == {
        "nag",
        "nesterov",
        "keras_nesterov",
        "qhm",
        "snv",
        "robust",
        "pid",
        "accsgd",
    }
    mine = exact(method_of("nag", {"lr": 0.1, "mu": 0.9}))
    for method in found.rules:
        if method.name not in ("robust", "accsgd"):  # by roots of polynomials, to as many digits as a float has
            assert same(exact(method), mine), method


# Quirks and planted mistakes -------------------------------------------------------------------------------------

PLANTED = {
    "momentum without effect": "momentum-without-effect",
    "lr twice": "lr-twice",
    "seeded": "seeded-by-parameters",
    "undampened": "first-step",
    "skip folded in": "skip-folded-in",
    "stale gradient": "skip-folded-in",
    "weight decay doubled": "weight-decay-doubled",
    "decay both ways": "weight-decay-doubled",
}
NEEDS_MEMORY = st.sampled_from(["heavyball", "classical", "nesterov", "keras_nesterov", "ema"])


def planted(quirk: str, rule: str, own: dict[str, float], decay: float) -> Probed:
    """Probe an optimizer with one mistake."""
    return probe(lambda params: Rows(params, rule, quirk, weight_decay=decay, **own))


@pytest.mark.parametrize("quirk", PLANTED)
def test_a_planted_mistake_is_found(quirk: str) -> None:
    """Each mistake is found, and no other is, for any of some rules, lr, mu and weight decay."""

    @settings(max_examples=5, **PLAIN)
    @given(NEEDS_MEMORY, st.floats(1e-3, 0.5), st.floats(0.3, 0.98), st.sampled_from([0.01, 0.1]))
    def check(rule: str, lr: float, mu: float, decay: float) -> None:
        own = {"lr": lr, "mu": mu}
        if quirk == "undampened":
            rule = "ema"
        found = planted(quirk, rule, own, decay)
        assert PLANTED[quirk] in codes(found), found
        allowed = {PLANTED[quirk]}
        if quirk == "lr twice":
            allowed |= {"weight-decay-differs"}
        assert codes(found) <= allowed, found

    check()


@pytest.mark.parametrize("many", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_healthy_twins_raise_no_alarm(many: int) -> None:
    """Over 100 random rules and settings, with and without weight decay of either kind, nothing is found."""

    @settings(max_examples=many, **PLAIN)
    @given(
        NEEDS_MEMORY, st.floats(1e-4, 2), st.floats(0.02, 0.995), st.sampled_from([0, 1e-4, 0.01, 0.3]), st.booleans()
    )
    def check(rule: str, lr: float, mu: float, decay: float, free: bool) -> None:
        found = planted("decoupled" if free else "", rule, {"lr": lr, "mu": mu}, decay)
        assert codes(found) == set(), found
        assert found.weight_decay is not None
        assert found.weight_decay.where == ("none" if decay == 0 else "decoupled" if free else "coupled"), found
        assert rule in [m.name for m in found.rules]

    check()


@pytest.mark.parametrize(("quirk", "by_lr"), [("decoupled", True), ("decoupled, lr left out", False)])
def test_where_weight_decay_enters(quirk: str, by_lr: bool) -> None:
    """Decoupled decay is told from coupled, and whether it is multiplied by lr."""
    found = planted(quirk, "heavyball", {"lr": 0.02, "mu": 0.9}, 0.01)
    assert found.weight_decay is not None
    assert (found.weight_decay.where, found.decay_by_lr) == ("decoupled", by_lr)
    assert 1 - found.weight_decay.shrink == pytest.approx(0.01 * (0.02 if by_lr else 1), rel=1e-6)


@pytest.mark.parametrize(
    ("rule", "inside"), [("classical", True), ("heavyball", False), ("keras_nesterov", True), ("nesterov", False)]
)
def test_where_lr_is(rule: str, inside: bool) -> None:
    """A doubled lr says whether the velocity holds lr."""
    assert planted("", rule, {"lr": 0.02, "mu": 0.9}, 0.0).lr_inside is inside


def test_corrected_is_outside() -> None:
    """A classical velocity that is corrected when lr changes moves as one that holds no lr: Goyal et al. 2017, remark 2."""
    found = probe(lambda params: Momentum(params, lr=0.1, momentum=0.9, rule="classical", velocity="corrected"))
    assert (found.lr_inside, [m.name for m in found.rules]) == (False, ["heavyball"])


# A velocity that does not fade, numbers too large ----------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"nesterov": True}, {"maximize": True}, {"weight_decay": 0.1}])
@pytest.mark.parametrize("mu", [1.0, 1.0001, 1.5, 2.0])
def test_a_velocity_that_does_not_fade(mu: float, options: dict[str, Any]) -> None:
    """With momentum of 1 or more the velocity is said to grow or to stay, the direction is the asked one, b is negative."""
    found = probe(lambda params: torch.optim.SGD(params, lr=0.1, momentum=mu, **options))
    assert [f.code for f in found.faults] == ["velocity-grows"]
    assert ("grows by itself" if mu > 1 else "never fades") in found.faults[0].sentence
    assert found.ascends is ("maximize" in options)
    assert found.response is not None
    assert found.response.a == pytest.approx(mu, rel=1e-9)
    assert found.response.b == pytest.approx(-0.1 * (1 + mu * ("nesterov" in options)), rel=1e-9)


def test_a_velocity_that_grows_to_and_fro() -> None:
    """A factor of -1.5 grows too; the average m = -1.5 m + 2.5 g, added as it is, goes along the gradient."""
    found = probe("optax:ema(decay=-1.5,debias=False)")
    assert codes(found) == {"velocity-grows"}
    assert (found.ascends, found.response) == (True, pytest.approx((-1.5, -2.5, 0), abs=1e-12))


def test_a_negative_lr_climbs() -> None:
    """Along the gradient is told from against it where the velocity grows too."""
    found = probe(lambda params: Rows(params, "heavyball", lr=-0.5, mu=1.5, tau=0.0))
    assert (found.ascends, found.response) == (True, pytest.approx((1.5, -0.5, 0), abs=1e-12))


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9, 0.999, 0.999999])
def test_a_velocity_that_fades_is_no_fault(mu: float) -> None:
    """Below 1, however little, nothing is said to grow."""
    assert not probe(lambda params: torch.optim.SGD(params, lr=0.1, momentum=mu)).findings


def test_weight_decay_of_an_ascent() -> None:
    """torch adds the decay to the opposite gradient under maximize: 0.1 acts as 0.1, and the rule is found as without."""
    found = probe(lambda params: Rows(params, "heavyball", lr=-0.1, mu=0.9, tau=0.0, weight_decay=-0.1))
    assert (found.ascends, codes(found)) == (True, {"weight-decay-differs"})  # -0.1 was asked for: 0.1 downhill
    found = probe("torch:SGD(lr=0.1,momentum=0.9,weight_decay=0.1,maximize=True)")
    assert (str(found.rules[0]), codes(found)) == ("heavyball:lr=0.1,mu=0.9", set())
    assert found.weight_decay is not None
    assert found.weight_decay.coupled == pytest.approx(0.1, rel=1e-9)


@pytest.mark.parametrize("options", ["lr=1e300", "lr=1e300,momentum=0.9", "lr=1e160", "lr=0.1,momentum=1e12"])
def test_an_overflow_is_told(options: str) -> None:
    """Movements whose squares are no numbers any more are told to be that, not another kind of optimizer."""
    with pytest.raises(ProbeError, match=r"overflow; probe it with a smaller lr or momentum"):
        probe(f"torch:SGD({options})")


@pytest.mark.parametrize("lr", ["1e+100", "1e+145"])
def test_large_numbers_that_do_not_overflow(lr: str) -> None:
    """Below that a large lr is recognised as any other."""
    assert str(probe(f"torch:SGD(lr={lr},momentum=0.9)").rule) == f"heavyball:lr={lr},mu=0.9"


class Shared(torch.optim.Optimizer):
    """Keep one velocity for all parameters of one shape, or one for each if `apart`: heavy ball."""

    def __init__(self, params: Any, apart: bool) -> None:
        self.velocities: dict[Any, torch.Tensor] = {}
        super().__init__(params, {"apart": apart})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    key = p if group["apart"] else p.shape
                    v = self.velocities[key] = 0.9 * self.velocities.get(key, torch.zeros_like(p)) + p.grad
                    p.sub_(0.1 * v)


def test_a_velocity_shared_by_parameters_of_one_shape() -> None:
    """One velocity for all parameters of a shape mixes their gradients; one for each is heavy ball."""
    found = probe(lambda params: Shared(params, apart=False))
    assert found.kind == "coupled"
    assert "coordinates-coupled" in codes(found)
    assert "a vector is not a matrix" not in str(found)
    found = probe(lambda params: Shared(params, apart=True))
    assert (found.kind, codes(found)) == ("momentum", set())


# Not one buffer --------------------------------------------------------------------------------------------------


def of_filter(*moves: float) -> Callable[[Any], Any]:
    """Return an optimizer that answers a gradient with these moves, one a step."""

    def start(x0: Any) -> Any:
        past: list[Any] = []
        x = x0.copy()

        def step(g: Any) -> Any:
            past.insert(0, g)
            for move, old in zip(moves, past, strict=False):
                x[:] += move * old
            return x

        return step

    return start


def two_buffers(x0: Any) -> Any:
    """Average two momenta, as AggMo does."""
    x, one, two = x0.copy(), np.zeros_like(x0), np.zeros_like(x0)

    def step(g: Any) -> Any:
        one[:], two[:] = 0.5 * one + g, 0.9 * two + g
        x[:] -= 0.05 * (one + two)
        return x

    return step


def warming(x0: Any) -> Any:
    """Raise lr over ten steps."""
    x, count = x0.copy(), [0]

    def step(g: Any) -> Any:
        count[0] += 1
        x[:] -= 0.1 * min(1, count[0] / 10) * g
        return x

    return step


def clipping(x0: Any) -> Any:
    """Clip gradients at a large number."""
    x = x0.copy()

    def step(g: Any) -> Any:
        x[:] -= 0.1 * np.clip(g, -1000, 1000)
        return x

    return step


def normalising(x0: Any) -> Any:
    """Divide by the norm of all coordinates."""
    x = x0.copy()

    def step(g: Any) -> Any:
        x[:] -= 0.1 * g / (np.linalg.norm(g) + 1e-30)
        return x

    return step


def centring(x0: Any) -> Any:
    """Subtract the mean of all coordinates from the gradient: linear, but not one coordinate at a time."""
    x = x0.copy()

    def step(g: Any) -> Any:
        x[:] -= 0.1 * (g - g.mean())
        return x

    return step


def dicing(x0: Any) -> Any:
    """Add noise."""
    x, rng = x0.copy(), np.random.default_rng()

    def step(g: Any) -> Any:
        x[:] -= 0.1 * g + 0.01 * rng.standard_normal(g.shape)
        return x

    return step


def drifting(x0: Any) -> Any:
    """Move without any gradient."""
    x = x0.copy()

    def step(g: Any) -> Any:
        x[:] -= 0.1 * g + 0.01
        return x

    return step


def halving(x0: Any) -> Any:
    """Compute in single precision."""
    x, v = x0.copy(), np.zeros(x0.shape, np.float32)

    def step(g: Any) -> Any:
        v[:] = np.float32(0.9) * v + g.astype(np.float32)
        x[:] -= 0.1 * v
        return x

    return step


@pytest.mark.parametrize(
    ("start", "kind", "order"),
    [
        (two_buffers, "buffers", 2),
        (of_filter(-1.0, -0.5, -0.25), "buffers", None),
        (of_filter(-1.0, -0.5), "momentum", 1),  # a buffer that keeps nothing: a = 0, c = 1/2
        (warming, "changing", None),
        (clipping, "nonlinear", None),
        (normalising, "nonlinear", None),
        (centring, "coupled", None),
        (dicing, "random", None),
        (drifting, "drifting", None),
        (of_filter(0.0), "still", None),
        (halving, "momentum", 1),
    ],
)
def test_kinds(start: Any, kind: str, order: int | None) -> None:
    """What is no single momentum method is said to be none, with the reason."""
    found = probe(start)
    assert found.kind == kind, found
    assert found.how
    assert found.linear == (kind not in ("nonlinear", "random"))
    if order:
        assert found.order == order
    json.dumps(found.summary(), allow_nan=False)


def test_a_late_beginning_settles() -> None:
    """Of numbers that change only in the beginning those of the long run are named too."""
    found = probe(warming)
    assert found.response == pytest.approx((0.0, -0.1, 0.0), abs=1e-12)
    assert "in the long run" in str(found)


def test_single_precision_is_said() -> None:
    """An optimizer that rounds to single precision is still linear, and the rounding is stated."""
    found = probe(halving)
    assert codes(found) == {"single-precision"}
    assert 1e-9 < found.misfit < 1e-5


@pytest.mark.parametrize("start", [clipping, normalising])
def test_how_it_was_seen(start: Any) -> None:
    """The test that failed is told with its number."""
    assert re.fullmatch(r".* gradient moved (just|\S+ times) as far, not .*", probe(start).how)


@pytest.mark.parametrize(
    ("move", "says"),
    [
        (np.sign, "twice the gradient moved just as far, not twice as far"),
        (lambda g: np.sqrt(np.abs(g)) * np.sign(g), "twice the gradient moved 1.41 times as far, not 2"),
        (np.abs, "the opposite gradient moved just as far, not as far the other way"),
        (lambda g: np.where(np.abs(g) > 1, g, 1.001 * g), "otherwise than"),
    ],
)
def test_how_far_it_moved_reads_naturally(move: Any, says: str) -> None:
    """Neither "1 times as far" is written, nor two numbers that look alike: "2 times as far, not 2"."""

    def start(x0: Any) -> Any:
        x = x0.copy()

        def step(g: Any) -> Any:
            x[:] -= move(g)
            return x

        return step

    assert says in probe(start).how


def test_many_of_the_same_are_counted() -> None:
    """The report names three rules that are the same until a setting changes; the data hold all."""
    found = probe("torch:SGD(lr=0.1,momentum=0.9)")
    assert len(found.alike) == 5
    line = next(line for line in str(found).splitlines() if "until changed" in line)
    named = ", ".join(str(method) for method in found.alike[:3])
    assert line.endswith(f"{named} and 2 more; told apart by changing lr and momentum")
    assert [str(method) for method in found.alike] == found.summary()["alike"]
    assert f"{len(probe('optax:ema(decay=0.9)').alike) - 3} more" in str(probe("optax:ema(decay=0.9)"))


# Tidy numbers and bad input --------------------------------------------------------------------------------------


@given(st.decimals(-1000, 1000, places=6), st.floats(-1e-11, 1e-11))
@settings(max_examples=200, **PLAIN)
def test_tidy_returns_the_decimal_that_was_meant(number: Any, off: float) -> None:
    """A decimal number that rounding has moved is had back."""
    meant = float(number)
    if abs(meant) > 0.001:
        assert tidy(meant * (1 + off)) == pytest.approx(meant, rel=2e-9)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("torch:SDG(lr=0.1)", "did you mean 'SGD'"),
        ("torch:SGD(lr=-1)", "Invalid learning rate"),
        ("torch:SparseAdam(lr=0.1)", r"raised RuntimeError: SparseAdam does not support dense gradients.* in step"),
        ("optax:sdg(learning_rate=0.1)", "did you mean 'sgd'"),
        ("optax:sgd(rate=0.1)", "mend its settings"),
        ("optax:cosine_similarity()", "mend its settings|makes no transformation"),
        ("classical:lr=0.1", "write torch:SGD"),
        ("nowhere.py:start", "there is no file 'nowhere.py'; write path/to/file.py:function"),
        ("no/where:start", "there is no file 'no/where'"),
        ("\0:f", "write torch:SGD"),
        (3, "cannot probe '3'"),
        (lambda: 3, "returned int"),
        (lambda x0: x0, "made no optimizer|returned no function"),
        (lambda x0: lambda g: g[:2], r"returned shape \(2,\)"),
        (lambda x0: lambda g: 1 // 0, "ZeroDivisionError.* in step"),
        (lambda params: 1 // 0, "ZeroDivisionError"),
    ],
)
def test_refused_in_one_sentence(what: Any, says: str) -> None:
    """What cannot be probed is refused with a reason, on one line."""
    with pytest.raises(ValueError, match=says) as caught:
        probe(what)
    assert "\n" not in str(caught.value)


def test_an_optimizer_is_not_a_factory() -> None:
    """An optimizer that exists already is refused: every experiment begins with a new one."""
    with pytest.raises(ProbeError, match="give a function that makes one"):
        probe(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1))


def test_a_diverging_optimizer_is_told() -> None:
    """One that leaves the finite numbers is told so."""
    with pytest.raises(ProbeError, match="leaves the finite numbers"):
        probe(lambda x0: lambda g: x0 * np.inf)


# The command -----------------------------------------------------------------------------------------------------

FILE = """
def start(x0):
    x, v = x0.copy(), 0 * x0
    def step(g):
        v[:] = 0.9 * v - 0.04 * g
        x[:] = x + v
        return x
    return step

class Keras:
    def __init__(self):
        self.learning_rate, self.momentum, self.v = 0.1, 0.9, 0
    def apply(self, gradients, variables):
        self.v = self.momentum * self.v - self.learning_rate * gradients[0]
        variables[0] += self.v
"""


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`ravine probe` reads torch, optax and a file, prints a report or one JSON object, and writes it."""
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    out = tmp_path / "found.json"
    assert run(["probe", f"{file}:start", "--asked", "lr=0.2", "--json", "--out", str(out)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads(out.read_text())
    assert told["rules"][0] == "classical:lr=0.04,mu=0.9"
    assert [f["code"] for f in told["findings"]] == ["lr-twice"]
    assert run(["probe", f"{file}:Keras"]) == 0
    assert "classical:lr=0.1,mu=0.9" in capsys.readouterr().out
    assert run(["probe", "torch:SGD(lr=0.1,momentum=0.9)"]) == 0
    assert "heavyball:lr=0.1,mu=0.9" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["torch:SGD(lr=0.1"], "write one like torch:Adam"),
        (["torch:SGD(lr=0.1)", "--asked", "lr"], "--asked takes"),
        (["torch:SGD(lr=0.1)", "--out", "x.gif"], "suffix"),
        (["nothing"], "write torch:SGD"),
        (["nofile.py:g"], "there is no file 'nofile.py'"),
    ],
)
def test_the_command_refuses(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad input is one sentence on stderr and exit 2."""
    assert run(["probe", *arguments]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)
