"""What pruners of `attain.Optimizer` bring at the same work where there are two goals.

    python benchmarks/search/reports_goals.py --data FOLDER [--seeds 4] [--check]
    python benchmarks/search/reports_goals.py --quick               # under a minute, made-up curves

The searches of `reports.py` with the network's size as the second goal: known at once, and traded
against the error that is reported after each of 52 epochs. What counts is the volume that the
front of trainings which ran to their end dominates, up to the median error of random configurations
and the largest size. Each search is one file under `results/reports/`; the same command goes on
where it was stopped. Prints JSON last.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import numpy as np
from figures import best_known
from kept import arguments, ended, once
from problems import SUITES, Problem, problem
from reports import EPOCHS, FOLDER, HERE, HORIZONS, QUICK, Curve, learning

import attain
from attain.stats import pareto

PRUNERS = ("none", "median", "halving", "hyperband")
GOALS = ["minimize error", "minimize size"]
CHECKED = "hyperband", (25, 50)
"""Whose volume must be no less than without a pruner, and when."""


def size(one: Problem, config: Mapping[str, Any]) -> float:
    """About the number of weights between layers, from 0 for the least to 1, by magnitudes.

    Of a made-up curve, how far the configuration lies from the middle of its ranges.
    """
    if one.suite != "lcbench":
        return float(np.mean([abs(value) / 5 for value in config.values()]))
    least, most = math.log(64**2), math.log(5 * 1024**2)
    return (math.log(config["num_layers"] * config["max_units"] ** 2) - least) / (most - least)


def search(one: Problem, curve: Curve, pruner: str, seed: int) -> list[dict[str, Any]]:
    """One search.

    Args:
        one: The problem.
        curve: Its learning curves.
        pruner: Name, or ``none``.
        seed: Of everything random.

    Returns:
        For each trial the epochs used so far, and its goals; None where it was pruned.
    """
    used, kept = 0, []
    stated = None if pruner == "none" else pruner
    settings: dict[str, Any] = {"goals": GOALS, "start": [one.default], "pruner": stated}
    with attain.Optimizer(one.space, seed=seed, **settings) as optimizer:
        while used < HORIZONS[-1] * EPOCHS:
            trial = optimizer.ask()
            errors, weight = curve(trial.config), size(one, trial.config)
            points = [{"error": error, "size": weight} for error in errors]
            behind = next((n for n, p in enumerate(points, 1) if optimizer.step(trial, p)), None)
            used += behind or EPOCHS
            if behind:
                optimizer.pruned(trial)
            else:
                optimizer.tell(trial, points[-1])
            goals = None if behind else [errors[-1], weight]
            kept.append({"epochs": used, "goals": goals})
    return kept


def volumes(kept: Sequence[Mapping[str, Any]], best: float, median: float) -> list[float]:
    """Dominated volume at the horizons, in [0, 1]."""
    found = []
    for horizon in HORIZONS:
        within = [k["goals"] for k in kept if k["goals"] and k["epochs"] <= horizon * EPOCHS]
        points = np.array([((error - best) / (median - best), weight) for error, weight in within])
        found.append(pareto.hypervolume(points.reshape(-1, 2), (1.0, 1.0)))
    return found


def figures(problems: Sequence[str], seeds: int, folder: Path) -> dict[str, Any]:
    """By pruner: mean volumes, their difference to those without, and numbers of trials."""
    known = json.loads((HERE / "reference.json").read_text())["problems"]
    best = best_known(known, {})
    tables: dict[str, np.ndarray] = {}
    counts: dict[str, list[tuple[int, int]]] = {}
    for pruner in PRUNERS:
        pairs = [(p, s) for p in problems for s in range(seeds)]
        runs = [json.loads((folder / pruner / f"{p}-{s}.json").read_text()) for p, s in pairs]
        rows = zip(pairs, runs, strict=True)
        tables[pruner] = np.array([volumes(r, best[p], known[p]["median"]) for (p, _), r in rows])
        counts[pruner] = [(len(r), sum(trial["goals"] is not None for trial in r)) for r in runs]
    answer: dict[str, Any] = {}
    for pruner, table in tables.items():
        more = table - tables["none"]
        trials, whole = np.mean(counts[pruner], axis=0)
        answer[pruner] = {
            "volume": _named(table.mean(axis=0)),
            "difference": _named(more.mean(axis=0)),
            "error": _named(more.std(axis=0) / math.sqrt(max(len(more) - 1, 1))),
            "trials": round(float(trials), 1),
            "whole": round(float(whole), 1),
            "searches": len(table),
        }
    return answer


def _named(values: Any) -> dict[str, float]:
    return {str(h): round(float(v), 4) for h, v in zip(HORIZONS, values, strict=True)}


def main() -> int:
    asked = arguments(__doc__.splitlines()[0], seeds=4)
    problems, folder = SUITES["lcbench"], FOLDER / "goals"
    if asked.quick:
        problems, folder = (QUICK,), FOLDER / "goals-quick"
    for seed in range(asked.seeds):
        for name in problems:
            one = problem(name, asked.data)
            curve = learning(one, asked.data)
            for pruner in PRUNERS:
                file = folder / pruner / f"{name}-{seed}.json"
                once(file, partial(search, one, curve, pruner, seed))
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
    answer = figures(problems, asked.seeds, folder)
    print(json.dumps({"benchmark": "search-reports-goals", "pruners": answer}))
    pruner, horizons = CHECKED
    less = [h for h in horizons if answer[pruner]["difference"][str(h)] < 0]
    return ended((f"{pruner} after the work of {h} trainings" for h in less), asked)


if __name__ == "__main__":
    sys.exit(main())
