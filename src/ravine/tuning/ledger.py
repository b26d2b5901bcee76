"""What a search may spend and what it spent, in gradient evaluations: one mini-batch gradient of one training is 1."""

import math
from dataclasses import dataclass, field

LEAST = 3  # trainings of a budget


@dataclass
class Ledger:
    """Keep the account: how much there is, and what was spent on what."""

    total: int
    spent: dict[str, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Return how many gradient evaluations are left."""
        return self.total - sum(self.spent.values())

    def spend(self, purpose: str, gradients: float) -> None:
        """Enter what was spent.

        >>> account = Ledger(100)
        >>> account.spend("curvature", 12.5)
        >>> account.left
        87
        """
        self.spent[purpose] = self.spent.get(purpose, 0) + math.ceil(gradients)
