"""Surfaces: what is descended, whichever way it is given."""

import functools
import re
from collections.abc import Callable
from typing import Any

from ravine.errors import SurfaceError
from ravine.surfaces import catalogue
from ravine.surfaces.interface import Minimum, Surface

__all__ = ["Minimum", "Surface", "surface"]

_FILE = re.compile(r"^(.*\.py):([A-Za-z_]\w*)$", re.DOTALL)


def surface(
    what: str | Surface | Callable[..., Any], gradient: Callable[..., Any] | None = None, dim: int | None = None
) -> Surface:
    """Make a surface from an expression, a name of the catalogue, a spectrum, a file's function or a function.

    Args:
        what: `x^2 + 50y^2`, `rosenbrock`, `rastrigin(5)`, `spectrum(2,100,angle=30)`, `path/to/file.py:function`, or
            a Python function of one point or of one number for each coordinate.
        gradient: of a Python function, if you have it.
        dim: how many coordinates a function of one point has.

    Raises:
        SurfaceError: none of these, or one that cannot be read; the sentence says what to write.

    Example:
        >>> surface("x^2 + 50y^2").gradient([180, 90]).tolist()
        [360.0, 9000.0]
    """
    if isinstance(what, Surface):
        return what
    if dim is not None and (isinstance(dim, bool) or not isinstance(dim, int) or not 1 <= dim <= 100_000):
        raise SurfaceError(f"dim is a whole number from 1 to 100000, such as dim=2, got {dim!r}")
    if callable(what):
        from ravine.surfaces.callables import from_callable

        return from_callable(what, gradient, dim)
    if not isinstance(what, str):
        raise SurfaceError(f"a surface is a text or a function, got {type(what).__name__}")
    if file := _FILE.match(what.strip()) if len(what) < 5000 else None:
        from ravine.surfaces.callables import from_file

        return from_file(file[0], dim)
    if re.match(r"\s*spectrum\s*\(", what):
        from ravine.surfaces.spectrum import parse

        return parse(what)
    return _from_text(what) if len(what) <= LONGEST else _from_text.__wrapped__(what)


LONGEST = 2000  # characters of a text whose surface is kept


@functools.lru_cache(maxsize=64)
def _from_text(text: str) -> Surface:
    """Read a text; the same text gives the same surface, which is derived and compiled once."""
    if found := catalogue.find(text) if len(text) < 200 else None:
        return found
    catalogue.check_name(text[:200])
    from ravine.surfaces.expression import from_expression

    return from_expression(text)
