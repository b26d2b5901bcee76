"""Crossing: a run in the middle, written in another framework's dialect.

    buffer_there = (sign·s·sign)·buffer_here        point_there = point_here + shift·v, where one stores x and one y

The scale s comes from the rows of both methods (`ravine.convert`); no pair of frameworks is spelled.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.algebra import response
from ravine.conversion import arrays
from ravine.conversion.dialects import ASKED, Dialect, of_rule, read_dialect, sorted_out
from ravine.conversion.equal import exactly
from ravine.conversion.snapshot import Change, Group, Snapshot
from ravine.convert import Conversion, convert
from ravine.errors import ConvertError, RuleError
from ravine.rules import Method
from ravine.schedules import at

PACES = ("lr", "alpha", "delta")  # the settings that are a length per gradient, and may change during a run


class NeedsParameters(ConvertError):
    """A conversion moves the stored point, or must know a shape, and there are no parameters."""


def convert_snapshot(run: Snapshot, to: str | Sequence[str]) -> Snapshot:
    """Write a run in another framework's dialect: settings, buffers and, where the stored point differs, parameters.

    Args:
        run: in the middle of a training.
        to: a framework or a rule, such as `torch`, `keras` or `heavyball:tau=0.5`; or one for each group.

    Returns:
        A new snapshot, whose continuation asks for the same gradients; its arrays share no memory with the old.

    Raises:
        ConvertError: the target has no equal method, or cannot hold what the run needs, with the reason.

    Example:
        >>> import numpy as np
        >>> from ravine.conversion.snapshot import snapshot
        >>> run = snapshot("sutskever:lr=0.1,mu=0.5,nesterov=1", {"w": np.ones(1)}, {"w": np.array([0.5])})
        >>> there = convert_snapshot(run, "keras")
        >>> there.parameters["w"], there.buffers["w"], there.settings["nesterov"]
        (array([1.25]), array([0.5]), True)

    Source: mathematics of conversion, section 3: scale and shift by `ravine.convert`.
    """
    wanted = [to] * len(run.groups) if isinstance(to, str) else list(to)
    if len(wanted) != len(run.groups):
        raise ConvertError(
            f"{len(wanted)} targets do not fit {len(run.groups)} groups; name one, or one for each group"
        )
    groups: list[Group] = []
    changes: list[Change] = []
    notes = [] if run.changes else list(run.notes)  # what was said of reading it, not of an earlier conversion
    parameters = {name: arrays.copied(value) for name, value in run.parameters.items()}
    buffers: dict[str, Any] = {}
    for group, text in zip(run.groups, wanted, strict=True):
        made, change, said = _convert_group(run, group, text)
        for name in group.names:
            _move(run, name, made, change, parameters, buffers)
        groups.append(made)
        changes.append(change)
        notes += [note for note in said if note not in notes]
    return run._replace(
        groups=tuple(groups), parameters=parameters, buffers=buffers, changes=tuple(changes), notes=tuple(notes)
    )


def _convert_group(run: Snapshot, group: Group, text: str) -> tuple[Group, Change, list[str]]:
    target, fixed = read_dialect(text)
    held = [run.buffers[name] for name in group.names if name in run.buffers]
    if fixed.keys() & {"weight_decay", "wd"}:
        raise ConvertError("weight decay goes over as it is; leave it out of the target")
    found = _equal(group, target, fixed)
    _refuse_raw_start(group, found, target, len(held))
    scale, shift = _link(group, found, target, any(not arrays.empty(buffer) for buffer in held))
    if group.decoupled and group.weight_decay and found.links[0].shift:
        raise ConvertError(
            f"decoupled weight decay scales x, and x of {found.target.name} is another point than that of "
            f"{group.method.name}; use coupled weight decay, or convert to a rule with the same x"
        )
    free = group.corrected or not holds_pace(group.method)
    made = group._replace(
        dialect=target,
        method=found.target,
        weight_decay=_decay(group, found.target, target),
        corrected=free and "lr" in target.letters and target == of_rule(target.rule) and holds_pace(found.target),
    )
    if group.maximize and not target.maximizes:
        raise ConvertError(f"{target.name} cannot maximize; negate the loss there, and convert a run that minimises")
    return made, Change(scale, shift), _remarks(group, made, found, bool(held))


def _equal(group: Group, target: Dialect, fixed: Mapping[str, Any]) -> Conversion:
    """Return the conversion into the first of the target's rules that has an equal; raises the first one's reason."""
    settings, ahead, _ = sorted_out(target, fixed)
    rules = target.rules if ahead is None else (target.rules[-1 if ahead else 0],)
    said: ConvertError | RuleError | None = None
    for rule in rules:
        # What the rule could be given and the framework has no name for keeps its default there.
        unnamed = {k: d for k, d in rule.parameters.items() if k not in target.letters and isinstance(d, int | float)}
        chosen = {k: v for k, v in {**unnamed, **settings}.items() if k in rule.parameters}
        same = group.method.rule == rule and all(group.method.settings[k] == v for k, v in chosen.items())
        words = ",".join(f"{key}={value!r}" for key, value in chosen.items())
        try:
            return convert(group.method, rule.name if same or not words else f"{rule.name}:{words}")
        except (ConvertError, RuleError) as error:
            said = said or error
    assert said is not None
    raise said


def _refuse_raw_start(group: Group, found: Conversion, target: Dialect, held: int) -> None:
    """Refuse what torch's undampened first update makes impossible: it is no row, and what it would do is not known."""
    tau = group.method.settings.get("tau", 0)
    if group.dialect.raw_start and tau and held < len(group.names) and not (target.raw_start and found.scale == 1):
        raise ConvertError(
            "torch.optim.SGD does not dampen its first update, and some buffers are still empty: no other rule begins so; "
            "make one update on every parameter first, or begin anew in the target"
        )


def _link(group: Group, found: Conversion, target: Dialect, alive: bool) -> tuple[float, float]:
    """Return what stored buffers are multiplied with, and how far stored points move along stored buffers."""
    source, made = group.method.row(), found.target.row()
    joined = found.links[0]
    if not joined.scale and alive and not any(response(source)[1:]):
        raise ConvertError(
            f"lr is 0, and from {group.method.name} to {found.target.name} the buffer is multiplied or divided by it, "
            "so that nothing of it would be left; convert at a step where lr is above 0"
        )
    scale, signs = float(joined.scale), group.dialect.sign * target.sign
    here, there = group.dialect.stores == ASKED, target.stores == ASKED
    if here and there:
        shift = 0.0  # both store the point where the gradient is asked, and that is the same
    elif there:
        shift = float(source.look)
    else:
        shift = -float(made.look) * scale if here else float(joined.shift)
    return scale * signs, shift * group.dialect.sign + 0.0


def _move(
    run: Snapshot, name: str, made: Group, change: Change, parameters: dict[str, Any], buffers: dict[str, Any]
) -> None:
    """Enter what becomes of one parameter and its buffer."""
    buffer = run.buffers.get(name)
    if buffer is None:
        if made.dialect.raw_start and made.method.settings.get("tau", 0) and not _was_raw(run, name):
            if name not in parameters:
                raise ConvertError(
                    "torch dampens no first update: an empty buffer is written as zeros; give parameters="
                )
            buffers[name] = arrays.zeros_like(parameters[name])
        return
    if change.shift:
        if name not in parameters:
            raise NeedsParameters(
                f"the stored point moves by {change.shift:.6g} times the buffer, so that the parameters are needed too"
            )
        parameters[name] = arrays.added(parameters[name], buffer, change.shift)
    if change.scale:
        buffers[name] = arrays.scaled(buffer, change.scale, name)


def _was_raw(run: Snapshot, name: str) -> bool:
    return next(group for group in run.groups if name in group.names).dialect.raw_start


def _decay(group: Group, method: Method, target: Dialect) -> float:
    """Return the target's weight decay: coupled as it is; decoupled so that each update scales by the same factor."""
    if not group.weight_decay or not group.decoupled:
        return group.weight_decay
    if target.decay != "decoupled" and target != of_rule(target.rule) and not target.name.startswith("optax"):
        raise ConvertError(
            f"{target.name} has no decoupled weight decay; convert to ravine's Momentum (a rule's name), Keras or optax"
        )
    if method.settings == group.method.settings:
        return group.weight_decay
    here, there = (made.settings.get("lr", 0) for made in (group.method, method))
    if not here or not there:
        raise ConvertError(
            f"decoupled weight decay scales by lr, and {method.name if here else group.method.name} has none above 0; "
            "convert without weight decay"
        )
    return float(group.weight_decay * (at(here, 0) / at(there, 0)))


def holds_pace(method: Method) -> bool:
    """Say whether the buffer takes in the gradient times lr, so that it remembers the lr of every step.

    >>> from ravine.rules import parse
    >>> holds_pace(parse("classical:lr=0.1,mu=0.9")), holds_pace(parse("heavyball:lr=0.1,mu=0.9"))
    (True, False)
    """
    rule = method.rule
    settings = {key: exactly(at(value, 0)) for key, value in method.settings.items()}
    for pace in PACES:
        if pace in settings:
            one, two = (rule.row(**{**settings, pace: number}) for number in (exactly(1), exactly(2)))
            return bool(one.take != two.take)
    return False


def _remarks(before: Group, after: Group, found: Conversion, held: bool) -> list[str]:
    """Say what a user should know who goes on with the converted run."""
    said = []
    if held and not found.links[0].scale:
        said.append(
            "what is asked for does not depend on the buffer (a pole cancels): the run goes on from an empty one"
        )
    holds = [holds_pace(before.method) and not before.corrected, holds_pace(after.method) and not after.corrected]
    if holds[0] != holds[1]:
        one, other = (before, after) if holds[0] else (after, before)
        said.append(
            f"{one.dialect.name} keeps in its buffer the lr of every step and {other.dialect.name} does not: at this lr "
            f"both go on alike; at a step where lr changes later, multiply the buffer of {after.dialect.name} by "
            f"{'lr_before/lr' if holds[0] else 'lr/lr_before'} (Goyal et al. 2017, section 3)"
        )
    looks = [bool(group.method.row().look) for group in (before, after)]
    if looks[0] != looks[1]:
        name = (before if looks[0] else after).method.name
        said.append(
            f"where mu changes later, {name} asks at another point: at the mu of the next update, not of this one"
        )
    if after.weight_decay and after.dialect != of_rule(after.dialect.rule) and _unlike(after):
        where = (
            "optax.add_decayed_weights after the momentum and before the scaling by -lr"
            if after.decoupled
            else "the gradient or the loss, as weight_decay/2·|x|²"
        )
        said.append(
            f"weight decay {after.weight_decay:.6g} is no setting of {after.dialect.name}'s: put it into {where}"
        )
    if after.dialect.name == "optax_ema":
        said.append("optax.ema has debias=True unless told: this is optax.ema(decay, debias=False)")
    pace = [group.method.settings.get("lr") for group in (before, after)]
    if pace[0] is not None and pace[1] is not None and pace[0] != pace[1]:
        said.append("lr is another number there: a schedule of it, and its bounds, have to be scaled alike")
    return said


def _unlike(group: Group) -> bool:
    """Say whether a framework's own weight decay is another than the run's, or missing."""
    return group.dialect.decay != ("decoupled" if group.decoupled else "coupled")
