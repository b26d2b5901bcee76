"""From a handful of cells to one: whole trainings with other seeds, and of the leader's neighbours."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ravine.tuning.cells import FORMS, Cell, Plane
from ravine.tuning.lab import Lab, Trial

STEADY = 0.1, 2  # a spread below which so many trainings are kept for more seeds
CALM = 0.002  # a spread over seeds below which they are as good as one
NEAR, CAUTION = 0.05, 1.0  # in log loss: how much worse a safer cell may be, and per spread of the seeds
STEP = math.log(1.3)  # between neighbours along the level
ASIDE = math.log(1.7)  # between neighbours along the depth
SEEDS, MOST = 3, 5  # of whoever is recommended, at least where the budget allows, and at most
KEPT = 4  # trainings that climbing leaves
CONFIRM = 6  # trainings that are kept for more seeds
UNSTEADY = 0.3
STEEP = math.log(8.0)  # how much worse the next cell upward may count
WORST = math.log(30.0)  # a training that diverged counts as this much worse than the worst that did not


class Standing(NamedTuple):
    """Hold how a cell stands."""

    cell: Cell
    score: float  # log loss, with what speaks against it
    loss: float  # the mean over its seeds
    seeds: int
    spread: float  # standard deviation of its log loss over seeds


def standings(trials: Sequence[Trial], planes: Sequence[Plane]) -> list[Standing]:
    """Return how the cells stand that were trained to the end, the best first."""
    by: dict[Cell, list[Trial]] = {}
    rules = [plane.rule for plane in planes]
    for trial in trials:
        if trial.whole and trial.cell.rule in rules:
            by.setdefault(trial.cell, []).append(trial)
    finite = [t.loss for each in by.values() for t in each if math.isfinite(t.loss)]
    if not finite:
        return []
    cap = math.log(max(*finite, 1e-300)) + WORST
    logs = {cell: [min(cap, math.log(max(t.loss, 1e-300))) for t in each] for cell, each in by.items()}
    effect = _effects(by, logs)
    level = {
        cell: [value - effect.get(t.seed, 0.0) for t, value in zip(by[cell], logs[cell], strict=True)] for cell in by
    }
    means = {cell: float(np.logaddexp.reduce(values)) - math.log(len(values)) for cell, values in level.items()}
    pooled = _pooled(level)
    found = []
    for cell, values in level.items():
        few = 0.5 * pooled / math.sqrt(len(values)) + UNSTEADY * np.mean([_unsteady(t) for t in by[cell]])
        edge = means[cell] if pooled < CALM else _edge(cell, means, planes)
        score = float(np.logaddexp(math.log(0.85) + means[cell], math.log(0.15) + edge) + few)
        spread = float(np.std(logs[cell], ddof=1)) if len(values) > 1 else pooled
        found.append(Standing(cell, score, float(np.mean([t.loss for t in by[cell]])), len(values), spread))
    return sorted(found, key=lambda each: each.score)


def _unsteady(trial: Trial) -> float:
    """Return by how much, in logs, the loss rose after it had been lower, in the second half of a training."""
    losses = trial.losses[np.isfinite(trial.losses)]
    width = max(3, len(losses) // 30)
    if len(losses) < 4 * width:
        return 0.0
    smooth = np.convolve(losses, np.ones(width) / width, "valid")
    rise = np.log(np.maximum(smooth, 1e-300) / np.maximum(np.minimum.accumulate(smooth), 1e-300))
    return max(0.0, float(rise[len(rise) // 2 :].max()) - math.log(8))


def _effects(by: dict[Cell, list[Trial]], logs: dict[Cell, list[float]]) -> dict[int, float]:
    """Return how much harder a seed is than the others, by the cells that were trained with several."""
    seeds = sorted({t.seed for each in by.values() for t in each})
    total: dict[int, list[float]] = {seed: [] for seed in seeds}
    for cell, each in by.items():
        if len(each) > 1:
            middle = float(np.mean(logs[cell]))
            for t, value in zip(each, logs[cell], strict=True):
                total[t.seed].append(max(-1.0, min(1.0, value - middle)))
    return {seed: sum(values) / (len(values) + 2.0) for seed, values in total.items()}


def _pooled(level: dict[Cell, list[float]]) -> float:
    """Return the standard deviation over seeds that cells have together."""
    several = [values for values in level.values() if len(values) > 1]
    if not several:
        return 0.15
    squares = sum(float(np.var(values, ddof=1)) * (len(values) - 1) for values in several)
    return math.sqrt(squares / sum(len(values) - 1 for values in several))


def _edge(cell: Cell, means: dict[Cell, float], planes: Sequence[Plane]) -> float:
    """Return the mean of the next cell upward, which a training of the cell may come near to; its own if none is near."""
    away = [(_away(cell, other, planes), mean) for other, mean in means.items()]
    near = [(up, mean) for (up, deeper), mean in away if 0.05 < up < 0.7 and abs(deeper) < 0.1]
    if not near:
        return means[cell]
    up, mean = min(near)
    share = min(1.0, STEP / up)  # a cell further away says less
    return means[cell] + min(STEEP, max(0.0, share * (mean - means[cell])))


def plane_of(cell: Cell, planes: Sequence[Plane]) -> Plane:
    """Return the plane in which a cell lies."""
    return next(plane for plane in planes if plane.rule == cell.rule)


def _away(cell: Cell, other: Cell, planes: Sequence[Plane]) -> tuple[float, float]:
    """Return by how much another cell lies higher in level, and deeper; infinity where its rule or its form is another."""
    if (other.rule, other.form) != (cell.rule, cell.form):
        return math.inf, math.inf
    plane = plane_of(cell, planes)
    here, there = plane.where(cell), plane.where(other)
    return there[0] - here[0], there[1] - here[1]


def _higher(cell: Cell, up: float, planes: Sequence[Plane]) -> Cell:
    """Return the cell that lies so much higher in level, with the same momentum and form."""
    plane = plane_of(cell, planes)
    level, depth = plane.where(cell)
    return plane.cell(level + up, depth, cell.form)


def climb(lab: Lab, planes: Sequence[Plane], seed: int) -> None:
    """Go up in level from the leader as long as that is better: short trainings, which chose it, like too low a level."""
    while True:
        table = standings(lab.trials, planes)
        if lab.afford(1) <= KEPT or not table or not _open(table[0].cell, lab.trials, planes):
            return
        lab.whole([(_higher(table[0].cell, 2 * STEP, planes), seed)], "refinement")


def _open(leader: Cell, trials: Sequence[Trial], planes: Sequence[Plane]) -> bool:
    """Say whether no whole training above the leader's level is known."""
    away = [_away(leader, t.cell, planes) for t in trials if t.whole]
    return not any(up > 0.05 and abs(deeper) < 0.1 for up, deeper in away)


def refine(lab: Lab, planes: Sequence[Plane], seeds: Sequence[int], confirm: int = CONFIRM) -> None:
    """Look at the leader's neighbours, as long as enough is left to train the leaders with more seeds."""
    for seed in itertools.cycle(seeds[1:SEEDS]):
        table = standings(lab.trials, planes)
        calm = _calm(table)
        room = lab.afford(1) - min(confirm, 0 if calm else STEADY[1] if _seen(table) < STEADY[0] else confirm)
        if room <= 0 or not table:
            return
        done = {(t.cell, t.seed) for t in lab.trials if t.whole}
        new = [cell for s in table[:2] for cell in neighbours(s.cell, lab.trials, planes)]
        new = [cell for cell in dict.fromkeys(new) if not _known(cell, lab.trials, planes)]
        if not new:
            return
        leader = [] if calm else [table[0].cell]
        wanted = [(cell, seed) for cell in (*leader, *new[: 3 - len(leader)]) if (cell, seed) not in done]
        lab.whole(wanted[:room], "refinement")


def _seen(table: Sequence[Standing]) -> float:
    """Return the spread over seeds that cells show, infinity where none was trained with two."""
    known = [s.spread for s in table if s.seeds > 1]
    return float(np.median(known)) if known else math.inf


def _calm(table: Sequence[Standing]) -> bool:
    """Say whether seeds change nothing, so that more of them would tell nothing."""
    known = [s.spread for s in table if s.seeds > 1]
    return bool(known) and max(known) < CALM


def confirm(lab: Lab, planes: Sequence[Plane], seeds: Sequence[int]) -> None:
    """Spend what is left on more seeds of those who lead."""
    while (room := lab.afford(1)) > 0:
        wanted = _contested(lab, planes, seeds)[: min(room, 2)]
        if not wanted:
            return
        lab.whole(wanted, "seeds")


def _contested(lab: Lab, planes: Sequence[Plane], seeds: Sequence[int]) -> list[tuple[Cell, int]]:
    """Return the next seed of whoever lacks one most: the leader, the cell below it, its rivals."""
    done = {(t.cell, t.seed) for t in lab.trials if t.whole}
    table = standings(lab.trials, planes)
    if not table:
        return []
    for most in (SEEDS, MOST):
        below = _below(table, planes)
        first = [table[0].cell, *(s.cell for s in below[:1] if _seen(table) > STEADY[0])]
        if not below and most == SEEDS and _seen(table) > STEADY[0]:
            first.append(_higher(table[0].cell, -STEP, planes))
        rivals = [s.cell for s in table[:4] if s.score < table[0].score + max(0.1, _seen(table))]
        order = dict.fromkeys([*first, *rivals])
        trained = {cell: sum(other == cell for other, _ in done) for cell in order}
        found = [(c, seed) for c in order if trained[c] < most for seed in seeds[:most] if (c, seed) not in done]
        if found:
            return list({cell: (cell, seed) for cell, seed in reversed(found)}.values())[::-1]
    return []


def _below(table: Sequence[Standing], planes: Sequence[Plane]) -> list[Standing]:
    """Return the cells a little below the first in level at its momentum, the nearest first."""
    away = [(_away(table[0].cell, s.cell, planes), s) for s in table[1:]]
    found = [(-up, s) for (up, deeper), s in away if 0.1 < -up < 0.7 and abs(deeper) < 0.1]
    return [s for _, s in sorted(found, key=lambda each: each[0])]


def _known(cell: Cell, trials: Sequence[Trial], planes: Sequence[Plane]) -> bool:
    """Say whether a whole training was made as near to a cell as makes no difference."""
    away = [_away(cell, t.cell, planes) for t in trials if t.whole]
    return any(abs(up) < 0.6 * STEP and abs(deeper) < 0.5 * ASIDE for up, deeper in away)


def _beside(cell: Cell, trials: Sequence[Trial], plane: Plane) -> list[tuple[float, float]]:
    """Return by how much in level and depth the other cells of its rule lie away, whole trainings or not."""
    here = plane.where(cell)
    places = [plane.where(t.cell) for t in trials if t.cell.rule == cell.rule and t.purpose not in ("usual", "scan")]
    return [(level - here[0], depth - here[1]) for level, depth in places]


def neighbours(cell: Cell, trials: Sequence[Trial], planes: Sequence[Plane]) -> list[Cell]:
    """Return the cells beside a cell: along the level, along the depth, and with other forms."""
    plane = plane_of(cell, planes)
    level, depth = plane.where(cell)
    above = any(0.05 < up < 0.7 and abs(across) < 0.1 for up, across in _beside(cell, trials, plane))
    found = [
        plane.cell(level + (STEP if above else 2 * STEP), depth, cell.form),
        plane.cell(level - STEP, depth, cell.form),
    ]
    if plane.moves_mu:
        beside = [across for _, across in _beside(cell, trials, plane)]
        for sign in (1, -1):  # a longer step where nothing beyond is known
            far = 1 if any(sign * across > 0.1 for across in beside) else 2
            found.append(plane.cell(level, max(0.0, depth + sign * far * ASIDE), cell.form))
    forms = [plane.cell(level + shift, depth, form) for form, shift in (("constant", 0.0), ("linear", STEP))]
    others = [each for each in forms if each.form != cell.form]
    if any(_slowed(t) for t in trials if t.cell == cell and t.whole):
        return [*others, *found]
    return [*found, *others]


def _slowed(trial: Trial) -> bool:
    """Say whether a training got less far in the tail than it was on the way to before, so that there was no noise to lose."""
    losses, part = trial.losses, FORMS[trial.cell.form].part
    if not 0 < part < 0.5 or len(losses) < 20 or not 0 < trial.loss < math.inf:
        return False
    width = max(1, len(losses) // 20)
    ends = [int((1 - k * part) * len(losses)) for k in (2, 1)]
    early, late = (math.log(max(float(losses[max(0, end - width) : end].mean()), 1e-300)) for end in ends)
    return math.log(trial.loss) > late + (late - early) + 0.1


def doubt(best: Standing, other: Standing) -> float:
    """Return how far two scores may be apart and still be equal within noise."""
    return max(0.03, 2 * math.sqrt((best.spread**2 / best.seeds + other.spread**2 / other.seeds) / 2))


def final(trials: Sequence[Trial], planes: Sequence[Plane]) -> list[Standing]:
    """Return how the cells stand at the end, whoever is recommended first.

    Only cells with enough seeds are recommended. Near the border of stability a few seeds can all be lucky, so that the
    cell a little below the leader is preferred as long as it is hardly worse, by the spread that seeds show.
    """
    table = standings(trials, planes)
    enough = 1 if _calm(table) else min(SEEDS, max((s.seeds for s in table), default=0))
    table = sorted(table, key=lambda s: (s.seeds < enough, s.score))
    if table:
        spread = float(np.median([s.spread for s in table if s.seeds > 1] or [0.0]))
        for s in _below(table, planes):
            if s.seeds >= min(2, enough) and s.score <= table[0].score + NEAR + CAUTION * min(1.0, spread):
                return [s, *(other for other in table if other is not s)]
    return table
