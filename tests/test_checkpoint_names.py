"""Names and order: which array is which parameter's, in every format and whatever the order of a dict."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carried import called, trained
from ravine.conversion.crossing import convert_snapshot
from ravine.conversion.layout import rename
from ravine.conversion.record import arrays_of, written
from ravine.conversion.snapshot import Snapshot, snapshot
from ravine.errors import ConvertError
from ravine.torch.checkpoint import convert_checkpoint, read_checkpoint, write_checkpoint

NAMES = ("z", "a", "m", "b")
RUN = snapshot(
    "nag:lr=0.1,mu=0.9",
    {name: np.full(2, float(k)) for k, name in enumerate(NAMES)},
    {name: np.full(2, 10.0 + k) for k, name in enumerate(NAMES)},
)


def shuffled(values: Any, order: tuple[str, ...]) -> dict[str, Any]:
    """Return a dict in the order of the names in it."""
    return dict(sorted(values.items(), key=lambda item: order.index(item[0].rpartition(".")[2])))


def in_order(file: Path, run: Snapshot, order: tuple[str, ...]) -> Path:
    """Write a file as ravine does, its arrays in another order."""
    if file.suffix == ".safetensors":
        return write_checkpoint(file, run)  # which sorts
    if file.suffix == ".npz":
        held = {f"{name}": np.asarray(value) for name, value in arrays_of(run).items()}
        np.savez(file, ravine=np.array(written(run)), **shuffled(held, order))
        return file
    data = torch.load(write_checkpoint(file, run), weights_only=True)
    state = data["optimizer"]
    state["state"] = dict(sorted(state["state"].items(), key=lambda item: order.index(NAMES[item[0]])))
    torch.save({"optimizer": state, "model": shuffled(data["model"], order)}, file)
    return file


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    orders=st.lists(st.permutations(NAMES).map(tuple), min_size=4, max_size=4),
    suffixes=st.permutations([".pt", ".npz", ".safetensors"]),
    split=st.integers(0, 3),
)
def test_no_order_of_a_dict_matters(
    orders: list[tuple[str, ...]], suffixes: list[str], split: int, tmp_path: Path
) -> None:
    """Through all three formats in any order, arrays, groups and dicts shuffled, every buffer stays its parameter's."""
    group = RUN.groups[0]
    parts = [part for part in (NAMES[:split], NAMES[split:]) if part]
    run = RUN._replace(
        groups=tuple(group._replace(names=part) for part in parts),
        parameters=shuffled(RUN.parameters, orders[0]),
        buffers=shuffled(RUN.buffers, orders[0][::-1]),
    )
    for suffix, order in zip(suffixes, orders[1:], strict=True):
        run = read_checkpoint(in_order(tmp_path / f"a{suffix}", run, order))
        assert [g.names for g in run.groups] == parts
        assert list(run.parameters) == list(NAMES)
    there, wanted = convert_snapshot(run, "sutskever"), convert_snapshot(RUN, "sutskever")
    for name in NAMES:
        assert np.asarray(there.parameters[name]).tolist() == wanted.parameters[name].tolist()
        assert np.asarray(there.buffers[name]).tolist() == wanted.buffers[name].tolist()


def test_a_file_of_torch_says_whose_its_buffers_are(tmp_path: Path) -> None:
    """A .pt made of sorted .safetensors keeps the model in the optimizer's order, with its names beside."""
    write_checkpoint(tmp_path / "s.safetensors", RUN)
    write_checkpoint(tmp_path / "s.pt", read_checkpoint(tmp_path / "s.safetensors"))
    data = torch.load(tmp_path / "s.pt", weights_only=True)
    assert list(data["model"]) == data["optimizer"]["param_groups"][0]["param_names"] == list(NAMES)
    write_checkpoint(tmp_path / "b.pt", RUN._replace(parameters={}))  # and without a model
    assert read_checkpoint(tmp_path / "b.pt").groups[0].names == NAMES
    assert convert_checkpoint(tmp_path / "b.pt", "qhm")[1].buffers["m"].tolist() == [-12.0, -12.0]
    other = write_checkpoint(tmp_path / "c.pt", rename(read_checkpoint(tmp_path / "s.pt"), {"z": "zz"}))
    assert list(read_checkpoint(other).parameters) == ["zz", "a", "m", "b"]
    with pytest.raises(ConvertError, match="names its parameters itself"):
        read_checkpoint(tmp_path / "s.pt", names=sorted(NAMES))


def test_arrays_of_another_are_put_in_order(tmp_path: Path) -> None:
    """Sorted arrays without a marker reach torch in the order that --names says, and other names are refused."""
    from safetensors.numpy import save_file

    save_file(arrays_of(RUN), tmp_path / "a.safetensors")
    source = "nag:lr=0.1,mu=0.9"
    _, after = convert_checkpoint(tmp_path / "a.safetensors", "torch", tmp_path / "b.pt", source=source, names=NAMES)
    assert after.groups[0].names == NAMES
    state = torch.load(tmp_path / "b.pt", weights_only=True)["optimizer"]["state"]
    assert [float(state[k]["momentum_buffer"][0]) for k in range(4)] == pytest.approx([-100, -110, -120, -130])
    with pytest.raises(ConvertError, match="'b' is among the names given or"):
        read_checkpoint(tmp_path / "a.safetensors", source, NAMES[:3])


def split(net: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """Put matrices and the rest into two groups, as for weight decay; returns the names in the optimizer's order."""
    names = dict(net.named_parameters())
    parts = [[n for n, p in names.items() if (p.ndim > 1) == matrix] for matrix in (True, False)]
    group = optimizer.param_groups[0]
    optimizer.param_groups = [
        {**group, "params": [names[n] for n in part], "weight_decay": 0.1 * (k == 0)} for k, part in enumerate(parts)
    ]
    return [*parts[0], *parts[1]]


def test_two_groups_are_told_by_their_shapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weight decay on the matrices alone: the groups' names follow from shapes, or from --names where they do not."""
    net, optimizer = trained()
    order, file = split(net, optimizer), tmp_path / "a.pt"
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    run = read_checkpoint(file)
    assert [name for group in run.groups for name in group.names] == order
    for name, p in net.named_parameters():
        assert (run.buffers[name] == optimizer.state[p]["momentum_buffer"]).all()
    assert [group.weight_decay for group in run.groups] == [0.1, 0.0]
    first, second = optimizer.param_groups  # the bias goes over to the matrices, and the other vectors do not tell it
    first["params"].append(second["params"].pop(0))
    torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    out = tmp_path / "b.npz"
    code, _, err = called(file, "--to", "keras", "--out", out, capsys=capsys)
    assert (code, "model.named_parameters() has them: --names a,b" in err) == (2, True)
    code, _, err = called(file, "--to", "qhm", "--out", out, "--names", ",".join(order), "--json", capsys=capsys)
    assert code == 0
    assert read_checkpoint(out).groups[0].names == ("0.weight", "3.weight", "0.bias")
    for wrong, word in ((order[:2], "2 were given"), ([*order[1:], "x"], "no 'x'"), (order[:1] * 5, "twice")):
        code, _, err = called(file, "--to", "qhm", "--out", out, "--names", ",".join(wrong), capsys=capsys)
        assert (code, word in err, err.count("\n")) == (2, True, 1)
    torch.save(optimizer.state_dict(), file)  # without a model
    assert read_checkpoint(file, names=order).groups[1].names == tuple(order[3:])
    with pytest.raises(ConvertError, match="5 parameters, 2 names"):
        read_checkpoint(file, names=order[:2])


def test_a_reversed_group_is_not_guessed(tmp_path: Path) -> None:
    """Shapes that are all different tell any order; one that stands twice in a group of another order does not."""
    layers = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 4, bias=False))
    for net, told in ((layers, True), (torch.nn.Linear(2, 3), True), (trained()[0][::3], False)):
        names = [name for name, _ in net.named_parameters()][::-1]
        optimizer = torch.optim.SGD(list(net.parameters())[::-1], lr=0.1, momentum=0.9)
        if not told:
            net.register_parameter("more", torch.nn.Parameter(torch.zeros(8, dtype=torch.float64)))
            optimizer.add_param_group({"params": [net.more]})
            optimizer.param_groups = [
                {**optimizer.param_groups[0], "params": [*optimizer.param_groups[0]["params"], net.more]}
            ]
        sum((p**2).sum() for group in optimizer.param_groups for p in group["params"]).backward()
        optimizer.step()
        torch.save({"model": net.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
        if told:
            assert list(read_checkpoint(tmp_path / "a.pt").parameters) == names
        else:
            with pytest.raises(ConvertError, match="--names"):
                read_checkpoint(tmp_path / "a.pt")


def test_a_wrongly_shaped_buffer_is_refused(tmp_path: Path) -> None:
    """From .pt to .pt too, a buffer whose shape no tensor of the model has left is refused and nothing written."""
    net, optimizer = trained()
    for place, shape in ((0, (8, 5)), (1, (2, 8))):
        state = optimizer.state_dict()
        state["state"] = {**state["state"], place: {"momentum_buffer": torch.zeros(shape, dtype=torch.float64)}}
        torch.save({"model": net.state_dict(), "optimizer": state}, tmp_path / "a.pt")
        with pytest.raises(ConvertError, match=r"has shape|of parameter"):
            convert_checkpoint(tmp_path / "a.pt", "classical", tmp_path / "b.pt")
        assert not (tmp_path / "b.pt").exists()
        state["param_groups"][0]["param_names"] = [name for name, _ in net.named_parameters()]
        torch.save({"model": net.state_dict(), "optimizer": state}, tmp_path / "a.pt")
        with pytest.raises(ConvertError, match="has shape"):
            convert_checkpoint(tmp_path / "a.pt", "classical", tmp_path / "b.pt")


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
    with pytest.raises(ConvertError, match=r"2 param groups.*named_parameters\(\) has them: --names"):
        read_checkpoint(file)
    named = torch.optim.SGD(list(tied.named_parameters())[::-1], lr=0.1, momentum=0.9)
    torch.save({"model": tied.state_dict(), "optimizer": named.state_dict()}, file)
    assert list(read_checkpoint(file).parameters) == ["two.bias", "one.bias", "one.weight"]
