"""The state of torch-shaped optimizers: read as a snapshot, converted, and written as a state_dict again.

    state_dict() = {"state": {index: {"momentum_buffer": v}}, "param_groups": [{"lr": …, "params": [index, …]}]}

What a buffer means is said by the marker `rule` that `ravine.torch.Momentum` writes into its param groups. Without one
a state is that of torch.optim.SGD, if it has its keys; everything else has to be named by `source=`.
"""

import copy
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ravine.charts import EVERY
from ravine.conversion import arrays
from ravine.conversion.crossing import convert_snapshot
from ravine.conversion.dialects import Dialect, method_of, of_rule, read_dialect, sorted_out
from ravine.conversion.snapshot import Change, Group, Snapshot, checked, held_against
from ravine.errors import ConvertError, shown
from ravine.torch.markers import buffer_of, dialect_of, doubt
from ravine.torch.names import said
from ravine.torch.numbers import CORRECTED, KEPT, LIKE_TORCH, LR, key_of

OWN = (
    "rule",
    "decoupled_weight_decay",
    "flat",
    "capturable",
    "state_dtype",
    "velocity",
    "look",
    "last_lr",
)  # Momentum's
RUNNING = ("foreach", "differentiable", "fused", "flat", "capturable", "state_dtype")  # how, not what, is computed
PACED = ("initial_lr", "max_lr", "min_lr")  # what schedulers of torch enter beside lr


class Converted(NamedTuple):
    """Hold a converted state: what the target loads, and what was done."""

    optimizer: dict[str, Any]  # for load_state_dict
    parameters: Any  # of the kind that was given, shifted where the stored point moves; None if none were given
    changes: tuple[Change, ...]  # of each group: the buffer's scale, and the point's shift along it
    notes: tuple[str, ...]


def convert_state(
    state_dict: Mapping[str, Any],
    to: Any,
    *,
    source: str | None = None,
    parameters: Mapping[str, Any] | Iterable[Any] | None = None,
) -> Converted:
    """Convert an optimizer's state so that the target goes on exactly, to rounding, as the source would have.

    Args:
        state_dict: of torch.optim.SGD, of `ravine.torch.Momentum` with any rule, or torch-shaped with `source=`.
            It is left as it is.
        to: `torch`, a rule's name (for a Momentum with that rule), or the optimizer that is to load it.
        source: what the state is, where it has no marker: a framework or a rule, such as `qhoptim`; settings behind
            it are those that the state does not hold.
        parameters: tensors in the optimizer's order or by name, where the stored point moves or zeros must be made.

    Returns:
        The new state_dict, the parameters, the scale and shift of each group, and notes.

    Raises:
        ConvertError: the state is another optimizer's, contradicts its marker, or has no equal in the target.

    Example:
        >>> import torch
        >>> w = torch.ones(1, requires_grad=True)
        >>> sgd = torch.optim.SGD([w], lr=0.5, momentum=0.9)
        >>> (3 * w).sum().backward(); sgd.step()
        >>> found = convert_state(sgd.state_dict(), "classical")
        >>> found.optimizer["state"], found.optimizer["param_groups"][0]["rule"]
        ({0: {'velocity': tensor([-1.5000])}}, 'classical')

    Source: scale and shift by `ravine.convert`, group by group.
    """
    run = shared(state_dict, source=source, parameters=parameters)
    there = convert_snapshot(run, to if isinstance(to, str) else _wanted(to, len(run.groups)))
    made = _written(there)
    if not isinstance(to, str):
        for group, theirs in zip(made["param_groups"], to.param_groups, strict=True):
            group.update({key: theirs[key] for key in RUNNING if key in theirs})
    kind = parameters if parameters is None or isinstance(parameters, Mapping) else ()
    points = None if kind is None else dict(there.parameters) if kind else list(there.parameters.values())
    return Converted(made, points, there.changes, there.notes)


def _wanted(optimizer: Any, groups: int) -> list[str]:
    """Return the dialect of each group of the optimizer that is to load the state."""
    theirs = getattr(optimizer, "param_groups", None)
    if theirs is None:
        raise ConvertError(f"to= takes torch, a rule's name or an optimizer, got {shown(optimizer)}")
    if len(theirs) != groups:
        raise ConvertError(f"the state has {groups} param groups and the optimizer {len(theirs)}; make as many")
    return [dialect_of(group, None).name for group in theirs]


# From a state_dict --------------------------------------------------------------------------------------------


def read_torch(
    state_dict: Mapping[str, Any],
    *,
    source: str | None = None,
    parameters: Mapping[str, Any] | Iterable[Any] | None = None,
) -> Snapshot:
    """Read an optimizer's state_dict as a snapshot; raises `ConvertError` where it is not what it is taken for.

    Args:
        state_dict: torch-shaped.
        source: what it is, if it has no marker and is not torch.optim.SGD's.
        parameters: by name in the optimizer's order, or without names, which are then those of the state's
            param_names, or "0", "1", ….

    Returns:
        A snapshot that shares no memory with the optimizer.

    Example:
        >>> import torch
        >>> layer = torch.nn.Linear(2, 1)
        >>> sgd = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
        >>> read_torch(sgd.state_dict(), parameters=dict(layer.named_parameters())).groups[0].names
        ('weight', 'bias')
    """
    run = shared(state_dict, source=source, parameters=parameters)
    points, buffers = (
        {name: arrays.copied(value) for name, value in part.items()} for part in (run.parameters, run.buffers)
    )
    return run._replace(parameters=points, buffers=buffers)


def shared(
    state_dict: Mapping[str, Any],
    *,
    source: str | None = None,
    parameters: Mapping[str, Any] | Iterable[Any] | None = None,
) -> Snapshot:
    """Read a state_dict as `read_torch` does, the arrays still in the memory of the optimizer."""
    state, groups = _parts(state_dict)
    keys = [key for group in groups for key in group["params"]]
    points = _named(parameters, keys, groups)
    names = dict(zip(keys, points or said(groups) or map(str, keys), strict=True))
    told = {} if source is None else read_dialect(source)[1]
    read, buffers, notes = [], {}, dict[str, None]()
    for group in groups:
        found = dialect_of(group, source)
        entries = {key: buffer_of(state.get(key) or {}, names[key], group, source) for key in group["params"]}
        held = {names[key]: v for key, v in entries.items() if v is not None}
        made, factor = _group(group, found, tuple(names[key] for key in group["params"]), bool(held), told)
        held_against(made, told)
        notes.update(dict.fromkeys(filter(None, [doubt(group, found)])))
        read.append(made)
        buffers.update(
            {name: v.detach() if factor == 1 else arrays.scaled(v.detach(), factor, name) for name, v in held.items()}
        )
    if left := [key for key in state if key not in names]:
        raise ConvertError(f"the state holds {shown(left[0])}, which no param group lists; it is not whole")
    points = {name: value.detach() for name, value in points.items()}
    return checked(Snapshot(tuple(read), points, buffers, notes=tuple(notes)))


def _parts(state_dict: Any) -> tuple[Mapping[Any, Any], list[Mapping[str, Any]]]:
    """Return state and param groups; raises `ConvertError` where it has not the shape of an optimizer's."""
    fine = isinstance(state_dict, Mapping) and {"state", "param_groups"} <= state_dict.keys()
    state, groups = (state_dict["state"], state_dict["param_groups"]) if fine else ({}, [])
    fine = fine and isinstance(state, Mapping) and isinstance(groups, list | tuple) and len(groups) > 0
    if not fine or not all(isinstance(g, Mapping) and isinstance(g.get("params"), list | tuple) for g in groups):
        raise ConvertError(
            "this is no optimizer's state: it must be a dict of state and param_groups, as optimizer.state_dict() gives"
        )
    keys = [key for group in groups for key in (*group["params"], *_list(group.get("param_names", ())))]
    if not all(isinstance(key, int | str) for key in keys):
        raise ConvertError("the params of every group must be numbers or names, and param_names names; it is not whole")
    if not all(isinstance(entry, Mapping) for entry in state.values()):
        raise ConvertError("the optimizer's state must hold a dict for each parameter; it is not whole")
    return state, list(groups)


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _named(parameters: Any, keys: list[Any], groups: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the parameters by name, in the optimizer's order."""
    if parameters is None:
        return {}
    if not isinstance(parameters, Mapping):
        given = list(parameters)
        pairs = all(isinstance(each, tuple) for each in given)  # as named_parameters() gives them
        named = said(groups) if len(given) == len(keys) else []
        parameters = dict(given if pairs else zip(named or map(str, range(len(given))), given, strict=True))
    for order in (said(groups), keys):
        if len(order) == len(keys) and all(name in parameters for name in order):
            return {name: parameters[name] for name in order}
    if len(parameters) != len(keys):
        raise ConvertError(
            f"the state is of {len(keys)} parameters, {len(parameters)} were given; give them in its order"
        )
    return dict(parameters)


def _group(
    group: Mapping[str, Any], found: Dialect, names: tuple[str, ...], held: bool, told: Mapping[str, Any]
) -> tuple[Group, float]:
    """Return a param group as ours, and what its buffers are multiplied with to be as of the lr of now."""
    settings, switch, decay = _missing(group, found, told)
    for letter in {letter: None for rule in found.rules for letter in rule.parameters}:
        key = next((key for key in (found.letters.get(letter), key_of(letter), letter) if key in group), None)
        if key is not None:
            settings[letter] = _number(group[key], key)
    method = method_of(found, settings, switch)
    decay, last = _number(group.get("weight_decay", decay), "weight_decay"), group.get("last_lr")
    corrected = group.get("velocity") == CORRECTED
    direct = _flag(group, "decoupled_weight_decay") or group.get("weight_decay_type") == "direct"
    factor, before = 1.0, 0.0 if last is None else _number(last, "last_lr")
    if corrected and before and "lr" in settings:
        factor = settings["lr"] / before
    look = float(method.row().look) if "look" in group else 0.0
    if held and abs(_number(group.get("look", 0), "look") - look * factor) > 1e-9 * max(1.0, abs(look)):
        raise ConvertError(
            f"the stored parameters lie {_number(group['look'], 'look'):.6g}·v ahead, and with the settings as they stand "
            f"the next update asks {look * factor:.6g}·v ahead; set those of the next update first, or make it"
        )
    extra = {key: _kept(value) for key, value in group.items() if key not in ("params", *OWN) or key in RUNNING}
    if group["params"] and all(isinstance(key, str) for key in group["params"]):
        extra["by_name"] = True  # as distributed checkpoints have them
    return Group(
        found, names, method, decay, bool(direct and decay), _flag(group, "maximize"), corrected, extra
    ), factor  # fmt: skip


def _missing(group: Mapping[str, Any], found: Dialect, told: Mapping[str, Any]) -> tuple[dict[str, Any], bool, float]:
    """Return settings by our letters, Nesterov switch and weight decay as told: what the group has goes before."""
    settings, switch, decay = sorted_out(found, told)
    key = next((key for key in (found.switch, "nesterov") if key and key in group), None)
    return settings, bool(switch) if key is None else _flag(group, key), decay or 0.0


def _kept(value: Any) -> Any:
    """Return a setting as it is now: a scheduler changes a tensor in its place."""
    return arrays.copied(value) if hasattr(value, "detach") else copy.copy(value)


def _flag(group: Mapping[str, Any], key: str) -> bool:
    """Return a switch of a param group; raises `ConvertError` if it is none."""
    value = group.get(key, False)
    if not isinstance(value, bool | int | None):
        raise ConvertError(
            f"{key} in the param groups must be True or False, got {shown(value)}; the state is not whole"
        )
    return bool(value)


def _number(value: Any, key: str) -> float:
    """Return a setting as a number; raises `ConvertError` if it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        number = float("nan")
    if number != number:
        raise ConvertError(f"{key} in the param groups must be a number, got {shown(value)}; the state is not whole")
    return int(number) if isinstance(value, int) and not isinstance(value, bool) else number


# To a state_dict ----------------------------------------------------------------------------------------------


def write_torch(run: Snapshot, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Write a snapshot as the state_dict that its dialect's optimizer loads.

    Args:
        run: in the dialect of torch, qhoptim or a rule.
        names: the parameters in the optimizer's order, such as those of `model.named_parameters()`, where it is not
            the snapshot's own; for one group.

    Returns:
        The state_dict, which shares no memory with the snapshot.

    Raises:
        ConvertError: the dialect is no optimizer of torch, or the names are others.

    Example:
        >>> from ravine.conversion.snapshot import snapshot
        >>> import numpy as np
        >>> run = snapshot("keras:lr=0.1,mu=0.9", {"w": np.ones(1)}, {"w": np.array([-0.2])})
        >>> write_torch(convert_snapshot(run, "torch"))["state"][0]["momentum_buffer"]
        tensor([2.], dtype=torch.float64)
    """
    made = _written(run, names)
    made["state"] = {key: {slot: arrays.copied(v) for slot, v in each.items()} for key, each in made["state"].items()}
    return made


def _written(run: Snapshot, names: Iterable[str] | None = None) -> dict[str, Any]:
    order = [name for group in run.groups for name in group.names]
    if names is not None:
        wanted = list(names)
        if set(wanted) != set(order) or len(wanted) != len(order) or len(run.groups) > 1:
            odd = sorted(set(wanted) ^ set(order))
            raise ConvertError(
                f"the names are others than the snapshot's: {', '.join(odd[:6]) or 'one stands twice, or there are groups'}; "
                "rename its parameters first"
            )
        order = wanted
    keyed: dict[str, Any] = {name: number for number, name in enumerate(order)}
    if any("by_name" in group.extra for group in run.groups):
        keyed = {name: name for name in order}
    slots = {name: _slot(group) for group in run.groups for name in group.names}
    state = {keyed[name]: {slots[name]: tensor(run.buffers[name])} for name in order if name in run.buffers}
    groups = []
    for group in run.groups:
        own = set(group.names)
        theirs = [name for name in order if name in own]
        settings = _settings(group)
        settings.update({"param_names": theirs} if "param_names" in settings else {})
        groups.append({**settings, "params": [keyed[name] for name in theirs]})
    return {"state": state, "param_groups": groups}


def _slot(group: Group) -> str:
    """Return what the buffer is called in the state."""
    if group.dialect.name in ("torch", "qhoptim"):
        return "momentum_buffer"
    if group.dialect != of_rule(group.dialect.rule):
        raise ConvertError(
            f"{group.dialect.name} is no optimizer of torch; write .npz or .safetensors, which hold every framework's run, "
            "or convert to torch or a rule's name"
        )
    return "momentum_buffer" if group.dialect.name in LIKE_TORCH else "velocity"


def _settings(group: Group) -> dict[str, Any]:
    """Return a param group without its parameters: what was there, the settings, and the marker."""
    method, own = group.method, {key_of(letter) for rule in EVERY.values() for letter in rule.parameters}
    made = {key: value for key, value in group.extra.items() if key not in own and key != "by_name"}
    given = group.dialect.letters
    settings = {given.get(letter, letter): _plain(value) for letter, value in method.settings.items()}
    made.update(_like(settings, group.extra))
    _pace(made, group.extra)
    made["weight_decay"] = group.weight_decay
    if group.dialect.name == "qhoptim":
        return {**made, "weight_decay_type": "direct" if group.decoupled else "grad"}
    defaults = {"lr": LR, "momentum": 0, "dampening": 0, "foreach": None, "differentiable": False, "fused": None}
    made = {**defaults, **made, "nesterov": group.dialect.name == "torch" and method.name == "nesterov"}
    made["maximize"] = group.maximize
    made.pop("weight_decay_type", None)
    if group.dialect.name == "torch":
        return {key: value for key, value in made.items() if key not in OWN}
    return {
        "flat": False,
        "capturable": False,
        "state_dtype": None,
        **made,
        "fused": None,  # torch's kernel, for torch's own settings alone
        "rule": method.name,
        "decoupled_weight_decay": group.decoupled,
        "velocity": CORRECTED if group.corrected else KEPT,
        **({"look": _plain(look)} if (look := method.row().look) else {}),
        **({"last_lr": made["lr"]} if group.corrected else {}),
    }


def _plain(value: Any) -> Any:
    """Return a setting as an int or a float."""
    return value if isinstance(value, int) else float(value)


def _like(settings: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as tensors where they were tensors, so that a compiled or captured step stays what it is."""
    return {
        key: before[key].new_tensor(value) if hasattr(before.get(key), "new_tensor") else value
        for key, value in settings.items()
    }


def _pace(made: dict[str, Any], before: Mapping[str, Any]) -> None:
    """Scale what schedulers remember of lr as lr itself."""
    if not before.get("lr") or "lr" not in made:
        return
    factor = float(made["lr"]) / float(before["lr"])
    if factor != 1:
        made.update({key: made[key] * factor for key in PACED if key in made})


def tensor(value: Any) -> Any:
    """Return an array as a tensor of torch."""
    if hasattr(value, "detach"):
        return value
    import numpy as np
    import torch

    return torch.from_numpy(np.array(value))
