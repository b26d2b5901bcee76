"""Names: which parameter of a model an optimizer's index means, where a checkpoint does not say.

torch numbers the parameters in the order in which the optimizer got them, mostly that of `model.parameters()`. A
model's state_dict has that order too, and running means and tied weights beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ravine.errors import ConvertError

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of torch's own normalisation layers
HINT = "give the names in the optimizer's order, as model.named_parameters() has them"


def aligned(
    model: Mapping[str, Any], groups: Sequence[Mapping[str, Any]], shapes: Mapping[Any, tuple[int, ...]]
) -> list[str]:
    """Return the names of the parameters in the optimizer's order.

    Args:
        model: its state_dict.
        groups: the optimizer's param groups.
        shapes: of the buffers, by index, as far as there are any.

    Raises:
        ConvertError: several orders are possible, or none.
    """
    keys = [key for group in groups for key in group["params"]]
    said = [name for group in groups for name in group.get("param_names", ())]
    for order in (said, keys):
        if len(order) == len(keys) and all(isinstance(name, str) and name in model for name in order):
            return list(order)
    if len(groups) > 1:
        raise ConvertError(
            f"the optimizer has {len(groups)} param groups, whose order the model's names do not tell; {HINT}"
        )
    wanted = [shapes.get(key) for key in keys]
    every = _candidates(model)
    usual = [name for name in every if name.rpartition(".")[2] not in STATISTICS]
    if len(usual) == len(keys) and all(_fits(model[n], s) for n, s in zip(usual, wanted, strict=True)):
        return usual
    count, found = _embeddings([tuple(model[name].shape) for name in every], wanted)
    if count == 1:
        return [every[place] for place in found]
    why = "fit in several ways" if count else "fit in no way"
    raise ConvertError(
        f"the model's {len(usual)} tensors and the optimizer's {len(keys)} parameters {why}, by number and shape; {HINT}"
    )


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
