"""Checks of rows over time, and of the user's own test rows against the rows to train on."""

from __future__ import annotations

from typing import Any

import numpy as np

from attain.core.protocols import Subject
from attain.core.types import Column, ColumnKind, Severity
from attain.data import quick
from attain.data.check import Answer, SketchCheck, found, ignoring, not_applicable, passed
from attain.data.drift import distance, follows, lower_limit, told_apart
from attain.data.sketch import Sketch, correlation, unit

FEWEST = 200  # rows below which sets look apart by chance
SOME, MUCH = 0.6, 0.75  # lower limit of the area under the curve for a tip, and for an issue
SORTED = 0.9  # correlation of target and order above which a file is sorted by its target
ORDERS = 0.3  # strength of a date alone that random folds would lean on
AFTER = 0.5  # share of rows in which a date lies after the time of the row
AHEAD = 0.999  # correlation with a later row's target
STEPS = 3  # rows ahead
CHANCE, LITTLE = 0.01, 0.01  # of such shares if they were the same; a difference of no account
SHARES = 0.1  # total variation of class shares for an issue


class Drift(SketchCheck):
    """Are late rows unlike early ones?"""

    code = "D036"
    title = "drift from early to late rows"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Try to tell the later half of the rows from the earlier one by their features."""
        if seen.n < FEWEST:
            return not_applicable(f"fewer than {FEWEST} rows")
        order = np.arange(seen.n) if seen.rows.time is None else seen.rows.time
        place = np.argsort(np.argsort(order, kind="stable"), kind="stable")
        if _sorted_by_target(seen, place):
            return not_applicable("the rows are sorted by their target")
        columns = _timeless(seen, place)
        if not columns:
            return not_applicable("no feature but calendars and counters")
        rows = quick.rows_for(seen.hashes, len(columns))
        late = place[rows] >= seen.n / 2
        X = seen.rows.X.iloc[rows]
        area = told_apart(X, columns, late, seen.units[rows], seen.seed)
        low = lower_limit(area, int(late.sum()), int((~late).sum()))
        by = f"by {subject.dataset.time}" if subject.dataset.time else "in the file"
        what = f"the later half of the rows {by} is told from the earlier one with AUC {area:.2f}"
        if low < SOME:
            return passed(what, auc=area, low=low)
        apart = sorted(((distance(X[c.name], c, late), c.name) for c in columns), reverse=True)[:5]
        shown = ", ".join(f"{name!r} {gap:.2f}" for gap, name in apart)
        return found(
            Severity.ISSUE if low >= MUCH and subject.dataset.time else Severity.TIP,
            f"{what} (0.5 is not at all); farthest apart are {shown} (difference of shares)",
            "validate on later rows (time:), expect lower scores in use, and train again as rows "
            "come in; without a time, ask what the order of the file means",
            columns=[name for _, name in apart],
            auc=area,
            low=low,
            distances={name: gap for gap, name in apart},
        )


def _sorted_by_target(seen: Sketch, place: np.ndarray) -> bool:
    """Whether the target rises or falls with the rows, or classes come in blocks."""
    if abs(correlation(unit(seen.y.astype("float64")), place / seen.n)) > SORTED:
        return True
    y = seen.y[np.argsort(place)]
    return seen.classes > 2 and float((y[1:] == y[:-1]).mean()) > SORTED


def _timeless(seen: Sketch, place: np.ndarray) -> list[Column]:
    """Features that are neither dates nor counters nor calendars."""
    return [
        c
        for c in seen.features
        if c.kind is not ColumnKind.DATETIME and not follows(seen.rows.X[c.name], place)
    ]


class OwnTestDrift(SketchCheck):
    """Are the user's own test rows like the rows to train on?"""

    code = "D037"
    title = "test rows unlike training rows"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Read the one number that the sealing step let out."""
        area = float(subject.sealed.get("drift", 0.0))
        if not area:
            return not_applicable(
                "test rows were drawn from the same ones, or are too few to compare"
            )
        rows = int(subject.sealed.get("rows", 0))
        low = lower_limit(area, min(rows, quick.MOST_ROWS // 2), min(seen.n, quick.MOST_ROWS // 2))
        numbers: dict[str, Any] = {"auc": area, "low": low, "sealed": rows}
        what = f"your test rows are told from the others with AUC {area:.2f}"
        if low < SOME:
            return passed(what, **numbers)
        return found(
            Severity.ISSUE if low >= MUCH else Severity.TIP,
            f"{what} (0.5 is not at all)",
            "make sure that they are what the model will meet in use; if they are, validation "
            "will promise more than the test keeps, so collect training rows that are like them",
            **numbers,
        )


class OwnTestClasses(SketchCheck):
    """Has the test the same classes in the same shares?"""

    code = "D038"
    title = "classes of the test rows"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare counts of classes."""
        if not seen.classes:
            return not_applicable("the target is a number")
        counts = np.array(subject.sealed.get("class_counts") or (), dtype="float64")
        ours = np.array(subject.dataset.class_counts, dtype="float64")
        if len(counts) != len(ours) or not counts.sum() or not ours.sum():
            return not_applicable("no row was sealed")
        shares, theirs = ours / ours.sum(), counts / counts.sum()
        gap = float(np.abs(shares - theirs).sum() / 2)
        chance = _homogeneous(np.stack([ours, counts]))
        absent = [c for c, n, m in zip(subject.dataset.classes, counts, ours, strict=True)
                  if not n and m >= 2]  # fmt: skip
        worst = int(np.abs(shares - theirs).argmax())
        what = (
            f"class {subject.dataset.classes[worst]!r} has {theirs[worst]:.1%} of the sealed rows "
            f"and {shares[worst]:.1%} of the others"
        )
        if chance > CHANCE or gap <= LITTLE:
            return passed(f"shares of classes agree ({what})", distance=gap, chance=chance)
        missing = f"; {len(absent)} classes have no sealed row" if absent else ""
        return found(
            Severity.ISSUE if gap > SHARES else Severity.TIP,
            f"{what}, all shares together differ by {gap:.1%}{missing}",
            "accuracy and precision depend on these shares: make the test as it will be in use, "
            "or judge by metrics that do not (ROC AUC, balanced accuracy)",
            columns=(subject.dataset.target,),
            distance=gap,
            chance=chance,
            absent=absent[:20],
        )


def _homogeneous(counts: np.ndarray) -> float:
    """How likely counts so different are for one and the same shares (Pearson's chi-squared)."""
    from scipy.special import chdtrc

    counts = counts[:, counts.sum(axis=0) > 0]
    wanted = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    return float(chdtrc(max(counts.shape[1] - 1, 1), ((counts - wanted) ** 2 / wanted).sum()))


class TimeLeak(SketchCheck):
    """Do rows know what comes later?"""

    code = "D039"
    title = "target leakage by time"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Look for dates after the row's time, later targets, and dates that random folds use."""
        dates = [c.name for c in seen.features if c.kind is ColumnKind.DATETIME]
        if seen.rows.time is not None:
            return _ahead(subject, seen, dates)
        if not dates:
            return not_applicable("no column of dates, and no time is declared")
        strong = {n: seen.strengths[n] for n in dates if seen.strengths[n] >= ORDERS}
        if not strong:
            return passed("no date alone says much of the target", strengths=_dates(seen, dates))
        name = max(strong, key=lambda n: strong[n])
        return found(
            Severity.ISSUE,
            f"the date {name!r} alone predicts the target among rows of the same days (strength "
            f"{strong[name]:.2f}): random folds learn from days that lie ahead",
            f"set time: {name!r}, so that validation is on later rows",
            columns=list(strong),
            strengths=strong,
        )


def _dates(seen: Sketch, dates: list[str]) -> dict[str, float]:
    return {name: seen.strengths[name] for name in dates}


def _ahead(subject: Subject, seen: Sketch, dates: list[str]) -> Answer:
    """Columns that are not known yet at the time of their row."""
    time = np.asarray(seen.rows.time)
    late: dict[str, str] = {}
    if time.dtype.kind == "M":
        for name in dates:
            values = seen.rows.X[name].to_numpy().astype("datetime64[us]")
            share = float((values > time.astype("datetime64[us]")).mean())
            if share >= AFTER:
                late[name] = f"{name!r} lies after {subject.dataset.time!r} in {share:.0%} of rows"
    order = np.argsort(time, kind="stable")
    y = unit(seen.y[order].astype("float64"))
    for name, values in seen.numeric.items():
        for step in range(1, STEPS + 1):
            same = correlation(values[order][:-step], y[step:]) if seen.n > 3 * STEPS else 0.0
            if same >= AHEAD:
                late[name] = f"{name!r} is the target of {step} row(s) later"
    if not late:
        return passed("no column lies after the time of its row")
    return found(
        Severity.ISSUE,
        "; ".join(late.values()),
        f"such columns are not known yet when the model is used: {ignoring(list(late))}",
        columns=list(late),
    )
