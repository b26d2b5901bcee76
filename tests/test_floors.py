"""The house: imports go down, start-up is light, public names exist."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ravine

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "ravine"

# From the ground up; a file may import files before it in this list, none after.
FLOORS = """
    errors files display importing schedules rules charts letters
    surfaces.interface surfaces.functions surfaces.parse surfaces.expression surfaces.catalogue surfaces.spectrum
    surfaces.by_torch surfaces.by_jax surfaces.callables surfaces surfaces.check surfaces.describe starts
    algebra.kinds algebra.direction algebra.limits algebra.optima algebra.forms
    algebra.products algebra.noise algebra
    hollows prediction phrases verdict outlook places predict axes boundary ranges guests stepper tracing cells result
    components race phasemap _template _lanes _kernels walking phase export
    conversion conversion.inverse conversion.equal conversion.difference conversion.stepwise conversion.remarks convert
    conversion.table conversion.dialects conversion.arrays conversion.snapshot conversion.crossing conversion.layout
    conversion.record conversion.optax_state
    probing probing.machines probing.series probing.by_torch probing.by_optax probing.by_steps probing.kinds
    probing.linearity probing.timing probing.identify probing.match probing.changes probing.skips probing.report
    probing.probed probing.faults probe optax
    tasks.reading tasks.task tasks.batches tasks.once tasks.classes tasks.digits tasks.mnist tasks.autoencoder
    tasks.tables tasks.text tasks.adding tasks.catalogue tasks.check tasks.decorator tasks.loading tasks.identity
    tasks.describe tasks
    torch.numbers torch.loops torch._onepass torch._watch torch.flat torch.markers torch.arguments torch.lists torch.momentum
    torch.keys torch.counted torch.curves torch.schedule torch.names torch.state torch.checkpoint
    torch.training torch.pace
    torch.spectral torch.spectral.products torch.spectral.gaussnewton torch.spectral.subject torch.spectral.lanczos
    torch.curvature torch.density torch.noise torch.edge torch.spectral.weights torch.spectral.measurement
    torch.lanewise torch.lanewise.chances torch.lanewise.stack torch.lanewise.cleaning torch.lanewise.gradients
    torch.lanewise.tape torch.lanewise.moves torch.lanewise.slots torch.lanewise.feed
    torch.lanes torch.singles torch.fitness torch.crew torch
    sweep.trials sweep.grid sweep.parts sweep.manifest sweep.halving sweep.work sweep.engines sweep.cluster sweep.plan
    sweep.table sweep.run sweep
    tuning.ledger tuning.cells tuning.lab tuning.finals tuning.search tuning.recommendation tuning.foresight tuning.exact
    tuning.work tuning.verb tuning
    draw.data draw.style draw.spectra draw.schedules draw.directions draw.figures draw.predictions draw.conversions
    draw.picks draw.mapdata draw.maps draw.sweepdata draw.sweeps draw.sweeppage draw.evidence
    draw.film draw.sheets draw.notebook draw.exhibits draw.gallery draw.theory draw
    browser browser.captions browser.chinese browser.words browser.hints browser.scope browser.calls browser.expressions
    browser.translate browser.forecast browser.printer browser.rows browser.steps browser.engine
    browser.presets browser.settings browser.facts browser.figures browser.document page
    cli.options cli.curvature cli.see cli.foresee cli.chart cli.sweep cli.pages
    cli.checkpoints cli.exchange cli.inspect cli.lists cli.tasks cli.tune cli.app cli __main__
"""
ORDER = FLOORS.split()


def _name(file: Path) -> str:
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    own = {name.removeprefix("ravine.") for name in found if name.startswith("ravine.")}
    return {max((o for o in ORDER if name == o or name.startswith(f"{o}.")), key=len) for name in own}


FILES = sorted(file for file in SOURCE.rglob("*.py") if file != SOURCE / "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_imports_only_go_down(file: Path) -> None:
    """Each file imports only files that stand before it in the list."""
    me = _name(file)
    assert me in ORDER, f"{me} has no floor: enter it in ORDER"
    for other in _imports(file) - {me}:
        if me.startswith("surfaces.") and other == "surfaces" and me not in ("surfaces.check", "surfaces.describe"):
            pytest.fail(f"{me} imports the package {other}")
        assert ORDER.index(other) < ORDER.index(me), f"{me} imports {other}, which stands above it"


def test_every_floor_exists() -> None:
    """The list names no file that is gone."""
    assert {_name(file) for file in FILES} == set(ORDER)


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_files_stay_small(file: Path) -> None:
    """No file is longer than 400 lines."""
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400


HEAVY = ("torch", "numba", "bokeh", "pyarrow", "optax", "ray", "jax", "pandas", "scipy")


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import ravine", (*HEAVY, "sympy", "matplotlib", "numpy")),
        ("from ravine.cli.app import run; run(['rules'])", (*HEAVY, "sympy", "matplotlib", "numpy", "rich.table")),
        ("import ravine; ravine.race('bowl', 'sgd:lr=0.01')", (*HEAVY, "matplotlib")),
        ("import ravine; ravine.predict('bowl', 'classical:lr=0.01,mu=0.9')", (*HEAVY, "matplotlib")),
        ("from ravine.cli.app import run; run(['race', '--out', OUT])", (*HEAVY, "matplotlib.pyplot")),
    ],
    ids=["import", "rules", "race", "predict", "race on the command line"],
)
def test_nothing_heavy_is_loaded(code: str, unwanted: tuple[str, ...], tmp_path: Path) -> None:
    """A start pays only for what it uses."""
    code = code.replace("OUT", repr(str(tmp_path / "race.png")))
    script = f"{code}\nimport sys; print('loaded', sorted(set(sys.modules) & set({unwanted!r})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_public_names_exist() -> None:
    """Every name that __init__.pyi lists can be had."""
    assert {"race", "surface", "RULES", "Row", "algebra", "draw"} <= set(ravine.__all__)
    for name in ravine.__all__:
        assert getattr(ravine, name) is not None


def test_the_verb_is_not_shadowed_by_its_room() -> None:
    """`ravine.race` and `ravine.page` are the functions, whatever was imported first."""
    code = "import ravine.stepper, ravine.race, ravine.page; print(callable(ravine.race) and callable(ravine.page))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "True\n"


def test_update_rules_are_spelled_once() -> None:
    """No file but rules.py multiplies a learning rate or a momentum factor with anything."""
    pattern = re.compile(r"(?<![\w.\"'])-?(lr|mu)\s*\*\s*\w+|\w+\s*\*\s*(lr|mu)\b(?!\w)")
    for file in FILES:
        # the algebra of optima, and the series being measured
        if _name(file) in ("rules", "algebra.optima", "algebra.limits", "draw.exhibits"):
            continue
        for line in ast.unparse(_without_strings(file)).splitlines():
            assert not pattern.search(line), f"{_name(file)}: {line}"


def _without_strings(file: Path) -> ast.Module:
    class Blank(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.Constant("") if isinstance(node.value, str) else node

        def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.Constant:
            return ast.Constant("")

    return ast.fix_missing_locations(Blank().visit(ast.parse(file.read_text(encoding="utf-8"))))
