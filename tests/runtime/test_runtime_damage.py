"""What can happen to a ledger's file: each is said with a remedy, and no record is lost."""

from __future__ import annotations

import signal
import sqlite3

import pytest
from runtime_tools import child, draft

from attain.core.errors import EnvironmentProblem, Exit, LedgerError
from attain.runtime import schema
from attain.runtime.ledger import SqliteLedger, state

APPEND = """
import sys
from attain.core.types import Draft
from attain.runtime.ledger import SqliteLedger
ledger = SqliteLedger(sys.argv[1])
while True:
    drafts = [Draft("train", "outcome", {"fill": "x" * 500})] * 3
    print(*[record.id for record in ledger.append(drafts)])
"""


@pytest.mark.parametrize("records", [30, 400, 1500])
def test_kill_loses_no_acknowledged_record(path, records):
    """A process killed while it appends: all it was told is there, batches whole, lease free."""
    process = child(APPEND, path)
    told = []
    for line in process.stdout:
        told += map(int, line.split())
        if len(told) >= records:
            break
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    told += map(int, rest.rpartition("\n")[0].split())
    process.wait()
    process.stdout.close()
    ledger = SqliteLedger(path)
    try:
        ids = [record.id for record in ledger.read()]
        assert len(told) >= records
        assert ids[: len(told)] == told
        assert ids == list(range(1, len(ids) + 1))
        assert len(ids) % 3 == 0
        assert len(ids) - len(told) in (0, 3)
    finally:
        ledger.close()


def test_full_disk_is_said_and_leaves_the_log(path):
    """SQLite's own 'disk is full' becomes a remedy; the log goes on once there is room."""
    ledger = SqliteLedger(path)
    ledger.append([draft("before")])
    pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
    ledger._db.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(LedgerError, match=r"disk is full.*free some space") as caught:
        ledger.append([draft("x" * 100_000), draft("after")])
    assert caught.value.exit_code is Exit.ENVIRONMENT
    assert [record.payload["value"] for record in ledger.read()] == ["before"]
    ledger._db.execute("PRAGMA max_page_count = 1000000")
    assert ledger.append([draft("x" * 100_000)])[0].id == 2
    ledger.close()
    assert state(path).problems == ()


def test_locked_file_is_said(path, monkeypatch):
    """A file that another program locks gives a remedy after the timeout, and loses nothing."""
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    ledger = SqliteLedger(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match=r"another program holds it locked.*end that program"):
        ledger.append([draft()])
    other.execute("ROLLBACK")
    other.close()
    assert len(ledger.append([draft()])) == 1
    ledger.close()


def test_folder_that_cannot_be_made(tmp_path):
    """A study folder below a regular file is refused with a remedy, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match=r"making the study folder.*Not a directory"):
        SqliteLedger(tmp_path / "file" / "study" / "ledger.db")
    (tmp_path / "ledger.db").mkdir()
    with pytest.raises(LedgerError, match=r"cannot be opened.*check that the folder exists"):
        SqliteLedger(tmp_path / "ledger.db")


def test_read_only_file_is_said(path, monkeypatch):
    """A database that turned read-only refuses an append with a remedy."""
    ledger = SqliteLedger(path)
    ledger._db.execute("PRAGMA query_only = 1")
    with pytest.raises(LedgerError, match=r"cannot be written.*choose another folder"):
        ledger.append([draft()])
    ledger._db.execute("PRAGMA query_only = 0")
    ledger.close()


def test_reads_from_a_folder_that_cannot_be_written(path, monkeypatch):
    """Where SQLite cannot make its side files, a closed ledger is read as it stands."""
    ledger = SqliteLedger(path)
    ledger.append([draft("kept")])
    ledger.close()
    real = schema._reader

    def refusing(path, query):
        if query == "mode=ro":
            raise sqlite3.OperationalError("unable to open database file")
        return real(path, query)

    monkeypatch.setattr(schema, "_reader", refusing)
    reader = SqliteLedger(path, read_only=True)
    assert reader.read()[0].payload == {"value": "kept"}
    reader.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"this is not a database, but a text of some length" * 40, "damaged, or not an attain"),
        (b"SQLite format 3\x00" + b"\xff" * 4096, "damaged, or not an attain"),
    ],
)
def test_damaged_file_is_refused_and_left_alone(path, content, message):
    """A file that is no database is named as such, for writers, readers and the doctor."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(LedgerError, match=rf"{message}.*restore it from a copy, or move it away"):
        SqliteLedger(path)
    with pytest.raises(LedgerError, match=message):
        SqliteLedger(path, read_only=True)
    assert message in state(path).problems[0]
    assert path.read_bytes() == content


def test_damaged_pages_are_found(path):
    """Pages overwritten in the middle of the file are found when the study is opened again."""
    ledger = SqliteLedger(path)
    ledger.append([draft("x" * 200) for _ in range(500)])
    ledger.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 6000] = b"\xee" * 6000
    path.write_bytes(data)
    with pytest.raises(LedgerError, match="damaged, or not an attain ledger"):
        SqliteLedger(path)
    assert state(path).problems


def test_unreadable_record_is_said(path):
    """A payload that is not JSON is a damaged ledger, not a traceback."""
    SqliteLedger(path).close()
    db = sqlite3.connect(path)
    with db:
        db.execute("INSERT INTO records VALUES (1, 'a', 'b', '{oops', '[]', 0)")
    db.close()
    ledger = SqliteLedger(path)
    with pytest.raises(LedgerError, match="a record that cannot be read"):
        ledger.read()
    ledger.close()


def test_foreign_database_is_refused(path):
    """Another program's SQLite file is not taken for a ledger and stays untouched."""
    path.parent.mkdir()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE theirs (x)")
    db.commit()
    db.close()
    with pytest.raises(LedgerError, match="not an attain ledger — name another study folder"):
        SqliteLedger(path)


def test_newer_version_is_refused(path):
    """A ledger of a newer attain says which versions, and how to upgrade; nothing is written."""
    SqliteLedger(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA user_version = 9")
    db.close()
    for read_only in (False, True):
        with pytest.raises(LedgerError, match=r"version 9.*reads up to 1.*pip install --upgrade"):
            SqliteLedger(path, read_only=read_only)


def test_older_version_is_migrated(path, monkeypatch):
    """A ledger of an older version gets the new tables in one transaction, and keeps its log."""
    ledger = SqliteLedger(path)
    ledger.append([draft("old")])
    ledger.close()
    added = {**schema.MIGRATIONS, 1: ("CREATE TABLE notes (text TEXT)",), 2: ("broken",)}
    monkeypatch.setattr(schema, "MIGRATIONS", added)
    monkeypatch.setattr(schema, "VERSION", 3)
    with pytest.raises(LedgerError, match="syntax error"):
        SqliteLedger(path)
    with pytest.raises(LedgerError, match="is of an older version — `attain run` brings it"):
        SqliteLedger(path, read_only=True)
    assert state(path).schema == 1
    monkeypatch.setattr(schema, "VERSION", 2)
    ledger = SqliteLedger(path)
    assert ledger.read()[0].payload == {"value": "old"}
    assert ledger._db.execute("SELECT count(*) FROM notes").fetchone() == (0,)
    ledger.append([draft("new")])
    ledger.close()
    assert (state(path).schema, state(path).records) == (2, 2)


def test_empty_file_becomes_a_ledger(path):
    """The empty file that a crash at the very beginning leaves is version 0 and is migrated."""
    path.parent.mkdir()
    path.touch()
    ledger = SqliteLedger(path)
    assert ledger.read() == ()
    ledger.close()


def test_removed_file_is_noticed(path):
    """When the file vanishes under a running study, appends refuse to write into nothing."""
    ledger = SqliteLedger(path)
    ledger.append([draft()])
    path.rename(path.with_name("moved.db"))
    with pytest.raises(LedgerError, match="removed or replaced while the study ran"):
        ledger.append([draft()])
    path.with_name("moved.db").rename(path)
    assert ledger.append([draft()])[0].id == 2
    ledger.close()


def test_state_of_a_missing_ledger(path):
    """The doctor and readers say that there is no ledger, and make none."""
    assert "there is no ledger" in state(path).problems[0]
    with pytest.raises(LedgerError, match=r"there is no ledger at .* begin one with `attain run`"):
        SqliteLedger(path, read_only=True)
    assert not path.exists()
