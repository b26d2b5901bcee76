"""Contestants from outside: an optimizer of torch or optax, stepped by its own code on our surfaces."""

import ast
import math
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ravine.errors import RuleError, nearest, reason, require, shown
from ravine.surfaces.interface import Array

Gradient = Callable[[Array, int], Array]  # point (n,), step -> gradient (n,)
Walker = Callable[[], Array]  # one more step: the next point (n,)


@dataclass(frozen=True)
class Guest:
    """Hold an optimizer of another library: which library, its name there, and the settings it is called with."""

    library: str
    rule: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Return library and name, as typed."""
        return f"{self.library}:{self.rule}"

    @property
    def label(self) -> str:
        """Write it for a legend."""
        return " ".join((self.name, *(f"{k}={v}" for k, v in self.settings.items())))

    def __str__(self) -> str:
        return f"{self.name}({','.join(f'{k}={v!r}' for k, v in self.settings.items())})"

    def walker(self, start: Array, gradient: Gradient, value: Callable[[Array], float]) -> Walker:
        """Return what makes one step after another from `start` (n,); raises `RuleError` where it cannot be built."""
        return _WALKERS[self.library](self, start, gradient, value)


def is_guest(text: str) -> bool:
    """Say whether a text means an optimizer of another library."""
    return text.strip().partition(":")[0] in _WALKERS


def parse(text: str) -> Guest:
    """Read `torch:Adam(lr=0.1)` or `optax:adam(learning_rate=0.1)`; settings are plain values, nothing is run.

    >>> str(parse("torch:Adam(lr=0.1, betas=(0.9, 0.99))"))
    'torch:Adam(lr=0.1,betas=(0.9, 0.99))'
    """
    found = re.match(r"\s*(torch|optax):\s*(\w+)\s*(\(.*\))?\s*$", text, re.DOTALL) if len(text) <= 1000 else None
    try:
        call = ast.parse(f"f{found[3] or '()'}", mode="eval").body if found else None
        if not found or not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        if call.args or not all(k.arg for k in call.keywords):
            raise ValueError
        settings = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
        if len(settings) < len(call.keywords) or any(v in (math.inf, -math.inf) for v in settings.values()):
            raise ValueError  # a setting is given twice, or 1e400
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise RuleError(
            f"cannot read {shown(text)}; write one like torch:Adam(lr=0.1) or optax:adam(learning_rate=0.1)"
        ) from None
    return Guest(found[1], found[2], settings)


def torch_kinds(torch: Any) -> dict[str, Any]:
    """Return torch's optimizers by name."""
    return {
        k: v
        for k, v in vars(torch.optim).items()
        if isinstance(v, type) and issubclass(v, torch.optim.Optimizer) and k != "Optimizer"
    }


def optax_maker(optax: Any, name: str) -> tuple[Any, str]:
    """Return what makes an optimizer of optax, or None and a hint at what was probably meant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that optax has moved
        make = getattr(optax, name, None) if not name.startswith("_") else None
    if callable(make):
        return make, ""
    known = [k for k, v in vars(optax).items() if callable(v) and k.islower() and not k.startswith("_")]
    return None, f"{nearest(name, known).split('Known')[0]}see optax's list"


def _torch(guest: Guest, start: Array, gradient: Gradient, value: Callable[[Array], float]) -> Walker:
    torch = require("torch", extra="torch", why="race torch's optimizers")
    kinds = torch_kinds(torch)
    if guest.rule not in kinds:
        raise RuleError(f"torch.optim has no optimizer {shown(guest.rule)}; {nearest(guest.rule, kinds)}")
    point = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    try:
        optimizer = kinds[guest.rule]([point], **guest.settings)
    except Exception as error:
        raise _refused(guest, error) from error
    step = 0

    def closure() -> float:
        here = point.detach().numpy()
        point.grad = torch.from_numpy(np.ascontiguousarray(gradient(here, step)))
        return value(here)

    def walk() -> Array:
        nonlocal step
        try:
            optimizer.step(closure)
        except Exception as error:
            raise _refused(guest, error) from error
        step += 1
        return np.array(point.detach().numpy())

    return walk


def _optax(guest: Guest, start: Array, gradient: Gradient, value: Callable[[Array], float]) -> Walker:
    optax = require("optax", extra="optax", why="race optax's optimizers")
    jax = require("jax", extra="optax", why="race optax's optimizers")
    from ravine.surfaces.by_jax import double

    make, hint = optax_maker(optax, guest.rule)
    if make is None:
        raise RuleError(f"optax has no optimizer {shown(guest.rule)}; {hint}")
    with double(jax):
        try:
            optimizer = optax.with_extra_args_support(make(**guest.settings))
            point = jax.numpy.asarray(start)
            state = optimizer.init(point)
            update = jax.jit(lambda g, s, p, v: optimizer.update(g, s, p, value=v))
        except Exception as error:
            raise _refused(guest, error) from error
    step = 0

    def walk() -> Array:
        nonlocal point, state, step
        with double(jax):
            here = np.asarray(point)
            try:
                change, state = update(jax.numpy.asarray(gradient(here, step)), state, point, value(here))
                point = optax.apply_updates(point, change)
            except Exception as error:
                raise _refused(guest, error) from error
        step += 1
        return np.array(point)

    return walk


def _refused(guest: Guest, error: Exception) -> RuleError:
    if isinstance(error, RuleError):
        return error
    return RuleError(f"{guest}: {reason(error)}; mend its settings")


_WALKERS: Mapping[str, Callable[..., Walker]] = {"torch": _torch, "optax": _optax}
