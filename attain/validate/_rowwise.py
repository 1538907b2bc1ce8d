"""Metrics that are means over rows: the value of each row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

import numpy as np

from attain.validate._counts import labels

RowMetric = Callable[[np.ndarray, np.ndarray, float | None], np.ndarray]


def _hit(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    return (labels(p) == y).astype(float)


def _top_k(y: np.ndarray, p: np.ndarray, k: float | None) -> np.ndarray:
    own = p[np.arange(len(y)), y][:, None]
    # of equal probabilities scikit-learn puts the higher code first
    ahead = (p > own) | ((p == own) & (np.arange(p.shape[1]) > y[:, None]))
    return (ahead.sum(axis=1) < (k or 1)).astype(float)


def _log_loss(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    own = p[np.arange(len(y)), y] / p.sum(axis=1)
    return cast(np.ndarray, -np.log(np.clip(own, np.finfo(float).eps, 1.0)))


def _brier(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    if p.shape[1] == 2:
        return cast(np.ndarray, (p[:, 1] - y) ** 2)
    # sum over classes of (p - one-hot)^2, without building the one-hot matrix
    return cast(np.ndarray, (p**2).sum(axis=1) - 2 * p[np.arange(len(y)), y] + 1)


def _absolute(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    return cast(np.ndarray, np.abs(y - p))


def _squared(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    return cast(np.ndarray, (y - p) ** 2)


def _relative(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    return cast(np.ndarray, np.abs(y - p) / np.abs(y))


def _symmetric(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    size = np.abs(y) + np.abs(p)
    return np.divide(2 * np.abs(y - p), size, out=np.zeros(len(y)), where=size > 0)


def _pinball(y: np.ndarray, p: np.ndarray, q: float | None) -> np.ndarray:
    level = 0.5 if q is None else q
    return np.maximum(level * (y - p), (level - 1) * (y - p))


def _squared_log(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    return cast(np.ndarray, (np.log1p(np.maximum(p, 0.0)) - np.log1p(y)) ** 2)


# metrics that are the mean of these
MEANS: Mapping[str, RowMetric] = MappingProxyType(
    {
        "accuracy": _hit,
        "f1_micro": _hit,
        "recall_weighted": _hit,
        "top_k_accuracy": _top_k,
        "log_loss": _log_loss,
        "brier": _brier,
        "mae": _absolute,
        "mse": _squared,
        "mape": _relative,
        "smape": _symmetric,
        "pinball": _pinball,
    }
)
# metrics that are the square root of the mean of these
ROOTS: Mapping[str, RowMetric] = MappingProxyType({"rmse": _squared, "rmsle": _squared_log})
