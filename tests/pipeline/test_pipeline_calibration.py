"""Calibrated probabilities: when they are wanted, and everywhere that the final model predicts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import json_reader
import numpy as np
import pytest
from pipeline_small import table

from attain.core.errors import ArtifactError
from attain.core.registry import find
from attain.core.types import Task
from attain.data.load import load_frame
from attain.data.table import to_rows
from attain.integrations.sklearn import from_folder
from attain.objectives import parse
from attain.pipeline import exports, final_jobs, loop, saved
from attain.pipeline.calibration import Calibrated, calibrated, methods
from attain.pipeline.result import Result
from attain.stats.calibrate import Calibrator
from attain.validate.metrics import compute

Run = Callable[..., Result]
SHARP = "pipeline_learners:Sharp"


def payloads(result: Result, kind: str) -> list[Any]:
    return [r.payload for r in result.records if r.kind == kind]


@pytest.fixture
def sharp(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """A study whose only learner is far too sure; no linear baseline beats it."""
    monkeypatch.setattr(loop, "SIMPLEST", loop.CONSTANT)
    return lambda **changes: run(learners=[SHARP], **{"objectives": ["log_loss"], **changes})


@pytest.mark.parametrize(
    ("statements", "wanted"),
    [
        (["log_loss"], ("temperature", "platt", "isotonic")),
        (["brier <= 0.2", "accuracy"], ("temperature", "platt", "isotonic")),
        (["ece <= 0.05", "roc_auc"], ("temperature", "platt")),
        (["roc_auc"], ()),
        (["accuracy", "average_precision"], ()),
        (["f1 >= 0.7", "latency_p95_ms <= 5"], ()),
    ],
)
def test_which_objectives_ask_for_calibration(statements: list[str], wanted: tuple[str]) -> None:
    """Losses of probabilities do, rankings and labels do not; a ranking forbids ties."""
    assert methods(parse.parse(statements, Task.BINARY)) == wanted


def test_the_final_model_is_calibrated_everywhere(sharp: Run, tmp_path: Any) -> None:
    """End to end: recorded before the refit, told in every report, saved as plain JSON, applied by
    predict, by the estimator, by the sealed test and by whoever reads the exported document."""
    result = sharp()
    order = [r.kind for r in result.records]
    assert order.index("choice") < order.index("calibration") < order.index("refit")
    made = payloads(result, "calibration")[0]
    assert made["calibrator"]["method"] == "temperature"
    assert made["calibrator"]["values"][0] > 2
    assert made["reason"].startswith("probabilities were calibrated by temperature ")
    assert "on rows not used for it" in made["reason"]
    told = " ".join(result.summary.split())
    assert "Probabilities were calibrated by temperature" in told
    assert "**Calibration:** Probabilities were" in result.card.read_text(encoding="utf-8")
    assert "Probabilities were calibrated by" in result.report.read_text(encoding="utf-8")
    model, frame = saved.load(result.folder), table(400, seed=5)
    raw = find("learner", SHARP)().predict(model.model, to_rows(frame, model.dataset))
    wanted = Calibrator("temperature", tuple(made["calibrator"]["values"]))(raw)
    assert np.array_equal(model.raw(frame), wanted)
    assert not np.allclose(wanted, raw, atol=0.05)
    assert np.array_equal(from_folder(result.folder).predict_proba(frame), wanted)
    exports.write(result.folder, tmp_path / "model.json", "json")
    about = json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))["about"]
    assert json_reader.calibrated(raw, about["calibrator"]) == pytest.approx(wanted, abs=1e-6)
    sealed = load_frame(result.folder / "data" / "sealed.arrow")
    y = (sealed["label"].to_numpy() == "yes").astype(int)
    scores = {s["metric"]: s["estimate"] for s in payloads(result, "verdict")[0]["scores"]}
    assert scores["log_loss"] == pytest.approx(compute("log_loss", y, model.raw(sealed)))
    raw_sealed = find("learner", SHARP)().predict(model.model, to_rows(sealed, model.dataset))
    assert scores["log_loss"] < compute("log_loss", y, raw_sealed)


def test_the_confirmed_score_is_the_calibrated_one(sharp: Run) -> None:
    """Configurations are compared as the final model will be, in the search and afterwards."""
    result = sharp()
    scored = {p["trial"]: p for p in payloads(result, "scored")}
    choice = payloads(result, "choice")[0]
    confirmed = scored[choice["confirmation"]]
    assert confirmed["calibration"] == choice["calibration"]
    searched = scored[choice["trial"]]
    assert searched["calibration"]["calibrator"]["method"] == "temperature"

    def loss(one: Any) -> float:
        return float(next(s["estimate"] for s in one["scores"] if s["metric"] == "log_loss"))

    before, after = re.findall(r"0\.\d+", choice["calibration"]["reason"])[-2:]
    assert loss(confirmed) == pytest.approx(float(after), abs=1e-3)
    assert float(after) < float(before)
    assert loss(searched) == pytest.approx(
        loss(confirmed), abs=0.5 * float(before) - 0.5 * float(after)
    )
    corrected = payloads(result, "expected")[-1]["scores"][0]
    assert corrected["metric"] == "log_loss"
    assert abs(corrected["estimate"] - loss(searched)) < 0.5 * (float(before) - float(after))


def test_the_search_prefers_knowledge_to_modesty(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is too sure but knows more wins over one that is modest and knows less."""
    monkeypatch.setattr(loop, "SIMPLEST", loop.CONSTANT)
    result = run(learners=["pipeline_learners:SureOrModest"], objectives=["log_loss"])
    trials = {p["trial"]["id"]: p["trial"]["config"] for p in payloads(result, "trial")}
    assert trials[payloads(result, "choice")[0]["trial"]]["kind"] == "sure"


def test_thresholds_are_placed_on_calibrated_probabilities(sharp: Run) -> None:
    """Calibrate first, then certify: the threshold keeps its promise in the calibrated scale."""
    result = sharp(objectives=["specificity >= 0.7", "maximize recall", "log_loss"])
    model = saved.load(result.folder)
    assert payloads(result, "calibration")[0]["calibrator"] is not None
    assert payloads(result, "threshold")[0]["certified"]
    sealed = load_frame(result.folder / "data" / "sealed.arrow")
    said = model.predict(sealed)
    assert list(said == "yes") == list(model.raw(sealed)[:, 1] >= model.threshold)
    true = sealed["label"].to_numpy()
    assert np.mean(said[true == "no"] == "no") > 0.6


def test_explanations_and_reliability_see_calibrated_probabilities(
    sharp: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out-of-fold predictions behind both are calibrated by folds that do not hold the row."""
    found = []
    real = final_jobs.out_of_fold

    def spy(payload: Any, dataset: Any, rows: Any) -> np.ndarray:
        made = real(payload, dataset, rows)
        found.append((made, real({**payload, "calibrator": None}, dataset, rows), rows.y))
        return made

    monkeypatch.setattr(final_jobs, "out_of_fold", spy)
    result = sharp()
    after, before, y = found[0]
    assert compute("log_loss", y, after) < compute("log_loss", y, before)
    explained = payloads(result, "explanation")[0]
    assert "failed" not in explained
    reliability = payloads(result, "reliability")[0]
    assert reliability["failed"] == {}


def test_good_probabilities_are_left_alone(run: Run) -> None:
    """A learner that is calibrated keeps its probabilities, and the report says why."""
    result = run(objectives=["log_loss"])
    made = payloads(result, "calibration")[0]
    assert made["calibrator"] is None
    assert made["reason"].startswith("probabilities were left as they are: no calibration lowers")
    about = json.loads((result.folder / "model" / "model.json").read_text(encoding="utf-8"))
    assert "calibrator" not in about


def test_rankings_and_labels_leave_probabilities_alone(sharp: Run) -> None:
    """Nothing is recorded, saved or changed when no objective reads probabilities."""
    result = sharp(objectives=["roc_auc"])
    assert payloads(result, "calibration") == []
    model, frame = saved.load(result.folder), table(50, seed=5)
    raw = find("learner", SHARP)().predict(model.model, to_rows(frame, model.dataset))
    assert np.array_equal(model.raw(frame), raw)


def test_a_saved_calibrator_must_be_one(sharp: Run) -> None:
    """A model folder with something else in its place is refused with its path."""
    folder = sharp().folder / "model"
    about = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**about, "calibrator": "warm"}))
    with pytest.raises(ArtifactError, match=r"model\.json cannot be read"):
        saved.read_about(folder)


@pytest.mark.parametrize(
    "calibrator",
    [
        Calibrator("temperature", (2.5,)),
        Calibrator("platt", (0.7, -0.2)),
        Calibrator("isotonic", (0.1, 0.4, 0.9), (0.2, 0.5, 0.6)),
    ],
)
def test_the_documented_formulas_are_the_calibrators(calibrator: Calibrator) -> None:
    """A reader that knows only docs/model-format.md calibrates alike."""
    second = np.random.default_rng(0).random(50)
    p = np.stack([1 - second, second], axis=1)
    found = json_reader.calibrated(p, json.loads(json.dumps(asdict(calibrator))))
    assert found == pytest.approx(calibrator(p), abs=1e-12)


def test_a_calibrated_learner_is_the_learner_otherwise() -> None:
    """Without a calibrator it is the very same; with one, everything but predicting is its own."""
    learner = find("learner", SHARP)()
    assert calibrated(learner, None) is learner
    wrapped = calibrated(learner, asdict(Calibrator("temperature", (2.0,))))
    assert isinstance(wrapped, Calibrated)
    assert wrapped.fit == learner.fit
    assert getattr(wrapped, "stops_early", False) == getattr(learner, "stops_early", False)
