"""predict: will it converge, how fast, what would be best."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.cli.options import (
    JsonOption,
    NoiseOption,
    RuleOption,
    StartOption,
    StepsOption,
    SurfaceArgument,
    columns,
    file_free,
    points,
    print_json,
    say_notes,
)

SUFFIXES = ("png", "svg", "pdf", "csv", "json")
MOST = 12  # directions that are printed; --json has all


def predict(
    surface: SurfaceArgument = None,
    rule: RuleOption = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", metavar="X,Y", help="Look at this point, minimum or not; repeat it.")
    ] = None,
    start: StartOption = None,
    steps: StepsOption = 100,
    noise: NoiseOption = 0.0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help=f"By suffix {', '.join(SUFFIXES)}.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Predict before a step is taken: stable or not, how fast, the best."""
    out = file_free(out, SUFFIXES)
    found = _predicted(surface, rule, at, start, steps, noise)
    told = found[0].summary() if len(found) == 1 else {"predictions": [each.summary() for each in found]}
    if out is not None:
        _write(found, told, out)
    if json:
        print_json(told)
        return
    say_notes(note for each in found for note in each.notes)
    for each in found:
        _print(each)
    if out is not None:
        print(f"written: {out}")


def _predicted(
    surface: str | None,
    rules: list[str] | None,
    at: list[str] | None,
    start: list[str] | None,
    steps: int,
    noise: float,
) -> list[Any]:
    from ravine.predict import predict as foresee
    from ravine.surfaces import surface as make

    looked, started = points(at, "--at"), points(start)
    known = looked or started
    made = make("bowl" if surface is None else surface, dim=len(known[0]) if known else None)
    return [foresee(made, each, at=looked, start=started, steps=steps, noise=noise) for each in rules or _fitting(made)]


def _fitting(surface: Any) -> list[str]:
    """Choose rules where nobody named any, as a race does, and say so."""
    import numpy as np

    from ravine.race import fitting_methods

    chosen, why = fitting_methods(surface, np.array(surface.start or (1.0,) * surface.dim))
    say_notes([why])
    return chosen


def _write(found: list[Any], told: dict[str, Any], out: Path) -> None:
    suffix = out.suffix.lower()[1:]
    if suffix in ("png", "svg", "pdf"):
        from ravine.draw.figures import save
        from ravine.draw.predictions import draw

        save(draw(found), out)
        return
    from ravine.export import write_predictions

    write_predictions(found, told, out)


def _print(prediction: Any) -> None:
    for place in prediction.places:
        at = ", ".join(f"{c:.6g}" for c in place.point[:6]) + (", …" if len(place.point) > 6 else "")
        print(
            f"{prediction.method.label} on {prediction.surface.name}: {place.kind} at ({at}), value {place.value:.6g}"
        )
        say_notes(place.notes)
        noisy = place.noise_floor is not None
        header = ("h", "regime", "rate", "steps per tenfold", "period", "poles", *(["noise floor"] if noisy else []))
        shown = place.directions if len(place.directions) <= MOST else (*place.directions[:6], *place.directions[-6:])
        columns([header, *(_line(d, noisy) for d in shown)])
        if len(place.directions) > MOST:
            print(f"… the lowest and highest 6 of {len(place.directions)} directions; --json has all")
        columns(_overall(place))
        if prediction.noise and not prediction.method.steady and place.left is not None:
            columns([("expected loss", f"{_number(place.left)} after {prediction.steps} steps with noise")])
        print(place.verdict + "\n")


def _line(d: Any, noisy: bool) -> tuple[str, ...]:
    poles = "  ".join(f"{z.real:.4f}{z.imag:+.4f}i" if z.imag else f"{z.real:.6f}" for z in d.poles)
    if d.poles[0].imag:
        poles = f"{d.poles[0].real:.4f} ± {abs(d.poles[0].imag):.4f}i"
    per_digit, period = _number(d.steps_per_ten), _number(d.period)
    return (
        f"{d.h:.6g}",
        d.regime,
        f"{d.rate:.6f}",
        per_digit,
        period,
        poles,
        *([_number(d.noise_floor)] if noisy else []),
    )


def _overall(place: Any) -> list[tuple[str, ...]]:
    """Return what holds for all directions together, as lines of a table."""
    from ravine.prediction import setting

    limit = [f"h < {_number(place.limit.h)}"]
    limit += [f"lr < {_number(place.limit.lr)}"] if place.limit.lr is not None else []
    limit += [f"mu from {place.limit.mu[0]:.4g} to {place.limit.mu[1]:.4g}"] if place.limit.mu is not None else []
    lines: list[tuple[str, ...]] = [
        ("rate", f"{place.rate:.6f}, {'stable' if place.stable else 'not stable'}"),
        ("limit", ",  ".join(limit)),
        ("effective lr", _number(place.effective_lr)
         + (f", {_number(place.acceleration)} × lr" if place.acceleration is not None else "")),
    ]  # fmt: skip
    same, best = place.speedup
    compared = [f"{_number(same)} × at the same lr"] if same is not None else []
    compared += [f"{_number(best)} × at its best lr"] if best is not None else []
    lines += [("against sgd", ",  ".join(compared))] if compared else []
    if place.optimum is not None:
        settings = ", ".join(setting(key, value, 6) for key, value in place.optimum.settings.items())
        gain = place.optimum.gain
        fewer = f", {_number(gain)} × fewer steps" if gain is not None and gain >= 1 else ""
        lines.append(("optimum", f"{settings}: rate {place.optimum.rate:.6f}{fewer}"))
    if place.noise_floor is not None:
        lines.append(("noise floor", _number(place.noise_floor)))
    return lines


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
