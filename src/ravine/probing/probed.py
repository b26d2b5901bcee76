"""What a probe found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ravine.algebra import Response
from ravine.probing.identify import Decay
from ravine.probing.report import report
from ravine.rules import Method, Row


class Finding(NamedTuple):
    """Hold one thing that was seen: its code, the sentence, and whether it is a mistake."""

    code: str
    sentence: str
    fault: bool


@dataclass(frozen=True)
class Probed:
    """Hold what a probe found; `str` is the report, `summary` its data.

    `response`, `row` and `rules` are None or empty where the kind has no such numbers. `rules` are those that did the
    same also when settings were changed, the plainest first; `alike` those that are the same until a setting changes.
    """

    name: str
    kind: str  # a key of report.KINDS
    how: str  # by what that was seen
    response: Response | None = None
    rules: tuple[Method, ...] = ()
    alike: tuple[Method, ...] = ()
    order: int | None = None  # buffers
    ascends: bool = False  # it moves along the gradient; the numbers are those of the opposite gradient
    first_step: str = ""  # like the others, undampened, …; empty where it is not known
    weight_decay: Decay | None = None
    decay_by_lr: bool | None = None  # decoupled decay is multiplied by lr
    lr_inside: bool | None = None  # the velocity holds lr
    momentum_acts: bool | None = None
    skip_harmless: bool | None = None
    skipped: Mapping[str, bool | None] = field(default_factory=dict)
    varied: tuple[str, ...] = ()  # settings that were changed in the middle
    findings: tuple[Finding, ...] = ()
    misfit: float = 0.0  # of the movement: what the numbers leave unexplained
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def linear(self) -> bool:
        """Say whether it answers a sum of gradients with the sum of its answers."""
        return self.kind not in ("nonlinear", "random")

    @property
    def rule(self) -> Method | None:
        """Return the plainest rule of the table that does the same, with the settings that were recovered."""
        return (self.rules or self.alike or (None,))[0]

    @property
    def row(self) -> Row | None:
        """Return the five numbers of that rule."""
        return None if self.rule is None else Row(*map(float, self.rule.row()))

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Return the findings that are mistakes."""
        return tuple(found for found in self.findings if found.fault)

    def summary(self) -> dict[str, Any]:
        """Return what `ravine probe --json` prints."""
        decay = self.weight_decay
        return {
            "name": self.name,
            "kind": self.kind,
            "linear": self.linear,
            "how": self.how,
            "response": None if self.response is None else self.response._asdict(),
            "row": None if self.row is None else self.row._asdict(),
            "rules": [str(method) for method in self.rules],
            "alike": [str(method) for method in self.alike],
            "buffers": self.order,
            "ascends": self.ascends,
            "first_step": self.first_step or None,
            "weight_decay": None if decay is None else {**decay._asdict(), "times_lr": self.decay_by_lr},
            "lr_inside": self.lr_inside,
            "momentum_acts": self.momentum_acts,
            "skip_harmless": self.skip_harmless,
            "skipped": dict(self.skipped),
            "varied": list(self.varied),
            "findings": [found._asdict() for found in self.findings],
            "misfit": self.misfit,
        }

    def __str__(self) -> str:
        return report(self)
