"""What the tests of schedules of a torch optimizer share: the bowl, and a loop that notes the settings."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import SGD

RAMP = "ramp(0.5,0.99,0.01)"
Loop = Callable[..., Any]


def start(dtype: torch.dtype = torch.float64) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor([9.0, 1.0], dtype=dtype))


def value(w: torch.Tensor) -> torch.Tensor:
    return w[0] ** 2 + 50 * w[1] ** 2


def descend(optimizer: Any, steps: int, then: Loop = lambda: None) -> list[dict[str, Any]]:
    """Make so many updates of f = x² + 50y² and return the settings with which each was made."""
    used: list[dict[str, Any]] = []
    for _ in range(steps):
        optimizer.zero_grad()
        value(optimizer.param_groups[0]["params"][0]).backward()
        used.append({k: v for k, v in optimizer.param_groups[0].items() if k != "params"})
        optimizer.step()
        then()
    return used


def sgd(**settings: Any) -> SGD:
    return SGD([start()], **{"lr": 0.005, "momentum": 0.5, **settings})


def point(optimizer: torch.optim.Optimizer) -> list[float]:
    return [x for group in optimizer.param_groups for p in group["params"] for x in p.detach().double().tolist()]
