"""The smallest possible value: its limit holds as often as stated."""

import numpy as np
import pytest

from attain.stats.endpoint import lower_endpoint


@pytest.mark.parametrize("shape", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("count", [10, 40])
def test_the_limit_lies_above_the_endpoint_no_more_often_than_stated(shape, count):
    """2,000 samples each of densities that are flat or rise at their lower end, 0."""
    rng = np.random.default_rng(int(10 * shape) + count)
    drawn = rng.uniform(size=(2000, count)) ** (1 / shape)
    wrong = np.mean([lower_endpoint(row) > 0 for row in drawn])
    assert wrong <= 0.05


def test_equal_values_leave_no_room_and_spread_ones_do():
    """Six equal values: nothing below; one lucky value: much below."""
    assert lower_endpoint([1.0] * 6 + [9.0]) == 1.0
    assert lower_endpoint([1.0, 1.0, 1.5, 2.0]) == pytest.approx(1 - 19 / 3)
    assert lower_endpoint([1.0, 2.0], error=0.5) == 0.0
