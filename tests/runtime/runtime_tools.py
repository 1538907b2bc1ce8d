"""What the runtime's tests share: records to append, jobs to run, processes to watch."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from attain.core.protocols import Job, Limits
from attain.core.types import Draft
from attain.runtime import local
from attain.testing.executor_suite import collect

JOBS = "attain.testing.jobs:"
ROOT = Path(local.__file__).parents[2]
NO_LIMITS = Limits()


def draft(value=0, *parents):
    return Draft("train", "outcome", {"value": value}, parents)


def child(code, *arguments, stdin=False):
    """A Python process that finds attain, with its output (and input) as lines."""
    return subprocess.Popen(
        [sys.executable, "-u", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE if stdin else None,
        stdout=subprocess.PIPE,
        text=True,
    )


def job(id, name, limits=NO_LIMITS, **payload):
    return Job(id, name if ":" in name else JOBS + name, payload, limits)


def run(executor, name, limits=NO_LIMITS, **payload):
    """The last event of one job."""
    return collect(executor, job(name, name, limits, **payload))[name][-1]


def wait_for(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def alive(pid):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
