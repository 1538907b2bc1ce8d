"""A quick model, for what an audit can only know from one: out-of-fold predictions in seconds.

Texts (with whatever stands beside them) are read by TF-IDF and a linear model fitted by stochastic
gradients, tables by 60 rounds of histogram boosting. It is no candidate of the search, and what it
scores is never shown as what can be reached.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from attain.core.types import Column, ColumnKind
from attain.data.hashing import mix, name_hash
from attain.data.looks import looks

FOLDS = 5
MOST_LEVELS = 60  # categories told apart, the most frequent ones
MOST_WORDS = 50_000  # words and pairs of words
MOST_CELLS = 1_000_000  # of a table that is learnt from; more rows are sampled by their hash
MOST_ROWS = 20_000
_ROUNDS = 60
_MANY_CLASSES = 10  # beyond so many a linear model is quicker than a tree for each


@dataclass(frozen=True, eq=False)
class Design:
    """Features as a quick model reads them.

    Attributes:
        X: float32 with NaN, dense, shape (n, m), or sparse without NaN.
        categorical: Which dense columns hold codes of categories, shape (m,).
    """

    X: Any
    categorical: tuple[bool, ...] = ()

    @property
    def linear(self) -> bool:
        """Whether it is for a linear model."""
        return not isinstance(self.X, np.ndarray)


@dataclass(frozen=True, eq=False)
class Quick:
    """What a quick model says of rows that it was not fitted to.

    Attributes:
        rows: Positions of the rows, int64, shape (m,).
        fold: Fold of each, int64, shape (m,).
        guess: Probabilities, shape (m, k), or values, shape (m,).
    """

    rows: np.ndarray
    fold: np.ndarray
    guess: np.ndarray


def most_rows(deep: bool) -> int:
    """How many rows a quick model is fitted to at most."""
    return 10 * MOST_ROWS if deep else MOST_ROWS


def rows_for(order: np.ndarray, columns: int, most: int = MOST_ROWS) -> np.ndarray:
    """Which rows a quick model is fitted to.

    Args:
        order: A hash of each row, uint64, shape (n,).
        columns: Number of features.
        most: Rows at most.

    Returns:
        Positions, sorted; the same for the same rows, whatever their order.
    """
    cells = MOST_CELLS * max(1, most // MOST_ROWS)
    most = int(min(most, max(1_000, cells // max(columns, 1))))
    if len(order) <= most:
        return np.arange(len(order))
    return np.sort(np.argpartition(mix(order), most)[:most])


def fold_of(units: np.ndarray, folds: int = FOLDS, seed: int = 0) -> np.ndarray:
    """The fold of each row, by a hash; equal units are never divided.

    Args:
        units: Hash of each row or of its group, uint64, shape (n,).
        folds: How many.
        seed: Of the choice.

    Returns:
        int64 in [0, folds), shape (n,).
    """
    drawn = mix(units ^ name_hash(f"audit {seed}"))
    return (drawn >> np.uint64(33)).astype("int64") % folds


def encode(X: pd.DataFrame, columns: Sequence[Column], *, linear: bool = False) -> Design:
    """Features for a quick model.

    Args:
        X: Typed features, shape (n, m).
        columns: Those of them to use.
        linear: Whether a linear model is to read a table too.

    Returns:
        A sparse design with texts or when asked, else a dense one.
    """
    if linear or any(c.kind is ColumnKind.TEXT or c.kind.is_media for c in columns):
        from scipy.sparse import hstack

        parts = [_sparse(X[c.name], c) for c in columns]
        return Design(hstack(parts, format="csr", dtype="float32"))
    dense = np.empty((len(X), len(columns)), dtype="float32")
    for i, column in enumerate(columns):
        dense[:, i] = _codes(X[column.name]) if _is_word(column) else _scaled(X[column.name])
    return Design(dense, tuple(map(_is_word, columns)))


def directions(features: np.ndarray) -> Design:
    """What a pre-trained model says of rows, for a linear model.

    Args:
        features: Rows of mean square 1, shape (n, d).

    Returns:
        The same with length 1, as texts have.
    """
    from scipy.sparse import csr_matrix

    return Design(csr_matrix(features / np.sqrt(features.shape[1])))


def _is_word(column: Column) -> bool:
    return column.kind is ColumnKind.CATEGORICAL


def _numbers(values: pd.Series) -> np.ndarray:
    if values.dtype.kind == "M":
        stamps = values.to_numpy().astype("datetime64[us]")
        return np.where(np.isnat(stamps), np.nan, stamps.astype("int64").astype("float64"))
    return values.to_numpy(dtype="float64")


def _scaled(values: pd.Series) -> np.ndarray:
    """Numbers about their median in units of their spread, so that they fit 32 bits."""
    numbers = _numbers(values)
    present = numbers[~np.isnan(numbers)]
    if not len(present):
        return numbers
    size = max(float(np.abs(present).max()), np.finfo("float64").tiny)
    middle, spread = float(np.median(present / size)), float((present / size).std())
    return np.asarray((numbers / size - middle) / (spread or 1.0), dtype="float64")


def _codes(values: pd.Series) -> np.ndarray:
    """Ranks of the most frequent categories; rarer ones share one, missing is NaN."""
    codes, levels = pd.factorize(values)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    rank = np.empty(len(levels) + 1)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(levels))
    rank = np.minimum(rank, MOST_LEVELS)
    rank[-1] = np.nan
    return rank[codes]


def _sparse(values: pd.Series, column: Column) -> Any:
    """One column for a linear model."""
    from scipy.sparse import csr_matrix

    if column.kind is ColumnKind.TEXT:
        return _tfidf(values.fillna("").astype(object).tolist())
    if column.kind.is_media:
        return csr_matrix(_summed(values))
    n = len(values)
    if _is_word(column):
        codes = np.nan_to_num(_codes(values), nan=MOST_LEVELS + 1).astype("int64")
        return csr_matrix((np.ones(n), (np.arange(n), codes)), shape=(n, MOST_LEVELS + 2))
    scaled = _scaled(values)
    clipped = np.clip(np.nan_to_num(scaled, nan=0.0), -4, 4) / 4
    return csr_matrix(np.stack([clipped, np.isnan(scaled)], axis=1))


def _summed(values: pd.Series) -> np.ndarray:
    """Small pictures of images and clips, each number of mean 0 and spread 1; what cannot be read
    is 0."""
    found = looks(values)
    width = next((len(at.numbers) for at in found if at is not None), 1)
    rows = [np.full(width, np.nan) if at is None or at.fault else at.numbers for at in found]
    numbers = np.stack(rows).astype("float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nothing of a column may be readable
        middle, spread = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
    scaled = (numbers - middle) / np.where(spread > 0, spread, 1.0)
    return np.nan_to_num(scaled) / np.sqrt(width)


def _tfidf(texts: list[str]) -> Any:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

    reader = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=2 if len(texts) > 100 else 1,
        max_features=MOST_WORDS,
        sublinear_tf=True,
        token_pattern=r"(?u)\b\w+\b",
    )
    try:
        return reader.fit_transform(texts)
    except ValueError:  # no word occurs twice
        return csr_matrix((len(texts), 1))


def out_of_fold(
    design: Design,
    y: np.ndarray,
    fold: np.ndarray,
    classes: int,
    seed: int = 0,
    learn: np.ndarray | None = None,
) -> np.ndarray:
    """Predictions for each row by a model that was not fitted to its fold.

    Args:
        design: Features of n rows.
        y: Class codes or values, shape (n,).
        fold: Fold of each row, shape (n,).
        classes: Number of classes, 0 for regression.
        seed: Of the models.
        learn: Rows that may be learnt from, booleans, shape (n,); None for all.

    Returns:
        Probabilities, shape (n, classes), or values, shape (n,).
    """
    guess = np.full((len(y), classes) if classes else len(y), np.nan)
    for k in np.unique(fold):
        here = fold == k
        fit = ~here if learn is None else ~here & learn
        guess[here] = fitted(design, y, fit, here, classes, seed)
    return guess


def fitted(
    design: Design, y: np.ndarray, fit: np.ndarray, ask: np.ndarray, classes: int, seed: int = 0
) -> np.ndarray:
    """Predictions for some rows by a model of others.

    Args:
        design: Features of n rows.
        y: Class codes or values, shape (n,).
        fit: Rows to learn from, booleans, shape (n,).
        ask: Rows to predict, booleans, shape (n,).
        classes: Number of classes, 0 for regression.
        seed: Of the model.

    Returns:
        Probabilities, shape (asked, classes), or values, shape (asked,).
    """
    from threadpoolctl import threadpool_limits

    # few rows gain nothing by threads, and on a busy machine threads that wait for each other spin
    with threadpool_limits(1):
        return _fitted(design, y, fit, ask, classes, seed)


def _fitted(
    design: Design, y: np.ndarray, fit: np.ndarray, ask: np.ndarray, classes: int, seed: int
) -> np.ndarray:
    X, known = design.X[fit], y[fit]
    if not classes:
        model = _regressor(design, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an end before convergence is meant
            return np.asarray(model.fit(X, known).predict(design.X[ask]), dtype="float64")
    guess = np.zeros((int(ask.sum()), classes))
    present = np.unique(known)
    if len(present) < 2:
        guess[:, present] = 1.0
        return guess
    model = _classifier(design, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guess[:, present] = model.fit(X, known).predict_proba(design.X[ask])
    return guess


def _classifier(design: Design, seed: int) -> Any:
    if design.linear:
        from sklearn.linear_model import SGDClassifier

        return SGDClassifier(
            "log_loss", alpha=1e-5, max_iter=8, tol=None, average=True, random_state=seed
        )
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(**_boosting(design, seed))


def _regressor(design: Design, seed: int) -> Any:
    if design.linear:
        from sklearn.linear_model import Ridge

        return Ridge(alpha=1.0, solver="sparse_cg", tol=1e-3, max_iter=200)
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(**_boosting(design, seed))


def _boosting(design: Design, seed: int) -> dict[str, Any]:
    return {
        "max_iter": _ROUNDS,
        "learning_rate": 0.15,
        "max_leaf_nodes": 15,
        "early_stopping": False,
        "l2_regularization": 1.0,  # without it rare classes blow up
        "categorical_features": np.array(design.categorical, dtype=bool),
        "random_state": seed,
    }


def wants_linear(classes: int, columns: Sequence[Column]) -> bool:
    """Whether a linear model is the quicker one."""
    read = any(c.kind is ColumnKind.TEXT or c.kind.is_media for c in columns)
    return read or classes > _MANY_CLASSES
