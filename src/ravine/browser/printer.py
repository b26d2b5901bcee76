"""A surface as JavaScript: its value and its gradient, printed by the one printer or traced from the arrays' functions.

The text is the one that Python runs, with NumPy's functions called by JavaScript's names, so that the order of all
operations is the same. Coordinates are called x0, x1, …: no name that somebody typed is ever printed.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ravine.errors import PageError
from ravine.surfaces.expression import Printer
from ravine.surfaces.interface import Array, Surface
from ravine.tracing import Lines, Trace, Word, column, looked_at, slopes_of

FUNCTIONS = {
    **{name: name for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "log", "sqrt", "abs", "sign", "floor")},
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "power": "pow", "minimum": "min", "maximum": "max",
}  # fmt: skip
MOST_CURVATURES = 200
MOST_PRODUCTS = 2500  # of a gradient: what 50 turned curvatures need; from 60 on, browsers do not compile it
_NAME = re.compile(r"\b[a-z]+[0-9]+\b")


class Terrain(NamedTuple):
    """Hold a surface as statements."""

    height: Lines  # sets f from x0, x1, …
    slope: Lines  # sets g0, g1, … from y0, y1, …

    def slope_at(self, names: Sequence[str]) -> Lines:
        """Write the lines that set g0, g1, … to the gradient at the point with these names."""
        return [*((f"y{i}", name) for i, name in enumerate(names)), *self.slope]


class ScriptPrinter(Printer):
    """Print expressions as JavaScript does them."""

    def doprint(self, expr: Any, assign_to: Any = None) -> str:
        """Write an expression."""
        return javascript(super().doprint(expr, assign_to))

    def _print_Abs(self, expr: Any) -> str:  # the one function that Python has without NumPy
        return f"numpy.abs({self._print(expr.args[0])})"


def terrain(surface: Surface) -> Terrain:
    """Write a surface as statements; raises `PageError` where it has no formula or one that is too long."""
    if surface.expression is None:
        _check(surface)
        made = Terrain(
            _traced(surface.dim, "x", lambda x: {"f": surface.heights(x)[0]}),
            _traced(surface.dim, "y", lambda y: _slopes(surface, y)),
        )
    else:
        printer = ScriptPrinter({"fully_qualified_modules": True})
        made = Terrain(looked_at(surface, printer), slopes_of(surface, [], printer))
    return made._replace(slope=_flat(made.slope, surface.flat_at)) if surface.flat_at else made


def javascript(code: str) -> str:
    """Call NumPy's functions by JavaScript's names.

    >>> javascript("2.0*numpy.arcsin(x0)")
    '2.0*Math.asin(x0)'
    """
    return re.sub(r"\bnumpy\.(\w+)", lambda found: f"Math.{FUNCTIONS[found[1]]}", code)


def folded(lines: Lines, wanted: set[str]) -> Lines:
    """Write a value that is used once in the place where it is used, in brackets, so that a long sum is one line.

    >>> folded([("t0", "2.0 * x0"), ("t1", "t0 + x1"), ("g0", "t1")], {"g0"})
    [('g0', '((2.0 * x0) + x1)')]
    """
    uses = Counter(name for _, code in lines for name in _NAME.findall(code))
    held: dict[str, str] = {}
    made: Lines = []
    for name, code in lines:
        code = _NAME.sub(lambda found: held.pop(found[0], found[0]), code)
        if uses[name] == 1 and name not in wanted:
            held[name] = f"({code})"
        else:
            made.append((name, code))
    return made


def block(lines: Lines, kept: Sequence[str] = ()) -> list[str]:
    """Write assignments as statements; names that are kept were declared before."""
    return [f"{name} = {code};" if name in kept or "[" in name else f"const {name} = {code};" for name, code in lines]


def _traced(n: int, letter: str, compute: Callable[[Array], dict[str, Word]]) -> Lines:
    """Write what the arrays' own function computes for one point."""
    trace = Trace("t")
    found = compute(column([Word(f"{letter}{i}", trace) for i in range(n)]))
    return folded([*trace.lines, *((name, word.name) for name, word in found.items())], set(found))


def _slopes(surface: Surface, y: Array) -> dict[str, Word]:
    out = np.empty_like(y)
    surface.slopes(y, out)
    return {f"g{i}": word for i, word in enumerate(out[:, 0])}


def _flat(lines: Lines, point: Sequence[float]) -> Lines:
    """Let the gradient be 0 at a point, whatever the formula says."""
    there = " && ".join(f"y{i} === {value!r}" for i, value in enumerate(point))
    slopes = {f"g{i}" for i in range(len(point))}
    return [("flat", there), *((name, f"flat ? 0.0 : {code}" if name in slopes else code) for name, code in lines)]


def _check(surface: Surface) -> None:
    """Refuse a function without a formula, and a quadratic with more products than a browser takes."""
    if not surface.quadratic:
        raise PageError(
            f"{surface.name} is a Python function, which a page cannot run; write it as an expression such as "
            "x^2 + 50y^2, or take a name of the catalogue or a spectrum"
        )
    products = np.count_nonzero(surface.hessian(np.zeros(surface.dim)))
    if surface.dim > MOST_CURVATURES or products > MOST_PRODUCTS:
        raise PageError(
            f"a page takes spectra of up to {MOST_CURVATURES} curvatures, or {math.isqrt(MOST_PRODUCTS)} where the axes "
            f"are turned, got {surface.dim}; leave some out"
        )
