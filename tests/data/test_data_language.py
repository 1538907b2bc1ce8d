"""Language data in its common shapes: detected, read, kept as plain rows."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from attain.core.dialogue import Shape, as_messages, find_layout, read_example
from attain.core.errors import DataError
from attain.core.types import ColumnRole, Pretrained, Task
from attain.data import infer
from attain.data.language import language_columns, language_task
from attain.data.load import load_frame
from attain.data.seal import load_work, make_seal
from attain.data.table import to_rows

ASK, SAY = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
ROWS = {
    Shape.MESSAGES: ("messages", {"messages": [ASK, SAY]}),
    Shape.PROMPT: ("completion", {"prompt": "Hi", "completion": "Hello"}),
    Shape.INSTRUCTION: ("output", {"instruction": "Greet", "input": "Hi", "output": "Hello"}),
    Shape.TEXT: ("text", {"text": "Hello"}),
    Shape.PREFERENCE: ("chosen", {"prompt": "Hi", "chosen": "Hello", "rejected": "No"}),
}


def example(target, row):
    layout = find_layout(list(row), target)
    cells = {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()}
    return layout, read_example(layout, cells)


@pytest.mark.parametrize("shape", Shape)
def test_each_shape_is_found_by_its_columns_and_read(shape):
    """The answer is what is trained, the rest is what it answers."""
    target, row = ROWS[shape]
    layout, found = example(target, row)
    assert layout.shape is shape
    if shape is Shape.TEXT:
        assert found.text == "Hello"
        return
    assert found.answer == "Hello"
    assert found.trained == (1,)
    asked = "Greet\n\nHi" if shape is Shape.INSTRUCTION else "Hi"
    assert [m["content"] for m in found.prompt] == [asked]
    assert (found.rejected is not None) == (shape is Shape.PREFERENCE)


def test_other_names_for_the_same_things():
    """ShareGPT's from and value, question and answer, a chat as a prompt, whole conversations."""
    said = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    assert example("conversations", {"conversations": said})[1].answer == "Hello"
    assert example("answer", {"question": "Hi", "answer": "Hello"})[1].prompt == (ASK,)
    assert example("completion", {"prompt": [ASK], "completion": [SAY]})[1].messages == (ASK, SAY)
    no = {"role": "assistant", "content": "No"}
    found = example("chosen", {"chosen": [ASK, SAY], "rejected": [ASK, no]})[1]
    assert (found.prompt, found.answer, found.rejected) == ((ASK,), "Hello", (ASK, no))
    told = find_layout(["prompt", "chosen", "rejected"], "chosen").reason
    assert told.endswith("chosen is preferred to rejected, given prompt")
    system = example("output", {"system": "Be kind", "instruction": "x", "output": "y"})[1]
    assert system.messages[0] == {"role": "system", "content": "Be kind"}


def test_columns_that_no_shape_knows_are_read_when_there_is_nothing_else():
    """A target of free text is written from whatever stands beside it."""
    layout = find_layout(["title", "poem"], "poem")
    assert (layout.shape, layout.inputs) == (Shape.PROMPT, ("title",))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ('"word"', "JSON list of objects"),
        ('[{"role": "wizard", "content": "x"}]', "needs a known role"),
        ('[{"role": "user", "content": [{"type": "image"}]}]', "must be texts"),
    ],
)
def test_messages_that_are_none_are_refused(value, said):
    """The rule, the value and the column are named."""
    with pytest.raises(DataError, match=said):
        as_messages(value, "messages")


def test_lists_of_messages_survive_json_lines_parquet_and_the_seal(tmp_path):
    """Nested cells are JSON text in the frame, equal from both formats, and after sealing."""
    rows = [
        {"messages": [{"role": "user", "content": f"q{i}"}, {**SAY, "content": f"a{i}"}]}
        for i in range(30)
    ]
    lines, table = tmp_path / "d.jsonl", tmp_path / "d.parquet"
    lines.write_text("\n".join(map(json.dumps, rows)))
    parquet.write_table(pa.Table.from_pylist(rows), table)
    one, other = load_frame(lines), load_frame(table)
    assert one["messages"].tolist() == other["messages"].tolist()
    dataset = infer.describe(one, target="messages", task="generation")
    assert (dataset.task, dataset.modality, dataset.features) == (Task.GENERATION, "language", ())
    work, seal = make_seal(one, dataset, tmp_path / "study")
    kept = to_rows(load_work(tmp_path / "study"), work)
    assert seal.rows + len(kept) == 30
    assert json.loads(kept.X["messages"].iloc[0])[1]["role"] == "assistant"
    assert kept.y.tolist() == [0.0] * len(kept)


def test_other_nested_cells_are_still_refused(tmp_path):
    """Only columns of language data may hold lists."""
    path = tmp_path / "d.jsonl"
    path.write_text('{"a": [1]}')
    with pytest.raises(DataError, match="a cell must hold one value"):
        load_frame(path)


def pretrained(folder, name):
    (folder / "config.json").write_text(json.dumps({"architectures": [name]}))
    return Pretrained(str(folder), "0")


def test_the_task_follows_model_and_columns(tmp_path):
    """A model that writes and free text: generation; classes and numbers stay what they are."""
    writer = pretrained(tmp_path, "LlamaForCausalLM")
    free = pd.DataFrame({"note": [f"n {i}" for i in range(50)], "poem": [f"p {i}" for i in
                                                                         range(50)]})  # fmt: skip
    labels = pd.DataFrame({"note": free["note"], "label": ["a", "b"] * 25, "size": range(50)})
    assert language_task(free, "poem", None, writer) is Task.GENERATION
    assert language_task(labels, "label", None, writer) is None
    assert language_task(labels, "size", None, writer) is None
    assert language_task(free, "poem", None, None) is None
    pairs = pd.DataFrame({"prompt": ["x"], "chosen": ["y"], "rejected": ["z"]})
    assert language_task(pairs, "chosen", None, writer) is Task.PREFERENCE
    assert language_task(free, "poem", Task.GENERATION, None) is Task.GENERATION
    assert language_task(free, "poem", Task.BINARY, writer) is None
    reader = pretrained(tmp_path, "BertModel")
    assert language_task(free, "poem", None, reader) is None


@pytest.mark.parametrize("text", [(), ("prompt",), ("rejected", "prompt")])
def test_the_answer_that_is_not_wanted_is_never_read_before_another(text):
    """Whatever columns the user names, `rejected` stands last, where pairs look for it."""
    cells = {name: [f"{name} {i}" for i in range(9)] for name in ("prompt", "chosen", "rejected")}
    frame = pd.DataFrame(cells)
    layout, columns = language_columns(frame, find_layout(list(frame), "chosen"), text=text)
    assert layout.inputs == ("prompt", "rejected")
    told = {column.name: column.reason for column in columns}
    assert told["rejected"] == "the answer that is not wanted"
    assert told["prompt"] == "read before the answer"


def test_pairs_of_which_one_answer_is_left_out_are_refused():
    """At once, and not when the first fit finds no pair."""
    frame = pd.DataFrame({name: ["a", "b"] for name in ("prompt", "chosen", "rejected")})
    with pytest.raises(DataError, match=r"pairs need both answers .*rejected"):
        language_columns(frame, find_layout(list(frame), "chosen"), ignore=["rejected"])


def test_a_prompt_without_an_answer_is_a_row_to_be_answered():
    """Without the target there is no truth, and the last column is empty."""
    frame = pd.DataFrame({"question": ["a", "b"], "answer": ["c", None], "id": [1, 2]})
    dataset = infer.describe(frame, target="answer", task="generation")
    roles = {c.name: c.role for c in dataset.columns}
    assert roles["id"] is ColumnRole.IGNORED
    assert dataset.rows == 1
    rows = to_rows(frame[["question"]], dataset, with_target=False)
    assert rows.y is None
    assert list(rows.X) == ["question", "answer"]
    assert rows.X["answer"].isna().all()
    assert np.isnan(to_rows(frame.head(1), dataset).y).sum() == 0
