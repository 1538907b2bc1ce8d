"""Parameters and small steps that several learners have in common."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from attain.core.errors import DataError, Problem
from attain.core.space import Categorical, Condition, Parameter
from attain.core.types import Dataset

_IMBALANCE = 2.0


def numeric_parameter(*choices: str, default: str, source: str, priority: int = 2) -> Categorical:
    """The choice of how numbers are scaled.

    Args:
        *choices: Kinds of `_numeric.Numeric`.
        default: One of them.
        source: Where the default comes from.
        priority: See `core.space`.

    Returns:
        A categorical parameter called ``numeric``.
    """
    return Categorical(
        name="numeric", choices=choices, default=default, source=source, priority=priority
    )


def only(*rungs: str) -> tuple[Condition, ...]:
    """What makes a parameter one of some rungs.

    Args:
        *rungs: Names of rungs.

    Returns:
        One condition.
    """
    return (Condition("rung", rungs),)


def weight_parameters(dataset: Dataset) -> tuple[Parameter, ...]:
    """Whether rare classes count more; asked only where classes differ in size.

    Args:
        dataset: Says how many rows each class has.

    Returns:
        One categorical parameter called ``class_weight``, or none when the largest class has less
        than twice the rows of the smallest, or a row carries several labels.
    """
    counts = dataset.class_counts
    if not counts or dataset.task.several or max(counts) < _IMBALANCE * max(min(counts), 1):
        return ()
    return (
        Categorical(
            name="class_weight",
            choices=("none", "balanced"),
            default="none",
            source="scikit-learn class_weight: weights n / (classes * count), King & Zeng 2001;"
            " balanced weights help recall of rare classes and spoil probabilities",
            priority=3,
        ),
    )


def row_weights(config: Any, y: np.ndarray) -> np.ndarray | None:
    """Weights that give each class the same total.

    Args:
        config: May hold ``class_weight``.
        y: Positions among the seen classes, shape (n,).

    Returns:
        Shape (n,), mean 1, or None when rows count the same.
    """
    if config.get("class_weight", "none") != "balanced":
        return None
    counts = np.bincount(y)
    weights: np.ndarray = (len(y) / (len(counts) * counts))[y]
    return weights


@contextmanager
def unconverged() -> Iterator[list[str]]:
    """Collect scikit-learn's warnings that an optimiser ran out of steps; let others through.

    Yields:
        A list that holds the messages once the block has ended.
    """
    from sklearn.exceptions import ConvergenceWarning

    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield found
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            found.append(str(warning.message))
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of scores.

    Args:
        scores: Shape (n, k).

    Returns:
        Shape (n, k), rows sum to 1.
    """
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return shares


def two_columns(scores: np.ndarray) -> np.ndarray:
    """Probabilities of two classes.

    Args:
        scores: Log odds of the second class, shape (n,).

    Returns:
        Shape (n, 2).
    """
    from scipy.special import expit

    return np.stack([expit(-scores), expit(scores)], axis=1)


def contrasts(seen: Sequence[int], classes: np.ndarray | None) -> np.ndarray:
    """What scores are multiplied with to tell of a class.

    Adding a number to all scores of a row changes no probability, so a class's score alone means
    nothing: it is taken relative to the mean of the others, with two classes the log odds.

    Args:
        seen: Codes of the classes that have a score, rising.
        classes: For each row the code of the class that is asked about, shape (n,).

    Returns:
        Shape (n, seen), float64.

    Raises:
        DataError: When a class was not among those that were trained on.
    """
    codes = np.asarray(classes)
    unseen = sorted({int(code) for code in codes} - set(seen))
    if unseen:
        rule, remedy = "a class must be among those trained on", "ask about the predicted class"
        raise DataError([Problem(rule, str(code), "classes", remedy) for code in unseen])
    found = np.full((len(codes), len(seen)), -1.0 / max(len(seen) - 1, 1))
    found[np.arange(len(codes)), np.searchsorted(np.array(seen), codes)] = 1.0
    return found


def log_loss(y: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log likelihood in nats.

    Args:
        y: Positions of the true classes, shape (n,).
        probabilities: Shape (n, k).

    Returns:
        Non-negative; a probability counts as at least 1e-15. NaN stays NaN.
    """
    right = probabilities[np.arange(len(y)), y]
    return float(-np.log(np.maximum(right, 1e-15)).mean())


def rmse(y: np.ndarray, values: np.ndarray) -> float:
    """Root mean squared error in the target's unit.

    Args:
        y: True values, shape (n,).
        values: Predicted values, shape (n,).

    Returns:
        Non-negative.
    """
    return float(np.sqrt(np.mean((y - values) ** 2)))
