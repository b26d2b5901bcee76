"""The page's pictures as Bokeh knows them: axes, grids, tools, and sources that the page's scripts fill.

What moves while a slider is dragged lies on the level `overlay`, which Bokeh repaints without the axes and the ground;
it does not clip that level to the frame, so the scripts do.
"""

from collections.abc import Mapping
from typing import Any

from ravine.draw.maps import BRIGHT

MOST_PANELS = 12  # eigen-directions that are shown
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
CELLS = 256  # colours of a bar


def figures(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the page's pictures as items that Bokeh embeds.

    Args:
        facts: what the page knows; of it `surface` (its `dim` and `variables`).

    Returns:
        `terrain` (None for three coordinates and more), `curves`, `map`, and `panels`, one for each eigen-direction
        that is shown of three coordinates and more.

    Example:
        >>> made = figures({"surface": {"dim": 2, "variables": ["x", "y"]}})
        >>> list(made), made["panels"]
        (['terrain', 'curves', 'map', 'panels'], [])
    """
    dim, variables = facts["surface"]["dim"], facts["surface"]["variables"]
    ground = {1: _slope, 2: _terrain}.get(dim)
    panels = range(min(dim, MOST_PANELS) if dim > 2 else 0)
    return {
        "terrain": None if ground is None else _item(ground(variables)),
        "curves": _item(_curves()),
        "map": _item(_map()),
        "panels": [_item(_panel()) for _ in panels],
    }


def _terrain(variables: list[str]) -> Any:
    """Make the picture of two coordinates: the ground below, the paths and the balls above."""
    made = _figure("pan,wheel_zoom,box_zoom,reset", active_drag="pan", active_scroll="wheel_zoom")
    _name_axes(made, *variables)
    _image(made)
    made.scatter("x", "y", source=_source("minima", "x", "y"), marker="circle_cross", size=11, fill_alpha=0,
                 line_width=1.3, name="minima")  # fmt: skip
    _paths(made)
    return made


def _slope(variables: list[str]) -> Any:
    """Make the picture of one coordinate: the curve, with paths and balls on it."""
    made = _figure("xpan,xwheel_zoom,reset", active_drag="xpan", active_scroll="xwheel_zoom")
    _name_axes(made, variables[0], "value")
    made.line("x", "y", source=_source("ground", "x", "y"), line_width=2, name="ground")
    made.scatter("x", "y", source=_source("minima", "x", "y"), marker="circle_cross", size=11, fill_alpha=0,
                 line_width=1.3, name="minima")  # fmt: skip
    _paths(made)
    return made


def _paths(made: Any) -> None:
    """Add what moves, bottom first: paths with a rim that makes them readable on any ground, arrows, balls."""
    paths = _source("paths", "xs", "ys", "colour", "alpha")
    _lines(made, paths, name="rims", line_width=4.5, line_alpha=0.75)
    _lines(made, paths, line_color="colour", line_width=2, line_alpha="alpha")
    _dots(made, _source("dots", "x", "y", "colour"), size=4, line_alpha=0)
    ends = _source("ends", "x", "y", "colour", "line", "sign")
    _dots(made, ends, marker="sign", size=11, line_color="line", line_width=1.8)
    arrows = _source("arrows", "xs", "ys", "colour")
    _lines(made, arrows, name="arrow rims", line_width=5, line_alpha=0.8)
    _lines(made, arrows, line_color="colour", line_width=2.2)
    _dots(made, _source("balls", "x", "y", "colour"), size=15, line_width=1.8, name="balls")


def _curves() -> Any:
    """Make the picture of values against steps on a logarithmic axis."""
    made = _figure("", y_axis_type="log")
    _name_axes(made, "step", "value")
    _powers(made)
    _lines(made, _source("clock", "xs", "ys"), name="clock", line_width=1, line_alpha=0.7)
    _lines(made, _source("predicted", "xs", "ys", "colour"), line_color="colour", line_width=1.4, line_dash=[5, 4])
    _lines(made, _source("values", "xs", "ys", "colour"), line_color="colour", line_width=2)
    return made


def _panel() -> Any:
    """Make the picture of the error along one eigen-direction, on a logarithmic axis."""
    made = _figure("", y_axis_type="log", title=" ")
    _name_axes(made, "step", "")
    _powers(made)
    made.xaxis.ticker.desired_num_ticks = 4
    _lines(made, _source("clock", "xs", "ys"), name="clock", line_width=1, line_alpha=0.7)
    _lines(made, _source("values", "xs", "ys", "colour"), line_color="colour", line_width=1.7)
    return made


def _map() -> Any:
    """Make the picture of the map: cells, the theory's lines, the optimum, and a bar for the colours."""
    from bokeh.models import FixedTicker, LogColorMapper
    from bokeh.models.annotations import ColorBar

    made = _figure("")
    _name_axes(made, "lr", "mu")
    _image(made)
    lines = _source("lines", "xs", "ys", "dash", "width")
    _lines(made, lines, name="rims", level="glyph", line_width=3.6, line_alpha=0.75)
    _lines(made, lines, name="lines", level="glyph", line_width="width", line_dash="dash")
    made.scatter("x", "y", source=_source("optimum", "x", "y"), marker="star", size=20, fill_color="#D55E00",
                 line_width=1.2, name="optimum")  # fmt: skip
    palette = [_hex(BRIGHT(i / (CELLS - 1))) for i in range(CELLS)]
    colours = LogColorMapper(palette=palette, low=1, high=10, name="colours")
    bar = ColorBar(color_mapper=colours, ticker=FixedTicker(ticks=[]), width=10, padding=6, margin=0, border_line_alpha=0,
                   background_fill_alpha=0, bar_line_alpha=0, major_label_text_font=FONT, name="bar")  # fmt: skip
    made.add_layout(bar, "right")
    for axis in (*made.xaxis, *made.yaxis):
        axis.ticker = FixedTicker(ticks=[])
    return made


# Parts -----------------------------------------------------------------------------------------------------------


def _figure(tools: str, title: str = "", **more: Any) -> Any:
    """Make an empty figure that fills its element and writes as the page does."""
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    made: Any = figure(
        tools=tools, toolbar_location="above" if tools else None, x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=0.1, end=1), sizing_mode="stretch_both", min_border=4, min_border_right=16,
        outline_line_color=None, background_fill_alpha=0, border_fill_alpha=0, lod_threshold=None, title=title or None,
        **more,
    )  # fmt: skip
    made.toolbar.update(logo=None, stylesheets=[".bk-divider { background-color: transparent; }"])
    if made.title is not None:
        made.title.update(text_font=FONT, text_font_size="13px", text_font_style="normal")
    for axis in (*made.xaxis, *made.yaxis):
        axis.update(
            axis_label_text_font=FONT, axis_label_text_font_size="13px", axis_label_text_font_style="normal",
            major_label_text_font=FONT, major_label_text_font_size="12px", axis_label_standoff=4, minor_tick_line_color=None,
            major_tick_in=0, major_tick_out=4,
        )  # fmt: skip
    return made


def _powers(made: Any) -> None:
    """Leave the labels of a logarithmic axis to the scripts, which know how much room there is."""
    from bokeh.models import FixedTicker

    made.yaxis.ticker = FixedTicker(ticks=[])


def _name_axes(made: Any, x: str, y: str) -> None:
    made.xaxis.axis_label, made.yaxis.axis_label = x, y


def _source(name: str, *columns: str) -> Any:
    """Make an empty source that the scripts find by its name."""
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({column: [] for column in columns}, name=f"{name} data")


def _lines(made: Any, source: Any, level: str = "overlay", **style: Any) -> None:
    made.multi_line("xs", "ys", source=source, level=level, line_join="round", line_cap="round", **style)


def _dots(made: Any, source: Any, **style: Any) -> None:
    made.scatter("x", "y", source=source, level="overlay", fill_color="colour", **style)


def _image(made: Any) -> None:
    """Add an image of one transparent pixel, of which the scripts learn the kind of array that Bokeh takes."""
    import numpy as np
    from bokeh.models import ColumnDataSource

    whole = {"image": [np.zeros((1, 1), np.uint32)], "x": [0.0], "y": [0.0], "dw": [1.0], "dh": [1.0]}
    source = ColumnDataSource(whole, name="ground data")
    made.xgrid.visible = made.ygrid.visible = False
    made.image_rgba(image="image", x="x", y="y", dw="dw", dh="dh", source=source, level="image")


def _hex(colour: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour[:3])


def _item(made: Any) -> Any:
    from bokeh.embed import json_item

    return json_item(made)
