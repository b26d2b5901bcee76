"""Whether parameters and gradients still lie where they were put, asked of thousands of tensors in microseconds.

Asked from Python each tensor costs a tenth of a microsecond twice over, which for many small tensors is as much as the
update itself. Libtorch's own functions are asked instead, if they are where they are known to be and give the very
answers that Python gives; else Python is.
"""

import contextlib
import ctypes
import functools
import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import binding, ir
from torch import Tensor

from ravine.torch._onepass import pool, threads

numba: Any = importlib.import_module("numba")
cgutils: Any = importlib.import_module("numba.core.cgutils")
intrinsic: Any = importlib.import_module("numba.extending").intrinsic

_WORD = ir.IntType(64)
_GRAD, _DATA, _BUMP = (  # in libc10, in libtorch_cpu
    "_ZNK3c1010TensorImpl4gradEv",
    "aoti_torch_get_data_ptr",
    "_ZN5torch8autograd4impl12bump_versionERKN2at6TensorE",
)
FEW = 16  # parameters that Python looks through faster
MANY = 500  # more are worth waking other threads for
LOOKED = 16  # of more, those that a step asks Python for

_NOTHING: Any = contextlib.nullcontext()

Asked = tuple[Callable[..., bool], Callable[..., bool]]  # by one thread, by several


class Watch:
    """Watch parameters and their gradients; `same` says whether all are where they were at the last `look`."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.ask: Asked | None = None
        self._behinds: list[int] = []
        self._turn = 0
        self.told = False

    def look(self) -> None:
        """Remember where everything is now."""
        behind = [p._cdata for p in self.parameters]
        if behind != self._behinds:
            self._behinds, self.addresses = behind, np.array(behind, np.int64)
            self.first = self.addresses.ctypes.data
            # These nodes hold the tensors behind the addresses, whatever becomes of the parameters.
            self.safe = all(p.requires_grad and p.is_leaf and not p.is_inference() for p in self.parameters)
            self.nodes = [torch.autograd.graph.get_gradient_edge(p) for p in self.parameters] if self.safe else []
        grads = [p.grad for p in self.parameters]
        places, slopes = [p.data_ptr() for p in self.parameters], [_place(g) for g in grads]
        nothing = _nothing()
        self.seen = [
            np.array(column, np.int64)
            for column in ([nothing if g is None else g._cdata for g in grads], places, slopes)
        ]
        self.rows = list(zip(self.parameters, grads, places, slopes, strict=True))
        # Where libtorch's answer is not Python's, it is not asked again.
        asked = _compiled() if self.safe and len(behind) > FEW else None
        self.ask = asked if asked and self._same(asked, False) else None

    def same(self, written: bool = False) -> bool:
        """Say whether nothing has been replaced since; `written` says that all with a gradient will be written into.

        Both in one go, because what takes the time is to fetch thousands of tensors from memory.
        """
        if self.ask is not None:
            self.told = written
            return self._behind() and self._same(self.ask, written)
        for p, g, place, slope in self.rows:
            now = p.grad
            if now is not g or p.data_ptr() != place or (now is not None and _place(now) != slope):
                return False
        return True

    def _behind(self) -> bool:
        """Say whether the tensors behind the parameters are the same: the ends', and of a few others every time.

        torch.utils.swap_tensors puts another one there, as a module's `to` does for all of them if it is told to.
        """
        first = self._turn = self._turn % len(self.parameters)
        self._turn += LOOKED
        here = (0, *range(first, min(self._turn, len(self.parameters))), -1)
        return all(self.parameters[i]._cdata == self._behinds[i] for i in here)

    def changed(self) -> None:
        """Tell autograd that all with a gradient were written into, so that a graph which saved them refuses to go on."""
        if not self.told:
            torch.autograd.graph.increment_version([p for p, _, _, slope in self.rows if slope])
        self.told = False

    def _same(self, asked: Asked, written: bool) -> bool:
        most = threads()
        several = len(self._behinds) > MANY and most > 1
        with pool(most) if several else _NOTHING:
            return bool(asked[several](self.addresses, self.first, *self.seen, written))


def _place(g: Tensor | None) -> int:
    """Return where a gradient lies; one that is sparse lies in no one place."""
    return 0 if g is None or g.layout != torch.strided else g.data_ptr()


@functools.cache
def _nothing() -> int:
    """Return the address by which libtorch says that there is no gradient, or 0 if it cannot be asked."""
    asked = _functions()
    if asked is None:
        return 0
    bare = torch.nn.Parameter(torch.zeros(1))
    slot = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(asked[0])(bare._cdata)
    return int(ctypes.c_int64.from_address(slot).value)


@functools.cache
def _functions() -> list[int] | None:
    """Return the addresses of libtorch's functions, or None where they are not to be had."""
    folder = Path(torch.__file__).parent / "lib"
    try:
        found = [
            ctypes.cast(ctypes.CDLL(str(folder / library))[name], ctypes.c_void_p).value
            for library, name in (("libc10.so", _GRAD), ("libtorch_cpu.so", _DATA), ("libtorch_cpu.so", _BUMP))
        ]
    except (OSError, AttributeError):  # another system, or another libtorch
        return None
    addresses = [address for address in found if address]
    return addresses if len(addresses) == 3 else None


@functools.cache
def _compiled() -> Asked | None:
    """Compile the question, for one thread and for several; it is kept on disk for later processes."""
    found = _functions()
    if found is None:
        return None
    for name, address in zip((_GRAD, _DATA, _BUMP), found, strict=True):
        binding.add_symbol(name, address)
    return _unmoved(False), _unmoved(True)


def _unmoved(several: bool) -> Callable[..., bool]:
    def unmoved(addresses: Any, first: Any, grads: Any, places: Any, slopes: Any, written: Any) -> Any:
        moved = 0
        if several:
            pass  # so that the function holds this flag, by which it is kept
        for i in numba.prange(addresses.size):
            slot: Any = grad_slot(addresses[i])
            here = first + 8 * i
            if read(slot) != grads[i] or data(here) != places[i] or (slopes[i] != 0 and data(slot) != slopes[i]):
                moved += 1
            elif written and slopes[i] != 0:
                bump(here)
        return moved == 0

    column, word = numba.int64[::1], numba.int64
    signature = numba.boolean(column, word, column, column, column, numba.boolean)
    made: Callable[..., bool] = numba.njit([signature], cache=True, parallel=several, nogil=True)(unmoved)
    return made


def _grad_slot(context: Any, tensor: Any) -> Any:
    """Return where a tensor keeps its gradient."""

    def written(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(_WORD, [_WORD]), _GRAD)
        return builder.call(function, given)

    return numba.int64(numba.int64), written


def _read(context: Any, address: Any) -> Any:
    """Return the word at an address."""

    def written(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.load(builder.inttoptr(given[0], _WORD.as_pointer()))

    return numba.int64(numba.int64), written


def _data(context: Any, slot: Any) -> Any:
    """Return where the numbers of the tensor lie that a slot points to."""

    def written(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [_WORD, _WORD.as_pointer()])
        function = cgutils.get_or_insert_function(builder.module, kind, _DATA)
        out = cgutils.alloca_once_value(builder, ir.Constant(_WORD, 0))
        builder.call(function, [given[0], out])
        return builder.load(out)

    return numba.int64(numba.int64), written


def _bump(context: Any, slot: Any) -> Any:
    """Count on the version of the tensor that a slot points to."""

    def written(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [_WORD])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, _BUMP), given)
        return context.get_dummy_value()

    return numba.void(numba.int64), written


bump: Any = intrinsic(_bump)
grad_slot, read, data = intrinsic(_grad_slot), intrinsic(_read), intrinsic(_data)
