"""Gains towards a target and in volume, against averages over quantiles and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attain.stats.improvement import gain_between, log_volume_gain
from attain.stats.pareto import hypervolume

_LEVELS = (np.arange(60) + 0.5) / 60


def _numeric(function, at, step=1e-6):
    """Central differences by each entry of an array."""
    slopes = np.empty(at.shape)
    for i in np.ndindex(*at.shape):
        move = np.zeros(at.shape)
        move[i] = step
        slopes[i] = (function(at + move) - function(at - move)) / (2 * step)
    return slopes


def test_gain_between_is_the_integral():
    """The closed form equals the average gain, cut at the target, over the quantiles."""
    mean, sd, low, high = 0.3, 0.7, -0.4, 0.1
    drawn = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000, mean, sd)
    gain = np.maximum(high - np.maximum(drawn, low), 0.0).mean()
    value, _, _ = gain_between(np.array([mean]), np.array([sd]), low, high)
    assert np.exp(value[0]) == pytest.approx(gain, rel=1e-4)


@given(st.floats(-3, 3), st.floats(-3, 1), st.floats(-3, 0), st.floats(0.1, 3))
def test_slopes_of_the_gain_between_match_finite_differences(mean, log_sd, low, width):
    """Mean and standard deviation move the logarithm as its slopes say."""
    at = np.array([mean, np.exp(log_sd)])

    def value(pair):
        return gain_between(pair[:1], pair[1:], low, low + width)[0][0]

    _, by_mean, by_sd = gain_between(at[:1], at[1:], low, low + width)
    numeric = _numeric(value, at, 1e-6 * at[1])
    assert [by_mean[0], by_sd[0]] == pytest.approx(numeric.tolist(), rel=1e-4, abs=1e-4)


def test_far_from_both_bounds_the_order_remains():
    """A thousand standard deviations away the nearer of two points is still worth more."""
    mean, sd = np.array([1000.0, 1001.0]), np.ones(2)
    value, by_mean, _ = gain_between(mean, sd, -1.0, 0.0)
    assert np.isfinite(value).all()
    assert value[0] > value[1]
    assert (by_mean < 0).all()


_FRONT = np.array([[0.2, 0.9], [0.5, 0.4], [0.8, 0.3]])
_REFERENCE = np.array([1.0, 1.1])


@pytest.mark.parametrize("front", [_FRONT[[2, 0, 1]], _FRONT[:1]], ids=["three", "one"])
@pytest.mark.parametrize(
    "predicted", [(0.4, 0.5, 0.3, 0.2), (0.1, 0.2, 0.1, 0.4), (0.9, 1.0, 0.5, 0.5)]
)
def test_the_volume_gain_is_the_average_growth(front, predicted):
    """The exact formula equals the mean growth over a grid of quantiles of both goals."""
    m1, m2, s1, s2 = predicted
    first, second = stats.norm.ppf(_LEVELS, m1, s1), stats.norm.ppf(_LEVELS, m2, s2)
    before = hypervolume(front, _REFERENCE)
    grown = [
        hypervolume(np.vstack([front, [a, b]]), _REFERENCE) - before for a in first for b in second
    ]
    means, sds = np.array([[m1], [m2]]), np.array([[s1], [s2]])
    value, _, _ = log_volume_gain(means, sds, front, _REFERENCE)
    assert np.exp(value[0]) == pytest.approx(np.mean(grown), rel=0.05)


@given(st.integers(0, 10_000), st.floats(-3, 0))
def test_slopes_of_the_volume_gain_match_finite_differences(seed, log_sd):
    """All four slopes agree with central differences, at three points at once."""
    rng = np.random.default_rng(seed)
    means = rng.normal(0.5, 1.0, (2, 3))
    sds = np.exp(log_sd + 0.3 * rng.normal(size=(2, 3)))
    _, by_mean, by_sd = log_volume_gain(means, sds, _FRONT, _REFERENCE)
    for i in range(3):
        one = np.array([means[:, i], sds[:, i]])

        def value(pair):
            return log_volume_gain(pair[0][:, None], pair[1][:, None], _FRONT, _REFERENCE)[0][0]

        numeric = _numeric(value, one, 1e-6 * sds[:, i].min())
        np.testing.assert_allclose([by_mean[:, i], by_sd[:, i]], numeric, rtol=1e-3, atol=1e-3)


def test_far_behind_the_front_the_nearer_point_is_worth_more():
    """Where the gain is below the smallest float, its logarithm still orders and slopes down."""
    means = np.array([[200.0, 210.0], [300.0, 300.0]])
    value, by_mean, _ = log_volume_gain(means, np.ones((2, 2)), _FRONT, _REFERENCE)
    assert np.isfinite(value).all()
    assert value[0] > value[1]
    assert (by_mean < 0).all()
