"""The (lr, mu) map of a surface: what becomes of every pair of settings, with what theory says of them.

phase_map(surface, rule, lr, mu) -> every cell of the grid walked from the start, compiled where the surface is an
expression, in batches of NumPy where it is not
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ravine.axes import Axis, check_size
from ravine.boundary import Theory, theory
from ravine.cells import DIVERGED, NOT_WALKED, NOT_YET, REACHED
from ravine.errors import MapError, SurfaceError, nearest, shown
from ravine.hollows import flat, hollow, minima
from ravine.phasemap import PhaseMap
from ravine.ranges import axes_of, rule_of
from ravine.rules import Rule
from ravine.starts import check_starts, check_steps, points_of
from ravine.surfaces import surface as make_surface
from ravine.surfaces.interface import Array, Surface
from ravine.walking import Progress, Say, walk_map, walk_some

SHOWS = ("steps", "value", "rate", "predicted")
ABOVE = 1e-6  # the lowest value: what counts as reached unless another target is given
MOST_STEPS = 10_000_000
UNDERFLOW = 1e-290
EXTRA, LEAST_EXTRA = 0.02, 8_000_000  # steps for choosing the best cell, as a part of all, or at least
DIGITS = 20  # that a value falls by until its envelope is looked at, where rounding is near


def phase_map(
    surface: str | Surface | Callable[..., Any],
    rule: str | Rule = "classical",
    *,
    lr: Any = None,
    mu: Any = None,
    axes: Mapping[str, Any] | None = None,
    size: int = 100,
    steps: int = 200,
    start: ArrayLike | None = None,
    target: float | None = None,
    show: str = "steps",
    progress: Progress | None = None,
    say: Say | None = None,
) -> PhaseMap:
    """Walk every pair of settings of a rule on a surface and lay the theory's lines beside what became of them.

    Args:
        surface: whatever `surface` reads; one without an expression is walked in NumPy.
        rule: `classical`, or with the settings that are no axis, `qhm:nu=0.7`; schedules among them are walked in NumPy.
        lr, mu: the axes, `lo:hi`, `lo:hi:log`, `lo:hi:near1` (evenly in log(1 - mu)), or (low, high); without them
            ranges that hold the stability boundary.
        axes: other settings as axes, such as {"nu": (0, 1)}; two in all.
        size: cells along each axis.
        steps: at most so many.
        start: one point (n,) or several (k, n); of several, a cell shows the slowest, or the one that was lost.
        target: a value at most this counts as reached; without it 1e-6 above the lowest known value.
        show: `steps` to the target, `value` after all steps, measured `rate`, or the `predicted` rate, which walks nothing.
        progress: called with the cells done and the cells in all.
        say: called with a sentence when something takes a while, such as compiling.

    Returns:
        A `PhaseMap`. Interrupted, it returns what was walked.

    Raises:
        MapError, RuleError, SurfaceError: with what is wrong and what to write.

    Example:
        >>> found = phase_map("x^2 + 50y^2", "heavyball", lr=(0, 0.05), mu=(0, 0.98), size=50, show="predicted")
        >>> {name: round(value, 4) for name, value in found.theory.optimum.items()}
        {'lr': 0.0307, 'mu': 0.5658}
    """
    _check_numbers(steps, target, show)
    check_size(size)
    points = None if start is None else points_of(start, MapError)
    surface = make_surface(surface, dim=None if points is None else points.shape[1])
    notes = list(surface.notes)
    if points is None:
        points = points_of(surface.start or (1.0,) * surface.dim, MapError)
    check_starts(surface, points, MapError)
    wanted = _wanted(lr, mu, axes or {})
    rule, fixed, more = rule_of(rule, wanted)
    point, why = lowest(surface, points)
    h, why_not = (None, "") if point is None else _curvatures(surface, point)
    why = why or why_not
    x, y = axes_of(rule, fixed, wanted, h, size)
    notes += [*more, *([why] if why else []), *_idle(rule, x, y)]
    if target is None and show == "steps":
        target = _target(surface, point)
    known = None if point is None or h is None else theory(rule, x, y, _numbers(fixed), point, h, surface.quadratic)
    blank = _blank(surface, rule, x, y, fixed, points, steps, target, show, known, tuple(notes))
    if show == "predicted":
        return _closed(blank)
    found = _settled(walk_map(blank, progress, say))
    return found if surface.quadratic or show == "value" else _at_the_minimum_reached(found)


def phase_maps(rules: Sequence[str | Rule], surface: Any, **options: Any) -> tuple[PhaseMap, ...]:
    """Make the same map for several rules, on the same ranges: those given, or the widest that any of them asks for."""
    surface, given = make_surface(surface), dict(options)
    missing = [name for name in ("lr", "mu") if given.get(name) is None]
    if missing and not given.get("axes"):
        closed = {**given, "show": "predicted", "size": 2, "progress": None, "say": None}
        found = [phase_map(surface, rule, **closed) for rule in rules]
        for name in missing:
            mine = [axis for each in found for axis in (each.x, each.y) if axis.name == name]
            linear = [axis for axis in mine if axis.scale == "linear"] or mine[:1]
            given[name] = max(linear, key=lambda axis: axis.high)[1:3] if linear else None
    return tuple(phase_map(surface, rule, **given) for rule in rules)


# The best cell, and theory ----------------------------------------------------------------------------------------


def _settled(found: PhaseMap) -> PhaseMap:
    """Choose the best of the cells that reached the target in the fewest steps: whose value stays lowest in the end.

    The fewest steps alone would reward a trajectory that happens to pass the minimum while it still swings widely.
    """
    reached = np.flatnonzero(found.outcome.ravel() == REACHED)
    if found.target is None or found.show != "steps" or not len(reached) or not found.steady:
        return found
    stopped = found.stopped.ravel()[reached]
    there, target = _moved_to_0(found), found.target
    start, fewest, bottomless = there.starts[0], max(int(stopped.min()), 1), _bottomless(there)
    drop = np.log10(max(float(found.surface.value(found.starts[0]) - target + ABOVE) / ABOVE, 10.0))
    steps = found.steps if bottomless else int(min(found.steps, max(fewest * DIGITS / drop, 64)))
    least = LEAST_EXTRA if there.engine == "compiled" else LEAST_EXTRA // 4  # in NumPy a step takes longer
    most = max(int(EXTRA * found.outcome.size * found.steps), least) // steps
    few = np.searchsorted(np.cumsum(np.bincount(stopped)), max(most, 1))  # steps in which so many cells were there
    chosen = reached[stopped <= few][: max(most, 1)]
    floor = 0.0 if bottomless else target - ABOVE
    while True:
        lowest = np.maximum(walk_some(there, chosen, start, steps).late - floor, 0.0)
        if lowest.min() > UNDERFLOW or steps < 64:  # smaller values are all equal
            break
        steps //= 2
    row, column = divmod(int(chosen[lowest.argmin()]), found.x.size)
    return replace(found, settled=(row, column), settled_steps=steps)


def _moved_to_0(found: PhaseMap) -> PhaseMap:
    """Return the map of the same quadratic around 0, where values can fall as far as floats go without rounding."""
    if found.theory is None or not found.surface.quadratic or not any(found.theory.point):
        return found
    point, h = np.array(found.theory.point), found.surface.hessian(found.theory.point)

    def slopes(x: Array, out: Array) -> None:
        np.matmul(h, x, out=out)

    twin = replace(
        found.surface,
        heights=lambda x: (x * (h @ x)).sum(axis=0) / 2,
        slopes=slopes,
        curvature=lambda at: h.copy(),
        expression=None,
    )
    known = found.theory._replace(point=(0.0,) * len(point))
    return replace(found, surface=twin, starts=found.starts - point, target=ABOVE, theory=known, engine="batched")


def _bottomless(found: PhaseMap) -> bool:
    """Say whether values can fall as far as floats go: towards a minimum at 0 of the value 0."""
    known = found.theory
    if known is None or not found.surface.quadratic or any(known.point):
        return False
    return bool(found.surface.value(known.point) == 0)


def _closed(blank: PhaseMap) -> PhaseMap:
    """Fill a map from the closed form alone."""
    if blank.theory is None or not blank.steady:
        raise MapError(
            f"no rate can be predicted for {blank.surface.name}: it needs a minimum and settings without schedules; "
            "show steps or value instead"
        )
    begun = time.perf_counter()
    found = replace(blank, engine="closed form")
    assert found.predicted is not None
    return replace(
        found,
        outcome=np.where(found.predicted > 1, DIVERGED, NOT_YET).astype(np.int8),
        seconds={"compile": 0.0, "compute": time.perf_counter() - begun},
    )


def lowest(surface: Surface, points: Array) -> tuple[Array | None, str]:
    """Return the lowest minimum that is known or found, and why there is none."""
    try:
        with np.errstate(all="ignore"):
            known = minima(surface)[0] if surface.minima or surface.quadratic else minima(surface, points)[0]
    except SurfaceError:
        return None, f"no minimum of {surface.name} is known, so no theory is drawn"
    return min(known, key=lambda point: float(surface.value(point))), ""


def _curvatures(surface: Surface, point: Array) -> tuple[Array | None, str]:
    """Return the curvatures at a minimum, (n,), or why they say nothing."""
    h, where = surface.curvatures(point), f"the Hessian at the minimum of {surface.name}"
    if not np.isfinite(h).all():
        return None, f"{where} is not finite, so no theory is drawn"
    if flat(surface, point, h).any():
        return None, f"{where} is flat along a direction, where the rate is 1: no theory is drawn"
    return h, ""


def _target(surface: Surface, point: Array | None) -> float:
    if point is None:
        raise MapError(
            f"no minimum of {surface.name} is known, so nothing says what counts as reached; give --target V, or show "
            "the value with --show value"
        )
    return float(surface.value(point)) + ABOVE


def _at_the_minimum_reached(found: PhaseMap) -> PhaseMap:
    """Draw the theory for the minimum that the best cell reaches, and say so."""
    if found.theory is None or not found.steady:
        return found
    reached = None
    if found.best is not None:
        from ravine.race import race

        run = race(found.surface, found.method(found.best), found.starts[0], max(found.steps, 200), tol=0).runs[0]
        reached = hollow(found.surface, run.final, run.stopped)
    point = np.array(found.theory.point) if reached is None else reached
    h, why = _curvatures(found.surface, point)
    if h is None:
        return replace(found, theory=None, notes=(*found.notes, why))
    words = ", ".join(f"{c:.6g}" for c in point + 0.0)
    note = f"theory's lines use the Hessian at the minimum ({words}), where the surface is nearly a quadratic"
    made = theory(found.rule, found.x, found.y, _numbers(found.fixed), point, h, False)
    return replace(found, theory=made, notes=(*found.notes, note))


# What came in ----------------------------------------------------------------------------------------------------


def _wanted(lr: Any, mu: Any, axes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ranges that were asked for, by name; None for lr and mu that were not."""
    if double := [name for name, given in (("lr", lr), ("mu", mu)) if given is not None and name in axes]:
        raise MapError(f"the axis {double[0]} is given twice; write --{double[0]} lo:hi or --axis, not both")
    return {"lr": lr, "mu": mu, **axes}


def _numbers(fixed: Mapping[str, Any]) -> dict[str, float]:
    return {key: value for key, value in fixed.items() if not callable(value)}


def _idle(rule: Rule, x: Axis, y: Axis) -> list[str]:
    return [
        f"{rule.name} has no {axis.name}: the map is the same for all of them"
        for axis in (x, y)
        if axis.name not in rule.parameters
    ]


def _blank(
    surface: Surface, rule: Rule, x: Axis, y: Axis, fixed: Mapping[str, Any], starts: Array, steps: int,
    target: float | None, show: str, known: Theory | None, notes: tuple[str, ...],
) -> PhaseMap:  # fmt: skip
    """Return a map in which nothing was walked."""
    shape = y.size, x.size
    nothing = np.zeros(shape, np.int32), np.full(shape, np.nan)
    outcome = np.full(shape, NOT_WALKED, np.int8)
    return PhaseMap(
        surface, rule, x, y, fixed, starts, steps, target, show, outcome, *nothing, None, known, "", {}, notes
    )


def _check_numbers(steps: int, target: float | None, show: str) -> None:
    check_steps(steps, MOST_STEPS, MapError)
    if target is not None and not (isinstance(target, int | float | np.number) and np.isfinite(target)):
        raise MapError(f"target must be a finite number, got {shown(target)}")
    if show not in SHOWS:
        raise MapError(f"a map shows no {shown(show)}; {nearest(show, SHOWS)}")
