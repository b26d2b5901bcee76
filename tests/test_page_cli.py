"""`ravine page` on the command line and from Python: what it writes, and what it refuses in one sentence."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import sympy

import ravine
from ravine.browser.facts import formula
from ravine.cli.app import run
from ravine.errors import PageError


def test_it_writes_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without arguments it writes the page of the blog post's bowl; --json says so in one object and nothing else."""
    monkeypatch.chdir(tmp_path)
    assert run(["page"]) == 0
    assert capsys.readouterr().out == "written: page.html\n"
    assert run(["page", "rosenbrock", "-r", "nag:lr=0.0005,mu=0.95", "--out", "valley.html", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["out"], told["surface"], told["runs"][0]["rule"]) == ("valley.html", "rosenbrock", "nag")
    assert told["bytes"] == len((tmp_path / "valley.html").read_bytes())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["page.html", "valley.html"]


FUNCTION = "def bowl(x, y):\n    return x**2 + y**2\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bowl", "-r", "torch:Adam(lr=0.1)"], "a page steps rules in the browser"),
        (["mine.py:bowl"], "is a Python function, which a page cannot run"),
        (["bowl", "--start", "1,1", "--start", "2,2"], "one start"),
        (["bowl", "--start", "1e13,1"], "starts up to 1e+12"),
        (["bowl", "--steps", "20001"], "1 to 20000 steps, got 20001"),
        (["bowl", "--steps", "0"], "steps must be"),
        (["bowl", "--lang", "fr"], "a page speaks en or zh"),
        (["bowl", "--out", "page.txt"], "suffix"),
        (["bowl", *(["-r", "sgd:lr=0.01"] * 10)], "1 to 9 rules, got 10"),
        (["bowl", "-r", "sdg:lr=0.1"], "did you mean 'sgd'"),
        (["<img onerror=1>"], "cannot read"),
        (["spectrum(" + ",".join(["1"] * 201) + ")"], "up to 200 coordinates"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What no page can show is refused with exit code 2 and one sentence, and no file is left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FUNCTION, encoding="utf-8")
    assert run(["page", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1
    assert not list(tmp_path.glob("*.html"))


def test_settings_that_no_browser_can_follow() -> None:
    """A schedule that is a Python function, and a surface whose names do not fit its expression, are refused."""
    with pytest.raises(PageError, match="lr is a function of yours"):
        _ = ravine.page("bowl", ravine.RULES["sgd"](lr=lambda t: 0.01)).facts
    strange = replace(ravine.surface("x^2 + y^2"), expression=sympy.Symbol("q") ** 2)
    with pytest.raises(PageError, match="holds q"):
        ravine.page(strange, "sgd:lr=0.1", (1, 1))


def test_a_notebook_shows_it_in_a_frame() -> None:
    """The frame holds the whole page as text, may run its scripts, and reaches nothing of the notebook."""
    shown = ravine.page("bowl", "sgd:lr=0.01")._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts allow-downloads"')
    assert "<script" not in shown
    assert shown.count("<") == 2


@pytest.mark.parametrize(
    ("text", "title"),
    [("x^2 + 50y^2", "x² + 50y²"), ("bowl", "bowl: x² + 50y²"), ("x^2.5 + y^-2", "x^2.5 + y^-2"), ("x**12", "x¹²")],
)
def test_titles(text: str, title: str) -> None:
    """Whole exponents are raised, others are left; a name of the catalogue has its formula beside it."""
    assert formula(ravine.surface(text)) == title
