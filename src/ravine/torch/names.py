"""Names: which parameter of a model an optimizer's index means, where a checkpoint does not say.

torch numbers the parameters in the order in which the optimizer got them, mostly that of `model.parameters()`. A
model's state_dict has that order too, and running means and tied weights beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.errors import ConvertError

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of torch's own normalisation layers
HINT = "give them in the optimizer's order, as model.named_parameters() has them: --names a,b,… (in Python names=)"


class Unnamed(ConvertError):
    """The order of the parameters is open; a conversion that needs no parameters goes without."""


def aligned(
    model: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], shapes: Mapping[Any, tuple[int, ...]]
) -> list[str]:
    """Return the names of the parameters in the optimizer's order.

    Args:
        model: its state_dict.
        groups: the optimizer's param groups.
        shapes: of the buffers, by index, as far as there are any.

    Raises:
        Unnamed: several orders are possible, or parameters are missing. ConvertError: a buffer fits no tensor.
    """
    keys = [key for group in groups for key in group["params"]]
    for order in (said(groups), keys):
        if len(order) == len(keys) and all(isinstance(name, str) and name in model for name in order):
            return list(order)
    wanted = [shapes.get(key) for key in keys]
    every = _candidates(model)
    usual = [name for name in every if name.rpartition(".")[2] not in STATISTICS]
    if len(every) >= len(keys):
        _refuse_strange_shapes([tuple(model[name].shape) for name in every], wanted)
    if told := _told_by_shape({name: tuple(model[name].shape) for name in usual}, groups, shapes):
        return told
    if len(groups) > 1:
        raise Unnamed(
            f"the optimizer has {len(groups)} param groups, and shapes do not tell which names are in which; {HINT}"
        )
    if len(usual) == len(keys) and all(_fits(model[n], s) for n, s in zip(usual, wanted, strict=True)):
        return usual
    count, found = _embeddings([tuple(model[name].shape) for name in every], wanted)
    if count == 1:
        return [every[place] for place in found]
    why = "fit in several ways" if count else "fit in no way"
    raise Unnamed(
        f"the model's {len(usual)} tensors and the optimizer's {len(keys)} parameters {why}, by number and shape; {HINT}"
    )


def said(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names that the param groups have for all their parameters, or none."""
    lists = [names for group in groups if isinstance(names := group.get("param_names"), list | tuple)]
    found = [name for names in lists for name in names if isinstance(name, str)]
    whole = [len(names) for names in lists] == [len(group["params"]) for group in groups]
    return found if whole and len(set(found)) == sum(map(len, lists)) else []


def _refuse_strange_shapes(have: list[tuple[int, ...]], wanted: Sequence[tuple[int, ...] | None]) -> None:
    """Refuse buffers for which the model has too few tensors of their shape, in whatever order."""
    for place, shape in enumerate(wanted):
        if shape is not None and wanted[: place + 1].count(shape) > have.count(shape):
            raise ConvertError(
                f"the buffer of parameter {place} has shape {shape}, and the model has {have.count(shape) or 'no'} tensors "
                "of it; a velocity is shaped like its parameter"
            )


def _told_by_shape(
    model: Mapping[str, tuple[int, ...]], groups: Sequence[Mapping[str, Any]], shapes: Mapping[Any, tuple[int, ...]]
) -> list[str]:
    """Return the names in the optimizer's order where every shape is in one group alone, else none.

    Names of one shape stand in the model's order, if the group as a whole does.
    """
    home = {shapes.get(key): number for number, group in enumerate(groups) for key in group["params"]}
    keys = [key for group in groups for key in group["params"]]
    if None in home or len(keys) != len(model):
        return []
    order: list[str] = []
    for number, group in enumerate(groups):
        left = {shape: [name for name in model if model[name] == shape] for shape in home}
        if any(home[shapes[key]] != number for key in group["params"]):
            return []
        names = [left[shapes[key]].pop(0) for key in group["params"] if left[shapes[key]]]
        kept = [name for name in model if name in names]
        if names != kept and len({shapes[key] for key in group["params"]}) < len(group["params"]):
            return []
        order += names
    return order if len(order) == len(keys) else []


def _candidates(model: Mapping[str, Any]) -> list[str]:
    """Return the names of tensors that could be parameters, each storage once."""
    seen: set[tuple[Any, ...]] = set()
    names = []
    for name, value in model.items():
        if not hasattr(value, "is_floating_point") or not (value.is_floating_point() or value.is_complex()):
            continue
        place = (value.data_ptr(), tuple(value.shape), tuple(value.stride())) if value.numel() else (name,)
        if place not in seen:  # tied weights stand in a state_dict twice and in parameters() once
            seen.add(place)
            names.append(name)
    return names


def _fits(value: Any, shape: tuple[int, ...] | None) -> bool:
    return shape is None or tuple(value.shape) == shape


def _embeddings(have: list[tuple[int, ...]], want: list[tuple[int, ...] | None]) -> tuple[int, list[int]]:
    """Count the ways to find the wanted shapes among those there in order, and return the first of them."""
    rows = len(want) + 1
    ways = [[1] * (len(have) + 1)] + [[0] * (len(have) + 1) for _ in range(rows - 1)]
    for i, shape in enumerate(reversed(want), 1):
        for j in range(1, len(have) + 1):
            fits = shape is None or have[len(have) - j] == shape
            ways[i][j] = min(2, ways[i][j - 1] + (ways[i - 1][j - 1] if fits else 0))
    found, place = [], 0
    if not ways[len(want)][len(have)]:
        return 0, []
    for k, shape in enumerate(want):
        rest = len(want) - k - 1
        while not ((shape is None or have[place] == shape) and ways[rest][len(have) - place - 1]):
            place += 1
        found.append(place)
        place += 1
    return ways[len(want)][len(have)], found
