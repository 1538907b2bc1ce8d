"""Metrics of rows that carry any number of labels: truth and prediction are matrices.

Truth is 0 or 1, predictions are probabilities that do not exclude each other, both of shape
(n, labels). A label is predicted from probability 0.5 on. Every metric is linearised, so that the
same intervals, comparisons and races work as for one class a row. Macro means run over the labels
that occur in truth or prediction; of rankings over those that some rows carry and others do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

import numpy as np

from attain.core.errors import DataError, Problem
from attain.stats import influence
from attain.stats.influence import Influence
from attain.validate._counts import LEAST

Linearise = Callable[[np.ndarray, np.ndarray, float | None], Influence]
_F = TypeVar("_F", bound=Callable[..., Any])


def decided(p: np.ndarray) -> np.ndarray:
    """Predicted labels, 0 or 1, shape (n, labels)."""
    return (p >= LEAST).astype(float)


def _subset(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return (decided(p) == y).all(axis=1).astype(float)


def _hamming(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    return cast(np.ndarray, np.abs(decided(p) - y).mean(axis=1))


def _log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    own = np.clip(np.where(y == 1, p, 1 - p), np.finfo(float).eps, 1.0)
    return cast(np.ndarray, -np.log(own).mean(axis=1))


MEANS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = MappingProxyType(
    {"subset_accuracy": _subset, "hamming_loss": _hamming, "log_loss": _log_loss}
)
"""Metrics that are the mean of these values of each row."""
ONLY = ("subset_accuracy", "hamming_loss", "precision_micro", "recall_micro")
"""Metrics that say nothing, or nothing new, where each row has exactly one class."""


def cells(base: str, y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is divided by what, of each row and label.

    Args:
        base: Name in `RATIOS`.
        y: Truth.
        p: Probabilities.

    Returns:
        Two matrices of shape (n, labels), whose sums are the two parts of the quotient.
    """
    said = decided(p)
    hits = said * y
    above, below = {
        "precision": (hits, said),
        "recall": (hits, y.astype(float)),
        "f1": (2 * hits, said + y),
    }[base.partition("_")[0]]
    return above, below


RATIOS = (
    *("f1_micro", "f1_macro", "precision_micro", "precision_macro"),
    *("recall_micro", "recall_macro"),
)


def _ratio(base: str) -> Linearise:
    """Of all labels together, or the mean over labels (delta method); 0 / 0 counts as 0."""

    def linearise(y: np.ndarray, p: np.ndarray, _: float | None) -> Influence:
        above, below = cells(base, y, p)
        if base.endswith("micro"):
            above, below = above.sum(axis=1, keepdims=True), below.sum(axis=1, keepdims=True)
        else:
            occurs = (y + decided(p)).any(axis=0)
            above, below = above[:, occurs], below[:, occurs]
        total = below.sum(axis=0)
        safe = np.maximum(total, 1.0)
        value = above.sum(axis=0) / safe
        u = (above - value * below) / safe * math.sqrt(len(y) / max(len(y) - 1, 1))
        return float(value.mean()), u.mean(axis=1)

    return linearise


def ranked(y: np.ndarray) -> np.ndarray:
    """Positions of the labels that some rows carry and others do not."""
    return np.flatnonzero((y == 1).any(axis=0) & (y == 0).any(axis=0))


def _ranking(rank: Callable[[np.ndarray, np.ndarray], Influence]) -> Linearise:
    def linearise(y: np.ndarray, p: np.ndarray, _: float | None) -> Influence:
        each = [rank(p[:, k], y[:, k] == 1) for k in ranked(y)]
        return float(np.mean([e[0] for e in each])), np.mean([e[1] for e in each], axis=0)

    return linearise


def _mean(base: str) -> Linearise:
    return lambda y, p, _: influence.of_mean(MEANS[base](y, p))


RANKINGS: Mapping[str, Linearise] = MappingProxyType(
    {
        "roc_auc_ovr": _ranking(influence.of_auc),
        "average_precision_macro": _ranking(influence.of_average_precision),
    }
)
LINEAR: Mapping[str, Linearise] = MappingProxyType(
    {**{base: _mean(base) for base in MEANS}, **{base: _ratio(base) for base in RATIOS}, **RANKINGS}
)


def rarest(y: np.ndarray) -> np.ndarray:
    """For each row which of its labels is the rarest, from 1; 0 for rows without a label.

    Args:
        y: Truth, shape (n, labels).

    Returns:
        int64, shape (n,): what stands for a class where a variance is to be told apart by classes.
    """
    order = np.argsort(y.sum(axis=0), kind="stable")
    first = (y[:, order] == 1).argmax(axis=1)
    return np.where((y == 1).any(axis=1), order[first] + 1, 0).astype(np.int64)


def checked(metric: str, y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction, fit to be scored by a metric.

    Args:
        metric: Name of a quality metric.
        y: 0 or 1, shape (n, labels).
        p: Probabilities, shape (n, labels).

    Returns:
        Truth as int64, probabilities as float64.

    Raises:
        DataError: When the metric is not for labels, shapes do not fit, or nothing is defined.
    """
    base, p = metric.partition("@")[0], np.asarray(p, float)
    shape = f"truth {y.shape}, prediction {p.shape}"
    if base not in LINEAR:
        rule = f"{metric} is not for rows with several labels"
        raise DataError(Problem(rule, shape, remedy="use f1_micro, f1_macro or log_loss"))
    if p.shape != y.shape or not y.size:
        rule = "truth and prediction need one value for each row and label, at least one"
        raise DataError(Problem(rule, shape, metric))
    if not np.isfinite(p).all():
        bad = int((~np.isfinite(p).all(axis=1)).sum())
        rule = "predictions must be finite numbers"
        raise DataError(Problem(rule, f"{bad} of {len(p)} rows are not", metric))
    if not np.isin(y, (0, 1)).all():
        raise DataError(
            Problem("labels are there (1) or not (0)", f"{y.min()} to {y.max()}", metric)
        )
    place, remedy = f"{len(y)} rows", "use fewer folds, more rows, or log_loss"
    if base in RANKINGS and not len(ranked(y)):
        rule = f"{metric} is undefined when no label tells rows apart"
        raise DataError(Problem(rule, place=place, remedy=remedy))
    if base in RATIOS and not (y == 1).any():
        rule = f"{metric} is undefined when no row carries a label"
        raise DataError(Problem(rule, place=place, remedy=remedy))
    return y.astype(np.int64), p


def by_shape(one: Mapping[str, _F], several: Mapping[str, _F], truth: Callable[..., Any]) -> Any:
    """Functions that look at the shape of the truth: of one class a row, or of several labels.

    Args:
        one: By metric, for truth of shape (n,).
        several: By metric, for truth of shape (n, labels).
        truth: Finds the truth among the arguments.

    Returns:
        By metric, of either kind; where only one kind knows a metric, its function.
    """

    def choosing(base: str) -> Callable[..., Any]:
        return lambda *given: (several if truth(*given).ndim == 2 else one)[base](*given)

    shared = {base: choosing(base) for base in one if base in several}
    return {**one, **several, **shared}
