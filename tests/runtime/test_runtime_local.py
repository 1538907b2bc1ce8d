"""Jobs in worker processes: whatever a job does, it ends as one event and the next one runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runtime_tools import alive, job, run, wait_for

from attain.core.errors import EnvironmentProblem, InputError, SpecError
from attain.core.protocols import Limits
from attain.core.types import Status
from attain.runtime.local import LocalExecutor
from attain.testing.executor_suite import check_executor, collect, gather


def test_keeps_the_contract(tmp_path):
    """The built-in executor passes the suite that every executor must pass."""
    check_executor(lambda: LocalExecutor(workers=2, logs=tmp_path))


def test_each_job_has_its_log(executor, tmp_path):
    """What Python, compiled code and stderr print goes to the job's own file, and only there."""
    first = run(executor, "say", text="hello")
    text = Path(first.log).read_text()
    assert text.splitlines() == ["hello", "hello below", "hello aside", "the end"]
    quiet = run(executor, "echo", value=1)
    assert quiet.log == ""
    failed = run(executor, "fail", text="why")
    assert "Traceback" in Path(failed.log).read_text()
    crashed = run(executor, "crash")
    assert "Segmentation fault" in Path(crashed.log).read_text()
    assert Path(first.log).read_text() == text


def test_a_flood_of_output_is_cut_to_a_megabyte(executor):
    """A job that prints 300 MB leaves a file of a megabyte with its beginning and its end."""
    event = run(executor, "say", text="first", flood=300 * 2**20)
    content = Path(event.log).read_bytes()
    assert event.status is Status.DONE
    assert len(content) < 2**20 + 100
    assert content.startswith(b"first\n")
    assert content.endswith(b"the end\n")
    assert b"bytes left out" in content


def test_log_names_are_safe(executor, tmp_path):
    """A job's id never leads outside of the log folder, and different ids never share a file."""
    ids = ("../../escape", ".._.._escape", "a/b", "a_b", "ü" * 300)
    logs = [collect(executor, job(id, "say", text=id))[id][-1].log for id in ids]
    assert len(set(logs)) == 5
    assert {Path(log).parent for log in logs} == {tmp_path / "logs"}


def test_logs_that_cannot_be_written_cost_nothing(tmp_path):
    """A log folder that cannot be made loses the log, never the job."""
    (tmp_path / "file").touch()
    executor = LocalExecutor(workers=1, logs=tmp_path / "file" / "logs")
    event = run(executor, "say", text="hello")
    executor.close()
    assert (event.status, event.log) == (Status.DONE, "")


def test_memory_counts_what_the_job_started(here):
    """Memory of a process that the job started counts against the job's limit."""
    executor = LocalExecutor(workers=1, memory=150 * 2**20)
    event = run(executor, here + "hoard_elsewhere", Limits(seconds=30))
    executor.close()
    assert event.status is Status.MEMORY
    assert "limit 150 MiB" in event.message


def hoard_elsewhere(payload, progress):
    """Fill memory in a process of one's own (called in the worker)."""
    code = "x = b'x' * (400 << 20)\nimport time\ntime.sleep(30)"
    subprocess.run([sys.executable, "-c", code], check=False)


def test_mapped_files_do_not_count_against_the_limit(tmp_path, here):
    """A large file mapped into memory, as workers share data, is no reason to be ended."""
    big = tmp_path / "data.bin"
    big.write_bytes(b"\x01" * (200 << 20))
    executor = LocalExecutor(workers=1, memory=120 * 2**20)
    event = run(executor, here + "read_mapped", path=str(big))
    executor.close()
    assert event.status is Status.DONE, event.message
    assert event.peak_bytes > 200 * 2**20


def read_mapped(payload, progress):
    """Touch every page of a mapped file (called in the worker)."""
    import mmap

    with open(payload["path"], "rb") as file, mmap.mmap(file.fileno(), 0, prot=1) as data:
        total = sum(data[i] for i in range(0, len(data), 4096))
        time.sleep(0.4)
        return total


def test_peak_is_of_the_job_and_not_of_the_worker(executor):
    """A small job after a large one in the same worker reports its own peak."""
    large = run(executor, "hoard", megabytes=120)
    small = run(executor, "echo", value=1)
    assert large.peak_bytes > 120 * 2**20
    assert small.peak_bytes < 90 * 2**20


def test_killing_a_job_ends_what_it_started(executor):
    """Processes that a job started end with it, when it is cancelled and when time is up."""
    executor.submit(job("a", "spawn", seconds=60))
    child = []
    wait_for(lambda: child or child.extend(e.value for e in executor.events(0.1) if e.value))
    assert alive(child[0])
    executor.cancel("a")
    assert gather(executor, "a")["a"][-1].status is Status.CANCELLED
    wait_for(lambda: not alive(child[0]))


def test_jobs_run_in_order_and_beside_each_other(tmp_path, here):
    """The queue is first come, first served; two workers do two jobs at a time."""
    executor = LocalExecutor(workers=2)
    files = [str(tmp_path / name) for name in "ab"]
    for k, (own, other) in enumerate((files, files[::-1])):  # each rests until the other one runs
        executor.submit(job(f"j{k}", "door_jobs:note_begin", file=own, until=other))
    for k in range(2, 6):
        executor.submit(job(f"j{k}", "sleep", seconds=0.05))
    started, ended = [], []
    while len(ended) < 6:
        for event in executor.events(5.0):
            {"started": started, "ended": ended}[event.kind].append(event.job)
    executor.close()
    assert sorted(started[:2]) == ["j0", "j1"]
    assert sorted(started) == sorted(ended) == [f"j{k}" for k in range(6)]


def test_limits_hold_while_the_caller_is_busy(executor):
    """A job's time limit is kept even if nobody asks for events."""
    run(executor, "echo", value=1)
    executor.submit(job("hangs", "sleep", Limits(seconds=0.3), seconds=60))
    pid = executor.pids()[0]
    time.sleep(1.5)
    assert not alive(pid)
    assert gather(executor, "hangs")["hangs"][-1].seconds < 1.2


def test_events_wake_at_once(executor):
    """News arrives within milliseconds, not at the end of a polling interval."""
    run(executor, "echo", value=1)
    spent = []
    for _ in range(20):
        start = time.perf_counter()
        run(executor, "echo", value=1)
        spent.append(time.perf_counter() - start)
    assert sorted(spent)[10] < 0.05


def test_progress_is_limited_to_ten_in_a_second(executor):
    """A job that reports thousands of times costs a few events, and the last one arrives."""
    events = collect(executor, job("p", "tell", values=list(range(400)), pause=0.002))["p"]
    news = [event.value for event in events if event.kind == "progress"]
    seconds = events[-1].seconds
    assert news[0] == 0
    assert news[-1] == 399
    assert len(news) <= seconds * 10 + 2


def test_large_values_travel_both_ways(executor):
    """Payloads and results far larger than a socket's buffer arrive whole."""
    value = os.urandom(20 << 20)
    assert run(executor, "echo", value=value).value == value


def test_functions_of_the_main_script_are_refused_with_the_reason(executor):
    """A call into ``__main__`` ends as FAILED and says to move the function into a module."""
    event = run(executor, "__main__:anything")
    assert event.status is Status.FAILED
    assert "move it to a module" in event.message


def test_same_id_twice_is_refused(executor):
    """A second job of an id under way is refused; after the first has ended it may run."""
    executor.submit(job("a", "sleep", seconds=0.3))
    with pytest.raises(InputError, match="a job 'a' is still under way"):
        executor.submit(job("a", "echo", value=1))
    gather(executor, "a")
    assert collect(executor, job("a", "echo", value=2))["a"][-1].value == 2


def test_closed_executor_refuses_jobs(executor):
    """After close a job is refused with what to do; events returns at once."""
    executor.close()
    with pytest.raises(EnvironmentProblem, match="the executor was closed — make a new one"):
        executor.submit(job("a", "echo", value=1))
    start = time.monotonic()
    assert executor.events(30.0) == []
    assert time.monotonic() - start < 1


def test_arguments_are_checked_together():
    """Every senseless argument is named in one error."""
    with pytest.raises(SpecError, match=r"(?s)workers: must be.*threads: must be.*memory: must be"):
        LocalExecutor(workers=0, threads=-1, memory=0)


def test_stopped_worker_does_not_hold_up_the_others():
    """A worker stopped in the middle of its job keeps neither events nor limits from working."""
    executor = LocalExecutor(workers=2)
    executor.submit(
        job("stopped", "tell", Limits(seconds=1.5), values=["x" * 10**6] * 999, pause=0.01)
    )
    wait_for(lambda: any(e.kind == "progress" for e in executor.events(0.1)))
    pids = executor.pids()
    others = {collect_while(executor, f"w{i}") for i in range(4)}
    (busy,) = set(pids) - others
    os.kill(busy, signal.SIGSTOP)
    assert collect_while(executor, "again") != busy
    events = []
    wait_for(lambda: events.extend(e for e in executor.events(0.1) if e.kind == "ended") or events)
    executor.close()
    assert events[0].status is Status.TIMEOUT


def collect_while(executor, id):
    """Run a job while others go on; the process that did it."""
    executor.submit(job(id, "where"))
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for event in executor.events(0.5):
            if event.job == id and event.kind == "ended":
                return event.value["pid"]
    raise AssertionError("the job did not end")
