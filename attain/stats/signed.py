"""Changes of scale for what is no loss: excesses of limits and durations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_FAR = 1e3  # median sizes; an excess beyond is only "far"
_SHORTEST = 1e-6  # seconds


@dataclass(frozen=True)
class SignedWarp:
    """A change of scale that keeps the zero apart: bilog, then standardise.

    Attributes:
        unit: Divided by first, in the units of the excess.
        mean: Subtracted after the bilog transform.
        sd: Divided by after that.
    """

    unit: float
    mean: float
    sd: float

    @property
    def zero(self) -> float:
        """Where an excess of 0 lies on the warped scale."""
        return -self.mean / self.sd

    def forward(self, excess: np.ndarray) -> np.ndarray:
        """Excesses on the warped scale; same shape."""
        return np.asarray((_bilog(excess, self.unit) - self.mean) / self.sd)


def fit_signed(excess: np.ndarray) -> SignedWarp:
    """The bilog scale of some excesses (Eriksson and Poloczek 2021, SCBO, arXiv 2002.08526, s. 3).

    sign(e) log(1 + |e| / unit) keeps every sign, magnifies what happens around the limit, and
    flattens what is far from it on both sides.

    Args:
        excess: By how much a limit is exceeded, shape (n,), n >= 1, no NaN.

    Returns:
        The scale, its unit the median size of the excesses.
    """
    sizes = np.abs(excess[excess != 0])
    unit = float(np.median(sizes)) if len(sizes) else 1.0
    logs = _bilog(excess, unit)
    spread = float(logs.std())
    sd = spread if spread > 1e-9 else 1.0
    return SignedWarp(unit, float(logs.mean()), sd)


def _bilog(excess: np.ndarray, unit: float) -> np.ndarray:
    scaled = np.clip(np.asarray(excess, dtype=float) / unit, -_FAR, _FAR)
    return np.asarray(np.sign(scaled) * np.log1p(np.abs(scaled)))


@dataclass(frozen=True)
class LogWarp:
    """Durations on a standardised logarithmic scale.

    Attributes:
        mean: Of the log seconds.
        sd: Divided by after subtracting the mean.
    """

    mean: float
    sd: float

    def forward(self, seconds: np.ndarray) -> np.ndarray:
        """Durations on the warped scale; same shape."""
        logs = np.log(np.maximum(seconds, _SHORTEST))
        return np.asarray((logs - self.mean) / self.sd)

    def backward(self, warped: np.ndarray) -> np.ndarray:
        """Seconds from the warped scale; same shape."""
        return np.asarray(np.exp(np.asarray(warped) * self.sd + self.mean))


def fit_log(seconds: np.ndarray) -> LogWarp:
    """The logarithmic scale of some durations.

    Args:
        seconds: Shape (n,), n >= 1.

    Returns:
        The scale; shifted only when all are alike.
    """
    logs = np.log(np.maximum(seconds, _SHORTEST))
    spread = float(logs.std())
    return LogWarp(float(logs.mean()), spread if spread > 1e-9 else 1.0)
