"""The whole spectrum as a density, by stochastic Lanczos quadrature.

    φ(t) = (1/n) Σ δ(t - h_i) ≈ mean over random v of Σ_j ω_j δ(t - θ_j)      ω_j = (first entry of s_j)²

Each random vector gives a quadrature with the first 2m moments of its own spectral measure; what vectors differ by is
the error.

Source: Golub & Meurant 2010; Ghorbani, Krishnan & Xiao 2019, section 2.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ravine.display import finite
from ravine.errors import CurvatureError, shown
from ravine.surfaces.interface import Array
from ravine.torch.curvature import product_of, subject_of
from ravine.torch.spectral.lanczos import Krylov, Operator, Tick

POINTS = 801  # of a curve
WIDTH = 0.02  # of the Gaussian that stands for a node, as a part of the range


@dataclass(frozen=True)
class Density:
    """Hold a spectral density: curvatures and which part of all of them lies where."""

    nodes: Array  # (probes, depth), curvatures; NaN where a probe ended early
    weights: Array  # (probes, depth), of each probe they sum to 1
    parameters: int
    products: int = 0
    gradients: float = 0.0  # what was spent, in gradients of a mini-batch
    seconds: float = 0.0
    name: str = ""

    @property
    def trace(self) -> float:
        """Return the trace of the matrix, unbiased (Hutchinson 1990)."""
        return float(self.parameters * self._means.mean())

    @property
    def trace_error(self) -> float:
        """Return the standard error of the trace over the probes; NaN for a single one."""
        return self.parameters * _error(self._means)

    @property
    def _means(self) -> Array:
        found: Array = np.nansum(self.nodes * self.weights, axis=1)
        return found

    def curve(self, width: float = WIDTH, points: int = POINTS) -> tuple[Array, Array, Array]:
        """Return curvatures, (points,), the number of eigenvalues per unit of curvature there, and its standard error.

        Args:
            width: of the Gaussian that stands for a node, as a part of the range.
            points: how many.
        """
        low, high = float(np.nanmin(self.nodes)), float(np.nanmax(self.nodes))
        sigma = width * (high - low or abs(high) or 1.0)
        at = np.linspace(low - 4 * sigma, high + 4 * sigma, points)
        each = np.array([_smoothed(at, *probe, sigma) for probe in zip(self.nodes, self.weights, strict=True)])
        error = np.array([_error(column) for column in each.T])
        return at, self.parameters * each.mean(axis=0), self.parameters * error

    def summary(self) -> dict[str, Any]:
        """Return what `ravine curvature --density --json` prints of it."""
        return {
            "probes": len(self.nodes),
            "depth": self.nodes.shape[1],
            "trace": finite(self.trace),
            "trace_error": finite(self.trace_error),
            "nodes": [[finite(v) for v in line if math.isfinite(v)] for line in self.nodes],
            "weights": [[float(v) for v in line if math.isfinite(v)] for line in self.weights],
            "products": self.products,
            "gradients": self.gradients,
            "seconds": self.seconds,
        }


def _smoothed(at: Array, nodes: Array, weights: Array, sigma: float) -> Array:
    """Return a sum of Gaussians."""
    there = np.isfinite(nodes)
    z = (at[:, None] - nodes[there]) / sigma
    found: Array = np.exp(-z * z / 2) @ weights[there] / (sigma * math.sqrt(2 * math.pi))
    return found


def _error(values: Array) -> float:
    """Return the standard error of a mean, NaN of a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def quadrature(operator: Operator, start: torch.Tensor, depth: int) -> tuple[Array, Array]:
    """Return nodes and weights, (m,), of the spectral measure of a vector: Σ (v·u_i)² δ(t - h_i), normed to 1.

    Args:
        operator: symmetric, from (n,) to (n,).
        start: the vector, (n,), not 0. Of a gradient the weights say which curvatures it lies along.
        depth: at most so many nodes, and so many products.

    Example:
        >>> h = torch.tensor([1.0, 3.0], dtype=torch.float64)
        >>> nodes, weights = quadrature(lambda v: h * v, torch.ones(2, dtype=torch.float64), 5)
        >>> nodes.round(6).tolist(), weights.round(6).tolist()
        ([1.0, 3.0], [0.5, 0.5])
    """
    space = Krylov(operator, start, lambda: start)
    for _ in range(min(depth, space.n)):
        space.grow()
        if space.closed:
            break
    theta, _, s = space.ritz()
    return theta, s[0] ** 2


def density(
    what: Any,
    model: Any = None,
    *,
    params: Any = None,
    probes: int = 8,
    depth: int = 40,
    samples: int | None = None,
    seed: int = 0,
    gauss_newton: bool = False,
    device: Any = None,
    dtype: torch.dtype | None = None,
    tick: Tick | None = None,
) -> Density:
    """Measure the spectral density of the Hessian of a loss.

    Args:
        what: a task, or a loss without arguments.
        model: where, as for `curvature`.
        params: of a loss of your own.
        probes: random vectors.
        depth: products for each, and so nodes.
        samples: so many of the task's are measured, None for all.
        seed: of a new model, the samples and the probes.
        gauss_newton: of the Gauss-Newton matrix instead.
        device: where a new model lies.
        dtype: of a new model.
        tick: called with (products made, products in all).

    Returns:
        Nodes and weights of each probe; `curve` makes a smooth density of them.

    Raises:
        CurvatureError: a number is out of range, or there are no products.
    """
    for key, value in (("probes", probes), ("depth", depth)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CurvatureError(f"{key} must be a whole number from 1 on, got {shown(value)}")
    began = time.perf_counter()
    subject = subject_of(what, model, params=params, samples=samples, seed=seed, device=device, dtype=dtype)
    product = product_of(subject, gauss_newton)
    generator = torch.Generator().manual_seed(seed)
    nodes, weights = np.full((probes, depth), np.nan), np.full((probes, depth), np.nan)
    for probe in range(probes):
        # Signs have a smaller variance than normal numbers, exactly none along the coordinates.
        start = torch.randint(0, 2, (product.n,), generator=generator).to(product.device, product.dtype) * 2 - 1
        found = quadrature(_told(product, tick, probes * depth), start, depth)
        nodes[probe, : len(found[0])], weights[probe, : len(found[0])] = found
    return Density(
        nodes,
        weights,
        product.n,
        product.made,
        product.cost * subject.unit,
        time.perf_counter() - began,
        subject.task.name if subject.task else "",
    )


def _told(product: Any, tick: Tick | None, total: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the product, which says how many were made."""

    def told(v: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = product(v)
        if tick:
            tick(product.made, total)
        return found

    return told
