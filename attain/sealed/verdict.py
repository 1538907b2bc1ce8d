"""What the sealed rows say of each objective: the interval decides, not the point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy.stats import norm

from attain.core.errors import DataError, Problem
from attain.core.types import (
    Direction,
    Objective,
    ObjectiveVerdict,
    Role,
    Score,
    Verdict,
    VerdictState,
)

_FAR = 0.1  # relative gap between training and sealed score that points to overfitting


def judge(
    objectives: Sequence[Objective],
    scores: Mapping[str, Score],
    *,
    finalist: str,
    baseline: Sequence[Score],
    digest: str,
    seal: str,
    looks: int,
    confidence: float,
) -> Verdict:
    """Judge the final model on the sealed rows.

    An objective is met when its whole interval clears the target, met but unproven when only the
    estimate does, and not met otherwise. A score whose interval was made at a lower confidence than
    asked is widened by the ratio of normal quantiles, and its method says so.

    Args:
        objectives: The statements.
        scores: The final model's score for each objective's metric.
        finalist: Trial id.
        baseline: Scores of the baseline on the same rows.
        digest: Of the frozen model.
        seal: Fingerprint of the sealed rows.
        looks: How often the seal has been opened, this time included.
        confidence: After tightening for repeated looks (`confidence_for`), in (0, 1).

    Returns:
        One verdict for each objective, and what they rest on.

    Raises:
        DataError: An objective has no score.
    """
    absent = [o for o in objectives if o.metric not in scores]
    if absent:
        raise DataError(
            Problem("every objective needs a score", "none", f"objective {o}", "compute its metric")
            for o in absent
        )
    known = {score.metric: score for score in baseline}
    return Verdict(
        objectives=tuple(
            _judge(
                o, _at_least(scores[o.metric], _needed(o, looks, confidence)), known.get(o.metric)
            )
            for o in objectives
        ),
        finalist=finalist,
        baseline=tuple(baseline),
        digest=digest,
        seal=seal,
        looks=looks,
        confidence=confidence,
    )


def confidence_for(look: int, confidence: float) -> float:
    """Confidence of the intervals at a repeated look: each one halves the allowed error.

    Over any number of looks the errors add up to less than twice the first (a union bound with
    weights 1, 1/2, 1/4, ...).

    Args:
        look: From 1.
        confidence: At the first look, in (0, 1).

    Returns:
        ``1 - (1 - confidence) / 2**(look - 1)``.
    """
    return 1.0 - (1.0 - confidence) / 2.0 ** (max(look, 1) - 1)


def _needed(objective: Objective, looks: int, confidence: float) -> float:
    return max(confidence, confidence_for(looks, objective.confidence))


def _at_least(score: Score, confidence: float) -> Score:
    """The score with an interval of at least this confidence."""
    if score.confidence >= confidence - 1e-9:
        return score
    factor = float(norm.isf((1 - confidence) / 2) / norm.isf((1 - score.confidence) / 2))
    return replace(
        score,
        low=score.estimate - factor * (score.estimate - score.low),
        high=score.estimate + factor * (score.high - score.estimate),
        confidence=confidence,
        method=f"{score.method}, widened from {score.confidence:.4g} to {confidence:.4g}".lstrip(
            ", "
        ),
    )


def _judge(objective: Objective, score: Score, baseline: Score | None) -> ObjectiveVerdict:
    if objective.target is None:
        return ObjectiveVerdict(objective, score, VerdictState.REPORTED)
    if not math.isfinite(score.estimate):
        return ObjectiveVerdict(
            objective,
            score,
            VerdictState.NOT_MET,
            shortfall=math.inf,
            advice="it could not be computed on the sealed rows; look at what the model predicts",
        )
    up = objective.direction is Direction.MAXIMIZE
    worst, best = (score.low, score.high) if up else (score.high, score.low)
    if objective.reached(worst):
        return ObjectiveVerdict(objective, score, VerdictState.MET)
    if objective.reached(score.estimate):
        needed = rows_needed(score, objective.target, abs(score.estimate - worst))
        return ObjectiveVerdict(
            objective,
            score,
            VerdictState.UNPROVEN,
            rows_needed=needed,
            advice=_more(needed, objective, score),
        )
    return ObjectiveVerdict(
        objective,
        score,
        VerdictState.NOT_MET,
        shortfall=abs(objective.target - score.estimate),
        advice=_advice(objective, score, baseline, near=objective.reached(best)),
    )


def rows_needed(score: Score, target: float, half_width: float) -> int | None:
    """Sealed rows at which the interval would clear the target, if the estimate holds.

    Half-widths shrink with the square root of n.

    Args:
        score: With its n.
        target: Threshold in metric units.
        half_width: Distance from the estimate to the end of the interval that faces the target.

    Returns:
        Number of rows (or groups, or timings, as `score.n` counts them), above `score.n`; None when
        no number would do because the estimate equals the target or the interval is unbounded.
    """
    margin = abs(score.estimate - target)
    if margin == 0 or not math.isfinite(half_width) or score.n < 1:
        return None
    return max(score.n + 1, math.ceil(score.n * (half_width / margin) ** 2))


def _more(needed: int | None, objective: Objective, score: Score) -> str:
    units = "measurements" if objective.role is Role.CONSTRAINT else "independent test rows"
    if needed is None:
        return f"the estimate is too close to the target for any number of {units} to settle it"
    return (
        f"about {needed:,} {units} (now {score.n:,}) would settle it, if the estimate stays "
        f"at {score.estimate:.4g}"
    )


def _advice(objective: Objective, score: Score, baseline: Score | None, *, near: bool) -> str:
    """What would help, from what is known of the miss."""
    if objective.role is Role.CONSTRAINT:
        return "a smaller or simpler model, a faster machine, or a wider limit"
    parts = []
    if near:
        parts.append("the interval still reaches the target, so the miss may be chance")
    if _overfits(objective, score):
        parts.append(
            f"it scores {score.train:.4g} on its training rows: more rows or stronger "
            "regularisation should help"
        )
    elif score.train is not None:
        parts.append(
            f"it scores only {score.train:.4g} on its training rows: better features, or a "
            "larger search, should help more than rows of the same kind"
        )
    if baseline is not None and not _clearly_better(objective, score, baseline):
        parts.append(
            f"the baseline scores {baseline.estimate:.4g}: the features say little about the target"
        )
    return "; ".join(parts) or "more trials, more rows or better features"


def _overfits(objective: Objective, score: Score) -> bool:
    if score.train is None or not math.isfinite(score.train):
        return False
    gap = score.train - score.estimate
    gap = gap if objective.direction is Direction.MAXIMIZE else -gap
    return gap > _FAR * max(abs(score.estimate), 1e-12) or objective.reached(score.train)


def _clearly_better(objective: Objective, score: Score, baseline: Score) -> bool:
    if objective.direction is Direction.MAXIMIZE:
        return score.low > baseline.estimate
    return score.high < baseline.estimate
