"""Fronts, crowding and dominated volumes against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attain.stats.pareto import (
    contributions,
    crowding,
    dominates,
    front,
    hypervolume,
    ranks,
    reference_point,
    spread_subset,
)

_POINTS = st.integers(1, 4).flatmap(  # small whole numbers: many ties and repeats
    lambda g: st.integers(0, 12).flatmap(
        lambda n: arrays(float, (n, g), elements=st.integers(0, 4).map(float))
    )
)


def _front_by_pairs(goals):
    return np.array([not any(dominates(b, a) for b in goals) for a in goals], dtype=bool)


def _ranks_by_pairs(goals):
    number, level = np.full(len(goals), -1), 0
    while (number < 0).any():
        left = np.flatnonzero(number < 0)
        number[left[_front_by_pairs(goals[left])]] = level
        level += 1
    return number


def _volume_by_cells(goals, reference):
    """Whole numbers: count the unit cells that some point dominates."""
    cells = itertools.product(*(range(int(r)) for r in reference))
    return sum(any((point <= cell).all() for point in goals) for cell in map(np.array, cells))


@given(_POINTS)
def test_fronts_are_those_of_all_pairs(goals):
    """Front and ranks equal the definition, with ties, repeats and any number of goals."""
    np.testing.assert_array_equal(front(goals), _front_by_pairs(goals))
    np.testing.assert_array_equal(ranks(goals), _ranks_by_pairs(goals))


@given(_POINTS, st.integers(0, 12))
def test_ranks_may_stop_early(goals, most):
    """The fronts that hold the first `most` points are exact; the others come after them."""
    full, early = ranks(goals), ranks(goals, most)
    reached = early < early.max(initial=0) if len(set(early)) > 1 else early == full
    np.testing.assert_array_equal(early[reached], full[reached])
    assert (early <= full).all()
    order = np.sort(full)[: min(most, len(full))]
    np.testing.assert_array_equal(np.sort(early)[: len(order)], order)


@given(_POINTS)
def test_the_volume_is_that_of_all_cells(goals):
    """Hypervolume equals the number of dominated unit cells, one to four goals."""
    reference = np.full(goals.shape[1], 4.0)
    assert hypervolume(goals, reference) == pytest.approx(_volume_by_cells(goals, reference))


@pytest.mark.parametrize("g", [2, 3, 4, 5])
def test_the_volume_agrees_with_sampling(g):
    """On random fronts the exact volume lies within five standard errors of a Monte Carlo one."""
    rng = np.random.default_rng(g)
    goals = rng.random((20, g))
    samples = rng.random((20_000, g))
    share = np.mean((goals[None] <= samples[:, None]).all(axis=2).any(axis=1))
    error = np.sqrt(share * (1 - share) / len(samples))
    assert abs(hypervolume(goals, np.ones(g)) - share) < 5 * error


@given(_POINTS)
def test_contributions_are_losses_of_volume(goals):
    """Taking a point away costs exactly its contribution."""
    reference = np.full(goals.shape[1], 4.0)
    whole = hypervolume(goals, reference)
    without = [hypervolume(np.delete(goals, i, axis=0), reference) for i in range(len(goals))]
    np.testing.assert_allclose(contributions(goals, reference), whole - np.array(without))


@given(_POINTS, st.integers(1, 6))
def test_the_subset_is_the_greedy_one(goals, count):
    """Each chosen point adds as much volume as any other could at that moment."""
    reference = np.full(goals.shape[1], 4.0)
    chosen = spread_subset(goals, count, reference)
    assert len(set(chosen)) == len(chosen) == min(count, len(goals))
    for i in range(len(chosen)):
        before = hypervolume(goals[chosen[:i]], reference)
        gains = [
            hypervolume(goals[[*chosen[:i], j]], reference) - before for j in range(len(goals))
        ]
        assert gains[chosen[i]] == pytest.approx(max(gains))


def test_crowding_is_the_published_one():
    """Ends are infinite, a point between neighbours has the sum of their relative distances."""
    goals = np.array([[0.0, 10.0], [1.0, 6.0], [2.0, 5.0], [4.0, 0.0]])
    expected = [np.inf, 2 / 4 + 5 / 10, 3 / 4 + 6 / 10, np.inf]
    np.testing.assert_allclose(crowding(goals), expected)
    np.testing.assert_array_equal(crowding(goals[:2]), [np.inf, np.inf])
    assert crowding(np.empty((0, 2))).shape == (0,)


def test_the_reference_is_worse_than_everything():
    """Every point counts, also where a goal is the same for all of them."""
    goals = np.array([[0.0, 3.0], [2.0, 3.0]])
    np.testing.assert_allclose(reference_point(goals), [2.2, 3.3])
    assert (contributions(goals, reference_point(goals)) > 0).tolist() == [True, False]


def test_ten_thousand_points_are_ranked_quickly():
    """The first 50 of 10,000 points of two and three goals are found without comparing pairs."""
    rng = np.random.default_rng(0)
    for g in (2, 3):
        goals = rng.random((10_000, g))
        number = ranks(goals, 50)
        np.testing.assert_array_equal(number == 0, front(goals))
        assert (number < number.max()).sum() >= 50
