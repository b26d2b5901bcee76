"""The page's predictions, which are Python's, translated: the same numbers, the same sentences, in every case."""

import json
import math
import random
import re
import string
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import ravine
from javascript import run_js
from ravine import algebra
from ravine.algebra.direction import leading, radius
from ravine.algebra.noise import ending
from ravine.algebra.products import growth_by_steps, last_stirring
from ravine.browser.engine import program as engine
from ravine.browser.forecast import fitting, optimum_facts, place_facts, program
from ravine.charts import EVERY
from ravine.outlook import outlook
from ravine.phrases import BOOKS, KINDS, REGIMES
from ravine.prediction import Place, Spot
from ravine.rules import Method, Row, Rule, parse
from ravine.schedules import Schedule
from ravine.verdict import verdict

LANGUAGES = ("en", "zh")
ASKED = """
return data.map(({lang, run, place, steps, noise, start, best}) => {
    try {
        return foresight(engine, {lang, optimumOf: () => best}).predict(run, place, steps, {noise, start});
    } catch (error) {
        return {error: String(error)};
    }
});
"""


@cache
def library() -> str:
    """Return the engine of a page with all rules, and what it can foresee."""
    return engine(ravine.surface("x^2 + 50y^2"), EVERY) + program()


def run_of(method: Method) -> dict[str, Any]:
    return {"rule": method.name, "settings": {key: listed(value) for key, value in method.settings.items()}}


def listed(value: Any) -> Any:
    """Write a setting as the page has it: a schedule is a list."""
    return [value.name, *map(listed, value.args)] if isinstance(value, Schedule) else value


def spot_facts(spot: Spot) -> dict[str, Any]:
    return {name: getattr(spot, name) for name in Spot.__annotations__}


# Cases ---------------------------------------------------------------------------------------------------------------


class Cases:
    """Draw methods and places: good ones, bad ones, and those exactly on a border."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def size(self, low: float, high: float) -> float:
        number = 10 ** self.random.uniform(low, high)
        return float(f"{number:.{self.random.choice([1, 2, 3, 17])}g}")

    def curvatures(self) -> tuple[float, ...]:
        some = [self.size(-3, 3) for _ in range(self.random.choice([1, 2, 2, 2, 3, 5]))]
        some = self.random.choice([some, some, some, [100.0, 2.0], [1.0, 1.0], [4.0, 0.25]])
        signs = self.random.choice([(1.0,), (1.0,), (1.0,), (1.0, 0.0), (1.0, -1.0), (0.0,), (-1.0,)])
        return tuple(sorted(h * self.random.choice(signs) + 0.0 for h in some))

    def place(self) -> Spot:
        h = self.curvatures()
        n = len(h)
        kind = "saddle" if min(h) < 0 < max(h) else "maximum" if max(h) < 0 else "minimum" if min(h) > 0 else "flat"
        kind = "saddle" if min(h) < 0 and kind == "flat" else kind
        kind = self.random.choice([kind] * 12 + ["slope", "kink"])
        turned = np.linalg.qr(np.random.default_rng(n).normal(size=(n, n)))[0].tolist()
        kinks = tuple(kind == "kink" and (i == 0 or self.random.random() < 0.5) for i in range(n))
        return Spot((0.5,) * n, 1.0, kind, h, tuple(map(tuple, turned)), kinks, self.random.random() < 0.5)

    def lr(self, h: Sequence[float]) -> float:
        steep = max(map(abs, h)) or 1.0
        exact = [1 / steep, 2 / steep, 3.8 / steep, 0.0, 1e-300, 1e200, 0.01, 0.02, 0.04]
        return self.random.choice([self.size(-4, 1) / steep] * 12 + exact)

    def mu(self) -> float:
        return self.random.choice([self.random.random(), 1 - self.size(-6, 0) * 0.999, 0.0, 0.9, 0.5, 0.99, 0.25])

    def lr_schedule(self, lr: float) -> str:
        kinds = (
            "linear({},0,50)",
            "step({},0.5,7)",
            "inverse({},0.1)",
            "search({},20)",
            "then({},9,0.001)",
            "constant({})",
        )
        return self.random.choice([*kinds, "warmup(0,5,{})", "linear({},0,9)", "ramp(0,{},0.001)"]).format(repr(lr))

    def mu_schedule(self, mu: float) -> str:
        kinds = ("ramp(0.5,0.99,0.01)", "sutskever(0.99,3)", "nesterov83(0.97)", "constant({})", "linear(0.1,{},12)")
        return self.random.choice([*kinds, "finaldrop({},30,0.1,10)", "then({},3,0.2)"]).format(repr(mu))

    def method(self, h: Sequence[float]) -> Method:
        rule = self.random.choice(list(EVERY))
        if rule in ("triple", "robust", "pid", "snv", "accsgd"):
            return parse(f"{rule}:{self.lettered(rule, h)}", EVERY)
        lr, mu, scheduled = self.lr(h), self.mu(), self.random.random() < 0.3
        told = {"lr": repr(lr), "mu": repr(mu), "nu": repr(self.random.choice([0.0, 1.0, 0.7, self.random.random()]))}
        told["tau"] = repr(self.random.choice([0.0, 0.0, 0.5, 1.0, self.random.random()]))
        if scheduled and 0 < lr < 1e100:
            told["lr"] = self.random.choice([told["lr"], self.lr_schedule(lr)])
            told["mu"] = self.random.choice([told["mu"], self.mu_schedule(mu)])
        return parse(f"{rule}:" + ",".join(f"{key}={told[key]}" for key in EVERY[rule].parameters), EVERY)

    def lettered(self, rule: str, h: Sequence[float]) -> str:
        steep = max(map(abs, h)) or 1.0
        L, part, s = steep * self.size(-1, 1), self.size(-3, 0), self.size(-4, 0.5) / steep
        if rule == "triple":
            return f"L={L!r},m={L * part!r}"
        if rule == "snv":
            return f"alpha={s!r},beta1={self.mu()!r},beta2={self.random.uniform(-0.5, 1.5)!r}"
        if rule == "pid":
            return f"kp={-s!r},ki={s!r},kd={10 * s * self.random.random()!r}"
        kappa = 1 + self.size(-1, 3)
        if rule == "accsgd":
            return f"delta={s!r},kappa={kappa!r},xi={self.random.random() * min(kappa, 2)!r}"
        low, high = 1 - 1 / math.sqrt(kappa), 1 - 1 / kappa
        return f"L={L!r},kappa={kappa!r},rho={low + (high - low) * self.random.random()!r}"

    def best(self, method: Method, h: Sequence[float]) -> dict[str, Any] | None:
        """Return best settings, in closed form where there is one, else made up: they are data to both sides."""
        if min(h) < 0 or max(h) == 0:
            return None
        settings = {key: value for key, value in method.settings.items() if not callable(value)}
        if method.name in ("sgd", "classical", "heavyball", "ema", "nag", "nesterov", "keras_nesterov"):
            return optimum_facts(
                method.rule, {"h": h}, {"tau": self.random.choice([0.0, 0.5])} if "tau" in settings else {}
            )
        made = {key: self.size(-3, 0) for key in method.rule.parameters if key != "nu"}
        nu = {"nu": self.random.choice([settings["nu"], 0.4])} if "nu" in settings else {}
        return self.random.choice([None, {"settings": {**made, **nu}, "rate": self.random.random()}])

    def case(self) -> dict[str, Any]:
        spot = self.place()
        method = self.method(spot.h)
        return {
            "method": method,
            "spot": spot,
            "steps": self.random.choice([1, 2, 10, 40]),
            "noise": self.random.choice([0.0, 0.0, 1.0, self.size(-3, 2)]),
            "start": [self.random.uniform(-2, 2) for _ in spot.h],
            "best": self.best(method, spot.h),
        }


def predicted(case: dict[str, Any], lang: str) -> dict[str, Any]:
    """Predict in Python as `predict` does, from the same data."""
    method, spot, noise, best = case["method"], case["spot"], case["noise"], case["best"]

    def best_of(settings: Any) -> Any:
        return best and fitting(best["settings"], best["rate"], settings)

    found = outlook(method, spot, case["steps"], noise, best_of)
    left = None
    if noise > 0 and not method.steady and spot.kind != "slope":
        x = np.array(spot.vectors) @ (np.array(case["start"]) - spot.point)
        left = float(algebra.expected(method, spot.h, x, case["steps"], noise).loss[-1])
    found = Place(**{**vars(found), "left": left})
    return {**flattened(found), "verdict": verdict(found, method, noise, BOOKS[lang])}


def flattened(place: Place) -> dict[str, Any]:
    """Return a place as the page has it."""
    found: dict[str, Any] = dict(vars(place))
    found["directions"] = [{**vars(d), "poles": [[z.real, z.imag] for z in d.poles]} for d in place.directions]
    found["limit"] = dict(vars(place.limit))
    found["optimum"] = place.optimum and dict(vars(place.optimum))
    return found


def asked(cases: Sequence[dict[str, Any]], langs: Sequence[str]) -> list[dict[str, Any]]:
    """Predict in JavaScript."""
    data = [
        {
            "lang": lang,
            "run": run_of(case["method"]),
            "place": spot_facts(case["spot"]),
            **{key: case[key] for key in ("steps", "noise", "start", "best")},
        }
        for case, lang in zip(cases, langs, strict=True)
    ]
    found: list[dict[str, Any]] = run_js(library() + ASKED, data)
    return found


# What is the same up to logarithms and exponentials of two libraries, or is a sum, which newer Pythons compensate.
ROUNDED = re.compile(r"period|speedup|gain|steps_per_ten|left|^\.noise_floor")
POWERS = ("triple", "robust", "pid", "accsgd")  # their rows have powers, which no two libraries round alike


def near(one: float, other: float, path: str) -> bool:
    """Compare what a logarithm made; that of a rate is worth as much as its difference from 1."""
    if "steps_per_ten" in path and one and other:
        one, other = math.exp(-1 / one), math.exp(-1 / other)
    return math.isclose(one, other, rel_tol=1e-9 if re.search("speedup|gain|left", path) else 1e-12)


def differences(one: Any, other: Any, exact: bool, path: str = "") -> list[str]:
    """List where two answers differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return [f"{path}: {one.keys() ^ other.keys()}"]
        return [each for key in one for each in differences(one[key], other[key], exact, f"{path}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [each for i, (a, b) in pairs for each in differences(a, b, exact, f"{path}[{i}]")]
    if isinstance(one, float) and isinstance(other, int | float) and not isinstance(other, bool):
        rounded = not exact or ROUNDED.search(path)
        same = near(one, other, path) if rounded else one == other
        return [] if same or (math.isnan(one) and math.isnan(other)) else [f"{path}: {one!r} {other!r}"]
    return [] if one == other else [f"{path}: {one!r} {other!r}"]


@pytest.mark.parametrize("seed", range(4))
def test_a_prediction_is_pythons(seed: int) -> None:
    """Of 1500 random methods and places each number is Python's to the last bit, and each sentence word for word."""
    drawn = Cases(seed)
    cases = [drawn.case() for _ in range(1500)]
    langs = [drawn.random.choice(LANGUAGES) for _ in cases]
    wrong = []
    with np.errstate(all="ignore"):
        for case, lang, found in zip(cases, langs, asked(cases, langs), strict=True):
            exact = case["method"].steady and case["method"].name not in POWERS
            wrong += [
                f"{case['method']} {case['spot'].h} {each}" for each in differences(predicted(case, lang), found, exact)
            ]
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("surface", "at"),
    [
        ("bowl", None), ("himmelblau", None), ("rosenbrock", (0, 0)), ("x^4 + y^2", (0, 0)), ("x^2 - y^2", (0, 0)),
        ("abs(x) + y^2", (0, 0)), ("spectrum(0,1,2,30,100,seed=1)", None), ("washboard", None), ("x^2", (1,)),
    ],
)  # fmt: skip
def test_the_page_says_what_predict_says(surface: str, at: Any) -> None:
    """At the places of real surfaces the page repeats `ravine predict`: its sentence, its regimes, its numbers."""
    texts = [
        "sgd:lr=0.01", "classical:lr=0.01,mu=0.9", "nag:lr=0.015,mu=0.9", "heavyball:lr=0.03,mu=0.2,tau=0.5",
        "ema:lr=0.1,mu=ramp(0.5,0.99,0.01)", "triple:L=100,m=2", "snv:alpha=0.01,beta1=0.9,beta2=0.5", "sgd:lr=cosine(0.01,40)",
    ]  # fmt: skip
    cases, wanted = [], []
    for text in texts:
        told = ravine.predict(surface, text, at=at, noise=0.5, steps=60)
        for place in told.places:
            facts = place_facts(told.surface, np.array(place.point))
            fixed = {key: float(value) for key, value in told.method.settings.items() if key in ("nu", "tau")}
            best = optimum_facts(told.method.rule, facts, fixed)
            spot, start = Spot(**facts), list(map(float, place.start))
            cases.append({"method": told.method, "spot": spot, "steps": 60, "noise": 0.5, "start": start, "best": best})
            wanted.append(place)
    for place, found in zip(wanted, asked(cases, ["en"] * len(cases)), strict=True):
        assert found["verdict"] == place.verdict
        assert [d["regime"] for d in found["directions"]] == [d.regime for d in place.directions]
        for name in ("rate", "stable", "effective_lr", "acceleration", "kind", "speedup", "noise_floor"):
            assert differences(getattr(place, name), found[name], False, name) == []
        assert found["left"] is None or found["left"] == pytest.approx(place.left, rel=1e-9)
        assert differences(vars(place.limit), found["limit"], exact=True) == []
        assert (place.optimum and dict(place.optimum.settings)) == (found["optimum"] and found["optimum"]["settings"])


def test_a_known_optimum_is_fitted() -> None:
    """Another tau rescales the lr of a known optimum as the search does anew; another nu or a tau of 1 leaves it out."""
    rule = EVERY["heavyball"]
    for before, now in ((0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.25, 0.9)):
        known = optimum_facts(rule, {"h": [2.0, 0.0, 100.0]}, {"tau": before})
        assert known is not None
        wanted = optimum_facts(rule, {"h": [2.0, 0.0, 100.0]}, {"tau": now})
        found = fitting(known["settings"], known["rate"], {"lr": 0.1, "mu": 0.5, "tau": now})
        assert found is not None
        assert wanted == {"settings": pytest.approx(found[0], rel=1e-14), "rate": found[1]}
    assert fitting({"lr": 0.1, "mu": 0.5}, 0.5, {"lr": 0.1, "mu": 0.5, "tau": 1.0}) is None
    assert fitting({"lr": 0.1, "mu": 0.5, "nu": 0.7}, 0.5, {"lr": 0.1, "mu": 0.5, "nu": 0.8}) is None
    assert optimum_facts(rule, {"h": [-1.0, 2.0]}, {}) is None
    assert optimum_facts(rule, {"h": [0.0]}, {}) is None


def test_limits_and_critical_momenta_are_pythons() -> None:
    """`limitLr` and `criticalMu` are the algebra's to the last bit, null and NaN where a rule has none."""
    drawn = Cases(7)
    rules = ("sgd", "classical", "heavyball", "nag", "nesterov", "keras_nesterov", "ema", "qhm", "triple", "snv")
    asking = []
    for _ in range(600):
        rule, h = drawn.random.choice(rules), drawn.size(-2, 3)
        told = {
            "lr": drawn.lr([h]),
            "mu": drawn.mu(),
            "nu": drawn.random.random(),
            "tau": drawn.random.choice([0.0, 0.5]),
        }
        told |= {"L": 10.0, "m": 0.1, "alpha": 0.1, "beta1": 0.5, "beta2": 0.5}
        asking.append({"rule": rule, "h": h, "settings": {key: told[key] for key in EVERY[rule].parameters}})
    script = """
    const {criticalMu, limitLr} = foresight(engine);
    return data.map(({rule, settings, h}) => [criticalMu(rule, settings, h), limitLr(rule, settings, h)]);
    """
    for each, (mu, lr) in zip(asking, run_js(library() + script, asking), strict=True):
        name, settings, h = each["rule"], each["settings"], each["h"]
        others = {key: value for key, value in settings.items() if key != "mu"}
        wanted = float(algebra.critical_mu(name, h=h, **others)) if "mu" in settings else math.nan
        assert mu == wanted or (math.isnan(mu) and math.isnan(wanted)), each
        others = {key: value for key, value in settings.items() if key != "lr"}
        assert lr == (algebra.limit_lr(name, h, **others) if "lr" in settings else None), each


# What is translated in place of what takes arrays --------------------------------------------------------------------


def test_twins_are_equal() -> None:
    """What is translated in place of what takes arrays gives the same numbers."""
    drawn = Cases(11)
    with np.errstate(all="ignore"):
        for _ in range(400):
            spot = drawn.place()
            method, steps = drawn.method(spot.h), drawn.random.choice([1, 2, 3, 7, 33])
            row = method.row(0)
            assert algebra.last_moving(method, steps) == (steps - 1 if method.steady else last_stirring(method, steps))
            if not method.steady:
                assert np.array_equal(
                    growth_by_steps(method, spot.h, steps), algebra.growth(method, spot.h, steps), equal_nan=True
                )
            for h in spot.h:
                assert radius(row, h) == algebra.rate(row, h) or math.isnan(radius(row, h))
                wanted = sorted(map(complex, algebra.poles(row, h)), key=abs, reverse=True)
                assert np.array_equal([complex(*pole) for pole in leading(row, h)], wanted, equal_nan=True)
            x = np.random.default_rng(steps).normal(size=len(spot.h))
            wanted = float(algebra.expected(method, spot.h, x, steps, 0.5).loss[-1])
            found = ending(method, spot.h, np.eye(len(x)).tolist(), x.tolist(), steps, 0.5)
            assert found == pytest.approx(wanted, rel=1e-9, abs=1e-300, nan_ok=True)


# Words ---------------------------------------------------------------------------------------------------------------


def placeholders(phrase: str) -> list[tuple[str | None, str | None]]:
    return sorted((name, how) for _, name, how, _ in string.Formatter().parse(phrase) if name is not None)


def test_both_books_say_the_same() -> None:
    """English and Chinese have the same keys, and each sentence the same placeholders with the same digits."""
    english, chinese = BOOKS["en"], BOOKS["zh"]
    assert list(english) == list(chinese)
    for key, phrase in english.items():
        assert placeholders(phrase) == placeholders(chinese[key]), key
    for words in (REGIMES, KINDS):
        assert list(words["en"]) == list(words["zh"])


def test_every_phrase_is_said() -> None:
    """No phrase is left over: each is said of some place."""
    heard: set[str] = set()

    class Book(dict[str, str]):
        def __getitem__(self, key: str) -> str:
            heard.add(key)
            return super().__getitem__(key)

    drawn, book = Cases(5), Book(BOOKS["zh"])
    cases = [drawn.case() for _ in range(3000)]
    spot = Spot((0.0,), 0.0, "minimum", (100.0,), ((1.0,),), (False,), True)
    for row in (lambda mu: Row(mu, 1, -0.03, 0, 0), lambda: Row(0, 1, 0.1, 0, 0)):  # rules without lr
        method = Rule("mine", row, "mine", "mine")(**({"mu": 0.1} if "mu" in row.__code__.co_varnames else {}))
        cases.append({"method": method, "spot": spot, "steps": 1, "best": None})
    for case in cases:
        best = case["best"]

        def best_of(settings: Any, best: Any = best) -> Any:
            return best and fitting(best["settings"], best["rate"], settings)

        with np.errstate(all="ignore"):
            found = outlook(case["method"], case["spot"], case["steps"], 1.0, best_of)
        verdict(Place(**{**vars(found), "left": 1.0}), case["method"], 1.0, book)
    assert set(book) - heard == set()


def test_the_program_is_generated_once_and_small() -> None:
    """The program spells no rule: it is the same text each time, and it stays below 60 kB."""
    assert program() == program()
    assert len(program().encode()) < 60_000
    assert json.dumps(BOOKS["zh"]["kink"], ensure_ascii=True)[1:20] in program()
