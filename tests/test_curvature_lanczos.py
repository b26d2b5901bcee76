"""Lanczos against matrices with known spectra, and against its theorems."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hard_spectra import SPECTRA, diagonal
from ravine.errors import CurvatureError
from ravine.surfaces.interface import Array
from ravine.torch.density import quadrature
from ravine.torch.spectral.lanczos import DOUBT, Krylov, extremes
from test_curvature import one_thread  # noqa: F401

SLOW = ("semicircle", "a faint outlier", "slow powers", "even", "ten tenfolds")
ROUNDING = 1e-12  # of float64, relative to the largest |value|


def _nearest(values: Array, truth: Array) -> Array:
    """Return how far each value is from the spectrum."""
    found: Array = abs(values[:, None] - truth[None, :]).min(axis=1)
    return found


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", [name for name in SPECTRA if name not in SLOW and "pair" not in name])
def test_the_ends_of_hard_spectra_are_found(name: str, dtype: torch.dtype) -> None:
    """Both ends are within their errors, and no value is beyond the true end but by rounding."""
    truth = np.sort(SPECTRA[name]()).astype(np.float32).astype(float)
    found = extremes(diagonal(truth, dtype), len(truth), ends="both", dtype=dtype, seed=3)
    scale = float(abs(truth).max())
    rounding = scale * (ROUNDING if dtype == torch.float64 else 1e-5)
    assert found.converged
    for value, error, true, side in (
        (found.largest[0], found.largest_errors[0], truth[-1], 1),
        (found.smallest[0], found.smallest_errors[0], truth[0], -1),
    ):
        assert abs(value - true) <= error
        assert side * (value - true) <= rounding


@pytest.mark.slow
def test_stated_errors_are_honest_over_hard_spectra() -> None:
    """Over all spectra the true error of the largest is below the stated one in 95 cases of 100, and in 85 of each."""
    seeds, bad = range(20), {}
    for name, make in SPECTRA.items():
        truth = make()
        told = [extremes(diagonal(truth, torch.float64), len(truth), seed=s, dtype=torch.float64) for s in seeds]
        bad[name] = sum(abs(f.largest[0] - truth.max()) > f.largest_errors[0] for f in told)
    assert sum(bad.values()) <= 0.05 * len(SPECTRA) * len(seeds), bad
    assert max(bad.values()) <= 0.15 * len(seeds), bad


@pytest.mark.slow
def test_the_ceiling_holds_as_its_theorem_says() -> None:
    """No more than the stated part of random starts have an eigenvalue above the ceiling, whatever the spectrum."""
    wrong = cases = 0
    for make in SPECTRA.values():
        truth = make()
        for seed in range(20):
            found = extremes(diagonal(truth, torch.float64), len(truth), seed=seed, dtype=torch.float64)
            cases += 1
            wrong += truth.max() > found.ceiling + ROUNDING * abs(truth).max()
    assert wrong <= 3 * DOUBT * cases


def test_the_ceiling_is_above_where_a_residual_is_fooled() -> None:
    """A start with nothing along the largest eigenvalue gives a small residual at the next, and a ceiling above both."""
    h = np.concatenate([[1.0, 0.9], np.linspace(0, 0.2, 500)])
    start = torch.ones(len(h), dtype=torch.float64)
    start[0] = 0.0
    space = Krylov(diagonal(h, torch.float64), start, lambda: start)
    for _ in range(6):
        space.grow()
    theta, residual, _ = space.ritz()
    assert abs(theta[-1] - 0.9) < 1e-3
    assert residual[-1] < 0.03
    fooled = start * 0.9999 + 1e-6 * torch.ones_like(start)
    found = extremes(diagonal(h, torch.float64), len(h), start=fooled, dtype=torch.float64, seed=1)
    assert found.ceiling >= 1.0


@given(
    # the square of what is smaller is no longer a float
    values=st.lists(st.floats(-100, 100).map(lambda h: h if abs(h) > 1e-100 else 0.0), min_size=1, max_size=24),
    k=st.integers(1, 4),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_every_value_is_an_eigenvalue_within_its_error(values: list[float], k: int, seed: int) -> None:
    """Each value has an eigenvalue of a random matrix within its error, values fall, and none is above the largest."""
    truth = np.sort(values)
    n = len(truth)
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    matrix = torch.as_tensor(q @ np.diag(truth) @ q.T)
    found = extremes(lambda v: matrix @ v, n, k=k, ends="both", dtype=torch.float64, seed=seed)
    rounding = 1e-11 * (abs(truth).max() + 1e-300)
    assert (np.diff(found.largest) <= rounding).all()
    assert (np.diff(found.smallest) >= -rounding).all()
    assert (_nearest(found.largest, truth) <= found.largest_errors + rounding).all()
    assert (_nearest(found.smallest, truth) <= found.smallest_errors + rounding).all()
    assert truth[0] - rounding <= found.smallest[0]
    assert found.largest[0] <= truth[-1] + rounding
    assert found.products <= n


def test_repeated_values_are_found_where_the_space_closes() -> None:
    """Where few values repeat, the space closes and is left for another, so that all copies are listed."""
    h = np.array([5.0, 5.0, 4.0, 4.0, 4.0, *np.ones(300)])
    found = extremes(diagonal(h, torch.float64), len(h), k=6, dtype=torch.float64)
    np.testing.assert_allclose(found.largest, [5, 5, 4, 4, 4, 1], atol=1e-10)


def test_residuals_are_what_they_are() -> None:
    """β·|s_m| is the norm of A x - θ x, x orthonormal, in float64 to rounding (Paige 1980)."""
    truth = np.linspace(-1, 2, 200)
    operator = diagonal(truth, torch.float64)
    space = Krylov(operator, torch.ones(200, dtype=torch.float64), lambda: torch.ones(200, dtype=torch.float64))
    for _ in range(15):
        space.grow()
    theta, residual, s = space.ritz()
    x = space.vectors(s)
    direct = torch.stack([operator(row) for row in x]) - torch.as_tensor(theta)[:, None] * x
    np.testing.assert_allclose(direct.norm(dim=1).numpy(), residual, atol=1e-13)
    np.testing.assert_allclose((x @ x.T).numpy(), np.eye(15), atol=1e-13)


def test_ritz_values_interlace() -> None:
    """Ritz values of m products lie strictly between those of m + 1 (Cauchy)."""
    ones = torch.ones(300, dtype=torch.float64)
    space = Krylov(diagonal(np.linspace(0, 1, 300), torch.float64), ones, lambda: ones)
    space.grow()
    before = space.ritz()[0]
    for _ in range(12):
        space.grow()
        now = space.ritz()[0]
        assert (now[:-1] < before).all()
        assert (before < now[1:]).all()
        before = now


def test_a_start_that_is_known_saves_products() -> None:
    """From near the eigenvector fewer products do, and the value is the same within the errors."""
    truth = np.linspace(0, 1, 2000) ** 3
    operator = diagonal(truth, torch.float64)
    cold = extremes(operator, 2000, dtype=torch.float64, vectors=True)
    assert cold.vectors is not None
    warm = extremes(operator, 2000, dtype=torch.float64, start=cold.vectors[0], seed=1)
    assert warm.products < cold.products
    assert abs(warm.largest[0] - 1) <= warm.largest_errors[0]


def test_memory_is_the_kept_vectors() -> None:
    """A long run keeps one vector for each product and one more, in blocks of at most eight."""
    space = Krylov(diagonal(np.linspace(0, 1, 500), torch.float32), torch.ones(500), lambda: torch.ones(500))
    for _ in range(20):
        space.grow()
    assert sum(len(block) for block in space._blocks) == 24


def test_quadrature_has_the_moments_of_the_measure() -> None:
    """m nodes have the moments 0 to 2m - 1 of Σ (v·u_i)² δ(t - h_i) (Gauss)."""
    h, v = np.linspace(-1, 1, 60), np.random.default_rng(0).normal(size=60)
    nodes, weights = quadrature(diagonal(h, torch.float64), torch.as_tensor(v), 6)
    share = v**2 / (v**2).sum()
    for power in range(12):
        assert abs((weights * nodes**power).sum() - (share * h**power).sum()) < 1e-13
    assert abs((weights * nodes**12).sum() - (share * h**12).sum()) > 1e-8


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"ends": "top"}, "ends must be one of largest, smallest, both, got 'top'"),
        ({"k": 0}, "k must be a whole number from 1 on, got '0'"),
        ({"most": 2.5}, "most must be a whole number from 1 on, got '2.5'"),
        ({"tol": 0.0}, "tol must be between 0 and 1, got '0.0'"),
    ],
)
def test_what_cannot_be_asked_is_refused(given: dict[str, object], says: str) -> None:
    """A number out of range is one sentence."""
    with pytest.raises(CurvatureError, match=says):
        extremes(lambda v: v, 5, **given)  # type: ignore[arg-type]


def test_a_product_that_is_not_finite_is_refused() -> None:
    """NaN from the operator is one sentence, no value."""
    with pytest.raises(CurvatureError, match="not finite"):
        extremes(lambda v: v * float("nan"), 5)
