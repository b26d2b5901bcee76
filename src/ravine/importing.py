"""A Python file of yours: found and imported as Python would import it from its own folder."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ravine.errors import RavineError, reason


def found(path: str) -> Path | None:
    """Return the file of this path, None where there is none.

    >>> found("no/such.py") is None
    True
    """
    try:
        file = Path(path).expanduser()
        return file if path and file.is_file() else None
    except (OSError, RuntimeError, ValueError):  # a name too long, a home of nobody, a zero byte
        return None


def imported(file: Path, kind: type[RavineError], prefix: str = "_surface_") -> ModuleType:
    """Import a file; raises an error of this kind, with the file's own reason, where that fails."""
    spec = importlib.util.spec_from_file_location(f"{prefix}{file.stem}", file)
    if spec is None or spec.loader is None:
        raise kind(f"{file} is no Python file; write path/to/file.py:function")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    with beside(file):
        try:
            spec.loader.exec_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise kind(f"{file} cannot be imported: {reason(error)}") from error
    return module


@contextlib.contextmanager
def beside(file: Path) -> Iterator[None]:
    """Let the folder of a file be searched for modules, as it is where the file is run as a program."""
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # the file may have taken it out itself
            sys.path.remove(folder)
