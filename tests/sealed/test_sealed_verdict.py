"""The verdict follows the interval, not the point, and says what would settle or help."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from attain.core.codec import decode, encode
from attain.core.errors import DataError
from attain.core.types import Direction, Objective, Role, Score, Verdict, VerdictState
from attain.sealed.verdict import confidence_for, judge, rows_needed

AUC = Objective("roc_auc", Direction.MAXIMIZE, 0.9, low=0, high=1)
RMSE = Objective("rmse", Direction.MINIMIZE, 10.0, low=0)
MS = Objective("latency_p95_ms", Direction.MINIMIZE, 5.0, role=Role.CONSTRAINT, unit="ms")


def score(metric, estimate, low, high, n=400, **more):
    """A score of the final model."""
    return Score("final", metric, estimate, low, high, n, **more)


def verdict(objective, found, baseline=(), looks=1, confidence=0.95):
    """The verdict on one objective."""
    whole = judge(
        [objective],
        {objective.metric: found},
        finalist="t7",
        baseline=baseline,
        digest="d",
        seal="s",
        looks=looks,
        confidence=confidence,
    )
    assert (whole.finalist, whole.digest, whole.seal, whole.looks) == ("t7", "d", "s", looks)
    assert whole.state is whole.objectives[0].state
    assert encode(decode(Verdict, encode(whole))) == encode(whole)
    return whole.objectives[0]


MET, UNPROVEN, NOT_MET = VerdictState.MET, VerdictState.UNPROVEN, VerdictState.NOT_MET


@pytest.mark.parametrize(
    ("objective", "estimate", "low", "high", "state"),
    [
        (AUC, 0.95, 0.92, 0.97, MET),
        (AUC, 0.95, 0.90, 0.97, MET),
        (AUC, 0.95, 0.89, 0.97, UNPROVEN),
        (AUC, 0.89, 0.86, 0.92, NOT_MET),
        (AUC, 0.85, 0.80, 0.88, NOT_MET),
        (RMSE, 8.0, 7.0, 9.5, MET),
        (RMSE, 8.0, 7.0, 10.0, MET),
        (RMSE, 8.0, 7.0, 11.0, UNPROVEN),
        (RMSE, 12.0, 9.0, 15.0, NOT_MET),
        (MS, 4.0, 3.9, 4.2, MET),
        (MS, 6.0, 5.9, 6.2, NOT_MET),
    ],
)  # fmt: skip
def test_the_interval_decides(objective, estimate, low, high, state):
    """Met needs the whole interval beyond the target, in the metric's own direction."""
    found = verdict(objective, score(objective.metric, estimate, low, high))
    assert found.state is state
    assert bool(found.advice) == (state is not MET)
    assert found.shortfall == pytest.approx(
        abs(objective.target - estimate) if state is NOT_MET else 0
    )


def test_an_objective_without_target_is_reported():
    """As good as possible cannot be missed."""
    found = verdict(Objective("roc_auc", Direction.MAXIMIZE), score("roc_auc", 0.5, 0.4, 0.6))
    assert found.state is VerdictState.REPORTED


def test_rows_that_would_settle_it_do():
    """With the rows asked for, a normal interval of the same spread just clears the target."""
    spread, n = 0.6, 400
    half = norm.isf(0.025) * spread / math.sqrt(n)
    found = verdict(AUC, score("roc_auc", 0.93, 0.93 - half, 0.93 + half, n=n))
    needed = found.rows_needed
    assert norm.isf(0.025) * spread / math.sqrt(needed) <= 0.03
    assert norm.isf(0.025) * spread / math.sqrt(needed - 2) > 0.03
    assert f"{needed:,} independent test rows" in found.advice


def test_rows_needed_may_not_exist():
    """An estimate on the target, or an unbounded interval, is settled by no number of rows."""
    assert rows_needed(score("m", 0.9, 0.8, 1.0), 0.9, 0.1) is None
    assert rows_needed(score("m", 0.95, -math.inf, 1.0), 0.9, math.inf) is None
    assert "too close" in verdict(AUC, score("roc_auc", 0.9, 0.8, 0.95)).advice


def test_constraints_are_settled_by_measurements():
    """More timings, not more rows, settle a latency."""
    assert "measurements" in verdict(MS, score("latency_p95_ms", 4.9, 4.5, 5.2, n=40)).advice


def test_advice_follows_what_is_known_of_the_miss():
    """Overfitting, underfitting, chance, a strong baseline and slow models get their own words."""
    low = score("roc_auc", 0.80, 0.75, 0.84, train=0.99)
    assert "regularisation" in verdict(AUC, low).advice
    under = score("roc_auc", 0.80, 0.75, 0.84, train=0.81)
    assert "better features" in verdict(AUC, under).advice
    near = score("roc_auc", 0.89, 0.86, 0.92)
    assert "may be chance" in verdict(AUC, near).advice
    base = [score("roc_auc", 0.79, 0.7, 0.8)]
    assert "the baseline scores 0.79" in verdict(AUC, low, baseline=base).advice
    assert "faster machine" in verdict(MS, score("latency_p95_ms", 9, 8, 10)).advice
    worse = score("rmse", 20.0, 18.0, 22.0, train=3.0)
    assert "regularisation" in verdict(RMSE, worse).advice


def test_a_score_that_could_not_be_computed_is_not_met():
    """NaN meets nothing."""
    found = verdict(AUC, score("roc_auc", math.nan, math.nan, math.nan))
    assert found.state is NOT_MET
    assert "could not be computed" in found.advice


def test_missing_scores_are_named_together():
    """Every objective without a score is named."""
    with pytest.raises(
        DataError, match=r"(?s)objective roc_auc >= 0.9: every.*objective rmse <= 10"
    ):
        judge(
            [AUC, RMSE],
            {},
            finalist="t",
            baseline=(),
            digest="d",
            seal="s",
            looks=1,
            confidence=0.95,
        )


@pytest.mark.parametrize(("look", "expected"), [(1, 0.95), (2, 0.975), (3, 0.9875)])
def test_each_further_look_halves_the_error(look, expected):
    """The confidence asked for grows with every look."""
    assert confidence_for(look, 0.95) == pytest.approx(expected)


@given(st.floats(0.5, 0.999), st.integers(1, 40))
def test_errors_of_all_looks_stay_below_twice_the_first(confidence, looks):
    """However often one looks, the summed error is bounded."""
    total = sum(1 - confidence_for(look, confidence) for look in range(1, looks + 1))
    assert total <= 2 * (1 - confidence) + 1e-9


def test_a_second_look_can_turn_met_into_unproven():
    """An interval made at 95 % is widened for the second look, and says so."""
    found = score("roc_auc", 0.95, 0.905, 0.98, confidence=0.95, method="bootstrap")
    assert verdict(AUC, found).state is MET
    again = verdict(AUC, found, looks=2, confidence=confidence_for(2, 0.95))
    assert again.state is UNPROVEN
    assert again.score.confidence == 0.975
    assert again.score.low == pytest.approx(0.95 - 0.045 * norm.isf(0.0125) / norm.isf(0.025))
    assert "widened from 0.95 to 0.975" in again.score.method


def test_an_objective_may_ask_for_more_confidence():
    """An objective at 99 % is not settled by a 95 % interval."""
    strict = Objective("roc_auc", Direction.MAXIMIZE, 0.9, confidence=0.99)
    assert verdict(strict, score("roc_auc", 0.95, 0.905, 0.98)).state is UNPROVEN


def test_the_worst_objective_is_the_verdict():
    """One miss among many decides the whole."""
    whole = judge(
        [AUC, RMSE],
        {"roc_auc": score("roc_auc", 0.95, 0.92, 0.97), "rmse": score("rmse", 12, 11, 13)},
        finalist="t",
        baseline=(),
        digest="d",
        seal="s",
        looks=1,
        confidence=0.95,
    )
    assert whole.state is NOT_MET
