"""Runs to begin with: the blog post's figures where the surface is its bowl, the same questions elsewhere."""

from typing import Any

import numpy as np

from ravine.schedules import Schedule, ramp
from ravine.surfaces.interface import Surface

RAMP = ramp(0.5, 0.99, 0.01)


def presets(surface: Surface, start: tuple[float, ...], lr: float) -> list[dict[str, Any]]:
    """Return the presets of a page: a key for its title, its runs, its start and its steps.

    >>> from ravine.surfaces import surface
    >>> [preset["key"] for preset in presets(surface("bowl"), (180.0, 90.0), 0.01)][:2]
    ['figure1_small', 'figure1_large']
    """
    blog = is_the_bowl(surface)
    here = start if not blog else (180.0, 90.0)
    if not blog:
        return [
            _preset("compare", here, _sgd(lr), _classical(lr, 0.9), _run("nag", lr=lr, mu=0.9)),
            _preset("momenta", here, *(_classical(lr, mu) for mu in (0.1, 0.5, 0.9))),
            _preset("ramp", here, _sgd(lr), _classical(lr, 0.9), _classical(lr, RAMP)),
        ]
    return [
        _preset("figure1_small", here, _sgd(1e-3), _classical(1e-3, 0.5)),
        _preset("figure1_large", here, _sgd(1e-2), _classical(1e-2, 0.5)),
        _preset("figure2", here, *(_classical(1e-3, mu) for mu in (0.1, 0.5, 0.9))),
        _preset("figure3", here, *(_classical(1e-2, mu) for mu in (0.1, 0.5, 0.9))),
        _preset("ramp", here, _classical(1e-2, 0.9), _classical(1e-2, RAMP)),
        _preset("forms", here, _classical(1e-2, 0.9), _run("heavyball", lr=1e-2, mu=0.9)),
    ]


def is_the_bowl(surface: Surface) -> bool:
    """Say whether a surface is the blog post's height, x² + 50y², however it was written."""
    if surface.dim != 2 or not surface.quadratic:
        return False
    origin = np.zeros(2)
    return bool(
        surface.value(origin) == 0
        and not surface.gradient(origin).any()
        and (surface.hessian(origin) == np.diag([2.0, 100.0])).all()
    )


def _preset(key: str, start: tuple[float, ...], *runs: dict[str, Any]) -> dict[str, Any]:
    return {"key": key, "runs": list(runs), "start": list(start), "steps": 100}


def _sgd(lr: float) -> dict[str, Any]:
    return _run("sgd", lr=lr)


def _classical(lr: float, mu: float | Schedule) -> dict[str, Any]:
    return _run("classical", lr=lr, mu=mu)


def _run(rule: str, **settings: float | Schedule) -> dict[str, Any]:
    return {"rule": rule, "settings": {name: plain(value) for name, value in settings.items()}, "shown": True}


def plain(value: Any) -> Any:
    """Return a setting as a page has it: a number, or a schedule as a list of its name and its numbers.

    >>> plain(RAMP)
    ['ramp', 0.5, 0.99, 0.01]
    """
    return [value.name, *map(plain, value.args)] if isinstance(value, Schedule) else float(value)
