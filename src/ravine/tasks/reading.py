"""The data of a task, whichever way they are given: as tensors of all samples, or as a stream of batches."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.errors import RavineError, TaskError, reason, require, shown

torch: Any = require("torch", extra="torch", why="train a task")

ALLOWED = (
    "tensors, arrays, a torch Dataset, an iterable of batches such as a DataLoader, or a function from a seed to one"
)


def read(data: Any, name: str) -> tuple[Any, tuple[Any, ...]]:
    """Return data as a tuple of tensors or as a stream, and the keys of the tensors where they were a mapping.

    Raises:
        TaskError: they are neither, their lengths differ, or they can be read only once.
    """
    try:
        return _read(data, name)
    except RavineError:
        raise
    except (Exception, SystemExit) as error:
        raise TaskError(f"{name}: its data raised {reason(error)}; mend it") from error


def _read(data: Any, name: str) -> tuple[Any, tuple[Any, ...]]:
    sets = torch.utils.data
    if isinstance(data, sets.IterableDataset):
        raise TaskError(
            f"{name}: data is an IterableDataset, which yields samples; give DataLoader(dataset, batch_size=…)"
        )
    if isinstance(data, sets.Dataset) and not isinstance(data, Iterator):
        data = data.tensors if isinstance(data, sets.TensorDataset) else _stacked(data, name)
    if isinstance(data, Iterator):
        raise TaskError(
            f"{name}: data is an iterator, which can be read only once; give a function from a seed to one, "
            "data=lambda seed: …, or a list of batches"
        )
    data = (data,) if _whole(data) else data
    if isinstance(data, Mapping):
        return _tensors(list(data.values()), name), tuple(data)
    if isinstance(data, list | tuple) and any(_whole(part) for part in data):
        return _tensors(list(data), name), ()
    if callable(data) or (isinstance(data, Iterable) and not isinstance(data, str | bytes)):
        return list(data) if isinstance(data, tuple) else data, ()
    raise TaskError(f"{name}: data must be {ALLOWED}, got {shown(type(data).__name__)}")


def _whole(part: Any) -> bool:
    """Say whether something holds all samples: a tensor, an array, a table of pandas."""
    return torch.is_tensor(part) or isinstance(part, np.ndarray) or hasattr(part, "to_numpy")


def _tensor(part: Any) -> Any:
    """Return it as a tensor."""
    if not torch.is_tensor(part):  # copied: an array may be read-only or run backwards
        return torch.tensor(np.ascontiguousarray(part.to_numpy() if hasattr(part, "to_numpy") else part))
    return part.detach() if part.layout == torch.strided else part.detach().to_dense()


def _tensors(parts: list[Any], name: str) -> tuple[Any, ...]:
    """Return parts as tensors of one number of samples."""
    for number, part in enumerate(parts, 1):
        if not _whole(part):
            raise TaskError(f"{name}: part {number} of data is a {type(part).__name__}; make each part a tensor")
    made = tuple(map(_tensor, parts))
    lengths = [len(part) if part.ndim else 0 for part in made]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise TaskError(
            f"{name}: the tensors of data have {' and '.join(map(str, lengths)) or 'no'} samples in their first "
            "dimension; give each the same number, at least 1"
        )
    return made


def _stacked(dataset: Any, name: str) -> Any:
    """Return all samples of a dataset as tensors."""
    try:
        number = len(dataset)
    except TypeError:
        raise TaskError(f"{name}: its Dataset has no length; give it __len__, or give a DataLoader") from None
    samples = [dataset[index] for index in range(number)]
    if not samples:
        raise TaskError(f"{name}: its Dataset has no samples; give at least one")
    try:
        return torch.utils.data.default_collate(samples)
    except Exception as error:
        raise TaskError(
            f"{name}: the samples of its Dataset do not stack into tensors, {reason(error)}; "
            "give a DataLoader with a collate_fn"
        ) from error


@dataclass(frozen=True)
class Keyed:
    """A function of (model, batch) whose batch is a mapping, made from a tuple of its tensors."""

    function: Any
    keys: tuple[Any, ...]

    def __call__(self, model: Any, batch: Any) -> Any:
        """Call it with the batch under its keys."""
        return self.function(model, dict(zip(self.keys, batch, strict=True)))
