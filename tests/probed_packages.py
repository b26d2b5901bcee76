"""What the probe finds in other packages, as a Markdown table; `python tests/probed_packages.py` prints it."""

import contextlib
import importlib.metadata
import io
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ravine.errors import ProbeError
from ravine.probe import Probed, probe
from ravine.probing.report import KINDS, rows

VERSIONS = {"torch": "2.13.0", "optax": "0.2.8", "pytorch_optimizer": "4.1.0", "heavyball": "3.2.1"}
DATE = "2026-11"

# Package, name, settings, in the order of the table.
ASKED: list[tuple[str, str, dict[str, Any]]] = [
    ("torch", "SGD", {"lr": 0.1}),
    ("torch", "SGD", {"lr": 0.1, "momentum": 0.9}),
    ("torch", "SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("torch", "SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("torch", "SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("torch", "SGD", {"lr": 0.1, "momentum": 0.9, "fused": True}),
    ("torch", "ASGD", {"lr": 0.1}),
    ("torch", "Adam", {"lr": 0.1}),
    ("torch", "AdamW", {"lr": 0.1}),
    ("torch", "NAdam", {"lr": 0.1}),
    ("torch", "RAdam", {"lr": 0.1}),
    ("torch", "RMSprop", {"lr": 0.1, "momentum": 0.9}),
    ("torch", "Rprop", {"lr": 0.1}),
    ("torch", "Adagrad", {"lr": 0.1}),
    ("torch", "Adadelta", {"lr": 0.1}),
    ("torch", "Muon", {"lr": 0.1}),
    ("optax", "sgd", {"learning_rate": 0.1, "momentum": 0.9}),
    ("optax", "sgd", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("optax", "trace", {"decay": 0.9}),
    ("optax", "ema", {"decay": 0.9, "debias": False}),
    ("optax", "ema", {"decay": 0.9, "debias": True}),
    ("optax", "noisy_sgd", {"learning_rate": 0.1, "key": 0}),
    ("optax", "adam", {"learning_rate": 0.1}),
    ("optax", "lion", {"learning_rate": 0.1}),
    ("optax", "sign_sgd", {"learning_rate": 0.1}),
    ("optax", "lars", {"learning_rate": 0.1}),
    ("pytorch_optimizer", "SGDW", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("pytorch_optimizer", "SGDW", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("pytorch_optimizer", "SGDW", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
    ("pytorch_optimizer", "QHM", {"lr": 0.1, "momentum": 0.9, "nu": 0.7}),
    ("pytorch_optimizer", "AccSGD", {"lr": 0.1, "kappa": 30.0, "xi": 10.0}),
    ("pytorch_optimizer", "PID", {"lr": 0.1, "momentum": 0.9}),
    ("pytorch_optimizer", "PID", {"lr": 0.1, "momentum": 0.0}),
    ("pytorch_optimizer", "AggMo", {"lr": 0.1}),
    ("pytorch_optimizer", "PNM", {"lr": 0.1}),
    ("pytorch_optimizer", "SRMM", {"lr": 0.1}),
    ("pytorch_optimizer", "ScheduleFreeSGD", {"lr": 0.1}),
    ("pytorch_optimizer", "Lookahead", {"lr": 0.1, "momentum": 0.9}),
    ("pytorch_optimizer", "SGDP", {"lr": 0.1, "momentum": 0.9}),
    ("pytorch_optimizer", "LARS", {"lr": 0.1, "momentum": 0.9}),
    ("pytorch_optimizer", "SGDSaI", {"lr": 0.1, "momentum": 0.9}),
    ("pytorch_optimizer", "ASGD", {"lr": 0.1}),
    ("pytorch_optimizer", "Gravity", {"lr": 0.1}),
    ("pytorch_optimizer", "SignSGD", {"lr": 0.1, "momentum": 0.9}),
    ("pytorch_optimizer", "Lion", {"lr": 0.1}),
    ("pytorch_optimizer", "Tiger", {"lr": 0.1}),
    ("pytorch_optimizer", "MADGRAD", {"lr": 0.1}),
    ("pytorch_optimizer", "DAdaptSGD", {"lr": 0.1}),
    ("heavyball", "SGD", {"lr": 0.1, "beta": 0.9}),
    ("heavyball", "SGD", {"lr": 0.1, "beta": 0.9, "weight_decay": 0.01}),
    ("heavyball", "SignLaProp", {"lr": 0.1}),
    ("heavyball", "NAdam", {"lr": 0.1}),
    ("heavyball", "Muon", {"lr": 0.1}),
]  # fmt: skip


def factory(package: str, name: str, settings: dict[str, Any]) -> Any:
    """Return what is probed."""
    if package in ("torch", "optax"):
        return f"{package}:{name}({','.join(f'{k}={v!r}' for k, v in settings.items())})"
    module: Any = importlib.import_module(package)
    if package == "heavyball":
        module.utils.compile_mode = None  # it would compile every step
    if name == "Lookahead":
        return lambda params: module.Lookahead(torch.optim.SGD(params, **settings))
    made: Callable[..., Any] = getattr(module, name)
    return partial(_training, made, settings)


def _training(make: Callable[..., Any], settings: dict[str, Any], params: Any) -> Any:
    optimizer = make(params, **settings)
    if hasattr(optimizer, "train") and hasattr(optimizer, "eval"):  # schedule-free: its own mode of training
        optimizer.train()
    return optimizer


def probed(package: str, name: str, settings: dict[str, Any]) -> Probed | str:
    """Probe one of them, or return what it said when it could not be."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            return probe(factory(package, name, settings))
        except ProbeError as error:
            return str(error).split("; ")[0].removeprefix("functools.partial ")


def line(package: str, name: str, settings: dict[str, Any]) -> str:
    """Write a row of the table."""
    words = ", ".join(f"{k}={v}" for k, v in settings.items())
    found = probed(package, name, settings)
    if isinstance(found, str):
        return f"| `{package}` | `{name}({words})` | {found} | | |"
    answers = dict(rows(found))
    kind = KINDS[found.kind] + (f": {found.order}" if found.kind == "buffers" else "")
    what = f"`{answers['rule']}`" if found.rules else answers.get("rule", f"{kind}: {found.how}")
    if found.kind == "changing":
        what = f"{kind}" + (f"; {answers['rule']}" if "rule" in answers else "")
    lr = {True: "inside", False: "outside", None: "–"}[found.lr_inside]
    said = [answers.get("direction", "").split(":")[0], answers.get("weight decay", "").removeprefix("none")]
    said += [f"**{f.sentence}**" if f.fault else f.sentence for f in found.findings]
    return f"| `{package}` | `{name}({words})` | {what} | {lr} | {'; '.join(filter(None, said))} |"


def available(package: str) -> bool:
    """Say whether a package is installed in the version of the table."""
    try:
        return importlib.metadata.version(package).split("+")[0] == VERSIONS[package]
    except importlib.metadata.PackageNotFoundError:
        return False


def table(packages: tuple[str, ...] = tuple(VERSIONS)) -> list[str]:
    """Return the table's lines."""
    head = [
        f"As of {DATE}, with {', '.join(f'{k} {v}' for k, v in VERSIONS.items())}:",
        "",
        "| package | optimizer | what the probe says | lr in the velocity | weight decay, notes, **mistakes** |",
        "|---|---|---|---|---|",
    ]
    return [*head, *(line(*entry) for entry in ASKED if entry[0] in packages)]


if __name__ == "__main__":
    print("\n".join(table(tuple(p for p in VERSIONS if available(p)))))
