"""States that are not what they are taken for: refused in one sentence, or read as what they are."""

import math
import random
from typing import Any

import numpy as np
import pytest
import torch

from carried import copies, stepped, tensors
from ravine.charts import EVERY
from ravine.conversion.crossing import convert_snapshot
from ravine.conversion.optax_state import read_optax
from ravine.conversion.snapshot import snapshot
from ravine.errors import ConvertError, RavineError
from ravine.torch.markers import refuse_strangers
from ravine.torch.momentum import Momentum
from ravine.torch.state import convert_state, read_torch, write_torch


def made(**changes: Any) -> dict[str, Any]:
    """Return a state of torch.optim.SGD in which something is else."""
    sgd = torch.optim.SGD(tensors(), lr=0.05, momentum=0.8)
    stepped(sgd, 2)
    state = sgd.state_dict()
    for place, value in changes.items():
        if place == "group":
            state["param_groups"][0].update(value)
        elif place == "drop":
            del state["param_groups"][0][value]
        else:
            state["state"][0] = value
    return state


V = torch.zeros(3, 2)
REFUSED: list[tuple[dict[str, Any], str, dict[str, Any], str]] = [
    ({"state": {"exp_avg": V, "exp_avg_sq": V, "step": V}}, "keras_nesterov", {}, "state of Adam"),
    ({"group": {"betas": (0.9, 0.99)}}, "classical", {}, "state of Adam"),
    ({"state": {"square_avg": V}}, "classical", {}, "state of RMSprop"),
    ({"state": {"history": V}}, "classical", {}, "'history'"),
    ({"state": {"velocity": V}}, "classical", {}, "keeps a momentum_buffer"),
    ({"group": {"rule": "nag"}}, "classical", {}, "keeps a velocity"),
    ({"group": {"rule": "classical"}}, "classical", {"source": "nag"}, "marked as of classical, not nag"),
    ({"group": {"rule": "mine"}}, "classical", {}, "'mine', which is no rule here"),
    ({"group": {"rule": ["nag"]}}, "classical", {}, "which is no rule here"),
    ({"group": {"nesterov": torch.ones(2)}}, "classical", {}, "must be True or False"),
    ({"group": {"params": [[0], 1, 2, 3]}}, "classical", {}, "numbers or names"),
    ({"state": {"momentum_buffer": torch.ones(3, 2, dtype=torch.bool)}}, "classical", {}, "no tensor of real"),
    ({"drop": "dampening"}, "classical", {}, "nothing says which method"),
    ({"drop": "lr"}, "classical", {"source": "torch"}, "needs lr"),
    ({"group": {"lr": "high"}}, "classical", {}, "lr in the param groups must be a number"),
    ({"group": {"momentum": 1.5}}, "classical", {}, "mu must be from 0 to below 1"),
    ({"state": {"momentum_buffer": torch.tensor([[0.0, 1], [2, torch.nan], [4, 5]])}}, "classical", {}, "not finite"),
    (
        {"state": {"momentum_buffer": torch.zeros(3)}},
        "classical",
        {"parameters": tensors()},
        "has shape (3,)",
    ),
    ({"state": {"momentum_buffer": 3}}, "classical", {}, "no tensor"),
    ({"group": {"params": [0, 0, 1, 2, 3]}}, "classical", {}, "two groups"),
    ({"group": {"params": [0]}}, "classical", {}, "which no param group lists"),
    ({"group": {"lr": 0.0}}, "classical", {}, "lr is 0"),
    ({}, "nag", {}, "has no equal in nag"),
    ({}, "adam", {}, "no framework or rule"),
    ({}, "classical:lr=0.9", {}, "no equal"),
    ({}, "classical:lr=high", {}, "cannot read the settings"),
    ({}, "classical:nu=0.9", {}, "has no setting 'nu'"),
    ({}, "heavyball:tau=ramp(0,1,0.1)", {}, "number of the moment"),
    ({"group": {"weight_decay": -1.0}}, "classical", {}, "weight decay must be 0 or more"),
    ({}, "classical", {"parameters": tensors()[:2]}, "4 parameters, 2 were given"),
    ({}, "keras", {}, "no optimizer of torch"),
    ({"group": {"maximize": True}}, "keras", {}, "cannot maximize"),
]


@pytest.mark.parametrize(("changes", "to", "more", "word"), REFUSED, ids=[row[3][:30] for row in REFUSED])
def test_what_does_not_fit_is_refused(changes: dict[str, Any], to: str, more: dict[str, Any], word: str) -> None:
    """A state of another optimizer, of another rule, or without an equal is refused in a sentence that says why."""
    with pytest.raises(RavineError) as told:
        convert_state(made(**changes), to, **more)
    assert word in str(told.value)
    assert "\n" not in str(told.value)


def test_whatever_stands_in_a_state_is_a_sentence_at_most() -> None:
    """A state in which anything is replaced by anything is converted or refused in a sentence, never another error."""
    rng = random.Random(1)
    junk = (None, 3, "x", [], [[1]], {}, {"a": 1}, math.nan, 10**400, b"x", True, torch.zeros(2), torch.zeros(2) > 0)
    refused = 0
    for _ in range(300):
        state = made()
        places = [(state, key) for key in state] + [(state["param_groups"][0], key) for key in state["param_groups"][0]]
        places += [(state["param_groups"][0], key) for key in ("rule", "look", "last_lr", "velocity", "param_names")]
        places += [(state["state"], 0), (state["state"][0], "momentum_buffer"), (state["param_groups"], 0)]
        for node, key in rng.sample(places, 2):
            node[key] = rng.choice(junk)
        try:
            convert_state(state, rng.choice(("classical", "torch", "qhm")))
        except RavineError as error:
            refused += "\n" not in str(error)
    assert refused > 200


def test_a_wrong_convention_is_refused_without_a_word_of_the_caller() -> None:
    """qhoptim's state looks like torch's and is not; said to be qhoptim's it is converted and goes on as it."""
    state = made(drop="dampening", group={"nu": 0.7})
    state["param_groups"][0].pop("nesterov")
    with pytest.raises(ConvertError, match="nothing says which method"):
        convert_state(state, "qhm")
    found = convert_state(state, "qhm", source="qhoptim").optimizer
    assert found["param_groups"][0]["nu"] == 0.7
    assert (found["state"][0]["velocity"] == state["state"][0]["momentum_buffer"]).all()


def test_a_moved_look_ahead_is_refused() -> None:
    """Where mu changed after the point was stored, the next update is no rule's own, and the state is not converted."""
    nag = Momentum(tensors(), rule="nag", lr=0.05, momentum=0.8)
    stepped(nag)
    nag.param_groups[0]["momentum"] = 0.9
    with pytest.raises(ConvertError, match=r"lie 0\.8·v ahead"):
        convert_state(nag.state_dict(), "keras_nesterov")


def test_numbers_that_do_not_fit_the_format_are_refused() -> None:
    """A buffer that would overflow or vanish in half precision is refused, and one that fits is converted."""
    for lr, v in ((1e-6, 1.0), (1e-4, 1e-3)):
        state = made(group={"lr": lr}, state={"momentum_buffer": torch.full((3, 2), v, dtype=torch.float16)})
        with pytest.raises(ConvertError, match=r"does not fit torch\.float16"):
            convert_state(state, "classical")
    big = snapshot("keras:lr=1e-6,mu=0.9", {"w": np.zeros(1)}, {"w": np.ones(1, np.float16)})
    with pytest.raises(ConvertError, match="does not fit float16"):
        convert_snapshot(big, "torch")


def test_sparse_complex_and_named_states() -> None:
    """Sparse buffers, complex ones, and states keyed by names are converted like the others."""
    rows = torch.sparse_coo_tensor(torch.tensor([[0, 2]]), torch.ones(2, 2), (3, 2), check_invariants=True)
    found = convert_state(made(state={"momentum_buffer": rows}), "classical").optimizer["state"][0]["velocity"]
    assert found.is_sparse
    assert found.to_dense()[0, 0] == pytest.approx(-0.05)
    state = {
        "state": {"fc.weight": {"momentum_buffer": torch.ones(2, dtype=torch.complex64)}},
        "param_groups": [{"params": ["fc.weight"], "lr": 0.5, "momentum": 0.9, "dampening": 0, "nesterov": False}],
    }
    assert convert_state(state, "classical").optimizer["state"]["fc.weight"]["velocity"][0] == -0.5


def test_optax_states_are_found_and_checked() -> None:
    """The velocity is found within any chain; a state of Adam, of two traces, or of the other dialect is refused."""
    import jax.numpy as jnp
    import optax

    w = {"dense": {"kernel": jnp.ones((2, 2))}, "bias": jnp.ones(2)}
    chain = optax.chain(optax.clip(1.0), optax.add_decayed_weights(0.1), optax.sgd(0.1, 0.9))
    run = read_optax(chain.init(w), w, "optax:lr=0.1,mu=0.9")
    assert set(run.buffers) == {"dense/kernel", "bias"}
    for state, dialect, word in (
        (optax.adam(0.1).init(w), "optax", "ScaleByAdamState"),
        (optax.chain(optax.trace(0.9), optax.trace(0.5)).init(w), "optax", "2 velocities"),
        (optax.ema(0.9).init(w), "optax", "EmaState"),
        (optax.sgd(0.1, 0.9).init({"bias": jnp.ones(2)}), "optax", "not that of the parameters"),
    ):
        with pytest.raises(ConvertError, match=word):
            read_optax(state, w, f"{dialect}:lr=0.1,mu=0.9")


def test_keras_lists_of_variables() -> None:
    """Keras's optimizer.variables, iteration and learning_rate first, are read in the parameters' order."""
    points = {"kernel": np.ones((2, 3)), "bias": np.zeros(3)}
    held = [np.int64(30), np.float32(0.1), np.full((2, 3), -0.1), np.full(3, 0.2)]
    run = snapshot("keras", points, held, learning_rate=0.1, momentum=0.9)
    assert convert_snapshot(run, "torch").buffers["bias"].tolist() == pytest.approx([-2.0] * 3)
    with pytest.raises(ConvertError, match="3 buffers do not fit 2"):
        snapshot("keras", points, held[1:], learning_rate=0.1, momentum=0.9)


@pytest.mark.parametrize("rule", [name for name in EVERY if name != "sgd"])
def test_every_rule_is_read_from_its_own_optimizer(rule: str) -> None:
    """The method that a Momentum's state tells is the one that it runs, whatever the rule."""
    from conversions import drawn

    method = drawn(rule, np.random.default_rng(3))
    optimizer = Momentum(tensors(), rule=method)
    stepped(optimizer, 2)
    assert str(read_torch(optimizer.state_dict()).groups[0].method) == str(method)
    found = convert_state(optimizer.state_dict(), rule).optimizer
    twin = Momentum(copies(optimizer.param_groups[0]["params"]), rule=method)
    twin.load_state_dict(found)
    for one, other in zip(stepped(optimizer, 3, 2), stepped(twin, 3, 2), strict=True):
        assert (one == other).all()


# What a caller says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("keras:lr=0.9", "keras was said to have learning_rate=0.9, and what was saved has learning_rate=0.05"),
        ("torch:lr=0.05,mu=0.9", "momentum=0.9"),
        ("keras:nesterov=1", "nesterov=True"),
        ("torch:dampening=0.1", "dampening=0.1"),
        ("keras:weight_decay=0.1", "weight_decay=0.1"),
    ],
)
def test_settings_that_the_state_contradicts_are_refused(source: str, word: str) -> None:
    """What source= says besides must be what the state has; what the state has not is taken from it."""
    with pytest.raises(ConvertError) as told:
        convert_state(made(), "qhm", source=source)
    assert word in str(told.value)
    assert read_torch(made(), source="torch:lr=0.05,mu=0.8,nesterov=0,weight_decay=0").settings["momentum"] == 0.8
    marked = convert_state(made(), "classical").optimizer
    with pytest.raises(ConvertError, match=r"lr=0\.7"):
        convert_state(marked, "qhm", source="classical:lr=0.7")
    bare = made(drop="nesterov")
    bare["param_groups"][0].pop("lr")
    found = convert_state(bare, "torch", source="keras:lr=0.25,nesterov=1,weight_decay=0").optimizer["param_groups"][0]
    assert (found["lr"], found["nesterov"]) == (0.25, True)


def test_what_looks_like_torch_is_noted() -> None:
    """torch.optim.SGD's own settings said to be Keras's are read so, with a note; those of another buffer alike go without."""
    found = convert_state(made(), "qhm", source="keras")
    assert any("looks like that of torch.optim.SGD" in note for note in found.notes)
    assert found.notes == (*read_torch(made(), source="keras").notes, *found.notes[1:])
    again = convert_snapshot(convert_snapshot(read_torch(made(), source="keras"), "qhm"), "qhm")
    assert not any("looks like" in note for note in again.notes)
    for source in ("torch", "heavyball", "optax"):
        assert read_torch(made(), source=source).notes == ()
    named = made(group={"learning_rate": 0.05})
    named["param_groups"][0].pop("lr")
    assert read_torch(named, source="keras").notes == ()


def test_a_snapshot_shares_no_memory() -> None:
    """What trains on changes no snapshot that was taken of it, neither its arrays nor its settings, nor the way back."""
    p, lr = tensors(), torch.tensor(0.05)
    sgd = torch.optim.SGD(p, lr=lr, momentum=0.8)
    stepped(sgd, 2)
    sgd.param_groups[0]["initial_lr"] = lr
    run = read_torch(sgd.state_dict(), parameters=p)
    points, array = {"w": np.ones(2)}, np.ones(2)
    taken = snapshot("keras:lr=0.1,mu=0.9", points, {"w": array})
    kept = [v.clone() for part in (run.parameters, run.buffers) for v in part.values()]
    stepped(sgd, 2)
    lr.fill_(7.0)
    points["w"][:], array[:] = 5, 5
    assert all((a == b).all() for a, b in zip(kept, (*run.parameters.values(), *run.buffers.values()), strict=True))
    assert float(run.groups[0].extra["initial_lr"]) == pytest.approx(0.05)
    assert (taken.parameters["w"] == 1).all()
    assert (taken.buffers["w"] == 1).all()
    twin = torch.optim.SGD(copies(p), lr=1)
    twin.load_state_dict(write_torch(run))
    stepped(twin, 2)
    assert all((a == b).all() for a, b in zip(kept[4:], run.buffers.values(), strict=True))


@pytest.mark.parametrize("kind", ["Adam", "RMSprop", "Adagrad", "Adadelta", "Rprop", "ASGD"])
def test_adaptive_states_are_called_by_their_name(kind: str) -> None:
    """A state that Adam or its like really saved is refused by name, by the one function that loading asks too."""
    other = getattr(torch.optim, kind)(tensors(), lr=0.1)
    stepped(other, 1)
    state = other.state_dict()
    with pytest.raises(ConvertError, match=f"state of {kind}"):
        convert_state(state, "classical", source="torch:mu=0.9,dampening=0")
    with pytest.raises(ConvertError, match=f"state of {kind}"):
        refuse_strangers(state["param_groups"][0], state["state"].values())
    refuse_strangers(made()["param_groups"][0], made()["state"].values())
