"""Preferences: they are learnt, and whether tuning moved a model toward them is measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from llm_toys import described, write_llm

from attain.core.errors import DataError
from attain.core.language import COLUMNS, place
from attain.core.protocols import FitData
from attain.core.types import Signal
from attain.data.pretrained import describe_pretrained
from attain.learners._llm import work
from attain.learners.llm import Llm
from attain.validate.metrics import compute

TUNED = {"rung": "lora", "epochs": 3, "lora_learning_rate": 2e-3, "beta": 0.5, "batch": 4}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A pre-trained model in a folder of its own."""
    folder = tmp_path_factory.mktemp("base") / "model"
    folder.mkdir()
    write_llm(folder)
    return describe_pretrained(str(folder), folder.parent)


@pytest.fixture(scope="module")
def pairs(base):
    """Rows whose chosen answer begins with x."""
    letters = np.random.default_rng(0).choice(list("ab"), 60)
    frame = pd.DataFrame(
        {"prompt": [f"{i}" for i in range(60)], "chosen": [f"x{c}" for c in letters],
         "rejected": [f"y{c}" for c in letters]}
    )  # fmt: skip
    return described(frame, "chosen", base)


def fit(pairs, config, seen=None):
    dataset, rows = pairs
    data = FitData(dataset, rows.take(np.arange(40)), rows.take(np.arange(40, 48)), seed=1)

    def report(step, values):
        if seen is not None:
            seen.append(values)
        return Signal.CONTINUE

    return Llm().fit(config, data, report)


@pytest.fixture(scope="module")
def models(pairs):
    """The model as it is, with examples, and tuned."""
    return {
        "prompt": fit(pairs, {"rung": "prompt"}),
        "few_shot": fit(pairs, {"rung": "few_shot", "shots": 2}),
        "lora": fit(pairs, TUNED),
    }


def held(pairs):
    return pairs[1].take(np.arange(48, 60))


def leads(model, rows):
    """Nats by which each chosen answer leads, one row at a time, from the losses of both."""
    swapped = rows.X.rename(columns={"chosen": "rejected", "rejected": "chosen"})
    both = (rows, replace(rows, X=swapped[list(rows.X)]))
    one, other = (
        np.array([Llm().predict(model, r.take([i]))[0, place("loss")] for i in range(len(r))])
        for r in both
    )
    return other - one


def test_preferences_are_learnt(pairs, models):
    """DPO: pairs that were not seen are won more often than before, from a loss of log 2."""
    seen = []
    model = fit(pairs, TUNED, seen)
    stop = [v["stop"] for v in seen if "stop" in v]
    assert stop[-1] < stop[0] < np.log(2) + 0.05
    before, after = (
        Llm().predict(m, held(pairs))[:, place("won")].mean() for m in (models["prompt"], model)
    )
    assert after > before or after == 1.0


def test_a_reward_is_what_tuning_has_added(pairs, models):
    """`grown` is what the leads of both models say, each computed apart."""
    rows = held(pairs)
    before = leads(models["prompt"], rows)
    for name in ("few_shot", "lora"):
        found = Llm().predict(models[name], rows)
        assert found[:, place("compared")].all()
        expected = (leads(models[name], rows) > before).astype(float)
        assert list(found[:, place("grown")]) == list(expected)
    assert compute("reward_accuracy", rows.y, Llm().predict(models["lora"], rows)) > 0.8


def test_the_model_as_it_is_has_no_rewards(pairs, models):
    """Each pair is a draw, exactly."""
    found = Llm().predict(models["prompt"], held(pairs))
    assert compute("reward_accuracy", held(pairs).y, found) == 0.5


def test_a_tuned_model_is_compared_after_loading_as_long_as_its_base_is_there(
    pairs, base, models, tmp_path
):
    """The saved model gives the same counts; without the base none, and the metric says so."""
    model, rows = models["lora"], held(pairs)
    model.save(tmp_path)
    loaded = Llm().load(tmp_path)
    np.testing.assert_array_equal(Llm().predict(loaded, rows), Llm().predict(model, rows))
    gone = replace(loaded, source=str(tmp_path / "gone"))
    found = Llm().predict(gone, rows)
    columns = [i for i, name in enumerate(COLUMNS) if name not in ("compared", "grown")]
    np.testing.assert_array_equal(found[:, columns], Llm().predict(model, rows)[:, columns])
    with pytest.raises(DataError, match="undefined without"):
        compute("reward_accuracy", rows.y, found)


def test_what_the_base_says_is_computed_once(pairs, models, monkeypatch):
    """Trials of a process share it; another model, format or row makes it anew."""
    asked = []
    plain = work.Pairs.log_probabilities
    monkeypatch.setattr(work, "_said", type(work._said)())
    monkeypatch.setattr(
        work.Pairs, "log_probabilities",
        lambda self, *rest: asked.append(len(self)) or plain(self, *rest),
    )  # fmt: skip
    rows = held(pairs)
    first = Llm().predict(models["lora"], rows)
    np.testing.assert_array_equal(Llm().predict(models["lora"], rows), first)
    assert asked == [12]
    Llm().predict(models["lora"], rows.take(np.arange(5)))
    assert asked == [12, 5]


@pytest.mark.parametrize(
    ("rows", "rate"), [(10, 2.5e-4), (200, 2.2e-4), (2000, 7.1e-5), (10**5, 5e-5)]
)
def test_few_pairs_are_tuned_at_a_higher_rate(rows, rate):
    """With few steps to take the usual rate changes nothing; with many it is the usual one."""
    frame = pd.DataFrame({"prompt": "a", "chosen": "b", "rejected": "c"}, index=range(10))
    dataset, _ = described(frame, "chosen")
    space = Llm().space(replace(dataset, rows=rows))
    assert space["lora_learning_rate"].default == pytest.approx(rate)
    assert space["learning_rate"].default == pytest.approx(rate / 50, rel=0.03)
