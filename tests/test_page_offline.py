"""Nothing leaves a page and nothing gets in: no request, no error, no markup and no script out of anybody's text."""

import json
import urllib.parse
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
import sympy

import ravine
from browsing import Opener, visit
from ravine.browser.document import as_json
from ravine.surfaces.catalogue import CATALOGUE

__all__ = ["visit"]  # a fixture

TYPED = (
    "x^2", "abs(x) + abs(y)^1.5", "log(1 + x^2) + sqrt(1 + y^2)", "exp(-x^2 - y^2)", "x^2 - y^2", "x", "tan(x/9)^2 + y^4",
    "(x + y + z - 1)^2 + x^2 + 2z^2", "rastrigin(5)", "spectrum(1,10,100)", "spectrum(2,100,angle=30)", "spectrum(3)",
    "sin(x) + cos(3y)/3", "x^2 y^2", "a^2 + 3b^4",
)  # fmt: skip
HOSTILE = '"></script><script>hacked = 1</script><img src=x onerror="hacked = 2">'


# The others take the same ways through the page; `make slow` opens them all.
FIRST = ("bowl", "rosenbrock", "ackley", "saddle", "double_well", *TYPED[1:3], *TYPED[5:7], *TYPED[8:10], TYPED[11])
OTHERS = [pytest.param(text, marks=pytest.mark.slow) for text in (*CATALOGUE, *TYPED) if text not in FIRST]


@pytest.mark.parametrize("text", [*FIRST, *OTHERS])
def test_no_request_leaves_and_nothing_fails(text: str, visit: Opener) -> None:
    """The page of every surface opens without a network, plays, changes its rule, and says nothing on the console."""
    page = visit(ravine.page(text, steps=60).html)
    page.evaluate("ravine.change({time: 5, steps: 40})")
    page.evaluate("ravine.change({focus: 0})")
    page.evaluate("ravine.change({theme: 'dark', noise: 0.01, seed: 3, start: ravine.state.start.map(x => x * 1.01)})")
    page.wait_for_timeout(150)
    page.quiet()


def test_a_page_asks_for_nothing_at_all() -> None:
    """The document names no other file: no src, no link, no import, and its policy forbids every request."""
    html = ravine.page("bowl", "sgd:lr=0.01").html
    head, _, rest = unescape(html).partition("<script>")
    assert "default-src 'none'" in head
    assert "connect-src" not in head
    for word in ("<script src", '<link rel="stylesheet', "@import", "url(http"):
        assert word not in html
    assert rest.count("</script>") == 2


def test_the_page_is_small() -> None:
    """A page is one file of less than 6 MB."""
    assert len(ravine.page("rosenbrock").html.encode()) < 6_000_000


def test_hostile_names_are_text(visit: Opener) -> None:
    """A surface's name, text and variables stay text wherever they appear, whatever they hold."""
    plain, names = ravine.surface("x^2 + 50y^2"), ('<b onclick="hacked=3">', "{{7*7}}`${hacked=4}`")
    symbols = {s: sympy.Symbol(names[plain.variables.index(s.name)]) for s in plain.expression.free_symbols}
    renamed = plain.expression.xreplace(symbols)
    made = replace(plain, name=HOSTILE, text=HOSTILE, variables=names, expression=renamed)
    page = visit(ravine.page(made, ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9"], (180, 90)).html)
    page.locator("#copy-command").click()
    page.evaluate("ravine.change({time: 3})")
    page.mouse.move(300, 300)
    page.wait_for_timeout(200)
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.evaluate("document.querySelectorAll('img, b[onclick]').length") == 0
    assert page.evaluate("document.scripts.length") == 2
    assert HOSTILE in page.page.title()
    page.quiet()


def forged() -> list[Any]:
    """Return fragments that nobody's page would write."""
    fine = {"rule": "classical", "settings": {"lr": 0.01, "mu": 0.9}, "shown": True}
    return [
        HOSTILE,
        "%",
        "javascript:hacked=5",
        {"runs": [{**fine, "rule": HOSTILE}]},
        {"runs": [{**fine, "rule": "__proto__"}, {**fine, "rule": "constructor"}, {**fine, "rule": "toString"}]},
        {"runs": [{**fine, "settings": {"lr": ["constructor", "hacked=6"], "mu": ["__proto__"]}}]},
        {"runs": [{**fine, "settings": {"lr": HOSTILE, "mu": None}}]},
        {"runs": [fine] * 5000},
        {"runs": "x" * 1000, "focus": -1, "start": [1e999, None], "steps": 1e18, "noise": -1, "seed": 1.5},
        {"start": [HOSTILE, HOSTILE]},
        {"view": [[1, 0], [0, 1]], "time": 1e9, "theme": HOSTILE},
        {"__proto__": {"hacked": 7}, "constructor": {"prototype": {"hacked": 8}}},
        {"runs": [{**fine, "settings": {"__proto__": {"hacked": 9}, "lr": 0.01, "mu": 0.9}}]},
        json.loads("[" * 60 + "]" * 60),
        {"runs": [{**fine, "settings": {"lr": ["cosine", 0.01, 100, 0], "mu": ["ramp", 0.5, 5, 0.1]}}]},
    ]


@pytest.fixture(scope="module")
def bowl() -> str:
    """Return the blog post's bowl."""
    return ravine.page("x^2 + 50y^2", ["classical:lr=0.01,mu=0.9"], (180, 90)).html


def test_a_forged_fragment_is_dropped(bowl: str, visit: Opener) -> None:
    """Whatever a link carries, the page opens, shows what it can, runs nothing, and is no more polluted than before."""
    page = visit(bowl)
    for fragment in forged():
        text = fragment if isinstance(fragment, str) else urllib.parse.quote(json.dumps(fragment))
        page.evaluate("text => { location.hash = text; }", text)
        page.wait_for_timeout(60)
        assert page.evaluate("typeof hacked") == "undefined"
        assert page.evaluate("({}).hacked") is None
        assert page.evaluate("document.querySelectorAll('img').length") == 0
        assert 1 <= len(page.state["runs"]) <= 9
        assert page.evaluate("ravine.races.some(race => race && race.steps > 0)")
    other = visit(bowl, fragment="#" + urllib.parse.quote(json.dumps(forged()[3])))
    assert "img" not in other.locator("#notice .text").inner_html()
    assert other.state["runs"][0]["rule"] == "classical"
    page.quiet()
    other.quiet()


def test_data_cannot_end_its_script() -> None:
    """JSON in a page has no `<`, so neither an end of script nor a comment can stand in it, and reads back the same."""
    hostile = {"a": "</script><!--<script>\u2028", "b": [1.5, None]}
    text = as_json(hostile)
    assert "<" not in text
    assert json.loads(text) == hostile
