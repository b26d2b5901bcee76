"""The flat path: whatever somebody does to parameters, gradients and buffers, it steps on as torch.optim.SGD does."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from momenta import assert_same, buffers, drawn, one_thread, parameters, twins  # noqa: F401
from ravine.torch import Momentum

SETTINGS: dict[str, Any] = {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.01}


class Both:
    """Hold a model under a flat Momentum and its twin under torch.optim.SGD."""

    def __init__(self, **options: Any) -> None:
        torch.manual_seed(0)
        self.models = [nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 3))]
        self.models.append(copy.deepcopy(self.models[0]))
        settings = {**SETTINGS, **options}
        self.optimizers: list[Any] = [
            Momentum(self.models[0].parameters(), flat=True, **settings), SGD(self.models[1].parameters(), **settings)
        ]  # fmt: skip
        self.t = 0

    def __iter__(self) -> Iterator[tuple[nn.Module, Any]]:
        return iter(zip(self.models, self.optimizers, strict=True))

    def backward(self, **options: Any) -> None:
        for model in self.models:
            x = torch.randn(4, 6, generator=torch.Generator().manual_seed(self.t))
            model(x.to(next(model.parameters()).dtype)).square().sum().backward(**options)
        self.t += 1

    def step(self, steps: int = 1, zero: bool = True) -> None:
        """Step both and assert that they are equal."""
        for _ in range(steps):
            for _, optimizer in self:
                if zero:
                    optimizer.zero_grad()
            self.backward()
            for _, optimizer in self:
                optimizer.step()
            self.equal()

    def equal(self) -> None:
        a, b = ([*model.parameters()] for model in self.models)
        assert_same(a, b)
        assert_same(buffers(self.optimizers[0], a), buffers(self.optimizers[1], b))

    def do(self, action: Callable[[nn.Module, Any], object]) -> None:
        for model, optimizer in self:
            action(model, optimizer)

    @property
    def flat(self) -> Momentum:
        return self.optimizers[0]


def new_data(model: Any, optimizer: Any) -> None:
    model[0].weight.data = torch.ones_like(model[0].weight)


def new_grads(model: Any, optimizer: Any) -> None:
    for p in model.parameters():
        p.grad.data = torch.full_like(p, 0.5)


def no_grads(model: Any, optimizer: Any) -> None:
    for p in model.parameters():
        p.grad = None


def load(model: Any, optimizer: Any) -> None:
    model.load_state_dict({k: v * 2 for k, v in model.state_dict().items()})


def frozen(model: Any, optimizer: Any) -> None:
    for p in model[0].parameters():
        p.requires_grad_(False)
        p.grad = None


def shown_again(model: Any, optimizer: Any) -> None:
    for p in model[0].parameters():
        p.requires_grad_(True)


def one_buffer(model: Any, optimizer: Any) -> None:
    optimizer.state[model[3].bias]["momentum_buffer"] = torch.full((3,), 0.25)


def one_gone(model: Any, optimizer: Any) -> None:
    del optimizer.state[model[3].bias]


def replaced(model: Any, optimizer: Any) -> None:
    model[0].weight = nn.Parameter(torch.full_like(model[0].weight, 0.5))
    optimizer.param_groups[0]["params"][0] = model[0].weight


def swapped(model: Any, optimizer: Any) -> None:
    model[0].weight.grad = None
    torch.utils.swap_tensors(model[0].weight, nn.Parameter(torch.full_like(model[0].weight, 0.5)))


def shorter(model: Any, optimizer: Any) -> None:
    del optimizer.param_groups[0]["params"][1]


def two_groups(model: Any, optimizer: Any) -> None:
    group = optimizer.param_groups[0]
    last = group["params"].pop()
    optimizer.add_param_group({"params": [last], "lr": 0.01, "momentum": 0.5})


ACTIONS: list[Callable[[Any, Any], object]] = [
    new_data, new_grads, no_grads, load, frozen, one_buffer, one_gone, replaced, shorter, two_groups,
    lambda model, optimizer: model.zero_grad(),
    lambda model, optimizer: model.zero_grad(set_to_none=False),
    lambda model, optimizer: optimizer.zero_grad(set_to_none=False),
    lambda model, optimizer: optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict())),
    lambda model, optimizer: optimizer.state.clear(),
    lambda model, optimizer: setattr(optimizer, "state", type(optimizer.state)(dict)),
    lambda model, optimizer: [s["momentum_buffer"].zero_() for s in optimizer.state.values()],
    lambda model, optimizer: optimizer.param_groups[0].update(momentum=0),
    lambda model, optimizer: torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1),
    lambda model, optimizer: model.requires_grad_(True),
    lambda model, optimizer: [p.detach().mul_(0.5) for p in model.parameters()],
    lambda model, optimizer: model[0].weight.data.copy_(torch.eye(5, 6)),
]  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__ + str(ACTIONS.index(action)))
def test_whatever_is_done_is_found(action: Callable[[Any, Any], object]) -> None:
    """Done before the first step or after some, before backward or after it: the path stays that of SGD."""
    both = Both()
    both.step(3)
    both.do(action)
    both.step(3)
    both.do(action if action not in (shorter, two_groups) else load)
    both.backward()
    both.do(lambda model, optimizer: optimizer.step())
    both.equal()
    both.step(2)


def test_frozen_parameters_thaw_and_are_gathered_again() -> None:
    """Those that are frozen from the beginning lie outside, until they are trained; then everything is one piece."""
    both = Both()
    both.do(frozen)
    both.step(2)
    assert both.models[0][0].weight.untyped_storage().nbytes() == 30 * 4
    both.do(shown_again)
    both.step(2)
    assert not both.flat._left[0]
    both.do(frozen)
    both.step(2)


def test_a_swapped_parameter_is_found() -> None:
    """torch.utils.swap_tensors puts another tensor behind a parameter: that one is stepped from then on."""
    both = Both()
    both.step(2)
    both.do(swapped)
    both.step(3)


def test_another_dtype_is_gathered_anew() -> None:
    """model.to(float64) in the middle, and the buffers with it: as a run of SGD that was converted there."""
    both = Both()
    both.step(3)

    def double(model: nn.Module, optimizer: Any) -> None:
        model.to(torch.float64)
        for state in optimizer.state.values():
            state["momentum_buffer"] = state["momentum_buffer"].double()

    both.do(double)
    both.step(3)
    assert both.flat._flat[0][0].x.dtype == torch.float64


def test_views_stay_views() -> None:
    """Parameters, gradients and buffers lie each in one piece of memory, zero_grad sets 0 and keeps them there."""
    both = Both()
    both.step(3)
    ps = [*both.models[0].parameters()]
    for these in (ps, [p.grad for p in ps], buffers(both.flat, ps)):
        assert len({t.untyped_storage().data_ptr() for t in these}) == 1
    kept = [p.grad for p in ps]
    both.flat.zero_grad()
    assert all(p.grad is g and not g.any() for p, g in zip(ps, kept, strict=True))


def test_the_steady_state_only_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first steps nothing is gathered again: a step asks whether all is where it was, and makes its pass."""
    from ravine.torch.flat import Bucket

    both = Both()
    both.step(3)
    assert both.flat._flat[0][0].watch.same()
    monkeypatch.setattr(Bucket, "gather", lambda self: pytest.fail("gathered again"))
    both.step(5)
    both.flat.param_groups[0]["lr"] = both.optimizers[1].param_groups[0]["lr"] = 0.02
    both.step(2)


def test_gradients_accumulate_and_graphs_are_retained() -> None:
    """Two backward passes before a step, and a graph that is kept, add up as under SGD."""
    both = Both()
    both.step(2)
    both.backward(retain_graph=True)
    both.step(2, zero=False)


@pytest.mark.parametrize("flat", [True, False])
def test_a_graph_that_saved_parameters_refuses_to_go_backward_after_a_step(flat: bool) -> None:
    """As after torch's own steps: the weights that it would multiply with are gone, and autograd says so."""
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    optimizer = Momentum(model.parameters(), 0.1, 0.9, flat=flat)
    for _ in range(2):
        model(torch.ones(2, 3)).sum().backward()
        optimizer.step()
    loss = model(torch.ones(2, 3)).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_what_cannot_be_moved_stays_and_is_stepped() -> None:
    """Tied weights, views, memory shared by two, expanded, empty, subclasses and frozen ones: equal to SGD."""

    class Own(Tensor):
        pass

    def those() -> list[Any]:
        torch.manual_seed(0)
        base, tied = torch.randn(10), torch.randn(4)
        first = [nn.Parameter(base[:4]), nn.Parameter(base[2:8]), nn.Parameter(tied), nn.Parameter(tied)]
        own = torch.randn(3).as_subclass(Own).requires_grad_()
        strided = nn.Parameter(torch.randn(4, 6)[:, ::2])
        rest = [nn.Parameter(torch.empty(0)), nn.Parameter(torch.randn(3, 4).t()), nn.Parameter(torch.randn(()))]
        return [*first, own, strided, *rest, torch.randn(2), nn.Parameter(torch.randn(70))]

    a, b = those(), those()
    ours, theirs = Momentum(a, flat=True, **SETTINGS), SGD(b, **SETTINGS)
    for t in range(5):
        for ps in (a, b):
            for p, g in zip(ps, drawn(a, t), strict=True):
                p.grad = g.as_subclass(Tensor).clone() if p.requires_grad else None
        ours.step()
        theirs.step()
        assert_same(a, b)
    assert len(ours._flat[0][0].parameters) == 3


def test_several_dtypes_and_groups_are_pieces_of_their_own() -> None:
    """float32, float64 and bfloat16 in two groups: each kind has its memory, and each equals SGD."""
    kinds = [*parameters(), *parameters(torch.float64), *parameters(torch.bfloat16)]
    a, b = kinds, twins(kinds)

    def groups(ps: list[Tensor]) -> list[dict[str, Any]]:
        return [{"params": ps[::2]}, {"params": ps[1::2], "lr": 0.01, "momentum": 0.5, "nesterov": True}]

    ours, theirs = Momentum(groups(a), flat=True, **SETTINGS), SGD(groups(b), **SETTINGS)
    for t in range(5):
        for p, q, g in zip(a, b, drawn(a, t), strict=True):
            p.grad, q.grad = g.clone(), g.clone()
        ours.step()
        theirs.step()
        assert_same(a, b)
    assert [len(found) for found in ours._flat.values()] == [3, 3]


def test_sparse_gradients_are_stepped_one_by_one() -> None:
    """An embedding with sparse gradients beside dense parameters: equal to SGD."""
    a = [nn.Parameter(torch.randn(6, 3)), nn.Parameter(torch.randn(5))]
    b = twins(a)
    ours, theirs = Momentum(a, 0.1, 0.9, flat=True), SGD(b, 0.1, 0.9)
    for t in range(6):
        rows = torch.tensor([[t % 6, (t + 2) % 6]])
        sparse = torch.sparse_coo_tensor(rows, torch.randn(2, 3), (6, 3), check_invariants=True)
        for ps in (a, b):
            ps[0].grad = sparse.clone()
            ps[1].grad = torch.ones(5) * t
        ours.step()
        theirs.step()
        assert_same(a, b, ulps=8)  # torch adds what stands twice in a sparse buffer in another order


def test_copies_step_alone() -> None:
    """A deep copy of model and optimizer goes on as the original does, and neither moves the other."""
    both = Both()
    both.step(3)
    model, optimizer = copy.deepcopy((both.models[0], both.flat))
    kept = [p.detach().clone() for p in model.parameters()]
    both.step(2)
    assert_same([*model.parameters()], kept)
    both.models[1], both.optimizers[1] = model, optimizer
    both.t = 3
    for p in model.parameters():
        p.grad = None
    for t in (3, 4):
        x = torch.randn(4, 6, generator=torch.Generator().manual_seed(t))
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()
    both.equal()
    assert len(optimizer._flat[0]) == 1
    assert not optimizer._left[0]


def test_two_optimizers_share_a_model() -> None:
    """Each steps from where the other has left it."""
    both = Both()
    more: list[Any] = [
        Momentum(both.models[0].parameters(), 0.01, 0.5, flat=True),
        SGD(both.models[1].parameters(), 0.01, 0.5),
    ]
    for _ in range(3):
        both.step()
        for optimizer in more:
            optimizer.step()
        both.equal()
