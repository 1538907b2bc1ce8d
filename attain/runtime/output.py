"""What a worker prints, shared out among its jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator

from attain.runtime.joblog import JobLog

_CHUNK = 1 << 16
_CHUNKS = 64  # at a time: a flood must not hold up the other workers


class Output:
    """The pipe behind a worker's stdout and stderr.

    Where a job ends the worker writes a mark, so that nothing is booked to the wrong job even when
    the next one has begun before anybody has looked.

    Args:
        descriptor: The reading end, which does not block; it is owned from now on.
    """

    def __init__(self, descriptor: int) -> None:
        self.mark = b""  # as the worker says when it is ready
        self._descriptor = descriptor
        self._held = b""  # what may be the beginning of a mark
        self._later = bytearray()  # behind the mark: what the next job has printed
        self._marked = False

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._descriptor

    def drain(self, log: JobLog) -> None:
        """Take what has been printed, up to a few megabytes.

        Args:
            log: Of the job that runs now, as far as the caller knows.
        """
        if self._later and not self._marked:
            later, self._later = bytes(self._later), bytearray()
            self._share(later, log)
        for data in self._read():
            self._share(data, log)

    def turn(self, log: JobLog) -> None:
        """Take the rest of a job that has ended; what follows is the next one's.

        Args:
            log: Of the job that has ended.
        """
        self.drain(log)
        self._marked = False

    def close(self, log: JobLog) -> None:
        """Take all that is left and give back the descriptor.

        Args:
            log: Where it goes.
        """
        self.drain(log)
        log.write(self._held + self._later)
        os.close(self._descriptor)

    def _read(self) -> Iterator[bytes]:
        for _ in range(_CHUNKS):
            try:
                data = os.read(self._descriptor, _CHUNK)
            except (BlockingIOError, OSError):
                return
            if not data:
                return
            yield data

    def _share(self, data: bytes, log: JobLog) -> None:
        if self._marked:
            self._later += data
            return
        own, later = self._held + data, b""
        if self.mark:
            own, found, later = own.partition(self.mark)
            self._marked = bool(found)
        self._held = b"" if self._marked else _beginning(own, self.mark)
        self._later += later
        if own := own[: len(own) - len(self._held)]:
            log.write(own)


def _beginning(data: bytes, mark: bytes) -> bytes:
    """The longest end of some data with which a mark may begin."""
    sizes = range(min(len(mark) - 1, len(data)), 0, -1)
    return next((mark[:size] for size in sizes if data.endswith(mark[:size])), b"")
