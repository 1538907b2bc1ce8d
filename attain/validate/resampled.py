"""Every metric on parts of the rows, for all configurations at once: what `stats.bbc` resamples.

Means over rows, confusion matrices and explained variance are sums over rows, so one matrix product
gives them for all resamples. Rankings are sorted once for each configuration and fold. The few
others are computed again for each resample. Like `score`, sums are pooled over folds and repeats,
and rankings are means over folds weighted by rows: a prediction is never averaged with another, as
nobody deploys the average of two folds' models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from attain.core.errors import DataError
from attain.stats.bbc import Values, mean_of
from attain.validate import _counts, _labels, _rowwise, metrics
from attain.validate.threshold import for_metric

EXPLAINED = ("r2", "explained_variance")
RANKED = ("roc_auc", "roc_auc_ovr", "average_precision", "average_precision_macro")
SUMMED = (*_rowwise.MEANS, *_rowwise.ROOTS, *_counts.NAMES, *EXPLAINED, *_labels.ONLY)


@dataclass(frozen=True, eq=False)
class Stack:
    """Out-of-fold predictions of several configurations for the same rows and folds.

    Attributes:
        y: Class codes or values of the distinct rows, shape (n,), or labels, shape (n, K).
        row: Which of these each prediction is for, fold after fold, shape (m,).
        folds: Positions among the m of each validation fold.
        predictions: Of each configuration: probabilities (m, K) or values (m,).
        thresholds: Of each configuration of two classes, None for one half; may be empty.
    """

    y: np.ndarray
    row: np.ndarray
    folds: Sequence[np.ndarray]
    predictions: Sequence[np.ndarray]
    thresholds: Sequence[float | None] = ()

    @property
    def truth(self) -> np.ndarray:
        """What each prediction should have been, shape (m,)."""
        found: np.ndarray = self.y[self.row]
        return found

    def summed(self, each: np.ndarray) -> np.ndarray:
        """Sum over the predictions of each distinct row; from shape (m,) to (n,)."""
        return np.bincount(self.row, weights=each, minlength=len(self.y))


def values(metric: str, stack: Stack) -> Values:
    """A metric's values on parts of the rows.

    Args:
        metric: Name of a quality metric, with its argument if any.
        stack: The predictions.

    Returns:
        A function of configurations (c,) and weights (n, b) to values (c, b), NaN where the metric
        is undefined.
    """
    base, argument = metrics.parse(metric)
    if any(t is not None for t in stack.thresholds):
        at = zip(stack.predictions, stack.thresholds, strict=True)
        stack = replace(stack, predictions=[for_metric(metric, p, t) for p, t in at])
    if stack.y.ndim == 2 and base not in RANKED:
        return _of_labels(stack, base)
    if base in _rowwise.MEANS:
        return _means(stack, lambda y, p: _rowwise.MEANS[base](y, p, argument))
    if base in _rowwise.ROOTS:
        mean = _means(stack, lambda y, p: _rowwise.ROOTS[base](y, p, argument))
        return lambda configs, weights: np.sqrt(mean(configs, weights))
    if base in _counts.NAMES:
        return partial(_of_counts, stack, _counts.count_metric(base, argument), base)
    if base in EXPLAINED:
        return _explained(stack, centred=base == "explained_variance")
    if base in RANKED:
        return partial(_ranked, stack, _auc if base.startswith("roc_auc") else _precision, base)
    return partial(_again, stack, metric)


def _means(stack: Stack, each: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Values:
    counts = stack.summed(np.ones(len(stack.row)))
    sums = [stack.summed(each(stack.truth, np.asarray(p, float))) for p in stack.predictions]
    return mean_of(np.array(sums), counts)


def _of_labels(stack: Stack, base: str) -> Values:
    """Means over rows, or quotients of sums, of all labels together or of each."""
    if base in _labels.MEANS:
        return _means(stack, lambda y, p: _labels.MEANS[base](y, p))
    parts = [_labels.cells(base, stack.truth, np.asarray(p, float)) for p in stack.predictions]
    said = [_labels.decided(np.asarray(p, float)) + stack.truth for p in stack.predictions]
    micro = base.endswith("micro")

    def value(configs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        found = []
        for config in configs:
            above, below, occurs = (
                m.T @ weights[stack.row] for m in (*parts[config], said[config])
            )  # each of shape (labels, b)
            if micro:
                above, below, occurs = (
                    m.sum(axis=0, keepdims=True) for m in (above, below, occurs)
                )
            each = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
            count = (occurs > 0).sum(axis=0)
            rest = np.full(count.shape, np.nan)
            found.append(np.divide(each.sum(axis=0), count, out=rest, where=count > 0))
        return np.array(found)

    return value


def _explained(stack: Stack, *, centred: bool) -> Values:
    """One minus mean squared error over variance, from five sums; y is centred for accuracy."""
    shift = float(stack.y.mean())
    counts = stack.summed(np.ones(len(stack.row)))
    errors = [np.asarray(p, float) - stack.truth for p in stack.predictions]
    square = mean_of(np.array([stack.summed(e**2) for e in errors]), counts)
    plain = mean_of(np.array([stack.summed(e) for e in errors]), counts)
    truth = mean_of(np.array([stack.summed(stack.truth - shift)]), counts)
    spread = mean_of(np.array([stack.summed((stack.truth - shift) ** 2)]), counts)
    only = np.array([0])

    def value(configs: np.ndarray, weights: np.ndarray) -> np.ndarray:
        variance = spread(only, weights) - truth(only, weights) ** 2
        error = square(configs, weights)
        error = error - plain(configs, weights) ** 2 if centred else error
        rest = np.full(error.shape, np.nan)
        return 1 - np.divide(error, variance, out=rest, where=variance > 1e-12)

    return value


# What must be among the rows for a metric of two classes to be defined: rows of these classes.
_NEEDED = {"recall": (1,), "f1": (1,), "fbeta": (1,), "specificity": (0,)}


def _of_counts(
    stack: Stack,
    metric: _counts.CountMetric,
    base: str,
    configs: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """A function of the confusion matrix, whose cells are matrix products."""
    k = stack.predictions[0].shape[1]
    said = np.array([_counts.labels(stack.predictions[c]) for c in configs])
    counts = np.zeros((len(configs), weights.shape[1], k, k))
    for true in range(k):
        own = np.flatnonzero(stack.truth == true)
        weight = weights[stack.row[own]]
        for other in range(k):
            counts[:, :, true, other] = (said[:, own] == other).astype(np.float32) @ weight
    found = metric(counts)
    rows = counts.sum(axis=-1)
    for code in _NEEDED.get(base, ()):
        found = np.where(rows[..., code] > 0, found, np.nan)
    return np.where(rows.sum(axis=-1) > 0, found, np.nan)


Rank = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _ranked(
    stack: Stack, rank: Rank, base: str, configs: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """A ranking within each fold, averaged over the folds that define it by their weights."""
    weights = np.ascontiguousarray(weights)
    k = stack.predictions[0].shape[1]
    total = np.zeros((len(configs), weights.shape[1]))
    size = np.zeros(weights.shape[1])
    for fold in stack.folds:
        weight, y = weights[stack.row[fold]], stack.truth[fold]
        several = y.ndim == 2
        positive = [y[:, code] == 1 if several else y == code for code in range(k)]
        present = np.array([weight[own].sum(axis=0) > 0 for own in positive])
        if several:  # a label that all rows carry ranks nothing
            present &= np.array([weight[~own].sum(axis=0) > 0 for own in positive])
        enough = 1 if several else 2
        defined = present[1] if base == "average_precision" else present.sum(axis=0) >= enough
        rows = np.where(defined, weight.sum(axis=0, dtype=float), 0.0)
        size += rows
        for position, config in enumerate(configs):
            p = stack.predictions[config][fold]
            if k == 2 and not several:
                found = rank(p[:, 1], positive[1], weight)
            else:
                found = _over_classes(rank, positive, p, weight, present)
            total[position] += rows * found
    return np.divide(total, size, out=np.full(total.shape, np.nan), where=size > 0)


def _over_classes(
    rank: Rank,
    positive: Sequence[np.ndarray],
    p: np.ndarray,
    weight: np.ndarray,
    present: np.ndarray,
) -> np.ndarray:
    """The mean over the classes that occur, or the labels that tell rows apart."""
    each = np.array([rank(p[:, code], own, weight) for code, own in enumerate(positive)])
    found: np.ndarray = np.where(present, each, 0.0).sum(axis=0) / np.maximum(
        present.sum(axis=0), 1
    )
    return found


def _auc(score: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each part: weighted Mann-Whitney, ties counted half."""
    order = np.argsort(score[~positive], kind="stable")
    negative = score[~positive][order]
    below = np.zeros((len(negative) + 1, weight.shape[1]), np.float32)
    np.cumsum(weight[~positive][order], axis=0, out=below[1:])
    lower = below[np.searchsorted(negative, score[positive], side="left")]
    upper = below[np.searchsorted(negative, score[positive], side="right")]
    own = weight[positive]
    pairs = own.sum(axis=0, dtype=float) * below[-1]
    won = np.einsum("ib,ib->b", own, lower + upper, dtype=float) / 2
    found: np.ndarray = won / np.maximum(pairs, 1e-12)
    return found


def _precision(score: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Average precision of each part, equal scores taken together."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    said = np.cumsum(weight[order], axis=0)[ends]
    hits = np.cumsum(weight[order] * positive[order][:, None], axis=0)[ends]
    gained = np.diff(hits, axis=0, prepend=0)
    above = (gained * (hits / np.maximum(said, 1e-12))).sum(axis=0, dtype=float)
    found: np.ndarray = above / np.maximum(hits[-1], 1e-12)
    return found


def _again(stack: Stack, metric: str, configs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Anything else: computed on the rows of each part."""
    found = np.full((len(configs), weights.shape[1]), np.nan)
    for part in range(weights.shape[1]):
        kept = np.flatnonzero(weights[stack.row, part] > 0)
        for position, config in enumerate(configs):
            try:
                prediction = stack.predictions[config][kept]
                found[position, part] = metrics.compute(metric, stack.truth[kept], prediction)
            except DataError:
                continue
    return found
