"""Checks of images and clips: unreadable, odd, tiny, silent, and near-copies."""

from __future__ import annotations

from collections import Counter

import numpy as np

from attain.core.media import parse
from attain.core.protocols import Subject
from attain.core.types import ColumnKind, Severity
from attain.data.check import MOST_ROWS, Answer, SketchCheck, found, listed, not_applicable, passed
from attain.data.looks import SILENT, Look
from attain.data.sketch import Sketch

MANY = 0.01  # share of rows from which a fault of files is an issue
TINY = 32  # pixels of the shorter side below which usual networks see hardly anything
FLAT = 0.01  # spread of grey values, of the whole range, below which a picture shows nothing
ODD = 5.0  # times longer or shorter than the median of all clips
_NONE = "there is no column of images or clips"
_NAMED = 5


def _named(seen: Sketch, rows: np.ndarray) -> str:
    """Names of the first files, for people."""
    found = [parse(seen.media_cells[row]) for row in rows[: _NAMED + 1]]
    names = [reference.name for reference in found if reference is not None]
    shown = listed(names[:_NAMED])
    return f"{shown} and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else shown


def _issue(rows: np.ndarray, seen: Sketch) -> Severity:
    return Severity.ISSUE if len(rows) > MANY * len(seen.media) else Severity.TIP


def _where(seen: Sketch, test: np.ndarray) -> np.ndarray:
    """Positions of rows among all rows."""
    return seen.media_rows[test]


def _readable(seen: Sketch) -> list[tuple[int, Look]]:
    """Place among the files looked at, and what was seen, of those that can be read."""
    return [(i, at) for i, at in enumerate(seen.media) if at is not None and not at.fault]


class UnreadableFiles(SketchCheck):
    """Which files cannot be read, or are cut off?"""

    code = "D040"
    title = "unreadable images and clips"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Decode every file, to its end."""
        if not seen.media:
            return not_applicable(_NONE)
        places = np.array([at is not None and bool(at.fault) for at in seen.media])
        rows = _where(seen, places)
        if not len(rows):
            return passed(f"each of {len(seen.media):,} files is whole")
        faults = Counter(at.fault for at in seen.media if at is not None and at.fault)
        reason, _ = faults.most_common(1)[0]
        return found(
            Severity.ISSUE,
            f"{len(rows):,} files cannot be read: {_named(seen, rows)} (first of all: {reason})",
            "copy these files again, or take their rows out: models see nothing in them",
            columns=seen.media_columns,
            rows=rows,
            faults=dict(faults.most_common(10)),
            share=len(rows) / len(seen.media),
        )


class OddFiles(SketchCheck):
    """Which files are stored otherwise than most?"""

    code = "D041"
    title = "colour modes and sample rates"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count modes of images, or rates and channels of clips."""
        if not seen.media:
            return not_applicable(_NONE)
        kinds = Counter(at.kind for _, at in _readable(seen))
        if len(kinds) < 2:
            return passed(f"all files are alike ({next(iter(kinds), 'none is readable')})")
        usual, _ = kinds.most_common(1)[0]
        places = np.zeros(len(seen.media), dtype=bool)
        places[[i for i, at in _readable(seen) if at.kind != usual]] = True
        rows = _where(seen, places)
        shown = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(6))
        told = self._told(seen, kinds)
        return found(
            Severity.ISSUE if told else Severity.TIP,
            f"files are stored in different ways: {shown}{told}",
            "store them alike; if a way of storing goes with a class, models learn that instead",
            columns=seen.media_columns,
            rows=rows,
            kinds=dict(kinds),
            share=len(rows) / len(seen.media),
        )

    @staticmethod
    def _told(seen: Sketch, kinds: Counter[str]) -> str:
        """A way of storing that nearly always goes with one class, which is rarer without it."""
        if not seen.classes:
            return ""
        y = seen.y[seen.media_rows]
        for kind, count in kinds.most_common():
            here = np.array([i for i, at in _readable(seen) if at.kind == kind])
            share = np.bincount(y[here], minlength=seen.classes) / count
            best = int(share.argmax())
            if count >= 20 and share[best] > 0.95 and (y == best).mean() < 0.8:
                return f"; {share[best]:.0%} of those in {kind} are of one class"
        return ""


class Empties(SketchCheck):
    """Which pictures show nothing, and which clips are silent?"""

    code = "D042"
    title = "blank images and silent clips"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Measure the spread of grey values, or the loudness."""
        if not seen.media:
            return not_applicable(_NONE)
        images = seen.media_kind is ColumnKind.IMAGE
        least = FLAT if images else SILENT
        places = np.zeros(len(seen.media), dtype=bool)
        places[[i for i, at in _readable(seen) if at.level < least]] = True
        rows = _where(seen, places)
        if not len(rows):
            return passed("every picture shows something" if images else "every clip is heard")
        what = "pictures are of one colour" if images else "clips are silent (below -60 dB)"
        return found(
            _issue(rows, seen),
            f"{len(rows):,} {what}: {_named(seen, rows)}",
            "find out how they came about; take their rows out unless this is a class of its own",
            columns=seen.media_columns,
            rows=rows,
            share=len(rows) / len(seen.media),
        )


class OddSizes(SketchCheck):
    """Which pictures are tiny, and which clips much longer or shorter than most?"""

    code = "D043"
    title = "tiny images and clips of odd length"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare the shorter side with what networks need, or the length with the median."""
        if not seen.media:
            return not_applicable(_NONE)
        images = seen.media_kind is ColumnKind.IMAGE
        sizes = {i: at.size for i, at in _readable(seen)}
        if not sizes:
            return not_applicable("no file is readable")
        median = float(np.median(list(sizes.values())))
        low, high = (TINY, np.inf) if images else (median / ODD, median * ODD)
        places = np.zeros(len(seen.media), dtype=bool)
        places[[i for i, size in sizes.items() if not low <= size <= high]] = True
        rows = _where(seen, places)
        typical = f"median {median:.0f} pixels" if images else f"median {median:.2g} s"
        if not len(rows):
            return passed(f"sizes are in order ({typical})", median=median)
        what = (
            f"images have a side of fewer than {TINY} pixels"
            if images
            else f"clips are more than {ODD:.0f} times as long or as short as most"
        )
        return found(
            _issue(rows, seen),
            f"{len(rows):,} {what} ({typical}): {_named(seen, rows)}",
            "look at them: small pictures are scaled up and show little; long clips are cut",
            columns=seen.media_columns,
            rows=rows,
            median=median,
            share=len(rows) / len(seen.media),
        )


class NearMedia(SketchCheck):
    """Which images or clips are almost copies of others?"""

    code = "D044"
    title = "near-copies of images and clips"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare perceptual hashes, and small pictures of what is close."""
        if not seen.media:
            return not_applicable(_NONE)
        pairs = seen.media_pairs
        y = seen.y[seen.media_rows]
        apart = int((y[pairs[:, 0]] != y[pairs[:, 1]]).sum()) if seen.classes else 0
        if not len(pairs):
            return passed(f"no two of {len(seen.media):,} files look or sound alike")
        rows = seen.media_rows[np.unique(pairs)]
        contrary = f"; {apart:,} of these pairs have different classes" if apart else ""
        one, other = (parse(seen.media_cells[seen.media_rows[i]]) for i in pairs[0])
        assert one is not None
        assert other is not None
        return found(
            Severity.ISSUE if apart or len(rows) > MANY * len(seen.media) else Severity.TIP,
            f"{len(pairs):,} {'pair' if len(pairs) == 1 else 'pairs'} of files almost the same, "
            f"such as {one.name!r} and "
            f"{other.name!r}{contrary}",
            "keep one of each, or give near-copies a common group and set groups: to it, so that "
            "no split divides them; of two classes one is wrong",
            columns=seen.media_columns,
            rows=seen.media_rows[pairs[: MOST_ROWS // 2]].ravel(),
            pairs=len(pairs),
            apart=apart,
            share=len(rows) / len(seen.media),
        )


class SealedMedia(SketchCheck):
    """Which test files have a near-copy among the others?"""

    code = "D045"
    title = "near-copies of test images and clips"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Read what the sealing step counted; the test rows themselves stay unseen."""
        if not seen.media:
            return not_applicable(_NONE)
        compared = int(subject.sealed.get("near_compared", 0))
        near = int(subject.sealed.get("near_overlap", 0))
        if not compared:
            return not_applicable("no test files were compared")
        if not near:
            return passed(f"none of {compared:,} test files has a near-copy among the others")
        share = near / compared
        return found(
            Severity.ISSUE if share > MANY else Severity.TIP,
            f"{near:,} of {compared:,} test files ({share:.1%}) have a near-copy among the others",
            "give near-copies a common group and set groups: to it, then start the study anew",
            columns=seen.media_columns,
            near=near,
            compared=compared,
            share=share,
        )
