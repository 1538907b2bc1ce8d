"""What the best of many configurations can be expected to score on new rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from attain.core.types import Direction
from attain.stats import bbc
from attain.stats.bbc import Corrected, Loss
from attain.validate import metrics
from attain.validate._dealing import codes
from attain.validate.resampled import RANKED, SUMMED, Stack, values

# Resamples are so many that the work, in predictions looked at, stays within a second or two.
MOST_WORK = {"summed": 20_000_000_000, "ranked": 200_000_000, "other": 10_000_000}
RESAMPLES = {"summed": (200, 1_000), "ranked": (100, 400), "other": (50, 100)}
MOST_RANKED_ROWS = 5_000  # more rows are sampled, in whole groups; limits are scaled back
MOST_OTHERS = 25  # configurations, the best first, where each resample is computed again


@dataclass(frozen=True)
class Expected:
    """Corrected scores and how they were made.

    Attributes:
        scores: Of each metric.
        method: In words.
    """

    scores: Mapping[str, Corrected]
    method: str


def expected(
    directions: Mapping[str, Direction],
    stack: Stack,
    loss: Loss,
    *,
    groups: np.ndarray | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Expected:
    """Scores of the configuration that a selection chooses, corrected for the selection (BBC-CV).

    Args:
        directions: Which way each quality metric that the loss needs is better.
        stack: Predictions of every configuration, the best first.
        loss: What the selection minimises.
        groups: Group of each distinct row, or None when rows are independent.
        confidence: Two-sided, in (0, 1).
        seed: Of the draws.

    Returns:
        One corrected score for each metric, never better than the naive one. Sums over rows are
        resampled 1,000 times; rankings up to 400 times on at most 5,000 rows; other metrics
        (``ece``, ``medae``, ``max_error``, ``roc_auc_ovo``) at most 100 times for the 25 best
        configurations.
    """
    kind = _slowest(directions)
    if kind == "other":
        few = stack.predictions[:MOST_OTHERS], stack.thresholds[:MOST_OTHERS]
        stack = replace(stack, predictions=few[0], thresholds=few[1])
    groups = None if groups is None else codes(np.asarray(groups))
    whole, n = stack, len(stack.y)
    if kind != "summed" and n > MOST_RANKED_ROWS:
        stack, groups = _sampled(stack, groups, seed)
    count, rows = len(stack.predictions), len(stack.y)
    resamples = _resamples(kind, count * len(stack.row))
    found = bbc.correct(
        {name: values(name, stack) for name in directions},
        loss,
        count,
        rows,
        greater=[m for m, direction in directions.items() if direction is Direction.MAXIMIZE],
        clusters=groups,
        resamples=resamples,
        confidence=confidence,
        seed=seed,
    )
    method = f"BBC-CV of {count} configurations, {resamples} resamples"
    if rows < n:
        shrink = math.sqrt(rows / n)
        found = {
            name: _levelled(name, _scaled(one, shrink), whole, shrink)
            for name, one in found.items()
        }
        method += f" of {rows:,} rows, limits scaled to {n:,}"
    return Expected(found, method)


def _slowest(names: Iterable[str]) -> str:
    bases = {metrics.parse(name)[0] for name in names}
    if bases <= set(SUMMED):
        return "summed"
    return "ranked" if bases <= {*SUMMED, *RANKED} else "other"


def _resamples(kind: str, cells: int) -> int:
    least, most = RESAMPLES[kind]
    return min(max(MOST_WORK[kind] // max(cells, 1), least), most)


def _sampled(stack: Stack, groups: np.ndarray | None, seed: int) -> tuple[Stack, np.ndarray | None]:
    """A sample of the rows, in whole groups, with all their predictions."""
    units = np.arange(len(stack.y)) if groups is None else groups
    share = MOST_RANKED_ROWS / len(stack.y)
    rng = np.random.default_rng(seed)
    count = int(units.max()) + 1
    chosen = rng.permutation(count)[: max(2, round(count * share))]
    rows = np.isin(units, chosen)
    place = np.cumsum(rows) - 1
    kept = rows[stack.row]
    where = np.cumsum(kept) - 1
    folds = [where[fold[kept[fold]]] for fold in stack.folds]
    part = Stack(
        y=stack.y[rows],
        row=place[stack.row[kept]],
        folds=[fold for fold in folds if len(fold)],
        predictions=[p[kept] for p in stack.predictions],
        thresholds=stack.thresholds,
    )
    return part, None if groups is None else groups[rows]


def _levelled(metric: str, one: Corrected, whole: Stack, shrink: float) -> Corrected:
    """On the level of all rows: a sample tells how much is luck, not how hard the rows are.

    Luck, like every error, falls with the root of the number of rows.
    """
    best, everyone = np.array([0]), np.ones((len(whole.y), 1), np.float32)
    naive = float(values(metric, whole)(best, everyone)[0, 0])
    move = naive - shrink * (one.naive - one.estimate) - one.estimate
    if not math.isfinite(move):
        return one
    return one._replace(
        estimate=one.estimate + move, low=one.low + move, high=one.high + move, naive=naive
    )


def _scaled(one: Corrected, shrink: float) -> Corrected:
    """Limits as close as all rows would bring them: errors fall with the root of their number."""
    low, high = (one.estimate + shrink * (end - one.estimate) for end in (one.low, one.high))
    return one._replace(low=low, high=high)
