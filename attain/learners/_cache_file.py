"""A file that many processes append blocks to and none can spoil for the others.

A block is a header of 64 bytes (magic, what follows, how long, two checksums) and its content, both
padded to 64 bytes. Whoever appends holds the lock of the operating system, which ends with its
process. What was torn off by a kill or damaged later fails its checksum; readers skip it by looking
for the next header. Nothing is ever shortened or rewritten once it was valid, so that a mapping of
another process stays good.
"""

from __future__ import annotations

import os
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

_MAGIC = b"attain\x01\xb7"
_ALIGN = 64
_HEADER = struct.Struct("<8sIIQdI")  # magic, rows, version, bytes, seconds, checksum of the content
_VERSION = 1


@dataclass(frozen=True)
class Block:
    """A valid block.

    Attributes:
        start: Where its content starts in the file.
        size: Bytes of its content.
        rows: How many rows it holds.
        seconds: What computing them took.
    """

    start: int
    size: int
    rows: int
    seconds: float


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes and threads wait for, and that ends with this process.

    Args:
        path: The lock's own file; made if missing.

    Yields:
        Nothing.

    Raises:
        OSError: When the file cannot be made or locked.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait_for(handle)
        yield
    finally:
        os.close(handle)  # gives the lock back


if sys.platform == "win32":
    import msvcrt

    def _wait_for(handle: int) -> None:
        while True:
            try:
                msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
            except OSError:
                time.sleep(0.02)
            else:
                return
else:
    import fcntl

    def _wait_for(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX)


class BlockFile:
    """The valid blocks of a file, as far as they were read.

    Args:
        path: The file; it need not exist. Its folder must.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocks: list[Block] = []
        self._read = 0
        self._bytes = np.empty(0, dtype=np.uint8)

    def refresh(self) -> list[Block]:
        """Look for blocks that were added since the last look, by whomever.

        Returns:
            The new ones, in file order; every one has passed its checksum.

        Raises:
            OSError: When the file cannot be read.
        """
        size = self.path.stat().st_size if self.path.exists() else 0
        if size <= self._read:
            return []
        self._bytes = np.memmap(self.path, dtype=np.uint8, mode="r", shape=(size,))
        new = []
        for at in self._candidates(size):
            if at >= self._read and (block := self._block(at, size)) is not None:
                new.append(block)
                self._read = _up(block.start + block.size)
        self.blocks += new
        return new

    def content(self, block: Block) -> np.ndarray:
        """The bytes of a block, memory-mapped and read-only; uint8, shape (size,)."""
        return self._bytes[block.start : block.start + block.size]

    def append(self, content: bytes, rows: int, seconds: float) -> None:
        """Add a block; the caller holds the lock.

        Args:
            content: What to keep.
            rows: How many rows it holds.
            seconds: What computing them took.

        Raises:
            OSError: When it cannot be written; what was written of it is taken back if possible.
        """
        fields = _HEADER.pack(_MAGIC, rows, _VERSION, len(content), seconds, zlib.crc32(content))
        header = (fields + zlib.crc32(fields).to_bytes(4, "little")).ljust(_ALIGN, b"\0")
        with self.path.open("ab") as file:
            end = file.seek(0, os.SEEK_END)
            whole = b"\0" * (_up(end) - end) + header + content
            try:
                file.write(whole + b"\0" * (_up(len(content)) - len(content)))
                file.flush()
            except OSError:
                _shorten(self.path, end)
                raise

    def _candidates(self, size: int) -> Iterator[int]:
        """Where headers may start, from what was not read yet."""
        words = self._bytes[self._read : size // _ALIGN * _ALIGN].view("<u8")
        hits = np.flatnonzero(words[:: _ALIGN // 8] == int.from_bytes(_MAGIC, "little"))
        yield from (self._read + hits * _ALIGN).tolist()

    def _block(self, at: int, size: int) -> Block | None:
        """The block whose header starts here, if header and content are as they were written."""
        header = self._bytes[at : at + _ALIGN].tobytes()
        fields = header[: _HEADER.size]
        _, rows, version, length, seconds, check = _HEADER.unpack(fields)
        own = int.from_bytes(header[_HEADER.size : _HEADER.size + 4], "little")
        start = at + _ALIGN
        if own != zlib.crc32(fields) or version != _VERSION or start + length > size:
            return None
        if zlib.crc32(self._bytes[start : start + length].data) != check:
            return None
        return Block(start, length, rows, seconds)


def _up(position: int) -> int:
    return -(-position // _ALIGN) * _ALIGN


def _shorten(path: Path, size: int) -> None:
    """Give the space of a block that did not fit back; nobody has seen it as valid."""
    try:
        os.truncate(path, size)
    except OSError:
        return
