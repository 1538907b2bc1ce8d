"""The board is a fold over notices; what it shows follows from records alone."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import pytest
from cli_story import FAST, SECONDS, TOTAL, Teller, ending, opening, search, story, trial
from hypothesis import given
from hypothesis import strategies as st

from attain.cli.absorb import advance
from attain.cli.board import Board
from attain.cli.steps import clock, fact, goals, spent, state, under_way
from attain.report.steps import STEPS


def _after(notices) -> Board:
    return reduce(advance, notices, Board())


def _states(board: Board) -> dict[str, str]:
    return {step.name: state(board, step) for step in STEPS}


def test_before_anything_every_step_waits():
    """An empty board shows seven steps and the data, all waiting."""
    assert len([s for s in STEPS if s.number.strip()]) == 7
    assert set(_states(Board()).values()) == {"waiting"}


def test_preparation_ends_four_steps():
    """After the opening, what is decided before training is done, and training is under way."""
    states = _states(_after(opening(Teller())))
    done = {name for name, how in states.items() if how == "done"}
    assert done == {"objectives", "data", "parameters", "strategy"}
    assert states["train"] == "active"
    assert states["test"] == "waiting"


def test_the_end_is_all_done():
    """After the verdict nothing is under way."""
    board = _after(story())
    assert set(_states(board).values()) == {"done"}
    assert not board.open


def test_the_best_trial_is_the_one_with_the_smallest_loss():
    """A later, worse trial does not replace it; baselines and failures never lead."""
    tell = Teller()
    board = _after([*opening(tell), *search(tell)])
    assert board.best == "t0004"
    worse = _after([*opening(Teller()), *search(Teller()), *trial(Teller(), "t0009", "mlp", 0.6)])
    assert worse.best == "t0004"
    assert board.failed == 1
    assert float(board.baseline["roc_auc"]["estimate"]) == 0.5


def test_cancelled_trials_are_no_failures():
    """Trials dropped because the search ended are not counted as failed."""
    board = _after(story())
    assert board.failed == 1


def test_objectives_show_best_baseline_and_whether_they_are_reached():
    """Each objective has its own line, judged against its target."""
    tell = Teller()
    auc, fast = goals(_after([*opening(tell), *search(tell)]))
    assert (auc.statement, auc.state, auc.style) == ("roc_auc >= 0.915", "reached", "good")
    assert auc.now == "0.9270 (0.9230 to 0.9310)"
    assert auc.baseline == "baseline 0.5000"
    assert fast.now.startswith("3.20\u00a0ms")
    tell = Teller()
    short, _ = goals(_after([*opening(tell), *trial(tell, "t0001", "linear", 0.90)]))
    assert (short.state, short.style) == ("not yet", "warn")


def test_an_objective_without_target_is_never_called_reached():
    """There is nothing to reach, so only the estimate is shown."""
    tell = Teller()
    board = _after([*opening(tell), *search(tell)])
    board = replace(board, objectives=(replace(FAST, target=None),))
    assert goals(board)[0].state == ""
    assert goals(board)[0].now


def test_the_verdict_replaces_validation():
    """Once the seal is open the lines show the sealed estimate and the verdict's word."""
    auc, fast = goals(_after(story()))
    assert (auc.state, auc.style) == ("sealed: met", "good")
    assert auc.now.startswith("0.9280")
    assert (fast.state, fast.style) == ("sealed: met, unproven", "warn")


def test_steps_say_what_their_records_hold():
    """Facts are counts and names from records."""
    tell = Teller()
    board = _after([*opening(tell), *search(tell)])
    facts = {step.name: fact(board, step) for step in STEPS}
    assert facts["data"] == "26,048 rows, 3 features, binary; 1 issue and 1 tip"
    assert facts["parameters"] == "9 parameters of lightgbm and linear"
    assert facts["train"] == "4 of 40 trials, 2 fits running, 1 failed"
    assert facts["validate"] == "stratified, 5 folds; best t0004 lightgbm"
    assert facts["refine"] == "round 2: the search was narrowed"
    assert "cannot certify" in facts["objectives"]


def test_trials_under_way_show_their_folds_and_looks():
    """A running trial counts its finished folds and passes on the newest look at the fit."""
    tell = Teller()
    board = _after(opening(tell))
    said = []
    for notice in trial(tell, "t0001", "lightgbm", 0.92):
        board = advance(board, notice)
        said += [line for line in under_way(board) if line not in said]
    assert said[:2] == ["t0001 lightgbm, 0 of 5 fits", "t0001 lightgbm, 0 of 5 fits, step 40"]
    assert said[2:] == [f"t0001 lightgbm, {done} of 5 fits" for done in range(1, 6)]
    assert list(under_way(board)) == []


def test_looks_of_unknown_jobs_are_ignored():
    """Progress of a refit, which is no trial, or of a strange shape changes nothing."""
    tell = Teller()
    before = _after(opening(tell))
    for news in ({"job": "refit", "value": {"step": 3}}, {"job": "t0001-f0", "value": "half"}):
        after = advance(before, tell.notice("progress", **news))
        assert after.open == before.open


def test_stopping_is_remembered():
    """The study's request to stop stays on the board until it ends."""
    tell = Teller()
    board = advance(Board(), tell.notice("progress", text="stopping"))
    assert board.stopping
    assert advance(board, tell.notice("tick")).stopping


def test_resumed_records_give_the_same_board():
    """A study that is read back looks as it did when it was written."""
    tell = Teller()
    live = [*opening(tell), *search(tell), *ending(tell)]
    replayed = _after(n for n in live if n.record is not None)
    now = _after(live)
    assert (replayed.facts, replayed.best, replayed.seen) == (now.facts, now.best, now.seen)


@given(
    trials=st.integers(0, 500),
    total=st.none() | st.integers(1, 500),
    elapsed=st.floats(0, 1e6),
    seconds=st.none() | st.floats(0.1, 1e6),
)
def test_budget_figures_stay_in_bounds(trials, total, elapsed, seconds):
    """Shares lie in [0, 1], remaining time is never negative, and the words always work."""
    board = Board(trials=trials, trials_total=total, elapsed=elapsed, seconds_total=seconds)
    assert board.share is None or 0 <= board.share <= 1
    assert (board.share is None) == (total is None and seconds is None)
    assert board.seconds_left is None or board.seconds_left >= 0
    if seconds is not None:
        assert board.seconds_left is not None
        assert board.seconds_left <= max(0.0, seconds - elapsed)
    assert isinstance(spent(board), str)


def test_time_left_is_that_of_the_nearer_limit():
    """Ten of forty trials in ten seconds leave thirty, whatever the longer limit says."""
    board = Board(trials=10, trials_total=TOTAL, elapsed=10.0, seconds_total=SECONDS)
    assert board.seconds_left == pytest.approx(30.0)
    assert "about 0:30 left" in spent(board)
    confirming = replace(board, seen=frozenset({"finalists"}))
    assert confirming.seconds_left is None
    assert "left" not in spent(confirming)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0:00"), (61.9, "1:01"), (3_600, "1:00:00"), (36_125, "10:02:05")]
)
def test_clocks(value, text):
    """Seconds become minutes, and hours when there are any."""
    assert clock(value) == text
