"""The page's numerics, run as JavaScript: rows, schedules, surfaces and trajectories are Python's."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn import schedules, seeded
from javascript import run_js
from ravine.browser.engine import program
from ravine.browser.presets import plain
from ravine.charts import EVERY
from ravine.race import race
from ravine.result import Run
from ravine.rules import RULES, Method, Rule
from ravine.rules import parse as read_method
from ravine.schedules import SCHEDULES, Schedule, parse, text_of
from ravine.stepper import norms
from ravine.surfaces import surface
from ravine.surfaces.catalogue import CATALOGUE
from ravine.surfaces.interface import Surface

BOWL = program(surface("bowl"), EVERY)


def drawn(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """Draw some examples at once, so that one process of JavaScript answers for all."""
    found: list[Any] = []

    @settings(seeded, max_examples=count)
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


# Settings -----------------------------------------------------------------------------------------------------------

BETWEEN = {  # of what lies in no other range than from 1e-3 to 1e3
    **dict.fromkeys(("mu", "tau", "beta1", "rho", "eps"), (0.0, 1.0)),
    **dict.fromkeys(("nu", "beta2", "kp", "kd"), (-10.0, 10.0)),
}


@pytest.mark.parametrize("rule", EVERY.values(), ids=EVERY)
def test_rows(rule: Rule) -> None:
    """At five hundred random settings a rule's row is Python's to the last bit, and a 0 or 1 of the table is one."""
    rng = np.random.default_rng(1)
    columns = [
        rng.uniform(*BETWEEN[key], 500) if key in BETWEEN else 10 ** rng.uniform(-3, 3, 500) for key in rule.parameters
    ]
    script = f"{BOWL} return data.settings.map((numbers) => engine.rules[data.rule].row(...numbers));"
    found = run_js(script, {"rule": rule.name, "settings": np.transpose(columns).tolist()})
    for numbers, row in zip(np.transpose(columns).tolist(), found, strict=True):
        assert row.tolist() == [float(cell) for cell in rule.row(**dict(zip(rule.parameters, numbers, strict=True)))]


def test_rules_and_schedules_are_all_there() -> None:
    """The engine lists each rule and each schedule with the names and defaults that Python has."""
    script = "const list = (all) => Object.entries(all).map(([name, { parameters, defaults }]) => [name, parameters, defaults]);"
    tables = [
        {rule.name: dict(rule.parameters) for rule in EVERY.values()},
        {kind.name: {p.name: p.default for p in kind.parameters} for kind in SCHEDULES.values()},
    ]
    for entries, table in zip(
        run_js(f"{BOWL} {script} return [list(engine.rules), list(engine.schedules)];"), tables, strict=True
    ):
        for (name, parameters, defaults), (known, own) in zip(entries, table.items(), strict=True):
            assert (name, parameters) == (known, list(own))
            assert defaults == {key: value for key, value in own.items() if value is not inspect.Parameter.empty}


def numbers_in(value: Any) -> list[float]:
    """List the numbers that a schedule is made of."""
    return [n for arg in value.args for n in numbers_in(arg)] if isinstance(value, Schedule) else [abs(float(value))]


STEPS = [*range(12), *range(12, 700, 23), 999, 1000, 12_249, 12_250, 10**6]
ROUNDED = re.compile("step|exponential|cosine|onecycle")  # made with powers, exponentials and cosines


def test_schedules() -> None:
    """Four hundred schedules of all kinds, nested ones too, are Python's to the last bit, or to 4 ulp with exp, cos, power.

    Of the value, or of the largest number that they are made of.
    """
    found = drawn(schedules(), 400)
    script = f"{BOWL} return data.given.map((value) => data.steps.map((t) => engine.at(value, t)));"
    answers = run_js(script, {"given": [plain(schedule) for schedule in found], "steps": STEPS})
    assert {schedule.name for schedule in found} == SCHEDULES.keys()
    exact = 0
    for schedule, answer in zip(found, answers, strict=True):
        with np.errstate(all="ignore"):
            wanted, got = np.array([schedule(t) for t in STEPS], float), np.array(answer, float)
        if ROUNDED.search(str(schedule)):
            fine = np.isfinite(wanted)
            ulp = np.spacing(np.maximum(abs(wanted[fine]), max(numbers_in(schedule))))
            assert (abs(got[fine] - wanted[fine]) <= 4 * ulp).all(), str(schedule)
            np.testing.assert_array_equal(got[~fine], wanted[~fine])
        else:
            exact += 1
            np.testing.assert_array_equal(got, wanted, str(schedule))
    assert exact > 100


def test_text() -> None:
    """Numbers and schedules are written as Python writes them, and so read back as themselves."""
    numbers = [*drawn(st.floats(), 500), 0.0, -0.0, 1e15, 1e16, -1e15, 123456789012345680.0, 1e-4, 1e-5, 1e22, 5e-324]
    numbers += [float(f"{digit}e{power}") for digit in (1, 1.5, -7.25) for power in range(-8, 24)]
    made = [*drawn(schedules(), 200), parse("cosine(0.1,1000,0)"), parse("then(nesterov83(1),5,sutskever(0.9,250))")]
    script = f"{BOWL} return data.map(engine.text);"
    assert run_js(script, [*numbers, *map(plain, made)]) == [*map(text_of, numbers), *map(str, made)]


# Surfaces -----------------------------------------------------------------------------------------------------------

TYPED = (
    "x^2 + x*y + 25y^2", "x^4 - 3x", "x^2 + x*y + 25y^2 + (z - x)^4", "sqrt(1 + x^2 + y^2) + abs(x - y)/(1 + y^2)",
    "(x - y)^5/7 + (x + 2)^3 - 1/(3 + x^2)^2", "0.1x^2 + 1e-20y^2 + 1e22x*y",
    "spectrum(2,100)", "spectrum(1,20,angle=30)", "spectrum(-1,3,0.5,7,seed=1)", "spectrum(1,2,3,4,5,6,7,seed=2)",
    f"spectrum({','.join(map(str, range(1, 31)))})",
)  # fmt: skip
WAVY = (
    "asin(x/9)^2 + acos(y/9) + atan(x*y)", "tan(x/9) + sinh(y) + tanh(x)^2 + cosh(x)", "log(20 + x*y) + 2^x + e^y",
    "(9 + x^2)^1.5 + (9 + y^2)^-1.5 + (x/9)^20 + y^2", "rastrigin(5)", "ackley(3)",
    "spectrum(1,2,3,4,5,6,7,8,9,10,seed=1)",
)  # fmt: skip


def is_exact(made: Surface) -> bool:
    """Say whether only + - * / sqrt and abs are done, in an order that is Python's."""
    if made.expression is None:
        return made.dim < 8 or bool(np.count_nonzero(made.hessian([0.0] * made.dim)) <= made.dim)
    return not re.search(r"(sin|cos|tan|exp|log|h|power)\(|\*\*20", str(made.expression))


def test_what_is_exact() -> None:
    """Enough surfaces are compared to the last bit, and enough with functions that round differently."""
    assert sum(is_exact(surface(name)) for name in (*CATALOGUE, *TYPED)) >= 24
    assert not any(is_exact(surface(name)) for name in (*WAVY, "rastrigin", "forrester"))


@pytest.mark.parametrize("name", [*CATALOGUE, *TYPED, *WAVY])
def test_value_and_gradient(name: str) -> None:
    """At random points, near and far, and at its minima, a surface's value and gradient are Python's.

    To the last bit where only + - * / sqrt are involved, else to 4 ulp of the largest of them nearby.
    """
    made, rng = surface(name), np.random.default_rng(0)
    box = np.array(made.domain or [(-3, 3)] * made.dim)
    near = rng.uniform(box[:, 0], box[:, 1], (300, made.dim))
    minima = [minimum.point for minimum in made.minima]
    points = np.concatenate([near, np.zeros((1, made.dim)), *([minima] if minima else [])])
    if is_exact(made):
        points = np.concatenate([points, near * 10 ** rng.uniform(-150, 150, (300, 1))])
    script = """return data.map((x) => {
        const g = new Float64Array(x.length);
        engine.surface.slope(x, g);
        return [engine.surface.height(x), ...g];
    });"""
    found = np.array(run_js(program(made, {}) + script, list(points)), float)
    wanted = np.column_stack([made.value(points), made.gradient(points)])
    if is_exact(made):
        np.testing.assert_array_equal(found, wanted)
        return
    fine = np.isfinite(wanted)
    assert fine.mean() > 0.99
    np.testing.assert_array_equal(np.isfinite(found), fine)
    ulp = np.spacing(np.nanmax(abs(np.where(fine, wanted, 0)), axis=0))
    assert (np.where(fine, abs(found - wanted), 0) <= 4 * ulp).all()


def test_ackleys_kink() -> None:
    """At ackley's minimum, where the formula's gradient is 0/0, the page's is 0, as Python's is."""
    script = "const g = new Float64Array(2); engine.surface.slope([0, 0], g); return g;"
    assert run_js(program(surface("ackley"), {}) + script).tolist() == [0, 0]


# Trajectories -------------------------------------------------------------------------------------------------------

RACE = "return data.runs.map((run) => engine.race(run, data));"


def settings_of(rule: Rule, h: float, part: float, mu: float) -> dict[str, float]:
    """Choose settings for a curvature: lr is a part of one over it."""
    lr = part / h
    known = {
        "lr": lr, "mu": mu, "tau": 0.3, "nu": 0.7, "L": h / part, "m": h / part / 50, "alpha": lr, "beta1": mu,
        "beta2": 0.5, "kp": -lr / 2, "ki": lr, "kd": 4 * lr, "delta": lr / 10, "kappa": 30.0, "xi": 5.0, "eps": 0.7,
        "rho": 0.87,
    }  # fmt: skip
    return rule.own(known)


def all_rules(made: Surface, *parts: tuple[float, float]) -> list[Method]:
    """Make methods of every rule and chart for the curvature at a surface's start."""
    h = float(abs(made.curvatures(made.start or (1.0,) * made.dim)).max())
    return [rule(**settings_of(rule, h, part, mu)) for rule in EVERY.values() for part, mu in parts]


def raced(
    made: Surface, methods: Sequence[Method], start: Any = None, tol: float = 1e-6, noise: float = 0.0, seed: int = 0
) -> tuple[list[Run], list[dict[str, Any]]]:
    """Race methods in Python and in the page."""
    steps = 200
    start = np.array(start or made.start or (1.0,) * made.dim)
    normals = np.random.default_rng(seed).standard_normal((steps, made.dim))
    runs = [{"rule": m.name, "settings": {k: plain(v) for k, v in m.settings.items()}} for m in methods]
    data = {"runs": runs, "start": start, "steps": steps, "tol": tol, "sigma": noise}
    found = run_js(program(made, EVERY) + RACE, {**data, "normals": normals.ravel() if noise else None})
    ours = [race(made, [method], start, steps, tol=tol, noise=noise, seed=seed).runs[0] for method in methods]
    return ours, found


def assert_equal(ours: Run, page: dict[str, Any], values: bool = True) -> None:
    """Hold a trajectory of the page against Python's, to the last bit."""
    assert (page["steps"], page["stopped"]) == (ours.steps, ours.stopped), str(ours.method)
    shape = ours.positions.shape
    np.testing.assert_array_equal(page["positions"].reshape(shape), ours.positions, str(ours.method))
    np.testing.assert_array_equal(page["velocities"].reshape(shape), ours.velocities, str(ours.method))
    if values:
        np.testing.assert_array_equal(page["values"], ours.values)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(page["norms"], norms(ours.surface, np.ascontiguousarray(ours.positions.T)))


EXACT = [name for name in (*CATALOGUE, *TYPED[:4], *TYPED[6:], "rosenbrock(5)") if is_exact(surface(name))]


@pytest.mark.parametrize("name", EXACT)
def test_trajectories(name: str) -> None:
    """Where only + - * / sqrt are involved, 200 steps of every rule and chart are Python's to the last bit.

    Positions, velocities, values, norms, and why and when each run stopped, for settings that settle and that diverge.
    """
    ours, pages = raced(surface(name), all_rules(surface(name), (0.5, 0.8), (6.0, 0.95), (0.1, 0.0)))
    for run, page in zip(ours, pages, strict=True):
        assert_equal(run, page)


def test_trajectories_stop_for_every_reason() -> None:
    """A page's run stops at its last step, on its gradient, at the edge, and where the surface has no value."""
    met = set()
    for text, methods, options in (
        ("bowl", ["sgd:lr=0.01", "sgd:lr=0.03", "classical:lr=0.019,mu=0.5", "sgd:lr=0", "nesterov:lr=0,mu=0"], {}),
        ("bowl", ["sgd:lr=0.01"], {"start": (0.0, 0.0)}),
        ("bowl", ["sgd:lr=0.001", "nag:lr=0.001,mu=0"], {"tol": 0.0, "start": (0.0, 1e-300)}),
        ("bowl", ["sgd:lr=1e300", "heavyball:lr=1e300,mu=0.9,tau=0.5"], {}),
        ("log(x)", ["sgd:lr=0.3", "classical:lr=0.1,mu=0.9"], {"start": (2.0,)}),
        ("x^2*y - 1/x", ["sgd:lr=0.3", "qhm:lr=0.2,mu=0.9,nu=0.7"], {"start": (1.0, -2.0)}),
    ):  # fmt: skip
        made = surface(text)
        ours, pages = raced(made, [read_method(one, EVERY) for one in methods], **options)
        for run, page in zip(ours, pages, strict=True):
            assert_equal(run, page, values="log" not in text)
            met.add(page["stopped"])
    assert met == {"steps", "gradient", "diverged", "undefined"}


def test_a_start_without_a_value() -> None:
    """From where the surface has no value, which Python refuses, the page's run is that point alone."""
    run = {"rule": "sgd", "settings": {"lr": 0.1}}
    (found,) = run_js(program(surface("log(x)"), RULES) + RACE, {"runs": [run], "start": [-1.0], "steps": 5})
    assert (found["steps"], found["stopped"], found["positions"].tolist()) == (0, "undefined", [-1])
    assert np.isnan(found["values"]).tolist() == [True]


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_schedules_and_noise(noise: float) -> None:
    """With schedules for lr, mu and others, and with a seed's noise, trajectories are Python's to the last bit."""
    methods = [
        read_method(text, EVERY)
        for text in (
            "classical:lr=0.01,mu=ramp(0.5,0.99,0.01)", "nag:lr=inverse(0.02,0.1),mu=sutskever(0.99,20)",
            "heavyball:lr=linear(0.02,0.001,100),mu=nesterov83(0.95),tau=then(0,50,0.5)", "sgd:lr=search(0.02,40)",
            "qhm:lr=warmup(0,20,0.01),mu=finaldrop(0.9,150,0.5,50),nu=constant(0.7)", "ema:lr=0.02,mu=ramp(0,0.9,0.1)",
            "triple:L=101,m=linear(1,90,30)", "nesterov:lr=ramp(0.02,0,-0.001),mu=then(0,5,ramp(0.9,0,-0.01))",
            "snv:alpha=0.01,beta1=0.8,beta2=linear(-1,1,50)",
        )
    ]  # fmt: skip
    for name in ("bowl", "rosenbrock"):
        made = surface(name)
        scaled = methods if name == "bowl" else methods[:1]
        for run, page in zip(*raced(made, scaled, noise=noise, seed=7), strict=True):
            assert_equal(run, page)


def twin(made: Surface, seed: int) -> Surface:
    """Return the surface with each slope off by up to 2 ulp, as another library's functions might have it."""
    rng = np.random.default_rng(seed)

    def slopes(x: Any, out: Any) -> None:
        made.slopes(x, out)
        out += rng.integers(-2, 3, out.shape) * np.spacing(abs(out).max(axis=0))

    return replace(made, slopes=slopes)


ROUNDING = [name for name in CATALOGUE if not is_exact(surface(name))]


@pytest.mark.parametrize("name", [*ROUNDING, *WAVY[3:], "x^2 + sin(x*y) + exp(y) - log(3 + z^2)"])
def test_trajectories_that_round_differently(name: str) -> None:
    """With sines, exponentials and powers 200 steps are Python's to 4 ulp of the farthest coordinate, before chaos.

    Chaos has set in where six runs of Python itself, each with gradients off by up to 2 ulp, left the path by more than
    2 ulp; from there on the page is no more than four times as far off it as they are.
    """
    made = surface(name)
    methods = all_rules(made, (0.1, 0.5), (0.5, 0.8))
    ours, pages = raced(made, methods, tol=0.0)
    twins = [race(twin(made, seed), methods, ours[0].positions[0], 200, tol=0).runs for seed in range(6)]
    calm = whole = 0
    for i, (run, page) in enumerate(zip(ours, pages, strict=True)):
        path, others = page["positions"].reshape(-1, made.dim), [runs[i].positions for runs in twins]
        k = min(map(len, (path, run.positions, *others)))
        assert k > 50
        ulp = np.spacing(np.maximum.accumulate(abs(run.positions[:k]).max(axis=1)))
        away, drift = (
            np.max([abs(each[:k] - run.positions[:k]).max(axis=1) for each in some], axis=0)
            for some in ([path], others)
        )
        drift = np.maximum.accumulate(drift)
        assert (away <= np.where(drift <= 2 * ulp, 4 * ulp, 4 * drift)).all(), str(run.method)
        calm, whole = calm + int((drift <= 2 * ulp).sum()), whole + k
    assert calm > 0.25 * whole


# What is written ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("a^2 + 50b^2 + a*b", "x^2 + 50y^2 + x*y"),
        ("theta1^4 - exp(w_2) + sin(theta1*w2)", "x^4 - exp(y) + sin(x*y)"),
        ("g0^2*x0 + v0^4 + g0*v0", "x^2*z + y^4 + x*y"),
        ("f1^2 + 50t3^2 + f1*t3", "x^2 + 50y^2 + x*y"),
    ],
)
def test_no_name_that_somebody_typed_is_written(text: str, renamed: str) -> None:
    """The program is the same for variables of other names, but for the list of these names."""
    made, plain = surface(text), surface(renamed)
    variables = [f"variables: {list(each.variables)}".replace("'", '"') for each in (made, plain)]
    assert program(made, RULES).replace(variables[0], variables[1]) == program(plain, RULES)


def test_a_rules_names_are_text() -> None:
    """Names of a rule and of its settings stand in the program as strings, whatever they are."""
    odd = Rule('</script>"; throw 1; "', lambda function, new: RULES["classical"].row(function, new), "", "")
    found = run_js(program(surface("bowl"), {odd.name: odd}) + "return [Object.keys(engine.rules), engine.rules];")
    assert found[0] == [odd.name]
    assert found[1][odd.name]["parameters"] == ["function", "new"]


def test_a_rule_that_branches_is_not_traced_wrongly() -> None:
    """A rule whose row depends on a comparison is not taken for either of its branches."""
    branching = Rule("mine", lambda lr: RULES["sgd"].row(lr if lr < 1 else 1), "", "")
    with pytest.raises(TypeError, match="nothing can branch on it"):
        program(surface("bowl"), {"mine": branching})
