"""Metrics of language models: ratios of sums over rows, and what each row adds to their error."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from attain.core.errors import DataError, Problem
from attain.core.language import COLUMNS, RATIOS, WRITTEN, place
from attain.stats.influence import Influence

EXPONENTIAL = frozenset({"perplexity"})
UNBOUNDED: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"token_loss": (0.0, math.inf), "perplexity": (1.0, math.inf)}
)
"""Smallest and largest value of metrics that do not lie between 0 and 1."""


def checked(metric: str, y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictions fit to be scored.

    Args:
        metric: Name in `core.language.RATIOS`.
        y: Not used but for its length, shape (n,).
        p: Counts and sums of each row, shape (n, columns).

    Returns:
        Both as float64.

    Raises:
        DataError: When shapes do not fit, numbers are not finite, or nothing was counted.
    """
    y, p = np.asarray(y, float), np.asarray(p, float)
    shape = f"truth {y.shape}, prediction {p.shape}"
    if y.ndim != 1 or p.shape != (len(y), len(COLUMNS)) or not len(y):
        rule = "a language model's predictions are one row of counts and sums for each row"
        raise DataError(Problem(rule, shape, metric))
    if not np.isfinite(p).all():
        raise DataError(Problem("predictions must be finite numbers", shape, metric))
    below = p[:, place(RATIOS[metric][1])]
    if not below.sum() > 0:
        what = "answers that were generated" if metric in WRITTEN else "rows that count for it"
        rule = f"{metric} is undefined without {what}"
        raise DataError(Problem(rule, "none", f"{len(y)} rows", "use token_loss"))
    return y, p


def between(metric: str, p: np.ndarray) -> bool:
    """Whether rows have values between 0 and 1, so that the metric is no share of hits.

    Args:
        metric: Name in `core.language.RATIOS`.
        p: Counts and sums of each row, shape (n, columns).

    Returns:
        True for similarities.
    """
    values = p[:, place(RATIOS[metric][0])]
    return bool(((values > 0) & (values < 1)).any())


def _value(metric: str) -> Callable[[np.ndarray, np.ndarray, float | None], float]:
    return lambda y, p, _: linearise(metric)(y, p, None)[0]


def linearise(metric: str) -> Callable[[np.ndarray, np.ndarray, float | None], Influence]:
    """A ratio of means and the influence of each row (delta method).

    Args:
        metric: Name in `core.language.RATIOS`.

    Returns:
        To be called with truth, prediction and None; see `stats.influence`.
    """
    above, below = (place(name) for name in RATIOS[metric])

    def value(y: np.ndarray, p: np.ndarray, _: float | None) -> Influence:
        a, b = p[:, above], p[:, below]
        n = len(a)
        ratio = float(a.sum() / b.sum())
        u = (a - ratio * b) / b.sum() * math.sqrt(n / max(n - 1, 1))
        if metric not in EXPONENTIAL:
            return ratio, u
        grown = math.exp(min(ratio, 700.0))
        return grown, u * grown

    return value


COMPUTE: Mapping[str, Callable[[np.ndarray, np.ndarray, float | None], float]] = MappingProxyType(
    {metric: _value(metric) for metric in RATIOS}
)
LINEAR: Mapping[str, Callable[[np.ndarray, np.ndarray, float | None], Influence]] = (
    MappingProxyType({metric: linearise(metric) for metric in RATIOS})
)
