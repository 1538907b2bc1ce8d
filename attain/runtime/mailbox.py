"""Between the callers of an executor and its supervisor: jobs under way, and news of them."""

from __future__ import annotations

import threading
from collections import deque

from attain.core.errors import EnvironmentProblem, InputError
from attain.core.protocols import Event
from attain.core.types import Status
from attain.runtime.process import Task


class Mailbox:
    """Keeps the promise of exactly one ``ended`` event per job. Safe from any thread."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._events: deque[Event] = deque()
        self._under_way: dict[str, Task] = {}
        self._open = True  # to submissions
        self._done = False  # no event will follow

    def begin(self, task: Task) -> None:
        """Take a job into the books.

        Args:
            task: A new job.

        Raises:
            EnvironmentProblem: When the executor was closed.
            InputError: When a job of that id is still under way.
        """
        with self._news:
            if not self._open:
                raise EnvironmentProblem("the executor was closed — make a new one")
            if task.job.id in self._under_way:
                raise InputError(
                    f"a job {task.job.id!r} is still under way — give every job an id of its own"
                )
            self._under_way[task.job.id] = task

    def post(self, event: Event) -> None:
        """Pass on news of a job that goes on, or that never came under way."""
        with self._news:
            self._events.append(event)
            self._news.notify_all()

    def finish(self, task: Task, event: Event) -> None:
        """Pass on how a job ended, unless it has ended before."""
        with self._news:
            if self._under_way.get(task.job.id) is task:
                del self._under_way[task.job.id]
                self.post(event)

    def take(self, timeout: float) -> list[Event]:
        """All news; waits up to `timeout` seconds for the first, not at all after the end."""
        limit = min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        with self._news:
            self._news.wait_for(lambda: self._events or self._done, limit)
            found = list(self._events)
            self._events.clear()
            return found

    def shut(self) -> None:
        """Refuse further jobs."""
        with self._news:
            self._open = False

    def end(self, status: Status, message: str) -> None:
        """Let everything still under way end in the same way; no event follows.

        Args:
            status: How.
            message: Why.
        """
        with self._news:
            self._open = False
            for task in list(self._under_way.values()):
                task.log.close()
                event = Event(task.job.id, "ended", status, message=message, log=task.log.path)
                self.finish(task, event)
            self._done = True
            self._news.notify_all()
