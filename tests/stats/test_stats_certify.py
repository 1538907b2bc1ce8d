"""Exact tests of proportions and fixed sequences of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from attain.stats.certify import fixed_sequence, tail
from attain.stats.interval import clopper_pearson


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.02, 0.98))
def test_the_p_value_is_the_binomial_s(hits: int, extra: int, target: float) -> None:
    """The chance of at least so many hits at the target itself, as SciPy computes it."""
    rows = hits + extra
    found = tail(np.array([hits]), np.array([rows]), target)[0]
    want = stats.binom.sf(hits - 1, rows, target) if rows else 1.0
    assert found == pytest.approx(want, abs=1e-9)


def test_it_agrees_with_the_exact_interval() -> None:
    """Rejected at 2.5 % exactly where the exact 95 % interval clears the target."""
    for hits in range(41):
        p = tail(np.array([hits]), np.array([40]), 0.7)[0]
        assert (p < 0.025) == (clopper_pearson(hits, 40).low > 0.7)


def test_a_sequence_stops_at_the_first_that_is_not_rejected() -> None:
    """From each start on, at an equal share of the level; nothing behind a stop is reached."""
    p = np.array([0.001, 0.02, 0.04, 0.2, 0.001, 0.001])
    assert fixed_sequence(p, [0], 0.05).tolist() == [True, True, True, False, False, False]
    assert fixed_sequence(p, [0, 4], 0.05).tolist() == [True, True, False, False, True, True]
    assert fixed_sequence(p, [3], 0.05).tolist() == [False] * 6
    assert fixed_sequence(p, [0, 0], 0.05).tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize("starts", [[0], [0, 10, 20]])
def test_the_level_is_kept_when_every_promise_is_broken(starts: list[int]) -> None:
    """With 30 settings just below their target, any is certified in at most 5 % of 2,000 runs."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(2_000):
        hits = rng.binomial(200, 0.9, size=30)  # at the target: the worst case
        wrong += fixed_sequence(tail(hits, np.full(30, 200), 0.9), starts, 0.05).any()
    assert wrong / 2_000 <= 0.06
