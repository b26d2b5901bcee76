"""A small transformer learns to continue a text, character by character."""

import functools
import importlib.resources
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ravine.errors import require
from ravine.tasks.task import Task

TEXTS = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine_data")
CONTEXT, STRIDE, WIDTH, HEADS, LAYERS = 32, 8, 32, 2, 2


@functools.cache
def data() -> tuple[Any, int]:
    """Return windows of 33 characters as numbers, (n, 33), a new one every 8 characters, and how many characters there are.

    The text is what scikit-learn says of its oldest data sets, white space as one blank.
    """
    require("sklearn.datasets.descr", extra="tasks", why="train on a text that it ships")
    folder = importlib.resources.files("sklearn.datasets.descr")
    text = " ".join(" ".join((folder / f"{name}.rst").read_text(encoding="utf-8") for name in TEXTS).split())
    letters = sorted(set(text))
    return torch.tensor([letters.index(c) for c in text]).unfold(0, CONTEXT + 1, STRIDE).contiguous(), len(letters)


class Block(nn.Module):
    """Attention to what came before, then a layer for each place, each added to what comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.ask, self.give = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def attention(self, x: torch.Tensor) -> torch.Tensor:
        """Return for each place the mean of the values before it, weighted by the softmax of query times key.

        Written out, and not by torch's fused kernel, because that has no second derivative.
        """
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.ask(x).chunk(3, dim=-1))
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).triu(1)
        scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
        weights = scores.masked_fill(later, float("-inf")).softmax(-1)
        return torch.Tensor(self.give((weights @ v).transpose(1, 2).flatten(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, places, width) for the same."""
        x = x + self.attention(self.before(x))
        return x + torch.Tensor(self.narrow(nn.functional.gelu(self.wide(self.after(x)))))


class Transformer(nn.Module):
    """Logits of the next character at each place, from the characters up to it."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.letter, self.place = nn.Embedding(letters, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm, self.out = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, letters)

    def forward(self, text: torch.Tensor) -> torch.Tensor:
        """Return (batch, places, letters) for (batch, places)."""
        x = self.letter(text) + self.place(torch.arange(text.shape[1], device=text.device))
        return torch.Tensor(self.out(self.norm(self.blocks(x))))


def loss(model: Any, batch: Any) -> Any:
    """Return the mean cross-entropy of the next character, in nats."""
    (text,) = batch
    return cross_entropy(model(text[:, :-1]).flatten(0, 1), text[:, 1:].flatten())


def accuracy(model: Any, batch: Any) -> Any:
    """Return the share of characters that are guessed right."""
    (text,) = batch
    return (model(text[:, :-1]).argmax(-1) == text[:, 1:]).float().mean()


def transformer() -> Task:
    """Make the task: two layers of width 32, context 32, batch 32."""
    windows, letters = data()
    return Task(lambda: Transformer(letters), loss, windows, batch=32, metrics={"accuracy": accuracy})
