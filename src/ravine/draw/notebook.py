"""A race as HTML: what a notebook shows, and what `--out race.html` writes."""

import base64
import html as escape
import io
from pathlib import Path

from ravine.draw import figures
from ravine.draw.data import number
from ravine.files import aside
from ravine.result import Race


def html(race: Race) -> str:
    """Return a race as a table and a figure, in one piece of HTML without links to elsewhere."""
    header = ("rule", "start", "steps", "stopped", "value", "rate predicted", "rate measured", "turns")
    cells = [
        (
            run.method.label, ", ".join(f"{c:g}" for c in run.start), run.steps, run.stopped, number(run.value),
            *("" if rate is None else f"{rate:.6f}" for rate in (run.predicted_rate, run.measured_rate)),
            ", ".join(map(str, run.turns[:4])),
        )
        for run in race.runs[:50]
    ]  # fmt: skip
    rows = "".join("<tr>" + "".join(f"<td>{escape.escape(str(c))}</td>" for c in row) + "</tr>" for row in cells)
    more = f"<p>… and {len(race.runs) - 50} more runs</p>" if len(race.runs) > 50 else ""
    head = "".join(f"<th>{word}</th>" for word in header)
    picture = io.BytesIO()
    figures.draw(race).savefig(picture, format="png")
    data = base64.b64encode(picture.getvalue()).decode()
    title = escape.escape(race.surface.name)
    return (
        f"<div><p><b>{title}</b></p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"
        f'<img alt="race on {title}" style="max-width:100%" src="data:image/png;base64,{data}"></div>'
    )


def write(race: Race, path: Path) -> None:
    """Write a race as a page of its own."""
    style = (
        "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}td,th{padding:.2em .6em;text-align:left}"
    )
    with aside(path) as file:
        file.write_text(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>race</title><style>{style}</style>{html(race)}</html>',
            encoding="utf-8",
        )
