"""Time 1,000 runs of 1,000 steps of classical momentum on the bowl: ours, the tutorial loop, loops per run, torch.

All start from the same points, are compared before they are timed, and are timed equally often in turns. Ours keeps
every position and watches for divergence; the others keep the last position only. Run: python benchmarks/race.py
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

import ravine

LR, MU = 0.005, 0.9


def tutorial(starts: np.ndarray, steps: int) -> np.ndarray:
    """One NumPy 2-vector at a time, as blog posts write it, a new array for each gradient."""
    ends = []
    for start in starts:
        x, v = start.copy(), np.zeros(2)
        for _ in range(steps):
            gradient = np.array([2 * x[0], 100 * x[1]])
            v = MU * v - LR * gradient
            x = x + v
        ends.append(x)
    return np.array(ends)


def per_run_numpy(starts: np.ndarray, steps: int) -> np.ndarray:
    """One run at a time in NumPy, its arrays reused and its gradient one product."""
    curvatures, ends = np.array([2.0, 100.0]), []
    for start in starts:
        x, v, g = start.copy(), np.zeros(2), np.empty(2)
        for _ in range(steps):
            np.multiply(curvatures, x, out=g)
            v *= MU
            g *= LR
            v -= g
            x += v
        ends.append(x)
    return np.array(ends)


def per_run(starts: np.ndarray, steps: int) -> np.ndarray:
    """One run at a time, its two coordinates as Python floats: the quickest loop without arrays."""
    ends = []
    for x, y in starts.tolist():
        v = w = 0.0
        for _ in range(steps):
            v, w = MU * v - LR * (2 * x), MU * w - LR * (100 * y)
            x, y = x + v, y + w
        ends.append((x, y))
    return np.array(ends)


def by_torch(starts: np.ndarray, steps: int) -> np.ndarray:
    """All runs as one parameter of torch.optim.SGD, the gradient by autograd."""
    x = torch.tensor(starts, requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=LR, momentum=MU)
    for _ in range(steps):
        optimizer.zero_grad()
        (x[:, 0] ** 2 + 50 * x[:, 1] ** 2).sum().backward()
        optimizer.step()
    return x.detach().numpy()


def ours(starts: np.ndarray, steps: int) -> np.ndarray:
    """The race, with everything it records."""
    result = ravine.race("x^2 + 50y^2", f"classical:lr={LR},mu={MU}", starts, steps, tol=0)
    return np.array([run.final for run in result.runs])


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Check that all agree, time them in turns, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    starts = np.random.default_rng(0).uniform(-100, 100, (options.runs, 2))
    contestants = {
        "ravine": ours,
        "torch, one batch": by_torch,
        "floats, run by run": per_run,
        "NumPy, run by run": per_run_numpy,
        "tutorial loop": tutorial,
    }
    truth = tutorial(starts[:20], options.steps)
    for name, work in contestants.items():
        np.testing.assert_allclose(work(starts[:20], options.steps), truth, rtol=1e-9, atol=1e-12, err_msg=name)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(options.rounds):
        for name, work in contestants.items():
            times[name].append(seconds(lambda work=work: work(starts, options.steps)))
    base = statistics.median(times["ravine"])
    print(f"{options.runs} runs x {options.steps} steps, median of {options.rounds} rounds")
    for name, found in times.items():
        print(f"{name:20} {statistics.median(found):8.4f} s   {statistics.median(found) / base:7.1f} x")


if __name__ == "__main__":
    main()
