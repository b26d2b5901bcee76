"""What all classifiers have in common: cross-entropy as the loss, and how many are right."""

from typing import Any

from torch.nn.functional import cross_entropy


def loss(model: Any, batch: Any) -> Any:
    """Return the mean cross-entropy of a batch of (inputs, classes), in nats."""
    x, y = batch
    return cross_entropy(model(x), y)


def accuracy(model: Any, batch: Any) -> Any:
    """Return the share of a batch whose largest output is the right one."""
    x, y = batch
    return (model(x).argmax(1) == y).float().mean()
