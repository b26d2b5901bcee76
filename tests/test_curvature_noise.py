"""The noise of mini-batch gradients against all batches there are, densities against dense Hessians, and the edge."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from ravine.errors import CurvatureError
from ravine.tasks.task import Task
from ravine.torch.density import density
from ravine.torch.edge import edge
from ravine.torch.noise import noise
from ravine.torch.training import train, trained_model
from test_curvature import _model, dense, one_thread, task  # noqa: F401


def _gradient(made: Task, model: Any, rows: Any) -> torch.Tensor:
    batch = tuple(part[list(rows)].double() if part.is_floating_point() else part[list(rows)] for part in made.data)
    found = torch.autograd.grad(made.loss(model, batch), list(model.parameters()))
    return torch.cat([g.reshape(-1) for g in found])


def test_noise_is_the_covariance_over_all_batches() -> None:
    """Trace and variances are those over every mini-batch that can be drawn without replacement, exactly."""
    made = task(8, batch=3)
    model = _model(made)
    all_batches = torch.stack([_gradient(made, model, rows) for rows in combinations(range(8), 3)])
    directions = torch.linalg.qr(torch.randn(all_batches.shape[1], 2, dtype=torch.float64)).Q.T
    found = noise(made, model, directions=directions, samples=None)
    centred = all_batches - all_batches.mean(0)
    assert found.trace == pytest.approx(float(centred.square().sum(1).mean()), rel=1e-10)
    np.testing.assert_allclose(found.along, (centred @ directions.T).square().mean(0).numpy(), rtol=1e-10)
    np.testing.assert_allclose(found.slope, (directions @ all_batches.mean(0)).numpy(), rtol=1e-10)
    assert found.norm2 == pytest.approx(float(all_batches.mean(0).square().sum()), rel=1e-10)
    assert found.single
    assert found.error == 0
    assert not found.along_errors.any()
    assert found.gradients == pytest.approx(8 / 3)
    assert noise(made, model, batch=8, samples=None).trace == 0  # a batch of everything has no noise


@pytest.mark.parametrize("single", [True, False])
def test_parts_of_the_samples_are_unbiased(single: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over many seeds the mean of trace, variances and |mean|² is that of all samples, and the spread is as stated."""
    made = task(120, batch=6)
    model = _model(made)
    directions = torch.eye(43, dtype=torch.float64)[:2]
    whole = noise(made, model, directions=directions, samples=None)
    if not single:
        monkeypatch.setattr("ravine.torch.noise._singles", lambda *given: None)
        monkeypatch.setattr("ravine.torch.noise.BATCHES", 10)
    told = [noise(made, model, directions=directions, samples=30, seed=s) for s in range(30)]
    assert all(each.single == single for each in told)
    for name in ("trace", "norm2", "along"):
        values = np.array([getattr(each, name) for each in told])
        error = values.std(axis=0, ddof=1) / np.sqrt(len(told))
        assert (abs(values.mean(axis=0) - getattr(whole, name)) < 4 * error).all(), name
    spread = np.std([each.trace for each in told], ddof=1)
    assert 0.6 < np.mean([each.error for each in told]) / spread < 2.0


def test_losses_that_couple_samples_are_measured_by_batches() -> None:
    """With batch normalization single samples have no gradient of their own, and whole batches are used."""
    made = task(60)
    with_norm = Task(
        lambda: torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 3)),
        made.loss, made.data, 10,
    )  # fmt: skip
    coupled = Task(made.model, lambda model, batch: made.loss(model, batch) ** 2, made.data, 10)
    for each in (with_norm, coupled):
        found = noise(each, seed=1)
        assert not found.single
        assert found.samples == 60
        assert found.trace > 0
        assert found.error > 0


def test_noise_refuses_what_does_not_fit() -> None:
    """Directions of another model and a batch beyond the data are one sentence."""
    made = task(20)
    for given, says in (
        ({"directions": torch.ones(2, 3)}, r"directions must have the shape \(k, 43\), got \(2, 3\)"),
        ({"batch": 21}, "batch must be a whole number from 1 to the number of samples, got '21'"),
    ):
        with pytest.raises(CurvatureError, match=says):
            noise(made, **given)


def test_a_density_has_the_moments_of_the_spectrum() -> None:
    """With depth n each probe's weights sum to 1; trace and second moment are the dense ones within 4 standard errors."""
    made = task()
    model = _model(made)
    h = torch.linalg.eigvalsh(dense(made, model)).numpy()
    found = density(made, model, probes=12, depth=43)
    np.testing.assert_allclose(np.nansum(found.weights, axis=1), 1)
    assert abs(found.trace - h.sum()) < 4 * found.trace_error
    second = 43 * np.nansum(found.weights * found.nodes**2, axis=1)
    assert abs(second.mean() - (h**2).sum()) < 4 * second.std(ddof=1) / np.sqrt(12)
    at, count, error = found.curve()
    assert np.trapezoid(count, at) == pytest.approx(43, rel=1e-3)
    assert (error >= 0).all()
    assert np.nanmin(found.nodes) >= h[0] - 1e-9
    assert np.nanmax(found.nodes) <= h[-1] + 1e-9


def test_the_edge_is_the_curvature_on_the_way_of_the_same_training() -> None:
    """Curvatures are the dense Hessian's at the points that the plain training passes, limits the rule's, losses its own."""
    made = task(30)
    rule = "nag:lr=0.2,mu=0.8"
    found = edge(made, rule, steps=12, every=5, seed=3, dtype=torch.float64, tol=0.001)
    assert list(found.steps) == [0, 5, 10, 12]
    plain = train(made, rule, steps=12, seed=3, dtype=torch.float64)
    np.testing.assert_allclose(found.losses, plain.losses, rtol=1e-12)
    with trained_model(made, 3, "cpu", torch.float64) as (_, model):
        top = torch.linalg.eigvalsh(dense(made, model))[-1]
    assert abs(found.h_max[0] - top) <= found.errors[0]
    np.testing.assert_allclose(found.limits, 2 * 1.8 / (1 + 2 * 0.8) / 0.2)
    assert found.crossed is None
    assert found.summary()["steps"] == [0, 5, 10, 12]


@pytest.mark.slow
def test_full_batch_descent_ends_at_the_edge() -> None:
    """Gradient descent on all of the data meets its limit 2/lr and stays about there (Cohen et al. 2021)."""
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(60, 6, generator=drawn)
    y = torch.sin(2 * x).sum(1, keepdim=True)
    net = lambda: torch.nn.Sequential(torch.nn.Linear(6, 40), torch.nn.Tanh(), torch.nn.Linear(40, 1))  # noqa: E731
    made = Task(net, lambda model, batch: (model(batch[0]) - batch[1]).square().mean(), (x, y), 60)
    found = edge(made, "sgd:lr=0.1", steps=2000, every=100, seed=0)
    late = found.h_max[-5:]
    assert found.h_max[0] < 15
    assert (abs(late / 20 - 1) < 0.25).all()


def test_a_training_that_diverges_ends_its_curve() -> None:
    """Divergence is a result: the curve ends, with the reason."""
    made = task(30, "mse")
    found = edge(made, "sgd:lr=1e6", steps=200, every=20)
    assert "the loss is" in found.reason or "not finite" in found.reason
    assert len(found.steps) < 11
    assert found.crossed == 0


def test_an_interrupted_training_keeps_its_curve() -> None:
    """Ctrl-C ends the curve and keeps what was measured."""

    def stop(done: int, total: int) -> None:
        if done == 7:
            raise KeyboardInterrupt

    found = edge(task(30), "sgd:lr=0.1", steps=20, every=5, tick=stop)
    assert list(found.steps) == [0, 5]
    assert found.reason == "interrupted after 7 updates"
    assert found.interrupted
