"""What is descended: one interface for expressions, spectra and functions of yours.

Inside, points are columns: an array of shape (n, runs), one row a coordinate, so that a thousand runs are one array
program. Outside, points are rows, shape (…, n), as everyone else has them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ravine.errors import SurfaceError

Array = NDArray[Any]


class Minimum(NamedTuple):
    """Hold a known minimum: where, how low, and whether nothing is lower."""

    point: tuple[float, ...]
    value: float
    everywhere: bool = True  # a global minimum; False for one of the hollows where descent may stay


@dataclass(frozen=True)
class Surface:
    """Hold a function to descend, with its derivatives and what is known about it.

    >>> from ravine.surfaces import surface
    >>> bowl = surface("x^2 + 50y^2")
    >>> bowl.value([180, 90]), bowl.gradient([180, 90]).tolist()
    (437400.0, [360.0, 9000.0])
    """

    name: str
    variables: tuple[str, ...]
    heights: Callable[[Array], Array]  # columns (n, runs) -> (runs,)
    slopes: Callable[[Array, Array], None]  # columns (n, runs) -> fills the second (n, runs)
    curvature: Callable[[Array], Array]  # point (n,) -> Hessian (n, n)
    text: str = ""  # what reads back as this surface
    latex: str = ""
    domain: tuple[tuple[float, float], ...] = ()  # per coordinate, worth looking at; () if nobody said
    minima: tuple[Minimum, ...] = ()
    start: tuple[float, ...] = ()  # where a race starts unless told otherwise
    source: str = ""
    notes: tuple[str, ...] = ()  # what a user should be told, such as a gradient by differences
    expression: Any = field(default=None, compare=False)  # SymPy, where there is one
    quadratic: bool = False  # the same Hessian everywhere
    flat_at: tuple[float, ...] = ()  # a point where the formula's gradient is 0/0 and counts as 0

    @property
    def dim(self) -> int:
        """Return the number of coordinates."""
        return len(self.variables)

    def value(self, points: ArrayLike) -> Any:
        """Return the height at points of shape (…, n): a float for one point, else an array of shape (…)."""
        columns, shape = self._columns(points)
        with np.errstate(all="ignore"):
            values = self.heights(columns).reshape(shape)
        return values if shape else float(values)

    def gradient(self, points: ArrayLike) -> Array:
        """Return the gradient at points of shape (…, n), in the same shape."""
        columns, shape = self._columns(points)
        out = np.empty_like(columns)
        with np.errstate(all="ignore"):
            self.slopes(columns, out)
        return np.ascontiguousarray(out.T).reshape((*shape, self.dim))

    def hessian(self, point: ArrayLike) -> Array:
        """Return the matrix of second derivatives, (n, n), at one point of shape (n,)."""
        columns, shape = self._columns(point)
        if shape:
            raise SurfaceError(f"the Hessian is asked for at one point of shape ({self.dim},), got {np.shape(point)}")
        with np.errstate(all="ignore"):
            return self.curvature(columns[:, 0])

    def curvatures(self, point: ArrayLike) -> Array:
        """Return the eigenvalues of the Hessian at one point, rising, shape (n,)."""
        return np.linalg.eigvalsh(self.hessian(point))

    def _columns(self, points: ArrayLike) -> tuple[Array, tuple[int, ...]]:
        try:
            array = np.asarray(points)
            exact = array.dtype == object and all(isinstance(x, Fraction | int) for x in array.flat)
            if array.dtype.kind == "c" or any(x is None for x in array.flat if array.dtype == object):
                raise TypeError
            array = array if exact else array.astype(float)
        except (TypeError, ValueError, OverflowError):
            raise SurfaceError(f"a point of {self.name} is {self.dim} numbers, got {points!r}") from None
        if array.ndim == 0 and self.dim == 1:
            array = array[None]
        if array.ndim == 0 or array.shape[-1] != self.dim:
            raise SurfaceError(
                f"{self.name} has {self.dim} coordinates ({', '.join(self.variables)}), got points of shape {array.shape}"
            )
        return np.ascontiguousarray(array.reshape(-1, self.dim).T), array.shape[:-1]
