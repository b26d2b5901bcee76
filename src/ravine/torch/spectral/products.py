"""Products of a Hessian with vectors, which cost little more than a gradient each and never build the matrix.

    H v = ∂/∂p (g(p) · v)      g = ∂/∂p of the mean loss

With the graph of g kept, a product is one more backward pass through it. Where the graph of all of the data does not
fit into memory it is built anew in pieces for every product, and where a loss cannot be differentiated backward twice
the product is a derivative of g along v, forward.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch

from ravine.errors import CurvatureError, RavineError, nearest, reason

Parts = Sequence[torch.Tensor]
# What a product costs in gradients of the same samples, measured: docs/curvature.md.
COSTS = {"kept": 1.3, "rebuilt": 2.5, "jvp": 5.0, "gauss-newton": 2.5, "gauss-newton rebuilt": 4.0}
FORMS = ("kept", "rebuilt", "jvp")


@dataclass(frozen=True)
class Pieces:
    """Hold a mean loss as a weighted sum of losses over pieces of the data, and its parameters."""

    losses: Sequence[tuple[Callable[[], torch.Tensor], float]]  # with their weights, which sum to 1
    parameters: Parts
    model: Any = None
    quiet: Callable[[], AbstractContextManager[Any]] = nullcontext  # in which a loss is evaluated

    @property
    def n(self) -> int:
        """Return how many numbers the parameters are."""
        return sum(p.numel() for p in self.parameters)

    @property
    def dtype(self) -> torch.dtype:
        """Return the dtype of flat vectors: halves of floats are too coarse for a spectrum."""
        return torch.float64 if any(p.dtype == torch.float64 for p in self.parameters) else torch.float32

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluate losses so that they can be differentiated twice: fused attention and cuDNN's recurrences cannot."""
        with ExitStack() as stack:
            stack.enter_context(self.quiet())
            stack.enter_context(torch.enable_grad())
            stack.enter_context(torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH))
            if self.model is not None and any(isinstance(m, torch.nn.RNNBase) for m in self.model.modules()):
                stack.enter_context(torch.backends.cudnn.flags(enabled=False))
            yield

    def total(self) -> torch.Tensor:
        """Return the mean loss of all pieces."""
        return sum((weight * loss() for loss, weight in self.losses), torch.zeros((), device=self.parameters[0].device))

    def split(self, v: torch.Tensor) -> list[torch.Tensor]:
        """Return a flat vector, (n,), in the shapes and dtypes of the parameters."""
        parts = torch.split(v, [p.numel() for p in self.parameters])
        return [part.view(p.shape).to(p.dtype) for part, p in zip(parts, self.parameters, strict=True)]

    def flat(self, parts: Parts) -> torch.Tensor:
        """Return tensors of the shapes of the parameters as one flat vector, (n,)."""
        return torch.cat([part.detach().reshape(-1).to(self.dtype) for part in parts])


def gradients(loss: torch.Tensor, parameters: Parts, *, graph: bool = False) -> list[torch.Tensor]:
    """Return the gradient of a loss by each parameter."""
    if not loss.requires_grad:
        raise CurvatureError("the loss does not depend on the parameters; compute it from them")
    return list(torch.autograd.grad(loss, parameters, create_graph=graph, allow_unused=True, materialize_grads=True))


def backward(made: Parts, parameters: Parts, v: Parts, *, keep: bool) -> list[torch.Tensor]:
    """Return the gradient of made · v by each parameter; what is constant adds nothing."""
    curved = [(each, part) for each, part in zip(made, v, strict=True) if each.requires_grad]
    if not curved:
        return [torch.zeros_like(p) for p in parameters]
    each, parts = zip(*curved, strict=True)
    return list(
        torch.autograd.grad(each, parameters, parts, retain_graph=keep, allow_unused=True, materialize_grads=True)
    )


def custom(loss: torch.Tensor) -> list[str]:
    """Return the names of the functions in the graph of a loss whose backward is somebody's own."""
    seen, left, names = set[Any](), [loss.grad_fn], dict[str, None]()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        left += [following for following, _ in node.next_functions]
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            names[type(node).__name__.removesuffix("Backward")] = None
    return list(names)


class Kept:
    """Differentiate the gradient backward, its graph kept for all products."""

    def __init__(self, pieces: Pieces) -> None:
        """Compute the gradient."""
        self.parameters = pieces.parameters
        with pieces.evaluating():
            total = pieces.total()
            self.own = custom(total)
            self.gradient = gradients(total, pieces.parameters, graph=True)

    def __call__(self, v: Parts) -> Parts:
        """Return H v."""
        return backward(self.gradient, self.parameters, v, keep=True)


class Rebuilt:
    """Differentiate the gradient backward, its graph built anew for each piece of each product."""

    def __init__(self, pieces: Pieces) -> None:
        """Compute the gradient."""
        self.pieces, self.own = pieces, list[str]()
        self.gradient = self._sum(self._first)

    def __call__(self, v: Parts) -> Parts:
        """Return H v."""
        parameters = self.pieces.parameters
        return self._sum(lambda loss: backward(gradients(loss, parameters, graph=True), parameters, v, keep=False))

    def _first(self, loss: torch.Tensor) -> Parts:
        self.own = self.own or custom(loss)
        return gradients(loss, self.pieces.parameters)

    def _sum(self, of: Callable[[torch.Tensor], Parts]) -> Parts:
        total = [torch.zeros_like(p) for p in self.pieces.parameters]
        with self.pieces.evaluating():
            for loss, weight in self.pieces.losses:
                torch._foreach_add_(total, list(of(loss())), alpha=weight)
        return total


class _Total(torch.nn.Module):
    """Make a mean loss a module, so that its model's parameters can be exchanged however the loss uses it."""

    def __init__(self, pieces: Pieces) -> None:
        super().__init__()
        self.model, self.pieces = pieces.model, pieces

    def forward(self) -> torch.Tensor:
        """Return the mean loss."""
        return self.pieces.total()


class Pushed:
    """Differentiate the gradient forward, along a vector.

    Not by torch.func.linearize, whose trace takes seconds and ends torch 2.13 with a segmentation fault on some losses.
    """

    def __init__(self, pieces: Pieces) -> None:
        """Compute the gradient."""
        if pieces.model is None:
            raise CurvatureError("a loss that cannot be differentiated twice backward needs its model; give model=…")
        names = [f"model.{name}" for name, p in pieces.model.named_parameters() if p.requires_grad]
        total, self.pieces = _Total(pieces), pieces

        def pure(*values: torch.Tensor) -> torch.Tensor:
            return cast(torch.Tensor, torch.func.functional_call(total, dict(zip(names, values, strict=True)), ()))

        self.slope = torch.func.grad(pure, tuple(range(len(names))))
        self.values = tuple(p.detach() for p in pieces.parameters)
        with pieces.evaluating(), _unwarned():
            self.gradient: Parts = self.slope(*self.values)

    def __call__(self, v: Parts) -> Parts:
        """Return H v."""
        with self.pieces.evaluating(), _unwarned():
            found: Parts = torch.func.jvp(self.slope, self.values, tuple(v))[1]
            return found


@contextmanager
def _unwarned() -> Iterator[None]:
    """Leave out what torch says of its own code where it differentiates forward."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class Product:
    """Multiply flat vectors by the Hessian of a mean loss, or by another matrix of its parameters.

    Args:
        pieces: the loss.
        form: one of FORMS, or a function from the pieces to another; by default the first of `forms` that works.
        forms: what is tried, in order.

    Raises:
        CurvatureError: no form works.
    """

    def __init__(self, pieces: Pieces, *forms: str, make: Callable[[str, Pieces], Any] | None = None) -> None:
        """Compute the gradient, and with it the graph of the products."""
        self.pieces, self.n, self.dtype, self.made = pieces, pieces.n, pieces.dtype, 0
        self.device = pieces.parameters[0].device
        self.spent = 0.0  # on forms that failed, in gradients
        self._left, self._make = list(forms or ("kept", "jvp")), make or _made
        self._next(None)

    def _next(self, failed: Exception | None) -> None:
        """Take the next form that begins well."""
        while self._left:
            self.form = self._left.pop(0)
            try:
                self._way = self._make(self.form, self.pieces)
                self.gradient = self.pieces.flat(self._way.gradient)
                self.spent += 1
                return
            except RavineError:
                raise
            except (RuntimeError, NotImplementedError) as error:
                failed = error
                self.spent += 1
        raise CurvatureError(
            f"the loss cannot be differentiated twice: {reason(failed or RuntimeError())}; "
            "write it with functions of torch that can, without in-place changes of the parameters"
        ) from failed

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        """Return the product with a vector, (n,)."""
        self.made += 1
        parts = self.pieces.split(v)
        while True:
            try:
                return self.pieces.flat(self._way(parts))
            except RavineError:
                raise
            except (RuntimeError, NotImplementedError) as error:
                if isinstance(error, torch.OutOfMemoryError):
                    raise
                self._next(error)

    @property
    def own(self) -> list[str]:
        """Return the functions of the loss whose backward is somebody's own."""
        return list(getattr(self._way, "own", ()))

    @property
    def cost(self) -> float:
        """Return what was spent, in gradients of the mean loss."""
        return self.spent + COSTS[self.form] * self.made


def _made(form: str, pieces: Pieces) -> Any:
    """Begin a form of the product."""
    if form == "kept":
        return Kept(pieces)
    if form == "rebuilt":
        return Rebuilt(pieces)
    if form in FORMS:
        return Pushed(pieces)
    raise CurvatureError(f"no form of products is called {form!r}; {nearest(form, FORMS)}")
