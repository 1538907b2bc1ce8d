"""Scales with sensible ticks, and pictures that escape everything."""

import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from attain.report.svg import Canvas, fixed, linear, logarithmic

VALUES = st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20)


@given(VALUES, st.integers(2, 10))
def test_linear_scales_contain_values_and_have_few_round_ticks(values, count):
    """Every value lies within the axis; there are at least two ticks, all within the ends."""
    scale = linear(values, 10.0, 210.0, count=count)
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert 2 <= len(scale.ticks) <= 3 * count + 2
    assert all(10.0 - 1e-6 <= scale(t) <= 210.0 + 1e-6 for t in scale.ticks)


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=20))
def test_log_scales_are_monotone_and_have_ticks(values):
    """Larger values lie further right, and at least one tick can be read."""
    scale = logarithmic(values, 0.0, 100.0)
    places = [scale(v) for v in sorted(values)]
    assert places == sorted(places)
    assert scale.ticks


def test_tick_labels_of_one_axis_have_the_same_decimals():
    """0.8, 0.85 and 0.9 are written 0.80, 0.85 and 0.90."""
    labels = [text for _, text in fixed(0.78, 0.92, 0, 100, count=3).labels()]
    assert labels == ["0.80", "0.85", "0.90"]


@given(st.text(min_size=1), st.text(min_size=1))
def test_pictures_are_well_formed_whatever_the_labels(label, title):
    """Any text makes well-formed XML whose text is the label, never markup."""
    canvas = Canvas("x", 100, 50, title, label, "wide")
    canvas.text(1, 2, label, most=12)
    canvas.dot(1, 2, 3, "mark", tip=label)
    root = ET.fromstring(str(canvas.render()))
    assert {child.tag for child in root} == {"title", "desc", "text", "circle"}
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "x-t x-d"
