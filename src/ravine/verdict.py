"""The verdict on a place, in one sentence, in any language that has a phrasebook."""

from collections.abc import Sequence

from ravine.phrases import ENGLISH, Phrases
from ravine.prediction import SAME, Direction, Limit, Place, setting
from ravine.rules import Method
from ravine.schedules import text_of

HARDLY = 1e-9  # an effective lr·h below this leaves the rate at 1 but for rounding
WAYS = ("ripples", "oscillating", "critical", "monotone")


def verdict(place: Place, method: Method, noise: float = 0.0, phrases: Phrases = ENGLISH) -> str:
    """Say of a place whether a method converges, how fast, what would be best, or what is wrong and what to do."""
    flat = [d for d in place.directions if d.h == 0]
    if place.kind == "kink":
        return phrases["kink"].format(method=method.name)
    if any(d.h < 0 for d in place.directions):
        said = _leaving(place, phrases)
    elif place.rate > 1 + SAME:
        said = _diverging(place, method, phrases)
    elif all(d.regime == "stands still" or d.h == 0 for d in place.directions) and place.effective_lr == 0:
        said = phrases["nowhere"]
    elif len(flat) == len(place.directions):
        said = phrases["all flat"]
    elif flat:
        rest = _resting([d for d in place.directions if d.h != 0], place, method, phrases)
        said = phrases["one flat" if len(flat) == 1 else "some flat"].format(count=len(flat), rest=rest)
    else:
        said = _resting(place.directions, place, method, phrases)
        said += _better(place, method, phrases) if place.stable else ""
    if not method.steady:
        said = phrases["mean"].format(said=said) + _unstable(place, phrases)
    if noise and place.stable and place.noise_floor is not None:
        said += phrases["noise floor"].format(noise=noise, loss=place.noise_floor)
    elif noise and place.stable and not method.steady and place.left is not None:
        said += phrases["noise left"].format(noise=noise, loss=place.left)
    return phrases["slope"].format(method=method.name, said=said) if place.kind == "slope" else said


def _unstable(place: Place, phrases: Phrases) -> str:
    """Say so where a schedule ends with a row that would diverge."""
    worst = [d for d in place.directions if d.h > 0 and d.regime == "diverging"]
    return phrases["last row"].format(h=worst[-1].h) if worst else ""


def _resting(directions: Sequence[Direction], place: Place, method: Method, phrases: Phrases) -> str:
    """Say how errors shrink, or why they stay."""
    slowest = max(directions, key=lambda d: d.rate)
    if abs(slowest.rate - 1) > SAME:
        return _converging(directions, method.steady, phrases)
    if not method.steady or abs(slowest.h * place.effective_lr) < HARDLY:
        return phrases["hardly"].format(h=slowest.h)
    return phrases["on the limit"]


def _converging(directions: Sequence[Direction], steady: bool, phrases: Phrases) -> str:
    """Say how an error shrinks; under a schedule no regime holds for all steps."""
    slowest = max(directions, key=lambda d: d.rate)
    if not slowest.steps_per_ten:
        return phrases["at once"]
    alone = min(d.rate for d in directions) < slowest.rate * (1 - 1e-9)
    way = slowest.regime if steady and slowest.regime in WAYS else "converges"
    said = phrases[way].format(steps=_steps(slowest.steps_per_ten, phrases))
    return said + (phrases["set by"].format(h=slowest.h) if alone else "")


def _better(place: Place, method: Method, phrases: Phrases) -> str:
    """Say what the best settings would gain."""
    best = place.optimum
    if best is None or best.steps_per_ten is None or place.rate == 0:
        return ""
    if best.gain is not None and best.gain < 1.02:
        return phrases["best"].format(method=method.name)
    settings = ", ".join(setting(key, value) for key, value in best.settings.items())
    way = ("better" if best.steps_per_ten else "better at once") + ("" if method.steady else " constant")
    return phrases[way].format(settings=settings, steps=_steps(best.steps_per_ten, phrases))


def _diverging(place: Place, method: Method, phrases: Phrases) -> str:
    """Say along which direction it diverges, and what would hold it."""
    worst = max(place.directions, key=lambda d: d.rate)
    said = phrases["diverges"].format(h=worst.h, rate=worst.rate)
    return said + (_cure(place.limit, method, phrases) if method.steady and not place.stable else "")


def _cure(limit: Limit, method: Method, phrases: Phrases) -> str:
    """Say which lr or mu would be stable."""
    words = []
    if limit.lr is not None and 0 < limit.lr < float("inf"):
        words.append(phrases["lr"].format(limit=limit.lr, lr=text_of(method.settings["lr"])))
    if limit.mu is not None:
        low, high = limit.mu
        above = [phrases["above"].format(limit=low)] if low > 0 else []
        below = [phrases["below"].format(limit=high)] if high < 1 else []
        words.append(phrases["mu too" if words else "mu"].format(bounds=phrases["and"].join([*above, *below])))
    if not words:
        words.append(phrases["curvature"].format(limit=limit.h) if limit.h > 0 else phrases["no curvature"])
    return phrases["cure"].format(bounds=phrases["or"].join(words))


def _leaving(place: Place, phrases: Phrases) -> str:
    """Say along which directions a saddle or a maximum is left, and how fast."""
    leave = sorted((d for d in place.directions if d.rate > 1 + SAME), key=lambda d: -d.rate)
    name = phrases["point" if place.kind == "slope" else place.kind]
    if not leave:
        return phrases["nothing moves"].format(place=name)
    first, count = leave[0], len(place.directions)
    steps = _steps(first.steps_per_ten or 0.0, phrases)
    return phrases["leaves one" if count == 1 else "leaves some"].format(
        place=name, many=len(leave), count=count, h=first.h, rate=first.rate, steps=steps
    )


def _steps(number: float, phrases: Phrases) -> str:
    return phrases["few steps" if number < 1000 else "many steps"].format(number=number)
