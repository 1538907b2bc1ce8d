"""Checks of words and their labels: no words, spans nobody begins, rare labels, two truths."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

import numpy as np

from attain.core.protocols import Subject
from attain.core.spans import OUTSIDE, Scheme, kind_of, loose, scheme_of
from attain.core.types import Severity, Task
from attain.data.check import Answer, SketchCheck, found, not_applicable, passed
from attain.data.sketch import Sketch

FEWEST = 10  # sentences below which a type can neither be learnt nor judged
MANY = 0.01  # share of spans or rows from which a fault is an issue
_SHOWN = 8
_NO_TAGS = "words have no labels"


class _Tagged:
    """Words and labels of the rows.

    Args:
        subject: The rows.
    """

    def __init__(self, subject: Subject) -> None:
        X, dataset = subject.rows.X, subject.dataset
        (words,) = (c.name for c in dataset.features)
        self.words = [json.loads(c) if isinstance(c, str) else [] for c in X[words]]
        self.labels = [json.loads(c) if isinstance(c, str) else [] for c in X[dataset.target]]
        self.scheme = scheme_of(dataset.tags)

    @cached_property
    def sentences(self) -> Mapping[str, int]:
        """Sentences in which each type (or label without prefix) occurs."""
        count: Counter[str] = Counter()
        for labels in self.labels:
            count.update({kind_of(tag, self.scheme) for tag in labels if tag != OUTSIDE})
        return count


class TagCheck(SketchCheck):
    """A check of rows whose words have labels."""

    def look(self, subject: Subject, seen: Sketch) -> Answer:
        """Ask, where words have labels."""
        if subject.dataset.task is not Task.TAGGING:
            return not_applicable(_NO_TAGS)
        return self.ask(subject, _Tagged(subject))

    @abstractmethod
    def ask(self, subject: Subject, tagged: _Tagged) -> Answer:
        """The answer for such rows."""


class EmptySentences(TagCheck):
    """Which rows have no word, or words without a letter?"""

    code = "D050"
    title = "sentences without words"

    def ask(self, subject: Subject, tagged: _Tagged) -> Answer:
        """Count rows without words, and empty words."""
        empty = np.flatnonzero([not words for words in tagged.words])
        blank = np.flatnonzero([any(not w.strip() for w in words) for words in tagged.words])
        rows = np.union1d(empty, blank)
        if not len(rows):
            return passed("every row has words, and no word is empty")
        share = len(rows) / len(tagged.words)
        return found(
            Severity.ISSUE if share > MANY else Severity.TIP,
            f"{len(empty):,} rows have no word, {len(blank):,} have an empty one",
            "leave these rows out; an empty word cannot be read and counts as wrong",
            columns=[c.name for c in subject.dataset.features],
            rows=rows,
            empty=len(empty),
            blank=len(blank),
        )


class LooseInsides(TagCheck):
    """Which words are inside of a span that nothing begins?"""

    code = "D051"
    title = "spans without a beginning"

    def ask(self, subject: Subject, tagged: _Tagged) -> Answer:
        """Look for I- that follows no B- or I- of its type."""
        if tagged.scheme is not Scheme.PREFIXED:
            return not_applicable("labels have no prefixes")
        if not any(tag[0] in "BS" for tag in subject.dataset.tags if tag != OUTSIDE):
            return not_applicable("all labels begin with I-: a run of one type is a span")
        places = [loose(labels) for labels in tagged.labels]
        rows = np.flatnonzero([bool(p) for p in places])
        if not len(rows):
            return passed("every span has a beginning")
        count = sum(map(len, places))
        first = int(rows[0])
        word, tag = (part[first][places[first][0]] for part in (tagged.words, tagged.labels))
        share = count / max(1, sum(t != OUTSIDE for labels in tagged.labels for t in labels))
        return found(
            Severity.ISSUE if share > MANY else Severity.TIP,
            f"{count:,} words in {len(rows):,} rows continue a span that nothing begins, "
            f"such as {word!r} ({tag})",
            "they are read as beginnings; if that is not meant, mend these labels",
            columns=[subject.dataset.target],
            rows=rows,
            words=count,
            share=share,
        )


class RareTags(TagCheck):
    """Does every type occur often enough to be learnt and judged?"""

    code = "D052"
    title = "rows with each type of label"

    def ask(self, subject: Subject, tagged: _Tagged) -> Answer:
        """Count rows in which each type occurs."""
        kinds = {kind_of(tag, tagged.scheme) for tag in subject.dataset.tags if tag != OUTSIDE}
        counts = {kind: tagged.sentences.get(kind, 0) for kind in sorted(kinds)}
        small = {kind: n for kind, n in counts.items() if n < FEWEST}
        if not small:
            least = min(counts, key=lambda kind: counts[kind])
            return passed(
                f"the rarest type, {least!r}, is in {counts[least]:,} rows", counts=counts
            )
        rows = [
            i
            for i, labels in enumerate(tagged.labels)
            if any(kind_of(tag, tagged.scheme) in small for tag in labels if tag != OUTSIDE)
        ]
        shown = ", ".join(f"{kind!r}: {n}" for kind, n in list(small.items())[:_SHOWN])
        return found(
            Severity.ISSUE,
            f"{len(small)} of {len(counts)} types are in fewer than {FEWEST} rows ({shown})",
            "label more rows with them, join them with a neighbour, or label them O",
            columns=[subject.dataset.target],
            rows=rows,
            counts=small,
        )


class TwoTruths(TagCheck):
    """Are equal sentences labelled alike?"""

    code = "D053"
    title = "equal sentences with other labels"

    def ask(self, subject: Subject, tagged: _Tagged) -> Answer:
        """Compare the labels of sentences with equal words."""
        by_words: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
        keys = [tuple(words) for words in tagged.words]
        for key, labels in zip(keys, tagged.labels, strict=True):
            by_words.setdefault(key, set()).add(tuple(labels))
        rows = np.flatnonzero([len(key) > 0 and len(by_words[key]) > 1 for key in keys])
        if not len(rows):
            return passed("equal sentences have equal labels")
        share = len(rows) / len(keys)
        return found(
            Severity.ISSUE if share > MANY else Severity.TIP,
            f"{len(rows):,} rows have the words of another one, and other labels",
            "decide which labels are right; no model can get all of them",
            columns=[subject.dataset.target],
            rows=rows,
            share=share,
        )
