"""What every executor must do. `check_executor` raises AssertionError with what is broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from attain.core.errors import AttainError
from attain.core.protocols import Event, Executor, Job, Limits
from attain.core.types import Status

PATIENCE = 60.0  # seconds until a job counts as lost; cold starts on a busy machine are slow
_HERE = "attain.testing.jobs:"


def check_executor(factory: Callable[[], Executor], *, isolated: bool = True) -> None:
    """Hold an executor against its contract; takes some seconds.

    Args:
        factory: Makes a new executor.
        isolated: Whether jobs run in processes of their own. False leaves out crashes and limits,
            which an executor within this process cannot survive or enforce.

    Raises:
        AssertionError: When the contract is broken; says how.
    """
    executor = factory()
    try:
        assert isinstance(executor, Executor), f"{type(executor).__name__} lacks a method"
        checks = [_values, _order, _many, _failures, _missing, _unsendable, _waiting, _cancelled]
        checks += (
            [_crashes, _time_limit, _memory_limit, _crowd, _cancel_running] if isolated else []
        )
        for check in checks:
            check(executor)
            _still_works(executor, check.__name__.strip("_"))
    finally:
        executor.close()
    _closing(factory())


def _job(id: str, name: str, limits: Limits = Limits(), **payload: Any) -> Job:  # noqa: B008 - frozen
    return Job(id, name if ":" in name else _HERE + name, payload, limits)


def collect(executor: Executor, *jobs: Job) -> Mapping[str, list[Event]]:
    """Submit jobs and wait until each has ended.

    Args:
        executor: Where.
        *jobs: With ids of their own.

    Returns:
        The events of each job, oldest first.

    Raises:
        AssertionError: When a job does not end in a minute, or there is news of unknown jobs.
    """
    for job in jobs:
        executor.submit(job)
    return gather(executor, *(job.id for job in jobs))


def gather(executor: Executor, *ids: str) -> Mapping[str, list[Event]]:
    """Wait until jobs that were submitted have ended.

    Args:
        executor: Where.
        *ids: Of the jobs.

    Returns:
        The events of each job, oldest first.

    Raises:
        AssertionError: When a job does not end in a minute, or there is news of unknown jobs.
    """
    found: dict[str, list[Event]] = {id: [] for id in ids}
    deadline = time.monotonic() + PATIENCE
    while any(not _ended(events) for events in found.values()):
        missing = [id for id, events in found.items() if not _ended(events)]
        assert time.monotonic() < deadline, f"jobs {missing} did not end within {PATIENCE:.0f} s"
        for event in executor.events(1.0):
            assert event.job in found, f"news of a job that is not under way: {event}"
            assert not _ended(found[event.job]), f"news of a job after it ended: {event}"
            found[event.job].append(event)
    return found


def _ended(events: list[Event]) -> bool:
    return any(event.kind == "ended" for event in events)


def _one(executor: Executor, job: Job) -> Event:
    return collect(executor, job)[job.id][-1]


def _expect(event: Event, status: Status, *words: str) -> None:
    assert event.status == status, (
        f"job {event.job!r} must end as {status}, got {event.status}: {event.message}"
    )
    for word in words:
        assert word in event.message, f"the message of {event.job!r} must name {word!r}: {event}"


def _still_works(executor: Executor, after: str) -> None:
    event = _one(executor, _job(f"after {after}", "echo", value=after))
    assert event.value == after, f"after {after!r} a sound job must still work, got {event}"


def _values(executor: Executor) -> None:
    value = {"x": (1, 2.5, None), "y": ["é", b"\x00"]}
    event = _one(executor, _job("values", "echo", value=value))
    _expect(event, Status.DONE)
    assert event.value == value, f"the returned value must arrive unchanged, got {event.value!r}"
    assert event.seconds >= 0, f"seconds must not be negative, got {event.seconds}"


def _order(executor: Executor) -> None:
    events = collect(executor, _job("order", "tell", values=[1, 2, 3], pause=0.15))["order"]
    kinds = [event.kind for event in events]
    assert kinds[0] == "started", f"started must come first, got {kinds}"
    assert kinds[-1] == "ended", f"ended must come last, got {kinds}"
    news = [event.value for event in events if event.kind == "progress"]
    assert news == [1, 2, 3], f"news 0.15 s apart must all arrive in order, got {news}"
    fast = collect(executor, _job("fast", "tell", values=list(range(2000))))["fast"]
    news = [event.value for event in fast if event.kind == "progress"]
    assert news, "some of fast news must arrive"
    assert news == sorted(news), "news must arrive in order"
    assert news[-1] == 1999, "the last news must arrive before the end"


def _many(executor: Executor) -> None:
    jobs = [_job(f"many {i}", "echo", value=i) for i in range(20)]
    found = collect(executor, *jobs)
    values = [found[job.id][-1].value for job in jobs]
    assert values == list(range(20)), f"each of many jobs must give its own value, got {values}"


def _failures(executor: Executor) -> None:
    _expect(
        _one(executor, _job("raises", "fail", text="no luck")),
        Status.FAILED,
        "ValueError",
        "no luck",
    )
    _expect(_one(executor, _job("leaves", "leave")), Status.KILLED, "3")
    _expect(_one(executor, _job("runs out", "run_out")), Status.MEMORY)


def _missing(executor: Executor) -> None:
    _expect(
        _one(executor, _job("no function", "no_such_function")), Status.FAILED, "no_such_function"
    )
    _expect(
        _one(executor, _job("no module", "no_such_module.x:y")), Status.FAILED, "no_such_module"
    )


def _unsendable(executor: Executor) -> None:
    _expect(_one(executor, _job("result", "unsendable")), Status.FAILED, "lock")
    _expect(_one(executor, _job("payload", "echo", value=threading.Lock())), Status.FAILED, "lock")


def _waiting(executor: Executor) -> None:
    start = time.monotonic()
    assert executor.events(0.0) == [], "without jobs there must be no news"
    assert executor.events(0.2) == [], "without jobs there must be no news"
    spent = time.monotonic() - start
    assert spent < 5.0, f"events(0.2) must return after its timeout, took {spent:.1f} s"


def _cancelled(executor: Executor) -> None:
    jobs = [_job(f"queued {i}", "sleep", seconds=0.05) for i in range(8)]
    for job in jobs:
        executor.submit(job)
    executor.cancel("queued 7")
    executor.cancel("queued 7")
    executor.cancel("never submitted")
    found = gather(executor, *(job.id for job in jobs))
    _expect(found["queued 7"][-1], Status.CANCELLED)
    _expect(found["queued 0"][-1], Status.DONE)


def _crashes(executor: Executor) -> None:
    for name, word in (("vanish", "3"), ("crash", "SIGSEGV"), ("kill_itself", "SIGKILL")):
        _expect(_one(executor, _job(name, name)), Status.KILLED, word)


def _time_limit(executor: Executor) -> None:
    event = _one(executor, _job("hangs", "sleep", Limits(seconds=0.5), seconds=120))
    _expect(event, Status.TIMEOUT, "0.5")
    assert 0.4 < event.seconds < 20, f"seconds must be the time it ran, got {event.seconds}"


def _memory_limit(executor: Executor) -> None:
    limits = Limits(seconds=PATIENCE / 2, bytes=200 * 2**20)
    event = _one(executor, _job("hoards", "hoard", limits, megabytes=4000, pause=0.002))
    _expect(event, Status.MEMORY, "200")
    assert event.peak_bytes > 200 * 2**20, f"the peak must be what it held, got {event.peak_bytes}"


def _crowd(executor: Executor) -> None:
    event = _one(executor, _job("multiplies", "multiply", threads=1500, seconds=120))
    _expect(event, Status.KILLED, "threads")


def _cancel_running(executor: Executor) -> None:
    executor.submit(_job("runs", "sleep", seconds=120))
    events: list[Event] = []
    deadline = time.monotonic() + PATIENCE
    while not events and time.monotonic() < deadline:
        events = executor.events(1.0)
    assert [e.kind for e in events] == ["started"], f"a job must begin by itself, got {events}"
    executor.cancel("runs")
    _expect(gather(executor, "runs")["runs"][-1], Status.CANCELLED)


def _closing(executor: Executor) -> None:
    for number in range(4):
        executor.submit(_job(f"closing {number}", "sleep", seconds=120))
    start = time.monotonic()
    executor.close()
    executor.close()
    spent = time.monotonic() - start
    assert spent < 10, f"close must end what is under way, took {spent:.1f} s"
    ended = [event for event in executor.events(0.0) if event.kind == "ended"]
    ids = sorted(event.job for event in ended)
    wanted = [f"closing {number}" for number in range(4)]
    assert ids == wanted, f"close must end each job under way exactly once, got {ids}"
    for event in ended:
        _expect(event, Status.CANCELLED)
    try:
        executor.submit(_job("late", "echo", value=1))
    except AttainError:
        return
    raise AssertionError("a job after close must be refused with an AttainError")
