"""A race or a map as HTML: what a notebook shows, and what `--out race.html` writes."""

import base64
import html as escape
import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ravine.draw import figures, maps
from ravine.draw.data import number
from ravine.draw.mapdata import number_of, rule_of
from ravine.draw.picks import settings_of
from ravine.files import aside
from ravine.phasemap import PhaseMap
from ravine.result import Race


def html(result: Race | PhaseMap) -> str:
    """Return a race or a map as a table and a figure, in one piece of HTML without links to elsewhere."""
    header, cells, made = _of_map(result) if isinstance(result, PhaseMap) else _of_race(result)
    rows = "".join("<tr>" + "".join(f"<td>{escape.escape(str(c))}</td>" for c in row) + "</tr>" for row in cells[:50])
    more = f"<p>… and {len(cells) - 50} more runs</p>" if len(cells) > 50 else ""
    head = "".join(f"<th>{word}</th>" for word in header)
    picture = io.BytesIO()
    made.savefig(picture, format="png")
    data = base64.b64encode(picture.getvalue()).decode()
    title, kind = escape.escape(result.surface.name), "map of" if isinstance(result, PhaseMap) else "race on"
    return (
        f"<div><p><b>{title}</b></p><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{more}"
        f'<img alt="{kind} {title}" style="max-width:100%" src="data:image/png;base64,{data}"></div>'
    )


Table = tuple[tuple[str, ...], list[tuple[Any, ...]], Figure]


def _of_race(race: Race) -> Table:
    header = ("rule", "start", "steps", "stopped", "value", "rate predicted", "rate measured", "turns")
    cells = [
        (
            run.method.label, ", ".join(f"{c:g}" for c in run.start), run.steps, run.stopped, number(run.value),
            *("" if rate is None else f"{rate:.6f}" for rate in (run.predicted_rate, run.measured_rate)),
            ", ".join(map(str, run.turns[:4])),
        )
        for run in race.runs
    ]  # fmt: skip
    return header, cells, figures.draw(race)


def _of_map(found: PhaseMap) -> Table:
    known, agreed = found.theory.optimum if found.theory else None, found.agreement
    best = found.best and f"{settings_of(found, found.best.settings)}: {number_of(found, found.best)}"
    row = {
        "rule": rule_of(found),
        "cells": f"{found.x.size} x {found.y.size}",
        **{word: f"{count / found.outcome.size:.1%}" for word, count in found.counts.items() if count},
        "best cell": best or "",
        "optimum of theory": settings_of(found, known) if known else "",
        "boundary agrees": "" if agreed is None or agreed.share is None else f"{agreed.share:.3%}",
    }
    return tuple(row), [tuple(row.values())], maps.draw(found)


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
