"""A probe's findings in a few clear lines."""

from collections.abc import Sequence
from typing import Any

from ravine.probing.match import tidy
from ravine.probing.skips import sentence
from ravine.rules import Method
from ravine.schedules import text_of

KINDS = {
    "momentum": "linear, with one buffer",
    "descent": "linear, without memory: gradient descent",
    "changing": "linear, but its numbers change with the step",
    "buffers": "linear, but it needs more than one buffer",
    "coupled": "linear, but coordinates influence each other",
    "nonlinear": "not linear in the gradients",
    "drifting": "linear in the gradients, but it moves by itself: noise or a drift",
    "random": "not the same twice",
    "still": "does not move",
}
WIDTH = 13
FEW = 3  # rules that are listed where many are the same

AnyProbed = Any  # a `Probed`, which stands above and prints itself with this


def report(found: AnyProbed) -> str:
    """Write the report, a line for each question that could be asked."""
    lines = [found.name, *(f"  {word:<{WIDTH}} {said}" for word, said in rows(found))]
    lines += [f"  {'FAULT' if f.fault else 'note':<{WIDTH}} {f.sentence}" for f in found.findings]
    return "\n".join(lines)


def rows(found: AnyProbed) -> list[tuple[str, str]]:
    """Return question and answer, those that have one."""
    said = [("is", f"{KINDS[found.kind]}{_buffers(found)}"), ("seen by", found.how)]
    if found.rule is not None:
        said.append(("rule", _rule(found)))
        said.append(("row", "  ".join(f"{k} {_short(v)}" for k, v in found.row._asdict().items())))
    if found.response is not None:
        said.append(("response", ", ".join(f"{k} = {_short(v)}" for k, v in found.response._asdict().items())))
    if found.ascends:
        said.append(("direction", "along the gradient: it climbs (maximize); the numbers are those downhill"))
    said += [("the same", _same(found)), ("until changed", _alike(found))]
    said += [("first step", found.first_step), ("weight decay", _decay(found)), ("lr", _lr(found))]
    if found.momentum_acts is not None:
        said.append(("momentum", "acts" if found.momentum_acts else "does not act"))
    if found.skip_harmless:
        said.append(("skipped steps", f"harmless: {sentence(found.skipped, True)}"))
    elif found.skip_harmless is False:
        said.append(("skipped steps", f"not harmless: {sentence(found.skipped, False)}"))
    return [(word, answer) for word, answer in said if answer]


def _buffers(found: AnyProbed) -> str:
    return f": {found.order}" if found.kind == "buffers" and found.order is not None else ""


def _rule(found: AnyProbed) -> str:
    if found.rules:
        return _text(found.rules[0])
    if found.kind == "changing":
        return f"in the long run {_few(found.alike)}"
    return f"{_text(found.alike[0])} as long as no setting changes, and none of the table then"


def _alike(found: AnyProbed) -> str:
    others = () if found.kind in ("descent", "changing") else found.alike if found.rules else found.alike[1:]
    return f"{_few(others)}; told apart by changing {' and '.join(found.varied)}" if others and found.varied else ""


def _names(methods: Sequence[Method]) -> str:
    return ", ".join(map(_text, methods))


def _few(methods: Sequence[Method]) -> str:
    """Name the first rules and count the others; `summary` has them all."""
    more = len(methods) - FEW
    return _names(methods[:FEW]) + (f" and {more} more" if more > 0 else "")


def _same(found: AnyProbed) -> str:
    """Name the other rules; without momentum nearly all of them are the same, so their settings say nothing."""
    return ", ".join(m.name for m in found.rules[1:]) if found.kind == "descent" else _names(found.rules[1:])


def _text(method: Method) -> str:
    words = [f"{k}={text_of(tidy(float(v)))}" for k, v in method.settings.items() if v != method.rule.parameters[k]]  # type: ignore[arg-type]
    return f"{method.name}:{','.join(words)}"


def _decay(found: AnyProbed) -> str:
    decay = found.weight_decay
    if decay is None:
        return ""
    times = {True: ", times lr", False: ", not times lr", None: ""}[found.decay_by_lr]
    return {
        "none": "none",
        "coupled": f"{_short(decay.coupled)}, coupled: added to the gradient, so that the momentum carries it",
        "decoupled": f"decoupled{times}: the parameters shrink by {_short(1 - decay.shrink)} a step, the momentum is left alone",
        "either": f"{_short(decay.coupled)}; without momentum coupled and decoupled are the same",
        "both": f"{_short(decay.coupled)} into the gradient, and the parameters shrink by {_short(1 - decay.shrink)} a step",
    }.get(decay.where, "not recognised")


def _lr(found: AnyProbed) -> str:
    if found.lr_inside is None:
        return ""
    if found.lr_inside:
        return "inside the velocity: a changed lr leaves what it holds as it is"
    return "outside the velocity, or the velocity is corrected when lr changes"


def _short(x: float) -> str:
    return f"{tidy(x):.9g}"
