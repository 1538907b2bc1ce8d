"""The records that steps exchange. All frozen; all round-trip through JSON (`core.codec`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attain.core.space import Config, Space

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Task(StrEnum):
    """What is predicted."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def classifies(self) -> bool:
        """Whether the target is a class."""
        return self is not Task.REGRESSION


class Direction(StrEnum):
    """Which way is better; always the metric's own, never guessed."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


class Role(StrEnum):
    """Whether an objective is what to improve or a limit to stay within."""

    GOAL = "goal"
    CONSTRAINT = "constraint"


@dataclass(frozen=True)
class Objective:
    """One statement of what good means.

    Attributes:
        metric: Name in the metric table, with its parameter if any (``pinball@0.9``).
        direction: From the metric table.
        target: Threshold in metric units, or None for "as good as possible".
        role: Goal (model quality) or constraint (efficiency limits).
        confidence: Of the interval that must clear the target, in (0, 1).
        unit: Unit of the metric, empty for a pure number.
        low: Smallest possible value of the metric (may be -inf).
        high: Largest possible value of the metric (may be inf).
    """

    metric: str
    direction: Direction
    target: float | None = None
    role: Role = Role.GOAL
    confidence: float = 0.95
    unit: str = ""
    low: float = float("-inf")
    high: float = float("inf")

    def __str__(self) -> str:
        if self.target is None:
            return f"{self.direction} {self.metric}"
        sign = ">=" if self.direction is Direction.MAXIMIZE else "<="
        return f"{self.metric} {sign} {self.target:g}"

    def reached(self, value: float) -> bool:
        """Whether a value clears the target; True when there is no target."""
        if self.target is None:
            return True
        if self.direction is Direction.MAXIMIZE:
            return value >= self.target
        return value <= self.target


class ColumnKind(StrEnum):
    """How a column is read."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    TEXT = "text"


class ColumnRole(StrEnum):
    """What a column is used for."""

    FEATURE = "feature"
    TARGET = "target"
    GROUP = "group"
    TIME = "time"
    IGNORED = "ignored"


@dataclass(frozen=True)
class Column:
    """One column as attain understands it.

    Attributes:
        name: As in the file.
        kind: How it is read.
        role: What it is used for.
        reason: Why this kind and role, in one clause, shown to the user.
        missing: Missing cells among the unsealed rows.
        distinct: Distinct present values among the unsealed rows.
        format: How cells are written where text alone does not tell: a strptime pattern or
            ``ISO8601`` for dates, ``mixed`` for numbers among which other text counts as missing.
    """

    name: str
    kind: ColumnKind
    role: ColumnRole = ColumnRole.FEATURE
    reason: str = ""
    missing: int = 0
    distinct: int = 0
    format: str = ""


@dataclass(frozen=True)
class Dataset:
    """What is known of the unsealed rows. Never holds a sealed row nor its address.

    Attributes:
        address: Where the rows came from, for people.
        fingerprint: Content hash of the unsealed rows (hex).
        rows: Number of unsealed rows.
        columns: In file order, target and helpers included.
        target: Name of the target column.
        task: What is predicted.
        classes: Class labels as text, sorted, code = position; empty for regression.
        class_counts: Unsealed rows of each class, in the order of `classes`.
        groups: Column whose values must not be split between folds, if any.
        time: Column that orders the rows, if any.
        task_reason: Why this task, in one clause.
        modality: ``table`` for now.
    """

    address: str
    fingerprint: str
    rows: int
    columns: tuple[Column, ...]
    target: str
    task: Task
    classes: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = ()
    groups: str | None = None
    time: str | None = None
    task_reason: str = ""
    modality: str = "table"

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that a learner sees."""
        return tuple(c for c in self.columns if c.role is ColumnRole.FEATURE)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in memory, as learners see them.

    Attributes:
        X: Features, one column per `Dataset.features`, in that order. Numeric and boolean columns
            are float64, categorical and text columns are strings (missing is None/NaN), datetime
            columns are datetime64.
        y: Class codes (int64, positions in `Dataset.classes`) or values (float64); shape (n,).
            None for rows without a target.
        groups: Group of each row, shape (n,), or None.
        time: Sortable time of each row, shape (n,), or None.
    """

    X: pd.DataFrame
    y: np.ndarray | None = None
    groups: np.ndarray | None = None
    time: np.ndarray | None = None

    def take(self, index: np.ndarray) -> Rows:
        """The rows at these positions, in this order.

        Args:
            index: Integer positions, shape (m,).

        Returns:
            New rows; the frame is a copy.
        """
        pick = lambda values: None if values is None else values[index]  # noqa: E731
        return Rows(self.X.iloc[index], pick(self.y), pick(self.groups), pick(self.time))

    def __len__(self) -> int:
        return len(self.X)


class Severity(StrEnum):
    """How much a finding matters."""

    BLOCKER = "blocker"
    ISSUE = "issue"
    TIP = "tip"


class FindingState(StrEnum):
    """What a check answered."""

    FOUND = "found"
    PASSED = "passed"
    NOT_APPLICABLE = "not applicable"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """What a data check answered.

    Attributes:
        code: Stable for ever; has a section in ``docs/checks.md``.
        title: What was checked, in a few words.
        state: The answer.
        severity: How much it matters when found.
        explanation: What was found, with numbers, or why it does not apply.
        remedy: What to do next.
        columns: Columns concerned.
        rows: At most 20 positions of rows concerned.
        evidence: Numbers behind the explanation.
    """

    code: str
    title: str
    state: FindingState
    severity: Severity = Severity.TIP
    explanation: str = ""
    remedy: str = ""
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


class SplitKind(StrEnum):
    """How rows are divided into training and validation rows."""

    HOLDOUT = "holdout"
    KFOLD = "kfold"
    STRATIFIED = "stratified"
    GROUPED = "grouped"
    STRATIFIED_GROUPED = "stratified grouped"
    TIME = "time"


@dataclass(frozen=True)
class Split:
    """A plan that, with the rows, fixes every fold.

    Attributes:
        kind: How rows are divided.
        folds: Number of folds in each repeat (1 for a hold-out).
        repeats: How often the division is drawn afresh.
        seed: Of the shuffling.
        reason: Why this plan, in one clause.
    """

    kind: SplitKind
    folds: int = 5
    repeats: int = 1
    seed: int = 0
    reason: str = ""

    @property
    def jobs(self) -> int:
        """Number of fits that one configuration costs."""
        return self.folds * self.repeats


@dataclass(frozen=True)
class Proposal:
    """What a strategy asks to try next.

    Attributes:
        config: Values of the active parameters.
        reason: Who asked and why, in one clause.
        predicted: Predicted loss, if the strategy has a model.
        spread: Standard deviation of that prediction.
    """

    config: Config
    reason: str
    predicted: float | None = None
    spread: float | None = None


@dataclass(frozen=True)
class Trial:
    """One configuration to be trained and validated.

    Attributes:
        id: Unique in the study; sorts in order of asking.
        learner: Registered name.
        config: Values of the learner's own parameters (without the learner's prefix).
        point: The configuration as the strategy named it (with learner and prefixes).
        seed: Of everything random in this trial.
        split: Which rows train and which validate.
        reason: Who asked and why.
        round: Of refinement, from 1; 0 for baselines.
        seen: Id of the last record visible when it was proposed.
        purpose: ``baseline``, ``search`` or ``confirm``.
        predicted: Loss that the strategy predicted, if any.
        fidelity: Share of the full training that is granted, in (0, 1].
    """

    id: str
    learner: str
    config: Config
    point: Config
    seed: int
    split: Split
    reason: str
    round: int = 1
    seen: int = 0
    purpose: str = "search"
    predicted: float | None = None
    fidelity: float = 1.0


class Status(StrEnum):
    """How a job ended. Only DONE carries predictions; LOST is nobody's fault and is asked again."""

    DONE = "done"
    FAILED = "failed"
    DIVERGED = "diverged"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    KILLED = "killed"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True)
class CurvePoint:
    """One look at a fit under way.

    Attributes:
        step: Rounds or epochs done.
        values: Named losses at that step, such as ``train`` and ``stop``.
    """

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Outcome:
    """What one fit of a trial (one fold) gave.

    Attributes:
        trial: Id of the trial.
        fold: Position of the fold in the split.
        status: How it ended.
        message: Why, when it did not end well.
        predictions: File of the validation predictions, relative to the study folder.
        train_predictions: File of predictions on (a sample of) the training rows.
        curve: Looks at the fit under way.
        facts: What the fit learnt that a refit needs (``rounds``), and what was measured
            (``latency_ms``, ``size_bytes``).
        fit_seconds: Wall time of the fit.
        predict_seconds: Wall time of predicting the validation rows.
        seconds: Wall time of the whole job.
        peak_bytes: Peak resident memory of the worker.
        log: File with what the fit printed, relative to the study folder.
    """

    trial: str
    fold: int
    status: Status
    message: str = ""
    predictions: str = ""
    train_predictions: str = ""
    curve: tuple[CurvePoint, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    seconds: float = 0.0
    peak_bytes: int = 0
    log: str = ""


@dataclass(frozen=True)
class Score:
    """An estimate with its uncertainty. There is no estimate without interval and n.

    Attributes:
        trial: Id of the trial, or ``final``.
        metric: Name in the metric table.
        estimate: Value in metric units.
        low: Lower end of the two-sided interval.
        high: Upper end of the two-sided interval.
        n: Independent units behind it (rows, groups, timings).
        unit: Of the metric.
        method: How the interval was made.
        confidence: Of the interval.
        per_fold: Value on each fold, if there are folds.
        train: The same metric on training rows, if known.
    """

    trial: str
    metric: str
    estimate: float
    low: float
    high: float
    n: int
    unit: str = ""
    method: str = ""
    confidence: float = 0.95
    per_fold: tuple[float, ...] = ()
    train: float | None = None


@dataclass(frozen=True)
class Observed:
    """One trial as a strategy sees it.

    Attributes:
        trial: Id.
        config: The point as the strategy named it.
        status: ``running``, or how it ended; LOST trials are never shown.
        loss: What to minimise; None while running or when it failed.
        noise: Standard error of the loss, if known.
        seconds: Compute time spent.
        round: Of refinement.
    """

    trial: str
    config: Config
    status: str
    loss: float | None = None
    noise: float | None = None
    seconds: float = 0.0
    round: int = 1


class Signal(StrEnum):
    """What a running trial is told. PAUSE keeps its checkpoint, STOP permits deleting it."""

    CONTINUE = "continue"
    PAUSE = "pause"
    STOP = "stop"


class Move(StrEnum):
    """What a decision does to the study."""

    CONTINUE = "continue"
    NARROW = "narrow"
    WIDEN = "widen"
    CLIMB = "climb"
    CONFIRM = "confirm"
    STOP = "stop"


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with the search or its best model.

    Attributes:
        code: Stable; has a section in ``docs/diagnoses.md``.
        explanation: With numbers.
        parameters: Parameters concerned.
        evidence: Numbers behind it.
    """

    code: str
    explanation: str
    parameters: tuple[str, ...] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """The only way back to step 2.

    Attributes:
        kind: What it does.
        reason: In one sentence, for the user.
        diagnoses: What led to it.
        evidence: Ids of the records it rests on.
        space: The space from now on, when it changes.
        changes: The changes to the space in words.
        predicted: Predicted improvement of the loss, if any.
        measured: Effect of the previous round's decision on the best loss, once known.
        stop: Why the search ends: ``met``, ``budget``, ``unlikely``, ``exhausted`` or empty.
    """

    kind: Move
    reason: str
    diagnoses: tuple[Diagnosis, ...] = ()
    evidence: tuple[int, ...] = ()
    space: Space | None = None
    changes: tuple[str, ...] = ()
    predicted: float | None = None
    measured: float | None = None
    stop: str = ""


class VerdictState(StrEnum):
    """What the sealed rows say of one objective."""

    MET = "met"
    UNPROVEN = "met, unproven"
    NOT_MET = "not met"
    REPORTED = "reported"


@dataclass(frozen=True)
class ObjectiveVerdict:
    """What the sealed rows say of one objective.

    Attributes:
        objective: The statement.
        score: On the sealed rows, or measured on the final model.
        state: REPORTED when the objective has no target.
        shortfall: Distance of the estimate from the target in metric units, 0 when reached.
        rows_needed: Sealed rows that would settle an unproven objective, if the estimate holds.
        advice: What would help, when not met.
    """

    objective: Objective
    score: Score
    state: VerdictState
    shortfall: float = 0.0
    rows_needed: int | None = None
    advice: str = ""


@dataclass(frozen=True)
class Verdict:
    """The end of a study; at most one per look at the seal.

    Attributes:
        objectives: One verdict each.
        finalist: Trial id.
        baseline: Scores of the baseline on the same sealed rows.
        digest: Of the frozen model that was tested.
        seal: Fingerprint of the sealed rows.
        looks: How often the seal has been opened, this time included.
        confidence: After tightening for repeated looks.
    """

    objectives: tuple[ObjectiveVerdict, ...]
    finalist: str
    baseline: tuple[Score, ...]
    digest: str
    seal: str
    looks: int = 1
    confidence: float = 0.95

    @property
    def state(self) -> VerdictState:
        """The worst state among objectives with a target; REPORTED if none has one."""
        states = {v.state for v in self.objectives}
        for state in (VerdictState.NOT_MET, VerdictState.UNPROVEN, VerdictState.MET):
            if state in states:
                return state
        return VerdictState.REPORTED


@dataclass(frozen=True)
class Draft:
    """A record before the ledger has given it an id.

    Attributes:
        step: Which of the seven steps (or ``data``, ``report``, ``study``) it belongs to.
        kind: What it holds, such as ``trial`` or ``outcome``.
        payload: JSON object.
        parents: Ids of the records it rests on.
    """

    step: str
    kind: str
    payload: Mapping[str, Any]
    parents: tuple[int, ...] = ()


@dataclass(frozen=True)
class Record:
    """One line of the ledger. Append only; parents are older.

    Attributes:
        id: Position, from 1.
        step: As in the draft.
        kind: As in the draft.
        payload: As in the draft.
        parents: As in the draft.
        at: Seconds since the epoch.
    """

    id: int
    step: str
    kind: str
    payload: Mapping[str, Any]
    parents: tuple[int, ...]
    at: float
