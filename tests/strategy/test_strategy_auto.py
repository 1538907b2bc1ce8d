"""The automatic choice: which strategy for which space, budget, goals and limits, and why."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attain.core import registry
from attain.core.space import Categorical, Condition, Float, Int, Ordinal, Space
from attain.strategy import auto
from attain.strategy.auto import choose
from attain.strategy.grid import Grid
from attain.testing.strategy_suite import SPACES

_TWO = SPACES["continuous numbers"]
_LEARNERS = SPACES["several learners"]
_FEW = Space((Categorical(name="a", choices=(1, 2, 3)), Ordinal(name="b", choices=("s", "l"))))


@pytest.mark.parametrize(
    ("space", "trials", "name", "why"),
    [
        (_FEW, 6, "grid", "6 trials are enough to try all 6 points of the space"),
        (_FEW, 5, "sobol", "with 5 trials, the known-good default and evenly spread points"),
        (SPACES["a single point"], 50, "grid", "50 trials are enough to try its only point"),
        (_TWO, 5, "sobol", "with 5 trials, the known-good default"),
        (_TWO, 6, "bayes", "a Gaussian process learns from each of 6 trials"),
        (_LEARNERS, 7, "sobol", "with 7 trials, 3 known-good defaults and evenly spread points"),
        (_LEARNERS, 8, "bayes", "a Gaussian process learns from each of 8 trials"),
    ],
)
def test_the_automatic_choice_follows_space_and_budget(space, trials, name, why):
    """Tiny spaces are listed, tiny budgets spread, all else modelled; reasons have numbers."""
    got, reason = choose(space, trials)
    assert got == name
    assert reason.startswith(why)


_CHOICES = Space(
    (
        Float(name="x", low=0, high=1),
        Categorical(name="kind", choices=("a", "b")),
        Float(name="y", low=0, high=1, when=(Condition("kind", ("a",)),)),
    )
)


@pytest.mark.parametrize(
    ("space", "trials", "goals", "limits", "name", "why"),
    [
        (_TWO, 300, 1, 0, "bayes", "a Gaussian process learns from each of 300 trials where impro"),
        (_TWO, 60, 1, 2, "bayes", "a Gaussian process learns from each of 60 trials where"),
        (_TWO, 300, 2, 0, "bayes", "a Gaussian process learns from each of 300 trials where 2 goa"),
        (_TWO, 60, 5, 0, "bayes", "a Gaussian process learns from each of 60 trials where 5 goals"),
        (_TWO, 301, 2, 0, "evolution", "301 trials are enough for generations that spread"),
        (_CHOICES, 2000, 4, 1, "evolution", "2000 trials are enough for generations"),
        (_TWO, 301, 1, 0, "cmaes", "301 trials of mostly numbers let a normal distribution"),
        (_CHOICES, 301, 1, 0, "tpe", "with 301 trials, densities of good and bad ones"),
        (_FEW, 2000, 3, 0, "grid", "2000 trials are enough to try all 6 points"),
        (_TWO, 4, 3, 0, "sobol", "with 4 trials, the known-good default"),
    ],
)
def test_the_automatic_choice_follows_goals_and_limits(space, trials, goals, limits, name, why):
    """A model up to 300 trials; beyond, fronts are evolved and single losses take what is fast."""
    got, reason = choose(space, trials, goals, limits)
    assert got == name
    assert reason.startswith(why)
    assert name in registry.names("strategy")


def test_limits_are_part_of_the_reason():
    """Who states limits reads that they are learnt, or that the front lies within them."""
    assert choose(_TWO, 60, 1, 1)[1].endswith("likely, and whether limits hold")
    assert "the front of 2 goals within a limit," in choose(_TWO, 900, 2, 1)[1]
    assert "the front of 2 goals within 3 limits," in choose(_TWO, 900, 2, 3)[1]


def test_a_budget_without_a_number_is_a_usual_one():
    """When only time is limited, what suits a hundred trials is chosen."""
    assert choose(_TWO, None) == choose(_TWO, 100)
    assert choose(_TWO, 10_000)[0] == "cmaes"


def test_what_is_not_installed_is_not_chosen(monkeypatch):
    """Without the library of CMA-ES, long searches over numbers go to what needs none."""
    monkeypatch.setattr(auto, "find_spec", lambda name: None)
    assert choose(_TWO, 1000)[0] == "tpe"


def test_a_large_finite_space_is_not_listed():
    """A budget of a thousand trials does not turn a thousand points into a grid."""
    parts = tuple(Categorical(name=f"c{i}", choices=tuple(range(10))) for i in range(3))
    assert choose(Space(parts), 1000)[0] == "tpe"


def test_what_is_chosen_as_grid_is_visited_completely():
    """Whenever a grid is chosen, it tries every point of the space."""
    for count in itertools.product((2, 7, 16), (3, 16)):
        space = Space(tuple(Int(name=f"n{i}", low=1, high=n) for i, n in enumerate(count)))
        assert choose(space, 256)[0] == "grid"
        assert len(Grid().propose(space, [], 300, 0)) == np.prod(count)
