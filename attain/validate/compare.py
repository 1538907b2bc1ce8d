"""Whether one model is better than another, on the same rows or folds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attain.core.errors import DataError
from attain.core.types import Direction
from attain.stats import bootstrap
from attain.stats import compare as paired
from attain.stats.interval import Interval
from attain.validate import metrics
from attain.validate._dealing import codes
from attain.validate._linear import LINEAR
from attain.validate.resample import HOLDOUT_SHARE

Answer = Literal["better", "worse", "tie"]

RESAMPLES = 400
MOST_ROWS = 20_000  # bootstraps of more rows use a subsample of this size


@dataclass(frozen=True)
class Comparison:
    """How much one model differs from another.

    Attributes:
        difference: Metric of a minus metric of b, in metric units.
        low: Lower end of its interval.
        high: Upper end of its interval.
        answer: Whether a is better, worse, or neither can be told.
        method: How the interval was made.
    """

    difference: float
    low: float
    high: float
    answer: Answer
    method: str


def compare(
    metric: str,
    y: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    *,
    folds: Sequence[np.ndarray] | None,
    groups: np.ndarray | None = None,
    direction: Direction,
    confidence: float = 0.95,
    repeats: int = 1,
) -> Comparison:
    """Compare two sets of predictions on the same rows.

    Over two or more folds the question is about configurations, whose training sets overlap: the
    corrected resampled t interval (Nadeau & Bengio 2003). On one set of rows it is about two
    models: DeLong's interval for areas under the curve, paired per-row differences for means,
    linearised differences for other smooth metrics, a paired bootstrap for the rest.

    Args:
        metric: Name of a quality metric, with its argument if any.
        y: Class codes or values, shape (n,).
        a: Predictions of one model.
        b: Predictions of the other, for the same rows.
        folds: Positions into `y` of each validation fold, or None for one set of rows.
        groups: Group of each row, or None when rows are independent.
        direction: Which way the metric is better.
        confidence: Of the two-sided interval, in (0, 1).
        repeats: How often each row appears.

    Returns:
        The difference, its interval and the answer.

    Raises:
        DataError: If the metric is undefined on these rows.
    """
    base, argument = metrics.parse(metric)
    if folds is not None and len(folds) > 1:
        made = _over_folds(metric, y, a, b, folds, repeats, confidence)
        if made is not None:
            return _answer(made, direction, f"corrected resampled t over {len(folds)} folds")
    if folds:
        index = np.concatenate([np.asarray(f, np.int64) for f in folds])
        y, a, b = np.asarray(y)[index], np.asarray(a)[index], np.asarray(b)[index]
        groups = None if groups is None else np.asarray(groups)[index]
    groups = None if groups is None else codes(np.asarray(groups))
    y, a = metrics.checked(metric, y, a)
    _, b = metrics.checked(metric, y, b)
    if base in LINEAR:
        made = paired.paired(
            LINEAR[base](y, a, argument),
            LINEAR[base](y, b, argument),
            clusters=groups,
            repeats=repeats,
            confidence=confidence,
        )
        grouped = ", clustered by group" if groups is not None else ""
        return _answer(made, direction, f"{_words(base)}{grouped}")
    made, method = _resampled(metric, y, a, b, groups, confidence)
    return _answer(made, direction, method)


def _words(base: str) -> str:
    if base.startswith("roc_auc"):
        return "paired DeLong"
    return "paired differences, linearised over rows"


def _answer(made: Interval, direction: Direction, method: str) -> Comparison:
    answer: Answer = "tie"
    if made.low > 0 or made.high < 0:
        up = made.low > 0
        answer = "better" if up == (direction is Direction.MAXIMIZE) else "worse"
    return Comparison(made.estimate, made.low, made.high, answer, method)


def _over_folds(
    metric: str,
    y: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    folds: Sequence[np.ndarray],
    repeats: int,
    confidence: float,
) -> Interval | None:
    """The corrected t interval, or None when fewer than two folds define the metric."""
    pairs = []
    for fold in folds:
        try:
            pair = [
                metrics.compute(metric, np.asarray(y)[fold], np.asarray(p)[fold]) for p in (a, b)
            ]
        except DataError:
            continue
        pairs.append(pair)
    if len(pairs) < 2:
        return None
    values = np.array(pairs)
    k = len(folds) / repeats
    ratio = 1 / (k - 1) if k > 1 else HOLDOUT_SHARE / (1 - HOLDOUT_SHARE)
    return paired.paired_folds(values[:, 0], values[:, 1], ratio, confidence)


def _resampled(
    metric: str,
    y: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    groups: np.ndarray | None,
    confidence: float,
) -> tuple[Interval, str]:
    """Paired percentile bootstrap; of a subsample above MOST_ROWS, with limits scaled back."""

    def difference(rows: np.ndarray) -> float:
        return metrics.compute(metric, y[rows], a[rows]) - metrics.compute(metric, y[rows], b[rows])

    n = len(y)
    whole = difference(np.arange(n))
    if n <= MOST_ROWS or groups is not None:
        made = bootstrap.of_rows(
            difference, n, clusters=groups, resamples=RESAMPLES, confidence=confidence
        )
        return made, f"paired bootstrap, {RESAMPLES} resamples"
    part = np.sort(np.random.default_rng(0).choice(n, MOST_ROWS, replace=False))
    made = bootstrap.of_rows(
        lambda rows: difference(part[rows]), MOST_ROWS, resamples=RESAMPLES, confidence=confidence
    )
    shrink = math.sqrt(MOST_ROWS / n)  # errors fall with the root of the number of rows
    low, high = (whole + (end - made.estimate) * shrink for end in (made.low, made.high))
    method = f"paired bootstrap of {MOST_ROWS:,} rows, scaled to {n:,}, {RESAMPLES} resamples"
    return Interval(whole, low, high), method
