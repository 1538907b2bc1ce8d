"""Step 6: what a round has shown, and what to do next. The only way back to step 2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from attain.core.space import Space
from attain.core.types import Decision, Diagnosis, Move
from attain.refine import moves
from attain.refine.ladder import CODE, spared
from attain.refine.progress import Progress, Step, expected_gain
from attain.refine.standing import met, standing
from attain.stats.endpoint import lower_endpoint

__all__ = ["Progress", "decide"]

PATIENCE = 2  # rounds without gain before the end is considered
MOST_PATIENCE = 4  # rounds without gain that end the search whatever else could be tried
FEWEST_TRIALS = 10  # finished trials before the end is considered for want of gain
NEGLIGIBLE = 0.01  # of what the search has gained over a typical trial


@dataclass(frozen=True)
class _Stop:
    """Why the search ends."""

    code: str
    reason: str


def decide(progress: Progress) -> Decision:
    """What to do after a round.

    The search ends when all targets are reached with confidence and nothing else is to be improved
    (``met``), when the budget is spent (``budget``), when every configuration has been tried
    (``exhausted``), or when further gain is unlikely (``unlikely``). Else the space changes where a
    rule of `moves` says so, or the search goes on as it is.

    Args:
        progress: The study at a check point.

    Returns:
        With the reason in one sentence, everything that was seen, the gain that is predicted for as
        many trials again, and the measured effect of the previous decision: by how much the best
        loss has fallen since (never negative).
    """
    gain = expected_gain(progress)
    steps = moves.find(progress)
    effective = tuple(step for step in steps if step.changed)
    seen = tuple(step.diagnosis for step in steps)
    codes = {d.code for d in seen}
    seen += tuple(d for d in progress.diagnoses if d.code not in codes)
    for find in _STOPS:
        stop = find(progress, effective, gain)
        if stop is not None:
            return Decision(
                kind=Move.STOP,
                reason="; ".join([stop.reason, *_held_back(stop, steps)]),
                diagnoses=(Diagnosis(stop.code, stop.reason), *seen),
                predicted=gain,
                measured=_measured(progress),
                stop=stop.code,
            )
    return Decision(
        kind=effective[0].kind if effective else Move.CONTINUE,
        reason=_reason(progress, effective, gain),
        diagnoses=seen,
        space=_changed_space(progress, effective),
        changes=moves.words(progress, effective),
        predicted=_predicted(effective, gain),
        measured=_measured(progress),
    )


def _predicted(steps: tuple[Step, ...], gain: float | None) -> float | None:
    """What as many trials again would gain; before that is known, what a step says of itself."""
    if gain is not None:
        return gain
    return next((step.predicted for step in steps if step.predicted is not None), None)


def _held_back(stop: _Stop, steps: tuple[Step, ...]) -> list[str]:
    """Why a search that misses its targets ends without its higher rungs."""
    if stop.code == "met":
        return []
    found = [s.diagnosis for s in steps if s.diagnosis.code == CODE and not s.changed]
    return [diagnosis.explanation for diagnosis in found]


def _met(progress: Progress, steps: tuple[Step, ...], gain: float | None) -> _Stop | None:
    """Every objective has a target, and every interval clears its own."""
    del steps, gain
    if not met(progress):
        return None
    reached = f"all targets are reached with confidence: {standing(progress)}"
    return _Stop("met", "; ".join([reached, *spared(progress)]))


def _budget(progress: Progress, steps: tuple[Step, ...], gain: float | None) -> _Stop | None:
    del steps, gain
    what = "trials" if progress.trials_left <= 0 else "time"
    if progress.trials_left > 0 and progress.seconds_left > 0:
        return None
    return _Stop("budget", f"no {what} left after {_count(progress)}{_tail(progress)}")


def _exhausted(progress: Progress, steps: tuple[Step, ...], gain: float | None) -> _Stop | None:
    del gain
    if not progress.exhausted or any(s.kind in (Move.WIDEN, Move.CLIMB) for s in steps):
        return None
    return _Stop(
        "exhausted",
        f"every configuration of the space has been tried, {_count(progress)}{_tail(progress)}",
    )


def _out_of_reach(progress: Progress, steps: tuple[Step, ...], gain: float | None) -> _Stop | None:
    """Some target is missed by more than any further trial can be expected to make up for.

    A loss above the offset of `objectives.utility.loss` says that a target is missed; the offset is
    where all are reached. It must lie below the confidence limit of what the space can give, by
    twice the noise, after a round that gained nothing, with nothing left to widen.
    """
    del gain
    opening = any(step.kind in (Move.WIDEN, Move.CLIMB) for step in steps)
    if progress.rounds_without_gain < 1 or len(progress.done) < FEWEST_TRIALS or opening:
        return None
    missed = [
        o.metric
        for o in progress.objectives
        if (s := progress.best_scores.get(o.metric)) is not None and not o.reached(s.estimate)
    ]
    reached = 1.0 if any(o.target is None for o in progress.objectives) else 0.0
    losses = [o.loss for o in progress.done if o.loss is not None]
    possible = lower_endpoint(losses) - 2 * progress.noise
    if not missed or possible <= reached:
        return None
    return _Stop(
        "unlikely",
        f"out of reach: {' and '.join(missed)} would need a loss smaller by "
        f"{losses[0] - reached:.2g}, and with 95 % confidence this space gives no more than "
        f"{losses[0] - possible:.2g}{_tail(progress)}",
    )


def _unlikely(progress: Progress, steps: tuple[Step, ...], gain: float | None) -> _Stop | None:
    """No round has gained, no more than noise is to be expected, and nothing is left to widen."""
    rounds, tried = progress.rounds_without_gain, len(progress.done) + len(progress.failed)
    if rounds < PATIENCE or tried < FEWEST_TRIALS:
        return None
    if not progress.done:
        return _Stop("unlikely", f"none of {tried} trials succeeded in {progress.round} rounds")
    threshold = max(progress.noise, NEGLIGIBLE * _gained(progress))
    small = gain is None or gain <= threshold
    opening = any(step.kind in (Move.WIDEN, Move.CLIMB) for step in steps)
    if rounds < MOST_PATIENCE and (not small or opening):
        return None
    expected = "" if gain is None else f", and as many trials again would gain about {gain:.2g}"
    return _Stop(
        "unlikely",
        f"further gain is unlikely: {rounds} rounds brought no more than the noise of "
        f"{threshold:.2g}{expected}{_tail(progress)}",
    )


# In this order: a target reached with the last trial is reached, not out of budget.
_STOPS: tuple[Callable[[Progress, tuple[Step, ...], float | None], _Stop | None], ...] = (
    _met,
    _budget,
    _exhausted,
    _out_of_reach,
    _unlikely,
)


def _gained(progress: Progress) -> float:
    """What the search has gained over a typical trial."""
    losses = np.array([o.loss for o in progress.done], float)
    return float(np.median(losses) - losses.min())


def _reason(progress: Progress, steps: tuple[Step, ...], gain: float | None) -> str:
    if steps:
        return "; ".join(dict.fromkeys(step.diagnosis.explanation for step in steps))
    if not progress.done:
        return f"no trial has succeeded yet, {_count(progress)}; the search goes on"
    parts = [f"the search goes on as it is after {_count(progress)}"]
    if progress.rounds_without_gain:
        parts.append(f"{progress.rounds_without_gain} of them in a row without gain")
    else:
        parts.append("the last round still brought a gain")
    if gain is not None:
        parts.append(f"as many trials again are expected to gain {gain:.2g}")
    return ", ".join(parts) + _tail(progress)


def _count(progress: Progress) -> str:
    rounds = f"{progress.round} round{'s' if progress.round != 1 else ''}"
    failed = len(progress.failed)
    tail = f", {failed} of them failed" if failed else ""
    return f"{rounds} and {len(progress.done) + failed} trials{tail}"


def _tail(progress: Progress) -> str:
    where = standing(progress)
    return f"; best so far: {where}" if where else ""


def _changed_space(progress: Progress, steps: tuple[Step, ...]) -> Space | None:
    changed = [p for step in steps for p in step.changed]
    return progress.space.replacing(*changed) if changed else None


def _measured(progress: Progress) -> float | None:
    if progress.previous is None:
        return None
    before, now = progress.previous[1], progress.best_loss
    return None if before is None or now is None else max(0.0, before - now)
