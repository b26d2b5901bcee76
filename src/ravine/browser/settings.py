"""Which settings of a rule a page lets one move, how far, and the rule's map with the theory's lines on it."""

import contextlib
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ravine.draw.mapdata import lines_of
from ravine.errors import RavineError
from ravine.phase import phase_map
from ravine.phasemap import PhaseMap
from ravine.ranges import USUAL, axes_of
from ravine.rules import ANY, RULES, SETTINGS, Rule
from ravine.surfaces.interface import Array, Surface

CELLS = 200  # of a map, along each axis
POINTS = 240  # of one of the theory's lines: as many as there are pixels
LOWEST = 1e-4  # of the largest learning rate: where its slider begins
SLOWEST = 0.999  # the largest mu of a slider


def rule_facts(
    surface: Surface,
    rule: Rule,
    runs: Sequence[Mapping[str, Any]],
    h: Array | None,
    places: Sequence[Any],
    hollow: bool,
) -> dict[str, Any]:
    """Return what a page needs of a rule: its settings with their ranges, its map, its best settings at each place.

    Args:
        surface: what is descended.
        rule: of the table, or a chart.
        runs: the settings with which it takes part, so that the ranges hold them.
        h: curvatures that say how large a learning rate may be, (n,), or None.
        places: what is known of each minimum.
        hollow: whether the surface has a minimum for the theory of a map.
    """
    from ravine.browser.forecast import optimum_facts

    fixed = _fixed(rule, runs)
    known = map_facts(surface, rule, fixed, h, hollow) if rule.name in RULES else None
    return {
        "title": rule.title,
        "source": rule.source,
        "parameters": {name: _parameter(rule, name, runs, known, h) for name in rule.parameters},
        "fixed": fixed,
        "misfit": rule.misfit,
        "optima": [optimum_facts(rule, place, fixed) for place in places],
        "map": known,
    }


def _fixed(rule: Rule, runs: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the settings that are no axis of the rule's map: those of its first run, else the usual ones."""
    axes = {"lr", "mu"} if "lr" in rule.parameters else set(list(rule.parameters)[:2])
    first = next(iter(runs), {})
    made = {}
    for name, default in rule.parameters.items():
        if name not in axes:
            usual = USUAL.get(name) if default is inspect.Parameter.empty else default
            value = first.get(name, usual)
            made[name] = float(value if isinstance(value, int | float) else usual or 0.0)
    return made


def map_facts(
    surface: Surface, rule: Rule, fixed: Mapping[str, float], h: Array | None, hollow: bool
) -> dict[str, Any] | None:
    """Return the axes of a rule's map and what theory draws on it; None where no range can be chosen."""
    text = rule.name + ":" * bool(fixed) + ",".join(f"{name}={value!r}" for name, value in fixed.items())
    found: PhaseMap | None = None
    if hollow:
        with contextlib.suppress(RavineError):  # the minimum may be flat or a kink: axes without theory
            found = phase_map(surface, text, size=CELLS, show="predicted")
    try:
        x, y = (found.x, found.y) if found else axes_of(rule, dict(fixed), {"lr": None, "mu": None}, h, CELLS)
    except RavineError:
        return None
    theory = None if found is None else found.theory
    known = None if theory is None else theory.optimum
    return {
        "x": {**x._asdict(), "values": x.values.tolist()},
        "y": {**y._asdict(), "values": y.values.tolist()},
        "fixed": dict(fixed),
        "lines": [
            {"kind": line.kind, "label": line.label, "parts": [_thinned(part) for part in line.parts]}
            for line in (lines_of(found) if found is not None else ())
        ],
        "optimum": None if known is None else {"x": known.get(x.name), "y": known.get(y.name)},
        "h": [] if theory is None else theory.curvatures.tolist(),
        "near": None if theory is None or theory.exact else list(theory.point[:4]),
    }


def _thinned(part: Array) -> list[list[float]]:
    """Return a line as the list of its x and of its y, in as many points and digits as a screen shows."""
    kept = part[np.unique(np.linspace(0, len(part) - 1, POINTS).astype(int))]
    return [[float(f"{c:.6g}") for c in column] for column in kept.T.tolist()]


def _parameter(
    rule: Rule, name: str, runs: Sequence[Mapping[str, Any]], known: Mapping[str, Any] | None, h: Array | None
) -> dict[str, Any]:
    """Return a setting's meaning, default, and the range and scale of its slider."""
    default = rule.parameters[name]
    low, high, scale = _range(name, known, h)
    given = [run[name] for run in runs if isinstance(run.get(name), int | float)]
    if scale == "log" and min(given, default=0) < 0:  # a gain of pid, which may be of either sign
        low, high, scale = 2 * min(given), max(0.0, 2 * max(given)), "linear"
    elif scale == "log":
        low, high = min([low, *(g / 2 for g in given if g > 0)]), max([high, *(2 * g for g in given)])
    elif given:
        low, high = min([low, *given]), max([high, *given])
    return {
        "meaning": SETTINGS.get(name, ANY).meaning,
        "default": USUAL.get(name) if default is inspect.Parameter.empty else float(default),
        "low": low,
        "high": high,
        "scale": scale,
    }


def _range(name: str, known: Mapping[str, Any] | None, h: Array | None) -> tuple[float, float, str]:
    """Return from where to where a setting's slider goes, and on which scale."""
    largest = float(h.max()) if h is not None and len(h) and h.max() > 0 else 1.0
    least = float(h[h > 0].min()) if h is not None and (h > 0).any() else largest
    if name in ("mu", "beta1"):
        return 0.0, SLOWEST, "near1"
    if name in ("nu", "tau", "beta2", "rho", "eps"):
        return 0.0, {"tau": 0.9, "rho": SLOWEST, "eps": 0.99}.get(name, 1.0), "linear"
    if name in ("L", "m"):
        middle = largest if name == "L" else least
        return middle / 10, middle * 10, "log"
    high = 4 / largest
    if known is not None and known["x"]["name"] == name and math.isfinite(known["x"]["high"]):
        high = known["x"]["high"]
    return high * LOWEST, high, "log"
