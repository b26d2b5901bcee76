"""A task of yours, as a file to copy: a model, its loss, its data, a batch.

    ravine tasks examples/task.py:make_task          # checks it, and says what is missing
    ravine tune examples/task.py:make_task
    python examples/task.py                         # trains both of this file once

Replace the data and the model by yours. The loss may use the model as it likes, `model.encoder(x)` too. A batch is what
the data give: of a tuple of tensors a tuple, of a mapping a mapping, of a DataLoader what that yields.
"""

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ravine.tasks import Task, task
from ravine.torch import train


def spirals(samples: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
    """Return points on three arms of a spiral, (samples, 2), and their arm, (samples,)."""
    drawn = torch.Generator().manual_seed(0)  # the same data in each training, whatever its seed
    arm = torch.arange(samples) % 3
    radius = torch.rand(samples, generator=drawn)
    angle = 3 * radius + arm * (2 * torch.pi / 3) + 0.1 * torch.randn(samples, generator=drawn)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1), arm


def net() -> nn.Module:
    """Make a new model; torch's random numbers have been seeded."""
    return nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3))


def loss(model: nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Return the mean over the batch, a tensor of one number."""
    x, y = batch
    return cross_entropy(model(x), y)


def accuracy(model: nn.Module, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
    x, y = batch
    return (model(x).argmax(1) == y).float().mean()


def make_task() -> Task:
    return Task(net, loss, spirals(), batch=60, steps=300, metrics={"accuracy": accuracy}, name="spirals")


# The same in short, as a decorator of the loss, with data that are drawn anew for each batch: a function from a seed.


def stream(seed: int):  # type: ignore[no-untyped-def]
    drawn = torch.Generator().manual_seed(seed)
    while True:
        x = torch.rand(64, 2, generator=drawn)
        yield {"x": x, "y": (3 * x).sin().prod(1, keepdim=True)}


@task(model=lambda: nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1)), data=stream, steps=300)
def waves(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Squared error of a wave, on new points in each batch."""
    return (model(batch["x"]) - batch["y"]).square().mean()


if __name__ == "__main__":
    for made in (make_task(), waves):
        trained = train(made, "nag:lr=0.1,mu=0.9")
        print(f"{made.name}: loss {trained.losses[0]:.3f} at the start, {trained.loss:.3f} after {made.steps} steps")
