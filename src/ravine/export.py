"""Results as files for other programs: CSV, Parquet and JSON."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ravine.cells import OUTCOMES
from ravine.files import aside
from ravine.phasemap import PhaseMap
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


def write_map(found: PhaseMap, told: Mapping[str, Any], path: Path) -> None:
    """Write a map: a line for each cell (CSV, Parquet), the grids (NPZ), or what was told of it (JSON)."""
    with aside(path) as file:
        suffix = path.suffix.lower()
        if suffix == ".json":
            file.write_text(json.dumps(told, allow_nan=False), encoding="utf-8")
        elif suffix == ".npz":
            _npz(found, told, file)
        else:
            (_csv if suffix == ".csv" else _parquet)(found, file)


def _npz(found: PhaseMap, told: Mapping[str, Any], file: Path) -> None:
    """Write the axes and the grids, (rows, columns), with the summary as a text."""
    import numpy as np

    grids: dict[str, Any] = {"outcome": found.outcome, "steps": found.stopped, "value": found.value}
    grids |= {"rate": found.measured} if found.measured is not None else {}
    grids |= {"predicted_rate": found.predicted} if found.predicted is not None else {}
    axes: dict[str, Any] = {found.y.name: found.y.values, found.x.name: found.x.values}
    with file.open("wb") as stream:
        np.savez_compressed(stream, summary=np.array(json.dumps(told)), outcomes=np.array(OUTCOMES), **axes, **grids)


def _csv(result: Race | PhaseMap, file: Path) -> None:
    columns = result.columns()
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _parquet(result: Race | PhaseMap, file: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table(dict(result.columns())), file, compression="zstd")


def _json(race: Race, summary: dict[str, Any], file: Path) -> None:
    for told, run in zip(summary["runs"], race.runs, strict=True):
        told["positions"], told["values"] = run.positions.tolist(), run.values.tolist()
    file.write_text(json.dumps(summary, allow_nan=False), encoding="utf-8")
