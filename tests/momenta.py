"""Drive ravine.torch.Momentum beside another optimizer, for the tests: the same gradients, compared after each step."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from ravine.torch import Momentum


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep the threads of one test from those of another process; those who import this are run so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


PATHS: Mapping[str, Mapping[str, Any]] = {
    "per tensor": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
    "flat": {"flat": True},
}
OURS = ("per tensor", "foreach", "flat")  # fused is torch's own kernel, for torch's own settings
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64)

# torch.testing._internal.common_optimizers, optim_inputs_func_sgd of torch 2.13; a test holds the copy against it.
CONFIGS: Sequence[Mapping[str, Any]] = (
    {},
    {"lr": 1e-2},
    {"lr": torch.tensor(0.001)},
    {"weight_decay": 0.5},
    {"momentum": 0.9},
    {"weight_decay": 0.1, "maximize": True},
    {"momentum": 0.9, "dampening": 0.5},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
)
SHAPES = ((), (1,), (3,), (0,), (5, 7), (2, 3, 4, 5), (67,))


def words(config: Mapping[str, Any]) -> str:
    """Name a configuration in the list of tests."""
    return ",".join(f"{k}={v.item() if torch.is_tensor(v) else v}" for k, v in config.items()) or "default"


def torchs(path: str, ps: Sequence[Tensor] = ()) -> Mapping[str, Any]:
    """Return the arguments with which torch.optim.SGD takes this path, or its reference where it has none.

    Its fused kernel is wrong for half precision with momentum on a CPU (torch 2.13), and there is none for complex.
    """
    whole = all(p.dtype in (torch.float32, torch.float64) for p in ps)
    return PATHS[path] if path == "foreach" or (path == "fused" and whole) else PATHS["per tensor"]


def drawn(like: Iterable[Tensor], seed: int) -> list[Tensor]:
    """Return random tensors of these shapes, strides and dtypes."""
    source = torch.Generator().manual_seed(seed)
    return [torch.empty_like(p).copy_(torch.randn(p.shape, generator=source, dtype=wide(p))) for p in like]


def wide(p: Tensor) -> torch.dtype:
    return torch.complex64 if p.is_complex() else torch.float64


def parameters(dtype: torch.dtype = torch.float32, shapes: Iterable[tuple[int, ...]] = SHAPES) -> list[Tensor]:
    """Return random parameters, of which the fourth kind is channels_last and the last is transposed as well."""
    source = torch.Generator().manual_seed(0)
    made: list[Tensor] = []
    for shape in shapes:
        x = torch.randn(shape, generator=source, dtype=torch.complex64 if dtype.is_complex else torch.float64)
        x = x.to(dtype)
        made.append(x.to(memory_format=torch.channels_last) if len(shape) == 4 else x)
        if len(shape) == 2:
            made.append(x.clone().t())
    return [torch.nn.Parameter(x) for x in made]


def twins(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return parameters of the same values, shapes and strides."""
    return [torch.nn.Parameter(p.detach().clone(), p.requires_grad) for p in tensors]


def give(both: Sequence[Sequence[Tensor]], t: int, optimizers: Sequence[torch.optim.Optimizer], absent: bool) -> None:
    """Give each list the same gradients, in one of the ways in which gradients come: which one, the step says."""
    gradients = drawn(both[0], seed=1000 + t)
    for ps, optimizer in zip(both, optimizers, strict=True):
        if t % 3 == 0:
            for p, g in zip(ps, gradients, strict=True):
                p.grad = g.clone()
        elif t % 3 == 1:
            for p, g in zip(ps, gradients, strict=True):
                p.grad = torch.zeros_like(p) if p.grad is None else p.grad
                p.grad.copy_(g)
        else:
            optimizer.zero_grad(set_to_none=t % 2 == 0)
            losses = [
                (p * g.conj()).real.sum() if p.is_complex() else (p * g).sum()
                for p, g in zip(ps, gradients, strict=True)
            ]
            torch.autograd.backward(losses)
        for i, p in enumerate(ps):
            if absent and (i + t) % 4 == 0:
                p.grad = None


def buffers(optimizer: torch.optim.Optimizer, ps: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the buffer of each parameter, None where there is none."""
    name = "velocity" if any("velocity" in state for state in optimizer.state.values()) else "momentum_buffer"
    return [optimizer.state[p].get(name) if p in optimizer.state else None for p in ps]


def assert_same(a: Sequence[Tensor | None], b: Sequence[Tensor | None], ulps: float = 0) -> None:
    """Assert that tensors are equal to the bit, or to so many units in the last place of the larger parts."""
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert (x is None) == (y is None)
        if x is None or y is None:
            continue
        x, y = x.detach(), y.detach()
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        if ulps:
            few = ulps * torch.finfo(x.dtype).eps
            # Of the largest: where numbers cancel, their roundings stay.
            atol = few * max(1.0, float(y.abs().max())) if y.numel() else 0.0
            torch.testing.assert_close(x, y, rtol=few, atol=atol, equal_nan=True)
        else:
            assert torch.equal(x, y), (x, y)


def together(
    ours: torch.optim.Optimizer,
    theirs: torch.optim.Optimizer,
    mine: Sequence[Tensor],
    other: Sequence[Tensor],
    steps: Iterable[int] = range(20),
    ulps: float = 0,
    absent: bool = True,
) -> None:
    """Step two optimizers on the same gradients and assert after each step that parameters and buffers are equal."""
    for t in steps:
        give((mine, other), t, (ours, theirs), absent)
        ours.step()
        theirs.step()
        assert_same(mine, other, ulps)
        assert_same(buffers(ours, mine), buffers(theirs, other), ulps)


def made(ps: Any, path: str = "per tensor", **options: Any) -> Momentum:
    """Make a Momentum that takes this path."""
    return Momentum(ps, **{**PATHS[path], **options})
