"""Checks of single columns: what is missing, constant, misspelt, rare, extreme or repeated."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from attain.core.protocols import Subject
from attain.core.types import ColumnKind, ColumnRole, Severity
from attain.data import cells
from attain.data.check import Answer, SketchCheck, found, listed, not_applicable, passed
from attain.data.kinds import MIXED
from attain.data.sketch import Levels, Sketch, unit
from attain.data.words import AMBIGUOUS

MUCH_MISSING = 0.5
SOME_MISSING = 0.05
MANY_LEVELS = 50
RARE_ROWS = 5  # rows of a category below which it cannot be in every training fold
FAR = 10.0  # times the distance between quartiles beyond which a value is no ordinary tail
SENTINEL_ROWS = 0.005  # share of rows at an extreme value that says it stands for "missing"
SENTINELS = frozenset([-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, 99.0, 999.0, 9999.0, 99999.0])


class Missing(SketchCheck):
    """Which features have missing cells?"""

    code = "D008"
    title = "missing cells"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count missing cells of each feature."""
        shares = {name: count / seen.n for name, count in seen.missing.items() if count and seen.n}
        if not shares:
            return passed("no feature has a missing cell")
        worst = sorted(shares, key=lambda name: -shares[name])
        shown = ", ".join(f"{name!r} {shares[name]:.1%}" for name in worst[:8])
        top = shares[worst[0]]
        if top <= SOME_MISSING:
            return passed(f"few cells are missing: {shown}", shares=shares)
        return found(
            Severity.ISSUE if top > MUCH_MISSING else Severity.TIP,
            f"{len(shares)} features have missing cells: {shown}",
            "find out why they are missing; if it will be otherwise in use, fill or drop them",
            columns=worst,
            shares=shares,
        )


class Constant(SketchCheck):
    """Which columns never vary?"""

    code = "D009"
    title = "columns that never vary"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count distinct values."""
        names = [
            c.name
            for c in subject.dataset.columns
            if c.role in (ColumnRole.FEATURE, ColumnRole.IGNORED)
            and (c.distinct == 0 or (c.distinct == 1 and c.missing == 0))
        ]
        if names:
            return found(
                Severity.TIP,
                f"{len(names)} columns hold one value or none: {listed(names)}",
                "remove them from the file, or mend how it was made",
                columns=names,
            )
        return passed("every column varies")


class Identifiers(SketchCheck):
    """Which columns name rows rather than describe them?"""

    code = "D010"
    title = "identifiers"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """List what was left out as an identifier, and whole numbers that are all different."""
        left_out = {
            c.name: c.reason
            for c in subject.dataset.columns
            if c.role is ColumnRole.IGNORED
            and c.distinct > 1
            and any(word in c.reason for word in ("identif", "counts the rows", "UUID"))
        }
        suspect = [name for name, values in seen.numeric.items() if self._all_different(values)]
        if not left_out and not suspect:
            return passed("no column looks like an identifier")
        parts = [f"{name!r} is left out: {reason}" for name, reason in left_out.items()]
        parts += [
            f"{name!r} is used, although every row has a whole number of its own"
            for name in suspect
        ]
        return found(
            Severity.ISSUE if suspect else Severity.TIP,
            "; ".join(parts),
            "put identifiers under ignore:; rename a column that was left out wrongly",
            columns=[*left_out, *suspect],
        )

    @staticmethod
    def _all_different(values: np.ndarray) -> bool:
        """A permutation of consecutive whole numbers; amounts are hardly ever that."""
        if len(values) < 50 or np.isnan(values).any():
            return False
        if values.max() / 2 - values.min() / 2 != (len(values) - 1) / 2:  # halves do not overflow
            return False
        return len(np.unique(np.floor(values))) == len(values)


class MixedTypes(SketchCheck):
    """Which columns mix numbers with other text?"""

    code = "D011"
    title = "mixed types"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """List numbers written as text, and text in which some cells are numbers."""
        texts = [c for c in seen.features if cells.is_text(cells.plain(subject.frame[c.name]))]
        spoiled: dict[str, int] = {}
        rows: list[int] = []
        for column in texts:
            if column.kind is ColumnKind.NUMERIC and column.format == MIXED:
                _, bad = cells.numbers(cells.plain(subject.frame[column.name]))
                where = np.flatnonzero(np.zeros(seen.n) if bad is None else bad)
                spoiled[column.name] = len(where)
                rows += [int(row) for row in where[:5]]
            elif column.kind is ColumnKind.CATEGORICAL:
                share = self._numbers(seen.levels(column.name))
                if 0.5 <= share < 1:
                    spoiled[column.name] = round((1 - share) * seen.n)
        if spoiled:
            shown = ", ".join(f"{name!r} ({n} cells)" for name, n in spoiled.items())
            return found(
                Severity.ISSUE,
                f"numbers are mixed with other text in {shown}",
                "mend these cells; other text among numbers counts as missing, and where "
                "there is much of it the column is read as categories",
                columns=list(spoiled),
                rows=rows,
                cells=spoiled,
            )
        return passed("no column mixes numbers with other text")

    @staticmethod
    def _numbers(levels: Levels) -> float:
        present = ~cells.missing_levels(levels.names)
        total = levels.counts[present].sum()
        fits = ~np.isnan(cells.number_levels(levels.names)) & present
        return float(levels.counts[fits].sum() / total) if total else 0.0


class Spellings(SketchCheck):
    """Which categories differ in case, blanks or signs only?"""

    code = "D012"
    title = "spellings of one category"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare categories without case, blanks and signs."""
        if not seen.words:
            return not_applicable("there is no categorical feature")
        variants: dict[str, list[list[str]]] = {}
        for name, levels in seen.words.items():
            alike: dict[str, list[str]] = defaultdict(list)
            for word in levels.names:
                alike[spelling(str(word))].append(str(word))
            several = [sorted(words) for words in alike.values() if len(words) > 1]
            if several:
                variants[name] = several[:5]
        if variants:
            shown = "; ".join(
                f"{name!r}: {' = '.join(map(repr, words[0]))}"
                for name, words in list(variants.items())[:5]
            )
            return found(
                Severity.ISSUE,
                f"categories are spelt in several ways ({shown})",
                "write each category in one way",
                columns=list(variants),
                variants=variants,
            )
        return passed("no two categories differ in case or blanks only")


def spelling(word: str) -> str:
    """A category without case, underscores and surplus blanks."""
    return " ".join(word.casefold().replace("_", " ").split())


class MissingWords(SketchCheck):
    """Which categories or numbers seem to stand for "missing"?"""

    code = "D013"
    title = "values that stand for missing"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Look for words such as "unknown", and crowded extreme numbers such as -999."""
        hits: dict[str, str] = {}
        for name, levels in seen.words.items():
            words = [str(w) for w in levels.names if str(w).strip() in AMBIGUOUS]
            if words:
                hits[name] = listed(words)
        for name, values in seen.numeric.items():
            value = self._sentinel(values)
            if value is not None:
                hits[name] = f"{value:g} in {int((values == value).sum()):,} rows"
        if hits:
            shown = "; ".join(f"{name!r}: {what}" for name, what in list(hits.items())[:8])
            return found(
                Severity.TIP,
                f"some values may stand for missing ({shown})",
                "leave such cells empty if they mean that nothing is known",
                columns=list(hits),
                values=hits,
            )
        return passed("no value seems to stand for missing")

    @staticmethod
    def _sentinel(values: np.ndarray) -> float | None:
        present = values[~np.isnan(values)]
        if len(present) < 50:
            return None
        for extreme in (present.min(), present.max()):
            rest = present[present != extreme]
            if float(extreme) not in SENTINELS or len(rest) < 10:
                continue
            crowded = (len(present) - len(rest)) >= SENTINEL_ROWS * len(present)
            apart = extreme < 0 <= rest.min() or abs(extreme - np.median(rest)) > 3 * np.ptp(rest)
            if crowded and apart:
                return float(extreme)
        return None


class ManyLevels(SketchCheck):
    """Which categorical columns have so many values that most say little?"""

    code = "D014"
    title = "columns of many categories"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count categories against rows."""
        if not seen.words:
            return not_applicable("there is no categorical feature")
        many = {
            name: len(levels.names)
            for name, levels in seen.words.items()
            if len(levels.names) > MANY_LEVELS and len(levels.names) * 20 > seen.n
        }
        if many:
            shown = ", ".join(f"{name!r} {n:,}" for name, n in many.items())
            return found(
                Severity.TIP,
                f"many categories for {seen.n:,} rows: {shown}",
                "group them (by prefix, region, kind), or put the column under ignore:",
                columns=list(many),
                levels=many,
            )
        return passed("every category has rows enough on average")


class RareLevels(SketchCheck):
    """Which categories are too rare to be in every training fold?"""

    code = "D015"
    title = "rare categories"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count rows of each category in columns of few categories."""
        if not seen.words:
            return not_applicable("there is no categorical feature")
        rare: dict[str, list[str]] = {}
        for name, levels in seen.words.items():
            few = [
                str(w) for w, n in zip(levels.names, levels.counts, strict=True) if n < RARE_ROWS
            ]
            if few and len(levels.names) <= MANY_LEVELS:
                rare[name] = few
        if rare:
            shown = "; ".join(f"{name!r}: {listed(few, 4)}" for name, few in list(rare.items())[:6])
            return found(
                Severity.TIP,
                f"categories with fewer than {RARE_ROWS} rows ({shown})",
                "join them into one category, or expect no sensible prediction for them",
                columns=list(rare),
                categories=rare,
            )
        return passed(f"every category has at least {RARE_ROWS} rows")


class Outliers(SketchCheck):
    """Which numbers are infinite, or far beyond all others?"""

    code = "D016"
    title = "extreme and infinite numbers"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare each number with the quartiles of its column."""
        if not seen.numeric:
            return not_applicable("there is no numeric feature")
        infinite = {name: self._infinite(subject, name) for name in seen.numeric}
        infinite = {name: n for name, n in infinite.items() if n}
        far: dict[str, int] = {}
        rows: list[int] = []
        for name, values in seen.numeric.items():
            where = self._far(values)
            if len(where):
                far[name] = len(where)
                rows += [int(row) for row in where[:3]]
        if not far and not infinite:
            return passed("no number is far beyond all others")
        parts = [f"{name!r}: {n} infinite, counted as missing" for name, n in infinite.items()]
        parts += [f"{name!r}: {n} far beyond the rest" for name, n in list(far.items())[:8]]
        return found(
            Severity.ISSUE if infinite else Severity.TIP,
            "; ".join(parts),
            "check these cells for mistakes of unit or typing; models that use distances "
            "suffer from them",
            columns=[*infinite, *far],
            rows=rows,
            far=far,
            infinite=infinite,
        )

    @staticmethod
    def _infinite(subject: Subject, name: str) -> int:
        values, _ = cells.numbers(cells.plain(subject.frame[name]))
        return int(np.isinf(values).sum())

    @staticmethod
    def _far(values: np.ndarray) -> np.ndarray:
        """Rows beyond ten quartile distances, if they are no more than one in a thousand."""
        here = ~np.isnan(values)
        present = unit(values[here])
        if len(present) < 50:
            return np.array([], dtype="int64")
        low, middle, high = np.quantile(present, [0.25, 0.5, 0.75])
        if high == low:
            return np.array([], dtype="int64")
        where = np.flatnonzero(here)[np.abs(present - middle) > FAR * (high - low)]
        return where if len(where) <= max(1, len(present) // 1000) else np.array([], dtype="int64")


class Copies(SketchCheck):
    """Which features are copies of each other?"""

    code = "D017"
    title = "features that repeat each other"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare the content of all features."""
        alike: dict[bytes, list[str]] = defaultdict(list)
        for name, content in seen.column_hashes.items():
            alike[content].append(name)
        copies = [names for names in alike.values() if len(names) > 1]
        if copies:
            shown = "; ".join(" = ".join(map(repr, names)) for names in copies[:5])
            return found(
                Severity.TIP,
                f"features hold the same values ({shown})",
                "keep one of them; importance is otherwise shared among copies",
                columns=[name for names in copies for name in names[1:]],
            )
        return passed("no two features are equal")
