"""Reading tables: every format gives the same frame, every defect is named with its place."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as parquet
import pytest

from attain.core.errors import DataError
from attain.data.load import load_frame

ROWS = pd.DataFrame(
    {
        "n": [1, 2, 3],
        "x": [0.5, np.nan, 2.5],
        "word": ["a", "ß", None],
        "day": pd.to_datetime(["2024-01-01", "2024-02-29", "2024-03-01"]),
        "ok": [True, False, True],
    }
)


def _write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def _ipc(table, path, opener):
    with pa.OSFile(str(path), "wb") as file, opener(file, table.schema) as writer:
        writer.write_table(table)


WRITERS = {
    "t.csv": lambda p: ROWS.to_csv(p, index=False),
    "t.csv.gz": lambda p: ROWS.to_csv(p, index=False, compression="gzip"),
    "t.tsv": lambda p: ROWS.to_csv(p, index=False, sep="\t"),
    "semicolons.csv": lambda p: ROWS.to_csv(p, index=False, sep=";"),
    "pipes.txt": lambda p: ROWS.to_csv(p, index=False, sep="|"),
    "t.parquet": lambda p: parquet.write_table(pa.table(ROWS), p),
    "t.feather": lambda p: feather.write_feather(ROWS, p),
    "t.arrow": lambda p: _ipc(pa.table(ROWS), p, pa.ipc.new_file),
    "stream.arrow": lambda p: _ipc(pa.table(ROWS), p, pa.ipc.new_stream),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_frame(name, tmp_path):
    """What was written in any format comes back with the same values and kinds."""
    WRITERS[name](tmp_path / name)
    frame = load_frame(tmp_path / name)
    assert list(frame.columns) == list(ROWS.columns)
    for column in ROWS:
        assert frame[column].dropna().tolist() == ROWS[column].dropna().tolist()
        assert frame[column].isna().tolist() == ROWS[column].isna().tolist()
    assert [frame[c].dtype.kind for c in ("n", "x", "day", "ok")] == ["i", "f", "M", "b"]


@pytest.mark.parametrize("packed", [False, True])
def test_json_lines(tmp_path, packed):
    """JSON Lines are read, also packed; absent keys are missing cells."""
    text = b'{"a": 1, "b": "x"}\n\n{"a": 2.5}\n'
    path = tmp_path / ("t.jsonl.gz" if packed else "t.jsonl")
    path.write_bytes(gzip.compress(text) if packed else text)
    frame = load_frame(str(path))
    assert frame["a"].tolist() == [1.0, 2.5]
    assert frame["b"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    "make",
    [
        lambda: ROWS,
        lambda: pl.from_pandas(ROWS),
        lambda: pl.from_pandas(ROWS).lazy(),
        lambda: pa.table(ROWS),
        lambda: {name: list(ROWS[name]) for name in ROWS},
        lambda: ROWS.convert_dtypes(),
        lambda: ROWS.astype({"word": "category"}).set_axis([5, 5, 9]),
    ],
    ids=["pandas", "polars", "lazy", "arrow", "dict", "nullable", "category"],
)
def test_frames_in_memory_become_plain(make):
    """Every kind of frame becomes the same plain columns with a fresh index."""
    frame = load_frame(make())
    assert frame.index.tolist() == [0, 1, 2]
    assert [frame[c].dtype.kind for c in ("n", "x", "day", "ok")] == ["i", "f", "M", "b"]
    assert frame["word"].dropna().tolist() == ["a", "ß"]
    assert frame["x"].isna().sum() == 1


def test_the_users_frame_is_not_touched():
    """Loading makes new columns; the frame that was given keeps its own."""
    given = pd.DataFrame({1: [1, 2], "b": pd.Categorical(["x", "y"])})
    before = given.copy()
    load_frame(given)
    pd.testing.assert_frame_equal(given, before)


def test_objects_become_plain():
    """Mixed cells become text, decimals numbers, dates datetimes, zones UTC, durations seconds."""
    import datetime
    import decimal

    frame = load_frame(
        pd.DataFrame(
            {
                "mixed": pd.Series([1, "a", 2.0, None], dtype=object),
                "money": [decimal.Decimal("1.5"), None, decimal.Decimal("2"), None],
                "date": [datetime.date(2024, 1, 2), None, None, None],
                "zoned": pd.to_datetime(["2024-01-01T02:00+02:00"] * 4),
                "span": pd.to_timedelta([1, 2, 3, 4], unit="min"),
                "flag": pd.Series([True, None, False, True], dtype=object),
                "void": pd.Series([None] * 4, dtype=object),
                "vast": [10**30, None, 1, 2],
            }
        )
    )
    assert frame["mixed"].tolist()[:3] == ["1", "a", "2"]
    assert frame["money"].tolist()[0] == 1.5
    assert frame["date"].iloc[0] == pd.Timestamp("2024-01-02")
    assert frame["zoned"].iloc[0] == pd.Timestamp("2024-01-01")
    assert frame["span"].tolist() == [60, 120, 180, 240]
    assert frame["flag"].dropna().tolist() == [1.0, 0.0, 1.0]
    assert frame["void"].isna().all()
    assert frame["vast"].iloc[0] == 1e30


def test_missing_words_depend_on_the_company_they_keep(tmp_path):
    """NA is missing among numbers and words but not among country codes; None stays a category."""
    text = "num,word,country,kind\n1,a,DE,None\nNA,NA,NA,brick\n-,?,FR,None\n3,,US,brick\n"
    frame = load_frame(_write(tmp_path / "t.csv", text))
    assert frame["num"].tolist()[::3] == [1.0, 3.0]
    assert frame["num"].isna().sum() == 2
    assert frame["word"].isna().tolist() == [False, True, True, True]
    assert frame["country"].tolist() == ["DE", "NA", "FR", "US"]
    assert frame["kind"].tolist() == ["None", "brick", "None", "brick"]


def test_quotes_line_breaks_and_marks(tmp_path):
    """A byte-order mark, quoted delimiters and quoted line breaks are read as meant."""
    text = '\ufeffid,text\r\n1,"a,b"\r\n2,"two\nlines"\r\n'
    frame = load_frame(_write(tmp_path / "t.csv", text))
    assert list(frame.columns) == ["id", "text"]
    assert frame["text"].tolist() == ["a,b", "two\nlines"]


def test_decimal_commas_between_semicolons(tmp_path):
    """European numbers are numbers when fields are separated by semicolons."""
    frame = load_frame(_write(tmp_path / "t.csv", "a;b\n1,5;x\n2,25;y\n"))
    assert frame["a"].tolist() == [1.5, 2.25]


def test_unnamed_index_column_keeps_its_place(tmp_path):
    """The index that other tools write becomes a named column that can be left out later."""
    ROWS.to_csv(tmp_path / "t.csv")
    assert next(iter(load_frame(tmp_path / "t.csv").columns)) == "Unnamed: 0"


def test_clock_times_are_text(tmp_path):
    """A column of clock times does not become Python objects."""
    frame = load_frame(_write(tmp_path / "t.csv", "t,a\n12:30,1\n13:45,2\n"))
    assert frame["t"].tolist() == ["12:30:00", "13:45:00"]


BROKEN = {
    "ragged": ("t.csv", b"a,b\n1,2\n3\n4,5,6\n", r"line 3: every row must have 2 fields.*got 1 "),
    "prose": (
        "t.txt",
        b"First Citizen:\nBefore we go, hear.\n",
        r"first line 2: .*one field .*JSON Lines",
    ),
    "ragged after a line break": ("t.csv", b'a,b\n1,"x\ny"\n3\n', r"line 4: .*got 1 fields"),
    "header only": ("t.csv", b"a,b\n", "a table needs rows"),
    "empty": ("t.csv", b"", "an empty file"),
    "blank": ("t.csv", b" \n\n", "an empty file"),
    "latin-1": (
        "t.csv",
        "a,b\n1,é\n".encode("latin-1"),
        r"0xe9 at offset 6, line 2.*latin-1.*iconv",
    ),
    "cp1252": ("t.csv", "a,b\n1,€\n".encode("cp1252"), r"looks like cp1252"),
    "utf-16": ("t.csv", "a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    "repeated names": ("t.csv", b"a,b,a\n1,2,3\n", r"line 1: column names must be unique .got 'a'"),
    "binary": ("t.csv", b"a\x00\x01\x02", "binary"),
    "excel": ("t.csv", b"PK\x03\x04rest", "Excel"),
    "excel name": ("t.xlsx", b"PK\x03\x04rest", "save the sheet as CSV"),
    "parquet as csv": ("t.csv", b"PAR1abcPAR1", "name it .parquet"),
    "torn parquet": ("t.parquet", b"PAR1abc", "whole Parquet file"),
    "torn arrow": ("t.arrow", b"ARROW1\x00\x00abc", "whole Arrow file"),
    "no arrow": ("t.arrow", b"hello", "whole Arrow file"),
    "torn gzip": ("t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 99)[:-9], "whole gzip archive"),
    "no gzip": ("t.csv.gz", b"a,b\n1,2\n", "whole gzip archive"),
    "bad json": ("t.jsonl", b'{"a": 1}\n{"a": \n', r"line 2: each line must be a JSON object"),
    "half a character": ("t.jsonl", b'{"a": "\\ud83d"}\n', "text must be UTF-8"),
    "json list": ("t.jsonl", b'{"a": 1}\n[1]\n', r"line 2: each line must be a JSON object"),
    "nested json": ("t.jsonl", b'{"a": [1]}\n', "line 1: a cell must hold one value"),
    "json name": ("t.json", b"[]", "name it .jsonl"),
    "no name": ("table", b"a,b\n1,2\n", "must end in one of"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_named_for_what_they_are(case, tmp_path):
    """Each defect gives its rule, place and remedy, never a foreign traceback."""
    name, content, message = BROKEN[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_frame(tmp_path / name)


def test_many_bad_lines_are_counted(tmp_path):
    """Five bad lines are shown and the rest is counted."""
    text = "a,b\n" + "1\n" * 9
    with pytest.raises(DataError, match="9 rows are not, the first 5 are shown"):
        load_frame(_write(tmp_path / "t.csv", text))
    with pytest.raises(DataError, match="9 are not, the first 5 are shown"):
        load_frame(_write(tmp_path / "t.jsonl", "no\n" * 9))


def test_paths_that_lead_nowhere(tmp_path):
    """A wrong name suggests the nearest file, a folder its tables, a wrong folder says so."""
    _write(tmp_path / "train.csv", "a\n1\n")
    with pytest.raises(DataError, match=r"did you mean '.*train\.csv'"):
        load_frame(tmp_path / "trian.csv")
    with pytest.raises(DataError, match=r"a folder.*name one of its files: train\.csv"):
        load_frame(tmp_path)
    with pytest.raises(DataError, match="does not exist either"):
        load_frame(tmp_path / "no" / "train.csv")
    with pytest.raises(DataError, match="a part of the path is a file"):
        load_frame(tmp_path / "train.csv" / "x.csv")


def test_forbidden_file(tmp_path, monkeypatch):
    """A file without read permission says so."""

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"permission denied.*chmod"):
        load_frame(_write(tmp_path / "t.csv", "a\n1\n"))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((2, 2)), "wrap arrays with pandas"),
        (None, "wrap arrays with pandas"),
        ({"a": [1], "b": [1, 2]}, "a: 1, b: 2"),
        ({"a": 5}, "no sequence"),
        (pd.DataFrame({"a": []}), "a table needs rows"),
        (pd.DataFrame(), "a table needs columns"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "column names must be unique"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "column names must be unique"),
        (pd.DataFrame({"a": [[1], [2]]}), "column 'a': a cell must hold one value"),
        (pd.DataFrame({"a": [b"x"]}), "column 'a': contents must be images or clips"),
        (pd.DataFrame({"a": [1j]}), "column 'a': a cell must hold one value"),
        (pa.table({"a": [[1], [2]]}), "column 'a'"),
        (pa.table([[1], [2]], names=["a", "a"]), "column names must be unique"),
    ],
)
def test_frames_that_are_no_tables(source, message):
    """Frames that cannot be read say what is wrong with which column."""
    with pytest.raises(DataError, match=message):
        load_frame(source)


def test_a_cell_larger_than_a_block(tmp_path):
    """One very long quoted cell with a line break does not confuse the reader."""
    long = "x" * 3_000_000 + "\n" + "y"
    frame = load_frame(_write(tmp_path / "t.csv", f'a,b\n1,u\n2,"{long}"\n3,v\n'))
    assert frame["b"].tolist() == ["u", long, "v"]
