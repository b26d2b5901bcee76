"""The manifest of a sweep: what was asked, by which versions, on what; and who else is at work in the folder."""

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ravine.errors import SweepError, shown
from ravine.files import aside
from ravine.sweep.parts import kept

NAME = "manifest.json"


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("ravine", "torch", "numpy", "pyarrow"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def now() -> str:
    """Return the time as text."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of a folder, None where there is none that can be read.

    Raises:
        SweepError: it is not a sweep's.
    """
    try:
        found = json.loads((path / NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError):
        return None  # half a file: the command that made it is given again and writes a new one
    if not isinstance(found, dict) or "ravine sweep" not in found:
        raise SweepError(f"{shown(path / NAME)} is not of a sweep; name another folder")
    return found


def write_manifest(path: Path, told: Mapping[str, Any]) -> None:
    """Write the manifest, whole or not at all; one that cannot be read is set aside."""
    with kept(path):
        if (path / NAME).exists() and read_manifest(path) is None:
            (path / NAME).rename(path / f"{NAME}.set-aside")
        with aside(path / NAME) as file:
            file.write_text(json.dumps({"ravine sweep": 1, **told}, indent=1, allow_nan=False), encoding="utf-8")


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Say whether no other sweep is at work in the folder; the system ends the claim when the process ends, however."""
    if sys.platform == "win32":  # two sweeps compute some rows twice there, and keep one of each
        yield True
        return
    import fcntl

    with kept(path):
        handle = os.open(path / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free
    finally:
        os.close(handle)
