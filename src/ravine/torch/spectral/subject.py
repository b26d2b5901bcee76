"""What is measured: a task with a model, or a loss of your own, brought into the form of weighted pieces."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from ravine.errors import CurvatureError, RavineError, reason, shown
from ravine.tasks.batches import on, pieces, seeds
from ravine.tasks.task import Task
from ravine.torch.spectral.products import Pieces
from ravine.torch.training import loss_of, new_model, usable

BUDGET = 1 << 30  # bytes that kept graphs may take on a CPU; on a GPU a quarter of what is free
TIMES = 4  # the graph of a gradient takes about so many times the bytes of that of the loss
PROBED = 32  # samples on which bytes are measured


@dataclass(frozen=True)
class Subject:
    """Hold a mean loss in pieces and the model it is of."""

    pieces: Pieces
    keep: bool  # the graphs of all pieces fit into memory
    samples: int | None  # that the loss is the mean of; None where nobody knows
    batch: int | None  # of a mini-batch, the unit of cost
    model: Any = None
    task: Task | None = None

    @property
    def unit(self) -> float:
        """Return how many mini-batch gradients one gradient of this loss costs."""
        return self.samples / self.batch if self.samples and self.batch else 1.0


def model_of(task: Task, model: Any, seed: int, device: Any, dtype: torch.dtype | None) -> Any:
    """Return a model of the task that may be measured: the one given, or a new one; in halves of floats a copy in full."""
    if model is None:
        usable(device)
        with torch.random.fork_rng():
            torch.manual_seed(seeds(seed).init)
            return new_model(task).to(device, dtype or torch.float32)
    if not isinstance(model, torch.nn.Module):
        raise CurvatureError(f"model must be a torch.nn.Module, got {shown(type(model).__name__)}")
    found = [p for p in model.parameters() if p.requires_grad]
    if not found:
        raise CurvatureError("the model has no parameters that can be trained; give one that has")
    here = next(iter(found))
    wanted = dtype or (torch.float64 if here.dtype == torch.float64 else torch.float32)
    place = torch.device(device) if device is not None else here.device
    if all(p.dtype == wanted and p.device.type == place.type for p in found):
        return model
    return copy.deepcopy(model).to(place, wanted)


@contextmanager
def still(model: Any, *, training: bool = False) -> Iterator[None]:
    """Turn dropout off for a while, and leave the model's modes and buffers as they were.

    Batch normalization goes on with the numbers of its piece, as in a training and where its loss is measured.
    """
    was = {module: (module.training, dict(module._buffers)) for module in model.modules()}
    model.train(training)
    for module, (_, buffers) in was.items():
        norm = isinstance(module, torch.nn.modules.batchnorm._BatchNorm)
        module.train(module.training or norm)
        for key, buffer in buffers.items():  # a running mean that changes in place would spoil a graph that is kept
            module._buffers[key] = None if norm or buffer is None else buffer.clone()
    try:
        yield
    finally:
        for module, (mode, buffers) in was.items():
            module.training = mode
            module._buffers.update(buffers)


def drawn(task: Task, samples: int | None, seed: int) -> Task:
    """Return the task with so many of its samples, drawn without replacement; a stream as it is."""
    if samples is None or task.samples is None or samples >= task.samples:
        return task
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < 1:
        raise CurvatureError(f"samples must be a whole number from 1 on, got {shown(samples)}")
    rows = torch.randperm(task.samples, generator=torch.Generator().manual_seed(seed))[:samples]
    made = copy.copy(task)
    object.__setattr__(made, "data", tuple(part[rows.to(part.device)] for part in task.data))
    object.__setattr__(made, "batch", min(task.batch, samples))
    return made


def of_task(task: Task, model: Any, samples: int | None, seed: int) -> Subject:
    """Return the mean loss of a model on a task's data, all of it or a part."""
    device, dtype = _where(model)
    batch = task.batch
    task = on(drawn(task, samples, seed), device, dtype)
    parameters = [p for p in model.parameters() if p.requires_grad]

    def made(parts: Sequence[tuple[Callable[[], torch.Tensor], float]]) -> Pieces:
        return Pieces(parts, parameters, model, lambda: still(model))

    def loss(piece: Any) -> Callable[[], torch.Tensor]:
        return lambda: loss_of(task, model, piece)

    if task.samples is None:
        found = list(pieces(task))
        total = sum(number for _, number in found)
        parts = [(loss(piece), number / total) for piece, number in found]
        fits = TIMES * _bytes(loss(found[0][0])) * len(found) <= budget(device)
        return Subject(made(parts), fits, len(found), 1, model, task)
    size = task.samples
    probe = tuple(part[:PROBED] for part in task.data)
    most = max(int(budget(device) / (TIMES * max(_bytes(loss(probe)), 1) / len(probe[0]))), 1)
    keep = size <= most
    step = size if keep else max(most // 2, 1)
    cut = [tuple(part[first : first + step] for part in task.data) for first in range(0, size, step)]
    parts = [(loss(piece), len(piece[0]) / size) for piece in cut]
    return Subject(made(parts), keep, size, batch, model, task)


def of_loss(loss: Callable[[], torch.Tensor], model: Any, params: Sequence[torch.Tensor] | None) -> Subject:
    """Return a loss of your own, a function of nothing, with its parameters."""
    given = params if params is not None else (model.parameters() if isinstance(model, torch.nn.Module) else None)
    if given is None:
        raise CurvatureError("a loss of your own needs its parameters; give model=… or params=[…]")
    parameters = [p for p in given if torch.is_tensor(p) and p.requires_grad]
    if not parameters:
        raise CurvatureError("there are no parameters that require a gradient; give some in params or model")

    def checked() -> torch.Tensor:
        try:
            value = loss()
        except RavineError:
            raise
        except Exception as error:
            raise CurvatureError(f"the loss raised {reason(error)}; give a function without arguments") from error
        if not torch.is_tensor(value) or value.numel() != 1:
            got = f"a tensor of shape {tuple(value.shape)}" if torch.is_tensor(value) else type(value).__name__
            raise CurvatureError(f"the loss must be a tensor of one number, got {shown(got)}; take the mean")
        return value.reshape(())

    module = model if isinstance(model, torch.nn.Module) else None
    quiet = (lambda: still(module)) if module is not None else nullcontext
    return Subject(Pieces([(checked, 1.0)], parameters, module, quiet), True, None, None, module)


def budget(device: torch.device) -> float:
    """Return how many bytes kept graphs may take."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 4
    return BUDGET


def _bytes(loss: Callable[[], torch.Tensor]) -> int:
    """Return the bytes that the graph of a loss keeps."""
    seen: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        loss()
    return sum(seen.values())


def _where(model: Any) -> tuple[torch.device, torch.dtype]:
    first = next(p for p in model.parameters() if p.requires_grad)
    return first.device, first.dtype
