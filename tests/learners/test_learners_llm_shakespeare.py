"""A language model without pre-training learns plain text, by the yardstick of a known loss."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from llm_toys import described, write_llm

from attain.core.language import place
from attain.core.protocols import FitData
from attain.core.types import Signal
from attain.learners.llm import Llm

TEXT = (Path(__file__).parent / "data" / "shakespeare.txt").read_text(encoding="utf-8")
WIDTH = 100


def passages() -> list[str]:
    """Pieces of equal length, without the marks at their ends that reading would strip."""
    pieces = [TEXT[i : i + WIDTH].strip() for i in range(0, len(TEXT) - WIDTH, WIDTH)]
    return [piece for piece in pieces if len(piece) > WIDTH // 2]


def nats_of_frequencies(learnt: list[str], held: list[str]) -> float:
    """Loss per character of who knows how often each is written, and nothing else."""
    counts = Counter("".join(learnt))
    total = sum(counts.values())
    text = "".join(held)
    return -float(np.mean([np.log((counts[c] + 1) / (total + 96)) for c in text]))


def loss(model, rows) -> float:
    """Per token, of rows of a prediction."""
    sums = model.predict(rows).sum(axis=0)
    return float(sums[place("loss")] / sums[place("tokens")])


@pytest.mark.slow
def test_a_tiny_llama_learns_shakespeare(tmp_path):
    """Full tuning from random weights ends clearly below the entropy of single characters."""
    pieces = passages()
    pretrained = write_llm(tmp_path / "model", None, hidden_size=64, intermediate_size=128)
    dataset, rows = described(pd.DataFrame({"text": pieces}), "text", pretrained)
    order = np.random.default_rng(0).permutation(len(pieces))
    train, held = order[:-40], order[-40:]
    learner = Llm()
    before = learner.fit(
        {"rung": "prompt"},
        FitData(dataset, rows.take(train)),
        lambda step, values: Signal.CONTINUE,
    )
    config = {"rung": "full", "epochs": 6, "learning_rate": 5e-3, "batch": 16}
    model = learner.fit(
        config, FitData(dataset, rows.take(train)), lambda step, values: Signal.CONTINUE
    )
    known = nats_of_frequencies([pieces[i] for i in train], [pieces[i] for i in held])
    assert loss(before, rows.take(held)) > known
    assert loss(model, rows.take(held)) < known - 0.3
