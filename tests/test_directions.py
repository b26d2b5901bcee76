"""Prediction beside measurement: the closed form along each eigen-direction, and the run itself."""

import json
from pathlib import Path

import numpy as np
import pytest

import ravine
from ravine.algebra import states
from ravine.cli.app import run
from ravine.components import NEAR, components, envelope, with_directions
from ravine.draw.directions import directions, sheet
from ravine.errors import DrawError
from ravine.rules import RULES, Method, parse

SCHEDULED = [
    ("0.01", "0.9"),
    ("cosine(0.012,150)", "0.8"),
    ("warmup(0,20,0.01)", "ramp(0.5,0.95,0.01)"),
    ("exponential(0.012,0.01)", "sutskever(0.9,20)"),
    ("step(0.012,0.5,40)", "nesterov83(0.95)"),
]


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("lr", "mu"), SCHEDULED)
def test_on_a_quadratic_they_coincide(name: str, lr: str, mu: str) -> None:
    """For every rule and schedule the run and the product of its matrices differ by rounding: 1e-11 of the error so far."""
    settings = {"lr": lr, "mu": mu, "nu": "linear(0.3,0.9,100)", "tau": "0.2", "L": "linear(110,140,50)", "m": "2"}
    text = ",".join(f"{k}={settings[k]}" for k in RULES[name].parameters)
    race = ravine.race("spectrum(0.5,2,100,seed=3)", f"{name}:{text}", (3, -2, 1), 200, tol=0)
    found = components(race.runs[0])
    assert found is not None
    assert found.quadratic_from == (0, 0, 0)
    assert max(d for d in found.difference if d is not None) < 1e-11


def test_it_coincides_where_the_run_diverges_and_away_from_the_origin() -> None:
    """A diverging run and a minimum elsewhere are no exceptions: relative to the largest error so far, 1e-11."""
    for surface, rule, start in (
        ("booth", "nag:lr=0.2,mu=0.9", (5, 5)),
        ("x^2 - y^2", "classical:lr=0.1,mu=0.5", (1, 1)),
    ):
        found = components(ravine.race(surface, rule, start, 60).runs[0])
        assert found is not None
        assert max(d for d in found.difference if d is not None) < 1e-11


def test_elsewhere_it_says_from_which_step_the_quadratic_holds() -> None:
    """On himmelblau the closed form begins late, stays within 5 % of the envelope, and one step earlier would not."""
    race = ravine.race("himmelblau", "classical:lr=0.003,mu=0.8", (0, -4.5), 120, tol=0)
    found = components(race.runs[0])
    assert found is not None
    method, allowed = race.runs[0].method, NEAR * envelope(parse("classical:lr=0.003,mu=0.8"), found.h, found.measured)
    assert isinstance(method, Method)
    vectors = np.linalg.eigh(race.surface.hessian(found.point))[1]
    moving = np.stack([found.measured, race.runs[0].velocities @ vectors], axis=-1)
    for i, begin in enumerate(found.quadratic_from):
        assert begin
        assert np.isnan(found.predicted[:begin, i]).all()
        assert found.predicted[begin, i] == found.measured[begin, i]
        assert (abs(found.predicted[:, i] - found.measured[:, i]) <= allowed[:, i])[begin:].all()
        early = states(method, found.h[[i]], moving[begin - 1, [i]], 121 - begin)[:, 0, 0]
        assert (abs(early - found.measured[begin - 1 :, i]) > allowed[begin - 1 :, i]).any()


def test_a_stiff_direction_that_follows_a_soft_one_never_holds() -> None:
    """On rosenbrock's floor the stiff error is the square of the soft one, so that no closed form holds and none is drawn."""
    found = components(ravine.race("rosenbrock", "classical:lr=0.001,mu=0.9", (-1.2, 1), 1500).runs[0])
    assert found is not None
    soft, stiff = found.quadratic_from
    assert soft
    assert 300 < soft < 900
    assert stiff is None
    assert np.isnan(found.predicted[:, 1]).all()


@pytest.mark.parametrize(
    ("surface", "rule", "lengths", "expected"),
    [
        ("rosenbrock", "sgd:lr=0.0002", (100, 300, 1000), (None, None)),
        ("x^4 + y^2", "nag:lr=0.02,mu=0.9", (100, 300, 1000), (None, 0)),
        ("himmelblau", "classical:lr=0.003,mu=0.8", (60, 120, 300), (25, 28)),
        ("rosenbrock", "classical:lr=0.001,mu=0.9", (1500, 3000), (514, None)),
    ],
)
def test_where_the_quadratic_begins_is_not_where_the_run_was_cut(
    surface: str, rule: str, lengths: tuple[int, ...], expected: tuple[int | None, ...]
) -> None:
    """A longer run gives the same step, up to the steps that are tried, or None as the shorter one did."""
    start = (0, -4.5) if surface == "himmelblau" else None
    for steps in lengths:
        found = components(ravine.race(surface, rule, start, steps, tol=0).runs[0])
        assert found is not None
        for begin, right in zip(found.quadratic_from, expected, strict=True):
            assert (begin is None) == (right is None)
            assert begin == pytest.approx(right, abs=3)


def test_a_guest_and_an_error_of_0_are_said_in_the_picture() -> None:
    """A guest's panel says that its closed form is not known, above the lines, and an empty one why it is empty."""
    race = ravine.race("bowl", ["sgd:lr=0.01", "torch:SGD(lr=0.01)"], (180, 90), 20)
    ax = directions(race).axes[0]
    assert [text.get_text() for text in ax.texts] == ["a guest: its closed form is not known"]
    highest = ax.transAxes.inverted().transform(ax.transData.transform((0, 180)))[1]
    assert highest < ax.texts[0].get_position()[1] - 0.05
    (empty,) = directions(ravine.race("x^2", "sgd:lr=0.1", (0,), 20)).axes
    assert "nothing to show" in empty.texts[0].get_text()


def test_guests_and_noise_are_told_apart() -> None:
    """A guest has no closed form; a noisy run's is the mean, and the average of many runs comes near it."""
    race = ravine.race("bowl", ["sgd:lr=0.01", "torch:SGD(lr=0.01)"], (180, 90), 20, noise=100, seed=range(200))
    told = with_directions(race)
    assert [note for note in told["notes"] if "closed form" in note] == [
        "sgd lr=0.01: the run is noisy, its closed form is the mean",
        "torch:SGD lr=0.01: a guest has no closed form",
    ]
    parts = [components(each, 100.0) for each in race.runs[:200]]
    mean = np.mean([part.measured for part in parts if part], axis=0)
    assert parts[0]
    assert abs(mean[:, 0] - parts[0].predicted[:, 0]).max() < 4 * 100 * 0.01 * np.sqrt(20 / 200)
    assert told["runs"][-1]["directions"][0]["difference"] is None


def test_a_run_that_leads_nowhere_has_no_directions() -> None:
    """Where no minimum is known the JSON says null and the figure is refused with a sentence."""
    race = ravine.race("monkey_saddle", "sgd:lr=0.01", (1.6, 0.05), 300)
    told = with_directions(race)
    assert told["runs"][0]["directions"] is None
    assert "leads to no known minimum" in told["notes"][0]
    with pytest.raises(DrawError, match="no directions"):
        sheet(race)


def test_json_of_a_race_with_predict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`ravine race --predict --json` adds to every run its directions, and a figure shows them."""
    arguments = ["race", "bowl", "--start", "180,90", "-r", "nag:lr=0.01,mu=0.9", "--predict"]
    assert run([*arguments, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["runs"]
    assert [d["h"] for d in told["directions"]] == [2, 100]
    assert all(d["difference"] < 1e-12 and d["quadratic_from"] == 0 for d in told["directions"])
    assert run([*arguments, "--out", str(tmp_path / "a.png")]) == 0
    assert "largest difference" in capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert run([*arguments, "--out", str(tmp_path / "a.json")]) == 0
    assert "directions" in json.loads((tmp_path / "a.json").read_text())["runs"][0]
    assert run([*arguments[:-1], "--view", "directions", "--out", str(tmp_path / "b.svg")]) == 0


@pytest.mark.parametrize(
    ("surface", "rules", "panels"),
    [
        ("bowl", ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9", "nag:lr=0.01,mu=0.9"], 2),
        ("washboard", ["sgd:lr=0.02", "classical:lr=0.02,mu=0.95"], 1),
        ("spectrum(1,2,3,4,5,6,7,8,seed=1)", ["nag:lr=0.05,mu=0.9"], 6),
        ("spectrum(1,2,3,4)", ["sgd:lr=2", "torch:SGD(lr=0.1)"], 4),
    ],
)
def test_the_figure_has_a_panel_for_each_direction(surface: str, rules: list[str], panels: int) -> None:
    """At most six panels are drawn, the lowest and the highest curvatures, without a warning."""
    race = ravine.race(surface, rules, steps=150)
    shown = sheet(race)
    assert len(shown.panels) == panels
    assert len([ax for ax in directions(race).axes if ax.get_visible()]) == panels
    for error in shown.panels[0].errors:
        assert error.measured.shape == error.predicted.shape
