"""Intervals of the two metrics that no general method serves: calibration and largest error."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from attain.stats.interval import Interval

RESAMPLES = 2000


def calibration(
    bins: np.ndarray,
    gap: np.ndarray,
    clusters: np.ndarray | None,
    repeats: int,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Interval of an expected calibration error.

    The error is a sum of absolute mean gaps, so noise alone makes it positive, and resampling it
    adds that noise once more. The limits are therefore those of the basic bootstrap (Davison &
    Hinkley 1997, section 5.2), which takes it off again, with the bins' gaps drawn from their joint
    normal distribution. For the lower limit, which the bias concerns most, gaps are first shrunk to
    d^2 - s^2, an unbiased estimate of their squares; and it is 0 where a chi-square test does not
    reject perfect calibration.

    Args:
        bins: Bin of each row, shape (n,).
        gap: Confidence minus what happened, shape (n,).
        clusters: Cluster of each row, or None.
        repeats: How often each row appears; used only without clusters.
        confidence: Two-sided, in (0, 1).
        seed: Of the draws.

    Returns:
        Estimate and limits in [0, 1].
    """
    count = np.maximum(np.bincount(bins), 1)
    total = np.bincount(bins, weights=gap) / len(gap)
    centred = (gap - (total * len(gap) / count)[bins]) / len(gap)
    covariance = _covariance(bins, centred, clusters, len(total))
    covariance = covariance * (repeats if clusters is None else 1)
    spread, axes = np.linalg.eigh(covariance)
    noise = np.random.default_rng(seed).normal(size=(RESAMPLES, len(total)))
    drawn = (noise * np.sqrt(np.maximum(spread, 0))) @ axes.T
    variance = np.diag(covariance)
    shrunk = np.sign(total) * np.sqrt(np.maximum(total**2 - variance, 0))
    tail = (1 - confidence) / 2
    estimate = float(np.abs(total).sum())
    low = estimate - _excess(shrunk, drawn, 1 - tail)
    high = estimate - _excess(total, drawn, tail)
    varied = variance > 0
    if special.chdtrc(varied.sum(), (total[varied] ** 2 / variance[varied]).sum()) > 1 - confidence:
        low = 0.0
    return Interval(estimate, max(min(low, estimate), 0.0), min(max(high, estimate), 1.0))


def _excess(gaps: np.ndarray, noise: np.ndarray, level: float) -> float:
    """Quantile of how much noise changes the error of bins with these gaps."""
    return float(np.quantile(np.abs(gaps + noise).sum(axis=1) - np.abs(gaps).sum(), level))


def _covariance(
    bins: np.ndarray, centred: np.ndarray, clusters: np.ndarray | None, k: int
) -> np.ndarray:
    """Of the bins' gaps, shape (k, k)."""
    if clusters is None:
        return np.diag(np.bincount(bins, weights=centred**2, minlength=k))
    _, code = np.unique(clusters, return_inverse=True)
    units = int(code.max()) + 1
    sums = np.bincount(code * k + bins, weights=centred, minlength=units * k).reshape(units, k)
    return sums.T @ sums * units / max(units - 1, 1)


def largest(errors: np.ndarray, confidence: float = 0.95) -> Interval:
    """What the largest error among as many new rows would be.

    The exceedances over a high threshold are taken as exponential (Pickands 1975, shape 0), so the
    largest of k of them, of mean m, is m (log k + a Gumbel variable) above the threshold.

    Args:
        errors: Absolute errors, shape (n,).
        confidence: Two-sided, in (0, 1).

    Returns:
        The largest error seen, and limits of the next one; infinite above for fewer than 3 rows.
    """
    n, top = len(errors), float(np.max(errors))
    if n < 3:
        return Interval(top, 0.0, math.inf)
    k = min(max(10, round(math.sqrt(n))), n - 1)
    ordered = np.partition(errors, n - k - 1)
    threshold = float(ordered[n - k - 1])
    scale = float(np.mean(ordered[n - k :])) - threshold
    tail = (1 - confidence) / 2
    low, high = (
        threshold + scale * (math.log(k) - math.log(-math.log(q))) for q in (tail, 1 - tail)
    )
    return Interval(top, max(min(low, top), 0.0), max(high, top))
