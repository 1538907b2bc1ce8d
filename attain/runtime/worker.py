"""The other end of `LocalExecutor`: one process that runs one job after another.

Started with a socket; imports nothing heavy by itself. It ends when its parent does: by the end of
the socket, and on Linux also by a signal from the kernel, which needs no cooperation from a job
that is deep inside of compiled code.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import pickle
import queue
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from typing import Any

from attain.core import registry
from attain.core.types import Status
from attain.runtime.channel import pack, read_message

PROGRESS_SECONDS = 0.1
_MESSAGE_CHARACTERS = 2000
_PR_SET_PDEATHSIG = 1
_OOM_SCORE = "500"  # of 1000: the kernel ends a worker rather than the study's own process


class Sender:
    """Sends messages from any thread of the job, whole.

    Args:
        sock: The worker's end.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()

    def send(self, *message: Any) -> None:
        """Send one message.

        Args:
            *message: Kind, then what belongs to it.
        """
        frame = pack(message)
        with self._lock:
            self._sock.sendall(frame)


class Door:
    """What waits for this process. A job can be asked back until it begins.

    The supervisor hands over a short job while the one before it runs, so that no time is lost
    between them; should that one take long after all, the job is done elsewhere.

    Args:
        sender: Told of a job that was given back.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._lock = threading.Lock()
        self._messages: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._tickets: set[int] = set()

    def put(self, message: tuple[Any, ...]) -> None:
        """Take in a message of the supervisor, from any thread.

        Args:
            message: ``job`` or ``back`` with a ticket, or any other.
        """
        kind, *rest = message
        with self._lock:
            here = kind == "back" and rest[0] in self._tickets
            if here:
                self._tickets.remove(rest[0])
            elif kind == "job":
                self._tickets.add(rest[0])
        if here:
            self._sender.send("returned", rest[0])
        elif kind != "back":  # else the job has begun
            self._messages.put(message)

    def take(self) -> tuple[Any, ...]:
        """The next message but those of jobs that were given back; waits for one."""
        while True:
            message = self._next()
            if message[0] != "job":
                return message
            with self._lock:
                if message[1] in self._tickets:
                    self._tickets.remove(message[1])
                    return message

    def _next(self) -> tuple[Any, ...]:
        try:
            return self._messages.get(timeout=0.05)
        except queue.Empty:
            gc.collect()  # while there is nothing better to do
            return self._messages.get()


class Progress:
    """What a job calls with news of itself; at most one message in a tenth of a second.

    What comes faster is replaced by newer news; the newest is sent at the latest when the job ends.

    Args:
        sender: Where to.
        job: Whose news.
    """

    def __init__(self, sender: Sender, job: str) -> None:
        self._sender = sender
        self._job = job
        self._lock = threading.Lock()
        self._next = 0.0
        self._pending: bytes | None = None

    def __call__(self, value: Any) -> None:
        """Report.

        Args:
            value: Anything picklable.
        """
        data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        with self._lock:
            self._pending = data
        if time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Send the newest news if it has not been sent."""
        with self._lock:
            data, self._pending = self._pending, None
            self._next = time.monotonic() + PROGRESS_SECONDS
        if data is not None:
            self._sender.send("progress", self._job, data)


def main(descriptor: int, parent: int) -> None:
    """Serve until the parent closes the socket or dies.

    Args:
        descriptor: The socket, inherited.
        parent: Process id of who started us.
    """
    os.set_inheritable(descriptor, False)
    sock = socket.socket(fileno=descriptor)
    _settle(parent)
    sender = Sender(sock)
    door = Door(sender)
    threading.Thread(target=_listen, args=(sock, door), daemon=True).start()
    streams = _Streams()
    sender.send("ready", streams.mark)
    while True:
        kind, *rest = door.take()
        if kind == "warm":
            with contextlib.suppress(Exception):  # the job that needs it will say what is wrong
                registry.load(rest[0])
        else:
            streams.renew()
            _run(sender, streams, *rest[1:])


def _settle(parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    faulthandler.enable()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(_OOM_SCORE)
    if os.getppid() != parent:  # it died before the kernel knew that we want to follow
        os._exit(1)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash must not fill the disk


def _listen(sock: socket.socket, door: Door) -> None:
    while True:
        try:
            message = read_message(sock)
        except OSError:
            message = None
        if message is None:
            # Also ends what the job has started, as long as it stayed in our process group.
            if os.getpgrp() == os.getpid():
                os.killpg(0, signal.SIGKILL)
            os._exit(1)
        door.put(message)


class _Streams:
    """The worker's own stdout and stderr, restored before each job whatever the last one did."""

    def __init__(self) -> None:
        self._saved = {number: os.dup(number) for number in (1, 2)}
        self.mark = b"\0" + os.urandom(16) + b"\0"  # behind what a job has printed

    def end(self) -> None:
        """Send what is still held back, and the mark."""
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with contextlib.suppress(Exception):
            ctypes.CDLL(None).fflush(None)  # what compiled code printed
        with contextlib.suppress(OSError):
            os.set_blocking(self._saved[1], True)  # as it was before the job
            os.write(self._saved[1], self.mark)  # so short that it arrives whole

    def renew(self) -> None:
        for number, saved in self._saved.items():
            os.dup2(saved, number)
        for name, number in (("stdout", 1), ("stderr", 2)):
            stream = open(  # noqa: SIM115 - it stays open for as long as the job
                number, "w", buffering=1, errors="backslashreplace", closefd=False
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _run(
    sender: Sender, streams: _Streams, job: str, call: str, payload: bytes, threads: int | None
) -> None:
    progress = Progress(sender, job)
    folder = os.getcwd()
    measures = restart_peak()
    sender.send("started", job)
    start = time.monotonic()
    status, value, message = _outcome(call, payload, threads, progress)
    seconds = time.monotonic() - start
    with contextlib.suppress(Exception):
        progress.flush()
    with contextlib.suppress(OSError):
        os.chdir(folder)
    peak = peak_bytes() if measures else 0  # else it may be an earlier job's
    streams.end()
    sender.send("ended", job, status.value, value, message, seconds, peak)
    if status is Status.MEMORY:  # a fresh process does the next one; this one is about to be ended
        threading.Event().wait()


def _outcome(
    call: str, payload: bytes, threads: int | None, progress: Progress
) -> tuple[Status, bytes, str]:
    try:
        arguments: Mapping[str, Any] = pickle.loads(payload)
        function = registry.load(call)
        with _thread_limit(threads):
            result = function(arguments, progress)
        return Status.DONE, _pickled(call, result), ""
    except SystemExit as error:
        traceback.print_exc()
        return Status.KILLED, b"", f"the job called sys.exit({error.code!r})"
    except MemoryError as error:
        traceback.print_exc()
        return Status.MEMORY, b"", f"out of memory: {_describe(error)}"
    except BaseException as error:  # noqa: BLE001 - whatever a job raises ends that job only
        traceback.print_exc()
        return Status.FAILED, b"", _describe(error)


def _pickled(call: str, result: Any) -> bytes:
    try:
        return pickle.dumps(result, protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        raise
    except Exception as error:
        raise TypeError(
            f"{call} returned a {type(result).__name__} that cannot be sent back"
            f" ({_describe(error)}) — return plain values or arrays"
        ) from error


def _describe(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - an exception whose text raises is still only a failed job
        text = "(no text)"
    name = type(error).__name__
    return (f"{name}: {text}" if text else name)[:_MESSAGE_CHARACTERS]


def _thread_limit(threads: int | None) -> contextlib.AbstractContextManager[Any]:
    """Fewer threads than the environment allows, in the libraries that are loaded by now."""
    if threads is None or "numpy" not in sys.modules:
        return contextlib.nullcontext()
    from threadpoolctl import threadpool_limits

    limited: contextlib.AbstractContextManager[Any] = threadpool_limits(threads)
    return limited


def restart_peak() -> bool:
    """Let the kernel's peak of resident memory begin anew; says whether it could (Linux only)."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return False
    return True


def peak_bytes() -> int:
    """Peak of this process's resident memory since `restart_peak`.

    Returns:
        Bytes; 0 where the system does not tell (the parent's own samples are then used).
    """
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
