"""Find the largest curvature of networks: Lanczos here, and the peers in one run, against the dense Hessian.

Contestants: PyHessian (power iteration), hessian-eigenthings (Lanczos, with its defaults and with 8 products), curvlinops
with scipy's eigsh, and eigsh on our own product; one that is not installed is left out with a word. Each counts its
products; the truth is the dense Hessian in float64. A ratio is the median over turns of two times.
Run: python benchmarks/curvature.py [NETWORK …] [--top K] [--turns N]; --honesty for the stated errors in 100 cases.
"""

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from ravine.rules import parse
from ravine.tasks import Task, load
from ravine.torch.curvature import curvature, product_of, subject_of
from ravine.torch.training import optimizer_of

F = torch.nn.functional
Found = tuple[Any, int]  # values, products


def regression(hidden: int = 32) -> Task:
    """Make a regression of a sum of sines by tanh units."""
    drawn = torch.Generator().manual_seed(1)
    x = torch.randn(400, 8, generator=drawn)
    y = torch.sin(2 * x).sum(1, keepdim=True)

    def model() -> Any:
        return torch.nn.Sequential(torch.nn.Linear(8, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1))

    return Task(model, lambda model, batch: F.mse_loss(model(batch[0]), batch[1]), (x, y), 50, name="sines-tanh")


def deep() -> Task:
    """Make digits by four narrow tanh layers."""
    x, y = load("digits-mlp").data
    sizes = (64, 10, 10, 10, 10)

    def model() -> Any:
        layers = [layer for a, b in pairwise(sizes) for layer in (torch.nn.Linear(a, b), torch.nn.Tanh())]
        return torch.nn.Sequential(*layers[:-1])

    return Task(
        model, lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]), (x[:500], y[:500]), 64, name="deep-tanh"
    )


def small_conv() -> Task:
    """Make digits by two small convolutions."""
    x, y = load("digits-mlp").data

    def model() -> Any:
        n = torch.nn
        return n.Sequential(n.Unflatten(1, (1, 8, 8)), n.Conv2d(1, 4, 3), n.ReLU(), n.Conv2d(4, 4, 3), n.ReLU(),
                            n.Flatten(), n.Linear(64, 10))  # fmt: skip

    return Task(
        model, lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]), (x[:500], y[:500]), 64, name="conv"
    )


NETWORKS: dict[str, Callable[[], Task]] = {
    "digits-mlp": lambda: load("digits-mlp"),
    "deep-tanh": deep,
    "sines-tanh": regression,
    "conv": small_conv,
}


def trained(task: Task, seed: int, updates: int, rule: str = "heavyball:lr=0.05,mu=0.9") -> Any:
    """Return a model after so many updates."""
    torch.manual_seed(seed)
    model = task.model()
    optimizer = optimizer_of(parse(rule), model.parameters())
    for _ in range(updates):
        rows = torch.randint(0, task.samples, (task.batch,))
        optimizer.zero_grad()
        task.loss(model, tuple(part[rows] for part in task.data)).backward()
        optimizer.step()
    return model


def dense(task: Task, model: Any) -> Any:
    """Return the eigenvalues of the dense Hessian in float64, falling: products with all unit vectors, 64 at a time."""
    subject = subject_of(
        task, copy.deepcopy(model).double(), params=None, samples=None, seed=0, device=None, dtype=None
    )
    product = product_of(subject)
    found = torch.stack([product(row) for row in torch.eye(product.n, dtype=torch.float64)])
    return torch.linalg.eigvalsh((found + found.T) / 2).flip(0).numpy()


def ours(task: Task, model: Any, k: int, seed: int) -> Found:
    """Run Lanczos of ravine."""
    found = curvature(task, model, k=k, seed=seed)
    return found.values, found.products


def own_eigsh(task: Task, model: Any, k: int, seed: int) -> Found:
    """Run scipy's eigsh on our own product."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    product = product_of(subject_of(task, model, params=None, samples=None, seed=0, device=None, dtype=None))
    operator = LinearOperator((product.n, product.n), dtype=np.float32,
                              matvec=lambda v: product(torch.from_numpy(v.astype(np.float32).ravel())).numpy())  # fmt: skip
    start = np.random.default_rng(seed).normal(size=product.n).astype(np.float32)
    return eigsh(operator, k=k, which="LA", v0=start, return_eigenvectors=False)[::-1], product.made


def curvlinops_eigsh(task: Task, model: Any, k: int, seed: int) -> Found:
    """Run curvlinops' Hessian through scipy's eigsh."""
    from curvlinops import HessianLinearOperator
    from scipy.sparse.linalg import LinearOperator, eigsh

    made = 0
    loss = torch.nn.MSELoss() if task.data[1].is_floating_point() else torch.nn.CrossEntropyLoss()
    parameters = list(model.parameters())
    hessian = HessianLinearOperator(model, loss, parameters, [task.data], check_deterministic=False).to_scipy()

    def count(v: Any) -> Any:
        nonlocal made
        made += 1
        return hessian @ v

    start = np.random.default_rng(seed).normal(size=hessian.shape[0]).astype(np.float32)
    operator = LinearOperator(hessian.shape, matvec=count, dtype=np.float32)
    return eigsh(operator, k=k, which="LA", v0=start, return_eigenvectors=False)[::-1], made


def pyhessian(task: Task, model: Any, k: int, seed: int, tol: float = 1e-3) -> Found:
    """Run PyHessian's power iteration, by default to its own tolerance, which finds what is largest without regard to sign."""
    import importlib

    peer = importlib.import_module("pyhessian.hessian")  # the package has a class of this name
    made, plain = 0, peer.hessian_vector_product

    def count(*given: Any) -> Any:
        nonlocal made
        made += 1
        return plain(*given)

    torch.manual_seed(seed)
    loss = F.mse_loss if task.data[1].is_floating_point() else F.cross_entropy
    peer.hessian_vector_product = count
    try:
        values, _ = peer.hessian(model, loss, data=task.data, cuda=False).eigenvalues(maxIter=100, tol=tol, top_n=k)
    finally:
        peer.hessian_vector_product = plain
        for p in model.parameters():
            p.grad = None
    return np.array(values), made


def eigenthings(task: Task, model: Any, k: int, seed: int, most: int | None = None) -> Found:
    """Run hessian-eigenthings' Lanczos."""
    from hessian_eigenthings import HessianOperator, lanczos

    operator = HessianOperator(model, [task.data], task.loss)
    found = lanczos(operator, k=k, max_iter=most, which="LA", seed=seed)
    return found.eigenvalues.detach().numpy(), found.iterations


RUNS: dict[str, Callable[[Task, Any, int, int], Found]] = {
    "ravine": ours,
    "hessian-eigenthings, 8k": lambda *given: eigenthings(*given, most=8 * given[2]),
    "hessian-eigenthings": eigenthings,
    "PyHessian": pyhessian,
    "PyHessian, tol 1e-2": lambda *given: pyhessian(*given, tol=1e-2),
    "eigsh on our product": own_eigsh,
    "curvlinops + eigsh": curvlinops_eigsh,
}


def compare(task: Task, model: Any, k: int, turns: int) -> None:
    """Print products, time and true error of everyone on one model."""
    truth = dense(task, model)[:k]
    print(f"\n{task.name}: {sum(p.numel() for p in model.parameters()):,} parameters, {task.samples:,} samples, top {k}; "
          f"the largest is {truth[0]:.6g}")  # fmt: skip
    seconds: dict[str, list[float]] = {}
    told: dict[str, list[tuple[int, float]]] = {}
    for turn in range(turns + 1):
        for name, run in RUNS.items():
            try:
                began = time.perf_counter()
                values, products = run(task, model, k, turn)
            except ImportError as error:
                if not turn:
                    print(f"  {name} is left out: {error}")
                continue
            if turn:  # the first warms up
                seconds.setdefault(name, []).append(time.perf_counter() - began)
                told.setdefault(name, []).append(
                    (products, float(np.max(abs(np.asarray(values)[:k] - truth) / abs(truth))))
                )
    print(f"  {'':26}{'products':>9}{'worst error':>13}{'seconds':>10}{'× ravine':>10}")
    for name, each in seconds.items():
        ratio = statistics.median(other / own for other, own in zip(each, seconds["ravine"], strict=True))
        products = statistics.median(number for number, _ in told[name])
        worst = max(error for _, error in told[name])
        print(f"  {name:26}{products:9.0f}{worst:13.1e}{statistics.median(each):10.4f}{ratio:10.2f}")


def honesty(cases: int, names: Sequence[str]) -> None:
    """Print in how many cases the true error is below the stated one, over networks, seeds and stages of a training."""
    below = within = 0
    products, ratios = [], []
    stages = (0, 10, 50, 200)
    for case in range(cases):
        task = NETWORKS[names[case % len(names)]]()
        model = trained(task, case, stages[case // len(names) % len(stages)])
        truth = dense(task, model)[0]
        found = curvature(task, model, seed=case)
        error = abs(found.h_max - truth)
        below += bool(error <= found.errors[0])
        within += bool(error <= 0.01 * abs(truth))
        products.append(found.products)
        ratios.append(error / found.errors[0])
    print(f"{cases} cases: true error below the stated one in {below}, below 1 % in {within}; products: median "
          f"{statistics.median(products):.0f}, most {max(products)}; true over stated error: median "
          f"{statistics.median(ratios):.2g}, largest {max(ratios):.2g}")  # fmt: skip


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=", ".join(NETWORKS))
    parser.add_argument("--top", type=int, default=1)
    parser.add_argument("--updates", type=int, default=300, help="of the training before")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--honesty", type=int, nargs="?", const=100, metavar="CASES")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", "Using backward")  # PyHessian's way
    torch.set_num_threads(asked.threads)
    if asked.honesty:
        honesty(asked.honesty, asked.networks or [name for name in NETWORKS if name != "digits-mlp"])
        return
    for name in asked.networks or NETWORKS:
        task = NETWORKS[name]()
        compare(task, trained(task, 0, asked.updates), asked.top, asked.turns)


if __name__ == "__main__":
    main()
