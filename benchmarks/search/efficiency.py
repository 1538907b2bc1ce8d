"""What trials under way at the same time cost: how many of them one at a time would have saved.

n trials, several at a time, are worth the m that one at a time needs for the same mean regret;
1 - m / n of them are lost. Every question but the first is asked while results are missing, so that
something always is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from figures import DRAWS, HORIZONS, Kept, base, best_known, regret

Curves = Mapping[str, Mapping[int, np.ndarray]]  # problem, seed: regret after each evaluation


def report(
    kept: Iterable[Kept], parallel: int, least: Mapping[str, float], reference: Mapping[str, Any]
) -> dict[str, dict[str, float]]:
    """Shares of trials that are lost, over the problems and seeds that both kinds of runs have.

    Args:
        kept: Runs of one method, with several trials at a time and with one.
        parallel: How many several are.
        least: The lowest loss known of every problem, from runs.
        reference: Entries of ``reference.json``.

    Returns:
        By horizon that runs of both reached: trials lost as a share of all, the ends of its 95 %
        interval, the regrets, and how many pairs there are. Empty when there are none.
    """
    best, by_width = best_known(reference, least), defaultdict(list)
    for run in kept:
        by_width[run.parallel].append(run)
    ours, theirs = (_curves(by_width[width], best, reference) for width in (parallel, 1))
    found = {}
    for horizon in HORIZONS:
        mine, other = _shared(ours, theirs, horizon), _shared(theirs, ours, horizon)
        if mine:
            value, low, high = lost(mine, other)
            share = {"lost": value, "low": low, "high": high, "runs": sum(map(len, mine.values()))}
            ends = {"regret": float(_mean(mine)[-1]), "one_at_a_time": float(_mean(other)[-1])}
            found[str(horizon)] = {k: round(v, 5) for k, v in (share | ends).items()}
    return found


def lost(several: Curves, single: Curves, draws: int = DRAWS) -> tuple[float, float, float]:
    """The share of trials that is lost, with its 95 % interval.

    Args:
        several: Regrets after 1 to n evaluations, shape (n,) each, with several at a time.
        single: The same with one at a time, of the same problems and seeds.
        draws: How often problems, and seeds within them, are drawn with replacement.

    Returns:
        Share, low and high, in [0, 1]; 0 where several at a time are as good or better.
    """
    rng = np.random.default_rng(0)
    names = [*several]
    pairs = {p: np.array([[several[p][s], single[p][s]] for s in several[p]]) for p in names}
    drawn = []
    for _ in range(draws):
        chosen = (pairs[names[i]] for i in rng.integers(0, len(names), len(names)))
        means = [one[rng.integers(0, len(one), len(one))].mean(axis=0) for one in chosen]
        drawn.append(_lost(*np.mean(means, axis=0)))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return _lost(_mean(several), _mean(single)), float(low), float(high)


def _lost(several: np.ndarray, single: np.ndarray) -> float:
    """From mean regrets, neither of which rises."""
    count, reached = len(several), several[-1]
    first = int(np.argmax(single <= reached)) if single[-1] <= reached else count - 1
    needed = first + 1.0
    if first and single[first] < reached:  # between two trials
        needed -= (reached - single[first]) / (single[first - 1] - single[first])
    return float(1.0 - needed / count)


def _mean(curves: Curves) -> np.ndarray:
    return np.mean([np.mean([*seeds.values()], axis=0) for seeds in curves.values()], axis=0)


def _curves(
    kept: Iterable[Kept], best: Mapping[str, float], reference: Mapping[str, Any]
) -> dict[str, dict[int, np.ndarray]]:
    found: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for run in kept:
        name = base(run.problem)
        if name in reference:
            curve = regret(run.losses, best[name], reference[name]["median"], run.told)
            rest = np.full(run.asked - len(curve), curve[-1])  # of a space that was exhausted
            found[run.problem][run.seed] = np.concatenate([curve, rest])
    return found


def _shared(mine: Curves, other: Curves, count: int) -> dict[str, dict[int, np.ndarray]]:
    """Beginnings of those runs that both have in that length."""
    both = {
        p: {
            seed: curve[:count]
            for seed, curve in seeds.items()
            if seed in other.get(p, {}) and min(len(curve), len(other[p][seed])) >= count
        }
        for p, seeds in mine.items()
    }
    return {p: seeds for p, seeds in both.items() if seeds}
