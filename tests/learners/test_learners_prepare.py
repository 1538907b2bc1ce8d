"""The compact preparation against scikit-learn, and at its edges."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attain.core.errors import ArtifactError
from attain.core.types import Column, ColumnKind, Dataset, Rows, Task
from attain.learners._category import fit_categories, fit_target_means, target_columns
from attain.learners._columns import fit_dates, fit_text, gather_numbers
from attain.learners._numeric import fit_numeric
from attain.learners._prepare import Plan, fit_prepare, load_prepare
from attain.testing.learner_suite import synthetic

RNG = np.random.default_rng(0)
KINDS = ("keep", "standard", "robust", "quantile", "piecewise")


def test_standard_scaling_equals_scikit_learn():
    """Mean 0 and deviation 1 of the training rows, as StandardScaler."""
    from sklearn.preprocessing import StandardScaler

    train, new = RNG.normal(3, 7, (50, 4)), RNG.normal(0, 20, (9, 4))
    wanted = StandardScaler().fit(train).transform(new)
    assert fit_numeric("standard", train).transform(new) == pytest.approx(wanted)


def test_quantile_scaling_equals_scikit_learn():
    """Normal scores with ties and values out of range, as QuantileTransformer."""
    from sklearn.preprocessing import QuantileTransformer

    train = np.round(RNG.lognormal(size=(900, 3)), 1)
    new = np.concatenate([train[:20], [[-5, 0, 99]]])
    reference = QuantileTransformer(
        n_quantiles=30, output_distribution="normal", subsample=None
    ).fit(train)
    found = fit_numeric("quantile", train).transform(new)
    assert found == pytest.approx(reference.transform(new), abs=1e-6)


def test_robust_scaling_draws_outliers_in():
    """x / sqrt(1 + (x / 3)^2) of (x - median) / IQR: arXiv 2407.04491, section 3.1."""
    train = np.arange(101.0)[:, None]
    fitted = fit_numeric("robust", train)
    x = (90.0 - 50) / 50
    assert fitted.transform(np.array([[90.0]]))[0, 0] == pytest.approx(x / np.sqrt(1 + x * x / 9))
    assert fitted.transform(np.array([[1e9]]))[0, 0] == pytest.approx(3.0)


def test_robust_scaling_of_a_mostly_constant_column_uses_its_range():
    """An interquartile range of 0 does not divide by 0."""
    train = np.array([0.0] * 98 + [10.0, 20.0])[:, None]
    assert fit_numeric("robust", train).scale[0] == pytest.approx(1 / 10)


def test_piecewise_encoding_counts_passed_bins():
    """The sum over bins is the number of bins passed, with the fraction of the current one."""
    train = np.arange(81.0)[:, None]
    found = fit_numeric("piecewise", train).transform(np.array([[0.0], [25.0], [80.0], [500.0]]))
    assert found.sum(axis=1) == pytest.approx([0, 2.5, 8, 8])


def test_gaps_take_the_median_and_informative_ones_a_flag():
    """A column missing in one of 20 rows is filled; one missing in half gets a 0/1 column too."""
    raw = np.stack([np.arange(20.0), np.arange(20.0)], axis=1)
    raw[3, 0] = np.nan
    raw[::2, 1] = np.nan
    found = fit_numeric("standard", raw)
    assert found.flags.tolist() == [1]
    assert found.fill[0] == np.median(np.delete(raw[:, 0], 3))
    assert found.transform(raw)[:, 2].tolist() == np.isnan(raw[:, 1]).tolist()


def test_trees_keep_gaps_they_have_learnt_from_only():
    """A gap that first appears at prediction becomes the median; a known one stays."""
    raw = np.array([[1.0, 1.0], [2.0, np.nan], [6.0, 3.0]])
    found = fit_numeric("keep", raw).transform(np.array([[np.nan, np.nan]]))
    assert found[0, 0] == 2.0
    assert np.isnan(found[0, 1])


def test_columns_that_do_not_vary_cannot_act():
    """Constant and empty columns are dropped, whatever they hold at prediction."""
    raw = np.column_stack([np.full(5, 7.0), np.full(5, np.nan), np.arange(5.0)])
    for kind in KINDS:
        fitted = fit_numeric(kind, raw)
        assert fitted.used.tolist() == [2]
        strange = np.array([[9e9, 1.0, 2.0]])
        assert np.array_equal(
            fitted.transform(strange), fitted.transform(np.array([[7.0, np.nan, 2.0]]))
        )


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float64,
        (12, 3),
        elements=st.one_of(st.just(np.nan), st.floats(-1e30, 1e30, allow_nan=False)),
    ),
    st.sampled_from(KINDS[1:]),
)
def test_any_numbers_become_finite_ones(raw, kind):
    """No table of numbers and gaps gives NaN, infinity or a warning."""
    assert np.isfinite(fit_numeric(kind, raw).transform(raw)).all()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_spread_next_to_nothing_does_not_overflow(kind):
    """Values of ordinary size beside a quartile of 1e-306 stay finite, without a warning."""
    raw = np.array([[115.0], [2.6e-306], [0.0], [0.0], [0.0], [1.0]])
    assert np.isfinite(fit_numeric(kind, raw).transform(raw)).all()


def test_infinities_become_gaps_and_giants_are_clipped():
    """Single precision and squares stay finite."""
    X = pd.DataFrame({"a": [np.inf, 1e300, -1e300, 5.0]})
    found = gather_numbers(X, ["a"])[:, 0]
    assert np.isnan(found[0])
    assert found[1:].tolist() == [1e30, -1e30, 5.0]


def test_many_columns_are_gathered_like_few():
    """The faster way for wide frames gives the same matrix."""
    X = pd.DataFrame(RNG.normal(size=(4, 50)), columns=[f"c{i}" for i in range(50)])
    names = list(X.columns[::-1])
    assert np.array_equal(gather_numbers(X, names), X[names].to_numpy())
    assert np.array_equal(gather_numbers(X, names[:3]), X[names[:3]].to_numpy())


def test_labels_seen_once_count_as_unseen():
    """So a model learns what an unknown label means; gaps have a code of their own."""
    X = pd.DataFrame({"c": ["b", "a", "b", "a", "b", "once", None]})
    categories = fit_categories(X, ["c"])
    assert categories.labels == (("b", "a"),)
    new = pd.DataFrame({"c": ["a", "b", "once", "never", None, np.nan]})
    assert categories.codes(new)[:, 0].tolist() == [2, 1, 0, 0, 3, 3]


@pytest.mark.parametrize("kind", ["binary", "continuous"])
def test_target_means_equal_scikit_learn(kind):
    """Shrinkage as TargetEncoder(smooth="auto") for labels that occur at least twice."""
    from sklearn.preprocessing import TargetEncoder

    labels = np.array([f"l{i}" for i in RNG.integers(0, 8, 400)], dtype=object)
    y = RNG.integers(0, 2, 400) if kind == "binary" else RNG.normal(size=400)
    X = pd.DataFrame({"c": labels})
    categories = fit_categories(X, ["c"])
    targets = target_columns(y, 2 if kind == "binary" else 0)
    codes = categories.codes(X)
    fitted, _ = fit_target_means(codes, categories.sizes, np.array([0]), targets, 0)
    reference = TargetEncoder(target_type=kind).fit(labels[:, None], y)
    found = fitted.transform(codes)
    assert found[:, 0] == pytest.approx(reference.transform(labels[:, None])[:, 0])


def test_target_means_of_training_rows_do_not_leak():
    """A label for every two rows and a random target: cross-fitted values know nothing."""
    labels = np.repeat([f"l{i}" for i in range(300)], 2)
    y = RNG.normal(size=600)
    X = pd.DataFrame({"c": labels})
    categories = fit_categories(X, ["c"])
    codes, targets = categories.codes(X), target_columns(y, 0)
    full, crossed = fit_target_means(codes, categories.sizes, np.array([0]), targets, 0)
    naive = np.corrcoef(full.transform(codes)[:, 0], y)[0, 1]
    assert naive > 0.5
    assert abs(np.corrcoef(crossed[:, 0], y)[0, 1]) < 0.2


def test_target_columns_follow_the_task():
    """One column for values and two classes, one each for a few classes, none for many."""
    y = np.array([0, 1, 2])
    assert target_columns(y, 0).tolist() == [[0], [1], [2]]
    assert target_columns(y, 2).tolist() == [[0], [1], [0]]
    assert target_columns(y, 3).tolist() == np.eye(3).tolist()
    assert target_columns(y, 11).shape == (3, 0)


def test_dates_give_calendar_parts():
    """Year, month, day, weekday and hour as pandas says; elapsed days from the first."""
    when = pd.to_datetime(["2024-02-29 18:30", "1969-12-31 00:00", None])
    X = pd.DataFrame({"d": when})
    found = fit_dates(X, ["d"], cyclic=False).transform(X)
    for row, stamp in zip(found[:2], when[:2], strict=True):
        parts = [stamp.year, stamp.month - 1, stamp.day - 1, stamp.weekday()]
        assert row[1:].tolist() == [*parts, stamp.hour + stamp.minute / 60]
    assert found[0, 0] == (when[0] - when[1]) / pd.Timedelta(days=1)
    assert np.isnan(found[2]).all()


def test_dates_of_a_cycle_close():
    """With sine and cosine, Sunday is as near to Monday as Tuesday is."""
    X = pd.DataFrame({"d": pd.date_range("2024-01-01", periods=7)})  # Monday to Sunday
    week = fit_dates(X, ["d"], cyclic=True).transform(X)[:, 10:12]
    assert np.linalg.norm(week[0] - week[6]) == pytest.approx(np.linalg.norm(week[0] - week[1]))


def test_dates_with_a_time_zone_are_read_as_utc():
    """A column with a zone works like the same instants without one."""
    plain = pd.DataFrame({"d": pd.date_range("2024-01-01 07:00", periods=5, freq="7h")})
    zoned = pd.DataFrame({"d": plain["d"].dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")})
    fitted = fit_dates(plain, ["d"], cyclic=True)
    assert np.array_equal(fitted.transform(plain), fitted.transform(zoned))


def test_text_topics_equal_scikit_learns():
    """TF-IDF with logarithmic counts, projected: the same inner products as scikit-learn's."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = ["red", "blue", "car", "bike", "sky", "sea"]
    texts = [" ".join(RNG.choice(words, 8)) for _ in range(40)]
    X = pd.DataFrame({"t": texts})
    _, topics = fit_text(X, "t", topics=6, seed=0).transform(X)
    reference = TfidfVectorizer(sublinear_tf=True, token_pattern=r"\w+").fit_transform(texts)
    exact = (reference @ reference.T).toarray()
    u, s, _ = np.linalg.svd(exact)
    rank = topics.shape[1]
    assert topics @ topics.T == pytest.approx((u[:, :rank] * s[:rank]) @ u[:, :rank].T, abs=1e-6)


def test_texts_without_common_words_keep_their_sizes():
    """Nothing to learn topics from is not an error, nor is an empty or a missing text."""
    X = pd.DataFrame({"t": ["one", "two words", "", None]}, dtype=object)
    sizes, topics = fit_text(X, "t", topics=4, seed=0).transform(X)
    assert topics.shape == (4, 0)
    assert sizes == pytest.approx(np.log1p([[3, 1], [9, 2], [0, 0], [0, 0]]))


PLANS = (
    Plan(numeric="keep", codes=True, cyclic=False),
    Plan(numeric="keep", one_hot=2, cyclic=False),
    Plan(numeric="quantile", one_hot=2),
    Plan(numeric="piecewise", one_hot=50, topics=3),
)


@pytest.mark.parametrize("plan", PLANS)
def test_a_loaded_preparation_gives_the_same_bits(plan, tmp_path):
    """JSON and arrays hold everything; also for rows with unseen labels."""
    dataset, rows = synthetic(Task.MULTICLASS)
    prepared, _ = fit_prepare(plan, dataset, rows.take(np.arange(60)), seed=1)
    prepared.save(tmp_path)
    wanted = prepared.transform(rows.X)
    assert np.array_equal(load_prepare(tmp_path).transform(rows.X), wanted, equal_nan=True)


def test_a_plan_without_target_means_prepares_training_rows_like_others():
    """Only cross-fitting may make the training matrix differ."""
    dataset, rows = synthetic(Task.BINARY)
    plan = Plan(one_hot=100)
    prepared, matrix = fit_prepare(plan, dataset, rows, seed=0)
    assert np.array_equal(prepared.transform(rows.X), matrix)


@pytest.mark.parametrize("rows", [2, 120])
def test_positions_of_codes_are_right(rows):
    """The columns said to hold codes hold whole numbers or gaps, one for each category."""
    dataset, some = synthetic(Task.BINARY)
    prepared, matrix = fit_prepare(PLANS[0], dataset, some.take(np.arange(rows)), seed=0)
    coded = matrix[:, prepared.coded]
    assert coded.shape == (rows, 3)
    assert prepared.coded[-1] == matrix.shape[1] - 1
    assert np.all(np.isnan(coded) | (coded == np.round(coded)))


def test_a_damaged_preparation_is_refused(tmp_path):
    """A field that is gone is named instead of failing later."""
    dataset, rows = synthetic(Task.BINARY)
    prepared, _ = fit_prepare(Plan(), dataset, rows, seed=0)
    prepared.save(tmp_path)
    path = tmp_path / "prepare.json"
    path.write_text(path.read_text().replace('"kind"', '"kin"'))
    with pytest.raises(ArtifactError, match=r"numeric\.kind is missing from the model"):
        load_prepare(tmp_path)


def test_one_row_is_prepared_in_under_two_milliseconds():
    """Fourteen mixed columns, the best of five medians: users ask for 5 ms in all."""
    n = 300
    numbers = {f"n{i}": RNG.normal(size=n) for i in range(6)}
    labels = {f"c{i}": RNG.choice(list("abcdefgh"), n) for i in range(8)}
    X = pd.DataFrame({**numbers, **labels})
    columns = tuple(
        Column(name, ColumnKind.NUMERIC if name[0] == "n" else ColumnKind.CATEGORICAL)
        for name in X.columns
    )
    dataset = Dataset("", "", n, columns, "y", Task.REGRESSION)
    prepared, _ = fit_prepare(Plan(), dataset, Rows(X, RNG.normal(size=n)), seed=0)
    one = X.iloc[[0]]

    def median() -> float:
        times = []
        for _ in range(50):
            start = time.perf_counter()
            prepared.transform(one)
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    assert min(median() for _ in range(5)) < 0.002
