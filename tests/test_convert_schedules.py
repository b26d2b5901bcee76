"""Conversions under schedules: what is exact, what is refused, and the size of what is approximate."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from conversions import apart, asked
from ravine.charts import EVERY
from ravine.conversion.difference import common_limit
from ravine.convert import Conversion, Listed, convert
from ravine.errors import ConvertError
from ravine.rules import RULES, Method, Row

EXACT_UNDER_ANY = [
    *((s, t) for s in ("classical", "heavyball", "ema") for t in ("classical", "heavyball", "ema", "qhm", "pid", "snv")),
    *((s, t) for s in ("nag", "nesterov", "keras_nesterov") for t in ("qhm", "pid", "accsgd")),
    *((s, t) for s in ("qhm", "accsgd") for t in ("qhm", "pid", "accsgd")),
    ("nag", "snv"), ("sgd", "classical"), ("sgd", "heavyball"), ("sgd", "ema"), ("sgd", "qhm"), ("sgd", "nesterov"),
    ("sgd", "keras_nesterov"), ("sgd", "nag"), ("sgd", "snv"), ("sgd", "robust"), ("sgd", "triple"), ("sgd", "accsgd"),
]  # fmt: skip
EXACT_UNDER_MU = [("nesterov", "keras_nesterov"), ("keras_nesterov", "nesterov")]


def scheduled(name: str, rng: np.random.Generator, steps: int, *, lr_too: bool) -> Method:
    """Draw a method whose settings change at random, but gently, at every step."""
    lr = 0.02 * np.exp(np.cumsum(rng.uniform(-0.05, 0.05, steps + 1)))
    settings: dict[str, Any] = {"lr": Listed(tuple(lr.tolist())) if lr_too else 0.02}
    if name == "accsgd":
        xi, kappa = rng.uniform(3, 5, steps + 1), rng.uniform(30, 60, steps + 1)
        return EVERY[name](delta=settings["lr"], kappa=Listed(tuple(kappa.tolist())), xi=Listed(tuple(xi.tolist())))
    if name != "sgd":
        settings["mu"] = Listed(tuple(rng.uniform(0.3, 0.6, steps + 1).tolist()))
    if name == "qhm":
        settings["nu"] = Listed(tuple(rng.uniform(0.5, 0.8, steps + 1).tolist()))
    return EVERY[name](**settings)


def compare(found: Conversion, steps: int, at: int = 20) -> tuple[float, float]:
    """Return how far both are apart, and how far if the run is converted at a step."""
    points, states = asked(found.source.row, 1, steps)
    whole, _ = asked(found.target.row, 1, steps)
    later, _ = asked(lambda t: found.target.row(t + at), 1, steps - at, found.state(*states[at], at))
    return apart(points, whole), apart(points[at:], later)


@pytest.mark.parametrize(
    ("source", "target", "lr_too"),
    [(s, t, True) for s, t in EXACT_UNDER_ANY if s != t] + [(s, t, False) for s, t in EXACT_UNDER_MU],
)
def test_exact_under_random_schedules(source: str, target: str, lr_too: bool) -> None:
    """Under random lr and mu schedules the same gradients are asked for, also by a run that is converted midway."""
    rng, done = np.random.default_rng(5), 0
    for _ in range(6):
        method = scheduled(source, rng, 30, lr_too=lr_too)
        try:
            found = convert(method, target, steps=30)
        except ConvertError:  # a random schedule may need what the target does not allow
            continue
        assert found.exact, found.notes
        assert max(compare(found, 30, 12)) < 1e-11
        done += 1
        if done == 3:
            return
    pytest.fail(f"of six schedules three should convert, {done} did")


@pytest.mark.parametrize(("source", "target"), [("nag", "keras_nesterov"), ("keras_nesterov", "nag")])
def test_keras_stores_what_the_paper_looks_at(source: str, target: str) -> None:
    """At constant mu the paper's NAG and Keras' are one under any lr schedule; torch's is not."""
    rng = np.random.default_rng(4)
    for _ in range(6):
        lr = scheduled("sgd", rng, 50, lr_too=True).settings["lr"]
        found = convert(RULES[source](lr=lr, mu=0.8), target, steps=50)
        assert found.exact
        assert found.target.settings["lr"] is lr
        assert max(compare(found, 50)) < 1e-12
        assert not convert(RULES[source](lr=lr, mu=0.8), "nesterov", steps=50).exact


def test_momentum_correction_appears_by_itself() -> None:
    """From classical to heavyball mu becomes mu·lr_before/lr; from heavyball to classical mu·lr/lr_before (Goyal et al.)."""
    lr, mu = [0.1, 0.1, 0.05, 0.08, 0.06], [0.4, 0.3, 0.45, 0.5, 0.2]
    settings = {"lr": Listed(tuple(lr)), "mu": Listed(tuple(mu))}
    before = [lr[0], *lr]
    found = convert(RULES["classical"](**settings), "heavyball", steps=5)
    assert found.target.settings["mu"].values == pytest.approx([m * b / x for m, b, x in zip(mu, before, lr)])  # type: ignore[union-attr]  # noqa: B905
    assert found.target.settings["lr"] is settings["lr"]
    assert found.scale == pytest.approx([-1 / b for b in before[:5]])
    found = convert(RULES["heavyball"](**settings), "classical", steps=5)
    assert found.target.settings["mu"].values == pytest.approx([m * x / b for m, b, x in zip(mu, before, lr)])  # type: ignore[union-attr]  # noqa: B905


def test_schedules_come_out_as_they_were_where_they_stay() -> None:
    """A schedule that is the same keeps its text, a constant becomes a number, anything else a list."""
    assert str(convert("classical:lr=0.1,mu=ramp(0.5,0.99,0.01)", "heavyball").target) == (
        "heavyball:lr=0.1,mu=ramp(0.5,0.99,0.01)"
    )
    assert str(convert("sgd:lr=cosine(0.1,500)", "qhm").target) == "qhm:lr=cosine(0.1,500),mu=0,nu=0"
    target = convert("classical:lr=step(0.1,0.5,2),mu=0.4", "heavyball", steps=6).target
    assert str(target) == "heavyball:lr=step(0.1,0.5,2),mu=listed(0.4,0.4,…,0.4)"
    assert target.row(np.arange(6)).keep.tolist() == [0.4, 0.4, 0.8, 0.4, 0.8, 0.4]


def test_a_warm_up_from_nothing() -> None:
    """Where lr begins at 0 classical has nothing in its buffer, and heavyball forgets what it took in meanwhile."""
    found = convert("classical:lr=warmup(0,10,0.1),mu=0.9", "heavyball")
    assert found.exact
    assert found.target.settings["mu"](np.arange(4)).tolist() == pytest.approx([0.9, 0, 0.45, 0.6])  # type: ignore[operator]
    assert max(compare(found, 100)) < 1e-11


@pytest.mark.parametrize("source", ["heavyball:lr=linear(0.1,0,10),mu=0.9", "ema:lr=cosine(0.1,10),mu=0.9"])
@pytest.mark.parametrize("target", ["classical", "snv"])
def test_a_decay_to_nothing(source: str, target: str) -> None:
    """Where lr ends at 0 and stays there, what classical's empty buffer has forgotten is never asked for."""
    found = convert(source, target, steps=20)
    assert found.exact, found.notes
    assert found.error is None
    assert max(compare(found, 20, 12)) < 1e-12
    if source.startswith("heavyball") and target == "classical":
        lr = [0.1 - 0.01 * t for t in range(10)]
        expected = [0.9, *(0.9 * now / before for before, now in pairwise(lr)), *[0.0] * 10]
        assert [found.target.row(t).keep for t in range(20)] == pytest.approx(expected)
        assert found.target.settings["lr"] is found.source.settings["lr"]


def test_a_return_from_nothing_is_approximate() -> None:
    """Where lr is 0 for some steps and comes back, torch's buffer remembers and the paper's does not."""
    lr = Listed((*[0.01] * 5, *[0.0] * 3, *[0.01] * 13))
    found = convert(RULES["heavyball"](lr=lr, mu=0.9), "classical", steps=20)
    assert not found.exact
    assert found.error
    assert convert(RULES["heavyball"](lr=lr, mu=0.9), "classical", steps=8).exact


@pytest.mark.parametrize(
    ("source", "target", "word"),
    [
        ("classical:lr=step(0.1,0.5,250),mu=0.65", "heavyball", "at step 250 mu would be 1.3"),
        ("nesterov:lr=0.005,mu=ramp(0.5,0.99,0.01)", "snv", "at step 49 beta1 would be 1"),
        ("nag:lr=0.005,mu=ramp(0.5,0.99,0.01)", "heavyball", "step 0 of .* has no equal in heavyball: its c is"),
    ],
)
def test_schedules_without_an_equal(source: str, target: str, word: str) -> None:
    """What a schedule would need outside its range is refused with the step."""
    with pytest.raises(ConvertError, match=word):
        convert(source, target, steps=300)


APPROXIMATE = [
    ("nag:lr=0.005,mu=ramp(0.5,0.99,0.01)", "nesterov"),
    ("nag:lr=0.005,mu=ramp(0.5,0.99,0.01)", "keras_nesterov"),
    ("nesterov:lr=0.005,mu=sutskever(0.99,20)", "nag"),
    ("nesterov:lr=cosine(0.01,200),mu=0.9", "keras_nesterov"),
    ("keras_nesterov:lr=step(0.01,0.5,30),mu=0.9", "nesterov"),
    ("nag:lr=warmup(0.001,20,0.01),mu=0.9", "nesterov"),
    ("heavyball:lr=warmup(0,10,0.01),mu=0.9", "classical"),
]


@pytest.mark.parametrize(("source", "target"), APPROXIMATE)
def test_the_stated_size_holds_and_is_no_exaggeration(source: str, target: str) -> None:
    """On random quadratics up to h_max two runs stay within the bound, and near the worst curvature they come close to it."""
    found = convert(source, target)
    assert not found.exact
    assert found.error is not None
    assert found.h_max is not None
    rows = [[method.row(t) for t in range(100)] for method in (found.source, found.target)]
    h = np.concatenate(
        [np.random.default_rng(1).uniform(0, found.h_max, 300), found.h_max * np.geomspace(1e-4, 1, 301)]
    )
    far = []
    for steps in rows:
        x, v, points = np.ones_like(h), np.zeros_like(h), []
        for row in steps:
            points.append(x + row.look * v)
            g = h * points[-1]
            v = row.keep * v + row.take * g
            x = x + row.move * v + row.kick * g
        far.append(np.array(points))
    worst = abs(far[0] - far[1]).max()
    assert worst <= found.error
    assert found.error <= 1.2 * worst


def test_the_bound_holds_in_five_dimensions() -> None:
    """For a rotated quadratic and any start the distance of the points is the bound times the start's distance at most."""
    found = convert(APPROXIMATE[0][0], "nesterov", steps=40)
    rng = np.random.default_rng(0)
    assert found.error
    assert found.h_max
    for _ in range(20):
        turn, _ = np.linalg.qr(rng.standard_normal((5, 5)))
        hessian = turn @ np.diag(rng.uniform(0, found.h_max, 5)) @ turn.T
        start, points = rng.standard_normal(5), []
        for method in (found.source, found.target):
            x, v = start, np.zeros(5)
            for t in range(40):
                row = method.row(t)
                points.append(x + row.look * v)
                g = hessian @ points[-1]
                v = row.keep * v + row.take * g
                x = x + row.move * v + row.kick * g
        apart_at = np.linalg.norm(np.array(points[:40]) - np.array(points[40:]), axis=1)
        assert apart_at.max() <= found.error * np.linalg.norm(start)


@pytest.mark.parametrize("source", ["heavyball:lr=0.1,mu=0.9,tau=1", "heavyball:lr=0,mu=0.9,tau=0.5"])
def test_no_size_where_no_curvature_limits(source: str) -> None:
    """With tau = 1 torch's first step moves and the row stands still: a bound of 0 up to curvature 0 would deny it."""
    note = next(note for note in convert(source, "classical").notes if "dampen" in note)
    assert "no size is stated" in note
    assert "at most" not in note


def test_dampening_says_what_torch_does_first() -> None:
    """torch begins with the raw gradient, the row's run with the buffer (tau/mu)·g; the note has the size of the difference."""
    torch = pytest.importorskip("torch")
    found = convert("heavyball:lr=0.1,mu=0.9,tau=0.5", "ema")
    note = next(note for note in found.notes if "dampen" in note)
    assert "(tau/mu)·g = 0.555556·g" in note
    h, size, h_max = torch.tensor([0.5, 3.0, 7.0]), float(note.split("at most ")[1].split()[0]), 76
    weight = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, dampening=0.5)
    x, row, theirs, ours = np.ones(3), found.target.row(), [], []
    v = found.scale * 0.5 / 0.9 * h.numpy() * x  # type: ignore[operator]
    plain_x, plain_v, undone = np.ones(3), np.zeros(3), []
    for _ in range(60):
        theirs.append(weight.detach().numpy().copy())
        ours.append(x)
        undone.append(plain_x)
        optimizer.zero_grad()
        (0.5 * (h * weight**2).sum()).backward()
        optimizer.step()
        v = row.keep * v + row.take * h.numpy() * x
        x = x + row.move * v + row.kick * h.numpy() * x
        plain_v = row.keep * plain_v + row.take * h.numpy() * plain_x
        plain_x = plain_x + row.move * plain_v
    assert np.allclose(theirs, ours, atol=1e-4)
    assert 0.01 < abs(np.array(theirs) - np.array(undone)).max() <= size
    assert common_limit([Row(*map(float, found.source.row()))]) == pytest.approx(h_max)
