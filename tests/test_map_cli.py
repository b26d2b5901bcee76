"""`ravine map`: JSON and nothing else, tables, notes, and every kind of bad input in one sentence."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ravine.cli.app import run

TILTED = "x^2 + x*y + 25y^2"
SMALL = ("--size", "6", "--steps", "30")


def called(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run(("map", *arguments))
    told = capsys.readouterr()
    return code, told.out, told.err


def notes_alone(err: str) -> bool:
    """Say whether every line is a note, such as that something is being compiled."""
    return all(line.startswith("note: ") for line in err.splitlines())


def test_json_is_one_object_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json stdout is one JSON object with the promised keys, and no file is written unasked."""
    monkeypatch.chdir(tmp_path)
    code, out, err = called(
        TILTED, "--rule", "nag", "--lr", "0:0.08", "--mu", "0:0.95", "--size", "12", "--start", "3,-2", "--json",
        capsys=capsys,
    )  # fmt: skip
    assert code == 0
    assert notes_alone(err)
    told = json.loads(out)
    assert out.count("\n") == 1
    assert told["seconds"].keys() == {"compile", "compute"}
    assert all(isinstance(seconds, float) for seconds in told["seconds"].values())
    assert told["best"].keys() == {"lr", "mu", "steps"}
    assert told["optimum"].keys() >= {"lr", "mu", "rate"}
    assert told["boundary"]["agreement"] == 1.0
    assert (told["surface"], told["rule"], told["start"], told["steps"]) == (TILTED, "nag", [3, -2], 200)
    assert told["axes"] == {
        "lr": {"low": 0, "high": 0.08, "size": 12, "scale": "linear"},
        "mu": {"low": 0, "high": 0.95, "size": 12, "scale": "linear"},
    }
    assert not list(tmp_path.iterdir())


def test_json_of_several_rules(capsys: pytest.CaptureFixture[str]) -> None:
    """Of several rules one object holds all summaries, over the same ranges; 'all' are those that have an lr."""
    code, out, _ = called(
        TILTED, "-r", "nag", "-r", "sgd", "--show", "predicted", "--size", "4", "--json", capsys=capsys
    )
    assert code == 0
    maps = json.loads(out)["maps"]
    assert [told["rule"] for told in maps] == ["nag", "sgd"]
    assert maps[0]["axes"] == maps[1]["axes"]
    code, out, _ = called(TILTED, "-r", "all", "--show", "predicted", "--size", "3", "--json", capsys=capsys)
    assert code == 0
    assert [told["rule"] for told in json.loads(out)["maps"]] == [
        "sgd", "classical", "heavyball", "nag", "nesterov", "keras_nesterov", "ema", "qhm"
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz", "json"])
def test_tables_are_written(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each suffix of a table gives a file of that kind, a table on stdout and nothing but notes on stderr."""
    file = tmp_path / f"map.{suffix}"
    code, out, err = called(TILTED, "-r", "nag", *SMALL, "--start", "3,-2", "--out", str(file), capsys=capsys)
    assert code == 0
    assert notes_alone(err)
    assert out.splitlines()[-1] == f"written: {file}"
    assert {"rule", "reached", "diverged", "best", "optimum"} <= set(out.splitlines()[0].split())
    assert out.splitlines()[1].split()[0] == "nag"
    magic = {"csv": b"mu,lr,outcome,steps,value,predicted_rate", "parquet": b"PAR1", "npz": b"PK", "json": b"{"}
    assert file.read_bytes().startswith(magic[suffix])
    if suffix == "csv":
        assert file.read_text().count("\n") == 37
    if suffix == "npz":
        with np.load(file) as grids:
            assert grids["steps"].shape == (6, 6)


def test_the_options_reach_the_map(capsys: pytest.CaptureFixture[str]) -> None:
    """Scales, another axis, a fixed setting, starts, steps, target and what is shown stand in the summary."""
    code, out, _ = called(
        "spectrum(2,50)", "-r", "qhm:mu=0.9", "--lr", "1e-3:1:log", "--axis", "nu=0.2:0.9", "--size", "5", "-n", "17",
        "-s", "3,-2", "-s", "1,1", "--target", "0.5", "--show", "rate", "--json", capsys=capsys,
    )  # fmt: skip
    assert code == 0
    told = json.loads(out)
    assert told["axes"] == {
        "lr": {"low": 1e-3, "high": 1, "size": 5, "scale": "log"},
        "nu": {"low": 0.2, "high": 0.9, "size": 5, "scale": "linear"},
    }
    assert told["settings"] == {"mu": 0.9}
    assert (told["start"], told["steps"], told["target"], told["show"]) == ([[3, -2], [1, 1]], 17, 0.5, "rate")
    assert told["engine"] == "batched"


def test_what_is_not_compiled_is_said_out_loud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A function of the user's own and a schedule are walked in NumPy, which a note on stderr says."""
    file = tmp_path / "mine.py"
    file.write_text("def bowl(x, y):\n    return x**2 + 25 * y**2\n")
    out = str(tmp_path / "map.csv")
    options = ("--lr", "0:0.05", "--mu", "0:0.9", *SMALL, "--start", "3,-2", "--out", out)
    code, _, err = called(f"{file}:bowl", "-r", "nag", *options, capsys=capsys)
    assert code == 0
    assert "NumPy" in err
    assert notes_alone(err)
    code, _, err = called(TILTED, "-r", "qhm:nu=linear(0.7,1,20)", *options, capsys=capsys)
    assert code == 0
    assert "a schedule changes the row at every step" in err
    code, _, err = called(TILTED, "-r", "sgd", *options, capsys=capsys)
    assert code == 0
    assert "sgd has no mu" in err


def test_a_map_where_everything_diverges_is_a_result(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Where no cell reaches the target the exit code is 0, the best cell null and the table says a dash."""
    far = (TILTED, "-r", "nag", "--lr", "1:2", "--mu", "0:0.9", *SMALL, "--start", "3,-2")
    code, out, _ = called(*far, "--json", capsys=capsys)
    assert code == 0
    told = json.loads(out)
    assert told["best"] is None
    assert told["cells"]["diverged"] == 36
    code, out, _ = called(*far, "--out", str(tmp_path / "a.csv"), capsys=capsys)
    assert code == 0
    assert "–" in out


def test_compiling_is_said_once(tmp_path: Path) -> None:
    """A first map of a new function says on stderr that it is being compiled, also beside --json; stdout stays JSON."""
    arguments = [sys.executable, "-m", "ravine", "map", "3x^2 + 11", "--size", "3", "--steps", "9", "--json"]
    environment = {**os.environ, "RAVINE_CACHE": str(tmp_path)}
    first, second = (
        subprocess.run(arguments, capture_output=True, text=True, check=True, env=environment) for _ in range(2)
    )
    assert first.stderr.count("\n") == 1
    assert first.stderr.startswith("note: compiling")
    assert second.stderr == ""
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    assert two["seconds"]["compile"] < one["seconds"]["compile"]
    assert {**one, "seconds": 0} == {**two, "seconds": 0}


BAD: list[tuple[tuple[str, ...], str]] = [
    (("bowl", "--lr", "1:0"), "runs backwards"),
    (("bowl", "--mu", "0.9:0.1"), "runs backwards"),
    (("bowl", "--lr", "0.1:0.1"), "is empty"),
    (("bowl", "--lr", "small:large"), "lo:hi"),
    (("bowl", "--lr", "0.1"), "lo:hi"),
    (("bowl", "--lr", "nan:1"), "finite"),
    (("bowl", "--lr", "0:1e400"), "finite"),
    (("bowl", "--lr", "0:1:log"), "above 0"),
    (("bowl", "--lr", "1:2:cube"), "linear, log, near1"),
    (("bowl", "--mu", "0:1"), "mu must be from 0 to below 1"),
    (("bowl", "--mu", "0:1:near1"), "below 1"),
    (("bowl", "--mu", "0.5:1.5"), "mu must be from 0 to below 1"),
    (("bowl", "--lr", "-1:1"), "lr must be 0 or more"),
    (("bowl", "--size", "1"), "from 2 to 5000"),
    (("bowl", "--size", "0"), "from 2 to 5000"),
    (("bowl", "--size", "1000000"), "14 TB"),
    (("bowl", "--size", "many"), "size"),
    (("bowl", "--steps", "0"), "steps"),
    (("bowl", "--steps", "1000000000000"), "steps"),
    (("bowl", "--target", "nan"), "target"),
    (("bowl", "--show", "colours"), "steps, value, rate, predicted"),
    (("bowl", "--axis", "beta=0:1"), "its settings are lr, mu"),
    (("bowl", "--axis", "nu"), "NAME=lo:hi"),
    (("bowl", "--axis", "=0:1"), "NAME=lo:hi"),
    (("bowl", "--axis", "lr=0:1", "--lr", "0:0.5", "--size", "3"), "lr"),
    (("bowl", "--axis", "lr=0:1", "--axis", "lr=0:2", "--size", "3"), "lr"),
    (("bowl", "--rule", "qhm", "--lr", "0:1", "--mu", "0:0.9", "--axis", "nu=0:1"), "two axes"),
    (("bowl", "--rule", "qhm:nu=0.5", "--axis", "nu=0:1"), "both fixed and an axis"),
    (("bowl", "--rule", "nag:lr=0.1", "--lr", "0:1"), "both fixed and an axis"),
    (("bowl", "--rule", "nag:lr=0.1,mu=0.9"), "two axes"),
    (("bowl", "--rule", "nag:mu=0.9"), "two axes"),
    (("bowl", "--rule", "clasical"), "did you mean 'classical'?"),
    (("bowl", "--rule", "nag:beta=3"), "no setting 'beta'"),
    (("bowl", "--rule", "nag:lr"), "cannot read the settings"),
    (("bowl", "--rule", "triple", "--lr", "0:1"), "triple has no lr; its settings are L, m"),
    (("bowl", "--rule", "triple", "--axis", "L=1:2", "--axis", "m=1.5:3"), "must not be above L"),
    (("bowl", "--start", "1,2,3"), "2 coordinates"),
    (("bowl", "--start", "one,2"), "start"),
    (("bowl", "--start", "1,2", "--start", "1"), "same number of coordinates"),
    (("rosenbrok",), "rosenbrock"),
    (("x^2 - y^2",), "no minimum is known"),
    (("x + y",), "no minimum is known"),
    (("x^2 - y^2", "--lr", "0:1"), "--target"),
    (("x + y", "--lr", "0:1"), "--target"),
    (("x^2 - y^2", "--lr", "0:1", "--show", "predicted"), "no rate can be predicted"),
    (("bowl", "--rule", "qhm:nu=linear(0,1,9)", "--show", "predicted"), "no rate can be predicted"),
    (("x - log(x)", "--start", "-1"), "undefined at the start"),
    (("bowl", "--rule", "sgd", "--rule", "nag", "--out", "a.gif"), "one rule"),
    (("bowl", "--show", "value", "--out", "a.mp4"), "a film of maps shows"),
    (("bowl", "--rule", "sgd", "--rule", "nag", "--out", "a.csv"), "suffix"),
    (("bowl", "--out", "a.xyz"), "suffix"),
    (("bowl", "--out", "/no/such/folder/a.png"), "no such folder"),
    (("bowl", "--nosuch"), "nosuch"),
    (("__import__('os')",), "cannot read"),
]


@pytest.mark.parametrize(("arguments", "word"), BAD, ids=[" ".join(a)[:50] for a, _ in BAD])
@pytest.mark.parametrize("json_too", [False, True], ids=["table", "json"])
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...],
    word: str,
    json_too: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that names the matter, no traceback, no file left."""
    monkeypatch.chdir(tmp_path)
    code, out, err = called(*arguments, *(["--json"] if json_too else []), capsys=capsys)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("ravine: ")
    assert word in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_no_sentence_has_a_hole() -> None:
    """A message that lists what it got lists something."""
    from ravine.errors import MapError
    from ravine.ranges import rule_of

    with pytest.raises(MapError, match="two axes") as caught:
        rule_of("classical:lr=0.1,mu=0.9", {})
    assert "got ;" not in str(caught.value)


def test_help_fits_a_screen() -> None:
    """`ravine map --help` names every option in at most 40 lines of 100 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "ravine", "map", "--help"], capture_output=True, text=True, check=True,
        env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    options = (
        "--rule",
        "--lr",
        "--mu",
        "--axis",
        "--size",
        "--steps",
        "--start",
        "--target",
        "--show",
        "--out",
        "--json",
    )
    for option in options:
        assert option in done.stdout
