"""A SymPy expression becomes array functions: value, gradient and Hessian, with common subexpressions shared.

The source that is compiled here is printed from a SymPy tree of known nodes, with variables renamed x0, x1, …; text
that somebody typed never reaches the compiler.
"""

import ast
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import sympy as sp
from sympy.printing.numpy import NumPyPrinter
from sympy.simplify.cse_main import tree_cse

from ravine.errors import SurfaceError
from ravine.surfaces.interface import Array, Surface
from ravine.surfaces.parse import parse

MAX_SECOND = 4000  # operations of the gradient times n: beyond, its differences serve as second derivatives
MAX_PRODUCT = 16  # x^3 is printed as x*x*x, twenty times as fast as a power


_UFUNCS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}


class Printer(NumPyPrinter):  # type: ignore[misc]
    """Print expressions for NumPy with every constant as the nearest float, so that no digit depends on a printer."""

    def _print_Float(self, expr: Any) -> str:
        return repr(_finite(expr))

    def _print_Rational(self, expr: Any) -> str:
        return repr(_finite(expr))

    def _print_Integer(self, expr: Any) -> str:
        return repr(_finite(expr))

    def _print_Exp1(self, expr: Any) -> str:
        return repr(_finite(expr))

    def _print_Pi(self, expr: Any) -> str:
        return repr(_finite(expr))

    def _print_sqrt(self, expr: Any) -> str:
        return f"numpy.sqrt({self._print(expr.args[0])})"

    def _print_power(self, expr: Any) -> str:
        return f"numpy.power({self._print(expr.args[0])}, {self._print(expr.args[1])})"

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        if expr.base.is_Symbol and expr.exp.is_Integer and 2 <= abs(expr.exp) <= MAX_PRODUCT:
            product = "*".join([self._print(expr.base)] * abs(int(expr.exp)))
            return f"({product})" if expr.exp > 0 else f"(1.0/({product}))"
        if expr.exp == -1:
            return f"(1.0/{self.parenthesize(expr.base, 50)})"
        return f"numpy.power({self._print(expr.base)}, {self._print(expr.exp)})"


def _finite(number: Any) -> float:
    try:
        value = int(number.p) / int(number.q) if number.is_Rational else float(number)
    except OverflowError:
        value = float("inf")
    if not np.isfinite(value):
        raise SurfaceError("a number in the expression or its derivatives is too large; it must stay below 1e300")
    return value


def statements(
    variables: Sequence[Any], expressions: Sequence[Any], printer: Any = None, at: str = "x", mark: str = ""
) -> list[tuple[str, str]]:
    """Write the values of expressions as assignments in order, (name, code); the last names are out[0], out[1], …

    Variables are named x0, x1, … (`at` gives the letter); shared subexpressions t0, … and bases of powers b0, …, each
    after `mark`, so that two lists can stand in one function.
    """
    printer = printer or Printer({"fully_qualified_modules": True})
    renamed = {variable: sp.Symbol(f"{at}{i}") for i, variable in enumerate(variables)}
    # The plain tree walk: sp.cse also tries every pair of products, which takes minutes for twenty factors.
    shared, reduced = tree_cse(
        [sp.sympify(e).xreplace(renamed) for e in expressions], sp.numbered_symbols(f"{mark}t"), order="none"
    )
    bases = sp.numbered_symbols(f"{mark}b")
    lines: list[tuple[str, str]] = []
    for target, expression in [*shared, *((f"out[{i}]", e) for i, e in enumerate(reduced))]:
        # A base gets a name of its own, because a product would write it down once for each factor.
        named: list[tuple[Any, Any]] = []
        expression = expression.replace(
            lambda e: e.is_Pow and e.exp.is_Integer and not e.base.is_Symbol and e.base.free_symbols,
            lambda power, named=named: _name(power.base, bases, named) ** power.exp,
        )
        lines += [(str(symbol), printer.doprint(base)) for symbol, base in named]
        lines.append((str(target), printer.doprint(expression)))
    return lines


def source(name: str, variables: Sequence[Any], expressions: Sequence[Any]) -> str:
    """Write a Python function of columns x that fills out[0], out[1], … with the expressions' values."""
    lines = [f"x{i} = x[{i}]" for i in range(len(variables))]
    lines += [_assigned(target, code) for target, code in statements(variables, expressions)]
    return f"def {name}(x, out):\n    " + "\n    ".join(lines)


def _assigned(target: str, code: str) -> str:
    """Write an assignment; the last operation of an output goes straight to its place instead of through a copy."""
    tree = ast.parse(code, mode="eval").body
    long = len(code) > 2000  # and so perhaps deeper than a recursive printer goes
    if long or not target.startswith("out") or not isinstance(tree, ast.BinOp) or type(tree.op) not in _UFUNCS:
        return f"{target} = {code}"
    return f"numpy.{_UFUNCS[type(tree.op)]}({ast.unparse(tree.left)}, {ast.unparse(tree.right)}, {target})"


def _name(base: Any, bases: Iterator[Any], named: list[tuple[Any, Any]]) -> Any:
    named.append((next(bases), base))
    return named[-1][0]


def compiled(name: str, variables: Sequence[Any], expressions: Sequence[Any]) -> Callable[[Array, Array], None]:
    """Compile `source` for NumPy."""
    space: dict[str, Any] = {"numpy": np}
    exec(compile(source(name, variables, expressions), f"<{name}>", "exec"), space)
    made: Callable[[Array, Array], None] = space[name]
    return made


def gradient(expression: Any, variables: Sequence[Any]) -> list[Any]:
    """Differentiate by each variable; a kink such as abs(x) at 0 gets the slope 0."""
    return [expression.diff(variable) for variable in variables]


def hessian(expression: Any, variables: Sequence[Any]) -> list[list[Any]]:
    """Differentiate twice; what a kink adds at its one point is left out."""
    return [[slope.diff(variable) for variable in variables] for slope in gradient(expression, variables)]


def differences(slopes: Callable[[Array, Array], None], point: Array) -> Array:
    """Return the Hessian at a point (n,) as centred differences of the gradient, made symmetric."""
    n = len(point)
    steps = np.diag(np.finfo(float).eps ** (1 / 3) * np.maximum(1, abs(point)))
    ahead, behind = np.empty((n, n)), np.empty((n, n))
    slopes(point[:, None] + steps, ahead)
    slopes(point[:, None] - steps, behind)
    rows: Array = (ahead - behind) / (2 * np.diag(steps))
    return (rows + rows.T) / 2


def from_expression(typed: str, **known: Any) -> Surface:
    """Make a surface from an expression; `known` may add name, domain, minima, start and source.

    Raises `SurfaceError` where the text is not an expression.
    """
    read = parse(typed)
    variables, value = read.variables, read.value
    slopes = gradient(value, variables)
    fill_height, fill_slopes = compiled("height", variables, [value]), compiled("slopes", variables, slopes)
    n = len(variables)

    def heights(x: Array) -> Array:
        out: Array = np.empty((1, x.shape[1]), x.dtype)
        fill_height(x, out)
        height: Array = out[0]
        return height

    @functools.cache
    def second() -> Callable[[Array, Array], None]:  # only a prediction asks for it, and it takes longest to derive
        return compiled("hessian", variables, [e for row in hessian(value, variables) for e in row])

    def curvature(point: Array) -> Array:
        if n * sum(slope.count_ops() for slope in slopes) > MAX_SECOND:
            return differences(fill_slopes, point)
        out = np.empty((n * n, 1))
        second()(point[:, None], out)
        return out.reshape(n, n)

    return Surface(
        **{
            "name": " ".join(typed.split()),
            "variables": tuple(map(str, variables)),
            "heights": heights,
            "slopes": fill_slopes,
            "curvature": curvature,
            "text": " ".join(typed.split()),
            "latex": _latex(read.typed, value),
            "expression": value,
            "quadratic": degree(value) <= 2,
            **known,
        }
    )


def degree(value: Any) -> float:
    """Return a bound on the degree as a polynomial, infinite for what is none; it multiplies nothing out."""
    if not value.free_symbols:
        return 0
    if value.is_Symbol:
        return 1
    if value.is_Add:
        return max(map(degree, value.args))
    if value.is_Mul:
        return sum(map(degree, value.args))
    if value.is_Pow and value.exp.is_Integer and value.exp > 0:
        return degree(value.base) * float(value.exp)
    return float("inf")


def _latex(typed: Any, value: Any) -> str:
    try:
        written = sp.latex(typed, order="none")
    except RecursionError:  # a sum of hundreds of terms is as deep as it is long
        written = sp.latex(value)
    return re.sub(r"\\left\|\{(.*?)\}\\right\|", r"|\1|", str(written))
