"""Checkpoint files: converted exactly, never executed, and written whole or not at all."""

import contextlib
import json
import pickle
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from carried import asked, begun, go_on
from ravine.cli.app import run as command
from ravine.conversion.crossing import convert_snapshot
from ravine.conversion.snapshot import Snapshot
from ravine.errors import ConvertError, RavineError
from ravine.torch.checkpoint import convert_checkpoint, read_checkpoint, write_checkpoint
from ravine.torch.momentum import Momentum

KERAS = "keras:lr=0.02,mu=0.8,nesterov=1"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small are only waited for by a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def called(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = command(("convert", *map(str, arguments)))
    told = capsys.readouterr()
    return code, told.out, told.err


def model() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Tanh(), torch.nn.Linear(8, 2, bias=False)
    ).double()


def train(net: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: int, t: int = 0) -> None:
    for k in range(t, t + steps):
        data = torch.from_numpy(np.random.default_rng(k).normal(size=(16, 4)))
        optimizer.zero_grad()
        (net(data) ** 2 - net(data).sum(1, keepdim=True)).mean().backward()
        optimizer.step()


def trained(**more: Any) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, **more)
    train(net, optimizer, 30)
    return net, optimizer


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


# Names --------------------------------------------------------------------------------------------------------


def test_names_are_found_where_shapes_tell_them(tmp_path: Path) -> None:
    """Statistics and tied weights are told from parameters; what could be two ways is refused, and names settle it."""
    net, optimizer = trained()
    net.register_buffer("table", torch.zeros(8, 4, dtype=torch.float64))
    file = tmp_path / "a.pt"
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    with pytest.raises(ConvertError, match="fit in several ways"):
        read_checkpoint(file)
    names = [name for name, _ in net.named_parameters()]
    assert list(read_checkpoint(file, names=names).parameters) == names
    del net.table
    net.register_buffer("table", torch.zeros(7, dtype=torch.float64))
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    with pytest.raises(ConvertError, match="fit in several ways"):  # running means are shaped like biases
        read_checkpoint(file)
    tied = torch.nn.Module()
    tied.one, tied.two = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
    tied.two.weight = tied.one.weight
    sgd = torch.optim.SGD(tied.parameters(), lr=0.1, momentum=0.9)
    torch.save({"model": tied.state_dict(), "optimizer": sgd.state_dict()}, file)
    assert list(read_checkpoint(file).parameters) == ["one.weight", "one.bias", "two.bias"]
    sgd = torch.optim.SGD([{"params": tied.one.parameters()}, {"params": [tied.two.bias]}], lr=0.1, momentum=0.9)
    torch.save({"model": tied.state_dict(), "optimizer": sgd.state_dict()}, file)
    with pytest.raises(ConvertError, match="2 param groups"):
        read_checkpoint(file)
    named = torch.optim.SGD(list(tied.named_parameters())[::-1], lr=0.1, momentum=0.9)
    torch.save({"model": tied.state_dict(), "optimizer": named.state_dict()}, file)
    assert list(read_checkpoint(file).parameters) == ["two.bias", "one.bias", "one.weight"]


# Files that are not what they seem ----------------------------------------------------------------------------


class Evil:
    """Run something when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Path.touch, (self.path,))


def _evil_npz(file: Path) -> None:
    objects = np.empty(1, object)
    objects[0] = Evil(file.parent / "touched")
    np.savez(file, **{"parameters.w": objects})


def _one_array(file: Path) -> None:
    with file.open("wb") as stream:
        np.save(stream, np.ones(3))


def _marked(file: Path, marker: Any) -> None:
    np.savez(file, **{"ravine": np.array(json.dumps(marker)), "buffers.w": np.ones(2)})


GROUP = {
    "dialect": "keras", "rule": "classical", "settings": {"lr": 0.1, "mu": 0.9}, "names": ["w"], "weight_decay": 0,
    "decoupled": False, "maximize": False, "corrected": False, "extra": {},
}  # fmt: skip


def marked(**changes: Any) -> Any:
    return lambda file: _marked(file, {"ravine": 1, "groups": [{**GROUP, **changes}], "updates": None})


BAD: list[tuple[str, Any, tuple[str, ...], str]] = [
    ("a.pt", lambda f: torch.save({"optimizer": Evil(f.parent / "touched")}, f), (), "would have to be executed"),
    ("a.pt", lambda f: f.write_bytes(pickle.dumps(Evil(f.parent / "touched"))), (), "a.pt"),
    ("a.npz", _evil_npz, (), "cannot read"),
    ("a.pt", lambda f: f.write_bytes(b""), (), "not whole"),
    ("a.npz", lambda f: f.write_bytes(b""), (), "not whole"),
    ("a.safetensors", lambda f: f.write_bytes(b""), (), "not whole"),
    ("a.pt", lambda f: f.write_text("hello"), (), "not whole"),
    ("a.npz", lambda f: f.write_text("hello"), (), "not whole"),
    ("a.npz", _one_array, (), "one array alone"),
    ("a.safetensors", lambda f: f.write_bytes(b"\xff" * 8 + b"{}"), (), "not whole"),
    ("a.safetensors", lambda f: f.write_bytes((1 << 62).to_bytes(8, "little") + b"{}" * 50), (), "not whole"),
    ("a.pt", lambda f: torch.save([1, 2], f), (), "holds a list"),
    ("a.pt", lambda f: torch.save({"model": {}}, f), (), "no optimizer's state"),
    ("a.pt", lambda f: torch.save({"optimizer_states": [{}, {}]}, f), (), "2 optimizers"),
    ("a.pt", lambda f: torch.save({"optimizer": {"state": 3, "param_groups": 4}}, f), (), "no optimizer's state"),
    ("a.npz", lambda f: np.savez(f, weights=np.ones(2)), (), "'weights'"),
    ("a.npz", lambda f: np.savez(f, **{"buffers.w": np.ones(2)}), (), "no marker"),
    ("a.npz", lambda f: np.savez(f, **{"buffers.w": np.ones(2)}), ("--from", "keras"), "keras needs lr, mu"),
    ("a.npz", marked(rule="nag"), (), "does not run nag"),
    ("a.npz", marked(names=["q"]), (), "'w', which is no parameter"),
    ("a.npz", marked(settings={"lr": "1", "mu": 0.9}), (), "cannot be read"),
    ("a.npz", marked(settings={"lr": float("nan"), "mu": 0.9}), (), "does not hold"),
    ("a.npz", marked(dialect=["keras"]), (), "does not hold"),
    ("a.npz", marked(settings=None), (), "cannot be read"),
    ("a.npz", lambda f: _marked(f, {"ravine": 2}), (), "another version"),
    ("a.npz", lambda f: _marked(f, [[]]), (), "cannot be read"),
    ("a.npz", marked(), ("--from", "torch"), "marked as of keras, not torch"),
    ("a.npz", marked(), ("--to", "nag"), "no equal"),
    ("a.npz", marked(), ("--to", "adam"), "no framework or rule"),
    ("a.npz", marked(), ("--out", "a.gif"), "suffix"),
    ("a.npz", marked(), ("--out", "/no/such/folder/a.pt"), "no such folder"),
    ("a.npz", marked(), ("--to", "caffe", "--out", "b.pt"), "no optimizer of torch"),
    ("a.npz", marked(), ("--demo",), "leave the others away"),
    ("a.npz", lambda f: None, (), "no such file"),
]


@pytest.mark.parametrize(("name", "write", "more", "word"), BAD, ids=[f"{b[0]}-{b[3]}"[:40] for b in BAD])
def test_bad_files_are_one_sentence(
    name: str,
    write: Any,
    more: tuple[str, ...],
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Truncated, foreign, empty and hostile files: exit code 2, one line on stderr, nothing run and nothing written."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name)
    before = sorted(file.name for file in tmp_path.iterdir())
    to = () if "--to" in more else ("--to", "torch")
    out = () if "--out" in more else ("--out", "out.safetensors")
    code, told, err = called(name, *to, *out, *more, capsys=capsys)
    assert (code, told) == (2, "")
    assert err.count("\n") == 1
    assert word in err
    assert sorted(file.name for file in tmp_path.iterdir()) == before


@pytest.mark.parametrize("suffix", ["pt", "npz", "safetensors"])
def test_every_truncation_is_said(suffix: str, tmp_path: Path) -> None:
    """A file cut off anywhere is refused in one sentence."""
    write_checkpoint(tmp_path / f"a.{suffix}", convert_snapshot(begun(KERAS), "torch"))
    whole = (tmp_path / f"a.{suffix}").read_bytes()
    for part in np.linspace(0, len(whole) - 1, 25).astype(int):
        (tmp_path / f"b.{suffix}").write_bytes(whole[:part])
        with pytest.raises(ConvertError):
            read_checkpoint(tmp_path / f"b.{suffix}")


def test_damage_within_is_said(tmp_path: Path) -> None:
    """Flipped bytes give a sentence or a state, never another exception."""
    rng = np.random.default_rng(5)
    for suffix in ("pt", "npz", "safetensors"):
        write_checkpoint(tmp_path / f"a.{suffix}", convert_snapshot(begun(KERAS), "torch"))
        whole = np.frombuffer((tmp_path / f"a.{suffix}").read_bytes(), np.uint8)
        for _ in range(40):
            broken = whole.copy()
            broken[rng.integers(0, len(whole), 3)] = rng.integers(0, 256, 3)
            (tmp_path / f"b.{suffix}").write_bytes(broken.tobytes())
            with contextlib.suppress(RavineError):
                read_checkpoint(tmp_path / f"b.{suffix}")


def test_a_file_is_not_overwritten_by_half_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A conversion onto its own file replaces it whole, and one that fails while writing leaves it as it was."""
    net, optimizer = trained()
    file = tmp_path / "a.pt"
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    kept = file.read_bytes()

    def fails(data: Any, to: Any) -> None:
        Path(to).write_bytes(b"half")
        raise RuntimeError("disk")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fails)
        with pytest.raises(ConvertError, match="disk"):
            convert_checkpoint(file, "classical", file)
    assert file.read_bytes() == kept
    convert_checkpoint(file, "classical", file)
    assert read_checkpoint(file).groups[0].dialect.name == "classical"
    assert [f.name for f in tmp_path.iterdir()] == ["a.pt"]


def test_rules_are_still_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that is called like a rule does not hide it, and --from beside a rule is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sgd:lr=0.1").write_text("")
    assert called("sgd:lr=0.1", "--to", "classical", capsys=capsys)[0] == 0
    code, _, err = called("sgd:lr=0.1", "--to", "classical", "--from", "torch", capsys=capsys)
    assert code == 2
    assert "--from says what a checkpoint is" in err
    (tmp_path / "notes.txt").write_text("")
    assert "a checkpoint ends in" in called("notes.txt", "--to", "torch", capsys=capsys)[2]


def test_archives_of_torchscript_are_refused(tmp_path: Path) -> None:
    """A zip that is no checkpoint is refused, whatever it holds."""
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("constants.pkl", b"")
        archive.writestr("data.pkl", pickle.dumps({}))
    with pytest.raises(ConvertError, match="cannot read"):
        read_checkpoint(tmp_path / "a.pt")
