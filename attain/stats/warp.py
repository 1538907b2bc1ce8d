"""Monotone changes of scale that make losses look normal to a Gaussian process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize

# A loss further above the median than this many times the good half's spread (median - best) is
# only "bad": a diverged run must not flatten the rest of the scale.
_CAP = 5.0
_LAMBDAS = (-2.0, 4.0)


@dataclass(frozen=True)
class Warp:
    """A fitted change of scale: cap, centre and scale, Yeo-Johnson, standardise.

    Attributes:
        cap: Losses above are treated as this bad.
        centre: Subtracted before the power transform, in loss units.
        scale: Divided by before the power transform, in loss units.
        power: Parameter lambda of the Yeo-Johnson transform; 1 is the identity.
        mean: Subtracted after the power transform.
        sd: Divided by after the power transform.
    """

    cap: float
    centre: float
    scale: float
    power: float
    mean: float
    sd: float

    def forward(self, losses: np.ndarray) -> np.ndarray:
        """Losses on the warped scale (mean 0, standard deviation 1 over those fitted to)."""
        x = (np.minimum(losses, self.cap) - self.centre) / self.scale
        return np.asarray((yeo_johnson(x, self.power) - self.mean) / self.sd)

    def backward(self, warped: np.ndarray) -> np.ndarray:
        """Losses from the warped scale, none above the cap: how bad the bad are is not known."""
        x = inverse_yeo_johnson(np.asarray(warped) * self.sd + self.mean, self.power)
        return np.minimum(x * self.scale + self.centre, self.cap)

    def slope(self, losses: np.ndarray) -> np.ndarray:
        """Derivative of `forward`, to carry small standard errors over; same shape."""
        x = (np.minimum(losses, self.cap) - self.centre) / self.scale
        sign = np.where(x >= 0, self.power - 1.0, 1.0 - self.power)
        return np.asarray((np.abs(x) + 1.0) ** sign / (self.scale * self.sd))


def fit_warp(losses: np.ndarray) -> Warp:
    """The warp under which these losses look most like a normal sample.

    Yeo and Johnson (2000), lambda by maximum likelihood. In our ablation this was the largest
    single gain in sample efficiency of the Gaussian-process search.

    Args:
        losses: Finite values, shape (n,), n >= 1.

    Returns:
        The fitted warp; the identity up to shift and scale when all losses are equal.
    """
    losses = np.asarray(losses, dtype=float)
    median, best = float(np.median(losses)), float(losses.min())
    cap = median + _CAP * (median - best) if median > best else float(losses.max())
    capped = np.minimum(losses, cap)
    centre, scale = float(capped.mean()), float(capped.std())
    if not scale > 1e-12 * max(1.0, abs(centre)):
        return Warp(cap, centre, 1.0, 1.0, 0.0, 1.0)
    x = (capped - centre) / scale
    found = optimize.minimize_scalar(
        lambda power: -_log_likelihood(x, power), bounds=_LAMBDAS, method="bounded"
    )
    power = float(found.x)
    z = yeo_johnson(x, power)
    return Warp(cap, centre, scale, power, float(z.mean()), float(z.std()))


def yeo_johnson(x: np.ndarray, power: float) -> np.ndarray:
    """The Yeo-Johnson power transform.

    Args:
        x: Any finite values.
        power: Parameter lambda; 1 is the identity.

    Returns:
        Transformed values, increasing in `x`, same shape.
    """
    x = np.asarray(x, dtype=float)
    magnitude = np.log1p(np.abs(x))
    return np.where(x >= 0, _power(magnitude, power), -_power(magnitude, 2.0 - power))


def inverse_yeo_johnson(z: np.ndarray, power: float) -> np.ndarray:
    """Undo `yeo_johnson`.

    Args:
        z: Transformed values.
        power: Parameter lambda.

    Returns:
        Values x with yeo_johnson(x) = z, the transform's edge where none exists.
    """
    z = np.asarray(z, dtype=float)
    exponent = np.where(z >= 0, power, 2.0 - power)
    base = np.maximum(exponent * np.abs(z), -1.0 + 1e-9)
    flat = np.abs(exponent) < 1e-9
    log = np.where(flat, np.abs(z), np.log1p(base) / np.where(flat, 1.0, exponent))
    return np.asarray(np.sign(z) * np.expm1(np.minimum(log, 700.0)))


def _power(log: np.ndarray, power: float) -> np.ndarray:
    """((1 + |x|)^power - 1) / power from log(1 + |x|), also at power 0."""
    return log if abs(power) < 1e-9 else np.expm1(power * log) / power


def _log_likelihood(x: np.ndarray, power: float) -> float:
    variance = float(yeo_johnson(x, power).var())
    jacobian = (power - 1.0) * float(np.sum(np.sign(x) * np.log1p(np.abs(x))))
    return -0.5 * len(x) * float(np.log(max(variance, 1e-300))) + jacobian
