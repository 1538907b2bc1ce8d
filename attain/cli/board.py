"""What a running study looks like now. Both views draw this and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from attain.core.types import Objective

Payload = Mapping[str, Any]


@dataclass(frozen=True)
class OpenTrial:
    """A trial that is not scored yet.

    Attributes:
        learner: Its family.
        purpose: ``baseline``, ``search`` or ``confirm``.
        folds: Fits that it costs.
        done: Fits that have ended.
        look: The newest look at a fit under way, in words.
    """

    learner: str
    purpose: str
    folds: int
    done: int = 0
    look: str = ""


@dataclass(frozen=True)
class Board:
    """Everything that is shown of a running study.

    Attributes:
        seen: Kinds of records that have been written.
        facts: For each step (and ``data``, ``seal``, ``title``), what its records say, in words.
        objectives: What good means.
        scores: Of the best trial so far: metric to encoded score.
        expected: Scores of the best corrected for its selection, by metric; empty once it is
            confirmed.
        baseline: Of the first baseline: metric to encoded score.
        sealed: Verdict of each objective, by its statement.
        open: Trials under way, in order of asking.
        learners: Learner of each trial.
        best: Id of the best trial so far.
        loss: Its loss.
        failed: Trials that did not end well.
        round: Of refinement, from 1.
        decision: The last decision's reason.
        findings: Code, severity and explanation of what the audit found.
        doing: What a step without records is doing.
        stopping: Whether a clean stop was asked for.
        running: Jobs under way.
        trials: Search trials scored.
        trials_total: Search trials allowed, if limited.
        elapsed: Seconds of the time budget spent, on searching and confirming.
        seconds_total: Seconds of the time budget, if limited.
    """

    seen: frozenset[str] = frozenset()
    facts: Mapping[str, str] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = ()
    scores: Mapping[str, Payload] = field(default_factory=dict)
    expected: Mapping[str, Payload] = field(default_factory=dict)
    baseline: Mapping[str, Payload] = field(default_factory=dict)
    sealed: Mapping[str, Payload] = field(default_factory=dict)
    open: Mapping[str, OpenTrial] = field(default_factory=dict)
    learners: Mapping[str, str] = field(default_factory=dict)
    best: str = ""
    loss: float | None = None
    failed: int = 0
    round: int = 1
    decision: str = ""
    findings: tuple[tuple[str, str, str], ...] = ()
    doing: str = ""
    stopping: bool = False
    running: int = 0
    trials: int = 0
    trials_total: int | None = None
    elapsed: float = 0.0
    seconds_total: float | None = None

    @property
    def share(self) -> float | None:
        """Share of the budget that is spent, in [0, 1]; None without a budget."""
        shares = []
        if self.trials_total:
            shares.append(self.trials / self.trials_total)
        if self.seconds_total:
            shares.append(self.elapsed / self.seconds_total)
        return min(1.0, max(shares)) if shares else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the first limit is reached; None when nobody can know."""
        if "finalists" in self.seen:
            return None
        left = []
        if self.seconds_total:
            left.append(self.seconds_total - self.elapsed)
        if self.trials_total and self.trials >= 3:
            left.append((self.trials_total - self.trials) * self.elapsed / self.trials)
        return max(0.0, min(left)) if left else None
