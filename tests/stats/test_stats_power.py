"""What n rows can show: against the published simulation, exact binomials and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attain.stats import interval, power


@pytest.mark.parametrize(
    ("n", "published"), [(200, 0.951), (500, 0.933), (1000, 0.923), (2000, 0.917), (5000, 0.911)]
)
def test_the_simulated_table_is_reproduced(n, published):
    """The one-sided 95 % exact bound gives the table of the simulation, found on a 0.001 grid."""
    value = power.rate_needed(0.9, n, sides=1, method="exact")
    assert math.ceil(value * 1000) / 1000 == pytest.approx(published)


@given(
    st.integers(20, 3000),
    st.floats(0.05, 0.95),
    st.sampled_from([1, 2]),
    st.sampled_from(["wilson", "exact"]),
)
@settings(max_examples=60, deadline=None)
def test_a_needed_rate_has_exactly_the_stated_power(n, target, sides, method):
    """Summing the binomial over all counts whose interval clears the target gives 80 %."""
    value = power.rate_needed(target, n, sides=sides, method=method)
    make = interval.wilson if method == "wilson" else interval.clopper_pearson
    confidence = 0.95 if sides == 2 else 0.9
    count = np.arange(n + 1)
    clears = np.array([make(k, n, confidence).low >= target - 1e-9 for k in count])
    if value is None:
        assert not clears.any()
        return
    assert stats.binom.pmf(count[clears], n, value).sum() == pytest.approx(0.8, abs=1e-6)


def test_too_few_rows_can_show_nothing():
    """Five of five right do not prove 90 %; no rate would."""
    assert power.rate_needed(0.9, 5) is None


@pytest.mark.parametrize("method", ["wilson", "exact"])
def test_rates_to_minimise_are_mirrored(method):
    """An error rate of at most 0.1 needs what an accuracy of at least 0.9 needs."""
    high = power.rate_needed(0.9, 400, method=method)
    low = power.rate_needed(0.1, 400, maximize=False, method=method)
    assert low == pytest.approx(1 - high)
    rows = power.rate_rows(0.1, 0.05, maximize=False, method=method)
    assert rows == power.rate_rows(0.9, 0.95, method=method)


@given(st.floats(0.5, 0.97), st.floats(0.005, 0.3), st.sampled_from([0.5, 0.8, 0.95]))
@settings(max_examples=60, deadline=None)
def test_rows_settle_the_target_they_were_asked_for(target, ahead, chance):
    """The number of rows is enough, and clearly fewer are not."""
    rate = min(target + ahead, 1.0)
    rows = power.rate_rows(target, rate, power=chance)
    assert power.rate_needed(target, rows, power=chance) <= rate + 1e-9
    fewer = power.rate_needed(target, int(rows * 0.8) - 6, power=chance) if rows > 40 else None
    assert fewer is None or fewer > rate


def test_each_rule_changes_the_rows_needed():
    """Power, confidence, sides and method all matter."""
    plain = power.rate_rows(0.9, 0.93)
    assert power.rate_rows(0.9, 0.93, power=0.5) < plain < power.rate_rows(0.9, 0.93, power=0.95)
    assert power.rate_rows(0.9, 0.93, sides=1) < plain < power.rate_rows(0.9, 0.93, confidence=0.99)
    assert power.rate_rows(0.9, 0.93, method="exact") > plain


def test_a_value_short_of_the_target_never_settles_it():
    """No number of rows turns a miss into a hit, and a hair's breadth needs too many."""
    assert power.rate_rows(0.9, 0.9) is None
    assert power.rate_rows(0.9, 0.900001) is None
    assert power.auc_rows(0.9, 0.89, 0.5) is None
    assert power.mean_rows(1.0, 1.1, 1.0) is None


def test_hanley_mcneil_reproduces_their_table():
    """Hanley & McNeil 1982, table III: 51 abnormal and 58 normal images, area 0.893, SE 0.032."""
    assert math.sqrt(power.auc_variance(0.893, 51, 58)) == pytest.approx(0.032, abs=0.0015)


def test_auc_rows_and_auc_needed_agree():
    """The area needed with the rows that an area needs is that area."""
    rows = power.auc_rows(0.9, 0.94, 0.2)
    needed = power.auc_needed(0.9, round(rows * 0.2), round(rows * 0.8))
    assert needed == pytest.approx(0.94, abs=0.001)
    assert power.auc_needed(0.9, 5, 5) is None
    assert power.auc_needed(0.9, 0, 50) is None


def test_means_need_what_a_t_interval_needs():
    """A simulated t interval clears the target in about 80 % of samples at the needed mean."""
    needed = power.mean_needed(1.0, 50, 0.5)
    rng = np.random.default_rng(3)
    samples = rng.normal(needed, 0.5, (4000, 50))
    half = stats.t.ppf(0.975, 49) * samples.std(axis=1, ddof=1) / math.sqrt(50)
    assert np.mean(samples.mean(axis=1) + half <= 1.0) == pytest.approx(0.8, abs=0.03)
    assert power.mean_rows(1.0, needed, 0.5) == 50
    assert power.mean_needed(1.0, 50, 0.5, maximize=True) == pytest.approx(2 - needed)
    assert power.mean_needed(1.0, 1, 0.5) is None
