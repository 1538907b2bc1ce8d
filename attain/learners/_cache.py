"""What depends on content only is computed once: rows kept on disk under a hash of their content.

A store is named by everything that decides a row besides its content (a model's digest, settings,
version of the code), and holds rows by the hash of their content. All fits and all workers of a
study share it: each computes what is missing, in an order of its own, so that two that start at
once meet in the middle instead of computing everything twice. What is damaged counts as missing.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from attain.core.errors import EnvironmentProblem
from attain.core.files import write_atomic
from attain.core.savings import saved
from attain.learners._cache_file import Block, BlockFile, locked

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Told how many rows of how many are there."""
Allowed = Callable[[np.ndarray, bool], bool]
"""Asked before rows are computed: positions of all that are missing, and whether they would go to
disk; otherwise they stay in memory."""

_BATCH = 1024
"""Rows computed between two looks at what other processes have added."""


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths.

    Attributes:
        values: All rows one after the other, int32, shape (total,).
        starts: Where each row starts, and the end; int64, shape (n + 1,).
    """

    values: np.ndarray
    starts: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Length of each row, int64, shape (n,)."""
        return np.diff(self.starts)

    def row(self, i: int) -> np.ndarray:
        """One row, int32."""
        return self.values[self.starts[i] : self.starts[i + 1]]

    def take(self, index: np.ndarray) -> Ragged:
        """The rows at these positions (int64, shape (m,)), in this order."""
        lengths = self.lengths[index]
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        where = np.arange(starts[-1]) + np.repeat(self.starts[index] - starts[:-1], lengths)
        return Ragged(self.values[where], starts)

    def __len__(self) -> int:
        return len(self.starts) - 1


def ragged(rows: Iterable[Sequence[int] | np.ndarray]) -> Ragged:
    """Rows of different lengths from lists of whole numbers.

    Args:
        rows: Any number of them; numbers fit into int32.

    Returns:
        The same rows.
    """
    arrays = [np.asarray(row, dtype=np.int32) for row in rows]
    starts = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
    empty = np.empty(0, dtype=np.int32)
    return Ragged(np.concatenate(arrays) if arrays else empty, starts)


def text_keys(texts: Sequence[str], seconds: Sequence[str] | None = None) -> np.ndarray:
    """Hashes of texts or of pairs of texts.

    Args:
        texts: Any number n of them.
        seconds: The second text of each pair, or None.

    Returns:
        16 bytes (blake2b) of each as two uint64, shape (n, 2).
    """
    firsts = (text.encode("utf-8", "surrogatepass") for text in texts)
    if seconds is None:
        return byte_keys(firsts)
    others = (text.encode("utf-8", "surrogatepass") for text in seconds)
    pairs = zip(firsts, others, strict=True)
    return byte_keys(b"%d\0%b\0%b" % (len(a), a, b) for a, b in pairs)


def byte_keys(contents: Iterable[bytes]) -> np.ndarray:
    """Hashes of anything: 16 bytes (blake2b) of each as two uint64, shape (n, 2)."""
    hashes = b"".join(hashlib.blake2b(c, digest_size=16).digest() for c in contents)
    return np.frombuffer(hashes, dtype="<u8").reshape(-1, 2)


class NotKept(EnvironmentProblem):
    """Rows would take more room than they may."""


class _Store(ABC, Generic[T]):
    """Rows by the hash of their content; subclasses say how rows become bytes.

    Args:
        folder: `FitData.cache`; None to keep nothing.
        kind: What is kept, a word for people (``tokens``, ``features``).
        parts: Everything that decides a row besides its content; plain JSON values.

    Attributes:
        found: Rows that were there already, in all calls so far.
        computed: Rows that had to be computed.
        saved: Seconds that computing the rows found had taken when they were computed.
        spent: Seconds that computing the others took.
    """

    def __init__(self, folder: Path | None, kind: str, parts: Mapping[str, Any]) -> None:
        self.found = self.computed = 0
        self.saved = self.spent = 0.0
        self._lost = False  # whether a look or a write failed; what was read before stays good
        self._file = None if folder is None else self._opened(folder, kind, parts)

    def get(
        self,
        keys: np.ndarray,
        compute: Callable[[np.ndarray], T],
        *,
        batch: int = _BATCH,
        progress: Progress | None = None,
    ) -> T:
        """All rows, of which only the missing ones are computed; equal keys only once.

        Args:
            keys: From `text_keys` or `byte_keys`, shape (n, 2). Missing rows are computed in this
                order, but each process starts at a place of its own.
            compute: Gets positions in `keys` (int64, at most `batch`), returns their rows.
            batch: Rows computed at a time.
            progress: Told how far it is after each batch.

        Returns:
            Rows in the order of `keys`.
        """
        wanted = _distinct(keys)
        place, pieces = self._settled(wanted, compute, batch, progress, lambda missing, kept: True)
        stored = [(where, self._take(rows, at)) for where, rows, at in self._stored(place)]
        return self._take(self._joined(pieces + stored, len(place)), wanted.back)

    @abstractmethod
    def _pack(self, rows: T) -> bytes:
        """Rows as bytes."""

    @abstractmethod
    def _unpack(self, content: np.ndarray, n: int) -> T:
        """The n rows that `_pack` made these bytes (uint8) of, without a copy if possible."""

    @abstractmethod
    def _take(self, rows: T, index: np.ndarray) -> T:
        """The rows at these positions."""

    @abstractmethod
    def _joined(self, pieces: list[tuple[np.ndarray, T]], n: int) -> T:
        """All n rows, of which each piece holds those at the positions it names."""

    def _settled(
        self,
        wanted: _Distinct,
        compute: Callable[[np.ndarray], T],
        batch: int,
        progress: Progress | None,
        allowed: Allowed,
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, T]]]:
        """Where each wanted row is in the file, and those that could not be written there."""
        place = np.full((len(wanted.keys), 2), -1, dtype=np.int64)  # block and row in it
        self._mark(wanted.keys, place, self._new_blocks(everything=True))
        missing = np.flatnonzero(place[:, 0] < 0)
        todo = self._rotated(missing[np.argsort(wanted.first[missing])], batch)
        pieces: list[tuple[np.ndarray, T]] = []
        self._agree(allowed, wanted.first[todo])
        self._count(place)
        while len(todo):
            part, todo = todo[:batch], todo[batch:]
            began = time.perf_counter()
            rows = compute(wanted.first[part])
            seconds = time.perf_counter() - began
            self.computed, self.spent = self.computed + len(part), self.spent + seconds
            self._keep(wanted.keys, place, part, rows, seconds)
            absent = np.flatnonzero(place[part, 0] < 0)
            pieces.append((part[absent], self._take(rows, absent)))
            todo = todo[place[todo, 0] < 0]  # others may have been there meanwhile
            if progress is not None:
                progress(len(place) - len(todo), len(place))
            self._agree(allowed, wanted.first[todo])  # the disk may be full by now
        return place, pieces

    def _agree(self, allowed: Allowed, missing: np.ndarray) -> None:
        if len(missing) and not allowed(missing, self._file is not None and not self._lost):
            raise NotKept("rows would take more room than they may")

    def _opened(self, folder: Path, kind: str, parts: Mapping[str, Any]) -> BlockFile | None:
        about = json.dumps({"kind": kind, **parts}, sort_keys=True, indent=1)
        name = hashlib.blake2b(about.encode(), digest_size=16).hexdigest()
        home = folder / f"{kind}-{name}"
        try:
            home.mkdir(parents=True, exist_ok=True)
            if not (home / "about.json").exists():
                write_atomic(home / "about.json", about)
        except (OSError, EnvironmentProblem) as error:
            _give_up(home, error)
            return None
        return BlockFile(home / "rows.bin")

    def _new_blocks(self, everything: bool = False) -> list[tuple[int, Block]]:
        """Numbers of the blocks that were added since the last look, or of all."""
        if self._file is None:
            return []
        known = 0 if everything else len(self._file.blocks)
        try:
            if not self._lost:
                self._file.refresh()
        except OSError as error:
            self._lose(self._file.path, error)
        return list(enumerate(self._file.blocks))[known:]

    def _mark(self, wanted: np.ndarray, place: np.ndarray, blocks: list[tuple[int, Block]]) -> None:
        """Write into `place` which wanted keys (sorted) these blocks hold, and where."""
        for number, block in blocks:
            assert self._file is not None
            held = self._file.content(block)[: block.rows * 16].view("<u8").reshape(-1, 2)
            at = np.searchsorted(wanted[:, 0], held[:, 0])
            rows = np.flatnonzero(at < len(wanted))
            rows = rows[(wanted[at[rows]] == held[rows]).all(axis=1)]
            place[at[rows], 0] = number
            place[at[rows], 1] = rows

    def _keep(
        self, wanted: np.ndarray, place: np.ndarray, part: np.ndarray, rows: T, seconds: float
    ) -> None:
        """Append rows that nobody has appended meanwhile; a full disk ends the keeping, no more."""
        if self._file is None or self._lost:
            return
        try:
            with locked(self._file.path.with_name("lock")):
                self._mark(wanted, place, self._new_blocks())
                absent = np.flatnonzero(place[part, 0] < 0)
                if self._lost or not len(absent):
                    return
                content = np.ascontiguousarray(wanted[part[absent]], dtype="<u8").tobytes()
                content += self._pack(self._take(rows, absent))
                share = seconds * len(absent) / len(part)
                self._file.append(content, len(absent), share)
                self._mark(wanted, place, self._new_blocks())
        except OSError as error:
            self._lose(self._file.path, error)

    def _stored(self, place: np.ndarray) -> list[tuple[np.ndarray, T, np.ndarray]]:
        """Rows in the file, block by block: their positions, the block, where in it they are."""
        pieces = []
        for number in np.unique(place[place[:, 0] >= 0, 0]).tolist():
            assert self._file is not None
            block = self._file.blocks[number]
            positions = np.flatnonzero(place[:, 0] == number)
            rows = self._unpack(self._file.content(block)[block.rows * 16 :], block.rows)
            pieces.append((positions, rows, place[positions, 1]))
        return pieces

    def _count(self, place: np.ndarray) -> None:
        numbers = place[place[:, 0] >= 0, 0]
        self.found += len(numbers)
        if self._file is not None and len(numbers):
            cost = np.array([block.seconds / block.rows for block in self._file.blocks])
            seconds = float(cost[numbers].sum())
            self.saved += seconds
            saved(seconds)

    def _rotated(self, todo: np.ndarray, batch: int) -> np.ndarray:
        """The same rows from another start, so that processes do not do the same ones first."""
        if self._file is None or len(todo) <= batch:
            return todo
        return np.roll(todo, -(os.getpid() * 7919 % -(-len(todo) // batch)) * batch)

    def _lose(self, path: Path, error: OSError) -> None:
        self._lost = True
        _give_up(path, error)


class FloatStore(_Store[np.ndarray]):
    """Rows of equally many numbers, float32, shape (n, width).

    Args:
        folder: `FitData.cache`; None to keep nothing.
        kind: What is kept, a word for people.
        parts: Everything that decides a row besides its content; plain JSON values.
        width: Numbers in a row.
    """

    def __init__(
        self, folder: Path | None, kind: str, parts: Mapping[str, Any], width: int
    ) -> None:
        self._width = width
        super().__init__(folder, kind, {**parts, "width": width})

    def _pack(self, rows: np.ndarray) -> bytes:
        return np.ascontiguousarray(rows, dtype="<f4").tobytes()

    def _unpack(self, content: np.ndarray, n: int) -> np.ndarray:
        return content.view("<f4").reshape(n, self._width)

    def _take(self, rows: np.ndarray, index: np.ndarray) -> np.ndarray:
        return rows[index]

    def _joined(self, pieces: list[tuple[np.ndarray, np.ndarray]], n: int) -> np.ndarray:
        whole = np.empty((n, self._width), dtype=np.float32)
        for positions, rows in pieces:
            whole[positions] = rows
        return whole


class ByteStore(FloatStore):
    """Rows of equally many bytes, uint8, shape (n, width); else like `FloatStore`."""

    def _pack(self, rows: np.ndarray) -> bytes:
        return np.ascontiguousarray(rows, dtype=np.uint8).tobytes()

    def _unpack(self, content: np.ndarray, n: int) -> np.ndarray:
        return content.reshape(n, self._width)

    def _joined(self, pieces: list[tuple[np.ndarray, np.ndarray]], n: int) -> np.ndarray:
        whole = np.empty((n, self._width), dtype=np.uint8)
        for positions, rows in pieces:
            whole[positions] = rows
        return whole


class RaggedStore(_Store[Ragged]):
    """Rows of numbers, each of its own length: whole numbers unless `numbers` says otherwise."""

    numbers: Literal["<i4", "<f4"] = "<i4"

    def _pack(self, rows: Ragged) -> bytes:
        lengths = rows.lengths.astype("<i4").tobytes()
        return lengths + np.ascontiguousarray(rows.values, dtype=self.numbers).tobytes()

    def _unpack(self, content: np.ndarray, n: int) -> Ragged:
        lengths = content.view("<i4")[:n]
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return Ragged(content.view(self.numbers)[n:], starts)

    def _take(self, rows: Ragged, index: np.ndarray) -> Ragged:
        return rows.take(index)

    def _joined(self, pieces: list[tuple[np.ndarray, Ragged]], n: int) -> Ragged:
        positions = np.concatenate([where for where, _ in pieces] or [np.empty(0, np.int64)])
        values = np.concatenate([rows.values for _, rows in pieces] or [np.empty(0, self.numbers)])
        lengths = np.concatenate([rows.lengths for _, rows in pieces] or [np.empty(0, np.int64)])
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return Ragged(values, starts).take(np.argsort(positions))


class StateStore(RaggedStore):
    """Rows of float32 numbers, each of its own length, which may be too many for memory."""

    numbers = "<f4"

    def rows(
        self,
        keys: np.ndarray,
        compute: Callable[[np.ndarray], Ragged],
        allowed: Allowed,
        *,
        batch: int,
    ) -> Callable[[int], np.ndarray]:
        """The same rows as from `get`, each read when it is asked for.

        Args:
            keys: As for `get`.
            compute: Likewise.
            allowed: Whether rows may be kept.
            batch: Rows computed at a time.

        Returns:
            From a position in `keys` to its row, mapped from the file and not copied.

        Raises:
            NotKept: When `allowed` said no.
        """
        wanted = _distinct(keys)
        place, pieces = self._settled(wanted, compute, batch, None, allowed)
        parts = [(where, rows, np.arange(len(rows))) for where, rows in pieces]
        parts += self._stored(place)
        for number, (where, _, at) in enumerate(parts):
            place[where] = np.column_stack([np.full(len(at), number), at])

        def row(position: int) -> np.ndarray:
            number, at = place[wanted.back[position]]
            return parts[number][1].row(at)

        return row


@dataclass(frozen=True, eq=False)
class _Distinct:
    """Keys without repetition, sorted; where each was first, and which one each key is."""

    keys: np.ndarray
    first: np.ndarray
    back: np.ndarray


def _distinct(keys: np.ndarray) -> _Distinct:
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # stable: the first of equals comes first
    ordered = keys[order]
    new = np.ones(len(keys), dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    back = np.empty(len(keys), dtype=np.int64)
    back[order] = np.cumsum(new) - 1
    return _Distinct(ordered[new], order[new], back)


_given_up: set[str] = set()


def _give_up(path: Path, error: Exception) -> None:
    """Say once for each store that nothing more is kept; a fit goes on without."""
    if str(path) not in _given_up:
        _given_up.add(str(path))
        text = f"the cache {path} cannot be used ({error}); what it would save is computed again"
        warnings.warn(text, RuntimeWarning, stacklevel=2)
