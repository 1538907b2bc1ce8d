"""Spans that labels make: hand-made cases, and a slow reference that asks word by word."""

from __future__ import annotations

import numpy as np
import pytest

from attain.core.spans import Scheme, loose, scheme_of, spans

PREFIXED, RUNS, WORDS = Scheme.PREFIXED, Scheme.RUNS, Scheme.WORDS


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        (["O", "B-PER", "I-PER"], PREFIXED),
        (["O", "I-PER", "I-LOC"], PREFIXED),
        (["O", "S-PER", "E-LOC", "B-LOC"], PREFIXED),
        (["O", "PER", "LOC"], RUNS),
        (["O", "B-PER", "LOC"], RUNS),
        (["NOUN", "VERB"], WORDS),
        (["O"], RUNS),
    ],
)
def test_labels_tell_how_they_make_spans(labels, scheme):
    """Prefixes on all but O; else O; else neither."""
    assert scheme_of(labels) is scheme


@pytest.mark.parametrize(
    ("text", "scheme", "expected"),
    [
        ("O B-A I-A O B-B", PREFIXED, [("A", 1, 2), ("B", 4, 4)]),
        ("B-A B-A I-A", PREFIXED, [("A", 0, 0), ("A", 1, 2)]),
        ("I-A I-A I-B", PREFIXED, [("A", 0, 1), ("B", 2, 2)]),  # begun by nothing, yet begun
        ("B-A I-B I-B", PREFIXED, [("A", 0, 0), ("B", 1, 2)]),
        ("S-A S-A B-A I-A E-A I-A", PREFIXED, [("A", 0, 0), ("A", 1, 1), ("A", 2, 4), ("A", 5, 5)]),
        ("A A O B B A", RUNS, [("A", 0, 1), ("B", 3, 4), ("A", 5, 5)]),
        ("N V V", WORDS, [("N", 0, 0), ("V", 1, 1), ("V", 2, 2)]),
        ("O O", PREFIXED, []),
        ("", PREFIXED, []),
    ],
)
def test_spans_of_hand_made_sentences(text, scheme, expected):
    """Each case was worked out on paper."""
    assert spans(text.split(), scheme) == expected


def reference(labels):
    """Spans of IOB2 as the shared task defines chunks: a word begins one, or goes on with one."""

    def goes_on(i):
        same = i > 0 and labels[i - 1] != "O" and labels[i - 1][2:] == labels[i][2:]
        return labels[i] != "O" and labels[i][0] == "I" and same

    found = []
    for i, label in enumerate(labels):
        if label != "O" and not goes_on(i):
            end = i
            while end + 1 < len(labels) and goes_on(end + 1):
                end += 1
            found.append((label[2:], i, end))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_spans_of_random_labels(seed):
    """Of any labels with prefixes, in any order, both ways find the same spans."""
    rng = np.random.default_rng(seed)
    for _ in range(50):
        labels = rng.choice(["O", "B-A", "I-A", "B-B", "I-B"], rng.integers(0, 12)).tolist()
        assert spans(labels, PREFIXED) == reference(labels)


def test_insides_that_nothing_begins():
    """An I- after O, after another type, or after an end is loose; after its own kind it is not."""
    assert loose(["I-A", "I-A", "O", "I-A", "B-B", "I-A", "B-A", "I-A"]) == [0, 3, 5]
    assert loose(["B-A", "E-A", "I-A", "S-B", "E-B"]) == [2, 4]
