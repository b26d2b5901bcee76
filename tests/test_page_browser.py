"""The page in a real browser: what a hand does to it, and what it answers. Screenshots land in the test's folder."""

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

import ravine
from browsing import Opener, Visit, keep, visit

__all__ = ["visit"]  # a fixture

RULES = ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9", "nag:lr=0.01,mu=0.9"]


@pytest.fixture(scope="module")
def bowl() -> str:
    """Return the blog post's bowl with three rules."""
    return ravine.page("x^2 + 50y^2", RULES, (180, 90)).html


def ends(page: Visit) -> list[Any]:
    """Return where the shown runs end."""
    found: list[Any] = page.evaluate("ravine.races.map(r => r && Array.from(r.positions.slice(-2)))")
    return found


def test_the_page_opens_with_the_runs_that_were_asked_for(bowl: str, visit: Opener, tmp_path: Path) -> None:
    """Opened from disk with the network cut the page shows the runs of the command line, and is quiet."""
    page = visit(bowl)
    assert [run["rule"] for run in page.state["runs"]] == ["sgd", "classical", "nag"]
    expected = [run.final.tolist() for run in ravine.race("x^2 + 50y^2", RULES, (180, 90)).runs]
    assert ends(page) == expected
    page.wait_for_function("ravine.map.walker.done === 1")
    assert keep(page, "bowl", tmp_path).stat().st_size > 30_000
    page.quiet()


def test_the_start_is_dragged(bowl: str, visit: Opener) -> None:
    """While the start is dragged the paths follow; where it is dropped it stays, in the state and in the number fields."""
    page = visit(bowl)
    handle = page.get_by_role("slider", name="start", exact=True)
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y + 40)
    middle = page.state["start"]
    page.mouse.move(x - 120, y + 80)
    page.mouse.up()
    start = page.state["start"]
    assert 180 > middle[0] > start[0]
    assert 90 > middle[1] > start[1]
    assert page.evaluate("Array.from(ravine.races[1].positions.slice(0, 2))") == start
    page.locator("#start-0").focus()  # only then it shows all digits
    assert float(page.locator("#start-0").input_value()) == pytest.approx(start[0])
    run = ravine.race("x^2 + 50y^2", RULES, start).runs[1]
    assert ends(page)[1] == run.final.tolist()
    page.quiet()


def test_the_start_moves_by_keys(bowl: str, visit: Opener) -> None:
    """With the focus on it, arrow keys move the start, Shift ten times as far."""
    page = visit(bowl)
    page.get_by_role("slider", name="start", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    near = page.state["start"]
    page.keyboard.press("Shift+ArrowLeft")
    far = page.state["start"]
    assert near[1] == far[1] == 90
    assert 180 > near[0] > far[0]
    assert near[0] - far[0] == pytest.approx(10 * (180 - near[0]), rel=1e-6)


def test_a_slider_moves_a_setting(bowl: str, visit: Opener) -> None:
    """A key on the slider of mu changes mu of the focused run alone, its path and the read-out; the others stay."""
    page = visit(bowl)
    page.locator("#focus-1").check()
    before, said = ends(page), page.locator("#readout").inner_text()
    page.locator("#slider-mu").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("said => document.querySelector('#readout').innerText !== said", arg=said)
    after = ends(page)
    assert page.state["runs"][1]["settings"]["mu"] != 0.9
    assert after[1] != before[1]
    assert (after[0], after[2]) == (before[0], before[2])


def test_rules_move_together(bowl: str, visit: Opener) -> None:
    """With all rules together one slider moves lr of all of them."""
    page = visit(bowl)
    page.locator("#together").set_checked(True)
    page.locator("#number-lr").fill("0.005")
    page.locator("#number-lr").press("Enter")
    assert [run["settings"]["lr"] for run in page.state["runs"]] == [0.005] * 3


def test_a_click_in_the_map_sets_lr_and_mu(bowl: str, visit: Opener) -> None:
    """Where the map is clicked, lr and mu go, and the trajectory is a race's with them."""
    page = visit(bowl)
    page.locator("#focus-1").check()
    page.wait_for_function("ravine.map.walker.done === 1")
    pad = page.locator("#map .plot-pad").bounding_box()
    page.mouse.click(pad["x"] + pad["width"] * 0.7, pad["y"] + pad["height"] * 0.5)
    settings = page.state["runs"][1]["settings"]
    axes = page.evaluate("ravine.facts.rules.classical.map")
    assert settings["lr"] == pytest.approx(0.7 * axes["x"]["high"], rel=0.03)
    assert settings["mu"] == pytest.approx(0.5 * axes["y"]["high"], rel=0.03)
    rule = f"classical:lr={settings['lr']!r},mu={settings['mu']!r}"
    assert ends(page)[1] == ravine.race("x^2 + 50y^2", rule, (180, 90)).runs[0].final.tolist()


def test_a_rule_is_hidden_added_and_removed(bowl: str, visit: Opener) -> None:
    """A hidden run is not computed, one that is added has the present lr and mu, one that is removed is gone."""
    page = visit(bowl)
    page.locator("#show-0").uncheck()
    assert ends(page)[0] is None
    page.locator("#focus-1").check()
    page.locator("#add-rule").select_option("nesterov")
    added = page.state["runs"][-1]
    assert (added["rule"], added["settings"]) == ("nesterov", {"lr": 0.01, "mu": 0.9})
    page.get_by_role("button", name="remove sgd", exact=False).click()
    assert [run["rule"] for run in page.state["runs"]] == ["classical", "nag", "nesterov"]
    page.quiet()


def test_it_plays(bowl: str, visit: Opener, tmp_path: Path) -> None:
    """Play moves the balls step by step; pause stops them; the slider of time goes anywhere."""
    page = visit(bowl)
    page.locator("#play-toggle").click()
    page.wait_for_function("ravine.state.time > 5")
    page.locator("#play-toggle").click()
    stopped = page.state["time"]
    page.wait_for_timeout(200)
    assert page.state["time"] == stopped
    page.locator("#time").fill("20")
    assert page.state["time"] == 20
    keep(page, "playing", tmp_path)
    page.quiet()


def test_a_link_restores_the_page(bowl: str, visit: Opener) -> None:
    """The link that one page offers shows the same start, runs and paths in another."""
    page = visit(bowl)
    page.locator("#number-lr").fill("0.005")
    page.locator("#number-lr").press("Enter")
    page.evaluate("ravine.change({start: [100, -50], steps: 60})")
    fragment = page.evaluate("ravine.link().split('#')[1]")
    other = visit(bowl, fragment=f"#{fragment}")
    assert other.state["start"] == [100, -50]
    assert other.state["steps"] == 60
    assert other.state["runs"] == page.state["runs"]
    assert ends(other) == ends(page)
    other.quiet()


def test_a_diverging_run_says_so(bowl: str, visit: Opener, tmp_path: Path) -> None:
    """Beyond the limit a run stops, its row says at which step, the verdict names the limit, and nothing fails."""
    page = visit(bowl)
    page.locator("#focus-0").check()
    page.locator("#number-lr").fill("0.021")
    page.locator("#number-lr").press("Enter")
    run = ravine.race("x^2 + 50y^2", "sgd:lr=0.021", (180, 90), 100).runs[0]
    assert page.evaluate("ravine.races[0].stopped") == run.stopped
    page.locator("#number-lr").fill("0.1")
    page.locator("#number-lr").press("Enter")
    far = ravine.race("x^2 + 50y^2", "sgd:lr=0.1", (180, 90), 100).runs[0]
    assert far.stopped == "diverged"
    assert f"diverged at step {far.steps}" in page.locator("#runs").inner_text()
    page.wait_for_function("document.querySelector('#readout').innerText.includes('0.02')")
    assert "iverges along h = 100" in page.locator("#readout").inner_text()
    keep(page, "diverged", tmp_path)
    page.quiet()


def test_the_verdict_is_that_of_predict(bowl: str, visit: Opener) -> None:
    """The read-out says of each run what `ravine predict` says, word for word."""
    page = visit(bowl)
    for i, rule in enumerate(RULES):
        page.locator(f"#focus-{i}").check()
        said = ravine.predict("x^2 + 50y^2", rule).verdict
        page.wait_for_function(
            "said => document.querySelector('#verdict').textContent.toLowerCase() === said.toLowerCase()", arg=said
        )


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(lang: str, scheme: str, visit: Opener, tmp_path: Path) -> None:
    """On a phone's width nothing sticks out to the side, and the controls are as large as a finger."""
    html = ravine.page("x^2 + 50y^2", RULES, (180, 90), lang=lang).html
    page = visit(html, width=390, height=844, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    small = page.evaluate(
        "[...document.querySelectorAll('button, select')].filter(e => e.offsetParent && e.offsetHeight < 32)"
        ".map(e => e.id || e.className)"
    )
    assert small == []
    assert page.evaluate("document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[lang]
    keep(page, f"phone-{lang}-{scheme}", tmp_path)
    page.page.set_viewport_size({"width": 1280, "height": 860})
    page.wait_for_function(
        "document.querySelector('#terrain canvas, #terrain > *').getBoundingClientRect().width > 390"
    )
    page.quiet()


def test_presets_are_the_blog_posts_figures(bowl: str, visit: Opener) -> None:
    """Each preset of the bowl gives the values that the blog post's runs end at."""
    page = visit(bowl)
    expected = {
        "figure1_small": [21709.672570836, 14606.239337120],
        "figure1_large": [569.849470022, 6.94764782],
        "figure2": [20771.990587741, 14606.239337120, 343.938243129],
        "figure3": [359.604085191, 6.94764782, 1.317375990],
        "forms": [1.317375990, 1.317375990],
    }
    for preset in page.evaluate("ravine.facts.presets"):
        page.locator("#preset").select_option(preset["key"])
        found = page.evaluate("ravine.races.map(r => r.values[r.steps])")
        if preset["key"] in expected:
            assert found == pytest.approx(expected[preset["key"]], rel=1e-8)


def test_buttons_go_to_optimum_critical_and_limit(bowl: str, visit: Opener) -> None:
    """The buttons set what algebra says: the best pair, the momentum at which poles meet, the largest stable lr."""
    page = visit(bowl)
    page.locator("#focus-1").check()
    page.locator("#go-optimum").click()
    best = ravine.algebra.optimum("classical", 2.0, 100.0).settings
    settings = page.state["runs"][1]["settings"]
    assert [settings[k] for k in ("lr", "mu")] == pytest.approx([best["lr"], best["mu"]], rel=1e-12)
    page.locator("#number-lr").fill("0.01")
    page.locator("#number-lr").press("Enter")
    page.locator("#go-critical").click()
    mu = page.state["runs"][1]["settings"]["mu"]
    assert min(abs(mu - ravine.algebra.critical_mu("classical", 0.01, h)) for h in (2.0, 100.0)) < 1e-12
    page.locator("#go-limit").click()
    settings = page.state["runs"][1]["settings"]
    assert settings["lr"] == pytest.approx(ravine.algebra.limit_lr("classical", 100.0, mu=settings["mu"]), rel=1e-6)


def test_what_is_saved_is_the_race(bowl: str, visit: Opener, tmp_path: Path) -> None:
    """Save CSV downloads the table that `ravine race --out race.csv` writes, number by number."""
    page = visit(bowl)
    with page.expect_download() as download:
        page.locator("#save-csv").click()
    saved = tmp_path / "saved.csv"
    download.value.save_as(saved)
    lines = saved.read_text(encoding="utf-8").splitlines()
    table = ravine.race("x^2 + 50y^2", RULES, (180, 90)).columns()
    assert lines[0].split(",") == list(table)
    assert len(lines) == len(table["step"]) + 1
    found = [float(line.split(",")[list(table).index("value")]) for line in lines[1:]]
    assert found == table["value"].tolist()


def test_the_fragment_follows_what_is_done(bowl: str, visit: Opener) -> None:
    """After a change the address carries the whole state, and going back to it restores the page."""
    page = visit(bowl)
    page.evaluate("ravine.change({steps: 70})")
    page.wait_for_function("location.hash.length > 10")
    told = json.loads(urllib.parse.unquote(page.evaluate("location.hash.slice(1)")))
    assert told["steps"] == 70
