"""Several maps on one sheet in the same colours, and a map as a film that fills as the steps go by."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ravine.cells import NOT_WALKED, NOT_YET
from ravine.draw.film import Progress, Stage, check_file, shoot
from ravine.draw.mapdata import MapPicture, Region, number_of, picture, rule_of, scale_of, title_of
from ravine.draw.maps import colour_bar, legend, map_axes, meaning, paint_cells, paint_theory, painted
from ravine.draw.picks import settings_of
from ravine.draw.style import FONT, INK, figure, halo, plain
from ravine.errors import DrawError
from ravine.phasemap import PhaseMap
from ravine.surfaces.interface import Array

MOST = 9  # maps on a sheet
GENERAL = {
    "boundary": "stability boundary",
    "slow": "critical damping at the least curvature",
    "fast": "critical damping at the largest curvature",
}
MARKED = {"optimum": "optimum of theory", "best": "best cell", "fewest": "fewest steps"}


def pictures(maps: Sequence[PhaseMap]) -> tuple[MapPicture, ...]:
    """Return the pictures of several maps, in the same colours.

    Raises `DrawError` for none, for too many, or for maps that do not show the same.
    """
    if not 1 <= len(maps) <= MOST:
        raise DrawError(f"a sheet has 1 to {MOST} maps, got {len(maps)}")
    shows = list(dict.fromkeys(found.show for found in maps))
    if len(shows) > 1:
        raise DrawError(f"the maps of a sheet share one colour scale, got {' and '.join(shows)}; show the same in all")
    colours = scale_of(maps)
    return tuple(picture(found, colours, picks=False) for found in maps)


def sheet(maps: Sequence[PhaseMap]) -> Figure:
    """Draw several maps side by side, with one colour scale.

    Args:
        maps: 1 to 9 that show the same, as `phase_maps` makes them.

    Returns:
        A Matplotlib `Figure`; `ravine.draw.save` writes it.

    Raises:
        DrawError: for maps that do not fit on one sheet.

    Example:
        >>> from ravine import phase_maps
        >>> len(sheet(phase_maps(["heavyball", "nag"], "x^2 + 50y^2", size=20, show="predicted")).axes)
        3
    """
    shown = pictures(maps)
    across = len(shown) if len(shown) <= 3 else {4: 2, 7: 4, 8: 4}.get(len(shown), 3)
    down = math.ceil(len(shown) / across)
    made = figure(3.5 * across + 1.2, 3.1 * down + 1.1)
    same = [all(each[i] == shown[0][i] for each in shown) for i in (1, 2)]  # x and y
    axes = made.subplots(down, across, squeeze=False, sharex=same[0], sharey=same[1]).ravel()
    for i, (ax, one, found) in enumerate(zip(axes[: len(shown)], shown, maps, strict=True)):
        map_axes(ax, one, _caption(found, maps))
        ax.title.set_fontsize(FONT)
        # An axis that all share is named once, at the edge; the last of a column stands above an empty place.
        edge = i + across >= len(shown), i % across == 0
        plain(
            ax, _name(one.x.name) if edge[0] or not same[0] else "", _name(one.y.name) if edge[1] or not same[1] else ""
        )
        ax.tick_params(labelbottom=edge[0] or not same[0], labelleft=edge[1] or not same[1])
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    if shown[0].colours:
        colour_bar(made, list(axes), shown[0].colours)
    made.suptitle(_title(maps), fontsize=FONT + 2, color=INK)
    legend(made, _common(shown), across)
    return made


def _name(setting: str) -> str:
    """Write what a setting means in the few words that fit under a small map."""
    return meaning(setting).split(",")[0]


def _caption(found: PhaseMap, maps: Sequence[PhaseMap]) -> str:
    """Write a panel's title: the rule, and its best cell."""
    where = "" if len({each.surface.name for each in maps}) == 1 else f" on {found.surface.name}"
    if found.best is None:
        return (
            f"{rule_of(found)}{where}\n{'no cell reached the target' if found.show == 'steps' else 'no cell is stable'}"
        )
    return f"{rule_of(found)}{where}\n{settings_of(found, found.best.settings)}: {number_of(found, found.best)}"


def _title(maps: Sequence[PhaseMap]) -> str:
    titles = {title_of(found, rule=False) for found in maps}
    return titles.pop() if len(titles) == 1 else f"{len(maps)} maps"


def _common(shown: Sequence[MapPicture]) -> MapPicture:
    """Return a picture that has every kind of region, line and mark of several once, for their legend."""
    regions = {r.outcome: r._replace(share=math.nan) for one in shown for r in one.regions}
    lines = {line.kind: line for one in shown for line in one.lines}
    for kind, line in lines.items():
        if any(other.label != line.label for one in shown for other in one.lines if other.kind == kind):
            lines[kind] = line._replace(label=GENERAL[kind])
    marks = {mark.kind: mark._replace(label=MARKED[mark.kind]) for one in shown for mark in one.marks}
    return shown[0]._replace(regions=tuple(regions.values()), lines=tuple(lines.values()), marks=tuple(marks.values()))


# The film --------------------------------------------------------------------------------------------------------


def film(found: PhaseMap, path: Path, seconds: float = 6.0, fps: int = 20, progress: Progress | None = None) -> int:
    """Write a map as a film in which cells take their colour at the step at which they are over.

    Args:
        found: a map of the steps to a target.
        path: where to, GIF, WebP or MP4 by the suffix; MP4 needs the program ffmpeg.
        seconds: how long it plays.
        fps: frames a second.
        progress: called with the frames done and the frames in all.

    Returns:
        The number of frames.

    Raises:
        DrawError: a map of something else, a length that is none, or no ffmpeg. Interrupted, it writes what it has.
    """
    if found.show != "steps":
        raise DrawError(f"a film of a map shows the steps to the target, this map shows '{found.show}'; make it with "
                        "show='steps', or draw a figure")  # fmt: skip
    check_file(path, seconds, fps)
    return shoot(_stage(found), partial(times, found), path, seconds, fps, progress)


def times(found: PhaseMap, count: int) -> Array:
    """Return the steps of the frames, spread evenly in their logarithm from shortly before the first cell is over."""
    over = found.stopped[_ended(found)]
    first = max(1.0, 0.5 * float(over.min())) if over.size else 1.0
    made: Array = np.geomspace(min(first, found.steps), found.steps, count)
    made[-1] = found.steps  # which rounding may have missed
    return made


def at_step(found: PhaseMap, shown: MapPicture, t: float) -> MapPicture:
    """Return the picture of a map after t steps: what is over by then, the rest still under way."""
    over = _ended(found) & (found.stopped <= t)
    waiting = np.where(found.outcome == NOT_WALKED, NOT_WALKED, NOT_YET)
    return shown._replace(shown=np.where(over, shown.shown, np.nan), kinds=np.where(over, shown.kinds, waiting))


def _ended(found: PhaseMap) -> Array:
    ended: Array = (found.outcome != NOT_YET) & (found.outcome != NOT_WALKED)
    return ended


def _stage(found: PhaseMap) -> Stage:
    """Paint what stays, and return it with what moves: the cells, and all that lies over them."""
    shown = picture(found, picks=False)
    made = figure(6.4, 6.0)
    made.set_dpi(110)
    ax = made.subplots()
    image = paint_cells(ax, shown)
    over = paint_theory(ax, shown)
    plain(ax, meaning(shown.x.name), meaning(shown.y.name))
    if shown.colours:
        colour_bar(made, [ax], shown.colours)
    made.suptitle(shown.title, fontsize=FONT + 1, color=INK)
    waiting = Region(NOT_YET, "still under way", math.nan)
    lost = tuple(r._replace(share=math.nan) for r in shown.regions if r.outcome != NOT_YET)
    legend(made, shown._replace(regions=(waiting, *lost)), 2)
    counter = ax.text(0.985, 0.02, "", transform=ax.transAxes, ha="right", va="bottom", fontsize=FONT + 3, color=INK,
                      path_effects=halo(3), zorder=8)  # fmt: skip

    def move(t: float) -> list[Any]:
        counter.set_text(f"step {int(t)}")
        now = at_step(found, shown, t)
        image.set_data(painted(now.shown, now.kinds, now.colours))
        return [image, *over, ax.spines["left"], ax.spines["bottom"], counter]

    return Stage(made, move)
