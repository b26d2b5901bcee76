"""Python as JavaScript: what is translated does the same, number formats included, and what is not known is refused."""

import importlib.util
import math
import random
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from javascript import run_js
from ravine.browser.translate import Program, literal
from ravine.errors import PageError
from ravine.prediction import Limit

RUNTIME = files("ravine.browser").joinpath("js", "runtime.js").read_text(encoding="utf-8")
SIZES = {"small": 1.0, "large": math.inf}


class Pair(NamedTuple):
    one: float
    two: float


# Programs, which run here and there ------------------------------------------------------------------------------------


def choices(x: Sequence[float]) -> list[float]:
    most = max(x, key=lambda each: abs(each))
    return [
        min(x),
        max(x),
        most,
        min((each for each in x if each > 1e9), default=-1.0),
        max(x[0], 0.5),
        min(x[0], x[-1]),
    ]


def orders(x: Sequence[float]) -> list[float]:
    finite = [each for each in x if not math.isnan(each)]
    return [*sorted(finite), *sorted(finite, key=lambda each: -abs(each)), *sorted(set(finite))]


def truths(x: Sequence[float]) -> list[bool]:
    first, some = x[0], x[1:]
    text = "a" if first > 0 else ""
    return [
        bool(first),
        not first,
        bool(some),
        bool(text),
        0 <= first < 1,
        any(each > 0 for each in x),
        all(bool(each) for each in x),
    ]


def values(x: Sequence[float]) -> list[Any]:
    first = x[0]
    none = None if first > 0 else first
    return [
        first or 2.0,
        first and 3.0,
        none is None,
        none is not None,
        "a" if first else "b",
        x == x[0:],
        x[0:1] == x,
        first in x,
    ]


def loops(x: Sequence[float]) -> list[float]:
    found: list[float] = []
    total, rest = 0.0, 3
    for i in range(len(x)):
        if x[i] > 0:
            found.append(x[i] * 2)
        elif x[i] < -1:
            found.append(-x[i])
        else:
            found.append(0.0)
        total += found[i]
    while rest > 0:
        rest = rest - 1
        total = total / 2
    return [total, *found, *(a - b for a, b in zip(found, x, strict=True)), sum(x[0:2]), rest]


def records(x: Sequence[float]) -> list[Any]:
    pair = Pair(x[0], 1.0)
    one, two = pair
    limit = Limit(lr=one, h=two, mu=None)
    more = {"b": two}
    known = {"a": one, **more}
    told = {key: value + 1 for key, value in known.items()}
    return [
        limit.lr,
        limit.mu,
        known["b"],
        known.get("c"),
        known.get("c", 7.0),
        "a" in known,
        "c" in known,
        told["a"],
        SIZES["large"],
    ]


def texts(x: Sequence[float]) -> str:
    digits = 3
    parts = [f"{each:.4g}" for each in x]
    return (
        ", ".join(parts)
        + f"; {x[0]:.{digits}g} {x[0]:.0f} {x[0]:g} {'+' if x[0] > 0 else '-'}"
        + "{a:.3g}{b}".format(a=x[0], b="!")
    )


def numbers(x: Sequence[float]) -> list[float]:
    first, last = abs(x[0]), x[-1]
    chosen = [float(np.where(first > 1, first, -first)), float(np.maximum(first, 2.0)), float(np.sign(last))]
    return [math.sqrt(first), math.copysign(2.0, last), math.inf, -math.pi, float("inf"), last, *chosen]


def calling(x: Sequence[float]) -> list[float]:
    return [*(halved(abs(each), 5) for each in x), *[halved(abs(each), times=3) for each in x if each > 0]]


def halved(x: float, times: int = 1, by: float = 2.0) -> float:
    return x if times == 0 or not x > 0 else halved(x / by, times - 1)


def made(*functions: Callable[..., Any]) -> tuple[str, list[str]]:
    program = Program({}, {}, (), (Limit,))
    names = [program.function(function) for function in functions]
    return f"{RUNTIME}\n{program.text()}\n", names


PROGRAMS = (choices, orders, truths, values, loops, records, texts, numbers, calling)


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_a_translated_program_does_the_same(function: Callable[..., Any]) -> None:
    """On lists of floats, NaN, infinities and both zeros among them, JavaScript returns what Python does."""
    drawn = random.Random(3)
    odd = [0.0, -0.0, math.nan, math.inf, -math.inf, 1.0, -1.0, 1e300, 5e-324, 0.5]
    lists = [[drawn.choice([*odd, drawn.gauss(0, 10)]) for _ in range(drawn.randint(2, 6))] for _ in range(400)]
    if function in (numbers, values):  # in Python alone NaN has a sign, and is in lists that hold the same one
        lists = [x for x in lists if not any(map(math.isnan, x))]
    text, (name,) = made(function)
    found = run_js(f"{text}\nreturn data.map((x) => {name}(x));", lists)
    for x, each in zip(lists, found, strict=True):
        assert repr(as_floats(each)) == repr(as_floats(function(x))), x


def as_floats(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [as_floats(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


# Formats ---------------------------------------------------------------------------------------------------------------

TIES = st.builds(lambda n, k: (2 * n + 1) / 2**k, st.integers(-(2**40), 2**40), st.integers(0, 40))
NINES = st.builds(
    lambda n, k: float(f"{n}e{k}"), st.sampled_from([9, 99, 9995, 99995, 999999, 1, 15, 25]), st.integers(-30, 30)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.one_of(st.floats(), TIES, NINES), st.integers(0, 20), st.sampled_from("gf")), min_size=60))
def test_numbers_are_written_as_python_writes_them(cases: list[tuple[float, int, str]]) -> None:
    """Any float, in `g` and `f` with any number of digits, ties, infinities and -0 among them, is the same text."""
    script = RUNTIME + "return data.map(([x, n, kind]) => [py.format(x, `.${n}${kind}`), py.format(x, kind)]);"
    for (x, n, kind), found in zip(cases, run_js(script, cases), strict=True):
        assert found == [f"{x:.{n}{kind}}", f"{x:{kind}}"]


def test_what_python_refuses_is_thrown() -> None:
    """What raises in Python throws in JavaScript: nothing becomes NaN, undefined or a text in silence."""
    calls = [
        "py.over(1, 0)", "py.sqrt(-1)", "py.log(0)", "py.number('1')", "py.number(undefined)", "py.number(null)",
        "py.text(1)", "py.item([1], 1)", "py.item([1], -2)", "py.item({}, 'a')", "py.field({}, 'a')",
        "py.field([], 'length')", "py.greatest([])", "py.unpack([1], [0, 0])", "py.unpack([1, 2, 3], [0, 0])",
        "py.zip([1], [1, 2])", "py.format(1, '.3e')", "py.format(1, '')", "py.format('a', 'g')", "py.format(1.5, 'd')",
        "py.sorted([NaN, 1])", "py.join('', [1])", "py.fill('{a}', {})", "py.truth({})", "py.truth(undefined)",
        "py.same(true, 1)", "py.same(undefined, 1)", "py.list('ab')", "py.list({})", "py.contains('ab', 'a')",
        "py.item({a: 1}, 'toString')", "py.get([], 'a')", "py.sum(['a'])", "py.same([NaN], [NaN])",
    ]  # fmt: skip
    tried = "try { return String(call()); } catch (error) { return null; }"
    found = run_js(f"{RUNTIME}\nreturn [{', '.join(f'() => {call}' for call in calls)}].map((call) => {{ {tried} }});")
    assert [call for call, each in zip(calls, found, strict=True) if each is not None] == []


# What is refused -------------------------------------------------------------------------------------------------------

HEAD = """
import math
import os
import numpy as np
from dataclasses import replace
from typing import Any
from ravine.prediction import Limit
from ravine.rules import Row

TABLE = {"a": 1.0}

def other(x: float, *rest: float) -> float:
    return x

def plain(x: float, y: float = 1.0) -> float:
    return x

class Mine:
    x = 1.0

"""

REFUSED = r"""
    return x ** 2 | return x // 2 | return x % 2 | return +x | return ~x | return x @ x | return x << 1 | return a + b |
    return [1.0] + [x] | return [x] * 3 | return 'a' * 3 | return -'a' | return x + 'a' | return 'a' < 'b' |
    return x is x | return x is True | return (y := x) < math.sin(y) < 2 | return max(x) < plain(x) < 2 |
    return [y for y in a for z in b] | return {y for y in a} | return {1.0, 2.0} | return a[::2] | return a[:2] |
    return a.pop() | return a.keys() | return a.sort() | a.sort(); return a | return a.x | return Mine().x |
    return x.real | return int(x) | return round(x) | return str(x) | return print(x) | return isinstance(x, float) |
    return type(x) | return getattr(a, 'b') | return eval('1') | return open('a') | return os.getcwd() |
    return math.hypot(x, x) | return math.gamma(x) | return np.sum(a) | return np.array(a) | return sum(a, 1.0) |
    return max(a, strict=True) | return sorted(a, reverse=True) | return zip(a, b) | return zip(a, b, strict=False) |
    return list(map(plain, a)) | return enumerate(a) | return range(1, 5) | return any(a) | return all(a) |
    return float('1.5x') | return float(x, x) | return other(x) | return plain(x, z=1.0) | return plain(*a, y=1.0) |
    return undefined_name | return plain | return math | return Row(1, 2) |
    return Row(keep=1, take=2, move=3, kick=4, look=5) | return Limit(1.0) | return Limit(*a) | return Mine() |
    return replace(a, nothing=1.0) | return lambda *y: y | return lambda y=1: y | return f'{x!r}' | return '%s' % x |
    return '{}'.format(x) | return x if a else yield_ | return await_(x) | x += a; return x | a[0] = x; return a |
    a.b = x; return a | x, *y = a; return x | x = y = 1.0; return x | del x; return 1.0 | global TABLE; return x |
    assert x; return x | raise ValueError(x) | import math; return x | pass; return x | yield x | return (yield x) |
    new = x; return new | let = x; return let | py = x; return py | return [Math for Math in a] | return 2**60 + x |
    return [(y := z) for z in a] | return 1j * x | return b'a' | return ... | return x if x else {**a, 1: x} |
    return not_here.x
"""
LONGER = [
    "try:\n        return x\n    except ValueError:\n        return 1.0",
    "with open(a) as y:\n        return y",
    "for y in a:\n        break\n    return x",
    "for y in a:\n        x = y\n    else:\n        x = 1.0\n    return x",
    "while x > 0:\n        x = x - 1\n    else:\n        x = 1.0\n    return x",
    "def inner(y):\n        return y\n    return inner(x)",
    "class Inner:\n        pass\n    return x",
    "match x:\n        case _:\n            return x",
]


def module_of(text: str, folder: Path) -> ModuleType:
    file = folder / "refused.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("refused", file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    """Each of these is Python that is not translated exactly, and none of it is translated at all."""
    bodies = [*(body.strip() for body in REFUSED.split(" |")), *LONGER]
    heads = [f"def f{i}(x: float, a: Any, b: Any) -> Any:\n    {body}\n" for i, body in enumerate(bodies)]
    found = module_of(HEAD + "\n".join(heads), tmp_path)
    for i, body in enumerate(bodies):
        with pytest.raises(PageError, match="cannot translate"):
            raise AssertionError(body, Program({}, {}, (), (Limit,)).function(getattr(found, f"f{i}")))
    assert len(bodies) > 100


@pytest.mark.parametrize("head", ["*x: float", "x: float, *, y: float", "x: float, /", "**x: float"])
def test_strange_parameters_are_refused(head: str, tmp_path: Path) -> None:
    """Only plain parameters, with or without a default, are known."""
    found = module_of(f"def f({head}) -> float:\n    return 1.0\n", tmp_path)
    with pytest.raises(PageError, match="only plain parameters"):
        Program({}, {}, (), ()).function(found.f)


def test_decorated_and_built_in_functions_are_refused(tmp_path: Path) -> None:
    """What a decorator makes of a function is not known, nor what is not written in Python."""
    found = module_of("from functools import wraps\n@wraps(len)\ndef f(x: float) -> float:\n    return x\n", tmp_path)
    with pytest.raises(PageError, match="only plain functions"):
        Program({}, {}, (), ()).function(found.f)


def test_two_things_of_one_name_are_refused(tmp_path: Path) -> None:
    """Functions of the same name in modules of the same name do not replace each other."""
    program = Program({}, {}, (), ())
    one = module_of("def f(x: float) -> float:\n    return x\n", tmp_path)
    program.function(one.f)
    (tmp_path / "two").mkdir()
    with pytest.raises(PageError, match="two things have that name"):
        program.function(module_of("def f(x: float) -> float:\n    return -x\n", tmp_path / "two").f)


def test_constants_that_json_has_not_are_refused() -> None:
    """A set, an object, a key that is no text, and a whole number that no float holds are no constants."""
    for value in ({1.0}, object(), {1: 2.0}, 2**60, {"__proto__": 1.0}, b"a", 1j):
        with pytest.raises(PageError, match="constant"):
            literal(value)
