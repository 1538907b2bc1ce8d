"""What a column is, what is predicted, and what is suggested, each with a reason."""

from __future__ import annotations

import uuid

import numpy as np
import pandas as pd
import pytest

from attain.core.codec import decode, encode
from attain.core.errors import DataError
from attain.core.types import ColumnKind, ColumnRole, Dataset, Task
from attain.data.infer import describe, suggest_groups, suggest_time
from attain.data.load import load_frame

N = 120
RNG = np.random.default_rng(3)
DAYS = pd.date_range("2023-11-20", periods=N)


def _described(column, name="c", **more):
    frame = load_frame(pd.DataFrame({name: column, "y": RNG.normal(size=len(column)), **more}))
    return next(c for c in describe(frame, target="y").columns if c.name == name)


KINDS = {
    "floats": (RNG.normal(size=N), ColumnKind.NUMERIC, ColumnRole.FEATURE),
    "sorted floats": (np.sort(RNG.normal(size=N)), ColumnKind.NUMERIC, ColumnRole.FEATURE),
    "few whole numbers": (np.arange(N) % 4, ColumnKind.NUMERIC, ColumnRole.FEATURE),
    "years in order": (np.arange(1900, 1900 + N), ColumnKind.NUMERIC, ColumnRole.FEATURE),
    "shuffled ranks": (RNG.permutation(N), ColumnKind.NUMERIC, ColumnRole.FEATURE),
    "row counter": (np.arange(1, N + 1), ColumnKind.NUMERIC, ColumnRole.IGNORED),
    "0 and 1": (np.arange(N) % 2, ColumnKind.BOOLEAN, ColumnRole.FEATURE),
    "yes and no": (["Yes", "no "] * (N // 2), ColumnKind.BOOLEAN, ColumnRole.FEATURE),
    "yes and off": (["yes", "off"] * (N // 2), ColumnKind.CATEGORICAL, ColumnRole.FEATURE),
    "numbers as text": ([f" {i * 0.5}" for i in range(N)], ColumnKind.NUMERIC, ColumnRole.FEATURE),
    "mostly numbers": (["x", *map(str, range(N - 1))], ColumnKind.NUMERIC, ColumnRole.FEATURE),
    "half numbers": (["1", "2", "x", "z"] * (N // 4), ColumnKind.CATEGORICAL, ColumnRole.FEATURE),
    "ISO dates": (DAYS.strftime("%Y-%m-%d"), ColumnKind.DATETIME, ColumnRole.FEATURE),
    "ISO moments": (DAYS.strftime("%Y-%m-%dT%H:%M:%SZ"), ColumnKind.DATETIME, ColumnRole.FEATURE),
    "US dates": (DAYS.strftime("%m/%d/%Y"), ColumnKind.DATETIME, ColumnRole.FEATURE),
    "British dates": (DAYS.strftime("%d/%m/%Y"), ColumnKind.DATETIME, ColumnRole.FEATURE),
    "German dates": (DAYS.strftime("%d.%m.%Y %H:%M"), ColumnKind.DATETIME, ColumnRole.FEATURE),
    "named months": (DAYS.strftime("%d %b %Y"), ColumnKind.DATETIME, ColumnRole.FEATURE),
    "dates as numbers": (
        DAYS.strftime("%Y%m%d").astype(int)[::-1],
        ColumnKind.NUMERIC,
        ColumnRole.FEATURE,
    ),
    "codes": ([f"A{i % 7}" for i in range(N)], ColumnKind.CATEGORICAL, ColumnRole.FEATURE),
    "product codes": (
        [f"A-{i % 7}1-20" for i in range(N)],
        ColumnKind.CATEGORICAL,
        ColumnRole.FEATURE,
    ),
    "tickets": ([f"T{i % 90}" for i in range(N)], ColumnKind.CATEGORICAL, ColumnRole.FEATURE),
    "hashes": ([uuid.uuid4().hex for _ in range(N)], ColumnKind.CATEGORICAL, ColumnRole.IGNORED),
    "names": ([f"Mr. John {i} Smith" for i in range(N)], ColumnKind.TEXT, ColumnRole.FEATURE),
    "one value": (["same"] * N, ColumnKind.CATEGORICAL, ColumnRole.IGNORED),
    "one value or none": (["same", None] * (N // 2), ColumnKind.CATEGORICAL, ColumnRole.FEATURE),
    "nothing": ([None] * N, ColumnKind.NUMERIC, ColumnRole.IGNORED),
}


@pytest.mark.parametrize("case", KINDS)
def test_kind_and_role(case):
    """Each kind of content is recognised, and only what cannot help is left out."""
    values, kind, role = KINDS[case]
    column = _described(list(values))
    assert (column.kind, column.role) == (kind, role)
    assert column.reason


@pytest.mark.parametrize("name", ["id", "PassengerId", "user_id", "Unnamed: 0", "row#", "order_no"])
def test_whole_numbers_named_like_identifiers_are_left_out(name):
    """A whole number of its own in every row is an identifier if its name says so."""
    assert _described(RNG.permutation(N) * 7 + 1000, name=name).role is ColumnRole.IGNORED


@pytest.mark.parametrize("name", ["width", "avoid", "humid", "price"])
def test_names_that_merely_end_in_id_are_features(name):
    """Identifier words are found as words, not as letters."""
    assert _described(RNG.permutation(N) * 7 + 1000, name=name).role is ColumnRole.FEATURE


def test_repeating_store_numbers_are_features():
    """An id-like name does not remove a column whose values repeat."""
    assert _described(np.arange(N) % 10, name="store_id").role is ColumnRole.FEATURE


def test_ambiguous_dates_say_so_and_remember_their_reading():
    """Day and month that could be exchanged are reported, and the format is kept."""
    column = _described([f"0{1 + i % 9}/0{1 + i % 7}/2024" for i in range(N)])
    assert column.format == "%m/%d/%Y"
    assert "%d/%m/%Y would fit too" in column.reason


def test_missing_and_distinct_are_counted():
    """Counts are those of the cells as read."""
    column = _described([1.0, np.nan, 2.0, 2.0])
    assert (column.missing, column.distinct) == (1, 2)


TARGETS = {
    "two words": (["no", "yes"] * 60, Task.BINARY, ("no", "yes")),
    "two numbers": ([0, 1] * 60, Task.BINARY, ("0", "1")),
    "booleans": ([True, False] * 60, Task.BINARY, ("False", "True")),
    "floats that are whole": ([3.0, 10.0, 9.0] * 40, Task.MULTICLASS, ("3", "9", "10")),
    "words": (["b", "a", "c"] * 40, Task.MULTICLASS, ("a", "b", "c")),
    "wine quality": (list(range(3, 10)) * 18, Task.MULTICLASS, tuple("3456789")),
    "numbers as text": (["10", "9", "2"] * 40, Task.MULTICLASS, ("2", "9", "10")),
    "amounts": (RNG.normal(size=N), Task.REGRESSION, ()),
    "halves": ([0.5, 1.0, 1.5] * 40, Task.REGRESSION, ()),
    "counts": (np.arange(N) % 60, Task.REGRESSION, ()),
    "fifteen in few rows": (np.arange(N) % 15, Task.REGRESSION, ()),
    "one value": (["only"] * N, Task.BINARY, ("only",)),
}


@pytest.mark.parametrize("case", TARGETS)
def test_task_and_classes(case):
    """The task follows from the target's values; classes are in numeric order where they can be."""
    values, task, classes = TARGETS[case]
    frame = load_frame(pd.DataFrame({"x": RNG.normal(size=len(values)), "y": values}))
    found = describe(frame, target="y")
    assert (found.task, found.classes) == (task, classes)
    assert sum(found.class_counts) == (len(values) if classes else 0)
    assert found.task_reason


def test_whole_numbers_say_how_to_override():
    """A small set of whole numbers says that it could be amounts, and task: overrides it."""
    frame = load_frame({"x": list(range(60)), "y": [3, 4, 5] * 20})
    assert "task: regression" in describe(frame, target="y").task_reason
    assert describe(frame, target="y", task="regression").task is Task.REGRESSION


def test_rows_without_target_are_counted_apart():
    """Rows without a target are no rows of the dataset; the target column says how many."""
    frame = load_frame({"x": list(range(40)), "y": ["a", "b", None, "a"] * 10})
    found = describe(frame, target="y")
    assert (found.rows, found.class_counts) == (30, (20, 10))
    assert next(c for c in found.columns if c.name == "y").missing == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "Why"}, r"target: the column must exist .got 'Why'. — use one of: b, d"),
        ({"target": "y", "ignore": ["zz"]}, "ignore: the column must exist"),
        ({"target": "y", "groups": "y"}, "one role only .got target and groups"),
        ({"target": "y", "ignore": ["y"]}, "one role only .got target and ignore"),
        ({"target": "y", "time": "w"}, "time column must hold dates or numbers"),
        ({"target": "d"}, "dates.*predict a duration"),
        ({"target": "e"}, "only empty cells"),
        ({"target": "u"}, "class target needs repeated values.* — name another target$"),
        ({"target": "t"}, "repeated values.*, or, to have such texts written, a language model"),
        ({"target": "w", "task": "regression"}, "regression target must be numbers"),
        ({"target": "w", "task": "binary"}, "binary target has two classes .got 3"),
        ({"target": "b", "task": "multiclass"}, "three classes or more"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    """Wrong columns, roles and tasks are refused with the way out."""
    frame = load_frame(
        pd.DataFrame(
            {
                "y": range(N),
                "w": ["a", "b", "c"] * 40,
                "b": ["a", "b"] * 60,
                "d": DAYS,
                "e": [None] * N,
                "u": [uuid.uuid4().hex for _ in range(N)],
                "t": [f"It is {i} degrees, and a fine day for a walk." for i in range(N)],
            }
        )
    )
    with pytest.raises(DataError, match=message):
        describe(frame, **arguments)


def test_all_wrong_columns_at_once():
    """Several wrong names are reported together."""
    frame = load_frame({"x": [1, 2], "y": [1, 2]})
    with pytest.raises(
        DataError, match=r"(?s)target: .*'a'.*groups: .*'b'.*ignore: .*'c'"
    ) as caught:
        describe(frame, target="a", groups="b", ignore=["c"])
    assert len(caught.value.problems) == 3


def test_roles_and_round_trip():
    """Stated roles are kept, helpers are no features, and the record survives JSON."""
    frame = load_frame(
        {
            "g": [1, 2] * 20,
            "t": list(DAYS[:40]),
            "x": RNG.normal(size=40),
            "i": ["a"] * 40,
            "y": RNG.normal(size=40),
        }
    )
    found = describe(frame, target="y", groups="g", time="t", ignore=["i"], address="here")
    assert [c.name for c in found.features] == ["x"]
    assert [c.role.value for c in found.columns] == [
        "group",
        "time",
        "feature",
        "ignored",
        "target",
    ]
    assert decode(Dataset, encode(found)) == found


def test_fingerprint_follows_content_not_order():
    """The fingerprint changes with a cell, not with the order of rows or the width of integers."""
    frame = load_frame({"x": [1, 2, 3, 4] * 10, "w": ["a", "b"] * 20, "y": [0.5, 1, 2, 3] * 10})
    same = frame.iloc[::-1].reset_index(drop=True).astype({"x": "float64"})
    other = frame.copy()
    other.loc[3, "x"] = 9
    prints = [describe(f, target="y").fingerprint for f in (frame, same, other)]
    assert prints[0] == prints[1] != prints[2]


GROUPS = {
    "subject#": True,
    "user_id": True,
    "PatientID": True,
    "customer": True,
    "device_id": True,
    "device": False,
    "user_type": False,
    "age_group": False,
    "households": False,
    "store": False,
    "id": False,
}


@pytest.mark.parametrize("name", GROUPS)
def test_groups_are_suggested_by_name_only_if_sure(name):
    """Only a column that is named like an entity and nothing else is suggested."""
    frame = load_frame({name: list(np.arange(N) // 6), "y": RNG.normal(size=N)})
    assert (suggest_groups(frame, "y")[0] == name) is GROUPS[name]


def test_groups_need_repeats():
    """A name is not enough: values must repeat, be whole, and be there in every row."""
    for values in (np.arange(N), RNG.normal(size=N), np.arange(N) % 3, [None, *range(N - 1)]):
        assert suggest_groups(load_frame({"user": list(values), "y": [1.0] * N}), "y")[0] is None


def test_time_is_suggested_for_sorted_dates_only():
    """Sorted dates are suggested; shuffled dates and sorted numbers are not."""
    frame = load_frame(
        {"n": list(range(N)), "day": list(DAYS.strftime("%Y-%m-%d")), "y": [1.0] * N}
    )
    name, why = suggest_time(frame, "y")
    assert name == "day"
    assert "2023-11-20" in why
    assert suggest_time(frame.sample(frac=1, random_state=0), "y")[0] is None
