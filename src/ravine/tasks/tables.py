"""Trainings on two tables of scikit-learn: breast cancer as two classes, diabetes as a regression."""

import functools
from typing import Any

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ravine.errors import require
from ravine.tasks.task import Task


@functools.cache
def table(name: str) -> tuple[Any, Any]:
    """Return a table of scikit-learn: its columns with mean 0 and variance 1, (n, d), and its targets, (n, 1)."""
    datasets = require("sklearn.datasets", extra="tasks", why=f"train on scikit-learn's {name.replace('_', ' ')}")
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None]


def breast_cancer() -> Task:
    """Make the task of two classes, 30-16-1, batch 64."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(30, 16), nn.Tanh(), nn.Linear(16, 1))

    def loss(model: Any, batch: Any) -> Any:
        x, y = batch
        return binary_cross_entropy_with_logits(model(x), y)

    def accuracy(model: Any, batch: Any) -> Any:
        x, y = batch
        return ((model(x) > 0) == (y > 0.5)).float().mean()

    return Task(model, loss, table("breast_cancer"), batch=64, metrics={"accuracy": accuracy})


def diabetes() -> Task:
    """Make the task of a linear regression of 10 columns, batch 64, the target with mean 0 and variance 1: a quadratic."""
    x, y = table("diabetes")

    def loss(model: Any, batch: Any) -> Any:
        x, y = batch
        return (model(x) - y).square().mean()

    return Task(lambda: nn.Linear(10, 1), loss, (x, (y - y.mean()) / y.std(correction=0)), batch=64)
