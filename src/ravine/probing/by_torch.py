"""A torch optimizer as a black box, through parameters that hold two matrices and a vector."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ravine.errors import ProbeError, reason, require
from ravine.probing.machines import NOTHING, OVERFLOW, SIZE, Event, Machine, joined, split
from ravine.surfaces.interface import Array

Factory = Callable[[list[Any]], Any]
SCALE = 1024.0  # of the gradient scaler; a power of two, so that scaling rounds nothing


def machine(factory: Factory, name: str) -> Machine:
    """Return the machine of a factory from parameters to an optimizer; raises `ProbeError` where it raises."""
    torch = require("torch", extra="torch", why="probe torch's optimizers")
    parts = _parts(torch, factory, name)

    def play(x0: Array, events: Sequence[Event], scaled: bool) -> Array:
        with _watched(torch):
            return _Played(torch, factory, name, x0, parts, scaled).all(events)

    with _watched(torch):
        group = _Played(torch, factory, name, joined(np.ones(1)), parts, False).optimizer.param_groups[0]
        values = {k: v.item() if torch.is_tensor(v) and v.numel() == 1 else v for k, v in group.items()}
        asked = {k: v for k, v in values.items() if isinstance(v, bool | int | float | str)}
    keys = frozenset(k for k, v in asked.items() if isinstance(v, int | float) and not isinstance(v, bool))
    return Machine(name, play, asked, keys, skips=True, scales=True)


def is_optimizer(made: Any) -> bool:
    """Say whether this is a torch optimizer, or behaves as one."""
    return hasattr(made, "param_groups") and callable(getattr(made, "step", None))


def _parts(torch: Any, factory: Factory, name: str) -> int:
    """Return 3 if it takes matrices and a vector, 2 if matrices alone; raises `ProbeError` if it takes neither."""
    said = None
    with _watched(torch):
        for parts in (3, 2):
            try:
                if is_optimizer(factory(_parameters(torch, np.ones(SIZE), parts))):
                    return parts
            except Exception as error:
                said = said or error
    why = f"raised {reason(said)} when it was made" if said else "made no optimizer"
    raise ProbeError(f"{name} {why}; a factory takes a list of parameters and returns a torch.optim.Optimizer")


def _parameters(torch: Any, x0: Array, parts: int) -> list[Any]:
    return [torch.nn.Parameter(torch.tensor(part, dtype=torch.float64)) for part in split(x0)[:parts]]


@contextlib.contextmanager
def _watched(torch: Any) -> Iterator[None]:
    """Fill memory that nobody has written with NaN, so that an optimizer that reads it is seen; keep warnings quiet."""
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = True
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            torch.utils.deterministic.fill_uninitialized_memory = filled


class _Played:
    """One optimizer being played."""

    def __init__(self, torch: Any, factory: Factory, name: str, x0: Array, parts: int, scaled: bool) -> None:
        self.torch, self.name = torch, name
        self.params = _parameters(torch, x0, parts)
        try:
            self.optimizer = factory(list(self.params))
        except Exception as error:
            raise ProbeError(f"{name} raised {reason(error)} when it was made; mend its settings") from error
        self.scaler = torch.amp.GradScaler("cpu", init_scale=SCALE) if scaled else None
        if self.scaler:
            self.scaler.scale(torch.zeros(()))  # it makes its scale at its first use

    def all(self, events: Sequence[Event]) -> Array:
        """Play all events and return the positions."""
        positions = [self.position()]
        for event in events:
            if isinstance(event, Mapping):
                self.change(event)
                continue
            self.give(event)
            try:
                self.step()
            except Exception as error:
                what = "step() without gradients" if event is NOTHING else "step()"
                raise ProbeError(f"{self.name} raised {reason(error)} in {what}; it cannot be probed so") from error
            positions.append(self.position())
        return np.array(positions)

    def position(self) -> Array:
        return joined(*(p.detach().numpy() for p in self.params))

    def change(self, settings: Mapping[str, float]) -> None:
        """Write settings into every group, into a tensor where there is one, as schedulers do."""
        for group in self.optimizer.param_groups:
            for key, value in settings.items():
                if self.torch.is_tensor(group[key]):
                    group[key].fill_(value)
                else:
                    group[key] = value

    def give(self, event: Event) -> None:
        """Set the gradients."""
        if event is NOTHING:
            for p in self.params:
                p.grad = None
            return
        for p, part in zip(self.params, split(np.full(SIZE, np.inf) if event is OVERFLOW else event), strict=False):  # type: ignore[arg-type]
            p.grad = self.torch.tensor(part * (self.scaler.get_scale() if self.scaler else 1.0), dtype=p.dtype)

    def step(self) -> None:
        """Make one step, through the scaler where there is one, with a closure where it is asked for."""
        if self.scaler:
            self.scaler.step(self.optimizer)
            self.scaler.update()
            return
        try:
            self.optimizer.step()
        except Exception as error:
            if "closure" not in str(error):
                raise
            self.optimizer.step(lambda: self.torch.zeros(()))
