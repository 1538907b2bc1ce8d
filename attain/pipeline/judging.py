"""Fits that a strategy judges: what it is told, which paused one goes on, which state may go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Protocol

from attain.core.codec import encode
from attain.core.errors import PluginError
from attain.core.protocols import Strategy
from attain.core.registry import find
from attain.core.schedule import changed
from attain.core.space import Space
from attain.core.types import Observed, Outcome, Proposal, Signal, Status, Trial
from attain.pipeline import folders
from attain.pipeline.curves import MOST_CURVES
from attain.pipeline.racing import curve_of
from attain.pipeline.scoring import Scored, observe
from attain.pipeline.study import Study


class Trials(Protocol):
    """What is needed of `pipeline.trials.Trials`."""

    study: Study
    strategy: str
    judges: bool
    trials: dict[str, Trial]
    scored: dict[str, Scored]
    continued: dict[str, str]

    def outcome(self, trial: str, fold: int = 0) -> Outcome | None:
        """What a fit gave, if it has ended."""

    def history(self) -> tuple[Observed, ...]:
        """The search as a strategy sees it."""

    def next_id(self) -> str:
        """The number of the next trial of the search."""


def asked_of(trials: Trials, trial: Trial) -> dict[str, Any] | None:
    """What a strategy judges a trial's first fit by: the fits of its learner before it.

    Args:
        trials: The study's trials.
        trial: About to be fitted.

    Returns:
        For `jobs.judged`; None when its strategy judges nothing.
    """
    if not trials.judges or trial.purpose != "search":
        return None
    own = replace(observe(trial, None), adjustable=adjustable_of(trial))
    return {
        "strategy": trials.strategy,
        "trial": trial.id,
        "history": encode((*first_fits(trials, trial.learner, without=trial.parent), own)),
        "after": trial.step,
        "folder": str(trials.study.folder),
    }


def first_fits(trials: Trials, learner: str, without: str = "") -> tuple[Observed, ...]:
    """Trials of a learner with the curves of their first fits; a paused one until it has gone on.

    Args:
        trials: The study's trials.
        learner: Whose.
        without: The trial to leave out: the one that is judged, by its earlier name.

    Returns:
        Those that learn in steps, the last hundred.
    """
    known = [
        shown(trials, t, observe(t, trials.scored[t.id]))
        for t in trials.trials.values()
        if t.learner == learner and t.id != without and t.id in trials.scored
        if trials.continued.get(t.id) not in trials.scored
    ]
    return tuple([o for o in known if o.curve][-MOST_CURVES:])


def shown(trials: Trials, trial: Trial, seen: Observed) -> Observed:
    """A trial as a strategy that judges sees it.

    Args:
        trials: The study's trials.
        trial: The trial.
        seen: As any strategy sees it.

    Returns:
        With the curve of its first fit, where that waits, and what may change from there on.
    """
    first = trials.outcome(trial.id)
    step = 0 if first is None else int(first.facts.get("paused", 0))
    found = first_fit(seen, first) if trial.id in trials.scored else seen
    return replace(found, step=step, adjustable=adjustable_of(trial))


def adjustable_of(trial: Trial) -> tuple[str, ...]:
    """Parameters of a trial's point that may change while it learns."""
    names = getattr(find("learner", trial.learner), "adjustable", ())
    return tuple(name for n in names if (name := f"{trial.learner}.{n}") in trial.point)


def first_fit(seen: Observed, first: Outcome | None) -> Observed:
    """A trial with the curve of its first fit, and how that fit ended: folds were raced later.

    Args:
        seen: The trial.
        first: What its first fit gave, if it has ended.

    Returns:
        ``done`` where nothing ended that fit.
    """
    whole = first is not None and first.status is Status.DONE and "stopped" not in first.facts
    status = Status.DONE.value if whole else seen.status
    return replace(seen, status=status, curve=curve_of(first))


def paused(trials: Trials) -> Iterator[Trial]:
    """Trials of the search whose first fit waits, in order of asking.

    Args:
        trials: The study's trials.

    Yields:
        Those that nobody has gone on with.
    """
    for trial in trials.trials.values():
        ended = trial.id in trials.scored and trial.id not in trials.continued
        if ended and was_paused(trials, trial.id):
            yield trial


def was_paused(trials: Trials, trial: str) -> bool:
    """Whether a trial's first fit was paused, whatever has become of it."""
    first = trials.outcome(trial)
    return first is not None and "paused" in first.facts


def next_paused(trials: Trials) -> Trial | None:
    """The paused trial that is to go on now, as the strategy judges by what has been seen since.

    The state of one that it tells to stop is deleted; should it be judged otherwise later, it
    begins anew.

    Args:
        trials: The study's trials.

    Returns:
        Of those that are not told to wait or to stop, the one furthest on, then the one with the
        smallest loss; None when all wait.
    """
    waiting = list(paused(trials)) if trials.judges else []
    if not waiting:
        return None
    strategy: Strategy = find("strategy", trials.strategy)()
    able: list[tuple[int, float, Trial]] = []
    for learner in sorted({t.learner for t in waiting}):
        losses = {t.id: _losses(trials.outcome(t.id)) for t in waiting if t.learner == learner}
        told = strategy.judge(first_fits(trials, learner), losses)
        for trial in (t for t in waiting if t.id in losses):
            signal = told.get(trial.id, Signal.CONTINUE)
            if signal is Signal.STOP:
                folders.drop_checkpoint(trials.study.folder, state_of(trial.id))
            elif signal is Signal.CONTINUE:
                able.append((-len(losses[trial.id]), min(losses[trial.id]), trial))
    return min(able, key=lambda one: one[:2])[2] if able else None


def continuation(trials: Trials, trial: Trial, round_: int) -> Trial:
    """The trial that goes on with a paused one.

    Args:
        trials: The study's trials.
        trial: Paused.
        round_: Of refinement, now.

    Returns:
        The same configuration, seed and folds under a number of its own.
    """
    first = trials.outcome(trial.id)
    assert first is not None
    step = int(first.facts["paused"])
    return replace(
        trial,
        id=trials.next_id(),
        reason=f"{trial.id} goes on from step {step}: by what is known now it is not behind",
        round=round_,
        seen=len(trials.study.records),
        parent=trial.id,
        step=step,
        origin="",
    )


def follower(trials: Trials, strategy: Any, space: Space, seed: int, round_: int) -> Trial | None:
    """How a waiting trial goes on where no new configuration may be tried.

    Args:
        trials: The study's trials.
        strategy: Of the search.
        space: In force now.
        seed: Of the strategy.
        round_: Of refinement, now.

    Returns:
        None where none waits, or the strategy goes on with none by itself.
    """
    if not getattr(strategy, "continues", False) or not any(paused(trials)):
        return None
    history = trials.history()
    made = strategy.propose(space, history, len(history), seed)
    found = next((p for p in made if p.parent), None)
    return None if found is None else follow(trials, found, round_)


def follow(trials: Trials, proposal: Proposal, round_: int) -> Trial:
    """The trial that takes the place of a waiting one, perhaps from another one's state.

    Args:
        trials: The study's trials.
        proposal: With a parent.
        round_: Of refinement, now.

    Returns:
        With the source's seed and configuration, in which changes are schedules: so what is fitted
        on other folds, or on all rows, changes alike.

    Raises:
        PluginError: When parent or origin do not wait.
    """
    waiting = {t.id: t for t in paused(trials)}
    source = waiting.get(proposal.origin or proposal.parent)
    if source is None or proposal.parent not in waiting:
        rule = "parent and origin of a proposal must be trials that wait"
        asked = f"{proposal.parent!r} and {proposal.origin!r}"
        raise PluginError(f"{rule} (got {asked}) — correct `propose` of {trials.strategy}")
    base = continuation(trials, source, round_)
    config = dict(source.config)
    for name in adjustable_of(source):
        new, own = proposal.config[name], name.removeprefix(f"{source.learner}.")
        if new != source.point[name]:
            config[own] = changed(config[own], base.step, float(new))
    return replace(
        base,
        point=proposal.config,
        config=config,
        reason=proposal.reason,
        parent=proposal.parent,
        origin=proposal.origin,
        predicted=proposal.predicted,
    )


def let_go(trials: Trials) -> None:
    """Delete the states of all paused fits: the search has ended.

    Args:
        trials: The study's trials.
    """
    for trial in paused(trials):
        folders.drop_checkpoint(trials.study.folder, state_of(trial.id))


def state_of(trial: str) -> str:
    """The name of the state of a trial's first fit."""
    return fold_name(trial, 0)


def fold_name(trial: str, fold: int) -> str:
    """The name of a fold's job, and of the folder of its state."""
    return f"{trial}-f{fold}"


def _losses(outcome: Outcome | None) -> list[float]:
    """The loss after each step, as a strategy was told them while the fit was under way."""
    assert outcome is not None
    found: list[float] = []
    for point in outcome.curve:
        if "stop" in point.values:
            found += [point.values["stop"]] * (point.step - len(found))
    return found
