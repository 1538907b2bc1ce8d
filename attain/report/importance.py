"""How much the loss rises when a column is shuffled, together with its near-copies."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.errors import DataError
from attain.core.types import Rows
from attain.stats.interval import t_quantile

if TYPE_CHECKING:
    import pandas as pd

Predict = Callable[[Rows], np.ndarray]
Loss = Callable[[np.ndarray, np.ndarray], float]

TWINS = 0.9  # association from which two columns are shuffled together
BLOCKS = 20  # delete-a-block jackknife: Shao & Wu, Ann. Statist. 17 (1989), section 2
_FEWEST_ROWS = 300
_ASSOCIATION_ROWS = 2_000
_MOST_COLUMNS_COMPARED = 400


def permutation_importance(
    predict: Predict,
    rows: Rows,
    loss: Loss,
    *,
    repeats: int = 5,
    seed: int = 0,
    most_rows: int = 5_000,
    seconds: float | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[dict[str, Any]]:
    """Rise of the loss when a group of columns is shuffled (Fisher et al. 2019, eq. 3).

    Columns with an association of at least 0.9 are shuffled together: shuffled alone, each would
    look useless while its twin still carries the information. The 95 % interval adds the variance
    of shuffling (over repeats) to the variance of having drawn these rows and not others
    (delete-a-block jackknife with 20 blocks; rows of one group stay in one block), with
    Satterthwaite's degrees of freedom.

    Args:
        predict: Rows to probabilities of shape (n, classes) or values of shape (n,).
        rows: Rows that the model was not trained on, with their target.
        loss: ``loss(y, prediction)``, lower is better.
        repeats: Shuffles of each group, at least 2.
        seed: Of sampling and shuffling.
        most_rows: Rows used at most; more are sampled.
        seconds: Wall time to spend; when it is short fewer rows, then fewer repeats, then fewer
            groups are looked at. None for no limit.
        clock: Seconds that pass; tests give a simulated one.

    Returns:
        One mapping for each group, most important first: ``columns`` (names), ``mean``, ``low``,
        ``high`` (in units of the loss), ``rank``, ``rank_low``, ``rank_high`` (best and worst rank
        over the repeats), ``repeats`` and ``rows``.
    """
    began = clock()
    rng = np.random.default_rng(seed)
    sample = rows.take(_sample(len(rows), most_rows, rng))
    groups = twin_groups(sample.X)
    asked = clock()
    predict(sample)
    once = clock() - asked
    left = math.inf if seconds is None else seconds - (clock() - began)
    sample = _affordable(sample, len(groups) * 2 * once, left, rng)
    setting = _Setting(predict, loss, sample, predict(sample), _blocks(sample, rng))
    deadline = math.inf if seconds is None else began + seconds
    return _ranked(_measure(setting, groups, repeats, rng, lambda: clock() > deadline), len(sample))


@dataclass(frozen=True, eq=False)
class _Setting:
    """What every shuffle is compared with.

    Attributes:
        predict: The model.
        loss: Lower is better.
        rows: The sample.
        prediction: Of the model on the sample as it is.
        blocks: Jackknife block of each row, shape (n,).
    """

    predict: Predict
    loss: Loss
    rows: Rows
    prediction: np.ndarray
    blocks: np.ndarray


def _sample(n: int, most: int, rng: np.random.Generator) -> np.ndarray:
    return np.arange(n) if n <= most else np.sort(rng.choice(n, most, replace=False))


def _affordable(rows: Rows, cost: float, left: float, rng: np.random.Generator) -> Rows:
    """Fewer rows when two rounds over all groups would take longer than the time left."""
    if cost <= left or len(rows) <= _FEWEST_ROWS:
        return rows
    most = max(_FEWEST_ROWS, int(len(rows) * max(left, 0.0) / cost))
    return rows.take(_sample(len(rows), most, rng))


def _blocks(rows: Rows, rng: np.random.Generator) -> np.ndarray:
    if rows.groups is None:
        return rng.permutation(len(rows)) % BLOCKS
    _, codes = np.unique(rows.groups.astype(str), return_inverse=True)
    return rng.permutation(int(codes.max()) + 1)[codes] % BLOCKS


def _measure(
    setting: _Setting,
    groups: Sequence[tuple[str, ...]],
    repeats: int,
    rng: np.random.Generator,
    late: Callable[[], bool],
) -> list[tuple[tuple[str, ...], list[float], float]]:
    """Rise of the loss in each repeat, and the standard error that the rows contribute.

    Repeats are the outer loop, so that an early end leaves every group looked at equally often.
    """
    y = setting.rows.y
    assert y is not None
    plain = setting.loss(y, setting.prediction)
    rises: dict[tuple[str, ...], list[float]] = {group: [] for group in groups}
    errors: dict[tuple[str, ...], float] = {}
    for repeat in range(repeats):
        for group in groups:
            if late():
                break
            shuffled = setting.predict(_shuffle(setting.rows, group, rng))
            rises[group].append(setting.loss(y, shuffled) - plain)
            if repeat == 0:
                errors[group] = _row_error(setting, shuffled)
    return [(group, values, errors[group]) for group, values in rises.items() if values]


def _shuffle(rows: Rows, columns: tuple[str, ...], rng: np.random.Generator) -> Rows:
    frame = rows.X.copy()
    order = rng.permutation(len(frame))
    for column in columns:
        frame[column] = frame[column].take(order).set_axis(frame.index)
    return Rows(frame, rows.y, rows.groups, rows.time)


def _row_error(setting: _Setting, shuffled: np.ndarray) -> float:
    """Standard error of the rise, from leaving out one block of rows at a time."""
    y = setting.rows.y
    assert y is not None
    used = np.unique(setting.blocks)
    if len(used) < 2:
        return float("nan")
    rises = []
    for block in used:
        keep = setting.blocks != block
        try:
            plain = setting.loss(y[keep], setting.prediction[keep])
            rises.append(setting.loss(y[keep], shuffled[keep]) - plain)
        except DataError:  # undefined without these rows, such as an AUC with one class
            return float("nan")
    spread = np.asarray(rises) - np.mean(rises)
    return float(np.sqrt((len(used) - 1) / len(used) * np.sum(spread**2)))


def _ranked(
    measured: list[tuple[tuple[str, ...], list[float], float]], rows: int
) -> list[dict[str, Any]]:
    if not measured:
        return []
    fewest = min(len(values) for _, values, _ in measured)
    table = np.array([values[:fewest] for _, values, _ in measured])  # groups x repeats
    ranks = np.argsort(np.argsort(-table, axis=0, kind="stable"), axis=0, kind="stable") + 1
    found: list[dict[str, Any]] = []
    for (columns, values, row_error), rank in zip(measured, ranks, strict=True):
        mean = float(np.mean(values))
        half = _half_width(values, row_error)
        found.append(
            {
                "columns": list(columns),
                "mean": mean,
                "low": None if half is None else mean - half,
                "high": None if half is None else mean + half,
                "rank_low": int(rank.min()),
                "rank_high": int(rank.max()),
                "repeats": len(values),
                "rows": rows,
            }
        )
    found.sort(key=lambda entry: (-entry["mean"], entry["columns"]))
    return [{**entry, "rank": rank} for rank, entry in enumerate(found, 1)]


def _half_width(values: Sequence[float], row_error: float) -> float | None:
    """Half the 95 % interval of the mean rise; None when the rows give no standard error."""
    if not math.isfinite(row_error):
        return None
    repeats = len(values)
    shuffle = float(np.var(values, ddof=1)) / repeats if repeats > 1 else 0.0
    row = row_error**2
    if shuffle + row == 0:
        return 0.0
    spread = row**2 / (BLOCKS - 1) + (shuffle**2 / (repeats - 1) if repeats > 1 else 0.0)
    freedom = (shuffle + row) ** 2 / spread
    return t_quantile(freedom, 0.95) * math.sqrt(shuffle + row)


def twin_groups(frame: pd.DataFrame, threshold: float = TWINS) -> list[tuple[str, ...]]:
    """Columns that carry nearly the same information, together.

    Association is Spearman's rank correlation between numbers, the bias-corrected Cramér's V
    between categories (Bergsma 2013, eq. 5), and the root of epsilon squared of ranks between a
    category and a number. Complete linkage: all pairs within a group reach the threshold.

    Args:
        frame: Features; a sample is enough.
        threshold: Association from which two columns belong together, in (0, 1].

    Returns:
        Groups in the order of their first column; every column is in exactly one.
    """
    names = [str(name) for name in frame.columns]
    if not 2 <= len(names) <= _MOST_COLUMNS_COMPARED:
        return [(name,) for name in names]
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = 1 - association(frame.iloc[:_ASSOCIATION_ROWS])
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="complete")
    labels = fcluster(tree, t=1 - threshold + 1e-12, criterion="distance")
    together: dict[int, list[str]] = {}
    for name, label in zip(names, labels, strict=True):
        together.setdefault(int(label), []).append(name)
    return [tuple(group) for group in together.values()]


def association(frame: pd.DataFrame) -> np.ndarray:
    """Strength of association of each pair of columns.

    Args:
        frame: Numbers, datetimes, and categories as text; missing values allowed.

    Returns:
        A symmetric array of shape (columns, columns) with values in [0, 1].
    """
    ranks, codes = _ranks_and_codes(frame)
    result = np.eye(frame.shape[1])
    numeric, categorical = sorted(ranks), sorted(codes)
    if len(numeric) > 1:
        with np.errstate(all="ignore"):
            spearman = np.corrcoef(np.array([ranks[i] for i in numeric]))
        result[np.ix_(numeric, numeric)] = np.abs(np.nan_to_num(spearman))
    for position, i in enumerate(categorical):
        for j in numeric:
            result[i, j] = result[j, i] = _epsilon(codes[i], ranks[j])
        for j in categorical[position + 1 :]:
            result[i, j] = result[j, i] = _cramer(codes[i], codes[j])
    return np.clip(result, 0.0, 1.0)


def _ranks_and_codes(
    frame: pd.DataFrame,
) -> tuple[dict[int, np.ndarray], dict[int, np.ndarray]]:
    ranks: dict[int, np.ndarray] = {}
    codes: dict[int, np.ndarray] = {}
    for i in range(frame.shape[1]):
        column = frame.iloc[:, i]
        if column.dtype.kind in "fiubM":
            rank = column.rank()
            ranks[i] = rank.fillna(rank.median()).fillna(0.0).to_numpy(dtype=float)
        else:
            # Missing is a category of its own: -1 would be no category at all.
            codes[i] = column.factorize(use_na_sentinel=False)[0]
    return ranks, codes


def _cramer(a: np.ndarray, b: np.ndarray) -> float:
    """Bias-corrected Cramér's V (Bergsma, J. Korean Stat. Soc. 42 (2013), eq. 5)."""
    n, r, k = len(a), int(a.max()) + 1, int(b.max()) + 1
    if n < 2 or r < 2 or k < 2 or r * k > 1_000_000:
        return 0.0
    table = np.bincount(a * k + b, minlength=r * k).reshape(r, k).astype(float)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True) / n
    phi = float(np.sum((table - expected) ** 2 / expected)) / n
    phi = max(0.0, phi - (r - 1) * (k - 1) / (n - 1))
    rows, columns = r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)
    smaller = min(rows, columns) - 1
    return math.sqrt(phi / smaller) if smaller > 0 else 0.0


def _epsilon(codes: np.ndarray, ranks: np.ndarray) -> float:
    """Root of epsilon squared: the share of rank variance that the categories explain, adjusted."""
    n, k = len(codes), int(codes.max()) + 1
    total = float(np.sum((ranks - ranks.mean()) ** 2))
    if n <= k or k < 2 or total == 0:
        return 0.0
    counts = np.bincount(codes, minlength=k)
    means = np.bincount(codes, weights=ranks, minlength=k) / np.maximum(counts, 1)
    within = total - float(np.sum(counts * (means - ranks.mean()) ** 2))
    return math.sqrt(max(0.0, 1 - (within / (n - k)) / (total / (n - 1))))
