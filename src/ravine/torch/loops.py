"""One update of tensors, in torch's own operations: tensor by tensor, the reference, or many at a time."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ravine.schedules import Number
from ravine.torch.numbers import PLAIN, Group, Pass


def update(x: Tensor, g: Tensor, v: Tensor | None, numbers: Pass, dtype: torch.dtype | None = None) -> Tensor | None:
    """Make one update of one tensor in place; returns v. As `update_each`."""
    return update_each([x], [g], [v], numbers, dtype)[0]


def update_each(
    xs: list[Tensor], gs: list[Tensor], vs: list[Tensor | None], numbers: Pass, dtype: torch.dtype | None = None
) -> list[Tensor | None]:
    """Make one update of tensors in place, one after another, in the order and rounding of torch.optim.SGD; returns vs.

        g' = sign·g + pull·x    x = shrink·x + leave·v    v' = keep·v + take·g'    x' = x + move·v' + kick·g'

    Args:
        xs, gs: parameters and their gradients, which are left as they are.
        vs: their buffers, None before there was one.
        numbers: of this update.
        dtype: of a buffer that is made here, where it is not the parameter's.
    """
    sign, pull, shrink, leave, keep, take, move, kick, buffer = numbers
    pulled, shrunk, leaves, kicked, moved = (
        not _is(c, d) for c, d in ((pull, 0), (shrink, 1), (leave, 0), (kick, 0), (move, 0))
    )
    # Where lr may be a 0 that nobody can see, there is no quotient.
    apart = kicked and moved and _unseen(numbers)
    ratio = numbers.ratio if kicked and moved and not apart else 0
    made: list[Tensor | None] = []
    for x, g, v in zip(xs, gs, vs, strict=True):
        if sign < 0:
            g = -g
        if pulled:
            g = _sum(g, x.clone() if _watched(pull) else x, pull)
        if shrunk:
            x.mul_(shrink)
        if not buffer:
            _add(x, g, kick)
            made.append(None)
            continue
        if v is None:
            v = _begun(g, take, dtype)
        else:
            if leaves:
                _add(x, v, leave)
            _add(v.mul_(keep), g, take)
        if apart or not kicked:
            _add(x, v, move)
        if kicked:
            _add(x, g if apart or not moved else _sum(g, v, ratio), kick)
        made.append(v)
    return made


def _begun(g: Tensor, take: Number, dtype: torch.dtype | None) -> Tensor:
    """Return the first buffer."""
    g = g if g.requires_grad else g.detach()
    g = g if dtype is None else g.to(dtype)
    return g.clone() if _is(take, 1) else g * take


def update_many(xs: list[Tensor], gs: list[Tensor], vs: list[Tensor], numbers: Pass) -> None:
    """Make one update of many tensors at once, in place; all of one kind, each with a buffer unless there is none.

    The gradients are left as they are.
    """
    sign, pull, shrink, leave, keep, take, move, kick, buffer = numbers
    mine = sign < 0 or not _is(pull, 0)  # whether the gradients are copies
    if sign < 0:
        gs = list(torch._foreach_neg(gs))
    if not _is(pull, 0):
        gs = _sums(gs, xs, pull)
    if not _is(shrink, 1):
        torch._foreach_mul_(xs, shrink)
    if not buffer:
        return _add_many(xs, gs, kick)
    if not _is(leave, 0):
        _add_many(xs, vs, leave)
    torch._foreach_mul_(vs, keep)
    _add_many(vs, gs, take)
    if _is(kick, 0):
        return _add_many(xs, vs, move)
    if _is(move, 0):
        return _add_many(xs, gs, kick)
    # On a CPU a copy of all gradients at once would be new memory in every step, which costs more than another pass.
    full = xs[0].device.type == "cpu" and xs[0].dtype in (torch.float32, torch.float64)
    if _unseen(numbers) or (full and not mine):
        _add_many(xs, vs, move)
        return _add_many(xs, gs, kick)
    if mine:
        _add_many(gs, vs, numbers.ratio)
        return _add_many(xs, gs, kick)
    return _add_many(xs, _sums(gs, vs, numbers.ratio), kick)


def fusable(x: Tensor, v: Tensor | None) -> bool:
    """Say whether torch's fused kernel makes the right update of x: it walks memory as if all were of one layout.

    On the CPU that of torch 2.13 is wrong for half precision with momentum as well.
    """
    g = x.grad
    v = x if v is None else v
    if g is None or type(x) not in PLAIN or g.is_sparse or v.is_sparse:
        return False
    if x.is_cpu and x.dtype not in (torch.float32, torch.float64):
        return False
    if not x.dtype is g.dtype is v.dtype:
        return False
    if x.is_contiguous() and g.is_contiguous() and v.is_contiguous():
        return True
    return x.stride() == g.stride() == v.stride() and dense(x)


def update_fused(xs: list[Tensor], vs: list[Any], group: Group, begin: bool) -> None:
    """Make one update of many tensors by torch's fused kernel; vs is empty where there is no momentum, 0 to begin with."""
    from torch.optim.sgd import sgd

    sgd(
        xs, [x.grad for x in xs if x.grad is not None], vs, fused=True,
        weight_decay=group["weight_decay"], momentum=group["momentum"], lr=group["lr"],
        dampening=0 if begin else group["dampening"], nesterov=group["nesterov"], maximize=group["maximize"],
    )  # fmt: skip


def dense(p: Tensor) -> bool:
    """Say whether a tensor's numbers fill a stretch of memory without gaps or repeats, in whatever order."""
    size = 1
    for stride, n in sorted(zip(p.stride(), p.size(), strict=True)):
        if n != 1:
            if stride != size:
                return False
            size *= n
    return True


def alike(xs: list[Any], gs: list[Any], vs: list[Any]) -> Iterator[tuple[list[Any], ...]]:
    """Yield lists of tensors of one kind, as `update_many` takes them.

    A list with torch's own tensors beside distributed ones, or with two meshes, is refused by those operations.
    """

    def one(x: Any, g: Any, v: Any) -> bool:
        return type(x) in PLAIN and x.dtype is g.dtype and (v is None or v.dtype is x.dtype)

    if xs and all(map(one, xs, gs, vs)):
        for lists, _ in torch.optim.Optimizer._group_tensors_by_device_and_dtype([xs, gs, vs]).values():
            yield tuple(lists)
        return
    kinds: dict[Any, tuple[list[Any], ...]] = {}
    for x, g, v in zip(xs, gs, vs, strict=True):
        kind = type(x), getattr(x, "device_mesh", None), x.device, x.dtype, g.dtype, v is None or v.dtype
        for column, tensor in zip(kinds.setdefault(kind, ([], [], [])), (x, g, v), strict=True):
            column.append(tensor)
    yield from kinds.values()


def _is(number: Number, value: int) -> bool:
    """Say whether a number is known to have this value; a tensor is not asked, a GPU would have to be waited for."""
    return not isinstance(number, Tensor) and number == value


def _unseen(numbers: Pass) -> bool:
    return isinstance(numbers.kick, Tensor) or isinstance(numbers.move, Tensor)


def _watched(number: Number) -> bool:
    return isinstance(number, Tensor) and number.requires_grad


def _add(x: Tensor, y: Tensor, number: Number) -> None:
    """Add number·y to x in place."""
    if isinstance(number, Tensor):
        x.addcmul_(y, number.to(x.device))
    else:
        x.add_(y, alpha=number)


def _sum(x: Tensor, y: Tensor, number: Number) -> Tensor:
    return torch.addcmul(x, y, number.to(x.device)) if isinstance(number, Tensor) else x.add(y, alpha=number)


def _add_many(xs: list[Tensor], ys: list[Tensor], number: Number) -> None:
    if isinstance(number, Tensor):
        torch._foreach_add_(xs, torch._foreach_mul(ys, number.to(xs[0].device)))
    else:
        torch._foreach_add_(xs, ys, alpha=number)


def _sums(xs: list[Tensor], ys: list[Tensor], number: Number) -> list[Tensor]:
    if isinstance(number, Tensor):
        return list(torch._foreach_add(xs, torch._foreach_mul(ys, number.to(xs[0].device))))
    return list(torch._foreach_add(xs, ys, alpha=number))
