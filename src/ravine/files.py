"""Writing results: refused before the work if it cannot succeed, and never leaving half a file."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ravine.errors import DrawError, shown


def writable(out: str | os.PathLike[str], suffixes: Iterable[str]) -> Path:
    """Return the path of a file that can be written there, in one of these formats; raises `DrawError` if not."""
    path, known = Path(out).expanduser(), list(suffixes)
    if path.suffix.lower().lstrip(".") not in known:
        raise DrawError(
            f"cannot write {shown(path)}: the suffix {shown(path.suffix)} is unknown; use one of {', '.join(known)}"
        )
    folder(path.parent)
    if len(os.fsencode(path.name)) > 200:
        raise DrawError(f"cannot write {shown(path.name)}: the name is too long; use at most 200 letters")
    if path.is_dir() or (path.exists() and not os.access(path, os.W_OK)):
        raise DrawError(f"cannot write {shown(path)}: it is a folder or protected; name another file")
    return path


def folder(path: Path) -> Path:
    """Return a folder that can be written to; raises `DrawError` if it is none."""
    if not path.is_dir():
        raise DrawError(f"cannot write to {shown(path)}: there is no such folder; make it or name another")
    try:
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise DrawError(f"cannot write to {shown(path)}: {error.strerror or error}; name another folder") from None
    return path


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Hand out a file to write beside `path` and rename it at the end, so that no reader meets half of it."""
    handle, name = tempfile.mkstemp(suffix=path.suffix, prefix=".ravine-", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise DrawError(f"cannot write {shown(path)}: {error.strerror or error}; name another file") from error
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
