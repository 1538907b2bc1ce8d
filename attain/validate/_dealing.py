"""Dealing rows, groups and times to folds: the arithmetic behind `resample`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from attain.stats.stratify import iterative


def codes(groups: np.ndarray) -> np.ndarray:
    """Group of each row as 0, 1, ...; a row without a group is a group of its own."""
    import pandas as pd

    code, _ = pd.factorize(groups, sort=False)
    missing = np.flatnonzero(code < 0)
    code = code.astype(np.int64)
    code[missing] = code.max(initial=-1) + 1 + np.arange(len(missing))
    return cast(np.ndarray, code)


def order(time: np.ndarray) -> np.ndarray:
    """Rank of each row's time among the different times, from 0; missing times come last."""
    return np.unique(time, return_inverse=True)[1].ravel()


def cuts(time: np.ndarray, shares: Sequence[float]) -> list[int]:
    """Ranks of time at which to cut so that about these shares of rows lie before.

    Args:
        time: Shape (n,).
        shares: Increasing, in (0, 1).

    Returns:
        Increasing ranks in [1, number of times); rows of equal time are never parted. Empty when
        there are fewer times than cuts need.
    """
    when = order(time)
    counts = np.bincount(when)
    times, wanted = len(counts), len(shares)
    if times <= wanted:
        return []
    before = np.cumsum(counts)[:-1] / len(when)  # share before rank 1, 2, ...
    chosen = []
    low = 1
    for i, share in enumerate(shares):
        nearest = int(np.argmin(np.abs(before - share))) + 1
        chosen.append(min(max(nearest, low), times - wanted + i))
        low = chosen[-1] + 1
    return chosen


def deal(
    n: int, parts: int, classes: np.ndarray | None, groups: np.ndarray | None, seed: int
) -> np.ndarray:
    """Part of each row, 0 to parts - 1.

    Args:
        n: Rows.
        parts: How many; at most the rows, or the groups when there are groups.
        classes: Class code of each row to spread evenly, shape (n,), or which labels it carries,
            shape (n, labels), or None.
        groups: Group code of each row to keep together, or None.
        seed: Of the shuffling.

    Returns:
        Shape (n,). Without groups, sizes differ by at most one row, and so do the rows of each
        class; with labels, as nearly as these allow.
    """
    rng = np.random.default_rng(seed)
    if groups is not None:
        return _deal_groups(parts, classes, groups, rng)
    if classes is not None and classes.ndim == 2:
        share = np.full(parts, 1 / parts)
        return iterative(classes, np.ones(n, np.int64), share, rng.random(n))
    mixed = rng.permutation(n)
    if classes is not None:
        mixed = mixed[np.argsort(classes[mixed], kind="stable")]
    part = np.empty(n, np.int64)
    part[mixed] = np.arange(n) % parts  # round and round, on from class to class
    return part


def first_part(
    n: int, parts: int, classes: np.ndarray | None, groups: np.ndarray | None, seed: int
) -> np.ndarray:
    """Positions of one part of about n / parts rows; at least one row, never all.

    Args:
        n: Rows, at least 2.
        parts: Into how many parts of that size the rows would go.
        classes: As for `deal`.
        groups: Group code of each row, or None; ignored when all rows are of one group.
        seed: Of the shuffling.

    Returns:
        Sorted positions.
    """
    if groups is not None and groups.max() == 0:
        groups = None
    units = n if groups is None else int(groups.max()) + 1
    part = deal(n, min(parts, units), classes, groups, seed)
    # dealing fills the parts evenly, so any will do; the one nearest in size suits large groups
    sizes = np.bincount(part)
    return np.flatnonzero(part == int(np.argmin(np.abs(sizes - n / parts))))


def keep_classes(classes: np.ndarray | None, picked: np.ndarray, n: int) -> np.ndarray:
    """Mask of the picked rows, without those of classes that would be picked as a whole.

    Args:
        classes: As for `deal`; a row stays if one of its labels would be gone.
        picked: Positions.
        n: Rows.

    Returns:
        Boolean, shape (n,); as picked when otherwise nothing would be left of it.
    """
    mask = np.zeros(n, bool)
    mask[picked] = True
    if classes is None:
        return mask
    if classes.ndim == 2:
        gone = ~classes[~mask].any(axis=0)
        kept = mask & ~classes[:, gone].any(axis=1)
        return kept if kept.any() else mask
    rest = np.unique(classes[~mask])
    kept = mask & np.isin(classes, rest)
    return kept if kept.any() else mask


def _deal_groups(
    parts: int, classes: np.ndarray | None, groups: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Greedy: the largest groups first, each to the part that it leaves most even.

    Evenness is the sum of squares of each class's shares over parts, all classes and the number of
    rows counting alike; the idea of scikit-learn's StratifiedGroupKFold, at O(1) per group.
    """
    count = int(groups.max()) + 1
    content = _contents(count, classes, groups)
    shares = content / np.maximum(content.sum(axis=0), 1)
    held = np.zeros((parts, content.shape[1]))
    home = np.empty(count, np.int64)
    # sizes are blurred, or groups of different sizes would be dealt alike whatever the seed
    size = (shares**2).sum(axis=1) * rng.uniform(0.25, 1.0, count)
    queue = np.argsort(-size, kind="stable")
    empty = list(range(parts))
    for position, group in enumerate(queue):
        if len(empty) >= count - position:  # the last groups go to parts that are still empty
            chosen = empty[0]
        else:
            chosen = int(np.argmin(held @ shares[group]))
        if chosen in empty:
            empty.remove(chosen)
        held[chosen] += shares[group]
        home[group] = chosen
    return cast(np.ndarray, home[groups])


def _contents(count: int, classes: np.ndarray | None, groups: np.ndarray) -> np.ndarray:
    """Rows of each class or label in each group, and all its rows; shape (count, kinds + 1)."""
    rows = np.bincount(groups, minlength=count)
    if classes is not None and classes.ndim == 2:
        each = [np.bincount(groups, weights=own, minlength=count) for own in classes.T]
        return np.column_stack([*each, rows])
    kinds = 1 if classes is None else int(classes.max()) + 1
    label = np.zeros(len(groups), np.int64) if classes is None else classes
    content = np.bincount(groups * kinds + label, minlength=count * kinds).reshape(count, kinds)
    return np.column_stack([content, rows])
