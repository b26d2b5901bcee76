"""tune: a learning rate and a momentum, recommended with evidence."""

import contextlib
import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.cli.options import JsonOption, columns, file_free, print_json, progress, write_json
from ravine.errors import TuneError, shown

FIGURES, OTHERS = ("png", "svg", "pdf"), ("html", "csv", "json")
INTO = ("evidence.html", "evidence.png", "trials.csv", "tune.json")  # what a folder gets
MOST = 8  # cells that are printed


def _tasks(incomplete: str) -> list[str]:
    from ravine.tasks import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]


def tune(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help="A name (ravine tasks), path/to/file.py:make_task, or a surface such as 'x^2 + 50y^2'.",
            autocompletion=_tasks,
        ),
    ],
    budget: Annotated[
        float, typer.Option("--budget", "-b", metavar="N", help="As many gradients as N whole trainings have.")
    ] = 20.0,
    rule: Annotated[
        str, typer.Option("--rule", "-r", metavar="NAME", help="Such as heavyball, nesterov:mu=0.9, or any.")
    ] = "any",
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", metavar="S", help="Updates of a training; the task's own number.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="K", help="The first of the seeds.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help=f"By suffix {', '.join(FIGURES + OTHERS)}; or a folder."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Tune lr and mu for a training of yours: a recommendation with its evidence, within a budget."""
    files = _files(out)
    with contextlib.redirect_stdout(sys.stderr), progress("tuning", quiet=json) as tick:  # what a file of yours prints
        from ravine.tuning import Recommendation
        from ravine.tuning import tune as search

        found = search(task, budget, rule, steps=steps, seed=seed, tick=tick, say=_say)
    told = found.summary()
    for file in files:
        _write(found, told, file)
    if json:
        print_json(told)
    else:
        for note in found.notes:
            print(f"note: {note}", file=sys.stderr)
        (_print if isinstance(found, Recommendation) else _print_exact)(found)
        for file in files:
            print(f"written: {file}")
    if getattr(found, "interrupted", False):
        raise typer.Exit(130)


def _say(sentence: str) -> None:
    print(f"note: {sentence}", file=sys.stderr, flush=True)


def _files(out: Path | None) -> list[Path]:
    """Return the files that are written, refused before anything is trained."""
    if out is None:
        return []
    if out.suffix and not out.is_dir():
        file_free(out, FIGURES + OTHERS)
        return [out]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TuneError(f"cannot make the folder {shown(out)}: {error.strerror or error}; name another") from None
    for name in INTO:
        file_free(out / name, FIGURES + OTHERS)
    return [out / name for name in INTO]


def _write(found: Any, told: dict[str, Any], out: Path) -> None:
    from ravine.tuning import Recommendation

    suffix = out.suffix.lower()[1:]
    if suffix == "json":
        write_json(told, out)
    elif suffix in FIGURES:
        from ravine.draw.figures import save

        save(found.plot(), out)
    elif not isinstance(found, Recommendation):
        if out.name not in INTO:
            raise TuneError(f"of a surface there are no trials to write as {suffix}; use json, png, svg or pdf")
    elif suffix == "csv":
        _csv(told["trials"], out)
    else:
        from ravine.draw.evidence import write

        write(found, out)


def _csv(trials: list[dict[str, Any]], out: Path) -> None:
    from ravine.files import aside

    with aside(out) as file, file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(trials[0]))
        writer.writeheader()
        writer.writerows(trials)


def _print(found: Any) -> None:
    from ravine.draw.evidence import HEADER, rows, sentence

    print(f"{found.name}: {found.method}")
    print(sentence(found))
    for trial in found.usual:
        ended = "diverges" if trial.loss == float("inf") else f"ends at {trial.loss:.4g}"
        print(f"usual: {trial.cell.rule.name} with lr={trial.cell.lr:g}, mu={trial.cell.mu:g} {ended}")
    spent = sum(found.spent.values())
    parts = ", ".join(f"{purpose} {number}" for purpose, number in found.spent.items())
    print(f"spent: {spent} of {found.budget} gradients ({spent / found.steps:.3g} trainings): {parts}\n")
    columns([HEADER, *rows(found)[:MOST]])
    print()
    for line in found.torch_lines:
        print(line)
    if plain := found.summary()["sgd"]:
        print("or with torch alone:")
        for line in plain:
            print(line)


def _print_exact(found: Any) -> None:
    print(f"{found.name}: {found.method}")
    print(f"rate {found.rate:.6f} over curvatures from {found.curvatures[0]:.6g} to {found.curvatures[1]:.6g}, exact")
    if len(found.others) > 1:
        columns([
            ("rule", "lr", "mu", "rate"),
            *((name, f"{s['lr']:.6g}", f"{s['mu']:.6g}" if "mu" in s else "", f"{rate:.6f}")
              for name, s, rate in found.others),
        ])  # fmt: skip
