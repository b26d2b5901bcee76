"""sweep: a grid of real trainings, kept as rows, that goes on where it was ended."""

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.cli.options import JsonOption, columns, file_free, print_json
from ravine.errors import SweepError, shown

FIGURES = ("png", "svg", "pdf", "html")
TABLES = ("csv", "parquet")


def _tasks(incomplete: str) -> list[str]:
    from ravine.tasks import TASKS

    return [name for name in TASKS if name.startswith(incomplete)]


def sweep(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK", help="A name (ravine tasks) or path/to/file.py:make_task.", autocompletion=_tasks
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the rows; the same command goes on.")
    ],
    rule: Annotated[
        str, typer.Option("--rule", "-r", metavar="NAME", help="Such as nag, or qhm:nu=0.7 with nu fixed.")
    ] = "heavyball",
    lr: Annotated[str, typer.Option(metavar="VALUES", help="lo:hi:n, or a list; 1e-4:1:12 if not given.")] = "",
    mu: Annotated[
        str, typer.Option(metavar="VALUES", help="lo:hi:n, or a list; 0,0.5,0.9,0.95,0.99 if not given.")
    ] = "",
    axis: Annotated[
        list[str] | None, typer.Option("--axis", metavar="NAME=VALUES", help="Another setting: nu=0:1:5; repeat it.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", "-n", metavar="N", help="Updates of each; the task's own number.")
    ] = None,
    seeds: Annotated[str, typer.Option(metavar="K", help="So many seeds from 0, or a list such as 0,7.")] = "1",
    engine: Annotated[str, typer.Option(metavar="NAME", help="auto, lanes, processes or ray.")] = "auto",
    cluster: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Of Ray: host:6379, ray://host:10001, auto; local starts one here.")
    ] = "",
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes, or chunks at once on a cluster.")] = None,
    gpus: Annotated[
        float | None, typer.Option("--gpus-per-chunk", metavar="G", help="Of a cluster, for each chunk; may be 0.25.")
    ] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(metavar="NAME", help="float32 or float64.")] = "float32",
    halving: Annotated[
        float, typer.Option(metavar="F", help="At every rung only the best 1/F go on; 3 is usual, 0 for none.")
    ] = 0.0,
    chunk: Annotated[int | None, typer.Option(metavar="N", help="Trainings to a part; chosen if not given.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Train those again that failed before.")] = False,
    curvature: Annotated[
        float | None, typer.Option(metavar="H", help="Largest curvature, for the theory's line (ravine curvature).")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"By suffix {', '.join(FIGURES)}; map.png and map.html in DIR.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The rows as CSV or Parquet; sweep.parquet is in DIR.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Sweep a grid of settings over a real training: resumable, here or on a cluster."""
    from ravine.sweep import sweep as run
    from ravine.sweep.parts import prepared

    if any(file and file.parent == out for file in (figure, export)):
        prepared(out)
    figure, export = file_free(figure, FIGURES), file_free(export, TABLES)

    try:
        with contextlib.redirect_stdout(sys.stderr), _bar(json) as tick:  # what a file of yours prints
            made = run(
                task, rule, {"lr": lr or None, "mu": mu or None, **_axes(axis)}, steps=steps, seeds=_seeds(seeds), out=out,
                engine=engine, cluster=cluster or None, workers=workers, gpus=gpus, device=device, dtype=dtype,
                halving=halving, chunk=chunk, retry=retry, curvature=curvature, progress=tick, say=_say,
            )  # fmt: skip
    except KeyboardInterrupt:
        _say(f"what is finished is kept in {out}; go on with: ravine {shlex.join(sys.argv[1:])}")
        raise
    if json:
        print_json(made.summary())
    else:
        _print(made)
    written = _write(made, figure, export)
    if not json:
        print(f"written: {', '.join(map(str, written))}")
    if made.counts["failed"] == len(made.trials):
        raise typer.Exit(1)


def _axes(texts: list[str] | None) -> dict[str, str]:
    read: dict[str, str] = {}
    for text in texts or []:
        name, _, given = text.partition("=")
        if not given or not name.strip():
            raise SweepError(f"an axis is NAME=lo:hi:n or NAME=list, such as nu=0:1:5, got {shown(text)}")
        if name.strip() in read or name.strip() in ("lr", "mu"):
            raise SweepError(f"the axis {name.strip()} is given twice or has its own option; give each once")
        read[name.strip()] = given
    return read


def _seeds(text: str) -> int | list[int]:
    try:
        return [int(word) for word in text.split(",")] if "," in text else int(text)
    except ValueError:
        raise SweepError(f"--seeds takes a number or a list such as 0,7, got {shown(text)}") from None


def _say(sentence: str) -> None:
    print(f"note: {sentence}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[Callable[[Any], object] | None]:
    """Show trainings done, their rate, the time left and the failures, if somebody is looking."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
               TextColumn("{task.fields[news]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task("training", total=None, rate="", news="")
        first: list[float] = []  # how many rows were there already: they have no rate

        def tick(now: Any) -> None:
            first[:] = first or [now.done]
            seconds = bar.tasks[shown].elapsed or 0.0
            rate = (now.done - first[0]) / seconds if seconds > 1 else 0.0
            news = ", ".join(f"{n} {word}" for n, word in ((now.diverged, "diverged"), (now.failed, "failed")) if n)
            bar.update(shown, completed=round(now.done, 1), total=now.total, news=news,
                       rate=f"{rate:.3g} a second" if rate else "")  # fmt: skip

        yield tick


def _write(made: Any, figure: Path | None, export: Path | None) -> list[Path]:
    """Draw the figures and export the rows; returns what was written."""
    files = [figure] if figure else [made.path / "map.png", made.path / "map.html"]
    for file in files:
        if file.suffix.lower() == ".html":
            from ravine.files import aside

            page = made.page()
            with aside(file) as aside_file:
                aside_file.write_text(page, encoding="utf-8")
        else:
            from ravine.draw.figures import save

            save(made.plot(), file)
    if export:
        made.export(export)
    return [made.path / "sweep.parquet", *files, *([export] if export else [])]


def _print(made: Any) -> None:
    """Print the best cells and what became of the others."""
    for note in dict.fromkeys(made.notes):
        if note.startswith("parts/"):
            _say(note)
    fine = sorted((c for c in made.cells if c.loss < float("inf") and "dropped" not in c.states), key=lambda c: c.loss)
    rows: list[tuple[str, ...]] = [("best cells", "loss", "seeds")]
    for cell in fine[:5]:
        losses = ", ".join(f"{trial.loss:.4g}" for trial in cell.trials if trial)
        rows.append((cell.method.label, f"{cell.loss:.5g}", losses))
    columns(rows if fine else [("no cell has a finite loss; use smaller learning rates",)])
    counts = ", ".join(f"{n} {state}" for state, n in made.counts.items() if n)
    print(f"{counts}; {made.computed} computed now in {made.seconds:.1f} s")
    if made.border:
        _say(f"the best cell lies at the end of {' and '.join(made.border)}; widen the axis to see whether it goes on")
    for why in made.summary()["failures"][:3]:
        _say(f"failed: {why}")
