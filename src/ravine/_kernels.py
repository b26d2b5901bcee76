"""Compiled maps: written by `_lanes`, compiled by Numba once, and kept as machine code for later processes.

What is kept is loaded by llvmlite alone, in a twentieth of the time that importing Numba takes. Nobody else imports
Numba.
"""

import contextlib
import ctypes
import functools
import hashlib
import importlib
import math
import os
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ravine._lanes import LANES, source
from ravine.cells import Walked, unwalked
from ravine.rules import Row
from ravine.surfaces.interface import Array, Surface
from ravine.tracing import Pattern

Fill = Callable[..., None]
SAFE = 300  # decimal digits below which a polynomial of a point inside the ball is a finite number
NOTHING = np.zeros(0)
_POINTER = ctypes.c_void_p
_PROTOTYPE = ctypes.CFUNCTYPE(
    None,
    *[_POINTER] * 6,
    ctypes.c_int64,
    ctypes.c_int64,
    ctypes.c_double,
    ctypes.c_double,
    *[_POINTER] * 5,
)
# Named by what Numba compiles, for errors that this code cannot raise; a process without Numba lacks them.
_NEVER_CALLED = ("numba_gil_ensure", "numba_gil_release", "NRT_MemInfo_call_dtor", "numba_unpickle")

_loaded: dict[str, tuple[Fill, object]] = {}  # the second keeps the machine code in memory


def compiled(surface: Surface, pattern: Pattern, ball: float, say: Callable[[str], object] | None = None) -> Fill:
    """Return the function that walks cells of a surface with rows of this pattern, compiled now or long ago."""
    text = source(surface, pattern, watch=not _tame(surface, ball))
    name = hashlib.sha256("\n".join((text, *_machine())).encode()).hexdigest()[:32]
    if name not in _loaded:
        path = folder() / f"{name}.map"
        found = _load(path)
        if found is None:
            if say:
                say(f"compiling the map of {surface.name}, once; it is kept")
            found = _compile(text, path)
        _loaded[name] = found
    return _loaded[name][0]


@functools.cache
def _machine() -> tuple[str, ...]:
    """Return what machine code depends on beside its source: the processor, and who wrote it."""
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features().flatten()
    return (version("ravine"), version("numba"), version("llvmlite"), sys.version, llvm.get_host_cpu_name(), features)


def _compile(text: str, path: Path) -> tuple[Fill, object]:
    """Compile a program and keep its machine code."""
    numba: Any = importlib.import_module("numba")
    types = numba.types
    reals, wholes, flags = (types.CPointer(kind) for kind in (types.float64, types.int32, types.int8))
    numbers = types.int64, types.int64, types.float64, types.float64
    space: dict[str, Any] = {
        "SIGNATURE": types.void(*[reals] * 6, *numbers, wholes, flags, *[reals] * 3),
        "cfunc": numba.cfunc, "njit": numba.njit, "numpy": np, "inf": math.inf, "floor": np.floor,
        **_memory(types),
    }  # fmt: skip
    exec(compile(text, "<map>", "exec"), space)
    made = space["fill"]
    with contextlib.suppress(AttributeError, OSError):  # kept or not, the map is there
        code = made._library._get_compiled_object()
        _keep(path, made.native_name.encode() + b"\n" + code)
    return _PROTOTYPE(made.address), made


def _memory(types: Any) -> dict[str, Any]:
    """Return functions for compiled code that get arrays of LANES numbers from the C library and give them back."""
    from llvmlite import ir

    intrinsic: Any = importlib.import_module("numba.extending").intrinsic
    byte = ir.IntType(8).as_pointer()

    def maker(number: Any) -> Any:
        def make(context: Any) -> Any:
            def written(context: Any, builder: Any, signature: Any, given: Any) -> Any:
                size = ir.IntType(64)
                # Aligned, because a store over the border of a cache line is waited for by the load that follows.
                name, sizes = ("malloc", [8 * LANES]) if sys.platform == "win32" else ("aligned_alloc", [64, 8 * LANES])
                get = _declared(builder.module, ir.FunctionType(byte, [size] * len(sizes)), name)
                get.return_value.add_attribute("noalias")
                made = builder.call(get, [size(count) for count in sizes])
                return builder.bitcast(made, context.get_value_type(number).as_pointer())

            return types.CPointer(number)(), written

        return intrinsic(make)

    def free(context: Any, pointer: Any) -> Any:
        def written(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            function = _declared(builder.module, ir.FunctionType(ir.VoidType(), [byte]), "free")
            builder.call(function, [builder.bitcast(given[0], byte)])
            return context.get_dummy_value()

        return types.void(pointer), written

    return {"lanes": maker(types.float64), "whole_lanes": maker(types.int64), "free": intrinsic(free)}


def _declared(module: Any, kind: Any, name: str) -> Any:
    """Return a C function in a module, declared there if it was not."""
    cgutils: Any = importlib.import_module("numba.core.cgutils")
    return cgutils.get_or_insert_function(module, kind, name)


def _keep(path: Path, content: bytes) -> None:
    """Write machine code whole and with its digest, so that nobody ever runs half of it."""
    handle, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
    with os.fdopen(handle, "wb") as stream:
        stream.write(hashlib.sha256(content).digest() + content)
    Path(name).replace(path)


def _load(path: Path) -> tuple[Fill, object] | None:
    """Return a function whose machine code was kept, or None if it was not or is damaged."""
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    digest, content = kept[:32], kept[32:]
    if hashlib.sha256(content).digest() != digest:
        return None
    import llvmlite.binding as llvm

    name, _, code = content.partition(b"\n")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    if "numba" not in sys.modules:
        for symbol in _NEVER_CALLED:
            llvm.add_symbol(symbol, ctypes.cast(ctypes.pythonapi.PyErr_Clear, _POINTER).value)
    try:
        engine = llvm.create_mcjit_compiler(
            llvm.parse_assembly(""), llvm.Target.from_default_triple().create_target_machine()
        )
        engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        return _PROTOTYPE(engine.get_function_address(name.decode())), engine
    except RuntimeError:  # written by a version that this one does not understand
        return None


def folder() -> Path:
    """Return where compiled maps are kept: this user's cache, or a folder for this process alone.

    What lies there is run, so it must belong to this user and nobody else may write to it.
    """
    from platformdirs import user_cache_dir

    kept = Path(os.environ.get("RAVINE_CACHE") or user_cache_dir("ravine")) / "maps"
    try:
        kept.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = kept.stat()
        mine = not hasattr(os, "getuid") or (
            about.st_uid == os.getuid() and not about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        )
        if mine and os.access(kept, os.W_OK):
            return kept
    except OSError:
        pass
    return _of_this_process()


_temporary: list[tempfile.TemporaryDirectory[str]] = []


def _of_this_process() -> Path:
    """Return a folder that is deleted when the process ends."""
    if not _temporary:
        _temporary.append(tempfile.TemporaryDirectory(prefix="ravine-", ignore_cleanup_errors=True))
    return Path(_temporary[0].name)


def _tame(surface: Surface, ball: float) -> bool:
    """Say whether the value is a finite number wherever the point is inside the ball: a polynomial of low degree."""
    from ravine.surfaces.expression import degree

    return bool(degree(surface.expression) * max(np.log10(ball), 1.0) < SAFE)


def walk(
    fill: Fill,
    parts: Sequence[slice],
    rows: Callable[[slice], tuple[slice, Row]],
    cells: int,
    start: Array,
    steps: int,
    target: float,
    ball: float,
    progress: Callable[[int, int], object] | None,
) -> Walked:
    """Walk all cells, a part at a time, on all processors; interrupted, the rest stays unwalked.

    Args:
        fill: from `compiled`.
        parts: of the work.
        rows: says which cells a part has, and their rows: numbers, or arrays (cells of the part,).
        cells: how many in all.
        start: (n,).
        steps: at most so many.
        target: a value at most this ends a cell.
        ball: a coordinate farther out than this ends a cell.
        progress: called with the cells done and the cells in all.
    """
    found = unwalked(cells)
    stop, done, lock = threading.Event(), [0], threading.Lock()

    def work(part: slice) -> None:
        if stop.is_set():
            return
        where, row = rows(part)
        size = where.stop - where.start
        spread = [_spread(cell, size) for cell in row]  # in a list, so that they live as long as their addresses
        columns = [column[where] for column in found]
        fill(
            *(column.ctypes.data for column in spread), start.ctypes.data, size, steps, target, ball,
            *(column.ctypes.data for column in columns),
        )  # fmt: skip
        with lock:
            done[0] += size
            if progress:
                progress(done[0], cells)

    with ThreadPoolExecutor(threads()) as pool, contextlib.suppress(KeyboardInterrupt):
        try:
            for _ in pool.map(work, parts):
                pass
        except BaseException:
            stop.set()
            raise
    return found


def _spread(cell: Any, size: int) -> Array:
    """Return a column of a row as the kernel reads it; it does not read those where all cells have 0 or 1."""
    if not getattr(cell, "shape", ()):
        return NOTHING if cell in (0, 1) else np.full(size, float(cell))
    return np.array(np.broadcast_to(cell, (size,)), float)  # a copy, because the kernel takes none that is read-only


def threads() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
