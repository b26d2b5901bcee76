"""A typed expression becomes a SymPy expression, and nothing typed is ever executed.

    text -> tokens on a whitelist -> implicit products -> Python's own grammar (ast) -> SymPy nodes, one by one

Python's parser only builds a tree; this file walks it and knows no names but those in FUNCTIONS and CONSTANTS, no
attributes, no calls of anything else. Length, brackets, powers and nesting are bounded, because a short line such as
9**9**9**9 asks for more digits than there is memory.
"""

import ast
import math
import re
import unicodedata
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sympy as sp

from ravine.errors import SurfaceError, nearest, shown
from ravine.surfaces.functions import FUNCTIONS, raised

MAX_LENGTH = 2000  # characters
MAX_TOKENS = 400
MAX_BRACKETS = 40  # one inside the other
MAX_NESTING = 8  # functions, powers, quotients and signs one inside the other: derivatives grow with the cube of it
MAX_DIGITS = 30  # of one number
MAX_VARIABLES = 20
MAX_FACTORS = 3000  # factors of a product times the variables in them: each slope has a product for each


ALIASES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
CONSTANTS: Mapping[str, Any] = {"pi": sp.pi, "e": sp.E}

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z]+(?:_?[0-9]+)?)|(?P<sign>\*\*|[-+*/^()]))"
)
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_DIGITS = str.maketrans(_SUPERSCRIPTS, "0123456789")
_FRIENDLY = str.maketrans({"−": "-", "–": "-", "·": "*", "×": "*", "⋅": "*", "÷": "/", "π": " pi ", "√": " sqrt "})
_VARIABLE = re.compile(r"([A-Za-z]|theta)(?:_?([0-9]{1,3}))?$")


class Expression(NamedTuple):
    """Hold what was typed, read: its variables in order, its value, and the same unevaluated, for a label."""

    variables: tuple[Any, ...]
    value: Any
    typed: Any


def parse(text: str) -> Expression:
    """Read an expression in one, two or more variables, such as `x^2 + 50y^2`.

    Args:
        text: numbers, variables (a letter, also with a number: x1, w_2), + - * / ^ ** and brackets, the functions of
            FUNCTIONS, pi and e; a product needs no sign.

    Returns:
        An `Expression`; its variables are in alphabetical order, x2 before x10.

    Raises:
        SurfaceError: text that is not such an expression, or one too large to differentiate at once.

    Example:
        >>> parse("(1-x)^2 + 100(y-x^2)^2").value
        (1 - x)**2 + 100*(-x**2 + y)**2
    """
    if len(text) > MAX_LENGTH:
        raise SurfaceError(f"an expression of {len(text)} characters is too long; {MAX_LENGTH} are allowed")
    source = _with_products(_tokens(_normal(text)), text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise SurfaceError(f"cannot read the expression {shown(text)}; write one like x^2 + 50y^2") from None
    try:
        value, typed = _Builder(text).build(tree), _Builder(text, evaluate=False).build(tree)
    except RecursionError:
        raise SurfaceError(f"the expression {shown(text)} is nested too deeply; write fewer signs in a row") from None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - FUNCTIONS.keys() - CONSTANTS.keys()
    if not names:
        raise SurfaceError(f"the expression {shown(text)} has no variable; write one in x, or in x and y")
    if len(names) > MAX_VARIABLES:
        raise SurfaceError(f"{len(names)} variables are too many; {MAX_VARIABLES} are allowed, or use spectrum(…)")
    if sum(len(p.args) * sum(len(a.free_symbols) for a in p.args) for p in value.atoms(sp.Mul)) > MAX_FACTORS:
        raise SurfaceError(f"the products in {shown(text)} have too many factors with variables; shorten them")
    if value.has(sp.nan, sp.zoo, sp.oo, -sp.oo, sp.I):
        raise SurfaceError(f"the expression {shown(text)} has no finite real value; look for a division by 0")
    return Expression(tuple(_symbol(name) for name in sorted(names, key=_order)), value, typed)


def _normal(text: str) -> str:
    """Turn mathematical and full-width signs into the plain ones."""
    text = re.sub(f"[{_SUPERSCRIPTS}]+", lambda run: "^" + run[0].translate(_DIGITS), text)
    return unicodedata.normalize("NFKC", text.translate(_FRIENDLY))


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    place, depth = 0, 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found:
            raise SurfaceError(
                f"cannot read {shown(text[place:].strip(), 12)} in an expression; "
                "write numbers, variables such as x or x1, + - * / ^ ( ) and functions such as sin(x)"
            )
        kind = str(found.lastgroup)
        word = found[kind]
        if kind == "number" and len(word) > MAX_DIGITS:
            raise SurfaceError(f"a number of {len(word)} digits is too long; {MAX_DIGITS} are allowed")
        depth += (word == "(") - (word == ")")
        if depth > MAX_BRACKETS:
            raise SurfaceError(f"more than {MAX_BRACKETS} brackets inside each other; write it flatter")
        tokens += _names(word) if kind == "name" else [(kind, word)]
        place = found.end()
        if len(tokens) > MAX_TOKENS:
            raise SurfaceError(f"an expression of more than {MAX_TOKENS} signs is too long; shorten it")
    return tokens


def _names(word: str) -> list[tuple[str, str]]:
    """Tell functions, constants and variables apart; xy is x times y."""
    lower = word.lower()
    if (known := ALIASES.get(lower, lower)) in FUNCTIONS:
        return [("function", known)]
    if lower in CONSTANTS:
        return [("name", lower)]
    if _VARIABLE.match(word):
        letter, digits = _VARIABLE.match(word).groups()  # type: ignore[union-attr]
        return [("name", letter + (str(int(digits)) if digits else ""))]  # x_1 and x01 are x1
    if len(word) <= 4 and set(word) <= set("xyzpie"):
        return [token for letter in word.replace("pi", "π") for token in _names("pi" if letter == "π" else letter)]
    raise SurfaceError(f"unknown name {shown(word)} in an expression; {nearest(word, [*FUNCTIONS, *CONSTANTS])}, "
                       "and variables such as x, y or x1")  # fmt: skip


def _with_products(tokens: list[tuple[str, str]], text: str) -> str:
    """Write the tokens as one Python expression, with a * where a product is meant."""
    written: list[str] = []
    before = ""
    for place, (kind, word) in enumerate(tokens):
        if kind == "function" and tokens[place + 1 : place + 2] != [("sign", "(")]:
            raise SurfaceError(
                f"{word} needs brackets around its argument; write {word}(x), and {word}(x)^2 for its square"
            )
        starts = kind != "sign" or word == "("
        if starts and before in ("number", "name", ")"):
            if kind == "number" and before == "number":
                raise SurfaceError(f"two numbers stand side by side in {shown(text)}; write a sign between them")
            written.append("*")
        written.append("**" if word == "^" else word)
        before = ")" if word == ")" else kind
    return " ".join(written)


def _order(name: str) -> tuple[str, int]:
    letter, number = _VARIABLE.match(name).groups()  # type: ignore[union-attr]
    return letter, int(number or -1)


def _symbol(name: str) -> Any:
    return sp.Symbol(name)


def _short(number: Any) -> Any:
    """Return a long fraction as a float: no digit is lost that a float has, and SymPy would look for its factors."""
    return sp.Float(int(number.p) / int(number.q)) if max(abs(number.p), number.q) > 2**53 else number


class _Builder:
    """Walk a tree of Python's grammar and build the SymPy expression it means, refusing whatever could grow."""

    def __init__(self, text: str, evaluate: bool = True) -> None:
        self.text, self.evaluate = text, evaluate

    def build(self, node: ast.expr, nesting: int = 0) -> Any:
        if nesting > MAX_NESTING:
            raise SurfaceError(
                f"more than {MAX_NESTING} functions, powers, quotients or signs inside each other; write it flatter"
            )
        match node:
            case ast.Constant(value=int() as number):
                return _short(sp.Integer(number))
            case ast.Constant(value=float() as number) if math.isfinite(number):
                # 0.1 means one tenth, so derivatives stay exact; the label keeps it as typed.
                return _short(sp.Rational(repr(number))) if self.evaluate else sp.Float(repr(number))
            case ast.Name(id=name):
                return CONSTANTS[name] if name in CONSTANTS else _symbol(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self.build(operand, nesting + 1)
                return -value if value.is_Number else self.make(sp.Mul, sp.Integer(-1), value)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.build(operand, nesting + 1)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self.make(sp.Add, self.build(left, nesting), self.build(right, nesting))
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self.make(
                    sp.Add, self.build(left, nesting), self.make(sp.Mul, sp.Integer(-1), self.build(right, nesting))
                )
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self.make(sp.Mul, self.build(left, nesting), self.build(right, nesting))
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                divisor = self.build(right, nesting + 1)
                if self.evaluate and divisor == 0:
                    raise SurfaceError(f"the expression {shown(self.text)} divides by 0; mend the divisor")
                quotient, dividend = self.make(sp.Pow, divisor, sp.Integer(-1)), self.build(left, nesting)
                return quotient if dividend == 1 else self.make(sp.Mul, dividend, quotient)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return self.power(self.build(left, nesting + 1), self.build(right, nesting + 1))
            case ast.Call(func=ast.Name(id=name), args=[argument]):
                return self.function(name, self.build(argument, nesting + 1))
        raise SurfaceError(f"cannot read the expression {shown(self.text)}; write one like x^2 + 50y^2")

    def make(self, operation: Any, left: Any, right: Any) -> Any:
        if not self.evaluate and operation is not sp.Pow and isinstance(left, operation):
            return operation(*left.args, right, evaluate=False)  # a sum is as wide as it is long, not as deep
        made = operation(left, right, evaluate=self.evaluate)
        return _short(made) if self.evaluate and made.is_Rational else made

    def power(self, base: Any, exponent: Any) -> Any:
        if not self.evaluate:
            return sp.Pow(base, exponent, evaluate=False)
        if base.free_symbols or exponent.free_symbols:
            return raised(base, exponent)
        if exponent.is_Integer and abs(exponent) <= 64 and (base in (sp.pi, sp.E) or base.is_Rational):
            return self.make(sp.Pow, base, exponent)
        return self.number(lambda: math.pow(float(base), float(exponent)))

    def function(self, name: str, argument: Any) -> Any:
        known = FUNCTIONS[name]
        if not self.evaluate:
            return known.label(argument, evaluate=False)
        # A constant is computed here, as a float: SymPy would look for a closed form, at any cost.
        return (
            known.symbolic(argument) if argument.free_symbols else self.number(lambda: known.numeric(float(argument)))
        )

    def number(self, compute: Callable[[], float]) -> Any:
        try:
            value = compute()
        except (OverflowError, ZeroDivisionError):
            raise self.too_large() from None
        except (ValueError, TypeError):
            raise SurfaceError(f"a constant in {shown(self.text)} is undefined, such as log(-1); mend it") from None
        if not math.isfinite(value):
            raise self.too_large()
        return sp.Integer(value) if value.is_integer() and abs(value) < 2**53 else sp.Float(value)

    def too_large(self) -> SurfaceError:
        return SurfaceError(f"a number in {shown(self.text)} is too large; it must stay below 1e300")
