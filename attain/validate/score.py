"""Scores with their uncertainty: the interval's method follows the metric, through one table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from attain.core.errors import DataError, Problem, SpecError, did_you_mean
from attain.core.types import Score
from attain.stats import interval
from attain.stats.interval import Interval
from attain.validate import metrics
from attain.validate._dealing import codes
from attain.validate._methods import METHODS, Case, bounds


def score(
    metric: str,
    y: np.ndarray,
    prediction: np.ndarray,
    *,
    trial: str = "",
    groups: np.ndarray | None = None,
    folds: Sequence[np.ndarray] | None = None,
    repeats: int = 1,
    confidence: float = 0.95,
    train: float | None = None,
    unit: str = "",
    seed: int = 0,
) -> Score:
    """A metric with its interval.

    Proportions get Wilson's interval, means Student's, RMSE and R squared the delta method on a log
    scale, rankings DeLong's (or the infinitesimal jackknife) on the logit scale, other metrics of
    labels a bootstrap of the confusion matrix, the median error order statistics. Rankings are
    computed within folds and averaged by rows, since models of different folds are calibrated
    differently; everything else is pooled over rows. With groups, groups are the independent units.

    Args:
        metric: Name of a quality metric, with its argument if any.
        y: Class codes or values, shape (n,). Rows of repeated cross-validation appear once for each
            repeat.
        prediction: Probabilities of shape (n, K), or values of shape (n,).
        trial: Id for the score.
        groups: Group of each row, or None when rows are independent.
        folds: Positions into `y` of each validation fold; rows of no fold are left out.
        repeats: How often each row appears; repeats add no independent rows.
        confidence: Of the two-sided interval, in (0, 1).
        train: The metric on training rows, passed on.
        unit: Of the metric, passed on.
        seed: Of the bootstrap.

    Returns:
        The score. `n` counts rows (of the class concerned, for recall, specificity and precision)
        or groups. A fold on which the metric is undefined has NaN in `per_fold`.

    Raises:
        SpecError: If there is no such metric.
        DataError: If it is undefined on these rows.
    """
    case = _case(metric, y, prediction, groups, folds, repeats, confidence, seed)
    made, n, method = METHODS[case.base](case)
    made = made.clip(*bounds(case))
    return Score(
        trial,
        metric,
        made.estimate,
        made.low,
        made.high,
        n,
        unit,
        method,
        confidence,
        _per_fold(case),
        train,
    )


def _case(
    metric: str,
    y: np.ndarray,
    prediction: np.ndarray,
    groups: np.ndarray | None,
    folds: Sequence[np.ndarray] | None,
    repeats: int,
    confidence: float,
    seed: int,
) -> Case:
    """The rows of the folds, fold after fold, checked."""
    base, argument = metrics.parse(metric)
    slices: tuple[slice, ...] = ()
    clusters = None if groups is None else codes(np.asarray(groups))
    if folds:
        index = np.concatenate([np.asarray(f, np.int64) for f in folds])
        ends = np.cumsum([len(f) for f in folds])
        slices = tuple(slice(int(e) - len(f), int(e)) for f, e in zip(folds, ends, strict=True))
        y, prediction = np.asarray(y)[index], np.asarray(prediction)[index]
        clusters = None if clusters is None else clusters[index]
    y, p = metrics.checked(metric, y, prediction)
    if clusters is not None and len(clusters) != len(y):
        rule = "groups need one value for each row"
        raise DataError(Problem(rule, f"{len(clusters)} for {len(y)} rows", "groups"))
    return Case(metric, base, argument, y, p, clusters, slices, repeats, confidence, seed)


def _per_fold(case: Case) -> tuple[float, ...]:
    values = []
    for fold in case.folds:
        try:
            values.append(metrics.compute(case.metric, case.y[fold], case.p[fold]))
        except DataError:
            values.append(math.nan)
    return tuple(values)


_QUANTILES: Mapping[str, float] = MappingProxyType(
    {"latency_p50_ms": 0.5, "latency_p95_ms": 0.95, "latency_p99_ms": 0.99}
)
_MEANS = ("throughput_rows_per_s", "training_seconds")
_EXACT = ("size_mb", "peak_memory_mb")
MEASURED = (*_QUANTILES, *_MEANS, *_EXACT)


def measured(
    metric: str,
    values: np.ndarray | Sequence[float],
    *,
    trial: str = "",
    unit: str = "",
    confidence: float = 0.95,
) -> Score:
    """A score from raw measurements of the final model.

    Args:
        metric: One of `MEASURED`.
        values: Measurements in the metric's own unit: single calls for a latency, batches for
            throughput, one or several readings for the others; shape (m,).
        trial: Id for the score.
        unit: Of the metric, passed on.
        confidence: Of the two-sided interval, in (0, 1).

    Returns:
        Latency quantiles with order-statistic limits (infinite above when there are too few
        calls), means with Student's interval, size and memory as the largest reading, exactly.

    Raises:
        SpecError: If the metric is not measured.
        DataError: If there is no reading, or one is negative or not finite.
    """
    if metric not in MEASURED:
        rule = "a measured metric must be one of attain's"
        raise SpecError(Problem(rule, metric, remedy=did_you_mean(metric, list(MEASURED))))
    readings = np.atleast_1d(np.asarray(values, float))
    if not len(readings) or not np.isfinite(readings).all() or readings.min() < 0:
        rule = "measurements must be finite numbers from 0, at least one"
        raise DataError(Problem(rule, f"{len(readings)} readings", metric, "measure again"))
    made, method = _measure(metric, readings, confidence)
    made = made.clip(0.0, math.inf)
    return Score(
        trial, metric, made.estimate, made.low, made.high, len(readings), unit, method, confidence
    )


def _measure(metric: str, readings: np.ndarray, confidence: float) -> tuple[Interval, str]:
    n, top = len(readings), float(readings.max())
    if metric in _QUANTILES:
        q = _QUANTILES[metric]
        method = f"order statistics of {n} calls"
        if n < interval.quantile_needs(q, confidence):
            method += f"; {interval.quantile_needs(q, confidence)} are needed for an upper limit"
        return interval.quantile(readings, q, confidence), method
    if metric in _EXACT or n == 1:
        method = "read once" if n == 1 else f"largest of {n} readings"
        return Interval(top, top, top), method
    return interval.mean_t(readings, confidence), f"Student's t of {n} readings"
