"""A function as a page to play with in a browser: drag the start, move lr and mu, see what follows.

page(surface, methods, start) -> one HTML file that needs no network and no server
"""

import html as escape
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ravine.errors import PageError, nearest
from ravine.files import aside, writable
from ravine.race import Contestant, race
from ravine.result import Race
from ravine.starts import points_of
from ravine.surfaces import surface as make_surface
from ravine.surfaces.interface import Surface

LANGUAGES = ("en", "zh")
HEIGHT = 860  # pixels, in a notebook


@dataclass(frozen=True)
class Page:
    """Hold a page: the runs it begins with, and its language; a notebook shows it."""

    race: Race
    tol: float
    lang: str

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return everything the page knows, as plain data."""
        from ravine.browser.facts import facts

        return facts(self.race, self.tol, self.lang)

    @cached_property
    def html(self) -> str:
        """Return the page, one HTML document that loads nothing."""
        from ravine.browser.document import document

        return document(self.race.surface, self.facts)

    def save(self, out: str | os.PathLike[str]) -> None:
        """Write the page into a file that ends in `.html`; raises `DrawError` where that cannot be done."""
        path = writable(out, ("html",))
        with aside(path) as file:
            file.write_text(self.html, encoding="utf-8")

    def summary(self) -> dict[str, Any]:
        """Return what `ravine page --json` prints."""
        return {**self.race.summary(), "lang": self.lang, "bytes": len(self.html.encode())}

    def _repr_html_(self) -> str:
        # A frame of its own: the page's styles and scripts stay away from the notebook's.
        return (
            f'<iframe sandbox="allow-scripts allow-downloads" allow="clipboard-write" width="100%" height="{HEIGHT}" '
            f'style="border:0" srcdoc="{escape.escape(self.html)}"></iframe>'
        )


def page(
    surface: str | Surface | Callable[..., Any] = "bowl",
    methods: str | Contestant | Sequence[str | Contestant] | None = None,
    start: ArrayLike | None = None,
    steps: int = 100,
    *,
    tol: float = 1e-6,
    noise: float = 0.0,
    seed: int = 0,
    lang: str = "en",
) -> Page:
    """Make a page on which a function can be played with in a browser, from disk and without a network.

    Args:
        surface: an expression, a name or a spectrum; a Python function cannot run in a browser.
        methods: the rules it begins with, such as `classical:lr=0.01,mu=0.9`; without any, three that fit.
        start: one point (n,); without it the surface's own, or all ones.
        steps: how many it begins with.
        tol: a run stops when its gradient's norm is at most this.
        noise: standard deviation of the noise on each coordinate of each gradient.
        seed: of the noise; the page carries a few more.
        lang: `en` or `zh`.

    Returns:
        A `Page`; `page.save("page.html")` writes it, and a notebook shows it.

    Raises:
        PageError, RaceError, RuleError, SurfaceError: with what is wrong and what to write.

    Example:
        >>> made = page("x^2 + 50y^2", ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9"], (180, 90))
        >>> [run["rule"] for run in made.facts["runs"]], made.facts["target"]
        (['sgd', 'classical'], 1e-06)
    """
    from ravine.browser.facts import MOST_RUNS, check

    if lang not in LANGUAGES:
        raise PageError(f"a page speaks {' or '.join(LANGUAGES)}, got {lang!r}; {nearest(str(lang), LANGUAGES)}")
    points = None if start is None else points_of(start, PageError)
    made = make_surface(surface, dim=None if points is None else points.shape[1])
    check(made, np.zeros(0) if points is None else points, steps)
    walked = race(made, methods, points, steps, tol=tol, noise=noise, seed=seed)
    if len(walked.runs) > MOST_RUNS:
        raise PageError(f"a page begins with 1 to {MOST_RUNS} rules, got {len(walked.runs)}; leave some out")
    return Page(walked, tol, lang)
