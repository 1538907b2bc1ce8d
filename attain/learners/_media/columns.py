"""Where the images or clips of rows are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attain.core.errors import DataError, NotApplicable, Problem
from attain.core.types import ColumnKind, Dataset


@dataclass(frozen=True)
class MediaColumns:
    """The column that is read.

    Attributes:
        names: One name.
    """

    names: tuple[str, ...]

    def read(self, X: Any) -> tuple[list[str], ...]:
        """References; missing ones are empty.

        Args:
            X: Rows with at least this column.

        Returns:
            One list of n cells.

        Raises:
            DataError: When the column is missing.
        """
        (name,) = self.names
        if name not in X.columns:
            rule, remedy = "the column of files must be there", "give rows with the same columns"
            raise DataError(Problem(rule, "missing", repr(name), remedy))
        return ([cell if isinstance(cell, str) else "" for cell in X[name]],)


def find_columns(dataset: Dataset, kind: ColumnKind) -> MediaColumns:
    """Where the images or clips of a data set are.

    Args:
        dataset: What is known of the rows.
        kind: ``image`` or ``audio``.

    Returns:
        The column.

    Raises:
        NotApplicable: When there is none.
    """
    names = tuple(c.name for c in dataset.features if c.kind is kind)
    if not names:
        raise NotApplicable(f"no column holds {kind} files")
    return MediaColumns(names[:1])
