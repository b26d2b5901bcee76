"""The update of `numbers.Pass` as one compiled pass over x, g and v; imported late, because it imports Numba.

Which operations there are is known when a pass is compiled, so that a rule pays for nothing that it does not do. The
rounding is torch's: v is multiplied, rounded, and the gradient added by a fused multiply-add.
"""

import contextlib
import functools
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from ravine.torch.numbers import Pass

numba: Any = importlib.import_module("numba")
intrinsic: Any = importlib.import_module("numba.extending").intrinsic

SMALL = 32_768  # numbers below which waking another thread costs more than it saves

_lock = threading.Lock()  # one of Numba's thread pools does not bear two callers
_forked = [False]  # GNU's threads do not survive a fork
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _forked.__setitem__(0, True))


class Kind(NamedTuple):
    """Hold what is known when a pass is compiled."""

    pull: bool
    turned: bool  # a sign, a shrinking or a leaving
    buffer: bool
    kick: bool
    move: bool
    parallel: bool


Call = tuple[Callable[..., None], tuple[Any, ...], bool]


def prepared(x: Any, g: Any, v: Any, numbers: Pass, threads: int) -> Call:
    """Return an update in place, to be made by `together` now and in later steps.

    Args:
        x, g, v: NumPy arrays (n,) of float32 or float64, one dtype for all; v is not read where there is no buffer.
        numbers: of the update, floats.
        threads: that may be used.
    """
    sign, pull, shrink, leave, keep, take, move, kick, buffer = numbers
    parallel = x.size > SMALL and threads > 1
    ratio = numbers.ratio if kick and move else move
    kind = Kind(pull != 0, sign < 0 or shrink != 1 or leave != 0, buffer, kick != 0, move != 0, parallel)
    return _compiled(kind), (x, g, v, *map(float, (sign, pull, shrink, leave, keep, take, ratio, kick))), parallel


def together(calls: list[Call], most: int) -> None:
    """Make updates, one after another, on at most so many threads."""
    for run, arguments, parallel in calls:
        if parallel:
            with pool(most):
                run(*arguments)
        else:
            run(*arguments)


def threads() -> int:
    """Return how many threads a step may use: as many as torch does, and one in a process that was forked."""
    return 1 if _forked[0] else torch.get_num_threads()


@contextlib.contextmanager
def pool(most: int) -> Iterator[None]:
    """Have Numba's threads for this block, at most so many."""
    with _lock:
        most = min(most, numba.config.NUMBA_NUM_THREADS)
        if numba.get_num_threads() != most:
            numba.set_num_threads(most)
        yield


def _fma(context: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a·b + c rounded once, in compiled code."""

    def written(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.fma(*given)

    return a(a, a, a), written


fma = intrinsic(_fma)


@functools.cache
def _compiled(kind: Kind) -> Callable[..., None]:
    """Compile a pass for float32 and float64; it is kept on disk for later processes."""
    # Only these flags are held by the function: what it holds is part of the name under which it is kept.
    with_pull, turned, buffer, kicks, moves, parallel = kind

    def run(
        x: Any,
        g: Any,
        v: Any,
        sign: Any,
        pull: Any,
        shrink: Any,
        leave: Any,
        keep: Any,
        take: Any,
        ratio: Any,
        kick: Any,
    ) -> None:
        if parallel:
            pass  # so that the function holds this flag too
        for i in numba.prange(x.size):
            here, slope = x[i], g[i]
            if turned:
                slope = sign * slope
            if with_pull:
                slope = fma(pull, here, slope)
            if turned:
                here = shrink * here
            if buffer:
                if turned:
                    here = fma(leave, v[i], here)
                speed = fma(take, slope, keep * v[i])
                v[i] = speed
                if kicks:
                    if moves:
                        slope = fma(ratio, speed, slope)
                    here = fma(kick, slope, here)
                else:
                    here = fma(ratio, speed, here)
            else:
                here = fma(kick, slope, here)
            x[i] = here

    one, two = ([real[::1]] * 3 + [real] * 8 for real in (numba.float32, numba.float64))
    made: Callable[..., None] = numba.njit(
        [numba.void(*one), numba.void(*two)], nogil=True, parallel=parallel, cache=True
    )(run)
    return made
