"""The suites pass on what attain ships, and name what is broken in what is not sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from attain.core.errors import LedgerError
from attain.core.protocols import Event, Limits, Subject
from attain.core.types import (
    Column,
    ColumnKind,
    ColumnRole,
    Dataset,
    Draft,
    Finding,
    FindingState,
    Record,
    Rows,
    Status,
    Task,
)
from attain.runtime.ledger import SqliteLedger
from attain.runtime.local import LocalExecutor
from attain.testing import executor_suite
from attain.testing.check_suite import check_check, first_rows
from attain.testing.executor_suite import check_executor
from attain.testing.fakes import InlineExecutor, MemoryLedger, SimulatedClock
from attain.testing.ledger_suite import check_ledger


def test_inline_executor_keeps_the_contract():
    """The executor for tests passes all that does not need processes."""
    check_executor(InlineExecutor, isolated=False)


def test_memory_ledger_keeps_the_contract():
    """The ledger for tests passes all that does not need a disk."""
    check_ledger(lambda path: MemoryLedger(), durable=False)


class LosesTheEnd(InlineExecutor):
    def events(self, timeout):
        return [e for e in super().events(timeout) if (e.job, e.kind) != ("many 7", "ended")]


class EndsTwice(InlineExecutor):
    def _end(self, job, status, value=None, message=""):
        super()._end(job, status, value, message)
        super()._end(job, status, value, message)


class StartsLate(InlineExecutor):
    def events(self, timeout):
        return sorted(
            super().events(timeout), key=lambda e: ["progress", "started", "ended"].index(e.kind)
        )


class LosesNews(InlineExecutor):
    def events(self, timeout):
        return [e for e in super().events(timeout) if e.value != 1999]


class ChangesValues(InlineExecutor):
    def events(self, timeout):
        return [replace(e, value=str(e.value)) for e in super().events(timeout)]


class CallsEverythingDone(InlineExecutor):
    def events(self, timeout):
        return [replace(e, status=Status.DONE) for e in super().events(timeout)]


class SaysNothing(InlineExecutor):
    def events(self, timeout):
        return [replace(e, message="") for e in super().events(timeout)]


class NeverCancels(InlineExecutor):
    def cancel(self, job):
        pass


class StaysOpen(InlineExecutor):
    def close(self):
        super().close()
        self._closed = False


class ForgetsOnClose(InlineExecutor):
    def close(self):
        self._closed = True
        self._waiting.clear()


class InventsNews(InlineExecutor):
    def events(self, timeout):
        return [*super().events(timeout), Event("ghost", "progress")]


class LacksCancel:
    def submit(self, job):
        pass

    def events(self, timeout):
        return []

    def close(self):
        pass


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (LosesTheEnd, r"jobs \['many 7'\] did not end"),
        (EndsTwice, "news of a job (after it ended|that is not under way)"),
        (StartsLate, "started must come first"),
        (LosesNews, "the last news must arrive"),
        (ChangesValues, "the returned value must arrive unchanged"),
        (CallsEverythingDone, "must end as failed, got done"),
        (SaysNothing, "must name 'ValueError'"),
        (NeverCancels, "'queued 7' must end as cancelled, got done"),
        (StaysOpen, "a job after close must be refused"),
        (ForgetsOnClose, "close must end each job under way exactly once"),
        (InventsNews, "news of a job that is not under way"),
        (LacksCancel, "lacks a method"),
    ],
)
def test_executor_suite_names_what_is_broken(broken, message, monkeypatch):
    """Each way to break an executor's contract is found and named."""
    monkeypatch.setattr(executor_suite, "PATIENCE", 1.5)
    with pytest.raises(AssertionError, match=message):
        check_executor(broken, isolated=False)


class IgnoresLimits(LocalExecutor):
    def submit(self, job):
        super().submit(replace(job, limits=Limits()))


def test_executor_suite_finds_ignored_limits(monkeypatch):
    """An executor that lets a hanging job go on is found."""
    monkeypatch.setattr(executor_suite, "PATIENCE", 3.0)
    with pytest.raises(AssertionError, match=r"jobs \['hangs'\] did not end"):
        check_executor(IgnoresLimits)


class SkipsIds(MemoryLedger):
    def append(self, drafts):
        return tuple(replace(r, id=r.id + 1) for r in super().append(drafts))


class WritesHalf(MemoryLedger):
    def append(self, drafts):
        return tuple(
            record for draft in drafts for record in super(WritesHalf, self).append([draft])
        )


class IgnoresSince(MemoryLedger):
    def read(self, since=0):
        return super().read(0)


class TakesAnyParent(MemoryLedger):
    def append(self, drafts):
        made = super().append([replace(d, parents=()) for d in drafts])
        return tuple(replace(r, parents=d.parents) for r, d in zip(made, drafts, strict=True))


class KeepsReferences(MemoryLedger):
    def append(self, drafts):
        made = super().append(drafts)
        self._records[-len(made) or len(self._records) :] = [
            replace(r, payload=d.payload) for r, d in zip(made, drafts, strict=True)
        ]
        return tuple(self._records[len(self._records) - len(made) :])


class RunsBackwards(MemoryLedger):
    def append(self, drafts):
        made = super().append(drafts)
        for record in made:
            self._records[record.id - 1] = replace(record, at=1e9 - record.id)
        return tuple(self._records[len(self._records) - len(made) :])


class ReadsOtherwise(MemoryLedger):
    def read(self, since=0):
        return tuple(reversed(super().read(since)))


class NeverCloses(MemoryLedger):
    def close(self):
        pass


class RaisesAnything(MemoryLedger):
    def append(self, drafts):
        try:
            return super().append(drafts)
        except LedgerError as error:
            raise RuntimeError("oops") from error


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (SkipsIds, "ids must count from 1"),
        (WritesHalf, "must leave the ledger as it was"),
        (IgnoresSince, r"read\(1\) must give records \[2, 3, 4, 5\]"),
        (TakesAnyParent, "a parent that does not exist must be refused"),
        (KeepsReferences, "must be kept as codec.encode gives it|must not change the log"),
        (RunsBackwards, "times must not run backwards"),
        (ReadsOtherwise, "read must give what append returned"),
        (NeverCloses, "an append after close must be refused"),
        (RaisesAnything, "must be refused with LedgerError, got RuntimeError"),
    ],
)
def test_ledger_suite_names_what_is_broken(broken, message):
    """Each way to break a ledger's contract is found and named."""
    with pytest.raises(AssertionError, match=message):
        check_ledger(lambda path: broken(), durable=False)


class TwoWriters(SqliteLedger):
    def __init__(self, path):
        try:
            super().__init__(path)
        except LedgerError:
            super().__init__(path, read_only=True)


def test_ledger_suite_finds_what_is_not_kept():
    """A ledger that forgets on closing, or lets in a second writer, is found."""
    with pytest.raises(AssertionError, match="the same after closing and opening again"):
        check_ledger(lambda path: MemoryLedger())
    with pytest.raises(AssertionError, match="a second writer of the same ledger must be refused"):
        check_ledger(TwoWriters)


def subject():
    frame = pd.DataFrame({"x": [1.0, None, 3.0, 1.0], "y": ["a", "b", "a", "a"]})
    columns = (
        Column("x", ColumnKind.NUMERIC, missing=1, distinct=2),
        Column("y", ColumnKind.CATEGORICAL, ColumnRole.TARGET, distinct=2),
    )
    dataset = Dataset("here", "ab", 4, columns, "y", Task.BINARY, ("a", "b"), (3, 1))
    rows = Rows(frame[["x"]].copy(), np.array([0, 1, 0, 0]))
    return Subject(dataset, frame, rows)


class Sound:
    code = "D900"

    def run(self, subject):
        missing = [i for i, v in enumerate(subject.frame["x"]) if v != v]
        if not missing:
            return Finding(self.code, "missing", FindingState.PASSED)
        text = f"{len(missing)} missing"
        state = FindingState.FOUND
        return Finding(
            self.code, "missing", state, explanation=text, remedy="fill it", columns=("x",),
            rows=tuple(missing), evidence={"missing": len(missing)},
        )  # fmt: skip


def test_check_suite_passes_a_sound_check():
    """A check that keeps the contract passes, and what it found comes back."""
    assert check_check(Sound, subject).rows == (1,)


def test_first_rows_recounts():
    """The cut subject on which checks are tried has counts of its own rows."""
    cut = first_rows(subject(), 2)
    assert len(cut.rows) == len(cut.frame) == cut.dataset.rows == 2
    assert cut.dataset.class_counts == (1, 1)
    assert [(c.missing, c.distinct) for c in cut.dataset.columns] == [(1, 1), (0, 2)]


def changed(**fields):
    """A check like the sound one, but for some fields of its finding."""

    class Changed(Sound):
        def run(self, subject):
            return replace(super().run(subject), **fields)

    return Changed


class BadCode(Sound):
    code = "missing values"


class Raises(Sound):
    def run(self, subject):
        if len(subject.rows) < 2:
            raise ZeroDivisionError("no spread")
        return super().run(subject)


class ReturnsText(Sound):
    def run(self, subject):
        return "found"


class ChangesFrame(Sound):
    def run(self, subject):
        found = super().run(subject)
        subject.frame["x"] = 0.0
        return found


class ChangesTarget(Sound):
    def run(self, subject):
        subject.rows.y[:] = 0
        return super().run(subject)


class Wavers(Sound):
    count = 0

    def run(self, subject):
        Wavers.count += 1
        return replace(super().run(subject), evidence={"count": Wavers.count})


class NoRun:
    code = "D901"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (NoRun, "lacks code or run"),
        (BadCode, "a code is like D004"),
        (Raises, r"on 1 row\(s\): run must answer, not raise .*no spread"),
        (ReturnsText, "must return a Finding"),
        (ChangesFrame, "must not change the frame"),
        (ChangesTarget, "must not change the target"),
        (Wavers, "two runs on the same rows must find the same"),
        (changed(code="D001"), "the finding's code is 'D001'"),
        (changed(title=" "), "a finding needs a title"),
        (changed(explanation=""), "found needs an explanation"),
        (changed(remedy=""), "needs a remedy"),
        (changed(columns=("z",)), r"columns that do not exist: \['z'\]"),
        (changed(rows=tuple(range(21))), "at most 20 rows"),
        (changed(rows=(4,)), r"rows that do not exist: \[4\]"),
        (changed(evidence={"x": object()}), "has no JSON form"),
    ],
)
def test_check_suite_names_what_is_broken(broken, message):
    """Each way to break a check's contract is found and named."""
    with pytest.raises(AssertionError, match=message):
        check_check(broken, subject)


def test_simulated_clock_passes_only_when_told():
    """Sleeping moves both clocks at once; a jump moves the time of day alone; records carry it."""
    clock = SimulatedClock(100.0)
    clock.sleep(5.0)
    clock.sleep(-1.0)
    clock.jump(-50.0)
    assert (clock.now(), clock.monotonic()) == (55.0, 5.0)
    ledger = MemoryLedger(clock)
    assert ledger.append([Draft("study", "study", {})]) == (
        Record(1, "study", "study", {}, (), 55.0),
    )
