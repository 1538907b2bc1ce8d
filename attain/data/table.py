"""From a frame as read to typed rows. The same code serves training, testing and prediction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from attain.core.errors import DataError, Problem, did_you_mean
from attain.core.media import parse
from attain.core.types import Column, ColumnKind, ColumnRole, Dataset, Rows
from attain.data import cells, labels
from attain.data.hashing import cell_hash, combine, row_hash
from attain.data.kinds import MIXED
from attain.data.language import with_answers

_SHOWN = 3  # values shown of those that cannot be read


def to_rows(frame: Any, dataset: Dataset, *, with_target: bool = True) -> Rows:
    """Typed rows of a frame, in its order.

    Missing spellings become missing, infinities too (no learner here can use them). Categories
    that were never seen are kept as text: the learner decides. Columns that are no features are
    left out, unknown ones too.

    Args:
        frame: As `load_frame` gives it (any pandas frame with the same names will do).
        dataset: What is known of the rows.
        with_target: Whether target (and groups and time) must be there.

    Returns:
        Rows; without target `y` is None, and groups and time only if the frame has them.

    Raises:
        DataError: Columns are missing, a cell cannot be read as its column is, or, with the target,
            a row has none or an unknown class. All of it at once.
    """
    problems = _missing_columns(frame, dataset, with_target)
    if problems:
        raise DataError(problems)
    typed: dict[str, Any] = {}
    for column in dataset.features:
        typed[column.name] = _feature(frame[column.name], column, problems)
    y = _target(frame, dataset, problems) if with_target else None
    groups = _groups(frame, dataset)
    time = _time(frame, dataset, problems)
    if problems:
        raise DataError(problems)
    typed = with_answers(typed, frame, dataset)
    X = pd.DataFrame(typed, index=pd.RangeIndex(len(frame)), copy=False)
    return Rows(X=X, y=y, groups=groups, time=time)


def _missing_columns(frame: Any, dataset: Dataset, with_target: bool) -> list[Problem]:
    have = set(frame.columns)
    wanted = [c.name for c in dataset.features]
    if with_target:
        helpers = (dataset.target, dataset.groups, dataset.time)
        wanted += [name for name in helpers if name is not None]
    names = [str(name) for name in frame.columns]
    return [
        Problem(
            "the column is needed but missing",
            "",
            f"column {name!r}",
            did_you_mean(name, names) if names else "give a frame with columns",
        )
        for name in wanted
        if name not in have
    ]


def _feature(raw: pd.Series, column: Column, problems: list[Problem]) -> Any:
    """One typed feature; what cannot be read is added to the problems."""
    plain = cells.plain(raw)
    if column.kind in (ColumnKind.CATEGORICAL, ColumnKind.TEXT) or column.kind.is_media:
        words = cells.texts(plain)
        if column.kind.is_media:
            _check_media(words, column, problems)
        return words if words.index is raw.index and _ranged(raw) else words.reset_index(drop=True)
    values, bad = _READ[column.kind](plain, column.format)
    if bad is not None and column.format != MIXED:
        problems.append(_unreadable(plain, bad, column))
    if values.dtype.kind == "f":
        infinite = np.isinf(values)
        if infinite.any():
            values = np.where(infinite, np.nan, values)
    return values


def _check_media(words: pd.Series, column: Column, problems: list[Problem]) -> None:
    """Cells must name images or clips that are there."""
    bad = [
        word for word in words.dropna() if (r := parse(word)) is None or r.kind != column.kind.value
    ]
    if bad:
        rule = f"cells must name {column.kind} files that are there"
        shown = ", ".join(repr(word[:60]) for word in bad[:_SHOWN])
        remedy = "give paths from the folder of the table on, or contents"
        problems.append(Problem(rule, shown, f"column {column.name!r}", remedy))


def _ranged(column: pd.Series) -> bool:
    index = column.index
    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


_READ: Mapping[ColumnKind, Callable[[pd.Series, str], tuple[np.ndarray, np.ndarray | None]]] = {
    ColumnKind.NUMERIC: lambda column, _: cells.numbers(column),
    ColumnKind.BOOLEAN: lambda column, _: cells.truths(column),
    ColumnKind.DATETIME: cells.times,
}
_MEANT = {
    ColumnKind.NUMERIC: "numbers",
    ColumnKind.BOOLEAN: "yes/no, true/false or 1/0",
    ColumnKind.DATETIME: "dates",
}


def _unreadable(column: pd.Series, bad: np.ndarray, about: Column) -> Problem:
    where = np.flatnonzero(bad)
    shown = ", ".join(f"{column.iloc[i]!r} in row {i}" for i in where[:_SHOWN])
    more = f" and {len(where) - _SHOWN} more" if len(where) > _SHOWN else ""
    form = f" written as {about.format}" if about.format else ""
    return Problem(
        f"cells must be {_MEANT[about.kind]}{form}",
        f"{shown}{more}",
        f"column {about.name!r}",
        "mend the cells, or leave them empty",
    )


def target_values(frame: Any, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The target as codes or values, whatever is wrong with it.

    Args:
        frame: A frame with the target column, n rows.
        dataset: What is known of the rows.

    Returns:
        y of shape (n,): int64 class codes with -1 where there is no (known) class, or float64 with
        NaN where there is no finite number (labels: `labels.matrix`); and a mask of the cells that
        hold an unknown class.

    Raises:
        DataError: Cells cannot be read as labels.
    """
    column = cells.plain(frame[dataset.target])
    if dataset.task.several:
        return labels.matrix(column, dataset)
    if dataset.task.counted:
        there = cells.texts(column).notna().to_numpy()
        return np.where(there, 0.0, np.nan), np.zeros(len(there), dtype=bool)
    if not dataset.task.classifies:
        values, _ = cells.numbers(column)
        return np.where(np.isfinite(values), values, np.nan), np.zeros(len(values), dtype=bool)
    words = cells.texts(column)
    codes = pd.Index(dataset.classes).get_indexer(words.to_numpy(dtype=object))
    return codes.astype("int64"), (codes < 0) & words.notna().to_numpy()


def usable(frame: Any, dataset: Dataset) -> np.ndarray:
    """Which rows have a target.

    Args:
        frame: A frame with the target column, n rows.
        dataset: What is known of the rows.

    Returns:
        Booleans, shape (n,); cells with an unknown class count as a target.
    """
    y, unknown = target_values(frame, dataset)
    return there(y, dataset) | unknown


def there(y: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Which rows have a target that is known.

    Args:
        y: From `target_values`.
        dataset: What is known of the rows.

    Returns:
        Booleans, shape (n,).
    """
    if dataset.task.several:
        return np.asarray(y[:, 0] >= 0)
    return y >= 0 if dataset.task.classifies else ~np.isnan(y)


def _target(frame: Any, dataset: Dataset, problems: list[Problem]) -> np.ndarray:
    y, unknown = target_values(frame, dataset)
    place = f"target column {dataset.target!r}"
    if unknown.any():
        column = frame[dataset.target]
        names = sorted({str(v) for v in column[unknown].unique()})
        if dataset.task.several:
            names = labels.unknown_labels(cells.plain(column), dataset)
        known = ", ".join(map(repr, dataset.classes[:10]))
        problems.append(
            Problem(
                f"every {'label' if dataset.task.several else 'class'} must be known from training",
                ", ".join(map(repr, names[:10])),
                place,
                f"known are {known}; leave the other rows out",
            )
        )
    without = ~usable(frame, dataset)
    if without.any():
        rows = ", ".join(map(str, np.flatnonzero(without)[:5]))
        problems.append(
            Problem(
                "every row needs a target",
                f"none in {without.sum()} rows: {rows}",
                place,
                "leave these rows out",
            )
        )
    return y


def _groups(frame: Any, dataset: Dataset) -> np.ndarray | None:
    """Group names as text; a row without one is a group of its own."""
    if dataset.groups is None or dataset.groups not in frame:
        return None
    names = cells.texts(cells.plain(frame[dataset.groups]))
    values = (
        names.to_numpy(dtype=object, na_value=None) if hasattr(names.array, "to_numpy") else names
    )
    values = np.array(values, dtype=object)
    for row in np.flatnonzero(names.isna().to_numpy()):
        values[row] = f"(row {row} without a group)"
    return values


def _time(frame: Any, dataset: Dataset, problems: list[Problem]) -> np.ndarray | None:
    """Datetimes or numbers that order the rows."""
    if dataset.time is None or dataset.time not in frame:
        return None
    column = next(c for c in dataset.columns if c.name == dataset.time)
    values, _ = _READ[column.kind](cells.plain(frame[dataset.time]), column.format)
    empty = np.isnat(values) if values.dtype.kind == "M" else ~np.isfinite(values)
    if empty.any():
        rows = ", ".join(map(str, np.flatnonzero(empty)[:5]))
        problems.append(
            Problem(
                "every row needs a time",
                f"none in {empty.sum()} rows: {rows}",
                f"time column {dataset.time!r}",
                "mend these cells or leave the rows out",
            )
        )
    return values


def target_hash(frame: Any, dataset: Dataset) -> np.ndarray:
    """A 64-bit hash of each row's target.

    Args:
        frame: A frame with the target column, n rows.
        dataset: What is known of the rows.

    Returns:
        uint64, shape (n,); the same whatever class codes stand for.
    """
    column = cells.plain(frame[dataset.target])
    if dataset.task.several:
        return cell_hash(labels.canonical(column, dataset.separator))
    named = dataset.task.classifies or dataset.task.counted
    return cell_hash(cells.texts(column) if named else cells.numbers(column)[0])


def helper_hash(frame: Any, dataset: Dataset) -> np.ndarray:
    """A 64-bit hash of each row's group and time.

    Args:
        frame: A frame as read, n rows.
        dataset: What is known of the rows.

    Returns:
        uint64, shape (n,); all equal without such columns.
    """
    helpers = [c for c in dataset.columns if c.role in (ColumnRole.GROUP, ColumnRole.TIME)]
    return row_hash(
        pd.DataFrame(
            {c.name: cells.texts(cells.plain(frame[c.name])) for c in helpers},
            index=range(len(frame)),
        )
    )


def content_hash(frame: Any, dataset: Dataset, X: pd.DataFrame) -> np.ndarray:
    """A 64-bit hash of all that a study sees of each row: features, target, group and time.

    Args:
        frame: A frame as read, n rows.
        dataset: What is known of the rows.
        X: The typed features of the same rows.

    Returns:
        uint64, shape (n,).
    """
    seen = combine(row_hash(X), target_hash(frame, dataset))
    return combine(seen, helper_hash(frame, dataset))
