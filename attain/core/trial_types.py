"""What is tried and what it gave. Frozen; round-trip through JSON (`core.codec`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from attain.core.space import Config


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
        parent: The waiting trial whose place this one takes; empty for a new configuration.
        origin: The waiting trial whose state it takes over; empty for the parent's own. Its
            configuration may differ from that one's in what is adjustable.
    """

    config: Config
    reason: str
    predicted: float | None = None
    spread: float | None = None
    parent: str = ""
    origin: str = ""


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
        parent: The trial whose paused fit this one goes on with; empty for a new configuration.
        step: Where that fit was paused.
        origin: The trial whose state, seed and configuration it took over instead; mostly empty.
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
    parent: str = ""
    step: int = 0
    origin: str = ""


class Status(StrEnum):
    """How a job or a trial ended.

    Only DONE carries predictions; LOST is nobody's fault and is asked again. RACED trials were
    clearly behind on their first folds, and the others were saved; one whose first fit was paused
    may go on as another trial (`Trial.parent`). PRUNED ones of a function were behind on their way.
    """

    DONE = "done"
    FAILED = "failed"
    DIVERGED = "diverged"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    KILLED = "killed"
    CANCELLED = "cancelled"
    LOST = "lost"
    RACED = "raced"
    PRUNED = "pruned"


SPARED = frozenset({Status.CANCELLED, Status.RACED, Status.PRUNED})
"""How trials end that have no result of their own, and did not fail."""


LOSSES = ("train", "stop")
"""Names of curve values that are losses: of training rows, and of those set aside to stop on."""


@dataclass(frozen=True)
class CurvePoint:
    """One look at a fit under way.

    Attributes:
        step: Rounds or epochs done.
        values: Losses at that step under the names of `LOSSES`, and whatever else the learner tells
            of it, such as the learning rate.
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
        saved_seconds: What the fit would have taken longer had it not found rows that an earlier
            fit had prepared, in wall time of that earlier fit.
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
    saved_seconds: float = 0.0
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
        goals: What to minimise, one number per goal, when there are several; `loss` then says how
            the trial ranks where a strategy knows only one.
        excess: By how much each limit is exceeded, in the limit's units; at most 0 where it holds.
        curve: Steps and losses of its first fit on rows set aside, if it learns in steps; shown to
            strategies that judge. With several goals, while a trial of a function is judged, the
            step that it has come to and the number of the front there.
        step: Where that fit waits to go on; 0 when it does not.
        adjustable: Parameters of `config` that may change while it learns.
        curves: With several goals the curve of each, all at the same steps.
    """

    trial: str
    config: Config
    status: str
    loss: float | None = None
    noise: float | None = None
    seconds: float = 0.0
    round: int = 1
    goals: tuple[float, ...] = ()
    excess: tuple[float, ...] = ()
    curve: tuple[tuple[int, float], ...] = ()
    step: int = 0
    adjustable: tuple[str, ...] = ()
    curves: tuple[tuple[tuple[int, float], ...], ...] = ()


class Signal(StrEnum):
    """What a running trial is told. PAUSE keeps its checkpoint, STOP permits deleting it."""

    CONTINUE = "continue"
    PAUSE = "pause"
    STOP = "stop"
