"""How many words or characters differ: the distance of Levenshtein. Needs no torch."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Fewest insertions, deletions and substitutions that turn one sequence into the other.

    Wagner & Fischer 1974 (J. ACM 21:168), a row at a time: what deletions and substitutions give is
    known from the row above; insertions then spread to the right, a running minimum of the row less
    the position.

    Args:
        one: Characters of a text, words, anything that can be compared.
        other: Likewise.

    Returns:
        From 0 to the length of the longer one.
    """
    numbers: dict[Hashable, int] = {}
    a, b = (np.array([numbers.setdefault(x, len(numbers)) for x in s], int) for s in (one, other))
    places = np.arange(len(b) + 1)
    row = places.copy()
    for i, item in enumerate(a, start=1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (b != item))
        row = np.minimum.accumulate(np.concatenate([[i], changed]) - places) + places
    return int(row[-1])


def word_edits(truth: str, transcript: str) -> int:
    """Words to insert, delete or substitute; words are what stands between blanks."""
    return distance(truth.split(), transcript.split())


def character_edits(truth: str, transcript: str) -> int:
    """The same for characters, blanks between words included."""
    return distance(truth, transcript)
