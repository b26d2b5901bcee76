"""Axes of a map: how values are spread, what is no range, and which settings are spread where nobody said."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import seeded
from ravine import algebra
from ravine.axes import Axis, axis, check_size
from ravine.errors import MapError
from ravine.phase import phase_map
from ravine.ranges import rule_of
from ravine.rules import RULES


@pytest.mark.parametrize(
    ("given_as", "values"),
    [
        ("0:1", [0, 0.25, 0.5, 0.75, 1]),
        ((-2.0, 2.0), [-2, -1, 0, 1, 2]),
        ([0, 4], [0, 1, 2, 3, 4]),
        ("1e-4:1:log", [1e-4, 1e-3, 1e-2, 1e-1, 1]),
        (" 1 : 16 : LOG ", [1, 2, 4, 8, 16]),
        ("0:0.9999:near1", [0, 0.9, 0.99, 0.999, 0.9999]),
        ((0, 0.9375, "near1"), [0, 0.5, 0.75, 0.875, 0.9375]),
    ],
)
def test_values_are_spread_evenly_on_their_scale(given_as: object, values: list[float]) -> None:
    """Linear axes go in equal steps, log in equal ratios, near1 in equal ratios of 1 - value; the ends are exact."""
    made = axis("mu", given_as, 5)  # type: ignore[arg-type]
    np.testing.assert_allclose(made.values, values, rtol=1e-14, atol=1e-15)
    assert (made.values[0], made.values[-1]) == (values[0], values[-1])


@seeded
@given(st.sampled_from(["linear", "log", "near1"]), st.floats(1e-6, 0.9), st.floats(1e-6, 0.0999), st.integers(2, 300))
def test_a_place_is_the_cell_of_its_value(scale: str, low: float, width: float, size: int) -> None:
    """The values of an axis rise, and the place of the value of cell i is i, to 1e-6 of a cell."""
    made = Axis("mu", low, low + width, size, scale)
    assert (np.diff(made.values) > 0).all()
    for i in (0, size // 3, size - 1):
        assert made.place(float(made.values[i])) == pytest.approx(i, abs=1e-6)
    between = made.place((low + low + width) / 2)
    assert 0 < between < size - 1


def test_an_axis_stays_what_it_is() -> None:
    """An axis that was made before is taken as it is, and its summary says what it was made of."""
    made = axis("lr", "1e-3:1:log", 7)
    assert axis("lr", made, 7) is made
    assert made.summary() == {"low": 1e-3, "high": 1.0, "size": 7, "scale": "log"}


@pytest.mark.parametrize(
    ("given_as", "words"),
    [
        ("1:0", "runs backwards"),
        ("0.5:0.5", "is empty"),
        ("abc", "lo:hi"),
        ("1", "lo:hi"),
        ("1:2:3:4", "lo:hi"),
        ("1:two", "lo:hi"),
        ("", "lo:hi"),
        (":", "lo:hi"),
        (3.5, "lo:hi"),
        ((1, 2, 3, 4), "lo:hi"),
        ((None, 1), "lo:hi"),
        ({"low": 1}, "lo:hi"),
        ("nan:1", "finite"),
        ("0:nan", "finite"),
        ((math.nan, math.nan), "finite"),
        ("0:inf", "finite"),
        ("-1e999:0", "finite"),
        ("0:1:log", "above 0"),
        ("-1:1:log", "above 0"),
        ("0:1:near1", "below 1"),
        ("0.5:1.5:near1", "below 1"),
        ("0:1:lag", "log"),
    ],
)
def test_what_is_no_range_is_refused(given_as: object, words: str) -> None:
    """A range that is none, empty, backwards, not finite or off its scale is refused with what it was and what to write."""
    with pytest.raises(MapError, match=words):
        axis("mu", given_as, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1, 0, -3, 2.5, True, "ten", None, math.nan])
def test_a_size_is_a_whole_number_from_two(size: object) -> None:
    """A map has at least two cells a side, and a whole number of them."""
    with pytest.raises(MapError, match="from 2 to 5000"):
        check_size(size)  # type: ignore[arg-type]
    with pytest.raises(MapError, match="from 2 to 5000"):
        phase_map("bowl", size=size)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "memory"), [(5001, "350 MB"), (100_000, "140 GB"), (10**6, "14 TB"), (10**30, "PB")])
def test_a_size_beyond_memory_is_refused_with_what_it_would_take(size: int, memory: str) -> None:
    """Too many cells are refused before anything is made, with the memory that 14 bytes a cell would take."""
    with pytest.raises(MapError, match=memory):
        phase_map("bowl", size=size)


def test_sizes_that_fit_are_allowed() -> None:
    """Two cells a side and 5000 are allowed, NumPy's whole numbers too."""
    for size in (2, 5000, np.int64(7)):
        check_size(size)  # type: ignore[arg-type]


# Which settings, and how far -------------------------------------------------------------------------------------

SURFACES = ["x^2 + 50y^2", "x^2 + x*y + 25y^2", "spectrum(0.3,300,angle=20)", "3x^2 + 4y^2"]


@pytest.mark.parametrize("text", SURFACES)
@pytest.mark.parametrize("name", list(RULES))
def test_ranges_that_nobody_gave_hold_what_matters(text: str, name: str) -> None:
    """The chosen ranges hold the optimum and, for some momentum at least, the limit of lr."""
    found = phase_map(text, name, size=3, show="predicted")
    assert found.theory is not None
    assert found.theory.optimum is not None
    for each in (found.x, found.y):
        if each.name in found.theory.optimum:
            assert each.low <= found.theory.optimum[each.name] <= each.high
    if name == "triple":
        assert (found.x.name, found.y.name) == ("L", "m")
        return
    assert (found.x.name, found.y.name) == ("lr", "mu")
    assert (found.y.low, found.y.high) == (0, 0.99)
    fixed = {key: value for key, value in found.fixed.items() if key in RULES[name].parameters}
    momenta = np.linspace(0, 0.99, 34) if "mu" in RULES[name].parameters else [None]
    limits = [
        algebra.limit_lr(name, found.theory.curvatures.max(), **fixed, **({} if mu is None else {"mu": float(mu)}))
        for mu in momenta
    ]
    assert any(found.x.low < limit < found.x.high for limit in limits)
    # No more than a sixth of a linear axis lies where nothing is stable.
    assert max(limits) > found.x.high / 1.2


@pytest.mark.parametrize(
    ("rule", "options", "names", "fixed"),
    [
        ("classical", {}, ("lr", "mu"), {}),
        ("sgd", {}, ("lr", "mu"), {}),
        ("qhm", {}, ("lr", "mu"), {"nu": 0.7}),
        ("qhm:nu=0.4", {}, ("lr", "mu"), {"nu": 0.4}),
        ("qhm:mu=0.9", {}, ("lr", "nu"), {"mu": 0.9}),
        ("qhm:lr=0.02", {}, ("nu", "mu"), {"lr": 0.02}),
        ("qhm:mu=0.9", {"axes": {"nu": (0.2, 0.8)}}, ("lr", "nu"), {"mu": 0.9}),
        ("qhm:lr=0.02", {"axes": {"nu": (0.2, 0.8)}, "mu": (0, 0.5)}, ("nu", "mu"), {"lr": 0.02}),
        ("heavyball", {}, ("lr", "mu"), {"tau": 0}),
        ("heavyball:mu=0.9", {"axes": {"tau": "0:0.5"}}, ("lr", "tau"), {"mu": 0.9}),
        ("triple", {}, ("L", "m"), {}),
        ("triple", {"axes": {"m": "0.1:2"}}, ("m", "L"), {}),  # who was named stands across
    ],
)
def test_which_settings_are_spread(
    rule: str, options: dict[str, object], names: tuple[str, str], fixed: dict[str, float]
) -> None:
    """Two settings are spread, lr across where it is one; the others are fixed, by the user, by default or as advised."""
    found = phase_map("bowl", rule, size=3, show="predicted", **options)  # type: ignore[arg-type]
    assert (found.x.name, found.y.name) == names
    assert dict(found.fixed) == fixed
    chosen = rule == "qhm"
    assert any("nu was not given" in note for note in found.notes) == chosen


@pytest.mark.parametrize(
    ("rule", "wanted", "words"),
    [
        ("classical", {"nu": "0:1"}, "classical has no nu; its settings are lr, mu"),
        ("triple", {"lr": "0:1"}, "triple has no lr; its settings are L, m"),
        ("sgd", {"tau": "0:1"}, "sgd has no tau"),
        ("classical:lr=0.1", {"lr": "0:1"}, "lr is both fixed and an axis"),
        ("qhm:nu=0.5", {"nu": "0:1"}, "nu is both fixed and an axis"),
        ("qhm", {"lr": "0:1", "mu": "0:0.9", "nu": "0:1"}, "two axes, got lr, mu, nu"),
        ("classical:mu=0.9", {}, "two axes, and classical has 1 free"),
        ("classical:lr=0.1,mu=0.9", {}, "two axes"),
        ("classical:beta=0.9", {}, "no setting 'beta'"),
        (7, {}, "a map is of a rule"),
    ],
)
def test_axes_that_do_not_fit_the_rule_are_refused(rule: object, wanted: dict[str, str], words: str) -> None:
    """Unknown, doubled, too many and too few axes are refused, each with what is there."""
    with pytest.raises(ValueError, match=words):
        rule_of(rule, wanted)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=words):
        phase_map("bowl", rule, axes=wanted, size=3, show="predicted")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "options", "words"),
    [
        ("classical", {"mu": "0:1"}, "mu must be from 0 to below 1, got 1; the ranges are lr 0:.* and mu 0:1"),
        ("classical", {"mu": "-0.1:0.9"}, "mu must be from 0 to below 1, got -0.1"),
        ("classical", {"lr": "-1:1"}, "lr must be 0 or more, got -1"),
        ("triple", {"axes": {"L": "1:2", "m": "1.5:3"}}, "m, the smallest curvature, must not be above L"),
        ("heavyball:mu=0.5", {"axes": {"tau": "0:2"}}, "tau must be from 0 to 1, got 2"),
    ],
)
def test_ranges_with_values_that_are_not_allowed_are_refused(rule: str, options: dict[str, object], words: str) -> None:
    """A range of which one end is not allowed for the rule is refused, naming the setting and the ranges."""
    with pytest.raises(MapError, match=words):
        phase_map("bowl", rule, size=3, show="predicted", **options)  # type: ignore[arg-type]


def test_no_lr_can_be_chosen_without_a_minimum() -> None:
    """Where no minimum is known the range of lr must be given; with it the map is made."""
    with pytest.raises(MapError, match="no range of lr can be chosen; write"):
        phase_map("x^2 - y^2", "classical", size=3, show="value")
