"""One number out of many objectives: what a search minimises.

Feasible first (Deb 2000, doi:10.1016/S0045-7825(99)00389-8): any configuration that reaches all
targets is better than any that does not; among those that do not, the smaller sum of shortfalls is
better; among those that do, the better goals are.

    loss = offset + sum log(1 + shortfall)    while a target is unreached
    loss = sum of weighted gains / max(1, sum of weights), in (-1, 1), when all are reached

A goal without target has weight 1; the margin of a reached quality target has weight 0.1, because
margin helps to certify it. Limits on efficiency gain nothing beyond their target. The offset is 1
when there are goals without target, so that no gain outweighs a shortfall, and else 0, so that the
loss has no step where a single target is reached.

Metrics without bounds enter as logarithms: 10 % less error counts the same at any size, and one
metric cannot drown the others. The logarithm is centred on a reference value (a baseline's) where
one is given, and squashed into (-1, 1).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from attain.core.errors import DataError, Problem
from attain.core.types import Direction, Objective, Role

MARGIN_WEIGHT = 0.1
_TINY, _HUGE = 1e-300, 1e300


def shortfall(objective: Objective, value: float) -> float:
    """How far a value is from its target, normalised so that objectives can be added.

    Args:
        objective: Any.
        value: In metric units; NaN counts as the worst possible value.

    Returns:
        0 when reached or when there is no target; for metrics with two finite ends the distance as
        a share of the range (a plain difference for metrics in [0, 1]); for others the distance
        relative to the target, or in metric units when the metric's finite end is not 0 (r2).
        Finite for every value.
    """
    if objective.target is None:
        return 0.0
    return max(0.0, _distance(objective, _finite(objective, value)))


def loss(
    objectives: Sequence[Objective],
    values: Mapping[str, float],
    reference: Mapping[str, float] | None = None,
) -> float:
    """What a strategy minimises; smaller is better.

    Args:
        objectives: At least one.
        values: Value of each objective's metric; more are ignored.
        reference: A baseline's values, the same for all losses that are compared. It sharpens goals
            on metrics without bounds.

    Returns:
        A finite number; in (-1, 1) when all targets are reached.

    Raises:
        DataError: When a metric has no value.
    """
    clean = _clean(objectives, values)
    missed = _missed(objectives, clean)
    if missed:
        return _offset(objectives) + sum(_penalty(o, clean[o.metric]) for o in missed)
    weights = _weights(objectives)
    total = sum(weights.values())
    if not total:
        return 0.0
    return math.fsum(
        weights[o.metric] * _gain(o, clean[o.metric], reference) for o in objectives
    ) / max(total, 1.0)


def losses(
    objectives: Sequence[Objective],
    values: Mapping[str, np.ndarray],
    reference: Mapping[str, float] | None = None,
) -> np.ndarray:
    """The loss of many configurations at once.

    Args:
        objectives: At least one.
        values: Values of each objective's metric, all of one shape; more are ignored.
        reference: As for `loss`.

    Returns:
        Of the same shape: what `loss` gives for each.

    Raises:
        DataError: When a metric has no values.
    """
    _require(objectives, values)
    weights, total = _weights(objectives), sum(_weights(objectives).values())
    nothing = np.zeros(np.shape(values[objectives[0].metric]))
    missed, short, gained = nothing > 0, nothing, nothing
    for o in objectives:
        weight = weights[o.metric] / max(total, 1.0)
        each = np.vectorize(lambda v, o=o: _finite(o, v), otypes=[float])(values[o.metric])
        reached = np.vectorize(o.reached, otypes=[bool])(each)
        if o.target is not None:
            penalty = np.vectorize(lambda v, o=o: _penalty(o, v), otypes=[float])(each)
            short = short + np.where(reached, 0.0, penalty)
        if weight:
            gain = np.vectorize(lambda v, o=o: _gain(o, v, reference), otypes=[float])(each)
            gained = gained + weight * gain
        missed = missed | ~reached
    found: np.ndarray = np.where(missed, _offset(objectives) + short, gained)
    return found


def better(
    objectives: Sequence[Objective],
    a: Mapping[str, float],
    b: Mapping[str, float],
    reference: Mapping[str, float] | None = None,
) -> bool:
    """Whether `a` has the smaller loss.

    Args:
        objectives: At least one.
        a: Value of each metric.
        b: Value of each metric.
        reference: As for `loss`.

    Returns:
        False also on a tie.
    """
    return loss(objectives, a, reference) < loss(objectives, b, reference)


def loss_noise(
    objectives: Sequence[Objective],
    values: Mapping[str, float],
    errors: Mapping[str, float],
    reference: Mapping[str, float] | None = None,
) -> float:
    """Standard error of the loss, from the standard errors of the metrics.

    Error propagation within the case that the values are in (reached or not), so that the step
    between the cases does not pass for noise. Metrics are taken to err independently.

    Args:
        objectives: At least one.
        values: Value of each metric.
        errors: Standard error of each metric in its own unit; an absent one counts as 0.
        reference: As for `loss`.

    Returns:
        A finite number, at least 0.
    """
    clean = _clean(objectives, values)
    missed = _missed(objectives, clean)
    weights = _weights(objectives)
    total = max(sum(weights.values()), 1.0)
    parts = []
    for objective in missed or objectives:
        error = errors.get(objective.metric, 0.0)
        if not math.isfinite(error):
            continue
        ends = (clean[objective.metric] - error, clean[objective.metric] + error)
        low, high = (_finite(objective, end) for end in ends)
        if missed:
            change = _penalty(objective, high) - _penalty(objective, low)
        else:
            change = _gain(objective, high, reference) - _gain(objective, low, reference)
            change *= weights[objective.metric] / total
        parts.append(change / 2)
    return math.hypot(*parts)


def _require(objectives: Sequence[Objective], values: Mapping[str, object]) -> None:
    problems = [
        Problem("every objective needs a value", "none", o.metric, "measure it, or leave it out")
        for o in objectives
        if o.metric not in values
    ]
    if problems:
        raise DataError(problems)


def _clean(objectives: Sequence[Objective], values: Mapping[str, float]) -> dict[str, float]:
    _require(objectives, values)
    return {o.metric: _finite(o, values[o.metric]) for o in objectives}


def _missed(objectives: Sequence[Objective], clean: Mapping[str, float]) -> list[Objective]:
    return [o for o in objectives if not o.reached(clean[o.metric])]


def _weights(objectives: Sequence[Objective]) -> dict[str, float]:
    def weight(objective: Objective) -> float:
        if objective.target is None:
            return 1.0
        return MARGIN_WEIGHT if objective.role is Role.GOAL else 0.0

    return {o.metric: weight(o) for o in objectives}


def _offset(objectives: Sequence[Objective]) -> float:
    return 1.0 if any(o.target is None for o in objectives) else 0.0


def _penalty(objective: Objective, value: float) -> float:
    """log(1 + shortfall), continued below the target so that errors can be propagated there."""
    distance = _distance(objective, value)
    return math.log1p(distance) if distance >= 0 else -math.log1p(-distance)


def _distance(objective: Objective, value: float) -> float:
    """Signed distance from the target, positive when short of it."""
    assert objective.target is not None
    away = value - objective.target
    if objective.direction is Direction.MAXIMIZE:
        away = -away
    return away / _scale(objective)


def _scale(objective: Objective) -> float:
    ends = [end for end in (objective.low, objective.high) if math.isfinite(end)]
    if len(ends) == 2:
        return objective.high - objective.low
    offset = max((abs(end) for end in ends), default=0.0)
    return offset or abs(objective.target or 0.0) or 1.0


def _gain(objective: Objective, value: float, reference: Mapping[str, float] | None) -> float:
    """What a reached objective adds to the loss, in (-1, 1); less is better."""
    if objective.target is not None:
        return _squash(_distance(objective, value))
    sign = -1.0 if objective.direction is Direction.MAXIMIZE else 1.0
    ends = [end for end in (objective.low, objective.high) if math.isfinite(end)]
    if len(ends) == 2:
        return sign * (value - objective.low) / (objective.high - objective.low) * (1 - 1e-9)
    if not ends:
        return _squash(sign * value)
    end = ends[0]
    centre = None if reference is None else reference.get(objective.metric)
    shift = 0.0 if centre is None or not math.isfinite(centre) else _log(centre - end)
    # Away from the best end is worse; away from the worst end is better.
    outward = 1.0 if end == _best_end(objective) else -1.0
    return _squash(outward * (_log(value - end) - shift))


def _best_end(objective: Objective) -> float:
    return objective.high if objective.direction is Direction.MAXIMIZE else objective.low


def _log(distance: float) -> float:
    return math.log(max(abs(distance), _TINY))


def _squash(x: float) -> float:
    """Strictly increasing, from the reals into (-1, 1), with slope 1 at 0."""
    return x / (1 + abs(x))


def _finite(objective: Objective, value: float) -> float:
    """The value within the metric's range; NaN is the worst value, infinities become finite."""
    if math.isnan(value):
        value = objective.low if objective.direction is Direction.MAXIMIZE else objective.high
    return min(max(value, objective.low, -_HUGE), objective.high, _HUGE)
