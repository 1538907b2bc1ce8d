"""Scores: estimate, interval, n and method of every metric, and how long they take."""

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.errors import DataError, SpecError
from attain.stats import interval
from attain.validate import metrics
from attain.validate._labels import ONLY
from attain.validate.metrics import COMPUTE, REGRESSION, compute
from attain.validate.score import measured, score

ARGUMENT = {"fbeta": "@2", "pinball": "@0.9", "top_k_accuracy": "@2"}
NAMES = [base + ARGUMENT.get(base, "") for base in COMPUTE if base not in ONLY]


def sample(metric, n=240, seed=0, k=None):
    """Truth and predictions that fit a metric."""
    rng = np.random.default_rng(seed)
    base = metric.partition("@")[0]
    if base in REGRESSION:
        y = rng.gamma(3, size=n) + 0.5
        return y, y + 0.4 * rng.normal(size=n)
    k = k or (2 if base in metrics.BINARY_ONLY or base in ("brier", "ece") else 3)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), y] += 1.3
    p = np.exp(logits)
    return y, p / p.sum(axis=1, keepdims=True)


def five(n, seed=0):
    """Five folds of shuffled positions."""
    return np.array_split(np.random.default_rng(seed).permutation(n), 5)


RANKINGS = ("roc_auc", "roc_auc_ovr", "roc_auc_ovo", "average_precision", "average_precision_macro")


@pytest.mark.parametrize("metric", NAMES)
def test_every_metric_gets_an_interval_around_its_estimate(metric):
    """Estimate as computed, limits on both sides and inside of the range, with n and method."""
    y, p = sample(metric)
    made = score(metric, y, p, trial="t1", unit="u", train=0.5)
    assert made.estimate == pytest.approx(compute(metric, y, p))
    assert made.low <= made.estimate <= made.high
    assert made.low < made.high
    assert made.n <= 240
    assert made.method
    assert (made.trial, made.metric, made.unit, made.train) == ("t1", metric, "u", 0.5)


@pytest.mark.parametrize("metric", NAMES)
def test_confidence_widens(metric):
    """A 99 % interval contains the 80 % interval and is wider."""
    y, p = sample(metric)
    narrow, wide = (score(metric, y, p, confidence=c) for c in (0.8, 0.99))
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high
    assert wide.high - wide.low > narrow.high - narrow.low


@pytest.mark.parametrize("metric", NAMES)
def test_folds_fill_per_fold_and_keep_the_estimate(metric):
    """Rankings are averaged over folds by rows, everything else is pooled."""
    y, p = sample(metric, n=243)
    parts = five(243)
    made = score(metric, y, p, folds=parts)
    own = [compute(metric, y[f], p[f]) for f in parts]
    assert made.per_fold == pytest.approx(own)
    expected = compute(metric, y, p)
    if metric in RANKINGS:
        expected = np.average(own, weights=[len(f) for f in parts])
    assert made.estimate == pytest.approx(expected)
    assert "5 folds" in made.method or metric == "max_error"


@pytest.mark.parametrize("metric", [m for m in NAMES if m != "max_error"])
def test_repeats_do_not_inflate_n(metric):
    """Every row three times, with the same predictions, says what it said once."""
    y, p = sample(metric)
    again = np.tile(np.arange(240), 3)
    folds = [f + 240 * r for r in range(3) for f in five(240)]
    once = score(metric, y, p, folds=five(240))
    thrice = score(metric, y[again], p[again], folds=folds, repeats=3)
    assert thrice.n == once.n
    assert thrice.estimate == pytest.approx(once.estimate)
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low, rel=0.12)
    assert len(thrice.per_fold) == 15


@pytest.mark.parametrize("metric", [m for m in NAMES if m != "max_error"])
def test_groups_are_the_independent_units(metric):
    """Copies of a row within a group leave the width as it was, and n counts groups."""
    y, p = sample(metric, n=200)
    again = np.repeat(np.arange(200), 5)
    plain = score(metric, y, p)
    naive = score(metric, y[again], p[again])
    grouped = score(metric, y[again], p[again], groups=again.astype(str))
    assert grouped.n == plain.n
    ratio = (grouped.high - grouped.low) / (plain.high - plain.low)
    assert 0.75 < ratio < 1.35
    assert naive.high - naive.low < 0.65 * (grouped.high - grouped.low)


@pytest.mark.parametrize("metric", [m for m in NAMES if m != "max_error"])
def test_more_rows_narrow(metric):
    """Sixteen times the rows give about a quarter of the width; a maximum never settles."""
    small, large = (score(metric, *sample(metric, n=n)) for n in (250, 4000))
    ratio = (large.high - large.low) / (small.high - small.low)
    assert ratio < 0.45


def test_proportions_are_wilsons_on_the_rows_concerned():
    """Accuracy on all rows, recall and specificity on rows of the class, precision on predicted."""
    y = np.repeat([1, 0], [40, 160])
    hit = np.r_[np.ones(30), np.zeros(10), np.zeros(150), np.ones(10)]
    p = np.column_stack([1 - hit, hit])
    counts = {"accuracy": (180, 200), "recall": (30, 40), "specificity": (150, 160)}
    for metric, (k, n) in (counts | {"precision": (30, 40)}).items():
        made = score(metric, y, p)
        assert (made.estimate, made.low, made.high) == pytest.approx(interval.wilson(k, n))
        assert made.n == n


def test_no_predicted_positive_leaves_precision_open():
    """Nothing was called positive: the estimate is 0 and the interval says that nobody knows."""
    made = score("precision", np.array([0, 1, 1, 0]), np.tile([0.8, 0.2], (4, 1)))
    assert (made.estimate, made.low, made.high, made.n) == (0, 0, 1, 0)


def test_auc_is_delongs_on_the_logit_scale():
    """Without folds: DeLong's variance by brute force, the logit interval."""
    y, p = sample("roc_auc", n=150)
    made = score("roc_auc", y, p)
    s, positive = p[:, 1], y == 1
    psi = np.subtract.outer(s[positive], s[~positive]) > 0
    m, n = psi.shape
    variance = psi.mean(axis=1).var(ddof=1) / m + psi.mean(axis=0).var(ddof=1) / n
    a = psi.mean()
    half = math.sqrt(variance) / (a * (1 - a)) * 1.96
    low, high = (1 / (1 + math.exp(-(math.log(a / (1 - a)) + d))) for d in (-half, half))
    assert (made.low, made.high) == pytest.approx((low, high), abs=0.003)
    assert "DeLong" in made.method


def test_perfect_results_are_not_certain():
    """No metric of a bounded range is proven perfect by twenty perfect rows."""
    y = np.repeat([0, 1], 10)
    p = np.column_stack([1 - y, y]).astype(float)
    bounded = ("accuracy", "recall", "precision", "f1", "balanced_accuracy", "mcc", "kappa",
               "roc_auc", "average_precision")  # fmt: skip
    for metric in bounded:
        made = score(metric, y, p)
        assert made.estimate == made.high == 1
        assert made.low < 0.95, metric


def test_a_fold_without_a_class_is_left_out_and_said():
    """Its value is NaN, the mean runs over the others, the method counts them."""
    y = np.array([0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1])
    s = np.random.default_rng(0).random(12)
    p = np.column_stack([1 - s, s])
    parts = [np.arange(4), np.arange(4, 8), np.arange(8, 12)]
    made = score("roc_auc", y, p, folds=parts)
    assert math.isnan(made.per_fold[0])
    own = [compute("roc_auc", y[f], p[f]) for f in parts[1:]]
    assert made.estimate == pytest.approx(np.mean(own))
    assert "mean over 2 of 3 folds" in made.method


def test_rankings_fall_back_to_pooling():
    """With one row of the class in all, no two folds define the area, so rows are pooled."""
    y = np.array([0, 0, 1, 0, 0, 0])
    p = np.column_stack([np.linspace(0.9, 0.1, 6), np.linspace(0.1, 0.9, 6)])
    made = score("roc_auc", y, p, folds=[np.arange(3), np.arange(3, 6)])
    assert made.estimate == pytest.approx(compute("roc_auc", y, p))
    assert "all rows" in made.method


def test_rows_of_no_fold_are_left_out():
    """Forward-chaining folds never validate the first rows: these do not count."""
    y, p = sample("accuracy", n=100)
    late = [np.arange(40, 70), np.arange(70, 100)]
    made = score("accuracy", y, p, folds=late)
    assert made.n == 60
    assert made.estimate == pytest.approx(compute("accuracy", y[40:], p[40:]))


def test_the_seed_changes_only_resampled_limits():
    """Same seed, same limits; another seed moves a bootstrap a little, and Wilson not at all."""
    y, p = sample("f1")
    assert score("f1", y, p, seed=3) == score("f1", y, p, seed=3)
    assert score("f1", y, p, seed=3) != score("f1", y, p, seed=4)
    assert score("accuracy", y, p, seed=3) == score("accuracy", y, p, seed=4)


def test_one_row_or_one_group_bounds_nothing():
    """There is no interval from a single unit: the limits are those of the metric's range."""
    one = score("mae", np.array([1.0]), np.array([2.0]))
    assert (one.low, one.high, one.n) == (0, math.inf, 1)
    y, p = sample("accuracy", n=30)
    grouped = score("accuracy", y, p, groups=np.zeros(30))
    assert (grouped.low, grouped.high, grouped.n) == (0, 1, 1)
    y, p = sample("roc_auc", n=30)
    assert score("roc_auc", y, p, groups=np.zeros(30)).low == 0
    y, p = sample("r2", n=30)
    assert score("r2", y, p, groups=np.zeros(30)).low == -math.inf


def test_bad_input_is_refused():
    """Undefined metrics, unknown metrics and groups of another length."""
    y, p = sample("accuracy")
    with pytest.raises(DataError, match="without a row of the positive class"):
        score("roc_auc", np.zeros(4, int), np.tile([0.8, 0.2], (4, 1)))
    with pytest.raises(SpecError, match="did you mean 'rmse'"):
        score("rmsee", y, p)
    with pytest.raises(DataError, match=r"groups need one value for each row.*3 for 240"):
        score("accuracy", y, p, groups=np.arange(3))


@given(st.integers(0, 10**6), st.integers(4, 40), st.sampled_from(NAMES))
@settings(max_examples=150, deadline=None)
def test_small_samples_never_break(seed, n, metric):
    """Any few rows give a finite estimate inside of its interval, or a reason."""
    rng = np.random.default_rng(seed)
    y, p = sample(metric, n=n, seed=seed)
    p = p.round(1) + (0.05 if p.ndim == 2 else 0)
    groups = rng.integers(0, 3, n) if seed % 2 else None
    folds = None if seed % 3 else [f for f in five(n, seed) if len(f)]
    try:
        made = score(metric, y, p, groups=groups, folds=folds)
    except DataError:
        return
    assert made.low <= made.estimate <= made.high
    assert math.isfinite(made.estimate)


def test_scoring_a_trial_is_fast():
    """Five folds, two classes, 30,000 rows, three metrics: under 60 ms."""
    y, p = sample("roc_auc", n=30_000)
    parts = five(30_000)
    taken = []
    for _ in range(5):
        start = time.perf_counter()
        for metric in ("roc_auc", "log_loss", "f1"):
            score(metric, y, p, folds=parts)
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.06


def test_latency_quantiles_have_order_statistic_limits():
    """Each percentile is bounded by readings; too few calls leave the upper limit open."""
    times = np.random.default_rng(0).gamma(2, size=2000)
    for metric, q in (("latency_p50_ms", 0.5), ("latency_p95_ms", 0.95), ("latency_p99_ms", 0.99)):
        made = measured(metric, times, trial="final", unit="ms")
        assert made.estimate == pytest.approx(np.quantile(times, q))
        assert {made.low, made.high} <= set(times)
        assert made.low < made.estimate < made.high
        assert (made.n, made.unit, made.trial) == (2000, "ms", "final")
    few = measured("latency_p99_ms", times[:100])
    assert few.high == math.inf
    assert "368 are needed" in few.method
    assert measured("latency_p99_ms", times, confidence=0.8).high < made.high


def test_sizes_are_exact_and_times_are_means():
    """A size has no uncertainty, memory is the largest reading, training time a mean."""
    size = measured("size_mb", [12.5])
    assert (size.estimate, size.low, size.high, size.n) == (12.5, 12.5, 12.5, 1)
    memory = measured("peak_memory_mb", [300, 410, 290])
    assert (memory.estimate, memory.high) == (410, 410)
    seconds = measured("training_seconds", [10.0, 12.0, 11.0])
    assert seconds.estimate == pytest.approx(11)
    assert seconds.low < 10
    assert measured("training_seconds", [10.0]).high == 10
    rate = measured("throughput_rows_per_s", [1e5, 1.1e5, 0.9e5, 1e5])
    assert rate.low < 1e5 < rate.high


@pytest.mark.parametrize("values", [[], [np.nan], [-1.0]])
def test_bad_measurements_are_refused(values):
    """No reading, a reading that is not a number, a negative one."""
    with pytest.raises(DataError, match="measurements must be finite numbers from 0"):
        measured("size_mb", values)


def test_unknown_measurements_are_refused():
    """A quality metric is not measured."""
    with pytest.raises(SpecError, match="did you mean 'size_mb'"):
        measured("size_mbs", [1.0])
    with pytest.raises(SpecError, match="must be one of attain's"):
        measured("accuracy", [1.0])


def test_largest_errors_of_new_rows_fall_into_the_interval():
    """The interval of max_error is for the next as many rows: it holds about 95 % of those."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(400):
        first, second = np.abs(rng.normal(size=(2, 500)))
        made = score("max_error", np.zeros(500), first)
        inside += made.low <= second.max() <= made.high
    assert 0.9 <= inside / 400 <= 0.99
