"""The words of the page: both languages say the same things, and no script asks for a word that is missing."""

import re
from importlib.resources import files

import pytest

from ravine.browser.facts import FIRST
from ravine.browser.presets import presets
from ravine.browser.words import LANGUAGES, words
from ravine.charts import EVERY
from ravine.errors import PageError
from ravine.phrases import KINDS, REGIMES
from ravine.rules import SETTINGS
from ravine.schedules import SCHEDULES
from ravine.surfaces import surface

ROOM = files("ravine.browser")
SCRIPTS = {file.name: file.read_text(encoding="utf-8") for file in ROOM.joinpath("js").iterdir()}
HOLE = re.compile(r"\{(\w+)\}")
ASKED = re.compile(r"""\bword\(\s*["'`]([^"'`$]+)["'`]""")

# What a script makes the name of a word from, and the names it may come to.
KINDS_OF_WORDS = {
    "rule": list(EVERY),
    "setting": list(SETTINGS),
    "allowed": list(SETTINGS),
    "schedule": list(SCHEDULES),
    "argument": [p.name for name in FIRST for p in SCHEDULES[name].parameters],
    "preset": [p["key"] for text in ("bowl", "rosenbrock") for p in presets(surface(text), (1.0, 1.0), 0.01)],
    "regime": list(REGIMES["en"]),
    "kind": list(KINDS["en"]),
    "outcome": ["value", "diverged", "undefined"],
    "why": ["optimum", "critical", "limit", "rate", "measured", "digit", "effective", "acceleration"],
    "picture": ["not_yet", "reached", "diverged", "undefined", "boundary", "slow", "fast"],
}


def test_both_languages_have_the_same_words() -> None:
    """A key that one language has the other has too, and none is empty."""
    assert words("en").keys() == words("zh").keys()
    assert all(text for lang in LANGUAGES for text in words(lang).values())


def test_both_languages_leave_the_same_holes() -> None:
    """What is filled into a text in English is filled in in Chinese."""
    english, chinese = words("en"), words("zh")
    for key, text in english.items():
        assert sorted(HOLE.findall(text)) == sorted(HOLE.findall(chinese[key])), key


@pytest.mark.parametrize("script", sorted(SCRIPTS))
def test_scripts_ask_for_words_that_exist(script: str) -> None:
    """Every word that a script names is in the list."""
    for key in ASKED.findall(SCRIPTS[script]):
        assert key in words("en"), f"{script} asks for {key!r}"


def test_scripts_name_words_at_all() -> None:
    """The pattern that finds words in the scripts finds them."""
    assert sum(len(ASKED.findall(text)) for text in SCRIPTS.values()) > 40


@pytest.mark.parametrize("kind", sorted(KINDS_OF_WORDS))
def test_kinds_of_words_are_complete(kind: str) -> None:
    """Each rule, setting, schedule, preset, regime and kind of place has a word."""
    missing = [name for name in KINDS_OF_WORDS[kind] if f"{kind}.{name}" not in words("zh")]
    assert missing == []


def test_the_template_asks_for_words_that_exist() -> None:
    """Every word that the template names is in the list."""
    asked = re.findall(r"words\.(\w+)", ROOM.joinpath("page.html").read_text(encoding="utf-8"))
    assert len(asked) > 20
    assert set(asked) <= words("en").keys()


def test_fields_of_the_state_have_words() -> None:
    """Each field that a link may carry can be named when it is refused."""
    listed = re.search(r"const FIELDS = \[(.*?)\]", SCRIPTS["share.js"], re.S)
    assert listed is not None
    fields = re.findall(r'"(\w+)"', listed[1])
    assert "runs" in fields
    assert [field for field in fields if f"field.{field}" not in words("en")] == []


def test_no_word_is_left_over() -> None:
    """A word that neither a script nor the template uses is gone."""
    text = "".join(SCRIPTS.values()) + ROOM.joinpath("page.html").read_text(encoding="utf-8")
    made = {f"{kind}.{name}" for kind, names in KINDS_OF_WORDS.items() for name in names}
    for key in words("en").keys() - made:
        stem = key.split(".")[-1]
        assert re.search(rf"\b{re.escape(key)}\b|\b{re.escape(stem)}\b", text) or key.startswith("column_"), key


def test_another_language_is_refused() -> None:
    """A language that nobody has written is refused with the two that there are."""
    with pytest.raises(PageError, match="en or zh, got 'fr'"):
        words("fr")
