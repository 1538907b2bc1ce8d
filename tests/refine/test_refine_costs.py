"""Diverging, standing still, costing too much: each moves the right ranges, and no others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attain.core.space import Float, Int, Space
from attain.core.types import Direction, Move, Objective, Observed, Role, Score
from attain.refine.costs import diverging, plateau, too_large, too_slow
from attain.refine.decide import decide
from attain.refine.progress import Progress, Step

SPACE = Space(
    (
        Float(name="net.learning_rate", low=1e-4, high=1.0, scale="log", limits=(1e-5, 1.0)),
        Int(name="trees", low=10, high=1000, limits=(1, 5000)),
        Float(name="stride", low=0.0, high=1.0, limits=(0.0, 1.0)),
        Float(name="idle", low=0.0, high=1.0, limits=(0.0, 1.0)),
    )
)
AUC = Objective("roc_auc", Direction.MAXIMIZE, 0.9, low=0.0, high=1.0)
SLOW = Objective("latency_p95_ms", Direction.MINIMIZE, 5.0, Role.CONSTRAINT, unit="ms", low=0.0)
LARGE = Objective("size_mb", Direction.MINIMIZE, 1.0, Role.CONSTRAINT, unit="MB", low=0.0)
BEST = {"net.learning_rate": 0.01, "trees": 500, "stride": 0.5, "idle": 0.5}


def study(count: int = 40, burst: float = 0.2, seed: int = 0, **options) -> Progress:
    """Trials that diverge at long steps; many trees and short strides take long."""
    rng = np.random.default_rng(seed)
    history = [Observed("t0000", BEST, "done", 0.1, seconds=5.5)]
    for index in range(1, count):
        config = {
            "net.learning_rate": float(10 ** rng.uniform(-4, 0)),
            "trees": int(rng.integers(10, 1000)),
            "stride": float(rng.uniform()),
            "idle": float(rng.uniform()),
        }
        seconds = config["trees"] / 100 + 8 * (1 - config["stride"]) + 0.1 * rng.uniform()
        failed = config["net.learning_rate"] > burst
        status, loss = ("diverged", None) if failed else ("done", 0.2 + rng.uniform())
        history.append(Observed(f"t{index:04d}", config, status, loss, seconds=seconds))
    state = {
        "round": 3, "space": SPACE, "history": tuple(history), "objectives": (AUC,),
        "best_scores": {}, "best_point": BEST, "diagnoses": (), "importance": {},
        "trials_left": 20, "seconds_left": float("inf"), "rounds_without_gain": 0, "noise": 0.01,
    }  # fmt: skip
    return Progress(**state | options)


def measured(objective: Objective, value: float) -> dict:
    score = Score("t0000", objective.metric, value, value * 0.9, value * 1.1, 100)
    return {"objectives": (AUC, objective), "best_scores": {objective.metric: score}}


def only(steps) -> Step:
    found = list(steps)
    assert len(found) == 1
    return found[0]


def test_steps_that_are_too_long_are_cut() -> None:
    """The range of the step size ends between the best value and the first that diverged."""
    step = only(diverging(study()))
    new = step.changed[0]
    assert (new.name, step.kind) == ("net.learning_rate", Move.NARROW)
    assert 0.01 < new.high < 0.2
    assert new.low == SPACE["net.learning_rate"].low
    assert "steps are too long" in step.diagnosis.explanation


@pytest.mark.parametrize("burst", [0.9, 2.0])
def test_a_single_burst_cuts_nothing(burst: float) -> None:
    """Fewer than two diverged fits may be bad luck."""
    state = study(count=12, burst=burst)
    assert sum(o.status == "diverged" for o in state.history) < 2
    assert list(diverging(state)) == []


def test_what_diverged_below_the_best_value_is_no_reason() -> None:
    """Long steps are not to blame when shorter ones than the best diverge."""
    state = study()
    best = {**BEST, "net.learning_rate": 0.99}
    assert list(diverging(replace(state, best_point=best))) == []


def test_a_search_that_stands_still_closes_in() -> None:
    """After two rounds without gain all ranges are halved around the best point and hold it."""
    step = only(plateau(study(rounds_without_gain=2, count=60)))
    assert {p.name for p in step.changed} == set(BEST)
    for new in step.changed:
        assert new.contains(BEST[new.name])
    assert 0.4 < step.changed[3].high - step.changed[3].low < 0.7


@pytest.mark.parametrize("options", [{"rounds_without_gain": 1}, {"count": 20}])
def test_hope_or_few_trials_do_not_close_in(options: dict) -> None:
    """One round without gain is chance, and with few trials a local search would be blind."""
    assert list(plateau(study(**{"rounds_without_gain": 2, "count": 60} | options))) == []


def test_a_plateau_is_no_reason_to_go_on_for_ever() -> None:
    """When no more than noise is expected, the search ends although ranges could be halved."""
    state = study(rounds_without_gain=2, count=60, expected_gain=0.0)
    assert decide(state).kind is Move.STOP
    assert decide(replace(state, expected_gain=1.0)).kind is Move.NARROW


@pytest.mark.parametrize(
    ("rule", "objective", "code"),
    [(too_slow, SLOW, "too_slow"), (too_large, LARGE, "too_large")],
)
def test_a_missed_limit_moves_what_drives_the_cost(rule, objective: Objective, code: str) -> None:
    """Whatever they are called: more trees and shorter strides take long, so fewer and longer ones
    are searched; a parameter that costs nothing stays."""
    for seed in range(5):
        step = only(rule(study(seed=seed, count=60, **measured(objective, 7.0))))
        new = {p.name: p for p in step.changed}
        assert step.diagnosis.code == code
        assert new["trees"].high < 1000
        assert new["stride"].low > 0.0
        assert "idle" not in new


@pytest.mark.parametrize(("rule", "objective"), [(too_slow, SLOW), (too_large, LARGE)])
def test_a_limit_that_is_kept_moves_nothing(rule, objective: Objective) -> None:
    """Neither a limit that holds nor a limit of the other kind."""
    assert list(rule(study(**measured(objective, 0.5)))) == []
    other = LARGE if objective is SLOW else SLOW
    assert list(rule(study(**measured(other, 50.0)))) == []


def test_with_few_trials_a_missed_limit_is_said_and_nothing_moves() -> None:
    """Eight trials are needed to know what drives the cost."""
    step = only(too_slow(study(count=6, **measured(SLOW, 7.0))))
    assert step.changed == ()
    assert "no parameter is known to drive the cost" in step.diagnosis.explanation


def test_a_rule_about_a_limit_reaches_the_decision() -> None:
    """The decision names the diagnosis, the change in words and the gain that is predicted."""
    decision = decide(study(count=60, **measured(SLOW, 7.0)))
    assert decision.kind is Move.NARROW
    assert "too_slow" in {d.code for d in decision.diagnoses}
    assert any(change.startswith("trees: 10..1000") for change in decision.changes)
    assert decision.predicted is not None
