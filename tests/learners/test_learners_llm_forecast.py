"""What the learner of language models says before it is tuned, and what it spends on that."""

import time
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import torch
from llm_toys import SUMS, described

from attain.core.protocols import FitData
from attain.core.types import Signal
from attain.learners._llm import forecast as forecasting
from attain.learners._llm import rungs, work
from attain.learners._llm.speak import Speaker
from attain.learners.llm import Llm
from attain.parameters.narrow import narrow

PAIRS = pd.DataFrame(
    [{"prompt": f"{i}?", "chosen": "yes" * (i % 9 + 1), "rejected": "no" * (i % 7 + 1)}
     for i in range(160)]
)  # fmt: skip


@pytest.fixture
def read(monkeypatch):
    """Padded tokens of all passes, by whether something is learnt from them."""
    seen = {True: 0, False: 0}
    forward = Speaker.forward

    def counting(self, batch):
        if self.packs:  # set once the checks that a new one makes are over
            seen[torch.is_grad_enabled()] += batch.ids.numel()
        return forward(self, batch)

    monkeypatch.setattr(Speaker, "forward", counting)
    return seen


def data_of(frame, target):
    dataset, rows = described(frame, target)
    cut = len(frame) * 9 // 10
    index = np.arange(len(frame))
    return FitData(dataset, rows.take(index[:cut]), rows.take(index[cut:]))


def test_a_forecast_of_pairs_reads_little_of_what_a_fit_reads(read, monkeypatch):
    """It looks at a few pairs of a step; the network's view of all pairs is left to the fit."""
    monkeypatch.setattr(forecasting, "_LEAST", 0.0)
    data, learner = data_of(PAIRS, "chosen"), Llm()
    found = learner.forecast(data)
    spent = sum(read.values())
    assert spent > 0
    assert [r.name for r in found.rungs] == ["prompt", "few_shot", "lora", "full"]
    assert all(r.usable and r.seconds > 0 for r in found.rungs)
    read.update({True: 0, False: 0})
    model = learner.fit({"rung": "lora"}, data, lambda step, losses: Signal.CONTINUE)
    assert model.facts["steps"] == int(found.rungs[2].reason.split()[0])
    assert spent < 0.12 * sum(read.values())


def test_a_rung_that_is_left_out_is_not_measured(monkeypatch):
    """With `rung: few_shot` no step is tried; what is said of the rows stays."""
    data, learner = data_of(SUMS, "answer"), Llm()
    whole = learner.forecast(data)
    monkeypatch.setattr(forecasting, "_tuned", pytest.fail)
    stated = narrow({"llm": learner.space(data.dataset)}, {"llm.rung": "few_shot"})["llm"]
    found = learner.forecast(data, stated)
    assert [r.name for r in found.rungs] == ["few_shot"]
    assert (found.facts, found.masks) == (whole.facts, whole.masks)


def test_passes_without_learning_are_those_of_a_fit(read, monkeypatch):
    """Pairs are read once before anything is learnt, rows to stop on at each look."""
    monkeypatch.setattr(work, "_said", OrderedDict())  # of a first fit
    for frame, target in ((PAIRS, "chosen"), (SUMS, "answer")):
        data = data_of(frame, target)
        body = rungs.resident_body(data)
        taught, _ = rungs.lesson(data, body)
        tokens = int(taught.coded.lengths.sum())
        tokens += int(taught.rejected.lengths.sum()) if taught.rejected is not None else 0
        read.update({True: 0, False: 0})
        Llm().fit({"rung": "lora"}, data, lambda step, losses: Signal.CONTINUE)
        told = forecasting._passes(data, taught, 2)
        assert read[False] / tokens == pytest.approx(told, rel=0.25)


def test_rungs_without_training_cost_what_makes_the_model_ready(monkeypatch):
    """Loading is most of it, and every rung pays for it."""
    loaded = rungs.resident_body

    def slow(data):
        time.sleep(0.3)
        return loaded(data)

    monkeypatch.setattr(rungs, "resident_body", slow)
    found = Llm().forecast(data_of(SUMS, "answer"))
    assert 0.3 < found.rungs[0].seconds < 10
    assert found.rungs[0].seconds == found.rungs[1].seconds < found.rungs[2].seconds


def test_a_forecast_of_a_race_counts_the_steps_and_looks_of_all_its_adapters(read):
    """Four adapters take more steps than one and fewer than four; they need more memory."""
    data, learner = data_of(pd.concat([SUMS] * 3, ignore_index=True), "answer"), Llm()
    said = {}
    for count in (1, 4):
        told = {"llm.rung": "lora", "llm.candidates": count}
        stated = narrow({"llm": learner.space(data.dataset)}, told)["llm"]
        said[count] = learner.forecast(data, stated).rungs[0]
    one, four = (int(found.reason.split()[0]) for found in said.values())
    assert one < four < 4 * one
    assert "race of 4 adapters" in said[4].reason
    assert said[4].bytes > said[1].bytes
    model = learner.fit({"rung": "lora", "candidates": 4}, data, lambda *_: Signal.CONTINUE)
    assert model.facts["steps_of_all"] == four
