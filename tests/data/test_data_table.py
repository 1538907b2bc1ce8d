"""Typed rows: the same cells whatever file they came from, and no silent misreading."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attain.core.errors import DataError
from attain.data.hashing import occurrence, row_hash
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.table import to_rows

N = 60
FRAME = load_frame(
    {
        "num": [float(i) for i in range(N)],
        "text_num": [f"{i}" for i in range(N - 2)] + ["NA", "oops"],
        "flag": ["yes", "no"] * (N // 2),
        "day": [f"{1 + i % 28:02d}/11/2024" for i in range(N)],
        "word": ["a", "b", None] * (N // 3),
        "code": [1, "x"] * (N // 2),
        "y": ["no", "yes"] * (N // 2),
    }
)
DATASET = describe(FRAME, target="y")


def test_types_of_rows():
    """Numbers and truth values are floats, dates are dates, words stay words."""
    rows = to_rows(FRAME, DATASET)
    assert [rows.X[c].dtype.kind for c in ("num", "text_num", "flag", "day")] == [
        "f",
        "f",
        "f",
        "M",
    ]
    assert rows.X["flag"].tolist()[:2] == [1.0, 0.0]
    assert np.isnan(rows.X["text_num"].iloc[-1])
    assert rows.X["day"].iloc[1] == pd.Timestamp("2024-11-02")
    assert rows.X["word"].isna().sum() == N // 3
    assert set(rows.X["code"]) == {"1", "x"}
    assert rows.y.tolist()[:2] == [0, 1]
    assert rows.y.dtype == np.int64


def test_one_row_is_read_as_the_column_was():
    """An ambiguous date in a single new row keeps the reading that was inferred from all rows."""
    one = load_frame(
        {
            "num": [1],
            "text_num": [2],
            "flag": [True],
            "day": ["03/04/2024"],
            "word": ["new"],
            "code": [1.0],
        }
    )
    rows = to_rows(one, DATASET, with_target=False)
    assert rows.X["day"].iloc[0] == pd.Timestamp("2024-04-03")
    assert rows.X["code"].iloc[0] == "1"
    assert rows.X["word"].iloc[0] == "new"
    assert rows.y is None


def test_other_columns_are_left_out_and_order_does_not_matter():
    """Extra columns and another order of columns change nothing."""
    other = FRAME[FRAME.columns[::-1]].assign(extra=1)
    pd.testing.assert_frame_equal(to_rows(other, DATASET).X, to_rows(FRAME, DATASET).X)


def test_infinite_numbers_count_as_missing():
    """No learner is handed an infinity."""
    assert np.isnan(to_rows(FRAME.assign(num=np.inf), DATASET).X["num"]).all()


def test_index_of_the_frame_does_not_matter():
    """A frame with any index gives rows in its order."""
    shuffled = FRAME.sample(frac=1, random_state=1)
    rows = to_rows(shuffled, DATASET)
    assert rows.X["num"].tolist() == shuffled["num"].tolist()
    assert rows.X["word"].fillna("-").tolist() == shuffled["word"].fillna("-").tolist()
    assert rows.X.index.tolist() == list(range(N))


def test_everything_missing_is_named_at_once():
    """All absent columns are named, with the nearest name that is there."""
    with pytest.raises(DataError, match=r"(?s)'num'.*'flag'.*did you mean 'flags'"):
        to_rows(FRAME.drop(columns="num").rename(columns={"flag": "flags"}), DATASET)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("num", "abc", r"column 'num': cells must be numbers .got 'abc' in row 1"),
        ("flag", "maybe", r"column 'flag': cells must be yes/no.*'maybe' in row 1"),
        ("flag", 7, r"column 'flag': cells must be yes/no"),
        ("day", "2024-13-40", r"column 'day': cells must be dates written as %d/%m/%Y"),
        ("day", 5, r"column 'day': cells must be dates"),
        ("y", "perhaps", r"every class must be known.*'perhaps'.*known are 'no', 'yes'"),
        ("y", None, r"every row needs a target .got none in 1 rows: 1"),
    ],
)
def test_cells_that_cannot_be_read_are_named(column, cell, message):
    """An unreadable cell names its column, value and row; nothing becomes missing silently."""
    frame = FRAME.astype({column: object})
    frame.loc[1, column] = cell
    with pytest.raises(DataError, match=message):
        to_rows(frame, DATASET)


def test_dirty_columns_stay_readable():
    """A column that held other text when it was described may hold it again, as missing."""
    rows = to_rows(FRAME.iloc[[-1]], DATASET, with_target=False)
    assert np.isnan(rows.X["text_num"].iloc[0])


def test_groups_and_time():
    """Groups are text, a row without group is its own; a row without time is refused."""
    frame = load_frame(
        {
            "g": [1, 1, None, None],
            "t": [1.0, 2.0, 3.0, 4.0],
            "x": [1.0, 2, 3, 5],
            "y": [1.0, 2, 3, 9.5],
        }
    )
    dataset = describe(frame, target="y", groups="g", time="t")
    rows = to_rows(frame, dataset)
    assert rows.groups[0] == rows.groups[1] == "1"
    assert len(set(rows.groups)) == 3
    assert rows.time.tolist() == [1, 2, 3, 4]
    assert to_rows(frame[["x"]], dataset, with_target=False).groups is None
    with pytest.raises(DataError, match="every row needs a time"):
        to_rows(frame.assign(t=[1.0, np.nan, 2, 3]), dataset)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
            st.one_of(st.none(), st.text(max_size=5)),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_equal_rows_and_only_they_have_equal_hashes(cells):
    """The row hash agrees with comparing rows cell by cell, for any text and number."""
    frame = pd.DataFrame({"a": [c[0] for c in cells], "b": [c[1] for c in cells]})
    frame["a"] = frame["a"].astype("float64")
    keys = [(None if c[0] is None else c[0] + 0.0, c[1]) for c in cells]
    hashes = row_hash(frame)
    for i, first in enumerate(keys):
        for j, second in enumerate(keys):
            assert (hashes[i] == hashes[j]) == (first == second)


def test_hash_does_not_depend_on_width_order_or_index():
    """Integers and floats, column order and index leave the hash alone; names do not."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    other = frame[["b", "a"]].astype({"a": "float64"}).set_axis([7, 8])
    assert row_hash(frame).tolist() == row_hash(other).tolist()
    assert row_hash(frame).tolist() != row_hash(frame.rename(columns={"a": "c"})).tolist()


def test_occurrence_counts_from_zero():
    """Equal keys are numbered in the order they come."""
    assert occurrence(np.array([5, 3, 5, 5, 3], dtype="uint64")).tolist() == [0, 0, 1, 2, 1]
    assert occurrence(np.array([], dtype="uint64")).tolist() == []
