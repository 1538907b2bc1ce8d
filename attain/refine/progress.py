"""What refinement looks at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from attain.core.space import Config, Parameter, Scalar, Space
from attain.core.types import (
    Decision,
    Diagnosis,
    Move,
    Objective,
    Observed,
    RungForecast,
    Score,
    Status,
)

FAILURES = frozenset({Status.FAILED, Status.DIVERGED, Status.TIMEOUT, Status.MEMORY, Status.KILLED})


@dataclass(frozen=True)
class Rung:
    """What it takes to open a choice that is held back.

    Attributes:
        seconds: Wall time of one trial and of confirming it; None where nobody knows.
        forecast: What its learner says of it, if it does.
        refused: Why it may not be opened here, in one clause; empty if it may.
    """

    seconds: float | None = None
    forecast: RungForecast | None = None
    refused: str = ""


@dataclass(frozen=True)
class Progress:
    """A study at a check point, the end of a round.

    Attributes:
        round: The round that has ended, from 1.
        space: The present space.
        history: All trials so far.
        objectives: What good means.
        best_scores: Scores of the best trial, by metric; empty when there is none.
        best_point: The best trial's point; empty when there is none.
        diagnoses: What validation says of the best trial.
        importance: Share of each parameter in what separates good trials, 0 where unknown.
        trials_left: Trials that may still be asked (may be inf).
        seconds_left: Wall time left for the search (may be inf).
        rounds_without_gain: Rounds since the best loss fell by more than the noise.
        noise: Standard error of the difference of two good trials, in units of the loss.
        previous: The previous decision and the best loss when it was made.
        exhausted: Whether the strategy has no configuration left to propose.
        expected_gain: The strategy's own estimate of what the next round will gain, in units of
            the loss; None when it has none.
        rungs: For each ladder of the space (by name), what is known of its choices, from cheap to
            dear, open ones too.
        seconds_free: Wall time left for the search and for confirming what it finds (may be inf).
    """

    round: int
    space: Space
    history: tuple[Observed, ...]
    objectives: tuple[Objective, ...]
    best_scores: Mapping[str, Score]
    best_point: Config
    diagnoses: tuple[Diagnosis, ...]
    importance: Mapping[str, float]
    trials_left: float
    seconds_left: float
    rounds_without_gain: int
    noise: float
    previous: tuple[Decision, float | None] | None = None
    exhausted: bool = False
    expected_gain: float | None = None
    rungs: Mapping[str, Mapping[Scalar, Rung]] = field(default_factory=dict)
    seconds_free: float = math.inf

    @property
    def done(self) -> tuple[Observed, ...]:
        """Trials with a loss, best first; ties in order of asking."""
        scored = [o for o in self.history if o.loss is not None and math.isfinite(o.loss)]
        return tuple(sorted(scored, key=lambda o: (o.loss, o.trial)))

    @property
    def failed(self) -> tuple[Observed, ...]:
        """Trials that ended badly through a fault of their own."""
        return tuple(o for o in self.history if o.status in FAILURES)

    @property
    def best_loss(self) -> float | None:
        """The smallest loss so far."""
        return self.done[0].loss if self.done else None


@dataclass(frozen=True)
class Step:
    """What one rule saw, and what it would change.

    Attributes:
        kind: What the change does to the study.
        diagnosis: What was seen.
        changed: New forms of parameters; empty when there is nothing to change.
        predicted: By how much the best loss should fall, if the rule has a reason to say so.
    """

    kind: Move
    diagnosis: Diagnosis
    changed: tuple[Parameter, ...] = ()
    predicted: float | None = None


def expected_gain(progress: Progress) -> float | None:
    """What as many trials again would gain, if they are like those so far.

    The best of n is compared with the expected best of a random half of them, exactly, from the
    order statistics: E[min of m out of n] = sum_i x_(i) C(n - i, m - 1) / C(n, m). Gains diminish
    from doubling to doubling, so this errs on the side of going on.

    Args:
        progress: The study.

    Returns:
        In units of the loss, at least 0; the strategy's own estimate where there is one; None with
        fewer than four finished trials.
    """
    if progress.expected_gain is not None:
        return max(progress.expected_gain, 0.0)
    losses = [o.loss for o in progress.done if o.loss is not None]
    n, m = len(losses), len(losses) // 2
    if n < 4:
        return None
    # The chance that the i-th smallest is the best of the half, built up without factorials.
    chance, total = m / n, 0.0
    for i, value in enumerate(losses[: n - m + 1]):
        total += chance * (value - losses[0])
        chance *= (n - i - m) / (n - i - 1) if i < n - 1 else 0.0
    return total
