"""Checks for columns that know the answer: copies of the target, its parts, and tell-tale gaps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attain.core.protocols import Subject
from attain.core.types import Column, ColumnKind, Severity
from attain.data.check import Answer, SketchCheck, found, ignoring, not_applicable, passed
from attain.data.sketch import Sketch, correlation, strength

STRONG = 0.9  # strength above which one column alone nearly decides the target
ALONE = 0.5  # strength above which a column is looked at if it stands out,
STANDS_OUT = 1.9  # that is, is so many times as strong as the next
GAPS = 0.8  # strength of a column's missing cells alone
EXACT = 1e-9  # relative error below which numbers are equal but for rounding
MOST_PARTS = 5
_FORMULA_ROWS = 5_000
_SOLVED = 100  # columns that are solved for all at once
_LARGEST = 1e100  # beyond it squares overflow, and sums are no totals


class Leak(SketchCheck):
    """Does one column alone give the target away?"""

    code = "D023"
    title = "target leakage by one column"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Look for copies of the target, and for columns that predict it almost alone."""
        if not seen.features:
            return not_applicable("there is no feature")
        copied = copies_of_target(seen)
        if copied:
            shown = ", ".join(map(repr, copied))
            return found(
                Severity.BLOCKER,
                f"{shown} holds the target itself, under another name",
                ignoring(copied),
                columns=copied,
            )
        order = sorted(seen.strengths, key=lambda name: -seen.strengths[name])
        if not order:
            return not_applicable("texts are not looked at")
        best = seen.strengths[order[0]]
        second = seen.strengths[order[1]] if len(order) > 1 else best
        strong = [name for name in order if seen.strengths[name] >= STRONG]
        if not strong and best >= ALONE and best >= STANDS_OUT * second:
            strong = [order[0]]
        measure = _MEASURES[min(seen.classes, 3)]
        shown = ", ".join(f"{name!r} {seen.strengths[name]:.2f}" for name in strong or order[:3])
        strengths = {name: seen.strengths[name] for name in order[:10]}
        if strong:
            return found(
                Severity.ISSUE,
                f"one column alone predicts the target: {shown} ({measure})",
                f"ask whether it is known when the model is used; if not: {ignoring(strong)}",
                columns=strong,
                strengths=strengths,
            )
        return passed(
            f"no column alone decides the target; strongest: {shown} ({measure})",
            strengths=strengths,
        )


_MEASURES = {
    0: "R² on rows it was not fitted on",
    1: "2 AUC - 1 on rows it was not fitted on",
    2: "2 AUC - 1 on rows it was not fitted on",
    3: "share of errors avoided on rows it was not fitted on",
}


class GapLeak(SketchCheck):
    """Does it give the target away whether a cell is missing?"""

    code = "D024"
    title = "target leakage by missing cells"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Predict the target from the missing cells of one column."""
        gaps = [c.name for c in seen.features if 0 < seen.missing[c.name] < seen.n]
        if not gaps:
            return not_applicable("no feature has missing cells")
        strengths = {}
        for name in gaps:
            codes = seen.rows.X[name].isna().to_numpy()[seen.sample].astype("int64")
            strengths[name] = strength(codes, seen.target_bins, seen.half, seen.classes)
        strong = [name for name in gaps if strengths[name] >= GAPS]
        if strong:
            shown = ", ".join(f"{name!r} {strengths[name]:.2f}" for name in strong)
            return found(
                Severity.ISSUE,
                f"missing cells alone predict the target: {shown} "
                f"({_MEASURES[min(seen.classes, 3)]})",
                f"often such cells are filled once the outcome is known; if so: {ignoring(strong)}",
                columns=strong,
                strengths=strengths,
            )
        return passed("missing cells do not decide the target", strengths=strengths)


class SumLeak(SketchCheck):
    """Is the target a sum, difference or product of columns?"""

    code = "D025"
    title = "target leakage by a formula"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Fit the target, and its logarithm, exactly by numeric columns."""
        if seen.classes:
            return not_applicable("the target is a class")
        if len(seen.numeric) < 2:
            return not_applicable("fewer than two numeric features")
        parts = parts_of_target(seen)
        if parts:
            names, formula = parts
            return found(
                Severity.BLOCKER,
                f"the target is {formula} in every row",
                ignoring(names),
                columns=names,
                formula=formula,
            )
        return passed("the target is no sum or product of other columns")


def copies_of_target(seen: Sketch) -> list[str]:
    """Features that hold the target itself, possibly under other names or in another unit.

    Args:
        seen: The rows.

    Returns:
        Their names.
    """
    return [c.name for c in seen.features if c.kind is not ColumnKind.TEXT and _copies(seen, c)]


def _copies(seen: Sketch, column: Column) -> bool:
    values = seen.rows.X[column.name]
    if seen.n < 2 or seen.missing[column.name]:
        return False
    if seen.classes:
        if seen.classes < 2 or values.iloc[seen.sample].nunique() > seen.classes:
            return False
        codes, names = pd.factorize(values)
        if len(names) != len(np.unique(seen.y)):
            return False
        return len(np.unique(codes * seen.classes + seen.y)) == len(names)
    if column.kind is not ColumnKind.NUMERIC:
        return False
    return 1 - abs(correlation(values.to_numpy(dtype="float64"), seen.y)) < EXACT


def parts_of_target(seen: Sketch) -> tuple[list[str], str] | None:
    """Columns that add up (or multiply) to the target.

    Args:
        seen: The rows of a regression.

    Returns:
        The columns and the formula, or None. Only whole parts count (coefficients of +1 and -1):
        any other exact linear relation may be the law that is to be learnt.
    """
    rows = seen.sample[:: max(1, len(seen.sample) // _FORMULA_ROWS)]
    y = seen.y[rows]
    table = {name: values[rows] for name, values in seen.numeric.items()}
    table = {name: v for name, v in table.items() if _ordinary(v)}
    if len(table) < 2 or len(y) < 3 * MOST_PARTS or not _ordinary(y):
        return None
    parts = _unit_parts(table, y, seen)
    if parts:
        return list(parts), _written(parts, " + ", " - ")
    positive = {name: np.log(v) for name, v in table.items() if (v > 0).all()}
    if (y > 0).all() and len(positive) >= 2:
        parts = _unit_parts(positive, np.log(y), seen, logarithm=True)
        if parts:
            return list(parts), _written(parts, " × ", " / ")
    return None


def _ordinary(values: np.ndarray) -> bool:
    """Whether all are there, vary, and have squares that neither overflow nor vanish."""
    if np.isnan(values).any() or np.abs(values).max() > _LARGEST:
        return False
    return bool(np.ptp(values) > 1 / _LARGEST)


def _unit_parts(
    table: dict[str, np.ndarray], y: np.ndarray, seen: Sketch, *, logarithm: bool = False
) -> dict[str, int]:
    """Columns whose signed sum is the target exactly, checked on all rows."""
    names = list(table)
    X = np.stack([table[name] for name in names], axis=1)
    X = X - X.mean(axis=0)
    goal = y - y.mean()
    scale = np.sqrt((X**2).sum(axis=0))
    chosen = _exact_columns(X, goal, scale)
    if not chosen:
        return {}
    weights, *_ = np.linalg.lstsq(X[:, chosen], goal, rcond=None)
    used = {names[i]: round(w) for i, w in zip(chosen, weights, strict=True) if abs(w) > 1e-6}
    unit = all(abs(abs(w) - 1) < 1e-6 or abs(w) <= 1e-6 for w in weights)
    if not unit or len(used) < 2:
        return {}
    full = {name: seen.numeric[name] for name in used}
    total = sum(sign * (np.log(full[n]) if logarithm else full[n]) for n, sign in used.items())
    aim = np.log(seen.y) if logarithm else seen.y
    error = np.abs(total - aim)
    return used if error.max() <= 1e-6 * max(float(np.abs(aim).max()), 1.0) else {}


def _exact_columns(X: np.ndarray, goal: np.ndarray, scale: np.ndarray) -> list[int]:
    """Few columns of which the goal is an exact combination: of all at once, else greedily."""
    if X.shape[1] <= min(_SOLVED, len(goal) // 3):
        weights, *_ = np.linalg.lstsq(X / scale, goal, rcond=None)
        residual = goal - X / scale @ weights
        if residual @ residual > EXACT * (goal @ goal):
            return []  # then no part of the columns is exact either
        used = np.flatnonzero(np.abs(weights) > 1e-6 * np.abs(weights).max())
        if len(used) <= MOST_PARTS:
            return [int(i) for i in used[np.argsort(-np.abs(weights[used]), kind="stable")]]
    chosen: list[int] = []
    residual = goal
    for _ in range(min(MOST_PARTS, X.shape[1])):
        gain = np.abs(X.T @ residual) / scale
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        weights, *_ = np.linalg.lstsq(X[:, chosen], goal, rcond=None)
        residual = goal - X[:, chosen] @ weights
        if residual @ residual <= EXACT * (goal @ goal):
            return chosen
    return []


def _written(parts: dict[str, int], plus: str, minus: str) -> str:
    ordered = sorted(parts, key=lambda name: -parts[name])
    text = repr(ordered[0]) if parts[ordered[0]] > 0 else f"{minus.strip()}{ordered[0]!r}"
    return text + "".join(f"{plus if parts[n] > 0 else minus}{n!r}" for n in ordered[1:])
