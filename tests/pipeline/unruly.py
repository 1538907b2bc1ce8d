"""A function that misbehaves as its configuration says (called in workers)."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from typing import Any

HOWS = (
    "well", "raise", "segfault", "kill", "exit", "vanish", "hang", "hoard", "threads", "lock",
    "flood", "text", "nothing", "nan", "infinite",
)  # fmt: skip
SPACE = {"how": list(HOWS)}


def _hoard() -> float:
    blocks = []
    for _ in range(4000):
        blocks.append(b"x" * (1 << 20))
        time.sleep(0.002)
    return float(len(blocks))


def _flood() -> float:
    for _ in range(1600):
        os.write(1, b"." * (1 << 16))
    return 1.0


def _threads() -> float:
    done = threading.Event()
    for _ in range(1500):
        threading.Thread(target=done.wait, daemon=True).start()
    return float(done.wait(120))


def _fail() -> float:
    raise ValueError("on purpose")


ACTS: dict[str, Any] = {
    "well": lambda: 3.0,
    "raise": _fail,
    "segfault": lambda: ctypes.string_at(0),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "exit": lambda: sys.exit(4),
    "vanish": lambda: os._exit(5),
    "hang": lambda: time.sleep(120),
    "hoard": _hoard,
    "threads": _threads,
    "lock": threading.Lock,
    "flood": _flood,
    "text": lambda: "good",
    "nothing": lambda: None,
    "nan": lambda: float("nan"),
    "infinite": lambda: float("inf"),
}


def act(config: dict[str, Any]) -> Any:
    """Say what comes, then do it."""
    print("about to", config["how"], flush=True)
    return ACTS[config["how"]]()
