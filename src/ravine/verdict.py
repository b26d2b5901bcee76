"""The verdict on a place, in one sentence."""

from collections.abc import Sequence

from ravine.prediction import SAME, Direction, Limit, Place, setting
from ravine.rules import Method
from ravine.schedules import text_of

HARDLY = 1e-9  # an effective lr·h below this leaves the rate at 1 but for rounding
WORDS = {
    "ripples": "with ripples",
    "oscillating": "from side to side",
    "critical": "critically damped",
    "monotone": "steadily",
}


def verdict(place: Place, method: Method, noise: float = 0.0) -> str:
    """Say of a place whether a method converges, how fast, what would be best, or what is wrong and what to do."""
    flat = [d for d in place.directions if d.h == 0]
    if place.kind == "kink":
        return (
            f"nothing is said of a kink: the gradient jumps here, so that no quadratic holds and {method.name} with a "
            "constant lr does not come to rest; let the lr fall"
        )
    if any(d.h < 0 for d in place.directions):
        said = _leaving(place)
    elif place.rate > 1 + SAME:
        said = _diverging(place, method)
    elif all(d.regime == "stands still" or d.h == 0 for d in place.directions) and place.effective_lr == 0:
        said = "moves nowhere: its effective lr is 0, so that the rate is 1"
    elif len(flat) == len(place.directions):
        said = "stays: the Hessian is 0 here, the rate is 1, and the quadratic picture says nothing more"
    elif flat:
        rest = _resting([d for d in place.directions if d.h != 0], place, method)
        said = f"stays along {_count(len(flat), 'flat direction')} (rate 1); elsewhere it {rest}"
    else:
        said = _resting(place.directions, place, method) + (_better(place, method) if place.stable else "")
    if not method.steady:
        said = f"in the mean over the schedule it {said}{_unstable(place)}"
    if noise and place.stable and place.noise_floor is not None:
        said += f"; noise of {noise:g} keeps the expected loss {place.noise_floor:.4g} above the minimum"
    elif noise and place.stable and not method.steady and place.left is not None:
        said += f"; with noise of {noise:g} the expected loss ends at {place.left:.4g} above the minimum"
    return (
        f"this point is not stationary; with its Hessian alone {method.name} {said}" if place.kind == "slope" else said
    )


def _unstable(place: Place) -> str:
    """Say so where a schedule ends with a row that would diverge."""
    worst = [d for d in place.directions if d.h > 0 and d.regime == "diverging"]
    if not worst:
        return ""
    return f"; its last row is unstable: kept on, it would diverge along h = {worst[-1].h:.6g}"


def _resting(directions: Sequence[Direction], place: Place, method: Method) -> str:
    """Say how errors shrink, or why they stay."""
    slowest = max(directions, key=lambda d: d.rate)
    if abs(slowest.rate - 1) > SAME:
        return _converging(directions, method.steady)
    if not method.steady or abs(slowest.h * place.effective_lr) < HARDLY:
        return f"hardly moves along h = {slowest.h:.6g}: the rate is 1 but for rounding"
    return "neither converges nor diverges: the rate is 1, on the limit of stability"


def _converging(directions: Sequence[Direction], steady: bool) -> str:
    """Say how an error shrinks; under a schedule no regime holds for all steps."""
    slowest = max(directions, key=lambda d: d.rate)
    if not slowest.steps_per_ten:
        return "converges at once: every pole is 0"
    alone = min(d.rate for d in directions) < slowest.rate * (1 - 1e-9)
    word = f" {WORDS[slowest.regime]}" if steady and slowest.regime in WORDS else ""
    said = f"converges{word}: one digit every {_steps(slowest.steps_per_ten)}"
    return said + (f", set by h = {slowest.h:.6g}" if alone else "")


def _better(place: Place, method: Method) -> str:
    """Say what the best settings would gain."""
    best = place.optimum
    if best is None or best.steps_per_ten is None or place.rate == 0:
        return ""
    settings = ("" if method.steady else "constant ") + ", ".join(setting(*each) for each in best.settings.items())
    if best.gain is not None and best.gain < 1.02:
        return f"; {method.name} can hardly do better here"
    return (
        f"; {settings} would need {_steps(best.steps_per_ten)}"
        if best.steps_per_ten
        else f"; {settings} is there at once"
    )


def _diverging(place: Place, method: Method) -> str:
    """Say along which direction it diverges, and what would hold it."""
    worst = max(place.directions, key=lambda d: d.rate)
    said = f"diverges along h = {worst.h:.6g}, by a factor of {worst.rate:.4g} a step"
    return said + (_cure(place.limit, method) if method.steady and not place.stable else "")


def _cure(limit: Limit, method: Method) -> str:
    """Say which lr or mu would be stable."""
    words = []
    lr = method.settings.get("lr")
    if limit.lr is not None and 0 < limit.lr < float("inf"):
        words.append(f"lr must be below {limit.lr:.4g}" + ("" if lr is None else f", it is {text_of(lr)}"))
    if limit.mu is not None:
        low, high = limit.mu
        bounds = ([f"above {low:.4g}"] if low > 0 else []) + ([f"below {high:.4g}"] if high < 1 else [])
        words.append(f"mu {'' if words else 'must be '}{' and '.join(bounds)}")
    if not words:
        words.append(
            f"the curvature must be below {limit.h:.4g}" if limit.h > 0 else "these settings hold no curvature"
        )
    return ": " + ", or ".join(words)


def _leaving(place: Place) -> str:
    """Say along which directions a saddle or a maximum is left, and how fast."""
    leave = sorted((d for d in place.directions if d.rate > 1 + SAME), key=lambda d: -d.rate)
    name = "point" if place.kind == "slope" else place.kind
    if not leave:
        return f"stays at this {name}: nothing moves"
    first = leave[0]
    many = f"{len(leave)} of {_count(len(place.directions), 'direction')}"
    return (
        f"leaves this {name} along {many}, fastest along h = {first.h:.6g}: by a factor of {first.rate:.4g} a step, "
        f"tenfold every {_steps(first.steps_per_ten or 0.0)}"
    )


def _steps(number: float) -> str:
    return f"{number:.3g} steps" if number < 1000 else f"{number:.0f} steps"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"
