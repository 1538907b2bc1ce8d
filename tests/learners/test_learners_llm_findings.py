"""Findings in masks, planted one by one, and that a saved model is what was trained."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from llm_toys import BARE, CHATML, SUMS, described, make_net, tiny_llm, write_llm

from attain.core.errors import ArtifactError
from attain.core.protocols import FitData
from attain.core.types import FindingState, Severity, Signal
from attain.data.pretrained import describe_pretrained
from attain.learners._llm import export
from attain.learners._llm.encode import encode
from attain.learners._llm.findings import inspect
from attain.learners._llm.lesson import teach
from attain.learners._llm.reading import read_rows
from attain.learners._llm.render import Renderer, render_all
from attain.learners._pretrained.adapters import LoraConfig, load_adapter, put_on
from attain.learners._pretrained.load import load_body, resident
from attain.learners.llm import Llm

GUIDE = Path(__file__).parents[2] / "docs" / "llm.md"
FRAME = pd.DataFrame({"question": [f"q{i}" for i in range(20)], "answer": [f"a{i}" for i in
                                                                           range(20)]})  # fmt: skip


def found(frame, pretrained, target="answer"):
    dataset, rows = described(frame, target, pretrained)
    body = load_body(pretrained, writes=True)
    taught = teach(body, dataset, rows)
    from attain.learners._llm.lesson import layout_of

    texts, _ = render_all(Renderer(body.tokenizer), read_rows(layout_of(dataset), rows))
    return {f.code: f for f in inspect(body, taught, encode(body.tokenizer, texts))}


def blocks(finding):
    return finding.state is FindingState.FOUND and finding.severity is Severity.BLOCKER


def test_sound_rows_pass_every_check():
    """Nothing is found where nothing is wrong."""
    assert {f.state for f in found(FRAME, tiny_llm()).values()} == {FindingState.PASSED}


def test_a_template_that_ends_no_turn_blocks(tmp_path):
    """D061: the model would never learn to stop."""
    assert blocks(found(FRAME, write_llm(tmp_path, BARE))["D061"])


def test_a_model_with_another_template_is_another_model(tmp_path):
    """Else a resident model would go on writing by the template of the one before."""
    for name, template in (("a", BARE), ("b", CHATML)):
        (tmp_path / name).mkdir()
        write_llm(tmp_path / name, template)
    one, other = (describe_pretrained(str(tmp_path / name), tmp_path) for name in "ab")
    assert one.digest != other.digest
    assert resident(one, writes=True).tokenizer.chat_template == BARE
    assert resident(other, writes=True).tokenizer.chat_template == CHATML


def test_rows_that_do_not_fit_are_counted_and_block_when_many(tmp_path):
    """D063: one long row in 20 blocks; it is left out, not cut."""
    frame = FRAME.copy()
    frame.loc[3, "answer"] = "x" * 300
    finding = found(frame, write_llm(tmp_path))["D063"]
    assert blocks(finding)
    assert finding.rows == (3,)
    dataset, rows = described(frame, "answer", tiny_llm())
    taught = teach(resident(tiny_llm(), writes=True), dataset, rows)
    assert len(taught.coded) == 19
    assert taught.facts["too_long"] == 1


def test_conversations_without_an_answer_have_nothing_to_learn(tmp_path):
    """D060 and D064: rows of questions only, and roles that nobody can render."""
    ask = {"role": "user", "content": "Hi"}
    talks = [[ask, {"role": "assistant", "content": ""}]] * 5 + [[ask, {
        "role": "assistant", "content": "x"}]] * 5  # fmt: skip
    frame = pd.DataFrame({"messages": [json.dumps(t) for t in talks]})
    made = found(frame, write_llm(tmp_path), "messages")
    assert made["D060"].state is FindingState.PASSED  # an empty answer still ends
    frame = pd.DataFrame({"messages": [json.dumps([ask, ask])] * 5 + [json.dumps(talks[-1])] * 5})
    dataset, rows = described(frame, "messages", tiny_llm())
    taught = teach(resident(tiny_llm(), writes=True), dataset, rows)
    assert sorted(taught.coded.rows) == [5, 6, 7, 8, 9]


def test_padding_that_hides_the_end_blocks(tmp_path):
    """D062: the end stands behind what is learnt, is the padding, and is left out of it."""
    open_end = CHATML.replace("<|im_end|>\n", " <|im_end|>\n")
    pretrained = write_llm(tmp_path, open_end)
    body = load_body(pretrained, writes=True)
    body.tokenizer.pad_token = "<|im_end|>"
    dataset, rows = described(FRAME, "answer", pretrained)
    taught = teach(body, dataset, rows)
    trained = taught.coded.trained.copy()
    assert inspect(body, taught, taught.coded)[2].state is FindingState.PASSED
    assert "pads and ends answers" in inspect(body, taught, taught.coded)[2].explanation
    trained[taught.coded.ids == body.tokenizer.pad_token_id] = False
    spoilt = replace(taught, coded=replace(taught.coded, trained=trained))
    coded = spoilt.coded
    for i in range(len(coded)):  # the blank before the end is not learnt either
        coded.trained[coded.ends[i] - 3] = True
    assert blocks(inspect(body, spoilt, coded)[2])


def test_the_guide_has_a_section_for_each_code():
    """docs/llm.md names every code with its title."""
    text = GUIDE.read_text()
    for finding in found(FRAME, tiny_llm()).values():
        assert f"### {finding.code}: {finding.title}" in text


@pytest.fixture(scope="module")
def tuned():
    """A model with a trained adapter, and rows that it has not seen."""
    dataset, rows = described(SUMS, "answer")
    data = FitData(dataset, rows.take(np.arange(48)), rows.take(np.arange(48, 56)), seed=1)
    config = {"rung": "lora", "epochs": 2, "lora_learning_rate": 2e-3, "rank": 8}
    model = Llm().fit(config, data, lambda step, values: Signal.CONTINUE)
    return model, rows.take(np.arange(56, 64))


def test_a_saved_model_predicts_the_same_to_the_last_bit(tuned, tmp_path):
    """Merged weights are loaded without the pre-trained model's folder."""
    model, held = tuned
    model.save(tmp_path)
    again = Llm().load(tmp_path)
    assert np.array_equal(again.predict(held), model.predict(held))
    assert again.habits == model.habits


def test_the_saved_adapter_computes_what_merged_weights_do(tuned, tmp_path):
    """Put on the pre-trained model anew; an adapter of another scale is caught."""
    model, held = tuned
    model.save(tmp_path)
    again = Llm().load(tmp_path)
    told = Llm().reloaded(again, held)
    assert told["adapter_differs"] < 1e-4
    assert told["answers_same"] == told["answers"] > 0
    spoilt = json.loads(again.adapter["adapter_config.json"])
    spoilt["lora_alpha"] *= 8
    files = {**again.adapter, "adapter_config.json": json.dumps(spoilt).encode()}
    with pytest.raises(ArtifactError, match="does not compute what its merged weights do"):
        export.compare(replace(again, adapter=files), held)
    assert Llm().reloaded(replace(again, source=""), held) == {}


def test_decomposed_adapters_merge_and_reload(tmp_path):
    """DoRA: step zero is the model; merged, and loaded again, it computes the same."""
    net = make_net()
    ids = torch.arange(1, 20)[None]
    with torch.no_grad():
        before = net(input_ids=ids).logits
        adapter = put_on(net, LoraConfig(rank=4, decomposed=True), seed=1)
        torch.testing.assert_close(net(input_ids=ids).logits, before, rtol=1e-5, atol=1e-5)
        made = torch.Generator().manual_seed(0)
        for parameter in adapter.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=made))
        changed = net(input_ids=ids).logits
        adapter.save(tmp_path)
        adapter.merge()
        torch.testing.assert_close(net(input_ids=ids).logits, changed, rtol=1e-4, atol=1e-4)
        adapter.take_off()
        assert torch.equal(net(input_ids=ids).logits, before)
        load_adapter(net, tmp_path)
        assert torch.equal(net(input_ids=ids).logits, changed)
    assert (changed - before).abs().max() > 1e-2
