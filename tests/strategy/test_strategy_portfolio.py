"""Turns between two searches."""

from __future__ import annotations

import pytest

from attain.core.space import Float, Space
from attain.core.types import Observed
from attain.strategy.bayes import Bayes
from attain.strategy.portfolio import Portfolio
from attain.strategy.tpe import Tpe

_SPACE = Space((Float(name="x", low=-5, high=10), Float(name="y", low=0, high=15)))


def _history(count):
    trials = []
    for i in range(count):
        config = {"x": -5 + 15 * (i * 0.618 % 1), "y": 15 * (i * 0.414 % 1)}
        trials.append(Observed(f"t{i}", config, "done", config["x"] ** 2 + config["y"]))
    return trials


def _makers(strategy, history, n):
    proposals = strategy.propose(_SPACE, history, n, 0)
    return [p.reason.partition(":")[0] for p in proposals]


def test_every_fourth_proposal_after_the_twelfth_is_the_others():
    """Whose turn it is depends on the number of trials alone, also within a batch."""
    wanted = ["tpe" if i in (12, 16) else "bayes" for i in range(10, 18)]
    assert _makers(Portfolio(), _history(10), 8) == wanted
    single = [_makers(Portfolio(), _history(10 + i), 1)[0] for i in range(8)]
    assert single == wanted


@pytest.mark.parametrize(
    ("settings", "length", "maker"),
    [
        ({"every": 3}, 15, "tpe"),
        ({"every": 3}, 16, "bayes"),
        ({"after": 4}, 8, "tpe"),
        ({"after": 40}, 12, "bayes"),
        ({"leader": "random"}, 13, "random"),
        ({"other": "random"}, 12, "random"),
    ],
)
def test_settings_change_whose_turn_it_is(settings, length, maker):
    """How often, from when on, and between whom."""
    assert _makers(Portfolio(**settings), _history(length), 1) == [maker]


@pytest.mark.parametrize(("length", "member"), [(13, Bayes), (12, Tpe)])
def test_proposals_are_the_members_own(length, member):
    """A proposal is what the strategy whose turn it is would have proposed itself."""
    history = _history(length)
    (got,) = Portfolio().propose(_SPACE, history, 1, 3)
    (own,) = member().propose(_SPACE, history, 1, 3)
    assert got.config == own.config
    assert got.reason.endswith(own.reason)
