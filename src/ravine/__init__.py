"""Gradient descent with momentum: see it, predict it, tune it, use it.

A momentum method is five numbers (`ravine.rules`); everything else follows from them. The public names are listed in
`__init__.pyi`, each with the room it lives in, and loaded when first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
