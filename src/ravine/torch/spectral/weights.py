"""Weights from a file into a model: state_dict files of torch, safetensors, and checkpoints that hold one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ravine.errors import CurvatureError, reason, shown

KEYS = ("model", "state_dict", "model_state_dict", "weights")  # under which checkpoints keep the weights


def load_weights(model: Any, file: str | os.PathLike[str]) -> Any:
    """Load weights from a file into a model and return it; nothing in the file is run.

    Args:
        model: a torch module of the same layers.
        file: a state_dict written by torch.save, or a dict with one under "model" or "state_dict", or safetensors.

    Raises:
        CurvatureError: the file cannot be read, or its names and shapes are not the model's.
    """
    path = Path(file).expanduser()
    state = _state(_read(path), path)
    for prefix in ("module.", "_orig_mod."):  # what DataParallel and torch.compile put before names
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    own = model.state_dict()
    missing, foreign = [n for n in own if n not in state], [n for n in state if n not in own]
    if missing or foreign:
        what = f"it lacks {shown(missing[0])}" if missing else f"it has {shown(foreign[0])}, which the model lacks"
        raise CurvatureError(f"{shown(path.name)} is no checkpoint of this model: {what}; name the file of this task")
    for name, value in own.items():
        if tuple(value.shape) != tuple(state[name].shape):
            raise CurvatureError(
                f"{shown(path.name)} is no checkpoint of this model: {name} has the shape {tuple(state[name].shape)} "
                f"there and {tuple(value.shape)} here; name the file of this task"
            )
    model.load_state_dict(state)
    return model


def _read(path: Path) -> Any:
    """Return what a file holds, without running anything in it."""
    if not path.is_file():
        raise CurvatureError(f"there is no file {shown(path)}; name a checkpoint, .pt or .safetensors")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CurvatureError(
            f"{shown(path.name)} cannot be read as weights: {reason(error)[:120]}; save model.state_dict()"
        ) from error


def _state(found: Any, path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in what a file holds."""
    if isinstance(found, Mapping):
        for key in KEYS:
            if isinstance(found.get(key), Mapping):
                return _state(found[key], path)
        if found and all(isinstance(name, str) and torch.is_tensor(value) for name, value in found.items()):
            return dict(found)
    raise CurvatureError(f"{shown(path.name)} holds no weights by their names; save model.state_dict()")
