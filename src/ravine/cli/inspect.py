"""probe: what an optimizer really does."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.cli.options import JsonOption, file_free, print_json, write_json
from ravine.errors import ScheduleError

SUFFIXES = ("json",)


def probe(
    optimizer: Annotated[
        str,
        typer.Argument(
            metavar="OPTIMIZER",
            help="torch:SGD(lr=0.1,momentum=0.9), optax:sgd(learning_rate=0.1) or file.py:function.",
        ),
    ],
    asked: Annotated[
        list[str] | None,
        typer.Option(
            "--asked",
            "-a",
            metavar="KEY=VALUE",
            help="What a function of yours was asked for, such as lr=0.1; repeat it.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help=f"By suffix {', '.join(SUFFIXES)}.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Find out which momentum method an optimizer is, and its mistakes."""
    from ravine.probe import probe as run

    out = file_free(out, SUFFIXES)
    found = run(optimizer, asked=_numbers(asked))
    if out is not None:
        write_json(found.summary(), out)
    if json:
        print_json(found.summary())
        return
    print(found)
    if out is not None:
        print(f"written: {out}")


def _numbers(texts: list[str] | None) -> dict[str, Any]:
    """Read settings such as `lr=0.1`; raises `ScheduleError` where one is no number."""
    from ravine.errors import shown

    read = {}
    for text in texts or ():
        key, _, value = text.partition("=")
        try:
            read[key.strip()] = float(value)
        except ValueError:
            raise ScheduleError(
                f"--asked takes a setting and a number, such as --asked lr=0.1, got {shown(text)}"
            ) from None
    return read
