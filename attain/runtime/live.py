"""What a run is doing this second, for whoever watches: a small file that is replaced.

The ledger holds what was found; this holds what is under way and may be lost. The file is replaced
at most once a second, never flushed to the disk, and a failure to write it is nobody's problem.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "live.json"
SECONDS = 1.0
MOST_POINTS = 120  # of one curve; above that every second point is left out
MOST_JOBS = 64


class LiveFile:
    """Keeps the newest looks at fits under way, and writes them now and then.

    Args:
        folder: The study folder; the file appears when it exists.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._curves: dict[str, list[dict[str, Any]]] = {}
        self._doing = ""
        self._next = 0.0
        self._dirty = False
        self._mine = False

    def look(self, job: str, point: Mapping[str, Any]) -> None:
        """A fit reported a step.

        Args:
            job: Such as ``t0007-f2``.
            point: ``step`` and ``values``, an encoded `core.types.CurvePoint`.
        """
        curve = self._curves.setdefault(job, [])
        curve.append({"step": point.get("step"), "values": point.get("values")})
        if len(curve) > MOST_POINTS:
            del curve[1::2]
        while len(self._curves) > MOST_JOBS:
            self._curves.pop(next(iter(self._curves)))
        self._dirty = True

    def ended(self, job: str) -> None:
        """A fit has ended: the ledger has its curve now."""
        self._dirty |= self._curves.pop(job, None) is not None

    def doing(self, text: str) -> None:
        """What a step without records is doing; empty for nothing."""
        self._dirty |= text != self._doing
        self._doing = text

    def write(self, *, now: float | None = None) -> None:
        """Replace the file if something is new and the last time was a second ago.

        Args:
            now: Seconds of a monotonic clock.
        """
        now = time.monotonic() if now is None else now
        if not self._dirty or now < self._next:
            return
        self._next, self._dirty = now + SECONDS, False
        plain = {"doing": self._doing, "curves": self._curves}
        spare = self._path.with_suffix(".part")
        try:
            spare.write_text(json.dumps(plain), encoding="utf-8")
            os.replace(spare, self._path)
            self._mine = True
        except (OSError, TypeError, ValueError):
            return

    def remove(self) -> None:
        """Nothing is under way any more; what another run wrote is left alone."""
        if not self._mine:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError:
            return


def read_live(folder: Path) -> dict[str, Any]:
    """What the run was doing a second ago.

    Args:
        folder: The study folder.

    Returns:
        ``doing`` and ``curves`` (job to points); empty when there is nothing sound to read.
    """
    try:
        plain = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict):
        return {"doing": "", "curves": {}}
    curves = plain.get("curves")
    return {
        "doing": str(plain.get("doing") or ""),
        "curves": curves if isinstance(curves, dict) else {},
    }
