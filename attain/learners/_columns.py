"""Dates and texts: turning them into numeric columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    import pandas as pd

_DAY = 86_400.0
_WORD = re.compile(r"\w+")
SIZES = 2
"""Numbers that a text becomes beside its topics."""
_MOST_WORDS = 5_000
_MOST_TEXTS = 20_000
"""Texts that words and their directions are learnt from; a larger sample changes them little."""


def gather_numbers(X: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """Numeric columns as one matrix.

    Args:
        X: Rows with at least these columns.
        names: Numeric or boolean columns.

    Returns:
        Shape (n, len(names)), float64. Infinities become gaps; numbers beyond 1e30 are clipped so
        that squares and single precision stay finite.
    """
    if len(names) > 32:  # one selection costs as much as about thirty single ones
        out = np.array(X[list(names)].to_numpy(dtype=np.float64))
    else:
        out = np.empty((len(X), len(names)))
        for j, name in enumerate(names):
            out[:, j] = X[name].to_numpy(dtype=np.float64)
    out[np.isinf(out)] = np.nan
    return np.clip(out, -1e30, 1e30, out=out)


@dataclass(frozen=True, eq=False)
class Dates:
    """Calendar parts of date columns.

    Attributes:
        names: The columns.
        origin: First second of each among the training rows, shape (d,); elapsed days count
            from it, so that single precision keeps minutes apart.
        cyclic: Whether parts of a cycle also come as sine and cosine, so that Sunday is next to
            Monday for models that weigh or measure distances.
    """

    names: tuple[str, ...]
    origin: np.ndarray
    cyclic: bool

    @property
    def parts(self) -> int:
        """Numbers that each column becomes."""
        return 14 if self.cyclic else 6

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """The parts of all date columns.

        Args:
            X: Rows with at least these columns.

        Returns:
            Shape (n, d * 6), or (n, d * 14) if cyclic; a missing date has NaN in all its parts.
        """
        parts = [
            part
            for name, origin in zip(self.names, self.origin, strict=True)
            for part in _date_parts(_seconds(X[name]), float(origin), self.cyclic)
        ]
        return np.stack(parts, axis=1) if parts else np.empty((len(X), 0))


def fit_dates(X: pd.DataFrame, names: Sequence[str], cyclic: bool) -> Dates:
    """Note where each date column begins.

    Args:
        X: Training rows.
        names: Date columns.
        cyclic: See `Dates`.

    Returns:
        The fitted preparation.
    """
    origin = []
    for name in names:
        seconds = _seconds(X[name])
        present = seconds[~np.isnat(seconds)]
        origin.append(float(present.min().astype(np.int64)) if len(present) else 0.0)
    return Dates(tuple(names), np.array(origin, dtype=np.float64), cyclic)


def _seconds(column: pd.Series) -> np.ndarray:
    return np.asarray(column, dtype="datetime64[s]")  # also reads a time zone, as UTC


def _date_parts(stamp: np.ndarray, origin: float, cyclic: bool) -> list[np.ndarray]:
    gone = np.isnat(stamp)
    day = stamp.astype("datetime64[D]")
    month = day.astype("datetime64[M]")
    year = month.astype("datetime64[Y]")
    second = stamp.astype(np.int64).astype(np.float64)
    number = day.astype(np.int64).astype(np.float64)
    parts = {
        "elapsed": (second - origin) / _DAY,
        "year": year.astype(np.int64).astype(np.float64) + 1970,
        "month": (month - year).astype(np.float64),
        "day": (day - month).astype(np.float64),
        "weekday": (number + 3) % 7,  # 1970-01-01 was a Thursday; Monday is 0
        "hour": (second % _DAY) / 3600,
    }
    values = list(parts.values())
    if cyclic:
        for name, period in (("month", 12), ("day", 31), ("weekday", 7), ("hour", 24)):
            angle = 2 * np.pi * parts[name] / period
            values += [np.sin(angle), np.cos(angle)]
    return [np.where(gone, np.nan, value) for value in values]


@dataclass(frozen=True, eq=False)
class Text:
    """One text column: its length, its number of words, and what it is about.

    Attributes:
        name: The column.
        words: Known words, position = column of `weights`.
        weights: Inverse document frequency of each word, shape (words,).
        directions: What each word adds to each of k topics (latent semantic analysis), shape
            (words, k); no columns for texts with fewer than two words in common.
    """

    name: str
    words: tuple[str, ...]
    weights: np.ndarray
    directions: np.ndarray

    @cached_property
    def _position(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def transform(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """The numbers that describe the texts.

        Args:
            X: Rows with at least this column.

        Returns:
            Logarithms of length and number of words, shape (n, 2), and topics, shape (n, k). A
            missing text is an empty one. Topics of a row have at most length 1; they must not be
            brought to one scale, or the faint ones, which are noise, would weigh as the main ones.
        """
        texts = _texts(X[self.name])
        tokens = [_WORD.findall(text) for text in texts]
        lengths = [[len(text), len(words)] for text, words in zip(texts, tokens, strict=True)]
        sizes = np.log1p(np.array(lengths, dtype=np.float64).reshape(-1, 2))
        if not self.directions.shape[1]:
            return sizes, np.empty((len(X), 0))
        return sizes, _tf_idf(tokens, self._position, self.weights) @ self.directions


def fit_text(X: pd.DataFrame, name: str, topics: int, seed: int) -> Text:
    """Learn the words of a text column and their main directions.

    TF-IDF with logarithmic counts, then a truncated singular value decomposition (Deerwester et
    al. 1990). Cheap, and honest about it: no word order, no knowledge from outside.

    Args:
        X: Training rows.
        name: The column.
        topics: At most so many directions.
        seed: Of the sample and the decomposition.

    Returns:
        The fitted preparation.
    """
    from sklearn.utils.extmath import randomized_svd

    texts = _texts(X[name])
    if len(texts) > _MOST_TEXTS:
        chosen = np.random.default_rng(seed).choice(len(texts), _MOST_TEXTS, replace=False)
        texts = [texts[i] for i in np.sort(chosen)]
    tokens = [_WORD.findall(text) for text in texts]
    documents = Counter(word for words in tokens for word in set(words))
    often = sorted((-n, word) for word, n in documents.items() if n > 1)[:_MOST_WORDS]
    words = tuple(word for _, word in often)
    counts = np.array([-n for n, _ in often], dtype=np.float64)
    weights = np.log((1 + len(texts)) / (1 + counts)) + 1
    if min(len(words), len(texts)) < 2:
        return Text(name, words, weights, np.empty((len(words), 0)))
    matrix = _tf_idf(tokens, {word: i for i, word in enumerate(words)}, weights)
    k = min(topics, len(words) - 1, len(texts) - 1)
    _, _, right = randomized_svd(matrix, k, n_iter=5, random_state=seed)
    return Text(name, words, weights, np.ascontiguousarray(right.T))


def _texts(column: pd.Series) -> list[str]:
    values = column.to_numpy(dtype=object)
    return [value.lower() if isinstance(value, str) else "" for value in values]


def _tf_idf(
    tokens: list[list[str]], position: dict[str, int], weights: np.ndarray
) -> sparse.csr_matrix:
    """Rows of (1 + log count) * weight with length 1, as scikit-learn's ``sublinear_tf``."""
    columns: list[int] = []
    counts: list[int] = []
    ends = [0]
    for words in tokens:
        found = Counter(position[word] for word in words if word in position)
        columns += found
        counts += found.values()
        ends.append(len(columns))
    values = (1 + np.log(np.array(counts, dtype=np.float64))) * weights[columns]
    row = np.repeat(np.arange(len(tokens)), np.diff(ends))
    length = np.sqrt(np.bincount(row, weights=values**2, minlength=len(tokens)))
    values /= np.where(length > 0, length, 1)[row]
    return sparse.csr_matrix((values, columns, ends), shape=(len(tokens), len(weights)))
