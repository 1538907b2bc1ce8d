"""From files to arrays, and from arrays to what a body takes: the part that differs by medium."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attain.core.decode import Unreadable
from attain.core.media import Reference, parse
from attain.learners._cache import byte_keys

if TYPE_CHECKING:
    import torch

MOST_HELD = 1 << 30
"""Bytes of decoded rows that stay in memory; more are decoded anew for each batch."""


class Front(ABC):
    """How files of one medium are prepared; a frozen dataclass of plain values."""

    @property
    @abstractmethod
    def row_bytes(self) -> int:
        """Of a decoded row."""

    @abstractmethod
    def decoded(self, references: Sequence[Reference | None], cache: Path | None) -> np.ndarray:
        """Decoded rows of one size, from the cache where they are there.

        What is missing or cannot be read becomes a row that says nothing.
        """

    @abstractmethod
    def inputs(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """What the body takes of decoded rows."""

    @abstractmethod
    def augmented(
        self, rows: np.ndarray, config: Mapping[str, Any], random: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """The same of rows that were changed at random."""

    @abstractmethod
    def summary(self, rows: np.ndarray) -> np.ndarray:
        """A few hundred numbers of each row for a model without a body, float32, shape (n, d)."""

    @abstractmethod
    def mapped(self, parts: np.ndarray) -> np.ndarray:
        """What the numbers of a summary contributed, laid over the picture, (down, across)."""

    @abstractmethod
    def picture(self, reference: Reference | None) -> np.ndarray:
        """What a body sees of a file, for people; uint8, shape (height, width, 3)."""

    @abstractmethod
    def blank(self, rows: np.ndarray) -> np.ndarray:
        """Decoded rows of the same lengths that say nothing."""

    @abstractmethod
    def laid(self, values: np.ndarray, row: np.ndarray) -> tuple[np.ndarray, float]:
        """What places of a body's states contributed, laid over the picture of a decoded row: sums
        in the cells of a grid, shape (down, across), and what lies outside of the picture."""

    @property
    def plain(self) -> dict[str, Any]:
        """Its values as JSON has them."""
        return asdict(self)  # type: ignore[call-overload]


class Held:
    """Decoded rows: all in memory, or decoded when they are asked for.

    Args:
        front: Decodes.
        cells: References, as tables hold them.
        cache: `FitData.cache`.
        most: Bytes that may stay in memory.
    """

    def __init__(
        self, front: Front, cells: Sequence[str], cache: Path | None, most: int = MOST_HELD
    ) -> None:
        self._front, self._cache = front, cache
        self._references = [parse(cell) for cell in cells]
        self._whole: np.ndarray | None = None
        if len(cells) * front.row_bytes <= most:
            self._whole = front.decoded(self._references, cache)

    def __len__(self) -> int:
        return len(self._references)

    def rows(self, index: np.ndarray) -> np.ndarray:
        """Decoded rows at some positions."""
        if self._whole is not None:
            return self._whole[index]
        return self._front.decoded([self._references[i] for i in index], None)

    def keys(self) -> np.ndarray:
        """Hashes of the contents, shape (n, 2)."""
        return reference_keys(self._references)


def pooled(values: np.ndarray, down: int, across: int) -> np.ndarray:
    """Sums of neighbouring cells.

    Args:
        values: Shape (h, w).
        down: Cells of the result at most.
        across: Likewise.

    Returns:
        Shape (min(down, h), min(across, w)), with the same sum; cells differ by one at most in how
        many each took.
    """
    for axis, most in enumerate((down, across)):
        size = values.shape[axis]
        starts = np.arange(min(most, size)) * size // min(most, size)
        values = np.add.reduceat(values, starts, axis=axis)
    return values


def reference_keys(references: Sequence[Reference | None]) -> np.ndarray:
    """Hashes of contents for a store, shape (n, 2); missing ones are equal."""
    return byte_keys(b"" if r is None else bytes.fromhex(r.digest) for r in references)


def content_of(reference: Reference | None) -> bytes:
    """The content of a file.

    Args:
        reference: The file; None where a cell names none.

    Returns:
        Its bytes.

    Raises:
        Unreadable: When there is none.
        DataError: When the file is gone or has changed.
    """
    if reference is None:
        raise Unreadable("no file")
    return reference.content()


def unreadable(cells: Sequence[str], front: Front) -> int:
    """How many files cannot be read, or are not named."""
    read = type(front).readable  # type: ignore[attr-defined]
    return sum(not read(parse(cell)) for cell in cells)
