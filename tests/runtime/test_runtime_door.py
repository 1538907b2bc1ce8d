"""Short jobs wait at the doors of busy workers: nothing is lost, mixed up or held up by that."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from runtime_tools import alive, job, wait_for

from attain.core.protocols import Limits
from attain.core.types import Status
from attain.runtime.joblog import JobLog
from attain.runtime.local import LocalExecutor
from attain.runtime.output import Output
from attain.testing.executor_suite import collect, gather

JOBS = "door_jobs:"


@pytest.fixture
def brisk(tmp_path, here):
    """Two workers that are up, and have been seen to do short jobs."""
    made = LocalExecutor(workers=2, logs=tmp_path / "logs")
    files = [str(tmp_path / name) for name in "ab"]
    pairs = zip(files, reversed(files), strict=True)  # each rests until the other one has begun
    collect(made, *(job(own, f"{JOBS}note_begin", file=own, until=other) for own, other in pairs))
    collect(made, *(job(f"short{k}", "echo", value=k) for k in range(30)))
    yield made
    made.close()


def test_each_job_keeps_its_own_words(brisk):
    """Of many jobs that follow each other at once, each log holds what that job printed alone."""
    names = [f"n{k}" for k in range(30)]
    jobs = [job(n, f"{JOBS}shout", who=n, more=k * 999) for k, n in enumerate(names)]
    ended = {name: events[-1] for name, events in collect(brisk, *jobs).items()}
    for k, name in enumerate(names):
        found = sorted(Path(ended[name].log).read_text().splitlines())
        assert found == [f"says {name} " + "é" * k * 999, f"writes {name}"]


def test_workers_hardly_wait_between_short_jobs(brisk):
    """Jobs of 20 ms follow each other although nobody asks for news."""
    began = time.monotonic()
    for k in range(40):
        brisk.submit(job(f"j{k}", "sleep", seconds=0.02))
    time.sleep(0.3)
    ended = gather(brisk, *(f"j{k}" for k in range(40)))
    spent = 2 * (time.monotonic() - began)
    inside = sum(events[-1].seconds for events in ended.values())
    assert all(events[-1].status is Status.DONE for events in ended.values())
    assert inside / spent > 0.5, (inside, spent)


def test_a_job_behind_a_long_one_is_done_elsewhere(brisk, tmp_path):
    """What waits at the door of a worker that takes its time goes to another one."""
    files = [tmp_path / f"f{k}" for k in range(4)]
    seconds = (30.0, 0.2, 0.0, 0.0)
    for k, file in enumerate(files):
        payload = {"file": str(file), "seconds": seconds[k]}
        brisk.submit(job(f"w{k}", f"{JOBS}note_begin", **payload))
    ended = {}
    while len(ended) < 3:
        ended |= {e.job: e for e in brisk.events(20.0) if e.kind == "ended"}
    assert {ended[f"w{k}"].value for k in (1, 2, 3)} == {int(files[1].read_text())}
    assert files[0].read_text() != files[1].read_text()
    brisk.cancel("w0")
    assert gather(brisk, "w0")["w0"][-1].status is Status.CANCELLED


def test_a_job_at_the_door_can_be_cancelled(brisk, tmp_path):
    """It never begins, and the others are not touched."""
    files, go = [tmp_path / f"f{k}" for k in range(4)], tmp_path / "go"
    for k, file in enumerate(files):
        payload = {"file": str(file), "until": str(go)}
        brisk.submit(job(f"w{k}", f"{JOBS}note_begin", **payload))
    wait_for(lambda: files[0].exists() and files[1].exists())
    brisk.cancel("w2")
    brisk.cancel("w3")
    ended = {}
    while len(ended) < 2:
        ended |= {e.job: e.status for e in brisk.events(20.0) if e.kind == "ended"}
    go.touch()
    assert ended == {"w2": Status.CANCELLED, "w3": Status.CANCELLED}
    while len(ended) < 4:
        ended |= {e.job: e.status for e in brisk.events(20.0) if e.kind == "ended"}
    assert ended["w0"] is ended["w1"] is Status.DONE
    assert not files[2].exists()
    assert not files[3].exists()


def test_a_late_cancel_ends_the_job_that_has_begun(brisk):
    """Jobs at doors begin while they are being cancelled: each ends, either way, once."""
    for turn in range(5):
        names = [f"c{turn}-{k}" for k in range(8)]
        for name in names:
            brisk.submit(job(name, "sleep", seconds=0.01))
        time.sleep(0.005 * turn)
        for name in names:
            brisk.cancel(name)
        found = gather(brisk, *names)
        ends = [e.status for events in found.values() for e in events if e.kind == "ended"]
        assert len(ends) == 8
        assert set(ends) <= {Status.DONE, Status.CANCELLED}
    assert collect(brisk, job("after", "echo", value=7))["after"][-1].value == 7


@pytest.mark.parametrize("call", ["kill_itself", "exhaust", "hang"])
def test_what_ends_a_worker_spares_the_job_at_its_door(brisk, call):
    """A crash, memory that ran out, or a limit ends one job; the next ones run in fresh workers."""
    name = f"{JOBS}exhaust" if call == "exhaust" else "sleep" if call == "hang" else call
    bad = [job(f"b{k}", name, Limits(seconds=0.3), seconds=60) for k in range(2)]
    good = [job(f"g{k}", "echo", value=k) for k in range(6)]
    pids = brisk.pids()
    ended = {id: events[-1] for id, events in collect(brisk, *bad, *good).items()}
    how = {"kill_itself": Status.KILLED, "exhaust": Status.MEMORY, "hang": Status.TIMEOUT}[call]
    assert [ended[f"b{k}"].status for k in range(2)] == [how] * 2
    assert [ended[f"g{k}"].value for k in range(6)] == list(range(6))
    wait_for(lambda: not any(map(alive, pids)))


def test_output_is_split_at_marks(tmp_path):
    """However the pipe cuts it: marks are found whole, and what looks like one is kept."""
    mark = b"\0abcd\0"
    stream = b"one\0abc" + mark + mark + b"three" + mark + b"four"
    for size in range(1, len(stream)):
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        output, logs = Output(reader), [JobLog(tmp_path / f"{size}-{k}") for k in range(4)]
        output.mark = mark
        at = 0
        for start in range(0, len(stream), size):
            os.write(writer, stream[start : start + size])
            output.drain(logs[at])
            while at < 3 and stream[: start + size].count(mark) > at:
                output.turn(logs[at])
                at += 1
        os.close(writer)
        output.close(logs[at])
        for log in logs:
            log.close()
        texts = [Path(log.path).read_bytes() if log.path else b"" for log in logs]
        assert texts == [b"one\0abc", b"", b"three", b"four"], size
