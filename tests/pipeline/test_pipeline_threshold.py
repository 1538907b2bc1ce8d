"""Objectives that a decision threshold keeps: certified before the seal, saved, applied, judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pipeline_small import table

from attain.core.errors import ArtifactError
from attain.core.types import Direction, Objective, Task
from attain.data.load import load_frame
from attain.data.seal import load_work
from attain.integrations.sklearn import from_folder
from attain.objectives import parse
from attain.pipeline import saved
from attain.pipeline.result import Result
from attain.pipeline.threshold import choose, promises

Run = Callable[..., Result]
PAIR = ["specificity >= 0.85", "maximize recall"]


def payloads(result: Result, kind: str) -> list[Any]:
    return [r.payload for r in result.records if r.kind == kind]


@pytest.mark.parametrize(
    ("statements", "kept"),
    [
        (["precision >= 0.9", "maximize recall"], ["precision >= 0.9"]),
        (["recall >= 0.9", "maximize precision"], ["recall >= 0.9"]),
        (["specificity >= 0.9", "f1"], ["specificity >= 0.9"]),
        (["precision >= 0.9", "recall >= 0.5"], ["precision >= 0.9", "recall >= 0.5"]),
        (["precision >= 0.9"], []),
        (["precision >= 0.9", "roc_auc >= 0.8"], []),
        (["maximize precision", "maximize recall"], []),
        (["accuracy >= 0.9", "maximize f1"], []),
    ],
)
def test_which_objectives_ask_for_a_threshold(statements: list[str], kept: list[str]) -> None:
    """A target on a proportion that can be certified, and something else to win by deciding."""
    stated = parse.parse(statements, Task.BINARY)
    assert [str(o) for o in promises(stated, Task.BINARY)] == kept
    assert promises(stated, Task.MULTICLASS) == ()


def test_the_threshold_is_certified_and_changes_predictions(run: Run) -> None:
    """End to end: fixed before the seal is opened, saved with the model, applied by predict, by the
    frame of predictions and by the scikit-learn estimator, and behind the sealed metrics."""
    result = run(objectives=PAIR)
    order = [r.kind for r in result.records]
    assert order.index("choice") < order.index("threshold") < order.index("refit")
    assert order.index("refit") < order.index("intent")
    chosen = payloads(result, "threshold")[0]
    assert chosen["certified"]
    assert chosen["promises"] == ["specificity >= 0.85"]
    assert "certified for specificity >= 0.85 with 0.95 confidence" in chosen["reason"]
    assert "Threshold: positive from a probability of" in result.summary
    assert "**Decision threshold:** Positive from" in result.card.read_text(encoding="utf-8")
    assert "<b>Decision threshold</b>: Positive from" in result.report.read_text(encoding="utf-8")
    model = saved.load(result.folder)
    assert model.threshold == chosen["value"] != 0.5
    about = json.loads((result.folder / "model" / "model.json").read_text(encoding="utf-8"))
    assert about["threshold"] == chosen["value"]
    frame = table(400, seed=5)
    chance, said = model.raw(frame)[:, 1], model.predict(frame)
    assert list(said == "yes") == list(chance >= model.threshold)
    assert (said != np.where(chance >= 0.5, "yes", "no")).any()
    assert list(model.predict_frame(frame)["label"]) == list(said)
    assert list(from_folder(result.folder).predict(frame)) == list(said)


def test_the_sealed_metrics_use_it(run: Run) -> None:
    """Recall on the sealed rows is that of the threshold, ROC AUC that of the probabilities."""
    result = run(objectives=[*PAIR, "roc_auc"])
    model = saved.load(result.folder)
    sealed = load_frame(result.folder / "data" / "sealed.arrow")
    said, true = model.predict(sealed), sealed["label"].to_numpy()
    scores = {s["metric"]: s for s in payloads(result, "verdict")[0]["scores"]}
    assert scores["recall"]["estimate"] == pytest.approx(np.mean(said[true == "yes"] == "yes"))
    assert scores["specificity"]["estimate"] == pytest.approx(np.mean(said[true == "no"] == "no"))
    assert scores["roc_auc"]["estimate"] > 0.8


def test_trials_are_scored_at_their_own_thresholds(run: Run) -> None:
    """Each configuration is judged by what it would do, so the search looks for what is wanted."""
    scored = [p for p in payloads(run(objectives=PAIR), "scored") if p["search"]]
    assert all(0 <= p["threshold"]["value"] <= 1 for p in scored)
    best = min(scored, key=lambda p: p["loss"])
    values = {s["metric"]: s["estimate"] for s in best["scores"]}
    assert best["threshold"]["certified"]
    assert values["specificity"] > 0.85


def test_without_such_objectives_nothing_changes(run: Run) -> None:
    """No threshold is recorded or saved, and one half decides."""
    result = run()
    assert payloads(result, "threshold") == []
    model = saved.load(result.folder)
    assert model.threshold is None
    frame = load_work(result.folder)
    assert list(model.predict(frame) == "yes") == list(model.raw(frame)[:, 1] >= 0.5)


def test_an_impossible_promise_is_answered(run: Run) -> None:
    """What no threshold achieves is said, and the verdict does not claim it."""
    result = run(objectives=["precision >= 0.999", "maximize recall"])
    chosen = payloads(result, "threshold")[0]
    assert not chosen["certified"]
    assert chosen["reason"].startswith("no threshold achieves precision >= 0.999 with 0.95")
    states = {
        v["objective"]["metric"]: v["state"]
        for v in payloads(result, "verdict")[0]["verdict"]["objectives"]
    }
    assert states["precision"] != "met"


def test_a_saved_threshold_must_be_a_number(run: Run) -> None:
    """A model folder whose threshold is no number is refused with its path."""
    folder = run(objectives=PAIR).folder / "model"
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**about, "threshold": "high"}))
    with pytest.raises(ArtifactError, match=r"model\.json cannot be read"):
        saved.read_about(folder)


def test_the_best_certified_threshold_is_chosen() -> None:
    """Among certified thresholds the goal decides: recall asks for the loosest of them."""
    rng = np.random.default_rng(0)
    y = (rng.random(4_000) < 0.3).astype(int)
    score = 1 / (1 + np.exp(-(rng.normal(size=4_000) + 2.5 * y - 1.5)))
    prediction = np.stack([1 - score, score], axis=1)
    kept = Objective("precision", Direction.MAXIMIZE, 0.85, low=0.0, high=1.0)
    recall = Objective("recall", Direction.MAXIMIZE, low=0.0, high=1.0)
    loose = choose((kept, recall), y, prediction, None)
    strict = choose(
        (kept, Objective("specificity", Direction.MAXIMIZE, low=0.0, high=1.0)), y, prediction, None
    )
    assert loose.certified
    assert strict.certified
    assert loose.value < strict.value
    said = score >= loose.value
    assert y[said].mean() > 0.85
