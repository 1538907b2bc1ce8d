"""Learning curves: how much lower the loss would be with more rows, with honest uncertainty.

The loss of a learner that sees n rows mostly follows ``loss(n) = a + b n^-c`` (Viering & Loog 2021,
"The shape of learning curves", arXiv:2103.10948, table 1, POW3; for tables Mohr et al. 2022, LCDB).
All sizes are validated on the same rows, so what is fitted are the differences to the full size, in
which the luck of these rows and the unknown limit `a` cancel:
``loss(r N) - loss(N) = B (r^-c - 1)`` with ``B = b N^-c``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from attain.stats.interval import Interval

EXPONENTS = (0.05, 2.0)  # of almost all curves reported; log-uniform beforehand
FARTHEST = 4.0  # times the rows seen; further, the form itself is a guess
_GRID, _QUANTILES = 60, 101


@dataclass(frozen=True)
class Forecast:
    """What more rows would bring.

    Attributes:
        gains: For each multiple of the rows, by how much the loss falls from the full size.
        limit: By how much it falls with endless rows; what is left is noise and the model's bias.
        exponent: Median of c; about 0.5 to 1 for simple models, less for flexible ones.
        flat: Chance of differences at least this large if the size made no difference, in [0, 1].
        inflation: Factor by which errors were widened because the sizes scatter about the curve by
            more than they explain; at least 1.
    """

    gains: Mapping[float, Interval]
    limit: Interval
    exponent: float
    flat: float
    inflation: float


def forecast(
    shares: Sequence[float],
    drops: np.ndarray,
    covariance: np.ndarray,
    room: float,
    *,
    multiples: Sequence[float] = (2.0, FARTHEST),
    confidence: float = 0.95,
) -> Forecast:
    """The posterior of a power law through the differences to the full size.

    For a given exponent the model is linear in B, whose posterior is a normal distribution cut to
    [0, `room`]; the exponent is integrated over on a grid, so nothing is sampled. Where the sizes
    scatter about the best curve by more than their errors explain (small training sets are lucky or
    unlucky), all errors are widened by the root of chi-square per degree of freedom (Birge 1932).

    Args:
        shares: Sizes as shares of the full one, each in (0, 1), shape (m,), m at least 1.
        drops: Loss at each share minus the loss at the full size, shape (m,).
        covariance: Of these differences, shape (m, m); they share the full size, so they correlate.
        room: Loss at the full size minus the best possible one, above 0: more cannot be gained.
        multiples: Of the rows, each above 1 and at most 4.
        confidence: Two-sided, in (0, 1).

    Returns:
        Medians with limits, in units of the loss.
    """
    exponents = np.geomspace(*EXPONENTS, _GRID)
    shape = np.asarray(shares, float)[None, :] ** -exponents[:, None] - 1.0  # (grid, m)
    jitter = 1e-12 + 1e-9 * float(np.trace(covariance)) / len(covariance)
    precision = np.linalg.inv(covariance + jitter * np.eye(len(covariance)))
    inflation = _inflation(shape, precision, drops, room)
    precision = precision / inflation**2
    curvature, centre = _linear_fit(shape, precision, drops)
    spread = 1.0 / np.sqrt(curvature)
    chi2 = _chi2(drops - centre[:, None] * shape, precision)
    low, high = special.ndtr(-centre / spread), special.ndtr((room - centre) / spread)
    mass = np.maximum(high - low, 1e-300)
    log_weight = -chi2 / 2 + np.log(spread) + np.log(mass)
    weights = np.repeat(np.exp(log_weight - log_weight.max()) / _QUANTILES, _QUANTILES)
    steps = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
    inside = np.clip(low[:, None] + mass[:, None] * steps, 1e-300, 1 - 1e-16)
    scale = np.clip(centre[:, None] + spread[:, None] * special.ndtri(inside), 0.0, room)
    each = {float(m): scale * (1.0 - float(m) ** -exponents[:, None]) for m in multiples}
    best = _chi2(drops - np.clip(centre, 0.0, room)[:, None] * shape, precision).min()
    rise = float(drops @ precision @ drops) - float(best)
    return Forecast(
        gains={m: _quantiles(gain.ravel(), weights, confidence) for m, gain in each.items()},
        limit=_quantiles(scale.ravel(), weights, confidence),
        exponent=_quantiles(np.repeat(exponents, _QUANTILES), weights, confidence).estimate,
        flat=float(special.chdtrc(1, max(rise, 0.0))),
        inflation=inflation,
    )


def _linear_fit(
    shape: np.ndarray, precision: np.ndarray, drops: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and best value of B for each exponent."""
    curvature = np.einsum("gi,ij,gj->g", shape, precision, shape)
    return curvature, shape @ precision @ drops / curvature


def _chi2(residual: np.ndarray, precision: np.ndarray) -> np.ndarray:
    return np.einsum("gi,ij,gj->g", residual, precision, residual)


def _inflation(shape: np.ndarray, precision: np.ndarray, drops: np.ndarray, room: float) -> float:
    """Root of chi-square per degree of freedom of the best legal curve, at least 1."""
    _, centre = _linear_fit(shape, precision, drops)
    best = _chi2(drops - np.clip(centre, 0.0, room)[:, None] * shape, precision).min()
    return math.sqrt(max(1.0, float(best) / max(len(drops) - 1, 1)))


def _quantiles(values: np.ndarray, weights: np.ndarray, confidence: float) -> Interval:
    """Median and limits of weighted values."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order]) / weights.sum()
    ends = np.searchsorted(below, [0.5, (1 - confidence) / 2, (1 + confidence) / 2])
    median, low, high = values[order][np.minimum(ends, len(values) - 1)]
    return Interval(float(median), float(low), float(high))
