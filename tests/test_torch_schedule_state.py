"""Schedules of a torch optimizer: resuming, refusals, with ravine's own optimizer, and the picture."""

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

from drawn import seeded
from ravine.errors import DrawError, ScheduleError
from ravine.schedules import finaldrop, onecycle, ramp, warmup
from ravine.torch import Momentum
from ravine.torch.keys import numbers
from ravine.torch.schedule import Schedule
from scheduled import RAMP, descend, point, sgd, start

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
