"""What pruners of `attain.Optimizer` bring at the same work: on real learning curves.

    python benchmarks/search/reports.py --data FOLDER [--seeds 4] [--check]
    python benchmarks/search/reports.py --quick                     # under a minute, made-up curves

Six problems of LCBench (YAHPO's surrogates), whose curves are the accuracies after each of 52
epochs. A search may train as many epochs as so many complete trainings take, pruned or not, the
known-good default first; its regret is that of the best training that ran to its end. Each search
is one file under `results/reports/`; the same command goes on where it was stopped. Prints JSON
last.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import numpy as np
from figures import best_known, regret
from kept import arguments, ended, once
from live import RESULTS
from problems import SCENARIOS, SUITES, Problem, _model, problem

import attain

HERE = Path(__file__).resolve().parent
FOLDER = RESULTS.parent / "reports"
EPOCHS = 52
PRUNERS = ("none", "median", "halving", "hyperband", "curves")
QUICK = "bbob-f8-5d"
HORIZONS = (10, 25, 50)
"""Work after which regret is taken, in complete trainings."""
CHECKED = ("median", "hyperband")
WANTED = 1.25
"""Largest share of the regret without a pruner, at the last horizon."""

Curve = Callable[[Mapping[str, Any]], Sequence[float]]


def learning(one: Problem, data: Path | None) -> Curve:
    """From a configuration to its losses after each epoch, the last its own loss."""
    if one.suite != "lcbench":
        above = 2e3 * np.exp(-0.1 * np.arange(1, EPOCHS + 1))
        return lambda config: (one.loss(config) + above - above[-1]).tolist()
    assert data is not None
    scenario, task = SCENARIOS["lcbench"], one.name.split("-")[1]
    run, codes = _model(data / "lcbench")

    def losses(config: Mapping[str, Any]) -> list[float]:
        words = {scenario.task: task, **config}
        chosen = [codes[c][words.get(c, "#na#")] for c in scenario.categories]
        found = []
        for epoch in range(1, EPOCHS + 1):
            numbers = {**config, "epoch": epoch}
            values = [float(numbers.get(name, 0.0)) for name in scenario.numbers]
            found.append(1.0 - run(chosen, values)[scenario.output] / scenario.scale)
        return found

    return losses


def search(one: Problem, curve: Curve, pruner: str, seed: int) -> list[dict[str, Any]]:
    """One search.

    Args:
        one: The problem.
        curve: Its learning curves.
        pruner: Name, or ``none``.
        seed: Of everything random.

    Returns:
        For each trial the epochs used so far, and its loss; None where it was pruned.
    """
    used, kept = 0, []
    stated = None if pruner == "none" else pruner
    settings: dict[str, Any] = {"strategy": "bayes", "start": [one.default], "pruner": stated}
    with attain.Optimizer(one.space, seed=seed, **settings) as optimizer:
        while used < HORIZONS[-1] * EPOCHS:
            trial = optimizer.ask()
            losses = curve(trial.config)
            behind = next((n for n, v in enumerate(losses, 1) if optimizer.step(trial, v)), None)
            used += behind or EPOCHS
            if behind:
                optimizer.pruned(trial)
            else:
                optimizer.tell(trial, losses[-1])
            kept.append({"epochs": used, "loss": None if behind else losses[-1]})
    return kept


def regrets(kept: Sequence[Mapping[str, Any]], best: float, median: float) -> list[float]:
    """Normalised regret at the horizons; 1 until a trial has run to its end."""
    found = []
    for horizon in HORIZONS:
        within = [k["loss"] for k in kept if k["epochs"] <= horizon * EPOCHS]
        within = [loss for loss in within if loss is not None]
        found.append(float(regret(within or [median], best, median)[-1]))
    return found


def make(asked: argparse.Namespace, problems: Sequence[str], folder: Path) -> None:
    """Make the searches that are not finished."""
    for seed in range(asked.seeds):
        for name in problems:
            one = problem(name, asked.data)
            curve = learning(one, asked.data)
            for pruner in PRUNERS:
                file = folder / pruner / f"{name}-{seed}.json"
                once(file, partial(search, one, curve, pruner, seed))
            print(f"{name}, seed {seed}", file=sys.stderr, flush=True)


def figures(problems: Sequence[str], seeds: int, folder: Path) -> dict[str, Any]:
    """By pruner: mean regrets, their difference to those without, and numbers of trials."""
    known = json.loads((HERE / "reference.json").read_text())["problems"]
    best = best_known(known, {})
    pairs = [(p, s) for p in problems for s in range(seeds)]
    kept = {
        pruner: [json.loads((folder / pruner / f"{p}-{s}.json").read_text()) for p, s in pairs]
        for pruner in PRUNERS
    }
    found = {
        pruner: np.array(
            [
                regrets(one, best[p], known[p]["median"])
                for (p, _), one in zip(pairs, runs, strict=True)
            ]
        )
        for pruner, runs in kept.items()
    }
    answer: dict[str, Any] = {}
    for pruner, table in found.items():
        more = table - found["none"]
        error = more.std(axis=0, ddof=1) / np.sqrt(len(more)) if len(more) > 1 else 0 * more[0]
        trials = [len(run) for run in kept[pruner]]
        whole = [sum(trial["loss"] is not None for trial in run) for run in kept[pruner]]
        answer[pruner] = {
            "regret": _named(table.mean(axis=0)),
            "difference": _named(more.mean(axis=0)),
            "error": _named(error),
            "trials": round(float(np.mean(trials)), 1),
            "whole": round(float(np.mean(whole)), 1),
            "searches": len(table),
        }
    return answer


def _named(values: Any) -> dict[str, float]:
    return {str(h): round(float(v), 4) for h, v in zip(HORIZONS, values, strict=True)}


def table(answer: Mapping[str, Any]) -> str:
    """Figures as Markdown."""
    lines = ["| pruner | regret at 10/25/50 | difference at 50 | trials | whole |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for pruner, row in answer.items():
        shown = "/".join(f"{v:.3f}".removeprefix("0") for v in row["regret"].values())
        last = str(HORIZONS[-1])
        more = f"{row['difference'][last]:+.3f} ± {row['error'][last]:.3f}"
        lines.append(f"| {pruner} | {shown} | {more} | {row['trials']} | {row['whole']} |")
    return "\n".join(lines)


def main() -> int:
    asked = arguments(__doc__.splitlines()[0], seeds=4)
    problems, folder = SUITES["lcbench"], FOLDER / "whole"
    if asked.quick:
        problems, folder = (QUICK,), FOLDER / "quick"
    make(asked, problems, folder)
    answer = figures(problems, asked.seeds, folder)
    print(table(answer))
    print(json.dumps({"benchmark": "search-reports", "pruners": answer}))
    last = str(HORIZONS[-1])
    limit = WANTED * answer["none"]["regret"][last]
    short = [p for p in CHECKED if answer[p]["regret"][last] > limit]
    return ended((f"{pruner}, wanted at most {limit:.4f}" for pruner in short), asked)


if __name__ == "__main__":
    sys.exit(main())
