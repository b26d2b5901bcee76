"""A task from a name, from a file of yours, or from Python."""

import contextlib
import inspect
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ravine.errors import RavineError, TaskError, nearest, reason, shown
from ravine.importing import beside, found, imported
from ravine.tasks.catalogue import TASKS
from ravine.tasks.check import check as checked
from ravine.tasks.task import Task, torch

WRITE = "write path/to/file.py:make_task, a function that returns a ravine.tasks.Task"
USUAL = ("make_task", "task")


def load(what: str | Task, *, check: bool = True) -> Task:
    """Return a task: a built-in one by name, one from a Python file, or a task as it is.

    Args:
        what: "digits-mlp" or another name of `ravine tasks`; "path/to/file.py:make_task", where make_task is a function
            without arguments that returns a `Task`, or a task itself; or a `Task`.
        check: run a task of yours once on one small batch, so that what is wrong is said before any work.

    Returns:
        The task, with the text by which another process can load it.

    Raises:
        TaskError: there is no such task, file or function, or it cannot be trained; the sentence says what to do.

    Example:
        >>> load("no-such-task")
        Traceback (most recent call last):
        ravine.errors.TaskError: there is no task 'no-such-task'; …
    """
    if isinstance(what, Task):
        return checked(what) if check else what
    if not isinstance(what, str):
        raise TaskError(f"a task is a name, path/to/file.py:make_task or a Task, got {shown(type(what).__name__)}")
    what = what.strip()
    if what in TASKS:
        return replace(TASKS[what].make(), name=what, about=TASKS[what].about, text=what)
    path, wanted = _split(what)
    if not path:
        raise TaskError(f"there is no task {shown(what)}; {nearest(what, TASKS)}, or path/to/file.py:make_task")
    return _from_file(path, wanted, check)


def _split(text: str) -> tuple[str, str]:
    """Return the path of a file and the name in it, both empty where the text names no file."""
    path, colon, wanted = text.rpartition(":")
    if colon and (path.endswith(".py") or "/" in path):
        return path, wanted
    return (text, "") if text.endswith(".py") or "/" in text else ("", "")


def _from_file(path: str, wanted: str, check: bool) -> Task:
    """Return the task of a file; what the file prints goes to stderr, so that stdout stays ours.

    All random numbers are seeded meanwhile: data that a file draws are the same in each process that loads it.
    """
    file = found(path)
    if file is None:
        raise TaskError(f"there is no file {shown(path)}; {WRITE}")
    with beside(file), contextlib.redirect_stdout(sys.stderr), _seeded():
        module = imported(file, TaskError, "_task_")
        if (folder := str(file.resolve().parent)) not in sys.path[1:]:
            sys.path.append(folder)  # last, for what a loss imports when it is first called
        wanted = wanted or next((name for name in USUAL if _own(module, getattr(module, name, None))), "")
        made = _made(module, path, wanted)
        name = f"{file.name}:{wanted}" if made.name == "task" else made.name
        made = replace(made, name=name, text=f"{file.resolve()}:{wanted}")
        return checked(made) if check else made


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """Seed the random numbers of Python, NumPy and torch, and set them back."""
    was = random.getstate(), np.random.get_state()  # noqa: NPY002  (the numbers that files of others draw from)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(was[0])
            np.random.set_state(was[1])  # noqa: NPY002


def _made(module: ModuleType, path: str, wanted: str) -> Task:
    """Return the task of this name, or what the function of this name returns."""
    known = [key for key, value in vars(module).items() if not key.startswith("_") and _own(module, value)]
    if not wanted or not hasattr(module, wanted):
        asked = f"function {shown(wanted)}" if wanted else "function make_task"
        raise TaskError(f"{path} has no {asked}; {nearest(wanted, known) if known else WRITE}")
    made = getattr(module, wanted)
    if isinstance(made, Task):
        return made
    if not callable(made) or isinstance(made, type):
        raise TaskError(f"{path}:{wanted} is a {type(made).__name__} and not a task; {WRITE}")
    if needed := _needed(made):
        raise TaskError(
            f"{path}:{wanted} takes {', '.join(needed)}; name a function without arguments that returns a task, "
            "or write @ravine.tasks.task(model=…, data=…) above a loss"
        )
    try:
        made = made()
    except RavineError as error:
        raise TaskError(f"{path}:{wanted}: {str(error).removeprefix('task: ')}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise TaskError(f"{path}:{wanted} raised {reason(error)}; mend it") from error
    if not isinstance(made, Task):
        raise TaskError(
            f"{path}:{wanted} returned {shown(type(made).__name__)} and not a task; "
            "return ravine.tasks.Task(model=…, loss=…, data=…)"
        )
    return made


def _own(module: ModuleType, value: Any) -> bool:
    """Say whether a name of a file is a task or a function of its own, and not one that it imports."""
    return isinstance(value, Task) or (inspect.isfunction(value) and value.__module__ == module.__name__)


def _needed(function: Any) -> list[str]:
    """Return the arguments that a function cannot be called without."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def file_of(task: Task) -> Path | None:
    """Return the file of a task that was loaded from one."""
    path, _ = _split(task.text)
    return Path(path) if path else None
