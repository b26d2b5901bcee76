"""Options that several commands share, and how text becomes numbers."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.errors import RaceError, shown


def _surfaces(incomplete: str) -> list[str]:
    from ravine.surfaces.catalogue import CATALOGUE

    return [name for name in CATALOGUE if name.startswith(incomplete)]


def _rules(incomplete: str) -> list[str]:
    from ravine.rules import RULES

    return [f"{name}:lr=" for name in RULES if name.startswith(incomplete)]


SurfaceArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[SURFACE]", help="What is descended; without it the blog post's x^2 + 50y^2.", autocompletion=_surfaces
    ),
]
RuleOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        "-r",
        metavar="RULE",
        help="Who takes part, such as classical:lr=0.01,mu=0.9; repeat it.",
        autocompletion=_rules,
    ),
]
StartOption = Annotated[
    list[str] | None,
    typer.Option("--start", "-s", metavar="X,Y", help="Where from, such as 180,90; repeat it for more."),
]
StepsOption = Annotated[int, typer.Option("--steps", "-n", metavar="N", help="At most so many steps.")]
TolOption = Annotated[
    float, typer.Option(metavar="T", help="Stop when the gradient's norm is at most this; 0 for never.")
]
TargetOption = Annotated[
    list[float] | None,
    typer.Option("--target", metavar="V", help="Report the first step at this value; stop at the least of them."),
]
NoiseOption = Annotated[
    float, typer.Option(metavar="SIGMA", help="Standard deviation of the noise on each coordinate of the gradient.")
]
SeedOption = Annotated[int, typer.Option(metavar="K", help="Seed of the noise.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def points(texts: list[str] | None, option: str = "--start") -> list[list[float]] | None:
    """Read points such as `180,90`; raises `RaceError` where one is not numbers, naming the option."""
    if not texts:
        return None
    read = []
    for text in texts:
        try:
            read.append([float(word) for word in text.strip("()[] ").split(",")])
        except ValueError:
            raise RaceError(
                f"{option} takes numbers with commas between, such as {option} 180,90, got {shown(text)}"
            ) from None
    if len({len(point) for point in read}) > 1:
        raise RaceError(
            f"every {option} needs the same number of coordinates, got {' and '.join(map(str, texts))}; "
            "name points of one surface"
        )
    return read


def file_free(out: Path | None, suffixes: tuple[str, ...]) -> Path | None:
    """Refuse a file that cannot be written, before anything is computed."""
    if out is None:
        return None
    from ravine.files import writable

    return writable(out, suffixes)


def columns(rows: Sequence[tuple[str, ...]], widest: int = 80) -> None:
    """Print rows with their cells under each other; by hand, because a table library takes a tenth of a second to load."""
    widths = [min(widest, max(len(cell) for cell in column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def say_notes(notes: Iterable[str]) -> None:
    """Print what somebody should know beside a result, each once, where it does not mix with the result."""
    for note in dict.fromkeys(notes):
        print(f"note: {note}", file=sys.stderr, flush=True)


def print_json(data: Any) -> None:
    """Print one JSON object, valid everywhere: no NaN, no infinity."""
    print(json.dumps(data, allow_nan=False))


def write_json(data: Any, out: Path) -> None:
    """Write one JSON object into a file, whole or not at all."""
    from ravine.files import aside

    with aside(out) as file:
        file.write_text(json.dumps(data, allow_nan=False), encoding="utf-8")


@contextlib.contextmanager
def progress(what: str, quiet: bool = False) -> Iterator[Callable[[int, int], object] | None]:
    """Show a progress bar with the time left while something long runs, if somebody is looking."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
