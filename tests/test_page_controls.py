"""The controls of the page in a real browser: what is refused says why, numbers stay short, and what is copied runs."""

import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

import ravine
from browsing import Opener, Visit, visit
from ravine.cli.app import run

__all__ = ["visit"]  # a fixture

BOWL = "x^2 + 50y^2"
RULES = ["sgd:lr=0.01", "classical:lr=0.01,mu=ramp(0.5,0.99,0.01)", "qhm:lr=0.01,mu=0.9,nu=0.7"]
TOAST = "document.querySelector('#notice .toast')"


@pytest.fixture(scope="module")
def bowl() -> str:
    """Return a page with a schedule, noise, a seed, and a rule whose best settings depend on nu."""
    return ravine.page(BOWL, RULES, (180, 90), steps=60, noise=0.5, seed=3).html


def told(page: Visit) -> str:
    """Return what the notice says, empty where there is none."""
    found: str = page.evaluate(f"{TOAST}.hidden ? '' : {TOAST}.querySelector('.text').textContent")
    return found


def ends(page: Visit) -> Any:
    """Return where the shown runs end, (m, 2)."""
    return np.array(page.evaluate("ravine.races.filter(r => r).map(r => Array.from(r.positions.slice(-2)))"))


def typed(page: Visit, field: str, text: str) -> None:
    """Type into a field as a hand does, and leave it with Enter."""
    page.locator(field).select_text()
    page.keyboard.type(text)
    page.keyboard.press("Enter")


# What is copied ----------------------------------------------------------------------------------------------------


def copied(page: Visit, box: str) -> str:
    """Return what a box of the dialog offers."""
    page.locator("#copy-command").click()
    text: str = page.locator(f"#{box}-text").input_value()
    page.keyboard.press("Escape")
    return text


def test_the_python_lines_run(bowl: str, visit: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Python lines of the dialog, executed as they stand, save a picture and end where the page's paths end."""
    page = visit(bowl)
    lines = copied(page, "python")
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    exec(lines, space)
    assert (tmp_path / "race.png").stat().st_size > 10_000
    assert np.array_equal(ends(page), [each.final for each in space["result"].runs])
    page.quiet()


def test_the_command_runs(
    bowl: str, visit: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command of the dialog, run as a shell reads it, ends at the values that the page shows; hidden runs are not in it."""
    page = visit(bowl)
    page.locator("#show-0").uncheck()
    command = shlex.split(copied(page, "command"))
    monkeypatch.chdir(tmp_path)
    assert command[0] == "ravine"
    assert run([*command[1:], "--out", "race.csv"]) == 0
    rows = [line.rsplit(",", 4) for line in (tmp_path / "race.csv").read_text(encoding="utf-8").splitlines()[1:]]
    last = {head: [float(x), float(y)] for head, x, y, *_ in ((row[0].rsplit(",", 1)[0], *row[1:]) for row in rows)}
    assert len(last) == 2
    assert np.array_equal(ends(page), list(last.values()))
    capsys.readouterr()


def test_nothing_is_copied_where_no_run_is_shown(bowl: str, visit: Opener) -> None:
    """With all runs hidden neither a command nor a table is offered, both say why, and play does nothing."""
    page = visit(bowl)
    for i in range(3):
        page.locator(f"#show-{i}").uncheck()
    for button in ("#copy-command", "#save-csv"):
        assert page.locator(button).is_disabled()
        assert page.locator(button).get_attribute("title") == "No run is shown."
    page.locator("#play-toggle").click(force=True)
    assert page.evaluate("ravine.play.playing") is False
    page.locator("#show-1").check()
    assert page.locator("#copy-command").is_enabled()
    page.quiet()


def test_a_notebooks_frame_has_no_link(bowl: str, visit: Opener) -> None:
    """A page within a notebook's frame, whose address nobody can open, offers a command and no link."""
    page = visit(bowl)
    assert page.locator("#copy-link").is_visible()
    page.set_content("<iframe style='width: 1200px; height: 800px'></iframe>")
    page.evaluate("html => (document.querySelector('iframe').srcdoc = html)", bowl)
    page.wait_for_function("frames[0].ravine && frames[0].ravine.ready")
    frame = page.frames[-1]
    assert not frame.locator("#copy-link").is_visible()
    frame.locator("#copy-command").click()
    assert frame.locator("#command-text").is_visible()
    assert not frame.locator("#link-text").is_visible()


# What is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "steps"), [("0", 1), ("-1", 1), ("1e12", 1000), ("250", 250)])
def test_steps_count_when_they_are_typed(bowl: str, visit: Opener, text: str, steps: int) -> None:
    """A number of steps counts at Enter and not before; where it was cut, the notice says what is allowed."""
    page = visit(bowl)
    page.locator("#steps").select_text()
    page.keyboard.type(text)
    assert page.state["steps"] == 60
    page.keyboard.press("Enter")
    assert page.state["steps"] == steps
    assert page.locator("#steps").input_value() == str(steps)
    assert told(page) == ("" if text == "250" else "steps: a whole number from 1 to 1000.")
    typed(page, "#steps", "60")
    assert told(page) == ""


REFUSED = {
    "noise": (-1, "the noise (0 or more)"),
    "start": ([1e13, 0], "the start (finite numbers up to 1e12)"),
    "seed": (99, "the seed (one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)"),
    "steps": (5.5, "the number of steps (a whole number from 1 to 1000)"),
}


@pytest.mark.parametrize("key", sorted(REFUSED))
def test_a_link_is_told_what_is_allowed(bowl: str, visit: Opener, key: str) -> None:
    """What a link asks for and cannot have is named with what is allowed; the next good value takes the notice away."""
    value, said = REFUSED[key]
    page = visit(bowl, fragment="#" + quote(json.dumps({key: value})))
    assert told(page) == f"Left out, because it cannot be used here: {said}."
    page.evaluate(f"ravine.change({{{key}: ravine.state.{key}}})")
    assert told(page) == ""


def test_a_link_with_too_many_steps_is_told(bowl: str, visit: Opener) -> None:
    """A link with more steps than a page has is cut, and says so."""
    page = visit(bowl, fragment="#" + quote('{"steps": 5000}'))
    assert page.state["steps"] == 1000
    assert told(page) == "steps: a whole number from 1 to 1000."


@pytest.mark.parametrize(
    ("field", "said"),
    [("#number-lr", "lr must be"), ("#noise", "the noise (0 or more)"), ("#start-0", "the start (finite numbers")],
)
def test_letters_get_a_sentence(bowl: str, visit: Opener, field: str, said: str) -> None:
    """Letters typed where a number belongs are answered in words, and the value stays."""
    page = visit(bowl)
    before = page.state
    typed(page, field, "abc")
    assert said in told(page)
    assert {**page.state} == before


def test_numbers_that_do_not_fit_say_why(bowl: str, visit: Opener) -> None:
    """A schedule whose numbers contradict each other is refused with Python's sentence, in Chinese with a short one."""
    for lang, said in (("en", ravine.schedules.SCHEDULES["ramp"].misfit), ("zh", "这个调度不能使用")):
        page = visit(ravine.page(BOWL, RULES, (180, 90), lang=lang).html)
        page.evaluate("ravine.change({focus: 1})")
        assert page.evaluate("ravine.set('mu', ['ramp', 0.5, 0.9, -0.01]).length") == 1
        assert said
        assert said in told(page)


# What is known -----------------------------------------------------------------------------------------------------


def test_no_optimum_says_why(bowl: str, visit: Opener) -> None:
    """Where no best settings are known, button and read-out say whether the rule or its nu is the reason."""
    page = visit(bowl)
    page.locator("#focus-2").check()
    title = "document.querySelector('#go-optimum').title"
    assert page.evaluate(title).startswith("the best constant settings")
    page.evaluate("ravine.set('nu', 0.5)")
    said = "No best settings are known for nu = 0.5: this page has those of nu = 0.7."
    assert page.evaluate(title) == said
    page.wait_for_function("document.querySelector('#figure-optimum').title !== ''")
    assert page.locator("#figure-optimum").get_attribute("title") == said
    assert page.locator("#figure-optimum").inner_text() == "–"
    chart = visit(ravine.page(BOWL, "pid:kp=-0.01,ki=0.005,kd=0.001", (180, 90)).html)
    assert chart.evaluate(title) == "No best settings are known for pid here."
    flat = visit(ravine.page("x + y", "classical:lr=0.01,mu=0.9", (1, 1)).html)
    assert "no minimum with a positive curvature" in flat.evaluate(title)


def test_long_numbers_are_shortened(bowl: str, visit: Opener) -> None:
    """After the optimum rows, title and fields show five digits at most; the title and a field in focus have all."""
    page = visit(bowl)
    page.evaluate("ravine.change({runs: [{rule: 'classical', settings: {lr: 0.01, mu: 0.9}}]})")
    page.locator("#go-optimum").click()
    exact = page.state["runs"][0]["settings"]["lr"]
    assert len(repr(exact)) > 12
    page.wait_for_function("!document.querySelector('#readout .who').textContent.includes('0.01 ')")
    shown = [page.locator(where).inner_text() for where in ("#readout .who", "#runs .numbers")]
    shown.append(page.locator("#number-lr").input_value())
    for text in shown:
        numbers = re.findall(r"\d+\.\d+", text)
        assert numbers
        assert all(len(number.replace(".", "").lstrip("0")) <= 5 for number in numbers), text
    assert repr(exact) in page.locator("#readout .who").get_attribute("title")
    page.locator("#number-lr").focus()
    assert page.locator("#number-lr").input_value() == repr(exact)
    page.locator("#number-mu").focus()
    assert page.locator("#number-lr").input_value() == shown[-1]
    assert page.state["runs"][0]["settings"]["lr"] == exact


def test_nine_runs_are_told_apart(visit: Opener) -> None:
    """Nine runs, as many as fit, have nine colours in either theme and nine signs."""
    page = visit(ravine.page(BOWL, [f"sgd:lr=0.00{i}" for i in range(1, 10)], (180, 90)).html)
    signs = page.evaluate("[...document.querySelectorAll('.swatch')].map(s => s.lastChild.getAttribute('d'))")
    assert len(set(signs)) == 9
    for theme in ("light", "dark"):
        page.evaluate(f"ravine.change({{theme: '{theme}'}})")
        assert len(set(page.evaluate("ravine.state.runs.map((run, i) => ravine.colour(i))"))) == 9
