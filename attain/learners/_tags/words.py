"""A linear model on what words look like and stand beside; it knows nothing from outside.

The features are those of Ratnaparkhi 1996 (ACL W96-0213, table 1): the word, how it begins and
ends, its neighbours; with shapes of words (Collins 2002, ACL P02-1062, section 3) instead of single
marks for capitals, digits and hyphens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import sparse

from attain.core.errors import ArtifactError
from attain.learners._pretrained.linear import Linear, load_linear
from attain.learners._store import read_json, write_json

_MOST = 200_000
"""Features at most; beyond, the rarer ones are left out."""
_RARE = 20_000
"""Words from which a feature must occur twice; among fewer each one counts."""
_RUN = re.compile(r"(.)\1+")
_EDGE = "\0"
"""Stands for a word beyond the ends of a sentence."""


def shape(word: str) -> str:
    """What a word looks like: runs of capitals, small letters and digits, other characters kept.

    Args:
        word: Any text.

    Returns:
        Such as ``Xx`` of Anna, ``d-d`` of 2025-07.
    """
    kinds = (
        "X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in word
    )
    return _RUN.sub(r"\1", "".join(kinds))


def features(words: Sequence[str], window: int, affixes: int) -> Iterator[list[str]]:
    """What is seen at each word of a sentence.

    Args:
        words: The sentence.
        window: Neighbours on each side.
        affixes: Characters of beginnings and ends, at most.

    Yields:
        Names of features; as many for each word but for short ones.
    """
    edge = [_EDGE] * window
    padded = [*edge, *words, *edge]
    small, shapes = [w.lower() for w in padded], [shape(w) for w in padded]
    for i in range(window, window + len(words)):
        own = small[i]
        found = [f"w {padded[i]}", f"l {own}", f"s {shapes[i]}"]
        found += [f"p {own[:n]}" for n in range(1, min(affixes, len(own)) + 1)]
        found += [f"e {own[-n:]}" for n in range(1, min(affixes, len(own)) + 1)]
        for step in range(1, window + 1):
            for place in (i - step, i + step):
                found.append(f"{place - i} l {small[place]}")
                found.append(f"{place - i} s {shapes[place]}")
        found += [f"-1 0 {small[i - 1]} {own}", f"0 1 {own} {small[i + 1]}"]
        found.append(f"-1 s 1 {shapes[i - 1]} {shapes[i]} {shapes[i + 1]}")
        yield found


@dataclass(frozen=True, eq=False)
class Seen:
    """Which features are counted.

    Attributes:
        window: As for `features`.
        affixes: As for `features`.
        names: In the order of the columns.
    """

    window: int
    affixes: int
    names: tuple[str, ...]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    def matrix(self, sentences: Sequence[list[str]]) -> sparse.csr_matrix:
        """Words as rows of length 1.

        Args:
            sentences: Any number of them, n words together.

        Returns:
            Shape (n, features), float64; a word without a known feature is a row of zeros.
        """
        columns: list[int] = []
        ends = [0]
        for words in sentences:
            for names in features(words, self.window, self.affixes):
                columns += sorted({self._place[n] for n in names if n in self._place})
                ends.append(len(columns))
        lengths = np.diff(ends)
        values = np.repeat(1 / np.sqrt(np.maximum(lengths, 1)), lengths)
        return sparse.csr_matrix((values, columns, ends), shape=(len(lengths), len(self.names)))


def see(sentences: Sequence[list[str]], window: int, affixes: int) -> Seen:
    """Learn which features there are.

    Args:
        sentences: Training sentences.
        window: As for `features`.
        affixes: As for `features`.

    Returns:
        Features in alphabetical order.
    """
    count: Counter[str] = Counter()
    for words in sentences:
        for names in features(words, window, affixes):
            count.update(set(names))
    fewest = 2 if sum(map(len, sentences)) >= _RARE else 1
    often = sorted((-n, name) for name, n in count.items() if n >= fewest)[:_MOST]
    return Seen(window, affixes, tuple(sorted(name for _, name in often)))


@dataclass(frozen=True, eq=False)
class Words:
    """A linear head on features of words.

    Attributes:
        seen: The features.
        linear: The head.
    """

    seen: Seen
    linear: Linear

    def scores(self, sentences: Sequence[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """See `model.Core`; every word is read."""
        found = self.linear.scores(self.seen.matrix(sentences))
        return found, np.ones(len(found), dtype=bool)

    def save(self, folder: Path) -> None:
        """Write ``features.json`` and ``head.npz``."""
        write_json(folder, "features.json", self.seen)
        self.linear.save(folder)


def load_words(folder: Path) -> Words:
    """The core that `Words.save` wrote.

    Args:
        folder: Where.

    Returns:
        The core.

    Raises:
        ArtifactError: When files are missing, damaged or do not fit together.
    """
    told, linear = read_json(folder, "features.json"), load_linear(folder)
    seen = Seen(int(told["window"]), int(told["affixes"]), tuple(told["names"]))
    if len(linear.slope) != len(seen.names):
        raise ArtifactError("head.npz does not fit features.json — get the model anew")
    return Words(seen, linear)
