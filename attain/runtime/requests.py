"""What people ask of a run under way: an append-only box beside the ledger.

Anybody who may write to the study folder may put a request into the box; only the run reads it, and
only the run writes its answer, into the ledger. A request names the lease (`lease.Holder.epoch`)
for which it was meant, so that none reaches a later run by surprise. One line of JSON each; a line
that is torn or foreign is passed over, never an error, for nothing here may end a run.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attain.core.files import plain_errors

FILE = "requests.jsonl"
MOST_BYTES = 16_384  # of one request; written at once, so that lines of two writers never mix


@dataclass(frozen=True)
class Request:
    """Something asked of the run.

    Attributes:
        id: Unique in the box.
        action: What is asked, one of `attain.pipeline.requests.ACTIONS`.
        epoch: Of the lease that the run held when it was asked.
        values: What the action needs, plain JSON values.
    """

    id: str
    action: str
    epoch: int
    values: Mapping[str, Any] = field(default_factory=dict)


class RequestBox:
    """The box of one study.

    Args:
        folder: The study folder, which exists.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._read = 0
        self._size = -1

    def put(self, action: str, epoch: int, values: Mapping[str, Any] | None = None) -> Request:
        """Ask something of the run; durable when this returns.

        Args:
            action: What.
            epoch: Of the run's lease.
            values: What the action needs.

        Returns:
            The request as the run will read it.

        Raises:
            ValueError: When it has no JSON form, or more than 16,384 bytes.
            EnvironmentProblem: When the study folder cannot be written.
        """
        request = Request(secrets.token_hex(8), action, epoch, dict(values or {}))
        line = json.dumps(vars(request), allow_nan=False, separators=(",", ":")).encode()
        if len(line) > MOST_BYTES:
            raise ValueError(f"a request has at most {MOST_BYTES:,} bytes (got {len(line):,})")
        with plain_errors(self.path):
            # A line that somebody died in is closed by the next one's leading line end.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            file = os.open(self.path, flags, 0o600)
            try:
                os.write(file, b"\n" + line + b"\n")
                os.fsync(file)
            finally:
                os.close(file)
        return request

    def take(self) -> tuple[Request, ...]:
        """What was put in since the last call, oldest first; one look at the file when nothing was.

        Returns:
            Also requests that an earlier run has answered: the caller knows those by their ids.
        """
        try:
            size = self.path.stat().st_size
            if size == self._size:
                return ()
            with self.path.open("rb") as file:
                file.seek(self._read if size >= self._read else 0)
                start, text = file.tell(), file.read()
        except OSError:  # no box yet, or none that can be read: nothing is asked
            return ()
        whole = text.rfind(b"\n") + 1  # the rest is being written
        self._read, self._size = start + whole, size
        found = (_parse(line) for line in text[:whole].splitlines() if line.strip())
        return tuple(request for request in found if request is not None)


def _parse(line: bytes) -> Request | None:
    try:
        plain = json.loads(line)
        request = Request(plain["id"], plain["action"], plain["epoch"], plain["values"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    sound = isinstance(request.id, str) and isinstance(request.action, str)
    sound = sound and isinstance(request.epoch, int) and isinstance(request.values, dict)
    return request if sound and len(line) <= MOST_BYTES else None
