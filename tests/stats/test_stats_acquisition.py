"""Expected improvement on the log scale against 60-digit references and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attain.stats import acquisition

# u, log h(u), d log h / du with h(u) = phi(u) + u Phi(u); computed with mpmath at 60 digits
_REFERENCE = [
    (50.0, 3.91202300542814606, 0.02),
    (8.0, 2.07944154167983594, 0.124999999999999921),
    (1.0, 0.08002621884930694, 0.77663872520173926),
    (0.0, -0.918938533204672742, 1.25331413731550025),
    (-0.5, -1.62051626438731992, 1.55987314834807967),
    (-1.0, -2.48512102571264134, 1.90427123332969182),
    (-1.0001, -2.48531145644588334, 1.90434343171652735),
    (-2.5, -6.21254164544351286, 3.09842329679116193),
    (-10.0, -55.5531220361223559, 10.1943830334125533),
    (-37.5, -711.294748447512722, 37.5532201179802749),
    (-99.9, -5000.13257840006376, 99.9200140062008648),
    (-100.0, -5010.12957880024979, 100.019994004195865),
    (-100.1, -5020.13657720223273, 100.119974042119031),
    (-1000.0, -500014.734452091158, 1000.00199999400004),
    (-10000.0, -50000019.3396193072, 10000.000199999994),
    (-1000000.0, -500000000028.54996, 1000000.000002),
    (-100000000.0, -5000000000000037.76, 100000000.00000002),
]


@pytest.mark.parametrize(("u", "value", "slope"), _REFERENCE)
def test_log_improvement_matches_sixty_digits(u, value, slope):
    """Value and slope are accurate to 1e-11 from +50 to -1e8 standard deviations."""
    got_value, got_slope = acquisition.log_improvement(np.array([u]))
    assert got_value[0] == pytest.approx(value, rel=1e-11, abs=1e-13)
    assert got_slope[0] == pytest.approx(slope, rel=1e-10, abs=1e-13)


@given(st.floats(-1e3, 30.0), st.floats(1e-3, 1.0))
def test_log_improvement_increases(u, gap):
    """A larger standardised improvement is never worth less, across all formula changes."""
    low, high = acquisition.log_improvement(np.array([u, u + gap]))[0]
    assert high > low


def test_log_expected_improvement_is_the_integral():
    """The closed form equals the average improvement over the quantiles of the prediction."""
    mean, sd, best = 0.3, 0.7, 0.1
    levels = (np.arange(200_000) + 0.5) / 200_000
    improvement = np.maximum(best - stats.norm.ppf(levels, mean, sd), 0.0).mean()
    value = acquisition.log_expected_improvement(np.array([mean]), np.array([sd]), best)
    assert value[0] == pytest.approx(np.log(improvement), rel=1e-4)


@given(st.floats(-3, 3), st.floats(-4, 1), st.floats(-3, 3))
def test_gradient_matches_finite_differences(mean, log_sd, best):
    """The gradient follows mean and standard deviation as they move along a line."""
    sd = float(np.exp(log_sd))
    directions = (np.array([0.7, -0.4]), np.array([0.2, 0.5]) * sd)

    def value(t):
        return acquisition.log_expected_improvement(
            np.array([mean + t * directions[0][0]]), np.array([sd + t * directions[1][0]]), best
        )[0]

    (got,), (gradient,) = acquisition.log_expected_improvement_gradient(
        np.array([mean]), np.array([sd]), best, *(d[None, :] for d in directions)
    )
    step = 1e-5 * sd
    numeric = (value(step) - value(-step)) / (2 * step)
    assert got == pytest.approx(value(0.0), rel=1e-12, abs=1e-12)
    assert gradient[0] == pytest.approx(numeric, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("u", [-40.0, -3.0, 0.0, 5.0])
def test_log_probability_and_its_slope(u):
    """The log probability is SciPy's, also far in the tail, and the slope is its derivative."""
    value, slope = acquisition.log_probability_below(
        np.array([1.0]), np.array([2.0]), 1.0 + 2.0 * u
    )
    step = 1e-6
    numeric = (stats.norm.logcdf(u + step) - stats.norm.logcdf(u - step)) / (2 * step)
    assert value[0] == pytest.approx(stats.norm.logcdf(u))
    assert slope[0] == pytest.approx(numeric, rel=1e-6, abs=1e-9)
