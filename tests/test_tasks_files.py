"""Tasks from files: whatever form a user's data and model have, and each mistake as one sentence."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ravine.errors import TaskError
from ravine.tasks import Task, again, fingerprint, load
from ravine.torch.training import train

HEAD = """
import functools, itertools, math
import numpy as np
import pandas
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, random_split
from ravine.tasks import Task, task

g = torch.Generator().manual_seed(0)
x = torch.randn(96, 3, generator=g)
y = (x @ torch.tensor([1.0, -2.0, 0.5]))[:, None]
labels = (y[:, 0] > 0).long()

def net(out=1):
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, out))

def mse(model, batch):
    return F.mse_loss(model(batch[0]), batch[1])

class Pairs(Dataset):
    def __len__(self):
        return 96
    def __getitem__(self, k):
        return x[k].numpy(), float(y[k])
"""

GOOD = {
    "tuple": "Task(net, mse, (x, y), batch=32)",
    "list": "Task(net, mse, [x, y], batch=32)",
    "one tensor": "Task(lambda: nn.Linear(3, 3), lambda m, b: F.mse_loss(m(b[0]), b[0]), x, batch=32)",
    "arrays": "Task(net, mse, (x.double().numpy(), y.numpy()), batch=32)",
    "classes": "Task(lambda: net(2), lambda m, b: F.cross_entropy(m(b[0]), b[1]), (x, labels), batch=32,"
    " metrics={'right': lambda m, b: (m(b[0]).argmax(1) == b[1]).float().mean()})",
    "mapping": "Task(net, lambda m, b: F.mse_loss(m(b['x']), b['y']), {'x': x, 'y': y}, batch=32,"
    " metrics={'far': lambda m, b: (m(b['x']) - b['y']).abs().max()})",
    "TensorDataset": "Task(net, mse, TensorDataset(x, y), batch=32)",
    "Subset": "Task(net, mse, random_split(TensorDataset(x, y), [64, 32], g)[0], batch=32)",
    "Dataset": "Task(net, lambda m, b: F.mse_loss(m(b[0])[:, 0], b[1]), Pairs(), batch=32)",
    "DataLoader": "Task(net, mse, DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True))",
    "DataLoader with a generator": "Task(net, mse, DataLoader(TensorDataset(x, y), batch_size=20, shuffle=True,"
    " generator=torch.Generator().manual_seed(7)))",
    "tables of pandas": "Task(net, mse, (pandas.DataFrame(x.numpy()), pandas.DataFrame(y.numpy())), batch=32)",
    "read-only and backwards": "Task(net, mse, (shut, y.flip(0)), batch=32)",
    "sparse": "Task(net, mse, (x.to_sparse(), y), batch=32)",
    "a tuple of batches": "Task(net, mse, ((x[:32], y[:32]), (x[32:64], y[32:64])))",
    "batches": "Task(net, mse, [(x[:32], y[:32]), (x[32:64], y[32:64])])",
    "batches of arrays": "Task(net, mse, [(x[:32].numpy(), y[:32].numpy())])",
    "mappings in an iterable": "Task(net, lambda m, b: F.mse_loss(m(b['in']['x']), b['y']),"
    " [{'in': {'x': x[:32]}, 'y': y[:32], 'name': 'first'}])",
    "seeded": "Task(net, mse, stream)",
    "a batch norm": "Task(lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)), mse,"
    " (x, y), batch=32)",
    "dropout": "Task(lambda: nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1)), mse, (x, y), batch=32)",
    "a penalty": "Task(net, lambda m, b: mse(m, b) + 1e-3 * sum(p.square().sum() for p in m.parameters()), (x, y),"
    " batch=32)",
    "a slope of its own": "Task(net, sloped, (x, y), batch=32, metrics={'a': sloped})",
    "several inputs": "Task(Two, lambda m, b: F.mse_loss(m(b[0], scale=b[1]), b[2]), (x, x, y), batch=32)",
    "an encoder": "Task(Coded, lambda m, b: F.mse_loss(m.decoder(m.encoder(b[0])), b[0])"
    " + 1e-3 * m.encoder(b[0]).abs().mean(), x, batch=32)",
    "a frozen part": "Task(frozen, mse, (x, y), batch=32)",
    "tied weights": "Task(Tied, lambda m, b: F.mse_loss(m(b[0]), b[0]), x, batch=32)",
    "a loss of shape (1,)": "Task(net, lambda m, b: mse(m, b)[None], (x, y), batch=32)",
    "half precision data": "Task(net, mse, (x.half(), y.half()), batch=32)",
    "a model of its own class": "Task(functools.partial(net, out=1), mse, (x, y), batch=32)",
    "one batch of all": "Task(net, mse, (x, y), batch=96)",
}
MORE = """
def stream(seed):
    drawn = torch.Generator().manual_seed(seed)
    for _ in range(3):
        a = torch.randn(32, 3, generator=drawn)
        yield a, a.sum(1, keepdim=True)

class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 1), nn.Linear(3, 1)
    def forward(self, x, *, scale):
        return self.a(x) + self.b(scale)

class Coded(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(3, 2), nn.Linear(2, 3)

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3) / 3)
    def forward(self, x):
        return x @ self.weight.T @ self.weight

def sloped(model, batch):
    at = batch[0].clone().requires_grad_()
    slope, = torch.autograd.grad(model(at).sum(), at, create_graph=True)
    return mse(model, batch) + 1e-3 * slope.square().mean()

shut = x.numpy()[::-1]
shut.flags.writeable = False

def frozen():
    made = net()
    made[0].requires_grad_(False)
    return made
"""


def written(folder: Path, code: str, name: str = "mine.py") -> str:
    """Write a task file and return its path."""
    (folder / name).write_text(HEAD + MORE + code, encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("form", GOOD)
def test_every_form_trains(form: str, tmp_path: Path) -> None:
    """A task of this form loads, falls in 30 steps, and a seed gives the same numbers again."""
    made = load(written(tmp_path, f"def make_task():\n    return {GOOD[form]}\n") + ":make_task")
    assert made.name == "mine.py:make_task"
    one, same, other = (train(made, "heavyball:lr=0.02,mu=0.9", steps=30, seed=seed) for seed in (3, 3, 4))
    assert not one.diverged, one.reason
    assert one.loss < one.losses[0]
    np.testing.assert_array_equal(one.losses, same.losses)
    assert (one.loss, one.metrics) == (same.loss, same.metrics)
    assert not np.array_equal(one.losses, other.losses)


@pytest.mark.parametrize("form", GOOD)
def test_every_form_keeps_its_fingerprint(form: str, tmp_path: Path) -> None:
    """A file that is loaded again has the same fingerprint, and another file has not."""
    code = f"def make_task():\n    return {GOOD[form]}\n"
    path = written(tmp_path, code)
    assert fingerprint(load(path, check=False)) == fingerprint(load(path, check=False))
    (tmp_path / "other").mkdir()
    changed = written(tmp_path / "other", code + "# changed\n")
    assert fingerprint(load(path, check=False)) != fingerprint(load(changed, check=False))


@pytest.mark.filterwarnings("ignore:os.fork")  # jax, where another test loaded it, warns of the loader's own fork
def test_a_data_loader_with_processes_of_its_own(tmp_path: Path) -> None:
    """A DataLoader whose batches are made by another process trains, the same again with the same seed."""
    loader = "DataLoader(TensorDataset(x, y), batch_size=24, shuffle=True, num_workers=1)"
    made = load(written(tmp_path, f"def make_task():\n    return Task(net, mse, {loader})\n"))
    one, same = (train(made, "sgd:lr=0.02", steps=6, seed=3) for _ in "ab")
    assert one.losses.tolist() == same.losses.tolist()


RETURNS = "def make_task():\n    return {}\n"
BAD = {
    "syntax": ("def make_task(:\n", "mine.py cannot be imported: SyntaxError"),
    "import": ("import no_such_module\n", "cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
    "exit": ("import sys; sys.exit(3)\n", "cannot be imported: SystemExit"),
    "no function": ("def make_tsk(): pass\n", "has no function 'make_task'; did you mean 'make_tsk'"),
    "nothing in it": ("", "has no function 'make_task'"),
    "arguments": ("def make_task(width): pass\n", "make_task takes width; name a function without arguments"),
    "a loss": ("make_task = mse\n", "make_task takes model, batch; name a function without arguments"),
    "a number": ("make_task = 3\n", "make_task is a int and not a task"),
    "raises": ("def make_task():\n    1 / 0\n", "make_task raised ZeroDivisionError"),
    "exits": ("def make_task():\n    raise SystemExit\n", "make_task raised SystemExit"),
    "None": (RETURNS.format(None), "make_task returned 'NoneType' and not a task; return ravine.tasks.Task"),
    "a model": (RETURNS.format("net()"), "make_task returned 'Sequential' and not a task"),
    "missing": (RETURNS.format("Task(net, mse)"), "missing 1 required positional argument: 'data'"),
    "a made model": (RETURNS.format("Task(net(), mse, (x, y))"), "model must be a function that makes a new model"),
    "no model": (
        RETURNS.format("Task(lambda: None, mse, (x, y), 32)"),
        "must return a torch.nn.Module, got 'NoneType'",
    ),
    "model raises": (RETURNS.format("Task(lambda: nn.Linear(3), mse, (x, y), 32)"), "model cannot be made: TypeError"),
    "no parameters": (RETURNS.format("Task(nn.ReLU, mse, (x, y), 32)"), "its model has no parameters"),
    "all frozen": (
        RETURNS.format("Task(lambda: net().requires_grad_(False), mse, (x, y), 32)"),
        "its model has no parameters that can be trained",
    ),
    "lazy": (RETURNS.format("Task(lambda: nn.LazyLinear(1), mse, (x, y), 32)"), "lazy layers without a size"),
    "not scalar": (
        RETURNS.format("Task(net, lambda m, b: (m(b[0]) - b[1]) ** 2, (x, y), 32)"),
        r"must be a tensor of one number, got a tensor of shape \(32, 1\); return the mean",
    ),
    "a float": (RETURNS.format("Task(net, lambda m, b: mse(m, b).item(), (x, y), 32)"), "one number, got 'float'"),
    "nothing": (RETURNS.format("Task(net, lambda m, b: None, (x, y), 32)"), "one number, got 'NoneType'"),
    "detached": (
        RETURNS.format("Task(net, lambda m, b: mse(m, b).detach(), (x, y), 32)"),
        "does not depend on the model's parameters",
    ),
    "of the data": (
        RETURNS.format("Task(net, lambda m, b: b[0].mean().requires_grad_(), (x, y), 32)"),
        "does not depend on the model's parameters",
    ),
    "loss raises": (RETURNS.format("Task(net, lambda m, b: m(b), (x, y), 32)"), "its loss raised TypeError"),
    "loss exits": (RETURNS.format("Task(net, lambda m, b: exit(3), (x, y), 32)"), "its loss raised SystemExit"),
    "loss of one": (RETURNS.format("Task(net, lambda m: 0, (x, y), 32)"), "its loss raised TypeError"),
    "complex": (
        RETURNS.format("Task(net, lambda m, b: m(b[0]).mean() * 1j, (x, y), 32)"),
        "its loss is a complex number; return a real one",
    ),
    "nan": (
        RETURNS.format("Task(net, lambda m, b: m(b[0]).sum().log() * math.nan, (x, y), 32)"),
        "the loss of the untrained model is nan: model and data are finite",
    ),
    "nan in the data": (
        RETURNS.format("Task(net, mse, (x / 0, y), 32)"),
        "the loss of the untrained model is nan: the data holds numbers that are not finite",
    ),
    "nan in one sample": (
        "y[90] = math.nan\n" + RETURNS.format("Task(net, mse, (x, y), 32)"),
        "the data holds numbers that are not finite, and with them the loss is nan",
    ),
    "nan in the model": (
        "def make():\n    made = net()\n    nn.init.constant_(made[0].bias, math.nan)\n    return made\n"
        + RETURNS.format("Task(make, mse, (x, y), 32)"),
        "the loss of the untrained model is nan: the parameter 0.bias",
    ),
    "gradient": (
        RETURNS.format("Task(net, lambda m, b: (m(b[0]) * 0).square().sum().sqrt(), (x, y), 32)"),
        "the gradient of the untrained model is not finite at 0.weight",
    ),
    "large batch": (
        RETURNS.format("Task(net, mse, (x, y), batch=100)"),
        "96 samples and a batch takes 100; .*batch=96",
    ),
    "default batch": (RETURNS.format("Task(net, mse, (x, y))"), "96 samples and a batch takes 128"),
    "batch": (RETURNS.format("Task(net, mse, (x, y), batch=0.5)"), "batch must be a whole number from 1 on"),
    "steps": (RETURNS.format("Task(net, mse, (x, y), 32, steps=0)"), "steps must be a whole number from 1 on"),
    "lengths": (RETURNS.format("Task(net, mse, (x, y[:9]), 32)"), "96 and 9 samples"),
    "scalars": (RETURNS.format("Task(net, mse, (x, torch.ones(())), 32)"), "96 and 0 samples"),
    "a part": (RETURNS.format("Task(net, mse, (x, [1, 2]), 32)"), "part 2 of data is a list; make each part a tensor"),
    "empty": (RETURNS.format("Task(net, mse, x[:0], 32)"), "0 samples in their first dimension"),
    "no tensors": (RETURNS.format("Task(net, mse, {}, 32)"), "no samples in their first dimension"),
    "empty dataset": (RETURNS.format("Task(net, mse, TensorDataset(x[:0]), 32)"), "0 samples"),
    "text": (RETURNS.format("Task(net, mse, 'mnist', 32)"), "data must be tensors, .* got 'str'"),
    "no data": (RETURNS.format("Task(net, mse, None, 32)"), "data must be tensors, .* got 'NoneType'"),
    "yields nothing": (RETURNS.format("Task(net, mse, [])"), "its data yields no batch"),
    "stream of nothing": (RETURNS.format("Task(net, mse, lambda seed: iter([]))"), "its data yields no batch"),
    "stream of None": (RETURNS.format("Task(net, mse, lambda seed: None)"), "its data raised TypeError"),
    "stream raises": (RETURNS.format("Task(net, mse, lambda seed: 1 / 0)"), "its data raised ZeroDivisionError"),
    "stream without a seed": (RETURNS.format("Task(net, mse, lambda: [x])"), "its data raised TypeError"),
    "stream of a tuple": (RETURNS.format("Task(net, mse, lambda seed: (x, y))"), r"give data=\(x, y\)"),
    "stream of numbers": (RETURNS.format("Task(net, mse, [1, 2])"), "its data yields int; yield a tensor"),
    "generator": (RETURNS.format("Task(net, mse, (b for b in [(x, y)]))"), "which can be read only once"),
    "cycle": (RETURNS.format("Task(net, mse, itertools.cycle([(x, y)]))"), "which can be read only once"),
    "dataset raises": (
        "class Broken(Pairs):\n    def __getitem__(self, k): raise OSError('gone')\n"
        + RETURNS.format("Task(net, mse, Broken(), 32)"),
        "its data raised OSError: gone",
    ),
    "ragged": (
        "class Ragged(Pairs):\n    def __getitem__(self, k): return torch.ones(k)\n"
        + RETURNS.format("Task(net, mse, Ragged(), 32)"),
        "do not stack into tensors, .*give a DataLoader with a collate_fn",
    ),
    "no length": (
        "class Endless(Dataset):\n    def __getitem__(self, k): return x[0]\n"
        + RETURNS.format("Task(net, mse, Endless(), 32)"),
        "its Dataset has no length",
    ),
    "iterable dataset": (
        "class Stream(IterableDataset):\n    def __iter__(self): return iter(x)\n"
        + RETURNS.format("Task(net, mse, Stream(), 32)"),
        r"is an IterableDataset, which yields samples; give DataLoader\(dataset, batch_size=…\)",
    ),
    "metric": (RETURNS.format("Task(net, mse, (x, y), 32, metrics={'a': 3})"), "the metric 'a' must be a function"),
    "metrics": (RETURNS.format("Task(net, mse, (x, y), 32, metrics=[mse])"), "metrics must be functions by name"),
    "metric's name": (
        RETURNS.format("Task(net, mse, (x, y), 32, metrics={3: mse})"),
        "name of a metric must be a text",
    ),
    "name": (RETURNS.format("Task(net, mse, (x, y), 32, name=None)"), "name of a task must be a text"),
    "one size": (
        RETURNS.format("Task(net, lambda m, b: (m(b[0]) * torch.ones(32, 1)).mean(), (x, y), 32)"),
        "its loss takes batches of 32 samples and not of 16",
    ),
    "fails in evaluation": (
        RETURNS.format("Task(net, lambda m, b: mse(m, b) if m.training else 1 / 0, (x, y), 32)"),
        "its loss raised ZeroDivisionError",
    ),
    "metric raises": (
        RETURNS.format("Task(net, mse, (x, y), 32, metrics={'a': lambda m, b: 1 / 0})"),
        "its metric 'a' raised ZeroDivisionError",
    ),
    "metric of many": (
        RETURNS.format("Task(net, mse, (x, y), 32, metrics={'a': lambda m, b: m(b[0])})"),
        "its metric 'a' raised .*return one number",
    ),
    "bare decorator": ("@task\ndef make_task(model, batch): pass\n", r"@task\(model=…, data=…\)"),
    "decorator without data": ("@task(model=net)\ndef make_task(m, b): pass\n", "@task needs a model and data"),
    "a class": ("class make_task: pass\n", "make_task is a type and not a task"),
    "dtype": (RETURNS.format("Task(net, mse, (labels[:, None], y), 32)"), "its loss raised RuntimeError"),
}


def test_a_loss_that_passes_over_gaps_is_taken(tmp_path: Path) -> None:
    """Data may hold numbers that are not finite, if the loss takes no notice of them."""
    code = "y[90] = math.nan\n" + RETURNS.format(
        "Task(net, lambda m, b: (m(b[0]) - b[1]).square().nanmean(), (x, y), 32)"
    )
    assert load(f"{written(tmp_path, code)}:make_task").samples == 96


@pytest.mark.parametrize("mistake", BAD)
def test_every_mistake_is_one_sentence(mistake: str, tmp_path: Path) -> None:
    """A file with this mistake is refused when it is loaded, in one line that names the mistake."""
    code, sentence = BAD[mistake]
    path = written(tmp_path, code)
    with pytest.raises(TaskError, match=sentence) as told:
        load(path + ":make_task")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500


@pytest.mark.parametrize("text", ["no.py:f", "/no/such.py:f", "no/such:f", "no.py", f"{'a' * 300}.py:f", "~\0/a.py:f"])
def test_no_file(text: str) -> None:
    """A file that is not there is refused with its path."""
    with pytest.raises(TaskError, match="there is no file"):
        load(text)


@pytest.mark.parametrize("text", ["digits-mpl", "", ":", "x" * 9999, "digits-mlp:make_task"])
def test_no_task(text: str) -> None:
    """A name that is none is refused with the nearest and all that there are."""
    with pytest.raises(TaskError, match="Known: digits-softmax"):
        load(text)


@pytest.mark.parametrize("what", [None, 3, ["digits-mlp"], Task])
def test_no_text(what: object) -> None:
    """What is neither a text nor a task is refused."""
    with pytest.raises(TaskError, match=r"a task is a name, path/to/file\.py:make_task or a Task"):
        load(what)  # type: ignore[arg-type]


def test_ways_to_name_a_task_of_a_file(tmp_path: Path) -> None:
    """A function, a task of the decorator, a task as a value and the usual name left out all load."""
    code = """
@task(model=net, data=(x, y), batch=32, steps=7)
def by_decorator(model, batch):
    "Squared error."
    return mse(model, batch)
as_value = Task(net, mse, (x, y), 32, name="mine")
def make_task():
    return as_value
"""
    path = written(tmp_path, code)
    made = load(f"{path}:by_decorator")
    assert (made.name, made.about, made.steps) == ("by_decorator", "Squared error.", 7)
    assert load(f"{path}:as_value").name == load(path).name == "mine"


def test_a_loaded_task_says_how_to_load_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text of a loaded task is found from another folder too, one made in Python or changed has none; prints go to stderr."""
    written(tmp_path, "print('hello')\n" + RETURNS.format("Task(net, mse, (x, y), 32)"))
    monkeypatch.chdir(tmp_path)
    made = load("mine.py:make_task")
    monkeypatch.chdir("/")
    text = again(made)
    assert text is not None
    assert fingerprint(load(text)) == fingerprint(made)
    assert again(Task(made.model, made.loss, made.data, 32)) is None
    assert again(replace(made, batch=16)) is None
    out, err = capsys.readouterr()
    assert (out, set(err.split())) == ("", {"hello"})


def test_modules_beside_the_file(tmp_path: Path) -> None:
    """A file imports its neighbours, also late, and their source counts in the fingerprint."""
    (tmp_path / "neighbour_of_mine.py").write_text("from torch import nn\ndef net(): return nn.Linear(3, 1)\n")
    code = "def make_task():\n    from neighbour_of_mine import net\n    return Task(net, mse, (x, y), 32)\n"
    made = load(written(tmp_path, code))
    before = fingerprint(made)
    code = "def loss(m, b):\n    from other_neighbour import half\n    return half * mse(m, b)\n" + code.replace(
        ", mse", ", loss"
    )
    (tmp_path / "other_neighbour.py").write_text("half = 0.5\n")
    late = load(written(tmp_path, code, "late.py"), check=False)
    first, half = (train(each, "sgd:lr=0.1", steps=1).losses[0] for each in (made, late))
    assert first == 2 * half
    (tmp_path / "neighbour_of_mine.py").write_text("from torch import nn\ndef net(): return nn.Linear(3, 1, False)\n")
    assert fingerprint(made) != before


def test_files_of_one_name(tmp_path: Path) -> None:
    """Two files of one name in two folders are two tasks."""
    made = []
    for number in (4, 5):
        (tmp_path / str(number)).mkdir()
        code = f"class Net(nn.Linear):\n    size = {number}\ndef make_task():\n"
        made.append(load(written(tmp_path / str(number), code + "    return Task(lambda: Net(3, 1), mse, (x, y), 32)")))
    assert [m.model().size for m in made] == [4, 5]
    assert len({fingerprint(m) for m in made}) == 2


def test_a_file_draws_the_same_data_each_time(tmp_path: Path) -> None:
    """Random numbers that a file draws unseeded are the same whenever it is loaded, and disturb nobody else's."""
    code = "import random\nz = torch.randn(96, 3) + torch.tensor(np.random.randn(96, 3)) + random.random()\n"
    path = written(tmp_path, code + RETURNS.format("Task(net, mse, (z.float(), y), 32)"))
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    prints = {fingerprint(load(path)), fingerprint(load(path, check=False))}
    assert len(prints) == 1
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002


def test_check_leaves_random_numbers_alone(tmp_path: Path) -> None:
    """Loading and fingerprinting draw nothing from torch's random numbers."""
    path = written(tmp_path, RETURNS.format("Task(net, mse, (x, y), 32)"))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    fingerprint(load(path))
    assert torch.equal(torch.get_rng_state(), before)
