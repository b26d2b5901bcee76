"""Races as films: balls on the contour map, on the curve, or rolling on the terrain.

The ground is painted once; a frame restores it and draws only what moves.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ravine.draw import data
from ravine.draw.figures import on_ground, paint_ground, space
from ravine.draw.style import FONT, INK, LINES, PALETTE, figure, halo, hue, plain
from ravine.errors import DrawError, nearest
from ravine.files import aside, writable
from ravine.result import Race
from ravine.surfaces.interface import Array

SUFFIXES = ("gif", "webp", "mp4")
VIEWS = ("flat", "terrain", "curve")
LONGEST = 600  # frames, half a minute at twenty a second; a longer film shows fewer of them each second

Progress = Callable[[int, int], object]


class Stage(NamedTuple):
    """Hold a painted ground and what moves on it."""

    made: Figure
    move: Callable[[float], list[Any]]  # step (may lie between two) -> the artists to draw, bottom first


def film(
    race: Race,
    path: Path,
    view: str = "",
    arrows: bool = False,
    seconds: float = 6.0,
    fps: int = 20,
    progress: Progress | None = None,
) -> int:
    """Write a race as a film, GIF, WebP or MP4 by the suffix, and return the number of frames.

    Args:
        race: what is shown.
        path: where to; MP4 needs the program ffmpeg.
        view: `flat` (contours) or `terrain` for two coordinates, `curve` for one; without it the one that fits.
        arrows: also draw each ball's velocity and the force on it, minus the gradient (flat view).
        seconds: how long it plays.
        fps: frames a second.
        progress: called with the frames done and the frames in all.

    Raises:
        DrawError: a view that does not fit, a length that is none, or no ffmpeg. Interrupted, it writes what it has.
    """
    view = check(path, view, race.surface.dim, seconds, fps)
    stage = {"flat": _flat, "terrain": _terrain, "curve": _curve}[view](race, arrows)
    return shoot(stage, partial(np.linspace, 0, max(r.steps for r in race.runs)), path, seconds, fps, progress)


def shoot(
    stage: Stage, spread: Callable[[int], Array], path: Path, seconds: float, fps: int, progress: Progress | None
) -> int:
    """Write a film whose frames show the times that `spread` makes of their count; interrupted, of those it has."""
    count = max(2, min(round(seconds * fps), LONGEST))
    fps = max(1, round(count / seconds))  # a long film has fewer frames a second, not fewer seconds
    times = spread(count)
    frames: list[Array] = []
    try:
        for i, frame in enumerate(_frames(stage, times)):
            frames.append(frame)
            if progress:
                progress(i + 1, count)
    except KeyboardInterrupt:
        if len(frames) < 2:
            raise
    with aside(path) as file:
        _WRITERS[path.suffix.lower()](frames, file, fps)
    return len(frames)


def check(path: Path, view: str, dim: int, seconds: float, fps: int) -> str:
    """Return the view of a film that can be made, or raise `DrawError` before anything is computed."""
    fitting = {1: "curve", 2: "flat"}.get(dim)
    if fitting is None:
        raise DrawError(f"a film needs one or two coordinates, this surface has {dim}; draw the view 'loss'")
    view = view or fitting
    if view not in VIEWS:
        raise DrawError(f"no film view is called '{view}'; {nearest(view, VIEWS)}")
    if (view == "curve") != (fitting == "curve"):
        raise DrawError(f"the film view '{view}' does not fit {dim} coordinates; use '{fitting}'")
    check_file(path, seconds, fps)
    return view


def check_file(path: Path, seconds: float, fps: int) -> None:
    """Refuse a file or a length that no film can have, before anything is computed."""
    if not (0.1 <= seconds <= 600 and 1 <= fps <= 60):
        raise DrawError(f"a film lasts 0.1 to 600 seconds at 1 to 60 frames each, got {seconds} and {fps}")
    writable(path, SUFFIXES)
    if path.suffix.lower() == ".mp4" and not shutil.which("ffmpeg"):
        raise DrawError("MP4 needs the program ffmpeg, which is not installed; install it, or write .gif or .webp")


def _frames(stage: Stage, times: Array) -> Iterator[Array]:
    canvas: Any = stage.made.canvas  # Agg's own methods, which the base class does not declare
    moving = stage.move(float(times[0]))
    for artist in moving:
        artist.set_animated(True)
    canvas.draw()
    ground = canvas.copy_from_bbox(stage.made.bbox)
    for t in times:
        canvas.restore_region(ground)
        for artist in stage.move(float(t)):
            (artist.axes or stage.made).draw_artist(artist)
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def at_step(points: Array, t: float) -> tuple[Array, Array]:
    """Return the path up to step t, (k, n), and the point at t, (n,), on the straight line between two steps."""
    whole = min(int(t), len(points) - 1)
    here = points[whole] + (points[min(whole + 1, len(points) - 1)] - points[whole]) * (t - whole if t > whole else 0)
    here = points[-1] if t >= len(points) - 1 else here
    return np.vstack([points[: whole + 1], here]), here


def _flat(race: Race, arrows: bool) -> Stage:
    shown = data.scene(race)
    (x0, x1), (y0, y1) = shown.box
    equal = 0.4 <= (y1 - y0) / (x1 - x0) <= 2.5
    made = figure(5.6, min(max(5.6 * ((y1 - y0) / (x1 - x0) if equal else 0.75), 2.6), 6) + 0.9)
    made.set_dpi(110)
    ax = made.subplots()
    paint_ground(ax, data.terrain(race.surface, shown.box))
    ax.plot(*shown.minima.T, "+", color=INK, markersize=9, markeredgewidth=1.4)
    ax.set(xlim=shown.box[0], ylim=shown.box[1])
    if equal:
        ax.set_aspect("equal")
    plain(ax, *shown.axes)
    trails = shown.panels[0].trails
    style: dict[str, Any] = {"linewidth": 1.4, "path_effects": halo()}
    lines = [ax.plot([], [], "-", color=hue(t.hue), label=t.label, **style)[0] for t in trails]
    balls = [ax.plot([], [], "o", color=hue(t.hue), markeredgecolor="white", markersize=9)[0] for t in trails]
    quivers = []
    if arrows:
        style = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.007, "zorder": 8}
        quivers = [
            (ax.quiver(0, 0, 0, 0, color="#111111", **style), ax.quiver(0, 0, 0, 0, color="#B3261E", **style))
            for _ in trails
        ]
        ax.plot([], [], color="#111111", linewidth=3, label="velocity (longer is faster)")
        ax.plot([], [], color="#B3261E", linewidth=3, label="force, minus the gradient (cut where it is long)")
    counter = _counter(made, ax, shown.title)
    _legend(made, ax)
    pushes = [-race.surface.gradient(t.points) for t in trails]
    longest = 0.16 * min(x1 - x0, y1 - y0) * (2 if not equal else 1)
    scale = longest / max(_typical(p) for p in pushes)
    pace = longest / max(_typical(np.diff(t.points, axis=0)) for t in trails)

    def move(t: float) -> list[Any]:
        counter.set_text(f"step {int(t)}")
        for i, trail in enumerate(trails):
            path, here = at_step(data.drawable(trail.points), t)
            lines[i].set_data(*path.T)
            balls[i].set_data(*here[:, None])
            if arrows:
                k = min(int(t), len(trail.points) - 2) if len(trail.points) > 1 else 0
                jump = trail.points[min(k + 1, len(trail.points) - 1)] - trail.points[k]
                arrows_now = _capped(jump * pace, 1.5 * longest), _capped(pushes[i][k] * scale, longest)
                for quiver, arrow in zip(quivers[i], arrows_now, strict=True):
                    quiver.set_offsets(here)
                    quiver.set_UVC(*arrow)
        return [*lines, *(q for pair in quivers for q in pair), *balls, counter]

    return Stage(made, move)


def _typical(arrows: Array) -> float:
    lengths = np.linalg.norm(arrows, axis=1)
    return float(np.median(lengths)) or float(lengths.max(initial=0)) or 1.0 if len(lengths) else 1.0


def _capped(arrow: Array, longest: float) -> Array:
    length = float(np.linalg.norm(arrow))
    return arrow * min(1, longest / length) if length > 0 else arrow


def _terrain(race: Race, arrows: bool) -> Stage:
    shown = data.scene(race)
    made = figure(5.8, 5.2 + 0.12 * len(race.runs))
    made.set_dpi(110)
    ax = space(made, race.surface, shown.box)
    trails = shown.panels[0].trails
    style: dict[str, Any] = {"linewidth": 1.5, "path_effects": halo()}
    lines = [ax.plot([], [], [], "-", color=hue(t.hue), label=t.label, **style)[0] for t in trails]
    balls = [ax.plot([], [], [], "o", color=hue(t.hue), markeredgecolor="white", markersize=10)[0] for t in trails]
    counter = _counter(made, None, shown.title)
    _legend(made, ax)

    def move(t: float) -> list[Any]:
        counter.set_text(f"step {int(t)}")
        for i, trail in enumerate(trails):
            path, here = at_step(trail.points, t)
            lines[i].set_data_3d(*on_ground(ax, race.surface, data.between(path, 1500), shown.box).T)
            balls[i].set_data_3d(*on_ground(ax, race.surface, here[None], shown.box).T)
        return [*lines, *balls, counter]

    return Stage(made, move)


def _curve(race: Race, arrows: bool) -> Stage:
    shown = data.scene(race)
    made = figure(5.8, 4.0 + 0.12 * len(race.runs))
    made.set_dpi(110)
    ax = made.subplots()
    x = np.linspace(*shown.box[0], 801)
    heights = race.surface.value(x[:, None])
    ax.plot(x, heights, color=LINES, linewidth=1.6)
    room = 0.08 * float(np.ptp(heights[np.isfinite(heights)])) or 1.0
    ax.set(xlim=shown.box[0], ylim=(np.nanmin(heights) - room, np.nanmax(heights) + 2 * room))
    plain(ax, shown.axes[0], "value")
    trails = shown.panels[0].trails
    lines = [ax.plot([], [], "-", color=hue(t.hue), linewidth=3, alpha=0.35, label=t.label)[0] for t in trails]
    balls = [ax.plot([], [], "o", color=hue(t.hue), markeredgecolor="white", markersize=12)[0] for t in trails]
    counter = _counter(made, ax, shown.title)
    _legend(made, ax)

    def move(t: float) -> list[Any]:
        counter.set_text(f"step {int(t)}")
        for i, trail in enumerate(trails):
            path, here = at_step(np.clip(trail.points, *shown.box[0]), t)
            rolled = data.between(path, 1500)
            lines[i].set_data(rolled[:, 0], race.surface.value(rolled))
            balls[i].set_data(here, [race.surface.value(here) + 0.3 * room])
        return [*lines, *balls, counter]

    return Stage(made, move)


def _counter(made: Figure, ax: Any, title: str) -> Any:
    made.suptitle(title, fontsize=FONT + 1, color=INK)
    place: dict[str, Any] = {"fontsize": FONT + 1, "color": INK, "path_effects": halo(3), "va": "top"}
    return ax.text(0.02, 0.97, "", transform=ax.transAxes, **place) if ax else made.text(0.04, 0.93, "", **place)


def _legend(made: Figure, ax: Any) -> None:
    made.legend(
        *ax.get_legend_handles_labels(), loc="outside lower center", fontsize=FONT - 0.5, frameon=False, labelcolor=INK
    )


# Files -----------------------------------------------------------------------------------------------------------


def _gif(frames: list[Array], file: Path, fps: int) -> None:
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    # One palette for all frames: no flicker, and half the size. Swatches make sure that no thin line loses its colour.
    swatches = np.repeat(np.array([to_rgb(c) for c in PALETTE]) * 255, 400, axis=0).astype(np.uint8)
    sample = np.concatenate([frames[-1].reshape(-1, 3), swatches])
    palette = Image.fromarray(sample[None]).quantize(256, dither=Image.Dither.NONE)
    flat = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    flat[0].save(file, format="GIF", save_all=True, append_images=flat[1:], duration=_pauses(frames, fps), loop=0)


def _webp(frames: list[Array], file: Path, fps: int) -> None:
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames]
    pauses = _pauses(frames, fps)
    images[0].save(
        file, format="WEBP", save_all=True, append_images=images[1:], duration=pauses, loop=0, quality=80, method=3
    )


def _pauses(frames: list[Array], fps: int) -> list[int]:
    """Return milliseconds a frame; the last stays for a while before the film begins again."""
    return [round(1000 / fps)] * (len(frames) - 1) + [1500]


def _mp4(frames: list[Array], file: Path, fps: int) -> None:
    height, width = (side - side % 2 for side in frames[0].shape[:2])  # the codec wants even sides
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    command += ["-r", str(fps), "-i", "-", "-an", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-f", "mp4", str(file)]
    raw = b"".join(frame[:height, :width].tobytes() for frame in frames)
    done = subprocess.run(command, input=raw, capture_output=True, check=False)
    if done.returncode:
        raise DrawError(
            f"ffmpeg failed: {done.stderr.decode(errors='replace').strip()[:200]}; write .gif or .webp instead"
        )


_WRITERS = {".gif": _gif, ".webp": _webp, ".mp4": _mp4}
