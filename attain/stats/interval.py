"""Intervals of proportions, means, quantiles, and of anything that can be linearised.

Every function returns an `Interval` with two ends at the stated confidence. Where the data
cannot bound a value (one row, one cluster), the end is infinite rather than invented.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple, cast

import numpy as np
from scipy import special

Scale = Literal["identity", "log", "logit"]


class Interval(NamedTuple):
    """An estimate between two limits.

    Attributes:
        estimate: Value in the unit of the data.
        low: Lower limit.
        high: Upper limit.
    """

    estimate: float
    low: float
    high: float

    def clip(self, low: float, high: float) -> Interval:
        """The same with both limits inside of a range."""
        return Interval(self.estimate, max(self.low, low), min(self.high, high))


def t_quantile(freedom: float, confidence: float) -> float:
    """Quantile of Student's t for a two-sided interval; infinite without a degree of freedom."""
    if freedom <= 0:
        return math.inf
    return float(special.stdtrit(freedom, 0.5 + confidence / 2))


def wilson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Score interval of a proportion (Wilson 1927; recommended by Brown, Cai & DasGupta 2001).

    Args:
        successes: Between 0 and n; a fraction when n is an effective number of rows.
        n: Rows, at least 0.
        confidence: Two-sided, in (0, 1).

    Returns:
        Proportion and limits in [0, 1]; all of [0, 1] for n = 0.
    """
    if n <= 0:
        return Interval(0.0, 0.0, 1.0)
    p, z2 = successes / n, float(special.ndtri(0.5 + confidence / 2)) ** 2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (max(p * (1 - p), 0.0) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # the limits at the ends are exactly 0 and 1, whatever the rounding
    return Interval(
        p, 0.0 if p <= 0 else max(centre - half, 0.0), 1.0 if p >= 1 else min(centre + half, 1.0)
    )


def clopper_pearson(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Exact interval of a proportion (Clopper & Pearson 1934); never covers too little.

    Args:
        successes: Between 0 and n.
        n: Rows, at least 0.
        confidence: Two-sided, in (0, 1).

    Returns:
        Proportion and limits in [0, 1]; all of [0, 1] for n = 0.
    """
    if n <= 0:
        return Interval(0.0, 0.0, 1.0)
    alpha = (1 - confidence) / 2
    k = successes
    low = 0.0 if k <= 0 else float(special.betaincinv(k, n - k + 1, alpha))
    high = 1.0 if k >= n else float(special.betaincinv(k + 1, n - k, 1 - alpha))
    return Interval(k / n, low, high)


def mean_t(values: np.ndarray, confidence: float = 0.95) -> Interval:
    """Student's interval of a mean.

    Args:
        values: Independent values, shape (n,), n at least 1.
        confidence: Two-sided, in (0, 1).

    Returns:
        Mean and limits in the unit of the values; infinite limits for a single value.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, -math.inf, math.inf)
    half = t_quantile(n - 1, confidence) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def corrected_t(values: np.ndarray, test_over_train: float, confidence: float = 0.95) -> Interval:
    """Interval of a mean over resampled folds, corrected for their overlap.

    Nadeau & Bengio (2003), "Inference for the generalization error", Machine Learning 52: the
    variance of the mean of J folds is s^2 (1/J + n_test / n_train), because training sets overlap.
    Repeated cross-validation counts all its folds in J (Bouckaert & Frank 2004).

    Args:
        values: One value for each fold of each repeat, shape (J,).
        test_over_train: Rows of a validation fold over rows of its training set; 1 / (k - 1) for
            k-fold cross-validation.
        confidence: Two-sided, in (0, 1).

    Returns:
        Mean and limits; infinite limits for a single fold.
    """
    folds, mean = len(values), float(np.mean(values))
    if folds < 2:
        return Interval(mean, -math.inf, math.inf)
    variance = float(np.var(values, ddof=1)) * (1 / folds + test_over_train)
    half = t_quantile(folds - 1, confidence) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half)


def cluster_sums(values: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Sum of the values of each cluster.

    Args:
        values: Shape (n,).
        clusters: Cluster of each value, anything that sorts, shape (n,).

    Returns:
        Shape (G,), in the sorted order of the clusters.
    """
    _, code = np.unique(clusters, return_inverse=True)
    return cast(np.ndarray, np.bincount(code, weights=values))


def cluster_mean(values: np.ndarray, clusters: np.ndarray, confidence: float = 0.95) -> Interval:
    """Interval of a mean over rows whose clusters, not rows, are independent.

    Liang & Zeger (1986) with the G / (G - 1) factor and t with G - 1 degrees of freedom.

    Args:
        values: Shape (n,).
        clusters: Cluster of each value, shape (n,).
        confidence: Two-sided, in (0, 1).

    Returns:
        Mean over rows and limits; infinite limits for a single cluster.
    """
    mean = float(np.mean(values))
    influence = (values - mean) / len(values)
    return linear(mean, influence, clusters=clusters, confidence=confidence)


def error_of(
    influence: np.ndarray, clusters: np.ndarray | None, repeats: float
) -> tuple[float, int]:
    """Standard error of an estimate from the influence of each row, and independent units.

    Args:
        influence: What each row adds to the estimate's error, shape (n,); the variance of the
            estimate is the sum of their squares.
        clusters: Cluster of each row, or None when rows are independent.
        repeats: How often each row appears; used only without clusters, and then assumes that a
            row's repeats say nothing new.

    Returns:
        Standard error (infinite for a single unit) and number of units.
    """
    if clusters is None:
        units = round(len(influence) / repeats)
        return math.sqrt(float(influence @ influence) * repeats) if units > 1 else math.inf, units
    sums = cluster_sums(influence, clusters)
    units = len(sums)
    if units < 2:
        return math.inf, units
    return math.sqrt(float(sums @ sums) * units / (units - 1)), units


def freedom_of_classes(influence: np.ndarray, classes: np.ndarray, repeats: float = 1) -> float:
    """Degrees of freedom of a variance that is a sum over classes (Satterthwaite 1946).

    A few positive rows among many negatives make a variance that is known as badly as from those
    few alone.

    Args:
        influence: Of each row, shape (n,).
        classes: Class code of each row, from 0, shape (n,).
        repeats: How often each row appears.

    Returns:
        Between that of the smallest class and that of all rows; at least 1.
    """
    part = np.bincount(classes, weights=influence**2)
    rows = np.bincount(classes) / repeats
    kept = part > 0
    if not kept.any():
        return max(float(rows[rows > 0].min()) - 1, 1.0)
    below = np.sum(part[kept] ** 2 / np.maximum(rows[kept] - 1, 1))
    return max(float(part.sum() ** 2 / below), 1.0)


def linear(
    estimate: float,
    influence: np.ndarray,
    *,
    clusters: np.ndarray | None = None,
    repeats: float = 1,
    scale: Scale = "identity",
    confidence: float = 0.95,
    freedom: float | None = None,
) -> Interval:
    """Interval of an estimate from the influence of each row (delta method).

    Args:
        estimate: Value; positive for scale ``log``, in [0, 1] for ``logit``.
        influence: What each row adds to the estimate's error, shape (n,).
        clusters: Cluster of each row, or None when rows are independent.
        repeats: How often each row appears among the n (repeated cross-validation).
        scale: On which the interval is symmetric; ``logit`` also treats an estimate of exactly 0
            or 1 without variance as `freedom` + 1 successes or failures in a row (Wilson), since no
            sample proves perfection.
        confidence: Two-sided, in (0, 1).
        freedom: Degrees of freedom; None for one less than the independent units.

    Returns:
        Estimate and limits on the scale of the estimate.
    """
    error, units = error_of(influence, clusters, repeats)
    freedom = units - 1 if freedom is None else min(freedom, units - 1)
    half = t_quantile(freedom, confidence) * error if error > 0 else 0.0
    if scale == "log" and estimate > 0:
        factor = math.exp(half / estimate) if half / estimate < 700 else math.inf
        return Interval(estimate, estimate / factor, estimate * factor)
    if scale == "logit":
        if error == 0 and estimate in (0.0, 1.0):
            return wilson(estimate * (freedom + 1), freedom + 1, confidence)
        if 0 < estimate < 1:
            centre, width = special.logit(estimate), half / (estimate * (1 - estimate))
            low, high = special.expit([centre - width, centre + width])
            return Interval(estimate, float(low), float(high))
        return Interval(estimate, 0.0, 1.0) if half else Interval(estimate, estimate, estimate)
    return Interval(estimate, estimate - half, estimate + half)


def quantile(
    values: np.ndarray, q: float, confidence: float = 0.95, *, units: float | None = None
) -> Interval:
    """Distribution-free interval of a quantile from order statistics.

    The limits are the order statistics whose ranks enclose q with binomial probability (David &
    Nagaraja 2003, Order Statistics, section 7.1), at most (1 - confidence) / 2 missing on each
    side. Where no order statistic is far enough out, the limit is infinite.

    Args:
        values: Shape (n,), n at least 1.
        q: In (0, 1).
        confidence: Two-sided, in (0, 1).
        units: Effective number of independent values when fewer than n (repeats, clusters): the
            ranks enclose q as those of so many values would (Woodruff 1952).

    Returns:
        Sample quantile (linear interpolation) and limits.
    """
    ordered, n = np.sort(values), len(values)
    m = n if units is None else max(round(min(units, n)), 1)
    tail = (1 - confidence) / 2
    below = special.bdtr(np.arange(m + 1), m, q)  # P(at most r values lie below the quantile)
    lower = int(np.searchsorted(below, tail, side="right"))  # largest r: P(X <= r - 1) <= tail
    upper = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    low = float(ordered[math.ceil(lower * n / m) - 1]) if lower >= 1 else -math.inf
    high = float(ordered[math.ceil(upper * n / m) - 1]) if upper <= m else math.inf
    return Interval(float(np.quantile(ordered, q)), low, high)


def effective_rows(
    share: float, influence: np.ndarray, clusters: np.ndarray, confidence: float = 0.95
) -> float:
    """Independent rows that would give a proportion the spread it has over clusters.

    Korn & Graubard (1998), Survey Methodology 24: n_eff = p (1 - p) / variance, times the squared
    ratio of normal to t quantile for few clusters.

    Args:
        share: The proportion.
        influence: Of each row on it, shape (n,).
        clusters: Cluster of each row, shape (n,).
        confidence: Two-sided, in (0, 1).

    Returns:
        Between 0 and n; the number of clusters when the proportion is 0 or 1.
    """
    error, units = error_of(influence, clusters, 1)
    if share <= 0 or share >= 1:
        return float(units)
    if not math.isfinite(error):
        return 0.0
    ratio = special.ndtri(0.5 + confidence / 2) / t_quantile(units - 1, confidence)
    rows = len(influence)
    return min(share * (1 - share) / error**2 * ratio**2, rows) if error else float(rows)


def quantile_needs(q: float, confidence: float = 0.95) -> int:
    """Values needed before a quantile's upper limit is finite (368 for q = 0.99)."""
    return math.ceil(math.log((1 - confidence) / 2) / math.log(q))
