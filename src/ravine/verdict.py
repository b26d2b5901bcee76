"""The verdict on a place, in one sentence."""

from ravine.prediction import Direction, Limit, Place
from ravine.rules import Method
from ravine.schedules import text_of

WORDS = {
    "ripples": "with ripples",
    "oscillating": "from side to side",
    "critical": "critically damped",
    "monotone": "steadily",
}


def verdict(place: Place, method: Method, noise: float = 0.0) -> str:
    """Say of a place whether a method converges, how fast, what would be best, or what is wrong and what to do."""
    flat = [d for d in place.directions if d.h == 0]
    if place.kind in ("saddle", "maximum"):
        said = _leaving(place)
    elif place.rate > 1:
        said = _diverging(place, method)
    elif len(flat) == len(place.directions):
        said = "stays: the Hessian is 0 here, the rate is 1, and the quadratic picture says nothing more"
    elif flat:
        rest = _converging(*(d for d in place.directions if d.h != 0))
        said = f"stays along {_count(len(flat), 'flat direction')} (rate 1); elsewhere it {rest}"
    elif place.effective_lr == 0:
        said = "moves nowhere: its effective lr is 0, so that the rate is 1"
    elif place.rate == 1 or not place.stable:
        said = f"neither converges nor diverges: the rate is {place.rate:.6g}, on the limit of stability"
    else:
        said = _converging(*place.directions) + _better(place, method)
    if noise and place.stable and place.noise_floor is not None:
        said += f"; noise of {noise:g} keeps the expected loss {place.noise_floor:.4g} above the minimum"
    said = said if method.steady else f"in the mean over the schedule it {said}"
    return f"this point is not stationary; with its Hessian alone {method.name} {said}" if place.notes else said


def _converging(*directions: Direction) -> str:
    """Say how an error shrinks."""
    slowest = max(directions, key=lambda d: d.rate)
    if not slowest.steps_per_ten:
        return "converges at once: every pole is 0"
    alone = min(d.rate for d in directions) < slowest.rate * (1 - 1e-9)
    said = f"converges {WORDS.get(slowest.regime, '')}: one digit every {_steps(slowest.steps_per_ten)}"
    return said + (f", set by h = {slowest.h:.6g}" if alone else "")


def _better(place: Place, method: Method) -> str:
    """Say what the best settings would gain."""
    best = place.optimum
    if best is None or best.steps_per_ten is None or place.rate == 0:
        return ""
    settings = ", ".join(f"{key}={value:.4g}" for key, value in best.settings.items())
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
    return said + ("" if place.stable else _cure(place.limit, method))


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
    leave = sorted((d for d in place.directions if d.rate > 1), key=lambda d: -d.rate)
    if not leave:
        return f"stays at this {place.kind}: nothing moves"
    first = leave[0]
    many = f"{len(leave)} of {_count(len(place.directions), 'direction')}"
    return (
        f"leaves this {place.kind} along {many}, fastest along h = {first.h:.6g}: by a factor of {first.rate:.4g} a step, "
        f"tenfold every {_steps(first.steps_per_ten or 0.0)}"
    )


def _steps(number: float) -> str:
    return f"{number:.3g} steps" if number < 1000 else f"{number:.0f} steps"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number > 1)}"
