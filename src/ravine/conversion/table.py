"""All pairwise conversions as text, traced with symbols through the same staircases that convert numbers."""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

from ravine.algebra import response
from ravine.charts import EVERY
from ravine.conversion.equal import exactly
from ravine.conversion.inverse import FREE, staircases
from ravine.convert import convert
from ravine.errors import ConvertError
from ravine.rules import Row, Rule

ALWAYS, SOMETIMES, NEVER = "●", "○", "–"
ASIDE = (
    "mu = 0 and lr = 0 aside: without momentum or without steps nothing is `pid` (so with nu = 0, m = L, beta1 = 0 or "
    "tau = 1, which\namount to them), without steps nothing is `robust`, nor `sgd` `triple`. And `qhm` is `accsgd` below "
    "nu = 1 alone, `snv` with beta1 = 0\n`qhm` at beta2 = 0 alone."
)

# Ordinary settings, by which the table tells what converts always, for some settings, or never; the tests draw others.
SAMPLES: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "sgd": ((0.1,), (0.02,)),
    "heavyball": ((0.1, 0.6, 0.0), (0.02, 0.9, 0.3)),
    "qhm": ((0.5, 0.6, 0.7), (0.1, 0.9, -0.3)),
    "triple": ((9.0, 1.0), (50.0, 0.2)),
    "snv": ((0.1, 0.6, 0.3), (0.02, 0.9, -0.2)),
    "robust": ((9.0, 4.0, 0.6), (50.0, 30.0, 0.9)),
    "pid": ((-0.1, 0.3, 0.5), (0.04, 0.1, -0.9), (-0.5, 0.1, 0.5)),
    "accsgd": ((0.1, 40.0, 3.0, 0.7), (0.02, 200.0, 0.5, 0.7)),
}


class Traced(NamedTuple):
    """Hold a conversion as formulas in the source's letters; a setting is None where it is the root of a polynomial."""

    settings: Mapping[str, Any]
    scale: Any
    shift: Any


def markdown() -> str:
    """Write the tables of conversions as Markdown, as they stand in docs/conventions.md."""
    return "\n\n".join("\n".join(lines) for lines in (_responses(), _kinds(), [ASIDE], _formulas()))


@lru_cache(maxsize=256)
def traced(source: str, target: str) -> Traced | None:
    """Return the formulas of a conversion in the source's letters, or None where there are none in general.

    >>> traced("ema", "heavyball").settings["lr"]
    lr*(1 - mu)
    """
    row = _row(EVERY[source])
    found = _solved(target, _factored(row))
    if found is None:
        return None
    settings, made = found
    return Traced(settings, None, None) if made is None else Traced(settings, *_link(row, made))


@lru_cache(maxsize=256)
def _solved(target: str, given: tuple[Any, Any, Any]) -> tuple[dict[str, Any], Row | None] | None:
    """Return the settings of a rule for a response and its row there, None for what is the root of a polynomial."""
    import sympy

    a, b, c = given
    rule = EVERY[target]
    fixed = {k: exactly(d) for k, d in rule.parameters.items() if isinstance(d, int | float)}
    systems: list[tuple[str, tuple[Any, ...]]] = [("response", given)]
    if _zero(c - a * b):
        systems += [("descent", (a, b)), ("any descent", (b,))]
    for system, numbers in systems:
        for staircase in staircases(rule, tuple(sorted(fixed.items())), system):
            found = _climb(staircase, numbers)
            if found is None:
                continue
            settings = {k: found.get(k, _rational(fixed.get(k, FREE[0]))) for k in rule.parameters}
            if None in settings.values():
                return settings, None
            made = Row(*map(sympy.sympify, rule.row(**settings)))
            if _same(response(made), given):
                return {k: _tidy(v) for k, v in settings.items()}, made
    return None


def written(formula: Any) -> str:
    """Write a formula the way the tables do.

    >>> import sympy
    >>> lr, mu = sympy.symbols("lr mu")
    >>> written(lr**2 / (mu - 1) * (-1))
    'lr²/(1-mu)'
    """
    text = str(formula if formula.is_Atom else _tidy(formula))
    text = re.sub(r"\*\*(\d)", lambda power: "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(power[1])], text)
    return text.replace(" ", "").replace("*", "·")


def _row(rule: Rule) -> Row:
    """Return a rule's row in its own letters; triple momentum's with s = √(m/L), so that nothing is a root."""
    import sympy

    letters = {k: sympy.Symbol(k, positive=True) for k in rule.parameters}
    if "m" in letters:
        letters["m"] = sympy.Symbol("s", positive=True) ** 2 * letters["L"]
    return Row(*map(sympy.sympify, rule.row(**letters)))


def _factored(row: Row) -> tuple[Any, Any, Any]:
    import sympy

    a, b, c = (sympy.factor(sympy.sympify(x)) for x in response(row))
    return a, b, c


def _climb(staircase: Any, given: tuple[Any, ...]) -> dict[str, Any] | None:
    """Return what a staircase finds among symbols: None for a setting where there is more than one root."""
    import sympy

    found: dict[str, Any] = {}
    for at, stair in enumerate(staircase.stairs):
        before = [found[name] for name in staircase.order[:at]]
        if None in before:
            found[stair.unknown] = None
            continue
        powers = [sympy.factor(sympy.sympify(x)) for x in stair.coefficients(*given, *before)]
        while powers and powers[0] == 0:
            powers = powers[1:]
        if len(powers) == 1:
            return None
        found[stair.unknown] = (
            sympy.Integer(0) if not powers else sympy.factor(-powers[1] / powers[0]) if len(powers) == 2 else None
        )
    return found


def _same(one: Any, other: Any) -> bool:
    (a, b, c), (A, B, C) = one, other
    return all(_zero(x) for x in (b - B, c + b * A - C - B * a, c * A - C * a))


def _zero(formula: Any) -> bool:
    """Say whether a formula is 0 for all settings: a quotient of low degree that is 0 at odd fractions is."""
    import sympy

    letters = sorted(formula.free_symbols, key=str)
    points = [[sympy.Rational(p + at, 1009 + 7 * i) for i, p in enumerate((101, 211, 307, 401))] for at in range(4)]
    return all(formula.subs(dict(zip(letters, point, strict=False))) == 0 for point in points)


def _link(source: Row, target: Row) -> tuple[Any, Any]:
    import sympy

    alike = _zero(source.keep - target.keep)
    scale = sympy.factor(target.take / source.take) if alike else sympy.Integer(0)
    return _tidy(scale), _tidy(sympy.factor(source.look - target.look * scale))


@lru_cache(maxsize=4096)
def _tidy(formula: Any) -> Any:
    """Return a formula with as few minus signs, and then letters, as its signs allow."""
    import sympy

    above, below = sympy.fraction(sympy.factor(sympy.cancel(formula)))
    options = [_quotient(above, below), _quotient(sympy.factor(-above), sympy.factor(-below)), formula]
    options += [_turned(above, below)]
    return min(options, key=lambda x: (str(x).count("-") + str(x).startswith("-"), len(str(x))))


def _turned(above: Any, below: Any) -> Any:
    """Return the quotient with the sign of every sum that begins with a minus moved in front."""
    import sympy

    sign, parts = 1, []
    for side in (above, below):
        constant, factors = sympy.factor_list(side)
        made = [constant]
        for factor, power in factors:
            turn = factor.is_Add and str(factor).count("-") > str(-factor).count("-")
            turn = turn or (factor.is_Add and power % 2 == 1 and str(factor - 1).endswith(" - 2"))
            made.append((-factor if turn else factor) ** power)
            sign *= (-1) ** power if turn else 1
        parts.append(sympy.Mul(*made, evaluate=False) if len(made) > 2 else sympy.Mul(*made))
    return sign * parts[0] / parts[1]


def _quotient(above: Any, below: Any) -> Any:
    return above / below


def _rational(value: Fraction) -> Any:
    import sympy

    return sympy.Rational(value.numerator, value.denominator)


# The three tables ------------------------------------------------------------------------------------------------


def _responses() -> Iterator[str]:
    yield "| rule | a | b | c | source |"
    yield "|---|---|---|---|---|"
    for name, rule in EVERY.items():
        if name != "robust":  # it is snv with alpha, beta1 and beta2 by L, kappa and rho
            cells = [written(x) for x in response(_row(rule))]
            yield f"| `{name}` ({', '.join(rule.parameters)}) | {' | '.join(cells)} | {rule.source} |"


def _kinds() -> Iterator[str]:
    yield "| from \\ to | " + " | ".join(f"`{name}`" for name in EVERY) + " |"
    yield "|---|" + ":-:|" * len(EVERY)
    for source in EVERY:
        yield f"| `{source}` | " + " | ".join(kind(source, target) for target in EVERY) + " |"


def _formulas() -> Iterator[str]:
    yield "| from | to | settings | buffer: s | shift |"
    yield "|---|---|---|---|---|"
    for source, target in product(EVERY, EVERY):
        if source == target or kind(source, target) != ALWAYS or source == "robust":
            continue
        found = traced(source, target)
        if found is None:
            continue
        if found.scale is None:
            yield f"| `{source}` | `{target}` | from (a, b, c), by the root of a polynomial | | |"
            continue
        settings = _settings(found, EVERY[target])
        yield f"| `{source}` | `{target}` | {settings} | {written(found.scale)} | {written(found.shift)} |"


def _settings(found: Traced, rule: Rule) -> str:
    """Write what the settings are, without those that have their default."""
    own = {k: v for k, v in found.settings.items() if not isinstance(rule.parameters[k], int | float)}
    same = [k for k, v in own.items() if str(v) == k]
    words = [f"{k} = {written(v)}" for k, v in own.items() if k not in same]
    return ", ".join([*words, *([f"the same {' and '.join(same)}"] if same else [])])


@lru_cache(maxsize=256)
def kind(source: str, target: str) -> str:
    """Say whether a rule converts always, for some settings, or never but as gradient descent in disguise."""
    found = [_converts(source, target, values) for values in _samples(source)]
    if all(found):
        return ALWAYS
    return SOMETIMES if any(found) or any(_converts(target, source, v, target) for v in _samples(target)) else NEVER


def _samples(name: str) -> tuple[tuple[float, ...], ...]:
    return SAMPLES.get(name, ((0.1, 0.6), (0.02, 0.9)))


def _converts(source: str, target: str, values: tuple[float, ...], back: str = "") -> bool:
    """Say whether one method converts, and also back again if that is asked."""
    rule = EVERY[source]
    try:
        found = convert(rule(**dict(zip(rule.parameters, values, strict=True))), target)
        if back:
            convert(found.target, back)
    except ConvertError:
        return False
    return True
