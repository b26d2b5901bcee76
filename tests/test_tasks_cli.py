"""`ravine tasks` on the command line, and the page and example that say how to write a task."""

import doctest
import json
import re
from pathlib import Path

import pytest

from ravine.cli.app import run
from ravine.tasks import TASKS, load
from ravine.torch.training import train

ROOT = Path(__file__).parents[1]


def called(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run(("tasks", *arguments))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every task has a line with its parameters, samples, batch and steps; no time where none is asked for."""
    code, out, err = called("--no-timing", capsys=capsys)
    assert (code, err) == (0, "")
    lines = {line.split()[0]: line for line in out.splitlines() if line}
    assert set(TASKS) < set(lines)
    assert re.search(r"digits-mlp +4,810 +1,797 +128 +300 +scikit-learn's digits", lines["digits-mlp"])
    assert "stream" in lines["adding-rnn"]
    assert "s/100 steps" not in out


def test_the_list_in_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With --json stdout is one object with a row for each task, its time measured."""
    from ravine.cli import tasks

    monkeypatch.setattr(tasks, "_seconds", lambda made: 0.5)
    code, out, err = called("--json", capsys=capsys)
    assert (code, err) == (0, "")
    rows = {row["name"]: row for row in json.loads(out)["tasks"]}
    assert list(rows) == list(TASKS)
    assert {"about", "source", "parameters", "samples", "batch", "steps", "seconds_per_100_steps"} < set(
        rows["adding-rnn"]
    )
    assert rows["adding-rnn"]["samples"] is None


def test_a_missing_package_is_a_row(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where scikit-learn is not installed its tasks say what to install, and the others are there."""
    from ravine.errors import MissingPackage
    from ravine.tasks import catalogue

    def absent(entry: catalogue.Entry) -> None:
        raise MissingPackage(f"to train {entry.name}, install it: pip install 'ravine[tasks]'")

    monkeypatch.setattr(catalogue.Entry, "make", absent)
    code, out, _ = called(capsys=capsys)
    assert code == 0
    assert out.count("pip install 'ravine[tasks]'") == len(TASKS)


@pytest.mark.parametrize("name", ["make_task", "waves"])
def test_the_example_is_a_task(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Both tasks of examples/task.py are described without a doubt, and 200 steps halve their loss."""
    text = f"{ROOT}/examples/task.py:{name}"
    code, out, err = called(text, "--no-timing", "--json", capsys=capsys)
    told = json.loads(out)
    assert (code, err, told["notes"]) == (0, "", [])
    assert told["task"] == text
    done = train(load(text), "nag:lr=0.1,mu=0.9", steps=200)
    assert done.loss < done.losses[0] / 2


def test_one_task_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes, tensors, metrics and the untrained loss are printed, and that it was checked."""
    code, out, err = called("digits-softmax", capsys=capsys)
    assert (code, err) == (0, "")
    told = dict(re.split(r"  +", line, maxsplit=1) for line in out.splitlines())
    assert told["parameters"] == "650"
    assert told["tensors"] == "1797 × 64 float32, 1797 int64"
    assert float(told["untrained loss"]) == pytest.approx(2.3, abs=0.2)
    assert told["100 steps take"].endswith(" s on one core")
    assert told["checked"] == "model, loss, gradient and metrics run"


def test_what_a_file_prints_stays_off_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file, a model and a loss that print leave one JSON object on stdout; doubts are in it."""
    (tmp_path / "loud.py").write_text(
        "import torch\nfrom ravine.tasks import Task\nprint('file')\n"
        "def make_task():\n    print('made')\n"
        "    def loss(m, b):\n        print('loss')\n        return m(b[0]).square().sum()\n"
        "    return Task(lambda: torch.nn.Linear(2, 1), loss, torch.ones(64, 2), 8)\n"
    )
    code, out, err = called(f"{tmp_path}/loud.py", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out)["notes"][0].startswith("twice the batch has twice the loss")
    assert {"file", "made", "loss"} == set(err.split())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("digits-mpl", "there is no task 'digits-mpl'; did you mean 'digits-mlp'? Known: "),
        ("no.py:make_task", "there is no file 'no.py'; write path/to/file.py:make_task"),
        ("{}:make_tusk", "has no function 'make_tusk'; did you mean 'make_task'?"),
        ("{}:spirals", "returned 'tuple' and not a task"),
    ],
)
def test_bad_input_is_one_sentence(text: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What cannot be loaded ends with exit code 2, one line on stderr and nothing on stdout, with --json too."""
    for more in ([], ["--json"]):
        code, out, err = called(text.format(ROOT / "examples/task.py"), *more, capsys=capsys)
        assert (code, out) == (2, "")
        assert sentence in err
        assert err.startswith("ravine: ")
        assert err.count("\n") == 1


PAGE = ROOT / "docs/tasks.md"


def test_the_page_prints_what_it_says() -> None:
    """Every example of docs/tasks.md runs."""
    flags = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    outcome = doctest.testfile(str(PAGE), module_relative=False, optionflags=flags, encoding="utf-8")
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_the_ten_lines_are_a_task(tmp_path: Path) -> None:
    """The file that docs/tasks.md shows is ten lines of code, loads as it says, and trains."""
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)[0]
    (tmp_path / "mytask.py").write_text(code)
    assert len([line for line in code.splitlines() if line]) <= 10
    done = train(load(f"{tmp_path}/mytask.py:make_task"), "heavyball:lr=0.1,mu=0.9", steps=100)
    assert done.loss < done.losses[0] / 2


def test_the_page_lists_every_task() -> None:
    """The table of docs/tasks.md has each task with the parameters, batch and steps that it has."""
    rows = re.findall(
        r"^\| `(.+?)` \|.*?\| ([\d,]+) \|.*\| (\d+), (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [row[0] for row in rows] == list(TASKS)
    for name, parameters, batch, steps in rows:
        made = load(name)
        size = sum(p.numel() for p in made.model().parameters())
        assert (f"{size:,}", made.batch, made.steps) == (parameters, int(batch), int(steps))
