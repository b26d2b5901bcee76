"""What a user should be told of a conversion, beside its numbers."""

from collections.abc import Sequence

from ravine.conversion.difference import sized
from ravine.conversion.equal import Link
from ravine.rules import Method, Row
from ravine.schedules import at


def remarks(source: Method, target: Method, links: Sequence[Link], steps: int) -> list[str]:
    """Say where a stored point differs, where a buffer is lost, and where torch's dampening begins otherwise."""
    said = []
    if any(joined.shift for joined in links):
        said.append(
            f"{source.name} and {target.name} store different points: x of {target.name} = x + shift·v of {source.name}; "
            f"from an empty buffer both begin at the same"
        )
    if links and all(joined.scale == 0 for joined in links):
        said.append(
            "the gradients that are asked for do not depend on the buffer (a pole cancels, or lr is 0): begin with an empty one"
        )
    for method in dict.fromkeys((source.name, target.name)):
        said += _dampening(source if method == source.name else target, steps)
    return said


def _dampening(method: Method, steps: int) -> list[str]:
    """Say what torch's first step, which it does not dampen, changes, and by how much."""
    if "tau" not in method.settings or not any(at(method.settings["tau"], t) for t in range(steps)):
        return []
    tau, mu = (float(at(method.settings[key], 0)) for key in ("tau", "mu"))
    if mu == 0:
        return ["torch.optim.SGD ignores dampening where its momentum is 0; this is the row as written, with it"]
    rows = [Row(*map(float, method.row(t))) for t in range(steps)]
    found = sized(rows, rows, tau / mu)
    return [
        f"torch.optim.SGD does not dampen its first step, which is the same as beginning with the buffer (tau/mu)·g = "
        f"{tau / mu:.6g}·g instead of 0, g its first gradient"
        + (
            f": from 0, {found[2]}"
            if found
            else "; no size is stated, for this row is stable for no curvature or for any"
        )
    ]
