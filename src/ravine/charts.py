"""Charts: other letters for the same five numbers, each a rule derived from rows of the table.

A chart is a function from the settings of a paper to a row. None spells an update: what a controller, a synthesized
Nesterov or an accelerated SGD does is qhm or nag with other settings, and the tests hold each against a direct
simulation of the update as its paper prints it.
"""

from collections.abc import Mapping
from typing import Any

from ravine.errors import RuleError, shown
from ravine.rules import RULES, Method, Row, Rule, read, table
from ravine.schedules import Number

ROUNDING = 1e-9  # a setting on the border of its range may lie this far beyond it, as a part of itself


def _snv(alpha: Number, beta1: Number, beta2: Number) -> Row:
    """Make nag with a look-ahead of its own: y = x + beta2·(x - x_before), x' = x + beta1·(x - x_before) - alpha·g."""
    return RULES["nag"].row(lr=alpha, mu=beta1)._replace(look=beta2)


def _robust(L: Number, kappa: Number, rho: Number) -> Row:
    """Make the synthesized Nesterov that trades rate for robustness; at rho = 1 - 1/√kappa it is triple momentum."""
    cube, step = rho * rho * rho, (1 - rho) ** 2 * (1 + rho)
    return _snv(kappa * step / L, kappa * cube / (kappa - 1), cube / ((kappa - 1) * step))


def _pid(kp: Number, ki: Number, kd: Number) -> Row:
    """Make qhm from the gains of x = x_0 + kp·e + ki·Σe + kd·(smoothed differences of e), with e = -g."""
    return RULES["qhm"].row(lr=ki, mu=kd / (kd - kp), nu=kp**2 / (ki * kd))


def _accsgd(delta: Number, kappa: Number, xi: Number, eps: Number = 0.7) -> Row:
    """Make qhm from a short step delta, a long step kappa·delta/eps and the mixture of both."""
    step = delta * eps * (1 + xi) / (1 + eps)
    return RULES["qhm"].row(
        lr=step, mu=(kappa - eps**2 * xi) / (kappa + eps * xi), nu=(eps * xi - 1) / (eps * (1 + xi))
    )


def _between(L: Number, kappa: Number, rho: Number) -> Number:
    """Say whether rho lies from triple momentum's, 1 - 1/√kappa, to gradient descent's, 1 - 1/kappa."""
    return (kappa > 1) & ((1 - rho) ** 2 * kappa <= 1 + ROUNDING) & ((1 - rho) * kappa >= 1 - ROUNDING)


CHARTS: Mapping[str, Rule] = table(
    Rule(
        "snv",
        _snv,
        "synthesized Nesterov: momentum and look-ahead apart",
        "Lessard, Recht & Packard 2016, section 6",
    ),
    Rule(
        "robust",
        _robust,
        "robust momentum",
        "Cyrus, Hu, Van Scoy & Lessard 2018",
        _between,
        "rho must lie from 1 - 1/√kappa to 1 - 1/kappa, and kappa above 1; choose rho by kappa",
    ),
    Rule(
        "pid",
        _pid,
        "proportional, integral and derivative gain of a controller",
        "Recht 2018; Ma & Yarats 2019",
        lambda kp, ki, kd: kp / kd < 0,
        "kp and kd must have opposite signs, or the filter's momentum kd/(kd - kp) is not between 0 and 1",
    ),
    Rule(
        "accsgd",
        _accsgd,
        "accelerated SGD",
        "Kidambi, Netrapalli, Jain & Kakade 2018",
        lambda delta, kappa, xi, eps: kappa >= eps**2 * xi * (1 - ROUNDING),
        "kappa must be at least eps²·xi, or the momentum is negative",
    ),
)

EVERY: Mapping[str, Rule] = {**RULES, **CHARTS}  # what can be converted: the table and the charts


def rule_of(rule: Any) -> tuple[Rule, dict[str, Any]]:
    """Return the rule that an optimizer was asked for, and the settings that came with it.

    Args:
        rule: a name, a text with settings, a rule, a method, or a function of yours that returns a row.

    Raises:
        RuleError: it is none of these.

    Example:
        >>> found, settings = rule_of("qhm:nu=0.7")
        >>> found.name, settings
        ('qhm', {'nu': 0.7})
    """
    if isinstance(rule, str):
        found, settings = read(rule, EVERY)
        return found, dict(settings)
    if isinstance(rule, Method):
        return rule.rule, dict(rule.settings)
    if isinstance(rule, Rule):
        return rule, {}
    if callable(rule):
        return Rule(getattr(rule, "__name__", "yours"), rule, "a rule of yours", "yours"), {}
    raise RuleError(f"rule= takes a name, a rule, a method or a function that returns a row, got {shown(rule)}")
