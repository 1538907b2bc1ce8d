"""Trials of a function that report on their way, and what ends those that stay behind."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

from attain.core.errors import Problem, SpecError
from attain.core.protocols import Strategy
from attain.core.types import Observed, Signal, Status
from attain.pipeline.curves import Curve, shortened
from attain.pipeline.goals import Goals
from attain.pipeline.journal import AUTO, load, name_of

USUAL = "median"
REPORT = "report"
_RULES = "'auto', None, or one that judges: 'median', 'halving', 'hyperband', 'curves'"


@dataclass(frozen=True)
class Pruner:
    """What ends trials.

    Attributes:
        name: In messages.
        strategy: Judges.
    """

    name: str
    strategy: Strategy


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
        self.hopeless = math.isinf(self.losses[-1]) or self._behind()
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
        """The best loss at some of the steps."""
        return shortened(list(enumerate(self.losses, 1)))

    @cached_property
    def _whole(self) -> float:
        """Reports of those that ran to their end: who has come as far has done so, too."""
        ends = [o.curve[-1][0] for o in self.history if o.status == Status.DONE]
        return max(ends, default=math.inf)

    def _behind(self) -> bool:
        if self.pruner is None or len(self.losses) >= self._whole:
            return False
        told = self.pruner.strategy.judge(self.history, {self.trial: self.losses})
        return told.get(self.trial, Signal.CONTINUE) is not Signal.CONTINUE


def read_pruner(stated: Any, strategy: Any, goals: Goals) -> Pruner | None:
    """What ends trials of a search.

    Args:
        stated: ``auto``, a name, an instance that judges, or None.
        strategy: As stated for the search; where it judges itself, ``auto`` leaves that to it.
        goals: What is asked for.

    Returns:
        None where nothing is ended, as with several goals.

    Raises:
        SpecError: When what is stated cannot judge, or there are several goals.
        PluginError: When no strategy has this name.
    """
    auto = isinstance(stated, str) and stated == AUTO
    if stated is None or (auto and goals.several):
        return None
    if goals.several:
        rule, remedy = "a pruner needs a single goal", "leave it out, or state limits"
        raise SpecError(Problem(rule, str(goals), "pruner", remedy))
    if auto:
        stated = strategy if not _is_auto(strategy) and _judges(load(strategy)) else USUAL
    if not isinstance(stated, str) and not hasattr(stated, "judge"):
        raise SpecError(Problem("a pruner must judge", repr(stated), "pruner", f"give {_RULES}"))
    found = _from_first(load(stated)) if isinstance(stated, str) else stated
    if not _judges(found):
        raise SpecError(Problem("a pruner must judge", repr(stated), "pruner", f"give {_RULES}"))
    return Pruner(name_of(stated).rpartition(":")[2].lower(), found)


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


def _is_auto(strategy: Any) -> bool:
    return isinstance(strategy, str) and strategy == AUTO


def _judges(strategy: Any) -> bool:
    return bool(getattr(strategy, "judges", hasattr(strategy, "judge")))


def _from_first(strategy: Strategy) -> Strategy:
    """Judging from the first report on: a function's steps are epochs, not boosting rounds."""
    known: Any = strategy
    if is_dataclass(known) and any(f.name == "first" for f in fields(known)):
        known = replace(known, first=1)  # type: ignore[type-var]
    found: Strategy = known
    return found
