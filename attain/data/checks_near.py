"""Checks of texts against texts: near-copies, their labels, the sealed rows, and told labels."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from attain.core.protocols import Subject
from attain.core.types import Severity
from attain.data.check import Answer, SketchCheck, found, listed, not_applicable, passed
from attain.data.near import ALIKE, NearCopies
from attain.data.sketch import Sketch

MANY = 0.01  # share of rows from which near-copies are an issue
FOLDS = 5  # of the random split whose leak is told
PURE = 0.97  # share of rows with a word that are of its class,
OFTEN = 0.5  # and of its class's rows that have the word: then it is a label
MOST_OF_ALL = 0.8  # share of all rows told by a single word each, with several classes
NAMED = 0.9  # purity of a class's own name
ELSEWHERE = 0.05  # share of other classes' rows that may have the word
FEWEST = 20  # rows with a word below which purity proves nothing
_NO_TEXT = "there is no column of running text"
_TOKEN = re.compile(r"\w+|[^\w\s]\S+|\S*_\S*")


class NearDuplicates(SketchCheck):
    """Which texts are almost copies of others?"""

    code = "D030"
    title = "near-copies of texts"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare texts by MinHash, candidates exactly."""
        if not seen.texts:
            return not_applicable(_NO_TEXT)
        near = seen.near
        if not len(near.pairs):
            return passed(f"no two texts share {ALIKE:.0%} of their characters in fives")
        rows = near.rows[(near.heap_sizes > 1)[near.code]]
        share, leaked = len(rows) / len(near.rows), leak_of_random_split(near)
        return found(
            Severity.ISSUE if share > MANY else Severity.TIP,
            f"{len(rows):,} rows ({share:.1%}{_compared(near, seen)}) have a near-copy in other "
            f"words; of the validation rows of {FOLDS} random folds, {leaked:.1%} would have one "
            "among the training rows",
            "keep one of each, or give near-copies a common group and set groups: to it, so that "
            "no split divides them",
            columns=list(seen.texts),
            rows=near.first[near.pairs[:10]].ravel(),
            near=len(rows),
            pairs=len(near.pairs),
            share=share,
            leaked=leaked,
        )


def leak_of_random_split(near: NearCopies) -> float:
    """Expected share of validation rows with a near-copy among the training rows.

    Args:
        near: Rows and heaps.

    Returns:
        In [0, 1], for five random folds in which equal texts stay together: a row leaks unless
        all other texts of its heap are in its own fold.
    """
    alone = (1 / FOLDS) ** (near.heap_sizes[near.code] - 1.0)
    return float(1 - alone.mean()) if len(alone) else 0.0


def _compared(near: NearCopies, seen: Sketch) -> str:
    return "" if len(near.rows) > seen.n // 2 else f" of {len(near.rows):,} compared"


class NearConflicts(SketchCheck):
    """Which near-copies have another label?"""

    code = "D031"
    title = "contradicting near-copies"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Compare the classes of texts that are almost the same."""
        if not seen.texts:
            return not_applicable(_NO_TEXT)
        if not seen.classes:
            return not_applicable("the target is a number")
        near = seen.near
        y = seen.y[near.first]
        apart = near.pairs[y[near.pairs[:, 0]] != y[near.pairs[:, 1]]]
        if not len(apart):
            return passed(f"all of {len(near.pairs):,} pairs of near-copies agree in their class")
        texts = np.unique(apart)
        rows = near.rows[np.isin(near.code, texts)]
        share = len(rows) / len(near.rows)
        return found(
            Severity.ISSUE if share > MANY else Severity.TIP,
            f"{len(apart):,} of {len(near.pairs):,} pairs of near-copies have different classes "
            f"({len(rows):,} rows, {share:.1%})",
            "look at the named pairs of rows: one of two labels is wrong, or the classes are hard "
            "to tell apart",
            columns=list(seen.texts),
            rows=near.first[apart[:10]].ravel(),
            pairs=len(apart),
            rows_concerned=len(rows),
            share=share,
        )


class NearOverlap(SketchCheck):
    """Have sealed texts near-copies among the unsealed ones?"""

    code = "D032"
    title = "near-copies of test texts"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Read the count that the sealing step allowed out."""
        if not seen.texts:
            return not_applicable(_NO_TEXT)
        compared = int(subject.sealed.get("near_compared", 0))
        if not compared:
            return not_applicable("no sealed text was compared")
        near = int(subject.sealed.get("near_overlap", 0))
        share = near / compared
        numbers: dict[str, Any] = {"near": near, "compared": compared, "share": share}
        if not near:
            return passed(f"none of {compared:,} sealed texts has a near-copy", **numbers)
        return found(
            Severity.ISSUE if share > MANY else Severity.TIP,
            f"{near:,} of {compared:,} sealed texts ({share:.1%}) have a near-copy in other words "
            "among the unsealed ones",
            "the test is easier than new texts will be: give near-copies a common group and set "
            "groups: to it",
            **numbers,
        )


class ToldLabels(SketchCheck):
    """Does a text say its own label?"""

    code = "D034"
    title = "labels told by the text"

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Look for words that alone decide a class, and for the classes' own names."""
        if not seen.texts:
            return not_applicable(_NO_TEXT)
        if seen.classes < 2:
            return not_applicable("the target has no two classes")
        told: dict[str, str] = {}
        for name in seen.texts:
            told |= _telling(seen, name, subject.dataset.classes)
        if not told:
            return passed("no single word decides a class")
        shown = "; ".join(list(told.values())[:5])
        return found(
            Severity.ISSUE,
            f"single words tell the class: {shown}",
            "if they were written into the texts with the label, take them out: new texts will "
            "not have them",
            columns=list(seen.texts),
            rows=_rows_with(seen, list(told)),
            words=listed(list(told)),
        )


def _telling(seen: Sketch, name: str, classes: tuple[str, ...]) -> dict[str, str]:
    """Words of one column that tell a class, with how."""
    y = seen.y[seen.sample]
    tokens = [set(_TOKEN.findall(text.lower())) for text in seen.texts[name][seen.sample]]
    words, counts = _counts(tokens, y, len(classes))
    if not len(words):
        return {}
    of_class = np.bincount(y, minlength=len(classes))
    total = counts.sum(axis=1)
    home = counts.argmax(axis=1)
    hits = counts[np.arange(len(words)), home]
    pure, often = hits / total, hits / of_class[home]
    elsewhere = (total - hits) / np.maximum(len(y) - of_class[home], 1)
    own = np.array([w == str(classes[h]).lower() for w, h in zip(words, home, strict=True)])
    strong = (pure >= PURE) & (often >= OFTEN) | own & (pure >= NAMED) & (often >= OFTEN)
    strong &= often - elsewhere >= OFTEN - ELSEWHERE  # in a large class every word is pure
    if len(classes) > 2:
        marked = np.array([not w.isalpha() for w in words])
        best = np.zeros(len(classes))
        np.maximum.at(best, home[strong], hits[strong])
        if best.sum() < MOST_OF_ALL * of_class.sum():  # words of a topic are no labels
            strong &= marked
    order = np.argsort(-hits * strong, kind="stable")[: int(strong.sum())]
    return {
        words[i]: f"{words[i]!r} is in {often[i]:.0%} of {classes[home[i]]!r} and there "
        f"{pure[i]:.0%} of the time"
        for i in order[:20]
    }


def _counts(tokens: list[set[str]], y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Words in at least 20 texts, and in how many texts of each class they are, shape (w, k)."""
    import pandas as pd

    flat = np.array([word for some in tokens for word in some], dtype=object)
    owner = np.repeat(y, [len(some) for some in tokens])
    codes, words = pd.factorize(flat)
    counts = np.bincount(codes * k + owner, minlength=len(words) * k).reshape(-1, k)
    kept = counts.sum(axis=1) >= FEWEST
    return np.asarray(words, dtype=object)[kept], counts[kept]


def _rows_with(seen: Sketch, words: list[str]) -> list[int]:
    """The first rows that have one of the words."""
    wanted = set(words)
    rows = []
    for row in seen.sample:
        if any(wanted & set(_TOKEN.findall(t[row].lower())) for t in seen.texts.values()):
            rows.append(int(row))
            if len(rows) == FEWEST:
                break
    return rows
