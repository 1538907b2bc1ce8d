"""Forecasts from learning curves: intervals cover the truth, and nothing is made up."""

from __future__ import annotations

import numpy as np
import pytest

from attain.stats.power_law import forecast

SHARES = (0.125, 0.25, 0.5)
RUNS = 200


def simulated(scale: float, exponent: float, error: float, rng: np.random.Generator) -> np.ndarray:
    """Drops to the full size of a true power law, measured with independent errors."""
    shape = np.asarray(SHARES) ** -exponent - 1.0
    return scale * shape + rng.normal(0, error, 3) - rng.normal(0, error)


def covariance(error: float) -> np.ndarray:
    return error**2 * (np.eye(3) + 1.0)


@pytest.mark.parametrize(
    ("scale", "exponent", "error"),
    [(0.05, 0.5, 0.01), (0.05, 1.0, 0.003), (0.1, 0.3, 0.01), (0.2, 0.7, 0.03)],
)
def test_intervals_cover_the_true_gain(scale: float, exponent: float, error: float) -> None:
    """Over 200 true power laws the 95 % intervals of doubling and of four times hold the truth."""
    rng = np.random.default_rng(0)
    hits = np.zeros(2)
    for _ in range(RUNS):
        drops = simulated(scale, exponent, error, rng)
        made = forecast(SHARES, drops, covariance(error), 0.3)
        for place, times in enumerate((2.0, 4.0)):
            true = scale * (1 - times**-exponent)
            hits[place] += made.gains[times].low <= true <= made.gains[times].high
    assert (hits / RUNS >= 0.92).all()


def test_a_flat_curve_is_called_flat() -> None:
    """Without any effect of size the curve is told from a flat one in about 5 % of the runs."""
    rng = np.random.default_rng(1)
    called = [
        forecast(SHARES, simulated(0.0, 1.0, 0.01, rng), covariance(0.01), 0.3).flat < 0.05
        for _ in range(RUNS)
    ]
    assert np.mean(called) <= 0.1


def test_gains_grow_with_rows_and_end_at_the_limit() -> None:
    """Twice the rows bring less than four times, four times less than endless rows, never more
    than there is room for."""
    rng = np.random.default_rng(2)
    for _ in range(30):
        drops = simulated(rng.uniform(0, 0.1), rng.uniform(0.1, 1.5), 0.01, rng)
        made = forecast(SHARES, drops, covariance(0.01), 0.05)
        two, four = made.gains[2.0].estimate, made.gains[4.0].estimate
        assert 0 <= two <= four <= made.limit.estimate <= made.limit.high <= 0.05


def test_scatter_about_the_curve_widens_the_interval() -> None:
    """Sizes that no power law explains make the forecast less certain, not impossible."""
    smooth = forecast(SHARES, np.array([0.07, 0.03, 0.01]), covariance(0.002), 0.3)
    rough = forecast(SHARES, np.array([0.07, 0.00, 0.03]), covariance(0.002), 0.3)
    assert smooth.inflation == 1.0
    assert rough.inflation > 2.0
    width = [f.gains[2.0].high - f.gains[2.0].low for f in (smooth, rough)]
    assert width[1] > width[0]


def test_worse_with_more_rows_promises_nothing() -> None:
    """A curve that falls where it should rise gives a gain near zero and is called flat."""
    made = forecast(SHARES, np.array([-0.05, -0.03, -0.01]), covariance(0.01), 0.3)
    assert made.flat > 0.5
    assert made.gains[2.0].estimate < 0.01


def test_more_confidence_is_a_wider_interval() -> None:
    """The confidence reaches the limits."""
    drops = np.array([0.07, 0.03, 0.01])
    narrow, wide = (
        forecast(SHARES, drops, covariance(0.01), 0.3, confidence=c).gains[2.0] for c in (0.8, 0.99)
    )
    assert wide.low < narrow.low < narrow.high < wide.high
