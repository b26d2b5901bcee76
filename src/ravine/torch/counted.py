"""Which calls of `optimizer.step` are updates: a schedule counts those and no others."""

import sys
from types import FrameType
from typing import Any

import torch

_HOOKED = torch.optim.Optimizer.profile_hook_step.__code__  # makes the wrapper that runs a step's hooks


def left_out(optimizer: Any) -> bool:
    """Say whether a GradScaler had the optimizer leave out the update: an optimizer that can is called all the same."""
    found = getattr(optimizer, "found_inf", None)
    return found is not None and bool(found != 0)


def within_a_step(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether a step of the optimizer is running that has called this one, as `super().step()` does.

    torch runs the hooks of both where the parent class has been used by itself before, and they made one update.
    """
    steps = 0
    here: FrameType | None = sys._getframe(1)
    while here is not None:
        code = here.f_code
        if code.co_filename == _HOOKED.co_filename and "wrapper" in code.co_name:
            steps += here.f_locals.get("self") is optimizer
        here = here.f_back
    return steps > 1


def only_makes_state(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether a step is the one by which torch.distributed.checkpoint makes an optimizer's state before loading.

    It sets lr and all gradients to 0 for it, and nothing has a state yet: no update of the run.
    """
    if optimizer.state or any(float(g.get("lr", 0)) for g in optimizer.param_groups):
        return False
    grads = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    return not any(bool(_local(grad).any()) for grad in grads)


def _local(grad: Any) -> Any:
    """Return the numbers of a gradient that lie here, whether it is sharded, sparse or neither."""
    grad = grad.to_local() if hasattr(grad, "to_local") else grad
    return grad._values() if grad.is_sparse else grad
