"""The store of the page without a browser: what it takes, what it refuses, and what it hands on to elsewhere."""

import ast
import csv
import io
import json
import math
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest

from javascript import run_js
from ravine import export, page, race
from ravine.browser.engine import program
from ravine.charts import EVERY
from ravine.errors import RavineError
from ravine.rules import SETTINGS
from ravine.rules import parse as parse_rule
from ravine.schedules import SCHEDULES
from ravine.schedules import parse as parse_schedule

NAMES = ("tools", "allowed", "app", "share", "readout")
HOSTILE = (
    '{"__proto__": {"polluted": 1}, "runs": [{"rule": "__proto__", "settings": {}}]}',
    '{"runs": [{"rule": "constructor", "settings": {"lr": 1}}]}',
    '{"runs": [{"rule": "sgd", "settings": {"__proto__": {"polluted": 1}, "lr": "<img src=x onerror=alert(1)>"}}]}',
    '{"runs": [{"rule": "sgd", "settings": {"lr": ["constructor", 1]}}]}',
    '{"runs": [{"rule": "sgd", "settings": {"lr": ["ramp", 0.1, 0.2, "__proto__"]}}]}',
    '{"runs": [{"rule": "classical", "settings": {"lr": 0.01, "mu": ["ramp", 0.5, 2, 0.01]}}]}',
    '{"runs": []}',
    '{"runs": [null, 3, "x", []]}',
    '{"runs": {"length": 2}}',
    '{"start": [1e300, 1]}',
    '{"start": [1]}',
    '{"start": ["180", "90"]}',
    '{"noise": -1}',
    '{"seed": "<b>"}',
    '{"theme": "dark\\" onload=\\"alert(1)"}',
    '{"view": [[1, 0], [0, 1]]}',
    '{"time": {}}',
    '{"steps": 5.5}',
    '{"focus": null}',
    '{"together": 1}',
    '{"strange": 1}',
    "[]",
    "null",
    "no json",
    '{"strange": "' + "x" * 30_000 + '"}',
)


@pytest.fixture(scope="module")
def bowl() -> dict[str, Any]:
    """Return the facts of a page of the bowl, with all rules."""
    return page("x^2 + 50y^2", ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9"], (180, 90)).facts


def stored(facts: dict[str, Any], script: str, data: Any = None) -> Any:
    """Run a script after the store of a page has been made, without a document."""
    from ravine.surfaces import surface

    room = files("ravine.browser").joinpath("js")
    engine = program(surface(facts["surface"]["text"]), {name: EVERY[name] for name in facts["rules"]})
    code = "\n".join(room.joinpath(f"{name}.js").read_text(encoding="utf-8") for name in NAMES)
    return run_js(
        f"const FACTS = data.facts;\n{engine}\nconst ravine = {{facts: FACTS, engine}};\n{code}\n"
        "const said = [];\nravine.tell = (text) => said.push(text);\nravine.change({runs: FACTS.runs});\n"
        f"data = data.data;\n{script}",
        {"facts": facts, "data": data},
    )


# What is taken and what is refused ---------------------------------------------------------------------------------


def _texts() -> Iterator[tuple[str, str]]:
    """List settings and texts of values around every limit."""
    numbers = ("-1", "-1e-9", "0", "1e-9", "0.5", "0.999999", "1", "1.5", "1e300")
    for name in SETTINGS:
        yield from ((name, number) for number in numbers)
    for start, stop, by in (("0.5", "0.9", "0.1"), ("0.5", "0.9", "-0.1"), ("0.9", "0.5", "-0.1"), ("0.5", "0.5", "0")):
        yield "mu", f"ramp({start},{stop},{by})"
    for steps in ("0", "1", "2.5", "-3", "10"):
        yield "lr", f"linear(0.1,0,{steps})"
        yield "lr", f"cosine(0.1,{steps})"
        yield "lr", f"step(0.1,0.5,{steps})"
        yield "mu", f"sutskever(0.9,{steps})"
        yield "lr", f"then(0.1,{steps},cosine(0.1,5))"
        yield "lr", f"onecycle(0.1,1,{steps},0)"
    for number in ("-0.5", "0", "0.5", "1.5"):
        yield "lr", f"step(0.1,{number},5)"
        yield "lr", f"exponential(0.1,{number})"
        yield "lr", f"inverse(0.1,{number})"
        yield "lr", f"search(0.1,{number})"
        yield "lr", f"onecycle(0.1,1,10,0,{number})"
    yield "lr", "ramp(warmup(0,5,0.1),1,0.1)"
    yield "lr", "warmup(0,5,finaldrop(0.1,20,0.05,5))"


def _tree(text: str) -> Any:
    """Read a value as the page has it, without any check."""

    def read(node: ast.expr) -> Any:
        if isinstance(node, ast.Call):
            return [node.func.id, *map(read, node.args)]  # type: ignore[attr-defined]
        return float(ast.literal_eval(node))

    return read(ast.parse(text, mode="eval").body)


def _allowed(name: str, text: str, steps: int) -> bool:
    """Say whether Python takes a value for a setting at all steps."""
    try:
        value = parse_schedule(text)
    except RavineError:
        return False
    values = [value(t) if callable(value) else value for t in range(steps)]
    return all(bool(SETTINGS[name].allowed(v)) for v in values)


def test_values_are_allowed_where_python_allows_them(bowl: dict[str, Any]) -> None:
    """A number or a schedule passes the page's check exactly where it passes Python's."""
    texts = list(_texts())
    given = [[name, _tree(text)] for name, text in texts]
    found = stored(bowl, "return data.map(([name, value]) => !ravine.allowed.value(name, value, 40).fault);", given)
    for (name, text), taken in zip(texts, found, strict=True):
        assert taken == _allowed(name, text, 40), f"{name}={text}"
    assert 20 < sum(found) < len(found) - 20


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_finite_number_is_refused(bowl: dict[str, Any], number: str) -> None:
    """Neither NaN nor an infinity becomes a setting, a start or a number of steps."""
    script = f"""
        const faults = [ravine.set("lr", {number}), ravine.change({{start: [{number}, 1]}}), ravine.change({{steps: {number}}})];
        return [faults.map((each) => each.length), ravine.state.runs[0].settings.lr, ravine.state.start, ravine.state.steps];
    """
    assert stored(bowl, script) == [[1, 1, 1], 0.01, [180, 90], 100]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_fragment_changes_nothing(bowl: dict[str, Any], text: str) -> None:
    """Whatever a fragment holds that is not allowed is left out, said in words, and pollutes nothing."""
    script = """
        const before = JSON.stringify(ravine.state);
        ravine.restore(data);
        return [JSON.stringify(ravine.state) === before, said.length, {}.polluted === undefined];
    """
    assert stored(bowl, script, "#" + quote(text, safe="")) == [True, 1, True]


def test_a_fragment_that_is_no_text_is_left_out(bowl: dict[str, Any]) -> None:
    """A fragment whose percent signs mean nothing is refused like any other."""
    assert stored(bowl, "return [ravine.restore('#%E0%A4%A'), said.length];") == [False, 1]


def test_what_is_allowed_of_a_fragment_is_taken(bowl: dict[str, Any]) -> None:
    """A field that is refused does not take the others with it."""
    text = json.dumps(
        {"steps": 33, "noise": -1, "start": [1, 2], "runs": [{"rule": "nag", "settings": {"lr": 0.01, "mu": 0.5}}]}
    )
    script = """
        ravine.restore(data);
        return [ravine.state.steps, ravine.state.noise, ravine.state.start, ravine.state.runs[0].rule];
    """
    assert stored(bowl, script, "#" + quote(text)) == [33, 0, [1, 2], "nag"]


def test_a_link_restores_the_whole_state(bowl: dict[str, Any]) -> None:
    """What one page writes into its fragment another page reads back, every field of it."""
    script = """
        globalThis.location = {href: "file:///page.html#old"};
        globalThis.history = {replaceState: () => {}};
        ravine.change({
            runs: [
                {rule: "classical", settings: {lr: 0.01, mu: ["ramp", 0.5, 0.99, 0.01]}, shown: false},
                {rule: "triple", settings: {L: 100, m: 2}, shown: true},
            ],
            focus: 1, together: true, start: [-1.5, 1e-7], steps: 250, noise: 0.25, seed: 3, time: 17,
            view: [[-2, 2], [-1, 0.1]], place: 0, theme: "dark",
        });
        const link = ravine.link(), before = JSON.stringify(ravine.state);
        ravine.change({runs: FACTS.runs, focus: 0, together: false, start: [1, 1], steps: 5, noise: 0, seed: 0, time: null,
            view: null, place: null, theme: "auto"});
        const between = JSON.stringify(ravine.state);
        ravine.restore(link.slice(link.indexOf("#")));
        return [link.startsWith("file:///page.html#%7B"), between === before, JSON.stringify(ravine.state) === before, said];
    """
    assert stored(bowl, script) == [True, False, True, []]


# What follows from a change ----------------------------------------------------------------------------------------


def test_only_what_changed_is_computed(bowl: dict[str, Any]) -> None:
    """A setting of one run leaves the race of the other as it is; the start changes both; hiding computes nothing."""
    script = """
        const first = ravine.races.slice();
        ravine.set("lr", 0.005);
        const second = ravine.races.slice();
        ravine.change({start: [1, 1]});
        const third = ravine.races.slice();
        ravine.change({runs: ravine.state.runs.map((run, i) => ({...run, shown: i === 0}))});
        const same = (a, b, i) => a[i] === b[i];
        return [same(first, second, 0), same(first, second, 1), same(second, third, 1), same(third, ravine.races, 0),
            ravine.races[1]];
    """
    assert stored(bowl, script) == [False, True, False, True, None]


def test_listeners_hear_of_what_they_asked_for(bowl: dict[str, Any]) -> None:
    """A listener is called once a change, with the names of all that changed, and not where nothing did."""
    script = """
        const heard = [];
        ravine.listen(["races", "steps"], (changed) => heard.push([...changed].sort()));
        ravine.change({theme: "dark"});
        ravine.change({steps: 50});
        ravine.change({steps: 50});
        return heard;
    """
    assert stored(bowl, script) == [["races", "steps"]]


def test_rules_move_together_where_they_have_the_setting(bowl: dict[str, Any]) -> None:
    """With all rules together a setting changes in every run that has it, else in the focused one alone."""
    script = """
        ravine.set("lr", 0.002);
        const alone = ravine.state.runs.map((run) => run.settings.lr);
        ravine.change({together: true, focus: 1});
        ravine.set("lr", 0.003);
        ravine.set("mu", 0.5);
        return [alone, ravine.state.runs.map((run) => run.settings)];
    """
    assert stored(bowl, script) == [[0.002, 0.01], [{"lr": 0.003}, {"lr": 0.003, "mu": 0.5}]]


def test_more_steps_do_not_lead_a_schedule_astray(bowl: dict[str, Any]) -> None:
    """A schedule that leaves its range later on keeps the number of steps where it holds, and says so."""
    script = """
        ravine.change({runs: [{rule: "classical", settings: {lr: 0.01, mu: ["ramp", 0, 2, 0.005]}}]});
        ravine.change({steps: 150});
        const fine = ravine.state.steps;
        const faults = ravine.change({steps: 250});
        return [fine, ravine.state.steps, faults];
    """
    fine, kept, faults = stored(bowl, script)
    assert (fine, kept) == (150, 150)
    assert faults == ["classical: mu must be from 0 to below 1, got 1 at step 200."]


def test_labels_and_outcomes_are_pythons(bowl: dict[str, Any]) -> None:
    """A run is named, and its end told, in the words of a figure's legend."""
    from ravine.draw.data import outcome

    texts = ["classical:lr=0.01,mu=ramp(0.5,0.99,0.01)", "heavyball:lr=0.03,mu=0.9", "heavyball:lr=0.1,mu=0.5,tau=0.25",
             "sgd:lr=1e-05", "sgd:lr=0.021", "triple:L=100,m=2", "qhm:lr=0.5,mu=0.999,nu=1.5"]  # fmt: skip
    runs = [{"rule": rule.name, "settings": _settings(rule)} for rule in map(parse_rule, texts)]
    script = """
        ravine.change({runs: data});
        return ravine.state.runs.map((run, i) => [ravine.label(run), ravine.outcome(ravine.races[i])]);
    """
    told = [[run.method.label, outcome(run)] for run in race("x^2 + 50y^2", texts, (180, 90)).runs]
    assert stored(bowl, script, runs) == told


def test_the_measured_rate_is_pythons(bowl: dict[str, Any]) -> None:
    """The rate that the read-out measures is that of the run, whether it shrinks, swings, sinks into rounding or grows."""
    texts = ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9", "classical:lr=0.03,mu=0.2", "sgd:lr=0.0202", "nag:lr=0.5,mu=0.9",
             "heavyball:lr=0.0307,mu=0.5658"]  # fmt: skip
    runs = [{"rule": rule.name, "settings": _settings(rule)} for rule in map(parse_rule, texts)]
    script = """
        ravine.change({runs: data, steps: 400});
        return ravine.races.map((race) => ravine.measured(race.norms));
    """
    expected = [run.measured_rate or math.nan for run in race("x^2 + 50y^2", texts, (180, 90), steps=400).runs]
    assert stored(bowl, script, runs) == pytest.approx(expected, rel=1e-9, nan_ok=True)
    assert sum(map(math.isfinite, expected)) >= 5


def _settings(method: Any) -> dict[str, Any]:
    from ravine.browser.presets import plain

    return {name: plain(value) for name, value in method.settings.items()}


def test_numbers_are_written_as_python_writes_them(bowl: dict[str, Any]) -> None:
    """Digits are those of Python's format g, from the smallest number to the largest."""
    numbers = [0.0, 1.0, -2.5, 0.1, 123456.0, 1234567.0, 1e-4, 9.9995e-5, 0.00012345, 1e22, 1.5e-300, 99.95, 999.5, 1e6]
    found = stored(bowl, "return data.map((x) => [3, 4, 6].map((digits) => ravine.digits(x, digits)));", numbers)
    assert found == [[f"{x:.3g}", f"{x:.4g}", f"{x:.6g}"] for x in numbers]


# What is handed on -------------------------------------------------------------------------------------------------


def test_the_csv_is_that_of_a_race(bowl: dict[str, Any], tmp_path: Any) -> None:
    """The page's CSV has the columns and rows of `ravine race --out race.csv`, hidden runs left out, number by number."""
    texts = ["classical:lr=0.01,mu=ramp(0.5,0.99,0.01)", "nag:lr=0.01,mu=0.9"]
    runs = [{"rule": m.name, "settings": _settings(m)} for m in map(parse_rule, texts)]
    hidden = {"rule": "sgd", "settings": {"lr": 0.01}, "shown": False}
    found = stored(bowl, "ravine.change({runs: data}); return ravine.csv();", [runs[0], hidden, runs[1]])
    export.write(race("x^2 + 50y^2", texts, (180, 90)), tmp_path / "race.csv")
    mine = list(csv.reader(io.StringIO(found, newline="")))
    theirs = list(csv.reader((tmp_path / "race.csv").read_text(encoding="utf-8").splitlines()))
    assert mine[0] == theirs[0]
    assert len(mine) == len(theirs) == 203
    for a, b in zip(mine[1:], theirs[1:], strict=True):
        assert a[:3] == b[:3]
        assert [float(x) for x in a[3:]] == [float(x) for x in b[3:]]


SURFACES = (
    "x^2 + 50y^2",
    "bowl",
    "-x^2",
    "x",
    "$(touch hacked)",
    "`touch hacked`",
    'a"b',
    "a'b",
    "a\\b",
    "a!b",
    "a;b|c&d>e",
    "*",
)


@pytest.mark.parametrize("text", SURFACES)
def test_a_shell_reads_the_command_word_by_word(bowl: dict[str, Any], text: str) -> None:
    """Whatever a surface is called, a POSIX shell takes it as one word and runs nothing."""
    facts = {**bowl, "tol": 1e-9}
    script = """
        FACTS.surface.text = data;
        ravine.change({start: [-1.5, 2], steps: 50, noise: 0.5, seed: 3, runs: [
            {rule: "classical", settings: {lr: 0.01, mu: ["ramp", 0.5, 0.99, 0.01]}}, {rule: "sgd", settings: {lr: 1e-7}}]});
        return ravine.command();
    """
    command = stored(facts, script, text)
    last = [text] if text.startswith("-") else []
    words = ["ravine", "race", *([] if last else [text]), "--start", "-1.5,2", "--rule",
             "classical:lr=0.01,mu=ramp(0.5,0.99,0.01)", "--rule", "sgd:lr=1e-07", "--steps", "50", "--tol", "1e-09",
             "--noise", "0.5", "--seed", "3", *(["--", *last] if last else [])]  # fmt: skip
    assert shlex.split(command) == words
    if shutil.which("sh"):
        told = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
        assert told.stdout.splitlines() == words


def test_the_command_and_the_python_lines_give_the_same_picture(bowl: dict[str, Any]) -> None:
    """Both are read back as the race that the page shows; what has its usual value is left out."""
    command, lines = stored(bowl, "ravine.change({start: [9, 1]}); return [ravine.command(), ravine.python()];")
    assert (
        command
        == 'ravine race "x^2 + 50y^2" --start 9,1 --rule sgd:lr=0.01 --rule classical:lr=0.01,mu=0.9 --steps 100'
    )
    space: dict[str, Any] = {}
    exec(lines.rsplit("\n", 1)[0], space)
    expected = race("x^2 + 50y^2", ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9"], (9, 1))
    for mine, theirs in zip(space["result"].runs, expected.runs, strict=True):
        assert (mine.positions == theirs.positions).all()


def test_every_schedule_can_be_chosen(bowl: dict[str, Any]) -> None:
    """What a schedule begins with where it is chosen is allowed for each setting that offers it."""
    script = """
        const refused = [];
        for (const [key, schedule] of Object.entries(FACTS.schedules)) {
            for (const name of schedule.for) {
                ravine.change({runs: [{rule: "classical", settings: {lr: 0.01, mu: 0.9}}]});
                if (ravine.set(name, [key, ...schedule.first.map((first) => first ?? 0.01)]).length) refused.push([name, key]);
            }
        }
        return refused;
    """
    assert stored(bowl, script) == []
    assert set(bowl["schedules"]) <= set(SCHEDULES)
