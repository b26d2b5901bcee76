"""Steps that must do nothing: without gradients, and overflown under a gradient scaler, the first one too."""

from collections.abc import Mapping, Sequence

from ravine.errors import ProbeError
from ravine.probing.machines import NOTHING, OVERFLOW, Event, Machine
from ravine.probing.series import apart, drawn, events, extent, start

STEPS = 6
PLACES: dict[str, Sequence[int]] = {"first": (0,), "middle": (3,), "every second": range(STEPS)}

WORDS = {"first": "at the first step", "middle": "in the middle", "every second": "at every second step"}


def skips(machine: Machine, unit: float, tolerance: float) -> dict[str, bool | None]:
    """Return, for each kind of skipped step, whether the run went on as if it had not been; None where it raised."""
    gradients = events(unit * drawn(STEPS, seed=1951))
    found: dict[str, bool | None] = {}
    for kind, event, able, scaled in (
        ("without gradients", NOTHING, machine.skips, False),
        ("overflow", OVERFLOW, machine.scales, True),
    ):
        for place, steps in PLACES.items() if able else ():
            found[f"{kind}, {place}"] = _harmless(machine, gradients, event, steps, scaled, tolerance)
    return found


def _harmless(
    machine: Machine, gradients: list[Event], event: Event, steps: Sequence[int], scaled: bool, tolerance: float
) -> bool | None:
    said: list[Event] = []
    for t, gradient in enumerate(gradients):
        said += [event, gradient] if t in steps else [gradient]
    try:
        plain, skipped = machine.run(start(), gradients), machine.run(start(), said, scaled)
    except ProbeError:
        return None
    taken = [i + 1 for i, e in enumerate(said) if e is not event]
    return apart(skipped[[0, *taken]], plain, extent(plain)) <= tolerance


def harmless(found: dict[str, bool | None]) -> bool | None:
    """Return whether no skipped step did anything, None where none could be tried."""
    tried = [ok for ok in found.values() if ok is not None]
    return all(tried) if tried else None


def sentence(found: Mapping[str, bool | None], value: bool | None) -> str:
    """Name the kinds of skipped steps that went so, in few words."""
    said = []
    for kind in dict.fromkeys(key.partition(", ")[0] for key in found):
        places = [WORDS[place] for place in PLACES if found.get(f"{kind}, {place}", "") is value]
        if places:
            said.append(f"{kind} {' and '.join(places) if len(places) < len(PLACES) else 'anywhere'}")
    return ", ".join(said)
