"""Wider and narrower ranges."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.space import Categorical, Condition, Float, Int, Space
from attain.refine.ranges import at, fits, in_words, narrowed, position, widened, without

RATE = Float(name="rate", low=0.01, high=0.3, default=0.1, scale="log", limits=(1e-5, 1.0))
SHARE = Float(name="share", low=0.5, high=0.9, limits=(0.0, 1.0))
KEEP = Float(name="keep", low=0.5, high=0.9, scale="logit", limits=(0.01, 0.999))
SHIFT = Float(
    name="shift", low=-1.0, high=10.0, scale="symlog", scale_width=0.1, limits=(-1e3, 1e3)
)
DEPTH = Int(name="depth", low=2, high=8, default=4, limits=(1, 16))


def ends(parameter) -> tuple[float, float] | None:
    return None if parameter is None else (parameter.low, parameter.high)


@st.composite
def numbers(draw):
    scale = draw(st.sampled_from(["linear", "log", "symlog", "logit"]))
    if scale == "logit":
        low, high = sorted(draw(st.tuples(*[st.floats(0.01, 0.99)] * 2)))
        high += 0.001
        limits = (low * draw(st.floats(0.01, 1)), high + (1 - high) * draw(st.floats(0, 0.99)))
        return Float(name="x", low=low, high=high, scale=scale, limits=limits)
    whole = draw(st.booleans())
    if whole:
        low = draw(st.integers(1, 50))
        high = low + draw(st.integers(1, 200))
        step = draw(st.none() | st.integers(1, high - low))
        limits = (draw(st.integers(1, low)), high + draw(st.integers(0, 300)))
        made = Int(name="x", low=low, high=high, scale=scale, step=step, limits=limits)
    else:
        low = draw(st.floats(1e-6, 10))
        high = low * draw(st.floats(1.01, 1e4))
        step = draw(st.none() | st.floats(0.01, 0.5).map(lambda f: f * (high - low)))
        limits = (low * draw(st.floats(0.001, 1)), high * draw(st.floats(1, 1000)))
        made = Float(name="x", low=low, high=high, scale=scale, step=step, limits=limits)
    return draw(st.sampled_from([made, Space((made,)).parameters[0]]))


@given(numbers(), st.floats(0, 1))
def test_position_and_value_are_inverse(parameter, place: float):
    """A position gives a value at that position, on both scales."""
    assert position(parameter, at(parameter, place)) == pytest.approx(place, abs=1e-6)


@pytest.mark.parametrize("value", [None, "big", True, -1.0])
def test_what_is_no_number_has_no_position(value):
    """Inactive parameters, other kinds and values a log scale cannot hold give NaN."""
    assert math.isnan(position(RATE, value))


@pytest.mark.parametrize(
    ("parameter", "side", "expected"),
    [
        (RATE, "low", (0.0018, 0.3)),
        (RATE, "high", (0.01, 1.0)),
        (SHARE, "low", (0.3, 0.9)),
        (SHARE, "high", (0.5, 1.0)),
        (DEPTH, "high", (2, 11)),
        (DEPTH, "low", (1, 8)),
        (KEEP, "high", (0.5, 0.965)),
        (KEEP, "low", (0.25, 0.9)),
        (SHIFT, "high", (-1.0, 110.0)),
        (SHIFT, "low", (-11.0, 10.0)),
        (Float(name="x", low=0.0, high=1.0), "high", None),
        (Float(name="x", low=0.0, high=1.0, limits=(0.0, 1.0)), "high", None),
        (Int(name="x", low=1, high=10, step=3, limits=(1, 18)), "high", (1, 13)),
    ],
)
def test_widening_adds_half_the_range_within_limits(parameter, side, expected):
    """By a readable amount, up to the limits, on the old grid; not at all without stated limits."""
    assert ends(widened(parameter, side)) == expected


def test_narrowing_keeps_a_value_and_moves_the_default_inside():
    """The value stays in range even when the asked range lies elsewhere."""
    made = narrowed(RATE, 0.6, 0.9, 0.02)
    assert made.low <= 0.02 <= made.high < 0.3
    assert narrowed(DEPTH, 0.7, 1.0, 7) == Int(
        name="depth", low=6, high=8, default=6, limits=(1, 16)
    )
    assert narrowed(RATE, 0.0, 0.99, 0.05) is None
    assert narrowed(RATE, 0.2, 0.4, 5.0) is None


def test_words_say_old_and_new_range():
    """The change is shown as the user knows it."""
    assert in_words(RATE, widened(RATE, "low")) == "rate: 0.01..0.3 -> 0.0018..0.3"
    kind = Categorical(name="kind", choices=("a", "b"))
    assert in_words(kind, without(kind, ("b",))) == "kind: a, b -> a"


def test_choices_are_left_out():
    """The default goes with its choice, and the last choice stays."""
    kind = Categorical(name="kind", choices=("a", "b", "c"), default="b")
    assert without(kind, ("b",)) == Categorical(name="kind", choices=("a", "c"))
    assert without(kind, ("a", "b", "c")) is None
    assert without(kind, ("d",)) is None


def test_a_choice_that_a_condition_needs_must_stay():
    """Removing a parent's value would leave a child that can never exist."""
    kind = Categorical(name="kind", choices=("a", "b"))
    space = Space((kind, Float(name="x", low=0, high=1, when=(Condition("kind", ("b",)),))))
    assert not fits(space, without(kind, ("b",)))
    assert fits(space, without(kind, ("a",)))


@given(numbers(), st.sampled_from(["low", "high"]))
def test_a_wider_range_is_valid_holds_the_old_one_and_respects_limits(parameter, side):
    """Over random parameters: sound, every old value still legal, limits never passed."""
    made = widened(parameter, side)
    if made is None:
        return
    Space((made,))
    assert parameter.limits[0] <= made.low <= parameter.low
    assert parameter.high <= made.high <= parameter.limits[1]
    assert (made.low, made.high) != (parameter.low, parameter.high)
    if parameter.step:
        assert made.contains(parameter.low)


@given(numbers(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.data())
def test_a_narrower_range_is_valid_and_holds_the_value(parameter, a, b, where, data):
    """Over random parameters: sound, inside the old range, and the kept value is still legal."""
    from attain.core.space import snap

    keep = snap(parameter, at(parameter, where))
    if not parameter.contains(keep):
        return
    made = narrowed(parameter, min(a, b), max(a, b), keep)
    if made is None:
        return
    Space((made,))
    assert parameter.low <= made.low < made.high <= parameter.high
    assert made.contains(keep)


def test_the_weights_of_left_choices_are_kept():
    """A prior shrinks with its choices; where nothing of it is left there is none."""
    kind = Categorical(name="kind", choices=("a", "b", "c"), prior=(2.0, 1.0, 0.0))
    assert without(kind, ("a",)).prior == (1.0, 0.0)
    assert without(kind, ("a", "b")).prior is None
