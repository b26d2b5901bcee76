"""What the page's scripts draw is what the figures draw: levels, ticks, cells; and paths end at the edge of the view."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from javascript import run_js
from ravine import phase_map
from ravine.axes import Axis
from ravine.browser.document import _read
from ravine.browser.engine import program
from ravine.browser.figures import CELLS, figures
from ravine.draw import data, maps
from ravine.draw.mapdata import Colours, picture
from ravine.draw.maps import BRIGHT, ticks_of
from ravine.rules import RULES
from ravine.surfaces import surface

# The page's scripts that need no document; what they ask of the page is stubbed.
PAGE = """
const FACTS = {surface: {dim: 2}, floor: 0};
const ravine = {dark: () => false, state: {start: [1, 1]}, word: (key) => key, races: []};
"""
SCRIPTS = "".join(_read(f"js/{name}.js") for name in ("plot", "scales", "ground", "paths", "cells"))


def drawn(script: str, given: object = None, expression: str = "x^2 + 50y^2") -> Any:
    """Run a script in which `draw` is what the pictures share."""
    return run_js(f"{PAGE}{program(surface(expression), RULES)}{SCRIPTS}\n{script}", given)


@pytest.mark.parametrize(
    "text", ["x^2 + 50y^2", "rosenbrock", "himmelblau", "sqrt(x) + y", "x*0 + 3 + y*0", "exp(9x) + y^4"]
)
def test_the_ground_has_the_levels_of_the_figures(text: str) -> None:
    """The page chooses its contour lines where draw/data.py chooses them, undefined areas and flat ones included."""
    box = [[-1.5, 2.0], [-1.0, 3.0]]
    found = drawn("return draw.levels(data);", box, text)
    x, y = (np.linspace(low, high, 61) for low, high in box)
    with np.errstate(all="ignore"):
        height = surface(text).value(np.stack(np.meshgrid(x, y), axis=-1))
    height = np.where(np.isfinite(height), np.clip(height, -1e200, 1e200), np.nan)
    np.testing.assert_allclose(found, data.levels(height), rtol=1e-9)


AXES = [
    ("lr", 0.0, 0.046, "linear"), ("lr", 1e-4, 1.0, "log"), ("lr", 0.003, 0.004, "log"), ("mu", 0.0, 0.999, "near1"),
    ("L", 25.0, 400.0, "log"), ("m", 0.5, 2.0, "log"), ("mu", 0.0, 0.99, "linear"), ("lr", 1e-9, 3e5, "log"),
]  # fmt: skip


@pytest.mark.parametrize("given", AXES, ids=str)
def test_an_axis_is_labelled_as_in_the_figures(given: tuple[str, float, float, str]) -> None:
    """A map's axis has the ticks of draw/maps.py."""
    name, low, high, scale = given
    found = drawn("return draw.ticks(data);", {"low": low, "high": high, "scale": scale})
    np.testing.assert_allclose(found, ticks_of(Axis(name, low, high, 200, scale)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rule", ["classical", "nag"])
def test_a_map_has_the_colours_of_the_figures(rule: str) -> None:
    """Every cell of a map, however it ended, has the colour that draw/maps.py gives it."""
    found = phase_map("x^2 + 50y^2", rule, size=48, steps=60)
    shown = picture(found, picks=False)
    assert isinstance(shown.colours, Colours)
    image = drawn(
        """
        const walker = {outcome: Uint8Array.from(data.outcome), stopped: Int32Array.from(data.stopped), value: data.value};
        const {image} = draw.cells(walker, data.columns, draw.shades(walker, data.target), data.palette);
        return Array.from(new Uint8Array(image.buffer));
        """,
        {
            "outcome": found.outcome.ravel().tolist(), "stopped": found.stopped.ravel().tolist(), "columns": 48,
            "value": found.value.ravel().tolist(), "target": found.target, "palette": _palette(),
        },
    )  # fmt: skip
    made = np.array(image).reshape(48, 48, 4)
    expected = np.round(255 * maps.painted(shown.shown, shown.kinds, shown.colours)).astype(int)
    far = (abs(made - expected).max(axis=2) > 1).mean()
    assert far <= 0.005, f"{far:.2%} of the cells have other colours"
    assert len({tuple(colour) for colour in made.reshape(-1, 4).tolist()}) > 10


def _palette() -> list[str]:
    return ["#" + "".join(f"{round(255 * part):02x}" for part in BRIGHT(i / (CELLS - 1))[:3]) for i in range(CELLS)]


def test_a_coarse_map_shows_blocks() -> None:
    """While one cell of sixteen is walked, its whole block has its colour."""
    blocks = drawn(
        """
        const values = Float64Array.from({length: 40}, (_, k) => (k + 1) / 1000), mu = values.map((x) => 20 * x);
        const walker = engine.map({rule: "classical", settings: {}, x: {name: "lr", values}, y: {name: "mu", values: mu},
            start: Float64Array.of(1, 1), steps: 50, target: 1e-6, quadratic: true});
        while (!walker.some(1000));
        for (const cell of walker.order.slice(100)) walker.outcome[cell] = 4;
        const {image, counts} = draw.cells(walker, 40, draw.shades(walker, 1e-6), data);
        return {image: Array.from(image), counts};
        """,
        _palette(),
    )
    image = np.array(blocks["image"]).reshape(10, 4, 10, 4)
    assert (image == image[:, :1, :, :1]).all()
    assert sum(blocks["counts"]) == 1600
    assert all(count % 16 == 0 for count in blocks["counts"])
    assert len(np.unique(image)) > 3


numbers = st.floats(-3, 3, allow_nan=False).map(lambda x: round(x, 3))


@settings(deadline=None, max_examples=15)
@given(st.lists(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=9), min_size=20, max_size=20))
def test_a_path_is_cut_at_the_view_and_nowhere_else(paths: list[list[tuple[float, float]]]) -> None:
    """What is left of a path lies in the view, and every point of the path that lies in the view is left."""
    view = [[-1, 1], [-2, 1.5]]
    found = drawn(
        "return data.paths.map((p) => draw.clipped(p.map((q) => q[0]), p.map((q) => q[1]), p.length, data.view));",
        {"paths": paths, "view": view},
    )
    for path, (xs, ys) in zip(paths, found, strict=True):
        left = np.array([xs, ys], float).T.reshape(-1, 2)
        low, high = np.array(view, float).T
        inside = left[np.isfinite(left).all(axis=1)]
        assert ((inside >= low - 1e-12) & (inside <= high + 1e-12)).all()
        share = np.linspace(0, 1, 23)[:, None]
        walked = np.concatenate([np.array(a) * (1 - share) + np.array(b) * share for a, b in pairwise(path)])
        for point in walked[((walked > low + 1e-9) & (walked < high - 1e-9)).all(axis=1)]:
            assert _distance(point, left) < 1e-9


def _distance(point: np.ndarray, pieces: np.ndarray) -> float:
    """Return how far a point is from a path in pieces, with NaN between them."""
    a, b = pieces[:-1], pieces[1:]
    along = b - a
    with np.errstate(all="ignore"):
        share = np.clip(((point - a) * along).sum(axis=1) / (along**2).sum(axis=1), 0, 1)
        gap = np.linalg.norm(a + np.nan_to_num(share)[:, None] * along - point, axis=1)
    return float(np.nanmin(np.append(gap, np.linalg.norm(pieces - point, axis=1))))


def test_the_path_of_a_run_that_flees_ends_at_the_edge() -> None:
    """A diverging path is drawn up to where it leaves the view for the last time, and its end lies on the edge."""
    last, edge = drawn(
        """
        const run = {rule: "sgd", settings: {lr: 0.021}};
        const race = engine.race(run, {start: [1, 1], steps: 200, tol: 0});
        FACTS.surface.dim = 2;
        const [xs, ys] = draw.columns(race), found = draw.trail(race, xs, ys, [[-2, 2], [-3, 3]]);
        if (race.stopped !== "diverged") throw new Error(race.stopped);
        return [found.last, found.edge];
        """
    )
    assert abs(edge[1]) == pytest.approx(3)
    assert abs(edge[0]) < 1
    assert 1.1**last < 3 < 1.1 ** (last + 1)


def test_undefined_ground_is_grey() -> None:
    """Where a surface is undefined its ground has the one colour that no height has."""
    image = drawn(
        """
        const view = [[-1, 1], [0, 1]], pixels = draw.ground(view, 40, 20, 1, draw.levels(view));
        return Array.from(pixels, (c) => c >>> 0);
        """,
        expression="sqrt(x) + y",
    )
    colours = np.array(image).reshape(20, 40)
    grey = 0xFFC1BCB9  # red last
    assert (colours[:, :19] == grey).all()
    assert (colours[:, 22:] != grey).all()


@pytest.mark.parametrize(("dim", "panels"), [(1, 0), (2, 0), (3, 3), (20, 12)])
def test_there_is_a_picture_for_every_number_of_coordinates(dim: int, panels: int) -> None:
    """One and two coordinates have a terrain, more of them a panel for each direction, twelve at most."""
    made = figures({"surface": {"dim": dim, "variables": [f"x{i}" for i in range(dim)]}})
    assert (made["terrain"] is not None) == (dim <= 2)
    assert len(made["panels"]) == panels
