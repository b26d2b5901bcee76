"""Several processes train as one does: DDP, FSDP2, lists that mix plain and distributed tensors, resumption."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from torch import Tensor

import two_processes as two

LIMIT = 120  # seconds after which both processes are killed

# Of two processes the mean (a + b)/2 is the same in every order, so nothing but the optimizer could differ. A shard
# ends elsewhere than its tensor, though, and the last numbers of an array may be rounded by other instructions.
EXACT, SHARDS = 0.0, 1e-6
# A whole batch adds its samples in another order than two halves: eps·10 steps, times what the net makes of it.
WHOLE_BATCH = 2e-5


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the two processes once for all tests and all workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # which the workers share
    folder = folder / "two_processes"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "results.pt").exists():
            _run(folder)
        found: dict[str, Any] = torch.load(folder / "results.pt", weights_only=False)
    return found


def _run(folder: Path) -> None:
    """Start both processes and end both, whatever happens."""
    script = [sys.executable, "-W", "error", two.__file__]
    (folder / "meeting").unlink(missing_ok=True)
    outputs = [folder / f"output{rank}" for rank in (0, 1)]
    started = []
    for rank, output in enumerate(outputs):
        with output.open("w") as to:
            started.append(
                subprocess.Popen([*script, str(rank), str(folder)], stdout=to, stderr=to, start_new_session=True)
            )
    try:
        for process in started:
            process.wait(LIMIT)
    finally:
        for process in started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    said = [output.read_text() for output in outputs]
    assert [process.returncode for process in started] == [0, 0], said


def _differ(mine: list[Tensor], others: list[Tensor]) -> float:
    """Return the largest difference of two lists of tensors, relative to the largest number of each tensor."""
    assert [t.shape for t in mine] == [t.shape for t in others]
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(mine, others, strict=True))


def _came_out(results: dict[str, Any], name: str) -> Any:
    assert not isinstance(results[name], str), results[name]
    return results[name]


def _alone(rule: str, path: str, parts: list[slice]) -> list[Tensor]:
    model = two.net()
    optimizer = two.make(model.parameters(), rule, path)
    two.train(model, optimizer, parts)
    return two.state(model.parameters(), optimizer)


@pytest.mark.parametrize(("rule", "path"), two.TRAINED)
@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [("ddp", EXACT), ("ddp, gradients in buckets", EXACT), ("fsdp2", SHARDS)],
)
def test_two_processes_train_as_one_that_accumulates(
    results: dict[str, Any], kind: str, tolerance: float, rule: str, path: str
) -> None:
    """Parameters, buffers and iterates after 10 steps are those of one process that averages both halves' gradients."""
    together = _came_out(results, f"{kind} {rule} {path}")
    assert _differ(together, _alone(rule, path, [two.half(0), two.half(1)])) <= tolerance


@pytest.mark.parametrize(("rule", "path"), two.TRAINED)
@pytest.mark.parametrize("kind", two.WRAPPED)
def test_two_processes_train_as_one_on_the_whole_batch(
    results: dict[str, Any], kind: str, rule: str, path: str
) -> None:
    """The same on the undivided batch, to the rounding of its sum; with gradients accumulated under no_sync too."""
    together = _came_out(results, f"{kind} {rule} {path}")
    assert _differ(together, _alone(rule, path, [slice(None)])) <= WHOLE_BATCH


def test_one_half_alone_trains_otherwise() -> None:
    """The tolerances tell: a process that keeps to its own half ends elsewhere."""
    half, both = _alone("nag", "flat", [two.half(0)]), _alone("nag", "flat", [slice(None)])
    assert _differ(half, both) > 100 * WHOLE_BATCH


@pytest.mark.parametrize("path", two.PATHS)
@pytest.mark.parametrize("rule", ["torch", "nag"])
@pytest.mark.parametrize("meshes", ["one mesh", "two meshes"])
def test_plain_and_distributed_tensors_mix(results: dict[str, Any], meshes: str, rule: str, path: str) -> None:
    """A list of parameters that mixes Tensor and DTensor, on one mesh or two, is updated as the list of plain ones."""
    assert _differ(_came_out(results, f"{meshes} {rule} {path}"), two.mixed(rule, path)) <= SHARDS


@pytest.mark.parametrize(("kind", "rule"), [(kind, rule) for kind, rule, _ in two.RESUMED])
def test_a_sharded_run_resumes_to_the_last_bit(results: dict[str, Any], kind: str, rule: str) -> None:
    """An FSDP2 run saved through torch.distributed.checkpoint goes on bit-equal, and its buffers have names."""
    found = _came_out(results, f"{kind} {rule}")
    assert _differ(found["resumed"], found["went"]) == 0
    assert _differ(found["went"], found["saved"]) > 0.01
    buffer = "momentum_buffer" if rule == "torch" else "velocity"
    if kind == "flattened":
        assert {f"state.{name}.{buffer}" for name, _ in two.net().named_parameters()} <= set(found["keys"])
    else:
        assert found["keys"] == {name: [buffer] for name, _ in two.net().named_parameters()}


@pytest.mark.parametrize("rule", ["torch", "nag"])
def test_a_sharded_run_goes_on_in_one_process(results: dict[str, Any], rule: str) -> None:
    """The whole state of an FSDP2 run, loaded by one process without shards, ends where the shards end."""
    found = _came_out(results, f"whole {rule}")
    model = two.net()
    model.load_state_dict(found["model"])
    optimizer = two.make(model.parameters(), rule, "foreach")
    names = found["optimizer"]["param_groups"][0]["params"]
    numbers = {name: number for number, name in enumerate(names)}
    groups = [{**found["optimizer"]["param_groups"][0], "params": list(range(len(names)))}]
    state = {numbers[name]: entry for name, entry in found["optimizer"]["state"].items()}
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    two.train(model, optimizer, [two.half(0), two.half(1)], two.SAVED_AT)
    assert _differ(two.state(model.parameters(), optimizer), found["went"]) <= SHARDS
