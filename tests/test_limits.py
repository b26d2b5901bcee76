"""Where a rule stops being stable: closed forms against bisection on the real spectral radius."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given

from drawn import fractions, rows, seeded
from exact import F
from ravine.algebra import limit_h, limit_lr, limit_mu, margin, rate, step_matrix
from ravine.errors import AlgebraError
from ravine.rules import RULES, Row


def radius(row: Row, h: float) -> float:
    """Return the spectral radius of the matrix of a step, by LAPACK."""
    return float(abs(np.linalg.eigvals(np.array(step_matrix(row, h), float))).max())


def bisect(stable: Callable[[float], bool]) -> float:
    """Return where a condition that holds just above 0 ceases to hold."""
    low = 1e-6
    assert stable(low)
    high = low
    while stable(high):
        low, high = high, 2 * high
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low


ROWS: list[tuple[str, dict[str, float], float]] = [
    ("sgd", {}, 1e-9),
    *[(name, {"mu": mu}, 1e-9) for name in ("classical", "heavyball", "nag") for mu in (0.0, 0.1, 0.9, 0.99)],
    *[(name, {"mu": mu}, 1e-9) for name in ("nesterov", "keras_nesterov", "ema") for mu in (0.3, 0.95)],
    ("heavyball", {"mu": 0.8, "tau": 0.4}, 1e-9),
    *[("qhm", {"mu": 0.9, "nu": nu}, 1e-9) for nu in (-0.5, 0.0, 0.3, 0.7, 1.0, 1.5)],
]


@pytest.mark.parametrize(("name", "settings", "tolerance"), ROWS)
def test_limit_is_where_the_radius_is_one(name: str, settings: dict[str, float], tolerance: float) -> None:
    """The limit of lr, for a given curvature, and of the curvature, for a given lr, are where the radius passes 1."""
    found = bisect(lambda lr: radius(RULES[name].row(lr=lr, **settings), 7.0) < 1)
    assert limit_lr(name, 7.0, **settings) == pytest.approx(found, rel=tolerance)
    row = RULES[name].row(lr=0.05, **settings)
    assert limit_h(row) == pytest.approx(bisect(lambda h: radius(row, h) < 1), rel=tolerance)


@pytest.mark.parametrize("m", [0.02, 0.3, 1.0])
def test_limit_of_triple_momentum(m: float) -> None:
    """Triple momentum is stable from 0 to beyond the curvature that it was made for."""
    row = RULES["triple"].row(L=1.0, m=m)
    assert limit_h(row) == pytest.approx(bisect(lambda h: radius(row, h) < 1), rel=1e-9)
    assert limit_h(row) > 1


@seeded
@given(rows)
def test_limit_of_any_row(row: Row) -> None:
    """Any row whose buffer forgets is stable below its limit and not above; a limit of 0 means nowhere."""
    if abs(row.keep) >= 1:
        row = row._replace(keep=row.keep / 3)
    limit = limit_h(row)
    if limit == 0:
        assert all(rate(row, h) >= 1 - 1e-12 for h in (1e-3, 0.1, 1, 10))
        return
    inside = min(limit, 1000)
    assert all(rate(row, inside * part) < 1 for part in (F(1, 100), F(1, 2), F(99, 100)))
    if limit != np.inf:
        assert rate(row, limit * F(101, 100)) > 1


@pytest.mark.parametrize("seed", range(40))
def test_limit_of_random_rows_by_bisection(seed: int) -> None:
    """The limit of five random numbers that stand in no table is where the spectral radius passes 1, to 1e-9."""
    rng = np.random.default_rng(seed)
    while True:
        row = Row(*rng.uniform((-0.95, -2, -2, -2, -2), (0.95, 2, 2, 2, 2)).tolist())
        limit = limit_h(row)
        if 0.01 < limit < 1e4:
            break
    assert limit == pytest.approx(bisect(lambda h: radius(row, h) < 1), rel=1e-9)


@seeded
@given(rows, fractions)
def test_the_margin_is_positive_where_it_is_stable(row: Row, h: Fraction) -> None:
    """The margin is positive, zero or negative as the spectral radius is below, at or above 1; arrays as numbers."""
    found = margin(row, h)
    assert isinstance(found, Fraction)
    size = radius(row, float(h))
    assert (found > 0) == (size < 1) or abs(size - 1) < 1e-6
    many = margin(Row(*(np.array([float(cell)] * 2) for cell in row)), np.array([[float(h)], [0.0]]))
    assert many.shape == (2, 2)
    assert many[0] == pytest.approx([float(found)] * 2, abs=1e-12)
    assert (many[1] <= 0).all()


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if "mu" in rule.parameters])
@pytest.mark.parametrize("lr", [0.3, 0.9, 1.4, 2.6, 3.5])
def test_limit_of_mu(name: str, lr: float) -> None:
    """The momenta that are stable at a given lr are those that a grid of spectral radii finds stable."""
    others = {"nu": 0.7} if name == "qhm" else {}
    found = limit_mu(name, 1.0, lr=lr, **others)
    grid = (np.arange(400) + 0.5) / 400
    stable = np.array([radius(RULES[name].row(lr=lr, mu=mu, **others), 1.0) < 1 for mu in grid])
    inside = (found[0] < grid) & (grid < found[1]) if found else np.zeros(400, bool)
    assert (inside == stable).all()


mu, nu, tau = sympy.symbols("mu nu tau", positive=True)
lr, h = sympy.symbols("lr h", positive=True)

# The published closed forms, times h; for tau, nu: from the same inequality by hand.
CLOSED: list[tuple[str, dict[str, Any], Callable[..., Any]]] = [
    ("sgd", {}, lambda: 2),
    ("classical", {"mu": mu}, lambda mu: 2 * (1 + mu)),
    ("heavyball", {"mu": mu}, lambda mu: 2 * (1 + mu)),
    ("heavyball", {"mu": mu, "tau": tau}, lambda mu, tau: 2 * (1 + mu) / (1 - tau)),
    ("nag", {"mu": mu}, lambda mu: 2 * (1 + mu) / (1 + 2 * mu)),
    ("nesterov", {"mu": mu}, lambda mu: 2 * (1 + mu) / (1 + 2 * mu)),
    ("keras_nesterov", {"mu": mu}, lambda mu: 2 * (1 + mu) / (1 + 2 * mu)),
    ("ema", {"mu": mu}, lambda mu: 2 * (1 + mu) / (1 - mu)),
    ("qhm", {"mu": mu, "nu": nu}, lambda mu, nu: 2 * (1 + mu) / (1 + mu - 2 * mu * nu)),
]


@pytest.mark.parametrize(("name", "letters", "closed"), CLOSED)
def test_limit_in_closed_form(name: str, letters: dict[str, Any], closed: Callable[..., Any]) -> None:
    """On fractions and on letters the limit is the published closed form, exactly."""
    for some in ((F(9, 10), F(1, 3)), (F(1, 2), F(3, 4)), (F(0), F(1))):
        values = dict(zip(letters, some, strict=False))
        if values.get("tau") == 1:  # then no gradient ever comes in
            continue
        assert limit_lr(name, F(100), **values) == closed(**values) / F(100)
        assert isinstance(limit_lr(name, F(100), **values), Fraction)
        assert limit_h(RULES[name].row(lr=F(1, 100), **values)) == closed(**values) * 100
    assert sympy.simplify(limit_lr(name, h, **letters) * h - closed(**letters)) == 0
    assert sympy.simplify(limit_h(RULES[name].row(lr=lr, **letters)) * lr - closed(**letters)) == 0


def test_golden_limits() -> None:
    """The limits of the blog post's bowl, of curvature 100, are the golden figures."""
    heavy = [limit_lr("heavyball", 100, mu=mu) for mu in (0.1, 0.5, 0.9, 0.99)]
    assert heavy == pytest.approx([0.022, 0.030, 0.038, 0.0398], rel=1e-14)
    for name in ("nag", "nesterov"):
        found = [limit_lr(name, 100, mu=mu) for mu in (0.1, 0.5, 0.9, 0.99)]
        assert found == pytest.approx([0.018333, 0.015, 0.0135714, 0.0133557], abs=5e-7)


def test_limit_of_arrays() -> None:
    """Limits of many rows at once are those of each alone."""
    many = limit_lr("nag", 4.0, mu=np.array([[0.0, 0.5], [0.9, 0.99]]))
    assert many.shape == (2, 2)
    each = [limit_lr("nag", 4.0, mu=mu) for mu in (0.0, 0.5, 0.9, 0.99)]
    assert many.ravel().tolist() == pytest.approx(each, rel=1e-15)
    rows = RULES["heavyball"].row(lr=np.array([0.1, 0.01]), mu=0.5)
    assert limit_h(rows).tolist() == pytest.approx([30, 300], rel=1e-14)


def test_no_limit() -> None:
    """Without lr in the rule there is no limit of it, and the error names the settings there are."""
    with pytest.raises(AlgebraError, match="triple has no lr; its settings are L, m"):
        limit_lr("triple", 1.0)
    assert limit_h(RULES["sgd"].row(lr=0.0)) == 0
    assert limit_h(Row(0.5, 1, 0.1, 0, 0)) == 0  # uphill
