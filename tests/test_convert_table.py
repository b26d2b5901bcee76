"""The table of all conversions: what the docs hold, and whether its formulas give the numbers."""

import numpy as np
import pytest

from conversions import NAMES, drawn
from ravine.convert import convert
from test_convert import TABLE


def test_the_docs_hold_the_printed_table() -> None:
    """docs/conventions.md holds what `ravine convert --markdown` prints, and its marks are the pairs above."""
    from pathlib import Path

    from ravine.conversion.table import ALWAYS, NEVER, kind, markdown

    assert markdown() in (Path(__file__).parents[1] / "docs/conventions.md").read_text(encoding="utf-8")
    for source, marks in TABLE.items():
        for target, mark in marks.items():
            expected = {"+": ALWAYS, "-": NEVER}.get(mark)
            assert expected is None or kind(source, target) == expected, (source, target)
            assert expected is not None or kind(source, target) not in (ALWAYS, NEVER), (source, target)


# Where a rule has neither momentum nor steps, or something that amounts to it: beyond the ordinary settings.
BARE: dict[str, list[tuple[float, ...]]] = {
    "sgd": [(0,)],
    "heavyball": [(0, 0.6, 0), (0.1, 0, 0), (0.1, 0.6, 1)],
    "qhm": [(0, 0.6, 0.7), (0.5, 0, 0.7), (0.5, 0.6, 0), (0.5, 0.6, 1), (0.5, 0.6, 1.5)],
    "triple": [(1, 1)],
    "snv": [(0, 0.6, 0.3), (0.1, 0, 0.3), (0.1, 0, 0), (0, 0, 0)],
    "robust": [(9, 4, 0.75)],
    "pid": [(-0.1, 0, 0.5)],
    "accsgd": [(0, 40, 3, 0.7), (0.1, 1.47, 3, 0.7)],
}


def test_what_the_table_sets_aside() -> None:
    """Always holds at these settings too, but for the pairs that the lines below the marks name."""
    from ravine.charts import EVERY
    from ravine.conversion.table import ASIDE, markdown
    from ravine.errors import ConvertError, RuleError

    refused = set()
    for source, target in ((s, t) for s in NAMES for t in NAMES if TABLE[s][t] == "+"):
        for values in BARE.get(source, [(0, 0.6), (0.1, 0), (0, 0)]):
            try:
                method = EVERY[source](**dict(zip(EVERY[source].parameters, values, strict=True)))
            except RuleError:
                continue
            try:
                convert(method, target)
            except ConvertError:
                refused.add((source, target))
    to_pid = {(s, "pid") for s in NAMES if TABLE[s]["pid"] == "+" and s != "pid"}
    to_robust = {(s, "robust") for s in ("sgd", "nag", "nesterov", "keras_nesterov")}
    assert refused == to_pid | to_robust | {("sgd", "triple"), ("qhm", "accsgd"), ("snv", "qhm")}
    assert "mu = 0 and lr = 0 aside" in ASIDE
    assert ASIDE in markdown()


@pytest.mark.parametrize("source", [name for name in NAMES if name not in ("robust", "triple")])
def test_formulas_give_the_numbers(source: str) -> None:
    """Each formula of the table, with numbers put in, is what the conversion of those numbers gives."""
    from ravine.conversion.table import traced

    method = drawn(source, np.random.default_rng(9))
    for target in NAMES:
        found = traced(source, target) if TABLE[source][target] == "+" and source != target else None
        if found is None or found.scale is None:
            continue
        numbers = convert(method, target)
        formulas = {**found.settings, "scale": found.scale, "shift": found.shift}
        values = {k: float(f.subs({s: method.settings[str(s)] for s in f.free_symbols})) for k, f in formulas.items()}
        assert values == pytest.approx({**numbers.target.settings, "scale": numbers.scale, "shift": numbers.shift})
