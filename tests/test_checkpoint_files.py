"""Checkpoint files that are not what they seem: one sentence, nothing executed, nothing half written."""

import contextlib
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from carried import KERAS, begun, called, trained
from ravine.conversion.crossing import convert_snapshot
from ravine.errors import ConvertError, RavineError
from ravine.torch.checkpoint import convert_checkpoint, read_checkpoint, write_checkpoint


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
    ("a.npz", marked(), ("--from", "keras:lr=0.7"), "was saved has learning_rate=0.1"),
    ("a.npz", lambda f: marked()(f) or np.savez(f, **np.load(f), **{"others.w": np.ones(1)}), (), "array beside them"),
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
