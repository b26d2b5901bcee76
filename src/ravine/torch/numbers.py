"""What one update multiplies with: the settings of a param group become numbers, through a row of the table.

    g' = sign·g + pull·x            maximize; coupled weight decay
    x  = shrink·x + leave·v         decoupled weight decay; away from the look-ahead point that was stored
    v' = keep·v + take·g'
    x' = x + move·v' + kick·g'      to where the next gradient is asked

Without look-ahead and weight decay these are a row's own numbers. With look-ahead the parameters hold y = x + look·v,
so that a framework which can only give gradients at its own parameters runs the rule exactly.
"""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ravine.charts import EVERY, rule_of
from ravine.errors import RuleError, shown
from ravine.rules import RULES, Method, Row, Rule, find
from ravine.schedules import Number, text_of

KEYS = {"mu": "momentum", "tau": "dampening"}  # of a param group, where they are not our own letters
LIKE_TORCH = (None, "sgd", "heavyball", "nesterov")  # the rules whose buffer means what torch.optim.SGD's does
LR = 1e-3  # torch.optim.SGD's, where none is given
ROUNDING = 2**-50  # of a product and a quotient
PLAIN = (Tensor, torch.nn.Parameter)  # torch's own tensors, no distributed or other ones
KEPT, CORRECTED = "kept", "corrected"

Group = dict[str, Any]


class Pass(NamedTuple):
    """Hold the numbers of one update, as written above; `buffer` says whether there is a v at all."""

    sign: int
    pull: Number
    shrink: Number
    leave: Number
    keep: Number
    take: Number
    move: Number
    kick: Number
    buffer: bool = True

    @property
    def ratio(self) -> Number:
        """Return move/kick: v' joins g' by it; torch's nesterov has keep itself there, without a rounding."""
        found = self.move / self.kick
        plain = not isinstance(found, Tensor) and not isinstance(self.keep, Tensor)
        return self.keep if plain and abs(found - self.keep) <= ROUNDING * abs(self.keep) else found


class Plan(NamedTuple):
    """Hold what a group does in this step: how it updates, how where there was no buffer, and what it remembers."""

    update: Pass
    first: Pass
    look: Number  # by which the parameters lie ahead afterwards
    lr: Number


def rule_named(rule: Any) -> tuple[Rule | None, dict[str, Any]]:
    """Return the rule that was asked for, and the settings that came with it; raises `RuleError` if it is none."""
    if rule is None:
        return None, {}
    found, settings = rule_of(rule)
    for key, value in settings.items():
        if callable(value):
            raise RuleError(
                f"{found.name}: {key}={text_of(value)} changes with the step; give a number here and the schedule to "
                "ravine.torch.Schedule"
            )
    return found, settings


def key_of(letter: str) -> str:
    """Return what a rule's setting is called in a param group."""
    return KEYS.get(letter, letter)


def dtype_of(group: Group) -> torch.dtype | None:
    """Return the dtype of a group's buffers where it is not the parameters'; it is kept as text, which every format has."""
    return getattr(torch, group["state_dtype"]) if group["state_dtype"] else None


def buffer_name(group: Mapping[str, Any]) -> str:
    """Return what the buffer is called in the state: as torch's only if it means the same."""
    return "momentum_buffer" if group.get("rule") in LIKE_TORCH else "velocity"


def own_rule(group: Group, rules: Mapping[str, Rule]) -> Rule:
    """Return the rule of a group; without one, that which torch.optim.SGD runs with its settings."""
    if group["rule"] is not None:
        return rules[group["rule"]] if group["rule"] in rules else find(group["rule"], EVERY)
    momentum = group["momentum"]
    if not isinstance(momentum, Tensor) and momentum == 0:
        return RULES["sgd"]
    return RULES["nesterov" if group["nesterov"] else "heavyball"]


def settings_of(rule: Rule, group: Mapping[str, Any], whole: bool = False) -> dict[str, Any]:
    """Return the values of a rule's settings in a group; one-element tensors become numbers unless `whole`."""
    return {letter: _value(group[key_of(letter)], whole) for letter in rule.parameters}


def _value(setting: Any, whole: bool) -> Any:
    """Return a setting as a number: a float, since an integer 0 in a row says that it is never anything else."""
    if type(setting) is float:
        return setting
    if isinstance(setting, Tensor):
        return setting.squeeze() if whole else setting.item()
    return float(setting) if isinstance(setting, Real) and not isinstance(setting, bool) else setting


def plan(group: Group, rules: Mapping[str, Rule], following: Mapping[str, Any]) -> Plan:
    """Return what a group does in this step.

    Args:
        group: the settings now.
        rules: by name, those that are not in the table.
        following: settings of the next update, as far as somebody knows them.
    """
    rule = own_rule(group, rules)
    whole = group["capturable"] or group["differentiable"] or torch.compiler.is_compiling()
    values = settings_of(rule, group, whole)
    lr, decay = (_value(group[key], whole) for key in ("lr", "weight_decay"))
    check(rule, group, {**values, "lr": lr, "weight_decay": decay})
    now = rule.row(**values)
    then = rule.row(**settings_of(rule, {**group, **following}, whole)) if following else now
    row = corrected(now, factor(group, lr, group.get("last_lr")))
    ahead = corrected(then, factor(group, _value(following.get("lr", lr), whole), lr)).look
    free = group["decoupled_weight_decay"]
    shrink: Number = 1 if not free or _none(decay) else 1 - math.prod((decay, lr))
    update = _folded(
        Pass(
            sign=-1 if group["maximize"] else 1,
            pull=0 if free else decay,
            shrink=shrink,
            leave=-group.get("look", 0) * shrink,
            keep=row.keep,
            take=row.take,
            move=row.move + ahead,
            kick=row.kick,
        )
    )
    if "lr" not in rule.parameters and _none(lr):  # as where torch.distributed.checkpoint has a state made
        update = Pass(1, 0, 1, 0, 1.0, 0, 0, 0, update.buffer)
        ahead = group.get("look", 0)
    first = update
    if group["rule"] is None and update.buffer:  # torch does not dampen its first step
        first = update._replace(take=1)
    return Plan(update, first, ahead, lr)


def factor(group: Group, lr: Number, before: Number | None) -> Number:
    """Return what a buffer that holds lr is multiplied with after lr changed: 1, or what rescales it to the new lr.

    A buffer that lr=0 has emptied begins anew.

    Source: Goyal et al. 2017, eq. 9-10 and remark 2: the factor lr/lr_before.
    """
    if "last_lr" not in group or group["velocity"] == KEPT or before is None or _none(before):
        return 1
    return torch.where(before == 0, 1, lr / before) if isinstance(before, torch.Tensor) else lr / before


def corrected(row: Row, factor: Number) -> Row:
    """Return the row of a step before which the buffer is rescaled."""
    return row if _is_one(factor) else row._replace(keep=row.keep * factor, look=row.look * factor)


def holds_lr(rule: Rule, group: Group) -> bool:
    """Say whether a rule's buffer holds lr, so that a change of lr leaves it too large or too small."""
    if "lr" not in rule.parameters:
        return False
    values = settings_of(rule, group)
    return bool(rule.row(**{**values, "lr": 1.0}).take != rule.row(**{**values, "lr": 2.0}).take)


def _folded(numbers: Pass) -> Pass:
    """Spare a pass over v: say what leaves it by v' and g, and nothing of v where nothing is kept."""
    sign, pull, shrink, leave, keep, take, move, kick, _ = numbers
    if type(keep) is int and keep == 0 and _none(leave):
        return Pass(sign, pull, shrink, 0, 0, 0, 0, take * move + kick, buffer=False)
    # v = (v' - take·g)/keep, but for a keep so small that nothing would be left of v.
    if _none(leave) or isinstance(keep, Tensor) or isinstance(leave, Tensor) or abs(leave) > 2 * abs(keep):
        return numbers
    return numbers._replace(leave=0, move=move + leave / keep, kick=kick - leave * take / keep)


def _none(number: Number) -> bool:
    """Say whether a number is known to be 0; what a tensor holds is not asked for, a GPU would have to be waited for."""
    return not isinstance(number, Tensor) and number == 0


def _is_one(number: Number) -> bool:
    return not isinstance(number, Tensor) and number == 1


def looks(rule: Rule, group: Group) -> bool:
    """Say whether a rule's row can have a look-ahead: a look of 0 that is no integer may be another with other settings."""
    look = rule.row(**settings_of(rule, group)).look
    return rule.name not in EVERY or not (type(look) is int and look == 0)


# What settings may be --------------------------------------------------------------------------------------------

# The first words are torch's, so that what looks for them in a message finds them.
_RANGES = {
    "lr": ("Invalid learning rate", math.inf, "0 or more"),
    "mu": ("Invalid momentum value", 1, "from 0 to below 1, the part of the velocity that is kept"),
    "weight_decay": ("Invalid weight_decay value", math.inf, "0 or more"),
}


def check(rule: Rule, group: Group, values: Mapping[str, Any]) -> None:
    """Refuse settings that are not finite or out of range, in one sentence; what a tensor holds is not asked for."""
    known = {key: value for key, value in values.items() if not isinstance(value, Tensor)}
    for key in _RANGES.keys() & known.keys():
        (words, top, allowed), value = _RANGES[key], known[key]
        number = type(value) is float or (isinstance(value, Real) and not isinstance(value, bool))
        if not number or not 0 <= float(value) < top:
            raise RuleError(
                f"{words}: {text_of(value) if isinstance(value, float) else value}; it must be a number {allowed}"
            )
    own = rule.own(known)
    if not own.keys() <= _RANGES.keys():
        Method(rule, own).check(own)
    for letter, default in (("mu", 0), ("tau", 0), ("lr", LR)):
        here = group[key_of(letter)]
        # torch itself ignores dampening where its momentum is 0.
        ignored = letter == "tau" and group["rule"] is None
        if letter not in rule.parameters and not ignored and not isinstance(here, Tensor) and here not in (default, 0):
            raise RuleError(
                f"{rule.name} has no {key_of(letter)}, got {shown(here)}; its settings are {', '.join(rule.parameters)}"
            )
    if group["nesterov"] and group["rule"] not in (None, "nesterov"):
        raise RuleError(f"nesterov=True asks for torch's own form, rule={group['rule']} for another; give one of both")
    if group["nesterov"] and group["rule"] is None and (_none(group["momentum"]) or group["dampening"] != 0):
        raise RuleError("Nesterov momentum requires a momentum and zero dampening; give momentum=0.9 and dampening=0")
    if group["decoupled_weight_decay"] and "lr" not in rule.parameters:
        raise RuleError(f"decoupled weight decay is scaled by lr, which {rule.name} has not; use the coupled one")
