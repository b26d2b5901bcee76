"""Time one optimizer step on lists of parameters: Momentum on each of its paths, torch.optim.SGD on its own, and C.

Every contestant gets the same random parameters and gradients, is compared with torch.optim.SGD after three steps and
only then timed, all in turns in one run; a ratio is the median over turns of two times. A turn is so many steps in a row
that it takes about a fiftieth of a second, so that a list that fits into the cache is found there, as after a backward
pass. The C loop has the traffic of the flat step (20 bytes a number) and no bookkeeping.
Run: python benchmarks/torch_step.py [LIST …]
"""

import argparse
import ctypes
import gc
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ravine.torch import Momentum

Shapes = list[tuple[int, ...]]
LR, MU = 1e-6, 0.9
TURN = 0.02  # seconds
BYTES = 20  # a number's traffic: read x, g, v, write x, v


def resnet50() -> Shapes:
    """List the 161 parameters of ResNet-50, 25.6 million numbers."""
    found: Shapes = [(64, 3, 7, 7), (64,), (64,)]
    inside = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            for size, a, b in ((1, inside, width), (3, width, width), (1, width, 4 * width)):
                found += [(b, a, size, size), (b,), (b,)]
            if block == 0:
                found += [(4 * width, inside, 1, 1), (4 * width,), (4 * width,)]
            inside = 4 * width
    return [*found, (1000, 2048), (1000,)]


def gpt2() -> Shapes:
    """List the 148 parameters of GPT-2 small, 124 million numbers."""
    d = 768
    block: Shapes = [(d,), (d,), (d, 3 * d), (3 * d,), (d, d), (d,), (d,), (d,), (d, 4 * d), (4 * d,), (4 * d, d), (d,)]
    return [(50257, d), (1024, d), *(block * 12), (d,), (d,)]


LISTS: dict[str, Callable[[], Shapes]] = {
    "resnet50": resnet50,
    "small": lambda: [(1000,)] * 2000,
    "one": lambda: [(100_000_000,)],
    "gpt2": gpt2,
}
PEERS: dict[str, dict[str, Any]] = {
    "torch fused": {"fused": True},
    "torch default": {"foreach": False},
    "torch foreach": {"foreach": True},
}
OURS: dict[str, dict[str, Any]] = {
    "flat": {"flat": True},
    "ours per tensor": {"foreach": False},
    "ours foreach": {"foreach": True},
    "ours fused": {"fused": True},
}
# What else one pass can do; each beside the heavy ball of `flat`.
OTHERS: dict[str, dict[str, Any]] = {
    "heavyball, weight decay": {"weight_decay": 0.1},
    "heavyball, decoupled": {"weight_decay": 0.1, "decoupled_weight_decay": True},
    "classical": {"rule": "classical"},
    "nag": {"rule": "nag"},
    "nag, weight decay": {"rule": "nag", "weight_decay": 0.1},
    "nesterov": {"nesterov": True},
    "nesterov, weight decay": {"nesterov": True, "weight_decay": 0.1},
    "qhm, weight decay": {"rule": "qhm", "nu": 0.7, "weight_decay": 0.1},
    "ema, decoupled": {"rule": "ema", "weight_decay": 0.1, "decoupled_weight_decay": True},
}


def parameters(shapes: Shapes) -> list[torch.nn.Parameter]:
    """Make random parameters with random gradients, the same every time: zeros would be moved faster."""
    torch.manual_seed(0)
    found = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    for p in found:
        p.grad = torch.randn_like(p)
    return found


def compared(
    shapes: Shapes, make: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer], like: dict[str, Any]
) -> Any:
    """Return an optimizer that after three steps agrees with torch.optim.SGD to rounding."""
    mine, theirs = parameters(shapes), parameters(shapes)
    made, reference = make(mine), torch.optim.SGD(theirs, lr=LR, momentum=MU, foreach=False, **like)
    for _ in range(3):
        made.step()
        reference.step()
    for p, q in zip(mine, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)
    return made


def c_loop(n: int) -> Callable[[], object] | None:
    """Return the step of a C loop over as many numbers, or None without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = Path(tempfile.mkdtemp(prefix="ravine-bench-")) / "step.so"
    source = Path(__file__).with_name("step.c")
    subprocess.run(
        [compiler, "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", str(source), "-o", str(library)], check=True
    )
    run = ctypes.CDLL(str(library)).step
    run.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] + [ctypes.c_float] * 2
    held = [torch.randn(n) for _ in range(3)]
    return lambda: run(*(t.data_ptr() for t in held), n, MU, -LR)


def turns(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time everybody in turns, the order turned round every time; seconds a step."""
    found: dict[str, list[float]] = {name: [] for name in work}
    many = {name: max(1, min(50, int(TURN / timed(run, 2)))) for name, run in work.items()}
    for k in range(rounds):
        for name in list(work)[:: 1 if k % 2 else -1]:
            found[name].append(timed(work[name], many[name]))
    return found


def timed(run: Callable[[], object], times: int) -> float:
    """Return the seconds that a call takes."""
    begun = time.perf_counter()
    for _ in range(times):
        run()
    return (time.perf_counter() - begun) / times


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of paired ratios."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def steps(name: str, rounds: int) -> None:
    """Time a list on every path, and print ratios to the flat step."""
    shapes = LISTS[name]()
    n = sum(torch.Size(shape).numel() for shape in shapes)
    print(f"\n{name}: {len(shapes)} tensors, {n / 1e6:.1f} million numbers, {rounds} rounds")
    made: dict[str, Any] = {}
    for path, options in OURS.items():
        made[path] = compared(shapes, lambda ps, o=options: Momentum(ps, LR, MU, **o), {})
    for path, options in PEERS.items():
        made[path] = compared(shapes, lambda ps, o=options: torch.optim.SGD(ps, LR, MU, **o), {})
    work: dict[str, Callable[[], object]] = {path: optimizer.step for path, optimizer in made.items()}
    if loop := c_loop(n):
        work["C loop"] = loop
    found = turns(work, rounds)
    for path, times in found.items():
        middle = statistics.median(times)
        print(
            f"  {path:16} {middle * 1e3:9.3f} ms  {ratio(times, found['flat']):7.2f} x flat  {BYTES * n / middle / 1e9:6.1f} GB/s"
        )
    for path, peer in (
        ("ours per tensor", "torch default"),
        ("ours foreach", "torch foreach"),
        ("ours fused", "torch fused"),
    ):
        print(f"  {path} takes {ratio(found[path], found[peer]):.2f} of {peer}")


def others(name: str, rounds: int) -> None:
    """Time other rules and weight decay on the flat path beside heavy ball."""
    shapes = LISTS[name]()
    made: dict[str, Any] = {"heavyball": Momentum(parameters(shapes), LR, MU, flat=True)}
    for path, options in OTHERS.items():
        made[path] = Momentum(parameters(shapes), LR, MU, flat=True, **options)
    for optimizer in made.values():
        optimizer.step()
    found = turns({path: optimizer.step for path, optimizer in made.items()}, rounds)
    print(f"\n{name}: other rules, flat, in the time of heavy ball")
    for path, times in found.items():
        print(f"  {path:26} {ratio(times, found['heavyball']):5.3f}")


def iteration(rounds: int) -> None:
    """Time a whole training iteration of a 64-64-10 network on batches of 128: forward, backward, step."""

    def training(make: Callable[[Any], torch.optim.Optimizer]) -> tuple[Callable[[], object], Any]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
        optimizer, loss = make(model.parameters()), torch.nn.CrossEntropyLoss()
        x, y = torch.randn(128, 64), torch.randint(10, (128,))

        def run() -> None:
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()

        return run, model

    made = {
        "flat": lambda ps: Momentum(ps, 0.01, MU, flat=True),
        "ours per tensor": lambda ps: Momentum(ps, 0.01, MU),
        "torch default": lambda ps: torch.optim.SGD(ps, 0.01, MU),
        "torch fused": lambda ps: torch.optim.SGD(ps, 0.01, MU, fused=True),
    }
    work, models = {}, {}
    for path, make in made.items():
        work[path], models[path] = training(make)
        for _ in range(20):
            work[path]()
    for path, model in models.items():
        for p, q in zip(model.parameters(), models["torch default"].parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6, msg=path)
    found = turns(work, rounds)
    print("\none iteration of the digits network (64-64-10, batch 128)")
    for path, times in found.items():
        print(f"  {path:16} {statistics.median(times) * 1e6:7.1f} us  {ratio(times, found['flat']):5.2f} x flat")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("lists", nargs="*", default=[*LISTS, "rules", "iteration"], metavar="LIST")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print(f"torch {torch.__version__}, {chosen.threads} threads, float32, momentum {MU}; medians")
    for name in chosen.lists:
        if name == "iteration":
            iteration(4 * chosen.rounds)
        elif name == "rules":
            others("resnet50", 2 * chosen.rounds)
        else:
            steps(name, chosen.rounds * (4 if name == "small" else 1))
        gc.collect()


if __name__ == "__main__":
    main()
