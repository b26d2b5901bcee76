"""Rows, a surface and starts become trajectories.

race(surface, methods, starts) -> every method from every start (and with every seed of the noise), as one batch
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ravine.charts import EVERY
from ravine.errors import RaceError, shown
from ravine.guests import Guest, is_guest
from ravine.guests import parse as parse_guest
from ravine.result import TARGETS, Race, Run
from ravine.rules import Method
from ravine.rules import parse as parse_method
from ravine.starts import check_starts, check_steps, points_of
from ravine.stepper import BALL, Path, Plan, first_stops, heights_and_norms, reason_at, run_all, velocities
from ravine.surfaces import surface as make_surface
from ravine.surfaces.interface import Array, Surface

MOST_NUMBERS = 250_000_000  # that one race may keep: 2 GB
MOST_STEPS = 50_000_000

Contestant = Method | Guest


def race(
    surface: str | Surface | Callable[..., Any],
    methods: str | Contestant | Sequence[str | Contestant] | None = None,
    start: ArrayLike | None = None,
    steps: int = 100,
    *,
    tol: float = 1e-6,
    target: float | None = None,
    targets: Iterable[float] = TARGETS,
    noise: float = 0.0,
    seed: int | Sequence[int] = 0,
    progress: Callable[[int, int], object] | None = None,
) -> Race:
    """Run every method from every start on a surface.

    Args:
        surface: whatever `surface` reads: an expression, a name, a spectrum, a function.
        methods: texts such as `classical:lr=0.01,mu=0.9` or `torch:Adam(lr=0.1)`, or methods; without any, three that
            fit the curvature at the start.
        start: one point (n,) or several (k, n); without it the surface's own, or all ones.
        steps: at most so many steps, each one gradient.
        tol: a run stops when its gradient's norm is at most this; 0 switches it off.
        target: a run stops when its value is at most this.
        targets: values whose first step is reported, without stopping.
        noise: standard deviation of the noise added to each coordinate of each gradient; all methods meet the same.
        seed: of the noise; several seeds make as many runs.
        progress: called now and then with the steps done and the steps in all.

    Returns:
        A `Race`: its runs in the order of methods, starts, seeds. A diverging run is a result, not an error.

    Raises:
        RaceError, RuleError, SurfaceError: with what is wrong and what to write.

    Example:
        >>> result = race("x^2 + 50y^2", ["sgd:lr=0.01", "classical:lr=0.01,mu=0.5"], (180, 90))
        >>> [round(run.value, 4) for run in result.runs]
        [569.8495, 6.9476]
    """
    seeds = _seeds(seed)
    wanted = sorted({*targets, *([] if target is None else [target])}, reverse=True)
    _check_numbers(steps, tol, noise, wanted)
    points = None if start is None else points_of(start, RaceError)
    surface = make_surface(surface, dim=None if points is None else points.shape[1])
    notes: list[str] = list(surface.notes)
    if points is None:
        points = points_of(surface.start or (1.0,) * surface.dim, RaceError)
        if not surface.start:
            notes.append(f"no start was given: it is ({', '.join('1' * surface.dim)})")
    check_starts(surface, points, RaceError)
    if methods is None:
        methods, why = fitting_methods(surface, points[0])
        notes.append(why)
    contestants = [_read(method) for method in ([methods] if isinstance(methods, str | Method | Guest) else methods)]
    if not contestants:
        raise RaceError("a race needs a rule; write one like classical:lr=0.01,mu=0.9")
    runs = len(points) * len(contestants) * len(seeds)
    if runs * surface.dim * (steps + 1) > MOST_NUMBERS:
        most = MOST_NUMBERS // (runs * surface.dim) - 1
        raise RaceError(f"{runs} runs of {steps} steps are too long to keep; use at most {most} steps, or fewer runs")
    plan = Plan(surface, points, steps, tol, target, noise, seeds)
    ours = [c for c in contestants if isinstance(c, Method)]
    drawn: Iterator[Path] = run_all(plan, ours, progress) if ours else iter(())
    made = []
    for contestant in contestants:
        for p, s in ((p, s) for p in range(len(points)) for s in range(len(seeds))):
            path = next(drawn) if isinstance(contestant, Method) else _visit(plan, contestant, p, s)
            replay = partial(velocities, plan, contestant, p, s) if isinstance(contestant, Method) else None
            made.append(Run(surface, contestant, path.positions, path.stopped, replay))
    return Race(surface, tuple(made), steps, tuple(wanted), noise, tuple(seeds), tuple(notes))


def fitting_methods(surface: Surface, start: Array) -> tuple[list[str], str]:
    """Choose three methods for a surface nobody named any for, and say how: lr is one over the largest curvature."""
    points = [start, *(np.array(m.point) for m in surface.minima)]
    curvatures = [float(abs(surface.curvatures(p)).max()) for p in points if np.isfinite(surface.hessian(p)).all()]
    largest = max((h for h in curvatures if math.isfinite(h)), default=0.0)
    lr = float(f"{1 / largest:.2g}") if largest > 0 else 0.01
    chosen = [f"sgd:lr={lr!r}", f"classical:lr={lr!r},mu=0.9", f"nag:lr={lr!r},mu=0.9"]
    if not largest > 0:
        return chosen, f"no rule was given, and the surface is flat at the start: lr = {lr:g}"
    return (
        chosen,
        f"no rule was given: lr = {lr:g} is one over {largest:.3g}, the largest curvature at the start and the known minima",
    )


def _visit(plan: Plan, guest: Guest, point: int, seed: int) -> Path:
    """Step one optimizer of another library."""
    surface, n = plan.surface, plan.surface.dim
    noise = (
        plan.noise * np.random.default_rng(plan.seeds[seed]).standard_normal((plan.steps, n)) if plan.noise else None
    )

    def gradient(x: Array, t: int) -> Array:
        found = surface.gradient(x)
        return found if noise is None else found + noise[t]

    start = plan.points[point]
    walk = guest.walker(start, gradient, lambda x: float(surface.value(x)))
    ball = np.array([BALL * max(1, abs(start).max())])
    xs = [start]
    stopped = False
    with np.errstate(all="ignore"), contextlib.suppress(KeyboardInterrupt):  # what was walked stays
        for _ in range(plan.steps + 1):
            here = xs[-1][:, None]
            value, norm = heights_and_norms(plan, here)
            stopped = bool(
                first_stops(plan, here[None], value[None], norm[None] if plan.tol > 0 else None, ball)[0] >= 0
            )
            if stopped or len(xs) > plan.steps:
                break
            xs.append(walk())
    last, reason = reason_at(plan, xs[-1], value[0], norm[0] if plan.tol > 0 else None) if stopped else (0, "steps")
    if not stopped and len(xs) <= plan.steps:
        reason = "interrupted"
    return Path(np.stack(xs)[: len(xs) + last], reason)


# What came in ----------------------------------------------------------------------------------------------------


def _read(method: str | Contestant) -> Contestant:
    if isinstance(method, Method | Guest):
        return method
    if not isinstance(method, str):
        raise RaceError(
            f"a contestant is a text such as classical:lr=0.01,mu=0.9 or a method, got {type(method).__name__}"
        )
    return parse_guest(method) if is_guest(method) else parse_method(method, EVERY)


def _seeds(seed: int | Sequence[int]) -> list[int]:
    try:
        seeds = [seed] if isinstance(seed, int | np.integer) else list(seed)
        if not seeds or any(isinstance(s, bool) or int(s) != s or s < 0 for s in seeds):
            raise ValueError
    except (TypeError, ValueError):
        raise RaceError(f"a seed is a whole number, 0 or more, or several of them, got {shown(seed)}") from None
    return [int(s) for s in seeds]


def _check_numbers(steps: int, tol: float, noise: float, targets: Sequence[float]) -> None:
    for name, number in (("tol", tol), ("noise", noise), *(("target", t) for t in targets)):
        if isinstance(number, bool) or not isinstance(number, int | float | np.number) or not math.isfinite(number):
            raise RaceError(f"{name} must be a finite number, got {shown(number)}")
    check_steps(steps, MOST_STEPS, RaceError)
    if tol < 0:
        raise RaceError(f"tol must be a finite number, 0 or more, got {tol}")
    if noise < 0:
        raise RaceError(f"noise must be a finite standard deviation, 0 or more, got {noise}")
