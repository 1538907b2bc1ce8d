"""The texts of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attain.core.errors import DataError, NotApplicable, Problem
from attain.core.types import ColumnKind, Dataset, Rows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Columns:
    """Where texts are.

    Attributes:
        names: Text columns in the order in which they are read, at least one.
    """

    names: tuple[str, ...]

    def read(self, X: pd.DataFrame) -> tuple[list[str], ...]:
        """The texts of rows; a missing one is empty.

        Args:
            X: Rows with at least these columns.

        Returns:
            For each column n texts without blanks around them.

        Raises:
            DataError: When a column is missing.
        """
        missing = [name for name in self.names if name not in X.columns]
        if missing:
            rule, remedy = "the text columns must be there", "give rows with the same columns"
            raise DataError([Problem(rule, "missing", repr(n), remedy) for n in missing])
        return tuple(_texts(X[name]) for name in self.names)


def find_columns(dataset: Dataset) -> Columns:
    """Where the texts of a data set are.

    Args:
        dataset: What is known of the rows.

    Returns:
        Its text columns.

    Raises:
        NotApplicable: When there is none.
    """
    names = tuple(c.name for c in dataset.features if c.kind is ColumnKind.TEXT)
    if not names:
        raise NotApplicable(
            "no column is running text — name one under 'text' if that is a mistake"
        )
    return Columns(names)


def segments(texts: Sequence[list[str]]) -> tuple[list[str], list[str] | None]:
    """What a network reads: one text, or a pair.

    Args:
        texts: As from `Columns.read`.

    Returns:
        The first column, and all others of a row in one text, or None if there is none.
    """
    if len(texts) == 1:
        return texts[0], None
    rest = [" ".join(filter(None, row)) for row in zip(*texts[1:], strict=True)]
    return texts[0], rest


def empties(texts: Sequence[list[str]]) -> int:
    """How many rows have no text in any column."""
    return sum(not any(row) for row in zip(*texts, strict=True))


def check_training(rows: Rows, texts: Sequence[list[str]]) -> None:
    """Raise when there is nothing to learn from.

    Args:
        rows: Training rows.
        texts: Theirs.

    Raises:
        DataError: When there are no rows, no targets, or no text at all.
    """
    if rows.y is None or not len(rows):
        rule, remedy = "training rows must be there and have targets", "give labelled rows"
        raise DataError(Problem(rule, f"{len(rows)} rows", "training rows", remedy))
    if empties(texts) == len(rows):
        rule, remedy = "some training row must have a text", "check the text columns"
        raise DataError(Problem(rule, f"{len(rows)} empty texts", "training rows", remedy))


def _texts(column: pd.Series) -> list[str]:
    values = column.to_numpy(dtype=object)
    return [value.strip() if isinstance(value, str) else "" for value in values]
