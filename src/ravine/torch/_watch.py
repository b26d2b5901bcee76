"""Whether parameters and gradients still lie where they were put, asked of thousands of tensors in microseconds.

Asked from Python each tensor costs a tenth of a microsecond twice over, which for many small tensors is as much as the
update itself. Libtorch's own functions are asked instead, if they are where they are known to be and give the very
answers that Python gives; else Python is.
"""

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

numba: Any = importlib.import_module("numba")
cgutils: Any = importlib.import_module("numba.core.cgutils")
intrinsic: Any = importlib.import_module("numba.extending").intrinsic

_WORD = ir.IntType(64)
_GRAD, _DATA, _BUMP = (  # in libc10, in libtorch_cpu
    "_ZNK3c1010TensorImpl4gradEv",
    "aoti_torch_get_data_ptr",
    "_ZN5torch8autograd4impl12bump_versionERKN2at6TensorE",
)
LOOKED = 16  # parameters that a step asks Python for


class Watch:
    """Watch parameters and their gradients; `same` says whether all are where they were at the last `look`."""

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        self.ask: Callable[..., bool] | None = None
        self._behinds: list[int] = []
        self._turn = 0

    def look(self) -> None:
        """Remember where everything is now."""
        behind = [p._cdata for p in self.parameters]
        if behind != self._behinds:
            self._behinds, self.addresses = behind, np.array(behind, np.int64)
            # These nodes hold the tensors behind the addresses, whatever becomes of the parameters.
            self.safe = all(p.requires_grad and p.is_leaf and not p.is_inference() for p in self.parameters)
            self.nodes = [torch.autograd.graph.get_gradient_edge(p) for p in self.parameters] if self.safe else []
        self.grads = [p.grad for p in self.parameters]
        self.places = [p.data_ptr() for p in self.parameters]
        self.slopes = [_place(g) for g in self.grads]
        nothing = _nothing()
        self.seen = [
            np.array(column, np.int64)
            for column in ([nothing if g is None else g._cdata for g in self.grads], self.places, self.slopes)
        ]
        # Where libtorch's answer is not Python's, it is not asked again.
        asked = _compiled() if self.safe else None
        self.ask = asked if asked and self._same(asked) else None

    def same(self) -> bool:
        """Say whether nothing has been replaced since."""
        if self.ask is not None:
            return self._behind() and self._same(self.ask)
        grads = [p.grad for p in self.parameters]
        return (
            all(map(_is, grads, self.grads))
            and [p.data_ptr() for p in self.parameters] == self.places
            and [_place(g) for g in grads] == self.slopes
        )

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
        if self.ask is not None:
            _compiled_bump()(self.addresses.ctypes.data, self.seen[2])
        else:
            having = [p for p, slope in zip(self.parameters, self.slopes, strict=True) if slope]
            torch.autograd.graph.increment_version(having)

    def _same(self, asked: Callable[..., bool]) -> bool:
        return bool(asked(self.addresses, self.addresses.ctypes.data, *self.seen))


def _place(g: Tensor | None) -> int:
    """Return where a gradient lies; one that is sparse lies in no one place."""
    return 0 if g is None or g.layout != torch.strided else g.data_ptr()


def _is(one: object, other: object) -> bool:
    return one is other


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
def _compiled() -> Callable[..., bool] | None:
    """Compile the question; it is kept on disk for later processes."""
    found = _functions()
    if found is None:
        return None
    for name, address in zip((_GRAD, _DATA, _BUMP), found, strict=True):
        binding.add_symbol(name, address)
    column = numba.int64[::1]
    made: Any = numba.njit([numba.boolean(column, numba.int64, column, column, column)], cache=True)(_unmoved)
    return made  # type: ignore[no-any-return]


@functools.cache
def _compiled_bump() -> Callable[..., None]:
    """Compile what counts the versions on; to be had where `_compiled` was."""
    made: Any = numba.njit([numba.void(numba.int64, numba.int64[::1])], cache=True)(_bumped)
    return made  # type: ignore[no-any-return]


def _bumped(first: Any, slopes: Any) -> None:
    for i in range(slopes.size):
        if slopes[i] != 0:
            bump(first + 8 * i)


def _unmoved(addresses: Any, first: Any, grads: Any, places: Any, slopes: Any) -> bool:
    for i in range(addresses.size):
        slot: Any = grad_slot(addresses[i])
        if read(slot) != grads[i] or data(first + 8 * i) != places[i]:
            return False
        if slopes[i] != 0 and data(slot) != slopes[i]:
            return False
    return True


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
