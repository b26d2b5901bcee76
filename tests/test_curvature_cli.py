"""`ravine curvature`: what it prints and writes, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from ravine.cli.app import run
from ravine.errors import CurvatureError
from ravine.torch.spectral.weights import load_weights
from test_curvature import one_thread  # noqa: F401

TASK = """
import torch

def made():
    from ravine.tasks.task import Task
    x = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
    net = lambda: torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    return Task(net, lambda model, batch: (model(batch[0]) - batch[1]).square().mean(), (x, x[:, :1] ** 2), 10, name="small")
"""


@pytest.fixture
def task(tmp_path: Path) -> str:
    """Write a task file and return how it is named."""
    (tmp_path / "small.py").write_text(TASK, encoding="utf-8")
    return f"{tmp_path / 'small.py'}:made"


def _net() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))


def test_everything_is_printed_as_one_object(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--json has the ends, limits, density, noise and the curve, and nothing else is printed."""
    arguments = ["--top", "2", "--ends", "both", "--density", "--noise", "--along", "6", "--every", "3", "--json"]
    assert run(["curvature", task, *arguments, "--rule", "heavyball:lr=0.05,mu=0.5"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["largest"]) == len(told["smallest"]) == 2
    assert told["parameters"] == 31
    assert told["limits"][0]["lr"] == pytest.approx(2 * 1.5 / told["largest"][0]["value"])
    assert told["along"]["steps"] == [0, 3, 6]
    assert len(told["noise"]["along"]) == 4
    assert told["density"]["probes"] == 8


@pytest.mark.parametrize("words", [["--device", "abacus"], ["--device", "cuda:99"], ["--seed", "-1"]])
def test_no_device_and_no_seed_are_one_sentence(
    words: list[str], task: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A device that is not there, and a seed below 0, are refused with the exit code 2."""
    assert run(["curvature", task, *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_on_the_way_keeps_the_curve(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that is interrupted leaves what was measured, in the file and as one object, and the exit code 130."""
    import ravine.torch.edge as edge

    left = iter(range(7))

    def loss_of(*given: object) -> torch.Tensor:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return once(*given)  # type: ignore[arg-type]

    once = edge.loss_of
    monkeypatch.setattr(edge, "loss_of", loss_of)
    out = tmp_path / "found.json"
    arguments = ["--along", "20", "--every", "5", "--out", str(out), "--json"]
    assert run(["curvature", task, *arguments]) == 130
    told = json.loads(capsys.readouterr().out)
    assert told["along"]["reason"] == "interrupted after 7 updates"
    assert told["along"]["steps"] == json.loads(out.read_text(encoding="utf-8"))["along"]["steps"] == [0, 5]


@pytest.mark.parametrize("suffix", ["png", "svg", "csv", "parquet", "json"])
def test_files_are_written_by_their_suffix(suffix: str, task: str, tmp_path: Path) -> None:
    """Each format is written and is of its kind."""
    out = tmp_path / f"found.{suffix}"
    assert run(["curvature", task, "--out", str(out), "--top", "3"]) == 0
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "csv": b"what,at", "parquet": b"PAR1", "json": b"{"}[suffix]
    assert out.read_bytes().startswith(begins)


@pytest.mark.parametrize("shape", ["state_dict", "under a key", "safetensors", "of a wrapper"])
def test_checkpoints_are_loaded(shape: str, task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights of a file are measured: state_dict, checkpoint, safetensors, or with a wrapper's prefix."""
    from safetensors.torch import save_file

    from ravine.tasks import load
    from ravine.torch.curvature import curvature

    net, file = _net(), tmp_path / ("net.safetensors" if shape == "safetensors" else "net.pt")
    state = net.state_dict()
    if shape == "safetensors":
        save_file(state, file)
    else:
        wrapped = {f"module.{key}": value for key, value in state.items()}
        torch.save(
            {"state_dict": state, "under a key": {"model": state, "step": 3}, "of a wrapper": wrapped}[shape], file
        )
    assert run(["curvature", task, "--checkpoint", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["largest"][0]["value"] == pytest.approx(curvature(load(task), net).h_max, rel=1e-5)


def test_wrong_files_are_one_sentence(tmp_path: Path) -> None:
    """A missing file, one of another model, one of another kind and one that would run code are refused."""
    torch.save(torch.nn.Linear(3, 3).state_dict(), tmp_path / "other.pt")
    torch.save({"0.weight": torch.ones(5, 9), **{k: v for k, v in _net().state_dict().items() if k != "0.weight"}},
               tmp_path / "shape.pt")  # fmt: skip
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save(_net(), tmp_path / "pickled.pt")
    (tmp_path / "text.pt").write_text("no weights", encoding="utf-8")
    for name, says in (
        ("none.pt", "there is no file"),
        ("other.pt", "is no checkpoint of this model: it lacks '0.weight'"),
        ("shape.pt", r"0.weight has the shape \(5, 9\) there and \(5, 4\) here"),
        ("list.pt", "holds no weights by their names"),
        ("pickled.pt", "cannot be read as weights"),
        ("text.pt", "cannot be read as weights"),
    ):
        with pytest.raises(CurvatureError, match=says) as told:
            load_weights(_net(), tmp_path / name)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--ends", "top"], "ends must be one of"),
        (["--top", "0"], "k must be a whole number"),
        (["--rule", "heavyball:lr=0.1"], "heavyball needs mu"),
        (["--along", "0"], "steps must be a whole number"),
        (["--out", "found.gif"], "the suffix '.gif' is unknown"),
        (["--samples", "-3"], "samples must be a whole number"),
    ],
)
def test_bad_input_is_exit_2(arguments: list[str], says: str, task: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What does not fit is one sentence on stderr, without a traceback."""
    assert run(["curvature", task, *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error
    assert len(error.strip().splitlines()) == 1
