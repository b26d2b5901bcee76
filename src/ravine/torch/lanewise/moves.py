"""One update of many lanes, each by its own row; compiled where the numbers lie on the CPU.

    v' = keep·v + take·g
    x' = x + move·v' + kick·g
    y' = x' + look·v'          with the look of the next update: where the next gradient is asked for

A parameter's numbers of all lanes lie together, one parameter after another: so every gradient is written where the
update reads it.
"""

import functools
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ravine import rules
from ravine.surfaces.interface import Array


def rows(methods: Sequence[rules.Method], steps: int) -> Array:
    """Return the numbers of each method at each update, (steps + 1, 6, lanes): the row, and the look of the next update."""
    made = np.zeros((steps + 1, 6, len(methods)))
    for k, method in enumerate(methods):
        for number, value in enumerate(method.row(np.arange(steps))):
            made[:steps, number, k] = value
    made[: steps - 1, 5] = made[1:steps, 4]
    return made


@functools.cache
def compiled(looks: bool) -> Any:
    """Compile the update for float32 and float64, with or without a look ahead; it is kept on disk for later processes."""
    numba: Any = importlib.import_module("numba")

    def move(x: Any, v: Any, g: Any, y: Any, row: Any, sizes: Any) -> None:
        at = 0
        for size in sizes:
            for lane in range(row.shape[1]):
                keep, take, move, kick, look = row[0, lane], row[1, lane], row[2, lane], row[3, lane], row[5, lane]
                # Slices, because loops over a part of an array do not go into SIMD registers.
                xs, vs, gs, ys = x[at : at + size], v[at : at + size], g[at : at + size], y[at : at + size]
                for i in range(size):
                    speed = keep * vs[i] + take * gs[i]
                    here = xs[i] + move * speed + kick * gs[i]
                    vs[i] = speed
                    xs[i] = here
                    if looks:
                        ys[i] = here + look * speed
                at += size

    kinds = [
        numba.void(real[::1], real[::1], real[::1], real[::1], real[:, ::1], numba.int64[::1])
        for real in (numba.float32, numba.float64)
    ]
    return numba.njit(kinds, nogil=True, cache=True)(move)


def move_blocks(blocks: Mapping[str, Sequence[torch.Tensor]], row: torch.Tensor) -> None:
    """Make one update in torch's operations: blocks (lanes, size) of x, v, g and y, row (6, lanes, 1)."""
    keep, take, move, kick, _, look = row
    for here, speed, slope, there in zip(*(blocks[name] for name in "xvgy"), strict=True):
        speed.mul_(keep).addcmul_(slope, take)
        here.addcmul_(speed, move).addcmul_(slope, kick)
        if there.data_ptr() != here.data_ptr():
            torch.addcmul(here, speed, look, out=there)
