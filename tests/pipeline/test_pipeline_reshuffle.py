"""Folds of its own for every configuration: what changes, and what cannot be had with it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from scipy import stats

from attain.core.errors import SpecError
from attain.core.space import Float, Space
from attain.core.types import Status
from attain.pipeline.loop import Search
from attain.pipeline.result import Result
from attain.pipeline.scoring import Scored
from attain.pipeline.spec import StudySpec, make_spec

Run = Callable[..., Result]
STATED = {"data": "table.csv", "target": "label", "reshuffle": True}


def payloads(result: Result, kind: str) -> list[Any]:
    return [r.payload for r in result.records if r.kind == kind]


def splits(result: Result, purpose: str) -> list[int]:
    trials = [p["trial"] for p in payloads(result, "trial")]
    return [t["split"]["seed"] for t in trials if t["purpose"] == purpose]


def test_every_trial_has_folds_of_its_own_and_finalists_share_theirs(run: Run) -> None:
    """Search trials differ in their folds, baselines and confirmations do not; nothing is raced
    and nothing is corrected by rows, and the study reaches its verdict."""
    result = run(reshuffle=True)
    searched = splits(result, "search")
    assert len(searched) == len(set(searched)) == 6
    assert len(set(splits(result, "baseline"))) == 1
    assert len(set(splits(result, "confirm"))) == 1
    assert payloads(result, "expected") == []
    assert all(p["race"] is None for p in payloads(result, "scored"))
    assert result.verdict is not None
    again = run(reshuffle=True)
    assert splits(again, "search") == searched


def test_by_default_all_share_their_folds(run: Run) -> None:
    """Without the key one division serves all, and the best is corrected for its selection."""
    result = run()
    assert len(set(splits(result, "search"))) == 1
    assert payloads(result, "expected") != []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"racing": True}, "cannot be raced"),
        ({"time": "day"}, "in order of time cannot be shuffled"),
        ({"strategy": "curves"}, "on different rows cannot be compared"),
        ({"strategy": "hyperband"}, "on different rows cannot be compared"),
        ({"reshuffle": "often"}, "must be true or false"),
    ],
)
def test_what_needs_the_same_folds_is_refused(changes: dict[str, Any], rule: str) -> None:
    """Racing, an order of time, and strategies that compare curves, each named with a remedy."""
    with pytest.raises(SpecError, match=rule):
        make_spec({**STATED, **changes})


@pytest.mark.parametrize(
    "changes", [{}, {"racing": False}, {"strategy": "tpe"}, {"strategy": "auto"}, {"time": "none"}]
)
def test_the_rest_is_allowed(changes: dict[str, Any]) -> None:
    """Searches that end no fits, and explicit refusals of racing and time."""
    spec: StudySpec = make_spec({**STATED, **changes})
    assert spec.reshuffle


@pytest.mark.parametrize(("tried", "confidence"), [(1, 0.95), (20, 0.95), (100, 0.9)])
def test_targets_are_met_only_if_all_intervals_hold_at_once(tried: int, confidence: float) -> None:
    """What stands in for the correction by rows: as many intervals as configurations."""
    scored = {
        f"t{i}": Scored(f"t{i}", Status.DONE, search=True, loss=float(i)) for i in range(tried)
    }
    judge = SimpleNamespace(confidence=confidence)
    trials: Any = SimpleNamespace(scored=scored, judge=judge)
    space = Space((Float(name="x", low=0.0, high=1.0, default=0.5),))
    nothing: Any = SimpleNamespace()
    wider = Search(nothing, nothing, trials, nothing, space)._all_at_once()
    each = 1 - (1 - confidence) / tried
    assert wider == pytest.approx(
        stats.norm.ppf((1 + each) / 2) / stats.norm.ppf((1 + confidence) / 2)
    )
