"""The page's predictions: the algebra and the verdict translated from Python, and what they need to know of a place."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from ravine import algebra, outlook, rules
from ravine.algebra.direction import radius
from ravine.algebra.kinds import symbolic
from ravine.algebra.limits import critical, lr_below
from ravine.algebra.noise import ending
from ravine.algebra.products import growth_by_steps, last_stirring
from ravine.browser.translate import Program
from ravine.outlook import Found
from ravine.phrases import BOOKS
from ravine.places import best_of, spot
from ravine.prediction import Best, Direction, Limit, Place, Spot
from ravine.rules import Method, Rule
from ravine.schedules import at, text_of
from ravine.surfaces.interface import Array, Surface
from ravine.verdict import verdict

# What takes arrays and many kinds of numbers, and what is the same on floats; the tests hold each pair equal.
TWINS: Mapping[Any, Any] = {
    algebra.rate: radius,
    algebra.growth: growth_by_steps,
    algebra.last_moving: last_stirring,
    rules.sqrt: math.sqrt,
}
GIVEN = {at: "engine.at", text_of: "engine.text", outlook.descent: "outlook$descent"}
RECORDS = (Spot, Direction, Limit, Best, Place, Method, Rule)


def place_facts(surface: Surface, point: Array) -> dict[str, Any]:
    """Return what a page needs of a place: the point, its value and kind, curvatures and their directions, kinks.

    >>> from ravine.surfaces import surface
    >>> facts = place_facts(surface("x^2 + 50y^2"), np.zeros(2))
    >>> facts["kind"], facts["h"], facts["kinks"]
    ('minimum', (2.0, 100.0), (False, False))
    """
    with np.errstate(all="ignore"):
        return asdict(spot(surface, np.asarray(point, float)))


def optimum_facts(rule: Rule, place: Mapping[str, Any], fixed: Mapping[str, float]) -> dict[str, Any] | None:
    """Return the best settings of a rule at a place and their rate, None where there are none.

    Args:
        rule: of the table, or a chart.
        place: what `place_facts` returned.
        fixed: settings that stay as they are; nu and tau count.
    """
    h = np.array(place["h"])
    found = best_of(rule, fixed, h) if (h > 0).any() and not (h < 0).any() else None
    return None if found is None else {"settings": dict(found[0]), "rate": found[1]}


def fitting(best: Mapping[str, float], rate: float, settings: Mapping[str, float]) -> Found | None:
    """Return known best settings for a run, whose tau only rescales lr; None where they are of another nu."""
    if "nu" in settings and best["nu"] != settings["nu"]:
        return None
    before, now = best.get("tau", 0.0), settings.get("tau", 0.0)
    if before == now:
        return best, rate
    if now == 1:
        return None
    scale = (1 - before) / (1 - now)
    return {"lr": best["lr"] * scale, "mu": best["mu"], **({"tau": now} if now != 0 else {})}, rate


@cache
def program() -> str:
    """Return JavaScript that defines `foresight(engine, {lang, optimumOf})`, which makes what an engine can predict."""
    made = Program(GIVEN, TWINS, (symbolic,), RECORDS)
    names = {
        "OUTLOOK": made.function(outlook.outlook),
        "VERDICT": made.function(verdict),
        "FITTING": made.function(fitting),
        "ENDING": made.function(ending),
        "CRITICAL": made.function(critical),
        "LIMIT": made.function(lr_below),
        "BOOKS": made.constant("phrases", "BOOKS", BOOKS),
    }
    text = _script("forecast.js")
    for name, made_name in names.items():
        text = text.replace(f"{name}(", f"{made_name}(").replace(f"{name}[", f"{made_name}[")
    for mark, lines in (("RUNTIME", _script("runtime.js")), ("FUNCTIONS", made.text())):
        text = text.replace(f"    // {mark}\n", lines)
    return text


def _script(name: str) -> str:
    return files("ravine.browser").joinpath("js", name).read_text(encoding="utf-8")
