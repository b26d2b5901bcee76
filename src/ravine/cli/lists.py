"""rules and surfaces: what there is."""

from typing import Annotated, Any

import typer

from ravine.cli.options import JsonOption, SurfaceArgument, columns, points, print_json


def rules(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as it stands in the docs.")] = False,
    json: JsonOption = False,
) -> None:
    """List the rules, each as its five numbers, and the schedules."""
    from ravine.letters import formulas, rules_markdown, schedules_markdown
    from ravine.rules import RULES
    from ravine.schedules import SCHEDULES

    if json:
        told = {
            n: {"settings": list(r.parameters), **formulas(r)._asdict(), "title": r.title, "source": r.source}
            for n, r in RULES.items()
        }
        print_json(
            {"rules": told, "schedules": {k: {"usage": s.usage, "source": s.source} for k, s in SCHEDULES.items()}}
        )
    elif markdown:
        print(rules_markdown(), schedules_markdown(), sep="\n\n")
    else:
        print("y = x + look·v    g = ∇f(y)    v' = keep·v + take·g    x' = x + move·v' + kick·g\n")
        columns([("rule", "keep", "take", "move", "kick", "look", "what it is"),
                  *((r.usage, *formulas(r), r.title) for r in RULES.values() if r.name != "triple")])  # fmt: skip
        triple = RULES["triple"]
        print(
            f"\n{triple.usage}  {triple.title}: "
            + ", ".join(f"{k} = {v}" for k, v in formulas(triple)._asdict().items())
        )
        print("\nA setting is a number or a schedule:")
        columns([(kind.usage, kind.source) for kind in SCHEDULES.values()])


def surfaces(
    surface: SurfaceArgument = None,
    start: Annotated[str, typer.Option("--at", metavar="X,Y", help="Show value, gradient and curvatures here.")] = "",
    check: Annotated[bool, typer.Option("--check", help="Check the gradient against centred differences.")] = False,
    json: JsonOption = False,
) -> None:
    """List the surfaces of the catalogue, or describe one."""
    from ravine.surfaces.catalogue import CATALOGUE
    from ravine.surfaces.describe import described

    if surface is None:
        rows = [(e.name, e.text if isinstance(e.text, str) else f"{e.text(2)}   (or n coordinates: {e.name}(n))", e.source)
                for e in CATALOGUE.values()]  # fmt: skip
        if json:
            print_json({"surfaces": [dict(zip(("name", "formula", "source"), row, strict=True)) for row in rows]})
        else:
            columns(rows, widest=60)
        return
    told = described(surface, read[0] if (read := points([start] if start else None)) else None, check)
    if json:
        print_json(told)
    else:
        columns([(key, _written(value)) for key, value in told.items()])


def _written(value: Any) -> str:
    if isinstance(value, list):
        return (
            "; ".join(map(_written, value)) if value and isinstance(value[0], dict) else ", ".join(map(_written, value))
        )
    if isinstance(value, dict):
        return ", ".join(f"{k} {_written(v)}" for k, v in value.items())
    return f"{value:.10g}" if isinstance(value, float) else str(value)
