"""Measure what `ravine tune` finds: its final loss against a dense grid's best cell, Optuna's TPE, random search and YellowFin.

    python benchmarks/tune.py --cache DIR [--tasks digits-mlp,…] [--repeats 5] [--rule any] [--grid-rule heavyball]

Every part of every task is one JSON file of the cache folder, so that the same command goes on after an interruption.
All final losses are means over the same fresh seeds, which nobody has searched with. Of the grid, which is trained with
one seed, the five best cells are trained with five more seeds, and the best of these is the grid's: one lucky training
does not make it, and neither it nor a contestant is chosen by the seeds that judge.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ravine.charts import EVERY
from ravine.rules import Method
from ravine.tasks import TASKS, Task, load
from ravine.torch.crew import crew
from ravine.tuning import tune

LR = np.geomspace(1e-4, 10, 20)
MU = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
FRESH = tuple(range(90_001, 90_006))
CHOOSING = tuple(range(80_001, 80_006))  # among the five best cells of the grid
TRIALS = 20  # whole trainings of every contestant
AT_ONCE = 64  # lanes


def trained(task: Task, runs: Sequence[tuple[Any, int]]) -> list[float]:
    """Return the final loss of each training, infinity where it diverged."""
    found: list[float] = []
    for first in range(0, len(runs), AT_ONCE):
        made = crew(task, runs[first : first + AT_ONCE], steps=task.steps)
        made.advance(task.steps)
        found += [float(loss) for loss, _ in made.measure()]
    return [loss if math.isfinite(loss) else math.inf for loss in found]


def fresh(task: Task, methods: Sequence[Method], seeds: Sequence[int] = FRESH) -> list[float]:
    """Return the mean final loss of each method over the seeds."""
    losses = trained(task, [(method, seed) for method in methods for seed in seeds])
    return [float(np.mean(losses[k : k + len(seeds)])) for k in range(0, len(losses), len(seeds))]


# Contestants -----------------------------------------------------------------------------------------------------


def grid(task: Task, rule: str) -> dict[str, Any]:
    """Train 20 x 10 cells with one seed, choose among the five best with more seeds and judge it with the fresh ones."""
    cells = [(float(lr), mu) for lr in LR for mu in MU]
    methods = [EVERY[rule](lr=lr, mu=mu) for lr, mu in cells]
    losses = trained(task, [(method, 0) for method in methods])
    leaders = sorted(range(len(cells)), key=lambda k: losses[k])[:5]
    means = fresh(task, [methods[k] for k in leaders], CHOOSING)
    best = leaders[int(np.argmin(means))]
    lr, mu = cells[best]
    border = lr in (LR[0], LR[-1]) or mu == MU[-1]
    return {
        "lr": lr,
        "mu": mu,
        "fresh": fresh(task, [methods[best]])[0],
        "border": border,
        "losses": [x if x < math.inf else None for x in losses],
    }


def ours(task: Task, rule: str, repeat: int) -> dict[str, Any]:
    """Tune with the budget."""
    found = tune(task, TRIALS, rule, seed=1000 * repeat)
    return {
        "method": str(found.method),
        "spent": sum(found.spent.values()) / task.steps,
        "fresh": fresh(task, [found.method])[0],
        "notes": list(found.notes),
    }


def random_search(task: Task, rule: str, repeat: int) -> dict[str, Any]:
    """Draw cells, the learning rate and 1 - mu evenly in their logarithms, and take the best."""
    rng = np.random.default_rng(repeat)
    methods = [
        EVERY[rule](lr=float(np.exp(rng.uniform(*np.log(LR[[0, -1]])))), mu=_mu(rng.uniform())) for _ in range(TRIALS)
    ]
    losses = trained(task, [(method, 1000 * repeat) for method in methods])
    best = methods[int(np.argmin(losses))]
    return {"method": str(best), "fresh": fresh(task, [best])[0]}


def _mu(share: float) -> float:
    """Return the momentum at a share of the way from 0 to 0.99, even in log(1 - mu)."""
    return float(1 - 0.01**share)


def tpe(task: Task, rule: str, repeat: int) -> dict[str, Any]:
    """Let Optuna's TPE choose, one whole training after another."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=repeat))

    def method(params: dict[str, float]) -> Method:
        return EVERY[rule](lr=params["lr"], mu=_mu(params["share"]))

    for _ in range(TRIALS):
        trial = study.ask()
        params = {"lr": trial.suggest_float("lr", LR[0], LR[-1], log=True), "share": trial.suggest_float("share", 0, 1)}
        loss = trained(task, [(method(params), 1000 * repeat)])[0]
        study.tell(trial, min(loss, 1e30))
    best = method(study.best_params)
    return {"method": str(best), "fresh": fresh(task, [best])[0]}


def yellowfin(task: Task) -> dict[str, Any]:
    """Train with YellowFin's rule, which tunes itself, with the fresh seeds."""
    import torch

    from ravine.tasks.batches import batches
    from ravine.torch.training import loss_of, measured, trained_model

    losses = []
    for seed in FRESH:
        with trained_model(task, seed, "cpu", torch.float32) as (here, model):
            optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.0)
            rule = YellowFin()
            for _, batch in zip(range(task.steps), batches(here, seed), strict=False):
                optimizer.zero_grad()
                loss = loss_of(here, model, batch)
                if not math.isfinite(loss.item()):
                    break
                loss.backward()
                g = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.grad is not None])
                norm = float(g.norm())
                lr, mu = rule.settings(g)
                if rule.clip and norm > rule.clip:
                    for p in model.parameters():
                        if p.grad is not None:
                            p.grad.mul_(rule.clip / norm)
                optimizer.param_groups[0].update(lr=lr, momentum=mu)
                optimizer.step()
            value = measured(here, model)[0]
            losses.append(value if math.isfinite(value) else math.inf)
    return {"fresh": float(np.mean(losses)), "losses": [x if x < math.inf else None for x in losses]}


class YellowFin:
    """Choose lr and mu from gradients alone (Zhang & Mitliagkas, MLSys 2019, pages 289-308)."""

    def __init__(self, beta: float = 0.999, window: int = 20) -> None:
        self.beta, self.window, self.t, self.clip = beta, window, 0, 0.0
        self.curvatures: list[float] = []
        self.means: dict[str, Any] = {}

    def _mean(self, key: str, value: Any) -> Any:
        """Return the running mean of a number, without the zero that it began with."""
        self.means[key] = self.beta * self.means.get(key, 0.0) + (1 - self.beta) * value
        return self.means[key] / (1 - self.beta**self.t)

    def settings(self, g: Any) -> tuple[float, float]:
        """Return the learning rate and momentum of the next update."""
        self.t += 1
        square = max(float(g.square().sum()), 1e-30)
        if self.clip:
            square = min(square, self.clip**2)
        self.curvatures = [*self.curvatures, square][-self.window :]
        high = math.exp(self._mean("high", math.log(max(self.curvatures))))
        low = math.exp(self._mean("low", math.log(min(self.curvatures))))
        self.clip = math.sqrt(high)
        mean = self._mean("g", g.double().clone())
        variance = max(self._mean("square", square) - float(mean.square().sum()), 1e-30)
        distance = self._mean("distance", self._mean("norm", math.sqrt(square)) / self._mean("h", square))
        root = _root(distance**2 * low**2 / (2 * variance))
        ratio = math.sqrt(high / low)
        mu = max(root**2, ((ratio - 1) / (ratio + 1)) ** 2)
        lr = (1 - math.sqrt(mu)) ** 2 / low
        lr, mu = self._mean("lr", lr), self._mean("mu", mu)
        return lr * min(1.0, (self.t + 1) / 200), min(mu, 0.9999)


def _root(p: float) -> float:
    """Return x in (0, 1) with p·x + (x - 1)³ = 0, by Vieta's substitution."""
    w3 = (-math.sqrt(p**2 + 4 / 27 * p**3) - p) / 2
    w = math.copysign(abs(w3) ** (1 / 3), w3)
    return min(max(w - p / (3 * w) + 1 if w else 0.0, 0.0), 0.9999)


# The cache and the table -----------------------------------------------------------------------------------------


def kept(cache: Path, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a part found, from the cache where it was made before."""
    file = cache / f"{name}.json"
    if file.exists():
        return json.loads(file.read_text())  # type: ignore[no-any-return]
    began = time.perf_counter()
    found = {**make(), "seconds": None}
    found["seconds"] = time.perf_counter() - began
    aside = file.with_suffix(".part")
    aside.write_text(json.dumps(found))
    aside.replace(file)
    print(f"  {name}: {found['seconds']:.0f} s, {found['fresh']:.4g}", flush=True)
    return found


def median(results: Sequence[dict[str, Any]]) -> float:
    """Return the median of the fresh losses."""
    return statistics.median(each["fresh"] for each in results)


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one task."""
    task, cache, rule = load(name), options.cache, options.grid_rule
    label = Path(name.replace(":", "-")).name
    best = kept(cache, f"{label}.grid.{rule}", lambda: grid(task, rule))
    found = {"task": label, "grid": best["fresh"], "border": best["border"], "cell": (best["lr"], best["mu"])}
    runs: dict[str, list[dict[str, Any]]] = {}
    for r in range(options.repeats):
        contestants = {"ravine": (options.rule, ours), "random": (rule, random_search), "tpe": (rule, tpe)}
        for key, (by, function) in contestants.items():
            if key in options.only:
                part = f"{label}.{key}.{by.replace(':', '-')}.{r}"
                made = kept(cache, part, lambda f=function, b=by, r=r: f(task, b, r))  # type: ignore[misc]
                runs.setdefault(key, []).append(made)
    if "yellowfin" in options.only:
        runs["yellowfin"] = [kept(cache, f"{label}.yellowfin", lambda: yellowfin(task))]
    found.update({key: median(each) / best["fresh"] for key, each in runs.items()})
    found["spent"] = max((each["spent"] for each in runs.get("ravine", [])), default=math.nan) / len(LR) / len(MU)
    found["method"] = runs["ravine"][0]["method"] if "ravine" in runs else ""
    return found


def main() -> None:
    """Measure tasks and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rule", default="any", help="for ravine tune")
    parser.add_argument("--grid-rule", default="heavyball", help="of the grid, TPE and random search")
    parser.add_argument("--only", default="ravine,random,tpe,yellowfin")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.only = options.only.split(",")
    options.cache.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in options.tasks.split(","):
        print(name, flush=True)
        rows.append(measure(name, options))
    keys = [key for key in ("ravine", "random", "tpe", "yellowfin") if key in options.only]
    print(f"\n{'task':24s} {'grid':>10s} " + " ".join(f"{key:>10s}" for key in keys) + "  share  method")
    for row in rows:
        ratios = " ".join(f"{row[key]:10.3f}" for key in keys)
        border = " (grid: border)" if row["border"] else ""
        print(f"{row['task']:24s} {row['grid']:10.4g} {ratios}  {row['spent']:5.1%}  {row['method']}{border}")
    means = {
        key: math.exp(statistics.fmean(math.log(row[key]) if row[key] < math.inf else math.inf for row in rows))
        for key in keys
    }
    print(f"{'geometric mean':24s} {'':10s} " + " ".join(f"{means[key]:10.3f}" for key in keys))
    print(f"{'worst':24s} {'':10s} " + " ".join(f"{max(row[key] for row in rows):10.3f}" for key in keys))
    if options.json:
        options.json.write_text(json.dumps({"tasks": rows, "means": means}, default=str))


if __name__ == "__main__":
    main()
