"""A slot: the memory in which some lanes train for a while, and the program bound to it."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ravine.surfaces.interface import Array
from ravine.torch.lanewise.gradients import Given, Program, batched, traced
from ravine.torch.lanewise.moves import compiled, move_blocks
from ravine.torch.lanewise.stack import Leaves, Stack, Tensors
from ravine.torch.lanewise.tape import Tape

_building = threading.Lock()  # while a model is traced or run with other weights in it, nobody else may

CLOSE = 1e-3  # by which the order of sums may part a tape from its program, in lengths of the gradient
KEPT = 8  # programs, one for each shape of batch; further shapes go untraced

Fed = tuple[Leaves, Tensors]  # a batch and the random numbers of the loss


class Slot:
    """Hold memory for some lanes, and run them there.

    Args:
        stack: the model.
        lanes: how many.
        shared: whether all have one seed, and so one batch, one noise, and the same parameters that are not trained.
        looks: whether a rule asks for gradients at a point ahead.
        plain: whether to do without tracing.
    """

    def __init__(self, stack: Stack, lanes: int, shared: bool, looks: bool, plain: bool = False) -> None:
        self.stack, self.lanes, self.shared, self.looks, self.plain = stack, lanes, shared, looks, plain
        self.x, self.v, self.g = (
            torch.zeros(lanes * stack.size, dtype=stack.dtype, device=stack.device) for _ in range(3)
        )
        self.y = self.x.clone() if looks else self.x
        self.blocks = {name: self._cut(getattr(self, name)) for name in "xvgy"}
        self.losses = torch.zeros(lanes, dtype=stack.dtype, device=stack.device)
        self.held: Tensors = tuple(self._room(part) for part in next(iter(stack.held.values())))
        self.sizes = np.array([block.shape[1] for block in self.blocks["x"]], np.int64)
        self.fast = stack.device.type == "cpu" and stack.dtype in (torch.float32, torch.float64)
        self._flat = [getattr(self, name).numpy() for name in "xvgy"] if self.fast else []
        self._taken = 0
        self._programs: dict[Any, Callable[[Sequence[Fed]], None]] = {}

    @property
    def bytes(self) -> int:
        """Return the memory of the slot, the places of its programs included."""
        return (self.x.nbytes + self.v.nbytes + self.g.nbytes) * (1 + self.looks) + self._taken

    def _cut(self, flat: torch.Tensor) -> list[torch.Tensor]:
        """Return the blocks of a flat tensor, (lanes, size) for each parameter."""
        sizes = [torch.Size(shape).numel() for shape in self.stack.shapes]
        return [part.view(self.lanes, -1) for part in torch.split(flat, [self.lanes * size for size in sizes])]

    def _room(self, like: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(like) if self.shared else like.new_zeros(self.lanes, *like.shape)

    def stacked(self, name: str) -> Tensors:
        """Return the parameters of all lanes in one of the flat tensors, each (lanes, …)."""
        return tuple(
            block.view(self.lanes, *shape) for block, shape in zip(self.blocks[name], self.stack.shapes, strict=True)
        )

    def run(
        self, x: torch.Tensor, v: torch.Tensor, rows: Array, held: Sequence[Tensors], fed: Sequence[Sequence[Fed]]
    ) -> Array:
        """Train some lanes for some updates, at most as many lanes as there is room for.

        Args:
            x, v: points and buffers, (lanes, P), changed in place.
            rows: numbers of the updates, (updates, 6, lanes).
            held: for each lane what it does not train.
            fed: for each update what each lane is fed with.

        Returns:
            The losses, (updates, lanes).
        """
        found = torch.empty(len(rows), self.lanes, dtype=self.stack.dtype, device=self.stack.device)
        if len(x) < self.lanes:
            rows = np.concatenate([rows, np.zeros((*rows.shape[:2], self.lanes - len(x)))], 2)
        moves = torch.from_numpy(np.ascontiguousarray(rows)).to(self.stack.device, self.stack.dtype)
        with torch.no_grad():
            self._load(x, v, moves[0, 4], held)
            for step, given in enumerate(fed):
                self._gradient(given)
                found[step] = self.losses
                self._move(moves[step])
            for name, flat in (("x", x), ("v", v)):
                for block, part in zip(self.blocks[name], torch.split(flat, self.sizes.tolist(), 1), strict=True):
                    part.copy_(block[: len(x)])
        return found[:, : len(x)].cpu().double().numpy()

    def _load(self, x: torch.Tensor, v: torch.Tensor, look: torch.Tensor, held: Sequence[Tensors]) -> None:
        for name, flat in (("x", x), ("v", v)):
            for block, part in zip(self.blocks[name], torch.split(flat, self.sizes.tolist(), 1), strict=True):
                block[: len(x)] = part
        if self.looks:
            for here, speed, there in zip(self.blocks["x"], self.blocks["v"], self.blocks["y"], strict=True):
                torch.addcmul(here, speed, look[:, None], out=there)
        fill(self.held, held, self.shared)

    def _gradient(self, given: Sequence[Fed]) -> None:
        """Compute losses and gradients at y."""
        key = given[0][0].key
        if key not in self._programs:
            self._programs[key] = self._program(given[0], plain=self.plain or len(self._programs) >= KEPT)
        self._programs[key](given)

    def _program(self, like: Fed, plain: bool) -> Callable[[Sequence[Fed]], None]:
        batch, drawn = like
        tensors, noise = (tuple(self._room(part) for part in parts) for parts in (batch.tensors, drawn))

        def feed(given: Sequence[Fed]) -> None:
            fill(tensors, [one.tensors for one, _ in given], self.shared)
            fill(noise, [numbers for _, numbers in given], self.shared)

        feed([like])
        example = self.stacked("y"), self.held, tensors, noise
        run = batched(self.stack, batch, self.shared)
        inputs = [part for group in example for part in group]
        outputs = self.losses, *self.stacked("g")
        with _building:
            key = batch.key, self.lanes, self.shared
            tape = None
            if key not in self.stack.graphs:
                graph = self.stack.graphs[key] = None if plain else traced(run, example)
                tape = None if graph is None else Tape(graph, inputs, outputs)
                if tape is not None and not self._same(tape, run(*example)):
                    self.stack.graphs[key] = tape = None
            elif self.stack.graphs[key] is not None:
                tape = Tape(self.stack.graphs[key], inputs, outputs)
        if tape is None:

            def plainly(given: Sequence[Fed]) -> None:
                feed(given)
                self._plainly(run, example)

            return plainly
        self._taken += tape.bytes + sum(part.nbytes for part in (*tensors, *noise))

        def play(given: Sequence[Fed]) -> None:
            feed(given)
            tape()

        return play

    def _same(self, tape: Tape, wanted: tuple[torch.Tensor, Tensors]) -> bool:
        """Say whether a tape computes what the program it was traced from does."""
        if self.stack.others:  # what is drawn differs from call to call
            return True
        tape()
        found = torch.cat([self.losses, self.g]).nan_to_num()
        losses, gradients = wanted
        told = torch.cat([losses, *(part.reshape(-1) for part in gradients)]).nan_to_num()
        return bool((found - told).norm() <= CLOSE * told.norm())

    def _plainly(self, run: Program, example: Given) -> None:
        with _building:
            losses, gradients = run(*example)
        self.losses.copy_(losses)
        for room, part in zip(self.stacked("g"), gradients, strict=True):
            room.copy_(part)

    def _move(self, row: torch.Tensor) -> None:
        if self.fast:
            compiled(self.looks)(*self._flat, row.numpy(), self.sizes)
        else:
            move_blocks(self.blocks, row[:, :, None])


def fill(room: Tensors, given: Sequence[Tensors], shared: bool) -> None:
    """Copy what lanes are given into its memory: the first's where they share it, else each lane's in its place."""
    if shared:
        for place, part in zip(room, given[0], strict=True):
            place.copy_(part)
        return
    for number, place in enumerate(room):
        for lane, parts in enumerate(given):
            place[lane].copy_(parts[number])
