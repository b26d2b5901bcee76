"""The probe on what other libraries have: torch, optax, and the momentum methods of two packages."""

import functools
import importlib.util
import re
from pathlib import Path
from typing import Any

import optax
import pytest
import torch

from probed_packages import ASKED, available, line, probed, table
from ravine.optax import factory, momentum
from ravine.probe import Probed, probe

DOCS = Path(__file__).parents[1] / "docs" / "conventions.md"


def found(text: Any) -> Probed:
    """Probe it, and check that it is what it seems."""
    made = probe(text)
    assert isinstance(made, Probed)
    return made


@pytest.mark.parametrize(
    ("text", "rule", "inside"),
    [
        ("torch:SGD(lr=0.1)", "sgd:lr=0.1", None),
        ("torch:SGD(lr=0.1,momentum=0.9)", "heavyball:lr=0.1,mu=0.9", False),
        ("torch:SGD(lr=0.1,momentum=0.9,foreach=True)", "heavyball:lr=0.1,mu=0.9", False),
        ("torch:SGD(lr=0.1,momentum=0.9,dampening=0.3)", "heavyball:lr=0.1,mu=0.9,tau=0.3", False),
        ("torch:SGD(lr=0.1,momentum=0.9,dampening=0.9)", "heavyball:lr=0.1,mu=0.9,tau=0.9", False),
        ("torch:SGD(lr=0.1,momentum=0.9,nesterov=True)", "nesterov:lr=0.1,mu=0.9", False),
        ("optax:sgd(learning_rate=0.1)", "sgd:lr=0.1", None),
        ("optax:sgd(learning_rate=0.1,momentum=0.9)", "heavyball:lr=0.1,mu=0.9", False),
        ("optax:sgd(learning_rate=0.1,momentum=0.9,nesterov=True)", "nesterov:lr=0.1,mu=0.9", False),
        ("optax:ema(decay=0.9,debias=False)", "ema:lr=1,mu=0.9", None),
    ],
)
def test_the_rule_of_a_library(text: str, rule: str, inside: bool | None) -> None:
    """Each is the one rule that its documentation says, with the settings it was given, and without mistakes."""
    made = found(text)
    assert str(made.rules[0]) == rule
    assert made.lr_inside is inside
    assert not made.faults
    assert made.weight_decay is not None
    assert made.weight_decay.where == "none"


@pytest.mark.parametrize("mu", [0.5, 0.9])
@pytest.mark.parametrize("tau", [0.25, 0.5, 0.9])
def test_torchs_dampening_exception_is_named(mu: float, tau: float) -> None:
    """torch.optim.SGD takes its first gradient in undampened: 1/(1 - tau) times as strongly as any later one."""
    made = found(functools.partial(torch.optim.SGD, lr=0.1, momentum=mu, dampening=tau))
    (note,) = [f for f in made.findings if f.code == "first-step"]
    assert "torch.optim.SGD's dampening exception" in note.sentence
    assert f"{1 / (1 - tau):.6g} times as strongly" in note.sentence


@pytest.mark.parametrize(
    "text", ["torch:SGD(lr=0.1,momentum=0.9,weight_decay=0.01)", "torch:SGD(lr=0.1,weight_decay=0.01)"]
)
def test_torchs_weight_decay_is_coupled(text: str) -> None:
    """SGD's decay goes into the gradient, through the momentum; without momentum both kinds are the same."""
    decay = found(text).weight_decay
    assert decay is not None
    assert decay.where == ("coupled" if "momentum" in text else "either")
    assert decay.coupled == pytest.approx(0.01, rel=1e-9)


def test_torchs_maximize_climbs() -> None:
    """With maximize the same rule goes along the gradient."""
    made = found("torch:SGD(lr=0.1,momentum=0.9,nesterov=True,maximize=True)")
    assert (made.ascends, str(made.rule)) == (True, "nesterov:lr=0.1,mu=0.9")


@pytest.mark.skipif(not torch.__version__.startswith("2.13.0"), reason="a mistake of torch 2.13.0")
def test_the_mistake_of_the_fused_sgd() -> None:
    """An overflow at its very first step leaves memory that nobody wrote in fused SGD's buffer; a later one does nothing."""
    made = found("torch:SGD(lr=0.1,momentum=0.9,fused=True)")
    assert [f.code for f in made.faults] == ["overflow-folded-in"]
    assert made.skipped["overflow, first"] is False
    assert made.skipped["overflow, middle"] is True
    assert all(made.skipped[f"without gradients, {place}"] for place in ("first", "middle", "every second"))


@pytest.mark.parametrize("options", [{"momentum": 0.9}, {"momentum": 0.9, "foreach": True}, {"fused": True}])
def test_other_skipped_steps_are_harmless(options: dict[str, Any]) -> None:
    """torch's other paths skip what is to be skipped."""
    made = found(functools.partial(torch.optim.SGD, lr=0.1, **options))
    assert made.skip_harmless
    assert len(made.skipped) == 6


@pytest.mark.parametrize(
    "text",
    [
        "torch:Adam(lr=0.1)",
        "torch:Adam(lr=0.1,amsgrad=True)",
        "torch:AdamW(lr=0.1)",
        "torch:Adamax(lr=0.1)",
        "torch:NAdam(lr=0.1)",
        "torch:RAdam(lr=0.1)",
        "torch:RMSprop(lr=0.1)",
        "torch:RMSprop(lr=0.1,momentum=0.9,centered=True)",
        "torch:Rprop(lr=0.1)",
        "torch:Adagrad(lr=0.1)",
        "torch:Adadelta(lr=0.1)",
        "torch:Adafactor(lr=0.1)",
        "torch:Muon(lr=0.1)",
        "torch:LBFGS(lr=0.1)",
        "optax:adam(learning_rate=0.1)",
        "optax:lion(learning_rate=0.1)",
        "optax:sign_sgd(learning_rate=0.1)",
        "optax:rmsprop(learning_rate=0.1)",
        "optax:lars(learning_rate=0.1)",
    ],
)
def test_adaptive_methods_are_not_linear(text: str) -> None:
    """Each is called not linear, and how that was seen is a sentence with a number."""
    made = found(text)
    assert (made.kind, made.linear, made.rules) == ("nonlinear", False, ())
    assert re.search(r"(just|\d times) as far, not", made.how)


def test_sign_descent_moves_as_far_for_twice_the_gradient() -> None:
    """signSGD with momentum is not linear: twice the gradient moves once as far."""

    class SignSGD(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = None if p.grad is None else p.grad.sign()
            super().step(closure)

    made = found(lambda params: SignSGD(params, lr=0.1, momentum=0.9))
    assert (made.kind, made.how) == ("nonlinear", "twice the gradient moved just as far, not twice as far")


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("torch:ASGD(lr=0.1)", "changing"),  # its lr falls and its decay shrinks, a little at every step
        ("optax:ema(decay=0.9)", "changing"),  # the correction of the beginning
        (optax.sgd(optax.linear_schedule(0.1, 0.01, 50), momentum=0.9), "changing"),
        (optax.chain(optax.trace(0.9), optax.trace(0.5), optax.scale(-0.1)), "buffers"),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)), "nonlinear"),
        (optax.chain(optax.clip(1.0), optax.sgd(0.1)), "nonlinear"),
        (optax.chain(optax.centralize(), optax.sgd(0.1, 0.9)), "coupled"),
        (optax.lookahead(optax.sgd(0.1), 5, 0.5), None),
    ],
)
def test_other_kinds(what: Any, word: str | None) -> None:
    """What is linear but no single momentum method, or clipped, is told from it."""
    if word is None:
        with pytest.raises(ValueError, match="raised"):
            found(what)
        return
    assert found(what).kind == word


def test_debiased_ema_settles_to_ema() -> None:
    """optax.ema with its correction becomes the averaged gradient in the long run."""
    made = found("optax:ema(decay=0.9)")
    assert "ema:lr=1,mu=0.9" in [str(m) for m in made.alike]


def test_two_traces_need_two_buffers() -> None:
    """A trace of a trace has two poles."""
    assert found(optax.chain(optax.trace(0.9), optax.trace(0.5), optax.scale(-0.1))).order == 2


def test_decoupled_decay_of_a_chain() -> None:
    """Decayed weights added before the trace are coupled, after it decoupled."""
    before = optax.chain(optax.add_decayed_weights(0.01), optax.trace(0.9), optax.scale(-0.1))
    after = optax.chain(optax.trace(0.9), optax.add_decayed_weights(0.01), optax.scale(-0.1))
    kinds = [found(o).weight_decay for o in (before, after)]
    assert [d and d.where for d in kinds] == ["coupled", "decoupled"]
    assert kinds[0] is not None
    assert kinds[0].coupled == pytest.approx(0.01, rel=1e-6)
    assert kinds[1] is not None
    assert 1 - kinds[1].shrink == pytest.approx(0.001, rel=1e-6)


@pytest.mark.parametrize("rule", ["classical", "heavyball", "nag", "nesterov", "keras_nesterov", "ema"])
def test_our_own_optax_transformation(rule: str) -> None:
    """ravine.optax.momentum is recognised as its rule; with injected settings as that rule alone."""
    assert rule in [m.name for m in found(momentum(rule, lr=0.1, mu=0.9)).rules]
    made = found(optax.inject_hyperparams(factory(rule))(lr=0.1, mu=0.9))
    assert {m.name for m in made.rules} - {"qhm"} == {rule}


@pytest.mark.parametrize("package", ["pytorch_optimizer", "heavyball"])
def test_the_table_of_the_docs(package: str) -> None:
    """docs/conventions.md says of every optimizer of the package what is found now."""
    if importlib.util.find_spec(package) is None or not available(package):
        pytest.skip(f"{package} is not installed in the version of the table")
    text = DOCS.read_text(encoding="utf-8")
    head = table(())
    assert head[0] in text
    for entry in ASKED:
        if entry[0] == package:
            assert line(*entry) in text, line(*entry)


@pytest.mark.skipif(not (available("torch") and available("optax")), reason="other versions than the table's")
def test_the_tables_own_libraries() -> None:
    """The rows of torch and optax are what is found now."""
    text = DOCS.read_text(encoding="utf-8")
    for entry in ASKED:
        if entry[0] in ("torch", "optax"):
            assert line(*entry) in text, line(*entry)


def test_a_real_mistake_of_a_package() -> None:
    """pytorch_optimizer 4.1.0's PID counts a step without gradients, so that its first difference is one of nothing."""
    if not available("pytorch_optimizer"):
        pytest.skip("pytorch_optimizer is not installed in the version of the table")
    made = probed("pytorch_optimizer", "PID", {"lr": 0.1, "momentum": 0.9})
    assert isinstance(made, Probed)
    assert [f.code for f in made.faults] == ["skip-folded-in"]
