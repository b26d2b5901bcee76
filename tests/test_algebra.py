"""What a row implies on a quadratic: the matrix of a step, its poles, its rate, its regime."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from drawn import fractions, rows, seeded
from exact import F, flat_walk, rows_of, vector, walk
from ravine.algebra import (
    critical_mu,
    discriminant,
    effective_lr,
    limit_h,
    plain,
    poles,
    rate,
    regime,
    response,
    step_matrix,
)
from ravine.errors import AlgebraError
from ravine.rules import RULES, Row

LETTERS = Row(*sympy.symbols("keep take move kick look"))
h = sympy.Symbol("h", positive=True)


@seeded
@given(rows, fractions)
def test_step_matrix(row: Row, h: Fraction) -> None:
    """The columns of M(h) are what the real stepper makes of (1, 0) and (0, 1), exactly."""
    columns = []
    for start in ((1, 0), (0, 1)):
        made = walk([row], lambda x: h * x, vector(start[0]), vector(start[1]))
        columns.append((made.xs[1][0], made.vs[1][0]))
    assert step_matrix(row, h) == tuple(zip(*columns, strict=True))


def test_trace_and_determinant() -> None:
    """The trace of M(h) is 1 + a + hb and its determinant a + hc, for any five letters."""
    (p, q), (r, s) = step_matrix(LETTERS, h)
    a, b, c = response(LETTERS)
    assert sympy.expand(p + s - (1 + a + h * b)) == 0
    assert sympy.expand(p * s - q * r - (a + h * c)) == 0
    assert sympy.expand(discriminant(LETTERS, h) - ((p + s) ** 2 - 4 * (p * s - q * r))) == 0


def test_poles_of_letters() -> None:
    """Both poles solve (z - 1)(z - a) = h(bz - c), for any five letters."""
    a, b, c = response(LETTERS)
    for z in poles(LETTERS, h):
        assert sympy.expand((z - 1) * (z - a) - h * (b * z - c)) == 0


@seeded
@given(fractions, fractions, fractions.filter(bool))
def test_poles_of_fractions(one: Fraction, other: Fraction, h: Fraction) -> None:
    """Where both poles are rational they come out as exact fractions."""
    # With keep = take = 1 and look = 0 the trace is 2 + h(move + kick) and the determinant 1 + h·kick.
    kick = (one * other - 1) / h
    row = Row(F(1), F(1), (one + other - 2) / h - kick, kick, F(0))
    assert poles(row, h) == (max(one, other), min(one, other))


floats = st.floats(-2, 2, allow_subnormal=False)


@seeded
@given(st.builds(Row, floats, floats, floats, floats, floats), st.floats(0.01, 10))
def test_rate_is_the_spectral_radius(row: Row, h: float) -> None:
    """The rate is the largest |eigenvalue| of M(h) that LAPACK finds, and the larger |pole|."""
    matrix = np.array(step_matrix(row, h))
    found = np.linalg.eigvals(matrix)
    # LAPACK's eigenvalues are exact for a matrix that is off by some eps·|M|²; where they lie a gap apart they move by
    # that over the gap, and where they meet by its square root.
    slip, gap = 64 * np.finfo(float).eps * max(1, np.linalg.norm(matrix)) ** 2, abs(found[0] - found[1])
    tolerance = slip / max(gap, math.sqrt(slip))
    assert rate(row, h) == pytest.approx(abs(found).max(), rel=0, abs=tolerance)
    assert rate(row, h) == pytest.approx(max(map(abs, poles(row, h))), rel=0, abs=tolerance)


@pytest.mark.parametrize("name", RULES)
def test_rate_of_arrays(name: str) -> None:
    """Rates and poles of many rows and curvatures at once are those of each alone."""
    chosen = {"lr": [0.01, 0.3], "mu": [0.4, 0.95], "nu": [0.2, 0.9], "tau": [0.0, 0.5]}
    chosen |= {"L": [9.0, 20.0], "m": [1.0, 3.0]}
    settings = {k: chosen[k] for k in RULES[name].parameters}
    many = RULES[name].row(**{k: np.array(v)[:, None] for k, v in settings.items()})
    hs = np.array([0.5, 4.0, 9.0])
    each = [RULES[name].row(**{k: v[i] for k, v in settings.items()}) for i in (0, 1)]
    assert rate(many, hs).tolist() == pytest.approx(np.array([[rate(row, h) for h in hs] for row in each]), abs=1e-14)
    for i, pole in enumerate(poles(many, hs)):
        alone = np.array([[poles(row, h)[i] for h in hs] for row in each])
        np.testing.assert_allclose(np.broadcast_to(pole, (2, 3)), alone, rtol=0, atol=1e-14)


def test_complex_rate_is_the_root_of_mu() -> None:
    """Where heavy ball's poles are complex its rate is √mu, not the 2√mu that Goh 2017 prints."""
    for mu in (0.3, 0.81, 0.99):
        assert rate(RULES["heavyball"].row(lr=0.01, mu=mu), 100.0) == pytest.approx(math.sqrt(mu), abs=1e-15)


def test_sutskevers_theorem() -> None:
    """Theorem 2.1 of Sutskever et al. 2013: along curvature h, nag is classical momentum with mu(1 - lr·h)."""
    lr, mu = sympy.symbols("lr mu")
    nag = step_matrix(RULES["nag"].row(lr=lr, mu=mu), h)
    cm = step_matrix(RULES["classical"].row(lr=lr, mu=mu * (1 - lr * h)), h)
    assert sympy.simplify(sympy.Matrix(nag) - sympy.Matrix(cm)) == sympy.zeros(2)


# Acceleration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["classical", "heavyball", "nag", "nesterov", "keras_nesterov"])
@pytest.mark.parametrize(("mu", "gain"), [(F(0), 1), (F(1, 2), 2), (F(9, 10), 10), (F(99, 100), 100)])
def test_acceleration(name: str, mu: Fraction, gain: int) -> None:
    """Momentum makes a lasting gradient's step 1/(1 - mu) times longer: 2, 10 and 100 times for 0.5, 0.9 and 0.99."""
    assert effective_lr(RULES[name].row(lr=F(1, 7), mu=mu)) == F(gain, 7)


@pytest.mark.parametrize(("name", "more"), [("ema", {}), ("qhm", {"nu": F(1, 3)})])
def test_average_does_not_accelerate(name: str, more: dict[str, Fraction]) -> None:
    """An averaged gradient leaves a lasting gradient's step at lr."""
    assert effective_lr(RULES[name].row(lr=F(1, 7), mu=F(9, 10), **more)) == F(1, 7)


@pytest.mark.parametrize("name", [name for name in RULES if name != "triple"])
def test_effective_lr_is_walked(name: str) -> None:
    """Under a gradient that never changes, the real stepper's steps tend to the effective lr, up to mu^t."""
    given = {"lr": F(1, 7), "mu": F(1, 2), "nu": F(1, 3), "tau": F(1, 4)}
    rows = rows_of(name, 40, **{k: given[k] for k in RULES[name].parameters})
    xs = walk(rows, lambda x: 0 * x + 1, vector(3)).xs
    assert abs(xs[-2][0] - xs[-1][0] - effective_lr(rows[0])) <= F(1, 2) ** 39


# Regimes ---------------------------------------------------------------------------------------------------------


def signs(row: Row, h: float, steps: int = 60) -> int:
    """Count how often x changes sign in the second half of a walk from (1, 0)."""
    xs, _ = flat_walk([row] * steps, [h], [1.0])
    x = np.sign(xs[steps // 2 :, 0])
    return int((x[1:] != x[:-1]).sum())


FOUR = ("monotone", "ripples", "oscillating", "diverging")


@pytest.mark.parametrize(
    ("name", "settings", "curvatures", "regimes"),
    [
        ("sgd", {"lr": 0.1}, (9.0, 12.0, 19.9, 20.1), ("monotone", "oscillating", "oscillating", "diverging")),
        ("heavyball", {"lr": 0.1, "mu": 0.5}, (0.5, 5.0, 29.5, 30.5), FOUR),
        ("classical", {"lr": 0.01, "mu": 0.9}, (0.1, 100.0, 379.9, 380.1), FOUR),
        ("nag", {"lr": 0.1, "mu": 0.5}, (0.5, 5.0, 14.5, 15.5), FOUR),
        ("nesterov", {"lr": 0.1, "mu": 0.5}, (0.5, 5.0, 14.5, 15.5), FOUR),
    ],
)
def test_regime(name: str, settings: dict[str, float], curvatures: tuple[float, ...], regimes: tuple[str, ...]) -> None:
    """A regime is what the real stepper shows: no, some or perpetual changes of sign, or growth."""
    row = RULES[name].row(**settings)
    for h, expected in zip(curvatures, regimes, strict=True):
        assert regime(row, h) == expected, h
        assert (abs(flat_walk([row] * 800, [h], [1.0])[0][-1, 0]) > 1) == (expected == "diverging")
        changes = signs(row, h)
        seen = {"monotone": changes == 0, "ripples": 1 <= changes < 30, "oscillating": changes == 30, "diverging": True}
        assert seen[expected], (h, changes)


@pytest.mark.parametrize(("name", "settings"), [("sgd", {"lr": 0.5}), ("heavyball", {"lr": 0.125, "mu": 0.5})])
def test_standing_still_is_diverging(name: str, settings: dict[str, float]) -> None:
    """A rate of exactly 1, on flat ground or at the limit, does not converge and is called diverging."""
    row = RULES[name].row(**settings)
    assert regime(row, 0.0) == "diverging"
    assert regime(row, float(limit_h(row))) == "diverging"


# The closed forms for s = √(lr·h), which is a fraction below; at the critical mu the two poles meet.
CRITICAL: dict[str, Any] = {
    "classical": lambda s: (1 - s) ** 2,
    "heavyball": lambda s: (1 - s) ** 2,
    "nag": lambda s: (1 - s) / (1 + s),
    "nesterov": lambda s: (1 - s) / (1 + s),
    "keras_nesterov": lambda s: (1 - s) / (1 + s),
    "ema": lambda s: ((1 - s**2) / (1 + s**2)) ** 2,
}


@pytest.mark.parametrize("name", CRITICAL)
@pytest.mark.parametrize("s", [F(1, 10), F(1, 2), F(9, 11)])
def test_critical_mu(name: str, s: Fraction) -> None:
    """The critical momentum is its closed form exactly; there the discriminant is 0 and the regime changes."""
    h = F(25)
    mu = critical_mu(name, s**2 / h, h)
    assert isinstance(mu, Fraction)
    assert mu == CRITICAL[name](s)
    assert discriminant(RULES[name].row(lr=s**2 / h, mu=mu), h) == 0
    lr = float(s**2 / h)
    around = [regime(RULES[name].row(lr=lr, mu=float(mu) + d), 25.0) for d in (-1e-3, 0, 1e-3)]
    assert around == ["monotone", "critical", "ripples"]
    assert critical_mu(name, lr, 25.0) == pytest.approx(float(mu), abs=1e-12)
    both = critical_mu(name, np.array([lr, lr / 4]), 25.0)
    assert both == pytest.approx([float(mu), float(critical_mu(name, lr / 4, 25.0))], abs=1e-12)


@pytest.mark.parametrize("nu", [F(1, 3), F(1)])
def test_critical_mu_of_qhm(nu: Fraction) -> None:
    """At qhm's critical momentum, which depends on nu, the poles meet."""
    mu = critical_mu("qhm", 0.01, 20.0, nu=float(nu))
    assert 0 < mu < 1
    assert discriminant(RULES["qhm"].row(lr=0.01, mu=mu, nu=float(nu)), 20.0) == pytest.approx(0, abs=1e-15)


def test_critical_mu_where_there_is_none() -> None:
    """Where no momentum lets the poles meet the answer is NaN, and a rule without mu is refused by name."""
    assert math.isnan(critical_mu("heavyball", F(4, 25), 25))
    assert math.isnan(critical_mu("nag", F(2, 25), 25))
    assert np.isnan(critical_mu("nag", np.array([0.08, 0.01]), 25.0)).tolist() == [True, False]
    for name in ("sgd", "triple"):
        with pytest.raises(AlgebraError, match=f"{name} has no mu; its settings are"):
            critical_mu(name, 0.1, 1.0)


def test_rates_where_both_poles_vanish() -> None:
    """Around lr·h = 1, where nesterov's poles are 0, rounding makes no rate undefined."""
    row = RULES["nesterov"].row(lr=0.07, mu=0.1)
    for h in (1 / 0.07) * (1 + np.linspace(-4e-16, 4e-16, 9)):
        assert 0 <= rate(row, float(h)) < 1e-6


def test_critical_mu_where_lr_times_h_is_one() -> None:
    """nesterov's poles meet at mu = 0 there, and nowhere beyond."""
    assert critical_mu("nesterov", Fraction(1, 100), 100) == 0
    found = critical_mu("nesterov", np.array([0.005, 0.01, 0.02]), 100.0)
    assert found[0] == pytest.approx(0.17157287525381)
    assert found[1] == 0
    assert np.isnan(found[2])


def test_plain_form_under_a_momentum_that_starts_at_zero() -> None:
    """Rows given as arrays may look along nothing at some steps."""
    row = plain(RULES["nag"].row(lr=0.1, mu=np.array([0.0, 0.5])))
    assert np.array_equal(row.move, [1.0, 0.5])
    assert np.array_equal(row.kick, [0.0, -0.1])
