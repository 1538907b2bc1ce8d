"""What a job printed, kept to a size: the beginning and the end, however much there was."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from pathlib import Path
from typing import BinaryIO

LOG_BYTES = 1 << 20
TAIL_BYTES = 2048


class JobLog:
    """Collects output; writes at most `most` bytes (and one line between head and tail).

    The first half goes to the file as it comes, so that it can be watched; of the rest the last
    half is kept in memory and written at the end. A file is made only when something was printed.

    Args:
        path: Where to write, or None to keep only the tail in memory.
        most: Bytes to keep.
    """

    def __init__(self, path: Path | None = None, most: int = LOG_BYTES) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._head_left = most // 2
        self._room = most - most // 2
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._dropped = 0
        self._last = b""

    @property
    def path(self) -> str:
        """The file, or empty when nothing was printed or it could not be written."""
        return str(self._path) if self._file is not None and self._path is not None else ""

    @property
    def tail(self) -> str:
        """The last lines as text, for messages."""
        return self._last.decode(errors="replace").strip()

    def write(self, data: bytes) -> None:
        """Take more output.

        Args:
            data: As it came; any bytes.
        """
        self._last = (self._last + data)[-TAIL_BYTES:]
        if self._path is None:
            return
        head, rest = data[: self._head_left], data[self._head_left :]
        if head:
            self._head_left -= len(head)
            self._put(head)
        if rest:
            self._keep(rest)

    def close(self) -> None:
        """Write the tail and close the file."""
        if self._dropped:
            self._put(f"\n[... {self._dropped} bytes left out ...]\n".encode())
        for part in self._parts:
            self._put(part)
        self._parts.clear()
        if self._file is not None:
            self._file.close()

    def _keep(self, data: bytes) -> None:
        self._parts.append(data)
        self._held += len(data)
        while self._held > self._room:
            oldest = self._parts.popleft()
            surplus = min(self._held - self._room, len(oldest))
            self._held -= surplus
            self._dropped += surplus
            if surplus < len(oldest):
                self._parts.appendleft(oldest[surplus:])

    def _put(self, data: bytes) -> None:
        if self._path is None:
            return
        try:
            if self._file is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self._path.open("wb", buffering=0)
            self._file.write(data)
        except OSError:  # a full disk costs the log, never the trial
            self._path = None


def log_path(folder: Path, job: str) -> Path:
    """A file name for a job, safe on every system and different for different jobs.

    Args:
        folder: Where logs go.
        job: Any text.

    Returns:
        ``folder/job.log``, with what a file name cannot hold replaced and made unique by a hash.
    """
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", job)[:80]
    if safe != job:
        safe += "-" + hashlib.blake2b(job.encode(errors="replace"), digest_size=4).hexdigest()
    return folder / f"{safe}.log"
