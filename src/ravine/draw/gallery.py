"""Everything the blog post shows or claims, drawn and measured again, with a page that puts both side by side.

Each exhibit is a function from a folder to what it drew there and what it found.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ravine.algebra import effective_lr
from ravine.draw import exhibits, figures
from ravine.draw.data import number
from ravine.draw.film import film
from ravine.files import aside
from ravine.race import race
from ravine.rules import RULES

START, STEPS = (180, 90), 100  # the blog post's, on its bowl x² + 50y²


class Claim(NamedTuple):
    """Hold one claim: what is said, the figure that goes with it, the figure measured, and whether it holds."""

    said: str
    claimed: str
    measured: str
    holds: bool


class Exhibit(NamedTuple):
    """Hold one piece of the gallery."""

    title: str
    pictures: tuple[str, ...]
    text: str
    claims: tuple[Claim, ...]


def _golden(said: str, value: float, method: str) -> Claim:
    """Compare a final value on the bowl with the figure it must have."""
    found = race("bowl", method, START, STEPS, tol=0).runs[0].value
    return Claim(said, f"{value:.9g}", f"{found:.9g}", abs(found - value) <= 1e-8 * abs(value))


def first_figure(folder: Path) -> Exhibit:
    """Gradient descent against momentum, at both learning rates."""
    methods = ["sgd:lr=0.001", "classical:lr=0.001,mu=0.5", "sgd:lr=0.01", "classical:lr=0.01,mu=0.5"]
    shown = race("bowl", methods, START, STEPS, tol=0)
    figures.save(figures.draw(shown, panels="lr"), folder / "figure1.png")
    ends = [run.value for run in shown.runs]
    return Exhibit(
        "Figure 1: gradient descent and momentum",
        ("figure1.png",),
        "From (180, 90), 100 steps on x² + 50y². Momentum 0.5 gets farther at both learning rates.",
        (
            _golden("height after gradient descent, lr = 0.001", 21709.672570836, methods[0]),
            _golden("height after momentum 0.5, lr = 0.001", 14606.239337120, methods[1]),
            _golden("height after gradient descent, lr = 0.01", 569.849470022, methods[2]),
            _golden("height after momentum 0.5, lr = 0.01", 6.94764782, methods[3]),
            Claim("momentum ends lower than gradient descent", "at both learning rates",
                  f"{number(ends[1])} < {number(ends[0])}, {number(ends[3])} < {number(ends[2])}",
                  ends[1] < ends[0] and ends[3] < ends[2]),
        ),
    )  # fmt: skip


def _three_mus(folder: Path, lr: float, name: str, heights: Sequence[float]) -> Exhibit:
    methods = [f"classical:lr={lr},mu={mu}" for mu in (0.1, 0.5, 0.9)]
    shown = race("bowl", methods, START, STEPS, tol=0)
    figures.save(figures.draw(shown, panels="mu"), folder / f"{name.lower().replace(' ', '')}.png")
    ends, turns = [run.value for run in shown.runs], [sum(run.turns) for run in shown.runs]
    return Exhibit(
        f"{name}: three momentum factors at lr = {lr:g}",
        (f"{name.lower().replace(' ', '')}.png",),
        "A larger momentum factor converges faster and swings more.",
        (
            *(_golden(f"height with mu = {mu}", height, method)
              for mu, height, method in zip((0.1, 0.5, 0.9), heights, methods, strict=True)),
            Claim("a larger mu converges faster", "heights fall with mu", " > ".join(map(number, ends)),
                  ends[0] > ends[1] > ends[2]),
            Claim("a larger mu swings more", "turns rise with mu", " < ".join(map(str, turns)),
                  turns[0] < turns[1] < turns[2]),
        ),
    )  # fmt: skip


def second_figure(folder: Path) -> Exhibit:
    """Three momentum factors at the small learning rate."""
    return _three_mus(folder, 0.001, "Figure 2", (20771.990587741, 14606.239337120, 343.938243129))


def third_figure(folder: Path) -> Exhibit:
    """Three momentum factors at the large learning rate."""
    return _three_mus(folder, 0.01, "Figure 3", (359.604085191, 6.94764782, 1.317375990))


def ramp(folder: Path) -> Exhibit:
    """A momentum that rises from 0.5 to 0.99 against constant ones."""
    methods = ["classical:lr=0.01,mu=0.9", "classical:lr=0.01,mu=0.99", "classical:lr=0.01,mu=ramp(0.5,0.99,0.01)"]
    shown = race("bowl", methods, START, STEPS, tol=0)
    figures.save(figures.draw(shown, panels="mu"), folder / "ramp.png")
    figures.save(figures.draw(shown, view="loss"), folder / "ramp-loss.png")
    over = [-float(run.positions[:, 1].min()) for run in shown.runs]
    paths = [run.path_length for run in shown.runs]
    return Exhibit(
        "The ramp: start with little momentum",
        ("ramp.png", "ramp-loss.png"),
        "mu = min(0.5 + 0.01·t, 0.99). The first swings, the largest, are those of mu = 0.5. On this bowl a constant 0.9 "
        "still ends lower after 100 steps: the ramp tames swings, it is not a better optimum.",
        (
            _golden("height after the ramp, lr = 0.01", 21.279156828, methods[2]),
            _golden("height after the ramp, lr = 0.001", 8221.376085379, methods[2].replace("0.01,mu", "0.001,mu")),
            Claim("the ramp overshoots the valley less than constant momentum", "less than 0.9 and 0.99",
                  f"{over[2]:.1f} < {over[0]:.1f}, {over[1]:.1f}", over[2] < min(over[:2])),
            Claim("its path is shorter", "less than 0.9 and 0.99",
                  f"{paths[2]:.0f} < {paths[0]:.0f}, {paths[1]:.0f}", paths[2] < min(paths[:2])),
        ),
    )  # fmt: skip


def forms(folder: Path) -> Exhibit:
    """Torch's heavy ball against classical momentum: the same path until the learning rate changes."""
    fixed = race("bowl", ["classical:lr=0.01,mu=0.9", "heavyball:lr=0.01,mu=0.9"], START, STEPS, tol=0).runs
    dropped = race(
        "bowl", [f"{rule}:lr=step(0.01,0.1,30),mu=0.9" for rule in ("classical", "heavyball")], START, STEPS, tol=0
    )
    figures.save(figures.draw(dropped, panels="rule"), folder / "forms.png")
    apart = [np.linalg.norm(a.positions - b.positions, axis=1) for a, b in (fixed, dropped.runs)]
    same, first = float(apart[0].max()), int((apart[1] > 1e-9).argmax())
    return Exhibit(
        "Heavy ball and classical momentum",
        ("forms.png",),
        "torch keeps lr outside of its buffer, the paper inside. At a constant lr nothing differs. Here lr falls to a tenth "
        "at step 30 and again at 60 and 90: torch's ball slows down at once, the paper's rolls on.",
        (
            Claim("the same effect at constant lr", "distance 0", f"{same:.1e}", same < 1e-9),
            _golden("height after heavy ball, lr = 0.01, mu = 0.9", 1.317375990, "heavyball:lr=0.01,mu=0.9"),
            Claim("they part when lr drops, not before", "after step 30", f"first at step {first}, then "
                  f"{float(apart[1].max()):.1f} apart", first == 31),
        ),
    )  # fmt: skip


def acceleration(folder: Path) -> Exhibit:
    """The geometric series under a constant gradient."""
    shown = exhibits.gains(steps=2000)
    figures.save(exhibits.draw_gains(shown), folder / "acceleration.png")
    worst = float(abs(shown.ratios / shown.sums - 1).max())
    claims = [
        Claim(
            f"acceleration with mu = {mu:g}", f"{round(1 / (1 - mu))}", f"{last:.6f}", abs(last * (1 - mu) - 1) < 1e-6
        )
        for mu, last in zip(shown.mus, shown.ratios[:, -1], strict=True)
    ]
    predicted = [float(effective_lr(RULES["classical"].row(lr=1.0, mu=mu))) for mu in shown.mus]
    return Exhibit(
        "Acceleration: 2, 10 and 100",
        ("acceleration.png",),
        "On a slope with the same gradient everywhere each step is the sum 1 + mu + mu² + … of gradient descent's.",
        (
            *claims,
            Claim("every step is the partial sum of the series", "ratio 1", f"off by {worst:.0e} at most", worst < 1e-9),
            Claim("the effective lr of the algebra", "2, 10, 100", ", ".join(f"{p:.6g}" for p in predicted),
                  bool(np.allclose(predicted, (2, 10, 100), rtol=1e-12))),
        ),
    )  # fmt: skip


def escape(folder: Path) -> Exhibit:
    """A local minimum that gradient descent stays in and momentum leaves."""
    shown = race("washboard", ["sgd:lr=0.02", "classical:lr=0.02,mu=0.95"], (5.2,), 600)
    figures.save(figures.draw(shown), folder / "escape.png")
    film(
        race("washboard", ["sgd:lr=0.02", "classical:lr=0.02,mu=0.95"], (5.2,), 160), folder / "escape.webp", seconds=7
    )
    stays, leaves = (float(run.final[0]) for run in shown.runs)
    return Exhibit(
        "Escape from a local minimum",
        ("escape.png", "escape.webp"),
        "0.1x² + 1 − cos 3x has a row of hollows. Both start at 5.2 with the same learning rate.",
        (
            Claim(
                "gradient descent stays in the hollow it meets",
                "x = 4.0966",
                f"{stays:.4f}",
                abs(stays - 4.096584) < 1e-4,
            ),
            Claim("momentum may leave it (here for the lowest)", "x = 0", f"{leaves:.4f}", abs(leaves) < 1e-4),
        ),
    )


def physics(folder: Path) -> Exhibit:
    """The physical view: a force changes a velocity, a velocity changes a place."""
    shown = race("bowl", ["classical:lr=0.002,mu=0.9"], START, STEPS, tol=0)
    film(shown, folder / "physics.webp", arrows=True, seconds=10)
    film(
        race("bowl", ["sgd:lr=0.01", "classical:lr=0.01,mu=0.9"], START, STEPS, tol=0),
        folder / "terrain.webp",
        "terrain",
    )
    run = shown.runs[0]
    force, velocity = -run.surface.gradient(run.positions[:-1]), run.velocities
    along = (force * velocity[:-1]).sum(axis=1) > 0
    faster = np.linalg.norm(velocity[1:], axis=1) > 0.9 * np.linalg.norm(velocity[:-1], axis=1)
    against = int((~along[1:]).sum())
    kept = int(((velocity[2:] * velocity[1:-1]).sum(axis=1) > 0)[~along[1:]].sum())
    return Exhibit(
        "The physical view",
        ("physics.webp", "terrain.webp"),
        "Height is the loss, minus the gradient a force on a ball. The force changes the velocity, not the place.",
        (
            Claim("a force along the velocity speeds it up (beyond friction)", "at every such step",
                  f"{int(faster[1:][along[1:]].sum())} of {int(along[1:].sum())}", bool(faster[1:][along[1:]].all())),
            Claim("a force against the velocity cannot turn it at once", "most such steps keep their direction",
                  f"{kept} of {against}", kept > against / 2),
        ),
    )  # fmt: skip


def noise(folder: Path) -> Exhibit:
    """Mini-batch noise and swings against mu."""
    shown = exhibits.swings()
    noisy = race(
        "bowl", [f"classical:lr=0.001,mu={mu}" for mu in (0.0, 0.9, 0.99)], START, 200, tol=0, noise=300, seed=1
    )
    figures.save(exhibits.draw_swings(shown, noisy), folder / "noise.png")
    return Exhibit(
        "Mini-batch noise",
        ("noise.png",),
        "The gradient of a mini-batch does not fit the whole data set: here each coordinate has noise of standard deviation "
        "300, averaged over 64 seeds. Noise makes every run turn; a large mu turns seldom but far.",
        (
            Claim("noise makes a run swing that does not by itself (mu = 0)", "0 turns without",
                  f"{shown.quiet[0]:.0f} without, {shown.noisy[0]:.1f} with", bool(shown.quiet[0] == 0 < shown.noisy[0])),
            Claim("more momentum, more of the noise stays", "spread rises with mu",
                  f"{shown.spread[0]:.2f} at mu = 0, {shown.spread[6]:.2f} at 0.9", bool(shown.spread[6] > shown.spread[0])),
        ),
    )  # fmt: skip


def oblong(folder: Path) -> Exhibit:
    """Sutskever's figure 2: classical momentum swings where Nesterov's does not."""
    methods = ["sgd:lr=0.005", "classical:lr=0.005,mu=0.9", "nag:lr=0.005,mu=0.9"]
    shown = race("bowl", methods, START, STEPS, tol=0)
    figures.save(figures.draw(shown, panels="rule"), folder / "oblong.png")
    across = [float(abs(np.diff(run.positions[:, 1])).sum()) for run in shown.runs]
    return Exhibit(
        "Sutskever's figure 2: the same lr and mu",
        ("oblong.png",),
        "Along a direction of curvature h Nesterov's gradient acts like classical momentum with mu·(1 − lr·h).",
        (
            Claim("classical momentum swings where Nesterov's does not", "moves farther across the ravine",
                  f"{across[1]:.0f} against {across[2]:.0f}", across[1] > 2 * across[2]),
            Claim("and ends higher", "", f"{number(shown.runs[1].value)} against {number(shown.runs[2].value)}",
                  shown.runs[1].value > shown.runs[2].value),
        ),
    )  # fmt: skip


EXHIBITS: tuple[Callable[[Path], Exhibit], ...] = (
    first_figure, second_figure, third_figure, ramp, forms, acceleration, escape, physics, noise, oblong,
)  # fmt: skip


def gallery(folder: Path, progress: Callable[[int, int], object] | None = None) -> list[Exhibit]:
    """Draw every exhibit into a folder, write README.md beside them, and return what was found.

    Example:
        >>> [function.__name__ for function in EXHIBITS][:3]
        ['first_figure', 'second_figure', 'third_figure']
    """
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for i, draw in enumerate(EXHIBITS):
        shown.append(draw(folder))
        if progress:
            progress(i + 1, len(EXHIBITS))
    with aside(folder / "README.md") as file:
        file.write_text(page(shown), encoding="utf-8")
    return shown


def page(shown: Sequence[Exhibit]) -> str:
    """Write the gallery's page in Markdown."""
    claims = [claim for exhibit in shown for claim in exhibit.claims]
    lines = ["# Gallery: what was claimed, what was measured", "",
             "Made by `ravine gallery DIR`. Every picture and every figure below is computed when the command runs; "
             f"{sum(c.holds for c in claims)} of {len(claims)} claims hold.", ""]  # fmt: skip
    for exhibit in shown:
        lines += [f"## {exhibit.title}", "", exhibit.text, ""]
        lines += [f"![{exhibit.title}]({picture})" for picture in exhibit.pictures]
        lines += ["", "| claim | claimed | measured | holds |", "|---|---|---|---|"]
        lines += [
            f"| {c.said} | {c.claimed} | {c.measured} | {'yes' if c.holds else '**no**'} |" for c in exhibit.claims
        ]
        lines += [""]
    return "\n".join(lines)
