"""The command line: exit codes, one sentence on stderr, JSON and nothing else on stdout, every format."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ravine.cli.app import run


def called(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run(arguments)
    told = capsys.readouterr()
    return code, told.out, told.err


def test_race_without_arguments_draws_figure_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`ravine race` alone writes race.png and prints a line for each of four runs."""
    monkeypatch.chdir(tmp_path)
    code, out, err = called("race", capsys=capsys)
    assert (code, err) == (0, "")
    assert (tmp_path / "race.png").read_bytes().startswith(b"\x89PNG")
    assert out.count("lr=") == 4


def test_json_is_one_object_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json stdout is one JSON object, stderr is empty and no file is written unasked."""
    monkeypatch.chdir(tmp_path)
    race = (
        "race",
        "x**2 + 50*y**2",
        "--start",
        "180,90",
        "--rule",
        "sgd:lr=0.01",
        "--rule",
        "classical:lr=0.01,mu=0.5",
    )
    code, out, err = called(*race, "--steps", "100", "--json", capsys=capsys)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["surface"] == "x**2 + 50*y**2"
    assert [r["final"][0] for r in told["runs"]] == pytest.approx([23.87152006, 2.63583911], rel=1e-8)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("rules",),
        ("surfaces",),
        ("surfaces", "bowl", "--at", "1,2", "--check"),
        ("surfaces", "sqrt(x)", "--at", "0"),
        pytest.param(("gallery", "out"), marks=pytest.mark.slow),  # draws all of it; its claims have tests of their own
        ("film", "bowl", "--seconds", "0.2"),
    ],
)
def test_every_command_has_json(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command prints one JSON object on request."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = called(*arguments, "--json", capsys=capsys)
    assert code == 0
    assert isinstance(json.loads(out), dict)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "gif", "webp", "html", "csv", "parquet", "json"])
def test_the_suffix_chooses_the_format(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each suffix of the contract gives a file of that kind."""
    out = tmp_path / f"race.{suffix}"
    code, _, err = called("race", "bowl", "--rule", "sgd:lr=0.01", "--steps", "5", "--out", str(out), capsys=capsys)
    assert (code, err) == (0, "")
    magic = {
        "png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "gif": b"GIF8", "webp": b"RIFF", "html": b"<!doctype",
        "csv": b"run,rule", "parquet": b"PAR1", "json": b"{",
    }  # fmt: skip
    assert out.read_bytes().startswith(magic[suffix])


def test_exports_hold_every_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """CSV and Parquet hold the same numbers to the last bit, a row a step."""
    import pandas
    import pyarrow.parquet

    for suffix in ("csv", "parquet", "json"):
        called(
            "race",
            "bowl",
            "-r",
            "sgd:lr=0.01",
            "-r",
            "nag:lr=0.01,mu=0.9",
            "-o",
            str(tmp_path / f"a.{suffix}"),
            capsys=capsys,
        )
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pandas()
    text = pandas.read_csv(tmp_path / "a.csv", dtype=str).astype({"x": float, "y": float, "value": float})
    assert len(table) == 202
    assert (table[["x", "y", "value"]].to_numpy() == text[["x", "y", "value"]].to_numpy()).all()
    assert json.loads((tmp_path / "a.json").read_text())["runs"][1]["values"] == table[table.run == 1].value.tolist()


RACE = ("race", "x^2+50y^2", "--start", "180,90", "--rule", "sgd:lr=0.01")
BAD = [
    (("race", "9**9**9**9"), "too large"),
    (("race", "x" * 1_000_000), "too long"),
    (("race", "(" * 10_000 + "x" + ")" * 10_000), "too long"),
    (("race", "(" * 900 + "x" + ")" * 900), "brackets"),
    (("race", "__import__('os')"), "cannot read"),
    (("race", "().__class__"), "cannot read"),
    (("race", "rosenbrok"), "rosenbrock"),
    (("race", "bowl", "--start", "1,2,3"), "2 coordinates"),
    (("race", "bowl", "--start", "one,2"), "start"),
    (("race", "bowl", "--rule", "clasical:lr=0.1,mu=0.9"), "classical"),
    (("race", "bowl", "--rule", "sgd:lr=nan"), "lr must be 0 or more"),
    (("race", "bowl", "--rule", "classical:lr=0.1,mu=1.5"), "mu must be"),
    (("race", "bowl", "--rule", "sgd:lr=-1"), "lr must be"),
    ((*RACE, "--steps", "0"), "steps"),
    ((*RACE, "--steps", "1000000000000"), "steps"),
    ((*RACE, "--steps", "ten"), "steps"),
    ((*RACE, "--out", "/no/such/folder/a.png"), "no such folder"),
    ((*RACE, "--out", "a.xyz"), "suffix"),
    ((*RACE, "--view", "sideways"), "contours"),
    ((*RACE, "--tol", "-1"), "tol"),
    ((*RACE, "--nosuch"), "nosuch"),
    ((*RACE, "--panels", "foo"), "panels"),
    ((*RACE, "--seed", "-1"), "seed"),
    ((*RACE, "--target", "nan"), "target"),
    ((*RACE, "--out", "n" * 250 + ".png"), "too long"),
    (("race", ""), "cannot read"),
    (("race", "-x^2"), "--"),
    (("race", "log(x)", "--start", "-1", "--rule", "sgd:lr=0.1"), "undefined at the start"),
    (("race", "FILE:raises", "--start", "1,1"), "bad.py:raises raised RuntimeError"),
    (("race", "FILE:vector", "--start", "1,1"), "bad.py:vector returned shape"),
    (("race", "FILE:nothing", "--start", "1,1"), "bad.py:nothing"),
    (("race", "FILE:missing", "--start", "1,1"), "no function"),
    (("race", "nofile.py:f", "--start", "1,1"), "no file"),
    (("film", "bowl", "--out", "a.png"), "suffix"),
    (("film", "spectrum(1,2,3)"), "one or two"),
    (("film", "bowl", "--seconds", "0"), "seconds"),
    (("gallery", "/no/such/folder/deep"), "no such folder"),
    (("surfaces", "nosuchthing(3)"), "unknown name"),
    (("surfaces", "log(x)", "--at", "-1"), "undefined"),
    (("dance",), "dance"),
]


@pytest.mark.parametrize(("arguments", "word"), BAD, ids=[" ".join(a)[:40] for a, _ in BAD])
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...],
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that names the matter, no traceback, and no file left."""
    monkeypatch.chdir(tmp_path)
    bad = tmp_path / "bad.py"
    bad.write_text(
        "def raises(x): raise RuntimeError('on purpose')\ndef vector(x): return x\ndef nothing(x): return None\n"
    )
    begun = time.perf_counter()
    code, out, err = called(*(a.replace("FILE", str(bad)) for a in arguments), capsys=capsys)
    assert code == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("ravine: ")
    assert word in err
    assert "Traceback" not in err
    assert time.perf_counter() - begun < 20  # a hang, not a speed: speed is measured elsewhere
    assert {p.name for p in tmp_path.iterdir()} <= {"bad.py", "__pycache__"}


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`ravine --version` prints the installed version."""
    from importlib.metadata import version

    assert called("--version", capsys=capsys)[:2] == (0, f"ravine {version('ravine')}\n")


def test_divergence_is_a_result(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A diverging run exits with 0 and says so."""
    arguments = ("race", "bowl", "--rule", "sgd:lr=1", "--out", str(tmp_path / "a.png"))
    code, out, _ = called(*arguments, capsys=capsys)
    assert code == 0
    assert "diverged" in out


def test_notes_are_said_out_loud(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A gradient by differences and rules chosen by the program are told on stderr."""
    file = tmp_path / "mine.py"
    file.write_text("def hill(x, y):\n    return x**2 + 3 * y**2\n")
    _, _, err = called("race", f"{file}:hill", "--start", "1,1", "--out", str(tmp_path / "a.png"), capsys=capsys)
    assert "centred differences" in err
    assert "no rule was given" in err


def test_the_module_is_the_command(tmp_path: Path) -> None:
    """`python -m ravine` does what `ravine` does, and a reader who leaves early is no error."""
    done = subprocess.run([sys.executable, "-m", "ravine", "rules"], capture_output=True, text=True, check=True)
    assert "heavyball" in done.stdout
    piped = subprocess.run(
        f"{sys.executable} -m ravine surfaces | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert (piped.stdout.count("\n"), piped.stderr) == (1, "")


def test_an_unexpected_failure_is_a_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bug of ours exits with 1 and one line, unless a traceback is asked for."""
    import ravine.letters

    def broken(*_: object) -> None:
        raise ZeroDivisionError("our bug")

    monkeypatch.setattr(ravine.letters, "rules_markdown", broken)
    code, _, err = called("rules", "--markdown", capsys=capsys)
    assert (code, err.count("\n")) == (1, 1)
    assert "our bug" in err
    monkeypatch.setitem(os.environ, "RAVINE_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        run(["rules", "--markdown"])
