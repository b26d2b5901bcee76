"""Small tasks for the tests of lanes: one for each kind of layer."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ravine.tasks.task import Task

GENERATOR = torch.Generator().manual_seed(1)
X = torch.randn(300, 8, generator=GENERATOR)
Y = torch.randint(0, 3, (300,), generator=GENERATOR)


def cross_entropy(model: Any, batch: Any) -> torch.Tensor:
    """Return the mean cross entropy."""
    return functional.cross_entropy(model(batch[0]), batch[1])


class Net(nn.Module):
    """Hold layers, and put data through them as a function says."""

    def __init__(self, run: Callable[..., Any], **layers: nn.Module) -> None:
        super().__init__()
        self.run = run
        self.layers = nn.ModuleDict(layers)

    def forward(self, x: Any) -> Any:
        """Put data through."""
        return self.run(x, **self.layers)


def _conv(x: Any, a: Any, norm: Any, drop: Any, b: Any) -> Any:
    return b(functional.max_pool2d(functional.relu(drop(norm(a(x.view(-1, 1, 2, 4))))), 2).flatten(1))


def _attention(x: Any, embed: Any, attend: Any, b: Any) -> Any:
    return b(attend(embed((2 * x).long().clamp(0, 5))).mean(1))


def _loop(x: Any, a: Any, b: Any) -> Any:
    h = x.new_zeros(len(x), 5)
    for t in range(4):
        h = torch.tanh(a(torch.cat([x[:, 2 * t : 2 * t + 2], h], 1)))
    return b(h)


def _recurrent(x: Any, a: Any, c: Any, b: Any) -> Any:
    return b(c(a(x.view(-1, 4, 2).transpose(0, 1))[0].transpose(0, 1))[0][:, -1])


class _Number(nn.Module):
    """Multiply with a parameter that is one number, without a dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Any) -> Any:
        return x * self.value


def _tied(x: Any, a: Any) -> Any:
    return functional.linear(torch.tanh(a(x)), a.weight.t())[:, :3]


def _frozen() -> nn.Module:
    made = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 3))
    made[0].weight.requires_grad_(False)
    made.register_buffer("scale", torch.rand(3))
    made.register_forward_hook(lambda module, given, out: out * module.scale)
    return made


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(8, 3),
    "mlp": lambda: nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)),
    "dropout": lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.4), nn.Linear(16, 3)),
    "alpha dropout": lambda: nn.Sequential(nn.Linear(8, 16), nn.SELU(), nn.AlphaDropout(0.2), nn.Linear(16, 3)),
    "batchnorm": lambda: nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Sigmoid(), nn.Linear(16, 3)),
    "layernorm": lambda: nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3)),
    "conv": lambda: Net(
        _conv, a=nn.Conv2d(1, 4, 3, padding=1), norm=nn.GroupNorm(2, 4), drop=nn.Dropout2d(0.3), b=nn.Linear(8, 3)
    ),
    "attention": lambda: Net(
        _attention,
        embed=nn.Embedding(6, 8),
        attend=nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True),
        b=nn.Linear(8, 3),
    ),
    "loop": lambda: Net(_loop, a=nn.Linear(7, 5), b=nn.Linear(5, 3)),
    "rnn": lambda: Net(lambda x, a, b: b(a(x.view(-1, 4, 2))[0][:, -1]), a=nn.RNN(2, 5, batch_first=True), b=nn.Linear(5, 3)),
    "lstm": lambda: Net(lambda x, a, b: b(a(x.view(-1, 4, 2))[0][:, -1]), a=nn.LSTM(2, 4, batch_first=True), b=nn.Linear(4, 3)),
    "recurrent dropout": lambda: Net(
        _recurrent,
        a=nn.LSTM(2, 4, 2, dropout=0.3),
        c=nn.GRU(4, 3, 2, dropout=0.2, bidirectional=True, batch_first=True),
        b=nn.Linear(6, 3),
    ),
    "a number": lambda: nn.Sequential(nn.Linear(8, 3), _Number()),
    "tied": lambda: Net(_tied, a=nn.Linear(8, 8)),
    "frozen": _frozen,
}  # fmt: skip


def task(name: str, **others: Any) -> Task:
    """Return a task with one of the models."""
    given = {"loss": cross_entropy, "data": (X, Y), "batch": 40, "name": name, **others}
    return Task(model=MODELS[name], metrics={"right": right}, **given)


def right(model: Any, batch: Any) -> Any:
    """Return the part that is right."""
    return (model(batch[0]).argmax(1) == batch[1]).float().mean()


def stream(seed: int) -> Iterator[dict[str, Any]]:
    """Yield batches as dictionaries, of two sizes, from torch's own random numbers."""
    for size in (20, 20, 10):
        x = torch.randn(size, 8)
        yield {"x": x, "y": x[:, 0].gt(0).long(), "of": ("a stream", seed)}


def of_dictionary(model: Any, batch: Any) -> torch.Tensor:
    """Return the loss on a batch of the stream, weights decaying."""
    decay = sum(p.square().sum() for p in model.parameters())
    return functional.cross_entropy(model(batch["x"]), batch["y"]) + 1e-3 * decay


class Plain(torch.autograd.Function):
    """Be a function of somebody's own that torch.func cannot take."""

    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        """Return the square."""
        context.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(context: Any, slope: Any) -> Any:
        """Return the slope."""
        return 2 * context.saved_tensors[0] * slope


class Counting(nn.Module):
    """Count its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.calls = nn.Linear(8, 3), 0

    def forward(self, x: Any) -> Any:
        """Count."""
        self.calls += 1
        return self.a(x) / self.calls


class Remembering(nn.Module):
    """Write into a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(8, 3)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Any) -> Any:
        """Remember."""
        self.seen.add_(1)
        return self.a(x)
