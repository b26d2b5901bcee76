"""A quadratic given by its curvatures, ½·Σ h_i·u_i², in as many dimensions as there are; u is x, or x rotated."""

import ast

import numpy as np

from ravine.errors import SurfaceError, shown
from ravine.surfaces.catalogue import names
from ravine.surfaces.interface import Array, Minimum, Surface

MOST = 2000  # curvatures; a rotation of as many is 32 MB
LONGEST = 30_000  # characters of a spectrum as text
FEW = 7  # turned curvatures whose products are added one after the other, as a page adds them; NumPy pairs 8 and more


def spectrum(*curvatures: float, angle: float | None = None, seed: int | None = None) -> Surface:
    """Make the quadratic with these curvatures along its axes, along turned axes, or along random ones.

    Args:
        *curvatures: h_1, h_2, …, gradient per length; negative ones make a saddle.
        angle: with two curvatures, the axes are turned by so many degrees.
        seed: the axes are a random orthogonal frame, the same for the same whole number.

    Raises:
        SurfaceError: no curvature, one that is not finite, or an angle without two of them.

    Example:
        >>> spectrum(2, 100).value([180, 90])
        437400.0
    """
    h = np.array(curvatures, float)
    if not 1 <= len(h) <= MOST or not np.isfinite(h).all():
        raise SurfaceError(
            f"spectrum takes 1 to {MOST} finite curvatures, as in spectrum(2,100), got {shown(curvatures)}"
        )
    n = len(h)
    if seed is not None and not (seed == seed and abs(seed) < 2**63 and seed >= 0 and int(seed) == seed):
        raise SurfaceError(f"the seed of a spectrum must be a whole number, 0 or more, got {seed}")
    axes: Array | None = None  # columns are eigen-directions
    if angle is not None and seed is not None:
        raise SurfaceError("spectrum takes an angle or a seed, not both")
    if angle is not None:
        if not np.isfinite(angle):
            raise SurfaceError(f"angle must be finite, in degrees, got {angle}")
        if n != 2:
            raise SurfaceError(f"an angle turns two curvatures, got {n}; use seed=1 for a random frame")
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        axes = np.array([[c, -s], [s, c]])
    elif seed is not None:
        axes = np.linalg.qr(np.random.default_rng(int(seed)).standard_normal((n, n)))[0]
    matrix = np.diag(h) if axes is None else (axes * h) @ axes.T
    column, cube = h[:, None], matrix[:, :, None]

    def slopes(x: Array, out: Array) -> None:
        if axes is None:
            np.multiply(column if x.dtype != object else column.astype(object), x, out=out)
        elif n <= FEW:  # twice as slow as BLAS, which adds in an order of its own
            np.add.reduce(cube * x, axis=1, out=out)
        else:
            np.matmul(matrix, x, out=out)

    def heights(x: Array) -> Array:
        out = np.empty_like(x)
        slopes(x, out)
        values: Array = (x * out).sum(axis=0) / 2
        return values

    words = [f"{x:g}" if float(f"{x:g}") == x else repr(float(x)) for x in h]
    if angle is not None:
        words.append(f"angle={angle:g}")
    if seed is not None:
        words.append(f"seed={int(seed)}")
    text = f"spectrum({','.join(words)})"
    return Surface(
        name=text if len(text) <= 60 else f"spectrum of {n} curvatures from {h.min():g} to {h.max():g}",
        variables=tuple(names(n)),
        heights=heights,
        slopes=slopes,
        curvature=lambda point: matrix.copy(),
        text=text,
        latex=r"\frac{1}{2}\left(" + "+".join(f"{w}\\,u_{{{i + 1}}}^2" for i, w in enumerate(words[:n])) + r"\right)"
        if n <= 3
        else r"\frac{1}{2}\sum_i h_i u_i^2",
        minima=(Minimum((0.0,) * n, 0.0),) if (h > 0).all() else (),
        start=(1.0,) * n,
        source="a quadratic by its eigenvalues",
        quadratic=True,
    )


def parse(text: str) -> Surface:
    """Read `spectrum(h1,h2,…)`, with `angle=` or `seed=`."""
    try:
        call = ast.parse(text.strip(), mode="eval").body if len(text) < LONGEST else None
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        numbers = [_number(node) for node in call.args]
        options = {str(k.arg): _number(k.value) for k in call.keywords}
        if not options.keys() <= {"angle", "seed"} or len(options) < len(call.keywords):
            raise ValueError
    except (SyntaxError, ValueError, TypeError, OverflowError, MemoryError, RecursionError):
        raise SurfaceError(
            f"cannot read {shown(text)}; write 1 to {MOST} curvatures as in spectrum(2,100), with angle=30 or seed=1 if turned"
        ) from None
    return spectrum(*numbers, **options)  # type: ignore[arg-type]


def _number(node: ast.expr) -> float:
    value = ast.literal_eval(node)
    if type(value) not in (int, float):
        raise ValueError
    float(value)  # an integer of four hundred digits has none
    return value  # type: ignore[no-any-return]
