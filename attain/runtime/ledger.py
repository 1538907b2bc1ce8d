"""The study's append-only log in one SQLite file; everything else is read back from it."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attain.core.errors import LedgerError
from attain.core.files import plain_errors as plain_file_errors
from attain.core.files import sync_folder
from attain.core.types import Draft, Record
from attain.runtime import lease, schema
from attain.runtime.clock import Clock, SystemClock
from attain.runtime.rows import Row, number, record_of, row_of


class SqliteLedger:
    """An append-only log that survives the process, the machine, and a second process.

    WAL with ``synchronous = FULL``: a record that `append` returned is on the disk, and readers
    never make the writer wait. It keeps no copy of the log in memory.

    Args:
        path: The file; it and its folder are made when missing.
        owner: What the writer calls itself in other writers' error messages.
        read_only: Open a second view, also while another process writes.
        clock: The time; a simulated one in tests.

    Raises:
        LedgerError: When another process writes, or the file is damaged, foreign or too new.
        EnvironmentProblem: When the folder cannot be made.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        owner: str = "attain",
        read_only: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._epoch = 0
        with schema.plain_errors(self.path, "opening"):
            self._db = _open_reader(self.path) if read_only else _open_writer(self.path)
            close = weakref.finalize(self, _give_back, self._db, None, None, 0, os.getpid())
            try:
                if not read_only:
                    self._epoch = lease.acquire(self._db, self.path, owner, self._clock)
                    close.detach()
                    stop = threading.Event()
                    beat = lease.start_heartbeat(self.path, self._epoch, self._clock, stop)
                    close = weakref.finalize(
                        self, _give_back, self._db, stop, beat, self._epoch, os.getpid()
                    )
                self._file = _identity(self.path)
            except BaseException:
                close()
                raise
        self._close = close

    @property
    def epoch(self) -> int:
        """Of the lease under which this one writes; 0 when it only reads."""
        return self._epoch

    def append(self, drafts: Sequence[Draft]) -> tuple[Record, ...]:
        """Make records durable, all or none, before returning them.

        Args:
            drafts: In order; a draft may name an earlier one of the same call as its parent, by
                the id that it is about to get. Payloads are encoded with `core.codec.encode`.

        Returns:
            The records as any later reader sees them.

        Raises:
            LedgerError: When a parent is not older, a payload has no JSON form, the lease was lost,
                or the disk fails; the ledger is then as it was.
        """
        rows = [row_of(draft) for draft in drafts]
        with self._lock, schema.plain_errors(self.path, "writing"):
            self._check_open()
            if not self._epoch:
                raise LedgerError(f"{self.path} was opened to read — open it without read_only")
            if not rows:
                return ()
            self._check_file()
            now = self._clock.now()
            with schema.transaction(self._db):
                if not lease.touch(self._db, self._epoch, now):
                    raise LedgerError(self._lost(now))
                return self._insert(rows, now)

    def read(self, since: int = 0) -> tuple[Record, ...]:
        """All records with an id above `since`, oldest first.

        Args:
            since: 0 for all of them.

        Returns:
            Also what another process has written by now.

        Raises:
            LedgerError: When the file is damaged or the ledger was closed.
        """
        with self._lock, schema.plain_errors(self.path, "reading"):
            self._check_open()
            rows = self._db.execute(
                "SELECT id, step, kind, payload, parents, at FROM records WHERE id > ? ORDER BY id",
                (since,),
            )
            return tuple(record_of(row, self.path) for row in rows)

    def close(self) -> None:
        """Give the study back; safe to call twice."""
        with self._lock:
            self._close()

    def _insert(self, rows: Sequence[Row], now: float) -> tuple[Record, ...]:
        last, latest = self._db.execute(
            "SELECT coalesce(max(id), 0), coalesce(max(at), 0) FROM (SELECT id, at FROM records"
            " ORDER BY id DESC LIMIT 1)"
        ).fetchone()
        at = max(now, latest)  # the log's times never run backwards, even when the clock does
        new = [(*row, at) for row in number(rows, last)]
        self._db.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", new)
        return tuple(record_of(row, self.path) for row in new)

    def _check_open(self) -> None:
        if not self._close.alive:
            raise LedgerError(f"the ledger {self.path} was closed — open it again")

    def _check_file(self) -> None:
        # SQLite would go on writing, unnoticed, into a file that no folder names any more.
        if _identity(self.path) != self._file:
            raise LedgerError(
                f"{self.path} was removed or replaced while the study ran — put it back, then run"
                " the same command again"
            )

    def _lost(self, now: float) -> str:
        holder = lease.read_holder(self._db)
        who = f"is being written by {holder.describe(now)}" if holder.owner else "was given back"
        return (
            f"this process was silent for too long and lost the study: {self.path} {who} — nothing"
            " was written; let that run finish"
        )


@dataclass(frozen=True)
class LedgerState:
    """What ``attain doctor`` shows of a ledger.

    Attributes:
        path: Its file, or the address of its database.
        schema: Version of its tables; None when it cannot be read.
        records: How many it holds.
        size_bytes: Of the file, without what is still in SQLite's own log.
        holder: Who is writing, in words; empty when nobody is.
        problems: What is wrong, each with its remedy; empty for a sound ledger.
        newest: Time of the newest record in seconds since the epoch; 0 without any.
    """

    path: Path | str
    schema: int | None = None
    records: int = 0
    size_bytes: int = 0
    holder: str = ""
    problems: tuple[str, ...] = ()
    newest: float = 0.0


def state(path: Path | str, *, clock: Clock | None = None) -> LedgerState:
    """Examine a ledger without changing it, also while it is being written.

    Args:
        path: Its file.
        clock: The time.

    Returns:
        What was found; never raises for a bad file.
    """
    path = Path(path).absolute()
    if not path.is_file():
        return LedgerState(path, problems=(_missing(path),))
    size = path.stat().st_size
    try:
        with schema.plain_errors(path, "reading"):
            db = schema.connect_reader(path)
            try:
                return _examine(db, path, size, (clock or SystemClock()).now())
            finally:
                db.close()
    except LedgerError as error:
        return LedgerState(path, size_bytes=size, problems=(str(error),))


def _examine(db: sqlite3.Connection, path: Path, size: int, now: float) -> LedgerState:
    version = schema.version(db, path)
    if version < schema.VERSION:
        old = f"{path} is of ledger version {version} — `attain run` brings it up to date"
        return LedgerState(path, version, size_bytes=size, problems=(old,))
    damage = [row[0] for row in db.execute("PRAGMA integrity_check(20)")]
    remedy = "restore it from a copy"
    problems = tuple(f"{path}: {text} — {remedy}" for text in damage if text != "ok")
    records, newest = db.execute("SELECT count(*), coalesce(max(at), 0) FROM records").fetchone()
    held = lease.read_holder(db)
    gone = held.local and not held.alive
    who = f"{held.owner}: {held.describe(now)}{', which has died' if gone else ''}"
    return LedgerState(path, version, records, size, who if held.owner else "", problems, newest)


def _open_writer(path: Path) -> sqlite3.Connection:
    with plain_file_errors(path.parent, "making the study folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
    db = schema.connect(path, create=True)
    try:
        schema.prepare(db, path)
        with plain_file_errors(path.parent, "making the study folder"):
            sync_folder(path.parent)
    except BaseException:
        db.close()
        raise
    return db


def _open_reader(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise LedgerError(_missing(path))
    db = schema.connect_reader(path)
    try:
        if schema.version(db, path) < schema.VERSION:
            raise LedgerError(f"{path} is of an older version — `attain run` brings it up to date")
    except BaseException:
        db.close()
        raise
    return db


def _missing(path: Path) -> str:
    return f"there is no ledger at {path} — name a study folder, or begin one with `attain run`"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _give_back(
    db: sqlite3.Connection,
    stop: threading.Event | None,
    beat: threading.Thread | None,
    epoch: int,
    pid: int,
) -> None:
    if os.getpid() != pid:  # a forked child must not give away its parent's lease
        return
    if stop is not None and beat is not None:
        stop.set()
        if beat is not threading.current_thread():  # garbage is collected in whichever thread
            beat.join()
    try:
        if epoch:
            lease.release(db, epoch)
            # Readers may keep the log file open; what it holds should not depend on their leaving.
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
    except sqlite3.Error:  # a lease that cannot be given back ends with this process
        pass
    finally:
        db.close()
