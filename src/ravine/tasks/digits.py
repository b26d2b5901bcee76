"""Trainings on scikit-learn's digits: a softmax regression, a net with one hidden layer, a convolutional net."""

import functools
from typing import Any

import torch
from torch import nn

from ravine.errors import require
from ravine.tasks.classes import accuracy, loss
from ravine.tasks.task import Task


@functools.cache
def data() -> tuple[Any, Any]:
    """Return 1,797 images as rows of 64 numbers from 0 to 1, (1797, 64), and their digits, (1797,)."""
    datasets = require("sklearn.datasets", extra="tasks", why="train on scikit-learn's digits")
    images, digits = datasets.load_digits(return_X_y=True)
    return torch.tensor(images / 16, dtype=torch.float32), torch.tensor(digits, dtype=torch.int64)


def softmax() -> Task:
    """Make the task of a softmax regression, 64-10: convex."""
    return Task(lambda: nn.Linear(64, 10), loss, data(), metrics={"accuracy": accuracy})


def mlp() -> Task:
    """Make the task of one hidden layer, 64-64-10."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))

    return Task(model, loss, data(), metrics={"accuracy": accuracy})


def conv() -> Task:
    """Make the task of two convolutions and a linear layer, 8 and 16 channels."""
    images, digits = data()

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, 10),
        )

    return Task(model, loss, (images.reshape(-1, 1, 8, 8), digits), metrics={"accuracy": accuracy})
