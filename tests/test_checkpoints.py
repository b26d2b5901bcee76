"""Checkpoint files: converted exactly, never executed, and written whole or not at all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from carried import KERAS, asked, begun, called, go_on, model, train, trained
from ravine.conversion.crossing import convert_snapshot
from ravine.conversion.snapshot import Snapshot
from ravine.errors import RavineError
from ravine.torch.checkpoint import convert_checkpoint, read_checkpoint, write_checkpoint
from ravine.torch.momentum import Momentum


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small are only waited for by a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    # Thirty updates of double precision, each rounded by 1e-16.
    for name, value in one.state_dict().items():
        np.testing.assert_allclose(value.numpy(), other.state_dict()[name].numpy(), rtol=1e-10, atol=1e-12)


LAYOUTS = {
    "plain": lambda net, opt: {"model": net, "optimizer": opt, "epoch": 3},
    "lightning": lambda net, opt: {"state_dict": net, "optimizer_states": [opt], "global_step": 30},
    "tutorial": lambda net, opt: {"model_state_dict": net, "optimizer_state_dict": opt, "loss": torch.tensor(0.5)},
    "bare": lambda net, opt: opt,
}


def found_in(layout: str, data: Any) -> Any:
    key = {"plain": "optimizer", "lightning": "optimizer_states", "tutorial": "optimizer_state_dict"}.get(layout)
    state = data[key] if key else data
    return state[0] if isinstance(state, list) else state


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("suffix", ["pt", "pth", "bin", "ckpt"])
def test_a_training_goes_on_from_the_converted_file(layout: str, suffix: str, tmp_path: Path) -> None:
    """30 steps, a file converted from torch to nag's Momentum, 30 more: as without; what else the file holds stays."""
    net, optimizer = trained(nesterov=True, weight_decay=0.01)
    file, out = tmp_path / f"a.{suffix}", tmp_path / f"b.{suffix}"
    torch.save(LAYOUTS[layout](net.state_dict(), optimizer.state_dict()), file)
    convert_checkpoint(file, "nag", out)
    data = torch.load(out, weights_only=True)
    other = model()
    other.load_state_dict(net.state_dict())
    momentum = Momentum(other.parameters(), rule="nag", lr=1, momentum=0)
    momentum.load_state_dict(found_in(layout, data))
    train(net, optimizer, 30, 30)
    train(other, momentum, 30, 30)
    same_weights(net, other)
    if layout == "plain":
        assert data["epoch"] == 3


def test_a_moved_point_moves_in_the_file(tmp_path: Path) -> None:
    """Where the source stores x and the target x + mu·v, the file's parameters are shifted and its statistics are not."""
    net, optimizer = trained()
    file, out = tmp_path / "a.pt", tmp_path / "b.pt"
    state = optimizer.state_dict()
    for group in state["param_groups"]:
        group["nesterov"] = True
    for entry in state["state"].values():
        entry["momentum_buffer"] = -0.05 * entry["momentum_buffer"]
    torch.save({"model": net.state_dict(), "optimizer": state}, file)
    before, after = convert_checkpoint(file, "nag", out, source="sutskever")
    moved, was = torch.load(out, weights_only=True)["model"], net.state_dict()
    assert list(moved) == list(was)
    v = before.buffers["0.weight"]
    assert torch.allclose(moved["0.weight"], was["0.weight"] + 0.9 * v, rtol=1e-14)
    assert (moved["1.running_mean"] == was["1.running_mean"]).all()
    assert after.changes[0].shift == pytest.approx(0.9)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_arrays_come_back_with_their_meaning(suffix: str, tmp_path: Path) -> None:
    """What is written is read back to the last bit, dialect, settings and names included, and goes on exactly."""
    run = begun(KERAS, weight_decay=0.1, decoupled=False)
    for to in ("keras", "caffe", "torch", "nag", "sutskever", "qhoptim"):
        there = convert_snapshot(run, to)
        back = read_checkpoint(write_checkpoint(tmp_path / f"a.{suffix}", there))
        assert [g._replace(extra={}) for g in back.groups] == [g._replace(extra={}) for g in there.groups]
        for name in there.buffers:
            assert (np.asarray(back.buffers[name]) == np.asarray(there.buffers[name])).all()
            assert (np.asarray(back.parameters[name]) == np.asarray(there.parameters[name])).all()
    again = convert_snapshot(read_checkpoint(write_checkpoint(tmp_path / f"b.{suffix}", begun(KERAS))), "torch")
    plain = Snapshot(again.groups, *({n: np.asarray(a) for n, a in part.items()} for part in again[1:3]))
    end = go_on(begun(KERAS), 30)
    for name in end.parameters:
        np.testing.assert_allclose(asked(go_on(plain, 30), name), asked(end, name), rtol=1e-11, atol=1e-12)


def test_bfloat16_and_running_means_survive_safetensors(tmp_path: Path) -> None:
    """safetensors holds bfloat16 and the model's running means; .npz refuses bfloat16 and leaves no file."""
    net, optimizer = trained()
    torch.save({"model": net.bfloat16().state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    convert_checkpoint(tmp_path / "a.pt", "ema", tmp_path / "b.safetensors")
    back = read_checkpoint(tmp_path / "b.safetensors")
    assert back.parameters["0.weight"].dtype == torch.bfloat16
    assert set(back.others) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    with pytest.raises(RavineError):
        convert_checkpoint(tmp_path / "a.pt", "ema", tmp_path / "c.npz")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.pt", "b.safetensors"]


def test_keras_to_torch_by_hand_and_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Arrays saved by NumPy alone become a file of torch, the settings said with --from."""
    run = begun(KERAS)
    arrays = {f"parameters.{n}": a for n, a in run.parameters.items()} | {
        f"buffers.{n}": a for n, a in run.buffers.items()
    }
    np.savez(tmp_path / "keras.npz", **arrays)
    out = tmp_path / "torch.pt"
    code, told, err = called(
        tmp_path / "keras.npz", "--from", KERAS, "--to", "torch", "--out", out, "--json", capsys=capsys
    )
    assert (code, err) == (0, "")
    summary = json.loads(told)
    assert summary["groups"][0]["from"]["settings"] == {"learning_rate": 0.02, "momentum": 0.8, "nesterov": True}
    assert summary["groups"][0]["to"]["settings"] == {"lr": 0.02, "momentum": 0.8, "dampening": 0, "nesterov": True}
    assert summary["groups"][0]["buffer"]["scale"] == pytest.approx(-50)
    assert (summary["groups"][0]["shift"], summary["buffers"], summary["written"]) == (
        0,
        {"from": 4, "to": 4},
        str(out),
    )
    assert any("lr_before" in note for note in summary["notes"])
    data = torch.load(out, weights_only=True)
    assert list(data["model"]) == list(run.parameters)
    sgd = torch.optim.SGD([p.requires_grad_() for p in data["model"].values()], lr=1)
    sgd.load_state_dict(data["optimizer"])
    assert sgd.param_groups[0]["nesterov"] is True


def test_what_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --out nothing is written; both sides, the buffer and the point are printed, notes on stderr."""
    write_checkpoint(tmp_path / "a.npz", begun(KERAS))
    code, out, err = called(tmp_path / "a.npz", "--to", "sutskever", capsys=capsys)
    assert code == 0
    assert "learning_rate=0.02, momentum=0.8, nesterov=True" in out
    assert "+ -0.8 · buffer" in out
    assert "nothing is written" in out
    assert err.startswith("note: where mu changes later, nag asks at another point")
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_a_preview_needs_no_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --out a file of torch is shown in any framework's settings; with --out .pt the sentence names a format."""
    net, optimizer = trained()
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    code, out, _ = called(tmp_path / "a.pt", "--to", "keras", capsys=capsys)
    assert (code, "learning_rate=0.05, momentum=0.9, nesterov=False" in out) == (0, True)
    code, out, _ = called(tmp_path / "a.pt", "--to", "keras", "--json", capsys=capsys)
    assert (code, json.loads(out)["groups"][0]["buffer"]["scale"]) == (0, -0.05)
    code, out, err = called(tmp_path / "a.pt", "--to", "keras", "--out", tmp_path / "x.pt", capsys=capsys)
    assert (code, out, "write .npz or .safetensors" in err) == (2, "", True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.pt"]


def test_a_rule_is_converted_to_rules(capsys: pytest.CaptureFixture[str]) -> None:
    """A framework in a rule's place, on either side, is refused with the rules that it runs."""
    for one, other in (("nag:lr=0.1,mu=0.9", "keras"), ("tf2:lr=0.1,mu=0.9", "nag")):
        code, _, err = called(one, "--to", other, capsys=capsys)
        assert (code, "keras is a framework, which runs classical and keras_nesterov" in err) == (2, True)
    code, _, err = called("nag:lr=0.1,mu=0.9", "--to", "qhm", "--names", "a,b", capsys=capsys)
    assert (code, "there is none" in err) == (2, True)
