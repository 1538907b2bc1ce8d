"""Bootstraps: what is drawn, how wide it is, and what empty cells may not claim."""

import time

import numpy as np
import pytest

from attain.stats import bootstrap
from attain.stats.interval import mean_t, wilson


def _accuracy(c):
    return np.einsum("...kk->...", c) / c.sum(axis=(-1, -2))


def test_accuracy_from_counts_is_near_wilson():
    """On a proportion, whose interval is known, resampling counts agrees with it."""
    counts = np.array([[400.0, 60], [50, 290]])
    made = bootstrap.of_counts(_accuracy, counts, resamples=4000)
    known = wilson(690, 800)
    assert (made.low, made.high) == pytest.approx((known.low, known.high), abs=0.004)


def test_counts_of_any_size_take_milliseconds():
    """A million rows cost what a hundred cost."""
    start = time.perf_counter()
    bootstrap.of_counts(_accuracy, np.array([[4e5, 6e4], [5e4, 49e4]]))
    assert time.perf_counter() - start < 0.1


def test_many_classes_are_drawn_in_parts():
    """Six hundred classes give the interval of their accuracy, within bounded memory."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 600, 3000)
    said = np.where(rng.random(3000) < 0.8, y, rng.integers(0, 600, 3000))
    counts = np.bincount(y * 600 + said, minlength=360_000).reshape(600, 600).astype(float)
    made = bootstrap.of_counts(_accuracy, counts)
    known = wilson(np.trace(counts), 3000)
    assert made.high - made.low == pytest.approx(known.high - known.low, rel=0.4)


def test_a_perfect_result_is_not_certain():
    """Empty cells are not drawn as impossible: ten of ten right leaves room for errors."""
    made = bootstrap.of_counts(_accuracy, np.diag([5.0, 5.0]))
    assert made.estimate == made.high == 1
    assert 0.6 < made.low < 0.95


def test_more_rows_narrow_and_repeats_do_not():
    """The number of independent rows sets the width, whatever the counts sum to."""
    counts = np.array([[40.0, 10], [8, 42]])
    plain = bootstrap.of_counts(_accuracy, counts, resamples=4000)
    repeated = bootstrap.of_counts(_accuracy, 3 * counts, rows=100, resamples=4000)
    tripled = bootstrap.of_counts(_accuracy, 3 * counts, resamples=4000)
    width = [made.high - made.low for made in (plain, repeated, tripled)]
    assert width[1] == pytest.approx(width[0], rel=0.05)
    assert width[2] == pytest.approx(width[0] / 3**0.5, rel=0.08)


def test_absent_classes_stay_absent():
    """A class without rows is never drawn, so macro metrics are not pulled towards it."""
    seen = []

    def spy(c):
        seen.append(float(np.max(c[..., 2, :] + c[..., :, 2])))
        return _accuracy(c)

    counts = np.zeros((3, 3))
    counts[:2, :2] = [[30, 3], [4, 20]]
    bootstrap.of_counts(spy, counts)
    assert max(seen) == 0


def test_seeds_and_confidence_change_the_limits():
    """Same seed, same limits; another seed or confidence, others."""
    counts = np.array([[40.0, 10], [8, 42]])
    first = bootstrap.of_counts(_accuracy, counts, seed=1)
    assert bootstrap.of_counts(_accuracy, counts, seed=1) == first
    assert bootstrap.of_counts(_accuracy, counts, seed=2) != first
    assert bootstrap.of_counts(_accuracy, counts, seed=1, confidence=0.8).low > first.low


def test_rows_of_a_mean_agree_with_t():
    """The percentile interval of a mean is close to Student's."""
    values = np.random.default_rng(0).normal(size=300)
    made = bootstrap.of_rows(lambda i: values[i].mean(), 300, resamples=1500)
    known = mean_t(values)
    assert (made.low, made.high) == pytest.approx((known.low, known.high), abs=0.03)


def test_strata_keep_their_number():
    """A stratified sample holds as many rows of each stratum as the original."""
    strata = np.repeat([0, 1, 2], [50, 7, 3])
    rows = bootstrap.resample(60, strata=strata, rng=np.random.default_rng(1))
    assert np.bincount(strata[rows]).tolist() == [50, 7, 3]
    assert len(np.unique(rows)) < 60


def test_clusters_are_drawn_whole():
    """Every cluster appears with all of its rows, or not at all, as often as it was drawn."""
    clusters = np.array([3, 3, 3, 1, 1, 7, 7, 7, 7, 2])
    rows = bootstrap.resample(10, clusters=clusters, rng=np.random.default_rng(2))
    for cluster in np.unique(clusters):
        times = np.bincount(rows, minlength=10)[clusters == cluster]
        assert len(set(times)) == 1
    wide = bootstrap.of_rows(lambda i: clusters[i].mean(), 10, clusters=clusters, resamples=300)
    narrow = bootstrap.of_rows(lambda i: clusters[i].mean(), 10, strata=clusters, resamples=300)
    assert wide.high - wide.low > narrow.high - narrow.low == 0


def test_undefined_resamples_are_left_out():
    """NaN resamples do not spoil the limits; none left means no width."""
    made = bootstrap.percentile(0.5, np.array([0.4, np.nan, 0.6]))
    assert 0.4 <= made.low < made.high <= 0.6
    assert bootstrap.percentile(0.5, np.array([np.nan])) == (0.5, 0.5, 0.5)
