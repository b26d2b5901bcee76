"""The adding problem: a recurrent net adds the two marked numbers of a long sequence."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ravine.tasks.task import Task

T, BATCH, UNITS, INCOMING, RADIUS = 80, 100, 100, 15, 1.1
NEAR = 0.04  # how far off counts as right


def sequences(seed: int) -> Iterator[tuple[Any, Any]]:
    """Yield batches without end: numbers from 0 to 1 and their marks, (100, 80, 2), and the sum of the two marked, (100, 1).

    One mark stands in the first tenth of the sequence, the other after it in the first half.
    """
    drawn = torch.Generator().manual_seed(seed)
    while True:
        numbers = torch.rand(BATCH, T, generator=drawn)
        first = torch.randint(0, T // 10, (BATCH, 1), generator=drawn)
        second = torch.randint(T // 10, T // 2, (BATCH, 1), generator=drawn)
        marks = torch.zeros(BATCH, T).scatter(1, torch.cat([first, second], dim=1), 1.0)
        yield torch.stack([numbers, marks], dim=-1), (numbers * marks).sum(1, keepdim=True)


class Recurrent(nn.Module):
    """h = tanh(W h + U x + b) over the sequence, then a linear layer: 100 tanh units.

    Source: Sutskever and others 2013, section 6: 15 incoming connections of each unit and a spectral radius of 1.1,
    small weights from the input, the mean of the targets as the last bias.
    """

    def __init__(self) -> None:
        super().__init__()
        weight = torch.zeros(UNITS, UNITS)
        chosen = torch.rand(UNITS, UNITS).topk(INCOMING, dim=1).indices
        weight = weight.scatter(1, chosen, torch.randn(UNITS, INCOMING))
        self.hidden = nn.Parameter(weight * (RADIUS / torch.linalg.eigvals(weight).abs().max()))
        self.inputs = nn.Parameter(0.001 * torch.randn(UNITS, 2))
        self.bias = nn.Parameter(torch.zeros(UNITS))
        self.out = nn.Parameter(0.1 * torch.randn(1, UNITS))
        self.mean = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 1) for (batch, T, 2)."""
        entering = (x @ self.inputs.T + self.bias).unbind(1)
        h = entering[0].tanh()
        for u in entering[1:]:
            h = (h @ self.hidden.T + u).tanh()
        return h @ self.out.T + self.mean


def loss(model: Any, batch: Any) -> Any:
    """Return the mean squared error; 1/6 is what the mean alone gets."""
    x, y = batch
    return (model(x) - y).square().mean()


def wrong(model: Any, batch: Any) -> Any:
    """Return the share of sequences whose sum is off by more than 0.04."""
    x, y = batch
    return ((model(x) - y).abs() > NEAR).float().mean()


def rnn() -> Task:
    """Make the task: new sequences in each batch of 100."""
    return Task(Recurrent, loss, sequences, batch=BATCH, metrics={"wrong": wrong})
