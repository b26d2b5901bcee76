"""The loss and gradient of many lanes as one program: vmap over the task's loss, traced where that can be done."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import fx
from torch.func import functionalize, grad_and_value, vmap

from ravine.torch.lanewise.chances import Chances
from ravine.torch.lanewise.cleaning import clean
from ravine.torch.lanewise.stack import Leaves, Stack, Tensors

Given = tuple[Tensors, Tensors, Tensors, Tensors]  # parameters, what is held, tensors of the batch, random numbers
Program = Callable[[Tensors, Tensors, Tensors, Tensors], tuple[torch.Tensor, Tensors]]


def batched(stack: Stack, like: Leaves, shared: bool) -> Program:
    """Return the losses and gradients of lanes, as torch.func has them.

    Args:
        stack: the model.
        like: a batch as those that will come.
        shared: whether the lanes have one batch; else each tensor of a batch has a lane dimension in front.

    Returns:
        A function of (parameters, held, tensors of the batch, random numbers), which gives losses (lanes,) and gradients.
    """

    def one(parameters: Tensors, held: Tensors, tensors: Tensors, drawn: Tensors) -> torch.Tensor:
        with Chances(drawn=drawn):
            return stack.loss(parameters, held, like.batch(tensors))

    along = None if shared else 0
    many = vmap(grad_and_value(one), in_dims=(0, along, along, along), randomness="different")

    def run(parameters: Tensors, held: Tensors, tensors: Tensors, drawn: Tensors) -> tuple[torch.Tensor, Tensors]:
        with quiet():
            gradients, losses = many(parameters, held, tensors, drawn)
        return losses, gradients

    return run


@contextmanager
def quiet() -> Iterator[None]:
    """Keep torch from warning where it has no batched form of an operation and loops over the lanes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


def traced(run: Program, example: Given) -> fx.GraphModule | None:
    """Return a program as a graph of plain operations on (parameters…, held…, tensors…, drawn…), None where it has none."""
    from torch.fx.experimental.proxy_tensor import make_fx

    counts = [len(part) for part in example]

    def flat(*parts: torch.Tensor) -> Tensors:
        rest = iter(parts)
        losses, gradients = run(*(tuple(next(rest) for _ in range(n)) for n in counts))
        return losses, *gradients

    try:
        graph = make_fx(functionalize(flat))(*(part for group in example for part in group))
    except Exception:  # whatever torch cannot trace still runs as it is
        return None
    clean(graph.graph)
    graph.recompile()
    return graph
