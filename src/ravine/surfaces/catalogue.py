"""Functions with a name: formula, where to look, where the minima are, and who wrote it down.

A function of n coordinates is written for any n and called with a number in brackets: `rosenbrock(5)`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ravine.errors import SurfaceError, nearest, shown
from ravine.surfaces.interface import Array, Minimum, Surface

Point = tuple[float, ...]


@dataclass(frozen=True)
class Entry:
    """Hold one function of the catalogue."""

    name: str
    text: str | Callable[[int], str]  # the expression, or how it reads for n coordinates
    domain: tuple[tuple[float, float], ...]  # one interval for all coordinates, or one each
    minima: tuple[Minimum, ...] | Callable[[int], tuple[Minimum, ...]]
    start: Point
    source: str
    kink: bool = False  # the minimum is a kink: the formula's gradient is 0/0 there and counts as 0


def _sum(term: str) -> Callable[[int], str]:
    """Repeat a term in X for each coordinate."""
    return lambda n: " + ".join(term.replace("X", name) for name in names(n))


def names(n: int) -> list[str]:
    """Name n coordinates: x, y, z as far as they go, else x1, x2, …"""
    return ["x", "y", "z"][:n] if n <= 3 else [f"x{i + 1}" for i in range(n)]


def _rosenbrock(n: int) -> str:
    return " + ".join(f"(1 - {a})^2 + 100({b} - {a}^2)^2" for a, b in zip(names(n), names(n)[1:], strict=False))


def _ackley(n: int) -> str:
    squares, waves = _sum("X^2")(n), _sum("cos(2pi*X)")(n)
    return f"20 + e - 20exp(-0.2sqrt(({squares})/{n})) - exp(({waves})/{n})"


def _at(*point: float, value: float = 0.0, everywhere: bool = True) -> tuple[Minimum, ...]:
    return (Minimum(tuple(map(float, point)), value, everywhere),)


def _all(coordinate: float, value: float = 0.0) -> Callable[[int], tuple[Minimum, ...]]:
    """Say that the minimum has every coordinate the same and a value in proportion to n."""
    return lambda n: _at(*[coordinate] * n, value=value * n)


TEST_FUNCTIONS = "Surjanovic & Bingham, Virtual Library of Simulation Experiments"

CATALOGUE: Mapping[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry("bowl", "x^2 + 50y^2", ((-200, 200), (-100, 100)), _at(0, 0), (180, 90),
              "the blog post's height; condition number 50"),
        Entry("sphere", _sum("X^2"), ((-5, 5),), _all(0), (4, 3), "De Jong 1975"),
        Entry("booth", "(x + 2y - 7)^2 + (2x + y - 5)^2", ((-10, 10),), _at(1, 3), (-8, -6), TEST_FUNCTIONS),
        Entry("matyas", "0.26(x^2 + y^2) - 0.48x*y", ((-10, 10),), _at(0, 0), (9, -4), TEST_FUNCTIONS),
        Entry("rosenbrock", _rosenbrock, ((-2, 2), (-1, 3)), _all(1), (-1.2, 1), "Rosenbrock 1960"),
        Entry("beale", "(1.5 - x + x*y)^2 + (2.25 - x + x*y^2)^2 + (2.625 - x + x*y^3)^2", ((-4.5, 4.5),),
              _at(3, 0.5), (1, -1.5), "Beale 1958"),
        Entry("himmelblau", "(x^2 + y - 11)^2 + (x + y^2 - 7)^2", ((-5, 5),),
              _at(3, 2) + _at(-2.805118086952745, 3.131312518250573)
              + _at(-3.779310253377747, -3.283185991286169) + _at(3.5844283403304917, -1.8481265269644034),
              (0, -4.5), "Himmelblau 1972"),
        Entry("goldstein_price",
              "(1 + (x + y + 1)^2 (19 - 14x + 3x^2 - 14y + 6x*y + 3y^2))"
              " (30 + (2x - 3y)^2 (18 - 32x + 12x^2 + 48y - 36x*y + 27y^2))",
              ((-2, 2),),
              _at(0, -1, value=3) + _at(-0.6, -0.4, value=30, everywhere=False)
              + _at(1.8, 0.2, value=84, everywhere=False) + _at(1.2, 0.8, value=840, everywhere=False),
              (-1.5, 0.5), "Goldstein & Price 1971"),
        Entry("camel", "(4 - 2.1x^2 + x^4/3)x^2 + x*y + (4y^2 - 4)y^2", ((-2, 2), (-1.2, 1.2)),
              _at(0.08984201310031806, -0.7126564030207396, value=-1.0316284534898774)
              + _at(-0.08984201310031806, 0.7126564030207396, value=-1.0316284534898774)
              + _at(1.7036067149699807, -0.7960835686726251, value=-0.21546382438371725, everywhere=False)
              + _at(-1.7036067149699807, 0.7960835686726251, value=-0.21546382438371725, everywhere=False)
              + _at(1.6071047529201974, 0.5686514548841314, value=2.1042503103112575, everywhere=False)
              + _at(-1.6071047529201974, -0.5686514548841314, value=2.1042503103112575, everywhere=False),
              (-1.9, 1.1), "six-hump camel, Dixon & Szegö 1978"),
        Entry("three_hump_camel", "2x^2 - 1.05x^4 + x^6/6 + x*y + y^2", ((-2.2, 2.2),),
              _at(0, 0) + _at(1.7475523458302888, -0.8737761729151444, value=0.2986384422368582, everywhere=False)
              + _at(-1.7475523458302888, 0.8737761729151444, value=0.2986384422368582, everywhere=False),
              (2, 1.8), TEST_FUNCTIONS),
        Entry("mccormick", "sin(x + y) + (x - y)^2 - 1.5x + 2.5y + 1", ((-1.5, 4), (-3, 4)),
              _at(-0.5471975511965979, -1.5471975511965979, value=-1.9132229549810367)
              + _at(2.5943951023931957, 1.5943951023931955, value=1.2283696986087569, everywhere=False),
              (3.5, 3.5), "McCormick 1976"),
        Entry("styblinski_tang", lambda n: f"({_sum('(X^4 - 16X^2 + 5X)')(n)})/2", ((-5, 5),),
              _all(-2.903534027771177, -39.16616570377142), (4, 1), "Styblinski & Tang 1990"),
        Entry("rastrigin", lambda n: f"{10 * n} + " + _sum("X^2 - 10cos(2pi*X)")(n), ((-5.12, 5.12),), _all(0),
              (4.2, 3.4), "Rastrigin 1974"),
        Entry("ackley", _ackley, ((-5, 5),), _all(0), (3.4, 2.7), "Ackley 1987", kink=True),
        Entry("griewank", "(x^2 + y^2)/4000 - cos(x)cos(y/sqrt(2)) + 1", ((-10, 10),),
              _at(0, 0) + _at(3.1400226338955397, 4.438444480920714, value=0.007396040334115084, everywhere=False),
              (8, 6.5), "Griewank 1981"),
        Entry("easom", "-cos(x)cos(y)exp(-(x - pi)^2 - (y - pi)^2)", ((0, 6.28), (0, 6.28)),
              _at(np.pi, np.pi, value=-1), (4.3, 4), "Easom 1990"),
        Entry("saddle", "x^2 - y^2", ((-2, 2),), (), (1.8, 0.01), "descent leaves along y"),
        Entry("monkey_saddle", "x^3 - 3x*y^2", ((-2, 2),), (), (1.6, 0.05), "three ways down; the Hessian at 0 is 0"),
        Entry("double_well", "(x^2 - 1)^2 + 0.3x", ((-1.7, 1.7),),
              _at(-1.0355787140888537, value=-0.305428483743916)
              + _at(0.9601495555191055, value=0.29414648102826285, everywhere=False),
              (1.6,), "one hollow lower than the other"),
        Entry("washboard", "0.1x^2 + 1 - cos(3x)", ((-7, 7),),
              _at(0) + _at(2.0487251273952287, value=0.4290986513255761, everywhere=False)
              + _at(-2.0487251273952287, value=0.4290986513255761, everywhere=False)
              + _at(4.096583585387091, value=1.7162156395906263, everywhere=False)
              + _at(-4.096583585387091, value=1.7162156395906263, everywhere=False),
              (5.2,), "a row of hollows; a ball rolls through where a walker stays"),
        Entry("forrester", "(6x - 2)^2 sin(12x - 4)", ((0, 1),),
              _at(0.7572487578418557, value=-6.0207400557670825)
              + _at(0.14258918932471631, value=-0.9863254063210813, everywhere=False),
              (0.5,), "Forrester, Sóbester & Keane 2008"),
    )
}  # fmt: skip

_CALL = re.compile(r"\s*([A-Za-z_]+)\s*(?:\(([^()]*)\))?\s*$")


def find(text: str) -> Surface | None:
    """Return the surface that `name` or `name(n)` means, or None where the name is not in the catalogue."""
    from ravine.surfaces.expression import from_expression

    called = _CALL.match(text)
    if not called or called[1].lower() not in CATALOGUE:
        return None
    entry = CATALOGUE[called[1].lower()]
    typed = (called[2] or "").strip() if called[2] is not None else str(len(entry.start))
    n = int(typed) if re.fullmatch("[0-9]{1,9}", typed) else -1
    if callable(entry.text):
        fewest = 2 if entry.name == "rosenbrock" else 1
        if not fewest <= n <= 20:
            raise SurfaceError(f"{entry.name} is written for {fewest} to 20 coordinates, got {shown(typed)}")
    elif n != len(entry.start):
        raise SurfaceError(f"{entry.name} has {len(entry.start)} coordinates, got {shown(typed)}; write {entry.name}")
    domain = entry.domain if len(entry.domain) == n else (entry.domain[0],) * n
    made = from_expression(
        entry.text(n) if callable(entry.text) else entry.text,
        name=entry.name if n == len(entry.start) else f"{entry.name}({n})",
        text=entry.name if n == len(entry.start) else f"{entry.name}({n})",
        domain=tuple((float(low), float(high)) for low, high in domain),
        minima=entry.minima(n) if callable(entry.minima) else entry.minima,
        start=tuple(float(s) for s in (entry.start * n)[:n]),
        source=entry.source,
    )
    return _flat_at(made, made.minima[0].point) if entry.kink else made


def check_name(text: str) -> None:
    """Refuse a word that was surely meant for a name of the catalogue, saying which one."""
    import difflib

    word = text.split("(")[0].strip().lower()
    if word == "spectrum":
        raise SurfaceError(f"cannot read {shown(text)}; write spectrum(2,100)")
    if re.fullmatch(r"[a-z][a-z_]{3,}", word) and (
        "_" in word or difflib.get_close_matches(word, [*CATALOGUE, "spectrum"], n=1, cutoff=0.75)
    ):
        raise SurfaceError(f"no surface is called {shown(word)}; {nearest(word, [*CATALOGUE, 'spectrum'])}")


def _flat_at(surface: Surface, point: Point) -> Surface:
    """Let the gradient be 0 at one point, where the formula says 0/0."""
    kink = np.array(point)[:, None]

    def slopes(x: Array, out: Array) -> None:
        surface.slopes(x, out)
        out[:, np.all(x == kink, axis=0)] = 0

    return replace(surface, slopes=slopes, flat_at=point)
