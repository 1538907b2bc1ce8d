"""Nested cross-validation: honest where nothing can be learnt, within its time, told beforehand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pipeline_small import inline

from attain.cli.board import Board
from attain.cli.plain import lines
from attain.core.types import Split, SplitKind
from attain.pipeline import api, finish, loop, nested, nested_jobs
from attain.pipeline import run as running
from attain.pipeline.jobs import all_folds
from attain.pipeline.result import Result
from attain.pipeline.rigor import LEVELS, Rigor, nested_cost
from attain.pipeline.spec import StudySpec

Run = Callable[..., Result]
GUESS = "pipeline_learners:Guess"
MAX = {"rigor": "max", "repeats": 1, "budget": "4 trials"}


def payloads(result: Result, kind: str) -> list[Any]:
    return [r.payload for r in result.records if r.kind == kind]


def estimate(scores: list[Any], metric: str) -> float:
    return float(next(s["estimate"] for s in scores if s["metric"] == metric))


def test_the_search_is_repeated_and_shown_beside_the_other_scores(run: Run) -> None:
    """`rigor: max` records it before the choice, with as many configurations as the search tried,
    and every report shows it; `standard` does nothing of it."""
    result = run(**MAX)
    order = [r.kind for r in result.records]
    assert order.index("decision") < order.index("nested") < order.index("choice")
    found = payloads(result, "nested")[0]
    assert found["failed"] == ""
    assert found["trials"] == [4, 4, 4]
    assert found["wanted"] == 4
    assert {s["metric"] for s in found["scores"]} == {"roc_auc", "accuracy"}
    assert estimate(found["scores"], "roc_auc") > 0.75
    assert "The search repeated, on rows left out" in result.summary
    page = result.report.read_text(encoding="utf-8")
    assert "The search repeated, on rows left out" in page
    assert "The search repeated in 3 outer folds (4 configurations): " in page
    record = next(r for r in result.records if r.kind == "nested")
    (line,) = lines(Board(), Board(), record)
    assert line.startswith("search repeated on outer folds: roc_auc 0.")
    assert [name for name, level in LEVELS.items() if level.nested] == ["max"]


def test_by_default_nothing_is_repeated(run: Run) -> None:
    """Another rigor leaves it out altogether."""
    assert payloads(run(budget="2 trials"), "nested") == []


def test_no_outer_row_is_seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is fitted inside an outer fold is fitted on its training rows."""
    seen: list[tuple[int, np.ndarray]] = []
    real = nested_jobs.fit_data

    def spy(learner: Any, payload: Any, dataset: Any, rows: Any, index: Any) -> Any:
        if "fold" in payload:
            outer = all_folds(payload["folder"], payload["split"], dataset)[payload["fold"]]
            seen.append((int(np.isin(index, outer.valid).sum()), index))
        return real(learner, payload, dataset, rows, index)

    monkeypatch.setattr(nested_jobs, "fit_data", spy)
    run(**MAX)
    assert len(seen) == 3 * (4 * 3 + 1)
    assert sum(leaked for leaked, _ in seen) == 0


def test_where_nothing_can_be_learnt_it_says_so(
    tmp_path: Path, spec: Callable[..., StudySpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A learner that guesses, six studies: the best of eight looks much better than chance, the
    repeated search as good as chance."""
    level = Rigor(repeats=False, finalists=1, confirmations=1, nested=True)
    monkeypatch.setattr(finish, "LEVELS", {"max": level})
    monkeypatch.setattr(finish.reliability, "measure", lambda *_: {"failed": {}})
    monkeypatch.setattr(finish.Ending, "_explain", lambda *_: None)
    monkeypatch.setattr(loop, "SIMPLEST", loop.CONSTANT)
    naive, honest = [], []
    for seed in range(6):
        stated = {**MAX, "learners": [GUESS], "objectives": ["roc_auc"], "seed": seed}
        stated |= {"budget": "8 trials", "output": str(tmp_path / f"study{seed}")}
        made = spec(**stated)
        result = running.run(made, executors=inline)
        naive.append(estimate(payloads(result, "choice")[0]["naive"], "roc_auc"))
        honest.append(estimate(payloads(result, "nested")[0]["scores"], "roc_auc"))
    assert np.mean(naive) > 0.53
    assert abs(np.mean(honest) - 0.5) < 3 * 0.038 / np.sqrt(6)


def test_it_ends_with_its_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of time after the first configuration: that one is used, and the record says how many."""
    monkeypatch.setattr(nested_jobs, "_FOR_THE_LAST", 0.0)
    found = payloads(run(**{**MAX, "budget": "4 trials, 9 min"}), "nested")[0]
    assert found["trials"] == [1, 1, 1]
    assert found["wanted"] == 4
    assert found["scores"]


def test_without_time_it_is_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """When confirming has taken all that was left, nothing is begun."""
    monkeypatch.setattr(nested, "_replayed", lambda *_: pytest.fail("it must not begin"))
    monkeypatch.setattr("attain.pipeline.reliability.reserved_seconds", lambda study: 1e9)
    monkeypatch.setattr("attain.pipeline.loop.reserved_seconds", lambda study: 0.0)
    result = run(**{**MAX, "budget": "4 trials, 9 min"})
    assert payloads(result, "nested")[0]["failed"] == "no time was left for it"
    assert result.verdict is not None


def test_a_failure_does_not_end_the_study(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """When no configuration can be fitted in an outer fold, the report says why and goes on."""
    monkeypatch.setattr(nested_jobs._Inside, "validated", lambda *_: None)
    result = run(**MAX)
    found = payloads(result, "nested")[0]
    assert "none of 4 configurations could be fitted" in found["failed"]
    assert found["scores"] == []
    assert result.verdict is not None
    assert "Not done: " in result.report.read_text(encoding="utf-8")


def test_thresholds_and_calibration_are_chosen_inside(run: Run) -> None:
    """The repeated procedure decides as the study does: certified threshold, calibrated first."""
    result = run(**MAX, objectives=["specificity >= 0.7", "maximize recall", "log_loss"])
    scores = payloads(result, "nested")[0]["scores"]
    assert {s["metric"] for s in scores} == {"specificity", "recall", "log_loss"}
    assert estimate(scores, "specificity") > 0.6


@pytest.mark.parametrize(
    ("folds", "repeats", "times"), [(5, 1, 1.0), (5, 3, 1 / 3), (1, 1, 5.0), (3, 1, 2.0)]
)
def test_what_it_costs(folds: int, repeats: int, times: float) -> None:
    """By rows fitted: about one search by five folds, less if folds were drawn several times."""
    kind = SplitKind.HOLDOUT if folds == 1 else SplitKind.STRATIFIED
    assert nested_cost(Split(kind, folds, repeats)) == pytest.approx(times, rel=0.01)


def test_the_plan_tells_what_it_costs(spec: Callable[..., StudySpec]) -> None:
    """`attain plan` says so before anything is spent."""
    told = "nested cross-validation takes about 0.67 times as long as the search on top"
    assert told not in api.plan(spec()).cost
    assert "nested" not in api.plan(spec()).cost
    found = api.plan(spec(rigor="max", folds=3, repeats=3)).cost
    assert found.endswith(told)
