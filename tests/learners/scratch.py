"""Folders for what the tests of one process make once; gone when it ends."""

from __future__ import annotations

import atexit
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp


def scratch(prefix: str) -> Path:
    """A new folder that this process, and none of its children, removes at its end."""
    made, owner = Path(mkdtemp(prefix=prefix)), os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(made, ignore_errors=True))
    return made
