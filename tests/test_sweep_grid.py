"""The grid of a sweep: ranges, lists, and what is refused."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import RavineError, SweepError
from ravine.rules import parse
from ravine.sweep.grid import axis_of, grid, seeds_of, split
from ravine.sweep.halving import Halved, halve, rungs_of

VALUES = st.floats(1e-6, 1e6)


@given(VALUES, VALUES, st.integers(2, 40), st.sampled_from(["log", "linear"]))
def test_a_range_has_so_many_values_between_its_ends(a: float, b: float, count: int, scale: str) -> None:
    """`lo:hi:n:scale` gives rising values whose first and last are lo and hi, evenly spread to six digits."""
    low, high = sorted((a, b))
    if high < low * 1.01:
        high = low * 2
    axis = axis_of("lr", f"{low!r}:{high!r}:{count}:{scale}")
    values = np.array(axis.values)
    assert (values[0], values[-1], len(values)) == (low, high, count)
    assert (np.diff(values) > 0).all()
    exact = np.geomspace(low, high, count) if scale == "log" else np.linspace(low, high, count)
    np.testing.assert_allclose(values, exact, rtol=1e-5)


@given(st.lists(st.floats(0, 0.999), min_size=1, max_size=8, unique=True))
def test_a_list_is_its_numbers(values: list[float]) -> None:
    """A list with commas gives exactly its numbers, in their order."""
    assert axis_of("mu", ",".join(map(repr, values))).values == tuple(values)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_in_a_sentence(text: str) -> None:
    """Whatever is typed gives values or one error of ours, never another exception."""
    with suppress(RavineError):
        assert axis_of("lr", text).values


def test_mu_is_spread_towards_1() -> None:
    """A range of mu is even in log(1 - mu), one of lr in log(lr), one of nu in nu."""
    mu = 1 - np.array(axis_of("mu", "0:0.99:5").values)
    np.testing.assert_allclose(mu[1:] / mu[:-1], 10**-0.5, rtol=1e-5)
    assert axis_of("lr", "0.01:1:3").values == (0.01, 0.1, 1.0)
    assert axis_of("nu", "0:1:3").values == (0.0, 0.5, 1.0)


def test_values_may_be_schedules() -> None:
    """Commas within parentheses belong to a schedule."""
    assert split("cosine(0.1,500),0.2") == ["cosine(0.1,500)", "0.2"]
    made = grid("heavyball", {"lr": "cosine(0.1,500),0.2", "mu": "0.9"})
    assert [str(method) for method in made.cells] == [
        "heavyball:lr=cosine(0.1,500),mu=0.9",
        "heavyball:lr=0.2,mu=0.9",
    ]


def test_a_cell_is_its_text() -> None:
    """Every cell of a grid reads back from its text as itself, so that rows can be found again."""
    made = grid("qhm:nu=0.7", {"lr": "1e-4:1:12", "mu": "0:0.999:9"}, seeds=3)
    assert len(made.runs) == len(set(made.keys)) == 12 * 9 * 3
    assert [str(parse(text)) for text, _ in made.keys] == [text for text, _ in made.keys]
    assert {parse(text).settings["lr"] for text, _ in made.keys} == set(made.axes[0].values)


@pytest.mark.parametrize(
    ("rule", "axes", "words"),
    [
        ("heavyball", {"lr": "1e-4:1"}, "lo:hi:n"),
        ("heavyball", {"lr": "1e-4:1:1"}, "from 2"),
        ("heavyball", {"lr": "1:1e-4:5"}, "runs backwards"),
        ("heavyball", {"lr": "0:1:5:log"}, "above 0"),
        ("heavyball", {"lr": "0:1:5:wide"}, "no scale"),
        ("heavyball", {"lr": "a,b"}, "the list of lr"),
        ("heavyball", {"lr": "0.1,,0.2"}, "the list of lr"),
        ("heavyball", {"lr": "-1,0.1"}, "0 or more"),
        ("heavyball", {"mu": "0,1.5"}, "below 1"),
        ("heavyball", {"lr": "1e-4:1:99999999"}, "from 2 to 5000"),
        ("heavyball", {"lr": "1e-4:1:5000", "mu": "0:0.9:5000"}, "trainings"),
        ("heavyball:mu=0.9", {"mu": "0,0.9"}, "both fixed and an axis"),
        ("qhm", {}, "qhm needs nu"),
        ("sgd", {"mu": "0,0.9"}, "no setting 'mu'"),
        ("hevyball", {}, "did you mean 'heavyball'"),
        ("heavyball", {"lr": []}, "the values of lr"),
        ("heavyball", {"lr": "cosine(0.1)"}, "the list of lr"),
    ],
)
def test_what_is_no_grid_is_refused(rule: str, axes: dict[str, object], words: str) -> None:
    """Bad input to a grid is one sentence that says what is allowed."""
    with pytest.raises(RavineError) as caught:
        grid(rule, axes)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seeds", [0, -1, True, [], [1.5, "x"], "a", 10**12])
def test_what_are_no_seeds_is_refused(seeds: object) -> None:
    """Seeds are a number or a list of whole numbers."""
    with pytest.raises(SweepError):
        seeds_of(seeds)  # type: ignore[arg-type]


class Known:
    """Trainings whose loss is known: training i has the loss i, from `leaves` on infinity."""

    def __init__(self, count: int, leaves: int = 10**9) -> None:
        self.count, self.leaves, self.made, self.gradients = count, leaves, 0, 0
        self.alive = list(range(count))

    def advance(self, updates: int) -> None:
        self.made += updates
        self.gradients += updates * len(self.alive)

    def drop(self, indices: list[int]) -> None:
        self.alive = [i for i in self.alive if i not in indices]

    @property
    def losses(self) -> np.ndarray:
        loss = np.array([float(i) if i < self.leaves else np.nan for i in range(self.count)])
        return np.repeat(loss[:, None], self.made, axis=1)


def test_halving_keeps_the_best_and_counts_what_it_spent() -> None:
    """27 trainings with keep = 1/3 at 3, 9 and 27 updates leave the best one and cost 27·3 + 9·6 + 3·18 gradients."""
    crew = Known(27)
    found = halve(crew, [3, 9, 27], 1 / 3)
    assert (found.survivors, found.spent) == ((0,), 27 * 3 + 9 * 6 + 3 * 18)
    assert found.dropped[26] == (3, 26.0)
    assert found.dropped[5] == (9, 5.0)
    assert found.dropped[1] == (27, 1.0)
    assert crew.alive == [0]


def test_halving_never_keeps_what_diverged() -> None:
    """Of 9 trainings of which 7 diverged, 1/2 would be 5 and the 2 that did not go on."""
    assert halve(Known(9, leaves=2), [10], 1 / 2).survivors == (0, 1)


def test_seeds_of_a_cell_live_and_die_together() -> None:
    """Trainings with one label are judged by the mean of their scores."""
    found = halve(Known(6), [10], 1 / 3, groups=["a", "b", "c"] * 2)
    assert found == Halved((0, 3), {i: (10, float(i)) for i in (1, 2, 4, 5)}, 60)


def test_rungs_leave_enough_updates_and_trainings() -> None:
    """No rung lies before the 10th update, and there are no more than leave one training."""
    for steps in (5, 50, 500, 5000):
        for count in (1, 2, 60, 1000):
            rungs = rungs_of(steps, count)
            assert all(10 <= rung < steps for rung in rungs)
            assert 3 ** len(rungs) <= count


@pytest.mark.parametrize("wrong", [{"keep": 0}, {"keep": 1.5}, {"rungs": [5, 5]}, {"rungs": [0]}])
def test_what_is_no_halving_is_refused(wrong: dict[str, object]) -> None:
    """A part outside of (0, 1) and rungs that do not rise are refused."""
    with pytest.raises(SweepError):
        halve(Known(3), **{"rungs": [1, 2], "keep": 0.5, **wrong})  # type: ignore[arg-type]
