"""What can be wrong with what came in, each said in one sentence: what came, what is allowed, what to do."""

import importlib
from collections.abc import Iterable
from types import ModuleType


class RavineError(ValueError):
    """Bad input; the message is one sentence, fit to be shown to whoever typed it."""


class RuleError(RavineError):
    """A rule or one of its settings is unknown or out of range."""


class ScheduleError(RavineError):
    """A schedule is unknown, or its numbers do not fit."""


class SurfaceError(RavineError):
    """A surface cannot be read, or is undefined where it was asked."""


class AlgebraError(RavineError):
    """A question about a row has no answer, such as a stability limit where nothing is stable."""


class RaceError(RavineError):
    """A race cannot be started: its starts, steps or stops do not fit."""


class PredictError(RavineError):
    """Nothing can be predicted: a point, a start or a number does not fit."""


class ConvertError(RavineError):
    """A method has no equal in the rule, or a state is not what it is taken for."""


class ProbeError(RavineError):
    """An optimizer cannot be probed: it is none, or it raises."""


class MapError(RavineError):
    """A map cannot be made: its axes, size, target or rule do not fit."""


class PageError(RavineError):
    """A page cannot be made: a surface without an expression, a guest, a setting that a browser cannot follow."""


class TaskError(RavineError):
    """A task cannot be trained: its file, model, loss or data do not fit."""


class CurvatureError(RavineError):
    """A curvature cannot be measured: the loss, the directions asked for or the number of products do not fit."""


class SweepError(RavineError):
    """A sweep cannot be run: its axes, folder, engine or cluster do not fit."""


class TuneError(RavineError):
    """Nothing can be recommended: the budget is too small, or nothing can be trained."""


class DrawError(RavineError):
    """A picture cannot be drawn or written."""


class MissingPackage(RavineError, ImportError):
    """An optional package is not installed."""


def nearest(word: str, known: Iterable[str]) -> str:
    """Say what was probably meant: the closest known word first, then all that are allowed.

    >>> nearest("clasical", ["sgd", "classical"])
    "did you mean 'classical'? Known: sgd, classical"
    """
    import difflib

    known = list(known)
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.6)
    hint = f"did you mean '{lowered[close[0]]}'? " if close else ""
    return f"{hint}Known: {', '.join(known)}"


def shown(text: object, limit: int = 60) -> str:
    """Quote what came in for an error message, printable and cut to `limit` characters.

    >>> shown("x" * 100, limit=8)
    "'xxxxxxxx…'"
    """
    text = str(text)
    return repr(text if len(text) <= limit else text[:limit] + "…")


def reason(error: BaseException) -> str:
    """Write somebody else's exception as one printable line.

    >>> reason(KeyError("no\\nkey"))
    "KeyError: 'no\\\\nkey'"
    """
    try:
        said = " ".join(str(error).split())
    except Exception:
        said = "without a message"
    return f"{type(error).__name__}: {said}"[:200].encode("utf-8", "backslashreplace").decode()


def require(package: str, *, extra: str, why: str) -> ModuleType:
    """Import an optional package, or say which extra brings it and what it was wanted for.

    >>> require("no_such_package", extra="torch", why="race torch optimizers")
    Traceback (most recent call last):
    ravine.errors.MissingPackage: to race torch optimizers, install it: pip install 'ravine[torch]'
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingPackage(f"to {why}, install it: pip install 'ravine[{extra}]'") from error
