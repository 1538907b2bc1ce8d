"""Jobs for the tests of doors, in a module that is imported in no time."""

from __future__ import annotations

import os
import time
from pathlib import Path


def shout(payload, progress):
    """Print a line through the interpreter and one past it."""
    print("says", payload["who"], "é" * payload["more"])
    os.write(2, f"writes {payload['who']}\n".encode())


def note_begin(payload, progress):
    """Leave a file that says in which process it began, then rest for a time or until a file is."""
    Path(payload["file"]).write_text(str(os.getpid()))
    time.sleep(payload.get("seconds", 0.0))
    while not Path(payload.get("until", payload["file"])).exists():
        time.sleep(0.01)
    return os.getpid()


def exhaust(payload, progress):
    """Run out of memory."""
    raise MemoryError("on purpose")
