"""Numbers and names as people read them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.report import numbers


@pytest.mark.parametrize(
    ("score", "text"),
    [
        ({"estimate": 0.93127, "low": 0.9183, "high": 0.9434}, "0.931 (0.918 to 0.943)"),
        ({"estimate": 181.234, "low": 172.4, "high": 190.1}, "181.2 (172.4 to 190.1)"),
        ({"estimate": 48211.2, "low": 46000.0, "high": 50000.0}, "48,211 (46,000 to 50,000)"),
        ({"estimate": -0.5, "low": -0.7, "high": -0.3}, "−0.50 (−0.70 to −0.30)"),
        ({"estimate": 1.0, "low": 1.0, "high": 1.0}, "1 (1 to 1)"),
        ({"estimate": 0.2, "low": None, "high": 0.3}, "0.200 (below 0.300)"),
        ({"estimate": 0.2, "low": 0.1, "high": None}, "0.200 (0.100 to no upper end)"),
        ({"estimate": None, "low": None, "high": None}, "— (—)"),
    ],
)
def test_digits_follow_the_interval(score, text):
    """A score is shown with two significant digits of its half-width, and says what is unknown."""
    assert numbers.with_interval(score) == text


@given(st.floats(1e-4, 1e8), st.floats(1e-6, 1e4))
def test_rounding_stays_within_a_tenth_of_the_interval(value, width):
    """What is shown never differs from the value by more than a tenth of the half-width."""
    places = numbers.decimals(width)
    shown = float(numbers.number(value, places).replace(",", ""))
    assert places is not None
    assert abs(shown - value) <= max(width / 20, 0.5 * 10.0**-places) * 1.0001


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_significant_digits_round_trip(value):
    """Three significant digits are within half a per cent of the value, whatever its size."""
    shown = float(numbers.number(value).replace(",", "").replace("−", "-"))
    assert math.isclose(shown, value, rel_tol=0.0051)


@pytest.mark.parametrize("unknown", [None, float("nan"), float("inf"), "NaN", True])
def test_unknown_is_a_dash_and_never_zero(unknown):
    """What is not a finite number is shown as a dash in every format."""
    formats = (numbers.number, numbers.seconds, numbers.size, numbers.share, numbers.stated)
    assert {f(unknown) for f in formats} == {numbers.MISSING}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0042, "4.2 ms"),
        (4.24, "4.2 s"),
        (59.97, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds, text):
    """Durations change their unit with their size and never show 60 seconds."""
    assert numbers.seconds(seconds).replace("\u00a0", " ") == text


def test_sizes_and_shares():
    """Bytes get a decimal unit; shares keep a decimal only near 0 and 100 %."""
    found = [numbers.size(412_000), numbers.size(999), numbers.share(0.95), numbers.share(0.997)]
    found += [numbers.share(0.004), numbers.share(0.5)]
    plain = [text.replace("\u00a0", " ") for text in found]
    assert plain == ["412 kB", "999 bytes", "95 %", "99.7 %", "0.4 %", "50 %"]


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("roc_auc", "ROC AUC"),
        ("f1_macro", "F1 macro"),
        ("latency_p95_ms", "latency, 95th percentile"),
        ("pinball@0.9", "pinball at 0.9"),
        ("r2", "R²"),
    ],
)
def test_metric_names_are_spelled_as_people_write_them(metric, text):
    """Underscores go, acronyms become capitals, parameters are kept."""
    assert numbers.words(metric) == text


def test_goals_keep_the_digits_that_were_stated():
    """A target is shown as it was typed, with its unit, and directions are words."""
    high = {"metric": "roc_auc", "direction": "maximize", "target": 0.9}
    low = {"metric": "latency_p95_ms", "direction": "minimize", "target": 5.0, "unit": "ms"}
    free = {"metric": "rmse", "direction": "minimize", "target": None}
    assert numbers.goal(high) == "ROC AUC at least 0.9"
    assert numbers.goal(low) == "latency, 95th percentile at most 5\u00a0ms"
    assert numbers.goal(free) == "RMSE as low as possible"


@given(st.text())
def test_printable_text_cannot_steer_a_terminal(text):
    """No escape, bell, carriage return or direction override survives."""
    shown = numbers.printable(text)
    assert not set(shown) & set("\x1b\x07\r\u202e\u2066\x00\x9b")


def test_lists_end_in_and():
    """Lists read as prose and are cut with a count."""
    assert numbers.listed([]) == ""
    assert numbers.listed(["a"]) == "a"
    assert numbers.listed(["a", "b", "c"]) == "a, b and c"
    assert numbers.listed(list("abcdefgh"), most=3) == "a, b, c and 5 more"
