"""Spectra that are hard for a Krylov method: clusters, no gaps, tiny parts, ranks, signs."""

from collections.abc import Callable, Mapping

import numpy as np
import torch

from ravine.surfaces.interface import Array


def _pair(apart: float, n: int = 1500) -> Array:
    """Return two large eigenvalues so far apart, and many small ones."""
    rest = np.random.default_rng(0).random(n) * 0.3
    return np.concatenate([[1.0, 1.0 - apart], rest])


def _semicircle(n: int = 1000) -> Array:
    a = np.random.default_rng(1).normal(size=(n, n))
    found: Array = np.linalg.eigvalsh((a + a.T) / np.sqrt(8 * n))
    return found


SPECTRA: Mapping[str, Callable[[], Array]] = {
    "one number": lambda: np.array([-3.0]),
    "two numbers": lambda: np.array([2.0, -1.0]),
    "three numbers": lambda: np.array([1.0, 1.0, 0.5]),
    "nothing": lambda: np.zeros(300),
    "one value": lambda: np.full(200, 2.5),
    "one outlier": lambda: np.concatenate([[50.0], np.ones(3000)]),
    "a faint outlier": lambda: np.concatenate([[1.3], np.linspace(0, 1, 2000)]),
    "rank three": lambda: np.concatenate([[9.0, 5.0, 2.0], np.zeros(1000)]),
    "rank two, a pair": lambda: np.concatenate([[1.0, 0.9], np.zeros(1000)]),
    "pair 0.1 % apart": lambda: _pair(0.001),
    "pair 1 % apart": lambda: _pair(0.01),
    "pair 2 % apart": lambda: _pair(0.02),
    "pair 4 % apart": lambda: _pair(0.04),
    "pair 8 % apart": lambda: _pair(0.08),
    "ten within 5 %": lambda: np.concatenate([np.linspace(0.95, 1, 10), np.linspace(0, 0.4, 1000)]),
    "two clusters": lambda: np.concatenate([1 - np.linspace(0, 1e-6, 5), 0.5 + np.linspace(0, 1e-6, 5), np.zeros(500)]),
    "even": lambda: np.linspace(0, 1, 1000),
    "semicircle": _semicircle,
    "ten tenfolds": lambda: np.logspace(-10, 0, 1000),
    "powers": lambda: np.arange(1, 2001) ** -1.0,
    "slow powers": lambda: np.arange(1, 2001) ** -0.5,
    "negative": lambda: -np.linspace(0, 1, 500),
    "large negative, small positive": lambda: np.concatenate([[-100.0, -50.0], np.linspace(0, 1, 500)]),
    "both signs": lambda: np.linspace(-1, 1, 800),
    "tiny": lambda: 1e-20 * np.linspace(0, 1, 400) ** 4,
    "huge": lambda: 1e15 * np.linspace(0, 1, 400) ** 4,
}


def diagonal(values: Array, dtype: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the operator with these eigenvalues along the coordinates; a random start is the same in every basis."""
    h = torch.as_tensor(values).to(dtype)
    return lambda v: h * v
