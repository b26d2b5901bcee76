"""`ravine tune`: what it prints and writes, and the evidence."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import typer

from ravine.cli.tune import tune
from ravine.draw import evidence
from ravine.errors import RavineError
from ravine.tuning import Recommendation
from ravine.tuning import tune as search

TASK = """
import torch
from ravine.tasks import Task

torch.manual_seed(0)
x = torch.randn(60, 4)
y = x @ torch.randn(4, 1) + 0.1 * torch.randn(60, 1)


def make_task():
    return Task(
        model=lambda: torch.nn.Linear(4, 1),
        loss=lambda model, batch: (model(batch[0]) - batch[1]).square().mean() FACTOR,
        data=(x, y),
        batch=12,
        steps=24,
    )
"""

app = typer.Typer()
app.command()(tune)


def _run(*arguments: str) -> int:
    code = app(args=list(arguments), standalone_mode=False)
    return code if isinstance(code, int) else 0


@pytest.fixture
def task(tmp_path: Path) -> str:
    file = tmp_path / "mine.py"
    file.write_text(TASK.replace("FACTOR", ""))
    return f"{file}:make_task"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Recommendation:
    file = tmp_path_factory.mktemp("task") / "mine.py"
    file.write_text(TASK.replace("FACTOR", ""))
    made = search(f"{file}:make_task", 14, "heavyball")
    assert isinstance(made, Recommendation)
    return made


def test_json_is_one_object(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints one object that holds the settings, the lines and what was spent, and nothing else."""
    assert _run(task, "--budget", "4", "--rule", "nesterov", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rule"] == "nesterov"
    assert told["budget"]["total"] <= told["budget"]["gradients"] == 96
    assert told["torch"][0].startswith("optimizer = ravine.torch.Momentum(")


def test_a_folder_gets_all_files(task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--out DIR writes the page, the figure, the trials and the JSON, which tell the same."""
    assert _run(task, "--budget", "4", "--out", str(tmp_path / "new")) == 0
    told = json.loads((tmp_path / "new" / "tune.json").read_text())
    with (tmp_path / "new" / "trials.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == len(told["trials"])
    page = (tmp_path / "new" / "evidence.html").read_text()
    assert told["torch"][0].split("(")[0] in page
    assert (tmp_path / "new" / "evidence.png").read_bytes().startswith(b"\x89PNG")
    assert told["torch"][0] in capsys.readouterr().out


def test_a_surface_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """For a surface the exact optimum is printed."""
    assert _run("x^2 + 50y^2", "--rule", "heavyball", "--json") == 0
    assert round(json.loads(capsys.readouterr().out)["settings"]["lr"], 10) == 0.0307020944


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no-such-task",), "there is no task 'no-such-task'"),
        (("bowl", "--rule", "nagg"), "no rule is called 'nagg'"),
        (("bowl", "--out", "x.tiff"), "the suffix '.tiff' is unknown"),
        (("x^2 +",), "x\\^2"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[str, ...], message: str) -> None:
    """What cannot be tuned or written is refused."""
    with pytest.raises(RavineError, match=message):
        _run(*arguments)


def test_nan_from_the_first_step_is_one_sentence(tmp_path: Path) -> None:
    """A loss that is no number is refused before anything is trained."""
    (tmp_path / "bad.py").write_text(TASK.replace("FACTOR", "* float('nan')"))
    with pytest.raises(RavineError, match="nan"):
        _run(f"{tmp_path / 'bad.py'}:make_task", "--budget", "4")


# The evidence ----------------------------------------------------------------------------------------------------


def test_the_evidence_holds_every_trial(found: Recommendation) -> None:
    """Every trial but the usual ones is a dot, and the parts of the cost are what was spent."""
    shown = evidence.picture(found)
    assert {(d.lr, d.loss) for d in shown.dots} == {(t.cell.lr, t.loss) for t in found.trials if t.purpose != "usual"}
    assert sum(spent for _, spent in shown.cost) == pytest.approx(sum(found.spent.values()) / found.steps)
    assert [curve.usual for curve in shown.curves] == [False, True, True]


def test_the_figure_has_its_three_parts(found: Recommendation) -> None:
    """The figure draws the map, the curves and the cost, and the map marks the recommended learning rate."""
    made: Any = found.plot()
    chart, curves, cost = (ax for ax in made.axes if ax.get_label() != "<colorbar>")
    star = [c for c in chart.collections if c.get_label() == "recommended"]
    assert star[0].get_offsets()[0][0] == pytest.approx(found.lr)
    assert len(curves.lines) == 3
    assert len(cost.patches) == len(evidence.picture(found).cost)


def test_the_page_stands_alone(found: Recommendation) -> None:
    """The page refers to nothing elsewhere and lists each cell that was trained to the end."""
    page = evidence.page(found)
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert page.count("<tr>") >= len(found.table) + 2
