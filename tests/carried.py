"""Runs of every framework, by its own library where there is one and by its printed formula elsewhere, for the tests."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch

from ravine.cli.app import run as command
from ravine.conversion.snapshot import Group, Snapshot, snapshot
from ravine.torch.momentum import Momentum
from ravine.torch.state import read_torch, write_torch

Array = np.ndarray[Any, Any]
KERAS = "keras:lr=0.02,mu=0.8,nesterov=1"
# 60 updates of double precision: each rounds by 1e-16, and the function's slopes do not let that grow by more than 1e3.
ROUNDING = 1e-11
SHAPES: Mapping[str, tuple[int, ...]] = {"w": (3, 2), "b": (2,), "scale": (), "kernel": (2, 1, 2)}


def start(seed: int = 1) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.uniform(-2, 2, shape)) for name, shape in SHAPES.items()}


def gradient(name: str, x: Array, t: int) -> Array:
    """Return the gradient of a function that is not quadratic, with a noise that only the name and the step decide."""
    noise = np.random.default_rng([t, *name.encode()]).normal(0, 0.3, x.shape)
    return np.asarray(1.3 * np.tanh(x) + 0.2 * np.sin(2 * x) + noise)


# The frameworks' own updates as they print them: point, buffer, gradient, settings -> point, buffer ------------------


def keras(x: Array, v: Array, g: Array, s: Mapping[str, Any]) -> tuple[Array, Array]:
    v = s["momentum"] * v - s["learning_rate"] * g
    return (x + s["momentum"] * v - s["learning_rate"] * g if s["nesterov"] else x + v), v


def tf1(x: Array, a: Array, g: Array, s: Mapping[str, Any]) -> tuple[Array, Array]:
    a = s["momentum"] * a + g
    step = g + s["momentum"] * a if s["use_nesterov"] else a
    return x - s["learning_rate"] * step, a


def mxnet(x: Array, mom: Array, g: Array, s: Mapping[str, Any]) -> tuple[Array, Array]:
    lr, mu = s["learning_rate"], s["momentum"]
    if not s["nesterov"]:
        mom = mu * mom - lr * g
        return x + mom, mom
    mom = mu * mom
    return x - mom + (mu + 1) * (mom - lr * g), mom - lr * g


def caffe(x: Array, m: Array, g: Array, s: Mapping[str, Any]) -> tuple[Array, Array]:
    new = s["momentum"] * m + s["base_lr"] * g
    return x - ((1 + s["momentum"]) * new - s["momentum"] * m if s["nesterov"] else new), new


def qhoptim(x: Array, m: Array, g: Array, s: Mapping[str, Any]) -> tuple[Array, Array]:
    m = s["momentum"] * m + (1 - s["momentum"]) * g
    return x - s["lr"] * s["nu"] * m - s["lr"] * (1 - s["nu"]) * g, m


def sutskever(x: Array, v: Array, g: Array, s: Mapping[str, Any]) -> tuple[Array, Array]:
    v = s["mu"] * v - s["lr"] * g
    return x + v, v


FORMULAS: Mapping[str, Callable[..., tuple[Array, Array]]] = {
    "keras": keras, "tf1": tf1, "mxnet": mxnet, "caffe": caffe, "qhoptim": qhoptim, "sutskever": sutskever,
}  # fmt: skip


def go_on(run: Snapshot, t: int, steps: int = 30) -> Snapshot:
    """Continue a run by its framework's own update, every group for itself."""
    for group in run.groups:
        points = {name: run.parameters[name] for name in group.names}
        buffers = {name: run.buffers[name] for name in group.names if name in run.buffers}
        alone = run._replace(groups=(group,), parameters=points, buffers=buffers)
        made = _RUNNERS.get(group.dialect.name, _by_momentum)(alone, group, t, steps)
        run = run._replace(
            parameters={**run.parameters, **made.parameters}, buffers={**run.buffers, **made.buffers}, updates=t + steps
        )
    return run


def asked(run: Snapshot, name: str) -> Array:
    """Return the point at which a run asks for its next gradient."""
    x = np.asarray(run.parameters[name])
    if run.groups[0].dialect.name == "sutskever" and run.settings["nesterov"] and name in run.buffers:
        return x + run.settings["mu"] * np.asarray(run.buffers[name])
    return x


def _decayed(group: Group, x: Array, g: Array) -> Array:
    return g if group.decoupled else g + group.weight_decay * x


def _by_formula(run: Snapshot, group: Group, t: int, steps: int) -> Snapshot:
    update, settings = FORMULAS[group.dialect.name], group.settings
    pace = next(iter(settings.values()))
    points, buffers = {}, {}
    for name in group.names:
        x = np.asarray(run.parameters[name])
        v = np.asarray(run.buffers.get(name, np.zeros_like(x)))
        for k in range(t, t + steps):
            y = x + settings["mu"] * v if group.dialect.name == "sutskever" and settings["nesterov"] else x
            g = _decayed(group, y, gradient(name, y, k))
            x = x * (1 - pace * group.weight_decay) if group.decoupled else x
            x, v = update(x, v, g, settings)
        points[name], buffers[name] = x, v
    return run._replace(parameters=points, buffers=buffers)


def _stepped(run: Snapshot, optimizer: torch.optim.Optimizer, t: int, steps: int) -> Snapshot:
    tensors = dict(zip(run.parameters, optimizer.param_groups[0]["params"], strict=True))
    for k in range(t, t + steps):
        for name, p in tensors.items():
            p.grad = torch.from_numpy(gradient(name, p.detach().numpy().copy(), k))
            p.grad = -p.grad if run.groups[0].maximize else p.grad
        optimizer.step()
    after = read_torch(optimizer.state_dict(), parameters=tensors)
    return run._replace(
        parameters={name: p.detach().numpy().copy() for name, p in tensors.items()},
        buffers={name: v.numpy().copy() for name, v in after.buffers.items()},
        groups=after.groups,
    )


def _tensors(run: Snapshot) -> list[torch.Tensor]:
    return [torch.tensor(np.asarray(x)).requires_grad_() for x in run.parameters.values()]


def _by_torch(run: Snapshot, group: Group, t: int, steps: int) -> Snapshot:
    optimizer = torch.optim.SGD(_tensors(run), lr=1)
    optimizer.load_state_dict(write_torch(run))
    return _stepped(run, optimizer, t, steps)


def _by_momentum(run: Snapshot, group: Group, t: int, steps: int) -> Snapshot:
    optimizer = Momentum(_tensors(run), rule=group.method)
    optimizer.load_state_dict(write_torch(run))
    return _stepped(run, optimizer, t, steps)


def _by_optax(run: Snapshot, group: Group, t: int, steps: int) -> Snapshot:
    import jax
    import optax

    from ravine.conversion.optax_state import read_optax, write_optax
    from ravine.surfaces.by_jax import double

    s = group.settings
    with double(jax):
        if group.dialect.name == "optax":
            optimizer = optax.sgd(s["learning_rate"], s["momentum"], nesterov=s["nesterov"])
        else:
            optimizer = optax.chain(optax.ema(s["decay"], debias=False), optax.scale(-s["learning_rate"]))
        tree = {name: jax.numpy.asarray(x) for name, x in run.parameters.items()}
        x, state = write_optax(run, tree, optimizer.init(tree))
        for k in range(t, t + steps):
            here = {name: np.asarray(p) for name, p in x.items()}
            g = {n: jax.numpy.asarray(_decayed(group, p, gradient(n, p, k))) for n, p in here.items()}
            change, state = optimizer.update(g, state, x)
            shrink = 1 - s["learning_rate"] * group.weight_decay if group.decoupled else 1
            x = {name: p * shrink + change[name] for name, p in x.items()}
        found = read_optax(state, x, group.dialect.name, **s)
    return run._replace(
        parameters={name: np.array(p) for name, p in found.parameters.items()},
        buffers={name: np.array(v) for name, v in found.buffers.items()},
    )


_RUNNERS: Mapping[str, Callable[[Snapshot, Group, int, int], Snapshot]] = {
    **dict.fromkeys(FORMULAS, _by_formula), "torch": _by_torch, "optax": _by_optax, "optax_ema": _by_optax,
}  # fmt: skip


def begun(text: str, seed: int = 1, **more: Any) -> Snapshot:
    """Return a run after 30 of its framework's own updates."""
    return go_on(snapshot(text, start(seed), {}, **more), 0)


def alike(one: Snapshot, other: Snapshot, tolerance: float = ROUNDING) -> None:
    """Hold two runs against each other at the points where they ask for gradients."""
    for name in one.parameters:
        np.testing.assert_allclose(asked(one, name), asked(other, name), rtol=tolerance, atol=tolerance)


# Trainings of torch ---------------------------------------------------------------------------------------------


def stepped(optimizer: torch.optim.Optimizer, count: int = 5, t: int = 0) -> list[Array]:
    """Make updates on parameters of any type, and return them in double precision."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for k in range(t, t + count):
        for number, p in enumerate(parameters):
            g = gradient(str(number), p.detach().to(torch.float64).numpy().copy(), k)
            p.grad = torch.from_numpy(np.asarray(g)).to(p.dtype)
        optimizer.step()
    return [p.detach().to(torch.float64).numpy().copy() for p in parameters]


def tensors(dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.tensor(x, dtype=dtype).requires_grad_() for x in start().values()]


def copies(parameters: list[torch.Tensor]) -> list[torch.Tensor]:
    return [p.detach().clone().requires_grad_() for p in parameters]


def called(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = command(("convert", *map(str, arguments)))
    told = capsys.readouterr()
    return code, told.out, told.err


def model() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, 2, bias=False)
    ).double()


def train(net: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: int, t: int = 0) -> None:
    for k in range(t, t + steps):
        data = torch.from_numpy(np.random.default_rng(k).normal(size=(16, 4)))
        optimizer.zero_grad()
        (net(data) ** 2 - net(data).sum(1, keepdim=True)).mean().backward()
        optimizer.step()


def trained(**more: Any) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, **more)
    train(net, optimizer, 30)
    return net, optimizer
