"""Products of the generalized Gauss-Newton matrix: the part of a Hessian that stays if the model were linear.

    G v = Jᵀ L J v      J = ∂z/∂p of the model's outputs z, L the Hessian of the loss by z

G has no negative eigenvalue where the loss is convex in z. The loss is cut at what the model returns when the loss calls
it, so that every loss of the outputs will do.

Source: Schraudolph 2002.
"""

from collections.abc import Callable
from typing import Any

import torch

from ravine.errors import CurvatureError
from ravine.torch.spectral.products import Parts, Pieces, backward, gradients

SAME = 1e-3  # by which the gradient through the outputs may differ from the gradient


class GaussNewton:
    """Multiply by the Gauss-Newton matrix, its graphs kept, or built anew for each piece of each product."""

    def __init__(self, pieces: Pieces, keep: bool) -> None:
        """Compute the gradient, and see that it goes through the outputs alone."""
        if pieces.model is None:
            raise CurvatureError("a Gauss-Newton matrix needs the model, whose outputs it is cut at; give model=…")
        self.pieces, self.keep = pieces, keep
        self.gradient: Parts = [torch.zeros_like(p) for p in pieces.parameters]
        self._cuts: list[_Cut] = []
        with pieces.evaluating():
            for loss, weight in pieces.losses:
                cut = _Cut(loss, weight, pieces)
                torch._foreach_add_(self.gradient, cut.gradient())
                if keep:
                    self._cuts.append(cut)

    def __call__(self, v: Parts) -> Parts:
        """Return G v."""
        total = [torch.zeros_like(p) for p in self.pieces.parameters]
        if self.keep:
            for cut in self._cuts:
                torch._foreach_add_(total, list(cut(v)))
            return total
        with self.pieces.evaluating():
            for loss, weight in self.pieces.losses:
                torch._foreach_add_(total, list(_Cut(loss, weight, self.pieces)(v)))
        return total


class _Cut:
    """Hold a weighted loss that is cut at the model's outputs."""

    def __init__(self, loss: Callable[[], torch.Tensor], weight: float, pieces: Pieces) -> None:
        self.parameters = pieces.parameters
        outputs: list[Any] = []
        hook = pieces.model.register_forward_hook(lambda module, inputs, found: outputs.append(found))
        try:
            self.loss = weight * loss()
        finally:
            hook.remove()
        self.z = [z for found in outputs for z in _tensors(found) if z.requires_grad]
        if not self.z:
            raise CurvatureError(
                "a Gauss-Newton matrix is cut at what the model returns, and the loss does not call the model as a whole; "
                "let the loss call model(…)"
            )
        self.by_z = _by(self.loss, self.z)
        # J v is what ∂(Jᵀ u)/∂u does to v: two passes backward stand for one forward.
        self.u = [torch.zeros_like(z, requires_grad=True) for z in self.z]
        self.pulled = list(
            torch.autograd.grad(
                self.z, self.parameters, self.u, create_graph=True, allow_unused=True, materialize_grads=True
            )
        )
        if not any(each.requires_grad for each in self.by_z):
            raise CurvatureError(
                "the loss is linear in what the model returns, so that its Gauss-Newton matrix is 0; "
                "let the model return what comes before, such as logits"
            )

    def gradient(self) -> list[torch.Tensor]:
        """Return the gradient by each parameter; raises `CurvatureError` where not all of it goes through the outputs."""
        direct = gradients(self.loss, self.parameters, graph=True)
        through = backward(self.pulled, self.u, [torch.ones_like(p) for p in self.parameters], keep=True)
        one = sum(float((z * each).sum().detach()) for z, each in zip(self.by_z, through, strict=True))
        other = sum(float(each.detach().sum()) for each in direct)
        size = sum(float(each.detach().abs().sum()) for each in direct)
        if abs(one - other) > SAME * size:
            raise CurvatureError(
                "the loss depends on the parameters otherwise than through what the model returns, so that it has no "
                "Gauss-Newton matrix; leave off penalties on the weights, or measure the Hessian"
            )
        return [each.detach() for each in direct]

    def __call__(self, v: Parts) -> Parts:
        """Return the product with v."""
        pushed = backward(self.pulled, self.u, v, keep=True)
        curved = backward(self.by_z, self.z, pushed, keep=True)
        return list(
            torch.autograd.grad(
                self.z, self.parameters, curved, retain_graph=True, allow_unused=True, materialize_grads=True
            )
        )


def _by(loss: torch.Tensor, z: list[torch.Tensor]) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, z, create_graph=True, allow_unused=True, materialize_grads=True))


def _tensors(found: Any) -> list[torch.Tensor]:
    """Return the tensors in what a model returned."""
    if torch.is_tensor(found):
        return [found]
    parts = found.values() if hasattr(found, "values") else found if isinstance(found, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def gauss_newton(form: str, pieces: Pieces) -> GaussNewton:
    """Begin products with the Gauss-Newton matrix: the `make` of a `Product`."""
    return GaussNewton(pieces, form == "gauss-newton")
