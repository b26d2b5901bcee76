"""Lanes: K trainings as one program are K trainings."""

import math
import random
from typing import Any

import numpy as np
import pytest
import torch

import laned
from ravine.rules import RULES
from ravine.tasks.task import Task
from ravine.torch.crew import crew, most_lanes, train_lanes
from ravine.torch.fitness import unfit
from ravine.torch.lanes import Lanes, one_thread
from ravine.torch.singles import Single, Singles
from ravine.torch.training import Trained, train

METHODS = (
    "sgd:lr=0.2",
    "classical:lr=0.1,mu=0.5",
    "heavyball:lr=0.1,mu=0.9,tau=0.3",
    "nag:lr=0.1,mu=ramp(0.5,0.95,0.01)",
    "nesterov:lr=cosine(0.1,30),mu=0.9",
    "keras_nesterov:lr=0.05,mu=0.9",
    "ema:lr=0.1,mu=0.9",
    "qhm:lr=0.1,mu=0.9,nu=0.7",
    "triple:L=10,m=0.1",
)


@pytest.fixture(autouse=True)
def alone_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have trainings alone wait for no other thread; lanes have theirs."""
    monkeypatch.setattr(Single, "advance", one_thread()(Single.advance))


RUNS = [(method, k % 3) for k, method in enumerate(METHODS)]
ONE_SEED = [(method, 0) for method in METHODS]


def trained(*given: Any, **others: Any) -> Trained:
    with one_thread():  # which would only wait for each other
        return train(*given, **others)


def lanes(task: Task, runs: Any, steps: int, dtype: torch.dtype = torch.float64) -> list[Trained]:
    made = Lanes(task, runs, steps=steps, dtype=dtype)
    made.advance()
    return made.results()


def equal(got: list[Trained], task: Task, steps: int, rtol: float = 1e-9, dtype: torch.dtype = torch.float64) -> None:
    for one in got:
        alone = trained(task, one.method, seed=one.seed, steps=steps, dtype=dtype)
        np.testing.assert_allclose(one.losses, alone.losses, rtol=rtol)
        assert (one.stopped, one.reason) == (alone.stopped, alone.reason)
        assert math.isclose(one.loss, alone.loss, rel_tol=rtol) or one.loss == alone.loss
        assert one.metrics.keys() == alone.metrics.keys()
        for key, value in alone.metrics.items():
            assert math.isclose(one.metrics[key], value, rel_tol=rtol)


def test_every_rule_takes_part() -> None:
    """The lanes of these tests run all rules of the table."""
    assert {method.partition(":")[0] for method in METHODS} == set(RULES)


@pytest.mark.parametrize("name", laned.MODELS)
def test_lanes_equal_trainings_alone(name: str) -> None:
    """Lanes with different rules, schedules and seeds have the losses of trainings alone, to rounding."""
    task = laned.task(name)
    assert unfit(task, dtype=torch.float64) == ""
    equal(lanes(task, RUNS, 20), task, 20)


def test_a_hundred_updates() -> None:
    """After 100 updates with every rule and look-ahead the relative difference is below 1e-9."""
    equal(lanes(laned.task("mlp"), RUNS, 100), laned.task("mlp"), 100)


def test_one_seed_shares_its_batches() -> None:
    """Lanes of one seed, which share batches, noise and what is not trained, equal trainings alone."""
    for name in ("dropout", "frozen"):
        equal(lanes(laned.task(name), ONE_SEED, 20), laned.task(name), 20)


def test_float32() -> None:
    """In float32 the losses agree as far as the order of sums lets them."""
    equal(lanes(laned.task("mlp"), RUNS, 30, torch.float32), laned.task("mlp"), 30, 1e-4, torch.float32)


def test_streams_of_dictionaries() -> None:
    """Batches may be dictionaries of several sizes from a stream, and the loss may use the parameters themselves."""
    task = Task(model=laned.MODELS["mlp"], loss=laned.of_dictionary, data=laned.stream, name="stream")
    equal(lanes(task, ONE_SEED[:4], 9), task, 9)


@pytest.mark.parametrize("kind", [Lanes, Singles])
def test_divergence_stops_a_lane_and_no_other(kind: Any) -> None:
    """A lane whose loss is not finite stops at that update as a training alone does, and the others are untouched."""
    task = Task(
        model=laned.MODELS["linear"], loss=lambda m, b: (m(b[0])[:, 0] - b[0][:, 0]).square().mean(), data=laned.X, batch=30
    )  # fmt: skip
    runs = [("sgd:lr=0.05", 0), ("sgd:lr=1e6", 0), ("heavyball:lr=1e30,mu=0.9", 1), ("nag:lr=0.02,mu=0.9", 1)]
    made = kind(task, runs, steps=50, dtype=torch.float64)
    made.advance()
    got = made.results()
    equal(got, task, 50)
    assert made.alive == [0, 3]
    assert [one.diverged for one in got] == [False, True, True, False]
    assert made.gradients == 100 + sum(one.stopped or 0 for one in got)
    assert math.isinf(made.measure()[1][0])


@pytest.mark.parametrize("kind", [Lanes, Singles])
def test_where_all_have_diverged_nothing_is_left_to_do(kind: Any) -> None:
    """Lanes that have all diverged can be advanced, dropped and measured again."""
    made = kind(
        laned.task("linear", loss=lambda m, b: m(b[0]).square().mean()),
        [("sgd:lr=1e30", 0), ("sgd:lr=1e30", 1)],
        steps=20,
    )
    made.advance(15)
    made.drop([0, 1])
    made.advance()
    made.drop([])
    assert made.alive == []
    assert [told for told, _ in made.measure()] == [math.inf, math.inf]


@pytest.mark.parametrize("kind", [Lanes, Singles])
def test_lanes_advance_in_pieces(kind: Any) -> None:
    """Lanes may be advanced in pieces and measured between; dropped ones keep what was measured last."""
    task = laned.task("dropout")
    made = kind(task, RUNS, steps=30, dtype=torch.float64)
    made.advance(7)
    assert made.losses.shape == (len(RUNS), 7)
    between = made.measure()
    made.drop([1, 2, 3, 4, 5, 6])
    assert made.alive == [0, 7, 8]
    assert made.gradients == 7 * len(RUNS)
    made.advance(5)
    made.advance()
    assert (made.made, made.gradients) == (30, 7 * len(RUNS) + 3 * 23)
    got = made.results()
    equal([got[k] for k in made.alive], task, 30)
    assert [got[k].loss for k in (1, 6)] == [between[k][0] for k in (1, 6)]
    assert got[1].reason == "dropped after 7 updates"
    assert np.isfinite(got[1].losses).sum() == 7
    assert between[0][0] == pytest.approx(
        trained(task, RUNS[0][0], seed=0, steps=7, dtype=torch.float64).loss, rel=1e-9
    )


def test_singles_are_trainings() -> None:
    """Singles, advanced in turn, equal trainings alone to the last bit."""
    task = laned.task("dropout")
    made = Singles(task, RUNS[:4], steps=12)
    for _ in range(3):
        made.advance(4)
    for one in made.results():
        alone = trained(task, one.method, seed=one.seed, steps=12)
        np.testing.assert_array_equal(one.losses, alone.losses)
        assert (one.loss, one.metrics) == (alone.loss, alone.metrics)


@pytest.mark.parametrize(
    ("others", "why"),
    [
        ({"loss": lambda m, b: laned.cross_entropy(m, b) * (2 if m(b[0]).sum() > 0 else 1)}, "torch.func cannot batch it"),
        ({"loss": lambda m, b: laned.Plain.apply(m(b[0])).mean()}, "torch.func cannot batch it"),
        ({"loss": lambda m, b: laned.cross_entropy(m, b) * random.random()}, "it draws from Python's random numbers"),
        ({"loss": lambda m, b: laned.cross_entropy(m, b) * np.random.rand()},  # noqa: NPY002
         "it draws from NumPy's random numbers"),
        ({"model": laned.Counting}, "it changes calls of the model"),
        ({"model": laned.Remembering}, "it writes into the buffer seen"),
    ],
    ids=["control flow", "own function", "random", "numpy", "counter", "buffer"],
)  # fmt: skip
def test_what_cannot_be_batched_is_said(others: dict[str, Any], why: str) -> None:
    """What lanes cannot have is said in one sentence, and trained one after another."""
    task = Task(**{"model": laned.MODELS["linear"], "loss": laned.cross_entropy, "data": (laned.X, laned.Y), **others})
    state = np.random.get_state()  # noqa: NPY002
    assert unfit(task).startswith(why)
    heard: list[str] = []
    made = crew(task, RUNS[:2], steps=3, say=heard.append)
    np.random.set_state(state)  # noqa: NPY002
    assert isinstance(made, Singles)
    assert len(heard) == 1
    assert why in heard[0]


def test_other_random_numbers_are_said() -> None:
    """A loss that draws what lanes cannot draw alike is batched, and the crew says that it is equal in distribution."""

    def loss(model: Any, batch: Any) -> torch.Tensor:
        return laned.cross_entropy(model, (batch[0] * torch.bernoulli(torch.full_like(batch[0], 0.5)), batch[1]))

    made = Lanes(laned.task("mlp", loss=loss), ONE_SEED[:2], steps=2)
    made.advance()
    assert made.stack.others
    assert np.isfinite(made.losses).all()


def test_threads_are_given_back() -> None:
    """Lanes leave torch's number of threads and its random numbers as they were."""
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    train_lanes(laned.task("dropout"), RUNS[:3], steps=3)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_memory_bounds_the_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many lanes fit is proportional to the free memory, and a lane of a model twice as large takes twice as much."""
    from ravine.torch import crew as room

    counts = []
    for width, memory in ((500, 2**30), (500, 2**31), (1000, 2**31)):
        monkeypatch.setattr(room, "_free", lambda device, memory=memory: memory)
        task = Task(
            model=lambda n=width: torch.nn.Linear(8, n), loss=lambda m, b: m(b[0]).square().mean(), data=laned.X
        )
        counts.append(most_lanes(task))
    assert counts[1] / counts[0] == pytest.approx(2, rel=0.01)
    assert counts[1] / counts[2] == pytest.approx(2, rel=0.05)
    assert counts[0] > 1000
