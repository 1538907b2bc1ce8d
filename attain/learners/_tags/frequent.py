"""Each word's most frequent label: what a model must beat to have learnt more than a dictionary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from attain.core.errors import ArtifactError
from attain.learners._store import read_arrays, read_json, write_arrays, write_json


@dataclass(frozen=True, eq=False)
class Frequent:
    """Shares of labels of each word that training showed.

    Attributes:
        words: In alphabetical order.
        often: How often each word had each seen label, shape (words, outputs), int64.
        shares: Of each seen label among all words, shape (outputs,), float64.
    """

    words: tuple[str, ...]
    often: np.ndarray
    shares: np.ndarray

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def scores(self, sentences: Sequence[list[str]]) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms of shares, to which the shares of all words are added as one more word."""
        flat = [word for words in sentences for word in words]
        found = np.tile(self.shares, (len(flat), 1))
        rows = [i for i, word in enumerate(flat) if word in self._place]
        counts = self.often[[self._place[flat[i]] for i in rows]]
        found[rows] = (counts + self.shares) / (counts.sum(axis=1, keepdims=True) + 1)
        return np.log(found), np.ones(len(flat), dtype=bool)

    def save(self, folder: Path) -> None:
        """Write ``frequent.json`` and ``frequent.npz``."""
        write_json(folder, "frequent.json", {"words": self.words})
        write_arrays(folder, "frequent.npz", {"often": self.often, "shares": self.shares})


def load_frequent(folder: Path) -> Frequent:
    """The core that `Frequent.save` wrote.

    Args:
        folder: Where.

    Returns:
        The core.

    Raises:
        ArtifactError: When files are missing, damaged or do not fit together.
    """
    words = tuple(read_json(folder, "frequent.json")["words"])
    arrays = read_arrays(folder, "frequent.npz")
    often, shares = arrays["often"], arrays["shares"]
    if often.shape != (len(words), len(shares)):
        raise ArtifactError("frequent.npz does not fit frequent.json — get the model anew")
    return Frequent(words, often, shares)
