"""How results are told: in JSON without NaN, and through the one door upward, where a notebook or a
`plot()` asks for a picture.

Results live on low floors and drawing on a high one; this file imports the drawing only when somebody asks.
"""

import importlib
import math
from typing import Any


def html(result: Any) -> str:
    """Return a result as HTML, a table and a figure."""
    room = importlib.import_module("ravine.draw.notebook")
    return str(room.html(result))


def picture(room: str, *shown: Any) -> Any:
    """Return what is shown as a Matplotlib figure, drawn by the room of that name."""
    return importlib.import_module(f"ravine.draw.{room}").draw(*shown)


def finite(number: float | None) -> float | None:
    """Return a number as JSON has it: None for what is not finite.

    >>> finite(2.0), finite(float("nan"))
    (2.0, None)
    """
    return float(number) if number is not None and math.isfinite(number) else None


def plain(value: Any) -> Any:
    """Return a setting as JSON has it: a number, a text, or a list of them."""
    if callable(value):
        return getattr(value, "__name__", None) or str(value)
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value if isinstance(value, str | bool | int | float | None) else float(value)
