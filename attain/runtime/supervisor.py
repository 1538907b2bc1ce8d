"""The supervisor of worker processes: one thread that starts, feeds, watches and ends them.

It waits on all sockets at once, so that a finished worker gets its next job, and the caller its
news, at once; limits hold also while the caller computes something else. Only this thread touches
the workers; callers leave commands.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import pickle
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from attain.core.errors import EnvironmentProblem
from attain.core.protocols import Event
from attain.core.types import Status
from attain.runtime.mailbox import Mailbox
from attain.runtime.process import Start, Task, WorkerProcess

WATCH_SECONDS = 0.1  # between samples of memory while jobs run
DYING_SECONDS = 0.01  # between looks at a process that is about to be gone
BOOT_SECONDS = 120.0  # a cold start from a slow network drive takes tens of seconds
BOOT_ATTEMPTS = 3
MOST_THREADS = 1_000  # of one job; systems run out of them for everybody at some ten thousands
GRACE_SECONDS = 1.0
BRIEF_SECONDS = 1.0  # jobs below this are handed over early: the milliseconds between them count
_NEWEST = 0.2  # weight of the last job among those that say how long jobs take
STUCK_SECONDS = 5.0  # after SIGKILL; only a process inside of a hanging device lives that long


class Supervisor:
    """Workers and the queue before them.

    Args:
        size: How many jobs run at a time.
        threads: CPU threads of each.
        memory: Limit on a job's own resident bytes when it names none.
        mailbox: Where jobs are booked and news go.
        start: How to start a worker.
    """

    def __init__(
        self, size: int, threads: int, memory: int | None, mailbox: Mailbox, start: Start
    ) -> None:
        self._size = size
        self._threads = threads
        self._memory = memory
        self._mailbox = mailbox
        self._start = start
        self._pid = os.getpid()
        self._commands: deque[Callable[[], object]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ, self._hear)
        self._workers: list[WorkerProcess] = []
        self._waiting: deque[Task] = deque()
        self._tickets = itertools.count(1)
        self._usual: float | None = None  # seconds of a job, as the last ones took
        self._warm: list[str] = []
        self._boot_failures = 0
        self._closing = False
        # Workers are started by this thread, as Linux ends them when the thread that did so ends.
        self._thread = threading.Thread(target=self._supervise, name="attain-workers", daemon=True)
        self._thread.start()

    def submit(self, task: Task) -> None:
        """Queue a job that the mailbox has booked."""
        self._command(partial(self._waiting.append, task))

    def cancel(self, job: str) -> None:
        """End a job; nothing happens when it is not under way."""
        self._command(partial(self._cancel, job))

    def warm(self, call: str) -> None:
        """Import a call's module in idle workers, and in all later ones before their first job."""
        self._command(partial(self._warm_up, call))

    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that live."""
        return tuple(w.process.pid for w in list(self._workers) if w.dying is None)

    def close(self) -> None:
        """End everything; safe to call twice, and without effect in a forked child."""
        if os.getpid() != self._pid:
            return
        self._closing = True
        self._command(lambda: None)
        if self._thread is not threading.current_thread():
            self._thread.join(GRACE_SECONDS + STUCK_SECONDS)

    def _command(self, action: Callable[[], object]) -> None:
        self._commands.append(action)
        with contextlib.suppress(OSError):  # full: it will wake anyway; closed: nobody listens
            self._wake.send(b"x")

    # Everything below runs in the supervisor's thread.

    def _supervise(self) -> None:
        status, why = Status.CANCELLED, "the executor was closed"
        try:
            while not self._closing:
                self._step()
        except Exception as error:  # noqa: BLE001 - a caller waiting for events must not hang
            status, why = Status.LOST, f"the supervisor of the workers failed: {error!r}"
        finally:
            self._mailbox.shut()
            self._end_all()
            self._mailbox.end(status, why)

    def _step(self) -> None:
        self._fill()
        self._dispatch()
        for key, mask in self._selector.select(self._patience()):
            key.data(mask)
        while self._commands:
            self._commands.popleft()()
        now = time.monotonic()
        for worker in list(self._workers):
            self._watch(worker, now)
            self._relieve(worker)

    def _patience(self) -> float | None:
        """Seconds until something must be looked at that no socket announces."""
        now = time.monotonic()
        waits = [_next_look(worker, now) for worker in self._workers]
        return min((w for w in waits if w is not None), default=None)

    def _hear(self, mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(4096):
                pass

    def _fill(self) -> None:
        while len(self._taken()) < self._wanted():
            try:
                worker = self._start(self._threads, self._place())
            except EnvironmentProblem as error:
                self._boot_failed(str(error))
                continue
            self._workers.append(worker)
            read = selectors.EVENT_READ
            self._selector.register(worker.channel, read, partial(self._talk, worker))
            self._selector.register(worker.output, read, lambda mask, w=worker: w.drain())
            for call in self._warm:
                self._send(worker, "warm", call)

    def _place(self) -> int:
        """The lowest number that needs a worker, which takes over from one that is still dying."""
        taken = self._taken()
        return next(place for place in itertools.count() if place not in taken)

    def _taken(self) -> set[int]:
        """Places that need no worker; one that died at its start is replaced once it is counted."""
        return {w.place for w in self._workers if w.dying is None or not w.ready}

    def _wanted(self) -> int:
        if not self._boot_failures:
            return self._size
        return min(1, len(self._waiting))  # carefully: one at a time, and only for a job

    def _dispatch(self) -> None:
        for worker in [w for w in self._workers if w.idle]:
            if not self._waiting:
                return
            limit = self._limit(self._waiting[0])
            if limit and worker.jobs and worker.memory(time.monotonic()).held > limit / 2:
                self._kill(worker, None)  # earlier jobs left too much behind; a fresh one follows
                continue
            worker.task, worker.since = self._waiting.popleft(), time.monotonic()
            worker.jobs += 1
            self._hand_over(worker, worker.task)
        for worker in sorted(self._workers, key=_began):  # who began first is likely to end first
            if self._waiting and self._may_have_next(worker, self._waiting[0]):
                worker.next = self._waiting.popleft()
                self._hand_over(worker, worker.next)

    def _may_have_next(self, worker: WorkerProcess, task: Task) -> bool:
        """Whether a job may wait at the door of a worker that is busy with a short one.

        Not one with a limit on memory: what earlier jobs left behind is looked at when they end.
        """
        runs = worker.task is not None and worker.next is None and worker.dying is None
        brief = self._usual is not None and self._usual < BRIEF_SECONDS
        return runs and brief and not _lingers(worker) and self._limit(task) is None

    def _hand_over(self, worker: WorkerProcess, task: Task) -> None:
        task.ticket, task.asked_back = next(self._tickets), False
        wanted, job = task.job.limits.threads, task.job
        threads = wanted if wanted < self._threads else None
        self._send(worker, "job", task.ticket, job.id, job.call, task.payload, threads)

    def _relieve(self, worker: WorkerProcess) -> None:
        """Take back a job that waits behind one that is not short after all."""
        if _lingers(worker):
            self._ask_back(worker)

    def _ask_back(self, worker: WorkerProcess) -> None:
        if worker.next is not None and not worker.next.asked_back and worker.dying is None:
            worker.next.asked_back = True
            self._send(worker, "back", worker.next.ticket)

    def _on_returned(self, worker: WorkerProcess, ticket: int) -> None:
        task = worker.next
        if task is None or task.ticket != ticket:
            return
        worker.next = None
        self._again(task)

    def _again(self, task: Task) -> None:
        """Queue a job that has not begun, before all others."""
        if task.cancelled:
            self._finish(task, Status.CANCELLED, "cancelled before it began")
        else:
            self._waiting.appendleft(task)

    def _limit(self, task: Task) -> int | None:
        own = task.job.limits.bytes
        return self._memory if own is None else own

    def _send(self, worker: WorkerProcess, *message: Any) -> None:
        worker.channel.send(message)
        self._rewire(worker)

    def _rewire(self, worker: WorkerProcess) -> None:
        mask = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.channel.pending else 0)
        if self._selector.get_key(worker.channel).events != mask:
            self._selector.modify(worker.channel, mask, partial(self._talk, worker))

    def _talk(self, worker: WorkerProcess, mask: int) -> None:
        if worker.dying is not None:
            return
        if mask & selectors.EVENT_WRITE:
            worker.channel.flush()
            self._rewire(worker)
        if mask & selectors.EVENT_READ:
            self._obey(worker)
        if worker.channel.ended and worker.dying is None:
            self._let_go(worker)

    def _obey(self, worker: WorkerProcess) -> None:
        for kind, *rest in worker.channel.receive():
            if kind == "ready":
                worker.ready, self._boot_failures = True, 0
                worker.output.mark = rest[0]
            elif kind == "returned":
                self._on_returned(worker, rest[0])
            elif worker.task is not None and worker.task.job.id == rest[0]:
                getattr(self, f"_on_{kind}")(worker, worker.task, *rest[1:])

    def _on_started(self, worker: WorkerProcess, task: Task) -> None:
        task.started = time.monotonic()
        worker.begin(task.started)
        task.peak = worker.memory(task.started).resident
        self._mailbox.post(Event(task.job.id, "started"))
        if task.cancelled and worker.dying is None:
            self._kill(worker, (Status.CANCELLED, "cancelled"))

    def _on_progress(self, worker: WorkerProcess, task: Task, data: bytes) -> None:
        seconds = time.monotonic() - (task.started or 0.0)
        with contextlib.suppress(Exception):  # news that cannot be read are no reason to stop
            value = pickle.loads(data)
            self._mailbox.post(Event(task.job.id, "progress", value=value, seconds=seconds))

    def _on_ended(
        self,
        worker: WorkerProcess,
        task: Task,
        status: str,
        data: bytes,
        message: str,
        seconds: float,
        peak: int,
    ) -> None:
        worker.turn(time.monotonic())
        task.peak = max(task.peak, peak)
        newest = 1.0 if self._usual is None else _NEWEST
        self._usual = newest * seconds + (1.0 - newest) * (self._usual or 0.0)
        value = None
        if data:
            try:
                value = pickle.loads(data)
            except Exception as error:  # noqa: BLE001 - unpickling runs whatever a class defines
                status = Status.FAILED
                message = f"the result of {task.job.call} could not be read back: {error!r}"
        self._finish(task, Status(status), message, value, seconds)
        if status == Status.MEMORY and worker.dying is None:
            if (left := worker.task) is not None:
                worker.task = None
                self._again(left)
            self._kill(worker, None)  # gives back what it holds

    def _finish(
        self,
        task: Task,
        status: Status,
        message: str,
        value: Any = None,
        seconds: float | None = None,
    ) -> None:
        task.log.close()
        if seconds is None:
            seconds = 0.0 if task.started is None else time.monotonic() - task.started
        event = Event(
            task.job.id, "ended", status, value, message, seconds, task.peak, task.log.path
        )
        self._mailbox.finish(task, event)

    def _cancel(self, job: str) -> None:
        for task in [t for t in self._waiting if t.job.id == job]:
            self._waiting.remove(task)
            self._finish(task, Status.CANCELLED, "cancelled before it began")
        for worker in self._workers:
            if worker.task is not None and worker.task.job.id == job and worker.dying is None:
                self._kill(worker, (Status.CANCELLED, "cancelled"))
            if worker.next is not None and worker.next.job.id == job:
                worker.next.cancelled = True
                self._ask_back(worker)

    def _warm_up(self, call: str) -> None:
        if call not in self._warm:
            self._warm.append(call)
            for worker in [w for w in self._workers if w.dying is None and w.task is None]:
                self._send(worker, "warm", call)

    def _watch(self, worker: WorkerProcess, now: float) -> None:
        if worker.dying is not None:
            if worker.process.poll() is not None or now - worker.dying > STUCK_SECONDS:
                self._bury(worker)
            elif not worker.killed and now - worker.dying > GRACE_SECONDS:
                worker.signal(signal.SIGKILL)
        elif worker.process.poll() is not None:
            self._let_go(worker)
        elif (verdict := self._overrun(worker, now)) is not None:
            self._kill(worker, verdict)

    def _overrun(self, worker: WorkerProcess, now: float) -> tuple[Status, str] | None:
        task, deadline = worker.task, _deadline(worker)
        late = deadline is not None and now >= deadline
        if task is None or task.started is None:
            text = f"a worker did not start within {BOOT_SECONDS:.0f} s"
            return (Status.KILLED, text) if late else None
        if late:
            text = f"stopped after {now - task.started:.1f} s, limit {task.job.limits.seconds:g} s"
            return Status.TIMEOUT, text
        if now - worker.sampled < WATCH_SECONDS / 2:
            return None
        worker.sampled = now
        memory, limit = worker.memory(now), self._limit(task)
        task.peak = max(task.peak, memory.resident)
        if limit and memory.held > limit:
            text = f"stopped at {memory.held / 2**20:.0f} MiB, limit {limit / 2**20:.0f} MiB"
            return Status.MEMORY, text
        if (crowd := worker.crowd()) > MOST_THREADS:
            return Status.KILLED, f"stopped at {crowd} threads, limit {MOST_THREADS}"
        return None

    def _kill(self, worker: WorkerProcess, verdict: tuple[Status, str] | None) -> None:
        worker.verdict = verdict
        self._let_go(worker)
        worker.signal(signal.SIGKILL)

    def _let_go(self, worker: WorkerProcess) -> None:
        worker.dying = time.monotonic()
        self._selector.unregister(worker.channel)
        self._selector.unregister(worker.output)

    def _bury(self, worker: WorkerProcess) -> None:
        if worker.verdict is None:
            self._obey(worker)  # what it said last still counts
        worker.drain()
        worker.signal(signal.SIGKILL)  # what the job has started
        self._workers.remove(worker)
        worker.close()
        why = worker.how_it_ended()
        if not worker.ready:
            tail = f"; it printed: {worker.boot_log.tail}" if worker.boot_log.tail else ""
            self._boot_failed((worker.verdict[1] if worker.verdict else why) + tail)
        if worker.next is not None:
            self._again(worker.next)
        task = worker.task
        if task is None:
            return
        if worker.verdict is not None:
            self._finish(task, *worker.verdict)
        elif task.started is not None or task.attempts + 1 >= BOOT_ATTEMPTS:
            self._finish(task, Status.KILLED, why)
        else:  # it died before it could begin; the job deserves another worker
            task.attempts += 1
            self._waiting.appendleft(task)

    def _boot_failed(self, why: str) -> None:
        self._boot_failures += 1
        if self._boot_failures < BOOT_ATTEMPTS or self.pids():  # one that lives may yet do the jobs
            return
        self._boot_failures = BOOT_ATTEMPTS - 1  # a later job may try once more
        while self._waiting:
            self._finish(
                self._waiting.popleft(),
                Status.KILLED,
                f"no worker process could start: {why} — check the Python environment",
            )

    def _end_all(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for worker in self._workers:
                worker.signal(number)
            deadline = time.monotonic() + GRACE_SECONDS
            for worker in self._workers:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    worker.process.wait(max(0.0, deadline - time.monotonic()))
        for worker in self._workers:
            with contextlib.suppress(Exception):  # one broken worker must not keep the others
                if worker.verdict is None:
                    self._obey(worker)
                worker.drain()
            worker.close()
        self._workers.clear()
        self._selector.close()
        self._wake.close()
        self._woken.close()


def _began(worker: WorkerProcess) -> float:
    """When its job began; last of all while it has not."""
    began = worker.task.started if worker.task is not None else None
    return math.inf if began is None else began


def _lingers(worker: WorkerProcess) -> bool:
    """Whether its job takes longer than those do that others may wait behind."""
    return time.monotonic() - _began(worker) > BRIEF_SECONDS


def _deadline(worker: WorkerProcess) -> float | None:
    task = worker.task
    if task is not None and task.started is not None:
        seconds = task.job.limits.seconds
        return None if seconds is None else task.started + seconds
    return worker.since + BOOT_SECONDS if task is not None or not worker.ready else None


def _next_look(worker: WorkerProcess, now: float) -> float | None:
    if worker.dying is not None:
        return DYING_SECONDS
    if worker.idle:
        return None
    deadline = _deadline(worker)
    return WATCH_SECONDS if deadline is None else min(WATCH_SECONDS, max(0.0, deadline - now))
