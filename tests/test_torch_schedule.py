"""Schedules of a torch optimizer's settings: values, counting, resuming, living beside torch's own schedulers."""

import copy
import io
import math
import pickle
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.optim import SGD, Adam, AdamW
from torch.optim import lr_scheduler as theirs

from drawn import schedules, seeded
from ravine.errors import DrawError, ScheduleError
from ravine.schedules import finaldrop, nesterov83, onecycle, ramp, warmup
from ravine.torch import Momentum
from ravine.torch.keys import Key, evaluated, numbers
from ravine.torch.schedule import Schedule

RAMP = "ramp(0.5,0.99,0.01)"
Loop = Callable[..., Any]


def start(dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([9.0, 1.0], dtype=dtype))


def value(w: torch.Tensor) -> torch.Tensor:
    return w[0] ** 2 + 50 * w[1] ** 2


def descend(optimizer: Any, steps: int, then: Loop = lambda: None) -> list[dict[str, Any]]:
    """Make so many updates of f = x² + 50y² and return the settings with which each was made."""
    used: list[dict[str, Any]] = []
    for _ in range(steps):
        optimizer.zero_grad()
        value(optimizer.param_groups[0]["params"][0]).backward()
        used.append({k: v for k, v in optimizer.param_groups[0].items() if k != "params"})
        optimizer.step()
        then()
    return used


def sgd(**settings: Any) -> SGD:
    return SGD([start()], **{"lr": 0.005, "momentum": 0.5, **settings})


def point(optimizer: torch.optim.Optimizer) -> list[float]:
    return [x for group in optimizer.param_groups for p in group["params"] for x in p.detach().double().tolist()]


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


# Saving and going on ---------------------------------------------------------------------------------------------

MAKERS: list[Callable[[Any], Any]] = [
    lambda p: SGD(p, lr=0.005, momentum=0.5),
    lambda p: AdamW(p, lr=torch.tensor(0.01)),
    lambda p: Momentum(p, lr=0.005, momentum=0.5, rule="nag"),
    lambda p: Momentum(p, lr=0.005, momentum=0.5, rule="classical", velocity="corrected"),
]
MU = st.sampled_from([RAMP, "sutskever(0.95,3)", "onecycle(0.95,0.85,20,0.95)", "then(0.5,6,nesterov83(0.9))", "0.7"])
LR = st.sampled_from(["cosine(0.005,20)", "warmup(0,5,inverse(0.005,0.1))", "step(0.004,0.7,3)", "0.003"])


@seeded
@given(st.sampled_from(MAKERS), MU, LR, st.integers(0, 20), st.booleans())
def test_resume(make: Any, mu: str, lr: str, saved: int, ours_first: bool) -> None:
    """Saved at any update and loaded in either order, a run goes on to the last bit as if it had not stopped."""

    def fresh(w: Any) -> tuple[Any, Schedule]:
        optimizer = make([w])
        key = "betas[0]" if isinstance(optimizer, AdamW) else "momentum"
        return optimizer, Schedule(optimizer, {key: mu}, lr=lr)

    whole, schedule = fresh(start())
    descend(whole, saved)
    file = io.BytesIO()
    w = whole.param_groups[0]["params"][0].detach().clone()
    torch.save({"w": w, "optimizer": whole.state_dict(), "schedule": schedule.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    descend(whole, 20)
    again, resumed = fresh(torch.nn.Parameter(state["w"]))
    loads = [
        lambda: resumed.load_state_dict(state["schedule"]),
        lambda: again.load_state_dict(state["optimizer"]),
    ]
    for load in loads if ours_first else loads[::-1]:
        load()
    descend(again, 20)
    assert point(again) == point(whole)
    assert resumed.updates == saved + 20
    assert resumed.values() == schedule.values()


@pytest.mark.parametrize("ours_first", [True, False])
def test_distributed_checkpoint(ours_first: bool) -> None:
    """The step by which torch.distributed.checkpoint makes an optimizer's state is neither counted nor refused."""
    from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

    def fresh(model: torch.nn.Module) -> tuple[SGD, Schedule]:
        optimizer = SGD(model.parameters(), lr=0.1, momentum=0.5)
        return optimizer, Schedule(optimizer, momentum=RAMP, lr="cosine(0.1,30)")

    def run(model: torch.nn.Module, optimizer: SGD, steps: int) -> None:
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.ones(2)).square().sum().backward()
            optimizer.step()
        optimizer.zero_grad()

    model = torch.nn.Linear(2, 1)
    optimizer, schedule = fresh(model)
    run(model, optimizer, 5)
    other = copy.deepcopy(model)
    again, resumed = fresh(other)
    if ours_first:
        resumed.load_state_dict(schedule.state_dict())
    set_optimizer_state_dict(other, again, copy.deepcopy(get_optimizer_state_dict(model, optimizer)))
    assert resumed.updates == (5 if ours_first else 0)
    resumed.load_state_dict(schedule.state_dict())
    run(model, optimizer, 10)
    run(other, again, 10)
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_what_is_saved() -> None:
    """The state is plain; other texts, other groups and other objects are refused, strict=False takes the new texts."""
    optimizer = sgd()
    schedule = Schedule(optimizer, momentum=ramp(0.5, 0.99, 0.01), lr=lambda t: 0.01)
    descend(optimizer, 3)
    state = schedule.state_dict()
    assert state == {"updates": 3, "settings": {"momentum": [RAMP], "lr": ["function"]}, "groups": None}
    other = Schedule(sgd(), momentum=0.5, lr=lambda t: 0.02)
    with pytest.raises(ScheduleError, match=r"saved schedule of momentum is 'ramp\(.*this one is '0.5'.*strict=False"):
        other.load_state_dict(state)
    assert other.updates == 0
    other.load_state_dict(state, strict=False)
    assert other.updates == 3
    assert other.values() == {"momentum": [0.5], "lr": [0.02]}
    with pytest.raises(ScheduleError, match="saved schedule of lr is 'function', this one is none"):
        Schedule(sgd(), momentum=RAMP).load_state_dict(state)
    with pytest.raises(ScheduleError, match=r"for groups=None, this one for groups=\[0\]"):
        Schedule(sgd(), groups=[0], momentum=RAMP, lr=lambda t: 1.0).load_state_dict(state)
    for wrong in ({"last_epoch": 3}, {"updates": True}, {"updates": -1}, None, [3]):
        with pytest.raises(ScheduleError, match="no state of a Schedule"):
            schedule.load_state_dict(wrong)  # type: ignore[arg-type]


def test_a_schedule_outlives_a_loaded_state() -> None:
    """A new Schedule over an optimizer that loads another run's state begins at 0: its values stand, none is refused."""
    old, new = sgd(), sgd()
    Schedule(old, momentum="ramp(0.9,0.99,0.001)")
    descend(old, 7)
    schedule = Schedule(new, momentum=RAMP)
    new.load_state_dict(old.state_dict())
    assert [u["momentum"] for u in descend(new, 3)] == [0.5, 0.51, 0.52]
    assert schedule.updates == 3


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("make", MAKERS[:3])
def test_copies(copied: Any, make: Any) -> None:
    """A copied Schedule drives its own copy of the optimizer; a copied optimizer alone has none."""
    optimizer = make([start()])
    schedule = Schedule(optimizer, lr="ramp(0.001,0.01,0.001)")
    descend(optimizer, 4)
    twin = copied(schedule)
    alone = copied(optimizer)
    descend(twin.optimizer, 3)
    assert (twin.updates, schedule.updates) == (7, 4)
    descend(optimizer, 3)
    assert point(optimizer) == point(twin.optimizer) != point(alone)
    assert len({float(u["lr"]) for u in descend(alone, 3)}) == 1


# What is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"momentun": 0.5}, "did you mean 'momentum'.*Known: lr, momentum, dampening, weight_decay"),
        ({"nesterov": 1}, "no number 'nesterov'"),
        ({"params": 1}, "no number 'params'"),
        ({"betas[0]": 0.5}, "no number"),
        ({"lr[0]": 0.5}, r"no number 'lr\[0\]'"),
        ({3: 1}, "no number '3'"),
        ({"momentum": 1}, "momentum must be from 0 to below 1, got 1"),
        ({"momentum": -0.1}, "from 0 to below 1, got -0.1"),
        ({"momentum": "ramp(1,2,0.1)"}, "from 0 to below 1, got 1.0 at step 0"),
        ({"lr": -1.0}, "lr must be 0 or more"),
        ({"weight_decay": lambda t: -1}, "0 or more, got -1 at step 0"),
        ({"lr": True}, "must be a number"),
        ({"lr": lambda t: True}, "must be a number.*True.* at step 0"),
        ({"lr": None}, "must be a number"),
        ({"lr": 1j}, "must be a number"),
        ({"lr": torch.ones(2)}, "must be a number"),
        ({"lr": math.nan}, "lr must be finite, got nan"),
        ({"lr": 10**5000}, "lr must be finite"),
        ({"lr": lambda t: math.inf}, "finite, got inf at step 0"),
        ({"lr": lambda t: 1 / t}, "ZeroDivisionError at step 0"),
        ({"lr": finaldrop(lambda t: math.nan, 1000)}, "finite, got nan at step 0"),
        ({"lr": "rampp(1,2,3)"}, "did you mean 'ramp'"),
        ({"lr": "__import__('os')"}, "no schedule is called"),
        ({"lr": [0.1, 0.2]}, "2 values for 1"),
        ({"lr": [None]}, "leaves every param group alone"),
        ({"lr": 0.1, "lr ": 0.2}, "given twice"),
        ({"lr": warmup(0, 3, lambda t: "much")}, r"lr cannot be worked out at step 0.*warmup\(0,3,<lambda>\)"),
        ({"lr": warmup(0, 3, lambda t: np.ones(2))}, "must be a number|cannot be worked out"),
        ({}, "name at least one"),
        (0.5, "mapping"),
    ],
)
def test_refused(settings: Any, said: str) -> None:
    """What cannot be set is refused in one sentence, and the optimizer stays as it was."""
    optimizer = sgd()
    before = copy.deepcopy(optimizer.state_dict())
    with pytest.raises(ScheduleError, match=said) as error:
        Schedule(optimizer, settings)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400
    assert optimizer.state_dict() == before
    assert not optimizer._optimizer_step_post_hooks


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"groups": [1], "lr": 1}, "groups must be indices"),
        ({"groups": [], "lr": 1}, "groups must be indices"),
        ({"groups": [True], "lr": 1}, "groups must be indices"),
        ({"groups": [0], "lr": [1]}, "one or the other"),
        ({"settings": {"lr": 1}, "lr": 1}, "lr is given twice"),
        ({"velocity": "kept"}, "SGD has no choice of velocity"),
        ({"velocity": "both"}, "'kept' or 'corrected', got 'both'"),
    ],
)
def test_refused_keywords(keywords: Any, said: str) -> None:
    """Groups that do not exist, values given twice and a choice that the optimizer lacks are refused."""
    with pytest.raises(ScheduleError, match=said):
        Schedule(sgd(), **keywords)


def test_other_refusals() -> None:
    """An element beyond a tuple, what is no optimizer and a step that is none are refused."""
    with pytest.raises(ScheduleError, match=r"no number 'betas\[5\]'.*betas\[0\], betas\[1\]"):
        Schedule(Adam([start()]), {"betas[5]": 0.5})
    with pytest.raises(ScheduleError, match=r"needs a torch\.optim\.Optimizer, got str"):
        Schedule("sgd", lr=0.1)  # type: ignore[arg-type]
    for t in (-1, 0.5, True):
        with pytest.raises(ScheduleError, match="whole number"):
            Schedule(sgd(), lr=0.1).values(t)  # type: ignore[arg-type]
    assert "betas[1]" in numbers(Adam([start()]).param_groups[0])


@pytest.mark.parametrize(
    ("mu", "said"),
    [
        (lambda t: 0.5 if t < 3 else math.nan, "momentum must be finite, got nan at step 3"),
        ("ramp(0.7,2,0.1)", "momentum must be from 0 to below 1, got 1.0 at step 3"),
        ([0.5, 0.6, 0.7].__getitem__, "raised IndexError at step 3"),
    ],
)
@pytest.mark.parametrize("make", [MAKERS[0], MAKERS[2]])
def test_a_bad_value_stops_the_run(make: Any, mu: Any, said: str) -> None:
    """The update that would use a bad value is refused before it is made; the one before it, maybe the last, is not."""
    optimizer = make([start()])
    schedule = Schedule(optimizer, momentum=mu)
    descend(optimizer, 3)
    here = point(optimizer)
    for _ in range(2):
        with pytest.raises(ScheduleError, match=said):
            descend(optimizer, 1)
    assert point(optimizer) == here
    assert schedule.updates == 3


# With ravine's own optimizer -------------------------------------------------------------------------------------


def test_foresight() -> None:
    """An optimizer that asks during its step is told the settings of the update after it; afterwards these are its own."""
    told: list[dict[str, Any]] = []

    class Looking(SGD):
        foresight: list[Any]

        def step(self, closure: Any = None) -> None:
            super().step(closure)
            told.append({k: v for ask in self.foresight for k, v in ask(0).items()})

    optimizer = Looking([start()], lr=0.005, momentum=0.5)
    optimizer.foresight = []
    schedule = Schedule(optimizer, momentum=RAMP)
    Schedule(optimizer, lr="step(0.005,0.5,2)")
    used = descend(optimizer, 8)
    for following, (_, then) in zip(told, pairwise(used), strict=False):
        assert following == {key: then[key] for key in ("momentum", "lr")}
    schedule.remove()
    assert len(optimizer.foresight) == 1


@pytest.mark.parametrize("saved", [None, 17])
def test_nag_under_the_ramp(saved: int | None) -> None:
    """nag under the ramp is the paper's recurrence, at the look-ahead point and at the iterate, resumed or not."""
    optimizer = Momentum([start()], lr=0.005, momentum=0.5, rule="nag")
    schedule = Schedule(optimizer, momentum=RAMP)
    if saved:
        descend(optimizer, saved)
        w = torch.nn.Parameter(optimizer.param_groups[0]["params"][0].detach().clone())
        again = Momentum([w], lr=1.0, momentum=0.0, rule="nag")
        resumed = Schedule(again, momentum=RAMP)
        again.load_state_dict(optimizer.state_dict())
        resumed.load_state_dict(schedule.state_dict())
        optimizer = again
    descend(optimizer, 40 - (saved or 0))
    x, v, h = np.array([9.0, 1.0]), np.zeros(2), np.array([2.0, 100.0])
    mu = [min(0.5 + 0.01 * t, 0.99) for t in range(41)]
    for t in range(40):
        v = mu[t] * v - 0.005 * h * (x + mu[t] * v)
        x = x + v
    np.testing.assert_allclose(point(optimizer), x + mu[40] * v, rtol=1e-12, atol=1e-14)
    assert round(point(optimizer)[0], 4) == 1.7868
    with optimizer.at_iterate():
        np.testing.assert_allclose(point(optimizer), x, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("velocity", ["kept", "corrected"])
def test_velocity_under_a_falling_lr(velocity: str) -> None:
    """Kept is v' = mu v - lr_t g; corrected is v' = mu (lr_t/lr_(t-1)) v - lr_t g, the same as torch's SGD."""
    optimizer = Momentum([start()], lr=0.005, momentum=0.9, rule="classical")
    Schedule(optimizer, lr="step(0.005,0.5,5)", velocity=velocity)
    descend(optimizer, 20)
    x, v, h, before = np.array([9.0, 1.0]), np.zeros(2), np.array([2.0, 100.0]), 0.005
    for t in range(20):
        lr = 0.005 * 0.5 ** (t // 5)
        v = 0.9 * v * (lr / before if velocity == "corrected" else 1) - lr * h * x
        x, before = x + v, lr
    np.testing.assert_allclose(point(optimizer), x, rtol=1e-12)
    reference = sgd(momentum=0.9)
    Schedule(reference, lr="step(0.005,0.5,5)")
    descend(reference, 20)
    assert (abs(np.subtract(point(reference), x)).max() < 1e-12) == (velocity == "corrected")


# The picture -----------------------------------------------------------------------------------------------------


def test_curves() -> None:
    """The data of the picture are the values that updates are made with, until the schedules settle."""
    optimizer = AdamW([{"params": [start()]}, {"params": [start()]}, {"params": [start()]}], lr=0.01)
    same = onecycle(0.95, 0.85, 300, 0.95)
    schedule = Schedule(optimizer, {"betas[0]": [same, None, same]}, lr=["step(0.1,0.5,10)", 0.1, lambda t: 0.1])
    curves = schedule.curves(40)
    assert [(c.key, c.groups, c.text) for c in curves] == [
        ("betas[0]", (0, 2), "onecycle(0.95,0.85,300,0.95)"),
        ("lr", (0,), "step(0.1,0.5,10)"),
        ("lr", (1,), "0.1"),
        ("lr", (2,), "function"),
    ]
    for curve in curves:
        expected = [schedule.values(t)[curve.key][curve.groups[0]] for t in range(40)]
        np.testing.assert_allclose(curve.values, np.array(expected, float), rtol=1e-14)
    assert len(Schedule(sgd(), momentum=RAMP).curves()[0].values) == pytest.approx(55, abs=5)
    assert len(Schedule(sgd(), lr="cosine(0.1,900)").curves()[0].values) == pytest.approx(1000, abs=100)
    assert len(Schedule(sgd(), lr=0.1).curves()[0].values) == 2
    with pytest.raises(ScheduleError, match="whole number of updates"):
        schedule.curves(0)


def test_plot() -> None:
    """The figure has a panel for each key with the key and the update on its axes; axes of yours are drawn into."""
    from matplotlib import _pylab_helpers
    from matplotlib.figure import Figure

    optimizer = sgd()
    schedule = Schedule(optimizer, momentum=RAMP, lr="cosine(0.1,50)")
    descend(optimizer, 3)
    made = schedule.plot()
    assert [ax.get_ylabel() for ax in made.axes] == ["momentum", "lr"]
    assert made.axes[-1].get_xlabel() == "update"
    assert made.axes[0].get_title() == RAMP
    line = made.axes[0].lines[0].get_xydata()
    np.testing.assert_allclose(line[:40], [(t, min(0.5 + 0.01 * t, 0.99)) for t in range(40)])
    mine = Figure().subplots(2, 1)
    assert schedule.plot(30, mine) is mine[0].figure
    assert len(mine[1].lines[0].get_xdata()) == 30
    with pytest.raises(DrawError, match="2 Matplotlib axes, one for each key, got 1"):
        schedule.plot(ax=mine[0])
    assert not _pylab_helpers.Gcf.figs
