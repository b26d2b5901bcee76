"""The door itself: commands, exit codes, and errors as one sentence on stderr."""

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ravine.cli import chart, curvature, exchange, foresee, inspect, lists, pages, see, sweep, tasks, tune
from ravine.errors import RavineError

DONE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="ravine",
    help="Gradient descent with momentum: see it, predict it, tune it, use it.",
    epilog="A surface is an expression (x^2 + 50y^2), a name (ravine surfaces), spectrum(2,100) or file.py:function. "
    "A rule is name:key=value,… (ravine rules). Every command knows --help and --json.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def ravine(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Gradient descent with momentum: see it, predict it, tune it, use it."""


app.command()(see.race)
app.command()(see.film)
app.command()(see.gallery)
app.command()(foresee.predict)
app.command()(chart.map)
app.command()(sweep.sweep)
app.command()(curvature.curvature)
app.command()(tune.tune)
app.command()(pages.page)
app.command()(exchange.convert)
app.command()(inspect.probe)
app.command()(lists.rules)
app.command()(lists.surfaces)
app.command()(tasks.tasks)


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code: 0 done, 2 bad input, 1 a run that failed."""
    if list(arguments) == ["--version"]:
        from importlib.metadata import version

        print(f"ravine {version('ravine')}")
        return DONE
    try:
        code = app(args=list(arguments), prog_name="ravine", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except RavineError as error:
        return _say(str(error), BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _say("interrupted", INTERRUPTED)
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:  # whoever read our output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if says := getattr(error, "format_message", None):  # the parser of the command line, whose class moves about
            hint = "; a surface that begins with - goes last, after --" if "No such option" in says() else ""
            return _say(says().rstrip(".") + hint, BAD_INPUT)
        if os.environ.get("RAVINE_TRACEBACK"):
            raise
        return _say(f"{type(error).__name__}: {error}; RAVINE_TRACEBACK=1 shows where", FAILED)


def main() -> None:
    """Run the command that was typed, and exit."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ∇ gets a ?, not a failure
    sys.exit(run(sys.argv[1:]))


def _say(sentence: str, code: int) -> int:
    if " ".join(sentence.split()):  # help that was asked for by typing nothing has been printed already
        print(f"ravine: {' '.join(sentence.split())}", file=sys.stderr)
    return code
