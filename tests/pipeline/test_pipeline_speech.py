"""A whole study of a tiny network of speech: from a manifest to transcripts in the report."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from attain.core.errors import Exit, SpecError
from attain.core.space import Space
from attain.learners._speech import parameters
from attain.pipeline import api, reliability, saved, template
from attain.report import evidence, html

sys.path.insert(0, str(Path(__file__).parents[1] / "learners"))
import speech_toys

QUICK = {
    "learners": ["audio"], "folds": 1, "workers": 2, "rigor": "quick", "budget": "2 trials",
    "seed": 3, "target": "text",
}  # fmt: skip


@pytest.fixture
def stated(tmp_path):
    """A manifest of paths and texts, and the folder of a network that hears tones."""

    def make(objectives=("word_error_rate <= 0.95",), rows=72, **more):
        (tmp_path / "clips").mkdir(exist_ok=True)
        said = speech_toys.sentences(rows)
        for i, text in enumerate(said):
            (tmp_path / "clips" / f"{i:02d}.wav").write_bytes(speech_toys.spoken(text, i))
        paths = [f"clips/{i:02d}.wav" for i in range(rows)]
        texts = [text.lower() for text in said]
        pd.DataFrame({"clip": paths, "text": texts}).to_csv(tmp_path / "all.csv", index=False)
        if not (tmp_path / "net").exists():
            speech_toys.write_speech(tmp_path / "net", "layer")
        told = {"data": str(tmp_path / "all.csv"), "model": str(tmp_path / "net")}
        return {**QUICK, **told, "objectives": list(objectives), **more}

    return make


def payloads(result, kind):
    return [r.payload for r in result.records if r.kind == kind]


def test_a_study_tunes_a_head_and_shows_its_transcripts(run, stated, monkeypatch, tmp_path):
    """As it is, then its head: the objective is met, and the report shows the worst clips."""
    told = {"head_learning_rate": 0.1, "epochs": 40, "dropout": 0.0}
    plain = parameters.space

    def eager():  # a network of random weights needs more than a real one
        found = []
        for p in plain():
            more = {"default": told[p.name]} if p.name in told else {}
            more |= {"high": 1.0, "limits": None} if p.name == "head_learning_rate" else {}
            more |= {"reserve": ()} if p.name == "rung" else {}
            found.append(replace(p, **more))
        return Space(tuple(p for p in found if p.name not in dear))

    dear = {"lora_learning_rate", "learning_rate", "rank", "speed", "noise"}
    dear |= {"time_mask", "band_mask"}
    monkeypatch.setattr(parameters, "space", eager)
    monkeypatch.setattr(reliability, "LEAST_SECONDS", 0.5)
    result = run(**stated())
    tried = [p["trial"]["config"]["rung"] for p in payloads(result, "trial")]
    assert tried[:2] == ["as_is", "head"]
    assert result.exit in (Exit.MET, Exit.NOT_DECIDABLE)
    (verdict,) = payloads(result, "verdict")
    found = {s["metric"]: s for s in verdict["scores"]}
    assert found["word_error_rate"]["low"] < found["word_error_rate"]["estimate"] < 0.95
    assert {"character_error_rate", "transcript_match", "character_loss"} <= found.keys()
    model = saved.load(result.folder / "model")
    clips = pd.read_csv(tmp_path / "all.csv")[["clip"]].head(3)
    clips["clip"] = [str(tmp_path / name) for name in clips["clip"]]
    monkeypatch.chdir("/")
    said = model.predict(clips)
    assert all(isinstance(text, str) for text in said)
    assert model.predict_frame(clips)["text"].tolist() == said.tolist()
    shown = evidence.collect(list(result.records))["answers"]
    assert shown["heard"]
    assert [way["rung"] for way in shown["ways"]] == ["as_is", "head"]
    assert all(w["edits"] > 0 for w in shown["worst"])
    edits = [w["edits"] for w in shown["worst"]]
    assert edits == sorted(edits, reverse=True)
    page = html.render(evidence.collect(list(result.records)))
    assert "Worst transcripts" in page
    trust = next(iter(payloads(result, "reliability")))
    codes = {e["code"] for e in trust["perturbations"]["entries"]}
    assert {"hissing", "missing"} <= codes  # as many as half a second allows
    assert trust["slices"] is None
    assert not trust["failed"]


def test_the_plan_shows_vocabulary_and_targets(stated, tmp_path):
    """Tokens as they are written, lengths, and what each rung costs."""
    from pipeline_small import inline

    view = api.plan(api.make_spec({**stated(), "output": str(tmp_path / "s")}), executors=inline)
    forecast = view.forecasts["audio"]
    assert forecast.facts["vocabulary"].split()[:3] == ["|", "A", "B"]
    assert all(set(written) <= set("|ABCD") for _, written in forecast.examples)
    assert [r.name for r in forecast.rungs] == list(parameters.RUNGS)


def test_speech_is_not_written_down_without_a_network_that_can(run, stated, tmp_path):
    """No model, and one without a head of characters; a first study file asks for one."""
    told = {**stated(), "task": "transcription"}
    config = tmp_path / "net" / "config.json"
    config.write_text(config.read_text().replace("Wav2Vec2ForCTC", "Wav2Vec2Model"))
    with pytest.raises(SpecError, match="it is Wav2Vec2Model"):
        run(**told)
    told.pop("model")
    with pytest.raises(SpecError, match="no model"):
        run(**{**told, "output": str(tmp_path / "other")})
    path = template.init(told["data"], "text", folder=tmp_path)
    assert "task: multiclass" in path.read_text()
    unique = pd.read_csv(tmp_path / "all.csv")
    unique["text"] = [f"{t} {i}" for i, t in enumerate(np.repeat("say it", len(unique)))]
    unique.to_csv(tmp_path / "free.csv", index=False)
    path = template.init(str(tmp_path / "free.csv"), "text", folder=tmp_path, output="b.yaml")
    text = path.read_text()
    assert "task: transcription" in text
    assert "free text" in text
    assert "word_error_rate" in text
    assert "# model: FOLDER" in text
    assert "some of: audio\n" in text
