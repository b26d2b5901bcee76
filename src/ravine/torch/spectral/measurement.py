"""All that `ravine curvature` measures of a task at one point, and its files for other programs."""

import csv
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ravine import rules
from ravine.algebra.limits import limit_h, limit_lr
from ravine.charts import EVERY
from ravine.display import finite
from ravine.errors import AlgebraError
from ravine.files import aside
from ravine.rules import Method
from ravine.schedules import at
from ravine.tasks.task import Task
from ravine.torch.curvature import Curvature, curvature
from ravine.torch.density import Density, density
from ravine.torch.edge import Edge, edge
from ravine.torch.noise import Noise, noise
from ravine.torch.spectral.lanczos import Tick
from ravine.torch.spectral.subject import model_of
from ravine.torch.spectral.weights import load_weights

USUAL = ("sgd:lr=0.1", "heavyball:lr=0.1,mu=0.9", "nesterov:lr=0.1,mu=0.9")
TABLES = ("csv", "json", "parquet")


@dataclass(frozen=True)
class Allowed:
    """Hold what a largest curvature allows a method."""

    method: Method
    lr: float | None  # the learning rate below which it is stable, infinity where h_max is not positive
    h: float  # the curvature below which it is stable with its own lr, at the first update


@dataclass(frozen=True)
class Measured:
    """Hold what was measured of a task at one point."""

    curvature: Curvature
    allowed: tuple[Allowed, ...]
    density: Density | None = None
    noise: Noise | None = None
    edge: Edge | None = None

    def summary(self) -> dict[str, Any]:
        """Return what `ravine curvature --json` prints."""
        parts = {"density": self.density, "noise": self.noise, "along": self.edge}
        return {
            **self.curvature.summary(),
            "limits": [{"rule": str(each.method), "lr": finite(each.lr), "h": finite(each.h)} for each in self.allowed],
            **{key: part.summary() for key, part in parts.items() if part is not None},
        }

    def plot(self) -> Any:
        """Draw it; `ravine.draw.save` writes the Matplotlib `Figure`."""
        from ravine.display import picture

        return picture("spectra", self)

    def columns(self) -> dict[str, list[Any]]:
        """Return it as one table: a line for each number, with what it is, where it stands and its error."""
        found = self.curvature
        lines = [("largest", i, v, e) for i, (v, e) in enumerate(zip(found.values, found.errors, strict=True))]
        lines += [
            ("smallest", i, v, e) for i, (v, e) in enumerate(zip(found.smallest, found.smallest_errors, strict=True))
        ]
        if self.noise is not None:
            lines += [("noise trace", 0, self.noise.trace, self.noise.error)]
            along = zip(self.noise.along, self.noise.along_errors, strict=True)
            lines += [("noise along", i, v, e) for i, (v, e) in enumerate(along)]
        if self.density is not None:
            lines += [("density", *line) for line in zip(*self.density.curve(), strict=True)]
        if self.edge is not None:
            steps = zip(self.edge.steps, self.edge.h_max, self.edge.errors, strict=True)
            lines += [("h_max along", *line) for line in steps]
            lines += [("limit along", s, v, 0.0) for s, v in zip(self.edge.steps, self.edge.limits, strict=True)]
        what, place, value, error = zip(*lines, strict=True)
        return {
            "what": list(what),
            "at": [*map(float, place)],
            "value": [*map(float, value)],
            "error": [*map(float, error)],
        }


def measure(
    task: Task,
    *,
    checkpoint: str | os.PathLike[str] | None = None,
    k: int = 1,
    ends: str = "largest",
    with_density: bool = False,
    with_noise: bool = False,
    along: int | None = None,
    methods: Sequence[str | Method] = USUAL,
    every: int = 10,
    samples: int | None = None,
    tol: float = 0.01,
    gauss_newton: bool = False,
    seed: int = 0,
    device: Any = "cpu",
    tick: Tick | None = None,
) -> Measured:
    """Measure curvature, and on request density, noise and the edge of stability, of a task's model.

    Args:
        task: what is trained.
        checkpoint: a file with the weights at which to measure; a new model with this seed if not given.
        k: how many of the largest curvatures.
        ends: "largest", "smallest" or "both".
        with_density: measure the whole spectrum too.
        with_noise: measure the noise of the gradient, in all and along the vectors of the values.
        along: train by the first method for so many updates, and measure on the way.
        methods: whose limits are told.
        every: updates between two measurements on the way.
        samples: so many of the task's samples are measured, None for all.
        tol: to which part of it a curvature is measured.
        gauss_newton: the Gauss-Newton matrix instead of the Hessian.
        seed: of a new model, the samples and the starts.
        device: where.
        tick: called with (done, in all).

    Returns:
        What was measured, with `summary`, `plot` and `columns`.

    Raises:
        CurvatureError, TaskError, RuleError: what came in does not fit.
    """
    known = [rules.parse(each, EVERY) if isinstance(each, str) else each for each in methods]
    model = model_of(task, None, seed, device, torch.float32)
    if checkpoint is not None:
        load_weights(model, checkpoint)
    found = curvature(
        task, model, k=k, ends=ends, samples=samples, tol=tol, seed=seed, vectors=with_noise,
        gauss_newton=gauss_newton, tick=tick,
    )  # fmt: skip
    spread = None
    if with_density:
        spread = density(task, model, samples=samples, seed=seed, gauss_newton=gauss_newton, tick=tick)
    noisy = noise(task, model, directions=found.vectors, seed=seed) if with_noise else None
    trained = None
    if along is not None:
        trained = edge(
            task, known[0], steps=along, every=every, samples=samples, tol=tol, seed=seed, device=device, tick=tick
        )
    allowed = tuple(_allowed(method, found) for method in known) if len(found.values) else ()
    return Measured(found, allowed, spread, noisy, trained)


def _allowed(method: Method, found: Curvature) -> Allowed:
    """Return what the largest curvature allows a method, its settings those of the first update."""
    settings = {key: at(value, 0) for key, value in method.settings.items()}
    settings.pop("lr", None)
    try:
        lr = float(limit_lr(method.rule, found.h_max, **settings)) if found.h_max > 0 else math.inf
    except AlgebraError:
        lr = None
    return Allowed(method, lr, float(limit_h(method.row(0))))


def write(measured: Measured, told: Mapping[str, Any], path: Path) -> None:
    """Write what was measured: one long table (CSV, Parquet), or what was told of it (JSON)."""
    with aside(path) as file:
        suffix, table = path.suffix.lower(), measured.columns()
        if suffix == ".json":
            file.write_text(json.dumps(told, allow_nan=False), encoding="utf-8")
        elif suffix == ".csv":
            with file.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(table)
                writer.writerows(zip(*table.values(), strict=True))
        else:
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.table(table), file)
