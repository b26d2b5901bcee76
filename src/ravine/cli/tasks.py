"""tasks: what can be trained."""

import contextlib
import sys
from typing import Annotated, Any

import typer

from ravine.cli.options import JsonOption, columns, print_json, progress


def tasks(
    task: Annotated[
        str | None, typer.Argument(metavar="[TASK]", help="A name of the list, or path/to/file.py:make_task.")
    ] = None,
    timing: Annotated[
        bool, typer.Option("--timing/--no-timing", help="Measure how long 100 steps take on one core.")
    ] = True,
    json: JsonOption = False,
) -> None:
    """List the tasks, real trainings; describe and check one, or yours."""
    if task is not None:
        with contextlib.redirect_stdout(sys.stderr):  # what a file of yours prints
            told = _one(task, timing)
        print_json(told) if json else _print_one(told)
        return
    from ravine.tasks import TASKS

    with progress("measuring", quiet=json or not timing) as tick:
        rows = []
        for done, name in enumerate(TASKS):
            rows.append(_listed(name, timing))
            if tick:
                tick(done + 1, len(TASKS))
    if json:
        print_json({"tasks": rows})
    else:
        _print_all(rows, timing)


def _listed(name: str, timing: bool) -> dict[str, Any]:
    """Return a row of the list; a package that is missing is named in it."""
    from ravine.errors import MissingPackage
    from ravine.tasks import TASKS, load
    from ravine.tasks.describe import summary

    try:
        made = load(name)
        return {**summary(made), "seconds_per_100_steps": _seconds(made) if timing else None}
    except MissingPackage as error:
        entry = TASKS[name]
        return {"name": name, "about": entry.about, "source": entry.source, "missing": str(error)}


def _one(text: str, timing: bool) -> dict[str, Any]:
    """Load, check, describe and time one task."""
    from ravine.tasks import load
    from ravine.tasks.describe import described

    made = load(text, check=False)  # describing checks
    return {**described(made), "seconds_per_100_steps": _seconds(made) if timing else None}


def _seconds(task: Any) -> float:
    from ravine.torch.pace import pace

    return pace(task)


def _print_all(rows: list[dict[str, Any]], timing: bool) -> None:
    last = ("s/100 steps",) if timing else ()
    table = [("task", "parameters", "samples", "batch", "steps", *last, "data", "what it is")]
    for row in rows:
        if "missing" in row:
            table.append((row["name"], "", "", "", "", *("" for _ in last), row["source"], row["missing"]))
            continue
        numbers = [f"{row[key]:,}" if row[key] else "stream" for key in ("parameters", "samples", "batch", "steps")]
        took = (f"{row['seconds_per_100_steps']:.2g}",) if timing else ()
        table.append((row["name"], *numbers, *took, row["source"], row["about"]))
    columns(table, widest=110)
    print("\nOne of yours is path/to/file.py:make_task: docs/tasks.md")


def _print_one(told: dict[str, Any]) -> None:
    words = {
        "task": told["name"],
        "what it is": told["about"],
        "loaded by": told["task"],
        "data from": told["source"],
        "parameters": f"{told['parameters']:,}",
        "samples": f"{told['samples']:,}" if told["samples"] else "a stream",
        "a batch": told["batch"],
        "tensors": ", ".join(told["data"]) + ("" if told["samples"] else " in a batch"),
        "steps": told["steps"],
        "metrics": ", ".join(told["metrics"]),
        "untrained loss": f"{told['untrained_loss']:.6g}",
        "100 steps take": f"{told['seconds_per_100_steps']:.2g} s on one core"
        if told["seconds_per_100_steps"]
        else None,
        "fingerprint": told["fingerprint"],
        "checked": "model, loss, gradient and metrics run",
    }
    columns([(key, str(value)) for key, value in words.items() if value not in (None, "")], widest=200)
    for note in told["notes"]:
        print(f"note: {note}", file=sys.stderr)
