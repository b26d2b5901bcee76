"""The theory page's figures: their data are the formulas that the page derives."""

from pathlib import Path

import numpy as np
import pytest

from ravine.draw.theory import limits, noisy, optima, theory


def test_the_limits_drawn_are_the_published_ones() -> None:
    """The lines of the left panel are 2, 2(1 + mu), 2(1 + mu)/(1 + 2mu) and 2(1 + mu)/(1 - mu)."""
    sgd, heavy, nag, ema = limits()
    mu = sgd.x
    assert sgd.y == pytest.approx(np.full(len(mu), 2.0), rel=1e-12)
    assert heavy.y == pytest.approx(2 * (1 + mu), rel=1e-12)
    assert nag.y == pytest.approx(2 * (1 + mu) / (1 + 2 * mu), rel=1e-12)
    assert ema.y == pytest.approx(2 * (1 + mu) / (1 - mu), rel=1e-9)


def test_momentum_needs_the_square_root_of_the_steps() -> None:
    """For large condition numbers the steps grow with k for sgd and with the root of k for the other two."""
    for line, power in zip(optima(), (1, 0.5, 0.5), strict=True):
        slope = np.log(line.y[-1] / line.y[-10]) / np.log(line.x[-1] / line.x[-10])
        assert slope == pytest.approx(power, abs=5e-3)


def test_the_noisy_curves_lie_in_their_bands() -> None:
    """At nearly every step the expected loss is within 3 standard errors of the mean of 2,000 runs."""
    for line in noisy():
        away = abs(line.measured - line.expected)[1:] / line.error[1:]
        assert (away <= 3).mean() > 0.97
        assert line.expected[-1] == pytest.approx(line.floor, rel=0.01)


def test_the_figures_are_written(tmp_path: Path) -> None:
    """All figures that the page shows are drawn."""
    page = (Path(__file__).parents[1] / "docs" / "theory.md").read_text(encoding="utf-8")
    for path in theory(tmp_path / "theory"):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert f"(theory/{path.name})" in page
