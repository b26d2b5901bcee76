"""Pictures: figures and films of races. Matplotlib is imported when the first one is asked for."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        "data",
        "directions",
        "figures",
        "film",
        "gallery",
        "mapdata",
        "maps",
        "notebook",
        "picks",
        "predictions",
        "sheets",
        "spectra",
        "sweepdata",
        "sweeppage",
        "sweeps",
        "theory",
    ],
    {"figures": ["draw", "save"]},
)
