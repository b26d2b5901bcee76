"""Predictions: what is claimed before a step is taken, against theorems, against runs, and through the command line."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine
from ravine.cli.app import run
from ravine.draw.predictions import draw, forecast
from ravine.errors import PredictError, RavineError, ScheduleError, SurfaceError
from ravine.hollows import minima
from ravine.rules import RULES, Rule, parse

BOWL = "x**2 + 50*y**2"


def called(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = run(arguments)
    told = capsys.readouterr()
    return code, told.out, told.err


def told(*arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code, out, _ = called("predict", *arguments, "--json", capsys=capsys)
    assert code == 0
    found: dict[str, Any] = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} in JSON"))
    return found


def test_the_promised_json(capsys: pytest.CaptureFixture[str]) -> None:
    """The documented command prints the documented keys, with the numbers of the blog post's bowl."""
    found = told(BOWL, "--rule", "classical:lr=0.01,mu=0.9", capsys=capsys)
    assert found["surface"] == BOWL
    assert (found["at"], found["rule"], found["settings"]) == ([0, 0], "classical", {"lr": 0.01, "mu": 0.9})
    assert (found["stable"], found["kind"]) == (True, "minimum")
    assert found["rate"] == pytest.approx(math.sqrt(0.9), rel=1e-12)
    assert found["limit"]["lr"] == pytest.approx(0.038, rel=1e-12)
    assert found["limit"]["h"] == pytest.approx(380, rel=1e-12)
    assert found["effective_lr"] == pytest.approx(0.1, rel=1e-12)
    assert found["acceleration"] == pytest.approx(10, rel=1e-12)
    assert [d["h"] for d in found["regimes"]] == [2, 100]
    assert {"h", "regime", "rate", "period", "poles"} <= found["regimes"][0].keys()
    assert all(abs(complex(*pole)) == pytest.approx(math.sqrt(0.9)) for d in found["regimes"] for pole in d["poles"])
    assert found["regimes"][1]["period"] == pytest.approx(2 * math.pi / math.acos(0.45 / math.sqrt(0.9)))
    assert found["optimum"]["lr"] == pytest.approx(0.0307020944, abs=5e-11)
    assert found["optimum"]["mu"] == pytest.approx(0.5658068165, abs=5e-11)
    assert found["optimum"]["rate"] == pytest.approx(0.7522013138, abs=5e-11)
    assert "noise_floor" not in found
    assert "places" not in found
    assert "converges with ripples: one digit every 43.7 steps" in found["verdict"]


def test_noise_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --noise the floor stands in total and per direction, and the expected curve ends near it."""
    found = told("bowl", "--rule", "sgd:lr=0.01", "--noise", "2", "--steps", "1000", capsys=capsys)
    each = [4 * 0.01 / (2 * (2 - 0.01 * h)) for h in (2, 100)]
    assert [d["noise_floor"] for d in found["regimes"]] == pytest.approx(each, rel=1e-12)
    assert found["noise_floor"] == pytest.approx(sum(each), rel=1e-12)
    assert found["expected"]["steps"][-1] == 1000
    assert found["expected"]["loss"][-1] == pytest.approx(sum(each), rel=1e-6)


@pytest.mark.parametrize("name", ["heavyball", "nag", "nesterov", "sgd", "ema", "qhm", "triple"])
def test_every_rule_is_predicted(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every rule has every key; what a rule does not have (lr of triple) is null."""
    settings = {"lr": 0.01, "mu": 0.9, "nu": 0.7, "L": 100, "m": 2}
    text = ",".join(f"{k}={v}" for k, v in settings.items() if k in RULES[name].parameters)
    found = told("bowl", "--rule", f"{name}:{text}", "--noise", "1", capsys=capsys)
    assert {"lr", "mu", "rate"} <= found["optimum"].keys()
    assert found["rate"] < 1
    assert found["noise_floor"] > 0
    assert (found["limit"]["lr"] is None) == (name == "triple")
    assert found["optimum"]["rate"] <= found["rate"] + 1e-7


@pytest.mark.parametrize(
    "text", ["sgd:lr=0.01", "classical:lr=0.012,mu=0.8", "nag:lr=0.008,mu=0.7", "triple:L=100,m=2"]
)
def test_the_rate_is_measured(text: str) -> None:
    """A race at the predicted place shrinks at the predicted rate."""
    predicted = ravine.predict("spectrum(2,30,100,seed=1)", text).places[0].rate
    measured = ravine.race("spectrum(2,30,100,seed=1)", text, (1, 2, 3), 600, tol=0).runs[0].measured_rate
    assert measured == pytest.approx(predicted, abs=2e-3)


def test_all_known_minima_of_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    """himmelblau has four places, each with a Hessian of its own; the first is also at the top level."""
    found = told("himmelblau", "--rule", "heavyball:lr=0.01,mu=0.8", capsys=capsys)
    assert [place["at"] for place in found["places"]] == [list(m.point) for m in ravine.surface("himmelblau").minima]
    assert len({place["regimes"][0]["h"] for place in found["places"]}) == 4
    assert found["at"] == found["places"][0]["at"]


def test_minima_are_found_from_starts() -> None:
    """Without known minima they are found by descent, from given starts in their order, else from several, lowest first."""
    both = ravine.predict("(x^2-1)^2 + 0.3x + y^2", "sgd:lr=0.05", start=[(1, 1), (-1, 1), (1, 0.5)])
    assert [round(p.point[0], 3) for p in both.places] == [0.96, -1.036]
    alone = ravine.predict("(x^2-1)^2 + 0.3x + y^2", "sgd:lr=0.05")
    assert [round(p.point[0], 3) for p in alone.places] == [-1.036, 0.96]
    assert "no start was given" in alone.notes[0]
    assert max(abs(ravine.surface("(x^2-1)^2 + 0.3x + y^2").gradient(alone.places[0].point))) < 1e-9


def test_callables_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A function of yours and one in a file are predicted like an expression."""
    file = tmp_path / "mine.py"
    file.write_text("def hill(x, y):\n    return (x - 1) ** 2 + 25 * (y + 2) ** 2\n")
    found = told(f"{file}:hill", "--rule", "sgd:lr=0.03", "--start", "3,3", capsys=capsys)
    assert found["at"] == pytest.approx([1, -2], abs=1e-5)
    assert [d["h"] for d in found["regimes"]] == pytest.approx([2, 50], rel=1e-4)
    mine = ravine.predict(lambda x, y: (x - 1) ** 2 + 25 * (y + 2) ** 2, "sgd:lr=0.03", start=(3, 3))
    assert mine.places[0].rate == pytest.approx(found["rate"], rel=1e-6)


def test_a_saddle_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    """At a saddle the direction that leaves does so by the larger root of (z-1)(z-a) = h(bz-c), as a race shows."""
    found = told("x^2 - y^2", "--at", "0,0", "--rule", "classical:lr=0.01,mu=0.9", capsys=capsys)
    assert (found["kind"], found["stable"], found["optimum"]) == ("saddle", False, None)
    leaving = found["regimes"][0]
    assert (leaving["h"], leaving["regime"]) == (-2, "diverging")
    away = ravine.race("x^2 - y^2", "classical:lr=0.01,mu=0.9", (0, 1e-3), 200, tol=0).runs[0].positions[:, 1]
    assert leaving["rate"] == pytest.approx(away[-1] / away[-2], rel=1e-6)
    assert "leaves this saddle along 1 of 2 directions" in found["verdict"]
    assert told("1 - x^2 - y^2", "--at", "0,0", "--rule", "sgd:lr=0.1", capsys=capsys)["kind"] == "maximum"


@pytest.mark.parametrize(
    ("surface", "kind", "words"),
    [
        ("x^4 + y^4", "flat", "the Hessian is 0"),
        ("(x - y)^2", "flat", "stays along 1 flat direction (rate 1); elsewhere it converges"),
        ("spectrum(0,2)", "flat", "rate 1"),
        ("3 + 0*x", "flat", "the Hessian is 0"),
    ],
)
def test_a_flat_direction_is_no_error(surface: str, kind: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Along a flat direction the rate is exactly 1, and the verdict says so."""
    found = told(surface, "--rule", "classical:lr=0.1,mu=0.5", "--noise", "1", capsys=capsys)
    assert (found["kind"], found["rate"], found["stable"]) == (kind, 1, False)
    assert "flat" in {d["regime"] for d in found["regimes"]}
    assert words in found["verdict"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            "classical:lr=0.04,mu=0.9",
            "diverges along h = 100, by a factor of 1.5 a step: lr must be below 0.038, it is 0.04",
        ),
        ("nag:lr=0.015,mu=0.9", "lr must be below 0.01357, it is 0.015, or mu below 0.5"),
        ("heavyball:lr=0.03,mu=0.2", "lr must be below 0.024, it is 0.03, or mu above 0.5"),
        ("sgd:lr=0.02", "neither converges nor diverges"),
        ("sgd:lr=0", "moves nowhere"),
        ("heavyball:lr=0.01,mu=0.9,tau=1", "moves nowhere"),
        ("sgd:lr=1e200", "diverges along"),
        ("triple:L=10,m=2", "the curvature must be below"),
        ("sgd:lr=0.0196078431372549", "sgd can hardly do better here"),
    ],
)
def test_the_verdict_says_what_to_do(rule: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Divergence is a result with exit code 0, and its sentence names the bound that would hold it."""
    assert words in told("bowl", "--rule", rule, capsys=capsys)["verdict"]


def test_the_named_mu_is_the_boundary() -> None:
    """A hair inside the interval of mu it is stable, a hair outside it is not."""
    low, high = ravine.predict("bowl", "heavyball:lr=0.03,mu=0.2").places[0].limit.mu or (0, 0)
    assert (low, high) == (pytest.approx(0.5, rel=1e-12), 1)
    for mu, stable in ((low + 1e-9, True), (low - 1e-9, False)):
        assert ravine.predict("bowl", f"heavyball:lr=0.03,mu={mu!r}").places[0].stable is stable


def test_schedules_are_means_over_the_steps(capsys: pytest.CaptureFixture[str]) -> None:
    """Under a schedule the rate is the mean growth of the product, and what is read off one row names its step."""
    rule = "classical:lr=0.01,mu=ramp(0.5,0.99,0.01)"
    found = told("bowl", "--rule", rule, "--steps", "30", capsys=capsys)
    assert found["settings"]["mu"] == "ramp(0.5,0.99,0.01)"
    product = np.eye(2)
    for t in range(30):
        product = np.array(ravine.algebra.step_matrix(parse(rule).row(t), 2.0)) @ product
    slow = abs(np.linalg.eigvals(product)).max() ** (1 / 30)
    assert found["regimes"][0]["rate"] == pytest.approx(slow, rel=1e-12)
    assert any("step 29 (lr = 0.01, mu = 0.79)" in note for note in found["notes"])
    steady = told("bowl", "--rule", "classical:lr=0.01,mu=constant(0.9)", capsys=capsys)
    assert steady["rate"] == pytest.approx(math.sqrt(0.9), rel=1e-12)


def test_a_point_that_is_not_stationary_is_noted(capsys: pytest.CaptureFixture[str]) -> None:
    """At a point on a slope the curvatures are read and the gradient is mentioned, in the notes and in the verdict."""
    found = told("rosenbrock", "--at", "0,0", "--rule", "sgd:lr=0.001", capsys=capsys)
    assert any("gradient there has the norm 2" in note for note in found["notes"])
    assert found["verdict"].startswith("this point is not stationary")


@pytest.mark.parametrize(("surface", "start"), [("booth", (-8, -6)), ("spectrum(2,10,30,seed=1)", (1, 2, 3))])
def test_the_expected_curve_is_the_run_on_a_quadratic(surface: str, start: tuple[float, ...]) -> None:
    """Without noise the expected loss is the loss of the race, at every step, however the axes are turned."""
    found = ravine.predict(surface, "nag:lr=0.02,mu=0.8", start=start, steps=60).places[0]
    values = ravine.race(surface, "nag:lr=0.02,mu=0.8", start, 60, tol=0).runs[0].values
    assert found.expected is not None
    assert found.expected.loss == pytest.approx(values, rel=1e-9)


def test_speedup_is_the_ratio_of_log_rates() -> None:
    """Against sgd at the same lr and at its best lr the ratio of log rates is that of the steps needed."""
    same, best = ravine.predict("bowl", "classical:lr=0.01,mu=0.9").places[0].speedup
    assert same == pytest.approx(math.log(math.sqrt(0.9)) / math.log(0.98), rel=1e-12)
    assert best == pytest.approx(math.log(math.sqrt(0.9)) / math.log(49 / 51), rel=1e-12)


def test_a_rule_of_ones_own() -> None:
    """A rule whose settings nobody can search has no optimum, and everything else."""
    own = Rule("own", lambda lr, beta: RULES["heavyball"].row(lr=lr, mu=beta), "", "")
    found = ravine.predict("bowl", own(lr=0.01, beta=0.9)).places[0]
    assert found.optimum is None
    assert found.rate == pytest.approx(math.sqrt(0.9))
    assert found.limit.lr == pytest.approx(0.038)


def test_a_small_curvature_of_a_quadratic_is_not_flat() -> None:
    """A condition number of 1e12 is one, and a direction that rounding alone makes is none."""
    wide = ravine.predict("spectrum(1e-6,1e6)", "sgd:lr=1e-6").places[0]
    assert (wide.kind, wide.stable) == ("minimum", True)
    assert [d.regime for d in ravine.predict("(x+y+z)^2", "sgd:lr=0.1").places[0].directions[:2]] == ["flat", "flat"]


def test_several_rules_make_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    """With two rules the JSON holds two predictions, with none the program chooses three and says so."""
    found = told("bowl", "--rule", "sgd:lr=0.01", "--rule", "nag:lr=0.01,mu=0.9", capsys=capsys)
    assert [each["rule"] for each in found["predictions"]] == ["sgd", "nag"]
    code, out, err = called("predict", "bowl", capsys=capsys)
    assert (code, out.count("minimum at (0, 0)")) == (0, 3)
    assert "no rule was given" in err


BAD = [
    (("x^2 - y^2", "-r", "sgd:lr=0.1"), "--at 0,0"),
    (("monkey_saddle", "-r", "sgd:lr=0.1"), "--at 0,0"),
    (("x + y", "-r", "sgd:lr=0.1"), "falls without bound"),
    (("exp(-x)", "-r", "sgd:lr=0.1"), "no minimum"),
    (("x^3", "-r", "sgd:lr=0.1", "--start", "1"), "no minimum"),
    (("bowl", "-r", "torch:Adam(lr=1)"), "guest"),
    (("bowl", "-r", "optax:adam(learning_rate=1)"), "guest"),
    (("bowl", "-r", "clasical:lr=1,mu=0"), "classical"),
    (("bowl", "-r", "sgd:lr=0.1", "--at", "1,2,3"), "2 coordinates"),
    (("bowl", "-r", "sgd:lr=0.1", "--start", "1"), "2 coordinates"),
    (("bowl", "-r", "sgd:lr=0.1", "--at", "one,2"), "numbers"),
    (("bowl", "-r", "sgd:lr=0.1", "--at", "nan,2"), "finite"),
    (("bowl", "-r", "sgd:lr=0.1", "--steps", "0"), "steps"),
    (("bowl", "-r", "sgd:lr=0.1", "--noise", "-1"), "noise"),
    (("bowl", "-r", "sgd:lr=0.1", "--noise", "nan"), "noise"),
    (("bowl", "-r", "sgd:lr=0.1", "--out", "a.gif"), "suffix"),
    (("ackley", "-r", "sgd:lr=0.1"), "Hessian"),
    (("sqrt(x)", "-r", "sgd:lr=0.1", "--at", "0"), "Hessian"),
    (("sqrt(x)", "-r", "sgd:lr=0.1", "--at", "-1"), "undefined"),
    (("FILE:complexed", "-r", "sgd:lr=0.1", "--at", "1,1"), "complex"),
    (("FILE:notanumber", "-r", "sgd:lr=0.1", "--at", "1,1"), "undefined"),
    (("bowl", "-r", "sgd:lr=0.1", "--at", ""), "--at takes numbers"),
    (("bowl", "-r", "sgd:lr=0.1", "--at", "1,2", "--at", "1"), "every --at needs"),
    (("bowl", "-r", "sgd:lr=0.1", "--start", "1,x"), "--start takes numbers"),
]


@pytest.mark.parametrize(("arguments", "word"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_sentence(
    arguments: tuple[str, ...], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input exits with 2 and one sentence that names what to do, without a traceback."""
    file = tmp_path / "bad.py"
    file.write_text("def complexed(x, y):\n    return x + 1j * y\ndef notanumber(x, y):\n    return float('nan')\n")
    code, out, err = called("predict", *(a.replace("FILE", str(file)) for a in arguments), capsys=capsys)
    assert (code, out) == (2, "")
    assert err.startswith("ravine: ")
    assert err.count("\n") == 1
    assert word in err


@pytest.mark.parametrize("given", [{"at": "text"}, {"at": [[[1.0]]]}, {"steps": True}, {"noise": "1"}, {"at": []}])
def test_bad_input_from_python(given: dict[str, Any]) -> None:
    """From Python too, what does not fit is a RavineError."""
    with pytest.raises(PredictError):
        ravine.predict("bowl", "sgd:lr=0.1", **given)
    with pytest.raises(PredictError, match="a rule is a text"):
        ravine.predict("bowl", 3)  # type: ignore[arg-type]
    assert issubclass(PredictError, RavineError)
    assert issubclass(SurfaceError, RavineError)


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("csv", b"rule,at"),
                                               ("json", b"{")])  # fmt: skip
def test_the_suffix_chooses_the_format(
    suffix: str, magic: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each suffix gives a file of that kind."""
    out = tmp_path / f"a.{suffix}"
    code, _, err = called("predict", "bowl", "-r", "nag:lr=0.01,mu=0.9", "--noise", "1", "-o", str(out), capsys=capsys)
    assert (code, err) == (0, "")
    assert out.read_bytes().startswith(magic)


@pytest.mark.parametrize("surface", ["bowl", "x^4", "spectrum(1,2,3,4,5,6,7)", "washboard"])
@pytest.mark.parametrize("rules", [["sgd:lr=3"], ["classical:lr=0.01,mu=0.9", "triple:L=100,m=2"], ["sgd:lr=0"]])
def test_every_prediction_can_be_drawn(surface: str, rules: list[str]) -> None:
    """Diverging, flat and many-dimensional predictions make a figure without a warning."""
    found = [ravine.predict(surface, each, noise=0.5) for each in rules]
    assert len(draw(found).axes) == 2


def test_the_picture_is_data_first() -> None:
    """The drawn rates are those of the algebra, the regimes cover the axis, and the curvatures lie on the curve."""
    found = ravine.predict("bowl", "classical:lr=0.01,mu=0.9")
    shown = forecast([found])
    (rates,) = shown.rates
    row = found.method.row(0)
    assert rates.rate == pytest.approx([ravine.algebra.rate(row, float(h)) for h in rates.h])
    assert (rates.regimes[0][1], rates.regimes[-1][2]) == (rates.h[0], rates.h[-1])
    assert [name for name, _, _ in rates.regimes] == ["monotone", "ripples", "diverging"]
    assert rates.marks.tolist() == [[2, pytest.approx(math.sqrt(0.9))], [100, pytest.approx(math.sqrt(0.9))]]
    assert rates.limit == pytest.approx(380)


@pytest.mark.parametrize("surface", ["bowl", "spectrum(2,30,100)"])
def test_a_schedule_that_ends_still_is_judged_by_its_mean(surface: str) -> None:
    """A cosine that is over converges in the mean; what is read of one row is read of the last that moves."""
    found = ravine.predict(surface, "sgd:lr=cosine(0.01,50)")
    (place,) = found.places
    assert place.rate == pytest.approx(0.994874, abs=1e-6)
    assert place.stable
    assert place.verdict.startswith("in the mean over the schedule it converges: one digit every 448 steps")
    assert "diverging" not in {d.regime for d in place.directions}
    assert place.limit.h > 100
    assert "step 49" in found.notes[0]
    assert "last that moves" in found.notes[0]


def test_a_last_row_that_is_unstable_is_a_clause_of_its_own() -> None:
    """The mean decides, and the row that a schedule ends with is named apart."""
    (place,) = ravine.predict("bowl", "sgd:lr=then(0.01,90,0.05)").places
    assert place.stable
    assert "in the mean over the schedule it converges" in place.verdict
    assert "its last row is unstable" in place.verdict
    (away,) = ravine.predict("bowl", "sgd:lr=then(0.05,90,0.015)").places
    assert not away.stable
    assert "diverges along h = 100" in away.verdict


def test_under_a_schedule_noise_is_read_at_the_last_step(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no fixed point under a schedule: the expected loss after the last step stands for the floor."""
    arguments = ("x^2", "-r", "heavyball:lr=cosine(0.3,150),mu=0.8,tau=0.4", "--noise", "0.8", "--steps", "200")
    found = told(*arguments, capsys=capsys)
    assert "noise_floor" not in found
    last = found["expected"]["loss"][-1]
    runs = ravine.race("x^2", arguments[2], (1,), 200, tol=0, noise=0.8, seed=range(1000)).runs
    assert last == pytest.approx(np.mean([run.values[-1] for run in runs]), rel=0.2)
    assert f"the expected loss ends at {last:.4g}" in found["verdict"]
    assert "expected loss" in called("predict", *arguments, capsys=capsys)[1]


@pytest.mark.parametrize("rule", ["sgd:lr=0", "sgd:lr=constant(0)", "heavyball:lr=0.1,mu=0.9,tau=1"])
def test_a_rule_that_stands_still_does_not_diverge(rule: str) -> None:
    """Without a step the word is 'stands still', the rate 1 and the floor 0."""
    (place,) = ravine.predict("bowl", rule, noise=1).places
    assert {d.regime for d in place.directions} == {"stands still"}
    assert (place.rate, place.noise_floor, place.stable) == (1, 0, False)


def test_a_slope_is_no_minimum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the gradient is not 0 nothing is said of noise or of an expected loss."""
    found = told("x^2+50y^2", "--at", "3,4", "-r", "sgd:lr=0.01", "--noise", "1", capsys=capsys)
    assert (found["kind"], found["expected"]) == ("slope", None)
    assert "noise_floor" not in found
    assert "noise" not in found["verdict"]
    shown = forecast([ravine.predict("x^2+50y^2", "sgd:lr=0.01", at=(3, 4))])
    assert shown.losses == ()
    assert "not stationary" in shown.nothing
    found = told("x^2-y^2", "--at", "3,4", "-r", "sgd:lr=0.01", capsys=capsys)
    assert "leaves this point along" in found["verdict"]


def test_elsewhere_the_expected_loss_is_the_quadratics() -> None:
    """A note and the axis say that the curve is that of the quadratic, not of the function."""
    found = ravine.predict("rosenbrock", "sgd:lr=0.001", noise=1)
    assert found.places[0].notes == ("the expected loss is that of the quadratic at (1,1), not of rosenbrock itself",)
    assert forecast([found]).what == "expected loss of the quadratic at (1, 1)"
    assert forecast([ravine.predict("bowl", "sgd:lr=0.001")]).what == "expected loss above the minimum"
    (flat,) = ravine.predict("x^4 + y^2", "classical:lr=0.1,mu=0.9", noise=1).places
    assert flat.directions[0].noise_floor is None
    assert "flat directions, 1 of 2, are not counted in what noise leaves" in flat.notes


def test_a_schedule_is_compared_with_its_own() -> None:
    """Against sgd means sgd under the same lr schedule, and no gain is claimed of a mean."""
    (place,) = ravine.predict("bowl", "sgd:lr=then(0.01,90,0.015)").places
    assert place.speedup[0] == pytest.approx(1, rel=1e-12)
    assert place.optimum is not None
    assert place.optimum.gain is None


def test_a_gain_below_one_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A best that is no better, here by a held nu, is not sold as fewer steps."""
    for rule in ("sgd:lr=cosine(0.01,50)", "sgd:lr=0.0196078431372549", "classical:lr=0.038,mu=0.9"):
        out = called("predict", "bowl", "-r", rule, capsys=capsys)[1]
        gains = [float(line.split(",")[-1].split()[0]) for line in out.splitlines() if "fewer steps" in line]
        assert all(1 <= gain < 1e6 for gain in gains)


def test_on_the_limit_nothing_is_divided_by_rounding() -> None:
    """A rate of 1 but for rounding has no steps per tenfold, no speed-up, no gain, and an infinite floor."""
    (place,) = ravine.predict("bowl", "classical:lr=0.038,mu=0.9", noise=1).places
    assert place.directions[1].steps_per_ten is None
    assert (place.speedup, place.stable, place.noise_floor) == ((None, None), False, math.inf)
    assert place.optimum is not None
    assert place.optimum.gain is None
    assert "on the limit of stability" in place.verdict


@pytest.mark.parametrize(
    "arguments",
    [
        ("x^2", "-r", "ema:lr=1e200,mu=0"),
        ("spectrum(1e-300,1e300)", "-r", "classical:lr=0.1,mu=0.9"),
        ("spectrum(1e-300,1e300)", "-r", "nag:lr=0.1,mu=0.9", "-r", "qhm:lr=0.1,mu=0.9,nu=0.7"),
        ("x^2+y^2", "-r", "qhm:lr=1e-300,mu=0.99999999999,nu=1e300", "--at", "0,0"),
        ("x^2+y^2", "-r", "triple:L=1e300,m=1e-300"),
        ("bowl", "-r", "sgd:lr=step(1e308,0.5,10)"),
    ],
    ids=" ".join,
)
def test_extreme_numbers_are_a_result(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """What overflows is told with exit code 0, in text, in JSON and with noise."""
    for more in ((), ("--json",), ("--noise", "1")):
        assert called("predict", *arguments, *more, capsys=capsys)[0] == 0


def test_a_schedule_of_yours_that_raises_is_one_sentence() -> None:
    """Whatever a callable raises becomes a ScheduleError that names the step."""

    def late(t: int) -> float:
        return 0.01 if t < 7 else 1 / 0

    for lr in (lambda t: 1 / 0, late):
        with pytest.raises(ScheduleError, match="raised ZeroDivisionError at step"):
            ravine.predict("bowl", RULES["sgd"](lr=lr), steps=20)
        with pytest.raises(ScheduleError, match="raised ZeroDivisionError at step"):
            ravine.race("bowl", RULES["sgd"](lr=lr), (1, 1), 20, tol=0)


def test_charts_are_predicted() -> None:
    """A chart is a rule like any other: snv with equal letters is nag."""
    snv = ravine.predict("bowl", "snv:alpha=0.01,beta1=0.9,beta2=0.9").places[0]
    nag = ravine.predict("bowl", "nag:lr=0.01,mu=0.9").places[0]
    assert snv.rate == nag.rate
    assert ravine.predict("bowl", "pid:kp=-0.01,ki=0.01,kd=0.1").places[0].optimum is None


@pytest.mark.parametrize(
    ("surface", "along"), [("abs(x)", 1), ("abs(x) + abs(y)", 2), ("x^2 + abs(y)", 1), ("x^4 + y^2", 0)]
)
def test_a_kink_is_not_flat(surface: str, along: int) -> None:
    """Where the gradient jumps, no quadratic is claimed."""
    (place,) = ravine.predict(surface, "classical:lr=0.1,mu=0.9", at=(0,) * (2 if "y" in surface else 1)).places
    assert [d.regime for d in place.directions].count("kink") == along
    assert (place.kind == "kink") == (along > 0)
    assert any("is a kink" in note for note in place.notes) == (along > 0)
    assert ("nothing is said of a kink" in place.verdict) == (along > 0)


def test_a_mu_near_one_is_printed_with_its_distance(capsys: pytest.CaptureFixture[str]) -> None:
    """mu=1 is no momentum: as many digits are printed as 1 - mu needs."""
    _, out, _ = called("predict", "x^2+1e-13*y^2", "-r", "classical:lr=0.1,mu=0.9", capsys=capsys)
    assert "mu=1," not in out
    assert "mu=1:" not in out
    assert out.count("mu=0.9999987") == 2
    assert "value -0" not in called("predict", "-0*x + y^2 - 0", "-r", "sgd:lr=0.1", capsys=capsys)[1]


def test_minus_zero_is_zero() -> None:
    """A value of -0 is told as 0."""
    (place,) = ravine.predict("-(x^2)", "sgd:lr=0.1", at=(0,)).places
    assert math.copysign(1, place.value) == 1


def test_what_leaves_a_saddle_is_drawn() -> None:
    """At a saddle the right panel shows the growing error, and the left one the negative curvature with its rate."""
    found = ravine.predict("x^2 - y^2", "classical:lr=0.1,mu=0.5", at=(0, 0), start=(1, 1e-3), steps=50)
    shown = forecast([found])
    away = ravine.race("x^2 - y^2", "classical:lr=0.1,mu=0.5", (1, 1e-3), 50, tol=0).runs[0].positions[:, 1]
    assert shown.losses[0].loss == pytest.approx(abs(away), rel=1e-9)
    assert shown.rates[0].marks[:, 0].tolist() == [-2, 2]
    left, right = draw(found).axes
    assert left.get_xlim()[0] < -2
    assert right.lines


@pytest.mark.parametrize(
    ("surface", "at", "words"), [("x^4", (0,), "every curvature here is 0"), ("x^2 - y^2", (1, 1), "no error")]
)
def test_an_empty_panel_says_why(surface: str, at: tuple[float, ...], words: str) -> None:
    """Where there is nothing to draw the axes say so."""
    point = (0,) * len(at)
    start = (1.0, 0.0)[: len(at)]
    found = ravine.predict(surface, "sgd:lr=0.1", at=point, start=start)
    assert words in forecast([found]).nothing
    assert any("nothing to show" in text.get_text() for text in draw(found).axes[1].texts)


def test_help_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    """`ravine predict --help` and `ravine race --help` fit on 40 lines."""
    for command in ("predict", "race"):
        code, out, _ = called(command, "--help", capsys=capsys)
        assert code == 0
        assert len(out.splitlines()) <= 40


def test_a_descent_that_flees_is_given_up() -> None:
    """Where a surface falls without bound the search for a minimum ends soon, and says that there is none."""
    made, asked = ravine.surface("abs(x)^3 + y"), []

    def heights(x: Any) -> Any:
        asked.append(x.shape)
        return made.heights(x)

    with pytest.raises(SurfaceError, match="no minimum"):
        minima(replace(made, heights=heights))
    assert len(asked) < 2_000
