"""A real browser for the tests of the page: Debian's Chromium, driven by Playwright, with the network cut."""

import atexit
import functools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Without these flags Chromium calls home at every start, which a closed network refuses.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")
LOCAL = ("file:", "data:", "blob:", "about:")


def chromium() -> str | None:
    """Return the path of an installed Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@functools.cache
def running() -> Any:
    """Start Chromium once for all tests of a process, or skip with the reason; Playwright drives one at a time."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if chromium() is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    driver = playwright.sync_playwright().start()
    atexit.register(driver.stop)
    return driver.chromium.launch(executable_path=chromium(), args=FLAGS)


class Visit:
    """Hold an opened page, and everything it said or asked for."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []  # errors and warnings of the console, uncaught exceptions
        self.asked: list[str] = []  # requests that leave the machine
        page.on(
            "console", lambda m: self.said.append(f"{m.type}: {m.text}") if m.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: self.said.append(f"exception: {error}"))
        page.on("request", lambda r: None if r.url.startswith(LOCAL) else self.asked.append(r.url))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.page, name)

    @property
    def state(self) -> dict[str, Any]:
        """Return the page's state."""
        found: dict[str, Any] = self.page.evaluate("ravine.state")
        return found

    def quiet(self) -> None:
        """Hold that nothing was said on the console and nothing was asked of any network."""
        assert self.said == []
        assert self.asked == []


Opener = Callable[..., Visit]


@pytest.fixture
def visit(tmp_path: Path) -> Iterator[Opener]:
    """Hand out what opens a page from disk with the network cut, and closes it after the test."""
    browser, contexts = running(), []

    def opened(html: str, fragment: str = "", width: int = 1280, height: int = 860, **options: Any) -> Visit:
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True, **options)
        contexts.append(context)
        found = Visit(context.new_page())
        found.page.goto(file.as_uri() + fragment)
        found.page.wait_for_function("window.ravine && ravine.ready", timeout=20_000)
        return found

    yield opened
    for context in contexts:
        context.close()


def keep(visited: Visit, name: str, tmp_path: Path) -> Path:
    """Save a screenshot in the test's output (or in the folder that RAVINE_SCREENSHOTS names) and return its path."""
    folder = Path(os.environ.get("RAVINE_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.png"
    visited.page.screenshot(path=path)
    return path


def picture(path: Path) -> None:
    """Make the picture of docs/page.md: the page of the blog post's bowl, in the middle of the race."""
    import tempfile

    import ravine

    rules = ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9", "nag:lr=0.01,mu=0.9"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        ravine.page("x^2 + 50y^2", rules, (180, 90)).save(file)
        page = running().new_context(viewport={"width": 1280, "height": 860}, offline=True).new_page()
        page.goto(file.as_uri())
        page.wait_for_function("ravine.ready && ravine.map.walker.done === 1")
        page.evaluate("ravine.change({time: 12})")
        page.wait_for_timeout(500)
        page.screenshot(path=path)


if __name__ == "__main__":
    picture(Path(sys.argv[1]))
