"""CMA-ES: quality, the state read from any history, grids, choices, and the warm start."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from strategy_problems import (
    BOWL,
    BRANIN,
    MIXED,
    PROBLEMS,
    bests,
    bowl,
    branin,
    mixed,
    parallel,
    search,
)

from attain.core import registry
from attain.core.errors import EnvironmentProblem
from attain.core.space import Categorical, Float, Int, Space
from attain.core.types import Observed
from attain.strategy import _generations
from attain.strategy._encode import Cube
from attain.strategy._generations import Coordinates, shortened, sorted_ranks, step_size
from attain.strategy.cmaes import CmaEs
from attain.strategy.random import Random
from attain.strategy.tpe import Tpe


@pytest.mark.parametrize(("name", "share"), [("branin", 0.5), ("bowl", 0.3), ("mixed", 0.8)])
def test_a_hundred_trials_beat_random_search(name, share):
    """Over six seeds the mean loss is less than a stated share of random search's."""
    space, loss = PROBLEMS[name]
    ours, random = (bests(s, space, loss, 100, range(6)) for s in (CmaEs(), Random()))
    assert ours.mean() < random.mean() * share
    assert (ours < random).sum() >= 4


def test_it_converges_where_it_should():
    """300 trials on the ellipsoid end within a hundredth of the best, three seeds of three."""
    assert bests(CmaEs(), BOWL, bowl, 300, range(3)).max() < 0.01


def test_many_workers_still_converge():
    """With six trials under way at any time, 150 trials are five times better than random ones."""
    ours, random = (
        np.mean(
            [
                min(o.loss for o in parallel(s, BOWL, bowl, 150, 6, seed) if o.loss is not None)
                for seed in range(3)
            ]
        )
        for s in (CmaEs(), Random())
    )
    assert ours < random / 5


@pytest.mark.parametrize("option", [{"population": 5}, {"spread_starts": 9}, {"warm": 20}], ids=str)
def test_every_option_changes_what_is_proposed(option):
    """After the same 30 trials a changed option gives another proposal."""
    history = search(Random(), BRANIN, branin, 30, 0)
    mine = CmaEs().propose(BRANIN, history, 1, 0)
    assert CmaEs(**option).propose(BRANIN, history, 1, 0) != mine


def test_the_kept_states_never_change_an_answer():
    """Growing, changed late, cut and cold histories of equal trials give equal proposals."""
    history = search(CmaEs(), MIXED, mixed, 45, 0)
    late = [*history[:20], replace(history[20], loss=-1.0), *history[21:]]
    failed = [*history[:30], replace(history[30], status="failed", loss=None), *history[31:]]
    for case in (history, late, failed, history[:25], history):
        warm = CmaEs().propose(MIXED, case, 2, 0)
        _generations._told.clear()
        fresh = [replace(o, config=dict(o.config)) for o in case]
        assert CmaEs().propose(Space(MIXED.parameters), fresh, 2, 0) == warm


def test_threads_do_not_disturb_each_other():
    """Four threads asking about two histories at once get what one thread gets."""
    histories = [search(CmaEs(), MIXED, mixed, 40, seed) for seed in (0, 1)] * 8
    alone = [CmaEs().propose(MIXED, history, 1, 0) for history in histories]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda history: CmaEs().propose(MIXED, history, 1, 0), histories))
    assert together == alone


def test_late_results_are_told_where_they_belong():
    """A trial that ends late changes the state exactly as if it had ended in time."""
    history = search(CmaEs(), BRANIN, branin, 40, 0)
    waiting = [*history[:10], replace(history[10], status="running", loss=None), *history[11:]]
    before = CmaEs().propose(BRANIN, waiting, 1, 0)
    assert CmaEs().propose(BRANIN, history, 1, 0) != before
    _generations._told.clear()
    assert CmaEs().propose(BRANIN, waiting, 1, 0) == before


def test_trials_under_way_rank_in_the_middle_and_failures_last():
    """Two finished halves around those that say nothing, then the failed ones."""
    order = np.array([[7.0, np.inf, 2.0, np.inf, 5.0, np.inf]])
    open_ = np.array([[False, True, False, False, False, False]])
    failed = np.array([[False, False, False, True, False, True]])
    ranks = sorted_ranks(order, open_, failed)[0]
    assert np.argsort(ranks, kind="stable").tolist() == [2, 4, 1, 0, 3, 5]


def test_injected_points_are_shortened():
    """A far point keeps its direction and gets the published length; a near one stays."""
    coordinates = Coordinates(Cube(BOWL))
    state = coordinates.begin(np.full(6, 0.5), 0.01, None)
    far, near = np.full(6, 0.9), np.full(6, 0.501)
    found = shortened(state, far)
    length = np.linalg.norm(found - 0.5) / step_size(state)
    assert length == pytest.approx(np.sqrt(6) + 2 * 6 / 8)
    np.testing.assert_allclose(found - found[0], 0, atol=1e-12)
    np.testing.assert_allclose(shortened(state, near), near)


def test_a_foreign_trial_does_not_blow_the_search_up():
    """After an injected far best point the next proposals stay near the old region or go there."""
    history = search(CmaEs(), BOWL, bowl, 80, 0)
    injected = [
        Observed(f"f{i}", {f"x{k}": 0.9 for k in range(6)}, "done", -1.0 - i) for i in range(9)
    ]
    (proposal,) = CmaEs().propose(BOWL, [*history, *injected], 1, 0)
    BOWL.check(proposal.config)
    assert all(0.0 < value < 1.0 for value in proposal.config.values())


def test_another_strategys_trials_are_a_warm_start():
    """Taking over after 60 trials of another, 40 more are better with those as a warm start."""

    def taken_over(warm, seed):
        history = search(Tpe(), BRANIN, branin, 60, seed)
        for i in range(40):
            (p,) = CmaEs(warm=warm).propose(BRANIN, tuple(history), 1, seed)
            history.append(Observed(f"c{i}", p.config, "done", branin(p.config)))
        return min(o.loss for o in history)

    warm, cold = (np.mean([taken_over(w, seed) for seed in range(5)]) for w in (60, None))
    assert warm < cold


_GRIDS = Space(
    (
        Int(name="a", low=0, high=9, default=5),
        Int(name="b", low=1, high=512, scale="log", default=64),
        Float(name="c", low=0, high=1),
        Categorical(name="d", choices=("x", "y", "z")),
    )
)


def _grids(config):
    loss = (config["a"] - 2) ** 2 / 10 + (np.log2(config["b"]) - 3) ** 2 / 10
    return loss + (config["c"] - 0.3) ** 2 + (config["d"] != "z") / 2


def test_grids_and_choices_are_searched_too():
    """An integer, one on a log scale and a choice reach the best values, three seeds of three."""
    for seed in range(3):
        found = min(search(CmaEs(), _GRIDS, _grids, 150, seed), key=lambda o: o.loss).config
        assert (found["a"], found["d"]) == (2, "z")
        assert 6 <= found["b"] <= 11


def test_the_margin_keeps_neighbours_reachable():
    """Long after it has settled, an integer is still proposed with other values."""
    history = search(CmaEs(), _GRIDS, _grids, 200, 1)
    assert len({o.config["a"] for o in history[-50:]}) > 1


def test_only_choices_are_no_problem():
    """A space without numbers is searched by the frequencies alone."""
    space = Space(tuple(Categorical(name=f"c{i}", choices=(1, 2, 3, 4)) for i in range(5)))

    def loss(config):
        return sum(value != 3 for value in config.values())

    ours, random = (bests(s, space, loss, 80, range(4)) for s in (CmaEs(), Random()))
    assert ours.mean() <= random.mean() - 0.5


def test_a_converged_search_starts_again():
    """Where all losses are equal beyond any precision the search moves on instead of stopping."""
    space = Space((Float(name="x", low=0, high=1), Float(name="y", low=0, high=1)))
    history = search(CmaEs(population=4), space, lambda c: sum(c.values()) * 0 + c["x"] ** 2, 60, 0)
    assert len({o.config["x"] for o in history}) == 60


def test_a_missing_library_is_named(monkeypatch):
    """Without `cmaes` the registry says what to install."""
    for name in ("attain.strategy.cmaes", "attain.strategy._generations"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "cmaes", None)
    with pytest.raises(EnvironmentProblem, match="needs the package 'cmaes' — install it"):
        registry.find("strategy", "cmaes")


def test_proposals_stay_cheap_with_many_trials():
    """With 5,000 trials, once told, a proposal takes less than 60 ms of CPU time."""
    proposals = Random().propose(MIXED, (), 5_000, 0)
    history = [
        Observed(f"t{i}", p.config, "done", mixed(p.config)) for i, p in enumerate(proposals)
    ]
    CmaEs().propose(MIXED, history, 1, 0)
    before = time.process_time()
    for _ in range(5):
        (p,) = CmaEs().propose(MIXED, history, 1, 0)
        history = [*history, Observed(f"t{len(history)}", p.config, "done", mixed(p.config))]
    assert (time.process_time() - before) / 5 < 0.06
