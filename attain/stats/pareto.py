"""Several goals at once: fronts, how crowded they are, and the volume they dominate.

All goals are minimised. Point a dominates b when it is nowhere worse and somewhere better.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

import numpy as np


def dominates(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether points of `a` dominate those of `b`.

    Args:
        a: Goals, shape (..., g).
        b: Goals, broadcastable with `a`.

    Returns:
        Booleans, the broadcast shape without its last axis.
    """
    return np.asarray((a <= b).all(axis=-1) & (a < b).any(axis=-1))


def front(goals: np.ndarray) -> np.ndarray:
    """Which points no other dominates; equal points stay together.

    Points are visited in lexicographic order, where nothing later can dominate anything earlier
    (Kung, Luccio and Preparata 1975); each visited point removes what it dominates at once.

    Args:
        goals: Finite values, shape (n, g).

    Returns:
        Booleans, shape (n,).
    """
    alone = np.zeros(len(goals), dtype=bool)
    left = np.lexsort(goals.T[::-1]) if len(goals) else np.empty(0, dtype=int)
    while len(left):
        first = goals[left[0]]
        same = (goals[left] == first).all(axis=1)
        alone[left[same]] = True
        left = left[~same & (goals[left] < first).any(axis=1)]
    return alone


def ranks(goals: np.ndarray, most: int | None = None) -> np.ndarray:
    """The number of the front each point belongs to (Deb et al. 2002, section III A).

    Args:
        goals: Finite values, shape (n, g).
        most: Stop as soon as so many points have a number; None for all.

    Returns:
        Front numbers from 0, shape (n,); points that were not reached share the next number.
    """
    number, level = np.full(len(goals), -1), 0
    wanted = len(goals) if most is None else min(most, len(goals))
    if goals.shape[1:] == (2,):
        return _ranks_of_two(goals, wanted)
    while (number >= 0).sum() < wanted:
        left = np.flatnonzero(number < 0)
        number[left[front(goals[left])]] = level
        level += 1
    number[number < 0] = level
    return number


def _ranks_of_two(goals: np.ndarray, wanted: int) -> np.ndarray:
    """Two goals: sorted by the first, only the least second value of each front matters."""
    order = np.lexsort((goals[:, 1], goals[:, 0]))
    number = np.zeros(len(goals), dtype=int)
    lowest: list[float] = []  # of the second goal in each front, increasing with the front
    previous, level = (np.nan, np.nan), 0
    for place in order:
        point = (float(goals[place, 0]), float(goals[place, 1]))
        if point != previous:
            level = bisect.bisect_right(lowest, point[1])
            lowest[level : level + 1] = [point[1]]
        number[place], previous = level, point
    last = np.searchsorted(np.cumsum(np.bincount(number, minlength=1)), wanted) + 1
    return np.minimum(number, last) if wanted else np.zeros_like(number)


def crowding(goals: np.ndarray) -> np.ndarray:
    """Crowding distance within one front (Deb et al. 2002, section III B).

    Args:
        goals: Goals of one front, shape (n, g).

    Returns:
        Sum over goals of the distance between a point's two neighbours, as a share of the goal's
        range, shape (n,); infinite for the best and the worst of a goal.
    """
    distance = np.zeros(len(goals))
    for values in goals.T:
        order = np.argsort(values, kind="stable")
        span = values[order[-1]] - values[order[0]] if len(order) else 0.0
        if len(order) > 2 and span > 0:
            distance[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / span
        distance[order[[0, -1]] if len(order) else order] = np.inf
    return distance


def reference_point(goals: np.ndarray, margin: float = 0.1) -> np.ndarray:
    """A point that is worse than all others: the worst of each goal and a tenth of its range.

    Ishibuchi et al. (2018, Evolutionary Computation 26(3)) show that a point slightly beyond the
    worst one keeps the ends of a front worth having.

    Args:
        goals: Shape (n, g), n >= 1.
        margin: Share of the range that is added.

    Returns:
        Shape (g,).
    """
    low, high = goals.min(axis=0), goals.max(axis=0)
    span = np.where(high > low, high - low, np.maximum(np.abs(high), 1.0))
    return np.asarray(high + margin * span)


def hypervolume(goals: np.ndarray, reference: Sequence[float] | np.ndarray) -> float:
    """The volume dominated by some points and bounded by a reference point.

    Exact for any number of goals. One and two goals by a sweep; three by slices along the third,
    each a sweep of two; four and more by the recursion of While, Bradstreet and Barone (2012, WFG,
    IEEE Transactions on Evolutionary Computation 16(1)), whose time may grow exponentially with the
    number of goals: a hundred points of five goals take a few seconds.

    Args:
        goals: Shape (n, g).
        reference: Shape (g,); points that are not better in every goal count nothing.

    Returns:
        The volume, in the product of the goals' units.
    """
    reference = np.asarray(reference, dtype=float)
    inside = goals[(goals < reference).all(axis=1)]
    if not len(inside):
        return 0.0
    if inside.shape[1] == 1:
        return float(reference[0] - inside.min())
    if inside.shape[1] == 2:
        return _sweep(inside, reference)
    alone = np.unique(inside[front(inside)], axis=0)
    return (_slices if inside.shape[1] == 3 else _wfg)(alone, reference)


def _sweep(points: np.ndarray, reference: np.ndarray) -> float:
    """Strips between neighbours along the first goal, each as high as the best so far."""
    points = points[np.argsort(points[:, 0])]
    widths = np.diff(points[:, 0], append=reference[0])
    return float(widths @ (reference[1] - np.minimum.accumulate(points[:, 1])))


def _slices(points: np.ndarray, reference: np.ndarray) -> float:
    points = points[np.argsort(points[:, 2], kind="stable")]
    depths = np.append(points[1:, 2], reference[2]) - points[:, 2]
    areas = [_sweep(points[: i + 1, :2], reference[:2]) for i in np.flatnonzero(depths > 0)]
    return float(np.array(areas) @ depths[depths > 0])


def _wfg(points: np.ndarray, reference: np.ndarray) -> float:
    """Each point's own volume less what the points after it dominate of it (eq. 2 and 3)."""
    points = points[np.argsort(-points[:, -1], kind="stable")]  # worst first: short remainders
    own = np.prod(reference - points, axis=1)
    shared = [
        hypervolume(np.maximum(points[i + 1 :], points[i]), reference) for i in range(len(points))
    ]
    return float(own.sum() - np.sum(shared))


def contributions(goals: np.ndarray, reference: Sequence[float] | np.ndarray) -> np.ndarray:
    """How much volume is lost without a point.

    Args:
        goals: Shape (n, g).
        reference: Shape (g,).

    Returns:
        Shape (n,); 0 for dominated and for repeated points.
    """
    reference = np.asarray(reference, dtype=float)
    own = np.prod(np.maximum(reference - goals, 0.0), axis=1)
    own[~front(goals)] = 0.0
    for i in np.flatnonzero(own > 0):
        others = np.delete(goals, i, axis=0)
        own[i] -= hypervolume(np.maximum(others, goals[i]), reference)
    return np.maximum(own, 0.0)


def spread_subset(
    goals: np.ndarray, count: int, reference: Sequence[float] | np.ndarray
) -> np.ndarray:
    """Points chosen one after the other, each adding most to the dominated volume.

    The greedy answer to the subset selection problem has at least 63 % of the best volume
    (Guerreiro, Fonseca and Paquete 2016, Evolutionary Computation 24(3)).

    Args:
        goals: Shape (n, g).
        count: How many are wanted, at most n.
        reference: Shape (g,).

    Returns:
        Positions in order of choice, shape (count,).
    """
    reference = np.asarray(reference, dtype=float)
    gain = np.prod(np.maximum(reference - goals, 0.0), axis=1)
    chosen: list[int] = []
    while len(chosen) < min(count, len(goals)):
        best = _best_gain(goals, gain, chosen, reference)
        chosen.append(best)
        gain[best] = -np.inf
    return np.array(chosen, dtype=int)


def _best_gain(
    goals: np.ndarray, gain: np.ndarray, chosen: Sequence[int], reference: np.ndarray
) -> int:
    """The point that adds most; `gain` holds bounds from earlier rounds and is brought up to date.

    A gain never grows when more is chosen, so a point whose fresh gain is above all other bounds
    is the best one (Minoux 1978).
    """
    fresh: set[int] = set()
    while True:
        best = int(np.argmax(gain))
        if best in fresh or not chosen:
            return best
        own = float(np.prod(np.maximum(reference - goals[best], 0.0)))
        gain[best] = own - hypervolume(np.maximum(goals[chosen], goals[best]), reference)
        fresh.add(best)
