"""Expected improvement on the log scale, accurate far into the tails."""

from __future__ import annotations

import numpy as np
from scipy import special

_HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)
_HALF_LOG_HALF_PI = 0.5 * np.log(0.5 * np.pi)
_FAR = -100.0  # below, the asymptotic series is exact to 1e-13; above, the closed form is


def log_improvement(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of h(u) = phi(u) + u Phi(u), and its derivative.

    h is the expected improvement at unit standard deviation. Ament et al. (2023, arXiv
    2310.20708), eq. 9, with an asymptotic series instead of their last case.

    Args:
        u: Standardised improvements (best - mean) / sd; any shape, finite.

    Returns:
        log h(u) and d log h / du, both of the shape of `u`.
    """
    u = np.asarray(u, dtype=float)
    if u.size and u.min() > -1.0:  # near the top of a climb, twenty times for each proposal
        return _near(u)
    value, slope = np.empty_like(u), np.empty_like(u)
    for part, formula in (
        (u > -1.0, _near),
        ((u <= -1.0) & (u > _FAR), _middle),
        (u <= _FAR, _tail),
    ):
        if part.any():
            value[part], slope[part] = formula(u[part])
    return value, slope


def _near(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    below = special.ndtr(u)
    h = np.exp(-0.5 * u**2 - _HALF_LOG_TWO_PI) + u * below
    return np.log(h), below / h


def _middle(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log_mills = np.log(special.erfcx(-u / np.sqrt(2.0))) + _HALF_LOG_HALF_PI
    rest = -np.expm1(log_mills + np.log(-u))  # 1 + u Phi/phi
    return -0.5 * u**2 - _HALF_LOG_TWO_PI + np.log(rest), np.exp(log_mills) / rest


def _tail(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # h(u) = phi(u) u^-2 (1 - 3 u^-2 + 15 u^-4 - 105 u^-6 + 945 u^-8 - ...)
    s = u**-2.0
    series = s * (-3.0 + s * (15.0 + s * (-105.0 + s * 945.0)))
    series_slope = -2.0 * s / u * (-3.0 + s * (30.0 + s * (-315.0 + s * 3780.0)))
    value = -0.5 * u**2 - _HALF_LOG_TWO_PI - 2.0 * np.log(-u) + np.log1p(series)
    return value, -u - 2.0 / u + series_slope / (1.0 + series)


def log_expected_improvement(mean: np.ndarray, sd: np.ndarray, best: float) -> np.ndarray:
    """Logarithm of the expected improvement over `best` when minimising.

    Args:
        mean: Predicted means, shape (m,).
        sd: Predicted standard deviations, shape (m,), positive.
        best: The value to be improved on.

    Returns:
        log E[max(best - f, 0)], shape (m,); the argument's units.
    """
    return np.asarray(log_improvement((best - mean) / sd)[0] + np.log(sd))


def improvement_slopes(
    mean: np.ndarray, sd: np.ndarray, best: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The logarithm of the expected improvement and how it changes with a prediction.

    Args:
        mean: Predicted means, any shape.
        sd: Predicted standard deviations, same shape, positive.
        best: The value to be improved on, of a shape that broadcasts.

    Returns:
        The logarithm, its derivative by the mean and by the standard deviation, each of the
        broadcast shape.
    """
    u = (best - mean) / sd
    value, slope = log_improvement(u)
    return value + np.log(sd), -slope / sd, (1.0 - slope * u) / sd


def probability_slopes(
    mean: np.ndarray, sd: np.ndarray, limit: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithm of the probability that a normal value stays below a limit.

    Args:
        mean: Predicted means, any shape.
        sd: Predicted standard deviations, same shape, positive.
        limit: The limit, of a shape that broadcasts.

    Returns:
        log Phi((limit - mean) / sd), its derivative by the mean and by the standard deviation,
        each of the broadcast shape.
    """
    u = (limit - np.asarray(mean)) / sd
    value = special.log_ndtr(u)
    slope = np.exp(-0.5 * u**2 - _HALF_LOG_TWO_PI - value) / sd
    return value, -slope, -slope * u
