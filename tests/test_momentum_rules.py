"""Momentum with a rule of the table is that rule: against the one stepper, hand-written recurrences and the papers."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from momenta import OURS, PATHS, assert_same, buffers, made, one_thread, twins  # noqa: F401
from ravine.charts import EVERY
from ravine.errors import RuleError
from ravine.rules import Row
from ravine.stepper import step
from ravine.torch import Momentum, Schedule

ours = pytest.mark.parametrize("path", OURS)

SETTINGS: Mapping[str, Mapping[str, float]] = {
    "sgd": {"lr": 0.004}, "classical": {"lr": 0.004, "mu": 0.9}, "heavyball": {"lr": 0.004, "mu": 0.8, "tau": 0.3},
    "nag": {"lr": 0.004, "mu": 0.9}, "nesterov": {"lr": 0.004, "mu": 0.9}, "keras_nesterov": {"lr": 0.004, "mu": 0.9},
    "ema": {"lr": 0.03, "mu": 0.9}, "qhm": {"lr": 0.03, "mu": 0.9, "nu": 0.7}, "triple": {"L": 150, "m": 2},
    "snv": {"alpha": 0.004, "beta1": 0.9, "beta2": 0.4}, "robust": {"L": 150, "kappa": 75.0, "rho": 0.9},
    "pid": {"kp": -0.01, "ki": 0.004, "kd": 0.05}, "accsgd": {"delta": 0.003, "kappa": 40.0, "xi": 5.0, "eps": 0.7},
}  # fmt: skip


def mine(lr: float, mu: float, far: float = 0.3) -> Row:
    """Return a row that is nobody's, with all five numbers."""
    return Row(mu, 0.5, -lr, -lr * far, -lr * far)


def quadratic(x: Any) -> Any:
    """Return the gradient of x² + xy + 25y²."""
    return 2 * x[0] + x[1], x[0] + 50 * x[1]


def bent(x: Any) -> Any:
    """Return the gradient of cosh(x) + x²y²/10 + 9y² + sin(y), which is no quadratic."""
    xp = torch if torch.is_tensor(x) else np
    return xp.sinh(x[0]) + x[0] * x[1] ** 2 / 5, x[0] ** 2 * x[1] / 5 + 18 * x[1] + xp.cos(x[1])


def stepper(row: Callable[[int], Row], gradient: Any, start: tuple[float, float], steps: int) -> tuple[Any, Any]:
    """Walk the one stepper; returns x and v, (steps + 1, 2) each."""
    x, v = np.array(start)[:, None], np.zeros((2, 1))
    xs, vs = [x[:, 0]], [v[:, 0]]

    def slopes(at: Any, out: Any) -> None:
        out[:] = np.stack(gradient(at))

    for t in range(steps):
        x_next, v_next, g = np.empty_like(x), np.empty_like(x), np.empty_like(x)
        step(row(t), x, v, slopes, x_next, v_next, g)
        x, v = x_next, v_next
        xs.append(x[:, 0])
        vs.append(v[:, 0])
    return np.array(xs), np.array(vs)


def arguments(settings: Mapping[str, float]) -> dict[str, float]:
    return {{"mu": "momentum", "tau": "dampening"}.get(k, k): v for k, v in settings.items()}


def walk(optimizer: Momentum, p: Tensor, gradient: Any, steps: int, each: Any = None) -> tuple[Any, Any]:
    """Step an optimizer and return x, as `at_iterate` shows it, and v after each step."""
    xs, vs = [p.detach().numpy().copy()], [np.zeros(2)]
    for t in range(steps):
        if each is not None:
            each(t)
        p.grad = torch.stack(gradient(p.detach()))
        optimizer.step()
        with optimizer.at_iterate():
            xs.append(p.detach().numpy().copy())
        v = buffers(optimizer, [p])[0]
        vs.append(np.zeros(2) if v is None else v.numpy().copy())
    return np.array(xs), np.array(vs)


def point(*start: float) -> Tensor:
    return torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))


@ours
@pytest.mark.parametrize("gradient", [quadratic, bent])
@pytest.mark.parametrize("name", [*EVERY, "mine"])
def test_every_rule_is_its_row(name: str, gradient: Any, path: str) -> None:
    """60 steps of each rule, chart and a function of one's own end every time where the one stepper's do, to 1e-12."""
    settings = SETTINGS.get(name, {"lr": 0.004, "mu": 0.6})
    row = EVERY[name].row(**settings) if name in EVERY else mine(**settings)
    xs, vs = stepper(lambda t: row, gradient, (2.0, 1.0), 60)
    p = point(2.0, 1.0)
    optimizer = made([p], path, rule=name if name in EVERY else mine, **arguments(settings))
    found = walk(optimizer, p, gradient, 60)
    np.testing.assert_allclose(found[0], xs, rtol=1e-12, atol=1e-12)
    if name != "sgd":
        np.testing.assert_allclose(found[1], vs, rtol=1e-12, atol=1e-12)


@ours
@pytest.mark.parametrize("zero", [0, 0.0])
@pytest.mark.parametrize("name", ["classical", "heavyball", "nag", "nesterov", "keras_nesterov", "ema", "qhm", "snv"])
def test_a_momentum_of_0_in_between_is_a_momentum_like_others(name: str, zero: float, path: str) -> None:
    """mu goes to 0 and back, as an integer or not, and the rule stays its row: the buffer and the look-ahead follow."""
    key = "beta1" if name == "snv" else "momentum"
    mus = [0, 0, 0.5, 0.9, zero, zero, 0.8, 0.9, zero, 0.7]
    settings = {k: v for k, v in SETTINGS[name].items() if k != "tau"}
    letter = "mu" if key == "momentum" else "beta1"

    def row(t: int) -> Row:
        known = EVERY[name].row(**{**settings, letter: mus[t]})
        # Nobody has told the next mu: what is stored looks ahead by the one of its own step.
        return known._replace(look=EVERY[name].row(**{**settings, letter: mus[max(t - 1, 0)]}).look)

    p = point(2.0, 1.0)
    optimizer = made([p], path, rule=name, **{**arguments(settings), key: mus[0]})
    found = walk(optimizer, p, bent, len(mus), lambda t: optimizer.param_groups[0].update({key: mus[t]}))
    np.testing.assert_allclose(found[0], stepper(row, bent, (2.0, 1.0), len(mus))[0], rtol=1e-12, atol=1e-12)


def ramp(t: int) -> float:
    return min(0.5 + 0.01 * t, 0.99)


@ours
def test_nag_under_a_ramp_is_the_papers_recurrence(path: str) -> None:
    """x² + 50y² from (9, 1), lr 0.005, mu from 0.5 by 0.01: |x + mu·v| is 1.7868 after 40 steps, as on paper."""
    x, v = np.array([9.0, 1.0]), np.zeros(2)
    curvature = np.array([2.0, 100.0])
    p = point(9.0, 1.0)
    optimizer = made([p], path, lr=0.005, momentum=0.5, rule="nag")
    Schedule(optimizer, momentum="ramp(0.5,0.99,0.01)")
    for t in range(40):
        v = ramp(t) * v - 0.005 * curvature * (x + ramp(t) * v)
        x = x + v
        p.grad = p.detach() * torch.tensor(curvature)
        optimizer.step()
        np.testing.assert_allclose(p.detach().numpy(), x + ramp(t + 1) * v, rtol=1e-12)
        with optimizer.at_iterate():
            np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-12, atol=1e-14)
    assert float(p.detach().norm()) == pytest.approx(1.7868, abs=5e-5)


def test_torchs_nesterov_under_a_ramp_is_torchs() -> None:
    """Under the same ramp torch's own form ends at 1.8204, which is not the paper's; nesterov=True is the same here."""
    ends = []
    for optimizer_of in (Momentum, torch.optim.SGD):
        p = point(9.0, 1.0)
        optimizer = optimizer_of([p], lr=0.005, momentum=0.5, nesterov=True)
        for t in range(40):
            optimizer.param_groups[0]["momentum"] = ramp(t)
            p.grad = p.detach() * torch.tensor([2.0, 100.0], dtype=torch.float64)
            optimizer.step()
        ends.append(p)
    assert_same(ends[:1], ends[1:])
    assert float(ends[0].detach().norm()) == pytest.approx(1.8204, abs=5e-5)


@ours
def test_foresight_says_the_next_momentum_and_absent_gradients_lose_nothing(path: str) -> None:
    """A parameter that had no gradient while mu rose is stored with the mu of the step in which it has one again."""
    p, q = point(2.0, 1.0), point(2.0, 1.0)
    optimizer = made([p, q], path, lr=0.004, momentum=0.5, rule="nag")
    optimizer.foresight.append(lambda group: {"momentum": ramp(now + 1)})
    x, v = np.array([2.0, 1.0]), np.zeros(2)
    for now in range(20):
        optimizer.param_groups[0]["momentum"] = ramp(now)
        p.grad = torch.stack(bent(p.detach()))
        q.grad = None if now % 3 == 1 else torch.stack(bent(q.detach()))
        if q.grad is not None:
            v = ramp(now) * v - 0.004 * np.stack(bent(x + ramp(now) * v))
            x = x + v
        optimizer.step()
        np.testing.assert_allclose(q.detach().numpy(), x + ramp(now + 1) * v, rtol=1e-12)


LRS = [0.004, 0.004, 0.002, 0.006, 0.001, 0.0, 0.003, 0.003, 0.0005, 0.004]


@ours
@pytest.mark.parametrize("velocity", ["kept", "corrected"])
@pytest.mark.parametrize("name", ["classical", "nag", "keras_nesterov"])
def test_a_changed_lr_keeps_the_velocity_or_corrects_it(name: str, velocity: str, path: str) -> None:
    """Against Goyal et al.'s eq. 10 written out, without and with the factor lr/lr_before, through lr = 0."""
    x, v, before = np.array([2.0, 1.0]), np.zeros(2), 0.0
    p, q = point(2.0, 1.0), point(1.0, -1.0)
    optimizer = made([p, q], path, lr=LRS[0], momentum=0.8, rule=name, velocity=velocity)
    stored = x
    for lr in LRS:
        optimizer.param_groups[0]["lr"] = lr
        scale = lr / before if velocity == "corrected" and before else 1.0
        g = np.stack(bent(stored))
        v = 0.8 * scale * v - lr * g
        x = x + (v if name != "keras_nesterov" else 0.8 * v - lr * g)
        stored = x + 0.8 * v if name == "nag" else x
        before = lr
        p.grad = torch.stack(bent(p.detach()))
        q.grad = torch.ones_like(q)
        optimizer.step()
        np.testing.assert_allclose(p.detach().numpy(), stored, rtol=1e-12)
        np.testing.assert_allclose(buffers(optimizer, [p])[0].numpy(), v, rtol=1e-12, atol=1e-15)


@ours
@pytest.mark.parametrize("absent", [False, True])
def test_corrected_classical_momentum_is_heavy_ball(absent: bool, path: str) -> None:
    """Under any schedule of lr: eq. 9 and eq. 10 with the correction walk one path, parameters without gradient too."""
    a, b = [point(2.0, 1.0), point(1.0, 3.0)], [point(2.0, 1.0), point(1.0, 3.0)]
    one = made(a, path, lr=0.01, momentum=0.9, rule="classical", velocity="corrected")
    other = torch.optim.SGD(b, lr=0.01, momentum=0.9)
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(o, 40, eta_min=1e-4) for o in (one, other)]
    for t in range(60):
        for ps, optimizer, schedule in zip((a, b), (one, other), schedules, strict=True):
            for i, p in enumerate(ps):
                p.grad = None if absent and t % 4 == 1 + i else torch.stack(bent(p.detach()))
            optimizer.step()
            schedule.step()
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@ours
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("name", ["sgd", "classical", "heavyball", "nag", "qhm", "nesterov"])
def test_weight_decay_enters_where_it_is_said(name: str, maximize: bool, decoupled: bool, path: str) -> None:
    """Coupled it joins the gradient where that is asked for; decoupled it shrinks x, also of one that looks ahead."""
    settings, sign = SETTINGS[name], -1 if maximize else 1
    lr, decay = settings["lr"], 0.7
    keep, take, move, kick, look = EVERY[name].row(**settings)
    x, v = np.array([0.2, 0.1]), np.zeros(2)
    p = point(0.2, 0.1)
    options = {"weight_decay": decay, "maximize": maximize, "decoupled_weight_decay": decoupled}
    optimizer = made([p], path, rule=name, **arguments(settings), **options)
    for _ in range(25):
        y = x + look * v
        g = sign * np.stack(bent(y))
        g, x = (g, x * (1 - lr * decay)) if decoupled else (g + decay * y, x)
        v = keep * v + take * g
        x = x + move * v + kick * g
        p.grad = torch.stack(bent(p.detach()))
        optimizer.step()
        np.testing.assert_allclose(p.detach().numpy(), x + look * v, rtol=1e-12, atol=1e-13)


@ours
@pytest.mark.parametrize("name", [None, "classical", "nag", "qhm"])
def test_a_velocity_of_its_own_dtype_is_never_rounded_to_the_parameters(name: str | None, path: str) -> None:
    """bfloat16 parameters with a float32 velocity: v is that of a float32 recurrence over the same gradients."""
    p = torch.nn.Parameter(torch.linspace(-1, 1, 37).bfloat16())
    settings = {"lr": 0.1, "momentum": 0.9, **({"nu": 0.7} if name == "qhm" else {})}
    optimizer = made([p], path, rule=name, state_dtype=torch.float32, **settings)
    keep, take = (0.9, 1.0) if name is None else EVERY[name].row(**{**SETTINGS[name], "lr": 0.1})[:2]
    source, v = torch.Generator().manual_seed(0), torch.zeros(37)
    for t in range(12):
        p.grad = torch.randn(37, generator=source).bfloat16()
        optimizer.step()
        v = keep * v + take * p.grad.float()
        held = buffers(optimizer, [p])[0]
        torch.testing.assert_close(held, v, rtol=1e-6, atol=1e-7)
        if t == 5:
            q = torch.nn.Parameter(p.detach().clone())
            again = made([q], path, rule=name, state_dtype=torch.float32, **settings)
            again.load_state_dict(optimizer.state_dict())
            assert_same(buffers(again, [q]), [held])


@ours
def test_at_iterate_shows_x_and_gives_back_every_bit(path: str) -> None:
    """Nested blocks, one that raises, what is saved inside, and a step inside, which is refused."""
    ps = [torch.nn.Parameter(torch.randn(5)) for _ in range(2)]
    optimizer = made(ps, path, lr=0.1, momentum=0.9, rule="nag")
    for _ in range(3):
        for p in ps:
            p.grad = torch.randn(5)
        optimizer.step()
    stored = [p.detach().clone() for p in ps]
    expected = [p - 0.9 * optimizer.state[p]["velocity"] for p in stored_with(optimizer, ps)]
    with optimizer.at_iterate():
        torch.testing.assert_close([p.detach() for p in ps], expected)
        shown = [p.detach().clone() for p in ps]
        with optimizer.at_iterate():
            assert_same(ps, shown)
        assert_same(ps, shown)
        assert optimizer.state_dict()["param_groups"][0]["look"] == 0
        with pytest.raises(RuleError, match="leave the block first"):
            optimizer.step()
    assert_same(ps, stored)
    with pytest.raises(KeyError), optimizer.at_iterate():
        raise KeyError
    assert_same(ps, stored)
    assert optimizer.param_groups[0]["look"] == 0.9
    other = [p.detach() for p in twins(ps)]
    plain = Momentum([torch.nn.Parameter(other[0])], 0.1, 0.9)
    with plain.at_iterate():
        assert_same(plain.param_groups[0]["params"], other[:1])


def stored_with(optimizer: Momentum, ps: list[Tensor]) -> list[Tensor]:
    return [p for p in optimizer.param_groups[0]["params"] if any(p is q for q in ps)]


@ours
def test_groups_may_run_different_rules(path: str) -> None:
    """A group names a rule of its own with its settings, as text, as a function or by keys."""
    ps = [point(2.0, 1.0) for _ in range(4)]
    groups = [{"params": [ps[0]]}, {"params": [ps[1]], "rule": "qhm:nu=0.7", "lr": 0.03}]
    groups += [{"params": [ps[2]], "rule": mine, "momentum": 0.6}, {"params": [ps[3]], "rule": None}]
    optimizer = made(groups, path, lr=0.004, momentum=0.9, rule="nag")
    for _ in range(10):
        for p in ps:
            p.grad = torch.stack(bent(p.detach()))
        optimizer.step()
    rows = [
        EVERY["nag"].row(0.004, 0.9),
        EVERY["qhm"].row(0.03, 0.9, 0.7),
        mine(0.004, 0.6),
        EVERY["heavyball"].row(0.004, 0.9),
    ]
    with optimizer.at_iterate():
        for p, row in zip(ps, rows, strict=True):
            xs, _ = stepper(lambda t, row=row: row, bent, (2.0, 1.0), 10)
            np.testing.assert_allclose(p.detach().numpy(), xs[-1], rtol=1e-12)
    with pytest.raises(RuleError, match="qhm needs nu"):
        optimizer.add_param_group({"params": [point(1.0, 1.0)], "rule": "qhm"})
    with pytest.raises(RuleError, match="no rule is called"):
        optimizer.add_param_group({"params": [point(1.0, 1.0)], "rule": "nagg"})
    assert len(optimizer.param_groups) == 4


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("skipped", [[0], [4], [1, 3, 5, 7], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("rule", [None, "dampened", "classical", "nag", "qhm", "corrected"])
def test_a_step_that_a_grad_scaler_leaves_out_changes_nothing(rule: str | None, skipped: list[int], path: str) -> None:
    """Parameters and buffers are to the bit those of a run without the steps whose gradients overflowed."""
    if path == "fused" and rule not in (None, "dampened"):
        return
    options: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}
    if rule == "dampened":
        options["dampening"] = 0.5
    elif rule is not None:
        options["rule"] = "classical" if rule == "corrected" else rule
        options.update({"nu": 0.7} if rule == "qhm" else {"velocity": "corrected"} if rule == "corrected" else {})
    source = torch.Generator().manual_seed(0)
    a = [torch.nn.Parameter(torch.randn(n, generator=source)) for n in (3, 40)]
    b = twins(a)
    one, other = made(a, path, **options), made(b, path, **options)
    # A scale of 1 that stays: what is left out is all that differs.
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=10**6, backoff_factor=1 - 2**-50)
    for t in range(9):
        slopes = [torch.randn(p.shape, generator=source) for p in a]
        for ps, optimizer in ((a, one), (b, other)):
            for p, g in zip(ps, slopes, strict=True):
                p.grad = g.clone()
            if optimizer is one:
                if t in skipped:
                    a[1].grad[7] = math.inf
                scaler.scale(torch.zeros(()))
                scaler.step(optimizer)
                scaler.update(1.0)
            elif t not in skipped:
                optimizer.step()
        assert_same(a, b)
        assert_same(buffers(one, a), buffers(other, b))
