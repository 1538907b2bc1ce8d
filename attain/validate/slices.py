"""The worst slice: found on one half of the rows, believed only if the other half confirms it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

from attain.core.types import Column, ColumnKind, Dataset, Rows
from attain.stats import interval
from attain.stats.interval import Interval
from attain.validate._dealing import codes
from attain.validate._losses import RowLoss, row_loss

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)  # where numbers are cut
MOST_CATEGORIES = 8  # of one column, the most frequent
MOST_CONDITIONS = 600  # products of conditions grow with the square
MOST_ROWS = 10_000  # of the half that is searched
LEAST_ROWS = 30  # of a slice, in each half ...
LEAST_SHARE = 0.02  # ... and of the half
LEAST_POSITIVES = 10  # rows of the rarer class, and of the rest, in each half of a slice
NOMINATED = 4  # slices of either kind that the second half is asked about
DEPTH_PRICE = 1.0  # standard errors by which a second condition must pay for itself
OVERLAP = 0.5  # share of the smaller of two nominated slices that is in the other, at most
POWER = 0.8
SHOWN_SHARE = 0.1  # size of the slice for which the smallest visible gap is stated
_SHORTLIST = 400


@dataclass(frozen=True)
class Condition:
    """One readable statement about a column.

    Attributes:
        column: Its name.
        words: Such as ``age > 52``.
    """

    column: str
    words: str


def find_slices(
    rows: Rows,
    dataset: Dataset,
    prediction: np.ndarray,
    metric: str,
    *,
    threshold: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Slices of up to two conditions on which the model is worse than elsewhere.

    One half of the rows (whole groups, if there are any) is searched: all conditions and pairs of
    conditions are ranked by the lower limit of their gap, with as many standard errors as the best
    of so many noise gaps would reach, sqrt(2 ln m) (Chung et al. 2019, Slice Finder,
    arXiv:1807.06068, and Sagadeeva & Boehm 2021, SliceLine, look for such slices, but score them on
    the rows that they were found on). The best few that hardly overlap are then measured on the
    other half, which knows nothing of the search; their gaps' intervals hold jointly (Bonferroni).

    Two kinds are looked for. ``worse``: the loss is higher than elsewhere, perhaps only because
    these rows are hard and the model says so. ``surprising``: it is higher than the model's own
    probabilities lead one to expect, and by more than elsewhere; for classes only.

    Args:
        rows: With their target.
        dataset: Of these rows.
        prediction: Each row's by a model that has not seen it, (n, K) or (n,); rows with NaN are
            left out.
        metric: Of the study; a loss of single rows stands for it (`_losses.row_loss`).
        threshold: From which probability the second of two classes is predicted; None for the
            usual rule.
        confidence: With which all gaps of the nominated slices hold at once, in (0, 1).
        seed: Of halving.

    Returns:
        JSON values: ``loss`` (name), ``words``, ``rows``, ``tried`` (slices looked at),
        ``confidence``, ``overall`` (mean loss), ``slices`` (the nominated, the most certain first:
        ``kind``, ``words``, ``conditions``, ``rows``, ``share``, ``confirmed``, and from the second
        half ``inside``, ``rest`` and ``gap`` with ``estimate``, ``low``, ``high``, ``n``, and
        ``expected``) and ``visible`` (``share`` and the smallest ``gap`` that would be found with
        80 % power). When there are too few rows, ``slices`` is empty and ``reason`` says so.
    """
    assert rows.y is not None
    known = np.flatnonzero(np.isfinite(prediction.reshape(len(prediction), -1)).all(axis=1))
    loss = row_loss(metric, rows.y[known], prediction[known], threshold)
    answer: dict[str, Any] = {
        "loss": loss.name,
        "words": loss.words,
        "rows": len(known),
        "confidence": confidence,
        "overall": float(loss.values.mean()) if len(known) else None,
        "tried": 0,
        "slices": [],
        "visible": None,
        "reason": "",
    }
    if len(known) < 4 * LEAST_ROWS:
        return {**answer, "reason": f"{len(known)} rows are too few to halve and to slice"}
    part = rows.take(known)
    first, second = _halves(part, seed)
    stated, member = conditions(part.X, dataset)
    if not stated:
        return {**answer, "reason": "no column can be cut into readable parts"}
    rare = _rarer(part, dataset)
    searched = first[:MOST_ROWS]
    views = {"worse": loss.values}
    if loss.expected is not None:
        views["surprising"] = loss.values - loss.expected
    asked, tried = _nominate(
        member[searched], {k: v[searched] for k, v in views.items()}, _at(rare, searched)
    )
    half = _Half(loss, views, member, rare, second, part.groups)
    joint = 1 - (1 - confidence) / max(len(asked), 1)
    found = [_measure(half, kind, pair, stated, (confidence, joint)) for kind, pair in asked]
    return {
        **answer,
        "tried": tried,
        "slices": sorted((f for f in found if f), key=lambda f: -f["gap"]["low"]),
        "visible": _visible(loss.values[second], len(searched), tried, joint),
    }


def _at(values: np.ndarray | None, index: np.ndarray) -> np.ndarray | None:
    return None if values is None else values[index]


def _halves(rows: Rows, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of either half, in random order; a group is never in both."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(rows))
    if rows.groups is None:
        return order[: len(order) // 2], order[len(order) // 2 :]
    group = codes(np.asarray(rows.groups))[order]
    first = rng.permutation(int(group.max()) + 1) % 2 == 0
    return order[first[group]], order[~first[group]]


def _rarer(rows: Rows, dataset: Dataset) -> np.ndarray | None:
    """Whether each row is of the rarer of two classes; None for other tasks."""
    if len(dataset.classes) != 2 or rows.y is None or rows.y.ndim == 2:
        return None
    return np.asarray(rows.y == int(2 * rows.y.sum() <= len(rows)))


def conditions(X: pd.DataFrame, dataset: Dataset) -> tuple[list[Condition], np.ndarray]:
    """Readable statements about single columns, and which rows they hold for.

    Args:
        X: Features, n rows.
        dataset: Says how each column is read; text is left out.

    Returns:
        At most `MOST_CONDITIONS` statements, and a float32 matrix of zeros and ones, shape
        (n, statements).
    """
    least = max(LEAST_ROWS, LEAST_SHARE * len(X))
    stated: list[Condition] = []
    masks: list[np.ndarray] = []
    for column in dataset.features:
        for words, mask in _statements(X[column.name], column):
            count = int(mask.sum())
            if least <= count < len(X) and len(stated) < MOST_CONDITIONS:
                stated.append(Condition(column.name, words))
                masks.append(mask)
    member = np.stack(masks, axis=1).astype(np.float32) if masks else np.zeros((len(X), 0), "f4")
    return stated, member


def _statements(values: pd.Series, column: Column) -> Iterator[tuple[str, np.ndarray]]:
    missing = values.isna().to_numpy()
    yield f"{column.name} is missing", missing
    if column.kind is ColumnKind.CATEGORICAL:
        for label in values.value_counts().index[:MOST_CATEGORIES]:
            yield (
                f"{column.name} is {str(label)!r}",
                (values == label).to_numpy(bool, na_value=False),
            )
    elif column.kind is ColumnKind.BOOLEAN:
        yield f"{column.name} is true", (values == 1).to_numpy()
        yield f"{column.name} is false", (values == 0).to_numpy()
    elif column.kind in (ColumnKind.NUMERIC, ColumnKind.DATETIME):
        yield from _cuts(values, missing, column)


def _cuts(
    values: pd.Series, missing: np.ndarray, column: Column
) -> Iterator[tuple[str, np.ndarray]]:
    """Both sides of each cut; cuts are rounded first, so that the words are exactly true."""
    dated = column.kind is ColumnKind.DATETIME
    number = values.to_numpy("datetime64[D]").astype("int64") if dated else values.to_numpy(float)
    present = number[~missing]
    if not len(present):
        return
    ends = np.quantile(present, [0.05, *QUANTILES, 0.95])
    for cut in dict.fromkeys(_rounded(q, ends[-1] - ends[0], dated) for q in ends[1:-1]):
        shown = str(np.datetime64(int(cut), "D")) if dated else f"{cut:.10g}"
        yield f"{column.name} <= {shown}", (number <= cut) & ~missing
        yield f"{column.name} > {shown}", (number > cut) & ~missing


def _rounded(value: float, spread: float, whole: bool) -> float:
    """With as many decimals as a hundredth of the spread needs."""
    if whole or spread <= 0:
        return math.floor(value) if whole else value
    return round(value, 2 - math.floor(math.log10(spread)))


def _nominate(
    member: np.ndarray, views: Mapping[str, np.ndarray], rare: np.ndarray | None
) -> tuple[list[tuple[str, tuple[int, int]]], int]:
    """The best few pairs of conditions of each kind, and how many were looked at.

    A pair of the same condition is that condition alone.
    """
    n, count = len(member), member.T @ member
    least = max(LEAST_ROWS, LEAST_SHARE * n)
    legal = np.triu(np.ones_like(count, dtype=bool)) & (count >= least) & (count <= n - least)
    tried = int(legal.sum())
    unit = np.zeros_like(count)
    unit[legal] = 1 / count[legal] + 1 / (n - count[legal])
    price = _noise_peak(tried) + DEPTH_PRICE * ~np.eye(len(count), dtype=bool)
    asked = []
    for kind, values in views.items():
        centred = (values - values.mean()).astype(np.float32)
        gap = member.T @ (member * centred[:, None]) * unit
        lower = np.where(legal, gap - price * float(centred.std()) * np.sqrt(unit), -np.inf)
        order = np.argsort(-lower, axis=None, kind="stable")[: min(_SHORTLIST, tried)]
        places = zip(*np.unravel_index(order, lower.shape), strict=True)
        asked += [(kind, pair) for pair in _different(member, places, rare)]
    return asked, tried


def _different(
    member: np.ndarray, places: Iterable[tuple[Any, ...]], rare: np.ndarray | None
) -> list[tuple[int, int]]:
    """The first few that hardly overlap and hold enough rows of either class."""
    picked: list[tuple[int, int]] = []
    masks: list[np.ndarray] = []
    for i, j in places:
        mask = (member[:, i] * member[:, j]) > 0
        if _has_both(mask, rare) and all(_overlap(mask, other) <= OVERLAP for other in masks):
            picked.append((int(i), int(j)))
            masks.append(mask)
        if len(picked) == NOMINATED:
            break
    return picked


def _noise_peak(tried: int) -> float:
    """Standard errors that the best of so many noise gaps reaches."""
    return math.sqrt(2 * math.log(max(tried, 2)))


def _has_both(mask: np.ndarray, rare: np.ndarray | None) -> bool:
    """Whether slice and rest hold enough rows of the rarer class."""
    if rare is None:
        return True
    inside = int(rare[mask].sum())
    return min(inside, int(rare.sum()) - inside) >= LEAST_POSITIVES


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / max(min(a.sum(), b.sum()), 1))


@dataclass(frozen=True, eq=False)
class _Half:
    """What the second half is measured with.

    Attributes:
        loss: Of all rows.
        views: What each kind of slice is compared by, all rows.
        member: Which conditions hold, all rows.
        rare: Whether each row is of the rarer class, or None.
        index: Positions of the second half.
        groups: Of all rows, or None.
    """

    loss: RowLoss
    views: Mapping[str, np.ndarray]
    member: np.ndarray
    rare: np.ndarray | None
    index: np.ndarray
    groups: np.ndarray | None


def _measure(
    half: _Half,
    kind: str,
    pair: tuple[int, int],
    stated: Sequence[Condition],
    confidence: tuple[float, float],
) -> dict[str, Any] | None:
    """A nominated slice on the second half; None when it has too few rows there."""
    i, j = pair
    whole = (half.member[:, i] * half.member[:, j]) > 0
    inside, loss = whole[half.index], half.loss.values[half.index]
    m, n = int(inside.sum()), len(loss)
    if min(m, n - m) < LEAST_ROWS / 2 or not _has_both(inside, _at(half.rare, half.index)):
        return None
    clusters = None if half.groups is None else codes(np.asarray(half.groups)[half.index])
    values = half.views[kind][half.index]
    gap = _gap(values, inside, clusters, confidence[1])
    # a model that is too modest everywhere is no surprise where it is a little less so
    odd = kind != "surprising" or _mean(values, inside, clusters, confidence[1]).low > 0
    used = [stated[k] for k in dict.fromkeys(pair)]
    high, expected = half.loss.high, _at(half.loss.expected, half.index)
    return {
        "kind": kind,
        "words": " and ".join(c.words for c in used),
        "conditions": [{"column": c.column, "words": c.words} for c in used],
        "rows": int(whole.sum()),
        "share": float(whole.mean()),
        "confirmed": bool(gap.low > 0 and odd),
        "inside": _said(_mean(loss, inside, clusters, confidence[0]).clip(0.0, high), m),
        "rest": _said(_mean(loss, ~inside, clusters, confidence[0]).clip(0.0, high), n - m),
        "gap": _said(gap, n),
        "expected": None if expected is None else float(expected[inside].mean()),
    }


def _gap(
    values: np.ndarray, inside: np.ndarray, clusters: np.ndarray | None, confidence: float
) -> Interval:
    """Difference of two means, Welch's interval; with clusters, clustered."""
    own, rest, m = values[inside].mean(), values[~inside].mean(), int(inside.sum())
    u = np.where(inside, (values - own) / m, -(values - rest) / (len(values) - m))
    freedom = interval.freedom_of_classes(u, inside.astype(int)) if clusters is None else None
    return interval.linear(
        float(own - rest), u, clusters=clusters, confidence=confidence, freedom=freedom
    )


def _mean(
    loss: np.ndarray, mask: np.ndarray, clusters: np.ndarray | None, confidence: float
) -> Interval:
    if clusters is None:
        return interval.mean_t(loss[mask], confidence)
    return interval.cluster_mean(loss[mask], clusters[mask], confidence)


def _said(made: Interval, n: int) -> dict[str, Any]:
    return {"estimate": made.estimate, "low": made.low, "high": made.high, "n": n}


def _visible(loss: np.ndarray, searched: int, tried: int, joint: float) -> dict[str, float]:
    """The smallest gap of a slice of a tenth that both halves would show with 80 % power."""
    noise = float(special.ndtri(0.5 + joint / 2))
    price = max(_noise_peak(tried) + DEPTH_PRICE, noise) + float(special.ndtri(POWER))
    n = min(searched, len(loss))
    unit = 1 / (SHOWN_SHARE * n) + 1 / ((1 - SHOWN_SHARE) * n)
    return {"share": SHOWN_SHARE, "gap": price * float(loss.std()) * math.sqrt(unit)}
