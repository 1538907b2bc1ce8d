"""Calibration over folds: honest scores, a careful choice, groups and time respected."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from attain.stats.calibrate import METHODS, fit
from attain.validate import calibrate as module
from attain.validate.calibrate import KEEP_ORDER, calibrate
from attain.validate.metrics import compute


def drawn(
    seed: int, n: int, sharpness: float, classes: int = 2
) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Classes, predictions that are too sharp by a factor, and five folds."""
    rng = np.random.default_rng(seed)
    scores = 1.2 * rng.normal(size=(n, classes))
    y = (scores + rng.gumbel(size=scores.shape)).argmax(axis=1)
    return y, special.softmax(sharpness * scores, axis=1), np.array_split(rng.permutation(n), 5)


@pytest.mark.parametrize("classes", [2, 4])
def test_sharp_predictions_are_cooled(classes: int) -> None:
    """Over five seeds: a temperature near the true one is chosen, and the loss surely falls."""
    for seed in range(5):
        y, p, folds = drawn(seed, 1_500, 2.5, classes)
        made = calibrate(y, p, np.arange(1_500), folds)
        assert made.calibrator is not None
        assert made.calibrator.method == "temperature"
        assert made.calibrator.values[0] == pytest.approx(2.5, rel=0.2)
        assert made.after + 2 * made.error < made.before
        assert made.after == pytest.approx(compute("log_loss", y, made.prediction))


def test_calibrated_predictions_are_left_alone() -> None:
    """Of forty samples with nothing to gain at most a fifth is calibrated, for a stated one SE."""
    chosen = 0
    for seed in range(40):
        y, p, folds = drawn(seed, 400, 1.0)
        made = calibrate(y, p, np.arange(400), folds)
        chosen += made.calibrator is not None
        if made.calibrator is None:
            assert np.array_equal(made.prediction, p)
            assert made.before == made.after
    assert chosen <= 8


@pytest.mark.parametrize(("shape", "method"), [("shifted", "platt"), ("stepped", "isotonic")])
def test_the_shape_decides_the_method(shape: str, method: str) -> None:
    """A base rate that is off asks for an intercept, a bent curve for isotonic regression."""
    rng = np.random.default_rng(0)
    score = rng.normal(size=6_000)
    truth = special.expit(score)
    if shape == "stepped":
        truth = np.select([score < -0.5, score < 0.6], [0.3, 0.35], 0.9)
    y = (rng.random(6_000) < truth).astype(int)
    second = special.expit(score + (1.0 if shape == "shifted" else 0.0))
    p = np.stack([1 - second, second], axis=1)
    made = calibrate(y, p, np.arange(6_000), np.array_split(np.arange(6_000), 5))
    assert made.calibrator is not None
    assert made.calibrator.method == method
    kept = calibrate(
        y, p, np.arange(6_000), np.array_split(np.arange(6_000), 5), methods=KEEP_ORDER
    )
    assert kept.calibrator is None or kept.calibrator.method != "isotonic"


def test_the_score_is_honest_where_that_of_the_same_rows_is_not() -> None:
    """Over 200 small samples: the cross-fitted loss is no lower than that on fresh rows, on
    average, while isotonic regression judged on its own rows promises too much."""
    same, crossed, fresh = [], [], []
    for seed in range(200):
        y, p, folds = drawn(seed, 120, 1.0)
        new_y, new_p, _ = drawn(seed + 10_000, 2_000, 1.0)
        own = fit("isotonic", y, p)
        learnt = [(f, np.setdiff1d(np.arange(120), f)) for f in folds]
        same.append(compute("log_loss", y, own(p)))
        crossed.append(compute("log_loss", y, module._crossed("isotonic", y, p, learnt)))
        fresh.append(compute("log_loss", new_y, own(new_p)))
    assert np.mean(same) < np.mean(fresh) - 0.03
    assert np.mean(crossed) > np.mean(fresh) - 0.02


def test_no_fold_is_calibrated_by_its_own_rows() -> None:
    """Changing the classes of one fold leaves its own calibrated predictions as they were, also
    where rows come back in a second repeat."""
    y, p, folds = drawn(0, 300, 2.5)
    row = np.concatenate([np.arange(300), np.arange(300)])
    twice = [
        *folds,
        *(300 + f for f in np.array_split(np.random.default_rng(1).permutation(300), 5)),
    ]
    y2, p2 = np.tile(y, 2), np.tile(p, (2, 1))
    for fold in (0, 7):
        turned = y2.copy()
        own = np.isin(row, row[twice[fold]])
        turned[own] = 1 - turned[own]
        learnt = [(twice[fold], module._others(twice[fold], row, None))]
        before = module._crossed("temperature", y2, p2, learnt)
        after = module._crossed("temperature", turned, p2, learnt)
        assert np.array_equal(before, after)
        assert not np.isin(row[learnt[0][1]], row[twice[fold]]).any()


def test_a_hold_out_is_halved_and_groups_stay_whole() -> None:
    """One fold: each half is calibrated by the other, no group in both."""
    y, p, _ = drawn(0, 600, 2.5)
    groups = np.arange(600) // 6
    first, second = module._halves(groups, None)
    assert not np.isin(groups[first], groups[second]).any()
    assert len(first) == pytest.approx(300, abs=6)
    made = calibrate(y, p, groups, [np.arange(600)])
    assert made.calibrator is not None
    assert made.after < made.before
    assert not (made.prediction == p).any()


def test_later_rows_teach_nothing_about_earlier_ones() -> None:
    """In order of time the first fold stays as it is, and others learn from earlier rows only."""
    y, p, _ = drawn(0, 600, 2.5)
    time = np.random.default_rng(0).permutation(600).astype(float)
    folds = [np.flatnonzero((time >= a) & (time < a + 200)) for a in (0, 200, 400)]
    made = calibrate(y, p, np.arange(600), folds, time=time)
    assert np.array_equal(made.prediction[folds[0]], p[folds[0]])
    assert not np.array_equal(made.prediction[folds[1]], p[folds[1]])
    assert (time[module._others(folds[1], np.arange(600), time)] < 200).all()
    early, late = module._halves(np.arange(600), time)
    assert time[early].max() < time[late].min()


@pytest.mark.parametrize("rows", [2, 20])
def test_too_few_rows_stay_as_they_are(rows: int) -> None:
    """Below thirty predictions to learn from nothing is calibrated, and nothing breaks."""
    y, p, folds = drawn(0, rows, 3.0)
    made = calibrate(y, p, np.arange(rows), [f for f in folds if len(f)])
    assert made.calibrator is None
    assert np.array_equal(made.prediction, p)


@pytest.mark.parametrize("seed", range(5))
def test_copies_of_a_row_are_worth_one(seed: int) -> None:
    """Ten copies of each row: without groups an advantage looks certain that is not."""
    difference = np.random.default_rng(seed).normal(size=60)
    single = module._standard_error(difference, np.arange(60))
    copied = np.repeat(difference, 10)
    assert single == pytest.approx(difference.std() / np.sqrt(60))
    assert module._standard_error(copied, np.repeat(np.arange(60), 10)) == pytest.approx(single)
    assert module._standard_error(copied, np.arange(600)) < 0.4 * single


def test_every_method_can_be_chosen() -> None:
    """The names are those of the calibrators."""
    assert tuple(METHODS) == ("temperature", "platt", "isotonic")
    assert set(KEEP_ORDER) < set(METHODS)
