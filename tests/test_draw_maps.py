"""Maps as pictures: lines, marks and colours are where they should be, and what cannot be drawn is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

from ravine import algebra
from ravine.cells import DIVERGED, NOT_WALKED, NOT_YET, REACHED, UNDEFINED
from ravine.draw import figures, mapdata, maps, notebook, sheets
from ravine.errors import DrawError
from ravine.phase import phase_map
from ravine.phasemap import PhaseMap

BOWL = "x^2 + 50y^2"


def walked(rule: str = "heavyball", surface: Any = BOWL, size: int = 30, **given: Any) -> PhaseMap:
    """Return a map of steps whose outcomes are those of the closed form, at once."""
    found = phase_map(surface, rule, size=size, show="predicted", **given)
    rate = found.predicted
    assert rate is not None
    with np.errstate(all="ignore"):
        needed = np.nan_to_num(np.ceil(np.log(1e-6 / 437400) / np.log(rate) / 2), nan=1e9, posinf=1e9)
    outcome = np.where(rate > 1, DIVERGED, np.where((needed > 0) & (needed <= 200), REACHED, NOT_YET)).astype(np.int8)
    lost = np.clip(20 / np.maximum(rate - 1, 0.01), 1, 200)
    stopped = np.where(outcome == REACHED, needed, np.where(outcome == DIVERGED, lost, 200)).astype(np.int32)
    value = np.where(outcome == DIVERGED, 1e12, 1.0)
    return replace(found, show="steps", target=1e-6, outcome=outcome, stopped=stopped, value=value)


def rendered(made: Any) -> None:
    """Render a figure, so that a warning in the renderer fails the test; laying it out takes longest and is left out."""
    made.set_layout_engine("none")
    made.set_dpi(40)
    made.canvas.draw()


@pytest.fixture(scope="module")
def bowl() -> PhaseMap:
    return walked()


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ("heavyball", {}), ("nag", {"mu": "0:0.999:near1", "lr": "1e-4:0.03:log"}), ("ema", {}), ("triple", {}),
        ("qhm:mu=0.9", {"axes": {"nu": (0, 1)}}), ("sgd", {}),
    ],
)  # fmt: skip
def test_the_boundary_has_margin_zero(rule: str, given: Any) -> None:
    """At every point of the line the closed form's margin is 0, on every scale of the axes, and nowhere is lr 0."""
    found = walked(rule, **given)
    (line,) = (line for line in mapdata.picture(found, picks=False).lines if line.kind == "boundary")
    points = np.concatenate(line.parts)
    row = found.rule.row(**{
        key: value
        for key, value in {**found.fixed, found.x.name: points[:, 0], found.y.name: points[:, 1]}.items()
        if key in found.rule.parameters
    })  # fmt: skip
    margin = np.minimum(algebra.margin(row, 2.0), algebra.margin(row, 100.0))
    assert len(points) > 50
    assert abs(margin).max() < 1e-6
    assert (points[:, 0] > 0).all()


def test_critical_damping_is_polyaks() -> None:
    """For heavy ball the lines are lr·h = (1 ± √mu)², and they meet the boundary at the optimum."""
    lines = {line.kind: line for line in mapdata.picture(walked(), picks=False).lines}
    for kind, h in {"slow": 2.0, "fast": 100.0}.items():
        lr, mu = np.concatenate(lines[kind].parts).T
        off = np.minimum(abs(np.sqrt(lr * h) - (1 - np.sqrt(mu))), abs(np.sqrt(lr * h) - (1 + np.sqrt(mu))))
        assert off.max() < 1e-6
        assert lines[kind].label == f"critical damping at h = {h:g}"


def test_marks_stand_at_their_cells(bowl: PhaseMap) -> None:
    """The star is theory's optimum, the circle the best cell; in the figure they are at the same places."""
    marks = {mark.kind: mark for mark in mapdata.picture(bowl).marks}
    assert bowl.theory is not None
    assert bowl.theory.optimum is not None
    assert bowl.best is not None
    assert (marks["optimum"].x, marks["optimum"].y) == (bowl.theory.optimum["lr"], bowl.theory.optimum["mu"])
    assert (marks["best"].x, marks["best"].y) == (bowl.best.settings["lr"], bowl.best.settings["mu"])
    drawn = {str(line.get_marker()): np.ravel(line.get_data()).tolist() for line in maps.draw(bowl).axes[0].lines}
    assert drawn["*"] == [marks["optimum"].x, marks["optimum"].y]
    assert drawn["o"] == [marks["best"].x, marks["best"].y]


def test_marks_on_other_scales_and_missing_settings() -> None:
    """On a log axis a mark stands at the logarithm; gradient descent's optimum is a line; a default is 0."""
    ema = walked("ema", lr="0.001:4:log", mu="0:0.99:near1")
    (star,) = (line for line in maps.draw(ema).axes[0].lines if line.get_marker() == "*")
    optimum = ema.theory.optimum if ema.theory else None
    assert optimum is not None
    np.testing.assert_allclose(
        np.ravel(star.get_data()), [np.log(optimum["lr"]), -np.log1p(-optimum["mu"])], rtol=1e-12
    )
    sgd = next(mark for mark in mapdata.picture(walked("sgd")).marks if mark.kind == "optimum")
    assert np.isnan(sgd.y)
    tau = walked("heavyball:mu=0.5", axes={"tau": (0, 0.9)})
    assert next(mark for mark in mapdata.picture(tau).marks if mark.kind == "optimum").y == 0


def test_cells_have_their_colours(bowl: PhaseMap) -> None:
    """A cell with an outcome has its flat colour; fewer steps are brighter; the image is in place."""
    shown = mapdata.picture(bowl)
    colour = maps.painted(shown.shown, shown.kinds, shown.colours)
    for outcome in (NOT_YET, DIVERGED):
        assert (colour[bowl.outcome == outcome] == to_rgba(maps.CLASSES[outcome])).all()
    reached = bowl.outcome == REACHED
    light = colour[reached][:, :3] @ (0.2126, 0.7152, 0.0722)
    assert light[bowl.stopped[reached].argmin()] > light[bowl.stopped[reached].argmax()] + 0.3
    (image,) = maps.draw(bowl).axes[0].images
    half = (bowl.x.high - bowl.x.low) / 29 / 2
    assert image.get_extent()[:2] == pytest.approx([bowl.x.low - half, bowl.x.high + half])


@pytest.mark.parametrize("show", ["value", "rate"])
def test_other_numbers(show: str) -> None:
    """Values are shown on a logarithmic scale above the minimum, rates on a linear one."""
    found = phase_map(
        lambda x, y: x * x + 50 * y * y - 3, "nag", lr="0:0.02", start=(180, 90), size=8, steps=30, show=show
    )
    shown = mapdata.picture(found)
    assert shown.colours is not None
    assert shown.colours.scale == ("log" if show == "value" else "linear")
    assert len(shown.picks) == len(shown.race.runs if shown.race else ()) > 1
    maps.draw(found)


def test_values_without_a_bottom_need_both_signs() -> None:
    """On a saddle values below 0 and above it have colours, and the ticks hold both."""
    found = walked("classical", size=12)
    value = np.linspace(-1e6, 1e3, 144).reshape(12, 12)
    found = replace(found, show="value", theory=None, value=value, outcome=np.full((12, 12), NOT_YET, np.int8))
    colours = mapdata.scale_of([found])
    assert colours is not None
    assert (colours.scale, colours.low) == ("symlog", -1e6)
    assert -1e6 <= min(colours.ticks) < 0 in colours.ticks
    rendered(maps.draw(found))


@pytest.mark.parametrize("outcome", [NOT_YET, DIVERGED, UNDEFINED, NOT_WALKED])
def test_a_map_without_numbers_is_drawn(bowl: PhaseMap, outcome: int) -> None:
    """Where no cell has a number there is no colour bar, and the map is one flat colour."""
    found = replace(bowl, outcome=np.full_like(bowl.outcome, outcome))
    shown = mapdata.picture(found)
    assert shown.colours is None
    assert [(region.outcome, region.share) for region in shown.regions] == [(outcome, 1.0)]
    assert (len(shown.picks) == 0) == (outcome == NOT_WALKED)
    if outcome in (DIVERGED, NOT_WALKED):  # with and without a race beside it
        rendered(maps.draw(found))


@pytest.mark.parametrize(
    ("surface", "rule", "given"),
    [
        ("washboard", "classical", {"lr": "0:0.4"}), ("spectrum(1,10,100)", "nag", {}), ("himmelblau", "nag", {}),
        (BOWL, "triple", {"size": 2}), (BOWL, "heavyball", {"lr": "1:2", "size": 5}),
        (BOWL, "heavyball", {"start": [(180, 90), (1, -2)], "size": 6}),
    ],
)  # fmt: skip
def test_every_surface_can_be_drawn(surface: str, rule: str, given: dict[str, Any]) -> None:
    """One, two and three coordinates, two cells a side, everything diverged, several starts."""
    rendered(maps.draw(walked(rule, surface, **{"size": 12, **given})))


def test_a_schedule_has_no_lines() -> None:
    """Under a schedule nothing is predicted: no lines, no star, and the picked cells race with it."""
    found = phase_map(lambda x, y: x * x + 50 * y * y, "qhm:mu=ramp(0.5,0.9,0.01)", axes={"nu": (0, 1)}, lr="0:0.02",
                      start=(1, 1), size=6, steps=20, target=0.5)  # fmt: skip
    shown = mapdata.picture(found)
    assert not shown.lines
    assert "optimum" not in {mark.kind for mark in shown.marks}
    assert "ramp" in shown.title
    assert shown.race is not None


def test_the_race_runs_the_numbered_cells(bowl: PhaseMap) -> None:
    """Each run has its cell's settings, the first is the best cell's, one is lost, and no two are neighbours."""
    shown = mapdata.picture(bowl)
    assert shown.race is not None
    assert bowl.best is not None
    for pick, run in zip(shown.picks, shown.race.runs, strict=True):
        assert {key: run.method.settings[key] for key in pick.cell.settings} == pick.cell.settings
    assert (shown.picks[0].word, shown.picks[0].cell) == ("best", bowl.best)
    assert "lost" in {pick.word for pick in shown.picks}
    places = [(pick.cell.row, pick.cell.column) for pick in shown.picks]
    assert all(max(abs(a - c), abs(b - d)) > 1 for i, (a, b) in enumerate(places) for c, d in places[:i])


def test_ticks_are_round_numbers() -> None:
    """Each scale has ticks that a reader knows."""
    assert maps.ticks_of(mapdata.Axis("mu", 0, 0.999, 50, "near1")) == (0, 0.9, 0.99, 0.999)
    assert maps.ticks_of(mapdata.Axis("lr", 1e-4, 1, 50, "log")) == (1e-4, 1e-3, 1e-2, 0.1, 1)
    assert maps.ticks_of(mapdata.Axis("lr", 0, 0.04577, 50)) == (0, 0.01, 0.02, 0.03, 0.04)
    assert mapdata.round_numbers(40, 700) == (50, 100, 200, 500)


def test_a_sheet_shares_its_colours() -> None:
    """All panels have one scale, that of the smallest and the largest number, and one colour bar."""
    several = [walked(rule) for rule in ("heavyball", "nag", "ema", "sgd")]
    shown = sheets.pictures(several)
    (colours,) = {one.colours for one in shown}
    assert colours is not None
    numbers = np.concatenate([found.shown[np.isfinite(found.shown)] for found in several])
    assert (colours.low, colours.high) == (numbers.min(), numbers.max())
    made = sheets.sheet(several)
    assert len(made.axes) == 5
    assert [ax.get_title().split("\n")[0] for ax in made.axes[:4]] == ["heavyball", "nag", "ema", "sgd"]
    assert "no cell" in made.axes[3].get_title()
    made.canvas.draw()


@pytest.mark.parametrize("count", [1, 5, 9])
def test_sheets_of_every_size(bowl: PhaseMap, count: int) -> None:
    """From one map to nine a sheet has a panel for each; equal ranges share their axes."""
    made = sheets.sheet([bowl] * count)
    panels = [ax for ax in made.axes if ax.images]
    assert len(panels) == count
    assert len({ax.get_xlim() for ax in panels}) == 1


def test_sheets_that_do_not_fit_are_refused(bowl: PhaseMap) -> None:
    """None, too many, and maps of different things are told apart."""
    with pytest.raises(DrawError, match="1 to 9 maps, got 0"):
        sheets.sheet([])
    with pytest.raises(DrawError, match="got 10"):
        sheets.sheet([bowl] * 10)
    with pytest.raises(DrawError, match="predicted"):
        sheets.sheet([bowl, replace(bowl, show="predicted")])


def test_a_film_fills_the_map(bowl: PhaseMap, tmp_path: Path) -> None:
    """It has the frames it says and their length; cells take their colour when they are over; the end is the map."""
    seen: list[int] = []
    count = sheets.film(bowl, tmp_path / "a.gif", seconds=1, fps=10, progress=lambda done, total: seen.append(done))
    assert count == 10
    assert seen == list(range(1, 11))
    pauses = []
    with Image.open(tmp_path / "a.gif") as made:
        for i in range(made.n_frames):  # type: ignore[attr-defined]
            made.seek(i)
            pauses.append(made.info["duration"])
    assert sum(pauses) == 9 * 100 + 1500  # frames that look the same are written once, for as long
    steps = sheets.times(bowl, 10)
    assert steps[-1] == bowl.steps
    assert (np.diff(np.log(steps)) > 0).all()
    shown = mapdata.picture(bowl, picks=False)
    done = [int((sheets.at_step(bowl, shown, float(t)).kinds != NOT_YET).sum()) for t in steps]
    assert done == sorted(done)
    assert done[0] == 0
    end = sheets.at_step(bowl, shown, float(steps[-1]))
    assert (end.kinds == shown.kinds).all()
    np.testing.assert_array_equal(end.shown, shown.shown)


def test_films_that_cannot_be_made_are_refused(bowl: PhaseMap, tmp_path: Path) -> None:
    """Another number, a wrong suffix, no time."""
    with pytest.raises(DrawError, match="shows the steps"):
        sheets.film(replace(bowl, show="predicted"), tmp_path / "a.gif")
    with pytest.raises(DrawError, match="suffix"):
        sheets.film(bowl, tmp_path / "a.png")
    with pytest.raises(DrawError, match="seconds"):
        sheets.film(bowl, tmp_path / "a.gif", seconds=0)
    assert not list(tmp_path.iterdir())


def test_a_notebook_shows_a_map(bowl: PhaseMap, monkeypatch: pytest.MonkeyPatch) -> None:
    """The HTML has one row and one inlined picture, and escapes names."""
    monkeypatch.setattr(maps, "draw", lambda found: sheets.sheet([found]))
    html = bowl._repr_html_()
    assert html.count("<tr>") == 2
    assert html.count("data:image/png;base64,") == 1
    assert "best cell" in html
    hostile = replace(bowl, surface=replace(bowl.surface, name="<img onerror=1>", latex=""))
    assert "<img onerror" not in notebook.html(hostile)


def test_maps_are_written(bowl: PhaseMap, tmp_path: Path) -> None:
    """A map is saved as vector graphics as well."""
    figures.save(maps.draw(bowl), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size > 10_000
