"""A sweep on a Ray cluster: each chunk is a Ray task, tried again where its worker dies; the rows come back here.

Ray waits half a minute or longer for an address where nothing answers, so the address is tried first, by hand.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ravine.errors import SweepError, reason, require, shown
from ravine.sweep.engines import Finished, Jobs
from ravine.sweep.work import Job, failed, perform

CONNECTION, ANSWER = 2.5, 6.0  # seconds for the address to be reached, and for Ray to answer there
HERE = ("127.0.0.1", "localhost", "::1")
RETRIES = 3  # of a chunk whose worker or machine dies
CLIENT = 10001  # the port of ray:// where none is given
# In a process of its own: Ray's client waits without end for whoever listens and is not Ray, and ends its process then.
KNOCK = "import sys, ray; from ray._raylet import GcsClient; GcsClient(address=sys.argv[1])"
KNOCK_AS_CLIENT = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False)"
HOW = "give host:6379, ray://host:10001, auto or local"


def check_address(cluster: str) -> None:
    """Refuse an address that cannot be read or where no cluster answers, within seconds; raises `SweepError`."""
    require("ray", extra="cluster", why="sweep on a cluster")
    if cluster.startswith("ray://"):
        require("grpc", extra="cluster", why="join a cluster by ray://")
    if cluster == "local":
        return
    said: list[str] = []
    # In a thread of its own, because looking a name up knows no limit of time.
    asked = threading.Thread(target=lambda: said.append(_reached(cluster)), daemon=True)
    asked.start()
    asked.join(CONNECTION + ANSWER)
    if wrong := said[0] if said else "no answer":
        raise SweepError(f"no cluster at {shown(cluster)}: {wrong}; {HOW}")


def _reached(cluster: str) -> str:
    """Say what is wrong with an address, "" where a cluster answers there."""
    if cluster == "auto":
        _take_token()
        try:
            from ray._private.services import canonicalize_bootstrap_address_or_die as found

            cluster = str(found("auto"))
        except Exception as error:
            return "none runs on this machine" if isinstance(error, ConnectionError) else reason(error)
    place = cluster.removeprefix("ray://")
    host, colon, port = place.partition("?")[0].rpartition(":")
    if not colon and cluster.startswith("ray://"):
        host, port = place, str(CLIENT)
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        return "the address has no host and port"
    if host.strip("[]") in HERE:
        _take_token()
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECTION).close()
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    return _answers(cluster)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray's remarks for its own logs; what is wrong is said by us."""
    said = logging.getLogger("ray")
    level = said.level
    said.setLevel(logging.ERROR)
    try:
        yield
    finally:
        said.setLevel(level)


def _take_token() -> None:
    """Let Ray use the token that it keeps for clusters of this machine; it is sent to no other."""
    with suppress(Exception), _silent():  # older versions have none
        from ray._private.authentication import authentication_token_setup as setup

        setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False)


def _answers(address: str) -> str:
    """Say why nobody at an address answers as Ray does, "" where somebody does."""
    knock = KNOCK_AS_CLIENT if address.startswith("ray://") else KNOCK
    try:
        done = subprocess.run([sys.executable, "-c", knock, address], capture_output=True, text=True, timeout=ANSWER)
    except subprocess.TimeoutExpired:
        return f"something listens there that does not answer as Ray within {ANSWER:g} seconds"
    if "AuthenticationError" in done.stderr:
        return "it asks for a token; set RAY_AUTH_MODE=token and give Ray its token"
    said = done.stderr.strip().splitlines()[-1:]
    return "" if done.returncode == 0 or "ImportError" in done.stderr else said[0][:200] if said else "Ray refused"


def ray_tasks(
    jobs: Jobs, cluster: str, *, workers: int | None = None, gpus: float | None = None, device: str = "cpu"
) -> Finished:
    """Train chunks as Ray tasks.

    Args:
        jobs: what is to be done.
        cluster: an address, `auto`, or `local`.
        workers: chunks at once, as many as the cluster has room for if not given.
        gpus: of each chunk; 1 where the device is a GPU.
        device: where each chunk is trained.

    Raises:
        SweepError: the cluster cannot be joined, or has no such GPU.
    """
    ray = require("ray", extra="cluster", why="sweep on a cluster")
    ours = not ray.is_initialized()
    if ours:
        _join(ray, cluster, workers)
    gpus = (0.0 if device == "cpu" else 1.0) if gpus is None else gpus
    flying: dict[Any, tuple[int, Job]] = {}
    try:
        room = workers or _room(ray, gpus)
        train = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_train)
        yield from _flow(ray, train, jobs, flying, room)
    finally:
        for task in flying:
            with suppress(Exception):
                ray.cancel(task, force=True)
        if ours:
            ray.shutdown()


def _flow(ray: Any, train: Any, jobs: Jobs, flying: dict[Any, tuple[int, Job]], room: int) -> Iterator[Any]:
    """Keep as many chunks in flight as there is room for, and yield the rows of each that lands."""
    while True:
        while len(flying) < room and (found := next(jobs, None)):
            flying[train.remote(found[1])] = found
        if not flying:
            return
        # A limit of time, so that Ctrl-C is heard.
        landed, _ = ray.wait(list(flying), num_returns=1, timeout=1.0)
        for task in landed:
            index, job = flying.pop(task)
            try:
                rows = ray.get(task)
            except Exception as error:  # its worker died too often, or the machine is gone
                rows = failed(job, f"on the cluster: {reason(error)}")
            yield index, rows


def _train(job: Job) -> Any:
    """Train a chunk on a node of the cluster."""
    import torch

    torch.set_num_threads(1)
    return perform(job)


def _join(ray: Any, cluster: str, workers: int | None) -> None:
    """Join a cluster, or start one here."""
    quiet = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}
    try:
        with _silent():
            if cluster == "local":
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                ray.init(num_cpus=workers, include_dashboard=False, **quiet)
            else:
                ray.init(address=cluster, **quiet)
    except (Exception, SystemExit) as error:
        if isinstance(error, SweepError):
            raise
        raise SweepError(f"cannot join the cluster {shown(cluster)}: {reason(error)}; {HOW}") from None


def _room(ray: Any, gpus: float) -> int:
    """Return how many chunks may run at once; raises `SweepError` where the cluster lacks what each needs."""
    there = ray.cluster_resources()
    if gpus and there.get("GPU", 0) < min(gpus, 1):
        raise SweepError(f"the cluster has {there.get('GPU', 0):g} GPUs and a chunk needs {gpus:g}; use --device cpu")
    return max(1, int(there.get("GPU", 0) / gpus if gpus else there.get("CPU", 1)))
