"""Quality metrics: the same formulas as scikit-learn, without its checks, fast enough per trial.

Predictions are probabilities of shape (n, K) for class codes y, or values of shape (n,); where rows
carry several labels, both are matrices (`_labels`); those of some tasks are counts and sums
(`core.counts`), whose metrics are in `_ratios`. Of two classes, code 1 is the positive one,
predicted from probability 0.5 on. A metric that these rows leave undefined raises `DataError`
instead of returning a number that means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from attain.core.errors import DataError, Problem, SpecError, did_you_mean
from attain.stats import influence
from attain.validate import _counts, _labels, _ratios, _rowwise

Compute = Callable[[np.ndarray, np.ndarray, float | None], float]

ECE_BINS = 15  # Guo et al. (2017), arXiv 1706.04599; of equal mass, Nguyen & O'Connor (2015)

# metrics of two classes, and what to use for more
BINARY_ONLY: Mapping[str, str] = MappingProxyType(
    {
        "precision": "precision_macro",
        "recall": "recall_macro",
        "specificity": "balanced_accuracy",
        "f1": "f1_macro",
        "fbeta": "f1_macro",
        "roc_auc": "roc_auc_ovr",
        "average_precision": "average_precision_macro",
    }
)
REGRESSION = frozenset(
    {
        "rmse", "mse", "mae", "medae", "mape", "smape", "r2", "explained_variance", "max_error",
        "rmsle", "pinball",
    }
)  # fmt: skip


def compute(metric: str, y: np.ndarray, prediction: np.ndarray) -> float:
    """The value of a metric.

    Args:
        metric: Name in `COMPUTE`, with its argument if any (``fbeta@2``, ``pinball@0.9``).
        y: Class codes or values, shape (n,), or labels (0 or 1), shape (n, K).
        prediction: Probabilities of shape (n, K), or values of shape (n,).

    Returns:
        The value in metric units.

    Raises:
        SpecError: If there is no such metric.
        DataError: If it is undefined on these rows, or predictions do not fit them.
    """
    base, argument = parse(metric)
    y, prediction = checked(metric, y, prediction)
    return {**COMPUTE, **_ratios.COMPUTE}[base](y, prediction, argument)


def parse(metric: str) -> tuple[str, float | None]:
    """Name and argument of a metric.

    Args:
        metric: Such as ``f1`` or ``fbeta@2``.

    Returns:
        ``("f1", None)`` or ``("fbeta", 2.0)``.

    Raises:
        SpecError: If no quality metric has this name, or the argument is not a number.
    """
    base, at, text = metric.partition("@")
    if base not in COMPUTE and base not in _ratios.COMPUTE:
        rule = "a quality metric must be in the metric table"
        raise SpecError(
            Problem(rule, metric, remedy=did_you_mean(base, [*COMPUTE, *_ratios.COMPUTE]))
        )
    try:
        argument = float(text) if at else None
    except ValueError:
        argument = math.nan
    if argument is not None and not math.isfinite(argument):
        rule = "what follows @ must be a number"
        raise SpecError(Problem(rule, metric, remedy=f"write for example {base}@0.5"))
    return base, argument


def checked(metric: str, y: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction, fit to be scored by a metric.

    Args:
        metric: Name of a quality metric, with its argument if any.
        y: Class codes or values, shape (n,), or labels, shape (n, K).
        prediction: Probabilities or values.

    Returns:
        Codes as int64 or values as float64, and predictions as float64.

    Raises:
        DataError: With every reason why the metric is undefined here.
    """
    base, argument = parse(metric)
    if base in _ratios.COMPUTE:
        return _ratios.checked(base, y, prediction)
    if np.ndim(y) == 2:
        return _labels.checked(metric, np.asarray(y), prediction)
    y, p = np.asarray(y), np.asarray(prediction, float)
    problems = _misfits(metric, base, y, p)
    if problems:
        raise DataError(problems)
    y = y.astype(float) if base in REGRESSION else y.astype(np.int64)
    for test, rule, remedy in _NEEDS.get(base, ()):
        if not test(y, p, argument):
            problems.append(Problem(f"{metric} {rule}", place=f"{len(y)} rows", remedy=remedy))
    if problems:
        raise DataError(problems)
    return y, p


def _misfits(metric: str, base: str, y: np.ndarray, p: np.ndarray) -> list[Problem]:
    """What is wrong with the shapes and numbers, before any metric is asked."""
    shape = f"truth {y.shape}, prediction {p.shape}"
    if y.ndim != 1 or len(y) == 0 or len(p) != len(y):
        rule = "truth and prediction need the same number of rows, at least one"
        return [Problem(rule, shape, metric)]
    if base in _labels.ONLY:
        rule = f"{metric} is for rows with several labels"
        return [Problem(rule, shape, remedy="use accuracy, or f1_macro")]
    if base in REGRESSION:
        if p.ndim != 1:
            rule = f"{metric} needs one predicted value for each row"
            return [Problem(rule, shape, remedy="use a metric for classes, such as log_loss")]
    elif p.ndim != 2 or p.shape[1] < 2:
        rule = f"{metric} needs probabilities of at least two classes for each row"
        return [Problem(rule, shape, remedy="use a metric for values, such as rmse")]
    if base in BINARY_ONLY and p.shape[1] != 2:
        rule = f"{metric} is defined for two classes"
        return [Problem(rule, f"{p.shape[1]} classes", remedy=f"use {BINARY_ONLY[base]}")]
    problems = []
    if not np.isfinite(p).all():
        bad = int((~np.isfinite(p.reshape(len(p), -1)).all(axis=1)).sum())
        rule = "predictions must be finite numbers"
        problems.append(Problem(rule, f"{bad} of {len(p)} rows are not", metric))
    if base in REGRESSION:
        if not np.isfinite(y.astype(float)).all():
            problems.append(Problem("true values must be finite numbers", place=metric))
    elif y.min() < 0 or y.max() >= p.shape[1]:
        rule = f"class codes must lie in 0 to {p.shape[1] - 1}"
        problems.append(Problem(rule, f"{y.min()} to {y.max()}", metric))
    return problems


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    m = int(positive.sum())
    n = len(score) - m
    ranks = influence.midranks(score)[positive].sum()
    return float((ranks - m * (m + 1) / 2) / (m * n))


def _over_classes(y: np.ndarray, p: np.ndarray, each: Callable[..., float]) -> float:
    """Mean over the classes that occur, each against the rest."""
    return float(np.mean([each(p[:, k], y == k) for k in np.unique(y)]))


def _average_precision(score: np.ndarray, positive: np.ndarray) -> float:
    return influence.of_average_precision(score, positive)[0]


def _ovo(y: np.ndarray, p: np.ndarray, _: float | None) -> float:
    """Hand & Till (2001): mean over pairs of classes and over which of the two is positive."""
    codes = np.unique(y)
    values = []
    for position, a in enumerate(codes):
        for b in codes[position + 1 :]:
            pair = (y == a) | (y == b)
            values += [_auc(p[pair, a], y[pair] == a), _auc(p[pair, b], y[pair] == b)]
    return float(np.mean(values))


def calibration_bins(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bin and gap of each row: confidence minus what happened.

    Args:
        y: Class codes, shape (n,).
        p: Probabilities, shape (n, K). Of two classes the positive's is judged, else the top one.

    Returns:
        Bin of each row in [0, ECE_BINS), of equal mass, equal confidences in one bin; and gap of
        each row, in [-1, 1]; both of shape (n,).
    """
    said = p[:, 1] if p.shape[1] == 2 else p.max(axis=1)
    came = y if p.shape[1] == 2 else (_counts.labels(p) == y)
    edges = np.quantile(said, np.arange(1, ECE_BINS) / ECE_BINS)
    return np.searchsorted(edges, said, side="right"), said - came


def _ece(y: np.ndarray, p: np.ndarray, _: float | None) -> float:
    bins, gap = calibration_bins(y, p)
    return float(np.abs(np.bincount(bins, weights=gap)).sum() / len(y))


def _r2(y: np.ndarray, error: np.ndarray) -> float:
    return float(1 - np.mean(error**2) / np.var(y))


def _mean(base: str) -> Compute:
    values = _rowwise.MEANS[base]
    return lambda y, p, argument: float(values(y, p, argument).mean())


def _root(base: str) -> Compute:
    values = _rowwise.ROOTS[base]
    return lambda y, p, argument: math.sqrt(values(y, p, argument).mean())


def _first(base: str) -> Compute:
    return lambda y, p, argument: _labels.LINEAR[base](y, p, argument)[0]


def _count(base: str) -> Compute:
    def value(y: np.ndarray, p: np.ndarray, argument: float | None) -> float:
        counts = _counts.matrix(_counts.cells(y, p), p.shape[1])
        return float(_counts.count_metric(base, argument)(counts))

    return value


_ONE_CLASS: Mapping[str, Compute] = MappingProxyType(
    {base: _count(base) for base in _counts.NAMES}
    | {base: _mean(base) for base in _rowwise.MEANS}
    | {base: _root(base) for base in _rowwise.ROOTS}
    | {
        "roc_auc": lambda y, p, _: _auc(p[:, 1], y == 1),
        "roc_auc_ovr": lambda y, p, _: _over_classes(y, p, _auc),
        "roc_auc_ovo": _ovo,
        "average_precision": lambda y, p, _: _average_precision(p[:, 1], y == 1),
        "average_precision_macro": lambda y, p, _: _over_classes(y, p, _average_precision),
        "ece": _ece,
        "medae": lambda y, p, _: float(np.median(np.abs(y - p))),
        "max_error": lambda y, p, _: float(np.abs(y - p).max()),
        "r2": lambda y, p, _: _r2(y, p - y),
        "explained_variance": lambda y, p, _: _r2(y, (p - y) - np.mean(p - y)),
    }
)
COMPUTE: Mapping[str, Compute] = MappingProxyType(
    _labels.by_shape(
        _ONE_CLASS, {base: _first(base) for base in _labels.LINEAR}, lambda y, p, argument: y
    )
)

Need = tuple[Callable[[np.ndarray, np.ndarray, float | None], bool], str, str]

_POSITIVE: Need = (
    lambda y, p, _: bool((y == 1).any()),
    "is undefined without a row of the positive class",
    "use fewer folds, more rows, or log_loss",
)
_NEGATIVE: Need = (
    lambda y, p, _: bool((y == 0).any()),
    "is undefined without a row of the negative class",
    "use fewer folds, more rows, or log_loss",
)
_TWO_CLASSES: Need = (
    lambda y, p, _: bool((y != y[0]).any()),
    "is undefined when all rows are of one class",
    "use fewer folds, more rows, or log_loss",
)
_VARIED: Need = (
    lambda y, p, _: bool((y != y[0]).any()),
    "is undefined when all true values are equal",
    "use rmse or mae",
)
_NEEDS: Mapping[str, tuple[Need, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("recall", "f1", "fbeta", "average_precision"), (_POSITIVE,)),
        "specificity": (_NEGATIVE,),
        "roc_auc": (_POSITIVE, _NEGATIVE),
        **dict.fromkeys(("roc_auc_ovr", "roc_auc_ovo", "average_precision_macro"), (_TWO_CLASSES,)),
        **dict.fromkeys(("r2", "explained_variance"), (_VARIED,)),
        "mape": (
            (lambda y, p, _: bool((y != 0).all()), "is undefined where a true value is 0",
             "use smape or mae"),
        ),
        "rmsle": (
            (lambda y, p, _: bool((y >= 0).all()), "is undefined for negative true values",
             "use rmse or mae"),
        ),
        "top_k_accuracy": (
            (lambda y, p, k: (k or 1) < p.shape[1],
             "is always 1 unless k is below the number of classes", "use a smaller k"),
        ),
    }
)  # fmt: skip
