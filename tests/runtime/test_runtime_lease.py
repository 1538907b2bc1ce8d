"""The lease on a ledger: one process writes, and when it is gone the next one may."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from runtime_tools import ROOT, child, draft, wait_for

from attain.core.errors import LedgerError
from attain.runtime import lease
from attain.runtime.ledger import SqliteLedger, state
from attain.testing.fakes import SimulatedClock

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
