"""Numbers of every kind: is a float, a fraction or a symbol positive, zero, equal to another?"""

import math

import numpy as np

from ravine.errors import AlgebraError
from ravine.schedules import Number


def symbolic(x: Number) -> bool:
    """Say whether a number is a SymPy expression."""
    return hasattr(x, "free_symbols")


def positive(x: Number) -> bool:
    """Say whether a number is above 0; a symbol's sign must follow from what is assumed of its letters."""
    if not symbolic(x):
        return bool(x > 0)
    # mu, nu and tau lie between 0 and 1, as their settings do: put p/(1 + p) for each, with p positive.
    for symbol in x.free_symbols:
        if symbol.name in ("mu", "nu", "tau"):
            p = type(symbol)(f"{symbol.name}_", positive=True)
            x = x.subs(symbol, p / (1 + p))
    simple = x.simplify().factor()
    if simple.is_positive is None and not simple.is_nonpositive:
        raise AlgebraError(f"cannot decide whether {x} is positive; give symbols with positive=True, or numbers")
    return bool(simple.is_positive)


def vanishes(x: Number) -> bool:
    """Say whether a number, or every number of an array, is 0."""
    return bool(x.simplify() == 0) if symbolic(x) else bool(np.all(x == 0))


def equal(p: Number, q: Number) -> bool:
    """Say whether two numbers are equal; floats up to rounding."""
    if isinstance(p, float) or isinstance(q, float):
        return math.isclose(p, q, rel_tol=1e-12, abs_tol=1e-300)
    return vanishes(p - q)
