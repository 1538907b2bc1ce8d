"""Trials with several goals that report: who ends, what that teaches, and what is kept of it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minimize_functions import trading

import attain
from attain.core.errors import SpecError
from attain.core.types import Observed
from attain.pipeline.goals import read_goals
from attain.pipeline.pruning import Report, in_fronts

GOALS = ["minimize loss", "minimize size"]
PLANE = {"x": (0.0, 1.0), "y": (0.0, 1.0)}
WAYS = ["median", "halving", "hyperband"]
STEPS = range(1, 28)


def after(step: int, loss: float, size: float) -> dict[str, float]:
    """What a trial has come to after a step, given what it will come to."""
    return {"loss": loss + 1 / step, "size": size}


def begun(way: str, ends: list[tuple[float, float]]) -> attain.Optimizer:
    """An optimizer with trials that ran to these ends."""
    optimizer = attain.Optimizer(PLANE, goals=GOALS, pruner=way)
    for loss, size in ends:
        trial = optimizer.ask()
        for step in STEPS:
            optimizer.step(trial, after(step, loss, size))  # whatever it answers, it goes on
        optimizer.tell(trial, after(27, loss, size))
    return optimizer


def ends_early(optimizer: attain.Optimizer, loss: float, size: float) -> bool:
    """Whether a trial with this end is told to end; it is, and is pruned then."""
    trial = optimizer.ask()
    if any(optimizer.step(trial, after(step, loss, size)) for step in STEPS):
        optimizer.pruned(trial)
        return True
    optimizer.tell(trial, after(27, loss, size))
    return False


ALONG = [(0.1 * i, 0.9 - 0.1 * i) for i in range(10)]  # a straight front


@pytest.mark.parametrize("way", WAYS)
def test_behind_in_every_way_ends_and_ahead_in_one_goes_on(way: str) -> None:
    """A trial may be the worst in one goal if it is good in the other, or a good compromise."""
    assert ends_early(begun(way, ALONG), 3.0, 3.0)
    for loss, size in ((-0.1, 5.0), (5.0, -0.1), (0.35, 0.35)):
        assert not ends_early(begun(way, ALONG), loss, size), (loss, size)


@given(
    st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=6, max_size=20),
    st.integers(0, 1),
    st.sampled_from(["median", "halving"]),
)
@settings(max_examples=30, deadline=None)
def test_the_best_so_far_in_a_goal_is_never_ended(
    ends: list[tuple[float, float]], which: int, way: str
) -> None:
    """Whatever its other goal is."""
    least = min(end[which] for end in ends) - 1.0
    mine = (least, 50.0) if which == 0 else (50.0, least)
    assert not ends_early(begun(way, ends), *mine)


def test_a_search_prunes_and_its_front_has_whole_trials_only() -> None:
    """Pruned trials have curves of both goals, no result, and a place among the others."""
    result = search(strategy="sobol")
    pruned = [t for t in result.trials if t.status == "pruned"]
    assert 10 <= len(pruned) <= 30
    assert all(len(t.curves) == 2 and t.curve == () and not t.metrics for t in pruned)
    assert all(t.loss is None and t.goals == () for t in pruned)
    assert result.best is not None
    assert result.best.done
    assert len(result.front) >= 3
    assert all(t.done for t in result.front)
    whole = [t.loss for t in result.trials if t.loss is not None]
    worse = [t.expected for t in pruned if t.expected is not None]
    assert np.median(worse) > np.median(whole)


def test_pruned_trials_teach_what_they_would_have_come_to_in_each_goal() -> None:
    """Their ranks among whole trials, goal by goal, within what those came to."""
    optimizer = begun("halving", ALONG)
    assert ends_early(optimizer, 3.0, 0.95)
    seen = optimizer.history[-1]
    assert seen.status == "pruned"
    assert seen.goals == pytest.approx((0.9 + 1 / 27, 0.9))  # behind all is as bad as the worst
    assert seen.loss == optimizer.trials[-1].expected
    optimizer.ask()  # and proposals are made from it


def search(**settings: Any) -> attain.MinimizeResult:
    """Loss against size, reported after every step."""
    given: dict[str, Any] = {"trials": 40, "pruner": "halving", "progress": False, "seed": 1}
    return attain.minimize(trading, PLANE, goals=GOALS, **{**given, **settings})


def facts(result: attain.MinimizeResult) -> list[tuple[Any, ...]]:
    """All of the trials but for their seconds."""
    return [(t.config, t.status, t.goals, t.curves, t.expected) for t in result.trials]


def test_workers_and_a_second_call_end_as_one_search(tmp_path: Path) -> None:
    """What was reported is read back, also in a process of its own."""
    whole = search(trials=25)
    assert any(t.status == "pruned" for t in whole.trials)
    search(trials=10, output=tmp_path)
    assert facts(search(trials=25, output=tmp_path)) == facts(whole)
    assert facts(search(trials=25, trial_seconds=60.0)) == facts(whole)


def test_a_goal_that_is_no_number_diverges() -> None:
    """The message names it; the curves end before."""
    optimizer = attain.Optimizer(PLANE, goals=GOALS)
    trial = optimizer.ask()
    assert not optimizer.step(trial, {"loss": 1.0, "size": 2.0})
    assert optimizer.step(trial, {"loss": 0.5, "size": math.nan})
    told = optimizer.pruned(trial)
    assert (told.status, told.message) == ("diverged", "size is no number after 2 reports")
    assert told.curves == (((1, 1.0),), ((1, 2.0),))


def test_a_report_needs_every_goal() -> None:
    """In the user's own signs, by name."""
    report = Report("t1", read_goals(["minimize loss", "maximize speed", "memory <= 3"]))
    with pytest.raises(SpecError, match="must name the metrics of"):
        report(1.0)
    with pytest.raises(SpecError, match="must have the metric 'speed'"):
        report({"loss": 1.0})
    assert not report({"loss": 1.0, "speed": 5.0, "memory": 4.0})
    assert report.curves == (((1, 1.0),), ((1, -5.0),))
    assert report.metrics == {"memory": 4.0}


def observed(name: str, ends: tuple[float, ...], status: str = "done") -> Observed:
    """A trial that has come down to its end by halves."""
    curves = tuple(((1, end + 1.0), (2, end + 0.5), (3, end)) for end in ends)
    return Observed(name, {}, status, goals=ends if status == "done" else (), curves=curves)


def test_trials_are_compared_by_fronts_of_those_that_came_as_far() -> None:
    """By the best of each goal until then; the one that is judged is ahead of those beside it."""
    ends = [(0.0, 10.0), (1.0, 4.0), (2.0, 0.0), (5.0, 20.0), (6.0, 30.0)]
    history = [observed(str(i), end) for i, end in enumerate(ends)]
    short = Observed("short", {}, "pruned", curves=(((1, -9.0),), ((1, -9.0),)))
    late = Observed("late", {}, "done", goals=(0.0, 0.0), curves=(((3, -9.0),), ((3, -9.0),)))
    seen, own = in_fronts([*history, short, late], [(9.0, 3.0), (1.4, 9.0)])
    assert [(o.trial, o.curve) for o in seen] == [
        *((str(i), ((2, front),)) for i, front in enumerate((0.0, 1.0, 0.0, 2.0, 3.0)))
    ]
    assert own == [-0.5, -0.5]  # (1.4, 3.0) beats the second, (1.5, 4.5)
    assert in_fronts(history, [(9.0, 40.0)])[1] == [2.5]


@given(
    st.lists(st.tuples(*[st.floats(0, 1)] * 2), min_size=1, max_size=12),
    st.tuples(*[st.floats(0, 1)] * 2),
    st.floats(1e-3, 1e3),
)
def test_units_of_goals_do_not_matter(
    ends: list[tuple[float, float]], mine: tuple[float, float], unit: float
) -> None:
    """A goal in other units leads to the same fronts."""

    def fronts(by: float) -> list[float]:
        scaled = [(loss, size * by) for loss, size in (*ends, mine)]
        curves = [tuple(((1, value),) for value in end) for end in scaled]
        history = [Observed(str(i), {}, "done", curves=c) for i, c in enumerate(curves[:-1])]
        seen, own = in_fronts(history, [scaled[-1]])
        return [*(o.curve[0][1] for o in seen), *own]

    assert fronts(2.0 ** round(math.log2(unit))) == fronts(1.0)
