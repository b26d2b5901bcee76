"""The Optax transformation: every rule against the NumPy stepper, optax.sgd, and the torch optimizer, step by step."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from exact import flat_walk
from ravine import convert
from ravine.charts import EVERY
from ravine.errors import MissingPackage, RuleError, ScheduleError
from ravine.optax import MomentumState, factory, iterate, momentum
from ravine.rules import RULES, Row, parse
from ravine.schedules import SCHEDULES
from ravine.schedules import parse as schedule
from ravine.torch.momentum import Momentum

CURVATURES, START, STEPS = [2.0, 100.0], [9.0, 1.0], 60
H = np.array(CURVATURES)
# One of every rule of the table and the charts, and those with mu under schedules too.
METHODS = [
    "sgd:lr=0.003",
    "classical:lr=0.003,mu=0.9",
    "heavyball:lr=0.003,mu=0.9,tau=0.3",
    "nag:lr=0.003,mu=0.9",
    "nesterov:lr=0.003,mu=0.9",
    "keras_nesterov:lr=0.003,mu=0.9",
    "ema:lr=0.03,mu=0.9",
    "qhm:lr=0.02,mu=0.9,nu=0.7",
    "triple:L=100,m=2",
    "snv:alpha=0.003,beta1=0.9,beta2=0.5",
    "robust:L=100,kappa=50,rho=0.9",
    "pid:kp=-0.002,ki=0.01,kd=0.02",
    "accsgd:delta=0.003,kappa=30,xi=10",
    "classical:lr=step(0.003,0.5,10),mu=ramp(0.5,0.99,0.01)",
    "heavyball:lr=cosine(0.003,50),mu=ramp(0.5,0.99,0.01),tau=ramp(0,0.9,0.1)",
    "nag:lr=warmup(0.0001,10,0.003),mu=ramp(0.5,0.99,0.01)",
    "nag:lr=0.003,mu=then(nesterov83,20,0.5)",
    "nesterov:lr=exponential(0.003,0.01),mu=sutskever(0.99,10)",
    "keras_nesterov:lr=inverse(0.003,0.1),mu=linear(0.5,0.99,30)",
    "qhm:lr=onecycle(0.001,0.02,60,0.0001),mu=ramp(0.5,0.99,0.01),nu=linear(1,0.1,60)",
    "triple:L=search(100,0.5,40),m=0.2",
    "snv:alpha=0.003,beta1=finaldrop(0.95,60,0.5,20),beta2=ramp(0,0.9,0.02)",
]
METHODS = [
    m.replace("nesterov83,", "nesterov83(),").replace("search(100,0.5,40)", "linear(100,140,40)") for m in METHODS
]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """Run in double precision."""
    with jax.enable_x64(True):
        yield


def path(optimizer: Any, start: Any = START, curvatures: Any = CURVATURES, steps: int = STEPS) -> tuple[Any, Any]:
    """Return stored points and iterates, (steps, n) each, of a compiled scan on ½ Σ hᵢxᵢ²."""
    h = jnp.asarray(curvatures)

    def one(carry: Any, _: None) -> Any:
        y, state = carry
        change, state = optimizer.update(h * y, state, y)
        y = optax.apply_updates(y, change)
        return (y, state), (y, y if isinstance(state, tuple) and not _ours(state) else iterate(y, state))

    y = jnp.asarray(start)
    _, (ys, xs) = jax.jit(lambda: jax.lax.scan(one, (y, optimizer.init(y)), None, length=steps))()
    return np.asarray(ys), np.asarray(xs)


def _ours(state: Any) -> bool:
    return any(
        isinstance(s, MomentumState) for s in jax.tree.leaves(state, is_leaf=lambda s: isinstance(s, MomentumState))
    )


@pytest.mark.parametrize("text", METHODS)
def test_every_rule_walks_as_the_stepper(text: str) -> None:
    """Compiled, under schedules too, each rule's x is that of the NumPy stepper at every step, to rounding."""
    method = parse(text, EVERY)
    expected, _ = flat_walk([method.row(t) for t in range(STEPS)], CURVATURES, START)
    for optimizer in (momentum(method), momentum(text), momentum(method.rule, **method.settings)):
        np.testing.assert_allclose(path(optimizer)[1], expected[1:], rtol=0, atol=1e-12 * np.abs(expected).max())


def test_every_rule_is_walked() -> None:
    """The list above leaves out no rule."""
    assert {parse(text, EVERY).name for text in METHODS} == set(EVERY)


@pytest.mark.parametrize(
    ("ours", "options"),
    [
        ("sgd:", {}),
        ("heavyball:mu=0.9,", {"momentum": 0.9}),
        ("nesterov:mu=0.9,", {"momentum": 0.9, "nesterov": True}),
    ],
)
@pytest.mark.parametrize("lr", ["0.003", "cosine(0.01,100,0.001)"])
def test_optax_sgd(ours: str, options: dict[str, Any], lr: str) -> None:
    """heavyball, nesterov and sgd are optax.sgd at every step, to rounding."""
    rate = parse(f"sgd:lr={lr}").settings["lr"]
    table = jnp.asarray(rate(np.arange(STEPS))) if callable(rate) else None
    given = rate if table is None else lambda count: table[count]
    theirs, _ = path(optax.sgd(given, **options))
    np.testing.assert_allclose(path(momentum(f"{ours}lr={lr}"))[0], theirs, rtol=0, atol=1e-14 * 9)


def test_nag_under_the_ramp_is_the_papers() -> None:
    """mathematics.md 3: f = x² + 50y² from (9, 1), lr 0.005, ramp 0.5 to 0.99: 1.7868 is asked by nag, 1.8204 by torch's."""
    ramp = SCHEDULES["ramp"](0.5, 0.99, 0.01)
    found = [path(momentum(rule, lr=0.005, mu=ramp), steps=40)[0][-1][0] for rule in ("nag", "nesterov")]
    np.testing.assert_allclose(found, [1.7868, 1.8204], rtol=0, atol=5e-5)


@pytest.mark.parametrize("text", ["heavyball:lr=0.003,mu=0.9", "nag:lr=0.003,mu=ramp(0.5,0.99,0.01)"])
def test_coupled_weight_decay_is_a_stiffer_problem(text: str) -> None:
    """Coupled decay adds itself to every curvature, in the velocity too, as optax.add_decayed_weights before it does."""
    method = parse(text)
    expected, _ = flat_walk([method.row(t) for t in range(STEPS)], [h + 0.5 for h in CURVATURES], START)
    _, x = path(momentum(text, weight_decay=0.5))
    np.testing.assert_allclose(x, expected[1:], rtol=0, atol=1e-12 * np.abs(expected).max())
    chained = optax.chain(optax.add_decayed_weights(0.5), momentum(text))
    np.testing.assert_allclose(x, path(chained)[1], rtol=0, atol=1e-13 * np.abs(expected).max())


def test_decoupled_weight_decay_shrinks_the_point_alone() -> None:
    """x = (1 - lr·wd)·x + the rule's move, the velocity untouched: a recurrence by hand, for nag under the ramp."""
    lr, wd = 0.003, 0.5
    mu = [min(0.5 + 0.01 * t, 0.99) for t in range(STEPS)]
    x, v, xs = np.array(START), np.zeros(2), []
    for t in range(STEPS):
        v_next = mu[t] * v - lr * H * (x + mu[t] * v)
        x, v = (1 - lr * wd) * x + v_next, v_next
        xs.append(x)
    optimizer = momentum("nag:mu=ramp(0.5,0.99,0.01)", lr=lr, weight_decay=wd, decoupled_weight_decay=True)
    np.testing.assert_allclose(path(optimizer)[1], xs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("decay", [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "decoupled_weight_decay": True}])
@pytest.mark.parametrize("text", METHODS[:13])
def test_the_torch_optimizer(text: str, decay: dict[str, Any]) -> None:
    """ravine.torch.Momentum stores the same parameters at every step."""
    method = parse(text, EVERY)
    if decay.get("decoupled_weight_decay") and "lr" not in method.settings:
        return  # both refuse it
    y = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer, theirs = Momentum([y], rule=method, **decay), []
    for _ in range(STEPS):
        y.grad = torch.tensor(CURVATURES, dtype=torch.float64) * y.detach()
        optimizer.step()
        theirs.append(y.detach().numpy().copy())
    ours, _ = path(momentum(method, **decay))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("rule", "texts"),
    [
        ("nag", {"lr": "warmup(0.0001,10,0.003)", "mu": "0.9", "weight_decay": "ramp(0.1,0.5,0.01)"}),
        ("qhm", {"lr": "0.003", "mu": "ramp(0.5,0.99,0.01)", "nu": "linear(1,0.1,60)"}),
    ],
)
def test_settings_as_text(rule: str, texts: dict[str, str]) -> None:
    """A text is read as the number or schedule that it means, lr, mu, weight decay and a rule's own settings alike."""
    read = {key: schedule(text) for key, text in texts.items()}
    np.testing.assert_array_equal(path(momentum(rule, **texts))[0], path(momentum(rule, **read))[0])


# Used as Optax is used -------------------------------------------------------------------------------------------


def test_trees_and_missing_gradients() -> None:
    """Each leaf of a tree is its own; a leaf without gradient keeps its velocity and does not change."""
    optimizer = momentum("nag", lr=0.1, mu=0.9, state_dtype=jnp.float64)
    params = {"a": jnp.ones(3), "b": [jnp.zeros((2, 2)), jnp.array(1.0)]}
    state = optimizer.init(params)
    change, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
    assert jax.tree.structure(change) == jax.tree.structure(params)
    skipped, later = optimizer.update({"a": None, "b": [jnp.ones((2, 2)), None]}, state, params)
    assert skipped["a"] is None
    assert later.velocity["a"] is state.velocity["a"]
    assert float(later.velocity["b"][0][0, 0]) == pytest.approx(-0.1 - 0.09, abs=1e-15)


def test_many_settings_at_once() -> None:
    """vmap over lr and mu makes as many runs, each as alone."""
    lrs, mus = jnp.array([0.001, 0.002, 0.003]), jnp.array([0.5, 0.8, 0.9])

    def last(lr: Any, mu: Any) -> Any:
        optimizer = momentum("nag", lr=lr, mu=mu)
        y = jnp.asarray(START)
        state = optimizer.init(y)
        for _ in range(5):
            change, state = optimizer.update(jnp.asarray(CURVATURES) * y, state, y)
            y = optax.apply_updates(y, change)
        return y

    together = jax.jit(jax.vmap(last))(lrs, mus)
    alone = [path(momentum("nag", lr=float(lr), mu=float(mu)), steps=5)[0][-1] for lr, mu in zip(lrs, mus, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-14)


def test_settings_changed_from_outside() -> None:
    """Under inject_hyperparams a mu set by hand acts at the next update, and iterate still gives x: the rows by hand."""
    optimizer = optax.inject_hyperparams(factory("nag"))(lr=0.003, mu=0.5)
    y = jnp.asarray(START)
    state = optimizer.init(y)
    x, v, ahead = np.array(START), np.zeros(2), 0.5
    for t in range(20):
        mu = 0.5 + 0.02 * t
        state.hyperparams["mu"] = mu
        change, state = optimizer.update(H * np.asarray(y), state, y)
        y = optax.apply_updates(y, change)
        v_next = mu * v - 0.003 * H * (x + ahead * v)  # asked where the parameters stood, by the mu of before
        x, v, ahead = x + v_next, v_next, mu
        np.testing.assert_allclose(iterate(y, state), x, rtol=0, atol=1e-14)


def test_inside_a_chain() -> None:
    """After clipping, in a chain, iterate finds the state."""
    optimizer = optax.chain(optax.clip(1.0), momentum("nag", lr=0.1, mu=0.9))
    y = jnp.array([10.0])
    change, state = optimizer.update(2 * y, optimizer.init(y), y)
    assert float(iterate(y + change, state)[0]) == pytest.approx(10 - 0.1, abs=1e-14)


def test_low_precision_parameters() -> None:
    """bfloat16 parameters may have a float32 velocity; both keep their types over a scan."""
    optimizer = momentum("nag", lr=SCHEDULES["ramp"](0.1, 0.2, 0.01), mu=0.9, state_dtype=jnp.float32)
    y = jnp.ones(2, jnp.bfloat16)
    change, state = optimizer.update(y, optimizer.init(y), y)
    assert (change.dtype, state.velocity.dtype) == (jnp.bfloat16, jnp.float32)
    _, after = optimizer.update(y, state, y)
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
    assert [a.dtype for a in jax.tree.leaves(after)] == [a.dtype for a in jax.tree.leaves(state)]


@pytest.mark.parametrize("chunk", [7, 20])
def test_goes_on_from_a_saved_state(chunk: int) -> None:
    """A state written to NumPy and read back continues bit-equal, schedule included."""
    optimizer = momentum("nag:lr=0.003,mu=ramp(0.5,0.99,0.01)")
    update = jax.jit(optimizer.update)
    y = jnp.asarray(START)
    state, saved = optimizer.init(y), None
    for t in range(40):
        if t == chunk:
            saved = jax.tree.map(np.asarray, (y, state))
        change, state = update(jnp.asarray(CURVATURES) * y, state, y)
        y = optax.apply_updates(y, change)
    z, state = jax.tree.map(jnp.asarray, saved)
    for _ in range(40 - chunk):
        change, state = update(jnp.asarray(CURVATURES) * z, state, z)
        z = optax.apply_updates(z, change)
    np.testing.assert_array_equal(y, z)


def test_schedules_that_cannot_be_traced() -> None:
    """A function of yours that branches on the step, and a converted schedule, act in a compiled scan as they stand."""
    mus = [0.5 if t < 10 else 0.9 for t in range(STEPS)]
    expected, _ = flat_walk([RULES["nag"].row(0.003, mu) for mu in [*mus, 0.9]][:STEPS], CURVATURES, START)
    _, x = path(momentum("nag", lr=0.003, mu=lambda t: 0.5 if t < 10 else 0.9))
    np.testing.assert_allclose(x, expected[1:], rtol=0, atol=1e-12)
    found = convert("classical:lr=step(0.003,0.5,7),mu=0.4", "heavyball", steps=STEPS)
    expected, _ = flat_walk([found.source.row(t) for t in range(STEPS)], CURVATURES, START)
    np.testing.assert_allclose(path(momentum(found.target))[1], expected[1:], rtol=0, atol=1e-12)


def test_a_rule_of_yours() -> None:
    """A function that returns a row is a rule."""

    def half(lr: float, mu: float) -> Row:
        return Row(mu, 1, -lr / 2, -lr / 2, 0)

    expected, _ = flat_walk([half(0.003, 0.9)] * STEPS, CURVATURES, START)
    np.testing.assert_allclose(path(momentum(half, 0.003, 0.9))[1], expected[1:], rtol=0, atol=1e-12)


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: momentum("nagg", lr=0.1, mu=0.9), "did you mean 'nag'"),
        (lambda: momentum("nag", lr=0.1), "nag needs mu"),
        (lambda: momentum("nag", lr=0.1, mu=1.0), "mu must be from 0 to below 1, got 1"),
        (lambda: momentum("nag", lr=float("nan"), mu=0.5), "lr must be 0 or more, got nan"),
        (lambda: momentum("sgd", lr=0.1, mu=0.5), "sgd has no setting 'mu'"),
        (lambda: momentum("nag", lr=0.1, mu=lambda t: 1.5), "mu must be from 0 to below 1, got 1.5 at step 0"),
        (lambda: momentum("nag:lr=0.1", lr=0.1, mu=0.9), "lr is given twice"),
        (lambda: momentum(3, lr=0.1), "takes a name, a rule, a method or a function"),
        (lambda: momentum("nag", lr=0.1, mu=0.9, weight_decay=-1), "weight_decay must be a number, 0 or more"),
        (lambda: momentum("triple:L=3,m=1", weight_decay=1, decoupled_weight_decay=True), "use the coupled one"),
        (lambda: momentum("triple:L=3,m=1", lr=1), "triple has no setting 'lr'"),
        (lambda: momentum("sgd", lr=0.1, weight_decay=1).update(jnp.ones(1), momentum("sgd", 0.1).init(jnp.ones(1))),
         "weight decay needs the parameters"),
        (lambda: iterate(jnp.ones(1), optax.sgd(0.1).init(jnp.ones(1))), "got 0 of them"),
    ],
)  # fmt: skip
def test_refused_in_one_sentence(call: Any, says: str) -> None:
    """Bad input raises a RuleError that says what came and what is allowed."""
    with pytest.raises(RuleError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["rampp(0.1,1,0.1)", "0.1 + 0.1", "", "__import__('os')"])
@pytest.mark.parametrize("key", ["lr", "mu", "weight_decay"])
def test_a_text_that_is_no_schedule(key: str, text: str) -> None:
    """A text that means no number and no schedule is refused with what one looks like, or the nearest name."""
    with pytest.raises(ScheduleError, match=r"did you mean 'ramp'|write (a number or )?one like|no schedule is called"):
        momentum("nag", **{"lr": 0.1, "mu": 0.9, key: text})


def test_a_schedule_that_raises() -> None:
    """A schedule's own mistake is said in a sentence, in a compiled program too."""
    with pytest.raises(ScheduleError, match="raised ZeroDivisionError at step 0"):
        momentum("sgd", lr=lambda t: 1 // 0)


def test_without_optax(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the extra is named."""
    monkeypatch.setitem(__import__("sys").modules, "optax", None)
    with pytest.raises(MissingPackage, match=r"ravine\[optax\]"):
        momentum("sgd", lr=0.1)
