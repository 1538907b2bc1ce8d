"""Jobs in worker processes on this machine."""

from __future__ import annotations

import os
import pickle
import sys
import weakref
from pathlib import Path

from attain.core.errors import EnvironmentProblem, Problem, SpecError
from attain.core.protocols import Event, Job
from attain.core.types import Status
from attain.runtime.joblog import JobLog, log_path
from attain.runtime.mailbox import Mailbox
from attain.runtime.process import Task, start_worker
from attain.runtime.supervisor import Supervisor


class LocalExecutor:
    """Runs jobs in processes of their own, each within its limits; keeps `core.protocols.Executor`.

    A job that raises, hangs, crashes, is killed or takes too much memory ends as an event with a
    status; its worker is replaced and the next job runs. Workers are started as plain programs, so
    nothing is inherited from the caller and its script needs no ``__main__`` guard. They end with
    the caller's process, however that ends.

    How a job ends: DONE with the returned value; FAILED when it raised; TIMEOUT and MEMORY beyond
    its limits, the latter also on MemoryError; CANCELLED by `cancel` and `close`; KILLED when its
    process ended by a signal, by ``os._exit`` or ``sys.exit``, or could not be started.

    Args:
        workers: How many jobs run at a time; their processes are started at once.
        threads: CPU threads that numerical libraries may use in a worker. A job whose own limit is
            lower gets fewer, never more.
        logs: Folder for what jobs print, one file per job that printed something, each of at most
            one megabyte (head and tail); None keeps no files.
        memory: Limit in bytes for jobs that name none. It counts a worker's own resident pages,
            those of the processes it started included, without memory-mapped files.

    Raises:
        SpecError: When an argument makes no sense.
        EnvironmentProblem: On Windows, which cannot hand a socket pair to a new process.
    """

    def __init__(
        self,
        workers: int = 2,
        threads: int = 1,
        logs: Path | str | None = None,
        memory: int | None = None,
    ) -> None:
        _check({"workers": workers, "threads": threads, "memory": 1 if memory is None else memory})
        if os.name != "posix" or not sys.executable:
            raise EnvironmentProblem(
                "worker processes need Linux or macOS and a Python interpreter of their own — on"
                " Windows, use the Windows Subsystem for Linux"
            )
        self._logs = None if logs is None else Path(logs).absolute()
        self._mailbox = Mailbox()
        self._supervisor = Supervisor(workers, threads, memory, self._mailbox, start_worker)
        self._close = weakref.finalize(self, self._supervisor.close)

    def submit(self, job: Job) -> None:
        """Queue a job; first come, first served.

        Args:
            job: Its payload is pickled now, so that later changes to it have no effect.

        Raises:
            EnvironmentProblem: When the executor was closed.
            InputError: When a job of that id is still under way.
        """
        problem, payload = "", b""
        try:
            payload = pickle.dumps(dict(job.payload), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - pickling runs whatever a class defines
            problem = f"the payload cannot be sent to a worker: {type(error).__name__}: {error}"
        if job.call.startswith("__main__:"):
            problem = f"{job.call} is defined in the script that was started — move it to a module"
        path = None if self._logs is None else log_path(self._logs, job.id)
        task = Task(job, payload, JobLog(path))
        self._mailbox.begin(task)
        if problem:
            self._mailbox.finish(task, Event(job.id, "ended", Status.FAILED, message=problem))
        else:
            self._supervisor.submit(task)

    def events(self, timeout: float) -> list[Event]:
        """News since the last call.

        Args:
            timeout: Seconds to wait for the first; the call returns as soon as there is one.

        Returns:
            Oldest first; of each job ``started``, then any ``progress`` (at most ten in a second),
            then exactly one ``ended``. A job that never began has no ``started``.
        """
        return self._mailbox.take(timeout)

    def cancel(self, job: str) -> None:
        """End a job; its ``ended`` event follows with status CANCELLED.

        Args:
            job: Its id; nothing happens when it has ended already.
        """
        self._supervisor.cancel(job)

    def warm(self, call: str) -> None:
        """Import a call's module in workers while they are idle, so that the first job is fast.

        Args:
            call: ``package.module:function``, as in a job.
        """
        self._supervisor.warm(call)

    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that live now."""
        return self._supervisor.pids()

    def close(self) -> None:
        """End everything under way within about two seconds; safe to call twice.

        The ``ended`` events of what was under way can still be taken.
        """
        self._close()


def _check(numbers: dict[str, int]) -> None:
    problems = [
        Problem("must be a whole number, at least 1", repr(value), name, "give a positive number")
        for name, value in numbers.items()
        if isinstance(value, bool) or not isinstance(value, int) or value < 1
    ]
    if problems:
        raise SpecError(problems)
