"""Linear heads on fixed features: a whole regularisation path, solved by one preconditioned L-BFGS.

A head minimises ``mean loss + penalty / 2 * |W|^2``. Its Hessian is close to ``c * X'X / n +
penalty`` with one number c (Boehning 1992, "Multinomial logistic regression algorithm"), so in
coordinates in which X'X is diagonal, or nearly so, each coordinate is divided by the root of its
curvature. L-BFGS (Nocedal and Wright 2006, algorithm 7.4) then needs about as many steps for
strongly as for weakly correlated features. Neighbours on the path start each other, along the
secant of the two before (a predictor as in Park and Hastie 2007, section 2.3).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""The path, from much to little regularisation: ``C * mean |x|^2``, C as in scikit-learn."""
DEFAULT_POINT = 6
"""Position on the path, from 1, where no rows tell which is best: C = 30 for rows of length 1."""

_MEMORY = 10
_MOST_STEPS = 200
_TOLERANCE = 3e-3
"""Norm of the preconditioned gradient. Half of its square, 4.5e-6, is what the loss is above its
minimum where the curvature is as assumed; tests find less than 1e-4 everywhere."""
_SECANT = 0.7
_ARMIJO = 1e-4
_SMALLEST_STEP = 1e-6

Loss = Callable[[np.ndarray], tuple[float, np.ndarray]]
"""Scores, shape (n, k), to the mean loss and its gradient by the scores, shape (n, k)."""


class Design(ABC):
    """A matrix of features, in coordinates in which it is easy to solve.

    Attributes:
        curvature: Diagonal of ``X'X / n`` in these coordinates, shape (d,).
        length: Mean squared length of a row.
    """

    curvature: np.ndarray
    length: float

    @abstractmethod
    def scores(self, slope: np.ndarray) -> np.ndarray:
        """``X @ slope`` for slopes of shape (d, k); shape (n, k), float32."""

    @abstractmethod
    def collect(self, gradient: np.ndarray) -> np.ndarray:
        """``X' @ gradient`` for gradients of shape (n, k); shape (d, k), float32."""

    @abstractmethod
    def restore(self, slope: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Slope and intercept in the original coordinates."""


class Dense(Design):
    """A dense matrix, turned to its principal axes.

    Args:
        matrix: Shape (n, d), n >= 1.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        self._mean = matrix.mean(axis=0, dtype=np.float64).astype(np.float32)
        centered = np.asarray(matrix, dtype=np.float32) - self._mean
        covariance = (centered.T @ centered).astype(np.float64) / len(matrix)
        values, axes = np.linalg.eigh(covariance)
        self.curvature = np.maximum(values, 0.0)
        self.length = float(self.curvature.sum())
        self._axes = axes.astype(np.float32)
        self._matrix = centered @ self._axes

    def scores(self, slope: np.ndarray) -> np.ndarray:
        """See `Design`."""
        return np.asarray(self._matrix @ slope)

    def collect(self, gradient: np.ndarray) -> np.ndarray:
        """See `Design`."""
        return np.asarray(self._matrix.T @ gradient)

    def restore(self, slope: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Design`."""
        turned = self._axes.astype(np.float64) @ slope
        return turned, intercept - self._mean.astype(np.float64) @ turned


class Sparse(Design):
    """A sparse matrix as it is; its columns are nearly uncorrelated.

    Args:
        matrix: A SciPy CSR matrix, shape (n, d), n >= 1.
    """

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix.astype(np.float32)
        self._transposed = self._matrix.T.tocsr()
        squared = self._matrix.multiply(self._matrix).sum(axis=0)
        self.curvature = np.asarray(squared, dtype=np.float64).ravel() / matrix.shape[0]
        self.length = float(self.curvature.sum())

    def scores(self, slope: np.ndarray) -> np.ndarray:
        """See `Design`."""
        return np.asarray(self._matrix @ slope)

    def collect(self, gradient: np.ndarray) -> np.ndarray:
        """See `Design`."""
        return np.asarray(self._transposed @ gradient)

    def restore(self, slope: np.ndarray, intercept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Design`."""
        return slope, intercept


@dataclass(frozen=True, eq=False)
class Target:
    """What scores are to say.

    Attributes:
        loss: Of scores of the training rows.
        intercept: Scores of the best answer that ignores the features, shape (k,).
        curvature: The number c of the module's docstring.
    """

    loss: Loss
    intercept: np.ndarray
    curvature: float


def softmax_target(y: np.ndarray, classes: int, weights: np.ndarray | None = None) -> Target:
    """Cross-entropy of three or more classes.

    Args:
        y: Positions of the classes, shape (n,); each class has a row.
        classes: Number of classes k.
        weights: Of the rows, shape (n,); None when they count the same.

    Returns:
        A target with k outputs.
    """
    share = _shares(len(y), weights)
    prior = np.bincount(y, weights=share, minlength=classes)
    column, rows = share.astype(np.float32)[:, None], np.arange(len(y))

    def loss(scores: np.ndarray) -> tuple[float, np.ndarray]:
        shifted = scores - scores.max(axis=1, keepdims=True)
        right = shifted[rows, y].astype(np.float64)
        np.exp(shifted, out=shifted)
        total = shifted.sum(axis=1, keepdims=True)
        value = float(share @ (np.log(total[:, 0].astype(np.float64)) - right))
        shifted *= column / total
        shifted[rows, y] -= column[:, 0]
        return value, shifted

    return Target(loss, np.log(prior), float(np.mean(prior * (1 - prior))))


def logistic_target(y: np.ndarray, weights: np.ndarray | None = None) -> Target:
    """Cross-entropy of two classes with one score, the log odds of the second.

    Args:
        y: 0 or 1, shape (n,); both occur.
        weights: Of the rows, shape (n,); None when they count the same.

    Returns:
        A target with one output.
    """
    from scipy.special import expit

    share = _shares(len(y), weights)
    prior = float(share @ y)

    def loss(scores: np.ndarray) -> tuple[float, np.ndarray]:
        s = scores[:, 0].astype(np.float64)
        value = float(share @ (np.logaddexp(0.0, s) - y * s))
        gradient = share * (expit(s) - y)
        return value, gradient.astype(np.float32)[:, None]

    return Target(loss, np.array([math.log(prior / (1 - prior))]), prior * (1 - prior))


def labels_target(y: np.ndarray) -> Target:
    """Cross-entropy of labels that do not exclude each other, one score each, summed over labels.

    Summed, so that each label has the head that it would have alone.

    Args:
        y: 0 or 1, shape (n, k); both occur in each column.

    Returns:
        A target with k outputs.
    """
    from scipy.special import expit

    prior, rows = y.mean(axis=0, dtype=np.float64), len(y)

    def loss(scores: np.ndarray) -> tuple[float, np.ndarray]:
        s = scores.astype(np.float64)
        value = float((np.logaddexp(0.0, s) - y * s).sum() / rows)
        return value, ((expit(s) - y) / rows).astype(np.float32)

    return Target(loss, np.log(prior / (1 - prior)), float(np.mean(prior * (1 - prior))))


def squared_target(y: np.ndarray) -> Target:
    """Half the squared error of values.

    Args:
        y: Values, better standardised, shape (n,).

    Returns:
        A target with one output.
    """

    def loss(scores: np.ndarray) -> tuple[float, np.ndarray]:
        off = scores[:, 0].astype(np.float64) - y
        return float(off @ off) / (2 * len(y)), (off / len(y)).astype(np.float32)[:, None]

    return Target(loss, np.array([y.mean()]), 1.0)


@dataclass(frozen=True, eq=False)
class Head:
    """A solved head.

    Attributes:
        slope: Shape (d, k), float64.
        intercept: Shape (k,), float64.
        loss: Mean loss on the training rows, without the penalty.
        converged: Whether the tolerance was reached.
    """

    slope: np.ndarray
    intercept: np.ndarray
    loss: float
    converged: bool


def path(
    design: Design, target: Target, strengths: tuple[float, ...] = STRENGTHS
) -> Iterator[Head]:
    """Heads from strong to weak regularisation; solved when asked for.

    Args:
        design: Features of n rows.
        target: What is learnt of these rows.
        strengths: Rising; see `STRENGTHS`.

    Yields:
        One head for each strength.
    """
    count, outputs = len(design.curvature), len(target.intercept)
    theta = np.zeros((count + 1, outputs), dtype=np.float32)
    theta[-1] = target.intercept
    rows = len(design.scores(theta[:-1]))
    before: np.ndarray | None = None
    for strength in strengths:
        penalty = max(design.length, 1e-12) / (rows * strength)
        start = theta if before is None else theta + _SECANT * (theta - before)
        before = theta
        problem = _Problem(design, target, penalty)
        theta, converged = _minimise(problem, start)
        slope, intercept = design.restore(
            theta[:-1].astype(np.float64), theta[-1].astype(np.float64)
        )
        yield Head(slope, intercept, problem.plain_loss, converged)


class _Problem:
    """The penalised loss in scaled coordinates ``theta / scale``."""

    def __init__(self, design: Design, target: Target, penalty: float) -> None:
        curvature = np.append(target.curvature * design.curvature + penalty, target.curvature)
        self.scale = (1 / np.sqrt(curvature)).astype(np.float32)[:, None]
        self._design, self._target, self._penalty = design, target, penalty
        self.plain_loss = math.inf

    def __call__(self, scaled: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient in scaled coordinates."""
        theta = scaled * self.scale
        slope = theta[:-1]
        self.plain_loss, by_score = self._target.loss(self._design.scores(slope) + theta[-1])
        gradient = np.empty_like(theta)
        gradient[:-1] = self._design.collect(by_score) + np.float32(self._penalty) * slope
        gradient[-1] = by_score.sum(axis=0, dtype=np.float64)
        value = self.plain_loss + self._penalty / 2 * _dot(slope, slope)
        return value, gradient * self.scale


def _minimise(problem: _Problem, start: np.ndarray) -> tuple[np.ndarray, bool]:
    """L-BFGS with backtracking; the point and whether it is within the tolerance."""
    point = start / problem.scale
    value, gradient = problem(point)
    history: list[tuple[np.ndarray, np.ndarray, float]] = []
    for _ in range(_MOST_STEPS):
        if _dot(gradient, gradient) < _TOLERANCE**2:
            return point * problem.scale, True
        direction = _two_loops(gradient, history)
        found = _search(problem, point, value, gradient, direction)
        if found is None:
            break
        moved, value, new_gradient = found
        step, turn = moved - point, new_gradient - gradient
        product = _dot(step, turn)
        if product > 1e-12:
            history = [*history[1 - _MEMORY :], (step, turn, 1 / product)]
        point, gradient = moved, new_gradient
    problem(point)
    return point * problem.scale, False


def _two_loops(
    gradient: np.ndarray, history: list[tuple[np.ndarray, np.ndarray, float]]
) -> np.ndarray:
    """Nocedal and Wright 2006, algorithm 7.4; the identity stands for the scaled Hessian."""
    q = gradient.copy()
    factors = []
    for step, turn, rho in reversed(history):
        factors.append(rho * _dot(step, q))
        q -= np.float32(factors[-1]) * turn
    if history:
        step, turn, rho = history[-1]
        q *= np.float32(1 / (rho * _dot(turn, turn)))
    for (step, turn, rho), factor in zip(history, reversed(factors), strict=True):
        q += np.float32(factor - rho * _dot(turn, q)) * step
    return q


def _search(
    problem: _Problem,
    point: np.ndarray,
    value: float,
    gradient: np.ndarray,
    direction: np.ndarray,
) -> tuple[np.ndarray, float, np.ndarray] | None:
    """Halve the step until the loss falls enough; None when it cannot, for rounding."""
    slope = _dot(direction, gradient)
    length = 1.0
    while length > _SMALLEST_STEP:
        moved = point - np.float32(length) * direction
        found, new_gradient = problem(moved)
        if found <= value - _ARMIJO * length * slope + 1e-7 * abs(value):
            return moved, found, new_gradient
        length /= 2
    return None


def _dot(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.dot(a.ravel(), b.ravel()))


def _shares(rows: int, weights: np.ndarray | None) -> np.ndarray:
    if weights is None:
        return np.full(rows, 1 / rows)
    return np.asarray(weights / weights.sum(), dtype=np.float64)
