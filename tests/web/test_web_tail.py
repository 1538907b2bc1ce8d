"""Following a ledger, and telling whether its run is alive."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import web_studies as world

from attain.core.errors import LedgerError
from attain.core.types import Draft
from attain.runtime import lease
from attain.runtime.ledger import SqliteLedger
from attain.web import pulse
from attain.web.index import Index
from attain.web.tail import BATCH, Tail


def drafts(count):
    return [Draft("study", "note", {"n": i}) for i in range(count)]


def test_each_record_is_read_once(tmp_path):
    """Bites are in order, none is missed, none comes twice, also while a run writes."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.append(drafts(BATCH + 3))
    tail = Tail(tmp_path / "ledger.db")
    seen = [*tail.bite().records, *tail.bite().records, *tail.bite().records]
    ledger.append(drafts(2))
    seen += tail.bite().records
    assert [r.id for r in seen] == list(range(1, BATCH + 6))
    assert tail.bite().records == ()
    tail.close()
    ledger.close()


def test_a_look_says_whether_anything_was_written(tmp_path):
    """Without news a look is free; a record and a heartbeat are news."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    tail = Tail(tmp_path / "ledger.db")
    assert tail.changed()
    assert not tail.changed()
    ledger.append(drafts(1))
    assert tail.changed()
    lease.touch(ledger._db, ledger._epoch, time.time())
    assert tail.changed()
    assert not tail.changed()
    tail.close()
    ledger.close()


def test_the_ledger_cannot_be_written_through_a_tail(tmp_path):
    """Whatever the dashboard does, the run's records stay as they are."""
    world.write(tmp_path, world.searching(3))
    tail = Tail(tmp_path / "ledger.db")
    for statement in ("DELETE FROM records", "UPDATE lease SET beat = 0", "CREATE TABLE x (y)"):
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            tail._db.execute(statement)
    tail.close()


def test_a_writer_never_waits_for_readers(tmp_path):
    """Ten open tails with a read behind them do not make an append wait."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.append(drafts(50))
    tails = [Tail(tmp_path / "ledger.db") for _ in range(10)]
    for tail in tails:
        tail.bite()
    began = time.perf_counter()
    for _ in range(20):
        ledger.append(drafts(1))
    assert time.perf_counter() - began < 5
    for tail in tails:
        assert len(tail.bite().records) == 20
        tail.close()
    ledger.close()


def test_a_ledger_without_its_reader_is_whole_in_one_file(tmp_path):
    """What a run wrote is in ledger.db itself when it ends, though a dashboard holds it open."""
    ledger = SqliteLedger(tmp_path / "ledger.db")
    tail = Tail(tmp_path / "ledger.db")
    ledger.append(drafts(30))
    tail.bite()
    ledger.close()
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "ledger.db"
    copy.write_bytes((tmp_path / "ledger.db").read_bytes())
    assert len(Tail(copy).bite().records) == 30
    tail.close()


def test_one_torn_record_does_not_hide_the_others(tmp_path):
    """A payload that is no JSON is named and passed over; one of the wrong shape, too."""
    world.write(tmp_path, world.searching(3))
    db = world.reopen(tmp_path)
    last = db.execute("SELECT max(id) FROM records").fetchone()[0]
    for i, text in enumerate(("{", json.dumps({"trial": 5}), "[]", "null"), 1):
        row = (last + i, "strategy", "trial", text, "[]", 0)
        db.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", row)
    db.close()
    tail, index = Tail(tmp_path / "ledger.db"), Index()
    bite = tail.bite()
    for record in bite.records:
        index.add(record)
    tail.close()
    assert bite.bad == (last + 1,)
    assert index.bad == [last + 2, last + 3, last + 4]
    assert index.searched == 3


def test_a_study_begun_anew_is_noticed(tmp_path):
    """A ledger that was removed or replaced is not read on."""
    world.write(tmp_path, [])
    tail = Tail(tmp_path / "ledger.db")
    assert not tail.replaced()
    for file in tmp_path.glob("ledger.db*"):
        file.unlink()
    assert tail.replaced()
    world.write(tmp_path, [])
    assert tail.replaced()
    tail.close()


@pytest.mark.parametrize("content", [None, b"", b"no database", b"SQLite format 3\x00" + b"x" * 99])
def test_what_is_no_ledger_is_told_so(tmp_path, content):
    """A missing, empty, foreign or damaged file gives a sentence with a remedy."""
    if content is not None:
        (tmp_path / "ledger.db").write_bytes(content)
    with pytest.raises(LedgerError, match=r"attain run|restore|version"):
        Tail(tmp_path / "ledger.db")


def holder(**changes):
    """A living run of this very process."""
    now = {
        "epoch": 3, "owner": "attain", "pid": os.getpid(), "host": "here",
        "machine": lease.this_machine(), "started": lease.process_start(os.getpid()),
        "beat": 1000.0, "beats": 7,
    }  # fmt: skip
    return lease.Holder(**{**now, **changes})


@pytest.mark.parametrize(
    ("changes", "now", "state", "missing", "words"),
    [
        ({}, 1002, "running", False, "running as process"),
        ({}, 1020, "running", True, "late by 20 s"),
        ({}, 1040, "silent", True, "no heartbeat for 40 s"),
        ({"machine": "elsewhere"}, 1040, "silent", True, "no heartbeat for 40 s"),
        ({"machine": "elsewhere"}, 1010, "running", False, "running"),
        ({"started": "1"}, 1125, "died", True, "2 min ago"),
        ({"owner": ""}, 1125, "stopped", False, "nobody is running"),
        ({}, 900, "running", False, "running as process"),
    ],
)
def test_the_state_of_a_run(changes, now, state, missing, words):
    """Alive, late, silent, dead and given back are told apart, with for how long."""
    found = pulse.take(holder(**changes), Index(), now)
    assert (found.state, found.missing) == (state, missing)
    assert words in found.text.replace("\u00a0", " ")
    assert found.epoch == 3


def test_an_end_is_told_from_a_stop(tmp_path):
    """A study that has ended says so; one that was interrupted gives its reason."""
    index = Index()
    for record in world.studies.complete():
        index.add(record)
    assert pulse.take(holder(owner=""), index, 0).state == "ended"
    end = next(r for r in world.studies.complete() if r.kind == "ended")
    index.add(replace(end, id=end.id + 1, payload={**end.payload, "reason": "unlikely"}))
    assert pulse.take(holder(owner=""), index, 0).text == "more trials were unlikely to help"
    index = Index()
    for record in world.studies.interrupted():
        index.add(record)
    found = pulse.take(holder(owner=""), index, 0)
    assert found.state == "stopped"


def test_a_killed_run_is_seen_to_have_died(tmp_path):
    """After SIGKILL of a real writer its records are read, and the dashboard says that it died."""
    script = (
        "import sys, time\n"
        "from attain.runtime.ledger import SqliteLedger\n"
        "from attain.core.types import Draft\n"
        f"ledger = SqliteLedger({str(tmp_path / 'ledger.db')!r})\n"
        "ledger.append([Draft('study', 'note', {})])\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    run = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert run.stdout.readline() == "ready\n"
    tail = Tail(tmp_path / "ledger.db")
    assert pulse.take(tail.holder(), Index(), time.time()).state == "running"
    run.kill()
    run.wait()
    run.stdout.close()
    assert pulse.take(tail.holder(), Index(), time.time()).state == "died"
    assert len(tail.bite().records) == 1
    tail.close()
