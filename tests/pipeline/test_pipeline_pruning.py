"""Functions that report on their way: who ends, what that teaches, and what is kept of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from minimize_functions import LINE, Offset, bowl, falling

import attain
from attain.core.errors import PluginError, SpecError
from attain.core.types import Signal, Status
from attain.pipeline.goals import read_goals
from attain.pipeline.pruning import Report, read_pruner, reports
from attain.pipeline.tally import Tally

WAYS = ["median", "halving", "hyperband", "curves"]


def minimize(function: Any, **settings: Any) -> attain.MinimizeResult:
    """Without progress, on one parameter."""
    given: dict[str, Any] = {"trials": 40, "pruner": "median", "progress": False}
    return attain.minimize(function, LINE, **{**given, **settings})


def facts(result: attain.MinimizeResult) -> list[tuple[Any, ...]]:
    """All of the trials but for their seconds."""
    return [(t.config, t.status, t.loss, t.curve, t.message) for t in result.trials]


def test_those_that_stay_behind_end() -> None:
    """They say after how many reports, and why; the best has run to its end."""
    result = minimize(falling, seed=1)
    ended = {t.status for t in result.trials}
    assert ended >= {"done", "pruned"}
    assert result.best is not None
    assert result.best.done
    assert abs(result.best.config["x"] - 0.3) < 0.02
    pruned = [t for t in result.trials if t.status == "pruned"]
    assert all(t.curve and t.loss is None and not t.metrics for t in pruned)
    assert all("behind others after" in t.message and "(median)" in t.message for t in pruned)
    assert f"{len(pruned)} pruned" in result.reason
    diverged = [t for t in result.trials if t.status == "diverged"]
    assert all(t.config["x"] > 0.9 and "no number after 3 reports" in t.message for t in diverged)


def test_nothing_ends_without_a_pruner() -> None:
    """Curves are kept, but all trials run to their end."""
    result = minimize(falling, pruner=None, seed=1)
    assert {t.status for t in result.trials} <= {"done", "diverged"}
    assert all(t.curve[-1][0] == 9 for t in result.trials if t.done)


@pytest.mark.parametrize("way", WAYS)
def test_each_rule_ends_hopeless_ones(way: str) -> None:
    """Ten good curves, then one far above them, which ends, and one below, which goes on."""
    optimizer = attain.Optimizer(LINE, pruner=way, seed=0)
    for number in range(10):
        trial = optimizer.ask()
        for step in range(1, 28):
            optimizer.step(trial, 1 / step + 0.01 * number)
        optimizer.tell(trial, 1 / 27 + 0.01 * number)
    bad, good = optimizer.ask(2)
    told = [[optimizer.step(t, 1 / s + above) for s in range(1, 28)] for t, above in
            ((bad, 9.0), (good, -0.1))]  # fmt: skip
    assert any(told[0])
    assert not any(told[1])


def test_workers_judge_as_this_process_does(tmp_path: Path) -> None:
    """One worker, since what a trial knows depends on what had ended when it began."""
    here = minimize(falling, seed=3, trials=25)
    there = minimize(falling, seed=3, trials=25, trial_seconds=60.0)
    assert facts(here) == facts(there)
    both = minimize(falling, seed=3, trials=40, workers=2, pruner="halving")
    assert any(t.status == "pruned" for t in both.trials)


def test_a_search_goes_on_with_what_was_reported(tmp_path: Path) -> None:
    """Two calls of ten and fifteen end as one of twenty-five; curves are read back."""
    whole = minimize(falling, seed=4, trials=25)
    minimize(falling, seed=4, trials=10, output=tmp_path)
    second = minimize(falling, seed=4, trials=25, output=tmp_path)
    assert facts(second) == facts(whole)


def test_a_trial_that_begins_without_a_number_diverges_and_is_kept(tmp_path: Path) -> None:
    """Its curve is empty, and the records hold nothing that JSON has no word for."""

    def broken(config: dict[str, Any], report: Any) -> float:
        return math.nan if report(math.nan if config["x"] > 0.5 else 1.0) else 1.0

    minimize(broken, output=tmp_path, trials=12, strategy="sobol")
    again = minimize(broken, output=tmp_path, trials=12, strategy="sobol")
    ended = {t.status: t.curve for t in again.trials}
    assert ended == {"done": ((1, 1.0),), "diverged": ()}


def test_one_that_goes_on_has_a_result() -> None:
    """Being told to end is advice: who reports again and returns has run to its end."""

    def stubborn(config: dict[str, Any], report: Any) -> float:
        loss = float((config["x"] - 0.3) ** 2)
        for step in range(9):
            report(loss + 1 / (step + 1) + (100.0 if config["x"] > 0.6 and step < 8 else 0.0))
        return loss

    result = minimize(stubborn, seed=1, trials=25)
    assert {t.status for t in result.trials} == {"done"}


def test_ask_and_tell() -> None:
    """A step may be answered with true; then the trial is pruned, or told all the same."""
    optimizer = attain.Optimizer(LINE, pruner="median", goals="maximize score")
    for value in (5.0, 6.0, 7.0, 8.0, 9.0):
        trial = optimizer.ask()
        assert not optimizer.step(trial, value)
        assert not optimizer.step(trial, value + 1)
        optimizer.tell(trial, value + 1)
    behind, other, lost = optimizer.ask(3)
    assert optimizer.step(behind, 1.0)
    ended = optimizer.pruned(behind, seconds=2.0)
    assert (ended.status, ended.loss, ended.seconds) == ("pruned", None, 2.0)
    assert ended.curve == ((1, -1.0),)
    assert optimizer.step(other.id, {"score": 2.0, "size": 3.0})
    assert optimizer.tell(other, 10.5).done
    assert optimizer.best is not None
    assert optimizer.best.id == other.id
    optimizer.step(lost, 1.0)
    optimizer.lost(lost)
    assert optimizer.tell(lost, 4.0).curve == ()  # what it had reported went with it
    seen = {o.trial: o for o in optimizer.history}
    assert seen[behind.id].status == "pruned"
    assert seen[behind.id].loss == max(o.loss for o in optimizer.history if o.loss and o.curve)


@pytest.mark.parametrize(
    ("goals", "act", "words"),
    [
        ("minimize a", lambda o, t: o.pruned(t), "only a trial that told a step can be pruned"),
        ("minimize a", lambda o, t: o.step("t00009", 1.0), "only a trial that was asked for"),
        ("minimize a", lambda o, t: o.step(t, "low"), "must be a real number"),
        ("minimize a", lambda o, t: o.step(t, {"b": 1.0}), "must have the metric 'a'"),
        (["minimize a", "minimize b"], lambda o, t: o.step(t, 1.0), "must name the metrics"),
    ],
)
def test_what_makes_no_sense_is_said_and_changes_nothing(
    goals: Any, act: Callable[[Any, Any], Any], words: str
) -> None:
    """The trial is still under way."""
    optimizer = attain.Optimizer(LINE, goals=goals)
    trial = optimizer.ask()
    with pytest.raises(SpecError, match=words):
        act(optimizer, trial)
    assert [t.id for t in optimizer.running] == [trial.id]
    optimizer.tell(trial, {"a": 1.0, "b": 1.0})
    with pytest.raises(SpecError, match="a trial is told once"):
        optimizer.step(trial, 1.0)


class Mute:
    """Proposes only."""

    def propose(self, *given: Any) -> tuple[()]:
        return ()


@dataclass
class Never:
    """Judges everything to be hopeless, and proposes nothing."""

    def judge(self, history: Any, running: Any) -> dict[str, Signal]:
        return dict.fromkeys(running, Signal.PAUSE)


@pytest.mark.parametrize(
    ("stated", "goals", "error", "words"),
    [
        ("meadian", "minimize a", PluginError, "meadian"),
        ("bayes", "minimize a", SpecError, "a pruner must judge"),
        (Mute(), "minimize a", SpecError, "a pruner must judge"),
        (3, "minimize a", SpecError, "a pruner must judge"),
        ("curves", ["minimize a", "minimize b"], SpecError, "'curves' forecasts a single goal"),
    ],
)
def test_what_cannot_judge_is_refused(
    stated: Any, goals: Any, error: type[Exception], words: str
) -> None:
    """Before anything is tried, with what could be given instead."""
    with pytest.raises(error, match=words):
        attain.Optimizer(LINE, goals=goals, pruner=stated)


def test_a_pruner_of_a_function_that_never_reports_is_refused() -> None:
    """It would do nothing; the remedy says what the function must take."""
    with pytest.raises(SpecError, match="let it take `report` as its second argument"):
        minimize(bowl)
    with pytest.raises(PluginError, match="meadian"):
        minimize(falling, pruner="meadian")


def test_who_judges() -> None:
    """What is stated; else the strategy where it judges; else nobody."""
    one = partial(read_pruner, several=False)
    assert one(None, "auto") is None
    assert one(None, "bayes") is None
    assert read_pruner(None, "curves", several=True) is None
    named = one("median", "auto"), one(None, "halving")
    assert [p and (p.name, p.granted) for p in named] == [("median", 10), ("halving", 9)]
    own = Never()
    found = one(own, "auto")
    assert found is not None
    assert (found.name, found.strategy) == ("never", own)


def test_every_trial_is_granted_a_share_of_the_steps() -> None:
    """A tenth of what a whole trial takes with the median rule; what judges itself says its own."""
    for pruner, first in (("median", 3), (Never(), 1)):
        optimizer = attain.Optimizer(LINE, pruner=pruner)
        for _ in range(6):
            trial = optimizer.ask()
            for step in range(27):
                optimizer.step(trial, 1 / (step + 1))
            optimizer.tell(trial, 0.0)
        behind = optimizer.ask()
        answers = [optimizer.step(behind, 9.0) for _ in range(27)]
        assert answers.index(True) + 1 == first
        assert answers[-1] is False  # nothing is saved at the end


def test_limits_that_are_broken_set_no_example() -> None:
    """A trial is compared with those that keep the limits; what it told of them is kept."""
    optimizer = attain.Optimizer(LINE, goals=["minimize a", "b <= 1"], pruner="median")
    for b in [5.0] * 8 + [0.5] * 5:
        trial = optimizer.ask()
        for _ in range(3):
            optimizer.step(trial, 1.0 if b > 1 else 10.0)
        optimizer.tell(trial, {"a": 1.0 if b > 1 else 10.0, "b": b})
    fair, bad = optimizer.ask(2)
    assert not optimizer.step(fair, {"a": 9.0, "b": 0.5})
    assert optimizer.step(bad, {"a": 11.0, "b": 3.0})
    assert optimizer.pruned(bad).excess == (2.0,)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (falling, True),
        (partial(falling), True),
        (lambda config, report=None: 1.0, True),
        (lambda config, other: 1.0, True),
        (bowl, False),
        (Offset(1.0), False),
        (lambda config, verbose=False: 1.0, False),
        (lambda config, *rest: 1.0, False),
        (lambda config, *, report=None: 1.0, False),
        (partial(falling, report=print), False),
        (dict, False),
    ],
)
def test_who_takes_reports(function: Callable[..., Any], expected: bool) -> None:
    """A second parameter that has no default, or the name."""
    assert reports(function) is expected


def told(tally: Tally, number: int, curve: list[float], loss: float | None) -> None:
    """A trial that ended, pruned where it has no loss."""
    name = f"t{number:05d}"
    tally.apply("asked", {"trial": name, "config": {"x": number}, "reason": "", "origin": ""})
    status = Status.PRUNED if loss is None else Status.DONE
    metrics = {} if loss is None else {"a": loss}
    ended = {"status": status, "metrics": metrics, "message": "", "noise": None, "seconds": 0.0}
    steps = [*enumerate(curve, 1)]
    tally.apply("told", {"trial": name, **ended, "curve": steps})


Numbers = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(Numbers, st.none() | Numbers), min_size=1, max_size=12))
def test_pruned_trials_never_lead(trials: list[tuple[float, float | None]]) -> None:
    """In any order of ends: their losses lie among those of whole trials, the best is one."""
    tally = Tally(read_goals("minimize a"))
    for number, (first, loss) in enumerate(trials):
        told(tally, number, [first], loss)
    whole = [loss for _, loss in trials if loss is not None]
    for seen in tally.history():
        if seen.status == Status.PRUNED:
            assert (seen.loss is None) == (not whole)
            assert seen.loss is None or min(whole) <= seen.loss <= max(whole)
    best = tally.best()
    assert (best is None) == (not whole)
    assert best is None or tally.trials[best].loss == min(whole)
    assert tally.pruned == len(trials) - len(whole)


def test_what_pruned_trials_are_worth_depends_on_the_records_alone() -> None:
    """Read after every record, or once at the end, as when a ledger is opened again."""
    often, once = Tally(read_goals("minimize a")), Tally(read_goals("minimize a"))
    for number in range(111):
        first = math.sin(number) + 2.0
        loss = None if number % 3 == 0 else first + math.cos(7 * number)
        for tally in (often, once):
            told(tally, number, [first], loss)
        often.history()
    assert often.history() == once.history()


def test_one_that_is_lost_after_all_is_asked_again() -> None:
    """It is then no longer among those that were behind."""
    tally = Tally(read_goals("minimize a"))
    told(tally, 1, [1.0], 0.5)
    told(tally, 2, [2.0], None)
    assert [o.loss for o in tally.history()] == [0.5, 0.5]
    tally.apply("lost", {"trial": "t00002", "message": ""})
    assert (tally.pruned, len(tally.history()), len(tally.curves())) == (0, 1, 1)
    assert tally.trials["t00002"].curve == ()


def test_a_result_that_comes_after_all_is_what_counts() -> None:
    """Pruned, lost, asked again and told before anybody looked: the loss is its own."""
    tally = Tally(read_goals("minimize a"))
    told(tally, 1, [1.0], 0.5)
    told(tally, 2, [2.0], None)
    tally.apply("lost", {"trial": "t00002", "message": ""})
    tally.apply("asked", {"trial": "t00002", "again": True})
    ended = {"status": Status.DONE, "message": "", "noise": None, "seconds": 0.0}
    tally.apply("told", {"trial": "t00002", **ended, "metrics": {"a": 0.1}, "curve": [(1, 3.0)]})
    told(tally, 3, [2.5], None)
    assert [o.loss for o in tally.history()] == [0.5, 0.1, pytest.approx(0.4)]


def test_what_pruned_trials_are_worth_is_kept_up_to_date_at_little_cost() -> None:
    """Each whole trial counts at first, then whenever there are a twelfth more."""
    tally = Tally(read_goals("minimize a"))
    told(tally, 0, [1.0], None)
    worth = []
    for number in range(1, 60):
        told(tally, number, [1.0], float(number))
        worth.append(tally.show("t00000").expected)
    assert worth[:3] == [1.0, 2.0, 3.0]
    changes = [a != b for a, b in pairwise(worth)]
    assert 30 < sum(changes) < 45


def test_long_curves_are_kept_in_few_numbers() -> None:
    """Ten thousand reports become some sixty, each the best until then."""
    report = Report("t1", read_goals("minimize a"))
    for step in range(10_000):
        report(math.sin(step) + 1e4 / (step + 1))
    (curve,) = report.curves
    assert len(curve) < 70
    assert curve[-1][0] == 10_000
    losses = [loss for _, loss in curve]
    assert losses == sorted(losses, reverse=True)
