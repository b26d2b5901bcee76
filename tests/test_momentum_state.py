"""States: saved, loaded, copied, pickled, given to torch.optim.SGD and taken from it; each run goes on to the bit."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from momenta import OURS, PATHS, assert_same, buffers, drawn, made, one_thread, parameters, torchs, twins  # noqa: F401
from ravine.charts import EVERY
from ravine.errors import RuleError
from ravine.torch import Momentum

paths = pytest.mark.parametrize("path", PATHS)
SETTINGS: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}
OPTIONS: list[dict[str, Any]] = [
    {"nesterov": True, "weight_decay": 0.1},
    {"dampening": 0.5, "maximize": True},
    {"rule": "nag"},
    {"rule": "classical", "velocity": "corrected", "decoupled_weight_decay": True, "weight_decay": 0.1},
    {"rule": "qhm:nu=0.7"},
]


def run(optimizer: Any, ps: list[Tensor], steps: range) -> None:
    for t in steps:
        for p, g in zip(ps, drawn(ps, t), strict=True):
            p.grad = g
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (1 + t % 4)
        optimizer.step()


def saved(state: Any) -> Any:
    """Return what comes back from a file that is read with weights_only."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def through_sgd(path: str, ps: list[Tensor], state: Any) -> Any:
    optimizer = made(ps, path, lr=9, momentum=0.1)
    optimizer.load_state_dict(state)
    return optimizer


@paths
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("way", ["state", "deep state", "saved", "deepcopy", "pickle"])
def test_a_run_goes_on_where_it_was_saved(way: str, options: dict[str, Any], path: str) -> None:
    """Saved after 5 steps in any way and continued by another optimizer: to the bit the run that was never saved."""
    if path == "fused" and "rule" in options:
        return
    a = parameters()
    one = made(a, path, **SETTINGS, **options)
    run(one, a, range(5))
    if way == "deepcopy":
        b, other = copy.deepcopy((a, one))
    elif way == "pickle":
        b, other = pickle.loads(pickle.dumps((a, one)))
    else:
        b = twins(a)
        other = made(b, path, **{**SETTINGS, "lr": 7}, **options)
        state = {"state": one.state_dict, "deep state": lambda: copy.deepcopy(one.state_dict())}.get(way)
        other.load_state_dict(state() if state else saved(one.state_dict()))
        if way == "state":  # torch does not copy what it loads
            for held in other.state.values():
                held.update({k: v.clone() for k, v in held.items()})
    run(one, a, range(5, 10))
    run(other, b, range(5, 10))
    assert_same(a, b)
    assert_same(buffers(one, a), buffers(other, b))
    assert [{**g, "params": 0} for g in one.param_groups] == [{**g, "params": 0} for g in other.param_groups]


@paths
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_and_momentum_continue_each_other(nesterov: bool, path: str) -> None:
    """SGD for 4 steps, Momentum for 4, SGD for 4: to the bit 12 steps of SGD, through files, dampening included."""
    options: dict[str, Any] = {"nesterov": True} if nesterov else {"dampening": 0.5}
    a = parameters()
    b, whole, state = twins(a), SGD(a, **SETTINGS, **options, **torchs(path, a)), None
    run(whole, a, range(12))
    for steps, kind in zip((range(4), range(4, 8), range(8, 12)), (SGD, Momentum, SGD), strict=True):
        optimizer: Any = SGD(b, **SETTINGS, **torchs(path, b)) if kind is SGD else made(b, path, lr=9)
        if state is not None:
            optimizer.load_state_dict(state)
        else:
            optimizer = SGD(b, **SETTINGS, **options, **torchs(path, b))
        run(optimizer, b, steps)
        state = saved(optimizer.state_dict())
    assert_same(a, b, ulps=8 if nesterov and path == "foreach" else 0)  # torch's rounds once less


@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("rule", ["heavyball", "nesterov", "sgd"])
def test_rules_that_mean_torchs_buffer_go_on_under_sgd_and_back(rule: str, path: str) -> None:
    """Momentum(rule=…), SGD, Momentum(rule=…): the buffers keep their meaning, and SGD knows that it is nesterov."""
    settings = {"lr": 0.1} if rule == "sgd" else SETTINGS
    a = parameters()
    b = twins(a)
    run(made(a, path, rule=rule, **settings), a, range(9))
    state: Any = None
    for steps, kind in zip((range(3), range(3, 6), range(6, 9)), (Momentum, SGD, Momentum), strict=True):
        optimizer = SGD(b, 9.0, **torchs(path)) if kind is SGD else made(b, path, rule=rule, **settings)
        if state is not None:
            optimizer.load_state_dict(state)
        run(optimizer, b, steps)
        state = saved(optimizer.state_dict())
    assert_same(a, b, ulps=8 if path == "foreach" else 0)  # torch's foreach nesterov rounds once less


def test_a_rules_row_is_that_of_its_marker() -> None:
    """A buffer never gets into a rule for which it means something else, and the refusal says what to do."""
    p = nn.Parameter(torch.ones(3))
    states = {}
    for name in (None, *EVERY):
        needs = [k for k in EVERY[name].parameters if k not in ("lr", "mu", "tau")] if name else []
        given = {"kp": -0.01, "L": 9.0, "kappa": 5.0, "rho": 0.7, "xi": 3.0}
        settings: dict[str, Any] = {k: given.get(k, 0.5) for k in needs}
        settings |= {"momentum": 0.9} if name and "mu" in EVERY[name].parameters else {}
        settings |= {"lr": 0.1} if name and "lr" in EVERY[name].parameters else {}
        optimizer = Momentum([p], rule=name, **settings)
        p.grad = torch.ones(3)
        optimizer.step()
        states[name] = optimizer, optimizer.state_dict()
    like_torch = {None, "sgd", "heavyball", "nesterov"}
    for name, (optimizer, _) in states.items():
        for other, (_, state) in states.items():
            if name == other or {name, other} <= like_torch:
                optimizer.load_state_dict(copy.deepcopy(state)) if name == other else None
                continue
            with pytest.raises(RuleError, match=r"was saved by the rule .*convert_state"):
                optimizer.load_state_dict(state)
        if name not in like_torch:
            sgd = SGD([p], 0.1, momentum=0.9)
            sgd.step()
            with pytest.raises(RuleError, match="does not say by which rule"):
                optimizer.load_state_dict(sgd.state_dict())


@paths
def test_an_older_state_is_loaded(path: str) -> None:
    """States from before foreach, maximize, differentiable and fused were settings take this optimizer's own."""
    a = parameters()
    b, old = twins(a), SGD(a, **SETTINGS)
    run(old, a, range(3))
    b = twins(a)
    state = copy.deepcopy(old.state_dict())
    for group in state["param_groups"]:
        for key in ("foreach", "maximize", "differentiable", "fused"):
            del group[key]
    optimizer = through_sgd(path, b, state)
    assert optimizer.param_groups[0]["momentum"] == 0.9
    assert optimizer.param_groups[0]["fused"] is (True if path == "fused" else None)
    run(optimizer, b, range(3, 6))
    run(old, a, range(3, 6))
    assert_same(a, b, ulps=4 if path == "fused" else 0)


def test_a_loading_hook_may_convert_the_state() -> None:
    """What is checked is the state as the hooks before loading leave it; those after loading see whole buffers."""
    p = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    sgd = SGD([p], **SETTINGS)
    p.grad = torch.full((3,), 0.3, dtype=torch.bfloat16)
    sgd.step()
    optimizer = Momentum([p], rule="classical", state_dtype=torch.float32, **SETTINGS)
    seen: list[Any] = []

    def convert(_: Any, state: Any) -> Any:
        (buffer,) = (held["momentum_buffer"] for held in state["state"].values())
        group = {**state["param_groups"][0], "rule": "classical"}
        return {"state": {0: {"velocity": -0.1 * buffer.float()}}, "param_groups": [group]}

    optimizer.register_load_state_dict_pre_hook(convert)
    optimizer.register_load_state_dict_post_hook(lambda _: seen.append(optimizer.state[p]["velocity"].clone()))
    optimizer.load_state_dict(sgd.state_dict())
    assert_same(seen, [-0.1 * p.grad.float()])
    assert len(optimizer._optimizer_load_state_dict_pre_hooks) == 1


@paths
def test_hooks_are_called_in_torchs_order(path: str) -> None:
    """Hooks before and after a step, global ones, those of state_dict; removed they are called no more."""
    p = nn.Parameter(torch.ones(3))
    optimizer, calls = made([p], path, **SETTINGS), []
    handles: list[Any] = [
        optimizer.register_step_pre_hook(lambda *_: calls.append("before")),
        optimizer.register_step_post_hook(lambda *_: calls.append("after")),
        optimizer.register_state_dict_pre_hook(lambda *_: calls.append("saving")),
        optimizer.register_state_dict_post_hook(lambda _, state: {**state, "more": 1}),
    ]
    from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    handles.append(register_optimizer_step_pre_hook(lambda *_: calls.append("first")))
    handles.append(register_optimizer_step_post_hook(lambda *_: calls.append("last")))
    p.grad = torch.ones(3)
    optimizer.step()
    assert calls == ["first", "before", "after", "last"]
    assert optimizer.state_dict()["more"] == 1
    assert calls.pop() == "saving"
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(calls) == 4
    before = p.detach().clone()
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: (args, {"closure": lambda: 7.0}))
    assert optimizer.step() == 7.0
    assert not torch.equal(before, p)


@paths
def test_copies_share_nothing(path: str) -> None:
    """A deep copy's steps leave the original's parameters, buffers and settings alone."""
    a = parameters()
    one = made(a, path, **SETTINGS)
    run(one, a, range(2))
    kept = copy.deepcopy([p.detach() for p in a]), copy.deepcopy(buffers(one, a))
    b, other = copy.deepcopy((a, one))
    other.param_groups[0]["momentum"] = 0.1
    run(other, b, range(3))
    assert_same(a, kept[0])
    assert_same(buffers(one, a), kept[1])
    assert one.param_groups[0]["momentum"] == 0.9
    assert repr(other).startswith("Momentum (")


def test_a_state_holds_what_torch_can_read_and_nothing_else() -> None:
    """No state where nothing is kept, torch's name for torch's buffer, another for another's; weights_only reads all."""
    for options, keys in (
        ({}, None),
        ({"momentum": 0.9}, "momentum_buffer"),
        ({"momentum": 0.9, "rule": "nag"}, "velocity"),
    ):
        for flat in (False, True):
            p = nn.Parameter(torch.ones(3))
            optimizer = Momentum([p], 0.1, flat=flat, state_dtype=torch.float32, **options)
            p.grad = torch.ones(3)
            optimizer.step()
            state = saved(optimizer.state_dict())
            assert {k for held in state["state"].values() for k in held} == ({keys} if keys else set())
            assert state["param_groups"][0]["rule"] == options.get("rule")
            assert state["param_groups"][0]["state_dtype"] in (torch.float32, "float32")


@pytest.mark.parametrize("path", ["foreach", "flat"])
def test_a_buffer_of_another_shape_is_refused(path: str) -> None:
    """A saved buffer that would be spread over its parameter is refused."""
    optimizer = made([torch.nn.Parameter(torch.ones(3))], path, lr=0.1, momentum=0.9)
    state = optimizer.state_dict()
    state["state"] = {0: {"momentum_buffer": torch.ones(1)}}
    with pytest.raises(RuleError, match=r"has shape \(1,\), the parameter \(3,\)"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize("path", ["foreach", "flat"])
def test_a_rule_changed_by_hand_begins_anew(path: str) -> None:
    """A group whose rule is changed between steps does not take the old rule's buffer for its own."""
    ends = []
    for way in (path, "per tensor"):
        p = torch.nn.Parameter(torch.ones(3))
        optimizer = made([p], way, lr=0.1, momentum=0.9)
        for rule in (None, None, "classical", "classical"):
            optimizer.param_groups[0]["rule"] = rule
            p.grad = torch.full((3,), 0.5)
            optimizer.step()
        ends.append(p.detach().clone())
    assert torch.equal(*ends)


def test_what_is_no_row_or_no_rule_is_refused() -> None:
    """A function that returns no row, and a rule's name that does not exist, are refused in one sentence."""
    with pytest.raises(RuleError, match=r"five returned '5'; a rule returns a ravine.Row"):
        Momentum([torch.nn.Parameter(torch.ones(3))], lr=0.1, rule=five)
    optimizer = Momentum([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    optimizer.param_groups[0]["rule"] = "zzz"
    with pytest.raises(RuleError, match="no rule is called 'zzz'"):
        optimizer.step()


def five(lr: float) -> Any:
    return 5


@pytest.mark.parametrize("rule", [None, "classical"])
def test_the_state_of_adam_is_refused_by_its_name(rule: str | None) -> None:
    """A state whose buffers are no velocity is refused, and called what it is."""
    p = torch.nn.Parameter(torch.ones(3))
    adam = torch.optim.Adam([p])
    p.grad = torch.ones(3)
    adam.step()
    with pytest.raises(ValueError, match="the state of Adam"):
        Momentum([p], lr=0.1, momentum=0.9, rule=rule).load_state_dict(adam.state_dict())
