"""Comparisons: the answer follows the interval and the metric's direction, and keeps its level."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attain.core.errors import DataError
from attain.core.types import Direction
from attain.stats.compare import corrected_difference, paired_auc, paired_rows
from attain.validate._labels import ONLY
from attain.validate.compare import compare
from attain.validate.metrics import COMPUTE, REGRESSION, compute

UP, DOWN = Direction.MAXIMIZE, Direction.MINIMIZE
ARGUMENT = {"fbeta": "@2", "pinball": "@0.9", "top_k_accuracy": "@2"}
NAMES = [base + ARGUMENT.get(base, "") for base in COMPUTE if base not in ONLY]
LOWER = {"log_loss", "brier", "ece", *REGRESSION} - {"r2", "explained_variance"}


def direction(metric):
    """The metric's own direction."""
    return DOWN if metric.partition("@")[0] in LOWER else UP


def pair(metric, n=400, seed=0, gain=1.5):
    """Truth, a better prediction and a worse one."""
    rng = np.random.default_rng(seed)
    base = metric.partition("@")[0]
    if base in REGRESSION:
        y = rng.gamma(3, size=n) + 1
        noise = rng.normal(size=n)
        return y, y + 0.1 * noise, y + 0.1 * (1 + gain) * noise + 0.1 * rng.normal(size=n)
    k = 3 if base.endswith(("macro", "ovr", "ovo")) or base == "top_k_accuracy" else 2
    y = rng.integers(0, k, n)
    made = []
    for strength in (1.0 + gain, 1.0):
        logits = rng.normal(size=(n, k))
        logits[np.arange(n), y] += strength
        p = np.exp(logits * (strength if base == "ece" else 1))
        made.append(p / p.sum(axis=1, keepdims=True))
    return y, made[0], made[1]


def five(n):
    """Five folds of consecutive positions."""
    return np.array_split(np.arange(n), 5)


@pytest.mark.parametrize("folds", [None, five(400)], ids=["rows", "folds"])
@pytest.mark.parametrize("metric", [m for m in NAMES if m != "ece"])
def test_a_clearly_better_model_is_better(metric, folds):
    """The better model wins in each metric's own direction, and loses when they are swapped."""
    y, good, bad = pair(metric)
    made = compare(metric, y, good, bad, folds=folds, direction=direction(metric))
    assert made.answer == "better"
    assert made.low <= made.difference <= made.high
    swapped = compare(metric, y, bad, good, folds=folds, direction=direction(metric))
    assert swapped.answer == "worse"
    assert swapped.difference == pytest.approx(-made.difference)


@pytest.mark.parametrize("metric", NAMES)
def test_equal_predictions_tie(metric):
    """A model compared with itself differs by nothing, exactly."""
    y, good, _ = pair(metric)
    for folds in (None, five(400)):
        made = compare(metric, y, good, good, folds=folds, direction=direction(metric))
        assert (made.difference, made.low, made.high, made.answer) == (0, 0, 0, "tie")


@pytest.mark.parametrize("metric", NAMES)
def test_without_folds_the_difference_is_of_all_rows(metric):
    """The estimate is the metric of one minus the metric of the other."""
    y, good, bad = pair(metric)
    made = compare(metric, y, good, bad, folds=None, direction=direction(metric))
    assert made.difference == pytest.approx(compute(metric, y, good) - compute(metric, y, bad))
    one = compare(metric, y, good, bad, folds=[np.arange(400)], direction=direction(metric))
    assert (one.low, one.high) == pytest.approx((made.low, made.high))


def test_known_methods_are_used():
    """Areas by paired DeLong, means by paired t, both equal to the functions of `stats`."""
    y, a, b = pair("roc_auc", gain=0.3)
    made = compare("roc_auc", y, a, b, folds=None, direction=UP)
    known = paired_auc(a[:, 1], b[:, 1], y == 1)
    assert (made.low, made.high) == pytest.approx((known.low, known.high))
    assert made.method == "paired DeLong"
    z, c, d = pair("mae", gain=0.3)
    made = compare("mae", z, c, d, folds=None, direction=DOWN)
    known = paired_rows(np.abs(z - c), np.abs(z - d))
    assert (made.low, made.high) == pytest.approx((known.low, known.high))


def test_folds_use_the_corrected_t():
    """The width follows Nadeau and Bengio's standard error with the folds' own ratio."""
    y, a, b = pair("mae", gain=0.2)
    for k in (5, 10):
        folds = np.array_split(np.arange(400), k)
        made = compare("mae", y, a, b, folds=folds, direction=DOWN)
        own = [[compute("mae", y[f], p[f]) for f in folds] for p in (a, b)]
        error = corrected_difference(own[0], own[1], 1 / (k - 1))
        half = stats.t.ppf(0.975, k - 1) * error
        assert made.high - made.low == pytest.approx(2 * half)
        assert f"over {k} folds" in made.method


def test_repeats_and_confidence_change_the_width():
    """Ten folds that are two repeats of five overlap more than ten of one; confidence widens."""
    y, a, b = pair("mae", gain=0.2)
    folds = np.array_split(np.arange(400), 10)
    width = []
    for options in ({}, {"repeats": 2}, {"confidence": 0.8}):
        made = compare("mae", y, a, b, folds=folds, direction=DOWN, **options)
        width.append(made.high - made.low)
    assert width[2] < width[0] < width[1]


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "f1", "medae", "rmse"])
def test_groups_widen(metric):
    """Copies of rows in one group do not sharpen the answer."""
    y, a, b = pair(metric, n=60, gain=0.3)
    rows = np.repeat(np.arange(60), 6)
    args = (metric, y[rows], a[rows], b[rows])
    plain = compare(*args, folds=None, direction=direction(metric))
    grouped = compare(*args, folds=None, groups=rows, direction=direction(metric))
    assert grouped.high - grouped.low > 1.5 * (plain.high - plain.low)


@pytest.mark.parametrize("metric", ["accuracy", "average_precision", "medae"])
def test_equally_good_models_tie_in_about_95_percent(metric):
    """Differences without substance are called in about 5 % of samples."""
    runs = 150 if metric == "medae" else 300
    called = 0
    for seed in range(runs):
        y, a, b = pair(metric, n=150, seed=seed, gain=0.0)
        if metric == "medae":
            a = y + 0.2 * np.random.default_rng(seed + 10**6).normal(size=150)
            b = y + 0.2 * np.random.default_rng(seed + 2 * 10**6).normal(size=150)
        made = compare(metric, y, a, b, folds=None, direction=direction(metric))
        called += made.answer != "tie"
    assert called / runs < 0.09


def test_folds_that_lack_a_class_are_left_out():
    """Two good folds suffice; with fewer the rows of all folds are compared."""
    y = np.array([0, 1] * 20 + [0] * 20)
    s = np.random.default_rng(0).random((2, 60))
    a, b = (np.column_stack([1 - q, q]) for q in s)
    folds = np.array_split(np.arange(60), 3)
    assert "folds" in compare("roc_auc", y, a, b, folds=folds, direction=UP).method
    rest = [np.arange(40), np.arange(40, 60)]
    assert compare("roc_auc", y, a, b, folds=rest, direction=UP).method == "paired DeLong"


def test_bootstraps_of_many_rows_are_subsampled_and_scaled():
    """Above 20,000 rows the method says so, and the width is that of all rows."""
    y, a, b = pair("medae", n=40_000, gain=0.3)
    made = compare("medae", y, a, b, folds=None, direction=DOWN)
    assert "20,000 rows, scaled to 40,000" in made.method
    half = compare("medae", y[:20_000], a[:20_000], b[:20_000], folds=None, direction=DOWN)
    ratio = (made.high - made.low) / (half.high - half.low)
    assert ratio == pytest.approx(0.5**0.5, rel=0.15)


def test_undefined_metrics_are_refused():
    """No row of the positive class: there is no area to compare."""
    p = np.tile([0.8, 0.2], (4, 1))
    with pytest.raises(DataError, match="without a row of the positive class"):
        compare("roc_auc", np.zeros(4, int), p, p, folds=None, direction=UP)


@given(st.integers(0, 10**6), st.sampled_from([m for m in NAMES if m not in ("medae", "ece")]))
@settings(max_examples=80, deadline=None)
def test_swapping_mirrors_the_answer(seed, metric):
    """a against b and b against a give mirrored intervals and opposite answers."""
    if metric == "max_error":
        return
    y, a, b = pair(metric, n=60, seed=seed, gain=0.5)
    ahead, back = (
        compare(metric, y, *models, folds=None, direction=direction(metric))
        for models in ((a, b), (b, a))
    )
    assert (ahead.low, ahead.high) == pytest.approx((-back.high, -back.low))
    opposite = {"better": "worse", "worse": "better", "tie": "tie"}
    assert back.answer == opposite[ahead.answer]
