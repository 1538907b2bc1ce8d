"""Worker processes: whatever a job does, it ends as one event and the executor goes on."""

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

from attain.core.errors import EnvironmentProblem, InputError, SpecError
from attain.core.protocols import Job, Limits
from attain.core.types import Status
from attain.runtime import local, process, supervisor
from attain.runtime.local import LocalExecutor
from attain.testing.executor_suite import check_executor, collect, gather

JOBS = "attain.testing.jobs:"
ROOT = Path(local.__file__).parents[2]


NO_LIMITS = Limits()


def job(id, name, limits=NO_LIMITS, **payload):
    return Job(id, name if ":" in name else JOBS + name, payload, limits)


@pytest.fixture
def executor(tmp_path):
    made = LocalExecutor(workers=1, logs=tmp_path / "logs")
    yield made
    made.close()


@pytest.fixture
def here(monkeypatch):
    """Make the functions of this file callable as jobs."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    return f"{Path(__file__).stem}:"


def run(executor, name, limits=NO_LIMITS, **payload):
    """The last event of one job."""
    return collect(executor, job(name, name, limits, **payload))[name][-1]


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def test_keeps_the_contract(tmp_path):
    """The built-in executor passes the suite that every executor must pass."""
    check_executor(lambda: LocalExecutor(workers=2, logs=tmp_path))


def test_worker_is_bare_and_deaf_to_interrupts(executor):
    """A worker loads nothing heavy, has the threads it was promised, and ignores SIGINT."""
    found = run(executor, "where").value
    assert found["heavy"] == []
    assert found["threads"] == "1"
    assert found["interrupt"]
    assert found["pid"] in executor.pids()
    os.kill(found["pid"], signal.SIGINT)
    assert run(executor, "where").value["pid"] == found["pid"]


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


def test_jobs_run_in_order_and_beside_each_other():
    """The queue is first come, first served; two workers do two jobs at a time."""
    executor = LocalExecutor(workers=2)
    ids = [f"j{i}" for i in range(6)]
    for id in ids:
        executor.submit(job(id, "sleep", seconds=0.1))
    started = []
    running = most = 0
    ended = 0
    while ended < 6:
        for event in executor.events(5.0):
            running += {"started": 1, "ended": -1}.get(event.kind, 0)
            most = max(most, running)
            started += [event.job] if event.kind == "started" else []
            ended += event.kind == "ended"
    executor.close()
    assert sorted(started[:2]) == ids[:2]
    assert sorted(started) == ids
    assert most == 2


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


def test_progress_is_limited_to_ten_in_a_second(executor):
    """A job that reports thousands of times costs a few events, and the last one arrives."""
    events = collect(executor, job("p", "tell", values=list(range(400)), pause=0.002))["p"]
    news = [event.value for event in events if event.kind == "progress"]
    seconds = events[-1].seconds
    assert news[0] == 0
    assert news[-1] == 399
    assert len(news) <= seconds * 10 + 2


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


def test_workers_that_cannot_start_end_the_job(tmp_path, monkeypatch):
    """When every worker dies at its start the job ends with what it printed, after few tries."""
    started = []

    def broken(threads):
        started.append(threads)
        return process.start_worker(threads)

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
    time.sleep(0.3)
    assert len(started) <= 5
    monkeypatch.undo()
    assert run(executor, "echo", value=3).value == 3  # the environment was repaired
    executor.close()


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

    def failing(threads):
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


def test_large_values_travel_both_ways(executor):
    """Payloads and results far larger than a socket's buffer arrive whole."""
    value = os.urandom(20 << 20)
    assert run(executor, "echo", value=value).value == value


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
    assert not [t for t in threading.enumerate() if t.name == "attain-workers"]


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


def test_interrupt_reaches_the_parent_alone():
    """Ctrl-C raises in the parent and leaves the workers to finish their jobs."""
    script = """
import os, signal, sys
from attain.core.protocols import Job
from attain.runtime.local import LocalExecutor
executor = LocalExecutor(workers=1)
executor.submit(Job("a", "attain.testing.jobs:sleep", {"seconds": 1.0}))
while not any(event.kind == "started" for event in executor.events(5)):
    pass
interrupted = False
while True:
    try:
        if not interrupted:
            print("started", flush=True)
        events = executor.events(5)
    except KeyboardInterrupt:
        interrupted = True
        continue
    if events:
        print(interrupted, events[-1].status.value, flush=True)
        break
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout.readline() == "started\n"
    time.sleep(0.2)  # until it waits
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to the whole foreground group
    assert parent.stdout.readline() == "True done\n"
    parent.wait()
    parent.stdout.close()
