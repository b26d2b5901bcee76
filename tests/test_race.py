"""Races: stops, batches, noise, what is read off a run, and the shape of the JSON."""

import json
import math

import numpy as np
import pytest

import ravine
from ravine.errors import RaceError, RavineError
from ravine.result import measured_rate

BOWL = "x**2 + 50*y**2"


def one(surface: str, method: str, start: object = None, steps: int = 100, **options: object) -> ravine.Run:
    return ravine.race(surface, method, start, steps, **options).runs[0]  # type: ignore[arg-type]


def test_json_has_the_promised_shape() -> None:
    """The summary holds every promised key and survives a strict JSON writer."""
    told = ravine.race(BOWL, ["sgd:lr=0.01", "classical:lr=0.01,mu=0.5", "sgd:lr=9"], (180, 90)).summary()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told.keys() >= {"surface", "start", "steps", "runs"}
    assert (told["surface"], told["start"], told["steps"]) == (BOWL, [180, 90], 100)
    for run in told["runs"]:
        assert run.keys() >= {"rule", "settings", "label", "steps", "stopped", "final", "value", "gradient_norm"}
        assert run.keys() >= {"rate", "turns", "steps_to"}
        assert run["rate"].keys() == {"predicted", "measured"}
    assert told["runs"][1]["settings"] == {"lr": 0.01, "mu": 0.5}
    assert told["runs"][2]["stopped"] == "diverged"


@pytest.mark.parametrize(
    ("surface", "method", "start", "options", "stopped"),
    [
        (BOWL, "sgd:lr=0.01", (180, 90), {}, "steps"),
        (BOWL, "sgd:lr=0.019", (180, 90), {"steps": 5000}, "gradient"),
        (BOWL, "sgd:lr=0.019", (180, 90), {"steps": 5000, "target": 1e-3}, "target"),
        (BOWL, "sgd:lr=0.03", (180, 90), {"steps": 5000}, "diverged"),
        (BOWL, "sgd:lr=1e200", (180, 90), {}, "diverged"),
        ("x - log(x)", "sgd:lr=10", (0.9,), {}, "undefined"),
        ("exp(x) + exp(-x)", "classical:lr=2,mu=0.9", (4,), {}, "diverged"),
        ("saddle", "sgd:lr=0.1", (1.0, 0.01), {"steps": 1000}, "diverged"),
        (BOWL, "sgd:lr=0.01", (0, 0), {}, "gradient"),
        (BOWL, "torch:SGD(lr=0.03)", (180, 90), {"steps": 5000}, "diverged"),
    ],
)
def test_runs_stop_for_the_right_reason(
    surface: str, method: str, start: tuple[float, ...], options: dict[str, float], stopped: str
) -> None:
    """Each way of ending is told by its word, and the last position is finite."""
    run = one(surface, method, start, **options)
    assert run.stopped == stopped
    assert np.isfinite(run.positions).all()
    assert math.isfinite(run.value)


def test_the_stop_is_the_first_step_that_deserves_it() -> None:
    """The gradient is at most tol at the last step and above it at every earlier one; likewise a target."""
    run = one(BOWL, "heavyball:lr=0.02,mu=0.5", (180, 90), 500)
    assert run.gradient_norms[-1] <= 1e-6 < run.gradient_norms[:-1].min()
    run = one(BOWL, "heavyball:lr=0.02,mu=0.5", (180, 90), 500, target=1e-2)
    assert run.values[-1] <= 1e-2 < run.values[:-1].min()


def test_a_batch_equals_its_runs_bit_for_bit() -> None:
    """Who else takes part changes no digit of a run, with schedules, kicks and looks mixed, and some runs ending early."""
    methods = [
        "sgd:lr=0.019", "classical:lr=0.01,mu=ramp(0.5,0.99,0.01)", "nag:lr=cosine(0.01,300),mu=0.9", "qhm:lr=0.1,mu=0.9,nu=0.7",
        "nesterov:lr=0.01,mu=0.8", "sgd:lr=0.03", "triple:L=100,m=2", "ema:lr=0.05,mu=0.9",
    ]  # fmt: skip
    starts = np.array([(180, 90), (1e-3, 1), (0, 0)])
    together = ravine.race("rosenbrock", methods, starts / 90, 1500, noise=1e-3, seed=[3, 4])
    runs = iter(together.runs)
    for method in methods:
        for start in starts / 90:
            for seed in (3, 4):
                alone, batched = one("rosenbrock", method, start, 1500, noise=1e-3, seed=seed), next(runs)
                assert alone.stopped == batched.stopped
                np.testing.assert_array_equal(alone.positions, batched.positions)


@pytest.mark.parametrize(
    "method", ["classical:lr=0.01,mu=ramp(0.5,0.99,0.01)", "nag:lr=0.005,mu=0.9", "qhm:lr=0.05,mu=0.9,nu=0.7"]
)
def test_velocities_taken_again_are_those_of_the_race(method: str) -> None:
    """A step from any recorded position and velocity leads to the next recorded ones."""
    run = one(BOWL, method, (180, 90), 400, noise=5.0, seed=2, tol=0)
    assert run.velocities.shape == run.positions.shape
    shift = 5.0 * np.random.default_rng(2).standard_normal((400, 2))
    for t in (0, 1, 57, 255, 256, 399):
        row = run.method.row(t)
        x, v = run.positions[t], run.velocities[t]
        g = run.surface.gradient(x + row.look * v) + shift[t]
        v_next = row.keep * v + row.take * g
        np.testing.assert_allclose(run.velocities[t + 1], v_next, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(run.positions[t + 1], x + row.move * v_next + row.kick * g, rtol=1e-12, atol=1e-15)


def test_noise_is_the_same_for_every_method_and_new_for_every_seed() -> None:
    """With lr = 1 and no slope each step is minus the noise, whoever makes it."""
    runs = ravine.race("0*x + 0*y", ["sgd:lr=1", "classical:lr=1,mu=0"], (0, 0), 50, noise=2.0, seed=[0, 1], tol=0).runs
    np.testing.assert_array_equal(runs[0].positions, runs[2].positions)
    assert abs(runs[0].positions - runs[1].positions).max() > 1
    assert np.diff(runs[0].positions, axis=0).std() == pytest.approx(2.0, rel=0.3)


def test_guests_walk_the_same_way() -> None:
    """Momentum of torch and optax equals ours on the same surface, from several starts, to rounding."""
    methods = [
        "heavyball:lr=0.001,mu=0.9",
        "torch:SGD(lr=0.001,momentum=0.9)",
        "optax:sgd(learning_rate=0.001,momentum=0.9)",
    ]
    result = ravine.race("rosenbrock", methods, [(-1.2, 1), (0.5, 0.5)], 200)
    for k in (0, 1):
        ours, torch, optax = (result.runs[k + 2 * i] for i in range(3))
        np.testing.assert_allclose(torch.positions, ours.positions, rtol=1e-9)
        np.testing.assert_allclose(optax.positions, ours.positions, rtol=1e-9)
        assert torch.predicted_rate is None
        assert torch.summary()["rate"]["predicted"] is None


@pytest.mark.parametrize(
    "guest", ["torch:Adam(lr=0.1)", "torch:LBFGS(lr=0.5)", "optax:adam(learning_rate=0.1)", "torch:RMSprop(lr=0.01)"]
)
def test_other_guests_descend(guest: str) -> None:
    """Adaptive and closure-driven optimizers of other libraries get below the start."""
    run = one("rosenbrock", guest, None, 150)
    assert run.value < 0.5 * run.values[0]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("torch:Adamm(lr=0.1)", "Adam"), ("torch:Adam(lr=-1)", "lr"), ("torch:Adam(lr=__import__('os'))", "cannot read"),
        ("torch:Optimizer()", "no optimizer"), ("optax:adam()", "learning_rate"), ("optax:nothing(lr=1)", "no optimizer"),
        ("optax:__doc__()", "no optimizer"), ("torch:SGD(0.1)", "cannot read"), ("optax:apply_updates()", "mend"),
        ("torch:Adam(lr=0.1", "cannot read"),
    ],
)  # fmt: skip
def test_bad_guests_are_refused_in_a_sentence(text: str, word: str) -> None:
    """A guest that cannot be built is refused, and the sentence names what is wrong."""
    with pytest.raises(RavineError, match=word):
        ravine.race(BOWL, text, (1, 1))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"steps": 0}, "steps"), ({"steps": 10**12}, "steps"), ({"steps": True}, "steps"), ({"steps": 1.5}, "steps"),
        ({"start": (1, 2, 3)}, "2 coordinates"), ({"start": ("a", 1)}, "start"), ({"start": (math.nan, 1)}, "finite"),
        ({"start": []}, "start"), ({"tol": -1}, "tol"), ({"noise": math.inf}, "noise"), ({"methods": []}, "needs a rule"),
        ({"methods": [3]}, "contestant"), ({"seed": -1}, "seed"), ({"seed": [1.5]}, "seed"), ({"seed": []}, "seed"),
        ({"target": math.nan}, "target"), ({"targets": [math.inf]}, "target"), ({"tol": "a"}, "tol"),
        ({"steps": 40_000_000, "start": [(1, 1)] * 100}, "too long"),
    ],
)  # fmt: skip
def test_a_race_that_cannot_start_says_why(changes: dict[str, object], word: str) -> None:
    """Bad numbers are refused before anything runs."""
    with pytest.raises(RaceError, match=word):
        ravine.race(BOWL, **{"methods": "sgd:lr=0.01", "start": (1, 1)} | changes)  # type: ignore[arg-type]


def test_a_start_outside_the_domain_is_refused() -> None:
    """log(x) at -1 is named as undefined at the start."""
    with pytest.raises(RavineError, match=r"undefined at the start \(-1\.0,\)"):
        ravine.race("log(x)", "sgd:lr=0.1", (-1,))


def test_turns_count_changes_of_side() -> None:
    """sgd with 1 < lr·h < 2 turns at every step, below 1 never."""
    run = one("spectrum(1,19)", "sgd:lr=0.1", (1, 1), 20, tol=0)
    assert run.turns == (0, 19)


def test_path_length_is_the_sum_of_steps() -> None:
    """On a straight way down without turning the path is as long as the way."""
    assert one("sphere", "sgd:lr=0.1", (3, 4), 1000).path_length == pytest.approx(5, rel=1e-6)


def test_steps_to_is_the_first_step_below() -> None:
    """Polyak's optimum gets x² + 50y² below 1e-6 after 64 steps."""
    run = one(BOWL, "heavyball:lr=0.0307020944,mu=0.5658068165", (180, 90))
    assert run.steps_to(1e-6) == 64
    assert run.steps_to(-1) is None


@pytest.mark.parametrize(
    ("surface", "method", "start", "tolerance"),
    [
        ("rosenbrock", "classical:lr=0.0005,mu=0.9", (-1.2, 1), 2e-3),
        ("himmelblau", "nag:lr=0.005,mu=0.8", (4, 4), 2e-2),
        ("(x-1)^4 + (x-1)^2 + y^2", "sgd:lr=0.1", (2, 2), 1e-3),  # no minimum is known: Newton finds it
        ("double_well", "sgd:lr=0.05", (1.6,), 1e-2),
        ("rastrigin", "sgd:lr=0.001", (3.2, 2.1), 1e-3),  # a hollow that the catalogue does not list
    ],
)
def test_rates_are_predicted_where_a_run_leads(
    surface: str, method: str, start: tuple[float, ...], tolerance: float
) -> None:
    """On surfaces that are not quadratic the rate at the minimum that is reached is the one measured."""
    run = one(surface, method, start, 20_000)
    assert run.predicted_rate is not None
    assert run.measured_rate == pytest.approx(run.predicted_rate, abs=tolerance)


@pytest.mark.parametrize(
    ("method", "tolerance"),
    [
        ("nag:lr=0.06892012046648054,mu=0.616955273239182", 5e-3),
        ("heavyball:lr=0.15046884829260646,mu=0.42097633860058475", 5e-3),
        ("classical:lr=0.02,mu=0.9", 5e-3),
    ],
)
def test_measured_rates_see_through_swings(method: str, tolerance: float) -> None:
    """A rate is measured as predicted although the gradient's norm swings, also where few steps pass before rounding."""
    run = one("1.5x^2 + 8.5y^2", method, (5, -4), 450, tol=0)
    assert run.measured_rate == pytest.approx(run.predicted_rate, abs=tolerance)


@pytest.mark.parametrize(("start", "rate"), [(1e-6, 1.2), (1.0, 1.2)])
def test_growth_has_a_measured_rate(start: float, rate: float) -> None:
    """A run that diverges from nearby grows by the predicted factor."""
    run = one("x^2", "sgd:lr=1.1", (start,), 500)
    assert run.stopped == "diverged"
    assert run.measured_rate == pytest.approx(rate, rel=1e-9)


def test_measured_rate_ignores_rounding_and_short_runs() -> None:
    """A geometric sequence that ends in rounding noise has its ratio; three numbers have none."""
    clean = 0.8 ** np.arange(300.0)
    assert measured_rate(np.maximum(clean, 1e-17 * np.random.default_rng(0).uniform(size=300))) == pytest.approx(
        0.8, rel=1e-9
    )
    assert measured_rate(clean[:3]) is None


def test_rules_are_chosen_where_none_is_given() -> None:
    """Without rules three take part, the choice is told, and none diverges on a quadratic."""
    result = ravine.race("spectrum(3,700)")
    assert len(result.runs) == 3
    assert "no rule was given" in result.notes[0]
    assert all(run.stopped != "diverged" for run in result.runs)


def test_an_interrupted_race_keeps_what_it_has() -> None:
    """Ctrl-C ends a race early with the steps made so far."""

    def stop(done: int, total: int) -> None:
        if done >= total // 2:
            raise KeyboardInterrupt

    run = one(BOWL, "sgd:lr=0.001", (180, 90), 8000, tol=0, progress=stop)
    assert run.stopped == "interrupted"
    assert 1000 <= run.steps < 8000
    assert run.value < run.values[0]


@pytest.mark.filterwarnings("error")
def test_huge_numbers_warn_nobody() -> None:
    """Overflow in what is read off a run ends in null, not in a warning."""
    told = ravine.race("1e200x^2", "sgd:lr=0.1", (1e50,)).summary()
    ravine.race("x^2+y^2", "qhm:lr=0.1,mu=0.9,nu=1e308", (1, 1)).summary()
    json.dumps(told, allow_nan=False)


def test_a_schedule_may_be_any_function_of_a_step() -> None:
    """A Python function that looks at one step at a time runs as the schedule that says the same."""
    mine = ravine.RULES["sgd"](lr=lambda t: 0.01 if t < 10 else 0.001)
    other = ravine.rules.parse("sgd:lr=then(0.01,10,0.001)")
    runs = ravine.race(BOWL, [mine, other], (180, 90), 40).runs
    np.testing.assert_array_equal(runs[0].positions, runs[1].positions)


def test_columns_are_one_long_table() -> None:
    """pandas reads the columns as they are: a row for every step of every run."""
    pandas = pytest.importorskip("pandas")
    result = ravine.race(BOWL, ["sgd:lr=0.01", "sgd:lr=0.03"], (180, 90))
    frame = pandas.DataFrame(result.columns())
    assert list(frame.columns) == ["run", "rule", "label", "step", "x", "y", "value", "gradient_norm"]
    assert len(frame) == sum(run.steps + 1 for run in result.runs)
    assert frame[frame.run == 0].value.iloc[-1] == result.runs[0].value
