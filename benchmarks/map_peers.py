"""Compute the same (lr, mu) map of classical momentum with NumPy, JAX, torch, C and the tutorial loop.

A peer takes (surface, lr, mu, steps, target), lr and mu of shape (cells,), and returns one int32 code a cell: t, the
first step whose value is at most the target; -t, the step at which a coordinate left the ball of radius
1e8 max(1, max|start|) or the value was not finite; steps + 1, neither. All use float64, the rule v = mu v - lr g,
x = x + v from v = 0, and the sums that differentiating term by term gives. Run: python benchmarks/map_peers.py
"""

import argparse
import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Peer = Callable[[str, np.ndarray, np.ndarray, int, float], np.ndarray]

STARTS = {"bowl": (180.0, 90.0), "rosenbrock": (-1.2, 1.0), "himmelblau": (0.0, -4.5), "rastrigin": (4.2, 3.4)}
TEXTS = {
    "bowl": "x^2 + 50y^2",
    "rosenbrock": "(1-x)^2 + 100(y-x^2)^2",
    "himmelblau": "(x^2+y-11)^2 + (x+y^2-7)^2",
    "rastrigin": "20 + x^2 + y^2 - 10cos(2pi x) - 10cos(2pi y)",
}
RATES = {"bowl": (1e-4, 0.05), "rosenbrock": (1e-5, 1e-2), "himmelblau": (1e-4, 0.1), "rastrigin": (1e-4, 3.0)}
COMPILED: dict[tuple[str, ...], float] = {}  # seconds of each compilation so far, by peer and its arguments
BLOCK = 16384  # cells whose arrays fit the cache
THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def grid(surface: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Spread side x side pairs over the surface's rates and the momentums 0 to 0.99."""
    between = np.linspace if surface == "bowl" else np.geomspace
    lr, mu = np.meshgrid(between(*RATES[surface], side), np.linspace(0, 0.99, side))
    return lr.ravel(), mu.ravel()


def radius(surface: str) -> float:
    """Return how far out a run counts as divergent."""
    return 1e8 * max(1.0, *map(abs, STARTS[surface]))


def value(surface: str, x: Any, y: Any, m: Any = np) -> Any:
    """Return the height, with the functions of m: numpy, jax.numpy or torch."""
    if surface == "bowl":
        return x * x + 50.0 * (y * y)
    if surface == "rosenbrock":
        a, b = 1.0 - x, y - x * x
        return a * a + 100.0 * (b * b)
    if surface == "himmelblau":
        a, b = x * x + y - 11.0, x + y * y - 7.0
        return a * a + b * b
    return x * x + y * y - 10.0 * m.cos(2.0 * np.pi * x) - 10.0 * m.cos(2.0 * np.pi * y) + 20.0


def slopes(surface: str, x: Any, y: Any, m: Any = np) -> tuple[Any, Any]:
    """Return both partial derivatives, with the functions of m."""
    if surface == "bowl":
        return 2.0 * x, 100.0 * y
    if surface == "rosenbrock":
        p = x * x
        return -400.0 * x * (y - p) + 2.0 * x - 2.0, 200.0 * y - 200.0 * p
    if surface == "himmelblau":
        p, q = x * x, y * y
        return (
            2.0 * q + 4.0 * x * (p + y - 11.0) + 2.0 * x - 14.0,
            2.0 * p + 4.0 * y * (q + x - 7.0) + 2.0 * y - 22.0,
        )
    return (
        2.0 * x + 20.0 * np.pi * m.sin(2.0 * np.pi * x),
        2.0 * y + 20.0 * np.pi * m.sin(2.0 * np.pi * y),
    )


def by_numpy(surface: str, lr: np.ndarray, mu: np.ndarray, steps: int, target: float) -> np.ndarray:
    """Step all cells that still run as arrays, and drop the finished ones when they are a tenth."""
    far, codes, index = radius(surface), np.full(lr.size, steps + 1, np.int32), np.arange(lr.size)
    x, y = (np.full(lr.size, start) for start in STARTS[surface])
    v, w = np.zeros(lr.size), np.zeros(lr.size)
    running = np.ones(lr.size, bool)
    with np.errstate(all="ignore"):
        for t in range(1, steps + 1):
            g, h = slopes(surface, x, y)
            v *= mu
            g *= lr
            v -= g
            w *= mu
            h *= lr
            w -= h
            x += v
            y += w
            f = value(surface, x, y)
            reached = f <= target
            left = ~((abs(x) <= far) & (abs(y) <= far) & np.isfinite(f))
            done = running & (reached | left)
            if done.any():
                codes[index[done]] = np.where(reached[done], t, -t)
                running &= ~done
                if np.count_nonzero(running) < 0.9 * running.size:
                    x, y, v, w, lr, mu, index = (a[running] for a in (x, y, v, w, lr, mu, index))
                    running = np.ones(index.size, bool)
                    if not index.size:
                        break
    return codes


def by_numpy_blocks(surface: str, lr: np.ndarray, mu: np.ndarray, steps: int, target: float) -> np.ndarray:
    """Take some thousand cells at a time, so that NumPy's arrays stay in the cache."""
    cuts = range(0, lr.size, BLOCK)
    return np.concatenate([by_numpy(surface, lr[i : i + BLOCK], mu[i : i + BLOCK], steps, target) for i in cuts])


def by_tutorial(surface: str, lr: np.ndarray, mu: np.ndarray, steps: int, target: float) -> np.ndarray:
    """Step one NumPy 2-vector at a time, as blog posts write it; time it on few cells."""
    far, codes = radius(surface), np.full(lr.size, steps + 1, np.int32)
    with np.errstate(all="ignore"):
        for i in range(lr.size):
            x, v = np.array(STARTS[surface]), np.zeros(2)
            for t in range(1, steps + 1):
                gradient = np.array(slopes(surface, x[0], x[1]))
                v = mu[i] * v - lr[i] * gradient
                x = x + v
                f = value(surface, x[0], x[1])
                if f <= target:
                    codes[i] = t
                    break
                if not np.all(abs(x) <= far) or not np.isfinite(f):
                    codes[i] = -t
                    break
    return codes


def compile_jax(form: str, surface: str, cells: int, steps: int, target: float) -> Callable[..., Any]:
    """Compile jit(vmap(form)) ahead of time and note the seconds, tracing included, in COMPILED."""
    return _compile_jax(form, surface, cells, steps, target)


@functools.cache
def _compile_jax(form: str, surface: str, cells: int, steps: int, target: float) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    far, (x0, y0) = radius(surface), STARTS[surface]

    def step(t: Any, lr: Any, mu: Any, state: Any) -> Any:
        x, y, v, w, code = state
        g, h = slopes(surface, x, y, jnp)
        v, w = mu * v - lr * g, mu * w - lr * h
        x, y = x + v, y + w
        f = value(surface, x, y, jnp)
        left = ~((abs(x) <= far) & (abs(y) <= far) & jnp.isfinite(f))
        now = jnp.where(f <= target, t, jnp.where(left, -t, 0)).astype(jnp.int32)
        return x, y, v, w, jnp.where(code == 0, now, code)

    def one(lr: Any, mu: Any) -> Any:
        state = (jnp.float64(x0), jnp.float64(y0), jnp.float64(0), jnp.float64(0), jnp.int32(0))
        if form == "fori_loop":
            state = jax.lax.fori_loop(1, steps + 1, lambda t, state: step(t, lr, mu, state), state)
        elif form == "scan":
            times = jnp.arange(1, steps + 1, dtype=jnp.int32)
            state, _ = jax.lax.scan(lambda state, t: (step(t, lr, mu, state), None), state, times)
        else:
            _, state = jax.lax.while_loop(
                lambda at: (at[0] <= steps) & (at[1][4] == 0),
                lambda at: (at[0] + 1, step(at[0], lr, mu, at[1])),
                (jnp.int32(1), state),
            )
        return jnp.where(state[4] == 0, jnp.int32(steps + 1), state[4])

    begun = time.perf_counter()
    blank = jax.ShapeDtypeStruct((cells,), jnp.float64)
    made = jax.jit(jax.vmap(one)).lower(blank, blank).compile()
    COMPILED[f"JAX {form}", surface, str(cells), str(steps)] = time.perf_counter() - begun
    return made


def by_jax(form: str) -> Peer:
    """Return the peer that runs jit(vmap(form)), compiled before its first call for each surface and size."""

    def peer(surface: str, lr: np.ndarray, mu: np.ndarray, steps: int, target: float) -> np.ndarray:
        made = compile_jax(form, surface, lr.size, steps, target)
        import jax.numpy as jnp

        return np.asarray(made(jnp.asarray(lr), jnp.asarray(mu)).block_until_ready())

    return peer


def by_jax_blocks(surface: str, lr: np.ndarray, mu: np.ndarray, steps: int, target: float) -> np.ndarray:
    """Run jit(vmap(fori_loop)) on blocks that fit the cache, the last one padded."""
    made = compile_jax("fori_loop", surface, BLOCK, steps, target)
    padding = (0, -lr.size % BLOCK)
    lr_blocks, mu_blocks = (np.pad(a, padding).reshape(-1, BLOCK) for a in (lr, mu))
    # Calls return before they are done, so that all are queued before the first is waited for.
    queued = [made(rates, momentums) for rates, momentums in zip(lr_blocks, mu_blocks, strict=True)]
    return np.concatenate([np.asarray(codes) for codes in queued])[: lr.size]


@functools.cache
def _compile_torch(surface: str) -> Callable[..., Any]:
    import torch

    far = radius(surface)

    def step(x: Any, y: Any, v: Any, w: Any, code: Any, lr: Any, mu: Any, t: Any, target: float) -> Any:
        g, h = slopes(surface, x, y, torch)
        v, w = mu * v - lr * g, mu * w - lr * h
        x, y = x + v, y + w
        f = value(surface, x, y, torch)
        left = ~((abs(x) <= far) & (abs(y) <= far) & torch.isfinite(f))
        now = torch.where(f <= target, t, torch.where(left, -t, 0))
        return x, y, v, w, torch.where(code == 0, now, code)

    def block(x: Any, y: Any, v: Any, w: Any, code: Any, lr: Any, mu: Any, t: Any, target: float) -> Any:
        # Eight steps in one call keep the state in registers between them.
        for k in range(8):
            x, y, v, w, code = step(x, y, v, w, code, lr, mu, t + k, target)
        return x, y, v, w, code

    return torch.compile(block, dynamic=False)


def by_torch(surface: str, lr: np.ndarray, mu: np.ndarray, steps: int, target: float) -> np.ndarray:
    """Step all cells by torch.compile, eight steps a call; the first call for a size compiles."""
    import torch

    block, shape = _compile_torch(surface), lr.shape
    x, y = (torch.full(shape, start, dtype=torch.float64) for start in STARTS[surface])
    v, w, code = torch.zeros_like(x), torch.zeros_like(x), torch.zeros(shape, dtype=torch.int32)
    rates, momentums = torch.from_numpy(lr), torch.from_numpy(mu)
    for t in range(1, steps + 1, 8):
        now = torch.tensor(t, dtype=torch.int32)
        x, y, v, w, code = block(x, y, v, w, code, rates, momentums, now, target)
    codes = code.numpy()
    return np.where((codes == 0) | (abs(codes) > steps), np.int32(steps + 1), codes)


@functools.cache
def compile_c(*flags: str) -> ctypes.CDLL:
    """Compile map.c for this processor in a temporary folder, load it, and note the seconds in COMPILED."""
    begun = time.perf_counter()
    source = Path(__file__).with_name("map.c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "map.so"
        command = ["gcc", "-O3", "-march=native", "-shared", "-fPIC", "-pthread", *flags, "-o", library, source, "-lm"]
        subprocess.run(command, check=True)
        loaded = ctypes.CDLL(str(library))
    pointers, numbers = [ctypes.c_void_p] * 3, [ctypes.c_int64, ctypes.c_int32, ctypes.c_double, ctypes.c_int32]
    for surface in STARTS:
        function = getattr(loaded, f"map_{surface}")
        function.argtypes, function.restype = pointers + numbers, None
    COMPILED["C", *flags] = time.perf_counter() - begun
    return loaded


def by_c(*flags: str) -> Peer:
    """Return the peer that runs map.c, compiled with further flags, on all processors."""

    def peer(surface: str, lr: np.ndarray, mu: np.ndarray, steps: int, target: float) -> np.ndarray:
        function = getattr(compile_c(*flags), f"map_{surface}")
        lr, mu, codes = np.ascontiguousarray(lr, float), np.ascontiguousarray(mu, float), np.empty(lr.size, np.int32)
        function(lr.ctypes.data, mu.ctypes.data, codes.ctypes.data, lr.size, steps, target, THREADS)
        return codes

    return peer


PEERS: dict[str, Peer] = {
    "NumPy": by_numpy,
    "NumPy, in blocks": by_numpy_blocks,
    "JAX fori_loop": by_jax("fori_loop"),
    "JAX scan": by_jax("scan"),
    "JAX fori_loop, in blocks": by_jax_blocks,
    "JAX while_loop": by_jax("while_loop"),
    "torch.compile": by_torch,
    "tutorial loop": by_tutorial,
}
if shutil.which("gcc"):
    PEERS["C"] = by_c()
    PEERS["C, term by term"] = by_c("-ffp-contract=off", "-DTERMWISE")
SAMPLE = 100  # cells that the tutorial loop is run on


def main() -> None:
    """Check that the peers agree and print the share of cells equal to NumPy's, and the seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=200, help="cells along each axis")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--target", type=float, default=1e-6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--surfaces", nargs="+", default=list(STARTS), choices=list(STARTS))
    usual = [name for name in PEERS if name != "torch.compile"]  # it compiles for up to minutes
    parser.add_argument("--peers", nargs="+", default=usual, choices=list(PEERS))
    options = parser.parse_args()
    if "C" not in PEERS:
        print("gcc is missing, and so is the peer in C")
    for surface in options.surfaces:
        lr, mu = grid(surface, options.side)
        truth = by_numpy(surface, lr, mu, options.steps, options.target)
        counts = [np.mean((truth > 0) & (truth <= options.steps)), np.mean(truth < 0)]
        print(f"{surface}: {lr.size:,} cells, {options.steps} steps, {counts[0]:.1%} reach, {counts[1]:.1%} diverge")
        for name in options.peers:
            few = np.linspace(0, lr.size - 1, SAMPLE).astype(int) if name == "tutorial loop" else np.arange(lr.size)
            given = (surface, lr[few], mu[few], options.steps, options.target)
            begun = time.perf_counter()
            codes = PEERS[name](*given)
            first, times = time.perf_counter() - begun, []
            for _ in range(options.rounds):
                begun = time.perf_counter()
                PEERS[name](*given)
                times.append((time.perf_counter() - begun) * lr.size / few.size)
            equal = np.mean(codes == truth[few])
            note = f"  scaled from {few.size} cells" if few.size < lr.size else f"  first call {first:.2f} s"
            print(f"  {name:24} equal {equal:9.4%}  least {min(times):9.4f} s  median {np.median(times):9.4f} s{note}")
            # Cosines that differ in the last bit part ways on the chaotic cells of rastrigin.
            if equal < (0.97 if surface == "rastrigin" else 0.999):
                raise SystemExit(f"{name} disagrees with NumPy on {surface}")


if __name__ == "__main__":
    main()
