"""What n rows can show: the value needed to clear a target, and the rows needed to settle one.

A target counts as cleared when the end of the interval that faces it clears it. `confidence` and
`sides` name that interval: ``confidence=0.95, sides=2`` is an end of the two-sided
95 % interval, which is attain's rule; ``sides=1`` is the one-sided 95 % bound. `power` is the
probability that a model of that true value clears the target on fresh rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, cast

import numpy as np
from scipy import special

Method = Literal["wilson", "exact"]

MOST_ROWS = 10**9  # beyond this "more rows" is no advice


def critical(confidence: float = 0.95, sides: int = 2) -> float:
    """Standard normal quantile that belongs to an interval or bound.

    Args:
        confidence: In (0, 1).
        sides: 2 for a two-sided interval, 1 for a bound.

    Returns:
        About 1.96 for ``(0.95, 2)`` and 1.645 for ``(0.95, 1)``.
    """
    return float(special.ndtri(1 - (1 - confidence) / sides))


def rate_needed(
    target: float,
    n: int,
    *,
    maximize: bool = True,
    power: float = 0.8,
    confidence: float = 0.95,
    sides: int = 2,
    method: Method = "wilson",
) -> float | None:
    """The nearest true proportion to the target that n rows would show to clear it.

    Wilson's bound clears the target when at least k = ceil(n t + z sqrt(n t (1 - t))) of n rows are
    right (it inverts the score test), Clopper and Pearson's when P(X >= k | t) is small enough; the
    true value follows from the exact binomial tail.

    Args:
        target: Proportion to clear, in (0, 1).
        n: Rows.
        maximize: Whether larger is better.
        power: Probability of clearing, in (0, 1).
        confidence: Of the interval.
        sides: Of the interval, 1 or 2.
        method: Of the interval, ``wilson`` (attain's) or ``exact`` (Clopper-Pearson).

    Returns:
        A proportion in (0, 1), or None when not even a perfect result on n rows would clear it.
    """
    t = target if maximize else 1 - target
    k = _clearing(t, np.array([max(n, 1)]), (1 - confidence) / sides, method)
    value = float(_rates(k, np.array([max(n, 1)]), power)[0])
    if math.isnan(value):
        return None
    return value if maximize else 1 - value


def rate_rows(
    target: float,
    rate: float,
    *,
    maximize: bool = True,
    power: float = 0.8,
    confidence: float = 0.95,
    sides: int = 2,
    method: Method = "wilson",
) -> int | None:
    """Rows that settle a target for a proportion, if `rate` is its true value.

    Args:
        target: Proportion to clear, in (0, 1).
        rate: True proportion.
        maximize: Whether larger is better.
        power: Probability of clearing, in (0, 1).
        confidence: Of the interval.
        sides: Of the interval, 1 or 2.
        method: Of the interval, ``wilson`` (attain's) or ``exact`` (Clopper-Pearson).

    Returns:
        Number of rows, exact to about half a percent, or None when the rate does not clear the
        target, or does so by too little for any realistic number of rows.
    """
    t, p = (target, rate) if maximize else (1 - target, 1 - rate)
    if p <= t:
        return None
    z = critical(confidence, sides)
    spread = z * math.sqrt(t * (1 - t)) + special.ndtri(power) * math.sqrt(max(p * (1 - p), 0.0))
    guess = (spread / (p - t)) ** 2
    if guess > MOST_ROWS:
        return None
    step = max(1, int(guess / 400))
    candidates = np.arange(max(1, int(guess * 0.6)), int(guess * 1.6) + 60, step)
    k = _clearing(t, candidates, (1 - confidence) / sides, method)
    enough = _rates(k, candidates, power) <= p + 1e-12
    return int(candidates[int(np.argmax(enough))]) if enough.any() else None


def auc_variance(auc: float | np.ndarray, positives: float, negatives: float) -> np.ndarray:
    """Variance of an area under the ROC curve before there are scores.

    Hanley & McNeil (1982), "The meaning and use of the area under a ROC curve", Radiology 143,
    equation 2 with the exponential approximation of Q1 and Q2.

    Args:
        auc: True area(s), in (0, 1).
        positives: Rows of the positive class.
        negatives: Rows of the negative class.

    Returns:
        Variance, of the shape of `auc`.
    """
    a = np.asarray(auc, float)
    q1 = a / (2 - a) - a**2
    q2 = 2 * a**2 / (1 + a) - a**2
    total = a * (1 - a) + (positives - 1) * q1 + (negatives - 1) * q2
    return cast(np.ndarray, total / (positives * negatives))


def auc_needed(
    target: float,
    positives: int,
    negatives: int,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    sides: int = 2,
) -> float | None:
    """The smallest true area under the ROC curve that these rows would show to clear a target.

    The interval is the one on the logit scale, with the variance of Hanley & McNeil (1982).

    Args:
        target: Area to clear, in (0, 1).
        positives: Rows of the positive class.
        negatives: Rows of the negative class.
        power: Probability of clearing, in (0, 1).
        confidence: Of the interval.
        sides: Of the interval, 1 or 2.

    Returns:
        An area in (target, 1), or None when no area would do.
    """
    if min(positives, negatives) < 1:
        return None
    grid = 1 - (1 - target) * np.geomspace(1, 1e-4, 4001)[1:]
    reach = special.logit(grid) - special.logit(target)
    error = np.sqrt(auc_variance(grid, positives, negatives)) / (grid * (1 - grid))
    clears = reach >= (critical(confidence, sides) + special.ndtri(power)) * error
    return float(grid[int(np.argmax(clears))]) if clears.any() else None


def auc_rows(
    target: float,
    auc: float,
    positive_share: float,
    *,
    power: float = 0.8,
    confidence: float = 0.95,
    sides: int = 2,
) -> int | None:
    """Rows that settle a target for the area under the ROC curve, if `auc` is its true value.

    Args:
        target: Area to clear, in (0, 1).
        auc: True area.
        positive_share: Share of the positive class among the rows, in (0, 1).
        power: Probability of clearing, in (0, 1).
        confidence: Of the interval.
        sides: Of the interval, 1 or 2.

    Returns:
        Rows of both classes together, or None when the area does not clear the target or no
        realistic number of rows would show it.
    """
    a = min(auc, 1 - 1e-6)
    if a <= target or not 0 < positive_share < 1:
        return None
    z = critical(confidence, sides) + special.ndtri(power)
    reach = (special.logit(a) - special.logit(target)) * a * (1 - a) / z

    def enough(rows: float) -> bool:
        pos, neg = max(rows * positive_share, 1.0), max(rows * (1 - positive_share), 1.0)
        return bool(auc_variance(a, pos, neg) <= reach**2)

    return _first(enough)


def mean_needed(
    target: float,
    n: int,
    spread: float,
    *,
    maximize: bool = False,
    power: float = 0.8,
    confidence: float = 0.95,
    sides: int = 2,
) -> float | None:
    """The nearest true mean to the target that n rows would show to clear it.

    Args:
        target: Mean to clear.
        n: Rows.
        spread: Standard deviation of the per-row values, in the unit of the mean.
        maximize: Whether larger is better.
        power: Probability of clearing, in (0, 1).
        confidence: Of the interval.
        sides: Of the interval, 1 or 2.

    Returns:
        A mean in the unit of the target, or None below two rows.
    """
    if n < 2:
        return None
    distance = _reach(n, power, confidence, sides) * spread
    return target + distance if maximize else target - distance


def mean_rows(
    target: float,
    mean: float,
    spread: float,
    *,
    maximize: bool = False,
    power: float = 0.8,
    confidence: float = 0.95,
    sides: int = 2,
) -> int | None:
    """Rows that settle a target for a mean, if `mean` is its true value.

    Args:
        target: Mean to clear.
        mean: True mean.
        spread: Standard deviation of the per-row values, in the unit of the mean.
        maximize: Whether larger is better.
        power: Probability of clearing, in (0, 1).
        confidence: Of the interval.
        sides: Of the interval, 1 or 2.

    Returns:
        Number of rows, or None when the mean does not clear the target or no realistic number of
        rows would show it.
    """
    distance = mean - target if maximize else target - mean
    if distance <= 0:
        return None
    return _first(lambda n: _reach(n, power, confidence, sides) * spread <= distance, low=2)


def _clearing(target: float, n: np.ndarray, alpha: float, method: Method) -> np.ndarray:
    """Smallest count of n whose bound of error rate alpha clears the target; may exceed n."""
    if method == "exact":
        from scipy import stats

        return cast(np.ndarray, stats.binom.isf(alpha, n, target) + 1)
    z = special.ndtri(1 - alpha)
    # the small slack keeps 0.9 * 10 from becoming 9.000000000000002 and costing a row
    return np.ceil(n * target + z * np.sqrt(n * target * (1 - target)) - 1e-9)


def _rates(count: np.ndarray, n: np.ndarray, power: float) -> np.ndarray:
    """Proportion at which n rows show at least `count` with this power; NaN where none does."""
    inside = np.clip(count, 1, n)
    value = special.betaincinv(inside, n - inside + 1, power)  # P(X >= k) = I_p(k, n - k + 1)
    return np.where(count <= n, value, np.nan)


def _reach(n: float, power: float, confidence: float, sides: int) -> float:
    """Distance from a target, in standard deviations of a row, that n rows can show."""
    t = special.stdtrit(n - 1, 1 - (1 - confidence) / sides)
    return float((t + special.ndtri(power)) / math.sqrt(n))


def _first(enough: Callable[[float], bool], low: int = 1) -> int | None:
    """The smallest integer that is enough, for a test that stays true once it is."""
    high = low
    while not enough(high):
        high *= 2
        if high > MOST_ROWS:
            return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high
