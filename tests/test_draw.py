"""Pictures: what they show, that they can be written, and that bad wishes are refused."""

import base64
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ravine
from ravine.draw import data, figures, notebook
from ravine.draw.film import at_step, film
from ravine.errors import DrawError
from ravine.files import writable

FIGURE_1 = ["sgd:lr=0.001", "classical:lr=0.001,mu=0.5", "sgd:lr=0.01", "classical:lr=0.01,mu=0.5"]


@pytest.fixture(scope="module")
def blog() -> ravine.Race:
    return ravine.race("bowl", FIGURE_1)


def test_panels_share_scale_and_heights(blog: ravine.Race) -> None:
    """Figure 1 has two panels with the same limits, two trails each, and a colour that means the same in both."""
    scene = data.scene(blog, "lr")
    assert [panel.title for panel in scene.panels] == ["lr = 0.001", "lr = 0.01"]
    assert [[t.hue for t in panel.trails] for panel in scene.panels] == [[0, 1], [0, 1]]
    assert scene.box == ((-200.0, 200.0), (-100.0, 100.0))
    axes = figures.draw(blog, panels="lr").axes
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in axes}) == 1


def test_contour_levels_reach_valley_and_slopes() -> None:
    """Half of the levels lie in the lowest fifth of Rosenbrock's heights, and the top of the box still has some."""
    ground = data.terrain(ravine.surface("rosenbrock"), ((-2, 2), (-1, 3)))
    low, high = ground.height.min(), ground.height.max()
    share = (ground.levels - low) / (high - low)
    assert (np.diff(ground.levels) > 0).all()
    assert (share < 0.2).sum() >= len(share) / 2
    assert (share > 0.4).sum() >= 2


def test_predicted_slopes_lie_beside_the_measured_ones() -> None:
    """Over the last third of a loss curve the dashed line is nowhere below the curve by more than a factor of two."""
    result = ravine.race("bowl", ["sgd:lr=0.005", "classical:lr=0.01,mu=0.9", "nag:lr=0.01,mu=0.9"], None, 200)
    for curve in data.curves(result).curves:
        late = slice(2 * len(curve.heights) // 3, None)
        assert (curve.heights[late] <= 2 * curve.predicted[late]).all()
        ratio = curve.predicted[-1] / curve.predicted[-41]
        assert ratio == pytest.approx(
            next(r for r in result.runs if r.method.label == curve.label).predicted_rate ** 80
        )


def test_a_fleeing_run_does_not_shrink_the_picture() -> None:
    """The box holds the starts and the minimum, whatever diverges."""
    result = ravine.race("x^2 + 50y^2", ["sgd:lr=0.01", "sgd:lr=0.05"], (180, 90), 100)
    (x0, x1), (y0, y1) = data.scene(result).box
    assert x0 < 0 < 180 < x1 < 1000
    assert y0 < 0 < 90 < y1 < 1000


def test_a_race_without_a_minimum_shows_the_domain() -> None:
    """On the saddle, where everything flees, the picture is the catalogue's."""
    assert data.scene(ravine.race("saddle")).box == ((-2.0, 2.0), (-2.0, 2.0))


@pytest.mark.parametrize(
    ("surface", "start", "view", "panels"),
    [
        ("bowl", None, "contours", "rule"), ("bowl", [(180, 90), (-100, 50)], "contours", "start"),
        ("rosenbrock", None, "terrain", ""),
        ("double_well", None, "curve", ""), ("spectrum(1,2,3)", None, "", ""), ("saddle", None, "contours", ""),
        ("0*x + 3", (1,), "curve", ""), ("0*x*y", (1, 1), "contours", ""), ("log(x) + y^2", (2, 2), "contours", ""),
        ("x^2 + y^2", (1e-9, 1e-9), "contours", ""), ("ackley", None, "loss", ""), ("1e12x^2 + y^2", (1, 1), "terrain", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_every_view_can_be_written(
    surface: str, start: object, view: str, panels: str, suffix: str, tmp_path: Path
) -> None:
    """Each view of each kind of surface is written as PNG, SVG and PDF, also where the ground is flat or undefined."""
    result = ravine.race(surface, ["sgd:lr=0.001", "classical:lr=0.001,mu=0.9"], start, 30, tol=0)  # type: ignore[arg-type]
    figures.save(figures.draw(result, view, panels), tmp_path / f"a.{suffix}")
    head = (tmp_path / f"a.{suffix}").read_bytes()[:200]
    assert {"png": b"PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix] in head
    assert len(list(tmp_path.iterdir())) == 1


def test_a_picture_shows_its_trails_in_their_colours(blog: ravine.Race, tmp_path: Path) -> None:
    """Both colours of figure 1 are on the page, and most of it is not blank."""
    figures.save(figures.draw(blog, panels="lr"), tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3).astype(int)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (abs(pixels - colour).max(axis=1) < 12).sum() > 100
    assert (pixels.min(axis=1) < 250).mean() > 0.4


@pytest.mark.parametrize(
    ("surface", "method", "start", "tolerance"),
    [
        ("x^2 + 50y^2 + 5", "sgd:lr=0.009", (1, 1), 0.02),  # levels off at 5
        ("rastrigin", "sgd:lr=0.001", (3.2, 2.1), 0.05),  # in a hollow above the lowest
        ("double_well", "sgd:lr=0.05", (1.6,), 0.05),
    ],
)
def test_predictions_level_off_where_the_run_does(
    surface: str, method: str, start: tuple[float, ...], tolerance: float
) -> None:
    """The dashed line follows the curve also where the minimum it leads to is not at height 0."""
    curve = data.curves(ravine.race(surface, method, start, 60)).curves[0]
    late = slice(3 * len(curve.heights) // 4, None)
    np.testing.assert_allclose(curve.predicted[late], curve.heights[late], rtol=tolerance)


@pytest.mark.parametrize(
    ("surface", "start", "steps"),
    [
        ("1e16 + x^2 + y^2", (1, 1), 5),
        ("x^2 + y^2", (1e150, 1e150), 5),
        ("exp(x^2+y^2)", (25, 2), 5),
        ("x^4", (10,), 30),
    ],
)
def test_extreme_numbers_are_drawn(surface: str, start: tuple[float, ...], steps: int, tmp_path: Path) -> None:
    """A picture of huge or nearly equal heights is written, without a warning."""
    result = ravine.race(surface, ["sgd:lr=0.1", "sgd:lr=1.5"], start, steps)
    figures.save(figures.draw(result), tmp_path / "a.png")


@pytest.mark.parametrize(("view", "panels"), [("", "foo"), ("loss", "lr"), ("terrain", "rule"), ("contours", "MU")])
def test_panels_that_do_not_fit_are_refused(view: str, panels: str) -> None:
    """A key that no run has, or a view of one panel, is refused."""
    with pytest.raises(DrawError, match="panel"):
        figures.draw(ravine.race("bowl", "sgd:lr=0.01"), view, panels)


def test_several_starts_are_told_apart() -> None:
    """With more than one start every label names its own."""
    labels = [t.label for t in data.scene(ravine.race("bowl", "sgd:lr=0.01", [(1, 1), (2, 2)])).panels[0].trails]
    assert labels == ["sgd lr=0.01 from (1, 1)", "sgd lr=0.01 from (2, 2)"]


def test_a_long_film_keeps_its_length(tmp_path: Path) -> None:
    """More seconds than frames allow means fewer frames a second."""
    count = film(ravine.race("double_well", "sgd:lr=0.05"), tmp_path / "a.gif", seconds=60, fps=20)
    with Image.open(tmp_path / "a.gif") as made:
        pauses = []
        for i in range(made.n_frames):  # type: ignore[attr-defined]
            made.seek(i)
            pauses.append(made.info["duration"])
    assert count == 600
    assert sum(pauses) == pytest.approx(60_000, rel=0.05)


@pytest.mark.parametrize(
    ("surface", "view", "word"),
    [("bowl", "curve", "1 coordinate"), ("double_well", "contours", "2 coordinates"), ("bowl", "contour", "contours")],
)
def test_views_that_do_not_fit_are_refused(surface: str, view: str, word: str) -> None:
    """The sentence names the view that would fit."""
    with pytest.raises(DrawError, match=word):
        figures.draw(ravine.race(surface, "sgd:lr=0.001"), view)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
@pytest.mark.parametrize(
    ("surface", "view", "arrows"), [("bowl", "flat", True), ("bowl", "terrain", False), ("washboard", "curve", False)]
)
def test_films_move(surface: str, view: str, arrows: bool, suffix: str, tmp_path: Path) -> None:
    """A film has the frames it says, of one size, and its balls are elsewhere at the end."""
    result = ravine.race(surface, ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9"], None, 40)
    seen: list[int] = []
    count = film(result, tmp_path / f"a.{suffix}", view, arrows, 0.6, 10, lambda done, total: seen.append(done))
    with Image.open(tmp_path / f"a.{suffix}") as made:
        assert made.n_frames == count == 6  # type: ignore[attr-defined]
        first = np.asarray(made.convert("RGB")).astype(int)
        made.seek(5)
        assert (abs(np.asarray(made.convert("RGB")).astype(int) - first).max(axis=-1) > 40).sum() > 100
    assert seen == list(range(1, 7))


def test_a_film_without_ffmpeg_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MP4 without ffmpeg is refused with what to do instead."""
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(DrawError, match="ffmpeg"):
        film(ravine.race("bowl", "sgd:lr=0.01"), tmp_path / "a.mp4")


def test_an_mp4_is_one(tmp_path: Path) -> None:
    """With ffmpeg a film becomes an MP4 file."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    film(ravine.race("bowl", "sgd:lr=0.01"), tmp_path / "a.mp4", seconds=0.5, fps=10)
    assert b"ftyp" in (tmp_path / "a.mp4").read_bytes()[:16]


def test_an_interrupted_film_keeps_its_frames(tmp_path: Path) -> None:
    """Ctrl-C after four frames leaves a film of those frames."""

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    assert film(ravine.race("bowl", "sgd:lr=0.01"), tmp_path / "a.gif", seconds=1, fps=10, progress=stop) == 4


def test_a_ball_between_steps_is_on_the_straight_line() -> None:
    """At step 1.25 a quarter of the way to the next point is made; after the end it stays."""
    points = np.array([(0.0, 0.0), (1.0, 0.0), (1.0, 4.0)])
    assert at_step(points, 1.25)[1].tolist() == [1.0, 1.0]
    assert at_step(points, 0)[1].tolist() == [0.0, 0.0]
    assert at_step(points, 99)[1].tolist() == [1.0, 4.0]


def test_a_notebook_shows_table_and_figure_without_markup_from_outside() -> None:
    """The HTML has a row a run, one inlined PNG, and escapes what it is told."""
    result = ravine.race("x^2 + 50y^2", FIGURE_1, (180, 90))
    html = result._repr_html_()
    assert html.count("<tr>") == 5
    picture = re.search(r"data:image/png;base64,([^\"]+)", html)
    assert picture
    assert base64.b64decode(picture[1]).startswith(b"\x89PNG")
    hostile = ravine.surface(lambda x, y: x * x + y * y)
    hostile = type(hostile)(**{**vars(hostile), "name": "<img onerror=1>"})
    assert "<img onerror" not in notebook.html(ravine.race(hostile, "sgd:lr=0.1", (1, 1), 5))


@pytest.mark.parametrize(
    ("out", "word"), [("a.xyz", "suffix"), ("none/a.png", "no such folder"), ("", "suffix"), (".", "suffix")]
)
def test_files_that_cannot_be_written_are_refused(
    out: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong suffix and a missing folder are told before any work."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DrawError, match=word):
        writable(out, ["png"])


def test_pictures_leave_global_style_alone() -> None:
    """Drawing changes no rcParams and opens no pyplot figure."""
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    figures.draw(ravine.race("bowl", "sgd:lr=0.01"), "loss")
    assert dict(mpl.rcParams) == before
