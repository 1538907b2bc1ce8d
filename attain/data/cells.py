"""Cells of one column as numbers, truth values, times or text; each distinct text is read once."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from attain.data.words import FALSE, MISSING_AMONG_NUMBERS, TRUE

_PLAIN_KINDS = "iufbM"  # NumPy kinds that need no conversion; complex, bytes and objects do


def plain(column: pd.Series) -> pd.Series:
    """Reduce a column to one of the plain types.

    Args:
        column: Any pandas column; lists of texts become JSON text.

    Returns:
        A column of integers, floats, booleans, datetimes without zone (UTC when there was one) or
        text. Cells of mixed type become text; durations become seconds; a column without any
        value becomes floats.

    Raises:
        TypeError: When cells are other lists, mappings, bytes or complex numbers.
    """
    dtype = column.dtype
    if isinstance(dtype, np.dtype) and dtype.kind in _PLAIN_KINDS:
        return column
    if isinstance(dtype, pd.StringDtype):
        return _text_or_empty(column)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None)
    if isinstance(dtype, pd.CategoricalDtype):
        return plain(
            column.astype(column.cat.categories.dtype if len(column.cat.categories) else object)
        )
    if isinstance(dtype, np.dtype) and dtype.kind == "m":
        return column.dt.total_seconds()
    if isinstance(dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if pd.api.types.is_bool_dtype(dtype) and not column.hasnans:
        return column.astype(bool)
    if pd.api.types.is_integer_dtype(dtype) and not column.hasnans:
        return column.astype("int64")
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        return column.astype("float64")
    return _objects(column.astype(object))


def _text_or_empty(column: pd.Series) -> pd.Series:
    return column.astype("float64") if column.isna().all() else column


def _objects(column: pd.Series) -> pd.Series:
    """Plain types for a column of Python objects."""
    present = column[column.notna()]
    if present.empty:
        return pd.Series(np.full(len(column), np.nan), index=column.index, name=column.name)
    if is_list(present.iloc[0]):
        column = column.map(written, na_action="ignore").astype(object)
        present = column[column.notna()]
    kind = pd.api.types.infer_dtype(present, skipna=True)
    if kind in ("bytes", "complex") or isinstance(present.iloc[0], list | dict | tuple | set):
        raise TypeError(f"cells are {type(present.iloc[0]).__name__}")
    if kind in ("datetime64", "datetime", "date"):
        return plain(pd.to_datetime(column, errors="coerce"))
    if kind in ("integer", "floating", "mixed-integer-float", "decimal"):
        read = pd.to_numeric(column)  # stays objects for whole numbers beyond 64 bits
        return plain(read) if read.dtype != object else column.astype("float64")
    if kind == "boolean":
        if len(present) == len(column):
            return column.astype(bool)
        return column.map({True: 1.0, False: 0.0}).astype("float64")
    words = [
        None if missing else _word(cell)
        for cell, missing in zip(column, column.isna(), strict=True)
    ]
    return pd.Series(
        words, index=column.index, name=column.name, dtype="str" if _HAS_STR else object
    )


def is_list(value: Any) -> bool:
    """Whether a cell is a list of texts, possibly empty: labels, and nothing else that fits a cell.

    Args:
        value: As read.

    Returns:
        False for lists of anything else.
    """
    listed = isinstance(value, list | tuple | set | np.ndarray)
    return listed and all(isinstance(item, str) for item in value)


def written(value: Any) -> Any:
    """A cell with a list of texts as JSON text, any other cell as it is.

    Args:
        value: As read.

    Returns:
        Text that `labels.read` understands.
    """
    if not is_list(value):
        return value
    items = sorted(value) if isinstance(value, set) else list(value)
    return json.dumps([str(item) for item in items], ensure_ascii=False)


def _word(cell: Any) -> str:
    if isinstance(cell, list | dict | tuple | set | bytes | complex):
        raise TypeError(f"cells are {type(cell).__name__}")
    if isinstance(cell, float | np.floating | Decimal) and cell == cell // 1:
        return str(int(cell))
    return str(cell)


_HAS_STR = int(pd.__version__.split(".")[0]) >= 3  # in pandas 2, dtype "str" turns None into "None"


def is_text(column: pd.Series) -> bool:
    """Whether a plain column holds text."""
    dtype = column.dtype
    return not (isinstance(dtype, np.dtype) and dtype.kind in _PLAIN_KINDS)


def texts(column: pd.Series) -> pd.Series:
    """A plain column as text, missing stays missing.

    Args:
        column: A plain column.

    Returns:
        Text; whole numbers without a decimal point, so that 3 and 3.0 are the same category.
    """
    if is_text(column):
        return column
    kind = column.dtype.kind
    if kind == "f":
        codes, levels = pd.factorize(column)
        names = np.array([_number_name(v) for v in levels] + [None], dtype=object)
        words = names[codes]
    elif kind == "M":
        words = column.astype(object).where(column.notna(), None).map(str, na_action="ignore")
        words = words.to_numpy()
    else:
        words = column.to_numpy().astype(str).astype(object)
    return pd.Series(
        words, index=column.index, name=column.name, dtype="str" if _HAS_STR else object
    )


def _number_name(value: float) -> str:
    return (
        str(int(value)) if np.isfinite(value) and value == np.floor(value) else repr(float(value))
    )


def numbers(column: pd.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """A plain column as floats.

    Args:
        column: A plain column, shape (n,).

    Returns:
        float64 values (missing is NaN, infinities are kept), and a mask of the cells that hold
        something that is not a number, or None when there is none.
    """
    if not is_text(column):
        if column.dtype.kind == "M":
            return np.full(len(column), np.nan), column.notna().to_numpy()
        return column.to_numpy(dtype="float64"), None
    codes, levels = pd.factorize(column)
    return _spread(codes, number_levels(levels), missing_levels(levels))


def number_levels(levels: Any) -> np.ndarray:
    """Distinct texts as numbers.

    Args:
        levels: Distinct texts, shape (k,).

    Returns:
        float64, NaN where a text is not a number, shape (k,).
    """
    words = pd.Series(np.asarray(levels, dtype=object), dtype=object)
    return pd.to_numeric(words, errors="coerce").to_numpy(dtype="float64")


def missing_levels(levels: Any) -> np.ndarray:
    """Which distinct texts mean "missing" among numbers, dates and truth values."""
    return np.fromiter(
        (str(v).strip() in MISSING_AMONG_NUMBERS for v in levels), dtype=bool, count=len(levels)
    )


def truths(column: pd.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """A plain column of yes and no as 1.0 and 0.0.

    Args:
        column: A plain column, shape (n,).

    Returns:
        As `numbers`.
    """
    if not is_text(column):
        values, _ = numbers(column)
        bad = ~(np.isnan(values) | (values == 0) | (values == 1))
        if column.dtype.kind == "M":
            bad = column.notna().to_numpy()
        return np.where(bad, np.nan, values), bad if bad.any() else None
    codes, levels = pd.factorize(column)
    return _spread(codes, truth_levels(levels), missing_levels(levels))


def truth_levels(levels: Any) -> np.ndarray:
    """Distinct texts as 1.0, 0.0 or NaN."""
    words = [str(v).strip().lower() for v in levels]
    return np.array([1.0 if w in TRUE else 0.0 if w in FALSE else np.nan for w in words])


def times(column: pd.Series, form: str) -> tuple[np.ndarray, np.ndarray | None]:
    """A plain column as datetimes.

    Args:
        column: A plain column, shape (n,).
        form: strptime pattern or ``ISO8601``; empty when the column holds datetimes already.

    Returns:
        datetime64[us] (missing is NaT), and a mask of the cells that are not times, or None.
    """
    if not is_text(column):
        if column.dtype.kind == "M":
            return column.to_numpy().astype("datetime64[us]"), None
        bad = column.notna().to_numpy()
        return np.full(len(column), "NaT", dtype="datetime64[us]"), bad if bad.any() else None
    codes, levels = pd.factorize(column)
    return _spread(codes, time_levels(levels, form), missing_levels(levels))


def time_levels(levels: Any, form: str) -> np.ndarray:
    """Distinct texts as datetimes.

    Args:
        levels: Distinct texts, shape (k,).
        form: strptime pattern; ``ISO8601`` or empty for ISO 8601.

    Returns:
        datetime64[us] in UTC where a zone is given, NaT where a text does not fit, shape (k,).
    """
    words = pd.Series(np.asarray(levels, dtype=object), dtype=object)
    read = pd.to_datetime(words, format=form or "ISO8601", errors="coerce", utc=True)
    return read.dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def _spread(
    codes: np.ndarray, read: np.ndarray, missing: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of distinct texts back to all cells; code -1 (a missing cell) takes the last slot."""
    empty = np.array([np.nan]) if read.dtype.kind == "f" else np.array(["NaT"], dtype=read.dtype)
    wrong = np.append(
        (np.isnan(read) if read.dtype.kind == "f" else np.isnat(read)) & ~missing, False
    )
    bad = wrong[codes] if wrong.any() else None
    return np.concatenate([read, empty])[codes], bad
