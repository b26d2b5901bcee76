"""The evidence of a recommendation: the map of trials, the curves of winner and usual settings, and what it cost."""

import base64
import html as escape
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from ravine.draw.style import FAINT, FONT, INK, MARKERS, PALETTE, figure, halo, plain
from ravine.files import aside
from ravine.surfaces.interface import Array
from ravine.tuning.cells import FORMS, Cell
from ravine.tuning.lab import Trial
from ravine.tuning.recommendation import Recommendation

MOMENTA = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)


class Dot(NamedTuple):
    """Hold a trial on the map."""

    lr: float
    mu: float
    loss: float  # infinity where it diverged
    whole: bool
    rule: str


class Curve(NamedTuple):
    """Hold a learning curve: the mean of neighbouring batch losses."""

    label: str
    steps: Array
    losses: Array
    usual: bool


class EvidencePicture(NamedTuple):
    """Hold what the evidence shows."""

    title: str
    dots: tuple[Dot, ...]
    best: Dot
    equal: tuple[Dot, ...]
    limit: tuple[tuple[float, float], ...]  # (mu, lr)
    curves: tuple[Curve, ...]
    cost: tuple[tuple[str, float], ...]  # in trainings
    budget: float


def picture(found: Recommendation) -> EvidencePicture:
    """Return the evidence as data."""
    dots = tuple(dict.fromkeys(_dot(t.cell, t.loss, t.whole) for t in found.trials if t.purpose != "usual"))
    shown = [("recommended", _best(found), False), *((_usual(t), t, True) for t in found.usual)]
    return EvidencePicture(
        f"{found.name}: {found.method.name}, lr = {found.lr:.3g}"
        + ("" if found.cell.mu is None else f", mu = {found.cell.mu:.5g}")
        + ("" if found.cell.form == "constant" else f" ({FORMS[found.cell.form].about})"),
        dots,
        _dot(found.cell, found.loss, True),
        tuple(_dot(cell, found.loss, True) for cell in found.equal),
        found.limit,
        tuple(_curve(label, trial, usual) for label, trial, usual in shown),
        tuple((purpose, spent / found.steps) for purpose, spent in found.spent.items() if spent),
        found.budget / found.steps,
    )


def _dot(cell: Cell, loss: float, whole: bool) -> Dot:
    return Dot(cell.lr, 0.0 if cell.mu is None else cell.mu, loss, whole, cell.rule.name)


def _best(found: Recommendation) -> Trial:
    """Return the middle one of the winner's trainings."""
    own = sorted((t for t in found.trials if t.cell == found.cell and t.whole), key=lambda t: t.loss)
    return own[len(own) // 2]


def _usual(trial: Trial) -> str:
    return f"{trial.cell.rule.name} lr = {trial.cell.lr:g}, mu = {trial.cell.mu:g}"


def _curve(label: str, trial: Trial, usual: bool) -> Curve:
    width = max(1, len(trial.losses) // 25)
    smooth = np.convolve(trial.losses, np.ones(width) / width, "valid") if len(trial.losses) else trial.losses
    ended = "diverged" if trial.loss == np.inf else f"ends at {trial.loss:.3g}"
    return Curve(f"{label}: {ended}", np.arange(len(smooth)) + (width - 1) / 2, smooth, usual)


# Drawing ---------------------------------------------------------------------------------------------------------


def draw(found: Recommendation) -> Figure:
    """Draw the map of all trials with the limit line, the curves, and what it cost."""
    shown = picture(found)
    made = figure(10.5, 6.2)
    grid = made.add_gridspec(2, 2, width_ratios=(1.15, 1), height_ratios=(4, 1.1))
    chart(made.add_subplot(grid[0, 0]), shown)
    curves(made.add_subplot(grid[0, 1]), shown)
    cost(made.add_subplot(grid[1, :]), shown)
    made.suptitle(shown.title, fontsize=FONT + 2, color=INK)
    return made


def chart(ax: Axes, shown: EvidencePicture) -> None:
    """Draw where trainings were made, and how they ended."""
    whole = [d for d in shown.dots if d.whole and np.isfinite(d.loss)]
    short = [d for d in shown.dots if not d.whole and np.isfinite(d.loss)]
    wrong = [d for d in shown.dots if not np.isfinite(d.loss)]
    _scatter(ax, short, s=14, facecolors="none", edgecolors=FAINT, linewidths=0.8, label="cut short")
    _scatter(ax, wrong, s=22, marker="x", color=PALETTE[1], linewidths=1.1, label="diverged")
    _coloured(ax, whole)
    _limit(ax, shown)
    ax.scatter(
        [shown.best.lr], [1 - shown.best.mu], s=190, marker="*", color=PALETTE[3], edgecolors="white", zorder=6,
        label="recommended",
    )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(1.4, min(0.5 * min(1 - d.mu for d in (*shown.dots, shown.best)), 0.5))
    ax.yaxis.set_major_locator(FixedLocator([1 - mu for mu in MOMENTA]))
    ax.yaxis.set_major_formatter(FixedFormatter([f"{mu:g}" for mu in MOMENTA]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_formatter(NullFormatter())
    plain(ax, "learning rate", "momentum", "Trainings, coloured by the loss at their end")
    ax.legend(fontsize=FONT - 2, loc="lower left", framealpha=0.9)


def _scatter(ax: Axes, dots: list[Dot], **style: object) -> None:
    if dots:
        ax.scatter([d.lr for d in dots], [1 - d.mu for d in dots], zorder=3, **style)  # type: ignore[arg-type]


def _coloured(ax: Axes, dots: list[Dot]) -> None:
    """Draw whole trainings, a sign for each rule, coloured by their loss."""
    if not dots:
        return
    low = max(min(d.loss for d in dots), 1e-300)
    high = max(1.05 * low, min(max(d.loss for d in dots), 30 * low))
    norm = LogNorm(low, high)
    points = None
    for k, rule in enumerate(dict.fromkeys(d.rule for d in dots)):
        own = sorted((d for d in dots if d.rule == rule), key=lambda d: -d.loss)
        points = ax.scatter(
            [d.lr for d in own], [1 - d.mu for d in own], c=[max(d.loss, low) for d in own], s=46, norm=norm,
            marker=MARKERS[k], cmap="viridis_r", edgecolors=INK, linewidths=0.5, zorder=4, label=rule,
        )  # fmt: skip
    assert points is not None
    bar = ax.figure.colorbar(points, ax=ax, pad=0.02, extend="max")
    # Where the scale is short a logarithmic one may have no round number.
    bar.locator = LogLocator(subs=(1, 2, 5)) if high > 10 * low else MaxNLocator(5)
    bar.formatter = FuncFormatter(lambda value, _: f"{value:g}")
    bar.minorlocator = NullLocator()
    bar.update_ticks()
    bar.ax.tick_params(labelsize=FONT - 2, colors=INK, which="both")


def _limit(ax: Axes, shown: EvidencePicture) -> None:
    if shown.limit:
        ax.plot(
            [lr for _, lr in shown.limit], [1 - mu for mu, _ in shown.limit], color=INK, lw=1.1, ls="--", zorder=2,
            label="limit for the curvature at the start", path_effects=halo(),
        )  # fmt: skip


def curves(ax: Axes, shown: EvidencePicture) -> None:
    """Draw learning curves."""
    for k, curve in enumerate(shown.curves):
        colour, width = (PALETTE[3], 1.9) if not curve.usual else (PALETTE[(0, 5)[k % 2]], 1.2)
        ax.plot(curve.steps, np.maximum(curve.losses, 1e-300), color=colour, lw=width, label=curve.label,
                ls="-" if not curve.usual else ("--", ":")[k % 2], zorder=5 - k)  # fmt: skip
    ax.set_yscale("log")
    top = max(float(c.losses[0]) for c in shown.curves if len(c.losses))
    low = min(float(c.losses.min()) for c in shown.curves if len(c.losses))
    ax.set_ylim(max(low, 1e-300) / 1.5, 3 * top)
    plain(ax, "update", "loss of the batches", "The recommended settings against usual ones")
    ax.tick_params(axis="y", which="minor", labelsize=FONT - 1, labelcolor=INK)  # seen where a loss falls by little
    ax.legend(fontsize=FONT - 2, loc="best", framealpha=0.9)


def cost(ax: Axes, shown: EvidencePicture) -> None:
    """Draw what was spent on what, in trainings."""
    at = 0.0
    for k, (purpose, spent) in enumerate(shown.cost):
        ax.barh([0], [spent], left=[at], color=PALETTE[k % len(PALETTE)], alpha=0.75, height=0.6,
                label=f"{purpose} {spent:.2g}")  # fmt: skip
        at += spent
    ax.axvline(shown.budget, color=INK, lw=1.2)
    ax.annotate("budget", (shown.budget, 0.42), fontsize=FONT - 2, color=INK, ha="right", va="bottom", xytext=(-3, 0),
                textcoords="offset points")  # fmt: skip
    ax.set_xlim(0, 1.01 * max(shown.budget, at))
    ax.set_ylim(-0.45, 0.75)
    ax.set_yticks([])
    plain(ax, "spent, in trainings", "")
    ax.spines["left"].set_visible(False)
    ax.legend(fontsize=FONT - 2, loc="lower left", ncols=6, bbox_to_anchor=(0, 0.86), frameon=False, borderpad=0)


# One page --------------------------------------------------------------------------------------------------------

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:1100px;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em;text-align:left;border-bottom:1px solid #ddd}"
    "pre{background:#f4f4f1;padding:.8em;overflow-x:auto}svg{max-width:100%;height:auto}"
    ".note{border-left:4px solid #D55E00;padding-left:.8em}"
)


def page(found: Recommendation) -> str:
    """Return one page of HTML that needs nothing from elsewhere: what to paste, the evidence, all trials."""
    shown = picture(found)
    drawn = io.BytesIO()
    draw(found).savefig(drawn, format="svg", metadata={"Date": None})
    picture64 = base64.b64encode(drawn.getvalue()).decode()
    notes = "".join(f'<p class="note">{escape.escape(note)}</p>' for note in found.notes)
    lines = "\n".join(found.torch_lines)
    spent = [(purpose, f"{number:.2f}") for purpose, number in shown.cost]
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape.escape(shown.title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape.escape(shown.title)}</h1>{notes}"
        f"<p>{escape.escape(sentence(found))}</p><pre>{escape.escape(lines)}</pre>"
        f'<img alt="evidence" style="width:100%" src="data:image/svg+xml;base64,{picture64}">'
        f"<h2>What it cost</h2>{_table(('on', 'trainings'), [*spent, ('budget', f'{shown.budget:.4g}')])}"
        f"<h2>Cells trained to the end</h2>{_table(HEADER, rows(found))}</body></html>\n"
    )


def sentence(found: Recommendation) -> str:
    """Say in words what came out."""
    low, high = found.lr_between
    equal = f"; equal within noise: lr from {low:.3g} to {high:.3g} at this momentum" if high > low else ""
    if found.mu_between and found.mu_between[1] > found.mu_between[0]:
        equal += f"{'' if high > low else '; equal within noise:'} mu from {found.mu_between[0]:.4g} to {found.mu_between[1]:.4g}"
    seeds = "seed" if found.seeds == 1 else "seeds"
    return f"loss {found.loss:.4g} after {found.steps} updates, mean of {found.seeds} {seeds}{equal}"


HEADER = ("rule", "lr", "mu", "schedule", "loss", "seeds", "equal within noise")


def rows(found: Recommendation) -> list[tuple[str, ...]]:
    """Return the cells that were trained to the end as lines of a table, the best first."""
    return [
        (
            s.cell.rule.name, f"{s.cell.lr:.3g}", "" if s.cell.mu is None else f"{s.cell.mu:.5g}", s.cell.form,
            f"{s.loss:.4g}", str(s.seeds), "yes" if s.cell in found.equal else "",
        )
        for s in found.table
    ]  # fmt: skip


def _table(header: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{escape.escape(word)}</th>" for word in header)
    body = "".join("<tr>" + "".join(f"<td>{escape.escape(c)}</td>" for c in line) + "</tr>" for line in lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def write(found: Recommendation, path: Path) -> None:
    """Write the page into a file, whole or not at all."""
    with aside(path) as file:
        file.write_text(page(found), encoding="utf-8")
