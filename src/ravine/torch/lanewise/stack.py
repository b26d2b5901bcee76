"""Stacked parameters: the weights of many lanes in one tensor, and the task's loss as a function of one lane's weights."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils import _pytree as pytree

from ravine.tasks.batches import Batch
from ravine.tasks.task import Task
from ravine.torch.lanewise.chances import Chances, Draw
from ravine.torch.training import loss_of, trained_model

Tensors = tuple[torch.Tensor, ...]


class Leaves(NamedTuple):
    """Hold a batch taken apart: its tensors, and what is needed to put it together again."""

    tensors: Tensors
    others: tuple[Any, ...]  # what is no tensor, None in the places of tensors
    form: Any

    @property
    def key(self) -> tuple[Any, ...]:
        """Return what two batches have in common if one program serves both."""
        plain = tuple(o if isinstance(o, int | float | str | bool | None) else id(o) for o in self.others)
        return tuple((tuple(t.shape), t.dtype) for t in self.tensors), plain, self.form

    def batch(self, tensors: Any) -> Batch:
        """Put a batch together from other tensors."""
        rest = iter(tensors)
        return pytree.tree_unflatten([next(rest) if o is _HERE else o for o in self.others], self.form)


class _Here:
    """Stands where a tensor was."""


_HERE = _Here()


def leaves(batch: Batch) -> Leaves:
    """Take a batch apart."""
    found, form = pytree.tree_flatten(batch)
    tensors = tuple(part for part in found if torch.is_tensor(part))
    return Leaves(tensors, tuple(_HERE if torch.is_tensor(part) else part for part in found), form)


class Whole(torch.nn.Module):
    """Hold the model inside of a module whose call is the loss, so that a loss may use the model as it likes."""

    def __init__(self, task: Task, model: torch.nn.Module) -> None:
        super().__init__()
        self.task = task
        self.model = model

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the loss on a batch."""
        loss: torch.Tensor = loss_of(self.task, self.model, batch)
        return loss


class Stack:
    """Hold a task's model as a template, and where each seed begins.

    Args:
        task: what is trained.
        seeds: of the lanes.
        device, dtype: where, and of which kind the parameters are.
    """

    def __init__(self, task: Task, seeds: set[int], device: Any, dtype: torch.dtype) -> None:
        self.begin: dict[int, torch.Tensor] = {}  # (P,), the weights of each seed
        self.held: dict[int, Tensors] = {}  # what a lane does not train
        self.device, self.dtype = torch.device(device), dtype
        self.graphs: dict[Any, Any] = {}  # what was traced, None where that cannot be done
        self.others = False  # whether the loss draws random numbers that lanes cannot have as a training alone has them
        self.saved = 0  # bytes that the gradient of one lane keeps of the loss
        self._noted: dict[Any, list[Draw]] = {}
        for seed in sorted(seeds, reverse=True):
            with trained_model(task, seed, device, dtype) as (self.task, self.model):
                torch.func.replace_all_batch_norm_modules_(self.model)
            named = dict(self.model.named_parameters())
            moving = {name: p for name, p in named.items() if p.requires_grad}
            still = {name: p for name, p in named.items() if not p.requires_grad}
            still |= dict(self.model.named_buffers())
            self.begin[seed] = torch.cat([p.detach().reshape(-1) for p in moving.values()])
            self.held[seed] = tuple(part.detach() for part in still.values())
        self.names = [f"model.{name}" for name in moving]
        self.held_names = [f"model.{name}" for name in still]
        self.shapes = [tuple(p.shape) for p in moving.values()]
        self.size = len(next(iter(self.begin.values())))
        self.whole = Whole(self.task, self.model)

    def views(self, flat: torch.Tensor) -> Tensors:
        """Return a flat (lanes, P) or (P,) tensor as parameters, each (lanes, …) or (…), in the same memory."""
        ahead = flat.shape[:-1]
        parts = torch.split(flat, [torch.Size(shape).numel() for shape in self.shapes], -1)
        return tuple(part.view((*ahead, *shape)) for part, shape in zip(parts, self.shapes, strict=True))

    def loss(self, parameters: Tensors, held: Tensors, batch: Batch) -> torch.Tensor:
        """Return the loss of one lane."""
        named = dict(zip((*self.names, *self.held_names), (*parameters, *held), strict=True))
        return torch.func.functional_call(self.whole, named, (batch,))  # type: ignore[no-any-return]

    def draws(self, batch: Leaves, seed: int) -> list[Draw]:
        """Return what the loss draws for a batch, found by one call."""
        key = batch.key
        if key not in self._noted:
            saved: dict[int, int] = {}

            def note(part: torch.Tensor) -> torch.Tensor:
                saved[part.untyped_storage().data_ptr()] = part.untyped_storage().nbytes()
                return part

            hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda part: part)
            generator = torch.Generator(self.device)
            with torch.random.fork_rng(), torch.enable_grad(), hooks, Chances(generator) as chances:
                parameters = tuple(p.requires_grad_() for p in self.views(self.begin[seed].clone()))
                state = torch.get_rng_state()
                self.loss(parameters, self.held[seed], batch.batch(batch.tensors))
                self.others = self.others or not torch.equal(state, torch.get_rng_state())
            given = {part.untyped_storage().data_ptr() for part in (*batch.tensors, *parameters)}
            self.saved = max(self.saved, sum(size for at, size in saved.items() if at not in given))
            self._noted[key] = chances.noted
        return self._noted[key]

    def filled(self, parameters: torch.Tensor, held: Tensors) -> torch.nn.Module:
        """Return the model with one lane's weights in it."""
        with torch.no_grad():
            for (_, part), value in zip(self._parts(), (*self.views(parameters), *held), strict=True):
                part.copy_(value)
        model: torch.nn.Module = self.model
        return model

    def _parts(self) -> Iterator[tuple[str, torch.Tensor]]:
        named = dict(self.model.named_parameters())
        yield from ((name, p) for name, p in named.items() if p.requires_grad)
        yield from ((name, p) for name, p in named.items() if not p.requires_grad)
        yield from self.model.named_buffers()
