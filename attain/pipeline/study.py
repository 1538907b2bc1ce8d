"""A study under way: its folder, its ledger, and whoever listens."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from attain.core.codec import decode, encode
from attain.core.protocols import Ledger
from attain.core.types import Draft, Record
from attain.pipeline.notice import Listener, Notice
from attain.pipeline.requests import closes, grown
from attain.pipeline.spec import Budget
from attain.runtime.requests import RequestBox

T = TypeVar("T")


class Study:
    """Everything that the steps of one run share. Steps return; the study writes.

    Args:
        folder: The study folder.
        ledger: Where records go; owned by the study from now on.
        seed: Of everything random.
        budget: What the search may spend.
        listen: Called with every notice; must not raise.
        box: Where people put what they ask of the run.
        epoch: Of the lease under which it writes; requests name it.
    """

    def __init__(
        self,
        folder: Path,
        ledger: Ledger,
        *,
        seed: int = 0,
        budget: Budget | None = None,
        listen: Listener | None = None,
        box: RequestBox | None = None,
        epoch: int = 0,
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.budget = budget or Budget()
        self.box, self.epoch = box, epoch
        self.stopping = False
        self.closing = False
        self.answered: set[str] = set()
        self._ledger = ledger
        self._listen = listen
        self._running = 0
        self._step = "study"
        self._searched = 0
        self._spent = 0.0
        self._began: float | None = None
        self._used: float | None = None
        self._records: list[Record] = []
        for record in ledger.read():
            self._absorb(record)

    @property
    def records(self) -> Sequence[Record]:
        """Everything recorded so far, oldest first."""
        return self._records

    def of(self, kind: str) -> list[Record]:
        """The records of a kind, oldest first."""
        return [r for r in self._records if r.kind == kind]

    def last(self, kind: str) -> Record | None:
        """The newest record of a kind."""
        return next((r for r in reversed(self._records) if r.kind == kind), None)

    def read(self, kind: str, key: str, type_: type[T]) -> T:
        """The newest value of a kind, decoded; the record must exist."""
        record = self.last(kind)
        assert record is not None, f"no {kind} record yet"
        return decode(type_, record.payload[key])

    def write(self, step: str, kind: str, payload: Mapping[str, Any], *parents: int) -> Record:
        """Make one record durable and tell the listener.

        Args:
            step: The step it belongs to.
            kind: What it holds.
            payload: Values that `core.codec.encode` takes.
            *parents: Ids of the records it rests on.

        Returns:
            The record.
        """
        return self.write_all([Draft(step, kind, encode(payload), parents)])[0]

    def write_all(self, drafts: Sequence[Draft]) -> Sequence[Record]:
        """Make records durable together, then tell the listener of each."""
        records = self._ledger.append(drafts)
        for record in records:
            self._absorb(record)
            self.tell("record", record=record)
        return records

    def _absorb(self, record: Record) -> None:
        """Keep counts as records arrive, so that reading them never costs more as they grow."""
        if record.kind == "resumed" and self._began is not None and self._records:
            self._spent += self._records[-1].at - self._began
            self._began = record.at
        elif record.kind == "strategy" and self._began is None:
            self._began = record.at
        elif record.kind in ("choice", "ended") and self._began is not None and self._used is None:
            self._used = self._spent + record.at - self._began
        elif record.kind == "scored":
            self._searched += bool(record.payload["search"])
        elif record.kind == "trial":  # one that goes on is counted once, when it has ended
            self._searched -= bool(record.payload["trial"].get("parent"))
        elif record.kind == "request":
            self.answered.add(record.payload["id"])
            self.budget = grown(self.budget, record)
            self.closing = self.closing or closes(record)
        self._step = record.step
        self._records.append(record)

    def once(
        self, step: str, kind: str, make: Callable[[], Mapping[str, Any]], *parents: int
    ) -> Record:
        """The record of a kind; made and written only if an earlier run has not done so.

        Args:
            step: The step it belongs to.
            kind: What it holds.
            make: Computes the payload.
            *parents: Ids of the records it rests on.

        Returns:
            The record, old or new.
        """
        found = self.last(kind)
        return found if found is not None else self.write(step, kind, make(), *parents)

    def tell(self, kind: str, *, running: int | None = None, **news: Any) -> None:
        """Pass news on to the listener, if there is one."""
        if running is not None:
            self._running = running
        if self._listen is None:
            return
        seconds = None if self.budget.minutes is None else self.budget.minutes * 60
        self._listen(
            Notice(
                kind,
                running=self._running,
                trials=self.searched,
                trials_total=self.budget.trials,
                elapsed=self.used(),
                seconds_total=seconds,
                **{"step": self._step, **news},
            )
        )

    def say(self, text: str, step: str = "") -> None:
        """Tell the listener what a long step without records is doing."""
        self.tell("progress", text=text, step=step or self._step)

    @property
    def searched(self) -> int:
        """Configurations of the search that have been scored, and do not go on."""
        return self._searched

    def used(self) -> float:
        """Seconds of the time budget used: what comes after the choice is not counted."""
        return self.spent() if self._used is None else self._used

    def spent(self) -> float:
        """Seconds since the start of the search, pauses left out."""
        return self._spent + (time.time() - self._began if self._began is not None else 0.0)

    def seconds_left(self) -> float:
        """Seconds of the time budget left; infinite without a limit."""
        if self.budget.minutes is None:
            return float("inf")
        return self.budget.minutes * 60 - self.spent()

    def close(self) -> None:
        """Give the ledger back."""
        self._ledger.close()
