"""The seven steps end to end, in this process."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pipeline_small import FAKE, inline, table

from attain.core.errors import BlockedByAudit, Exit, Interrupted, SealError, SpecError
from attain.core.types import Record, VerdictState
from attain.pipeline import loop, saved
from attain.pipeline import run as running
from attain.pipeline.notice import Notice
from attain.pipeline.result import Result
from attain.pipeline.spec import StudySpec

Run = Callable[..., Result]
Make = Callable[..., StudySpec]


def kinds(records: Any) -> list[str]:
    return [r.kind for r in records]


def payloads(records: Any, kind: str) -> list[Any]:
    return [r.payload for r in records if r.kind == kind]


def test_a_study_reaches_a_verdict(run: Run) -> None:
    """Objectives to verdict: model, reports and exit code are there, the target is met."""
    result = run()
    assert result.exit is Exit.MET
    assert result.verdict is not None
    assert result.verdict.state is VerdictState.MET
    assert result.verdict.looks == 1
    assert result.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert result.card.exists()
    assert (result.folder / "report.json").exists()
    assert "ROC AUC at least 0.7" in result.summary


def test_steps_come_in_the_design_s_order(run: Run) -> None:
    """Each kind of record first appears after what it rests on, and parents are older."""
    records = run().records
    seen = list(dict.fromkeys(kinds(records)))
    order = [
        *("study", "objectives", "dataset", "seal", "audit", "feasibility", "split"),
        *("selection", "strategy", "trial", "outcome", "scored", "expected", "decision"),
        *("finalists", "choice", "refit", "explanation", "intent", "verdict"),
        *("reliability", "ended"),
    ]
    assert seen == order
    assert all(parent < record.id for record in records for parent in record.parents)


def test_the_budget_of_trials_is_kept(run: Run) -> None:
    """Six trials are asked, each once, each scored, and two baselines beside them."""
    records = run().records
    trials = [p["trial"] for p in payloads(records, "trial")]
    purposes = Counter(t["purpose"] for t in trials)
    assert purposes["search"] == 6
    assert purposes["baseline"] == 2
    assert 1 <= purposes["confirm"] <= 3
    points = [json.dumps(t["point"], sort_keys=True) for t in trials if t["purpose"] == "search"]
    assert len(set(points)) == 6


def test_sealed_rows_are_in_no_trial(run: Run) -> None:
    """Unsealed and sealed rows make up the data, and training knows only of the former."""
    result = run()
    dataset = payloads(result.records, "dataset")[0]["dataset"]
    seal = payloads(result.records, "seal")[0]["seal"]
    assert dataset["rows"] + seal["rows"] == 300
    assert payloads(result.records, "refit")[0]["rows"] == dataset["rows"]
    assert seal["path"] not in json.dumps(dataset)


def test_the_same_statement_gives_the_same_result(run: Run, tmp_path: Path) -> None:
    """Two runs in two folders agree in every trial, loss and sealed score."""

    def essence(result: Result) -> Any:
        verdict = payloads(result.records, "verdict")[0]
        return (
            [p["trial"]["point"] for p in payloads(result.records, "trial")],
            [p["loss"] for p in payloads(result.records, "scored")],
            [s["estimate"] for s in verdict["scores"] if s["metric"] == "roc_auc"],
        )

    assert essence(run()) == essence(run(output=str(tmp_path / "again")))


def test_another_seed_gives_another_search(run: Run, tmp_path: Path) -> None:
    """The seed reaches the seal, the folds and the strategy."""
    first, second = run(), run(output=str(tmp_path / "again"), seed=1)
    for kind, key in (("seal", "seal"), ("split", "split")):
        assert payloads(first.records, kind)[0][key] != payloads(second.records, kind)[0][key]


def test_running_an_ended_study_again_changes_nothing(run: Run) -> None:
    """The result is read back; no record is added, so no second look is taken."""
    first = run()
    second = run()
    assert kinds(first.records) == kinds(second.records)
    assert second.verdict == first.verdict


class StopAfter:
    """Asks a study to stop once so many records of a kind have appeared."""

    def __init__(self, kind: str, count: int) -> None:
        self.kind, self.left = kind, count

    def __call__(self, notice: Notice) -> None:
        record: Record | None = notice.record
        if record is not None and record.kind == self.kind:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


@pytest.fixture(scope="module")
def undisturbed() -> dict[str, Result]:
    """The study that interrupted ones are compared with, once it was run."""
    return {}


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *(("seal", 1), ("selection", 1), ("trial", 1), ("trial", 5), ("outcome", 3)),
        *(("outcome", 14), ("scored", 4), ("decision", 1), ("finalists", 1), ("choice", 1)),
        *(("refit", 1), ("explanation", 1), ("intent", 1), ("verdict", 1)),
        ("reliability", 1),
    ],
)
def test_an_interrupted_study_ends_where_the_undisturbed_one_does(
    kind: str, count: int, spec: Make, undisturbed: dict[str, Result], tmp_path: Path
) -> None:
    """Wherever it stops, the second run repeats no fold and reaches the same losses and verdict."""
    if not undisturbed:
        stated = spec(output=str(tmp_path / "whole"))
        undisturbed["whole"] = running.run(stated, executors=inline)
    whole = undisturbed["whole"]
    with pytest.raises(Interrupted, match="finished trials are kept"):
        running.run(spec(), listen=StopAfter(kind, count), executors=inline)
    resumed = running.run(spec(), executors=inline)

    def essence(result: Result) -> Any:
        verdict = payloads(result.records, "verdict")
        return (
            {p["trial"]: p["loss"] for p in payloads(result.records, "scored")},
            [p["decision"]["kind"] for p in payloads(result.records, "decision")],
            [p["trial"] for p in payloads(result.records, "choice")],
            [s for v in verdict for s in v["scores"] if s["metric"] in ("roc_auc", "log_loss")],
            [v["verdict"]["looks"] for v in verdict],
        )

    assert essence(resumed) == essence(whole)
    folds = [
        (p["outcome"]["trial"], p["outcome"]["fold"]) for p in payloads(resumed.records, "outcome")
    ]
    assert max(Counter(folds).values()) == 1
    assert len(payloads(resumed.records, "intent")) == 1


def test_a_changed_statement_is_refused_once_trials_exist(run: Run) -> None:
    """Scores made under different statements cannot be compared."""
    run()
    with pytest.raises(SpecError, match="goes on under the statement it began with"):
        run(objectives=["roc_auc >= 0.9"])


def test_changed_data_are_refused(run: Run, tmp_path: Path) -> None:
    """A study never mixes rows of two files."""
    run()
    table(seed=3).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(SpecError, match="the file has changed"):
        run()


def test_a_blocked_study_begins_anew_when_the_statement_is_repaired(
    run: Run, tmp_path: Path
) -> None:
    """A copy of the target blocks; ignoring it lets the same folder go on."""
    frame = table()
    frame["copy"] = frame["label"]
    frame.to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(BlockedByAudit, match="copy"):
        run()
    assert run(ignore=["copy"]).verdict is not None


@pytest.fixture
def no_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the linear baseline the searched learner is final."""
    monkeypatch.setattr(loop, "SIMPLEST", loop.CONSTANT)


def test_what_was_searched_in_vain_is_said(run: Run) -> None:
    """When every searched trial fails a plain linear model is delivered and the choice says why."""
    result = run(learners=["pipeline_learners:AlwaysRaises"])
    choice = payloads(result.records, "choice")[0]
    assert choice["trial"] == "b001"
    assert "no searched configuration succeeded" in choice["reason"]
    assert "never learns" in choice["reason"]


@pytest.mark.usefixtures("no_linear")
def test_nothing_that_works_is_said_plainly(run: Run) -> None:
    """When every trial fails there is no verdict, the exit code says so, and reports exist."""
    result = run(learners=["pipeline_learners:AlwaysRaises"])
    assert result.exit is Exit.NOT_MET
    assert result.verdict is None
    assert result.model is None
    assert "never learns" in payloads(result.records, "ended")[0]["reason"]
    assert result.report.exists()


def test_a_linear_baseline_that_is_best_becomes_final(run: Run) -> None:
    """A search that finds nothing better than a plain linear model says so by choosing it."""
    result = run(learners=["pipeline_learners:Confused"])
    assert payloads(result.records, "choice")[0]["trial"] == "b001"
    assert result.load().learner_name == "linear"


@pytest.mark.usefixtures("no_linear")
def test_a_model_that_does_not_survive_saving_is_never_tested(run: Run) -> None:
    """The saved model must reproduce its predictions before the seal is opened."""
    with pytest.raises(saved.ArtifactError, match="does not reproduce its predictions"):
        run(learners=["pipeline_learners:Forgetful"])


def test_a_second_look_needs_a_reason_and_costs_confidence(run: Run, spec: Make) -> None:
    """The look is counted, the interval is wider, and the report knows."""
    first = run()
    with pytest.raises(SealError, match="needs a reason"):
        running.look_again(spec(), " ", executors=inline)
    second = running.look_again(spec(), "the first report was lost", executors=inline)
    assert first.verdict is not None
    assert second.verdict is not None
    assert second.verdict.looks == 2
    assert second.verdict.confidence > first.verdict.confidence
    wide, narrow = second.verdict.objectives[0].score, first.verdict.objectives[0].score
    assert wide.high - wide.low > narrow.high - narrow.low
    assert wide.estimate == narrow.estimate


def test_a_look_before_the_end_is_refused(spec: Make) -> None:
    """There is nothing to test before a model is frozen."""
    with pytest.raises(SealError, match="holds no study"):
        running.look_again(spec(), "curious", executors=inline)


def test_another_model_cannot_use_an_announced_look(run: Run, spec: Make, tmp_path: Path) -> None:
    """After a crash between intent and verdict, only the frozen model may be tested."""
    with pytest.raises(Interrupted, match="kept"):
        running.run(spec(), listen=StopAfter("intent", 1), executors=inline)
    about = tmp_path / "study" / "model" / "model.json"
    about.write_text(about.read_text(encoding="utf-8") + " ", encoding="utf-8")
    with pytest.raises(Exception, match="was altered"):
        running.run(spec(), executors=inline)


def test_the_saved_model_predicts_from_raw_rows(run: Run) -> None:
    """Labels and probabilities for new rows, unseen categories included."""
    model = run().load()
    fresh = table(seed=9)
    fresh.loc[0, "colour"] = "violet"
    proba = model.raw(fresh)
    assert proba.shape == (300, 2)
    assert np.allclose(proba.sum(axis=1), 1)
    assert set(model.predict(fresh)) <= {"yes", "no"}
    frame = model.predict_frame(fresh.drop(columns="label"), proba=True)
    assert list(frame.columns) == ["label", "label=no", "label=yes"]
    accuracy = (model.predict(fresh) == fresh["label"]).mean()
    assert accuracy > 0.7


def test_the_positive_class_can_be_named(run: Run) -> None:
    """Precision and recall are then about that class."""
    result = run(positive="no", objectives=["maximize recall"])
    assert payloads(result.records, "dataset")[0]["dataset"]["classes"] == ["yes", "no"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positive": "maybe"}, "the positive class must occur"),
        ({"target": "lable"}, "did you mean 'label'"),
        ({"objectives": ["roc_auk >= 0.9"]}, "did you mean 'roc_auc'"),
        ({"objectives": ["rmse <= 3"]}, "rmse"),
        ({"groups": "nobody"}, "nobody"),
        ({"data": "nowhere.csv"}, "nowhere.csv"),
    ],
)
def test_what_does_not_fit_the_data_is_said_before_anything_is_spent(
    changes: dict[str, Any], message: str, run: Run
) -> None:
    """Bad statements end as one clear error, and no trial has run."""
    with pytest.raises(Exception, match=message) as caught:
        run(**changes)
    assert caught.type.__module__ == "attain.core.errors"


def test_a_users_test_file_is_sealed_as_it_is(run: Run, tmp_path: Path) -> None:
    """All rows of the data train; all rows of the file are sealed."""
    table(80, seed=5).to_csv(tmp_path / "test.csv", index=False)
    records = run(test=str(tmp_path / "test.csv")).records
    assert payloads(records, "dataset")[0]["dataset"]["rows"] == 300
    assert payloads(records, "seal")[0]["seal"]["rows"] == 80


def test_frames_in_memory_are_tuned_like_files(spec: Make, tmp_path: Path) -> None:
    """A pandas frame needs no file."""
    result = running.run(spec(data=table(), output=str(tmp_path / "frame")), executors=inline)
    assert isinstance(result.load().predict_frame(table(20, seed=2)), pd.DataFrame)


def test_regression_runs_too(run: Run, tmp_path: Path) -> None:
    """A numeric target gets regression metrics and a verdict."""
    frame = table().drop(columns="label")
    frame["value"] = 3 * frame["a"] + frame["b"] + np.random.default_rng(1).normal(size=300)
    frame.to_csv(tmp_path / "table.csv", index=False)
    result = run(target="value", objectives=["r2 >= 0.5", "minimize mae"])
    assert result.verdict is not None
    states = [v.state for v in result.verdict.objectives]
    assert states == [VerdictState.MET, VerdictState.REPORTED]
    with pytest.raises(SpecError, match=r"classes or labels of a row.*regression"):
        result.load().predict_frame(frame, proba=True)


def test_groups_stay_together_and_count_as_units(run: Run, tmp_path: Path) -> None:
    """No group is on both sides of the seal; intervals count groups."""
    frame = table()
    frame["person"] = np.arange(300) // 6
    frame.to_csv(tmp_path / "table.csv", index=False)
    result = run(groups="person")
    assert payloads(result.records, "seal")[0]["seal"]["groups"] > 1
    scores = payloads(result.records, "verdict")[0]["scores"]
    assert next(s for s in scores if s["metric"] == "roc_auc")["n"] <= 50


@pytest.mark.usefixtures("no_linear")
def test_a_tampered_model_is_refused(run: Run) -> None:
    """Altered, added and missing files are each named."""
    folder = run().folder / "model"
    arrays = folder / "learner" / "arrays.npz"
    content = arrays.read_bytes()
    arrays.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(saved.ArtifactError, match=r"arrays\.npz was altered"):
        saved.load(folder)
    arrays.unlink()
    with pytest.raises(saved.ArtifactError, match=r"arrays\.npz is missing"):
        saved.load(folder)
    arrays.write_bytes(content)
    (folder / "extra.py").write_text("print('hello')")
    with pytest.raises(saved.ArtifactError, match=r"extra\.py was added"):
        saved.load(folder)
    (folder / "extra.py").unlink()
    assert saved.load(folder).learner_name == FAKE
