"""Time the (lr, mu) map against NumPy, JAX, C and the tutorial loop, side by side, after checking that they agree.

Classical momentum, 1000 x 1000 cells, 200 steps, double precision, on a quadratic, Rosenbrock, Himmelblau and Rastrigin.
Each round runs every peer once, so that a noisy machine is unfair to all; ratios are of medians. Processor seconds are
printed too: on a shared machine they say more than the clock does. Run: python benchmarks/map.py
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

import map_peers
import numpy as np

from ravine import _kernels, phase_map
from ravine.cells import DIVERGED, REACHED, UNDEFINED

JAX = ("JAX fori_loop", "JAX scan", "JAX while_loop")
LEAST = {"bowl": 0.9999, "rosenbrock": 0.999, "himmelblau": 0.999, "rastrigin": 0.97}  # equal cells; some are chaotic


def ours(surface: str, side: int, steps: int, target: float) -> tuple[np.ndarray, float]:
    """Make the map and return its codes, as the peers write them, with the seconds of walking."""
    scale = "linear" if surface == "bowl" else "log"
    low, high = map_peers.RATES[surface]
    # The text of the peers, so that both compute the same sums in the same order.
    found = phase_map(map_peers.TEXTS[surface], "classical", lr=f"{low}:{high}:{scale}", mu="0:0.99", size=side,
                      steps=steps, target=target, start=map_peers.STARTS[surface])  # fmt: skip
    gone = (found.outcome == UNDEFINED) | ((found.outcome == DIVERGED) & (found.stopped < steps))
    codes = np.where(found.outcome == REACHED, found.stopped, np.where(gone, -found.stopped, steps + 1))
    return codes.ravel(), found.seconds["compute"]


def first_calls(surface: str) -> tuple[float, float, float]:
    """Return the seconds of a first call, and of a whole process without and with a kept compilation."""
    text = map_peers.TEXTS[surface]
    call = (
        f"import ravine; print(sum(ravine.phase_map({text!r}, size=50, lr='1e-4:0.01', target=0.1).seconds.values()))"
    )
    command = [
        sys.executable,
        "-m",
        "ravine",
        "map",
        text,
        "--lr",
        "1e-4:0.01",
        "--target",
        "0.1",
        "--size",
        "200",
        "--json",
    ]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**map_peers.os.environ, "RAVINE_CACHE": folder}
        first = subprocess.run(
            [sys.executable, "-c", call], env=environment, capture_output=True, text=True, check=True
        )
        times = []
        for _ in range(2):
            begun = time.perf_counter()
            subprocess.run(command, env=environment, capture_output=True, check=True)
            times.append(time.perf_counter() - begun)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        environment = {**map_peers.os.environ, "RAVINE_CACHE": folder}
        subprocess.run(command, env=environment, capture_output=True, check=True)
        cold = time.perf_counter() - begun
    return float(first.stdout), cold, min(times)


def timed(run: object, *given: object) -> tuple[np.ndarray, float, float]:
    """Run once; returns the codes, the seconds and the processor seconds."""
    begun, used = time.perf_counter(), time.process_time()
    codes = run(*given)  # type: ignore[operator]
    return codes, time.perf_counter() - begun, time.process_time() - used


def measure(surface: str, side: int, steps: int, target: float, rounds: int) -> None:
    """Check that all agree on a surface, time them, and print ratios."""
    lr, mu = map_peers.grid(surface, side)
    peers = ["NumPy", "NumPy, in blocks", *JAX, *(name for name in ("C", "C, term by term") if name in map_peers.PEERS)]
    made, _ = ours(surface, side, steps, target)
    truth = map_peers.PEERS["NumPy, in blocks"](surface, lr, mu, steps, target)
    # Cells lost at the very last step look like cells that only grew until then.
    equal = float(np.mean(np.where(made == -steps, steps + 1, made) == np.where(truth == -steps, steps + 1, truth)))
    print(f"\n{surface}: {lr.size:,} cells, {steps} steps; {equal:.4%} of cells equal NumPy's")
    if equal < LEAST[surface]:
        raise SystemExit(f"the map of {surface} disagrees with NumPy")
    for name in peers:
        map_peers.PEERS[name](surface, lr, mu, steps, target)  # compiles
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ("ravine", "ravine, whole call", *peers)}
    for _ in range(rounds):
        for name in times:
            if name == "ravine":
                begun, used = time.perf_counter(), time.process_time()
                # Peers only walk; the whole call also finds the minimum, chooses the best cell and compares with theory.
                _, walking = ours(surface, side, steps, target)
                whole = time.perf_counter() - begun, time.process_time() - used
                times["ravine, whole call"].append(whole)
                times[name].append((walking, walking * whole[1] / whole[0]))
            elif name in peers:
                times[name].append(timed(map_peers.PEERS[name], surface, lr, mu, steps, target)[1:])
    few = np.linspace(0, lr.size - 1, map_peers.SAMPLE).astype(int)
    _, wall, used = timed(map_peers.PEERS["tutorial loop"], surface, lr[few], mu[few], steps, target)
    times["tutorial loop"] = [(wall * lr.size / few.size, used * lr.size / few.size)]
    base = [statistics.median(t[i] for t in times["ravine"]) for i in (0, 1)]
    for name, each in times.items():
        wall, used = (statistics.median(t[i] for t in each) for i in (0, 1))
        print(f"  {name:20} {wall:9.4f} s  {wall / base[0]:8.2f} x   processor {used:9.4f} s  {used / base[1]:8.2f} x")
    best = min(statistics.median(t[0] for t in times[name]) for name in JAX)
    print(f"  best JAX form {best / base[0]:.1f} x")


def main() -> None:
    """Measure all surfaces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--surfaces", nargs="+", default=list(map_peers.STARTS), choices=list(map_peers.STARTS))
    options = parser.parse_args()
    print(f"{_kernels.threads()} processors")
    for surface in options.surfaces:
        measure(surface, options.side, options.steps, 1e-6, options.rounds)
        first, cold, warm = first_calls(surface)
        print(f"  first call {first:.2f} s; whole process: {cold:.2f} s at first, {warm:.2f} s from the cache")


if __name__ == "__main__":
    main()
