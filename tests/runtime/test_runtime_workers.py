"""The worker processes themselves: how they start, idle, are replaced, and always end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from runtime_tools import ROOT, alive, job, run, wait_for

from attain.core.errors import EnvironmentProblem
from attain.core.protocols import Limits
from attain.core.types import Status
from attain.runtime import local, process, supervisor
from attain.runtime.local import LocalExecutor
from attain.testing.executor_suite import collect


def test_worker_is_bare_and_deaf_to_interrupts(executor):
    """A worker loads nothing heavy, has the threads it was promised, and ignores SIGINT."""
    found = run(executor, "where").value
    assert found["heavy"] == []
    assert found["threads"] == "1"
    assert found["interrupt"]
    assert found["pid"] in executor.pids()
    os.kill(found["pid"], signal.SIGINT)
    assert run(executor, "where").value["pid"] == found["pid"]


def place(payload, progress):
    """The number of the worker (called there, not here)."""
    progress(int(os.environ["ATTAIN_PLACE"]))
    time.sleep(payload.get("seconds", 0.2))
    return int(os.environ["ATTAIN_PLACE"]), os.getpid()


def test_each_worker_has_a_place_of_its_own_and_the_next_one_takes_it_over(here):
    """So that workers take the GPUs of a machine in turn, also after one of them was killed."""
    executor = LocalExecutor(workers=2)

    def seen(name):
        pair = [job(f"{name}{i}", here + "place") for i in range(2)]
        return dict(found[-1].value for found in collect(executor, *pair).values())

    first = seen("first")
    assert set(first) == {0, 1}
    os.kill(first[1], signal.SIGKILL)
    wait_for(lambda: first[1] not in executor.pids())
    assert _with_both(seen, "died")[1] != first[1]
    for attempt in range(3):  # one that is ended here is still dying when the next one starts
        executor.submit(job(f"long{attempt}", here + "place", seconds=60))
        wait_for(lambda: any(event.kind == "progress" for event in executor.events(0.1)))
        executor.cancel(f"long{attempt}")
        wait_for(lambda: any(event.kind == "ended" for event in executor.events(0.1)))
        assert set(_with_both(seen, f"ended{attempt}-")) == {0, 1}
    executor.close()


def _with_both(seen, name):
    """Who has which place, once the worker that follows is up and gets a job."""
    found = {}
    for attempt in range(200):
        found |= seen(f"{name}{attempt}-")
        if len(found) == 2:
            break
    return found


def test_threads_are_limited_in_loaded_libraries(here):
    """The executor's threads set the environment; a job with a lower limit gets no more."""
    executor = LocalExecutor(workers=1, threads=2)
    executor.warm("numpy:array")
    assert run(executor, "where", Limits(threads=2)).value["threads"] == "2"
    for asked, given in ((2, 2), (1, 1), (9, 2)):
        found = run(executor, here + "pool_sizes", Limits(threads=asked)).value
        assert found == [min(given, os.cpu_count())]
    executor.close()


def pool_sizes(payload, progress):
    """Threads of each numerical library in the worker (called there, not here)."""
    from threadpoolctl import threadpool_info

    return sorted({pool["num_threads"] for pool in threadpool_info()})


def test_idle_executor_uses_no_processor(executor):
    """While nothing runs, neither the supervisor nor the workers wake up."""
    run(executor, "echo", value=1)
    time.sleep(0.3)
    start = time.process_time()
    worker = psutil.Process(executor.pids()[0])
    before = sum(worker.cpu_times()[:2])
    executor.events(0.5)
    assert time.process_time() - start < 0.05
    assert sum(worker.cpu_times()[:2]) - before < 0.05


def test_warm_imports_before_the_first_job(executor):
    """A warmed module is loaded in idle workers, and in the workers that replace killed ones."""
    executor.warm("numpy:array")
    executor.warm("no_such_module:thing")
    assert run(executor, "where").value["heavy"] == ["numpy"]
    run(executor, "vanish")
    assert run(executor, "where").value["heavy"] == ["numpy"]


def test_streams_are_restored_between_jobs(tmp_path, here):
    """A job that closes stdout or leaves the folder does not spoil the next one."""
    executor = LocalExecutor(workers=1, logs=tmp_path)
    before = run(executor, here + "folder").value
    run(executor, here + "spoil")
    said = run(executor, "say", text="still here")
    assert "still here" in Path(said.log).read_text()
    assert run(executor, here + "folder").value == before
    executor.close()


def spoil(payload, progress):
    """Close the output and change the folder (called in the worker)."""
    sys.stdout.close()
    os.close(1)
    os.chdir("/")


def folder(payload, progress):
    """The working folder (called in the worker)."""
    return os.getcwd()


@pytest.mark.parametrize("looks", [0, 30])
def test_workers_that_cannot_start_end_the_job(tmp_path, monkeypatch, looks):
    """When every worker dies at its start the job ends with what it printed, after few tries.

    Both first workers count; a third is tried for the first job, and one for each later job: also
    when the system tells of a death only after many looks.
    """
    started = []

    def broken(threads, place):
        worker = process.start_worker(threads, place)
        started.append(worker)
        poll, late = worker.process.poll, [None] * looks
        worker.process.poll = lambda: late.pop() if late else poll()
        return worker

    boot = "import sys; sys.exit('no module named something')"
    monkeypatch.setattr(process, "_BOOT", boot)
    monkeypatch.setattr(local, "start_worker", broken)
    executor = LocalExecutor(workers=2, logs=tmp_path)
    for number in (1, 2):
        event = collect(executor, job(f"j{number}", "echo", value=1))[f"j{number}"][-1]
        assert event.status is Status.KILLED
        assert "no worker process could start" in event.message
        assert "no module named something" in event.message
        assert "exit code 1" in event.message
    assert len(started) == supervisor.BOOT_ATTEMPTS + 1
    monkeypatch.undo()
    assert run(executor, "echo", value=3).value == 3  # the environment was repaired
    executor.close()


def test_a_worker_that_is_still_starting_may_do_the_job(monkeypatch):
    """Three workers that die at their start end no job as long as a fourth may come up."""
    numbers = iter(range(9))
    boot = process._BOOT

    def mostly_broken(threads, place):
        good = next(numbers) == 0
        monkeypatch.setattr(
            process, "_BOOT", f"import time; time.sleep(1); {boot}" if good else "x"
        )
        return process.start_worker(threads, place)

    monkeypatch.setattr(local, "start_worker", mostly_broken)
    executor = LocalExecutor(workers=4)
    event = run(executor, "echo", value=1)
    executor.close()
    assert (event.status, event.value) == (Status.DONE, 1)


def test_system_that_cannot_start_processes(monkeypatch):
    """An operating system out of processes ends the job with its message."""
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    executor = LocalExecutor(workers=1)
    event = run(executor, "echo", value=1)
    executor.close()
    assert event.status is Status.KILLED
    assert "No such file or directory" in event.message


def test_worker_that_hangs_at_its_start(monkeypatch):
    """A worker that never reports is ended after a while, and the job says so."""
    monkeypatch.setattr(supervisor, "BOOT_SECONDS", 0.2)
    monkeypatch.setattr(process, "_BOOT", "import time; time.sleep(60)")
    executor = LocalExecutor(workers=1)
    event = run(executor, "echo", value=1)
    executor.close()
    assert event.status is Status.KILLED
    assert "did not start within" in event.message


def test_supervisor_that_fails_does_not_hang_the_caller(monkeypatch):
    """Should the supervisor itself fail, jobs end as LOST and later ones are refused."""

    def failing(threads, place):
        raise RuntimeError("a fault in attain")

    monkeypatch.setattr(local, "start_worker", failing)
    executor = LocalExecutor(workers=1)
    with contextlib.suppress(EnvironmentProblem):
        executor.submit(job("a", "echo", value=1))
        assert executor.events(10.0)[0].status is Status.LOST
    with pytest.raises(EnvironmentProblem, match="closed"):
        executor.submit(job("b", "echo", value=1))
    executor.close()


def test_idle_workers_that_die_are_replaced(executor):
    """A worker killed between jobs costs no job."""
    run(executor, "echo", value=1)
    for number in range(3):
        (pid,) = executor.pids()
        os.kill(pid, signal.SIGKILL)
        assert run(executor, "echo", value=number).value == number


def test_close_ends_stubborn_workers(here):
    """A job that ignores SIGTERM is killed; close takes about two seconds at most."""
    executor = LocalExecutor(workers=1)
    executor.submit(job("a", here + "ignore_the_end"))
    wait_for(lambda: any(e.kind == "progress" for e in executor.events(0.1)))
    (pid,) = executor.pids()
    start = time.monotonic()
    executor.close()
    assert time.monotonic() - start < 3
    assert not alive(pid)
    assert executor.events(0)[-1].status is Status.CANCELLED


def ignore_the_end(payload, progress):
    """Ignore SIGTERM (called in the worker)."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    progress("deaf")
    time.sleep(60)


def test_forgotten_executor_ends_its_workers():
    """An executor that is dropped without close leaves no process and no thread."""
    executor = LocalExecutor(workers=1)
    run(executor, "echo", value=1)
    pids = executor.pids()
    del executor
    wait_for(lambda: not any(map(alive, pids)))
    wait_for(lambda: not [t for t in threading.enumerate() if t.name == "attain-workers"])


SCRIPT = """
import sys, time
from attain.core.protocols import Job
from attain.runtime.local import LocalExecutor
executor = LocalExecutor(workers=3)
for number in range(3):
    executor.submit(Job(str(number), "attain.testing.jobs:" + sys.argv[1], {"seconds": 60}))
started = 0
while started < 3:
    started += sum(event.kind == "started" for event in executor.events(5))
print(*executor.pids(), flush=True)
if sys.argv[2] == "wait":
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("call", "end"), [("sleep", signal.SIGKILL), ("hold_the_lock", signal.SIGKILL), ("sleep", None)]
)
def test_no_worker_outlives_its_parent(call, end):
    """A parent that is killed, or ends without close and without a guard, leaves no worker.

    `hold_the_lock` sits in compiled code and never lets Python run: the kernel ends it.
    """
    if call == "hold_the_lock" and sys.platform != "linux":
        pytest.skip("only Linux tells a process of its parent's death")
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, call, "wait" if end else "leave"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    pids = list(map(int, parent.stdout.readline().split()))
    assert len(pids) == 3
    if end:
        assert all(map(alive, pids))
        parent.send_signal(end)
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: not any(map(alive, pids)), seconds=2.0)


def test_interrupt_reaches_the_parent_alone(tmp_path):
    """Ctrl-C raises in the parent and leaves the workers to finish their jobs."""
    script = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
from attain.core.protocols import Job
from attain.runtime.local import LocalExecutor
executor = LocalExecutor(workers=1)
executor.submit(Job("a", "attain.testing.jobs:wait", {"path": sys.argv[1]}))
while not any(event.kind == "started" for event in executor.events(5)):
    pass
events = ()
while not events:
    try:
        print("waits", flush=True)
        events = executor.events(60)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
print(events[-1].status.value, events[-1].value, flush=True)
"""
    go_on = tmp_path / "go on"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(go_on)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout.readline() == "waits\n"
    time.sleep(0.2)  # until it does
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
    assert parent.stdout.readline() == "interrupted\n"
    go_on.touch()  # only now can the job end
    assert parent.stdout.readline() == "waits\n"
    assert parent.stdout.readline() == "done found\n"
    parent.wait()
    parent.stdout.close()
