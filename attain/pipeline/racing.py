"""Racing: after each fold, whether the rest of a configuration is worth its cost.

A decision depends on nothing but recorded outcomes, in their order, so that a study replays it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attain.core.codec import encode
from attain.core.types import Objective, Outcome, Role, Rows, Score, Status, Trial
from attain.objectives import utility
from attain.objectives.metrics import lookup
from attain.pipeline import calibration
from attain.pipeline.curves import Curve, shortened
from attain.pipeline.jobs import all_folds, work_rows
from attain.pipeline.scoring import Z95, Judge, Scored, load_predictions
from attain.validate.race import Gap, Race, gap, look
from attain.validate.resample import Fold


@dataclass(frozen=True)
class Contest:
    """One configuration beside the best complete one.

    Attributes:
        trial: The configuration in question.
        outcomes: Of its folds so far, all DONE.
        rival: The best complete trial on the same folds.
        rival_outcomes: Of all its folds.
        rivals: Configurations among which it is the best.
        past: Earlier looks at the same learner.
        baseline: Scores of the baseline by metric, which losses refer to.
        stopped: Whether its fit was ended early, so that it gets no further fold in any case.
    """

    trial: Trial
    outcomes: Sequence[Outcome]
    rival: Scored
    rival_outcomes: Mapping[int, Outcome]
    rivals: int
    past: Sequence[Race]
    baseline: Mapping[str, Score]
    stopped: bool = False


def race(judge: Judge, contest: Contest) -> Race | None:
    """Look at a configuration after another of its folds.

    Args:
        judge: Knows rows and objectives.
        contest: Who runs against whom.

    Returns:
        The look, with what is known of the loss if the rest is saved. None where a race would not
        be fair: the rival misses an objective that is measured rather than validated, a metric is
        undefined on so few rows, or the threshold that decides is only known at the end.
    """
    wanted = overtaken_by(judge.objectives, contest.rival)
    if not wanted or not set(wanted) <= set(judge.quality) or judge.promises:
        return None
    gaps = _gaps(judge, contest)
    if not set(wanted) <= set(gaps):
        return None
    seen = look(
        contest.rival.trial,
        [gaps[m] for m in wanted],
        folds=len(contest.outcomes),
        total=contest.trial.split.jobs,
        rivals=contest.rivals,
        past=contest.past,
    )
    if seen.dropped or contest.stopped:
        return _with_loss(judge, contest, gaps, seen)
    return seen


def overtaken_by(objectives: Sequence[Objective], rival: Scored) -> tuple[str, ...]:
    """Metrics in which a configuration must be better somewhere to have the smaller loss.

    Args:
        objectives: What good means.
        rival: Whose loss is to be beaten.

    Returns:
        What the rival misses, if anything: only that counts then. Else all but limits, beyond
        which nothing is gained (`objectives.utility`).
    """
    missed = [o.metric for o in objectives if not rival.reached[o.metric]]
    goals = [o.metric for o in objectives if o.target is None or o.role is Role.GOAL]
    return tuple(dict.fromkeys(missed or goals))


def _gaps(judge: Judge, contest: Contest) -> dict[str, Gap]:
    """The gap in each objective's quality metric, where it is defined."""
    rows = work_rows(str(judge.folder), judge.dataset)
    folds = all_folds(str(judge.folder), encode(contest.trial.split), judge.dataset)
    ours = sorted(contest.outcomes, key=lambda o: o.fold)
    theirs = [contest.rival_outcomes[o.fold] for o in ours]
    index = [folds[o.fold].valid for o in ours]
    seen = [folds[o.fold] for o in ours]
    a, b = (_counted(judge, contest.trial, side, rows, seen) for side in (ours, theirs))
    assert rows.y is not None
    y = [rows.y[i] for i in index]
    groups = None if rows.groups is None else [rows.groups[i] for i in index]
    stated = [o.metric for o in judge.objectives if o.metric in judge.quality]
    found = {m: gap(m, lookup(m).direction, y, a, b, groups) for m in dict.fromkeys(stated)}
    return {m: g for m, g in found.items() if g is not None}


def _counted(
    judge: Judge, trial: Trial, side: Sequence[Outcome], rows: Rows, folds: Sequence[Fold]
) -> list[np.ndarray]:
    """Predictions of some folds as they are scored: calibrated by one another if need be."""
    found = [load_predictions(judge.folder / o.predictions)["valid"] for o in side]
    whole = np.concatenate(found).astype(np.float64)
    made, _ = calibration.adjusted(judge.objectives, rows, trial.split, folds, whole)
    return np.split(made, np.cumsum([len(part) for part in found])[:-1])


def _with_loss(judge: Judge, contest: Contest, gaps: Mapping[str, Gap], seen: Race) -> Race:
    """Add what the whole would give: the rival's scores, moved by the gaps.

    Paired with the rival, what the folds seen have of luck cancels. The standard error has the
    rival's own part and the gap's.
    """
    theirs = {s.metric: s for s in contest.rival.scores}
    values, errors = {}, {}
    for o in judge.objectives:
        score, found = theirs[o.metric], gaps.get(o.metric)
        values[o.metric], errors[o.metric] = score.estimate, _error(score)
        if found is not None:
            sign = -1.0 if lookup(o.metric).direction.value == "maximize" else 1.0
            values[o.metric] += sign * found.difference
            own = found.error * math.sqrt(seen.factor) if math.isfinite(found.error) else 0.0
            errors[o.metric] = math.hypot(errors[o.metric], own)
    reference = {name: s.estimate for name, s in contest.baseline.items()} or None
    return replace(
        seen,
        loss=utility.loss(judge.objectives, values, reference),
        noise=utility.loss_noise(judge.objectives, values, errors, reference),
    )


def _error(score: Score) -> float:
    return (score.high - score.low) / (2 * Z95)


def raced_out(trial: Trial, outcomes: Sequence[Outcome], seen: Race | None, message: str) -> Scored:
    """The end of a trial whose remaining folds are saved.

    Args:
        trial: The trial.
        outcomes: Of its folds so far.
        seen: The last look at it, if there was one.
        message: Why it ends.

    Returns:
        Without a loss of its own, so that it is never a finalist.
    """
    seconds = sum(o.seconds for o in outcomes)
    search = trial.purpose == "search"
    return Scored(trial.id, Status.RACED, search, message, seconds=seconds, race=seen)


def stopped_early(outcomes: Sequence[Outcome]) -> str:
    """Why a trial gets no further fold because of how its fit went.

    Args:
        outcomes: Of its folds so far.

    Returns:
        A sentence, or an empty string when no fit was ended by the strategy.
    """
    for o in outcomes:
        if "stopped" in o.facts:
            at = f"by the strategy at step {o.facts['stopped']} of fold {o.fold + 1}"
            return f"paused {at}" if "paused" in o.facts else f"ended {at}: behind"
    return ""


def curve_of(outcome: Outcome | None) -> Curve:
    """How a fit went on the rows set aside: the best loss at about forty steps.

    Args:
        outcome: Of a trial's first fold, if it is done.

    Returns:
        As `curves.shortened` has it; empty where nothing was told.
    """
    if outcome is None or outcome.status is not Status.DONE:
        return ()
    return shortened([(p.step, p.values["stop"]) for p in outcome.curve if "stop" in p.values])
