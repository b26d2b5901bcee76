"""Train on two processes with DDP and with FSDP2, and hold the result against one process.

    python examples/distributed.py
    torchrun --nproc-per-node 2 examples/distributed.py

Nothing about the optimizer changes: Momentum gets the parameters of the wrapped model. With flat=True under DDP the step
is one pass over all parameters; leave DDP's gradient_as_bucket_view off then, because both want to own the gradients
and each step would gather them again. FSDP2's parameters are shards, which stay where they are: use foreach=True.
"""

import argparse
import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from ravine.torch import Momentum

PROCESSES = 2
RUNS: dict[str, dict[str, Any]] = {
    "DDP, nag, flat": {"rule": "nag", "flat": True},
    "DDP, heavyball": {"rule": "heavyball"},
    "FSDP2, nag": {"rule": "nag", "foreach": True},
    "FSDP2, qhm": {"rule": "qhm", "nu": 0.7},
}


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


def wrapped(name: str, model: nn.Sequential) -> Any:
    """Return the model as every process holds it: whole, whole with averaged gradients, or a shard."""
    if "FSDP2" in name:
        for layer in model:
            if isinstance(layer, nn.Linear):
                fully_shard(layer)
        return fully_shard(model)
    return DistributedDataParallel(model) if "DDP" in name else model


def train(name: str, settings: dict[str, Any], steps: int, part: slice) -> list[Tensor]:
    """Train on a part of each batch; returns the iterate, whole."""
    model = wrapped(name, net())
    optimizer = Momentum(model.parameters(), lr=0.05, momentum=0.9, **settings)
    drawn = torch.Generator().manual_seed(1)
    for _ in range(steps):
        x = torch.randn(64, 16, generator=drawn)
        y = x[:, :1].sin() + x[:, 1:2] * x[:, 2:3] / 2
        optimizer.zero_grad()
        (model(x[part]) - y[part]).square().mean().backward()
        optimizer.step()
    with optimizer.at_iterate():
        return [whole(p).detach().clone() for p in model.parameters()]


def whole(p: Any) -> Tensor:
    return p.full_tensor() if hasattr(p, "full_tensor") else p


def work(rank: int, steps: int, meeting: str) -> None:
    """Do one process's part; the first one compares and prints."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=meeting, rank=rank, world_size=PROCESSES, timeout=timedelta(seconds=60)
    )
    for name, settings in RUNS.items():
        together = train(name, settings, steps, slice(rank, None, PROCESSES))
        if rank == 0:
            alone = train("one process", settings, steps, slice(None))
            apart = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(together, alone, strict=True))
            print(f"{name:16} {PROCESSES} processes and one end apart by {apart:.1e}")
    distributed.destroy_process_group()


def main() -> None:
    """Meet the other process that torchrun started, or start both."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--steps", type=int, default=50)
    steps = given.parse_args().steps
    if "RANK" in os.environ:
        work(int(os.environ["RANK"]), steps, "env://")
        return
    with tempfile.TemporaryDirectory() as folder:
        meeting = (Path(folder) / "meeting").as_uri()
        multiprocessing.spawn(work, (steps, meeting), nprocs=PROCESSES)


if __name__ == "__main__":
    main()
