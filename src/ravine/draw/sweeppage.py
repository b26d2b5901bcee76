"""A sweep as an HTML document that loads nothing: the figure's three panels, whose points tell their numbers."""

from typing import Any

import numpy as np
from bokeh import models as bokeh_models
from bokeh.embed import components
from bokeh.layouts import row
from bokeh.palettes import Plasma256, Viridis256
from bokeh.plotting import figure
from bokeh.resources import Resources
from jinja2 import Environment

from ravine.draw.maps import meaning
from ravine.draw.style import INK, LINES
from ravine.draw.sweepdata import OTHERS, WORDS, SweepPicture, Tile, picture
from ravine.draw.sweeps import KINDS, STROKES
from ravine.schedules import text_of
from ravine.sweep.grid import Axis
from ravine.sweep.table import Sweep
from ravine.sweep.trials import DONE

models: Any = bokeh_models  # whose stubs know neither all names nor what they take
SIGNS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "plus", "x", "star", "hex", "asterisk")
DASHES = {"-": "solid", "--": "dashed", ":": "dotted"}
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; \
style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>{{ title }}</title>
<style>body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 1.2em; } h1 { font-size: 1.25em; }
td, th { padding: .1em .9em .1em 0; text-align: left; } .swatch { display: inline-block; width: .9em; height: .9em;
border: 1px solid #7c8894; vertical-align: -.1em; margin-right: .4em; } .plots { overflow-x: auto; }</style>
<script>{{ bokeh }}</script></head><body>
<h1>{{ title }}</h1>
<div class="plots">{{ div }}</div>
<p>{% for colour, word in legend %}<span class="swatch" style="background:{{ colour }}"></span>{{ word }} &nbsp; {% endfor %}
{% if limit %}Black line: {{ limit }}.{% endif %} Framed: the best cell. The pointer tells the numbers.</p>
<table><tr><th>best cells</th><th>median loss</th><th>each seed</th></tr>
{% for name, loss, each in best %}<tr><td>{{ name }}</td><td>{{ loss }}</td><td>{{ each }}</td></tr>{% endfor %}</table>
{{ script }}
</body></html>
"""


def draw(made: Sweep) -> str:
    """Return a sweep as an HTML document.

    Args:
        made: what is drawn.

    Returns:
        The document, with Bokeh in it; no request leaves the browser.
    """
    shown = picture(made)
    panels = row(_map(shown), _curves(shown), _valley(shown))
    script, div = components(panels)
    kinds = {t.kind for tiles in shown.tiles for t in tiles}
    fine = sorted((c for c in made.cells if np.isfinite(c.loss) and c.finished), key=lambda c: c.loss)[:10]
    return Environment(autoescape=True).from_string(PAGE).render(
        title=" · ".join([*shown.title.split("     "), "ravine"]),
        bokeh=_script("\n".join(Resources(mode="inline", components=["bokeh"], log_level="warn").js_raw)),
        div=_safe(div), script=_safe(script), limit=shown.limit[1] if shown.limit else "",
        legend=[(KINDS[kind], WORDS[kind]) for kind in OTHERS if kind in kinds],
        best=[(c.method.label, f"{c.loss:.5g}", ", ".join(f"{t.loss:.4g}" for t in c.trials if t)) for c in fine],
    )  # fmt: skip


def _safe(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # made by Bokeh, which escapes what it is given


def _script(text: str) -> Any:
    return _safe(text.replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def _panel(title: str, width: int, x: str, y: str, **more: Any) -> Any:
    made = figure(title=title, width=width, height=430, tools="pan,wheel_zoom,box_zoom,reset,save", **more)
    made.xaxis.axis_label, made.yaxis.axis_label = x, y
    made.toolbar.logo = None
    return made


def _map(shown: SweepPicture) -> Any:
    rows, columns = len(shown.tiles), len(shown.tiles[0])
    made = _panel("loss over all of the data at the end", 620, meaning(shown.x.name),
                  meaning(shown.y.name) if shown.y else "", x_range=models.Range1d(-0.5, columns - 0.5),
                  y_range=models.Range1d(-0.5, rows - 0.5))  # fmt: skip
    high = shown.high if shown.high > shown.low else shown.low + 1e-9 + abs(shown.low) / 10
    mapper: Any = (models.LogColorMapper if shown.low > 0 else models.LinearColorMapper)(
        Viridis256[::-1], low=shown.low, high=high
    )
    tiles = [(i, j, t) for j, line in enumerate(shown.tiles) for i, t in enumerate(line)]
    done, others = ([e for e in tiles if (e[2].kind == DONE) == fine] for fine in (True, False))
    places = [made.rect("x", "y", 1, 1, source=_source(done), line_color="white",
                        fill_color={"field": "loss", "transform": mapper})] if done else []  # fmt: skip
    if others:
        places.append(made.rect("x", "y", 1, 1, source=_source(others), line_color=LINES, fill_color="colour"))
    made.add_tools(models.HoverTool(renderers=places, tooltips=[("", "@label"), ("median loss", "@told"), ("seeds", "@each"),
                                                         ("what", "@what")]))  # fmt: skip
    if done:
        made.add_layout(models.ColorBar(color_mapper=mapper, width=10), "right")
    if shown.limit:
        line = shown.limit[0]
        made.line(line[:, 0], line[:, 1], line_color=INK, line_width=2.5)
    if shown.best:
        made.rect([shown.best[1]], [shown.best[0]], 1, 1, fill_color=None, line_color="#D55E00", line_width=3)
    for axis, values in ((made.xaxis, shown.x), (made.yaxis, shown.y)):
        _ticks(axis, values)
    made.xaxis.major_label_orientation = 0.6
    made.grid.visible = False
    return made


def _ticks(axis: Any, values: Axis | None) -> None:
    words = [text_of(v) if callable(v) else f"{v:.4g}" for v in values.values] if values else [""]
    every = -(-len(words) // 24)
    axis.ticker = list(range(0, len(words), every))
    axis.major_label_overrides = dict(enumerate(words))


def _source(tiles: list[tuple[int, int, Tile]]) -> dict[str, list[Any]]:
    """Return the columns of some tiles."""
    some = [t for _, _, t in tiles]
    return {
        "x": [i for i, _, _ in tiles], "y": [j for _, j, _ in tiles], "label": [t.label for t in some],
        "loss": [t.loss for t in some], "told": [f"{t.cell.loss:.5g}" for t in some],
        "each": [", ".join(f"{trial.loss:.4g}" if trial else "–" for trial in t.cell.trials) for t in some],
        "what": ["; ".join(dict.fromkeys(trial.reason or trial.state for trial in t.cell.trials if trial)) for t in some],
        "colour": [KINDS.get(t.kind, "#ffffff") for t in some],
    }  # fmt: skip


def _curves(shown: SweepPicture) -> Any:
    values = np.concatenate([loss for curve in shown.curves for _, loss in curve.parts] or [np.zeros(0)])
    logs = len(values) and values.min() > 0
    tame = np.concatenate([loss for c in shown.curves if c.kind != "diverged" for _, loss in c.parts] or [values])
    ends = {"y_range": models.Range1d(float(tame.min()) / 1.3, float(tame.max()) * 4)} if logs else {}
    made = _panel("learning curves, one line a seed", 430, "update", "mean loss of the batches around it",
                  y_axis_type="log" if logs else "linear", **ends)  # fmt: skip
    for curve in shown.curves:
        colour, dashes = STROKES[curve.kind]
        for at, loss in curve.parts:
            made.line("x", "y", source={"x": at, "y": loss, "label": [curve.label] * len(at)}, line_color=colour,
                      line_dash=DASHES[dashes], line_width=1.6, legend_label=curve.label)  # fmt: skip
    made.add_tools(models.HoverTool(tooltips=[("", "@label"), ("update", "@x"), ("loss", "@y")]))
    _small_legend(made)
    return made


def _valley(shown: SweepPicture) -> Any:
    finite = np.concatenate([v.loss[np.isfinite(v.loss)] for v in shown.valley] or [np.zeros(0)])
    logs = len(finite) and finite.min() > 0
    ends = (
        {"y_range": models.Range1d(float(finite.min()) / 1.15, max(shown.high * 1.5, float(finite.min()) * 2))}
        if logs
        else {}
    )
    made = _panel("the valley of equal effective learning rate", 430, shown.across, "loss", x_axis_type="log",
                  y_axis_type="log" if logs else "linear", **ends)  # fmt: skip
    for i, series in enumerate(shown.valley):
        colour = Plasma256[int(225 * i / max(len(shown.valley) - 1, 1))]
        fine = np.isfinite(series.loss) & (series.lr > 0)
        source = {
            "x": series.lr[fine],
            "y": series.loss[fine],
            "label": [n for n, f in zip(series.names, fine, strict=True) if f],
        }
        named = {"legend_label": series.label} if series.label else {}
        made.line("x", "y", source=source, line_color=colour, **named)
        made.scatter("x", "y", source=source, marker=SIGNS[i % len(SIGNS)], size=7, color=colour, **named)
    made.add_tools(models.HoverTool(tooltips=[("", "@label"), ("effective lr", "@x"), ("loss", "@y")]))
    _small_legend(made)
    return made


def _small_legend(made: Any) -> None:
    for legend in made.select(models.Legend):
        legend.label_text_font_size, legend.background_fill_alpha = "9pt", 0.7
