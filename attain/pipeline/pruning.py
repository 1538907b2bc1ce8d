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

Point = tuple[float, ...]  # the loss of each goal

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

    def judge(self, history: Sequence[Observed], trial: str, points: Sequence[Point]) -> bool:
        """Whether a trial should end where it is.

        Args:
            history: Trials before it, with their curves.
            trial: Its id.
            points: Losses of the goals after each of its steps so far.

        Returns:
            False while none has run to its end, and once it has come as far as those that have.
        """
        from attain.strategy._curves import Judging  # finds plugins: 50 ms that no plan needs

        ends = [(o.curves or (o.curve,))[0][-1][0] for o in history if o.status == Status.DONE]
        whole = max(ends, default=0)
        if len(points) >= whole:
            return False
        strategy: Any = self.strategy
        if self.granted is not None:
            strategy = replace(strategy, first=max(round(whole / self.granted), 1))
        if isinstance(strategy, Judging) and not strategy.looks(trial, len(points)):
            return False
        several = len(points[0]) > 1
        seen, losses = in_fronts(history, points) if several else (history, [p[0] for p in points])
        told = strategy.judge(seen, {trial: losses})
        return told.get(trial, Signal.CONTINUE) is not Signal.CONTINUE


def in_fronts(
    history: Sequence[Observed], points: Sequence[Point]
) -> tuple[tuple[Observed, ...], list[float]]:
    """What to judge by where there are several goals: the number of the front that a trial is on.

    Among all that have come as far, by the best of each goal until then (non-dominated sorting;
    Schmucker et al. 2021, arXiv 2106.12639, prune so). Units of goals do not matter. A trial counts
    as half a front better than those beside it, so that one that no other dominates is ahead of all
    and goes on.

    Args:
        history: Trials with the curve of each goal.
        points: Losses of the goals after each step of the trial that is judged, the last finite.

    Returns:
        Those that have come as far, their curve being their front's number; and its own, for each
        of its steps.
    """
    import numpy as np

    from attain.stats import pareto
    from attain.strategy._curves import best_until

    step = len(points)
    reached = [o for o in history if o.curves and o.curves[0][0][0] <= step <= o.curves[0][-1][0]]
    known = [[best_until(curve, step) for curve in o.curves] for o in reached]
    *others, own = pareto.ranks(np.array([*known, np.min(points, axis=0)], dtype=float)).tolist()
    pairs = zip(reached, others, strict=True)
    seen = tuple(replace(o, curve=((step, float(front)),)) for o, front in pairs)
    return seen, [own - 0.5] * step


@dataclass
class Report:
    """What a function calls after each step of its own; true means: end here.

    Attributes:
        trial: Its id.
        goals: What is asked for.
        pruner: Judges; None for nobody.
        history: Trials before it, with their curves.
        points: Losses of the goals, as reported so far; infinite where they were no number.
        metrics: Of limits, as they were reported last.
        hopeless: What the last report was answered.
    """

    trial: str
    goals: Goals
    pruner: Pruner | None = None
    history: tuple[Observed, ...] = ()
    points: list[Point] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    hopeless: bool = False

    def __call__(self, value: Any) -> bool:
        """Take in what a trial has come to; steps are counted, and must mean the same in all.

        Args:
            value: Of the goal's metric, in its own sign; or a mapping that has those of all goals.

        Returns:
            Whether to end: the trial would hardly become the best, or with several goals be on the
            front; or a loss is no number. A trial that reports again has gone on.

        Raises:
            SpecError: When a goal's metric is missing, or a value is no number.
        """
        goals = self.goals.goals
        metrics, _ = Goals(goals).read(value, f"{self.trial}.{REPORT}")
        self.metrics = {
            limit.metric: metrics[limit.metric]
            for limit in self.goals.limits
            if math.isfinite(metrics.get(limit.metric, math.nan))
        }
        losses = (goal.sign * metrics[goal.metric] for goal in goals)
        self.points.append(tuple(loss if math.isfinite(loss) else math.inf for loss in losses))
        self.hopeless = bool(self._broken) or (
            self.pruner is not None and self.pruner.judge(self.history, self.trial, self.points)
        )
        return self.hopeless

    @property
    def _broken(self) -> list[str]:
        """Metrics whose last value was no number."""
        pairs = zip(self.goals.goals, self.points[-1], strict=True)
        return [goal.metric for goal, loss in pairs if math.isinf(loss)]

    @property
    def status(self) -> Status | None:
        """How the trial ends if it ends now; None for with a result."""
        if not self.hopeless:
            return None
        return Status.DIVERGED if self._broken else Status.PRUNED

    @property
    def message(self) -> str:
        """Why it ended before its end."""
        steps = f"{len(self.points)} report{'s' if len(self.points) > 1 else ''}"
        if self.status is Status.DIVERGED:
            return f"{self._broken[0]} is no number after {steps}"
        name = "" if self.pruner is None else f" ({self.pruner.name})"
        return f"behind others after {steps}{name}"

    @property
    def curves(self) -> tuple[Curve, ...]:
        """The best loss of each goal at some of the steps, from the first that was a number."""
        known = [(i, point) for i, point in enumerate(self.points, 1) if max(point) < math.inf]
        ways = ([(step, point[k]) for step, point in known] for k in range(len(self.goals.goals)))
        return tuple(map(shortened, ways)) if known else ()

    def recorded(self) -> dict[str, Any]:
        """What a record keeps of it; nothing when nothing was reported."""
        if not self.points:
            return {}
        if self.goals.several:
            return {"curves": self.curves}
        return {"curve": next(iter(self.curves), ())}


def read_pruner(stated: Any, strategy: Any, *, several: bool) -> Pruner | None:
    """What ends trials of a search.

    Args:
        stated: A name, an instance that judges, or None for the strategy, if it judges.
        strategy: As stated for the search.
        several: Whether there are several goals.

    Returns:
        None where nothing is ended.

    Raises:
        SpecError: When what is stated cannot judge, or not by several goals.
        PluginError: When no strategy has this name.
    """
    if stated is None:
        judge = None if strategy == AUTO else load(strategy)
        if judge is None or not _judges(judge) or (several and _forecasts(judge)):
            return None
        stated = strategy
    found = load(stated) if isinstance(stated, str) else stated
    if not _judges(found):
        raise SpecError(Problem("a pruner must judge", repr(stated), "pruner", f"give {_RULES}"))
    if several and _forecasts(found):
        rule, remedy = "'curves' forecasts a single goal", "give 'median', 'halving' or 'hyperband'"
        raise SpecError(Problem(rule, "several goals", "pruner", remedy))
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


def _forecasts(strategy: Any) -> bool:
    """Whether it judges by the shape of curves, and not by who is ahead at the same step."""
    from attain.strategy._curves import Judging, Ranking

    return isinstance(strategy, Judging) and not isinstance(strategy, Ranking)


def _judges(strategy: Any) -> bool:
    return bool(getattr(strategy, "judges", hasattr(strategy, "judge")))
