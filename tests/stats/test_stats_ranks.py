"""Curves that were cut off keep their rank, and are uncertain as far as ranks change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.stats.ranks import Curve, Ranks

WHOLE: list[tuple[Curve, float]] = [
    (((1, 3.0), (9, 1.0)), 1.0),
    (((1, 5.0), (9, 2.0)), 2.0),
    (((1, 7.0), (9, 6.0)), 6.0),
]


@pytest.mark.parametrize(
    ("curve", "loss"),
    [
        ([(1, 6.0)], 4.0),
        ([(1, 9.0)], 6.0),
        ([(1, 1.0)], 1.0),
        ([(1, 4.0), (2, 5.0)], 2.0),
        ([(9, 1.5)], 1.5),
        ([(1, 6.0), (2, math.nan)], 4.0),
    ],
)
def test_a_curve_keeps_its_rank(curve: Curve, loss: float) -> None:
    """Among last losses as among those of its last step; between two of them in proportion."""
    assert Ranks(WHOLE)(curve) == (pytest.approx(loss), 0.0)


def test_ranks_that_change_on_the_way_are_an_error() -> None:
    """The error is what ranks at that step got wrong of the curves that ran to their end."""
    found = Ranks([([(1, 3.0)], 2.0), ([(1, 5.0)], 1.0)])([(1, 4.0)])
    assert found == (pytest.approx(1.5), pytest.approx(1.0))


@pytest.mark.parametrize(
    ("curve", "whole"),
    [
        ([], WHOLE),
        ([(1, math.nan)], WHOLE),
        ([(1, 1.0)], []),
        ([(0, 1.0)], WHOLE),
        ([(1, 1.0)], [([], 1.0), ([(1, 1.0)], math.nan), ([(1, math.inf)], 2.0)]),
    ],
)
def test_what_cannot_be_compared_is_not_judged(
    curve: Curve, whole: list[tuple[Curve, float]]
) -> None:
    """No loss, none that is a number, or nobody who had got as far."""
    assert Ranks(whole)(curve) is None


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=1), st.floats(-20, 20))
def test_nothing_cut_off_is_better_than_the_best(
    ended: list[tuple[float, float]], loss: float
) -> None:
    """Nor worse than the worst; and the smaller of two losses is never judged worse."""
    ranks = Ranks([([(1, then)], end) for then, end in ended])
    found, better = (ranks([(1, value)]) for value in (loss, loss - 1.0))
    assert found is not None
    assert better is not None
    ends = np.array([end for _, end in ended])
    assert ends.min() <= better[0] <= found[0] <= ends.max()
