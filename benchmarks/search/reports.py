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

Curve = Callable[[Mapping[str, Any]], Sequence[Any]]
"""From a configuration to what it reports after each epoch; the last is its result."""
Judge = Callable[[Sequence[Mapping[str, Any]], float, float], list[float]]
"""From a search, the best known and the median loss to a figure at each horizon."""


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


def search(
    one: Problem, curve: Curve, pruner: str, seed: int, **settings: Any
) -> list[dict[str, Any]]:
    """One search.

    Args:
        one: The problem.
        curve: What its trials report.
        pruner: Name, or ``none``.
        seed: Of everything random.
        **settings: Of `attain.Optimizer`.

    Returns:
        For each trial the epochs used so far, and its result; None where it was pruned.
    """
    used, kept = 0, []
    stated = None if pruner == "none" else pruner
    given = {"start": [one.default], "pruner": stated, "seed": seed, **settings}
    with attain.Optimizer(one.space, **given) as optimizer:
        while used < HORIZONS[-1] * EPOCHS:
            trial = optimizer.ask()
            told = curve(trial.config)
            behind = next((n for n, v in enumerate(told, 1) if optimizer.step(trial, v)), None)
            used += behind or EPOCHS
            if behind:
                optimizer.pruned(trial)
            else:
                optimizer.tell(trial, told[-1])
            kept.append({"epochs": used, "result": None if behind else told[-1]})
    return kept


def ended_within(kept: Sequence[Mapping[str, Any]], horizon: int) -> list[Any]:
    """Results of trainings that ended within the work of so many."""
    within = (k["result"] for k in kept if k["epochs"] <= horizon * EPOCHS)
    return [result for result in within if result is not None]


def regrets(kept: Sequence[Mapping[str, Any]], best: float, median: float) -> list[float]:
    """Normalised regret at the horizons; 1 until a trial has run to its end."""
    within = (ended_within(kept, horizon) or [median] for horizon in HORIZONS)
    return [float(regret(losses, best, median)[-1]) for losses in within]


def compare(
    asked: argparse.Namespace,
    about: tuple[str, Sequence[str], Judge],
    curve_of: Callable[[Problem], Curve],
    **settings: Any,
) -> dict[str, Any]:
    """Make the searches that are not finished, and compare them.

    Args:
        asked: Arguments.
        about: What the figure is called, which is also the folder's name; pruners, the first of
            them ``none``; and what takes the figure.
        curve_of: What the trials of a problem report.
        **settings: Of `attain.Optimizer`.

    Returns:
        By pruner: mean figures, their difference to those without, and numbers of trials.
    """
    name, pruners, judge = about
    problems = (QUICK,) if asked.quick else SUITES["lcbench"]
    folder = FOLDER / (f"{name}-quick" if asked.quick else name)
    pairs = [(p, s) for s in range(asked.seeds) for p in problems]
    for place, seed in pairs:
        one = problem(place, asked.data)
        curve = curve_of(one)
        for pruner in pruners:
            file = folder / pruner / f"{place}-{seed}.json"
            once(file, partial(search, one, curve, pruner, seed, **settings))
        print(f"{place}, seed {seed}", file=sys.stderr, flush=True)
    kept = {
        pruner: [json.loads((folder / pruner / f"{p}-{s}.json").read_text()) for p, s in pairs]
        for pruner in pruners
    }
    return figures(name, [p for p, _ in pairs], kept, judge)


def figures(
    name: str, problems: Sequence[str], kept: Mapping[str, Sequence[Any]], judge: Judge
) -> dict[str, Any]:
    """Mean figures by pruner.

    Args:
        name: What they are called.
        problems: Of each search.
        kept: By pruner, searches in the same order; ``none`` among them.
        judge: Takes them.

    Returns:
        Means, differences to those without a pruner with their standard errors, numbers of trials.
    """
    known = json.loads((HERE / "reference.json").read_text())["problems"]
    best = best_known(known, {})
    tables = {
        pruner: np.array(
            [judge(one, best[p], known[p]["median"]) for p, one in zip(problems, runs, strict=True)]
        )
        for pruner, runs in kept.items()
    }
    answer: dict[str, Any] = {}
    for pruner, table in tables.items():
        more = table - tables["none"]
        error = (
            more.std(axis=0, ddof=1) / np.sqrt(len(more))
            if len(more) > 1
            else np.zeros(len(HORIZONS))
        )
        trials = [len(run) for run in kept[pruner]]
        whole = [sum(trial["result"] is not None for trial in run) for run in kept[pruner]]
        answer[pruner] = {
            name: _named(table.mean(axis=0)),
            "difference": _named(more.mean(axis=0)),
            "error": _named(error),
            "trials": round(float(np.mean(trials)), 1),
            "whole": round(float(np.mean(whole)), 1),
            "searches": len(table),
        }
    return answer


def _named(values: Any) -> dict[str, float]:
    return {str(h): round(float(v), 4) for h, v in zip(HORIZONS, values, strict=True)}


def table(name: str, answer: Mapping[str, Any]) -> str:
    """Figures as Markdown."""
    lines = [f"| pruner | {name} at 10/25/50 | difference at 50 | trials | whole |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for pruner, row in answer.items():
        shown = "/".join(f"{v:.3f}".removeprefix("0") for v in row[name].values())
        last = str(HORIZONS[-1])
        more = f"{row['difference'][last]:+.3f} ± {row['error'][last]:.3f}"
        lines.append(f"| {pruner} | {shown} | {more} | {row['trials']} | {row['whole']} |")
    return "\n".join(lines)


def main() -> int:
    asked = arguments(__doc__.splitlines()[0], seeds=4)
    about = ("regret", PRUNERS, regrets)
    answer = compare(asked, about, lambda one: learning(one, asked.data), strategy="bayes")
    print(table("regret", answer))
    print(json.dumps({"benchmark": "search-reports", "pruners": answer}))
    last = str(HORIZONS[-1])
    limit = WANTED * answer["none"]["regret"][last]
    short = [p for p in CHECKED if answer[p]["regret"][last] > limit]
    return ended((f"{pruner}, wanted at most {limit:.4f}" for pruner in short), asked)


if __name__ == "__main__":
    sys.exit(main())
