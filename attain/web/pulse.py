"""Whether a study's run is alive: who holds the lease, and when it last gave a sign of life."""

from __future__ import annotations

from dataclasses import dataclass

from attain.report import numbers
from attain.runtime.lease import BEAT_SECONDS, SILENT_SECONDS, Holder
from attain.web.index import Index

MISSED = 3 * BEAT_SECONDS  # after which a heartbeat is missing: two may be late, three are not
GO_ON = "the same `attain run` command goes on from the last finished fit"


@dataclass(frozen=True)
class Pulse:
    """A run's state.

    Attributes:
        state: ``running``, ``silent`` (it should be alive, but gives no sign), ``died``,
            ``stopped`` (on purpose, it can go on) or ``ended``.
        text: The same in words.
        beat: Last sign of life in seconds since the epoch; 0 when there was none.
        missing: Whether a heartbeat is missing.
        epoch: Of the lease.
    """

    state: str
    text: str
    beat: float = 0.0
    missing: bool = False
    epoch: int = 0

    @property
    def running(self) -> bool:
        """Whether somebody reads requests."""
        return self.state == "running"


def take(holder: Holder, index: Index, now: float) -> Pulse:
    """The state of a run.

    Args:
        holder: Who writes the ledger, or wrote it last.
        index: The study.
        now: Seconds since the epoch.

    Returns:
        In words as well.
    """
    ended = index.payload("ended").get("reason")
    if not holder.owner:
        return _given_back(holder, index, ended)
    silent = max(holder.silent(now), 0.0)
    ago = about(silent)
    if holder.local and not holder.alive:
        text = f"the run has died; its last sign of life was {ago} ago — {GO_ON}"
        return Pulse("died", text, holder.beat, True, holder.epoch)
    if silent >= SILENT_SECONDS:
        why = "its process still exists, so it may hang or the machine was asleep"
        text = f"no heartbeat for {ago}: " + (why if holder.local else f"if it has ended, {GO_ON}")
        return Pulse("silent", text, holder.beat, True, holder.epoch)
    late = f"; its heartbeat is late by {ago}" if silent >= MISSED else ""
    text = f"running as process {holder.pid} on {numbers.printable(holder.host)}{late}"
    return Pulse("running", text, holder.beat, silent >= MISSED, holder.epoch)


def about(seconds: float) -> str:
    """A silence in words, in steps: a text that changed all the time would be sent all the time.

    Args:
        seconds: At least 0.

    Returns:
        In tens of seconds below two minutes, else in minutes.
    """
    if seconds < 120:
        return f"{int(seconds) // 10 * 10}\u00a0s"
    return numbers.seconds(int(seconds) // 60 * 60)


def _given_back(holder: Holder, index: Index, ended: object) -> Pulse:
    if "ended" in index.kinds:
        text = numbers.stopped(ended) if ended else "the study has ended"
        return Pulse("ended", text, holder.beat, epoch=holder.epoch)
    last = index.payload("interrupted").get("reason") if _newest(index) == "interrupted" else None
    text = str(last) if last else f"nobody is running this study — {GO_ON}"
    return Pulse("stopped", text, holder.beat, epoch=holder.epoch)


def _newest(index: Index) -> str:
    """Kind of the newest record that is not a trial's."""
    return max(index.latest.values(), key=lambda r: r.id).kind if index.latest else ""
