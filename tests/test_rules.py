"""The table of rules against the formulas as they were published, in exact fractions through the real stepper."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from drawn import answer, methods, seeded
from exact import F, Gradient, Vector, bowl, quartic, rows_of, vector, walk
from ravine.errors import RuleError
from ravine.rules import RULES, SETTINGS, Method, Row, Rule, find, parse, sqrt

STEPS = 7
START = vector(9, F(-5, 3))
Settings = Callable[[int], dict[str, Fraction]]

# The update formulas as published, each on its own variables; v, b and m start at 0 ------------------------------


def published_sgd(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    for t in range(STEPS):
        x = x - at(t)["lr"] * grad(x)
        yield x


def published_classical(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    v = 0 * x  # Sutskever et al. 2013, eq. 1-2
    for t in range(STEPS):
        v = at(t)["mu"] * v - at(t)["lr"] * grad(x)
        x = x + v
        yield x


def published_heavyball(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    b = None  # torch.optim.SGD: the first buffer is the whole gradient, dampened from step two on
    for t in range(STEPS):
        g, tau = grad(x), at(t).get("tau", 0)
        b = g if b is None else at(t)["mu"] * b + (1 - tau) * g
        x = x - at(t)["lr"] * b
        yield x


def published_nag(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    v = 0 * x  # Sutskever et al. 2013, eq. 3-4
    for t in range(STEPS):
        v = at(t)["mu"] * v - at(t)["lr"] * grad(x + at(t)["mu"] * v)
        x = x + v
        yield x


def published_nesterov(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    b = 0 * x  # torch.optim.SGD(nesterov=True)
    for t in range(STEPS):
        g = grad(x)
        b = at(t)["mu"] * b + g
        x = x - at(t)["lr"] * (g + at(t)["mu"] * b)
        yield x


def published_keras_nesterov(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    velocity = 0 * x  # keras.optimizers.SGD(nesterov=True)
    for t in range(STEPS):
        g, lr, momentum = grad(x), at(t)["lr"], at(t)["mu"]
        velocity = momentum * velocity - lr * g
        x = x + momentum * velocity - lr * g
        yield x


def published_ema(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    m = 0 * x  # optax.ema(debias=False), then a step of lr
    for t in range(STEPS):
        m = at(t)["mu"] * m + (1 - at(t)["mu"]) * grad(x)
        x = x - at(t)["lr"] * m
        yield x


def published_qhm(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    g = 0 * x  # Ma & Yarats 2019, eq. 3-4
    for t in range(STEPS):
        now, alpha, beta, nu = grad(x), at(t)["lr"], at(t)["mu"], at(t)["nu"]
        g = (1 - beta) * now + beta * g
        x = x - alpha * ((1 - nu) * now + nu * g)
        yield x


def published_triple(grad: Gradient, x: Vector, at: Settings) -> Iterator[Vector]:
    before = x  # Van Scoy, Freeman & Lynch 2017, eq. 1 and table I: on xi and the xi before, with y between them
    rho = 1 - F(math.isqrt(int(at(0)["m"])), math.isqrt(int(at(0)["L"])))  # both are square numbers below
    alpha, beta = (1 + rho) / at(0)["L"], rho**2 / (2 - rho)
    gamma = rho**2 / ((1 + rho) * (2 - rho))
    for _ in range(STEPS):
        y = (1 + gamma) * x - gamma * before
        x, before = (1 + beta) * x - beta * before - alpha * grad(y), x
        yield x


PUBLISHED = {name.removeprefix("published_"): f for name, f in list(globals().items()) if name.startswith("published_")}

LR, MU = F(1, 30), F(3, 5)


def falling(t: int) -> Fraction:
    """Return a learning rate that changes at every step."""
    return F(1, 20 + 3 * t)


def ramp(t: int) -> Fraction:
    """Return the blog post's ramp in large steps."""
    return min(F(1, 2) + F(t, 10), F(9, 10))


@pytest.mark.parametrize("gradient", [bowl, quartic])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("sgd", {"lr": LR}),
        ("sgd", {"lr": falling}),
        *[
            (name, {"lr": lr, "mu": mu, **more})
            for name, more in [
                ("classical", {}),
                ("heavyball", {}),
                ("heavyball", {"tau": F(1, 4)}),
                ("nag", {}),
                ("nesterov", {}),
                ("keras_nesterov", {}),
                ("ema", {}),
                ("qhm", {"nu": F(7, 10)}),
                ("qhm", {"nu": lambda t: F(t, 9)}),
            ]
            for lr in (LR, falling)
            for mu in (MU, ramp)
        ],
        ("triple", {"L": 64, "m": 1}),
        ("triple", {"L": 81, "m": 4}),
    ],
)
def test_published(name: str, settings: dict[str, Any], gradient: Gradient) -> None:
    """Every rule of the table is its published formula, exactly, step for step, under schedules too."""
    settings = {k: v if callable(v) else F(v) for k, v in settings.items()}

    def at(t: int) -> dict[str, Fraction]:
        return {k: v(t) if callable(v) else v for k, v in settings.items()}

    tau, v = settings.get("tau", 0), None
    if tau:  # torch skips dampening on its first step, which is starting from v0 = (tau/mu)·g0
        v = tau / at(0)["mu"] * gradient(START)
    found = walk(rows_of(name, STEPS, **settings), gradient, START, v)
    assert found.xs[1:] == [list(x) for x in PUBLISHED[name](gradient, START, at)]


def test_every_rule_is_published() -> None:
    """No rule stands in the table without a published formula here."""
    assert set(PUBLISHED) == set(RULES)


def test_classroom_vector() -> None:
    """On E = w² with rate 0.8 from 10, gradient descent and momentum 0.1 give the numbers of the CS-449 course."""
    plain = walk(rows_of("sgd", 3, lr=F(4, 5)), lambda w: 2 * w, vector(10))
    heavy = walk(rows_of("classical", 3, lr=F(4, 5), mu=F(1, 10)), lambda w: 2 * w, vector(10))
    assert [x for (x,) in plain.xs] == [10, -6, F(18, 5), F(-54, 25)]
    assert [x for (x,) in heavy.xs] == [10, -6, 2, F(-2, 5)]


@pytest.mark.parametrize("name", RULES)
def test_rows_of_many_steps(name: str) -> None:
    """The row for an array of steps holds the rows of the single steps."""
    numbers = {"L": "9", "m": "4", "nu": "linear(0,1,40)", "tau": "step(0.5,0.5,9)"}
    numbers |= {"lr": "cosine(0.1,50)", "mu": "ramp(0.5,0.99,0.01)"}
    method = parse(f"{name}:{','.join(f'{k}={numbers[k]}' for k in RULES[name].parameters)}")
    many = np.broadcast_arrays(*method.row(np.arange(60)), np.arange(60))[:5]
    assert np.array_equal(np.array(many).T, [method.row(t) for t in range(60)])


@pytest.mark.parametrize(
    ("square", "root", "kind"),
    [(F(9, 16), F(3, 4), F), (49, 7, F), (F(2), math.sqrt(2), float), (2.25, 1.5, float), (np.float64(4), 2, float)],
)
def test_sqrt(square: Any, root: Any, kind: type) -> None:
    """A square root is an exact fraction where one exists, and a float elsewhere."""
    assert sqrt(square) == root
    assert isinstance(sqrt(square), kind)


# Text ------------------------------------------------------------------------------------------------------------


@seeded
@given(methods())
def test_round_trip(method: Method) -> None:
    """A method written as text reads back as itself."""
    assume(len(str(method)) < 480)
    assert parse(str(method)) == method


WORDS = st.sampled_from([*RULES, *SETTINGS, *":=,()-+.[]'\"*#;\\ \n\t", "0.1", "1e9", "nan", "inf", "ramp", "1e999"])


@seeded
@given(st.text(max_size=80) | st.lists(WORDS, max_size=25).map("".join) | st.text("(-[~1", max_size=600))
def test_any_text(text: str) -> None:
    """Whatever is typed for a rule is read, or refused with a RavineError in one line."""
    for attempt in (text, f"classical:{text}", f"classical:lr={text},mu=0.9"):
        found = answer(parse, attempt)
        assert isinstance(found, Method) or "\n" not in found


ERRORS = [
    ("clasical:lr=0.1,mu=0.9", ["'clasical'", "did you mean 'classical'", "heavyball"]),
    ("adam:lr=0.1", ["'adam'", "sgd", "triple"]),
    ("classical:lr=0.1,momentum=0.9", ["classical", "'momentum'", "lr, mu"]),
    ("classical:lr=0.1,nu=0.9", ["classical", "'nu'", "mu"]),
    ("classical:lr=0.1", ["classical", "mu", "momentum", "classical:lr=…,mu=…"]),
    ("classical", ["classical", "lr", "learning rate"]),
    ("classical:lr=0.1,lr=0.2,mu=0.9", ["classical", "twice", "lr=0.1,lr=0.2"]),
    ("sgd:lr=-0.5", ["sgd", "lr", "0 or more", "-0.5"]),
    ("sgd:lr=nan", ["sgd", "lr", "nan"]),
    ("sgd:lr=inf", ["sgd", "lr", "inf"]),
    ("sgd:lr=1e999", ["sgd", "lr", "inf"]),
    ("nag:lr=0.1,mu=1", ["nag", "mu", "from 0 to below 1", "got 1"]),
    ("nag:lr=0.1,mu=-0.1", ["nag", "mu", "from 0 to below 1", "got -0.1"]),
    ("heavyball:lr=0.1,mu=0.9,tau=1.5", ["heavyball", "tau", "from 0 to 1", "got 1.5"]),
    ("qhm:lr=0.1,mu=0.9,nu=nan", ["qhm", "nu", "finite", "nan"]),
    ("triple:L=1,m=0", ["triple", "m", "above 0", "got 0"]),
    ("triple:L=2,m=3", ["triple", "m", "L", "2", "3"]),
    ("sgd:lr=__import__('os')", ["sgd", "'__import__'", "ramp"]),
    ("sgd:lr=ramp(1,2)", ["sgd", "ramp", "'by'", "ramp(start, stop, by)"]),
    ("sgd:0.1", ["sgd", "'0.1'", "sgd:lr=…"]),
    ("sgd:lr=0.1)+(1", ["sgd", "lr=0.1)+(1", "sgd:lr=…"]),
    ("", ["''", "sgd"]),
]


@pytest.mark.parametrize(("text", "words"), ERRORS)
def test_error_says(text: str, words: list[str]) -> None:
    """A refusal is one sentence that names what came and what is allowed."""
    with pytest.raises(RuleError) as caught:
        parse(text)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert ". " not in message


@pytest.mark.parametrize(
    ("text", "step", "value"),
    [
        ("classical:lr=0.1,mu=ramp(0.5,1.5,0.01)", 50, "got 1"),
        ("classical:lr=linear(0.5,-0.5,8),mu=0.9", 5, "got -0.125"),
        ("nag:lr=0.1,mu=then(0.5,7,1)", 7, "got 1"),
    ],
)
def test_schedule_leaves_its_range(text: str, step: int, value: str) -> None:
    """Where a schedule leaves the allowed range the error names the first such step, asked for one or for many."""
    method = parse(text)
    for t in (step, np.arange(step + 9)):
        with pytest.raises(RuleError, match=rf"{value}\S* at step {step}$"):
            method.row(t)
    method.row(np.arange(step))


@pytest.mark.parametrize("value", [True, "0.1", None, [0.1]])
def test_setting_must_be_a_number(value: Any) -> None:
    """A setting from Python that is neither number nor schedule is refused by name."""
    with pytest.raises(RuleError, match="sgd: lr must be a number or a schedule"):
        RULES["sgd"](lr=value)


def test_names_are_forgiving() -> None:
    """A rule is found by its name in any case and with either dash."""
    assert find(" Keras-Nesterov ") is RULES["keras_nesterov"]


def test_own_rule() -> None:
    """A rule of one's own needs no more than a name and a row, and its settings are checked to be finite."""
    own = Rule("own", lambda lr, beta=0.5: Row(beta, 1, -lr, 0, 0), "mine", "me")
    assert own(lr=0.1).row(3) == RULES["heavyball"](lr=0.1, mu=0.5).row(3)
    assert str(own(lr=0.1)) == "own:lr=0.1"
    with pytest.raises(RuleError, match="own: beta must be a finite number, got nan"):
        own(lr=0.1, beta=math.nan)
    with pytest.raises(RuleError, match="own needs lr"):
        own()


def test_label_and_usage() -> None:
    """A label leaves defaults out, and the usage shows them."""
    assert RULES["heavyball"](lr=0.1, mu=0.9).label == "heavyball lr=0.1 mu=0.9"
    assert RULES["heavyball"].usage == "heavyball:lr=…,mu=…,tau=0"
    assert RULES["heavyball"](lr=0.1, mu=0.9).steady
    assert parse("sgd:lr=constant(0.1)").steady
    assert not parse("sgd:lr=cosine(0.1,9)").steady
