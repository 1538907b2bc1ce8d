"""Where an acquisition function is largest on a tree of mixed parameters.

Everywhere first (scrambled Sobol points), then near the best trials, then shrinking steps around
the best so far, at last L-BFGS-B over the continuous parameters of the winners.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.stats import qmc

from attain.strategy._encode import Cube

Score = Callable[[np.ndarray], np.ndarray]
ScoreGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


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
        iterations: Most iterations of each refinement.
    """

    spread: int = 512
    near: int = 40
    elites: int = 8
    children: int = 24
    steps: tuple[float, ...] = (0.1, 0.03, 0.01)
    polished: int = 3
    iterations: int = 20


def maximise(
    cube: Cube,
    score: Score,
    gradient: ScoreGradient,
    anchors: np.ndarray,
    seed: int,
    effort: Effort,
) -> np.ndarray:
    """Points in order of decreasing score, the best near a local maximum.

    Args:
        cube: The space, with at least one parameter.
        score: Scores of settled points of shape (m, d), shape (m,).
        gradient: Score and gradient at one settled point.
        anchors: Points worth looking around, shape (a, d), NaN where inactive.
        seed: Of all random choices.
        effort: How hard to look.

    Returns:
        Distinct settled points, shape (m, d), best first.
    """
    generator = np.random.default_rng(seed)
    spread = qmc.Sobol(len(cube), scramble=True, rng=generator).random(effort.spread)
    scales = np.exp(generator.uniform(np.log(0.01), np.log(0.4), len(anchors) * effort.near))
    around = _neighbours(cube, anchors, effort.near, scales, generator)
    rows, scores = _ranked(cube, score, np.vstack([spread, around]))
    for step in effort.steps:
        elites = rows[: effort.elites]
        scales = np.full(len(elites) * effort.children, step)
        children = _neighbours(cube, elites, effort.children, scales, generator)
        more, more_scores = _ranked(cube, score, children)
        rows, scores = _merged(rows, scores, more, more_scores)
    polished = [_polish(cube, gradient, row, effort.iterations) for row in rows[: effort.polished]]
    more, more_scores = _ranked(cube, score, np.array(polished))
    return _merged(rows, scores, more, more_scores)[0]


def _ranked(cube: Cube, score: Score, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    settled = cube.settle(rows)
    scores = score(settled)
    order = np.argsort(-scores, kind="stable")
    return settled[order], scores[order]


def _merged(
    rows: np.ndarray, scores: np.ndarray, more: np.ndarray, more_scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    together = np.vstack([rows, more])
    values = np.concatenate([scores, more_scores])
    order = np.argsort(-values, kind="stable")
    _, first = np.unique(together[order], axis=0, return_index=True, equal_nan=True)
    order = order[np.sort(first)]
    return together[order], values[order]


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
    for i, axis in enumerate(cube.axes):
        if axis.listed:
            moved[:, i] = fresh[:, i]
        elif axis.levels:
            # a step must reach the next value of a coarse grid
            jump = np.sign(moved[:, i] - mutants[:, i]) / axis.levels
            far = np.abs(moved[:, i] - mutants[:, i]) >= np.abs(jump)
            moved[:, i] = np.where(far, moved[:, i], mutants[:, i] + jump)
    moved = np.where(np.isnan(moved), fresh, moved)  # in case a parent's change activates it
    mutants = np.where(active & ~change, mutants, moved)
    return np.asarray(np.abs(np.mod(mutants + 1.0, 2.0) - 1.0))  # reflected at the walls


def _polish(cube: Cube, gradient: ScoreGradient, row: np.ndarray, iterations: int) -> np.ndarray:
    free = np.array([axis.levels == 0 for axis in cube.axes]) & ~np.isnan(row)
    if not free.any():
        return row

    def loss(positions: np.ndarray) -> tuple[float, np.ndarray]:
        point = row.copy()
        point[free] = positions
        value, slope = gradient(point)
        return -value, -slope[free]

    found = optimize.minimize(
        loss,
        row[free],
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * int(free.sum()),
        options={"maxiter": iterations},
    )
    polished = row.copy()
    polished[free] = np.clip(found.x, 0.0, 1.0)
    return polished
