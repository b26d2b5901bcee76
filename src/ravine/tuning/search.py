"""From the whole plane to a handful of cells: a scan along the learning rate, then halving over momenta.

scan     short trainings, many learning rates, one momentum     -> the level that a short training likes
halving  a few levels around it at several momenta              -> the cells that a whole training may like
"""

import math
from collections.abc import Sequence

import numpy as np

from ravine.surfaces.interface import Array
from ravine.tuning.cells import Cell, Plane
from ravine.tuning.lab import Bench, Lab

NOTCH = math.log(1.8)  # between two levels
SCAN = 0.04  # the part of the budget that the scan may take
HALVING = 0.4  # and the halving of what is then left
RUNGS = (
    (1 / 16, 3, 1.0),
    (1 / 4, 2, 0.4),
    (1 / 2, 1, 0.18),
)  # when, how many of each momentum go on, which part of all
LANE = 0.33  # what a cell costs in halving, in trainings


def depths(steps: int) -> list[float]:
    """Return the depths that are tried: up to where a training is four times as long as the memory of the velocity.

    >>> [round(1 - math.exp(-depth), 4) for depth in depths(300)]
    [0.8, 0.9, 0.95, 0.975, 0.9875]
    """
    ends = min(0.5, max(0.2, 30 / steps)), min(0.3, max(0.008, 3.75 / steps))
    return [float(-math.log(left)) for left in np.geomspace(*ends, 5)]


def shortest(part: float, steps: int) -> int:
    """Return the updates of a training that is cut short, enough to see anything."""
    return max(round(part * steps), min(8, math.ceil(steps / 3)))


def scan(lab: Lab, plane: Plane, center: float, seed: int) -> float:
    """Return the level at which a short training gets furthest."""
    updates = shortest(1 / 16, lab.steps)
    number = max(5, min(14, int(lab.ledger.total * SCAN / updates)))
    depth = -math.log(0.1)
    gap = math.log(3000) / (number - 1)
    levels = [center + gap * (k - 0.55 * (number - 1)) for k in range(number)]
    losses = _short(lab, plane, [(level, depth) for level in levels], updates, seed)
    for _ in range(4):  # further, while the best lies at an end
        best = int(np.argmin(losses))
        if not np.isfinite(losses).any() or best == 0:
            more = [levels[0] - gap * k for k in (1, 2, 3, 4)]
        elif best == len(levels) - 1:
            more = [levels[-1] + gap * k for k in (1, 2, 3, 4)]
        else:
            break
        if lab.afford(updates / lab.steps) < len(more) + 2 * lab.steps // updates:
            break
        losses = np.concatenate([losses, _short(lab, plane, [(level, depth) for level in more], updates, seed)])
        order = np.argsort([*levels, *more])
        levels, losses = [[*levels, *more][k] for k in order], losses[order]
    return levels[int(np.argmin(losses))]


def _short(lab: Lab, plane: Plane, places: Sequence[tuple[float, float]], updates: int, seed: int) -> Array:
    bench = lab.start([(plane.cell(*place), seed) for place in places], "scan")
    bench.to(updates)
    return np.array([trial.loss for trial in bench.close()])


def halve(lab: Lab, planes: Sequence[Plane], level: float, seed: int) -> list[Cell]:
    """Return the cells that a whole training likes best, the best first: halving over levels and depths."""
    places = _places(lab, planes)
    cells = [plane.cell(level + NOTCH * notch, depth) for plane, depth, notch in places]
    groups = [(plane.rule.name, depth) for plane, depth, _ in places]
    bench = lab.start([(cell, seed) for cell in cells], "halving")
    for part, each, share in RUNGS:
        losses = bench.to(shortest(part, lab.steps))
        _thin(bench, losses, each, max(2, round(share * len(cells))), groups)
    bench.to(lab.steps)
    trials = bench.close()
    whole = [trial for trial in trials if trial.whole]
    return [trial.cell for trial in sorted(whole, key=lambda trial: trial.loss)]


def _places(lab: Lab, planes: Sequence[Plane]) -> list[tuple[Plane, float, int]]:
    """Return which planes, depths and notches of level the budget pays for, half of it at most."""
    most = max(2, int(HALVING * lab.ledger.left / (lab.steps * LANE)))
    found = []
    for k, plane in enumerate(planes):
        deep = depths(lab.steps) if plane.moves_mu else [0.0]
        for depth in deep if k == 0 else deep[1:4:2]:  # the other rules are compared at two momenta
            found += [(plane, depth, notch) for notch in (-1, 0, 1, 2)]
    middle = deep[len(deep) // 2]
    reach = 0.6 * (deep[-1] - deep[0]) / 2
    wanted = sorted(
        found, key=lambda each: (abs(each[2] - 0.5) > 1, abs(each[1] - middle) > reach, each[0] != planes[0])
    )
    return wanted[:most]


def _thin(bench: Bench, losses: Array, each: int, most: int, groups: Sequence[object]) -> None:
    """Take off all but the best, the best of each group first,
    because short trainings favour small momenta."""
    rank: dict[object, int] = {}
    wanted: list[tuple[bool, bool, int, int]] = []
    for k in np.argsort(losses):
        if math.isfinite(losses[k]):
            rank[groups[k]] = rank.get(groups[k], 0) + 1
            wanted.append((rank[groups[k]] > 1, rank[groups[k]] > each, len(wanted), int(k)))
    kept = [k for _, over, _, k in sorted(wanted)[:most] if not over]
    bench.take_off([k for k in range(len(losses)) if k not in kept])
