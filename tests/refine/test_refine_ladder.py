"""The cheapest adequate rung first: when the next is opened, and what is said if it is not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from attain.core.codec import decode, encode
from attain.core.space import Float, Ordinal, Space
from attain.core.space_parameters import Condition
from attain.core.types import (
    Decision,
    Direction,
    Move,
    Objective,
    Observed,
    Role,
    RungForecast,
    Score,
)
from attain.refine.decide import decide
from attain.refine.progress import Progress, Rung

SPACE = Space(
    (
        Ordinal(name="text.rung", choices=("tfidf", "frozen"), reserve=("lora", "full")),
        Float(
            name="text.rate", low=1e-5, high=1e-3, scale="log",
            when=(Condition("text.rung", ("lora", "full")),),
        ),
    )
)  # fmt: skip
ACCURACY = Objective("accuracy", Direction.MAXIMIZE, 0.9, low=0.0, high=1.0)
SLOW = Objective("latency_p95_ms", Direction.MINIMIZE, 5.0, role=Role.CONSTRAINT)
FULL = RungForecast("full", 22_700_000, 210.0, 1_100_000_000)
KNOWN = {"tfidf": Rung(4.0), "frozen": Rung(40.0), "lora": Rung(300.0), "full": Rung(525.0, FULL)}


def score(estimate: float, half: float = 0.01, metric: str = "accuracy") -> Score:
    return Score("t1", metric, estimate, estimate - half, estimate + half, 400)


def progress(estimate: float = 0.85, **options: object) -> Progress:
    history = (
        Observed("b001", {"text.rung": "tfidf"}, "done", 0.20),
        Observed("t0001", {"text.rung": "frozen"}, "done", 0.15),
    )
    usual = Progress(
        round=1,
        space=SPACE,
        history=history,
        objectives=(ACCURACY,),
        best_scores={"accuracy": score(estimate)},
        best_point={"text.rung": "frozen"},
        diagnoses=(),
        importance={},
        trials_left=50,
        seconds_left=1000.0,
        rounds_without_gain=0,
        noise=0.01,
        rungs={"text.rung": KNOWN},
        seconds_free=1000.0,
    )
    return replace(usual, **options)


def opened(space: Space | None) -> tuple[object, ...]:
    return () if space is None else space["text.rung"].choices


def told(decision: Decision) -> str:
    return next((d.explanation for d in decision.diagnoses if d.code == "ladder"), "")


def test_a_missed_target_opens_the_next_rung():
    """It says why, and what the next rung costs; the step before says what to hope for."""
    decision = decide(progress())
    assert decision.kind is Move.CLIMB
    assert opened(decision.space) == ("tfidf", "frozen", "lora")
    assert decision.space.version == SPACE.version + 1
    assert "accuracy not reached with confidence at rung frozen" in decision.reason
    assert decision.predicted == pytest.approx(0.05)
    assert decision.changes == ("text.rung: tfidf, frozen -> tfidf, frozen, lora",)
    assert decode(Decision, encode(decision)) == decision


def test_the_forecast_is_told():
    """Parameters, seconds and memory of what is opened."""
    space = SPACE.replacing(SPACE["text.rung"].opened("lora"))
    decision = decide(progress(space=space))
    assert opened(decision.space) == ("tfidf", "frozen", "lora", "full")
    assert "full: 22.7 M parameters trained, about 210 s a fit, 1.1 GB" in decision.reason
    evidence = next(d.evidence for d in decision.diagnoses if d.code == "ladder")
    assert evidence["seconds"] == 525.0
    assert evidence["fit_seconds"] == 210.0


def test_luck_is_not_enough_to_stay():
    """An estimate above the target whose interval does not clear it still climbs."""
    assert decide(progress(0.905)).kind is Move.CLIMB


def test_a_target_that_is_met_needs_no_higher_rung():
    """The story says at which rung, and which were not needed."""
    decision = decide(progress(0.95))
    assert (decision.kind, decision.stop) == (Move.STOP, "met")
    assert decision.reason.endswith("met at rung frozen; higher rungs (lora, full) were not needed")


def test_a_goal_without_target_climbs():
    """As good as possible asks for every rung that the budget pays for."""
    decision = decide(progress(objectives=(replace(ACCURACY, target=None),)))
    assert decision.kind is Move.CLIMB
    assert "accuracy has no target" in decision.reason


def test_limits_do_not_climb():
    """A model that is too slow is not mended by a dearer one."""
    scores = {"accuracy": score(0.95), "latency_p95_ms": score(9.0, metric="latency_p95_ms")}
    decision = decide(progress(objectives=(ACCURACY, SLOW), best_scores=scores))
    assert opened(decision.space) in ((), ("tfidf", "frozen"))
    assert told(decision) == ""


@pytest.mark.parametrize(("left", "minutes"), [(299.0, "0.1"), (60.0, "4"), (-5.0, "5")])
def test_what_the_budget_does_not_pay_for_is_not_opened(left, minutes):
    """How many more minutes would."""
    decision = decide(progress(seconds_free=left))
    assert opened(decision.space) == ()
    assert f"{minutes} more minutes would pay for it" in told(decision)
    assert f"{max(left, 0):.0f} s are left" in told(decision)


def test_no_trials_no_rung():
    """And the end of the search says so."""
    decision = decide(progress(trials_left=0))
    assert decision.stop == "budget"
    assert "no trials are left" in decision.reason


def test_without_a_forecast_a_rung_may_be_opened():
    """Nobody says that it does not fit."""
    assert opened(decide(progress(rungs={})).space) == ("tfidf", "frozen", "lora")
    assert opened(decide(progress(rungs={}, seconds_free=math.inf)).space)


def test_what_cannot_be_used_is_skipped_or_named():
    """Memory, for instance; the order of the rungs stays that of the forecast."""
    known = {**KNOWN, "lora": Rung(300.0, None, "a fit takes 9 GB, and 4 GB are allowed")}
    decision = decide(progress(rungs={"text.rung": known}))
    assert opened(decision.space) == ("tfidf", "frozen", "full")
    assert decision.space["text.rung"].reserve == ("lora",)
    none = {**known, "full": Rung(500.0, None, "no GPU")}
    decision = decide(progress(rungs={"text.rung": none}))
    assert opened(decision.space) == ()
    assert "lora cannot be used here: a fit takes 9 GB" in told(decision)
    assert "full cannot be used here: no GPU" in told(decision)


def test_nothing_succeeded_nothing_climbs():
    """Whatever breaks the cheap rungs is not mended by dear ones."""
    failed = (Observed("t0001", {"text.rung": "frozen"}, "failed"),)
    decision = decide(progress(history=failed, best_scores={}, best_point={}))
    assert told(decision) == ""


def test_a_search_that_ends_says_what_it_did_not_pay_for():
    """The higher rung and its price are part of the reason to stop."""
    decision = decide(progress(seconds_left=-1.0, seconds_free=100.0))
    assert decision.stop == "budget"
    assert "more minutes would pay for it" in decision.reason


def test_an_open_rung_keeps_the_search_going():
    """Stopping for want of gain waits until what can be opened has been tried."""
    still = tuple(
        Observed(f"t{i:04d}", {"text.rung": "frozen"}, "done", 0.15 + i / 1e6) for i in range(12)
    )
    idle = {"history": still, "rounds_without_gain": 2, "exhausted": True}
    assert decide(progress(**idle)).kind is Move.CLIMB
    assert decide(progress(**idle, seconds_free=1.0)).stop == "exhausted"
