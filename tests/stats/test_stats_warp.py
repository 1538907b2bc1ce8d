"""The change of scale of losses: SciPy's Yeo-Johnson, monotone, inverse, robust."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attain.stats.warp import fit_warp, inverse_yeo_johnson, yeo_johnson

_values = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40)


@pytest.mark.parametrize("power", [-2.0, -0.5, 0.0, 1.0, 1.7, 2.0, 4.0])
def test_yeo_johnson_is_scipys(power):
    """The transform equals SciPy's at all of its special cases, and inverts."""
    x = np.linspace(-4, 4, 33)
    z = yeo_johnson(x, power)
    np.testing.assert_allclose(z, stats.yeojohnson(x, power), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(inverse_yeo_johnson(z, power), x, rtol=1e-7, atol=1e-9)


def test_power_is_scipys_maximum_likelihood():
    """On skewed losses without outliers the fitted power is SciPy's."""
    losses = np.random.default_rng(0).gamma(2.0, size=200)
    losses = losses[losses < np.median(losses) * 3]
    scaled = (losses - losses.mean()) / losses.std()
    assert fit_warp(losses).power == pytest.approx(stats.yeojohnson_normmax(scaled), abs=1e-3)


def test_skewed_losses_look_normal_afterwards():
    """The skewness of log-normal losses goes, mean and standard deviation become 0 and 1."""
    losses = np.exp(np.random.default_rng(1).normal(size=300))
    warped = fit_warp(losses).forward(losses)
    assert abs(stats.skew(warped)) < 0.4 < stats.skew(losses)
    assert warped.mean() == pytest.approx(0, abs=1e-9)
    assert warped.std() == pytest.approx(1)


@given(_values)
def test_order_is_kept_and_everything_stays_finite(values):
    """A smaller loss never becomes a larger warped one, whatever the losses."""
    losses = np.array(values)
    warp = fit_warp(losses)
    warped = warp.forward(losses)
    assert np.isfinite(warped).all()
    assert np.isfinite(warp.slope(losses)).all()
    assert (np.diff(warped[np.argsort(losses)]) >= -1e-9).all()


@given(_values)
def test_losses_come_back(values):
    """Backward undoes forward for every loss that was not capped."""
    losses = np.array(values)
    warp = fit_warp(losses)
    kept = losses[losses <= warp.cap]
    spread = max(np.ptp(kept), 1e-9)
    assert np.abs(warp.backward(warp.forward(kept)) - kept).max() < 1e-4 * spread + 1e-9


def test_a_diverged_run_does_not_flatten_the_rest():
    """One loss of a billion leaves the good losses as far apart as before."""
    losses = np.linspace(0.1, 0.3, 20)
    calm = fit_warp(losses).forward(losses)
    upset = fit_warp(np.append(losses, 1e9)).forward(losses)
    assert np.ptp(upset) > 0.5 * np.ptp(calm)


@pytest.mark.parametrize("power", [-2.0, 0.0, 4.0])
def test_no_prediction_is_worse_than_the_worst_that_is_told_apart(power):
    """Losses beyond the cap are told as the cap, so that is what comes back."""
    warp = replace(fit_warp(np.array([1.0, 2.0, 3.0, 500.0])), power=power)
    assert warp.cap < 20
    assert warp.backward(np.array([3.0, 30.0, 300.0])).max() <= warp.cap


def test_slope_is_the_derivative():
    """Standard errors are carried over by the derivative of the transform."""
    losses = np.random.default_rng(2).gamma(2.0, size=50)
    warp = fit_warp(losses)
    inner = losses[losses < warp.cap - 1e-3]
    numeric = (warp.forward(inner + 1e-6) - warp.forward(inner - 1e-6)) / 2e-6
    np.testing.assert_allclose(warp.slope(inner), numeric, rtol=1e-5)


def test_equal_losses_stay_zero():
    """Without any spread the warp only shifts."""
    warp = fit_warp(np.full(5, 0.25))
    np.testing.assert_array_equal(warp.forward(np.array([0.25])), [0.0])
    np.testing.assert_array_equal(warp.backward(np.array([0.0])), [0.25])


def test_beyond_the_image_lies_the_edge():
    """A prediction that no loss maps to comes back as a finite number."""
    assert np.isfinite(inverse_yeo_johnson(np.array([50.0, -50.0]), -2.0)).all()
    assert np.isfinite(inverse_yeo_johnson(np.array([50.0, -50.0]), 4.0)).all()
