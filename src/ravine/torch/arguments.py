"""What the optimizer is called with, and what it loads: held against its rule, refused in one sentence."""

from collections.abc import Mapping
from inspect import Parameter
from typing import Any

import torch

from ravine.errors import RuleError, nearest, shown
from ravine.rules import Row, Rule
from ravine.torch.numbers import (
    CORRECTED,
    KEPT,
    KEYS,
    LIKE_TORCH,
    PLAIN,
    Group,
    buffer_name,
    dtype_of,
    key_of,
    rule_named,
)


def check_marker(rule: str | None, saved: Group, buffers: bool) -> None:
    """Refuse a saved group whose buffers mean something else than this rule's."""
    fine = "load it into that rule, or convert it with ravine.torch.convert_state"
    if "rule" in saved:
        if saved["rule"] != rule and not (saved["rule"] in LIKE_TORCH and rule in LIKE_TORCH):
            raise RuleError(
                f"this state was saved by the rule {shown(saved['rule'])}, the optimizer runs {rule}; {fine}"
            )
    elif rule not in LIKE_TORCH and buffers:
        raise RuleError(
            f"this state does not say by which rule it was saved, and the buffer of {rule} is not that of torch.optim.SGD; "
            f"{fine}"
        )


def check_shapes(group: Group, saved: Group, state: Mapping[Any, Any]) -> None:
    """Refuse a saved buffer that is not shaped like its parameter; of a distributed one it may hold a part."""
    for p, number in zip(group["params"], saved["params"], strict=False):
        held = state.get(number, {}).get(buffer_name(group))
        if type(p) in PLAIN and isinstance(held, torch.Tensor) and held.shape != p.shape:
            raise RuleError(
                f"the saved {buffer_name(group)} of parameter {number} has shape {tuple(held.shape)}, the parameter "
                f"{tuple(p.shape)}; load the state of this model"
            )


def check_row(rule: Rule, row: Any) -> None:
    """Refuse what a rule of yours returns if it is no row."""
    if not isinstance(row, Row) or any(isinstance(cell, str) or cell is None for cell in row):
        raise RuleError(f"{rule.name} returned {shown(row)}; a rule returns a ravine.Row(keep, take, move, kick, look)")


def restore_dtype(optimizer: torch.optim.Optimizer, loaded: Mapping[str, Any]) -> None:
    """Give buffers of a dtype of their own their numbers once more: torch has rounded them to the parameter's."""
    for group, saved in zip(optimizer.param_groups, loaded["param_groups"], strict=True):
        if (dtype := dtype_of(group)) is None:
            continue
        for p, number in zip(group["params"], saved["params"], strict=True):
            held = loaded["state"].get(number, {}).get(buffer_name(group))
            if held is not None:
                optimizer.state[p][buffer_name(group)] = held.detach().to(device=p.device, dtype=dtype, copy=True)


def together(
    rule: Rule | None, given: dict[str, Any], arguments: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a rule's settings from what came with the rule and what came as arguments; raises `RuleError`."""
    named = {**{k: v for k, v in arguments.items() if v is not None}, **settings}
    for key in named:
        if rule is None and key not in arguments:
            raise RuleError(f"Momentum has no argument {shown(key)}; a setting of a rule needs rule=, such as 'qhm'")
        if rule is not None and key in settings and (key not in rule.parameters or key in KEYS):
            known = [key_of(letter) for letter in rule.parameters]
            raise RuleError(f"{rule.name} has no setting {shown(key)}; {nearest(key, known)}")
        if key in given:
            raise RuleError(f"{key_of(key)} is given twice, with the rule and as an argument; give it once")
    found = {**given, **named}
    for key, default in (rule.parameters if rule else {}).items():
        if key not in found and key != "lr":
            if default is not Parameter.empty:
                found[key] = default
            else:
                raise RuleError(
                    f"{rule.name if rule else ''} needs {key_of(key)}; give it to Momentum, also where it is 0"
                )
    return found


def read_rule(group: Group, defaults: Group) -> Rule | None:
    """Write the name of a param group's own rule into it, and its settings; raises `RuleError` where one is missing."""
    rule, given = rule_named(group["rule"])
    group["rule"] = rule and rule.name
    for letter, default in (rule.parameters if rule else {}).items():
        key = key_of(letter)
        if letter in given and key in group:
            raise RuleError(f"{key} is given twice, with the rule of the group and as its key; give it once")
        if letter in given:
            group[key] = given[letter]
        elif key not in group and key not in defaults:
            if default is Parameter.empty:
                raise RuleError(f"{rule.name if rule else ''} needs {key}; give it to the group")
            group[key] = default
    return rule


def dtype_text(dtype: Any) -> str | None:
    """Return a floating dtype as the text that param groups hold; raises `RuleError` where it is none."""
    text = str(dtype).removeprefix("torch.") if dtype is not None else None
    found = None if text is None else getattr(torch, text, None)
    if text is not None and not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise RuleError(f"state_dtype is a floating dtype such as torch.float32, got {shown(dtype)}")
    return text


def check_ways(group: Group) -> None:
    """Refuse ways to step that exclude each other."""
    for one, other in (
        ("flat", "differentiable"),
        ("flat", "fused"),
        ("fused", "differentiable"),
        ("fused", "foreach"),
    ):
        if group[one] and group[other]:
            raise RuleError(f"{one}=True and {other}=True exclude each other; give one of them")
    if group["fused"] and group["rule"] is not None:
        raise RuleError(
            f"fused=True is torch's kernel for torch's own settings; with rule={group['rule']!r} use flat=True"
        )
    if group["fused"] and (group["decoupled_weight_decay"] or group["state_dtype"] is not None):
        raise RuleError("fused=True is torch's kernel for torch's own settings; use flat=True")
    if group["velocity"] not in (KEPT, CORRECTED):
        raise RuleError(f"velocity is {KEPT!r} or {CORRECTED!r}, got {shown(group['velocity'])}")
