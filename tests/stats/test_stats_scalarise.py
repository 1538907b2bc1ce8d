"""Compromises between goals: each weight leads to its own part of a front."""

from __future__ import annotations

import numpy as np
import pytest

from attain.stats.scalarise import chebyshev, drawn_weights

_ANGLES = np.linspace(0, np.pi / 2, 91)
_CONCAVE = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])


@pytest.mark.parametrize("share", [0.35, 0.5, 0.65])
def test_points_of_a_concave_front_are_reached(share):
    """A weighted sum finds only the ends of such a front; this finds its inside."""
    weights = np.array([share, 1 - share])
    best = _CONCAVE[np.argmin(chebyshev(_CONCAVE, weights))]
    assert best[0] / best[1] == pytest.approx(weights[1] / weights[0], rel=0.2)
    assert np.argmin(_CONCAVE @ weights) in (0, 90)


def test_units_of_goals_do_not_matter():
    """A goal in milliseconds weighs as much as the same goal in seconds."""
    weights = np.array([0.3, 0.7])
    scaled = chebyshev(_CONCAVE * [1000.0, 1.0] + [5.0, -2.0], weights)
    np.testing.assert_allclose(scaled, chebyshev(_CONCAVE, weights))


def test_one_bad_trial_does_not_hide_the_front():
    """A goal of a million leaves the distances along the front as they were."""
    weights = np.array([0.3, 0.7])
    spoilt = chebyshev(np.vstack([_CONCAVE, [1e6, 1e6]]), weights)
    np.testing.assert_allclose(spoilt[:-1], chebyshev(_CONCAVE, weights))


def test_a_single_point_is_its_own_ideal():
    """Without any range nothing is divided by zero."""
    assert chebyshev(np.array([[2.0, 3.0]]), np.array([0.5, 0.5]))[0] == 0.0


def test_weights_are_spread_evenly_and_follow_the_seed():
    """Positive, adding to one, one third each on average, equal for equal seeds."""
    drawn = np.array([drawn_weights(3, seed) for seed in range(2000)])
    np.testing.assert_allclose(drawn.sum(axis=1), 1.0)
    assert (drawn > 0).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1 / 3, atol=0.02)
    np.testing.assert_array_equal(drawn_weights(3, 7), drawn[7])
