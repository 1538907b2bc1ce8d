"""Checks of how many rows there are, in total, with a target, and of each class."""

from __future__ import annotations

import math

import numpy as np

from attain.core.protocols import Subject
from attain.core.types import Severity
from attain.data.check import Answer, SketchCheck, found, listed, not_applicable, passed
from attain.data.sketch import Sketch

BLOCKED_BELOW = 30  # rows: five folds would validate on fewer than six rows each
FEW = 200  # rows: a 95 % interval of an accuracy of 0.9 on them spans about 8 points
FEWEST_OF_CLASS = 10  # rows of a class: five folds need about two validation rows each
MINORITY = 0.1  # share below which accuracy hides the smaller class
CLIPPED = 0.01  # share of rows at the extreme value that says values were cut off


class TooFewRows(SketchCheck):
    """Are there enough rows to learn from and to validate on?"""

    code = "D001"
    title = "number of rows"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare the row count with what validation needs."""
        error = 1.96 / math.sqrt(max(seen.n, 1))
        if seen.classes:
            half_width = error * math.sqrt(0.9 * 0.1)
            known = f"an accuracy of 0.9 would be known to ± {half_width:.2f}"
        else:
            half_width = error
            known = (
                f"a mean loss would be known to ± {half_width:.2f} standard deviations of a row's"
            )
        text = f"{seen.n:,} rows to train and validate on"
        if seen.n < BLOCKED_BELOW:
            return found(
                Severity.BLOCKER,
                f"only {text}; at least {BLOCKED_BELOW} are needed",
                "collect more rows, or seal fewer (test:)",
                n=seen.n,
            )
        if seen.n < FEW:
            return found(
                Severity.ISSUE,
                f"only {text}: {known}",
                "collect more rows; until then trust intervals, not estimates",
                n=seen.n,
                half_width=half_width,
            )
        return passed(text, n=seen.n, half_width=half_width)


class UnusableTarget(SketchCheck):
    """Does the target vary at all?"""

    code = "D002"
    title = "target that varies"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count distinct target values."""
        distinct = len(np.unique(seen.y)) if seen.n else 0
        if distinct < 2:
            return found(
                Severity.BLOCKER,
                f"the target holds {distinct} different value(s)",
                "name another target, or add rows of the other kind",
                columns=(subject.dataset.target,),
                distinct=distinct,
            )
        return passed(f"the target holds {distinct:,} different values", distinct=distinct)


class RowsWithoutTarget(SketchCheck):
    """How many rows had no target?"""

    code = "D003"
    title = "rows without a target"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Read how many rows were left out before the split."""
        target = next(c for c in subject.dataset.columns if c.name == subject.dataset.target)
        if not target.missing:
            return passed("every row has a target")
        total = target.missing + seen.n + int(subject.sealed.get("rows", 0))
        share = target.missing / total
        return found(
            Severity.ISSUE if share > 0.05 else Severity.TIP,
            f"{target.missing:,} rows ({share:.1%}) have no target and were left out",
            "find out why: if it is not by chance, the model is judged on the easy rows",
            columns=(target.name,),
            missing=target.missing,
            share=share,
        )


class SmallClasses(SketchCheck):
    """Has every class enough rows to be learnt and validated?"""

    code = "D004"
    title = "rows of each class"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count rows of each class."""
        if not seen.classes:
            return not_applicable("the target is a number")
        several = subject.dataset.task.several
        noun = "labels" if several else "classes"
        counts = dict(zip(subject.dataset.classes, subject.dataset.class_counts, strict=True))
        small = {name: n for name, n in counts.items() if n < FEWEST_OF_CLASS}
        if small:
            shown = ", ".join(f"{name!r}: {n}" for name, n in list(small.items())[:8])
            return found(
                Severity.ISSUE,
                f"{len(small)} of {len(counts)} {noun} have fewer than "
                f"{FEWEST_OF_CLASS} rows ({shown})",
                "collect rows of them, join them with a neighbour, or leave them out",
                rows=_of_classes(subject, small),
                counts=small,
            )
        least = f"the rarest of {len(counts)} labels" if several else "the smallest class"
        return passed(f"{least} has {min(counts.values()):,} rows", counts=counts)


def _varies(seen: Sketch, name: str) -> bool:
    """Whether a column has two values at least; most show it in the sample."""
    column = seen.rows.X[name]
    return any(c.nunique(dropna=False) > 1 for c in (column.iloc[seen.sample], column))


def _of_classes(subject: Subject, names: dict[str, int]) -> np.ndarray:
    """Positions of the rows of these classes, or with one of these labels."""
    assert subject.rows.y is not None
    places = [subject.dataset.classes.index(name) for name in names]
    if subject.dataset.task.several:
        return np.flatnonzero(subject.rows.y[:, places].any(axis=1))
    return np.flatnonzero(np.isin(subject.rows.y, places))


class Imbalance(SketchCheck):
    """Is one class so rare that a metric can hardly resolve it?"""

    code = "D005"
    title = "class balance"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare the rarest class with what a recall interval needs."""
        if seen.classes < 2:
            return not_applicable("the target has no two classes")
        counts = np.array(subject.dataset.class_counts)
        rare = int(counts.argmin())
        share = float(counts[rare] / counts.sum())
        sealed = subject.sealed.get("class_counts") or ()
        tested = int(sealed[rare]) if len(sealed) > rare else 0
        resolution = 1.96 * math.sqrt(0.25 / max(tested or int(counts[rare]), 1))
        limit = MINORITY * 2 / seen.classes
        name = subject.dataset.classes[rare]
        where = f"{tested:,} sealed rows" if tested else f"{counts[rare]:,} rows"
        text = (
            f"class {name!r} has {share:.2%} of the rows; its recall can be known to "
            f"± {resolution:.2f} on {where}"
        )
        if share < limit:
            return found(
                Severity.ISSUE if resolution > 0.1 else Severity.TIP,
                text,
                "judge by average precision, balanced accuracy or log loss rather than "
                "accuracy; collect rows of this class",
                columns=(subject.dataset.target,),
                share=share,
                resolution=resolution,
            )
        return passed(text, share=share, resolution=resolution)


class ClippedTarget(SketchCheck):
    """Was the target cut off at an end?"""

    code = "D006"
    title = "target cut off at an end"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count rows at the largest and the smallest value."""
        if seen.classes:
            return not_applicable("the target is a class")
        values, counts = np.unique(seen.y, return_counts=True)
        if len(values) < 50:
            return not_applicable(f"the target holds {len(values)} different numbers only")
        ends = {
            float(values[end]): int(counts[end])
            for end, near in ((0, counts[1:4]), (-1, counts[-4:-1]))
            if counts[end] >= max(CLIPPED * seen.n, 5 * float(near.mean()))
        }
        if ends:
            shown = ", ".join(f"{n:,} rows at {value:g}" for value, n in ends.items())
            return found(
                Severity.TIP,
                f"values seem to be cut off: {shown}",
                "errors there say little: predict whether the limit is reached, or leave "
                "these rows out, if the true values differ",
                columns=(subject.dataset.target,),
                rows=np.flatnonzero(np.isin(seen.y, list(ends))),
                ends=list(ends.items()),
            )
        return passed("neither end of the target's range is crowded")


class NoFeatures(SketchCheck):
    """Is there anything to learn from?"""

    code = "D007"
    title = "usable features"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count features that vary among these rows."""
        useful = [
            c.name for c in seen.features if seen.missing[c.name] < seen.n and _varies(seen, c.name)
        ]
        if not useful:
            why = [
                f"{c.name!r}: {c.reason}"
                for c in subject.dataset.columns
                if c.name != subject.dataset.target
            ][:8]
            return found(
                Severity.BLOCKER,
                "no feature varies" + (f" ({'; '.join(why)})" if why else ""),
                f"add columns that say something about {listed([subject.dataset.target])}",
                columns=[c.name for c in seen.features],
            )
        return passed(f"{len(useful)} features vary", features=len(useful))
