"""Which loss of a single row stands for a metric: what slices are compared by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from attain.validate import _labels, _rowwise, metrics


@dataclass(frozen=True, eq=False)
class RowLoss:
    """A loss of each row.

    Attributes:
        name: Stable name.
        words: Of its mean, for people.
        values: Shape (n,), lower is better.
        expected: What the predicted probabilities themselves lead one to expect, shape (n,); None
            for predicted values.
        high: Largest possible value.
    """

    name: str
    words: str
    values: np.ndarray
    expected: np.ndarray | None
    high: float


def row_loss(
    metric: str, y: np.ndarray, prediction: np.ndarray, threshold: float | None = None
) -> RowLoss:
    """The loss of each row that stands for a metric.

    Means over rows stand for themselves. A ranking is a mean too: over the rows of each class, of
    the share of the other class that a row is on the wrong side of (the placements of DeLong et al.
    1988; their mean is 1 - AUC in either class, whatever the classes' shares). Metrics of labels
    are represented by the error rate, other metrics of values by the absolute error.

    Args:
        metric: Name of a quality metric, with its argument if any.
        y: Class codes or values, shape (n,), or labels, shape (n, K): metrics that look at
            decisions are represented by the share of wrong labels, others by the log loss.
        prediction: Probabilities of shape (n, K), or values of shape (n,).
        threshold: From which probability the second of two classes is predicted; None for the
            usual rule. Only errors hang on it.

    Returns:
        Name, words and values.
    """
    base, argument = metrics.parse(metric)
    if y.ndim == 2:
        return _of_labels(base, y, prediction)
    name = base if base in _MAKE else _STANDS.get(base, "mae" if prediction.ndim == 1 else "error")
    make, words, high = _MAKE[name]
    if name == "error" and threshold is not None:
        return _errors_at(threshold, y, prediction, words)
    values = make(y, prediction, argument)
    return RowLoss(name, words, values, _expected(name, y, prediction), high)


def _of_labels(base: str, y: np.ndarray, p: np.ndarray) -> RowLoss:
    """The loss of rows with several labels, and what the probabilities lead one to expect."""
    if base in _labels.RANKINGS or base == "log_loss":
        some = np.clip(p, 1e-300, 1.0), np.clip(1 - p, 1e-300, 1.0)
        expected = -(p * np.log(some[0]) + (1 - p) * np.log(some[1])).mean(axis=1)
        values = _labels.MEANS["log_loss"](y, p)
        return RowLoss("log_loss", "mean log loss of a label", values, expected, np.inf)
    expected = np.minimum(p, 1 - p).mean(axis=1)
    values = _labels.MEANS["hamming_loss"](y, p)
    return RowLoss("hamming_loss", "share of wrong labels", values, expected, 1.0)


def _errors_at(threshold: float, y: np.ndarray, p: np.ndarray, words: str) -> RowLoss:
    """Errors of decisions at a threshold, and how many the probabilities lead one to expect."""
    said = p[:, 1] >= threshold
    return RowLoss(
        "error", words, (said != (y == 1)).astype(float), np.where(said, p[:, 0], p[:, 1]), 1.0
    )


def _expected(name: str, y: np.ndarray, p: np.ndarray) -> np.ndarray | None:
    """The mean loss of each row if its class were drawn with the predicted probabilities."""
    if name not in _EXPECTED:
        return None
    return _EXPECTED[name](y, p / p.sum(axis=1, keepdims=True))


def _error(y: np.ndarray, p: np.ndarray, argument: float | None) -> np.ndarray:
    return 1.0 - _rowwise.MEANS["accuracy"](y, p, argument)


def _misranked(y: np.ndarray, p: np.ndarray, _: float | None) -> np.ndarray:
    return np.where(y == 1, _wrong_side(y, p, 1), _wrong_side(y, p, 0))


def _wrong_side(y: np.ndarray, p: np.ndarray, code: int) -> np.ndarray:
    """Share of the other class on the wrong side of each row if it is of a class; ties are half."""
    score, other = p[:, 1], np.sort(p[y != code, 1])
    if not len(other):
        return np.zeros(len(y))
    below = np.searchsorted(other, score, side="left")
    upto = np.searchsorted(other, score, side="right")
    beaten = (below + upto) / (2 * len(other))
    return beaten if code == 0 else 1.0 - beaten


_Make = Callable[[np.ndarray, np.ndarray, float | None], np.ndarray]
# name -> function, words, largest possible value
_MAKE: Mapping[str, tuple[_Make, str, float]] = MappingProxyType(
    {
        "error": (_error, "share of wrong predictions", 1.0),
        "misranked": (_misranked, "share of rows ranked on the wrong side", 1.0),
        "log_loss": (_rowwise.MEANS["log_loss"], "log loss", np.inf),
        "brier": (_rowwise.MEANS["brier"], "Brier score", 2.0),
        "mae": (_rowwise.MEANS["mae"], "mean absolute error", np.inf),
        "mape": (_rowwise.MEANS["mape"], "mean relative error", np.inf),
        "smape": (_rowwise.MEANS["smape"], "mean symmetric relative error", 2.0),
        "pinball": (_rowwise.MEANS["pinball"], "mean pinball loss", np.inf),
    }
)
_Expect = Callable[[np.ndarray, np.ndarray], np.ndarray]
_EXPECTED: Mapping[str, _Expect] = MappingProxyType(
    {
        "error": lambda y, p: 1.0 - p.max(axis=1),
        "misranked": lambda y, p: p[:, 1] * _wrong_side(y, p, 1) + p[:, 0] * _wrong_side(y, p, 0),
        "log_loss": lambda y, p: -np.where(p > 0, p * np.log(np.maximum(p, 1e-300)), 0.0).sum(1),
        "brier": lambda y, p: (1.0 - (p**2).sum(axis=1)) / (2.0 if p.shape[1] == 2 else 1.0),
    }
)
_STANDS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("roc_auc", "average_precision"), "misranked"),
        **dict.fromkeys(("roc_auc_ovr", "roc_auc_ovo", "average_precision_macro"), "log_loss"),
        "ece": "brier",
    }
)
