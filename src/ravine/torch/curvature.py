"""Curvature of a real loss: the ends of the spectrum of its Hessian, and what they allow."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ravine.algebra.limits import limit_lr
from ravine.display import finite
from ravine.errors import CurvatureError, shown
from ravine.rules import Rule
from ravine.surfaces.interface import Array
from ravine.tasks.task import Task
from ravine.torch.spectral.gaussnewton import gauss_newton as cut
from ravine.torch.spectral.lanczos import MOST, Tick, extremes
from ravine.torch.spectral.products import Product
from ravine.torch.spectral.subject import Subject, model_of, of_loss, of_task, still


@dataclass(frozen=True)
class Curvature:
    """Hold the ends of a Hessian's spectrum: curvatures, gradient per length."""

    values: Array  # (k,), the largest, falling
    errors: Array  # (k,), what the true values may differ by
    smallest: Array  # (k,), rising; empty where not asked for
    smallest_errors: Array  # (k,)
    ceiling: float  # no curvature is above it, but with a probability of 1 %
    floor: float  # none is below it
    parameters: int
    samples: int | None  # that the loss is the mean of
    products: int
    gradients: float  # what was spent, in gradients of a mini-batch
    seconds: float
    converged: bool
    form: str  # of the products
    gradient: torch.Tensor = field(compare=False, repr=False)  # of the loss, (n,)
    vectors: torch.Tensor | None = field(default=None, compare=False, repr=False)  # (values + smallest, n)
    name: str = ""
    notes: tuple[str, ...] = ()

    @property
    def h_max(self) -> float:
        """Return the largest curvature."""
        if not len(self.values):
            raise CurvatureError('the largest curvature was not asked for; use ends="largest" or "both"')
        return float(self.values[0])

    @property
    def h_min(self) -> float:
        """Return the smallest curvature, which is negative at most points of a network."""
        if not len(self.smallest):
            raise CurvatureError('the smallest curvature was not asked for; use ends="both"')
        return float(self.smallest[0])

    def limit(self, rule: Rule | str, **settings: float) -> float:
        """Return the learning rate below which a rule is stable for the largest curvature; infinity where it is not positive.

        Args:
            rule: of the table, or its name.
            settings: all of the rule's but lr, such as mu=0.9.

        Raises:
            AlgebraError: the rule has no lr, or does not step in proportion to it.
        """
        return float(limit_lr(rule, self.h_max, **settings)) if self.h_max > 0 else math.inf

    def summary(self) -> dict[str, Any]:
        """Return what `ravine curvature --json` prints."""
        return {
            "task": self.name,
            "parameters": self.parameters,
            "samples": self.samples,
            "largest": _told(self.values, self.errors),
            "smallest": _told(self.smallest, self.smallest_errors),
            "ceiling": finite(self.ceiling),
            "floor": finite(self.floor),
            "products": self.products,
            "gradients": self.gradients,
            "seconds": self.seconds,
            "converged": self.converged,
            "form": self.form,
            **({"notes": list(self.notes)} if self.notes else {}),
        }


def _told(values: Array, errors: Array) -> list[dict[str, float | None]]:
    return [{"value": finite(v), "error": finite(e)} for v, e in zip(values, errors, strict=True)]


def curvature(
    what: Task | Callable[[], torch.Tensor],
    model: Any = None,
    *,
    params: Sequence[torch.Tensor] | None = None,
    k: int = 1,
    ends: str = "largest",
    samples: int | None = None,
    tol: float = 0.01,
    seed: int = 0,
    start: torch.Tensor | None = None,
    gauss_newton: bool = False,
    vectors: bool = False,
    most: int = MOST,
    device: Any = None,
    dtype: torch.dtype | None = None,
    tick: Tick | None = None,
) -> Curvature:
    """Measure the extreme curvatures of a loss: eigenvalues of its Hessian, by Lanczos on products with vectors.

    Args:
        what: a task; or a loss without arguments, a tensor of one number.
        model: where; of a task a new one with this seed if not given. Dropout is off, and the model is left as it was.
        params: of a loss of your own, the parameters, if not all of the model's.
        k: how many of each end.
        ends: "largest", "smallest" or "both".
        samples: so many of the task's are measured, drawn with this seed; None for all.
        tol: to which part of it a value is measured; one below a tenth of the largest, to this part of that tenth.
        seed: of a new model, the samples and the start.
        start: a vector, (n,), rich in what is looked for; the gradient if not given.
        gauss_newton: of the Gauss-Newton matrix instead.
        vectors: return the eigenvectors too.
        most: at most so many products.
        device: where a new model lies, or where the model is copied to.
        dtype: of a new model, or of a copy; halves of floats are always copied to float32.
        tick: called with (products made, products at most).

    Returns:
        Values with errors, and what they cost. What did not converge says so.

    Raises:
        CurvatureError: a number is out of range, or the loss cannot be differentiated twice.
        TaskError: the task's model or loss fails.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> found = curvature(lambda: x[0] ** 2 + 50 * x[1] ** 2, params=[x])
        >>> round(found.h_max, 3), round(found.limit("heavyball", mu=0.9), 6)
        (100.0, 0.038)

    Source: Lanczos 1950; Pearlmutter 1994 for the products; for the errors see `ravine.torch.spectral.lanczos.extremes`.
    """
    began = time.perf_counter()
    subject = subject_of(what, model, params=params, samples=samples, seed=seed, device=device, dtype=dtype)
    product = product_of(subject, gauss_newton)
    found = extremes(
        product,
        product.n,
        k=k,
        ends=ends,
        tol=tol,
        seed=seed,
        start=product.gradient if start is None else start,
        most=most,
        dtype=product.dtype,
        device=product.device,
        vectors=vectors,
        tick=tick,
    )
    return Curvature(
        values=found.largest,
        errors=found.largest_errors,
        smallest=found.smallest,
        smallest_errors=found.smallest_errors,
        ceiling=found.ceiling,
        floor=found.floor,
        parameters=product.n,
        samples=subject.samples if subject.task is None or subject.task.samples is not None else None,
        products=product.made,
        gradients=product.cost * subject.unit,
        seconds=time.perf_counter() - began,
        converged=found.converged,
        form=product.form,
        gradient=product.gradient,
        vectors=found.vectors,
        name=subject.task.name if subject.task else "",
        notes=_notes(product.own),
    )


def _notes(own: Sequence[str]) -> tuple[str, ...]:
    """Say where a product may lack a part without a word of torch's."""
    said = (
        f"the loss calls {', '.join(own)} with a backward of its own; where that is once_differentiable torch takes its "
        "curvature for 0"
    )
    return (said,) if own else ()


def subject_of(
    what: Any, model: Any, *, params: Any, samples: int | None, seed: int, device: Any, dtype: torch.dtype | None
) -> Subject:
    """Return what is measured of what came in."""
    if isinstance(what, Task):
        made = model_of(what, model, seed, device if device is not None or model is not None else "cpu", dtype)
        with still(made):
            return of_task(what, made, samples, seed)
    if not callable(what):
        raise CurvatureError(f"the curvature of a task or of a function without arguments, got {shown(what)}")
    return of_loss(what, model, params)


def product_of(subject: Subject, gauss_newton: bool = False) -> Product:
    """Return the products with the Hessian, or the Gauss-Newton matrix, of what is measured."""
    if gauss_newton:
        return Product(subject.pieces, "gauss-newton" if subject.keep else "gauss-newton rebuilt", make=cut)
    return Product(subject.pieces, "kept" if subject.keep else "rebuilt", "jvp")
