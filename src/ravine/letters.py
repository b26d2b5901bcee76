"""The tables of rules and schedules as text: formulas for terminal and docs, traced from the rows."""

from dataclasses import dataclass
from fractions import Fraction

from ravine.rules import RULES, Row, Rule
from ravine.schedules import SCHEDULES, text_of

SUM, MINUS, PRODUCT, ATOM = 1, 2, 3, 4  # how strongly a formula holds together, so what must be bracketed where


@dataclass(frozen=True, slots=True)
class Letter:
    """Hold a formula as text; arithmetic on letters writes the formula it would compute."""

    text: str
    strength: int = ATOM

    def within(self, strength: int) -> str:
        """Write the formula inside one that holds this strongly."""
        return self.text if self.strength >= strength else f"({self.text})"

    def __neg__(self) -> "Letter":
        return Letter("-" + self.within(PRODUCT), MINUS)

    def __add__(self, other: object) -> "Letter":
        return Letter(f"{self.text}+{_letter(other).within(PRODUCT)}", SUM)

    def __radd__(self, other: object) -> "Letter":
        return _letter(other) + self

    def __sub__(self, other: object) -> "Letter":
        return Letter(f"{self.text}-{_letter(other).within(PRODUCT)}", SUM)

    def __rsub__(self, other: object) -> "Letter":
        return _letter(other) - self

    def __mul__(self, other: object) -> "Letter":
        return Letter(
            f"{self.within(MINUS)}·{_letter(other).within(ATOM)}", PRODUCT if self.strength != MINUS else MINUS
        )

    def __rmul__(self, other: object) -> "Letter":
        return _letter(other) * self

    def __truediv__(self, other: object) -> "Letter":
        return Letter(
            f"{self.within(MINUS)}/{_letter(other).within(ATOM)}", PRODUCT if self.strength != MINUS else MINUS
        )

    def __pow__(self, power: object) -> "Letter":
        if power == Fraction(1, 2):
            return Letter("√" + self.within(ATOM), PRODUCT)
        return Letter(f"{self.within(ATOM)}²" if power == 2 else f"{self.within(ATOM)}^{_letter(power).within(ATOM)}")


def _letter(value: object) -> Letter:
    if isinstance(value, Letter):
        return value
    text = text_of(value)
    return Letter(text, MINUS if text.startswith("-") else PRODUCT if "/" in text else ATOM)


def formulas(rule: Rule) -> Row:
    """Write the row of a rule as text in its settings' letters.

    >>> formulas(RULES["nesterov"])
    Row(keep='mu', take='1', move='-lr·mu', kick='-lr', look='0')
    """
    return Row(*(_letter(cell).text for cell in rule.row(**{k: Letter(k) for k in rule.parameters})))


def rules_markdown() -> str:
    """Write the table of rules as Markdown, as it stands in docs/rules.md."""
    lines = ["| rule | settings | keep | take | move | kick | look | what it is | source |", "|" + "---|" * 9]
    for rule in RULES.values():
        cells = [f"`{rule.name}`", ", ".join(rule.parameters), *formulas(rule), rule.title, rule.source]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def schedules_markdown() -> str:
    """Write the table of schedules as Markdown, as it stands in docs/rules.md."""
    lines = ["| schedule | where it comes from |", "|---|---|"]
    lines += [f"| `{kind.usage}` | {kind.source} |" for kind in SCHEDULES.values()]
    return "\n".join(lines)
