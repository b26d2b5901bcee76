"""Schedules of a torch optimizer: values, counting, living beside torch's own schedulers."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, Adam, AdamW
from torch.optim import lr_scheduler as theirs

from drawn import schedules, seeded
from ravine.errors import ScheduleError
from ravine.schedules import nesterov83
from ravine.torch import Momentum
from ravine.torch.keys import Key, evaluated
from ravine.torch.schedule import Schedule
from scheduled import RAMP, descend, point, sgd, start, value

# Values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (RAMP, lambda t: min(0.5 + 0.01 * t, 0.99)),
        ("sutskever(0.99,4)", lambda t: min(1 - 2 ** (-1 - math.log2(t // 4 + 1)), 0.99)),
        ("nesterov83", lambda t: 1 - 3 / (t + 5)),
        ("finaldrop(ramp(0.5,0.99,0.1),14,0.7,5)", lambda t: min(0.5 + 0.1 * t, 0.99, 1.0 if t < 9 else 0.7)),
        ("warmup(0.8,5,0.937)", lambda t: 0.8 + (0.937 - 0.8) * min(t / 5, 1)),
        ("cosine(0.9,12,0.1)", lambda t: 0.1 + 0.8 * (1 + math.cos(math.pi * min(t, 12) / 12)) / 2),
        ("step(0.9,0.5,3)", lambda t: 0.9 * 0.5 ** (t // 3)),
        ("linear(0.5,0.9,8)", lambda t: 0.5 + 0.4 * min(t / 8, 1)),
        (lambda t: 0.9 / (t + 1), lambda t: 0.9 / (t + 1)),
        (lambda t: np.float32(0.5), lambda t: 0.5),
        (0.75, lambda t: 0.75),
    ],
)
@pytest.mark.parametrize("key", ["momentum", "betas[1]"])
def test_values(text: Any, formula: Callable[[int], float], key: str) -> None:
    """Update t is made with the formula's value at t, as a Python number, through a real optimizer."""
    optimizer: Any = sgd() if key == "momentum" else Adam([start()], lr=0.01)
    Schedule(optimizer, {key: nesterov83(1) if text == "nesterov83" else text})
    used = [each[key] if key == "momentum" else each["betas"][1] for each in descend(optimizer, 15)]
    np.testing.assert_allclose(used, [formula(t) for t in range(15)], rtol=1e-14)
    assert {type(each) for each in used} == {float}


@seeded
@given(schedules(), st.integers(0, 700))
def test_one_step_is_numpys(schedule: Any, t: int) -> None:
    """A schedule worked out for one update without NumPy is what NumPy finds."""
    with np.errstate(all="ignore"):
        expected = schedule(t)
    if math.isfinite(expected):
        assert evaluated(schedule, Key("anything", None), t) == pytest.approx(expected, rel=1e-13, abs=1e-13)
    else:
        with pytest.raises(ScheduleError, match=f"finite, got .* at step {t}"):
            evaluated(schedule, Key("anything", None), t)


@pytest.mark.parametrize(
    ("settings", "scheduler"),
    [
        ({"lr": "cosine(0.01,50)"}, lambda o: theirs.CosineAnnealingLR(o, 50)),
        ({"lr": "cosine(0.01,50,0.001)"}, lambda o: theirs.CosineAnnealingLR(o, 50, eta_min=0.001)),
        ({"lr": "step(0.01,0.5,7)"}, lambda o: theirs.StepLR(o, 7, 0.5)),
        ({"lr": "warmup(0.002,10,0.01)"}, lambda o: theirs.LinearLR(o, 0.2, total_iters=10)),
        ({"lr": "exponential(0.01,0.05)"}, lambda o: theirs.ExponentialLR(o, math.exp(-0.05))),
        (
            {"lr": "onecycle(0.0004,0.01,51,4e-8)", "momentum": "onecycle(0.95,0.85,51,0.95)"},
            lambda o: theirs.OneCycleLR(o, 0.01, total_steps=51),
        ),
    ],
    ids=lambda x: "+".join(x) if isinstance(x, dict) else "",
)
def test_torchs_schedulers(settings: dict[str, str], scheduler: Callable[[Any], Any]) -> None:
    """Our text and torch's scheduler of the same name lead SGD to the same point in 50 updates."""
    ours, other = sgd(lr=0.01), sgd(lr=0.01)
    Schedule(ours, settings)
    descend(ours, 50)
    descend(other, 50, scheduler(other).step)
    np.testing.assert_allclose(point(ours), point(other), rtol=1e-12)


def test_the_recurrence() -> None:
    """SGD under the ramp is v' = mu_t v + g, x' = x - lr v', written out."""
    optimizer = sgd()
    Schedule(optimizer, momentum=RAMP)
    descend(optimizer, 60)
    x, v, h = np.array([9.0, 1.0]), np.zeros(2), np.array([2.0, 100.0])
    for t in range(60):
        v = min(0.5 + 0.01 * t, 0.99) * v + h * x
        x = x - 0.005 * v
    np.testing.assert_allclose(point(optimizer), x, rtol=1e-12)


def test_groups_and_lists() -> None:
    """A list has one value for each group, None leaves one alone; `groups` names those to which a value applies."""
    optimizer = AdamW([{"params": [start()], "lr": lr} for lr in (0.1, 0.2, 0.3)])
    schedule = Schedule(optimizer, {"betas[0]": ["linear(0.9,0.5,4)", None, 0.8]}, lr=["step(1,0.5,1)", 2, None])
    second = Schedule(optimizer, groups=[2], weight_decay="ramp(0,1,0.25)")
    descend(optimizer, 2)
    assert [group["betas"] for group in optimizer.param_groups] == [(0.7, 0.999), (0.9, 0.999), (0.8, 0.999)]
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 2, 0.3] == schedule.get_last_lr()
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.01, 0.01, 0.5]
    assert schedule.values(0) == {"betas[0]": [0.9, None, 0.8], "lr": [1, 2, None]}
    assert second.values() == {"weight_decay": [None, None, 0.5]}
    assert "updates=2" in repr(schedule)
    assert "groups=[2], updates=2" in repr(second)


def test_a_group_that_is_added() -> None:
    """A group added later follows a schedule for all from its first update on, and none of a list or of `groups`."""
    optimizer = sgd()
    Schedule(optimizer, momentum=RAMP)
    Schedule(optimizer, lr=[0.25])
    Schedule(optimizer, groups=[0], weight_decay=0.125)
    descend(optimizer, 3)
    optimizer.add_param_group({"params": [start()], "momentum": 0.1, "lr": 0.5})
    seen: list[float] = []
    optimizer.register_step_pre_hook(lambda o, *_: seen.append(o.param_groups[1]["momentum"]))
    descend(optimizer, 2)
    assert seen == [0.53, 0.54]
    assert (optimizer.param_groups[1]["lr"], optimizer.param_groups[1]["weight_decay"]) == (0.5, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_is_filled(dtype: torch.dtype) -> None:
    """A setting that stands in a tensor stays in that tensor, and its rounding is no other writer's doing."""
    lr, beta = torch.tensor(0.1, dtype=dtype), torch.tensor(0.9, dtype=dtype)
    optimizer = Adam([start()], lr=lr, betas=(beta, torch.tensor(0.99)), capturable=False, foreach=False)
    schedule = Schedule(optimizer, {"betas[0]": RAMP}, lr="step(0.1,0.3,1)")
    schedule.step()
    descend(optimizer, 3)
    assert optimizer.param_groups[0]["lr"] is lr
    assert optimizer.param_groups[0]["betas"][0] is beta
    assert (lr.item(), beta.item()) == (torch.tensor(0.1 * 0.3**3, dtype=dtype).item(), torch.tensor(0.53, dtype=dtype))
    lr.fill_(lr.item())  # the same value once more is no conflict
    descend(optimizer, 1)
    lr.fill_(1.0)
    with pytest.raises(ScheduleError, match="lr of param group 0 was set to"):
        descend(optimizer, 1)


def test_whole_numbers_stay_whole() -> None:
    """A setting that counts, such as LBFGS's max_iter, is given whole numbers where the function returns them."""
    w = start()
    optimizer = torch.optim.LBFGS([w], lr=0.001, max_iter=2, max_eval=100)
    schedule = Schedule(optimizer, max_iter=lambda t: np.int64(2 + t))
    calls: list[int] = []

    def closure() -> torch.Tensor:
        calls.append(optimizer.param_groups[0]["max_iter"])
        optimizer.zero_grad()
        (loss := value(w)).backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    assert schedule.updates == 3
    assert calls == [2, 2, 3, 3, 3, 4, 4, 4, 4]
    assert type(calls[0]) is int


# What counts as an update ----------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda p: SGD(p, lr=0.1, momentum=0.5),
    "SGD fused": lambda p: SGD(p, lr=0.1, momentum=0.5, fused=True),
    "AdamW": lambda p: AdamW(p, lr=0.1),
    "AdamW fused": lambda p: AdamW(p, lr=0.1, fused=True),
    "Momentum": lambda p: Momentum(p, lr=0.1, momentum=0.5, rule="nag"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "bad", [{0}, {4}, set(range(0, 10, 2)), set(range(10))], ids=["first", "middle", "half", "all"]
)
def test_gradscaler(kind: str, bad: set[int]) -> None:
    """An update that a GradScaler leaves out does not advance the schedule, whoever leaves it out, on any step."""
    w = start(torch.float32)
    optimizer = KINDS[kind]([w])
    key = "betas[0]" if "Adam" in kind else "momentum"
    schedule = Schedule(optimizer, {key: RAMP})
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    made = 0
    for i in range(10):
        optimizer.zero_grad()
        before = w.detach().clone()
        scaler.scale(value(w) * (math.inf if i in bad else 1.0)).backward()
        scaler.step(optimizer)
        scaler.update()
        made += not torch.equal(before, w)
    assert schedule.updates == made == 10 - len(bad)
    group = optimizer.param_groups[0]
    assert (group["betas"][0] if "Adam" in kind else group["momentum"]) == 0.5 + 0.01 * made


def test_accumulation() -> None:
    """Gradients of three passes that make one update advance the schedule once."""
    optimizer = sgd()
    schedule = Schedule(optimizer, momentum=RAMP)
    for i in range(12):
        value(optimizer.param_groups[0]["params"][0]).backward()
        if i % 3 == 2:
            optimizer.step()
            optimizer.zero_grad()
    assert schedule.updates == 4


def test_a_step_within_a_step() -> None:
    """An optimizer whose step calls its parent's makes one update, also after a step that raised."""

    class Child(SGD):
        fails = False

        def step(self, closure: Any = None) -> Any:
            if self.fails:
                raise KeyboardInterrupt
            return super().step(closure)

    sgd()  # from here on torch runs hooks in the parent's step too
    child = Child([start()], lr=0.005, momentum=0.5)
    schedule = Schedule(child, momentum=RAMP)
    descend(child, 3)
    child.fails = True
    with pytest.raises(KeyboardInterrupt):
        child.step()
    child.fails = False
    descend(child, 2)
    assert schedule.updates == 5


def test_step_may_be_called() -> None:
    """A loop that calls `step()` after each update, or twice, goes the same way to the last bit."""
    plain, called = sgd(), sgd()
    Schedule(plain, momentum=RAMP)
    schedule = Schedule(called, momentum=RAMP)
    descend(plain, 20)
    descend(called, 20, lambda: (schedule.step(), schedule.step()))
    assert point(plain) == point(called)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, while it compiles
@pytest.mark.parametrize("how", ["method", "function"])
def test_compiled(how: str) -> None:
    """A compiled step follows the schedule, is not compiled anew for each value, and goes where the other goes."""
    from torch._dynamo.testing import CompileCounter

    plain, other = sgd(), sgd()
    Schedule(plain, momentum=RAMP)
    schedule = Schedule(other, momentum=RAMP)
    descend(plain, 15)
    torch._dynamo.reset()
    counter, w, original = CompileCounter(), other.param_groups[0]["params"][0], other.step
    step = torch.compile(original if how == "method" else lambda: original(), backend=counter)
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        for _ in range(15):
            w.grad = None
            value(w).backward()
            step()
    assert schedule.updates == 15
    assert counter.frame_count <= 2
    np.testing.assert_allclose(point(other), point(plain), rtol=1e-14)


# Beside torch's schedulers ---------------------------------------------------------------------------------------

BESIDE: dict[str, Callable[[Any], Any]] = {
    "StepLR": lambda o: theirs.StepLR(o, 3, 0.5),
    "OneCycleLR": lambda o: theirs.OneCycleLR(o, 0.01, total_steps=30, cycle_momentum=False),
    "CyclicLR": lambda o: theirs.CyclicLR(o, 0.001, 0.01, 4, cycle_momentum=False),
    "SequentialLR": lambda o: theirs.SequentialLR(
        o, [theirs.LinearLR(o, 0.1, total_iters=4), theirs.CosineAnnealingLR(o, 16)], [4]
    ),
    "ReduceLROnPlateau": lambda o: theirs.ReduceLROnPlateau(o, patience=2, threshold=0.5),
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("ours_first", [True, False])
def test_beside_torchs_scheduler(name: str, ours_first: bool) -> None:
    """torch's scheduler of lr and our Schedule of momentum each do what they do alone, without a warning."""

    def run(both: bool, momentum: bool = True) -> tuple[list[float], list[float]]:
        optimizer = sgd()
        if momentum and ours_first:
            Schedule(optimizer, momentum=RAMP)
        scheduler = BESIDE[name](optimizer) if both else None
        if momentum and not ours_first:
            Schedule(optimizer, momentum=RAMP)
        steps = iter(range(100))
        asks = (lambda: (1 / (1 + next(steps) // 5),)) if name == "ReduceLROnPlateau" else (lambda: ())
        used = descend(optimizer, 20, lambda: scheduler.step(*asks()) if scheduler else None)
        return [u["lr"] for u in used], [u["momentum"] for u in used]

    (lr, momentum), (lr_alone, _), (_, momentum_alone) = run(True), run(True, False), run(False)
    assert lr == lr_alone
    assert len(set(lr)) > 1
    assert momentum == momentum_alone
    assert len(set(momentum)) == 20


def test_two_writers_are_refused() -> None:
    """Who else sets a scheduled key is told so before the update is made, and the update is not."""
    optimizer = sgd()
    scheduler = theirs.OneCycleLR(optimizer, 0.01, total_steps=30)
    schedule = Schedule(optimizer, momentum=RAMP)
    with pytest.raises(ScheduleError, match=r"momentum of param group 0 .*cycle_momentum=False.*remove"):
        descend(optimizer, 5, scheduler.step)
    here = point(optimizer)
    with pytest.raises(ScheduleError, match="for update 1"):
        descend(optimizer, 1)
    assert point(optimizer) == here
    assert schedule.updates == 1
    schedule.remove()
    descend(optimizer, 5, scheduler.step)
    assert schedule.updates == 1
