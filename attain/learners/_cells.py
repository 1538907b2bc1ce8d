"""What each column said to a model of tables, where its sums can be told apart exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from attain.core.types import Attribution, ReadCell, Rows
from attain.learners._shared import contrasts
from attain.learners._table import Constant, TableLearner, TableModel

_TOLERANCE = 1e-6
"""Of the sum, relative to its terms: a library adds thousands of terms up in its own order."""

_ENTRIES = 4_000_000
"""Rows x columns of the matrix x classes that are told apart at once: 32 MB."""


@runtime_checkable
class Summed(Protocol):
    """A core whose scores are sums of what each column of the matrix adds."""

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """Scores of the seen classes, those of two being 0 and the log odds; shape (n, outputs)."""
        ...

    def parts(self, matrix: np.ndarray) -> np.ndarray:
        """What each column adds, and last the mean over training rows; (n, width + 1, outputs)."""
        ...


class SummedLearner(TableLearner):
    """A family of models for tables whose cores are `Summed`."""

    def contribute(
        self, model: TableModel, rows: Rows, classes: np.ndarray | None
    ) -> tuple[Attribution, ...]:
        """How far each column moved predictions, exactly.

        Args:
            model: From `fit` or `load`.
            rows: As learners see them.
            classes: For each row the code of the class that is asked about; None for values.

        Returns:
            One answer a row; the baseline is the mean over the training rows.

        Raises:
            DataError: When a class was not among those the model was trained on.
        """
        return contribute(model, rows, classes)


def contribute(
    model: TableModel, rows: Rows, classes: np.ndarray | None
) -> tuple[Attribution, ...]:
    """What the cells of rows said for a class or a value.

    Parts of the same column (its labels, its gap, its calendar parts) are added up.

    Args:
        model: A fitted model whose core is `Summed`, or a constant one.
        rows: As learners see them.
        classes: For each row the code of the class that is asked about, shape (n,); None for
            values.

    Returns:
        One answer a row; a model that answers always the same says that no column moved it.

    Raises:
        DataError: When a class was not among those the model was trained on.
    """
    weighing = contrasts(model.seen, classes) if model.seen else np.ones((len(rows), 1))
    if model.prepared is None or not isinstance(model.core, Summed):
        assert isinstance(model.core, Constant)
        levels = np.log(model.core.values) if model.seen else model.core.values
        return tuple(Attribution((), float(v), float(v)) for v in weighing @ levels)
    matrix = model.prepared.transform(rows.X)
    step = max(1, _ENTRIES // (matrix.shape[1] * max(1, weighing.shape[1])))
    told: list[Attribution] = []
    for start in range(0, len(matrix), step):
        some = slice(start, start + step)
        told += _told(model.core, matrix[some], weighing[some], model.prepared.sources)
    return tuple(told)


def _told(
    core: Summed, matrix: np.ndarray, weighing: np.ndarray, sources: Sequence[str]
) -> list[Attribution]:
    """What the cells of a few rows said."""
    outputs = np.einsum("nk,nk->n", core.scores(matrix), weighing)
    parts = np.einsum("nwk,nk->nw", core.parts(matrix), weighing)
    names, place = np.unique(sources, return_inverse=True)
    values = np.zeros((len(matrix), len(names)))
    np.add.at(values.T, place, parts[:, :-1].T)
    return [
        Attribution(
            (),
            float(output),
            float(part[-1]),
            tolerance=_TOLERANCE * (1 + float(np.abs(part).sum())),
            cells=tuple(ReadCell((str(n),), float(v)) for n, v in zip(names, row, strict=True)),
        )
        for output, part, row in zip(outputs, parts, values, strict=True)
    ]
