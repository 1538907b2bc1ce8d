"""Where an acquisition function is largest on a tree of mixed parameters.

Everywhere first (a shifted Sobol set), then near the best trials, then shrinking steps around the
best so far, at last a few steps along the gradient from all winners at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.stats import qmc

from attain.strategy._encode import Cube

Score = Callable[[np.ndarray], np.ndarray]
ScoreGradient = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Around = Callable[[np.ndarray], ScoreGradient]
_GROW, _SHRINK = 1.3, 0.5  # of a step whose slope kept, or changed, its sign
_FIRST_STEP, _LARGEST_STEP, _SMALLEST_STEP = 0.01, 0.1, 1e-6


@dataclass(frozen=True)
class Effort:
    """How hard to look.

    Attributes:
        spread: Points over the whole space; a power of 2.
        near: Neighbours of each anchor in the first look around.
        elites: How many of the best are followed.
        children: Neighbours of each elite in each round.
        steps: Standard deviation of the steps in each round, as a share of the range.
        polished: How many of the best are refined by gradients.
        iterations: Steps of each refinement.
    """

    spread: int = 256
    near: int = 30
    elites: int = 6
    children: int = 20
    steps: tuple[float, ...] = (0.1, 0.03, 0.01)
    polished: int = 6
    iterations: int = 16


def maximise(
    cube: Cube,
    score: Score,
    around: Around,
    anchors: np.ndarray,
    seed: int,
    effort: Effort,
    rough: Score | None = None,
) -> np.ndarray:
    """Points in order of decreasing score, the best near a local maximum.

    Args:
        cube: The space, with at least one parameter.
        score: Scores of settled points of shape (m, d), shape (m,).
        around: From settled points, shape (m, d), to scores and gradients, shapes (m,) and (m, d),
            wherever those parameters have come to that are climbed, grids not settled.
        anchors: Points worth looking around, shape (a, d), NaN where inactive.
        seed: Of all random choices.
        effort: How hard to look.
        rough: Nearly the same as `score`, and faster; decides which points are worth climbing from.

    Returns:
        Settled points, shape (m, d), best first; some may be equal.
    """
    generator, rough = np.random.default_rng(seed), rough or score
    spread = (_sobol(len(cube), effort.spread) + generator.random(len(cube))) % 1.0
    scales = np.exp(generator.uniform(np.log(0.01), np.log(0.4), len(anchors) * effort.near))
    mutants = _neighbours(cube, anchors, effort.near, scales, generator)
    rows, scores = _ranked(cube, rough, np.vstack([spread, mutants]))
    for step in effort.steps:
        elites = _distinct(rows, scores, effort.elites)
        scales = np.full(len(elites) * effort.children, step)
        children = _neighbours(cube, elites, effort.children, scales, generator)
        rows, scores = _merged(rows, scores, *_ranked(cube, rough, children))
    climbed = _climb(cube, around, _distinct(rows, scores, effort.polished), effort.iterations)
    return _merged(rows, scores, *_ranked(cube, score, climbed))[0]


@lru_cache(maxsize=16)
def _sobol(dimensions: int, count: int) -> np.ndarray:
    """A scrambled Sobol set, the same every time; a shift makes others of it."""
    engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(0))
    return np.asarray(engine.random(count))


def _ranked(cube: Cube, score: Score, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    settled = cube.settle(rows)
    scores = np.where(cube.allowed(settled), score(settled), -np.inf)
    order = np.argsort(-scores, kind="stable")
    return settled[order], scores[order]


def _merged(
    rows: np.ndarray, scores: np.ndarray, more: np.ndarray, more_scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    values = np.concatenate([scores, more_scores])
    order = np.argsort(-values, kind="stable")
    return np.vstack([rows, more])[order], values[order]


def _distinct(rows: np.ndarray, scores: np.ndarray, count: int) -> np.ndarray:
    """The first so many different rows of a ranking, in which equal ones stand together."""
    chosen: list[int] = []
    for i in range(len(rows)):
        if len(chosen) == count:
            break
        tied = [k for k in chosen if scores[k] == scores[i]]
        if not any(np.array_equal(rows[k], rows[i], equal_nan=True) for k in tied):
            chosen.append(i)
    return rows[chosen]


def _neighbours(
    cube: Cube, rows: np.ndarray, each: int, scales: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """Mutants of points: one to a few active parameters change, by a step or to another choice."""
    mutants = np.repeat(rows, each, axis=0)
    count, dimensions = mutants.shape
    active = ~np.isnan(mutants)
    rate = np.maximum(generator.choice([1.0, 3.0, dimensions], size=(count, 1)), 1.0)
    share = rate / np.maximum(active.sum(axis=1, keepdims=True), 1)
    change = generator.random((count, dimensions)) < share
    change[np.arange(count), generator.integers(dimensions, size=count)] = True
    fresh = generator.random((count, dimensions))
    moved = mutants + generator.normal(size=(count, dimensions)) * scales[:, None]
    listed, step = _jumps(cube)
    moved[:, listed] = fresh[:, listed]
    # a step must reach the next value of a coarse grid
    jump = np.copysign(step, moved - mutants)
    moved = np.where(np.abs(moved - mutants) >= step, moved, mutants + jump)
    moved = np.where(np.isnan(moved), fresh, moved)  # in case a parent's change activates it
    mutants = np.where(active & ~change, mutants, moved)
    return np.asarray(np.abs(np.mod(mutants + 1.0, 2.0) - 1.0))  # reflected at the walls


def _jumps(cube: Cube) -> tuple[np.ndarray, np.ndarray]:
    """Axes of choices, and how far apart the values of each axis are, 0 where they are not."""
    listed = np.array([axis.listed for axis in cube.axes], dtype=bool)
    levels = np.array([0 if axis.listed else axis.levels for axis in cube.axes])
    return np.flatnonzero(listed), np.where(levels > 0, 1.0 / np.maximum(levels, 1), 0.0)


def _climb(cube: Cube, around: Around, rows: np.ndarray, steps: int) -> np.ndarray:
    """Rows moved uphill, all at once, along their numbers; those of grids are not settled yet.

    Resilient steps (Riedmiller and Braun 1993, iRprop-): only signs of slopes matter, so that
    scores far out in a tail and scores near the top are climbed alike.
    """
    columns = np.flatnonzero([axis.climbed for axis in cube.axes])
    at = rows[:, columns]
    free = ~np.isnan(at)
    if not free.any():
        return rows
    rows, best_at, gradient = rows.copy(), at.copy(), around(rows)
    best, slope = gradient(rows)
    slope = slope[:, columns]  # 0 where inactive
    step = np.where(free, _FIRST_STEP, 0.0)
    for _ in range(steps):
        at = np.minimum(np.maximum(at + np.sign(slope) * step, 0.0), 1.0)
        rows[:, columns] = at
        scores, new = gradient(rows)
        new = new[:, columns]
        better = scores > best
        best = np.where(better, scores, best)
        best_at[better] = at[better]
        turned = new * slope
        back = turned < 0
        step *= np.where(turned > 0, _GROW, np.where(back, _SHRINK, 1.0))
        step = np.minimum(np.maximum(step, _SMALLEST_STEP), _LARGEST_STEP)
        slope = np.where(back, 0.0, new)
    rows[:, columns] = best_at
    return rows
