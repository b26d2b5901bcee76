"""page: a function to play with in a browser."""

from pathlib import Path
from typing import Annotated

import typer

from ravine.cli.options import (
    JsonOption,
    NoiseOption,
    RuleOption,
    SeedOption,
    StartOption,
    StepsOption,
    SurfaceArgument,
    TolOption,
    file_free,
    points,
    print_json,
    say_notes,
)


def page(
    surface: SurfaceArgument = None,
    rule: RuleOption = None,
    start: StartOption = None,
    steps: StepsOption = 100,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where the page goes, an html file.")] = Path(
        "page.html"
    ),
    lang: Annotated[str, typer.Option(metavar="LANG", help="The language of the page: en or zh.")] = "en",
    show: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    tol: TolOption = 1e-6,
    noise: NoiseOption = 0.0,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Make a page to play with in a browser: one file, no network."""
    path = file_free(out, ("html",))
    assert path is not None
    from ravine.page import page as make

    places = points(start)
    blog = surface is None and rule is None
    rules = ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9", "nag:lr=0.01,mu=0.9"] if blog else rule
    made = make(surface or "bowl", rules, places, steps, tol=tol, noise=noise, seed=seed, lang=lang)
    made.save(path)
    if show:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    if json:
        print_json({"out": str(path), **made.summary()})
        return
    say_notes(made.race.notes)
    print(f"written: {path}")
