"""A study that never ran, told as the notices that its listener would get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from attain.core.codec import encode
from attain.core.types import (
    Column,
    ColumnKind,
    ColumnRole,
    CurvePoint,
    Dataset,
    Decision,
    Direction,
    Finding,
    FindingState,
    Move,
    Objective,
    ObjectiveVerdict,
    Outcome,
    Record,
    Role,
    Score,
    Severity,
    Split,
    SplitKind,
    Status,
    Task,
    Trial,
    Verdict,
    VerdictState,
)
from attain.pipeline.notice import Notice

AUC = Objective("roc_auc", Direction.MAXIMIZE, 0.915, low=0.0, high=1.0)
FAST = Objective(
    "latency_p95_ms", Direction.MINIMIZE, 50.0, role=Role.CONSTRAINT, unit="ms", low=0.0
)
SPLIT = Split(SplitKind.STRATIFIED, folds=5, reason="26,048 rows and balanced enough")
TOTAL, SECONDS = 40, 180.0

FINDINGS = (
    Finding("D001", "Duplicate rows", FindingState.FOUND, Severity.TIP, "24 rows are duplicates"),
    Finding(
        "D007",
        "Label noise",
        FindingState.FOUND,
        Severity.ISSUE,
        "11 rows have equal features and different labels",
        "look at rows 12, 88 and 140",
    ),
    Finding("D002", "Constant columns", FindingState.PASSED),
)


def score(metric: str, value: float, width: float, *, trial: str = "", unit: str = "") -> Score:
    """A score with an interval of this half-width."""
    return Score(trial, metric, value, value - width, value + width, 26_048, unit=unit)


class Teller:
    """Numbers records and keeps the counts that every notice carries.

    Args:
        start: Seconds since the epoch of the first record.
    """

    def __init__(self, start: float = 1_000.0) -> None:
        self.at = start
        self.start = start
        self.id = 0
        self.trials = 0
        self.running = 0

    def record(self, step: str, kind: str, **payload: Any) -> Notice:
        """A record, half a second later."""
        self.id += 1
        self.at += 0.5
        if kind == "scored":
            self.trials += bool(payload["search"])
        record = Record(self.id, step, kind, encode(payload), (), self.at)
        return self.notice("record", record=record, step=step)

    def notice(self, kind: str, **news: Any) -> Notice:
        """Any notice."""
        return Notice(
            kind,
            running=self.running,
            trials=self.trials,
            trials_total=TOTAL,
            elapsed=self.at - self.start,
            seconds_total=SECONDS,
            **news,
        )


def dataset() -> Dataset:
    """Adult, as far as the views look at it."""
    names = ("age", "education", "hours")
    columns = [Column(name, ColumnKind.NUMERIC) for name in names]
    columns.append(Column("income", ColumnKind.CATEGORICAL, ColumnRole.TARGET))
    return Dataset("adult.csv", "ab", 26_048, tuple(columns), "income", Task.BINARY)


def opening(tell: Teller) -> Iterator[Notice]:
    """Everything before the first trial."""
    yield tell.record("study", "study", spec={"data": "adult.csv", "target": "income"})
    yield tell.notice("progress", text="reading the data", step="data")
    yield tell.record("objectives", "objectives", objectives=[AUC, FAST], reason="stated")
    yield tell.record("data", "dataset", dataset=dataset())
    yield tell.record("data", "seal", seal={"rows": 6_513})
    yield tell.notice("progress", text="auditing the data", step="data")
    yield tell.record("data", "audit", findings=FINDINGS, seconds=1.0)
    doubt = {"state": "undecidable", "text": "6,513 sealed rows cannot certify roc_auc >= 0.915"}
    yield tell.record("objectives", "feasibility", items=[doubt])
    yield tell.record("validate", "split", split=SPLIT)
    yield tell.record(
        "parameters",
        "selection",
        space={},
        learners=[
            {"name": "lightgbm", "used": True, "reason": "leads"},
            {"name": "linear", "used": True, "reason": "foil"},
            {"name": "svm", "used": False, "reason": "too many rows"},
        ],
        parameters=[{"name": f"p{k}", "used": k < 9, "reason": ""} for k in range(14)],
        fixed={},
    )
    yield tell.record("strategy", "strategy", name="bayes", reason="40 trials on 9 parameters")


def trial(
    tell: Teller,
    name: str,
    learner: str,
    auc: float | None,
    *,
    purpose: str = "search",
    loss: float | None = None,
) -> Iterator[Notice]:
    """One trial from asking to score; without a value it fails in its first fold."""
    asked = Trial(name, learner, {}, {}, 0, SPLIT, "default", purpose=purpose)
    tell.running = 2
    yield tell.record("strategy", "trial", trial=asked)
    point = encode(CurvePoint(40, {"stop": 0.31}))
    yield tell.notice("progress", job=f"{name}-f0", value=point, step="train")
    for fold in range(SPLIT.folds if auc is not None else 1):
        status = Status.DONE if auc is not None else Status.MEMORY
        yield tell.record("train", "outcome", outcome=Outcome(name, fold, status))
        yield tell.notice("tick", step="train")
    scores: Sequence[Score] = ()
    if auc is not None:
        scores = [
            score("roc_auc", auc, 0.004, trial=name),
            score("latency_p95_ms", 3.2, 0.1, trial=name, unit="ms"),
        ]
    yield tell.record(
        "validate",
        "scored",
        trial=name,
        status=Status.DONE if auc is not None else Status.MEMORY,
        search=purpose == "search",
        message="" if auc is not None else "fold 1: took more than 6.2 GB",
        scores=scores,
        loss=(1 - auc if loss is None else loss) if auc is not None else None,
        noise=0.001,
        seconds=4.0,
        reached={},
        diagnoses=[],
    )


def search(tell: Teller) -> Iterator[Notice]:
    """A round of trials, one of which fails, and the decision after it."""
    yield from trial(tell, "b000", "baseline", 0.5, purpose="baseline")
    yield from trial(tell, "t0001", "lightgbm", 0.921)
    yield from trial(tell, "t0002", "linear", 0.905)
    yield from trial(tell, "t0003", "mlp", None)
    yield from trial(tell, "t0004", "lightgbm", 0.927)
    decision = Decision(Move.NARROW, "lightgbm leads by 0.02, so the others are left out")
    yield tell.record("refine", "decision", decision=decision, round=1)
    asked = Trial("t0005", "lightgbm", {}, {}, 0, SPLIT, "bayes")
    yield tell.record("strategy", "trial", trial=asked)


def ending(tell: Teller) -> Iterator[Notice]:
    """From the last decision to the verdict."""
    cancelled = {"status": "cancelled", "message": "the search ended", "loss": None}
    yield tell.record("validate", "scored", trial="t0005", search=True, scores=[], **cancelled)
    stop = Decision(Move.STOP, "every target is met with room to spare", stop="met")
    yield tell.record("refine", "decision", decision=stop, round=2)
    yield tell.record("refine", "finalists", trials=["t0004", "t0001"], reason="within noise")
    confirmed = [score("roc_auc", 0.926, 0.004, trial="c001")]
    yield tell.record(
        "refine",
        "choice",
        trial="t0004",
        reason="best on fresh folds",
        naive=[],
        confirmed=confirmed,
        candidates=[],
    )
    yield tell.notice("progress", text="refitting on all unsealed rows", step="train")
    yield tell.record("train", "refit", trial="t0004", rows=26_048, digest="d", seconds=2.0)
    yield tell.record("sealed", "intent", digest="d", look=1, reason="", fingerprint="f")
    yield tell.notice("progress", text="opening the seal", step="sealed")
    yield tell.record("sealed", "verdict", verdict=verdict(), scores=[], baseline=[], seconds=1.0)
    yield tell.record("study", "ended", exit=0, reason="met", seconds=91.0)


def verdict() -> Verdict:
    """One objective met, one met but unproven."""
    found = (
        ObjectiveVerdict(AUC, score("roc_auc", 0.928, 0.005), VerdictState.MET),
        ObjectiveVerdict(FAST, score("latency_p95_ms", 3.1, 0.2, unit="ms"), VerdictState.UNPROVEN),
    )
    return Verdict(found, "t0004", (), "d", "f")


def story(tell: Teller | None = None) -> Iterator[Notice]:
    """The whole study."""
    tell = tell or Teller()
    yield from opening(tell)
    yield from search(tell)
    yield from ending(tell)
