"""What cells said: single rows with the share of each column, and all columns at a glance."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from attain.core.errors import AttainError
from attain.core.types import Attribution, ColumnKind
from attain.report import numbers
from attain.report.local import shown
from attain.report.singles import Question, about, in_turn, short, summed

MOST_ROWS = 500  # behind the view of all columns
MOST_COLUMNS = 10
MOST_POINTS = 120
MOST_CELLS = 6
_LOCAL = 0.5  # of the time, for single rows
_BATCH = 50
_ORDERED = (ColumnKind.NUMERIC, ColumnKind.DATETIME, ColumnKind.BOOLEAN)


def what_cells_say(
    question: Question, seconds: float, *, exact: bool
) -> tuple[dict[str, Any] | None, list[str]]:
    """Single rows column by column, and how far each column moves rows in general.

    Args:
        question: The model and its rows, none of them sealed.
        seconds: Wall time to spend; when it is short, fewer rows are asked about.
        exact: Whether the learner itself tells, in log odds or the target's unit; else cells were
            found out about by trying (`trying.Trying`), in chances or the target's unit.

    Returns:
        JSON values and sentences on what was left out. The values are ``exact``, ``singles``
        (``row``, ``actual``, ``predicted``, ``right``, ``output``, ``baseline``, ``rest``,
        ``residual``, ``steps``, ``cells``: ``columns``, ``shown``, ``value`` and ``error`` of the
        six that said most, and ``others``: how many more, and their sum), ``columns`` (``column``,
        ``mean`` of the absolute values, ``points``: value and rank of the cell among the rows, None
        without an order; empty unless exact), ``of`` (the class these are about; None for values
        and for the predicted one), ``rows`` behind them, and ``sums``: how well all of it adds up.
        None instead when cells cannot be told.
    """
    began = time.perf_counter()
    try:
        singles, wanted = in_turn(question, began + _LOCAL * seconds, partial(_told, question))
        told = _overview(question, began + seconds) if exact else {"columns": [], "rows": 0}
    except AttainError as error:
        return None, [f"What the columns say could not be found out: {error}"]
    if not any(single["cells"] for single in singles):
        return None, []
    late = wanted - len(singles)
    notes = [f"Time was up before {numbers.plural(late, 'row')} could be read."] if late else []
    names = question.dataset.classes
    of = names[1] if exact and len(names) == 2 else None
    return {"exact": exact, "singles": singles, "of": of, **told, "sums": question.sums}, notes


def _told(question: Question, row: int, told: Attribution) -> dict[str, Any]:
    """One row, for people."""
    strongest = sorted(told.cells, key=lambda cell: -abs(cell.value))
    strongest = [cell for cell in strongest if cell.value]
    frame = question.rows.X
    cells = [
        {
            "columns": list(cell.columns),
            "shown": shown(frame[cell.columns[0]].iloc[row]) if len(cell.columns) == 1 else None,
            "value": short(cell.value),
            "error": short(cell.error),
        }
        for cell in strongest[:MOST_CELLS]
    ]
    rest = strongest[MOST_CELLS:]
    return {
        "row": int(question.names[row]),
        **about(question, row),
        **summed(told),
        "cells": cells,
        "others": [len(rest), short(sum(cell.value for cell in rest))],
    }


def _overview(question: Question, deadline: float) -> dict[str, Any]:
    """How far each column moved some hundred rows."""
    order = np.random.default_rng([question.seed, 4]).permutation(len(question.rows))[:MOST_ROWS]
    guesses, two = question.guesses, len(question.dataset.classes) == 2
    asked: list[int] = []
    values: dict[str, list[float]] = {}
    for index in np.split(order, range(_BATCH, len(order), _BATCH)):
        if asked and time.perf_counter() > deadline:
            break
        codes = np.ones(len(index), dtype=np.int64) if two else guesses
        codes = codes if codes is None or two else codes[index]
        for told in question.ask(index, codes):
            for cell in told.cells:
                values.setdefault(cell.columns[0], []).append(cell.value)
        asked += index.tolist()
    means = {name: float(np.mean(np.abs(v))) for name, v in values.items()}
    top = sorted((n for n in means if means[n] > 0), key=lambda n: (-means[n], n))[:MOST_COLUMNS]
    columns = [
        {
            "column": name,
            "mean": short(means[name]),
            "points": _points(values[name], _ranks(question, name, asked)),
        }
        for name in top
    ]
    return {"columns": columns, "rows": len(asked)}


def _points(values: Sequence[float], ranks: Sequence[float | None]) -> list[list[float | None]]:
    pairs = zip(values[:MOST_POINTS], ranks[:MOST_POINTS], strict=True)
    return [[short(value), rank] for value, rank in pairs]


def _ranks(question: Question, name: str, asked: Sequence[int]) -> list[float | None]:
    """Each cell's rank among the rows as a share of them, None where there is no order."""
    kind = next((c.kind for c in question.dataset.columns if c.name == name), None)
    if kind not in _ORDERED:
        return [None] * len(asked)
    ranks = question.rows.X[name].iloc[list(asked)].rank(pct=True)
    return [None if rank != rank else round(float(rank), 2) for rank in ranks]


def signed(value: float, found: Mapping[str, Any], classifies: bool) -> str:
    """What a cell said, with its sign: points of chance, log odds, or the target's unit.

    Args:
        value: To show.
        found: The evidence's ``model.cells``.
        classifies: Whether classes are predicted.

    Returns:
        Such as ``+12.3`` (points of a hundred) or ``−0.80``.
    """
    sign = "+" if value > 0 else ""
    if classifies and not found["exact"]:
        return f"{100 * value:+.1f}".replace("-", "\N{MINUS SIGN}")
    return sign + numbers.number(value, digits=2)


def sums_sentence(found: Mapping[str, Any], classifies: bool) -> str:
    """How the values were found and how well they add up, in one or two sentences.

    Args:
        found: The evidence's ``model.cells``.
        classifies: Whether classes are predicted.

    Returns:
        For people.
    """
    sums = found["sums"]
    if found["exact"]:
        what = "log odds" if classifies else "prediction"
        residual = numbers.number(sums["residual"], digits=2)
        return (
            "The model's own sums (Shapley values): with the mean over its training rows they are "
            f"its {what} before any calibration, but for rounding (largest residual {residual})."
        )
    return (
        "Found by putting the cells of the row into other rows, one column after the other, in "
        f"{sums['steps']} orders (Shapley values by sampling); together they are the difference to "
        "the mean prediction of those rows. The tip of a bar tells its standard error."
    )
