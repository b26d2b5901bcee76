"""Pictures of sweeps and the command line: the data of the map, the files, and what is printed."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravine import algebra
from ravine.draw.sweepdata import picture, place
from ravine.sweep import sweep
from swept import AXES, TOY, one_by_one, toy

__all__ = ["one_by_one"]  # a fixture

pytestmark = pytest.mark.usefixtures("one_by_one")
CURVATURE = 20.0


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Sweep the toy: four cells end, two diverge."""
    return sweep(toy(tmp_path), "heavyball", AXES, steps=12, seeds=2, out=tmp_path / "out", engine="lanes",
                 curvature=CURVATURE)  # fmt: skip


def test_the_map_holds_the_medians(made: Any) -> None:
    """A tile holds the median loss of its cell, and one that diverged says so; the best is framed."""
    shown = picture(made)
    assert [[t.kind for t in line] for line in shown.tiles] == [["done", "done", "diverged"]] * 2
    for j, mu in enumerate((0.0, 0.9)):
        for i, lr in enumerate((0.01, 0.1)):
            losses = [t.loss for t in made.cell(lr=lr, mu=mu).trials]
            assert shown.tiles[j][i].loss == np.median(losses)
    row, column = shown.best
    assert shown.tiles[row][column].loss == min(t.loss for line in shown.tiles for t in line if t.kind == "done")
    assert [curve.kind for curve in shown.curves] == ["best", "usual", "diverged"]


def test_the_limit_line_is_the_theory(made: Any) -> None:
    """The line passes 2(1 + mu)/h at every mu, placed between the cells as their logarithms are."""
    shown = picture(made)
    line, label = shown.limit
    assert f"{CURVATURE:g}" in label
    for mu, row in ((0.0, 0), (0.9, -1)):
        limit = float(algebra.limit_lr("heavyball", CURVATURE, mu=mu))
        expected = np.interp(np.log(limit), np.log([0.01, 0.1, 50.0]), [0, 1, 2])
        np.testing.assert_allclose(line[row], (expected, row % 2), atol=1e-9)
    assert place(shown.x, np.array([0.001]))[0] == pytest.approx(-1.0)


def test_the_valley_is_against_the_effective_learning_rate(made: Any) -> None:
    """Each series has the effective learning rate lr/(1 - mu) of its cells."""
    shown = picture(made)
    assert [series.label for series in shown.valley] == ["mu=0", "mu=0.9"]
    np.testing.assert_allclose(shown.valley[1].lr, np.array([0.01, 0.1, 50.0]) / 0.1)
    assert np.isinf(shown.valley[1].loss[-1])


@pytest.mark.parametrize("axes", [AXES, {"lr": "0.01,0.1", "mu": "0.9"}, {"lr": "cosine(0.1,12),0.1", "mu": "0,0.9"}])
def test_every_sweep_can_be_drawn(tmp_path: Path, axes: Any) -> None:
    """A grid, a single axis, one of schedules: figure and page are made, and the page loads nothing."""
    done = sweep(toy(tmp_path), "heavyball", axes, steps=6, out=tmp_path / "out", engine="lanes", curvature=3.0)
    figure = done.plot()
    figure.canvas.draw()
    assert len(figure.axes) >= 3
    page = done.page()
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe)[^>]*(src|href)=", page)
    assert done.best.method.label in page


def test_where_everything_diverged_there_is_still_a_picture(tmp_path: Path) -> None:
    """A sweep without a finite loss has no best cell, and is drawn."""
    done = sweep(
        toy(tmp_path), "heavyball", {"lr": "1e4,1e5", "mu": "0,0.9"}, steps=12, out=tmp_path / "out", engine="lanes"
    )
    assert done.best is None
    done.plot().canvas.draw()
    assert "diverged" in done.page()


def _typed(folder: Path, *words: str) -> int:
    from ravine.cli import app

    return app.run(["sweep", toy(folder), "--out", str(folder / "out"), *words])


def test_the_command_prints_the_best_and_writes_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`ravine sweep` prints the best cells and leaves the rows, map.png and map.html in its folder."""
    words = ["--lr", "0.01,0.1", "--mu", "0,0.9", "--steps", "6", "--seeds", "0,3", "--engine", "lanes"]
    assert _typed(tmp_path, *words, "--export", str(tmp_path / "out" / "rows.csv")) == 0
    printed = capsys.readouterr().out
    assert "best cells" in printed
    assert "8 done; 8 computed now" in printed
    assert {"manifest.json", "map.html", "map.png", "parts", "rows.csv", "sweep.parquet"} <= {
        file.name for file in (tmp_path / "out").iterdir()
    }


def test_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json one object is printed, with the best cell and the counts, though some cells diverged."""
    words = ["--lr", "0.01,50", "--mu", "0.9", "--steps", "12", "--engine", "lanes", "--json", "--axis", "tau=0,0.5"]
    assert _typed(tmp_path, *words, "--figure", str(tmp_path / "map.svg")) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["counts"]["done"], told["counts"]["diverged"], told["rows"]) == (2, 2, 4)
    assert told["best"]["settings"]["lr"] == 0.01
    assert (tmp_path / "map.svg").stat().st_size > 1000


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("engine", ["lanes", "processes"])
def test_what_a_task_prints_is_no_part_of_the_object(
    engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A loss that prints does so on stderr, in this process and in workers; stdout is one object."""
    made = toy(tmp_path, TOY.replace("lambda model, batch: (", "lambda model, batch: print('trained') or ("))
    words = ["--lr", "0.01", "--mu", "0.5", "--steps", "3", "--engine", engine, "--workers", "1", "--json"]
    from ravine.cli import app

    assert app.run(["sweep", made, *words, "--out", str(tmp_path / "out"), "--figure", str(tmp_path / "map.svg")]) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["rows"] == 1
    assert told.err.count("trained") >= 3


@pytest.mark.parametrize(
    "words",
    [
        ["--lr", "1e-4:1"],
        ["--seeds", "x"],
        ["--axis", "tau"],
        ["--axis", "lr=1,2"],
        ["--engine", "rocket"],
        ["--figure", "map.bmp"],
        ["--export", "rows.xls"],
        ["--rule", "qhm"],
        ["--rule", "nosuchrule"],
    ],
)
def test_what_is_typed_wrong_is_one_sentence(
    tmp_path: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input exits with 2 and one sentence, before anything is trained."""
    assert _typed(tmp_path, *words) == 2
    told = capsys.readouterr()
    assert not told.out
    assert len(told.err.strip().splitlines()) == 1
    assert not (tmp_path / "out" / "parts").exists()
