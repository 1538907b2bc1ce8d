"""The tree-structured Parzen estimator: quality, options, awkward histories, and what it costs."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from strategy_problems import (
    BRANIN,
    FRONTS,
    MIXED,
    PROBLEMS,
    bests,
    branin,
    mixed,
    parallel,
    search,
    search_several,
    volume,
    zdt1,
)

from attain.core.space import Categorical, Condition, Constraint, Float, Space
from attain.core.types import Observed
from attain.strategy._cache import encoded
from attain.strategy._standing import finished
from attain.strategy.random import Random
from attain.strategy.tpe import Tpe


@pytest.mark.parametrize("name", PROBLEMS)
def test_fifty_trials_beat_random_search(name):
    """Over six seeds the mean loss is less than two thirds of random search's."""
    space, loss = PROBLEMS[name]
    ours, random = (bests(s, space, loss, 50, range(6)) for s in (Tpe(), Random()))
    assert ours.mean() < random.mean() * 2 / 3
    assert (ours < random).sum() >= 4


_WIDTHS = {"net": 8, "trees": 4, "line": 1}
_LEARNERS = Space(
    (
        Categorical(name="learner", choices=tuple(_WIDTHS), default="net"),
        *(
            Float(name=f"{k}.x{i}", low=0, high=1, when=(Condition("learner", (k,)),))
            for k, width in _WIDTHS.items()
            for i in range(width)
        ),
    )
)


def _narrow_line(config):
    """The learner with one parameter is the best, if that one is tuned well."""
    x = np.array([value for name, value in config.items() if name != "learner"])
    steep = {"net": 0.5, "trees": 1.0, "line": 6.0}[config["learner"]]
    return (config["learner"] != "line") / 10 + steep * np.mean((x - 0.8) ** 2)


def test_groups_beat_a_flat_space():
    """Twelve seeds: the best learner has fewest parameters; grouping halves the mean loss."""
    grouped, flat = (
        bests(Tpe(grouped=g), _LEARNERS, _narrow_line, 60, range(12)) for g in (True, False)
    )
    assert grouped.mean() < flat.mean() / 2


@pytest.mark.parametrize(
    "option",
    [
        {"spread_starts": 3},
        {"good_share": 0.4},
        {"most_good": 2},
        {"most_bad": 5},
        {"candidates": 3},
        {"grouped": False},
    ],
    ids=str,
)
def test_every_option_changes_what_is_proposed(option):
    """After the same 25 trials a changed option gives another proposal for some seed."""
    history = search(Random(), MIXED, mixed, 25, 0)
    if "spread_starts" in option:
        history = history[:6]
    assert any(
        Tpe().propose(MIXED, history, 1, seed) != Tpe(**option).propose(MIXED, history, 1, seed)
        for seed in range(5)
    )


def test_trials_under_way_are_avoided():
    """A batch spreads: many proposals at once lie further apart than without knowing each other."""
    history = search(Random(), BRANIN, branin, 30, 0)
    batch = Tpe().propose(BRANIN, history, 10, 0)
    blind = [Tpe().propose(BRANIN, history, 1, seed)[0] for seed in range(10)]

    def distance(proposals):
        points = np.array([list(p.config.values()) for p in proposals])
        return np.linalg.norm(points[:, None] - points[None], axis=2).mean()

    assert distance(batch) > distance(blind)


def test_many_workers_still_beat_random_search():
    """With eight trials under way at any time, 60 trials are better than random search's."""
    ours, random = (
        [
            min(o.loss for o in parallel(s, BRANIN, branin, 60, 8, seed) if o.loss is not None)
            for seed in range(5)
        ]
        for s in (Tpe(), Random())
    )
    assert np.mean(ours) < np.mean(random)


def test_failures_are_avoided():
    """Where half of the range fails, fewer than a fifth of the later trials are sent there."""
    history = []
    for i in range(60):
        (p,) = Tpe().propose(BRANIN, tuple(history), 1, 0)
        bad = p.config["y"] > 7.5
        loss = None if bad else branin(p.config)
        history.append(Observed(f"t{i}", p.config, "memory" if bad else "done", loss))
    assert sum(o.loss is None for o in history[20:]) < 8


def test_limits_come_first():
    """The best loss breaks a limit; most later trials keep it, and the best of them is good."""
    history = []
    for i in range(60):
        (p,) = Tpe().propose(BRANIN, tuple(history), 1, 1)
        excess = (5.0 - p.config["x"],)
        history.append(Observed(f"t{i}", p.config, "done", branin(p.config), excess=excess))
    kept = [o for o in history[20:] if o.excess[0] <= 0]
    assert len(kept) > 20
    assert min(o.loss for o in kept) < 2


def test_clauses_leave_the_model_in_charge():
    """Where most of the good region is forbidden, later proposals still come from the densities."""
    start = replace(BRANIN["x"], default=0.0)
    space = Space((start, BRANIN["y"]), constraints=(Constraint("x + y <= 8"),))
    history = search(Tpe(), space, branin, 40, 0)
    asked = Tpe().propose(space, history, 10, 0)
    assert all(p.config["x"] + p.config["y"] <= 8 for p in asked)
    assert all("unlike the others" in p.reason for p in asked)


def test_a_stated_prior_draws_early_proposals():
    """With a prior far from the best region, proposals after eight trials lie nearer to it."""
    there = replace(BRANIN["x"], prior=(-4.0, 0.5))
    stated = Space((there, BRANIN["y"]))
    history = search(Random(), BRANIN, branin, 8, 0)
    near, far = (
        np.mean([abs(Tpe().propose(s, history, 1, k)[0].config["x"] + 4) for k in range(40)])
        for s in (stated, BRANIN)
    )
    assert near < 0.8 * far


def test_noise_makes_weights_alike():
    """Good trials that differ by less than their standard errors count nearly the same."""
    quiet = [Observed(f"t{i}", {"x": i / 2, "y": 1.0}, "done", float(i)) for i in range(9)]
    noisy = [replace(o, noise=50.0) for o in quiet]
    spread = []
    for history in (quiet, noisy):
        past = encoded(BRANIN, history)
        weights = Tpe(good_share=0.5)._split(past, finished(past)).good_weights
        spread.append(weights.max() / weights.min())
    assert spread[0] > 3
    assert spread[1] < 1.1


def test_several_goals_find_a_front():
    """ZDT1 at 100 trials: half more volume than random search's, mean of five seeds."""
    ours, random = (
        np.mean([volume(search_several(s, FRONTS, zdt1, 100, k), (1.1, 2.0)) for k in range(5)])
        for s in (Tpe(), Random())
    )
    assert ours > 1.5 * random


def test_the_cache_never_changes_an_answer():
    """A growing, a changed and a fresh history of equal trials give equal proposals."""
    history = search(Tpe(), MIXED, mixed, 20, 0)
    changed = [*history[:5], replace(history[5], loss=-1.0), *history[6:]]
    for case in (history, changed, history[:12], history):
        fresh = [replace(o, config=dict(o.config)) for o in case]
        cold = Tpe().propose(Space(MIXED.parameters), fresh, 2, 0)
        assert Tpe().propose(MIXED, case, 2, 0) == cold


def test_proposals_stay_cheap_with_many_trials():
    """With 10,000 trials a proposal takes at most 10 times as long as with 100, and under 60 ms."""
    took = {}
    for n in (100, 10_000):
        proposals = Random().propose(MIXED, (), n, 0)
        history = [
            Observed(f"t{i}", p.config, "done", mixed(p.config)) for i, p in enumerate(proposals)
        ]
        Tpe().propose(MIXED, history, 1, 0)
        before = time.process_time()
        for seed in range(5):
            Tpe().propose(MIXED, history, 1, seed)
        took[n] = (time.process_time() - before) / 5
    assert took[10_000] < 0.06
    assert took[10_000] < 10 * took[100]
