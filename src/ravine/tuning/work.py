"""The work of tuning a task: measure, scan, halve, refine, confirm."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ravine.charts import EVERY
from ravine.errors import TuneError, shown
from ravine.tasks.task import Task
from ravine.tuning import finals, foresight, search
from ravine.tuning.cells import Cell, Plane
from ravine.tuning.finals import Standing
from ravine.tuning.lab import Lab, Trial
from ravine.tuning.ledger import Ledger
from ravine.tuning.recommendation import Recommendation

USUAL = (0.1, 0.01)  # learning rates that people take with momentum 0.9
ENOUGH = 12  # trainings of a budget from which the usual ones are trained too
SHORTEST = 4  # updates of a training that can be cut short
SEEDS = 10


def work(
    task: Task,
    budget: float,
    planes: Sequence[Plane],
    *,
    steps: int | None = None,
    seed: int = 0,
    tick: Callable[[int, int], object] | None = None,
    say: Callable[[str], object] | None = None,
    engine: Callable[..., Any] | None = None,
) -> Recommendation:
    """Search the planes for a task and return what is recommended; see `tune`."""
    steps = _steps(task, steps)
    lab = Lab(task, steps, Ledger(int(budget * steps)), engine or _crew(say), tick)
    measured, interrupted, notes = foresight.Measured(None, 0.0, math.nan), False, list[str]()
    try:
        measured = foresight.measure(task, lab.ledger, seed)
        if not math.isfinite(measured.loss):
            raise TuneError(
                f"{task.name}: the loss is {measured.loss} before the first update, so no setting can train it; mend "
                "the model, the loss or the data"
            )
        _search(lab, planes, measured, seed, budget)
    except KeyboardInterrupt:
        interrupted = True
        notes.append("interrupted: this is the best so far, with less evidence than was paid for")
    return _recommended(lab, planes, measured, notes, interrupted)


def _steps(task: Task, steps: int | None) -> int:
    steps = task.steps if steps is None else steps
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < SHORTEST:
        raise TuneError(f"a training needs at least {SHORTEST} steps to be tuned, got {shown(steps)}; give more steps")
    return steps


def _crew(say: Callable[[str], object] | None) -> Callable[..., Any]:
    """Return the engine: lanes where they can be, said once where not."""
    from ravine.torch.crew import crew

    said: set[str] = set()

    def once(sentence: str) -> None:
        if say and sentence not in said:
            said.add(sentence)
            say(sentence)

    return lambda task, runs, steps: crew(task, runs, steps=steps, say=once)


def _search(lab: Lab, planes: Sequence[Plane], measured: foresight.Measured, seed: int, budget: float) -> None:
    """Spend the budget."""
    seeds = [seed + k for k in range(SEEDS)]
    if budget >= ENOUGH:
        lab.whole([(cell, seed) for cell in usual()], "usual")
    level = search.scan(lab, planes[0], foresight.center(planes[0], measured, lab.steps), seed)
    search.halve(lab, planes, level, seed)
    finals.climb(lab, planes, seed)
    finals.refine(lab, planes, seeds)
    finals.confirm(lab, planes, seeds)


def usual() -> list[Cell]:
    """Return what people take: torch's momentum 0.9 with a learning rate of 0.1 or 0.01."""
    return [Cell(EVERY["heavyball"], lr, 0.9, "constant") for lr in USUAL]


# What comes out --------------------------------------------------------------------------------------------------


def _recommended(
    lab: Lab, planes: Sequence[Plane], measured: foresight.Measured, notes: list[str], interrupted: bool
) -> Recommendation:
    table = finals.final(lab.trials, planes)
    if not table:
        if interrupted:
            raise KeyboardInterrupt
        raise TuneError(
            f"{lab.task.name}: all {len(lab.trials)} trainings diverged, down to lr = "
            f"{min((t.cell.lr for t in lab.trials), default=math.nan):.3g}; its loss or its data need mending"
        )
    best = table[0]
    plane = finals.plane_of(best.cell, planes)
    equal = [s.cell for s in table if s.score <= best.score + finals.doubt(best, s)]
    notes += border(best.cell, lab.trials, plane) + _few(best, lab)
    return Recommendation(
        name=lab.task.name,
        method=best.cell.method(lab.steps),
        cell=best.cell,
        steps=lab.steps,
        loss=best.loss,
        seeds=best.seeds,
        spread=best.spread,
        lr_between=_between([c.lr for c in equal if (c.rule, c.mu, c.form) == (best.cell.rule, best.cell.mu, best.cell.form)]),
        mu_between=None if best.cell.mu is None else _between([c.mu for c in equal if c.rule == best.cell.rule]),
        equal=tuple(equal),
        table=tuple(table),
        trials=tuple(lab.trials),
        usual=tuple(t for t in lab.trials if t.purpose == "usual"),
        budget=lab.ledger.total,
        spent=dict(lab.ledger.spent),
        h_max=measured.h_max,
        limit=limit_line(plane, measured.h_max),
        interrupted=interrupted,
        notes=tuple(notes),
    )  # fmt: skip


def _between(values: Sequence[Any]) -> tuple[float, float]:
    return float(min(values)), float(max(values))


def _few(best: Standing, lab: Lab) -> list[str]:
    """Say where seeds are too few to know what they change."""
    if best.seeds >= 2 or best.spread < finals.CALM:
        return []
    return ["trained with one seed only, so it is not known what seeds change; a larger budget says it"]


def border(cell: Cell, trials: Sequence[Trial], plane: Plane) -> list[str]:
    """Say where a cell lies on the border of what was trained."""
    here = plane.where(cell)
    places = [plane.where(t.cell) for t in trials if t.cell.rule == cell.rule and t.purpose != "usual"]
    notes = []
    beside = [level - here[0] for level, depth in places if abs(depth - here[1]) < 0.4]
    for side, sign in (("largest", 1), ("smallest", -1)):
        if not any(sign * up > 0.05 for up in beside):
            notes.append(
                f"the recommended lr = {cell.lr:.3g} is the {side} that was tried at this momentum; the best may lie "
                "beyond: give a larger budget"
            )
    if cell.mu is not None:
        if not any(depth > here[1] + 0.05 for _, depth in places):
            notes.append(
                f"the recommended mu = {cell.mu:.5g} is the largest that was tried; the best may lie beyond: give a "
                "larger budget or more steps"
            )
        if cell.mu > 0 and not any(depth < here[1] - 0.05 for _, depth in places):
            notes.append(
                f"the recommended mu = {cell.mu:.5g} is the smallest that was tried; the best may lie below: give a "
                "larger budget"
            )
    return notes


def limit_line(plane: Plane, h: float | None) -> tuple[tuple[float, float], ...]:
    """Return the border of stability for the curvature at the start, (mu, lr)."""
    if h is None:
        return ()
    found = []
    for mu in (
        [*np.linspace(0, 0.9, 19).tolist(), *(1 - np.logspace(-1.1, -3, 20)).tolist()] if plane.moves_mu else [0.0]
    ):
        lr = plane.limit(h, mu if plane.moves_mu else None)
        if lr is not None:
            found.append((float(mu), lr))
    return tuple(found)
