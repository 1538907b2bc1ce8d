"""What is known of a study, kept up to date record by record; small enough for 100,000 trials."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from attain.core.types import SPARED, Record, Status
from attain.report import story
from attain.report.book import Book, plain
from attain.report.numbers import finite
from attain.web.functions import KINDS, FunctionSearch, values

TOLD = 60  # decisions that are kept in words
UNHURT = SPARED | {"done", "running"}
# Kinds of which there is one for every trial or fold; all others are few.
_MANY = frozenset({"trial", "outcome", "scored", *KINDS})
Payload = Mapping[str, Any]


@dataclass(slots=True)
class Entry:
    """One trial as the table shows it.

    Attributes:
        id: Of the trial.
        number: Position in order of asking, from 0.
        record: Id of the record that asked for it.
        learner: Its family.
        purpose: ``baseline``, ``search`` or ``confirm``.
        round: Of refinement.
        reason: Who asked for it.
        point: As the strategy named it.
        folds: Fits that it costs.
        at: When it was asked for, seconds since the epoch.
        status: ``running`` until it is scored.
        loss: What the strategy minimises.
        values: Metric to (estimate, low, high).
        seconds: Compute time.
        message: Why it did not end well.
        ended: Record of its score, 0 while it runs.
        place: Position in order of scoring among trials of the search, from 1; else 0.
        until: When it was scored, seconds since the epoch; 0 while it runs.
        parts: Records that the score rests on.
        outcomes: Of the fits so far, while it runs.
    """

    id: str
    number: int
    record: int
    learner: str
    purpose: str
    round: int
    reason: str
    point: Payload
    folds: int
    at: float
    status: str = "running"
    loss: float | None = None
    values: Mapping[str, tuple[float | None, float | None, float | None]] = field(
        default_factory=dict
    )
    seconds: float | None = None
    message: str = ""
    ended: int = 0
    place: int = 0
    until: float = 0.0
    parts: tuple[int, ...] = ()
    outcomes: list[Payload] = field(default_factory=list)


class Index:
    """All that the pages show, rebuilt from records; the same records give the same index."""

    def __init__(self) -> None:
        self.trials: dict[str, Entry] = {}
        self.order: list[Entry] = []
        self.open: dict[str, Entry] = {}
        self.kinds: set[str] = set()
        self.latest: dict[str, Record] = {}
        self.requests: dict[str, Payload] = {}
        self.best: list[Entry] = []
        self.baseline: Mapping[str, Payload] = {}
        self.scores: Mapping[str, Payload] = {}
        self.diagnoses: tuple[Payload, ...] = ()
        self.failed: deque[str] = deque(maxlen=200)
        self.failures: dict[str, int] = {}
        self.searched = self.last = self.going_on = 0
        self.bad: list[int] = []
        self.spent = 0.0
        self.began: float | None = None
        self.used: float | None = None
        self.at = 0.0
        self.function: FunctionSearch | None = None
        self._stories: deque[Record] = deque(maxlen=TOLD)
        self._words: dict[int, dict[str, Any]] = {}

    def add(self, record: Record) -> None:
        """Take in the next record.

        Args:
            record: With a higher id than those before. One that is not what its kind says is
                noted in `bad` and passed over.
        """
        try:
            apply = self._APPLY.get(record.kind)
            if apply is not None:
                apply(self, record)
        except (KeyError, TypeError, ValueError, AttributeError):
            self.bad.append(record.id)
        self._count(record)
        self.last, self.at = record.id, record.at
        self.kinds.add(record.kind)
        if record.kind not in _MANY:
            self.latest[record.kind] = record
            self._stories.append(record)

    def settle(self) -> None:
        """With several goals the loss of each trial depends on all: bring them up to date."""
        if self.function is None or not self.function.goals.several:
            return
        for seen in self.function.tally.history():
            self.trials[seen.trial].loss = finite(seen.loss)
        self._lead_with(self.function.tally.best())

    def payload(self, kind: str) -> Payload:
        """What the newest record of a kind holds; empty without one. Not for trials."""
        found = self.latest.get(kind)
        return {} if found is None else found.payload

    def stories(self) -> list[dict[str, Any]]:
        """The newest decisions in words, oldest first: ``title``, ``text``, ``at``, ``record``."""
        for record in self._stories:
            if record.id not in self._words:
                self._words[record.id] = _tell(record)
        self._words = {record.id: self._words[record.id] for record in self._stories}
        return [told for told in self._words.values() if told]

    def _count(self, record: Record) -> None:
        """The clock of `pipeline.study.Study.used`: from the start of the search to the choice,
        pauses left out."""
        if record.kind == "resumed" and self.began is not None:
            self.spent += self.at - self.began
            self.began = record.at
        elif record.kind == "strategy" and self.began is None:
            self.began = record.at
        elif record.kind == "began":  # a call of `minimize`; what lay between two is no search
            self.spent += self.at - self.began if self.began is not None else 0.0
            self.began, self.used = record.at, None
            self.kinds.discard("ended")
        elif record.kind in ("choice", "ended") and self.began is not None and self.used is None:
            self.used = self.spent + record.at - self.began

    def _trial(self, record: Record) -> None:
        asked = record.payload["trial"]
        split = asked["split"]
        entry = Entry(
            id=str(asked["id"]),
            number=len(self.order),
            record=record.id,
            learner=str(asked["learner"]),
            purpose=str(asked["purpose"]),
            round=int(asked["round"]),
            reason=str(asked["reason"]),
            point=asked["point"] or asked["config"],
            folds=int(split["folds"]) * int(split["repeats"]),
            at=record.at,
        )
        self.trials[entry.id] = self.open[entry.id] = entry
        self.order.append(entry)
        self.going_on += bool(asked.get("parent"))

    def _outcome(self, record: Record) -> None:
        outcome = record.payload["outcome"]
        entry = self.open.get(outcome["trial"])
        if entry is not None:
            entry.outcomes.append(outcome)

    def _scored(self, record: Record) -> None:
        scored = record.payload
        entry = self.trials[scored["trial"]]
        self.open.pop(entry.id, None)
        entry.status, entry.message = str(scored["status"]), str(scored["message"])
        entry.loss, entry.seconds = finite(scored["loss"]), finite(scored["seconds"])
        entry.values = {s["metric"]: _three(s) for s in scored["scores"]}
        entry.ended, entry.parts, entry.outcomes = record.id, record.parents, []
        entry.until = record.at
        if scored["search"]:
            self.searched += 1
            entry.place = self.searched
        if entry.loss is None and entry.status not in UNHURT:
            self.failed.append(entry.id)
            self.failures[entry.status] = self.failures.get(entry.status, 0) + 1
        self._place(entry, scored)

    def _place(self, entry: Entry, scored: Payload) -> None:
        by_metric = {s["metric"]: s for s in scored["scores"]}
        if entry.purpose == "baseline" and not self.baseline:
            self.baseline = by_metric
        if not scored["search"] or entry.loss is None:
            return
        lead = self.best[-1].loss if self.best else None
        if lead is None or entry.loss < lead:
            self.best.append(entry)
            self.scores, self.diagnoses = by_metric, tuple(scored["diagnoses"])

    def _optimizer(self, record: Record) -> None:
        self.function = FunctionSearch(record.payload)

    def _of_function(self, record: Record) -> None:
        if self.function is None:
            return
        trial = self.function.apply(record)
        if trial is None:
            return
        entry = self.trials.get(trial.id)
        if entry is None:
            entry = Entry(
                id=trial.id,
                number=len(self.order),
                record=record.id,
                learner="function",
                purpose=trial.origin,
                round=0,
                reason=trial.reason or trial.origin,
                point=trial.config,
                folds=1,
                at=record.at,
            )
            self.trials[entry.id] = entry
            self.order.append(entry)
        entry.status, entry.message = trial.status, trial.message
        if trial.status == "running":
            self.open[entry.id] = entry
        else:
            self._told(entry, record)

    def _told(self, entry: Entry, record: Record) -> None:
        """A trial of a function that has ended, or was lost and may be asked again."""
        assert self.function is not None
        trial = self.function.tally.trials[entry.id]
        self.open.pop(entry.id, None)
        entry.ended, entry.until, entry.seconds = record.id, record.at, trial.seconds or None
        entry.values, entry.loss = values(trial), finite(trial.loss)
        if record.kind == "lost":
            return
        if not entry.place:
            self.searched += 1
            entry.place = self.searched
        if trial.status == Status.PRUNED:
            return
        if not trial.done:
            self.failed.append(entry.id)
            self.failures[entry.status] = self.failures.get(entry.status, 0) + 1
        elif not self.function.goals.several:
            self._lead_with(self.function.tally.best())

    def _lead_with(self, name: str | None) -> None:
        if name is None or (self.best and self.best[-1].id == name):
            return
        entry = self.trials[name]
        self.best.append(entry)
        self.scores = {
            metric: {"metric": metric, "estimate": value, "low": low, "high": high}
            for metric, (value, low, high) in entry.values.items()
        }

    def _request(self, record: Record) -> None:
        self.requests[str(record.payload["id"])] = record.payload

    _APPLY: Mapping[str, Callable[[Index, Record], None]] = {
        "trial": _trial,
        "outcome": _outcome,
        "scored": _scored,
        "request": _request,
        "optimizer": _optimizer,
        **dict.fromkeys((*KINDS, "began", "extended"), _of_function),
    }


def _three(score: Payload) -> tuple[float | None, float | None, float | None]:
    return finite(score["estimate"]), finite(score["low"]), finite(score["high"])


def _tell(record: Record) -> dict[str, Any]:
    """A record as the decision log tells it; empty when it has no story or cannot be told."""
    try:
        found = story.decisions(Book([record]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}
    return plain(found[0]) if found else {}
