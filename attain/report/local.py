"""Single mistakes seen closely: the training rows most like them, one change that helps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.types import ColumnKind, Dataset, Rows

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[Rows], np.ndarray]
Guess = Callable[[np.ndarray], np.ndarray]

MOST_CASES = 6
MOST_CELLS = 6
MOST_ALIKE = 3
MOST_TRAINING = 5_000  # rows among which those most alike are looked for
MOST_COLUMNS = 30  # whose change is tried
MOST_VALUES = 15  # of a column that are tried
_LONGEST = 60  # characters of a cell
_OTHER = 0.5  # cost of another category; numbers cost the share of rows between the two values
_ORDERED = (ColumnKind.NUMERIC, ColumnKind.DATETIME, ColumnKind.BOOLEAN)


def closest(
    X: pd.DataFrame, training: np.ndarray, row: int, weights: Mapping[str, float], dataset: Dataset
) -> list[tuple[int, float]]:
    """The training rows most like a row.

    Alikeness is one minus Gower's distance (Biometrics 27 (1971), eq. 1) on ranks: numbers and
    dates differ by the share of training rows between them, categories entirely or not at all, and
    a missing cell entirely from one that is not.

    Args:
        X: All rows as learners see them.
        training: Positions of the rows that the model learnt from; at most 5,000 are looked at.
        row: Position of the row.
        weights: Column to weight, not negative; columns without one do not count.
        dataset: For kinds.

    Returns:
        At most three pairs of position and alikeness in [0, 1], the most alike first.
    """
    total = sum(weights.values())
    if not len(training) or total <= 0:
        return []
    step = max(1, len(training) // MOST_TRAINING)
    chosen = training[::step][:MOST_TRAINING]
    kinds = {c.name: c.kind for c in dataset.columns}
    distance = np.zeros(len(chosen))
    for name, weight in weights.items():
        column = X[name]
        others, cell = column.iloc[chosen], column.iloc[row]
        if kinds[name] in _ORDERED:
            distance += weight * _ranked(_numbers(others), _numbers(column.iloc[[row]])[0])
        else:
            same = others.isna() if _missing(cell) else others == cell
            distance += weight * ~same.fillna(False).to_numpy(dtype=bool)
    alike = 1 - distance / total
    order = np.argsort(-alike, kind="stable")[:MOST_ALIKE]
    return [(int(chosen[i]), float(alike[i])) for i in order]


def _numbers(column: pd.Series) -> np.ndarray:
    """A column of numbers, dates or truth values as floats, missing ones NaN."""
    if column.dtype.kind == "M":
        values = column.to_numpy().astype("datetime64[ns]")
        return np.where(np.isnat(values), np.nan, values.astype("int64").astype(float))
    return column.to_numpy(dtype=float, na_value=np.nan)


def _ranked(others: np.ndarray, value: float) -> np.ndarray:
    known = np.sort(others[~np.isnan(others)])
    if np.isnan(value):
        return np.where(np.isnan(others), 0.0, 1.0)
    share = _share(known, others) - _share(known, np.array([value]))[0]
    return np.where(np.isnan(others), 1.0, np.abs(share))


def _share(known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The middle of a value's ranks as a share of all."""
    low = np.searchsorted(known, values, "left")
    high = np.searchsorted(known, values, "right")
    return (low + high) / (2 * max(len(known), 1))


def one_change(
    predict: Predict,
    X: pd.DataFrame,
    training: np.ndarray,
    rows: Sequence[int],
    columns: Sequence[str],
    dataset: Dataset,
    guess: Guess,
    wanted: np.ndarray,
) -> list[dict[str, Any] | None]:
    """For each row the smallest change of one cell after which the prediction is what is wanted.

    Only values that occur among the training rows are tried (15 of a column at most: evenly spaced
    ones of numbers and dates, the most frequent categories), and only in their own column.

    Args:
        predict: Rows to probabilities (n, classes).
        X: All rows.
        training: Positions of the rows that the model learnt from.
        rows: Positions of the rows to change.
        columns: That may change, at most 30 are tried.
        dataset: For kinds and class labels.
        guess: Class codes from probabilities.
        wanted: Class code for each of `rows`.

    Returns:
        For each row ``column``, ``old``, ``new``, ``chance`` (of the wanted class after the
        change) and ``cost`` (share of training rows between the two numbers; one half for another
        category); None where no single change does it.
    """
    import pandas as pd

    kinds = {c.name: c.kind for c in dataset.columns}
    cells = [c for c in columns if kinds[c] is not ColumnKind.TEXT and not kinds[c].is_media]
    parts, told = [], []
    for position, row in enumerate(rows):
        for name in cells[:MOST_COLUMNS]:
            values, costs = _candidates(X[name], training, row, kinds[name])
            if not len(values):
                continue
            part = X.iloc[np.repeat(row, len(values))].copy()
            part[name] = pd.Series(values, index=part.index, dtype=X[name].dtype)
            parts.append(part)
            told += [(position, name, v, c) for v, c in zip(values, costs, strict=True)]
    found: list[dict[str, Any] | None] = [None] * len(rows)
    if not parts:
        return found
    chances = predict(Rows(pd.concat(parts, ignore_index=True)))
    codes = guess(chances)
    for (position, name, value, cost), chance, code in zip(told, chances, codes, strict=True):
        best = found[position]
        if code == wanted[position] and (best is None or cost < best["cost"]):
            found[position] = {
                "column": name,
                "old": shown(X[name].iloc[rows[position]]),
                "new": shown(value),
                "chance": float(chance[int(wanted[position])]),
                "cost": float(cost),
            }
    return found


def _candidates(
    column: pd.Series, training: np.ndarray, row: int, kind: ColumnKind
) -> tuple[list[Any], list[float]]:
    """Values of training rows that a cell may take, and what each change costs."""
    present = column.iloc[training].dropna()
    cell = column.iloc[row]
    if kind in _ORDERED:
        ordered = present.sort_values()
        at = np.unique(np.linspace(0, len(ordered) - 1, MOST_VALUES).astype(int))
        values = ordered.iloc[at if len(ordered) else []].drop_duplicates()
        known = _numbers(ordered)
        here = _numbers(column.iloc[[row]])
        costs = np.abs(_share(known, _numbers(values)) - _share(known, here)[0])
        costs = np.full(len(values), _OTHER) if np.isnan(here[0]) else costs
    else:
        values = present.value_counts().index.to_series()[:MOST_VALUES]
        costs = np.full(len(values), _OTHER)
    keep = [not _missing(v) and (_missing(cell) or v != cell) for v in values]
    return [v for v, k in zip(values, keep, strict=True) if k], costs[keep].tolist()


def _missing(value: Any) -> bool:
    return value is None or bool(value != value)


def shown(value: Any) -> Any:
    """A cell as JSON takes it: a number, text of at most 60 characters, or None for missing."""
    if _missing(value) or str(value) in ("<NA>", "NaT"):
        return None
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).removesuffix("T00:00:00")
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | float | np.number):
        return float(value)
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
