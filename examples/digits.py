"""Train a small net on scikit-learn's digits, once with torch.optim.SGD and twice with Momentum in its place.

    python examples/digits.py --out digits.png

One line changes. With SGD's own arguments the losses are the same numbers, step by step. With Nesterov's accelerated
gradient as in the paper, its momentum going up from 0.5 to 0.98 and down to 0.9 at the end, the same number of steps
goes further: a step is worth lr/(1 - momentum), 0.2 with 0.9 and up to 1 on the ramp, and the early steps, where that
would be too much, are worth 0.04. SGD with a larger lr comes as far: the curves compare at one lr, not at the best.
"""

import argparse
import contextlib
from pathlib import Path
from typing import Any, NamedTuple

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ravine.torch import Momentum, Schedule

LR, BATCH, TESTED = 0.02, 64, 450


class Run(NamedTuple):
    """Hold what one training showed."""

    name: str
    losses: list[float]  # of each batch
    train_loss: float
    accuracy: float  # on images that were not trained on


def data() -> tuple[Tensor, Tensor]:
    """Return the 1,797 images as rows of 64 numbers from 0 to 1, shuffled, and their digits."""
    images, digits = load_digits(return_X_y=True)
    order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
    return torch.tensor(images / 16, dtype=torch.float32)[order], torch.tensor(digits)[order]


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def train(name: str, model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> Run:
    """Train on batches drawn at random: the same loop for every optimizer."""
    x, y = data()
    drawn = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(steps):
        batch = torch.randint(TESTED, len(x), (BATCH,), generator=drawn)
        optimizer.zero_grad()
        loss = cross_entropy(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    with at_iterate(optimizer), torch.no_grad():
        right = model(x[:TESTED]).argmax(1) == y[:TESTED]
        left = cross_entropy(model(x[TESTED:]), y[TESTED:])
    return Run(name, losses, left.item(), right.float().mean().item())


def at_iterate(optimizer: Any) -> contextlib.AbstractContextManager[None]:
    """Show the point itself: nag keeps the point ahead, at which it asks for the gradient."""
    return optimizer.at_iterate() if isinstance(optimizer, Momentum) else contextlib.nullcontext()


def runs(steps: int) -> list[Run]:
    """Make the three trainings."""
    model = net()
    sgd = train("torch.optim.SGD", model, torch.optim.SGD(model.parameters(), lr=LR, momentum=0.9), steps)

    model = net()
    same = train("Momentum, same settings", model, Momentum(model.parameters(), lr=LR, momentum=0.9), steps)

    model = net()
    optimizer = Momentum(model.parameters(), lr=LR, momentum=0.5, rule="nag", flat=True)
    last = max(1, steps // 4)
    Schedule(optimizer, momentum=f"finaldrop(ramp(0.5,0.98,0.01),{steps},0.9,{last})")
    return [sgd, same, train("Momentum, nag with a ramp", model, optimizer, steps)]


def draw(shown: list[Run], out: Path) -> None:
    """Draw the loss of each run over the steps, as a mean over twenty batches."""
    import numpy as np

    from ravine.draw.style import figure, hue, plain

    made = figure(7, 3.6)
    ax = made.add_subplot()
    looks = [("-", 5.0, "#9ec5e0"), ("-", 1.4, hue(0)), ("-", 1.8, hue(1))]  # the second lies on the first
    for run, (style, width, colour) in zip(shown, looks, strict=True):
        window = min(20, len(run.losses))
        mean = np.convolve(run.losses, np.ones(window) / window, mode="valid")
        label = f"{run.name}: accuracy {run.accuracy:.1%}"
        ax.plot(np.arange(len(mean)) + window, mean, style, linewidth=width, color=colour, label=label)
    ax.set_yscale("log")
    ax.legend(frameon=False, fontsize=8)
    plain(ax, "step", "loss on a batch, mean of the last 20", f"Digits, an MLP of 64-64-10, lr = {LR}")
    made.savefig(out)


def main() -> None:
    """Train, print and draw."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--steps", type=int, default=440, help="updates of each training")
    given.add_argument("--out", type=Path, help="a picture of the losses")
    options = given.parse_args()
    shown = runs(options.steps)
    print(f"{'optimizer':28} {'train loss':>10} {'accuracy':>9}")
    for run in shown:
        print(f"{run.name:28} {run.train_loss:10.4f} {run.accuracy:9.1%}")
    apart = max(abs(a - b) for a, b in zip(shown[0].losses, shown[1].losses, strict=True))
    print(f"largest difference of a loss between the first two: {apart:g}")
    if options.out:
        draw(shown, options.out)


if __name__ == "__main__":
    main()
