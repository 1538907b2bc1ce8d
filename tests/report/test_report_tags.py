"""Labels of words in the report: types, mistakes, sentences side by side."""

from __future__ import annotations

import numpy as np

from attain.core.codec import encode
from attain.core.types import Dataset, Outcome, Record, Status, Task
from attain.pipeline.tagging import summary
from attain.report.book import Book
from attain.report.tags import tags

TAGS = ("B-LOC", "B-PER", "I-PER", "O")
WORDS = (
    ["Anna", "Berg", "sings"], ["in", "<Oslo>"], ["she", "left"], ["Rome", "fell"], ["no", "one"],
)  # fmt: skip
TRUE = (["B-PER", "I-PER", "O"], ["O", "B-LOC"], ["O", "O"], ["B-LOC", "O"], ["O", "O"])
SAID = (["B-PER", "B-PER", "O"], ["O", "B-LOC"], ["O", "B-PER"], ["B-PER", "O"], ["O", "O"])


def test_what_is_counted_for_the_report():
    """Hand-made: PER 0 of 1 found among 4 predicted, LOC 1 of 2; the worst sentences first."""
    found = summary(WORDS, TRUE, SAID, TAGS, np.array([10, 11, 12, 13, 14]))
    assert found["types"] == {"LOC": [1, 1, 2], "PER": [0, 4, 1]}
    assert found["pairs"] == [["B-LOC", "B-PER", 1], ["I-PER", "B-PER", 1], ["O", "B-PER", 1]]
    assert [s["row"] for s in found["sentences"]] == [10, 12, 13, 11]


def records(folds):
    """A study whose finalist was confirmed on two folds."""
    known = Dataset("", "", 5, (), "t", Task.TAGGING, tags=TAGS)
    made = [
        Record(1, "data", "dataset", {"dataset": encode(known)}, (), 0.0),
        Record(2, "refine", "choice", {"trial": "t1", "confirmation": "c1"}, (), 0.0),
    ]
    for fold, facts in enumerate(folds):
        for trial in ("t1", "c1"):
            done = Outcome(trial, fold, Status.DONE, facts={"tags": facts} if trial == "c1" else {})
            made.append(
                Record(len(made) + 1, "train", "outcome", {"outcome": encode(done)}, (), 0.0)
            )
    return made


def test_folds_are_added_and_sentences_stand_side_by_side():
    """Two equal folds double the counts; a missed span is red above, a false one below."""
    part = summary(WORDS, TRUE, SAID, TAGS, np.arange(5))
    found = tags(Book(records([part, part])))
    assert [(t["kind"], t["spans"], t["found"]) for t in found["types"]] == [
        ("LOC", 4, 2), ("PER", 2, 8),
    ]  # fmt: skip
    place = found["types"][0]
    assert (place["recall"], place["precision"]) == (0.5, 1.0)
    assert place["low"] < 0.5 < place["high"]
    assert found["pairs"][0] == {"true": "B-LOC", "said": "B-PER", "words": 2}
    first = next(s for s in found["sentences"] if s["row"] == 0)
    assert [(p["text"], p["kind"], p["right"]) for p in first["true"]] == [
        ("Anna Berg", "PER", False), ("sings", None, True),
    ]  # fmt: skip
    assert [(p["text"], p["kind"], p["right"]) for p in first["said"]] == [
        ("Anna", "PER", False), ("Berg", "PER", False), ("sings", None, True),
    ]  # fmt: skip
    right = next(s for s in found["sentences"] if s["row"] == 1)
    assert right["wrong"] == 0
    assert right["true"] == right["said"]


def test_without_a_finalist_there_is_nothing_to_show():
    """A study that chose nothing has no such section."""
    assert tags(Book([])) is None
    assert tags(Book(records([])[:1])) is None
