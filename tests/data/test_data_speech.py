"""Clips and what is said in them: when that is the task, and what a study needs for it."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from attain.core.decode import write_clip
from attain.core.errors import DataError
from attain.core.media import inline
from attain.core.types import FindingState, Task
from attain.data.infer import describe
from attain.data.load import load_frame
from attain.data.pretrained import reads_media, why_no_transcripts
from attain.data.table import to_rows


def clip(seed: int) -> bytes:
    """A short noise."""
    random = np.random.default_rng(seed)
    return write_clip(random.normal(0, 0.1, 800).astype(np.float32), 8_000)


def table(texts: list[str]) -> pd.DataFrame:
    """A clip for each text."""
    return pd.DataFrame({"clip": [str(inline("audio", clip(i))) for i in range(len(texts))],
                         "text": texts})  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "task"),
    [
        ([f"sentence number {i} of many" for i in range(40)], Task.TRANSCRIPTION),
        ([f"word{i}" for i in range(40)], Task.TRANSCRIPTION),
        (["yes please", "no thanks"] * 20, Task.BINARY),
        ([f"class {i % 10}" for i in range(40)], Task.MULTICLASS),
        ([str(i / 7) for i in range(40)], Task.REGRESSION),
    ],
)
def test_free_text_of_clips_is_to_be_transcribed(texts, task):
    """Sentences, or words of which most differ; classes and numbers stay what they are."""
    dataset = describe(table(texts), target="text")
    assert dataset.task is task
    assert ("free text" in dataset.task_reason) is (task is Task.TRANSCRIPTION)
    rows = to_rows(table(texts), dataset)
    assert ("text" in rows.X) is (task is Task.TRANSCRIPTION)


def test_transcription_needs_clips_and_texts():
    """Stated for a table without either, it is refused with what to do."""
    with pytest.raises(DataError, match="no column of clips"):
        describe(pd.DataFrame({"a": [1.0, 2], "text": ["x y", "z w"]}), target="text",
                 task="transcription")  # fmt: skip
    with pytest.raises(DataError, match="a target of texts"):
        describe(table(["1", "2", "3"]).assign(text=[1.0, 2.5, 3.0]), target="text",
                 task="transcription")  # fmt: skip
    two = describe(table(["yes", "no"] * 4), target="text", task="transcription")
    assert (two.task, two.classes, two.task_reason) == (Task.TRANSCRIPTION, (), "as asked")


def test_manifests_of_every_form_are_read(tmp_path):
    """Paths in CSV and JSON lines, contents in Parquet; a missing transcript is no row to learn."""
    (tmp_path / "clips").mkdir()
    for i in range(4):
        (tmp_path / "clips" / f"{i}.wav").write_bytes(clip(i))
    paths = [f"clips/{i}.wav" for i in range(4)]
    made = pd.DataFrame({"clip": paths, "text": ["a b", "c d", None, "e, f"]})
    made.to_csv(tmp_path / "a.csv", index=False)
    made.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    made.assign(clip=[clip(i) for i in range(4)]).to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        frame = load_frame(tmp_path / name)
        dataset = describe(frame, target="text", task="transcription")
        assert dataset.rows == 3
        assert to_rows(frame.dropna(), dataset).X["text"].tolist() == ["a b", "c d", "e, f"]


def test_checks_of_classes_do_not_ask_about_speech():
    """Clips are checked, and near-copies; drift of classes and leaks are not."""
    from attain.core.protocols import Subject
    from attain.data.audit import audit

    frame = table([f"it is number {i}" for i in range(30)])
    frame.loc[3, "clip"] = str(inline("audio", b"RIFF broken"))
    dataset = describe(frame, target="text")
    subject = Subject(dataset=dataset, frame=frame, rows=to_rows(frame, dataset), sealed={}, seed=0)
    found = {f.code: f for f in audit(subject)}
    assert found["D040"].rows == (3,)
    assert found["D023"].state is FindingState.NOT_APPLICABLE
    assert "speech is to be written down" in found["D023"].explanation


def test_networks_that_write_are_told_by_their_files(tmp_path):
    """A head of characters and a vocabulary; both media and texts are read off the folder."""
    assert "unnamed kind" in why_no_transcripts(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["Wav2Vec2Model"]}))
    assert why_no_transcripts(tmp_path) == "it is Wav2Vec2Model"
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["HubertForCTC"]}))
    assert why_no_transcripts(tmp_path) == "it has no vocab.json"
    (tmp_path / "vocab.json").write_text("{}")
    assert why_no_transcripts(tmp_path) == ""
    assert reads_media(tmp_path)
