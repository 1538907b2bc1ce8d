"""Targets of several labels: how cells are read, what is refused, what is sealed."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from attain.core.errors import DataError
from attain.core.protocols import Subject
from attain.core.types import FindingState, Severity, Task
from attain.data.audit import CHECKS, OF_LABELS, audit
from attain.data.infer import describe
from attain.data.labels import joined
from attain.data.load import load_frame
from attain.data.seal import load_work, make_seal
from attain.data.table import target_hash, to_rows

SETS = [["a"], ["b", "a"], [], ["c"], ["a", "c"], ["b"]] * 20


def frame_of(cells):
    """A feature and a target."""
    return pd.DataFrame({"x": np.arange(len(cells)) * 0.37 % 7.1, "tags": cells})


def carried(dataset, frame):
    """The labels of each row, read back from the matrix."""
    y = to_rows(load_frame(frame), dataset).y
    return [[c for c, there in zip(dataset.classes, row, strict=True) if there] for row in y]


def test_every_way_of_writing_gives_the_same_rows(tmp_path):
    """Lists in memory, in JSON Lines and in Parquet, and separated text: one matrix of labels."""
    lists = frame_of(SETS)
    with (tmp_path / "a.jsonl").open("w") as file:
        for x, tags in zip(lists.x, lists.tags, strict=True):
            file.write(json.dumps({"x": x, "tags": tags}) + "\n")
    parquet.write_table(pa.table({"x": lists.x, "tags": SETS}), tmp_path / "a.parquet")
    frame_of([" | ".join(tags) for tags in SETS]).to_csv(tmp_path / "a.csv", index=False)
    wanted = [sorted(tags) for tags in SETS]
    hashes = []
    for source in (lists, tmp_path / "a.jsonl", tmp_path / "a.parquet", tmp_path / "a.csv"):
        separator = "|" if str(source).endswith(".csv") else None
        frame = load_frame(source)
        dataset = describe(frame, target="tags", separator=separator)
        assert (dataset.task, dataset.classes) == (Task.MULTILABEL, ("a", "b", "c"))
        assert (dataset.rows, dataset.class_counts) == (120, (60, 40, 40))
        assert carried(dataset, frame) == wanted
        hashes.append(target_hash(frame, dataset).tolist())
    assert hashes.count(hashes[0]) == 4
    assert len(set(hashes[0])) == 6


def test_a_separator_is_found_where_labels_are_asked_for():
    """The one that most cells have; without the task the same column is a class."""
    frame = load_frame(frame_of(["a; b", "a", "b; c, d"] * 20))
    found = describe(frame, target="tags", task="multilabel")
    assert (found.separator, found.classes) == (";", ("a", "b", "c, d"))
    assert "40 cells hold several labels" in found.task_reason
    assert describe(frame, target="tags").task is Task.MULTICLASS


def test_unlabelled_rows_are_not_rows_without_labels():
    """An empty list carries no label and counts; a missing list is a row without a target."""
    frame = load_frame(frame_of([*SETS, None, None]))
    dataset = describe(frame, target="tags")
    assert dataset.rows == 120
    assert next(c for c in dataset.columns if c.name == "tags").missing == 2
    separated = load_frame(frame_of([*("|".join(s) or None for s in SETS), None]))
    assert describe(separated, target="tags", separator="|").rows == 121


REFUSED = [
    (["a||b", "a", "b"] * 20, {"separator": "|"}, "must have a name.*'a||b' in row 0"),
    (['["a", ""]', '["b"]'] * 20, {}, "must have a name"),
    (["a", "b"] * 20, {"task": "multilabel"}, "lists, or something that stands between"),
    (["a", "a"] * 20, {"separator": "|"}, "two labels or more.*got a"),
    ([f"a|{i}" for i in range(60)], {"separator": "|"}, "occur repeatedly.*61 labels in 60 rows"),
    (["a|b", "b"] * 20, {"separator": "|", "task": "binary"}, "separator.*is for task: multilabel"),
    (["a|b", "b"] * 20, {"separator": "|", "task": "regression"}, "leave `labels` out"),
    ([["a"], ["b", "a"]] * 20, {"separator": ";"}, "lists of labels have no separator"),
]


@pytest.mark.parametrize(("cells", "asked", "message"), REFUSED)
def test_bad_labels_are_refused(cells, asked, message):
    """Empty names, nothing between labels, one label, words that never repeat, another task."""
    with pytest.raises(DataError, match=message.replace("||", r"\|\|")):
        describe(load_frame(frame_of(cells)), target="tags", **asked)


def test_lists_of_anything_else_are_no_labels():
    """Numbers and mixtures in a cell are refused as before; they are no labels."""
    for cells in ([[1, 2], [3]] * 20, [["a", 1], ["b"]] * 20):
        with pytest.raises(DataError, match="a cell must hold one value"):
            load_frame(frame_of(cells))


def test_unknown_labels_are_named():
    """A label that training did not show is an error with its name, not silently dropped."""
    dataset = describe(load_frame(frame_of(SETS)), target="tags")
    with pytest.raises(DataError, match=r"every label must be known.*'new'.*known are 'a', 'b'"):
        to_rows(load_frame(frame_of([["a", "new"], ["b"]])), dataset)


def test_the_seal_has_its_share_of_every_label(tmp_path):
    """A fifth of the rows and of each label, by content: the order of rows does not matter."""
    rng = np.random.default_rng(0)
    there = rng.random((400, 4)) < [0.02, 0.1, 0.3, 0.6]
    cells = [[f"l{k}" for k in np.flatnonzero(row)] for row in there]
    frame = pd.DataFrame({"x": rng.normal(size=400).round(4), "tags": cells})
    for name, order in (("a", np.arange(400)), ("b", rng.permutation(400))):
        shuffled = load_frame(frame.iloc[order].reset_index(drop=True))
        dataset, seal = make_seal(shuffled, describe(shuffled, target="tags"), tmp_path / name)
        assert "with each label alike" in seal.rule
        assert abs(seal.rows - 80) <= 1
        assert np.abs(np.array(seal.class_counts) - 0.2 * there.sum(axis=0)).max() <= 2
        assert dataset.class_counts == tuple(there.sum(axis=0) - seal.class_counts)
    first, second = (set(load_work(tmp_path / name)["x"]) for name in "ab")
    assert first == second


def audited(frame):
    """Findings by code."""
    frame = load_frame(frame)
    dataset = describe(frame, target="tags", separator="|")
    return {f.code: f for f in audit(Subject(dataset, frame, to_rows(frame, dataset)))}


def test_the_audit_asks_what_it_can():
    """Rare labels and contradictions are found; checks of classes leave themselves out."""
    cells = ["a|b", "b", "a", ""] * 40 + ["rare|a", "rare"]
    frame = frame_of(cells)
    frame.loc[1, "x"] = frame.loc[0, "x"]
    found = audited(frame)
    assert (found["D004"].state, found["D004"].severity) == (FindingState.FOUND, Severity.ISSUE)
    assert "1 of 3 labels have fewer" in found["D004"].explanation
    assert found["D004"].rows == (160, 161)
    assert found["D019"].state is FindingState.FOUND
    silent = [f for f in found.values() if "any number of labels" in f.explanation]
    assert len(silent) == len(CHECKS) - len(OF_LABELS)
    assert {f.state for f in silent} == {FindingState.NOT_APPLICABLE}


def test_predictions_are_written_as_the_target_is():
    """Separated where it is separated, a JSON list where it is a list; none is empty."""
    y = np.array([[1, 0, 1], [0, 0, 0]])
    lists = describe(load_frame(frame_of(SETS)), target="tags")
    assert joined(y, lists) == ['["a", "c"]', "[]"]
    text = describe(load_frame(frame_of(["|".join(s) for s in SETS])), target="tags", separator="|")
    assert joined(y, text) == ["a|c", ""]
