"""The words of rows and their labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.errors import DataError, NotApplicable, Problem
from attain.core.types import ColumnKind, Dataset, Rows, Task

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = -1
"""Code of a label that the data set does not know."""


@dataclass(frozen=True)
class Columns:
    """Where words and labels are, and which labels there are.

    Attributes:
        words: Column of words, lists as JSON text.
        labels: Column of labels, likewise.
        tags: All labels, sorted; a code is a position among them.
    """

    words: str
    labels: str
    tags: tuple[str, ...]

    def sentences(self, X: pd.DataFrame) -> list[list[str]]:
        """The words of rows; none where the cell is missing.

        Args:
            X: Rows with at least the column of words.

        Returns:
            One list a row.

        Raises:
            DataError: When the column is missing, or a cell holds something else.
        """
        if self.words not in X.columns:
            rule, remedy = "the column of words must be there", "give rows with the same columns"
            raise DataError(Problem(rule, "missing", repr(self.words), remedy))
        return [self._list(row, cell, self.words) or [] for row, cell in enumerate(X[self.words])]

    def codes(self, X: pd.DataFrame, sentences: Sequence[list[str]]) -> list[np.ndarray | None]:
        """The labels of rows as codes.

        Args:
            X: Rows, with or without labels.
            sentences: Their words.

        Returns:
            One array a row (int64), None where it is not labelled.

        Raises:
            DataError: When a cell is no list, or a row has more or fewer labels than words.
        """
        if self.labels not in X.columns:
            return [None] * len(X)
        place = {tag: code for code, tag in enumerate(self.tags)}
        found: list[np.ndarray | None] = []
        for row, (cell, words) in enumerate(zip(X[self.labels], sentences, strict=True)):
            tags = self._list(row, cell, self.labels)
            if tags is not None and len(tags) != len(words):
                rule, value = (
                    "every word needs one label",
                    f"{len(words)} words, {len(tags)} labels",
                )
                raise DataError(Problem(rule, value, f"row {row}", "mend the row"))
            known = [place.get(tag, UNKNOWN) for tag in tags or ()]
            found.append(None if tags is None else np.array(known, dtype=np.int64))
        return found

    def _list(self, row: int, cell: Any, column: str) -> list[str] | None:
        if not isinstance(cell, str):
            return None
        try:
            found = json.loads(cell)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, list) and all(isinstance(item, str) for item in found):
            return found
        rule, remedy = "cells must be lists of texts", 'write ["Anna", "sings"]'
        raise DataError(Problem(rule, repr(cell)[:60], f"column {column!r}, row {row}", remedy))


def find_columns(dataset: Dataset) -> Columns:
    """Where the words and labels of a data set are.

    Args:
        dataset: What is known of the rows.

    Returns:
        Columns and labels.

    Raises:
        NotApplicable: When words have no labels.
    """
    names = [c.name for c in dataset.features if c.kind is ColumnKind.TEXT]
    if dataset.task is not Task.TAGGING or not names:
        raise NotApplicable("no column holds words with a label each")
    return Columns(names[0], dataset.target, dataset.tags)


@dataclass(frozen=True, eq=False)
class Labelled:
    """Sentences with labels.

    Attributes:
        sentences: Their words.
        codes: Of the labels of all words, one sentence after the other, int64; `UNKNOWN` for
            words that do not count.
    """

    sentences: list[list[str]]
    codes: np.ndarray

    def only(self, codes: np.ndarray) -> Labelled:
        """The same, where only words with one of these codes count."""
        return Labelled(self.sentences, np.where(np.isin(self.codes, codes), self.codes, UNKNOWN))


def labelled(rows: Rows, columns: Columns) -> Labelled:
    """The rows that have words and labels.

    Args:
        rows: As learners see them.
        columns: Where words and labels are.

    Returns:
        Sentences of one word or more.
    """
    sentences = columns.sentences(rows.X)
    codes = columns.codes(rows.X, sentences)
    kept = [(s, c) for s, c in zip(sentences, codes, strict=True) if s and c is not None]
    flat = np.concatenate([c for _, c in kept]) if kept else np.empty(0, dtype=np.int64)
    return Labelled([s for s, _ in kept], flat)


def check_training(found: Labelled) -> None:
    """Raise when there is nothing to learn from.

    Args:
        found: Training rows.

    Raises:
        DataError: When no row has words and labels.
    """
    if not (found.codes != UNKNOWN).any():
        rule, remedy = "some training row must have words and labels", "check both columns"
        raise DataError(Problem(rule, f"{len(found.sentences)} sentences", "training rows", remedy))
