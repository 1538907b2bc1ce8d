"""Checks of rows against rows: copies, contradictions, overlap, entities and order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from attain.core.protocols import Subject
from attain.core.types import ColumnKind, Severity
from attain.data.check import Answer, SketchCheck, found, not_applicable, passed
from attain.data.hashing import combine
from attain.data.infer import suggest_groups, suggest_time
from attain.data.seal import repeats_by_chance
from attain.data.sketch import Sketch, correlation
from attain.data.table import target_hash

MANY_COPIES = 0.01
OVERLAP = 0.01
ORDER = 0.1  # correlation of neighbouring targets that says the order of rows matters
ORDER_SIGMAS = 6.0
MANY_GROUPS = 5


class Duplicates(SketchCheck):
    """Which rows are copies of others, target included?"""

    code = "D018"
    title = "duplicate rows"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare rows by their hash."""
        if not seen.features:
            return not_applicable("there is no feature")
        if repeats_by_chance(seen.rows.X, seen.dataset):
            return not_applicable(
                "so few combinations of values exist that rows are equal by chance"
            )
        keys = combine(seen.hashes, target_hash(subject.frame, subject.dataset))
        copies = pd.Series(keys).duplicated().to_numpy()
        count = int(copies.sum())
        share = count / max(seen.n, 1)
        if not count:
            return passed("no row is a copy of another")
        text = f"{count:,} rows ({share:.1%}) are copies of earlier rows, target included"
        return found(
            Severity.ISSUE if share > MANY_COPIES else Severity.TIP,
            text,
            "remove copies that are no observations of their own; they were kept on one "
            "side of the seal",
            rows=np.flatnonzero(copies),
            copies=count,
            share=share,
        )


class Conflicts(SketchCheck):
    """Which rows have the same features but another target?"""

    code = "D019"
    title = "contradicting rows"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare the targets of rows with equal features."""
        if not seen.features:
            return not_applicable("there is no feature")
        if repeats_by_chance(seen.rows.X, seen.dataset):
            return not_applicable(
                "so few combinations of values exist that rows are equal by chance"
            )
        _, group, size = np.unique(seen.hashes, return_inverse=True, return_counts=True)
        low = np.full(len(size), np.inf)
        high = np.full(len(size), -np.inf)
        np.minimum.at(low, group, seen.y)
        np.maximum.at(high, group, seen.y)
        rows = np.flatnonzero((high > low)[group])
        if not len(rows):
            return passed("no two rows with equal features have different targets")
        share = len(rows) / seen.n
        return found(
            Severity.ISSUE if share > MANY_COPIES else Severity.TIP,
            f"{len(rows):,} rows ({share:.1%}) have the same features as another row with "
            "another target",
            "mend wrong labels, or add the column that tells these rows apart; until then "
            "no model can get all of them right",
            rows=rows,
            conflicting=len(rows),
            share=share,
        )


class Overlap(SketchCheck):
    """Do sealed rows also occur among the unsealed ones?"""

    code = "D020"
    title = "test rows among training rows"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Read the counts that the sealing step allowed out."""
        sealed = int(subject.sealed.get("rows", 0))
        if not sealed:
            return not_applicable("no row was sealed")
        overlap = int(subject.sealed.get("overlap", 0))
        rule = str(subject.sealed.get("rule", ""))
        warned = rule.partition("; ")[2] if rule.startswith("the user's own") else ""
        share = overlap / sealed
        numbers: dict[str, Any] = {"overlap": overlap, "sealed": sealed, "share": share}
        if warned:
            return found(
                Severity.ISSUE,
                f"test and training rows are not independent: {warned}",
                "split by group or time, or leave test: out and let rows be set aside",
                **numbers,
            )
        if not overlap:
            return passed(f"none of {sealed:,} sealed rows is among the others", **numbers)
        if repeats_by_chance(seen.rows.X, seen.dataset):
            return passed(
                f"{overlap:,} of {sealed:,} sealed rows have equals among the others, by "
                "chance: few combinations of values exist",
                **numbers,
            )
        return found(
            Severity.ISSUE if share > OVERLAP else Severity.TIP,
            f"{overlap:,} of {sealed:,} sealed rows ({share:.1%}) have the same features as "
            "an unsealed row",
            "remove them from one of the files; they make the test too easy",
            **numbers,
        )


class UndeclaredGroups(SketchCheck):
    """Do rows belong to entities that no one declared?"""

    code = "D021"
    title = "rows that belong together"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Look for a column named like an entity whose values repeat."""
        if subject.dataset.groups is not None:
            count = len(np.unique(np.asarray(seen.rows.groups, dtype=str)))
            if count < MANY_GROUPS:
                return found(
                    Severity.ISSUE,
                    f"there are only {count} groups to train and validate on",
                    "declare a finer grouping, or collect more groups",
                    columns=(subject.dataset.groups,),
                    groups=count,
                )
            return passed(
                f"{count:,} groups of {subject.dataset.groups!r} are kept whole", groups=count
            )
        used = [c.name for c in seen.features]
        name, why = suggest_groups(subject.frame[used], subject.dataset.target)
        if name is None:
            return passed(why)
        return found(
            Severity.ISSUE,
            f"column {name!r} may say whose rows these are: {why}",
            f"set groups: {name!r}, or put it under ignore: if new rows come from the same ones",
            columns=(name,),
        )


class UndeclaredTime(SketchCheck):
    """Does the order of rows matter although no one declared a time?"""

    code = "D022"
    title = "order in time"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Look for dates, and for targets that resemble their neighbours'."""
        if subject.dataset.time is not None:
            return passed(f"rows are split by {subject.dataset.time!r}")
        dates = [c.name for c in seen.features if c.kind is ColumnKind.DATETIME]
        if dates:
            name, why = suggest_time(subject.frame[dates], subject.dataset.target)
            if name is not None:
                return found(
                    Severity.ISSUE,
                    f"column {name!r} may order the rows: {why}",
                    f"set time: {name!r} if the model is to predict later rows",
                    columns=(name,),
                )
        if seen.media and int((np.diff(seen.y) != 0).sum()) < seen.classes:
            return passed("the files are listed class by class, which says nothing about time")
        near = correlation(seen.y[1:].astype("float64"), seen.y[:-1].astype("float64"))
        if subject.dataset.groups is None and near > max(
            ORDER, ORDER_SIGMAS / math.sqrt(max(seen.n, 1))
        ):
            return found(
                Severity.TIP,
                f"each row's target resembles that of the row before (correlation {near:.2f})",
                "if rows are in time order, add the time and set time:; if the file is "
                "merely sorted, this is harmless",
                correlation=near,
            )
        if dates:
            return found(
                Severity.TIP,
                f"dates are used as features: {', '.join(dates)}",
                f"set time: {dates[0]!r} if the model is to predict later rows",
                columns=dates,
            )
        return passed(
            "no dates, and no row's target resembles that of the row before", correlation=near
        )
