"""Results as files for other programs: CSV, Parquet and JSON."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ravine.files import aside
from ravine.prediction import Prediction
from ravine.result import Race

SUFFIXES = ("csv", "parquet", "json")


def write(race: Race, path: Path, told: dict[str, Any] | None = None) -> None:
    """Write all trajectories as one long table (CSV, Parquet), or a summary with them (JSON)."""
    with aside(path) as file:
        if path.suffix.lower() == ".json":
            _json(race, race.summary() if told is None else told, file)
        else:
            {".csv": _csv, ".parquet": _parquet}[path.suffix.lower()](race, file)


def write_predictions(predictions: Iterable[Prediction], told: Mapping[str, Any], path: Path) -> None:
    """Write predictions: a line for each direction of each place (CSV), or what was told of them (JSON)."""
    with aside(path) as file:
        if path.suffix.lower() == ".json":
            file.write_text(json.dumps(told, allow_nan=False), encoding="utf-8")
            return
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(("rule", "at", "h", "regime", "rate", "period", "steps_per_ten", "noise_floor"))
            for prediction in predictions:
                for place in prediction.places:
                    at = " ".join(map(repr, place.point))
                    writer.writerows(
                        (str(prediction.method), at, d.h, d.regime, d.rate, d.period, d.steps_per_ten, d.noise_floor)
                        for d in place.directions
                    )


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


def _json(race: Race, summary: dict[str, Any], file: Path) -> None:
    for told, run in zip(summary["runs"], race.runs, strict=True):
        told["positions"], told["values"] = run.positions.tolist(), run.values.tolist()
    file.write_text(json.dumps(summary, allow_nan=False), encoding="utf-8")
