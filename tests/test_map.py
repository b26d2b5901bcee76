"""Maps against races and against theory: how cells end, where it is stable, what is best, and what is told of it."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine
from ravine import algebra
from ravine.axes import Axis, axis
from ravine.boundary import agreement, apart, discriminants, margins, rates
from ravine.cells import DIVERGED, NOT_WALKED, NOT_YET, OUTCOMES, REACHED, UNDEFINED
from ravine.errors import MapError
from ravine.export import write_map
from ravine.phase import phase_map, phase_maps
from ravine.phasemap import PhaseMap
from ravine.ranges import USUAL
from ravine.rules import RULES
from ravine.surfaces import surface

TILTED = "x^2 + x*y + 25y^2"
SMALL: dict[str, Any] = {"size": 12, "steps": 100, "start": (3, -2)}


def fixed_of(name: str) -> dict[str, float]:
    return {key: value for key, value in USUAL.items() if key in RULES[name].parameters}


# Against races ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule", "options"),
    [
        (TILTED, "nag", {"start": (3, -2)}),
        ("rosenbrock", "nag", {"start": (-1.2, 1), "lr": (0, 0.006), "steps": 400, "target": 1e-2}),
        (TILTED, "qhm:nu=linear(0.7,1,50)", {"start": (3, -2), "lr": (0, 0.3)}),
        (TILTED, "heavyball:mu=ramp(0.5,0.95,0.01)", {"start": (3, -2), "lr": (0, 0.2), "axes": {"tau": "0:0.8"}}),
    ],
    ids=["bowl", "rosenbrock", "schedule", "schedule-tau"],
)
def test_a_cell_is_a_race(text: str, rule: str, options: dict[str, Any]) -> None:
    """Whether, when and at which value a cell reached the target or diverged is what a race of its method says."""
    found = phase_map(text, rule, **{"size": 8, "steps": 150, **options})
    assert {NOT_YET, REACHED, DIVERGED} <= set(found.outcome.ravel().tolist())
    cells = [found.cell(row, column) for row in range(8) for column in range(8)]
    runs = ravine.race(
        text, [found.method(cell) for cell in cells], options["start"], found.steps, tol=0, target=found.target
    ).runs
    for cell, run in zip(cells, runs, strict=True):
        outcome, stopped = found.outcome[cell.row, cell.column], int(found.stopped[cell.row, cell.column])
        if outcome == REACHED:
            assert (run.stopped, run.steps) == ("target", stopped)
            assert cell.shown == stopped
        elif outcome == DIVERGED and stopped < found.steps:  # where the value is infinite a race keeps the step before
            assert run.stopped == "diverged"
            assert run.steps in (stopped, stopped - 1)
        else:  # on a quadratic what still grows counts as diverged, which a race does not say
            assert (run.stopped, run.steps) == ("steps", stopped)
        if outcome != DIVERGED:
            assert found.value[cell.row, cell.column] == run.value


def test_a_function_is_walked_in_numpy_and_ends_alike(tmp_path: Path) -> None:
    """A function without an expression is walked in batches, said in a note, and its cells end as the compiled ones.

    Its gradient comes by differences, so that 1 % of the cells may need another number of steps.
    """
    file = tmp_path / "mine.py"
    file.write_text("def bowl(x, y):\n    return x**2 + x * y + 25 * y**2\n")
    options: dict[str, Any] = {**SMALL, "size": 20, "lr": (0, 0.08), "mu": (0, 0.95), "target": 1e-6}
    mine = phase_map(f"{file}:bowl", "nag", **options)
    ours = phase_map(TILTED, "nag", **options)
    assert (mine.engine, ours.engine) == ("batched", "compiled")
    assert any("no expression to compile" in note and "NumPy" in note for note in mine.notes)
    assert not any("NumPy" in note for note in ours.notes)
    assert (mine.seconds["compile"], mine.seconds["compute"] > 0) == (0, True)
    walked = ours.stopped < ours.steps  # what still grows counts as diverged only where the surface is a quadratic
    assert (mine.outcome == ours.outcome)[walked].mean() >= 0.99
    assert (mine.stopped == ours.stopped)[walked].mean() >= 0.99
    assert {REACHED, DIVERGED} <= set(mine.outcome.ravel().tolist())


def test_a_surface_without_expression_gives_the_same_map() -> None:
    """Compiled and in NumPy a whole map is the same: outcomes, steps, values, the best cell and the agreement."""
    shifted = surface("(x - 1)^2 + 25y^2")
    ours = phase_map(shifted, "nag", **SMALL)
    theirs = phase_map(replace(shifted, expression=None), "nag", **SMALL)
    assert (ours.engine, theirs.engine) == ("compiled", "batched")
    for name in ("outcome", "stopped", "value"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert (ours.best, ours.agreement) == (theirs.best, theirs.agreement)


def test_a_turned_spectrum_is_compiled() -> None:
    """A spectrum along turned axes has no expression of its own and is compiled all the same, as its formula is."""
    c, s = math.cos(math.radians(30)), math.sin(math.radians(30))
    formula = f"{c * c + 25 * s * s}*x^2 + {-48 * c * s}*x*y + {s * s + 25 * c * c}*y^2"
    options: dict[str, Any] = {**SMALL, "lr": (0, 0.08), "mu": (0, 0.95), "target": 1e-6}
    turned = phase_map("spectrum(2,50,angle=30)", "classical", **options)
    assert turned.engine == "compiled"
    assert turned.theory is not None
    assert turned.theory.exact
    np.testing.assert_allclose(turned.theory.curvatures, [2, 50], rtol=1e-12)
    typed = phase_map(replace(surface(formula), expression=None), "classical", **options)
    assert (turned.outcome == typed.outcome).mean() >= 0.99  # whose coefficients differ in the last bit
    assert (turned.stopped == typed.stopped).mean() >= 0.99


# Against theory ---------------------------------------------------------------------------------------------------


@pytest.fixture
def in_numpy() -> Iterator[None]:
    """Walk spectra in NumPy, to compile nothing; that the compiled loop is equal is shown in test_kernels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ravine._lanes.MOST_TURNED", 0)
        yield


def near_the_optimum(found: PhaseMap) -> float:
    """Return how many cells the best measured cell is from the optimum, or from the cell of the least predicted rate.

    The second where the grid is too coarse for the valley of rates, which is narrower than a cell.
    """
    assert found.best is not None
    assert found.predicted is not None
    assert found.apart is not None
    row, column = divmod(int(found.predicted.argmin()), found.x.size)
    off = abs(found.best.column - column)
    if "mu" in found.rule.parameters or found.rule.name == "triple":
        off = max(off, abs(found.best.row - row))
    return min(found.apart, off)


@pytest.mark.parametrize("name", list(RULES))
@pytest.mark.parametrize("condition", [pytest.param(8.0, marks=pytest.mark.slow), 45.0])
@pytest.mark.usefixtures("in_numpy")
def test_measured_is_predicted(name: str, condition: float) -> None:
    """On tilted quadratics 99.9 % of the cells not beside the boundary diverge where predicted, and the best is near the
    optimum.

    Near: within two cells, of 40 a side, after at most 3000 steps.
    """
    rng = np.random.default_rng([list(RULES).index(name), int(condition)])
    h = 10 ** rng.uniform(-1, 1)
    text = f"spectrum({h},{h * condition},angle={rng.uniform(0, 180)})"
    found = phase_map(text, name, size=40, steps=3000, start=3 * rng.standard_normal(2))
    assert found.engine == "batched"
    assert found.agreement is not None
    assert found.agreement.share is not None
    assert found.agreement.share >= 0.999
    assert found.agreement.compared > 0.85 * found.outcome.size
    assert found.agreement.compared + found.agreement.left_out == found.outcome.size
    assert {REACHED, DIVERGED} <= set(found.outcome.ravel().tolist()) or name == "triple"
    assert near_the_optimum(found) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RULES))
@pytest.mark.parametrize("seed", range(4))
def test_measured_is_predicted_compiled(name: str, seed: int) -> None:
    """The same compiled, on more quadratics, with condition numbers up to 300, 60 cells a side and 4000 steps.

    Near: within two cells, or where the predicted rate is within 1e-3 of the least, which no measurement tells apart.
    """
    rng = np.random.default_rng([7, seed])
    h, condition = 10 ** rng.uniform(-2, 2), 10 ** rng.uniform(0.4, 2.5)
    text = f"spectrum({h},{h * condition},angle={rng.uniform(0, 180)})"
    found = phase_map(text, name, size=60, steps=4000, start=3 * rng.standard_normal(2))
    assert found.engine == "compiled"
    assert found.agreement is not None
    assert found.agreement.share is not None
    assert found.agreement.share >= 0.999
    assert found.best is not None
    assert found.predicted is not None
    spare = found.predicted[found.best.row, found.best.column] - found.predicted.min()
    assert near_the_optimum(found) <= 2 or spare < 1e-3


AXES = Axis("lr", 0.0, 0.4, 61), Axis("mu", 0.0, 0.97, 23)
H = np.array([0.4, 7.0])


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if "mu" in rule.parameters])
def test_the_boundary_is_the_limit(name: str) -> None:
    """The margin is positive in exactly the cells below the limit of lr, and 0 at the limit itself, to 1e-9."""
    x, y = AXES
    found = margins(RULES[name], x, y, fixed_of(name), H)
    assert found.shape == (23, 61)
    limits = np.array([algebra.limit_lr(name, 7.0, mu=float(mu), **fixed_of(name)) for mu in y.values])
    stable = (x.values > 0) & (x.values < limits[:, None])
    assert ((found > 0) == stable).all()
    assert stable.any()
    for row, limit in enumerate(limits.tolist()):
        line = Axis("lr", limit * (1 - 1e-9), limit * (1 + 1e-9), 2)
        here = margins(RULES[name], line, Axis("mu", y.values[row], y.values[row] + 1e-12, 2), fixed_of(name), H)[0]
        assert here[0] > 0 > here[1]


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if "mu" in rule.parameters])
def test_rates_and_discriminants_are_those_of_the_algebra(name: str) -> None:
    """Each cell's rate is the largest spectral radius over the curvatures, to 1e-6, and its discriminant that of its row."""
    x, y = AXES
    rule, fixed = RULES[name], fixed_of(name)
    found, lines = rates(rule, x, y, fixed, H), discriminants(rule, x, y, fixed, 7.0)
    between = np.linspace(H[0], H[1], 15)
    for row, column in ((0, 0), (3, 20), (11, 7), (22, 60), (17, 33)):
        cell = rule.row(lr=float(x.values[column]), mu=float(y.values[row]), **fixed)
        radii = [
            abs(np.linalg.eigvals(np.array(algebra.step_matrix(cell, float(h)), float))).max() for h in between.tolist()
        ]
        assert found[row, column] == max(float(algebra.rate(cell, h)) for h in H.tolist())
        assert found[row, column] == pytest.approx(max(radii), abs=1e-6)
        assert lines[row, column] == pytest.approx(float(algebra.discriminant(cell, 7.0)), rel=1e-14, abs=1e-300)


def test_agreement_leaves_out_the_boundary() -> None:
    """Cells within one of the predicted boundary, diagonals included, and undecided cells are left out; the others count."""
    stable = np.zeros((6, 8), bool)
    stable[:, :4] = True
    diverged, decided = ~stable, np.ones_like(stable)
    assert agreement(stable, diverged, decided) == (1.0, 36, 12)
    assert agreement(stable, ~diverged, decided) == (0.0, 36, 12)
    diverged[:, 3:5] ^= True  # beside the boundary nobody looks
    assert agreement(stable, diverged, decided) == (1.0, 36, 12)
    diverged[0, 0] = True
    assert agreement(stable, diverged, decided) == (35 / 36, 36, 12)
    decided[0, 0] = False
    assert agreement(stable, diverged, decided) == (1.0, 35, 13)
    corner = np.ones((5, 5), bool)
    corner[0, 0] = False
    assert agreement(corner, ~corner, np.ones_like(corner)) == (1.0, 21, 4)
    assert agreement(corner, ~corner, np.zeros_like(corner)) == (None, 0, 25)
    whole = np.ones((3, 3), bool)
    assert agreement(whole, ~whole, whole) == (1.0, 9, 0)  # the border of the map is no boundary


def test_cells_apart() -> None:
    """The distance is that along the axis where it is more, in cells, and none where the optimum is not on the map."""
    axes = axis("lr", "1e-3:1:log", 31), axis("mu", "0:0.9", 10)
    assert apart({"lr": 0.1, "mu": 0.3}, {"lr": 0.1, "mu": 0.3}, axes) == pytest.approx(0, abs=1e-9)
    assert apart({"lr": 0.1, "mu": 0.3}, {"lr": 0.01, "mu": 0.4}, axes) == pytest.approx(10)
    assert apart({"lr": 0.1, "mu": 0.3}, {"lr": 0.1, "mu": 0.75}, axes) == pytest.approx(4.5)
    assert apart({"lr": 0.1}, {"lr": 0.01, "mu": 0.9}, axes) == pytest.approx(10)
    assert apart({"lr": 2.0, "mu": 0.3}, {"lr": 0.1, "mu": 0.3}, axes) is None
    assert apart({}, {"lr": 0.1, "mu": 0.3}, axes) is None


def test_theory_is_that_of_the_minimum_that_is_reached() -> None:
    """On a surface with several minima the theory's Hessian is that of the one that the best cell reaches, said in a note."""
    found = phase_map("himmelblau", "nesterov", start=(0, -4.5), size=12, steps=150, lr=(0, 0.02), mu=(0, 0.9))
    assert found.theory is not None
    assert not found.theory.exact
    assert found.best is not None
    end = ravine.race("himmelblau", found.method(found.best), (0, -4.5), 2000).runs[0].final
    np.testing.assert_allclose(found.theory.point, end, atol=1e-4)
    made = surface("himmelblau")
    np.testing.assert_allclose(found.theory.curvatures, made.curvatures(end), rtol=1e-4)
    assert any("Hessian at the minimum" in note for note in found.notes)
    known = phase_map(TILTED, "nag", **SMALL)
    assert known.theory is not None
    assert known.theory.exact
    assert not known.notes


# What is shown ----------------------------------------------------------------------------------------------------


def test_value_walks_on_to_the_end() -> None:
    """With show=value no cell stops at the target, and what is shown is the value after all steps, NaN where it diverged."""
    found = phase_map(TILTED, "nag", show="value", lr=(0, 0.08), mu=(0, 0.95), **SMALL)
    fine = found.outcome == NOT_YET
    assert not (found.outcome == REACHED).any()
    assert (found.stopped[fine] == 100).all()
    np.testing.assert_array_equal(found.shown, np.where(fine, found.value, np.nan))
    assert found.best is not None
    assert found.best.shown == np.nanmin(found.shown)
    run = ravine.race(TILTED, found.method(found.best), (3, -2), 100, tol=0).runs[0]
    assert run.value == found.best.shown


def test_measured_rates_are_the_predicted_ones() -> None:
    """With show=rate the measured rate is the predicted one to 0.01, in each cell whose prediction is from 0.5 to 1.1.

    Except where the poles nearly meet: there the rate of 400 steps is not yet that of infinitely many.
    """
    found = phase_map(TILTED, "nag", show="rate", lr=(0.001, 0.05), mu=(0, 0.95), size=12, steps=400, start=(3, -2))
    assert found.engine == "batched"
    assert any("every gradient norm" in note for note in found.notes)
    assert found.measured is not None
    assert found.predicted is not None
    apart = np.min(
        [abs(discriminants(RULES["nag"], found.x, found.y, {}, h)) for h in found.theory.curvatures],
        axis=0,  # type: ignore[union-attr]
    )
    compared = (found.predicted > 0.5) & (found.predicted < 1.1) & (apart > 0.003)
    assert compared.sum() > 80
    np.testing.assert_allclose(found.measured[compared], found.predicted[compared], atol=0.01)
    stable = found.outcome == NOT_YET
    np.testing.assert_array_equal(found.shown[stable], found.measured[stable])
    assert np.isnan(found.shown[~stable]).all()


def test_predicted_walks_nothing() -> None:
    """With show=predicted the map is the closed form: no step, no second of compiling, NaN where it is not stable."""
    found = phase_map(TILTED, "heavyball", show="predicted", lr=(0, 0.09), mu=(0, 0.97), size=80)
    assert (found.engine, found.seconds["compile"]) == ("closed form", 0)
    assert found.predicted is not None
    assert not found.stopped.any()
    np.testing.assert_array_equal(found.shown, np.where(found.predicted < 1, found.predicted, np.nan))
    assert found.best is not None
    assert found.best.shown == found.predicted.min()
    assert found.apart is not None
    assert found.apart <= 3  # the valley of rates is narrow: its least cell need not be the nearest
    assert found.agreement is None
    with pytest.raises(MapError, match="no rate can be predicted"):
        phase_map(TILTED, "qhm:nu=linear(0.7,1,50)", show="predicted", size=3)
    with pytest.raises(MapError, match="no rate can be predicted"):
        phase_map("x^2 - y^2", show="predicted", size=3, lr=(0, 1))


def test_of_several_starts_the_slowest_counts() -> None:
    """A cell shows the worst end over all starts, lost before not yet before reached, the last step and the highest value."""
    starts = [(-1.2, 1), (0, 0.8), (1, 1)]
    options: dict[str, Any] = {"lr": (0, 0.006), "mu": (0, 0.9), "size": 12, "steps": 300, "target": 0.5}
    each = [phase_map("rosenbrock", "nag", start=start, **options) for start in starts]
    found = phase_map("rosenbrock", "nag", start=starts, **options)
    order = np.array([1, 0, 3, 2])  # not yet, reached, diverged, undefined: how bad each is
    worst = np.max([order[one.outcome] for one in each], axis=0)
    np.testing.assert_array_equal(order[found.outcome], worst)
    np.testing.assert_array_equal(found.stopped, np.max([one.stopped for one in each], axis=0))
    np.testing.assert_array_equal(found.value, np.max([one.value for one in each], axis=0))
    assert (each[2].outcome == REACHED).all()  # it starts at the minimum
    assert set(found.outcome.ravel().tolist()) == {REACHED, NOT_YET, DIVERGED}
    assert found.summary()["start"] == [list(map(float, start)) for start in starts]


def test_gradient_descent_has_a_map_too() -> None:
    """For a rule without mu all rows are the same, which a note says, and the optimum is one of lr alone."""
    found = phase_map(TILTED, "sgd", **SMALL)
    assert (found.x.name, found.y.name) == ("lr", "mu")
    assert "sgd has no mu: the map is the same for all of them" in found.notes
    for grid in (found.outcome, found.stopped, found.value):
        assert (grid == grid[0]).all()
    assert found.theory is not None
    assert found.theory.optimum is not None
    assert found.theory.optimum.keys() == {"lr"}
    assert found.theory.optimum["lr"] == pytest.approx(2 / found.theory.curvatures.sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        ("qhm:mu=0.9", {"lr": (0, 0.3), "axes": {"nu": (0, 1)}}),
        ("heavyball:mu=0.8", {"lr": (0, 0.3), "axes": {"tau": (0, 0.9)}}),
        ("triple", {}),
        ("qhm:lr=0.05", {"mu": (0, 0.9), "axes": {"nu": (0, 1)}}),
    ],
)
@pytest.mark.usefixtures("in_numpy")
def test_other_settings_are_axes_too(rule: str, options: dict[str, Any]) -> None:
    """nu, tau, L and m are spread as lr and mu are, and theory agrees with what is measured."""
    found = phase_map("spectrum(2,50,angle=15)", rule, size=25, steps=2000, start=(3, -2), **options)
    assert found.agreement is not None
    assert found.agreement.share is not None
    assert found.agreement.share >= 0.999
    cell = found.cell(20, 3)
    assert found.method(cell).settings.keys() == found.rule.parameters.keys()
    assert cell.settings == {found.y.name: found.y.values[20], found.x.name: found.x.values[3]}


def test_schedules_are_walked_in_numpy() -> None:
    """A schedule among the fixed settings is walked in batches, said in a note, and nothing is predicted of it."""
    found = phase_map(TILTED, "qhm:nu=linear(0.7,1,50)", lr=(0, 0.3), mu=(0, 0.9), **SMALL)
    assert found.engine == "batched"
    assert any("a schedule changes the row" in note for note in found.notes)
    assert (found.predicted, found.agreement) == (None, None)
    told = found.summary()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["settings"]["nu"] == "linear(0.7,1,50)"


def test_several_rules_share_ranges() -> None:
    """Ranges that nobody gave are the widest of all rules, so that maps can be laid beside each other and none is cut."""
    found = phase_maps(["nag", "sgd", "qhm:nu=0.7"], TILTED, size=6, show="predicted")
    assert [each.rule.name for each in found] == ["nag", "sgd", "qhm"]
    assert len({(each.x, each.y) for each in found}) == 1
    alone = [phase_map(TILTED, rule, size=6, show="predicted") for rule in ("nag", "sgd", "qhm:nu=0.7")]
    assert found[0].x.high == max(each.x.high for each in alone) > alone[0].x.high
    given = phase_maps(["nag", "sgd"], TILTED, lr=(0, 0.01), size=6, show="predicted")
    assert {(each.x.low, each.x.high) for each in given} == {(0.0, 0.01)}


def test_progress_counts_every_cell_of_every_start() -> None:
    """Progress rises to the cells times the starts, and compiling is said out loud before it is done, once."""
    told: list[tuple[int, int]] = []
    phase_map("rosenbrock", "nag", lr=(0, 0.004), size=9, steps=20, start=[(0, 0), (1, 2)], target=1.0,
              progress=lambda done, total: told.append((done, total)))  # fmt: skip
    assert told == sorted(told)
    assert told[-1] == (162, 162)
    assert len(told) >= 2


def test_an_interrupted_map_is_what_was_walked() -> None:
    """After Ctrl-C the cells that nobody walked are told apart, in a note too, and the rest can be written."""
    made = surface("(x - 1)^2 + 25y^2")

    def heights(x: Any) -> Any:
        if x.shape[1] > 1:
            raise KeyboardInterrupt
        return made.heights(x)

    found = phase_map(replace(made, expression=None, heights=heights), "nag", **SMALL)
    assert (found.outcome == NOT_WALKED).all()
    assert "interrupted: 144 of 144 cells were not walked" in found.notes
    assert (found.best, found.counts["not walked"]) == (None, 144)
    json.dumps(found.summary(), allow_nan=False)


def test_without_a_minimum_there_is_a_map_and_no_theory() -> None:
    """A saddle is mapped with its values or a target of the user's own; without one nothing counts as reached."""
    options: dict[str, Any] = {"lr": (0, 0.3), "mu": (0, 0.9), "size": 5, "steps": 30, "start": (1, 0.1)}
    with pytest.raises(
        MapError, match=r"no minimum of .* is known, so nothing says what counts as reached; give --target"
    ):
        phase_map("x^2 - y^2", "nag", **options)
    found = phase_map("x^2 - y^2", "nag", target=-5.0, **options)
    assert found.theory is None
    assert (found.outcome == REACHED).any()
    told = found.summary()
    assert told["optimum"] is None
    assert told["boundary"] == {
        "at": None, "curvatures": None, "exact": False, "agreement": None, "compared": 0, "left_out": 0
    }  # fmt: skip
    assert any("no theory is drawn" in note for note in found.notes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps must be a whole number from 1"),
        ({"steps": 10**8}, "steps must be a whole number from 1 to 10000000"),
        ({"steps": 2.5}, "steps must be"),
        ({"target": math.nan}, "target must be a finite number"),
        ({"target": math.inf}, "target must be a finite number"),
        ({"show": "colours"}, "a map shows no 'colours'"),
        ({"start": (1, 2, 3)}, "2 coordinates"),
        ({"start": "here"}, "a start is numbers"),
        ({"start": (1, math.nan)}, "finite numbers"),
        ({"start": []}, "a start is"),
        ({"start": [[[1, 2]]]}, "a start is"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], words: str) -> None:
    """Steps, targets, shows and starts that cannot be are refused in one sentence."""
    with pytest.raises(ValueError, match=words):
        phase_map("bowl", "nag", size=3, **options)


def test_a_start_outside_the_domain_is_refused() -> None:
    """A start where the function is undefined is refused before anything is walked."""
    with pytest.raises(ValueError, match="undefined at the start"):
        phase_map("x - log(x)", "nag", size=3, start=[(1.0,), (-1.0,)])


# What is told and written -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mapped() -> PhaseMap:
    """Make one small map with cells of three outcomes."""
    return phase_map(TILTED, "nag", lr=(0, 0.08), mu=(0, 0.95), size=12, steps=60, start=(3, -2))


def test_the_summary_has_the_promised_shape(mapped: PhaseMap) -> None:
    """The summary holds every promised key, adds up, and survives a strict JSON writer."""
    told = mapped.summary()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told.keys() >= {
        "surface", "rule", "settings", "axes", "start", "steps", "target", "show", "cells", "best", "optimum", "boundary",
        "engine", "seconds",
    }  # fmt: skip
    assert told["seconds"].keys() == {"compile", "compute"}
    assert all(seconds >= 0 for seconds in told["seconds"].values())
    assert sum(told["cells"].values()) == 144
    assert told["cells"]["reached"] == int((mapped.outcome == REACHED).sum())
    assert told["best"].keys() == {"lr", "mu", "steps"}
    assert told["optimum"].keys() == {"lr", "mu", "rate", "cells_from_best"}
    optimum = algebra.optimum("nag", *(float(h) for h in surface(TILTED).curvatures((0, 0))))
    assert told["optimum"]["rate"] == pytest.approx(float(optimum.rate), rel=1e-9)
    assert told["boundary"]["curvatures"] == pytest.approx([26 - math.sqrt(577), 26 + math.sqrt(577)], rel=1e-12)
    assert told["boundary"]["exact"] is True
    assert told["boundary"]["agreement"] >= 0.99
    assert told["fewest"]["steps"] == int(np.nanmin(mapped.shown)) <= told["best"]["steps"]
    assert told["target"] == pytest.approx(1e-6, rel=1e-9)


def test_columns_are_one_long_table(mapped: PhaseMap) -> None:
    """pandas reads the columns as they are: a row for every cell, as the grids have it."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(mapped.columns())
    assert list(frame.columns) == ["mu", "lr", "outcome", "steps", "value", "predicted_rate"]
    assert len(frame) == 144
    cell = frame.iloc[12 * 7 + 4]
    assert (cell.mu, cell.lr) == (mapped.y.values[7], mapped.x.values[4])
    assert (cell.steps, cell.value) == (mapped.stopped[7, 4], mapped.value[7, 4])
    assert (frame.outcome == "reached").sum() == (mapped.outcome == REACHED).sum()
    rated = phase_map(TILTED, "nag", show="rate", size=3, steps=20)
    assert {len(column) for column in rated.columns().values()} == {9}
    assert "rate" in rated.columns()


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz", "json"])
def test_files_hold_every_cell_to_the_last_bit(suffix: str, mapped: PhaseMap, tmp_path: Path) -> None:
    """What is read back from CSV, Parquet and NPZ are the grids themselves; JSON and NPZ hold the summary."""
    pandas = pytest.importorskip("pandas")
    file, told = tmp_path / f"map.{suffix}", mapped.summary()
    write_map(mapped, told, file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    if suffix == "json":
        assert json.loads(file.read_text(encoding="utf-8")) == told
        return
    if suffix == "npz":
        with np.load(file) as read:  # without pickle
            assert json.loads(str(read["summary"])) == told
            assert tuple(read["outcomes"]) == OUTCOMES
            for name, grid in (
                ("outcome", mapped.outcome), ("steps", mapped.stopped), ("value", mapped.value),
                ("predicted_rate", mapped.predicted), ("lr", mapped.x.values), ("mu", mapped.y.values),
            ):  # fmt: skip
                np.testing.assert_array_equal(read[name], grid)
        return
    frame = pandas.read_csv(file, dtype=str) if suffix == "csv" else pandas.read_parquet(file)
    for name, column in mapped.columns().items():
        read = frame[name] if name == "outcome" else frame[name].astype(column.dtype)
        np.testing.assert_array_equal(read.to_numpy(), column)


def test_undefined_cells_are_told_apart() -> None:
    """Where the function ends a cell is undefined, which counts as lost, and is neither reached nor merely diverged."""
    made = replace(surface("x - log(x)"), expression=None)
    found = phase_map(made, "classical", lr=(0, 8), mu=(0, 0.9), size=15, start=(3,), target=1.001)
    assert {REACHED, UNDEFINED} <= set(found.outcome.ravel().tolist())
    lost = found.outcome == UNDEFINED
    assert np.isnan(found.shown[lost]).all()
    assert found.counts["undefined"] == lost.sum()
    row, column = np.argwhere(lost)[0].tolist()
    run = ravine.race("x - log(x)", found.method(found.cell(row, column)), (3,), 200, tol=0).runs[0]
    assert run.stopped == "undefined"
