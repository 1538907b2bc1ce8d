"""Saved models of the learner of texts: whole, equal to the last bit, or refused."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from text_toys import RUNGS, case, config, encoder, fit, write_encoder

from attain.core.errors import ArtifactError
from attain.core.types import Task
from attain.learners.text import Text

_LOAD = """
import sys, pathlib, numpy as np, pandas as pd
from attain.core.types import Rows
from attain.learners.text import Text
root = pathlib.Path(sys.argv[1])
rows = Rows(pd.read_json(root / "rows.json"))
for rung in sys.argv[2:]:
    found = Text().predict(Text().load(root / rung), rows)
    assert np.array_equal(found, np.load(root / f"{rung}.npy")), rung
"""


def test_a_fresh_process_predicts_the_same_without_the_original_folder(tmp_path):
    """All rungs, to the last bit, from the saved folder alone."""
    (tmp_path / "original").mkdir()
    dataset, rows = case(Task.MULTICLASS, rows=80)
    dataset = replace(dataset, pretrained=write_encoder(tmp_path / "original", seed=5))
    rows.X.to_json(tmp_path / "rows.json")
    for rung in RUNGS:
        model = fit(config(rung), dataset, rows, cache=tmp_path / "cache")
        (tmp_path / rung).mkdir()
        model.save(tmp_path / rung)
        np.save(tmp_path / f"{rung}.npy", Text().predict(model, rows))
    shutil.rmtree(tmp_path / "original")
    shutil.rmtree(tmp_path / "cache")
    command = [sys.executable, "-c", _LOAD, str(tmp_path), *RUNGS]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def saved(tmp_path, rung):
    dataset, rows = case(rows=60)
    fit(config(rung), dataset, rows).save(tmp_path)
    return tmp_path


def test_a_saved_adapter_is_merged_and_beside_it(tmp_path):
    """The weights hold the correction; PEFT's files hold it too."""
    folder = saved(tmp_path, "lora")
    names = {p.name for p in (folder / "adapter").iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors"}
    from safetensors.numpy import load_file

    tuned = load_file(folder / "encoder" / "model.safetensors")
    plain = load_file(encoder().folder + "/model.safetensors")
    assert set(tuned) == set(plain)
    adapter = load_file(folder / "adapter" / "adapter_model.safetensors")
    name = "encoder.layer.0.attention.self.query"
    a, b = (adapter[f"base_model.model.{name}.lora_{x}.weight"] for x in "AB")
    step = tuned[f"{name}.weight"] - plain[f"{name}.weight"]
    assert np.abs(step).max() > 0
    assert np.allclose(step, b @ a * 32 / 4, atol=1e-6)


@pytest.mark.parametrize("rung", RUNGS)
def test_loading_refuses_what_is_missing(rung, tmp_path):
    """Each file of a model is needed, and its absence is named."""
    folder = saved(tmp_path, rung)
    needed = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    optional = {"tokenizer_config.json", "special_tokens_map.json", "vocab.txt"}
    assert len(needed) >= 4
    for path in needed:
        if path.name in optional:
            continue
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(ArtifactError, match=r"cannot be (read|loaded)|get the model anew"):
            Text().load(folder)
        path.write_bytes(content)
    Text().load(folder)


def test_loading_refuses_what_does_not_belong(tmp_path):
    """Other formats, learners, kinds and shapes are named."""
    folder = saved(tmp_path, "frozen")
    path = folder / "model.json"
    told = json.loads(path.read_text())
    for key, value, message in (
        ("format", 99, "not of format 1"),
        ("learner", "mlp", "model of 'mlp', not of 'text'"),
        ("kind", "oracle", "do not fit together"),
        ("outputs", {}, "do not fit together"),
    ):
        path.write_text(json.dumps({**told, key: value}))
        with pytest.raises(ArtifactError, match=message):
            Text().load(folder)
    path.write_text(json.dumps(told))
    np.savez(folder / "head.npz", slope=np.zeros((5, 2)), intercept=np.zeros(2))
    with pytest.raises(ArtifactError, match="for 5 features, the encoder has 32"):
        Text().load(folder)
    np.savez(folder / "head.npz", slope=np.zeros((5, 2)))
    with pytest.raises(ArtifactError, match="does not hold a linear head"):
        Text().load(folder)


def test_words_that_do_not_fit_their_head_are_refused(tmp_path):
    """A head of another size is named."""
    folder = saved(tmp_path, "tfidf")
    np.savez(folder / "head.npz", slope=np.zeros((5, 2)), intercept=np.zeros(2))
    with pytest.raises(ArtifactError, match=r"does not fit words\.json"):
        Text().load(folder)


def test_a_tokenizer_that_reads_otherwise_is_refused(tmp_path):
    """transformers makes an empty tokenizer of missing files, which reads every word as unknown."""
    folder = saved(tmp_path, "frozen")
    (folder / "encoder" / "tokenizer.json").unlink()
    with pytest.raises(ArtifactError, match="does not read texts as it did"):
        Text().load(folder)
