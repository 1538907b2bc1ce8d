"""Scales, grids of exact decimals, and priors of single parameters."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.errors import SpaceError
from attain.core.space import (
    Categorical,
    Float,
    Int,
    Ordinal,
    Space,
    between,
    level_value,
    levels,
    snap,
    start_value,
)
from attain.core.space_scale import SCALES, backward, forward, grid_count, grid_digits, grid_value

_INSIDE = {
    "linear": st.floats(-1e6, 1e6),
    "log": st.floats(1e-6, 1e6),
    "logit": st.floats(1e-6, 1 - 1e-6),
    "symlog": st.floats(-1e6, 1e6),
}


def test_every_scale_is_swept():
    """A scale without a range of values below would not be tested."""
    assert set(_INSIDE) == set(SCALES)


@given(st.data())
def test_scales_are_inverted_and_rise(data):
    """Back and forth gives the value; a larger value lies higher; arrays give what numbers give."""
    scale = data.draw(st.sampled_from(sorted(SCALES)))
    low, high = sorted(data.draw(st.tuples(_INSIDE[scale], _INSIDE[scale])))
    width = data.draw(st.floats(1e-3, 1e3))
    places = [forward(scale, x, width) for x in (low, high)]
    assert places[0] <= places[1]
    back = [backward(scale, place, width) for place in places]
    assert back == pytest.approx([low, high], rel=1e-6, abs=1e-9)
    arrays = forward(scale, np.array([low, high]), width, np)
    np.testing.assert_allclose(arrays, places, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(backward(scale, arrays, width, np), back, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("parameter", "middle"),
    [
        (Float(name="x", low=0.1, high=0.9, scale="logit"), 0.5),
        (Float(name="x", low=0.5, high=0.999, scale="logit"), 0.969331702146),
        (Float(name="x", low=-10.0, high=10.0, scale="symlog", scale_width=0.1), 0.0),
        (Float(name="x", low=0.0, high=99.0, scale="symlog", scale_width=1.0), 9.0),
        (Int(name="x", low=0, high=99, scale="symlog", scale_width=1.0), 9),
        (Float(name="x", low=1e-5, high=0.1, scale="log"), 0.001),
        (Float(name="x", low=0.1, high=0.4), 0.25),
    ],
)
def test_the_middle_lies_on_the_scale(parameter, middle):
    """Without a default, a parameter starts in the middle of its scale, written as people do."""
    assert start_value(parameter) == middle


def test_the_linear_part_of_a_symlog_scale_is_stated_or_small():
    """A thousandth of the larger bound unless stated; the width changes the middle."""
    assert Float(name="x", low=-5.0, high=20.0, scale="symlog").linear_width == 0.02
    assert Float(name="x", low=-5, high=20, scale="symlog", scale_width=3.0).linear_width == 3.0
    middles = [
        between(Float(name="x", low=0.0, high=100.0, scale="symlog", scale_width=w), 0.5)
        for w in (0.1, 1.0, 10.0)
    ]
    assert middles == sorted(set(middles))


def test_steps_are_the_decimals_that_people_write():
    """No 0.30000000000000004: each value is the float of its literal, also far from zero."""
    share = Float(name="x", low=0.1, high=0.8, step=0.1)
    assert [level_value(share, k) for k in range(levels(share))] == [
        *(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    ]
    assert level_value(Float(name="x", low=1000.1, high=2000.0, step=0.1), 2) == 1000.3
    assert grid_count(0.1, 0.3, 0.1) == 3
    assert grid_digits(0.125, 0.5) == 3


@given(
    st.decimals(-1000, 1000, places=3),
    st.decimals("0.001", 10, places=3),
    st.integers(1, 500),
    st.data(),
)
def test_every_step_is_exact(low, step, count, data):
    """Snapping anything gives the float of an exact decimal sum, and exactly those are values."""
    parameter = Float(name="x", low=float(low), high=float(low + step * count), step=float(step))
    assert levels(parameter) == count + 1
    index = data.draw(st.integers(0, count))
    exact = float(Decimal(str(low)) + Decimal(str(step)) * index)
    assert grid_value(float(low), float(step), index) == exact
    assert parameter.contains(exact)
    assert snap(parameter, exact + float(step) * data.draw(st.floats(-0.49, 0.49))) == exact
    assert not parameter.contains(exact + float(step) / 3)


def test_a_bound_off_the_grid_is_said_and_never_proposed():
    """The grid ends at its last value below high; the space says where that is."""
    share = Float(name="share", low=0.1, high=1.0, step=0.4)
    assert str(share) == "share: 0.1 to 1 in steps of 0.4, last 0.9"
    assert snap(share, 1.0) == 0.9
    assert not share.contains(1.0)


def test_floats_an_ulp_off_the_literal_still_count():
    """A default computed as 0.1 + 0.2 is the grid's 0.3."""
    share = Float(name="share", low=0.1, high=0.5, step=0.1)
    assert share.contains(0.1 + 0.2)
    assert not share.contains(0.3000001)


def test_integers_of_any_size_are_exact():
    """Thirty digits, each value its own."""
    many = Int(name="n", low=0, high=10**30, step=7)
    assert levels(many) == 10**30 // 7 + 1
    assert level_value(many, 10**29) == 7 * 10**29
    assert many.contains(7 * 10**29)
    assert not many.contains(7 * 10**29 + 1)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (Float(name="x", low=0, high=0.9, scale="logit"), r"needs 0 < low and high < 1 \(got 0\)"),
        (Float(name="x", low=0.1, high=1, scale="logit"), r"needs 0 < low and high < 1 \(got 1\)"),
        (Int(name="x", low=1, high=3, scale="logit"), "a logit scale needs 0 < low"),
        (Float(name="x", low=-1, high=1, scale="lgo"), "a scale must be known.*did you mean 'log'"),
        (Float(name="x", low=0, high=1, scale_width=1.0), "scale_width is for the symlog scale"),
        (
            Float(name="x", low=-1, high=1, scale="symlog", scale_width=0.0),
            r"scale_width must be a positive number \(got 0.0\)",
        ),
        (Float(name="x", low=-math.inf, high=1), "bounds must be finite numbers"),
        (Float(name="x", low="0", high=1), "bounds must be finite numbers"),
        (Int(name="x", low=0, high=10**400), "bounds must be finite numbers"),
        (Float(name="x", low=-1e308, high=1e308), "the distance of the bounds must be a finite"),
        (Float(name="x", low=0, high=1, step=5e-324), "a step must be positive"),
        (Float(name="x", low=0, high=1, prior=(0.5, 0.0)), "a prior is a value on the scale"),
        (Float(name="x", low=0, high=1, prior=(math.nan, 1.0)), "a prior is a value on the scale"),
        (Float(name="x", low=0, high=1, prior=(0.5,)), r"write it as \(value, spread\)"),
        (Float(name="x", low=0.1, high=1, scale="log", prior=(0.0, 1.0)), "a prior is a value on"),
        (Categorical(name="x", choices=("a", "b"), prior=(1.0,)), "one weight for each choice"),
        (Categorical(name="x", choices=("a", "b"), prior=(1.0, -1.0)), "one weight for each"),
        (Ordinal(name="x", choices=("a", "b"), prior=(0.0, 0.0)), "not all zero.*give 2 weights"),
    ],
)
def test_unsound_parameters_are_refused(parameter, message):
    """Each rule has its own message, with the value and what to do."""
    with pytest.raises(SpaceError, match=message):
        Space((parameter,))


def test_a_parent_that_is_unsound_hides_no_other_problem():
    """What follows from a broken parameter is not told, everything else is."""
    with pytest.raises(SpaceError, match="a step must be positive") as caught:
        Space(
            (
                Float(name="x", low=0.0, high=1.0, step=0.0),
                Float(name="y", low=2.0, high=1.0),
                Float(name="z", low=0.0, high=1.0),
            )
        )
    assert [problem.place for problem in caught.value.problems] == ["x", "y"]


def test_parameters_say_scale_grid_and_prior():
    """All that a parameter knows stands in its line."""
    lines = [
        Float(name="keep", low=0.1, high=0.99, scale="logit", default=0.9, prior=(0.9, 1.0)),
        Int(name="shift", low=-50, high=50, scale="symlog", scale_width=2.0),
        Float(name="rate", low=0.5, high=2.0, unit="Hz", step=0.5, prior=(1.0, 0.25)),
        Categorical(name="kind", choices=("a", "b"), prior=(3.0, 1.0)),
    ]
    assert [str(line) for line in lines] == [
        "keep: 0.1 to 0.99 (logit), starting at 0.9, expected near 0.9 ± 1 on the logit scale",
        "shift: -50 to 50 (symlog, linear within 2)",
        "rate: 0.5 to 2 Hz in steps of 0.5, expected near 1 ± 0.25",
        "kind: a, b, expected as 3 : 1",
    ]
