"""Influence values: what each row adds to the error of an estimate.

For an estimate T that is a smooth function of the empirical distribution, T(sample) - T(truth) is
close to the mean of per-row influences (Hampel 1974; the infinitesimal jackknife of Efron 1982).
Every function here returns the estimate and an array u of shape (n,), scaled so that the sum of
u^2 estimates the variance of T. Sums of u within clusters, and differences of the u of two models
on the same rows, then give clustered and paired intervals without any further theory.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import numpy as np

Influence = tuple[float, np.ndarray]


def of_mean(values: np.ndarray) -> Influence:
    """A mean; the sum of squares is exactly s^2 / n.

    Args:
        values: Shape (n,).

    Returns:
        Mean and influence.
    """
    n, mean = len(values), float(np.mean(values))
    return mean, (values - mean) / math.sqrt(n * max(n - 1, 1))


def of_root_mean(values: np.ndarray) -> Influence:
    """A root of a mean, such as RMSE from squared errors (delta method).

    Args:
        values: Non-negative, shape (n,).

    Returns:
        Root of the mean and influence.
    """
    mean, influence = of_mean(values)
    root = math.sqrt(mean)
    return root, influence / (2 * root) if root else np.zeros(len(values))


def of_explained(y: np.ndarray, error: np.ndarray) -> Influence:
    """One minus mean squared error over variance: R squared (delta method).

    With centred errors it is the explained variance.

    Args:
        y: True values, not all equal, shape (n,).
        error: Prediction minus truth, shape (n,).

    Returns:
        R squared and influence.
    """
    spread = (y - y.mean()) ** 2
    variance = float(spread.mean())
    unexplained = float(np.mean(error**2)) / variance
    return 1 - unexplained, (unexplained * spread - error**2) / (len(y) * variance)


def of_auc(score: np.ndarray, positive: np.ndarray) -> Influence:
    """Area under the ROC curve; the sum of squares is exactly DeLong's variance.

    DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44, by the mid-rank algorithm of Sun & Xu
    (2014), IEEE Signal Processing Letters 21: O(n log n).

    Args:
        score: Larger means more likely positive, shape (n,).
        positive: Boolean, with at least one row of each class, shape (n,).

    Returns:
        Area and influence. With a single row of a class, whose variance cannot be estimated, that
        row gets the largest variance that a placement with this mean can have.
    """
    whole = midranks(score)
    m = int(positive.sum())
    n = len(score) - m
    ranks_pos, ranks_neg = whole[positive], whole[~positive]
    placed_pos = (ranks_pos - midranks(score[positive])) / n  # share of negatives below
    placed_neg = 1 - (ranks_neg - midranks(score[~positive])) / m  # share of positives above
    area = float(np.mean(placed_pos))
    influence = np.empty(len(score))
    for mask, placed in ((positive, placed_pos), (~positive, placed_neg)):
        count = len(placed)
        if count > 1:
            influence[mask] = (placed - area) / math.sqrt(count * (count - 1))
        else:
            influence[mask] = math.sqrt(max(area * (1 - area), 0.0))
    return area, influence


def of_average_precision(score: np.ndarray, positive: np.ndarray) -> Influence:
    """Average precision (infinitesimal jackknife), with the steps and ties of scikit-learn.

    With P_i the precision among rows scored at least as high as row i and B_i their number, row m
    has influence [y_m (P_m - AP) + sum over positives i with s_i <= s_m of (y_m - P_i) / B_i] / n+.

    Args:
        score: Larger means more likely positive, shape (n,).
        positive: Boolean, with at least one positive row, shape (n,).

    Returns:
        Average precision and influence.
    """
    order = np.argsort(-score, kind="stable")
    label = positive[order].astype(float)
    last = _last_of_ties(score[order])
    above = np.arange(1.0, len(score) + 1)[last]  # B_i
    precision = np.cumsum(label)[last] / above  # P_i
    total = label.sum()
    average = float(label @ precision / total)
    first = _first_of_ties(last)
    weight = _suffix_sums(label / above)[first]
    weighted = _suffix_sums(label * precision / above)[first]
    influence = np.empty(len(score))
    influence[order] = (label * (precision - average + weight) - weighted) / total
    return average, influence


def of_counts(
    value: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, cell: np.ndarray
) -> Influence:
    """Any smooth function of a confusion matrix that does not change when all counts double.

    Args:
        value: Maps counts of shape (..., K, K) to values of shape (...,).
        counts: The matrix, shape (K, K), the sum of all rows.
        cell: Flat position of each row in the matrix, shape (n,).

    Returns:
        Value and influence, by central differences of a quarter of a row.
    """
    k = counts.shape[0]
    present = np.flatnonzero(counts)
    gradient = np.zeros(k * k)
    step = 0.25
    for part in np.array_split(present, 1 + len(present) * k * k // 2_000_000):
        moved = np.zeros((len(part), k * k))
        moved[np.arange(len(part)), part] = step
        shift = moved.reshape(-1, k, k)
        gradient[part] = (value(counts + shift) - value(counts - shift)) / (2 * step)
    return float(value(counts)), gradient[cell]


def midranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties sharing the mean of theirs; shape (n,)."""
    order = np.argsort(values, kind="stable")
    last = _last_of_ties(values[order])
    ranks = np.empty(len(values))
    ranks[order] = (_first_of_ties(last) + last) / 2 + 1
    return ranks


def _last_of_ties(ordered: np.ndarray) -> np.ndarray:
    """Position of the last element equal to each element of a sorted array."""
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return cast(np.ndarray, np.repeat(ends, np.diff(ends, prepend=-1)))


def _first_of_ties(last: np.ndarray) -> np.ndarray:
    """Position of the first element of each tie, from the position of the last."""
    ends = np.unique(last)
    starts = np.append(0, ends[:-1] + 1)
    return cast(np.ndarray, np.repeat(starts, ends - starts + 1))


def _suffix_sums(values: np.ndarray) -> np.ndarray:
    """Sum from each position to the end."""
    return np.cumsum(values[::-1])[::-1]
