"""Jobs for a cluster: called in workers on its nodes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from attain.core.files import write_atomic


def read_rows(payload, progress):
    """The rows, the node's idea of the sealed ones, and a file for the coordinator."""
    folder = Path(payload["folder"])
    time.sleep(payload.get("seconds", 0.0))
    write_atomic(folder / payload["out"], payload["out"])
    return {
        "rows": (folder / "data" / "work.arrow").read_text(),
        "sealed": (folder / "data" / "sealed.arrow").exists(),
        "folder": str(folder),
    }


def count_up(payload, progress):
    """Count to ``end`` from the state that is found, which is written after each step."""
    state = Path(payload["folder"]) / "checkpoints" / payload["checkpoint"] / "state"
    began = count = int(state.read_text()) if state.exists() else 0
    while count < payload["end"]:
        time.sleep(payload["pause"])
        count += 1
        write_atomic(state, str(count))
    return {"began": began, "count": count}


def devices(payload, progress):
    """The GPUs that this job may use."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def weigh(payload, progress):
    """Size of a large part, and the node that had it."""
    return len(payload["large"])
