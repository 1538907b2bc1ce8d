"""Several goals as one number."""

from __future__ import annotations

import numpy as np

from attain.stats.pareto import front

_SUM = 0.05  # weight of the sum beside the largest part


def drawn_weights(count: int, seed: int) -> np.ndarray:
    """Weights of goals, evenly spread over all that add to one.

    Args:
        count: Number of goals.
        seed: Of the draw.

    Returns:
        Shape (count,), positive.
    """
    return np.random.default_rng(seed).dirichlet(np.ones(count))


def chebyshev(goals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The augmented Chebyshev distance from the ideal point (Knowles 2006, ParEGO, eq. 2).

    Each goal is counted in units of its range over the front, so that a single bad trial does not
    make all others look alike. Minimising it leads to a point of the front, concave parts of it
    included, and to another one for other weights.

    Args:
        goals: Finite values, shape (n, g).
        weights: Positive, adding to 1, shape (g,).

    Returns:
        max_j w_j z_j + 0.05 sum_j w_j z_j for goals z between 0 and 1 along the front; shape (n,).
    """
    best = goals[front(goals)]
    low, high = best.min(axis=0), best.max(axis=0)
    whole = goals.max(axis=0) - low
    span = np.where(high > low, high - low, np.where(whole > 0, whole, 1.0))
    parts = weights * (goals - low) / span
    return np.asarray(parts.max(axis=1) + _SUM * parts.sum(axis=1))
