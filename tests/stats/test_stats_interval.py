"""Intervals against SciPy, published numbers, and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from attain.stats import interval

METHODS = {"wilson": interval.wilson, "exact": interval.clopper_pearson}


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=80, deadline=None)
def test_proportions_agree_with_scipy(n, share, confidence):
    """Wilson and Clopper-Pearson are SciPy's, for every count and confidence."""
    k = round(share * n)
    for name, make in METHODS.items():
        ours = make(k, n, confidence)
        theirs = stats.binomtest(k, n).proportion_ci(confidence, method=name)
        assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_no_rows_say_nothing():
    """A proportion of no rows may be anything."""
    assert interval.wilson(0, 0)[1:] == (0, 1)
    assert interval.clopper_pearson(0, 0)[1:] == (0, 1)


def test_mean_t_agrees_with_scipy():
    """The t interval is SciPy's; one value bounds nothing."""
    values = np.random.default_rng(0).normal(3, 2, 17)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    ours = interval.mean_t(values, 0.9)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))
    assert interval.mean_t(np.array([4.0])) == (4.0, -math.inf, math.inf)


def test_corrected_t_follows_nadeau_and_bengio():
    """Ten folds of five-fold cross-validation twice: s^2 (1/10 + 1/4), t with nine degrees."""
    values = np.random.default_rng(1).normal(0.8, 0.02, 10)
    half = stats.t.ppf(0.975, 9) * values.std(ddof=1) * math.sqrt(1 / 10 + 1 / 4)
    made = interval.corrected_t(values, 0.25)
    assert (made.low, made.high) == pytest.approx((values.mean() - half, values.mean() + half))
    assert interval.corrected_t(values[:1], 0.25).high == math.inf


def test_corrected_t_keeps_its_level_where_the_naive_one_does_not():
    """Folds of one sample correlate: the corrected interval misses zero about 5 % of times."""
    rng = np.random.default_rng(2)
    k, runs = 20, 2000
    shared, own = rng.normal(size=(runs, 1)), rng.normal(size=(runs, k))
    values = math.sqrt(0.2) * shared + math.sqrt(0.8) * own  # correlation n_test / n for 5 folds
    corrected = [interval.corrected_t(v, 0.25) for v in values]
    naive = [interval.mean_t(v) for v in values]
    missed = [np.mean([not i.low <= 0 <= i.high for i in many]) for many in (corrected, naive)]
    assert missed[0] < 0.07
    assert missed[1] > 0.3


def test_clusters_widen_and_singletons_do_not():
    """Rows that repeat their cluster say nothing new; clusters of one row are plain rows."""
    values = np.random.default_rng(3).normal(size=40)
    alone = interval.cluster_mean(values, np.arange(40))
    plain = interval.mean_t(values)
    assert (alone.low, alone.high) == pytest.approx((plain.low, plain.high))
    copied = interval.cluster_mean(np.repeat(values, 7), np.repeat(np.arange(40), 7))
    assert (copied.low, copied.high) == pytest.approx((plain.low, plain.high))
    assert interval.cluster_mean(values, np.zeros(40)).low == -math.inf


def test_clustered_means_cover():
    """With a common part in each cluster, about 95 % of intervals hold the true mean."""
    rng = np.random.default_rng(4)
    clusters = np.repeat(np.arange(30), 8)
    covered = 0
    for _ in range(1000):
        values = rng.normal(size=30)[clusters] + rng.normal(size=240)
        made = interval.cluster_mean(values, clusters)
        covered += made.low <= 0 <= made.high
    assert 0.93 <= covered / 1000 <= 0.97


def test_repeats_of_rows_are_counted_once():
    """Every row twice gives the width of every row once."""
    values = np.random.default_rng(5).normal(size=200)
    u = (values - values.mean()) / 200
    once = interval.linear(0.0, u)
    twice = interval.linear(0.0, np.tile(u / 2, 2), repeats=2)
    assert twice.high == pytest.approx(once.high)


@pytest.mark.parametrize("scale", ["log", "logit"])
def test_scales_are_symmetric_on_their_own_scale(scale):
    """Limits lie equally far from the estimate on the scale that was asked for."""
    u = np.random.default_rng(6).normal(size=300) / 300 * 0.8
    to = {"log": np.log, "logit": special.logit}[scale]
    made = interval.linear(0.7, u, scale=scale)
    assert to(made.high) - to(0.7) == pytest.approx(to(0.7) - to(made.low))
    identity = interval.linear(0.7, u)
    assert made.high - made.low == pytest.approx(identity.high - identity.low, rel=0.1)


def test_perfection_is_not_proven():
    """An estimate of 1 without any variance gets the lower limit of that many successes."""
    made = interval.linear(1.0, np.zeros(50), scale="logit", freedom=9)
    assert made.low == pytest.approx(interval.wilson(10, 10).low)
    assert interval.linear(0.5, np.zeros(50), scale="logit") == (0.5, 0.5, 0.5)
    assert interval.linear(1.0, np.array([0.1, -0.1]), scale="logit")[1:] == (0, 1)


def test_freedom_of_classes():
    """Equal classes give those of all rows, a rare one that carries the variance gives its own."""
    u, code = np.ones(100), np.repeat([0, 1], 50)
    assert interval.freedom_of_classes(u, code) == pytest.approx(98)
    rare = np.repeat([0, 1], [95, 5])
    assert interval.freedom_of_classes(np.where(rare, 1.0, 1e-6), rare) == pytest.approx(4)
    assert interval.freedom_of_classes(np.zeros(100), rare) == pytest.approx(4)
    half = interval.freedom_of_classes(u, code, repeats=2)
    assert half == pytest.approx(48)
    wide = interval.linear(0.0, u, freedom=4)
    assert wide.high > interval.linear(0.0, u).high


@pytest.mark.parametrize(("q", "n"), [(0.5, 25), (0.5, 200), (0.95, 400), (0.99, 1000)])
def test_quantile_intervals_have_the_exact_binomial_level(q, n):
    """The ranks of the limits enclose the quantile with at least 95 %, by the binomial."""
    values = np.arange(n, dtype=float)
    made = interval.quantile(values, q)
    low, high = int(made.low) + 1, int(made.high) + 1  # ranks
    assert stats.binom.cdf(low - 1, n, q) <= 0.025 < stats.binom.cdf(low, n, q)
    assert stats.binom.sf(high - 1, n, q) <= 0.025 < stats.binom.sf(high - 2, n, q)


def test_a_tail_needs_enough_values():
    """The p99 of few timings has no upper limit; of 368 it has."""
    need = interval.quantile_needs(0.99)
    assert need == 368
    assert interval.quantile(np.arange(need - 1.0), 0.99).high == math.inf
    assert interval.quantile(np.arange(float(need)), 0.99).high == need - 1
    assert interval.quantile(np.array([3.0]), 0.5) == (3.0, -math.inf, math.inf)


def test_fewer_units_widen_a_quantile():
    """A thousand values worth a hundred bound the median like a hundred."""
    values = np.arange(1000.0)
    made = interval.quantile(values, 0.5, units=100)
    hundred = interval.quantile(np.arange(100.0), 0.5)
    assert made.low / 1000 == pytest.approx(hundred.low / 100, abs=0.011)
    assert made.high / 1000 == pytest.approx(hundred.high / 100, abs=0.011)


def test_effective_rows():
    """Independent rows keep their number (but for t), copied rows count once, one group is none."""
    hit = np.random.default_rng(7).random(4000) < 0.8
    u = (hit - hit.mean()) / 4000
    assert interval.effective_rows(hit.mean(), u, np.arange(4000)) == pytest.approx(4000, rel=0.01)
    copies = (np.repeat(hit[:400], 10) - hit[:400].mean()) / 4000
    groups = np.repeat(np.arange(400), 10)
    assert interval.effective_rows(hit[:400].mean(), copies, groups) == pytest.approx(400, rel=0.02)
    assert interval.effective_rows(0.8, u, np.zeros(4000)) == 0
    assert interval.effective_rows(1.0, np.zeros(40), np.repeat(np.arange(4), 10)) == 4


def test_clipping():
    """Limits outside of a range move to its ends."""
    assert interval.Interval(0.9, 0.7, 1.2).clip(0, 1) == (0.9, 0.7, 1)
