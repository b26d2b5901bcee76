"""What a page refuses, and how large it may become."""

import numpy as np
import pytest

from javascript import run_js
from ravine import page
from ravine.browser.engine import program
from ravine.charts import EVERY
from ravine.errors import PageError, RavineError
from ravine.rules import RULES
from ravine.surfaces import surface
from ravine.surfaces.interface import Surface
from test_page_engine import RACE
from test_page_store import stored


def test_settings_fit_each_other_where_python_says_so() -> None:
    """A chart's settings that Python refuses together the page refuses too, constant or scheduled, and none else."""
    charts = ["robust:L=100,kappa=50,rho=0.9", "pid:kp=-0.1,ki=0.01,kd=0.5", "accsgd:delta=0.01,kappa=10,xi=2"]
    facts = page("x^2 + 50y^2", [*charts, "triple:L=100,m=2"], (180, 90)).facts
    random = np.random.default_rng(4)
    ranges = {"L": (1, 100), "m": (0.1, 60), "kappa": (0.5, 50), "rho": (0.5, 1), "kp": (-1, 1), "kd": (-1, 1)}
    runs, expected = [], []
    for name in ("robust", "pid", "accsgd", "triple") * 100:
        settings = {key: float(random.uniform(*ranges.get(key, (0.01, 0.99)))) for key in EVERY[name].parameters}
        runs.append({"rule": name, "settings": settings})
        try:
            EVERY[name](**settings)
            expected.append(True)
        except RavineError:
            expected.append(False)
    runs.append({"rule": "pid", "settings": {"kp": ["linear", 0.5, -0.5, 10], "ki": 0.1, "kd": -0.5}})
    expected.append(False)
    found = stored(facts, "return data.map((run) => Boolean(ravine.allowed.run(run, 20).value));", runs)
    assert 100 < sum(expected) < 300
    assert found == expected


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (surface(lambda x, y: x**2 + y**2), ["Python function", "x^2 + 50y^2"]),
        (surface(f"spectrum({','.join(['1'] * 201)})"), ["200 curvatures", "got 201"]),
        (surface(f"spectrum({','.join(['1'] * 51)},seed=1)"), ["50 where the axes are turned", "got 51"]),
    ],
    ids=["function", "long spectrum", "turned spectrum"],
)
def test_refusals(made: Surface, words: list[str]) -> None:
    """A surface that a page cannot hold is refused in one sentence that says what it takes."""
    with pytest.raises(PageError) as caught:
        program(made, RULES)
    assert all(word in str(caught.value) for word in words)
    assert isinstance(caught.value, RavineError)


LARGE = {
    "a product": "*".join(f"(sin({a}) + 2)" for a in "abcdfghijklmnopqrstu"),
    "a sum of nests": "+".join(f"sin(exp(cos(sin(tanh(sin(cos(x*{a})))))))" for a in "ybcdfghijklm"),
    "powers": "((((x + y)^x + y)^x + 1)^y + x)^x",
    "ackley": "ackley(20)",
    "rosenbrock": "rosenbrock(20)",
    "a spectrum": f"spectrum({','.join(map(str, range(1, 201)))})",
    "a turned spectrum": f"spectrum({','.join(map(str, range(1, 51)))},seed=1)",
}


@pytest.mark.parametrize("text", LARGE.values(), ids=LARGE)
def test_the_largest_surfaces(text: str) -> None:
    """The largest surfaces give a program under 250 kB, which runs."""
    made = surface(text)
    text = program(made, EVERY)
    assert len(text) < 250_000
    run = {"rule": "classical", "settings": {"lr": 1e-6, "mu": 0.9}}
    (found,) = run_js(text + RACE, {"runs": [run], "start": [0.5] * made.dim, "steps": 3, "tol": 0.0})
    assert found["stopped"] == "steps"
