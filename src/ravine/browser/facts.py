"""Everything a page knows, as plain data: the surface, its minima, the rules with their maps, the runs to begin with.

What is computed here is not computed again in the browser: minima, Hessians, optima and the theory's lines are Python's.
"""

import base64
import inspect
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ravine.browser.presets import plain, presets
from ravine.browser.settings import rule_facts
from ravine.charts import CHARTS, EVERY
from ravine.draw.data import fitting_box
from ravine.draw.style import PALETTE
from ravine.errors import PageError, SurfaceError
from ravine.hollows import minima
from ravine.phase import ABOVE, lowest
from ravine.result import Race
from ravine.rules import RULES, Method
from ravine.schedules import SCHEDULES, Schedule
from ravine.surfaces.catalogue import CATALOGUE
from ravine.surfaces.interface import Array, Minimum, Surface

MOST_RUNS = 9
FARTHEST = 1e12  # a coordinate beyond which nothing can be drawn
LEAST_STEPS, MOST_STEPS = 1000, 20_000  # of the page's slider
SEEDS, NUMBERS = 10, 40_000  # of the noise that a page carries: so many streams, of so many numbers in all
MOST_DIM = 200
# Nine runs need two colours more than figures have; on a dark ground all are lighter.
LIGHT = (*PALETTE, "#6A3D9A", "#8A6A2F")
DARK = ("#56B4E9", "#F0894B", "#2BC49A", "#E59CC6", "#F2F2F2", "#F0E442", "#7FA8FF", "#BFA1F0", "#C8A46B")
SHORT = 45  # characters of a formula that a title has room for
SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

# What a schedule begins with where somebody chooses it: None is the setting's present value.
FIRST: Mapping[str, tuple[tuple[str, ...], tuple[float | None, ...]]] = {
    "ramp": (("mu",), (0.5, 0.99, 0.01)),
    "sutskever": (("mu",), (0.99, 25)),
    "nesterov83": (("mu",), (0.99,)),
    "linear": (("mu", "lr"), (None, 0.0, 100)),
    "cosine": (("lr", "mu"), (None, 100, 0.0)),
    "step": (("lr",), (None, 0.5, 25)),
    "exponential": (("lr",), (None, 0.02)),
    "inverse": (("lr",), (None, 0.05)),
    "search": (("lr",), (None, 25)),
}


def facts(race: Race, tol: float, lang: str) -> dict[str, Any]:
    """Return everything a page knows of the surface and the runs of a race.

    Args:
        race: the runs to begin with, walked once, from one start.
        tol: a run stops when its gradient's norm is at most this.
        lang: `en` or `zh`.

    Raises:
        PageError: a guest, a setting that is a function of yours, too many coordinates.
    """
    from importlib.metadata import version

    from ravine.browser.forecast import place_facts
    from ravine.browser.words import words

    surface, start = race.surface, race.starts[0]
    runs = [_run(run.method) for run in race.runs]
    points, h = known_minima(surface), curvatures(surface, np.array(start))
    mapped = lowest(surface, np.array([start]))[0] if points else None  # the minimum that ravine map would show
    hollow = surface if mapped is None else replace(surface, minima=(Minimum(tuple(mapped.tolist()), 0.0),))
    places = [place_facts(surface, point) for point in points if np.isfinite(surface.hessian(point)).all()]
    usable = [place for place in places if (np.array(place["h"]) > 0).any()]
    h = np.array(min(usable, key=lambda place: float(place["value"]))["h"]) if usable else h

    def settings_of(name: str) -> list[dict[str, Any]]:
        return [run["settings"] for run in runs if run["rule"] == name]

    named = [*RULES, *(run["rule"] for run in runs if run["rule"] in CHARTS)]
    floor = min((float(surface.value(point)) for point in points), default=None)
    return {
        "version": version("ravine"),
        "lang": lang,
        "words": words(lang),
        "surface": {
            "text": surface.text, "title": formula(surface), "variables": list(surface.variables), "dim": surface.dim,
            "quadratic": surface.quadratic,
        },
        "box": [list(side) for side in fitting_box(surface, race.runs)] if surface.dim <= 2 else [],
        "start": list(start),
        "steps": race.steps,
        "mostSteps": most_steps(race.steps),
        "tol": tol,
        "noise": race.noise,
        "seed": race.seeds[0],
        "floor": floor,
        "runs": runs,
        "minima": [list(map(float, point)) for point in points],
        "places": places,
        "target": None if mapped is None else float(surface.value(mapped)) + ABOVE,
        "rules": {
            name: rule_facts(hollow, EVERY[name], settings_of(name), h, places, mapped is not None)
            for name in dict.fromkeys(named)
        },
        "schedules": schedule_facts(),
        "presets": presets(surface, start, _learning_rate(h)),
        "normals": normals(race.seeds[0], most_steps(race.steps), surface.dim),
        "colours": {"light": list(LIGHT), "dark": list(DARK)},
    }  # fmt: skip


def most_steps(steps: int) -> int:
    """Return how many steps a page's slider offers: at least those it begins with."""
    return min(MOST_STEPS, max(LEAST_STEPS, 2 * steps))


def _run(method: Any) -> dict[str, Any]:
    """Return a method as a run of a page; refuses guests and schedules of one's own."""
    if not isinstance(method, Method):
        raise PageError(
            f"a page steps rules in the browser, and {method.label} is an optimizer of another library; name a rule "
            "(ravine rules), or watch it with ravine race"
        )
    if EVERY.get(method.name) != method.rule:
        raise PageError(
            f"a page knows the rules of ravine rules, and {method.name} is a rule of yours; name one of them"
        )
    for name, value in method.settings.items():
        if callable(value) and not isinstance(value, Schedule):
            raise PageError(
                f"{method.name}: {name} is a function of yours, which no browser can run; write a schedule such as "
                "ramp(0.5,0.99,0.01)"
            )
    settings = {name: plain(value) for name, value in method.settings.items()}
    return {"rule": method.name, "settings": settings, "shown": True}


def known_minima(surface: Surface) -> list[Array]:
    """Return the minima of a surface, none where none is known or found."""
    try:
        with np.errstate(all="ignore"):
            return minima(surface)[0]
    except SurfaceError:
        return []


def curvatures(surface: Surface, point: Array) -> Array | None:
    """Return the sizes of the curvatures at a point, (n,), None where they are no numbers."""
    with np.errstate(all="ignore"):
        found = surface.hessian(point)
        return abs(np.linalg.eigvalsh(found)) if np.isfinite(found).all() else None


def _learning_rate(h: Array | None) -> float:
    """Return a learning rate that fits: one over the largest curvature."""
    largest = float(h.max()) if h is not None and len(h) else 0.0
    return float(f"{1 / largest:.2g}") if largest > 0 and math.isfinite(1 / largest) else 0.01


def formula(surface: Surface) -> str:
    """Write a surface for a title: what was typed, with raised exponents, or its name with a formula that is short.

    >>> from ravine.surfaces import surface
    >>> formula(surface("x^2 + 50y^2")), formula(surface("bowl")), formula(surface("goldstein_price"))
    ('x² + 50y²', 'bowl: x² + 50y²', 'goldstein_price')
    """
    entry = CATALOGUE.get(surface.text)
    known = entry.text if entry is not None and isinstance(entry.text, str) and len(entry.text) <= SHORT else ""
    title = f"{surface.name}: {known}" if known else surface.name
    return re.sub(r"(?:\^|\*\*)(\d+)(?![\d.])", lambda found: found[1].translate(SUPERSCRIPTS), title)


def schedule_facts() -> dict[str, Any]:
    """Return the schedules that a page offers: their numbers, what these are at first, and for which settings."""
    return {
        name: {
            "parameters": [
                {"name": p.name, "default": None if p.default is inspect.Parameter.empty else float(p.default)}
                for p in SCHEDULES[name].parameters
            ],
            "source": SCHEDULES[name].source,
            "misfit": SCHEDULES[name].misfit,
            "for": list(settings),
            "first": list(first),
        }
        for name, (settings, first) in FIRST.items()
    }


def normals(seed: int, steps: int, n: int) -> dict[str, Any]:
    """Return the noise that a page carries: the streams that a race draws, for some seeds, as base64 of doubles.

    In the order seed, step, coordinate; a browser could not draw the same numbers by itself.
    """
    length = min(steps, NUMBERS // n)
    others = [s for s in range(SEEDS) if s != seed][: max(0, min(SEEDS, NUMBERS // (length * n)) - 1)]
    seeds = sorted([seed, *others])
    drawn = np.stack([np.random.default_rng(s).standard_normal((length, n)) for s in seeds])
    return {"seeds": seeds, "steps": length, "base64": base64.b64encode(drawn.astype("<f8").tobytes()).decode()}


def check(surface: Surface, start: Array, steps: int) -> None:
    """Refuse what no page can show."""
    if surface.dim > MOST_DIM:
        raise PageError(
            f"a page shows up to {MOST_DIM} coordinates, and {surface.name} has {surface.dim}; use ravine race"
        )
    if surface.expression is not None:
        unknown = {symbol.name for symbol in surface.expression.free_symbols} - set(surface.variables)
        if unknown:
            raise PageError(
                f"the expression of {surface.name} holds {', '.join(sorted(unknown))}, which is none of its coordinates "
                f"({', '.join(surface.variables)}); name them alike"
            )
    if isinstance(steps, int) and steps > MOST_STEPS:
        raise PageError(f"a page shows 1 to {MOST_STEPS} steps, got {steps}; use ravine race")
    if start.ndim > 1 and len(start) > 1:
        raise PageError(f"a page has one start, which can be dragged, got {len(start)}; name one")
    if abs(start).max(initial=0.0) > FARTHEST:
        raise PageError(f"a page shows starts up to {FARTHEST:g}, got {abs(start).max():g}; use ravine race")
