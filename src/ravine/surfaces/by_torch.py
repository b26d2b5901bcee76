"""Derivatives of a function written with torch, taken by torch in double precision."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ravine.errors import SurfaceError, reason, require
from ravine.surfaces.interface import Array


def derivatives(
    function: Callable[[Any], Any],
) -> tuple[Callable[[Array], Array], Callable[[Array, Array], None], Callable[[Array], Array]]:
    """Return heights, slopes and curvature, over columns (n, runs), of a function of one point (n,)."""
    torch = require("torch", extra="torch", why="differentiate a function written with torch")

    def one(point: Any) -> Any:
        answer = function(point)
        if not isinstance(answer, torch.Tensor) or answer.numel() != 1 or answer.is_complex():
            shape = tuple(getattr(answer, "shape", ()))
            raise SurfaceError(
                f"the function returned {type(answer).__name__} of shape {shape}; return one real number"
            )
        return answer.reshape(()).double()

    def safely(call: Callable[[], Any]) -> Array:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, of what it calls inside
                answer: Array = call().detach().numpy()
            return answer
        except SurfaceError:
            raise
        except Exception as error:
            raise SurfaceError(f"the function raised {reason(error)}") from error

    def tensor(x: Array) -> Any:
        return torch.tensor(x, dtype=torch.float64)

    def each(derive: Callable[[Any], Any], x: Array) -> Array:
        """Map over columns at once where torch can, one by one where the function looks at values."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                answer: Array = torch.func.vmap(derive)(tensor(x.T)).detach().numpy()
        except Exception:
            answer = np.stack([safely(partial(derive, tensor(point))) for point in x.T])
        return answer

    gradient = torch.func.grad(one)

    def slopes(x: Array, out: Array) -> None:
        out[...] = each(gradient, x).T

    return (
        lambda x: each(one, x),
        slopes,
        lambda point: safely(lambda: torch.func.hessian(one)(tensor(point))),
    )
