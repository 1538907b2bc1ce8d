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
def test_slopes_of_the_improvement_match_finite_differences(mean, log_sd, best):
    """The slopes by mean and standard deviation agree with central differences."""
    sd = float(np.exp(log_sd))

    def value(m, s):
        return acquisition.log_expected_improvement(np.array([m]), np.array([s]), best)[0]

    got, *slopes = acquisition.improvement_slopes(np.array([mean]), np.array([sd]), best)
    step = 1e-5 * sd
    by_mean = (value(mean + step, sd) - value(mean - step, sd)) / (2 * step)
    by_sd = (value(mean, sd + step) - value(mean, sd - step)) / (2 * step)
    assert got[0] == pytest.approx(value(mean, sd), rel=1e-12, abs=1e-12)
    assert [s[0] for s in slopes] == pytest.approx([by_mean, by_sd], rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("u", [-40.0, -3.0, 0.0, 5.0])
def test_log_probability_and_its_slopes(u):
    """The log probability is SciPy's, also far in the tail, and its slopes are its derivatives."""
    mean, sd, limit = 1.0, 2.0, 1.0 + 2.0 * u

    def value(m, s):
        return stats.norm.logcdf((limit - m) / s)

    got, *slopes = acquisition.probability_slopes(np.array([mean]), np.array([sd]), limit)
    step = 1e-6
    by_mean = (value(mean + step, sd) - value(mean - step, sd)) / (2 * step)
    by_sd = (value(mean, sd + step) - value(mean, sd - step)) / (2 * step)
    assert got[0] == pytest.approx(value(mean, sd))
    assert [s[0] for s in slopes] == pytest.approx([by_mean, by_sd], rel=1e-6, abs=1e-8)
