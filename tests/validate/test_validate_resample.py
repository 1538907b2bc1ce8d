"""Splits: what may never be parted, what must be balanced, and what is refused."""

import warnings
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from attain.core.errors import DataError, SpecError
from attain.core.types import Dataset, Pretrained, Rows, Split, SplitKind, Task
from attain.validate.resample import carve_stop, folds, plan


def rows_of(y, groups=None, time=None):
    """Rows with one feature."""
    frame = pd.DataFrame({"x": np.arange(len(y), dtype=float)})
    return Rows(frame, np.asarray(y), groups, time)


def dataset_of(y, groups=None, time=None):
    """A data set whose classes are counted, or a regression for float targets."""
    y = np.asarray(y)
    names = ("g" if groups is not None else None, "t" if time is not None else None)
    if y.dtype.kind == "f":
        return Dataset("", "", len(y), (), "y", Task.REGRESSION, groups=names[0], time=names[1])
    counts = tuple(int(c) for c in np.bincount(y))
    task = Task.BINARY if len(counts) == 2 else Task.MULTICLASS
    classes = tuple(f"c{k}" for k in range(len(counts)))
    return Dataset("", "", len(y), (), "y", task, classes, counts, names[0], names[1])


def planned(y, groups=None, time=None, **options):
    """Rows, their plan and its folds."""
    rows = rows_of(y, groups, time)
    split = plan(dataset_of(y, groups, time), rows, **options)
    return rows, split, folds(split, rows)


SIZES = [(200, 5, 3), (999, 5, 3), (1000, 5, 2), (4999, 5, 2), (5000, 5, 1), (100_001, 1, 1)]


@pytest.mark.parametrize(("n", "k", "r"), SIZES)
def test_defaults_by_size(n, k, r):
    """Few rows are divided several times, very many once; the reason gives the number."""
    y = np.arange(n) % 2
    split = plan(dataset_of(y), rows_of(y), seed=7)
    assert (split.folds, split.repeats, split.seed) == (k, r, 7)
    assert f"{n:,}" in split.reason
    assert split.kind is (SplitKind.HOLDOUT if k == 1 else SplitKind.STRATIFIED)
    assert ("mostly luck" in split.reason) == (r > 1)


def test_kinds():
    """The kind follows target, groups and time; time wins over groups."""
    y, z = np.arange(60) % 2, np.linspace(0, 1, 60)
    groups, time = np.arange(60) // 3, np.arange(60)
    assert planned(z)[1].kind is SplitKind.KFOLD
    assert planned(z, groups)[1].kind is SplitKind.GROUPED
    assert planned(y, groups)[1].kind is SplitKind.STRATIFIED_GROUPED
    assert planned(y, None, time)[1].kind is SplitKind.TIME
    assert planned(y, groups, time)[1].kind is SplitKind.TIME
    assert planned(y, groups, folds=1)[1].kind is SplitKind.HOLDOUT


@given(st.integers(0, 10**6), st.integers(12, 90), st.integers(2, 6), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_folds_partition_and_balance(seed, n, k, r):
    """Each repeat validates every row once; sizes and each class differ by at most one row."""
    y = np.random.default_rng(seed).integers(0, 3, n)
    y[:3] = [0, 1, 2]
    rows, split, made = planned(y, folds=k, repeats=r, seed=seed)
    assert len(made) == split.jobs == k * r
    for repeat in range(r):
        part = made[repeat * k : (repeat + 1) * k]
        assert sorted(np.concatenate([f.valid for f in part])) == list(range(n))
        for code in range(3):
            counts = [int((y[f.valid] == code).sum()) for f in part]
            assert max(counts) - min(counts) <= 1
        sizes = [len(f.valid) for f in part]
        assert max(sizes) - min(sizes) <= 1
    for fold in made:
        assert fold.train.dtype == fold.valid.dtype == np.int64
        assert sorted(np.concatenate([fold.train, fold.valid])) == list(range(n))
    again = folds(split, rows)
    assert all(np.array_equal(a.valid, b.valid) for a, b in zip(made, again, strict=True))


def test_stratification_is_as_even_as_scikit_learns():
    """Class counts per fold are as even as those of StratifiedKFold."""
    y = np.random.default_rng(0).choice(3, 500, p=[0.7, 0.25, 0.05])
    ours = [np.bincount(y[f.valid], minlength=3) for f in planned(y, repeats=1)[2]]
    theirs = StratifiedKFold(5, shuffle=True, random_state=0).split(y, y)
    reference = [np.bincount(y[valid], minlength=3) for _, valid in theirs]
    assert np.ptp(ours, axis=0).max() <= np.ptp(reference, axis=0).max()


def test_seeds_and_repeats_give_fresh_folds():
    """Another seed, and another repeat, divides otherwise - shuffled rows and groups alike."""
    sizes = np.random.default_rng(1).permutation(np.arange(1, 31))
    for groups in (None, np.repeat(np.arange(30), sizes)):
        y = np.arange(sizes.sum()) % 2
        first, second = (planned(y, groups, repeats=2, seed=s)[2] for s in (0, 1))
        assert not np.array_equal(first[0].valid, second[0].valid)
        assert not np.array_equal(first[0].valid, first[5].valid)


@pytest.mark.parametrize("rare", [1, 2, 4])
def test_rare_classes_never_fail_and_never_warn(rare):
    """A class with fewer rows than folds is dealt like any other, and the reason says so."""
    y = np.repeat([0, 1], [100 - rare, rare])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, split, made = planned(y, repeats=1)
    assert sum(1 for f in made if (y[f.valid] == 1).any()) == rare
    assert "'c1' has fewer rows than folds" in split.reason


@given(st.integers(0, 10**6), st.integers(2, 25), st.booleans())
@settings(max_examples=60, deadline=None)
def test_groups_are_never_parted(seed, count, classifies):
    """No group is on both sides, every fold has rows, few groups mean fewer folds."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(np.arange(count), rng.integers(1, 9, count))
    groups = rng.permutation(groups).astype(str)
    y = rng.integers(0, 2, len(groups)) if classifies else rng.normal(size=len(groups))
    if classifies:
        y[:2] = [0, 1] if len(y) > 1 else y[:2]
    _, split, made = planned(y, groups, seed=seed)
    assert split.folds == min(5, count)
    for fold in made:
        assert len(fold.valid) > 0
        assert not set(groups[fold.train]) & set(groups[fold.valid])


def test_grouped_folds_are_about_as_even_as_scikit_learns():
    """Class shares over folds spread no more than those of StratifiedGroupKFold, nearly."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(120), rng.integers(1, 20, 120))
    y = (rng.random(len(groups)) < rng.random(120)[groups] * 0.6).astype(int)
    ours = [(len(f.valid), y[f.valid].sum()) for f in planned(y, groups, repeats=1)[2]]
    split = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(y, y, groups)
    theirs = [(len(valid), y[valid].sum()) for _, valid in split]
    assert np.ptp(ours, axis=0)[1] <= np.ptp(theirs, axis=0)[1] + 3
    assert np.ptp(ours, axis=0)[0] <= 0.1 * len(y) / 5


def test_many_groups_are_dealt_quickly():
    """A hundred thousand groups take seconds at most, evenly."""
    groups = np.arange(200_000) // 2
    y = np.random.default_rng(0).integers(0, 2, 200_000)
    _, _, made = planned(y, groups, folds=5, repeats=1)
    assert max(abs(len(f.valid) - 40_000) for f in made) < 50


def test_rows_without_a_group_are_groups_of_their_own():
    """Missing group values do not glue unrelated rows together."""
    groups = np.array(["a"] * 10 + [None] * 40, dtype=object)
    _, split, made = planned(np.arange(50) % 2, groups)
    assert split.folds == 5
    assert max(len(f.valid) for f in made) <= 12


@given(st.integers(0, 10**6), st.integers(10, 80), st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_time_never_runs_backwards(seed, n, k):
    """Training rows are earlier than validation rows, equal times are never parted."""
    rng = np.random.default_rng(seed)
    time = rng.integers(0, n // 2 + 6, n)
    time[: k + 2] = np.arange(k + 2)
    made = planned(rng.normal(size=n), None, time, folds=k, seed=seed)[2]
    assert len(made) == k
    for fold in made:
        assert time[fold.train].max() < time[fold.valid].min()
    for before, after in pairwise(made):
        assert time[before.valid].max() < time[after.valid].min()
    assert max(time[f.valid].max() for f in made) == time.max()


def test_another_seed_shifts_the_cuts_of_time():
    """Time is not shuffled, so a fresh seed moves the cuts; the reason says it."""
    y, time = np.arange(600) % 2, pd.date_range("2024-01-01", periods=600).to_numpy()
    _, split, first = planned(y, None, time, seed=0)
    second = planned(y, None, time, seed=1)[2]
    assert all(a.valid[0] != b.valid[0] for a, b in zip(first, second, strict=True))
    assert "shifts the cuts" in split.reason
    assert split.repeats == 1
    twice = planned(y, None, time, repeats=2)[2]
    assert twice[0].valid[0] != twice[5].valid[0]


def test_time_and_groups():
    """With both, training rows of a validated group are left out; none left is an error."""
    time = np.arange(300)
    groups = time // 30
    _, _, made = planned(np.arange(300) % 2, groups, time)
    for fold in made:
        assert time[fold.train].max() < time[fold.valid].min()
        assert not set(groups[fold.train]) & set(groups[fold.valid])
    with pytest.raises(DataError, match="both earlier and of other groups"):
        planned(np.arange(300) % 2, time % 4, time)


def test_few_times_mean_fewer_folds():
    """Three different times allow two forward folds."""
    _, split, made = planned(np.arange(90) % 2, None, np.arange(90) // 30)
    assert split.folds == len(made) == 2


@pytest.mark.parametrize("time", [None, np.arange(1000)])
@pytest.mark.parametrize("groups", [None, np.arange(1000) // 7])
def test_holdouts_hold_out_a_fifth(time, groups):
    """One fold validates about 20 %, by the rules of groups and time."""
    _, split, made = planned(np.arange(1000) % 2, groups, time, folds=1)
    assert len(made) == 1
    assert 130 <= len(made[0].valid) <= 270
    assert "as asked" in split.reason


def test_holdouts_repeat_and_keep_a_single_row_for_training():
    """Repeats draw other rows; the only row of a class is trained on, not validated."""
    y = np.repeat([0, 1], [99, 1])
    for seed in range(20):
        made = planned(y, folds=1, repeats=2, seed=seed)[2]
        assert not np.array_equal(made[0].valid, made[1].valid)
        assert all(99 in fold.train for fold in made)


REFUSED = [
    ({"folds": 0}, None, "folds must be a positive whole number or auto.*got 0"),
    ({"folds": True}, None, "folds must be a positive whole number"),
    ({"repeats": 2.5}, None, "repeats must be a positive whole number"),
    ({"folds": 31}, None, "at most 30.*30 rows.*got 31"),
    ({"folds": 7}, np.arange(30) // 5, "at most 6.*6 groups"),
    ({"folds": 6, "repeats": 2}, np.arange(30) // 5, "one way only"),
]


@pytest.mark.parametrize(("options", "groups", "message"), REFUSED)
def test_requests_that_cannot_be_honoured(options, groups, message):
    """A refusal says the rule, the value and the way out."""
    with pytest.raises(SpecError, match=message):
        planned(np.arange(30) % 2, groups, **options)


def test_all_bad_requests_come_at_once():
    """Folds and repeats are both reported."""
    with pytest.raises(SpecError, match=r"(?s)folds must.*repeats must"):
        planned(np.arange(30) % 2, folds=-1, repeats=-1)


def test_rows_that_cannot_be_divided():
    """One row, one group, one time: refused with the way out."""
    with pytest.raises(DataError, match="at least two rows"):
        planned(np.array([0]))
    with pytest.raises(DataError, match=r"at least two groups.*another group column"):
        planned(np.arange(9) % 2, np.zeros(9))
    with pytest.raises(DataError, match=r"at least two different times.*another time column"):
        planned(np.arange(9) % 2, None, np.zeros(9))


def test_a_plan_for_other_rows_is_refused():
    """Folds of a plan that these rows cannot fill are an error, not empty folds."""
    with pytest.raises(DataError, match=r"9 folds need more rows.*plan the split"):
        folds(Split(SplitKind.KFOLD, 9), rows_of(np.arange(5.0)))


def test_tiny_data_still_get_folds():
    """Four rows are divided into four folds."""
    _, split, made = planned(np.array([0, 1, 0, 1]))
    assert (split.folds, split.repeats, len(made)) == (4, 1, 4)


@given(st.integers(0, 10**6), st.integers(2, 120), st.sampled_from(["", "g", "t", "gt"]))
@settings(max_examples=60, deadline=None)
def test_carving_respects_the_rules(seed, n, kind):
    """Both parts are non-empty, disjoint and complete; groups, time and classes are respected."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    groups = rng.integers(0, 15, n) if "g" in kind else None
    time = rng.integers(0, 40, n) if "t" in kind else None
    index = rng.permutation(n)[: max(2, n // 2)]
    rows = rows_of(y, groups, time)
    for classifies in (True, False):
        fit, stop = carve_stop(rows, index, classifies=classifies, seed=seed)
        assert sorted(np.concatenate([fit, stop])) == sorted(index)
        assert min(len(fit), len(stop)) > 0
    # classes that would vanish from training stay in it, so the strict rules hold without them
    if time is not None and len(set(time[index])) > 1:
        assert time[fit].max() < time[stop].min()
    elif groups is not None and time is None and len(set(groups[index])) > 1:
        assert not set(groups[fit]) & set(groups[stop])


def test_carving_takes_the_latest_whole_groups_or_a_stratified_tenth():
    """Share, seed and kind of rows decide what is set aside."""
    y = np.arange(1000) % 2
    index = np.arange(1000)
    fit, stop = carve_stop(rows_of(y), index, classifies=True)
    assert len(stop) == 100
    assert y[stop].mean() == 0.5
    assert len(carve_stop(rows_of(y), index, classifies=True, share=0.25)[1]) == 250
    other = carve_stop(rows_of(y), index, classifies=True, seed=1)[1]
    assert not np.array_equal(stop, other)
    fit, stop = carve_stop(rows_of(y, None, index[::-1]), index, classifies=False)
    assert stop.tolist() == list(range(100))
    fit, stop = carve_stop(rows_of(y, index // 50), index, classifies=True)
    assert len(stop) == 100
    assert not set(fit // 50) & set(stop // 50)


def test_carving_never_takes_the_only_row_of_a_class():
    """Otherwise the model could not learn that the class exists."""
    y = np.repeat([0, 1], [49, 1])
    for seed in range(30):
        fit, _ = carve_stop(rows_of(y), np.arange(50), classifies=True, seed=seed)
        assert 49 in fit


def test_carving_one_group_or_time_falls_back_to_rows():
    """A single group still leaves something to stop by."""
    for groups, time in ((np.zeros(50), None), (None, np.zeros(50))):
        fit, stop = carve_stop(
            rows_of(np.arange(50) % 2, groups, time), np.arange(50), classifies=True
        )
        assert len(fit) == 45
        assert len(stop) == 5


def test_carving_needs_two_rows():
    """One training row cannot be shared."""
    with pytest.raises(DataError, match="at least two training rows"):
        carve_stop(rows_of(np.zeros(5)), np.array([3]), classifies=False)


@pytest.mark.parametrize(("n", "k"), [(300, 3), (2000, 3), (2001, 1), (6000, 1)])
def test_a_pretrained_model_is_validated_seldom(n, k):
    """A full tuning is not repeated; what is asked for holds all the same."""
    y = np.arange(n) % 2
    data = replace(dataset_of(y), pretrained=Pretrained("/model", "0" * 64))
    split = plan(data, rows_of(y))
    assert (split.folds, split.repeats) == (k, 1)
    assert "costs too much to be repeated" in split.reason
    asked = plan(data, rows_of(y), folds=4, repeats=2)
    assert (asked.folds, asked.repeats) == (4, 2)
    assert "costs too much" not in asked.reason
