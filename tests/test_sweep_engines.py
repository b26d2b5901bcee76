"""Engines of a sweep: processes, Ray, workers that die, and sweeps that are killed."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ravine.sweep import engines, read, sweep
from ravine.sweep.trials import Trial
from ravine.sweep.work import Job
from swept import AXES, DOOR, one_by_one, rows, toy

__all__ = ["one_by_one"]  # a fixture


def typed(folder: Path, *more: str, engine: str = "lanes") -> list[str]:
    """Return the command line of the sweep that these tests kill."""
    code = f"{DOOR}sys.exit(app.run(sys.argv[1:]))"
    words = [
        "sweep",
        toy(folder),
        "--lr",
        "0.01,0.1,50",
        "--mu",
        "0,0.9",
        "--seeds",
        "2",
        "--steps",
        "12",
        "--chunk",
        "1",
    ]
    return [sys.executable, "-c", code, *words, "--engine", engine, "--out", str(folder / "out"), *more]


@pytest.mark.usefixtures("one_by_one")
def test_processes_make_the_same_table(tmp_path: Path) -> None:
    """Two worker processes make the rows that this process makes, bit for bit."""
    here = sweep(toy(tmp_path), "heavyball", AXES, out=tmp_path / "here", engine="lanes")
    two = sweep(toy(tmp_path), "heavyball", AXES, out=tmp_path / "two", engine="processes", workers=2, chunk=1)
    assert rows(two) == rows(here)
    assert set(two.columns()["engine"]) == {"processes"}


def test_a_run_that_kills_its_worker_is_a_failed_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's death gives the chunk to a new one; at last its runs are tried alone, and the deadly one fails."""
    monkeypatch.setattr(engines, "perform", _perform)
    monkeypatch.setattr(engines, "_begin", lambda: None)
    monkeypatch.setattr(engines, "_worker", _thin_worker)
    job = Job(
        "", (("sgd:lr=0.1", 0), ("sgd:lr=0.1", 13), ("sgd:lr=0.1", 2)), 1, "float32", "cpu", "one by one", "processes"
    )
    said: list[str] = []
    found = [row for _, some in engines.processes(iter([(0, job)]), 1, said.append) for row in some]
    assert sorted((row.seed, row.state) for row in found) == [(0, "done"), (2, "done"), (13, "failed")]
    assert "its worker died 3 times" in next(row.reason for row in found if row.state == "failed")
    assert len(said) == 6


def _perform(job: Job) -> list[Trial]:
    if any(seed == 13 for _, seed in job.runs):
        os._exit(9)
    return [Trial(*key, "done") for key in job.runs]


def _thin_worker() -> Any:
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    return ProcessPoolExecutor(1, get_context("spawn"))


@pytest.mark.usefixtures("one_by_one")
def test_killed_and_resumed_is_undisturbed(tmp_path: Path) -> None:
    """kill -9 in the middle, then the same command: the table of an undisturbed sweep, no row twice, none missing."""
    _killed(tmp_path, times=1)


@pytest.mark.slow
@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize("engine", ["lanes", "processes"])
def test_killed_ten_times_and_resumed_is_undisturbed(tmp_path: Path, engine: str) -> None:
    """kill -9 at ten random moments, then resumed: the table of an undisturbed sweep."""
    _killed(tmp_path, times=10, engine=engine)


def _killed(folder: Path, times: int, engine: str = "lanes") -> None:
    """Kill a sweep so often, when it has parts or at a random moment, end it, and compare."""
    (folder / "whole").mkdir()
    (folder / "cut").mkdir()
    drawn = random.Random(0)
    for kill in range(times):
        running = subprocess.Popen(typed(folder / "cut", engine=engine), stderr=subprocess.DEVNULL)
        until = time.monotonic() + (60 if times == 1 else drawn.uniform(0.5, 15))
        while time.monotonic() < until and running.poll() is None:
            if times == 1 and len(_parts(folder / "cut")) >= 2:
                break
            time.sleep(0.01)
        running.kill()
        running.wait()
        assert times > 1 or 0 < len(_parts(folder / "cut")) < 12, kill
    done = subprocess.run([*typed(folder / "cut", engine=engine), "--json"], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert told["rows"] == 12
    assert told["computed"] < 12 or times > 1
    cut = read(folder / "cut" / "out")
    whole = sweep(
        toy(folder / "whole"), "heavyball", AXES, steps=12, seeds=2, out=folder / "whole" / "out", engine="lanes"
    )
    assert rows(cut) == rows(whole)
    assert len({t.key for t in cut.trials}) == len(cut.trials) == 12


def _parts(folder: Path) -> list[Path]:
    return list((folder / "out" / "parts").glob("[!.]*.parquet"))


def test_ctrl_c_ends_cleanly(tmp_path: Path) -> None:
    """Ctrl-C keeps the finished chunks, exits with 130 and says the command that goes on."""
    running = subprocess.Popen(typed(tmp_path, "--steps", "2000"), stderr=subprocess.PIPE, text=True)
    while not _parts(tmp_path) and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "what is finished is kept" in said
    assert "Traceback" not in said
    assert _parts(tmp_path)


# Ray -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["nonsense", "127.0.0.1:1", "127.0.0.1", "127.0.0.1:99999", "ray://", "no.such.host.invalid:1"]
)
def test_an_address_without_a_cluster_is_one_sentence(address: str, tmp_path: Path) -> None:
    """An address that cannot be read or reached is refused within seconds, before anything is trained."""
    pytest.importorskip("ray")
    from ravine.errors import RavineError

    with pytest.raises(RavineError, match="cluster") as caught:
        sweep("digits-mlp", out=tmp_path / "out", cluster=address)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_who_listens_and_is_not_ray_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that accepts connections and says nothing is no cluster."""
    pytest.importorskip("ray")
    from ravine.sweep import cluster

    monkeypatch.setattr(cluster, "ANSWER", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert "not answer as Ray" in cluster._reached(f"127.0.0.1:{silent.getsockname()[1]}")


RAY = """
import json, os, sys, threading, time
import ravine.sweep
from ravine.sweep import cluster

def killer():
    import psutil
    left = {kills}
    time.sleep({pause})
    while left:
        for process in psutil.Process().children(recursive=True):
            if process.name().startswith("ray::_train") or "ray::_train" in " ".join(process.cmdline()):
                process.kill()
                print("killed", file=sys.stderr)
                left -= 1
                time.sleep(2)
                break

if {kills}:
    threading.Thread(target=killer, daemon=True).start()
made = ravine.sweep.sweep({task!r}, "heavyball", {axes!r}, steps=12, seeds={seeds}, chunk=1, out={out!r},
                          cluster="local", workers=2)
print(json.dumps([made.counts, made.computed]))
"""


def _on_ray(folder: Path, seeds: int, kills: int = 0, pause: float = 1.0) -> tuple[Any, str]:
    """Sweep on a cluster that is started here, in a process of its own, and return its counts and its stderr."""
    pytest.importorskip("ray")
    code = RAY.format(task=toy(folder), axes=AXES, seeds=seeds, kills=kills, pause=pause, out=str(folder / "ray"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


@pytest.mark.slow
def test_ray_makes_the_same_table(tmp_path: Path) -> None:
    """Chunks as Ray tasks make the rows that this process makes."""
    (counts, _), _ = _on_ray(tmp_path, seeds=1)
    assert counts["done"] + counts["diverged"] == 6
    here = sweep(toy(tmp_path), "heavyball", AXES, out=tmp_path / "here", steps=12, engine="lanes", chunk=1)
    for mine, theirs in zip(here.trials, read(tmp_path / "ray").trials, strict=True):
        assert mine.loss == pytest.approx(theirs.loss, rel=1e-4)


@pytest.mark.slow
def test_workers_killed_on_ray_lose_no_row(tmp_path: Path) -> None:
    """Two workers killed in a sweep of 204 chunks: every row is there once, none failed."""
    pytest.importorskip("psutil")
    (counts, computed), said = _on_ray(tmp_path, seeds=34, kills=2, pause=8.0)
    assert said.count("killed") == 2
    assert (computed, counts["failed"], counts["missing"]) == (204, 0, 0)
    made = read(tmp_path / "ray")
    assert len({t.key for t in made.trials}) == 204
