"""Where descent leads: the minimum near a point, and the minima of a surface.

A stationary point is polished by Newton's method, x - H⁻¹∇f; on a quadratic one step is all.
"""

import numpy as np

from ravine.errors import SurfaceError
from ravine.surfaces.interface import Array, Surface

FLAT = 1e-9  # of the largest curvature nearby: below, a direction counts as flat
JUMP = 1e-6  # so far aside, of the point's size, a gradient is compared with that on the other side
OTHERS = 7  # further starts, where nobody named any
MOST = 12  # minima


def stationary(surface: Surface, end: Array) -> Array | None:
    """Return the point of zero gradient to which Newton's method leads, (n,), or None."""
    x = end.copy()
    for _ in range(50):
        gradient, hessian = surface.gradient(x), surface.hessian(x)
        if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
            return None
        move = -np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        x = x + move
        if np.linalg.norm(move) <= 1e-10 * (1 + np.linalg.norm(x)):
            return x if level(surface, x) else None
    return None


def level(surface: Surface, x: Array) -> bool:
    """Say whether the gradient vanishes at a point, up to what rounding of the point makes of it."""
    size = float(np.linalg.norm(surface.hessian(x)))
    return bool(np.linalg.norm(surface.gradient(x)) <= 1e-6 * size * (1 + np.linalg.norm(x)))


def near(surface: Surface, end: Array) -> Array | None:
    """Return the minimum that Newton's method finds from a point, unless it is somewhere else altogether."""
    x = stationary(surface, end)
    if x is None:
        return None
    far = not surface.quadratic and np.linalg.norm(x - end) > 0.5 * (1 + np.linalg.norm(end))
    return None if far or surface.curvatures(x).min() < -1e-9 else x


def hollow(surface: Surface, end: Array, stopped: str) -> Array | None:
    """Return the minimum to which a run leads that ended so, (n,), or None if it leads nowhere known."""
    if stopped in ("diverged", "undefined"):
        return None
    found = near(surface, end)
    if found is None and surface.minima:  # the run was stopped on its way, or its minimum is a kink
        nearest = min(surface.minima, key=lambda m: float(np.linalg.norm(np.subtract(m.point, end))))
        return np.array(nearest.point)
    return found


def minima(surface: Surface, starts: Array | None = None) -> tuple[list[Array], str]:
    """Return the minima of a surface, each once, and a note on where they were looked for ('' where it is plain).

    Args:
        surface: known minima are taken as they are; a quadratic's is found in one Newton step.
        starts: descend from here instead, (k, n); the minima come in the order of the starts.

    Raises:
        SurfaceError: it falls without bound, or nothing was found; the sentence names a stationary point if one is
            known, to be read with `at`.
    """
    if starts is None and surface.minima:
        return [np.array(m.point) for m in surface.minima], ""
    if surface.quadratic:
        return [_bottom(surface)], ""
    if starts is not None:
        found = [_descended(surface, start) for start in starts]
        if lost := [start for start, point in zip(starts, found, strict=True) if point is None]:
            raise _nothing(surface, lost[0])
        return _distinct(found), ""
    first = np.array(surface.start or (1.0,) * surface.dim)
    scattered = np.random.default_rng(0).standard_normal((OTHERS, surface.dim)) * 2
    found = [_descended(surface, start) for start in (first, *(scattered if surface.dim <= 20 else ()))]
    if all(point is None for point in found):
        raise _nothing(surface, first)
    lowest = sorted(_distinct(found), key=lambda x: float(surface.value(x)))[:MOST]
    return lowest, f"no start was given: minima were looked for from {written(first)} and {OTHERS} points around 0"


def written(point: Array) -> str:
    """Write a point as it is typed.

    >>> written(np.array([0.0, -1.5]))
    '0,-1.5'
    """
    return ",".join(f"{round(c, 9) + 0:g}" for c in point.tolist()[:6]) + (",…" if len(point) > 6 else "")


def _bottom(surface: Surface) -> Array:
    """Return the minimum of a quadratic, flat directions allowed."""
    origin = np.zeros(surface.dim)
    point = stationary(surface, origin)
    if point is None:
        raise SurfaceError(f"{surface.name} falls without bound and has no stationary point; add a term that holds it")
    curvatures = surface.curvatures(point)
    if (curvatures[~flat(surface, point, curvatures)] < 0).any():
        raise SurfaceError(
            f"{surface.name} has no minimum, it falls without bound: write --at {written(point)} to read its "
            f"stationary point, a {'maximum' if curvatures.max() <= 0 else 'saddle'}"
        )
    return point


def _descended(surface: Surface, start: Array) -> Array | None:
    """Return the minimum below a start, or None where descent flees, stops at a kink or finds nothing."""
    from scipy.optimize import minimize

    def height(x: Array) -> float:
        value = float(surface.value(x))
        return value if np.isfinite(value) else 1e300

    def slope(x: Array) -> Array:
        return np.nan_to_num(surface.gradient(x), nan=0.0, posinf=0.0, neginf=0.0)

    def flees(x: Array) -> bool:
        return not np.isfinite(x).all() or bool(np.linalg.norm(x) > 1e6 * (1 + np.linalg.norm(start)))

    def watch(x: Array) -> None:
        if flees(x):
            raise StopIteration  # which ends the search where it stands

    with np.errstate(all="ignore"):
        options = {"ftol": 0, "gtol": 1e-9}
        end: Array = minimize(height, start, jac=slope, method="L-BFGS-B", options=options, callback=watch).x
        if flees(end):
            return None
        point = near(surface, end)
    return point if point is None or _holds(surface, point) else None


def flat(surface: Surface, x: Array, curvatures: Array) -> Array:
    """Say which curvatures at a point count as 0, (n,): next to the largest ones there and a little aside."""
    largest = abs(curvatures).max()
    if not surface.quadratic:  # at the bottom of x^4 all are rounding, so that their own size says nothing
        aside = surface.curvatures(x + 1e-2 * (1 + abs(x)))
        largest = max(largest, abs(aside).max() if np.isfinite(aside).all() else 0.0)
    # A quadratic's eigenvalues are right up to rounding, another Hessian only as well as its point is known.
    part = 4 * len(x) * np.finfo(float).eps if surface.quadratic else FLAT
    return np.asarray(abs(curvatures) <= part * largest)


def kinks(surface: Surface, x: Array, vectors: Array) -> Array:
    """Say along which directions, the columns of `vectors`, the gradient jumps at a point, (n,).

    Its difference between both sides stays the same however near they are, where a smooth function's shrinks with it.
    """
    if surface.quadratic:
        return np.zeros(vectors.shape[1], bool)
    far, aside, near = (
        abs(((surface.gradient(x + d * vectors.T) - surface.gradient(x - d * vectors.T)) * vectors.T).sum(axis=1))
        for d in (scale * (1 + float(np.linalg.norm(x))) for scale in (1e-2, JUMP, JUMP / 100))
    )
    return np.asarray((aside > 1e-3 * far) & (aside > 1e-6 * far.max()) & (near > 0.5 * aside))


def _holds(surface: Surface, x: Array) -> bool:
    """Say whether nothing a little aside along a flat direction is lower, as it is at an inflection."""
    curvatures, vectors = np.linalg.eigh(surface.hessian(x))
    aside = 1e-2 * (1 + np.linalg.norm(x)) * vectors.T[flat(surface, x, curvatures)]
    around = surface.value(np.concatenate([x + aside, x - aside])) if len(aside) else np.zeros(0)
    here = float(surface.value(x))
    return not bool((around < here - 1e-12 * (1 + abs(here))).any())


def _distinct(found: list[Array | None]) -> list[Array]:
    """Return each point once."""
    kept: list[Array] = []
    for point in found:
        if point is not None and all(np.linalg.norm(point - k) > 1e-5 * (1 + np.linalg.norm(k)) for k in kept):
            kept.append(point)
    return kept


def _nothing(surface: Surface, start: Array) -> SurfaceError:
    """Say that no minimum was found below a start, and name a stationary point where Newton's method finds one."""
    known = next((x for x in (stationary(surface, p) for p in (np.zeros(surface.dim), start)) if x is not None), None)
    hint = (
        f"write --at {written(known)} to read the stationary point there"
        if known is not None
        else "start elsewhere with --start, or name the point with --at"
    )
    return SurfaceError(f"no minimum of {surface.name} was found from ({written(start)}); {hint}")
