"""Where good values are expected: draws and densities, mixed with a uniform share.

Positions are mapped through the inverse of the prior's distribution function, axis by axis, so that
points which were evenly spread stay so. A prior may be wrong: a share of all draws, decided by one
more coordinate, ignores all priors at once, and the density never falls below that share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attain.core.space import Categorical, Ordinal
from attain.core.space_scale import forward
from attain.strategy._axis import Axis

UNIFORM = 0.25  # of all draws know no prior


def has_priors(axes: Sequence[Axis]) -> bool:
    """Whether any parameter says where good values are expected."""
    return any(one.parameter.prior is not None for one in axes)


def shaped(axes: Sequence[Axis], points: np.ndarray) -> np.ndarray:
    """Points that follow the priors, from evenly spread ones.

    Args:
        axes: Of the cube, d of them.
        points: In [0, 1), shape (m, d + 1) if there is a prior, else (m, d).

    Returns:
        Points of the cube, shape (m, d).
    """
    if not has_priors(axes):
        return points
    rows, chosen = points[:, :-1].copy(), points[:, -1] >= UNIFORM
    for i, one in enumerate(axes):
        if one.parameter.prior is not None:
            rows[chosen, i] = _quantiles(one, rows[chosen, i])
    return rows


def log_density(axes: Sequence[Axis], rows: np.ndarray) -> np.ndarray:
    """Logarithm of the density of `shaped` points against uniform ones.

    Args:
        axes: Of the cube, d of them.
        rows: Settled points, shape (m, d), NaN where inactive.

    Returns:
        Shape (m,), at least log(UNIFORM), 0 where the prior says nothing.
    """
    total = np.zeros(len(rows))
    for i, one in enumerate(axes):
        if one.parameter.prior is not None:
            active = ~np.isnan(rows[:, i])
            total[active] += _log_ratio(one, rows[active, i])
    if not has_priors(axes):
        return total
    return np.logaddexp(np.log(UNIFORM), np.log1p(-UNIFORM) + total)


def _quantiles(one: Axis, shares: np.ndarray) -> np.ndarray:
    """Positions below which these shares of the prior lie."""
    if isinstance(one.parameter, Categorical | Ordinal):
        edges = np.concatenate([[0.0], np.cumsum(_weights(one))])
        return np.interp(shares, edges, np.linspace(0, 1, one.levels + 1))
    from scipy import special  # slow to import, and most spaces have no prior

    centre, spread = _normal(one)
    low, high = special.ndtr((np.array([0.0, 1.0]) - centre) / spread)
    positions = centre + spread * special.ndtri(low + shares * (high - low))
    return np.asarray(np.clip(positions, 0.0, 1.0))


def _log_ratio(one: Axis, positions: np.ndarray) -> np.ndarray:
    """Logarithm of a prior's density at positions, 0 for a uniform one."""
    if isinstance(one.parameter, Categorical | Ordinal):
        level = np.floor(np.clip(positions, 0, 1 - 1e-12) * one.levels).astype(int)
        with np.errstate(divide="ignore"):
            ratio = np.log(_weights(one)[level] * one.levels)
        return np.where(positions < 0, -np.inf, ratio)
    from scipy import special

    centre, spread = _normal(one)
    whole = np.diff(special.ndtr((np.array([0.0, 1.0]) - centre) / spread))
    if one.levels:
        low, high = one.cells(np.clip(positions, 0.0, 1.0))
        share = special.ndtr((high - centre) / spread) - special.ndtr((low - centre) / spread)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(share / (high - low) / whole))
    z = (positions - centre) / spread
    return np.asarray(-(z**2) / 2 - np.log(np.sqrt(2 * np.pi) * spread * whole))


def _weights(one: Axis) -> np.ndarray:
    weights = np.array(one.parameter.prior, dtype=float)
    return weights / weights.sum()


def _normal(one: Axis) -> tuple[float, float]:
    """Centre and spread as positions; a centre out of range counts as the nearest end."""
    parameter, prior = one.parameter, one.parameter.prior
    assert not isinstance(parameter, Categorical | Ordinal), "choices have weights"
    assert prior is not None, "asked for where there is a prior only"
    centre = (forward(parameter.scale, prior[0], parameter.linear_width) - one.start) / one.width
    return min(max(float(centre), 0.0), 1.0), prior[1] / one.width
