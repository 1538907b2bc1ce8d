"""One reader for all viewers: it follows the ledger and wakes whoever waits for something new."""

from __future__ import annotations

import asyncio
import gc
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attain.core.errors import LedgerError
from attain.core.types import Record
from attain.report.book import plain
from attain.runtime.clock import Clock, SystemClock
from attain.runtime.live import FILE, read_live
from attain.runtime.requests import RequestBox
from attain.web.index import Index
from attain.web.pulse import Pulse, take
from attain.web.state import overview
from attain.web.tail import Tail

LOOK_SECONDS = 0.5  # between two looks at shared memory, however many viewers there are
PULSE_SECONDS = 2.0  # between two looks at the lease when nothing else is new
ALIVE_SECONDS = 15.0  # between two signs to a viewer, so that a lost one is noticed
MOST_VIEWERS = 64
LEDGER = "ledger.db"


class Hub:
    """The study in memory, and those who look at it.

    Args:
        folder: The study folder.
        clock: The time.

    Attributes:
        index: The study; to be read under `lock`.
        lock: Held while the index changes.
        pulse: Of its run.
        box: Where requests to the run go.
        viewers: Streams under way.
        version: Rises with every change of the state.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.box = RequestBox(folder)
        self.index = Index()
        self.pulse = Pulse("stopped", "")
        self.viewers = 0
        self.version = 0
        self.trouble = ""
        self.clock = clock or SystemClock()
        self._name = secrets.token_hex(4)
        self._tail: Tail | None = None
        self._state: dict[str, Any] = {}
        self._text = "{}"
        self._live: tuple[float, dict[str, Any]] = (0.0, {"doing": "", "curves": {}})
        self._caught_up = False
        self._pulse_at = 0.0
        self._news = asyncio.Condition()
        self._closing = False

    async def run(self) -> None:
        """Follow the study until `close`; never raises for what the study does."""
        while not self._closing:
            new = await asyncio.to_thread(self.look)
            if new:
                async with self._news:
                    self._news.notify_all()
            if self._caught_up or self.trouble:
                await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> bool:
        """Read what is new, once.

        Returns:
            Whether viewers should hear of it.
        """
        with self.lock:
            try:
                news = self._read() or bool(self.trouble)
                self.trouble = ""
            except LedgerError as error:
                news, self.trouble = str(error) != self.trouble, str(error)
                self._forget()
            if news:
                self._compose()
            return news

    @property
    def live(self) -> dict[str, Any]:
        """What the run is doing, as `runtime.live.read_live` gives it."""
        return self._live[1]

    def fetch(self, ids: Sequence[int]) -> Sequence[Record]:
        """Some records, to be called under `lock`; none while there is no ledger."""
        return () if self._tail is None else self._tail.fetch(ids)

    def state(self) -> str:
        """The overview as JSON."""
        return self._text

    async def follow(self, seen: str = "") -> AsyncIterator[str]:
        """Server-sent events for one viewer; intermediate states are left out for a slow one.

        Args:
            seen: Id of the last event that the viewer got, from ``Last-Event-ID``.

        Yields:
            Events and, when nothing happens, comments.
        """
        self.viewers += 1
        sent = self.version if seen == self._mark() else 0  # before the first look there is none
        try:
            yield "retry: 2000\n\n"
            while not self._closing:
                if sent != self.version:
                    sent = self.version
                    yield f"id: {self._mark()}\nevent: state\ndata: {self._text}\n\n"
                    await asyncio.sleep(LOOK_SECONDS)
                elif not await self._wait(sent):
                    yield ": still here\n\n"
        finally:
            self.viewers -= 1

    async def close(self) -> None:
        """Let all viewers go."""
        self._closing = True
        async with self._news:
            self._news.notify_all()
        with self.lock:
            self._forget()

    async def _wait(self, sent: int) -> bool:
        """Whether something new came before it was time for a sign."""
        async with self._news:
            waiting = self._news.wait_for(lambda: self._closing or self.version != sent)
            try:
                await asyncio.wait_for(waiting, ALIVE_SECONDS)
            except TimeoutError:
                return False
        return True

    def _mark(self) -> str:
        """The id of the newest event: names this hub, so that another's ids never match."""
        return f"{self._name}-{self.index.last}-{self.version}"

    def _read(self) -> bool:
        if self._tail is not None and self._tail.replaced():
            self._forget()
        if self._tail is None:
            self._tail = Tail(self.folder / LEDGER)
            self.index, self._caught_up, self._pulse_at = Index(), False, 0.0
        before = self.index.last
        if not self._caught_up:
            self._catch_up(self._tail)
        elif self._tail.changed():
            while (bite := self._tail.bite()).last > before:
                before = bite.last
                self._add(bite.records, bite.bad)
                self._pulse_at = 0.0
        read = self.index.last, self._caught_up
        return self._pulse_changed(self._tail) | self._live_changed() | (read != self._known())

    def _known(self) -> tuple[int, bool]:
        """What the viewers know of."""
        return self._state.get("read", {}).get("records", -1), not self._state.get("reading", True)

    def _catch_up(self, tail: Tail) -> None:
        """A bite of what was there before; outcomes only of trials that are still under way."""
        with _unswept():
            bite = tail.bite(outcomes=False)
            self._add(bite.records, bite.bad)
        self.index.last = bite.last
        if bite.last < tail.total():
            return
        tail.changed()
        if self.index.open:
            first = min(e.record for e in self.index.open.values())
            for record in tail.outcomes(first):
                outcome = record.payload.get("outcome") or {}
                entry = self.index.open.get(str(outcome.get("trial")))
                if entry is not None:
                    entry.outcomes.append(outcome)
        self._caught_up = True
        gc.freeze()

    def _add(self, records: Any, bad: Any) -> None:
        for record in records:
            self.index.add(record)
        self.index.bad += bad
        self.index.settle()

    def _pulse_changed(self, tail: Tail) -> bool:
        now = time.monotonic()
        if now < self._pulse_at:
            return False
        self._pulse_at = now + PULSE_SECONDS
        before, self.pulse = self.pulse, take(tail.holder(), self.index, self.clock.now())
        return before != self.pulse

    def _live_changed(self) -> bool:
        try:
            written = (self.folder / FILE).stat().st_mtime
        except OSError:
            written = 0.0
        if written == self._live[0]:
            return False
        self._live = written, read_live(self.folder)
        return self.pulse.running

    def _compose(self) -> None:
        total = self._tail.total() if self._tail is not None else 0
        self._state = overview(self.index, self.pulse, self._live[1], total)
        self._state |= {
            "reading": not self._caught_up,
            "trouble": self.trouble,
            "folder": str(plain(str(self.folder.absolute()))),
            "now": self.clock.now(),
        }
        self._text = json.dumps(self._state, ensure_ascii=True, separators=(",", ":"))
        self.version += 1

    def _forget(self) -> None:
        if self._tail is not None:
            self._tail.close()
        self._tail, self._caught_up = None, False


@contextmanager
def _unswept() -> Iterator[None]:
    """No garbage collection: it would go through all that was read, again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
