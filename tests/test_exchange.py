"""`ravine convert` on the command line: JSON, figures, and bad input as one sentence."""

import json
from pathlib import Path

import numpy as np
import pytest

from ravine import convert, race
from ravine.cli.app import run
from ravine.draw import conversions
from ravine.errors import DrawError, RuleError

RULE = "classical:lr=0.1,mu=0.9"
RAMP = "nag:lr=0.005,mu=ramp(0.5,0.99,0.01)"


def called(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run(("convert", *arguments))
    told = capsys.readouterr()
    return code, told.out, told.err


def test_json_has_the_promised_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --json stdout is one object with settings, scale, shift, notes and error, and no file is written unasked."""
    monkeypatch.chdir(tmp_path)
    code, out, err = called(RULE, "--to", "heavyball", "--json", capsys=capsys)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["from"]["settings"] == {"lr": 0.1, "mu": 0.9}
    assert (told["to"]["rule"], told["to"]["settings"]) == ("heavyball", {"lr": 0.1, "mu": 0.9, "tau": 0})
    assert (told["exact"], told["buffer"], told["shift"]) == (True, {"scale": -10}, 0)
    assert (told["error"], told["notes"]) == (None, [])
    assert not list(tmp_path.iterdir())


def test_json_of_a_schedule_lists_its_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """A setting that changes is a list, a step each, on both sides; an approximation has its size and its reason."""
    code, out, _ = called(
        "classical:lr=step(0.1,0.5,3),mu=0.4", "--to", "heavyball", "--steps", "6", "--json", capsys=capsys
    )
    told = json.loads(out)
    assert code == 0
    assert told["to"]["settings"]["mu"] == [0.4, 0.4, 0.4, 0.8, 0.4, 0.4]
    assert told["from"]["settings"]["lr"] == told["to"]["settings"]["lr"] == [0.1] * 3 + [0.05] * 3
    assert told["buffer"]["scale"] == pytest.approx([-10, -10, -10, -10, -20, -20])
    told = json.loads(called(RAMP, "--to", "nesterov", "--json", capsys=capsys)[1])
    assert told["exact"] is False
    assert 0 < told["error"] < 0.1
    assert told["notes"][0].startswith("approximate: ")


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json both methods, the buffer, the point and the changing settings are printed, notes on stderr."""
    code, out, err = called(RAMP, "--to", "qhm", "--steps", "40", capsys=capsys)
    assert code == 0
    assert out.startswith(f"{RAMP}\nqhm:lr=listed(")
    assert "and 28 more steps" in out
    assert "note: " in err


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "json"])
def test_the_demonstration_is_written(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--demo and --out draw both paths, and say how far apart they were."""
    out = tmp_path / f"a.{suffix}"
    code, told, _ = called("nag:lr=0.005,mu=0.9", "-t", "nesterov", "--demo", "--json", "-o", str(out), capsys=capsys)
    assert code == 0
    assert json.loads(told)["demo"]["difference"] < 1e-12
    magic = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "json": b"{"}
    assert out.read_bytes().startswith(magic[suffix])


def test_listed_results_say_who_reads_them(capsys: pytest.CaptureFixture[str]) -> None:
    """What prints as listed(…) cannot be typed into a race, and the reader is told what can be."""
    listed = "classical:lr=step(0.1,0.5,3),mu=0.4"
    assert "no schedule that race can read" in called(listed, "-t", "heavyball", "--steps", "6", capsys=capsys)[1]
    assert "race can read" not in called("sgd:lr=cosine(0.1,500)", "-t", "heavyball", capsys=capsys)[1]
    with pytest.raises(RuleError):
        race("bowl", str(convert(listed, "heavyball", steps=6).target))
    assert race("bowl", convert(listed, "heavyball", steps=6).target, steps=6).runs


def test_the_table_is_an_object_too(capsys: pytest.CaptureFixture[str]) -> None:
    """--markdown with --json is one JSON object that holds what --markdown prints."""
    told = json.loads(called("--markdown", "--json", capsys=capsys)[1])
    assert told["markdown"] + "\n" == called("--markdown", capsys=capsys)[1]


def test_a_run_that_flees_is_said_to_diverge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Text, JSON and figure say who diverges and from which step on; where both stay, nothing does."""
    flees = ("nag:lr=0.1,mu=0.9", "-t", "nesterov", "--demo", "-o", str(tmp_path / "a.png"))
    told = called(*flees, capsys=capsys)[1]
    shown = conversions.demo(convert("nag:lr=0.1,mu=0.9", "nesterov"))
    assert shown.diverged == (len(shown.apart), len(shown.apart))
    assert f"both diverge, from step {len(shown.apart)} on" in told
    assert shown.verdict in conversions.draw(shown).axes[1].get_title()
    assert json.loads(called(*flees, "--json", capsys=capsys)[1])["demo"]["diverged"]["to"] == len(shown.apart)
    stays = conversions.demo(convert("nag:lr=0.005,mu=0.9", "nesterov"))
    assert (stays.diverged, stays.verdict) == ((None, None), "")
    alone = shown._replace(diverged=(None, 7))
    assert alone.verdict == "nesterov diverges, from step 7 on"


BAD = [
    ((), "needs a rule and --to"),
    ((RULE,), "needs a rule and --to"),
    ((RULE, "--to", "heavybal"), "did you mean 'heavyball'"),
    ((RULE, "--to", "nag"), "its c is 0"),
    ((RULE, "--to", "heavyball:tau=x"), "neither a number"),
    ((RULE, "--to", "heavyball:tau=nan"), "finite"),
    (("classical:lr=0.1", "--to", "nag"), "needs mu"),
    (("clasical:lr=0.1,mu=0.9", "--to", "nag"), "classical"),
    (("torch:SGD(lr=0.1)", "--to", "nag"), "torch"),
    ((RULE, "--to", "heavyball", "--steps", "0"), "steps"),
    ((RULE, "--to", "heavyball", "--out", "a.gif"), "suffix"),
    ((RULE, "--to", "heavyball", "--out", "/no/such/folder/a.png"), "no such folder"),
    ((RULE, "--to", "heavyball", "--demo", "--surface", "spectrum(1,2,3)"), "2 coordinates"),
    ((RULE, "--to", "heavyball", "--demo", "--surface", "rosenbrok"), "rosenbrock"),
    ((RULE, "--to", "heavyball", "--demo", "--start", "one,2"), "start"),
    ((RULE, "--to", "heavyball", "--demo", "--start", "1,2,3"), "2 finite coordinates"),
    ((RULE, "--to", "heavyball", "--demo", "--start", "nan,1"), "2 finite coordinates"),
    ((RULE, "--to", "heavyball", "--demo", "--surface", "log(x)+y^2", "--start", "-1,2"), "undefined at the start (-1"),
    ((RULE, "--to", "heavyball", "--demo", "--surface", "sqrt(x)+y^2", "--start", "0,2"), "undefined at the start (0"),
    ((RULE, "--to", "heavyball", "--demo", "--start", "1,2", "--start", "3,4"), "one start, got 2: 1,2 and 3,4"),
    ((RULE, "--to", "heavyball", "--markdown"), "write it alone or with --json"),
    (("--markdown", "--out", "a.json"), "write it alone or with --json"),
    (("classical:lr=step(0.1,0.5,9),mu=0.9", "--to", "heavyball"), "at step 9 mu would be 1.8"),
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
    code, out, err = called(*arguments, capsys=capsys)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert word in err
    assert not list(tmp_path.iterdir())


def test_the_picture_is_data_first() -> None:
    """The figure's data are the points where both ask, and the bound it draws is not exceeded."""
    shown = conversions.demo(convert(RAMP, "nesterov", steps=40), start=(9, 1))
    assert shown.source.shape == shown.target.shape == (40, 2)
    assert shown.apart == pytest.approx(np.linalg.norm(shown.source - shown.target, axis=1))
    figure = conversions.draw(shown)
    left, right = figure.axes
    assert [line.get_label() for line in left.lines[:2]] == [
        m.label for m in (shown.conversion.source, shown.conversion.target)
    ]
    dots, _, bound = right.lines
    assert np.nanmax(np.asarray(dots.get_ydata(), float)) <= float(np.asarray(bound.get_ydata())[0])


def test_a_run_that_flees_is_shown_as_far_as_it_goes() -> None:
    """Both paths end where one leaves the ball, and a surface of one coordinate is refused."""
    shown = conversions.demo(convert("nag:lr=0.1,mu=0.9", "nesterov"))
    assert 1 < len(shown.apart) < 50
    assert shown.difference < 1e-9
    with pytest.raises(DrawError, match="2 coordinates"):
        conversions.demo(convert(RULE, "heavyball"), "double_well")


def test_charts_race(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A chart takes part in a race like any rule, and runs beside the rule that it is."""
    code = run(
        ["race", "bowl", "-r", "pid:kp=-9e-2,ki=1e-2,kd=0.81", "-r", "ema:lr=0.01,mu=0.9", "--json", "--tol", "0"]
    )
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert told["runs"][0]["final"] == pytest.approx(told["runs"][1]["final"], rel=1e-9)
