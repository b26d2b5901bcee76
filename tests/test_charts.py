"""Charts: other letters for the same rows, against what their papers print."""

from typing import Any

import numpy as np
import pytest

from conversions import apart, asked, drawn, gradient, stacked
from ravine.convert import convert
from ravine.errors import RuleError
from ravine.rules import Method

ROUNDING = 1e-12  # of the largest coordinate, after fifty steps


def rows_of(made: list[Method]) -> Any:
    """Return what steps these methods at once."""
    rows = stacked([method.row() for method in made])
    return lambda t: rows


START = np.random.default_rng(7).uniform(-2, 2, (5, 1))


def by_pid(kp: float, ki: float, kd: float) -> list[Any]:
    """Run the controller: e = -g, its sum, its smoothed differences with the filter kd/(kd - kp)."""
    keep, x, total, smooth, before, points = kd / (kd - kp), START, 0 * START, 0 * START, 0 * START, []
    for _ in range(50):
        points.append(x)
        e = -gradient(x)
        total, smooth, before = total + e, keep * smooth + (1 - keep) * (e - before), e
        x = START + kp * e + ki * total + kd * smooth
    return points


def by_snv(alpha: float, beta1: float, beta2: float) -> list[Any]:
    """Run x' = (1 + beta1)·x - beta1·x_before - alpha·∇f((1 + beta2)·x - beta2·x_before)."""
    x, before, points = START, START, []
    for _ in range(50):
        points.append((1 + beta2) * x - beta2 * before)
        x, before = (1 + beta1) * x - beta1 * before - alpha * gradient(points[-1]), x
    return points


def by_robust(L: float, kappa: float, rho: float) -> list[Any]:
    """Run robust momentum by its three formulas."""
    slow = (1 - rho) ** 2 * (1 + rho)
    return by_snv(kappa * slow / L, kappa * rho**3 / (kappa - 1), rho**3 / ((kappa - 1) * slow))


def by_accsgd(delta: float, kappa: float, xi: float, eps: float = 0.7) -> list[Any]:
    """Run a long step beside the short one, and mix both."""
    beta = eps**2 * xi / kappa
    x, slow, points = START, START, []
    for _ in range(50):
        points.append(x)
        g = gradient(x)
        slow = beta * ((1 / beta - 1) * slow + x - delta * kappa / eps * g)
        part = eps / (eps + beta)
        x = part * (x - delta * g) + (1 - part) * slow
    return points


@pytest.mark.parametrize(
    ("name", "direct"), [("pid", by_pid), ("snv", by_snv), ("robust", by_robust), ("accsgd", by_accsgd)]
)
def test_charts_are_the_published_updates(name: str, direct: Any) -> None:
    """Each chart asks where the update of its paper asks, written out by itself."""
    rng = np.random.default_rng(11)
    made = [drawn(name, rng) for _ in range(50)]
    points, _ = asked(rows_of(made), 50)
    theirs = np.stack([np.array(direct(**method.settings))[:, :, 0] for method in made], axis=-1)
    assert apart(points, theirs) < ROUNDING


def test_pid_with_the_signs_exchanged_is_qhm_with_negative_nu() -> None:
    """A positive proportional and a negative derivative gain are nu below 0, by the same formulas."""
    found = convert("pid:kp=0.05,ki=0.03,kd=-0.2", "qhm")
    assert found.target.settings["nu"] < 0  # type: ignore[operator]
    points, _ = asked(rows_of([found.target]), 1)
    assert apart(points, np.array(by_pid(0.05, 0.03, -0.2))) < ROUNDING


def test_robust_momentum_keeps_its_promise() -> None:
    """Its rate over curvatures from L/kappa to L is rho at most, and at rho = 1 - 1/kappa it is gradient descent by 1/L."""
    from ravine.algebra import rate

    rng = np.random.default_rng(2)
    for _ in range(50):
        method = drawn("robust", rng)
        L, kappa, rho = method.settings.values()
        h = np.geomspace(L / kappa, L, 200)  # type: ignore[operator]
        assert float(np.max(rate(method.row(), h))) <= rho + 1e-9  # type: ignore[operator]
    assert str(convert("robust:L=10,kappa=4,rho=0.75", "sgd").target) == "sgd:lr=0.1"


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("pid:kp=0.1,ki=1,kd=3", "opposite signs"),
        ("pid:kp=0,ki=1,kd=3", "other than 0"),
        ("robust:L=1,kappa=10,rho=0.1", "rho must lie from 1 - 1/√kappa"),
        ("robust:L=1,kappa=0.5,rho=0.1", "kappa above 1"),
        ("accsgd:delta=1,kappa=1,xi=9", "at least eps²·xi"),
        ("snv:alpha=1,beta1=1,beta2=0", "beta1 must be from 0 to below 1"),
    ],
)
def test_charts_refuse_settings_that_do_not_fit(text: str, word: str) -> None:
    """A chart says which settings it allows."""
    with pytest.raises(RuleError, match=word):
        convert(text, "qhm")
