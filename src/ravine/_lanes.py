"""The source of a compiled map: a surface's expression and the shape of a row, written as lanes of cells.

A cell is one trajectory. LANES of them go side by side through the same step as an inner loop of fixed length, which
LLVM turns into SIMD. Whether a cell is over is looked at once a block of BLOCK steps, on the least value it had and the
place where it stands; if so, that block is walked once more, alone and slowly, to find the exact step, and the lane
takes the next cell. The step is not written here: it is traced from the one stepper.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import sympy as sp

from ravine.cells import BLOCK
from ravine.rules import Row
from ravine.surfaces.expression import Printer
from ravine.surfaces.interface import Surface
from ravine.tracing import Lines, Pattern, looked_at, moved, slopes_of

LANES = 64  # cells side by side: with 32 or fewer LLVM unrolls the whole loop, which is slower
MOST_TURNED = 12  # coordinates of a turned quadratic, whose expression has half their square as terms


class LanePrinter(Printer):
    """Print expressions of numbers; sine and cosine as those that LLVM can put into lanes."""

    def _print_sin(self, expr: Any) -> str:
        return f"_sin({self._print(expr.args[0])})"

    def _print_cos(self, expr: Any) -> str:
        return f"_cos({self._print(expr.args[0])})"


def expressed(surface: Surface) -> Surface:
    """Return a surface with an expression where it has none but is a quadratic around 0, as a spectrum is."""
    origin = np.zeros(surface.dim)
    if surface.expression is not None or not surface.quadratic or surface.dim > MOST_TURNED:
        return surface
    if surface.value(origin) != 0 or surface.gradient(origin).any():
        return surface
    symbols, matrix = sp.symbols(surface.variables), surface.hessian(origin)
    terms = [
        float(matrix[i, j] if i < j else matrix[i, i] / 2) * symbols[i] * symbols[j]
        for i in range(surface.dim)
        for j in range(i, surface.dim)
        if matrix[i, j]
    ]
    return replace(surface, expression=sp.Add(*terms))


def pattern_of(row: Row) -> Pattern:
    """Return which cells of a row are 0 or 1 everywhere; the step leaves those operations out.

    >>> pattern_of(Row(np.array([0.5, 0.9]), np.array([-0.1, -0.2]), 1, 0, 0))
    (None, None, 1, 0, 0)
    """
    found: list[int | None] = []
    for cell in row:
        first = np.ravel(cell)[0]
        found.append(int(first) if first in (0, 1) and bool(np.all(cell == first)) else None)
    return tuple(found)


def _printer() -> LanePrinter:
    return LanePrinter({"fully_qualified_modules": True})


def _assigned(lines: Lines) -> list[str]:
    return [f"{name} = {code}" for name, code in lines]


def source(surface: Surface, pattern: Pattern, watch: bool) -> str:
    """Write the program of one map: `fill` walks cells and writes how each ended.

    Args:
        surface: one with an expression.
        pattern: of the rows.
        watch: whether a value may be no number although the point is not far away.
    """
    from ravine._template import TEMPLATE, WAVE

    printer, n = _printer(), surface.dim
    look = _assigned(looked_at(surface, printer))
    go = _assigned(moved(pattern, n, lambda names: slopes_of(surface, names, printer)))
    waves = any(name in " ".join(look + go) for name in ("_sin(", "_cos("))
    xs, vs = ([f"{letter}{i}" for i in range(n)] for letter in "xv")
    cells = [name for name, fixed in zip(Row._fields, pattern, strict=True) if fixed is None]
    state = xs + vs
    watched = ["bad"] if watch else []
    kept = [*state, *cells, *(f"old_{name}" for name in state), "low", *watched, "high", "late"]
    lane = [*state, *cells, "low", *watched]
    near = " & ".join(f"(abs(L_{name}[j]) <= ball)" for name in xs)
    parts = {
        "MAKE": [f"L_{name} = lanes()" for name in kept],
        "FREE": [f"free(L_{name})" for name in kept],
        "BEGIN": [f"L_{x}[j] = start[{i}]" for i, x in enumerate(xs)] + [f"L_{v}[j] = 0.0" for v in vs],
        "TAKE": [f"L_{name}[j] = all_{name}[cell]" for name in cells],
        "REST": [f"L_{name}[j] = 0.0" for name in cells],
        "KEEP": [f"L_old_{name}[j] = L_{name}[j]" for name in state],
        "CLEAR": [f"L_{name}[j] = 0.0" for name in watched],
        "LOAD": [f"{name} = L_{name}[j]" for name in lane],
        "STORE": [f"L_{name}[j] = {name}" for name in [*state, "low", *watched]],
        "BACK": [f"{name} = L_old_{name}[j]" for name in state] + [f"{name} = L_{name}[j]" for name in cells],
        "LOOK": look,
        "WATCH": ["bad = bad + (f - f)"] if watch else [],
        "GO": go,
        "WIDE": ["wide = 0.0"] + [f"wide = wide if abs({x}) <= wide else abs({x})" for x in xs],
    }
    text = TEMPLATE.replace("FINE", f"(L_low[j] > target) & {near}" + (" & (L_bad[j] == 0.0)" if watch else ""))
    text = text.replace("LANES", str(LANES)).replace("BLOCK", str(BLOCK)).replace("FAST", _fast(waves))
    for name, lines in parts.items():
        text = _filled(text, name, lines)
    return (WAVE if waves else "") + text


def _fast(waves: bool) -> str:
    # A fused multiply-add rounds once where NumPy rounds twice; with our own sine no bit is left to keep.
    return "{'contract'}" if waves else "False"


def _filled(text: str, name: str, lines: Sequence[str]) -> str:
    """Put lines in place of the line `# NAME`, with its indentation."""
    made: list[str] = []
    for line in text.splitlines():
        if line.strip() == f"# {name}":
            made += [line[: len(line) - len(line.lstrip())] + each for each in lines]
        else:
            made.append(line)
    return "\n".join(made) + "\n"
