"""Bayesian search for several goals, for a target, and by the time that trials take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from strategy_problems import BRANIN, MIXED, branin, mixed, volume, zdt1, zdt2

from attain.core.space import Float, Space
from attain.core.types import Observed
from attain.stats import pareto
from attain.strategy._cache import encoded
from attain.strategy._encode import Cube
from attain.strategy._evidence import read
from attain.strategy._surrogate import Surrogate, Wish
from attain.strategy.bayes import Bayes
from attain.strategy.evolution import Evolution
from attain.strategy.random import Random

_FOUR = Space(tuple(Float(name=f"x{i}", low=0, high=1) for i in range(4)))
_FIVE = Space(tuple(Float(name=f"x{i}", low=0, high=1) for i in range(5)))


def _ringed(config):
    """C2-DTLZ2 (Jain and Deb 2014): a concave front of which only three pieces are permitted."""
    x = np.array(list(config.values()))
    g, angle = ((x[1:] - 0.5) ** 2).sum(), x[0] * np.pi / 2
    a, b = (1 + g) * np.cos(angle), (1 + g) * np.sin(angle)
    pieces = ((1, 0), (0, 1), (np.sqrt(0.5), np.sqrt(0.5)))
    return (float(a), float(b)), (min((a - p) ** 2 + (b - q) ** 2 for p, q in pieces) - 0.04,)


def _three(config):
    """DTLZ2 with three goals: the front is an eighth of a sphere."""
    x = np.array(list(config.values()))
    g, a, b = ((x[2:] - 0.5) ** 2).sum(), x[0] * np.pi / 2, x[1] * np.pi / 2
    parts = (np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a))
    return tuple(float((1 + g) * part) for part in parts), ()


_PROBLEMS = {
    "zdt1": (lambda config: (zdt1(config), ()), _FOUR, (1.1, 6.0)),
    "zdt2": (lambda config: (zdt2(config), ()), _FOUR, (1.1, 6.0)),
    "ringed": (_ringed, _FOUR, (1.1, 1.1)),
    "three goals": (_three, _FIVE, (1.1, 1.1, 1.1)),
}


def _told(number, config, function):
    goals, excess = function(config)
    return Observed(f"t{number}", config, "done", sum(goals), goals=goals, excess=excess)


def _search(strategy, space, function, trials, seed):
    history = []
    for i in range(trials):
        (proposal,) = strategy.propose(space, tuple(history), 1, seed)
        history.append(_told(i, proposal.config, function))
    return history


def _volume(history, reference):
    kept = [o for o in history if not o.excess or o.excess[0] <= 0]
    return volume(kept, reference) if kept else 0.0


def _model(space, history, wish=None):
    return Surrogate.fit(Cube(space), read(encoded(space, history), 300), 150, wish)


@pytest.mark.slow
@pytest.mark.parametrize("name", _PROBLEMS)
def test_more_volume_than_random_and_evolutionary_search(name):
    """With 40 trials, mean volume over three seeds is clearly above random's and NSGA-II's."""
    function, space, reference = _PROBLEMS[name]
    ours, evolution, random = (
        np.array([_volume(_search(s, space, function, 40, seed), reference) for seed in range(3)])
        for s in (Bayes(), Evolution(), Random())
    )
    assert ours.mean() > 1.15 * max(evolution.mean(), random.mean())
    assert (ours > np.maximum(evolution, random)).sum() >= 2


def test_a_front_that_is_a_point_so_far_is_left():
    """A search that found one end of the front early goes on to the other one."""
    history = _search(Bayes(), _FOUR, lambda config: (zdt1(config), ()), 25, 0)
    goals = np.array([o.goals for o in history])
    ends = goals[pareto.front(goals)]
    assert np.ptp(ends[:, 0]) > 0.5
    assert ends[:, 1].min() < 0.6


def _two_goals(count=25, seed=0):
    return [
        _told(i, p.config, lambda config: (zdt2(config), ()))
        for i, p in enumerate(Random().propose(_FOUR, [], count, seed))
    ]


def _gap(a, b):
    return max(abs(a[name] - b[name]) for name in a)


@pytest.mark.parametrize("width", [2, 3])
def test_trials_under_way_are_avoided(width):
    """The place a running trial is looking at is left to it; a batch spreads in the same way."""
    history = _two_goals()
    if width == 3:
        history = [replace(o, goals=(*o.goals, o.config["x1"])) for o in history]
    (first,) = Bayes().propose(_FOUR, tuple(history), 1, 0)
    running = Observed("r", first.config, "running")
    (second,) = Bayes().propose(_FOUR, (*history, running), 1, 0)
    assert _gap(first.config, second.config) > 0.02
    batch = Bayes().propose(_FOUR, tuple(history), 4, 0)
    assert min(_gap(a.config, b.config) for i, a in enumerate(batch) for b in batch[:i]) > 0.01


def test_every_proposal_weighs_three_goals_anew():
    """Equal arguments give equal proposals; the compromise changes with the seed and the place."""
    history = [replace(o, goals=(*o.goals, o.config["x1"])) for o in _two_goals()]
    evidence = read(encoded(_FOUR, history), 300)
    assert Bayes().propose(_FOUR, history, 2, 0) == Bayes().propose(_FOUR, history, 2, 0)
    first, second = evidence.scalarised(0), evidence.scalarised(1)
    assert (np.argsort(first.losses) != np.argsort(second.losses)).any()
    (proposal,) = Bayes().propose(_FOUR, history, 1, 0)
    assert proposal.predicted is None
    assert proposal.reason.startswith("expected improvement of a compromise between the goals")


def test_the_reason_tells_both_goals():
    """Predictions are in the units of the goals; a single number would belong to neither."""
    history = _two_goals()
    (proposal,) = Bayes().propose(_FOUR, tuple(history), 1, 0)
    assert proposal.predicted is None
    text = proposal.reason.removeprefix("expected growth of the front: predicted goals ")
    first, second, beside = text.split(", ")
    assert -0.2 < float(first) < 1.2
    assert float(second) < 4
    assert beside.startswith("front of ")


def test_trials_with_other_goals_are_left_out():
    """A trial from before a second goal existed, or one without finite goals, says nothing."""
    history = _two_goals()
    history[0] = replace(history[0], goals=())
    history[1] = replace(history[1], goals=(0.5, np.nan))
    history[2] = replace(history[2], goals=(0.5, np.inf))
    assert len(read(encoded(_FOUR, history), 300).losses) == 22


def test_one_goal_in_the_list_is_the_loss():
    """A list of a single goal changes nothing."""
    history = [replace(o, goals=()) for o in _two_goals()]
    listed = [replace(o, goals=(o.loss,)) for o in history]
    assert Bayes().propose(_FOUR, history, 1, 0) == Bayes().propose(_FOUR, listed, 1, 0)


def _done(space, loss, count=25, seconds=lambda config: 0.0):
    return [
        Observed(f"t{i}", p.config, "done", float(loss(p.config)), seconds=seconds(p.config))
        for i, p in enumerate(Random().propose(space, [], count, 0))
    ]


def test_a_target_changes_what_is_asked_for():
    """Within reach of the target a proposal is surer to get there; reached, it plays no part."""
    history = _done(BRANIN, branin, 30)
    best = min(o.loss for o in history)
    (plain,) = Bayes().propose(BRANIN, history, 1, 0)
    (aimed,) = Bayes(target=0.9 * best).propose(BRANIN, history, 1, 0)
    (reached,) = Bayes(target=best + 1.0).propose(BRANIN, history, 1, 0)
    assert aimed.config != plain.config
    assert aimed.spread < plain.spread
    assert reached.config == plain.config
    assert "reaches the target with probability 0." in aimed.reason


def _until(strategy, space, loss, target, seed):
    history = []
    while not history or history[-1].loss > target:
        (proposal,) = strategy.propose(space, tuple(history), 1, seed)
        history.append(Observed(f"t{len(history)}", proposal.config, "done", loss(proposal.config)))
        if len(history) == 60:
            break
    return len(history)


@pytest.mark.slow
def test_a_target_is_reached_no_later():
    """Mean number of trials until the target over ten seeds: not above plain improvement's."""
    counts = [
        [_until(Bayes(target=t), BRANIN, branin, 0.05, seed) for seed in range(10)]
        for t in (0.05, None)
    ]
    assert np.mean(counts[0]) <= np.mean(counts[1])


_SIZED = Space((Float(name="size", low=1, high=100, scale="log"), *_FOUR.parameters[:2]))


def _sized(config):
    """Best 0 at a size of 63; a trial takes as many seconds as its size."""
    size = np.log10(config["size"]) / 2
    return (config["x0"] - 0.3) ** 2 + (config["x1"] - 0.7) ** 2 + (size - 0.9) ** 2


def _size(config):
    return config["size"]


def test_durations_count_only_when_asked_and_ever_less():
    """The option changes a proposal, to a cheaper one; its weight falls as trials finish."""
    history = _done(_SIZED, _sized, 12, _size)
    (plain,) = Bayes(margin_trials=0).propose(_SIZED, history, 1, 0)
    (cheap,) = Bayes(margin_trials=0, per_second=True).propose(_SIZED, history, 1, 0)
    assert cheap.config["size"] < plain.config["size"]
    assert "; takes about " in cheap.reason
    weights = [_model(_SIZED, history[:k], Wish(per_second=True)).cooling for k in (2, 6, 12)]
    assert 1 > weights[0] > weights[1] > weights[2] > 0
    unknown = [replace(o, seconds=0.0) for o in history]
    assert Bayes(margin_trials=0, per_second=True).propose(_SIZED, unknown, 1, 0) == (plain,)


def _seconds_until(strategy, goal, seed):
    history, spent = [], 0.0
    for i in range(40):
        (proposal,) = strategy.propose(_SIZED, tuple(history), 1, seed)
        loss, seconds = _sized(proposal.config), _size(proposal.config)
        history.append(Observed(f"t{i}", proposal.config, "done", loss, seconds=seconds))
        spent += seconds
        if loss <= goal:
            return spent
    return np.inf


@pytest.mark.slow
def test_a_loss_is_reached_in_less_time():
    """Where the best region is expensive it is still found, and in two thirds of the seconds."""
    spent = [
        np.mean([_seconds_until(Bayes(per_second=asked), 0.01, seed) for seed in range(8)])
        for asked in (True, False)
    ]
    assert spent[0] < 0.8 * spent[1]


def test_a_mixed_space_takes_all_wishes_at_once():
    """Two goals, a limit, failures and durations on a conditional space: proposals go on."""
    history = [
        replace(o, goals=(o.loss, o.config.get("trees.rate", 1.0)), excess=(o.loss - 0.4,))
        for o in _done(MIXED, mixed, 20, lambda config: 1.0 + config.get("trees.leaves", 1))
    ]
    history.append(Observed("f", {**MIXED.defaults(), "trees.rate": 0.5}, "memory"))
    proposals = Bayes(per_second=True, target=0.0).propose(MIXED, tuple(history), 3, 0)
    assert len({str(p.config) for p in proposals}) == 3
    assert all("keeps all limits" in p.reason and "takes about" in p.reason for p in proposals[2:])
