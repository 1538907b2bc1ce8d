"""Functions that behave and misbehave, to be run as jobs by the executor suite and by tests."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Payload = Mapping[str, Any]
Tell = Callable[[Any], None]


def echo(payload: Payload, progress: Tell) -> Any:
    """Return ``value``."""
    return payload["value"]


def tell(payload: Payload, progress: Tell) -> int:
    """Report each of ``values``, ``pause`` seconds apart; return how many."""
    for value in payload["values"]:
        progress(value)
        time.sleep(payload.get("pause", 0.0))
    return len(payload["values"])


def sleep(payload: Payload, progress: Tell) -> str:
    """Do nothing for ``seconds``."""
    time.sleep(payload["seconds"])
    return "rested"


def wait(payload: Payload, progress: Tell) -> str:
    """Wait until the file named `path` is there, a minute at most."""
    end = time.monotonic() + 60.0
    while not Path(payload["path"]).exists() and time.monotonic() < end:
        time.sleep(0.02)
    return "found" if Path(payload["path"]).exists() else "never came"


def fail(payload: Payload, progress: Tell) -> None:
    """Raise ValueError with ``text``."""
    raise ValueError(payload.get("text", "on purpose"))


def leave(payload: Payload, progress: Tell) -> None:
    """Call sys.exit."""
    sys.exit(payload.get("code", 3))


def vanish(payload: Payload, progress: Tell) -> None:
    """End the process without any cleaning up."""
    os._exit(payload.get("code", 3))


def crash(payload: Payload, progress: Tell) -> None:
    """Read from address zero."""
    ctypes.string_at(0)


def kill_itself(payload: Payload, progress: Tell) -> None:
    """Send SIGKILL to its own process."""
    os.kill(os.getpid(), signal.SIGKILL)


def hoard(payload: Payload, progress: Tell) -> int:
    """Hold ``megabytes`` of memory for ``seconds``, filled step by step."""
    blocks = []
    for _ in range(payload["megabytes"]):
        blocks.append(b"x" * (1 << 20))
        time.sleep(payload.get("pause", 0.0))
    time.sleep(payload.get("seconds", 0.0))
    return len(blocks)


def run_out(payload: Payload, progress: Tell) -> None:
    """Raise MemoryError as an allocation does."""
    bytearray(1 << 62)


def unsendable(payload: Payload, progress: Tell) -> Any:
    """Return what no pickle can hold."""
    return threading.Lock()


def say(payload: Payload, progress: Tell) -> None:
    """Print ``text`` from Python, from below Python and to stderr; then ``flood`` more bytes."""
    print(payload["text"])
    os.write(1, (payload["text"] + " below\n").encode())
    print(payload["text"], "aside", file=sys.stderr)
    left = payload.get("flood", 0)
    while left > 0:
        left -= os.write(1, b"." * min(left, 1 << 16))
    print("the end")


def spawn(payload: Payload, progress: Tell) -> int:
    """Start a process that would live for ``seconds``, tell its id, then wait just as long."""
    child = subprocess.Popen(
        [sys.executable, "-c", f"import time; time.sleep({payload['seconds']})"]
    )
    progress(child.pid)
    time.sleep(payload["seconds"])
    return child.pid


def where(payload: Payload, progress: Tell) -> dict[str, Any]:
    """Describe the process: id, threads that it may use, heavy modules that it has loaded."""
    heavy = {"numpy", "scipy", "pandas", "sklearn", "pyarrow", "torch", "lightgbm"}
    return {
        "pid": os.getpid(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "heavy": sorted(heavy & set(sys.modules)),
        "interrupt": signal.getsignal(signal.SIGINT) == signal.SIG_IGN,
    }


def hold_the_lock(payload: Payload, progress: Tell) -> None:
    """Stay inside of compiled code that never lets another Python thread run."""
    ctypes.PyDLL(None).sleep(int(payload["seconds"]))


def multiply(payload: Payload, progress: Tell) -> int:
    """Start up to ``threads`` threads that do nothing, then wait for ``seconds``."""
    done = threading.Event()
    for _ in range(payload["threads"]):
        threading.Thread(target=done.wait, daemon=True).start()
    time.sleep(payload["seconds"])
    done.set()
    return threading.active_count()
