"""Scales of excesses and durations: monotone, and a limit stays where it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.stats.signed import fit_log, fit_signed

_values = st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40)


@given(_values)
def test_the_limit_is_never_lost(values):
    """On the warped scale an excess lies above zero's place exactly when it was positive."""
    excess = np.array(values)
    warp = fit_signed(excess)
    warped = warp.forward(excess)
    assert np.isfinite(warped).all()
    assert (warped[excess <= 0] <= warp.zero + 1e-12).all()
    assert (warped[excess > 0] >= warp.zero - 1e-12).all()
    assert (np.diff(warped[np.argsort(excess)]) >= -1e-9).all()


def test_excesses_are_standardised():
    """Mean 0 and standard deviation 1 over what the scale was fitted to, in any unit."""
    excess = np.random.default_rng(0).normal(0.5, 2.0, 50)
    for unit in (1.0, 1e-6, 1e9):
        warped = fit_signed(excess * unit).forward(excess * unit)
        np.testing.assert_allclose(warped, fit_signed(excess).forward(excess))
        assert warped.mean() == pytest.approx(0, abs=1e-9)
        assert warped.std() == pytest.approx(1)


def test_what_is_far_from_the_limit_is_flattened():
    """An excess of a million leaves those around the limit distinguishable."""
    near = np.linspace(-1, 1, 20)
    warp = fit_signed(np.append(near, 1e6))
    assert np.ptp(warp.forward(near)) > 0.5


def test_equal_excesses_keep_their_side():
    """Without spread the scale only shifts, and all lie on the side of the limit they were on."""
    for value in (-0.5, 0.0, 2.0):
        warp = fit_signed(np.full(5, value))
        assert np.sign(warp.forward(np.array([value]))[0] - warp.zero) == np.sign(value)


def test_durations_come_back():
    """Seconds, minutes and hours survive the way to the logarithmic scale and back."""
    seconds = np.array([0.5, 60.0, 7200.0])
    warp = fit_log(seconds)
    np.testing.assert_allclose(warp.backward(warp.forward(seconds)), seconds)
    assert warp.forward(seconds).std() == pytest.approx(1)


def test_equal_durations_are_a_shift():
    """One known duration is a scale of its own unit."""
    warp = fit_log(np.full(3, 10.0))
    assert warp.sd == 1.0
    np.testing.assert_allclose(warp.forward(np.array([10.0])), 0.0, atol=1e-12)
