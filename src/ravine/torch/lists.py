"""The paths that update tensors where they lie: one by one, in torch's lists, by torch's fused kernel."""

from collections.abc import Iterable, MutableMapping
from typing import Any

import torch
from torch import Tensor

from ravine.torch.loops import alike, fusable, update, update_each, update_fused, update_many
from ravine.torch.numbers import Group, Plan, buffer_name, dtype_of

State = MutableMapping[Tensor, dict[str, Any]]


def update_lists(state: State, group: Group, now: Plan, parameters: Iterable[Tensor]) -> bool:
    """Update parameters in torch's own operations, as the group asks for; says whether any had a gradient."""
    having = [p for p in parameters if p.grad is not None]
    if not having:
        return False
    if group["fused"] and group["rule"] is None:
        _fused(state, group, now, having)
        return True
    foreach = group["foreach"]
    if foreach is None:
        # As torch does: on a GPU, where every call costs the same however much it does.
        foreach = not (group["differentiable"] or torch.compiler.is_compiling()) and all(p.is_cuda for p in having)
    (_foreach if foreach else _each)(state, group, now, having)
    return True


def _each(state: State, group: Group, now: Plan, parameters: list[Tensor]) -> None:
    """Update tensors one by one: the reference."""
    gs = [p.grad for p in parameters if p.grad is not None]
    if not now.update.buffer:
        update_each(parameters, gs, [None] * len(gs), now.update)
        return
    name, states = buffer_name(group), [state[p] for p in parameters]
    vs = [own.get(name) for own in states]
    if now.first is now.update or not any(v is None for v in vs):
        made = update_each(parameters, gs, vs, now.update, dtype_of(group))
    else:
        made = [
            update(p, g, v, now.first if v is None else now.update, dtype_of(group))
            for p, g, v in zip(parameters, gs, vs, strict=True)
        ]
    for own, v, new in zip(states, vs, made, strict=True):
        if v is None:
            own[name] = new


def _foreach(state: State, group: Group, now: Plan, parameters: list[Tensor]) -> None:
    """Update tensors of one kind together, but one by one where one of them begins or a gradient is sparse."""
    name, buffer = buffer_name(group), now.update.buffer
    gs: list[Any] = [p.grad for p in parameters]
    vs: list[Any] = [state[p].get(name) for p in parameters] if buffer else list(parameters)
    alone = [g.is_sparse for g in gs]
    if any(alone):
        _each(state, group, now, [p for p, one in zip(parameters, alone, strict=True) if one])
        parameters, gs, vs = ([t for t, one in zip(ts, alone, strict=True) if not one] for ts in (parameters, gs, vs))
    for xs, slopes, buffers in alike(parameters, gs, vs):
        if any(v is None for v in buffers):  # as in torch, whose products for many round bfloat16 otherwise
            _each(state, group, now, xs)
        else:
            update_many(xs, slopes, buffers, now.update)


def _fused(state: State, group: Group, now: Plan, parameters: list[Tensor]) -> None:
    """Call torch's fused kernel where it is right; the others go one by one."""
    name, held = buffer_name(group), now.update.buffer
    fit = [fusable(p, state[p].get(name) if held else None) for p in parameters]
    _each(state, group, now, [p for p, fits in zip(parameters, fit, strict=True) if not fits])
    parameters = [p for p, fits in zip(parameters, fit, strict=True) if fits]
    begins = [held and name not in state[p] for p in parameters]
    for begin in (False, True):
        xs = [p for p, begun in zip(parameters, begins, strict=True) if begun == begin]
        for p in xs if begin else ():
            state[p][name] = torch.zeros_like(p)
        if xs:
            update_fused(xs, [state[p][name] for p in xs] if held else [], group, begin)
