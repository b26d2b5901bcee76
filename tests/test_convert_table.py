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
