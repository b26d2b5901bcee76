"""The same method in other clothes: which rows are the same, rescaled buffers, look-ahead without looking."""

from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from drawn import fractions, nonzero, rows, seeded
from exact import F, Vector, bowl, flat_walk, quartic, rows_of, vector, walk
from ravine.algebra import plain, rescale, response, same
from ravine.errors import AlgebraError
from ravine.rules import RULES, Row, parse

START = vector(3, F(-5, 3))
LR, MU = F(1, 10), F(3, 5)


def asked(row: Row, steps: int = 5) -> list[list[Fraction]]:
    """Return the points where a row asks for gradients on a function that is no quadratic."""
    return walk([row] * steps, quartic, START).asked


# Which rows are the same -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("qhm", {"lr": LR, "mu": MU, "nu": F(0)}), ("sgd", {"lr": LR}), True),
        (("qhm", {"lr": LR, "mu": MU, "nu": F(1)}), ("ema", {"lr": LR, "mu": MU}), True),
        (("qhm", {"lr": LR / (1 - MU), "mu": MU, "nu": MU}), ("nesterov", {"lr": LR, "mu": MU}), True),
        (("qhm", {"lr": LR / (1 - MU), "mu": MU, "nu": F(1)}), ("heavyball", {"lr": LR, "mu": MU}), True),
        (("ema", {"lr": LR / (1 - MU), "mu": MU}), ("classical", {"lr": LR, "mu": MU}), True),
        (("heavyball", {"lr": LR, "mu": MU, "tau": F(1, 4)}), ("heavyball", {"lr": LR * F(3, 4), "mu": MU}), True),
        (("heavyball", {"lr": LR, "mu": MU, "tau": MU}), ("ema", {"lr": LR, "mu": MU}), True),
        (("nag", {"lr": LR, "mu": F(0)}), ("sgd", {"lr": LR}), True),
        (("qhm", {"lr": LR, "mu": MU, "nu": F(1, 9)}), ("sgd", {"lr": LR}), False),
        (("qhm", {"lr": LR, "mu": MU, "nu": MU}), ("nesterov", {"lr": LR, "mu": MU}), False),
        (("ema", {"lr": LR, "mu": MU}), ("heavyball", {"lr": LR, "mu": MU}), False),
        (("heavyball", {"lr": LR, "mu": MU, "tau": F(1, 4)}), ("heavyball", {"lr": LR, "mu": MU}), False),
        (("classical", {"lr": LR, "mu": MU}), ("classical", {"lr": LR, "mu": MU + F(1, 99)}), False),
        (("classical", {"lr": LR, "mu": MU}), ("classical", {"lr": LR + F(1, 99), "mu": MU}), False),
        (("triple", {"L": F(9), "m": F(1)}), ("nag", {"lr": F(5, 27), "mu": F(1, 3)}), False),
    ],
)
def test_same(one: tuple[str, Any], other: tuple[str, Any], expected: bool) -> None:
    """Two rows are called the same exactly when the real stepper asks for the same gradients, in either order."""
    rows = [RULES[name].row(**settings) for name, settings in (one, other)]
    assert same(rows[0], rows[1]) is expected
    assert same(rows[1], rows[0]) is expected
    assert (asked(rows[0]) == asked(rows[1])) is expected
    floats = [Row(*map(float, row)) for row in rows]
    assert same(floats[0], floats[1]) is expected


def test_each_of_the_three_equations_counts() -> None:
    """Two rows that agree in b = B and c + b·A = C + B·a but not in c·A = C·a ask for different gradients."""
    one, other = Row(F(1, 2), F(1), F(-1), F(0), F(0)), Row(F(1, 4), F(1), F(-2), F(1), F(0))
    (a, b, c), (A, B, C) = response(one), response(other)
    assert b == B
    assert c + b * A == C + B * a
    assert not same(one, other)
    assert asked(one) != asked(other)


FAMILIES = {"classical": 1, "heavyball": 1, "nag": 2, "nesterov": 2, "keras_nesterov": 2}
SIMPLE = [name for name in RULES if name not in ("qhm", "triple")]


@pytest.mark.parametrize(("one", "other"), [*product(SIMPLE, repeat=2)])
def test_families(one: str, other: str) -> None:
    """At the same lr and mu classical is heavy ball, the three Nesterovs are one, and nothing else is the same."""
    lr, mu = sympy.symbols("lr mu", positive=True)
    expected = FAMILIES.get(one, one) == FAMILIES.get(other, other)
    for values in ({"lr": lr, "mu": mu}, {"lr": LR, "mu": MU}):
        rows = [RULES[n].row(**{k: values[k] for k in RULES[n].parameters if k in values}) for n in (one, other)]
        assert same(*rows) is expected
    assert (asked(rows[0]) == asked(rows[1])) is expected


@seeded
@given(rows, nonzero, rows)
def test_same_of_any_rows(row: Row, s: Fraction, other: Row) -> None:
    """Any row is the same as itself rescaled and as its plain form; any two rows, only if they ask for the same."""
    assert same(row, rescale(row, s))
    assert asked(row, 4) == asked(rescale(row, s), 4)
    if row.keep:
        assert same(row, plain(row))
        assert asked(row, 4) == asked(plain(row), 4)
    if same(row, other):
        assert asked(row, 4) == asked(other, 4)
    else:
        assert walk([row] * 4, bowl, START).asked != walk([other] * 4, bowl, START).asked


# Rescaling the buffer --------------------------------------------------------------------------------------------


@seeded
@given(st.lists(st.tuples(rows, nonzero), min_size=2, max_size=5))
def test_rescaling_moves_no_point(steps: list[tuple[Row, Fraction]]) -> None:
    """Under any rows and any scales, changing at every step, u = s·v moves no point and no question."""
    rows, scales = zip(*steps, strict=True)
    v = vector(F(1, 3), -2)
    theirs = walk(rows[:-1], bowl, START, v)
    scaled = [rescale(row, s, s_next) for row, s, s_next in zip(rows, scales, scales[1:], strict=False)]
    ours = walk(scaled, bowl, START, scales[0] * v)
    assert (ours.xs, ours.asked) == (theirs.xs, theirs.asked)
    assert ours.vs == [[s * c for c in v] for s, v in zip(scales, theirs.vs, strict=True)]


LRS = [F(1, 20), F(1, 20), F(1, 50), F(1, 25), F(1, 60), F(1, 100), F(1, 30)]
MUS = [F(1, 2), F(3, 5), F(9, 10), F(0), F(3, 4), F(19, 20), F(1, 5)]


def test_classical_is_heavyball_until_lr_changes() -> None:
    """Under any mu schedule at constant lr classical and heavy ball take the same path; they part when lr changes."""
    mu = MUS.__getitem__
    paths = [walk(rows_of(name, 7, lr=LRS[0], mu=mu), bowl, START).xs for name in ("classical", "heavyball")]
    assert paths[0] == paths[1]
    paths = [walk(rows_of(name, 7, lr=LRS.__getitem__, mu=mu), bowl, START).xs for name in ("classical", "heavyball")]
    assert paths[0][:3] == paths[1][:3]
    assert paths[0][3:] != paths[1][3:]
    assert all(p != q for p, q in zip(paths[0][3:], paths[1][3:], strict=True))


def test_classical_as_heavyball_under_any_schedule() -> None:
    """Rescaled by -1/lr classical is heavy ball with momentum mu·lr_before/lr, whatever lr does."""
    before = [LRS[0], *LRS]
    classical = rows_of("classical", 7, lr=LRS.__getitem__, mu=MUS.__getitem__)
    scaled = [rescale(row, -1 / b, -1 / lr) for row, b, lr in zip(classical, before, LRS, strict=False)]
    by_hand = [RULES["heavyball"].row(lr=lr, mu=mu * b / lr) for lr, mu, b in zip(LRS, MUS, before, strict=False)]
    assert scaled == by_hand
    assert walk(scaled, bowl, START).xs == walk(classical, bowl, START).xs


def test_momentum_correction() -> None:
    """Read backwards it is Goyal et al. 2017, eq. 10 and its correction: v = mu·(lr/lr_before)·v + lr·g, x -= v."""
    before = [LRS[0], *LRS]
    heavy = rows_of("heavyball", 7, lr=LRS.__getitem__, mu=MUS.__getitem__)
    scaled = [rescale(row, -b, -lr) for row, b, lr in zip(heavy, before, LRS, strict=False)]
    x, v, path = START, 0 * START, [list(START)]
    for lr, mu, b in zip(LRS, MUS, before, strict=False):
        v = mu * (lr / b) * v + lr * bowl(x)
        x = x - v
        path.append(list(x))
    assert walk(heavy, bowl, START).xs == path
    assert walk(scaled, bowl, START).xs == path
    assert [row[1:] for row in scaled] == [(-lr, 1, 0, 0) for lr in LRS]


# Looking ahead ---------------------------------------------------------------------------------------------------


def test_plain_nag_is_keras_nesterov() -> None:
    """At constant mu the plain form of the paper's NAG is Keras' formula, cell for cell."""
    assert plain(RULES["nag"].row(lr=LR, mu=MU)) == RULES["keras_nesterov"].row(lr=LR, mu=MU)
    triple = RULES["triple"].row(L=F(9), m=F(1))
    assert asked(plain(triple)) == asked(triple)
    assert plain(RULES["heavyball"].row(lr=LR, mu=MU)) == RULES["heavyball"].row(lr=LR, mu=MU)


@seeded
@given(st.lists(st.tuples(rows, nonzero), min_size=2, max_size=5), fractions)
def test_plain_under_schedules(steps: list[tuple[Row, Fraction]], speed: Fraction) -> None:
    """Under any rows, changing at every step, the plain form stands exactly where the row asks for its gradients."""
    rows = [row._replace(keep=keep) for row, keep in steps]
    v: Vector = vector(speed, 1)
    theirs = walk(rows, bowl, START, v)
    plains = [plain(row, after.look) for row, after in pairwise(rows)]
    ours = walk(plains, bowl, START + rows[0].look * v, v)
    assert ours.xs == theirs.asked
    assert ours.vs == theirs.vs[:-1]


def test_plain_nag_under_a_schedule() -> None:
    """Under a mu schedule plain nag is v' = mu·v - lr·g, y' = y + mu_next·v' - lr·g, at nag's own query points."""
    mus = [F(1, 2) + F(t, 20) for t in range(8)]
    nag = rows_of("nag", 8, lr=LR, mu=mus.__getitem__)
    plains = [plain(row, mu) for row, mu in zip(nag, mus[1:], strict=False)]
    assert plains == [Row(mu, -LR, after, -LR, 0) for mu, after in pairwise(mus)]
    assert walk(plains, bowl, START).xs == walk(nag, bowl, START).asked


def test_no_plain_form() -> None:
    """A row that looks along a buffer which keeps nothing has no plain form, and the error says what to do."""
    with pytest.raises(AlgebraError, match="keep = 0 has no plain form; use a mu above 0"):
        plain(Row(0, 1, 1, 0, F(1, 2)))
    assert plain(RULES["nag"].row(lr=LR, mu=F(0)), F(1, 2)) == Row(0, -LR, F(3, 2), 0, 0)


@pytest.mark.parametrize(
    ("mu", "of_nag", "of_torch", "tolerance"),
    [("ramp(0.5,0.99,0.01)", 1.7868, 1.8204, 5e-5), ("0.9", None, None, 1e-13)],
)
def test_torch_nesterov_is_not_the_papers(
    mu: str, of_nag: float | None, of_torch: float | None, tolerance: float
) -> None:
    """The paper's look-ahead point and torch's iterate are one at constant mu and part under the blog post's ramp.

    After 40 steps the point compared is the one where NAG asks next, x + mu·v with the mu of step 40 (the 41st).
    """
    found = []
    for name in ("nag", "nesterov"):
        method = parse(f"{name}:lr=0.005,mu={mu}")
        xs, vs = flat_walk([method.row(t) for t in range(40)], [2.0, 100.0], [9.0, 1.0])
        found.append(xs[40, 0] + method.row(40).look * vs[40, 0])
    if of_nag is None:
        assert found[0] == pytest.approx(found[1], rel=0, abs=tolerance)
    else:
        assert found == pytest.approx([of_nag, of_torch], rel=0, abs=tolerance)
