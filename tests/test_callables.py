"""Your functions as surfaces: given gradients, differences, torch, JAX, files, and sentences for what goes wrong."""

import functools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ravine.errors import SurfaceError
from ravine.surfaces import surface
from ravine.surfaces.check import check_gradient

POINTS = np.array([[0.5, 0.6], [-1.0, 2.0], [3.0, -4.0], [0.3, 0.1]])


def trough(x: Any, y: Any) -> Any:
    """A trough.

    It has a second line.
    """
    return x**2 + 9 * y**2


def slope(x: Any, y: Any) -> tuple[Any, Any]:
    return 2 * x, 18 * y


def of_point(x: Any) -> Any:
    return x[0] ** 2 + 9 * x[1] ** 2


def branching(x: Any, y: Any) -> Any:
    return x**2 + 9 * y**2 if x > 0 and y < 1e9 else x**2 + 9 * y**2 + 0 * math.sin(x)


class Trough:
    """A trough that is an object."""

    def __call__(self, x: Any, y: Any) -> Any:
        return self.method(x, y)

    def method(self, x: Any, y: Any) -> Any:
        return trough(x, y)


@pytest.mark.parametrize(
    ("function", "dim"),
    [
        (trough, None),
        (of_point, 2),
        (branching, None),
        (lambda x, y, k=9: x**2 + k * y**2, None),
        (lambda x: np.array([x[0] ** 2 + 9 * x[1] ** 2]), 2),
        (lambda x: [float(x[0] ** 2 + 9 * x[1] ** 2)], 2),
        (functools.partial(lambda k, x, y: x**2 + k * y**2, 9), None),
        (Trough(), None),
        (Trough().method, None),
        (lambda *x: x[0][0] ** 2 + 9 * x[0][1] ** 2, 2),
        (lambda x: x @ np.diag([1, 9]) @ x if x.ndim == 1 else 1 / 0, 2),
    ],
)
def test_functions(function: Callable[..., Any], dim: int | None) -> None:
    """However a function takes its point, its surface has its values, and derivatives by differences, and says so."""
    made = surface(function, dim=dim)
    truth = surface("x^2 + 9y^2")
    np.testing.assert_allclose(made.value(POINTS), truth.value(POINTS), rtol=1e-15)
    np.testing.assert_allclose(made.gradient(POINTS), truth.gradient(POINTS), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(made.hessian(POINTS[0]), truth.hessian(POINTS[0]), atol=1e-3)
    assert [made.value(point) for point in POINTS] == made.value(POINTS).tolist()
    assert "no gradient: centred differences take its place, 4 calls" in made.notes[0]
    assert made.variables == ("x", "y")


def test_source() -> None:
    """A function's first line of documentation says where it comes from, and its name what it is called."""
    assert (surface(trough).source, surface(trough).name) == ("A trough.", "trough")


BY_POINT = (lambda x: np.array([2 * x[0], 18 * x[1]]), lambda x: [2 * x[0], 18 * x[1]])


@pytest.mark.parametrize(
    ("function", "gradient", "dim"),
    [(trough, slope, 2), *((of_point, g, 2) for g in BY_POINT), (trough, BY_POINT[0], None)],
)
def test_given_gradient(function: Callable[..., Any], gradient: Callable[..., Any], dim: int | None) -> None:
    """A given gradient is used as it is, its differences are the Hessian, and it checks as right."""
    made = surface(function, gradient=gradient, dim=dim)
    assert made.gradient(POINTS).tolist() == [[2 * x, 18 * y] for x, y in POINTS]
    np.testing.assert_allclose(made.hessian([1, 2]), [[2, 0], [0, 18]], atol=1e-8)
    assert check_gradient(made).verdict == "right"
    assert made.notes == ()


@pytest.mark.parametrize(
    ("gradient", "verdict"),
    [
        (lambda x, y: (2 * x, 18 * y), "right"),
        (lambda x, y: (2 * x, 18 * y * (1 + 1e-5)), "fine, if the function has kinks"),
        (lambda x, y: (2 * x, 18 * y * (1 + 1e-3)), "doubtful"),
        (lambda x, y: (2 * x, 9 * y), "wrong"),
        (lambda x, y: (-2 * x, 18 * y), "wrong"),
        (lambda x, y: (18 * y, 2 * x), "wrong"),
        (lambda x, y: (math.nan, 18 * y), "wrong"),
    ],
)
def test_check_gradient(gradient: Callable[..., Any], verdict: str) -> None:
    """A gradient with a wrong factor, sign or order checks as wrong, one that is slightly off as doubtful."""
    found = check_gradient(surface(trough, gradient=gradient), count=12)
    assert found.verdict == verdict
    assert found.errors.shape == found.points.shape == (12, 2)
    assert found.worst == found.errors.max()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, when it first loads torch.func
@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
@pytest.mark.parametrize("shape", ["point", "coordinates", "closure", "inside", "through a helper"])
def test_libraries(library: str, shape: str) -> None:
    """A function of torch or JAX is recognised however it is written and differentiated exactly, in double precision."""
    pytest.importorskip(library.split(".")[0])
    code = f"import {library} as lib\n" if shape != "inside" else ""
    code += {
        "point": "def f(x): return lib.sin(x[0]) * lib.exp(x[1])",
        "coordinates": "def f(x, y): return lib.sin(x) * lib.exp(y)",
        "closure": "def make(sin):\n    return lambda x, y: sin(x) * lib.exp(y)\nf = make(lib.sin)",
        "inside": f"def f(x, y):\n    import {library} as lib\n    return lib.sin(x) * lib.exp(y)",
        "through a helper": "def g(x): return lib.sin(x)\ndef h(y): return lib.exp(y)\ndef f(x, y): return g(x) * h(y)",
    }[shape]
    space: dict[str, Any] = {}
    exec(code, space)
    made = surface(space["f"], dim=2)
    truth = surface("sin(x)exp(y)")
    np.testing.assert_allclose(made.value(POINTS), truth.value(POINTS), rtol=1e-14)
    np.testing.assert_allclose(made.gradient(POINTS), truth.gradient(POINTS), rtol=1e-14)
    np.testing.assert_allclose(made.gradient(POINTS[0]), truth.gradient(POINTS[0]), rtol=1e-14)
    np.testing.assert_allclose(made.hessian(POINTS[0]), truth.hessian(POINTS[0]), rtol=1e-13)
    assert made.gradient(POINTS).dtype == made.value(POINTS).dtype == np.float64
    assert ("torch" if library == "torch" else "JAX") in made.notes[0]


@pytest.mark.parametrize("library", ["torch", "jax.numpy"])
def test_library_branches(library: str) -> None:
    """A function of torch or JAX that looks at the value of its point is differentiated point by point."""
    lib = pytest.importorskip(library)
    made = surface(lambda x: lib.sum(x**2) if x[0] > 0 else lib.sum(3 * x), dim=2)
    assert made.gradient([[1.0, 2.0], [-1.0, 2.0]]).tolist() == [[2, 4], [3, 3]]


def test_branch() -> None:
    """A function that branches on the value of its point is right at each point of many."""

    def both(x: Any, y: Any) -> Any:
        return x if x > 0 else -2 * x + (y if y > 1000 else 0)

    def clever(x: Any, y: Any) -> Any:  # runs with columns, but asks about all of them at once
        return x * 1.0 if np.all(x > 0) else -2 * x

    for function in (both, clever):
        made = surface(function)
        assert made.value(POINTS).tolist() == [made.value(point) for point in POINTS] == [0.5, 2, 3, 0.3]


def test_points_stay() -> None:
    """A function or gradient that writes into its argument changes nobody else's numbers."""

    def writing(x: Any) -> Any:
        x[0] = 5
        return x[1] ** 2

    def emptying(x: Any) -> Any:
        x *= 0
        return x

    columns = np.ones((2, 3))
    for made in (surface(writing, dim=2), surface(of_point, gradient=emptying, dim=2)):
        made.heights(columns)
        made.slopes(columns, np.empty((2, 3)))
        assert columns.tolist() == [[1, 1, 1], [1, 1, 1]]


def raising(x: Any, y: Any) -> Any:
    raise RuntimeError("no such\nplace")


def leaving(x: Any, y: Any) -> Any:
    raise SystemExit(3)


def far(x: Any, y: Any) -> Any:
    if np.any(abs(x) > 1e5):
        raise RuntimeError("too far")
    return x * y


def ragged(x: Any, y: Any) -> Any:
    return np.zeros(3) if np.any(abs(x) > 1e5) else x * y


@pytest.mark.parametrize(
    ("function", "dim", "sentence"),
    [
        (raising, None, r"^raising raised RuntimeError: no such place at \[0\.5.*, 0\.6"),
        (leaving, None, "^leaving raised SystemExit"),
        (far, None, "^far raised RuntimeError: too far"),
        (ragged, None, r"^ragged returned shape \(3,\)"),
        (lambda x, y: None, None, "None"),
        (lambda x, y: "1.5", None, "returned"),
        (lambda x, y: 1j * x, None, "complex"),
        (lambda x, y: [x, y], None, r"returned shape \(2,\) at a point of shape \(2,\); return one number"),
        (lambda x: x, 2, r"returned shape \(2,\)"),
        (lambda x, y: 10**400, None, "OverflowError"),
    ],
)
def test_wrong_answers(function: Callable[..., Any], dim: int | None, sentence: str) -> None:
    """A function that raises or returns no number is named with what it did, one point or many, in one line."""
    made = surface(function, dim=dim)
    points = np.array([[0.5, 0.6], [1e6, 1]])
    asks: list[Callable[[], Any]] = [lambda: made.value(points), lambda: made.gradient(points)]
    if function not in (far, ragged):
        asks += [lambda: made.value(points[0]), lambda: made.gradient(points[0]), lambda: made.hessian(points[0])]
    for ask in asks:
        with pytest.raises(SurfaceError, match=sentence) as caught:
            ask()
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("gradient", "sentence"),
    [
        (lambda x, y: [x], r"returned shape \(1,\) .*return 2 numbers"),
        (lambda x, y: [[x, y], [x, y]], r"return 2 numbers"),
        (raising, "raising raised RuntimeError"),
        (5, "not callable|a function"),
    ],
)
def test_wrong_gradients(gradient: Any, sentence: str) -> None:
    """A gradient that raises or has the wrong length is named, not the function beside it."""
    with pytest.raises(SurfaceError, match=sentence):
        surface(trough, gradient=gradient).gradient([1.0, 2.0])


@pytest.mark.parametrize(
    ("function", "dim", "sentence"),
    [(of_point, None, "dim=2"), (of_point, 0, "dim=2"), (trough, 3, "2 coordinates"), (lambda: 1, None, "dim=2")],
)
def test_dimension(function: Callable[..., Any], dim: int | None, sentence: str) -> None:
    """A function of a point needs its number of coordinates, and one of coordinates has its own."""
    with pytest.raises(SurfaceError, match=sentence):
        surface(function, dim=dim)


FILE = '''"""A file."""
from __future__ import annotations
from dataclasses import dataclass
@dataclass
class Setting:
    k: float = 9
def f(x, y): return x**2 + Setting().k * y**2
def g(x, y): return f(x, y)
def g_gradient(x, y): return [2 * x, 18 * y]
'''


def test_file(tmp_path: Path) -> None:
    """A file's function is a surface, a gradient beside it is its gradient, and the text reads back as the same."""
    (tmp_path / "my functions.py").write_text(FILE)
    text = f"{tmp_path}/my functions.py:"
    assert surface(text + "f").value([1, 2]) == 37
    assert "no gradient" in surface(text + "f").notes[0]
    assert surface(text + "g").notes == ()
    assert surface(surface(text + "g").text).gradient([1, 2]).tolist() == [2, 36]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("def g(x, y): return x", "has no function 'f'; .*g"),
        ("raise RuntimeError('on purpose')", "cannot be imported: RuntimeError: on purpose"),
        ("import sys; sys.exit(2)", "cannot be imported: SystemExit"),
        ("def f(:", "cannot be imported: SyntaxError"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError"),
    ],
)
def test_wrong_files(code: str, sentence: str, tmp_path: Path) -> None:
    """A file that cannot be imported, or lacks the function, is refused with the reason."""
    (tmp_path / "mine.py").write_text(code)
    with pytest.raises(SurfaceError, match=sentence):
        surface(f"{tmp_path}/mine.py:f")


@pytest.mark.parametrize(
    "text", ["/no/such.py:f", "no.py:f", f"{'a' * 300}.py:f", "~no_one/a.py:f", "~\0/a.py:f", "\0.py:f"]
)
def test_no_file(text: str) -> None:
    """A file that is not there is refused with its path, whatever that looks like."""
    with pytest.raises(SurfaceError, match="there is no file"):
        surface(text)
