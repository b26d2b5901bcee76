"""Typed expressions: friendly mathematics means what it says, anything else is refused quickly, nothing is executed."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from drawn import answer, seeded
from ravine.errors import RavineError
from ravine.surfaces import Surface, surface
from ravine.surfaces.parse import FUNCTIONS, MAX_TOKENS

MATHS = {name: getattr(math, name) for name in (*FUNCTIONS, "pi", "e") if name != "abs"} | {"abs": abs}
POINTS = [(0.7312, 1.2345), (1.9131, 0.4171), (0.2523, 2.8017)]


class Late(BaseException):
    """Ends a computation, past everything that catches exceptions."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail where the block takes more processor time than this, and end it there."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Late

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    over = False
    try:
        yield
    except Late:
        over = True  # fail below: a report of frames inside SymPy would print huge expressions
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert not over, f"took more than {seconds} seconds"


def used(text: str) -> Surface | str:
    """Read a surface and ask for all its derivatives; return the message where that is refused."""

    def everything(text: str) -> Surface:
        made = surface(text)
        point = np.full(made.dim, 0.7) + np.arange(made.dim) / 100
        for place in (point, -point, 0 * point):
            assert isinstance(made.value(place), float)
            assert made.gradient(place).dtype == made.hessian(place).dtype == np.float64
        return made

    try:
        return answer(everything, text)
    except Exception as error:  # not `from error`: a report of frames inside SymPy would print huge expressions
        raise AssertionError(f"{type(error).__name__} for {ascii(text)[:200]}") from None


@pytest.mark.parametrize(
    ("text", "python", "rtol"),
    [
        ("x^2 + 50y^2", "x**2 + 50*y**2", 1e-15), ("x**2+y", "x**2 + y", 1e-15), ("2x(y+1)", "2*x*(y+1)", 1e-15),
        ("(x+1)(y-2)", "(x+1)*(y-2)", 1e-15), ("3(x)2y", "3*x*2*y", 1e-15), ("xy", "x*y", 1e-15),
        ("-x^2 + y", "-(x**2) + y", 1e-15), ("2^-x y", "2**-x * y", 1e-15), ("x^y^0.5", "x**(y**0.5)", 1e-14),
        ("x - y - 1", "(x - y) - 1", 1e-15), ("x/y/2", "x/y/2", 1e-15), ("x/2y", "x/2*y", 1e-15), ("x--y", "x+y", 1e-15),
        ("x²+3·y³", "x**2+3*y**3", 1e-15), ("x²³ + y", "x**23 + y", 1e-14), ("x − 2×y ÷ 3", "x - 2*y/3", 1e-15),
        ("√(x)y", "math.sqrt(x)*y", 1e-15), ("2πx + y", "2*math.pi*x + y", 1e-15), ("ｘ＾２＋ｙ", "x**2+y", 1e-15),
        ("2ex + y", "2*math.e*x + y", 1e-15), ("2e-3x + y", "2e-3*x + y", 1e-15), ("1e5x + .5y", "1e5*x + .5*y", 1e-15),
        ("E^x + PI*y", "math.e**x + math.pi*y", 1e-14), ("ln(x) + arctan(y)", "math.log(x) + math.atan(y)", 1e-14),
        ("SIN(x)^2 cos(y)", "math.sin(x)**2*math.cos(y)", 1e-14), ("abs(x-2y)", "abs(x-2*y)", 1e-15),
        ("sin(1e22)x + y", "math.sin(1e22)*x + y", 1e-15), ("sin(10^30 pi)x + y", "math.sin(10**30*math.pi)*x + y", 1e-15),
        ("abs(sin(exp(30)))x + y", "abs(math.sin(math.exp(30)))*x + y", 1e-15), ("2^(1/3)x + y", "2**(1/3)*x + y", 1e-15),
        ("\n x\t+\u00a0y \r\n", "x + y", 1e-15),
    ],
)  # fmt: skip
def test_friendly(text: str, python: str, rtol: float) -> None:
    """What people write for a formula has the value that Python gives for the formula they mean."""
    made = surface(text)
    for x, y in POINTS:
        assert made.value([x, y]) == pytest.approx(eval(python, {"x": x, "y": y, "math": math}), rel=rtol, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("z + a", "a z"), ("x10 + x2 + x1", "x1 x2 x10"), ("w_2 w_1", "w1 w2"), ("x_1 + x01", "x1"), ("theta - x", "theta x"),
        ("I + S + N + E", "I N S"), ("x - x", "x"),
    ],
)  # fmt: skip
def test_variables(text: str, variables: str) -> None:
    """Variables stand in alphabetical order, numbered ones by number, and one that cancels stays a coordinate."""
    assert surface(text).variables == tuple(variables.split())


WORDS = r"""
5 pi ( ) x) (x x^ ^x x^^2 x***2 x//2 x+ *x ..x 1..2x
x=1 x==1 x:=1 x<1 x|y x&y x%y x@y x! ~x x;y x,y x#1 x' "x" x` x\y
lambda True None print nan inf+x oo zoo
"""
REFUSED = [
    *("", " ", "2 3x", "lambda x: x", "x if x else y", "not x", "x and y"),
    *WORDS.split(),
    *("x.real", "x.__class__", "().__class__", "x[0]", "{x}", "[x]", "sin", "sin x", "sin()", "sin(*x)", "sin(x=1)"),
    *("foo(x)", "eval(x)", "abc", "x_", "_x", "x__1", "x1000", "sin2(x)", "log10(x)", "|x|", "1_0x", "0777x"),
    *("x\0", "\0", "\ud800", "x+\udfff", "\u202ex", "x\u0301", "x\u200b", "\ufeffx", "α+β", "∞x", "Ⅷ"),
    *("١x", "x+١", "x^²", "௧x", "x₊"),
    *("1/0x", "x/(1-1)", "1/(x-x)", "log(0)x", "log(-1)x", "acos(1.5)x", "(-8)^(1/3)x"),
    *("9**9**9**9", "x+9^9^9", "2^2^2^2^2x", "exp(710)x", "exp(exp(exp(9)))x", "1e400x", "x^1e400", "1e300*1e300x"),
    *("9" * 31 + "x", "x" * 2001, "x+" * MAX_TOKENS + "x", "(" * 41 + "x" + ")" * 41, "-" * 300 + "x", "1" * 2000),
    *("sin(" * 30 + "x" + ")" * 30, "x^" * 30 + "x", "+".join(f"x{i}" for i in range(21)), " " * 10**6, "(" * 10**6),
]


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: ascii(text)[:40])
def test_refused(text: str) -> None:
    """Text that is no expression is refused at once, with one printable line."""
    with at_most(0.5), pytest.raises(RavineError) as caught:
        surface(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


CODE = [
    "open('{0}','w')",
    "exec(\"open('{0}','w')\")",
    "x+[open('{0}','w')][0]",
    "__import__('os').system('touch {0}')",
]


@pytest.mark.parametrize("form", ["{}", "x*{}", "spectrum({})", "spectrum(1,seed={})", "sphere({})"])
@pytest.mark.parametrize("code", CODE)
def test_nothing_runs(code: str, form: str, tmp_path: Path) -> None:
    """Code that somebody types is refused and leaves nothing behind."""
    with pytest.raises(RavineError):
        surface(form.format(code.format(tmp_path / "made")))
    assert not list(tmp_path.iterdir())


LETTERS = "abcdfghijklmnopqrstuvw"
LARGE = {
    "nested sine": "sin(" * 15 + "x*y+z" + ")" * 15,
    "nested arcsine": "asin(" * 15 + "x*y+z" + ")" * 15,
    "nested hyperbolic tangent": "tanh(" * 15 + "x*y+z" + ")" * 15,
    "nested absolute values": "abs(x-" * 14 + "y" + ")" * 14,
    "nested roots": "sqrt(x*" * 14 + "y" + ")" * 14,
    "nested quotients": "1/(x+" * 15 + "y" + ")" * 15,
    "power of power": "(" * 15 + "x+y+z+w" + ")^1.1" * 15,
    "power of product": "(" * 15 + "x*y*z" + ")^1.3" * 15,
    "tower": "^".join(["x", "y"] * 7),
    "product of powers": "*".join(f"{a}^{b}" for a in LETTERS[:10] for b in LETTERS[10:20]),
    "product of absolute values": "".join(f"abs({LETTERS[i % 20]}+{i})" for i in range(66)),
    "product of sines": "".join(f"sin({i}x+y)" for i in range(1, 50)),
    "product of fractions": "*".join(f"(x+1/{10**29 + 7 * i + 1})" for i in range(30)),
    "roots of large numbers": "*".join(f"sqrt({'7' * 28}{i}x)" for i in range(10, 50)),
    "sum in 20 variables": "+".join(f"sin({a}*{b})" for a in LETTERS[:7] for b in LETTERS[7:14]),
    "many terms": "x+" * 199 + "x",
    "many minuses": "x" + "-x" * 190,
    "many quotients": "x" + "/x" * 190,
    "large power": "x^" + "9" * 30,
    "large angle": "sin(10^30 pi x)",
    "absolute value of a constant near 0": "abs(x*(sqrt(2)*sqrt(3)-sqrt(6)))",
    "ackley(20)": "ackley(20)",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE.keys())
def test_quick(text: str) -> None:
    """The largest texts are refused or read, differentiated once and twice within two seconds, in one sentence."""
    with at_most(2):
        found = used(text)
    assert isinstance(found, Surface) or found.isprintable()


UNREAL = [
    "(-1)^x",
    "(-2)^x",
    "abs((-2)^x)",
    "abs(sqrt(-x^2))",
    "abs(log(-x^2))",
    "abs(acos(2+x^2))",
    "abs(asin(-2-x^2))",
]


@pytest.mark.parametrize("text", UNREAL)
def test_unreal(text: str) -> None:
    """Where a formula has no real value it is refused or not a number, also where an absolute value hides it."""
    found = used(text)
    assert isinstance(found, str) or np.isnan(found.value([0.7]))


@pytest.mark.parametrize(
    ("text", "slope", "second"),
    [
        ("abs(x^3)", "3*x**2", "6*x"), ("abs(1/x)", "-1/x**2", "2/x**3"),
        ("abs(sqrt(x))", "0.5*x**-0.5", "-0.25*x**-1.5"), ("abs(log(x))", "-1/x", "1/x**2"),
        ("abs(log(x))^3", "-3*math.log(x)**2/x", "-6*math.log(x)/x**2 + 3*math.log(x)**2/x**2"),
        ("abs(asin(x))", "(1-x*x)**-0.5", "x*(1-x*x)**-1.5"),
        ("abs(x^x)", "x**x*(math.log(x)+1)", "x**x*(math.log(x)+1)**2 + x**(x-1)"), ("abs(x)*x", "2*x", "2"),
    ],
)  # fmt: skip
def test_absolute(text: str, slope: str, second: str) -> None:
    """An absolute value is differentiated once and twice whatever real function stands in it."""
    made, x = surface(text), 0.7
    assert made.gradient([x])[0] == pytest.approx(eval(slope), rel=1e-12)
    assert made.hessian([x])[0, 0] == pytest.approx(eval(second), rel=1e-12)


SIGNS = [*"xyz()()+-*/^^23", "x1", "0.5", "-1", "(x+y)", "1e300", "pi", "e", "**", "²", "x.y", "[", "'", "١", "_", " "]
SOUP = st.lists(st.sampled_from([*SIGNS, *(f"{name}(" for name in FUNCTIONS)]), max_size=14).map("".join)


def grown(part: st.SearchStrategy[str], one: str, two: str) -> st.SearchStrategy[str]:
    """Grow an expression out of smaller ones, by forms with one blank and forms with two."""
    single = st.tuples(st.sampled_from(one.split()), part).map(lambda drawn: drawn[0].format(drawn[1]))
    return single | st.tuples(st.sampled_from(two.split()), part, part).map(lambda drawn: drawn[0].format(*drawn[1:]))


ONE = "({0})^2 ({0})^3 -({0}) sin({0}) cos({0}) tanh({0}) atan({0}) exp(sin({0})) abs({0}) tan(sin({0}))"
SAFE = " log(1+({0})^2) sqrt(2+sin({0})) asin(sin({0})/2) acos(cos({0})/2) sinh(sin({0})) cosh(cos({0})) 2^sin({0})"
TWO = "({0})+({1}) ({0})-({1}) ({0})*({1}) ({0})({1}) ({0})/(1+({1})^2) (1+({0})^2)^sin({1})"
LEAVES = st.sampled_from(["x", "y", "0.5", "3", "2x", "pi", "e"])
EXPRESSIONS = st.recursive(LEAVES, lambda part: grown(part, ONE + SAFE, TWO), max_leaves=5)
UNSAFE = " ".join(f"{name}({{0}})" for name in FUNCTIONS)
WILD = st.recursive(LEAVES, lambda part: grown(part, UNSAFE, "{0}^{1} {0}/({1})"), max_leaves=4)


@settings(seeded, max_examples=250)
@given(st.text(max_size=60) | SOUP | WILD)
def test_any_text(text: str) -> None:
    """Whatever is typed is read and differentiated, or refused with a RavineError in one printable line."""
    with at_most(2):
        found = used(text)
    assert isinstance(found, Surface) or found.isprintable()


def python(text: str, x: float, y: float) -> float:
    """Evaluate an expression as Python does."""
    return float(eval(text.replace("^", "**").replace(")(", ")*(").replace("2x", "2*x"), {**MATHS, "x": x, "y": y}))


@seeded
@given(EXPRESSIONS, st.sampled_from(POINTS))
def test_value(text: str, point: tuple[float, float]) -> None:
    """A random expression has the value that Python's math gives, to 1e-9."""
    value = python(text, *point)
    assume(abs(value) < 1e9)
    assume(python(text, *(x * (1 + 1e-13) for x in point)) == pytest.approx(value, rel=1e-10))  # not chaotic there
    assert surface(f"{text} + 0x + 0y").value(point) == pytest.approx(value, rel=1e-9, abs=1e-12)


@seeded
@given(EXPRESSIONS, st.sampled_from(POINTS))
def test_gradient(text: str, point: tuple[float, float]) -> None:
    """A random expression has the gradient that centred differences of Python's values show."""

    def difference(i: int, h: float) -> float:
        ahead, behind = ([x + sign * h * (i == k) for k, x in enumerate(point)] for sign in (1, -1))
        return (python(text, *ahead) - python(text, *behind)) / (2 * h)

    fine, coarse = ([difference(i, h) for i in range(2)] for h in (1e-5, 2e-5))
    assume(abs(python(text, *point)) < 1e4)
    assume(fine == pytest.approx(coarse, rel=1e-6, abs=1e-6))  # smooth there
    assert surface(f"{text} + 0x + 0y").gradient(point) == pytest.approx(np.array(fine), rel=1e-5, abs=1e-5)
