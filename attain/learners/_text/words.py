"""TF-IDF of words and of pieces of words: no word order beyond pairs, no knowledge from outside."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain
from typing import Any

import numpy as np
from scipy import sparse

_WORD = re.compile(r"\w+|[^\w\s]")
_SPELLED = re.compile(r"\S+")
_PIECES = (2, 5)
_MOST_TERMS = 200_000
"""Of one block; beyond, the rarer ones are left out (a model of 77 classes has 60 MB then)."""
_RARE = 1_000
"""Texts from which a term must occur in two of them; in fewer texts each one counts."""


@dataclass(frozen=True, eq=False)
class Terms:
    """What one block of columns of the matrix counts.

    Attributes:
        place: Position of the text among those of a row: 0, or 1 for the second of a pair.
        pieces: Whether terms are pieces of words (2 to 5 characters, edges of words included), or
            runs of words.
        longest: Words in a run, at most.
        terms: In the order of the columns.
        weights: Inverse document frequency of each, shape (terms,), float64.
    """

    place: int
    pieces: bool
    longest: int
    terms: tuple[str, ...]
    weights: np.ndarray

    @cached_property
    def _position(self) -> dict[str, int]:
        return {term: i for i, term in enumerate(self.terms)}

    def transform(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Rows of (1 + log count) * weight of length 1 (``sublinear_tf`` of scikit-learn).

        Args:
            texts: Any number n of them.

        Returns:
            Shape (n, terms), float64; a text without a known term is a row of zeros.
        """
        split = splitter(self.pieces, self.longest)
        return _matrix((split(text) for text in texts), self._position, self.weights)

    def located(self, text: str) -> list[tuple[int, int, int]]:
        """Where a text has the terms that are counted.

        Args:
            text: Any text.

        Returns:
            For each occurrence of a known term its column, where it starts in ``text.lower()``, and
            where it ends; the blanks at the edges of a word are no part of it.
        """
        places = _piece_places if self.pieces else partial(_run_places, longest=self.longest)
        position = self._position
        return [(position[t], a, b) for t, a, b in places(text.lower()) if t in position]


def fit_terms(place: int, pieces: bool, longest: int, texts: Sequence[str]) -> Terms:
    """Learn which terms there are and how rare each is.

    Args:
        place: See `Terms`.
        pieces: See `Terms`.
        longest: See `Terms`.
        texts: Training texts, at least one.

    Returns:
        Terms in alphabetical order, possibly none. Weights are ``ln((1 + n) / (1 + df)) + 1`` as in
        scikit-learn.
    """
    split = splitter(pieces, longest)
    documents = Counter(chain.from_iterable(set(split(text)) for text in texts))
    fewest = 2 if len(texts) >= _RARE else 1
    often = sorted((-n, term) for term, n in documents.items() if n >= fewest)[:_MOST_TERMS]
    terms = tuple(sorted(term for _, term in often))
    counts = np.array([documents[term] for term in terms], dtype=np.float64)
    return Terms(place, pieces, longest, terms, np.log((1 + len(texts)) / (1 + counts)) + 1)


def stack(blocks: Sequence[Terms], texts: Sequence[Sequence[str]]) -> Any:
    """The blocks side by side.

    Args:
        blocks: At least one.
        texts: For each place in a row its n texts.

    Returns:
        A CSR matrix, shape (n, all terms), float64.
    """
    return sparse.hstack([b.transform(texts[b.place]) for b in blocks], format="csr")


def splitter(pieces: bool, longest: int) -> Callable[[str], list[str]]:
    """How a text becomes terms.

    Args:
        pieces: See `Terms`.
        longest: See `Terms`.

    Returns:
        A function from a text to its terms, in order, with repetitions.
    """
    return _pieces if pieces else lambda text: list(_runs(_WORD.findall(text.lower()), longest))


def _runs(words: list[str], longest: int) -> Iterator[str]:
    yield from words
    for length in range(2, longest + 1):
        for start in range(len(words) - length + 1):
            yield " ".join(words[start : start + length])


def _pieces(text: str) -> list[str]:
    return list(chain.from_iterable(map(_cut, text.lower().split())))


@lru_cache(maxsize=100_000)  # words repeat; cutting them is most of the work
def _cut(word: str) -> tuple[str, ...]:
    edged, (low, high) = f" {word} ", _PIECES
    lengths = range(low, min(high, len(edged)) + 1)
    return tuple(edged[i : i + n] for n in lengths for i in range(len(edged) - n + 1))


def _run_places(text: str, longest: int) -> Iterator[tuple[str, int, int]]:
    """What `_runs` makes of a text in small letters, with the place of each run."""
    words = list(_WORD.finditer(text))
    for length in range(1, longest + 1):
        for start in range(len(words) - length + 1):
            run = words[start : start + length]
            yield " ".join(word[0] for word in run), run[0].start(), run[-1].end()


def _piece_places(text: str) -> Iterator[tuple[str, int, int]]:
    """What `_pieces` makes of a text in small letters, with the place of each piece."""
    low, high = _PIECES
    for word in _SPELLED.finditer(text):
        edged, first = f" {word[0]} ", word.start() - 1
        for n in range(low, min(high, len(edged)) + 1):
            for i in range(len(edged) - n + 1):
                start, end = max(first + i, word.start()), min(first + i + n, word.end())
                yield edged[i : i + n], start, end


def _matrix(
    documents: Iterator[list[str]], position: dict[str, int], weights: np.ndarray
) -> sparse.csr_matrix:
    columns: list[int] = []
    counts: list[int] = []
    ends = [0]
    for terms in documents:
        found = Counter(position[term] for term in terms if term in position)
        columns += found
        counts += found.values()
        ends.append(len(columns))
    values = (1 + np.log(np.array(counts, dtype=np.float64))) * weights[columns]
    rows = len(ends) - 1
    row = np.repeat(np.arange(rows), np.diff(ends))
    length = np.sqrt(np.bincount(row, weights=values**2, minlength=rows))
    values /= np.where(length > 0, length, 1)[row]
    return sparse.csr_matrix((values, columns, ends), shape=(rows, len(weights)))
