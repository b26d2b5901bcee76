"""Curvature of losses against dense Hessians, and what it says."""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from ravine.algebra import limit_lr
from ravine.errors import CurvatureError, TaskError
from ravine.tasks.task import Task
from ravine.torch.curvature import curvature, product_of, subject_of
from ravine.torch.spectral.products import FORMS, Product
from ravine.torch.spectral.subject import Subject

F = torch.nn.functional


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread: where others compute too, two wait for each other a hundred times as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _net(*sizes: int, act: Callable[[], Any] = torch.nn.Tanh) -> Any:
    layers = [part for a, b in itertools.pairwise(sizes) for part in (torch.nn.Linear(a, b), act())]
    return torch.nn.Sequential(*layers[:-1])


def task(samples: int = 40, kind: str = "cross", batch: int = 10) -> Task:
    """Make a small task with a loss of this kind."""
    drawn = torch.Generator().manual_seed(5)
    x = torch.randn(samples, 4, generator=drawn)
    target = {
        "cross": torch.randint(0, 3, (samples,), generator=drawn),
        "mse": torch.randn(samples, 3, generator=drawn),
        "bce": torch.randint(0, 2, (samples, 3), generator=drawn).float(),
    }[kind]
    loss = {"cross": F.cross_entropy, "mse": F.mse_loss, "bce": F.binary_cross_entropy_with_logits}[kind]
    return Task(lambda: _net(4, 5, 3), lambda model, given: loss(model(given[0]), given[1]), (x, target), batch)


def _subject(made: Task, model: Any, samples: int | None = None) -> Subject:
    return subject_of(made, model, params=None, samples=samples, seed=0, device=None, dtype=None)


def dense(made: Task, model: Any) -> torch.Tensor:
    """Return the Hessian of the mean loss by torch.func.hessian."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [p.shape for p in model.parameters()]
    dtype = next(model.parameters()).dtype
    data = tuple(part.to(dtype) if part.is_floating_point() else part for part in made.data)

    def of(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([math.prod(shape) for shape in shapes])
        values = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        found: torch.Tensor = made.loss(lambda x: torch.func.functional_call(model, values, (x,)), data)
        return found

    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    found: torch.Tensor = torch.autograd.functional.hessian(of, flat)
    return found


def _model(made: Task, seed: int = 0, dtype: torch.dtype = torch.float64) -> Any:
    torch.manual_seed(seed)
    return made.model().to(dtype)


@pytest.mark.parametrize("kind", ["cross", "mse", "bce"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_dense_hessian(form: str, kind: str) -> None:
    """Products of each form equal those of the dense Hessian, and the gradient is the gradient."""
    if (form, kind) == ("jvp", "mse"):
        pytest.skip("torch cannot push a squared error forward through its gradient")
    made = task(kind=kind)
    model = _model(made)
    h = dense(made, model)
    product = Product(_subject(made, model).pieces, form)
    v = torch.randn(len(h), dtype=torch.float64)
    torch.testing.assert_close(product(v), h @ v, rtol=1e-10, atol=1e-12)
    loss = made.loss(model, tuple(p.double() if p.is_floating_point() else p for p in made.data))
    plain = torch.autograd.grad(loss, list(model.parameters()))
    torch.testing.assert_close(product.gradient, torch.cat([g.reshape(-1) for g in plain]))
    assert product.made == 1


@pytest.mark.parametrize("kind", ["cross", "mse", "bce"])
@pytest.mark.parametrize("form", ["gauss-newton", "gauss-newton rebuilt"])
def test_gauss_newton_is_j_transposed_l_j(kind: str, form: str) -> None:
    """Products of the Gauss-Newton matrix equal Jᵀ L J, J the outputs' Jacobian and L the loss's Hessian by them."""
    from ravine.torch.spectral.gaussnewton import gauss_newton

    made = task(12, kind)
    model = _model(made)
    names = [name for name, _ in model.named_parameters()]
    x, y = (part.double() if part.is_floating_point() else part for part in made.data)

    def outputs(*values: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (x,))
        return found

    values = tuple(p.detach() for p in model.parameters())
    j = torch.cat([part.reshape(36, -1) for part in torch.autograd.functional.jacobian(outputs, values)], dim=1)
    of_z = torch.autograd.functional.hessian(lambda z: made.loss(lambda _: z, (x, y)), outputs(*values))
    by_z = of_z.reshape(36, 36)
    v = torch.randn(j.shape[1], dtype=torch.float64)
    product = Product(_subject(made, model).pieces, form, make=gauss_newton)
    torch.testing.assert_close(product(v), j.T @ (by_z @ (j @ v)), rtol=1e-9, atol=1e-12)
    assert curvature(made, model, gauss_newton=True, ends="smallest").h_min > -1e-9


@pytest.mark.parametrize("kind", ["cross", "mse", "bce"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_ends_are_those_of_the_dense_hessian(kind: str, dtype: torch.dtype) -> None:
    """Both ends are within 1 % of the dense Hessian's, and within their errors; halves of floats are computed in full."""
    made = task(kind=kind)
    model = _model(made, 1, dtype)
    truth = torch.linalg.eigvalsh(dense(made, _copy(model).double()))
    found = curvature(made, model, ends="both", seed=2)
    assert abs(found.h_max - truth[-1]) <= min(found.errors[0], 0.01 * truth[-1])
    assert abs(found.h_min - truth[0]) <= found.smallest_errors[0]
    assert found.converged
    assert found.products <= found.parameters
    assert all(p.dtype == dtype for p in model.parameters())


def _copy(model: Any) -> Any:
    import copy

    return copy.deepcopy(model)


def test_pieces_have_the_mean_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where memory holds no whole graph, pieces of unequal sizes give the same products, rebuilt."""
    made = task(47)
    model = _model(made)
    whole = product_of(_subject(made, model))
    monkeypatch.setattr("ravine.torch.spectral.subject.BUDGET", 12_000)
    subject = _subject(made, model)
    pieces = product_of(subject)
    assert len(subject.pieces.losses) > 2
    assert len({weight for _, weight in subject.pieces.losses}) == 2
    assert (whole.form, pieces.form) == ("kept", "rebuilt")
    v = torch.randn(whole.n, dtype=torch.float64)
    torch.testing.assert_close(pieces(v), whole(v))
    torch.testing.assert_close(pieces.gradient, whole.gradient)


def test_a_part_of_the_samples_is_measured() -> None:
    """With samples=n the Hessian is that of n of the samples, the same ones with the same seed."""
    made = task(60)
    model = _model(made)
    one, same, other = (curvature(made, model, samples=20, seed=s, tol=1e-6).h_max for s in (1, 1, 2))
    assert one == same
    assert abs(one - other) > 1e-4
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:20]
    part = Task(made.model, made.loss, tuple(p[rows] for p in made.data), 10)
    assert one == pytest.approx(float(torch.linalg.eigvalsh(dense(part, model))[-1]), rel=1e-5)


def test_a_stream_is_measured_on_its_held_batches() -> None:
    """A stream's curvature is that of the mean loss over the batches on which its loss is measured."""
    made = task(160)

    def stream(seed: int) -> Any:
        yield from (tuple(part[i : i + 10] for part in made.data) for i in range(0, 160, 10))

    model = _model(made)
    found = curvature(Task(made.model, made.loss, stream, 10), model, tol=1e-6)
    assert found.h_max == pytest.approx(float(torch.linalg.eigvalsh(dense(made, model))[-1]), rel=1e-5)
    assert found.samples is None


def test_a_loss_of_your_own_needs_its_parameters_alone() -> None:
    """A closure with params or model gives the same as the task."""
    made = task()
    model = _model(made)
    data = (made.data[0].double(), made.data[1])
    by_task = curvature(made, model, tol=1e-6)
    for given in ({"params": list(model.parameters())}, {"model": model}):
        assert curvature(lambda: made.loss(model, data), tol=1e-6, **given).h_max == pytest.approx(by_task.h_max)


@pytest.mark.parametrize("name", ["attention", "lstm", "batchnorm", "dropout"])
def test_common_layers_can_be_measured(name: str) -> None:
    """Fused attention, recurrences, batch normalization and dropout: a product is the derivative of the gradient."""
    n = torch.nn
    torch.manual_seed(0)
    model: Any = {
        "attention": lambda: n.TransformerEncoderLayer(8, 2, 8, batch_first=True),
        "lstm": lambda: n.LSTM(8, 4, batch_first=True),
        "batchnorm": lambda: n.Sequential(n.Flatten(), n.Linear(24, 4), n.BatchNorm1d(4), n.Tanh()),
        "dropout": lambda: n.Sequential(n.Linear(8, 4), n.Dropout(0.5), n.Tanh()),
    }[name]().double()
    x = torch.randn(6, 3, 8)

    def loss(model: Any, batch: Any) -> torch.Tensor:
        found = model(batch[0])
        return (found[0] if isinstance(found, tuple) else found).pow(3).mean()

    made = Task(lambda: model, loss, (x,), 2)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    product = product_of(_subject(made, model))
    v = torch.randn(product.n, dtype=torch.float64)
    v /= v.norm()
    found, step, slopes = product(v), 1e-5, []
    for side in (1, -1):
        torch.nn.utils.vector_to_parameters(
            torch.nn.utils.parameters_to_vector(model.parameters()) + side * step * v, model.parameters()
        )
        slopes.append(product_of(_subject(made, model)).gradient)
        model.load_state_dict(before)
    torch.testing.assert_close((slopes[0] - slopes[1]) / (2 * step), found, rtol=1e-5, atol=1e-8)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_backward_of_ones_own_is_told() -> None:
    """Where torch would take the curvature of a function for 0 without a word, a note names it."""

    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 3 * ctx.saved_tensors[0] ** 2

    model = torch.nn.Linear(3, 1).double()
    x = torch.ones(2, 3, dtype=torch.float64)
    own, plain = (curvature(lambda f=f: f(model(x)).mean(), model, ends="both") for f in (Cube.apply, lambda z: z**3))
    assert "calls Cube with a backward of its own" in own.notes[0]
    assert not plain.notes
    np.testing.assert_allclose([own.h_max, own.h_min], [plain.h_max, plain.h_min], atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_what_cannot_be_differentiated_backward_twice_is_pushed_forward(seed: int, monkeypatch: Any) -> None:
    """Where a second pass backward fails the product is a derivative of the gradient forward, and costs are counted."""
    made, made_kept = task(), Product(_subject(task(), _model(task(), seed)).pieces, "kept")
    v = torch.randn(made_kept.n, dtype=torch.float64)
    expected = made_kept(v)

    def fails(*given: Any, **named: Any) -> Any:
        raise RuntimeError("derivative for aten::fused_backward is not implemented")

    product = product_of(_subject(made, _model(made, seed)))
    monkeypatch.setattr("ravine.torch.spectral.products.backward", fails)
    torch.testing.assert_close(product(v), expected)
    assert product.form == "jvp"
    assert product.cost == 2 + 5.0
    params = list(_model(made).parameters())
    with pytest.raises(CurvatureError, match="differentiated twice backward needs its model; give model="):
        curvature(lambda: sum(p.square().sum() for p in params), params=params)


def test_limits_are_those_of_the_algebra() -> None:
    """What a curvature allows a rule is `algebra.limit_lr`, with no factor of its own."""
    x = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    found = curvature(lambda: x[0] ** 2 + 50 * x[1] ** 2, params=[x], ends="both")
    np.testing.assert_allclose([found.h_max, found.h_min], [100, 2])
    for rule, given in (("sgd", {}), ("heavyball", {"mu": 0.9}), ("nag", {"mu": 0.5}), ("ema", {"mu": 0.9})):
        assert found.limit(rule, **given) == pytest.approx(float(limit_lr(rule, 100.0, **given)))
    down = curvature(lambda: -(x**2).sum(), params=[x])
    assert down.h_max == pytest.approx(-2)
    assert down.limit("sgd") == math.inf
    told = found.summary()
    assert told["largest"][0]["value"] == pytest.approx(100)
    assert told["parameters"] == 2


def test_a_linear_loss_has_no_curvature() -> None:
    """Where the gradient is constant all curvatures are 0, with the error 0."""
    x = torch.zeros(4, requires_grad=True)
    found = curvature(lambda: x.sum(), params=[x], k=2, ends="both")
    assert list(found.values) == [0, 0]
    assert list(found.errors) == [0, 0]
    assert found.limit("sgd") == math.inf


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: curvature(3), "a task or of a function without arguments, got '3'"),
        (lambda m: curvature(lambda: m.weight.sum()), "needs its parameters; give model=… or params="),
        (lambda m: curvature(lambda: m.weight, m), "tensor of one number, got .*shape.*take the mean"),
        (lambda m: curvature(lambda: 1 / 0, m), "the loss raised ZeroDivisionError"),
        (lambda m: curvature(lambda: torch.ones(()), m), "does not depend on the parameters"),
        (lambda m: curvature(lambda: m.weight.sum(), params=[torch.ones(2)]), "no parameters that require a gradient"),
        (lambda m: curvature(task(), m, samples=0), "samples must be a whole number from 1 on, got '0'"),
        (lambda m: curvature(task(), "net"), "model must be a torch.nn.Module, got 'str'"),
        (lambda m: curvature(task(), torch.nn.ReLU()), "the model has no parameters"),
        (lambda m: curvature(lambda: (m.weight * float("nan")).square().sum(), m), "a product .* is not finite"),
        (
            lambda m: curvature(lambda: m(torch.ones(1, 2)).sum(), m, gauss_newton=True),
            "linear in what the model returns",
        ),
        (
            lambda m: curvature(lambda: m.weight.square().sum(), m, gauss_newton=True),
            "does not call the model as a whole",
        ),
        (
            lambda m: curvature(
                lambda: m(torch.ones(1, 2)).square().sum() + m.weight.square().sum(), m, gauss_newton=True
            ),
            "otherwise than through what the model returns",
        ),
        (
            lambda m: curvature(lambda: m.weight.square().sum(), params=[m.weight], gauss_newton=True),
            "a Gauss-Newton matrix needs the model",
        ),
    ],
)
def test_bad_input_is_one_sentence(call: Callable[[Any], Any], says: str) -> None:
    """What cannot be measured is refused in one sentence that says what to do."""
    with pytest.raises((CurvatureError, TaskError), match=says) as told:
        call(torch.nn.Linear(2, 1))
    assert "\n" not in str(told.value)


def test_a_training_is_not_disturbed() -> None:
    """Measuring leaves gradients, modes, parameters and torch's random numbers as they were."""
    made = task()
    model = _model(made)
    model.eval()
    state, values = torch.get_rng_state(), [p.clone() for p in model.parameters()]
    curvature(made, model, k=2, ends="both")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(p, value) and p.grad is None for p, value in zip(model.parameters(), values, strict=True))
    assert not model.training
