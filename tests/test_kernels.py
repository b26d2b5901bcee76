"""Compiled maps: cell by cell the loop in NumPy, sines and cosines in lanes, what is compiled, and what is kept."""

import ast
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn import seeded
from ravine import _kernels, _lanes, _template
from ravine.boundary import row_of
from ravine.cells import DIVERGED, NOT_YET, REACHED, UNDEFINED, walk
from ravine.errors import RavineError
from ravine.phase import phase_map
from ravine.phasemap import PhaseMap
from ravine.rules import RULES, Row, Rule
from ravine.stepper import BALL
from ravine.surfaces import surface

TILTED = "x^2 + x*y + 25y^2"
FREE = Rule("free", lambda lr, mu: Row(mu, -lr, 0.8, -0.3 * lr, 0.5 * mu), "no number is 0 or 1", "")


pytestmark = pytest.mark.usefixtures("no_optimum")


def in_numpy(found: PhaseMap) -> tuple[Any, Any, Any]:
    """Walk a map's cells from its first start with the one stepper: outcome, step and value, each (rows, columns)."""
    shape, start = (found.y.size, found.x.size), found.starts[0]
    cells = row_of(found.rule, found.x, found.y, found.fixed)
    row = Row(*(np.broadcast_to(cell, shape).ravel() if np.ndim(cell) else cell for cell in cells))
    target = -np.inf if found.target is None or found.show == "value" else found.target
    ball = BALL * max(1.0, float(abs(start).max()))
    walked = walk(found.surface, lambda t: row, found.outcome.size, start, found.steps, target, ball)
    outcome = walked.outcome.copy()
    if found.surface.quadratic:  # whose cells count as diverged where they still grow in the end
        outcome[(outcome == NOT_YET) & (walked.late > walked.early)] = DIVERGED
    return tuple(column.reshape(shape) for column in (outcome, walked.stopped, walked.height))


def assert_equal(found: PhaseMap) -> None:
    """Compare a compiled map with the same in NumPy, bit for bit."""
    assert found.engine == "compiled"
    outcome, stopped, value = in_numpy(found)
    np.testing.assert_array_equal(found.outcome, outcome)
    np.testing.assert_array_equal(found.stopped, stopped)
    np.testing.assert_array_equal(found.value, value)


# Each compiles a loop of its own: the five patterns that the table has, one without any 0 or 1, and other dimensions.
LOOPS: list[tuple[str, str | Rule, float, tuple[float, ...]]] = [
    (TILTED, "classical", 0.1, (180, 90)),
    (TILTED, "sgd", 0.1, (180, 90)),
    (TILTED, "heavyball", 0.1, (180, 90)),
    (TILTED, "nag", 0.06, (180, 90)),
    (TILTED, "nesterov", 0.06, (180, 90)),
    (TILTED, FREE, 0.1, (180, 90)),
    ("rosenbrock", "nag", 0.01, (-1.2, 1)),
    ("himmelblau", "nesterov", 0.05, (0, -4.5)),
    ("double_well", "classical", 0.8, (1.6,)),
    ("rosenbrock(3)", "heavyball", 0.01, (-1.2, 1, 0.5)),
]


@pytest.mark.parametrize(("text", "rule", "most", "start"), LOOPS, ids=lambda part: getattr(part, "name", str(part)))
def test_compiled_is_numpy_bit_for_bit(text: str, rule: str | Rule, most: float, start: tuple[float, ...]) -> None:
    """On polynomials outcome, step and value of every cell are those of the one stepper, to the last bit.

    For step counts that are and are not multiples of the block of 8, fewer cells than lanes, more, and targets of which
    some cells, all or none fall short.
    """
    made = surface(text, dim=len(start))
    high = float(made.value(start))
    met = set()
    for steps, size, target in (
        (200, 23, None), (64, 7, high / 10), (33, 9, high / 1e3), (7, 5, high / 2), (8, 5, -1.0), (1, 2, high / 2),
        (131, 3, None), (10, 6, high), (10, 6, 2 * high + 1),
    ):  # fmt: skip
        found = phase_map(made, rule, lr=(0, most), mu=(0, 0.97), size=size, steps=steps, start=start, target=target)
        assert_equal(found)
        met |= set(found.outcome.ravel().tolist())
    assert met == {NOT_YET, REACHED, DIVERGED}


@pytest.mark.parametrize("steps", range(1, 21))
def test_every_number_of_steps(steps: int) -> None:
    """From 1 to 20 steps, and again where the target lies above the start's value, compiled and NumPy agree."""
    options: dict[str, Any] = {"lr": (0, 0.3), "mu": (0, 0.99), "size": 6, "steps": steps, "start": (3, -2)}
    found = phase_map(TILTED, "classical", target=20.0, **options)
    assert_equal(found)
    assert found.stopped.max() == steps
    begun = phase_map(TILTED, "classical", target=1e4, **options)
    assert_equal(begun)
    assert (begun.outcome == REACHED).all()
    assert not begun.stopped.any()


@pytest.mark.parametrize("steps", [7, 25, 33, 39, 57, 58, 63, 64])
def test_growth_is_looked_for_in_the_steps_that_were_asked_for(steps: int) -> None:
    """A cell that grows slowly is judged by its last quarter of steps alike compiled and in NumPy, however many there are."""
    limit = 2 / (26 + math.sqrt(24**2 + 1))
    found = phase_map(
        TILTED, "sgd", lr=(limit * 0.9, limit * 1.02), mu=(0, 0.5), size=40, steps=steps, start=(3, -2), target=-1.0
    )
    assert_equal(found)


drawn_settings = st.fixed_dictionaries({
    "lr": st.tuples(st.floats(0, 1), st.floats(1.001, 10)).map(lambda pair: (pair[0] * pair[1] / 10, pair[1])),
    "mu": st.tuples(st.floats(0, 0.5), st.floats(0.51, 0.9999)),
    "size": st.integers(2, 9),
    "steps": st.integers(1, 70),
    "start": st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)),
    "target": st.none() | st.floats(-10, 1e5),
    "show": st.sampled_from(["steps", "value"]),
})  # fmt: skip


@pytest.mark.parametrize(("text", "scale"), [(TILTED, 0.04), ("rosenbrock", 1e-3)])
def test_any_settings(text: str, scale: float) -> None:
    """Whatever ranges, start, steps and target hypothesis draws, compiled and NumPy agree to the last bit."""

    @settings(seeded, max_examples=60)
    @given(drawn_settings)
    def compared(options: dict[str, Any]) -> None:
        options["lr"] = tuple(scale * end for end in options["lr"])
        assert_equal(phase_map(text, "nag", **options))

    compared()


@pytest.mark.parametrize(
    ("text", "rule", "options", "outcomes"),
    [
        # log and sqrt end, exp overflows; the C library's differ from NumPy's in the last bit. The sine of NaN is NaN.
        (
            "x^2 + sin(log(x)) + exp(y) - 2sqrt(y + 3)",
            "nag",
            {"lr": (0, 1.2), "start": (3, 2), "target": 0.0},
            {REACHED, UNDEFINED, NOT_YET},
        ),
        ("exp(x) + exp(-x) + y^2", "nag", {"lr": (0, 2), "start": (3, 2)}, {REACHED, DIVERGED, NOT_YET}),
        # Below lr = 0.0045 = 1.8 over the largest curvature nothing jumps from hollow to hollow by chance.
        ("rastrigin", "classical", {"lr": (0, 0.0045), "mu": (0, 0.8), "start": (0.3, -0.2)}, {REACHED, NOT_YET}),
    ],
    ids=["log", "exp", "rastrigin"],
)
def test_compiled_is_numpy_where_rounding_differs(
    text: str, rule: str, options: dict[str, Any], outcomes: set[int]
) -> None:
    """With logarithms, roots, exponentials and cosines at least 99.9 % of the cells end alike, at the same step.

    Away from chaos: the settings do not let a last bit grow until it chooses another hollow.
    """
    found = phase_map(text, rule, **{"mu": (0, 0.9), **options}, size=50, steps=120)
    assert found.engine == "compiled"
    outcome, stopped, value = in_numpy(found)
    assert set(outcome.ravel().tolist()) == outcomes
    assert (found.outcome == outcome).mean() >= 0.999
    assert (found.stopped == stopped).mean() >= 0.999
    ended = (outcome == REACHED) & (found.outcome == outcome) & (found.stopped == stopped)
    np.testing.assert_allclose(found.value[ended], value[ended], rtol=1e-6, atol=1e-12)


# Sine and cosine ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, {"contract"}], ids=["plain", "fused"])
def waves(request: pytest.FixtureRequest) -> Callable[[Any], tuple[Any, Any]]:
    """Compile the sine and cosine of the lanes, as functions of arrays."""
    from numba import njit

    space: dict[str, Any] = {"njit": njit, "floor": np.floor, "np": np, "numpy": np, "math": math}
    exec(_template.WAVE, space)

    def both(x: Any, sines: Any, cosines: Any) -> None:
        for i in range(len(x)):
            sines[i], cosines[i] = sine(x[i]), cosine(x[i])

    sine, cosine = space["_sin"], space["_cos"]
    fill = njit(both, fastmath=request.param)

    def called(x: Any) -> tuple[Any, Any]:
        x = np.array(x, float)
        sines, cosines = np.empty_like(x), np.empty_like(x)
        fill(x, sines, cosines)
        return sines, cosines

    return called


def test_sine_and_cosine_are_right(waves: Callable[[Any], tuple[Any, Any]]) -> None:
    """For |x| < 1e5 sine and cosine are off by at most 2e-16 (1.74e-16 was measured), also next to multiples of π/2."""
    rng = np.random.default_rng(0)
    x = np.concatenate([
        rng.uniform(-1e5, 1e5, 4000), rng.uniform(-10, 10, 3000), rng.uniform(-1e-3, 1e-3, 200),
        np.arange(-63660, 63660, 61) * (np.pi / 2), [0.0, 5e-324, np.pi / 4, -np.pi / 4],
    ])  # fmt: skip
    sines, cosines = waves(x)
    with mpmath.workdps(40):
        for truth, found in ((mpmath.sin, sines), (mpmath.cos, cosines)):
            errors = [abs(float(truth(at) - value)) for at, value in zip(x.tolist(), found.tolist(), strict=True)]
            assert max(errors) <= 2e-16


def test_sine_and_cosine_stay_bounded(waves: Callable[[Any], tuple[Any, Any]]) -> None:
    """For any finite x, 1e300 included, neither is larger than 1.01; for what is not finite both are NaN."""
    rng = np.random.default_rng(1)
    x = np.concatenate([10 ** rng.uniform(5, 308, 50_000), [1e300, 2.0**1023, 2.0**53, np.finfo(float).max]])
    for found in waves(np.concatenate([x, -x])):
        assert (abs(found) <= 1.01).all()
    assert np.isnan(waves([np.inf, -np.inf, np.nan])).all()


# What is compiled ------------------------------------------------------------------------------------------------

NAMES = re.compile(
    r"(L_)?(old_)?([xvygs]\d+|[fg]?[tb]\d+|keep|take|move|kick|look|low|high|late|bad)"
    r"|all_(keep|take|move|kick|look)|start|cells?|steps|target|ball|stopped|outcome|height|early|owner|end|busy|now|blocks"
    r"|quarter|cut|event|fine|why|wide|[jkftxqrzsc_]|sine|cosine|half|odd|sign|_reduced|_wave|_sin|_cos"
)
KNOWN = {
    "fill", "range", "abs", "inf", "floor", "cfunc", "njit", "SIGNATURE", "lanes", "whole_lanes", "free", "numpy",
    "math", "np",
}  # fmt: skip
FUNCTIONS = {"sqrt", "log", "exp", "power", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "sign"}


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("f0^2 + 50*L_x0^2", None),
        ("f1^2 + 50t3^2 + f1*t3", "x^2 + 50y^2 + x*y"),
        ("g0^2*x0 + v0^4 + g0*v0", "x^2*z + y^4 + x*y"),
        ("s0^2 + sin(s0*s1) + exp(s1)", "x^2 + sin(x*y) + exp(y)"),
        ("b0 - log(b0) + (b0 - b1)^4 + sqrt(b1) + abs(b0)", "x - log(x) + (x - y)^4 + sqrt(y) + abs(x)"),
        ("asin(a)^2 + tan(b)^2 + cosh(a) + 2^b + pi*a*b + e^a", "asin(x)^2 + tan(y)^2 + cosh(x) + 2^y + pi*x*y + e^x"),
    ],
)
@pytest.mark.parametrize("rule", ["classical", "nesterov"])
def test_no_name_that_somebody_typed_is_compiled(text: str, renamed: str | None, rule: str) -> None:
    """The program holds the names of this package and of NumPy's functions alone, the same for variables of other names."""
    if renamed is None:
        with pytest.raises(RavineError):
            surface(text)
        return
    pattern = _lanes.pattern_of(RULES[rule].row(lr=np.array([0.1, 0.2]), mu=np.array([0.5, 0.6])))
    program = _lanes.source(surface(text), pattern, watch=True)
    for node in ast.walk(ast.parse(program)):
        assert not isinstance(node, ast.Import | ast.ImportFrom | ast.Global | ast.Lambda)
        if isinstance(node, ast.Name | ast.arg):
            name = node.id if isinstance(node, ast.Name) else node.arg
            assert name in KNOWN or NAMES.fullmatch(name), name
        if isinstance(node, ast.Attribute):
            assert isinstance(node.value, ast.Name)
            assert node.value.id in ("numpy", "np", "math")
            assert node.attr in FUNCTIONS, node.attr
    assert _lanes.source(surface(renamed), pattern, watch=True) == program


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch HERE')", "x^2 + numpy", "x^2 + ctypes^2", "x^2; import os", "x^2\nimport os",
        "[c for c in ().__class__.__mro__]", "x^2 + eval(y)", "x^2 + (lambda: y)()", "x^2 + free(x)", "x.real + y",
        "x^2 + all_keep", "x^2 if y else 0", "x[0]", "f'{x}'", "x^2 # y", "owner^2", "_sin(x)", "L_x0^2",
    ],
)  # fmt: skip
def test_hostile_text_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text that is no formula is refused by the one parser before anything is written, compiled or run."""
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RavineError):
        phase_map(text, "classical", lr=(0, 1), mu=(0, 0.9), size=2, target=0.0)
    assert not list(tmp_path.iterdir())


# What is kept ---------------------------------------------------------------------------------------------------

ONCE = """
import sys
from ravine.phase import phase_map
said = []
found = phase_map("x^2 + 7", "classical", lr=(0, 1), mu=(0, 0.9), size=5, steps=9, say=said.append)
assert found.engine == "compiled", found.engine
print(len(said), found.counts["reached"], found.value.sum().hex(), "numba" in sys.modules)
"""


def fresh(cache: Path) -> list[str]:
    """Make a small map in a process of its own; returns what it told."""
    environment = {**os.environ, "RAVINE_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", ONCE], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == ""
    return done.stdout.split()


def contents(cache: Path) -> dict[str, tuple[int, bytes]]:
    """Return every file below a folder, with its time and its bytes."""
    files = (path for path in cache.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Make a cache that holds one map, and tell what was told when it was compiled."""
    cache = tmp_path_factory.mktemp("cache")
    return cache, fresh(cache)


def test_a_later_process_finds_the_compiled_map(kept: tuple[Path, list[str]]) -> None:
    """A second process compiles nothing, says nothing, writes nothing, and finds the same numbers without Numba."""
    cache, first = kept
    before = contents(cache)
    assert before
    assert first[0] == "1"
    assert (cache / "maps").stat().st_mode & 0o777 == 0o700
    second = fresh(cache)
    assert second == ["0", *first[1:3], "False"]
    assert contents(cache) == before


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "damage", [pytest.param("cut", marks=SLOW), "flipped", "foreign", pytest.param("empty", marks=SLOW)]
)
def test_a_damaged_file_is_replaced(damage: str, kept: tuple[Path, list[str]], tmp_path: Path) -> None:
    """A kept map that was cut, changed or exchanged is not run but made and written again, with the same result."""
    cache, first = kept
    mine = Path(shutil.copytree(cache, tmp_path / "cache"))
    good = contents(mine)
    for name, (_, whole) in good.items():
        half = len(whole) // 2
        Path(name).write_bytes({
            "cut": whole[:half], "flipped": whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1 :],
            "foreign": b"raise SystemExit('not mine')\n", "empty": b"",
        }[damage])  # fmt: skip
    bad = contents(mine)
    assert fresh(mine)[:3] == first[:3]
    after = contents(mine)
    assert after.keys() == good.keys()
    for name in good:
        assert after[name][1] != bad[name][1]
        assert len(after[name][1]) == len(good[name][1])


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="rights are those of Unix")
@pytest.mark.parametrize("rights", [0o777, 0o770, 0o722, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_used(
    rights: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others could have put there is not run: another folder, of this user alone, serves this process."""
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path))
    mine = tmp_path / "maps"
    assert _kernels.folder() == mine
    mine.chmod(rights)
    other = _kernels.folder()
    assert other != mine
    assert (other.stat().st_uid, other.stat().st_mode & 0o777) == (os.getuid(), 0o700)
    mine.chmod(0o755)
    assert _kernels.folder() == mine


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that belongs to another user is not used, not even by root, who could write there."""
    monkeypatch.setenv("RAVINE_CACHE", str(tmp_path))
    mine = tmp_path / "maps"
    mine.mkdir(mode=0o700)
    os.chown(mine, 12345, 12345)
    assert _kernels.folder() != mine


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """Where RAVINE_CACHE is a file, so that nothing can be kept below it, the map is made all the same."""
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    assert fresh(blocked)[0] == "1"
    assert blocked.read_text() == "mine"
