"""The best settings for a spectrum: theorems where there are any, else a search held against theorems."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from exact import F
from ravine.algebra import Optimum, optimum, rate
from ravine.errors import AlgebraError
from ravine.rules import RULES, Rule

# Where two poles meet, as they do at both ends of an optimum, rounding of eps moves the rate by √eps.
MEETING = 4e-8


def worst(name: str, settings: Any, h_min: float, h_max: float) -> Any:
    """Return the largest rate over the two ends and 400 curvatures between them."""
    row = RULES[name].row(**settings)
    return np.max([rate(row, h) for h in np.geomspace(h_min, h_max, 402)], axis=0)


@pytest.mark.parametrize(
    ("name", "settings", "best", "digits"),
    [
        ("sgd", {"lr": 0.0196078}, 0.960784, 5e-7),
        ("heavyball", {"lr": 0.0307020944, "mu": 0.5658068165}, 0.7522013138, 5e-11),
        ("classical", {"lr": 0.0307020944, "mu": 0.5658068165}, 0.7522013138, 5e-11),
        ("nesterov", {"lr": 0.0132450, "mu": 0.7200488}, 0.8372423, 5e-8),
        ("keras_nesterov", {"lr": 0.0132450, "mu": 0.7200488}, 0.8372423, 5e-8),
        ("nag", {"lr": 0.0132450, "mu": 0.7200488}, 0.8372423, 5e-8),
    ],
)
def test_golden(name: str, settings: dict[str, float], best: float, digits: float) -> None:
    """For the blog post's bowl, of curvatures 2 and 100, the optima are the golden figures."""
    found = optimum(name, 2.0, 100.0)
    assert found.settings == pytest.approx(settings, rel=0, abs=digits)
    assert found.rate == pytest.approx(best, rel=0, abs=digits)


@pytest.mark.parametrize(
    ("name", "ends", "expected"),
    [
        ("sgd", (F(1), F(9)), Optimum({"lr": F(1, 5)}, F(4, 5))),
        ("heavyball", (F(1), F(4)), Optimum({"lr": F(4, 9), "mu": F(1, 9)}, F(1, 3))),
        ("classical", (F(4), F(100)), Optimum({"lr": F(1, 36), "mu": F(4, 9)}, F(2, 3))),
        ("ema", (F(1), F(4)), Optimum({"lr": F(1, 2), "mu": F(1, 9)}, F(1, 3))),
        ("nesterov", (F(1), F(5)), Optimum({"lr": F(1, 4), "mu": F(1, 3)}, F(1, 2))),
        ("nag", (F(2), F(42)), Optimum({"lr": F(4, 128), "mu": F(3, 5)}, F(3, 4))),
    ],
)
def test_theorem(name: str, ends: tuple[Fraction, Fraction], expected: Optimum) -> None:
    """On fractions Polyak's and Lessard, Recht and Packard's optima come out exactly."""
    found = optimum(name, *ends)
    assert (dict(found.settings), found.rate) == (dict(expected.settings), expected.rate)
    assert all(isinstance(value, Fraction) for value in (*found.settings.values(), found.rate))


@pytest.mark.parametrize("name", ["sgd", "classical", "heavyball", "ema", "nesterov", "keras_nesterov", "nag"])
@pytest.mark.parametrize("k", [1.5, 50.0, 1e4])
def test_no_neighbour_is_better(name: str, k: float) -> None:
    """The rate of an optimum is the worst over the whole spectrum, and no settings near it or far from it do better."""
    found = optimum(name, 2.0, 2 * k)
    assert worst(name, found.settings, 2.0, 2 * k) == pytest.approx(found.rate, rel=0, abs=MEETING)
    rng = np.random.default_rng(1)
    away = 10.0 ** rng.uniform(-6, 0, (2, 400)) * rng.choice([-1, 1], (2, 400))
    others = {"lr": found.settings["lr"] * np.exp(away[0])}
    if "mu" in found.settings:
        others["mu"] = 1 - (1 - found.settings["mu"]) * np.exp(away[1])
    assert (worst(name, others, 2.0, 2 * k) >= found.rate - MEETING).all()


def test_search_of_qhm() -> None:
    """Searched, qhm reaches Polyak's rate, and nothing of its form can do better."""
    found = optimum("qhm", 2.0, 100.0)
    assert found.rate == pytest.approx(optimum("heavyball", 2.0, 100.0).rate, rel=0, abs=1e-6)
    assert worst("qhm", found.settings, 2.0, 100.0) == pytest.approx(found.rate, rel=0, abs=1e-6)


def test_search_of_triple() -> None:
    """Searched, triple momentum is at least as fast on quadratics as its theorem promises for convex functions."""
    promised = 1 - 1 / math.sqrt(50)
    assert worst("triple", {"L": 100.0, "m": 2.0}, 2.0, 100.0) <= promised + MEETING
    found = optimum("triple", 2.0, 100.0)
    assert optimum("heavyball", 2.0, 100.0).rate - MEETING <= found.rate <= promised
    assert worst("triple", found.settings, 2.0, 100.0) == pytest.approx(found.rate, rel=0, abs=1e-6)


@pytest.mark.parametrize("name", ["sgd", "heavyball", "nesterov"])
def test_search_meets_the_theorem(name: str) -> None:
    """A rule that is not known by name is searched, and the search ends where the theorem says."""
    own = Rule("own", RULES[name].row if name != "heavyball" else RULES["classical"].row, "", "")
    found, theorem = optimum(own, 2.0, 100.0), optimum(name, 2.0, 100.0)
    assert found.rate == pytest.approx(theorem.rate, rel=0, abs=MEETING)
    assert found.settings == pytest.approx(theorem.settings, rel=1e-5)


@pytest.mark.parametrize("k", [1.01, 10, 1e3, 1e6])
def test_order(k: float) -> None:
    """Polyak's optimum is the fastest on quadratics, then Nesterov's, then gradient descent's; all are below 1."""
    rates = [optimum(name, 1.0, k).rate for name in ("heavyball", "nesterov", "sgd")]
    assert 0 < rates[0] < rates[1] < rates[2] < 1


@pytest.mark.parametrize("ends", [(0.0, 1.0), (-1.0, 1.0), (2.0, 1.0), (1.0, math.inf), (math.nan, 1.0)])
def test_no_optimum(ends: tuple[float, float]) -> None:
    """A saddle, a flat direction or an empty spectrum has no optimum, and the error repeats the ends."""
    with pytest.raises(AlgebraError, match=f"0 < h_min <= h_max, got {ends[0]} and {ends[1]}"):
        optimum("heavyball", *ends)


def test_unknown_settings_are_not_searched() -> None:
    """A setting of one's own has no range to search, and the error names it."""
    own = Rule("own", lambda lr, beta: RULES["heavyball"].row(lr=lr, mu=beta), "", "")
    with pytest.raises(AlgebraError, match="optimum of own is not searched over beta"):
        optimum(own, 1.0, 2.0)


@pytest.mark.parametrize("k", [1.0, 1.0001, 1.01, 1.5, 400.0])
def test_a_searched_optimum_is_no_worse_than_one_it_contains(k: float) -> None:
    """qhm with nu = 1 is ema, so its optimum has at most ema's rate, whatever the condition number."""
    assert optimum("qhm", 1.0, k).rate <= optimum("ema", 1.0, k).rate * (1 + 1e-9) + 1e-12


FIXED: list[tuple[str, dict[str, float]]] = [
    ("sgd", {}),
    ("heavyball", {"mu": 0.3}),
    ("heavyball", {"mu": 0.9}),
    ("heavyball", {"tau": 0.3}),
    ("heavyball", {"lr": 0.01}),
    (
        "classical",
        {
            "mu": 0.8,
        },
    ),
    ("ema", {"mu": 0.9}),
    ("nag", {"mu": 0.9}),
    ("nesterov", {"lr": 0.005}),
    ("keras_nesterov", {"mu": 0.2}),
    ("qhm", {"nu": 0.7}),
    ("qhm", {"nu": 0.7, "mu": 0.9}),
    ("qhm", {"nu": 1.4}),
    ("triple", {"L": 100.0}),
]


@pytest.mark.parametrize(("name", "fixed"), FIXED, ids=str)
def test_nothing_on_a_grid_beats_an_optimum_with_settings_held(name: str, fixed: dict[str, float]) -> None:
    """With some settings held, no point of a fine grid of the others is better, and the held ones are returned."""
    found = optimum(name, 2.0, 100.0, **fixed)
    assert {key: found.settings[key] for key in fixed} == fixed
    assert worst(name, found.settings, 2.0, 100.0) == pytest.approx(found.rate, rel=0, abs=MEETING)
    lines = {"lr": np.geomspace(1e-4, 1, 1201), "mu": 1 - np.geomspace(1e-3, 1, 601), "m": np.geomspace(0.1, 50, 1201)}
    free = {key: line for key, line in lines.items() if key in RULES[name].parameters and key not in fixed}
    grid = dict(zip(free, np.meshgrid(*free.values(), indexing="ij"), strict=True))
    row = RULES[name].row(**{**fixed, **grid})
    best = float(np.min(np.maximum(rate(row, 2.0), rate(row, 100.0))))
    assert found.rate - MEETING <= best <= found.rate + 0.01


def test_all_settings_held() -> None:
    """With every setting held there is nothing to choose: the settings come back with their rate."""
    found = optimum("classical", 2.0, 100.0, lr=0.01, mu=0.9)
    assert found.settings == {"lr": 0.01, "mu": 0.9}
    assert found.rate == pytest.approx(math.sqrt(0.9), rel=1e-15)


def test_polyak_with_a_held_factor_is_exact() -> None:
    """On fractions heavyball with dampening is Polyak's optimum with lr/(1 - tau), and with mu held lr is exact."""
    assert optimum("heavyball", F(1), F(4), tau=F(1, 3)).settings == {"lr": F(2, 3), "mu": F(1, 9), "tau": F(1, 3)}
    assert optimum("ema", F(1), F(4), mu=F(1, 2)).settings["lr"] == F(6, 5)


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"beta": 0.9}, "no setting 'beta' to hold"),
        ({"mu": 1.0}, "mu must be from 0 to below 1"),
        ({"tau": 1}, "tau=1"),
    ],
)
def test_a_setting_that_cannot_be_held(fixed: dict[str, float], words: str) -> None:
    """A held setting that the rule has not, or a value out of range, is refused in one sentence."""
    with pytest.raises(AlgebraError, match=words):
        optimum("heavyball", 1.0, 2.0, **fixed)
