"""Sweeps: rows, resuming, damaged and foreign parts, two at once, what is refused, and the command line."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ravine.errors import RavineError, SweepError
from ravine.rules import parse
from ravine.sweep import parts, read, sweep
from ravine.sweep.manifest import alone
from ravine.tasks import Task, load
from ravine.torch.training import train
from swept import AXES, TOY, one_by_one, rows, toy

__all__ = ["one_by_one"]  # a fixture

pytestmark = pytest.mark.usefixtures("one_by_one")


def make(folder: Path, axes: Any = None, **more: Any) -> Any:
    """Sweep the toy into folder/out, two rows to a part."""
    given = {"steps": 12, "seeds": 2, "chunk": 2, "engine": "lanes", **more}
    return sweep(toy(folder), "heavyball", axes or AXES, out=folder / "out", **given)


def part_files(folder: Path) -> list[Path]:
    """Return the parts of the sweep in folder/out."""
    return sorted((folder / "out" / "parts").glob("*.parquet"))


def test_a_row_is_the_training_that_train_makes(tmp_path: Path) -> None:
    """Loss, metrics, learning curve and end of every row are those of `ravine.torch.training.train`."""
    made = make(tmp_path)
    task = load(toy(tmp_path))
    assert made.counts == {"done": 8, "diverged": 4, "dropped": 0, "failed": 0, "missing": 0}
    for (method, seed), row in zip(made.grid.runs, made.trials, strict=True):
        trained = train(task, method, steps=12, seed=seed)
        assert (row.loss, row.metrics, row.stopped) == (trained.loss, trained.metrics, trained.stopped)
        curve = trained.losses[np.isfinite(trained.losses)]
        assert (list(row.curve), row.spent, row.at) == (curve.tolist(), len(curve), tuple(range(len(curve))))


def test_the_same_call_computes_nothing_twice(tmp_path: Path) -> None:
    """A second call computes no row and gives the same table; a larger grid computes only its new rows."""
    first = make(tmp_path)
    again = make(tmp_path)
    assert (first.computed, again.computed, rows(again)) == (12, 0, rows(first))
    wider = make(tmp_path, {"lr": [0.01, 0.03, 0.1, 50.0], "mu": "0,0.5,0.9"}, seeds=[0, 1, 7])
    assert (wider.computed, len(wider.trials)) == (36 - 12, 36)
    assert set(rows(first)) <= set(rows(wider))
    assert rows(make(tmp_path)) == rows(first)
    assert make(tmp_path, steps=13).computed == 12


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "foreign", "other columns", "another sweep"])
def test_a_damaged_part_is_set_aside_and_redone(tmp_path: Path, damage: str) -> None:
    """A part that is not whole or not this sweep's is renamed with a note, and its rows are computed again."""
    first = make(tmp_path)
    part = part_files(tmp_path)[2]
    data = part.read_bytes()
    if damage == "another sweep":
        other = make(tmp_path, steps=5)
        wrong = next(f for f in part_files(tmp_path) if f.name[:8] == parts.Identity(_of(other), 5, "float32").short)
        part.write_bytes(wrong.read_bytes())
    elif damage == "foreign":
        pq.write_table(pa.table({"loss": [1.0]}), part)
    elif damage == "other columns":
        pq.write_table(pq.read_table(part).drop_columns(["loss"]), part)
    else:
        middle = len(data) // 3
        flipped = data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]
        part.write_bytes({"truncated": data[: len(data) // 2], "empty": b"", "flipped": flipped}[damage])
    again = make(tmp_path)
    assert (again.computed, rows(again)) == (2, rows(first))
    assert part.with_name(f"{part.name}.set-aside").exists()
    assert sum("set aside" in note for note in again.notes) == 1
    assert make(tmp_path).computed == 0


def _of(made: Any) -> str:
    return str(made.manifest["task"]["fingerprint"])


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    """Files in the folder that are no parts stay as they are."""
    (tmp_path / "out" / "parts").mkdir(parents=True)
    theirs = [tmp_path / "out" / "notes.txt", tmp_path / "out" / "parts" / "mine.parquet"]
    for file in theirs:
        file.write_text("mine")
    made = make(tmp_path)
    assert [file.read_text() for file in theirs] == ["mine", "mine"]
    assert any("mine.parquet is no part of a sweep" in note for note in made.notes)


def test_a_part_twice_gives_no_row_twice(tmp_path: Path) -> None:
    """Of two parts with the same rows one counts, as where two sweeps have computed the same chunk."""
    first = make(tmp_path)
    part = part_files(tmp_path)[0]
    part.with_name(part.name[:-17] + "0" * 12 + ".parquet").write_bytes(part.read_bytes())
    assert rows(read(tmp_path / "out")) == rows(first)
    assert len(pq.read_table(tmp_path / "out" / "sweep.parquet")) == 12


def test_a_second_sweep_takes_over_the_rows_of_the_first(tmp_path: Path) -> None:
    """While another is at work a sweep begins at the other end, says so, and ends with the same table."""
    said: list[str] = []
    whole = make(tmp_path)
    for file in part_files(tmp_path)[:3]:
        file.unlink()
    with alone(tmp_path / "out") as first:
        assert first
        again = make(tmp_path, say=said.append)
    assert any("another sweep is at work" in sentence for sentence in said)
    assert rows(again) == rows(whole)


def test_a_broken_manifest_is_written_anew_and_a_foreign_one_is_refused(tmp_path: Path) -> None:
    """Half a manifest is set aside; somebody else's manifest.json keeps the sweep out of the folder."""
    first = make(tmp_path)
    manifest = tmp_path / "out" / "manifest.json"
    told = json.loads(manifest.read_text())
    assert (told["seeds"], told["steps"], told["dtype"], told["task"]["name"]) == ([0, 1], 12, "float32", "toy")
    assert {"ravine", "torch", "python", "numpy"} <= told["versions"].keys()
    manifest.write_text(manifest.read_text()[:100])
    assert rows(make(tmp_path)) == rows(first)
    assert manifest.with_name("manifest.json.set-aside").exists()
    manifest.write_text('{"name": "an app"}')
    with pytest.raises(SweepError, match="is not of a sweep"):
        make(tmp_path)
    assert manifest.read_text() == '{"name": "an app"}'


def test_a_full_disk_is_one_sentence_and_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the third part cannot be written, two stay, no half a file is left, and the same call goes on."""
    real, count = parts.write_part, iter(range(100))

    def full(file: Path, *rest: Any) -> None:
        if next(count) == 2:
            file.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(file, *rest)

    monkeypatch.setattr(parts, "write_part", full)
    with pytest.raises(SweepError, match=r"No space left on device; what is there is kept"):
        make(tmp_path)
    assert len(os.listdir(tmp_path / "out" / "parts")) == 2
    assert make(tmp_path).computed == 8


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only folder and a file in its place are refused before anything is trained."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SweepError, match="it is a file"):
        sweep(toy(tmp_path), out=tmp_path / "file")

    def denied(**_: Any) -> None:
        raise PermissionError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with pytest.raises(SweepError, match=r"Read-only file system.*what is there is kept"):
        make(tmp_path)


def test_a_training_that_raises_is_a_row_with_its_reason(tmp_path: Path) -> None:
    """A loss that raises in some trainings gives failed rows; `retry` trains these again, and only these."""
    source = TOY.replace("data=(x, y)", "data=data").replace("    return Task(", DATA + "    return Task(")
    (tmp_path / "toy.py").write_text(source)
    what = f"{tmp_path / 'toy.py'}:make_task"
    given: dict[str, Any] = {"axes": {"lr": 0.1, "mu": "0,0.9"}, "seeds": 3, "steps": 4, "out": tmp_path / "out"}
    made = sweep(what, "nag", **given, engine="lanes")
    assert made.counts["failed"] == 6
    assert {t.reason for t in made.trials} == {"toy: its data raised OSError: the disk is gone; mend it"}
    assert made.best is None
    assert sweep(what, "nag", **given, engine="lanes").computed == 0
    assert sweep(what, "nag", **given, engine="lanes", retry=True).computed == 6


DATA = """
    def data(seed):
        yield x[:40], y[:40]
        yield x[40:80], y[40:80]
        raise OSError("the disk is gone")

"""


def test_a_task_of_python_goes_through_this_process(tmp_path: Path) -> None:
    """A `Task` that was made here is swept, and found again by its fingerprint."""
    x = torch.linspace(-1, 1, 60)[:, None]
    task = Task(torch.nn.Flatten, lambda model, batch: batch[0].mean(), (x,), batch=20)
    task = Task(lambda: torch.nn.Linear(1, 1), lambda m, b: (m(b[0]) - b[0]).square().mean(), (x,), batch=20, steps=5)
    made = sweep(task, "sgd", {"lr": "0.01,0.1"}, out=tmp_path, engine="lanes")
    assert made.counts["done"] == 2
    assert sweep(task, "sgd", {"lr": "0.01,0.1"}, out=tmp_path, engine="lanes").computed == 0


def test_the_best_cell_is_the_lowest_median(tmp_path: Path) -> None:
    """The best cell has the lowest median loss over its seeds; at the end of an axis the sweep says so."""
    made = make(tmp_path, {"lr": [0.001, 0.01, 0.1], "mu": [0.0, 0.5, 0.9]}, seeds=3)
    losses = {str(c.method): float(np.median([t.loss for t in c.trials])) for c in made.cells}
    assert str(made.best.method) == min(losses, key=lambda name: losses[name])
    assert made.border == tuple(axis for axis in ("lr", "mu") if made.best.method.settings[axis] in (0.1, 0.9, 0.001))
    assert made.cell(lr=0.1, mu=0.9).method.settings["lr"] == 0.1
    told = json.loads(json.dumps(made.summary(), allow_nan=False))
    assert told["best"]["method"] == str(made.best.method)


def test_schedules_are_values(tmp_path: Path) -> None:
    """An axis may hold schedules; one that leaves its range within the steps is refused before any work."""
    made = make(tmp_path, {"lr": "cosine(0.1,12),0.1", "mu": "0.9"}, seeds=1)
    assert made.columns()["lr"].tolist() == ["cosine(0.1,12)", "0.1"]
    assert made.trials[0].loss == train(load(toy(tmp_path)), parse("heavyball:lr=cosine(0.1,12),mu=0.9"), steps=12).loss
    with pytest.raises(SweepError, match="below 1"):
        make(tmp_path, {"lr": "0.1", "mu": "ramp(0.5,2,0.2)"})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"engine": "rays"}, "did you mean 'ray'"),
        ({"engine": "processes", "cluster": "local"}, "leave --engine or --cluster out"),
        ({"dtype": "float8"}, "no dtype 'float8'"),
        ({"device": "abacus"}, "cpu always can"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"chunk": -1}, "chunk must be"),
        ({"gpus": 1.0}, "go with --cluster"),
        ({"gpus": -1.0, "engine": "ray"}, "a number from 0 on"),
        ({"halving": 0.5}, "above 1"),
        ({"curvature": -1.0}, "above 0"),
    ],
)
def test_what_is_no_sweep_is_refused(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    """Bad input is one sentence, and nothing is trained."""
    with pytest.raises(RavineError) as caught:
        make(tmp_path, **wrong)
    assert words in str(caught.value)
    assert not part_files(tmp_path)


def test_rows_for_others(tmp_path: Path) -> None:
    """sweep.parquet and the CSV hold the same rows; the Parquet file has the learning curves too."""
    made = make(tmp_path)
    made.export(tmp_path / "rows.csv")
    table = pq.read_table(tmp_path / "out" / "sweep.parquet")
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    assert table.column_names[:-2] == lines[0].split(",")
    assert len(table) == len(lines) - 1 == 12
    assert table["loss"].to_pylist() == [t.loss for t in made.trials]
    assert [tuple(each) for each in table["curve_loss"].to_pylist()] == [t.curve for t in made.trials]
