"""Calibrators: against scikit-learn, against a search over the parameter, and at the edges."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from attain.stats.calibrate import COLDEST, HOTTEST, LEAST, METHODS, Calibrator, fit


def drawn(seed: int, n: int, classes: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Classes drawn from true probabilities, and predictions that are too sharp by a factor."""
    rng = np.random.default_rng(seed)
    scores = 1.5 * rng.normal(size=(n, classes))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return y, special.softmax(sharpness * scores, axis=1)


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    """As the metric is computed."""
    return float(-np.log(np.clip(p[np.arange(len(y)), y], LEAST, 1)).mean())


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_is_found_again(classes: int, sharpness: float) -> None:
    """Predictions sharpened by a factor are cooled by it, over five seeds and class counts."""
    for seed in range(5):
        y, p = drawn(seed, 4_000, classes, sharpness)
        made = fit("temperature", y, p)
        assert made.values[0] == pytest.approx(sharpness, rel=0.12)
        found = optimize.minimize_scalar(
            lambda t, y=y, p=p: log_loss(y, Calibrator("temperature", (t,))(p)),
            bounds=(0.1, 10),
            method="bounded",
            options={"xatol": 1e-8},
        )
        assert made.values[0] == pytest.approx(found.x, rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_platt_is_logistic_regression_of_the_log_odds(seed: int) -> None:
    """With many rows, whose targets are nearly 0 and 1, scikit-learn finds the same sigmoid."""
    y, p = drawn(seed, 20_000, 2, 2.0)
    outside = LogisticRegression(C=1e12, tol=1e-10).fit(special.logit(p[:, 1])[:, None], y)
    slope, intercept = fit("platt", y, p).values
    assert slope == pytest.approx(outside.coef_[0, 0], abs=2e-3)
    assert intercept == pytest.approx(outside.intercept_[0], abs=2e-3)


@pytest.mark.parametrize("seed", range(5))
def test_platt_targets_are_those_of_lin_et_al(seed: int) -> None:
    """On few rows the cross entropy with their targets has no lower point nearby."""
    y, p = drawn(seed, 30, 2, 2.0)
    ones = (y == 1).sum()
    target = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))
    odds = special.logit(p[:, 1])

    def loss(w: np.ndarray) -> float:
        score = w[0] * odds + w[1]
        return float((np.logaddexp(0, score) - target * score).mean())

    outside = optimize.minimize(loss, [0.0, 0.0], tol=1e-12)
    assert fit("platt", y, p).values == pytest.approx(outside.x, abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_isotonic_is_that_of_scikit_learn(seed: int) -> None:
    """Given Platt's targets, on rows with ties, inside of the range and beyond it."""
    y, p = drawn(seed, 300, 2, 1.5)
    p = np.round(p, 2)
    ones = (y == 1).sum()
    target = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))
    outside = IsotonicRegression(out_of_bounds="clip").fit(p[:, 1], target)
    asked = np.linspace(0, 1, 101)
    mine = fit("isotonic", y, p)(np.stack([1 - asked, asked], axis=1))
    assert mine[:, 1] == pytest.approx(outside.predict(asked), abs=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_probabilities_of_zero_and_one_do_no_harm(method: str) -> None:
    """Certain predictions, some of them wrong: a finite loss, lower than before."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=200)
    second = np.where(rng.random(200) < 0.9, y, 1 - y).astype(float)
    p = np.stack([1 - second, second], axis=1)
    after = fit(method, y, p)(p)
    assert np.isfinite(after).all()
    assert log_loss(y, after) < 0.6 < log_loss(y, p)
    assert ((after > 0) & (after < 1)).all() or method == "temperature"


@pytest.mark.parametrize("method", METHODS)
def test_separable_classes_are_not_answered_with_certainty(method: str) -> None:
    """A perfect model on forty rows: calibrated probabilities stay inside of (0, 1)."""
    y = np.repeat([0, 1], 20)
    p = np.where(y[:, None] == [0, 1], 0.8, 0.2)
    after = fit(method, y, p)(p)
    assert (after.argmax(axis=1) == y).all()
    assert 0 < after.min() < 0.2


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_is_wrong_is_not_turned_round(method: str) -> None:
    """Where large probabilities mean the other class, at best all become alike."""
    y, p = drawn(0, 500, 2, 1.0)
    after = fit(method, y, p[:, ::-1])(p[:, ::-1])
    second, before = after[:, 1], p[:, 0]
    order = np.argsort(before)
    assert (np.diff(second[order]) >= -1e-12).all()
    assert log_loss(y, after) < log_loss(y, p[:, ::-1])


def test_temperatures_have_ends() -> None:
    """Without a finite optimum the coldest or hottest is taken."""
    y = np.array([0, 1] * 10)
    right = np.where(y[:, None] == [0, 1], 0.8, 0.2)
    assert fit("temperature", y, right).values == (COLDEST,)
    assert fit("temperature", y, 1 - right).values == (HOTTEST,)


def test_temperature_keeps_the_decisions_of_many_classes() -> None:
    """The most probable class stays the most probable."""
    y, p = drawn(0, 1_000, 5, 3.0)
    assert (fit("temperature", y, p)(p).argmax(axis=1) == p.argmax(axis=1)).all()


@settings(max_examples=60)
@given(st.sampled_from(sorted(METHODS)), st.integers(2, 60), st.integers(0, 10_000))
def test_properties(method: str, rows: int, seed: int) -> None:
    """Over random small samples, one class only included: probabilities that add up, never fall
    with the prediction, and survive JSON."""
    rng = np.random.default_rng(seed)
    y, second = rng.integers(rng.integers(1, 3), size=rows), np.round(rng.random(rows), 1)
    p = np.stack([1 - second, second], axis=1)
    made = fit(method, y, p)
    after = made(p)
    assert np.isfinite(after).all()
    assert after.sum(axis=1) == pytest.approx(1)
    assert (np.diff(after[np.argsort(second, kind="stable"), 1]) >= -1e-12).all()
    stored = json.loads(json.dumps(asdict(made)))
    again = Calibrator(stored["method"], tuple(stored["values"]), tuple(stored["at"]))
    assert np.array_equal(again(p), after)
