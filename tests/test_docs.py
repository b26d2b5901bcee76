"""The docs say what the program does: their tables, examples and commands are run."""

import doctest
import importlib
import pkgutil
import re
import shlex
from pathlib import Path

import pytest

import ravine
from ravine.cli.app import app, run
from ravine.letters import rules_markdown, schedules_markdown

ROOT = Path(__file__).parents[1]
PAGES = (
    "README.md",
    "README.zh-CN.md",
    "docs/tour.md",
    "docs/conventions.md",
    "docs/theory.md",
    "docs/training.md",
    "docs/page.md",
    "docs/tasks.md",
    "docs/sweep.md",
    "docs/curvature.md",
)
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
MODULES = [m.name for m in pkgutil.walk_packages(ravine.__path__, "ravine.") if not m.name.endswith("__main__")]


def _blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_examples_on_pages_print_what_they_say(page: str) -> None:
    """Every Python example of a page runs and prints its numbers."""
    outcome = doctest.testfile(str(ROOT / page), module_relative=False, optionflags=FLAGS, encoding="utf-8")
    assert outcome.attempted > 0
    assert outcome.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_print_what_they_say(name: str) -> None:
    """Every example of a docstring runs and prints what it says."""
    assert doctest.testmod(importlib.import_module(name), optionflags=FLAGS).failed == 0


def test_public_docstrings_have_examples() -> None:
    """The functions a user calls first each show an example."""
    for function in (
        ravine.race,
        ravine.predict,
        ravine.surface,
        ravine.check_gradient,
        ravine.algebra.rate,
        ravine.draw.draw,
    ):
        assert ">>>" in (function.__doc__ or ""), function


def test_the_rules_page_is_the_printed_table() -> None:
    """docs/rules.md holds the tables that `ravine rules --markdown` prints."""
    page = (ROOT / "docs/rules.md").read_text(encoding="utf-8")
    assert rules_markdown() in page
    assert schedules_markdown() in page


def test_both_readmes_have_the_same_commands_and_pictures() -> None:
    """The Chinese README differs in its sentences alone."""
    english, chinese = "README.md", "README.zh-CN.md"
    for language in ("sh", "python"):
        both = [[re.sub(r"\s*#.*", "", b) for b in _blocks(page, language)] for page in (english, chinese)]
        assert both[0] == both[1]
    pictures = [
        re.findall(r"!\[.*?\]\((.*?)\)", (ROOT / page).read_text(encoding="utf-8")) for page in (english, chinese)
    ]
    assert pictures[0] == pictures[1]


@pytest.mark.parametrize(
    "page", [*PAGES, "CONTRIBUTING.md", "docs/rules.md", "docs/architecture.md", "docs/gallery/README.md"]
)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link of a page is a file of the project."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (ROOT / page).parent.joinpath(link).exists(), link


def test_the_first_blocks_are_what_a_newcomer_types() -> None:
    """README's first two sh blocks install and race, then install the test extra and run the tests."""
    first, second = _blocks("README.md", "sh")[:2]
    assert first.strip() == "pip install . && ravine race"
    assert second.strip() == "pip install '.[test]' && python -m pytest"


COMMANDS = [line.split("#")[0].strip() for block in _blocks("README.md", "sh")[2:] for line in block.splitlines()]


@pytest.mark.parametrize("command", [c for c in COMMANDS if "gallery" not in c])
def test_commands_of_the_readme_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that the README shows ends with exit code 0."""
    monkeypatch.chdir(tmp_path)
    assert run(shlex.split(command)[1:]) == 0


def test_help_lists_every_command_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    """`ravine --help` fits on a screen of 40 lines and names all commands."""
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) <= 40
    for command in app.registered_commands:
        assert command.callback
        assert command.callback.__name__ in shown


def test_the_architecture_page_names_every_file() -> None:
    """docs/architecture.md lists all files of the package."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for file in (ROOT / "src" / "ravine").rglob("*.py"):
        assert file.name.startswith("__") or file.name in page, file
