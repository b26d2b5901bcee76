"""Derivatives of a function written with JAX, taken by JAX in double precision."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ravine.errors import SurfaceError, reason, require
from ravine.surfaces.interface import Array


def derivatives(
    function: Callable[[Any], Any],
) -> tuple[Callable[[Array], Array], Callable[[Array, Array], None], Callable[[Array], Array]]:
    """Return heights, slopes and curvature, over columns (n, runs), of a function of one point (n,)."""
    jax = require("jax", extra="optax", why="differentiate a function written with JAX")

    def one(point: Any) -> Any:
        answer = jax.numpy.asarray(function(point))
        if answer.size != 1:
            raise SurfaceError(f"the function returned shape {answer.shape}; return one number")
        return answer.reshape(())

    def in_double(derive: Callable[[Any], Any], many: bool) -> Callable[[Array], Array]:
        together = jax.jit(jax.vmap(derive, in_axes=1, out_axes=-1) if many else derive)

        def run(x: Array) -> Array:
            with double(jax):
                try:
                    return np.asarray(together(jax.numpy.asarray(x)), float)
                except Exception:  # a function that looks at values cannot be traced
                    points = x.T if many else [x]
                    answers = [_safely(lambda p=p: derive(jax.numpy.asarray(p))) for p in points]  # type: ignore[misc]
            return np.stack(answers, axis=-1) if many else answers[0]

        return run

    gradient = in_double(jax.grad(one), many=True)

    def slopes(x: Array, out: Array) -> None:
        out[...] = gradient(x)

    return in_double(one, many=True), slopes, in_double(jax.hessian(one), many=False)


def _safely(call: Callable[[], Any]) -> Array:
    try:
        return np.asarray(call(), float)
    except SurfaceError:
        raise
    except Exception as error:
        raise SurfaceError(f"the function raised {reason(error)}") from error


def double(jax: Any) -> Any:
    """Return JAX's context of double precision, wherever this version keeps it."""
    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64()
