"""Grid, random and Sobol search, and the automatic choice."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats
from scipy.stats import qmc

from attain.core.space import Float, Int, Space
from attain.core.types import Observed
from attain.strategy.grid import Grid
from attain.strategy.random import Random
from attain.strategy.sobol import Sobol
from attain.testing.strategy_suite import SPACES

_TWO = SPACES["continuous numbers"]
_LEARNERS = SPACES["several learners"]


def _history(proposals, status="done"):
    return [Observed(f"t{i}", p.config, status, 0.5) for i, p in enumerate(proposals)]


def _one_at_a_time(strategy, space, count, seed=0):
    found = []
    for _ in range(count):
        found += strategy.propose(space, _history(found), 1, seed)
    return found


def test_grid_values_are_evenly_spaced_on_their_scale():
    """Both ends are included, on the log scale ratios are equal, numbers are clean."""
    configs = [p.config for p in Grid(levels=6).propose(_TWO, [], 1000, 0)]
    assert len(configs) == 36
    assert sorted({c["rate"] for c in configs}) == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    assert sorted({c["x"] for c in configs}) == [-5.0, -2.0, 1.0, 4.0, 7.0, 10.0]


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_grid_levels_change_the_grid(levels):
    """Each continuous number gets exactly so many values."""
    assert len(Grid(levels).propose(_TWO, [], 1000, 0)) == levels**2


def test_grid_respects_steps_and_lists_small_spaces_completely():
    """A step is a wish for its values; a small finite space leaves no integer out."""
    wide = Int(name="n", low=1, high=1000)
    assert len(Grid().propose(Space((wide,)), [], 2000, 0)) == 4
    stepped = Int(name="n", low=0, high=1000, step=2)
    assert len(Grid().propose(Space((stepped,)), [], 2000, 0)) == 501
    narrow = Int(name="n", low=1, high=100)
    assert len(Grid().propose(Space((narrow,)), [], 2000, 0)) == 100


def test_grid_of_a_tree_is_exact():
    """Conditional parameters multiply only the branches where they exist."""
    configs = [p.config for p in Grid(levels=3).propose(_LEARNERS, [], 1000, 0)]
    by_learner = [sum(c["learner"] == k for c in configs) for k in ("trees", "lines", "none")]
    assert by_learner == [3 * 3 * (1 + 3), 3, 1]


def test_grid_of_any_size_starts_at_once():
    """Fifty parameters of four levels: the first points come in milliseconds and all differ."""
    space = Space(tuple(Float(name=f"x{i}", low=0, high=1) for i in range(50)))
    start = time.perf_counter()
    proposals = Grid().propose(space, [], 20, 0)
    assert time.perf_counter() - start < 1.0
    assert len({tuple(p.config.values()) for p in proposals}) == 20
    assert proposals[0].reason == f"grid point 1 of {4**50}"


def test_part_of_a_grid_covers_all_of_it():
    """After an eighth of the grid, each value of each parameter has had its turn."""
    space = Space(tuple(Float(name=f"x{i}", low=0, high=1) for i in range(4)))
    configs = [p.config for p in Grid().propose(space, [], 32, 0)]
    for i in range(4):
        assert len({c[f"x{i}"] for c in configs}) == 4


def test_grid_does_not_depend_on_the_seed():
    """A grid has nothing random."""
    assert Grid().propose(_LEARNERS, [], 50, 1) == Grid().propose(_LEARNERS, [], 50, 2)


@pytest.mark.parametrize("strategy", [Random(), Sobol()])
def test_one_by_one_or_all_at_once_is_the_same(strategy):
    """Trial k is the same configuration whether asked for alone or in a batch."""
    together = strategy.propose(_LEARNERS, [], 12, 3)
    assert tuple(_one_at_a_time(strategy, _LEARNERS, 12, 3)) == together


@pytest.mark.parametrize("strategy", [Random(), Sobol()])
def test_the_seed_changes_what_comes_after_the_defaults(strategy):
    """Another seed keeps the known-good defaults and changes all others."""
    a, b = (strategy.propose(_TWO, [], 9, seed) for seed in (0, 1))
    assert a[0] == b[0]
    assert not {p.config["x"] for p in a[1:]} & {p.config["x"] for p in b[1:]}


@pytest.mark.parametrize("seed", range(3))
def test_random_is_uniform_on_the_scale(seed):
    """Kolmogorov-Smirnov: linear values uniform, log values uniform in the logarithm."""
    configs = [p.config for p in Random().propose(_TWO, [], 801, seed)[1:]]
    x = np.array([c["x"] for c in configs])
    rate = np.log10([c["rate"] for c in configs])
    assert stats.kstest((x + 5) / 15, "uniform").pvalue > 1e-3
    assert stats.kstest((rate + 5) / 5, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(x, rate)[0, 1]) < 0.12


def test_random_choices_are_equally_likely():
    """Each learner is drawn about as often as any other."""
    proposals = Random().propose(_LEARNERS, [], 903, 0)[3:]
    counts = np.unique([p.config["learner"] for p in proposals], return_counts=True)[1]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_sobol_is_scipys_sequence_on_the_scales():
    """After the default come SciPy's points in order, mapped to range and logarithm."""
    proposals = Sobol().propose(_TWO, [], 33, 5)[1:]
    points = qmc.Sobol(2, scramble=True, rng=np.random.default_rng(5)).random(32)
    got = [[(p.config["x"] + 5) / 15, (np.log10(p.config["rate"]) + 5) / 5] for p in proposals]
    np.testing.assert_allclose(got, points, atol=1e-12)
    assert [p.reason for p in proposals[:2]] == [f"scrambled Sobol point {i}" for i in (1, 2)]


def test_sobol_covers_more_evenly_than_random():
    """Discrepancy of 64 points: less than half of random search's, over several seeds."""

    def discrepancy(strategy, seed):
        cube = [p.config for p in strategy.propose(_TWO, [], 65, seed)[1:]]
        points = [[(c["x"] + 5) / 15, (np.log10(c["rate"]) + 5) / 5] for c in cube]
        return qmc.discrepancy(np.clip(points, 0, 1), method="CD")

    sobol, random = (
        np.mean([discrepancy(s, seed) for seed in range(5)]) for s in (Sobol(), Random())
    )
    assert sobol < random / 2


@pytest.mark.parametrize("strategy", [Random(), Sobol(), Grid()])
def test_a_long_history_costs_little(strategy):
    """After two thousand trials the next proposal still comes in a fraction of a second."""
    space = Space((Int(name="n", low=1, high=10_000_000), *_TWO.parameters))
    history = _history(Random().propose(space, [], 2000, 0))
    start = time.perf_counter()
    assert len(strategy.propose(space, history, 1, 0)) == 1
    assert time.perf_counter() - start < 0.5


def test_nothing_is_told_to_running_trials():
    """None of the three stops a trial."""
    for strategy in (Grid(), Random(), Sobol()):
        assert strategy.judge(_history([], "running"), {"t0": [1.0, 2.0]}) == {}
