"""The time budget: what counts, what is dropped when it is used up, what is kept back."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from attain.core.space import Float, Space
from attain.core.types import Status
from attain.pipeline import loop
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


def test_finalists_that_time_does_not_allow_are_dropped(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With no time left the first finalist is confirmed all the same, and the study goes on."""
    monkeypatch.setattr(loop, "paired_noise", lambda trials, most=5: 1.0)
    monkeypatch.setattr("attain.pipeline.finish.paired_noise", lambda trials: 1.0)
    out_of_time_after("finalists", monkeypatch)
    result = run(budget="6 trials, 5 min")
    names = payloads(result, "finalists")[0]["trials"]
    assert len(names) == 3
    ended = {p["trial"]: p for p in payloads(result, "scored") if p["trial"].startswith("c")}
    assert [ended[f"c00{k}"]["status"] for k in (1, 2, 3)] == ["done", "cancelled", "cancelled"]
    assert ended["c002"]["message"] == "the time was used up"
    assert payloads(result, "choice")[0]["trial"] == names[0]
    assert result.verdict is not None


def test_without_a_limit_all_finalists_are_confirmed(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study that is limited by trials waits for every finalist."""
    monkeypatch.setattr("attain.pipeline.finish.paired_noise", lambda trials: 1.0)
    ended = [p for p in payloads(run(), "scored") if p["trial"].startswith("c")]
    assert [p["status"] for p in ended] == ["done"] * 3


def test_a_slow_baseline_does_not_take_more_than_the_time(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When time is up after the constant guess, the linear baseline is not waited for."""
    out_of_time_after("scored", monkeypatch)
    result = run(budget="6 trials, 5 min")
    ended = {p["trial"]: p["status"] for p in payloads(result, "scored")}
    assert ended == {"b000": "done", "b001": "cancelled"}
    assert payloads(result, "decision")[0]["decision"]["stop"] == "budget"
    assert result.verdict is None


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
