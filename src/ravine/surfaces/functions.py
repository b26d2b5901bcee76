"""The functions an expression may hold, each with its slope and nothing else.

SymPy's own functions look for closed forms and signs whenever they are built, which takes for ever where somebody nests
them: here a sine is a name, a slope and a way to compute it, so that SymPy does the algebra of + · ^ and the chain rule.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sympy as sp


class Known(NamedTuple):
    """Hold a function: its SymPy class, its value for a number, and SymPy's own function for a label."""

    symbolic: Any
    numeric: Callable[[float], float]
    label: Callable[..., Any]


def _class(name: str, slope: Callable[[Any], Any]) -> Any:
    """Make a SymPy function of one argument that knows its slope; printers know it by its name."""
    known = {"nargs": 1, "fdiff": lambda self, argindex=1: slope(self.args[0]), "_eval_evalf": _unevaluated}
    return type(name, (sp.Function,), known)


def _unevaluated(self: Any, prec: int) -> None:
    """Keep a constant such as log(-0.4) as it stands: SymPy would make it complex."""


# What a kink or a jump adds at its one point is left out: the sign has no slope.
sign: Any = _class("sign", lambda x: sp.S.Zero)
Abs: Any = _class("Abs", lambda x: sign(x))
sin: Any = _class("sin", lambda x: cos(x))
cos: Any = _class("cos", lambda x: -sin(x))
tan: Any = _class("tan", lambda x: 1 + tan(x) ** 2)
sqrt: Any = _class("sqrt", lambda x: 1 / (2 * sqrt(x)))
asin: Any = _class("asin", lambda x: 1 / sqrt(1 - x**2))
acos: Any = _class("acos", lambda x: -1 / sqrt(1 - x**2))
atan: Any = _class("atan", lambda x: 1 / (1 + x**2))
sinh: Any = _class("sinh", lambda x: cosh(x))
cosh: Any = _class("cosh", lambda x: sinh(x))
tanh: Any = _class("tanh", lambda x: 1 - tanh(x) ** 2)
exp: Any = _class("exp", lambda x: exp(x))
log: Any = _class("log", lambda x: 1 / x)


class power(sp.Function):  # type: ignore[misc]
    """Stand for a power whose exponent is no whole number."""

    nargs = 2
    _eval_evalf = _unevaluated

    def fdiff(self, argindex: int = 1) -> Any:
        """Return the slope by the base or by the exponent."""
        base, exponent = self.args
        return exponent * raised(base, exponent - 1) if argindex == 1 else log(base) * self


def raised(base: Any, exponent: Any) -> Any:
    """Return base^exponent as a product, a root, an exponential or a power."""
    if exponent.is_Integer:
        return sp.Pow(base, exponent)
    if base == sp.E:
        return exp(exponent)
    if abs(exponent) == sp.S.Half if exponent.is_Rational else False:
        return sqrt(base) if exponent > 0 else 1 / sqrt(base)
    return power(base, exponent)


FUNCTIONS: Mapping[str, Known] = {
    "sin": Known(sin, math.sin, sp.sin),
    "cos": Known(cos, math.cos, sp.cos),
    "tan": Known(tan, math.tan, sp.tan),
    "asin": Known(asin, math.asin, sp.asin),
    "acos": Known(acos, math.acos, sp.acos),
    "atan": Known(atan, math.atan, sp.atan),
    "sinh": Known(sinh, math.sinh, sp.sinh),
    "cosh": Known(cosh, math.cosh, sp.cosh),
    "tanh": Known(tanh, math.tanh, sp.tanh),
    "exp": Known(exp, math.exp, sp.exp),
    "log": Known(log, math.log, sp.log),
    "sqrt": Known(sqrt, math.sqrt, lambda x, evaluate: sp.Pow(x, sp.S.Half, evaluate=evaluate)),
    "abs": Known(Abs, abs, sp.Abs),
}
