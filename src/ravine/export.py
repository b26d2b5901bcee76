"""Results as files for other programs: CSV, Parquet and JSON."""

import csv
import json
from pathlib import Path

from ravine.files import aside
from ravine.result import Race

SUFFIXES = ("csv", "parquet", "json")


def write(race: Race, path: Path) -> None:
    """Write all trajectories as one long table (CSV, Parquet), or the summary with them (JSON)."""
    with aside(path) as file:
        {".csv": _csv, ".parquet": _parquet, ".json": _json}[path.suffix.lower()](race, file)


def _csv(race: Race, file: Path) -> None:
    columns = race.columns()
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _parquet(race: Race, file: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(dict(race.columns())), file, compression="zstd")


def _json(race: Race, file: Path) -> None:
    summary = race.summary()
    for told, run in zip(summary["runs"], race.runs, strict=True):
        told["positions"], told["values"] = run.positions.tolist(), run.values.tolist()
    file.write_text(json.dumps(summary, allow_nan=False), encoding="utf-8")
