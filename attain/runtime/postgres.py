"""The same append-only log in PostgreSQL: many studies in one database, one writer of each.

The lease is a row. Every append names, in its own transaction, the epoch under which it writes, and
so does every record: a trigger compares it with the lease, so that a writer that was paused through
a takeover is refused by the database itself (the fencing token of Kleppmann, "How to do distributed
locking", 2016). All times are the server's, so that the clocks of coordinators need not agree.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from attain.core.errors import LedgerError
from attain.core.types import Draft, Record
from attain.runtime import postgres_schema as schema
from attain.runtime.clock import Clock, SystemClock
from attain.runtime.lease import BEAT_SECONDS
from attain.runtime.ledger import LedgerState
from attain.runtime.postgres_schema import Database, Numbered, psycopg
from attain.runtime.rows import number, record_of, row_of
from attain.runtime.url import public_url

T = TypeVar("T")

PATIENCE_SECONDS = 300.0  # a server that restarts, or fails over to another, is back by then
LONGEST_PAUSE = 2.0


class PostgresLedger:
    """A study's log in a PostgreSQL database; keeps `core.protocols.Ledger`.

    A record that `append` returned is on the server's disk. When the server restarts or the
    connection breaks, it connects again and finishes what was under way, once: what a broken commit
    had reached is read back, under the lease, before anything is repeated.

    Args:
        url: Of the database; a password may also come from ``PGPASSWORD`` or ``~/.pgpass``.
        study: Its name in the database.
        owner: What the writer calls itself in other writers' error messages.
        read_only: Open a second view, also while another process writes.
        clock: Waits between attempts; a simulated one in tests.
        patience: Seconds to go on trying to reach a server that had been reached before.

    Raises:
        LedgerError: When another process writes, the server cannot be reached, or its tables are
            too new.
    """

    def __init__(
        self,
        url: str,
        study: str,
        *,
        owner: str = "attain",
        read_only: bool = False,
        clock: Clock | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        if not study:
            raise LedgerError(f"{public_url(url)} names no study — write it behind a #")
        self.place = f"{public_url(url)}#{study}"
        self._url, self._name = url, study
        self._clock = clock or SystemClock()
        self._patience = patience
        self._lock = threading.RLock()
        self._records: list[Record] = []
        self._epoch = 0
        self._open = True
        self._link = _Link(url)
        self._stop = threading.Event()
        self._beat: threading.Thread | None = None
        try:
            with schema.plain_errors(self.place, "opening"):
                self._begin(owner, read_only)
        except BaseException:
            self._link.close()
            raise
        self._close = weakref.finalize(
            self, _give_back, self._link, self._stop, self._beat, self._study, self._epoch,
            os.getpid(),
        )  # fmt: skip

    def _begin(self, owner: str, read_only: bool) -> None:
        db = self._link.get()
        if not read_only:
            schema.prepare(db)
        schema.check_version(db, self.place)
        self._study = schema.find_study(db, self._name, self.place, make=not read_only)
        if not read_only:
            self._epoch = schema.acquire(db, self._study, owner, self.place)
            self._start_heartbeat()
        self._refresh(db)

    @property
    def epoch(self) -> int:
        """Of the lease under which this one writes; 0 when it only reads."""
        return self._epoch

    def append(self, drafts: Sequence[Draft]) -> tuple[Record, ...]:
        """Make records durable, all or none, before returning them.

        Args:
            drafts: In order; a draft may name an earlier one of the same call as its parent.

        Returns:
            The records as any later reader sees them.

        Raises:
            LedgerError: When a parent is not older, a payload has no JSON form, the lease was lost,
                or the server cannot be reached for too long; the ledger is then as it was.
        """
        rows = [row_of(draft) for draft in drafts]
        with self._lock:
            self._check_open()
            if not self._epoch:
                raise LedgerError(f"{self.place} was opened to read — open it without read_only")
            if not rows:
                return ()
            new = number(rows, len(self._records))
            before = itertools.count()
            written = self._steady("writing", lambda db: self._write(db, new, next(before) > 0))
            self._records += written
            return written

    def read(self, since: int = 0) -> tuple[Record, ...]:
        """All records with an id above `since`, oldest first.

        Args:
            since: 0 for all of them.

        Returns:
            Also what another process has written by now.

        Raises:
            LedgerError: When the server cannot be reached or the ledger was closed.
        """
        with self._lock:
            self._check_open()
            if not self._epoch:  # whoever holds the lease knows everything
                self._steady("reading", self._refresh)
            return tuple(self._records[max(since, 0) :])

    def close(self) -> None:
        """Give the study back; safe to call twice."""
        with self._lock:
            self._open = False
            self._close()

    def _check_open(self) -> None:
        if not self._open:
            raise LedgerError(f"the ledger {self.place} was closed — open it again")

    def _refresh(self, db: Database) -> None:
        found = schema.select(db, self._study, len(self._records))
        self._records += [record_of(row, self.place) for row in found]

    def _write(self, db: Database, new: Sequence[Numbered], again: bool) -> tuple[Record, ...]:
        with db.transaction():
            if not schema.touch(db, self._study, self._epoch):
                raise LedgerError(self._lost(db))
            if again:  # the commit may have been made before its answer was lost
                found = schema.select(db, self._study, new[0][0] - 1)
                if found:
                    return self._as_written(new, found)
            latest = self._records[-1].at if self._records else 0.0
            at = schema.insert(db, self._study, self._epoch, new, latest)
        return tuple(record_of((*row, at), self.place) for row in new)

    def _as_written(
        self, new: Sequence[Numbered], found: Sequence[tuple[Any, ...]]
    ) -> tuple[Record, ...]:
        if [row[:5] for row in found] != list(new):
            raise LedgerError(
                f"{self.place} holds other records than were sent before the connection broke —"
                " run the same command again, which reads them first"
            )
        return tuple(record_of(row, self.place) for row in found)

    def _lost(self, db: Database) -> str:
        holder = schema.holder(db, self._study)
        who = (
            f"is being written by {holder.describe(schema.now(db))}" if holder.owner else "is free"
        )
        return (
            f"this process was silent for too long and lost the study: {self.place} {who} — nothing"
            " was written; let that run finish"
        )

    def _steady(self, doing: str, action: Callable[[Database], T]) -> T:
        """Do something on the server, again on a new connection when it breaks."""
        until, pause = self._clock.monotonic() + self._patience, 0.05
        with schema.plain_errors(self.place, doing):
            while True:
                try:
                    return action(self._link.get())
                except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                    if not schema.passes(error) or self._clock.monotonic() >= until:
                        raise
                    self._link.close()
                    self._clock.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)

    def _start_heartbeat(self) -> None:
        self._beat = threading.Thread(
            target=_beat_until,
            args=(self._url, self._study, self._epoch, self._stop),
            name="attain-ledger-heartbeat",
            daemon=True,
        )
        self._beat.start()


class _Link:
    """A connection that is made when it is needed, and again when it was lost.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._db: Database | None = None

    def get(self) -> Database:
        """The connection, made now if there is none."""
        if self._db is None or self._db.closed:
            self._db = schema.connect(self._url)
        return self._db

    def close(self) -> None:
        """Give it up; `get` makes a new one."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(psycopg.Error):
                db.close()


def _beat_until(url: str, study: int, epoch: int, stop: threading.Event) -> None:
    """Give signs of life on a connection of one's own, as long as the lease is ours."""
    link = _Link(url)
    while not stop.wait(BEAT_SECONDS):
        try:
            if not schema.touch(link.get(), study, epoch):
                break
        except psycopg.Error:  # the server is away now; appends will tell the user
            link.close()
    link.close()


def _give_back(
    link: _Link,
    stop: threading.Event,
    beat: threading.Thread | None,
    study: int,
    epoch: int,
    pid: int,
) -> None:
    if os.getpid() != pid:  # a forked child must not give away its parent's lease
        return
    stop.set()
    if beat is not None and beat is not threading.current_thread():
        beat.join(BEAT_SECONDS)
    with contextlib.suppress(psycopg.Error):  # a lease that is not given back ends by silence
        if epoch:
            schema.release(link.get(), study, epoch)
    link.close()


def state(url: str, study: str) -> LedgerState:
    """Examine a study's ledger without changing it, also while it is being written.

    Args:
        url: Of the database.
        study: Its name.

    Returns:
        What was found; never raises for a bad one.
    """
    place = f"{public_url(url)}#{study}"
    link = _Link(url)
    try:
        with schema.plain_errors(place, "reading"):
            return _examine(link.get(), study, place)
    except LedgerError as error:
        return LedgerState(place, problems=(str(error),))
    finally:
        link.close()


def _examine(db: Database, name: str, place: str) -> LedgerState:
    schema.check_version(db, place)
    study = schema.find_study(db, name, place, make=False)
    rows = schema.select(db, study, 0)
    problems = []
    if [row[0] for row in rows] != list(range(1, len(rows) + 1)):
        problems.append(f"{place}: records are missing — restore the database from a copy")
    for row in rows:
        try:
            record_of(row, place)
        except LedgerError as error:
            problems.append(str(error))
    held = schema.holder(db, study)
    gone = held.local and not held.alive
    who = f"{held.owner}: {held.describe(schema.now(db))}{', which has died' if gone else ''}"
    size = sum(len(row[3]) + len(row[4]) for row in rows)
    shown, newest = who if held.owner else "", rows[-1][5] if rows else 0.0
    version = schema.version(db)
    return LedgerState(place, version, len(rows), size, shown, tuple(problems), newest)


def studies(url: str) -> list[str]:
    """Names of all studies of a database, the newest first.

    Args:
        url: Of the database.

    Returns:
        None of them if no study was ever begun there.

    Raises:
        LedgerError: When it cannot be reached.
    """
    link = _Link(url)
    try:
        with schema.plain_errors(public_url(url), "reading"):
            return schema.names(link.get()) if schema.version(link.get()) else []
    finally:
        link.close()
