"""The time budget: what counts, what is dropped when it is used up, what is kept back."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from attain.core.space import Float, Space
from attain.core.types import Status
from attain.pipeline.loop import Search
from attain.pipeline.notice import Notice
from attain.pipeline.result import Result
from attain.pipeline.scoring import Scored
from attain.pipeline.study import Study

Run = Callable[..., Result]


def payloads(result: Result, kind: str) -> list[Any]:
    return [r.payload for r in result.records if r.kind == kind]


def out_of_time_after(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock says that nothing is left as soon as a record of a kind is there."""
    monkeypatch.setattr(Study, "seconds_left", lambda study: 0.0 if study.last(kind) else math.inf)


def out_of_time_with(monkeypatch: pytest.MonkeyPatch, prefix: str, folds: int) -> None:
    """The clock says that nothing is left once so many folds of trials of a kind are done."""

    def left(study: Study) -> float:
        done = [r.payload["outcome"]["trial"] for r in study.of("outcome")]
        return 0.0 if sum(name.startswith(prefix) for name in done) >= folds else math.inf

    monkeypatch.setattr(Study, "seconds_left", left)


def test_a_finalist_that_time_does_not_allow_to_confirm_is_delivered_unconfirmed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time left nothing is confirmed; model, summary and report say so."""
    out_of_time_after("finalists", monkeypatch)
    result = run(budget="6 trials, 5 min")
    assert not [p for p in payloads(result, "scored") if p["trial"].startswith("c")]
    choice = payloads(result, "choice")[0]
    assert choice["confirmed"] == []
    assert choice["confirmation"] == choice["trial"]
    assert "none was confirmed on fresh folds" in choice["reason"]
    assert result.verdict is not None
    assert "Not confirmed on fresh folds" in result.summary
    assert "was not confirmed on fresh folds" in result.report.read_text(encoding="utf-8")
    assert payloads(result, "reliability")[0]["failed"] == {}


def test_a_confirmation_that_is_cut_off_counts_on_the_folds_it_has(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two fresh folds of the first finalist are kept; the others are dropped."""
    monkeypatch.setattr("attain.pipeline.finish.paired_noise", lambda trials: 1.0)
    out_of_time_with(monkeypatch, "c", 2)
    result = run(budget="6 trials, 5 min")
    ended = {p["trial"]: p for p in payloads(result, "scored") if p["trial"].startswith("c")}
    assert [ended[f"c00{k}"]["status"] for k in (1, 2, 3)] == ["done", "cancelled", "cancelled"]
    assert ended["c001"]["message"].startswith("2 of 3 folds")
    choice = payloads(result, "choice")[0]
    fresh = {s["metric"]: s["n"] for s in choice["confirmed"]}
    naive = {s["metric"]: s["n"] for s in choice["naive"]}
    assert fresh["accuracy"] < 0.8 * naive["accuracy"]
    assert result.verdict is not None


def test_without_a_limit_all_finalists_are_confirmed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study that is limited by trials waits for every finalist."""
    monkeypatch.setattr("attain.pipeline.finish.paired_noise", lambda trials: 1.0)
    ended = [p for p in payloads(run(), "scored") if p["trial"].startswith("c")]
    assert [p["status"] for p in ended] == ["done"] * 3


def test_when_time_is_up_after_one_fold_that_fold_is_delivered(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A linear baseline with a single fold becomes the model: never nothing."""
    out_of_time_with(monkeypatch, "b001", 1)
    result = run(budget="6 trials, 5 min")
    ended = {p["trial"]: p for p in payloads(result, "scored")}
    assert {name: p["status"] for name, p in ended.items()} == {"b000": "done", "b001": "done"}
    assert ended["b001"]["message"] == "1 of 3 folds: the time was used up"
    assert payloads(result, "decision")[0]["decision"]["stop"] == "budget"
    assert payloads(result, "choice")[0]["trial"] == "b001"
    assert "1 of 3 folds" in result.summary
    assert result.verdict is not None
    assert result.model is not None
    assert payloads(result, "reliability")[0]["failed"] == {}
    assert "failed" not in payloads(result, "explanation")[0]


def test_when_time_is_up_before_any_fold_the_first_one_is_waited_for(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget without room for anything costs one fit of the simplest model, and gives it."""
    out_of_time_after("split", monkeypatch)
    result = run(budget="6 trials, 5 min")
    folds = [p["outcome"]["trial"] for p in payloads(result, "outcome")]
    assert folds.count("b001") == 1
    assert result.verdict is not None


def test_a_search_without_success_delivers_the_baseline(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When time ends the search before any of its trials, the linear baseline is the model."""
    out_of_time_with(monkeypatch, "b001", 3)
    result = run(budget="6 trials, 5 min")
    assert payloads(result, "choice")[0]["trial"] == "b001"
    assert result.verdict is not None


def test_the_clock_of_the_budget_stops_at_the_choice(run: Run) -> None:
    """Refit, test and reliability take time that was not promised to the search: it is not shown
    as time of the budget, and the total is in the record of the end."""
    heard: list[Notice] = []
    result = run(listen=heard.append, budget="6 trials, 5 min")
    kinds = [None if n.record is None else n.record.kind for n in heard]
    later = [n.elapsed for n in heard[kinds.index("choice") :]]
    assert len(later) > 5
    assert len(set(later)) == 1
    assert max(n.elapsed for n in heard) == later[0]
    assert payloads(result, "ended")[0]["seconds"] > later[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_kept_back_is_what_the_finalists_took(workers: int) -> None:
    """Good configurations are often the dear ones: three of their fits count, not the typical;
    what repeating the search will take is kept back too."""
    costs = [1.0] * 10 + [8.0, 10.0, 12.0]
    scored = {
        f"t{i}": Scored(f"t{i}", Status.DONE, search=True, loss=-float(i), seconds=cost)
        for i, cost in enumerate(costs)
    }
    study: Any = SimpleNamespace(
        seconds_left=lambda: 100.0, spent=lambda: 40.0, budget=SimpleNamespace(minutes=None)
    )
    trials: Any = SimpleNamespace(scored=scored, workers=workers)
    ready: Any = SimpleNamespace(confirming=3, replaying=0.5)
    space = Space((Float(name="x", low=0.0, high=1.0, default=0.5),))
    search = Search(study, ready, trials, SimpleNamespace(), space)  # type: ignore[arg-type]
    assert search._seconds_left() == pytest.approx(100 - 3 * 10 / workers - 0.5 * 40)
