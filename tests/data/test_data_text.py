"""Which columns are running text, when asked for and when inferred, and what that makes of data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attain.core.codec import decode, encode
from attain.core.errors import DataError
from attain.core.types import ColumnKind, ColumnRole, Dataset, Pretrained
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.table import to_rows

RNG = np.random.default_rng(0)
WORDS = np.array(list("ABCDEFGHIJKLMNOP"))
SHARED = Path(__file__).parents[3] / "shared" / "data"
MODEL = Pretrained("/model", "0" * 64)


def texts(n: int, words: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [f"{' '.join(rng.choice(WORDS, words))} {i}" for i in range(n)]


def described(frame: pd.DataFrame, **how: object) -> Dataset:
    return describe(load_frame(frame), target="y", **how)


def kind(column: list[str], **more: object) -> ColumnKind:
    frame = pd.DataFrame({"c": column, "y": np.arange(len(column)) % 2, **more})
    return described(frame).columns[0].kind


@pytest.mark.parametrize(
    "file", ["sms-spam/sms_spam.csv", "sst2/sst2_dev.tsv", "banking77/test.csv"]
)
def test_real_short_texts_are_texts(file):
    """Messages, sentences and questions, as they come, without being told."""
    path = SHARED / file
    if not path.exists():
        pytest.skip("the shared data are not here")
    frame = load_frame(path)
    data = describe(frame, target=next(c for c in frame.columns if c != "text"))
    assert [(c.name, c.kind) for c in data.features] == [("text", ColumnKind.TEXT)]
    assert data.modality == "text"


@pytest.mark.parametrize(
    ("column", "wanted"),
    [
        (texts(200, 3), ColumnKind.TEXT),
        (sorted(texts(2000, 5), key=len), ColumnKind.TEXT),
        ([t for t in texts(60, 9) for _ in range(4)], ColumnKind.TEXT),
        ([t for t in texts(60, 2) for _ in range(4)], ColumnKind.CATEGORICAL),
        ([t for t in texts(10, 9) for _ in range(30)], ColumnKind.CATEGORICAL),
        ([f"我的卡被拒绝了两次{i}" for i in range(100)], ColumnKind.TEXT),
        ([f"SKU{i}" for i in range(100)], ColumnKind.CATEGORICAL),
    ],
)
def test_texts_are_told_from_categories(column, wanted):
    """By length and repetition: sentences may repeat, as the first of a pair does; scripts without
    spaces count by characters; codes are no texts."""
    assert kind(column) is wanted


def test_words_are_counted_all_over_the_column():
    """A file that is sorted by length is not judged by its shortest texts."""
    assert kind([*(f"ok{i}" for i in range(900)), *texts(1500, 12)]) is ColumnKind.TEXT


def test_named_columns_are_texts_whatever_they_hold():
    """Numbers, codes and near-unique cells; counts are those of texts."""
    frame = pd.DataFrame(
        {"a": np.arange(50) / 2, "b": [f"k{i}" for i in range(49)] + [None], "y": [0, 1] * 25}
    )
    data = described(frame, text=["b", "a"])
    assert [(c.name, c.kind, c.role) for c in data.columns[:2]] == [
        ("b", ColumnKind.TEXT, ColumnRole.FEATURE),
        ("a", ColumnKind.TEXT, ColumnRole.FEATURE),
    ]
    assert data.columns[0].reason == "read as text, as asked"
    assert (data.columns[0].missing, data.columns[0].distinct) == (1, 49)
    assert data.modality == "text"
    X = to_rows(load_frame(frame), data).X
    assert list(X.columns) == ["b", "a"]
    assert X["a"].iloc[3] == "1.5"


def test_a_number_beside_a_text_makes_a_table():
    """Only texts alone are of modality text."""
    frame = pd.DataFrame({"t": texts(80, 5), "x": RNG.normal(size=80), "y": [0, 1] * 40})
    assert described(frame).modality == "table"
    assert described(frame, ignore=["x"]).modality == "text"
    assert described(frame[["x", "y"]]).modality == "table"


def test_the_model_is_part_of_the_data():
    """It survives the ledger's form."""
    frame = pd.DataFrame({"t": texts(80, 5), "y": [0, 1] * 40})
    data = described(frame, pretrained=MODEL)
    assert data.pretrained == MODEL
    assert decode(Dataset, encode(data)) == data


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ({"text": ["tt"]}, "must exist"),
        ({"text": ["y"]}, "one role"),
        ({"text": ["t"], "groups": "t"}, "one role"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_as_text(how, match):
    """Unknown columns, and those that have another role."""
    frame = pd.DataFrame({"t": texts(80, 5), "y": [0, 1] * 40})
    with pytest.raises(DataError, match=match):
        described(frame, **how)
