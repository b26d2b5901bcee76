"""The one door upward: a result that a notebook shows asks for its table and picture here.

Results live on low floors and drawing on a high one; this file imports the drawing only when a notebook asks.
"""

import importlib
from typing import Any


def html(result: Any) -> str:
    """Return a result as HTML, a table and a figure."""
    room = importlib.import_module("ravine.draw.notebook")
    return str(room.html(result))
