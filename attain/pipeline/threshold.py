"""The decision threshold of a model of two classes, where objectives ask for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from attain.core.types import Objective, Task
from attain.objectives import utility
from attain.validate.threshold import (
    CERTIFIABLE,
    DECIDED,
    Grid,
    certified,
    make_grid,
    p_values,
    value_at,
)


@dataclass(frozen=True)
class Threshold:
    """From which probability on the second class is predicted, and what that promises.

    Attributes:
        value: In [0, 1].
        promises: Statements that were to be certified, such as ``precision >= 0.9``.
        certified: Whether every one of them is.
        reason: In one sentence.
    """

    value: float
    promises: tuple[str, ...]
    certified: bool
    reason: str


def promises(objectives: Sequence[Objective], task: Task) -> tuple[Objective, ...]:
    """Targets that a threshold is to keep.

    Args:
        objectives: What good means.
        task: What is predicted.

    Returns:
        Targets on precision, recall or specificity of two classes, if another objective looks at
        decisions too: with nothing to win, a threshold would only be pushed to one end. Else empty.
    """
    looking = [o for o in objectives if o.metric.partition("@")[0] in DECIDED]
    if task is not Task.BINARY or len(looking) < 2:
        return ()
    return tuple(o for o in looking if o.metric in CERTIFIABLE and o.target is not None)


def choose(
    objectives: Sequence[Objective],
    y: np.ndarray,
    prediction: np.ndarray,
    groups: np.ndarray | None,
) -> Threshold:
    """The best threshold among those that are certified to keep every promise.

    Args:
        objectives: With at least one promise (`promises`).
        y: Class codes, 0 or 1, each row once; shape (n,).
        prediction: Probabilities by models that have not seen the row, shape (n, 2).
        groups: Group of each row, or None when rows are independent.

    Returns:
        The one with the smallest loss in the objectives that look at decisions. If none is
        certified, the one that comes nearest, and the reason says so.
    """
    grid = make_grid(y, prediction, groups)
    kept = promises(objectives, Task.BINARY)
    proven = np.all([certified(grid, o.metric, _target(o), o.confidence) for o in kept], axis=0)
    allowed = proven if proven.any() else _nearest(grid, kept)
    looking = [o for o in objectives if o.metric.partition("@")[0] in DECIDED]
    best = _least_loss(grid, looking, np.flatnonzero(allowed))
    return Threshold(
        value=float(grid.thresholds[best]),
        promises=tuple(map(str, kept)),
        certified=bool(proven.any()),
        reason=_reason(grid, kept, looking, best, proven=bool(proven.any())),
    )


def unproven(chosen: Threshold | None) -> Threshold | None:
    """A threshold of a configuration that was selected by the rows that it was certified on.

    Args:
        chosen: By the search's own folds; None for none.

    Returns:
        The same value, which promises nothing.
    """
    if chosen is None or not chosen.certified:
        return chosen
    doubt = "not certified after all, for no fresh folds confirmed the configuration"
    return replace(chosen, certified=False, reason=f"{chosen.reason}; {doubt}")


def _target(objective: Objective) -> float:
    assert objective.target is not None
    return objective.target


def _nearest(grid: Grid, kept: Sequence[Objective]) -> np.ndarray:
    """Where the promise that is furthest from being proven is nearest to it."""
    p = np.max([p_values(grid, o.metric, _target(o)) / (1 - o.confidence) for o in kept], axis=0)
    found: np.ndarray = p <= p.min()
    return found


def _least_loss(grid: Grid, looking: Sequence[Objective], allowed: np.ndarray) -> int:
    each = {o.metric: value_at(grid, o.metric)[allowed] for o in looking}
    losses = [
        utility.loss(looking, {metric: float(values[i]) for metric, values in each.items()})
        for i in range(len(allowed))
    ]
    return int(allowed[int(np.argmin(losses))])


def _reason(
    grid: Grid, kept: Sequence[Objective], looking: Sequence[Objective], best: int, *, proven: bool
) -> str:
    there = ", ".join(f"{o.metric} {value_at(grid, o.metric)[best]:.3g}" for o in looking)
    stated = " and ".join(f"{o} with {o.confidence:.4g} confidence" for o in kept)
    value = f"{grid.thresholds[best]:.4g}"
    if proven:
        return (
            f"positive from a probability of {value} on, which is certified for {stated}; on rows "
            f"that the models had not seen: {there}"
        )
    return (
        f"no threshold achieves {stated} at this model's quality; positive from {value} on, which "
        f"comes nearest: {there}"
    )
