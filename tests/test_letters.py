"""Formulas as text say what the rows compute."""

import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drawn import seeded
from exact import F
from ravine.letters import Letter, formulas, rules_markdown, schedules_markdown
from ravine.rules import RULES, Row
from ravine.rules import sqrt as root
from ravine.schedules import SCHEDULES


def read(text: str, **values: Fraction) -> Any:
    """Compute a formula as a reader of mathematics would, in exact fractions."""
    python = text.replace("·", "*").replace("²", "**2")
    python = re.sub(r"√(\([^()]*\)|\w+)", r"root(\1)", python)
    python = re.sub(r"\b(\d+)\b(?<!\*\*2)", r"F(\1)", python)
    return eval(python, {"root": root, "F": F}, values)


@pytest.mark.parametrize("name", RULES)
def test_formulas_are_the_row(name: str) -> None:
    """Each formula of a rule, read as mathematics, gives the number that its row computes."""
    values = {"lr": F(1, 7), "mu": F(3, 5), "tau": F(1, 4), "nu": F(2, 9), "L": F(25), "m": F(4)}
    settings = {k: values[k] for k in RULES[name].parameters}
    assert [read(text, **settings) for text in formulas(RULES[name])] == list(RULES[name].row(**settings))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sgd", Row("0", "1", "-lr", "0", "0")),
        ("classical", Row("mu", "-lr", "1", "0", "0")),
        ("heavyball", Row("mu", "1-tau", "-lr", "0", "0")),
        ("nag", Row("mu", "-lr", "1", "0", "mu")),
        ("nesterov", Row("mu", "1", "-lr·mu", "-lr", "0")),
        ("keras_nesterov", Row("mu", "-lr", "mu", "-lr", "0")),
        ("ema", Row("mu", "1-mu", "-lr", "0", "0")),
        ("qhm", Row("mu", "1-mu", "-lr·nu", "-lr·(1-nu)", "0")),
    ],
)
def test_formulas_as_printed(name: str, expected: Row) -> None:
    """The formulas of the table are those of the sources, letter for letter."""
    assert formulas(RULES[name]) == expected


class Pair:
    """Hold a letter and the number it stands for, and compute with both."""

    def __init__(self, letter: Letter, number: Fraction) -> None:
        self.letter, self.number = letter, number


VALUES = {"a": F(2, 3), "b": F(5), "c": F(-7, 4)}
atoms = st.sampled_from([Pair(Letter(text), number) for text, number in (VALUES | {"1": F(1), "3": F(3)}).items()])


def combine(parts: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    """Draw a sum, a difference, a product, a quotient or a negative of smaller formulas."""

    def make(op: str, one: Pair, other: Pair) -> Pair:
        p, q, x, y = one.letter, other.letter, one.number, other.number
        if op == "-":
            return Pair(p - q, x - y)
        if op == "+":
            return Pair(p + q, x + y)
        if op == "*":
            return Pair(p * q, x * y)
        if op == "neg":
            return Pair(-p, -x)
        assume(y != 0)
        return Pair(p / q, x / y)

    return st.builds(make, st.sampled_from(["+", "-", "*", "/", "neg"]), parts, parts)


@seeded
@given(st.recursive(atoms, combine, max_leaves=8))
def test_brackets(pair: Pair) -> None:
    """However letters are combined, the text has the brackets it needs to mean the same number."""
    assert read(pair.letter.text, **VALUES) == pair.number


def test_numbers_on_the_left() -> None:
    """Plain numbers mix with letters from either side, and only the brackets that are needed are written."""
    a = Letter("a")
    assert (1 - a).text == "1-a"
    assert (2 + a).text == "2+a"
    assert ((1 - a) * 2).text == "(1-a)·2"
    assert (2 * (1 - a) ** 2).text == "2·(1-a)²"
    assert (a / (1 + a) - a * 3).text == "a/(1+a)-a·3"
    assert root(a / 4).text == "√(a/4)"


def test_tables_are_whole() -> None:
    """The tables name every rule with its source and every schedule with its usage, all lines of one width."""
    lines = rules_markdown().splitlines()
    assert len(lines) == len(RULES) + 2
    assert {line.count("|") for line in lines} == {10}
    for rule, line in zip(RULES.values(), lines[2:], strict=True):
        assert line.startswith(f"| `{rule.name}` | {', '.join(rule.parameters)} |")
        assert line.endswith(f"{rule.source} |")
    lines = schedules_markdown().splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == [kind.usage for kind in SCHEDULES.values()]
    assert {line.count("|") for line in lines} == {3}
