"""Goals and limits in words; what a told result is, and what it is not."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attain.core.errors import SpecError
from attain.pipeline.goals import Goals, read_goals, read_noise, read_seconds

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("stated", "read"),
    [
        ("minimize loss", ("minimize loss",)),
        (" MAX accuracy ", ("maximize accuracy",)),
        ("minimise val/loss, maximise f1@2", ("minimize val/loss", "maximize f1@2")),
        (["maximize a", "latency <= 5", "b≥-0.5"], ("maximize a", "latency <= 5", "b >= -0.5")),
        (["minimize a", "a > 1", "a < 2"], ("minimize a", "a >= 1", "a <= 2")),
    ],
)
def test_goals_are_read_from_words(stated: Any, read: tuple[str, ...]) -> None:
    """Verbs, spellings and signs that people use; the words written back are read as the same."""
    goals = read_goals(stated)
    assert goals.statements == read
    assert read_goals(list(read)) == goals
    assert read_goals(goals) is goals


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ("loss", "a goal must be a verb and a metric"),
        ("minimze loss", "did you mean 'minimize'"),
        ("latency <= 5", "at least one goal is needed"),
        ([], "at least one goal is needed"),
        (["minimize a", "b <= fast"], r"goals\[2\]: a limit must be a finite number \(got fast\)"),
        (["minimize a", "b <= nan"], "a limit must be a finite number"),
        (["minimize a", "maximize a"], "a metric can be one goal only"),
        (["minimize a", "b <= 1", "b <= 1"], "a limit is stated once"),
        (["minimize a", 3], "a goal must be text"),
        (3, "goals must be a statement or a list"),
        ({"minimize": "a"}, "goals must be a statement or a list"),
    ],
)
def test_goals_that_make_no_sense_are_refused(stated: Any, message: str) -> None:
    """Each broken rule has its own message with a way out."""
    with pytest.raises(SpecError, match=message):
        read_goals(stated)


def test_all_problems_of_goals_are_named_at_once() -> None:
    """Three mistakes make three problems."""
    with pytest.raises(SpecError, match="did you mean") as caught:
        read_goals(["minimze a", "b <= fast", 3])
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    "value", [1, 1.0, np.float32(1), np.int64(1), np.array(1.0), np.float64(1.0), True + 0]
)
def test_real_numbers_are_results(value: Any) -> None:
    """Python's and NumPy's real numbers of every width count as they are."""
    assert read_goals("minimize loss").read(value, "t00001") == ({"loss": 1.0}, "")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "did the function forget to"),
        ("0.1", r"give float\(...\) of it"),
        (True, r"int\(...\) of it"),
        (np.bool_(True), r"int\(...\) of it"),
        (1 + 0j, "absolute value"),
        (np.complex128(1), "absolute value"),
        (np.array([1.0]), "give one float"),
        ([1.0], "give one float"),
        (Decimal("1"), "give one float"),
        ({"los": 1.0}, "a result must have the metric 'loss' .got 'los'"),
        ({}, "a result must have the metric 'loss'"),
        ({"loss": 1.0, "other": "x"}, r"t00001.other: a result must be a real number"),
    ],
)
def test_what_is_no_result_is_refused(value: Any, message: str) -> None:
    """Each wrong type has its own remedy, and the place is the trial."""
    with pytest.raises(SpecError, match=message) as caught:
        read_goals("minimize loss").read(value, "t00001")
    assert "t00001" in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), 10**400])
def test_not_finite_is_a_failure_with_a_message(value: Any) -> None:
    """NaN, infinities and numbers beyond a float say which metric has them."""
    metrics, message = read_goals("minimize loss").read(value, "t00001")
    assert message.startswith("loss is ")
    assert not math.isfinite(metrics["loss"])


def test_only_needed_metrics_must_be_finite() -> None:
    """A NaN in a metric that nobody asked about is kept and harms nothing; in a limit it does."""
    goals = read_goals("minimize loss, latency <= 5")
    told = {"loss": 1, "latency": 2, "extra": math.nan}
    assert goals.read(told, "t")[1] == ""
    assert goals.read({"loss": 1, "latency": math.nan}, "t")[1] == "latency is nan"


def test_several_metrics_need_names() -> None:
    """One number is not enough for two metrics; the message shows the form."""
    with pytest.raises(SpecError, match=r"give \{'loss': ..., 'latency': ...\}"):
        read_goals("minimize loss, latency <= 5").read(1.0, "t00001")


def test_losses_have_turned_signs_and_excesses_units() -> None:
    """Less is better in every loss; an excess says by how much a limit is broken."""
    judged = read_goals("maximize a, a >= 0.5, b <= 3").judge({"a": 0.2, "b": 2.0})
    assert judged.loss == -0.2
    assert judged.goals == ()
    assert judged.excess == (pytest.approx(0.3), -1.0)
    two = read_goals("maximize a, minimize b").judge({"a": 0.2, "b": 2.0})
    assert (two.loss, two.goals) == (None, (-0.2, 2.0))


@given(a=FLOATS, b=FLOATS, x=FLOATS, y=FLOATS)
def test_kept_limits_come_before_losses(a: float, b: float, x: float, y: float) -> None:
    """A trial within the limits precedes one beyond; within, the smaller loss precedes."""
    goals = Goals(*_parts("minimize a, b <= 0"))
    first, second = goals.key(a, (x,)), goals.key(b, (y,))
    if (x > 0) != (y > 0):
        assert (first < second) == (x <= 0)
    elif x <= 0 and a != b:
        assert (first < second) == (a < b)


def _parts(text: str) -> tuple[Any, Any]:
    goals = read_goals(text)
    return goals.goals, goals.limits


@pytest.mark.parametrize("noise", [-1, math.nan, math.inf, "0.1", True])
def test_noise_is_a_standard_error(noise: Any) -> None:
    """Negative, infinite and non-numbers are refused; a good one is a float."""
    with pytest.raises(SpecError, match="a standard error must be a finite number"):
        read_noise(noise, read_goals("minimize a"))
    assert read_noise(1, read_goals("minimize a")) == 1.0


def test_noise_belongs_to_one_goal() -> None:
    """With two goals it is not said whose it would be."""
    with pytest.raises(SpecError, match="belongs to one goal"):
        read_noise(0.1, read_goals("minimize a, minimize b"))


@pytest.mark.parametrize("seconds", [-1, math.nan, None, "1"])
def test_seconds_are_a_cost(seconds: Any) -> None:
    """Negative and non-numbers are refused."""
    with pytest.raises(SpecError, match="seconds must be a finite number"):
        read_seconds(seconds)
