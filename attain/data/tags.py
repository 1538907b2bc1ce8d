"""Rows whose words have labels: when that is the task, what cells hold, and what does not fit."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from attain.core.errors import DataError, Problem
from attain.core.spans import Scheme, scheme_of
from attain.core.types import Column, ColumnRole, Dataset, Task
from attain.data import cells
from attain.data.roles import as_texts, stated

_SHOWN = 3
_WORDS = ("words", "tokens", "sentence")
"""Names of columns of words, where several columns of lists have the right lengths."""


def read_list(cell: Any) -> list[str] | None:
    """A cell with a list of texts, as JSON text.

    Args:
        cell: As `load_frame` gives it.

    Returns:
        None where it is anything else, or missing.
    """
    if not isinstance(cell, str) or not cell.startswith("["):
        return None
    try:
        found = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    fits = isinstance(found, list) and all(isinstance(item, str) for item in found)
    return found if fits else None


def tag_column(frame: Any, target: str, task: Task | None, text: Sequence[str]) -> str | None:
    """The column of words, if the target holds a label for each of them.

    Args:
        frame: As `load_frame` gives it.
        target: The column to predict.
        task: What the user stated.
        text: Columns that the user named.

    Returns:
        Its name; None for other tasks.

    Raises:
        DataError: When labels of words are asked for, and no column holds the words.
    """
    if task not in (None, Task.TAGGING):
        return None
    lengths = _lengths(frame[target])
    if task is None and (lengths is None or not (lengths >= 0).any()):
        return None
    named = [str(n) for n in (text or frame.columns) if n != target]
    lists = {name: found for name in named if (found := _lengths(frame[name])) is not None}
    fits = [name for name, found in lists.items() if lengths is not None and _fit(found, lengths)]
    fits.sort(key=lambda name: name.lower() not in _WORDS)
    if task is None:
        return fits[0] if fits else None
    if not lists:
        rule, remedy = "labels of words need a column of words", 'give lists: ["Anna", "sings"]'
        shown = ", ".join(map(repr, named)) or "no other column"
        raise DataError(Problem(rule, f"no lists in {shown}", "data", remedy))
    return (fits or list(lists))[0]


def _lengths(column: pd.Series) -> np.ndarray | None:
    """Length of each list, -1 where the cell is missing; None when a cell is no list."""
    found = np.full(len(column), -1)
    for row, cell in enumerate(cells.texts(cells.plain(column))):
        if isinstance(cell, str):
            items = read_list(cell)
            if items is None:
                return None
            found[row] = len(items)
    return found if (found >= 0).any() else None


def _fit(words: np.ndarray, labels: np.ndarray) -> bool:
    """Whether rows have as many words as labels; some do not by mistake, but most do."""
    there = (words >= 0) & (labels >= 0)
    return (
        bool(there.any())
        and float((words == labels)[there].mean()) > 0.5
        and (bool((words[there] > 0).any()))
    )


def tag_columns(
    frame: Any,
    words: str,
    target: str,
    *,
    groups: str | None = None,
    time: str | None = None,
    ignore: Sequence[str] = (),
) -> tuple[Column, ...]:
    """What each column is when words have labels.

    Args:
        frame: As `load_frame` gives it.
        words: The column of words.
        target: The column of labels.
        groups: Column whose values stay together.
        time: Column that orders the rows.
        ignore: Columns to leave out.

    Returns:
        In file order; all but the words are left out.
    """
    roles = dict.fromkeys(ignore, (ColumnRole.IGNORED, "left out as asked"))
    roles[words] = (ColumnRole.FEATURE, "lists of words, one for each label")
    roles[target] = (ColumnRole.TARGET, "the target")
    roles |= stated(groups, time)
    return as_texts(frame, roles, (words, target), "only words are read")


def read_tags(frame: Any, dataset: Dataset) -> list[list[str] | None]:
    """The labels of each row, as many as it has words.

    Args:
        frame: With words and labels.
        dataset: Says which columns these are.

    Returns:
        None for rows that are not labelled.

    Raises:
        DataError: Names cells that are no lists of texts, and rows with more or fewer labels than
            words.
    """
    (words,) = (c.name for c in dataset.features)
    problems: list[Problem] = []
    rows = [_lists(frame[name], name, problems) for name in (words, dataset.target)]
    if problems:
        raise DataError(problems)
    pairs = list(zip(*rows, strict=True))
    odd = [
        (row, len(said or ()), len(tags))
        for row, (said, tags) in enumerate(pairs)
        if tags is not None and len(said or ()) != len(tags)
    ]
    if odd:
        shown = ", ".join(f"{w} words and {t} labels in row {row}" for row, w, t in odd[:_SHOWN])
        more = f", and in {len(odd) - _SHOWN} more rows" if len(odd) > _SHOWN else ""
        rule, remedy = "every word needs one label", "mend these rows, or leave their labels empty"
        raise DataError(Problem(rule, shown + more, f"column {dataset.target!r}", remedy))
    return [tags for _, tags in pairs]


def _lists(column: pd.Series, name: str, problems: list[Problem]) -> list[list[str] | None]:
    found: list[list[str] | None] = []
    wrong = []
    for row, cell in enumerate(cells.texts(cells.plain(column))):
        items = read_list(cell) if isinstance(cell, str) else None
        if isinstance(cell, str) and items is None:
            wrong.append(f"{cell[:40]!r} in row {row}")
        found.append(items)
    if wrong:
        rule, remedy = "cells must be lists of texts", 'write ["Anna", "sings"]'
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        shown = ", ".join(wrong[:_SHOWN]) + more
        problems.append(Problem(rule, shown, f"column {name!r}", remedy))
    return found


def tag_names(rows: Sequence[Sequence[str] | None], target: str) -> tuple[str, ...]:
    """The labels that occur, sorted.

    Args:
        rows: Labels of each row.
        target: Of the column, for messages.

    Returns:
        At least two.

    Raises:
        DataError: When there are fewer, one has no name, or nearly as many as words occur.
    """
    often = Counter(tag for tags in rows for tag in tags or ())
    place = f"column {target!r}"
    if any(not tag.strip() or tag != tag.strip() for tag in often):
        rule, remedy = "a label must have a name without blanks around it", "mend the cells"
        odd = next(tag for tag in often if not tag.strip() or tag != tag.strip())
        raise DataError(Problem(rule, repr(odd), place, remedy))
    if len(often) < 2:
        rule, remedy = "words have two labels or more", "check the target"
        raise DataError(Problem(rule, ", ".join(often) or "none", place, remedy))
    if len(often) > max(200, sum(often.values()) // 5):
        rule, value = "labels must occur repeatedly", f"{len(often):,} different ones"
        raise DataError(Problem(rule, value, place, "name the column of labels as target"))
    return tuple(sorted(often))


def tag_values(frame: Any, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are labelled, and which have a label that is not known.

    Args:
        frame: With words and labels.
        dataset: Says which labels there are.

    Returns:
        0 where there are labels and NaN elsewhere, shape (n,); and a mask.
    """
    rows = read_tags(frame, dataset)
    known = set(dataset.tags)
    y = np.array([np.nan if tags is None else 0.0 for tags in rows])
    return y, np.array([bool(set(tags or ()) - known) for tags in rows], dtype=bool)


def unknown_tags(frame: Any, dataset: Dataset) -> list[str]:
    """Labels that training did not show, sorted."""
    rows = read_tags(frame, dataset)
    return sorted({tag for tags in rows for tag in tags or ()} - set(dataset.tags))


def task_reason(tags: Sequence[str], words: str) -> str:
    """Why the task is to label words, in one clause.

    Args:
        tags: All labels.
        words: Name of the column of words.

    Returns:
        With how labels make spans.
    """
    how = {
        Scheme.PREFIXED: "which say with prefixes where spans begin",
        Scheme.RUNS: "of which runs of equal ones are spans",
        Scheme.WORDS: "each of one word",
    }[scheme_of(tags)]
    return f"each list has as many labels as {words!r} has words, {how}"
