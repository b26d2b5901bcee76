"""Momentum with torch.optim.SGD's own arguments is torch.optim.SGD: on every path, after each step, to the bit."""

import warnings
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.optim import SGD

from momenta import (  # noqa: F401
    CONFIGS,
    DTYPES,
    PATHS,
    assert_same,
    buffers,
    made,
    one_thread,
    parameters,
    together,
    torchs,
    twins,
    words,
)
from ravine.errors import RavineError
from ravine.torch import Momentum

paths = pytest.mark.parametrize("path", PATHS)


def ulps(path: str, dtype: torch.dtype, options: Mapping[str, Any]) -> float:
    """Return how far this path may lie from torch's, in units in the last place."""
    if path == "flat" and dtype.is_complex:
        return 8  # torch multiplies a complex number in another order
    if path == "foreach" and options.get("nesterov") and not dtype.is_complex:
        return 8  # torch spares a rounding by writing into the gradients; they are left alone here
    return 0


def mixed(path: str, dtype: torch.dtype) -> bool:
    """Say whether torch can step where some have a buffer and others have none: its fused step raises."""
    return path != "fused" or dtype not in (torch.float32, torch.float64)


def pair(path: str, ps: list[Tensor], **options: Any) -> tuple[Momentum, SGD, list[Tensor], list[Tensor]]:
    other = twins(ps)
    return made(ps, path, **options), SGD(other, **{**torchs(path, ps), "lr": 1e-3, **options}), ps, other


@pytest.mark.slow  # torch's own module of tests takes ten seconds to import
def test_the_configurations_are_those_that_torch_lists() -> None:
    """The copy in this folder is torch's own list of configurations of SGD."""
    pytest.importorskip("expecttest")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_optimizers import optim_inputs_func_sgd
    assert [words(one.kwargs) for one in optim_inputs_func_sgd("cpu")] == [words(one) for one in CONFIGS]


@paths
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("config", CONFIGS, ids=words)
def test_every_configuration_equals_sgd(config: Mapping[str, Any], dtype: torch.dtype, path: str) -> None:
    """20 steps with gradients that come in every way, and some absent in each step, end every time where SGD's do."""
    together(*pair(path, parameters(dtype), **config), ulps=ulps(path, dtype, config), absent=mixed(path, dtype))


option = {
    "lr": st.sampled_from([0, 1e-4, 0.1, 0.30000000000000004, 1, 3.5]) | st.floats(1e-5, 2),
    "momentum": st.sampled_from([0, 0.0, 0.9, 0.5]) | st.floats(0, 0.999),
    "dampening": st.sampled_from([0, 0, 0.5, 1]) | st.floats(0, 1),
    "weight_decay": st.sampled_from([0, 0.1, 1]) | st.floats(0, 1),
    "nesterov": st.booleans(),
    "maximize": st.booleans(),
}
shape = st.sampled_from([(), (1,), (0,), (3,), (4, 6), (2, 3, 4, 5), (33,), (8, 1, 4)])


@settings(max_examples=120, deadline=None)
@given(
    options=st.fixed_dictionaries(option),
    shapes=st.lists(shape, min_size=1, max_size=4),
    dtype=st.sampled_from(DTYPES),
    path=st.sampled_from(sorted(PATHS)),
    absent=st.booleans(),
    first=st.integers(0, 2),
)
@example({"lr": 0.07, "momentum": 0.7, "nesterov": True}, [(3,)], torch.float64, "flat", False, 0)
@example({"lr": 0.07, "momentum": 0.7, "nesterov": True}, [(3,)], torch.float64, "per tensor", False, 0)
@example({"lr": 1, "momentum": 0.5, "dampening": 1}, [(3,), ()], torch.float32, "fused", True, 2)
def test_any_settings_equal_sgd(
    options: dict[str, Any], shapes: list[Any], dtype: torch.dtype, path: str, absent: bool, first: int
) -> None:
    """Settings, shapes and strides beyond torch's list: equal to SGD after each of 6 steps."""
    if options.get("nesterov"):
        options["dampening"] = 0
        options["momentum"] = options["momentum"] or 0.9
    optimizers = pair(path, parameters(dtype, shapes), **options)
    together(
        *optimizers,
        steps=range(first, first + 6),
        ulps=ulps(path, dtype, options),
        absent=absent and mixed(path, dtype),
    )


NAN = float("nan")
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"momentum": 1}, "Invalid momentum value: 1; it must be a number from 0 to below 1"),
    ({"momentum": 1.5}, "Invalid momentum value: 1.5"),
    ({"momentum": -0.5}, "Invalid momentum value: -0.5"),
    ({"momentum": NAN}, "Invalid momentum value: nan"),
    ({"momentum": True}, "Invalid momentum value: True"),
    ({"momentum": "0.9"}, "Invalid momentum value: 0.9"),
    ({"lr": -1}, "Invalid learning rate: -1"),
    ({"lr": NAN}, "Invalid learning rate: nan"),
    ({"lr": float("inf")}, "Invalid learning rate: inf"),
    ({"lr": torch.tensor(-0.5)}, "Invalid learning rate: -0.5"),
    ({"weight_decay": -1}, "Invalid weight_decay value: -1"),
    ({"weight_decay": NAN}, "Invalid weight_decay value: nan"),
    ({"momentum": 0.9, "dampening": 2}, "tau must be from 0 to 1, got 2"),
    ({"momentum": 0.9, "dampening": NAN}, "tau must be"),
    ({"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
    ({"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "Nesterov momentum requires"),
]
MORE: list[tuple[dict[str, Any], str]] = [
    ({"rule": "nagg", "momentum": 0.9}, "no rule is called 'nagg'; did you mean 'nag'"),
    ({"rule": "nag"}, "nag needs momentum"),
    ({"rule": "qhm", "momentum": 0.9}, "qhm needs nu"),
    ({"rule": "nag", "momentum": 0.9, "nu": 0.7}, "nag has no setting 'nu'"),
    ({"rule": "nag", "momentum": 0.9, "mu": 0.7}, "nag has no setting 'mu'; .*momentum"),
    ({"rule": "nag:mu=0.5", "momentum": 0.9}, "momentum is given twice"),
    ({"rule": "nag:mu=ramp(0.5,0.9,0.1)"}, "ravine.torch.Schedule"),
    ({"rule": "nag", "momentum": 0.9, "dampening": 0.1}, "nag has no"),
    ({"rule": "heavyball", "momentum": 0.9, "nesterov": True}, "nesterov=True asks for torch's own form"),
    ({"rule": "triple", "L": 1.0, "m": 2.0}, "m, the smallest curvature, must not be above L"),
    ({"rule": "robust", "L": 9.0, "kappa": 9.0, "rho": 0.1}, "rho must lie from"),
    ({"rule": "triple", "L": 2.0, "m": 1.0, "decoupled_weight_decay": True}, "decoupled weight decay is scaled by lr"),
    ({"rule": 7}, "rule= takes a name, a rule, a method or a function"),
    ({"nu": 0.7}, "Momentum has no argument 'nu'"),
    ({"flat": True, "differentiable": True}, "flat=True and differentiable=True exclude each other"),
    ({"flat": True, "fused": True}, "flat=True and fused=True exclude each other"),
    ({"fused": True, "foreach": True}, "fused=True and foreach=True exclude each other"),
    ({"fused": True, "rule": "nag", "momentum": 0.9}, "use flat=True"),
    ({"velocity": "scaled"}, "velocity is 'kept' or 'corrected'"),
]


@pytest.mark.parametrize(("options", "words"), [*REFUSED, *MORE], ids=str)
def test_what_is_not_allowed_is_refused_in_one_sentence(options: dict[str, Any], words: str) -> None:
    """By a ValueError without a line break; torch's first words where torch has some."""
    with pytest.raises(RavineError, match=words) as found:
        Momentum([torch.nn.Parameter(torch.ones(2))], **{"lr": 0.1, **options} if "rule" not in options else options)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("options", "words"), REFUSED, ids=str)
def test_what_a_scheduler_sets_is_refused_before_the_step(options: dict[str, Any], words: str, path: str) -> None:
    """A setting that somebody writes into param_groups later stops the next step, which changes nothing; then it goes on."""
    p = torch.nn.Parameter(torch.ones(2))
    q = torch.nn.Parameter(torch.ones(3), requires_grad=False)
    q.grad = torch.ones(3)
    optimizer = made([q], path, lr=0.1)  # whose group is fine, and first
    optimizer.add_param_group(
        {"params": [p], "momentum": 0.9 if "nesterov" not in options or "momentum" in options else 0}
    )
    for _ in range(2):
        p.grad = torch.ones(2)
        optimizer.step()
    kept, group = [p.detach().clone(), q.detach().clone()], dict(optimizer.param_groups[1])
    optimizer.param_groups[1].update(options)
    for _ in range(2):
        with pytest.raises(RavineError, match=words):
            optimizer.step()
    assert_same([p, q], kept)
    optimizer.param_groups[1].update({key: group[key] for key in options})
    optimizer.step()
    assert not torch.equal(p, kept[0])


@paths
def test_fused_is_right_where_torchs_own_is_not(path: str) -> None:
    """Half precision with momentum, gradients of another layout and those that begin later: as the reference."""
    a = [torch.nn.Parameter(torch.randn(40).bfloat16()), torch.nn.Parameter(torch.randn(4, 3).t())]
    a += [torch.nn.Parameter(torch.randn(2, 3)), torch.nn.Parameter(torch.randn(5))]
    b = twins(a)
    ours, theirs = made(a, path, lr=0.1, momentum=0.9), SGD(b, 0.1, momentum=0.9, foreach=False)
    for t in range(4):
        for ps in (a, b):
            ps[0].grad = torch.linspace(-1, 1, 40).bfloat16()
            ps[1].grad = torch.arange(12.0).reshape(3, 4)
            ps[2].grad = torch.ones(1).expand(2, 3)
            ps[3].grad = torch.ones(5) if t > 1 else None
        ours.step()
        theirs.step()
        assert_same(a[:1], b[:1], ulps=4)  # torch's foreach rounds mu to bfloat16
        assert_same(a[1:], b[1:], ulps=4)
