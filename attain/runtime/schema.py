"""The ledger's file: its tables, its versions, and what its errors mean to a user.

The log itself is one table whose triggers refuse every change: rows are numbered from 1 without a
gap (which also defeats ``INSERT OR REPLACE``), and are never updated or deleted. Version 0 is the
empty file, so that creating a ledger and migrating an old one are the same mechanism.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from attain.core.errors import LedgerError

VERSION = 1
APPLICATION_ID = 0x6174746E  # "attn", so that `file` and we recognise the database
BUSY_SECONDS = 10.0

# From version n to n + 1. A migration only ever adds; the log it finds stays as it was.
MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    0: (
        """CREATE TABLE records (
            id INTEGER PRIMARY KEY,
            step TEXT NOT NULL,
            kind TEXT NOT NULL,
            payload TEXT NOT NULL,
            parents TEXT NOT NULL,
            at REAL NOT NULL)""",
        """CREATE TRIGGER records_in_order BEFORE INSERT ON records
            WHEN NEW.id IS NOT (SELECT coalesce(max(id), 0) + 1 FROM records)
            BEGIN SELECT RAISE(ABORT, 'records are numbered without a gap'); END""",
        """CREATE TRIGGER records_not_updated BEFORE UPDATE ON records
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TRIGGER records_not_deleted BEFORE DELETE ON records
            BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TABLE lease (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            epoch INTEGER NOT NULL,
            owner TEXT NOT NULL,
            pid INTEGER NOT NULL,
            host TEXT NOT NULL,
            machine TEXT NOT NULL,
            started TEXT NOT NULL,
            beat REAL NOT NULL,
            beats INTEGER NOT NULL)""",
        "INSERT INTO lease VALUES (1, 0, '', 0, '', '', '', 0, 0)",
    ),
}

_DAMAGED = (
    "it is damaged, or not an attain ledger",
    "restore it from a copy, or move it away to begin the study anew",
)
_BUSY = ("another program holds it locked", "end that program, then run the same command again")
_DENIED = ("it cannot be written", "make the study folder writable, or choose another folder")

# SQLite's error name, from its beginning -> what happened and what to do; the longest match holds.
_MEANINGS: Mapping[str, tuple[str, str]] = {
    "SQLITE_FULL": ("the disk is full", "free some space, then run the same command again"),
    "SQLITE_IOERR": (
        "the disk reports an error",
        "check the disk and its free space, then run the same command again",
    ),
    "SQLITE_READONLY": _DENIED,
    "SQLITE_PERM": _DENIED,
    "SQLITE_AUTH": _DENIED,
    "SQLITE_CANTOPEN": (
        "it cannot be opened",
        "check that the folder exists and that you may write to it",
    ),
    "SQLITE_BUSY": _BUSY,
    "SQLITE_LOCKED": _BUSY,
    "SQLITE_PROTOCOL": _BUSY,
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_NOTADB": _DAMAGED,
}

# On these, WAL's shared memory does not reach the other hosts (https://sqlite.org/wal.html, 8).
_NETWORK = {"nfs", "nfs4", "cifs", "smb2", "smb3", "smbfs", "afs", "afpfs", "fuse.sshfs", "9p"}


@contextmanager
def plain_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn SQLite's errors into ones a user can act on.

    Args:
        path: The ledger's file.
        doing: For the message, such as ``writing``.

    Yields:
        Nothing.

    Raises:
        LedgerError: Instead of any SQLite error.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or ""
        fits = [key for key in _MEANINGS if name.startswith(key)]
        what, remedy = (
            _MEANINGS[max(fits, key=len)] if fits else (str(error), "see `attain doctor`")
        )
        raise LedgerError(f"{doing} the ledger {path}: {what} ({error}) — {remedy}") from error


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All or none, durable at the end; takes the write lock at the beginning.

    Args:
        db: In autocommit mode.

    Yields:
        Nothing.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has rolled back by itself
            db.execute("ROLLBACK")
        raise


def connect(path: Path, *, create: bool = False, synchronous: str = "FULL") -> sqlite3.Connection:
    """A connection for writing.

    Args:
        path: The ledger's file.
        create: Make the file when it is missing.
        synchronous: ``FULL`` makes every commit durable; ``NORMAL`` is enough for heartbeats.

    Returns:
        In autocommit mode, usable from any thread (one at a time).
    """
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute(f"PRAGMA synchronous = {synchronous}")
    except BaseException:
        db.close()
        raise
    return db


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read, and never makes a writer wait.

    Args:
        path: An existing file.

    Returns:
        In autocommit mode, usable from any thread (one at a time).
    """
    try:
        return _reader(path, "mode=ro")
    except sqlite3.OperationalError:
        # In a folder that cannot be written, SQLite cannot make the files beside a WAL database;
        # with no log pending nobody is writing, so the file may be taken as it stands.
        wal = path.with_name(f"{path.name}-wal")
        if path.exists() and not (wal.exists() and wal.stat().st_size):
            return _reader(path, "immutable=1")
        raise


def _reader(path: Path, query: str) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?{query}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        db.close()
        raise
    return db


def version(db: sqlite3.Connection, path: Path) -> int:
    """The version of a ledger's tables.

    Args:
        db: Its connection.
        path: Its file, for messages.

    Returns:
        0 for an empty file.

    Raises:
        LedgerError: When the file is some other program's database, or of a newer attain.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    application = db.execute("PRAGMA application_id").fetchone()[0]
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (tables or found):
        raise LedgerError(
            f"{path} is a database, but not an attain ledger — name another study folder"
        )
    if found > VERSION:
        raise LedgerError(
            f"{path} was written by a newer attain (ledger version {found}, this attain reads up to"
            f" {VERSION}) — upgrade it: pip install --upgrade attain"
        )
    return found


def prepare(db: sqlite3.Connection, path: Path) -> None:
    """Bring a ledger to the present version, from the empty file or an older one.

    Args:
        db: A connection for writing.
        path: Its file, for messages.

    Raises:
        LedgerError: When the file is damaged, foreign or too new; it is then left as it was.
    """
    version(db, path)
    damage = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise LedgerError(f"the ledger {path}: {_DAMAGED[0]} ({damage}) — {_DAMAGED[1]}")
    db.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
    with transaction(db):
        for old in range(version(db, path), VERSION):
            for statement in MIGRATIONS[old]:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def journal_mode(path: Path) -> str:
    """WAL, but not on a network drive, where it would lose records.

    Args:
        path: The ledger's file.

    Returns:
        ``WAL`` or ``DELETE``.
    """
    return "DELETE" if file_system(path) in _NETWORK else "WAL"


def file_system(path: Path) -> str:
    """The kind of file system a path is on.

    Args:
        path: Existing or not.

    Returns:
        Such as ``ext4`` or ``nfs4``; empty when the system does not say.
    """
    import psutil

    try:
        mounts = psutil.disk_partitions(all=True)
    except (OSError, psutil.Error):
        return ""
    place = path.absolute().resolve()
    holding = [m for m in mounts if place.is_relative_to(m.mountpoint)]
    return max(holding, key=lambda m: len(m.mountpoint)).fstype.lower() if holding else ""
