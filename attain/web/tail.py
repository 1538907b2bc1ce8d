"""Follows a ledger that another process writes: read-only, in small bites, never in its way."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attain.core.errors import LedgerError
from attain.core.types import Record
from attain.runtime import schema
from attain.runtime.address import pointer
from attain.runtime.lease import Holder, read_holder

BATCH = 2_000  # records of one bite: a long read would keep the log from being tidied up
LATE = 5_000  # how far back outcomes are looked for when a study is opened

_COLUMNS = "SELECT id, step, kind, payload, parents, at FROM records"


@dataclass(frozen=True)
class Bite:
    """Some records in order.

    Attributes:
        records: Those that could be read.
        bad: Ids of those that could not.
        last: Id of the last one looked at.
    """

    records: tuple[Record, ...] = ()
    bad: tuple[int, ...] = ()
    last: int = 0


class Tail:
    """A cursor over one ledger.

    Args:
        path: Its file.

    Raises:
        LedgerError: When there is none, or it is damaged, foreign or too new.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._db = _open(self.path)
        self._file = _identity(self.path)
        self._version = -1
        self.last = 0

    def replaced(self) -> bool:
        """Whether the file is another one now: the study was begun anew, or removed."""
        return _identity(self.path) != self._file

    def changed(self) -> bool:
        """Whether anybody has written since the last call; costs one look at shared memory."""
        with schema.plain_errors(self.path, "reading"):
            version = int(self._db.execute("PRAGMA data_version").fetchone()[0])
        changed, self._version = version != self._version, version
        return changed

    def total(self) -> int:
        """Id of the newest record, 0 without any."""
        with schema.plain_errors(self.path, "reading"):
            row = self._db.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()
        return int(row[0])

    def holder(self) -> Holder:
        """Who writes, or wrote last."""
        with schema.plain_errors(self.path, "reading"):
            return read_holder(self._db)

    def bite(self, *, outcomes: bool = True) -> Bite:
        """The next records; the cursor moves on.

        Args:
            outcomes: Whether outcomes of folds are wanted, which are most of a ledger.

        Returns:
            At most 2,000, empty at the end.
        """
        end = min(self.last + BATCH, self.total())
        if end == self.last:
            return Bite(last=end)
        wanted = "" if outcomes else " AND kind <> 'outcome'"
        query = f"{_COLUMNS} WHERE id > ? AND id <= ?{wanted} ORDER BY id"
        found = self._read(query, (self.last, end))
        self.last = end
        return Bite(found.records, found.bad, end)

    def outcomes(self, after: int) -> Sequence[Record]:
        """The newest outcomes.

        Args:
            after: Id of the record before the first that matters.

        Returns:
            Oldest first, of at most the last 5,000 records.
        """
        query = f"{_COLUMNS} WHERE id > ? AND id <= ? AND kind = 'outcome' ORDER BY id"
        return self._read(query, (max(after, self.last - LATE), self.last)).records

    def fetch(self, ids: Sequence[int]) -> Sequence[Record]:
        """Some records, oldest first; ids that do not exist or cannot be read are passed over."""
        marks = ",".join("?" * len(ids))
        return self._read(f"{_COLUMNS} WHERE id IN ({marks}) ORDER BY id", tuple(ids)).records

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _read(self, query: str, values: Sequence[int]) -> Bite:
        with schema.plain_errors(self.path, "reading"):
            rows = self._db.execute(query, values).fetchall()
        records, bad = [], []
        for number, step, kind, payload, parents, at in rows:
            try:
                known, above = json.loads(payload), tuple(json.loads(parents))
                records.append(Record(number, step, kind, known, above, at))
            except (ValueError, TypeError):  # one torn record does not hide the others
                bad.append(number)
        return Bite(tuple(records), tuple(bad))


def _open(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        kept = pointer(path.parent)
        if kept is not None:
            raise LedgerError(
                f"the records are in {kept.shown}, which the dashboard does not read — look with"
                " `attain report`"
            )
        raise LedgerError(f"there is no ledger at {path} — begin the study with `attain run`")
    with schema.plain_errors(path, "opening"):
        db = schema.connect_reader(path)
        try:
            if schema.version(db, path) < schema.VERSION:
                raise LedgerError(
                    f"{path} is of an older version — `attain run` brings it up to date"
                )
            db.execute("PRAGMA query_only = ON")
        except BaseException:
            db.close()
            raise
    return db


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
