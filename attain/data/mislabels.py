"""Confident learning: which labels are likely wrong, and how many (Northcutt, Jiang & Chuang 2021).

"Confident learning: estimating uncertainty in dataset labels", JAIR 70, arXiv:1911.00068.
Numbers of equations are of that paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SUREST = 500  # rows of which a model is surest that tell a share of one in a hundred;
_LEAST, _MOST = 0.1, 1 / 3  # a tenth of all rows at least, a third at most


@dataclass(frozen=True, eq=False)
class Mislabels:
    """What out-of-fold probabilities say of given labels.

    Attributes:
        rows: Rows whose label is likely wrong, worst first, int64.
        better: The class that each of them likely is, int64.
        estimated: How many labels are wrong, by the calibrated confident joint.
        joint: Estimated counts of given class (row) and true class (column), shape (k, k).
        surest: Share of disagreement among the rows of which the model is surest.
        of: How many rows these are.
    """

    rows: np.ndarray
    better: np.ndarray
    estimated: float
    joint: np.ndarray
    surest: float
    of: int


def mislabels(y: np.ndarray, p: np.ndarray) -> Mislabels:
    """Find and count labels that are likely wrong.

    Args:
        y: Given classes, int64, shape (n,).
        p: Out-of-fold probabilities, shape (n, k).

    Returns:
        Rows, ranked by how much less likely the given class is than the other one.
    """
    n, k = p.shape
    counts = np.bincount(y, minlength=k)
    p = np.where(counts > 0, p, 0.0)  # a class that no row has is no better one
    sums = np.bincount(y, weights=p[np.arange(n), y], minlength=k)
    least = np.where(counts > 0, sums / np.maximum(counts, 1), np.inf)  # equation 2
    above = np.where(p >= least, p, -1.0)
    true = above.argmax(axis=1)  # equation 1; of several classes the most probable one
    sure = above.max(axis=1) >= 0
    joint = np.bincount(y[sure] * k + true[sure], minlength=k * k).reshape(k, k).astype("float64")
    totals = joint.sum(axis=1, keepdims=True)
    joint = np.where(totals > 0, joint / np.maximum(totals, 1) * counts[:, None], np.diag(counts))
    rows = np.flatnonzero(_pruned(y, p, joint) & (p.argmax(axis=1) != y))
    other = p[rows].copy()
    other[np.arange(len(rows)), y[rows]] = -1.0
    order = np.argsort(p[rows, y[rows]] - other.max(axis=1), kind="stable")
    rows, better = rows[order], other.argmax(axis=1)[order]
    return Mislabels(rows, better, float(n - np.trace(joint)), joint, *_surest(y, p))


def _pruned(y: np.ndarray, p: np.ndarray, joint: np.ndarray) -> np.ndarray:
    """For each pair of classes as many rows as the joint says, largest margin first.

    The paper's "prune by noise rate" (section 3.2). Booleans, shape (n,).
    """
    chosen = np.zeros(len(y), dtype=bool)
    counts = _whole(joint)
    for given, true in zip(*np.nonzero(counts - np.diag(np.diag(counts))), strict=True):
        rows = np.flatnonzero(y == given)
        margin = p[rows, true] - p[rows, given]
        chosen[rows[np.argsort(-margin, kind="stable")[: counts[given, true]]]] = True
    return chosen


def _whole(joint: np.ndarray) -> np.ndarray:
    """Whole numbers with the same sum in each row: the largest remainders are rounded up."""
    down = np.floor(joint)
    missing = np.rint(joint.sum(axis=1) - down.sum(axis=1)).astype("int64")
    place = np.argsort(np.argsort(down - joint, axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray((down + (place < missing[:, None])).astype("int64"))


def _surest(y: np.ndarray, p: np.ndarray) -> tuple[float, int]:
    """Disagreement among those rows of each predicted class of which the model is surest.

    Where nothing is hard a model errs hardly ever, so what is left are labels (the idea of anchor
    points: Patrini et al. 2017, "Making deep neural networks robust to label noise", CVPR, 4.1).
    """
    said, sure = p.argmax(axis=1), p.max(axis=1)
    share = float(np.clip(SUREST / max(len(y), 1), _LEAST, _MOST))
    order = np.lexsort((-sure, said))
    sizes = np.bincount(said, minlength=p.shape[1])
    place = np.arange(len(y)) - (np.cumsum(sizes) - sizes)[said[order]]
    top = order[place < share * sizes[said[order]]]
    return (float((said[top] != y[top]).mean()), len(top)) if len(top) else (0.0, 0)
