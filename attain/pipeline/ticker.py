"""How far a search is, on a terminal in one line that changes, elsewhere in a line now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from attain.core.types import Status
from attain.pipeline.goals import Goals
from attain.pipeline.tally import FunctionTrial

DRAW_SECONDS = 0.125
QUIET_SECONDS = 10.0
_WIDTH = 100


class Ticker:
    """Writes progress.

    Args:
        stream: Where to; None for nowhere.
        goals: What is asked for.
        total: Trials allowed, None without such a limit.
        now: Monotonic seconds; tests give a clock of their own.
    """

    def __init__(
        self,
        stream: TextIO | None,
        goals: Goals,
        total: int | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._goals = goals
        self._total = "" if total is None else f" of {total}"
        self._now = now
        self._began = self._wrote = now()
        self._best = ""
        self._failed = False
        self._drawn = False
        self._live = stream is not None and stream.isatty()

    def ended(self, number: int, trial: FunctionTrial, best: FunctionTrial | None) -> None:
        """Say that a trial ended.

        Args:
            number: Trials that have ended.
            trial: The one that did.
            best: The best so far.
        """
        if not trial.done and trial.status != Status.PRUNED and not self._failed:
            self._failed = True
            self.line(f"{trial.id} {trial.status}: {trial.message}")
        better = best is not None and best.id != self._best
        self._best = best.id if best is not None else ""
        quiet = DRAW_SECONDS if self._live else QUIET_SECONDS
        if self._now() - self._wrote >= quiet or (better and not self._live):
            self._show(f"trial {number}{self._total}: {self._told(best)}")

    def line(self, text: str) -> None:
        """Write a line that stays."""
        if self._stream is not None:
            self._erase()
            self._stream.write(f"[{self._now() - self._began:.0f} s] {text}\n")
            self._stream.flush()

    def _show(self, text: str) -> None:
        self._wrote = self._now()
        if self._live and self._stream is not None:
            self._erase()
            self._stream.write(f"[{self._wrote - self._began:.0f} s] {text}"[:_WIDTH])
            self._stream.flush()
            self._drawn = True
        else:
            self.line(text)

    def _erase(self) -> None:
        if self._drawn and self._stream is not None:
            self._stream.write(f"\r{' ' * _WIDTH}\r")
            self._drawn = False

    def _told(self, best: FunctionTrial | None) -> str:
        if best is None:
            return "none has succeeded yet"
        values = (f"{name} {best.metrics[name]:.6g}" for name in self._goals.metrics)
        tail = "" if best.feasible else ", which breaks a limit"
        return f"best {', '.join(values)} ({best.id}){tail}"
