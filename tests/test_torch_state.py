"""Conversion of states: whatever the frameworks, a converted run goes on as the original would have."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from carried import alike, begun, copies, go_on, start, stepped, tensors
from ravine.conversion.crossing import convert_snapshot
from ravine.conversion.dialects import FRAMEWORKS
from ravine.conversion.layout import rename
from ravine.conversion.snapshot import snapshot
from ravine.errors import ConvertError
from ravine.torch.momentum import Momentum
from ravine.torch.schedule import Schedule
from ravine.torch.state import convert_state, write_torch

PLAIN = {
    "torch": "lr=0.02,mu=0.9",
    "keras": "lr=0.02,mu=0.9",
    "tf1": "lr=0.02,mu=0.9",
    "optax": "lr=0.02,mu=0.9",
    "optax_ema": "lr=0.2,mu=0.9",
    "mxnet": "lr=0.02,mu=0.9",
    "caffe": "lr=0.02,mu=0.9",
    "qhoptim": "lr=0.2,mu=0.9,nu=1",
    "sutskever": "lr=0.02,mu=0.9",
    "classical": "lr=0.02,mu=0.9",
    "heavyball": "lr=0.04,mu=0.9,tau=0.5",
    "ema": "lr=0.2,mu=0.9",
    "pid": "kp=-1.8,ki=0.2,kd=16.2",
}
AHEAD = {
    "torch": "lr=0.02,mu=0.8,nesterov=1",
    "keras": "lr=0.02,mu=0.8,nesterov=1",
    "tf1": "lr=0.02,mu=0.8,use_nesterov=1",
    "optax": "lr=0.02,mu=0.8,nesterov=1",
    "mxnet": "lr=0.02,mu=0.8,nesterov=1",
    "caffe": "lr=0.02,mu=0.8,nesterov=1",
    "sutskever": "lr=0.02,mu=0.8,nesterov=1",
    "qhoptim": "lr=0.1,mu=0.8,nu=0.8",
    "nag": "lr=0.02,mu=0.8",
    "keras_nesterov": "lr=0.02,mu=0.8",
    "nesterov": "lr=0.02,mu=0.8",
    "snv": "alpha=0.02,beta1=0.8,beta2=0.8",
}
PAIRS = [(f"{one}:{table[one]}", other) for table in (PLAIN, AHEAD) for one in table for other in table if one != other]


@pytest.mark.parametrize(("text", "to"), PAIRS, ids=[f"{text.partition(':')[0]}-{to}" for text, to in PAIRS])
@pytest.mark.parametrize("decay", [0.0, 0.05], ids=["bare", "decay"])
def test_a_converted_run_goes_on_as_the_original(text: str, to: str, decay: float) -> None:
    """For all pairs of frameworks: 30 updates, a conversion and 30 more are 60 without it, by each one's own update."""
    before = begun(text, **({"weight_decay": decay, "decoupled": False} if decay else {}))
    kept = copy.deepcopy(before.buffers), copy.deepcopy(before.parameters)
    after = convert_snapshot(before, to)
    alike(go_on(before, 30), go_on(after, 30))
    for arrays, same in zip((before.buffers, before.parameters), kept, strict=True):
        assert all((arrays[name] == same[name]).all() for name in same)
    # and back again to the numbers it came from
    back = convert_snapshot(after, before.groups[0].dialect.name)
    if "tau" not in before.groups[0].method.settings or not before.groups[0].method.settings["tau"]:
        for name in before.buffers:
            np.testing.assert_allclose(back.buffers[name], before.buffers[name], rtol=1e-13)
            np.testing.assert_allclose(back.parameters[name], before.parameters[name], rtol=1e-13, atol=1e-14)


def test_the_references_are_not_all_the_same() -> None:
    """A buffer of one framework taken for another's is seen: without the conversion the runs part."""
    for one, other in (("torch", "keras"), ("keras", "caffe"), ("torch", "ema"), ("nag", "sutskever")):
        table = AHEAD if one == "nag" else PLAIN
        before = begun(f"{one}:{table[one]}")
        wrong = snapshot(f"{other}:{table[other]}", before.parameters, before.buffers)
        with pytest.raises(AssertionError):
            alike(go_on(before, 30), go_on(wrong, 30), 1e-6)


@pytest.mark.parametrize("to", ["mxnet", "optax", "heavyball", "caffe"])
def test_an_empty_buffer_stays_empty(to: str) -> None:
    """Before the first update nothing is converted but settings, and the target begins as the source would have."""
    fresh = snapshot("keras:lr=0.02,mu=0.9", start(), {"w": None})
    after = convert_snapshot(fresh, to)
    assert not after.buffers
    alike(go_on(fresh, 0), go_on(after, 0))


@settings(max_examples=60, deadline=None)
@given(
    lr=st.floats(1e-6, 0.5),
    mu=st.floats(0.01, 0.99),
    one=st.sampled_from(["torch", "keras", "tf1", "mxnet", "caffe", "sutskever"]),
    other=st.sampled_from(["torch", "keras", "tf1", "optax", "mxnet", "caffe", "sutskever", "qhoptim"]),
    ahead=st.booleans(),
)
def test_random_settings(lr: float, mu: float, one: str, other: str, ahead: bool) -> None:
    """At any settings the next ten updates are the source's, and the way back gives the buffers back."""
    switch = FRAMEWORKS[one].switch
    before = go_on(snapshot(f"{one}:lr={lr!r},mu={mu!r},{switch}={int(ahead)}", start(), {}), 0, 5)
    after = convert_snapshot(before, other)
    alike(go_on(before, 5, 10), go_on(after, 5, 10), 1e-9)
    back = convert_snapshot(after, one)
    for name in before.buffers:
        np.testing.assert_allclose(back.buffers[name], before.buffers[name], rtol=1e-9)


# torch's own dicts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    # Eight rounded updates of the one buffer against eight of the other, at most a few places of the last digit each.
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.1)],
    ids=str,
)
@pytest.mark.parametrize("nesterov", [False, True])
def test_torch_to_momentum_and_back(kind: torch.dtype, tolerance: float, nesterov: bool) -> None:
    """torch's state loads into Momentum with Keras's rules and nag, and theirs into torch, and the runs stay one."""
    p = tensors(kind)
    sgd = torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=nesterov, weight_decay=0.01)
    stepped(sgd)
    for rule in ("keras_nesterov", "nag", "qhm") if nesterov else ("classical", "ema", "qhm"):
        found = convert_state(sgd.state_dict(), rule)
        q = copies(p)
        momentum = Momentum(q, rule=rule, lr=0.1, momentum=0.1, **({"nu": 1.0} if rule == "qhm" else {}))
        momentum.load_state_dict(found.optimizer)
        twin = torch.optim.SGD(copies(p), lr=1)
        twin.load_state_dict(sgd.state_dict())
        for one, other in zip(stepped(twin, 8, 5), stepped(momentum, 8, 5), strict=True):
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
        third = torch.optim.SGD(copies(q), lr=1)
        third.load_state_dict(convert_state(momentum.state_dict(), "torch").optimizer)
        assert third.param_groups[0]["weight_decay"] == 0.01
        assert "rule" not in third.param_groups[0]
        for one, other in zip(stepped(twin, 8, 13), stepped(third, 8, 13), strict=True):
            np.testing.assert_allclose(one, other, rtol=2 * tolerance, atol=2 * tolerance)


def test_every_group_is_converted_with_its_own_settings() -> None:
    """Groups that differ in lr, momentum, weight decay and nesterov go on exactly, in order and number."""
    a, b, c, d = p = tensors()
    groups: list[dict[str, Any]] = [
        {"params": [a], "lr": 0.1, "momentum": 0.5},
        {"params": [b, c], "weight_decay": 0.1, "momentum": 0.9, "nesterov": True},
        {"params": [d], "maximize": True, "momentum": 0.0, "dampening": 0.3},
    ]
    sgd = torch.optim.SGD(groups, lr=0.02)
    stepped(sgd)
    found = convert_state(sgd.state_dict(), "qhm")
    assert [len(group["params"]) for group in found.optimizer["param_groups"]] == [1, 2, 1]
    q = copies(p)
    momentum = Momentum([{"params": [q[0]]}, {"params": q[1:3]}, {"params": [q[3]]}], rule="qhm", momentum=0, nu=1)
    momentum.load_state_dict(found.optimizer)
    for one, other in zip(stepped(sgd, 30, 5), stepped(momentum, 30, 5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_the_target_may_be_the_optimizer() -> None:
    """`to=optimizer` reads each group's rule there and keeps how it computes, such as foreach."""
    p = tensors()
    sgd = torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True)
    stepped(sgd)
    momentum = Momentum(copies(p), rule="nag", lr=1.0, momentum=0.0, foreach=True)
    found = convert_state(sgd.state_dict(), momentum)
    momentum.load_state_dict(found.optimizer)
    assert momentum.param_groups[0]["foreach"] is True
    for one, other in zip(stepped(sgd, 10, 5), stepped(momentum, 10, 5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    with pytest.raises(ConvertError, match="1 param groups and the optimizer 2"):
        convert_state(sgd.state_dict(), Momentum([{"params": [p[0]]}, {"params": p[1:]}], rule="nag", momentum=0.9))


def test_dampening_begins_undampened_in_torch_alone() -> None:
    """With dampening torch's second update on is a row; its first is none, so that empty buffers are refused there."""
    sgd = torch.optim.SGD(tensors(), lr=0.05, momentum=0.8, dampening=0.3)
    with pytest.raises(ConvertError, match="does not dampen its first update"):
        convert_state(sgd.state_dict(), "classical")
    assert convert_state(sgd.state_dict(), "torch").optimizer["state"] == {}
    p = [q for group in sgd.param_groups for q in group["params"]]
    stepped(sgd, 1)
    momentum = Momentum(copies(p), rule="classical", lr=1.0, momentum=0.0)
    momentum.load_state_dict(convert_state(sgd.state_dict(), momentum).optimizer)
    for one, other in zip(stepped(sgd, 30, 1), stepped(momentum, 30, 1), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_an_empty_buffer_is_zeros_for_a_dampening_torch() -> None:
    """A row with tau that begins at v = 0 reaches torch as a buffer of zeros, because torch would not dampen without."""
    p = tensors()
    row = Momentum(p, rule="heavyball", lr=0.05, momentum=0.8, dampening=0.3)
    with pytest.raises(ConvertError, match="give parameters="):
        convert_state(row.state_dict(), "torch")
    sgd = torch.optim.SGD(copies(p), lr=1)
    sgd.load_state_dict(convert_state(row.state_dict(), "torch", parameters=p).optimizer)
    for one, other in zip(stepped(row, 10), stepped(sgd, 10), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)


def test_a_later_lr_is_followed_where_it_can_be() -> None:
    """From torch to a rule that holds lr the velocity is corrected, so that both follow a schedule of lr alike."""
    p = tensors()
    sgd = torch.optim.SGD(p, lr=0.05, momentum=0.8, nesterov=True)
    stepped(sgd)
    momentum = Momentum(copies(p), rule="keras_nesterov", lr=1.0, momentum=0.0)
    momentum.load_state_dict(convert_state(sgd.state_dict(), "keras_nesterov").optimizer)
    third = torch.optim.SGD(copies(p), lr=1)
    for t, lr in enumerate((0.05, 0.01, 0.01, 0.2), 5):
        for optimizer in (sgd, momentum):
            optimizer.param_groups[0]["lr"] = lr
        if lr == 0.2:  # the scheduler has been, the update has not
            third = torch.optim.SGD(copies(momentum.param_groups[0]["params"]), lr=1)
            third.load_state_dict(convert_state(momentum.state_dict(), "torch").optimizer)
        for one, other in zip(stepped(sgd, 1, t), stepped(momentum, 1, t), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)
    for one, other in zip(stepped(sgd, 3, 9), (stepped(third, 1, 8), stepped(third, 3, 9))[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("nesterov", [0, 1])
@pytest.mark.parametrize(
    ("one", "other", "note"), [("keras", "torch", "lr_before/lr"), ("torch", "keras", "lr/lr_before")]
)
def test_the_note_on_a_later_lr_is_true(one: str, other: str, note: str, nesterov: int) -> None:
    """Where one side keeps each step's lr in its buffer, the factor of the note makes a later change of lr exact."""
    before = begun(f"{one}:lr=0.02,mu=0.8,nesterov={nesterov}")
    after = convert_snapshot(before, other)
    assert any(f"buffer of {other} by {note} " in said for said in after.notes)
    here, there = (
        run._replace(groups=(run.groups[0]._replace(method=run.groups[0].method.rule(lr=0.05, mu=0.8)),))
        for run in (go_on(before, 30), go_on(after, 30))
    )
    factor = 0.02 / 0.05 if note == "lr_before/lr" else 0.05 / 0.02
    there = there._replace(buffers={name: v * factor for name, v in there.buffers.items()})
    alike(go_on(here, 60), go_on(there, 60))


def test_a_kept_velocity_goes_over_at_the_lr_of_now() -> None:
    """A velocity that is kept when lr changes is converted at the lr of the next update, and both go on alike."""
    p = tensors()
    kept = Momentum(p, rule="classical", lr=0.05, momentum=0.8)
    stepped(kept)
    kept.param_groups[0]["lr"] = 0.01
    sgd = torch.optim.SGD(copies(p), lr=1)
    sgd.load_state_dict(convert_state(kept.state_dict(), "torch").optimizer)
    for one, other in zip(stepped(kept, 10, 5), stepped(sgd, 10, 5), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_a_scheduled_run_is_converted_in_the_middle() -> None:
    """Under a Schedule of mu the look-ahead point is stored for the next mu, and at that mu the conversion is exact."""
    p = tensors()
    nag = Momentum(p, rule="nag", lr=0.05, momentum=0.5)
    schedule = Schedule(nag, momentum="ramp(0.5,0.6,0.05)")
    for t in range(6):
        stepped(nag, 1, t)
        schedule.step()
    found = convert_state(nag.state_dict(), "torch")
    assert found.optimizer["param_groups"][0]["momentum"] == pytest.approx(0.6)
    assert any("mu changes later" in note for note in found.notes)
    sgd = torch.optim.SGD(copies(p), lr=1)
    sgd.load_state_dict(found.optimizer)
    for one, other in zip(stepped(nag, 10, 6), stepped(sgd, 10, 6), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-13)


def test_layouts_are_turned_with_their_buffers() -> None:
    """A Keras Dense kernel becomes a torch Linear weight, and its velocity with it."""
    kernel, velocity = np.arange(6.0).reshape(2, 3), np.arange(6.0).reshape(2, 3) / 10
    run = snapshot("keras:lr=0.1,mu=0.9", {"dense/kernel": kernel}, {"dense/kernel": velocity})
    made = rename(run, {"dense/kernel": ("fc.weight", np.transpose)})
    assert made.groups[0].names == ("fc.weight",)
    assert (made.buffers["fc.weight"] == velocity.T).all()
    assert write_torch(convert_snapshot(made, "torch"), ["fc.weight"])["state"][0]["momentum_buffer"].shape == (3, 2)
    with pytest.raises(ConvertError, match="did you mean 'dense/kernel'"):
        rename(run, {"dense/kernle": "fc.weight"})
    with pytest.raises(ConvertError, match="names are others"):
        write_torch(convert_snapshot(made, "torch"), ["fc.bias"])


def test_decoupled_weight_decay_scales_the_same_point() -> None:
    """Decoupled decay goes over where both scale the same x, by the same factor, and is refused where they do not."""
    decayed = {"weight_decay": 0.1, "decoupled": True}
    before = begun("keras:lr=0.02,mu=0.8,nesterov=1", **decayed)
    for to in ("keras_nesterov", "qhm", "nesterov", "optax"):
        after = convert_snapshot(before, to)
        alike(go_on(before, 30), go_on(after, 30))
    ahead = begun("nag:lr=0.02,mu=0.8", **decayed)
    alike(go_on(ahead, 30), go_on(convert_snapshot(ahead, "nag"), 30))
    for one, to, word in (
        (before, "nag", "another point"),
        (before, "torch", "no decoupled"),
        (before, "mxnet", "no decoupled"),
        (ahead, "keras", "another point"),
        (ahead, "snv", "scales by lr"),
    ):
        with pytest.raises(ConvertError, match=word):
            convert_snapshot(one, to)


def test_schedulers_memory_of_lr_is_scaled_with_it() -> None:
    """Where lr becomes another number, initial_lr does too, so that a scheduler goes on from the right one."""
    p = tensors()
    sgd = torch.optim.SGD(p, lr=torch.tensor(0.1), momentum=0.9)
    sgd.param_groups[0]["initial_lr"] = 0.2
    group = convert_state(sgd.state_dict(), "ema").optimizer["param_groups"][0]
    assert float(group["lr"]) == pytest.approx(1.0)
    assert torch.is_tensor(group["lr"])
    assert group["initial_lr"] == pytest.approx(2.0)
