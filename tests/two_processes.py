"""What two processes compute together on one machine's CPU; tests/test_distributed.py holds it against one process.

    python tests/two_processes.py RANK FOLDER

meets its partner through a file in FOLDER and, as rank 0, saves there what came out of each case.
"""

import copy
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ravine.torch import Momentum, Schedule

STEPS, SAVED_AT = 10, 5
RULES: dict[str, dict[str, Any]] = {
    "torch": {"momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "nag": {"rule": "nag", "momentum": 0.9, "weight_decay": 0.1},
    "qhm": {"rule": "qhm", "momentum": 0.9, "nu": 0.7},
    "classical": {"rule": "classical", "momentum": 0.9, "weight_decay": 0.1, "decoupled_weight_decay": True},
    "triple": {"rule": "triple:L=10,m=0.5", "lr": None, "weight_decay": 0.1},
    "in float64": {"rule": "classical", "momentum": 0.9, "state_dtype": torch.float64},
    "scheduled": {"rule": "nag", "momentum": 0.5, "velocity": "corrected"},
}
SCHEDULED: dict[str, dict[str, str]] = {"scheduled": {"lr": "step(0.1,0.5,3)", "momentum": "ramp(0.5,0.99,0.05)"}}
PATHS: dict[str, dict[str, Any]] = {
    "per tensor": {"foreach": False},
    "foreach": {"foreach": True},
    "flat": {"flat": True},
}
TRAINED = [("torch", "per tensor"), ("torch", "foreach"), ("torch", "flat"), ("nesterov", "foreach"),
           ("nag", "per tensor"), ("nag", "foreach"), ("nag", "flat"), ("qhm", "flat"), ("classical", "flat")]  # fmt: skip
WRAPPED = ["ddp", "ddp, gradients in buckets", "ddp, accumulated", "fsdp2"]
RESUMED = [("sharded", "torch", "foreach"), ("sharded", "nag", "flat"), ("whole", "torch", "foreach"),
           ("whole", "nag", "flat"), ("flattened", "torch", "foreach"), ("flattened", "nag", "flat"),
           ("sharded", "in float64", "foreach"), ("whole", "in float64", "foreach"),
           ("sharded", "triple", "foreach"), ("sharded", "scheduled", "foreach")]  # fmt: skip
Case = Callable[[], Any]


# What is trained -------------------------------------------------------------------------------------------------


def net() -> nn.Sequential:
    """Make the net that every run starts from; its shapes do not divide by two."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 3))


def batches() -> tuple[Tensor, Tensor]:
    """Make inputs and targets of every step."""
    seeded = torch.Generator().manual_seed(1)
    return torch.randn(STEPS, 8, 7, generator=seeded), torch.randn(STEPS, 8, 3, generator=seeded)


def make(parameters: Iterable[Any], rule: str, path: str) -> Momentum:
    return Momentum(parameters, **{"lr": 0.1, **RULES[rule], **PATHS[path]})


def train(model: nn.Module, optimizer: Momentum, parts: list[slice], start: int = 0, stop: int = STEPS) -> None:
    """Train on these parts of each batch, their gradients averaged."""
    x, y = batches()
    for t in range(start, stop):
        optimizer.zero_grad()
        for part in parts:
            loss = (model(x[t, part]) - y[t, part]).square().mean()
            (loss / len(parts)).backward()
        optimizer.step()


def half(rank: int) -> slice:
    return slice(rank, None, 2)


def state(parameters: Iterable[Tensor], optimizer: Momentum) -> list[Tensor]:
    """Return parameters, buffers and, for a rule that looks ahead, iterates; whole, as plain tensors."""
    every = list(parameters)
    found = [*every, *(buffer for p in every for buffer in optimizer.state[p].values())]
    with optimizer.at_iterate():
        return [whole(tensor) for tensor in (*found, *every)]


def whole(tensor: Any) -> Tensor:
    made: Tensor = (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()
    return made


# Together --------------------------------------------------------------------------------------------------------


def wrapped(kind: str, rank: int) -> Any:
    """Return the net as DDP or FSDP2."""
    if kind == "fsdp2":
        return sharded()
    return nn.parallel.DistributedDataParallel(net(), gradient_as_bucket_view="buckets" in kind)


def sharded() -> Any:
    from torch.distributed.fsdp import fully_shard

    model = net()
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    return fully_shard(model)


def trained(kind: str, rule: str, path: str, rank: int) -> list[Tensor]:
    model = wrapped(kind, rank)
    optimizer = make(model.parameters(), rule, path)
    if "accumulated" in kind:
        accumulate(model, optimizer, rank)
    else:
        train(model, optimizer, [half(rank)])
    return state(model.parameters(), optimizer)


def accumulate(model: Any, optimizer: Momentum, rank: int) -> None:
    """Train as `train` does, each half in two pieces, the first of which is not sent."""
    x, y = batches()
    pieces = [slice(rank, 4, 2), slice(4 + rank, None, 2)]
    for t in range(STEPS):
        optimizer.zero_grad()
        with model.no_sync():
            ((model(x[t, pieces[0]]) - y[t, pieces[0]]).square().mean() / 2).backward()
        ((model(x[t, pieces[1]]) - y[t, pieces[1]]).square().mean() / 2).backward()
        optimizer.step()


# Lists that mix plain and distributed tensors --------------------------------------------------------------------

SHAPES = [(5, 3), (4,), (7, 2), (3,), (6, 6)]


def mixed(rule: str, path: str, place: Callable[[Tensor, int], Tensor] = lambda tensor, i: tensor) -> list[Tensor]:
    """Make five updates of a list of parameters, each put where `place` puts it."""
    seeded = torch.Generator().manual_seed(2)
    parameters = [nn.Parameter(place(torch.randn(s, generator=seeded), i)) for i, s in enumerate(SHAPES)]
    optimizer = make(parameters, rule, path)
    for _ in range(5):
        for i, p in enumerate(parameters):
            p.grad = place(torch.randn(p.shape, generator=seeded), i)
        optimizer.step()
    return state(parameters, optimizer)


def placed(meshes: list[Any]) -> Callable[[Tensor, int], Tensor]:
    """Return what shards every second tensor, over one mesh after the other."""
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    def place(tensor: Tensor, i: int) -> Tensor:
        if i % 2:
            return tensor
        mesh = meshes[i // 2 % len(meshes)]
        return distribute_tensor(tensor, mesh, [Shard(0)] + [Replicate()] * (mesh.ndim - 1))

    return place


# Saved and resumed -----------------------------------------------------------------------------------------------


def resumed(kind: str, rule: str, path: str, rank: int) -> dict[str, Any]:
    """Save an FSDP2 run in the middle; return how it ends, how its resumption ends, and the saved state."""
    from torch.distributed.checkpoint import state_dict as dcp

    options = dcp.StateDictOptions(full_state_dict=kind == "whole", flatten_optimizer_state_dict=kind == "flattened")
    model = sharded()
    optimizer = make(model.parameters(), rule, path)
    schedule = Schedule(optimizer, SCHEDULED[rule]) if rule in SCHEDULED else None
    train(model, optimizer, [half(rank)], 0, SAVED_AT)
    then = state(model.parameters(), optimizer)
    saved = copy.deepcopy(dcp.get_state_dict(model, optimizer, options=options))
    made = schedule.state_dict() if schedule else {}
    train(model, optimizer, [half(rank)], SAVED_AT)
    went = state(model.parameters(), optimizer)

    model = sharded()
    for p in model.parameters():
        p.data.mul_(0.5)  # so that nothing is right by chance
    optimizer = make(model.parameters(), rule, path)
    schedule = Schedule(optimizer, SCHEDULED[rule]) if rule in SCHEDULED else None
    parts = copy.deepcopy(saved)  # what is set is written into
    dcp.set_state_dict(model, optimizer, model_state_dict=parts[0], optim_state_dict=parts[1], options=options)
    if schedule:
        schedule.load_state_dict(made)
    train(model, optimizer, [half(rank)], SAVED_AT)
    found: dict[str, Any] = {"saved": then, "went": went, "resumed": state(model.parameters(), optimizer)}
    if kind == "flattened":
        return found | {"keys": sorted(saved[1])}
    found["keys"] = {name: sorted(entry) for name, entry in saved[1]["state"].items()}
    return found | ({"model": saved[0], "optimizer": saved[1]} if kind == "whole" else {})


# Two processes ---------------------------------------------------------------------------------------------------


def cases(rank: int) -> dict[str, Case]:
    """List everything that is computed, by name."""
    from torch.distributed.device_mesh import init_device_mesh

    one, two = init_device_mesh("cpu", (2,)), init_device_mesh("cpu", (2, 1), mesh_dim_names=("a", "b"))
    found: dict[str, Case] = {}
    for kind in WRAPPED:
        for rule, path in TRAINED:
            found[f"{kind} {rule} {path}"] = lambda k=kind, r=rule, p=path: trained(k, r, p, rank)  # type: ignore[misc]
    for name, meshes in (("one mesh", [one]), ("two meshes", [one, two])):
        for rule in ("torch", "nag"):
            for path in PATHS:
                found[f"{name} {rule} {path}"] = lambda m=meshes, r=rule, p=path: mixed(r, p, placed(m))  # type: ignore[misc]
    for kind, rule, path in RESUMED:
        found[f"{kind} {rule}"] = lambda k=kind, r=rule, p=path: resumed(k, r, p, rank)  # type: ignore[misc]
    return found


def main(rank: int, folder: Path) -> None:
    """Compute every case with the other process; rank 0 saves what came out, or why nothing did."""
    from torch import distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    results: dict[str, Any] = {}
    for name, case in cases(rank).items():
        try:
            results[name] = case()
        except Exception:
            results[name] = traceback.format_exc()
    if rank == 0:
        torch.save(results, folder / "results.pt")
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
