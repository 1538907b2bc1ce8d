"""Whole studies of rows with several labels: from lists or separated text to predictions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from attain.core.errors import DataError, Exit, NotApplicable, SpecError
from attain.integrations.sklearn import from_folder
from attain.pipeline import saved
from attain.pipeline.spec import make_spec
from attain.report import evidence, html

WORDS = {
    "art": ("paint", "museum", "poem"),
    "money": ("bank", "tax", "market"),
    "sport": ("goal", "match", "team"),
    "war": ("tank", "army", "siege"),
}
SHARES = (0.3, 0.4, 0.4, 0.08)
QUICK = {"folds": 3, "repeats": 1, "rigor": "quick", "workers": 1, "seed": 3, "racing": False}


def news(rows=240, seed=0):
    """Texts that name their topics mostly, and lists of the topics."""
    rng = np.random.default_rng(seed)
    found = []
    for row in range(rows):
        topics = [t for t, share in zip(WORDS, SHARES, strict=True) if rng.random() < share]
        said = [rng.choice(WORDS[t]) for t in topics for _ in range(2) if rng.random() < 0.9]
        said += [*rng.choice(["the", "news", "some", "people", "said"], 6), f"n{row}"]
        found.append((" ".join(rng.permutation(said)), topics))
    return pd.DataFrame(found, columns=["text", "topics"])


def payloads(result, kind):
    return [r.payload for r in result.records if r.kind == kind]


def test_texts_with_topics(run):
    """Lists of topics end in a verdict, a table of labels, and predictions that are lists."""
    result = run(
        data=news(), target="topics", text=["text"], learners=["text"],
        objectives=["f1_micro >= 0.75"], budget="3 trials", **QUICK,
    )  # fmt: skip
    assert result.exit is Exit.MET
    (dataset,) = (p["dataset"] for p in payloads(result, "dataset"))
    assert (dataset["task"], dataset["classes"]) == ("multilabel", list(WORDS))
    metrics = {s["metric"]: s for s in payloads(result, "verdict")[0]["scores"]}
    assert {"f1_micro", "f1_macro", "subset_accuracy", "hamming_loss", "roc_auc_ovr"} <= set(
        metrics
    )
    assert (
        metrics["f1_micro"]["low"] < metrics["f1_micro"]["estimate"] < metrics["f1_micro"]["high"]
    )
    (told,) = payloads(result, "explanation")
    assert not told.get("failed")
    assert [entry["label"] for entry in told["per_class"]] == list(WORDS)
    assert told["confusion"] is told["calibration"] is told["residuals"] is None
    assert any("several labels" in note for note in told["notes"])
    (trust,) = payloads(result, "reliability")
    assert not trust["failed"]
    assert trust["perturbations"]["entries"]
    page = html.render(evidence.collect(result.records))
    assert "Each label" in page
    assert "Confusion" not in page
    model = saved.load(result.folder)
    asked = pd.DataFrame(
        {"text": ["the bank and the tax and a goal match", "the news some people said"]}
    )
    assert [json.loads(said) for said in model.predict(asked)] == [["money", "sport"], []]
    frame = model.predict_frame(asked, proba=True)
    assert list(frame.columns) == ["topics", *(f"topics={topic}" for topic in WORDS)]
    assert frame.loc[0, "topics=money"] > 0.5 > frame.loc[1, "topics=money"]
    with pytest.raises(SpecError, match="one class or value of a row"):
        model.explain(asked)
    with pytest.raises(NotApplicable, match="any number of labels"):
        from_folder(result.folder)


def test_a_table_with_separated_labels(run):
    """One model for each label, chosen by log loss; predictions are written as the target is."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200))
    tags = [
        "|".join(t for t, there in (("high", u > 0.3), ("odd", v > 0.8)) if there)
        for u, v in zip(a, b, strict=True)
    ]
    frame = pd.DataFrame({"a": a, "b": b, "tags": tags})
    result = run(
        data=frame, target="tags", labels="|", learners=["linear"],
        objectives=["log_loss <= 0.4", "f1_macro >= 0.7"], budget="4 trials", **QUICK,
    )  # fmt: skip
    assert result.exit in (Exit.MET, Exit.NOT_DECIDABLE)
    assert not payloads(result, "calibration")
    (told,) = payloads(result, "explanation")
    assert not told.get("failed")
    assert {entry["columns"][0] for entry in told["importance"]} == {"a", "b"}
    (trust,) = payloads(result, "reliability")
    assert not trust["failed"]
    predicted = saved.load(result.folder).predict(
        pd.DataFrame({"a": [2.0, -2.0], "b": [2.0, -2.0]})
    )
    assert predicted.tolist() == ["high|odd", ""]


def test_statements_that_do_not_fit_labels(run):
    """A metric of classes is answered with one of labels; a separator must separate."""
    with pytest.raises(SpecError, match=r"accuracy.*multilabel.*subset_accuracy"):
        run(data=news(60), target="topics", objectives=["accuracy >= 0.5"], **QUICK)
    with pytest.raises(SpecError, match="stands between labels"):
        make_spec({"data": "a.csv", "target": "t", "labels": "and"})
    frame = pd.DataFrame({"x": np.arange(40.0), "y": [0.5, 1.5] * 20})
    with pytest.raises(DataError, match="for task: multilabel"):
        run(data=frame, target="y", task="regression", labels="|", objectives=["rmse"], **QUICK)
