"""Where each objective stands, and whether that is certain."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attain.core.types import Direction, Objective, Score
from attain.refine.progress import Progress


def certain(objective: Objective, score: Score | None) -> bool:
    """Whether the end of the interval that faces the target clears it; never without a target.

    Args:
        objective: Any.
        score: Its score, if there is one.

    Returns:
        False also without a score.
    """
    if score is None or objective.target is None:
        return False
    end = score.low if objective.direction is Direction.MAXIMIZE else score.high
    return math.isfinite(end) and objective.reached(end)


def met(progress: Progress) -> bool:
    """Whether every objective has a target, and every interval clears its own."""
    objectives = progress.objectives
    return bool(objectives) and all(
        certain(o, progress.best_scores.get(o.metric)) for o in objectives
    )


def standing(progress: Progress) -> str:
    """Where each objective stands, with interval and target."""
    return ", ".join(_one_standing(progress))


def _one_standing(progress: Progress) -> Iterator[str]:
    for objective in progress.objectives:
        score = progress.best_scores.get(objective.metric)
        if score is None:
            continue
        text = f"{objective.metric} {score.estimate:.4g} [{score.low:.4g}, {score.high:.4g}]"
        if objective.target is not None:
            sign = ">=" if objective.direction is Direction.MAXIMIZE else "<="
            text += f" for {sign} {objective.target:g}"
        yield text
