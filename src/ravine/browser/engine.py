"""The numerics of a page as JavaScript without a document, which runs in Node as well: generated, but for its loops.

What is written is one object, `engine`. A setting is a number or a schedule, `["ramp", 0.5, 0.99, 0.01]`; a run is
`{ rule: "classical", settings: { lr: 0.01, mu: 0.9 } }`.

    at(value, t)                     a setting at step t
    text(value)                      as `schedules.text_of` writes it
    rules[name], schedules[name]     parameters, defaults, and row(...numbers) or at(t, ...numbers)
    allowed                          what settings and numbers of schedules may be; rules and schedules have `fits`
    rowOf(run, t)                    the row of a run at step t
    surface                          dim, variables, height(x), and slope(x, g), which fills g
    race(run, options)               a trajectory, as `ravine.race` makes it
    map(options)                     cells of a map, walked in slices of milliseconds, coarse first
"""

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ravine import cells
from ravine.browser.printer import Terrain, block, terrain
from ravine.browser.rows import check_text, named, rule_text, schedule_text
from ravine.browser.steps import cell_text, move_text, script
from ravine.rules import SETTINGS, Rule
from ravine.schedules import ALLOWED, NESTED, SCHEDULES, Kind
from ravine.stepper import BALL
from ravine.surfaces.interface import Surface
from ravine.tracing import Pattern

OUTCOMES = ("NOT_YET", "REACHED", "DIVERGED", "UNDEFINED", "NOT_WALKED")


def program(surface: Surface, rules: Mapping[str, Rule]) -> str:
    """Write `const engine = …;`, everything that a page computes from a surface and rules.

    Args:
        surface: one with an expression, or a spectrum.
        rules: by their names, those of the table and of the charts.

    Returns:
        JavaScript without a document; with `module.exports = engine` after it Node runs it.

    Raises:
        PageError: the surface is a Python function, or a spectrum of too many curvatures.

    Example:
        >>> from ravine import RULES, surface
        >>> program(surface("x^2 + 50y^2"), RULES).startswith("const engine = ")
        True
    """
    land, traced = terrain(surface), {name: rule_text(rule) for name, rule in rules.items()}
    patterns = sorted({pattern for pattern, _ in traced.values()}, key=str)
    outcomes = ", ".join(f"{name} = {getattr(cells, name)}" for name in OUTCOMES)
    parts = [
        f"const BALL = {BALL!r}, BLOCK = {cells.BLOCK}, {outcomes};",
        _surface(surface, land),
        _object("rules", {name: _rule(rules[name], *text, patterns) for name, text in traced.items()}),
        _object("schedules", {name: _kind(kind) for name, kind in SCHEDULES.items()}),
        _object("settingAllowed", {name: check_text(setting.allowed, [name]) for name, setting in SETTINGS.items()}),
        _object("numberAllowed", {name: check_text(allowed, [name]) for name, (allowed, _) in ALLOWED.items()}),
        f"const allowed = {{ settings: settingAllowed, numbers: numberAllowed, nested: new Set({json.dumps(NESTED)}) }};",
        _list("moves", map(move_text, patterns)),
        script("walk.js").rstrip(),
        _list("cells", [cell_text(land, surface.dim, i, pattern) for i, pattern in enumerate(patterns)]),
        "return { at, text, rules, schedules, allowed, rowOf, surface, race, map };",
    ]
    return f"const engine = (() => {{\n{chr(10).join(parts)}\n}})();\n"


def _surface(surface: Surface, land: Terrain) -> str:
    names = [f"x{i}" for i in range(surface.dim)]
    take = [f"const {name} = x[{i}];" for i, name in enumerate(names)]
    height = [*take, *block(land.height), "return f;"]
    slope = [*take, *block(land.slope_at(names)), *(f"g[{i}] = g{i};" for i in range(surface.dim))]
    entries = {
        "dim": surface.dim,
        "variables": json.dumps(surface.variables),
        "quadratic": json.dumps(surface.quadratic),
        "height": _function("x", height),
        "slope": _function("x, g", slope),
    }
    return "const surface = {" + "".join(f"\n    {key}: {text}," for key, text in entries.items()) + "\n};"


def _function(given: str, lines: Sequence[str]) -> str:
    return f"({given}) => {{\n" + textwrap.indent("\n".join(lines), " " * 8) + "\n    }"


def _rule(rule: Rule, pattern: Pattern, fill: str, patterns: Sequence[Pattern]) -> str:
    row = "row(...numbers) { return this.fill(new Float64Array(5), ...numbers); }"
    known = f"{named(dict(rule.parameters))}, pattern: {patterns.index(pattern)}"
    fits = _fits(rule.fits, list(rule.parameters))
    return f"{{ {known},\n        fits: {fits},\n        fill: {fill},\n        {row} }}"


def _kind(kind: Kind) -> str:
    parameters = {p.name: p.default for p in kind.parameters}
    fits = _fits(kind.fits, list(parameters))
    return f"{{ {named(parameters)},\n        fits: {fits},\n        at: {schedule_text(kind)} }}"


def _fits(fits: Callable[..., Any] | None, names: Sequence[str]) -> str:
    return "null" if fits is None else check_text(fits, names)


def _object(name: str, entries: Mapping[str, str]) -> str:
    # Without a prototype, so that no text that comes in finds "constructor" there.
    body = "".join(f"\n    [{json.dumps(key)}]: {text}," for key, text in entries.items())
    return f"const {name} = {{\n    __proto__: null,{body}\n}};"


def _list(name: str, entries: Iterable[str]) -> str:
    return f"const {name} = [\n" + textwrap.indent(",\n".join(entries), " " * 4) + ",\n];"
