"""Checks of single texts: empty, too long, damaged, of several languages, or with personal data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from attain.core.protocols import Subject
from attain.core.types import Severity
from attain.data import cells
from attain.data.check import Answer, SketchCheck, found, not_applicable, passed
from attain.data.marks import DAMAGE, PERSONAL, language_of
from attain.data.sketch import Sketch

MANY = 0.01  # share of rows from which a fault of texts is an issue
SHORT = 3  # letters and digits below which a text says hardly anything
LIMIT = 512  # tokens that most encoders read (Devlin et al. 2019, "BERT", section 3)
WORD_TOKENS, TOKEN_CHARACTERS = 1.3, 4.0  # of English in sub-word vocabularies of 30,000
LONG = 20.0  # times the median length beyond which a text is of another kind
FOREIGN = 0.005  # share of another language below which single quotations may explain it
_NO_TEXT = "there is no column of running text"


def sampled(seen: Sketch, test: Callable[[str], bool]) -> dict[str, np.ndarray]:
    """In which of the sampled rows a text passes a test.

    Args:
        seen: The rows.
        test: Of one text.

    Returns:
        Positions of rows for each column of texts that has any.
    """
    hits = {}
    for name, texts in seen.texts.items():
        kept = seen.sample[[test(text) for text in texts[seen.sample]]]
        if len(kept):
            hits[name] = kept
    return hits


def looked_at(seen: Sketch) -> str:
    """How many rows were looked at, when not all of them."""
    return "" if len(seen.sample) == seen.n else f" of {len(seen.sample):,} looked at"


class EmptyTexts(SketchCheck):
    """Which texts say nothing?"""

    code = "D026"
    title = "empty and very short texts"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count letters and digits of each text."""
        if not seen.texts:
            return not_applicable(_NO_TEXT)
        hits = {n: np.flatnonzero([_short(t) for t in texts]) for n, texts in seen.texts.items()}
        hits = {name: rows for name, rows in hits.items() if len(rows)}
        if not hits:
            return passed(f"every text has at least {SHORT} letters or digits")
        rows = np.unique(np.concatenate(list(hits.values())))
        counts = {name: len(where) for name, where in hits.items()}
        shown = ", ".join(f"{name!r} {count:,}" for name, count in counts.items())
        return found(
            Severity.ISSUE if len(rows) > MANY * seen.n else Severity.TIP,
            f"texts are empty or have fewer than {SHORT} letters and digits: {shown}",
            "find out why they are empty; leave such rows out if they have no other feature",
            columns=list(hits),
            rows=rows,
            counts=counts,
            share=len(rows) / seen.n,
        )


def _short(text: str) -> bool:
    return len(text) < 40 and sum(map(str.isalnum, text)) < SHORT


class TextLengths(SketchCheck):
    """Which texts are too long for usual models, or of another kind than the rest?"""

    code = "D027"
    title = "lengths of texts"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Estimate tokens from words and characters."""
        if not seen.texts:
            return not_applicable(_NO_TEXT)
        tokens = {name: estimated_tokens(texts) for name, texts in seen.texts.items()}
        medians = {name: float(np.median(counts)) for name, counts in tokens.items()}
        cut = {n: np.flatnonzero(c > LIMIT) for n, c in tokens.items()}
        odd = {n: np.flatnonzero(c > max(LONG * medians[n], 64)) for n, c in tokens.items()}
        cut_rows, odd_rows = (np.unique(np.concatenate(list(d.values()))) for d in (cut, odd))
        numbers = {"medians": medians, "over_limit": len(cut_rows), "odd": len(odd_rows)}
        typical = ", ".join(f"{name!r} {median:.0f}" for name, median in medians.items())
        if not len(cut_rows) and not len(odd_rows):
            return passed(f"tokens of a median text, about: {typical}; none is long", **numbers)
        share = len(cut_rows) / seen.n
        parts = []
        if len(cut_rows):
            parts.append(f"{len(cut_rows):,} texts ({share:.1%}) have more than {LIMIT} tokens")
        if len(odd_rows):
            parts.append(f"{len(odd_rows):,} are more than {LONG:.0f} times as long as the median")
        return found(
            Severity.ISSUE if share > MANY else Severity.TIP,
            f"{'; '.join(parts)} (tokens are estimated; median, about: {typical})",
            "models cut texts off at their limit: say what matters first, split long texts, or "
            "name a model that reads more",
            columns=[n for n in seen.texts if len(cut[n]) or len(odd[n])],
            rows=np.union1d(cut_rows, odd_rows),
            share=share,
            **numbers,
        )


def estimated_tokens(texts: np.ndarray) -> np.ndarray:
    """About how many tokens a sub-word vocabulary makes of each text.

    Args:
        texts: Object, shape (n,).

    Returns:
        float64, shape (n,): the larger of 1.3 a word and one for four characters.
    """
    counts = np.array([(text.count(" ") + 1, len(text)) for text in texts], dtype="float64")
    return np.maximum(WORD_TOKENS * counts[:, 0], counts[:, 1] / TOKEN_CHARACTERS)


class DamagedTexts(SketchCheck):
    """Which texts carry traces of a wrong encoding, of HTML, or characters that no one sees?"""

    code = "D028"
    title = "damaged texts"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Look for each kind of trace, in texts and in categories."""
        if not seen.texts and not seen.words:
            return not_applicable("there is neither text nor category")
        kinds: Counter[str] = Counter()
        columns: set[str] = set()
        rows: set[int] = set()
        for kind, pattern in DAMAGE.items():
            hits = sampled(seen, lambda text, p=pattern: p.search(text) is not None)  # type: ignore[misc]
            for name, levels in seen.words.items():
                bad = np.flatnonzero([bool(pattern.search(str(w))) for w in levels.names])
                if len(bad):
                    hits[name] = np.flatnonzero(np.isin(levels.codes, bad))
            for name, where in hits.items():
                kinds[kind] += len(where)
                columns.add(name)
                rows.update(where[:2000].tolist())
        if not kinds:
            return passed("no trace of a wrong encoding, of HTML or of control characters")
        shown = ", ".join(f"{kind} in {count:,} cells" for kind, count in kinds.most_common())
        return found(
            Severity.ISSUE if max(kinds.values()) > MANY * len(seen.sample) else Severity.TIP,
            f"{shown}{looked_at(seen)}",
            "read the source with its own encoding (often UTF-8) and take the mark-up out; "
            "`attain audit --fix` mends wrong encodings",
            columns=sorted(columns),
            rows=sorted(rows),
            cells=dict(kinds),
        )


class Languages(SketchCheck):
    """Are texts of several languages or scripts?"""

    code = "D029"
    title = "languages of texts"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Count scripts, and for Latin letters function words."""
        if not seen.texts:
            return not_applicable(_NO_TEXT)
        mixed: dict[str, dict[str, int]] = {}
        rows: list[int] = []
        worst, main = 0.0, ""
        for name, texts in seen.texts.items():
            told = np.array([language_of(text) for text in texts[seen.sample]], dtype=object)
            counts = Counter(told[told != ""])
            if not counts:
                continue
            main = counts.most_common(1)[0][0]
            share = 1 - counts[main] / counts.total()
            if share > FOREIGN:
                mixed[name] = dict(counts.most_common())
                rows += seen.sample[(told != "") & (told != main)].tolist()
            worst = max(worst, share)
        if not mixed:
            return passed(f"texts are of one language ({main or 'not told'}), as far as it shows")
        shown = "; ".join(
            f"{name!r}: " + ", ".join(f"{language} {count:,}" for language, count in told.items())
            for name, told in mixed.items()
        )
        return found(
            Severity.ISSUE if worst > 10 * MANY else Severity.TIP,
            f"texts are of several languages ({shown}{looked_at(seen)})",
            "name a model that knows all of them, or train on one; look at the score of each "
            "language apart",
            columns=list(mixed),
            rows=sorted(set(rows)),
            languages=mixed,
            share=worst,
        )


class PersonalData(SketchCheck):
    """Do texts hold what may identify or harm people?"""

    code = "D033"
    title = "personal data"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Look for addresses and numbers that pass their own check digits. None is shown."""
        columns = self._texts(subject, seen)
        if not columns:
            return not_applicable("there is neither text nor category")
        kinds: Counter[str] = Counter()
        hit: set[str] = set()
        rows: set[int] = set()
        for name, (codes, levels) in columns.items():
            for kind in PERSONAL:
                bad = np.flatnonzero([_holds(kind, text) for text in levels])
                where = np.flatnonzero(np.isin(codes, bad)) if len(bad) else bad
                if len(where):
                    kinds[kind] += len(where)
                    hit.add(name)
                    rows.update(seen.sample[where].tolist())
        if not kinds:
            return passed("no address, card or telephone number that shows")
        grave = [kind for kind in kinds if PERSONAL[kind].grave]
        share = len(rows) / len(seen.sample)
        shown = ", ".join(f"{kind} in {count:,} cells" for kind, count in kinds.items())
        return found(
            Severity.ISSUE if grave or share > MANY else Severity.TIP,
            f"texts seem to hold personal data: {shown}{looked_at(seen)}",
            "make sure that they may be used; replace them by a word such as [phone] before "
            "training, since models can repeat what they were trained on",
            columns=sorted(hit),
            rows=sorted(rows),
            cells=dict(kinds),
            share=share,
        )

    @staticmethod
    def _texts(subject: Subject, seen: Sketch) -> dict[str, tuple[np.ndarray, list[str]]]:
        """Codes and distinct texts of the sampled cells of every column of words."""
        found = {}
        for column in subject.dataset.columns:
            if column.name not in subject.frame:
                continue
            plain = cells.plain(subject.frame[column.name])
            if cells.is_text(plain):
                codes, levels = pd.factorize(plain.iloc[seen.sample])
                found[column.name] = codes, [str(level) for level in levels]
        return found


def _holds(kind: str, text: str) -> bool:
    personal = PERSONAL[kind]
    if personal.hint and personal.hint not in text:
        return False
    return any(personal.holds(match.group()) for match in personal.pattern.finditer(text))
