"""Decision thresholds of two classes that keep a promise, certified on out-of-fold predictions.

What is exact: for rows that are independent of each other and of the model, the test of each
threshold, and the chance that any certified one breaks its promise. Recall and specificity are
tested among the rows of their class, precision among the rows predicted positive; thresholds are
placed by the predictions alone. What is not: with groups, hits are counted as if there were as many
rows as the groups are worth; and out-of-fold predictions stand for those of the model that is
fitted on all rows, which is why the sealed rows judge the threshold once more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from attain.stats.certify import fixed_sequence, tail
from attain.stats.interval import effective_rows
from attain.validate import _counts, _labels

DEFAULT = 0.5
CERTIFIABLE = ("precision", "recall", "specificity")
DECIDED = frozenset(_counts.NAMES)
"""Metrics that look at decisions, not at probabilities."""
MOST, MOST_GROUPED = 200, 50  # thresholds that are tried
STARTS = 3  # of the sequence of tests of precision; in our simulations better than 1, 5 or 10


@dataclass(frozen=True, eq=False)
class Grid:
    """Thresholds from the strictest to the loosest, and what they decide.

    Attributes:
        thresholds: Probability from which a row is positive, falling, shape (k,).
        counts: Confusion matrix at each, rows true, columns predicted; shape (k, 2, 2).
        worth: Independent rows behind a row, at most 1, of each metric at each threshold.
    """

    thresholds: np.ndarray
    counts: np.ndarray
    worth: Mapping[str, np.ndarray]


def decided(prediction: np.ndarray, threshold: float) -> np.ndarray:
    """Probabilities turned into certain decisions, for metrics that look at decisions.

    Args:
        prediction: Probabilities, shape (n, 2).
        threshold: Of the second class, in [0, 1]; equal probabilities are positive.

    Returns:
        Zeros and ones, shape (n, 2).
    """
    said = (np.asarray(prediction)[:, 1] >= threshold).astype(float)
    return np.stack([1 - said, said], axis=1)


def carried(prediction: np.ndarray) -> np.ndarray:
    """Which labels rows are said to carry, where they do not exclude each other.

    Args:
        prediction: Probabilities, shape (n, labels).

    Returns:
        Zeros and ones of the same shape: those from probability 0.5 on, of every label alike.
    """
    return _labels.decided(np.asarray(prediction))


def for_metric(metric: str, prediction: np.ndarray, threshold: float | None) -> np.ndarray:
    """What a metric is to be computed from.

    Args:
        metric: Name of a quality metric, with its argument if any.
        prediction: Probabilities or values.
        threshold: Of a model of two classes; None for the usual rule.

    Returns:
        Decisions if the metric looks at them and there is a threshold, else the prediction.
    """
    if threshold is None or metric.partition("@")[0] not in DECIDED:
        return prediction
    return decided(prediction, threshold)


def make_grid(y: np.ndarray, prediction: np.ndarray, groups: np.ndarray | None = None) -> Grid:
    """At most 200 thresholds (50 with groups) between the distinct predictions, and their counts.

    Args:
        y: Class codes, 0 or 1, each row once; shape (n,).
        prediction: Out-of-fold probabilities, shape (n, 2).
        groups: Group of each row, or None when rows are independent.

    Returns:
        The grid; it depends on the labels in its counts only.
    """
    order = np.argsort(-prediction[:, 1], kind="stable")
    score, positive = prediction[order, 1].astype(float), y[order] == 1
    ends = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)  # rows said positive, less one
    ends = _thinned(ends, MOST if groups is None else MOST_GROUPED)
    following = np.append(score[1:], 0.0)[ends]
    hits, said = np.cumsum(positive)[ends], ends + 1
    positives = int(positive.sum())
    counts = np.empty((len(ends), 2, 2))
    counts[:, 1, 1], counts[:, 0, 1] = hits, said - hits
    counts[:, 1, 0] = positives - hits
    counts[:, 0, 0] = len(y) - positives - (said - hits)
    thresholds = (score[ends] + following) / 2
    clusters = None if groups is None else np.asarray(groups)[order]
    return Grid(thresholds, counts, _worth(counts, positive, said, clusters))


def _thinned(ends: np.ndarray, most: int) -> np.ndarray:
    """As many as are tried: half evenly, half geometrically spaced, for rare positives."""
    if len(ends) <= most:
        return ends
    even = np.linspace(ends[0], ends[-1], most // 2)
    ratio = np.geomspace(ends[0] + 1, ends[-1] + 1, most // 2) - 1
    near = np.searchsorted(ends, np.concatenate([even, ratio])).clip(0, len(ends) - 1)
    return np.asarray(ends[np.unique(near)])


def _hits(metric: str, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hits and rows of a proportion at each threshold."""
    if metric == "precision":
        return counts[:, 1, 1], counts[:, :, 1].sum(axis=1)
    code = 1 if metric == "recall" else 0
    return counts[:, code, code], counts[:, code].sum(axis=1)


def _worth(
    counts: np.ndarray, positive: np.ndarray, said: np.ndarray, clusters: np.ndarray | None
) -> Mapping[str, np.ndarray]:
    """What a row is worth within its group (Korn & Graubard 1998); 1 without groups."""
    if clusters is None:
        return MappingProxyType({m: np.ones(len(counts)) for m in CERTIFIABLE})
    found = {}
    for metric in CERTIFIABLE:
        worth = []
        for m in said:
            positively = np.arange(len(positive)) < m
            asked = positively if metric == "precision" else positive == (metric == "recall")
            hit = positive if metric == "precision" else positively == positive
            worth.append(_worth_of(hit[asked], clusters[asked]))
        found[metric] = np.array(worth)
    return MappingProxyType(found)


def _worth_of(hit: np.ndarray, clusters: np.ndarray) -> float:
    if not len(hit):
        return 1.0
    share = float(hit.mean())
    return effective_rows(share, (hit - share) / len(hit), clusters) / len(hit)


def p_values(grid: Grid, metric: str, target: float) -> np.ndarray:
    """How likely each threshold would look so good if it missed the target.

    Args:
        grid: The thresholds.
        metric: One of `CERTIFIABLE`.
        target: Least value, in (0, 1).

    Returns:
        Shape (k,).
    """
    hits, rows = _hits(metric, grid.counts)
    worth = np.minimum(grid.worth[metric], 1.0)
    return tail(hits * worth, rows * worth, target)


def certified(grid: Grid, metric: str, target: float, confidence: float) -> np.ndarray:
    """Thresholds at which a metric reaches its target, all of them with the stated confidence.

    Recall is tested from the loosest threshold on, specificity from the strictest. Precision has no
    such safe end, as few rows prove little: three sequences start from numbers of predicted rows
    that are fixed beforehand.

    Args:
        grid: The thresholds.
        metric: One of `CERTIFIABLE`.
        target: Least value, in (0, 1).
        confidence: That none of the certified thresholds misses the target, in (0, 1).

    Returns:
        Which are certified, shape (k,).
    """
    p, level = p_values(grid, metric, target), 1 - confidence
    if metric == "recall":
        return fixed_sequence(p[::-1], [0], level)[::-1]
    starts = _starts(grid, target, level) if metric == "precision" else [0]
    return fixed_sequence(p, starts, level)


def _starts(grid: Grid, target: float, level: float) -> list[int]:
    """From twice as many predicted rows as could prove the target at all, to half of all rows."""
    said = grid.counts[:, :, 1].sum(axis=1)
    total = float(grid.counts[0].sum())
    least = 2 * math.log(level / STARTS) / math.log(target) if 0 < target < 1 else total
    wanted = np.geomspace(min(least, total), max(total / 2, min(least, total)), STARTS)
    return [int(i) for i in np.searchsorted(said, wanted).clip(0, len(said) - 1)]


def value_at(grid: Grid, metric: str) -> np.ndarray:
    """A metric of decisions at each threshold.

    Args:
        grid: The thresholds.
        metric: Name of a metric in `DECIDED`, with its argument if any.

    Returns:
        Shape (k,).
    """
    base, _, argument = metric.partition("@")
    return _counts.count_metric(base, float(argument) if argument else None)(grid.counts)
