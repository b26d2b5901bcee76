"""Mistakes that are recognised, and other things worth a sentence, each from what was seen and what was asked for."""

from collections.abc import Mapping
from typing import Any

from ravine.probing.changes import Changes
from ravine.probing.identify import Decay, Fit
from ravine.probing.linearity import Linearity
from ravine.probing.machines import ENTRIES
from ravine.probing.match import tidy
from ravine.probing.probed import Finding
from ravine.probing.skips import sentence
from ravine.probing.timing import Timing
from ravine.rules import Method

CLOSE = 1e-4  # of two numbers, one asked for and one seen
SINGLE = 1e-9  # a misfit above it is not that of double precision
MOMENTA = ("momentum", "mu", "decay")


def of_momentum(remembers: bool, asked: Mapping[str, Any]) -> list[Finding]:
    """Say that momentum was asked for and no gradient of the past acts."""
    key = next((k for k in MOMENTA if _number(asked.get(k))), None)
    if remembers or key is None:
        return []
    said = f"{key}={asked[key]:g} was asked for, but no past gradient acts: momentum is without effect"
    return [Finding("momentum-without-effect", said, True)]


def of_growth(a: float, misfit: float) -> list[Finding]:
    """Say that the velocity does not fade: that it keeps all of itself at each step, or more."""
    if abs(a) < 1 - max(SINGLE, misfit):
        return []
    if abs(a) > 1 + max(SINGLE, misfit):
        said = f"the velocity grows by itself, {abs(a):.6g} times at each step, also without gradients"
    else:
        said = "the velocity never fades: it holds every gradient whole, however old"
    return [Finding("velocity-grows", f"{said} (a = {tidy(a):.6g}); take a momentum from 0 to below 1", True)]


def of_lr(seen: Changes | None, methods: tuple[Method, ...], asked: Mapping[str, Any]) -> list[Finding]:
    """Say that lr is multiplied in more than once, or not at all."""
    lr = next((float(asked[k]) for k in ("lr", "learning_rate") if _number(asked.get(k))), None)
    found = {float(m.settings["lr"]) for m in methods if "lr" in m.settings}  # type: ignore[arg-type]
    power = seen.lr_power if seen else None
    if lr is None:
        return []
    if power is None:
        square = lr**2
        if found and lr != 1 and any(_close(x, square) for x in found) and not any(_close(x, lr) for x in found):
            return [Finding("lr-twice", f"lr={lr:g} acts as {square:g}, its square: it is baked in twice", True)]
        return []
    if abs(power - 2) < CLOSE:
        said = "twice the lr moves four times as far: lr is baked in twice"
        return [Finding("lr-twice", said, True)]
    if abs(power) < CLOSE:
        return [Finding("lr-without-effect", "a changed lr has no effect on the step", False)]
    if abs(power - 1) > CLOSE:
        return [Finding("lr-power", f"twice the lr moves {2**power:.4g} times as far", False)]
    return []


def of_first_step(when: Timing, seen: Fit) -> list[Finding]:
    """Say that the first gradient enters otherwise than the later ones."""
    if not when.first_differs:
        return []
    more = when.first_ratio
    if more > 1 + CLOSE:
        said = (
            f"the first gradient enters the buffer undampened, {more:.6g} times as strongly as any later one, "
            "as torch.optim.SGD's dampening exception has it"
        )
        return [Finding("first-step", said, False)]
    return [Finding("first-step", f"the first step moves {seen.first / seen.b:.6g} times as far as later ones", False)]


def of_decay(found: Decay, asked: Mapping[str, Any], lr: float | None) -> list[Finding]:
    """Say that weight decay acts otherwise than asked for."""
    made: list[Finding] = []
    if found.seed:
        said = (
            f"without gradients the parameters move by {found.seed:.4g} of themselves and go on as the buffer fades: "
            "the buffer begins with something of the parameters in it"
        )
        made.append(Finding("seeded-by-parameters", said, True))
    if found.where == "unknown":
        made.append(Finding("weight-decay", "without gradients the parameters move, as no weight decay does", False))
    wanted = asked.get("weight_decay")
    if wanted is None or not _number(wanted) or found.where == "unknown":
        return made
    if found.where == "none":
        said = f"weight_decay={wanted:g} was asked for, and the parameters stay where they are without gradients"
        return made if found.seed else [*made, Finding("weight-decay-without-effect", said, True)]
    amounts = amounts_of(found, lr)
    if any(_close(x, wanted) for x in amounts):
        return made
    if any(_close(x, 2 * wanted) for x in amounts):
        where = ", once into the gradient and once by shrinking" if found.where == "both" else ""
        said = f"weight_decay={wanted:g} acts as {2 * wanted:g}: it is applied twice{where}"
        return [*made, Finding("weight-decay-doubled", said, True)]
    said = f"weight_decay={wanted:g} acts as {amounts[0]:.6g}"
    return [*made, Finding("weight-decay-differs", said, False)]


def amounts_of(found: Decay, lr: float | None) -> list[float]:
    """Return what the decay amounts to, by each way to count it: into the gradient, times lr, or alone."""
    shrunk = 1 - found.shrink
    scaled = shrunk / lr if lr else shrunk
    return {
        "coupled": [found.coupled],
        "decoupled": [scaled, shrunk],
        "either": [found.coupled, scaled, shrunk],
        "both": [found.coupled + scaled, found.coupled + shrunk],
    }.get(found.where, [])


def of_skips(found: Mapping[str, bool | None]) -> list[Finding]:
    """Say which skipped steps were not skipped."""
    made = []
    for code, part in (("skip-folded-in", "without gradients"), ("overflow-folded-in", "overflow")):
        mine = {key: ok for key, ok in found.items() if key.startswith(part)}
        if bad := sentence(mine, False):
            said = (
                f"a step is not skipped that should be ({bad}): afterwards the parameters differ from a run without it"
            )
            made.append(Finding(code, said, True))
        if none := sentence(mine, None):
            made.append(Finding("skip-raises", f"it raises at a step that should be skipped ({none})", False))
    return made


def of_look(seen: Linearity) -> list[Finding]:
    """Say what was seen of the whole before the numbers."""
    made = []
    if seen.linear and seen.misfit > SINGLE:
        said = f"it computes with about {seen.misfit:.1g} of rounding, not in the parameters' double precision"
        made.append(Finding("single-precision", said, False))
    if not seen.alike.all():
        matrices = seen.alike[: 2 * ENTRIES].all()
        why = "a vector is not a matrix to it" if matrices else "equal gradients do not move them equally"
        made.append(Finding("coordinates-differ", f"some parameters move otherwise: {why}", False))
    if seen.coupled:
        made.append(Finding("coordinates-coupled", "gradients of other coordinates change how one moves", False))
    return made


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value != 0


def _close(p: float, q: float) -> bool:
    return abs(p - q) <= CLOSE * abs(q)
