"""A Python function of yours becomes a surface: with its given gradient, torch's or JAX's, or centred differences."""

import contextlib
import inspect
from collections.abc import Callable
from dataclasses import replace
from types import CellType, CodeType, ModuleType
from typing import Any

import numpy as np

from ravine.errors import SurfaceError, nearest, reason, shown
from ravine.importing import found, imported
from ravine.surfaces.catalogue import names
from ravine.surfaces.interface import Array, Surface

Function = Callable[..., Any]


def from_callable(
    function: Function, gradient: Function | None = None, dim: int | None = None, name: str = ""
) -> Surface:
    """Make a surface from `f(x)` with x of shape (n,), or from `f(x, y, …)` with one number for each coordinate.

    Args:
        function: returns one number. If it belongs to torch or JAX, they differentiate it.
        gradient: takes the same arguments and returns n numbers; check it with `check_gradient`.
        dim: n, needed for `f(x)`.
        name: what to call it.

    Raises:
        SurfaceError: `dim` is missing or does not fit; at its first use, a function that raises or returns a wrong shape.

    Example:
        >>> def trough(x, y):
        ...     return x**2 + 9 * y**2
        >>> from_callable(trough).gradient([1.0, 1.0]).round(6).tolist()
        [2.0, 18.0]
    """
    name = name or getattr(function, "__name__", type(function).__name__)
    spread = _coordinates(function)
    if spread and dim is not None and dim != spread:
        raise SurfaceError(f"{name} takes {spread} coordinates, got a start of {dim}")
    n = spread or dim
    if not n:
        raise SurfaceError(f"{name} takes a point of any length; give a start, or dim=2")
    call = _Call(name, function, n, bool(spread))
    owner = next((library for library in ("torch", "jax") if gradient is None and _belongs(function, library)), "")
    if owner == "torch":
        from ravine.surfaces import by_torch

        heights, slopes, curvature = by_torch.derivatives(call.points)
        return _surface(name, n, function, heights, slopes, curvature, f"the gradient of {name} comes from torch")
    if owner == "jax":
        from ravine.surfaces import by_jax

        heights, slopes, curvature = by_jax.derivatives(call.points)
        return _surface(name, n, function, heights, slopes, curvature, f"the gradient of {name} comes from JAX")
    heights = call.batched((), np.float64)
    if gradient is not None:
        given = _Call(
            getattr(gradient, "__name__", f"the gradient of {name}"), gradient, n, bool(_coordinates(gradient))
        )
        all_slopes = given.batched((n,), np.float64)

        def slopes(x: Array, out: Array) -> None:
            out[...] = all_slopes(x)

        notes: tuple[str, ...] = ()
    else:

        def slopes(x: Array, out: Array) -> None:
            centred(heights, x, out)

        notes = (f"{name} has no gradient: centred differences take its place, {2 * n} calls for each",)
    return _surface(name, n, function, heights, slopes, None, *notes)


def from_file(text: str, dim: int | None = None) -> Surface:
    """Make a surface from `path/to/file.py:function`; a function `function_gradient` beside it is its gradient.

    The file is imported, as Python would import it from its own folder.
    """
    path, _, wanted = text.rpartition(":")
    file = found(path)
    if file is None:
        raise SurfaceError(f"there is no file {shown(path)}; write path/to/file.py:function")
    module = imported(file, SurfaceError)
    functions = [k for k, v in vars(module).items() if callable(v) and not k.startswith("_")]
    if wanted not in functions:
        raise SurfaceError(f"{path} has no function {shown(wanted)}; {nearest(wanted, functions)}")
    gradient = getattr(module, f"{wanted}_gradient", None)
    made = from_callable(getattr(module, wanted), gradient, dim, name=f"{file.name}:{wanted}")
    return replace(made, text=text)


def centred(heights: Callable[[Array], Array], x: Array, out: Array) -> None:
    """Fill `out` with centred differences of `heights` at the columns of `x`, both of shape (n, runs)."""
    n, runs = x.shape
    step = np.finfo(float).eps ** (1 / 3) * np.maximum(1, abs(x))
    shifts = np.eye(n)[:, :, None] * step  # (n which coordinate is moved, n, runs)
    ahead = heights((x + shifts).transpose(1, 0, 2).reshape(n, n * runs))
    behind = heights((x - shifts).transpose(1, 0, 2).reshape(n, n * runs))
    out[...] = (ahead - behind).reshape(n, runs) / (2 * step)


def _surface(
    name: str,
    n: int,
    function: Function,
    heights: Callable[[Array], Array],
    slopes: Callable[[Array, Array], None],
    curvature: Callable[[Array], Array] | None,
    *notes: str,
) -> Surface:
    if curvature is None:
        from ravine.surfaces.expression import differences

        def curvature(point: Array) -> Array:
            return differences(slopes, point)

    source = (inspect.getdoc(function) or "a function of yours").splitlines()[0]
    return Surface(name, tuple(names(n)), heights, slopes, curvature, text=name, source=source, notes=notes)


def _coordinates(function: Function) -> int:
    """Count the coordinates a function takes one by one; 0 if it takes a whole point."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0
    required = [
        p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    return len(required) if len(required) > 1 else 0


def _belongs(function: Any, library: str, depth: int = 2) -> bool:
    """Say whether a function is written with a library: a name that it, or a function it calls, uses is from there."""
    function = getattr(function, "__wrapped__", function)
    modules = {base.__module__ for base in type(function).__mro__}
    function = getattr(function, "__func__", function)
    if code := getattr(function, "__code__", None):
        words = _words(code)
        known = {**getattr(function, "__globals__", {}), **_closure(function)}
        used = [known[word] for word in words if word in known]
        modules |= words  # `import jax.numpy` inside the function is a name it uses
        modules |= {u.__name__ if isinstance(u, ModuleType) else str(getattr(u, "__module__", "")) for u in used}
        modules |= {type(u).__module__ for u in used}
        if depth and any(_belongs(u, library, depth - 1) for u in used if hasattr(u, "__code__")):
            return True
    return any(str(module).split(".")[0] in (library, f"{library}lib") for module in modules)


def _words(code: CodeType) -> set[str]:
    inner = (_words(constant) for constant in code.co_consts if isinstance(constant, CodeType))
    return {*code.co_names, *code.co_freevars}.union(*inner)


def _closure(function: Any) -> dict[str, Any]:
    names, cells = function.__code__.co_freevars, getattr(function, "__closure__", None) or ()
    return {name: cell.cell_contents for name, cell in zip(names, cells, strict=False) if cell != CellType()}


class _Call:
    """Call a user's function point by point or, where that is seen to be the same, with all points at once."""

    def __init__(self, name: str, function: Function, n: int, spread: bool) -> None:
        self.name, self.function, self.n, self.spread = name, function, n, spread

    def points(self, x: Any) -> Any:
        """Call it with one point, or with columns of points."""
        return self.function(*x) if self.spread else self.function(x)

    def one(self, point: Array, shape: tuple[int, ...]) -> Array:
        """Call it with one point and check what comes back."""
        try:
            told = self.points(point.copy())  # theirs to change
            if told is None or isinstance(told, str | bytes | bool | complex):
                raise TypeError(f"it returned {type(told).__name__} and not a number")
            answer = np.asarray(told, float)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise SurfaceError(f"{self.name} raised {reason(error)} at {point.tolist()}") from error
        wanted = int(np.prod(shape))
        if answer.size != wanted or (answer.ndim > 1 and answer.shape != shape):
            what = "one number" if shape == () else f"{wanted} numbers"
            raise SurfaceError(
                f"{self.name} returned shape {answer.shape} at a point of shape ({self.n},); return {what}"
            )
        return answer.reshape(shape)

    def batched(self, shape: tuple[int, ...], dtype: Any) -> Callable[[Array], Array]:
        """Return a function of columns (n, runs) -> (*shape, runs)."""

        def each(x: Array) -> Array:
            return np.stack([self.one(point, shape) for point in x.T], axis=-1)

        decided: list[bool] = []

        def run(x: Array) -> Array:
            if x.shape[1] == 1:
                return each(x)
            if not decided:
                decided.append(self._takes_columns(each, shape))
            if decided[0]:
                with contextlib.suppress(
                    Exception, SystemExit
                ):  # point by point it will be said what is wrong, and where
                    answer = np.asarray(self.points(x.copy()), float)
                    if answer.shape == (*shape, x.shape[1]):
                        return answer
            return each(x)

        return run

    def _takes_columns(self, each: Callable[[Array], Array], shape: tuple[int, ...]) -> bool:
        # Points near and far, of both signs: a branch on the size of x decides otherwise for some than for all.
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.n, 24)) * np.repeat([1e-3, 1.0, 1e3], 8)
        try:
            with np.errstate(all="ignore"):
                together, single = np.asarray(self.points(x.copy()), float), each(x)
        except (Exception, SystemExit):
            return False
        return together.shape == single.shape and np.allclose(together, single, rtol=1e-12, atol=0, equal_nan=True)
