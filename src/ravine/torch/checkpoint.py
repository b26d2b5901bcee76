"""Checkpoint files: read without running anything in them, converted, and written whole or not at all.

.pt .pth .bin .ckpt   torch.load(weights_only=True): {"model": …, "optimizer": …} and its usual variants
.safetensors .npz     arrays parameters.NAME and buffers.NAME, and a marker that says what they mean
"""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ravine.conversion import arrays
from ravine.conversion.crossing import NeedsParameters, convert_snapshot
from ravine.conversion.layout import rename
from ravine.conversion.record import KEY, arrays_of, from_file, written
from ravine.conversion.snapshot import Snapshot, checked
from ravine.errors import ConvertError, RavineError, reason, require, shown
from ravine.files import aside, writable
from ravine.torch.names import Unnamed, aligned, said
from ravine.torch.state import shared, tensor, write_torch

PICKLES = ("pt", "pth", "bin", "ckpt")
SUFFIXES = (*PICKLES, "safetensors", "npz")
MODELS = ("model", "model_state_dict", "state_dict", "model_state", "net", "network", "weights")
OPTIMIZERS = (
    "optimizer", "optimizer_state_dict", "optim", "optimizer_state", "optim_state_dict", "opt", "optimizer_states",
)  # fmt: skip


class Layout(NamedTuple):
    """Hold what a .pt file held, and where in it model and optimizer stand; "" where the file is the optimizer's state."""

    data: Any
    model: str | None
    optimizer: str


def read_checkpoint(
    path: str | os.PathLike[str], source: str | None = None, names: Sequence[str] | None = None
) -> Snapshot:
    """Read a run in the middle from a file; nothing in it is executed.

    Args:
        path: .pt, .pth, .bin or .ckpt of torch; .safetensors or .npz.
        source: what the buffers are, where the file does not say, such as `keras:lr=0.01,mu=0.9`.
        names: the parameters in the optimizer's order, where the file leaves that open: a .pt file without
            param_names, and arrays of another's, which .safetensors sorts.

    Raises:
        ConvertError: the file is none of these, is not whole, wants to run code, or does not say what its buffers are.

    Example:
        >>> read_checkpoint("run.txt")
        Traceback (most recent call last):
        ravine.errors.ConvertError: cannot read 'run.txt': a checkpoint ends in .pt, .pth, .bin, .ckpt, .safetensors, .npz
    """
    file = _known(path)
    if file.suffix == ".npz":
        found, text = _guarded(file, _npz)
        return _in_order(from_file(found, text, source, file.name), names)
    if file.suffix == ".safetensors":
        require("safetensors", extra="torch", why="read .safetensors files")
        found, text = _guarded(file, _safetensors)
        return _in_order(from_file(found, text, source, file.name), names)
    return _whole(_layout(file), source, names)


def write_checkpoint(path: str | os.PathLike[str], run: Snapshot) -> Path:
    """Write a run in the middle to a file, whole or not at all.

    Args:
        path: .safetensors or .npz for any dialect; .pt for torch's, as {"model": …, "optimizer": …} with the
            parameters' names in the optimizer's param_groups.
        run: the snapshot.

    Raises:
        ConvertError: the format cannot hold the dialect or the numbers. DrawError: nothing can be written there.

    Example:
        >>> import tempfile, numpy as np
        >>> from pathlib import Path
        >>> from ravine.conversion.snapshot import snapshot
        >>> run = snapshot("keras:lr=0.1,mu=0.9", {"w": np.ones(2)}, {})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     read_checkpoint(write_checkpoint(Path(folder) / "run.npz", run)).settings["momentum"]
        0.9
    """
    file, run = writable(path, SUFFIXES), checked(run)
    kind = file.suffix.lower().lstrip(".")
    if kind in PICKLES:
        return _save(file, _as_torch(run))
    if kind == "npz":
        return _save_npz(file, run)
    safe = require("safetensors.torch", extra="torch", why="write .safetensors files")
    # Each tensor with a storage of its own: the format knows no shared ones.
    held = {name: tensor(value).detach().cpu().contiguous().clone() for name, value in arrays_of(run).items()}
    text = written(run)
    return _put(file, lambda to: safe.save_file(held, to, metadata={KEY: text, "format": "pt"}))


def convert_checkpoint(
    path: str | os.PathLike[str],
    to: str,
    out: str | os.PathLike[str] | None = None,
    *,
    source: str | None = None,
    names: Sequence[str] | None = None,
) -> tuple[Snapshot, Snapshot]:
    """Convert a checkpoint file, and write the result unless `out` is None; returns the run before and after.

    From .pt to .pt everything else that the file holds (epoch, schedulers, running means) stays as it is.

    Raises:
        ConvertError: the file cannot be read, has no equal in the target, or its format cannot hold that.

    Example:
        >>> import tempfile, numpy as np, torch
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     keras, out = Path(folder) / "keras.npz", Path(folder) / "torch.pt"
        ...     np.savez(keras, **{"parameters.w": np.ones(2), "buffers.w": np.array([-0.1, 0.2])})
        ...     before, after = convert_checkpoint(keras, "torch", out, source="keras:lr=0.1,mu=0.9")
        ...     torch.load(out, weights_only=True)["optimizer"]["state"]
        {0: {'momentum_buffer': tensor([ 1., -2.], dtype=torch.float64)}}
    """
    file = _known(path)
    target = None if out is None else writable(out, SUFFIXES)
    pickled = file.suffix.lower().lstrip(".") in PICKLES
    layout = _layout(file) if pickled else None
    if layout is None or (target is not None and target.suffix.lower().lstrip(".") not in PICKLES):
        before = read_checkpoint(path, source, names)
        after = convert_snapshot(before, to)
        if target is not None:
            write_checkpoint(target, after)
        return before, after
    before, unnamed = _named_if_possible(layout, source, names)
    try:
        after = convert_snapshot(before, to)
    except NeedsParameters:
        raise unnamed or ConvertError(
            f"{shown(file)} holds no model, and the conversion needs its parameters"
        ) from None
    if target is not None:
        _save(target, _replaced(layout, write_torch(after), after))
    return before, after


# Files of torch -----------------------------------------------------------------------------------------------


def _known(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that is there and has a known suffix."""
    file = Path(path).expanduser()
    if file.suffix.lower().lstrip(".") not in SUFFIXES:
        raise ConvertError(
            f"cannot read {shown(file)}: a checkpoint ends in {', '.join(f'.{suffix}' for suffix in SUFFIXES)}"
        )
    if not file.is_file():
        raise ConvertError(f"cannot read {shown(file)}: there is no such file; check its name")
    return file


def _guarded(file: Path, read: Callable[[Path], Any]) -> Any:
    """Return what a foreign file holds, or say in one sentence that it cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the reader, about what the sentence will say
            return read(file)
    except RavineError:
        raise
    except Exception as error:
        raise ConvertError(
            f"cannot read {shown(file)}: it is not whole, or no {file.suffix} file ({reason(error)[:120]}); save it again"
        ) from None


def _layout(file: Path) -> Layout:
    """Read a .pt file and find model and optimizer in it."""
    torch = require("torch", extra="torch", why="read torch's checkpoints")
    import pickle

    def load(path: Path) -> Any:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if "Unsupported" in str(error) or "GLOBAL" in str(error):
                raise ConvertError(
                    f"{shown(file)} holds more than tensors and numbers, which would have to be executed to be read; "
                    "save the state_dicts of model and optimizer alone"
                ) from None
            raise

    data = _guarded(file, load)
    if not isinstance(data, Mapping):
        raise ConvertError(f"{shown(file)} holds a {type(data).__name__}, where a dict of state_dicts must be")
    if {"state", "param_groups"} <= data.keys():
        return Layout(data, None, "")
    found = [key for key in OPTIMIZERS if key in data]
    if not found:
        words = ", ".join(sorted(str(key) for key in data)[:8])
        raise ConvertError(
            f"{shown(file)} holds no optimizer's state (it has {words}); save optimizer.state_dict() too"
        )
    states = data[found[0]]
    if isinstance(states, list | tuple) and len(states) != 1:
        raise ConvertError(f"{shown(file)} holds the states of {len(states)} optimizers; save one a file")
    return Layout(data, next((k for k in MODELS if isinstance(data.get(k), Mapping)), None), found[0])


def _optimizer(layout: Layout) -> Any:
    state = layout.data[layout.optimizer] if layout.optimizer else layout.data
    return state[0] if isinstance(state, list | tuple) else state


def _whole(layout: Layout, source: str | None, names: Sequence[str] | None) -> Snapshot:
    """Return model and optimizer as one snapshot, the parameters by their names."""
    state = _optimizer(layout)
    bare = shared(state, source=source)
    if layout.model is None:
        return bare if names is None else _called(bare, _told(names, state))
    model = {name: value for name, value in layout.data[layout.model].items() if hasattr(value, "detach")}
    keys = [key for group in state["param_groups"] for key in group["params"]]
    known = [name for group in bare.groups for name in group.names]
    shapes = {k: arrays.shape(bare.buffers[n]) for k, n in zip(keys, known, strict=True) if n in bare.buffers}
    order = _told(names, state) if names is not None else aligned(model, state["param_groups"], shapes)
    if missing := [name for name in order if name not in model]:
        raise ConvertError(f"the model has no {shown(missing[0])}; give the names that its state_dict has")
    run = shared(state, source=source, parameters={name: model[name] for name in order})
    return run._replace(others={name: value for name, value in model.items() if name not in order})


def _named_if_possible(
    layout: Layout, source: str | None, names: Sequence[str] | None
) -> tuple[Snapshot, ConvertError | None]:
    """Return the snapshot, and why its parameters have no names; they are needed only where a point moves."""
    try:
        return _whole(layout, source, names), None
    except Unnamed as error:
        return shared(_optimizer(layout), source=source), error


def _replaced(layout: Layout, optimizer: dict[str, Any], after: Snapshot) -> Any:
    """Return the file's dict with the new optimizer, and the parameters that moved."""
    if not layout.optimizer:
        return optimizer
    old = layout.data[layout.optimizer]
    data = {**layout.data, layout.optimizer: [optimizer] if isinstance(old, list | tuple) else optimizer}
    if layout.model is not None and any(change.shift for change in after.changes):
        model = layout.data[layout.model]
        # Tied weights are one storage under two names, and move together.
        moved = {_place(name, model): value for name, value in after.parameters.items()}
        data[layout.model] = {name: moved.get(_place(name, model), value) for name, value in model.items()}
    return data


def _place(name: str, model: Mapping[str, Any]) -> Any:
    value = model[name]
    return (value.data_ptr(), tuple(value.shape)) if hasattr(value, "data_ptr") and value.numel() else name


def _told(names: Sequence[str], state: Any) -> list[str]:
    """Return the names that a caller gives, if the file has no others; raises `ConvertError`."""
    order, theirs = list(names), said(state["param_groups"])
    if theirs and order != theirs:
        raise ConvertError(f"the file names its parameters itself ({', '.join(theirs)[:80]}); leave the names away")
    if len(set(order)) < len(order):
        raise ConvertError("a name is given twice; give each parameter's once, in the optimizer's order")
    return order


def _called(run: Snapshot, order: list[str]) -> Snapshot:
    """Return a run of parameters without names under these, in order; raises `ConvertError` where they do not fit."""
    known = [name for group in run.groups for name in group.names]
    if len(known) != len(order):
        raise ConvertError(f"the state is of {len(known)} parameters, {len(order)} names were given; give one each")
    return rename(run, dict(zip(known, order, strict=True)))


def _in_order(run: Snapshot, names: Sequence[str] | None) -> Snapshot:
    """Return a run whose parameters stand in the order of the names, which must be its own; raises `ConvertError`."""
    if names is None:
        return run
    place = {name: number for number, name in enumerate(names)}
    if odd := sorted({name for group in run.groups for name in group.names} ^ place.keys()):
        raise ConvertError(f"{shown(odd[0])} is among the names given or among the file's alone; give the file's, all")
    groups = tuple(group._replace(names=tuple(sorted(group.names, key=place.__getitem__))) for group in run.groups)
    return checked(run._replace(groups=groups))


def _as_torch(run: Snapshot) -> dict[str, Any]:
    """Return a run as a .pt file holds it: the model, if there are its parameters, and the optimizer with their names."""
    optimizer = write_torch(run)
    for group, told in zip(run.groups, optimizer["param_groups"], strict=True):
        told["param_names"] = list(group.names)
    model = _tensors({**run.parameters, **run.others})
    return {"model": model, "optimizer": optimizer} if model else {"optimizer": optimizer}


def _tensors(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tensor(value) for name, value in values.items()}


def _save(file: Path, data: Any) -> Path:
    import torch

    return _put(file, lambda to: torch.save(data, to))


def _put(file: Path, write: Callable[[Path], object]) -> Path:
    """Write a file aside and rename it; what the format cannot hold is said in one sentence."""
    with aside(file) as temporary:
        try:
            write(temporary)
        except OSError:
            raise
        except Exception as error:
            raise ConvertError(f"{file.suffix} cannot hold this: {reason(error)}; write another format") from None
    return file


# Arrays with a marker -----------------------------------------------------------------------------------------


def _npz(file: Path) -> tuple[dict[str, Any], str | None]:
    import numpy as np

    with file.open("rb") as stream:
        held = np.load(stream, allow_pickle=False)
        if isinstance(held, np.ndarray):
            raise ValueError("it holds one array alone")
        found = {name: held[name] for name in held.files}
    text = found.pop(KEY, None)
    if text is not None and text.dtype.kind != "U":
        raise ValueError(f"its marker is {text.dtype}")
    return found, None if text is None else str(text)


def _save_npz(file: Path, run: Snapshot) -> Path:
    import numpy as np

    def plain(value: Any) -> Any:
        return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)

    def write(to: Path) -> None:
        held = {name: plain(value) for name, value in arrays_of(run).items()}
        if odd := [name for name, value in held.items() if value.dtype.kind not in "fciub"]:
            raise TypeError(f"{odd[0]} is {held[odd[0]].dtype}")
        everything: dict[str, Any] = {KEY: np.array(written(run)), **held}
        np.savez(to, **everything)

    return _put(file, write)


def _safetensors(file: Path) -> tuple[dict[str, Any], str | None]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as held:
        said = held.metadata() or {}
        return {name: held.get_tensor(name) for name in held.keys()}, said.get(KEY)  # noqa: SIM118
