"""A cluster that exists only in numbers: jobs take simulated time on simulated workers.

With it a study of a hundred thousand trials on a thousand workers runs in minutes, through the same
loop, strategy and ledger as a real one.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from attain.core.errors import EnvironmentProblem, InputError
from attain.core.protocols import Event, Job
from attain.core.types import Status
from attain.testing.fakes import InlineExecutor, SimulatedClock


class SimulatedWorkers:
    """Workers on a simulated clock; keeps `core.protocols.Executor`.

    A job's function is called in this process, once its simulated time has passed. Waiting for news
    costs no time, however far it is.

    Args:
        workers: How many jobs run at a time.
        seconds: How long a job takes in simulated time.
        clock: Advanced by `events`, up to the next job that ends.
        dies: Whether a job's worker dies under it, halfway; it then ends as LOST.
        step: Seconds within which ends arrive together, as on a cluster whose news come in bursts.
    """

    def __init__(
        self,
        workers: int,
        seconds: Callable[[Job], float],
        clock: SimulatedClock | None = None,
        *,
        dies: Callable[[Job], bool] = lambda job: False,
        step: float = 0.0,
    ) -> None:
        self.clock = clock or SimulatedClock()
        self.busy = 0.0
        self._free = workers
        self._seconds, self._dies, self._step = seconds, dies, step
        self._waiting: deque[Job] = deque()
        self._running: list[tuple[float, int, Job, float, Event | None]] = []
        self._ids: set[str] = set()
        self._news: list[Event] = []
        self._order = itertools.count()
        self._closed = False

    def submit(self, job: Job) -> None:
        """Queue a job.

        Args:
            job: With an id that is not under way.

        Raises:
            EnvironmentProblem: After `close`.
            InputError: When a job of that id is under way.
        """
        if self._closed:
            raise EnvironmentProblem("the executor was closed — make a new one")
        if job.id in self._ids:
            raise InputError(f"a job {job.id!r} is still under way")
        self._ids.add(job.id)
        self._waiting.append(job)
        self._start()

    def events(self, timeout: float) -> list[Event]:
        """News; without any, the clock moves on to the next end, or by `timeout`.

        Args:
            timeout: Simulated seconds to wait where nothing is under way.

        Returns:
            Starts, and the ends of one moment or, with `step`, of one burst.
        """
        if not self._news:
            self._advance(max(timeout, 0.0))
        found, self._news = self._news, []
        return found

    def cancel(self, job: str) -> None:
        """End a job now."""
        for waiting in [j for j in self._waiting if j.id == job]:
            self._waiting.remove(waiting)
            self._end(Event(job, "ended", Status.CANCELLED, message="cancelled before it began"))
        for entry in [e for e in self._running if e[2].id == job]:
            self._running.remove(entry)
            heapq.heapify(self._running)
            self._free += 1
            self._end(Event(job, "ended", Status.CANCELLED, message="cancelled"))
        self._start()

    def close(self) -> None:
        """End everything under way; safe to call twice."""
        self._closed = True
        for job in [*self._waiting, *(entry[2] for entry in self._running)]:
            message = "the executor was closed"
            self._end(Event(job.id, "ended", Status.CANCELLED, message=message))
        self._waiting.clear()
        self._running.clear()

    def _start(self) -> None:
        now = self.clock.monotonic()
        while self._waiting and self._free:
            job = self._waiting.popleft()
            self._free -= 1
            self._news.append(Event(job.id, "started"))
            seconds, fate = self._fate(job)
            self.busy += seconds
            heapq.heappush(self._running, (now + seconds, next(self._order), job, seconds, fate))

    def _fate(self, job: Job) -> tuple[float, Event | None]:
        """How long a job takes, and how it ends if not by itself."""
        seconds, limit = self._seconds(job), job.limits.seconds
        if self._dies(job):
            half = seconds / 2
            return half, Event(job.id, "ended", Status.LOST, None, "its node died", half)
        if limit is not None and seconds > limit:
            text = f"stopped after {limit:.1f} s, limit {limit:g} s"
            return limit, Event(job.id, "ended", Status.TIMEOUT, None, text, limit)
        return seconds, None

    def _call(self, job: Job, seconds: float) -> Event:
        inside = InlineExecutor()
        inside.submit(job)
        *told, event = inside.events(0.0)
        self._news += told[1:]  # that it began was said
        return replace(event, seconds=seconds)

    def _advance(self, timeout: float) -> None:
        if not self._running:
            self.clock.sleep(timeout)
            return
        due = self._running[0][0]
        if self._step:
            due += self._step - due % self._step
        self.clock.sleep(due - self.clock.monotonic())
        while self._running and self._running[0][0] <= self.clock.monotonic():
            _, _, job, seconds, fate = heapq.heappop(self._running)
            self._free += 1
            self._end(fate or self._call(job, seconds))
        self._start()

    def _end(self, event: Event) -> None:
        self._ids.discard(event.job)
        self._news.append(event)
