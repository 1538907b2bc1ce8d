"""Whether two sets of rows are alike: a classifier that tries to tell them apart.

The classifier two-sample test (Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests",
ICLR): out of fold, its area under the ROC curve is 0.5 where nothing tells the sets apart. The area
is its own effect size: the chance that a row of the one set looks more like it than a row of the
other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from attain.core.types import Column, ColumnKind
from attain.data import quick
from attain.data.sketch import auc

FOLDS = 3
Z = 1.645  # of a lower limit that holds in 95 %


def told_apart(
    X: pd.DataFrame, columns: Sequence[Column], other: np.ndarray, units: np.ndarray, seed: int = 0
) -> float:
    """How well a quick model tells two sets of rows apart.

    Args:
        X: Typed features, shape (n, m).
        columns: Those of them to look at.
        other: Which set each row is of, booleans, shape (n,).
        units: Hash of what no fold may divide, uint64, shape (n,).
        seed: Of folds and models.

    Returns:
        Area under the ROC curve on rows that the model was not fitted to, in [0, 1].
    """
    linear = any(c.kind is ColumnKind.TEXT or c.kind.is_media for c in columns)
    design = quick.encode(X, columns, linear=linear)
    fold = quick.fold_of(units, FOLDS, seed)
    y = other.astype("int64")
    guess = quick.out_of_fold(design, y, fold, 2, seed)[:, 1]
    return float(np.mean([auc(y[fold == k], guess[fold == k]) for k in np.unique(fold)]))


def lower_limit(area: float, ones: int, zeros: int) -> float:
    """A lower 95 % limit of an area under the ROC curve (Hanley & McNeil 1982, equation 1).

    Args:
        area: The estimate, in [0, 1].
        ones: Rows of the one set.
        zeros: Rows of the other set.

    Returns:
        In [0, 1]; 0 when a set is empty.
    """
    if not ones or not zeros:
        return 0.0
    first, second = area / (2 - area), 2 * area**2 / (1 + area)
    spread = area * (1 - area) + (ones - 1) * (first - area**2) + (zeros - 1) * (second - area**2)
    return max(0.0, area - Z * math.sqrt(max(spread, 0.0) / (ones * zeros)))


def distance(values: pd.Series, column: Column, other: np.ndarray) -> float:
    """How far the values of one column differ between two sets of rows.

    Args:
        values: Typed cells, shape (n,).
        column: What they are.
        other: Which set each row is of, booleans, shape (n,).

    Returns:
        In [0, 1]: the largest difference of the distribution functions of numbers and dates
        (Kolmogorov-Smirnov), or the total variation of categories; missing cells count.
    """
    if not other.any() or other.all():
        return 0.0
    if column.kind in (ColumnKind.CATEGORICAL, ColumnKind.TEXT) or column.kind.is_media:
        codes, names = pd.factorize(values, use_na_sentinel=False)
        shares = [np.bincount(codes[o], minlength=len(names)) / o.sum() for o in (other, ~other)]
        return float(np.abs(shares[0] - shares[1]).sum() / 2)
    numbers = values.to_numpy()
    if numbers.dtype.kind == "M":
        stamps = numbers.astype("datetime64[us]")
        numbers = np.where(np.isnat(stamps), np.nan, stamps.astype("int64").astype("float64"))
    numbers = np.where(np.isnan(numbers), np.inf, numbers)
    order = np.argsort(numbers, kind="stable")
    step = np.where(other[order], 1 / other.sum(), -1 / (~other).sum())
    ends = np.r_[numbers[order][1:] != numbers[order][:-1], True]
    return float(np.abs(np.cumsum(step))[ends].max())


def follows(values: pd.Series, order: np.ndarray) -> bool:
    """Whether a column only ever grows (or shrinks) with the order of rows: a calendar or counter.

    Args:
        values: Typed cells, shape (n,).
        order: Rank of each row, shape (n,).

    Returns:
        True for at least 99 % of steps in one direction, and not all of them level.
    """
    if values.dtype.kind not in "fiuM":
        return False
    ordered = values.to_numpy()[np.argsort(order, kind="stable")]
    up, down = (float(m.mean()) for m in (ordered[1:] >= ordered[:-1], ordered[1:] <= ordered[:-1]))
    return min(up, down) < 1.0 and max(up, down) >= 0.99
