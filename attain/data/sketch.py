"""One pass over the rows that all checks read: typed values, levels, hashes, and a fixed sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from attain.core.protocols import Subject
from attain.core.types import Column, ColumnKind
from attain.data import cells, quick
from attain.data.hashing import cell_hash, row_hash
from attain.data.looks import CLOSE, Look, close_pairs, looks
from attain.data.near import NearCopies, near_copies, together
from attain.data.quick import Quick

MOST_FILES = 10_000  # images or clips that are decoded
MOST_READ = 2_000  # of them that a pre-trained model reads
SAMPLE = 50_000  # rows on which a column's strength is measured; chosen by hash, so always the same
MOST_BINS = 256
ROWS_PER_BIN = 20


@dataclass(frozen=True, eq=False)
class Levels:
    """The distinct texts of a column.

    Attributes:
        codes: Position in `names` of each row's text, -1 when missing, shape (n,).
        names: Distinct texts, shape (k,).
        counts: Rows of each text, shape (k,).
    """

    codes: np.ndarray
    names: np.ndarray
    counts: np.ndarray


class Sketch:
    """What all checks read of the unsealed rows; each part is computed when first asked for.

    Args:
        subject: The rows.
    """

    def __init__(self, subject: Subject) -> None:
        self.dataset = subject.dataset
        self.frame = subject.frame
        self.rows = subject.rows
        self.n = len(subject.rows)
        self.deep = subject.deep
        self.seed = subject.seed
        self.read = subject.read
        self.y = np.zeros(self.n) if subject.rows.y is None else subject.rows.y
        if self.y.ndim == 2:  # rows with the same labels are alike, all others are not
            self.y = np.unique(self.y, axis=0, return_inverse=True)[1].ravel()
        self._levels: dict[str, Levels] = {}

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that a learner sees."""
        return self.dataset.features

    @cached_property
    def numeric(self) -> Mapping[str, np.ndarray]:
        """Values of each numeric feature, float64, shape (n,)."""
        return {
            c.name: self.rows.X[c.name].to_numpy(dtype="float64")
            for c in self.features
            if c.kind is ColumnKind.NUMERIC
        }

    @cached_property
    def missing(self) -> Mapping[str, int]:
        """Missing cells of each feature, as learners see them."""
        return {c.name: int(self.rows.X[c.name].isna().sum()) for c in self.features}

    @cached_property
    def words(self) -> Mapping[str, Levels]:
        """Distinct texts of each categorical feature."""
        return {
            c.name: self.levels(c.name) for c in self.features if c.kind is ColumnKind.CATEGORICAL
        }

    @cached_property
    def texts(self) -> Mapping[str, np.ndarray]:
        """Cells of each feature of running text, empty where missing, object, shape (n,)."""
        return {
            c.name: self.rows.X[c.name].fillna("").to_numpy(dtype=object)
            for c in self.features
            if c.kind is ColumnKind.TEXT
        }

    @cached_property
    def near(self) -> NearCopies:
        """Rows whose texts, all columns of them together, are almost the same."""
        return near_copies(together(self.texts, self.n), self.hashes)

    @cached_property
    def media_columns(self) -> tuple[str, ...]:
        """The column of images or clips, if there is one."""
        return tuple(c.name for c in self.features if c.kind.is_media)

    @property
    def media_kind(self) -> ColumnKind:
        """Of that column."""
        return next(c.kind for c in self.features if c.kind.is_media)

    @cached_property
    def media_cells(self) -> np.ndarray:
        """Its references, object, shape (n,)."""
        (name,) = self.media_columns
        return self.rows.X[name].to_numpy(dtype=object)

    @cached_property
    def media_rows(self) -> np.ndarray:
        """Positions of the rows whose files are looked at, chosen by their hash, sorted."""
        return quick.rows_for(self.hashes, 1, MOST_FILES * (10 if self.deep else 1))

    @cached_property
    def media(self) -> list[Look | None]:
        """What is seen of these files; empty without such a column."""
        return looks(self.media_cells[self.media_rows]) if self.media_columns else []

    @cached_property
    def media_pairs(self) -> np.ndarray:
        """Pairs of these files that are almost the same, int64, shape (pairs, 2).

        Equal files are left out, and those of one group and class: no split divides them.
        """
        pairs = close_pairs(self.media, CLOSE)
        hashes, y = self.hashes[self.media_rows], self.y[self.media_rows]
        one, other = pairs.T
        matters = np.ones(len(pairs), dtype=bool)
        if self.rows.groups is not None:
            groups = self.units[self.media_rows]
            matters = groups[one] != groups[other]
            matters |= (y[one] != y[other]) & (self.classes > 0)
        return pairs[matters & (hashes[one] != hashes[other])]

    @cached_property
    def units(self) -> np.ndarray:
        """Hash of what no fold may divide, a group or equal rows, uint64, shape (n,)."""
        return self.hashes if self.rows.groups is None else cell_hash(self.rows.groups)

    @cached_property
    def quick(self) -> Quick:
        """What a quick model predicts for rows it was not fitted to."""
        rows = quick.rows_for(self.hashes, len(self.features), quick.most_rows(self.deep))
        linear = quick.wants_linear(self.classes, self.features)
        design = quick.encode(self.rows.X.iloc[rows], self.features, linear=linear)
        fold = quick.fold_of(self.units[rows], seed=self.seed)
        guess = quick.out_of_fold(design, self.y[rows], fold, self.classes, self.seed)
        return Quick(rows, fold, guess)

    @cached_property
    def told(self) -> Quick | None:
        """The same by a pre-trained model's features of files, with a linear model on them.

        None where no model was named. Groups are divided, equal files are not: that a new speaker
        is hard to understand says nothing of labels (12 % of the surest were doubted, all right).
        """
        if self.read is None or not self.media_columns or not self.classes:
            return None
        rows = quick.rows_for(self.hashes, 1, MOST_READ * (10 if self.deep else 1))
        design = quick.directions(self.read(self.media_cells[rows].tolist()))
        fold = quick.fold_of(self.hashes[rows], seed=self.seed)
        guess = quick.out_of_fold(design, self.y[rows], fold, self.classes, self.seed)
        return Quick(rows, fold, guess)

    def levels(self, name: str) -> Levels:
        """Distinct texts of a column of the frame as read."""
        if name not in self._levels:
            codes, names = pd.factorize(cells.texts(cells.plain(self.frame[name])))
            counts = np.bincount(codes[codes >= 0], minlength=len(names))
            self._levels[name] = Levels(codes, np.asarray(names, dtype=object), counts)
        return self._levels[name]

    @cached_property
    def hashes(self) -> np.ndarray:
        """Hash of each row's features, uint64, shape (n,)."""
        return row_hash(self.rows.X)

    @cached_property
    def column_hashes(self) -> Mapping[str, bytes]:
        """Content of each feature, equal for columns that are copies of each other."""
        return {c.name: cell_hash(self.rows.X[c.name]).tobytes() for c in self.features}

    @cached_property
    def sample(self) -> np.ndarray:
        """Positions of at most 50,000 rows, chosen by their hash, sorted."""
        if self.n <= SAMPLE:
            return np.arange(self.n)
        return np.sort(np.argpartition(self.hashes, SAMPLE)[:SAMPLE])

    @cached_property
    def half(self) -> np.ndarray:
        """Which of two halves each sampled row is in; equal rows are in the same one."""
        return ((self.hashes[self.sample] >> np.uint64(17)) & np.uint64(1)).astype(bool)

    @cached_property
    def target_bins(self) -> np.ndarray:
        """Class codes, or values scaled to [-1, 1], of the sampled rows."""
        return self.y[self.sample] if self.classes else unit(self.y[self.sample])

    @cached_property
    def strengths(self) -> Mapping[str, float]:
        """How well each feature alone predicts the target, from 0 (not at all) to 1 (perfectly)."""
        return {
            c.name: self._strength(c)
            for c in self.features
            if c.kind is not ColumnKind.TEXT and not c.kind.is_media
        }

    def _strength(self, column: Column) -> float:
        values = self.rows.X[column.name].iloc[self.sample]
        found = strength(self.bins(values, column.kind), self.target_bins, self.half, self.classes)
        if self.classes == 0 and column.kind is ColumnKind.NUMERIC:
            found = max(found, correlation(values.to_numpy(dtype="float64"), self.target_bins) ** 2)
        return found

    @property
    def classes(self) -> int:
        """Number of classes, 0 for regression."""
        return len(self.dataset.classes)

    def bins(self, values: Any, kind: ColumnKind) -> np.ndarray:
        """Small codes for a column: quantile bins or categories, 0 for missing.

        Args:
            values: Typed cells, shape (m,).
            kind: How they are read.

        Returns:
            int64 codes from 0, shape (m,).
        """
        if kind is ColumnKind.CATEGORICAL:
            return pd.factorize(values)[0].astype("int64") + 1
        if kind is ColumnKind.DATETIME:
            numbers = values.to_numpy().astype("datetime64[us]")
            values = np.where(np.isnat(numbers), np.nan, numbers.astype("int64").astype("float64"))
        values = np.asarray(values, dtype="float64")
        present = values[~np.isnan(values)]
        if len(present) == 0:
            return np.zeros(len(values), dtype="int64")
        most = int(np.clip(len(values) // ROWS_PER_BIN, 2, MOST_BINS))
        edges = np.unique(present)
        if len(edges) > most:
            edges = np.unique(np.quantile(present, np.linspace(0, 1, most + 1)))[:-1]
        codes = np.searchsorted(edges, values, side="right")
        return np.where(np.isnan(values), 0, codes)


def strength(codes: np.ndarray, y: np.ndarray, half: np.ndarray, classes: int) -> float:
    """How well a coded column alone predicts the target on rows it was not fitted on.

    The mean target (or class shares) of each code in one half predicts the other half.

    Args:
        codes: int64 from 0, shape (m,).
        y: Class codes or values, shape (m,).
        half: Which half each row is in, shape (m,).
        classes: Number of classes, 0 for regression.

    Returns:
        In [0, 1]: R^2 for regression; 2 AUC - 1 for two classes; for more, the share of the errors
        of always guessing the most frequent class that is avoided.
    """
    if len(codes) < 4 or half.all() or not half.any() or codes.max(initial=0) == 0:
        return 0.0
    if classes > 2:
        return _multiclass(codes, y, half, classes)
    guess = np.empty(len(y))
    for fold in (False, True):
        fit = half != fold
        prior = y[fit].mean()
        size = int(codes.max()) + 1
        count = np.bincount(codes[fit], minlength=size)
        total = np.bincount(codes[fit], weights=y[fit], minlength=size)
        guess[half == fold] = ((total + prior) / (count + 1))[codes[half == fold]]
    if classes:
        return max(0.0, 2 * auc(y, guess) - 1)
    spread = float(((y - y.mean()) ** 2).sum())
    return max(0.0, 1 - float(((y - guess) ** 2).sum()) / spread) if spread > 0 else 0.0


def _multiclass(codes: np.ndarray, y: np.ndarray, half: np.ndarray, classes: int) -> float:
    right = 0
    size = int(codes.max()) + 1
    for fold in (False, True):
        fit = half != fold
        table = np.bincount(codes[fit] * classes + y[fit], minlength=size * classes)
        table = table.reshape(size, classes) + np.bincount(y[fit], minlength=classes) / (
            2 * fit.sum()
        )
        right += int((table.argmax(axis=1)[codes[~fit]] == y[~fit]).sum())
    base = np.bincount(y, minlength=classes).max() / len(y)
    return max(0.0, (right / len(y) - base) / (1 - base)) if base < 1 else 0.0


def auc(y: np.ndarray, score: np.ndarray) -> float:
    """Area under the ROC curve; ties count half (Mann & Whitney 1947).

    Args:
        y: 0 or 1, shape (n,).
        score: Larger for 1, shape (n,).

    Returns:
        In [0, 1]; 0.5 when only one class is present.
    """
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2.0)[inverse]
    ones = int((y == 1).sum())
    zeros = len(y) - ones
    if ones == 0 or zeros == 0:
        return 0.5
    return float((ranks[y == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation on rows where both are present; 0 when either does not vary.

    Args:
        a: float64, shape (n,).
        b: float64, shape (n,).

    Returns:
        In [-1, 1].
    """
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 0.5 * len(a) or both.sum() < 3:
        return 0.0
    x, z = unit(a[both]), unit(b[both])
    x, z = unit(x - x.mean()), unit(z - z.mean())
    size = float(np.sqrt((x @ x) * (z @ z)))
    return float(x @ z) / size if size > 0 else 0.0


def unit(values: np.ndarray) -> np.ndarray:
    """Values over the largest of their sizes, so that squares neither overflow nor vanish.

    Args:
        values: float64, finite.

    Returns:
        float64 in [-1, 1], same shape.
    """
    size = float(np.abs(values).max(initial=0.0))
    return values / size if size > 0 else values


_sketches: WeakKeyDictionary[Subject, Sketch] = WeakKeyDictionary()


def sketch(subject: Subject) -> Sketch:
    """The sketch of a subject, computed once for all checks.

    Args:
        subject: The rows.

    Returns:
        The same object for the same subject.
    """
    if subject not in _sketches:
        _sketches[subject] = Sketch(subject)
    return _sketches[subject]
