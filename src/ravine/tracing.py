"""Arithmetic written down instead of done: words that stand for numbers, and the one step traced with them.

A word goes wherever a number goes: through a row, through a schedule, through the stepper. What comes out is a list of
assignments, one operation each, in the order in which Python would have done them; a compiled map writes them as Python,
a page as JavaScript. No update rule is written twice.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy as sp

from ravine.rules import Row
from ravine.stepper import step
from ravine.surfaces.expression import gradient, statements
from ravine.surfaces.interface import Array, Surface

Pattern = tuple[int | None, ...]  # of a row: 0 or 1 where every cell has that number, None where they differ
Lines = list[tuple[str, str]]  # name, code


class Trace:
    """Write down what is computed with its words, one operation a line."""

    def __init__(self, mark: str = "s") -> None:
        self.lines: Lines = []
        self.mark = mark

    def word(self, code: str) -> "Word":
        """Give a name to the value of some code."""
        name = f"{self.mark}{len(self.lines)}"
        self.lines.append((name, code))
        return Word(name, self)

    def called(self, function: str, *given: Any) -> "Word":
        """Call a function of NumPy's, by its name there."""
        return self.word(f"numpy.{function}({', '.join(map(written, given))})")


class Word:
    """Stand for a number of the program that is being traced.

    >>> trace = Trace()
    >>> 1 - Word("x", trace) ** 2 / 2
    s2
    >>> trace.lines
    [('s0', 'x * x'), ('s1', 's0 / 2.0'), ('s2', '1.0 - s1')]
    """

    def __init__(self, name: str, trace: Trace) -> None:
        self.name, self.trace = name, trace

    def __repr__(self) -> str:
        return self.name

    def __neg__(self) -> "Word":
        return self.trace.word(f"-{self.name}")

    def __add__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} + {written(other)}")

    def __radd__(self, number: float) -> "Word":
        return self.trace.word(f"{written(number)} + {self.name}")

    def __sub__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} - {written(other)}")

    def __rsub__(self, number: float) -> "Word":
        return self.trace.word(f"{written(number)} - {self.name}")

    def __mul__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} * {written(other)}")

    def __rmul__(self, number: float) -> "Word":  # a row's 1, or a 0 that the stepper does not leave out
        return self if number == 1 else self.trace.word(f"{written(number)} * {self.name}")

    def __truediv__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} / {written(other)}")

    def __rtruediv__(self, number: float) -> "Word":
        return self.trace.word(f"{written(number)} / {self.name}")

    def __pow__(self, power: Any) -> "Word":
        # A square is a product to the last bit, in Python as elsewhere; a cube is not, so a rule writes its factors.
        if power == 2:
            return self * self
        return self.trace.called("sqrt", self) if power == Fraction(1, 2) else self.trace.called("power", self, power)

    def __rpow__(self, number: float) -> "Word":
        return self.trace.called("power", number, self)

    def __lt__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} < {written(other)}")

    def __le__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} <= {written(other)}")

    def __gt__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} > {written(other)}")

    def __ge__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} >= {written(other)}")

    def __ne__(self, other: object) -> Any:
        return self.trace.word(f"{self.name} != {written(other)}")

    def __and__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} & {other.name}")

    def __mod__(self, other: Any) -> "Word":
        return self.trace.word(f"{self.name} % {written(other)}")

    def __bool__(self) -> bool:
        raise TypeError("a word is no number yet, so nothing can branch on it; write xp.where")


def written(value: Any) -> str:
    """Write a word by its name, a number as the float it is.

    >>> written(1), written(-0.1)
    ('1.0', '-0.1')
    """
    return value.name if isinstance(value, Word) else repr(float(value))


def variables_of(surface: Surface) -> list[Any]:
    """Return the symbols of the coordinates as the expression has them."""
    known = {symbol.name: symbol for symbol in surface.expression.free_symbols}
    return [known.get(name) or sp.Symbol(name) for name in surface.variables]


def looked_at(surface: Surface, printer: Any) -> Lines:
    """Write the lines that set f to the value at x."""
    lines = statements(variables_of(surface), [surface.expression], printer, mark="f")
    return [("f" if name == "out[0]" else name, code) for name, code in lines]


def slopes_of(surface: Surface, names: Sequence[str], printer: Any) -> Lines:
    """Write the lines that set g0, g1, … to the gradient at the point with these names."""
    variables = variables_of(surface)
    lines = [(f"y{i}", name) for i, name in enumerate(names)]
    for name, code in statements(variables, gradient(surface.expression, variables), printer, at="y", mark="g"):
        lines.append(("g" + name[4:-1] if name.startswith("out") else name, code))
    return lines


def moved(pattern: Pattern, n: int, slopes: Callable[[list[str]], Lines], noisy: bool = False) -> Lines:
    """Write one step of one cell, traced from the stepper: new x0, …, v0, … from old ones.

    Args:
        pattern: of the row, whose other cells are called by their names.
        n: how many coordinates.
        slopes: writes the lines that set g0, g1, … at the point with these names.
        noisy: whether n0, n1, … are added to the gradient.
    """
    trace = Trace()

    def traced(at: Array, out: Array) -> None:
        trace.lines += slopes([word.name for word in at[:, 0]])
        out[:, 0] = [Word(f"g{i}", trace) for i in range(n)]

    x, v, noise = (column([Word(f"{letter}{i}", trace) for i in range(n)]) for letter in "xvn")
    x_next, v_next, g = np.empty_like(x), np.empty_like(x), np.empty_like(x)
    row = Row(
        *(Word(name, trace) if fixed is None else fixed for name, fixed in zip(Row._fields, pattern, strict=True))
    )
    step(row, x, v, traced, x_next, v_next, g, noise if noisy else None)
    lines = [(f"v{i}", word.name) for i, word in enumerate(v_next[:, 0])]
    return [*trace.lines, *lines, *((f"x{i}", word.name) for i, word in enumerate(x_next[:, 0]))]


def column(words: Sequence[Word]) -> Array:
    """Return words as a column (n, 1), as the stepper and a surface take points."""
    made = np.empty((len(words), 1), object)
    made[:, 0] = words
    return made
