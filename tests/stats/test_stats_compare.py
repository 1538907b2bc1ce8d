"""Paired comparisons: levels by simulation, formulas by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from attain.stats import compare


def test_paired_rows_is_the_paired_t_test():
    """The interval is SciPy's paired t interval."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 60))
    theirs = stats.ttest_rel(a, b).confidence_interval()
    ours = compare.paired_rows(a, b)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high))


def test_paired_rows_with_clusters_and_repeats():
    """Copied rows do not narrow the interval: clusters and repeats count them once."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 50))
    plain = compare.paired_rows(a, b)
    again = np.tile(np.arange(50), 3)
    clustered = compare.paired_rows(a[again], b[again], clusters=again)
    repeated = compare.paired_rows(a[again], b[again], repeats=3)
    assert clustered.high == pytest.approx(plain.high, rel=0.01)
    assert repeated.high == pytest.approx(plain.high, rel=0.02)


def test_paired_auc_is_delongs_test():
    """The variance of the difference equals DeLong's covariance form, by brute force."""
    rng = np.random.default_rng(2)
    positive = np.arange(80) < 30
    a = rng.normal(size=80) + positive
    b = a + rng.normal(size=80)
    made = compare.paired_auc(a, b, positive)
    variance = 0.0
    for axis, count in ((1, 30), (0, 50)):
        placed = [
            (np.subtract.outer(s[positive], s[~positive]) > 0).mean(axis=axis) for s in (a, b)
        ]
        variance += np.var(placed[0] - placed[1], ddof=1) / count
    half = stats.t.ppf(0.975, 79) * math.sqrt(variance)
    assert made.high - made.low == pytest.approx(2 * half)


def test_paired_auc_keeps_its_level():
    """Two equally good scores are told apart in about 5 % of samples."""
    rng = np.random.default_rng(3)
    positive = np.arange(150) < 60
    wrong = 0
    for _ in range(600):
        common = rng.normal(size=150) + positive
        made = compare.paired_auc(
            common + rng.normal(size=150), common + rng.normal(size=150), positive
        )
        wrong += not made.low <= 0 <= made.high
    assert 0.03 <= wrong / 600 <= 0.075


def test_paired_auc_with_clusters_is_wider():
    """Copies of rows in one cluster do not sharpen the comparison."""
    rng = np.random.default_rng(4)
    positive = np.arange(60) < 30
    a, b = rng.normal(size=(2, 60)) + positive
    rows = np.repeat(np.arange(60), 4)
    plain = compare.paired_auc(a[rows], b[rows], positive[rows])
    clustered = compare.paired_auc(a[rows], b[rows], positive[rows], clusters=rows)
    assert clustered.high - clustered.low > 1.7 * (plain.high - plain.low)


def test_folds_follow_nadeau_and_bengio():
    """Standard error and interval of the difference over folds, by hand."""
    a = np.array([0.90, 0.92, 0.88, 0.91, 0.93])
    b = np.array([0.89, 0.90, 0.89, 0.88, 0.90])
    error = (a - b).std(ddof=1) * math.sqrt(1 / 5 + 1 / 4)
    assert compare.corrected_difference(a, b) == pytest.approx(error)
    made = compare.paired_folds(a, b, 0.25)
    assert made.high - made.estimate == pytest.approx(stats.t.ppf(0.975, 4) * error)
    assert compare.corrected_difference(a, b, 0.5) > error


def test_undefined_folds_are_left_out():
    """A fold without a value for one of the two is no evidence; one fold is none."""
    a, b = np.array([1.0, 2.0, np.nan, 4.0]), np.array([1.5, 1.0, 3.0, 3.5])
    kept = compare.corrected_difference(a[[0, 1, 3]], b[[0, 1, 3]])
    assert compare.corrected_difference(a, b) == pytest.approx(kept)
    assert compare.corrected_difference(a[:1], b[:1]) == math.inf
