"""Every metric against scikit-learn or by hand, and what makes it undefined."""

import math
import time

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.errors import DataError, SpecError
from attain.objectives.metrics import METRICS
from attain.validate import metrics
from attain.validate._labels import ONLY
from attain.validate.metrics import COMPUTE, compute
from attain.validate.score import MEASURED


def classes(seed, n=200, k=2, ties=True):
    """Codes and probabilities; rounded so that ties occur."""
    rng = np.random.default_rng(seed)
    y = np.concatenate([np.arange(k), rng.integers(0, k, n - k)])
    logits = rng.normal(size=(n, k))
    logits[np.arange(n), y] += 1
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    if ties and k == 2:
        p[:, 1] = p[:, 1].round(2)
        p[:, 0] = 1 - p[:, 1]
    return y, p


def values(seed, n=150):
    """Positive true values and predictions."""
    rng = np.random.default_rng(seed)
    y = rng.gamma(3, size=n) + 0.1
    return y, y + rng.normal(size=n) * 0.5


def said(p):
    """Predicted codes."""
    return (p[:, 1] >= 0.5).astype(int) if p.shape[1] == 2 else p.argmax(axis=1)


def labelled(function, **options):
    """A scikit-learn metric of labels."""
    return lambda y, p: function(y, said(p), **options)


BOTH = {
    "accuracy": labelled(sk.accuracy_score),
    "balanced_accuracy": labelled(sk.balanced_accuracy_score),
    "f1_micro": labelled(sk.f1_score, average="micro"),
    "mcc": labelled(sk.matthews_corrcoef),
    "kappa": labelled(sk.cohen_kappa_score),
    "kappa_quadratic": labelled(sk.cohen_kappa_score, weights="quadratic"),
    "log_loss": lambda y, p: sk.log_loss(y, p, labels=np.arange(p.shape[1])),
    "precision_macro": labelled(sk.precision_score, average="macro", zero_division=0),
    "recall_macro": labelled(sk.recall_score, average="macro", zero_division=0),
    "f1_macro": labelled(sk.f1_score, average="macro", zero_division=0),
    "f1_weighted": labelled(sk.f1_score, average="weighted", zero_division=0),
    "precision_weighted": labelled(sk.precision_score, average="weighted", zero_division=0),
    "recall_weighted": labelled(sk.recall_score, average="weighted", zero_division=0),
}
BINARY = {
    "precision": labelled(sk.precision_score, zero_division=0),
    "recall": labelled(sk.recall_score),
    "specificity": labelled(sk.recall_score, pos_label=0),
    "f1": labelled(sk.f1_score),
    "fbeta@2": labelled(sk.fbeta_score, beta=2),
    "fbeta@0.5": labelled(sk.fbeta_score, beta=0.5),
    "roc_auc": lambda y, p: sk.roc_auc_score(y, p[:, 1]),
    "average_precision": lambda y, p: sk.average_precision_score(y, p[:, 1]),
    "brier": lambda y, p: sk.brier_score_loss(y, p[:, 1]),
}
MULTI = {
    "roc_auc_ovr": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovr"),
    "roc_auc_ovo": lambda y, p: sk.roc_auc_score(y, p, multi_class="ovo"),
    "average_precision_macro": lambda y, p: sk.average_precision_score(np.eye(p.shape[1])[y], p),
    "top_k_accuracy@2": lambda y, p: sk.top_k_accuracy_score(y, p, k=2),
    "brier": lambda y, p: np.mean(((p - np.eye(p.shape[1])[y]) ** 2).sum(axis=1)),
}
VALUES = {
    "rmse": sk.root_mean_squared_error,
    "mse": sk.mean_squared_error,
    "mae": sk.mean_absolute_error,
    "medae": sk.median_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "smape": lambda y, p: np.mean(2 * np.abs(y - p) / (np.abs(y) + np.abs(p))),
    "r2": sk.r2_score,
    "explained_variance": sk.explained_variance_score,
    "max_error": sk.max_error,
    "rmsle": lambda y, p: sk.root_mean_squared_log_error(y, np.maximum(p, 0)),
    "pinball@0.9": lambda y, p: sk.mean_pinball_loss(y, p, alpha=0.9),
    "pinball@0.1": lambda y, p: sk.mean_pinball_loss(y, p, alpha=0.1),
}


def test_every_metric_is_compared():
    """Nothing in the table escapes the comparisons below; ece is computed by hand.

    Metrics of several labels have a file of their own.
    """
    compared = {m.partition("@")[0] for m in (*BOTH, *BINARY, *MULTI, *VALUES)} | {"ece"}
    assert compared | set(ONLY) == set(COMPUTE)
    assert len(COMPUTE) == 41


def test_the_metric_tables_agree():
    """Step 1 promises exactly the metrics that step 5 computes or measures."""
    stated = {m.name: m.needs for m in METRICS.values()}
    others = ("measurement", "counts")
    assert {name for name, needs in stated.items() if needs not in others} == set(COMPUTE)
    assert {name for name, needs in stated.items() if needs == "measurement"} == set(MEASURED)


@pytest.mark.parametrize("metric", [*BOTH, *BINARY])
@pytest.mark.parametrize("seed", range(4))
def test_binary_metrics(metric, seed):
    """Two classes: equal to scikit-learn, ties included."""
    y, p = classes(seed)
    assert compute(metric, y, p) == pytest.approx((BOTH | BINARY)[metric](y, p))


@pytest.mark.parametrize("metric", [*BOTH, *MULTI])
@pytest.mark.parametrize("k", [3, 7])
def test_multiclass_metrics(metric, k):
    """Several classes: equal to scikit-learn."""
    y, p = classes(k, k=k)
    assert compute(metric, y, p) == pytest.approx((BOTH | MULTI)[metric](y, p))


@pytest.mark.parametrize("metric", VALUES)
@pytest.mark.parametrize("seed", range(3))
def test_regression_metrics(metric, seed):
    """Values: equal to scikit-learn or the formula."""
    y, p = values(seed)
    assert compute(metric, y, p) == pytest.approx(VALUES[metric](y, p))


@given(st.integers(0, 10**6), st.integers(3, 5), st.integers(8, 30))
@settings(max_examples=40, deadline=None)
def test_folds_that_lack_classes(seed, k, n):
    """A fold without some class is scored over the classes it has, as scikit-learn does."""
    y, p = classes(seed, n=n, k=k)
    kept = y != k - 1
    if len(np.unique(y[kept])) < 2:
        return
    y, p = y[kept], p[kept]
    for metric in ("f1_macro", "precision_macro", "recall_macro", "f1_weighted", "log_loss", "mcc"):
        assert compute(metric, y, p) == pytest.approx(BOTH[metric](y, p), abs=1e-9)
    present = [sk.roc_auc_score(y == c, p[:, c]) for c in np.unique(y)]
    assert compute("roc_auc_ovr", y, p) == pytest.approx(np.mean(present))
    recalls = [np.mean(said(p)[y == c] == c) for c in np.unique(y)]
    assert compute("balanced_accuracy", y, p) == pytest.approx(np.mean(recalls))


def test_calibration_error_by_hand():
    """Thirty rows, fifteen bins of two: the mean absolute gap, weighted by rows."""
    p1 = (np.arange(30) + 0.5) / 30
    y = (np.arange(30) % 3 == 0).astype(int)
    gaps = (p1 - y).reshape(15, 2).sum(axis=1)
    assert compute("ece", y, np.column_stack([1 - p1, p1])) == pytest.approx(abs(gaps).sum() / 30)


def test_calibration_error_of_several_classes_judges_the_top_label():
    """Confidence 0.6 that is right in 60 % of rows is calibrated; equal confidences share a bin."""
    p = np.tile([0.6, 0.3, 0.1], (100, 1))
    assert compute("ece", np.repeat([0, 1], [60, 40]), p) == pytest.approx(0, abs=1e-12)
    assert compute("ece", np.repeat([0, 1], [20, 80]), p) == pytest.approx(0.4)


def test_calibrated_probabilities_have_little_calibration_error():
    """Labels drawn from the probabilities give an error near zero, squeezed ones do not."""
    p1 = np.random.default_rng(0).random(20_000)
    y = (np.random.default_rng(1).random(20_000) < p1).astype(int)
    assert compute("ece", y, np.column_stack([1 - p1, p1])) < 0.02
    squeezed = 0.5 + 0.4 * (p1 - 0.5)
    assert compute("ece", y, np.column_stack([1 - squeezed, squeezed])) > 0.1


def test_a_model_that_predicts_no_positive_has_precision_zero():
    """0 / 0 of the model's own making counts as 0, so that its trial can still be ranked."""
    p = np.tile([0.9, 0.1], (10, 1))
    y = np.array([0] * 7 + [1] * 3)
    zero = ("precision", "f1", "recall", "mcc", "kappa")
    assert [compute(m, y, p) for m in zero] == [0, 0, 0, 0, 0]


def test_ties_at_one_half_are_positive():
    """Probability 0.5 is enough."""
    assert compute("accuracy", np.array([1, 1]), np.full((2, 2), 0.5)) == 1


ONE_CLASS = np.zeros(6, int)
P2, P3 = np.tile([0.7, 0.3], (6, 1)), np.tile([0.5, 0.3, 0.2], (6, 1))
UNDEFINED = [
    ("roc_auc", ONE_CLASS, P2, "without a row of the positive class"),
    ("roc_auc", ONE_CLASS + 1, P2, "without a row of the negative class"),
    ("average_precision", ONE_CLASS, P2, "without a row of the positive class"),
    ("recall", ONE_CLASS, P2, "without a row of the positive class"),
    ("f1", ONE_CLASS, P2, "without a row of the positive class"),
    ("specificity", ONE_CLASS + 1, P2, "without a row of the negative class"),
    ("roc_auc_ovr", ONE_CLASS, P3, "all rows are of one class"),
    ("roc_auc_ovo", ONE_CLASS, P3, "all rows are of one class"),
    ("top_k_accuracy@3", ONE_CLASS, P3, "unless k is below the number of classes"),
    ("r2", np.ones(6), np.ones(6), "all true values are equal"),
    ("explained_variance", np.ones(6), np.ones(6), "all true values are equal"),
    ("mape", np.arange(6.0), np.ones(6), "where a true value is 0.*use smape"),
    ("rmsle", np.arange(6.0) - 1, np.ones(6), "negative true values"),
    ("f1", ONE_CLASS, P3, "two classes.*use f1_macro"),
    ("roc_auc", ONE_CLASS, P3, "two classes.*use roc_auc_ovr"),
    ("accuracy", ONE_CLASS, np.ones(6), "probabilities of at least two classes"),
    ("rmse", ONE_CLASS, P2, "one predicted value for each row"),
    ("rmse", np.array([]), np.array([]), "at least one"),
    ("rmse", np.ones(3), np.ones(4), "same number of rows"),
    ("rmse", np.array([1.0, np.nan]), np.ones(2), "true values must be finite"),
    ("rmse", np.ones(2), np.array([1.0, np.inf]), "predictions must be finite.*1 of 2"),
    ("log_loss", np.array([0, 2]), P2[:2], "class codes must lie in 0 to 1.*0 to 2"),
]


@pytest.mark.parametrize(("metric", "y", "p", "message"), UNDEFINED)
def test_undefined_metrics_say_why(metric, y, p, message):
    """What these rows leave undefined is an error with a reason, not a number."""
    with pytest.raises(DataError, match=message):
        compute(metric, y, p)


def test_all_problems_come_at_once():
    """Bad predictions and bad codes are reported together."""
    with pytest.raises(DataError, match=r"(?s)finite.*class codes") as caught:
        compute("log_loss", np.array([0, 5]), np.array([[np.nan, 1], [0.5, 0.5]]))
    assert len(caught.value.problems) == 2


def test_unknown_metrics_name_the_nearest():
    """A typing error is answered with the name that was meant."""
    with pytest.raises(SpecError, match="did you mean 'accuracy'"):
        compute("acuracy", ONE_CLASS, P2)
    with pytest.raises(SpecError, match="must be a number"):
        compute("fbeta@two", ONE_CLASS, P2)
    assert metrics.parse("fbeta@2") == ("fbeta", 2.0)


def test_probabilities_that_are_exactly_zero():
    """A certain mistake costs a finite log loss, the same as in scikit-learn."""
    y, p = np.array([0, 1]), np.array([[0.0, 1.0], [0.2, 0.8]])
    assert compute("log_loss", y, p) == pytest.approx(sk.log_loss(y, p))
    assert math.isfinite(compute("log_loss", y, p))


def test_half_precision_predictions_are_scored():
    """Predictions stored as float32 or float16 give the score of their values."""
    y, p = classes(1)
    assert compute("log_loss", y, p.astype(np.float16)) == pytest.approx(
        compute("log_loss", y, p.astype(np.float16).astype(float))
    )


def test_metrics_are_fast():
    """Fifty thousand rows: no metric of two classes or of values takes more than 60 ms."""
    y, p = classes(0, n=50_000)
    z, q = values(0, n=50_000)
    for metric in (*BOTH, *BINARY, *VALUES):
        a, b = (z, q) if metric in VALUES else (y, p)
        taken = []
        for _ in range(3):
            start = time.perf_counter()
            compute(metric, a, b)
            taken.append(time.perf_counter() - start)
        assert min(taken) < 0.06, metric
