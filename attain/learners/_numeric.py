"""Numbers: filling gaps, flagging informative ones, and putting columns on one scale."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

_FLAG_SHARE = 0.01
"""A gap gets its own 0/1 column when at least this share of rows (and five rows) has it."""
_FLAG_ROWS = 5
_EDGE = 1e-7
"""Quantile levels are kept this far from 0 and 1, as in scikit-learn's QuantileTransformer."""
_BINS = 8


@dataclass(frozen=True, eq=False)
class Numeric:
    """Fitted preparation of r raw numeric columns.

    Attributes:
        kind: ``keep``, ``standard``, ``robust``, ``quantile`` or ``piecewise``.
        used: Positions of the u raw columns that vary among the training rows.
        fill: Value for gaps in the used columns, shape (u,); NaN keeps the gap.
        flags: Positions of raw columns whose gaps get a 0/1 column.
        center: Subtracted, shape (u,).
        scale: Multiplied after that, shape (u,).
        table: Quantiles, shape (q, u); no rows for kinds without a table.
    """

    kind: str
    used: np.ndarray
    fill: np.ndarray
    flags: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    table: np.ndarray

    def transform(self, raw: np.ndarray) -> np.ndarray:
        """The prepared columns.

        Args:
            raw: Shape (n, r), float64, gaps are NaN.

        Returns:
            Shape (n, width), float64; free of NaN unless `kind` is ``keep``.
        """
        values = raw[:, self.used]
        values = np.where(np.isnan(values), self.fill, values)
        values = _APPLY[self.kind](self, values)
        if not len(self.flags):
            return values
        return np.concatenate([values, np.isnan(raw[:, self.flags])], axis=1)

    @property
    def sources(self) -> np.ndarray:
        """Position of the raw column behind each prepared one, shape (width,)."""
        times = len(self.table) - 1 if self.kind == "piecewise" else 1
        return np.concatenate([np.tile(self.used, times), self.flags])


def fit_numeric(kind: str, raw: np.ndarray) -> Numeric:
    """Learn how to prepare numeric columns.

    Columns that do not vary are dropped, so that a value first seen at prediction cannot act.
    Gaps take the column's median. With ``keep`` they stay where training rows have some (trees
    handle them), else they take the median too, as a tree has not learnt where to send them.

    Args:
        kind: See `Numeric`.
        raw: Training rows, shape (n, r), float64, no infinities.

    Returns:
        The fitted preparation.
    """
    gaps = np.isnan(raw)
    count = gaps.sum(axis=0)
    varies = np.array([_varies(raw[~gap, j]) for j, gap in enumerate(gaps.T)], dtype=bool)
    flagged = (count >= max(_FLAG_ROWS, _FLAG_SHARE * len(raw))) & (count < len(raw))
    if kind == "keep":  # present or not is something a tree can split on
        varies, flagged = varies | ((count > 0) & (count < len(raw))), np.zeros_like(varies)
    used = np.flatnonzero(varies)
    columns = [raw[~gaps[:, j], j] for j in used]
    fill = np.array([np.median(c) for c in columns], dtype=np.float64)
    if kind == "keep":
        fill[count[used] > 0] = np.nan
    filled = np.where(gaps[:, used], fill, raw[:, used])
    empty = np.empty((0, len(used)))
    center, scale, table = _FIT.get(kind, _no_scaling)(filled, empty)
    return Numeric(kind, used, fill, np.flatnonzero(flagged), center, scale, table)


def _varies(present: np.ndarray) -> bool:
    return bool(len(present)) and bool(np.any(present != present[0]))


Scaling = tuple[np.ndarray, np.ndarray, np.ndarray]


def _no_scaling(x: np.ndarray, empty: np.ndarray) -> Scaling:
    return np.zeros(x.shape[1]), np.ones(x.shape[1]), empty


def _fit_standard(x: np.ndarray, empty: np.ndarray) -> Scaling:
    return x.mean(axis=0), _inverse(x.std(axis=0)), empty


def _fit_robust(x: np.ndarray, empty: np.ndarray) -> Scaling:
    """Median and interquartile range; half the range where that is 0 (arXiv 2407.04491, 3.1)."""
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], axis=0)
    half = (x.max(axis=0) - x.min(axis=0)) / 2
    return middle, _inverse(np.where(high > low, high - low, half)), empty


def _fit_quantile(x: np.ndarray, empty: np.ndarray) -> Scaling:
    """One quantile for 30 rows, 10 to 1000 of them (Gorishniy et al. 2021, their code)."""
    levels = np.linspace(0, 1, max(10, min(1000, len(x) // 30)))
    center, scale, _ = _no_scaling(x, empty)
    return center, scale, np.maximum.accumulate(np.quantile(x, levels, axis=0))


def _fit_piecewise(x: np.ndarray, empty: np.ndarray) -> Scaling:
    center, scale, _ = _no_scaling(x, empty)
    return center, scale, np.quantile(x, np.linspace(0, 1, _BINS + 1), axis=0)


def _inverse(spread: np.ndarray) -> np.ndarray:
    """1/spread, and 0 for a spread that would blow rounding errors up."""
    usable = spread > np.finfo(np.float64).tiny
    return np.where(usable, 1 / np.where(usable, spread, 1), 0.0)


_LARGEST = 1e150  # its square is still a number


def _keep(fitted: Numeric, x: np.ndarray) -> np.ndarray:
    return x


def _linear(fitted: Numeric, x: np.ndarray) -> np.ndarray:
    most = np.finfo(np.float64).max
    with np.errstate(over="ignore"):
        distance = np.clip(x - fitted.center, -most, most)
        scaled: np.ndarray = np.clip(distance * fitted.scale, -_LARGEST, _LARGEST)
    return scaled


def _smooth_clip(fitted: Numeric, x: np.ndarray) -> np.ndarray:
    """Robust scaling, outliers drawn in smoothly to (-3, 3): arXiv 2407.04491, section 3.1."""
    x = _linear(fitted, x)
    clipped: np.ndarray = x / np.sqrt(1 + (x / 3) ** 2)
    return clipped


def _quantile(fitted: Numeric, x: np.ndarray) -> np.ndarray:
    """Normal scores. A tied value takes the middle of its levels, as in scikit-learn."""
    levels = np.linspace(0, 1, len(fitted.table))
    share = np.empty_like(x)
    for j, quantiles in enumerate(fitted.table.T):
        up = np.interp(x[:, j], quantiles, levels)
        down = -np.interp(-x[:, j], -quantiles[::-1], -levels[::-1])
        share[:, j] = (up + down) / 2
    scores: np.ndarray = ndtri(np.clip(share, _EDGE, 1 - _EDGE))
    return scores


def _piecewise(fitted: Numeric, x: np.ndarray) -> np.ndarray:
    """How much of each of eight equally filled bins a value has passed, each in [0, 1].

    Piecewise linear encoding, Gorishniy et al. 2022 (arXiv 2203.05556), equation 1, quantile bins;
    a linear model on it is a piecewise linear one. Unlike there, values outside are clipped.
    """
    low, width = fitted.table[:-1], np.diff(fitted.table, axis=0)
    share = (x[:, None, :] - low) / np.where(width > 0, width, 1)
    passed = np.where(width > 0, np.clip(share, 0, 1), 0.0)
    return passed.reshape(len(x), -1)


_FIT: dict[str, Callable[[np.ndarray, np.ndarray], Scaling]] = {
    "standard": _fit_standard,
    "robust": _fit_robust,
    "quantile": _fit_quantile,
    "piecewise": _fit_piecewise,
}

_APPLY: dict[str, Callable[[Numeric, np.ndarray], np.ndarray]] = {
    "keep": _keep,
    "standard": _linear,
    "robust": _smooth_clip,
    "quantile": _quantile,
    "piecewise": _piecewise,
}
