"""Which parameters separate good trials from the rest: PED-ANOVA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from scipy import special

GRID = 50  # cells of the unit interval, as in the reference implementation
LEAST_BANDWIDTH = 0.5 / GRID
DRAWS = 64


def ped_anova(
    columns: Mapping[str, np.ndarray],
    loss: np.ndarray,
    quantile: float = 0.1,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, float]:
    """Share of each parameter in what makes the best trials the best.

    Watanabe, Bansal & Hutter (2023), "PED-ANOVA: Efficiently quantifying hyperparameter importance
    in arbitrary subspaces", arXiv 2304.10255, equation 16: the variance of "is among the best"
    that one parameter explains is the Pearson divergence between its density among the best and
    its density among all. Two additions of ours: a conditional parameter is judged on the trials
    where it is active, weighted by their share and by how many of the best are among them; and
    what the same number of randomly picked trials would show is subtracted, since a divergence of
    few points is never zero.

    Args:
        columns: Values of each parameter, shape (n,). Floats are numbers on the unit scale, NaN
            where inactive; integers are category codes from 0, -1 where inactive.
        loss: Smaller is better, shape (n,); NaN for trials without a result, which are left out.
        quantile: Share of trials that count as the best, in (0, 1).
        draws: Random picks behind the subtraction; 0 leaves the plain divergence.
        seed: Of the random picks.

    Returns:
        Non-negative shares that sum to 1, one per parameter; all 0 when nothing can be said.
    """
    scored = np.isfinite(np.asarray(loss, float))
    loss = np.asarray(loss, float)[scored]
    best = _best(loss, quantile)
    rng = np.random.default_rng(seed)
    raw = {
        name: _explained(np.asarray(column)[scored], best, draws, rng)
        for name, column in columns.items()
    }
    total = sum(raw.values())
    return {name: value / total if total > 0 else 0.0 for name, value in raw.items()}


def _best(loss: np.ndarray, quantile: float) -> np.ndarray:
    """Which trials are at or below the quantile, at least two and never all of them."""
    if len(loss) < 4 or loss.min() == loss.max():
        return np.zeros(len(loss), bool)
    count = int(np.clip(np.ceil(quantile * len(loss)), 2, len(loss) - 1))
    best = loss <= np.partition(loss, count - 1)[count - 1]
    return best if not best.all() else loss < loss.max()


def _explained(column: np.ndarray, best: np.ndarray, draws: int, rng: np.random.Generator) -> float:
    """Variance of membership among the best that one parameter explains, on its active trials."""
    active = column >= 0 if column.dtype.kind in "iu" else ~np.isnan(column)
    values, top = column[active], best[active]
    n, m = len(values), int(top.sum())
    if m < 2 or m == n or np.all(values == values[0]):
        return 0.0
    masses = _masses(values)
    divergence = _pearson(masses, top[None, :])[0]
    if draws:
        order = np.argsort(rng.random((draws, n)), axis=1)
        divergence -= _pearson(masses, order < m).mean()
    # share of trials concerned, times the squared share of best among them (equation 16)
    return max(float(divergence), 0.0) * n / len(column) * (m / n) ** 2


def _masses(values: np.ndarray) -> np.ndarray:
    """Probability that each trial's kernel gives to each cell, shape (n, cells)."""
    if values.dtype.kind in "iu":
        return np.eye(int(values.max()) + 1)[values]
    edges = np.linspace(0, 1, GRID + 1)
    lower = special.ndtr((edges - np.clip(values, 0, 1)[:, None]) / _bandwidth(values))
    masses = np.diff(lower, axis=1)
    return cast(np.ndarray, masses / masses.sum(axis=1, keepdims=True))


def _bandwidth(values: np.ndarray) -> float:
    """Scott's rule, robust to outliers; one width for both densities, so that they compare."""
    spread = min(values.std(), np.subtract(*np.percentile(values, [75, 25])) / 1.34)
    return max(1.059 * float(spread) * len(values) ** -0.2, LEAST_BANDWIDTH)


def _pearson(masses: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Divergence of each pick of trials from all trials, with one pseudo-trial spread evenly.

    Args:
        masses: Shape (n, cells).
        picks: Boolean, shape (draws, n), the same number of trials in each.

    Returns:
        Shape (draws,).
    """
    cells = masses.shape[1]
    top = (picks @ masses + 1 / cells) / (picks.sum(axis=1, keepdims=True) + 1)
    base = (masses.sum(axis=0) + 1 / cells) / (len(masses) + 1)
    return cast(np.ndarray, ((top / base - 1) ** 2) @ base)
