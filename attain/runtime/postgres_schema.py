"""The ledger's tables in PostgreSQL: versions, the lease, and what errors mean to a user.

The log is one table whose triggers refuse every change, every gap, and every record that was not
written under the epoch of the lease.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attain.core.errors import EnvironmentProblem, LedgerError
from attain.runtime.lease import SILENT_SECONDS, Holder, process_start, this_machine

try:
    import psycopg
except ModuleNotFoundError as error:  # an optional package
    raise EnvironmentProblem(
        "a ledger in PostgreSQL needs psycopg — pip install 'attain[postgres]'"
    ) from error

Database = psycopg.Connection[tuple[Any, ...]]
Numbered = tuple[int, str, str, str, str]  # id, step, kind, payload, parents

VERSION = 1
CONNECT_SECONDS = 10
_MIGRATING = 0x6174746E  # the advisory lock under which tables are changed

# From version n to n + 1. A migration only ever adds; the log it finds stays as it was.
MIGRATIONS: Mapping[int, tuple[str, ...]] = {
    0: (
        "CREATE TABLE attain.study (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " name text NOT NULL UNIQUE, created timestamptz NOT NULL DEFAULT clock_timestamp())",
        "CREATE TABLE attain.lease (study bigint PRIMARY KEY REFERENCES attain.study,"
        " epoch bigint NOT NULL DEFAULT 0, owner text NOT NULL DEFAULT '',"
        " pid bigint NOT NULL DEFAULT 0, host text NOT NULL DEFAULT '',"
        " machine text NOT NULL DEFAULT '', started text NOT NULL DEFAULT '',"
        " beat double precision NOT NULL DEFAULT 0, beats bigint NOT NULL DEFAULT 0)",
        "CREATE TABLE attain.records (study bigint NOT NULL REFERENCES attain.study,"
        " id bigint NOT NULL, step text NOT NULL, kind text NOT NULL, payload text NOT NULL,"
        " parents text NOT NULL, at double precision NOT NULL, epoch bigint NOT NULL,"
        " PRIMARY KEY (study, id))",
        """CREATE FUNCTION attain.in_order() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.epoch IS DISTINCT FROM (SELECT epoch FROM attain.lease
                WHERE study = NEW.study AND owner <> '') THEN
                RAISE EXCEPTION 'the lease of epoch % was lost', NEW.epoch; END IF;
            IF NEW.id <> (SELECT coalesce(max(id), 0) + 1 FROM attain.records
                WHERE study = NEW.study) THEN
                RAISE EXCEPTION 'records are numbered without a gap'; END IF;
            RETURN NEW; END $$""",
        """CREATE FUNCTION attain.append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'the ledger is append-only'; END $$""",
        "CREATE TRIGGER in_order BEFORE INSERT ON attain.records"
        " FOR EACH ROW EXECUTE FUNCTION attain.in_order()",
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attain.records"
        " FOR EACH STATEMENT EXECUTE FUNCTION attain.append_only()",
    ),
}

# SQLSTATE, from its beginning -> what happened and what to do.
_MEANINGS: Mapping[str, tuple[str, str]] = {
    "53100": ("the server's disk is full", "free some space there, then run the same command"),
    "25006": ("the server only lets us read", "name the primary server and not a copy of it"),
    "28": ("the server refuses the user or password", "check the URL, PGPASSWORD or ~/.pgpass"),
    "3D000": ("there is no such database", "make it: createdb NAME"),
    "42501": ("the user may not do that", "GRANT CREATE ON DATABASE, or a schema `attain` of his"),
    "55P03": ("another program holds it locked", "end that program, then run the same command"),
}
# A refused connection comes without an SQLSTATE; its text says which one it would have been.
_REFUSALS: tuple[tuple[str, str, str], ...] = (
    ("database", "does not exist", "3D000"),
    ("role", "does not exist", "28"),
    ("password", "", "28"),
    ("authentication", "", "28"),
    ("pg_hba.conf", "", "28"),
)
# Connection exceptions, operator intervention, too many connections, deadlocks: they pass.
_PASSING = ("08", "57P0", "53300", "40001", "40P01")
_SETTINGS = (
    "-c synchronous_commit=on -c lock_timeout=40s -c statement_timeout=60s"
    # a coordinator that is paused inside of a transaction must not hold the lease's row for ever
    f" -c idle_in_transaction_session_timeout={SILENT_SECONDS:.0f}s"
)
_AT = "extract(epoch FROM clock_timestamp())::double precision"
_LEASE = "epoch, owner, pid, host, machine, started, beat, beats"


def connect(url: str) -> Database:
    """A connection in autocommit mode, whose commits are durable and whose silence is noticed.

    Args:
        url: Of the database.

    Returns:
        Usable from any thread, one at a time; works behind a connection pooler, too.
    """
    return psycopg.connect(
        url,
        autocommit=True,
        prepare_threshold=None,
        connect_timeout=CONNECT_SECONDS,
        application_name="attain",
        options=_SETTINGS,
        keepalives_idle=20,
        keepalives_interval=5,
        keepalives_count=4,
    )


@contextmanager
def plain_errors(place: str, doing: str) -> Iterator[None]:
    """Turn the server's errors into ones a user can act on.

    Args:
        place: The ledger, without a password.
        doing: For the message, such as ``writing``.

    Yields:
        Nothing.

    Raises:
        LedgerError: Instead of any error of psycopg.
    """
    try:
        yield
    except psycopg.Error as error:
        state = _state(error)
        text = " ".join(str(error).split()) or type(error).__name__
        fits = [key for key in _MEANINGS if state.startswith(key)]
        if fits:
            what, remedy = _MEANINGS[max(fits, key=len)]
        elif passes(error):
            what, remedy = "the server cannot be reached", "see that it runs, then run it again"
        else:
            what, remedy = "the server refuses", "see `attain doctor`"
        raise LedgerError(f"{doing} the ledger {place}: {what} ({text}) — {remedy}") from error


def passes(error: psycopg.Error) -> bool:
    """Whether an error may be gone when the same is tried on a new connection."""
    if isinstance(error, psycopg.InterfaceError):
        return True
    if not isinstance(error, psycopg.OperationalError):
        return False
    state = _state(error)
    return not state or state.startswith(_PASSING)


def _state(error: psycopg.Error) -> str:
    if error.sqlstate:
        return error.sqlstate
    text = str(error)
    return next((state for a, b, state in _REFUSALS if a in text and b in text), "")


def prepare(db: Database) -> None:
    """Bring the tables to the present version, from none at all or an older one.

    Args:
        db: Of a user who may create a schema, unless the tables are there already.
    """
    if version(db) >= VERSION:
        return
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", (_MIGRATING,))
        old = version(db)
        if old == 0:
            db.execute("CREATE SCHEMA IF NOT EXISTS attain")
            db.execute("CREATE TABLE IF NOT EXISTS attain.version (version integer NOT NULL)")
            db.execute("INSERT INTO attain.version VALUES (0)")
        for step in range(old, VERSION):
            for statement in MIGRATIONS[step]:
                db.execute(statement.encode())
        db.execute("UPDATE attain.version SET version = %s", (VERSION,))


def version(db: Database) -> int:
    """The version of the tables; 0 when there are none."""
    if _one(db, "SELECT to_regclass('attain.version')::text")[0] is None:
        return 0
    return int(_one(db, "SELECT coalesce(max(version), 0) FROM attain.version")[0])


def check_version(db: Database, place: str) -> None:
    """Refuse tables of another version.

    Args:
        db: A connection.
        place: For messages.

    Raises:
        LedgerError: When they are newer, or older and not to be changed.
    """
    found = version(db)
    if found > VERSION:
        raise LedgerError(
            f"{place} was written by a newer attain (ledger version {found}, this attain reads up"
            f" to {VERSION}) — upgrade it: pip install --upgrade attain"
        )
    if found < VERSION:
        raise LedgerError(
            f"{place} is of ledger version {found} — `attain run` brings it up to date"
        )


def find_study(db: Database, name: str, place: str, *, make: bool) -> int:
    """The number of a study in the database.

    Args:
        db: A connection.
        name: Of the study.
        place: For messages.
        make: Begin it when there is none of this name.

    Returns:
        What its records name.

    Raises:
        LedgerError: When there is none.
    """
    if make:
        with db.transaction():
            db.execute(
                "INSERT INTO attain.study (name) VALUES (%s) ON CONFLICT (name) DO NOTHING", (name,)
            )
            db.execute(
                "INSERT INTO attain.lease (study) SELECT id FROM attain.study WHERE name = %s"
                " ON CONFLICT (study) DO NOTHING",
                (name,),
            )
    row = db.execute("SELECT id FROM attain.study WHERE name = %s", (name,)).fetchone()
    if row is None:
        raise LedgerError(f"there is no study at {place} — begin one with `attain run`")
    return int(row[0])


def names(db: Database) -> list[str]:
    """Names of all studies of the database, the newest first."""
    rows = db.execute("SELECT name FROM attain.study ORDER BY id DESC").fetchall()
    return [str(row[0]) for row in rows]


def select(db: Database, study: int, since: int) -> list[tuple[Any, ...]]:
    """Columns of the records with an id above `since`, oldest first."""
    return db.execute(
        "SELECT id, step, kind, payload, parents, at FROM attain.records"
        " WHERE study = %s AND id > %s ORDER BY id",
        (study, since),
    ).fetchall()


def insert(db: Database, study: int, epoch: int, rows: Sequence[Numbered], latest: float) -> float:
    """Write records, in one statement, inside of the caller's transaction.

    Args:
        db: A connection.
        study: Whose.
        epoch: Under which they are written.
        rows: In order.
        latest: Time of the newest record so far; times never run backwards.

    Returns:
        Their time: the server's, in seconds since the epoch.
    """
    ids, steps, kinds, payloads, parents = (list(column) for column in zip(*rows, strict=True))
    row = db.execute(
        f"WITH now AS (SELECT greatest({_AT}, %s::double precision) AS at),"
        " new AS (INSERT INTO attain.records"
        " SELECT %s, r.*, now.at, %s FROM now, unnest(%s::bigint[], %s::text[], %s::text[],"
        " %s::text[], %s::text[]) AS r(id, step, kind, payload, parents) ORDER BY r.id"
        " RETURNING at)"
        " SELECT max(at) FROM new",
        (latest, study, epoch, ids, steps, kinds, payloads, parents),
    ).fetchone()
    assert row is not None
    return float(row[0])


def now(db: Database) -> float:
    """The server's time in seconds since the epoch."""
    return float(_one(db, f"SELECT {_AT}")[0])


def holder(db: Database, study: int, *, lock: bool = False) -> Holder:
    """Who writes a study, or wrote it last.

    Args:
        db: A connection.
        study: Which.
        lock: Keep others from changing it until the transaction ends.

    Returns:
        With an empty owner when nobody holds the lease.
    """
    tail = " FOR UPDATE" if lock else ""
    return Holder(*_one(db, f"SELECT {_LEASE} FROM attain.lease WHERE study = %s{tail}", study))


def acquire(db: Database, study: int, owner: str, place: str) -> int:
    """Become the writer, or say who is.

    A writer that died on this machine is replaced at once; one elsewhere after 30 seconds of
    silence by the server's clock.

    Args:
        db: A connection.
        study: Which.
        owner: Name of the new writer.
        place: For messages.

    Returns:
        The epoch under which to write.

    Raises:
        LedgerError: When somebody else is writing.
    """
    with db.transaction():
        held = holder(db, study, lock=True)
        at = now(db)
        gone = not held.alive if held.local else held.silent(at) >= SILENT_SECONDS
        if held.owner and not gone:
            rest = "" if held.local else f", or wait {SILENT_SECONDS:.0f} s after it has ended"
            raise LedgerError(
                f"{place} is being written by {held.describe(at)} — one study has one writer:"
                f" end that run first{rest}"
            )
        me = (os.getpid(), platform.node(), this_machine(), process_start(os.getpid()))
        db.execute(
            "UPDATE attain.lease SET epoch = epoch + 1, owner = %s, pid = %s, host = %s,"
            f" machine = %s, started = %s, beat = {_AT}, beats = beats + 1 WHERE study = %s",
            (owner, *me, study),
        )
        return held.epoch + 1


def touch(db: Database, study: int, epoch: int) -> bool:
    """Give a sign of life, if the lease is still ours; holds its row until the transaction ends."""
    changed = db.execute(
        f"UPDATE attain.lease SET beat = greatest(beat, {_AT}), beats = beats + 1"
        " WHERE study = %s AND epoch = %s AND owner <> ''",
        (study, epoch),
    )
    return changed.rowcount == 1


def release(db: Database, study: int, epoch: int) -> None:
    """Give the lease back, unless somebody else has it by now."""
    db.execute("UPDATE attain.lease SET owner = '' WHERE study = %s AND epoch = %s", (study, epoch))


def _one(db: Database, query: str, *values: Any) -> tuple[Any, ...]:
    row = db.execute(query.encode(), values).fetchone()
    assert row is not None, query
    return row
