"""What decides the numbers of a training, as one digest: a sweep asks by it whether its rows are still of this task."""

import ast
import functools
import hashlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from ravine.tasks.batches import HELD, seeds, stream
from ravine.tasks.loading import file_of, load
from ravine.tasks.once import new_model
from ravine.tasks.reading import Keyed
from ravine.tasks.task import Task, torch

READ = 2  # batches of a stream that are looked at
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic, Path, range, torch.dtype, torch.device)

Seen = dict[int, Any]  # by identity what was told already, kept so that no identity is given twice


def fingerprint(task: Task) -> str:
    """Return a digest of what decides the numbers of a training: model, loss, metrics, data and batch.

    The source of a task's file and of the modules beside it counts whole; of a task made in Python the source of its
    functions, what they hold and what they call in the same package. It is the same in every process and on every
    machine.

    Args:
        task: a task; its number of steps and its name do not count.

    Returns:
        32 hexadecimal digits.

    Example:
        >>> import torch
        >>> x = torch.linspace(-1, 1, 10)[:, None]
        >>> def made(factor):
        ...     return Task(lambda: torch.nn.Linear(1, 1), lambda m, b: m(b[0]).square().mean(), (factor * x,), batch=5)
        >>> fingerprint(made(1)) == fingerprint(made(1)), fingerprint(made(1)) == fingerprint(made(2))
        (True, False)
    """
    digest = hashlib.blake2b(digest_size=16)
    for word in _words(task):
        digest.update(len(word).to_bytes(8, "big") + word)
    return digest.hexdigest()


def again(task: Task) -> str | None:
    """Return the text by which another process can load a task; None for one made in Python or changed since.

    >>> again(load("digits-softmax"))
    'digits-softmax'
    """
    if not task.text:
        return None
    return task.text if fingerprint(load(task.text, check=False)) == fingerprint(task) else None


def _words(task: Task) -> Iterator[bytes]:
    """Yield everything that counts."""
    yield f"batch {task.batch if task.samples is not None else ''}".encode()
    if file := file_of(task):
        for each in _files(file, {}):
            yield each.read_bytes()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds(0).init)
        model = new_model(task)
    yield _clean(repr(model))
    for name, p in model.named_parameters():
        yield f"{name} {tuple(p.shape)} {p.dtype} {p.requires_grad}".encode()
    seen: Seen = {}
    yield " ".join(sorted(map(str, task.metrics))).encode()
    for function in (task.model, task.loss, *(task.metrics[key] for key in sorted(task.metrics, key=str))):
        yield from _told(function, _root(function), seen)
    for kind in sorted({type(part) for part in model.modules()}, key=lambda kind: kind.__qualname__):
        if not kind.__module__.startswith("torch."):
            yield from _told(kind, _root(kind), seen)
    yield from _data(task, seen)


def _data(task: Task, seen: Seen) -> Iterator[bytes]:
    """Yield the data: all of the tensors, or of a stream its function and its first batches, if these are reproducible."""
    if isinstance(task.data, list | tuple):
        yield from _told(task.data, "", seen)
        return
    if (root := _root(task.data)) != "torch":  # a DataLoader tells by its batches what it is
        yield from _told(task.data, root, seen)
    read = [b"".join(_told([b for _, b in zip(range(READ), stream(task, HELD), strict=False)], "", {})) for _ in "ab"]
    if read[0] == read[1]:
        yield read[0]


def _told(value: Any, root: str, seen: Seen) -> Iterator[bytes]:
    """Yield a value as bytes: numbers and tensors whole, functions and classes as their source and what they use."""
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biufc":
        value = value.tolist()
    if torch.is_tensor(value) or isinstance(value, np.ndarray):
        tensor = torch.as_tensor(value).detach().cpu().contiguous()
        yield f"{tensor.dtype} {tuple(tensor.shape)}".encode()
        yield tensor.reshape(-1).view(torch.uint8).numpy().tobytes()
        return
    if isinstance(value, PLAIN):
        yield repr(value).encode()
        return
    if id(value) in seen:
        return
    seen[id(value)] = value
    if isinstance(value, dict):
        value = [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple | set | frozenset):
        parts = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        yield f"{type(value).__name__} {len(parts)}".encode()
        for part in parts:
            yield from _told(part, root, seen)
    elif isinstance(value, torch.nn.Module):
        yield _clean(repr(value))
        yield from _told(dict(value.state_dict()), root, seen)
    elif isinstance(value, functools.partial):
        yield from _told([value.func, value.args, value.keywords], root, seen)
    elif isinstance(value, Keyed):
        yield from _told([value.function, value.keys], root, seen)
    elif isinstance(value, MethodType):
        yield from _told([value.__func__, value.__self__], root, seen)
    elif isinstance(value, FunctionType):
        yield from _function(value, root, seen)
    elif isinstance(value, type):
        yield _source(value) if _root(value) == root else value.__qualname__.encode()
        for part in vars(value).values() if _root(value) == root else ():
            if isinstance(part, FunctionType):
                yield from _function(part, root, seen)
    elif isinstance(value, ModuleType | BuiltinFunctionType):
        yield value.__name__.encode()
    else:
        yield type(value).__qualname__.encode()
        if _root(type(value)) == root:
            yield from _told([type(value), getattr(value, "__dict__", {})], root, seen)


def _function(function: FunctionType, root: str, seen: Seen) -> Iterator[bytes]:
    """Yield a function: its source, its defaults, what it encloses, and what it uses of its own package."""
    if _root(function) != root:
        yield f"{function.__module__}.{function.__qualname__}".encode()
        return
    yield _source(function)
    yield from _told([function.__defaults__, function.__kwdefaults__], root, seen)
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a cell that is empty yet
            yield from _told(cell.cell_contents, root, seen)
    for name in sorted(_names(function.__code__) & set(function.__globals__)):
        yield name.encode()
        yield from _told(function.__globals__[name], root, seen)


def _names(code: CodeType) -> set[str]:
    return set(code.co_names).union(*(_names(c) for c in code.co_consts if isinstance(c, CodeType)))


def _source(value: Any) -> bytes:
    """Return the source of a function or class, or its compiled code where the source is gone."""
    try:
        return textwrap.dedent(inspect.getsource(value)).strip().encode()
    except (OSError, TypeError, SyntaxError):
        code = getattr(value, "__code__", None)
        return b"".join(_compiled(code)) if code else str(getattr(value, "__qualname__", value)).encode()


def _compiled(code: CodeType) -> Iterator[bytes]:
    yield code.co_code + repr(code.co_names).encode()
    for constant in code.co_consts:
        yield from _compiled(constant) if isinstance(constant, CodeType) else [repr(constant).encode()]


def _root(value: Any) -> str:
    """Return the package something is from."""
    value = getattr(value, "function", value) if isinstance(value, Keyed) else value
    value = value.func if isinstance(value, functools.partial) else value
    module = getattr(value, "__module__", None) or type(value).__module__
    return str(module).partition(".")[0]


def _clean(text: str) -> bytes:
    """Return what something says of itself without its place in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", text).encode()


def _files(file: Path, found: dict[Path, None]) -> list[Path]:
    """Return a file and those beside it that it imports, each once."""
    found[file] = None
    for word in _imports(file):
        for beside in (file.parent / f"{word}.py", file.parent / word / "__init__.py"):
            if beside not in found and beside.is_file():
                _files(beside, found)
    return list(found)


def _imports(file: Path) -> list[str]:
    """Return the first words of what a file imports."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return []
    told: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            told += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            told += [node.module] if node.module else [alias.name for alias in node.names]
    return sorted({name.partition(".")[0] for name in told})
