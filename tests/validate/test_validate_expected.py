"""Every metric on parts of the rows, and the corrected score of the best of many."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.errors import DataError
from attain.core.types import Direction
from attain.stats import bbc
from attain.validate import expected as module
from attain.validate import metrics
from attain.validate._labels import ONLY
from attain.validate.expected import expected
from attain.validate.resampled import SUMMED, Stack, values

BINARY = ("accuracy", "f1", "fbeta@2", "precision", "recall", "specificity", "balanced_accuracy")
BINARY = (*BINARY, "mcc", "kappa", "log_loss", "brier", "roc_auc", "average_precision", "ece")
SEVERAL = ("accuracy", "f1_macro", "f1_weighted", "kappa_quadratic", "log_loss", "brier")
SEVERAL = (*SEVERAL, "roc_auc_ovr", "roc_auc_ovo", "average_precision_macro", "top_k_accuracy@2")
NUMBERS = ("rmse", "mse", "mae", "mape", "smape", "r2", "explained_variance", "rmsle", "medae")
NUMBERS = (*NUMBERS, "max_error", "pinball@0.9")
ALL = [*((m, 2) for m in BINARY), *((m, 3) for m in SEVERAL), *((m, 0) for m in NUMBERS)]

UP = Direction.MAXIMIZE


def stack(classes: int, n: int = 60, repeats: int = 2, configs: int = 4, seed: int = 0) -> Stack:
    """Predictions of some configurations over repeated folds; ties among them."""
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=n) if classes else 5 + rng.normal(size=n)
    row = np.concatenate([rng.permutation(n) for _ in range(repeats)])
    folds = [np.arange(a, a + n // 3) for a in range(0, n * repeats, n // 3)]
    made = []
    for _ in range(configs):
        if classes:
            p = np.round(rng.random((n * repeats, classes)), 1) + 0.05
            p[np.arange(len(row)), y[row]] += 0.3
            made.append(p / p.sum(axis=1, keepdims=True))
        else:
            made.append(y[row] + rng.normal(size=len(row)))
    return Stack(y, row, folds, made)


def plain(metric: str, one: Stack, config: int, kept: np.ndarray) -> float:
    """The metric on some rows: pooled, or for rankings a mean over folds weighted by rows."""
    truth, p = one.truth, one.predictions[config]
    if not metric.startswith(("roc_auc", "average")) or metric == "roc_auc_ovo":
        at = np.flatnonzero(kept[one.row])
        return metrics.compute(metric, truth[at], p[at])
    found, sizes = [], []
    for fold in one.folds:
        at = fold[kept[one.row[fold]]]
        try:
            found.append(metrics.compute(metric, truth[at], p[at]))
            sizes.append(len(at))
        except DataError:
            continue
    return float(np.average(found, weights=sizes)) if found else np.nan


@pytest.mark.parametrize(("metric", "classes"), ALL)
def test_every_metric_is_what_its_rows_give(metric: str, classes: int) -> None:
    """On twenty random parts, two of them tiny, the fast value is the one computed on the rows."""
    one, rng = stack(classes), np.random.default_rng(1)
    weights = (rng.random((len(one.y), 20)) < rng.uniform(0.2, 0.9, 20)).astype(np.float32)
    weights[:, 0] = 1
    found = values(metric, one)(np.arange(4), weights)
    assert found.shape == (4, 20)
    for config in range(4):
        for part in range(20):
            want = plain(metric, one, config, weights[:, part] > 0)
            assert found[config, part] == pytest.approx(want, abs=2e-5)


@pytest.mark.parametrize("metric", ["recall", "roc_auc", "average_precision", "r2", "accuracy"])
def test_undefined_is_nan(metric: str) -> None:
    """A part without rows, or with rows of one value only, has no value."""
    one = stack(0 if metric == "r2" else 2)
    weights = np.zeros((len(one.y), 2), np.float32)
    weights[one.y == 0, 1] = 1  # for values: no row at all
    found = values(metric, one)(np.arange(4), weights)
    assert np.isnan(found[:, 0]).all()
    if metric != "accuracy":
        assert np.isnan(found[:, 1]).all()


def searched(seed: int, n: int, configs: int) -> Stack:
    """Configurations of equal worth, so that the best has nothing but luck."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    shared = rng.normal(size=n) + 0.8 * y
    made = []
    for _ in range(configs):
        score = 1 / (1 + np.exp(-(shared + rng.normal(size=n))))
        made.append(np.stack([1 - score, score], axis=1))
    folds = np.array_split(np.arange(n), 5)
    return Stack(y, np.arange(n), folds, made)


@pytest.mark.parametrize("metric", ["roc_auc", "f1", "accuracy", "average_precision"])
def test_the_luck_of_the_best_is_taken_out(metric: str) -> None:
    """Over ten searches among equals, the corrected score is near the mean of all, on average."""
    naive, left = [], []
    for seed in range(10):
        one = searched(seed, 300, 20)
        found = expected({metric: UP}, one, lambda v: -v[metric], seed=seed).scores[metric]
        everyone = values(metric, one)(np.arange(20), np.ones((300, 1), np.float32))
        naive.append(found.naive - everyone.mean())
        left.append(found.estimate - everyone.mean())
    assert np.mean(naive) > 0.01
    assert abs(np.mean(left)) < 0.35 * np.mean(naive)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 4), st.sampled_from(["roc_auc", "accuracy", "rmse"]))
def test_no_correction_makes_a_score_better(seed: int, configs: int, metric: str) -> None:
    """Over random predictions, few resamples included: the corrected score is at most as good as
    the naive one, whichever way the metric runs, and lies within its limits."""
    one = stack(0 if metric == "rmse" else 2, configs=configs, seed=seed)
    way = Direction.MINIMIZE if metric == "rmse" else UP
    sign = 1.0 if way is Direction.MINIMIZE else -1.0
    found = expected({metric: way}, one, lambda v: sign * v[metric], seed=seed).scores[metric]
    assert sign * found.estimate >= sign * found.naive
    assert found.low <= found.estimate <= found.high


def test_the_loss_chooses_and_every_metric_is_reported() -> None:
    """Selecting by one metric leaves the score of another, uncorrelated one without luck."""
    one = searched(0, 300, 20)
    found = expected({"roc_auc": UP, "accuracy": UP}, one, lambda v: -v["roc_auc"]).scores
    assert set(found) == {"roc_auc", "accuracy"}
    assert found["roc_auc"].selected == found["accuracy"].selected
    assert found["roc_auc"].naive > found["roc_auc"].estimate


def test_many_rows_of_a_ranking_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the cap a sample is resampled, and the limits are those of all rows."""
    one = searched(0, 4_000, 3)
    whole = expected({"roc_auc": UP}, one, lambda v: -v["roc_auc"])
    monkeypatch.setattr(module, "MOST_RANKED_ROWS", 1_000)
    part = expected({"roc_auc": UP}, one, lambda v: -v["roc_auc"])
    assert "of 1,000 rows, limits scaled to 4,000" in part.method
    wide, narrow = whole.scores["roc_auc"], part.scores["roc_auc"]
    assert wide.estimate == pytest.approx(narrow.estimate, abs=0.03)
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("seed", range(6))
def test_a_sample_of_easy_rows_does_not_lift_the_score(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is expected after selection stays at or below the best, however the sample falls."""
    one = searched(seed, 4_000, 8)
    everyone = np.ones((4_000, 1), np.float32)
    order = np.argsort(-values("roc_auc", one)(np.arange(8), everyone)[:, 0])
    one = Stack(one.y, one.row, one.folds, [one.predictions[i] for i in order])
    whole = expected({"roc_auc": UP}, one, lambda v: -v["roc_auc"]).scores["roc_auc"]
    monkeypatch.setattr(module, "MOST_RANKED_ROWS", 400)
    part = expected({"roc_auc": UP}, one, lambda v: -v["roc_auc"], seed=seed).scores["roc_auc"]
    assert part.naive == pytest.approx(whole.naive, abs=1e-6)
    assert part.low <= part.estimate <= part.naive
    assert part.estimate == pytest.approx(whole.estimate, abs=0.006)


def test_samples_keep_groups_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of the rows holds a group as a whole or not at all, and every fold's place."""
    monkeypatch.setattr(module, "MOST_RANKED_ROWS", 100)
    one, groups = searched(0, 400, 2), np.arange(400) // 8
    part, kept = module._sampled(one, groups, seed=0)
    assert kept is not None
    assert (np.unique(kept, return_counts=True)[1] == 8).all()
    assert 60 <= len(part.y) <= 140
    assert np.array_equal(np.sort(np.concatenate(part.folds)), np.arange(len(part.row)))
    assert np.array_equal(part.truth, part.y[part.row])


def test_slow_metrics_look_at_the_best_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that must be computed again for each resample is asked of few configurations."""
    monkeypatch.setattr(module, "MOST_OTHERS", 2)
    found = expected({"medae": Direction.MINIMIZE}, stack(0), lambda v: v["medae"])
    assert found.method == "BBC-CV of 2 configurations, 100 resamples"


def test_caps_hold_the_time() -> None:
    """200 configurations of 5,000 rows: a ranking takes a few seconds at most, an F1 too."""
    one = searched(0, 5_000, 200)
    for metric in ("roc_auc", "f1"):
        began = time.process_time()
        expected({metric: UP}, one, lambda v, m=metric: -v[m])
        assert time.process_time() - began < 10


def test_the_tables_cover_every_metric() -> None:
    """Each quality metric is a sum, a ranking, or computed again; none is forgotten here."""
    tested = {metrics.parse(m)[0] for m, _ in ALL}
    assert {"accuracy", "rmse", "f1", "r2"} <= set(SUMMED)
    assert set(metrics.COMPUTE) - tested - set(ONLY) <= {
        *("f1_micro", "recall_weighted", "precision_macro", "recall_macro"),
        *("precision_weighted", "kappa"),
    }
    assert module.RESAMPLES["summed"][1] == bbc.RESAMPLES
