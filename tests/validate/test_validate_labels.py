"""Rows with several labels: metrics, intervals, comparisons, folds."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from scipy import special

from attain.core.errors import DataError
from attain.core.types import Dataset, Direction, Rows, SplitKind, Task
from attain.validate._labels import LINEAR, ONLY
from attain.validate._losses import row_loss
from attain.validate.compare import compare
from attain.validate.learning import nested_rows
from attain.validate.metrics import compute
from attain.validate.perturb import changed
from attain.validate.resample import carve_stop, folds, plan
from attain.validate.resampled import Stack, values
from attain.validate.score import score


def sample(seed=0, n=200, blur=0.0):
    """Four labels from rare to frequent that lean on each other; calibrated without blur."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 4)) * 1.6 + 0.8 * rng.normal(size=(n, 1)) + [-2.8, -1.5, -0.6, 0.3]
    y = (rng.random(z.shape) < special.expit(z)).astype(int)
    return y, special.expit(z + blur * rng.normal(size=z.shape))


def said(p):
    """Predicted labels."""
    return (p >= 0.5).astype(int)


def of(average, function):
    """A scikit-learn metric of predicted labels."""
    return lambda y, p: function(y, said(p), average=average, zero_division=0)


def each(function):
    """A mean over labels."""
    return lambda y, p: np.mean([function(y[:, k], p[:, k]) for k in range(y.shape[1])])


REFERENCE = {
    "subset_accuracy": lambda y, p: sk.accuracy_score(y, said(p)),
    "hamming_loss": lambda y, p: sk.hamming_loss(y, said(p)),
    "log_loss": each(sk.log_loss),
    "f1_micro": of("micro", sk.f1_score),
    "f1_macro": of("macro", sk.f1_score),
    "precision_micro": of("micro", sk.precision_score),
    "precision_macro": of("macro", sk.precision_score),
    "recall_micro": of("micro", sk.recall_score),
    "recall_macro": of("macro", sk.recall_score),
    "roc_auc_ovr": lambda y, p: sk.roc_auc_score(y, p, average="macro"),
    "average_precision_macro": lambda y, p: sk.average_precision_score(y, p, average="macro"),
}


@pytest.mark.parametrize("metric", LINEAR)
@pytest.mark.parametrize("seed", range(4))
def test_metrics_equal_scikit_learn(metric, seed):
    """Every metric of labels, ties included."""
    y, p = sample(seed)
    p = p.round(2)
    assert compute(metric, y, p) == pytest.approx(REFERENCE[metric](y, p))


def test_two_labels_are_not_two_classes():
    """A matrix of two columns is read by its truth: labels do not exclude each other."""
    y, p = np.array([[1, 1], [0, 0], [1, 0]]), np.array([[0.9, 0.8], [0.1, 0.3], [0.7, 0.2]])
    assert compute("f1_micro", y, p) == 1
    assert compute("subset_accuracy", y, p) == 1


def test_labels_that_do_not_occur_say_nothing():
    """Macro means leave out labels without a row; one that is only predicted counts as wrong."""
    y, p = sample(1)
    y[:, 0], p[:, 0] = 0, 0.1
    kept = sk.f1_score(y[:, 1:], said(p[:, 1:]), average="macro")
    assert compute("f1_macro", y, p) == pytest.approx(kept)
    assert compute("roc_auc_ovr", y, p) == pytest.approx(sk.roc_auc_score(y[:, 1:], p[:, 1:]))
    p[0, 0] = 0.9
    assert compute("f1_macro", y, p) == pytest.approx(kept * 3 / 4)


UNDEFINED = [
    ("accuracy", np.eye(2), np.eye(2), "not for rows with several labels.*use f1_micro"),
    ("log_loss", np.eye(2), np.ones((2, 3)), "one value for each row and label"),
    ("log_loss", np.eye(2), np.full((2, 2), np.nan), "finite.*2 of 2"),
    ("log_loss", 2 * np.eye(2), np.eye(2), "there .1. or not"),
    ("f1_micro", np.zeros((3, 2)), np.zeros((3, 2)), "no row carries a label"),
    ("roc_auc_ovr", np.ones((3, 2)), np.ones((3, 2)), "no label tells rows apart"),
    *((metric, np.array([0, 1]), np.eye(2), "is for rows with several labels") for metric in ONLY),
]


@pytest.mark.parametrize(("metric", "y", "p", "message"), UNDEFINED)
def test_what_is_undefined_says_why(metric, y, p, message):
    """Wrong shapes and rows without labels are errors with a reason."""
    with pytest.raises(DataError, match=message):
        compute(metric, y, p)


@pytest.mark.parametrize("metric", ["f1_macro", "roc_auc_ovr"])
def test_intervals_hold_the_truth(metric):
    """Rows drawn afresh: 95 % intervals cover the value of very many rows, within simulation."""
    truth = compute(metric, *sample(10**6, 50_000))
    found = [score(metric, *sample(seed, 200)) for seed in range(150)]
    covered = np.mean([s.low <= truth <= s.high for s in found])
    assert 0.90 <= covered <= 0.99


def test_folds_and_groups_widen_as_they_should():
    """Every metric has an interval over folds; groups of copied rows make it wider."""
    y, p = sample(3, 120)
    again = np.repeat(np.arange(120), 3)
    for metric in LINEAR:
        pooled = score(metric, y, p, folds=np.array_split(np.arange(120), 3))
        assert pooled.low <= pooled.estimate <= pooled.high
        assert len(pooled.per_fold) == 3
        one, copied = (score(metric, y[again], p[again], groups=g) for g in (None, again))
        assert copied.high - copied.low > 1.3 * (one.high - one.low)
        assert copied.n == 120


def test_the_better_model_wins():
    """Paired comparisons follow the metric's direction."""
    (y, good), (_, bad) = sample(4, 900), sample(4, 900, blur=4.0)
    for metric in LINEAR:
        down = metric in ("log_loss", "hamming_loss")
        direction = Direction.MINIMIZE if down else Direction.MAXIMIZE
        assert compare(metric, y, good, bad, folds=None, direction=direction).answer == "better"


@pytest.mark.parametrize("metric", LINEAR)
def test_resampled_values_equal_the_metric_of_repeated_rows(metric):
    """A weight of two is a row that stands there twice; a weight of zero is none."""
    y, p = sample(5, 60)
    weights = np.random.default_rng(0).integers(0, 3, (60, 4)).astype(np.float32)
    found = values(metric, Stack(y, np.arange(60), [np.arange(60)], [p, 1 - p]))
    for part, counts in enumerate(weights.T.astype(int)):
        rows = np.repeat(np.arange(60), counts)
        wanted = [compute(metric, y[rows], q[rows]) for q in (p, 1 - p)]
        assert found(np.array([0, 1]), weights)[:, part] == pytest.approx(wanted, rel=1e-4)


def rows_of(y, groups=None, time=None):
    """Rows with one feature, and what is known of them."""
    names = tuple(f"l{k}" for k in range(y.shape[1]))
    counts = tuple(y.sum(axis=0).tolist())
    known = Dataset("", "", len(y), (), "y", Task.MULTILABEL, names, counts)
    return Rows(pd.DataFrame({"x": np.arange(len(y))}), y, groups, time), known


def test_folds_have_every_label():
    """Labels are stratified over folds, with groups as nearly as whole groups allow."""
    y, _ = sample(6, 300)
    rows, known = rows_of(y)
    split = plan(known, rows, folds=5, repeats=2)
    assert split.kind is SplitKind.STRATIFIED
    for fold in folds(split, rows):
        assert np.abs(y[fold.valid].sum(axis=0) - y.sum(axis=0) / 5).max() <= 2
    group = np.repeat(np.arange(75), 4)
    rows, known = rows_of(y, group)
    split = plan(replace(known, groups="g"), rows, folds=5)
    assert split.kind is SplitKind.STRATIFIED_GROUPED
    for fold in folds(split, rows):
        assert not set(group[fold.train]) & set(group[fold.valid])
        assert y[fold.valid].any(axis=0).all()


def test_a_label_is_never_set_aside_as_a_whole():
    """Rows to stop on leave some row with each label to learn from."""
    for seed in range(20):
        y = np.zeros((60, 3), int)
        y[:30, 0], y[[5, 40], 1], y[9, 2] = 1, 1, 1
        rows, _ = rows_of(y)
        fit, stop = carve_stop(rows, np.arange(60), classifies=True, seed=seed)
        assert y[fit].any(axis=0).all()
        assert len(stop) >= 4


def test_rows_with_labels_have_losses_and_change():
    """A row's loss is its share of wrong labels or its log loss; another label is a change."""
    y, p = sample(7, 50)
    errors, losses = row_loss("f1_macro", y, p), row_loss("roc_auc_ovr", y, p)
    assert errors.values.mean() == pytest.approx(compute("hamming_loss", y, p))
    assert losses.values.mean() == pytest.approx(compute("log_loss", y, p))
    assert (errors.expected <= 0.5).all()
    other = p.copy()
    other[3, 1] = 1 - other[3, 1]
    assert np.flatnonzero(changed(p, other, y, "f1_macro")).tolist() == [3]
    assert len(nested_rows(np.arange(50), y, 0.5, 0)) == 25
