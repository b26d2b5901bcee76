"""Let momentum and lr change during a training, and resume it in the middle to the last bit.

    python examples/schedules.py --steps 2000 --out schedules.png

Three courses on one small net: Sutskever's, momentum up in stairs and down to 0.9 for the last quarter; one-cycle,
lr up and down while momentum goes down and up; and torch's own CosineAnnealingLR for lr beside a Schedule for momentum.
The first is then stopped, saved, and resumed by new objects.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ravine.torch import Momentum, Schedule

BATCH = 32


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))


def data() -> tuple[Tensor, Tensor]:
    """Return points and what another net of this kind makes of them."""
    drawn = torch.Generator().manual_seed(1)
    x = torch.randn(1024, 8, generator=drawn)
    first, second = torch.randn(8, 16, generator=drawn), torch.randn(16, 1, generator=drawn)
    return x, torch.tanh(x @ first / 2) @ second / 4


def settings(course: str, steps: int) -> dict[str, Any]:
    """Return what a course sets, as text or as a schedule; steps counts updates from 0."""
    last = max(1, steps // 4)  # 1000 in the paper
    stairs = f"finaldrop(sutskever(0.99,{max(1, steps // 40)}),{steps},0.9,{last})"
    return {
        "constant": {"momentum": 0.9},
        "Sutskever": {"momentum": stairs},
        "one-cycle": {"lr": f"onecycle(0.004,0.1,{steps},0.0001)", "momentum": f"onecycle(0.95,0.85,{steps},0.95)"},
        "cosine, by torch": {"momentum": stairs},  # lr is set by torch.optim.lr_scheduler
    }[course]


class Training:
    """Hold what is saved together: model, optimizer, schedule and, if there is one, torch's own scheduler."""

    def __init__(self, course: str, steps: int) -> None:
        self.model = net()
        self.optimizer = Momentum(self.model.parameters(), lr=0.02, momentum=0.9, rule="nag", flat=True)
        self.schedule = Schedule(self.optimizer, settings(course, steps))
        self.parts: dict[str, Any] = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}
        if "torch" in course:
            self.parts["falling"] = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)

    def run(self, start: int, stop: int) -> float:
        """Make updates and return the loss on all points, at the iterate."""
        x, y = data()
        for step in range(start, stop):
            batch = torch.randint(len(x), (BATCH,), generator=torch.Generator().manual_seed(step))
            self.optimizer.zero_grad()
            (self.model(x[batch]) - y[batch]).square().mean().backward()
            self.optimizer.step()  # the Schedule counts it; nothing else is called
            if "falling" in self.parts:
                self.parts["falling"].step()
        with self.optimizer.at_iterate(), torch.no_grad():
            return (self.model(x) - y).square().mean().item()

    def save(self, file: Path) -> None:
        torch.save({name: part.state_dict() for name, part in self.parts.items()}, file)

    def load(self, file: Path) -> None:
        for name, state in torch.load(file, weights_only=True).items():
            self.parts[name].load_state_dict(state)


def resumed_equal(course: str, steps: int) -> bool:
    """Say whether a run that was saved at a third and resumed ends with the same bits."""
    whole, first, second = (Training(course, steps) for _ in range(3))
    whole.run(0, steps)
    first.run(0, steps // 3)
    with tempfile.TemporaryDirectory() as folder:
        first.save(Path(folder) / "run.pt")
        second.load(Path(folder) / "run.pt")
    second.run(steps // 3, steps)
    pairs = zip(whole.model.parameters(), second.model.parameters(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def main() -> None:
    """Train by every course, resume one, and draw another."""
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--steps", type=int, default=2000)
    given.add_argument("--out", type=Path, help="a picture of the one-cycle schedule")
    options = given.parse_args()
    for course in ("constant", "Sutskever", "one-cycle", "cosine, by torch"):
        print(f"{course:18} loss {Training(course, options.steps).run(0, options.steps):.2e}")
    for course in ("Sutskever", "cosine, by torch"):
        print(f"{course:18} resumed from a file, the same to the last bit: {resumed_equal(course, options.steps)}")
    if options.out:
        Training("one-cycle", options.steps).schedule.plot().savefig(options.out)


if __name__ == "__main__":
    main()
