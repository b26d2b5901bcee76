"""Begin a training as Keras does, move it to torch in the middle, and see that it goes on as Keras would have.

    python examples/keras_to_torch.py

Keras itself is not needed: the arrays stand for `model.get_weights()` and `optimizer.variables`, saved with NumPy as its
users save them, and Keras's formula for SGD is written out below. Both sides then go on from the middle, and the largest
difference of any weight, relative to the largest weight, is printed.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ravine.torch import convert_snapshot, rename, snapshot, write_torch

LR, MU = 0.05, 0.9
NAMES = ("0.weight", "0.bias", "2.weight", "2.bias")  # as torch calls what Keras lists in this order
Arrays = list[Any]


def keras_step(weights: Arrays, velocities: Arrays, gradients: Arrays, nesterov: bool) -> None:
    """Make one update as keras.optimizers.SGD(LR, MU, nesterov)."""
    for w, v, g in zip(weights, velocities, gradients, strict=True):
        v[...] = MU * v - LR * g
        w += MU * v - LR * g if nesterov else v


def batch(step: int, dtype: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw 32 points and their classes, the same for both sides."""
    drawn = np.random.default_rng(step)
    x = drawn.normal(size=(32, 20))
    return torch.tensor(x.astype(dtype)), torch.tensor(x[:, :5].argmax(1))


def gradients_of(weights: Arrays, step: int) -> Arrays:
    """Return the loss's gradient where Keras has its weights; kernels are (inputs, outputs)."""
    x, y = batch(step, weights[0].dtype)
    w = [torch.tensor(array, requires_grad=True) for array in weights]
    cross_entropy(torch.tanh(x @ w[0] + w[1]) @ w[2] + w[3], y).backward()
    return [tensor.grad.numpy() for tensor in w if tensor.grad is not None]


def begin(steps: int, dtype: Any, nesterov: bool, file: Path) -> tuple[Arrays, Arrays]:
    """Train as Keras and save what a user of Keras would."""
    drawn = np.random.default_rng(0)
    shapes = ((20, 16), (16,), (16, 5), (5,))
    weights = [(drawn.normal(size=shape) / 4).astype(dtype) for shape in shapes]
    velocities = [np.zeros_like(w) for w in weights]
    for step in range(steps):
        keras_step(weights, velocities, gradients_of(weights, step), nesterov)
    variables = [np.int64(steps), np.float32(LR), *velocities]  # the order of optimizer.variables
    np.savez(
        file,
        **{f"weight_{i}": w for i, w in enumerate(weights)},
        **{f"variable_{i}": v for i, v in enumerate(variables)},
    )
    return weights, velocities


def move(file: Path, nesterov: bool) -> tuple[nn.Module, torch.optim.Optimizer]:
    """Read Keras's arrays and go on with torch.optim.SGD."""
    with np.load(file) as held:
        weights = [held[f"weight_{i}"] for i in range(4)]
        iteration, learning_rate, *velocities = (held[f"variable_{i}"] for i in range(6))
    print(f"  read after {iteration} updates with learning rate {learning_rate:.3g}")
    # A kernel of torch is the other way round, and its velocity with it.
    named = {f"weight_{i}": array for i, array in enumerate(weights)}
    run = snapshot("keras", named, velocities, learning_rate=LR, momentum=MU, nesterov=nesterov)
    run = rename(run, {f"weight_{i}": (name, np.transpose) for i, name in enumerate(NAMES)})
    there = convert_snapshot(run, "torch")
    print(f"  {run.groups[0].method} becomes {there.groups[0].method}, velocities times {there.changes[0].scale:g}")

    model = nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 5))
    model.to(torch.tensor(weights[0]).dtype)
    model.load_state_dict({name: torch.tensor(array) for name, array in there.parameters.items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MU, nesterov=nesterov)
    optimizer.load_state_dict(write_torch(there))
    return model, optimizer


def main() -> None:
    """Move four trainings and print how far they part."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--steps", type=int, default=200, help="updates, half of them as Keras")
    steps = given.parse_args().steps
    for nesterov in (False, True):
        for dtype in (np.float32, np.float64):
            print(f"Keras SGD, nesterov={nesterov}, {dtype.__name__}")
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "keras.npz"
                weights, velocities = begin(steps // 2, dtype, nesterov, file)
                model, optimizer = move(file, nesterov)
            for step in range(steps // 2, steps):
                keras_step(weights, velocities, gradients_of(weights, step), nesterov)
                x, y = batch(step, dtype)
                optimizer.zero_grad()
                cross_entropy(model(x), y).backward()
                optimizer.step()
            pairs = zip(model.parameters(), weights, strict=True)
            apart = max(abs(p.detach().numpy() - w.T).max() / abs(w).max() for p, w in pairs)
            print(f"  {steps - steps // 2} updates later both are the same but for {apart:.1e}")


if __name__ == "__main__":
    main()
