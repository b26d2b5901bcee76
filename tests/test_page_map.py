"""The map that a page walks: its cells end as those of `ravine map`, however it is sliced, coarse first."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from javascript import run_js
from ravine.browser.engine import OUTCOMES, program
from ravine.browser.presets import plain
from ravine.cells import DIVERGED, NOT_WALKED, NOT_YET, REACHED, UNDEFINED
from ravine.cells import OUTCOMES as WORDS
from ravine.charts import EVERY
from ravine.phase import phase_map
from ravine.phasemap import PhaseMap
from ravine.surfaces import surface

WALK = """
const walker = engine.map(data);
let slices = 0;
while (!walker.some(data.slice)) slices += 1;
const { order, outcome, stopped, value, walked, done } = walker;
return { order, outcome, stopped, value, walked, done, slices };
"""


pytestmark = pytest.mark.usefixtures("no_optimum")


def in_page(found: PhaseMap, slice: float = 1e9, **changes: Any) -> dict[str, Any]:
    """Walk a map's cells in the page, from the map's first start."""
    fixed = {key: plain(value) for key, value in found.fixed.items()}
    axes = {key: {"name": axis.name, "values": axis.values} for key, axis in (("x", found.x), ("y", found.y))}
    data = {"rule": found.rule.name, "settings": fixed, **axes, "start": found.starts[0], "steps": found.steps}
    answer: dict[str, Any] = run_js(
        program(found.surface, EVERY) + WALK, {**data, "target": found.target, "slice": slice, **changes}
    )
    return answer


def shares(found: PhaseMap, page: dict[str, Any]) -> tuple[float, float, float]:
    """Return the parts of the cells whose outcome, step and value are the same."""
    shape = found.outcome.shape
    pairs = (("outcome", found.outcome), ("stopped", found.stopped), ("value", found.value))
    parts = [((a := page[key].reshape(shape)) == b) | (np.isnan(a) & np.isnan(b)) for key, b in pairs]
    outcome, stopped, value = (float(part.mean()) for part in parts)
    return outcome, stopped, value


EXACT = [
    ("bowl", "classical", {"lr": (0, 0.04)}, {NOT_YET, REACHED, DIVERGED}),
    ("rosenbrock", "nag", {"lr": (0, 0.01), "target": 1e-3}, {NOT_YET, REACHED, DIVERGED}),
    ("double_well", "nesterov", {"lr": (0, 0.8), "steps": 61}, {NOT_YET, REACHED, DIVERGED}),
    ("himmelblau", "ema", {"lr": (0, 0.3), "steps": 39}, {NOT_YET, REACHED, DIVERGED}),
    ("x^2 - y^2/(1 + y^2)^2 + 1/x", "heavyball", {"lr": (0, 2), "start": (2, 3)}, {NOT_YET, REACHED, DIVERGED}),
]
ROUNDED = [
    ("rastrigin", "classical", {"lr": (0, 0.0045), "mu": (0, 0.8), "start": (0.3, -0.2)}, {NOT_YET, REACHED}),
    ("ackley", "nag", {"lr": (0, 0.05), "mu": (0, 0.6), "start": (0.3, 0.2), "target": 0.3}, {NOT_YET, REACHED}),
    ("spectrum(1,20,angle=30)", "classical", {"lr": (0, 0.2)}, {NOT_YET, REACHED, DIVERGED}),
    ("exp(x) + exp(-x) + y^2", "qhm:mu=0.9", {"lr": (0, 2), "mu": None, "axes": {"nu": (0, 1)}}, {NOT_YET, DIVERGED}),
    ("x^2 + y - 2sqrt(y + 3) + log(x)", "nag", {"lr": (0, 1.2), "start": (3, 2), "target": -1.5}, {REACHED, UNDEFINED}),
]


def mapped(text: str, rule: str, options: dict[str, Any], compiled: bool) -> PhaseMap:
    """Make a map, compiled or in NumPy, which spares the seconds that compiling takes."""
    made = surface(text)
    found = phase_map(made if compiled else replace(made, expression=None), rule, **{"steps": 200, **options}, size=60)
    assert found.engine == ("compiled" if compiled else "batched")
    return replace(found, surface=made)


@pytest.mark.parametrize(("text", "rule", "options", "outcomes"), EXACT, ids=[row[0] for row in EXACT])
def test_cells_to_the_last_bit(text: str, rule: str, options: dict[str, Any], outcomes: set[int]) -> None:
    """On polynomials and quotients each of 3600 cells has the outcome, the step and the value of `phase_map`."""
    found = mapped(text, rule, {"mu": (0, 0.99), **options}, compiled=text in ("bowl", "rosenbrock"))
    page = in_page(found)
    assert shares(found, page) == (1.0, 1.0, 1.0)
    assert set(page["outcome"].astype(int)) == outcomes
    assert (page["walked"], page["done"]) == (3600, 1)


@pytest.mark.parametrize(("text", "rule", "options", "outcomes"), ROUNDED, ids=[row[0] for row in ROUNDED])
def test_cells_that_round_differently(text: str, rule: str, options: dict[str, Any], outcomes: set[int]) -> None:
    """With functions, or a compiled formula in another order, at least 99.9 % of 3600 cells end alike.

    Away from chaos: the settings do not let a last bit grow until it chooses another hollow.
    """
    found = mapped(text, rule, {"mu": (0, 0.95), **options}, compiled=text.startswith(("rast", "spec")))
    page = in_page(found)
    assert shares(found, page)[0] >= 0.999
    assert set(page["outcome"].astype(int)) >= outcomes


def test_cells_in_chaos() -> None:
    """Where a last bit chooses the hollow, the page is no farther from the compiled map than NumPy is."""
    options = {"lr": (0, 0.02), "mu": (0, 0.8), "target": 25.0}
    compiled, plain = (mapped("rastrigin", "classical", options, compiled=which) for which in (True, False))
    between = (plain.outcome == compiled.outcome).mean()
    assert 0.9 < between < 0.999
    assert shares(compiled, in_page(compiled))[0] > between - 0.01


@pytest.mark.parametrize("rule", ["heavyball:tau=then(0,20,0.5)", "qhm:nu=linear(0,1,100)"])
def test_cells_with_a_schedule(rule: str) -> None:
    """Where a setting that is no axis follows a schedule, each cell is still that of `phase_map`."""
    found = phase_map("rosenbrock", rule, lr=(0, 0.01), mu=(0, 0.99), steps=120, size=30, target=0.5)
    assert found.engine == "batched"
    assert shares(found, in_page(found)) == (1.0, 1.0, 1.0)
    assert len(found.counts) == len(WORDS) == len(OUTCOMES)


def test_an_axis_that_the_rule_lacks() -> None:
    """An axis of no meaning for the rule changes nothing along it."""
    found = phase_map("bowl", "sgd", lr=(0, 0.04), mu=(0, 0.99), steps=50, size=9)
    page = in_page(found)
    assert shares(found, page) == (1.0, 1.0, 1.0)
    assert (page["outcome"].reshape(9, 9) == page["outcome"].reshape(9, 9)[0]).all()


def test_no_target_and_no_growth() -> None:
    """Without a target no cell is reached; what still grows counts as diverged on a quadratic alone."""
    found = phase_map("x^2 + x*y + 25y^2", "sgd", lr=(0.0395, 0.0405), mu=(0, 1e-9), steps=200, size=40, show="value")
    page, plain = in_page(found, target=None), in_page(found, target=None, quadratic=False)
    assert shares(found, page) == (1.0, 1.0, 1.0)
    assert set(page["outcome"]) == {NOT_YET, DIVERGED}
    assert set(plain["outcome"]) == {NOT_YET}


def test_slices() -> None:
    """A map that is walked in slices, however short, ends as one that is walked at once."""
    found = phase_map("bowl", "nesterov", lr=(0, 0.04), mu=(0, 0.99), steps=200, size=60)
    whole, sliced, single = (in_page(found, slice) for slice in (1e9, 0.2, 0))
    assert (whole["slices"], single["slices"]) == (0, 3599)
    assert 1 <= sliced["slices"] < 3599
    for key in ("outcome", "stopped", "value"):
        np.testing.assert_array_equal(whole[key], sliced[key])
        np.testing.assert_array_equal(whole[key], single[key])


@pytest.mark.parametrize(("rows", "columns"), [(200, 200), (60, 60), (7, 13), (1, 5), (2, 2)])
def test_coarse_first(rows: int, columns: int) -> None:
    """The order has each cell once; its first cells stand for every block of four by four."""
    script = """
    const axis = (name, count) => ({ name, values: new Float64Array(count).fill(0.01) });
    const walker = engine.map({
        rule: "classical", settings: {}, x: axis("lr", data.columns), y: axis("mu", data.rows), start: [1, 1], steps: 1,
    });
    walker.some(0);
    return { order: walker.order, outcome: walker.outcome, value: walker.value, done: walker.done };
    """
    found = run_js(program(surface("bowl"), EVERY) + script, {"rows": rows, "columns": columns})
    order = found["order"].astype(int)
    assert sorted(order) == list(range(rows * columns))
    blocks = -(-rows // 4) * -(-columns // 4)
    first = {(cell // columns // 4, cell % columns // 4) for cell in order[:blocks]}
    assert len(first) == blocks
    left = np.arange(rows * columns) != order[0]
    assert (found["outcome"] == NOT_WALKED).tolist() == left.tolist() == np.isnan(found["value"]).tolist()
    assert found["done"] == 1 / (rows * columns)
