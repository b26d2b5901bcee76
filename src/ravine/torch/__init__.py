"""Momentum for PyTorch: the rules of the table as an optimizer, schedules, conversion of checkpoints, a probe."""

from ravine.errors import require

require("torch", extra="torch", why="train with ravine's rules")

from ravine.conversion.crossing import convert_snapshot  # noqa: E402
from ravine.conversion.layout import rename  # noqa: E402
from ravine.conversion.optax_state import read_optax, write_optax  # noqa: E402
from ravine.conversion.snapshot import Snapshot, snapshot  # noqa: E402
from ravine.probe import probe  # noqa: E402
from ravine.probing.probed import Probed  # noqa: E402
from ravine.torch.checkpoint import convert_checkpoint, read_checkpoint, write_checkpoint  # noqa: E402
from ravine.torch.crew import most_lanes, train_lanes  # noqa: E402
from ravine.torch.fitness import unfit  # noqa: E402
from ravine.torch.lanes import Lanes  # noqa: E402
from ravine.torch.momentum import Momentum  # noqa: E402
from ravine.torch.schedule import Schedule  # noqa: E402
from ravine.torch.singles import Singles  # noqa: E402
from ravine.torch.state import convert_state, read_torch, write_torch  # noqa: E402
from ravine.torch.training import train  # noqa: E402

__all__ = [
    "Lanes",
    "Momentum",
    "Probed",
    "Schedule",
    "Singles",
    "Snapshot",
    "convert_checkpoint",
    "convert_snapshot",
    "convert_state",
    "most_lanes",
    "probe",
    "read_checkpoint",
    "read_optax",
    "read_torch",
    "rename",
    "snapshot",
    "train",
    "train_lanes",
    "unfit",
    "write_checkpoint",
    "write_optax",
    "write_torch",
]
