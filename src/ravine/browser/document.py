"""The page as one HTML document: our template with Bokeh, the facts, the engine and the scripts written into it.

Nothing is loaded: a content security policy forbids every request. What somebody typed reaches the page as JSON strings
alone, in which no `<` is left that could end a script.
"""

import json
from importlib.resources import files
from typing import Any

from ravine.surfaces.interface import Surface

# In this order; each adds to the object `ravine`, the last one boots.
SCRIPTS = (
    "tools", "allowed", "app", "share", "runs", "settings", "controls", "readout", "bar",
    "plot", "scales", "views", "handle", "play", "ground", "paths", "scene", "slope", "terrain",
    "cells", "lines", "map", "curves", "panels", "main",
)  # fmt: skip
# Nothing here makes code from text; who drives the page from outside (a test, a slide show) may.
POLICY = "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:"

FORESEEN = """Object.assign(engine, foresight(engine, {
    lang: FACTS.lang, optimumOf: (run, place) => FACTS.rules[run.rule].optima[FACTS.places.indexOf(place)] ?? null,
}));"""


def document(surface: Surface, facts: dict[str, Any]) -> str:
    """Return a page as one HTML document.

    Args:
        surface: what is descended, with an expression.
        facts: everything else the page knows, as plain data.
    """
    from bokeh.resources import Resources
    from jinja2 import Environment

    from ravine.browser.engine import program
    from ravine.browser.figures import figures
    from ravine.browser.forecast import program as foresight
    from ravine.charts import EVERY

    engine = program(surface, {name: EVERY[name] for name in facts["rules"]})
    app = "\n".join(_read(f"js/{name}.js") for name in SCRIPTS)
    template = Environment(autoescape=True).from_string(_read("page.html"))
    return template.render(
        lang={"en": "en", "zh": "zh-CN"}[facts["lang"]],
        policy=POLICY,
        facts=facts,
        words=facts["words"],
        title=f"{facts['surface']['title']} · ravine",
        css=_read("page.css"),
        bokeh=_script("\n".join(Resources(mode="inline", components=["bokeh"], log_level="warn").js_raw)),
        code=_script(
            f'(() => {{\n"use strict";\nconst FACTS = {as_json({**facts, "items": figures(facts)})};\n{engine}\n'
            f"{foresight()}\n{FORESEEN}\nconst ravine = window.ravine = {{facts: FACTS, engine}};\n{app}\n}})();"
        ),
    )


def as_json(data: Any) -> str:
    """Write data as JSON that may stand in a script: no `<` is left, nor what ends a line only there.

    >>> as_json("</script>")
    '"\\\\u003c/script>"'
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _script(text: str) -> str:
    """Return JavaScript that no parser of HTML takes for the end of its element."""
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _read(name: str) -> str:
    return files("ravine.browser").joinpath(name).read_text(encoding="utf-8")
