"""Schedules against their published formulas, and as text."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drawn import answer, schedules, seeded
from ravine.errors import ScheduleError
from ravine.schedules import SCHEDULES, Schedule, at, from_tree, parse, text_of, tree


@seeded
@given(schedules())
def test_round_trip(schedule: Schedule) -> None:
    """A schedule written as text reads back as itself, nested ones too."""
    text = str(schedule)
    assume(len(text) <= 500)
    assert parse(text) == schedule
    assert str(parse(text)) == text


@seeded
@given(schedules())
def test_vectorised(schedule: Schedule) -> None:
    """Asked for an array of steps a schedule gives what it gives step by step."""
    steps = np.arange(0, 700, 23)
    many, single = schedule(steps), [schedule(int(t)) for t in steps]
    assert many.shape == steps.shape
    assert all(type(value) in (float, int) for value in single)
    np.testing.assert_allclose(many, single, rtol=1e-14, atol=1e-14)


WORDS = st.sampled_from([*SCHEDULES, *"(),=-+.*:[]'\" \n\0", "start", "steps", "0.5", "100", "nan", "inf", "1e999"])


@seeded
@given(st.text(max_size=80) | st.lists(WORDS, max_size=25).map("".join) | st.text("(-[~1", max_size=600))
def test_any_text(text: str) -> None:
    """Whatever is typed for a schedule is read, or refused with a RavineError in one line."""
    found = answer(parse, text)
    assert isinstance(found, float | Schedule) or "\n" not in found


HOSTILE = ["-" * 499 + "1", "(" * 250 + "1" + ")" * 250, "[" * 499, "then(" * 99, "9" * 499, "\ud800", "\0"]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text(text: str) -> None:
    """Text made to exhaust the reader is refused like any other, or read as the number that it is."""
    found = answer(parse, text)
    assert isinstance(found, float) or len(found) < 400


# Values ----------------------------------------------------------------------------------------------------------


def sutskever_as_printed(t: int, mu_max: float) -> float:
    """Return eq. 5 of Sutskever et al. 2013 in its own form."""
    return min(1 - 2 ** (-1 - math.log2(t // 250 + 1)), mu_max)


def the_blog_posts_ramp(t: int) -> float:
    """Return mu as the blog post's loop leaves it after t iterations."""
    mu = 0.5
    for _ in range(t):
        mu = mu + 0.01 if mu < 0.99 - 1e-9 else mu
    return mu


@pytest.mark.parametrize(
    ("text", "formula", "tolerance"),
    [
        ("constant(0.3)", lambda t: 0.3, 0),
        ("ramp(0.5,0.99,0.01)", the_blog_posts_ramp, 1e-14),
        ("ramp(0.5,0.99,0.01)", lambda t: min(0.5 + 0.01 * t, 0.99), 0),
        ("ramp(1,0.25,-0.125)", lambda t: max(1 - t / 8, 0.25), 0),
        ("linear(0.5,0.99,100)", lambda t: 0.5 + 0.49 * t / 100 if t < 100 else 0.99, 1e-15),
        ("step(0.1,0.5,5)", lambda t: 0.1 * 0.5 ** (t // 5), 1e-16),
        ("exponential(0.1,0.01)", lambda t: 0.1 * math.e ** (-0.01 * t), 1e-15),
        ("inverse(0.1,0.25)", lambda t: 0.1 / (1 + 0.25 * t), 1e-16),
        ("search(0.1,40)", lambda t: 0.1 / (1 + t / 40), 1e-16),
        ("cosine(0.1,100,0.02)", lambda t: 0.02 + 0.04 * (1 + math.cos(math.pi * min(t, 100) / 100)), 1e-16),
        ("sutskever(0.99)", lambda t: sutskever_as_printed(t, 0.99), 1e-15),
        ("sutskever(0.999)", lambda t: sutskever_as_printed(t, 0.999), 1e-15),
        ("nesterov83(0.9)", lambda t: min(1 - 3 / (t + 5), 0.9), 0),
        ("nesterov83()", lambda t: 1 - 3 / (t + 5), 0),
        ("then(0.1,9,0.2)", lambda t: 0.1 if t < 9 else 0.2, 0),
        ("then(0.1,9,linear(0.5,1,4))", lambda t: 0.1 if t < 9 else min(0.5 + (t - 9) / 8, 1), 0),
        ("warmup(0.8,10,0.937)", lambda t: 0.8 + 0.137 * t / 10 if t < 10 else 0.937, 1e-15),
        ("warmup(0,4,step(1,0.5,3))", lambda t: t / 4 if t < 4 else 0.5 ** ((t - 4) // 3), 0),
        ("finaldrop(0.99,1500)", lambda t: 0.99 if t < 500 else 0.9, 0),
        ("finaldrop(0.5,1500)", lambda t: 0.5, 0),
        ("finaldrop(ramp(0.5,0.99,0.01),60,0.7,last=20)", lambda t: 0.7 if t >= 40 else 0.5 + 0.01 * t, 0),
    ],
)
def test_formula(text: str, formula: Callable[[int], float], tolerance: float) -> None:
    """Every schedule is its published formula, from the first update, t = 0, on."""
    schedule = parse(text)
    for t in (*range(130), 249, 250, 499, 500, 1499, 1500, 12250, 10**6):
        assert schedule(t) == pytest.approx(formula(t), rel=0, abs=tolerance), t


@pytest.mark.parametrize(("mu_max", "first"), [(0.9, 1000), (0.99, 12250), (0.995, 24750), (0.999, 124750)])
def test_sutskever_reaches(mu_max: float, first: int) -> None:
    """Sutskever's schedule reaches each of the paper's mu_max at the step that 1 - 1/(2k) implies."""
    schedule = SCHEDULES["sutskever"](mu_max)
    assert schedule(0) == schedule(249) == 0.5
    assert schedule(250) == 0.75
    assert schedule(first - 1) < mu_max == pytest.approx(schedule(first), abs=1e-15)


def test_onecycle_corners() -> None:
    """One cycle begins at start, stands at peak one step before up·steps, and ends at stop on its last step."""
    schedule = parse("onecycle(0.1,1,100,0.01,0.3)")
    assert [schedule(t) for t in (0, 29, 99, 500)] == pytest.approx([0.1, 1, 0.01, 0.01], abs=1e-15)
    assert np.argmax(schedule(np.arange(100))) == 29


def test_at() -> None:
    """A setting is a number, a schedule, or any function of the step."""
    assert [at(v, 3) for v in (0.5, SCHEDULES["ramp"](0, 9, 2), lambda t: t * 10)] == [0.5, 6, 30]


def test_keywords_and_signs() -> None:
    """Keywords, defaults and signs are read as Python reads them."""
    assert parse("cosine(start=0.1, steps=100)") == parse("cosine(0.1,100,0)")
    assert str(parse("cosine(0.1,100,0)")) == "cosine(0.1,100)"
    assert parse(" -3 ") == -3.0
    assert parse("+1e-6") == 1e-6
    assert from_tree(tree("2", "the number")) == 2.0


@pytest.mark.parametrize("value", [0.1, 100.0, 1e-6, 1e15, 1e22, 5e-324, 1.7976931348623157e308, -2.5, 0.1 + 0.2])
def test_number_round_trip(value: float) -> None:
    """A number written as text reads back to the last bit."""
    assert parse(text_of(value)) == value


ERRORS = [
    ("rampp(0.5,0.99,0.01)", ["'rampp'", "did you mean 'ramp'", "cosine"]),
    ("ramp(0.5,0.99)", ["ramp", "'by'", "ramp(start, stop, by)"]),
    ("ramp(0.5,0.99,0.01,1)", ["ramp", "too many", "ramp(start, stop, by)"]),
    ("ramp(0.5,0.99,0.01,step=1)", ["ramp", "'step'", "ramp(start, stop, by)"]),
    ("ramp(0.5,0.99,-0.01)", ["ramp(0.5,0.99,-0.01)", "sign"]),
    ("ramp(0.5,0.99,0)", ["ramp", "by", "other than 0", "got 0"]),
    ("linear(0,1,2.5)", ["linear", "steps", "whole number", "got 2.5"]),
    ("linear(0,1,0)", ["linear", "steps", "1 or more", "got 0"]),
    ("linear(nan,1,9)", ["linear", "start", "finite", "nan"]),
    ("linear(0,1e999,9)", ["linear", "stop", "finite", "inf"]),
    ("linear(ramp(0,1,1),1,9)", ["linear", "start", "not a schedule", "linear(start, stop, steps)"]),
    ("step(1,-0.5,3)", ["step", "factor", "above 0", "got -0.5"]),
    ("inverse(1,-1)", ["inverse", "k", "0 or more", "got -1"]),
    ("search(1,0)", ["search", "T", "above 0", "got 0"]),
    ("onecycle(0,1,100,0,1.5)", ["onecycle", "up", "between 0 and 1", "got 1.5"]),
    ("onecycle(0,1,2,0,0.3)", ["onecycle(0,1,2,0)", "raise steps or up"]),
    ("0.9 + 0.1", ["0.9 + 0.1", "ramp(0.5,0.99,0.01)"]),
    ("ramp(0.5,", ["'ramp(0.5,'", "ramp(0.5,0.99,0.01)"]),
    ("True", ["True", "0.9"]),
    ("'0.9'", ["0.9", "ramp"]),
    ("ramp.__class__(1)", ["__class__", "ramp(0.5,0.99,0.01)"]),
    ("ramp(*[1],2,3)", ["ramp"]),
    ("ramp(**{})", ["ramp"]),
    ("1" * 501, ["501", "500"]),
    ("", ["''", "ramp"]),
]


@pytest.mark.parametrize(("text", "words"), ERRORS)
def test_error_says(text: str, words: list[str]) -> None:
    """A refusal is one sentence that names what came and what is allowed."""
    with pytest.raises(ScheduleError) as caught:
        parse(text)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert ". " not in message


@pytest.mark.parametrize("value", [True, "1", None])
def test_numbers_only(value: Any) -> None:
    """From Python, too, a schedule's numbers must be numbers."""
    with pytest.raises(ScheduleError, match="constant: value must be a number, got"):
        SCHEDULES["constant"](value)
