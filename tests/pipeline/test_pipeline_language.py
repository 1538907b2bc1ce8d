"""Whole studies of a tiny language model: from rows to a tested adapter, and what blocks one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from attain.cli.masks import masks
from attain.core.codec import decode
from attain.core.errors import BlockedByAudit, Exit, SpecError
from attain.core.types import Forecast
from attain.pipeline import api, saved, template
from attain.pipeline import prepare as preparing
from attain.report import evidence, html

sys.path.insert(0, str(Path(__file__).parents[1] / "learners"))
import llm_toys
from pipeline_small import inline

QUICK = {
    "learners": ["llm"], "folds": 1, "workers": 2, "rigor": "quick", "budget": "3 trials",
    "task": None, "racing": True, "seed": 3,
}  # fmt: skip


@pytest.fixture
def stated(tmp_path):
    """Letters to be named; the model has to learn which answer belongs to which."""

    def make(template=llm_toys.CHATML, objectives=("exact_match >= 0.5",), **more):
        if not (tmp_path / "model").exists():
            (tmp_path / "model").mkdir()
            llm_toys.write_llm(tmp_path / "model", template, hidden_size=32)
        random = np.random.default_rng(0)
        letters = random.choice(list("ab"), 80)
        rows = [{"question": f"{i} {c}", "answer": "xy"["ab".index(c)]}
                for i, c in enumerate(letters)]  # fmt: skip
        (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
        told = {"data": str(tmp_path / "data.jsonl"), "model": str(tmp_path / "model")}
        return {**QUICK, **told, "target": "answer", "objectives": list(objectives), **more}

    return make


def payloads(result, kind):
    return [r.payload for r in result.records if r.kind == kind]


def test_a_study_climbs_to_an_adapter_that_is_tested_and_exported(run, stated, monkeypatch):
    """Base, examples in the prompt, adapter: the first rung that meets the objective is kept."""
    from attain.learners._llm import parameters

    plain = parameters._lora

    def eager(*asked):  # a model of random weights needs more than a real one
        first, *rest = plain(*asked)
        return (type(first)(**{**first.__dict__, "default": 5e-3, "high": 1e-2, "limits": None}),
                *rest)  # fmt: skip

    monkeypatch.setattr(parameters, "_lora", eager)
    result = run(**stated())
    tried = [p["trial"]["config"]["rung"] for p in payloads(result, "trial")]
    assert tried[0] == "prompt"
    assert "few_shot" in tried
    assert "lora" in tried
    assert result.exit in (Exit.MET, Exit.NOT_DECIDABLE)
    (choice,) = payloads(result, "choice")
    chosen = next(p["trial"] for p in payloads(result, "trial")
                  if p["trial"]["id"] == choice["trial"])  # fmt: skip
    assert chosen["config"]["rung"] == "lora"
    (refit,) = payloads(result, "refit")
    assert refit["size_bytes"] > 0
    model = saved.load(result.folder / "model")
    assert "adapter_config.json" in model.model.adapter
    answers = model.predict({"question": ["1 a", "2 b", "3 a"]})
    assert set(answers) <= {"x", "y"}
    found = evidence.collect(list(result.records))
    shown = found["answers"]
    assert [way["rung"] for way in shown["ways"]][:3] == ["prompt", "few_shot", "lora"]
    assert len(shown["rows"]) >= 1
    assert all(len(row["answers"]) == len(shown["ways"]) for row in shown["rows"])
    page = html.render(found)
    assert "What it writes" in page
    assert "&lt;|im_start|&gt;" in page


def test_the_plan_shows_what_is_learnt(stated, tmp_path):
    """Runs of text with a mark for those that are trained; the end of the answer is one."""
    view = api.plan(api.make_spec({**stated(), "output": str(tmp_path / "s")}), executors=inline)
    forecast = view.forecasts["llm"]
    learnt = [text for text, trained in forecast.masks[0] if trained]
    assert learnt in (["x<|im_end|>"], ["y<|im_end|>"])
    lines = masks(forecast)
    assert f"«{learnt[0]}»" in lines[1]
    assert "↵" in lines[1]
    assert [r.name for r in forecast.rungs] == ["prompt", "few_shot", "lora", "full"]
    assert masks(Forecast(())) == []


def test_a_new_study_of_pairs_says_what_each_text_is(stated, tmp_path):
    """Prompt and rejected answer are not read one after the other, as texts of other tasks are."""
    told = stated()
    rows = [{"prompt": f"Say the letter {i}", "chosen": f"the letter {i}", "rejected": f"no {i}"}
            for i in range(40)]  # fmt: skip
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    path = template.init(told["data"], "chosen", folder=tmp_path, model=told["model"])
    (line,) = [line for line in path.read_text().splitlines() if line.startswith("text:")]
    assert line.startswith("text: [prompt, rejected]")
    assert "to which the target is preferred" in line
    spec = {**told, "target": "chosen", "objectives": ["win_rate >= 0.6"]}
    view = api.plan(api.make_spec({**spec, "output": str(tmp_path / "s")}), executors=inline)
    head, first, *_, last = masks(view.forecasts["llm"])
    assert "the last is the answer rejected for that of the first" in head
    assert "«the letter" in first
    assert "«no " in last


def test_a_template_without_an_end_blocks_the_study(run, stated, tmp_path):
    """D061 ends the run before anything is trained; silenced, the study goes on to be prepared."""
    with pytest.raises(BlockedByAudit, match=r"D061 .*never learn to stop"):
        run(**stated(llm_toys.BARE))
    findings = preparing.language.mask_findings(
        decode(dict[str, Forecast], _last_forecast(tmp_path)["forecasts"])
    )
    assert [f.code for f in findings] == ["D060", "D061", "D062", "D063", "D064"]
    preparing._stop_for(findings, ["D061"])


def _last_forecast(folder):
    from attain.runtime.ledger import SqliteLedger

    ledger = SqliteLedger(folder / "study" / "ledger.db")
    try:
        return [r.payload for r in ledger.read() if r.kind == "forecast"][-1]
    finally:
        ledger.close()


def test_texts_are_not_written_without_a_language_model(run, stated):
    """The task can be stated, but something has to write."""
    told = {**stated(), "task": "generation"}
    told.pop("model")
    with pytest.raises(SpecError, match="can only be written by a language model"):
        run(**told)


def test_answers_are_held_against_the_stated_schema(run, stated, tmp_path):
    """From the study file to the sealed test and the saved model; it cannot change later."""
    path = tmp_path / "answers.json"
    path.write_text('{"enum": [1, 2]}')
    told = stated(objectives=["schema_valid >= 0.9"], budget="1 trials", answer_schema=str(path))
    rows = [{"question": f"{i}", "answer": "12"[i % 2]} for i in range(80)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told["task"] = "generation"
    result = run(**told)
    (verdict,) = payloads(result, "verdict")
    found = {s["metric"]: s["estimate"] for s in verdict["scores"]}
    assert found["schema_valid"] < 0.9
    saved_as = json.loads((result.folder / "model" / "learner" / "llm.json").read_text())
    assert saved_as["habits"]["schema"] == '{"enum": [1, 2]}'
    path.write_text('{"enum": [1, 3]}')
    with pytest.raises(SpecError, match="goes on with the schema it began with"):
        run(**told)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"objectives": ["schema_valid >= 0.5"]}, "add answer_schema: FILE"),
        ({"answer_schema": "nowhere.json"}, "file must be readable.*nowhere.json"),
        ({"answer_schema": {"type": "person"}}, "must be a JSON Schema"),
        ({"answer_schema": ["a"]}, "or the schema itself"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(run, stated, more, message):
    """Before the search, with what to do."""
    with pytest.raises(SpecError, match=message):
        run(**{**stated(), **more})
