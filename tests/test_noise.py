"""What noise leaves: the fixed point exactly on fractions, the floor and the whole curve against Monte Carlo."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given

from drawn import fractions, rows, seeded
from exact import F
from ravine.algebra import (
    Covariance,
    covariance,
    expected,
    growth,
    limit_h,
    margin,
    matrices,
    noise_floor,
    rate,
    states,
    step_matrix,
)
from ravine.rules import RULES, Method, Row, parse
from ravine.stepper import step

CHAINS, SETTINGS = 4000, 20


def simulated(rows_of_steps: list[Row], h: Any, x: Any, sigma: float, seed: Any) -> list[Any]:
    """Step the real stepper on ½·Σ h_i·x_i² with noise; returns positions (n, chains) after every step."""
    rng = np.random.default_rng(seed)
    x, found = np.array(x, float), []
    v = np.zeros_like(x)
    for row in rows_of_steps:
        x_next, v_next, g = np.empty_like(x), np.empty_like(x), np.empty_like(x)
        step(
            row,
            x,
            v,
            lambda at, out: np.multiply(h, at, out=out),
            x_next,
            v_next,
            g,
            sigma * rng.standard_normal(x.shape),
        )
        x, v = x_next, v_next
        found.append(x)
    return found


@seeded
@given(rows, fractions, fractions)
def test_the_covariance_is_the_fixed_point(row: Row, share: Fraction, sigma: Fraction) -> None:
    """On fractions Σ = M Σ Mᵀ + σ² n nᵀ holds exactly, entry for entry, for any stable row."""
    row = row._replace(keep=row.keep / 3)
    if limit_h(row) == 0:  # uphill: turn it round
        row = row._replace(take=-row.take, kick=-row.kick)
    assume(limit_h(row) > 0)
    h = F(abs(share) + F(1, 12)) / 3 * (min(limit_h(row), 10))
    assert margin(row, h) > 0
    S, M, n = covariance(row, h, sigma), step_matrix(row, h), (row.kick + row.move * row.take, row.take)
    full = ((S.xx, S.xv), (S.xv, S.vv))
    for i, j, entry in ((0, 0, S.xx), (0, 1, S.xv), (1, 1, S.vv)):
        carried = sum(M[i][k] * full[k][m] * M[j][m] for k in (0, 1) for m in (0, 1))
        assert entry == carried + sigma**2 * n[i] * n[j]
        assert isinstance(entry, Fraction | int)


def test_the_floor_of_gradient_descent() -> None:
    """Gradient descent's floor is σ²·lr/(2·(2 - lr·h)), and momentum mu raises it to what lr/(1 - mu) would at small lr."""
    for lr in (0.01, 0.3, 1.2):
        assert noise_floor(RULES["sgd"].row(lr=lr), 1.5, 2.0) == pytest.approx(4 * lr / (2 * (2 - lr * 1.5)), rel=1e-14)
    slow = noise_floor(RULES["heavyball"].row(lr=1e-5, mu=0.9), 1.0)
    assert slow == pytest.approx(noise_floor(RULES["sgd"].row(lr=1e-4), 1.0), rel=1e-3)
    assert noise_floor(RULES["sgd"].row(lr=0.1), 0.0) == 0
    assert noise_floor(RULES["sgd"].row(lr=3), 1.0) == np.inf
    assert isinstance(covariance(RULES["sgd"].row(lr=F(1, 10)), F(2)), Covariance)


def drawn_settings(name: str) -> list[dict[str, float]]:
    """Draw settings that are stable for h = 1 and forget within some dozen steps."""
    rng, found = np.random.default_rng(sum(map(ord, name))), []
    while len(found) < SETTINGS:
        one = {"lr": rng.uniform(0.05, 1.9), "mu": rng.uniform(0, 0.95), "tau": rng.uniform(0, 0.8),
               "nu": rng.uniform(0, 1.2), "L": rng.uniform(0.8, 4), "m": rng.uniform(0.02, 0.8)}  # fmt: skip
        chosen = {key: one[key] for key in RULES[name].parameters}
        if rate(RULES[name].row(**chosen), 1.0) < 0.93:
            found.append(chosen)
    return found


def standard_errors_away(name: str, seed: int) -> Any:
    """Return how far 20 predicted floors lie from Monte-Carlo means, in standard errors, with their sign."""
    settings, shape = drawn_settings(name), (SETTINGS, 1)
    made = RULES[name].row(**{key: np.array([s[key] for s in settings])[:, None] for key in settings[0]})
    row = Row(*(np.broadcast_to(np.asarray(cell, float), shape) for cell in made))
    losses = (
        simulated([row] * 160, np.ones(shape), np.zeros((SETTINGS, CHAINS)), 1.0, [seed, *map(ord, name)])[-1] ** 2 / 2
    )
    floors = np.array([noise_floor(RULES[name].row(**s), 1.0) for s in settings])
    return (losses.mean(axis=1) - floors) / (losses.std(axis=1, ddof=1) / np.sqrt(CHAINS))


@pytest.mark.parametrize("name", RULES)
def test_the_floor_is_what_monte_carlo_finds(name: str) -> None:
    """For 20 random settings the predicted floor lies within 2 standard errors of the mean of 4,000 chains.

    Chance alone puts one true mean in 22 outside, so that a second, independent set of chains may decide; a wrong
    formula would lie outside in both, and would shift the mean of all.
    """
    first, second = standard_errors_away(name, 7), standard_errors_away(name, 8)
    assert (np.minimum(abs(first), abs(second)) <= 2).all(), (first, second)
    assert np.concatenate([first, second]).mean() == pytest.approx(0, abs=0.5)  # 40 of them: 3 of its standard errors
    assert 0.5 < np.concatenate([first, second]).std() < 1.5


CURVES = [
    "sgd:lr=0.015",
    "classical:lr=0.01,mu=0.9",
    "nag:lr=0.01,mu=ramp(0.5,0.95,0.01)",
    "nesterov:lr=cosine(0.012,60),mu=0.8",
    "qhm:lr=0.03,mu=0.9,nu=0.7",
    "heavyball:lr=warmup(0,10,0.02),mu=0.7,tau=0.3",
    "triple:L=120,m=2",
]


@pytest.mark.parametrize("text", CURVES)
def test_the_expected_curve_is_what_monte_carlo_finds(text: str) -> None:
    """At 5 steps the expected loss lies within 3 standard errors of 20,000 noisy runs, schedules included."""
    method, h, chains = parse(text), np.array([[2.0], [100.0]]), 20_000
    start = np.array([[1.5], [0.3]])
    found = simulated([method.row(t) for t in range(60)], h, np.repeat(start, chains, axis=1), 3.0, seed=11)
    curve = expected(method, h[:, 0], start[:, 0], 60, sigma=3.0)
    for t in (1, 3, 10, 25, 60):
        losses = (h * found[t - 1] ** 2 / 2).sum(axis=0)
        error = losses.std(ddof=1) / np.sqrt(chains)
        assert abs(losses.mean() - curve.loss[t]) <= 3 * error, (t, losses.mean(), curve.loss[t], error)


@pytest.mark.parametrize("text", ["sgd:lr=0.015", "nag:lr=0.01,mu=0.8", "ema:lr=0.05,mu=0.7", "triple:L=120,m=2"])
def test_the_curve_ends_at_the_floor(text: str) -> None:
    """After many steps the expected loss is the sum of the floors, and without noise it is the loss of the run itself."""
    method, h = parse(text), [2.0, 100.0]
    floors = sum(noise_floor(method.row(0), each, 0.5) for each in h)
    assert expected(method, h, [1, 1], 2000, 0.5).loss[-1] == pytest.approx(floors, rel=1e-9)
    quiet = expected(method, h, [1.0, 1.0], 30)
    alone = states(method, h, [1.0, 1.0], 30)[:, :, 0]
    assert quiet.loss == pytest.approx((np.array(h) * alone**2 / 2).sum(axis=1), rel=1e-12)
    assert not quiet.spread.any()


@pytest.mark.parametrize("name", RULES)
def test_powers_are_repeated_steps(name: str) -> None:
    """M^t by doubling is the product of t matrices, and the mean growth of a steady method is its rate."""
    settings = drawn_settings(name)[0]
    method = Method(RULES[name], settings)
    M, state = matrices(method.row(0), [0.3, 1.0]), np.array([[1.0, 0.0], [2.0, 0.0]])
    found = states(method, [0.3, 1.0], [1.0, 2.0], 77)
    for t in range(78):
        assert found[t] == pytest.approx(state, rel=1e-9, abs=1e-12)
        state = (M @ state[..., None])[..., 0]
    assert growth(method, [0.3, 1.0], 400) == pytest.approx(rate(method.row(0), np.array([0.3, 1.0])), rel=1e-6)


def test_states_may_begin_at_a_later_step() -> None:
    """Begun at step 10 of a schedule from the state of step 10, the closed form goes on as it did from the start."""
    method = parse("nag:lr=cosine(0.012,60),mu=ramp(0.5,0.95,0.01)")
    whole = states(method, [2.0, 100.0], [1.0, 2.0], 50)
    assert states(method, [2.0, 100.0], whole[10], 40, first=10) == pytest.approx(whole[10:], rel=1e-12)
