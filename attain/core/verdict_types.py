"""What follows from it, and how it is recorded. Frozen; round-trip through JSON (`core.codec`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from attain.core.data_types import Objective
from attain.core.space import Space
from attain.core.trial_types import Score


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
        stop: Why the search ends: ``met``, ``budget``, ``unlikely``, ``exhausted``, ``request`` (of
            a person) or empty.
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
