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

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import numpy as np
from kept import arguments, ended
from problems import Problem
from reports import HORIZONS, Curve, compare, ended_within, learning, table

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


def sized(one: Problem, asked: argparse.Namespace) -> Curve:
    """Both goals after each epoch."""
    errors = learning(one, asked.data)

    def told(config: Mapping[str, Any]) -> list[dict[str, float]]:
        weight = size(one, config)
        return [{"error": error, "size": weight} for error in errors(config)]

    return told


def volumes(kept: Sequence[Mapping[str, Any]], best: float, median: float) -> list[float]:
    """Dominated volume at the horizons, in [0, 1]."""
    found = []
    for horizon in HORIZONS:
        ends = [(told["error"], told["size"]) for told in ended_within(kept, horizon)]
        points = np.array([((error - best) / (median - best), weight) for error, weight in ends])
        found.append(pareto.hypervolume(points.reshape(-1, 2), (1.0, 1.0)))
    return found


def main() -> int:
    asked = arguments(__doc__.splitlines()[0], seeds=4)
    about = ("volume", PRUNERS, volumes)
    answer = compare(asked, about, lambda one: sized(one, asked), goals=GOALS)
    print(table("volume", answer))
    print(json.dumps({"benchmark": "search-reports-goals", "pruners": answer}))
    pruner, horizons = CHECKED
    less = [h for h in horizons if answer[pruner]["difference"][str(h)] < 0]
    return ended((f"{pruner} after the work of {h} trainings" for h in less), asked)


if __name__ == "__main__":
    sys.exit(main())
