"""Influence values against leaving rows out, DeLong's published example, and scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, f1_score, r2_score, roc_auc_score

from attain.stats import influence


def _scores(seed, n=120, share=0.3, ties=True):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < share
    positive[:2], positive[2:4] = True, False
    score = rng.normal(size=n) + 1.2 * positive
    return score.round(1) if ties else score, positive


def _left_out(statistic, n):
    """Jackknife influence: what the estimate loses when each row is left out."""
    values = np.array([statistic(np.delete(np.arange(n), i)) for i in range(n)])
    return (n - 1) / n * (values.mean() - values)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_midranks_are_scipys(values):
    """Ties share the mean of their ranks."""
    array = np.array(values, float)
    assert influence.midranks(array) == pytest.approx(rankdata(array))


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=40, deadline=None)
def test_rankings_agree_with_scikit_learn(seed, ties):
    """AUC and average precision, with and without ties."""
    score, positive = _scores(seed, ties=ties)
    assert influence.of_auc(score, positive)[0] == pytest.approx(roc_auc_score(positive, score))
    average, _ = influence.of_average_precision(score, positive)
    assert average == pytest.approx(average_precision_score(positive, score))


def test_auc_variance_is_delongs():
    """Sum of squares equals S10/m + S01/n from the m x n comparison matrix, by brute force."""
    score, positive = _scores(1)
    psi = np.subtract.outer(score[positive], score[~positive])
    psi = (psi > 0) + 0.5 * (psi == 0)
    m, n = psi.shape
    expected = psi.mean(axis=1).var(ddof=1) / m + psi.mean(axis=0).var(ddof=1) / n
    _, u = influence.of_auc(score, positive)
    assert u @ u == pytest.approx(expected)


def test_a_single_positive_row_gets_the_largest_variance():
    """With one positive row its own variance is unknown, and bounded by A (1 - A)."""
    area, u = influence.of_auc(np.array([0.1, 0.4, 0.6, 0.8, 0.5]), np.array([0, 0, 0, 0, 1]) == 1)
    assert area == 0.5
    assert u[4] == pytest.approx(0.5)


CASES = {
    "average precision": (influence.of_average_precision, average_precision_score),
    "auc": (influence.of_auc, roc_auc_score),
}


@pytest.mark.parametrize("name", CASES)
def test_rankings_match_leaving_rows_out(name):
    """The influence of a row is what the estimate changes by when it is left out."""
    linearise, reference = CASES[name]
    score, positive = _scores(2, n=200)
    _, u = linearise(score, positive)
    left = _left_out(lambda rows: reference(positive[rows], score[rows]), 200)
    assert np.corrcoef(u, left)[0, 1] > 0.999
    assert u @ u == pytest.approx(left @ left, rel=0.1)  # equal in the limit of many rows


def test_regression_matches_leaving_rows_out():
    """R squared, explained variance, root mean and mean."""
    rng = np.random.default_rng(3)
    y = rng.normal(size=300)
    error = 0.5 * rng.normal(size=300) + 0.2
    pairs = [
        (influence.of_explained(y, error), lambda rows: r2_score(y[rows], (y + error)[rows])),
        (influence.of_root_mean(error**2), lambda rows: math.sqrt(np.mean(error[rows] ** 2))),
        (influence.of_mean(error), lambda rows: error[rows].mean()),
    ]
    for (estimate, u), statistic in pairs:
        left = _left_out(statistic, 300)
        assert estimate == pytest.approx(statistic(np.arange(300)))
        assert np.corrcoef(u, left)[0, 1] > 0.999
        assert u @ u == pytest.approx(left @ left, rel=0.03)
    assert influence.of_root_mean(np.zeros(4))[1] == pytest.approx(np.zeros(4))


def test_counts_match_leaving_rows_out():
    """F1 as a function of its confusion matrix, and a large matrix taken in parts."""
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, 150)
    said = np.where(rng.random(150) < 0.8, y, 1 - y)

    def f1(c):
        return 2 * c[..., 1, 1] / (2 * c[..., 1, 1] + c[..., 0, 1] + c[..., 1, 0])

    cell = y * 2 + said
    counts = np.bincount(cell, minlength=4).reshape(2, 2).astype(float)
    estimate, u = influence.of_counts(f1, counts, cell)
    left = _left_out(lambda rows: f1_score(y[rows], said[rows]), 150)
    assert estimate == pytest.approx(f1_score(y, said))
    assert np.corrcoef(u, left)[0, 1] > 0.999
    assert u @ u == pytest.approx(left @ left, rel=0.05)

    k = 60
    many = rng.integers(0, k, (2, 4000))
    wide = np.bincount(many[0] * k + many[1], minlength=k * k).reshape(k, k).astype(float)

    def accuracy(c):
        return np.einsum("...kk->...", c) / c.sum(axis=(-1, -2))

    _, u = influence.of_counts(accuracy, wide, many[0] * k + many[1])
    hit = many[0] == many[1]
    assert u == pytest.approx((hit - hit.mean()) / 4000, abs=1e-7)


def test_average_precision_of_few_positives_sums_to_zero():
    """Influences are deviations: they cancel."""
    score, positive = _scores(5, share=0.02)
    assert influence.of_average_precision(score, positive)[1].sum() == pytest.approx(0, abs=1e-12)
