"""torch's own tests of optimizers that need no GPU (test/test_optim.py), re-written for Momentum on every path."""

import copy
import functools
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.optim import SGD, lr_scheduler

from momenta import CONFIGS, OURS, PATHS, assert_same, buffers, made, one_thread, torchs, twins, words  # noqa: F401
from ravine.torch import Momentum

paths = pytest.mark.parametrize("path", PATHS)
configs = pytest.mark.parametrize("config", CONFIGS, ids=words)
RULES: list[dict[str, Any]] = [
    {},
    {"momentum": 0.9},
    {"rule": "nag", "momentum": 0.9},
    {"rule": "qhm:nu=0.7", "momentum": 0.9},
]


@paths
@configs
def test_without_gradients_nothing_happens(config: dict[str, Any], path: str) -> None:
    """Steps while every gradient is None change no parameter and make no state."""
    ps = [nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(4))]
    kept = [p.detach().clone() for p in ps]
    optimizer = made(ps, path, **config)
    for _ in range(3):
        optimizer.zero_grad()
        optimizer.step()
    assert_same(ps, kept)
    assert not optimizer.state_dict()["state"]


@paths
@configs
def test_gradients_of_zero_move_nothing(config: dict[str, Any], path: str) -> None:
    """But for weight decay, parameters stay to the bit where gradients are 0."""
    ps = [nn.Parameter(torch.randn(2, 3)), nn.Parameter(torch.randn(4))]
    kept = [p.detach().clone() for p in ps]
    optimizer = made(ps, path, **{**config, "weight_decay": 0})
    for _ in range(3):
        for p in ps:
            p.grad = torch.zeros_like(p)
        optimizer.step()
    assert_same(ps, kept)


SCHEDULERS: list[list[Callable[[Any], Any]]] = [
    [],
    [lambda o: lr_scheduler.StepLR(o, gamma=0.9, step_size=10)],
    [lambda o: lr_scheduler.LinearLR(o, start_factor=0.4, total_iters=4)],
    [
        lambda o: lr_scheduler.ConstantLR(o, factor=0.4, total_iters=4),
        lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    ],
    [lambda o: lr_scheduler.PolynomialLR(o, power=0.9, total_iters=4), lambda o: lr_scheduler.ReduceLROnPlateau(o)],
    [lambda o: lr_scheduler.OneCycleLR(o, max_lr=0.02, total_steps=60)],
    [lambda o: lr_scheduler.CyclicLR(o, base_lr=1e-3, max_lr=2e-2, step_size_up=5)],
    [lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 7)],
    [
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.1, total_iters=5), lr_scheduler.StepLR(o, 10)], [5]
        )
    ],
]


@paths
@pytest.mark.parametrize("tensor_lr", [False, True])
@pytest.mark.parametrize("makers", SCHEDULERS, ids=range(len(SCHEDULERS)))
def test_it_goes_in_the_right_direction_under_every_scheduler(makers: list[Any], tensor_lr: bool, path: str) -> None:
    """A linear model's loss falls under each of torch's schedulers, in the very steps of SGD, momentum cycled too."""
    ends = []
    if tensor_lr and any("CyclicLR" in maker.__code__.co_names for maker in makers):
        makers = []  # torch refuses a tensor there
    for optimizer_of in (functools.partial(Momentum, **PATHS[path]), functools.partial(SGD, **torchs(path))):
        torch.manual_seed(0)
        model, x = nn.Linear(10, 5), torch.randn(10)
        lr = torch.tensor(0.01) if tensor_lr else 0.01
        optimizer = optimizer_of(model.parameters(), lr=lr, momentum=0.9)
        schedulers = [maker(optimizer) for maker in makers]
        losses = []
        for _ in range(25):

            def closure(model: Any = model, x: Any = x, optimizer: Any = optimizer) -> Tensor:
                optimizer.zero_grad()
                loss = model(x).square().sum()
                loss.backward()
                return loss

            losses.append(optimizer.step(closure).item())
            for scheduler in schedulers:
                scheduler.step(*((losses[-1],) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else ()))
        assert losses[-1] < losses[0] / 2
        ends.append([*model.parameters()])
    # torch's fused kernel begins a buffer that our flat path begins with it: to the bit all the same.
    assert_same(*ends)


@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("options", RULES[1:], ids=str)
def test_complex_numbers_are_pairs_of_real_ones(options: dict[str, Any], path: str) -> None:
    """A complex parameter steps as its real and imaginary parts do."""
    z = nn.Parameter(torch.randn(6, dtype=torch.complex64))
    xy = nn.Parameter(torch.view_as_real(z.detach()).clone())
    one, other = (made([p], path, lr=0.1, weight_decay=0.01, **options) for p in (z, xy))
    for _ in range(8):
        g = torch.randn(6, dtype=torch.complex64)
        z.grad, xy.grad = g, torch.view_as_real(g).clone()
        one.step()
        other.step()
        assert_same([torch.view_as_real(z.detach())], [xy], ulps=8)


@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize(
    "options",
    [{"lr": 4e-4}, {"lr": 4e-4, "momentum": 0.5}, {"lr": 1e-3, "nesterov": True, "momentum": 0.9}],
    ids=str,
)
def test_rosenbrock_with_sparse_gradients(options: dict[str, Any], path: str) -> None:
    """Gradients that alternate between the coordinates, sparse or dense, lead down the same way as under SGD."""
    a, b, c = (nn.Parameter(torch.tensor([1.5, 1.5])) for _ in range(3))
    optimizers = [made([a], path, **options), made([b], path, **options), SGD([c], **options)]
    for t in range(40):
        for p, optimizer, sparse in zip((a, b, c), optimizers, (True, False, True), strict=True):
            x, y = p.detach()
            g = torch.stack([-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)])
            i = t % 2
            one = torch.sparse_coo_tensor(
                torch.tensor([[0, i]]), torch.stack([g[i] * 0, g[i]]), (2,), check_invariants=True
            )
            p.grad = one if sparse else one.to_dense()
            optimizer.step()
        torch.testing.assert_close(a, b)
        torch.testing.assert_close(a, c)
    assert torch.linalg.norm(a.detach() - 1) < torch.linalg.norm(torch.tensor([0.5, 0.5]))


def test_groups_are_refused_or_taken_as_torch_does() -> None:
    """The same parameter twice, sets, tensors that are no leaves, missing groups; defaults, order, lr and decay by group."""
    p, q = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    optimizer = Momentum([{"params": [q]}, {"params": p, "lr": 0.5, "weight_decay": 0.1}], 0.1, 0.9)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    assert [group["momentum"] for group in optimizer.param_groups] == [0.9, 0.9]
    with pytest.raises(ValueError, match="appear in more than one parameter group"):
        optimizer.add_param_group({"params": [p]})
    with pytest.raises(TypeError, match="ordered collections"):
        optimizer.add_param_group({"params": {nn.Parameter(torch.ones(1))}})
    with pytest.raises(ValueError, match="non-leaf"):
        optimizer.add_param_group({"params": [p * 2]})
    with pytest.raises(TypeError):
        optimizer.add_param_group([nn.Parameter(torch.ones(1))])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="params argument given to the optimizer"):
        Momentum(nn.Parameter(torch.ones(1)), 0.1)
    with pytest.raises(ValueError, match="empty parameter list"):
        Momentum([], 0.1)
    with pytest.warns(UserWarning, match="duplicate parameters"):
        Momentum([{"params": [p, p]}], 0.1)
    assert len(optimizer.param_groups) == 2
    named = Momentum(nn.Linear(2, 1).named_parameters(), 0.1)
    assert named.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


@paths
def test_a_group_added_later_begins_there(path: str) -> None:
    """As in SGD, whose groups differ in lr, momentum and weight decay; nobody's buffers are touched."""
    a = [nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(4))]
    b = twins(a)
    optimizers = made(a[:1], path, lr=0.1, momentum=0.9), SGD(b[:1], 0.1, momentum=0.9, **torchs(path))
    for t in range(6):
        for ps, optimizer in zip((a, b), optimizers, strict=True):
            if t == 3:
                optimizer.add_param_group({"params": ps[1:], "lr": 0.3, "momentum": 0.5, "weight_decay": 0.1})
            for p in ps:
                p.grad = torch.full_like(p, t)
            optimizer.step()
        assert_same(a, b)


@paths
@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_tensor_lr_is_its_number(shape: tuple[int, ...], path: str) -> None:
    """Of no dimension or of one, and written into between steps; one of two numbers is refused."""
    a = [nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(()))]
    b = twins(a)
    lrs = [torch.full(shape, 0.1) for _ in range(2)]
    optimizers = made(a, path, lr=lrs[0], momentum=0.9), SGD(b, lrs[1], momentum=0.9, **torchs(path))
    for t in range(5):
        for ps, optimizer, lr in zip((a, b), optimizers, lrs, strict=True):
            lr.fill_(0.1 / (1 + t))
            for p in ps:
                p.grad = torch.ones_like(p)
            optimizer.step()
        assert_same(a, b)
    assert optimizers[0].param_groups[0]["lr"] is lrs[0]
    with pytest.raises(ValueError, match="Tensor lr must be 1-element"):
        Momentum(a, torch.tensor([0.1, 0.2]))


@pytest.mark.parametrize("options", RULES, ids=str)
@pytest.mark.parametrize("velocity", ["kept", "corrected"])
def test_capturable_steps_with_tensors_alone(velocity: str, options: dict[str, Any]) -> None:
    """lr and momentum in tensors that are written into step as numbers do, and nobody asks what they hold."""
    a, b = nn.Parameter(torch.randn(4, dtype=torch.float64)), None
    b = nn.Parameter(a.detach().clone())
    tensors = {"lr": torch.tensor(0.1, dtype=torch.float64)}
    tensors |= {"momentum": torch.tensor(0.9, dtype=torch.float64)} if "momentum" in options else {}
    one = Momentum([a], **{**options, **tensors}, capturable=True, velocity=velocity)
    other = Momentum([b], **{**options, "lr": 0.1}, velocity=velocity)
    memory = one.param_groups[0].get("look")
    for t in range(8):
        lr, mu = 0.1 / (1 + t % 3) if t != 4 else 0.0, 0.5 + 0.05 * t
        tensors["lr"].fill_(lr)
        other.param_groups[0]["lr"] = lr
        if "momentum" in options:
            tensors["momentum"].fill_(mu)
            other.param_groups[0]["momentum"] = mu
        a.grad = b.grad = torch.full((4,), 1.0 + t, dtype=torch.float64)
        one.step()
        other.step()
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
        if t == 1:
            memory = one.param_groups[0].get("look")
    if "look" in one.param_groups[0]:
        assert one.param_groups[0]["look"] is memory


def _stepped(
    p: Tensor, g: Tensor, state: dict[str, Any], settings: dict[str, Any], *ignored: Any
) -> tuple[Tensor, ...]:
    """Make a step that autograd sees, as in torch's TestDifferentiableOptimizer."""
    p = p.clone()
    p.grad = g
    settings = {k: v.clone() if torch.is_tensor(v) else v for k, v in settings.items()}
    optimizer = Momentum([p], **settings, differentiable=True)
    optimizer.state[p].update({k: v.clone() for k, v in state.items()})
    optimizer.step()
    return (p, *(v for v in optimizer.state[p].values() if v is not None and v.requires_grad))


@pytest.mark.parametrize(
    "options",
    [*RULES, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, {"momentum": 0.9, "maximize": True}],
    ids=str,
)
@pytest.mark.parametrize("begun", [False, True])
def test_steps_are_differentiable(begun: bool, options: dict[str, Any]) -> None:
    """gradcheck through a step, with respect to the parameter, its gradient and its buffer."""
    p, g, v = (torch.rand(5, dtype=torch.float64, requires_grad=True) for _ in range(3))
    if not begun:
        v.requires_grad_(False)
    name = "velocity" if "rule" in options else "momentum_buffer"
    state = {name: v} if begun and "momentum" in options else {}
    assert gradcheck(_stepped, (p, g, state, {"lr": 0.9, **options}, *state.values()))


@pytest.mark.parametrize("key", ["lr", "weight_decay", "momentum"])
@pytest.mark.parametrize("options", [*RULES[1:], {"momentum": 0.9, "nesterov": True}], ids=str)
def test_settings_are_differentiable(options: dict[str, Any], key: str) -> None:
    """gradcheck with respect to a setting that is a tensor."""
    p, g, v = (torch.rand(5, dtype=torch.float64, requires_grad=True) for _ in range(3))
    setting = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    name = "velocity" if "rule" in options else "momentum_buffer"
    assert gradcheck(_stepped, (p, g, {name: v}, {"lr": 0.9, **options, key: setting}, v, setting))


@pytest.mark.parametrize("backend", ["eager", "aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", OURS)
@pytest.mark.parametrize("options", [RULES[1], RULES[2]], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_a_compiled_step_is_the_step(options: dict[str, Any], path: str, backend: str) -> None:
    """torch.compile(optimizer.step) over steps with a changing lr ends where the step itself does."""
    torch._dynamo.reset()
    a = [nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(5))]
    b = twins(a)
    optimizers = [made(ps, path, lr=0.1, **options) for ps in (a, b)]
    steps = [torch.compile(optimizers[0].step, backend=backend), optimizers[1].step]
    for t in range(4):
        for ps, optimizer, step in zip((a, b), optimizers, steps, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 / (1 + t // 2)
            for p in ps:
                p.grad = torch.full_like(p, 1.0 + t)
            step()
        assert_same(a, b, ulps=4)
        assert_same(buffers(optimizers[0], a), buffers(optimizers[1], b), ulps=4)
    torch._dynamo.reset()


@paths
def test_mixed_dtypes_and_devices_are_grouped(path: str) -> None:
    """float32, float64 and bfloat16 parameters in one group beside those of the meta device: each steps as alone."""
    kinds = (torch.float32, torch.float64, torch.bfloat16)
    a = [nn.Parameter(torch.randn(5).to(dtype)) for dtype in kinds]
    b = twins(a)
    ghost = nn.Parameter(torch.empty(3, device="meta"))
    one = made([*a, ghost] if path in ("per tensor", "foreach") else a, path, lr=0.1, momentum=0.9)
    others = [made([p], path, lr=0.1, momentum=0.9) for p in b]
    for t in range(4):
        for p in (*a, *b, ghost):
            p.grad = torch.full_like(p, t)
        one.step()
        for other in others:
            other.step()
        assert_same(a, b)


@paths
def test_the_profiler_sees_steps_by_torchs_labels(path: str) -> None:
    """Optimizer.step#Momentum.step and Optimizer.zero_grad#Momentum.zero_grad stand in a profile."""
    p = nn.Parameter(torch.ones(3))
    optimizer = made([p], path, lr=0.1, momentum=0.9)
    p.grad = torch.ones(3)
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.autograd.profiler.profile() as profile:
            optimizer.step()
            optimizer.zero_grad()
    labels = {event.name for event in profile.function_events}
    assert {"Optimizer.step#Momentum.step", "Optimizer.zero_grad#Momentum.zero_grad"} <= labels


@paths
@pytest.mark.parametrize("set_to_none", [False, True])
def test_zero_grad_forgets_as_torch_does(set_to_none: bool, path: str) -> None:
    """None or a 0 in the same tensor; on the flat path always the latter, for what lies outside of it too."""
    ps = [nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(6)[::2])]
    optimizer = made(ps, path, lr=0.1, momentum=0.9)
    for p in ps:
        p.grad = torch.ones(3)
    optimizer.step()
    kept = [p.grad for p in ps]
    optimizer.zero_grad(set_to_none)
    for p, g in zip(ps, kept, strict=True):
        flat = path == "flat" and p is ps[0]
        assert p.grad is (None if set_to_none and not flat else g)
        assert set_to_none or not g.any()


@paths
def test_a_closure_is_called_with_gradients_on(path: str) -> None:
    """Once, even inside of no_grad, and what it returns is returned."""
    p = nn.Parameter(torch.ones(3))
    optimizer, calls = made([p], path, lr=0.1, momentum=0.9), []

    def closure() -> Tensor:
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure).item() == 3
        assert not torch.is_grad_enabled()
    assert calls == [True]
    assert_same([p], [torch.full((3,), 0.8)])


@paths
def test_a_stale_buffer_waits_as_torchs_does(path: str) -> None:
    """momentum to 0 and back: torch leaves the buffer as it was, and goes on with it."""
    a = [nn.Parameter(torch.randn(5))]
    b = twins(a)
    optimizers = made(a, path, lr=0.1, momentum=0.9), SGD(b, 0.1, momentum=0.9, **torchs(path))
    for t, mu in enumerate([0.9, 0.9, 0, 0.0, 0.5, 0.9, 0, 0.9]):
        for ps, optimizer in zip((a, b), optimizers, strict=True):
            optimizer.param_groups[0]["momentum"] = mu
            ps[0].grad = torch.full((5,), 1.0 + t)
            optimizer.step()
        assert_same(a, b)
        assert_same(buffers(optimizers[0], a), buffers(optimizers[1], b))


def test_state_dict_is_deterministic_under_copies() -> None:
    """A deep copy of a state is the state: both load to one and the same run."""
    p = nn.Parameter(torch.randn(3))
    optimizer = Momentum([p], 0.1, 0.9, rule="nag", flat=True)
    p.grad = torch.ones(3)
    optimizer.step()
    state = optimizer.state_dict()
    again = copy.deepcopy(state)
    assert again["param_groups"] == state["param_groups"]
    assert_same([again["state"][0]["velocity"]], [state["state"][0]["velocity"]])
