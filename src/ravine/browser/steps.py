"""The step of a race and the walk of a map's cell as JavaScript, both traced from the one stepper for a pattern of rows."""

from importlib.resources import files

from ravine.browser.printer import Terrain, block
from ravine.rules import Row
from ravine.tracing import Lines, Pattern, moved

INLINE = 6000  # characters of a step: a longer one is not written into the loop, whose code the engine then optimizes


def script(name: str) -> str:
    """Read one of the scripts that were written by hand."""
    return files("ravine.browser").joinpath("js", name).read_text(encoding="utf-8")


def move_text(pattern: Pattern) -> str:
    """Write one step of a race, which changes x and v in place; every coordinate moves alike."""
    asked: list[str] = []

    def marked(names: list[str]) -> Lines:
        asked.extend(names)
        return [("", "")]

    lines = moved(pattern, 1, marked, noisy=True)
    cut, last = lines.index(("", "")), {"v0": "v[i]", "x0": "x[i]"}
    before = [*lines[:cut], ("asked[i]", asked[0])]
    after = [(last.get(name, name), code) for name, code in lines[cut + 1 :]]
    parts = {
        "TAKE": [f"const {name} = row[{i}];" for i, name in _open(pattern)],
        "BEFORE": block(before),
        "AFTER": block(after),
    }
    return _filled("step.js", parts)


def cell_text(land: Terrain, n: int, place: int, pattern: Pattern) -> str:
    """Write the walk of one cell of a map, in local variables where the step is short."""
    names, look = [f"x{i}" for i in range(n)], block(land.height, ["f"])
    go = block(moved(pattern, n, land.slope_at), [*names, *(f"v{i}" for i in range(n))])
    if sum(map(len, look + go)) > INLINE:
        long = {**_LONG, "GO": [f"moves[{place}](row, place, speed, still);"]}
        return _filled("cell.js", long).replace("NEAR", "widest(place) <= ball")
    parts = {
        "BEGIN": [
            *(f"let x{i} = start[{i}], v{i} = 0;" for i in range(n)),
            *(f"let {name} = 0;" for _, name in _open(pattern)),
        ],
        "TAKE": [f"{name} = row[{i}];" for i, name in _open(pattern)],
        "LOOK": look,
        "GO": go,
        "WIDE": [f"const wide = Math.max({', '.join(f'Math.abs({name})' for name in names)});"],
    }
    return _filled("cell.js", parts).replace("NEAR", " && ".join(f"Math.abs({name}) <= ball" for name in names))


_LONG = {
    "BEGIN": ["place.set(start);", "speed.fill(0);"],
    "TAKE": [],
    "LOOK": ["f = surface.height(place);"],
    "WIDE": ["const wide = widest(place);"],
}


def _filled(name: str, parts: dict[str, list[str]]) -> str:
    """Read a script without the comment at its top and put lines in place of each line `// NAME`."""
    made: list[str] = []
    text = script(name)
    for line in text[text.index("\n(") + 1 :].splitlines():
        known = parts.get(line.strip().removeprefix("// "))
        made += [line] if known is None else [line[: len(line) - len(line.lstrip())] + each for each in known]
    return "\n".join(made)


def _open(pattern: Pattern) -> list[tuple[int, str]]:
    """List the cells of a row that are neither 0 nor 1, with their places."""
    return [(i, name) for i, name in enumerate(Row._fields) if pattern[i] is None]
