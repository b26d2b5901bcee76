"""Conversions: every pair of rules, by the points at which they ask; schedules, sizes of errors, refusals."""

import json
import re
from fractions import Fraction
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from conversions import NAMES, apart, asked, drawn, stacked
from drawn import answer, seeded
from drawn import methods as methods_of_any_kind
from exact import F, quartic, vector, walk
from ravine.algebra import response
from ravine.charts import CHARTS, EVERY
from ravine.convert import convert
from ravine.errors import ConvertError
from ravine.rules import RULES, Method, Row, parse

# What the pairs are, row to column: + always; ? for some settings; . for special settings alone, those that come from
# there (qhm with nu = 1 is ema); - never, but for gradient descent in disguise.
PAIRS = """
    sgd             + + + + + + + + + + + - +
    classical       . + + - - - + + - + - + -
    heavyball       . + + - - - + + - + - + -
    nag             . - - + + + - + - + + + +
    nesterov        . - - + + + - + - + + + +
    keras_nesterov  . - - + + + - + - + + + +
    ema             . + + - - - + + - + - + -
    qhm             . . . . . . . + . + ? + +
    triple          . - - - - - - + + + + + +
    snv             . . . . . . . + . + ? + ?
    robust          . - - . . . - + . + + + +
    pid             - . . . . . . + . + ? + ?
    accsgd          . - - . . . - + . + ? + +
"""
TABLE = {line.split()[0]: dict(zip(NAMES, line.split()[1:], strict=True)) for line in PAIRS.strip().splitlines()}
ROUNDING = 1e-12  # of the largest coordinate, after fifty steps


def methods(source: str, target: str, count: int) -> list[Method]:
    """Draw methods of the source that have an equal in the target: any, or such as come from there."""
    rng = np.random.default_rng([NAMES.index(source), NAMES.index(target)])
    if TABLE[source][target] == "+":
        return [drawn(source, rng) for _ in range(count)]
    return [convert(drawn(target, rng), source).target for _ in range(count)]


def rows_of(made: list[Method]) -> Any:
    """Return what steps these methods at once."""
    rows = stacked([method.row() for method in made])
    return lambda t: rows


BRIEF, FULL = 20, 200  # settings a pair with a chart, unless `make slow`; and a pair of rules of the table, always


# Every pair, at constant settings --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "charts"),
    [(s, BRIEF) for s in NAMES] + [pytest.param(s, FULL, marks=pytest.mark.slow) for s in NAMES],
)
def test_every_pair_asks_for_the_same_gradients(source: str, charts: int) -> None:
    """200 random settings a pair, 50 steps: the points are equal, and a run that is converted midway goes on exactly.

    A pair with a chart has 200 in `make slow` alone.
    """
    for target in NAMES:
        if TABLE[source][target] == "-":
            continue
        count = FULL if {source, target} <= set(RULES) else charts
        made = methods(source, target, count if TABLE[source][target] == "+" else max(count // 4, 10))
        found = [convert(method, target) for method in made]
        assert all(each.exact and each.error is None for each in found)
        points, states = asked(rows_of(made), len(made))
        ours = rows_of([each.target for each in found])
        assert apart(points, asked(ours, len(made))[0]) < ROUNDING, target
        x, v = states[20]
        scale, shift = (np.array([getattr(each, name) for each in found]) for name in ("scale", "shift"))
        later, _ = asked(ours, len(made), 30, (x + shift * v, scale * v))
        assert apart(points[20:], later) < ROUNDING, target


@pytest.mark.parametrize("source", NAMES)
def test_what_has_no_equal_is_refused(source: str) -> None:
    """For every pair that has none in general, random settings are refused in one sentence with the reason."""
    rng = np.random.default_rng(NAMES.index(source))
    for target in NAMES:
        if TABLE[source][target] in "-.":
            for _ in range(10):
                method = drawn(source, rng)
                with pytest.raises(ConvertError, match="has no equal in") as caught:
                    convert(method, target)
                assert "\n" not in str(caught.value)
                assert str(method) in str(caught.value)


def test_the_table_of_pairs_holds_every_rule() -> None:
    """The pairs above are those of the table of rules and the charts, all of them."""
    assert set(TABLE) == set(NAMES) == {*RULES, *CHARTS}


@pytest.mark.parametrize("target", NAMES)
def test_round_trips(target: str) -> None:
    """There and back again the settings are those at the beginning, unless a pole cancels."""
    rng = np.random.default_rng(3)
    for source in NAMES:
        if source in ("sgd", "heavyball") or TABLE[source][target] != "+" or TABLE[target][source] == "-":
            continue
        for _ in range(10):
            method = drawn(source, rng)
            there = convert(method, target)
            back = convert(there.target, source)
            expected = dict(method.settings)
            assert dict(back.target.settings) == pytest.approx(expected, rel=1e-8), (source, target)
            assert float(back.scale * there.scale) == pytest.approx(1, rel=1e-8)  # type: ignore[operator]
            x, v = there.state(1.5, 0.25)
            assert there.back(x, v) == pytest.approx((1.5, 0.25))


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("qhm:lr=0.5,mu=0.9,nu=0", "sgd", "sgd:lr=0.5"),
        ("qhm:lr=0.5,mu=0.9,nu=1", "ema", "ema:lr=0.5,mu=0.9"),
        ("qhm:lr=1,mu=0.9,nu=0.9", "nag", "nag:lr=0.1,mu=0.9"),
        ("nag:lr=0.1,mu=0", "heavyball", "heavyball:lr=0.1,mu=0"),
        ("classical:lr=0.1,mu=0", "sgd", "sgd:lr=0.1"),
        ("triple:L=4,m=4", "sgd", "sgd:lr=0.25"),
        ("sgd:lr=0.25", "triple", "triple:L=4,m=4"),
        ("triple:L=9,m=1", "robust", "robust:L=9,kappa=9,rho=0.6666666666666666"),
        ("heavyball:lr=0.1,mu=0.9,tau=0.5", "classical", "classical:lr=0.05,mu=0.9"),
        ("ema:lr=1,mu=0.9", "heavyball", "heavyball:lr=0.1,mu=0.9"),
        ("ema:lr=1,mu=0.9", "heavyball:tau=0.9", "heavyball:lr=1,mu=0.9,tau=0.9"),
        ("classical:lr=0,mu=0.9", "heavyball", "heavyball:lr=0,mu=0.9"),
        ("heavyball:lr=0.1,mu=0.9,tau=1", "classical", "classical:lr=0,mu=0.9"),
        ("nag:lr=constant(0.1),mu=0.9", "keras_nesterov", "keras_nesterov:lr=0.1,mu=0.9"),
        ("snv:alpha=0.1,beta1=0.9,beta2=0.9", "nag", "nag:lr=0.1,mu=0.9"),
    ],
)
def test_special_settings(source: str, target: str, expected: str) -> None:
    """Poles that cancel, borders of ranges and numbers that were typed as decimals come out as one would write them."""
    assert str(convert(source, target).target) == expected


def test_fractions_stay_fractions() -> None:
    """Given fractions, settings, scale and shift are fractions, and the runs are equal to the last digit."""
    settings: dict[str, dict[str, Any]] = {
        "classical": {"lr": F(1, 10), "mu": F(3, 5)},
        "nag": {"lr": F(1, 10), "mu": F(3, 5)},
        "qhm": {"lr": F(1, 4), "mu": F(3, 5), "nu": F(1, 3)},
        "pid": {"kp": F(-1, 9), "ki": F(1, 5), "kd": F(1, 7)},
        "robust": {"L": F(9), "kappa": F(4), "rho": F(3, 5)},
        "triple": {"L": F(9), "m": F(1)},
    }
    for name, given in settings.items():
        for target in NAMES:
            if TABLE[name][target] != "+" or target in ("triple", "robust"):
                continue
            found = convert(EVERY[name](**given), target)
            assert all(isinstance(value, Fraction | float) for value in found.target.settings.values())
            rows = found.source.row(), Row(*map(Fraction, found.target.row()))
            if target == "accsgd":
                continue  # its eps is a float
            runs = [walk([row] * 5, quartic, vector(3, F(-5, 3))) for row in rows]
            assert runs[0].asked == runs[1].asked, (name, target)
            x, v = found.state(runs[0].xs[3][0], runs[0].vs[3][0], 3)
            assert (x, v) == (runs[1].xs[3][0], runs[1].vs[3][0])


# What came in ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "word"),
    [
        ("nag:lr=0.1,mu=0.9", "heavyball", "its c is -0.09, where heavyball:lr=0.1,mu=0.9, the nearest"),
        ("nag:lr=0.1,mu=0.9", "sgd", "because sgd has no mu"),
        ("sgd:lr=0.1", "pid", "kp would be 0"),
        ("ema:lr=1,mu=0.9", "accsgd", "infinite or 0/0"),
        ("snv:alpha=0.1,beta1=0,beta2=0.5", "qhm", "no settings of it give"),
        ("qhm:lr=1,mu=0.9,nu=2", "accsgd", "delta would be -1"),
        ("sgd:lr=0", "triple", "no settings of it give a = 0, b = 0, c = 0"),
        ("nag:lr=0.1,mu=0.9", "heavyball:tau=2", "no equal"),
        ("nag:lr=0.1,mu=0.9", "heavyball:lr=cosine(0.1,9)", "as a number only"),
        ("nag:lr=0.1,mu=0.9", "heavyball:xi=2", "no setting 'xi'"),
        ("nag:lr=0.1,mu=0.9", 7, "the name of a rule"),
        (7, "nag", "a method such as"),
    ],
)
def test_refusals_say_why(source: Any, target: Any, word: str) -> None:
    """A refusal says in which number the two differ, or which setting would be out of its range."""
    with pytest.raises(ConvertError, match=word):
        convert(source, target)


def test_the_nearest_has_the_pace_it_is_said_to_have() -> None:
    """What a refusal names as the nearest, with the same effective lr, has it."""
    rng, told = np.random.default_rng(2), 0
    for source, target in ((s, t) for s in NAMES for t in NAMES if TABLE[s][t] in "-."):
        for method in (drawn(source, rng), EVERY["sgd"](lr=0)):
            said = answer(lambda name, m=method: str(convert(m, name)), target)
            if not (near := re.search(r"where (\S+), the nearest.* the same .*effective lr", said)):
                continue
            rows = [Row(*map(float, m.row())) for m in (method, parse(near[1], EVERY))]
            paces = [(c - b) / (1 - a) for a, b, c in map(response, rows)]
            assert paces[0] == pytest.approx(paces[1], rel=1e-3), said
            told += 1
    assert told > 30


@seeded
@hypothesis.given(methods_of_any_kind(), st.sampled_from(NAMES))
def test_any_method_converts_or_is_refused(method: Method, target: str) -> None:
    """Whatever settings and schedules a method has, it converts to something JSON can hold, or there is one sentence."""
    told = answer(lambda name: json.dumps(convert(method, name, steps=5).summary(), allow_nan=False), target)
    assert told.startswith('{"from": ') or "\n" not in told


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, 10**9])
def test_steps_are_a_whole_number(steps: Any) -> None:
    """Steps that are none are refused."""
    with pytest.raises(ConvertError, match="whole number"):
        convert("sgd:lr=0.1", "nag", steps=steps)


def test_arrays_are_no_settings_to_convert() -> None:
    """A method with an array as a setting is refused; one at a time is meant."""
    with pytest.raises(ConvertError, match="a finite number or a schedule"):
        convert(RULES["sgd"](lr=np.array([0.1, 0.2])), "nag")


def test_states_outside_the_steps() -> None:
    """A state can be converted at the steps that were, and a buffer that was not kept cannot be had back."""
    found = convert("classical:lr=step(0.1,0.5,2),mu=0.4", "heavyball", steps=6)
    with pytest.raises(ConvertError, match="from 0 to 5"):
        found.state(0.0, 0.0, 6)
    with pytest.raises(ConvertError, match="begin with an empty one"):
        convert("qhm:lr=0.5,mu=0.9,nu=0", "sgd").back(0.0, 0.0)
    assert convert("nag:lr=0.1,mu=0.9", "nesterov").inverse == pytest.approx((-0.1, 0.09))


def test_a_rule_of_yours() -> None:
    """A rule that stands in no table converts too, if its row is formulas, and is refused in a sentence if not."""
    from ravine.rules import Rule

    mine = Rule("mine", lambda lr, k: Row(1 - k, k, -lr, 0, 0), "an average by its weight", "nobody")
    found = convert("heavyball:lr=0.1,mu=0.75", mine)
    assert dict(found.target.settings) == {"lr": 0.4, "k": 0.25}
    assert str(convert(found.target, "ema").target) == "ema:lr=0.4,mu=0.75"
    rough = Rule("rough", lambda lr: Row(0, 1, -float(lr), 0, 0), "floats alone", "nobody")
    with pytest.raises(ConvertError, match="cannot be read as formulas"):
        convert("sgd:lr=0.1", rough)
