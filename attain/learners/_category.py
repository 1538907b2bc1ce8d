"""Categories: text labels to codes, and codes to numbers a model can use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

UNSEEN = 0
"""Code of a label that training rows had less than twice, so its effect is learnt from those."""
_FOLDS = 5
_MOST_CLASSES = 10
"""Above, a target-encoded column would become too many columns; only its frequency is used."""


@dataclass(frozen=True, eq=False)
class Categories:
    """The labels of c categorical columns.

    Attributes:
        names: The columns.
        labels: Of each column, most frequent first; label i has code i + 1. A gap has the code
            after the last label's, anything else the code `UNSEEN`.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]

    @cached_property
    def _codes(self) -> tuple[dict[object, int], ...]:
        tables = []
        for labels in self.labels:
            table: dict[object, int] = {label: i + 1 for i, label in enumerate(labels)}
            table[None] = table[np.nan] = len(labels) + 1
            tables.append(table)
        return tuple(tables)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of codes of each column, shape (c,)."""
        return np.array([len(labels) + 2 for labels in self.labels], dtype=np.int64)

    def codes(self, X: pd.DataFrame) -> np.ndarray:
        """Codes of the labels.

        Args:
            X: Rows with at least these columns.

        Returns:
            Shape (n, c), int64.
        """
        codes = np.empty((len(X), len(self.names)), dtype=np.int64)
        for j, (name, table) in enumerate(zip(self.names, self._codes, strict=True)):
            values = X[name].to_numpy(dtype=object)
            codes[:, j] = np.fromiter(map(table.get, values, repeat(-1)), np.int64, len(values))
            for i in np.flatnonzero(codes[:, j] < 0):  # other spellings of a gap are rare
                codes[i, j] = UNSEEN if isinstance(values[i], str) else len(self.labels[j]) + 1
        return codes


def fit_categories(X: pd.DataFrame, names: Sequence[str]) -> Categories:
    """Learn the labels that occur at least twice.

    Args:
        X: Training rows.
        names: Categorical columns.

    Returns:
        Labels ordered by frequency, then by name.
    """
    found = []
    for name in names:
        counts = X[name].value_counts(dropna=True)
        often = [(-int(n), str(label)) for label, n in counts.items() if n > 1]
        found.append(tuple(label for _, label in sorted(often)))
    return Categories(tuple(names), tuple(found))


@dataclass(frozen=True, eq=False)
class OneHot:
    """A 0/1 column for each label of some columns; unseen labels are all 0.

    Attributes:
        columns: Positions of the columns among the categorical ones, shape (k,).
        starts: Where each column's codes begin in `slots`, shape (k,).
        slots: Output column of each code, or -1.
        width: Number of output columns.
    """

    columns: np.ndarray
    starts: np.ndarray
    slots: np.ndarray
    width: int

    def transform(self, codes: np.ndarray) -> np.ndarray:
        """The 0/1 columns.

        Args:
            codes: Shape (n, c), from `Categories.codes`.

        Returns:
            Shape (n, width), float64.
        """
        slots = self.slots[codes[:, self.columns] + self.starts]
        out = np.zeros((len(codes), self.width))
        row, column = np.nonzero(slots >= 0)
        out[row, slots[row, column]] = 1.0
        return out

    @property
    def sources(self) -> np.ndarray:
        """Position of the categorical column behind each output column, shape (width,)."""
        ends = np.append(self.starts, len(self.slots))[1:]
        found = np.empty(self.width, dtype=np.int64)
        for column, start, end in zip(self.columns, self.starts, ends, strict=True):
            slots = self.slots[start:end]
            found[slots[slots >= 0]] = column
        return found


def fit_one_hot(codes: np.ndarray, sizes: np.ndarray, columns: np.ndarray) -> OneHot:
    """Give every code that occurs an output column, except the unseen one.

    Args:
        codes: Of the training rows, shape (n, c).
        sizes: Number of codes of each column, shape (c,).
        columns: Positions of the columns to encode.

    Returns:
        The fitted encoding; columns with only one code get no output column.
    """
    slots = np.full(int(sizes[columns].sum()), -1, dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(sizes[columns])[:-1]]).astype(np.int64)
    width = 0
    for start, column in zip(starts, columns, strict=False):
        present = np.unique(codes[:, column])
        if len(present) < 2:
            continue
        for code in present[present != UNSEEN]:
            slots[start + code] = width
            width += 1
    return OneHot(columns, starts[: len(columns)], slots, width)


@dataclass(frozen=True, eq=False)
class TargetMeans:
    """Each label's shrunken target mean and log frequency.

    Attributes:
        columns: Positions of the columns among the categorical ones, shape (k,).
        starts: Where each column's codes begin in `table`, shape (k,).
        table: For each code k_out target means and the log frequency, shape (codes, k_out + 1).
    """

    columns: np.ndarray
    starts: np.ndarray
    table: np.ndarray

    def transform(self, codes: np.ndarray) -> np.ndarray:
        """The encoded columns.

        Args:
            codes: Shape (n, c), from `Categories.codes`.

        Returns:
            Shape (n, k * (k_out + 1)), float64.
        """
        found = self.table[codes[:, self.columns] + self.starts]
        return found.reshape(len(codes), len(self.columns) * self.table.shape[1])


def fit_target_means(
    codes: np.ndarray, sizes: np.ndarray, columns: np.ndarray, targets: np.ndarray, seed: int
) -> tuple[TargetMeans, np.ndarray]:
    """Learn target means; training rows get those of a model that has not seen them.

    Without the cross-fitting a label that occurs twice would give its rows' targets away
    (scikit-learn's TargetEncoder does the same).

    Args:
        codes: Of the training rows, shape (n, c).
        sizes: Number of codes of each column, shape (c,).
        columns: Positions of the columns to encode.
        targets: What to average, shape (n, k_out); see `target_columns`.
        seed: Of the folds.

    Returns:
        The encoding fitted to all rows, and the training rows' cross-fitted values.
    """
    starts = np.concatenate([[0], np.cumsum(sizes[columns])[:-1]]).astype(np.int64)[: len(columns)]
    flat = codes[:, columns] + starts
    total = int(sizes[columns].sum())
    table = _means(flat, total, targets)
    full = TargetMeans(columns, starts, table)
    crossed = table[flat]
    fold = np.random.default_rng(seed).permutation(len(codes)) % _FOLDS
    for k in range(_FOLDS if len(columns) else 0):
        others = _means(flat[fold != k], total, targets[fold != k])
        crossed[fold == k] = others[flat[fold == k]]
    crossed[..., -1] = table[flat, -1]  # frequencies give no target away
    return full, crossed.reshape(len(codes), flat.shape[1] * table.shape[1])


def target_columns(y: np.ndarray, classes: int) -> np.ndarray:
    """What target encoding averages.

    Args:
        y: Class codes or values, shape (n,).
        classes: Number of classes; 0 for values.

    Returns:
        The values; whether it is class 1, for two classes; else one column for each class, none
        above ten classes. Shape (n, k_out), float64.
    """
    if classes == 0:
        return np.asarray(y, dtype=np.float64)[:, None]
    if classes == 2:
        return (y == 1).astype(np.float64)[:, None]
    if classes > _MOST_CLASSES:
        return np.empty((len(y), 0))
    return (y[:, None] == np.arange(classes)).astype(np.float64)


def _means(flat: np.ndarray, total: int, targets: np.ndarray) -> np.ndarray:
    """Empirical Bayes shrinkage to the overall mean (Micci-Barreca 2001, equations 3 to 5).

    A label's mean has the weight n t / (n t + s), with t the variance of the target and s its
    variance within the label; as scikit-learn's ``TargetEncoder(smooth="auto")``.
    """
    rows, k = flat.shape
    codes = flat.ravel()
    n = np.bincount(codes, minlength=total).astype(np.float64)
    table = np.empty((total, targets.shape[1] + 1))
    table[:, -1] = np.log1p(n)
    for column, target in enumerate(targets.T):
        prior, spread = (target.mean(), target.var()) if rows else (0.0, 0.0)
        centred = np.repeat(target - prior, k)
        sums = np.bincount(codes, weights=centred, minlength=total)
        squares = np.bincount(codes, weights=centred**2, minlength=total)
        mean = sums / np.maximum(n, 1)
        within = np.maximum(squares / np.maximum(n, 1) - mean**2, 0.0)
        scale = n * spread + within
        weight = np.where(scale > 0, n * spread / np.where(scale > 0, scale, 1), 0.0)
        table[:, column] = prior + weight * mean
    return table
