"""Rows whose words have labels: how they are read, when that is the task, what is refused."""

from __future__ import annotations

import gzip
import json

import pandas as pd
import pytest

from attain.core.errors import DataError
from attain.core.protocols import Subject
from attain.core.types import ColumnRole, FindingState, Severity, Task
from attain.data.audit import CHECKS, audit
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.seal import make_seal
from attain.data.table import to_rows

CODES = {"D050", "D051", "D052", "D053"}
CONLL = """-DOCSTART- -X- O

# text = a comment
EU NNP B-ORG
rejects VBZ O
German JJ B-MISC

Peter NNP B-PER
# SYM O
Blackburn NNP I-PER
"""


def frame(rows=30, **more):
    """Two kinds of sentences."""
    words = [["Anna", "sings"], ["in", "Rome"]] * (rows // 2)
    labels = [["B-PER", "O"], ["O", "B-LOC"]] * (rows // 2)
    words = [[*w, f"n{i}"] for i, w in enumerate(words)]
    return pd.DataFrame(
        {"id": range(rows), "tokens": words, "ner": [[*t, "O"] for t in labels]} | more
    )


def test_columns_of_a_conll_file(tmp_path):
    """A line a word, an empty line between sentences; documents and comments are left out."""
    path = tmp_path / "a.conll"
    path.write_text(CONLL)
    found = load_frame(path)
    assert found["words"].map(json.loads).tolist() == [["EU", "rejects", "German"],
                                                       ["Peter", "#", "Blackburn"]]  # fmt: skip
    assert json.loads(found["labels"][1]) == ["B-PER", "O", "I-PER"]
    assert json.loads(found["column 2"][0]) == ["NNP", "VBZ", "JJ"]
    tabs = tmp_path / "b.bio.gz"
    tabs.write_bytes(gzip.compress(b"New York\tB-LOC\r\n\r\nOslo\tB-LOC\r\n"))
    assert load_frame(tabs)["words"].tolist() == ['["New York"]', '["Oslo"]']


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Anna B-PER\nsings\n", r"every word has 2 columns .*line 2 has 1"),
        ("Anna\nsings\n", "words need a label in a second column"),
        ("Anna\tB-PER\nsings\t\n", r"every word has 2 columns .*line 2 has 1"),
    ],
)
def test_conll_files_that_do_not_fit(tmp_path, text, message):
    """The line is named."""
    path = tmp_path / "a.conll"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        load_frame(path)


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "memory"])
def test_lists_of_one_length_are_words_and_labels(tmp_path, kind):
    """The task is inferred, with the reason; all but the words is left out."""
    table = frame()
    if kind == "jsonl":
        table.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    elif kind == "parquet":
        table.to_parquet(tmp_path / "a.parquet")
    source = table if kind == "memory" else tmp_path / f"a.{kind}"
    found = describe(load_frame(source), target="ner")
    assert (found.task, found.tags) == (Task.TAGGING, ("B-LOC", "B-PER", "O"))
    assert [c.name for c in found.features] == ["tokens"]
    assert "as many labels as 'tokens' has words" in found.task_reason
    assert next(c for c in found.columns if c.name == "id").role is ColumnRole.IGNORED
    rows = to_rows(load_frame(source), found)
    assert rows.y.tolist() == [0.0] * 30
    assert json.loads(rows.X["ner"][0]) == ["B-PER", "O", "O"]
    assert (
        to_rows(load_frame(source).drop(columns="ner"), found, with_target=False)
        .X["ner"]
        .isna()
        .all()
    )


def test_other_lists_are_other_tasks():
    """Lists of another length than the words are labels of the row, and stay that."""
    topics = frame()
    topics["ner"] = [["a"], ["a", "b"]] * 15
    topics["tokens"] = [["x"] * 5] * 30
    assert describe(load_frame(topics), target="ner", ignore=["tokens"]).task is Task.MULTILABEL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ner": ["O"] * 30}, "cells must be lists of texts"),
        ({"ner": [["O", "O", "O"]] * 30}, "two labels or more"),
        ({"ner": [["O", " ", "X"]] * 30}, "a label must have a name"),
        ({"tokens": ["Anna sings"] * 30}, "need a column of words"),
        ({"ner": [[f"l{3 * i + k}" for k in range(3)] for i in range(30)]}, None),
    ],
)
def test_what_is_no_label_of_a_word(change, message):
    """Each mistake is named; few words may have many labels."""
    table = frame(**change)
    if message is None:
        assert len(describe(load_frame(table), target="ner", task="tagging").tags) == 90
        return
    with pytest.raises(DataError, match=message):
        describe(load_frame(table), target="ner", task="tagging")


def test_labels_that_training_did_not_show():
    """Rows with another label are refused, with its name; rows without labels are left out."""
    found = describe(load_frame(frame()), target="ner")
    other = frame()
    other.at[2, "ner"] = ["B-ORG", "O", "O"]
    with pytest.raises(DataError, match=r"every label must be known.*'B-ORG'"):
        to_rows(load_frame(other), found)
    some = frame()
    some.at[2, "ner"] = None
    assert describe(load_frame(some), target="ner").rows == 29


def subject(table):
    loaded = load_frame(table)
    known = describe(loaded, target="ner")
    return Subject(known, loaded, to_rows(loaded, known))


def answers(table):
    return {f.code: f for f in audit(subject(table))}


def test_sound_rows_pass_the_checks_of_labels():
    """All four checks pass; those of classes and numbers say why they do not apply."""
    found = answers(frame())
    assert len(found) == len(CHECKS)
    assert {found[c].state for c in CODES} == {FindingState.PASSED}
    assert "each word has a label" in found["D005"].explanation


def test_faults_of_labels_are_found():
    """Empty sentences, loose insides, rare types and contradictions are named with their rows."""
    table = frame(60)
    table.at[0, "tokens"], table.at[0, "ner"] = [], []
    table.at[4, "ner"] = ["I-PER", "O", "O"]
    table.at[6, "ner"] = ["B-ORG", "O", "O"]
    table.at[8, "tokens"] = table.at[10, "tokens"]
    table.at[8, "ner"] = ["O", "O", "O"]
    found = answers(table)
    assert found["D050"].rows == (0,)
    assert found["D051"].rows == (4,)
    assert "'Anna' (I-PER)" in found["D051"].explanation
    assert found["D052"].evidence["counts"] == {"ORG": 1}
    assert found["D052"].severity is Severity.ISSUE
    assert found["D053"].rows == (8, 10)
    for code in ("D050", "D051", "D053"):
        assert found[code].state is FindingState.FOUND


def test_sentences_are_sealed_by_their_content(tmp_path):
    """Equal sentences never stand on both sides, and the labels travel with their words."""
    table = pd.concat([frame(100), frame(100)], ignore_index=True)
    loaded = load_frame(table)
    known = describe(loaded, target="ner")
    work, seal = make_seal(loaded, known, tmp_path, test=0.2, seed=0)
    assert (work.rows + seal.rows, work.tags) == (200, known.tags)
    sides = [load_frame(tmp_path / "data" / f"{n}.arrow")["tokens"] for n in ("work", "sealed")]
    assert not set(sides[0]) & set(sides[1])
    assert len(sides[1]) == seal.rows > 20
