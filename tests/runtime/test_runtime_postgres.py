"""The ledger in PostgreSQL: the contract, many studies, servers that go away, stolen leases."""

from __future__ import annotations

import os
import signal
import threading
import time

import psycopg
import pytest
from postgres_tools import elsewhere, sql
from runtime_tools import child, draft, wait_for

from attain.core.errors import LedgerError
from attain.runtime import postgres, postgres_schema
from attain.runtime.postgres import PostgresLedger, state, studies
from attain.testing.fakes import SimulatedClock
from attain.testing.ledger_suite import check_ledger

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
)

WRITER = """
import sys
from attain.core.types import Draft
from attain.runtime.postgres import PostgresLedger
ledger = PostgresLedger(sys.argv[1], sys.argv[2])
print(ledger.epoch, flush=True)
for line in sys.stdin:
    try:
        ledger.append([Draft("train", "outcome", {"value": line.strip()})])
        print("written", flush=True)
    except Exception as error:
        print(type(error).__name__, error, flush=True)
"""


@pytest.fixture
def study(request):
    return request.node.name


@pytest.fixture
def writer(server, study):
    process = child(WRITER, server.url, study, stdin=True)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def values(ledger):
    return [record.payload["value"] for record in ledger.read()]


def test_keeps_the_contract(server):
    """The ledger in PostgreSQL passes the suite that every ledger must pass."""
    check_ledger(lambda path: PostgresLedger(server.url, str(path)))


def test_many_studies_and_readers(server):
    """Two studies are written at a time, each numbered by itself; readers follow both."""
    writers = [PostgresLedger(server.url, name) for name in ("one", "two")]
    readers = [PostgresLedger(server.url, name, read_only=True) for name in ("one", "two", "two")]
    for number in range(3):
        for offset, ledger in enumerate(writers):
            (record,) = ledger.append([draft(10 * offset + number)])
            assert record.id == number + 1
    assert [values(r) for r in readers] == [[0, 1, 2], [10, 11, 12], [10, 11, 12]]
    with pytest.raises(LedgerError, match="opened to read"):
        readers[0].append([draft()])
    assert {"one", "two"} <= set(studies(server.url))
    for ledger in (*writers, *readers):
        ledger.close()


def test_server_that_crashes_under_a_run(server, study):
    """Killed and started again in the middle of appends: every record is there, once, in order."""
    ledger = PostgresLedger(server.url, study)

    def crash():
        time.sleep(0.3)
        server.stop(crash=True)
        server.start()

    thread = threading.Thread(target=crash)
    thread.start()
    count = 0
    while thread.is_alive() or count < 50:
        (record,) = ledger.append([draft(count)])
        assert record.id == count + 1
        count += 1
    thread.join()
    reader = PostgresLedger(server.url, study, read_only=True)
    assert values(reader) == values(ledger) == list(range(count))
    ledger.close()
    reader.close()


def test_commit_whose_answer_is_lost_is_not_repeated(server, study, monkeypatch):
    """When the connection breaks after the commit, the records are found and not written twice."""
    ledger = PostgresLedger(server.url, study, clock=SimulatedClock())
    write, broken = ledger._write, []

    def commit_and_break(db, new, again):
        found = write(db, new, again)
        if not broken:
            broken.append(again)
            db.close()
            raise psycopg.OperationalError("the connection was lost")
        return found

    monkeypatch.setattr(ledger, "_write", commit_and_break)
    assert [r.id for r in ledger.append([draft(0), draft(1)])] == [1, 2]
    assert broken == [False]
    assert values(ledger) == [0, 1]
    assert ledger.append([draft(2)])[0].id == 3
    ledger.close()


def test_server_that_stays_away_is_said(server, study):
    """After its patience an append gives the reason and a remedy; later it goes on."""
    ledger = PostgresLedger(server.url, study, clock=SimulatedClock(), patience=5)
    ledger.append([draft(0)])
    server.stop(crash=True)
    try:
        with pytest.raises(LedgerError, match=r"cannot be reached .*run"):
            ledger.append([draft(1)])
    finally:
        server.start()
    ledger.append([draft(2)])
    assert values(ledger) == [0, 2]
    ledger.close()


def test_second_process_is_refused_by_name(server, study, writer):
    """A second writer learns who the first is; when that one is killed it is replaced at once."""
    with pytest.raises(LedgerError, match=f"pid {writer.pid} on .* one study has one writer"):
        PostgresLedger(server.url, study)
    assert f"pid {writer.pid}" in state(server.url, study).holder
    writer.kill()
    writer.wait()
    assert "which has died" in state(server.url, study).holder
    PostgresLedger(server.url, study).close()
    assert state(server.url, study).holder == ""


@pytest.mark.parametrize(("silent", "free"), [(20, False), (31, True)])
def test_other_host_is_replaced_after_thirty_seconds(server, study, writer, silent, free):
    """By the server's clock: a holder elsewhere is refused before 30 s of silence, not after."""
    elsewhere(server, study, silent=silent)
    if free:
        PostgresLedger(server.url, study).close()
        return
    with pytest.raises(LedgerError, match="wait 30 s after it has ended"):
        PostgresLedger(server.url, study)


def test_paused_coordinator_can_not_write_after_a_takeover(server, study, writer):
    """Stopped through a takeover and woken again, a process is refused; nothing of it is written.

    It learns who has the study now.
    """
    writer.stdin.write("before\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "written\n"
    os.kill(writer.pid, signal.SIGSTOP)
    elsewhere(server, study, silent=60)
    other = PostgresLedger(server.url, study)
    other.append([draft("other")])
    os.kill(writer.pid, signal.SIGCONT)
    writer.stdin.write("late\n")
    writer.stdin.flush()
    said = writer.stdout.readline()
    assert said.startswith("LedgerError this process was silent for too long and lost the study")
    assert f"pid {os.getpid()}" in said
    assert values(other) == ["before", "other"]
    other.close()


def test_the_database_itself_fences(server, study):
    """SQL from outside can not change, remove or skip a record, nor write under a lost lease."""
    ledger = PostgresLedger(server.url, study)
    ledger.append([draft(0), draft(1)])
    number = ledger._study
    row = "INSERT INTO attain.records VALUES (%s, %s, 'x', 'y', '{}', '[]', 1, %s)"
    for statement, arguments, message in (
        ("UPDATE attain.records SET payload = '{}'", (), "append-only"),
        ("DELETE FROM attain.records", (), "append-only"),
        ("TRUNCATE attain.records", (), "append-only"),
        (row, (number, 4, ledger.epoch), "without a gap"),
        (row, (number, 3, ledger.epoch - 1), "the lease of epoch 0 was lost"),
    ):
        with pytest.raises(psycopg.errors.RaiseException, match=message):
            sql(server, statement, *arguments)
    assert values(ledger) == [0, 1]
    ledger.close()


def test_heartbeat_moves_and_survives_a_lost_connection(server, study, monkeypatch):
    """The lease is refreshed without appends, also after the server has cut all connections."""
    monkeypatch.setattr(postgres, "BEAT_SECONDS", 0.05)
    ledger = PostgresLedger(server.url, study)
    beats = "SELECT beats FROM attain.lease WHERE study = %s"
    for _ in range(2):
        before = sql(server, beats, ledger._study)[0][0]
        wait_for(lambda b=before: sql(server, beats, ledger._study)[0][0] > b + 1)
        sql(server, CUT)
    ledger.append([draft(7)])
    assert values(ledger) == [7]
    ledger.close()


def test_older_tables_are_migrated_and_newer_ones_refused(server, study, monkeypatch):
    """Records outlive a migration; an older attain then says how to upgrade and writes nothing."""
    ledger = PostgresLedger(server.url, study)
    ledger.append([draft(1)])
    ledger.close()
    with monkeypatch.context() as later:
        later.setattr(postgres_schema, "VERSION", 2)
        addition = ("ALTER TABLE attain.study ADD COLUMN note text",)
        later.setitem(postgres_schema.MIGRATIONS, 1, addition)
        with pytest.raises(LedgerError, match="ledger version 1 — `attain run` brings it up"):
            PostgresLedger(server.url, study, read_only=True)
        ledger = PostgresLedger(server.url, study)
        assert values(ledger) == [1]
        ledger.append([draft(2)])
        ledger.close()
    with pytest.raises(LedgerError, match=r"newer attain \(ledger version 2.*reads up to 1\)"):
        PostgresLedger(server.url, study)
    assert "newer attain" in state(server.url, study).problems[0]
    sql(server, "ALTER TABLE attain.study DROP COLUMN note")
    sql(server, "UPDATE attain.version SET version = 1")


def test_damage_is_found(server, study):
    """Records that were removed or altered behind the triggers are named by the examination."""
    ledger = PostgresLedger(server.url, study)
    ledger.append([draft(i) for i in range(3)])
    ledger.close()
    assert state(server.url, study).problems == ()
    assert state(server.url, study).records == 3
    with psycopg.connect(server.url) as db:
        db.execute("ALTER TABLE attain.records DISABLE TRIGGER append_only")
        db.execute("DELETE FROM attain.records WHERE study = %s AND id = 2", (ledger._study,))
        db.execute("UPDATE attain.records SET payload = '{' WHERE study = %s AND id = 3",
                   (ledger._study,))  # fmt: skip
        db.execute("ALTER TABLE attain.records ENABLE TRIGGER append_only")
    missing, unreadable = state(server.url, study).problems
    assert "records are missing" in missing
    assert "cannot be read" in unreadable


def test_what_cannot_be_opened_is_said_without_the_password(server):
    """No server, no database, no study: each with a remedy, and no message shows a secret."""
    for url, study, message in (
        ("postgresql://me:secret@127.0.0.1:1/x", "s", "cannot be reached"),
        (server.url.replace("/attain?", "/nowhere?"), "s", "no such database.*createdb"),
        (server.url, "", "names no study"),
    ):
        with pytest.raises(LedgerError, match=message) as caught:
            PostgresLedger(url, study)
        assert "secret" not in str(caught.value)
    with pytest.raises(LedgerError, match=r"no study at .*#unknown"):
        PostgresLedger(server.url, "unknown", read_only=True)
    assert "no study at" in state(server.url, "unknown").problems[0]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (psycopg.errors.DiskFull, "the server's disk is full .* free some space"),
        (psycopg.errors.ReadOnlySqlTransaction, "only lets us read .* primary"),
        (psycopg.errors.InsufficientPrivilege, "may not do that .* GRANT"),
        (psycopg.errors.LockNotAvailable, "locked .* end that program"),
    ],
)
def test_errors_of_the_server_have_remedies(server, study, monkeypatch, error, message):
    """A full disk, a copy that only reads, rights, locks: said with a remedy, not tried again."""
    ledger = PostgresLedger(server.url, study)
    tries = []

    def fail(db, new, again):
        tries.append(again)
        raise error("as the server says")

    with monkeypatch.context() as broken:
        broken.setattr(ledger, "_write", fail)
        with pytest.raises(LedgerError, match=message):
            ledger.append([draft()])
    assert len(tries) == 1
    assert ledger.append([draft()])[0].id == 1
    ledger.close()
