"""Metrics of a confusion matrix; each works on a stack of matrices, for resampling.

Counts have shape (..., K, K), rows are true classes, columns predicted ones. A quotient 0 / 0
counts as 0, as in scikit-learn. Macro means run over classes that occur in truth or prediction,
weighted means over rows, as scikit-learn's do when no labels are given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import cast

import numpy as np

CountMetric = Callable[[np.ndarray], np.ndarray]
LEAST = 0.5
"""Probability from which the second of two classes, or a label, is predicted."""


def labels(prediction: np.ndarray) -> np.ndarray:
    """Predicted class codes, shape (n,); of two classes the second from probability 0.5 on."""
    if prediction.shape[1] == 2:
        return (prediction[:, 1] >= LEAST).astype(np.int64)
    return cast(np.ndarray, prediction.argmax(axis=1))


def cells(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Flat position of each row in the confusion matrix, shape (n,)."""
    return cast(np.ndarray, y * prediction.shape[1] + labels(prediction))


def matrix(cell: np.ndarray, k: int) -> np.ndarray:
    """Confusion matrix of shape (k, k) from flat positions."""
    return np.bincount(cell, minlength=k * k).reshape(k, k).astype(float)


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros(np.shape(above)), where=below > 0)


def _parts(c: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hits, true rows and predicted rows of each class, shapes (..., K)."""
    return np.einsum("...kk->...k", c), c.sum(axis=-1), c.sum(axis=-2)


def _recalls(c: np.ndarray) -> np.ndarray:
    hit, true, _ = _parts(c)
    return _ratio(hit, true)


def _precisions(c: np.ndarray) -> np.ndarray:
    hit, _, said = _parts(c)
    return _ratio(hit, said)


def _fbetas(c: np.ndarray, beta: float = 1.0) -> np.ndarray:
    hit, true, said = _parts(c)
    return _ratio((1 + beta**2) * hit, beta**2 * true + said)


def _positive(c: np.ndarray, each: CountMetric, code: int = 1) -> np.ndarray:
    return each(c)[..., code]


def _macro(c: np.ndarray, each: CountMetric) -> np.ndarray:
    _, true, said = _parts(c)
    seen = true + said > 0
    return cast(np.ndarray, (each(c) * seen).sum(axis=-1) / seen.sum(axis=-1))


def _weighted(c: np.ndarray, each: CountMetric) -> np.ndarray:
    true = c.sum(axis=-1)
    return cast(np.ndarray, (each(c) * true).sum(axis=-1) / true.sum(axis=-1))


def _balanced(c: np.ndarray) -> np.ndarray:
    present = c.sum(axis=-1) > 0
    return cast(np.ndarray, (_recalls(c) * present).sum(axis=-1) / present.sum(axis=-1))


def _accuracy(c: np.ndarray) -> np.ndarray:
    return cast(np.ndarray, _parts(c)[0].sum(axis=-1) / c.sum(axis=(-1, -2)))


def _mcc(c: np.ndarray) -> np.ndarray:
    """Gorodkin (2004), the correlation of true and predicted class."""
    hit, true, said = _parts(c)
    n = c.sum(axis=(-1, -2))
    above = hit.sum(axis=-1) * n - (true * said).sum(axis=-1)
    below = (n**2 - (true**2).sum(axis=-1)) * (n**2 - (said**2).sum(axis=-1))
    return _ratio(above, np.sqrt(np.maximum(below, 0)))


def _kappa(c: np.ndarray, quadratic: bool = False) -> np.ndarray:
    """Cohen (1960, 1968): one minus weighted disagreement over that expected by chance."""
    k = c.shape[-1]
    apart = np.subtract.outer(np.arange(k), np.arange(k))
    weight = apart.astype(float) ** 2 if quadratic else (apart != 0).astype(float)
    _, true, said = _parts(c)
    expected = true[..., :, None] * said[..., None, :] / c.sum(axis=(-1, -2))[..., None, None]
    seen, chance = (c * weight).sum(axis=(-1, -2)), (expected * weight).sum(axis=(-1, -2))
    return np.where(chance > 0, 1 - _ratio(seen, chance), 0.0)


_FIXED: Mapping[str, CountMetric] = MappingProxyType(
    {
        "accuracy": _accuracy,
        "f1_micro": _accuracy,
        "recall_weighted": _accuracy,
        "balanced_accuracy": _balanced,
        "precision": partial(_positive, each=_precisions),
        "recall": partial(_positive, each=_recalls),
        "specificity": partial(_positive, each=_recalls, code=0),
        "f1": partial(_positive, each=_fbetas),
        "precision_macro": partial(_macro, each=_precisions),
        "recall_macro": partial(_macro, each=_recalls),
        "f1_macro": partial(_macro, each=_fbetas),
        "f1_weighted": partial(_weighted, each=_fbetas),
        "precision_weighted": partial(_weighted, each=_precisions),
        "mcc": _mcc,
        "kappa": _kappa,
        "kappa_quadratic": partial(_kappa, quadratic=True),
    }
)
NAMES = (*_FIXED, "fbeta")


def count_metric(base: str, argument: float | None) -> CountMetric:
    """The function of the counts for one of `NAMES`; the argument is the beta of ``fbeta``."""
    if base == "fbeta":
        return partial(_positive, each=partial(_fbetas, beta=1.0 if argument is None else argument))
    return _FIXED[base]
