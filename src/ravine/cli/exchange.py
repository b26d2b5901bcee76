"""convert: the same method, or the same run, in another library's settings."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.cli.checkpoints import convert_file, is_checkpoint
from ravine.cli.options import (
    JsonOption,
    StartOption,
    StepsOption,
    columns,
    file_free,
    points,
    print_json,
    say_notes,
    write_json,
)
from ravine.errors import ConvertError

SUFFIXES = ("png", "svg", "pdf", "json")
SHOWN = 12  # steps of a schedule that are printed; --json has all


def _names(incomplete: str) -> list[str]:
    from ravine.charts import EVERY

    return [name for name in EVERY if name.startswith(incomplete)]


def convert(
    rule: Annotated[
        str | None,
        typer.Argument(
            metavar="[RULE]",
            help="What is converted, such as classical:lr=0.1,mu=0.9; or a checkpoint: .pt .safetensors .npz.",
            autocompletion=_names,
        ),
    ] = None,
    to: Annotated[
        str,
        typer.Option(
            "--to", "-t", metavar="NAME", help="A rule; of a checkpoint also a framework.", autocompletion=_names
        ),
    ] = "",
    source: Annotated[
        str, typer.Option("--from", metavar="NAME", help="Of a checkpoint: torch, keras:lr=0.01,mu=0.9, …")
    ] = "",
    names: Annotated[
        str,
        typer.Option(
            "--names", metavar="A,B,…", help="Of a checkpoint: its parameters in the optimizer's order, if it is open."
        ),
    ] = "",
    demo: Annotated[bool, typer.Option("--demo", help="Draw both paths (convert.png), and how far apart.")] = False,
    surface: Annotated[
        str, typer.Option(metavar="SURFACE", help="Of two coordinates, for --demo; else x^2 + 50y^2.")
    ] = "",
    start: StartOption = None,
    steps: StepsOption = 100,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help=f"By suffix {', '.join(SUFFIXES)}; or a checkpoint."),
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print all conversions as in the docs.")] = False,
    json: JsonOption = False,
) -> None:
    """Convert a rule's settings, buffer and schedule to another convention, or a checkpoint."""
    if rule is not None and is_checkpoint(rule):
        if demo or surface or start or markdown:
            raise ConvertError(
                "a checkpoint is converted with --from, --names, --to, --out and --json; leave the others away"
            )
        convert_file(rule, to, source, names, out, json)
        return
    if source:
        raise ConvertError("--from says what a checkpoint is, and there is none; a rule names itself, so leave it away")
    if names:
        raise ConvertError("--names are the parameters of a checkpoint, and there is none; leave them away")
    if markdown:
        if rule is not None or to or demo or surface or start or out is not None:
            raise ConvertError("--markdown prints the table of all rules; write it alone or with --json")
        _print_table(json)
        return
    if rule is None or not to:
        raise ConvertError("convert needs a rule and --to; write ravine convert classical:lr=0.1,mu=0.9 --to heavyball")
    _refuse_frameworks(rule, to)
    from ravine.convert import convert as run

    out = file_free(Path("convert.png") if demo and out is None else out, SUFFIXES)
    picture = out is not None and out.suffix.lower() != ".json"
    found = run(rule, to, steps=steps)
    told = found.summary()
    if demo or surface or start or picture:
        told["demo"] = _demo(found, surface, start, steps, out if picture else None)
    if out is not None and not picture:
        write_json(told, out)
    if json:
        print_json(told)
        return
    _print(found, told)
    if out is not None:
        print(f"written: {out}")


def _refuse_frameworks(*texts: str) -> None:
    """Say which rules a framework runs, where one is named in a rule's place; raises `ConvertError`."""
    from ravine.charts import EVERY
    from ravine.conversion.dialects import ALIASES, FRAMEWORKS

    for text in texts:
        name = text.partition(":")[0].strip().lower().replace("-", "_")
        found = FRAMEWORKS.get(ALIASES.get(name, name))
        if found and name not in EVERY:
            rules = " and ".join(rule.name for rule in found.rules)
            raise ConvertError(f"{found.name} is a framework, which runs {rules}; name a rule, or convert a checkpoint")


def _print_table(json: bool) -> None:
    from ravine.conversion.table import markdown

    if json:
        print_json({"markdown": markdown()})
    else:
        print(markdown())


def _demo(found: Any, surface: str, start: list[str] | None, steps: int, out: Path | None) -> dict[str, Any]:
    """Run both on a surface, draw them if there is a file to draw into, and say how far apart they got."""
    from ravine.draw import conversions
    from ravine.surfaces import surface as make

    begun = points(start)
    if begun and len(begun) > 1:
        raise ConvertError(
            f"a conversion is drawn from one start, got {len(begun)}: {' and '.join(start or [])}; give --start once"
        )
    shown = conversions.demo(found, make(surface or "bowl", dim=2), begun[0] if begun else None, steps)
    if out is not None:
        from ravine.draw.figures import save

        save(conversions.draw(shown), out)
    return {
        "surface": shown.surface.text,
        "start": shown.source[0].tolist() if len(shown.source) else [],
        "steps": len(shown.apart),
        "difference": shown.difference,
        "diverged": dict(zip(("from", "to"), shown.diverged, strict=True)),
        "verdict": shown.verdict,
    }


def _print(found: Any, told: dict[str, Any]) -> None:
    print(f"{found.source}\n{found.target}\n")
    rows = [
        ("exact", "yes, but for rounding" if found.exact else "no"),
        ("buffer", f"v_{found.target.name} = {_short(found.scale)} · v_{found.source.name}"),
        ("point", f"x_{found.target.name} = x_{found.source.name} + {_short(found.shift)} · v_{found.source.name}"),
    ]
    if found.error is not None:
        rows.append(("error", f"{found.error:.3g} of the start's distance from the minimum, at most"))
    if "demo" in told:
        d = told["demo"]
        words = f"{d['difference']:.3g} of the path apart within {d['steps']} steps on {d['surface']}"
        rows.append(("demo", f"{words}; {d['verdict']}" if d["verdict"] else words))
    columns(rows, widest=140)
    listed = {key: value for key, value in told["to"]["settings"].items() if isinstance(value, list)}
    if listed:
        _print_steps(found, listed)
    say_notes(found.notes)


def _print_steps(found: Any, listed: dict[str, list[float]]) -> None:
    """Print the settings that change, step by step, as many as fit."""
    steps = min(found.steps, SHOWN)
    rows: list[tuple[str, ...]] = [("step", *listed)]
    rows += [(str(t), *(f"{values[t]:.9g}" for values in listed.values())) for t in range(steps)]
    print()
    columns(rows)
    if found.steps > steps:
        print(f"… and {found.steps - steps} more steps; --json has all")
    if "listed(" in str(found.target):
        print("listed(…) is no schedule that race can read: --json has its values; in Python, race takes found.target")


def _short(value: Any) -> str:
    return f"{float(value):.9g}" if not isinstance(value, tuple) else f"({float(value[0]):.9g}, … a value a step)"
