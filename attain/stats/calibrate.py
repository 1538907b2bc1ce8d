"""Probabilities made to mean what they say: temperature, Platt's sigmoid, isotonic regression.

A calibrator is a handful of numbers, so that it can be stored as JSON and read by anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy import special

LEAST = float(np.finfo(float).eps)  # probabilities are at least this; as in the log loss
COLDEST, HOTTEST = 0.05, 20.0  # temperatures
_STEPS, _HALVINGS, _FLAT = 100, 30, 1e-10  # of Newton's method


@dataclass(frozen=True)
class Calibrator:
    """A map from probabilities to probabilities.

    Attributes:
        method: ``temperature``, ``platt`` or ``isotonic``.
        values: The temperature; slope and intercept; or the calibrated probabilities at `at`.
        at: Of isotonic regression only: increasing probabilities of the second class.
    """

    method: str
    values: tuple[float, ...]
    at: tuple[float, ...] = ()

    def __call__(self, prediction: np.ndarray) -> np.ndarray:
        """Calibrate.

        Args:
            prediction: Probabilities, shape (n, K); two classes except for ``temperature``.

        Returns:
            Probabilities of the same shape; each row adds up to 1.
        """
        made: np.ndarray = _APPLY[self.method](self, np.asarray(prediction, float))
        return made


def fit(method: str, y: np.ndarray, prediction: np.ndarray) -> Calibrator:
    """Fit a calibrator on rows that the model has not seen.

    Args:
        method: A name in `METHODS`.
        y: Class codes, shape (n,).
        prediction: Probabilities, shape (n, K); ``platt`` and ``isotonic`` need two classes.

    Returns:
        The calibrator.
    """
    return METHODS[method](y, np.asarray(prediction, float))


def _temperature(y: np.ndarray, prediction: np.ndarray) -> Calibrator:
    """Divide log probabilities by what makes the log loss least (Guo et al. 2017, section 4.2).

    The log loss is convex in 1/T, so the root of its derivative is all there is to find:
    E[log p] under the calibrated probabilities equals the mean log p of the true classes.
    """
    logs = _logs(prediction)
    own = logs[np.arange(len(y)), y].mean()

    def slope(inverse: float) -> float:
        calibrated = special.softmax(inverse * logs, axis=1)
        return float((calibrated * logs).sum(axis=1).mean() - own)

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return Calibrator("temperature", (HOTTEST,))
    if slope(high) <= 0:
        return Calibrator("temperature", (COLDEST,))
    from scipy import optimize  # slow to import, and whoever only predicts does not need it

    return Calibrator("temperature", (1 / float(optimize.brentq(slope, low, high)),))


def _apply_temperature(made: Calibrator, prediction: np.ndarray) -> np.ndarray:
    calibrated: np.ndarray = special.softmax(_logs(prediction) / made.values[0], axis=1)
    return calibrated


def _platt(y: np.ndarray, prediction: np.ndarray) -> Calibrator:
    """A sigmoid of the log odds (Platt 1999), by Newton's method as in Lin et al. 2007.

    A falling sigmoid would turn the model round; a level one is the least that is fitted then.
    """
    odds, target = _odds(prediction), _targets(y)
    slope, intercept = _sigmoid(odds, target)
    if slope < 0:
        slope, intercept = 0.0, float(special.logit(target.mean()))
    return Calibrator("platt", (slope, intercept))


def _sigmoid(odds: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Least cross entropy of ``expit(slope odds + intercept)`` with the targets."""
    x = np.stack([odds, np.ones(len(odds))], axis=1)

    def loss(weights: np.ndarray) -> float:
        score = x @ weights
        return float((np.logaddexp(0, score) - target * score).mean())

    weights = np.array([0.0, special.logit(target.mean())])
    least = loss(weights)
    for _ in range(_STEPS):
        said = special.expit(x @ weights)
        gradient = x.T @ (said - target) / len(x)
        if np.abs(gradient).max() < _FLAT:
            break
        curvature = (x * (said * (1 - said))[:, None]).T @ x / len(x)
        step = np.linalg.solve(curvature + 1e-12 * np.eye(2), gradient)
        sizes = (0.5**k for k in range(_HALVINGS))
        size = next((s for s in sizes if loss(weights - s * step) < least), 0.0)
        if size == 0.0:
            break
        weights = weights - size * step
        least = loss(weights)
    return float(weights[0]), float(weights[1])


def _apply_platt(made: Calibrator, prediction: np.ndarray) -> np.ndarray:
    slope, intercept = made.values
    return _both(special.expit(slope * _odds(prediction) + intercept))


def _isotonic(y: np.ndarray, prediction: np.ndarray) -> Calibrator:
    """The increasing step function of least squares (Zadrozny & Elkan 2002), by pooling violators.

    Fitted to Platt's targets instead of zeros and ones: a probability of exactly 0 or 1, which
    pooling gives at either end, costs without bound when it is wrong once.
    """
    from scipy import optimize

    score = _second(prediction)
    x, place, counts = np.unique(score, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=_targets(y)) / counts
    steps = optimize.isotonic_regression(means, weights=counts).x
    ends = np.ones(len(x), bool)  # of each level; between two levels the function is linear
    ends[1:-1] = (np.diff(steps)[:-1] > 0) | (np.diff(steps)[1:] > 0)
    return Calibrator("isotonic", tuple(steps[ends].tolist()), tuple(x[ends].tolist()))


def _apply_isotonic(made: Calibrator, prediction: np.ndarray) -> np.ndarray:
    return _both(np.interp(_second(prediction), made.at, made.values))


def _targets(y: np.ndarray) -> np.ndarray:
    """Platt's targets: posterior means of a certain class under a uniform prior.

    (N1 + 1) / (N1 + 2) for rows of the second class, 1 / (N0 + 2) for those of the first
    (Lin et al. 2007, equation 2); shape (n,).
    """
    ones = int((y == 1).sum())
    found: np.ndarray = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))
    return found


def _second(prediction: np.ndarray) -> np.ndarray:
    found: np.ndarray = prediction[:, 1] / prediction.sum(axis=1)
    return found


def _logs(prediction: np.ndarray) -> np.ndarray:
    """Log probabilities, none below that of `LEAST`."""
    share = prediction / prediction.sum(axis=1, keepdims=True)
    found: np.ndarray = np.log(np.clip(share, LEAST, 1.0))
    return found


def _odds(prediction: np.ndarray) -> np.ndarray:
    logs = _logs(prediction)
    found: np.ndarray = logs[:, 1] - logs[:, 0]
    return found


def _both(second: np.ndarray) -> np.ndarray:
    return np.stack([1 - second, second], axis=1)


METHODS: Mapping[str, Callable[[np.ndarray, np.ndarray], Calibrator]] = MappingProxyType(
    {"temperature": _temperature, "platt": _platt, "isotonic": _isotonic}
)
"""From the simplest to the most flexible."""
_APPLY: Mapping[str, Callable[[Calibrator, np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "temperature": _apply_temperature,
        "platt": _apply_platt,
        "isotonic": _apply_isotonic,
    }
)
