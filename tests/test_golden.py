"""The blog post's test bed, x² + 50y² from (180, 90), as it was recomputed in double precision."""

import math

import pytest

import ravine

NINE = 5e-9  # relative: half a unit in the ninth significant digit


@pytest.mark.parametrize(
    ("method", "x", "y", "of_y", "value", "rate"),
    [
        ("sgd:lr=0.001", 147.342025, 2.39052590e-3, NINE, 21709.672570836, 0.998),
        ("sgd:lr=0.01", 23.87152006, 0, 0, 569.849470022, 0.98),
        ("classical:lr=0.001,mu=0.1", 144.124913, 5.86506535e-4, NINE, 20771.990587741, 0.99777723),
        ("classical:lr=0.001,mu=0.5", 120.856276, 1.55e-13, 5e-3, 14606.239337120, 0.99598381),
        ("classical:lr=0.001,mu=0.9", 18.39231094, 0.336486, 2e-6, 343.938243129, 0.97351530),
        ("classical:lr=0.01,mu=0.1", 18.9632298, 0, 0, 359.604085191, 0.97772137),
        ("classical:lr=0.01,mu=0.5", 2.63583911, -2.95e-14, 5e-3, 6.94764782, 0.95817424),
        ("classical:lr=0.01,mu=0.9", 0.76106047, 0.12150415, 5e-8, 1.317375990, 0.94868330),
        ("heavyball:lr=0.01,mu=0.9", 0.76106047, 0.12150415, 5e-8, 1.317375990, 0.94868330),
        ("classical:lr=0.01,mu=ramp(0.5,0.99,0.01)", -4.60929852, -0.02589362, 2e-7, 21.279156828, None),
        ("classical:lr=0.001,mu=ramp(0.5,0.99,0.01)", -90.6718010, 3.43369793e-3, NINE, 8221.376085379, None),
    ],
)
def test_golden(method: str, x: float, y: float, of_y: float, value: float, rate: float | None) -> None:
    """After 100 steps x and the value have nine digits, y those in print, and the rate eight decimals."""
    (run,) = ravine.race("x^2 + 50y^2", method, (180, 90), steps=100).runs
    assert run.steps == 100
    assert run.final[0] == pytest.approx(x, rel=2 * NINE if abs(x) < 1 else NINE)  # 0.76106047 has eight
    assert run.final[1] == pytest.approx(y, rel=of_y, abs=1e-16)
    assert run.value == pytest.approx(value, rel=NINE)
    assert run.predicted_rate == (None if rate is None else pytest.approx(rate, rel=0, abs=5e-9))


def test_polyak() -> None:
    """At Polyak's optimum the value is below 1e-6 after 64 steps and not before, at the rate 0.7522013138."""
    (run,) = ravine.race("x^2 + 50y^2", "heavyball:lr=0.0307020944,mu=0.5658068165", (180, 90)).runs
    assert run.steps_to(1e-6) == 64
    assert run.predicted_rate == pytest.approx(0.7522013138, rel=0, abs=1e-5)  # √ of what ten digits leave out


def test_same_path() -> None:
    """Classical and heavy ball take the same path at a constant lr and part when lr changes, as a race shows."""
    for lr, together in (("0.01", True), ("cosine(0.01,100)", False)):
        methods = [f"{name}:lr={lr},mu=0.9" for name in ("classical", "heavyball")]
        one, other = (run.positions for run in ravine.race("x^2 + 50y^2", methods, (180, 90)).runs)
        assert bool(abs(one - other).max() < 1e-10) is together


def test_closed_form() -> None:
    """Gradient descent on the bowl is (1 - 2·lr)ᵗ·180 and (1 - 100·lr)ᵗ·90 at every step."""
    (run,) = ravine.race("x^2 + 50y^2", "sgd:lr=0.001", (180, 90)).runs
    for t, (x, y) in enumerate(run.positions.tolist()):
        assert (x, y) == pytest.approx((180 * 0.998**t, 90 * 0.9**t), rel=1e-13)
    assert math.isclose(run.values[0], 437400)
