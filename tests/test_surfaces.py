"""Surfaces: the catalogue's claims, spectra by their eigenvalues, shapes, text that reads back, and errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drawn import seeded
from ravine.errors import SurfaceError
from ravine.surfaces import Minimum, Surface, surface
from ravine.surfaces.catalogue import CATALOGUE, find
from ravine.surfaces.check import check_gradient
from ravine.surfaces.spectrum import spectrum

NAMES = [*CATALOGUE, *(f"{e.name}({n})" for e in CATALOGUE.values() if callable(e.text) for n in (3, 6))]
KNOWN = [
    pytest.param(surface(name), low, id=f"{name}-{i}") for name in NAMES for i, low in enumerate(surface(name).minima)
]
EXPRESSIONS = ["x^2 + 50y^2", "sin(x)cos(3y) + x^3", "exp(-x^2)abs(y - 1/3)", "x/(1 + y^2)", "tanh(x1 + 2x2)x3", "2^x"]
SPECTRA = ["spectrum(3)", "spectrum(2,100)", "spectrum(2,100,angle=30)", "spectrum(1,-2,0.5,seed=7)"]


def inside(made: Surface, count: int = 33) -> np.ndarray:
    """Draw points of a surface's domain, shape (count, n)."""
    low, high = np.array(made.domain or [(-2, 2)] * made.dim).T
    return np.random.default_rng(1).uniform(low, high, (count, made.dim))


def kinked(made: Surface) -> bool:
    """Say whether the minimum is a kink."""
    return made.name.split("(")[0] in CATALOGUE and CATALOGUE[made.name.split("(")[0]].kink


@pytest.mark.parametrize("name", NAMES)
def test_entries(name: str) -> None:
    """Every entry of the catalogue has a source, a domain with its start and minima inside, and says what it is."""
    made = surface(name)
    low, high = np.array(made.domain).T
    assert made.source
    assert made.latex
    assert made.name == made.text == name
    assert len(made.start) == len(made.domain) == made.dim
    for point in (made.start, *(known.point for known in made.minima)):
        assert np.all(low <= point)
        assert np.all(point <= high)


@pytest.mark.parametrize(("made", "known"), KNOWN)
def test_minima(made: Surface, known: Minimum) -> None:
    """At each known minimum the value is right, the gradient zero, and the Hessian positive semidefinite."""
    assert made.value(known.point) == pytest.approx(known.value, rel=1e-12, abs=1e-12)
    if kinked(made):
        assert made.gradient(known.point).tolist() == [0] * made.dim
        nudges = np.random.default_rng(0).normal(size=(100, made.dim)) * 1e-4
        assert np.all(made.value(np.array(known.point) + nudges) > known.value)
    else:
        curvatures = made.curvatures(known.point)
        assert abs(made.gradient(known.point)).max() <= 1e-13 * max(1, curvatures.max())
        assert curvatures.min() >= -1e-13 * curvatures.max()


@pytest.mark.parametrize("name", [name for name in NAMES if surface(name).minima])
def test_global(name: str) -> None:
    """No point of the domain is lower than the minima that are said to be global, and the others are higher."""
    made = surface(name)
    lowest = {known.value for known in made.minima if known.everywhere}
    assert len(lowest) == 1
    assert made.value(inside(made, 2000)).min() > min(lowest) - 1e-12
    assert all(known.value > min(lowest) for known in made.minima if not known.everywhere)


@pytest.mark.parametrize(
    ("text", "point", "value"),
    [
        ("bowl", (180, 90), 437400),
        ("rosenbrock", (-1.2, 1), 24.2),
        ("rosenbrock(3)", (0, 0, 0), 2),
        ("beale", (0, 0), 14.203125),
        ("himmelblau", (0, 0), 170),
        ("goldstein_price", (0, 0), 600),
        ("booth", (0, 0), 74),
        ("matyas", (1, 0), 0.26),
        ("ackley", (1, 0), 20 + np.e - 20 * np.exp(-0.2 * np.sqrt(0.5)) - np.e),
        ("rastrigin(3)", (0.5, 1, 0), 10 * 3 + 0.25 + 10 + 1 - 10 - 10),
        ("styblinski_tang(1)", (1,), -5),
        ("mccormick", (0, 0), 1),
        ("easom", (np.pi, np.pi + 1), -np.cos(1) * np.exp(-1)),
        ("camel", (0, 1), 0),
        ("three_hump_camel", (1, 1), 2 - 1.05 + 1 / 6 + 2),
        ("griewank", (0, 2), 4 / 4000 - np.cos(2 / np.sqrt(2)) + 1),
        ("forrester", (1 / 3 + 1 / 6,), np.sin(2)),
    ],
)
def test_formulas(text: str, point: tuple[float, ...], value: float) -> None:
    """Away from its minimum an entry has the value that its published formula gives by hand."""
    assert surface(text).value(point) == pytest.approx(value, rel=1e-14)


@pytest.mark.parametrize("text", [*NAMES, *EXPRESSIONS, *SPECTRA])
def test_derivatives(text: str) -> None:
    """Gradients agree with differences of values, Hessians with differences of gradients and with their transpose."""
    made = surface(text)
    assert check_gradient(made, inside(made)).worst <= 1e-5
    for point in inside(made, 4):
        exact = made.hessian(point)
        steps = 1e-5 * np.eye(made.dim)
        rows = (made.gradient(point + steps) - made.gradient(point - steps)) / 2e-5
        np.testing.assert_allclose(exact, rows, rtol=1e-5, atol=1e-6 * max(1, abs(exact).max()))
        np.testing.assert_allclose(exact, exact.T, rtol=1e-12, atol=1e-12 * abs(exact).max())


@pytest.mark.parametrize("text", [*NAMES, *EXPRESSIONS])
def test_batch(text: str) -> None:
    """Many points at once give, bit for bit, what each point gives alone."""
    made = surface(text)
    points = inside(made)
    assert np.array_equal(made.value(points), [made.value(point) for point in points])
    assert np.array_equal(made.gradient(points), [made.gradient(point) for point in points])


@pytest.mark.parametrize("text", [*NAMES, *EXPRESSIONS, *SPECTRA, "x  +\n y", "x² + 2·y"])
def test_round_trip(text: str) -> None:
    """The text of a surface reads back as the same surface: its text, name, values and gradients."""
    made = surface(text)
    again = surface(made.text)
    points = inside(made)
    assert (again.text, again.name, again.variables, again.quadratic) == (
        made.text,
        made.name,
        made.variables,
        made.quadratic,
    )
    assert np.array_equal(again.value(points), made.value(points))
    assert np.array_equal(again.gradient(points), made.gradient(points))


@seeded
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.none() | st.integers(0, 10**6))
def test_spectrum(curvatures: list[float], seed: int | None) -> None:
    """The eigenvalues of a spectrum's Hessian are its curvatures, everywhere, in whatever frame."""
    made = spectrum(*curvatures, seed=seed)
    largest = max(map(abs, curvatures))
    np.testing.assert_allclose(made.curvatures(np.ones(made.dim)), sorted(curvatures), rtol=1e-12, atol=1e-13 * largest)
    np.testing.assert_allclose(
        made.gradient(np.ones(made.dim)), made.hessian(np.zeros(made.dim)).sum(axis=1), atol=1e-9
    )
    assert made.quadratic
    again = surface(made.text)
    assert np.array_equal(again.hessian(np.zeros(made.dim)), made.hessian(np.zeros(made.dim)))


@pytest.mark.parametrize(("angle", "axis"), [(0, (1, 0)), (90, (0, 1)), (30, (np.sqrt(3) / 2, 0.5)), (-45, (1, -1))])
def test_angle(angle: float, axis: tuple[float, float]) -> None:
    """The first curvature of a turned spectrum lies along the axis turned by so many degrees."""
    made = spectrum(2, 100, angle=angle)
    np.testing.assert_allclose(made.hessian([0, 0]) @ axis, 2 * np.array(axis), atol=1e-13)
    np.testing.assert_allclose(made.curvatures([3, 4]), [2, 100], rtol=1e-13)


@pytest.mark.parametrize(
    ("text", "quadratic"),
    [
        ("x^2 + 50y^2", True), ("(x - 2y)^2 + 3x + 1", True), ("x*y", True), ("3x", True), ("booth", True), ("sphere(7)", True),
        ("saddle", True), ("spectrum(1,2)", True), ("x^3", False), ("x^2*y", False), ("sin(x)", False), ("1/x", False),
        ("abs(x)", False), ("rosenbrock", False), ("(x^2 + y)^2", False), ("x^1.5", False),
    ],
)  # fmt: skip
def test_quadratic(text: str, quadratic: bool) -> None:
    """A surface is flagged quadratic where its Hessian is the same everywhere."""
    assert surface(text).quadratic is quadratic


@pytest.mark.parametrize("shape", [(2,), (1, 2), (5, 2), (3, 4, 2), (0, 2), (2, 0, 2)])
@pytest.mark.parametrize("text", ["bowl", "spectrum(2,100,angle=30)"])
def test_shapes(text: str, shape: tuple[int, ...]) -> None:
    """Points of shape (…, n) have values of shape (…) and gradients of the same shape; the points stay as they were."""
    made, points = surface(text), np.random.default_rng(0).normal(size=shape)
    kept = points.copy()
    assert np.shape(made.value(points)) == shape[:-1]
    assert made.gradient(points).shape == shape
    assert np.array_equal(points, kept)
    if len(shape) == 1:
        assert type(made.value(points)) is float
        assert made.hessian(points).shape == (2, 2)
        assert made.curvatures(points).tolist() == sorted(made.curvatures(points))


def test_one_coordinate() -> None:
    """A surface of one coordinate takes a bare number for a point."""
    made = surface("x^2")
    assert (made.value(3), made.gradient(3).tolist(), made.hessian(3).tolist()) == (9.0, [6.0], [[2.0]])


@pytest.mark.parametrize("point", [1, [1], [1, 2, 3], [[1], [2]], "a", None, [None, 1], [[1, 2], [3]], [], {1, 2}])
def test_points(point: object) -> None:
    """What is no point of the surface is refused with a sentence that says how many coordinates it has."""
    for ask in (surface("bowl").value, surface("bowl").gradient, surface("bowl").hessian):
        with pytest.raises(SurfaceError, match=r"2 (coordinates|numbers)"):
            ask(point)


def test_hessian_of_many() -> None:
    """The Hessian is asked for at one point."""
    with pytest.raises(SurfaceError, match="at one point"):
        surface("bowl").hessian([[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rosenbrok", "did you mean 'rosenbrock'"),
        ("rastrigen(3)", "did you mean 'rastrigin'"),
        ("rosenbrock(1)", "2 to 20"),
        ("sphere(0)", "1 to 20"),
        ("sphere(999999999)", "1 to 20"),
        ("sphere(9999999999)", "1 to 20"),
        ("rosenbrock(-1)", "2 to 20"),
        ("rosenbrock(2.5)", "2 to 20"),
        ("bowl(3)", "2 coordinates"),
        ("spectrum()", "1 to 2000"),
        (f"spectrum({'1,' * 2001})", "1 to 2000"),
        (f"spectrum({'1,' * 100_000})", "1 to 2000"),
        ("spectrum(1,2,3,angle=30)", "an angle turns two curvatures, got 3"),
        ("spectrum(1,2,angle=1e400)", "finite"),
        ("spectrum(1,2,angle=1,seed=2)", "not both"),
        *((f"spectrum({words})", "spectrum") for words in (
            "nan", "1e400", "inf", "[1,2]", "x", "1+2", "1j", "1,2,k=3", "*[1,2]", "9" * 400, "1)(2", "--1", "None", "'1'",
            "True", "1,2,angle=1,angle=2", "1,2,angle=nan", "1,2,angle=True",
            "1,2,seed=-1", "1,2,seed=1.5", "1,2,seed=1e400", "1,2,seed=nan", "1,2,seed=None", "[" * 3000, "-" * 9000 + "1",
        )),
    ],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_sentences(text: str, sentence: str) -> None:
    """A name or spectrum that cannot be had is refused with a sentence that says what can."""
    with pytest.raises(SurfaceError, match=sentence) as caught:
        surface(text)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("what", [None, 5, b"x", ["x"], object()])
def test_no_surface(what: object) -> None:
    """What is neither text nor function is refused by its type."""
    with pytest.raises(SurfaceError, match=type(what).__name__):
        surface(what)  # type: ignore[arg-type]


def test_find() -> None:
    """The catalogue knows its names in any case, with spaces around, and no others."""
    bowl = surface("bowl")
    assert surface(bowl) is bowl
    assert find(" Rosenbrock ( 3 ) ").dim == 3  # type: ignore[union-attr]
    assert find("no_such_name") is None
