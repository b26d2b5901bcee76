"""The deep autoencoder of MNIST on which momentum showed its worth, here with 5,000 images and a few steps."""

import itertools
from typing import Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ravine.tasks.mnist import images
from ravine.tasks.task import Task

SIZES = (784, 1000, 500, 250, 30)
INCOMING = 15


def sparse(layer: nn.Linear) -> nn.Linear:
    """Give each unit 15 random incoming connections ~ N(0, 1), no others, and the bias 0.

    Source: Martens 2010; Sutskever and others 2013, section 5.
    """
    with torch.no_grad():
        weight = torch.zeros_like(layer.weight)
        chosen = torch.rand_like(weight).topk(INCOMING, dim=1).indices
        layer.weight.copy_(weight.scatter(1, chosen, torch.randn(len(weight), INCOMING)))
        layer.bias.zero_()
    return layer


def model() -> nn.Module:
    """Make 784-1000-500-250-30 and its mirror image, logistic units; the last layer gives logits."""
    sizes = (*SIZES, *SIZES[-2::-1])
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [sparse(nn.Linear(before, after)), nn.Sigmoid()]
    return nn.Sequential(*layers[:-1])


def loss(model: Any, batch: Any) -> Any:
    """Return the cross-entropy of the pixels, summed over an image, in nats."""
    (x,) = batch
    return binary_cross_entropy_with_logits(model(x), x, reduction="none").sum(1).mean()


def squared_error(model: Any, batch: Any) -> Any:
    """Return the squared error of the pixels, summed over an image: what the paper's tables show."""
    (x,) = batch
    return (model(x).sigmoid() - x).square().sum(1).mean()


def autoencoder() -> Task:
    """Make the task: batch 200 as in the paper, 150 steps."""
    return Task(model, loss, images()[0], batch=200, steps=150, metrics={"squared error": squared_error})
