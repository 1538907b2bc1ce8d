"""News of a running study, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from attain.core.types import Record


@dataclass(frozen=True)
class Notice:
    """Something happened.

    Attributes:
        kind: ``record`` (a record was appended or read back), ``progress`` (a job reported),
            ``tick`` (time passed).
        record: The record, for kind ``record``.
        job: The job, for kind ``progress``.
        value: What the job reported.
        running: Jobs under way.
        trials: Search trials scored so far.
        trials_total: Search trials allowed, None without such a limit.
        elapsed: Seconds of the time budget spent; they stop counting when the choice is made.
        seconds_total: Seconds of the time budget, None without one.
        step: The step under way, as in `core.types.Record.step`.
        text: A sentence, for long steps without records.
    """

    kind: str
    record: Record | None = None
    job: str = ""
    value: Any = None
    running: int = 0
    trials: int = 0
    trials_total: int | None = None
    elapsed: float = 0.0
    seconds_total: float | None = None
    step: str = ""
    text: str = ""


Listener = Callable[[Notice], None]
