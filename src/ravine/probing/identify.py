"""Numbers from answers: what a linear optimizer with one buffer is, by regression on what was seen.

    Δ_t = x_{t+1} - x_t        Δ_t = q·Δ_{t-1} + r·x_t + b·g_t - c·g_{t-1}

Without weight decay r = 0 and (q, b, c) is the response (a, b, c) of `ravine.algebra`. Coupled decay wd makes
q = a + wd·c and r = wd·(b - c); decoupled decay, which shrinks x by s, makes q = s·a and r = -(1 - s)·(1 - a). The first
step without a gradient, x_1 = (1 + e)·x_0 with e = s - 1 + wd·b, says which; there b is that of the first step, which
may be an exception.
"""

from typing import NamedTuple

import numpy as np

from ravine.algebra import Response
from ravine.probing.machines import SIZE, Machine
from ravine.probing.series import STEPS, apart, drawn, events, extent, ratio, silence, start
from ravine.surfaces.interface import Array

DECAY = 1e-12  # of the parameters: what they move by in a step without gradient is no rounding
SURE = 1e-4  # a share of a small number that is known well enough to tell hypotheses apart
ORDERS = 12  # buffers that are looked for


class Fit(NamedTuple):
    """Hold the coefficients of the regression, whether a buffer was needed, and what is left over."""

    q: float
    r: float
    b: float
    c: float
    first: float  # b of the very first step
    remembers: bool
    misfit: float  # of the movement


class Decay(NamedTuple):
    """Hold what pulls the parameters to 0: into the gradient (coupled), by shrinking them (decoupled), or both."""

    where: str  # none, coupled, decoupled, both, either (without a buffer they are the same), unknown
    coupled: float  # gradient per length
    shrink: float  # 1 for none
    seed: float = 0.0  # the first step without a gradient moves so much of the parameters, and no decay explains it


NONE = Decay("none", 0.0, 1.0)


def fit(machine: Machine, unit: float, tolerance: float, alike: Array, wait: int = 0) -> Fit | None:
    """Return the numbers of one buffer or of none, None where it takes more.

    Args:
        machine: linear, and the same at every step from `wait` on, but perhaps the first.
        unit: by which gradients are multiplied.
        tolerance: of the movement.
        alike: the coordinates that are looked at, (SIZE,).
        wait: silent steps before.
    """
    gradients = unit * drawn()
    path = machine.run(np.zeros(SIZE), [*silence(wait), *events(gradients)])[wait:]
    x, g = path[:, alike], gradients[:, alike]
    moves = np.diff(x, axis=0)
    near = np.maximum(np.abs(x[1:]), np.abs(x[:-1])) + extent(x[:4])  # a run that grows is known to so many digits only
    now, before = slice(2, STEPS), slice(1, STEPS - 1)  # not the first step, which may be an exception
    target = (moves[now] / near[now]).ravel()
    plain = [x[:-1][now], g[now]]
    for remembers, columns in ((False, plain), (True, [*plain, moves[before], g[before]])):
        solved, off = _solved([(c / near[now]).ravel() for c in columns], target)
        if off <= tolerance:
            r, b, *rest = solved
            q, minus_c = rest if remembers else (0.0, 0.0)
            return Fit(q, r, b, -minus_c, _first(machine, gradients, alike), remembers, off)
    return None


def _first(machine: Machine, gradients: Array, alike: Array) -> float:
    moved = machine.run(np.zeros(SIZE), events(gradients[:1]))[1]
    return ratio(moved[alike], gradients[0, alike])


def _solved(columns: list[Array], target: Array) -> tuple[list[float], float]:
    """Return least-squares coefficients and the largest residual; columns are brought to one size."""
    sizes = [float(np.linalg.norm(c)) or 1.0 for c in columns]
    table = np.stack([c / s for c, s in zip(columns, sizes, strict=True)], axis=1)
    found, *_ = np.linalg.lstsq(table, target, rcond=None)
    again, *_ = np.linalg.lstsq(table, target - table @ found, rcond=None)  # once more, for the last digits
    found = found + again
    off = float(np.max(np.abs(target - table @ found)))
    return [float(f / s) for f, s in zip(found, sizes, strict=True)], off


def decay(machine: Machine, seen: Fit, alike: Array, seed: float = 0.0) -> Decay:
    """Return where weight decay enters, from how the parameters move without gradients; `seed` is what is no decay."""
    x0 = start()
    path = machine.run(x0, silence(STEPS))
    parts = (path / x0)[:, alike].mean(axis=1)
    e = float(parts[1] - 1) - seed
    size = extent(parts[:, None])
    if size <= DECAY:
        return NONE
    if not seen.remembers:
        return Decay("either", e / seen.first if seen.first else 0.0, 1 + e)
    sure = max(SURE, 1e-13 / size)
    for guess in _guesses(seen, e):
        guess = guess._replace(seed=guess.seed + seed)
        if apart(_coast(seen, guess), parts, size) <= sure:
            return guess
    return Decay("unknown", 0.0, 1.0)


def _guesses(seen: Fit, e: float) -> list[Decay]:
    """Return every explanation of the first step, the simplest first."""
    q, r, b, c = seen.q, seen.r, seen.b, seen.c
    if abs(r) <= max(1e-7 * abs(e), 1e-12):
        return [Decay("none", 0.0, 1.0, seed=e)]
    found = [Decay("coupled", e / seen.first, 1.0)] if seen.first else []
    found.append(Decay("decoupled", 0.0, 1 + e))
    a = q + r - e
    if b and (bottom := a * b - c):
        shrink = (q * b - (e + 1) * c) / bottom
        found.append(Decay("both", (e + 1 - shrink) / b, shrink))
    return found


def _coast(seen: Fit, guess: Decay) -> Array:
    """Return how the parameters move without gradients, as parts of themselves."""
    a, x, w, before = momentum_of(seen, guess).a, [1.0], 0.0, 0.0  # w is what the buffer moves the point by
    for t in range(STEPS):
        pull = guess.coupled * x[-1]
        w = guess.seed + seen.first * pull if t == 0 else a * w + seen.b * pull - seen.c * before
        before = pull
        x.append(guess.shrink * x[-1] + w)
    return np.array(x)


def momentum_of(seen: Fit, found: Decay) -> Response:
    """Return the response without the weight decay."""
    if not seen.remembers:
        return Response(0.0, seen.b, 0.0)
    return Response((seen.q - found.coupled * seen.c) / found.shrink, seen.b, seen.c)


def order(machine: Machine, unit: float, alike: Array) -> int:
    """Return how many buffers the answer to one gradient needs: the rank of its Hankel matrix."""
    one = np.zeros((1, SIZE))
    one[:] = unit
    length = 2 * ORDERS + 2
    path = machine.run(np.zeros(SIZE), [*silence(1), *events(one), *silence(length)])[1:]
    moves = np.diff(path, axis=0)[1:, alike].mean(axis=1)  # after the gradient's own step, of which no buffer is needed
    table = np.array([moves[i : i + ORDERS] for i in range(ORDERS)])
    singular = np.linalg.svd(table, compute_uv=False)
    return int((singular > 1e-9 * singular[0]).sum()) if singular[0] > 0 else 0
