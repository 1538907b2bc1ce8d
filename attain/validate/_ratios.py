"""Metrics of counts and sums: ratios of sums over rows, and what each row adds to their error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from attain.core.counts import OF_METRIC
from attain.core.errors import DataError, Problem
from attain.stats.influence import Influence


def checked(metric: str, y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions fit to be scored.

    Args:
        metric: Name in `core.counts.OF_METRIC`.
        y: Not used but for its length, shape (n,).
        p: Counts and sums of each row, shape (n, columns).

    Returns:
        Both as float64.

    Raises:
        DataError: When shapes do not fit, numbers are not finite, or nothing was counted.
    """
    table = OF_METRIC[metric]
    y, p = np.asarray(y, float), np.asarray(p, float)
    shape = f"truth {y.shape}, prediction {p.shape}"
    if y.ndim != 1 or p.shape != (len(y), len(table.columns)) or not len(y):
        rule = f"{metric} needs predictions that are one row of counts and sums for each row"
        raise DataError(Problem(rule, shape, metric))
    if not np.isfinite(p).all():
        raise DataError(Problem("predictions must be finite numbers", shape, metric))
    if not table.sums(metric, p)[1].sum() > 0:
        rule = f"{metric} is undefined without {table.ratios[metric].counts}"
        always = next(iter(table.ratios))
        raise DataError(Problem(rule, "none", f"{len(y)} rows", f"use {always}"))
    return y, p


def _value(metric: str) -> Callable[[np.ndarray, np.ndarray, float | None], float]:
    return lambda y, p, _: linearise(metric)(y, p, None)[0]


def linearise(metric: str) -> Callable[[np.ndarray, np.ndarray, float | None], Influence]:
    """A ratio of means and the influence of each row (delta method).

    Args:
        metric: Name in `core.counts.OF_METRIC`.

    Returns:
        To be called with truth, prediction and None; see `stats.influence`.
    """
    table = OF_METRIC[metric]

    def value(y: np.ndarray, p: np.ndarray, _: float | None) -> Influence:
        a, b = table.sums(metric, p)
        n = len(a)
        ratio = float(a.sum() / b.sum())
        u = (a - ratio * b) / b.sum() * math.sqrt(n / max(n - 1, 1))
        if not table.ratios[metric].exponential:
            return ratio, u
        grown = math.exp(min(ratio, 700.0))
        return grown, u * grown

    return value


COMPUTE: Mapping[str, Callable[[np.ndarray, np.ndarray, float | None], float]] = MappingProxyType(
    {metric: _value(metric) for metric in OF_METRIC}
)
LINEAR: Mapping[str, Callable[[np.ndarray, np.ndarray, float | None], Influence]] = (
    MappingProxyType({metric: linearise(metric) for metric in OF_METRIC})
)
