"""Rules and schedules against torch and optax, compared at every step."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest
import torch
from torch.optim import lr_scheduler

from exact import flat_walk
from ravine.rules import RULES, parse
from ravine.schedules import SCHEDULES, at

STEPS = 150
CURVATURES, START = [2.0, 100.0], [180.0, 90.0]
SCHEDULED = ["0.003", "cosine(0.01,100,0.001)", "warmup(0.001,20,step(0.01,0.5,30))"]


def torch_path(lr: Callable[[int], float], **options: Any) -> Any:
    """Return the positions of torch.optim.SGD, (steps + 1, 2), with lr set before each step."""
    x, h = torch.tensor(START, dtype=torch.float64, requires_grad=True), torch.tensor(CURVATURES, dtype=torch.float64)
    optimizer = torch.optim.SGD([x], lr=lr(0), **options)
    path = [x.detach().numpy().copy()]
    for t in range(STEPS):
        optimizer.param_groups[0]["lr"] = lr(t)
        optimizer.zero_grad()
        (0.5 * h * x * x).sum().backward()
        optimizer.step()
        path.append(x.detach().numpy().copy())
    return np.array(path)


@pytest.mark.parametrize("lr", SCHEDULED)
@pytest.mark.parametrize(
    ("rule", "options", "tolerance"),
    [
        ("sgd:", {}, 1e-12),
        ("heavyball:mu=0.9,", {"momentum": 0.9}, 1e-12),
        ("heavyball:mu=0.5,tau=0.3,", {"momentum": 0.5, "dampening": 0.3}, 1e-12),
        ("heavyball:mu=0.9,tau=0.9,", {"momentum": 0.9, "dampening": 0.9}, 1e-12),
        ("ema:mu=0.9,", {"momentum": 0.9, "dampening": 0.9}, 1e-12),
        ("nesterov:mu=0.9,", {"momentum": 0.9, "nesterov": True}, 1e-12),
    ],
)
def test_torch_sgd(rule: str, options: dict[str, Any], lr: str, tolerance: float) -> None:
    """Ours and torch.optim.SGD's paths are one at every step, whatever lr does."""
    method = parse(f"{rule}lr={lr}")
    # torch begins its buffer with the whole first gradient, as if dampened it had been there before: v0 = (tau/mu)·g0.
    held = options.get("dampening", 0)
    v = held / options["momentum"] * np.multiply(CURVATURES, START) if held else None
    ours, _ = flat_walk([method.row(t) for t in range(STEPS)], CURVATURES, START, v)
    theirs = torch_path(lambda t: at(method.settings["lr"], t), **options)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(START))


@pytest.mark.parametrize(
    ("rule", "momentum", "nesterov", "tolerance"),
    [("sgd:", None, False, 1e-12), ("heavyball:mu=0.9,", 0.9, False, 1e-12), ("nesterov:mu=0.9,", 0.9, True, 1e-12)],
)
@pytest.mark.parametrize("lr", SCHEDULED)
def test_optax_sgd(rule: str, momentum: float | None, nesterov: bool, lr: str, tolerance: float) -> None:
    """Ours and optax.sgd's paths are one at every step, whatever lr does."""
    method = parse(f"{rule}lr={lr}")
    ours, _ = flat_walk([method.row(t) for t in range(STEPS)], CURVATURES, START)
    with jax.enable_x64(True):
        rates = jax.numpy.array([at(method.settings["lr"], t) for t in range(STEPS)])
        optimizer = optax.sgd(lambda count: rates[count], momentum=momentum, nesterov=nesterov)
        h, x = jax.numpy.array(CURVATURES), jax.numpy.array(START)

        def one(carry: Any, _: None) -> Any:
            x, state = carry
            update, state = optimizer.update(h * x, state, x)
            x = optax.apply_updates(x, update)
            return (x, state), x

        _, theirs = jax.lax.scan(one, (x, optimizer.init(x)), None, length=STEPS)
        theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours[1:], theirs, rtol=0, atol=tolerance * max(START))


def onecycle(optimizer: Any) -> Any:
    """Make torch's one-cycle policy over 100 steps, from 0.04 to 1 and down to 0.0004, momentum from 0.95 to 0.85."""
    options = {"div_factor": 25, "final_div_factor": 100, "base_momentum": 0.85, "max_momentum": 0.95}
    return lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=100, pct_start=0.3, **options)


@pytest.mark.parametrize(
    ("ours", "key", "scheduler", "tolerance"),
    [
        ("cosine(0.1,100,0.01)", "lr", lambda o: lr_scheduler.CosineAnnealingLR(o, 100, 0.01), 1e-14),
        ("step(0.1,0.5,7)", "lr", lambda o: lr_scheduler.StepLR(o, 7, 0.5), 1e-16),
        (f"exponential(0.1,{-math.log(0.97)})", "lr", lambda o: lr_scheduler.ExponentialLR(o, 0.97), 1e-15),
        ("linear(0.02,0.08,40)", "lr", lambda o: lr_scheduler.LinearLR(o, 0.2, 0.8, 40), 1e-15),
        ("then(linear(0.02,0.1,5),5,cosine(0.1,95))", "lr",
         lambda o: lr_scheduler.SequentialLR(
             o, [lr_scheduler.LinearLR(o, 0.2, 1, 5), lr_scheduler.CosineAnnealingLR(o, 95)], [5]), 1e-15),
        ("onecycle(0.04,1,100,0.0004,0.3)", "lr", onecycle, 1e-14),
        ("onecycle(0.95,0.85,100,0.95,0.3)", "momentum", onecycle, 1e-14),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")
def test_torch_schedulers(ours: str, key: str, scheduler: Callable[[Any], Any], tolerance: float) -> None:
    """Our value at step t is what torch's scheduler has set when its optimizer makes its t-th step, from 0 to 99."""
    method = parse(f"classical:lr={ours},mu=0.9" if key == "lr" else f"classical:lr=0.1,mu={ours}")
    schedule = method.settings["lr" if key == "lr" else "mu"]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    theirs, clock = [], scheduler(optimizer)
    for t in range(100):
        theirs.append(optimizer.param_groups[0][key])
        optimizer.step()
        if t < 99:
            clock.step()
    np.testing.assert_allclose(schedule(np.arange(100)), theirs, rtol=0, atol=tolerance)


def test_optax_schedules() -> None:
    """Warm-up and cosine are optax's, whose joined schedules start each their own clock as ours do."""
    with jax.enable_x64(True):
        parts = [optax.linear_schedule(0.01, 0.1, 10), optax.cosine_decay_schedule(0.1, 60)]
        theirs = optax.join_schedules(parts, [10])
        expected = [float(theirs(t)) for t in range(90)]
    ours = SCHEDULES["warmup"](0.01, 10, SCHEDULES["cosine"](0.1, 60))
    np.testing.assert_allclose(ours(np.arange(90)), expected, rtol=0, atol=1e-15)


def test_every_torch_form_is_compared() -> None:
    """The rules that claim torch as their source are the ones compared with it here."""
    assert {rule.name for rule in RULES.values() if "torch.optim" in rule.source} == {"sgd", "heavyball", "nesterov"}
