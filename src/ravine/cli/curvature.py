"""curvature: how steep and how noisy a real loss is, and what that allows."""

import contextlib
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ravine.cli.options import JsonOption, columns, file_free, print_json, progress

SUFFIXES = ("png", "svg", "pdf", "csv", "json", "parquet")


def curvature(
    task: Annotated[str, typer.Argument(metavar="TASK", help="A name of ravine tasks, or path/to/file.py:make_task.")],
    checkpoint: Annotated[
        Path | None, typer.Option("--checkpoint", "-c", metavar="FILE", help="Weights: .pt, .safetensors.")
    ] = None,
    top: Annotated[int, typer.Option(metavar="K", help="So many of the largest curvatures.")] = 1,
    ends: Annotated[str, typer.Option(metavar="WHICH", help="largest, smallest or both.")] = "largest",
    density: Annotated[bool, typer.Option("--density", help="The whole spectrum too.")] = False,
    noise: Annotated[bool, typer.Option("--noise", help="The noise of the gradient too.")] = False,
    along: Annotated[
        int | None, typer.Option(metavar="STEPS", help="Train so many updates by --rule, and measure on the way.")
    ] = None,
    rule: Annotated[
        list[str] | None,
        typer.Option("--rule", "-r", metavar="RULE", help="Whose limits are told, such as heavyball:lr=0.1,mu=0.9."),
    ] = None,
    every: Annotated[int, typer.Option(metavar="N", help="Updates between two measurements on the way.")] = 10,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="Measure on so many samples, drawn; all of them if not given.")
    ] = None,
    tol: Annotated[float, typer.Option(metavar="T", help="Stop at this part of each value.")] = 0.01,
    gauss_newton: Annotated[
        bool, typer.Option("--gauss-newton", help="The Gauss-Newton matrix instead of the Hessian.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="K", help="Seed of the weights, samples and starts.")] = 0,
    device: Annotated[str, typer.Option(metavar="NAME", help="Where, such as cpu or cuda.")] = "cpu",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help=f"By suffix {', '.join(SUFFIXES)}.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Measure curvature and noise of a training: the largest eigenvalues, the spectrum, the edge of stability."""
    out = file_free(out, SUFFIXES)
    from ravine.tasks import load
    from ravine.torch.spectral.measurement import USUAL, measure

    with contextlib.redirect_stdout(sys.stderr), progress("measuring", quiet=json) as tick:
        found = measure(
            load(task), checkpoint=checkpoint, k=top, ends=ends, with_density=density, with_noise=noise, along=along,
            methods=rule or USUAL, every=every, samples=samples, tol=tol, gauss_newton=gauss_newton, seed=seed,
            device=device, tick=tick,
        )  # fmt: skip
    told = found.summary()
    if out is not None:
        _write(found, told, out)
    if json:
        print_json(told)
    else:
        _print(found)
        if out is not None:
            print(f"written: {out}")
    if found.edge is not None and found.edge.interrupted:
        raise typer.Exit(130)


def _write(found: Any, told: dict[str, Any], out: Path) -> None:
    if out.suffix.lower()[1:] in ("png", "svg", "pdf"):
        from ravine.draw.figures import save

        save(found.plot(), out)
        return
    from ravine.torch.spectral.measurement import write

    write(found, told, out)


def _print(found: Any) -> None:
    c = found.curvature
    on = f"on {c.samples:,} samples" if c.samples else "on a stream"
    print(f"{c.name}: {c.parameters:,} parameters, {on}")
    lines = _values("largest", c.values, c.errors) + _values("smallest", c.smallest, c.smallest_errors)
    columns([("curvature", "value", "error"), *lines])
    print(f"{'' if c.converged else 'not converged: '}{c.products} products, {c.gradients:.4g} gradients of a mini-batch, "
          f"{c.seconds:.2g} s")  # fmt: skip
    for each in found.allowed:
        lr = "any lr" if each.lr is None or each.lr == float("inf") else f"lr < {each.lr:.4g}"
        print(f"{each.method.label}: stable for {lr}; with this lr for curvatures below {each.h:.4g}")
    for note in c.notes:
        print(f"note: {note}", file=sys.stderr)
    if found.density is not None:
        d = found.density
        print(f"trace {d.trace:.4g} ± {d.trace_error:.2g} by {len(d.nodes)} random vectors, {d.products} products")
    if found.noise is not None:
        _print_noise(found.noise)
    if found.edge is not None:
        _print_edge(found.edge)


def _values(what: str, values: Any, errors: Any) -> list[tuple[str, ...]]:
    return [(f"{what} {i + 1}", f"{v:.6g}", f"{e:.2g}") for i, (v, e) in enumerate(zip(values, errors, strict=True))]


def _print_noise(noise: Any) -> None:
    print(f"noise of a gradient of {noise.batch} samples: trace {noise.trace:.4g} ± {noise.error:.2g}, "
          f"|mean|² {noise.norm2:.4g}, equal at {noise.scale:.4g} samples")  # fmt: skip
    along = zip(noise.along, noise.along_errors, strict=True)
    lines = [(f"along {i + 1}", f"{v:.4g}", f"± {e:.2g}") for i, (v, e) in enumerate(along)]
    if lines:
        columns(lines)


def _print_edge(edge: Any) -> None:
    print(f"along {edge.method.label}" + (f", ended early: {edge.reason}" if edge.reason else ""))
    lines = zip(edge.steps, edge.h_max, edge.limits, strict=True)
    columns([("update", "largest curvature", "limit"), *((str(s), f"{h:.5g}", f"{m:.5g}") for s, h, m in lines)])
    print(f"above the limit from update {edge.crossed}" if edge.crossed is not None else "below the limit throughout")
