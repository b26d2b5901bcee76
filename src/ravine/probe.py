"""What an optimizer really does: designed gradients in, the five numbers out.

    g_0, g_1, … -> x_0, x_1, x_2, …        (a, b, c) by regression        the rules with that response, rehearsed

Only the parameters are read, never the state. Settings are read where a library keeps them, to change them in the
middle and to hold what was asked for against what was seen.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ravine.algebra import Response
from ravine.errors import ProbeError
from ravine.probing import faults
from ravine.probing.changes import Changes, changes, without_decay
from ravine.probing.identify import NONE, Decay, Fit, decay, fit, momentum_of, order
from ravine.probing.kinds import machine_of
from ravine.probing.linearity import Linearity, linearity
from ravine.probing.machines import Machine
from ravine.probing.match import as_asked, candidates
from ravine.probing.probed import Finding, Probed
from ravine.probing.series import silence, start
from ravine.probing.skips import harmless, skips
from ravine.probing.timing import LATE, Timing, timing
from ravine.rules import Method

__all__ = ["ProbeError", "Probed", "probe"]


def probe(factory: Any, *, asked: Mapping[str, Any] | None = None) -> Probed:
    """Find out which momentum method an optimizer is, from what it does to parameters.

    Args:
        factory: a function from parameters to a `torch.optim.Optimizer`, an Optax transformation or a function that makes
            one, a function `start(x0) -> step` with `step(g) -> x`, an object with `apply(gradients, variables)`,
            or text: `torch:SGD(lr=0.1,momentum=0.9)`, `optax:sgd(learning_rate=0.1)`, `path/to/file.py:function`.
        asked: the settings that a function of yours was given, such as `{"lr": 0.1, "momentum": 0.9}`; those of torch
            and of injected Optax hyperparameters are known.

    Returns:
        A `Probed`: the response (a, b, c), the rules that match with their settings, how the first step, weight decay,
        lr, and skipped steps go, and findings; printed, it is a report.

    Raises:
        ProbeError: it cannot be played, or it raises.

    Example:
        >>> def start(x0):
        ...     x, v = x0.copy(), 0 * x0
        ...     def step(g):
        ...         v[:] = 0.9 * v - 0.1 * g
        ...         x[:] = x + v
        ...         return x
        ...     return step
        >>> found = probe(start)
        >>> found.kind, str(found.rule)
        ('momentum', 'classical:lr=0.1,mu=0.9')

    Source: the response of `ravine.algebra`; the impulse and superposition tests of linear systems.
    """
    machine = machine_of(factory, asked or {})
    seen = linearity(machine)
    skipped = skips(machine, seen.unit, seen.tolerance) if seen.repeats else {}
    found = [*(faults.of_look(seen) if seen.repeats else ()), *faults.of_skips(skipped)]
    told = _no_method(seen) or _linear(machine, seen)
    common = {
        "asked": machine.asked,
        "skipped": skipped,
        "skip_harmless": harmless(skipped),
        "misfit": seen.misfit,
    }
    return Probed(machine.name, **{**common, **told, "findings": (*found, *told.get("findings", ()))})


def _no_method(seen: Linearity) -> dict[str, Any]:
    """Return what is told of one that is no linear method of single coordinates, nothing if it is one."""
    if not seen.moves:
        return {"kind": "still", "how": "no gradient moved a parameter"}
    if not seen.repeats:
        return {"kind": "random", "how": "two equal runs from the same start ended at different points"}
    if not seen.linear:
        return {"kind": "nonlinear", "how": seen.how}
    if seen.drift:
        return {"kind": "drifting", "how": f"from 0, without gradients, it got as far as {seen.drift:.3g}"}
    if seen.coupled:
        how = "a coordinate moved otherwise when the gradients of the others were left out"
        return {"kind": "coupled", "how": how}
    return {}


def _linear(machine: Machine, seen: Linearity) -> dict[str, Any]:
    """Return what is told of a linear optimizer, by whether its numbers stay and how many buffers it needs."""
    when = timing(machine, seen.unit, seen.tolerance)
    if when.changes:
        return {"kind": "changing", "how": when.how, **_settled(machine, seen, when)}
    numbers = fit(machine, seen.unit, seen.tolerance, seen.alike)
    if numbers is None:
        buffers = order(machine, seen.unit, seen.alike)
        return {"kind": "buffers", "how": "one buffer does not explain the moves", "order": buffers}
    kind = "momentum" if numbers.remembers else "descent"
    return {"kind": kind, "how": _how(numbers), **_identified(machine, seen, when, numbers)}


def _settled(machine: Machine, seen: Linearity, when: Timing) -> dict[str, Any]:
    """Return the numbers that it has after a long time, if it keeps to some."""
    if not when.settles:
        return {}
    numbers = fit(machine, seen.unit, seen.tolerance, seen.alike, wait=LATE)
    if numbers is None:
        return {}
    wanted, ascends = _downhill(momentum_of(numbers, NONE))
    same = tuple(candidates(wanted, machine.asked, seen.tolerance))
    grows = tuple(faults.of_growth(wanted.a, numbers.misfit))
    return {"response": wanted, "alike": same, "ascends": ascends, "findings": grows}


def _identified(machine: Machine, seen: Linearity, when: Timing, numbers: Fit) -> dict[str, Any]:
    """Return everything that is known of a linear optimizer with one buffer or none."""
    pulled = _pulled(machine, seen, numbers)
    wanted, ascends = _downhill(momentum_of(numbers, pulled))
    if ascends:  # what is added to the gradient is added to its opposite then
        pulled = pulled._replace(coupled=-pulled.coupled)
    same = _candidates(wanted, machine, pulled, seen.tolerance)
    after = _changes(machine, same, seen, pulled, ascends)
    rules = _sorted(after.methods, machine.asked)
    if rules and _looks(rules[0]) and pulled.shrink:
        wanted = wanted._replace(c=wanted.c / pulled.shrink)
    lr = next((float(machine.asked[k]) for k in ("lr", "learning_rate") if k in machine.asked), None)
    findings: list[Finding] = [
        *faults.of_growth(wanted.a, numbers.misfit),
        *faults.of_momentum(numbers.remembers, machine.asked),
        *faults.of_lr(after, tuple(same), machine.asked),
        *faults.of_first_step(when, numbers),
        *faults.of_decay(pulled, machine.asked, lr),
    ]
    return {
        "response": wanted,
        "rules": rules,
        "alike": tuple(m for m in _sorted(tuple(same), machine.asked) if m not in rules),
        "ascends": ascends,
        "order": int(numbers.remembers),
        "first_step": _first_step(when),
        "weight_decay": pulled,
        "decay_by_lr": _by_lr(machine, seen, pulled),
        "lr_inside": after.lr_inside,
        "momentum_acts": numbers.remembers,
        "varied": after.varied,
        "misfit": max(seen.misfit, numbers.misfit),
        "findings": findings,
    }


def _pulled(machine: Machine, seen: Linearity, numbers: Fit) -> Decay:
    """Return the weight decay, and by what the buffer is seeded: that shows where the decay is switched off."""
    if off := without_decay(machine):
        quiet = replace(machine, play=lambda x0, events, scaled: machine.play(x0, [off, *events], scaled))
        alone = fit(quiet, seen.unit, seen.tolerance, seen.alike)
        seed = decay(quiet, alone, seen.alike).seed if alone else 0.0
        return decay(machine, numbers, seen.alike, seed)
    return decay(machine, numbers, seen.alike)


def _candidates(wanted: Response, machine: Machine, pulled: Decay, near: float) -> list[Method]:
    """Return the rules with this response; where x shrinks, one that looks ahead stores a point that shrinks otherwise."""
    found = candidates(wanted, machine.asked, near)
    if pulled.shrink in (0, 1):
        return found
    ahead = candidates(wanted._replace(c=wanted.c / pulled.shrink), machine.asked, near)
    return [m for m in found if not _looks(m)] + [m for m in ahead if _looks(m)]


def _looks(method: Method) -> bool:
    return bool(method.row().look != 0)


def _downhill(wanted: Response) -> tuple[Response, bool]:
    """Return the response of descent, and whether it was one of ascent, by where a constant gradient leads in the end.

    Its moves tend to (b - c)/(1 - a), and where the velocity grows, a > 1, to multiples of a^t·(a·b - c)/(a - 1).
    """
    ascends = bool(max(wanted.a, 1.0) * wanted.b - wanted.c > 0)
    return (Response(wanted.a, -wanted.b, -wanted.c), True) if ascends else (wanted, False)


def _changes(machine: Machine, same: list[Method], seen: Linearity, pulled: Decay, ascends: bool) -> Changes:
    if ascends:  # what is rehearsed goes downhill
        flipped = replace(machine, play=lambda x0, events, scaled: -machine.play(-x0, events, scaled))
        return changes(flipped, same, seen.unit, pulled, seen.tolerance)
    return changes(machine, same, seen.unit, pulled, seen.tolerance)


def _sorted(methods: tuple[Method, ...], asked: Mapping[str, Any]) -> tuple[Method, ...]:
    """Return methods, those with few settings first, and before them those with the settings that were asked for."""
    named = asked.get("rule")

    def rank(method: Method) -> tuple[bool, bool, int]:
        return method.name != named, not as_asked(method, asked), str(method).count("=")

    return tuple(sorted(methods, key=rank))


def _by_lr(machine: Machine, seen: Linearity, pulled: Decay) -> bool | None:
    """Say whether decoupled decay is multiplied by lr: from a doubled lr, else from what was asked for."""
    if pulled.where not in ("decoupled", "both"):
        return None
    key = next((k for k in ("lr", "learning_rate") if k in machine.keys and machine.asked[k]), None)
    if key is not None:
        path = machine.run(start(), [{key: 2 * float(machine.asked[key])}, *silence(1)])
        e = float((path[1] / path[0])[seen.alike].mean() - 1)
        return abs(e / (pulled.shrink - 1) - 2) < 1e-3 if pulled.where == "decoupled" else None
    wanted, rate = machine.asked.get("weight_decay"), machine.asked.get("lr")
    return None if not wanted or not rate else abs((1 - pulled.shrink) / wanted / rate - 1) < 1e-3


def _first_step(when: Timing) -> str:
    if not when.first_differs:
        return "like all others"
    return f"the first gradient enters {when.first_ratio:.6g} times as strongly as later ones"


def _how(numbers: Fit) -> str:
    left = f"{numbers.misfit:.1g} of the movement is left unexplained"
    return f"sums, multiples and delays of gradients answered alike; {left}"
