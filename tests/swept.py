"""What the tests of sweeps share: a small task in a file, a small sweep of it, and rows without their times."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOY = """
import torch
from ravine.tasks import Task

def make_task():
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(120, 4, generator=drawn)
    y = torch.sin(x @ torch.randn(4, 1, generator=drawn))
    return Task(
        model=lambda: torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)),
        loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean(),
        data=(x, y),
        batch=40,
        steps=12,
        metrics={"distance": lambda model, batch: (model(batch[0]) - batch[1]).abs().mean()},
        name="toy",
    )
"""
# The command line in a process of its own, whose trainings run one by one, which is quickest for a small sweep.
DOOR = """
import signal, sys, torch
import ravine.torch.crew
from ravine.cli import app
signal.signal(signal.SIGINT, signal.default_int_handler)  # who started the tests may have ignored it
torch.set_num_threads(1)
ravine.torch.crew.unfit = lambda *_, **__: "the test says so"
"""
AXES = {"lr": [0.01, 0.1, 50.0], "mu": "0,0.9"}
TIMES = ("seconds", "engine")  # columns in which two sweeps of the same trainings may differ


def toy(folder: Path, source: str = TOY) -> str:
    """Write a task into a folder and return its text."""
    (folder / "toy.py").write_text(source)
    return f"{folder / 'toy.py'}:make_task"


def rows(made: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a sweep, learning curves included, without what depends on the clock."""
    columns = {key: value for key, value in made.columns(curves=True).items() if key not in TIMES}
    return [tuple(map(repr, row)) for row in zip(*(column.tolist() for column in columns.values()), strict=True)]


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no model be batched: trainings one by one, in this process, are quickest for a small sweep."""
    monkeypatch.setattr("ravine.torch.crew.unfit", lambda *_, **__: "the test says so")
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
