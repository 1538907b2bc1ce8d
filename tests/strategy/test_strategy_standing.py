"""Which trials come first: limits, one goal, several goals."""

from __future__ import annotations

import numpy as np
from strategy_problems import BRANIN

from attain.core.types import Observed
from attain.strategy._cache import encoded
from attain.strategy._standing import finished


def _history(**columns):
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return [
        Observed(f"t{i}", {"x": 1.0, "y": float(i)}, "done", **row) for i, row in enumerate(rows)
    ]


def _order(history, most=99, **options):
    standing = finished(encoded(BRANIN, history), **options)
    return standing.places[standing.best_first(most)].tolist()


def test_one_goal_is_sorted():
    """By loss; equal losses in order of asking; what runs or failed is not among them."""
    history = _history(loss=[3.0, 1.0, 2.0, 1.0])
    history += [Observed("r", {"x": 1.0, "y": 9.0}, "running")]
    history += [Observed("f", {"x": 1.0, "y": 9.0}, "failed")]
    assert _order(history) == [1, 3, 2, 0]


def test_limits_come_before_the_loss():
    """Within the limits first; then by excess, each limit in units of its own median excess."""
    excess = [(-1.0, 0.0), (2e6, 0.0), (0.0, 3.0), (1e6, 0.0), (-5.0, -5.0)]
    history = _history(loss=[5.0, 0.0, 0.0, 0.0, 6.0], excess=excess)
    assert _order(history) == [0, 4, 3, 2, 1]


def test_an_excess_that_is_no_number_is_broken():
    """NaN and infinity come last, after every finite excess."""
    history = _history(loss=[0.0, 1.0, 2.0], excess=[(float("nan"),), (0.5,), (0.0,)])
    assert _order(history) == [2, 1, 0]


def test_several_goals_are_sorted_into_fronts():
    """Fronts one after the other; of the one that does not fit, those that dominate most."""
    goals = [(5.0, 5.0), (0.0, 4.0), (0.1, 3.9), (2.0, 2.0), (4.0, 0.0)]
    history = _history(loss=[0.0] * 5, goals=goals)
    assert set(_order(history, 4)[:4]) == {1, 2, 3, 4}
    assert set(_order(history, 3)[:3]) == {1, 3, 4} or set(_order(history, 3)[:3]) == {2, 3, 4}
    assert _order(history, 5)[-1] == 0


def test_a_long_front_is_split_by_crowding():
    """With more points than volumes are computed for, the ends still come first."""
    goals = [(i / 200, 1 - i / 200) for i in range(200)]
    history = _history(loss=[0.0] * 200, goals=goals)
    assert {0, 199} <= set(_order(history, 10)[:10])


def test_goals_of_another_number_are_left_out():
    """Trials from before a goal was added, or with one that is not finite, are not compared."""
    goals = [(1.0,), (1.0, 2.0), (float("nan"), 0.0), (2.0, 1.0)]
    history = _history(loss=[0.0, 1.0, 2.0, 3.0], goals=goals)
    assert sorted(_order(history)) == [1, 3]
    assert _order(history, by_loss=True) == [0, 1, 2, 3]


def test_nothing_finished_is_an_empty_standing():
    """No trials, or none that ended: nothing to sort."""
    assert _order([]) == []
    assert finished(encoded(BRANIN, [])).goals.shape == (0, 1)
    assert np.isfinite(finished(encoded(BRANIN, _history(loss=[1.0]))).excess).all()
