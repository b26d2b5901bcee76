"""The ends of a spectrum from products alone: Lanczos with full reorthogonalization.

    A V = V T + β v eᵀ      T tridiagonal, V orthonormal; θ, s the eigenpairs of T

The residual of a Ritz pair is β·|s_m|, without a further product: an eigenvalue lies that near to θ, and θ is never
above the largest. Which eigenvalue it is no residual can say, since the start may be poor in the right one; what a
random start can say is in `ceiling`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ravine.errors import CurvatureError, shown
from ravine.surfaces.interface import Array

ENDS = ("largest", "smallest", "both")
MOST = 200  # products, and so vectors kept
FLOOR = 0.1  # a value smaller than this part of the largest |value| need be no more precise than it
ROUNDING = 64  # units in the last place of the largest |value|
DOUBT = 0.01  # the probability with which a ceiling may be wrong
ROWS = 8  # basis vectors that are reserved at once where they are small
SMALL = 100_000
LEAST = 4  # products, before a residual is believed
RANDOM = 0.05  # part of the square of a start, where a better vector is known
HUGE = 1e200
OFTEN = 20  # T is looked at after every product, and beyond these after every twentieth part of them

Operator = Callable[[torch.Tensor], torch.Tensor]
Tick = Callable[[int, int], object]


@dataclass(frozen=True)
class Extremes:
    """Hold what Lanczos found at the ends of a spectrum."""

    largest: Array  # (k,), falling; empty where not asked for
    smallest: Array  # (k,), rising; empty where not asked for
    largest_errors: Array  # (k,)
    smallest_errors: Array  # (k,)
    ceiling: float  # no eigenvalue is above it, but with probability DOUBT
    floor: float  # none is below it
    products: int
    converged: bool
    vectors: torch.Tensor | None = field(default=None, compare=False)  # (number of values, n), largest first


class Krylov:
    """Grow an orthonormal basis and the tridiagonal matrix of an operator on it."""

    def __init__(self, operator: Operator, start: torch.Tensor, draw: Callable[[], torch.Tensor]) -> None:
        """Begin with one vector; `draw` gives another where the space turns out to be closed."""
        self.operator, self.draw, self.n = operator, draw, start.numel()
        self.alpha: list[float] = []
        self.beta: list[float] = []  # the last is the residual's
        self.first = 0  # where the last closed space ended
        self._blocks: list[torch.Tensor] = []
        self._append(start / start.norm())

    @property
    def size(self) -> int:
        """Return how many products were made."""
        return len(self.alpha)

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of the vectors."""
        return self._blocks[0].dtype

    @property
    def scale(self) -> float:
        """Return a lower bound of the norm of T that is never far off."""
        return max((abs(a) + b for a, b in zip(self.alpha, self.beta, strict=True)), default=0.0)

    @property
    def closed(self) -> bool:
        """Say whether the last product left the space spanned so far."""
        return self.beta[-1] <= self._tiny() or self.size >= self.n

    def _tiny(self) -> float:
        return ROUNDING * float(torch.finfo(self.dtype).eps) * self.scale

    def grow(self) -> None:
        """Make one product."""
        if self.beta and self.closed:
            self._restart()
        w = self.operator(self._row(self.size)).to(self.dtype)
        along = self._remove(w) + self._remove(w)  # twice is enough (Giraud et al. 2005)
        alpha, beta = float(along[self.size]), float(w.norm())
        if not (math.isfinite(alpha) and math.isfinite(beta)):
            raise CurvatureError(
                "a product with the Hessian is not finite; take parameters at which the loss is smooth"
            )
        self.alpha.append(alpha)
        self.beta.append(beta)
        if self.size < self.n and beta > self._tiny():
            self._append(w.div_(beta))

    def _restart(self) -> None:
        """Go on with a random vector orthogonal to a space that is closed."""
        self.beta[-1] = 0.0
        self.first = self.size
        w = self.draw()
        for _ in range(3):
            self._remove(w)
            w /= w.norm()
        self._append(w)

    def _append(self, v: torch.Tensor) -> None:
        at = self._kept % self._rows
        if at == 0:
            self._blocks.append(v.new_empty(self._rows, self.n))
        self._blocks[-1][at] = v
        self._kept += 1

    _kept = 0

    @property
    def _rows(self) -> int:
        return ROWS if self.n < SMALL else 1

    def _row(self, index: int) -> torch.Tensor:
        return self._blocks[index // self._rows][index % self._rows]

    def _filled(self) -> list[torch.Tensor]:
        return [block[: self._kept - i * self._rows] for i, block in enumerate(self._blocks)]

    def _remove(self, w: torch.Tensor) -> torch.Tensor:
        """Take out of a vector, in place, what lies in the space, and return its coordinates there, (kept,)."""
        along = [block @ w for block in self._filled()]
        for block, part in zip(self._filled(), along, strict=True):
            w.addmv_(block.T, part, alpha=-1)
        return torch.cat(along)

    def ritz(self) -> tuple[Array, Array, Array]:
        """Return Ritz values, rising, (m,), their residuals, (m,), and the eigenvectors of T as columns, (m, m)."""
        theta, s = _eigh(self.alpha, self.beta[:-1])
        return theta, abs(self.beta[-1] * s[-1]), s

    def vectors(self, s: Array) -> torch.Tensor:
        """Return the Ritz vectors of columns of `s`, (k, n), of unit length."""
        coordinates = torch.as_tensor(np.ascontiguousarray(s.T)).to(self._blocks[0])
        made = coordinates.new_zeros(len(coordinates), self.n)
        for i, block in enumerate(self._filled()):
            part = coordinates[:, i * self._rows : i * self._rows + len(block)]
            made.addmm_(part, block[: part.shape[1]])
        return made


def _eigh(alpha: list[float], beta: list[float]) -> tuple[Array, Array]:
    """Return eigenvalues, rising, and eigenvectors of a symmetric tridiagonal matrix."""
    if len(alpha) > 60:
        from scipy.linalg import eigh_tridiagonal

        return eigh_tridiagonal(alpha, beta)  # type: ignore[no-any-return]
    found = np.linalg.eigh(np.diag(alpha) + np.diag(beta, 1) + np.diag(beta, -1))
    return found.eigenvalues, found.eigenvectors


def extremes(
    operator: Operator,
    n: int,
    *,
    k: int = 1,
    ends: str = "largest",
    tol: float = 0.01,
    seed: int = 0,
    start: torch.Tensor | None = None,
    most: int = MOST,
    dtype: torch.dtype = torch.float32,
    device: Any = "cpu",
    vectors: bool = False,
    tick: Tick | None = None,
) -> Extremes:
    """Find the k largest or smallest eigenvalues of a symmetric operator, or both.

    Args:
        operator: from a vector, (n,), to its product, (n,).
        n: the dimension, at least 1.
        k: how many of each end.
        ends: "largest", "smallest" or "both".
        tol: stop when each residual is below half of this part of its value, which is then its error.
        seed: of the random start.
        start: a vector, (n,), thought to be rich in what is looked for; part of the start is random all the same.
        most: at most so many products, and so many vectors kept.
        dtype: of the vectors.
        device: of the vectors.
        vectors: return the eigenvectors too.
        tick: called with (products made, products at most).

    Returns:
        Values with errors: an eigenvalue lies that near to each. The first is the largest (the smallest) within its
        error but in a few cases of a hundred, where the start is poor in it; `ceiling` has a theorem behind it. An
        eigenvalue that repeats, or nearly so, may be listed once. What did not converge has its residual as its error.

    Raises:
        CurvatureError: a number is out of range, or a product is not finite.

    Example:
        >>> h = torch.linspace(1, 100, 1000, dtype=torch.float64)
        >>> found = extremes(lambda v: h * v, 1000, dtype=torch.float64)
        >>> bool(abs(found.largest[0] - 100) <= found.largest_errors[0] <= 1.01)
        True

    Source: Lanczos 1950; Paige 1980 for the residual; Parlett 1998, chapter 13.
    """
    _check(n, k, ends, tol, most)
    generator = torch.Generator().manual_seed(seed)

    def draw() -> torch.Tensor:
        return torch.randn(n, generator=generator).to(device, dtype)

    first, share = _mixed(draw(), start)
    space = Krylov(operator, first, draw)
    most, k = min(most, n), min(k, n)
    sides = [side for side in (1, -1) if ends in ("both", "largest" if side > 0 else "smallest")]
    while True:
        space.grow()
        if tick:
            tick(space.size, most)
        if space.size < most and space.size % max(space.size // OFTEN, 1) and not space.closed:
            continue  # in a long run a look at T would cost more than a product
        found = [_side(space, k, side, tol) for side in sides]
        done = all(each.done for each in found)
        if done or space.size >= most:
            break
    made = dict(zip(sides, found, strict=True))
    nothing = _Side(np.zeros(0), np.zeros(0), np.zeros((space.size, 0)), True)
    top, low = made.get(1, nothing), made.get(-1, nothing)
    return Extremes(
        largest=top.values,
        smallest=low.values,
        largest_errors=top.errors,
        smallest_errors=low.errors,
        ceiling=_ceiling(space, 1, share),
        floor=_ceiling(space, -1, share),
        products=space.size,
        converged=done,
        vectors=space.vectors(np.hstack([top.s, low.s])) if vectors else None,
    )


def _check(n: int, k: int, ends: str, tol: float, most: int) -> None:
    """Refuse what cannot be asked."""
    if ends not in ENDS:
        raise CurvatureError(f"ends must be one of {', '.join(ENDS)}, got {shown(ends)}")
    for key, value in (("the dimension", n), ("k", k), ("most", most)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CurvatureError(f"{key} must be a whole number from 1 on, got {shown(value)}")
    if not 0 < tol < 1:
        raise CurvatureError(f"tol must be between 0 and 1, got {shown(tol)}")


def _mixed(random: torch.Tensor, start: torch.Tensor | None) -> tuple[torch.Tensor, float]:
    """Return the first vector, and which part of its square is random."""
    random = random / random.norm()
    length = float(start.norm()) if start is not None else 0.0
    if start is None or not 0 < length < math.inf:
        return random, 1.0
    known = (start / length).to(random)
    return known * math.sqrt(1 - RANDOM) + random * math.sqrt(RANDOM), RANDOM


@dataclass(frozen=True)
class _Side:
    """Hold what is known of one end."""

    values: Array
    errors: Array
    s: Array  # eigenvectors of T as columns, (m, k)
    done: bool


def _side(space: Krylov, k: int, side: int, tol: float) -> _Side:
    """Return the values at one end (1 the largest, -1 the smallest), and whether they will do."""
    theta, residual, s = space.ritz()
    order = slice(None, None, -1) if side > 0 else slice(None)
    theta, residual, s = theta[order], residual[order], s[:, order]
    size = abs(theta).max()
    enough = tol * np.maximum(abs(theta), FLOOR * size)
    rounding = ROUNDING * float(torch.finfo(space.dtype).eps) * size
    near = residual <= enough / 2
    # Two eigenvalues nearer to each other than this look like one that has converged.
    error = np.where(near, enough, residual) + rounding
    error = np.full(len(theta), rounding) if space.closed and (k == 1 or space.size >= space.n) else error
    done = len(theta) >= k and bool(near[:k].all()) and space.size >= min(LEAST, space.n)
    if space.first:  # what the last closed space did not have must not be above
        newest = (s[space.first :] ** 2).sum(axis=0) > 0.5
        at = int(newest.argmax())
        done = done and bool(newest.any()) and bool(near[at]) and side * (theta[at] - theta[k - 1]) <= rounding
    elif space.closed:
        done = k == 1
    return _Side(theta[:k], error[:k], s[:, :k], done or space.size >= space.n)


def _ceiling(space: Krylov, side: int, share: float) -> float:
    """Return what no eigenvalue is beyond, but with probability DOUBT over the random part of the start.

    The start has at least the square `c` along any eigenvector, and no measure with the moments of T has more mass at λ
    than 1/K(λ), K(λ) = Σ p_j(λ)² over its orthonormal polynomials; so K of an eigenvalue is at most 1/c.

    Source: van Dorsselaer, Hochstenbach & van der Vorst 2000; the Christoffel function, Szegö 1939.
    """
    alpha, beta = side * np.array(space.alpha[space.first :]), np.array(space.beta[space.first :])
    theta = float(max(side * space.ritz()[0]))
    n = space.n - space.first
    if space.closed or n < 3:
        return side * theta
    most = 2 * n / (math.pi * DOUBT**2 * (share if not space.first else 1.0))
    high = 0.0
    for low_power, high_power in ((-12.0, 6.0), (-1.0, 0.0)):
        grid = np.geomspace(10.0**low_power, 10.0**high_power, 200) * (high or space.scale)
        over = _mass(alpha, beta, theta + grid) > most
        high = float(grid[over.argmax()]) if over.any() else math.inf
        if not math.isfinite(high):
            return side * high
    return side * (theta + high)


def _mass(alpha: Array, beta: Array, at: Array) -> Array:
    """Return the sum of the squares of the orthonormal polynomials of T."""
    before, now, total = np.zeros_like(at), np.ones_like(at), np.ones_like(at)
    over = np.zeros(at.shape, bool)
    with np.errstate(all="ignore"):  # beyond what floats can square it is large enough
        for j, (a, b) in enumerate(zip(alpha, beta, strict=True)):
            before, now = now, ((at - a) * now - (beta[j - 1] if j else 0.0) * before) / b
            total = total + now * now
            over |= ~(total < HUGE)
    return np.where(over, HUGE, total)
