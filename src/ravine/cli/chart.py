"""map: what becomes of every pair of settings."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.cli.options import (
    JsonOption,
    StartOption,
    SurfaceArgument,
    columns,
    file_free,
    points,
    print_json,
    progress,
    say_notes,
)
from ravine.errors import MapError, shown

FIGURES, FILMS, TABLES = ("png", "svg", "pdf"), ("gif", "webp", "mp4"), ("parquet", "csv", "npz", "json")


def map(
    surface: SurfaceArgument = None,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", "-r", metavar="NAME", help="Whose map, such as nag or qhm:nu=0.7; repeat it, or 'all'."),
    ] = None,
    lr: Annotated[str, typer.Option(metavar="LO:HI", help="Learning rates; 1e-4:1:log for a log axis.")] = "",
    mu: Annotated[str, typer.Option(metavar="LO:HI", help="Momenta; 0:0.999:near1 spreads log(1-mu).")] = "",
    axis: Annotated[
        list[str] | None,
        typer.Option("--axis", metavar="NAME=LO:HI", help="Another setting as an axis: nu, tau, L, m."),
    ] = None,
    size: Annotated[int, typer.Option(metavar="N", help="Cells along each axis.")] = 200,
    steps: Annotated[int, typer.Option("--steps", "-n", metavar="T", help="At most so many steps.")] = 200,
    start: StartOption = None,
    target: Annotated[
        float | None,
        typer.Option("--target", metavar="V", help="This value counts as reached; 1e-6 above the minimum."),
    ] = None,
    show: Annotated[
        str, typer.Option(metavar="WHAT", help="steps, value, rate, or predicted (walks nothing).")
    ] = "steps",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help=f"map.png, or by suffix {', '.join(FIGURES + FILMS + TABLES)}."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Map lr and mu: what becomes of every pair, with theory's lines."""
    many = rule is not None and (len(rule) > 1 or rule == ["all"])
    out = file_free(
        out if out is not None or json else Path("map.png"), FIGURES + FILMS + (("json",) if many else TABLES)
    )
    _film_fits(out, many, show)
    found = _mapped(surface, rule, _axes(axis), json, lr=lr or None, mu=mu or None, size=size, steps=steps,
                    start=points(start), target=target, show=show)  # fmt: skip
    told = found[0].summary() if not many else {"maps": [each.summary() for each in found]}
    if out is not None:
        _write(found, told, out, json)
    if json:
        print_json(told)
        return
    say_notes(note for each in found for note in each.notes)
    _print(found)
    print(f"written: {out}")


def _axes(texts: list[str] | None) -> dict[str, str]:
    read = {}
    for text in texts or []:
        name, _, given = text.partition("=")
        if not given or not name.strip():
            raise MapError(f"an axis is NAME=lo:hi, such as nu=0:1, got {shown(text)}")
        if name.strip() in read:
            raise MapError(f"the axis {name.strip()} is given twice; give each once")
        read[name.strip()] = given
    return read


def _mapped(
    surface: str | None, rules: list[str] | None, axes: dict[str, str], quiet: bool, **given: Any
) -> Sequence[Any]:
    from ravine.phase import phase_map, phase_maps
    from ravine.rules import RULES
    from ravine.surfaces import surface as make

    start = given["start"]
    made = make("bowl" if surface is None else surface, dim=len(start[0]) if start else None)
    wanted = rules or ["classical"]
    if wanted == ["all"]:
        wanted = [name for name, rule in RULES.items() if "lr" in rule.parameters]
    with progress("walking", quiet) as tick:
        if len(wanted) > 1:
            return phase_maps(wanted, made, axes=axes, progress=tick, say=_say, **given)
        return [phase_map(made, wanted[0], axes=axes, progress=tick, say=_say, **given)]


def _say(sentence: str) -> None:
    say_notes([sentence])


def _film_fits(out: Path | None, many: bool, show: str) -> None:
    """Refuse a film that cannot be made, before anything is walked."""
    if out is None or out.suffix.lower()[1:] not in FILMS:
        return
    if many or show != "steps":
        raise MapError(
            "a film of maps shows one rule and the steps to the target; name one --rule, and leave --show out"
        )
    from ravine.draw.film import check

    check(out, "flat", 2, 6.0, 20)


def _write(found: Sequence[Any], told: dict[str, Any], out: Path, quiet: bool) -> None:
    suffix = out.suffix.lower()[1:]
    if suffix in TABLES:
        from ravine.export import write_map

        write_map(found[0], told, out)
    elif suffix in FILMS:
        from ravine.draw.sheets import film

        with progress("drawing", quiet) as tick:
            film(found[0], out, progress=tick)
    else:
        from ravine.draw.figures import save

        save(_drawing(found)(), out)


def _drawing(found: Sequence[Any]) -> Callable[[], Any]:
    from ravine.draw import maps, sheets

    return (lambda: maps.draw(found[0])) if len(found) == 1 else (lambda: sheets.sheet(found))


def _print(found: Sequence[Any]) -> None:
    rows: list[tuple[str, ...]] = [
        ("rule", "reached", "diverged", "not yet", "best", "optimum", "boundary agrees", "seconds")
    ]
    for each in found:
        counts, cells, best = each.counts, each.outcome.size, each.best
        seconds = each.seconds
        rows.append((
            each.rule.name,
            *(f"{counts[name] / cells:.1%}" for name in ("reached", "diverged", "not yet")),
            "–" if best is None else f"{_settings(best.settings)}: {best.shown:.4g}",
            "–" if each.theory is None or not each.theory.optimum else _settings(each.theory.optimum),
            "–" if each.agreement is None or each.agreement.share is None else f"{each.agreement.share:.3%}",
            f"{seconds.get('compile', 0):.2f} + {seconds.get('compute', 0):.2f}",
        ))  # fmt: skip
    columns(rows)


def _settings(settings: Any) -> str:
    return ", ".join(f"{name}={value:.4g}" for name, value in sorted(settings.items()))
