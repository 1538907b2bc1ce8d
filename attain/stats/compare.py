"""Paired comparisons: the difference of two models on the same rows or folds, with its interval."""

from __future__ import annotations

import math

import numpy as np

from attain.stats import influence as _influence
from attain.stats.interval import Interval, corrected_t, linear


def paired_folds(
    a: np.ndarray, b: np.ndarray, test_over_train: float, confidence: float = 0.95
) -> Interval:
    """Difference a - b over the same folds, by the corrected resampled t interval.

    Args:
        a: Values of one model on each fold of each repeat, shape (J,).
        b: Values of the other, shape (J,).
        test_over_train: Rows of a validation fold over rows of its training set.
        confidence: Two-sided, in (0, 1).

    Returns:
        Mean difference and limits (Nadeau & Bengio 2003).
    """
    return corrected_t(np.asarray(a) - np.asarray(b), test_over_train, confidence)


def corrected_difference(a: np.ndarray, b: np.ndarray, test_over_train: float = 0.25) -> float:
    """Standard error of the difference of two models over the same folds.

    Args:
        a: Values of one model on each fold of each repeat, shape (J,); NaN where undefined.
        b: Values of the other, shape (J,).
        test_over_train: Rows of a validation fold over rows of its training set; 1/4 for 5 folds.

    Returns:
        Root of s^2 (1/J + n_test / n_train) (Nadeau & Bengio 2003), in metric units; infinite when
        fewer than two folds are defined for both.
    """
    difference = np.asarray(a, float) - np.asarray(b, float)
    difference = difference[np.isfinite(difference)]
    if len(difference) < 2:
        return math.inf
    variance = float(np.var(difference, ddof=1)) * (1 / len(difference) + test_over_train)
    return math.sqrt(variance)


def paired_rows(
    a: np.ndarray,
    b: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    repeats: float = 1,
    confidence: float = 0.95,
) -> Interval:
    """Difference of two means over the same rows, from the per-row differences.

    Args:
        a: Per-row values (losses, hits) of one model, shape (n,).
        b: Per-row values of the other, shape (n,).
        clusters: Cluster of each row, or None when rows are independent.
        repeats: How often each row appears.
        confidence: Two-sided, in (0, 1).

    Returns:
        Mean of a - b and limits.
    """
    mean, u = _influence.of_mean(np.asarray(a, float) - np.asarray(b, float))
    return linear(mean, u, clusters=clusters, repeats=repeats, confidence=confidence)


def paired_auc(
    a: np.ndarray,
    b: np.ndarray,
    positive: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    confidence: float = 0.95,
) -> Interval:
    """Difference of two areas under the ROC curve on the same rows.

    DeLong et al. (1988); with clusters, Obuchowski (1997), Biometrics 53.

    Args:
        a: Scores of one model, shape (n,).
        b: Scores of the other, shape (n,).
        positive: Boolean, both classes present, shape (n,).
        clusters: Cluster of each row, or None when rows are independent.
        confidence: Two-sided, in (0, 1).

    Returns:
        Area of a minus area of b and limits.
    """
    return paired(
        _influence.of_auc(a, positive),
        _influence.of_auc(b, positive),
        clusters=clusters,
        confidence=confidence,
    )


def paired(
    a: _influence.Influence,
    b: _influence.Influence,
    *,
    clusters: np.ndarray | None = None,
    repeats: float = 1,
    confidence: float = 0.95,
) -> Interval:
    """Difference of any two linearised estimates on the same rows.

    Args:
        a: Estimate and influence of one model.
        b: Estimate and influence of the other, on the same rows in the same order.
        clusters: Cluster of each row, or None when rows are independent.
        repeats: How often each row appears.
        confidence: Two-sided, in (0, 1).

    Returns:
        Estimate of a minus estimate of b and limits.
    """
    return linear(
        a[0] - b[0], a[1] - b[1], clusters=clusters, repeats=repeats, confidence=confidence
    )
