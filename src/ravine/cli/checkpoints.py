"""convert, of a checkpoint: the run in the middle of a training in another framework's dialect."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ravine.cli.options import columns, print_json, say_notes
from ravine.errors import ConvertError

if TYPE_CHECKING:
    from ravine.conversion.snapshot import Group, Snapshot

FILES = (".pt", ".pth", ".bin", ".ckpt", ".safetensors", ".npz")


def is_checkpoint(text: str) -> bool:
    """Say whether an argument means a file: by its suffix, or because it is one and no rule."""
    if text.lower().endswith(FILES):
        return True
    from ravine.charts import EVERY

    name = text.partition(":")[0].strip().lower().replace("-", "_")
    try:
        return name not in EVERY and Path(text).is_file()
    except (OSError, ValueError):  # no name that a file can have
        return False


def convert_file(file: str, to: str, source: str, names: str, out: Path | None, json: bool) -> None:
    """Convert a checkpoint, write it if there is a place for it, and print what was done."""
    if not to:
        raise ConvertError(f"a checkpoint needs --to; write ravine convert {file} --to torch --out converted.pt")
    from ravine.torch.checkpoint import convert_checkpoint

    order = [name.strip() for name in names.split(",")] if names else None
    before, after = convert_checkpoint(file, to, out, source=source or None, names=order)
    told = _summary(before, after, out)
    if json:
        print_json(told)
    else:
        _print(told)


def _summary(before: "Snapshot", after: "Snapshot", out: Path | None) -> dict[str, Any]:
    """Return what `--json` prints: the groups before and after, what was done to the arrays, and notes."""
    return {
        "groups": [
            {
                "from": _told(one),
                "to": _told(other),
                "buffer": {"scale": change.scale},
                "shift": change.shift,
                "parameters": len(one.names),
                "buffers": sum(name in before.buffers for name in one.names),
            }
            for one, other, change in zip(before.groups, after.groups, after.changes, strict=True)
        ],
        "parameters": sum(len(group.names) for group in before.groups),
        "buffers": {"from": len(before.buffers), "to": len(after.buffers)},
        "notes": list(after.notes),
        "written": None if out is None else str(out),
    }


def _told(group: "Group") -> dict[str, Any]:
    return {
        "dialect": group.dialect.name,
        "rule": group.method.name,
        "text": str(group.method),
        "settings": {key: value if isinstance(value, bool) else float(value) for key, value in group.settings.items()},
        "weight_decay": float(group.weight_decay),
        "decoupled": group.decoupled,
        "maximize": group.maximize,
    }


def _print(told: dict[str, Any]) -> None:
    many = len(told["groups"]) > 1
    for number, group in enumerate(told["groups"]):
        if many:
            print(f"group {number}")
        rows = [(side, group[side]["dialect"], _words(group[side])) for side in ("from", "to")]
        rows.append(("buffer", f"× {group['buffer']['scale']:.9g}", f"{group['buffers']} of {group['parameters']}"))
        rows.append(("point", f"+ {group['shift']:.9g} · buffer", ""))
        columns(rows, widest=140)
    print(f"written: {told['written']}" if told["written"] else "nothing is written without --out")
    say_notes(told["notes"])


def _words(side: dict[str, Any]) -> str:
    words = [
        f"{key}={value if isinstance(value, bool) else format(value, '.9g')}" for key, value in side["settings"].items()
    ]
    if side["weight_decay"]:
        words.append(f"weight_decay={side['weight_decay']:.9g}{' decoupled' if side['decoupled'] else ''}")
    return ", ".join(words)
