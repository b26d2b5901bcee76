"""Finished trainings on disk: each chunk is one Parquet part, written aside and renamed.

    DIR/parts/<identity>-<chunk>-<unique>.parquet

A part carries in its metadata what its sweep was of (task, steps, dtype), so that rows of another task or somebody else's
file are never taken for this sweep's. Every writer has names of its own, rows have keys, and reading keeps one row of a
key, always the same: two sweeps may write into one folder without a lock.
"""

import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from ravine.errors import DrawError, SweepError, reason, shown
from ravine.files import aside, folder
from ravine.sweep.trials import STATES, Key, Trial

FORMAT = 1  # of a part; a later one does not read an earlier one's rows
OURS = re.compile(r"([0-9a-f]{8})-\d+-[0-9a-f]{12}\.parquet")
STALE = 60.0  # seconds after which a file that a killed sweep was writing is deleted


@dataclass(frozen=True)
class Identity:
    """Hold what two rows must share to stand in one table: the task, the number of updates and the dtype."""

    task: str  # its fingerprint
    steps: int
    dtype: str

    @property
    def text(self) -> str:
        """Return it as a part's metadata holds it."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True)

    @cached_property
    def short(self) -> str:
        """Return the beginning of its parts' names."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:8]


@dataclass
class Parts:
    """Hold the parts of a folder that are of one identity, and the rows that they have."""

    path: Path  # the sweep's folder
    identity: Identity
    notes: list[str] = field(default_factory=list)  # what was found that is no part of this sweep
    _rows: dict[Key, tuple[int, str, Trial]] = field(default_factory=dict)  # with its state's rank and its part's name
    _seen: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        """Return where the parts are."""
        return self.path / "parts"

    def get(self, key: Key) -> Trial | None:
        """Return the row of a training, None where there is none."""
        found = self._rows.get(key)
        return found[2] if found else None

    def refresh(self) -> None:
        """Read the parts that have come since the last time; damaged and foreign ones are set aside."""
        for name in sorted(set(_listed(self.folder)) - self._seen):
            self._seen.add(name)
            named = OURS.fullmatch(name)
            if not named:
                self.notes.append(f"parts/{name} is no part of a sweep and is left alone")
            elif named[1] == self.identity.short:
                self._take(name)

    def _take(self, name: str) -> None:
        try:
            rows = read_part(self.folder / name, self.identity)
        except FileNotFoundError:
            return  # another sweep has just set it aside
        except (SweepError, OSError, ValueError) as error:  # what Arrow raises is one of these
            why = str(error) if isinstance(error, SweepError) else f"it cannot be read ({reason(error)[:80]})"
            with suppress(OSError):
                (self.folder / name).rename(self.folder / f"{name}.set-aside")
            self.notes.append(f"parts/{name} is set aside as {name}.set-aside and its rows are redone: {why}")
            return
        self._enter(name, rows)

    def _enter(self, name: str, rows: Iterable[Trial]) -> None:
        for row in rows:
            rank = STATES.index(row.state)
            if row.key not in self._rows or (rank, name) < self._rows[row.key][:2]:
                self._rows[row.key] = rank, name, row

    def write(self, chunk: int, rows: Sequence[Trial]) -> None:
        """Write the rows of a chunk as one part; raises `SweepError` where there is no room or no permission."""
        name = f"{self.identity.short}-{chunk:05d}-{uuid.uuid4().hex[:12]}.parquet"
        with kept(self.path):
            self.folder.mkdir(exist_ok=True)
            with aside(self.folder / name) as file:
                write_part(file, self.identity, rows)
        self._seen.add(name)
        self._enter(name, rows)

    def sweep_up(self) -> None:
        """Delete what killed sweeps had begun to write."""
        with suppress(OSError):
            for file in self.folder.glob(".ravine-*.parquet"):
                if time.time() - file.stat().st_mtime > STALE:
                    file.unlink(missing_ok=True)


def _listed(path: Path) -> list[str]:
    try:
        return [name for name in os.listdir(path) if name.endswith(".parquet") and not name.startswith(".")]
    except FileNotFoundError:
        return []


def prepared(out: str | os.PathLike[str]) -> Path:
    """Return a sweep's folder, made if it was not there; raises `SweepError` where it cannot be written to."""
    path = Path(out).expanduser()
    with kept(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise SweepError(f"cannot write to {shown(path)}: it is a file; name a folder with --out") from None
        folder(path)
        if (path / "parts").exists():
            folder(path / "parts")
    return path


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Say in one sentence that a sweep's folder cannot be written to, and that what is there is kept."""
    try:
        yield
    except (DrawError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__ or error.__context__
        number = getattr(cause, "errno", None)  # Arrow's own words are longer
        why = os.strerror(number) if number else str(error)
        raise SweepError(
            f"cannot write into {shown(path)}: {why}; what is there is kept: mend that, then give the same command again"
        ) from None


# One part --------------------------------------------------------------------------------------------------------


@cache
def schema() -> Any:
    """Return the columns of a part."""
    import pyarrow as pa

    kinds = {
        "method": pa.string(), "seed": pa.int64(), "state": pa.string(), "loss": pa.float64(),
        "metrics": pa.map_(pa.string(), pa.float64()), "stopped": pa.int64(), "reason": pa.string(),
        "at": pa.list_(pa.int64()), "curve": pa.list_(pa.float64()), "spent": pa.int64(),
        "engine": pa.string(), "device": pa.string(), "seconds": pa.float64(),
    }  # fmt: skip
    return pa.schema(list(kinds.items()))


def write_part(file: Path, identity: Identity, rows: Sequence[Trial]) -> None:
    """Write rows as a Parquet file with checksums."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    made = [{**vars(row), "metrics": list(row.metrics.items())} for row in rows]
    table = pa.Table.from_pylist(made, schema().with_metadata({"ravine": identity.text}))
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def read_part(file: Path, identity: Identity) -> list[Trial]:
    """Read the rows of a part; raises `SweepError` where it is not of this identity, and what Arrow raises."""
    import pyarrow.parquet as pq

    table = pq.read_table(file, page_checksum_verification=True, partitioning=None)
    if (table.schema.metadata or {}).get(b"ravine", b"").decode("utf-8", "replace") != identity.text:
        raise SweepError("it is of another sweep")
    if not table.schema.equals(schema()):
        raise SweepError("its columns are not those of a sweep")
    return [
        Trial(**{**row, "metrics": dict(row["metrics"]), "at": tuple(row["at"]), "curve": tuple(row["curve"])})
        for row in table.to_pylist()
    ]
