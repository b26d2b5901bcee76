"""The verb: a task, a budget, and out comes a learning rate and a momentum with the evidence."""

import math
from collections.abc import Callable
from typing import Any

from ravine.errors import SurfaceError, TuneError, shown
from ravine.surfaces import surface as make_surface
from ravine.surfaces.interface import Surface
from ravine.tuning.cells import planes
from ravine.tuning.ledger import LEAST
from ravine.tuning.recommendation import Exact, Recommendation

Tick = Callable[[int, int], object]
Say = Callable[[str], object]


def tune(
    what: Any,
    budget: float = 20,
    rule: str = "any",
    *,
    steps: int | None = None,
    seed: int = 0,
    tick: Tick | None = None,
    say: Say | None = None,
    engine: Callable[..., Any] | None = None,
) -> Recommendation | Exact:
    """Recommend a learning rate and a momentum for a training, or the exact optimum for a surface.

    Args:
        what: a task (a name of `ravine tasks`, path/to/file.py:make_task, or a `Task`), or a surface.
        budget: in trainings: as many gradient evaluations as so many whole trainings have, with everything in it.
        rule: such as "heavyball", "qhm:nu=0.7" or "nesterov:mu=0.9" with settings that are held; or "any", which
            compares nesterov and heavyball.
        steps: how many updates a training has; the task's own number if not given.
        seed: the first of the seeds that are used; 0 uses 0, 1, 2, …
        tick: called with (gradient evaluations spent, in all).
        say: called with a sentence about what could not be done as usual.
        engine: makes a crew of trainings, `ravine.torch.crew.crew` if not given.

    Returns:
        A `Recommendation`, or for a surface an `Exact`. Interrupted by Ctrl-C it returns the best so far.

    Raises:
        TuneError: the budget is too small, the rule has no lr, or every training diverged.
        TaskError, RuleError: the task cannot be trained, the rule is unknown.

    Example:
        >>> found = tune("x^2 + 50y^2", rule="heavyball")
        >>> round(found.lr, 10), round(found.mu, 10)
        (0.0307020944, 0.5658068165)
    """
    wanted = planes(rule)
    surface = surface_of(what)
    if surface is not None:
        from ravine.tuning.exact import exact

        return exact(surface, wanted)
    from ravine.tuning.work import work

    return work(_task(what), _checked(budget), wanted, steps=steps, seed=seed, tick=tick, say=say, engine=engine)


def surface_of(what: Any) -> Surface | None:
    """Return the surface that is meant, None where it is a task."""
    if isinstance(what, Surface):
        return what
    if not isinstance(what, str) or ".py" in what or what.strip().lower().endswith((".json", ".toml")):
        return None
    try:
        return make_surface(what)
    except SurfaceError:
        if set(what) & set("^*+()"):  # meant as an expression
            raise
        return None


def _task(what: Any) -> Any:
    from ravine.tasks import load

    return load(what)


def _checked(budget: Any) -> float:
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not math.isfinite(budget) or budget < LEAST:
        raise TuneError(
            f"a budget of {shown(budget)} trainings is too small to compare anything; give at least {LEAST}, 20 is usual"
        )
    return float(budget)
