"""Trials of a function that report on their way, and what ends those that stay behind."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from attain.core.errors import Problem, SpecError
from attain.core.protocols import Strategy
from attain.core.types import Observed, Signal, Status
from attain.pipeline.curves import Curve, shortened
from attain.pipeline.goals import Goals
from attain.pipeline.journal import AUTO, load, name_of

REPORT = "report"
_GRANTED = {"median": 10, "curves": 3, "halving": 9, "hyperband": 9}
_RULES = "'median', 'halving', 'hyperband', 'curves', a strategy that judges, or None"


@dataclass(frozen=True)
class Pruner:
    """What ends trials.

    Attributes:
        name: In messages.
        strategy: Judges.
        granted: Of the steps of a whole trial, one in so many is granted to each; None where the
            strategy says itself how many are. How many steps a function has is known once a trial
            has run to its end.
    """

    name: str
    strategy: Strategy
    granted: int | None = None

    def judge(self, history: Sequence[Observed], trial: str, losses: Sequence[float]) -> bool:
        """Whether a trial should end where it is.

        Args:
            history: Trials before it, with their curves.
            trial: Its id.
            losses: After each of its steps so far.

        Returns:
            False while none has run to its end, and once it has come as far as those that have.
        """
        ends = [o.curve[-1][0] for o in history if o.status == Status.DONE]
        whole = max(ends, default=0)
        if len(losses) >= whole:
            return False
        strategy: Any = self.strategy
        if self.granted is not None:
            strategy = replace(strategy, first=max(round(whole / self.granted), 1))
        told = strategy.judge(history, {trial: losses})
        return told.get(trial, Signal.CONTINUE) is not Signal.CONTINUE


@dataclass
class Report:
    """What a function calls after each step of its own; true means: end here.

    Attributes:
        trial: Its id.
        goals: What is asked for.
        pruner: Judges; None for nobody.
        history: Trials before it, with their curves.
        losses: Reported so far, infinite where they were no number.
        metrics: Of limits, as they were reported last.
        hopeless: What the last report was answered.
    """

    trial: str
    goals: Goals
    pruner: Pruner | None = None
    history: tuple[Observed, ...] = ()
    losses: list[float] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    hopeless: bool = False

    def __call__(self, value: Any) -> bool:
        """Take in what a trial has come to; steps are counted, and must mean the same in all.

        Args:
            value: Of the goal's metric, in its own sign; or a mapping that has it.

        Returns:
            Whether to end: the trial would hardly become the best, or its loss is no number. A
            trial that reports again has gone on.

        Raises:
            SpecError: When there are several goals, or the value is no number.
        """
        if self.goals.several:
            rule, remedy = "a report needs a single goal", "state limits for the others"
            raise SpecError(Problem(rule, str(self.goals), REPORT, remedy))
        goal = self.goals.goals[0]
        metrics, _ = Goals((goal,)).read(value, f"{self.trial}.{REPORT}")
        self.metrics = {
            limit.metric: metrics[limit.metric]
            for limit in self.goals.limits
            if math.isfinite(metrics.get(limit.metric, math.nan))
        }
        loss = goal.sign * metrics[goal.metric]
        self.losses.append(loss if math.isfinite(loss) else math.inf)
        broken = math.isinf(self.losses[-1])
        self.hopeless = broken or (
            self.pruner is not None and self.pruner.judge(self.history, self.trial, self.losses)
        )
        return self.hopeless

    @property
    def status(self) -> Status | None:
        """How the trial ends if it ends now; None for with a result."""
        if not self.hopeless:
            return None
        return Status.DIVERGED if math.isinf(self.losses[-1]) else Status.PRUNED

    @property
    def message(self) -> str:
        """Why it ended before its end."""
        steps = f"{len(self.losses)} report{'s' if len(self.losses) > 1 else ''}"
        if self.status is Status.DIVERGED:
            return f"{self.goals.goals[0].metric} is no number after {steps}"
        name = "" if self.pruner is None else f" ({self.pruner.name})"
        return f"behind others after {steps}{name}"

    @property
    def curve(self) -> Curve:
        """The best loss at some of the steps, from the first that was a number."""
        known = enumerate(self.losses, 1)
        return shortened([(step, loss) for step, loss in known if math.isfinite(loss)])


def read_pruner(stated: Any, strategy: Any, goals: Goals) -> Pruner | None:
    """What ends trials of a search.

    Args:
        stated: A name, an instance that judges, or None for the strategy, if it judges.
        strategy: As stated for the search.
        goals: What is asked for.

    Returns:
        None where nothing is ended.

    Raises:
        SpecError: When what is stated cannot judge, or there are several goals.
        PluginError: When no strategy has this name.
    """
    if stated is None:
        if goals.several or strategy == AUTO or not _judges(load(strategy)):
            return None
        stated = strategy
    if goals.several:
        rule, remedy = "a pruner needs a single goal", "leave it out, or state limits"
        raise SpecError(Problem(rule, str(goals), "pruner", remedy))
    found = load(stated) if isinstance(stated, str) else stated
    if not _judges(found):
        raise SpecError(Problem("a pruner must judge", repr(stated), "pruner", f"give {_RULES}"))
    name = name_of(stated).rpartition(":")[2].lower()
    return Pruner(name, found, _GRANTED.get(name) if isinstance(stated, str) else None)


def reports(function: Callable[..., Any]) -> bool:
    """Whether a function takes ``report`` beside the configuration.

    Args:
        function: The user's.

    Returns:
        Whether its second parameter has no default, or this name.
    """
    try:
        known = [*inspect.signature(function).parameters.values()]
    except (TypeError, ValueError):  # some built-in ones do not say
        return False
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    second = [p for p in known if p.kind in places][1:2]
    return any(p.default is p.empty or p.name == REPORT for p in second)


def _judges(strategy: Any) -> bool:
    return bool(getattr(strategy, "judges", hasattr(strategy, "judge")))
