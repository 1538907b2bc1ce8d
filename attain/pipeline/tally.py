"""The trials of a function as the records say; the same records always give the same state.

Both a running optimizer and one that is opened again go through `Tally.apply`, so that nothing can
be known that was not recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from attain.core.space import Scalar
from attain.core.types import Observed, Status
from attain.pipeline.curves import MOST_CURVES, Curve
from attain.pipeline.goals import Goals
from attain.pipeline.spaces import config_key

if TYPE_CHECKING:
    from attain.stats.ranks import Ranks

RUNNING = "running"
_TILT = 0.05  # how much the mean counts beside the worst goal


@dataclass(frozen=True)
class FunctionTrial:
    """One configuration and what the function gave there.

    Attributes:
        id: Unique in the study; sorts in order of asking.
        config: Values of the active parameters; yours to change.
        reason: Who asked for it and why.
        predicted: Loss that the strategy predicted, if it has a model.
        spread: Standard deviation of that prediction.
        origin: ``start``, ``earlier`` (a good one of an earlier study), ``strategy`` or ``added``.
        status: ``running``, ``lost`` (waits to be asked again), or how it ended, as in
            `attain.core.types.Status`.
        metrics: Everything that was told, in your own signs.
        loss: What is minimised: the goal, its sign turned for ``maximize``. With several goals, how
            the trial compares with the others so far.
        goals: With several goals, the loss of each.
        excess: By how much each limit is exceeded; at most 0 where it holds.
        noise: Standard error of the loss, if it was told.
        seconds: What it cost, if it was told.
        message: Why it did not end well.
        curve: The best loss that it had reported up to some steps; of a single goal.
        curves: With several goals the curve of each, all at the same steps.
        expected: Of a pruned one, the loss that it would have come to, as far as can be said.
    """

    id: str
    config: dict[str, Scalar]
    reason: str = ""
    predicted: float | None = None
    spread: float | None = None
    origin: str = "strategy"
    status: str = RUNNING
    metrics: Mapping[str, float] = field(default_factory=dict)
    loss: float | None = None
    goals: tuple[float, ...] = ()
    excess: tuple[float, ...] = ()
    noise: float | None = None
    seconds: float = 0.0
    message: str = ""
    curve: Curve = ()
    expected: float | None = None
    curves: tuple[Curve, ...] = ()

    @property
    def done(self) -> bool:
        """Whether it ended well."""
        return self.status == Status.DONE

    @property
    def feasible(self) -> bool:
        """Whether it ended well and keeps every limit."""
        return self.done and all(e <= 0 for e in self.excess)


class Tally:
    """All trials, kept up to date record by record.

    Args:
        goals: What is asked for.
    """

    def __init__(self, goals: Goals) -> None:
        self.goals = goals
        self.trials: dict[str, FunctionTrial] = {}
        self.lost: dict[str, None] = {}
        self.done = 0
        self.ended = 0
        self.handed: dict[str, int] = {}
        self._observed: dict[str, Observed] = {}
        self._shown: list[Observed] | None = []
        self._place_in_shown: dict[str, int] = {}
        self._asked: set[frozenset[Any]] = set()
        self._lead: tuple[tuple[Any, ...], str] | None = None
        self._low: list[float] = []
        self._high: list[float] = []
        self._curves: dict[str, None] = {}  # trials that reported on their way, as they ended
        self._pruned: dict[str, None] = {}
        self._whole = 0  # trials with a curve that ran to their end
        self._ranks: tuple[Ranks, ...] = ()  # one for each goal
        self._ranked_by = -1  # whole trials that pruned ones are ranked by
        self._unranked: list[str] = []

    @property
    def pruned(self) -> int:
        """Trials that ended on their way, being behind."""
        return len(self._pruned)

    @property
    def next_id(self) -> str:
        """The id of the next new trial."""
        return self.id_after(0)

    def id_after(self, count: int) -> str:
        """The id of a new trial once so many others are known."""
        return f"t{len(self.trials) + count + 1:05d}"

    def history(self) -> Sequence[Observed]:
        """What a strategy sees: running and ended trials in order of asking, lost ones not.

        Valid until the next record: it is kept up to date in place, so that reading it costs the
        same however long it is. A pruned trial has the loss that it would have come to, as far as
        its rank tells, and how uncertain that is.
        """
        self._rank()
        if self._shown is None:
            self._shown = list(self._observed.values())
            self._place_in_shown = {o.trial: i for i, o in enumerate(self._shown)}
        return self._shown

    def curves(self) -> tuple[Observed, ...]:
        """The last hundred trials that reported on their way, but for those that broke limits."""
        known = [self._observed[trial] for trial in self._curves]
        return tuple([o for o in known if not any(e > 0 for e in o.excess)][-MOST_CURVES:])

    def knows(self, config: Mapping[str, Scalar]) -> bool:
        """Whether a configuration was asked for or added."""
        return self.knows_key(config_key(config))

    def knows_key(self, key: frozenset[Any]) -> bool:
        """The same for a key of `spaces.config_key`."""
        return key in self._asked

    def show(self, trial: str) -> FunctionTrial:
        """A trial for the user, who may change its configuration."""
        found = self.trials[trial]
        if found.status == Status.PRUNED:
            self._rank()
        seen = self._observed.get(trial)
        loss = seen.loss if seen else None
        shown = replace(found, config=dict(found.config))
        if found.status == Status.PRUNED:
            return replace(shown, expected=loss)
        return replace(shown, loss=loss)

    def running(self) -> tuple[str, ...]:
        """Ids of the trials under way, in order of asking."""
        return tuple(o.trial for o in self.history() if o.status == RUNNING)

    def best(self) -> str | None:
        """The trial that keeps most limits and then has the smallest loss, the first of equals."""
        if not self.goals.several:
            return self._lead[1] if self._lead else None
        ended = [o for o in self.history() if o.status == Status.DONE]
        leader = min(ended, key=self._place_of, default=None)
        return leader.trial if leader else None

    def front(self) -> tuple[str, ...]:
        """Trials that no other one beats in every goal, in order of asking.

        Those that keep every limit if there are any, else only the best one.
        """
        best = self.best()
        if best is None or not self.trials[best].feasible or not self.goals.several:
            return () if best is None else (best,)
        found: list[Observed] = []
        for trial in sorted(self._feasible(), key=lambda o: o.goals):  # a later one never dominates
            if not any(_as_good(other.goals, trial.goals) for other in found):
                found.append(trial)
        return tuple(sorted((o.trial for o in found), key=_number))

    def apply(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Take in a record; those of other kinds say nothing about trials.

        Args:
            kind: ``asked``, ``told``, ``lost`` or ``added``.
            payload: As docs/architecture.md lists it.
        """
        apply = self._APPLY.get(kind)
        if apply is not None:
            apply(self, payload)

    def _on_asked(self, payload: Mapping[str, Any]) -> None:
        trial_id = payload["trial"]
        if payload.get("again"):
            self.lost.pop(trial_id)
            self.trials[trial_id] = replace(self.trials[trial_id], status=RUNNING)
        else:
            self._admit(payload)
        self._see(self.trials[trial_id])

    def _on_added(self, payload: Mapping[str, Any]) -> None:
        self._admit({**payload, "origin": "added"})
        self._on_told(payload)

    def _admit(self, payload: Mapping[str, Any]) -> None:
        trial = FunctionTrial(
            id=payload["trial"],
            config=dict(payload["config"]),
            reason=payload["reason"],
            predicted=payload.get("predicted"),
            spread=payload.get("spread"),
            origin=payload["origin"],
        )
        self.trials[trial.id] = trial
        self._asked.add(config_key(trial.config))
        self.handed[trial.origin] = self.handed.get(trial.origin, 0) + 1

    def _on_told(self, payload: Mapping[str, Any]) -> None:
        trial_id = payload["trial"]
        metrics = {name: float(value) for name, value in payload["metrics"].items()}
        done = payload["status"] == Status.DONE
        pruned = payload["status"] == Status.PRUNED
        judged = self.goals.judge(metrics) if done else None
        trial = replace(
            self.trials[trial_id],
            status=payload["status"],
            metrics=metrics,
            loss=judged.loss if judged else None,
            goals=judged.goals if judged else (),
            excess=judged.excess if judged else self._excess(metrics) if pruned else (),
            noise=payload["noise"],
            seconds=float(payload["seconds"]),
            message=payload["message"],
            curve=_curve(payload.get("curve", ())),
            curves=tuple(map(_curve, payload.get("curves", ()))),
        )
        self.trials[trial_id] = trial
        self.lost.pop(trial_id, None)  # a late answer of a trial that was believed to be lost
        self.ended += 1
        self.done += done
        self._see(trial)
        if done:
            self._place(trial)
        if (trial.curve or trial.curves) and (done or pruned):
            self._compare_curves(trial)

    def _on_lost(self, payload: Mapping[str, Any]) -> None:
        trial_id = payload["trial"]
        trial = self.trials[trial_id]
        self.ended -= trial.status != RUNNING
        self.trials[trial_id] = replace(
            trial, status=Status.LOST.value, metrics={}, excess=(), noise=None, seconds=0.0,
            message=payload["message"], curve=(), curves=(),
        )  # fmt: skip
        for known in (self._observed, self._curves, self._pruned):
            known.pop(trial_id, None)
        self._shown = None
        self.lost[trial_id] = None

    _APPLY: Mapping[str, Callable[[Tally, Mapping[str, Any]], None]] = {
        "asked": _on_asked,
        "told": _on_told,
        "lost": _on_lost,
        "added": _on_added,
    }

    def _see(self, trial: FunctionTrial) -> None:
        seen = Observed(
            trial=trial.id,
            config=trial.config,
            status=trial.status,
            loss=trial.loss,
            noise=trial.noise,
            seconds=trial.seconds,
            goals=trial.goals,
            excess=trial.excess,
            curve=trial.curve,
            curves=trial.curves,
        )
        self._observe(seen)

    def _observe(self, seen: Observed) -> None:
        self._observed[seen.trial] = seen
        if self._shown is None:
            return
        place = self._place_in_shown.setdefault(seen.trial, len(self._shown))
        if place == len(self._shown):
            self._shown.append(seen)
        else:
            self._shown[place] = seen

    def _excess(self, metrics: Mapping[str, float]) -> tuple[float, ...]:
        """What a trial without a result told of the limits; NaN where it told nothing."""
        return tuple(
            limit.excess(metrics.get(limit.metric, math.nan)) for limit in self.goals.limits
        )

    def _compare_curves(self, trial: FunctionTrial) -> None:
        """Keep what a trial reported, and see those that were pruned in its light."""
        self._curves[trial.id] = None
        self._whole += trial.done
        if not trial.done:
            self._pruned[trial.id] = None
            self._unranked.append(trial.id)

    def _rank(self) -> None:
        """Give pruned trials the loss that they would have come to.

        By the first so many whole trials, more whenever there are a twelfth more: that costs little
        per trial however many there are, and depends on nothing but the records.
        """
        if not self._pruned:
            return
        from attain.stats.ranks import Ranks
        from attain.strategy._evidence import scheduled

        names: Iterable[str] = self._unranked
        by = scheduled(self._whole) if self._whole else 0
        if by != self._ranked_by:
            whole = [t for t in map(self.trials.__getitem__, self._curves) if t.done][:by]
            ends = zip(*(t.goals or (t.loss,) for t in whole), strict=True)
            ways = zip(*(t.curves or (t.curve,) for t in whole), strict=True)
            pairs = (zip(*pair, strict=True) for pair in zip(ways, ends, strict=True))
            self._ranks = tuple(map(Ranks, pairs))
            self._ranked_by, names = by, self._pruned
        for name in names:
            if name in self._pruned:  # and has not been lost since
                self._observe(self._expected(self._observed[name]))
        self._unranked = []

    def _expected(self, seen: Observed) -> Observed:
        """A pruned trial with what it would have come to; with several goals, in each of them."""
        pairs = zip(self._ranks, seen.curves or (seen.curve,), strict=False)  # no ranks at first
        told = [found for ranks, curve in pairs if (found := ranks(curve)) is not None]
        if len(told) < len(self.goals.goals):
            return replace(seen, loss=None, noise=None, goals=())
        losses, errors = zip(*told, strict=True)
        if self.goals.several:
            return replace(seen, loss=self._compromise(losses), goals=losses)
        return replace(seen, loss=losses[0], noise=errors[0] or None)

    def _place(self, trial: FunctionTrial) -> None:
        """Compare a trial that has just ended well with the others."""
        if self.goals.several:
            self._compare(trial)
            return
        assert trial.loss is not None
        place = (*self.goals.key(trial.loss, trial.excess), *_number(trial.id))
        if self._lead is None or place < self._lead[0]:
            self._lead = place, trial.id

    def _compare(self, trial: FunctionTrial) -> None:
        """Give a loss to the newest of several goals; to all if the range of a goal has grown."""
        low = [min(pair) for pair in zip(self._low or trial.goals, trial.goals, strict=True)]
        high = [max(pair) for pair in zip(self._high or trial.goals, trial.goals, strict=True)]
        grown = (low, high) != (self._low, self._high)
        self._low, self._high = low, high
        for name in list(self._observed) if grown else [trial.id]:
            seen = self._observed[name]
            if seen.goals:
                self._observe(replace(seen, loss=self._compromise(seen.goals)))

    def _compromise(self, goals: tuple[float, ...]) -> float:
        """Augmented Chebyshev distance from the best value of each goal (Knowles 2006, eq. 2)."""
        shares = []
        for value, low, high in zip(goals, self._low, self._high, strict=True):
            span = high / 2 - low / 2  # halves: no overflow; 0 also of numbers next to each other
            shares.append((value / 2 - low / 2) / span if span > 0 else 0.0)
        return max(shares) + _TILT * sum(shares)

    def _place_of(self, seen: Observed) -> tuple[Any, ...]:
        assert seen.loss is not None
        return (*self.goals.key(seen.loss, seen.excess), *_number(seen.trial))

    def _feasible(self) -> Iterator[Observed]:
        done = (o for o in self.history() if o.status == Status.DONE)
        return (o for o in done if all(e <= 0 for e in o.excess))


def _curve(points: Iterable[Sequence[float]]) -> Curve:
    return tuple((int(step), float(loss)) for step, loss in points)


def _number(trial: str) -> tuple[int, str]:
    """Ids in order of asking, also past t99999."""
    return len(trial), trial


def _as_good(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether a is at least as good as b in every goal, and better in one."""
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))
