"""What the lanes of a seed are fed with: its batches, and the random numbers of the loss."""

import torch

from ravine.tasks.batches import batches, seeds
from ravine.torch.lanewise.slots import Fed
from ravine.torch.lanewise.stack import Stack, leaves


class Feed:
    """Hold where the data and the noise of one seed are.

    Args:
        stack: the model.
        seed: of the lanes.
    """

    def __init__(self, stack: Stack, seed: int) -> None:
        self.stack, self.seed = stack, seed
        self.batches = batches(stack.task, seed)
        self.generator = torch.Generator(stack.device).manual_seed(seeds(seed).noise)

    def __call__(self, updates: int) -> list[Fed]:
        """Return what the next updates need."""
        return [self._one() for _ in range(updates)]

    def _one(self) -> Fed:
        batch = leaves(next(self.batches))
        return batch, tuple(draw(self.generator) for draw in self.stack.draws(batch, self.seed))
