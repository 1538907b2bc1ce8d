"""How predictions move with a column: over all rows, and for single mistakes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.types import ColumnKind, Dataset, Rows
from attain.report.mistakes import chance_of_all

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[Rows], np.ndarray]

BINS = 10
MOST_LEVELS = 8
MOST_ROWS = 1_000
NORMAL = 1.959963984540054  # 97.5 % quantile


def effect(
    predict: Predict, rows: Rows, column: str, dataset: Dataset, *, seed: int = 0
) -> dict[str, Any] | None:
    """How the average prediction moves with one column.

    Numbers and dates get accumulated local effects (Apley & Zhu, J. R. Stat. Soc. B 82 (2020),
    eq. 15), which never ask the model about impossible combinations of correlated columns;
    categories get the average prediction with every row set to that category (partial
    dependence, Friedman 2001). Both are shifted so that their weighted mean is the mean prediction.

    Args:
        predict: Rows to probabilities (n, classes) or values (n,).
        rows: Rows that the model was not trained on; at most 1,000 are used.
        column: A feature.
        dataset: For kinds and class labels.
        seed: Of sampling.

    Returns:
        ``column``, ``kind`` (``numeric``, ``datetime`` or ``category``), ``of`` (the class whose
        probability is shown; empty for values), ``at`` (numbers, ISO dates or labels), ``mean``,
        ``low`` and ``high`` (95 %, of having drawn these rows and not others) and ``n``. None when
        the column is text or takes a single value.
    """
    kind = next(c.kind for c in dataset.columns if c.name == column)
    if kind is ColumnKind.TEXT:
        return None
    rng = np.random.default_rng(seed)
    if len(rows) > MOST_ROWS:
        rows = rows.take(np.sort(rng.choice(len(rows), MOST_ROWS, replace=False)))
    if kind in (ColumnKind.NUMERIC, ColumnKind.DATETIME):
        return _accumulated(predict, rows, column, dataset, kind)
    return _by_level(predict, rows, column, dataset)


def _accumulated(
    predict: Predict, rows: Rows, column: str, dataset: Dataset, kind: ColumnKind
) -> dict[str, Any] | None:
    present = rows.take(np.flatnonzero(rows.X[column].notna().to_numpy()))
    values = present.X[column]
    if len(present) == 0:
        return None
    number = values.astype("int64") if kind is ColumnKind.DATETIME else values
    x = number.to_numpy(dtype=float)
    # Quantiles of the kind that picks observed values: the model is asked about real ones only.
    quantiles = np.linspace(0, 1, BINS + 1)
    edges = np.unique(np.quantile(x, quantiles, method="inverted_cdf"))
    if len(edges) < 2:
        return None
    place = np.clip(np.searchsorted(edges, x, side="left") - 1, 0, len(edges) - 2)
    low, high = _at(edges[place], values), _at(edges[place + 1], values)
    both = _concatenate(_with(present, column, low), _with(present, column, high))
    predicted = _as_table(predict(both))
    step = predicted[len(x) :] - predicted[: len(x)]
    weights = np.bincount(place, minlength=len(edges) - 1)
    sums = np.array([step[place == b].sum(axis=0) for b in range(len(edges) - 1)])
    local = sums / np.maximum(weights, 1)[:, None]
    path = np.vstack([np.zeros(local.shape[1]), np.cumsum(local, axis=0)])
    middle = np.average((path[1:] + path[:-1]) / 2, axis=0, weights=weights)
    path += _as_table(predict(present)).mean(axis=0) - middle
    shown, of = _outcome(path, dataset)
    half = NORMAL * _path_error(step[:, shown], place, weights)
    at = edges.tolist() if kind is ColumnKind.NUMERIC else [str(d)[:10] for d in _at(edges, values)]
    return _entry(column, kind.value, of, at, path[:, shown], half, len(x))


def _path_error(step: np.ndarray, place: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Standard error of an accumulated effect at each edge.

    The path is a sum of the bins' means, its weighted mean taken out: a linear function of means of
    different rows, so that their variances add up with squared coefficients.
    """
    bins = len(weights)
    left = step - np.bincount(place, step, bins)[place] / weights[place]
    sums = np.bincount(place, left**2, bins)
    pooled = sums.sum() / max(len(step) - bins, 1)
    variance = np.where(weights > 1, sums / np.maximum(weights - 1, 1), pooled) / weights
    before = np.tri(bins + 1, bins, -1)  # which bins lie below an edge
    taken_out = np.average((before[1:] + before[:-1]) / 2, axis=0, weights=weights)
    error: np.ndarray = np.sqrt(((before - taken_out) ** 2) @ variance)
    return error


def _by_level(predict: Predict, rows: Rows, column: str, dataset: Dataset) -> dict[str, Any] | None:
    counts = rows.X[column].value_counts()
    levels = list(counts.index[:MOST_LEVELS])
    if len(levels) < 2:
        return None
    some = rows.take(np.arange(min(len(rows), MOST_ROWS // 2)))
    told = []
    for level in levels:
        filled = some.X[column].copy()
        filled[:] = level
        told.append(_as_table(predict(_with(some, column, filled))))
    each = np.array(told)  # levels x rows x outcomes
    path = each.mean(axis=1)
    weights = counts.iloc[: len(levels)].to_numpy(dtype=float)
    path += _as_table(predict(some)).mean(axis=0) - np.average(path, axis=0, weights=weights)
    shown, of = _outcome(path, dataset)
    apart = each[:, :, shown] - np.average(each[:, :, shown], axis=0, weights=weights)
    half = NORMAL * apart.std(axis=1, ddof=min(1, len(some) - 1)) / np.sqrt(len(some))
    at = [_label(v) for v in levels]
    return _entry(column, "category", of, at, path[:, shown], half, len(some))


def _entry(
    column: str,
    kind: str,
    of: str,
    at: Sequence[Any],
    mean: np.ndarray,
    half: np.ndarray,
    n: int,
) -> dict[str, Any]:
    told = {"mean": mean.tolist(), "low": (mean - half).tolist(), "high": (mean + half).tolist()}
    return {"column": column, "kind": kind, "of": of, "at": list(at), **told, "n": n}


def _outcome(path: np.ndarray, dataset: Dataset) -> tuple[int, str]:
    """Which column of the prediction to show: the second class of two, else what moves most."""
    if not dataset.task.named:
        return 0, ""
    second = len(dataset.classes) == 2 and not dataset.task.several
    code = 1 if second else int(np.argmax(np.ptp(path, axis=0)))
    return code, dataset.classes[code]


def _label(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _as_table(prediction: np.ndarray) -> np.ndarray:
    return prediction if prediction.ndim == 2 else prediction[:, None]


def _at(numbers: np.ndarray, like: pd.Series) -> np.ndarray:
    """Numbers in the column's own type."""
    if like.dtype.kind == "M":
        return numbers.astype("int64").view(
            f"datetime64[{np.datetime_data(like.to_numpy().dtype)[0]}]"
        )
    return numbers.astype(like.to_numpy().dtype)


def _with(rows: Rows, column: str, values: Any) -> Rows:
    return Rows(rows.X.assign(**{column: values}), rows.y, rows.groups, rows.time)


def _concatenate(a: Rows, b: Rows) -> Rows:
    import pandas as pd

    return Rows(pd.concat([a.X, b.X], ignore_index=True))


def drivers(
    predict: Predict,
    rows: Rows,
    mistakes: Sequence[dict[str, Any]],
    columns: Sequence[tuple[str, ...]],
    dataset: Dataset,
) -> list[dict[str, Any] | None]:
    """For each mistake, the columns that pulled the prediction away from the truth most.

    Each group of columns in turn is set to its typical values (median of numbers, most frequent
    category); the group whose replacement moves the prediction furthest towards the truth is named.
    Only typical values are told, never those of the row itself.

    Args:
        predict: Rows to probabilities (n, classes) or values (n,).
        rows: All rows, with their target.
        mistakes: As `mistakes.worst` gives them.
        columns: Groups to try.
        dataset: For the task.

    Returns:
        For each mistake ``columns``, ``before`` and ``after`` (probability of the actual class or
        of all actual labels, or predicted value), or None when no replacement helps.
    """
    if not mistakes or not columns:
        return [None] * len(mistakes)
    import pandas as pd

    index = np.array([m["row"] for m in mistakes])
    base = rows.take(index)
    typical = _typical(rows.X)
    changed = [base.X.assign(**{c: _spread(typical[c], base.X[c]) for c in g}) for g in columns]
    frame = pd.concat([base.X, *changed], ignore_index=True)
    assert rows.y is not None
    y = np.concatenate([rows.y[index]] * (len(columns) + 1))
    told = _towards(predict(Rows(frame)), y, dataset)
    table = told.reshape(len(columns) + 1, len(index))
    return [_best_change(table[:, i], mistakes[i], columns, dataset) for i in range(len(index))]


def _spread(value: Any, like: pd.Series) -> pd.Series:
    filled = like.copy()
    filled[:] = value
    return filled


def _typical(frame: pd.DataFrame) -> dict[str, Any]:
    typical: dict[str, Any] = {}
    for name in frame.columns:
        column = frame[name]
        if column.dtype.kind in "fiubM":
            typical[name] = column.quantile(0.5, interpolation="nearest")
        else:
            common = column.mode()
            typical[name] = common.iloc[0] if len(common) else None
    return typical


def _towards(prediction: np.ndarray, y: np.ndarray, dataset: Dataset) -> np.ndarray:
    """What is compared: the probability of the actual class or labels, or the predicted value."""
    if dataset.task.several:
        return chance_of_all(prediction, y)
    if dataset.task.classifies:
        return prediction[np.arange(len(y)), y.astype(np.int64)]
    return np.asarray(prediction, dtype=float)


def _best_change(
    told: np.ndarray, mistake: dict[str, Any], columns: Sequence[tuple[str, ...]], dataset: Dataset
) -> dict[str, Any] | None:
    if dataset.task.named:
        gain = told[1:] - told[0]
    else:
        gain = np.abs(told[0] - mistake["actual"]) - np.abs(told[1:] - mistake["actual"])
    best = int(np.argmax(gain))
    if not gain[best] > 0:
        return None
    after = float(told[best + 1])
    return {"columns": list(columns[best]), "before": float(told[0]), "after": after}
