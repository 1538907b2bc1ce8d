"""A worker as its supervisor sees it: start, talk, listen, measure, end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psutil

from attain.core.errors import EnvironmentProblem
from attain.core.protocols import PLACE_VARIABLE, Job
from attain.core.types import Status
from attain.runtime.channel import Channel
from attain.runtime.joblog import JobLog
from attain.runtime.output import Output

CHILDREN_SECONDS = 1.0

# -P and the parent's own search path: the worker finds exactly the modules that the parent finds,
# and nothing that happens to lie in the working folder.
_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[3]);"
    " from attain.runtime.worker import main; main(int(sys.argv[1]), int(sys.argv[2]))"
)

_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
)

_PATIENT = {"OMP_WAIT_POLICY": "passive"}
"""Threads that wait for each other sleep: where others compute, too, two that spin take many times
as long as one. The user's own setting goes before."""


@dataclass(eq=False)
class Task:
    """A job on its way.

    Attributes:
        job: What was submitted.
        payload: Its payload as pickled when it was submitted.
        log: What it printed.
        attempts: Workers that died before they could begin it.
        ticket: Number of its handing over to a worker.
        asked_back: Whether the worker at whose door it waits was asked to give it back.
        cancelled: Whether it shall not begin.
        started: When it began (monotonic seconds), or None.
        peak: Largest resident memory sampled, in bytes.
    """

    job: Job
    payload: bytes
    log: JobLog
    attempts: int = 0
    ticket: int = 0
    asked_back: bool = False
    cancelled: bool = False
    started: float | None = None
    peak: int = 0


@dataclass(frozen=True)
class Memory:
    """What a worker and the processes it started occupy.

    Attributes:
        resident: All pages in memory, in bytes, files mapped into it included.
        held: The part that is its own. Pages of mapped files are shared by all workers and can be
            dropped by the kernel at any time, so limits apply to this part.
    """

    resident: int
    held: int


@dataclass(eq=False)
class WorkerProcess:
    """One worker process; only the supervisor's thread touches it.

    Attributes:
        process: The process, leader of its own session and group.
        channel: Messages to and from it.
        output: Its stdout and stderr.
        since: When it was started or given its job (monotonic seconds).
        place: Its number among the workers that run at a time; decides which GPU it takes.
        ready: Whether it has said that it is up.
        jobs: Jobs it was given.
        task: The one it has now.
        next: The one that it begins by itself when that has ended.
        verdict: Why the supervisor ended it, if the supervisor did.
        dying: When it was ended or found dead (monotonic seconds).
        killed: Whether it was sent SIGKILL.
        sampled: When its memory was last looked at (monotonic seconds).
        boot_log: What it printed outside of jobs.
    """

    process: subprocess.Popen[bytes]
    channel: Channel
    output: Output
    since: float
    place: int = 0
    ready: bool = False
    jobs: int = 0
    task: Task | None = None
    next: Task | None = None
    verdict: tuple[Status, str] | None = None
    dying: float | None = None
    killed: bool = False
    sampled: float = 0.0
    boot_log: JobLog = field(default_factory=JobLog)
    _children: list[psutil.Process] = field(default_factory=list)
    _children_at: float = 0.0

    @property
    def idle(self) -> bool:
        """Whether it can be given a job."""
        return self.ready and self.task is None and self.dying is None

    @property
    def log(self) -> JobLog:
        """Where what it prints belongs."""
        return self.task.log if self.task is not None else self.boot_log

    def drain(self) -> None:
        """Take what it printed, at most a few megabytes so that a flood cannot hold us up."""
        self.output.drain(self.log)

    def turn(self, now: float) -> None:
        """Note that its job has ended and that it goes on with the one at its door, if any.

        Args:
            now: Monotonic seconds.
        """
        self.output.turn(self.log)
        self.task, self.next, self.since = self.next, None, now
        self.jobs += self.task is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to everything it started within its group."""
        self.killed = self.killed or number == signal.SIGKILL
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def begin(self, now: float) -> None:
        """Note that its job runs now; what an earlier one started no longer counts.

        Args:
            now: Monotonic seconds.
        """
        self._children, self._children_at = [], now

    def memory(self, now: float) -> Memory:
        """What it and its children occupy now.

        Args:
            now: Monotonic seconds; children are looked up once a second.

        Returns:
            Zeros once it is gone.
        """
        if now - self._children_at >= CHILDREN_SECONDS:
            self._children_at = now
            with contextlib.suppress(psutil.Error):
                self._children = psutil.Process(self.process.pid).children(recursive=True)
        resident = held = 0
        with contextlib.suppress(psutil.Error):
            for process in (psutil.Process(self.process.pid), *self._children):
                with contextlib.suppress(psutil.Error):
                    info = process.memory_info()
                    resident += info.rss
                    held += info.rss - getattr(info, "shared", 0)
        return Memory(resident, held)

    def crowd(self) -> int:
        """Threads of it and of the processes that it started, as last looked up; 0 once gone."""
        count = 0
        with contextlib.suppress(psutil.Error):
            for process in (psutil.Process(self.process.pid), *self._children):
                with contextlib.suppress(psutil.Error):
                    count += process.num_threads()
        return count

    def how_it_ended(self) -> str:
        """Its exit status in words, once it has been reaped."""
        code = self.process.returncode
        if code is None:
            return "it does not react even to SIGKILL"
        if code >= 0:
            return f"the process ended with exit code {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = ", perhaps by the system because memory ran out" if -code == signal.SIGKILL else ""
        return f"the process was killed by {name}{hint}"

    def close(self) -> None:
        """Give back the descriptors."""
        self.channel.close()
        self.output.close(self.log)


def start_worker(threads: int, place: int = 0) -> WorkerProcess:
    """Start a worker process.

    Args:
        threads: CPU threads that numerical libraries may use in it.
        place: Its number among the workers that run at a time.

    Returns:
        The worker, which will report when it is ready.

    Raises:
        EnvironmentProblem: When the system cannot start a process.
    """
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    try:
        process = _popen(theirs.fileno(), writer, threads, place)
    except OSError as error:
        ours.close()
        os.close(reader)
        raise EnvironmentProblem(f"a worker process could not be started: {error}") from error
    finally:
        theirs.close()
        os.close(writer)
    return WorkerProcess(process, Channel(ours), Output(reader), time.monotonic(), place)


def _popen(sock: int, output: int, threads: int, place: int) -> subprocess.Popen[bytes]:
    path = [os.path.abspath(entry) for entry in sys.path if isinstance(entry, str)]
    told = dict.fromkeys(_THREAD_VARIABLES, str(threads)) | {PLACE_VARIABLE: str(place)}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _BOOT, str(sock), str(os.getpid()), json.dumps(path)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(sock,),
        env={**_PATIENT, **os.environ, **told},
        start_new_session=True,  # Ctrl-C in the terminal reaches the parent alone
    )


Start = Callable[[int, int], WorkerProcess]
