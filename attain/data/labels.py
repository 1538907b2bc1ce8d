"""Targets whose cells hold several labels: lists, or text with something between the labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from attain.core.errors import DataError, Problem
from attain.core.types import Dataset, Task
from attain.data import cells

SEPARATORS = ("|", ";", ",")
"""Tried in this order where a study asks for labels and does not say what stands between them."""
MOST_LABELS = 0.5  # labels for each row above which they are no labels but free words
_FEW = 20  # labels that are never too many
_SHOWN = 3

Labels = tuple[str, ...] | None
"""Of one row, sorted; empty for a row that carries none, None for a row that is not labelled."""


def read(column: pd.Series, separator: str) -> list[Labels]:
    """The labels of each row.

    Args:
        column: The target, a plain column.
        separator: Between the labels of a cell; empty where cells are JSON lists. An empty cell of
            separated labels carries none, because a table of texts cannot say so otherwise; among
            lists it is a row that is not labelled.

    Returns:
        One entry for each row.

    Raises:
        DataError: Names cells that are no lists, and labels without a name.
    """
    words = cells.texts(column)
    made: dict[str, Labels] = {}
    wrong: list[tuple[str, str]] = []
    for cell in words.dropna().unique():
        try:
            made[cell] = _of_cell(str(cell), separator)
        except ValueError as error:
            wrong.append((str(error), str(cell)))
    if wrong:
        raise DataError(_refused(words, wrong, column.name, separator))
    nothing: Labels = () if separator else None
    there = words.notna().to_numpy()
    return [made[cell] if known else nothing for cell, known in zip(words, there, strict=True)]


def _of_cell(cell: str, separator: str) -> tuple[str, ...]:
    if separator:
        parts: Sequence[Any] = [p.strip() for p in cell.split(separator)] if cell.strip() else []
    else:
        parts = _listed(cell)
    names = [str(part).strip() for part in parts]
    if not all(names):
        raise ValueError("a label must have a name")
    return tuple(sorted(set(names)))


def _listed(cell: str) -> list[Any]:
    try:
        parts = json.loads(cell)
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or any(isinstance(p, list | dict) or p is None for p in parts):
        raise ValueError("cells must be lists of labels")
    return parts


def _refused(
    words: pd.Series, wrong: Sequence[tuple[str, str]], name: Any, separator: str
) -> list[Problem]:
    """One problem for each rule, with the first cells that break it."""
    remedies = {
        "a label must have a name": f"mend the cells: nothing stands beside {separator or ','!r}",
        "cells must be lists of labels": 'write ["a", "b"], or name the separator: labels: "|"',
    }
    found = []
    for rule in dict.fromkeys(rule for rule, _ in wrong):
        bad = [cell for r, cell in wrong if r == rule]
        rows = np.flatnonzero(words.isin(bad).to_numpy())[:_SHOWN]
        shown = ", ".join(f"{str(words.iloc[i])[:60]!r} in row {i}" for i in rows)
        found.append(Problem(rule, shown, f"target column {name!r}", remedies[rule]))
    return found


def label_task(
    column: pd.Series, name: str, wanted: Task | None, separator: str | None
) -> tuple[str, str] | None:
    """Whether a target holds labels, and how they are written.

    Args:
        column: The target, a plain column.
        name: Its name.
        wanted: What the user stated.
        separator: What the user said stands between labels, if anything.

    Returns:
        The separator (empty for lists) and why; None for other targets.

    Raises:
        DataError: Labels are asked for, and nothing tells how they are written; or a separator is
            named for another task, or for lists.
    """
    if wanted not in (None, Task.MULTILABEL):
        if separator is None:
            return None
        rule, remedy = "a separator of labels is for task: multilabel", "leave `labels` out"
        raise DataError(Problem(rule, f"task: {wanted}", "labels", remedy))
    words = cells.texts(column).dropna()
    listed = bool(len(words)) and bool(words.map(_looks_listed).all())
    if separator is not None and listed:
        rule, remedy = "lists of labels have no separator", "leave `labels` out"
        raise DataError(Problem(rule, repr(separator), f"target column {name!r}", remedy))
    if separator is not None:
        return separator, f"cells hold labels with {separator!r} between them, as asked"
    if listed:
        return "", "cells are lists of labels"
    if wanted is None:
        return None
    often = {s: int(words.str.contains(s, regex=False).sum()) for s in SEPARATORS}
    best = max(SEPARATORS, key=lambda s: often[s])
    if often[best]:
        return best, f"{often[best]:,} cells hold several labels with {best!r} between them"
    rule = "labels need lists, or something that stands between them"
    remedy = 'name what does, such as labels: " ", or set task: multiclass'
    raise DataError(Problem(rule, "neither found", f"target column {name!r}", remedy))


def _looks_listed(cell: str) -> bool:
    if not cell.startswith("["):
        return False
    try:
        return all(isinstance(item, str) for item in _listed(cell))
    except ValueError:
        return False


def names(found: Iterable[Labels], name: str) -> tuple[str, ...]:
    """The labels that occur, sorted.

    Args:
        found: Of each row.
        name: Of the target column, for messages.

    Returns:
        At least two.

    Raises:
        DataError: When there are fewer, or nearly as many as rows.
    """
    rows = [labels for labels in found if labels is not None]
    known = tuple(sorted({label for labels in rows for label in labels}))
    place = f"target column {name!r}"
    if len(known) < 2:
        rule, remedy = "a target of labels has two labels or more", "set task: binary"
        raise DataError(Problem(rule, ", ".join(known) or "none", place, remedy))
    if len(known) > max(_FEW, MOST_LABELS * len(rows)):
        rule, value = "labels must occur repeatedly", f"{len(known):,} labels in {len(rows):,} rows"
        raise DataError(Problem(rule, value, place, "check what stands between labels: `labels`"))
    return known


def matrix(column: pd.Series, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Which labels each row carries.

    Args:
        column: The target, a plain column.
        dataset: Labels and how they are written.

    Returns:
        int64, shape (n, labels): 1 for labels that are there, 0 for those that are not, -1
        throughout where the row is not labelled; and a mask of rows with an unknown label.
    """
    place = {label: k for k, label in enumerate(dataset.classes)}
    found = read(column, dataset.separator)
    y = np.zeros((len(found), len(place)), dtype=np.int64)
    unknown = np.zeros(len(found), dtype=bool)
    for row, labels in enumerate(found):
        if labels is None:
            y[row] = -1
            continue
        unknown[row] = any(label not in place for label in labels)
        y[row, [place[label] for label in labels if label in place]] = 1
    return y, unknown


def unknown_labels(column: pd.Series, dataset: Dataset) -> list[str]:
    """Labels that training did not show, sorted.

    Args:
        column: The target, a plain column.
        dataset: Labels and how they are written.

    Returns:
        Their names.
    """
    found = read(column, dataset.separator)
    return sorted({label for labels in found for label in labels or ()} - set(dataset.classes))


def canonical(column: pd.Series, separator: str) -> pd.Series:
    """The same text for the same labels, in whatever order they stand.

    Args:
        column: The target, a plain column.
        separator: As for `read`.

    Returns:
        JSON lists as text; missing where a row is not labelled.
    """
    made = [None if labels is None else json.dumps(labels) for labels in read(column, separator)]
    return pd.Series(made, dtype=object)


def joined(decided: np.ndarray, dataset: Dataset) -> list[str]:
    """Predicted labels, written as the target is.

    Args:
        decided: 0 or 1, shape (n, labels).
        dataset: Labels and how they are written.

    Returns:
        One text for each row.
    """
    each = [[dataset.classes[k] for k in np.flatnonzero(row).tolist()] for row in decided]
    if dataset.separator:
        return [dataset.separator.join(names_) for names_ in each]
    return [json.dumps(names_, ensure_ascii=False) for names_ in each]
