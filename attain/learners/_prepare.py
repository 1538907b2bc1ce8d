"""Mixed columns to one matrix, fitted on training rows; under a millisecond for a single row.

Everything that is learnt lies in plain arrays and dictionaries, so predicting one row costs some
column look-ups and array operations; a scikit-learn ColumnTransformer costs ten times as much.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.types import ColumnKind, Dataset, Rows
from attain.learners._category import (
    Categories,
    OneHot,
    TargetMeans,
    fit_categories,
    fit_one_hot,
    fit_target_means,
    target_columns,
)
from attain.learners._columns import SIZES, Dates, Text, fit_dates, fit_text, gather_numbers
from attain.learners._numeric import Numeric, fit_numeric
from attain.learners._store import pack, read_arrays, read_json, unpack, write_arrays, write_json

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = (ColumnKind.NUMERIC, ColumnKind.BOOLEAN)


@dataclass(frozen=True)
class Plan:
    """How a learner wants its columns.

    Attributes:
        numeric: ``keep`` (as they are, gaps stay), ``standard``, ``robust``, ``quantile`` or
            ``piecewise``.
        codes: Whether categories stay codes (for learners that split on categories themselves).
        one_hot: Up to so many labels a column becomes 0/1 columns; above, target means.
        cyclic: Whether parts of dates also come as sine and cosine.
        topics: Directions that describe a text column.
    """

    numeric: str = "standard"
    codes: bool = False
    one_hot: int = 20
    cyclic: bool = True
    topics: int = 32


@dataclass(frozen=True, eq=False)
class Prepared:
    """Fitted preparation.

    Attributes:
        numbers: Numeric and boolean columns.
        dates: Date columns.
        texts: Text columns.
        categories: Categorical columns.
        codes: Whether categories stay codes.
        one_hot: Of the categorical columns with few labels.
        means: Of those with many.
        numeric: Applied to all raw numeric columns: numbers, target means, dates, sizes of texts.
    """

    numbers: tuple[str, ...]
    dates: Dates
    texts: tuple[Text, ...]
    categories: Categories
    codes: bool
    one_hot: OneHot
    means: TargetMeans
    numeric: Numeric

    def transform(self, X: pd.DataFrame) -> np.ndarray:
        """Rows as a matrix.

        Args:
            X: Rows as learners see them.

        Returns:
            Shape (n, width), float64: scaled numbers, gap flags, topics of texts, then 0/1 columns
            or codes.
        """
        codes = self.categories.codes(X)
        raw, topics = self._raw(X, self.means.transform(codes))
        return self._matrix(raw, topics, codes)

    @property
    def coded(self) -> list[int]:
        """Positions of the columns that hold codes."""
        if not self.codes:
            return []
        topics = sum(text.directions.shape[1] for text in self.texts)
        first = len(self.numeric.used) + len(self.numeric.flags) + topics
        return list(range(first, first + len(self.categories.names)))

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The user's column behind each column of the matrix."""
        names = self.categories.names
        raw = [
            *self.numbers,
            *_each([names[i] for i in self.means.columns], self.means.table.shape[1]),
            *_each(self.dates.names, self.dates.parts),
            *_each([text.name for text in self.texts], SIZES),
        ]
        topics = [name for t in self.texts for name in [t.name] * t.directions.shape[1]]
        last = names if self.codes else [names[i] for i in self.one_hot.sources]
        return (*(raw[i] for i in self.numeric.sources), *topics, *last)

    def save(self, folder: Path) -> None:
        """Write ``prepare.json`` and ``prepare.npz``.

        Args:
            folder: An existing folder.
        """
        arrays: dict[str, np.ndarray] = {}
        plain: dict[str, Any] = {name: pack(getattr(self, name), name, arrays) for name in _BLOCKS}
        plain["texts"] = [pack(t, f"text{i}", arrays) for i, t in enumerate(self.texts)]
        plain |= {"numbers": list(self.numbers), "codes": self.codes}
        write_json(folder, "prepare.json", plain)
        write_arrays(folder, "prepare.npz", arrays)

    def _raw(self, X: pd.DataFrame, means: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """Columns still to be scaled, and the topics of each text column."""
        blocks, topics = [gather_numbers(X, self.numbers), means], []
        if self.dates.names:
            blocks.append(self.dates.transform(X))
        for text in self.texts:
            sizes, found = text.transform(X)
            blocks.append(sizes)
            topics.append(found)
        return np.concatenate(blocks, axis=1), topics

    def _matrix(self, raw: np.ndarray, topics: list[np.ndarray], codes: np.ndarray) -> np.ndarray:
        scaled = self.numeric.transform(raw)
        if self.codes:
            last = np.where((codes == 0) | (codes == self.categories.sizes - 1), np.nan, codes)
        else:
            last = self.one_hot.transform(codes)
        return np.concatenate([scaled, *topics, last], axis=1)


_BLOCKS: dict[str, type] = {
    "dates": Dates,
    "categories": Categories,
    "one_hot": OneHot,
    "means": TargetMeans,
    "numeric": Numeric,
}


def fit_prepare(plan: Plan, dataset: Dataset, rows: Rows, seed: int) -> tuple[Prepared, np.ndarray]:
    """Learn the preparation from training rows and apply it to them.

    Args:
        plan: How the learner wants its columns.
        dataset: Says what kind each column is.
        rows: Training rows with targets.
        seed: Of folds and samples.

    Returns:
        The preparation, and the training matrix (n, width). The matrix is not what `transform`
        gives for the same rows where target means are used: those are cross-fitted.
    """
    X = rows.X
    named = {kind: tuple(c.name for c in dataset.features if c.kind is kind) for kind in ColumnKind}
    numbers = tuple(c.name for c in dataset.features if c.kind in _NUMBERS)
    dates = fit_dates(X, named[ColumnKind.DATETIME], plan.cyclic)
    texts = tuple(fit_text(X, name, plan.topics, seed) for name in named[ColumnKind.TEXT])
    categories = fit_categories(X, named[ColumnKind.CATEGORICAL])
    codes = categories.codes(X)
    few, many = _by_labels(categories, plan)
    y = np.zeros(len(rows)) if rows.y is None else rows.y
    targets = target_columns(y, len(dataset.classes))
    means, crossed = fit_target_means(codes, categories.sizes, many, targets, seed)
    one_hot = fit_one_hot(codes, categories.sizes, few)
    nothing = fit_numeric("keep", np.empty((0, 0)))
    draft = Prepared(numbers, dates, texts, categories, plan.codes, one_hot, means, nothing)
    raw, topics = draft._raw(X, crossed)
    prepared = replace(draft, numeric=fit_numeric(plan.numeric, raw))
    return prepared, prepared._matrix(raw, topics, codes)


def load_prepare(folder: Path) -> Prepared:
    """Read what `Prepared.save` wrote.

    Args:
        folder: The model's folder.

    Returns:
        A preparation that gives the same matrices to the last bit.

    Raises:
        ArtifactError: When a file is missing or damaged.
    """
    plain, arrays = read_json(folder, "prepare.json"), read_arrays(folder, "prepare.npz")
    blocks: dict[str, Any] = {
        name: unpack(kind, name, plain.get(name, {}), arrays) for name, kind in _BLOCKS.items()
    }
    texts = tuple(unpack(Text, f"text{i}", t, arrays) for i, t in enumerate(plain.get("texts", [])))
    numbers, codes = tuple(plain.get("numbers", ())), bool(plain.get("codes"))
    return Prepared(numbers=numbers, texts=texts, codes=codes, **blocks)


def _each(names: Iterable[str], times: int) -> list[str]:
    return [name for name in names for _ in range(times)]


def _by_labels(categories: Categories, plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """Positions of columns with few and with many labels; none of either if codes stay."""
    counts = np.array([len(labels) for labels in categories.labels], dtype=np.int64)
    if plan.codes:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.flatnonzero(counts <= plan.one_hot), np.flatnonzero(counts > plan.one_hot)
