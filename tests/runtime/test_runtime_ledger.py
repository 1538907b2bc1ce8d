"""The ledger: what is appended is what is read, in this process and in any other program."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_tools import draft

from attain.core.errors import LedgerError
from attain.runtime import ledger as ledger_module
from attain.runtime import schema
from attain.runtime.ledger import SqliteLedger, state
from attain.testing.ledger_suite import check_ledger


def test_keeps_the_contract():
    """The built-in ledger passes the suite that every ledger must pass."""
    check_ledger(SqliteLedger)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.lists(st.integers(-5, 5) | st.text(max_size=3), max_size=4),
            st.integers(0, 12),
            st.sampled_from(["reopen", "bad", "reader"]),
        ),
        max_size=14,
    )
)
def test_any_interleaving_gives_the_same_log(tmp_path_factory, actions):
    """Appends, refused appends, reads and reopening in any order: the log is what was appended."""
    path = tmp_path_factory.mktemp("log") / "ledger.db"
    wanted = []
    ledger = SqliteLedger(path)
    try:
        for action in actions:
            if isinstance(action, list):
                ledger.append([draft(value) for value in action])
                wanted += action
            elif isinstance(action, int):
                found = [record.payload["value"] for record in ledger.read(action)]
                assert found == wanted[action:]
            elif action == "bad":
                with pytest.raises(LedgerError, match="parents must be older"):
                    ledger.append([draft("lost"), draft("lost", 999)])
            elif action == "reader":
                reader = SqliteLedger(path, read_only=True)
                assert [record.payload["value"] for record in reader.read()] == wanted
                reader.close()
            else:
                ledger.close()
                ledger = SqliteLedger(path)
        assert [record.payload["value"] for record in ledger.read()] == wanted
        assert [record.id for record in ledger.read()] == list(range(1, len(wanted) + 1))
    finally:
        ledger.close()


def test_append_only_in_the_file_itself(path):
    """Not even SQL from outside can change, remove, replace or skip a record."""
    ledger = SqliteLedger(path)
    ledger.append([draft(1), draft(2)])
    before = ledger.read()
    ledger.close()
    row = "VALUES (?, 'train', 'outcome', '{}', '[]', 0)"
    for statement, values, message in (
        ("UPDATE records SET payload = '{}'", (), "append-only"),
        ("DELETE FROM records WHERE id = 2", (), "append-only"),
        (f"INSERT OR REPLACE INTO records {row}", (1,), "without a gap"),
        (f"INSERT INTO records {row}", (7,), "without a gap"),
    ):
        db = sqlite3.connect(path)
        with pytest.raises(sqlite3.IntegrityError, match=message):
            db.execute(statement, values)
        db.close()
    reader = SqliteLedger(path, read_only=True)
    assert reader.read() == before
    reader.close()


def test_reader_never_makes_the_writer_wait(path, monkeypatch):
    """A reader in the middle of a transaction keeps its view; appends go on beside it."""
    monkeypatch.setattr(schema, "BUSY_SECONDS", 0.05)
    ledger = SqliteLedger(path)
    ledger.append([draft()])
    reader = SqliteLedger(path, read_only=True)
    reader._db.execute("BEGIN")
    assert len(reader.read()) == 1
    ledger.append([draft()])
    assert len(reader.read()) == 1
    reader._db.execute("COMMIT")
    assert len(reader.read()) == 2
    with pytest.raises(LedgerError, match="was opened to read"):
        reader.append([draft()])
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("UPDATE lease SET epoch = 99")
    reader.close()
    ledger.close()


def test_network_drives_do_without_wal(path, monkeypatch):
    """On a network file system the rollback journal is used; the log is kept all the same."""
    monkeypatch.setattr(schema, "file_system", lambda path: "nfs4")
    ledger = SqliteLedger(path)
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    ledger.append([draft(1)])
    ledger.close()
    monkeypatch.undo()
    ledger = SqliteLedger(path)
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert len(ledger.read()) == 1
    ledger.close()
    assert schema.file_system(Path("/")) != ""


def test_durability_settings(path):
    """Commits are flushed to the disk: synchronous is FULL, the journal is WAL."""
    ledger = SqliteLedger(path)
    assert ledger._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert ledger._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    ledger.close()


def test_names_with_special_characters(tmp_path):
    """Paths with characters that mean something in a URI are taken literally."""
    path = tmp_path / "a?mode=ro&b#c%20d é" / "ledger.db"
    ledger = SqliteLedger(path)
    ledger.append([draft()])
    ledger.close()
    assert path.is_file()
    assert state(path).records == 1


def test_parents_that_are_no_ids(path):
    """A parent that is not a whole number is refused by name, and nothing is written."""
    ledger = SqliteLedger(path)
    with pytest.raises(LedgerError, match=r"the parents of train/outcome must be record ids"):
        ledger.append([draft(), draft(1, "first")])
    assert ledger.read() == ()
    ledger.close()


def test_appends_from_threads(path):
    """Threads of one process may append at the same time; nothing is lost or mixed."""
    ledger = SqliteLedger(path)
    threads = [
        threading.Thread(target=lambda: [ledger.append([draft(), draft()]) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [record.id for record in ledger.read()] == list(range(1, 161))
    ledger.close()


def test_speed(path):
    """An append takes milliseconds; ten thousand records are read in a fraction of a second."""
    ledger = SqliteLedger(path)
    spent = []
    for _ in range(50):
        start = time.perf_counter()
        ledger.append([draft({"x": list(range(20))})])
        spent.append(time.perf_counter() - start)
    ledger.append([draft({"x": list(range(20))})] * 10_000)
    ledger.close()
    start = time.perf_counter()
    ledger = SqliteLedger(path)
    assert len(ledger.read()) == 10_050
    opened = time.perf_counter() - start
    start = time.perf_counter()
    ledger.read(10_000)
    again = time.perf_counter() - start
    ledger.close()
    # Typically 0.3 ms, 0.07 s and 0.05 ms; the bounds leave room for a busy machine and slow disk.
    assert sorted(spent)[25] < 0.05
    assert opened < 1.5
    assert again < 0.05


def test_records_are_plain_json(path):
    """Another program can read the file: payload and parents are JSON text."""
    ledger = SqliteLedger(path)
    ledger.append([draft("é"), draft({"a": (1, 2)}, 1)])
    ledger.close()
    db = sqlite3.connect(path)
    rows = db.execute("SELECT payload, parents FROM records").fetchall()
    db.close()
    assert [(json.loads(a), json.loads(b)) for a, b in rows] == [
        ({"value": "é"}, []),
        ({"value": {"a": [1, 2]}}, [1]),
    ]
    assert ledger_module.LedgerState(path).problems == ()
