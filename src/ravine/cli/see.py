"""race, film and gallery."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.cli.options import (
    JsonOption,
    NoiseOption,
    RuleOption,
    SeedOption,
    StartOption,
    StepsOption,
    SurfaceArgument,
    TargetOption,
    TolOption,
    columns,
    file_free,
    points,
    print_json,
    progress,
    say_notes,
)

RACE_SUFFIXES = ("png", "svg", "pdf", "gif", "webp", "mp4", "html", "csv", "parquet", "json")
FIGURES = (".png", ".svg", ".pdf")
FIGURE_1 = ["sgd:lr=0.001", "classical:lr=0.001,mu=0.5", "sgd:lr=0.01", "classical:lr=0.01,mu=0.5"]  # the blog post's


def race(
    surface: SurfaceArgument = None,
    rule: RuleOption = None,
    start: StartOption = None,
    steps: StepsOption = 100,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help=f"race.png unless told; by suffix {', '.join(RACE_SUFFIXES)}."
        ),
    ] = None,
    view: Annotated[
        str, typer.Option(metavar="VIEW", help="contours, terrain, curve, loss or directions; else what fits.")
    ] = "",
    panels: Annotated[str, typer.Option(metavar="KEY", help="One panel for each lr, mu, rule or start.")] = "",
    tol: TolOption = 1e-6,
    target: TargetOption = None,
    noise: NoiseOption = 0.0,
    seed: SeedOption = 0,
    predict: Annotated[
        bool, typer.Option("--predict", help="Lay each run beside its closed form, by eigen-direction.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Race rules on a surface: trajectories, a table and a figure."""
    out = file_free(out, RACE_SUFFIXES)
    blog = surface is None and rule is None and start is None
    if out is None and not json:
        out = file_free(Path("race.png"), RACE_SUFFIXES)
    view = view or ("directions" if predict and (out is None or out.suffix.lower() in FIGURES) else "")
    result = _raced(
        surface, FIGURE_1 if blog else rule, start, steps, tol, target, noise, seed, json, _view_check(out, view)
    )
    panels = panels or ("lr" if blog and view in ("", "contours") else "")
    if out is not None:
        _write(result, out, view, panels, json, predict)
    if json:
        print_json(_summary(result, predict))
        return
    say_notes(result.notes)
    _table(result)
    if predict:
        _directions(result)
    print(f"written: {out}")


def film(
    surface: SurfaceArgument = None,
    rule: RuleOption = None,
    start: StartOption = None,
    steps: StepsOption = 100,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="By suffix: gif, webp, mp4.")] = Path(
        "film.gif"
    ),
    view: Annotated[
        str, typer.Option(metavar="VIEW", help="flat, terrain or curve; by itself the one that fits.")
    ] = "",
    arrows: Annotated[bool, typer.Option("--arrows", help="Draw velocity and force too (flat view).")] = False,
    seconds: Annotated[float, typer.Option(metavar="S", help="How long it plays.")] = 6.0,
    fps: Annotated[int, typer.Option(metavar="N", help="Frames a second.")] = 20,
    tol: TolOption = 1e-6,
    noise: NoiseOption = 0.0,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Film a race: balls on the map or curve, or rolling on the terrain."""
    from ravine.draw.film import SUFFIXES
    from ravine.draw.film import film as make

    path = file_free(out, SUFFIXES)
    assert path is not None
    rules = rule or (["sgd:lr=0.01", "classical:lr=0.01,mu=0.9"] if surface is None else None)
    fits = partial(_film_fits, path, view, seconds, fps)
    result = _raced(surface, rules, start, steps, tol, None, noise, seed, json, fits)
    with progress("drawing", json) as tick:
        frames = make(result, path, view, arrows, seconds, fps, tick)
    if not json:
        say_notes(result.notes)
    _told({"out": str(path), "frames": frames, **result.summary()}, f"{frames} frames in {path}", json)


def gallery(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the pictures and the page go.")],
    json: JsonOption = False,
) -> None:
    """Draw and measure everything the blog post shows or claims."""
    from ravine.draw.gallery import gallery as make
    from ravine.files import folder as check

    folder = folder.expanduser()
    check(folder if folder.exists() else folder.parent)
    with progress("drawing", json) as tick:
        exhibits = make(folder, tick)
    claims = [claim for exhibit in exhibits for claim in exhibit.claims]
    failed = [claim for claim in claims if not claim.holds]
    data = [
        {
            "title": e.title,
            "pictures": e.pictures,
            "claims": [{**c._asdict(), "holds": bool(c.holds)} for c in e.claims],
        }
        for e in exhibits
    ]
    _told(
        {"out": str(folder), "exhibits": data},
        f"{len(claims) - len(failed)} of {len(claims)} claims hold: {folder / 'README.md'}",
        json,
    )
    for claim in failed:
        print(f"ravine: not so: {claim.said}: claimed {claim.claimed}, measured {claim.measured}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)


def _view_check(out: Path | None, view: str) -> Callable[[Any], object]:
    """Return what refuses a view that does not fit a surface, before anything is computed."""

    def fits(surface: Any) -> None:
        if out is not None and out.suffix.lower() in (".gif", ".webp", ".mp4"):
            _film_fits(out, view, 6.0, 20, surface)
        elif view or out is not None:
            from ravine.draw.figures import check_view

            check_view(view, surface.dim)

    return fits


def _film_fits(path: Path, view: str, seconds: float, fps: int, surface: Any) -> None:
    from ravine.draw.film import check

    check(path, view, surface.dim, seconds, fps)


def _raced(
    surface: str | None, rules: list[str] | None, start: list[str] | None, steps: int, tol: float,
    target: list[float] | None, noise: float, seed: int, quiet: bool, fits: Callable[[Any], object],
) -> Any:  # fmt: skip
    from ravine.race import race as run
    from ravine.result import TARGETS
    from ravine.surfaces import surface as make

    starts = points(start)
    made = make("bowl" if surface is None else surface, dim=len(starts[0]) if starts else None)
    fits(made)
    with progress("racing", quiet or steps < 20_000) as tick:
        return run(
            made, rules, starts, steps, tol=tol, target=min(target) if target else None,
            targets=target or TARGETS, noise=noise, seed=seed, progress=tick,
        )  # fmt: skip


def _summary(result: Any, predict: bool) -> dict[str, Any]:
    from ravine.components import with_directions

    told: dict[str, Any] = with_directions(result) if predict else result.summary()
    return told


def _directions(result: Any) -> None:
    """Print for each run and direction how far the closed form is from the run."""
    from ravine.components import with_directions

    lines = [("rule", "h", "closed form from step", "largest difference")]
    told = with_directions(result)
    for run, each in zip(result.runs[:40], told["runs"], strict=False):
        for d in (each["directions"] or [])[:12]:
            begin, difference = d["quadratic_from"], d["difference"]
            cells = ("–" if begin is None else str(begin), "–" if difference is None else f"{difference:.2e}")
            lines.append((run.method.label + result.where(run), f"{d['h']:.6g}", *cells))
    columns(lines)
    say_notes(note for note in told.get("notes", []) if note not in result.notes)


def _write(result: Any, out: Path, view: str, panels: str, quiet: bool, predict: bool) -> None:
    suffix = out.suffix.lower()[1:]
    if suffix in ("csv", "parquet", "json"):
        from ravine.export import write

        write(result, out, _summary(result, predict))
    elif suffix in ("gif", "webp", "mp4"):
        from ravine.draw.film import film as make

        with progress("drawing", quiet) as tick:
            make(result, out, view, progress=tick)
    elif suffix == "html":
        from ravine.draw.notebook import write as write_page

        write_page(result, out)
    else:
        from ravine.draw.figures import draw, save

        save(draw(result, view, panels), out)


def _table(result: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from ravine.draw.data import number

    table = Table(title=result.surface.name, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in ("rule", "steps", "stopped", "value", "rate", "measured", "turns"):
        table.add_column(name, justify="left" if name in ("rule", "stopped") else "right", no_wrap=True)
    for run in result.runs[:40]:
        rates = ("–" if rate is None else f"{rate:.6f}" for rate in (run.predicted_rate, run.measured_rate))
        turns = ", ".join(map(str, run.turns[:4])) + (", …" if len(run.turns) > 4 else "")
        table.add_row(
            run.method.label + result.where(run), str(run.steps), run.stopped, number(run.value), *rates, turns
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a file or a pipe has no width to fit into
    console.print(table)
    if len(result.runs) > 40:
        console.print(f"… and {len(result.runs) - 40} more runs; --out race.csv has them all")


def _told(data: dict[str, Any], sentence: str, json: bool) -> None:
    print_json(data) if json else print(f"written: {sentence}")
