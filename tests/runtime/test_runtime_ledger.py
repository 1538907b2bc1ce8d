"""The ledger: every property of the log, and every way in which it can go wrong."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.errors import EnvironmentProblem, Exit, LedgerError
from attain.core.types import Draft
from attain.runtime import lease, schema
from attain.runtime import ledger as ledger_module
from attain.runtime.ledger import SqliteLedger, state
from attain.testing.fakes import SimulatedClock
from attain.testing.ledger_suite import check_ledger

ROOT = Path(lease.__file__).parents[2]


def draft(value=0, *parents):
    return Draft("train", "outcome", {"value": value}, parents)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study" / "ledger.db"


def child(code, *arguments):
    """A Python process that finds attain, with its output as lines."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


HOLD = """
import sys, time
from attain.runtime.ledger import SqliteLedger
ledger = SqliteLedger(sys.argv[1], owner="first")
print("open")
time.sleep(60)
"""


@pytest.fixture
def holder(path):
    process = child(HOLD, path)
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


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


def test_second_process_is_refused_by_name(path, holder):
    """A second writer learns the pid, host and heartbeat of the first; a reader may look on."""
    message = rf"another process \(pid {holder.pid} on .+, heartbeat \d+ s ago\) — one study"
    with pytest.raises(LedgerError, match=message):
        SqliteLedger(path)
    reader = SqliteLedger(path, read_only=True)
    assert reader.read() == ()
    reader.close()
    assert str(holder.pid) in state(path).holder


def test_dead_holder_is_replaced_at_once(path, holder):
    """When the holder is killed the study is free without waiting, and its epoch rises."""
    holder.kill()
    holder.wait()
    assert "which has died" in state(path).holder
    start = time.monotonic()
    ledger = SqliteLedger(path)
    assert time.monotonic() - start < 2
    assert lease.read_holder(ledger._db).epoch == 2
    ledger.close()
    assert state(path).holder == ""


def test_zombie_and_reused_pids_count_as_dead(path):
    """A process that has ended but was not reaped, or another with its pid, holds nothing."""
    process = child("pass")
    process.stdout.read()
    process.stdout.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert lease.process_start(process.pid) == ""
    process.wait()
    assert lease.process_start(os.getpid()) != ""
    SqliteLedger(path).close()
    steal(path, pid=os.getpid(), started="long ago", machine=lease.this_machine())
    SqliteLedger(path).close()


def steal(path, *, pid=4711, started="7", machine="elsewhere/boot/ns", beat=0.0):
    """Write another process into the lease, as if it had taken over."""
    db = sqlite3.connect(path)
    with db:
        db.execute(
            "UPDATE lease SET epoch = epoch + 1, owner = 'other', pid = ?, host = 'elsewhere',"
            " machine = ?, started = ?, beat = ?, beats = beats + 1",
            (pid, machine, started, beat),
        )
    db.close()


def test_other_host_is_replaced_after_thirty_seconds_of_silence(path):
    """A holder on another machine is refused up to 30 s of silence and replaced after it."""
    clock = SimulatedClock()
    SqliteLedger(path, clock=clock).close()
    steal(path, beat=clock.now() - 29)
    with pytest.raises(
        LedgerError, match=r"pid 4711 on elsewhere, heartbeat 29 s ago.*or wait 30 s"
    ):
        SqliteLedger(path, clock=clock)
    clock.sleep(1.0)
    SqliteLedger(path, clock=clock).close()


def test_other_host_with_a_clock_ahead_is_watched(path):
    """Silence that clocks cannot tell is found by watching whether the heartbeat moves."""

    class Alive(SimulatedClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            db = sqlite3.connect(path)
            with db:
                db.execute("UPDATE lease SET beats = beats + 1")
            db.close()

    silent = SimulatedClock()
    SqliteLedger(path, clock=silent).close()
    steal(path, beat=silent.now() + 86_400)
    with pytest.raises(LedgerError, match="pid 4711 on elsewhere"):
        SqliteLedger(path, clock=Alive())
    SqliteLedger(path, clock=silent).close()
    assert silent.monotonic() == lease.SILENT_SECONDS


def test_writer_that_lost_its_lease_can_not_write(path):
    """After a takeover the earlier writer's append is refused and writes nothing."""
    ledger = SqliteLedger(path)
    ledger.append([draft(1)])
    steal(path, beat=time.time())
    with pytest.raises(LedgerError, match=r"lost the study.*pid 4711 on elsewhere"):
        ledger.append([draft(2)])
    assert len(ledger.read()) == 1
    ledger.close()
    assert "other" in state(path).holder  # closing does not give away another's lease


def test_heartbeat_moves_and_survives_a_clock_set_back(path, monkeypatch):
    """The lease is refreshed without appends; a clock set back moves the count, not the beat."""
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.02)
    clock = SimulatedClock()
    ledger = SqliteLedger(path, clock=clock)
    first = lease.read_holder(ledger._db)
    clock.jump(-3600)
    wait_for(lambda: lease.read_holder(ledger._db).beats > first.beats + 2)
    assert lease.read_holder(ledger._db).beat == first.beat
    clock.jump(3700)
    wait_for(lambda: lease.read_holder(ledger._db).beat == first.beat + 100)
    (early,) = ledger.append([draft()])
    clock.jump(-5000)
    (late,) = ledger.append([draft()])
    assert late.at == early.at
    ledger.close()
    assert not [t for t in threading.enumerate() if t.name == "attain-ledger-heartbeat"]


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_forgotten_ledger_gives_the_study_back(path):
    """A ledger that is dropped without close releases its lease."""
    ledger = SqliteLedger(path)
    del ledger
    SqliteLedger(path).close()


def test_forked_child_does_not_give_away_the_lease(path):
    """A fork of the writer that ends does not release its parent's lease."""
    ledger = SqliteLedger(path)
    pid = os.fork()
    if pid == 0:
        ledger._close()
        os._exit(0)
    os.waitpid(pid, 0)
    assert len(ledger.append([draft()])) == 1
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
    with pytest.raises(LedgerError, match="a record that cannot be read"):
        SqliteLedger(path)
    with pytest.raises(LedgerError, match="a record that cannot be read"):
        SqliteLedger(path)  # and the lease was given back, or this would say "is being written"


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


def test_state_of_a_missing_ledger(path):
    """The doctor and readers say that there is no ledger, and make none."""
    assert "there is no ledger" in state(path).problems[0]
    with pytest.raises(LedgerError, match=r"there is no ledger at .* begin one with `attain run`"):
        SqliteLedger(path, read_only=True)
    assert not path.exists()


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


def test_two_processes_race_for_a_new_ledger(path):
    """Of two processes that begin the same study at once exactly one becomes the writer."""
    code = (
        "import sys, time\nfrom attain.runtime.ledger import SqliteLedger\n"
        "from attain.core.errors import LedgerError\n"
        "try:\n    ledger = SqliteLedger(sys.argv[1])\n    print('won', flush=True)\n"
        "    sys.stdin.read()\nexcept LedgerError as error:\n    print('lost', error)\n"
    )
    start = [
        subprocess.Popen(
            [sys.executable, "-c", code, path],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    lines = [process.stdout.readline().split()[0] for process in start]
    for process in start:
        process.communicate()
    assert sorted(lines) == ["lost", "lost", "won"]


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
