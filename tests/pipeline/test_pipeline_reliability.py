"""How far a result can be trusted, end to end: measured after the verdict, limited, never fatal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pipeline_small import inline

from attain.core.errors import Interrupted
from attain.pipeline import reliability, reliability_jobs
from attain.pipeline import run as running
from attain.pipeline.reliability_jobs import PLANS, planned
from attain.pipeline.result import Result
from attain.pipeline.spec import StudySpec

Run = Callable[..., Result]
Make = Callable[..., StudySpec]


def recorded(result: Result) -> dict[str, Any]:
    records = [r for r in result.records if r.kind == "reliability"]
    assert len(records) == 1
    return dict(records[0].payload)


def weak_table(rows: int = 1_500) -> pd.DataFrame:
    """A label that is easy to predict but for older people in services, where it is a coin."""
    rng = np.random.default_rng(5)
    x, age = rng.normal(size=rows), rng.integers(18, 80, rows)
    job = rng.choice(["office", "craft", "services"], rows)
    bad = (age > 45) & (job == "services")
    label = np.where(bad, rng.random(rows) < 0.5, 4 * x + rng.logistic(size=rows) > 0)
    label = np.where(label, "yes", "no")
    return pd.DataFrame({"x": x, "age": age, "job": job, "label": label})


def test_everything_is_measured_after_the_verdict(run: Run) -> None:
    """Slices, accidents, seeds and the curve are recorded, between verdict and end."""
    result = run()
    kinds = [r.kind for r in result.records]
    assert kinds[-3:] == ["verdict", "reliability", "ended"]
    found = recorded(result)
    assert found["failed"] == {}
    assert found["metric"] == "roc_auc"
    assert found["slices"]["tried"] > 0
    assert found["perturbations"]["tried"] == 19
    assert found["seeds"]["same"]
    assert len(found["curve"]["points"]) == 4
    assert found["limits"] == []


def test_a_weak_slice_reaches_report_card_terminal_and_json(run: Run, tmp_path: Path) -> None:
    """The planted slice is named everywhere that a user looks, and becomes a next step."""
    path = tmp_path / "table.csv"
    weak_table().to_csv(path, index=False)
    result = run(objectives=["accuracy >= 0.6"])
    found = [s for s in recorded(result)["slices"]["slices"] if s["confirmed"]]
    assert any({c["column"] for c in s["conditions"]} == {"age", "job"} for s in found)
    evidence = json.loads((result.folder / "report.json").read_text(encoding="utf-8"))
    words = evidence["reliability"]["slices"]["shown"][0]["words"]
    assert "job is 'services'" in words
    assert any("weakest slice" in step["title"] for step in evidence["next"])
    assert f"weak where {words}" in " ".join(result.summary.split())
    card = result.card.read_text(encoding="utf-8")
    assert "## Reliability" in card
    assert "services" in card.split("## Reliability")[1]
    page = result.report.read_text(encoding="utf-8")
    assert 'id="reliability"' in page
    assert "services" in page.split('id="reliability"')[1]


def test_a_missed_target_is_told_which_limit_binds(run: Run) -> None:
    """A target beyond the noise of the data is missed, and the report does not ask for more of the
    same."""
    result = run(objectives=["roc_auc >= 0.995"])
    found = recorded(result)
    assert [limit["limit"] for limit in found["limits"]] in (["noise"], ["data"], ["model"])
    evidence = json.loads((result.folder / "report.json").read_text(encoding="utf-8"))
    titles = [step["title"] for step in evidence["next"]]
    assert any(title.startswith("What would help most") for title in titles)
    assert "Give the search more budget" not in titles


def test_the_seal_is_not_touched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sealed file may be gone by then: nothing of it is read."""
    found: list[bool] = []
    original = reliability.measure

    def without_seal(study: Any, *rest: Any) -> Any:
        sealed = study.folder / "data" / "sealed.arrow"
        sealed.rename(sealed.with_suffix(".away"))
        found.append(True)
        return original(study, *rest)

    monkeypatch.setattr(reliability, "measure", without_seal)
    assert recorded(run())["failed"] == {}
    assert found == [True]


@pytest.mark.parametrize("part", ["slices", "refits"])
def test_a_part_that_fails_never_fails_the_study(
    part: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict stands, the other part is there, and the report says what is missing."""

    def broken(payload: Any, progress: Any) -> Any:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(reliability_jobs, part, broken)
    result = run()
    found = recorded(result)
    assert result.verdict is not None
    assert "out of luck" in found["failed"][part]
    assert (found["slices"] is None) is (part == "slices")
    assert (found["perturbations"] is None) is (part == "refits")
    assert f"The {part} could not be measured" in result.report.read_text(encoding="utf-8")


def test_a_measurement_that_fails_leaves_the_others(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds and curve are kept when accidents cannot be tried; a note says so."""

    def broken(*args: Any, **more: Any) -> Any:
        raise ValueError("no luck")

    monkeypatch.setattr(reliability_jobs, "perturb", broken)
    found = recorded(run())
    assert found["perturbations"] is None
    assert found["seeds"]
    assert found["curve"]
    assert any("no luck" in note for note in found["notes"])


def test_it_is_measured_once(spec: Make) -> None:
    """A study that is stopped while it measures goes on there and keeps its verdict."""
    stopped = False

    def listen(notice: Any) -> None:
        nonlocal stopped
        if not stopped and notice.text == "checking how far the result can be trusted":
            stopped = True
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="finished trials are kept"):
        running.run(spec(), listen=listen, executors=inline)
    result = running.run(spec(), executors=inline)
    assert recorded(result)["failed"] == {}
    assert sum(r.kind == "verdict" for r in result.records) == 1
    again = running.run(spec(), executors=inline)
    assert len(again.records) == len(result.records)


def test_the_plan_fits_the_time() -> None:
    """More time gives a more thorough plan, no time still gives one fit, and folds are not made
    up."""
    assert [planned(s, 1.0, 5).seeds for s in (0.0, 3.9, 4.0, 7.0, 11.0)] == [1, 1, 3, 3, 5]
    assert planned(100.0, 1.0, 1).folds == 1
    assert planned(0.0, 10.0, 5) == PLANS[-1]
    for plan in PLANS[:-1]:
        cost = plan.folds + plan.seeds - 1 + plan.folds * sum(0.5**k for k in range(1, 4))
        assert cost <= plan.needs


def test_slow_fits_are_skipped_and_the_report_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a fit takes longer than is allowed, one is made and the rest is named as skipped."""
    monkeypatch.setattr(reliability, "LEAST_SECONDS", 1e-6)
    monkeypatch.setattr(reliability, "SHARE", 0.0)
    result = run()
    found = recorded(result)
    assert found["seeds"] is None
    assert found["curve"] is None
    assert found["perturbations"] is not None
    note = "no other seeds and no smaller training sets were tried"
    assert any(note in text for text in found["notes"])
    assert note in result.report.read_text(encoding="utf-8")


def test_a_regression_and_a_multiclass_study_are_measured_too(run: Run, tmp_path: Path) -> None:
    """Values and several classes get slices, accidents and limits as well."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=300), "b": rng.normal(size=300)})
    for name, y, goal in (
        ("values", 3 * frame["a"] + rng.normal(size=300), "rmse <= 0.1"),
        ("kinds", pd.cut(frame["a"], 3, labels=["x", "y", "z"]).astype(str), "accuracy >= 0.999"),
    ):
        path = tmp_path / f"{name}.csv"
        frame.assign(label=y).to_csv(path, index=False)
        folder = str(tmp_path / f"study-{name}")
        result = run(data=str(path), objectives=[goal], output=folder)
        found = recorded(result)
        assert found["failed"] == {}
        assert found["notes"] == []
        assert found["perturbations"]["tried"] == 10
        assert found["curve"]["forecast"]


def test_a_decision_threshold_is_kept_in_every_measurement(run: Run) -> None:
    """Where objectives fix a threshold, seeds and sizes are scored with it, near the confirmed
    score, and not at one half."""
    result = run(objectives=["precision >= 0.9", "maximize recall"])
    choice = next(r for r in result.records if r.kind == "choice").payload
    assert choice["threshold"]["value"] != 0.5
    found = recorded(result)
    assert found["failed"] == {}
    score = next(s for s in choice["confirmed"] if s["metric"] == found["metric"])
    assert found["curve"]["points"][-1]["estimate"] == pytest.approx(score["estimate"], abs=0.05)
