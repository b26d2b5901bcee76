"""How noisy the gradient of a mini-batch is: its covariance, as a trace and along directions.

    Var(mean of B of N samples) = S/B · (1 - B/N)      S = Σ (g_i - ḡ)(g_i - ḡ)ᵀ / (N - 1)

The gradients g_i of single samples come from vmap over the loss of one. Where a loss cannot be taken of one sample, as
with batch normalization, whole mini-batches are used: between disjoint ones the variance is S/B.
"""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch

from ravine.display import finite
from ravine.errors import CurvatureError, RavineError, shown
from ravine.surfaces.interface import Array
from ravine.tasks.batches import batches, on
from ravine.tasks.task import Task
from ravine.torch.spectral.subject import drawn, model_of, still
from ravine.torch.training import loss_of

NUMBERS = 1 << 24  # of gradients of single samples that are held at once
BATCHES = 32  # mini-batches that are measured where single samples cannot be
SAMPLES = 1024  # single samples that are measured
SAME = 1e-3  # by which a mean of single gradients may differ from the gradient of the mean


@dataclass(frozen=True)
class Noise:
    """Hold the noise of a mini-batch's gradient: gradients are loss per length."""

    trace: float  # of the covariance, gradient²
    along: Array  # (k,), the variance along each direction
    slope: Array  # (k,), the mean gradient along each
    norm2: float  # the square of the mean gradient's norm, without what noise adds to it; may come out below 0
    batch: int  # samples of a mini-batch
    samples: int  # that were measured
    gradients: float  # what was spent, in gradients of a mini-batch
    error: float  # the standard error of the trace
    along_errors: Array  # (k,)
    seconds: float
    single: bool  # from gradients of single samples
    gradient: torch.Tensor = field(compare=False, repr=False)  # the mean, (n,)
    notes: tuple[str, ...] = ()

    @property
    def sigma(self) -> Array:
        """Return the standard deviation of the noise along each direction, (k,)."""
        return np.sqrt(np.maximum(self.along, 0.0))

    @property
    def scale(self) -> float:
        """Return the batch size at which noise and gradient would be equally large, the simple noise scale.

        Source: McCandlish et al. 2018, eq. 2.9: tr S / |g|².
        """
        return self.batch * self.trace / self.norm2 if self.norm2 > 0 else math.inf

    def summary(self) -> dict[str, Any]:
        """Return what `ravine curvature --noise --json` prints of it."""
        return {
            "trace": finite(self.trace),
            "error": finite(self.error),
            "along": [finite(v) for v in self.along],
            "along_errors": [finite(v) for v in self.along_errors],
            "slope": [finite(v) for v in self.slope],
            "norm2": finite(self.norm2),
            "scale": finite(self.scale),
            "batch": self.batch,
            "samples": self.samples,
            "gradients": self.gradients,
            "seconds": self.seconds,
            "single": self.single,
            **({"notes": list(self.notes)} if self.notes else {}),
        }


def noise(
    task: Task,
    model: Any = None,
    *,
    directions: torch.Tensor | None = None,
    batch: int | None = None,
    samples: int | None = SAMPLES,
    seed: int = 0,
    device: Any = None,
    dtype: torch.dtype | None = None,
) -> Noise:
    """Measure the covariance of the gradient of a mini-batch, drawn without replacement as a training draws it.

    Args:
        task: what is trained.
        model: where; a new model with this seed if not given.
        directions: along which the variance is wanted, such as `Curvature.vectors`, (k, n), of unit length.
        batch: samples of a mini-batch; the task's own if not given.
        samples: so many are measured, None for all.
        seed: of the model and of the samples.
        device: where a new model lies.
        dtype: of a new model.

    Returns:
        Trace and variances, unbiased, with standard errors; these are 0 where all samples were measured.

    Raises:
        CurvatureError: a number is out of range, or the directions are not of the model.
        TaskError: the loss is none, or fails.
    """
    began = time.perf_counter()
    made = model_of(task, model, seed, device if device is not None or model is not None else "cpu", dtype)
    parameters = {name: p for name, p in made.named_parameters() if p.requires_grad}
    first = next(iter(parameters.values()))
    n = sum(p.numel() for p in parameters.values())
    along = first.new_zeros(0, n) if directions is None else torch.as_tensor(directions).to(first)
    if along.ndim != 2 or along.shape[1] != n:
        raise CurvatureError(f"directions must have the shape (k, {n}), got {tuple(along.shape)}")
    batch = task.batch if batch is None else batch
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1 or batch > (task.samples or batch):
        raise CurvatureError(f"batch must be a whole number from 1 to the number of samples, got {shown(batch)}")
    part = on(drawn(task, samples, seed), first.device, first.dtype)
    with still(made):
        sums = _singles(part, made, parameters, along) if part.samples is not None and part.samples > 1 else None
        single = sums is not None
        if sums is None:
            sums = _grouped(on(task, first.device, first.dtype), made, along, batch, seed)
    group = 1 if single else batch
    return _noise(sums, task.samples, group, batch, began, task.batch)


@dataclass
class _Sums:
    """Gather gradients g_1, g_2, …: as many numbers as one gradient, and some of each."""

    mean: torch.Tensor  # (n,), the sum until all are in
    squares: list[Array] = field(default_factory=list)  # |g_i|²
    along: list[Array] = field(default_factory=list)  # (k,) of each
    pairs: list[Array] = field(default_factory=list)  # ½·|g_i - g_j|² of pairs, whose mean is the trace as well
    odd: torch.Tensor | None = None  # a gradient that waits for its partner

    def add(self, g: torch.Tensor, directions: torch.Tensor) -> None:
        """Take in gradients, (b, n)."""
        self.mean += g.sum(0, dtype=self.mean.dtype)
        self.squares.append((g * g).sum(1, dtype=torch.float64).cpu().numpy())
        self.along.append((g @ directions.T).double().cpu().numpy())
        waiting = g if self.odd is None else torch.cat([self.odd, g])
        even = len(waiting) // 2
        apart = waiting[:even] - waiting[even : 2 * even]
        self.pairs.append((apart * apart).sum(1, dtype=torch.float64).cpu().numpy() / 2)
        self.odd = waiting[2 * even :].clone() if len(waiting) % 2 else None


def _noise(sums: _Sums, population: int | None, group: int, batch: int, began: float, unit: int) -> Noise:
    """Return the noise of a mini-batch from what was gathered of gradients of `group` samples each."""
    squares, along = np.concatenate(sums.squares), np.concatenate(sums.along)
    count = len(squares)
    mean = sums.mean / count
    length2 = float(mean.double().square().sum())
    slope = along.mean(axis=0)
    trace = (squares.sum() - count * length2) / (count - 1)  # of a gradient of `group` samples
    spread = ((along - slope) ** 2).sum(axis=0) / (count - 1)
    # Of all samples the covariance is known; between groups of them it is an estimate all the same.
    share = 0.0 if population is None or group > 1 else min(count / population, 1.0)
    error, errors = (_error(each) * math.sqrt(1 - share) for each in (np.concatenate(sums.pairs), (along - slope) ** 2))
    left = 1.0 if population is None else 1 - batch / population
    factor = group / batch * left
    return Noise(
        trace=float(trace * factor),
        along=spread * factor,
        slope=slope,
        norm2=length2 - float(trace) / count * (1 - min(count * group / population, 1.0) if population else 1.0),
        batch=batch,
        samples=count * group,
        gradients=count * group / unit,
        error=float(error * factor),
        along_errors=errors * factor,
        seconds=time.perf_counter() - began,
        single=group == 1,
        gradient=mean,
    )


def _error(values: Array) -> Array:
    """Return the standard error of the mean of values, or of columns of them."""
    found: Array = values.std(axis=0, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else values.mean(axis=0)
    return found


class _Loss(torch.nn.Module):
    """Make the loss of a task a module, so that its parameters can be exchanged however the loss uses the model."""

    def __init__(self, task: Task, model: Any) -> None:
        super().__init__()
        self.task, self.model = task, model

    def forward(self, batch: Any) -> torch.Tensor:
        """Return the loss on a batch."""
        loss: torch.Tensor = loss_of(self.task, self.model, batch)
        return loss


def _singles(task: Task, model: Any, parameters: dict[str, torch.Tensor], directions: torch.Tensor) -> _Sums | None:
    """Return the sums over gradients of single samples; None where the loss of one sample is not a part of the mean."""
    module = _Loss(task, model)
    values = {f"model.{name}": p.detach() for name, p in parameters.items()}
    n = directions.shape[1]

    def of_one(values: dict[str, torch.Tensor], *sample: torch.Tensor) -> torch.Tensor:
        return cast(torch.Tensor, torch.func.functional_call(module, values, (tuple(part[None] for part in sample),)))

    each = torch.func.vmap(torch.func.grad(of_one), (None, *(0 for _ in task.data)), randomness="different")
    step = max(1, min(NUMBERS // n, task.samples or 1, 256))
    sums = _Sums(torch.zeros(n, dtype=torch.float64, device=directions.device))
    try:
        for first in range(0, task.samples or 0, step):
            piece = tuple(part[first : first + step] for part in task.data)
            found = each(values, *piece)
            g = torch.cat([found[key].reshape(len(piece[0]), -1) for key in values], dim=1)
            if first == 0 and not _agree(g.mean(0), task, model, piece):
                return None
            sums.add(g, directions)
    except (RuntimeError, ValueError, RavineError):
        return None
    return sums


def _agree(mean: torch.Tensor, task: Task, model: Any, piece: Any) -> bool:
    """Say whether the gradient of a mean loss is the mean of the gradients."""
    whole = _gradient(task, model, piece)
    return float((mean - whole).norm()) <= SAME * (float(whole.norm()) + float(mean.norm()))


def _gradient(task: Task, model: Any, batch: Any) -> torch.Tensor:
    parameters = [p for p in model.parameters() if p.requires_grad]
    found = torch.autograd.grad(loss_of(task, model, batch), parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([each.reshape(-1) for each in found])


def _grouped(task: Task, model: Any, directions: torch.Tensor, batch: int, seed: int) -> _Sums:
    """Return the sums over gradients of disjoint mini-batches; of a stream of its own batches."""
    sums = _Sums(torch.zeros(directions.shape[1], dtype=torch.float64, device=directions.device))
    for found in _disjoint(task, batch, seed):
        sums.add(_gradient(task, model, found)[None], directions)
    if len(sums.squares) < 2:
        raise CurvatureError(
            f"{task.name}: noise needs at least two mini-batches, and the data has {task.samples} samples; "
            f"use batch={max((task.samples or 2) // 2, 1)} or less"
        )
    return sums


def _disjoint(task: Task, batch: int, seed: int) -> Iterator[Any]:
    if task.samples is None:
        yield from (found for _, found in zip(range(BATCHES), batches(task, seed), strict=False))
        return
    rows = torch.randperm(task.samples, generator=torch.Generator().manual_seed(seed))
    for index in range(min(task.samples // batch, BATCHES)):
        taken = rows[index * batch : (index + 1) * batch]
        yield tuple(part[taken.to(part.device)] for part in task.data)
